"""Tests of what METRICS says about each metric."""

import dataclasses
import inspect
import math
import re

import numpy as np
import pytest

from sklearn_collapse import LinearHead, metrics
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.metrics import METRICS, Metric
from sklearn_collapse.metrics._metric import INVARIANCES

NAMES = [name for name, metric in METRICS.items() if metric.family == "collapse"]
NEEDS = {"means", "moments", "rows", "head", "unit_moments", "class_scatters"}
KNOWN = {
    *("nc1_pinv", "nc1_trace_ratio", "fisher_ratio", "cdnv", "vci"),
    *("nc2_equinorm", "nc2_equiangularity", "nc2_max_angle", "nc2_etf_error"),
    *("gnc2_uniformity", "gof_off_diagonal"),
    *("nc3_self_duality", "nc3_uniform_duality", "nc3_product"),
    *("nc4_agreement", "ncm_accuracy"),
    *("lidar", "class_separation", "tolerance", "coding_rate_reduction"),
}
HIGHER_IS_BETTER = {
    *("fisher_ratio", "nc4_agreement", "ncm_accuracy"),
    *("lidar", "class_separation", "tolerance", "coding_rate_reduction"),
}


def measure(name, X, y, head, **options):
    arguments = (X, y, head) if "head" in METRICS[name].needs else (X, y)
    return METRICS[name].function(*arguments, **options)


def make_rows(counts, spread=1.0, seed=0, d=5, offset=0.5):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    X = rng.normal(size=(len(counts), d))[y] + spread * rng.normal(size=(len(y), d))
    return X + offset, y


def test_names():
    assert set(NAMES) == KNOWN
    assert set(METRICS) <= set(metrics.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_facts(name):
    metric = METRICS[name]
    assert isinstance(metric, Metric)
    assert metric.function is getattr(metrics, name)
    assert metric.function.__name__ == name
    assert isinstance(metric.needs, frozenset)
    assert metric.needs
    assert metric.needs <= NEEDS
    low, high = metric.range
    assert low < high
    assert metric.direction == ("higher" if name in HIGHER_IS_BETTER else "lower")
    assert isinstance(metric.invariances, frozenset)
    assert metric.invariances <= set(INVARIANCES)
    assert re.search(r"\d{4}$", metric.source)


def test_facts_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        METRICS["vci"].direction = "higher"


@pytest.mark.parametrize("name", NAMES)
def test_signature(name):
    """(X, y) or (X, y, head) first, then options by keyword, with these defaults."""
    parameters = inspect.signature(METRICS[name].function).parameters
    first = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    has_head = "head" in METRICS[name].needs
    assert first == (["X", "y", "head"] if has_head else ["X", "y"])
    options = {p.name: p.default for p in parameters.values() if p.name not in first}
    assert options["sample_weight"] is None
    assert options["class_weight"] is None
    for parameter in first:
        assert parameters[parameter].default is inspect.Parameter.empty


@pytest.mark.parametrize("name", NAMES)
def test_docstring_names_range_and_source(name):
    doc = METRICS[name].function.__doc__
    assert f"{METRICS[name].direction} is" in doc or name == "fisher_ratio"
    for section in ("Returns", "Notes", "References", "Examples"):
        assert re.search(rf"^ *{section}\n *-+\n", doc, flags=re.MULTILINE), section
    # The first author and the year of the source stand in the references.
    author = re.match(r"\w+", METRICS[name].source)[0]
    assert author in doc.partition("References")[2]


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("name", NAMES)
def test_range(name, class_weight):
    """Far from collapse, near it and in between: no value leaves the range."""
    rounding = 1e-14
    low, high = METRICS[name].range
    rng = np.random.default_rng(1)
    for counts in ([30, 30], [50, 7], [20, 20, 20], [40, 20, 5, 9]):
        for spread in (1e-4, 0.3, 1.0, 10.0):
            X, y = make_rows(counts, spread)
            head = LinearHead(rng.normal(size=(len(counts), 5)))
            for weights in (head, LinearHead(-head.coef)):
                value = measure(name, X, y, weights, class_weight=class_weight)
                assert low - rounding <= value <= high + rounding, (counts, spread)


@pytest.mark.parametrize("name", ["nc3_self_duality", "nc3_product"])
def test_highest_value_of_duality(name):
    """A head that points away from the means."""
    means = np.array([[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]])
    value = measure(name, means, [0, 1, 2], LinearHead(-means))
    assert value == pytest.approx(METRICS[name].range[1])


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"nc4_agreement"}))
def test_direction(name):
    """The better value belongs to features that have collapsed onto a simplex."""
    n_classes, d = 4, 4
    simplex = np.eye(n_classes) - 1 / n_classes
    y = np.repeat(np.arange(n_classes), 25)
    noise = np.random.default_rng(0).normal(size=(len(y), d))
    near, far = simplex[y] + 1e-3 * noise, simplex[y] + noise
    if name == "gof_off_diagonal":
        near, far = np.eye(n_classes)[y] + 1e-3 * noise, np.eye(n_classes)[y] + noise
    head = LinearHead(simplex)
    better, worse = measure(name, near, y, head), measure(name, far, y, head)
    if METRICS[name].direction == "higher":
        assert better > worse
    else:
        assert better < worse


