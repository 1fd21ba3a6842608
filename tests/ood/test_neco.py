"""Tests of NECO against the authors' formula, and on degenerate data."""

import copy
import pickle
import warnings

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_collapse import ClassMoments, LinearHead
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import NECODetector
from sklearn_collapse.utils import _arrays, estimator_checks

C = 3
COEF = np.random.default_rng(9).normal(size=(C, 6))
INTERCEPT = np.array([0.5, -1.0, 2.0])
# Settings of the authors' code; DeiT and Swin share one.
VARIANTS = {
    "vit": (True, "scaled"),
    "deit": (True, "raw"),
    "resnet": (False, "scaled"),
}
variants = pytest.mark.parametrize("variant", VARIANTS)


def make_data(case="plain", d=6):
    """Training rows, labels, and new rows, some of them far off."""
    rng = np.random.default_rng(0)
    n = 4 if case == "few rows" else 90
    y = np.arange(n) % C
    mix = np.diag(np.linspace(0.3, 2.0, d)) @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    X = rng.normal(size=(n, d)) @ mix + 2 * rng.normal(size=(C, d))[y] + 0.7
    new = 3 * rng.normal(size=(40, d)) + 0.5
    if case == "rank deficient":
        X[:, 4:] = X[:, :2] @ [[1.0, 2.0], [-1.0, 0.5]]
    elif case == "constant column":
        X[:, 2] = 0.1
    elif case == "offset":
        X, new = X + 1e4, new + 1e4
    elif case.startswith("1e"):
        X, new = float(case) * X, float(case) * new
    return X, y, new


CASES = (
    *("plain", "rank deficient", "constant column", "few rows", "offset"),
    *("1e-6", "1e6"),
)


def logits_of(X):
    return np.array(
        [[w @ x + b for w, b in zip(COEF, INTERCEPT, strict=True)] for x in X]
    )


def neco_authors(X, new, n_components, variant):
    """Scaler, all principal components, ratio of norms, largest logit."""
    with_logits, denominator = VARIANTS[variant]
    X, new = np.asarray(X, dtype=float), np.asarray(new, dtype=float)
    scaler = StandardScaler().fit(X)
    pca = PCA().fit(scaler.transform(X))
    z = scaler.transform(new)
    reduced = pca.transform(z)[:, :n_components]
    complete = z if denominator == "scaled" else new
    scores = [
        np.linalg.norm(a) / np.linalg.norm(b)
        for a, b in zip(reduced, complete, strict=True)
    ]
    return scores * logits_of(new).max(axis=1) if with_logits else np.array(scores)


def neco_unscaled(X, new, n_components, center, denominator):
    """By an explicit decomposition, row by row."""
    X, new = np.asarray(X, dtype=float), np.asarray(new, dtype=float)
    mean = X.mean(axis=0) if center else np.zeros(X.shape[1])
    matrix = sum(np.outer(x - mean, x - mean) for x in X) / len(X)
    vectors = np.linalg.eigh(matrix)[1][:, ::-1][:, :n_components]
    scores = []
    for x in new:
        whole = x if denominator == "raw" else x - mean
        scores.append(np.linalg.norm((x - mean) @ vectors) / np.linalg.norm(whole))
    return np.array(scores)


def detector_of(variant, n_components, **options):
    with_logits, denominator = VARIANTS[variant]
    head = LinearHead(COEF, INTERCEPT) if with_logits else None
    return NECODetector(n_components, head=head, denominator=denominator, **options)


def scores_of(library, detector, X, y, new, dtype=None):
    detector.fit(library.asarray(X, dtype), y)
    scores = detector.score_samples(library.asarray(new, dtype))
    assert library.owns(scores)
    return library.to_numpy(scores)


def auroc(inside, outside):
    return oracles.auroc(np.asarray(inside).tolist(), np.asarray(outside).tolist())


