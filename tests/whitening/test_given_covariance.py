"""SpectralWhitener(covariance=): any covariance estimator of scikit-learn's kind."""

import numpy as np
import oracles_whitening as oracle
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator
from sklearn.covariance import (
    OAS,
    EmpiricalCovariance,
    GraphicalLasso,
    LedoitWolf,
    MinCovDet,
    ShrunkCovariance,
)
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_collapse import ClassMoments
from sklearn_collapse.whitening import SpectralWhitener

METHODS = ("zca", "pca", "cholesky", "zca_cor", "pca_cor")


def make_rows(seed=0, n=200, d=6):
    """Correlated rows of full rank about an offset, of three classes."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 3)
    mix = rng.normal(size=(d, d))
    return rng.normal(size=(n, d)) @ mix + 3.0 + y[:, None] * np.linspace(-1, 1, d), y


def centred_within(X, y):
    return X - np.array([X[y == c].mean(axis=0) for c in y])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "estimator", [OAS(), MinCovDet(random_state=0), GraphicalLasso(0.3)], ids=repr
)
def test_whitens_the_estimate(library, estimator, method):
    X, _ = make_rows()
    found = SpectralWhitener(method, covariance=estimator).fit(library.asarray(X))
    theirs = estimator.fit(X)
    assert_allclose(library.to_numpy(found.covariance_), theirs.covariance_, rtol=1e-9)
    assert_allclose(library.to_numpy(found.mean_), theirs.location_, rtol=1e-9)
    W = library.to_numpy(found.whitening_)
    assert_allclose(W @ theirs.covariance_ @ W.T, np.eye(6), atol=1e-9)
    Z = found.transform(library.asarray(X))
    assert library.owns(Z)
    assert_allclose(library.to_numpy(Z), (X - theirs.location_) @ W.T, atol=1e-9)
    assert_allclose(library.to_numpy(found.inverse_transform(Z)), X, atol=1e-9)
    centred = X - theirs.location_
    distances = np.sum(centred @ np.linalg.inv(theirs.covariance_) * centred, axis=1)
    scores = library.to_numpy(found.score_samples(library.asarray(X)))
    assert_allclose(-2 * scores - 6 * np.log(2 * np.pi), distances, rtol=1e-8)


@pytest.mark.parametrize(
    ("estimator", "options"),
    [
        (EmpiricalCovariance(), {}),
        (LedoitWolf(), {"shrinkage": "ledoit_wolf"}),
        (OAS(), {"shrinkage": "oas"}),
        (ShrunkCovariance(shrinkage=0.3), {"shrinkage": 0.3}),
    ],
    ids=repr,
)
@pytest.mark.parametrize("scatter", ["total", "within"])
def test_equals_our_own(estimator, options, scatter):
    X, y = make_rows()
    a = SpectralWhitener(covariance=estimator, scatter=scatter).fit(X, y)
    b = SpectralWhitener(scatter=scatter, **options).fit(X, y)
    assert_allclose(a.transform(X), b.transform(X), atol=1e-9)
    assert_allclose(a.mean_, X.mean(axis=0), rtol=1e-12)


def test_within_is_about_the_class_means():
    X, y = make_rows()
    found = SpectralWhitener(covariance=MinCovDet(random_state=0), scatter="within")
    theirs = MinCovDet(random_state=0).fit(centred_within(X, y))
    found.fit(X, y)
    assert_allclose(found.covariance_, theirs.covariance_, rtol=1e-9)
    assert_allclose(found.mean_, X.mean(axis=0))


def test_outliers_do_not_matter():
    """What a robust estimate is for."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 4)) * [1, 2, 3, 4]
    spoiled = X.copy()
    spoiled[:60] += 200
    robust = SpectralWhitener(covariance=MinCovDet(random_state=0)).fit(spoiled)
    clean = oracle.covariance(robust.transform(X[60:]))
    assert np.linalg.norm(clean - np.eye(4)) < 0.5
    plain = oracle.covariance(SpectralWhitener().fit(spoiled).transform(X[60:]))
    assert np.linalg.norm(plain - np.eye(4)) > 1


def test_clone_is_fitted():
    X, _ = make_rows()
    estimator = LedoitWolf()
    whitener = SpectralWhitener(covariance=estimator).fit(X)
    with pytest.raises(AttributeError):
        estimator.covariance_  # noqa: B018
    assert isinstance(whitener.covariance_estimator_, LedoitWolf)
    assert whitener.covariance_estimator_.shrinkage_ > 0
    frozen = FrozenEstimator(LedoitWolf().fit(X))
    other = SpectralWhitener(covariance=frozen).fit(X[:50])
    assert_allclose(other.covariance_, whitener.covariance_, rtol=1e-12)


def test_one_fit_after_the_other():
    X, _ = make_rows()
    whitener = SpectralWhitener(covariance=LedoitWolf()).fit(X)
    assert not hasattr(whitener, "moments_")
    whitener.set_params(covariance=None)
    with pytest.raises(ValueError, match="covariance=None and solver='eigh'"):
        whitener.partial_fit(X)
    whitener.fit(X).partial_fit(X)
    assert not hasattr(whitener, "covariance_estimator_")
    assert_allclose(whitener.covariance_, oracle.covariance(X), rtol=1e-10)


