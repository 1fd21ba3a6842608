"""Tests of SpectralWhitener against its formulas, and on degenerate data."""

import re

import numpy as np
import oracles_whitening as oracle
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import covariance as sklearn_covariance
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from sklearn_collapse import ClassMoments
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import MahalanobisDetector
from sklearn_collapse.whitening import SpectralWhitener

METHODS = ("zca", "pca", "cholesky", "zca_cor", "pca_cor")
SQUARE = ("zca", "zca_cor")

methods = pytest.mark.parametrize("method", METHODS)


def make_rows(seed=0, n=200, d=6):
    """Correlated rows of full rank about an offset, of three classes."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 3)
    mix = rng.normal(size=(d, d))
    return rng.normal(size=(n, d)) @ mix + 3.0 + y[:, None] * np.linspace(-1, 1, d), y


def degenerate_rows():
    """Name to rows and their rank."""
    X, _ = make_rows()
    rng = np.random.default_rng(1)
    constant = np.insert(X, [0, 3], [[7.0, -2.5]], axis=1)
    spread = X * 10.0 ** np.linspace(-2, 2, 6)
    return {
        "full rank": (X, 6),
        "rank deficient": (X @ rng.normal(size=(6, 9)), 6),
        "copied columns": (X[:, [0, 0, 1, 2, 1, 3, 4, 5]], 6),
        "constant columns": (constant, 6),
        "fewer rows than columns": (rng.normal(size=(8, 20)), 7),
        "offset 1e4": (X + 1e4, 6),
        "scale 1e-6": (1e-6 * X, 6),
        "scale 1e6": (1e6 * X, 6),
        "columns of different size": (spread, 6),
        "two rows": (X[:2], 1),
        "all rows equal": (np.tile(X[:1], (5, 1)), 0),
        "exactly collapsed": (X[np.arange(200) % 4], 3),
    }


DEGENERATE = degenerate_rows()


def fit(method="zca", X=None, y=None, **options):
    X = make_rows()[0] if X is None else X
    return SpectralWhitener(method, **options).fit(X, y)


def moments_of(Z):
    """Mean and covariance of rows in float64."""
    Z = np.asarray(Z, dtype=float)
    return Z.mean(axis=0), oracle.covariance(Z)


# -- the whitened covariance -------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@methods
@pytest.mark.parametrize("name", DEGENERATE)
def test_output_and_way_back(library, name, method, dtype):
    """Covariance: identity on the kept directions, to 1e-10 and 1e-4, else nothing."""
    X, rank = DEGENERATE[name]
    X = X.astype(dtype)
    if not rank and method not in SQUARE:
        with pytest.raises(ValueError, match="total covariance is zero"):
            fit(method, library.asarray(X))
        return
    whitener = fit(method, library.asarray(X))
    Z = whitener.transform(library.asarray(X))
    back = whitener.inverse_transform(Z)
    assert library.owns(Z)
    assert library.owns(back)
    Z, back = library.to_numpy(Z), library.to_numpy(back)
    assert Z.dtype == back.dtype == dtype
    close = 1e-12 if dtype == "float64" else 2e-6
    assert_allclose(back, X, atol=close * np.abs(X).max())
    assert whitener.rank_ == whitener.n_components_ == rank
    mean, covariance = moments_of(Z)
    if method in SQUARE:
        assert Z.shape == X.shape
        exact = X.astype(float)  # the oracle sees the same float32 values
        exact = exact - exact.mean(axis=0)
        if method == "zca_cor":
            size = exact.std(axis=0)
            moving = size > 1e-10 * np.abs(X).max(initial=1e-30)
            exact = np.where(moving, exact / np.where(moving, size, 1.0), 0.0)
        right = np.linalg.svd(exact, full_matrices=False)[2][:rank]
        target = right.T @ right
    else:
        assert Z.shape == (len(X), rank)
        target = np.eye(rank)
    tolerance = 1e-10 if dtype == "float64" else 1e-4
    assert_allclose(covariance, target, atol=tolerance)
    assert_allclose(mean, 0, atol=max(tolerance, 1e-7))


@methods
def test_within_classes(library, method):
    X, y = make_rows()
    whitener = fit(method, library.asarray(X), library.asarray(y), scatter="within")
    Z = library.to_numpy(whitener.transform(library.asarray(X)))
    assert_allclose(oracle.covariance(Z, y=y), np.eye(6), atol=1e-10)
    assert_allclose(Z.mean(axis=0), 0, atol=1e-12)
    expected = oracle.covariance(X, y=y)
    assert_allclose(library.to_numpy(whitener.covariance_), expected, rtol=1e-12)


def test_within_makes_euclidean_distances_mahalanobis():
    X, y = make_rows()
    Z = fit(X=X, y=y, scatter="within").transform(X)
    means = np.array([Z[y == c].mean(axis=0) for c in range(3)])
    nearest = ((Z[:, None] - means) ** 2).sum(axis=2).min(axis=1)
    scores = MahalanobisDetector().fit(X, y).score_samples(X)
    assert_allclose(-scores, nearest, rtol=1e-10)


@methods
def test_weights_are_repetitions(method):
    X, _ = make_rows()
    weights = np.arange(len(X)) % 4
    a = SpectralWhitener(method, ddof=1).fit(X, sample_weight=weights)
    b = SpectralWhitener(method, ddof=1).fit(np.repeat(X, weights, axis=0))
    assert_allclose(a.whitening_, b.whitening_, rtol=1e-9, atol=1e-12)


# -- the matrices ------------------------------------------------------------------


@pytest.mark.parametrize("ddof", [0, 1, 7])
@methods
def test_matrices_at_full_rank(library, method, ddof):
    X, _ = make_rows()
    S = oracle.covariance(X, ddof)
    whitener = fit(method, library.asarray(X), ddof=ddof)
    W = library.to_numpy(whitener.whitening_)
    expected = oracle.whitening(method, S)
    if method.startswith("pca"):
        expected = oracle.up_to_signs(expected, W)
    assert_allclose(W, expected, rtol=1e-9, atol=1e-10 * np.abs(W).max())
    coloring = library.to_numpy(whitener.coloring_)
    assert_allclose(coloring, np.linalg.inv(expected), atol=1e-10 * np.abs(S).max())
    assert_allclose(library.to_numpy(whitener.covariance_), S, rtol=1e-12)
    assert_allclose(library.to_numpy(whitener.mean_), X.mean(axis=0), rtol=1e-13)
    of = oracle.correlations(S)[0] if method.endswith("cor") else S
    values = library.to_numpy(whitener.eigenvalues_)
    assert_allclose(values, oracle.descending(of)[0], rtol=1e-10)


@pytest.mark.parametrize("method", ["zca", "pca", "zca_cor", "pca_cor"])
@pytest.mark.parametrize("n_components", [1, 3, 6])
def test_leading_directions(method, n_components):
    X, _ = make_rows()
    S = oracle.covariance(X)
    whitener = fit(method, X, n_components=n_components)
    W, expected = whitener.whitening_, oracle.whitening(method, S, n_components)
    if method.startswith("pca"):
        expected = oracle.up_to_signs(expected, W)
    assert_allclose(W, expected, atol=1e-10 * np.abs(W).max())
    assert whitener.n_components_ == n_components
    assert whitener.rank_ == len(whitener.eigenvalues_) == 6
    size = X.std(axis=0) if method.endswith("cor") else np.ones(6)
    back = size[:, None] * np.linalg.pinv(W * size)  # of standardised features
    assert_allclose(whitener.coloring_, back, atol=1e-9)


@pytest.mark.parametrize("n_components", [None, 4])
def test_cholesky_is_triangular(n_components):
    X, _ = make_rows()
    W = fit("cholesky", X, n_components=n_components).whitening_
    assert_array_equal(np.tril(W, -1), 0)
    assert (np.diagonal(W) > 0).all()


@pytest.mark.parametrize(
    ("columns", "pivots"),
    [
        ([0, 1, 2], [0, 1, 2]),
        ([0, 0, 1, 2], [0, 2, 3]),
        ([1, 0, 1, 0, 2], [0, 1, 4]),
        ([None, 0, 1, None, 2], [1, 2, 4]),
    ],
)
def test_cholesky_below_full_rank(columns, pivots):
    """Row echelon form with positive pivots, whatever the columns depend on."""
    X, _ = make_rows()
    X = np.stack([X[:, k] if k is not None else np.full(200, 5.0) for k in columns], 1)
    W = fit("cholesky", X).whitening_
    assert oracle.echelon_form(W, 0.0) == pivots
    assert (W[np.arange(3), pivots] > 0).all()
    S = oracle.covariance(X)
    assert_allclose(W @ S @ W.T, np.eye(3), atol=1e-11)
    # The same map as any other whitening of these rows, up to a rotation.
    assert_allclose(W.T @ W, np.linalg.pinv(S, rcond=1e-12), atol=1e-11)


def test_cholesky_of_a_combination():
    """A column that depends on several before it has no pivot either."""
    X, _ = make_rows()
    X = np.column_stack([X[:, :3], X[:, 0] - 2 * X[:, 1] + X[:, 2], X[:, 3]])
    W = fit("cholesky", X).whitening_
    assert oracle.echelon_form(W, 0.0) == [0, 1, 2, 4]


@methods
def test_components_have_fixed_signs(method):
    """Refitting the mirrored rows gives the same matrix, not a mixture of signs."""
    X, _ = make_rows()
    assert_allclose(fit(method, -X).whitening_, fit(method, X).whitening_, atol=1e-9)


@pytest.mark.parametrize("method", ["pca", "pca_cor"])
def test_sign_convention(method):
    X, _ = make_rows()
    W = fit(method, X).whitening_
    if method == "pca_cor":
        W = W * X.std(axis=0)
    for row in W:
        assert row[np.argmax(np.abs(row))] > 0


# -- identities of Kessy, Lewin and Strimmer ----------------------------------------


def cross(Z, X):
    return (Z - Z.mean(axis=0)).T @ (X - X.mean(axis=0)) / len(X)


@pytest.mark.parametrize("seed", range(3))
def test_zca_stays_closest_to_the_features(seed):
    """It maximises the summed covariance of each output with its own input."""
    X, _ = make_rows(seed)
    Z = fit("zca", X).transform(X)
    best = np.trace(cross(Z, X))
    assert_allclose(best, np.trace(oracle.root(oracle.covariance(X), 0.5)), rtol=1e-10)
    assert_allclose(cross(Z, X), cross(Z, X).T, atol=1e-9)
    rng = np.random.default_rng(seed)
    for method in ("pca", "cholesky", "zca_cor", "pca_cor"):
        other = fit(method, X).transform(X)
        assert np.trace(cross(other, X)) < best
        turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
        assert np.trace(cross(Z @ turn, X)) < best


@pytest.mark.parametrize("seed", range(3))
def test_zca_cor_stays_closest_to_standardised_features(seed):
    """It maximises the summed correlation of each output with its own input."""
    X, _ = make_rows(seed)
    standard = (X - X.mean(axis=0)) / X.std(axis=0)
    Z = fit("zca_cor", X).transform(X)
    best = np.trace(cross(Z, standard))
    correlation = oracle.correlations(oracle.covariance(X))[0]
    assert_allclose(best, np.trace(oracle.root(correlation, 0.5)), rtol=1e-10)
    for method in ("zca", "pca", "cholesky", "pca_cor"):
        assert np.trace(cross(fit(method, X).transform(X), standard)) < best


@pytest.mark.parametrize(("method", "scaled"), [("pca", False), ("pca_cor", True)])
def test_pca_compresses_most(method, scaled):
    """The squared cross-covariances of the first outputs are the eigenvalues."""
    X, _ = make_rows()
    target = (X - X.mean(axis=0)) / (X.std(axis=0) if scaled else 1.0)
    whitener = fit(method, X)
    shares = (cross(whitener.transform(X), target) ** 2).sum(axis=1)
    assert_allclose(shares, whitener.eigenvalues_, rtol=1e-10)
    for other in set(METHODS) - {method}:
        rest = (cross(fit(other, X).transform(X), target) ** 2).sum(axis=1)
        assert (np.cumsum(rest) <= np.cumsum(shares) * (1 + 1e-12)).all()


def test_cholesky_cross_covariance_is_triangular():
    X, _ = make_rows()
    found = cross(fit("cholesky", X).transform(X), X)
    assert_allclose(found[np.triu_indices(6, 1)], 0, atol=1e-9)
    assert (np.diagonal(found) > 0).all()


# -- parity ------------------------------------------------------------------------


@pytest.mark.parametrize("n_components", [None, 3, 0.7, 0.999])
@pytest.mark.parametrize("shape", [(200, 6), (50, 30)])
def test_parity_with_pca(n_components, shape):
    X, _ = make_rows(2, *shape)
    X_new = make_rows(3, 20, shape[1])[0]
    pca = PCA(n_components, whiten=True, svd_solver="full").fit(X)
    ours = fit("pca", X, n_components=n_components, ddof=1)
    k = pca.n_components_
    assert ours.n_components_ == k
    assert_allclose(ours.eigenvalues_[:k], pca.explained_variance_, rtol=1e-10)
    expected = pca.components_ / np.sqrt(pca.explained_variance_)[:, None]
    W = oracle.up_to_signs(expected, ours.whitening_)
    assert_allclose(ours.whitening_, W, atol=1e-9)
    signs = np.sign((expected * ours.whitening_).sum(axis=1))
    for rows in (X, X_new):
        Z = pca.transform(rows) * signs
        assert_allclose(ours.transform(rows), Z, atol=1e-8)
        back = pca.inverse_transform(Z * signs)
        assert_allclose(ours.inverse_transform(Z), back, atol=1e-8)


def test_better_than_pca_on_deficient_rows():
    """scikit-learn divides by rounding errors there; the kept part agrees."""
    X = DEGENERATE["copied columns"][0]
    Z = fit("pca", X, ddof=1).transform(X)
    pca = PCA(whiten=True, svd_solver="full").fit(X)
    assert_allclose(np.abs(Z), np.abs(pca.transform(X)[:, :6]), atol=1e-9)
    assert np.abs(Z).max() < 10


@pytest.mark.parametrize("scatter", ["total", "within"])
@pytest.mark.parametrize("shape", [(200, 6), (30, 40)])
@pytest.mark.parametrize("name", ["oas", "ledoit_wolf"])
def test_shrinkage_is_that_of_scikit_learn(library, name, shape, scatter):
    X, y = make_rows(4, *shape)
    rows = X - X.mean(axis=0)
    if scatter == "within":
        rows = X - np.array([X[y == c].mean(axis=0) for c in range(3)])[y]
    expected, share = getattr(sklearn_covariance, name)(rows, assume_centered=True)
    whitener = fit(
        "zca", library.asarray(X), library.asarray(y), shrinkage=name, scatter=scatter
    )
    assert whitener.shrinkage_ == pytest.approx(share, rel=1e-10)
    S = library.to_numpy(whitener.covariance_)
    assert_allclose(S, expected, rtol=1e-10, atol=1e-12 * np.abs(S).max())
    W = library.to_numpy(whitener.whitening_)
    assert_allclose(W, oracle.root(expected, -0.5), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("share", [0, 0.25, 1])
@methods
def test_fixed_shrinkage(method, share, ddof):
    X, _ = make_rows()
    S = oracle.covariance(X, ddof)
    S = (1 - share) * S + share * np.trace(S) / 6 * np.eye(6)
    whitener = fit(method, X, shrinkage=share, ddof=ddof)
    assert_allclose(whitener.covariance_, S, rtol=1e-12, atol=1e-13)
    W = whitener.whitening_
    assert_allclose(W @ S @ W.T, np.eye(6), atol=1e-11)
    assert whitener.shrinkage_ == share
    if method in ("zca", "cholesky", "zca_cor"):
        assert_allclose(W, oracle.whitening(method, S), rtol=1e-9, atol=1e-11)


@methods
def test_shrinkage_fills_the_rank(method):
    X = DEGENERATE["constant columns"][0]
    whitener = fit(method, X, shrinkage=0.1)
    assert whitener.rank_ == 8
    assert whitener.transform(X).shape == (200, 8)


# -- floors and ranks ----------------------------------------------------------------


@pytest.mark.parametrize("ddof", [0, 1])
def test_floor_raises_small_eigenvalues(ddof):
    X = DEGENERATE["rank deficient"][0]
    S = oracle.covariance(X, ddof)
    values, vectors = oracle.descending(S)
    floored = np.maximum(values, 0.05 * values[0])
    assert (floored != values).sum() > 3
    whitener = fit("zca", X, floor=0.05, ddof=ddof)
    expected = vectors @ np.diag(floored**-0.5) @ vectors.T
    assert_allclose(whitener.whitening_, expected, rtol=1e-9, atol=1e-11)
    assert whitener.floor_ == pytest.approx(0.05 * values[0], rel=1e-10)
    assert whitener.rank_ == 6
    assert whitener.n_components_ == 9
    assert fit("pca", X, floor=0.05).transform(X).shape == (200, 9)
    assert_allclose(whitener.inverse_transform(whitener.transform(X)), X, atol=1e-9)


def test_no_floor():
    assert fit().floor_ == 0


def test_auto_floor_sees_dead_units():
    """A unit that never fired is 0 in training and far out when it lights."""
    X = DEGENERATE["constant columns"][0]
    row = X[:1].copy()
    row[0, 0] += 1.0
    blind, seeing = fit(X=X), fit(X=X, floor="auto")
    assert_array_equal(blind.transform(row), blind.transform(X[:1]))
    assert np.abs(seeing.transform(row)[0, 0]) > 1e5
    assert 0 < seeing.floor_ < 1e-12
    assert_allclose(seeing.transform(X)[:, 0], 0, atol=1e-6)


def test_rank_tol():
    X, _ = make_rows()
    X = X * 10.0 ** np.linspace(0, -4, 6)
    values = oracle.descending(oracle.covariance(X))[0]
    middle = np.sqrt(values[2] * values[3]) / values[0]
    whitener = fit("pca", X, rank_tol=middle)
    assert whitener.rank_ == whitener.transform(X).shape[1] == 3


@pytest.mark.parametrize("method", ["zca_cor", "pca_cor"])
def test_correlations_ignore_the_size_of_columns(method):
    """A column 1e-12 times as large as another still counts."""
    X, _ = make_rows()
    size = np.array([1e-9, 1.0, 1e3, 1e-3, 1.0, 1e-6])
    a, b = fit(method, X), fit(method, X * size)
    assert b.rank_ == 6
    assert_allclose(a.transform(X), b.transform(X * size), atol=1e-8)


@methods
def test_constant_columns_become_zero(method):
    X = DEGENERATE["constant columns"][0]
    whitener = fit(method, X)
    moved = X + np.isin(np.arange(8), [0, 4])
    assert_allclose(whitener.transform(moved), whitener.transform(X), atol=1e-12)
    if method in SQUARE:
        assert_allclose(whitener.transform(X)[:, [0, 4]], 0, atol=1e-12)


def test_columns_that_are_constant_to_rounding():
    """Flips of the last bit about an offset are no feature, however scaled."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4)).astype(np.float32)
    X[:, 2] = np.float32(1e4) + rng.choice([0, 2**-10], size=400)
    assert len(np.unique(X[:, 2])) == 2
    whitener = fit("zca_cor", X)
    assert whitener.rank_ == 3
    Z = whitener.transform(X)
    assert_array_equal(Z[:, 2], 0)
    expected = fit("zca_cor", X[:, [0, 1, 3]]).transform(X[:, [0, 1, 3]])
    assert_allclose(Z[:, [0, 1, 3]], expected, atol=1e-5)


