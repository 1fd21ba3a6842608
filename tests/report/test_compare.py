"""``sklearn-collapse compare``: differences and intervals, and what is refused."""

import json

import numpy as np
import pytest

from sklearn_collapse.report._compare import far_from_first
from sklearn_collapse.report._document import VERSION
from sklearn_collapse.report._read import as_entry
from sklearn_collapse.report.cli import main

N = 60
NAMES = ("vci", "cdnv", "ncm_accuracy")


def make_layer(
    name="layer", shift=0.0, seed=0, intervals=True, print_="a" * 64, **more
):
    """Part of a layer that is compared; values and resamples are drawn here."""
    rng = np.random.default_rng(seed)
    common = np.random.default_rng(99).normal(size=N)  # of rows that were drawn alike
    train = {"vci": 0.4 + shift, "cdnv": 1.0 + shift, "ncm_accuracy": 0.9}
    drawn = {
        key: value + 0.05 * common + 0.005 * rng.normal(size=N)
        for key, value in train.items()
    }
    found = None
    if intervals:
        found = {
            "n_resamples": N,
            "confidence_level": 0.9,
            "method": "basic",
            "seed": 0,
            "fingerprint": print_,
            "metrics": {
                key: {
                    "low": train[key] - 0.1,
                    "high": train[key] + 0.1,
                    "standard_error": float(np.std(values, ddof=1)),
                    "values": values.tolist(),
                }
                for key, values in drawn.items()
            },
        }
    return {
        "name": name,
        "data": {
            **{"n_train": 100, "n_test": 50, "n_features": 5, "n_classes": 3},
            "head_accuracy_test": None,
        },
        "collapse": {"class_weight": None, "train": train, "held_out": {"vci": 0.5}},
        "intervals": found,
        "alignment": {"train": {"disparity": 0.2 + shift}, "held_out": {}},
        "ood": [{"detector": "NECO", "set": "far", "auroc": 0.9 - shift}],
        "notes": [],
    } | more


