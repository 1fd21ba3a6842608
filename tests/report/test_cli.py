"""Tests of the command line: its numbers, its files, its one-line errors."""

import json
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import oracles
import pytest

import sklearn_collapse
from sklearn_collapse.metrics import METRICS
from sklearn_collapse.report.cli import main

NAMES = [
    name
    for name, m in METRICS.items()
    if m.family == "collapse" and "unit_moments" not in m.needs
]

HEAD_METRICS = ("nc3_self_duality", "nc3_uniform_duality", "nc3_product")
DETECTORS = {
    "Mahalanobis": {},
    "Mahalanobis++": {"normalize": True},
    "relative": {"relative": True},
    "relative++": {"relative": True, "normalize": True},
}
WITH_HEAD = ["NECO with head", "energy", "max logit", "MSP", "ViM", "fDBD", "NCI"]
ALL_DETECTORS = [*DETECTORS, "Residual", "kNN", "NECO", *WITH_HEAD]


def make_arrays(n=90, d=5, n_classes=3, seed=0):
    """Features of unequal classes, test rows and a head."""
    rng = np.random.default_rng(seed)
    means = 2 * rng.normal(size=(n_classes, d)) + 1
    y = np.r_[np.arange(n_classes), np.minimum(rng.integers(5, size=n), n_classes - 1)]
    y_test = np.arange(30) % n_classes
    return {
        "X": means[y] + rng.normal(size=(len(y), d)),
        "y": y,
        "X_test": means[y_test] + rng.normal(size=(30, d)),
        "y_test": y_test,
        "W": means - means.mean(axis=0) + 0.3 * rng.normal(size=(n_classes, d)),
        "b": rng.normal(size=n_classes),
    }


@pytest.fixture
def arrays():
    return make_arrays()


@pytest.fixture
def far():
    return 2 * np.random.default_rng(1).normal(size=(25, 5)) - 2


@pytest.fixture
def run(capsys):
    """Run the command line in this process: exit code, stdout, stderr.

    Without intervals, which test_intervals.py is about.
    """

    def call(*arguments):
        code = main(["report", *map(str, arguments), "--resamples", "0"])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def numbers(run):
    """Run and read the numbers from standard output."""

    def call(*arguments):
        code, out, err = run(*arguments, "--json", "-")
        assert (code, err) == (0, "")
        (layer,) = json.loads(out)["layers"]
        return layer

    return call


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def without(arrays, *keys):
    return {key: value for key, value in arrays.items() if key not in keys}


# -- the bundled features --------------------------------------------------------


