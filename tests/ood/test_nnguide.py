"""Tests of NNGuide."""

import pickle

import numpy as np
import oracles_rows as oracle
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_collapse import LinearHead
from sklearn_collapse._linalg import _guidance
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import NNGuideDetector, _nnguide
from sklearn_collapse.utils import move_estimator

C = 4
INTERCEPT = np.array([0.5, -1.0, 2.0, 0.0])

dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])
choices = pytest.mark.parametrize("neighbors", ["scaled", "cosine"])


@pytest.fixture(params=[5, 12], ids="d={}".format)
def data(request, rng):
    """Features, labels, new features and the weights of a head."""
    d = request.param
    y = np.arange(70) % C
    X = rng.normal(size=(70, d)) + 2 * rng.normal(size=(C, d))[y]
    return X, y, 3 * rng.normal(size=(20, d)), rng.normal(size=(C, d))


def scored(library, detector, X, y, new, weights=None, dtype=None):
    detector.fit(library.asarray(X, dtype), y, weights)
    scores = detector.score_samples(library.asarray(new, dtype))
    assert library.owns(scores)
    return library.to_numpy(scores)


def expected_scores(X, new, coef, intercept, k, neighbors, weights=None):
    logits = [oracle.linear_logits(rows, coef, intercept) for rows in (X, new)]
    return oracle.nnguide(
        X, logits[0], new, logits[1], k, scaled=neighbors == "scaled", weights=weights
    )


@dtypes
@choices
@pytest.mark.parametrize("k", [1, 10, 70, 200])
def test_scores(library, neighbors, k, dtype, data):
    X, y, new, coef = data
    head = LinearHead(coef, INTERCEPT)
    detector = NNGuideDetector(head, n_neighbors=k, neighbors=neighbors)
    X, new = X.astype(dtype), new.astype(dtype)
    for rows in (new, X[:10]):
        scores = scored(library, detector, X, y, rows)
        assert scores.dtype == dtype
        expected = expected_scores(X, rows, coef, INTERCEPT, k, neighbors)
        rtol = {"float64": 1e-9, "float32": 1e-6}[dtype]
        assert_allclose(scores, expected, rtol=rtol, atol=rtol * np.abs(expected).max())
    assert detector.n_neighbors_ == min(k, 70)


def test_choices_differ(data):
    X, y, new, coef = data
    head = LinearHead(2 * coef, INTERCEPT + 10)
    scaled, cosine = (
        NNGuideDetector(head, n_neighbors=3, neighbors=v).fit(X, y).score_samples(new)
        for v in ("scaled", "cosine")
    )
    # No mean of k products is larger than that of the k largest.
    assert np.all(scaled >= cosine - 1e-9)
    assert np.max(scaled / cosine) > 1.02


@choices
def test_lda(library, neighbors, data):
    X, y, new, _ = data
    coef, intercept = oracle.lda(X, y)
    scores = scored(library, NNGuideDetector(neighbors=neighbors), X, y, new)
    expected = expected_scores(X, new, coef, intercept, 10, neighbors)
    assert_allclose(scores, expected, rtol=1e-6, atol=1e-7)


@choices
def test_weights_are_frequencies(library, neighbors, data, rng):
    X, y, new, coef = data
    X, y = np.vstack([X, X[:8]]), np.append(y, y[:8])
    weights = rng.integers(0, 4, len(X))
    for k in (1, 6, 25, 1000):
        head = LinearHead(coef, INTERCEPT)
        detector = NNGuideDetector(head, n_neighbors=k, neighbors=neighbors)
        scores = scored(library, detector, X, y, new, weights)
        expected = expected_scores(X, new, coef, INTERCEPT, k, neighbors, weights)
        assert_allclose(scores, expected, rtol=1e-9, atol=1e-8)
        assert detector.n_neighbors_ == min(k, weights.sum())


