"""Tests of conformal p-values, their guarantee, and what they can be put around."""

import copy
import pickle
from fractions import Fraction

import numpy as np
import oracles_meta
import pytest
from meta_members import Line, Odd, Weightless
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.estimator_checks import check_estimator

from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.metrics import CollapseWarning
from sklearn_collapse.ood import (
    ConformalDetector,
    DetectorEnsemble,
    MahalanobisDetector,
    NECODetector,
)
from sklearn_collapse.ood._split import split_rows
from sklearn_collapse.utils import move_estimator

METHODS = ("score_samples", "decision_function", "predict", "p_values", "predict_fdr")


def frozen_line():
    return FrozenEstimator(Line().fit(None))


def on_scores(scores, library=None, **options):
    """Detector with given calibration scores."""
    X = np.asarray(scores)[:, None]
    X = X if library is None else library.asarray(X)
    return ConformalDetector(frozen_line(), **options).fit(X)


@pytest.fixture
def data(rng):
    y = np.repeat([0, 1, 2], [60, 40, 30])[rng.permutation(130)]
    X = rng.normal(size=(130, 4)) * [1, 2, 0.5, 1] + 4 * np.eye(3, 4)[y] + 1
    return X, y, 3 * rng.normal(size=(25, 4)) + 1


# -- p-values and decisions ----------------------------------------------------------


@pytest.mark.parametrize("kind", ["distinct", "ties", "two values", "constant"])
@pytest.mark.parametrize("weighted", [False, True])
def test_p_values(library, kind, weighted, rng):
    scores = {
        "distinct": rng.normal(size=37),
        "ties": rng.integers(0, 9, 37).astype(float),
        "two values": rng.integers(0, 2, 37).astype(float),
        "constant": np.full(37, 2.5),
    }[kind]
    weights = rng.integers(0, 8, 37) / 2 if weighted else None
    new = np.r_[scores, scores.min() - 1, scores.max() + 1, rng.normal(size=20)]
    detector = ConformalDetector(frozen_line(), alpha=0.1)
    detector.fit(
        library.asarray(scores[:, None]),
        sample_weight=None if weights is None else library.asarray(weights),
    )
    found = detector.p_values(library.asarray(new[:, None]))
    assert library.owns(found)
    expected = oracles_meta.p_values(scores, new, weights)
    assert_allclose(library.to_numpy(found), expected, rtol=1e-14)
    assert detector.n_calibration_ == (37 if weights is None else weights.sum())
    kept = scores if weights is None else scores[weights > 0]
    assert_array_equal(library.to_numpy(detector.calibration_scores_), np.unique(kept))


ALPHAS = [0.01, 0.05, 0.07, 0.1, 0.29, 1 / 3, 0.5, 0.57, 0.93, 0.999]


@pytest.mark.parametrize("n", [19, 20, 99, 100])
@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("dtypes", [("float64",) * 2, ("float32",) * 2, None])
@pytest.mark.filterwarnings("ignore::sklearn_collapse.metrics.CollapseWarning")
def test_predict_decision_and_p_values_agree(library, n, discrete, dtypes, rng):
    """To the last bit, at ties, and where 29 / 100 is 0.29."""
    of_fit, of_rows = dtypes or ("float64", "float32")
    scores = rng.integers(0, 12, n) / 7 if discrete else rng.normal(size=n)
    new = np.r_[scores, np.nextafter(scores, -9), np.nextafter(scores, 9)]
    rows = library.asarray(new[:, None], of_rows)
    for alpha in ALPHAS:
        detector = ConformalDetector(frozen_line(), alpha=alpha)
        detector.fit(library.asarray(scores[:, None], of_fit))
        p, decision, predicted, given = (
            library.to_numpy(getattr(detector, name)(rows))
            for name in ("p_values", "decision_function", "predict", "score_samples")
        )
        assert_array_equal(predicted, np.where(p <= alpha, -1, 1))
        assert_array_equal(predicted, np.where(decision >= 0, 1, -1))
        assert_array_equal(given, new.astype(of_rows))
        assert p.dtype == np.float64
        assert decision.dtype == of_rows
        finite = np.isfinite(decision)
        near = given[finite] - detector.offset_
        assert_allclose(decision[finite], near, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("n", "alpha", "rank"),
    [(19, 0.05, 1), (99, 0.05, 5), (99, 0.29, 29), (100, 0.05, 5), (49, 0.1, 5)],
)
def test_offset_is_an_order_statistic(n, alpha, rank, rng):
    """Rows below the floor(alpha (n + 1))-th smallest calibration score are flagged."""
    scores = rng.normal(size=n)
    detector = on_scores(scores, alpha=alpha)
    low, high = np.quantile(scores, [0.25, 0.75], method="averaged_inverted_cdf")
    slack = 1e-6 * (high - low)
    assert detector.offset_ == pytest.approx(
        np.sort(scores)[rank - 1] - slack, rel=1e-12
    )
    at = np.sort(scores)[rank - 1]
    assert_array_equal(detector.predict([[at], [at - 2 * slack]]), [1, -1])