@pytest.fixture(scope="module")
def bundled():
    """What the command says without any argument, from its own process."""
    command = [sys.executable, "-m", "sklearn_collapse.report.cli", "report"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def test_bundled_report(bundled):
    for name in NAMES:
        assert f"\n{name} " in bundled
    assert "ETF error" in bundled
    for name in ("near (cat, truck)", "far: texture", "far: digits", "far: noise"):
        assert f"\n{name} " in bundled
    for column in ("AUROC", "FPR95 id", "FPR95 ood", *ALL_DETECTORS):
        assert column in bundled
    assert "8000 training, 2000 test" in bundled
    assert "test rows come with the features" in bundled
    assert "nan" not in bundled
    assert "Note" not in bundled


def test_bundled_numbers(numbers):
    """Against the published head accuracy and the formula of the ETF error."""
    report = numbers()
    bunch = sklearn_collapse.datasets.load_cifar8_features()
    logits = bunch.X_test.astype(float) @ bunch.coef.T + bunch.intercept
    accuracy = np.mean(logits.argmax(axis=1) == bunch.y_test)
    assert report["data"]["head_accuracy_test"] == pytest.approx(accuracy, abs=1e-3)
    assert report["data"]["n_features"] == 96
    assert report["data"]["constant_features"] == 0
    assert report["data"]["rows_per_class"] == [1000, 1000]
    error = oracles.nc2_etf_error(bunch.data, bunch.target)
    assert report["collapse"]["train"]["nc2_etf_error"] == pytest.approx(error)
    assert report["collapse"]["nc2_etf_error_balanced"] == pytest.approx(error)
    assert len(report["ood"]) == 4 * len(ALL_DETECTORS)


def test_no_command():
    with pytest.raises(SystemExit, match="2"):
        main([])


@pytest.mark.parametrize(
    ("argument", "text"),
    [("--version", sklearn_collapse.__version__), ("--help", "report")],
)
def test_help_and_version(argument, text, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([argument])
    assert text in capsys.readouterr().out


# -- numbers of files ------------------------------------------------------------


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_training_metrics(numbers, arrays, tmp_path, class_weight):
    """Each equals its slow formula, and none is missing."""
    X, y, W, b = (arrays[key] for key in ("X", "y", "W", "b"))
    options = [] if class_weight is None else ["--class-weight", class_weight]
    report = numbers(save(tmp_path / "all.npz", **arrays), *options)["collapse"]
    assert report["class_weight"] == class_weight
    assert list(report["train"]) == NAMES
    for name, value in report["train"].items():
        extra = (W,) if name in HEAD_METRICS else ()
        extra = (W, b) if name == "nc4_agreement" else extra
        expected = getattr(oracles, name)(X, y, *extra, class_weight)
        assert value == pytest.approx(expected, rel=1e-6), name
    error = oracles.nc2_etf_error(X, y, "balanced")
    assert report["nc2_etf_error_balanced"] == pytest.approx(error)


def test_held_out_metrics(numbers, arrays, tmp_path):
    """Measured about the fitted means, test classes weighing as in training."""
    report = numbers(save(tmp_path / "all.npz", **arrays))["collapse"]
    X, y, X_test, y_test = (arrays[key] for key in ("X", "y", "X_test", "y_test"))
    assert set(report["held_out"]) == {
        *("nc1_pinv", "nc1_trace_ratio", "fisher_ratio", "cdnv", "vci", "lidar"),
        *("nc4_agreement", "ncm_accuracy"),
    }
    shares, _, _, between = oracles.covariances(X, y)
    means = oracles.class_moments(X, y)["means"]
    hits = oracles.nearest_mean(X_test, means) == y_test
    logits = X_test @ arrays["W"].T + arrays["b"]
    agree = oracles.nearest_mean(X_test, means) == logits.argmax(axis=1)
    squares = ((X_test - means[y_test]) ** 2).sum(axis=1)

    def over_classes(values):
        return sum(shares[c] * values[y_test == c].mean() for c in range(3))

    held_out = report["held_out"]
    ratio = over_classes(squares) / np.trace(between)
    assert held_out["nc1_trace_ratio"] == pytest.approx(ratio)
    assert held_out["ncm_accuracy"] == pytest.approx(over_classes(hits))
    assert held_out["nc4_agreement"] == pytest.approx(over_classes(agree))


def test_out_of_distribution_numbers(numbers, arrays, far, tmp_path):
    """In-distribution scores are those of the test rows."""
    np.save(tmp_path / "far.npy", far)
    save(tmp_path / "wide.npz", X=3 * far)
    features = save(tmp_path / "all.npz", **arrays)
    report = numbers(
        features,
        *("--ood", f"far={tmp_path / 'far.npy'}"),
        *("--ood", f"wide={tmp_path / 'wide.npz'}"),
    )
    assert report["data"]["ood_rows"] == {"far": 25, "wide": 25}
    assert [(row["detector"], row["set"]) for row in report["ood"]] == [
        (detector, name) for detector in ALL_DETECTORS for name in ("far", "wide")
    ]
    for row in report["ood"][: 2 * len(DETECTORS)]:  # the others: test_sections
        rows = {"far": far, "wide": 3 * far}[row["set"]]
        options = DETECTORS[row["detector"]]
        a, b = (
            oracles.mahalanobis(arrays["X"], arrays["y"], v, **options)
            for v in (arrays["X_test"], rows)
        )
        expected = {
            "auroc": oracles.auroc(a, b),
            "aupr_in": oracles.average_precision(a, b),
            "aupr_out": oracles.average_precision(-b, -a),
            "fpr95_id": oracles.fpr_at_tpr(a, b),
            "fpr95_ood": oracles.fpr_at_tpr(-b, -a),
        }
        assert {key: row[key] for key in expected} == pytest.approx(expected)


def test_text_shows_the_numbers(run, numbers, arrays, far, tmp_path):
    np.save(tmp_path / "far.npy", far)
    arguments = [
        save(tmp_path / "all.npz", **arrays),
        *("--ood", f"far={tmp_path / 'far.npy'}"),
    ]
    report = numbers(*arguments)
    code, text, _ = run(*arguments)
    assert code == 0
    lines = [line.split() for line in text.splitlines()]
    for part in ("train", "held_out"):
        for name, value in report["collapse"][part].items():
            (line,) = (line for line in lines if line[:1] == [name])
            shown = line[2] if part == "train" else line[3]
            assert float(shown) == pytest.approx(value, rel=2e-3, abs=5e-5)
    for row in report["ood"]:
        (line,) = (
            line.split()
            for line in text.splitlines()
            if f" {row['detector']}  " in line
        )
        shown = [f"{100 * row[key]:.1f}" for key in ("auroc", "fpr95_id", "fpr95_ood")]
        assert line[-3:] == shown
    accuracy = report["data"]["head_accuracy_test"]
    assert f"test accuracy {accuracy:.3f}" in text


def test_data_summary(numbers, arrays, tmp_path):
    arrays["X"] = arrays["X"].astype(np.float32)
    arrays["X"][:, 2] = arrays["X_test"][:, 2] = 7
    path = save(tmp_path / "all.npz", **arrays)
    data = numbers(path)["data"]
    counts = np.bincount(arrays["y"])
    logits = arrays["X_test"] @ arrays["W"].T + arrays["b"]
    accuracy = np.mean(logits.argmax(axis=1) == arrays["y_test"])
    assert data == {
        "name": str(path),
        "n_train": 93,
        "n_test": 30,
        "n_features": 5,
        "dtype": "float32",
        "n_classes": 3,
        "rows_per_class": [counts.min(), counts.max()],
        "constant_features": 1,
        "within_rank": 4,
        "split": "test rows come with the features",
        "ood_rows": {},
        "head_accuracy_test": pytest.approx(accuracy),
    }


def test_without_head_and_sets(run, numbers, arrays, tmp_path):
    path = save(tmp_path / "plain.npz", **without(arrays, "W", "b"))
    report = numbers(path)
    assert set(report["collapse"]["train"]) == set(NAMES) - {
        *HEAD_METRICS,
        "nc4_agreement",
    }
    assert report["ood"] == []
    assert report["data"]["head_accuracy_test"] is None
    _, text, _ = run(path)
    assert "no sets given (--ood NAME=FILE)" in text
    assert "head       none" in text


# -- test rows -------------------------------------------------------------------


def test_split(run, numbers, arrays, tmp_path):
    """Without X_test a stated, seeded, stratified split; the same every time."""
    plain = save(tmp_path / "plain.npz", **without(arrays, "X_test", "y_test"))
    report = numbers(plain)
    assert report["data"]["n_train"] + report["data"]["n_test"] == len(arrays["X"])
    assert report["data"]["n_test"] == pytest.approx(0.2 * len(arrays["X"]), abs=1)
    assert "20%" in report["data"]["split"]
    assert "seed 0" in report["data"]["split"]
    assert run(plain) == run(plain)
    assert (
        f"{report['data']['n_test']} test; {report['data']['split']}" in run(plain)[1]
    )
    assert numbers(plain, "--seed", 0) == report

    other = numbers(plain, "--seed", 3)
    assert "seed 3" in other["data"]["split"]
    assert other["collapse"]["train"] != report["collapse"]["train"]
    half = numbers(plain, "--test-size", 0.5)
    assert half["data"]["n_test"] == pytest.approx(0.5 * len(arrays["X"]), abs=1)
    assert "50%" in half["data"]["split"]
    # Test rows of the file are used as they are.
    given = save(tmp_path / "given.npz", **arrays)
    assert numbers(given, "--seed", 3) == numbers(given)


def test_split_is_stratified_and_disjoint(run, arrays, tmp_path, monkeypatch):
    """No row is fitted on and tested; classes keep their shares."""
    from sklearn_collapse.report import _compute

    seen = []
    compute = _compute.compute

    def spy(features, **options):
        seen.append(features)
        return compute(features, **options)

    monkeypatch.setattr(_compute, "compute", spy)
    arrays["X"][:, 0] = np.arange(len(arrays["X"]))  # the row's number
    path = save(tmp_path / "plain.npz", X=arrays["X"], y=arrays["y"])
    assert run(path)[0] == 0
    (features,) = seen
    rows = np.concatenate([features.X[:, 0], features.X_test[:, 0]]).astype(int)
    assert sorted(rows) == list(range(len(arrays["X"])))
    y = np.concatenate([features.y, features.y_test])
    assert (y == arrays["y"][rows]).all()
    shares = np.bincount(arrays["y"]) / len(arrays["y"])
    for part in (features.y, features.y_test):
        assert np.bincount(part) / len(part) == pytest.approx(shares, abs=0.04)


def test_class_with_one_row_stays_in_training(numbers, arrays, tmp_path):
    X, y = arrays["X"], arrays["y"].copy()
    y[5] = 9
    data = numbers(save(tmp_path / "one.npz", X=X, y=y))["data"]
    assert data["n_classes"] == 4
    assert data["rows_per_class"][0] == 1


# -- kinds of files --------------------------------------------------------------


def test_pairs_of_npy_files(numbers, arrays, tmp_path):
    plain = without(arrays, "X_test", "y_test", "W", "b")
    for key, value in plain.items():
        np.save(tmp_path / f"{key}.npy", value)
    pair = numbers(tmp_path / "X.npy", tmp_path / "y.npy")
    whole = numbers(save(tmp_path / "plain.npz", **plain))
    for report in (pair, whole):
        del report["data"]["name"], report["name"]
    assert pair == whole


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["cat", "dog", "ox"]),
        np.array([b"cat", b"dog", b"ox"]),
        np.array([1.0, 2.0, 5.0]),
        np.array([-3, 100, 2**40]),
        np.array(["Käfer", "été", "ñu"]),
    ],
    ids=str,
)
def test_labels_of_any_kind(numbers, arrays, tmp_path, labels):
    """The same numbers; rows of W are the sorted labels."""
    expected = numbers(save(tmp_path / "codes.npz", **arrays))
    order = np.argsort(labels)
    arrays.update(y=labels[order][arrays["y"]], y_test=labels[order][arrays["y_test"]])
    report = numbers(save(tmp_path / "labels.npz", **arrays))
    for part in ("train", "held_out"):
        assert report["collapse"][part] == pytest.approx(expected["collapse"][part])


