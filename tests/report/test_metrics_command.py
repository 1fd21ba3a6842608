"""``sklearn-collapse metrics``: every metric, with the facts of the registry."""

import json
import math
import re

import pytest

from sklearn_collapse.metrics import METRICS
from sklearn_collapse.report.cli import main


@pytest.fixture
def run(capsys):
    def call(*arguments):
        code = main(["metrics", *arguments])
        return code, *capsys.readouterr()

    return call


def test_lists_all(run):
    code, out, err = run()
    assert (code, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    for name, metric in METRICS.items():
        line = lines[name]
        assert line.endswith(metric.source)
        arrow = {"lower": "v", "higher": "^", None: None}[metric.direction]
        assert (line.split()[1] in "v^" and line.split()[1]) == (arrow or False)
        assert set(metric.needs) <= set(line.split())
        low, high = re.search(r"[\[(](\S+), (\S+?)[\])]", line).groups()
        assert float(low) == pytest.approx(metric.range[0], rel=1e-3)
        assert float(high) == pytest.approx(metric.range[1], rel=1e-3)
        letters = "".join(sorted(kind[0] for kind in metric.invariances))
        assert letters in {"".join(sorted(word)) for word in line.split()}
    titles = [line.split()[0] for line in out.splitlines() if "needs" in line]
    assert titles == list(dict.fromkeys(m.family for m in METRICS.values()))
    assert max(map(len, out.splitlines())) <= 108


def test_family(run):
    _, out, _ = run("--family", "regression")
    named = {line.split()[0] for line in out.splitlines() if line} & set(METRICS)
    assert named == {n for n, m in METRICS.items() if m.family == "regression"}


@pytest.mark.parametrize("name", METRICS)
def test_definition(run, name):
    code, out, err = run(name)
    assert (code, err) == (0, "")
    metric = METRICS[name]
    doc = metric.function.__doc__
    assert out.startswith(f"{name}: {doc.splitlines()[0]}\n")
    for text in (metric.family, metric.source, *metric.needs, *metric.invariances):
        assert text in out
    notes = (
        doc.split("-----\n")[-1] if "Notes\n" not in doc else doc.split("Notes\n")[1]
    )
    words = notes.split("References")[0].split()[1:]
    assert " ".join(words) in " ".join(out.split())
    assert "Examples" not in out
    assert ">>>" not in out


def test_several_names(run):
    _, out, _ = run("vci", "cdnv")
    assert out.index("vci: ") < out.index("cdnv: ")


def test_direction_in_words(run):
    assert "lower is more collapsed" in run("vci")[1]
    assert "higher is less degenerate" in run("rankme")[1]
    assert "direction      neither" in run("alpha_req")[1]


def test_json(run):
    _, out, _ = run("--json")
    found = json.loads(out)
    assert list(found) == list(METRICS)
    for name, metric in METRICS.items():
        facts = found[name]
        assert [float(end) for end in facts["range"]] == list(metric.range)
        assert all(
            isinstance(end, str) == math.isinf(float(end)) for end in facts["range"]
        )
        assert set(facts["needs"]) == metric.needs
        assert set(facts["invariances"]) == metric.invariances
        assert facts["direction"] == metric.direction
        assert facts["family"] == metric.family
        assert facts["source"] == metric.source
        assert facts["function"] == f"sklearn_collapse.metrics.{name}"
    assert list(json.loads(run("vci", "--json")[1])) == ["vci"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["vcj"], "Did you mean 'vci'?"),
        (["qqqqqq"], "`sklearn-collapse metrics` lists all of them"),
        (["--family", "colapse"], "--family must be one of ['collapse'"),
        (["vci", "--family", "regression"], "is of the family 'regression'"),
    ],
)
def test_errors(run, arguments, text):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert text in err
    assert err.count("\n") == 1
