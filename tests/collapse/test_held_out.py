"""Tests of NeuralCollapseScorer.score, the criterion on rows not fitted on."""

import math

import numpy as np
import oracles
import oracles_collapse
import pytest
from numpy.testing import assert_allclose

from sklearn_collapse import LinearHead
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.metrics import METRICS, CollapseWarning

CRITERIA = [
    name
    for name in METRICS
    if METRICS[name].family == "collapse"
    and METRICS[name].needs & {"moments", "unit_moments", "rows"}
]
DIRECTIONS = ["class_separation", "tolerance", "coding_rate_reduction"]
FROM_MOMENTS = [name for name in CRITERIA if "moments" in METRICS[name].needs]
WEIGHTINGS = [None, "balanced"]
D = 4
W = np.array([[1.0, 0.2, 0.0, -0.5], [-0.3, 1.0, 0.1, 0.0], [0.0, -1.0, 0.4, 0.8]])
B = np.array([0.1, -0.2, 0.3])
CLASSES = np.arange(3)


def make_rows(counts, seed=0, spread=1.0, offset=1.0):
    """Rows about three fixed class means, in random order."""
    means = np.random.default_rng(42).normal(size=(3, D)) * 1.5 + offset
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(43).normal(size=(D, D))
    y = rng.permutation(np.repeat(CLASSES, counts))
    return means[y] + spread * rng.normal(size=(len(y), D)) @ mix, y


def make_scorer(criterion, class_weight=None):
    head = LinearHead(W, B, classes=CLASSES)
    return NeuralCollapseScorer(criterion, head=head, class_weight=class_weight)


def sign(criterion):
    return {"higher": 1, "lower": -1}[METRICS[criterion].direction]


def expected(criterion, X_train, y_train, X, y, class_weight=None):
    """Score by the oracle."""
    oracle = getattr(oracles_collapse, f"held_out_{criterion}")
    head = (W, B) if criterion == "nc4_agreement" else ()
    arguments = (X_train, y_train, X, y, *head)
    return sign(criterion) * oracle(*arguments, class_weight=class_weight)


def fit(criterion, counts=(40, 25, 15), class_weight=None):
    X, y = make_rows(counts)
    return make_scorer(criterion, class_weight).fit(X, y), X, y


# -- against the oracles --------------------------------------------------------------


@pytest.mark.parametrize("class_weight", WEIGHTINGS)
@pytest.mark.parametrize("criterion", CRITERIA)
def test_score_of_new_rows(library, criterion, class_weight):
    X, y = make_rows([40, 25, 15])
    scorer = make_scorer(criterion, class_weight).fit(library.asarray(X), y)
    for seed, counts in enumerate([[20, 20, 20], [5, 30, 12], [2, 3, 4]], start=1):
        new = make_rows(counts, seed, spread=1.5, offset=1.2)
        score = scorer.score(library.asarray(new[0]), library.asarray(new[1]))
        assert type(score) is float
        truth = expected(criterion, X, y, *new, class_weight)
        assert_allclose(score, truth, rtol=1e-9)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_score_of_new_float32_rows(library, criterion):
    X, y = (a.astype(t) for a, t in zip(make_rows([40, 25, 15]), "fi", strict=True))
    new = make_rows([9, 14, 6], seed=1)[0].astype("f"), make_rows([9, 14, 6], 1)[1]
    scorer = make_scorer(criterion).fit(library.asarray(X), y)
    score = scorer.score(library.asarray(new[0]), new[1])
    assert_allclose(score, expected(criterion, X, y, *new), rtol=1e-9)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_weights_are_repetitions(criterion):
    scorer, X, y = fit(criterion)
    new, labels = make_rows([12, 20, 9], seed=1)
    weights = np.random.default_rng(2).integers(0, 4, size=len(new))
    repeated = np.repeat(new, weights, axis=0), np.repeat(labels, weights)
    score = scorer.score(new, labels, sample_weight=weights)
    assert_allclose(score, expected(criterion, X, y, *repeated), rtol=1e-9)


@pytest.mark.parametrize("class_weight", WEIGHTINGS)
@pytest.mark.parametrize("criterion", CRITERIA)
def test_weights_of_the_fitted_rows_are_repetitions(criterion, class_weight):
    X, y = make_rows([30, 25, 15])
    weights = np.random.default_rng(2).integers(0, 4, size=len(X))
    new = make_rows([12, 20, 9], seed=1)
    scorer = make_scorer(criterion, class_weight).fit(X, y, sample_weight=weights)
    repeated = np.repeat(X, weights, axis=0), np.repeat(y, weights)
    truth = expected(criterion, *repeated, *new, class_weight)
    assert_allclose(scorer.score(*new), truth, rtol=1e-9)