def test_two_classes_and_a_single_row_of_weights(numbers, tmp_path):
    arrays = make_arrays(n_classes=2)
    w, b = arrays["W"][1] - arrays["W"][0], arrays["b"][1:] - arrays["b"][:1]
    arrays.update(y=arrays["y"] == 1, y_test=arrays["y_test"] == 1)
    two = numbers(save(tmp_path / "two.npz", **arrays))
    one = numbers(save(tmp_path / "one.npz", **{**arrays, "W": w[None], "b": b}))
    for report in (one, two):
        logit = arrays["X_test"] @ w + b
        accuracy = np.mean((logit > 0) == arrays["y_test"])
        assert report["data"]["head_accuracy_test"] == pytest.approx(accuracy)


def test_classes_of_the_head(numbers, arrays, tmp_path):
    """Rows of W in another order than the labels."""
    expected = numbers(save(tmp_path / "sorted.npz", **arrays))
    order = [2, 0, 1]
    arrays.update(W=arrays["W"][order], b=arrays["b"][order], classes=np.array(order))
    report = numbers(save(tmp_path / "moved.npz", **arrays))
    assert report["collapse"]["train"] == pytest.approx(expected["collapse"]["train"])
    accuracy = expected["data"]["head_accuracy_test"]
    assert report["data"]["head_accuracy_test"] == accuracy


