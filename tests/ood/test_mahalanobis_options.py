"""MahalanobisDetector: other estimators' covariances, components, chi-squared."""

import numpy as np
import oracles
import oracles_mahalanobis as oracle
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.base import clone
from sklearn.covariance import (
    OAS,
    EllipticEnvelope,
    EmpiricalCovariance,
    LedoitWolf,
    MinCovDet,
    ShrunkCovariance,
)
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

from sklearn_collapse import ClassMoments
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.metrics import get_scorer
from sklearn_collapse.ood import (
    MahalanobisDetector,
    MahalanobisSVDD,
    ReconstructionDetector,
)
from sklearn_collapse.utils import move_estimator

RELATIVE = pytest.mark.parametrize("relative", [False, True])
NORMALIZE = pytest.mark.parametrize("normalize", [False, True])


def make_data(seed=0, n=90, d=6, n_new=40):
    """Correlated features of three classes of different sizes, about an offset."""
    rng = np.random.default_rng(seed)
    y = np.repeat([2, 0, 7], [n // 2, n // 3, n - n // 2 - n // 3])[rng.permutation(n)]
    mix = rng.normal(size=(d, d))
    X = rng.normal(size=(n, d)) @ mix + 2.0 + y[:, None] * np.linspace(-1, 1, d)
    return X, y, 3 * rng.normal(size=(n_new, d)) + 1


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def scores_of(detector, library, rows):
    return library.to_numpy(detector.score_samples(library.asarray(rows)))


# -- covariances of other estimators ---------------------------------------------


@RELATIVE
@NORMALIZE
@pytest.mark.parametrize(
    "estimator", [OAS(), EmpiricalCovariance(), ShrunkCovariance(shrinkage=0.3)]
)
def test_estimator(library, estimator, relative, normalize):
    """Clones are fitted on the rows about their class means, and about the mean."""
    X, y, new = make_data()
    rows, points = (unit(X), unit(new)) if normalize else (X, new)

    def precision(centred):
        return np.linalg.inv(clone(estimator).fit(centred).covariance_)

    expected = oracles.mahalanobis_by(precision, rows, y, points, relative=relative)
    plain = oracles.mahalanobis_by(precision, rows, y, points)
    detector = MahalanobisDetector(estimator, relative=relative, normalize=normalize)
    detector.fit(library.asarray(X), library.asarray(y))
    found = scores_of(detector, library, new)
    assert_allclose(found, expected, rtol=1e-8, atol=1e-8 * np.abs(plain).max())
    assert library.owns(detector.covariance_)
    assert library.owns(detector.means_)
    assert detector.shrinkage_ == 0
    assert not hasattr(estimator, "covariance_")
    assert type(detector.covariance_estimator_) is type(estimator)


@RELATIVE
@pytest.mark.parametrize(
    ("estimator", "options"),
    [
        (EmpiricalCovariance(), {}),
        (LedoitWolf(), {"shrinkage": "ledoit_wolf"}),
        (OAS(), {"shrinkage": "oas"}),
    ],
    ids=repr,
)
def test_estimator_equals_our_own(estimator, options, relative):
    X, y, new = make_data(1)
    theirs = MahalanobisDetector(estimator, relative=relative).fit(X, y)
    ours = MahalanobisDetector(relative=relative, **options).fit(X, y)
    assert_allclose(theirs.score_samples(new), ours.score_samples(new), rtol=1e-8)
    assert theirs.offset_ == pytest.approx(ours.offset_, rel=1e-8)


@RELATIVE
def test_robust_envelope_of_one_class(relative):
    """The location of the estimator counts where there is a single class."""
    X, _, new = make_data(2)
    X[:20] += 50
    envelope = EllipticEnvelope(random_state=0).fit(X - X.mean(axis=0))
    expected = -envelope.mahalanobis(new - X.mean(axis=0))
    detector = MahalanobisDetector(MinCovDet(random_state=0), relative=relative)
    for y in (None, np.zeros(len(X), dtype=int)):
        found = detector.fit(X, y).score_samples(new)
        assert_allclose(found, expected, rtol=1e-7)
    location = X.mean(axis=0) + envelope.location_
    assert_allclose(detector.means_, location[None, :], rtol=1e-9)


def test_singular_estimate_sees_a_dead_unit():
    X, y, _ = make_data(3)
    X[:, 3] = 0
    lit = X + 5 * np.eye(6)[3]
    for relative in (False, True):
        detector = MahalanobisDetector(EmpiricalCovariance(), relative=relative)
        inside, outside = (detector.fit(X, y).score_samples(v) for v in (X, lit))
        assert detector.rank_ == 5
        assert inside.min() > outside.max()


def test_estimator_needs_rows():
    X, y, _ = make_data(4)
    detector = MahalanobisDetector(OAS())
    for name, argument in (("partial_fit", X), ("fit_moments", ClassMoments(6))):
        assert not hasattr(detector, name)
        with pytest.raises(ValueError, match=r"covariance=OAS, which needs all rows"):
            getattr(detector, name)(argument)
    detector.fit(X, y).set_params(covariance="tied")
    with pytest.raises(ValueError, match="covariance was changed after fit"):
        detector.score_samples(X)
    # The moments are those of the rows, and can go on.
    detector.partial_fit(X, y)
    assert not hasattr(detector, "covariance_estimator_")
    expected = oracles.mahalanobis(X, y, X)
    assert_allclose(detector.score_samples(X), expected, rtol=1e-8)
    tied = MahalanobisDetector().fit(X, y).set_params(covariance=OAS())
    with pytest.raises(ValueError, match="covariance was changed after fit"):
        tied.score_samples(X)
    detector = MahalanobisDetector(OAS()).fit(X, y).set_params(relative=True)
    with pytest.raises(ValueError, match="relative was changed after fit"):
        detector.score_samples(X)


@pytest.mark.parametrize("kind", [MahalanobisDetector, MahalanobisSVDD])
@pytest.mark.parametrize("shrinkage", ["oas", 0.1])
def test_two_answers_to_one_question(kind, shrinkage):
    X, y, _ = make_data()
    detector = kind(covariance=OAS(), shrinkage=shrinkage)
    with pytest.raises(ValueError, match=r"shrinkage=.* has no meaning beside"):
        detector.fit(X, y)
    assert not hasattr(detector, "moments_")


def test_estimator_and_weights():
    X, y, new = make_data(5)
    weights = np.arange(len(X)) % 4
    detector = MahalanobisDetector(OAS(), relative=True)
    found = detector.fit(X, y, weights).score_samples(new)
    again = np.repeat(X, weights, axis=0), np.repeat(y, weights)
    assert_allclose(found, detector.fit(*again).score_samples(new), rtol=1e-8)
    with pytest.raises(ValueError, match=r"must be whole numbers, got 1\.5"):
        detector.fit(X, y, np.full(len(X), 1.5))


def test_moved_to_another_library():
    torch = pytest.importorskip("torch")
    X, y, new = make_data(6)
    for detector in (
        MahalanobisDetector(OAS(), relative=True),
        MahalanobisDetector("class", shrinkage="ledoit_wolf", relative=True),
        MahalanobisSVDD(covariance=OAS()),
    ):
        expected = detector.fit(X, y).decision_function(new)
        moved = move_estimator(detector, torch.zeros(1))
        found = moved.decision_function(torch.asarray(new))
        assert_allclose(found.numpy(), expected, rtol=1e-7)


def test_search_over_the_covariance():
    data = load_cifar8_features()
    X, y = data.data[::20], data.target[::20]
    values = ["tied", "class", LedoitWolf()]
    search = GridSearchCV(
        MahalanobisDetector(shrinkage=None), {"covariance": values}, cv=2,
        scoring=lambda model, A, b: float(np.median(model.decision_function(A))),
    ).fit(X, y)  # fmt: skip
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# -- components --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("relative", "normalize"), [(False, False), (True, False), (True, True)]
)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("components", ["top", "bottom"])
@pytest.mark.parametrize("covariance", ["tied", "class"])
def test_components(library, covariance, components, share, relative, normalize):
    """As if rows had been projected first."""
    X, y, new = make_data(7)
    rows, points = (unit(X), unit(new)) if normalize else (X, new)
    V = oracle.kept_directions(rows, y, components, share)
    if covariance == "class":
        expected = oracle.class_scores(rows @ V, y, points @ V, relative=relative)
    else:
        expected = oracles.mahalanobis(rows @ V, y, points @ V, relative=relative)
    detector = MahalanobisDetector(
        covariance, components=components, variance_share=share, relative=relative,
        normalize=normalize,
    ).fit(library.asarray(X), y)  # fmt: skip
    assert detector.n_components_ == V.shape[1]
    found = scores_of(detector, library, new)
    assert_allclose(found, expected, rtol=1e-7, atol=1e-7 * np.abs(expected).max())


def test_every_number_of_components_occurs():
    """The cases above do not all keep everything, nor a single direction."""
    X, y, _ = make_data(7)
    for components, expected in (("top", [1, 1, 4]), ("bottom", [2, 5, 6])):
        kept = [oracle.kept_directions(X, y, components, s) for s in (0.05, 0.3, 0.9)]
        assert [V.shape[1] for V in kept] == expected


@pytest.mark.parametrize(("components", "share"), [("top", 0.99), ("bottom", 0.01)])
def test_default_share(components, share):
    data = load_cifar8_features()
    X, y = data.data[::4], data.target[::4]
    default = MahalanobisDetector(components=components).fit(X, y)
    given = MahalanobisDetector(components=components, variance_share=share).fit(X, y)
    assert 1 < default.n_components_ < X.shape[1]
    assert default.offset_ == given.offset_
    V = oracle.kept_directions(X.astype(float), y, components, share)
    assert default.n_components_ == V.shape[1]
    expected = oracles.mahalanobis(X @ V, y, data.X_test[:40] @ V)
    assert_allclose(default.score_samples(data.X_test[:40]), expected, rtol=1e-3)


@RELATIVE
@pytest.mark.parametrize("covariance", ["tied", "class", EmpiricalCovariance()])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_null_space_belongs_to_the_bottom(covariance, relative, dtype):
    """A unit that was dead in training is seen there, and not at the top."""
    X, y, _ = make_data(8, n=300)
    X[:, 3] = 0
    X = X.astype(dtype)
    lit = X + 20 * np.eye(6, dtype=dtype)[3]
    options = {"relative": relative, "variance_share": 0.5}
    top = MahalanobisDetector(covariance, components="top", **options).fit(X, y)
    assert_allclose(top.score_samples(lit), top.score_samples(X), rtol=1e-3, atol=1e-3)
    bottom = MahalanobisDetector(covariance, components="bottom", **options).fit(X, y)
    assert bottom.score_samples(lit).max() < bottom.score_samples(X).min()
    assert 1 < bottom.n_components_ < 6
    tiny = MahalanobisDetector(
        covariance, components="bottom", relative=relative, variance_share=1e-9
    ).fit(X, y)
    assert tiny.n_components_ == 2  # the last that varies, and the dead one
    assert tiny.score_samples(lit).max() < tiny.score_samples(X).min()


@pytest.mark.parametrize("shrinkage", [0.2, 1.0, "oas", "ledoit_wolf"])
@pytest.mark.parametrize("components", ["top", "bottom"])
def test_directions_are_those_before_shrinkage(components, shrinkage):
    """Equal eigenvalues after it say nothing about them."""
    X, y, new = make_data(9)
    V = oracle.kept_directions(X, y, components, 0.5)
    whole = MahalanobisDetector(shrinkage=shrinkage).fit(X, y)
    detector = MahalanobisDetector(
        shrinkage=shrinkage, components=components, variance_share=0.5
    ).fit(X, y)
    inner = np.linalg.inv(V.T @ whole.covariance_ @ V)
    means = oracle.means_of(X, y).values()
    expected = [-min((x - m) @ V @ inner @ V.T @ (x - m) for m in means) for x in new]
    assert_allclose(detector.score_samples(new), expected, rtol=1e-8)


@RELATIVE
@pytest.mark.parametrize("components", ["top", "bottom"])
def test_floor_is_a_share_of_what_is_kept(library, components, relative):
    """As if rows had been projected first."""
    X, y, new = make_data(9)
    V = oracle.kept_directions(X, y, components, 0.3)
    assert V.shape[1] > 1 or components == "top"

    def inverse(covariance):
        values, vectors = np.linalg.eigh(V.T @ covariance @ V)
        raised = np.maximum(values, 0.3 * values.max())
        return 0.3 * values.max(), V @ (vectors / raised) @ vectors.T @ V.T

    def distance(x, mean, precision):
        return (x - mean) @ precision @ (x - mean)

    floor, precision = inverse(oracle.within(X, y))
    total, mean = inverse(oracle.covariance_of(X))[1], X.mean(axis=0)
    expected = [
        relative * distance(x, mean, total)
        - min(distance(x, m, precision) for m in oracle.means_of(X, y).values())
        for x in new
    ]
    detector = MahalanobisDetector(
        components=components, variance_share=0.3, floor=0.3, relative=relative
    ).fit(library.asarray(X), y)
    assert detector.floor_ == pytest.approx(floor, rel=1e-9)
    assert detector.rank_ == V.shape[1]
    found = scores_of(detector, library, new)
    assert_allclose(found, expected, rtol=1e-7, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("shrinkage", [1e-20, 0.5, "oas", "ledoit_wolf"])
@pytest.mark.parametrize("components", ["top", "bottom"])
def test_shrunk_rounding_is_no_variance(components, shrinkage):
    """Rows of a class that differ by rounding alone vary in no direction."""
    rng = np.random.default_rng(10)
    y = np.arange(300) % 3
    X = (100 + 5 * rng.normal(size=(3, 6))).astype(np.float32)[y]
    X += np.spacing(X) * rng.integers(-1, 2, X.shape).astype(np.float32)
    whole = MahalanobisDetector(shrinkage=shrinkage).fit(X, y)
    detector = MahalanobisDetector(components=components, shrinkage=shrinkage).fit(X, y)
    assert detector.rank_ == whole.rank_ == 0
    assert_allclose(
        detector.score_samples(X + 1), whole.score_samples(X + 1), rtol=1e-6
    )


@pytest.mark.parametrize("components", ["top", "bottom"])
def test_a_tie_at_the_cut_warns(components):
    signs = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    X = np.kron(np.eye(2), signs) * [1, 1, 5, 5]
    detector = MahalanobisDetector(components=components, variance_share=0.01)
    with pytest.warns(UserWarning, match=r"variance_share=0\.01") as caught:
        detector.fit(X)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("components", ["top", "bottom"])
@pytest.mark.parametrize("covariance", ["tied", "class"])
def test_components_where_nothing_varies(components, covariance):
    X, _, new = make_data(10)
    detector = MahalanobisDetector(covariance, components=components)
    detector.fit(X[:5], np.arange(5))
    assert detector.n_components_ == 6
    plain = MahalanobisDetector(covariance).fit(X[:5], np.arange(5))
    assert_allclose(detector.score_samples(new), plain.score_samples(new), rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("covariance", ["tied", "class"])
def test_bottom_of_a_steep_spectrum(library, covariance, dtype):
    """Leading directions 1e6 times as long must not leak into the last ones."""
    rng = np.random.default_rng(11)
    d, y = 8, np.arange(400) % 2
    Q = np.linalg.qr(rng.normal(size=(d, d)))[0]
    mix = np.r_[1e3, 1e3, 1e3, 1, 1, 1e-1, 1e-2, 1e-2][:, None] * Q
    X = (rng.normal(size=(400, d)) @ mix + y[:, None]).astype(dtype)
    new = (2 * rng.normal(size=(40, d)) @ mix).astype(dtype)
    rows, points = X.astype(float), new.astype(float)
    V = oracle.kept_directions(rows, y, "bottom", 5e-7, tol=1e-14)
    assert V.shape[1] == 5
    if covariance == "class":
        expected = oracle.class_scores(rows @ V, y, points @ V)
    else:
        expected = oracles.mahalanobis(rows @ V, y, points @ V)
    detector = MahalanobisDetector(
        covariance, components="bottom", variance_share=5e-7
    ).fit(library.asarray(X), y)
    found = scores_of(detector, library, new)
    assert_allclose(found, expected, rtol=1e-3)


@RELATIVE
@pytest.mark.parametrize("covariance", ["tied", "class"])
def test_null_space_among_long_directions(covariance, relative):
    """What rounding of large sums leaves of it is no variance at the bottom."""
    rng = np.random.default_rng(12)
    d, y = 8, np.arange(400) % 2
    Q = np.linalg.qr(rng.normal(size=(d, d)))[0]
    mix = np.r_[1e3, 1e3, 1e3, 1, 1e-1, 1e-2, 0, 0][:, None] * Q
    X = rng.normal(size=(400, d)) @ mix
    lit = X + Q[-1]
    detector = MahalanobisDetector(
        covariance, components="bottom", variance_share=1e-9, relative=relative
    ).fit(X, y)
    assert detector.n_components_ == 4
    if covariance == "class":
        assert_array_equal(detector.rank_, 2)
    assert detector.score_samples(lit).max() < detector.score_samples(X).min()


@pytest.mark.parametrize(
    "detector",
    [
        MahalanobisDetector(),
        MahalanobisDetector("class", relative=True),
        MahalanobisSVDD(floor=0),
        ReconstructionDetector(2),
    ],
    ids=repr,
)
def test_variances_whose_inverse_overflows(library, detector):
    X, y, _ = make_data(16)
    with pytest.raises(ValueError, match=r"too small .* inverses\. Rescale"):
        detector.fit(library.asarray(1e-160 * X), y)


# -- threshold by the chi-squared law --------------------------------------------------


@pytest.mark.parametrize("contamination", [0.01, 0.05, 0.3])
@pytest.mark.parametrize("covariance", ["tied", OAS()], ids=repr)
def test_chi2(library, contamination, covariance):
    X, y, new = make_data(12)
    detector = MahalanobisDetector(covariance, contamination=contamination)
    detector.fit(library.asarray(X), y)
    assert detector.calibrate(threshold="chi2") is detector
    expected = -stats.chi2.isf(contamination, 6)
    assert detector.offset_ == pytest.approx(expected, rel=1e-9)
    scores = scores_of(detector, library, new)
    predicted = library.to_numpy(detector.predict(library.asarray(new)))
    assert_array_equal(predicted, np.where(scores >= expected, 1, -1))


def test_chi2_counts_the_directions_that_vary():
    X, y, _ = make_data(13)
    X[:, 2] = X[:, 1]
    for options, free in (
        ({}, 5),
        ({"floor": 0}, 5),
        ({"shrinkage": 0.1}, 5),
        ({"components": "bottom", "variance_share": 1e-6}, 1),
        ({"components": "top", "variance_share": 1e-6}, 1),
    ):
        detector = MahalanobisDetector(**options).fit(X, y).calibrate(threshold="chi2")
        assert detector.offset_ == pytest.approx(-stats.chi2.isf(0.05, free))


@pytest.mark.parametrize("n_classes", [1, 5])
def test_chi2_flags_the_share_of_gaussian_rows(n_classes, rng):
    """Of one class just that; of classes that overlap, less."""
    y = np.arange(40_000) % n_classes
    means = rng.normal(size=(n_classes, 4))
    X = rng.normal(size=(40_000, 4)) + means[y]
    moments = ClassMoments.from_arrays(X[::2], y[::2])
    detector = MahalanobisDetector().fit_moments(moments).calibrate(threshold="chi2")
    flagged = np.mean(detector.predict(X[1::2]) == -1)
    if n_classes == 1:
        assert flagged == pytest.approx(0.05, abs=0.01)
    else:
        assert 0.001 < flagged < 0.045


def test_chi2_on_the_bundled_features():
    """The figure of the docstring."""
    data = load_cifar8_features()
    detector = MahalanobisDetector().fit(data.data, data.target)
    detector.calibrate(threshold="chi2")
    flagged = np.mean(detector.predict(data.X_test) == -1)
    assert flagged == pytest.approx(0.17, abs=0.005)


def test_chi2_of_one_class_that_is_relative():
    """It is the plain distance."""
    X, _, _ = make_data(14)
    detector = MahalanobisDetector(relative=True).fit(X).calibrate(threshold="chi2")
    assert detector.offset_ == pytest.approx(-stats.chi2.isf(0.05, 6))


@pytest.mark.parametrize(
    "options", [{"covariance": "class"}, {"relative": True}, {"normalize": True}]
)
def test_chi2_is_not_defined(options):
    X, y, _ = make_data(14)
    detector = MahalanobisDetector(**options).fit(X, y)
    offset = detector.offset_
    (name,) = options
    with pytest.raises(ValueError, match=f"'chi2' is not defined with {name}="):
        detector.calibrate(threshold="chi2")
    assert detector.offset_ == offset


def test_chi2_errors():
    X, _, _ = make_data(15)
    with pytest.raises(NotFittedError):
        MahalanobisDetector().calibrate(threshold="chi2")
    with pytest.raises(NotFittedError):
        MahalanobisDetector().calibrate()
    collapsed = MahalanobisDetector().fit(X[:4], np.arange(4))
    with pytest.raises(ValueError, match="there are none"):
        collapsed.calibrate(threshold="chi2")
    detector = MahalanobisDetector().fit(X)
    with pytest.raises(ValueError, match="needs rows"):
        detector.calibrate()
    with pytest.raises(ValueError, match="'quantile' or 'chi2', got 'normal'"):
        detector.calibrate(X, threshold="normal")


def test_scorer_of_class_densities():
    """Detectors of every kind serve where labels that were not seen are outliers."""
    data = load_cifar8_features()
    X, y = data.data[::8], data.target[::8]
    known = y < 6
    for detector in (MahalanobisDetector("class"), MahalanobisSVDD()):
        detector.fit(X[known], y[known])
        area = get_scorer("ood_auroc")(detector, X, y)
        scores = detector.score_samples(X)
        expected = oracles.auroc(scores[known].tolist(), scores[~known].tolist())
        assert area == pytest.approx(expected, abs=1e-9)
