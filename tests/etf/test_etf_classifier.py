"""Tests of ETFClassifier."""

import pickle

import numpy as np
import oracles_etf as frames
import oracles_etf_classifier as oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import helmert
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.covariance import ledoit_wolf_shrinkage, oas
from sklearn.datasets import load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_collapse import ClassMoments
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.etf import (
    ETFAlignmentScorer,
    ETFClassifier,
    _base,
    simplex_etf,
)
from sklearn_collapse.metrics import nc3_self_duality
from sklearn_collapse.utils import move_estimator

C, D = 5, 7
MAPPINGS = ["procrustes", "ridge"]
CUBE = np.array([[-1, -1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, -1], [-1, 1, 1.0]])
FRAMES = {
    "simplex": ("simplex", frames.simplex(C)),
    "orthoplex": ("orthoplex", np.kron(np.eye(3), [[1.0], [-1.0]])[:C]),
    "narrow": (np.arange(10.0).reshape(C, 2) ** 2 % 7,) * 2,
    "wide": (np.random.default_rng(6).normal(size=(C, C + 4)),) * 2,
    "cube": (CUBE.tolist(), CUBE),
    "far and large": (1e8 * CUBE + 1e9, CUBE),
}
PRIORS = {"none": None, "empirical": "empirical", "given": [0.1, 0.2, 0.4, 0.25, 0.05]}