@pytest.mark.parametrize("n_test", [10, 50])
def test_held_out_vci_is_the_loss_of_the_one_hot_probe(n_test):
    """For balanced classes, plain least squares on one-hot labels."""
    X, y = make_rows([30, 30, 30])
    new = make_rows([n_test] * 3, seed=1, spread=1.3)
    truth = oracles_collapse.held_out_one_minus_r2(X, y, *new)
    score = make_scorer("vci").fit(X, y).score(*new)
    assert_allclose(score, -truth, rtol=1e-10)


def test_held_out_vci_can_exceed_one():
    """A probe that fails on new rows is worse than no probe, as any held-out R^2."""
    scorer, X, _ = fit("vci")
    y = np.resize([1, 2, 0], len(X))
    assert scorer.score(10 * X, y) < -1


# -- the rows that were fitted --------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("class_weight", WEIGHTINGS)
@pytest.mark.parametrize("criterion", CRITERIA)
def test_score_of_the_fitted_rows(library, criterion, class_weight, weighted, dtype):
    X, y = make_rows([40, 25, 15])
    X = library.asarray(X.astype(dtype))
    weights = np.random.default_rng(2).uniform(size=len(y)) if weighted else None
    if weighted:
        weights[:5] = 0
    scorer = make_scorer(criterion, class_weight).fit(X, y, sample_weight=weights)
    value = sign(criterion) * scorer.metrics_[criterion]
    assert_allclose(scorer.score(X, y, sample_weight=weights), value, rtol=1e-9)


@pytest.mark.parametrize("class_weight", WEIGHTINGS)
@pytest.mark.parametrize("criterion", FROM_MOMENTS)
def test_score_after_fit_moments(criterion, class_weight):
    """Moments are all that scoring needs."""
    scorer, X, y = fit(criterion, class_weight=class_weight)
    adopted = make_scorer(criterion, class_weight).fit_moments(scorer.moments_)
    new = make_rows([12, 20, 9], seed=1)
    assert adopted.score(*new) == scorer.score(*new)
    streamed = make_scorer(criterion, class_weight)
    for rows in np.array_split(np.arange(len(X)), 5):
        streamed.partial_fit(X[rows], y[rows])
    assert_allclose(streamed.score(*new), scorer.score(*new), rtol=1e-9)


@pytest.mark.parametrize("criterion", ["ncm_accuracy", "nc4_agreement"])
def test_criterion_of_rows_after_partial_fit(criterion):
    """Absent from metrics_, for want of the fitted rows; new rows can be scored."""
    X, y = make_rows([40, 25, 15])
    scorer = make_scorer(criterion).partial_fit(X, y)
    assert criterion not in scorer.metrics_
    assert_allclose(scorer.score(X, y), expected(criterion, X, y, X, y), rtol=1e-12)


@pytest.mark.parametrize("ratio", [1e-3, 1e-5])
@pytest.mark.parametrize("criterion", FROM_MOMENTS)
def test_collapsed_float32(criterion, ratio):
    """Digits survive where VCI is 1e-10; class means are about 1 apart."""
    X, y = (a.astype(t) for a, t in zip(make_rows([40, 25, 15]), "fi", strict=True))
    means = np.array([X[y == c].mean(axis=0) for c in range(3)])
    X = (means[y] + ratio * (X - means[y])).astype(np.float32)
    scorer = make_scorer(criterion).fit(X, y)
    value = sign(criterion) * getattr(oracles_collapse, f"exact_{criterion}")(X, y)
    assert_allclose(scorer.score(X, y), value, rtol=1e-3)


# -- which classes there are, and how many rows of each -------------------------------


@pytest.mark.parametrize("class_weight", WEIGHTINGS)
@pytest.mark.parametrize("criterion", CRITERIA)
def test_frequencies_of_new_classes_do_not_matter(criterion, class_weight):
    scorer, _, _ = fit(criterion, class_weight=class_weight)
    X, y = make_rows([10, 8, 12], seed=1)
    score = scorer.score(X, y)
    for c in CLASSES:
        more = np.concatenate([np.arange(len(X)), *[np.flatnonzero(y == c)] * 3])
        assert_allclose(scorer.score(X[more], y[more]), score, rtol=1e-9)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_rows_in_any_order(criterion):
    scorer, _, _ = fit(criterion)
    X, y = make_rows([10, 8, 12], seed=1)
    order = np.random.default_rng(0).permutation(len(X))
    assert_allclose(scorer.score(X[order], y[order]), scorer.score(X, y), rtol=1e-12)


