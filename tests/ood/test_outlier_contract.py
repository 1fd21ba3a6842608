"""Tests of what is true of every detector: fitting, threshold, decisions, errors."""

import copy
import pickle

import joblib
import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone, is_outlier_detector
from sklearn.covariance import OAS
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_collapse import ClassMoments, LinearHead
from sklearn_collapse.ood import (
    ClassSubspaceDetector,
    COSTARRDetector,
    DetectorEnsemble,
    FDBDDetector,
    KNNDetector,
    LogitDetector,
    MahalanobisDetector,
    MahalanobisSVDD,
    NCIDetector,
    NECODetector,
    NNGuideDetector,
    ReconstructionDetector,
    ResidualDetector,
    SHEDetector,
    ViMDetector,
)

HEAD = LinearHead(
    [[1.0, -1, 0, 0.5], [-1, 1, 0.2, 0], [0, -0.5, 1, 0.1], [0.3, 0, 0.4, 1]],
    [0.5, -1.0, 2.0, 3.0],
)

DETECTORS = {
    "mahalanobis": MahalanobisDetector(),
    "relative": MahalanobisDetector(relative=True),
    "normalize": MahalanobisDetector(normalize=True),
    "oas": MahalanobisDetector(shrinkage="oas"),
    "ledoit_wolf": MahalanobisDetector(shrinkage="ledoit_wolf"),
    "relative++": MahalanobisDetector(relative=True, normalize=True, shrinkage=0.2),
    "class": MahalanobisDetector("class", shrinkage=0.1),
    "class relative": MahalanobisDetector("class", relative=True),
    "estimator": MahalanobisDetector(OAS(), relative=True),
    "bottom": MahalanobisDetector(components="bottom", variance_share=0.5),
    "top": MahalanobisDetector("class", components="top", variance_share=0.7),
    "svdd": MahalanobisSVDD(),
    "neco": NECODetector(2),
    "neco raw": NECODetector(0.6, scale=False, center=False, denominator="raw"),
    "neco lda": NECODetector(2, head="lda"),
    "energy": LogitDetector(temperature=0.5),
    "msp": LogitDetector("msp"),
    "max_logit lda": LogitDetector("max_logit", head="lda"),
    "reconstruction": ReconstructionDetector(),
    "reconstruction residual": ReconstructionDetector(0.6, latent_weight=0.0),
    "subspaces": ClassSubspaceDetector(),
    "subspaces centered": ClassSubspaceDetector(2, centered=True),
    "residual": ResidualDetector(),
    "residual zero": ResidualDetector(0.5, origin="zero"),
    "vim": ViMDetector(n_components=1),
    "vim head": ViMDetector(HEAD),
    "vim discriminant": ViMDetector("lda", n_components=1),
    "nci": NCIDetector(),
    "nci head": NCIDetector(HEAD, alpha=0.1),
    "fdbd": FDBDDetector(),
    "fdbd head": FDBDDetector(HEAD),
    # Means of ranks of equal weight tie.
    "ensemble": DetectorEnsemble(weights=[1, 0.618034]),
    "ensemble z": DetectorEnsemble(combine="z"),
    "ensemble max": DetectorEnsemble(combine="max"),
    "entropy": LogitDetector("entropy", temperature=2.0),
    "gen": LogitDetector("gen", gamma=0.5, n_top=3),
    "klm": LogitDetector("klm"),
    "margin lda": LogitDetector("margin", head="lda"),
    "knn": KNNDetector(7),
    "knn distance": KNNDetector(4, normalize=False),
    "she": SHEDetector(),
    "she euclidean": SHEDetector(metric="euclidean"),
    "nnguide": NNGuideDetector(),
    "nnguide cosine": NNGuideDetector(n_neighbors=6, neighbors="cosine"),
    "costarr": COSTARRDetector(),
}
# Their scores have a constant that `calibrate` sets.
CALIBRATED = ("vim head", "vim discriminant")
STREAMING = [
    name
    for name, detector in DETECTORS.items()
    if hasattr(detector, "partial_fit") and name != "ledoit_wolf"
]
MAHALANOBIS = [k for k, v in DETECTORS.items() if isinstance(v, MahalanobisDetector)]
NEEDS_LABELS = [name for name in DETECTORS if name.endswith("lda")]
SUBSPACES = [name for name in DETECTORS if name.startswith("subspaces")]
NEEDS_FITTED = ("score_samples", "decision_function", "predict", "calibrate")
# With "lda" by default, and one class without labels.
ONE_CLASS = ["she", "she euclidean", "nnguide", "nnguide cosine", "costarr"]
USES_LABELS = [
    *(*MAHALANOBIS, *NEEDS_LABELS, *SUBSPACES, *ONE_CLASS),
    *("vim discriminant", "nci", "fdbd", "svdd"),
]
KINDS = tuple(dict.fromkeys(type(detector) for detector in DETECTORS.values()))
# One of each kind, and those that keep more than the others.
STATES = dict.fromkeys(
    [
        *{type(detector): name for name, detector in DETECTORS.items()}.values(),
        *(*CALIBRATED, "ledoit_wolf", "estimator", "class", "klm", "neco lda"),
    ]
)

detectors = pytest.mark.parametrize("name", DETECTORS)
streaming = pytest.mark.parametrize("name", STREAMING)
# A head that is given knows its own labels alone.
any_labels = pytest.mark.parametrize(
    "name", [k for k in DETECTORS if not k.endswith(" head")]
)
states = pytest.mark.parametrize("name", STATES)
constant_states = pytest.mark.parametrize(
    "name", [k for k in STATES if k not in CALIBRATED]
)
kinds = pytest.mark.parametrize("kind", KINDS)


