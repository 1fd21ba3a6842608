"""Tests of features against the weights that read them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse.metrics import (
    CollapseWarning,
    sign_diversity,
    spectral_alignment,
    utilized_rank,
)

SEEDS = st.integers(0, 2**32 - 1)


def make_layer(seed=0, n=50, m=4, d=6, offset=0.3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) + offset, rng.normal(size=(m, d))


def slow_alignment(X, W):
    leading = np.linalg.eigh(W.T @ W)[1][:, -1]
    norms = [np.linalg.norm(x) for x in X]
    values = [x @ leading / r if r else 0.0 for x, r in zip(X, norms, strict=True)]
    return np.array(values) * np.sign(np.mean(values))


def slow_rank(X, W, energy, centered=False, weights=None):
    weights = np.ones(len(X)) if weights is None else weights
    if centered:
        X = X - np.average(X, axis=0, weights=weights)
    moment = sum(w * np.outer(x, x) for x, w in zip(X, weights, strict=True))
    sizes = []
    for matrix in (moment, W @ moment @ W.T):
        values = np.linalg.eigvalsh(matrix)[::-1]
        values = values[values > 1e-12 * values[0]]
        total, k = 0.0, 0
        while k < len(values) and total < energy * values.sum() * (1 - 1e-12):
            total += values[k]
            k += 1
        sizes.append(k)
    return min(sizes)


@pytest.mark.parametrize("m", [1, 4, 9])
def test_alignment(library, m):
    X, W = make_layer(m=m)
    X[3] = 0
    found = spectral_alignment(library.asarray(X), library.asarray(W))
    assert library.owns(found)
    assert_allclose(library.to_numpy(found), slow_alignment(X, W), atol=1e-12)
    assert library.to_numpy(found)[3] == 0


def test_sign_of_opposite_rows():
    """Cosines of mean zero: the largest entry of the vector is positive."""
    W = np.array([[-3.0, 1.0], [0.0, 0.5]])
    X = np.array([[2.0, 1.0], [-2.0, -1.0]])
    leading = np.linalg.eigh(W.T @ W)[1][:, -1]
    leading *= np.sign(leading[np.argmax(np.abs(leading))])
    truth = X @ leading / np.sqrt(5)
    assert truth[0] > 0
    for sign in (1, -1):
        assert_allclose(spectral_alignment(X, sign * W), truth, rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_sign_diversity(library, rng, weighted):
    X, W = make_layer(1)
    X[5] = 0
    weights = rng.integers(0, 3, size=len(X)) if weighted else None
    w = np.ones(len(X)) if weights is None else weights
    values = slow_alignment(X, W)
    truth = min(w[values > 0].sum(), w[values < 0].sum()) / w.sum()
    found = sign_diversity(
        library.asarray(X), library.asarray(W), sample_weight=weights
    )
    assert found == pytest.approx(truth, rel=1e-14)
    assert 0 < found < 0.5


def test_rows_across_the_direction_are_on_neither_side():
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 6)))
    W = 5 * np.outer([1.0, 2.0], turn[0]) + np.outer([1.0, -0.5], turn[1])
    X = np.random.default_rng(4).normal(size=(30, 4)) @ turn[2:]
    assert sign_diversity(X, W) == 0
    assert sign_diversity(np.vstack([X, turn[:1], -turn[:1]]), W) == 1 / 32


def test_layer_of_float32_rows():
    X, W = make_layer(2)
    X = X.astype(np.float32)
    truth = slow_alignment(X.astype(float), W)
    assert_allclose(spectral_alignment(X, W.astype(np.float64)), truth, atol=1e-12)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("energy", [0.5, 0.9, 0.99, 1])
def test_utilized_rank(library, energy, centered):
    rng = np.random.default_rng(5)
    X = rng.normal(size=(80, 8)) * np.geomspace(1, 0.05, 8) + 1.0
    W = rng.normal(size=(6, 8)) * np.geomspace(1, 0.1, 8)[::-1]
    found = utilized_rank(
        library.asarray(X), library.asarray(W), energy=energy, centered=centered
    )
    assert isinstance(found, int)
    assert found == slow_rank(X, W, energy, centered)


def test_utilized_rank_of_weighted_rows(rng):
    X, W = make_layer(6, d=9, m=7)
    weights = rng.integers(0, 2, size=len(X)) * rng.integers(1, 1000, size=len(X))
    for energy in (0.6, 0.8, 0.95):
        found = utilized_rank(X, W, energy=energy, sample_weight=weights)
        assert found == slow_rank(X, W, energy, weights=weights)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_rank_of_product_is_exact(dtype):
    """Full energy: the rank of features, of weights, and of where they meet."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 10))
    W = rng.normal(size=(6, 10))
    X = X.astype(dtype)
    assert utilized_rank(X, W, energy=1) == 4
    low = rng.normal(size=(6, 3)) @ rng.normal(size=(3, 10))
    assert utilized_rank(X, low, energy=1) == 3
    # Weights of rank 5, of which the features reach one direction.
    basis, _ = np.linalg.qr(X.astype(float).T[:, :4])
    blind = rng.normal(size=(6, 10))
    blind -= blind @ basis @ basis.T
    seen = blind + 3 * np.outer(rng.normal(size=6), basis[:, 0])
    assert utilized_rank(X, seen, energy=1) == 1


