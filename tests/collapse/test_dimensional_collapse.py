"""Tests of DimensionalCollapseScorer: fitting, streaming, metrics_, score, input."""

import math
import pickle
import warnings

import numpy as np
import oracles_dimensional as oracles
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_collapse import ClassMoments
from sklearn_collapse.collapse import DimensionalCollapseScorer
from sklearn_collapse.metrics import METRICS, CollapseWarning, get_scorer

NAMES = [name for name, metric in METRICS.items() if metric.family == "dimensional"]
PLAIN = [name for name in NAMES if METRICS[name].needs == {"moments"}]
CRITERIA = [name for name in NAMES if METRICS[name].direction is not None]
CENTERED = {
    *("effective_rank", "entropy_rank", "participation_ratio", "nuclear_rank"),
    "numerical_rank",
}
D = 13


def made(n=90, seed=0, offset=1.0):
    rng = np.random.default_rng(seed)
    scales = np.arange(1, D + 1) ** -0.7
    rotation = np.linalg.qr(rng.normal(size=(D, D)))[0]
    return (rng.normal(size=(n, D)) * scales) @ rotation + offset * rng.normal(size=D)


def assert_metrics(found, X, names, centered=True, rtol=1e-9):
    assert set(found) == set(names)
    for name, value in found.items():
        assert type(value) is float, name
        options = {} if centered or name not in CENTERED else {"centered": False}
        truth = getattr(oracles, name)(X, **options)
        assert_allclose(value, truth, rtol=rtol, atol=1e-12, err_msg=name)


# -- metrics_ -------------------------------------------------------------------------


@pytest.mark.parametrize("centered", [True, False])
def test_all_metrics(library, centered):
    X = made()
    scorer = DimensionalCollapseScorer(centered=centered, metrics="all")
    assert scorer.fit(library.asarray(X)) is scorer
    assert_metrics(scorer.metrics_, X, NAMES, centered)
    assert scorer.rank_ == D
    assert library.owns(scorer.eigenvalues_)
    rows = oracles.centred(X) if centered else X
    values = np.linalg.svd(rows, compute_uv=False) ** 2 / len(X)
    assert_allclose(library.to_numpy(scorer.eigenvalues_), values, rtol=1e-9)
    assert_allclose(library.to_numpy(scorer.mean_), X.mean(axis=0), rtol=1e-12)
    assert scorer.n_features_in_ == D
    assert scorer.device_ == "cpu"


def test_which_metrics_there_are():
    X = made()
    assert_metrics(DimensionalCollapseScorer().fit(X).metrics_, X, PLAIN)
    for name in ("vrm", "mean_cosine"):
        scorer = DimensionalCollapseScorer(name).fit(X)
        assert_metrics(scorer.metrics_, X, [*PLAIN, name])
    chosen = ["feature_std", "eee"]
    scorer = DimensionalCollapseScorer("nesum", metrics=chosen).fit(X)
    assert list(scorer.metrics_) == chosen
    assert not hasattr(DimensionalCollapseScorer().fit(X), "unit_moments_")
    scorer.metrics_["eee"] = 0.0  # a copy
    assert scorer.metrics_["eee"] > 0


def test_centering_can_be_changed_after_fitting():
    X = made()
    scorer = DimensionalCollapseScorer().fit(X)
    first = scorer.metrics_["effective_rank"]
    scorer.set_params(centered=False)
    assert_metrics(scorer.metrics_, X, PLAIN, centered=False)
    assert scorer.metrics_["effective_rank"] != first
    assert scorer.rank_ == D


def test_eigenvalues_that_do_not_count_are_zero():
    X = made()
    X = np.hstack([X, X[:, :3]]).astype(np.float32)
    scorer = DimensionalCollapseScorer().fit(X)
    assert scorer.rank_ == D
    assert_array_equal(scorer.eigenvalues_[D:], 0)
    assert np.all(np.diff(scorer.eigenvalues_) <= 0)


def test_constant_rows_warn_once():
    X = np.full((20, 12), 3.0)
    scorer = DimensionalCollapseScorer(metrics="all")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = scorer.fit(X).metrics_
    assert len([w for w in caught if "span no dimension" in str(w.message)]) == 1
    assert all(w.filename == __file__ for w in caught)
    assert found["effective_rank"] == found["numerical_rank"] == scorer.rank_ == 0
    assert math.isnan(found["isoscore"])
    assert found["rankme"] == 1


# -- labels, weights, streams ---------------------------------------------------------


