"""Properties of the collapse metrics that hold for all data."""

import math
import warnings

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from sklearn_collapse import LinearHead
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.metrics import (
    METRICS,
    CollapseWarning,
    cdnv,
    fisher_ratio,
    nc1_trace_ratio,
    nc2_equiangularity,
    nc2_equinorm,
    nc2_max_angle,
    vci,
)

NAMES = [name for name, metric in METRICS.items() if metric.family == "collapse"]
NEED_HEAD = [name for name in NAMES if "head" in METRICS[name].needs]
CRITERIA = [
    name for name in NAMES if METRICS[name].needs & {"moments", "unit_moments", "rows"}
]
SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=10)


def measure(name, X, y, head, **options):
    arguments = (X, y, head) if name in NEED_HEAD else (X, y)
    return METRICS[name].function(*arguments, **options)


def assert_same(found, truth, rtol=1e-7):
    assert_allclose(found, truth, rtol=rtol, atol=1e-12)


@st.composite
def problems(draw, balanced=False):
    """Labelled rows with n well above d + C, and a head."""
    rng = np.random.default_rng(draw(SEEDS))
    n_classes, d = draw(st.integers(2, 5)), draw(st.integers(4, 6))
    sizes = [12] * n_classes if balanced else rng.integers(8, 20, size=n_classes)
    y = rng.permutation(np.repeat(np.arange(n_classes), sizes))
    means = rng.normal(size=(n_classes, d)) * 10 ** rng.uniform(-1, 2) + rng.normal()
    X = means[y] + rng.normal(size=(len(y), d)) @ rng.normal(size=(d, d))
    head = LinearHead(rng.normal(size=(n_classes, d)), rng.normal(size=n_classes))
    return X, y, head


@few
@given(problem=problems(), seed=SEEDS)
@pytest.mark.parametrize("name", NAMES)
def test_order_of_rows(name, problem, seed):
    X, y, head = problem
    order = np.random.default_rng(seed).permutation(len(y))
    found = measure(name, X[order], y[order], head)
    assert_same(found, measure(name, X, y, head), rtol=1e-9)


@few
@given(problem=problems(), seed=SEEDS, kind=st.sampled_from(["int", "str", "mixed"]))
@pytest.mark.parametrize("name", NAMES)
def test_names_of_classes(name, problem, seed, kind):
    """Other labels, in another order, of another type."""
    X, y, head = problem
    rng = np.random.default_rng(seed)
    n_classes = len(head.coef)
    names = rng.permutation(n_classes).astype(object) * 7 - 5
    if kind == "str":
        names = np.array([f"class {k}" for k in names])
    elif kind == "mixed":
        names[0] = "zero"
    else:
        names = names.astype(int)
    renamed = LinearHead(head.coef, head.intercept, classes=names)
    found = measure(name, X, names[y], renamed)
    assert_same(found, measure(name, X, y, head), rtol=1e-9)


@few
@given(problem=problems(), seed=SEEDS, class_weight=st.sampled_from([None, "balanced"]))
@pytest.mark.parametrize("name", NAMES)
def test_weights_are_frequencies(name, problem, seed, class_weight):
    X, y, head = problem
    weights = np.random.default_rng(seed).integers(1, 4, size=len(y))
    options = {"class_weight": class_weight}
    found = measure(name, X, y, head, sample_weight=weights, **options)
    repeated = np.repeat(X, weights, axis=0), np.repeat(y, weights)
    assert_same(found, measure(name, *repeated, head, **options), rtol=1e-9)


@few
@given(problem=problems(), seed=SEEDS)
@pytest.mark.parametrize(
    "name", [n for n in NAMES if "cloning" in METRICS[n].invariances]
)
def test_balanced_means_that_class_frequencies_do_not_matter(name, problem, seed):
    X, y, head = problem
    times = np.random.default_rng(seed).integers(1, 5, size=len(head.coef))[y]
    more = np.repeat(X, times, axis=0), np.repeat(y, times)
    options = {"class_weight": "balanced"}
    found = measure(name, *more, head, **options)
    assert_same(found, measure(name, X, y, head, **options), rtol=1e-9)


@few
@given(problem=problems(balanced=True))
def test_vci_is_the_loss_of_the_probe(problem):
    X, y, _ = problem
    assert_same(vci(X, y), oracles.one_minus_r2(X, y))