# -- the formula -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
@variants
def test_authors_formula(library, variant, case, dtype):
    """With a scaler it makes no difference whether PCA centres once more."""
    X, y, new = (v.astype(dtype) if v.ndim > 1 else v for v in make_data(case))
    for n_components in (1, 2, 3):
        expected = neco_authors(X, new, n_components, variant)
        detector = detector_of(variant, n_components, center=n_components != 2)
        scores = scores_of(library, detector, X, y, new)
        assert scores.dtype == dtype
        rtol = {"float64": 1e-9, "float32": 2e-5}[dtype]
        assert_allclose(scores, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("denominator", ["scaled", "raw"])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_without_scaler(library, case, center, denominator, dtype):
    X, y, new = (v.astype(dtype) if v.ndim > 1 else v for v in make_data(case))
    for n_components in (1, 2, 3):
        expected = neco_unscaled(X, new, n_components, center, denominator)
        detector = NECODetector(
            n_components, scale=False, center=center, denominator=denominator
        )
        scores = scores_of(library, detector, X, y, new)
        rtol = {"float64": 1e-9, "float32": 1e-5}[dtype]
        assert_allclose(scores, expected, rtol=rtol, atol=rtol * expected.max())


def test_variants_differ():
    """Otherwise the tests above would not tell the parameters apart."""
    X, y, new = make_data()
    found = [detector_of(v, 2).fit(X, y).score_samples(new) for v in VARIANTS]
    for center in (True, False):
        for denominator in ("scaled", "raw"):
            detector = NECODetector(
                2, scale=False, center=center, denominator=denominator
            )
            found.append(detector.fit(X).score_samples(new))
    found[-1] = found[-1] + 1  # without centring the two denominators are the same
    for k, scores in enumerate(found):
        for other in found[:k]:
            assert np.abs(scores - other).max() > 0.01


def test_labels_and_weights_only_weigh(rng):
    """Without a head rows are rows."""
    X, y, new = make_data()
    weights = rng.integers(0, 4, len(X))
    expected = neco_authors(np.repeat(X, weights, axis=0), new, 2, "resnet")
    for labels in (y, None, np.zeros(len(X)), np.array(["a", "b", "c"])[y]):
        scores = NECODetector(2).fit(X, labels, weights).score_samples(new)
        assert_allclose(scores, expected, rtol=1e-9)


def test_attributes(library):
    X, y, _ = make_data("constant column")
    detector = NECODetector(2).fit(library.asarray(X), y)
    scaler = StandardScaler().fit(X)
    pca = PCA().fit(scaler.transform(X))
    for name in ("components_", "eigenvalues_", "mean_", "scale_", "means_"):
        assert library.owns(getattr(detector, name))
    assert_allclose(library.to_numpy(detector.mean_), scaler.mean_)
    assert_allclose(library.to_numpy(detector.scale_), scaler.scale_)
    assert detector.rank_ == 5
    values = pca.explained_variance_[:5] * (len(X) - 1) / len(X)
    assert_allclose(library.to_numpy(detector.eigenvalues_), values)
    cosines = (library.to_numpy(detector.components_) * pca.components_[:2]).sum(axis=1)
    assert_allclose(np.abs(cosines), 1)
    assert detector.head_ is None
    assert detector.device_ == "cpu"
    assert_array_equal(detector.classes_, [0, 1, 2])
    plain = NECODetector(1, scale=False, center=False).fit(library.asarray(X))
    assert plain.scale_ is None
    assert_array_equal(library.to_numpy(plain.mean_), np.zeros(6))


# -- number of components --------------------------------------------------------


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("share", [1e-9, 0.3, 0.5, 0.9, 0.99, 1 - 1e-9, 1 - 1e-16])
@pytest.mark.parametrize("case", ["plain", "rank deficient", "few rows"])
def test_share_of_variance(share, scale, case):
    X, _, _ = make_data(case)
    detector = NECODetector(share, scale=scale).fit(X)
    rows = StandardScaler().fit_transform(X) if scale else X
    values = np.linalg.eigvalsh(np.cov(rows.T))[::-1]
    values = values[values > 1e-12 * values[0]]
    expected = next(
        m
        for m in range(1, len(values) + 1)
        if values[:m].sum() >= (share - 1e-13) * values.sum()
    )
    expected = min(expected, 5)  # with all six every ratio is 1
    assert detector.n_components_ == expected
    assert detector.components_.shape == (expected, 6)
    raw = NECODetector(share, scale=scale, denominator="raw").fit(X)
    assert raw.n_components_ >= detector.n_components_


def test_share_that_needs_all_features(rng):
    """The last direction is left out where it is known which one that is."""
    X = rng.normal(size=(60, 3)) * [3, 2, 1]
    assert NECODetector(0.99, scale=False).fit(X).n_components_ == 2
    assert np.ptp(NECODetector(0.99, scale=False).fit(X).score_samples(X)) > 0.1
    raw = NECODetector(0.99, scale=False, denominator="raw").fit(X)
    assert raw.n_components_ == 3
    assert NECODetector(3, scale=False).fit(X).n_components_ == 3
    assert NECODetector(0.9).fit(X[:, :1]).n_components_ == 1
    square = np.vstack([np.eye(2), -np.eye(2)])
    tied = NECODetector(0.9).fit(square)
    assert tied.n_components_ == 2
    assert_allclose(tied.score_samples(square), 1)


def test_share_that_is_reached_exactly():
    """Rounding asks for no component more; here for three quarters of four alike."""
    X = np.vstack([np.eye(4), -np.eye(4)]) * 0.1
    with pytest.warns(UserWarning, match="eigenvalues 3 and 4 are equal"):
        assert NECODetector(0.75).fit(X).n_components_ == 3


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"head": "lda"}], ids=repr)
def test_more_components_than_rank(options):
    X, y, _ = make_data("rank deficient")
    message = r"n_components=5 .* rows is 4 \(n_features=6, n_samples=90\)"
    detector = NECODetector(5, **options)
    with pytest.raises(ValueError, match=message):
        detector.fit(X, y)
    assert vars(detector).keys() == detector.get_params().keys()
    NECODetector(4, **options).fit(X, y)
    # A stream raises when the number is first needed.
    detector.partial_fit(X, y)
    for call in (detector.score_samples, detector.calibrate):
        with pytest.raises(ValueError, match=message):
            call(X)
    detector.set_params(n_components=4).calibrate(X).predict(X)


