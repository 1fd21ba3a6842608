"""Tests of splits that leave classes out, and of tuning detectors by them."""

import math
import pickle
from itertools import combinations

import numpy as np
import oracles
import pytest
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.metrics import get_scorer, ood_table
from sklearn_collapse.model_selection import LeaveClassesOut
from sklearn_collapse.ood import MahalanobisDetector, NECODetector
from sklearn_collapse.whitening import SpectralWhitener

LABELS = np.repeat(["cat", "dog", "frog", "horse", "ship"], [10, 7, 4, 2, 5])


def rows(y):
    return np.zeros((len(y), 1))


def left_out(y, train):
    """Classes of y that the training rows lack."""
    return tuple(sorted(set(y.tolist()) - set(y[train].tolist())))


def splits_of(cv, y):
    return list(cv.split(rows(y), y))


# -- what a split is -------------------------------------------------------------


@pytest.mark.parametrize("test_size", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize(
    ("n_out", "n_splits"), [(1, None), (2, None), (4, None), (1, 3), (2, 6)]
)
def test_rows(n_out, n_splits, test_size):
    y = np.random.default_rng(0).permutation(LABELS)
    cv = LeaveClassesOut(n_out, n_splits, test_size, random_state=0)
    splits = splits_of(cv, y)
    assert len(splits) == cv.get_n_splits(None, y)
    for train, test in splits:
        for index in (train, test):
            assert isinstance(index, np.ndarray)
            assert index.dtype == np.intp
            assert_array_equal(index, np.sort(index))
        # Each row is in one of them, once.
        assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(y)))
        out = left_out(y, train)
        assert len(out) == n_out
        for label in set(y.tolist()) - set(out):
            size = np.sum(y == label)
            wanted = min(max(round(test_size * size), 1), size - 1)
            assert np.sum(y[test] == label) == wanted


@pytest.mark.parametrize("random_state", [None, 0, 1])
def test_one_split_per_class(random_state):
    cv = LeaveClassesOut(random_state=random_state)
    found = [left_out(LABELS, train) for train, _ in splits_of(cv, LABELS)]
    assert found == [("cat",), ("dog",), ("frog",), ("horse",), ("ship",)]