def test_zeros():
    X, W = make_layer()
    assert utilized_rank(0 * X, W) == 0
    assert utilized_rank(X, 0 * W) == 0
    assert utilized_rank(np.ones((3, 6)), W, centered=True) == 0
    assert utilized_rank(X[:1], W) == 1
    assert_array_equal(spectral_alignment(0 * X, W), np.zeros(len(X)))
    assert sign_diversity(0 * X, W) == 0
    for function in (spectral_alignment, sign_diversity):
        with pytest.raises(ValueError, match="W is zero"):
            function(X, 0 * W)


def test_a_repeated_singular_value_is_said():
    X, _ = make_layer()
    with pytest.warns(CollapseWarning, match="two largest singular values"):
        sign_diversity(X, np.eye(6))


@given(SEEDS)
def test_properties(seed):
    X, W = make_layer(seed, n=20)
    rng = np.random.default_rng(seed)
    value = spectral_alignment(X, W)
    assert np.abs(value).max() <= 1 + 1e-12
    assert value.mean() >= -1e-12
    turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    left, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    scale = 10 ** rng.uniform(-2, 2, size=(20, 1))
    gap = np.diff(np.linalg.svd(W)[1][:2])[0]
    changed = spectral_alignment(scale * X @ turn, -7 * left @ W @ turn)
    assert_allclose(changed, value, atol=1e-11 / abs(gap))
    for energy in (0.7, 0.95):
        rank = utilized_rank(X, W, energy=energy)
        assert rank == utilized_rank(X @ turn, left @ W @ turn, energy=energy)
        assert 1 <= rank <= 4


@pytest.mark.parametrize(
    "function", [spectral_alignment, sign_diversity, utilized_rank]
)
def test_errors(library, function):
    X, W = make_layer()
    with pytest.raises(ValueError, match=r"W must have shape \(m, 6\).*W\.T"):
        function(library.asarray(X), library.asarray(W.T))
    X[4, 1] = np.inf
    with pytest.raises(ValueError, match=r"infinity .* row 4, column 1"):
        function(library.asarray(X), library.asarray(W))
    W[1, 2] = np.nan
    with pytest.raises(ValueError, match="Input W contains NaN"):
        function(library.asarray(0 * X[:2]), library.asarray(W))


@pytest.mark.parametrize("energy", [0, 1.5, -1, np.nan])
def test_energy_is_a_share(energy):
    X, W = make_layer()
    with pytest.raises(ValueError, match="energy must lie in"):
        utilized_rank(X, W, energy=energy)


def test_sign_where_the_mean_is_rounding(library):
    """The largest entry of the vector decides, not the order of the sum."""
    rng = np.random.default_rng(0)
    W = rng.normal(size=(3, 4))
    leading = np.linalg.svd(W)[2][0]
    leading *= np.sign(leading[np.argmax(np.abs(leading))])
    for _ in range(10):
        X = rng.normal(size=(40, 4))
        X = rng.permutation(np.concatenate([X, -X]))
        truth = X @ leading / np.linalg.norm(X, axis=1)
        found = spectral_alignment(library.asarray(X), library.asarray(W))
        assert_allclose(library.to_numpy(found), truth, atol=1e-12)
