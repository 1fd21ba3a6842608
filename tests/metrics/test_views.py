"""Tests of the metrics of two views, against loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sklearn_collapse.metrics import _views, alignment, cross_correlation_loss

SEEDS = st.integers(0, 2**32 - 1)


def make_views(seed=0, n=40, d=5):
    rng = np.random.default_rng(seed)
    X_a = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3 * rng.normal(size=d)
    return X_a, X_a + rng.normal(size=(n, d))


def unit(row):
    norm = math.sqrt(sum(v * v for v in row))
    return [v / norm for v in row] if norm else list(row)


def slow_alignment(X_a, X_b, alpha=2, weights=None):
    weights = np.ones(len(X_a)) if weights is None else weights
    total = 0.0
    for a, b, w in zip(X_a, X_b, weights, strict=True):
        square = sum((p - q) ** 2 for p, q in zip(unit(a), unit(b), strict=True))
        total += w * math.sqrt(square) ** alpha
    return total / sum(weights)


def slow_correlation(a, b, weights):
    mean_a, mean_b = np.average(a, weights=weights), np.average(b, weights=weights)
    rows = range(len(a))
    cross = sum(weights[i] * (a[i] - mean_a) * (b[i] - mean_b) for i in rows)
    scale = sum(weights[i] * (a[i] - mean_a) ** 2 for i in rows)
    scale *= sum(weights[i] * (b[i] - mean_b) ** 2 for i in rows)
    return cross / math.sqrt(scale) if scale else 0.0


def slow_loss(X_a, X_b, weight=5e-3, weights=None):
    weights = np.ones(len(X_a)) if weights is None else weights
    total = 0.0
    for i in range(X_a.shape[1]):
        for j in range(X_b.shape[1]):
            c = slow_correlation(X_a[:, i], X_b[:, j], weights)
            total += (1 - c) ** 2 if i == j else weight * c**2
    return total


@pytest.mark.parametrize("alpha", [1, 2, 3.5])
def test_alignment(library, alpha):
    X_a, X_b = make_views()
    found = alignment(library.asarray(X_a), library.asarray(X_b), alpha=alpha)
    assert isinstance(found, float)
    assert_allclose(found, slow_alignment(X_a, X_b, alpha), rtol=1e-12)


@pytest.mark.parametrize("weight", [5e-3, 0.0, 1.0])
def test_loss(library, weight):
    X_a, X_b = make_views(1)
    found = cross_correlation_loss(
        library.asarray(X_a), library.asarray(X_b), weight=weight
    )
    assert isinstance(found, float)
    assert_allclose(found, slow_loss(X_a, X_b, weight), rtol=1e-10)


@pytest.mark.parametrize("function", [alignment, cross_correlation_loss])
def test_weights_are_frequencies(library, rng, function):
    X_a, X_b = make_views(2)
    weights = rng.integers(0, 4, size=len(X_a))
    slow = slow_alignment if function is alignment else slow_loss
    truth = slow(X_a, X_b, weights=weights)
    X_a[weights == 0] = np.nan  # rows of zero weight do not exist
    views = [library.asarray(X) for X in (X_a, X_b)]
    found = function(*views, sample_weight=library.asarray(weights))
    assert_allclose(found, truth, rtol=1e-10)
    kept = weights > 0
    repeated = [np.repeat(X[kept], weights[kept], axis=0) for X in (X_a, X_b)]
    assert_allclose(found, function(*repeated), rtol=1e-10)


@pytest.mark.parametrize("function", [alignment, cross_correlation_loss])
def test_blocks(monkeypatch, function):
    """Rows that are visited in blocks, of half and single precision."""
    X_a, X_b = make_views(3, n=700)
    for dtype, rtol in ((np.float32, 1e-6), (np.float16, 1e-6)):
        views = [X.astype(dtype) for X in (X_a, X_b)]
        slow = slow_alignment if function is alignment else slow_loss
        wide = [X.astype(float) for X in views]
        assert_allclose(function(*views), slow(*wide), rtol=rtol)


def test_rows_of_zeros():
    X_a = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    X_b = np.array([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0]])
    assert alignment(X_a, X_b) == pytest.approx(1 / 3, rel=1e-15)


def test_close_views_keep_their_digits():
    X = np.array([[1.0, 1e-9], [1.0, 0.0]])
    assert alignment(X, X[::-1]) == pytest.approx(1e-18, rel=1e-7)


def test_one_row():
    assert alignment([[1.0, 0.0]], [[-2.0, 0.0]]) == 4.0
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        cross_correlation_loss([[1.0, 0.0]], [[1.0, 0.0]])


def test_constant_columns():
    """Their correlations are zero, so that each costs 1 on the diagonal."""
    X_a, X_b = make_views(4)
    X_a[:, 2] = 0.1
    assert_allclose(cross_correlation_loss(X_a, X_b), slow_loss(X_a, X_b), rtol=1e-10)
    ones = np.full((5, 3), 0.1, dtype=np.float32)
    assert cross_correlation_loss(ones, ones) == 3.0


def test_columns_of_opposite_sign():
    """A correlation of -1 on the diagonal costs 4."""
    X, _ = make_views(8)
    flipped = X * [1, -1, 1, -1, -1]
    assert_allclose(cross_correlation_loss(X, flipped), slow_loss(X, flipped))
    assert cross_correlation_loss(X, flipped, weight=0) == pytest.approx(12)


def test_large_values():
    X_a, X_b = make_views(5)
    assert_allclose(
        alignment(1e200 * X_a, 1e-200 * X_b), alignment(X_a, X_b), rtol=1e-12
    )


@given(SEEDS)
def test_alignment_properties(seed):
    X_a, X_b = make_views(seed, n=12)
    rng = np.random.default_rng(seed)
    value = alignment(X_a, X_b)
    assert 0 <= value <= 4
    scale = 10 ** rng.uniform(-3, 3, size=(2, 12, 1))
    turn, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    changed = alignment(scale[0] * X_a @ turn, scale[1] * X_b @ turn)
    assert_allclose(changed, value, rtol=1e-10)
    assert_allclose(alignment(X_b, X_a), value, rtol=1e-12)


@given(SEEDS)
def test_loss_properties(seed):
    X_a, X_b = make_views(seed, n=12)
    rng = np.random.default_rng(seed)
    value = cross_correlation_loss(X_a, X_b)
    scale, shift = 10 ** rng.uniform(-3, 3, size=5), rng.normal(size=5)
    assert_allclose(cross_correlation_loss(scale * X_a + shift, X_b), value, rtol=1e-6)
    assert_allclose(cross_correlation_loss(X_b, X_a), value, rtol=1e-8)
    order = rng.permutation(5)
    permuted = cross_correlation_loss(X_a[:, order], X_b[:, order])
    assert_allclose(permuted, value, rtol=1e-8)


@pytest.mark.parametrize("function", [alignment, cross_correlation_loss])
def test_errors(library, function):
    X_a, X_b = make_views()
    with pytest.raises(ValueError, match=r"same shape.*\(40, 5\) and \(39, 5\)"):
        function(X_a, X_b[1:])
    with pytest.raises(ValueError, match="same shape"):
        function(X_a, X_b[:, 1:])
    X_b[7, 2] = np.nan
    with pytest.raises(ValueError, match="Input X_b contains NaN: first in row 7"):
        function(library.asarray(X_a), library.asarray(X_b))
    if library.name != "numpy":
        with pytest.raises(ValueError, match="of one library"):
            function(library.asarray(X_a), X_a)
    option = "alpha" if function is alignment else "weight"
    with pytest.raises(ValueError, match=f"{option} must"):
        function(X_a, X_a, **{option: -1})


def test_cross_correlations_hold_correlations():
    X_a, X_b = make_views(6)
    found = _views._cross_correlations(X_a, X_b, None)
    truth = np.corrcoef(X_a.T, X_b.T)[:5, 5:]
    assert_allclose(found, truth, rtol=1e-10)
