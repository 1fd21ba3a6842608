"""Tests of reconstruction scores against loops and PCA, and on degenerate data."""

import numpy as np
import oracles_robust as oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import hadamard
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_collapse._components import default_components
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import MahalanobisDetector, ReconstructionDetector

WEIGHTS = ((1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.3, 2.0))


def make_data(seed=0, n=90, d=6):
    """Rows of distinct variances in random directions, and rows from elsewhere."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    X = rng.normal(size=(n, d)) * np.geomspace(3, 0.2, d) @ turn.T + 1.5
    return X, 2 * rng.normal(size=(40, d)) + 1


# -- the definition --------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("k", [1, 3, 5])
def test_against_loops(library, dtype, weights, k):
    X, new = (rows.astype(dtype) for rows in make_data())
    latent, residual = weights
    detector = ReconstructionDetector(
        k, latent_weight=latent, residual_weight=residual
    ).fit(library.asarray(X))
    scores = detector.score_samples(library.asarray(new))
    assert library.owns(scores)
    scores = library.to_numpy(scores)
    assert scores.dtype == dtype
    expected = oracles.reconstruction(
        X.astype(float), new.astype(float), k, latent, residual
    )
    rtol = 1e-9 if dtype == "float64" else 2e-5
    assert_allclose(scores, expected, rtol=rtol)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_weighted_rows(k):
    X, new = make_data()
    weights = np.arange(len(X)) % 3
    scores = ReconstructionDetector(k).fit(X, None, weights).score_samples(new)
    expected = oracles.reconstruction(X, new, k, weights=weights)
    assert_allclose(scores, expected, rtol=1e-9)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_is_the_density_of_probabilistic_pca(k):
    """Up to a constant: scikit-learn's covariance has the normaliser n - 1."""
    X, new = make_data()
    n = len(X)
    scores = ReconstructionDetector(k).fit(X).score_samples(new)
    density = PCA(k).fit(X).score_samples(new)
    difference = 2 * density - scores * (n - 1) / n
    assert_allclose(difference, difference[0], rtol=1e-9)


def test_all_components_are_mahalanobis(library):
    X, new = map(library.asarray, make_data())
    scores = library.to_numpy(ReconstructionDetector(6).fit(X).score_samples(new))
    plain = library.to_numpy(MahalanobisDetector().fit(X).score_samples(new))
    assert_allclose(scores, plain, rtol=1e-9)


def test_means_of_the_terms():
    """k and d - k on training rows."""
    X, _ = make_data()
    for k in (1, 4):
        for weights, expected in (((1.0, 0.0), k), ((0.0, 1.0), 6 - k)):
            detector = ReconstructionDetector(
                k, latent_weight=weights[0], residual_weight=weights[1]
            )
            found = -detector.fit(X).score_samples(X).mean()
            assert found == pytest.approx(expected, rel=1e-9)