def calls(library, kind, data):
    """Methods of rows, each of a detector that may be asked."""
    X, y, _ = data
    fitted = kind().fit(library.asarray(X), y)
    for method in ("fit", "partial_fit", *NEEDS_FITTED):
        detector = fitted if method in NEEDS_FITTED else kind()
        if hasattr(detector, method):
            yield getattr(detector, method)


@pytest.fixture
def data(rng):
    """Three classes of unequal sizes and rows that none of them holds."""
    y = np.repeat([0, 1, 2], [60, 40, 30])[rng.permutation(130)]
    X = rng.normal(size=(130, 4)) * [1, 2, 0.5, 1] + 4 * np.eye(3, 4)[y] + 1
    return X, y, 3 * rng.normal(size=(25, 4)) + 1


def detector_of(name, **options):
    detector = clone(DETECTORS[name])
    if "contamination" in options and "quantile" in detector.get_params():
        options["quantile"] = 1 - options.pop("contamination")
    return detector.set_params(**options)


def quantile_offset(scores, contamination, weights=None):
    """Threshold by its definition."""
    low, high, offset = (
        oracles.quantile(scores, share, weights)
        for share in (0.25, 0.75, contamination)
    )
    units = 16 * np.finfo(scores.dtype).eps * max(map(abs, (low, high, offset)))
    return offset - max(1e-6 * (high - low), units)


# -- known outliers ---------------------------------------------------------------


@any_labels
def test_outlier_label_leaves_rows_out(library, name, data):
    X, y, new = data
    rows = np.vstack([X, new])
    weights = np.arange(len(rows)) % 3 + 1
    for labels, label in (
        (np.append(y, np.full(len(new), -1)), -1),
        (np.append(np.array(["a", "b", "c"])[y], np.full(len(new), "out")), "out"),
    ):
        alone = detector_of(name).fit(
            library.asarray(X), labels[: len(X)], weights[: len(X)]
        )
        detector = detector_of(name, outlier_label=label)
        detector.fit(library.asarray(rows), labels, weights)
        assert_array_equal(detector.classes_, alone.classes_)
        assert detector.offset_ == alone.offset_
        assert_array_equal(
            library.to_numpy(detector.score_samples(library.asarray(rows))),
            library.to_numpy(alone.score_samples(library.asarray(rows))),
        )


@streaming
def test_outlier_label_in_partial_fit(name, data):
    X, y, new = data
    alone = detector_of(name).partial_fit(X, y).calibrate(X)
    rows, labels = np.vstack([X, new]), np.append(y, np.full(len(new), -1))
    detector = detector_of(name, outlier_label=-1)
    for half in (slice(0, None, 2), slice(1, None, 2)):
        detector.partial_fit(rows[half], labels[half])
    detector.calibrate(X)
    assert_allclose(detector.score_samples(new), alone.score_samples(new), rtol=1e-7)


@detectors
def test_outlier_label_that_leaves_nothing(name, data):
    X, y, _ = data
    detector = detector_of(name, outlier_label=1)
    with pytest.raises(ValueError, match="1 of 130 rows are left"):
        detector.fit(X, np.append(np.ones(129, int), 2))
    with pytest.raises(ValueError, match="of another kind"):
        detector.fit(X, np.array(["a", "b", "c"])[y])
    with pytest.raises(InvalidParameterError):
        detector_of(name, outlier_label=[1]).fit(X, y)


def test_outlier_label_is_no_second_class(data):
    """A y of -1 and 1 is no surprise once it says which are outliers."""
    X, _, new = data
    labels = np.repeat([1, -1], [len(X), len(new)])
    detector = MahalanobisDetector(outlier_label=-1)
    detector.fit(np.vstack([X, new]), labels)
    assert_array_equal(detector.classes_, [1])


# -- scores, decisions, predictions ----------------------------------------------


@detectors
def test_decisions_follow_from_scores(library, name, data):
    X, y, new = data
    for dtype in ("float64", "float32"):
        detector = detector_of(name).fit(library.asarray(X, dtype), library.asarray(y))
        rows = library.asarray(np.vstack([X, new]), dtype)
        results = [
            getattr(detector, method)(rows)
            for method in ("score_samples", "decision_function", "predict")
        ]
        assert all(map(library.owns, results))
        scores, decision, predicted = map(library.to_numpy, results)
        assert scores.dtype == decision.dtype == dtype
        assert_allclose(decision, scores - detector.offset_, rtol=1e-6, atol=1e-6)
        assert predicted.dtype == np.int64
        assert_array_equal(predicted, np.where(decision >= 0, 1, -1))
        assert set(predicted) == {-1, 1}


def test_outliers_score_lower(data):
    X, y, _ = data
    for name in MAHALANOBIS:
        detector = detector_of(name).fit(X, y)
        far = -20 * np.ones((1, 4)) * [1, -1, 1, -1]
        assert detector.score_samples(far)[0] < detector.score_samples(X).min()
        assert_array_equal(detector.predict(far), -1)


def test_is_an_outlier_detector():
    assert is_outlier_detector(MahalanobisDetector())


@detectors
def test_contamination_is_kept_on_training_rows(library, name, data):
    """Exactly floor(contamination n) rows are called outliers."""
    X, y, _ = data
    for contamination in (0.01, 0.33):
        detector = detector_of(name, contamination=contamination)
        detector.fit(library.asarray(X), y)
        predicted = library.to_numpy(detector.predict(library.asarray(X)))
        assert np.sum(predicted == -1) == int(contamination * len(X) + 1e-9)