@pytest.mark.parametrize("random_state", [None, 0, 1, np.random.RandomState(0)])
@pytest.mark.parametrize("n_out", [1, 2, 3, 4])
def test_every_class_is_left_out(n_out, random_state):
    cv = LeaveClassesOut(n_out, random_state=random_state)
    found = [left_out(LABELS, train) for train, _ in splits_of(cv, LABELS)]
    assert len(found) == math.ceil(5 / n_out)
    assert len({label for out in found for label in out}) == 5
    # All groups but the last are disjoint.
    whole = [label for out in found[: 5 // n_out] for label in out]
    assert len(whole) == len(set(whole))


def test_groups_without_a_seed_are_sorted():
    found = [left_out(LABELS, t) for t, _ in splits_of(LeaveClassesOut(2), LABELS)]
    assert found == [("cat", "dog"), ("frog", "horse"), ("cat", "ship")]


def test_groups_depend_on_the_seed():
    found = {
        tuple(left_out(LABELS, t) for t, _ in splits_of(cv, LABELS))
        for cv in (LeaveClassesOut(2, random_state=seed) for seed in range(20))
    }
    assert len(found) > 5


@pytest.mark.parametrize(
    ("n_classes", "n_out", "n_splits"),
    [(5, 1, 5), (5, 2, 1), (5, 2, 4), (5, 2, 10), (9, 4, 40), (40, 20, 30)],
)
def test_random_subsets_are_distinct(n_classes, n_out, n_splits):
    y = np.repeat(np.arange(n_classes), 2)
    cv = LeaveClassesOut(n_out, n_splits, random_state=0)
    found = [left_out(y, train) for train, _ in splits_of(cv, y)]
    assert len(found) == cv.get_n_splits() == n_splits
    assert len(set(found)) == n_splits
    assert {len(out) for out in found} == {n_out}


@pytest.mark.parametrize("n_splits", [2, 5])  # few of the 10 sets, and half of them
def test_random_subsets_are_equally_likely(n_splits):
    y = np.repeat(np.arange(5), 2)
    counts = dict.fromkeys(combinations(range(5), 2), 0)
    n_seeds = 400
    for seed in range(n_seeds):
        for train, _ in splits_of(LeaveClassesOut(2, n_splits, random_state=seed), y):
            counts[left_out(y, train)] += 1
    share = n_splits / 10
    deviation = math.sqrt(n_seeds * share * (1 - share))
    assert max(abs(n - n_seeds * share) for n in counts.values()) < 4 * deviation


def test_held_out_rows_are_equally_likely():
    y = np.repeat([0, 1], [5, 5])
    counts = np.zeros(10)
    n_seeds = 500
    for seed in range(n_seeds):
        for _, test in splits_of(LeaveClassesOut(test_size=0.4, random_state=seed), y):
            counts[test] += 1
    # In one split of two by chance of 2/5, in the other always.
    deviation = math.sqrt(n_seeds * 0.4 * 0.6)
    assert np.max(np.abs(counts - n_seeds * 1.4)) < 4 * deviation


# -- seeds -----------------------------------------------------------------------


@pytest.mark.parametrize(("n_out", "n_splits"), [(1, None), (2, None), (2, 4)])
def test_seed_repeats_splits(n_out, n_splits):
    cv = LeaveClassesOut(n_out, n_splits, random_state=3)
    for a, b in zip(splits_of(cv, LABELS), splits_of(cv, LABELS), strict=True):
        assert_array_equal(a[0], b[0])
        assert_array_equal(a[1], b[1])


def test_without_a_seed_rows_differ():
    y = np.repeat([0, 1, 2], 50)
    cv = LeaveClassesOut()
    first, second = splits_of(cv, y), splits_of(cv, y)
    assert [left_out(y, t) for t, _ in first] == [left_out(y, t) for t, _ in second]
    assert any(
        not np.array_equal(a[1], b[1]) for a, b in zip(first, second, strict=True)
    )


def test_splits_draw_different_rows():
    y = np.repeat([0, 1, 2], 50)
    (_, first), (_, second), _ = splits_of(LeaveClassesOut(random_state=0), y)
    assert not np.array_equal(first[y[first] == 2], second[y[second] == 2])


def test_generator_goes_on():
    """A RandomState instance draws anew in each call, as scikit-learn's splitters."""
    y = np.repeat([0, 1, 2], 50)
    cv = LeaveClassesOut(random_state=np.random.RandomState(0))
    assert not np.array_equal(splits_of(cv, y)[0][1], splits_of(cv, y)[0][1])


# -- labels ----------------------------------------------------------------------


def test_labels_of_any_library(library):
    codes = np.unique(LABELS, return_inverse=True)[1]
    cv = LeaveClassesOut(random_state=0)
    expected = splits_of(cv, codes)
    X = library.asarray(np.zeros((len(codes), 2)))
    for (train, test), (a, b) in zip(
        cv.split(X, library.asarray(codes)), expected, strict=True
    ):
        assert isinstance(train, np.ndarray)
        assert_array_equal(train, a)
        assert_array_equal(test, b)


@pytest.mark.parametrize("kind", ["list", "object", "pandas", "category", "polars"])
def test_labels_of_any_kind(kind):
    y = LABELS.tolist()
    if kind == "object":
        y = np.array(y, dtype=object)
    elif kind in ("pandas", "category"):
        pandas = pytest.importorskip("pandas")
        y = pandas.Series(y, index=range(7, 7 + len(y)))
        y = y.astype("category") if kind == "category" else y
    elif kind == "polars":
        y = pytest.importorskip("polars").Series(y)
    cv = LeaveClassesOut(2, random_state=0)
    assert cv.get_n_splits(None, y) == 3
    for found, expected in zip(cv.split(None, y), splits_of(cv, LABELS), strict=True):
        assert_array_equal(found[0], expected[0])
        assert_array_equal(found[1], expected[1])


def test_one_row_stays_in_training():
    y = np.array([0, 0, 0, 1, 2, 2])
    for train, test in splits_of(LeaveClassesOut(random_state=0), y):
        in_training = 1 not in left_out(y, train)
        assert (3 in train) == in_training
        assert (3 in test) != in_training


# -- errors ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_out": 0}, "n_out must be a positive integer, got 0"),
        ({"n_out": 1.5}, "n_out must be a positive integer, got 1.5"),
        ({"n_splits": 0}, "n_splits must be a positive integer or None, got 0"),
        ({"n_splits": "3"}, "n_splits must be a positive integer or None, got '3'"),
        ({"test_size": 0}, r"test_size must be a number in \(0, 1\).* got 0"),
        ({"test_size": 1}, r"test_size must be a number in \(0, 1\).* got 1"),
        ({"test_size": math.nan}, "test_size must be .* got nan"),
        ({"test_size": "0.2"}, "test_size must be .* got '0.2'"),
        ({"test_size": None}, "test_size must be .* got None"),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        LeaveClassesOut(**options)


@pytest.mark.parametrize("n_out", [5, 6])
@pytest.mark.parametrize("n_splits", [None, 1])
def test_no_class_left_for_training(n_out, n_splits):
    cv = LeaveClassesOut(n_out, n_splits)
    with pytest.raises(ValueError, match=rf"n_out={n_out} leaves no class.* holds 5"):
        splits_of(cv, LABELS)
    if n_splits is None:
        with pytest.raises(ValueError, match="leaves no class"):
            cv.get_n_splits(None, LABELS)


def test_one_class():
    with pytest.raises(ValueError, match="y holds 1 classes"):
        splits_of(LeaveClassesOut(), np.array(["a", "a"]))


@pytest.mark.parametrize(("n_out", "most"), [(1, 5), (2, 10), (4, 5)])
def test_more_splits_than_subsets(n_out, most):
    splits_of(LeaveClassesOut(n_out, most), LABELS)
    with pytest.raises(ValueError, match=f"n_splits={most + 1} .* than the {most} "):
        splits_of(LeaveClassesOut(n_out, most + 1), LABELS)


def test_labels_are_needed():
    with pytest.raises(ValueError, match="needs class labels, but y is None"):
        next(LeaveClassesOut().split(rows(LABELS)))
    with pytest.raises(ValueError, match="needs class labels, but y is None"):
        LeaveClassesOut(2).get_n_splits()
    assert LeaveClassesOut(2, 7).get_n_splits() == 7


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0.5, 1.5, 2.5], "continuous"),
        (["a", None, "b"], "missing label"),
        ([0, 1], "inconsistent numbers of samples"),
    ],
)
def test_bad_labels(y, message):
    with pytest.raises(ValueError, match=message):
        next(LeaveClassesOut().split(np.zeros((3, 1)), y))