def test_head_with_more_classes_than_the_data(numbers, arrays, tmp_path):
    """Labels 0, 1, … are positions in W; a class without rows has one all the same."""
    expected = numbers(save(tmp_path / "three.npz", **arrays))["collapse"]["train"]
    arrays["W"] = np.insert(arrays["W"], 1, 0.0, axis=0)
    arrays["b"] = np.insert(arrays["b"], 1, -1e3)
    for key in ("y", "y_test"):
        arrays[key] = np.array([0, 2, 3])[arrays[key]]
    report = numbers(save(tmp_path / "four.npz", **arrays))["collapse"]["train"]
    assert report == pytest.approx(expected)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int64", "uint8"])
def test_features_of_any_dtype(numbers, arrays, far, tmp_path, dtype):
    for key in ("X", "X_test"):
        arrays[key] = np.clip(np.round(20 * arrays[key] + 100), 0, 255).astype(dtype)
    far = np.clip(np.round(20 * far + 100), 0, 255).astype(dtype)
    np.save(tmp_path / "far.npy", far)
    report = numbers(
        save(tmp_path / "all.npz", **arrays), "--ood", f"far={tmp_path / 'far.npy'}"
    )
    X, X_test, far = (v.astype(float) for v in (arrays["X"], arrays["X_test"], far))
    value = report["collapse"]["train"]["nc1_pinv"]
    assert value == pytest.approx(oracles.nc1_pinv(X, arrays["y"]), rel=1e-5)
    a, b = (oracles.mahalanobis(X, arrays["y"], v) for v in (X_test, far))
    assert report["ood"][0]["auroc"] == pytest.approx(oracles.auroc(a, b), abs=1e-6)


