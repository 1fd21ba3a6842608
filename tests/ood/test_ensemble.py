"""Tests of detectors that are made of several others."""

import copy
import pickle

import numpy as np
import oracles
import oracles_meta
import pytest
from meta_members import Line, Odd, Weightless
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_collapse._linalg._score_maps import apply_map, rank_map
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.metrics import get_scorer
from sklearn_collapse.model_selection import LeaveClassesOut
from sklearn_collapse.ood import (
    ConformalDetector,
    DetectorEnsemble,
    LogitDetector,
    MahalanobisDetector,
    NECODetector,
)
from sklearn_collapse.utils import move_estimator

EPS = np.finfo(float).eps
MEMBERS = [
    ("maha", MahalanobisDetector()),
    ("neco", NECODetector(2)),
    ("energy", LogitDetector()),
]
COMBINE = ("rank", "z", "max")
combines = pytest.mark.parametrize("combine", COMBINE)


@pytest.fixture
def data(rng):
    y = np.repeat([0, 1, 2], [60, 40, 30])[rng.permutation(130)]
    X = rng.normal(size=(130, 4)) * [1, 2, 0.5, 1] + 4 * np.eye(3, 4)[y] + 1
    return X, y, 6 * rng.normal(size=(25, 4)) + 1


def expected_scores(combine, training, new, shares, weights=None):
    """Scores by the definition, of the members' scores of training and new rows."""
    convert = oracles_meta.share if combine == "rank" else oracles_meta.standard_score
    columns = [
        [convert(t, s, weights) for s in column]
        for t, column in zip(training, new, strict=True)
    ]
    if combine == "max":
        return np.min(columns, axis=0)
    return np.average(columns, axis=0, weights=shares)


# -- scores --------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shares", [None, [3, 0, 1.5]])
@combines
def test_scores_by_definition(library, combine, shares, weighted, data, rng):
    if combine == "max" and shares is not None:
        shares = None
    X, y, new = data
    weights = rng.integers(0, 4, len(X)) if weighted else None
    rows = np.vstack([X[:20], new])
    members = [m.fit(X, y, weights) for m in (clone(m) for _, m in MEMBERS)]
    training = [m.score_samples(X) for m in members]
    asked = [m.score_samples(rows) for m in members]
    expected = expected_scores(combine, training, asked, shares, weights)
    ensemble = DetectorEnsemble(MEMBERS, combine=combine, weights=shares)
    ensemble.fit(
        library.asarray(X), y, None if weights is None else library.asarray(weights)
    )
    found = ensemble.score_samples(library.asarray(rows))
    assert library.owns(found)
    assert_allclose(library.to_numpy(found), expected, rtol=1e-9, atol=1e-9)


@combines
def test_threshold(combine, data, rng):
    X, y, _ = data
    weights = rng.integers(0, 4, len(X))
    for w in (None, weights):
        ensemble = DetectorEnsemble(MEMBERS, combine=combine, contamination=0.1)
        scores = ensemble.fit(X, y, w).score_samples(X)
        low, high, offset = (oracles.quantile(scores, q, w) for q in (0.25, 0.75, 0.1))
        assert ensemble.offset_ == pytest.approx(offset - 1e-6 * (high - low), rel=1e-9)
        assert ensemble.calibrate(X, w).offset_ == pytest.approx(ensemble.offset_)


def test_contamination_and_ties_of_ranks(library, data):
    """Never more outliers than were asked for, and none of those that tie."""
    X, y, _ = data
    for contamination in (0.01, 0.05, 0.1, 0.33, 0.5):
        ensemble = DetectorEnsemble(contamination=contamination)
        ensemble.fit(library.asarray(X), y)
        scores = library.to_numpy(ensemble.score_samples(library.asarray(X)))
        flagged = library.to_numpy(ensemble.predict(library.asarray(X))) == -1
        assert flagged.sum() <= contamination * len(X)
        quantile = oracles.quantile(scores, contamination)
        assert_array_equal(flagged, scores < quantile - 1e-9)