def test_no_row_of_known_classes_to_test_on():
    """Raised before the first split, for whichever split it is."""
    y = np.array(["a", "a", "b", "c"])
    with pytest.raises(ValueError, match=r"With \['a'\] left out, .* a single row"):
        next(LeaveClassesOut().split(rows(y), y))
    # The split to blame is the last one.
    y = np.array(["a", "b", "c", "c"])
    with pytest.raises(ValueError, match=r"With \['c'\] left out"):
        next(LeaveClassesOut().split(rows(y), y))


def test_groups_are_ignored():
    with pytest.warns(UserWarning, match="groups parameter is ignored"):
        next(LeaveClassesOut().split(rows(LABELS), LABELS, groups=LABELS))


# -- in scikit-learn -------------------------------------------------------------


def test_repr():
    expected = "LeaveClassesOut(n_out=2, n_splits=None, random_state=1, test_size=0.3)"
    assert repr(LeaveClassesOut(2, test_size=0.3, random_state=1)) == expected


def test_pickles_and_clones():
    cv = LeaveClassesOut(2, 3, random_state=0)
    expected = splits_of(cv, LABELS)
    search = clone(GridSearchCV(MahalanobisDetector(), {}, cv=cv))
    for copy in (pickle.loads(pickle.dumps(cv)), search.cv):
        assert repr(copy) == repr(cv)
        for a, b in zip(splits_of(copy, LABELS), expected, strict=True):
            assert_array_equal(a[1], b[1])


