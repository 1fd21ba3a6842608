"""Conditions: how they are read, what they are about, and the exit code."""

import argparse
import json

import numpy as np
import pytest

from sklearn_collapse.report._conditions import as_condition, failures
from sklearn_collapse.report._errors import ReportError
from sklearn_collapse.report._paths import numbers_of
from sklearn_collapse.report.cli import main

NAN = float("nan")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vci>0.5", ("vci", ">", 0.5)),
        ("vci >= 5e-1", ("vci", ">=", 0.5)),
        ("  test.vci<-1 ", ("test.vci", "<", -1.0)),
        ("n<=3", ("n", "<=", 3.0)),
        ("ood.a>b.energy.auroc<0.9", ("ood.a>b.energy.auroc", "<", 0.9)),
        ("ood.far: x=1.NECO.auroc>.9", ("ood.far: x=1.NECO.auroc", ">", 0.9)),
    ],
)
def test_read(text, expected):
    assert tuple(as_condition(text)) == expected


@pytest.mark.parametrize(
    "text", ["", "vci", "vci=0.5", "vci==1", ">1", "vci>", "vci>x", "vci>nan", "a<inf"]
)
def test_not_a_condition(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"as in vci>0\.5"):
        as_condition(text)


@pytest.mark.parametrize(
    ("sign", "holding"),
    [("<", [1.0]), ("<=", [1.0, 2.0]), (">", [3.0]), (">=", [2.0, 3.0])],
)
def test_operators(sign, holding):
    condition = [as_condition(f"a{sign}2")]
    found = [v for v in (1.0, 2.0, 3.0) if failures(condition, {"": {"a": v}})]
    assert found == holding


def test_any_layer_counts():
    numbers = {"one": {"a": 0.1, "b": 1.0}, "two": {"a": 0.9}, "three": {"a": 0.7}}
    lines = failures([as_condition("a>0.5"), as_condition("b>0.5")], numbers)
    assert lines == [
        "two: a is 0.9: a>0.5",
        "three: a is 0.7: a>0.5",
        "one: b is 1: b>0.5",
    ]
    assert failures([as_condition("a>0.95")], numbers) == []


@pytest.mark.parametrize("sign", ["<", ">"])
@pytest.mark.parametrize("value", [NAN, None])
def test_undefined_values_fail(sign, value):
    (line,) = failures([as_condition(f"a{sign}0.5")], {"one": {"a": value}})
    assert line == f"one: a is undefined: a{sign}0.5"


def test_infinite_values_are_compared():
    numbers = {"one": {"a": float("inf")}}
    assert failures([as_condition("a<5")], numbers) == []
    assert len(failures([as_condition("a>5")], numbers)) == 1


def test_unknown_name():
    numbers = {"one": {"vci": 0.1, "test.vci": 0.2, "cdnv": 1.0}}
    with pytest.raises(ReportError, match=r"no 'vcj'; did you mean 'vci'"):
        failures([as_condition("vcj>1")], numbers)
    with pytest.raises(ReportError, match="those of the JSON"):
        failures([as_condition("zzzzzz>1")], numbers)