def test_attributes(library):
    X, _ = make_data()
    mean, values, vectors = oracles.principal(X)
    detector = ReconstructionDetector(0.9).fit(library.asarray(X))
    k = 1 + int(np.sum(np.cumsum(values) < 0.9 * values.sum()))
    assert detector.n_components_ == k
    assert detector.rank_ == 6
    assert detector.noise_variance_ == pytest.approx(values[k:].mean(), rel=1e-9)
    assert detector.floor_ < 1e-12 * values[0]
    for name in ("mean_", "components_", "eigenvalues_", "means_"):
        assert library.owns(getattr(detector, name))
    assert_allclose(library.to_numpy(detector.mean_), mean, rtol=1e-9)
    assert_allclose(library.to_numpy(detector.eigenvalues_), values, rtol=1e-9)
    found = library.to_numpy(detector.components_)
    assert_allclose(
        found.T @ found, vectors[:, :k] @ vectors[:, :k].T, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(("d", "expected"), [(1, 1), (2, 1), (7, 3), (200, 49)])
def test_default_number(d, expected, rng):
    """At most the rank."""
    detector = ReconstructionDetector().fit(rng.normal(size=(50, d)))
    assert detector.n_components_ == expected


@pytest.mark.parametrize(
    ("d", "expected"), [(767, 383), (768, 512), (2047, 512), (2048, 1000)]
)
def test_default_number_of_wide_rows(d, expected):
    assert default_components(d) == expected


def test_labels_do_not_matter():
    X, new = make_data()
    y = np.arange(len(X)) % 3
    scores = [
        ReconstructionDetector(2).fit(X, labels).score_samples(new)
        for labels in (None, y, np.arange(len(X)))
    ]
    for other in scores[1:]:
        assert_allclose(other, scores[0], rtol=1e-9)


# -- digits ----------------------------------------------------------------------


def test_small_residuals_keep_their_digits():
    """Uncorrelated columns, so that the components are the axes."""
    scales = np.array([1e4, 1e3, 2e-2, 1e-2])
    X = hadamard(8)[:, 1:5] * scales
    new = np.random.default_rng(0).normal(size=(30, 4)) * scales
    new[:, :2] *= 1e4
    noise = (4e-4 + 1e-4) / 2
    expected = -(new[:, 2:] ** 2).sum(axis=1) / noise
    detector = ReconstructionDetector(2, latent_weight=0.0).fit(X)
    assert detector.noise_variance_ == pytest.approx(noise, rel=1e-6)
    assert_allclose(detector.score_samples(new), expected, rtol=1e-6)
    # The difference of squared lengths has no digit left.
    lengths = (new**2).sum(axis=1) - (new[:, :2] ** 2).sum(axis=1)
    assert np.median(np.abs(lengths / noise / expected + 1)) > 0.1


@pytest.mark.parametrize("decades", [6, 10, 12])
def test_wide_spectrum_in_float32(library, decades):
    """Scores of float32 rows are those of the same rows in float64."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    scales = np.logspace(0, -decades / 2, 8)
    X = ((rng.normal(size=(200, 8)) * scales) @ turn.T).astype(np.float32)
    new = ((rng.normal(size=(50, 8)) * scales) @ turn.T).astype(np.float32)
    detector = ReconstructionDetector(4).fit(library.asarray(X))
    scores = library.to_numpy(detector.score_samples(library.asarray(new)))
    assert scores.dtype == np.float32
    noise = max(detector.noise_variance_, detector.floor_)
    X, new = X.astype(float), new.astype(float)
    expected = oracles.reconstruction(X, new, 4, floor=noise)
    assert_allclose(scores, expected, rtol=1e-2)


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_float32_far_from_the_origin(shift):
    X, new = ((rows + shift).astype(np.float32) for rows in make_data())
    scores = ReconstructionDetector(2).fit(X).score_samples(new)
    expected = oracles.reconstruction(X.astype(float), new.astype(float), 2)
    assert_allclose(scores, expected, rtol=1e-4)


# -- degenerate data -------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("k", [None, 2, 0.99])
def test_dead_unit_is_seen(library, dtype, k):
    X, _ = make_data(n=300)
    X[:, 4] = 0.25
    lit = X[:100].copy()
    lit[:, 4] += 3.0
    rows = [library.asarray(v.astype(dtype)) for v in (X, lit)]
    detector = ReconstructionDetector(k).fit(rows[0])
    scores = [library.to_numpy(detector.score_samples(v)) for v in rows]
    assert scores[1].max() < scores[0].min() or k == 2
    y_true = np.repeat([1, 0], [len(X), len(lit)])
    assert roc_auc_score(y_true, np.concatenate(scores)) > 0.99
    # The code alone is blind to it.
    blind = ReconstructionDetector(2, residual_weight=0.0).fit(rows[0])
    scores = [library.to_numpy(blind.score_samples(v)) for v in rows]
    assert_allclose(scores[1], scores[0][:100], rtol=1e-3, atol=1e-5)


def test_dead_units_count_in_the_mean_of_the_discarded():
    X, new = make_data()
    X[:, 4:] = 0.25
    _, values, _ = oracles.principal(X)
    detector = ReconstructionDetector(2).fit(X)
    assert detector.rank_ == 4
    assert detector.noise_variance_ == pytest.approx(values[2:].sum() / 4, rel=1e-9)
    expected = oracles.reconstruction(X, new, 2)
    assert_allclose(detector.score_samples(new), expected, rtol=1e-9)


@pytest.mark.parametrize("weights", WEIGHTS[:2])
def test_nothing_discarded_varies(weights):
    """The noise variance is zero, and is floored by the rank rule."""
    X, new = make_data(d=6)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0]
    X[:, 3:] = 0.0
    X = X @ turn
    detector = ReconstructionDetector(
        3, latent_weight=weights[0], residual_weight=weights[1]
    ).fit(X)
    assert detector.rank_ == 3
    assert detector.noise_variance_ == 0
    eps = np.finfo(float).eps
    assert 0 < detector.floor_ < 1e3 * eps * np.var(X, axis=0).sum()
    scores = detector.score_samples(new)
    assert np.all(np.isfinite(scores))
    expected = oracles.reconstruction(X, new, 3, *weights, floor=detector.floor_)
    assert_allclose(scores, expected, rtol=1e-6)
    assert scores.max() < detector.score_samples(X).min()


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_identical_rows(library, value):
    X = np.full((10, 4), value)
    detector = ReconstructionDetector().fit(library.asarray(X))
    assert detector.n_components_ == 0
    assert_array_equal(library.to_numpy(detector.score_samples(library.asarray(X))), 0)
    off = library.to_numpy(detector.score_samples(library.asarray(X + 1)))
    assert np.all(np.isfinite(off))
    assert np.all(off < 0)
    for k in (1, 0.5):
        with pytest.raises(ValueError, match=r"rank of the rows is 0"):
            ReconstructionDetector(k).fit(library.asarray(X))


def test_fewer_rows_than_features(rng):
    X = rng.normal(size=(20, 60))
    for k in (None, 5, 0.9, 19):
        detector = ReconstructionDetector(k).fit(X)
        inside = detector.score_samples(X)
        assert np.all(np.isfinite(inside))
        assert detector.score_samples(5 * rng.normal(size=(9, 60))).max() < inside.min()


def test_collapsed_rows():
    """Rows at their class means: what is outside of their span is far off."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(4, 12)).astype(np.float32)
    X = means[np.arange(80) % 4]
    detector = ReconstructionDetector().fit(X)
    assert detector.n_components_ == detector.rank_ == 3
    inside = detector.score_samples(X)
    assert_allclose(inside, inside.mean(), rtol=1e-3)
    assert detector.score_samples(X + np.float32(0.1)).max() < 1e3 * inside.min()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_whose_distance_overflows(dtype):
    X, _ = make_data()
    detector = ReconstructionDetector(2).fit(X.astype(dtype))
    huge = np.full((1, 6), np.finfo(dtype).max / 4, dtype=dtype)
    with pytest.raises(ValueError, match=r"squares overflow. Rescale"):
        detector.score_samples(huge)


# -- parameters ------------------------------------------------------------------


def test_more_components_than_there_are():
    X, _ = make_data()
    with pytest.raises(ValueError, match=r"n_components=7 .*rank of the rows is 6"):
        ReconstructionDetector(7).fit(X)
    X[:, 3] = X[:, 2]
    with pytest.raises(ValueError, match=r"n_components=6 .*rank of the rows is 5"):
        ReconstructionDetector(6).fit(X)


def test_nothing_left_to_score():
    X, _ = make_data()
    for k, weights in ((2, (0, 0)), (6, (0, 1)), (6, (0, 0))):
        detector = ReconstructionDetector(
            k, latent_weight=weights[0], residual_weight=weights[1]
        )
        with pytest.raises(ValueError, match=r"Every score would be 0.*n_features=6"):
            detector.fit(X)


@pytest.mark.parametrize(
    "params",
    [
        *({"n_components": value} for value in (0, 1.0, -1, "mle", np.nan)),
        *({"latent_weight": value} for value in (-1, "auto", None, np.nan)),
        *({"residual_weight": value} for value in (-0.1, "auto", None)),
    ],
    ids=repr,
)
def test_bad_parameters(params):
    (parameter,) = params
    with pytest.raises(InvalidParameterError, match=f"'{parameter}' parameter"):
        ReconstructionDetector(**params).fit(make_data()[0])


def test_parameters_after_fit():
    X, new = make_data()
    detector = ReconstructionDetector(2).fit(X)
    detector.set_params(n_components=4, residual_weight=0.5)
    fresh = ReconstructionDetector(4, residual_weight=0.5).fit(X)
    assert_array_equal(detector.score_samples(new), fresh.score_samples(new))


@pytest.mark.parametrize("k", [2, None])
def test_a_cut_inside_a_tie_warns(k):
    X = np.concatenate([np.eye(4), -np.eye(4)]) * [3.0, 2.0, 2.0, 1.0]
    with pytest.warns(UserWarning, match=r"2 and 3 are equal.*n_components="):
        ReconstructionDetector(k).fit(X)


# -- real features ---------------------------------------------------------------


@pytest.mark.parametrize("k", [None, 7, 0.9])
def test_real_features(k):
    data = load_cifar8_features()
    X = np.asarray(data.data, float)
    mean = X.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(X.T, bias=True))
    values, vectors = values[::-1], vectors[:, ::-1]
    detector = ReconstructionDetector(k).fit(data.data)
    m = {None: 48, 7: 7}.get(k, detector.n_components_)
    assert detector.n_components_ == m
    inverse = np.r_[1 / values[:m], np.full(96 - m, 1 / values[m:].mean())]
    for rows in (data.X_test, *data.ood.values()):
        z = (np.asarray(rows, float) - mean) @ vectors
        assert_allclose(detector.score_samples(rows), -(z**2) @ inverse, rtol=1e-3)
