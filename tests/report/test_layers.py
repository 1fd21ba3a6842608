"""Several layers in one report: files and names, the document, the comparison."""

import dataclasses
import json

import numpy as np
import oracles
import pytest
from test_cli import make_arrays, save, without

from sklearn_collapse.report._compute import compute
from sklearn_collapse.report._document import as_document, comparison
from sklearn_collapse.report._load import bundled
from sklearn_collapse.report._text import as_text
from sklearn_collapse.report.cli import main


@pytest.fixture
def run(capsys):
    def call(*arguments):
        # Intervals have tests of their own.
        code = main(["report", *map(str, arguments), "--resamples", "0"])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def document(run):
    def call(*arguments):
        code, out, err = run(*arguments, "--json", "-")
        assert (code, err) == (0, "")
        return json.loads(out)

    return call


@pytest.fixture
def fails(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code, out, err = run(*arguments)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        return err.removeprefix("sklearn-collapse: error: ").rstrip("\n")

    return call


@pytest.fixture
def layers(tmp_path, monkeypatch):
    """Files of three layers: of other widths, one with sets, one without a head."""
    monkeypatch.chdir(tmp_path)
    first, second = make_arrays(), make_arrays(d=7, seed=4)
    third = without(make_arrays(d=4, seed=5), "W", "b")
    second["ood_far"] = 9.0 + np.zeros((12, 7)) + np.eye(12, 7)
    second["ood_near"] = second["X_test"] + 0.5
    for name, arrays in zip("abc", (first, second, third), strict=True):
        save(f"{name}.npz", **arrays)
    return ["a.npz", "b.npz", "c.npz"]


def without_names(layer):
    data = {k: v for k, v in layer["data"].items() if k != "name"}
    return {**layer, "name": None, "data": data}


# -- the document --------------------------------------------------------------------


def test_each_layer_is_what_it_is_alone(document, layers):
    """In the order given; widths, heads and sets are those of each file."""
    both = document("b.npz", "late=c.npz", "a.npz")
    assert [layer["name"] for layer in both["layers"]] == ["b", "late", "a"]
    assert [layer["data"]["name"] for layer in both["layers"]] == [
        *("b.npz", "c.npz", "a.npz")
    ]
    assert [layer["data"]["n_features"] for layer in both["layers"]] == [7, 4, 5]
    for layer in both["layers"]:
        (alone,) = document(layer["data"]["name"])["layers"]
        assert without_names(layer) == without_names(alone)
    assert both["layers"][0]["data"]["ood_rows"] == {"far": 12, "near": 30}
    assert both["layers"][1]["ood"] == []


def test_sets_in_the_file_and_beside_it(document, layers, fails):
    far = np.load("b.npz")["ood_far"]
    np.save("far.npy", far)
    (layer,) = document("b.npz", "--ood", "other=far.npy")["layers"]
    assert list(layer["data"]["ood_rows"]) == ["far", "near", "other"]
    rows = {(row["set"], row["detector"]): row for row in layer["ood"]}
    inside, outside = rows["far", "Mahalanobis"], rows["other", "Mahalanobis"]
    assert {**inside, "set": ""} == {**outside, "set": ""}
    assert "given twice" in fails("b.npz", "--ood", "far=far.npy")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X[:, :3], "ood_far has 3 features, but X has 7."),
        (lambda X: X[:, 0], "ood_far must be numbers of shape"),
        (lambda X: X * np.nan, "ood_far contains NaN or infinity"),
        (lambda X: X[:0], "ood_far must be numbers of shape"),
    ],
)
def test_sets_in_the_file_that_do_not_fit(fails, layers, change, message):
    arrays = dict(np.load("b.npz"))
    save("b.npz", **{**arrays, "ood_far": change(arrays["ood_far"])})
    error = fails("b.npz")
    assert error.startswith("b.npz: ")
    assert message in error


def test_pair_can_be_named(document, layers):
    arrays = make_arrays()
    np.save("X.npy", arrays["X"])
    np.save("y.npy", arrays["y"])
    (layer,) = document("last=X.npy", "y.npy")["layers"]
    assert (layer["name"], layer["data"]["name"]) == ("last", "X.npy")
    (layer,) = document("X.npy", "y.npy")["layers"]
    assert layer["name"] == "X"