@pytest.mark.parametrize("n_components", [1, 0.5])
def test_rows_that_do_not_vary(library, n_components):
    X = library.asarray(np.full((9, 4), 0.1))
    for options in ({}, {"scale": False}):
        with pytest.raises(ValueError, match=r"rank of the .*rows is 0"):
            NECODetector(n_components, **options).fit(X)
    about_zero = NECODetector(n_components, scale=False, center=False).fit(X)
    assert about_zero.rank_ == 1
    assert_allclose(library.to_numpy(about_zero.score_samples(X)), 1)
    with pytest.raises(ValueError, match="rank of the rows is 0"):
        NECODetector(n_components, scale=False, center=False).fit(0 * X)


def test_all_components(library):
    """The ratio is 1 for every row; with fewer dimensions, for the training rows."""
    X, y, new = make_data()
    for dtype in ("float64", "float32"):
        for scale in (True, False):
            scores = scores_of(library, NECODetector(6, scale=scale), X, y, new, dtype)
            assert_allclose(scores, 1, rtol=1e-6 if dtype == "float32" else 1e-12)
            assert scores.max() <= 1
    X, y, new = make_data("rank deficient")
    detector = NECODetector(4).fit(X)
    assert_allclose(detector.score_samples(X), 1, rtol=1e-12)
    assert detector.score_samples(new).max() < 0.999


# -- eigenvalues that are equal --------------------------------------------------


