"""Tests of the detectors that look at the logits alone."""

import math
import pickle

import numpy as np
import oracles
import oracles_logits
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_collapse import LinearHead
from sklearn_collapse._linalg._logits import SCORES
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import LogitDetector, NECODetector
from sklearn_collapse.utils import _arrays, estimator_checks, move_estimator

C, D = 4, 6
COEF = np.random.default_rng(9).normal(size=(C, D))
INTERCEPT = np.array([0.5, -1.0, 2.0, 0.0])
# The tests of "klm", which learns from rows, are in test_logit_scores.
CLASSIC = ("msp", "max_logit", "energy")
METHODS = (*CLASSIC, "entropy", "gen", "margin")
NO_TEMPERATURE = ("max_logit", "margin")
BY_DECIMALS = {
    "entropy": oracles_logits.negative_entropy,
    "gen": oracles_logits.generalized,
    "margin": oracles_logits.margin,
}

methods = pytest.mark.parametrize("method", METHODS)
classic = pytest.mark.parametrize("method", CLASSIC)


@pytest.fixture
def data(rng):
    """Features of four classes, labels, and features of none."""
    y = np.arange(80) % C
    X = rng.normal(size=(80, D)) + 2 * rng.normal(size=(C, D))[y]
    return X, y, 3 * rng.normal(size=(30, D))


def oracle(method, logits, temperature=1.0):
    """Row by row, in Python's numbers, as the definitions say."""
    if method in BY_DECIMALS:
        return oracles_logits.by_rows(BY_DECIMALS[method], logits, temperature)
    scores = []
    for row in np.asarray(logits, dtype=float).tolist():
        top = max(row)
        grown = [math.exp((v - top) / temperature) for v in row]
        scores.append(
            {
                "msp": max(grown) / math.fsum(grown),
                "max_logit": top,
                "energy": temperature * math.log(math.fsum(grown)) + top,
            }[method]
        )
    return np.array(scores)


def scores_of(library, detector, X, y, new, dtype=None):
    detector.fit(library.asarray(X, dtype), y)
    scores = detector.score_samples(library.asarray(new, dtype))
    assert library.owns(scores)
    return library.to_numpy(scores)


def test_methods():
    assert {*SCORES, "gen"} == set(METHODS)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("temperature", [1.0, 0.3, 20.0, 1000])
@methods
def test_logits_as_they_are(library, method, temperature, dtype, data):
    X, y, new = (v.astype(dtype) if v.ndim > 1 else v for v in data)
    detector = LogitDetector(method, temperature=temperature)
    scores = scores_of(library, detector, X, y, new)
    assert scores.dtype == dtype
    rtol = {"float64": 1e-12, "float32": 1e-5}[dtype]
    assert_allclose(scores, oracle(method, new, temperature), rtol=rtol)
    # ODIN's temperature: it changes probabilities and energies, and no logit.
    plain = oracle(method, new)
    same = temperature == 1 or method in NO_TEMPERATURE
    assert (np.abs(scores - plain).max() < 1e-5 * np.abs(plain).max()) == same


@pytest.mark.parametrize("size", [1e4, 1e-4, 1e30])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@methods
def test_large_and_small_logits(library, method, dtype, size, data):
    X, _, new = (size * v for v in data)
    new, X = new.astype(dtype), X.astype(dtype)
    detector = LogitDetector(method, contamination=0.2)
    scores = scores_of(library, detector, X, None, new)
    assert np.isfinite(scores).all()
    rtol = {"float64": 1e-12, "float32": 1e-5}[dtype]
    # The entropy of rows that are too sure for a float is 0.
    atol = 10 * np.finfo(dtype).tiny
    assert_allclose(scores, oracle(method, new), rtol=rtol, atol=atol)
    shifted = scores_of(library, clone(detector), X, None, new - size)
    expected = oracle(method, new - np.asarray(size, dtype))
    assert_allclose(shifted, expected, rtol=10 * rtol, atol=atol)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_extreme_temperatures(library, dtype, data):
    X, _, new = (v.astype(dtype) for v in data)
    for temperature in (1e-300, 1e-50, 1e-20):
        detector = LogitDetector(temperature=temperature)
        scores = scores_of(library, detector, X, None, new)
        assert_allclose(scores, new.max(axis=1))
    scores = scores_of(library, LogitDetector("msp", temperature=1e20), X, None, new)
    assert_allclose(scores, 1 / D, rtol=1e-6)