def rows(seed=0, counts=(9, 14, 6, 30, 7), spread=0.7, n_classes=C, d=D):
    """Labelled rows, weights, and rows of no class."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(n_classes, d)) + 2
    X, y = frames.rows_about(means, counts, spread, seed)
    weights = rng.integers(0, 4, len(y)) + 0.5
    return X, y, weights, rng.normal(size=(11, d)) + 2


def planted(n_classes=C, d=D, scale=3.0, shift=4.0, seed=0):
    """Class means that are a turned, scaled and shifted simplex."""
    basis = frames.random_rotation(d, n_classes - 1, seed)
    frame = np.sqrt(n_classes / (n_classes - 1)) * helmert(n_classes).T
    return scale * frame @ basis.T + shift * np.random.default_rng(seed).normal(size=d)


# -- against the oracle --------------------------------------------------------------


@pytest.mark.parametrize("priors", PRIORS)
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_against_the_oracle(library, mapping, frame, priors):
    X, y, weights, new = rows()
    (frame, B), priors = FRAMES[frame], PRIORS[priors]
    classifier = ETFClassifier(frame, mapping=mapping, temperature=0.3, priors=priors)
    classifier.fit(library.asarray(X), library.asarray(y), library.asarray(weights))
    options = {"temperature": 0.3, "priors": priors, "weights": weights}
    expected = oracles.logits(X, y, new, B, mapping, **options)
    there = library.asarray(new)
    found = classifier.decision_function(there)
    assert library.owns(found)
    assert_allclose(library.to_numpy(found), expected, atol=1e-7)
    codes = classifier.predict(there)
    assert library.owns(codes)
    assert_array_equal(library.to_numpy(codes), expected.argmax(axis=1))
    shares = classifier.predict_proba(there)
    assert library.owns(shares)
    expected = oracles.probabilities(expected)
    assert_allclose(library.to_numpy(shares), expected, atol=1e-7)
    logs = library.to_numpy(classifier.predict_log_proba(there))
    assert_allclose(logs, np.log(expected), atol=1e-7)


@pytest.mark.parametrize("share", [0.3, 1.0, "oas", "ledoit_wolf"])
@pytest.mark.parametrize("frame", ["simplex", "cube"])
def test_shrinkage_against_the_oracle(library, frame, share):
    X, y, _, new = rows()
    frame, B = FRAMES[frame]
    classifier = ETFClassifier(frame, mapping="ridge", shrinkage=share)
    classifier.fit(library.asarray(X), y)
    if isinstance(share, str):
        centred = X - X.mean(axis=0)
        estimate = {"oas": lambda X: oas(X)[1], "ledoit_wolf": ledoit_wolf_shrinkage}
        share = estimate[share](centred)
    assert_allclose(classifier.shrinkage_, share, rtol=1e-10)
    expected = oracles.logits(X, y, new, B, "ridge", share=share)
    found = classifier.decision_function(library.asarray(new))
    assert_allclose(library.to_numpy(found), expected, atol=1e-12)


def test_attributes(library):
    X, y, weights, _ = rows()
    names = np.array(["e", "b", "a", "d", "c"])
    given = library.asarray([0.1, 0.2, 0.4, 0.25, 0.05])
    frame = FRAMES["wide"][0]
    for mapping, rank in (("procrustes", C - 1), ("ridge", D)):
        classifier = ETFClassifier(library.asarray(frame), mapping=mapping)
        classifier.set_params(priors=given)
        classifier.fit(library.asarray(X), names[y], weights)
        assert_array_equal(classifier.classes_, sorted(names))
        means = oracles.class_means(X, np.argsort(np.argsort(names))[y], weights)
        for name, expected in (
            ("means_", means),
            ("frame_", frame - frame.mean(axis=0)),
            ("priors_", given),
        ):
            value = getattr(classifier, name)
            assert library.owns(value), name
            assert_allclose(library.to_numpy(value), expected, atol=1e-13)
        assert_array_equal(classifier.assignment_, range(C))
        assert classifier.rank_ == rank
        assert classifier.n_features_in_ == D
        assert classifier.device_ == "cpu"
        assert hasattr(classifier, "shrinkage_") == (mapping == "ridge")
        classifier.set_params(priors=None)
        assert_allclose(library.to_numpy(classifier.priors_), 1 / C)
        for value, shape in (
            (classifier.coef_, (C, D)),
            (classifier.intercept_, (C,)),
        ):
            assert library.owns(value)
            assert value.shape == shape
        # The order is that of the sorted labels.
        classifier.set_params(priors="empirical")
        shares = [weights[names[y] == c].sum() / weights.sum() for c in sorted(names)]
        assert_allclose(library.to_numpy(classifier.priors_), shares)


@pytest.mark.parametrize("frame", FRAMES)
def test_class_means_have_the_cosines_of_the_scorer(frame):
    X, y, _, _ = rows()
    frame = FRAMES[frame][0]
    classifier = ETFClassifier(frame).fit(X, y)
    expected = ETFAlignmentScorer(frame).fit(X, y).cosines_
    found = classifier.decision_function(classifier.means_)
    assert_allclose(found, expected, atol=1e-13)


def test_more_rows_than_a_block():
    X, y, _, _ = rows()
    new = np.random.default_rng(1).normal(size=(40_000, D)) + 2
    for mapping in MAPPINGS:
        for frame in ("simplex", CUBE):
            classifier = ETFClassifier(frame, mapping=mapping).fit(X, y)
            some = np.r_[:5, 16_380:16_390, 39_990:40_000]
            found = classifier.decision_function(new)
            assert_allclose(
                found[some], classifier.decision_function(new[some]), atol=1e-14
            )


# -- against other estimators --------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_simplex_is_regression_on_one_hot_labels(weighted):
    """Whatever the shares of the classes."""
    X, y, weights, new = rows()
    weights = weights if weighted else None
    classifier = ETFClassifier(mapping="ridge").fit(X, y, weights)
    fitted = LinearRegression().fit(X, oracles.one_hot(y), weights).predict(new)
    gap = fitted - 1 / C  # rows sum to zero
    length = np.linalg.norm(gap, axis=1, keepdims=True)
    expected = np.sqrt(C / (C - 1)) * gap / length
    assert_allclose(classifier.decision_function(new), expected, atol=1e-12)
    assert_array_equal(classifier.predict(new), fitted.argmax(axis=1))
    # Without the length they are linear.
    linear = new @ classifier.coef_.T + classifier.intercept_
    assert_allclose(linear, linear[0, 0] / gap[0, 0] * gap, atol=1e-12)


@pytest.mark.parametrize("share", [0.01, 0.4, 0.9])
def test_shrinkage_is_a_ridge_penalty(share):
    X, y, _, new = rows()
    classifier = ETFClassifier(mapping="ridge", shrinkage=share).fit(X, y)
    penalty = share / (1 - share) * X.var(axis=0).sum() / D * len(X)
    ridge = Ridge(penalty).fit(X, oracles.one_hot(y))
    shares = np.bincount(y) / len(y)
    gap = (ridge.predict(new) - shares) / (1 - share) + shares - 1 / C
    length = np.linalg.norm(gap, axis=1, keepdims=True)
    expected = np.sqrt(C / (C - 1)) * gap / length
    assert_allclose(classifier.decision_function(new), expected, atol=1e-12)


def test_two_even_classes_are_the_linear_discriminant():
    X, y, _, _ = rows(counts=20, n_classes=2)
    new = 3 * np.random.default_rng(1).normal(size=(500, D)) + 2
    expected = LinearDiscriminantAnalysis().fit(X, y).predict(new)
    classifier = ETFClassifier(mapping="ridge").fit(X, y)
    assert_array_equal(classifier.predict(new), expected)
    assert 100 < expected.sum() < 400


def test_perfect_simplex_is_the_nearest_mean():
    X, y = frames.rows_about(planted(), 8, spread=3.0)
    new = 5 * np.random.default_rng(1).normal(size=(500, D))
    expected = NearestCentroid().fit(X, y).predict(new)
    assert_array_equal(ETFClassifier().fit(X, y).predict(new), expected)
    assert len(np.unique(expected)) == C


@pytest.mark.parametrize("kind", ["wide", "constant", "doubled", "collapsed"])
def test_singular_covariances(library, kind):
    """The pseudo-inverse is the shortest of all least-squares solutions."""
    X, y, _, new = rows()
    rng = np.random.default_rng(3)
    if kind == "wide":
        X, new = (x @ rng.normal(size=(D, 90)) for x in (X, new))
        X = X + rng.normal(size=X.shape)
    elif kind == "constant":
        X, new = (np.insert(x, 2, 5.0, axis=1) for x in (X, new))
        new[:, 2] = 100.0  # what never varied says nothing
    elif kind == "doubled":
        X, new = np.hstack([X, X]), np.hstack([new, -2 * new])
    else:
        X = oracles.class_means(X, y, np.ones(len(y)))[y]
    classifier = ETFClassifier(mapping="ridge").fit(library.asarray(X), y)
    rank = {"wide": len(X) - 1, "constant": D, "doubled": D, "collapsed": C - 1}
    assert classifier.rank_ == rank[kind]
    # Solved on centred rows: the cut-off is relative to their largest direction.
    mean, targets = X.mean(axis=0), oracles.one_hot(y)
    shares = targets.mean(axis=0)
    W = np.linalg.lstsq(X - mean, targets - shares, rcond=1e-10)[0]
    gap = (new - mean) @ W + shares - 1 / C
    length = np.linalg.norm(gap, axis=1, keepdims=True)
    expected = np.sqrt(C / (C - 1)) * gap / length
    found = library.to_numpy(classifier.decision_function(library.asarray(new)))
    assert_allclose(found, expected, atol=1e-8)
    if kind == "collapsed":
        found = library.to_numpy(classifier.decision_function(library.asarray(X)))
        own = frames.simplex(C) @ frames.simplex(C).T
        assert_allclose(found, own[y], atol=1e-10)


# -- planted frames ------------------------------------------------------------------


@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(("n_classes", "d"), [(2, 1), (6, 5), (5, 30)])
def test_planted_frame(library, mapping, scale, n_classes, d):
    """Probabilities in closed form, uneven classes included."""
    means = planted(n_classes, d, 3 * scale, scale)
    y = np.repeat(np.arange(n_classes), np.arange(n_classes) + 2)
    X = library.asarray(means[y])
    classifier = ETFClassifier(mapping=mapping, temperature=0.5).fit(X, y)
    assert classifier.score(X, y) == 1.0
    own, other = np.exp(2.0), np.exp(-2.0 / (n_classes - 1))
    expected = np.full((n_classes, n_classes), other)
    np.fill_diagonal(expected, own)
    expected /= own + (n_classes - 1) * other
    shares = library.to_numpy(classifier.predict_proba(X))
    assert_allclose(shares, expected[y], rtol=1e-9)
    # With the shares of the rows.
    classifier.set_params(priors="empirical")
    weighted = expected * np.bincount(y)
    weighted /= weighted.sum(axis=1, keepdims=True)
    shares = library.to_numpy(classifier.predict_proba(X))
    assert_allclose(shares, weighted[y], rtol=1e-9)


def test_every_number_of_classes():
    """In as few dimensions as hold the simplex."""
    for n_classes in range(2, 201):
        frame = simplex_etf(n_classes, n_classes - 1, random_state=n_classes)
        labels = np.arange(n_classes)
        mapping = MAPPINGS[n_classes % 2]
        classifier = ETFClassifier(mapping=mapping).fit(3 * frame + 1, labels)
        found = classifier.decision_function(3 * frame + 1)
        if n_classes == 2:
            assert_allclose(found, [-2.0, 2.0], rtol=1e-12)
        else:
            assert_allclose(found, frame @ frame.T, atol=1e-10)
            assert np.abs(found).max() <= 1


def test_more_classes_than_a_simplex_has():
    X, y, _, new = rows(counts=20, spread=0.1, n_classes=9, d=3)
    match = r"9 classes have no 'simplex' frame in n_features=3 .*spread_frame"
    for mapping in MAPPINGS:
        with pytest.raises(ValueError, match=match):
            ETFClassifier(mapping=mapping).fit(X, y)
        partial = ETFClassifier(mapping=mapping).partial_fit(X, y)
        with pytest.raises(ValueError, match=match):
            partial.predict(X)
        classifier = ETFClassifier("spread", mapping=mapping).fit(X, y)
        expected = oracles.logits(X, y, new, classifier.frame_, mapping)
        assert_allclose(classifier.decision_function(new), expected, atol=1e-12)


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_matched_vertices_are_those_of_the_logits(mapping, monkeypatch):
    """However the assignment was found."""
    X, y, _, new = rows()
    order = np.array([3, 0, 4, 1, 2])
    monkeypatch.setattr(_base, "match_vertices", lambda means, frame: order)
    given = np.random.default_rng(0).normal(size=(C, 3))
    classifier = ETFClassifier(given, matching="optimal", mapping=mapping).fit(X, y)
    assert_array_equal(classifier.assignment_, order)
    B = given[order]
    assert_allclose(classifier.frame_, B - B.mean(axis=0), atol=1e-14)
    expected = oracles.logits(X, y, new, B, mapping)
    assert_allclose(classifier.decision_function(new), expected, atol=1e-12)


# -- as a head -----------------------------------------------------------------------


@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("frame", FRAMES)
def test_linear_functions_decide(mapping, frame):
    X, y, weights, _ = rows()
    new = 4 * np.random.default_rng(1).normal(size=(300, D)) + 2
    classifier = ETFClassifier(FRAMES[frame][0], mapping=mapping)
    classifier.fit(X, y, weights)
    linear = new @ classifier.coef_.T + classifier.intercept_
    assert_array_equal(classifier.predict(new), linear.argmax(axis=1))
    # The factor is the row's own, and positive.
    ratio = linear / classifier.decision_function(new)
    assert_allclose(ratio, np.broadcast_to(ratio[:, :1], ratio.shape), rtol=1e-6)
    assert ratio.min() > 0
    for priors in ("empirical", np.full(C, 0.2)):
        classifier.set_params(priors=priors)
        for name in ("coef_", "intercept_"):
            assert not hasattr(classifier, name)
            with pytest.raises(AttributeError, match="with priors has no coef_"):
                getattr(classifier, name)


@pytest.mark.parametrize("n_classes", [2, C])
def test_planted_frame_is_dual_to_its_classifier(n_classes):
    X, y = frames.rows_about(planted(n_classes), 8)
    names = np.array(list("qwert"))[:n_classes]
    head = ETFClassifier()
    for given in (head, FrozenEstimator(clone(head).fit(X, names[y]))):
        assert nc3_self_duality(X, names[y], given) < 1e-12
        scorer = NeuralCollapseScorer(head=given).fit(X, names[y])
        assert scorer.metrics_["nc3_self_duality"] < 1e-12
        scorer = ETFAlignmentScorer(head=given).fit(X, names[y])
        assert scorer.metrics_["head_disparity"] < 1e-24
        assert_allclose(scorer.metrics_["head_alignment_mean"], 1, rtol=1e-12)
    if n_classes > 2:  # any two class means are a simplex
        noisy = X + np.random.default_rng(1).normal(size=X.shape)
        assert nc3_self_duality(noisy, names[y], head) > 1e-3
    with pytest.raises(ValueError, match="ETFClassifier has no coef_"):
        nc3_self_duality(X, names[y], ETFClassifier(priors="empirical"))


# -- precision -----------------------------------------------------------------------


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_float32_far_from_zero(mapping):
    """The centre is taken off in two steps: no digit of the difference is lost."""
    X, y, _, new = rows()
    X, new = ((x + 1e4).astype(np.float32) for x in (X, new))
    classifier = ETFClassifier(mapping=mapping).fit(X, y)
    found = classifier.decision_function(new)
    assert found.dtype == np.float32
    wide = [x.astype(float) for x in (X, y, new)]
    expected = oracles.logits(*wide, frames.simplex(C), mapping)
    assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("scale", [1e-22, 1e-9, 1e9, 1e20])
def test_float32_of_any_scale(scale):
    """Also where squares overflow, or underflow."""
    X, y, _, new = rows()
    for mapping in MAPPINGS:
        classifier = ETFClassifier(mapping=mapping)
        expected = clone(classifier).fit(X, y).decision_function(new)
        small, few = ((scale * x).astype(np.float32) for x in (X, new))
        found = classifier.fit(small, y).decision_function(few)
        assert found.dtype == np.float32
        assert_allclose(found, expected, atol=1e-5)


def test_ill_conditioned_features_in_float32():
    """The classes differ where the features hardly vary."""
    X, y, _, _ = rows(counts=40)
    X[:, :3] *= 3e5
    X = (X @ frames.random_rotation(D, D)).astype(np.float32)
    classifier = ETFClassifier(mapping="ridge").fit(X, y)
    assert classifier.rank_ == D
    linear = X.astype(float) @ classifier.coef_.T + classifier.intercept_
    length = np.linalg.norm(linear, axis=1, keepdims=True)
    found = classifier.decision_function(X)
    assert found.dtype == np.float32
    assert_allclose(found, np.sqrt(C / (C - 1)) * linear / length, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1e8, 1e30])
def test_frames_of_any_scale(scale):
    X, y, _, new = rows()
    X, new = X.astype(np.float32), new.astype(np.float32)
    for mapping in MAPPINGS:
        expected = ETFClassifier(CUBE, mapping=mapping).fit(X, y).decision_function(new)
        classifier = ETFClassifier(scale * CUBE, mapping=mapping).fit(X, y)
        assert_allclose(classifier.decision_function(new), expected, atol=1e-6)


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_ties_in_float32(mapping):
    """No more are decided wrongly than by the usual product and intercept."""
    X, y, _, _ = rows()
    new = 30 * np.random.default_rng(0).normal(size=(100_000, D)) + 100
    X, new = (X + 100).astype(np.float32), new.astype(np.float32)
    classifier = ETFClassifier(mapping=mapping).fit(X, y)
    coef, intercept = classifier.coef_, classifier.intercept_
    exact = (new.astype(float) @ coef.T + intercept).argmax(axis=1)
    usual = new @ coef.T.astype("f4") + intercept.astype("f4")
    wrong = (classifier.predict(new) != exact).sum()
    assert wrong <= max(3, (usual.argmax(axis=1) != exact).sum())


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_rows_without_length(library, mapping):
    """A row that is the centre has cosines 0 with all vertices."""
    corners = np.concatenate([np.eye(3), -np.eye(3)])
    X, y = np.repeat(corners, 4, axis=0), np.repeat(np.arange(6), 4)
    given = np.array([0.1, 0.2, 0.3, 0.25, 0.05, 0.1])
    for seed in range(5):  # of frames whose rows sum to zero but for rounding
        frame = np.random.default_rng(seed).normal(size=(6, 3))
        classifier = ETFClassifier(frame, mapping=mapping, priors=given)
        classifier.fit(library.asarray(X), y)
        shares = classifier.predict_proba(library.asarray(np.zeros((2, 3))))
        assert_allclose(library.to_numpy(shares), [given, given], rtol=1e-12)


def test_vertex_in_the_centre():
    """Its cosine is 0: its class is that of rows far from all others."""
    X, y, _, new = rows(n_classes=3, counts=9)
    line = np.array([[-1.0], [0.0], [1.0]])
    for mapping in MAPPINGS:
        classifier = ETFClassifier(line, mapping=mapping).fit(X, y)
        assert_array_equal(classifier.decision_function(new)[:, 1], 0.0)
        expected = oracles.logits(X, y, new, line, mapping)
        assert_allclose(classifier.decision_function(new), expected, atol=1e-12)


# -- arguments -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"mapping": "linear"}, "'mapping' parameter"),
        ({"temperature": 0.0}, "'temperature' parameter"),
        ({"temperature": -1.0}, "'temperature' parameter"),
        ({"shrinkage": 1.5, "mapping": "ridge"}, "'shrinkage' parameter"),
        ({"shrinkage": 0.5}, "shrinkage=0.5 has no meaning with mapping='procrustes'"),
        ({"shrinkage": "oas"}, "shrinkage='oas' has no meaning"),
        ({"priors": "uniform"}, "'priors' parameter"),
        ({"priors": 0.5}, "'priors' parameter"),
        ({"priors": [0.5, 0.5]}, "must match number of classes: got 2 for 5"),
        ({"priors": [[0.2] * 5]}, r"shape \(n_classes,\), got shape \(1, 5\)"),
        ({"priors": ["a"] * 5}, "dtype"),
        ({"priors": [0.5, 0.5, 0, 0, 0]}, "priors must be positive, got 0"),
        ({"priors": [0.5, 0.5, 0.2, 0.2, -0.4]}, "positive, got -0.4"),
        ({"priors": [0.2, 0.2, 0.2, 0.2, np.nan]}, "positive, got nan"),
        ({"priors": [0.2, 0.2, 0.2, 0.2, 0.3]}, "sum of the priors should be 1, got 1"),
        ({"frame": np.eye(4)}, "frame has 4 rows"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "fit_moments", "partial_fit"])
def test_arguments(method, options, match):
    X, y, _, _ = rows()
    classifier = ETFClassifier(**options)
    data = (ClassMoments().update(X, y),) if method == "fit_moments" else (X, y)
    with pytest.raises(ValueError, match=match):
        # How many classes there are is known when the classifier is used.
        getattr(classifier, method)(*data).predict(X)
    if method != "partial_fit":
        assert not hasattr(classifier, "moments_")


def test_priors_in_float32_may_be_rounded():
    X, y, _, new = rows()
    given = np.random.default_rng(0).dirichlet(np.ones(C))
    coarse = ETFClassifier(priors=given.astype(np.float32)).fit(X, y)
    fine = ETFClassifier(priors=given).fit(X, y)
    assert_allclose(coarse.predict_proba(new), fine.predict_proba(new), rtol=1e-6)
    assert_allclose(coarse.priors_.sum(), 1, rtol=1e-15)


def test_extreme_temperatures():
    X, y, _, new = rows()
    expected = ETFClassifier().fit(X, y).predict(new)
    for temperature in (1e-300, 1e-30, 1e30, 1e280):
        classifier = ETFClassifier(temperature=temperature).fit(X, y)
        assert_array_equal(classifier.predict(new), expected)
        if 1e-40 < temperature < 1e40:
            assert_array_equal(classifier.predict(new.astype("f4")) == expected, True)
        shares = classifier.predict_proba(new)
        assert_allclose(shares.sum(axis=1), 1)
        assert not np.isnan(classifier.predict_log_proba(new)).any()
    narrow = ETFClassifier(temperature=1e-40).fit(X.astype(np.float32), y)
    with pytest.raises(ValueError, match=r"temperature=1e-40 .*in float32"):
        narrow.predict(new.astype(np.float32))
    with pytest.raises(ValueError, match=r"temperature=1e\+40 .*in float32"):
        narrow.set_params(temperature=1e40).predict(new.astype(np.float32))


def test_class_means_that_coincide():
    X = np.repeat(np.random.default_rng(0).normal(size=(9, D)), C, axis=0)
    for mapping in MAPPINGS:
        with pytest.raises(ValueError, match="All class means coincide"):
            ETFClassifier(mapping=mapping).fit(X, np.tile(np.arange(C), 9))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_rows_that_are_not_finite(library, mapping, bad):
    X, y, _, new = rows()
    classifier = ETFClassifier(mapping=mapping).fit(library.asarray(X), y)
    new[7, 3] = bad
    with pytest.raises(ValueError, match=r"Input X contains (NaN|inf).*row 7, column"):
        classifier.predict(library.asarray(new))
    new[7, 3] = 1e200
    if mapping == "procrustes":
        with pytest.raises(ValueError, match="squares overflow"):
            classifier.predict(library.asarray(new))


def test_labels():
    X, y, _, _ = rows()
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match="requires y to be passed"):
            getattr(ETFClassifier(), method)(X, None)
        with pytest.raises(ValueError, match="at least two"):
            getattr(ETFClassifier(), method)(X, 0 * y).predict(X)
    with pytest.raises(ValueError, match="in classes"):
        ETFClassifier().partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(NotFittedError):
        ETFClassifier().predict(X)
    # Labels that were not fitted are missed.
    classifier = ETFClassifier().fit(X, y)
    assert classifier.score(X, y + 100) == 0.0
    assert classifier.score(X, y, (classifier.predict(X) == y) + 0.0) == 1.0


def test_numeric_labels_come_back_in_the_library(library):
    X, y, _, _ = rows()
    there = library.asarray(X)
    for labels in (3 * y - 4, y * 1.0):
        classifier = ETFClassifier().fit(there, library.asarray(labels))
        found = classifier.predict(there)
        assert library.owns(found)
        expected = ETFClassifier().fit(X, labels).predict(X)
        assert_array_equal(library.to_numpy(found), expected)
        assert library.to_numpy(found).dtype == expected.dtype
    names = np.array(list("ebadc"))
    found = ETFClassifier().fit(there, names[y]).predict(there)
    assert_array_equal(found, ETFClassifier().fit(X, names[y]).predict(X))


# -- ways to fit ---------------------------------------------------------------------


@pytest.mark.parametrize("shrinkage", [None, "oas"])
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_ways_to_fit(library, mapping, shrinkage):
    shrinkage = shrinkage if mapping == "ridge" else None
    X, y, weights, new = rows()
    classifier = ETFClassifier(mapping=mapping, shrinkage=shrinkage, priors="empirical")
    expected = clone(classifier).fit(X, y, weights).decision_function(new)
    order = np.argsort(y)  # the first blocks lack classes
    parts = clone(classifier)
    for block in (order[:3], order[3:20], order[20:]):
        parts.partial_fit(library.asarray(X[block]), y[block], None, weights[block])
    moments = ClassMoments().update(library.asarray(X[:9]), y[:9], weights[:9])
    moments += ClassMoments().update(library.asarray(X[9:]), y[9:], weights[9:])
    for other in (parts, clone(classifier).fit_moments(moments)):
        found = library.to_numpy(other.decision_function(library.asarray(new)))
        assert_allclose(found, expected, atol=1e-12)
    with pytest.raises(ValueError, match="normalize=False"):
        classifier.fit_moments(ClassMoments(normalize=True).update(X, y))


def test_ledoit_wolf_needs_rows():
    X, y, _, _ = rows()
    classifier = ETFClassifier(mapping="ridge", shrinkage="ledoit_wolf").fit(X, y)
    assert 0 < classifier.shrinkage_ < 1
    for other in (
        clone(classifier).partial_fit(X, y),
        clone(classifier).fit_moments(ClassMoments().update(X, y)),
        clone(classifier).fit(X, y).fit_moments(ClassMoments().update(X, y)),
        classifier.partial_fit(X, y),
    ):
        with pytest.raises(ValueError, match="needs rows, which partial_fit"):
            other.predict(X)


def test_decisions_follow_new_rows_and_parameters():
    X, y, _, new = rows()
    moved = X + 5 * (y == 1)[:, None]
    both = np.concatenate([X, moved]), np.concatenate([y, y])
    for mapping in MAPPINGS:
        classifier = ETFClassifier(mapping=mapping, priors="empirical")
        first = classifier.partial_fit(X, y).decision_function(new)
        found = classifier.partial_fit(moved, y).decision_function(new)
        expected = clone(classifier).fit(*both).decision_function(new)
        assert_allclose(found, expected, atol=1e-12)
        assert np.abs(found - first).max() > 1e-2
        # What needs no new fit does not ask for one.
        other = MAPPINGS[1 - MAPPINGS.index(mapping)]
        classifier.set_params(mapping=other, temperature=2.0, priors=None)
        expected = clone(classifier).fit(*both).decision_function(new)
        assert_allclose(classifier.decision_function(new), expected, atol=1e-12)


def test_failed_fit_keeps_the_first():
    X, y, _, new = rows()
    classifier = ETFClassifier(mapping="ridge", shrinkage="ledoit_wolf").fit(X, y)
    expected = classifier.decision_function(new)
    for options in ({"priors": [0.5, 0.5]}, {"priors": None, "frame": np.ones((C, 2))}):
        with pytest.raises(ValueError, match=r"priors|frame"):
            classifier.set_params(**options).fit(X, y)
    classifier.set_params(frame="simplex")
    assert_array_equal(classifier.decision_function(new), expected)


# -- scikit-learn --------------------------------------------------------------------


def test_in_searches_and_pipelines():
    X, y = load_wine(return_X_y=True)
    y = np.array(["red", "rosé", "white"])[y]
    pipeline = make_pipeline(StandardScaler(), ETFClassifier(mapping="ridge"))
    grid = {
        "etfclassifier__temperature": [0.05, 1.0],
        "etfclassifier__shrinkage": [None, 0.1, "oas", "ledoit_wolf"],
    }
    search = GridSearchCV(pipeline, grid, scoring="neg_log_loss", error_score="raise")
    search.fit(X, y)
    assert search.best_params_["etfclassifier__temperature"] == 0.05
    assert search.best_estimator_.score(X, y) > 0.97
    shares = cross_val_predict(pipeline, X, y, method="predict_proba")
    assert shares.shape == (len(X), 3)
    assert_allclose(shares.sum(axis=1), 1)
    assert np.mean(np.unique(y)[shares.argmax(axis=1)] == y) > 0.95
    calibrated = CalibratedClassifierCV(pipeline).fit(X, y)
    assert calibrated.score(X, y) > 0.95
    assert log_loss(y, calibrated.predict_proba(X)) < log_loss(y, shares)
    assert_array_equal(calibrated.classes_, ["red", "rosé", "white"])


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_copies(library, mapping):
    X, y, _, new = rows()
    names = np.array(list("ebadc"))[y]
    frame = FRAMES["wide"][0].copy()
    classifier = ETFClassifier(frame, mapping=mapping, priors="empirical")
    classifier.fit(library.asarray(X), names)
    expected = library.to_numpy(classifier.decision_function(library.asarray(new)))
    frame *= -1  # a copy was kept
    again = pickle.loads(pickle.dumps(classifier))
    found = again.decision_function(library.asarray(new))
    assert_array_equal(library.to_numpy(found), expected)
    moved = move_estimator(classifier, "numpy")
    assert_allclose(moved.decision_function(new), expected, atol=1e-12)
    assert_array_equal(moved.predict(new), again.predict(library.asarray(new)))
    back = move_estimator(moved, library.asarray(X))
    found = back.decision_function(library.asarray(new))
    assert library.owns(found)
    assert_allclose(library.to_numpy(found), expected, atol=1e-12)


# -- real features -------------------------------------------------------------------


def test_real_features():
    """Held-out accuracy between that of class means and that of the network."""
    data = load_cifar8_features()
    X, y = data.data, data.target
    nearest = NearestCentroid().fit(X, y).score(data.X_test, data.y_test)
    network = data.head.score(data.X_test, data.y_test)
    targets = oracles.one_hot(y)
    fitted = LinearRegression().fit(X.astype(float), targets)
    fitted = fitted.predict(data.X_test).argmax(axis=1)
    for options in (
        {},
        {"mapping": "ridge"},
        {"mapping": "ridge", "shrinkage": "oas"},
        {"mapping": "ridge", "shrinkage": 0.1},
    ):
        classifier = ETFClassifier(**options).fit(X, y)
        accuracy = classifier.score(data.X_test, data.y_test)
        assert nearest < accuracy < network
        if options == {"mapping": "ridge"}:
            assert_array_equal(classifier.predict(data.X_test), np.unique(y)[fitted])
