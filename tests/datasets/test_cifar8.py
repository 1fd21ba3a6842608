"""Tests of the bundled features and of the script that draws them."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_collapse.datasets import load_cifar8_features

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "make_cifar8_subset.py"
N_CLASSES, N_FEATURES = 8, 96


@pytest.fixture(scope="module")
def bunch():
    return load_cifar8_features()


def feature_arrays(bunch):
    return {"data": bunch.data, "X_test": bunch.X_test, **bunch.ood}


def head_accuracy(bunch, X, y):
    logits = X @ bunch.coef.T + bunch.intercept
    return np.mean(logits.argmax(axis=1) == y)


def test_keys(bunch):
    assert set(bunch) == {
        *("data", "target", "target_names", "feature_names", "X_test", "y_test"),
        *("near_ood_label", "ood", "coef", "intercept", "head", "DESCR", "filename"),
    }
    assert list(bunch.ood) == [
        *("near (cat, truck)", "far: texture", "far: digits", "far: noise")
    ]


def test_features(bunch):
    for name, X in feature_arrays(bunch).items():
        n_rows = {"data": 8000, "X_test": 2000}.get(name, 500)
        assert X.shape == (n_rows, N_FEATURES), name
        assert X.dtype == np.float32, name
        assert np.isfinite(X).all(), name
        assert X.min() >= 0, name
        # Only values that float16 holds were stored; nothing was lost since.
        assert_array_equal(X, X.astype(np.float16).astype(np.float32), err_msg=name)


def test_rows_are_distinct_images(bunch):
    """No row was drawn twice, nor is a test or OOD row among the training rows."""
    X = np.vstack(list(feature_arrays(bunch).values()))
    n_equal_textures = 1  # one crop is twice among all of them
    assert len(np.unique(X, axis=0)) == len(X) - n_equal_textures


@pytest.mark.parametrize(("name", "n_per_class"), [("target", 1000), ("y_test", 250)])
def test_labels_are_stratified(bunch, name, n_per_class):
    y = bunch[name]
    assert y.dtype == np.int64
    assert_array_equal(np.bincount(y), np.full(N_CLASSES, n_per_class))


def test_near_ood_label(bunch):
    names, counts = np.unique(bunch.near_ood_label, return_counts=True)
    assert dict(zip(names, counts, strict=True)) == {"cat": 250, "truck": 250}


def test_names(bunch):
    assert bunch.target_names.dtype.kind == "U"
    assert list(bunch.target_names) == [
        *("airplane", "automobile", "bird", "deer", "dog", "frog", "horse", "ship")
    ]
    assert bunch.feature_names == [f"unit_{j:02d}" for j in range(N_FEATURES)]


def test_last_layer(bunch):
    """The head fits features and labels, as it did on the full sets."""
    for array, shape in [
        (bunch.coef, (N_CLASSES, N_FEATURES)),
        (bunch.intercept, (8,)),
    ]:
        assert array.shape == shape
        assert array.dtype == np.float32
    assert head_accuracy(bunch, bunch.data, bunch.target) == pytest.approx(
        0.906, abs=0.02
    )
    assert head_accuracy(bunch, bunch.X_test, bunch.y_test) == pytest.approx(
        0.882, abs=0.03
    )


def test_near_ood_is_taken_for_its_relatives(bunch):
    """Cats are called dogs, and trucks automobiles, more often than anything else."""
    logits = bunch.ood["near (cat, truck)"] @ bunch.coef.T + bunch.intercept
    predicted = bunch.target_names[logits.argmax(axis=1)]
    for label, relative in [("cat", "dog"), ("truck", "automobile")]:
        of_label = predicted[bunch.near_ood_label == label]
        names, counts = np.unique(of_label, return_counts=True)
        assert names[counts.argmax()] == relative


def test_head(bunch):
    from sklearn_collapse.heads import LinearHead

    assert isinstance(bunch.head, LinearHead)
    logits = bunch.X_test @ bunch.coef.T + bunch.intercept
    assert_array_equal(bunch.head.predict(bunch.X_test), logits.argmax(axis=1))
    assert_array_equal(bunch.head.classes, np.arange(N_CLASSES))


def test_return_X_y(bunch):
    data, target = load_cifar8_features(return_X_y=True)
    assert_array_equal(data, bunch.data)
    assert_array_equal(target, bunch.target)
    assert data.dtype == np.float32
    assert target.dtype == np.int64


def test_argument_is_keyword_only():
    with pytest.raises(TypeError, match="positional"):
        load_cifar8_features(True)


def test_calls_share_nothing(bunch):
    """Writing into what one call returned changes nothing else."""
    spoiled = load_cifar8_features()
    for array in [spoiled.target, spoiled.y_test, spoiled.coef, spoiled.intercept]:
        array[...] = 7
    for X in feature_arrays(spoiled).values():
        X[...] = 7
    spoiled.target_names[...] = spoiled.near_ood_label[...] = "x"
    spoiled.feature_names.clear()

    assert_array_equal(spoiled.head.coef, bunch.coef)
    fresh = load_cifar8_features()
    for name in ["target", "y_test", "coef", "intercept", "target_names"]:
        assert_array_equal(fresh[name], bunch[name])
    assert_array_equal(fresh.near_ood_label, bunch.near_ood_label)
    assert fresh.feature_names == bunch.feature_names
    for name, X in feature_arrays(fresh).items():
        assert_array_equal(X, feature_arrays(bunch)[name])


def test_description_and_file(bunch):
    assert "CIFAR-10" in bunch.DESCR
    assert "Krizhevsky" in bunch.DESCR
    path = Path(bunch.filename)
    assert path.name == "cifar8_features.npz"
    assert path.stat().st_size <= 3e6
    with np.load(path, allow_pickle=False) as stored:
        for key in stored.files:
            assert f"`{key}`" in bunch.DESCR, key
            if key.startswith("X_"):
                assert stored[key].dtype == np.float16, key


@pytest.fixture(scope="module")
def full():
    """Return arrays as in a file of all features, but smaller.

    A row's two values are its number, in thousands and units.
    """

    def rows(n):
        return np.column_stack(np.divmod(np.arange(n), 1000)).astype(np.float32)

    def labels(n):
        return np.repeat(np.arange(N_CLASSES, dtype=np.uint8), n)

    return {
        **{"X_train": rows(1010 * N_CLASSES), "y_train": labels(1010)},
        **{"X_test": rows(260 * N_CLASSES), "y_test": labels(260)},
        "X_near_ood": rows(520),
        "near_ood_label": np.tile(["cat", "truck"], 260),
        **{f"X_far_{name}": rows(510) for name in ["texture", "digits", "noise"]},
        "coef": np.ones((N_CLASSES, 2), dtype=np.float32),
        "intercept": np.zeros(N_CLASSES, dtype=np.float32),
        "class_names": np.array(list("abcdefgh")),
    }


def row_numbers(X):
    assert X.dtype == np.float16
    return X.astype(np.int64) @ [1000, 1]


def test_script_draws_rows_in_order(full, bunch):
    make_subset = runpy.run_path(str(SCRIPT))["make_subset"]
    subset = make_subset(full)
    assert set(subset) == set(full)
    for features, labels in [
        ("X_train", "y_train"),
        ("X_test", "y_test"),
        ("X_near_ood", "near_ood_label"),
    ]:
        rows = row_numbers(subset[features])
        assert (np.diff(rows) > 0).all()
        assert_array_equal(subset[labels], full[labels][rows])
    assert_array_equal(subset["y_train"], bunch.target)
    assert_array_equal(subset["y_test"], bunch.y_test)
    assert sum(subset["near_ood_label"] == "cat") == 250
    for key in ["X_far_texture", "X_far_digits", "X_far_noise"]:
        assert subset[key].shape == (500, 2)
        assert (np.diff(row_numbers(subset[key])) > 0).all()


def test_script_is_reproducible(full, monkeypatch, tmp_path, capsys):
    main = runpy.run_path(str(SCRIPT))["main"]
    np.savez(tmp_path / "full.npz", **full)
    contents = []
    for name in ["first.npz", "second.npz"]:
        argv = ["make_cifar8_subset.py", str(tmp_path / "full.npz")]
        monkeypatch.setattr("sys.argv", [*argv, "--output", str(tmp_path / name)])
        main()
        with np.load(tmp_path / name, allow_pickle=False) as stored:
            contents.append({key: stored[key] for key in stored.files})
    for key, value in contents[0].items():
        assert_array_equal(value, contents[1][key])
    assert "MB" in capsys.readouterr().out
