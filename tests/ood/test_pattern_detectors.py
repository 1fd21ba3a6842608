"""Tests of SHE and COSTARR: rows and the mean row of their predicted class."""

import numpy as np
import oracles_rows as oracle
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_collapse import LinearHead
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import COSTARRDetector, NNGuideDetector, SHEDetector
from sklearn_collapse.utils import move_estimator

C, D = 4, 6
COEF = np.random.default_rng(9).normal(size=(C, D))
INTERCEPT = np.array([0.5, -1.0, 2.0, 0.0])
METRICS = ("inner_product", "cosine", "euclidean")

metrics = pytest.mark.parametrize("metric", METRICS)
dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])
kinds = pytest.mark.parametrize("kind", [SHEDetector, COSTARRDetector])
RTOL = {"float64": 1e-9, "float32": 2e-5}


@pytest.fixture
def data(rng):
    """Features that the head mostly classifies correctly, labels, new features."""
    X = 2 * rng.normal(size=(90, D))
    y = np.argmax(X @ COEF.T + INTERCEPT, axis=1)
    y[::7] = (y[::7] + 1) % C
    return X, y, 3 * rng.normal(size=(30, D))


def scored(library, detector, X, y, new, weights=None, dtype=None):
    detector.fit(library.asarray(X, dtype), y, weights)
    scores = detector.score_samples(library.asarray(new, dtype))
    assert library.owns(scores)
    return library.to_numpy(scores)


def she(X, y, new, coef, intercept, metric="inner_product", weights=None):
    """Expected scores, of classes that all have rows."""
    every = range(len(coef))
    predicted = oracle.predict(oracle.linear_logits(X, coef, intercept), every)
    labels = predicted if y is None else y
    means = oracle.patterns(X, labels, predicted, weights)
    asked = oracle.predict(oracle.linear_logits(new, coef, intercept), means)
    return oracle.she(new, asked, means, metric)


def costarr(X, y, new, coef, intercept):
    logits = (oracle.linear_logits(rows, coef, intercept) for rows in (X, new))
    before, after = logits
    return oracle.costarr(X, y, before, new, after, coef)


@dtypes
@metrics
def test_she(library, metric, dtype, data):
    X, y, new = data
    detector = SHEDetector(LinearHead(COEF, INTERCEPT), metric=metric)
    scores = scored(library, detector, X, y, new, dtype=dtype)
    assert scores.dtype == dtype
    expected = she(X, y, new, COEF, INTERCEPT, metric)
    rtol = RTOL[dtype]
    assert_allclose(scores, expected, rtol=rtol, atol=rtol * np.abs(expected).max())
    predicted = oracle.predict(oracle.linear_logits(X, COEF, INTERCEPT), range(C))
    means = oracle.patterns(X, y, predicted)
    assert_allclose(
        library.to_numpy(detector.patterns_), [means[c] for c in range(C)], rtol=rtol
    )
    assert_array_equal(detector.pattern_classes_, np.arange(C))


@metrics
def test_she_with_lda_and_weights(library, metric, data, rng):
    X, y, new = data
    weights = rng.integers(0, 4, len(X))
    kept = weights > 0
    coef, intercept = oracle.lda(X[kept], y[kept], weights[kept])
    scores = scored(library, SHEDetector(metric=metric), X, y, new, weights)
    expected = she(X[kept], y[kept], new, coef, intercept, metric, weights[kept])
    assert_allclose(scores, expected, rtol=1e-7, atol=1e-7)


@dtypes
def test_costarr(library, dtype, data):
    X, y, new = data
    detector = COSTARRDetector(LinearHead(COEF, INTERCEPT))
    scores = scored(library, detector, X, y, new, dtype=dtype)
    assert scores.dtype == dtype
    expected = costarr(X, y, new, COEF, INTERCEPT)
    assert_allclose(scores, expected, rtol=RTOL[dtype], atol=RTOL[dtype])
    logits = X @ COEF.T + INTERCEPT
    assert_allclose(detector.logit_range_, (logits.min(), logits.max()), rtol=1e-5)