def test_direction_of_agreement():
    X, y = make_rows([20, 20, 20], spread=0.1)
    means = np.array([X[y == c].mean(axis=0) for c in range(3)])
    head = LinearHead(means, -(means**2).sum(axis=1) / 2)
    turned = LinearHead(means[[1, 2, 0]], head.intercept[[1, 2, 0]])
    assert measure("nc4_agreement", X, y, head) == 1
    assert measure("nc4_agreement", X, y, turned) == 0


@pytest.mark.parametrize("name", NAMES)
def test_invariances_are_complete(name):
    """An invariance that is not listed does not hold: maps that change the value."""
    X, y = make_rows([30, 18, 24], spread=0.7, seed=3)
    rng = np.random.default_rng(0)
    head = LinearHead(rng.normal(size=(3, 5)), [0.5, -1.0, 0.2])
    maps = {
        "rotation": lambda X: X @ np.linalg.qr(rng.normal(size=(5, 5)))[0],
        "translation": lambda X: X + np.array([4.0, -3.0, 2.0, 0.0, 1.0]),
        "scale": lambda X: 0.05 * X,
        "invertible": lambda X: X @ np.diag([0.01, 0.1, 1.0, 10.0, 100.0]),
    }
    value = measure(name, X, y, head)
    for kind in maps.keys() - METRICS[name].invariances:
        moved = measure(name, maps[kind](X), y, head)
        assert not math.isclose(value, moved, rel_tol=1e-3), kind


@pytest.mark.parametrize("name", NAMES)
def test_needs_say_when_a_metric_can_be_had(name):
    """From moments alone, with a head, with rows: absent exactly where needs say so."""
    X, y = make_rows([20, 20, 20])
    for head in (None, LinearHead(np.eye(3, 5))):
        for has_rows in (False, True):
            scorer = NeuralCollapseScorer(head=head, metrics="all")
            fitted = scorer.fit(X, y) if has_rows else scorer.partial_fit(X, y)
            had = {"means", "moments", "unit_moments", "class_scatters"}
            had |= {"head"} if head is not None else set()
            had |= {"rows"} if has_rows else set()
            assert (name in fitted.metrics_) == (METRICS[name].needs <= had)


@pytest.mark.parametrize("name", NAMES)
def test_metrics_of_means_ignore_the_spread(name):
    """A metric that needs neither moments nor rows sees the class means alone."""
    X, y = make_rows([20, 20, 20])
    means = np.array([X[y == c].mean(axis=0) for c in range(3)])[y]
    head = LinearHead(np.eye(3, 5))
    wide = means + 10 * (X - means)
    same = math.isclose(measure(name, X, y, head), measure(name, wide, y, head))
    changes = {"moments", "unit_moments", "rows"}
    if name != "lidar":  # a common factor of the scatter changes nothing
        assert same == (not METRICS[name].needs & changes)