def test_rounding_of_half_precision_is_known(numbers, arrays, tmp_path):
    """A column that only rounding tells from another adds no rank."""
    for key in ("X", "X_test"):
        half = arrays[key].astype(np.float16)
        half[:, 3] = half[:, 0] / 3
        arrays[key] = half
    data = numbers(save(tmp_path / "half.npz", **arrays))["data"]
    assert data["dtype"] == "float16"
    assert data["within_rank"] == 4


def test_compressed_file(numbers, arrays, tmp_path):
    np.savez_compressed(tmp_path / "small.npz", **arrays)
    report = numbers(tmp_path / "small.npz")
    plain = numbers(save(tmp_path / "plain.npz", **arrays))
    assert report["collapse"] == plain["collapse"]


# -- output ----------------------------------------------------------------------


def test_json_file(run, numbers, arrays, tmp_path):
    """The text is still printed; the file holds what ``-`` prints."""
    path = save(tmp_path / "all.npz", **arrays)
    _, expected, _ = run(path)
    code, out, err = run(path, "--json", tmp_path / "report.json")
    assert (code, out, err) == (0, expected, "")
    document = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert document["layers"] == [numbers(path)]
    sections = {"data", "collapse", "classes", "whitening", "alignment", "ood"}
    assert set(document["layers"][0]) == sections | {"name", "intervals", "notes"}
    assert set(document) == {"format", "version", "made_with", "layers"}
    assert (document["format"], document["version"]) == ("sklearn_collapse.report", 1)
    assert document["made_with"]["NumPy"] == np.__version__


def test_json_is_strict(run, tmp_path):
    """nan and inf are strings: JSON has no numbers for them."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(90, 2)), np.arange(90) % 6
    code, out, err = run(save(tmp_path / "many.npz", X=X, y=y), "--json", "-")
    assert (code, err) == (0, "")

    def refuse(constant):
        raise AssertionError(constant)

    (report,) = json.loads(out, parse_constant=refuse)["layers"]
    assert report["collapse"]["train"]["nc2_etf_error"] == "nan"
    assert any("nc2_etf_error" in note for note in report["notes"])
    _, text, _ = run(tmp_path / "many.npz")
    assert "nc2_etf_error and nc3_product are nan" in text


def test_progress_only_for_somebody_who_watches(
    run, arrays, far, tmp_path, monkeypatch
):
    np.save(tmp_path / "far.npy", far)
    path = save(tmp_path / "all.npz", **arrays)
    arguments = [path, "--ood", f"far={tmp_path / 'far.npy'}"]
    _, quiet, err = run(*arguments)
    assert err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    code, out, err = run(*arguments)
    assert (code, out) == (0, quiet)
    assert len(err.splitlines()) > len(ALL_DETECTORS)
    for name in ALL_DETECTORS:
        assert f"detector {name}\n" in err


def test_reader_that_goes_away(arrays, tmp_path):
    """As in ``sklearn-collapse report FILE | head -1``: no traceback."""
    path = save(tmp_path / "all.npz", **arrays)
    command = [sys.executable, "-m", "sklearn_collapse.report.cli", "report"]
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        result = subprocess.run(
            [*command, str(path), "--resamples", "0"],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert result.stderr == ""


# -- errors ----------------------------------------------------------------------


@pytest.fixture
def fails(run, tmp_path, monkeypatch):
    """Run in the folder of the files; return the one line of the error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code, out, err = run(*arguments)
        assert code == 2
        assert out == ""
        assert err.endswith("\n")
        assert len(err.splitlines()) == 1, err
        assert err.startswith("sklearn-collapse: error: ")
        return err.removeprefix("sklearn-collapse: error: ").rstrip("\n")

    return call