def test_labels_have_no_part():
    X = made()
    y = np.arange(len(X)) % 3
    X = X + 4 * np.random.default_rng(5).normal(size=(3, D))[y]
    expected = DimensionalCollapseScorer(metrics="all").fit(X)
    assert expected.fit(X, y).moments_.classes_.tolist() == [0]
    for labels in (y, y.astype(str), ["a"] * len(X)):
        moments = ClassMoments.from_arrays(X, labels, class_scatter=True)
        units = ClassMoments.from_arrays(X, labels, normalize=True)
        before = moments.to_dict()
        adopted = DimensionalCollapseScorer(metrics="all").fit_moments(moments, units)
        assert_metrics(adopted.metrics_, X, set(NAMES) - {"vrm"})
        for name, value in moments.to_dict().items():
            assert_array_equal(value, before[name])
        adopted.partial_fit(X + 1)
        assert_metrics(
            adopted.metrics_, np.concatenate([X, X + 1]), set(NAMES) - {"vrm"}
        )
    # One with labels, the other without.
    units = ClassMoments.from_arrays(X, normalize=True)
    mixed = DimensionalCollapseScorer(metrics="all").fit_moments(moments, units)
    assert_metrics(mixed.metrics_, X, set(NAMES) - {"vrm"})


def test_moments_of_classes_become_those_of_one_class(library):
    X = made()
    y = np.arange(len(X)) % 4
    options = {"class_scatter": True}
    labelled = ClassMoments.from_arrays(
        library.asarray(X + 9.0 * y[:, None]), library.asarray(y), **options
    )
    plain = ClassMoments.from_arrays(library.asarray(X + 9.0 * y[:, None]), **options)
    joined = labelled._unlabelled()
    assert library.owns(joined.scatter_)
    for name, value in plain.to_dict().items():
        if value.dtype.kind == "f":
            assert_allclose(joined.to_dict()[name], value, rtol=1e-11, err_msg=name)
        else:
            assert_array_equal(joined.to_dict()[name], value)
    assert_allclose(
        (joined + plain).to_dict()["scatter"], 2 * plain.to_dict()["scatter"]
    )
    assert len(labelled.classes_) == 4


def test_weights_are_repetitions():
    X = made()
    weights = np.random.default_rng(1).integers(0, 4, len(X))
    scorer = DimensionalCollapseScorer(metrics="all").fit(X, sample_weight=weights)
    repeated = np.repeat(X, weights, axis=0)
    assert_metrics(scorer.metrics_, repeated, NAMES)
    for name in CRITERIA:
        scorer.set_params(criterion=name)
        sign = 1 if METRICS[name].direction == "higher" else -1
        found = sign * scorer.score(X, sample_weight=weights)
        assert_allclose(found, getattr(oracles, name)(repeated), rtol=1e-9)


def test_streaming(library):
    X = made()
    scorer = DimensionalCollapseScorer(metrics="all")
    for start in range(0, 90, 25):
        scorer.partial_fit(library.asarray(X[start : start + 25]))
        seen = X[: start + 25]
        assert_metrics(scorer.metrics_, seen, set(NAMES) - {"vrm"}, rtol=1e-8)
    scorer.fit(library.asarray(X))
    assert "vrm" in scorer.metrics_
    scorer.partial_fit(library.asarray(X))
    assert "vrm" not in scorer.metrics_


def test_metrics_that_cannot_be_had():
    X = made()
    scorer = DimensionalCollapseScorer(metrics=["vrm"]).partial_fit(X)
    with pytest.raises(ValueError, match="vrm needs rows: use fit"):
        scorer.metrics_  # noqa: B018
    scorer = DimensionalCollapseScorer(metrics=["mean_cosine"])
    scorer.fit_moments(ClassMoments.from_arrays(X))
    with pytest.raises(ValueError, match="mean_cosine needs moments of unit rows"):
        scorer.metrics_  # noqa: B018
    scorer.partial_fit(X)  # of the new rows alone: not what was asked for
    with pytest.raises(ValueError, match="mean_cosine needs moments of unit rows"):
        scorer.metrics_  # noqa: B018
    # The criterion is absent, and can still be measured on rows.
    for name in ("vrm", "mean_cosine"):
        scorer = DimensionalCollapseScorer(name)
        scorer.fit_moments(ClassMoments.from_arrays(X))
        assert set(scorer.metrics_) == set(PLAIN)
        assert_allclose(scorer.score(X), -getattr(oracles, name)(X), rtol=1e-9)
    # What was not asked for before fitting is not there afterwards.
    scorer = DimensionalCollapseScorer().fit(X).set_params(metrics="all")
    assert set(scorer.metrics_) == set(PLAIN)


def test_moments_that_do_not_fit():
    X = made()
    scorer = DimensionalCollapseScorer()
    moments = ClassMoments.from_arrays(X)
    units = ClassMoments.from_arrays(X, normalize=True)
    with pytest.raises(TypeError, match="must be a ClassMoments, got ndarray"):
        scorer.fit_moments(X)
    with pytest.raises(TypeError, match="unit_moments must be a ClassMoments"):
        scorer.fit_moments(moments, X)
    with pytest.raises(ValueError, match="normalize"):
        scorer.fit_moments(units)
    with pytest.raises(ValueError, match="normalize=False"):
        scorer.fit_moments(moments, moments)
    with pytest.raises(ValueError, match="of the same rows"):
        scorer.fit_moments(ClassMoments.from_arrays(X[:50]), units)
    with pytest.raises(ValueError, match="is empty"):
        scorer.fit_moments(ClassMoments())
    with pytest.raises(NotFittedError):
        scorer.metrics_  # noqa: B018
    assert not [name for name in vars(scorer) if name.endswith("_")]