@pytest.mark.parametrize(
    "criterion", ["nc1_pinv", "nc1_trace_ratio", "fisher_ratio", "ncm_accuracy"]
)
@pytest.mark.parametrize("class_weight", WEIGHTINGS)
def test_classes_without_new_rows(criterion, class_weight):
    """The others share their weight in proportion."""
    scorer, X, y = fit(criterion, class_weight=class_weight)
    new, labels = make_rows([10, 0, 12], seed=1)
    m = oracles.class_moments(X, y)
    p = m["counts"] / m["counts"].sum() if class_weight is None else np.ones(3)
    p = p[[0, 2]] / p[[0, 2]].sum()
    groups = [new[labels == c] for c in (0, 2)]
    if criterion == "ncm_accuracy":
        hits = [
            np.mean(oracles.nearest_mean(rows, m["means"]) == c)
            for c, rows in zip((0, 2), groups, strict=True)
        ]
        truth = p @ hits
    else:
        gaps = [rows - m["means"][c] for c, rows in zip((0, 2), groups, strict=True)]
        within = sum(q * g.T @ g / len(g) for q, g in zip(p, gaps, strict=True))
        _, _, _, between = oracles.covariances(X, y, class_weight)
        truth = {
            "nc1_pinv": lambda: np.trace(within @ np.linalg.pinv(between, 1e-10)) / 3,
            "nc1_trace_ratio": lambda: np.trace(within) / np.trace(between),
            "fisher_ratio": lambda: np.trace(np.linalg.solve(within, between)),
        }[criterion]()
    assert_allclose(scorer.score(new, labels), sign(criterion) * truth, rtol=1e-9)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_single_class_of_new_rows(criterion):
    """Scoring one class at a time works for each and lies in the range."""
    scorer, _, _ = fit(criterion)
    low, high = METRICS[criterion].range
    for c in CLASSES:
        X, y = make_rows([9, 9, 9], seed=1)
        value = sign(criterion) * scorer.score(X[y == c], y[y == c])
        assert low <= value <= (math.inf if criterion == "vci" else high)


def test_cdnv_of_a_class_without_new_rows_keeps_its_fitted_variance():
    scorer, X, y = fit("cdnv")
    new, labels = make_rows([10, 0, 12], seed=1)
    kept = y == 1
    filled = np.vstack([new, X[kept]]), np.append(labels, y[kept])
    truth = expected("cdnv", X, y, *filled)
    assert_allclose(scorer.score(new, labels), truth, rtol=1e-9)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_labels_that_were_not_seen_raise(criterion):
    scorer, X, _ = fit(criterion)
    with pytest.raises(ValueError, match=r"not seen in fit: \[3, 7\]"):
        scorer.score(X[:3], [0, 3, 7])


@pytest.mark.parametrize("criterion", CRITERIA)
def test_rows_of_weight_zero_do_not_exist(criterion):
    """Whatever their labels and values are."""
    scorer, X, y = fit(criterion)
    weights = np.append(np.ones(len(X)), [0, 0])
    rows = np.vstack([X, np.full((1, D), np.nan), np.zeros((1, D))])
    labels = np.append(y, [0, 7])
    score = scorer.score(rows, labels, sample_weight=weights)
    assert_allclose(score, scorer.score(X, y), rtol=1e-12)


# -- nothing within, nothing between --------------------------------------------------


def test_new_rows_at_the_fitted_means():
    """No scatter at all: complete collapse in every criterion."""
    X, y = make_rows([40, 25, 15])
    means = oracles.class_moments(X, y)["means"]
    for criterion in CRITERIA:
        scorer = make_scorer(criterion).fit(X, y)
        value = sign(criterion) * scorer.score(scorer.means_, CLASSES)
        if criterion == "lidar":
            continue  # the floor alone is left
        if criterion in DIRECTIONS or criterion == "nc4_agreement":
            truth = sign(criterion) * expected(criterion, X, y, means, CLASSES)
        else:
            truth = {"fisher_ratio": math.inf, "ncm_accuracy": 1}.get(criterion, 0)
        if criterion == "vci":  # the probe shrinks: it does not reach the targets
            assert 0 < value < scorer.metrics_["vci"]
        else:
            assert value == pytest.approx(truth, rel=1e-9, abs=1e-25), criterion


