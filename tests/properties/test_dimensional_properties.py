"""Properties of the dimensional metrics that hold for all data."""

import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from sklearn_collapse import ClassMoments
from sklearn_collapse.collapse import DimensionalCollapseScorer
from sklearn_collapse.metrics import (
    METRICS,
    CollapseWarning,
    effective_rank,
    entropy_rank,
    isoscore,
    mean_cosine,
    nesum,
    numerical_rank,
    participation_ratio,
    wasserstein_uniformity,
)

NAMES = [name for name, metric in METRICS.items() if metric.family == "dimensional"]
INVARIANCES = [
    (name, kind) for name in NAMES for kind in sorted(METRICS[name].invariances)
]
RANKS = ("effective_rank", "entropy_rank", "rankme", "participation_ratio")
RANKS = (*RANKS, "stable_rank", "nuclear_rank", "numerical_rank", "nesum")
SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=10)


def measure(name, X, **options):
    if name == "alpha_req":
        options["fit_range"] = (1, 6)
    return METRICS[name].function(X, **options)


@st.composite
def rows(draw):
    """Rows about a mean, of any shape, with well separated variances."""
    rng = np.random.default_rng(draw(SEEDS))
    n, d = draw(st.integers(6, 40)), draw(st.integers(3, 9))
    X = rng.normal(size=(n, d)) * np.geomspace(1, 0.1, d)
    return X @ rng.normal(size=(d, d)) + rng.normal(size=d)


@pytest.mark.parametrize(("name", "kind"), INVARIANCES)
@few
@given(X=rows(), seed=SEEDS)
def test_invariances(name, kind, X, seed):
    rng = np.random.default_rng(seed)
    d = X.shape[1]
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
    moved = {
        "rotation": lambda: X @ rotation,
        "translation": lambda: X + 10 * rng.normal(size=d),
        "scale": lambda: 10.0 ** rng.uniform(-6, 6) * X,
        "invertible": lambda: (X * rng.uniform(0.2, 5, size=d)) @ rotation,
        "cloning": lambda: np.repeat(X, 3, axis=0),
    }[kind]()
    truth, found = measure(name, X), measure(name, moved)
    assert_allclose(found, truth, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@few
@given(X=rows(), seed=SEEDS)
def test_weights_are_frequencies(name, X, seed):
    """Weights of the rows, whole or not, are what repeating them would be."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 4, size=len(X))
    weights[:3] = 1
    found = measure(name, X, sample_weight=weights)
    truth = measure(name, np.repeat(X, weights, axis=0))
    assert_allclose(found, truth, rtol=1e-7, atol=1e-10)
    halves = np.concatenate([weights, weights]) / 2
    both = measure(name, np.concatenate([X, X]), sample_weight=halves)
    assert_allclose(both, truth, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
@few
@given(X=rows(), seed=SEEDS)
def test_order_of_rows(name, X, seed):
    order = np.random.default_rng(seed).permutation(len(X))
    assert_allclose(measure(name, X[order]), measure(name, X), rtol=1e-7, atol=1e-10)


@given(
    X=arrays(
        np.float64,
        st.tuples(st.integers(2, 9), st.integers(1, 6)),
        elements=st.floats(-100, 100, width=32),
    )
)
def test_ranges(X):
    """Whatever the rows: constant columns, equal rows, rows of zeros."""
    d = X.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        for name in NAMES:
            value = measure(name, X)
            low, high = METRICS[name].range
            assert math.isnan(value) or low - 1e-12 <= value <= high + 1e-12, name
            if name in RANKS:
                assert value == 0 or 1 <= value <= d, name


@given(X=rows())
def test_order_of_ranks(X):
    """Entropies of order 1, 2 and infinity, and roots, in their known order."""
    slack = 1 + 1e-12
    chain = [nesum(X), participation_ratio(X), entropy_rank(X), effective_rank(X)]
    chain.append(numerical_rank(X))
    assert all(a <= b * slack for a, b in pairwise(chain))
    assert_allclose(isoscore(X), (chain[1] - 1) / (X.shape[1] - 1), rtol=1e-9)


@given(X=rows(), seed=SEEDS)
def test_lengths_of_rows_do_not_matter_to_directions(X, seed):
    lengths = 10 ** np.random.default_rng(seed).uniform(-3, 3, size=(len(X), 1))
    for function in (mean_cosine, wasserstein_uniformity):
        assert_allclose(function(lengths * X), function(X), rtol=1e-7, atol=1e-10)


@given(X=rows(), cut=st.integers(1, 5))
def test_any_split_of_the_rows(X, cut):
    """Streams, merges and moments of classes give what one fit gives."""
    names = [name for name in NAMES if name != "vrm"]
    whole = DimensionalCollapseScorer(metrics=names).fit(X)
    parts = DimensionalCollapseScorer(metrics=names)
    for block in (X[:cut], X[cut:]):
        parts.partial_fit(block)
    y = np.arange(len(X)) % cut
    merged, units = (
        ClassMoments.from_arrays(X[:cut], y[:cut], normalize=unit)
        + ClassMoments.from_arrays(X[cut:], y[cut:], normalize=unit)
        for unit in (False, True)
    )
    adopted = DimensionalCollapseScorer(metrics=names).fit_moments(merged, units)
    for other in (parts, adopted):
        for name, value in whole.metrics_.items():
            found = other.metrics_[name]
            assert_allclose(found, value, rtol=1e-7, atol=1e-10, err_msg=name)
