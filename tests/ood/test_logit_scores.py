"""Tests of entropy, GEN, KL matching and margin beyond what holds for every score."""

import numpy as np
import oracles
import oracles_logits
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from sklearn_collapse import LinearHead
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import LogitDetector
from sklearn_collapse.utils import _arrays

dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])
SURE = [5.0, 20.0, 60.0, 85.0]  # margins that float32 holds


@pytest.fixture
def logits(rng):
    """Training logits, some rows sure and some not, and new ones."""
    X = rng.normal(size=(90, 5)) + 4 * np.eye(5)[np.arange(90) % 5]
    return X, 2 * rng.normal(size=(40, 5))


def scores(library, method, X, new, dtype="float64", **options):
    detector = LogitDetector(method, **options).fit(library.asarray(X, dtype))
    found = detector.score_samples(library.asarray(new, dtype))
    assert library.owns(found)
    return library.to_numpy(found)


# -- very sure rows --------------------------------------------------------------


def sure_rows(margins, n_classes=4):
    rest = np.linspace(0, 1, n_classes - 1)
    return np.array([[m, *rest] for m in margins] + [[*rest, m] for m in margins])


@dtypes
def test_entropy_of_sure_rows_keeps_its_digits(library, dtype):
    """Probabilities are 1 to the last digit, entropies are not 0."""
    X = sure_rows([*SURE, *([300.0, 600.0] if dtype == "float64" else [])])
    found = scores(library, "entropy", X, X, dtype, contamination=0.5)
    expected = oracles_logits.by_rows(
        oracles_logits.negative_entropy, X, 1.0, digits=400
    )
    assert_allclose(found, expected, rtol=100 * np.finfo(dtype).eps)
    assert len(set(found)) == len(X) // 2
    # Where the others underflow there is nothing left to tell.
    far = scores(library, "entropy", X, sure_rows([1e4, 1e6]), dtype)
    assert_array_equal(far, 0)


@dtypes
@pytest.mark.parametrize("n_top", [1, 2, 3, 100])
def test_gen_of_sure_rows_keeps_its_digits(library, dtype, n_top):
    """Probabilities that underflow have powers that do not."""
    X = sure_rows([*SURE, 150.0, 400.0, 700.0])
    found = scores(library, "gen", X, X, dtype, n_top=n_top)
    expected = oracles_logits.by_rows(oracles_logits.generalized, X, 1.0, 0.1, n_top)
    assert_allclose(found, expected, rtol=1000 * np.finfo(dtype).eps)
    assert np.abs(found).min() > 0
    far = scores(library, "gen", X, sure_rows([1e5, 1e8]), dtype, n_top=n_top)
    assert_array_equal(far, 0)


@dtypes
def test_klm_of_sure_rows(library, dtype):
    X = sure_rows([1.0, 2.0, *SURE])
    found = scores(library, "klm", X, X, dtype)
    means = oracles_logits.mean_softmax(X.astype(dtype)).values()
    expected = oracles_logits.matching(X.astype(dtype), means)
    assert_allclose(found, expected, rtol=10 * np.finfo(dtype).eps, atol=1e-15)


@dtypes
@pytest.mark.parametrize("method", ["entropy", "gen", "klm", "margin"])
def test_extreme_logits_are_finite(library, method, dtype):
    """No 0 log 0, no difference of infinities."""
    large = float(np.finfo(dtype).max) / 4
    X = np.array([[large, -large, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, -large]])
    for temperature in (1.0, 1e-30, 1e-300, 1e30):
        found = scores(library, method, X, X, dtype, temperature=temperature)
        assert np.isfinite(found).all()
        # A tie between two classes, and between three.
        if method == "entropy" and temperature == 1:
            assert_allclose(found, [0, -np.log(3), -np.log(2)], rtol=1e-6)
        if method == "margin":
            assert_allclose(found, [large, 0, 0])