@pytest.mark.parametrize(
    ("contamination", "expected"), [(0.01, 0), (0.02, 2), (0.05, 2), (0.19, 2)]
)
def test_contamination_and_ties(contamination, expected):
    """Rows that tie with the threshold are inliers: never more than was asked for."""
    X = np.repeat([[0.0], [1.0], [2.0], [9.0]], [40, 40, 18, 2], axis=0)
    detector = MahalanobisDetector(contamination=contamination).fit(X)
    predicted = detector.predict(X)
    assert np.sum(predicted == -1) == expected <= contamination * len(X)
    assert_array_equal(predicted[:98], 1)


@pytest.mark.parametrize("n", [120, 127])
@detectors
def test_offset_is_the_quantile(name, n, data):
    X, y, _ = data
    X, y = X[:n], y[:n]
    for contamination in (0.05, 0.37):
        detector = detector_of(name, contamination=contamination).fit(X, y)
        scores = detector.score_samples(X)
        expected = quantile_offset(scores, contamination)
        assert detector.offset_ == pytest.approx(expected, rel=1e-12)
        numpys = np.quantile(scores, contamination, method="averaged_inverted_cdf")
        slack = 1e-6 * (np.quantile(scores, 0.75) - np.quantile(scores, 0.25))
        assert 0 < numpys - detector.offset_ < 2 * slack


@constant_states
def test_weighted_offset(library, name, data, rng):
    """Weights are frequencies, whole or not."""
    X, y, _ = data
    detector = detector_of(name, contamination=0.1).fit(library.asarray(X), y)
    scores = library.to_numpy(detector.score_samples(library.asarray(X)))
    for weights in (rng.integers(0, 5, len(X)), rng.integers(0, 9, len(X)) / 4):
        detector.calibrate(
            library.asarray(X), sample_weight=library.asarray(weights, "float64")
        )
        expected = quantile_offset(scores, 0.1, weights)
        assert detector.offset_ == pytest.approx(expected, rel=1e-12)


@detectors
def test_fit_weighs_the_offset(name, data, rng):
    X, y, _ = data
    weights = rng.integers(0, 4, len(X))
    detector = detector_of(name, contamination=0.2).fit(X, y, weights)
    expected = quantile_offset(detector.score_samples(X), 0.2, weights)
    assert detector.offset_ == pytest.approx(expected, rel=1e-12)


@detectors
def test_row_at_the_threshold_is_an_inlier(library, name, data):
    """Also when it is scored alone, where rounding may differ."""
    X, y, _ = data
    for dtype in ("float64", "float32"):
        rows, labels = X.astype(dtype)[:127], y[:127]  # no share of 127 rows is whole
        detector = detector_of(name, contamination=0.123)
        detector.fit(library.asarray(rows), labels)
        scores = library.to_numpy(detector.score_samples(library.asarray(rows)))
        row = np.argsort(scores)[int(0.123 * len(rows))]
        alone = detector.predict(library.asarray(rows[row : row + 1]))
        assert library.to_numpy(alone)[0] == 1


@pytest.mark.parametrize(
    "name", ["mahalanobis", "neco raw", "residual", "fdbd", "max_logit lda", "costarr"]
)
def test_rounding_of_float32_moves_no_row_out(name, rng):
    """Scores of wide rows vary by less than float32 products round their size."""
    y = np.repeat(np.arange(10), 30)
    means = 3 * rng.normal(size=(10, 256))
    X = np.maximum(means[y] + rng.normal(size=(300, 256)), 0).astype("float32")
    detector = detector_of(name).fit(X, y)
    scores = detector.score_samples(X)
    for share in np.arange(1, 75) / 150.5:
        detector.set_params(contamination=float(share)).calibrate(X)
        row = np.argsort(scores, kind="stable")[int(share * len(X))]
        assert detector.predict(X[row : row + 1])[0] == 1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_offset_below_scores_that_hardly_vary(library, dtype):
    """The logits are the scores: a few units of rounding lower is no outlier."""
    unit = float(np.finfo(dtype).eps)
    X = 1 + unit * np.arange(0, 16000, 100)[:, None]
    detector = LogitDetector("max_logit", contamination=0.253)
    detector.fit(library.asarray(X, dtype))
    assert detector.offset_ == pytest.approx(
        quantile_offset(X[:, 0].astype(dtype), 0.253), rel=1e-15
    )
    row = library.asarray(X[40:41] - 8 * unit, dtype)
    assert library.to_numpy(detector.predict(row))[0] == 1
    row = library.asarray(X[40:41] - 32 * unit, dtype)
    assert library.to_numpy(detector.predict(row))[0] == -1


@constant_states
def test_calibrate_on_other_rows(library, name, data):
    """Only the threshold moves."""
    X, y, new = data
    detector = detector_of(name).fit(library.asarray(X), y)
    before = library.to_numpy(detector.score_samples(library.asarray(X)))
    offset = detector.offset_
    assert detector.calibrate(library.asarray(new)) is detector
    scores = library.to_numpy(detector.score_samples(library.asarray(new)))
    assert detector.offset_ == pytest.approx(quantile_offset(scores, 0.05), rel=1e-12)
    assert detector.offset_ != offset
    after = library.to_numpy(detector.score_samples(library.asarray(X)))
    assert_array_equal(before, after)


