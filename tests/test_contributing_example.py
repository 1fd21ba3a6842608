"""The metric that the page on contributing adds, done as the page says."""

import doctest
import importlib.util
import math
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from metric_problems import measure, random_problem

import sklearn_collapse
from sklearn_collapse.metrics import METRICS, _metric
from sklearn_collapse.metrics._metric import INVARIANCES

DOC = Path(__file__).parent.parent / "doc"
RECIPE = DOC / "recipes" / "variance_spread.py"


@pytest.fixture
def recipe(monkeypatch):
    """The recipe as a module, entered until the test is over."""
    monkeypatch.setattr(_metric, "ENTERED", {})
    spec = importlib.util.spec_from_file_location("_alike", RECIPE)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "_alike", module)
    spec.loader.exec_module(module)
    for name, facts in _metric.ENTERED.items():
        monkeypatch.setitem(METRICS, name, facts)
    return module


def registry_line():
    """The line of the registry that the page shows."""
    page = (DOC / "contributing.rst").read_text(encoding="utf-8")
    (line,) = re.findall(r'^ +("\w+": _alike\.\w+),$', page, re.M)
    return line


def test_value_is_the_definition(recipe, library):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 60)
    X = rng.normal(size=(60, 5)) * (1 + y)[:, None] + 100
    variances = []
    for c in range(4):
        rows = [x for x, label in zip(X, y, strict=True) if label == c]
        mean = sum(rows) / len(rows)
        variances.append(sum(((x - mean) ** 2).sum() for x in rows) / len(rows))
    expected = np.std(variances) / np.mean(variances)
    found = recipe.variance_spread(library.asarray(X), y)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", INVARIANCES)
def test_invariances_are_those_listed(recipe, kind):
    facts = METRICS["variance_spread"]
    kept = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        problem = random_problem(facts, rng)
        before = measure(facts, problem)
        after = measure(facts, problem.moved(kind, rng))
        kept.append(math.isclose(before, after, rel_tol=1e-7))
    assert all(kept) if kind in facts.invariances else not all(kept)


def test_everything_else_follows(tmp_path):
    """In a copy of the package, changed as the page says, from a fresh process."""
    package = Path(sklearn_collapse.__file__).parent
    copy = tmp_path / "sklearn_collapse"
    ignored = shutil.ignore_patterns("data", "__pycache__")
    shutil.copytree(package, copy, ignore=ignored)
    shutil.copy(RECIPE, copy / "metrics" / "_alike.py")
    registry = copy / "metrics" / "_registry.py"
    text = registry.read_text(encoding="utf-8")
    for before, after in (
        ("import (\n", "import (\n    _alike,\n"),
        ("*(_within,", "*(_alike, _within,"),
        ("GEOMETRY_METRICS = {\n", f"GEOMETRY_METRICS = {{\n    {registry_line()},\n"),
    ):
        assert text.count(before) == 1
        text = text.replace(before, after)
    registry.write_text(text, encoding="utf-8")
    script = textwrap.dedent(
        """
        import numpy as np
        import sklearn_collapse
        from sklearn_collapse.collapse import NeuralCollapseScorer
        from sklearn_collapse.metrics import get_scorer, null_reference
        from sklearn_collapse.metrics._alike import variance_spread

        y = np.repeat([0, 1, 2], 30)
        X = np.random.default_rng(1).normal(size=(90, 4)) * (1 + y)[:, None]
        scorer = NeuralCollapseScorer(criterion="variance_spread").fit(X, y)
        null = null_reference("variance_spread", X, y, n_permutations=9, random_state=0)
        print(
            sklearn_collapse.__file__,
            variance_spread(X, y),
            scorer.metrics_["variance_spread"],
            -scorer.score(X, y),
            -get_scorer("neg_variance_spread")(scorer, X, y),
            null.value,
            null.mean,
        )
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    path, *numbers = done.stdout.split()
    assert Path(path).is_relative_to(tmp_path)
    value, *same, permuted = map(float, numbers)
    assert same == pytest.approx([value] * 4, rel=1e-12)
    assert permuted < value / 2  # the classes differ, permuted ones hardly do


def test_example_in_its_docstring(recipe):
    assert doctest.testmod(recipe) == (0, 1)


def test_about_thirty_lines():
    text = RECIPE.read_text(encoding="utf-8")
    code = re.sub(r'""".*?"""', "", text, flags=re.S)
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    assert len([line for line in text.splitlines() if line.strip()]) <= 36


def test_nothing_is_left_behind():
    assert "variance_spread" not in METRICS
    assert "variance_spread" not in _metric.ENTERED