@methods
def test_ill_conditioned_float32(method):
    """Rows whose smallest deviation is 1e-4.5 of the largest keep four digits."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    X = rng.normal(size=(500, 40)) * np.logspace(0, -4.5, 40) @ turn
    X = X.astype(np.float32)
    whitener, exact = fit(method, X), fit(method, X.astype(float))
    assert whitener.rank_ == 40
    assert_allclose(whitener.transform(X), exact.transform(X.astype(float)), atol=1e-4)


def test_rows_too_large():
    X = make_rows()[0].astype(np.float32)
    whitener = fit(X=1e-3 * X)
    with pytest.raises(ValueError, match="so large that their squares overflow"):
        whitener.transform(np.full((3, 6), 3e38, dtype=np.float32))


# -- back to features ------------------------------------------------------------------


def test_dropped_directions_come_back_as_their_mean():
    X, _ = make_rows()
    for method in ("zca", "pca"):
        whitener = fit(method, X, n_components=2)
        vectors = oracle.descending(oracle.covariance(X))[1][:, :2]
        mean = X.mean(axis=0)
        expected = mean + (X - mean) @ vectors @ vectors.T
        back = whitener.inverse_transform(whitener.transform(X))
        assert_allclose(back, expected, atol=1e-11)


def test_inverse_of_what_was_dropped():
    X = DEGENERATE["constant columns"][0]
    whitener = fit("pca", X, n_components=4)
    with pytest.raises(ValueError, match=r"X has 8 columns, but .* expecting 4"):
        whitener.inverse_transform(X)


def test_inverse_of_another_library(library):
    X = DEGENERATE["constant columns"][0]
    whitener = fit("zca", library.asarray(X))
    with pytest.raises(NotFittedError):
        SpectralWhitener().inverse_transform(X)
    if library.name != "numpy":
        with pytest.raises(ValueError, match=r"Whitener.inverse_transform\(\) must"):
            whitener.inverse_transform(X)


# -- errors and warnings -------------------------------------------------------------


@methods
def test_more_components_than_the_rank(method):
    X = DEGENERATE["copied columns"][0]
    message = "n_components=7 is more than the rank 6 of the total covariance of 8 "
    unfitted = SpectralWhitener(method, n_components=7)
    with pytest.raises(ValueError, match=message):
        unfitted.fit(X)
    assert not hasattr(unfitted, "moments_")
    with pytest.raises(NotFittedError):
        unfitted.transform(X)
    streamed = SpectralWhitener(method, n_components=7).partial_fit(X)
    with pytest.raises(ValueError, match=message):
        streamed.transform(X)
    streamed.set_params(n_components=6).transform(X)


@methods
def test_components_of_rows_that_are_equal(method):
    X = DEGENERATE["all rows equal"][0]
    with pytest.raises(ValueError, match="covariance is zero: there is no direction"):
        fit(method, X, n_components=2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("n_components", v) for v in (0, -1, 0.0, 1.0, 1.5, "most")],
        *[("shrinkage", v) for v in (-0.1, 1.1, "mcd")],
        *[("ddof", v) for v in (-1, None)],
        *[("floor", v) for v in (-1e-3, 2, None)],
        *[("rank_tol", v) for v in (-1.0, 1.0)],
        ("method", "zka"),
        ("scatter", "between"),
    ],
)
def test_parameters_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of SpectralWhitener"):
        fit(**{name: value})


def test_ddof_of_all_rows():
    with pytest.raises(ValueError, match="ddof=5 needs more than 5 samples"):
        fit(X=make_rows()[0][:5], ddof=5)


def test_ledoit_wolf_needs_rows():
    X, _ = make_rows()
    whitener = SpectralWhitener(shrinkage="ledoit_wolf").partial_fit(X)
    with pytest.raises(ValueError, match="needs rows"):
        whitener.transform(X)
    with pytest.raises(ValueError, match="needs rows"):
        whitener.fit(X).partial_fit(X).transform(X)


@pytest.mark.parametrize("method", ["zca", "pca"])
def test_cutting_a_tie_warns(method):
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(60, 5)))[0] @ np.diag([3, 2, 2, 2, 1])
    X = axes - axes.mean(axis=0)
    X = np.linalg.svd(X, full_matrices=False)[0] * [3, 2, 2, 2, 1]
    for k in (2, 3):
        message = re.escape(f"eigenvalues {k} and {k + 1} are equal")
        with pytest.warns(UserWarning, match=message):
            fit(method, X, n_components=k)
    for k in (1, 4, 5, None):
        fit(method, X, n_components=k)  # warnings are errors


@pytest.mark.parametrize("method", ["zca", "pca_cor"])
def test_a_tie_up_to_rounding_of_the_input_warns(library, method):
    """Collapsed classes have equal eigenvalues, to the spacing of float32."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    means = (np.eye(5) - 0.2) @ basis.T
    if method == "pca_cor":
        means = np.linalg.svd(means - means.mean(axis=0))[0][:, :4]
    X = library.asarray(np.repeat(means, 8, axis=0).astype(np.float32))
    whitener = SpectralWhitener(method, n_components=2)
    with pytest.warns(UserWarning, match="2 and 3 are equal") as caught:
        whitener.fit(X)
    assert caught[0].filename == __file__  # the line of the caller
    whitener.set_params(n_components=4).fit(X)  # warnings are errors