def simplex_rows(d=8, n_classes=5, dtype="float64", offset=0.0):
    """Rows that have collapsed to the corners of a simplex."""
    rng = np.random.default_rng(1)
    corners = np.eye(n_classes) - 1 / n_classes
    basis = np.linalg.qr(rng.normal(size=(d, n_classes)))[0]
    means = (corners @ basis.T + offset * rng.normal(size=d)).astype(dtype)
    y = np.arange(40 * n_classes) % n_classes
    return means[y], y


@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_cutting_inside_a_tie_warns(library, dtype, offset):
    X, y = simplex_rows(dtype=dtype, offset=offset)
    for k in (1, 2, 3, 0.3):
        detector = NECODetector(k, scale=False)
        with pytest.warns(UserWarning, match=r"equal up to rounding \(0\.2") as caught:
            detector.fit(library.asarray(X), y)
        assert len(caught) == 1  # once, not in each method
        assert caught[0].filename == __file__  # the line of the caller
        m = detector.n_components_
        assert f"eigenvalues {m} and {m + 1} " in str(caught[0].message)
        detector.predict(library.asarray(X))
    assert NECODetector(4, scale=False).fit(library.asarray(X), y).rank_ == 4
    assert NECODetector(0.9, scale=False).fit(library.asarray(X)).n_components_ == 4


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("offset", [0, 1e4])
def test_eigenvalues_that_are_merely_close_do_not_warn(dtype, offset):
    """Warnings are errors here. The gap is a thousandth of the eigenvalue."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(2000, 4))
    X = np.linalg.qr(X - X.mean(axis=0))[0] * np.sqrt([4, 1.001, 1, 0.5]) * 30
    X = (X + offset).astype(dtype)
    for k in (1, 2, 3):
        NECODetector(k, scale=False).fit(X)


# -- heads -----------------------------------------------------------------------


def lda_logits(X, y, new):
    """Closed form, centred over classes, as in the definition."""
    m = oracles.class_moments(X, y)
    precision = np.linalg.inv(m["scatter"] / len(X))
    shares = m["counts"] / len(X)
    logits = [
        [
            mu @ precision @ x - mu @ precision @ mu / 2 + np.log(p)
            for mu, p in zip(m["means"], shares, strict=True)
        ]
        for x in new
    ]
    return np.array(logits) - np.mean(logits, axis=1, keepdims=True)


@pytest.mark.parametrize("case", ["plain", "offset"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_discriminant_head(library, case, dtype):
    X, y, new = (v.astype(dtype) if v.ndim > 1 else v for v in make_data(case))
    y = np.where(np.arange(len(y)) % 5, y, 0)  # unequal shares
    centre = X.astype(float).mean(axis=0)
    logits = lda_logits(X - centre, y, new - centre).max(axis=1)
    expected = neco_authors(X, new, 2, "resnet") * logits
    scores = scores_of(library, NECODetector(2, head="lda"), X, y, new)
    rtol = {"float64": 1e-7, "float32": 1e-4}[dtype]
    assert_allclose(scores, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def test_discriminant_head_about_the_origin(library):
    """Logits keep their digits where the ratio is that of rows far from the origin."""
    X, y, new = make_data("plain")
    X, new = ((v + 1e4).astype("float32") for v in (X, new))
    options = {"scale": False, "center": False, "head": "lda"}
    centre = X.astype(float).mean(axis=0)
    logits = lda_logits(X - centre, y, new - centre).max(axis=1)
    expected = neco_unscaled(X, new, 2, False, "scaled") * logits
    scores = scores_of(library, NECODetector(2, **options), X, y, new)
    assert_allclose(scores, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    "model",
    [LogisticRegression(C=0.1), GaussianNB(), SVC(), RidgeClassifier()],
    ids=lambda m: type(m).__name__,
)
@pytest.mark.parametrize("classes", [2, 3])
def test_classifiers(library, model, classes):
    """Decision function, or else log probabilities; cloned and fitted, or frozen."""
    X, y, new = make_data()
    y = np.array(["x", "y", "z"])[np.minimum(y, classes - 1)]
    weights = 1.0 + np.arange(len(X)) % 2
    fitted = clone(model).fit(X, y, sample_weight=weights)
    if hasattr(model, "decision_function"):
        logits = fitted.decision_function(new)
        if classes == 2:
            logits = np.column_stack([-logits, logits]) / 2
    else:
        logits = np.log(np.maximum(fitted.predict_proba(new), np.finfo(float).tiny))
    ratio = neco_authors(np.repeat(X, weights.astype(int), axis=0), new, 2, "resnet")
    for head in (model, FrozenEstimator(fitted)):
        detector = NECODetector(2, head=head)
        detector.fit(library.asarray(X), y, library.asarray(weights))
        scores = library.to_numpy(detector.score_samples(library.asarray(new)))
        assert_allclose(scores, ratio * logits.max(axis=1), rtol=1e-6, atol=1e-6)
    assert not hasattr(model, "classes_")


def test_binary_head_of_one_row():
    X, y, new = make_data()
    w, b = COEF[:1], INTERCEPT[:1]
    detector = NECODetector(2, head=LinearHead(w, b)).fit(X, np.minimum(y, 1))
    expected = np.abs(new @ w[0] + b[0]) / 2 * neco_authors(X, new, 2, "resnet")
    assert_allclose(detector.score_samples(new), expected)


def test_extra_rows_of_the_head_count():
    X, y, new = make_data()
    head = LinearHead(COEF, INTERCEPT, classes=[5, 0, 1])
    detector = NECODetector(2, head=head).fit(X, np.minimum(y, 1))
    assert_allclose(detector.score_samples(new), neco_authors(X, new, 2, "vit"))
    assert_allclose(
        NECODetector(2, head=head).fit(X).score_samples(new),
        detector.score_samples(new),
    )


def test_heads_that_do_not_fit():
    X, y, _ = make_data()
    head = LinearHead(COEF, INTERCEPT, classes=[0, 1, 7])
    moments = ClassMoments().update(X, y)
    for call in (
        lambda detector: detector.fit(X, y),
        lambda detector: detector.partial_fit(X, y),
        lambda detector: detector.fit_moments(moments),
    ):
        for bad, message in (
            (head, r"lacks the classes \[2\]"),
            (LinearHead(COEF[:, :4]), r"shape \(3, 4\), but X has 6 features"),
        ):
            detector = NECODetector(2, head=bad)
            with pytest.raises(ValueError, match=message):
                call(detector)
            assert vars(detector).keys() == detector.get_params(deep=False).keys()
    one_class = NECODetector(2, head="lda")
    with pytest.raises(ValueError, match="at least two classes are needed"):
        one_class.fit(X, np.zeros(len(X)))
    with pytest.raises(ValueError, match="pass y"):
        one_class.fit_moments(ClassMoments().update(X))
    with pytest.raises(ValueError, match="LogisticRegression has to be fitted on lab"):
        NECODetector(2, head=LogisticRegression()).fit(X)
    with pytest.raises(ValueError, match="3 decision values for 4 classes"):
        NECODetector(2, head=_Pairs()).fit(X, np.arange(len(X)) % 4)
    with pytest.raises(ValueError, match="neither decision_function nor predict_proba"):
        NECODetector(2, head=_Decides()).fit(X, y)
    with pytest.raises(ValueError, match="gives logits that are NaN or infinity"):
        NECODetector(2, head=_Lost()).fit(X, y)
    with pytest.raises(ValueError, match="'C' parameter"):
        NECODetector(2, head=LogisticRegression(C=-1)).fit(X, y)


class _Decides(GaussianNB):
    predict_proba = property()


class _Lost(GaussianNB):
    def predict_proba(self, X):
        return np.nan * super().predict_proba(X)


class _Pairs(LogisticRegression):
    def decision_function(self, X):
        return super().decision_function(X)[:, :3]


def test_classifiers_need_rows():
    X, y, new = make_data()
    detector = NECODetector(2, head=LogisticRegression())
    message = "has to be fitted on rows"
    with pytest.raises(ValueError, match=message):
        detector.partial_fit(X, y)
    with pytest.raises(ValueError, match=message):
        detector.fit_moments(ClassMoments().update(X, y))
    detector.fit(X, y)
    expected = detector.score_samples(new)
    with pytest.raises(ValueError, match=message):
        detector.partial_fit(X, y)
    assert_array_equal(detector.score_samples(new), expected)


@pytest.mark.parametrize(
    "head", [LinearHead(COEF, INTERCEPT), "lda"], ids=["weights", "lda"]
)
def test_stream_with_a_head(library, head):
    X, y, new = make_data()
    whole = NECODetector(3, head=head).fit(library.asarray(X), y)
    parts = NECODetector(3, head=head)
    for rows in np.array_split(np.argsort(y, kind="stable"), [1, 40]):
        parts.partial_fit(library.asarray(X[rows]), y[rows])
    adopted = NECODetector(3, head=head)
    adopted.fit_moments(ClassMoments().update(library.asarray(X), y))
    expected = library.to_numpy(whole.score_samples(library.asarray(new)))
    for detector in (parts, adopted):
        scores = library.to_numpy(detector.score_samples(library.asarray(new)))
        assert_allclose(scores, expected, rtol=1e-9)
        detector.calibrate(library.asarray(X))
        assert detector.offset_ == pytest.approx(whole.offset_, rel=1e-9)


def test_streaming_small_blocks_waits():
    """Taking a head along does not gather each block by itself."""
    X, y, _ = make_data()
    detector = NECODetector(2, head=LinearHead(COEF, INTERCEPT))
    for k in range(len(X)):
        detector.partial_fit(X[k : k + 1], y[k : k + 1])
    assert detector.moments_._buffer.n_rows == len(X)


# -- degenerate rows -------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_of_no_length(library, dtype):
    """They have nothing in the principal space: 0, not nan."""
    X = np.array([[1.0, 2, 0], [-1, -2, 0], [3, -1, 1], [-3, 1, -1]], dtype=dtype)
    zero = np.zeros((1, 3), dtype=dtype)
    head = LinearHead(np.ones((2, 3)), [1.0, 2.0])
    for options in (
        *(
            {"scale": s, "denominator": d}
            for s in (True, False)
            for d in ("scaled", "raw")
        ),
        {"scale": False, "center": False},
        {"head": head},
    ):
        scores = scores_of(library, NECODetector(1, **options), X, None, zero)
        assert_array_equal(scores, 0)
    # The formula would divide by zero what is not zero.
    detector = NECODetector(1, denominator="raw")
    assert_array_equal(scores_of(library, detector, X + 1, None, zero), 0)


@pytest.mark.parametrize(
    "head", [None, LinearHead(COEF, INTERCEPT), GaussianNB()], ids=str
)
def test_rows_that_are_not_finite_are_named(library, head):
    """Also where a classifier would raise first."""
    X, y, new = make_data()
    detector = NECODetector(2, head=head).fit(library.asarray(X), y)
    for value, word in ((np.nan, "NaN"), (np.inf, "infinity")):
        bad = new.copy()
        bad[[5, 9], 3] = value
        with pytest.raises(ValueError, match=rf"X contains {word}.*row 5, column 3"):
            detector.score_samples(library.asarray(bad))


def test_dead_unit(library):
    """It cannot enter the numerator; in the denominator it lowers the score."""
    X, y, new = make_data("constant column")
    assert np.ptp(new[:, 2]) > 1
    for offset in (0.0, 1e3):
        shifted = [v + offset * (np.arange(6) == 2) for v in (X, new)]
        detector = NECODetector(2).fit(library.asarray(shifted[0]), y)
        scores = library.to_numpy(detector.score_samples(library.asarray(shifted[1])))
        assert_array_equal(library.to_numpy(detector.components_)[:, 2], 0)
        dark = shifted[1].copy()
        dark[:, 2] = 0.1 + offset
        expected = neco_authors(shifted[0], dark, 2, "resnet")
        dimmed = library.to_numpy(detector.score_samples(library.asarray(dark)))
        assert_allclose(dimmed, expected, rtol=1e-9)
        assert np.all(scores < dimmed)
        assert_allclose(scores, neco_authors(*shifted, 2, "resnet"), rtol=1e-6)


def test_column_that_is_constant_to_the_rounding_of_its_dtype(library, rng):
    """float32 around 1e4 knows no deviation of 1e-4: that column is noise."""
    X = rng.normal(size=(500, 5))
    X[:, 1] = 1e4 + 1e-4 * rng.normal(size=500)
    X = X.astype(np.float32)
    assert NECODetector(1, scale=True).fit(library.asarray(X)).rank_ == 4
    wide = NECODetector(1).fit(library.asarray(X.astype(float)))
    assert wide.rank_ == (5 if np.ptp(X[:, 1]) else 4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_overflow_is_named(dtype):
    X, _, new = make_data()
    detector = NECODetector(2, scale=False).fit(X.astype(dtype))
    huge = new.astype(dtype)
    huge[3] = np.finfo(dtype).max / 4
    with pytest.raises(ValueError, match="so large that their squares overflow"):
        detector.score_samples(huge)


def test_half_precision_and_integers():
    X, y, new = make_data()
    half = detector_of("vit", 2).fit(X.astype(np.float16), y)
    scores = half.score_samples(new.astype(np.float16))
    assert scores.dtype == np.float32
    expected = neco_authors(X.astype(np.float16), new.astype(np.float16), 2, "vit")
    assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)
    X, new = (np.round(10 * v).astype(int) for v in (X, new))
    scores = detector_of("vit", 2).fit(X, y).score_samples(new)
    assert_allclose(scores, neco_authors(X, new, 2, "vit"), rtol=1e-9)
    model = NECODetector(2, head=GaussianNB()).fit(X.astype(np.float16), y)
    assert np.isfinite(model.score_samples(new.astype(np.float16))).all()


@variants
def test_many_blocks(library, variant, monkeypatch):
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)
    X, y, new = make_data()
    new = np.vstack([new + k for k in range(20)])
    scores = scores_of(library, detector_of(variant, 2), X, y, new)
    assert_allclose(scores, neco_authors(X, new, 2, variant), rtol=1e-9)


@variants
def test_numpy_rows_on_another_device(variant, monkeypatch):
    """Main memory stands for a GPU."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(_arrays, "gpu_for", lambda device, work: torch.empty(0))
    X, y, new = make_data()
    for center in (True, False):
        detector = NECODetector(2, scale=False, center=center).fit(X)
        expected = neco_unscaled(X, new, 2, center, "scaled")
        assert_allclose(detector.score_samples(new), expected, rtol=1e-9)
    scores = detector_of(variant, 2).fit(X, y).score_samples(new)
    assert isinstance(scores, np.ndarray)
    assert_allclose(scores, neco_authors(X, new, 2, variant), rtol=1e-9)