class _Recorder(BaseEstimator):
    """Scores by what it was fitted on and is asked about."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def score(self, X, y):
        return float(np.mean(np.isin(y, self.classes_)))


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_cross_validate(n_jobs, routing):
    cv = LeaveClassesOut(random_state=0)
    with config_context(enable_metadata_routing=routing):
        found = cross_validate(
            _Recorder(),
            rows(LABELS),
            LABELS,
            cv=cv,
            params={},  # scikit-learn 1.6.0 with routing refuses None
            n_jobs=n_jobs,
            error_score="raise",
        )["test_score"]
    expected = [
        np.mean(~np.isin(LABELS[test], left_out(LABELS, train)))
        for train, test in splits_of(cv, LABELS)
    ]
    assert found == pytest.approx(expected)


@pytest.fixture(scope="module")
def features():
    data = load_cifar8_features()
    rng = np.random.default_rng(0)
    kept = rng.choice(len(data.data), 1600, replace=False)
    return data.data[kept], data.target_names[data.target[kept]], data


@pytest.mark.parametrize("routing", [False, True])
def test_detector_is_tuned_without_outliers(features, routing):
    X, y, data = features
    pipeline = Pipeline(
        [("map", StandardScaler()), ("detector", MahalanobisDetector())]
    )
    grid = {
        "map": [StandardScaler(), PCA(40, whiten=True, random_state=0)],
        "detector__relative": [False, True],
        "detector__shrinkage": [None, 0.1],
    }
    cv = LeaveClassesOut(random_state=0)
    with config_context(enable_metadata_routing=routing):
        search = GridSearchCV(
            pipeline, grid, cv=cv, scoring=get_scorer("ood_auroc"), n_jobs=2
        ).fit(X, y)
    results = search.cv_results_
    table = np.array([results[f"split{k}_test_score"] for k in range(8)])
    assert table.shape == (8, 8)
    assert np.isfinite(table).all()
    assert search.best_score_ == results["mean_test_score"].max() > 0.5
    # A split by hand, with scores by the formula.
    k = search.best_index_
    train, test = splits_of(cv, y)[3]
    fitted = clone(pipeline).set_params(**results["params"][k]).fit(X[train], y[train])
    scores = fitted.score_samples(X[test])
    known = np.isin(y[test], y[train])
    expected = oracles.auroc(scores[known], scores[~known])
    assert table[3, k] == pytest.approx(expected, abs=1e-9)
    # The setting that was found, on classes that no one has seen.
    for row in ood_table({"tuned": search}, data.X_test, data.ood):
        assert 0.5 < row["auroc"] <= 1


WHITENED = Pipeline(
    [("whiten", SpectralWhitener("pca")), ("detect", MahalanobisDetector())]
)


@pytest.mark.parametrize(
    ("estimator", "grid", "least"),
    [
        (NECODetector(), {"n_components": [3, 7, 0.9], "scale": [True, False]}, 0.75),
        (
            WHITENED,
            {"whiten__n_components": [20, None], "detect__normalize": [False, True]},
            0.85,
        ),
    ],
    ids=["NECO", "pipeline"],
)
def test_tuning_real_detectors(features, estimator, grid, least):
    """Settings are found that tell left-out classes apart, two jobs at a time."""
    X, y, data = features
    search = GridSearchCV(
        estimator,
        grid,
        cv=LeaveClassesOut(random_state=0),
        scoring=get_scorer("ood_auroc"),
        n_jobs=2,
    ).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert search.best_score_ == scores.max() > least > scores.min() + 0.05
    for row in ood_table({"tuned": search}, data.X_test, data.ood):
        inside, outside = (
            search.best_estimator_.score_samples(rows)
            for rows in (data.X_test, data.ood[row["set"]])
        )
        assert row["auroc"] == pytest.approx(oracles.auroc(inside, outside), abs=1e-9)