def test_costarr_with_lda(library, data):
    X, y, new = data
    coef, intercept = oracle.lda(X, y)
    scores = scored(library, COSTARRDetector(), X, y, new)
    assert_allclose(scores, costarr(X, y, new, coef, intercept), rtol=1e-7, atol=1e-7)


# -- heads and classes -----------------------------------------------------------


def test_class_that_is_never_right(library, data):
    """The mean of all its rows, where the public code has nan."""
    X, y, new = data
    predicted = np.argmax(X @ COEF.T + INTERCEPT, axis=1)
    y = np.where((y == 2) & (predicted == 2), 1, y)
    assert np.any(y == 2)
    head = LinearHead(COEF, INTERCEPT)
    for detector, expected in (
        (SHEDetector(head), she(X, y, new, COEF, INTERCEPT)),
        (COSTARRDetector(head), costarr(X, y, new, COEF, INTERCEPT)),
    ):
        scores = scored(library, detector, X, y, new)
        assert_allclose(scores, expected, rtol=1e-9, atol=1e-9)
        pattern = library.to_numpy(detector.patterns_)[2]
        assert_allclose(pattern, X[y == 2].mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("missing", [0, 2, 3])
def test_class_of_the_head_without_rows(library, missing, data):
    """It is never predicted: there is nothing to compare with."""
    X, y, new = data
    X, y = X[y != missing], y[y != missing]
    head = LinearHead(COEF, INTERCEPT)
    assert np.any(np.argmax(new @ COEF.T + INTERCEPT, axis=1) == missing)
    for detector, expected in (
        (SHEDetector(head), she(X, y, new, COEF, INTERCEPT)),
        (COSTARRDetector(head), costarr(X, y, new, COEF, INTERCEPT)),
    ):
        scores = scored(library, detector, X, y, new)
        assert_allclose(scores, expected, rtol=1e-9, atol=1e-9)
        assert_array_equal(detector.pattern_classes_, np.delete(np.arange(C), missing))


def test_without_labels_rows_belong_where_they_are_predicted(library, data):
    X, _, new = data
    detector = SHEDetector(LinearHead(COEF, INTERCEPT))
    scores = scored(library, detector, X, None, new)
    assert_allclose(scores, she(X, None, new, COEF, INTERCEPT), rtol=1e-9, atol=1e-9)


def test_labels_in_another_order(library, data):
    """Rows of the head are matched by label."""
    X, y, new = data
    order = np.array([2, 0, 3, 1])
    names = np.array(["a", "b", "c", "d"])
    head = LinearHead(COEF[order], INTERCEPT[order], classes=names[order])
    for kind in (SHEDetector, COSTARRDetector):
        expected = kind(LinearHead(COEF, INTERCEPT)).fit(X, y).score_samples(new)
        detector = kind(head)
        scores = scored(library, detector, X, names[y], new)
        assert_allclose(scores, expected, rtol=1e-9)
        assert_array_equal(np.sort(detector.pattern_classes_), names)


@kinds
@pytest.mark.parametrize("labels", ["none", "one"])
def test_one_class(library, kind, labels, data):
    """No head, and no constant score."""
    X, _, new = data
    y = None if labels == "none" else np.full(len(X), 3)
    detector = kind()
    scores = scored(library, detector, X, y, new)
    similarity = oracle.dot if kind is SHEDetector else oracle.cosine
    expected = [similarity(row, X.mean(axis=0)) for row in new]
    assert_allclose(scores, expected, rtol=1e-9, atol=1e-9)
    assert np.ptp(scores) > 0
    if y is None:
        assert detector.pattern_classes_ is None
    else:
        assert_array_equal(detector.pattern_classes_, [3])


@kinds
def test_one_class_and_a_head_of_more(library, kind, data):
    """The other classes of the head have no rows: only one can be predicted."""
    X, _, new = data
    y = np.full(len(X), 2)
    detector = kind(LinearHead(COEF, INTERCEPT))
    scores = scored(library, detector, X, y, new)
    function = she if kind is SHEDetector else costarr
    expected = function(X, y, new, COEF, INTERCEPT)
    assert_allclose(scores, expected, rtol=1e-9, atol=1e-9)
    assert_array_equal(detector.pattern_classes_, [2])


@pytest.mark.parametrize("frozen", [False, True])
@kinds
def test_classifiers(kind, frozen, data):
    X, y, new = data
    model = LogisticRegression(max_iter=2000)
    head = FrozenEstimator(model.fit(X, y)) if frozen else model
    detector = kind(head).fit(X, y)
    fitted = LogisticRegression(max_iter=2000).fit(X, y)
    function = she if kind is SHEDetector else costarr
    expected = function(X, y, new, fitted.coef_, fitted.intercept_)
    assert_allclose(detector.score_samples(new), expected, rtol=1e-7, atol=1e-7)


def test_binary_classifier(data):
    """One row of weights is two of half the size."""
    X, y, new = data
    y = y % 2
    fitted = LogisticRegression().fit(X, y)
    coef, intercept = (
        np.concatenate([-v / 2, v / 2]) for v in (fitted.coef_, fitted.intercept_)
    )
    scores = COSTARRDetector(LogisticRegression()).fit(X, y).score_samples(new)
    assert_allclose(scores, costarr(X, y, new, coef, intercept), rtol=1e-9, atol=1e-9)


def test_classifier_without_weights(data):
    X, y, new = data
    for head in (GaussianNB(), KNeighborsClassifier(3)):
        predicted = head.fit(X, y).predict(X)
        means = oracle.patterns(X, y, predicted)
        expected = oracle.she(new, head.predict(new), means)
        scores = SHEDetector(head).fit(X, y).score_samples(new)
        assert_allclose(scores, expected, rtol=1e-9, atol=1e-9)
        with pytest.raises(ValueError, match="no coef_"):
            COSTARRDetector(head).fit(X, y)


@kinds
@pytest.mark.parametrize(
    ("head", "message"),
    [
        (LinearHead(COEF[:, :-1], INTERCEPT), "features|columns"),
        (LinearHead(COEF[:2], INTERCEPT[:2]), "lacks the classes"),
    ],
    ids=["width", "labels"],
)
def test_heads_that_do_not_fit(kind, head, message, data):
    X, y, _ = data
    with pytest.raises(ValueError, match=message):
        kind(head).fit(X, y)


@kinds
def test_head_without_bias(kind, data):
    X, y, new = data
    scores = kind(LinearHead(COEF)).fit(X, y).score_samples(new)
    function = she if kind is SHEDetector else costarr
    assert_allclose(
        scores, function(X, y, new, COEF, np.zeros(C)), rtol=1e-9, atol=1e-9
    )


@kinds
@pytest.mark.parametrize("head", [None, "qda", 3])
def test_bad_heads(kind, head, data):
    with pytest.raises(InvalidParameterError, match="'head' parameter"):
        kind(head).fit(*data[:2])


def test_bad_metric(data):
    with pytest.raises(InvalidParameterError, match="'metric' parameter"):
        SHEDetector(metric="manhattan").fit(*data[:2])


# -- degenerate rows -------------------------------------------------------------


def test_rows_of_zeros(library, data):
    X, y, _ = data
    rows = np.zeros((2, D))
    head = LinearHead(COEF, INTERCEPT)
    for detector in (
        SHEDetector(head),
        SHEDetector(head, metric="cosine"),
        COSTARRDetector(head),
    ):
        assert_array_equal(scored(library, detector, X, y, rows), 0)


@pytest.mark.parametrize("kind", ["cosine", "euclidean", "costarr"])
def test_collapsed_float32(library, kind, rng):
    """Small differences from the class mean are seen through the rounding of it."""
    y = np.arange(80) % C
    means = 5 + rng.normal(size=(C, D))
    X = (means[y] + 1e-4 * rng.normal(size=(80, D))).astype("float32")
    new = X[:20] + (1e-3 * rng.normal(size=(20, D))).astype("float32")
    coef = means - means.mean(axis=0)
    intercept = -np.sum((means + means.mean(axis=0)) * coef, axis=1) / 2
    # The largest logit belongs to the class of the row.
    head = LinearHead(100 * coef, 100 * intercept)
    wide = X.astype(float), y, new.astype(float)
    detector = (
        COSTARRDetector(head) if kind == "costarr" else SHEDetector(head, metric=kind)
    )
    scores = scored(library, detector, X, y, new)
    if kind == "costarr":
        expected = costarr(*wide, 100 * coef, 100 * intercept)
        assert_allclose(scores, expected, rtol=1e-4)
        return
    expected = she(*wide, 100 * coef, 100 * intercept, kind)
    assert_allclose(scores, expected, rtol={"cosine": 1e-7, "euclidean": 1e-6}[kind])


@metrics
def test_overflow_is_named(library, metric):
    X = np.array([[1e20, 3e38], [2e38, -1e20]] * 3, dtype=np.float32)
    detector = SHEDetector(metric=metric)
    if metric == "inner_product":
        with pytest.raises(ValueError, match=r"Scores, or .* overflow .*float32"):
            detector.fit(library.asarray(X))
    else:
        assert np.isfinite(scored(library, detector, X, None, X)).all()


@metrics
def test_logits_that_overflow_are_named(library, metric, data):
    """No class can be predicted from infinity minus infinity."""
    X, y, new = data
    head = LinearHead(1e30 * COEF, INTERCEPT)
    detector = SHEDetector(head, metric=metric)
    detector.fit(library.asarray(X, "float32"), y)
    with pytest.raises(ValueError, match=r"logits .* overflow .*float32"):
        detector.score_samples(library.asarray(1e10 * new, "float32"))


class Unsure(LogisticRegression):
    """A classifier that has no answer."""

    def decision_function(self, X):
        return np.full((len(X), len(self.classes_)), np.nan)


@pytest.mark.parametrize("kind", [COSTARRDetector, NNGuideDetector])
def test_nan_logits_are_named(kind, data):
    with pytest.raises(ValueError, match="logits that are NaN"):
        kind(Unsure()).fit(*data[:2])


@kinds
def test_one_row_per_class(library, kind, rng):
    X, y = rng.normal(size=(5, 8)), np.arange(5)
    assert np.isfinite(scored(library, kind(), X, y, X)).all()


@metrics
def test_far_from_the_origin(library, metric, data):
    """Logits of "lda" are taken about the mean: no class changes in float32."""
    X, y, new = data
    X, new = ((v + 2000).astype("float32").astype(float) for v in (X, new))
    coef, intercept = oracle.lda(X - 2000, y)
    asked = oracle.predict(oracle.linear_logits(new - 2000, coef, intercept), range(C))
    predicted = oracle.predict(
        oracle.linear_logits(X - 2000, coef, intercept), range(C)
    )
    means = oracle.patterns(X, y, predicted)
    expected = oracle.she(new, asked, means, metric)
    detector = SHEDetector(metric=metric)
    scores = scored(library, detector, X, y, new, dtype="float32")
    assert_allclose(scores, expected, rtol=3e-7)


@kinds
@pytest.mark.parametrize("target", ["torch", "array_api_strict"])
def test_move(kind, target, data):
    module = pytest.importorskip(target)
    X, y, new = data
    detector = kind().fit(X, y)
    moved = move_estimator(detector, module.asarray(X[:1]))
    scores = moved.score_samples(module.asarray(new))
    assert_allclose(np.asarray(scores), detector.score_samples(new), rtol=1e-9)


# -- parity ----------------------------------------------------------------------


@metrics
def test_she_on_real_features(metric):
    data = load_cifar8_features()
    X, y, new = data.data[:800], data.target[:800], data.ood["far: digits"][:40]
    detector = SHEDetector(data.head, metric=metric).fit(X, y)
    codes = np.searchsorted(data.head.classes_, y)
    expected = she(
        X, codes, new, np.asarray(data.head.coef, float), data.head.intercept, metric
    )
    assert_allclose(detector.score_samples(new), expected, rtol=1e-4)


def test_costarr_on_real_features():
    data = load_cifar8_features()
    X, y, new = data.data[:400], data.target[:400], data.ood["far: digits"][:40]
    detector = COSTARRDetector(data.head).fit(X, y)
    codes = np.searchsorted(data.head.classes_, y)
    coef = np.asarray(data.head.coef, dtype=float)
    expected = costarr(X, codes, new, coef, data.head.intercept)
    assert_allclose(detector.score_samples(new), expected, rtol=1e-4)
