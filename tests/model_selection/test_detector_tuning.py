"""Tuning of every detector of the package, alone and inside of others."""

import numpy as np
import oracles
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from test_common import INSTANCES

from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.metrics import get_scorer
from sklearn_collapse.model_selection import LeaveClassesOut
from sklearn_collapse.ood import (
    ConformalDetector,
    DetectorEnsemble,
    LogitDetector,
    MahalanobisDetector,
)
from sklearn_collapse.utils import all_estimators


def is_detector(member):
    family = member.__module__.startswith("sklearn_collapse.ood")
    return family and hasattr(member, "score_samples") and hasattr(member, "predict")


CLASSES = {name for name, member in all_estimators() if is_detector(member)}
DETECTORS = [e for e in INSTANCES if type(e).__name__ in CLASSES]
every_detector = pytest.mark.parametrize("detector", DETECTORS, ids=repr)
every_kind = pytest.mark.parametrize(
    "detector", {type(e): e for e in DETECTORS}.values(), ids=repr
)
quiet = pytest.mark.filterwarnings("ignore::UserWarning")  # of few rows


@pytest.fixture(scope="module")
def features():
    """Rows of four classes of a real network."""
    data = load_cifar8_features()
    rng = np.random.default_rng(0)
    rows = np.flatnonzero(data.target < 4)
    rows = rng.choice(rows, 240, replace=False)
    return data.data[rows, :12].astype(float), data.target_names[data.target[rows]]


def search_of(estimator, grid, cv):
    scorer = get_scorer("ood_auroc")
    return GridSearchCV(estimator, grid, cv=cv, scoring=scorer, error_score="raise")


def threshold_of(detector):
    """Name of the parameter that moves the threshold, and values of it."""
    known = detector.get_params()
    name = next(n for n in ("contamination", "alpha", "quantile") if n in known)
    return name, [0.7, 0.9] if name == "quantile" else [0.05, 0.3]


def auroc_by_hand(estimator, X, y, train, test, known):
    scores = clone(estimator).fit(X[train], y[train]).score_samples(X[test])
    inside = np.isin(y[test], known)
    return oracles.auroc(scores[inside], scores[~inside])


def test_all_detectors_are_there():
    assert {type(e).__name__ for e in DETECTORS} == CLASSES
    assert len(CLASSES) >= 5


@every_detector
@quiet
def test_classes_left_out(detector, features):
    X, y = features
    cv = LeaveClassesOut(n_splits=2, random_state=0)
    name, values = threshold_of(detector)
    search = search_of(detector, {name: values}, cv).fit(X, y)
    for k, (train, test) in enumerate(cv.split(X, y)):
        expected = auroc_by_hand(detector, X, y, train, test, np.unique(y[train]))
        # The threshold does not matter to ranks.
        for found in search.cv_results_[f"split{k}_test_score"]:
            assert found == pytest.approx(expected, abs=1e-9)
    assert set(search.classes_) == set(y)
    assert set(search.predict(X)) <= {-1, 1}


@every_kind
@quiet
def test_inside_of_others(detector, features):
    X, y = features
    cv = LeaveClassesOut(n_splits=1, random_state=0)
    name, values = threshold_of(detector)
    ((train, test),) = cv.split(X, y)
    known = np.unique(y[train])
    members = [("a", detector), ("b", MahalanobisDetector())]
    for estimator, prefix in (
        (Pipeline([("map", StandardScaler()), ("detect", detector)]), "detect"),
        (ConformalDetector(detector, random_state=0), "estimator"),
        (DetectorEnsemble(members), "a"),
        (ConformalDetector(DetectorEnsemble(members), random_state=0), "estimator__a"),
    ):
        search = search_of(estimator, {f"{prefix}__{name}": values[:1]}, cv).fit(X, y)
        expected = auroc_by_hand(estimator, X, y, train, test, known)
        assert search.best_score_ == pytest.approx(expected, abs=1e-9)


@every_detector
@quiet
def test_known_outliers(detector, features):
    """Dropped in fit, counted by the scorer, in ordinary folds."""
    X, y = features
    label = y[0]
    cv = StratifiedKFold(2)
    asked = clone(detector).set_params(outlier_label=label)
    name, values = threshold_of(detector)
    search = search_of(asked, {name: values[:1]}, cv).fit(X, y)
    known = np.setdiff1d(y, [label])
    assert_array_equal(search.classes_, known)
    for k, (train, test) in enumerate(cv.split(X, y)):
        inside = train[y[train] != label]
        expected = auroc_by_hand(detector, X, y, inside, test, known)
        found = search.cv_results_[f"split{k}_test_score"][0]
        assert found == pytest.approx(expected, abs=1e-9)


def test_outlier_label_of_the_outer_detector(features):
    """The inner ones never see such rows."""
    X, y = features
    label = y[0]
    inner = ConformalDetector(DetectorEnsemble(), random_state=0)
    outer = clone(inner).set_params(outlier_label=label).fit(X, y)
    assert_array_equal(outer.classes_, np.setdiff1d(y, [label]))
    assert_array_equal(outer.estimator_.classes_, outer.classes_)
    alone = inner.fit(X[y != label], y[y != label])
    assert_array_equal(outer.p_values(X), alone.p_values(X))


# -- what has seen the classes that are left out ---------------------------------------


@pytest.fixture(scope="module")
def leaking():
    data = load_cifar8_features()
    rows = np.random.default_rng(0).choice(len(data.data), 1600, replace=False)
    X, y = data.data[rows], data.target[rows]
    cv, scorer = LeaveClassesOut(random_state=0), get_scorer("ood_auroc")

    def score(estimator):
        return cross_val_score(
            estimator, X, y, cv=cv, scoring=scorer, error_score="raise"
        ).mean()

    return X, y, score


def test_a_transformer_of_all_classes_leaks(leaking):
    """Scores come out too good: figures of the docstring of LeaveClassesOut."""
    X, y, score = leaking
    project = LinearDiscriminantAnalysis(n_components=6)
    honest = score(make_pipeline(project, MahalanobisDetector()))
    frozen = FrozenEstimator(clone(project).fit(X, y))
    leaky = score(make_pipeline(frozen, MahalanobisDetector()))
    assert honest == pytest.approx(0.62, abs=0.02)
    assert leaky == pytest.approx(0.88, abs=0.02)


def test_a_head_of_all_classes_leaks(leaking):
    """It is sure of rows for which it has an output: scores come out too bad."""
    X, y, score = leaking
    head = LogisticRegression(C=0.01, max_iter=500)
    honest = score(LogitDetector(head=head))
    leaky = score(LogitDetector(head=FrozenEstimator(clone(head).fit(X, y))))
    assert honest == pytest.approx(0.72, abs=0.02)
    assert leaky == pytest.approx(0.51, abs=0.02)
    assert score(LogitDetector(head="lda")) > leaky + 0.2
