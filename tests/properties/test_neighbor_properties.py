"""Properties of the metrics of nearest neighbours that hold for all data."""

import math

import numpy as np
import oracles_neighbors as oracles
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sklearn_collapse._linalg._neighbors import nearest
from sklearn_collapse._linalg._points import Points
from sklearn_collapse._linalg._trees import tree_lengths
from sklearn_collapse.metrics import METRICS, lid, thornton_index

NAMES = [name for name, metric in METRICS.items() if metric.family == "neighbors"]
INVARIANCES = [
    (name, kind) for name in NAMES for kind in sorted(METRICS[name].invariances)
]
SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=15)


@st.composite
def problems(draw):
    """Gaussian classes of any spread, place and scale, some rows equal."""
    rng = np.random.default_rng(draw(SEEDS))
    n, d = draw(st.integers(12, 40)), draw(st.integers(2, 8))
    y = rng.integers(0, 3, n)
    spread = 10.0 ** draw(st.integers(-4, 1))
    X = rng.normal(size=(3, d))[y] + spread * rng.normal(size=(n, d))
    return X, y


def measure(name, X, y):
    options = {"random_state": 0} if name == "mst_dimension" else {}
    arguments = (X, y) if name == "thornton_index" else (X,)
    return METRICS[name].function(*arguments, **options)


@pytest.mark.parametrize(("name", "kind"), INVARIANCES)
@few
@given(problems(), SEEDS, st.integers(-6, 6))
def test_invariances(name, kind, problem, seed, power):
    X, y = problem
    rng = np.random.default_rng(seed)
    moved, labels = X, y
    if kind == "rotation":
        moved = X @ np.linalg.qr(rng.normal(size=(X.shape[1],) * 2))[0]
    elif kind == "translation":
        moved = X + rng.normal(size=X.shape[1])
    elif kind == "scale":
        moved = 10.0**power * X
    else:
        assert kind == "cloning"
        order = rng.permutation(np.repeat(np.arange(len(X)), 3))
        moved, labels = X[order], y[order]
    # Rounding of the moved rows shows in spreads of 1e-4.
    assert_allclose(measure(name, moved, labels), measure(name, X, y), rtol=1e-6)


@few
@given(problems(), st.integers(1, 11))
def test_neighbors(problem, k):
    X, _ = problem
    found = nearest(Points(X), k)
    assert_allclose(found.distances, oracles.neighbor_distances(X, k), rtol=1e-9)
    assert (np.diff(found.distances, axis=1) >= 0).all()


@few
@given(problems(), st.integers(0, 10))
def test_tree(problem, copies):
    X, _ = problem
    X = np.vstack([X, X[:copies]])
    assert_allclose(tree_lengths(Points(X)), oracles.tree(X), rtol=1e-9, atol=0)


@few
@given(problems(), SEEDS)
def test_order_of_rows(problem, seed):
    X, y = problem
    order = np.random.default_rng(seed).permutation(len(X))
    for name in set(NAMES) - {"mst_dimension"}:  # its draws go by position
        value = measure(name, X[order], y[order])
        assert_allclose(value, measure(name, X, y), rtol=1e-9)


@few
@given(problems())
def test_order_of_means(problem):
    """Harmonic below geometric, and both between the smallest and the largest."""
    X, _ = problem
    harmonic, geometric = lid(X, aggregate="harmonic"), lid(X)
    assert harmonic <= geometric * (1 + 1e-12)
    k = min(20, len(X) - 1)
    assert lid(X, correction=True) * k == pytest.approx(geometric * (k - 1))


@few
@given(problems())
def test_thornton_index_is_a_share(problem):
    X, y = problem
    assume(len(set(y)) > 1)
    value = thornton_index(X, y)
    assert value == pytest.approx(oracles.thornton_index(X, y))
    assert math.isclose(value * len(X), round(value * len(X)), abs_tol=1e-9)
