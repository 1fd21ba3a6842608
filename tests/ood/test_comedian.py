"""Tests of the comedian covariance against loops, under contamination, and on edges."""

import numpy as np
import oracles_robust as oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.covariance import EmpiricalCovariance, MinCovDet
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_collapse._linalg import _comedian
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import ComedianCovariance
from sklearn_collapse.whitening import SpectralWhitener

SHARES = ("auto", 0.0, 0.3, 1.0)


def make_rows(n=60, d=4, seed=0):
    """Correlated rows away from the origin."""
    rng = np.random.default_rng(seed)
    return rng.standard_t(4, size=(n, d)) @ rng.normal(size=(d, d)) + 3.0


# -- the definition --------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 4, 5, 40, 61])
@pytest.mark.parametrize("d", [1, 3, 7])
@pytest.mark.parametrize("share", SHARES)
def test_against_loops(n, d, share):
    X = make_rows(n, d)
    location, covariance, used = oracles.shrunk_comedian(X, share)
    found = ComedianCovariance(share).fit(X)
    size = np.abs(covariance).max()
    assert_allclose(found.location_, location, rtol=1e-12)
    assert_allclose(found.covariance_, covariance, rtol=1e-9, atol=1e-12 * size)
    assert found.shrinkage_ == pytest.approx(used, rel=1e-9)


def test_about_the_origin():
    X = make_rows() - 2.0
    location, covariance, used = oracles.shrunk_comedian(X, centre=np.zeros(4))
    found = ComedianCovariance(assume_centered=True).fit(X)
    assert_array_equal(found.location_, location)
    assert_allclose(found.covariance_, covariance, rtol=1e-9)
    assert found.shrinkage_ == pytest.approx(used, rel=1e-9)


@pytest.mark.parametrize("block", [1, 50, 130])
def test_blocks_do_not_matter(monkeypatch, block):
    X = make_rows(50, 7)
    centred = X - np.median(X, axis=0)
    expected = _comedian.comedian(centred)
    monkeypatch.setattr(_comedian, "_BLOCK", block)
    for a, b in zip(_comedian.comedian(centred), expected, strict=True):
        assert_array_equal(a, b)


def test_of_normal_rows(rng):
    """Variances on the diagonal; off it the figures of the docstring."""
    z = rng.normal(size=(200_000, 2))
    for correlation, expected in (
        *((0.1, 0.04), (0.3, 0.18), (0.5, 0.36), (0.7, 0.58), (0.9, 0.85)),
        (1.0, 1.0),
    ):
        other = correlation * z[:, 0] + (1 - correlation**2) ** 0.5 * z[:, 1]
        X = np.column_stack([z[:, 0], 3 * other])
        covariance = ComedianCovariance(0.0).fit(X).covariance_
        assert_allclose(covariance.diagonal(), [1, 9], rtol=0.02)
        assert covariance[0, 1] / 3 == pytest.approx(expected, abs=0.01)


def test_standard_errors(rng):
    """Half the gap of order statistics is the spread of medians over samples."""
    draws = rng.normal(size=(400, 300, 2)) @ [[1, 0.6], [0, 1]]
    pairs = [_comedian.comedian(X) for X in draws]
    matrices, errors = (np.array(part) for part in zip(*pairs, strict=True))
    spread = matrices.std(axis=0)
    assert_allclose(np.sqrt((errors**2).mean(axis=0)), spread, rtol=0.25)


def test_intensity_falls_with_the_rows(rng):
    mix = np.diag([3, 1, 0.5, 0.2])
    shares = [
        ComedianCovariance().fit(rng.normal(size=(n, 4)) @ mix).shrinkage_
        for n in (20, 200, 2000, 20_000)
    ]
    assert np.all(np.diff(shares) < 0)
    assert shares[0] > 0.1
    assert shares[-1] < 0.01
    # Nothing but noise about nu I.
    assert ComedianCovariance().fit(rng.normal(size=(500, 20))).shrinkage_ > 0.7