def test_paths_with_an_equals_sign(document, layers, tmp_path, fails):
    """As folders of sweeps have: a file that is there is meant."""
    folder = tmp_path / "lr=0.1"
    folder.mkdir()
    save(folder / "x.npz", **make_arrays())
    save("k=3.npz", **make_arrays())
    names = [
        document(f)["layers"][0]["name"]
        for f in ("lr=0.1/x.npz", "k=3.npz", "last=lr=0.1/x.npz", str(folder / "x.npz"))
    ]
    assert names == ["x", "k=3", "last", "x"]
    assert fails(f"{tmp_path}/lr=0.1/no.npz").endswith("lr=0.1/no.npz: no such file.")


@pytest.mark.parametrize("item", ["=a.npz", "name=", "="])
def test_half_a_name(fails, layers, item):
    assert fails(item) == f"{item}: expected NAME=FILE, or FILE alone."


# -- errors --------------------------------------------------------------------------


def test_names_given_twice(fails, layers):
    error = fails("a.npz", "b.npz", "b=c.npz")
    assert error.startswith("b=c.npz: the name 'b' is that of b.npz as well.")


def test_missing_file_before_anything_is_computed(fails, layers, monkeypatch):
    from sklearn_collapse.report import _compute

    monkeypatch.setattr(_compute, "compute", None)
    assert fails("a.npz", "b.npz", "gone.npz") == "gone.npz: no such file."


def test_name_that_is_too_long_for_a_file(fails, layers):
    long = 5000 * "a"
    assert fails(f"x={long}", *layers) == f"{long}: no such file."
    assert "File name too long" in fails(f"x={long}")


def test_layer_that_cannot_be_computed_names_itself(fails, layers):
    arrays = make_arrays()
    save("flat.npz", **{**arrays, "y": 0 * arrays["y"], "y_test": 0 * arrays["y_test"]})
    assert fails("a.npz", "flat.npz").startswith("flat.npz: ")
    assert fails("a.npz", "late=flat.npz").startswith("flat.npz: layer late: ")


def test_sets_beside_several_layers(fails, layers):
    np.save("far.npy", np.ones((3, 5)))
    error = fails("a.npz", "b.npz", "--ood", "far=far.npy")
    assert error.startswith("--ood is for one layer: ")
    assert "ood_NAME" in error


def test_array_file_among_several(fails, layers):
    np.save("X.npy", make_arrays()["X"])
    assert fails("a.npz", "b.npz", "X.npy").startswith("X.npy: missing X and y")


# -- text ----------------------------------------------------------------------------


def test_text_of_several(run, layers):
    """The comparison, then what each says alone."""
    code, text, _ = run(*layers)
    assert code == 0
    table, *_ = text.split("\n\n")
    title, head, _, *rows = table.splitlines()
    assert title.startswith("3 layers")
    assert head.split() == ["metric", "rows", "a", "b", "c"]
    for name in layers:
        alone = run(name)[1].rstrip("\n")
        assert f"Layer {name[0]}\n=======\n\n{alone}" in text
    values = {tuple(row.split()[:3]): row.split()[3:] for row in rows}
    for k, name in enumerate(layers):
        lines = run(name)[1].splitlines()
        (line,) = (line.split() for line in lines if line.startswith("vci "))
        assert values["vci", "v", "training"][k] == line[2]
        assert values["vci", "v", "test"][k] == line[3]
    # One layer has no head: its cell is empty.
    assert len(values["nc3_self_duality", "v", "training"]) == 2
    assert "best_auroc (far)" in table


def test_one_layer_has_no_comparison(run, layers):
    assert " layers (" not in run("a.npz")[1]