def test_ties_and_equal_logits():
    X = np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    assert_allclose(LogitDetector("msp").fit(X).score_samples(X)[[0, 2]], 1 / 3)
    energies = LogitDetector(temperature=2).fit(X).score_samples(X)
    assert_allclose(energies[[0, 2]], [1 + 2 * np.log(3), 2 * np.log(3)])


# -- heads -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@methods
def test_linear_head(library, method, dtype, data):
    X, y, new = (v.astype(dtype) if v.ndim > 1 else v for v in data)
    head = LinearHead(COEF, INTERCEPT)
    expected = oracle(method, new.astype(float) @ COEF.T + INTERCEPT, 2.0)
    rtol = {"float64": 1e-11, "float32": 1e-4}[dtype]
    for given in (head, FrozenEstimator(head)):
        for labels in (y, None):
            detector = LogitDetector(method, head=given, temperature=2.0)
            scores = scores_of(library, detector, X, labels, new)
            assert scores.dtype == dtype
            assert_allclose(scores, expected, rtol=rtol, atol=rtol)
            assert detector.n_features_in_ == D
            assert detector.device_ == "cpu"


@methods
def test_binary_head_becomes_two_rows(method, data):
    X, y, new = data
    head = LinearHead(COEF[:1], INTERCEPT[:1])
    half = (new @ COEF[0] + INTERCEPT[0]) / 2
    expected = oracle(method, np.column_stack([-half, half]))
    detector = LogitDetector(method, head=head).fit(X, y % 2)
    assert_allclose(detector.score_samples(new), expected)


@methods
def test_classes_that_the_data_lack_count(method, data):
    X, y, new = data
    head = LinearHead(COEF, INTERCEPT, classes=[7, 1, 0, 9])
    detector = LogitDetector(method, head=head).fit(X, y % 2)
    assert_array_equal(detector.classes_, [0, 1])
    expected = oracle(method, new @ COEF.T + INTERCEPT)
    assert_allclose(detector.score_samples(new), expected)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("offset", [0.0, 1e4])
@methods
def test_discriminant(library, method, offset, dtype, data):
    """On rows far from the origin logits are differences of large numbers."""
    X, y, new = data
    X, new = (v * 0.2 + offset for v in (X, new))
    X, new = X.astype(dtype), new.astype(dtype)
    centre = X.astype(float).mean(axis=0)
    m = oracles.class_moments(X - centre, y)
    precision = np.linalg.inv(m["scatter"] / len(X))
    means = m["means"]
    logits = (new - centre) @ precision @ means.T + np.log(m["counts"] / len(X))
    logits -= np.einsum("cd,de,ce->c", means, precision, means) / 2
    logits -= logits.mean(axis=1, keepdims=True)
    scores = scores_of(library, LogitDetector(method, head="lda"), X, y, new)
    rtol = {"float64": 1e-7, "float32": 2e-4}[dtype]
    expected = oracle(method, logits)
    assert_allclose(scores, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(C=0.1),
        GaussianNB(),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ],
    ids=lambda m: type(m).__name__,
)
@methods
def test_classifiers(library, method, model, data):
    """They are cloned and fitted with the weights, if they take any."""
    X, y, new = data
    weights = 1.0 + np.arange(len(X)) % 3
    names = np.array(list("abcd"))[y]
    takes_weights = not hasattr(model, "steps")
    options = {"sample_weight": weights} if takes_weights else {}
    fitted = clone(model).fit(X, names, **options)
    if hasattr(fitted, "decision_function"):
        logits = fitted.decision_function(new)
    else:
        logits = np.log(np.maximum(fitted.predict_proba(new), np.finfo(float).tiny))
    for head in (model, FrozenEstimator(fitted)):
        detector = LogitDetector(method, head=head)
        detector.fit(library.asarray(X), names, library.asarray(weights))
        scores = library.to_numpy(detector.score_samples(library.asarray(new)))
        assert_allclose(scores, oracle(method, logits), rtol=1e-7, atol=1e-12)
        assert_array_equal(detector.classes_, list("abcd"))


def test_head_fitted_on_a_frame(data):
    pandas = pytest.importorskip("pandas")
    X, y, new = data
    frame, frame_new = (pandas.DataFrame(v, columns=list("abcdef")) for v in (X, new))
    model = LogisticRegression().fit(frame, y)
    detector = LogitDetector(head=FrozenEstimator(model)).fit(frame, y)
    expected = oracle("energy", model.decision_function(frame_new))
    assert_allclose(detector.score_samples(frame_new), expected)