@states
def test_calibrate_leaves_out_rows_of_zero_weight(library, name, data):
    X, y, new = data
    detector = detector_of(name).fit(library.asarray(X), y)
    offset = detector.calibrate(library.asarray(new)).offset_
    more = np.vstack([np.full((2, new.shape[1]), np.nan), new])
    weights = np.r_[0.0, 0.0, np.ones(len(new))]
    detector.calibrate(library.asarray(more), weights)
    assert detector.offset_ == pytest.approx(offset, rel=1e-12)


def test_training_rows_are_too_optimistic(rng):
    """What calibrate is for: n near d."""
    X, fresh, validation = (rng.normal(size=(n, 30)) for n in (60, 500, 500))
    detector = MahalanobisDetector().fit(X)
    assert np.mean(detector.predict(fresh) == -1) > 0.5
    flagged = np.mean(detector.calibrate(validation).predict(fresh) == -1)
    assert flagged == pytest.approx(0.05, abs=0.04)


# -- labels ----------------------------------------------------------------------


@states
def test_fit_predict_uses_labels(library, name, data):
    X, y, _ = data
    weights = np.arange(len(X)) % 3
    X, weights = library.asarray(X), library.asarray(weights, "float64")
    for labels, sample_weight in [(y, None), (None, None), (y, weights)]:
        if labels is None and name in NEEDS_LABELS:
            continue
        detector = detector_of(name)
        predicted = detector.fit_predict(X, labels, sample_weight=sample_weight)
        again = detector_of(name).fit(X, labels, sample_weight).predict(X)
        assert_array_equal(library.to_numpy(predicted), library.to_numpy(again))
        assert hasattr(detector, "classes_") == (labels is not None)
    if name in NEEDS_LABELS or name not in USES_LABELS:
        return
    plain = detector_of(name).fit_predict(X)
    labelled = detector_of(name).fit_predict(X, y)
    assert np.any(library.to_numpy(plain) != library.to_numpy(labelled))


@detectors
def test_classes_only_with_labels(name, data):
    X, y, _ = data
    detector = detector_of(name).fit(X, y)
    assert_array_equal(detector.classes_, [0, 1, 2])
    if name in STREAMING:
        assert_array_equal(detector_of(name).partial_fit(X, y).classes_, [0, 1, 2])
    if name in NEEDS_LABELS:
        for method in {"fit", "partial_fit"} & set(dir(detector)):
            with pytest.raises(ValueError, match=r"head='lda' .* pass y"):
                getattr(detector_of(name), method)(X)
        return
    detector.fit(X)
    with pytest.raises(AttributeError, match="without y"):
        detector.classes_  # noqa: B018
    if name in STREAMING:
        assert not hasattr(detector_of(name).partial_fit(X), "classes_")


@any_labels
def test_labels_of_outliers_warn(name, data):
    X, y, _ = data
    sign = np.where(y > 0, 1, -1)
    with pytest.warns(UserWarning, match="two classes") as caught:
        detector = detector_of(name).fit(X, sign)
    assert caught[0].filename == __file__  # the line of the caller
    assert_array_equal(detector.classes_, [-1, 1])
    with pytest.warns(UserWarning, match="two classes"):
        detector_of(name).fit_predict(X, sign)


def test_other_labels_do_not_warn(data):
    X, y, _ = data
    for labels in (y > 0, (y > 0).astype(int), np.where(y > 0, "1", "-1"), y - 1):
        MahalanobisDetector().fit(X, labels)
    MahalanobisDetector().fit(X, np.ones(len(X), dtype=int))


def test_column_vector_y_warns(data):
    X, y, _ = data
    with pytest.warns(DataConversionWarning, match="column-vector"):
        detector = MahalanobisDetector().fit(X, y[:, None])
    assert_array_equal(detector.classes_, [0, 1, 2])


# -- streaming -------------------------------------------------------------------


def same_scores(library, a, b, rows):
    rows = library.asarray(rows)
    scores = [library.to_numpy(detector.score_samples(rows)) for detector in (a, b)]
    assert_allclose(*scores, rtol=1e-9, atol=1e-9)


@streaming
def test_partial_fit_and_calibrate_are_fit(library, name, data):
    X, y, new = data
    weights = np.arange(len(X)) % 4 + 0.5
    whole = detector_of(name).fit(library.asarray(X), y, library.asarray(weights))
    parts = detector_of(name)
    for rows in np.array_split(np.argsort(y, kind="stable"), [1, 50, 70]):
        result = parts.partial_fit(
            library.asarray(X[rows]), y[rows], library.asarray(weights[rows])
        )
        assert result is parts
    parts.calibrate(library.asarray(X), sample_weight=library.asarray(weights))
    same_scores(library, whole, parts, np.vstack([X, new]))
    assert parts.offset_ == pytest.approx(whole.offset_, rel=1e-9)
    assert_array_equal(parts.classes_, whole.classes_)


@streaming
def test_fit_moments_and_calibrate_are_fit(library, name, data):
    X, y, new = data
    whole = detector_of(name).fit(library.asarray(X), y)
    options = whole._moments_options()
    halves = [
        ClassMoments(**options).update(library.asarray(X[k::2]), y[k::2])
        for k in range(2)
    ]
    adopted = detector_of(name).fit_moments(halves[0] + halves[1])
    adopted.calibrate(library.asarray(X))
    same_scores(library, whole, adopted, np.vstack([X, new]))
    assert adopted.offset_ == pytest.approx(whole.offset_, rel=1e-9)
    assert_array_equal(adopted.classes_, whole.classes_)
    assert adopted.n_features_in_ == 4