@pytest.mark.parametrize("method", ["entropy", "gen", "klm", "margin"])
def test_a_constant_added_to_all_logits(library, method, logits):
    X, new = logits
    shift = np.arange(len(new))[:, None] * 8.0
    before = scores(library, method, X, new)
    after = scores(library, method, X, new + shift)
    assert_allclose(after, before, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("method", ["energy", "max_logit"])
def test_a_constant_counts_for_the_others(library, method, logits):
    X, new = logits
    before, after = (scores(library, method, X, v) for v in (new, new + 3))
    assert_allclose(after, before + 3)


@pytest.mark.parametrize("method", ["entropy", "gen", "klm", "msp"])
def test_temperature_is_a_unit(library, method, logits):
    X, new = logits
    before = scores(library, method, X, new, temperature=1.0)
    after = scores(library, method, 7.0 * X, 7.0 * new, temperature=7.0)
    assert_allclose(after, before, rtol=1e-11, atol=1e-13)


# -- GEN -------------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize(("gamma", "n_top"), [(0.1, 3), (0.5, 1), (1, 2), (0.01, 5)])
def test_gen(library, dtype, gamma, n_top, logits):
    X, new = (v.astype(dtype) for v in logits)
    options = {"gamma": gamma, "n_top": n_top, "temperature": 1.5}
    found = scores(library, "gen", X, new, dtype, **options)
    expected = oracles_logits.by_rows(
        oracles_logits.generalized, new, 1.5, gamma, n_top
    )
    assert_allclose(found, expected, rtol={"float64": 1e-12, "float32": 1e-5}[dtype])


def test_gen_as_published(logits):
    """The sum of the authors' code over the M largest probabilities."""
    X, new = logits
    shares = np.exp(new) / np.exp(new).sum(axis=1, keepdims=True)
    shares = np.sort(shares, axis=1)[:, -3:]
    expected = -np.sum(shares**0.1 * (1 - shares) ** 0.1, axis=1)
    found = LogitDetector("gen", n_top=3).fit(X).score_samples(new)
    assert_allclose(found, expected, rtol=1e-12)


def test_gen_of_more_probabilities_than_there_are(logits):
    X, new = logits
    found = [LogitDetector("gen", n_top=m).fit(X).score_samples(new) for m in (5, 6)]
    assert_array_equal(*found)
    assert np.any(LogitDetector("gen", n_top=4).fit(X).score_samples(new) != found[0])


def test_gen_of_many_classes(rng):
    """Beyond the largest ones a partial sort leaves most out."""
    X = rng.normal(size=(30, 700))
    found = LogitDetector("gen", n_top=100).fit(X).score_samples(X)
    shares = np.sort(np.exp(X) / np.exp(X).sum(axis=1, keepdims=True), axis=1)
    shares = shares[:, -100:]
    assert_allclose(found, -np.sum((shares * (1 - shares)) ** 0.1, axis=1))


# -- KL matching -----------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_klm(library, dtype, temperature, weighted, logits):
    X, new = (v.astype(dtype) for v in logits)
    weights = np.arange(len(X)) % 3 if weighted else None
    detector = LogitDetector("klm", temperature=temperature)
    detector.fit(library.asarray(X), None, weights)
    means = oracles_logits.mean_softmax(X, temperature, weights)
    assert list(means) == list(range(5))
    learned = detector.mean_probabilities_
    assert library.owns(learned)
    assert_allclose(library.to_numpy(learned), list(means.values()), rtol=1e-12)
    expected = oracles_logits.matching(new, means.values(), temperature)
    found = library.to_numpy(detector.score_samples(library.asarray(new)))
    assert found.dtype == dtype
    assert_allclose(found, expected, rtol=10 * np.finfo(dtype).eps, atol=1e-14)


def test_klm_is_never_above_zero(library, rng):
    """Rows that are a mean themselves: two sums agree but for rounding."""
    X = np.repeat(rng.normal(size=(6, 6)) + 3 * np.eye(6), 2, axis=0)
    found = scores(library, "klm", X, np.repeat(X, 20, axis=0))
    assert_allclose(found, 0, atol=1e-14)
    assert found.max() <= 0


def test_klm_leaves_out_classes_that_no_row_is_predicted_as(library, logits):
    """Whatever the labels say."""
    X, new = logits
    X = X - 50 * np.eye(5)[2]
    head = LinearHead(np.eye(5))
    detector = LogitDetector("klm", head=head)
    detector.fit(library.asarray(X), np.full(len(X), 2))
    means = oracles_logits.mean_softmax(X)
    assert list(means) == [0, 1, 3, 4]
    assert detector.mean_probabilities_.shape == (4, 5)
    expected = oracles_logits.matching(new, means.values())
    found = library.to_numpy(detector.score_samples(library.asarray(new)))
    assert_allclose(found, expected, rtol=1e-12)
    # A row that is sure of the class that is missing is far from all.
    assert detector.score_samples(library.asarray(20 * np.eye(5)[2:3]))[0] < -10


def test_klm_of_means_that_are_zero(library):
    """They count as the smallest normal number."""
    X = np.array([[0.0, -2000.0, -2000.0], [-2000.0, 0.0, -2000.0]])
    new = np.array([[0.0, -2000.0, 0.0], [0.0, -2000.0, -2000.0], [0.0, 0.0, 0.0]])
    found = scores(library, "klm", X, new)
    zero = np.log(np.finfo(float).tiny)
    expected = [0.5 * zero + np.log(2), 0, 2 / 3 * zero + np.log(3)]
    assert_allclose(found, expected, rtol=1e-12)


def test_klm_on_blocks(library, logits, monkeypatch):
    X, new = (np.vstack([v + k / 7 for k in range(9)]) for v in logits)
    weights = 1.0 + np.arange(len(X)) % 3

    def both():
        detector = LogitDetector("klm").fit(library.asarray(X), None, weights)
        return library.to_numpy(detector.score_samples(library.asarray(new)))

    whole = both()
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)
    assert_allclose(both(), whole, rtol=1e-9, atol=1e-13)