def test_certain_classifier_is_finite(data):
    """A probability of 0 counts as the smallest normal number."""
    X, y, _ = data
    model = GaussianNB().fit(X, y)
    far = 1e3 * X
    for method in METHODS:
        detector = LogitDetector(method, head=FrozenEstimator(model)).fit(X)
        assert np.isfinite(detector.score_samples(far)).all()


# -- errors ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "labels", "message"),
    [
        ({"head": "lda"}, None, r"head='lda' .* pass y"),
        ({"head": "lda"}, np.zeros(80), "at least two classes"),
        ({"head": LogisticRegression()}, None, "has to be fitted on labelled rows"),
        ({"head": LinearHead(COEF[:3])}, np.arange(80) % 4, r"lacks the classes \[3\]"),
        ({"head": LinearHead(COEF[:, :5])}, None, r"\(4, 5\), but X has 6 features"),
        ({"head": LinearHead(COEF, [1.0])}, None, "intercept must have shape"),
        ({"head": LogisticRegression(C=-1)}, np.arange(80) % 4, "'C' parameter"),
        *(({"temperature": t}, None, "'temperature'") for t in (0, -1, np.nan, np.inf)),
        *(({"method": m}, None, "'method'") for m in ("odin", None, 1)),
        *(({"gamma": g}, None, "'gamma'") for g in (0, -0.1, 1.5, np.nan, None)),
        *(({"n_top": m}, None, "'n_top'") for m in (0, -1, 2.5, None)),
        *(({"head": h}, None, "'head'") for h in ("qda", 1)),
    ],
    ids=str,
)
def test_errors(options, labels, message, data):
    X, y, new = data
    detector = LogitDetector(**options)
    with pytest.raises(ValueError, match=message):
        detector.fit(X, labels)
    assert vars(detector).keys() == detector.get_params(deep=False).keys()
    # A fit that fails leaves an earlier one as it was.
    detector = LogitDetector().fit(X, y)
    expected = detector.decision_function(new)
    with pytest.raises(ValueError, match=message):
        detector.set_params(**options).fit(X, labels)
    again = detector.set_params(**LogitDetector().get_params())
    assert_array_equal(again.decision_function(new), expected)
    assert_array_equal(again.classes_, np.arange(C))


def test_a_regressor_is_no_head(data):
    class Regressor:
        fit = predict = None

    with pytest.raises((TypeError, ValueError), match="head"):
        LogitDetector(head=Regressor()).fit(data[0])


def test_logits_of_one_class(library):
    X = library.asarray(np.arange(9.0)[:, None])
    for method in ("msp", "entropy", "gen", "klm", "margin"):
        with pytest.raises(ValueError, match="probability is always 1"):
            LogitDetector(method).fit(X)
    for method in ("energy", "max_logit"):
        scores = LogitDetector(method).fit(X).score_samples(X)
        assert_allclose(library.to_numpy(scores), np.arange(9.0))


def test_no_streaming(data):
    """The scores are no function of moments."""
    for name in ("partial_fit", "fit_moments", "moments_", "means_"):
        assert not hasattr(LogitDetector(), name)
        assert not hasattr(LogitDetector(head="lda").fit(*data[:2]), name)