# -- its inverse, distances, likelihood ------------------------------------------


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("stored", [True, False])
def test_precision_and_distances(share, stored):
    X, new = make_rows(300), make_rows(20, seed=1)
    found = ComedianCovariance(share, store_precision=stored).fit(X)
    inverse = np.linalg.inv(found.covariance_)
    assert (found.precision_ is None) == (not stored)
    assert_allclose(found.get_precision(), inverse, rtol=1e-8)
    gap = new - found.location_
    expected = [g @ inverse @ g for g in gap]
    assert_allclose(found.mahalanobis(new), expected, rtol=1e-8)
    normal = multivariate_normal(found.location_, found.covariance_)
    assert found.score(new) == pytest.approx(normal.logpdf(new).mean(), rel=1e-8)


@pytest.mark.parametrize("norm", ["frobenius", "spectral"])
def test_error_norm(norm):
    X = make_rows()
    found = ComedianCovariance().fit(X)
    other = np.cov(X.T)
    order = "fro" if norm == "frobenius" else 2
    expected = np.linalg.norm(other - found.covariance_, order) ** 2
    assert found.error_norm(other, norm, scaling=False) == pytest.approx(expected)
    assert found.error_norm(other.tolist(), norm) == pytest.approx(expected / 4)
    assert found.error_norm(found.covariance_) == 0


# -- contamination ---------------------------------------------------------------


def contaminated(share, distance, seed=0, n=400, d=5):
    rng = np.random.default_rng(seed)
    root = np.linalg.qr(rng.normal(size=(d, d)))[0] * np.linspace(1, 2, d)
    X = rng.normal(size=(n, d)) @ root.T
    outliers = int(share * n)
    X[:outliers] = distance + 0.5 * rng.normal(size=(outliers, d))
    return X, root @ root.T


def error(estimator, X, truth):
    return np.linalg.norm(estimator.fit(X).covariance_ - truth) / np.linalg.norm(truth)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.45])
@pytest.mark.parametrize("shrinkage", ["auto", 0.0])
def test_outliers_can_go_anywhere(share, shrinkage):
    """From some distance on, where they lie changes nothing; the mean breaks down."""
    near, far = (contaminated(share, distance) for distance in (1e2, 1e7))
    robust = ComedianCovariance(shrinkage)
    errors = [error(robust, *case) for case in (near, far)]
    assert errors[1] == pytest.approx(errors[0], rel=1e-6)
    assert robust.shrinkage_ < 0.5
    plain = [error(EmpiricalCovariance(), *case) for case in (near, far)]
    assert plain[1] > 1e9 * plain[0]


def test_growing_contamination():
    """The bias grows with the share of outliers, and stays far below the mean's."""
    shares = (0.0, 0.1, 0.2, 0.3, 0.4, 0.45)
    cases = [contaminated(share, 20.0) for share in shares]
    robust, plain, determinant = (
        np.array([error(estimator, *case) for case in cases])
        for estimator in (
            ComedianCovariance(),
            EmpiricalCovariance(),
            MinCovDet(random_state=0),
        )
    )
    assert np.all(np.diff(robust) > 0)
    assert robust[0] < 0.4
    assert np.all(robust[1:3] < 0.05 * plain[1:3])
    assert np.all(robust[1:] < 0.5 * plain[1:])
    # Clean rows are better used by the others.
    assert max(plain[0], determinant[0]) < robust[0]
    # On average over the shares it errs less than the minimum covariance determinant.
    assert robust.mean() < 0.5 * determinant.mean()


def test_half_of_the_rows_is_the_limit():
    X, _ = contaminated(0.55, 1e7)
    assert ComedianCovariance().fit(X).location_.min() > 0.99e7
    X, _ = contaminated(0.45, 1e7)
    assert ComedianCovariance().fit(X).location_.max() < 10