@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1e30])
def test_decisions_of_float32_rows_do_not_underflow(library, scale):
    """A threshold in float64 may be closer to a score than float32 can tell."""
    scores = scale * np.arange(1.0, 100.0)
    detector = on_scores(scores, library, alpha=0.05)
    just_below = scores[4] * (1 - np.array([1e-6, 1e-7, 1e-8]) * 9.8)
    rows = library.asarray(np.r_[just_below, scores][:, None], "float32")
    p, decision, predicted = (
        library.to_numpy(getattr(detector, name)(rows))
        for name in ("p_values", "decision_function", "predict")
    )
    assert_array_equal(predicted, np.where(p <= 0.05, -1, 1))
    assert_array_equal(predicted, np.where(decision >= 0, 1, -1))


def test_largest_numbers_have_a_threshold():
    scores = 1.7e308 * np.linspace(-1, 1, 99)
    detector = on_scores(scores, alpha=0.05)
    assert_array_equal(detector.predict(scores[:, None]) == -1, np.arange(99) < 4)
    plain = MahalanobisDetector()
    plain._set_offset(scores, None)
    assert np.isfinite(plain.offset_)


def test_rounding_makes_no_row_rarer(rng):
    """A row that repeats a calibration row, less some roundings, counts as equal."""
    scores = 1 + rng.random(199)
    detector = on_scores(scores)
    lower = scores * (1 - 64 * np.finfo(float).eps)
    assert_array_equal(
        detector.p_values(lower[:, None]), detector.p_values(scores[:, None])
    )


def test_infinite_scores():
    """Densities give them: such rows are as rare as they come."""
    # Rows are finite, their scores need not be.
    rows = np.array([[0.0], [50.0]])
    detector = on_scores(np.arange(99.0), alpha=0.05)
    detector.estimator_ = Infinite()
    assert_array_equal(detector.p_values(rows), [0.01, 0.01])
    assert_array_equal(detector.predict(rows), -1)
    detector = ConformalDetector(Infinite(), alpha=0.05, random_state=0)
    detector.fit(np.arange(200.0)[:, None])
    assert_array_equal(detector.decision_function(rows), 0)
    assert_array_equal(detector.predict(rows), 1)


class Infinite(Line):
    def score_samples(self, X):
        return np.full(len(X), -np.inf)


# -- too few rows --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alpha", "least"),
    [(0.05, 19), (0.1, 9), (0.01, 99), (0.3, 3), (0.7, 1), (1 / 3, 2)],
)
def test_too_few_calibration_rows(library, alpha, least):
    for n in range(max(1, least - 3), least + 3):
        scores = np.arange(float(n))
        far = library.asarray(np.array([[-1e9]]))
        if n >= least:
            detector = on_scores(scores, library, alpha=alpha)
            assert library.to_numpy(detector.predict(far))[0] == -1
            continue
        message = rf"{n} rows calibrate.*alpha={alpha}\. At least {least} are needed"
        with pytest.warns(CollapseWarning, match=message) as caught:
            detector = on_scores(scores, library, alpha=alpha)
        assert caught[0].filename == __file__
        assert detector.offset_ == -np.inf
        assert library.to_numpy(detector.predict(far))[0] == 1
        assert library.to_numpy(detector.decision_function(far))[0] == np.inf
        assert library.to_numpy(detector.predict_fdr(far))[0] == 1


# -- the guarantee -------------------------------------------------------------------


def rejects(hits, n, p, level=1e-5):
    """Whether so many hits are too many for probability p."""
    return oracles_meta.binomial_tail(n, p, hits) < level