def test_comparison(document, layers):
    found = document(*layers)
    rows = comparison(found)
    assert [row["metric"] for row in rows if row["set"] == "far"] == ["best_auroc"]
    for row in rows:
        part = {"training": "train", "test": "held_out"}[row["rows"]]
        for layer, value in zip(found["layers"], row["values"], strict=True):
            if row["metric"] == "best_auroc":
                aurocs = [r["auroc"] for r in layer["ood"] if r["set"] == row["set"]]
                assert value == (max(aurocs) if aurocs else None)
            elif row["metric"] == "head_accuracy":
                assert value == layer["data"]["head_accuracy_test"]
            else:
                section = "alignment" if row["metric"] == "disparity" else "collapse"
                assert value == layer[section][part].get(row["metric"])
    names = [(row["metric"], row["rows"]) for row in rows]
    for part, rows in (("train", "training"), ("held_out", "test")):
        measured = found["layers"][0]["collapse"][part]
        assert {(name, rows) for name in measured} <= set(names)


def test_document_is_returned_as_it_is():
    report = compute(dataclasses.replace(bundled(), ood={}), n_resamples=0)
    document = as_document([report])
    assert as_document(document) is document
    assert as_text(document) == as_text([report])
    assert document["layers"] == [report.numbers]
    assert report.numbers["name"] == "bundled"


# -- single classes ------------------------------------------------------------------


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_numbers_of_classes(document, layers, class_weight):
    """Against slow formulas; the nearest class is not the class itself."""
    options = [] if class_weight is None else ["--class-weight", class_weight]
    (layer,) = document("a.npz", *options)["layers"]
    arrays = make_arrays()
    X, y, X_test, y_test = (arrays[key] for key in ("X", "y", "X_test", "y_test"))
    shares, _, _, between = oracles.covariances(X, y, class_weight)
    means = np.array([X[y == c].mean(axis=0) for c in range(3)])
    mean = shares @ means
    variances = [((X[y == c] - means[c]) ** 2).sum(axis=1).mean() for c in range(3)]
    logits = X_test @ arrays["W"].T + arrays["b"]
    nearest_mean = oracles.nearest_mean(X_test, means)
    assert list(layer["classes"]) == ["0", "1", "2"]
    for c in range(3):
        gaps = np.linalg.norm(means - means[c], axis=1)
        gaps[c] = np.inf
        near = int(gaps.argmin())
        of_class = y_test == c
        expected = {
            "rows": int(np.sum(y == c)),
            "test_rows": int(of_class.sum()),
            "variance": variances[c],
            "nc1_trace_ratio": variances[c] / np.trace(between),
            "mean_norm": np.linalg.norm(means[c] - mean),
            "nearest_distance": gaps[near],
            "nearest_cdnv": (variances[c] + variances[near]) / (2 * gaps[near] ** 2),
            "ncm_accuracy_test": np.mean(nearest_mean[of_class] == c),
            "head_accuracy_test": np.mean(logits[of_class].argmax(axis=1) == c),
        }
        found = layer["classes"][str(c)]
        assert found["nearest"] == str(near)
        assert {key: found[key] for key in expected} == pytest.approx(expected)
    # What is made up of classes is their weighted mean.
    for name in ("nc1_pinv", "nc1_trace_ratio", "ncm_accuracy", "nc4_agreement"):
        values = [row[name] for row in layer["classes"].values()]
        total = layer["collapse"]["train"][name]
        assert np.average(values, weights=shares) == pytest.approx(total), name


def test_class_without_test_rows_and_of_one_row(document, layers):
    arrays = make_arrays()
    X = np.vstack([arrays["X"], 5 * np.ones((1, 5))])
    plain = without({**arrays, "X": X, "y": np.r_[arrays["y"], 8]}, "W", "b")
    save("one.npz", **plain)
    (layer,) = document("one.npz")["layers"]
    lonely = layer["classes"]["8"]
    assert (lonely["rows"], lonely["test_rows"], lonely["variance"]) == (1, 0, 0)
    assert lonely["ncm_accuracy_test"] == "nan"
    assert lonely["nc1_trace_ratio"] == "nan"


def test_nearest_in_blocks(monkeypatch):
    from sklearn_collapse.report import _classes

    features = dataclasses.replace(bundled(), ood={})
    whole = compute(features, n_resamples=0).numbers["classes"]
    monkeypatch.setattr(_classes, "_HELD", 24)  # three classes, three rows at a time
    assert compute(features, n_resamples=0).numbers["classes"] == whole
