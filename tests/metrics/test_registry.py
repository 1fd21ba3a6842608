"""Tests of what METRICS says about each metric."""

import dataclasses
import inspect
import math
import re

import numpy as np
import pytest
from fake_metrics import FAKES
from metric_problems import Problem, parameters_of, random_problem
from metric_problems import measure as measure_problem

from sklearn_collapse import LinearHead, metrics
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.metrics import METRICS, Metric
from sklearn_collapse.metrics._metric import INVARIANCES

ALL = {**METRICS, **FAKES}  # the fakes show that the rules are of families
FAMILIES = ("collapse", "regression", "dimensional", "neighbors")
NAMES = [name for name, metric in METRICS.items() if metric.family == "collapse"]
# Those of which features alone can be better or worse.
WITHOUT_CLASSES = [
    name
    for name, metric in ALL.items()
    if metric.family in ("regression", "dimensional")
    and metric.direction is not None
    and not metric.needs <= {"head", "targets", "means"}
]
NEEDS = {
    *("means", "moments", "unit_moments", "class_scatters", "rows", "head"),
    *("neighbors", "targets"),
}
KNOWN = {
    *("nc1_pinv", "nc1_trace_ratio", "fisher_ratio", "cdnv", "vci"),
    *("nc2_equinorm", "nc2_equiangularity", "nc2_max_angle", "nc2_etf_error"),
    *("gnc2_uniformity", "gof_off_diagonal"),
    *("nc3_self_duality", "nc3_uniform_duality", "nc3_product"),
    *("nc4_agreement", "ncm_accuracy"),
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
    assert set(METRICS) >= KNOWN
    assert set(METRICS) <= set(metrics.__all__)


@pytest.mark.parametrize("name", ALL)
def test_facts(name):
    metric = ALL[name]
    assert isinstance(metric, Metric)
    assert metric.function.__name__ == name
    assert metric.function is getattr(metrics, name, metric.function)
    assert metric.family in FAMILIES
    assert isinstance(metric.needs, frozenset)
    assert metric.needs
    assert metric.needs <= NEEDS
    low, high = metric.range
    assert low < high
    assert metric.direction in ("higher", "lower", None)
    assert isinstance(metric.invariances, frozenset)
    assert metric.invariances <= set(INVARIANCES)
    # Any invertible map may be a rotation or a change of scale.
    if "invertible" in metric.invariances:
        assert metric.invariances >= {"rotation", "scale"}
    assert re.search(r"\d{4}$", metric.source)


@pytest.mark.parametrize("name", ALL)
def test_needs_and_signature_agree(name):
    metric, parameters = ALL[name], parameters_of(ALL[name])
    assert ("head" in metric.needs) == ("head" in parameters)
    if metric.family == "neighbors":
        assert "neighbors" in metric.needs
    if metric.family == "dimensional":
        assert not metric.needs & {"head", "targets", "neighbors"}
    if metric.family == "collapse":
        assert not metric.needs & {"targets", "neighbors"}


def test_facts_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        METRICS["vci"].direction = "higher"


@pytest.mark.parametrize("name", ALL)
def test_signature(name):
    """(X), (X, y) or (X, y, head) first, then options by keyword, with defaults."""
    family, parameters = ALL[name].family, parameters_of(ALL[name])
    first = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    if family == "dimensional":
        assert first == ["X"]
    elif family == "neighbors":
        assert first in (["X"], ["X", "y"])
    else:
        assert first == ["X", "y", "head"][: 2 + ("head" in ALL[name].needs)]
    options = {p.name: p.default for p in parameters.values() if p.name not in first}
    weighted = "neighbors" not in ALL[name].needs
    assert options.get("sample_weight", "none") is (None if weighted else "none")
    if family == "collapse":
        assert options["class_weight"] is None
    for parameter in parameters.values():
        required = parameter.default is inspect.Parameter.empty
        assert required == (parameter.name in first)


@pytest.mark.parametrize("name", METRICS)
def test_docstring_names_range_and_source(name):
    doc, direction = METRICS[name].function.__doc__, METRICS[name].direction
    if direction is not None:
        assert f"{direction} is" in doc or name == "fisher_ratio"
    for section in ("Parameters", "Returns", "Notes", "References", "Examples"):
        assert re.search(rf"^ *{section}\n *-+\n", doc, flags=re.MULTILINE), section
    # The first author and the year of the source stand in the references.
    references = doc.partition("References")[2]
    assert re.match(r"\w+", METRICS[name].source)[0] in references
    assert METRICS[name].source[-4:] in references


@pytest.mark.parametrize("name", ALL)
def test_range_of_random_problems(name):
    """Any scale, few rows or many, near to fewer dimensions: in the range, or nan."""
    metric, rng = ALL[name], np.random.default_rng(0)
    low, high = metric.range
    rounding = 1e-13
    for n, scale, shrink in ((80, 1.0, 1.0), (200, 1e-3, 1e-2), (60, 1e3, 1e-6)):
        problem = random_problem(metric, rng, n=n)
        X = problem.X * scale
        X[:, 3:] *= shrink
        value = measure_problem(metric, problem._replace(X=X))
        assert type(value) is float or name in FAKES
        slack = rounding * max(1.0, abs(value))
        assert math.isnan(value) or low - slack <= value <= high + slack


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


@pytest.mark.parametrize("name", WITHOUT_CLASSES)
def test_direction_without_classes(name):
    """Better: features that the targets span, or that no direction dominates."""
    metric, rng = ALL[name], np.random.default_rng(0)
    n, d = 300, 14
    noise = rng.normal(size=(n, d))
    if metric.family == "regression":
        y, maps = rng.normal(size=(n, 2)), rng.normal(size=(2, d))
        features = {"better": y @ maps + 1e-3 * noise, "worse": y @ maps + 3 * noise}
    else:
        y, maps = None, None
        spectrum = np.append(np.geomspace(1, 1e-2, d - 2), [0.0, 0.0])
        turned = noise * spectrum @ np.linalg.qr(noise[:d])[0]
        features = {"better": noise, "worse": turned + 2.0}
    value = {
        which: measure_problem(metric, Problem(X, y, maps))
        for which, X in features.items()
    }
    if metric.direction == "higher":
        assert value["better"] > value["worse"]
    else:
        assert value["better"] < value["worse"]


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
    # Not by a common factor, which LiDAR does not see.
    wide = means + (X - means) * np.array([1.0, 3.0, 10.0, 30.0, 100.0])
    same = math.isclose(measure(name, X, y, head), measure(name, wide, y, head))
    assert same == (METRICS[name].needs <= {"means", "head"})