def test_klm_elsewhere(logits, monkeypatch):
    """Main memory stands for a GPU."""
    torch = pytest.importorskip("torch")
    X, new = logits
    expected = LogitDetector("klm").fit(X).score_samples(new)
    monkeypatch.setattr(_arrays, "gpu_for", lambda device, work: torch.empty(0))
    detector = LogitDetector("klm").fit(X)
    assert isinstance(detector.mean_probabilities_, np.ndarray)
    assert_allclose(detector.score_samples(new), expected, rtol=1e-9)


def test_klm_needs_its_own_fit(logits):
    X, new = logits
    detector = LogitDetector().fit(X).set_params(method="klm")
    with pytest.raises(NotFittedError, match=r"another method.*Call fit"):
        detector.score_samples(new)
    detector.fit(X).set_params(method="energy").fit(X)
    assert not hasattr(detector, "mean_probabilities_")


def test_klm_without_digits_is_named(library):
    bad = np.ones((5, 2))
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"X contains NaN.*row 3, column 1"):
        scores(library, "klm", bad, bad)
    head = LinearHead([[1e30, 1e30], [1.0, 0.0]])
    X = library.asarray(np.full((3, 2), 1e30), "float32")
    with pytest.raises(ValueError, match=r"logits overflow .*float32"):
        LogitDetector("klm", head=head).fit(X)


def test_klm_of_a_classifier(library, logits):
    X, new = logits
    y = np.arange(len(X)) % 5
    model = LogisticRegression().fit(X, y)
    means = oracles_logits.mean_softmax(model.decision_function(X)).values()
    expected = oracles_logits.matching(model.decision_function(new), means)
    detector = LogitDetector("klm", head=LogisticRegression())
    detector.fit(library.asarray(X), y)
    found = library.to_numpy(detector.score_samples(library.asarray(new)))
    assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.parametrize("method", ["entropy", "gen", "klm", "margin"])
def test_bundled_features(method):
    """AUROC by way of NumPy, float64, on every set."""
    bunch = load_cifar8_features()
    detector = LogitDetector(method, head=bunch.head).fit(bunch.data)

    def expected(rows):
        logits = rows.astype(float) @ bunch.coef.T.astype(float) + bunch.intercept
        if method == "margin":
            return np.diff(np.sort(logits, axis=1)[:, -2:], axis=1)[:, 0]
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        if method == "gen":
            return -np.sum((p * (1 - p)) ** 0.1, axis=1)
        if method == "entropy":
            return np.sum(p * np.log(p), axis=1)
        means = np.array(list(bunch_means.values()))
        return -np.min([np.sum(p * np.log(p / d), axis=1) for d in means], axis=0)

    logits = bunch.data.astype(float) @ bunch.coef.T.astype(float) + bunch.intercept
    bunch_means = oracles_logits.mean_softmax(logits) if method == "klm" else {}
    inside = detector.score_samples(bunch.X_test)
    assert_allclose(inside, expected(bunch.X_test), rtol=1e-3, atol=1e-5)
    for rows in bunch.ood.values():
        found = oracles.auroc(inside.tolist(), detector.score_samples(rows).tolist())
        wanted = oracles.auroc(expected(bunch.X_test).tolist(), expected(rows).tolist())
        assert found == pytest.approx(wanted, abs=1e-4)
        assert 0.6 < found < 0.95