@pytest.fixture
def save(tmp_path):
    """Write a report of layers; the path."""

    def write(name, *layers, **changes):
        document = {
            "format": "sklearn_collapse.report",
            "version": VERSION,
            "made_with": {},
            "layers": list(layers),
        }
        path = tmp_path / name
        path.write_text(json.dumps(document | changes), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def run(capsys):
    def call(*arguments):
        code = main(["compare", *arguments])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def numbers(run):
    def call(*arguments):
        code, out, err = run(*arguments, "--json", "-")
        assert (code, err) == (0, "")
        return json.loads(out)

    return call


def values_of(layer, name):
    return np.asarray(layer["intervals"]["metrics"][name]["values"])


def test_paired(save, numbers):
    """Rows drawn alike: resampled differences, whose common part cancels."""
    a, b = make_layer(seed=1), make_layer(seed=2, shift=0.02)
    found = numbers(save("a.json", a), save("b.json", b))
    assert [facts["paired"] for facts in found["reports"]] == [None, True]
    for name in NAMES:
        difference = found["metrics"][name]["reports"][1]["difference"]
        value = b["collapse"]["train"][name] - a["collapse"]["train"][name]
        drawn = values_of(b, name) - values_of(a, name)
        low, high = np.quantile(2 * value - drawn, [0.05, 0.95])
        assert difference["value"] == pytest.approx(value)
        assert difference["low"] == pytest.approx(low)
        assert difference["high"] == pytest.approx(high)
        assert difference["standard_error"] == pytest.approx(np.std(drawn, ddof=1))
        assert difference["leaves_out_zero"] == (name != "ncm_accuracy")


def test_apart(save, numbers):
    """Other rows: any resample of one with any of the other, a wider interval."""
    a, b = make_layer(seed=1), make_layer(seed=2, shift=0.02, print_="b" * 64)
    found = numbers(save("a.json", a), save("b.json", b))
    assert [facts["paired"] for facts in found["reports"]] == [None, False]
    difference = found["metrics"]["vci"]["reports"][1]["difference"]
    drawn = [v - u for u in values_of(a, "vci") for v in values_of(b, "vci")]
    low, high = np.quantile(2 * 0.02 - np.asarray(drawn), [0.05, 0.95])
    assert difference["low"] == pytest.approx(low)
    assert difference["high"] == pytest.approx(high)
    errors = [
        layer["intervals"]["metrics"]["vci"]["standard_error"] for layer in (a, b)
    ]
    assert difference["standard_error"] == pytest.approx(np.hypot(*errors))
    assert not difference["leaves_out_zero"]


@pytest.mark.parametrize("shift", [0.3, -0.3])
def test_marks(save, run, shift):
    """Stars stand where the JSON says so, on either side of zero."""
    a, b = make_layer(seed=1), make_layer(seed=2, shift=shift, print_="b" * 64)
    _, out, _ = run(save("a.json", a), save("b.json", b))
    lines = out.splitlines()
    starred = [line for line in lines if line.endswith("*")]
    assert len(starred) == 2
    assert all(line.split()[0] == "[2]" for line in starred)
    sign = "+" if shift > 0 else "-"
    assert all(f"{sign}0.3000" in line for line in starred)
    assert "intervals at 90 %" in out
    assert "apart" in lines[3]
    arrows = {line.split()[0]: line.split()[1] for line in lines if " [1] " in line}
    assert arrows["vci"] == "v"
    assert arrows["ncm_accuracy"] == "^"


def test_itself(save, numbers):
    """Nothing differs, and nothing is marked."""
    path = save("a.json", make_layer())
    found = numbers(path, path)
    for row in found["metrics"].values():
        difference = row["reports"][1]["difference"]
        assert [difference[key] for key in ("value", "low", "high")] == [0, 0, 0]
        assert difference["leaves_out_zero"] is False


def test_without_intervals(save, run, numbers):
    paths = [
        save("a.json", make_layer()),
        save("b.json", make_layer(shift=0.1, intervals=False)),
    ]
    found = numbers(*paths)
    first, second = found["metrics"]["vci"]["reports"]
    assert first["low"] == pytest.approx(0.3)
    assert second["low"] is None
    assert second["difference"]["value"] == pytest.approx(0.1)
    assert second["difference"]["low"] is None
    _, out, _ = run(*paths)
    assert "--resamples 100" in out
    assert "+0.1000" in out


def test_far_from_first():
    """What a report of several layers marks."""
    layers = [make_layer(), make_layer(shift=0.3, seed=1), make_layer(intervals=False)]
    entries = [as_entry("a.json", layer) for layer in layers]
    found = far_from_first(entries)
    assert found == {
        "vci": [False, True, False],
        "cdnv": [False, True, False],
        "ncm_accuracy": [False, False, False],
    }
    assert far_from_first(entries[2:]) == {}


def test_metric_without_an_interval(save, numbers):
    """Too few rows for one in the second report."""
    second = make_layer()
    second["intervals"]["metrics"]["vci"] = None
    found = numbers(save("a.json", make_layer()), save("b.json", second))
    assert found["metrics"]["vci"]["reports"][1]["difference"]["low"] is None
    assert found["metrics"]["cdnv"]["reports"][1]["difference"]["low"] is not None
    assert any("too few training rows" in note for note in found["notes"])


def test_values_that_are_not_finite(save, run, numbers):
    layer = make_layer()
    layer["collapse"]["train"]["vci"] = "nan"
    layer["collapse"]["train"]["cdnv"] = "inf"
    paths = save("a.json", make_layer()), save("b.json", layer)
    metrics = numbers(*paths)["metrics"]
    assert metrics["vci"]["reports"][1]["value"] == "nan"
    assert metrics["vci"]["reports"][1]["difference"]["leaves_out_zero"] is False
    assert metrics["cdnv"]["reports"][1]["difference"]["value"] == "inf"
    code, _, err = run(*paths, "--fail-if", "vci.difference>1")
    assert code == 1
    assert "undefined" in err


def test_layers(save, numbers):
    """All layers of a file, or the one that is named."""
    layers = [make_layer(name, shift) for name, shift in (("x", 0), ("y#1", 0.1))]
    both = save("both.json", *layers)
    found = numbers(both)
    assert [facts["layer"] for facts in found["reports"]] == ["x", "y#1"]
    one = save("one.json", make_layer("z"))
    found = numbers(one, f"{both}#x", both)
    assert [facts["layer"] for facts in found["reports"]] == ["z", "x", "x", "y#1"]
    odd = save("odd#x.json", make_layer("w"))
    assert [r["layer"] for r in numbers(odd, one)["reports"]] == ["w", "z"]


def test_side_by_side(save, run, numbers):
    paths = save("a.json", make_layer()), save("b.json", make_layer(shift=0.1, ood=[]))
    found = numbers(*paths)["numbers"]
    assert found == {
        "test.vci": [0.5, 0.5],
        "alignment.disparity": [0.2, pytest.approx(0.3)],
        "ood.far.NECO.auroc": [0.9, None],
    }
    lines = [line.split() for line in run(*paths)[1].splitlines()]
    assert ["far.NECO", "90.0"] in lines
    assert ["alignment.disparity", "v", "0.2000", "0.3000"] in lines
    assert ["test.vci", "0.5000", "0.5000"] in lines


def test_metrics(save, run, numbers):
    paths = save("a.json", make_layer()), save("b.json", make_layer())
    found = numbers(*paths, "--metrics", "ncm_accuracy, vci")
    assert list(found["metrics"]) == ["ncm_accuracy", "vci"]
    assert list(numbers(*paths)["metrics"]) == list(NAMES)
    code, _, err = run(*paths, "--metrics", "vcj")
    assert code == 2
    assert "did you mean 'vci'" in err


def test_json_file(save, run, numbers, tmp_path):
    paths = save("a.json", make_layer()), save("b.json", make_layer())
    target = tmp_path / "out.json"
    code, out, _ = run(*paths, "--json", str(target))
    assert code == 0
    assert out == run(*paths)[1]
    assert json.loads(target.read_text()) == numbers(*paths)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"class_weight": "balanced"}, "differ in class_weight"),
        ({"n_classes": 4}, "differ in the number of classes"),
        ({"n_train": 101}, "differ in the number of training rows"),
        ({"n_features": 6}, "differ in the number of features"),
    ],
)
def test_notes_of_what_differs(save, numbers, changes, text):
    layer = make_layer()
    part = "collapse" if "class_weight" in changes else "data"
    layer[part] |= changes
    notes = numbers(save("a.json", make_layer()), save("b.json", layer))["notes"]
    assert len(notes) == 1
    assert text in notes[0]