def test_missing_file(fails):
    assert fails("nowhere.npz") == "nowhere.npz: no such file."
    assert fails("nowhere.npy", "y.npy") == "nowhere.npy: no such file."


def with_nan(X, value=np.nan):
    X = X.copy()
    X[7, 2] = value
    return X


BROKEN = {
    "wrong keys": (
        lambda a: {"features": a["X"], "labels": a["y"]},
        "missing X and y (found features, labels;",
    ),
    "no labels": (lambda a: without(a, "y"), "missing y (found "),
    "nothing": (lambda a: {}, "missing X and y (found nothing;"),
    "X of one dimension": (lambda a: {**a, "X": a["X"][:, 0]}, "X must be numbers"),
    "X of three dimensions": (lambda a: {**a, "X": a["X"][None]}, "X must be numbers"),
    "X of text": (lambda a: {**a, "X": a["X"].astype(str)}, "X must be numbers"),
    "X complex": (lambda a: {**a, "X": a["X"] + 0j}, "X must be numbers"),
    "X empty": (lambda a: {**a, "X": a["X"][:0], "y": a["y"][:0]}, "shape (0, 5)"),
    "X without columns": (lambda a: {**a, "X": a["X"][:, :0]}, "shape (93, 0)"),
    "nan": (
        lambda a: {**a, "X": with_nan(a["X"])},
        "X contains NaN or infinity, first",
    ),
    "infinity": (
        lambda a: {**a, "X": with_nan(a["X"], np.inf)},
        "X contains NaN or infinity, first in row 7",
    ),
    "huge": (lambda a: {**a, "X": 1e200 * a["X"]}, "squares overflow"),
    "y too short": (lambda a: {**a, "y": a["y"][:-1]}, "y must have shape (93,)"),
    "y of two dimensions": (lambda a: {**a, "y": a["y"][:, None]}, "got (93, 1)"),
    "y missing values": (
        lambda a: {**a, "y": np.where(np.arange(93) == 50, np.nan, a["y"])},
        "y contains NaN",
    ),
    "y missing values, no test rows": (
        lambda a: {"X": a["X"], "y": np.where(a["y"] == 1, np.nan, a["y"])},
        "y contains NaN",
    ),
    "y_test missing values": (
        lambda a: {**a, "y_test": np.where(a["y_test"] == 1, np.nan, a["y_test"])},
        "y_test",
    ),
    "y complex": (lambda a: {**a, "y": a["y"] + 0j}, "Complex"),
    "one class": (
        lambda a: {**a, "y": 0 * a["y"], "y_test": 0 * a["y_test"]},
        "1 class",
    ),
    "y continuous": (
        lambda a: without({**a, "y": a["X"][:, 0]}, "X_test", "y_test", "W", "b"),
        "continuous",
    ),
    "too few rows": (
        lambda a: {"X": a["X"][:3], "y": a["y"][:3]},
        "Save X_test and y_test in the file",
    ),
    "two rows per class": (
        lambda a: {"X": a["X"][:6], "y": np.arange(6) % 3},
        "Save X_test and y_test in the file",
    ),
    "X_test alone": (lambda a: without(a, "y_test"), "X_test and y_test only come"),
    "y_test alone": (lambda a: without(a, "X_test"), "X_test and y_test only come"),
    "X_test of other width": (
        lambda a: {**a, "X_test": a["X_test"][:, :3]},
        "X_test has 3 features, but X has 5",
    ),
    "X_test nan": (
        lambda a: {**a, "X_test": with_nan(a["X_test"])},
        "X_test contains NaN or infinity, first in row 7",
    ),
    "X_test empty": (
        lambda a: {**a, "X_test": a["X_test"][:0], "y_test": a["y_test"][:0]},
        "X_test must be numbers",
    ),
    "y_test too long": (
        lambda a: {**a, "y_test": np.r_[a["y_test"], 0]},
        "y_test must have shape (30,)",
    ),
    "labels only in y_test": (
        lambda a: {**a, "y_test": np.where(a["y_test"] == 1, 7, a["y_test"])},
        "y_test has labels that y lacks: [7]",
    ),
    "y_test of another kind": (
        lambda a: {**a, "y_test": a["y_test"].astype(str)},
        "y_test has labels that y lacks: ['0', '1', '2']",
    ),
    "W of other width": (lambda a: {**a, "W": a["W"][:, :4]}, "shape (3, 4)"),
    "W of one dimension": (lambda a: {**a, "W": a["W"][0]}, "got (5,)"),
    "W of no dimension": (lambda a: {**a, "W": np.array(1.0)}, "got ()"),
    "W with a row too few": (
        lambda a: {**a, "W": a["W"][:2], "b": a["b"][:2]},
        "W and b",
    ),
    "W nan": (lambda a: {**a, "W": with_nan(np.tile(a["W"], (3, 1)))[-3:]}, "NaN"),
    "W of text": (
        lambda a: {**a, "W": np.full((3, 5), "w")},
        "W and b do not fit",
    ),
    "b of other length": (lambda a: {**a, "b": a["b"][:2]}, "shape (3,)"),
    "b without W": (lambda a: without(a, "W"), "b "),
    "classes of other length": (lambda a: {**a, "classes": np.arange(4)}, "W and b"),
    "classes that lack one": (
        lambda a: {**a, "classes": np.array([0, 1, 5])},
        "labels that were not seen by the head: [2]",
    ),
    "object labels": (
        lambda a: {**a, "y": np.array([*a["y"][:-1], "x"], dtype=object)},
        "pickled objects, which are never loaded",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_archives(fails, arrays, case):
    change, message = BROKEN[case]
    np.savez("broken.npz", **change(arrays))
    error = fails("broken.npz")
    assert error.startswith("broken.npz: ")
    assert message in error


class Trap:
    """Unpickling it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("name", ["trap.npz", "trap.npy"])
def test_pickles_are_never_loaded(fails, arrays, tmp_path, name):
    mark = tmp_path / "unpickled"
    (tmp_path / name).write_bytes(pickle.dumps(Trap(mark)))
    np.save("y.npy", arrays["y"])
    save("good.npz", **arrays)
    labels = ["y.npy"] if name.endswith("npy") else []
    for arguments in ([name, *labels], ["good.npz", "--ood", f"far={name}"]):
        error = fails(*arguments)
        assert error.startswith(f"{name}: ")
        assert "pickled objects" in error
    np.savez("object.npz", X=np.array([Trap(mark)], dtype=object), y=arrays["y"])
    assert fails("object.npz").startswith("object.npz: ")
    assert not mark.exists()


def truncated(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def damaged(path):
    content = bytearray(path.read_bytes())
    for k in range(60, 160):
        content[k] ^= 0x5A
    path.write_bytes(content)


def promises_too_much(path):
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**8, 10**6)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)


def promises_far_too_much(path):
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**30, 5)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)


def other_archive(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", "no array")
        archive.writestr("y.npy", "no array either")


NOT_FEATURES = {
    "text": (lambda path: path.write_text("no\narrays\n"), ".npz"),
    "empty": (lambda path: path.write_bytes(b""), ".npz"),
    "folder": (lambda path: path.mkdir(), ".npz"),
    "other archive": (other_archive, ".npz"),
    "truncated array": (truncated, ".npy"),
    "huge header": (promises_too_much, ".npy"),
    "impossible header": (promises_far_too_much, ".npy"),
    "text array": (lambda path: path.write_text("1 2 3"), ".npy"),
}


@pytest.mark.parametrize("case", NOT_FEATURES)
def test_files_that_are_no_features(fails, arrays, tmp_path, case):
    spoil, suffix = NOT_FEATURES[case]
    path = tmp_path / f"file{suffix}"
    if spoil is truncated:
        np.save(path, arrays["X"])
    spoil(path)
    np.save("y.npy", arrays["y"])
    save("good.npz", **arrays)
    labels = ["y.npy"] if suffix == ".npy" else []
    for arguments in ([path.name, *labels], ["good.npz", "--ood", f"a={path.name}"]):
        assert fails(*arguments).startswith(f"{path.name}: ")


@pytest.mark.parametrize("spoil", [truncated, damaged])
def test_archives_that_were_damaged(fails, arrays, tmp_path, spoil):
    np.savez_compressed("bad.npz", **arrays)
    spoil(tmp_path / "bad.npz")
    assert fails("bad.npz").startswith("bad.npz: ")


@pytest.mark.parametrize("name", ["text.npz", "text.npy"])
def test_text_is_not_called_a_pickle(fails, arrays, tmp_path, name):
    """Nor is anything else that merely is no array file."""
    (tmp_path / name).write_text("row,unit_0\n0,1.5\n")
    np.save("y.npy", arrays["y"])
    error = fails(name, *(["y.npy"] if name.endswith("npy") else []))
    assert "it holds pickled objects" not in error


def test_pairs_that_do_not_fit(fails, arrays):
    np.save("X.npy", arrays["X"])
    np.save("y.npy", arrays["y"])
    np.save("short.npy", arrays["y"][:-1])
    save("two.npz", a=arrays["y"], b=arrays["y"])
    error = fails("X.npy")
    assert error.startswith("X.npy: missing X and y")
    assert "labels as a second .npy file" in error
    assert fails("X.npy", "X.npy").startswith("X.npy: y must have shape")
    assert fails("y.npy", "X.npy").startswith("y.npy: X must be numbers")
    assert fails("X.npy", "short.npy").startswith("short.npy: y must have shape (93,)")
    assert fails("X.npy", "nowhere.npy").startswith("nowhere.npy: no such file")
    assert fails("X.npy", "two.npz") == "two.npz: holds ['a', 'b'], expected one array."


@pytest.mark.parametrize("value", ["far.npy", "=far.npy", "far=", "="])
def test_ood_without_name_or_file(fails, arrays, far, value):
    save("good.npz", **arrays)
    np.save("far.npy", far)
    assert fails("good.npz", "--ood", value) == f"--ood {value}: expected NAME=FILE."


def test_ood_sets_that_do_not_fit(fails, arrays, far):
    save("good.npz", **arrays)
    np.save("narrow.npy", far[:, :3])
    np.save("flat.npy", far[:, 0])
    np.save("nan.npy", with_nan(far))
    np.save("empty.npy", far[:0])
    save("keys.npz", a=far, b=far)
    for name, message in {
        "nowhere.npy": "no such file.",
        "narrow.npy": "X has 3 features, but X has 5.",
        "flat.npy": "X must be numbers of shape",
        "nan.npy": "X contains NaN or infinity, first in row 7.",
        "empty.npy": "X must be numbers of shape",
        "keys.npz": "holds ['a', 'b'], expected one array.",
    }.items():
        error = fails("good.npz", "--ood", f"far={name}")
        assert error.startswith(f"{name}: ")
        assert message in error


def test_ood_set_that_overflows_is_named(fails, arrays, far):
    """Not the file of the features, which is as it should be."""
    save("good.npz", **arrays)
    np.save("far.npy", far)
    np.save("huge.npy", 1e200 * far)
    error = fails("good.npz", "--ood", "far=far.npy", "--ood", "huge=huge.npy")
    assert error.startswith("huge.npy: ")


def test_ood_name_given_twice(fails, arrays, far):
    """One of the sets would be lost without a word."""
    save("good.npz", **arrays)
    np.save("far.npy", far)
    np.save("farther.npy", 2 * far)
    error = fails("good.npz", "--ood", "far=far.npy", "--ood", "far=farther.npy")
    assert "--ood far" in error


def test_ood_without_features(fails, far):
    np.save("far.npy", far)
    assert fails("--ood", "far=far.npy").startswith("--ood needs FILE")


@pytest.mark.parametrize("target", [".", "nowhere/report.json"])
def test_json_that_cannot_be_written(fails, arrays, target):
    save("good.npz", **arrays)
    error = fails("good.npz", "--json", target)
    assert error.startswith(f"{target}: cannot be written: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--test-size", "1.5"],
        ["--test-size", "0"],
        ["--test-size", "some"],
        ["--seed", "x"],
        ["--class-weight", "heavy"],
        ["--nonsense"],
    ],
)
def test_bad_options(arguments, capsys):
    """The parser's own errors: usage, then one line, exit code 2."""
    with pytest.raises(SystemExit, match="2"):
        main(["report", *arguments])
    out, err = capsys.readouterr()
    assert out == ""
    assert arguments[0] in err.splitlines()[-1]
    assert "_share" not in err  # a name of ours


def test_test_size_that_leaves_no_rows(fails, arrays):
    save("plain.npz", X=arrays["X"], y=arrays["y"])
    for share in ("0.001", "0.999"):
        error = fails("plain.npz", "--test-size", share)
        assert error.startswith("plain.npz: ")
        assert "cannot be split" in error