@pytest.mark.parametrize("kind", ["continuous", "discrete", "classes", "wide"])
def test_false_alarms(kind):
    """Over fresh data each time: at most alpha, and no less than it should be."""
    rng, alpha, trials, m = np.random.default_rng(0), 0.1, 120, 50
    n, d = {"wide": (60, 40)}.get(kind, (98, 2))
    rates = []
    for seed in range(trials):
        X, y = rng.normal(size=(n + m, d)), None
        if kind == "discrete":
            X = np.rint(X)
        elif kind == "classes":
            y = rng.integers(0, 3, n + m)
            X += 5 * y[:, None]
        options = {"alpha": alpha, "calibration_size": 0.5, "random_state": seed}
        detector = ConformalDetector(MahalanobisDetector(device="cpu"), **options)
        detector.fit(X[:n], None if y is None else y[:n])
        rates.append(np.mean(detector.predict(X[n:]) == -1))
    n_cal = detector.n_calibration_
    exact = np.floor(alpha * (n_cal + 1)) / (n_cal + 1)
    # The rate given a calibration set is a beta variable, alarms are binomial.
    share = 1 / (n_cal + 2)
    error = np.sqrt(exact * (1 - exact) * (share + (1 - share) / m) / trials)
    assert np.mean(rates) < exact + 4 * error < 1.4 * alpha
    if kind != "discrete":  # with ties it may be less
        assert np.mean(rates) > exact - 4 * error
    # What training rows promise is far off where n is near d.
    if kind == "wide":
        naive = MahalanobisDetector(contamination=alpha).fit(X[:n])
        assert np.mean(naive.predict(rng.normal(size=(500, d))) == -1) > 3 * alpha


def test_false_alarms_with_classes_of_a_single_row():
    """Rare classes score lowest and are met as often as their rows calibrate."""
    rng, n, alpha, trials = np.random.default_rng(0), 100, 0.1, 3000
    shares = np.repeat([0.9, 0.01], [1, 10])
    hits = 0
    for seed in range(trials):
        y = rng.choice(11, size=n + 1, p=shares)
        rows = (rng.normal(size=n + 1) - 10 * y)[:, None]
        # As fit does, without the validation of so many small arrays.
        drawn, _ = split_rows(rows[:n], y[:n], None, 0.2, np.random.RandomState(seed))
        scores = rows[drawn.rows, 0]
        hits += 1 + np.sum(scores <= rows[n, 0]) <= alpha * (1 + len(scores))
    # Drawn class by class, with single rows left to be fitted on: 0.12.
    exact = np.floor(alpha * 21) / 21
    error = np.sqrt(exact * (1 - exact) / trials)
    assert abs(hits / trials - exact) < 4 * error < 0.022


@pytest.mark.parametrize("discrete", [False, True])
def test_false_alarms_are_binomial(discrete):
    """One fresh row for each calibration set: independent alarms."""
    rng, n, trials = np.random.default_rng(1), 9, 1000
    found = []
    for _ in range(trials):
        scores = rng.normal(size=(n + 1, 1))
        scores = np.rint(2 * scores) if discrete else scores
        found.append(on_scores(scores[:n, 0], alpha=0.5).p_values(scores[n:])[0])
    for alpha in (0.1, 0.2, 0.35, 0.5, 0.9):
        hits = int(np.sum(np.array(found) <= alpha))
        assert oracles_meta.binomial_tail(trials, alpha, hits) > 1e-4
        exact = np.floor(alpha * (n + 1)) / (n + 1)
        if not discrete:
            assert oracles_meta.binomial_tail(trials, 1 - exact, trials - hits) > 1e-4


@pytest.mark.parametrize("discrete", [False, True])
def test_false_discoveries(discrete):
    """Benjamini-Hochberg: at most alpha times the share of inliers in the batch."""
    rng, alpha, trials = np.random.default_rng(2), 0.2, 300
    inliers, outliers = 40, 10
    shares, found = [], []
    for _ in range(trials):
        scores = rng.normal(size=200 + inliers + outliers)
        scores[-outliers:] -= 3
        scores = np.rint(4 * scores) if discrete else scores
        detector = on_scores(scores[:200], alpha=alpha)
        flagged = detector.predict_fdr(scores[200:, None]) == -1
        shares.append(flagged[:inliers].sum() / max(1, flagged.sum()))
        found.append(flagged[inliers:].mean())
    bound = alpha * inliers / (inliers + outliers)
    error = np.std(shares) / np.sqrt(trials)
    assert np.mean(shares) < bound + 4 * error
    assert np.mean(found) > 0.6
    if not discrete:  # it is used up
        assert np.mean(shares) > bound - 4 * error - 0.02