# -- score ----------------------------------------------------------------------------


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("name", CRITERIA)
def test_score_is_the_criterion_of_the_rows_given(library, name, centered):
    X, new = made(), made(70, seed=1)
    scorer = DimensionalCollapseScorer(name, centered=centered).fit(library.asarray(X))
    sign = 1 if METRICS[name].direction == "higher" else -1
    options = {} if centered or name not in CENTERED else {"centered": False}
    for rows in (X, new):
        value = scorer.score(library.asarray(rows))
        assert type(value) is float
        truth = getattr(oracles, name)(rows, **options)
        assert_allclose(sign * value, truth, rtol=1e-9)
    value = scorer.score(library.asarray(X), np.zeros(len(X)))
    assert_allclose(value, sign * scorer.metrics_[name], rtol=1e-12)


def test_score_of_float32_rows_is_that_of_the_fit():
    X = (made() + 1e3).astype(np.float32)
    for name in CRITERIA:
        scorer = DimensionalCollapseScorer(name).fit(X)
        assert abs(scorer.score(X)) == abs(scorer.metrics_[name])


def test_criterion_without_a_direction():
    X = made()
    for name in ("alpha_req", "vci"):
        with pytest.raises(ValueError, match="'criterion' parameter"):
            DimensionalCollapseScorer(name).fit(X)
    scorer = DimensionalCollapseScorer().fit(X).set_params(criterion="alpha_req")
    with pytest.raises(ValueError, match="neither direction is better"):
        scorer.score(X)


@pytest.mark.parametrize("metrics", [["nc1_pinv"], ["effective_rank", "rank"]])
def test_unknown_metrics(metrics):
    scorer = DimensionalCollapseScorer(metrics=metrics)
    for fit in (scorer.fit, scorer.partial_fit):
        with pytest.raises(ValueError, match="metrics contains unknown names"):
            fit(made())
    with pytest.raises(ValueError, match="metrics contains unknown names"):
        scorer.fit_moments(ClassMoments.from_arrays(made()))


def test_single_precision_moments_are_remembered():
    X = made().astype(np.float32)
    noise = np.random.default_rng(2).normal(size=len(X)).astype(np.float32)
    X[:, 1] = X[:, 0] + np.float32(1e-4) * noise  # 1e-8 of the variance
    single = ClassMoments.from_arrays(X, precision="single")
    scorer = DimensionalCollapseScorer("numerical_rank").fit_moments(single)
    assert scorer.score(X) == scorer.metrics_["numerical_rank"] == scorer.rank_
    assert scorer.rank_ < DimensionalCollapseScorer().fit(X).rank_


def test_in_a_pipeline_and_a_search():
    X = made()
    pipeline = make_pipeline(PCA(), DimensionalCollapseScorer("participation_ratio"))
    search = GridSearchCV(pipeline, {"pca__n_components": [2, 5, 9]}, cv=3).fit(X)
    assert search.best_params_["pca__n_components"] == 9
    scores = cross_val_score(DimensionalCollapseScorer(), X, cv=3)
    folds = [oracles.effective_rank(X[i : i + 30]) for i in (0, 30, 60)]
    assert_allclose(scores, folds, rtol=1e-9)
    scorer = get_scorer("neg_vrm")
    assert_allclose(scorer(DimensionalCollapseScorer(), X), -oracles.vrm(X), rtol=1e-9)
    with pytest.raises(ValueError, match="alpha_req"):
        get_scorer("alpha_req")


# -- input ----------------------------------------------------------------------------


def test_names_and_pickles():
    frame = pd.DataFrame(made(), columns=[f"unit_{k}" for k in range(D)])
    scorer = DimensionalCollapseScorer(metrics="all").fit(frame)
    assert_array_equal(scorer.feature_names_in_, frame.columns)
    copy = pickle.loads(pickle.dumps(scorer))
    assert copy.metrics_ == scorer.metrics_
    assert copy.score(frame) == scorer.score(frame)
    with pytest.raises(ValueError, match="feature names"):
        scorer.score(frame[frame.columns[::-1]])
    moments = ClassMoments.from_arrays(frame)
    assert_array_equal(
        clone(scorer).fit_moments(moments).feature_names_in_, frame.columns
    )


def test_fewer_rows_than_features():
    X = made(7)
    scorer = DimensionalCollapseScorer(metrics="all").fit(X)
    assert scorer.rank_ == 6
    found = scorer.metrics_
    assert math.isnan(found.pop("alpha_req"))
    assert_metrics(found, X, set(NAMES) - {"alpha_req"})


def test_zero_rows_warn_where_they_matter():
    X = made()
    X[:9] = 0
    DimensionalCollapseScorer().fit(X).metrics_  # noqa: B018
    with pytest.warns(CollapseWarning, match="0.1 of the rows are zero") as caught:
        DimensionalCollapseScorer(metrics="all").fit(X).metrics_  # noqa: B018
    assert len(caught) == 1