@pytest.mark.parametrize("how", ["partial_fit", "fit and partial_fit", "fit_moments"])
@streaming
def test_threshold_is_void_until_calibrate(name, how, data):
    X, y, new = data
    reference = detector_of(name).fit(X, y)
    detector = detector_of(name)
    if how == "fit_moments":
        # Its threshold is forgotten as well.
        detector.fit(new, np.arange(len(new)) % 2)
        moments = ClassMoments(**detector._moments_options()).update(X, y)
        detector.fit_moments(moments)
    elif how == "partial_fit":
        detector.partial_fit(X, y)
    else:
        detector.fit(X[:65], y[:65]).partial_fit(X[65:], y[65:])
    assert not hasattr(detector, "offset_")
    scored = ("score_samples",) if name in CALIBRATED else ()
    if not scored:
        scores = detector.score_samples(new)
        assert_allclose(scores, reference.score_samples(new), rtol=1e-9, atol=1e-9)
    for method in ("predict", "decision_function", *scored):
        with pytest.raises(NotFittedError, match=r"calibrate\(X\)"):
            getattr(detector, method)(new)
    assert_array_equal(detector.calibrate(X).predict(new), reference.predict(new))


def test_partial_fit_with_new_classes(data):
    X, y, new = data
    detector = MahalanobisDetector()
    for c in (2, 0, 1):
        detector.partial_fit(X[y == c], y[y == c])
    same = MahalanobisDetector().fit(X, y)
    assert_allclose(detector.score_samples(new), same.score_samples(new), rtol=1e-9)


def test_partial_fit_needs_labels_in_all_blocks_or_none(data):
    X, y, _ = data
    detector = MahalanobisDetector().partial_fit(X)
    with pytest.raises(ValueError, match="labels"):
        detector.partial_fit(X, y)
    assert not hasattr(detector, "classes_")


def test_fit_starts_anew(data):
    X, y, new = data
    detector = MahalanobisDetector().partial_fit(new).fit(X, y)
    fresh = MahalanobisDetector().fit(X, y)
    assert_array_equal(detector.score_samples(new), fresh.score_samples(new))
    assert detector.fit(X[:, :2]).n_features_in_ == 2
    assert detector.fit(X.tolist(), y.tolist()).offset_ == fresh.offset_


@pytest.mark.parametrize("how", ["partial_fit", "fit_moments", "fit and partial_fit"])
@pytest.mark.parametrize("relative", [False, True])
def test_ledoit_wolf_needs_rows(how, relative, data):
    X, y, new = data
    detector = MahalanobisDetector(shrinkage="ledoit_wolf", relative=relative)
    if how == "fit_moments":
        detector.fit_moments(ClassMoments().update(X, y))
    else:
        if how != "partial_fit":
            detector.fit(X, y)
        detector.partial_fit(X, y)
    for method in ("score_samples", "calibrate"):
        with pytest.raises(ValueError, match=r"needs rows.*Use fit\(X, y\)"):
            getattr(detector, method)(new)
    detector.fit(X, y).predict(new)


@pytest.mark.parametrize("normalize", [False, True])
def test_moments_with_the_wrong_flag(normalize, data):
    X, y, _ = data
    moments = ClassMoments(normalize=not normalize).update(X, y)
    detector = MahalanobisDetector(normalize=normalize)
    with pytest.raises(ValueError, match=rf"ClassMoments\(normalize={normalize}\)"):
        detector.fit_moments(moments)
    assert not hasattr(detector, "moments_")


def test_fit_moments_refuses_anything_else(data):
    X, _, _ = data
    with pytest.raises(TypeError, match="ClassMoments, got ndarray"):
        MahalanobisDetector().fit_moments(X)
    with pytest.raises(ValueError, match="empty"):
        MahalanobisDetector().fit_moments(ClassMoments())


def test_fit_moments_does_not_alias(data):
    """Neither side notices what the other gathers next."""
    X, y, new = data
    moments = ClassMoments().update(X, y)
    detector = MahalanobisDetector().fit_moments(moments)
    scores = detector.score_samples(new)
    moments.update(new, np.arange(len(new)) % 3)
    assert_array_equal(detector.score_samples(new), scores)
    count = moments.n_samples_
    detector.partial_fit(10 * new, np.arange(len(new)) % 3)
    assert np.any(detector.score_samples(new) != scores)
    assert moments.n_samples_ == count
    moments = ClassMoments().update(X, y)
    again = MahalanobisDetector().fit_moments(moments)
    assert_allclose(again.score_samples(new), scores, rtol=1e-9)


def test_input_is_left_alone(library, data):
    X, y, _ = data
    weights = np.arange(len(X)) % 3 + 1.0
    for name in DETECTORS:
        arrays = [library.asarray(v.copy()) for v in (X, y, weights)]
        detector = detector_of(name).fit(*arrays)
        detector.calibrate(arrays[0], sample_weight=arrays[2]).predict(arrays[0])
        for array, before in zip(arrays, (X, y, weights), strict=True):
            assert_array_equal(library.to_numpy(array), before)


def test_read_only_input(data):
    X, y, new = data
    for array in data:
        array.flags.writeable = False
    for name in DETECTORS:
        detector_of(name).fit(X, y, np.ones(len(X))).calibrate(X).predict(new)


# -- failing leaves things as they were ------------------------------------------


def with_value(X, row, value):
    X = X.copy()
    X[row, 2] = value
    return X