# -- conditions ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("vci.difference>0.29", 1),
        ("vci.difference>0.31", 0),
        ("vci.difference.low>0", 1),
        ("vci.difference.high<0", 0),
        ("ncm_accuracy.difference.low>0", 0),
        ("ood.far.NECO.auroc.difference<-0.2", 1),
        ("test.vci.difference>0", 0),
        ("alignment.disparity.difference>=0.2", 1),
        ("vci>0.65", 1),
        ("cdnv<1.01", 1),  # of the first
        ("vci>0.75", 0),
    ],
)
def test_conditions(save, run, condition, code):
    paths = save("a.json", make_layer()), save("b.json", make_layer(seed=3, shift=0.3))
    found, out, err = run(*paths, "--fail-if", condition)
    assert found == code
    assert out
    assert err.count("\n") == code
    if code:
        number = 1 if "1.01" in condition else 2
        assert f"failed: [{number}] {paths[number - 1]}#layer: " in err


def test_condition_on_what_one_report_lacks(save, run):
    paths = save("a.json", make_layer()), save("b.json", make_layer(ood=[]))
    code, _, err = run(*paths, "--fail-if", "ood.far.NECO.auroc.difference<-0.1")
    assert code == 1
    assert "is undefined" in err
    code, _, err = run(*paths, "--fail-if", "vci.diference<-0.1")
    assert code == 2
    assert "did you mean 'vci.difference'" in err


# -- what is refused -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is not JSON"),
        ("{", "it is not JSON"),
        ("[]", "its format is not sklearn_collapse.report"),
        ('{"data": {}}', "its format is not sklearn_collapse.report"),
        ('{"format": "sklearn_collapse.comparison"}', "its format is not"),
        ('{"format": "sklearn_collapse.report"}', "its version is None"),
        ('{"format": "sklearn_collapse.report", "version": 0}', "its version is 0"),
        ('{"format": "sklearn_collapse.report", "version": "1"}', "its version is '1'"),
        (
            f'{{"format": "sklearn_collapse.report", "version": {VERSION + 1}}}',
            f"is a report of version {VERSION + 1}, and this release reads",
        ),
        ('{"format": "sklearn_collapse.report", "version": 1}', "it has no layers"),
        (
            '{"format": "sklearn_collapse.report", "version": 1, "layers": [{}]}',
            "is not a whole report",
        ),
        (
            '{"format": "sklearn_collapse.report", "version": 1, "layers": [3]}',
            "is not a whole report",
        ),
    ],
)
def test_no_report(save, run, tmp_path, text, said):
    bad = tmp_path / "bad.json"
    bad.write_text(text, encoding="utf-8")
    code, out, err = run(save("a.json", make_layer()), str(bad))
    assert (code, out) == (2, "")
    assert err.startswith(f"sklearn-collapse: error: {bad}: ")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("part", ["collapse", "intervals", "data"])
def test_damaged(save, run, part):
    layer = make_layer()
    layer[part] = {"train": {"vci": "high"}}
    code, _, err = run(save("a.json", make_layer()), save("b.json", layer))
    assert code == 2
    assert "b.json: is not a whole report" in err


@pytest.mark.parametrize(
    ("key", "value"), [("n_resamples", N + 1), ("confidence_level", "high")]
)
def test_damaged_intervals(save, run, key, value):
    layer = make_layer()
    layer["intervals"][key] = value
    code, _, err = run(save("a.json", make_layer()), save("b.json", layer))
    assert code == 2
    assert "b.json: is not a whole report" in err


def test_other_errors(save, run, tmp_path):
    path = save("a.json", make_layer("x"))
    for arguments, text in (
        ([path], "one report with one layer cannot be compared"),
        ([path, f"{path}#y"], "there is no layer 'y'; its layers are ['x']"),
        ([path, str(tmp_path / "none.json")], "none.json: no such file"),
        ([path, str(tmp_path)], "cannot be read"),
        ([path, 5000 * "a"], "cannot be read: File name too long"),
        ([path, f"{5000 * 'a'}#layer"], "cannot be read: File name too long"),
        ([path, path, "--json", str(tmp_path)], "cannot be written"),
    ):
        code, _, err = run(*arguments)
        assert code == 2
        assert text in err
        assert err.count("\n") == 1