@pytest.mark.parametrize("alpha", ["1/20", "1/10", "29/100", "1/3"])
def test_benjamini_hochberg(library, alpha, rng):
    alpha = Fraction(alpha)
    for _ in range(20):
        scores = rng.normal(size=99)
        new = rng.normal(size=rng.integers(1, 40)) - 2
        detector = on_scores(scores, library, alpha=float(alpha))
        rows = library.asarray(new[:, None])
        found = detector.predict_fdr(rows)
        assert library.owns(found)
        p = [Fraction(1 + int(np.sum(scores <= s)), 100) for s in new]
        expected = oracles_meta.benjamini_hochberg(p, alpha)
        assert_array_equal(library.to_numpy(found), np.where(expected, -1, 1))
        assert (
            library.to_numpy(found).dtype
            == library.to_numpy(detector.predict(rows)).dtype
        )


def test_benjamini_hochberg_at_the_boundary():
    """p = alpha for all rows of a batch: all are called outliers, whatever rounding."""
    for n, rank in ((99, 5), (99, 29), (99, 7), (48, 7)):
        detector = on_scores(np.arange(float(n)), alpha=rank / (n + 1))
        for m in range(1, 40):
            rows = np.full((m, 1), rank - 1.5)
            assert_array_equal(detector.predict_fdr(rows), -1)


def test_fdr_is_a_batch_method():
    detector = on_scores(np.arange(99.0), alpha=0.05)
    lone = np.array([[-1.0]])
    assert detector.predict_fdr(lone)[0] == -1
    crowd = np.vstack([lone, np.full((40, 1), 50.0)])
    assert detector.predict_fdr(crowd)[0] == 1
    assert detector.predict(crowd)[0] == -1


def test_real_features():
    data = load_cifar8_features()
    for alpha in (0.05, 0.2):
        for detector in (MahalanobisDetector(), NECODetector(7)):
            conformal = ConformalDetector(detector, alpha=alpha, random_state=0)
            conformal.fit(data.data, data.target)
            n, m = conformal.n_calibration_, len(data.X_test)
            flagged = np.mean(conformal.predict(data.X_test) == -1)
            # Both the calibration set and the test set vary.
            error = np.sqrt(alpha * (1 - alpha) * (1 / n + 1 / m))
            assert abs(flagged - alpha) < 4 * error
            for name in ("far: texture", "far: digits", "far: noise"):
                found = np.mean(conformal.predict(data.ood[name]) == -1)
                assert found > flagged


# -- what is fitted and what calibrates ----------------------------------------------


def test_default_is_mahalanobis(data):
    X, y, new = data
    detector = ConformalDetector(random_state=0).fit(X, y)
    same = ConformalDetector(MahalanobisDetector(), random_state=0).fit(X, y)
    assert detector.estimator is None
    assert isinstance(detector.estimator_, MahalanobisDetector)
    assert_array_equal(detector.p_values(new), same.p_values(new))


def test_rows_are_fitted_or_calibrate(data):
    X, y, _ = data
    y[:1] = 3  # a class with one row
    member = Line()
    detector = ConformalDetector(member, random_state=0).fit(X, y)
    fitted = detector.estimator_
    assert not hasattr(member, "X_")
    assert {tuple(row) for row in fitted.X_} < {tuple(row) for row in X}
    assert fitted.weights_ is None
    left = {tuple(row) for row in X} - {tuple(row) for row in fitted.X_}
    assert_array_equal(
        detector.calibration_scores_, np.unique([row[0] for row in left])
    )
    assert detector.n_calibration_ == len(left) == 26
    assert_array_equal(
        np.sort(fitted.y_), np.sort(y[[tuple(r) not in left for r in X]])
    )
    assert_array_equal(detector.classes_, [0, 1, 2, 3])


def test_seed(data):
    X, y, new = data
    a, b, c = (
        ConformalDetector(random_state=seed).fit(X, y).score_samples(new)
        for seed in (0, 0, 1)
    )
    assert_array_equal(a, b)
    assert np.any(a != c)


