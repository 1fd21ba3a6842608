"""Tests of RegressionCollapseScorer."""

import math
import pickle
import warnings
from itertools import pairwise

import numpy as np
import oracles_regression as oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from sklearn_collapse import ClassMoments
from sklearn_collapse.collapse import RegressionCollapseScorer
from sklearn_collapse.metrics import METRICS, CollapseWarning, get_scorer
from sklearn_collapse.utils import move_estimator

EPS = np.finfo(float).eps
NAMES = ["nrc1", "nrc2", "nrc3"]


def made(n=80, d=6, t=2, seed=0, noise=0.3, offset=0.2):
    """Features that follow targets by a linear map, and its weights."""
    weights = np.random.default_rng(9)
    mix, W = weights.normal(size=(t, t)), weights.normal(size=(t, d))
    rng = np.random.default_rng(seed)
    Y = rng.normal(size=(n, t)) @ mix + 1.0
    return Y @ W + noise * rng.normal(size=(n, d)) + offset, Y, W


def expected(X, Y, W, weights=None, centered=False):
    return {
        "nrc1": oracles.nrc1(X, Y.shape[1], weights, centered),
        "nrc2": oracles.nrc2(X, W, weights, centered),
        "nrc3": oracles.nrc3(Y, W, weights)[0],
    }


def assert_metrics(found, truth, rtol=1e-10):
    assert found.keys() == truth.keys()
    for name, value in truth.items():
        assert type(found[name]) is float
        least = 1e-5 if name == "nrc3" else rtol  # the oracle's grid
        assert_allclose(found[name], value, rtol=least, err_msg=name)


def in_blocks(scorer, X, Y, weights=None, sizes=(7, 30, 1, 42), library=None):
    wrap = np.asarray if library is None else library.asarray
    edges = np.cumsum([0, *sizes])
    for start, stop in pairwise(edges):
        w = None if weights is None else weights[start:stop]
        scorer.partial_fit(wrap(X[start:stop]), wrap(Y[start:stop]), w)
    return scorer


# -- values ----------------------------------------------------------------------


@pytest.mark.parametrize("centered", [False, True])
def test_metrics(library, centered):
    X, Y, W = made()
    scorer = RegressionCollapseScorer(head=library.asarray(W), centered=centered)
    scorer.fit(library.asarray(X), library.asarray(Y))
    assert_metrics(scorer.metrics_, expected(X, Y, W, centered=centered))


@pytest.mark.parametrize("centered", [False, True])
def test_weights(centered):
    X, Y, W = made()
    weights = np.random.default_rng(2).integers(0, 4, len(X))
    index = np.repeat(np.arange(len(X)), weights)
    scorer = RegressionCollapseScorer(head=W, centered=centered)
    weighted = clone(scorer).fit(X, Y, weights).metrics_
    assert_metrics(weighted, expected(X, Y, W, weights, centered))
    repeated = clone(scorer).fit(X[index], Y[index]).metrics_
    assert_allclose(list(weighted.values()), list(repeated.values()), rtol=1e-11)


def test_functions_give_the_same():
    X, Y, W = made()
    weights = np.random.default_rng(2).uniform(0.1, 2, len(X))
    found = RegressionCollapseScorer(head=W).fit(X, Y, weights).metrics_
    for name in NAMES:
        extra = () if name == "nrc1" else (W,)
        value = METRICS[name].function(X, Y, *extra, sample_weight=weights)
        assert_allclose(found[name], value, rtol=1e-12)


def test_collapsed_features_are_never_negative(library):
    for seed in range(5):
        X, Y, W = made(noise=0.0, offset=0.0, seed=seed)
        for scale in (1e-6, 1.0, 1e6):
            scorer = RegressionCollapseScorer(head=library.asarray(W))
            scorer.fit(library.asarray(scale * X), library.asarray(Y))
            for name in ("nrc1", "nrc2"):
                assert 0 <= scorer.metrics_[name] < 100 * EPS


def test_attributes(library):
    X, Y, W = made(t=3)
    scorer = RegressionCollapseScorer(head=W).fit(*map(library.asarray, (X, Y)))
    assert scorer.n_targets_ == scorer.n_components_ == 3
    components = library.to_numpy(scorer.components_)
    assert library.owns(scorer.components_)
    assert library.owns(scorer.target_covariance_)
    assert_allclose(components @ components.T, np.eye(3), atol=1e-12)
    vectors = np.linalg.eigh(oracles.covariance(X))[1][:, -3:]
    assert_allclose(components.T @ components, vectors @ vectors.T, atol=1e-9)
    sigma = oracles.covariance(Y)
    assert_allclose(library.to_numpy(scorer.target_covariance_), sigma, rtol=1e-10)
    found = oracles.nrc3_at(W, sigma, scorer.gamma_)
    assert_allclose(found, scorer.metrics_["nrc3"], rtol=1e-7)
    assert_array_equal(library.to_numpy(scorer.head_), W)
    assert scorer.n_features_in_ == 6