# -- estimator ------------------------------------------------------------------------


def test_total_ignores_targets():
    """Targets of a regression are no classes."""
    X, _ = make_rows()
    target = X @ np.arange(6.0)
    assert not fit(X=X, y=target).moments_.labelled
    model = make_pipeline(SpectralWhitener("pca"), Ridge(1e-9)).fit(X, target)
    assert model.score(X, target) > 0.999


def test_moments_from_elsewhere():
    X, y = make_rows()
    moments = ClassMoments.from_arrays(X, y)
    for scatter in ("total", "within"):
        expected = fit(X=X, y=y, scatter=scatter).transform(X)
        adopted = SpectralWhitener(scatter=scatter).fit_moments(moments)
        assert_allclose(adopted.transform(X), expected, atol=1e-10)
        continued = adopted.partial_fit(X, y)
        assert_allclose(continued.transform(X), expected, atol=1e-10)


def test_names_of_columns():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(make_rows()[0], columns=list("abcdef"))
    for method in SQUARE:
        whitener = fit(method, frame, n_components=2)
        assert_array_equal(whitener.get_feature_names_out(), list("abcdef"))
    names = fit("pca", frame, n_components=2).get_feature_names_out()
    assert_array_equal(names, ["spectralwhitener0", "spectralwhitener1"])