def test_frozen(library, data):
    """All rows calibrate, and nothing is fitted."""
    X, y, new = data
    inner = MahalanobisDetector().fit(library.asarray(X), y)
    detector = ConformalDetector(FrozenEstimator(inner)).fit(library.asarray(new))
    assert detector.estimator_.estimator is inner
    scores = library.to_numpy(inner.score_samples(library.asarray(new)))
    assert_array_equal(
        library.to_numpy(detector.calibration_scores_), np.unique(scores)
    )
    rows = library.asarray(X)
    expected = oracles_meta.p_values(
        scores, library.to_numpy(inner.score_samples(rows))
    )
    assert_allclose(library.to_numpy(detector.p_values(rows)), expected, rtol=1e-12)
    assert not hasattr(detector, "classes_")


def test_frozen_unfitted(data):
    detector = ConformalDetector(FrozenEstimator(MahalanobisDetector()))
    with pytest.raises(NotFittedError, match="frozen is not fitted"):
        detector.fit(data[0])


@pytest.mark.parametrize("weighted", [False, True])
def test_calibrate_replaces(library, weighted, data, rng):
    X, y, new = data
    weights = rng.integers(0, 4, len(new)) if weighted else None
    detector = ConformalDetector(alpha=0.2, random_state=0).fit(library.asarray(X), y)
    before = library.to_numpy(detector.score_samples(library.asarray(X)))
    result = detector.calibrate(
        library.asarray(new),
        sample_weight=None if weights is None else library.asarray(weights),
    )
    assert result is detector
    after = library.to_numpy(detector.score_samples(library.asarray(X)))
    assert_array_equal(before, after)
    scores = library.to_numpy(detector.score_samples(library.asarray(new)))
    expected = oracles_meta.p_values(scores, after, weights)
    p = library.to_numpy(detector.p_values(library.asarray(X)))
    assert_allclose(p, expected, rtol=1e-12)


def test_outlier_label(data):
    X, y, new = data
    rows, labels = np.vstack([X, new]), np.append(y, np.full(len(new), -1))
    alone = ConformalDetector(random_state=0).fit(X, y)
    detector = ConformalDetector(outlier_label=-1, random_state=0).fit(rows, labels)
    assert_array_equal(detector.classes_, [0, 1, 2])
    assert_array_equal(detector.p_values(rows), alone.p_values(rows))
    frozen = ConformalDetector(frozen_line(), outlier_label=-1).fit(rows, labels)
    assert_array_equal(frozen.calibration_scores_, np.unique(X[:, 0]))


def test_labels_of_outliers_warn(data):
    X, y, _ = data
    with pytest.warns(UserWarning, match="two classes") as caught:
        ConformalDetector(IsolationForest(random_state=0)).fit(X, np.where(y, 1, -1))
    assert caught[0].filename == __file__


def test_weights_are_copies(data, rng):
    X, y, new = data
    weights = rng.integers(0, 4, len(X))
    index = np.repeat(np.arange(len(X)), weights)
    a = ConformalDetector(random_state=0).fit(X, y, weights)
    b = ConformalDetector(random_state=0).fit(X[index], y[index])
    assert_allclose(a.p_values(new), b.p_values(new), rtol=1e-12)
    assert a.n_calibration_ == b.n_calibration_
    a = ConformalDetector(alpha=0.2, random_state=0).fit(X, y, weights / 4)
    assert a.n_calibration_ < b.n_calibration_ / 3


# -- any estimator -------------------------------------------------------------------

OTHERS = {
    "forest": IsolationForest(n_estimators=10, random_state=0),
    "svm": OneClassSVM(),
    "lof": LocalOutlierFactor(n_neighbors=5, novelty=True),
    "envelope": EllipticEnvelope(random_state=0),
    "mixture": GaussianMixture(2, random_state=0),
    "pipeline": make_pipeline(StandardScaler(), NECODetector(2)),
    "ensemble": DetectorEnsemble(),
    "nested": ConformalDetector(random_state=0),
}


@pytest.mark.parametrize("name", OTHERS)
def test_around_any_detector(name, data):
    X, y, new = data
    detector = ConformalDetector(OTHERS[name], alpha=0.1, random_state=0).fit(X, y)
    inner = detector.estimator_
    assert_array_equal(detector.score_samples(new), inner.score_samples(new))
    p = detector.p_values(new)
    assert_array_equal(detector.predict(new), np.where(p <= 0.1, -1, 1))
    assert p.min() < p.max()
    assert_array_equal(detector.classes_, [0, 1, 2])
    assert not hasattr(ConformalDetector(OTHERS[name]).fit(X), "classes_")


