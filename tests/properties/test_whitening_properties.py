"""Properties of whitening, over shapes, ranks and scales."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sklearn_collapse.whitening import SpectralWhitener

METHODS = st.sampled_from(["zca", "pca", "cholesky", "zca_cor", "pca_cor"])
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def rows(draw, full_rank=False):
    """Rows in d dimensions whose covariance has a planted rank, well conditioned."""
    rng = np.random.default_rng(draw(SEEDS))
    d = draw(st.integers(1, 12))
    rank = d if full_rank else draw(st.integers(1, d))
    n = draw(st.integers(rank + 2, 60))
    inside = np.linalg.qr(rng.normal(size=(d, rank)))[0]
    spread = np.linalg.qr(rng.normal(size=(n, rank)))[0]
    spread = spread - spread.mean(axis=0)
    sizes = np.exp(rng.uniform(-2, 2, size=rank))
    return spread * sizes @ inside.T, rank


def rotation(d, seed):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


@given(rows(), METHODS)
def test_output_is_white(data, method):
    X, rank = data
    whitener = SpectralWhitener(method).fit(X)
    assert whitener.rank_ == rank
    Z = whitener.transform(X)
    values = np.linalg.svd(Z / np.sqrt(len(X)), compute_uv=False)
    assert_allclose(values[:rank], 1, atol=1e-9)
    assert_allclose(values[rank:], 0, atol=1e-9)
    assert_allclose(whitener.inverse_transform(Z), X, atol=1e-10 * np.abs(X).max())


@given(
    rows(full_rank=True), METHODS, st.sampled_from([1e-6, 0.3, 1e6]), st.integers(0, 9)
)
def test_units_and_origin_do_not_matter(data, method, scale, shift):
    X, _ = data
    Z = SpectralWhitener(method).fit_transform(X)
    moved = scale * (X + shift)
    assert_allclose(SpectralWhitener(method).fit_transform(moved), Z, atol=1e-6)


@given(rows(), SEEDS)
def test_zca_turns_with_the_features(data, seed):
    X, _ = data
    turn = rotation(X.shape[1], seed)
    Z = SpectralWhitener().fit_transform(X)
    assert_allclose(SpectralWhitener().fit_transform(X @ turn), Z @ turn, atol=1e-8)


@given(rows(full_rank=True), st.lists(st.floats(-3, 3), min_size=12, max_size=12))
def test_zca_cor_ignores_units_of_columns(data, exponents):
    X, _ = data
    units = 10.0 ** np.array(exponents[: X.shape[1]])
    Z = SpectralWhitener("zca_cor").fit_transform(X)
    assert_allclose(SpectralWhitener("zca_cor").fit_transform(X * units), Z, atol=1e-6)


@given(rows(), METHODS, METHODS)
def test_methods_differ_by_a_rotation(data, one, other):
    """Distances between whitened rows are those of Mahalanobis, for every method."""
    X, _ = data
    a = SpectralWhitener(one).fit_transform(X)
    b = SpectralWhitener(other).fit_transform(X)
    assert_allclose(a @ a.T, b @ b.T, atol=1e-8 * len(X))


@given(rows(), METHODS, st.integers(1, 59), st.floats(0, 1), SEEDS)
def test_blocks_equal_one_fit(data, method, cut, share, seed):
    X, _ = data
    order = np.random.default_rng(seed).permutation(len(X))
    cut = min(cut, len(X) - 1)
    options = {"shrinkage": share, "ddof": 1}
    whole = SpectralWhitener(method, **options).fit(X)
    parts = SpectralWhitener(method, **options).partial_fit(X[order[:cut]])
    parts.partial_fit(X[order[cut:]])
    a, b = whole.transform(X), parts.transform(X)
    assert_allclose(a @ a.T, b @ b.T, atol=1e-8 * len(X))