def test_n_components():
    X, Y, _ = made(noise=1.0)
    for k in (1, 4, 6, 50):
        scorer = RegressionCollapseScorer(n_components=k).fit(X, Y)
        assert scorer.n_components_ == min(k, 6)
        truth = oracles.nrc1(X, min(k, 6))
        assert_allclose(scorer.metrics_["nrc1"], truth, rtol=1e-10, atol=10 * EPS)


def test_one_target():
    X, Y, W = made(t=1)
    scorer = RegressionCollapseScorer(head=W[0]).fit(X, Y[:, 0])
    assert set(scorer.metrics_) == {"nrc1", "nrc2"}
    named = RegressionCollapseScorer(head=W, metrics=["nrc3"]).fit(X, Y)
    assert math.isnan(named.metrics_["nrc3"])
    assert math.isnan(scorer.gamma_)
    assert scorer.n_targets_ == 1
    assert scorer.head_.shape == (1, 6)
    assert_allclose(scorer.metrics_["nrc1"], oracles.nrc1(X, 1), rtol=1e-10)
    same = RegressionCollapseScorer(head=W).fit(X, Y)
    assert same.metrics_["nrc2"] == scorer.metrics_["nrc2"]


def test_rows_of_zeros():
    """Left out, with one warning for each metric that leaves them out."""
    X, Y, W = made()
    X[[1, 5, 6]] = 0
    scorer = RegressionCollapseScorer(head=W).fit(X, Y)
    with pytest.warns(CollapseWarning, match=r"rows of zeros \(0.0375") as caught:
        found = scorer.metrics_
    assert len(caught) == 2
    assert_metrics(found, expected(X, Y, W))
    with pytest.warns(CollapseWarning, match="nrc1 leaves out"):
        score = scorer.score(X)
    assert_allclose(score, -found["nrc1"], rtol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # they have been measured
        assert scorer.metrics_ == found


# -- streams ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nrc1", "nrc2"])
def test_partial_fit_equals_fit(library, name):
    X, Y, W = made()
    weights = np.random.default_rng(1).uniform(0.5, 2, len(X))
    scorer = RegressionCollapseScorer(name, head=library.asarray(W))
    whole = clone(scorer).fit(library.asarray(X), library.asarray(Y), weights)
    parts = in_blocks(clone(scorer), X, Y, weights, library=library)
    new = library.asarray(made(seed=3)[0])
    for a, b in zip(whole.metrics_.items(), parts.metrics_.items(), strict=True):
        assert a[0] == b[0]
        assert_allclose(a[1], b[1], rtol=1e-10)
    assert_allclose(whole.score(new), parts.score(new), rtol=1e-12)
    assert_allclose(whole.gamma_, parts.gamma_, rtol=1e-10)
    # A fit is continued, and begun anew.
    more = clone(scorer).fit(*(library.asarray(a[:30]) for a in (X, Y)))
    more.partial_fit(*(library.asarray(a[30:]) for a in (X, Y)))
    assert_metrics(more.metrics_, expected(X, Y, W))
    more.fit(*(library.asarray(a[:30]) for a in (X, Y)))
    assert_metrics(more.metrics_, expected(X[:30], Y[:30], W))


def test_metrics_are_new_after_new_rows():
    X, Y, W = made()
    scorer = RegressionCollapseScorer(head=W).partial_fit(X[:40], Y[:40])
    first = scorer.metrics_
    scorer.partial_fit(X[40:41], Y[40:41])  # waits in the buffer
    assert_metrics(scorer.metrics_, expected(X[:41], Y[:41], W))
    assert scorer.metrics_ != first


def test_centred_metrics_need_rows():
    X, Y, W = made()
    scorer = RegressionCollapseScorer(head=W, centered=True).fit(X, Y)
    assert set(scorer.metrics_) == set(NAMES)
    scorer.partial_fit(X, Y)
    assert set(scorer.metrics_) == {"nrc3"}
    # The directions and the mean are known: new rows can be scored.
    fitted = clone(scorer).fit(X, Y)
    parts = in_blocks(clone(scorer), X, Y)
    new = made(seed=2)[0]
    assert_allclose(parts.score(new), fitted.score(new), rtol=1e-12)
    with pytest.raises(ValueError, match="nrc1 needs rows: use fit"):
        _ = scorer.set_params(metrics=["nrc1"]).metrics_


def test_values_of_rows_belong_to_the_parameters():
    """Changed after fit, they leave out what was measured with others."""
    X, Y, W = made()
    scorer = RegressionCollapseScorer(head=W, centered=True, n_components=1)
    first = scorer.fit(X, Y).metrics_
    changed = scorer.set_params(n_components=2).metrics_
    assert changed == {name: first[name] for name in ("nrc2", "nrc3")}
    assert set(scorer.set_params(centered=False).metrics_) == {"nrc3"}


def test_fit_moments():
    X, Y, W = made()
    moments = ClassMoments.from_arrays(X)
    unit = ClassMoments.from_arrays(X, normalize=True)
    targets = ClassMoments.from_arrays(Y)
    scorer = RegressionCollapseScorer(head=W)
    whole = clone(scorer).fit(X, Y).metrics_
    found = clone(scorer).fit_moments(moments, unit, targets)
    assert_allclose(list(found.metrics_.values()), list(whole.values()), rtol=1e-12)
    found.partial_fit(X[:9], Y[:9])
    assert targets.n_samples_ == moments.n_samples_ == unit.n_samples_ == 80
    # What was not given is absent, or says what to pass.
    found = clone(scorer).fit_moments(moments, unit)
    assert set(found.metrics_) == {"nrc2"}
    with pytest.raises(ValueError, match="target_moments= to fit_moments"):
        found.score(X)
    with pytest.raises(ValueError, match="cannot add targets"):
        found.partial_fit(X, Y)
    with pytest.raises(AttributeError, match="target_moments"):
        _ = found.n_targets_
    found = RegressionCollapseScorer(n_components=2).fit_moments(moments, unit)
    assert_allclose(found.metrics_["nrc1"], whole["nrc1"], rtol=1e-12)
    found = clone(scorer).fit_moments(moments, target_moments=targets)
    assert set(found.metrics_) == {"nrc3"}
    assert_allclose(found.score(X), -whole["nrc1"], rtol=1e-11)
    with pytest.raises(ValueError, match="nrc1 needs moments of unit rows"):
        _ = found.set_params(metrics=["nrc1"]).metrics_


@pytest.mark.parametrize(
    ("targets", "error", "text"),
    [
        (lambda Y: Y, TypeError, "target_moments must be a ClassMoments"),
        (lambda Y: ClassMoments.from_arrays(Y[1:]), ValueError, "of the same rows"),
        (
            lambda Y: ClassMoments.from_arrays(Y, normalize=True),
            ValueError,
            "normalize=True",
        ),
        (
            lambda Y: ClassMoments.from_arrays(Y[:, :1]),
            ValueError,
            r"y has 1 target.*must have shape \(1, 6\)",
        ),
    ],
)
def test_target_moments_refused(targets, error, text):
    X, Y, W = made()
    scorer = RegressionCollapseScorer(head=W).fit(X, Y)
    before = vars(scorer).copy()
    moments = ClassMoments.from_arrays(X)
    with pytest.raises(error, match=text):
        scorer.fit_moments(moments, target_moments=targets(Y))
    assert vars(scorer) == before


def test_moments_in_two_places():
    strict = pytest.importorskip("array_api_strict")
    X, Y, _ = made()
    targets = ClassMoments.from_arrays(strict.asarray(Y))
    with pytest.raises(ValueError, match="same library and device"):
        RegressionCollapseScorer().fit_moments(
            ClassMoments.from_arrays(X), target_moments=targets
        )


def test_a_block_that_raises_changes_nothing():
    X, Y, W = made()
    scorer = RegressionCollapseScorer(head=W).partial_fit(X[:40], Y[:40])
    bad_X, bad_Y = X[40:].copy(), Y[40:].copy()
    bad_X[3, 2], bad_Y[5, 0] = np.nan, np.inf
    for block, text in (
        ((bad_X, Y[40:]), "row 3"),
        ((X[40:], bad_Y), "y contains inf"),
        ((X[40:], Y[40:, 0]), r"1 target"),
        ((X[40:], Y[39:]), "inconsistent"),
        ((X[40:, :3], Y[40:]), "features"),
        ((X[40:], np.full((40, 2), 1e300)), "y holds values so large"),
        ((X[40:], Y[40:], -np.ones(40)), "sample_weight"),
    ):
        with pytest.raises(ValueError, match=text):
            scorer.partial_fit(*block)
    with pytest.raises(ValueError, match="y has 3 target"):
        RegressionCollapseScorer().fit(X, Y).partial_fit(X, np.ones((80, 3)))
    scorer.partial_fit(X[40:], Y[40:])
    assert_metrics(scorer.metrics_, expected(X, Y, W))
    assert scorer.target_moments_.n_samples_ == scorer.unit_moments_.n_samples_ == 80


def test_one_library_throughout():
    torch = pytest.importorskip("torch")
    X, Y, W = made()
    scorer = RegressionCollapseScorer(head=W).fit(X, Y)
    with pytest.raises(
        ValueError, match=r"partial_fit\(\) must use the same namespace"
    ):
        scorer.partial_fit(torch.asarray(X), Y)
    assert_metrics(scorer.metrics_, expected(X, Y, W))


# -- new rows --------------------------------------------------------------------


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("criterion", ["nrc1", "nrc2"])
def test_score(library, criterion, centered):
    """By a loop over new rows with the directions of the fitted ones."""
    X, Y, W = made()
    scorer = RegressionCollapseScorer(criterion, head=W, centered=centered)
    scorer.fit(*map(library.asarray, (X, Y)))
    own = scorer.score(library.asarray(X), library.asarray(Y))
    assert type(own) is float
    assert_allclose(own, -scorer.metrics_[criterion], rtol=1e-11)
    new = made(seed=1, n=25, noise=1.0)[0]
    weights = np.random.default_rng(0).integers(0, 3, 25)
    basis = np.linalg.eigh(oracles.covariance(X))[1][:, -2:]
    if criterion == "nrc2":
        basis = np.linalg.svd(W, full_matrices=False)[2].T
    centre = X.mean(axis=0) if centered else 0.0
    for w in (None, weights):
        truth = -oracles.residual(new - centre, basis, w)
        assert_allclose(
            scorer.score(library.asarray(new), sample_weight=w), truth, rtol=1e-10
        )


def test_score_without_a_head_or_with_another_criterion():
    X, Y, _ = made()
    scorer = RegressionCollapseScorer("nrc2").fit(X, Y)
    with pytest.raises(ValueError, match="nrc2 needs a head: pass head="):
        scorer.score(X)
    with pytest.raises(ValueError, match="criterion"):
        RegressionCollapseScorer("nrc3").fit(X, Y)
    with pytest.raises(ValueError, match="do not change on new rows"):
        scorer.set_params(criterion="nrc3").score(X)
    with pytest.raises(ValueError, match="nrc3 needs a head"):
        _ = scorer.gamma_


def test_which_metrics():
    X, Y, W = made()
    assert set(RegressionCollapseScorer().fit(X, Y).metrics_) == {"nrc1"}
    scorer = RegressionCollapseScorer(head=W, metrics=["nrc3"]).fit(X, Y)
    assert set(scorer.metrics_) == {"nrc3"}
    with pytest.raises(ValueError, match=r"unknown names \['vci'\]; known are"):
        RegressionCollapseScorer(metrics=["vci"]).fit(X, Y)
    with pytest.raises(ValueError, match="nrc3 needs a head"):
        _ = RegressionCollapseScorer(metrics=["nrc3"]).fit(X, Y).metrics_


def test_id_gap(library):
    X, Y, _ = made(n=40)
    for metrics in ("all", ["id_gap"]):
        scorer = RegressionCollapseScorer(metrics=metrics)
        scorer.fit(library.asarray(X), library.asarray(Y))
        assert_allclose(scorer.metrics_["id_gap"], oracles.id_gap(X, Y), rtol=1e-9)
    weights = np.r_[np.zeros(10), np.full(30, 2.0)]
    found = clone(scorer).fit(X, Y, weights).metrics_["id_gap"]
    assert_allclose(found, oracles.id_gap(X[10:], Y[10:]), rtol=1e-9)
    # What was measured on rows is void where there are more, and not kept in secret.
    scorer.partial_fit(library.asarray(X), library.asarray(Y))
    with pytest.raises(ValueError, match="id_gap needs rows: use fit"):
        _ = scorer.metrics_
    assert "id_gap" not in scorer.set_params(metrics="all").metrics_
    with pytest.raises(ValueError, match="criterion"):
        RegressionCollapseScorer("id_gap").fit(X, Y)


# -- heads -----------------------------------------------------------------------


def test_heads(library):
    X, Y, _ = made()
    fitted = LinearRegression().fit(X, Y)
    truth = expected(X, Y, fitted.coef_)
    rows = library.asarray(X), library.asarray(Y)
    for head in (fitted, FrozenEstimator(fitted), fitted.coef_, LinearRegression()):
        scorer = RegressionCollapseScorer(head=head).fit(*rows)
        assert_metrics(scorer.metrics_, truth, rtol=1e-8)
        assert library.owns(scorer.head_)
    frozen = clone(RegressionCollapseScorer(head=FrozenEstimator(fitted)))
    frozen.partial_fit(*rows)
    assert_allclose(frozen.metrics_["nrc2"], truth["nrc2"], rtol=1e-8)


def test_head_that_has_to_be_fitted():
    X, Y, _ = made()
    scorer = RegressionCollapseScorer(head=Ridge())
    for name in ("partial_fit", "fit_moments"):
        assert not hasattr(scorer, name)
        with pytest.raises(ValueError, match="Ridge as head has to be fitted"):
            getattr(scorer, name)
    scorer.fit(X, Y)
    assert not hasattr(scorer.head, "coef_")
    assert_allclose(scorer.head_, Ridge().fit(X, Y).coef_, rtol=1e-10)


def test_head_is_a_copy():
    X, Y, W = made()
    scorer = RegressionCollapseScorer(head=W).fit(X, Y)
    W[:] = 0
    assert scorer.head_.any()


@pytest.mark.parametrize("head", [np.ones((3, 6)), np.ones((2, 5)), Ridge])
def test_head_refused(head):
    X, Y, _ = made()
    scorer = RegressionCollapseScorer(head=head)
    for method in (scorer.fit, scorer.partial_fit):
        with pytest.raises((ValueError, TypeError), match="head"):
            method(X, Y)
    assert not [name for name in vars(scorer) if name.endswith("_")]


# -- a member of scikit-learn ----------------------------------------------------


def test_tags():
    tags = get_tags(RegressionCollapseScorer())
    assert tags.target_tags.required
    assert tags.target_tags.multi_output
    assert tags.estimator_type is None


@pytest.mark.parametrize("y", [None, [["a"]] * 80, [1.0] * 79 + [math.nan]])
def test_targets_refused(y):
    with pytest.raises(ValueError, match="y"):
        RegressionCollapseScorer().fit(made()[0], y)


def test_in_a_search():
    X, Y, W = made()
    pipeline = make_pipeline(StandardScaler(), RegressionCollapseScorer())
    grid = {"regressioncollapsescorer__n_components": [1, 2]}
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(X, Y)
    assert search.best_params_ == {"regressioncollapsescorer__n_components": 2}
    scorer = RegressionCollapseScorer("nrc2", head=W)
    scores = cross_val_score(scorer, X, Y, cv=4)
    edges = [slice(20 * k, 20 * k + 20) for k in range(4)]
    assert_allclose(scores, [-oracles.nrc2(X[e], W) for e in edges], rtol=1e-10)
    by_name = get_scorer("neg_nrc2")(scorer.fit(X, Y), X[:9], Y[:9])
    assert_allclose(by_name, -oracles.nrc2(X[:9], W), rtol=1e-10)


def test_pickle_and_move(library):
    X, Y, W = made()
    scorer = RegressionCollapseScorer(head=library.asarray(W))
    scorer.fit(*map(library.asarray, (X, Y)))
    copy = pickle.loads(pickle.dumps(scorer))
    assert copy.metrics_ == scorer.metrics_
    moved = move_estimator(scorer, "numpy")
    assert isinstance(moved.head_, np.ndarray)
    assert_allclose(moved.score(X), scorer.score(library.asarray(X)), rtol=1e-12)
    moved.partial_fit(X, Y)


def test_not_fitted():
    X, _, _ = made()
    for what in (
        lambda s: s.score(X),
        lambda s: s.metrics_,
        lambda s: s.components_,
        lambda s: s.gamma_,
        lambda s: s.target_covariance_,
    ):
        with pytest.raises(NotFittedError):
            what(RegressionCollapseScorer())


def test_a_new_fit_forgets():
    X, Y, W = made()
    scorer = RegressionCollapseScorer(head=W, centered=True).fit(X, Y)
    scorer.set_params(head=None, centered=False).fit(X[:, :4], Y[:, 0])
    assert set(scorer.metrics_) == {"nrc1"}
    assert scorer.head_ is None
    assert_allclose(scorer.metrics_["nrc1"], oracles.nrc1(X[:, :4], 1), rtol=1e-10)
    scorer.fit_moments(ClassMoments.from_arrays(X))
    assert not hasattr(scorer, "target_moments_")
    assert not hasattr(scorer, "unit_moments_")