def broken_calls(X, y):
    """Name, method and arguments of calls that must raise."""
    cut = y[:-1]
    nan = with_value(X, 7, np.nan)
    return {
        "nan": ("fit", nan, y),
        "length": ("fit", X, cut),
        "continuous": ("fit", X, X[:, 0]),
        "weights": ("fit", X, y, -np.ones(len(X))),
        "one row": ("fit", X[:1], y[:1]),
        "one-dimensional": ("fit", X[:, 0], y),
        "partial nan": ("partial_fit", nan, y),
        "partial length": ("partial_fit", X, cut),
        "partial width": ("partial_fit", X[:, :3], y),
        "partial without labels": ("partial_fit", X),
        "calibrate nan": ("calibrate", nan),
        "calibrate weights": ("calibrate", X, np.zeros(len(X))),
        "moments": ("fit_moments", "moments"),
        "moments empty": ("fit_moments", ClassMoments()),
    }


@states
def test_failing_changes_nothing(name, data):
    X, y, new = data
    calls = broken_calls(X, y)
    detector = detector_of(name).fit(X, y)
    expected = detector.decision_function(new)
    state = copy.copy(vars(detector))
    for case, (method, *arguments) in calls.items():
        if not hasattr(detector, method):
            continue
        with pytest.raises((ValueError, TypeError)):
            getattr(detector, method)(*arguments)
        assert vars(detector).keys() == state.keys(), case
        assert_array_equal(detector.decision_function(new), expected, case)

        if not method.startswith("calibrate") and "partial" not in case:
            unfitted = detector_of(name)
            with pytest.raises((ValueError, TypeError)):
                getattr(unfitted, method)(*arguments)
            assert vars(unfitted).keys() == unfitted.get_params(deep=False).keys(), case


def test_failing_partial_fit_can_go_on(data):
    X, y, new = data
    detector = MahalanobisDetector().partial_fit(X[:60], y[:60])
    for bad in (with_value(X, 3, np.inf), X[:, :2]):
        with pytest.raises(ValueError, match=r"infinity|2 features"):
            detector.partial_fit(bad, y)
    detector.partial_fit(X[60:], y[60:])
    same = MahalanobisDetector().fit(X, y)
    assert_allclose(detector.score_samples(new), same.score_samples(new), rtol=1e-9)


# -- bad input -------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        *({"covariance": value} for value in ("pooled", None, 1)),
        *({"components": value} for value in ("last", None, 1)),
        *({"variance_share": value} for value in (0, 1, 1.5, "all", np.nan)),
        *({"relative": value} for value in ("yes", 2, None)),
        *({"normalize": value} for value in ("l2", 2.0, None)),
        *({"shrinkage": value} for value in (-0.1, 1.1, "lw", np.nan)),
        *({"floor": value} for value in (-1e-9, 1.5, "none", None, np.nan)),
        *({"contamination": value} for value in (0, -0.1, 0.51, "auto", None, np.nan)),
        *({"device": value} for value in (None, 0)),
    ],
    ids=repr,
)
def test_bad_parameters(params, data):
    X, y, _ = data
    detector = MahalanobisDetector().set_params(**params)
    (parameter,) = params
    for call in (
        lambda: detector.fit(X, y),
        lambda: detector.partial_fit(X, y),
        lambda: detector.fit_moments(ClassMoments().update(X, y)),
    ):
        with pytest.raises(InvalidParameterError, match=f"'{parameter}' parameter"):
            call()


@pytest.mark.parametrize("contamination", [0.0, 0.7, 5])
def test_calibrate_checks_contamination(contamination, data):
    """It is what calibrate reads, and it may have been set after fitting."""
    X, y, _ = data
    detector = MahalanobisDetector().fit(X, y).set_params(contamination=contamination)
    with pytest.raises(InvalidParameterError, match="'contamination' parameter"):
        detector.calibrate(X)


def test_arguments_are_keyword_only():
    with pytest.raises(TypeError, match="positional"):
        MahalanobisDetector("tied", True)


@kinds
@pytest.mark.parametrize("method", NEEDS_FITTED)
def test_unfitted(kind, method, data):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(kind(), method)(data[0])


@pytest.mark.parametrize(
    "attribute", ["means_", "covariance_", "shrinkage_", "floor_", "rank_", "device_"]
)
def test_unfitted_attributes(attribute):
    with pytest.raises(NotFittedError):
        getattr(MahalanobisDetector(), attribute)
    assert not hasattr(MahalanobisDetector(), attribute)


@kinds
def test_nonfinite_rows_are_named(library, kind, data):
    for call in calls(library, kind, data):
        for value, word, dtype in (
            (np.nan, "NaN", "float64"),
            (np.inf, "inf", "float32"),
            (-np.inf, "inf", "float64"),
        ):
            bad = with_value(with_value(data[0], 100, value), 57, value)
            message = rf"X contains {word}.*row 57, column 2"
            with pytest.raises(ValueError, match=message):
                call(library.asarray(bad, dtype))


@kinds
def test_bad_shapes(library, kind, data):
    X, _, _ = data
    for call in calls(library, kind, data):
        for bad, message in [
            (X[:, 0], "Expected 2D array, got 1D array"),
            (X[None], r"Expected 2D array, got 3D|dim 3"),
            (X[:0], r"0 sample\(s\)"),
            (X[:, :0], r"0 feature\(s\)"),
        ]:
            with pytest.raises(ValueError, match=message):
                call(library.asarray(bad))