def test_parameters_can_change_after_fit():
    X, _ = make_rows()
    whitener = fit("zca", X)
    whitener.set_params(method="pca", n_components=2, ddof=1)
    expected = fit("pca", X, n_components=2, ddof=1)
    assert_array_equal(whitener.transform(X), expected.transform(X))


@methods
def test_real_features(method):
    """Network features with a condition number of some thousands."""
    data = load_cifar8_features()
    whitener = fit(method, data.data)
    assert data.data.dtype == np.float32
    covariance = moments_of(whitener.transform(data.data))[1]
    assert_allclose(covariance, np.eye(whitener.rank_), atol=1e-4)


def test_pipeline_with_a_detector():
    """Mahalanobis distances do not change under whitening."""
    data = load_cifar8_features()
    X, y = data.data.astype(float), data.target
    plain = MahalanobisDetector().fit(X, y).score_samples(data.X_test.astype(float))
    model = make_pipeline(SpectralWhitener("cholesky"), MahalanobisDetector())
    scores = model.fit(X, y).score_samples(data.X_test.astype(float))
    assert_allclose(scores, plain, rtol=1e-8)


def test_tags():
    """What scikit-learn reads before it hands rows over."""
    tags = get_tags(SpectralWhitener())
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]


def test_within_after_labels_were_left_aside():
    X, y = make_rows()
    whitener = fit(X=X, y=y).set_params(scatter="within")
    with pytest.raises(ValueError, match="needs the labels"):
        whitener.transform(X)
    # Without labels there is one class, and both are the same.
    whitener = fit(X=X).set_params(scatter="within")
    assert_allclose(whitener.transform(X), fit(X=X).transform(X))
    assert whitener.set_params(scatter="total").fit(X, y).rank_ == 6


@pytest.mark.parametrize(
    ("name", "value"), [("method", "foo"), ("floor", -1), ("rank_tol", 2)]
)
def test_parameters_are_checked_on_use(name, value):
    X, _ = make_rows()
    whitener = fit(X=X).set_params(**{name: value})
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        whitener.transform(X)


def test_only_the_latest_maps_are_kept():
    X, _ = make_rows()
    whitener = fit(X=X)
    for share in (0.1, 0.2, 0.3):
        whitener.set_params(n_components=share).transform(X)
    kept = whitener.moments_._cache[SpectralWhitener]
    assert len(kept) == 1