@few
@given(problem=problems(), class_weight=st.sampled_from([None, "balanced"]))
def test_two_classes(problem, class_weight):
    """Identities for C = 2, whatever the class sizes."""
    X, y, _ = problem
    X, y = X[y < 2], y[y < 2]
    options = {"class_weight": class_weight}
    assert_same(vci(X, y, **options), 1 / (1 + fisher_ratio(X, y, **options)))
    assert nc2_equiangularity(X, y, **options) == pytest.approx(0, abs=1e-13)
    assert nc2_max_angle(X, y, **options) == pytest.approx(0, abs=1e-13)
    balanced = {"class_weight": "balanced"}
    assert_same(cdnv(X, y), nc1_trace_ratio(X, y, **balanced) / 4)
    assert nc2_equinorm(X, y, **balanced) == pytest.approx(0, abs=1e-12)


@few
@given(problem=problems(), shrink=st.floats(1e-4, 0.9))
@pytest.mark.parametrize("name", NAMES)
def test_moving_rows_toward_their_means(name, problem, shrink):
    """No metric of scatter gets worse; those of means do not move.

    The scale laws are exact: NC1, CDNV and 1 / VCI - 1 of one eigenvalue go with the
    square of the spread.
    """
    X, y, head = problem
    means = np.array([X[y == c].mean(axis=0) for c in range(len(head.coef))])[y]
    near = means + shrink * (X - means)
    before, after = measure(name, X, y, head), measure(name, near, y, head)
    if name in ("nc1_pinv", "nc1_trace_ratio", "cdnv"):
        assert_same(after, shrink**2 * before)
    elif name == "fisher_ratio":
        assert_same(after, before / shrink**2)
    elif name == "vci":
        assert after < before
    elif not METRICS[name].needs & {"rows", "unit_moments"}:
        assert_same(after, before)


# -- any data at all ------------------------------------------------------------------

MAY_BE_NAN = {
    *("nc2_equinorm", "nc2_equiangularity", "nc2_max_angle", "nc2_etf_error"),
    *("gof_off_diagonal", "nc3_self_duality", "nc3_product"),
    *("cdnv", "lidar", "class_separation", "tolerance", "nc3_uniform_duality"),
}


@st.composite
def lattices(draw):
    """Few rows of small integers: everything that can coincide does."""
    n, d = draw(st.integers(2, 12)), draw(st.integers(1, 4))
    X = draw(arrays(np.float64, (n, d), elements=st.integers(-2, 2).map(float)))
    n_classes = draw(st.integers(2, min(n, 4)))
    rest = draw(st.lists(st.integers(0, n_classes - 1), min_size=n, max_size=n))
    y = np.array([*range(n_classes), *rest[n_classes:]])
    rows = arrays(np.float64, (n_classes, d), elements=st.integers(-1, 1).map(float))
    return X, y, LinearHead(draw(rows))


@given(problem=lattices(), class_weight=st.sampled_from([None, "balanced"]))
def test_in_range_or_undefined(problem, class_weight):
    """Degenerate data give a value in the documented range; nan only where it may be.

    And no warning but ours.
    """
    X, y, head = problem
    for name in NAMES:
        low, high = METRICS[name].range
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CollapseWarning)
            value = measure(name, X, y, head, class_weight=class_weight)
        if math.isnan(value):
            assert name in MAY_BE_NAN, name
        else:
            assert low - 1e-12 <= value <= high + 1e-12, name


@given(problem=lattices(), class_weight=st.sampled_from([None, "balanced"]))
def test_scorer_and_functions_on_any_data(problem, class_weight):
    X, y, head = problem
    options = {"head": head, "class_weight": class_weight, "metrics": "all"}
    scorer = NeuralCollapseScorer(**options).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        for name, value in scorer.metrics_.items():
            if class_weight and "rows" in METRICS[name].needs:
                continue  # of rows between two means the weights' rounding decides
            found = measure(name, X, y, head, class_weight=class_weight)
            assert_allclose(found, value, rtol=1e-7, atol=1e-9, err_msg=name)


@given(problem=lattices(), class_weight=st.sampled_from([None, "balanced"]))
def test_score_of_the_fitted_rows_of_any_data(problem, class_weight):
    X, y, head = problem
    options = {"head": head, "class_weight": class_weight, "metrics": "all"}
    scorer = NeuralCollapseScorer(**options).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        for criterion in CRITERIA:
            value = scorer.metrics_[criterion]
            if METRICS[criterion].direction == "lower":
                value = -value
            score = scorer.set_params(criterion=criterion).score(X, y)
            assert_allclose(score, value, rtol=1e-7, atol=1e-9, err_msg=criterion)
