"""Tests of the bundled trajectory and of the script that draws its rows."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_collapse.datasets import load_cifar8_features, load_cifar8_trajectory
from sklearn_collapse.heads import LinearHead

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "make_cifar8_subset.py"
EPOCHS = [1, 3, 6, 12, 24, 30, 38]
N_CLASSES, N_FEATURES, N_ROWS = 8, 96, 2000


@pytest.fixture(scope="module")
def bunch():
    return load_cifar8_trajectory()


def test_keys(bunch):
    assert set(bunch) == {
        *("epochs", "features", "heads", "target", "target_names", "feature_names"),
        *("test_accuracy", "DESCR", "filename"),
    }
    assert bunch.epochs == EPOCHS
    for name in ("features", "heads", "test_accuracy"):
        assert list(bunch[name]) == EPOCHS


def test_features(bunch):
    for epoch, X in bunch.features.items():
        assert X.shape == (N_ROWS, N_FEATURES), epoch
        assert X.dtype == np.float32, epoch
        assert np.isfinite(X).all(), epoch
        assert X.min() >= 0, epoch
        assert_array_equal(X, X.astype(np.float16).astype(np.float32))
        assert len(np.unique(X, axis=0)) == N_ROWS, epoch


def test_labels_and_names(bunch):
    assert bunch.target.dtype == np.int64
    assert_array_equal(np.bincount(bunch.target), np.full(N_CLASSES, 250))
    assert_array_equal(bunch.target_names, load_cifar8_features().target_names)
    assert bunch.feature_names == [f"unit_{j:02d}" for j in range(N_FEATURES)]


def test_heads_fit_the_features_of_their_epoch(bunch):
    for epoch in EPOCHS:
        X, head, test = (
            bunch.features[epoch],
            bunch.heads[epoch],
            bunch.test_accuracy[epoch],
        )
        assert isinstance(head, LinearHead)
        assert head.coef.shape == (N_CLASSES, N_FEATURES)
        own = np.mean(head.predict(X) == bunch.target)
        assert test < own < test + 0.12, epoch
    assert bunch.test_accuracy[38] == pytest.approx(0.886, abs=0.001)
    # The head of another epoch reads the features worse.
    wrong = np.mean(bunch.heads[1].predict(bunch.features[38]) == bunch.target)
    assert wrong < 0.9


def test_rows_are_the_same_images(bunch):
    """What the network says of an image changes little from epoch to epoch."""
    late = [bunch.heads[e].predict(bunch.features[e]) for e in (24, 38)]
    assert np.mean(late[0] == late[1]) > 0.9
    assert np.mean(late[0] == np.roll(late[1], 250)) < 0.2


def test_epoch_24_is_the_one_of_the_features(bunch):
    other = load_cifar8_features()
    assert_array_equal(bunch.heads[24].coef, other.coef)
    assert_array_equal(bunch.heads[24].intercept, other.intercept)


def test_calls_share_nothing(bunch):
    spoiled = load_cifar8_trajectory()
    spoiled.target[...] = 7
    for epoch in EPOCHS:
        spoiled.features[epoch][...] = 7
        spoiled.heads[epoch].coef[...] = 7
    fresh = load_cifar8_trajectory()
    assert_array_equal(fresh.target, bunch.target)
    assert_array_equal(fresh.features[38], bunch.features[38])
    assert_array_equal(fresh.heads[38].coef, bunch.heads[38].coef)


def test_description_and_file(bunch):
    assert "Krizhevsky" in bunch.DESCR
    path = Path(bunch.filename)
    assert path.name == "cifar8_trajectory.npz"
    assert path.name in bunch.DESCR
    assert path.stat().st_size <= 2.5e6
    with np.load(path, allow_pickle=False) as stored:
        for key in stored.files:
            name, epoch, _ = key.partition("epoch")
            assert f"`{name}{epoch and 'epochE'}`" in bunch.DESCR, key
            if key.startswith("X_"):
                assert stored[key].dtype == np.float16, key


@pytest.fixture(scope="module")
def full():
    """Return arrays as in a file of all features, whose values are row numbers."""
    y = np.repeat(np.arange(N_CLASSES, dtype=np.uint8), 260)
    rows = np.column_stack(np.divmod(np.arange(len(y)), 1000)).astype(np.float32)
    return {
        "y": y,
        **{f"X_epoch{e}": rows for e in (1, 3)},
        **{f"coef_epoch{e}": np.ones((N_CLASSES, 2), np.float32) for e in (1, 3)},
        **{f"test_accuracy_epoch{e}": np.float64(0.5) for e in (1, 3)},
    }


def test_script_draws_the_same_rows_at_every_epoch(full, monkeypatch, tmp_path, capsys):
    np.savez(tmp_path / "full.npz", **full)
    main = runpy.run_path(str(SCRIPT))["main"]
    contents = []
    for name in ("first.npz", "second.npz"):
        argv = ["make_cifar8_subset.py", "--trajectory", str(tmp_path / "full.npz")]
        monkeypatch.setattr("sys.argv", [*argv, "--output", str(tmp_path / name)])
        main()
        with np.load(tmp_path / name, allow_pickle=False) as stored:
            contents.append({key: stored[key] for key in stored.files})
    assert "MB" in capsys.readouterr().out
    first, second = contents
    assert set(first) == set(full)
    for key, value in first.items():
        assert_array_equal(value, second[key])
    numbers = first["X_epoch1"].astype(np.int64) @ [1000, 1]
    assert_array_equal(first["X_epoch3"], first["X_epoch1"])
    assert first["X_epoch1"].dtype == np.float16
    assert (np.diff(numbers) > 0).all()
    assert_array_equal(first["y"], full["y"][numbers])
    assert_array_equal(np.bincount(first["y"]), np.full(N_CLASSES, 250))
