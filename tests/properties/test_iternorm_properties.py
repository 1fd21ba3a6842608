"""Properties of iterative normalization, over shapes, ranks, groups and scales."""

import numpy as np
import oracles_whitening as oracle
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sklearn_collapse import ClassMoments
from sklearn_collapse.whitening import IterNormWhitener

ITERATIONS = st.integers(1, 12)
SEEDS = st.integers(0, 2**32 - 1)
EPS = np.finfo(float).eps


@st.composite
def rows(draw, full_rank=False):
    """Rows in d dimensions whose covariance has a planted rank, well conditioned."""
    rng = np.random.default_rng(draw(SEEDS))
    d = draw(st.integers(1, 12))
    rank = d if full_rank else draw(st.integers(1, d))
    n = draw(st.integers(rank + 2, 60))
    inside = np.linalg.qr(rng.normal(size=(d, rank)))[0]
    spread = np.linalg.qr(rng.normal(size=(n, rank)))[0]
    sizes = np.exp(rng.uniform(-2, 2, size=rank))
    return (spread - spread.mean(axis=0)) * sizes @ inside.T


def rotation(d, seed):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


def tolerance(n_iter):
    """Rounding of a covariance, which the map may enlarge, by a wide margin."""
    return 1e-9 + 1e3 * EPS * 2.25**n_iter


@given(rows(), ITERATIONS, st.integers(1, 12))
def test_variances_of_the_output(X, n_iter, n_groups):
    """Those of the recursion, in (0, 1] within each group; their loss is known."""
    n_groups = min(n_groups, X.shape[1])
    whitener = IterNormWhitener(n_iter, n_groups=n_groups).fit(X)
    S = (X - X.mean(axis=0)).T @ (X - X.mean(axis=0)) / len(X)
    Z = whitener.transform(X)
    found = Z.T @ Z / len(X)
    W = oracle.iternorm(S, n_iter, n_groups)
    assert_allclose(found, W @ S @ W, atol=tolerance(n_iter))
    for group in np.array_split(np.arange(X.shape[1]), n_groups):
        values = np.linalg.eigvalsh(found[np.ix_(group, group)])
        assert values[0] > -tolerance(n_iter)
        assert values[-1] < 1 + tolerance(n_iter)
    loss = ((np.diagonal(found) - 1) ** 2).sum()
    assert_allclose(whitener.trace_loss_, loss, atol=tolerance(n_iter))


@given(rows(), ITERATIONS, SEEDS)
def test_turns_with_the_features(X, n_iter, seed):
    turn = rotation(X.shape[1], seed)
    whitener = IterNormWhitener(n_iter)
    Z = whitener.fit_transform(X)
    assert_allclose(whitener.fit_transform(X @ turn), Z @ turn, atol=tolerance(n_iter))


@given(
    rows(full_rank=True),
    st.integers(1, 60),
    st.integers(1, 3),
    st.sampled_from([1e-6, 0.3, 1e6]),
    st.integers(0, 9),
)
def test_units_and_origin_do_not_matter(X, n_iter, n_groups, scale, shift):
    whitener = IterNormWhitener(n_iter, n_groups=min(n_groups, X.shape[1]))
    Z = whitener.fit_transform(X)
    assert_allclose(whitener.fit_transform(scale * (X + shift)), Z, atol=1e-6)
    back = whitener.inverse_transform(Z)
    assert_allclose(back / scale - shift, X, atol=1e-9 * (np.abs(X).max() + shift))


@given(rows(full_rank=True), st.integers(30, 300))
def test_many_iterations_whiten(X, n_iter):
    """At full rank ZCA is the limit."""
    whitener = IterNormWhitener(n_iter).fit(X)
    Z = whitener.transform(X)
    assert_allclose(Z.T @ Z / len(X), np.eye(X.shape[1]), atol=1e-8)
    S = (X - X.mean(axis=0)).T @ (X - X.mean(axis=0)) / len(X)
    W = oracle.root(S, -0.5)
    assert_allclose(whitener.whitening_, W, atol=1e-8 * np.abs(W).max())
    assert whitener.trace_loss_ < 1e-12


@given(rows(), ITERATIONS, st.integers(1, 59), st.floats(0, 1), SEEDS)
def test_blocks_and_merges_equal_one_fit(X, n_iter, cut, share, seed):
    order = np.random.default_rng(seed).permutation(len(X))
    cut = min(cut, len(X) - 1)
    first, second = X[order[:cut]], X[order[cut:]]
    whitener = IterNormWhitener(n_iter, shrinkage=share)
    expected = whitener.fit(X).transform(X)
    parts = IterNormWhitener(n_iter, shrinkage=share)
    parts.partial_fit(first).partial_fit(second)
    assert_allclose(parts.transform(X), expected, atol=tolerance(n_iter))
    merged = ClassMoments.from_arrays(first) + ClassMoments.from_arrays(second)
    adopted = IterNormWhitener(n_iter, shrinkage=share).fit_moments(merged)
    assert_allclose(adopted.transform(X), expected, atol=tolerance(n_iter))


@given(rows(), st.integers(1, 100))
def test_the_way_back(X, n_iter):
    whitener = IterNormWhitener(n_iter).fit(X)
    Z = whitener.transform(X)
    digits = 50 * EPS * 1.5 ** min(n_iter, 41)
    assert_allclose(whitener.inverse_transform(Z), X, atol=digits * np.abs(X).max())