def test_search_over_the_covariance():
    X, y = make_rows()
    search = GridSearchCV(
        make_pipeline(SpectralWhitener(covariance=ShrunkCovariance())),
        {"spectralwhitener__covariance__shrinkage": [0.0, 0.1, 0.9]},
    ).fit(X, y)
    assert len(search.cv_results_["params"]) == 3
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_works_in_float64(dtype):
    X, _ = make_rows()
    X = (10 * X).astype(dtype)
    found = SpectralWhitener(covariance=EmpiricalCovariance()).fit(X)
    assert_allclose(found.covariance_, oracle.covariance(X), rtol=1e-10)


# -- weights -----------------------------------------------------------------------


def test_frequencies_are_repetitions():
    X, y = make_rows()
    weights = np.arange(200) % 4
    for scatter in ("total", "within"):
        whitener = SpectralWhitener(covariance=OAS(), scatter=scatter)
        weighted = whitener.fit(X, y, sample_weight=weights).transform(X)
        repeated = np.repeat(X, weights, axis=0), np.repeat(y, weights)
        assert_allclose(weighted, whitener.fit(*repeated).transform(X), atol=1e-9)


def test_weights_that_are_no_frequencies():
    X, _ = make_rows()
    weights = np.full(200, 1.5)
    with pytest.raises(ValueError, match=r"must be whole numbers, got 1\.5"):
        SpectralWhitener(covariance=OAS()).fit(X, sample_weight=weights)


class Weighted(BaseEstimator):
    """Takes weights itself; has no location."""

    def fit(self, X, y=None, sample_weight=None):
        mean = np.average(X, axis=0, weights=sample_weight)
        self.covariance_ = np.cov(X.T, aweights=sample_weight, bias=True)
        self.seen_ = mean
        return self


def test_an_estimator_that_takes_weights():
    X, _ = make_rows()
    weights = np.random.default_rng(0).uniform(0.5, 2, size=200)
    found = SpectralWhitener(covariance=Weighted()).fit(X, sample_weight=weights)
    expected = oracle.covariance(X, weights=weights)
    assert_allclose(found.covariance_, expected, rtol=1e-9)
    assert_allclose(found.mean_, np.average(X, axis=0, weights=weights))


# -- bad input ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("shrinkage", "oas"), ("shrinkage", 0.1), ("ddof", 1), ("n_components", "mle")],
)
def test_two_answers_to_one_question(name, value):
    whitener = SpectralWhitener(covariance=OAS(), **{name: value})
    X, _ = make_rows()
    with pytest.raises(ValueError, match=rf"{name}=.* has no meaning beside"):
        whitener.fit(X)
    whitener = SpectralWhitener(covariance=OAS()).fit(X).set_params(**{name: value})
    with pytest.raises(ValueError, match=rf"{name}=.* has no meaning beside"):
        whitener.transform(X)


def test_no_shrinkage_is_no_second_answer():
    X, _ = make_rows()
    a = SpectralWhitener(covariance=OAS(), shrinkage=0.0).fit(X)
    assert a.shrinkage_ == 0


@pytest.mark.parametrize("first", [None, OAS()], ids=["none", "OAS"])
def test_covariance_changed_after_fit(first):
    X, _ = make_rows()
    whitener = SpectralWhitener(covariance=first).fit(X)
    whitener.set_params(covariance=OAS() if first is None else None)
    with pytest.raises(ValueError, match="covariance was changed after fit"):
        whitener.transform(X)


@pytest.mark.parametrize("solver", ["svd", "gram"])
def test_solvers_of_rows(solver):
    with pytest.raises(ValueError, match=r"solver=.* has no meaning"):
        SpectralWhitener(covariance=OAS(), solver=solver).fit(make_rows()[0])


def test_no_streaming():
    whitener = SpectralWhitener(covariance=OAS())
    for name in ("partial_fit", "fit_moments"):
        assert not hasattr(whitener, name)
        with pytest.raises(ValueError, match="covariance=OAS, which needs all rows"):
            getattr(whitener, name)(ClassMoments(6))


class Broken(BaseEstimator):
    def __init__(self, value=None):
        self.value = value

    def fit(self, X, y=None):
        self.covariance_ = self.value
        return self


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "got no such array"),
        (np.eye(5), "got no such array"),
        (np.full((6, 6), np.nan), "not finite"),
    ],
    ids=["none", "shape", "nan"],
)
def test_broken_estimates(value, message):
    X, _ = make_rows()
    whitener = SpectralWhitener(covariance=Broken(value))
    with pytest.raises(ValueError, match=message):
        whitener.fit(X)
    assert not hasattr(whitener, "covariance_estimator_")
    with pytest.raises(NotFittedError):
        whitener.transform(X)


class Misplaced(EmpiricalCovariance):
    def __init__(self, place=None):
        super().__init__()
        self.place = place

    def fit(self, X, y=None):
        super().fit(X)
        self.location_ = self.place
        return self


@pytest.mark.parametrize("place", [np.zeros(3), np.full(6, np.nan), 1.0], ids=str)
def test_broken_locations(place):
    with pytest.raises(ValueError, match="location_ of covariance=Misplaced must be"):
        SpectralWhitener(covariance=Misplaced(place)).fit(make_rows()[0])


def test_not_an_estimator():
    with pytest.raises(ValueError, match="'covariance' parameter"):
        SpectralWhitener(covariance=np.eye(6)).fit(make_rows()[0])


def test_singular_estimate():
    """The rank rule holds for estimates as well."""
    X, _ = make_rows()
    X = X[:, [0, 1, 2, 2]]
    found = SpectralWhitener("pca", covariance=EmpiricalCovariance()).fit(X)
    assert found.rank_ == 3
    assert_array_equal(np.isfinite(found.transform(X)), True)