@choices
def test_negative_energies(library, neighbors, data):
    """As by the formula, though they turn the ranking round."""
    X, y, new, coef = data
    for intercept in (INTERCEPT - 100, INTERCEPT - 4):
        head = LinearHead(coef, intercept)
        detector = NNGuideDetector(head, n_neighbors=5, neighbors=neighbors)
        scores = scored(library, detector, X, y, new)
        expected = expected_scores(X, new, coef, intercept, 5, neighbors)
        assert_allclose(scores, expected, rtol=1e-8, atol=1e-8)


def test_energies_of_lda_are_positive(data):
    X, y, new, _ = data
    detector = NNGuideDetector().fit(X, y)
    rows = np.vstack([X, new, 0 * new, X.mean(axis=0)[None, :]])
    assert detector._energies(rows).min() >= np.log(C) * (1 - 1e-12)


@pytest.mark.parametrize("labels", ["none", "one"])
@choices
def test_one_class(library, neighbors, labels, data):
    X, _, new, _ = data
    y = None if labels == "none" else np.zeros(len(X), dtype=int)
    scores = scored(library, NNGuideDetector(neighbors=neighbors), X, y, new)
    cosines = [sorted(oracle.cosine(z, x) for x in X)[-10:] for z in new]
    assert_allclose(scores, np.mean(cosines, axis=1), rtol=1e-9, atol=1e-9)
    assert np.ptp(scores) > 0


@choices
def test_rows_of_zeros(library, neighbors, data):
    X, y, new, coef = data
    X = X.copy()
    X[:3] = 0
    new = np.vstack([new, np.zeros((2, X.shape[1]))])
    head = LinearHead(coef, INTERCEPT)
    detector = NNGuideDetector(head, n_neighbors=60, neighbors=neighbors)
    scores = scored(library, detector, X, y, new)
    assert_array_equal(scores[-2:], 0)
    expected = expected_scores(X, new, coef, INTERCEPT, 60, neighbors)
    assert_allclose(scores, expected, rtol=1e-9, atol=1e-9)


@choices
def test_energies_of_zero(library, neighbors):
    """A head whose probabilities before the softmax add up to 1 on training rows."""
    X = np.array([[0.0, 1.0], [0.0, 2.0], [0.0, -1.0]])
    head = LinearHead([[1.0, 0.0], [-1.0, 0.0]], np.log([0.5, 0.5]))
    detector = NNGuideDetector(head, n_neighbors=2, neighbors=neighbors)
    new = np.array([[1.0, 1.0], [-2.0, 3.0]])
    scores = scored(library, detector, X, np.zeros(3, int), new)
    assert_allclose(scores, 0, atol=1e-15)


@dtypes
@choices
def test_collapsed_rows(library, neighbors, dtype, rng):
    y = np.arange(60) % C
    means = 10 * rng.normal(size=(C, 16))
    X = (means[y] + 1e-4 * rng.normal(size=(60, 16))).astype(dtype)
    new = (means[y[:12]] + rng.normal(size=(12, 16))).astype(dtype)
    coef = rng.normal(size=(C, 16)) / 20
    detector = NNGuideDetector(LinearHead(coef, 5 + INTERCEPT), neighbors=neighbors)
    scores = scored(library, detector, X, y, new)
    args = X.astype(float), new.astype(float), coef, 5 + INTERCEPT
    expected = expected_scores(*args, 10, neighbors)
    assert_allclose(scores, expected, rtol={"float64": 1e-7, "float32": 1e-5}[dtype])


@choices
def test_all_rows_equal(library, neighbors):
    X, new = np.ones((12, 3)), np.array([[2.0, 2, 2], [1, -1, 0]])
    scores = scored(library, NNGuideDetector(neighbors=neighbors), X, None, new)
    assert_allclose(scores, [1, 0], atol=1e-12)


