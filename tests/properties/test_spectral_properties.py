"""Properties of solvers and transfers, over shapes, ranks and scales."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sklearn_collapse.whitening import SpectralTransformer, SpectralWhitener

# A band may hold nothing, which is right and warned of.
pytestmark = pytest.mark.filterwarnings("ignore:transfer='band' takes off all")

SEEDS = st.integers(0, 2**32 - 1)
SOLVERS = st.sampled_from(["eigh", "svd", "gram"])
OF_ROWS = st.sampled_from(["svd", "gram"])
TRANSFERS = st.one_of(
    st.builds(lambda p: {"exponent": p}, st.floats(0, 1)),
    st.builds(lambda e: {"transfer": "soft", "epsilon": e}, st.floats(1e-6, 1)),
    st.builds(lambda e: {"transfer": "direct_pred", "epsilon": e}, st.floats(0, 1)),
    st.builds(lambda k: {"transfer": "drop_top", "n_drop": k}, st.integers(0, 3)),
    st.builds(
        lambda low, high: {"transfer": "band", "band": (low, high)},
        st.floats(0, 0.4),
        st.floats(0.6, 1),
    ),
)


@st.composite
def rows(draw, least_rank=1):
    """Rows in d dimensions whose covariance has a planted rank and distinct values."""
    rng = np.random.default_rng(draw(SEEDS))
    d = draw(st.integers(least_rank, 30))
    rank = draw(st.integers(least_rank, min(d, 12)))
    n = draw(st.integers(rank + 2, 40))
    inside = np.linalg.qr(rng.normal(size=(d, rank)))[0]
    spread = rng.normal(size=(n, rank))
    spread = np.linalg.qr(spread - spread.mean(axis=0))[0]
    sizes = np.exp(np.sort(rng.uniform(0, 3, size=rank)) + 0.1 * np.arange(rank))
    scale = 10.0 ** draw(st.sampled_from([-6, 0, 6]))
    return scale * (spread * sizes @ inside.T + rng.normal(size=d)), rank


def assert_close(a, b, rtol=1e-7):
    assert_allclose(a, b, atol=rtol * max(np.abs(b).max(), 1e-300))


@given(rows(), OF_ROWS, st.sampled_from(["zca", "pca", "cholesky", "zca_cor"]))
def test_solvers_are_equal(data, solver, method):
    X, rank = data
    a = SpectralWhitener(method, solver=solver).fit(X)
    b = SpectralWhitener(method, solver="eigh").fit(X)
    if method != "zca_cor":
        assert a.rank_ == b.rank_ == rank
    assert_close(a.transform(X), b.transform(X))
    assert_close(a.eigenvalues_, b.eigenvalues_)


@given(rows(), OF_ROWS, st.floats(0.01, 1), SEEDS)
def test_solvers_are_equal_on_new_rows(data, solver, share, seed):
    X, _ = data
    new = X.std() * np.random.default_rng(seed).normal(size=X.shape)
    a = SpectralWhitener(solver=solver, shrinkage=share).fit(X)
    b = SpectralWhitener(solver="eigh", shrinkage=share).fit(X)
    assert a.rank_ == b.rank_ == X.shape[1]
    assert_close(a.transform(new), b.transform(new))
    assert_close(a.score_samples(new), b.score_samples(new))


@given(rows(least_rank=4), SOLVERS, TRANSFERS)
def test_gains_are_ratios_of_deviations(data, solver, options):
    """The output's covariance is that of the input with l replaced by g^2 l."""
    X, rank = data
    fitted = SpectralTransformer(solver=solver, **options).fit(X)
    assert fitted.rank_ == rank
    assert fitted.gains_.shape == (rank,)
    centred = X - X.mean(axis=0)
    Z = fitted.transform(X)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(X))
    values, vectors = values[::-1][:rank], vectors[:, ::-1][:, :rank]
    assert_close(fitted.eigenvalues_, values)
    found = np.linalg.norm(Z @ vectors, axis=0) / np.sqrt(len(X))
    assert_close(found, np.abs(fitted.gains_) * np.sqrt(values), rtol=1e-6)


@given(rows(least_rank=4), TRANSFERS, SEEDS)
def test_transfers_turn_with_the_features(data, options, seed):
    X, _ = data
    d = X.shape[1]
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    Z = SpectralTransformer(**options).fit_transform(X)
    turned = SpectralTransformer(**options).fit_transform(X @ turn)
    assert_close(turned, Z @ turn, rtol=1e-6)


@given(rows(least_rank=4), TRANSFERS)
def test_there_and_back(data, options):
    X, _ = data
    fitted = SpectralTransformer(**options).fit(X)
    assume(hasattr(fitted, "inverse_transform"))
    assert_close(fitted.inverse_transform(fitted.transform(X)), X, rtol=1e-6)


@given(rows(least_rank=4), st.floats(0, 0.5), st.floats(0, 0.5))
def test_powers_add_up(data, first, second):
    """Two powers one after the other are one: p, then q of the new spectrum."""
    X, _ = data
    once = SpectralTransformer(exponent=first).fit_transform(X)
    twice = SpectralTransformer(exponent=second).fit_transform(once)
    # l -> l^(1 - 2p): the second gain is l^(-q (1 - 2p)).
    total = first + second * (1 - 2 * first)
    assert_close(twice, SpectralTransformer(exponent=total).fit_transform(X), 1e-6)


@given(rows(least_rank=4), st.floats(0.05, 0.95))
def test_bands_are_complements(data, edge):
    X, _ = data
    low, high = (
        SpectralTransformer("band", band=band).fit(X) for band in ((0, edge), (edge, 1))
    )
    assert_close(low.transform(X) + high.transform(X), X - X.mean(axis=0))
    assert np.all(low.gains_ + high.gains_ == 1)
    held = np.sum(low.gains_ * low.eigenvalues_) / np.sum(low.eigenvalues_)
    assert held <= edge + 1e-9