def test_intensity_ignores_few_far_rows():
    """A mean of fourth powers in its place would follow them to 1."""
    X, _ = contaminated(0.0, 0.0)
    clean = ComedianCovariance().fit(X).shrinkage_
    X[:4] = 1e9
    assert ComedianCovariance().fit(X).shrinkage_ == pytest.approx(clean, rel=0.3)


# -- not positive semi-definite --------------------------------------------------


def test_negative_eigenvalues_are_cut():
    X = make_rows(12, 6, seed=3)
    _, raw, _ = oracles.comedian(X)
    values = np.linalg.eigvalsh(raw)
    assert values[0] < -0.01 * values[-1]  # the comedian is not semi-definite here
    covariance = ComedianCovariance(0.0).fit(X).covariance_
    cut = np.linalg.eigvalsh(covariance)
    assert_allclose(cut, np.clip(values, 0, None), atol=1e-12 * values[-1])
    shrunk = ComedianCovariance(0.1).fit(X).covariance_
    least = 0.1 * np.trace(raw) / 6
    assert np.linalg.eigvalsh(shrunk)[0] == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("shape", [(8, 30), (2, 5), (40, 40)])
def test_more_features_than_rows(share, shape):
    X = make_rows(*shape)
    found = ComedianCovariance(share).fit(X)
    assert np.linalg.eigvalsh(found.covariance_)[0] > -1e-12 * found.covariance_.max()
    distances = found.mahalanobis(make_rows(10, shape[1], seed=1))
    assert np.all(np.isfinite(distances))
    assert np.all(distances >= 0)


@pytest.mark.parametrize("share", [0.0, "auto", 0.2])
def test_dead_column_counts(share):
    """A row that lights a column that was constant in training is far off."""
    X = make_rows(200)
    X[:, 2] = 5.0
    found = ComedianCovariance(share).fit(X)
    lit = X[:20].copy()
    lit[:, 2] += 100
    assert found.mahalanobis(lit).min() > found.mahalanobis(X).max()


def test_floor_knows_the_rounding_of_the_input():
    """A float32 column that was constant may be off by its spacing."""
    X = (make_rows(200) + 1e4).astype(np.float32)
    X[:, 2] = 1e4
    found = ComedianCovariance(0.0).fit(X)
    near, far = X[:20].copy(), X[:20].copy()
    near[:, 2] = np.nextafter(near[:, 2], np.float32(np.inf))
    far[:, 2] += 1
    plain = found.mahalanobis(X[:20])
    assert np.max(found.mahalanobis(near) - plain) < 100
    assert np.min(found.mahalanobis(far) - plain) > 1e5


def test_a_column_that_is_mostly_off():
    """A rectified unit that is off in more than half of the rows: no variance."""
    X = make_rows(200)
    X[:120, 1] = 0.0
    assert ComedianCovariance(0.0).fit(X).covariance_[1, 1] == 0
    shrunk = ComedianCovariance(0.1).fit(X).covariance_
    assert shrunk[1, 1] == pytest.approx(0.1 * shrunk.trace() / 4, rel=1e-9)


@pytest.mark.parametrize("value", [0.0, 7.5])
@pytest.mark.parametrize("share", SHARES)
def test_identical_rows(value, share):
    X = np.full((10, 3), value)
    found = ComedianCovariance(share).fit(X)
    assert_array_equal(found.covariance_, np.zeros((3, 3)))
    assert_array_equal(found.mahalanobis(X), 0)
    off = found.mahalanobis(X + 1.0)
    assert np.all(np.isfinite(off))
    assert np.all(off > 0)


# -- input -----------------------------------------------------------------------


def test_float32_far_from_the_origin():
    X = (make_rows(300) + 1e4).astype(np.float32)
    found = ComedianCovariance().fit(X)
    _, expected, _ = oracles.shrunk_comedian(X.astype(float))
    assert found.covariance_.dtype == np.float64
    assert_allclose(found.covariance_, expected, rtol=1e-9)