def test_numpy_detectors_answer_in_the_library_of_the_rows(library, data):
    X, _, new = data
    detector = ConformalDetector(Weightless(), random_state=0)
    detector.fit(library.asarray(X))
    rows = library.asarray(new)
    for name in METHODS:
        assert library.owns(getattr(detector, name)(rows))
    plain = ConformalDetector(Weightless(), random_state=0).fit(X)
    p = library.to_numpy(detector.p_values(rows))
    assert_array_equal(p, plain.p_values(new))


@pytest.mark.parametrize("name", ["forest", "svm"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_fails_no_check_that_the_estimator_passes(name):
    def failed(estimator):
        results = check_estimator(estimator, on_skip=None, on_fail=None)
        return {r["check_name"] for r in results if r["status"] == "failed"}

    inner = OTHERS[name]
    around = ConformalDetector(inner, random_state=0)
    assert failed(around) <= failed(inner)


@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_data_frames(frames, data):
    """Members see the names: one picks columns by them, one was fitted with them."""
    frames = pytest.importorskip(frames)
    X, y, new = data
    names = ["a", "b", "c", "d"]
    frame, frame_new = (
        frames.DataFrame({k: v[:, j] for j, k in enumerate(names)}) for v in (X, new)
    )
    picks = make_pipeline(
        ColumnTransformer([("few", StandardScaler(), ["d", "a"])]),
        MahalanobisDetector(),
    )
    detector = ConformalDetector(picks, random_state=0).fit(frame, y)
    assert_array_equal(detector.feature_names_in_, names)
    few = make_pipeline(StandardScaler(), MahalanobisDetector())
    few = clone(few).fit(*_training_rows(X, y))
    expected = few.score_samples(new[:, [3, 0]])
    assert_allclose(detector.score_samples(frame_new), expected, rtol=1e-9)
    frozen = FrozenEstimator(MahalanobisDetector().fit(frame, y))
    detector = ConformalDetector(frozen).fit(frame_new)
    detector.calibrate(frame_new).predict(frame)
    for method in METHODS:
        with pytest.raises(ValueError, match="must be in the same order"):
            getattr(detector, method)(frame_new[names[::-1]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        detector.predict(new)


def _training_rows(X, y):
    """Columns d and a of the rows that the default split fits on."""
    fitted = ConformalDetector(Line(), random_state=0).fit(X, y).estimator_
    return fitted.X_[:, [3, 0]], fitted.y_


# -- weights and metadata ------------------------------------------------------------


def test_weights_that_the_estimator_does_not_take(data):
    X, y, _ = data
    message = "'estimator' of ConformalDetector is a Weightless, whose fit takes no"
    with pytest.raises(ValueError, match=message):
        ConformalDetector(Weightless()).fit(X, y, np.ones(len(X)))
    frozen = FrozenEstimator(Weightless().fit(X))
    weights = np.arange(len(X)) % 3
    detector = ConformalDetector(frozen).fit(X, y, weights)
    assert detector.n_calibration_ == weights.sum()


def test_metadata_routing(data):
    X, y, new = data
    weights = np.arange(len(X)) % 3
    expected = ConformalDetector(random_state=0).fit(X, y, weights).p_values(new)
    with config_context(enable_metadata_routing=True):
        asking = MahalanobisDetector().set_fit_request(sample_weight=True)
        detector = ConformalDetector(asking, random_state=0)
        fitted = clone(detector).fit(X, y, sample_weight=weights)
        assert_array_equal(fitted.p_values(new), expected)
        pipeline = make_pipeline(
            "passthrough", clone(detector).set_fit_request(sample_weight=True)
        ).fit(X, y, sample_weight=weights)
        assert_array_equal(pipeline[-1].p_values(new), expected)
        unsaid = ConformalDetector(MahalanobisDetector(), random_state=0)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            unsaid.fit(X, y, sample_weight=weights)
        line = Line().set_fit_request(sample_weight=False)
        fitted = ConformalDetector(line, random_state=0).fit(X, y, weights)
        assert fitted.estimator_.weights_ is None
        inside = make_pipeline(StandardScaler(), Line())
        inside[0].set_fit_request(sample_weight=False)
        inside[1].set_fit_request(sample_weight=True)
        fitted = ConformalDetector(inside, random_state=0).fit(X, y, weights)
        assert fitted.estimator_[-1].weights_ is not None
        detector.fit(X, y)  # nothing to say without weights


# -- errors, and what stays ------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        *({"alpha": v} for v in (0, 1, -0.1, 2, None, "5%", np.nan)),
        *({"calibration_size": v} for v in (0, 1, 1.5, None, np.nan)),
        *({"estimator": v} for v in (3, "mahalanobis", LocalOutlierFactor())),
        *({"random_state": v} for v in ("x", -1)),
        {"outlier_label": [1]},
    ],
    ids=repr,
)
def test_bad_parameters(params, data):
    (name,) = params
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter"):
        ConformalDetector().set_params(**params).fit(*data[:2])


@pytest.mark.parametrize(
    ("what", "message"),
    [("nan", "Odd gives NaN, first in row 3"), ("column", r"one score per row.*26, 1")],
)
def test_scores_that_are_none(what, message, data):
    X, y, _ = data
    with pytest.raises(ValueError, match=message):
        ConformalDetector(Odd(what), random_state=0).fit(X, y)


def test_few_rows(library, data):
    X, _, _ = data
    with pytest.raises(ValueError, match=r"2 sample\(s\).*minimum of 3"):
        ConformalDetector().fit(library.asarray(X[:2]))
    with pytest.raises(ValueError, match=r"2 sample.*without those of zero weight"):
        ConformalDetector().fit(library.asarray(X[:4]), sample_weight=[1, 0, 0, 1])
    with pytest.warns(CollapseWarning, match="1 rows calibrate"):
        ConformalDetector().fit(library.asarray(X[:3]))


@pytest.mark.parametrize("method", [*METHODS, "calibrate"])
def test_unfitted_and_other_rows(library, method, data):
    X, y, _ = data
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(ConformalDetector(), method)(library.asarray(X))
    detector = ConformalDetector(random_state=0).fit(library.asarray(X), y)
    with pytest.raises(ValueError, match=r"3 features.* expecting 4 features"):
        getattr(detector, method)(library.asarray(X[:, :3]))
    bad = X.copy()
    bad[57, 2] = np.nan
    with pytest.raises(ValueError, match=r"X contains NaN.*row 57, column 2"):
        getattr(detector, method)(library.asarray(bad))


@pytest.mark.parametrize("method", [*METHODS, "calibrate"])
def test_other_library(method, data):
    torch = pytest.importorskip("torch")
    X, y, _ = data
    message = rf"ConformalDetector\.{method}\(\) must use the same namespace"
    for fitted, asked in [(X, torch.asarray(X)), (torch.asarray(X), X)]:
        detector = ConformalDetector(random_state=0).fit(fitted, y)
        with pytest.raises(ValueError, match=message):
            getattr(detector, method)(asked)


def test_failing_changes_nothing(data):
    X, y, new = data
    detector = ConformalDetector(random_state=0).fit(X, y)
    expected, state = detector.p_values(new), copy.copy(vars(detector))
    bad = X.copy()
    bad[7, 2] = np.inf
    for call in (
        lambda: detector.fit(bad, y),
        lambda: detector.fit(X, y[:-1]),
        lambda: detector.fit(X[:2], y[:2]),
        lambda: detector.calibrate(bad),
        lambda: detector.calibrate(X, np.zeros(len(X))),
        lambda: detector.set_params(alpha=2).calibrate(X),
    ):
        with pytest.raises(ValueError, match=r"."):
            call()
        detector.set_params(alpha=0.05)
        assert vars(detector).keys() == state.keys()
        assert_array_equal(detector.p_values(new), expected)


def test_fit_predict_and_copies(library, data):
    X, y, new = data
    rows = library.asarray(X)
    detector = ConformalDetector(random_state=0)
    predicted = library.to_numpy(detector.fit_predict(rows, y))
    assert_array_equal(predicted, library.to_numpy(detector.predict(rows)))
    expected = library.to_numpy(detector.p_values(library.asarray(new)))
    for twin in (pickle.loads(pickle.dumps(detector)), copy.deepcopy(detector)):
        assert_array_equal(
            library.to_numpy(twin.p_values(library.asarray(new))), expected
        )
    moved = move_estimator(detector, "numpy")
    assert_allclose(moved.p_values(new), expected, rtol=1e-12)
    for method in METHODS:
        assert isinstance(getattr(moved, method)(new), np.ndarray)


def test_nested_parameters():
    detector = ConformalDetector(make_pipeline(StandardScaler(), NECODetector()))
    detector.set_params(estimator__necodetector__n_components=3)
    assert clone(detector).estimator[-1].n_components == 3