@choices
def test_classifiers(neighbors, data):
    X, y, new, _ = data
    for model in (LogisticRegression(), GaussianNB()):
        detector = NNGuideDetector(model, neighbors=neighbors).fit(X, y)
        model.fit(X, y)
        if isinstance(model, GaussianNB):
            logits = [model.predict_log_proba(rows) for rows in (X, new)]
            # Their energy is 0 to rounding: so is the score.
            assert_allclose(detector.score_samples(new), 0, atol=1e-12)
            continue
        logits = [model.decision_function(rows) for rows in (X, new)]
        expected = oracle.nnguide(
            X, logits[0], new, logits[1], 10, scaled=neighbors == "scaled"
        )
        assert_allclose(detector.score_samples(new), expected, rtol=1e-8, atol=1e-8)


def test_authors_code(data):
    """Their bank, inner products and mean, by NumPy on all pairs."""
    X, y, new, coef = data
    units = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (X, new)]
    energies = [
        np.log(np.sum(np.exp(v @ coef.T + INTERCEPT), axis=1)) for v in (X, new)
    ]
    products = units[1] @ (units[0] * energies[0][:, None]).T
    expected = np.sort(products, axis=1)[:, -10:].mean(axis=1) * energies[1]
    scores = NNGuideDetector(LinearHead(coef, INTERCEPT)).fit(X, y).score_samples(new)
    assert_allclose(scores, expected, rtol=1e-9)


@choices
def test_real_features(neighbors):
    data = load_cifar8_features()
    X, y, new = data.data[:300], data.target[:300], data.ood["far: digits"][:30]
    scores = (
        NNGuideDetector(data.head, neighbors=neighbors).fit(X, y).score_samples(new)
    )
    coef, intercept = np.asarray(data.head.coef, float), data.head.intercept
    args = X.astype(float), new.astype(float), coef, intercept
    assert_allclose(scores, expected_scores(*args, 10, neighbors), rtol=1e-5)


def test_parts_of_rows(monkeypatch, library, data):
    X, y, new, coef = data
    detector = NNGuideDetector(LinearHead(coef, INTERCEPT))
    rows = np.tile(new, (30, 1))
    whole = scored(library, detector, X, y, rows)
    monkeypatch.setattr(_nnguide, "_HELD", 1)
    monkeypatch.setattr(_guidance, "_HELD", 1)
    assert_allclose(scored(library, detector, X, y, rows), whole, rtol=1e-12)


@choices
@pytest.mark.parametrize("target", ["torch", "array_api_strict"])
def test_move_and_pickle(neighbors, target, data):
    module = pytest.importorskip(target)
    X, y, new, _ = data
    detector = NNGuideDetector(neighbors=neighbors).fit(X, y)
    moved = move_estimator(detector, module.asarray(X[:1]))
    scores = moved.score_samples(module.asarray(new))
    assert_allclose(np.asarray(scores), detector.score_samples(new), rtol=1e-9)
    back = pickle.loads(pickle.dumps(move_estimator(moved, "numpy")))
    assert_allclose(back.score_samples(new), detector.score_samples(new), rtol=1e-9)


def test_overflow_is_named(library):
    X = np.array([[1e38, 1.0], [1.0, 2e38], [3e38, 3e38]], dtype=np.float32)
    head = LinearHead([[1.0, 1.0], [1.0, -1.0]])
    with pytest.raises(ValueError, match=r"Scores, or .* overflow .*float32"):
        NNGuideDetector(head).fit(library.asarray(X), [0, 1, 1])


def test_neighbors_are_those_of_fit(data):
    X, y, new, coef = data
    detector = NNGuideDetector(LinearHead(coef, INTERCEPT)).fit(X, y)
    scores = detector.score_samples(new)
    detector.set_params(neighbors="cosine", n_neighbors=2)
    assert_array_equal(detector.score_samples(new), scores)


@pytest.mark.parametrize(
    "params",
    [
        *({"n_neighbors": value} for value in (0, 1.5, None)),
        *({"neighbors": value} for value in ("euclidean", None)),
        *({"head": value} for value in (None, "qda")),
    ],
    ids=repr,
)
def test_bad_parameters(params, data):
    with pytest.raises(InvalidParameterError, match=next(iter(params))):
        NNGuideDetector(**params).fit(*data[:2])
