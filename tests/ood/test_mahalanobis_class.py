"""MahalanobisDetector("class"): log-densities of one Gaussian per class."""

import numpy as np
import oracles
import oracles_mahalanobis as oracle
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn import covariance as sklearn_covariance
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

from sklearn_collapse import ClassMoments
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import MahalanobisDetector

FLOATS = pytest.mark.parametrize("dtype", ["float64", "float32"])
RELATIVE = pytest.mark.parametrize("relative", [False, True])


def make_data(seed=0, n=150, d=5, n_new=40):
    """Three classes of different sizes, each with a covariance of its own."""
    rng = np.random.default_rng(seed)
    y = np.repeat([2, 0, 7], [n // 2, n // 3, n - n // 2 - n // 3])[rng.permutation(n)]
    mixes = {c: rng.normal(size=(d, d)) for c in (0, 2, 7)}
    X = np.array([rng.normal(size=d) @ mixes[c] + c * np.linspace(-1, 1, d) for c in y])
    return X + 2, y, 3 * rng.normal(size=(n_new, d)) + 1


def scores_of(detector, library, rows):
    return library.to_numpy(detector.score_samples(library.asarray(rows)))


def auroc(detector, inside, outside):
    scores = [np.asarray(detector.score_samples(rows)) for rows in (inside, outside)]
    return oracles.auroc(*(s.tolist() for s in scores))


# -- the formula -------------------------------------------------------------------


@FLOATS
@RELATIVE
@pytest.mark.parametrize("normalize", [False, True])
def test_scores(library, relative, normalize, dtype):
    X, y, new = make_data()
    X, new = X.astype(dtype), new.astype(dtype)
    rows, unit = X.astype(float), new.astype(float)
    if normalize:
        rows, unit = (
            v / np.linalg.norm(v, axis=1, keepdims=True) for v in (rows, unit)
        )
    expected = oracle.class_scores(rows, y, unit, relative=relative)
    detector = MahalanobisDetector("class", relative=relative, normalize=normalize)
    detector.fit(library.asarray(X), library.asarray(y))
    scores = detector.score_samples(library.asarray(new))
    assert library.owns(scores)
    scores = library.to_numpy(scores)
    assert scores.dtype == dtype
    size = np.abs(oracle.class_scores(rows, y, unit)).max()
    rtol = {"float64": 1e-9, "float32": 2e-6}[dtype]
    assert_allclose(scores, expected, rtol=rtol, atol=rtol * size)


@RELATIVE
@pytest.mark.parametrize("shrinkage", [0.3, 1.0, "oas", "ledoit_wolf"])
def test_shrinkage_of_each_class(library, shrinkage, relative):
    """The intensities are scikit-learn's, of the rows of each class."""
    X, y, new = make_data(1)
    shares, whole = dict.fromkeys([0, 2, 7], shrinkage), shrinkage
    if isinstance(shrinkage, str):
        function = getattr(sklearn_covariance, shrinkage)
        shares = {c: function(X[y == c])[1] for c in shares}
        whole = function(X)[1]
        assert len({round(s, 6) for s in shares.values()}) == 3
    expected = oracle.class_scores(
        X, y, new, shares=shares, total_share=whole, relative=relative
    )
    detector = MahalanobisDetector("class", shrinkage=shrinkage, relative=relative)
    detector.fit(library.asarray(X), y)
    assert_allclose(scores_of(detector, library, new), expected, rtol=1e-8, atol=1e-8)
    assert_allclose(detector.shrinkage_, [shares[c] for c in (0, 2, 7)], rtol=1e-9)


def test_equals_scipy_and_quadratic_discriminant():
    X, y, new = make_data(2)
    detector = MahalanobisDetector("class").fit(X, y)
    laws = [
        stats.multivariate_normal(m, S)
        for m, S in zip(detector.means_, detector.covariance_, strict=True)
    ]
    expected = np.max([law.logpdf(new) for law in laws], axis=0)
    assert_allclose(detector.score_samples(new), expected, rtol=1e-9)
    # Its covariances have the normaliser n_c - 1: the same classes win on copies.
    many, labels = np.repeat(X, 2000, axis=0), np.repeat(y, 2000)
    model = QuadraticDiscriminantAnalysis(priors=[1 / 3] * 3).fit(many, labels)
    joint = model.predict_log_proba(new)
    winner = np.argmax([law.logpdf(new) for law in laws], axis=0)
    assert_array_equal(np.argmax(joint, axis=1), winner)


@RELATIVE
def test_one_class_ranks_as_tied(library, relative):
    X, _, new = make_data(3)
    plain = MahalanobisDetector().fit(library.asarray(X))
    detector = MahalanobisDetector("class", relative=relative).fit(library.asarray(X))
    expected = stats.multivariate_normal(X.mean(axis=0), oracle.covariance_of(X))
    scores = scores_of(detector, library, new)
    assert_allclose(scores, expected.logpdf(new), rtol=1e-9)
    assert_array_equal(np.argsort(scores), np.argsort(scores_of(plain, library, new)))


def test_attributes(library):
    X, y, _ = make_data(4)
    detector = MahalanobisDetector("class", shrinkage=0.2).fit(library.asarray(X), y)
    covariance = library.to_numpy(detector.covariance_)
    for k, c in enumerate((0, 2, 7)):
        own = oracle.shrink(oracle.covariance_of(X[y == c]), 0.2)
        assert_allclose(covariance[k], own, rtol=1e-9, atol=1e-12)
    assert library.owns(detector.covariance_)
    assert_array_equal(detector.rank_, 5)
    assert detector.floor_.shape == (3,)
    assert detector.n_components_ == 5
    assert detector.moments_.class_scatter


@RELATIVE
def test_positive_floor(library, relative):
    """Eigenvalues are raised to a share of the largest of their own class."""
    X, y, new = make_data(5)
    floor = 0.2
    detector = MahalanobisDetector("class", floor=floor).fit(library.asarray(X), y)
    expected = []
    for c in (0, 2, 7):
        values, vectors = np.linalg.eigh(oracle.covariance_of(X[y == c]))
        raised = vectors * np.maximum(values, floor * values.max()) @ vectors.T
        mean = X[y == c].mean(axis=0)
        expected.append([oracle.log_density(x, mean, raised) for x in new])
    found = scores_of(detector, library, new)
    assert_allclose(found, np.max(expected, axis=0), rtol=1e-9)


def test_weights_are_repetitions(library):
    X, y, new = make_data(6)
    weights = np.random.default_rng(6).integers(1, 4, len(X))
    twice = np.repeat(np.arange(len(X)), weights)
    for shrinkage in (None, "oas", "ledoit_wolf"):
        detector = MahalanobisDetector("class", shrinkage=shrinkage)
        weighted = detector.fit(library.asarray(X), y, weights)
        scores = scores_of(weighted, library, new)
        detector.fit(library.asarray(X[twice]), y[twice])
        assert_allclose(scores, scores_of(detector, library, new), rtol=1e-8)


def test_many_classes_and_blocks(rng):
    """More classes than are worked on together, more rows than a block."""
    d, n_classes = 3, 700
    y = np.repeat(np.arange(n_classes), 20)
    X = 30 * rng.normal(size=(n_classes, d))[y] + rng.normal(size=(len(y), d))
    detector = MahalanobisDetector("class").fit(X, y)
    rows = X[rng.choice(len(X), 6000)] + rng.normal(size=(6000, d))
    some = rng.choice(6000, 15, replace=False)
    expected = oracle.class_scores(X, y, rows[some])
    assert_allclose(detector.score_samples(rows)[some], expected, rtol=1e-8)


def test_bundled_features():
    data = load_cifar8_features()
    X, y = data.data[::4], data.target[::4]
    rows = np.vstack([data.X_test[::50], data.ood["far: texture"][::50]])
    detector = MahalanobisDetector("class").fit(X, y)
    laws = [
        stats.multivariate_normal(
            X[y == c].astype(float).mean(axis=0),
            np.cov(X[y == c].astype(float).T, bias=True),
        )
        for c in np.unique(y)
    ]
    expected = np.max([law.logpdf(rows.astype(float)) for law in laws], axis=0)
    assert_allclose(detector.score_samples(rows), expected, rtol=1e-3)
    double = MahalanobisDetector("class").fit(X.astype(float), y)
    found = double.score_samples(rows.astype(float))
    assert_allclose(found, expected, rtol=1e-7)


# -- classes that vary little, or not at all -----------------------------------------


@FLOATS
@RELATIVE
def test_class_of_a_single_row_takes_the_tied_covariance(library, relative, dtype):
    X, y, new = make_data(7)
    X, new = X.astype(dtype), new.astype(dtype)
    X, y = np.vstack([X, X[:1] + 9]), np.append(y, 11)
    rows, far = X.astype(float), new.astype(float)
    detector = MahalanobisDetector("class", relative=relative)
    detector.fit(library.asarray(X), y)
    for points in (far, rows):
        expected = oracle.class_scores(rows, y, points, relative=relative)
        found = scores_of(detector, library, points.astype(dtype))
        rtol = {"float64": 1e-9, "float32": 1e-5}[dtype]
        assert_allclose(found, expected, rtol=rtol, atol=10 * rtol)


@pytest.mark.parametrize("shrinkage", [None, 0.5, "oas", "ledoit_wolf"])
def test_class_of_equal_rows(library, shrinkage):
    X, y, _ = make_data(8)
    X, y = np.vstack([X, np.tile(X[:1] + 9, (6, 1))]), np.append(y, [11] * 6)
    detector = MahalanobisDetector("class", shrinkage=shrinkage)
    detector.fit(library.asarray(X), y)
    assert_array_equal(detector.rank_, 5)
    tied = MahalanobisDetector(shrinkage=shrinkage).fit(X, y)
    assert_allclose(
        library.to_numpy(detector.covariance_)[-1], tied.covariance_, rtol=1e-9
    )
    assert detector.shrinkage_[-1] == pytest.approx(tied.shrinkage_, rel=1e-9)
    own = scores_of(detector, library, X[-1:] + 0.1)
    assert np.isfinite(own).all()
    assert own[0] > scores_of(detector, library, X[-1:] + 30)[0]
    assert detector.predict(library.asarray(X[-1:]))[0] == 1


@RELATIVE
@pytest.mark.parametrize("shrinkage", [None, 0.5, "oas", "ledoit_wolf"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_nothing_varies_within_any_class(library, value, shrinkage, relative):
    means = value * np.array([[1.5, -2.0, 0.25], [0.5, 1.0, 3.0]])
    detector = MahalanobisDetector("class", shrinkage=shrinkage, relative=relative)
    y = np.arange(6) % 2
    detector.fit(library.asarray(means[y]), y)
    inside = scores_of(detector, library, means)
    outside = scores_of(detector, library, means + np.array([1.0, 1.0, 0.0]))
    assert np.isfinite(inside).all()
    assert np.isfinite(outside).all()
    assert inside.min() > outside.max()


@FLOATS
@RELATIVE
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("sizes", [1.0, 1e-3])
def test_dead_unit_is_seen(library, dtype, relative, normalize, sizes):
    """Off in training for every class, lit by the outliers, and no other difference."""
    rng = np.random.default_rng(9)
    y = np.arange(300) % 3
    means = 3 * rng.normal(size=(3, 8))
    spread = sizes ** np.arange(3)[:, None]
    X, inside, outside = (
        spread[y[:n]] * rng.normal(size=(n, 8)) + means[y[:n]] for n in (300, 90, 90)
    )
    X[:, 3] = inside[:, 3] = 0
    outside[:, 3] = 5 + np.abs(outside[:, 3])
    X, inside, outside = (
        library.asarray(v.astype(dtype)) for v in (X, inside, outside)
    )
    detector = MahalanobisDetector("class", relative=relative, normalize=normalize)
    detector.fit(X, y)
    assert_array_equal(detector.rank_, 7 if not normalize else detector.rank_)
    assert auroc(detector, inside, outside) == 1


def test_unit_that_is_dead_for_one_class(rng):
    """What the tied covariance cannot see: whose unit it is."""
    y = np.arange(400) % 2
    X = rng.normal(size=(400, 4)) + 20 * np.eye(2, 4)[y]
    X[y == 0, 3] = 0
    inside = X[y == 0] + 0
    lit = inside + 0.5 * np.eye(4)[3]
    assert auroc(MahalanobisDetector("class").fit(X, y), inside, lit) == 1
    assert auroc(MahalanobisDetector().fit(X, y), inside, lit) < 1


@FLOATS
@pytest.mark.parametrize(
    ("spread", "offset"), [(1e-3, 0.0), (1e-5, 0.0), (1e-5, 1.0), (1.0, 1e4)]
)
def test_collapsed_classes(library, dtype, spread, offset):
    """Whitened means are up to 1e5 apart: float64 on the same rounded values."""
    rng = np.random.default_rng(10)
    n, d, n_classes = 400, 6, 4
    means = offset + rng.normal(size=(n_classes, d))
    y = np.arange(n) % n_classes
    scale = spread * (1 + y[:, None]) * np.linspace(0.5, 2, d)
    X = (means[y] + scale * rng.normal(size=(n, d))).astype(dtype)
    new = np.vstack([X[:60].astype(float) + spread, offset + rng.normal(size=(20, d))])
    new = new.astype(dtype)
    expected = oracle.class_scores(X.astype(float), y, new.astype(float))
    detector = MahalanobisDetector("class").fit(library.asarray(X), y)
    found = scores_of(detector, library, new)
    rtol = {"float64": 1e-8, "float32": 2e-5}[dtype]
    assert_allclose(found, expected, rtol=rtol, atol=20 * rtol)


def test_spectrum_to_1e_12_in_float32(library):
    """Densities never exceed those at the means, as distances are never negative."""
    rng = np.random.default_rng(11)
    d, y = 12, np.arange(600) % 3
    rotations = [np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(3)]
    mixes = [np.logspace(0, -6, d)[:, None] * Q for Q in rotations]
    X = np.array([rng.normal(size=d) @ mixes[c] + c for c in y]).astype(np.float32)
    detector = MahalanobisDetector("class").fit(library.asarray(X), y)
    means = library.to_numpy(detector.means_)
    peaks = MahalanobisDetector("class").fit(X.astype(float), y).score_samples(means)
    scores = scores_of(detector, library, X)
    assert np.isfinite(scores).all()
    assert scores.max() <= peaks.max() + 1e-4


@RELATIVE
@pytest.mark.parametrize("shrinkage", [0.1, "oas"])
def test_fewer_rows_than_features(relative, shrinkage, rng):
    """With shrinkage every class has a density everywhere."""
    X, new = rng.normal(size=(24, 40)), 3 * rng.normal(size=(20, 40))
    y = np.arange(24) % 3
    shares = dict.fromkeys(range(3), shrinkage)
    whole = shrinkage
    if shrinkage == "oas":
        shares = {c: sklearn_covariance.oas(X[y == c])[1] for c in range(3)}
        whole = sklearn_covariance.oas(X)[1]
    expected = oracle.class_scores(
        X, y, new, shares=shares, total_share=whole, relative=relative
    )
    detector = MahalanobisDetector("class", shrinkage=shrinkage, relative=relative)
    assert_allclose(detector.fit(X, y).score_samples(new), expected, rtol=1e-8)


def test_pseudo_inverse_needs_equal_ranks(library):
    """Densities on subspaces of different dimension cannot be compared."""
    X, y, new = make_data(12)
    dead = X.copy()
    dead[:, 3] = 0
    detector = MahalanobisDetector("class", floor=0).fit(library.asarray(dead), y)
    rest = [0, 1, 2, 4]
    expected = oracle.class_scores(X[:, rest], y, new[:, rest])
    assert_allclose(scores_of(detector, library, new), expected, rtol=1e-8)
    dead[y == 0, 1] = 0
    with pytest.raises(ValueError, match=r"floor=0 .* that are 3 for one class and 4"):
        MahalanobisDetector("class", floor=0).fit(library.asarray(dead), y)


def test_rows_whose_density_overflows(library):
    X, y, new = make_data(13)
    detector = MahalanobisDetector("class").fit(library.asarray(X), y)
    with pytest.raises(ValueError, match=r"large|overflow"):
        detector.score_samples(library.asarray(1e200 * new))


# -- moments -------------------------------------------------------------------------


def test_moments_need_class_scatters():
    X, y, new = make_data(14)
    detector = MahalanobisDetector("class")
    with pytest.raises(ValueError, match="class_scatter=True"):
        detector.fit_moments(ClassMoments.from_arrays(X, y))
    moments = ClassMoments.from_arrays(X, y, class_scatter=True)
    expected = oracle.class_scores(X, y, new)
    found = detector.fit_moments(moments).score_samples(new)
    assert_allclose(found, expected, rtol=1e-9)
    # They serve the tied covariance as well, which does not serve the other way round.
    tied = MahalanobisDetector().fit_moments(moments)
    assert_allclose(tied.score_samples(new), oracles.mahalanobis(X, y, new), rtol=1e-9)
    changed = MahalanobisDetector().fit(X, y).set_params(covariance="class")
    for method in ("score_samples", "partial_fit"):
        with pytest.raises(ValueError, match="class_scatter=True"):
            getattr(changed, method)(X)
