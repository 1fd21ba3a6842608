"""Log-likelihood of whitened rows."""

import numpy as np
import oracles_whitening as oracle
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from sklearn_collapse.ood import MahalanobisDetector
from sklearn_collapse.whitening import SpectralWhitener

METHODS = ("zca", "pca", "cholesky", "zca_cor", "pca_cor")
methods = pytest.mark.parametrize("method", METHODS)


def make_rows(seed=0, n=200, d=6, rank=None):
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(rank or d, d))
    return rng.normal(size=(n, rank or d)) @ mix + 3.0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rank", [6, 3])
@methods
def test_formula(library, method, rank, dtype):
    """Standard normal log-density of the white row, coordinate by coordinate."""
    X = make_rows(rank=rank).astype(dtype)
    whitener = SpectralWhitener(method).fit(library.asarray(X))
    found = whitener.score_samples(library.asarray(X))
    assert library.owns(found)
    found = library.to_numpy(found)
    assert found.dtype == dtype
    assert found.shape == (200,)
    W = oracle.whitening("pca", oracle.covariance(X), rank)
    white = (X.astype(float) - X.astype(float).mean(axis=0)) @ W.T
    expected = [sum(stats.norm.logpdf(value) for value in row) for row in white]
    assert_allclose(found, expected, rtol=1e-9 if dtype == "float64" else 1e-4)
    score = whitener.score(library.asarray(X))
    assert type(score) is float
    assert score == pytest.approx(np.mean(expected), rel=1e-4)


@methods
@pytest.mark.parametrize("options", [{}, {"n_components": 3}], ids=str)
def test_norms_of_the_output(method, options):
    X = make_rows()
    whitener = SpectralWhitener(method, **options).fit(X)
    squares = (whitener.transform(X) ** 2).sum(axis=1)
    k = whitener.n_components_
    expected = -(k * np.log(2 * np.pi) + squares) / 2
    assert_allclose(whitener.score_samples(X), expected, rtol=1e-9)


@pytest.mark.parametrize(("ddof", "rank"), [(1, 6), (1, 4), (0, 6)])
def test_mean_square_on_the_fit_set(ddof, rank):
    X = make_rows(rank=rank)
    whitener = SpectralWhitener(ddof=ddof).fit(X)
    squares = -2 * whitener.score_samples(X) - rank * np.log(2 * np.pi)
    assert np.mean(squares) == pytest.approx(rank * (200 - ddof) / 200, rel=1e-9)


def test_ranks_as_mahalanobis():
    X = make_rows()
    new = make_rows(seed=1)
    scores = SpectralWhitener().fit(X).score_samples(new)
    distances = MahalanobisDetector().fit(X).score_samples(new)
    assert_allclose(2 * scores + 6 * np.log(2 * np.pi), distances, rtol=1e-9)


@pytest.mark.parametrize("solver", ["eigh", "svd", "gram"])
@pytest.mark.parametrize("options", [{"shrinkage": 0.2}, {"floor": 0.01}], ids=str)
def test_directions_beyond_the_rows(solver, options):
    """All d directions count; the norm includes what lies outside of the rows."""
    X = make_rows(n=15, d=40)
    new = make_rows(seed=1, n=15, d=40)
    S = oracle.covariance(X)
    values, vectors = oracle.descending(S)
    if "shrinkage" in options:
        values = 0.8 * values + 0.2 * np.trace(S) / 40
    else:
        values = np.maximum(values, 0.01 * values[0])
    white = (new - X.mean(axis=0)) @ vectors / np.sqrt(values)
    expected = -(40 * np.log(2 * np.pi) + (white**2).sum(axis=1)) / 2
    whitener = SpectralWhitener(solver=solver, **options).fit(X)
    assert_allclose(whitener.score_samples(new), expected, rtol=1e-9)


def test_score_takes_weights():
    X = make_rows()
    whitener = SpectralWhitener().fit(X)
    weights = np.arange(200) % 3
    expected = whitener.score(np.repeat(X, weights, axis=0))
    assert whitener.score(X, sample_weight=weights) == pytest.approx(expected)


def test_bad_rows():
    whitener = SpectralWhitener().fit(make_rows())
    X = make_rows()
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="row 3"):
        whitener.score_samples(X)
    with pytest.raises(ValueError, match="6 features"):
        whitener.score(X[:, :5])