@methods
def test_overflow_is_named(method):
    X = np.full((3, 2), 3e38, dtype=np.float32)
    head = LinearHead([[10.0, 10.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match=r"overflow|infinity"):
        LogitDetector(method, head=head).fit(X)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_scores_that_overflow_are_no_fault_of_the_rows(library, dtype, data):
    X = library.asarray(data[0].astype(dtype))
    temperature = float(np.finfo(dtype).max) / 1.5
    with pytest.raises(ValueError, match=f"Scores overflow .*{dtype}.*lower temp"):
        LogitDetector(temperature=temperature).fit(X)


@classic
def test_threshold_of_scores_near_overflow(method):
    X = np.array([[1.0, 0.5], [0.9, -0.9], [0.8, 0.1], [0.95, 0.3]]) * 1.7e308
    detector = LogitDetector(method, contamination=0.25).fit(X)
    assert np.isfinite(detector.offset_)
    if method != "msp":
        assert_array_equal(detector.predict(X), [1, 1, -1, 1])


def test_unfitted_attributes():
    for name in ("offset_", "classes_", "device_", "head_"):
        assert not hasattr(LogitDetector(), name)
    with pytest.raises(NotFittedError):
        LogitDetector().calibrate(np.ones((3, 2)))


def test_fit_starts_anew(data):
    X, y, _ = data
    detector = LogitDetector(head="lda").fit(X, y)
    detector.set_params(head=None).fit(X[:, :3])
    assert not hasattr(detector, "classes_")
    assert detector.head_ is None
    assert_allclose(detector.score_samples(X[:, :3]), oracle("energy", X[:, :3]))


# -- blocks, devices, pickles ----------------------------------------------------


@pytest.mark.parametrize("head", [None, "lda", LinearHead(COEF)], ids=str)
def test_many_blocks(library, head, data, monkeypatch):
    X, y, new = data
    new = np.vstack([new + k for k in range(20)])
    whole = scores_of(library, LogitDetector(head=head), X, y, new)
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)
    split = scores_of(library, LogitDetector(head=head), X, y, new)
    assert_allclose(split, whole, rtol=1e-9)


@pytest.mark.parametrize("head", [None, "lda", LogisticRegression()], ids=str)
def test_numpy_rows_on_another_device(head, data, monkeypatch):
    """Main memory stands for a GPU."""
    torch = pytest.importorskip("torch")
    X, y, new = data
    expected = LogitDetector(head=head).fit(X, y).decision_function(new)
    monkeypatch.setattr(_arrays, "gpu_for", lambda device, work: torch.empty(0))
    found = LogitDetector(head=head).fit(X, y).decision_function(new)
    assert isinstance(found, np.ndarray)
    assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


def test_clone_and_pickle(data):
    X, y, new = data
    detector = LogitDetector("msp", head=LinearHead(COEF, INTERCEPT))
    twin = clone(detector)
    assert_array_equal(twin.head.coef_, COEF)
    expected = detector.fit(X, y).decision_function(new)
    assert_array_equal(twin.fit(X, y).decision_function(new), expected)
    again = pickle.loads(pickle.dumps(detector))
    assert_array_equal(again.decision_function(new), expected)


def test_bundled_features():
    """AUROC of all sets by way of the loops, far from trivial."""
    bunch = load_cifar8_features()

    def logits(rows):
        return rows.astype(float) @ bunch.coef.T.astype(float) + bunch.intercept

    for method in CLASSIC:
        detector = LogitDetector(method, head=bunch.head).fit(bunch.data)
        inside = detector.score_samples(bunch.X_test)
        assert_allclose(inside, oracle(method, logits(bunch.X_test)), rtol=1e-4)
        for rows in bunch.ood.values():
            outside = detector.score_samples(rows)
            found = oracles.auroc(inside.tolist(), outside.tolist())
            expected = oracles.auroc(
                oracle(method, logits(bunch.X_test)).tolist(),
                oracle(method, logits(rows)).tolist(),
            )
            assert found == pytest.approx(expected, abs=1e-4)
            assert 0.65 < found < 0.95


@pytest.mark.parametrize(
    "detector",
    [
        LogitDetector(head="lda"),
        LogitDetector("msp", head=LogisticRegression(), temperature=3.0),
        LogitDetector("max_logit", head=GaussianNB()),
        LogitDetector("klm", head="lda", temperature=10.0),
        LogitDetector("margin", head="lda"),
    ],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning:sklearn")
def test_our_checks_with_heads_that_need_labels(detector):
    ran = estimator_checks.check_estimator(detector)
    assert len(ran) == len(estimator_checks.estimator_checks())


@pytest.mark.parametrize(
    "detector",
    [
        LogitDetector(),
        LogitDetector("msp", head="lda"),
        LogitDetector(head=LinearHead(COEF, INTERCEPT)),
        LogitDetector(head=LogisticRegression()),
        LogitDetector("klm"),
        LogitDetector("klm", head=LinearHead(COEF, INTERCEPT)),
        NECODetector(2),
        NECODetector(2, head="lda"),
        NECODetector(2, head=GaussianNB()),
    ],
    ids=repr,
)
def test_moving(detector, data):
    """Fitted on tensors, asked with NumPy rows, and back."""
    torch = pytest.importorskip("torch")
    X, y, new = data
    fitted = clone(detector).fit(X, y)
    expected = fitted.decision_function(new)
    moved = move_estimator(fitted, torch.zeros(0))
    found = moved.decision_function(torch.asarray(new))
    assert isinstance(found, torch.Tensor)
    assert_allclose(found.numpy(), expected, rtol=1e-7, atol=1e-9)
    back = move_estimator(moved, "numpy")
    assert_allclose(back.decision_function(new), expected, rtol=1e-7, atol=1e-9)
    assert_array_equal(back.classes_, np.arange(C))