def test_input_is_not_written_to():
    X, y, new = make_data()
    new.flags.writeable = X.flags.writeable = False
    for scale in (True, False):
        for center in (True, False):
            detector = NECODetector(2, scale=scale, center=center, head="lda")
            detector.fit(X, y).score_samples(new)


# -- real features ---------------------------------------------------------------


@pytest.fixture(scope="module")
def bunch():
    return load_cifar8_features()


@pytest.mark.parametrize("denominator", ["scaled", "raw"])
@pytest.mark.parametrize("with_head", [False, True])
def test_bundled_features(bunch, with_head, denominator):
    """Scores and AUROC of all sets, near to exact although rows are float32."""
    scaler = StandardScaler().fit(bunch.data.astype(float))
    pca = PCA().fit(scaler.transform(bunch.data.astype(float)))
    m = int(np.argmax(np.cumsum(pca.explained_variance_ratio_) >= 0.9)) + 1

    def oracle(X):
        X = X.astype(float)
        z = scaler.transform(X)
        whole = z if denominator == "scaled" else X
        ratio = np.linalg.norm(pca.transform(z)[:, :m], axis=1)
        ratio = ratio / np.linalg.norm(whole, axis=1)
        logits = X @ bunch.coef.T.astype(float) + bunch.intercept
        return ratio * logits.max(axis=1) if with_head else ratio

    head = bunch.head if with_head else None
    detector = NECODetector(head=head, denominator=denominator)
    detector.fit(bunch.data, bunch.target)
    assert detector.n_components_ == m == 18
    inside = detector.score_samples(bunch.X_test)
    assert_allclose(inside, oracle(bunch.X_test), rtol=1e-4, atol=1e-5)
    found = {}
    for name, rows in bunch.ood.items():
        scores = detector.score_samples(rows)
        assert_allclose(scores, oracle(rows), rtol=1e-4, atol=1e-5)
        found[name] = auroc(inside, scores)
        expected = auroc(oracle(bunch.X_test), oracle(rows))
        assert found[name] == pytest.approx(expected, abs=1e-4)
    if denominator == "scaled":
        assert all(0.6 < value < 0.99 for value in found.values())
    if denominator == "scaled" and not with_head:
        assert found["far: digits"] > 0.95


