"""MahalanobisSVDD: distances, and the radius that holds a share of the rows."""

import numpy as np
import oracles
import oracles_mahalanobis as oracle
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.covariance import OAS, MinCovDet
from sklearn.exceptions import NotFittedError

from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import MahalanobisDetector, MahalanobisSVDD


def make_data(seed=0, n=120, d=5, n_new=40):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 3)
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + y[:, None]
    return X, y, 3 * rng.normal(size=(n_new, d)) + 1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("labelled", [False, True])
def test_ball(library, labelled, quantile, dtype):
    """R minus the distance, R the quantile of the training distances."""
    X, y, new = make_data()
    X, new, y = X.astype(dtype), new.astype(dtype), y if labelled else None
    distances, training = (
        np.sqrt(-oracles.mahalanobis(X, y, rows)) for rows in (new, X)
    )
    radius = oracle.radius(training, quantile)
    detector = MahalanobisSVDD(quantile).fit(library.asarray(X), y)
    rtol = {"float64": 1e-9, "float32": 1e-5}[dtype]
    scores = library.to_numpy(detector.score_samples(library.asarray(new)))
    assert scores.dtype == dtype
    assert_allclose(scores, -distances, rtol=rtol)
    assert detector.radius_ == pytest.approx(radius, rel=rtol)
    assert detector.offset_ == -detector.radius_
    decision = library.to_numpy(detector.decision_function(library.asarray(new)))
    assert_allclose(decision, radius - distances, rtol=rtol, atol=10 * rtol)
    inside = library.to_numpy(detector.predict(library.asarray(X))) == 1
    assert np.sum(inside) == np.ceil(quantile * len(X) - 1e-9)


def test_authors_estimate():
    """Mean and covariance by the minimum covariance determinant."""
    X, _, new = make_data(1)
    X[:10] += 30
    robust = MinCovDet(random_state=0).fit(X - X.mean(axis=0))
    detector = MahalanobisSVDD(covariance=MinCovDet(random_state=0)).fit(X)
    expected = np.sqrt(robust.mahalanobis(new - X.mean(axis=0)))
    assert_allclose(-detector.score_samples(new), expected, rtol=1e-8)


@pytest.mark.parametrize(
    "options",
    [
        {"normalize": True},
        {"shrinkage": "oas"},
        {"shrinkage": "ledoit_wolf"},
        {"floor": 0.1},
        {"covariance": OAS()},
    ],
    ids=repr,
)
def test_squares_are_those_of_the_detector(library, options):
    X, y, new = make_data(2)
    squared = MahalanobisDetector(**options).fit(library.asarray(X), y)
    detector = MahalanobisSVDD(**options).fit(library.asarray(X), y)
    scores = library.to_numpy(detector.score_samples(library.asarray(new)))
    expected = library.to_numpy(squared.score_samples(library.asarray(new)))
    assert_allclose(-(scores**2), expected, rtol=1e-9)
    assert_allclose(
        library.to_numpy(detector.covariance_), library.to_numpy(squared.covariance_)
    )
    decisions = [
        library.to_numpy(d.predict(library.asarray(new))) for d in (detector, squared)
    ]
    assert_array_equal(*decisions)  # 0.95 and a contamination of 0.05


def test_radius_waits_for_calibration():
    X, y, _ = make_data(3)
    with pytest.raises(NotFittedError):
        MahalanobisSVDD().radius_  # noqa: B018
    detector = MahalanobisSVDD().partial_fit(X, y)
    with pytest.raises(AttributeError, match=r"call calibrate\(X\)"):
        detector.radius_  # noqa: B018
    assert not hasattr(detector, "radius_")
    whole = MahalanobisSVDD().fit(X, y)
    assert detector.calibrate(X).radius_ == pytest.approx(whole.radius_, rel=1e-9)


@pytest.mark.parametrize("quantile", [0.49, 1.0, 1.5, "all", None, np.nan])
def test_bad_quantile(quantile):
    with pytest.raises(ValueError, match="'quantile' parameter"):
        MahalanobisSVDD(quantile).fit(make_data()[0])


@pytest.mark.parametrize("covariance", ["class", "pooled", None])
def test_bad_covariance(covariance):
    with pytest.raises(ValueError, match="'covariance' parameter"):
        MahalanobisSVDD(covariance=covariance).fit(make_data()[0])


def test_quantile_takes_the_place_of_contamination():
    with pytest.raises(TypeError, match="contamination"):
        MahalanobisSVDD(contamination=0.1)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_dead_unit_is_seen(library, dtype):
    X, y, _ = make_data(4)
    X[:, 2] = 0
    X = X.astype(dtype)
    lit = X + 3 * np.eye(5, dtype=dtype)[2]
    detector = MahalanobisSVDD().fit(library.asarray(X), y)
    inside, outside = (
        library.to_numpy(detector.score_samples(library.asarray(v))) for v in (X, lit)
    )
    assert outside.max() < inside.min()


@pytest.mark.parametrize("within", [1e-3, 1e-5, 0.0])
def test_collapsed_float32(library, within):
    rng = np.random.default_rng(5)
    means, y = rng.normal(size=(4, 6)), np.arange(200) % 4
    X = (means[y] + within * rng.normal(size=(200, 6))).astype(np.float32)
    detector = MahalanobisSVDD().fit(library.asarray(X), y)
    rows = X[:40]
    scores = library.to_numpy(detector.score_samples(library.asarray(rows)))
    assert np.isfinite(scores).all()
    assert scores.max() <= 0
    if within:
        expected = -np.sqrt(-oracles.mahalanobis(X, y, rows))
        assert_allclose(scores, expected, rtol=1e-3)


def test_bundled_features():
    data = load_cifar8_features()
    detector = MahalanobisSVDD().fit(data.data, data.target)
    rows = np.vstack([data.X_test[::20], data.ood["far: digits"][::20]])
    expected = -np.sqrt(-oracles.mahalanobis(data.data, data.target, rows))
    assert_allclose(detector.score_samples(rows), expected, rtol=1e-4)
    assert np.mean(detector.predict(data.data) == -1) == pytest.approx(0.05, abs=1e-4)