def test_names():
    """Each number of a layer has one name, and the short ones are those meant."""
    layer = {
        "name": "3",
        "data": {"n_train": 9, "dtype": "float32", "head_accuracy_test": None},
        "collapse": {
            "class_weight": "balanced",
            "train": {"vci": 0.25, "cdnv": "inf"},
            "held_out": {"vci": 0.5},
            "nc2_etf_error_balanced": 0.75,
        },
        "intervals": {
            "n_resamples": 20,
            "metrics": {
                "vci": {"low": 0.1, "high": 0.3, "standard_error": 0.01, "values": [1]},
                "cdnv": None,
            },
        },
        "classes": {"a.b": {"rows": 3, "nearest": "c", "cdnv": "nan"}},
        "alignment": {"train": {"disparity": 0.2}, "held_out": {"disparity": 0.3}},
        "ood": [{"detector": "NECO", "set": "far: x", "auroc": 0.9}],
        "notes": ["7"],
    }
    found = numbers_of(layer)
    assert np.isnan(found.pop("classes.a.b.cdnv"))
    assert found == {
        "data.n_train": 9.0,
        "data.head_accuracy_test": None,
        "vci": 0.25,
        "cdnv": float("inf"),
        "test.vci": 0.5,
        "nc2_etf_error_balanced": 0.75,
        "intervals.n_resamples": 20.0,
        "vci.low": 0.1,
        "vci.high": 0.3,
        "vci.standard_error": 0.01,
        "cdnv.low": None,
        "cdnv.high": None,
        "cdnv.standard_error": None,
        "classes.a.b.rows": 3.0,
        "alignment.disparity": 0.2,
        "test.alignment.disparity": 0.3,
        "ood.far: x.NECO.auroc": 0.9,
    }


# -- the command -----------------------------------------------------------------


@pytest.fixture
def report(tmp_path, capsys):
    """Run ``report`` on small features: exit code, stdout, stderr, the document."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    means = 3 * rng.normal(size=(3, 4))
    for name, noise in (("tight", 0.3), ("loose", 2.0)):
        X = means[y] + noise * rng.normal(size=(120, 4))
        far = rng.normal(size=(30, 4)) + 20
        np.savez(tmp_path / f"{name}.npz", X=X, y=y, **{"ood_far.away": far})

    def call(*arguments, layers=("tight",)):
        files = [str(tmp_path / f"{name}.npz") for name in layers]
        output = tmp_path / "report.json"
        output.unlink(missing_ok=True)
        options = ["--json", str(output), "--resamples", "0"]
        code = main(["report", *files, *options, *arguments])
        return code, *capsys.readouterr(), json.loads(output.read_text())

    return call


def test_exit_code(report):
    code, out, err, document = report("--fail-if", "vci>0.5", "--fail-if", "vci<0")
    assert (code, err) == (0, "")
    value = document["layers"][0]["collapse"]["train"]["vci"]
    code, again, err, same = report("--fail-if", "vci<0.5", "--fail-if", "cdnv>0")
    assert code == 1
    assert (again, same) == (out, document)
    lines = err.splitlines()
    assert lines[0] == f"sklearn-collapse: failed: tight: vci is {value:.6g}: vci<0.5"
    assert len(lines) == 2
    assert "cdnv>0" in lines[1]


def test_layers_and_sets(report):
    both = ("tight", "loose")
    code, _, err, document = report("--fail-if", "vci>0.3", layers=both)
    tight, loose = (layer["collapse"]["train"]["vci"] for layer in document["layers"])
    assert tight < 0.3 < loose
    assert code == 1
    assert err == f"sklearn-collapse: failed: loose: vci is {loose:.6g}: vci>0.3\n"
    code, _, err, _ = report("--fail-if", "ood.far.away.Mahalanobis.auroc<0.99")
    assert (code, err) == (0, "")
    code, _, err, _ = report("--fail-if", "ood.far.away.Mahalanobis.auroc>=0.99")
    assert code == 1


def test_value_that_is_not_there(report):
    """No head, no accuracy: the condition does not pass."""
    code, _, err, _ = report("--fail-if", "data.head_accuracy_test<0.5")
    assert code == 1
    assert "data.head_accuracy_test is undefined" in err


def test_unknown_name_after_the_output(report):
    code, out, err, document = report("--fail-if", "test.vcii>0.5")
    assert code == 2
    assert out
    assert document
    assert "did you mean 'test.vci'" in err
    assert err.count("\n") == 1


def test_bad_condition(report, capsys):
    with pytest.raises(SystemExit, match="2"):
        report("--fail-if", "vci")
    assert "--fail-if" in capsys.readouterr().err