def test_one_row(library, data):
    X, _, _ = data
    one = library.asarray(X[:1])
    message = r"1 sample\(s\).*minimum of 2 is required by MahalanobisDetector"
    with pytest.raises(ValueError, match=message):
        MahalanobisDetector().fit(one)
    # A stream may begin with one, and one row can be asked about.
    detector = MahalanobisDetector().partial_fit(one)
    detector.partial_fit(library.asarray(X[1:])).calibrate(library.asarray(X))
    assert detector.predict(one).shape == (1,)


@kinds
def test_other_width(library, kind, data):
    X, _, _ = data
    detector = kind().fit(library.asarray(X))
    for method in NEEDS_FITTED:
        with pytest.raises(ValueError, match=r"3 features.* expecting 4 features"):
            getattr(detector, method)(library.asarray(X[:, :3]))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (lambda y: y[:-1], "130 rows, y has 129"),
        (lambda y: np.r_[y, 0], "130 rows, y has 131"),
        (lambda y: y + 0.5, "continuous"),
        (lambda y: np.where(y == 1, np.nan, y), "NaN"),
        (lambda y: np.column_stack([y, y]), "1d array"),
        (lambda y: y * 1j, "Complex"),
        (lambda y: [None, *y[1:]], "missing label"),
        (lambda y: [{}, *y[1:]], "dict in row 0"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_bad_labels(method, labels, message, data):
    X, y, _ = data
    with pytest.raises(ValueError, match=message):
        getattr(MahalanobisDetector(), method)(X, labels(y))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(130), "all zero"),
        (np.r_[-1.0, np.ones(129)], "in row 0"),
        (np.r_[np.ones(129), np.nan], "in row 129"),
        (np.ones(129), "inconsistent numbers"),
        (np.ones((130, 1)), "one-dimensional"),
    ],
)
def test_bad_weights(weights, message, data):
    X, y, _ = data
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match=message):
            getattr(MahalanobisDetector(), method)(X, y, weights)
    detector = MahalanobisDetector().fit(X, y)
    with pytest.raises(ValueError, match=message):
        detector.calibrate(X, sample_weight=weights)


def test_complex_and_text(library, data):
    X, _, _ = data
    with pytest.raises(ValueError, match="Complex data not supported"):
        MahalanobisDetector().fit(library.asarray(X, "complex128"))
    with pytest.raises(ValueError, match="could not convert"):
        MahalanobisDetector().fit([["a", "b"], ["c", "d"]])


@kinds
def test_sparse_input(kind, data):
    sparse = pytest.importorskip("scipy.sparse")
    X, _, _ = data
    detector = kind().fit(X)
    for matrix in (sparse.csr_array(X), sparse.csr_matrix(X)):
        for method in ("fit", *NEEDS_FITTED):
            with pytest.raises(TypeError, match=r"Sparse.*toarray"):
                getattr(detector, method)(matrix)


def test_sparse_torch_input(data):
    torch = pytest.importorskip("torch")
    rows = torch.asarray(data[0])
    detector = MahalanobisDetector().fit(rows)
    for method in ("fit", *NEEDS_FITTED):
        with pytest.raises(TypeError, match=r"(?i)sparse.*dense"):
            getattr(detector, method)(rows.to_sparse())


@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_data_frames(frames, data):
    frames = pytest.importorskip(frames)
    X, y, new = data
    names = ["a", "b", "c", "d"]
    frame, frame_new = (
        frames.DataFrame({k: v[:, j] for j, k in enumerate(names)}) for v in (X, new)
    )
    reordered = frame_new[names[::-1]]
    detector = MahalanobisDetector().fit(frame, frames.Series(y))
    assert_array_equal(detector.feature_names_in_, names)
    expected = MahalanobisDetector().fit(X, y).score_samples(new)
    assert_allclose(detector.score_samples(frame_new), expected, rtol=1e-12)
    streamed = MahalanobisDetector().partial_fit(frame, frames.Series(y))
    adopted = MahalanobisDetector().fit_moments(ClassMoments().update(frame, y))
    assert_array_equal(adopted.feature_names_in_, names)
    for fitted in (detector, streamed, adopted):
        fitted.calibrate(frame)
        for method in NEEDS_FITTED:
            with pytest.raises(ValueError, match="must be in the same order"):
                getattr(fitted, method)(reordered)
        with pytest.raises(ValueError, match="feature names should match"):
            fitted.partial_fit(reordered, np.arange(len(new)) % 3)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        assert_allclose(detector.score_samples(new), expected, rtol=1e-12)
    detector.fit(X, y)  # names do not outlive the data that had them
    assert not hasattr(detector, "feature_names_in_")


@kinds
@pytest.mark.parametrize("other", ["torch", "array_api_strict"])
def test_fitted_on_another_library(kind, other, data):
    module = pytest.importorskip(other)
    X, _, _ = data
    foreign = module.asarray(X)
    for fitted, asked in [(foreign, X), (X, foreign)]:
        detector = kind().fit(fitted)
        for method in {"partial_fit", *NEEDS_FITTED} & set(dir(detector)):
            message = rf"{kind.__name__}\.{method}\(\) must use the same namespace"
            with pytest.raises(ValueError, match=message):
                getattr(detector, method)(asked)


@pytest.mark.parametrize("kind", [k for k in KINDS if "device" in k().get_params()])
def test_device(kind, data):
    torch = pytest.importorskip("torch")
    X, _, new = data
    expected = kind().fit(X).score_samples(new)
    detector = kind(device="cpu").fit(X)
    assert_array_equal(detector.score_samples(new), expected)
    kind(device="cpu").fit(torch.asarray(X))
    with pytest.raises(ValueError, match="device='nowhere' cannot be used"):
        kind(device="nowhere").fit(X)
    with pytest.raises(ValueError, match="X lives on device 'cpu'"):
        kind(device="cuda:0").fit(torch.asarray(X))


