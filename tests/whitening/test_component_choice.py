"""n_components by a rule, in the estimators."""

import warnings

import numpy as np
import oracles_whitening as oracle
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.decomposition import PCA

from sklearn_collapse import ClassMoments
from sklearn_collapse.whitening import SpectralTransformer, SpectralWhitener

RULES = ("mle", "gavish-donoho", "marchenko-pastur")
rules = pytest.mark.parametrize("rule", RULES)


def planted(n=400, d=30, rank=4, seed=0, noise=1.0):
    """A few strong directions in white noise, about an offset."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n, rank)) * np.linspace(12, 6, rank)
    inside = np.linalg.qr(rng.normal(size=(d, rank)))[0]
    return 50 + signal @ inside.T + noise * rng.normal(size=(n, d))


@rules
def test_planted_rank(library, rule):
    X = planted()
    whitener = SpectralWhitener("pca", n_components=rule).fit(library.asarray(X))
    assert whitener.n_components_ == 4
    assert whitener.rank_ == 30
    Z = library.to_numpy(whitener.transform(library.asarray(X)))
    assert_allclose(oracle.covariance(Z), np.eye(4), atol=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_mle_is_that_of_pca(seed):
    rng = np.random.default_rng(seed)
    n, d = rng.integers(20, 200), rng.integers(3, 20)
    X = planted(n, d, rank=2, seed=seed, noise=rng.uniform(0.5, 8))
    theirs = PCA(n_components="mle", svd_solver="full").fit(X)
    for solver in ("eigh", "svd", "gram"):
        ours = SpectralWhitener("pca", n_components="mle", solver=solver).fit(X)
        assert ours.n_components_ == theirs.n_components_


@rules
@pytest.mark.parametrize("method", ["zca", "pca", "cholesky", "zca_cor", "pca_cor"])
def test_every_method_and_solver(rule, method):
    X = planted(n=60, d=90)
    counts = {
        SpectralWhitener(method, n_components=rule, solver=solver).fit(X).n_components_
        for solver in ("eigh", "svd", "gram")
    }
    assert len(counts) == 1


@rules
def test_transfers_take_rules(rule):
    X = planted()
    kept = SpectralTransformer(exponent=0, n_components=rule).fit(X)
    assert kept.n_components_ == 4
    vectors = oracle.descending(oracle.covariance(X))[1]
    target = (X - X.mean(axis=0)) @ vectors[:, :4] @ vectors[:, :4].T
    assert_allclose(kept.transform(X), target, atol=1e-8)


@rules
@pytest.mark.parametrize("solver", ["eigh", "gram"])
def test_shrinkage_does_not_hide_the_noise(rule, solver):
    X = planted(n=60, d=90)
    whitener = SpectralWhitener("pca", n_components=rule, solver=solver)
    plain = clone(whitener).fit(X).n_components_
    shrunk = clone(whitener).set_params(shrinkage=0.5).fit(X)
    assert shrunk.n_components_ == plain


@rules
def test_streams(rule):
    X = planted()
    whole = SpectralWhitener("pca", n_components=rule).fit(X)
    parts = SpectralWhitener("pca", n_components=rule)
    for start in range(0, 400, 77):
        parts.partial_fit(X[start : start + 77])
    adopted = SpectralWhitener("pca", n_components=rule)
    adopted.fit_moments(ClassMoments.from_arrays(X))
    assert whole.n_components_ == parts.n_components_ == adopted.n_components_ == 4


@rules
def test_within_classes(rule):
    """Class means are no signal within classes, and their number counts."""
    rng = np.random.default_rng(0)
    y = np.arange(400) % 10
    X = planted() + 100 * rng.normal(size=(10, 30))[y]
    whitener = SpectralWhitener("pca", n_components=rule, scatter="within").fit(X, y)
    assert whitener.n_components_ == 4


@pytest.mark.parametrize("rule", ["gavish-donoho", "marchenko-pastur"])
def test_noise_alone_warns(rule):
    X = np.random.default_rng(3).normal(size=(2000, 10))
    X = (X - X.mean(axis=0)) @ oracle.root(oracle.covariance(X), -0.5)
    X = X * np.linspace(1, 1.01, 10)
    with pytest.warns(UserWarning, match="none of the 10 directions stands out"):
        whitener = SpectralWhitener("pca", n_components=rule).fit(X)
    assert whitener.n_components_ == 1


@rules
def test_rows_that_are_all_equal(rule):
    X = np.full((5, 3), 2.0)
    with pytest.raises(ValueError, match="covariance is zero"):
        SpectralWhitener("pca", n_components=rule).fit(X)
    assert_allclose(SpectralWhitener(n_components=rule).fit_transform(X), 0)


@pytest.mark.parametrize(
    ("options", "cut"),
    [
        ({"transfer": "drop_top", "n_drop": 1}, 1),
        ({"transfer": "band", "band": (0, 0.7)}, 2),
        ({"transfer": "band", "band": (0.4, 1)}, 1),
    ],
    ids=str,
)
def test_a_transfer_that_cuts_a_tie_warns(options, cut):
    X = np.vstack([np.diag([2.0, 2.0, 2.0, 1.0]), -np.diag([2.0, 2.0, 2.0, 1.0])])
    with pytest.warns(UserWarning, match=f"eigenvalues {cut} and {cut + 1} are equal"):
        SpectralTransformer(**options).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SpectralTransformer("drop_top", n_drop=3).fit(X)
        SpectralTransformer("band", band=(0.95, 1)).fit(X)
