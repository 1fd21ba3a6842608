"""The tables of metrics and presets in the documentation."""

import re
import runpy
import tomllib
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest

from sklearn_collapse.metrics import METRICS
from sklearn_collapse.presets import PRESETS

DOC = Path(__file__).parent.parent / "doc"


@pytest.fixture(scope="module")
def conf():
    return runpy.run_path(str(DOC / "conf.py"))


def test_every_metric_has_a_row(conf):
    """Name and what it is, needs, range, direction, marks of invariances, source."""
    text = "\n".join(conf["metrics_table"]())
    rows = {
        re.search(r"metrics\.(\w+)`", row)[1]: [
            cell.strip() for cell in row.split("\n     -")
        ]
        for row in re.split(r"\n   (?=\* - )", text)
        if ":func:" in row
    }
    assert list(rows) == sorted(METRICS, key=lambda n: _place(METRICS[n].family))
    for name, row in rows.items():
        metric = METRICS[name]
        about = row[0].split("\n\n")[1].replace("``", "").strip()
        summary = metric.function.__doc__.split("\n")[0].replace("``", "")
        assert about == summary.removesuffix(".")
        cells = dict(zip(("needs", "range", "better"), row[1:4], strict=True))
        assert set(cells["needs"].split(", ")) == metric.needs
        assert cells["better"] == (metric.direction or "–")
        marks = dict(zip(conf["INVARIANCES"], row[4:9], strict=True))
        kept = {kind for kind, mark in marks.items() if mark == "✓"}
        assert kept == metric.invariances
        # The last cell of a table is followed by the next section.
        assert row[9].split("\n")[0] == metric.source
    assert rows["vci"][2] == "[0, 1]"
    assert rows["cdnv"][2] == "[0, ∞)"
    assert conf["interval"](float("-inf"), 2.5) == "(−∞, 2.5]"


def test_invariances_are_those_of_every_metric(conf):
    """One mark per invariance, on the page about numerics."""
    rows = "\n".join(conf["invariances_table"]()).split("\n   * - ")
    found = {}
    for row in rows:
        if name := re.match(r":func:`~sklearn_collapse\.metrics\.(\w+)`", row):
            marks = [line.strip(" -") for line in row.split("\n")[1:6]]
            kinds = zip(conf["INVARIANCES"], marks, strict=True)
            found[name[1]] = {kind for kind, mark in kinds if mark == "✓"}
    assert found == {name: metric.invariances for name, metric in METRICS.items()}


def test_versions_are_those_of_the_package(conf):
    """Every run-time requirement, and every extra that is not for development."""
    text = "\n".join(conf["versions_table"]())
    source = (DOC.parent / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(source)["project"]
    extras = dict(project["optional-dependencies"])
    for internal in ("test", "test-engines", "doc", "bench", "dev"):
        assert extras.pop(internal)
    packages = [*project["dependencies"], *chain(*extras.values())]
    assert all(package.replace(">=", " ≥ ") in text for package in packages)
    assert text.count("≥") == len(packages) + 1  # Python
    assert re.findall(r"\* - ``(\S+)``", text) == list(extras)


def test_every_preset_has_a_row(conf):
    """Name, head, formula and source."""
    rows = "\n".join(conf["presets_table"]()).split("\n   * - ")[2:]
    for row, (name, preset) in zip(rows, PRESETS.items(), strict=True):
        cells = [line.removeprefix("     -").strip() for line in row.split("\n")]
        assert cells[0] == f"``{name}``"
        assert (cells[1] == "yes") == preset.needs_head
        assert cells[2] == f"``{preset.formula}``"
        assert cells[3].startswith(preset.source)


def _place(family):
    return ["collapse", "regression", "dimensional", "neighbors"].index(family)


def test_file_is_written_once(conf, tmp_path):
    app = SimpleNamespace(srcdir=str(tmp_path))
    conf["write_tables"](app)
    path = tmp_path / "metrics_table.inc"
    text = path.read_text(encoding="utf-8")
    assert text == "\n".join(conf["metrics_table"]())
    invariances = (tmp_path / "invariances_table.inc").read_text(encoding="utf-8")
    assert invariances == "\n".join(conf["invariances_table"]())
    presets = (tmp_path / "presets_table.inc").read_text(encoding="utf-8")
    assert presets == "\n".join(conf["presets_table"]())
    before = path.stat().st_mtime_ns
    conf["write_tables"](app)
    assert path.stat().st_mtime_ns == before
    path.write_text("old", encoding="utf-8")
    conf["write_tables"](app)
    assert path.read_text(encoding="utf-8") == text