# -- among scikit-learn's tools --------------------------------------------------


def test_grid_search(bunch):
    """Plain scoring, in two workers, with a head along."""
    rows = np.random.default_rng(0).permutation(len(bunch.data))[:1500]
    outside = bunch.ood["far: digits"]

    search = GridSearchCV(
        NECODetector(head=bunch.head),
        {"n_components": [2, 8, 0.9], "denominator": ["scaled", "raw"]},
        scoring=_Against(outside),
        cv=3,
        n_jobs=2,
        error_score="raise",
    )
    search.fit(bunch.data[rows], bunch.target[rows])
    found = search.cv_results_["mean_test_score"]
    assert np.isfinite(found).all()
    assert len(set(found.round(6))) > 1
    assert search.best_estimator_.head_.coef.shape == bunch.coef.shape


class _Against:
    def __init__(self, outside):
        self.outside = outside

    def __call__(self, detector, X, y=None):
        scores = [*detector.score_samples(X), *detector.score_samples(self.outside)]
        return roc_auc_score(np.arange(len(scores)) < len(X), scores)


def test_clone_and_pickle_with_a_head():
    X, y, new = make_data()
    detector = detector_of("vit", 2)
    twin = clone(detector)
    assert twin.head is not detector.head
    assert_array_equal(twin.head.coef_, COEF)
    expected = detector.fit(X, y).decision_function(new)
    assert_array_equal(twin.fit(X, y).decision_function(new), expected)
    for again in (pickle.loads(pickle.dumps(detector)), copy.deepcopy(detector)):
        assert_array_equal(again.decision_function(new), expected)


@pytest.mark.parametrize(
    "params",
    [
        *({"n_components": v} for v in (0, -1, 1.0, 0.0, 1.5, "mle", None, np.nan)),
        *({"scale": v} for v in (2, "no")),
        *({"center": v} for v in (2, "no")),
        *({"denominator": v} for v in ("std", None)),
        *({"head": v} for v in ("qda", 3)),
    ],
    ids=repr,
)
def test_bad_parameters(params):
    X, y, _ = make_data()
    (name,) = params
    for call in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match=f"'{name}' parameter"):
            getattr(NECODetector().set_params(**params), call)(X, y)


@pytest.mark.parametrize(
    "detector",
    [
        NECODetector(head="lda"),
        NECODetector(1, head=LogisticRegression(), denominator="raw"),
        NECODetector(2, scale=False, head=GaussianNB()),
    ],
    ids=repr,
)
def test_our_checks_with_heads_that_need_labels(detector):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="sklearn")
        ran = estimator_checks.check_estimator(detector)
    assert len(ran) == len(estimator_checks.estimator_checks())