def test_libraries(library):
    X = make_rows()
    expected = ComedianCovariance().fit(X)
    found = ComedianCovariance().fit(library.asarray(X))
    assert type(found.covariance_) is np.ndarray
    assert_array_equal(found.covariance_, expected.covariance_)
    distances = found.mahalanobis(library.asarray(X))
    assert type(distances) is np.ndarray
    assert_array_equal(distances, expected.mahalanobis(X))


def test_bad_input():
    X = make_rows()
    nan = X.copy()
    nan[7, 2] = np.nan
    with pytest.raises(ValueError, match=r"NaN: first in row 7, column 2"):
        ComedianCovariance().fit(nan)
    with pytest.raises(ValueError, match=r"1 sample\(s\).*minimum of 2"):
        ComedianCovariance().fit(X[:1])
    with pytest.raises(ValueError, match=r"products of two columns overflow.*Rescale"):
        ComedianCovariance().fit(1e200 * X)
    fitted = ComedianCovariance().fit(X)
    for method in (fitted.mahalanobis, fitted.score):
        with pytest.raises(ValueError, match=r"3 features.*expecting 4"):
            method(X[:, :3])
        with pytest.raises(ValueError, match="row 7"):
            method(nan)


@pytest.mark.parametrize("bad", [-0.1, 1.1, "oas", None, np.nan])
def test_bad_shrinkage(bad):
    with pytest.raises(InvalidParameterError, match="'shrinkage' parameter"):
        ComedianCovariance(bad).fit(make_rows())


def test_not_fitted():
    found = ComedianCovariance()
    for method in (found.mahalanobis, found.score, found.error_norm):
        with pytest.raises(NotFittedError):
            method(make_rows())
    with pytest.raises(NotFittedError):
        found.get_precision()


def test_outliers_that_overflow():
    """Far rows do not spoil the others, whatever their size."""
    X = make_rows(100)
    far = X.copy()
    far[:10] = 1e200
    found = ComedianCovariance(0.0).fit(far)
    far[:10] = 1e100
    expected = ComedianCovariance(0.0).fit(far)
    assert_array_equal(found.covariance_, expected.covariance_)


# -- in use ----------------------------------------------------------------------


def test_real_features():
    """Five per cent of the training rows are outliers of the kind that is looked for.

    Class-centred rows are what a detector fits a covariance on.
    """
    data = load_cifar8_features()
    X, y = data.data[::2].astype(float), data.target[::2]
    inside, far = (
        np.asarray(rows, float) for rows in (data.X_test, data.ood["far: digits"])
    )
    hidden, outside = far[:250], far[250:]
    y_true = np.repeat([1, 0], [len(inside), len(outside)])

    def auroc(estimator, X):
        means = np.array([X[y == c].mean(axis=0) for c in range(8)])
        estimator = clone(estimator).fit(X - means[y])
        scores = [
            np.min([estimator.mahalanobis(rows - m) for m in means], axis=0)
            for rows in (inside, outside)
        ]
        return roc_auc_score(y_true, -np.concatenate(scores))

    spoilt = X.copy()
    spoilt[::20] = hidden[: len(spoilt[::20])]
    assert auroc(ComedianCovariance(), X) > 0.98
    assert auroc(ComedianCovariance(), spoilt) > 0.93
    assert auroc(EmpiricalCovariance(), X) > 0.99
    assert auroc(EmpiricalCovariance(), spoilt) < 0.5


def test_in_a_whitener():
    X = make_rows(200)
    estimator = ComedianCovariance()
    white = SpectralWhitener(covariance=estimator).fit(X).transform(X)
    root = np.linalg.inv(np.linalg.cholesky(estimator.fit(X).covariance_))
    other = (X - estimator.location_) @ root.T
    # Whatever the root: the same distances.
    assert_allclose(
        np.linalg.norm(white, axis=1), np.linalg.norm(other, axis=1), rtol=1e-8
    )