@combines
def test_one_member_keeps_its_ranking(combine, data):
    """Beyond all training rows too, on both sides."""
    X, y, new = data
    rows = np.vstack([X, new, 100 * new, 1e6 * new])
    alone = MahalanobisDetector().fit(X, y).score_samples(rows)
    ensemble = DetectorEnsemble([("m", MahalanobisDetector())], combine=combine)
    scores = ensemble.fit(X, y).score_samples(rows)
    order = np.argsort(alone)
    assert (np.diff(scores[order]) >= 0).all()
    apart = np.diff(alone[order]) > 1e-9 * np.abs(alone[order][1:])
    assert (np.diff(scores[order])[apart] > 0).all()


def test_rank_bounds_the_say_of_a_member():
    """However far out one member finds a row, the others are heard."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    members = [("x", Line()), ("y", make_pipeline(Flip(), Line()))]
    ensemble = DetectorEnsemble(members).fit(X)
    ordinary, odd = ensemble.score_samples(np.array([[0.0, -3.5], [-1e300, 3.5]]))
    assert 0 <= ordinary < odd <= 1
    z = clone(ensemble).set_params(combine="z").fit(X)
    ordinary, odd = z.score_samples(np.array([[0.0, -3.5], [-1e300, 3.5]]))
    assert odd < ordinary


class Flip(StandardScaler):
    def transform(self, X):
        return X[:, ::-1]


def test_max_is_the_strangest_of_all():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    members = [("x", Line()), ("y", make_pipeline(Flip(), Line()))]
    ensemble = DetectorEnsemble(members, combine="max").fit(X)
    new = np.array([[1.0, -6.0], [-6.0, 1.0], [0.0, 0.0], [9.0, 9.0]])
    z = (new - X.mean(axis=0)) / X.std(axis=0)
    assert_allclose(ensemble.score_samples(new), z.min(axis=1), rtol=1e-12)


# -- scores that are equal, or nearly so ---------------------------------------------


@combines
def test_constant_member(library, combine, data):
    """It says nothing about training rows, and no rounding becomes a rank."""
    X, y, new = data
    rng = np.random.default_rng(0)
    X = np.column_stack([1e3 + 1e-13 * rng.normal(size=len(X)), X])
    new = np.column_stack([np.full(len(new), 1e3), new])
    members = [("flat", Line()), ("maha", make_pipeline(Tail(), MahalanobisDetector()))]
    if combine == "max":
        return
    ensemble = DetectorEnsemble(members, combine=combine).fit(X, y)
    alone = DetectorEnsemble(members[1:], combine=combine).fit(X, y)
    both, one = ensemble.score_samples(new), alone.score_samples(new)
    middle = 0.5 if combine == "rank" else 0.0
    assert_allclose(both, (one + middle) / 2, rtol=1e-9, atol=1e-12)
    # A row that it finds odd stands out all the same.
    odd = new[:1] - [[500.0, *np.zeros(4)]]
    assert ensemble.score_samples(odd)[0] < ensemble.score_samples(new[:1])[0]


class Tail(StandardScaler):
    def transform(self, X):
        return X[:, 1:]


@combines
def test_zero_scores(combine):
    X = np.zeros((20, 2))
    ensemble = DetectorEnsemble([("a", Line())], combine=combine).fit(X)
    middle = 0.5 if combine == "rank" else 0.0
    scores = ensemble.score_samples(np.array([[0.0, 0.0], [-1.0, 0.0], [1.0, 0.0]]))
    assert scores[0] == middle
    assert scores[1] < middle < scores[2]


def test_ties_up_to_rounding_share_a_rank():
    """Rows of fewer than features score the same but for the last bits."""
    rng = np.random.default_rng(0)
    values = np.array([-3.0, -1.0, -0.5, 2.0])
    scores = np.repeat(values, [10, 40, 5, 45])
    noisy = scores * (1 + 2 * EPS * rng.integers(-2, 3, 100))
    exact, rounded = (rank_map(s, None, EPS) for s in (scores, noisy))
    assert_allclose(rounded.knots, exact.knots, rtol=8 * EPS)
    assert_array_equal(rounded.shares, exact.shares)
    assert_allclose(exact.shares[::2], [0.05, 0.3, 0.525, 0.775])
    found = apply_map(noisy, rounded, xp=np)
    assert_allclose(found, apply_map(scores, exact, xp=np), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_of_training_scores_moves_no_rank(dtype, rng):
    """Scores of one row are rounded otherwise than those of a batch."""
    eps = float(np.finfo(dtype).eps)
    scores = -np.abs(rng.normal(size=3000)).astype(dtype).astype(float)
    ranks = rank_map(scores, None, eps)
    expected = apply_map(scores, ranks, xp=np)
    size = np.max(np.abs(scores))
    for shift in (-3, 3):
        found = apply_map(scores + shift * eps * size, ranks, xp=np)
        # Not where training scores are themselves as close as that.
        assert np.mean(found == expected) > (0.95 if dtype == "float32" else 0.9999)
    order = np.argsort(scores)
    grid = np.sort(np.r_[scores, np.linspace(-9, 1, 5000)])
    assert np.all(np.diff(apply_map(grid, ranks, xp=np)) >= 0)
    assert np.all(np.diff(expected[order]) >= 0)


def test_many_scores_as_close_as_roundings_stay_apart():
    """float32 scores of very many rows: each is a rounding from the next."""
    n = 40_000
    scores = 1 + np.arange(n) * float(np.finfo(np.float32).eps)
    ranks = rank_map(scores, None, float(np.finfo(np.float32).eps))
    assert len(np.unique(ranks.shares)) == n
    assert_allclose(apply_map(scores, ranks, xp=np), (np.arange(n) + 0.5) / n)


@combines
def test_huge_and_tiny_scores(combine):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 1))
    expected = DetectorEnsemble([("a", Line())], combine=combine).fit(X)
    for scale in (1e-300, 1e300):
        found = DetectorEnsemble([("a", Line())], combine=combine).fit(scale * X)
        assert_allclose(
            found.score_samples(scale * X), expected.score_samples(X), rtol=1e-9
        )


# -- members -------------------------------------------------------------------------


def test_default_members(data):
    X, y, new = data
    members = [("mahalanobis", MahalanobisDetector()), ("neco", NECODetector())]
    ensemble = DetectorEnsemble().fit(X, y)
    assert ensemble.estimators is None
    assert list(ensemble.named_estimators_) == ["mahalanobis", "neco"]
    same = DetectorEnsemble(members).fit(X, y)
    assert_array_equal(ensemble.score_samples(new), same.score_samples(new))


def test_members_are_clones_fitted_on_the_same_rows(data):
    X, y, _ = data
    line = Line()
    ensemble = DetectorEnsemble([("a", line), ("b", line)])
    ensemble.fit(X, y, np.arange(len(X)))
    a, b = ensemble.estimators_
    assert ensemble.named_estimators_.a is a
    assert a is not b
    assert not hasattr(line, "X_")
    for member in (a, b):
        assert_array_equal(member.X_, X[1:])
        assert_array_equal(member.y_, y[1:])
        assert_array_equal(member.weights_, np.arange(1, len(X)))


def test_parameters_of_members(data):
    X, y, new = data
    ensemble = DetectorEnsemble(MEMBERS)
    parameters = ensemble.get_params()
    assert parameters["maha"] is MEMBERS[0][1]
    assert parameters["neco__n_components"] == 2
    assert "neco" not in ensemble.get_params(deep=False)
    twin = clone(ensemble).set_params(
        combine="z", neco__n_components=3, energy=Line(), maha__relative=True
    )
    assert dict(twin.estimators)["neco"].n_components == 3
    assert isinstance(dict(twin.estimators)["energy"], Line)
    assert MEMBERS[1][1].n_components == 2
    dropped = clone(ensemble).set_params(neco="drop", weights=[1, 5, 3]).fit(X, y)
    assert list(dropped.named_estimators_) == ["maha", "energy"]
    left = DetectorEnsemble([MEMBERS[0], MEMBERS[2]], weights=[1, 3]).fit(X, y)
    assert_array_equal(dropped.score_samples(new), left.score_samples(new))
    assert DetectorEnsemble().get_params()["estimators"] is None


def test_setting_parameters_needs_a_fit(data):
    """Until then scores stay as they were."""
    X, y, new = data
    ensemble = DetectorEnsemble(MEMBERS, weights=[1, 2, 3]).fit(X, y)
    expected = ensemble.score_samples(new)
    ensemble.set_params(combine="max", weights=None, neco="drop")
    assert_array_equal(ensemble.score_samples(new), expected)


def test_frozen_members(library, data):
    X, y, new = data
    inner = MahalanobisDetector().fit(library.asarray(X), y)
    members = [("a", FrozenEstimator(inner)), ("b", NECODetector(2))]
    ensemble = DetectorEnsemble(members, combine="z").fit(library.asarray(X[:50]))
    assert ensemble.estimators_[0].estimator is inner
    rows = library.asarray(new)
    neco = NECODetector(2).fit(X[:50])

    def inner_scores(rows):
        return library.to_numpy(inner.score_samples(library.asarray(rows)))

    expected = expected_scores(
        "z",
        [inner_scores(X[:50]), neco.score_samples(X[:50])],
        [inner_scores(new), neco.score_samples(new)],
        [1, 1],
    )
    assert_allclose(library.to_numpy(ensemble.score_samples(rows)), expected, rtol=1e-9)
    unfitted = [("a", FrozenEstimator(MahalanobisDetector()))]
    with pytest.raises(NotFittedError, match="frozen is not fitted"):
        DetectorEnsemble(unfitted).fit(X)


@combines
def test_members_of_scikit_learn(combine, data):
    X, y, new = data
    members = [
        ("forest", IsolationForest(n_estimators=10, random_state=0)),
        ("envelope", EllipticEnvelope(random_state=0)),
        ("pipe", make_pipeline(StandardScaler(), NECODetector(2))),
        ("conformal", ConformalDetector(random_state=0)),
        ("inner", DetectorEnsemble()),
    ]
    ensemble = DetectorEnsemble(members, combine=combine).fit(X, y)
    assert np.mean(ensemble.predict(new) == -1) > 0.3
    assert_array_equal(ensemble.classes_, [0, 1, 2])
    assert ensemble.score_samples(X.astype(np.float32)).dtype == np.float32


def test_jobs(data):
    X, y, new = data
    one = DetectorEnsemble(MEMBERS).fit(X, y)
    two = DetectorEnsemble(MEMBERS, n_jobs=2).fit(X, y)
    assert_allclose(two.decision_function(new), one.decision_function(new), rtol=1e-12)


@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_data_frames(frames, data):
    frames = pytest.importorskip(frames)
    X, y, new = data
    frame, frame_new = (
        frames.DataFrame({k: v[:, j] for j, k in enumerate("abcd")}) for v in (X, new)
    )
    members = [
        ("a", FrozenEstimator(MahalanobisDetector().fit(frame, y))),
        ("b", IsolationForest(n_estimators=5, random_state=0)),
    ]
    ensemble = DetectorEnsemble(members).fit(frame, y)
    assert_array_equal(ensemble.estimators_[1].feature_names_in_, list("abcd"))
    ensemble.calibrate(frame_new).predict(frame)


def test_real_features():
    """As good as the mean of its members on every set, and never far from the best."""
    data = load_cifar8_features()
    members = [
        ("maha", MahalanobisDetector()),
        ("neco", NECODetector(7)),
        ("energy", LogitDetector(head=data.head)),
    ]

    def aurocs(detector):
        inside = detector.score_samples(data.X_test)
        return [
            oracles.auroc(inside, detector.score_samples(rows))
            for rows in data.ood.values()
        ]

    ensemble = DetectorEnsemble(members).fit(data.data, data.target)
    alone = np.array([aurocs(member) for member in ensemble.estimators_])
    for combine in COMBINE:
        ensemble = ensemble.set_params(combine=combine).fit(data.data, data.target)
        found = aurocs(ensemble)
        assert np.mean(found) > np.mean(alone)
        assert np.min(found) > np.min(alone)


def test_tuning_of_members(data):
    """Which members, and their settings, without outliers."""
    X, y, _ = data
    search = GridSearchCV(
        DetectorEnsemble(MEMBERS),
        {"combine": ["rank", "z"], "energy": ["drop", LogitDetector("msp")]},
        cv=LeaveClassesOut(random_state=0),
        scoring=get_scorer("ood_auroc"),
        error_score="raise",
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# -- weights and metadata ------------------------------------------------------------


def test_weights_that_a_member_does_not_take(data):
    X, y, _ = data
    members = [("a", Line()), ("b", Weightless())]
    message = "'b' of DetectorEnsemble is a Weightless, whose fit takes no"
    with pytest.raises(ValueError, match=message):
        DetectorEnsemble(members).fit(X, y, np.ones(len(X)))
    members[1] = ("b", FrozenEstimator(Weightless().fit(X)))
    DetectorEnsemble(members).fit(X, y, np.ones(len(X)))


def test_metadata_routing(data):
    X, y, _ = data
    weights = np.arange(len(X)) % 3 + 1.0
    with config_context(enable_metadata_routing=True):
        asking = Line().set_fit_request(sample_weight=True)
        refusing = Line().set_fit_request(sample_weight=False)
        members = [("a", asking), ("b", refusing), ("c", Weightless())]
        ensemble = DetectorEnsemble(members).set_fit_request(sample_weight=True)
        pipeline = make_pipeline("passthrough", ensemble)
        fitted = pipeline.fit(X, y, sample_weight=weights)[-1].estimators_
        assert_array_equal(fitted[0].weights_, weights)
        assert fitted[1].weights_ is None
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            DetectorEnsemble(MEMBERS).fit(X, y, weights)
        DetectorEnsemble(MEMBERS).fit(X, y)


# -- errors --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimators", "error", "message"),
    [
        ([], ValueError, r"list of \(name, estimator\) tuples, got \[\]"),
        ([MahalanobisDetector()], ValueError, "list of .name, estimator. tuples"),
        ([("a",)], ValueError, "list of .name, estimator. tuples"),
        ([(3, MahalanobisDetector())], ValueError, "list of .name, estimator. tuples"),
        ([("a", Line()), ("a", Line())], ValueError, "Names provided are not unique"),
        ([("combine", Line())], ValueError, "conflict with constructor arguments"),
        ([("a__b", Line())], ValueError, "must not contain __"),
        ([("a", StandardScaler())], TypeError, "'a' is StandardScaler without score_s"),
        ([("a", None)], TypeError, "'a' is NoneType without fit and score_samples"),
        ([("a", Line)], TypeError, "'a' is the class Line: pass an instance"),
        ([("a", "drop")], ValueError, "All estimators are dropped"),
        ("maha", InvalidParameterError, "'estimators' parameter"),
    ],
)
def test_bad_members(estimators, error, message, data):
    ensemble = DetectorEnsemble(estimators)
    with pytest.raises(error, match=message):
        ensemble.fit(*data[:2])
    assert vars(ensemble).keys() == ensemble.get_params(deep=False).keys()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], r"one number for each of the 3 estimators, got shape \(2,\)"),
        ([1, -1, 1], "not negative"),
        ([0, 0, 0], "not all zero"),
        ([1, np.nan, 1], "finite"),
        ([[1, 1, 1]], "got shape"),
        ("heavy", "'weights' parameter"),
    ],
)
def test_bad_weights_of_members(weights, message, data):
    with pytest.raises(ValueError, match=message):
        DetectorEnsemble(MEMBERS, weights=weights).fit(*data[:2])


def test_weights_mean_nothing_to_max(data):
    with pytest.raises(ValueError, match="weights have no meaning with combine='max'"):
        DetectorEnsemble(MEMBERS, combine="max", weights=[1, 1, 1]).fit(*data[:2])


@pytest.mark.parametrize(
    "params",
    [
        *({"combine": v} for v in ("mean", None)),
        *({"contamination": v} for v in (0, 0.6)),
        *({"n_jobs": v} for v in (1.5, "2")),
    ],
    ids=repr,
)
def test_bad_parameters(params, data):
    (name,) = params
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter"):
        DetectorEnsemble().set_params(**params).fit(*data[:2])


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nan", "Odd gives NaN, first in row 3"),
        ("inf", "'b' gives training rows infinite scores"),
        ("column", r"one score per row, shape \(130,\), got shape \(130, 1\)"),
    ],
)
def test_scores_that_are_none(what, message, data):
    X, y, _ = data
    with pytest.raises(ValueError, match=message):
        DetectorEnsemble([("a", Line()), ("b", Odd(what))]).fit(X, y)


def test_moves_and_copies(library, data):
    X, y, new = data
    for combine in COMBINE:
        ensemble = DetectorEnsemble(MEMBERS, combine=combine)
        ensemble.fit(library.asarray(X), y)
        expected = library.to_numpy(ensemble.decision_function(library.asarray(new)))
        for twin in (pickle.loads(pickle.dumps(ensemble)), copy.deepcopy(ensemble)):
            again = twin.decision_function(library.asarray(new))
            assert_array_equal(library.to_numpy(again), expected)
        moved = move_estimator(ensemble, "numpy").decision_function(new)
        assert isinstance(moved, np.ndarray)
        assert_allclose(moved, expected, rtol=1e-9, atol=1e-12)