# -- among scikit-learn's tools --------------------------------------------------


def far_auroc(estimator, X, y=None):
    """A scorer that brings its own outliers."""
    outside = np.random.default_rng(1).normal(size=(40, X.shape[1])) * 4
    scores = np.concatenate(
        [estimator.score_samples(X), estimator.score_samples(outside)]
    )
    return roc_auc_score(np.repeat([1, 0], [len(X), len(outside)]), scores)


@detectors
def test_pipeline(name, data):
    X, y, new = data
    scaler = StandardScaler().fit(X)
    alone = detector_of(name).fit(scaler.transform(X), y)
    pipeline = make_pipeline(StandardScaler(), detector_of(name)).fit(X, y)
    for method in ("score_samples", "decision_function", "predict"):
        expected = getattr(alone, method)(scaler.transform(new))
        assert_array_equal(getattr(pipeline, method)(new), expected)
    predicted = clone(pipeline).fit_predict(X, y)
    assert_array_equal(predicted, alone.predict(scaler.transform(X)))


@pytest.mark.parametrize("labels", ["three", "two", "strings", "none"])
def test_cross_val_predict(labels, data):
    X, y, _ = data
    y = {
        "three": y,
        "two": np.minimum(y, 1),
        "strings": np.array(["a", "b", "c"])[y],
        "none": None,
    }[labels]
    folds = KFold(3, shuffle=True, random_state=0)
    got = cross_val_predict(
        MahalanobisDetector(), X, y, cv=folds, method="decision_function"
    )
    assert got.shape == (len(X),)
    for train, test in folds.split(X):
        part = None if y is None else y[train]
        detector = MahalanobisDetector().fit(X[train], part)
        assert_array_equal(got[test], detector.decision_function(X[test]))


def test_grid_search(data):
    X, y, _ = data
    values = [None, 0.1, 1.0, "oas", "ledoit_wolf"]
    folds = KFold(3)
    search = GridSearchCV(
        MahalanobisDetector(), {"shrinkage": values}, scoring=far_auroc, cv=folds
    )
    search.fit(X, y)
    expected = [
        np.mean(
            [
                far_auroc(MahalanobisDetector(shrinkage=v).fit(X[a], y[a]), X[b])
                for a, b in folds.split(X)
            ]
        )
        for v in values
    ]
    assert len(set(expected)) > 1
    assert_allclose(search.cv_results_["mean_test_score"], expected)
    assert search.best_params_["shrinkage"] == values[np.argmax(expected)]
    best = MahalanobisDetector(**search.best_params_).fit(X, y)
    assert_array_equal(search.predict(X), best.predict(X))


def test_metadata_routing(data):
    X, y, new = data
    weights = np.arange(len(X)) % 3
    expected = MahalanobisDetector().fit(X, y, weights).decision_function(new)
    with config_context(enable_metadata_routing=True):
        asking = MahalanobisDetector().set_fit_request(sample_weight=True)
        pipeline = make_pipeline("passthrough", asking)
        pipeline.fit(X, y, sample_weight=weights)
        assert_array_equal(pipeline.decision_function(new), expected)
        refusing = MahalanobisDetector().set_fit_request(sample_weight=False)
        pipeline = make_pipeline("passthrough", refusing)
        with pytest.raises(TypeError, match="sample_weight"):
            pipeline.fit(X, y, sample_weight=weights)
        search = GridSearchCV(
            asking, {"relative": [False, True]}, scoring=far_auroc, cv=2
        )
        search.fit(X, y, sample_weight=weights)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@states
def test_pickle_and_copy(library, name, data):
    X, y, new = data
    detector = detector_of(name).fit(library.asarray(X), y)
    rows = library.asarray(new)
    expected = library.to_numpy(detector.decision_function(rows))
    for twin in (pickle.loads(pickle.dumps(detector)), copy.deepcopy(detector)):
        assert_array_equal(library.to_numpy(twin.decision_function(rows)), expected)
        assert repr(twin.get_params()) == repr(detector.get_params())


def test_clone():
    for detector in DETECTORS.values():
        twin = clone(detector)
        assert vars(twin).keys() == twin.get_params(deep=False).keys()
        assert repr(twin.get_params()) == repr(detector.get_params())


@kinds
def test_array_api_dispatch(kind, data):
    torch = pytest.importorskip("torch")
    X, y, new = data
    expected = kind().fit(X, y).decision_function(new)
    with config_context(array_api_dispatch=True):
        detector = kind().fit(torch.asarray(X), torch.asarray(y))
        decision = detector.decision_function(torch.asarray(new))
    assert isinstance(decision, torch.Tensor)
    assert_allclose(decision.numpy(), expected, rtol=1e-9)


@kinds
def test_tensors_are_detached(kind, data):
    torch = pytest.importorskip("torch")
    X, y, new = data
    X, new = (torch.asarray(v).requires_grad_() for v in (X, new))
    decision = kind().fit(X, y).decision_function(new)
    assert not decision.requires_grad


def test_joblib_workers(data):
    X, y, new = data
    jobs = (joblib.delayed(detector_of(name).fit)(X, y) for name in DETECTORS)
    fitted = joblib.Parallel(n_jobs=2)(jobs)
    for name, detector in zip(DETECTORS, fitted, strict=True):
        expected = detector_of(name).fit(X, y).decision_function(new)
        assert_allclose(detector.decision_function(new), expected, rtol=1e-9, atol=1e-9)
