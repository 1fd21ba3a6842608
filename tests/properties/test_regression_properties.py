"""Properties of the metrics of regression collapse that hold for all data."""

import math
from itertools import pairwise

import numpy as np
import oracles_regression as oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sklearn_collapse.collapse import RegressionCollapseScorer
from sklearn_collapse.metrics import METRICS, nrc1, nrc2, nrc3

NAMES = ["nrc1", "nrc2", "nrc3"]
SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=25)


@st.composite
def problems(draw, least_targets=1):
    """Features, targets, and a head; n well above d, and no ties."""
    rng = np.random.default_rng(draw(SEEDS))
    t, d = draw(st.integers(least_targets, 4)), draw(st.integers(1, 6))
    n = draw(st.integers(8, 40))
    Y = rng.normal(size=(n, t)) * 10 ** rng.uniform(-1, 1, size=t) + rng.normal()
    X = Y @ rng.normal(size=(t, d)) + rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    return X + 10 ** rng.uniform(-2, 1), Y, rng.normal(size=(t, d)), rng


def measure(name, X, Y, W, **options):
    arguments = (X, Y, W) if "head" in METRICS[name].needs else (X, Y)
    return METRICS[name].function(*arguments, **options)


def turned(d, rng):
    return np.linalg.qr(rng.normal(size=(d, d)))[0]


def assert_same(found, truth, rtol=1e-8):
    assert_allclose(found, truth, rtol=rtol, atol=1e-12)


@few
@given(problem=problems(), centered=st.booleans())
def test_rotation_with_the_head(problem, centered):
    X, Y, W, rng = problem
    turn = turned(X.shape[1], rng)
    for name in ("nrc1", "nrc2"):
        found = measure(name, X @ turn, Y, W @ turn, centered=centered)
        assert_same(found, measure(name, X, Y, W, centered=centered))


@few
@given(problem=problems(), exponent=st.floats(-6, 6))
def test_units(problem, exponent):
    """Of the features, of the head, and of targets together with their weights."""
    X, Y, W, _ = problem
    unit = 10**exponent
    for name in NAMES:
        value = measure(name, X, Y, W)
        assert_same(measure(name, unit * X, Y, W), value)
        assert_same(measure(name, X, Y, unit * W), value)
        assert_same(measure(name, X, unit * Y, W), value)


@few
@given(problem=problems(least_targets=2))
def test_rotation_of_targets(problem):
    X, Y, W, rng = problem
    turn = turned(Y.shape[1], rng)
    for name in NAMES:
        found = measure(name, X, Y @ turn, turn.T @ W)
        assert_same(found, measure(name, X, Y, W))
    assert_same(nrc3(X, Y + 100, W), nrc3(X, Y, W), rtol=1e-6)


@few
@given(problem=problems(), times=st.integers(1, 4))
def test_cloning_and_order(problem, times):
    X, Y, W, rng = problem
    index = rng.permutation(np.repeat(np.arange(len(X)), times))
    for name in NAMES:
        assert_same(measure(name, X[index], Y[index], W), measure(name, X, Y, W))


@few
@given(problem=problems(), centered=st.booleans())
def test_oracles_and_range(problem, centered):
    X, Y, W, _ = problem
    k = min(Y.shape[1], X.shape[1])
    found = nrc1(X, Y, centered=centered)
    assert_same(found, oracles.nrc1(X, k, centered=centered))
    assert 0 <= found <= 1
    # More directions leave less.
    more = nrc1(X, Y, n_components=k + 1, centered=centered)
    assert more <= found + 1e-12
    found = nrc2(X, Y, W, centered=centered)
    assert_same(found, oracles.nrc2(X, W, centered=centered), rtol=1e-6)
    assert 0 <= found <= 1


@settings(max_examples=60)
@given(problem=problems(least_targets=2), near=st.booleans())
def test_no_gamma_is_better(problem, near):
    X, Y, W, rng = problem
    sigma = oracles.covariance(Y)
    top = math.sqrt(np.linalg.eigvalsh(sigma)[0])
    if near and X.shape[1] >= Y.shape[1]:
        gram = oracles.root(sigma) - rng.uniform() * top * np.eye(len(sigma))
        W = oracles.root(gram) @ np.eye(*W.shape) + 1e-3 * W
    value, gamma = nrc3(X, Y, W, return_gamma=True)
    assert 0 <= value <= 2
    assert 0 <= gamma <= top**2 * (1 + 1e-9)
    assert_allclose(oracles.nrc3_at(W, sigma, gamma), value, rtol=1e-5, atol=1e-12)
    for s in top * rng.uniform(size=20):
        assert value <= oracles.nrc3_at(W, sigma, s * s) * (1 + 1e-7) + 1e-14


@few
@given(problem=problems(), cuts=st.lists(st.integers(1, 7), min_size=1, max_size=3))
@pytest.mark.parametrize("criterion", ["nrc1", "nrc2"])
def test_any_split_equals_fit(criterion, problem, cuts):
    X, Y, W, rng = problem
    weights = rng.uniform(0.1, 2, len(X))
    scorer = RegressionCollapseScorer(criterion, head=W)
    edges = sorted({0, *cuts, len(X)})
    parts = RegressionCollapseScorer(criterion, head=W)
    for start, stop in pairwise(edges):
        here = slice(start, stop)
        parts.partial_fit(X[here], Y[here], weights[here])
    scorer.fit(X, Y, weights)
    for name, value in scorer.metrics_.items():
        assert_same(parts.metrics_[name], value)
    assert_same(scorer.score(X, Y, weights), -scorer.metrics_[criterion])
    assert_same(parts.score(X), scorer.score(X))