def test_scoring_collapsed_features_on_their_own():
    """Fitted on complete collapse, scored on rows a little off."""
    y = np.repeat(CLASSES, 12)
    means = np.eye(3, D)
    noise = 1e-3 * np.random.default_rng(0).normal(size=(len(y), D))
    near = means[y] + noise
    for criterion in CRITERIA:
        scorer = make_scorer(criterion).fit(means[y], y)
        value = sign(criterion) * scorer.score(near, y)
        if criterion in (*DIRECTIONS, "nc4_agreement"):
            truth = sign(criterion) * expected(criterion, means[y], y, near, y)
            assert value == pytest.approx(truth)
        elif METRICS[criterion].direction == "higher":
            assert value > 0.99
        else:
            assert 0 < value < 1e-3, criterion


def test_coincident_class_means():
    """Nothing to tell apart: the worst value of each criterion, also on new rows."""
    rows = np.array([[1.0, 2.0], [-1.0, 0.5], [0.0, -2.5], [3.0, 1.0]])
    X, y = np.vstack([rows, rows]), np.repeat([0, 1], 4)
    scores = {
        "nc1_pinv": -math.inf,
        "nc1_trace_ratio": -math.inf,
        "cdnv": -math.inf,
        "vci": -1.0,
        "fisher_ratio": 0.0,
    }
    for criterion, worst in scores.items():
        scorer = NeuralCollapseScorer(criterion).fit(X, y)
        assert scorer.score(X + 1, y) == pytest.approx(worst, abs=1e-20), criterion


def test_few_fitted_rows_warn():
    """The probe of few rows is no better because new rows are many."""
    X, y = make_rows([2, 2, 2])
    scorer = NeuralCollapseScorer("nc1_pinv").fit(X, y)
    with pytest.warns(CollapseWarning, match=r"n_samples \(6\)"):
        scorer.score(*make_rows([20, 20, 20], seed=1))


@pytest.mark.parametrize("criterion", CRITERIA)
def test_many_features_and_classes(criterion):
    """More features than rows of a class, more classes than features."""
    rng = np.random.default_rng(0)
    n_classes, d = 7, 5
    y = np.repeat(np.arange(n_classes), [3, 4, 5, 6, 7, 8, 9])
    X = (2 * rng.normal(size=(n_classes, d)))[y] + rng.normal(size=(len(y), d))
    new = rng.permutation(np.tile(np.arange(n_classes), 4))
    X_new = X[[np.flatnonzero(y == c)[0] for c in new]] + rng.normal(size=(28, d))
    weights, bias = rng.normal(size=(n_classes, d)), rng.normal(size=n_classes)
    scorer = NeuralCollapseScorer(criterion, head=LinearHead(weights, bias))
    score = scorer.fit(X, y).score(X_new, new)
    oracle = getattr(oracles_collapse, f"held_out_{criterion}")
    head = (weights, bias) if criterion == "nc4_agreement" else ()
    truth = oracle(X, y, X_new, new, *head)
    assert_allclose(score, sign(criterion) * truth, rtol=1e-8)


# -- bad input ------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", CRITERIA)
def test_bad_input(library, criterion):
    X, y = make_rows([20, 20, 20])
    scorer = make_scorer(criterion).fit(library.asarray(X), y)
    rows = library.asarray(X)
    with pytest.raises(ValueError, match="requires y to be passed"):
        scorer.score(rows)
    with pytest.raises(ValueError, match="X has 60 rows, y has 59"):
        scorer.score(rows, y[1:])
    with pytest.raises(ValueError, match="continuous"):
        scorer.score(rows, y + 0.5)
    with pytest.raises(ValueError, match="X has 3 features"):
        scorer.score(rows[:, :3], y)
    with pytest.raises(ValueError, match="all zero"):
        scorer.score(rows, y, sample_weight=np.zeros(60))
    bad = X.copy()
    bad[17, 1] = np.inf
    with pytest.raises(ValueError, match="first in row 17, column 1"):
        scorer.score(library.asarray(bad), y)


def test_agreement_needs_a_head():
    X, y = make_rows([20, 20, 20])
    scorer = NeuralCollapseScorer("nc4_agreement").fit(X, y)
    with pytest.raises(ValueError, match="nc4_agreement needs a head: pass head="):
        scorer.score(X, y)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_scoring_changes_nothing(criterion):
    scorer, X, y = fit(criterion)
    before = scorer.metrics_.copy(), scorer.moments_.to_dict()
    rows = X.copy()
    X.flags.writeable = False
    scorer.score(X, y, sample_weight=np.arange(1.0, len(X) + 1))
    assert np.array_equal(X, rows)
    assert scorer.metrics_ == before[0]
    after = scorer.moments_.to_dict()
    assert all(np.array_equal(after[key], before[1][key]) for key in after)
