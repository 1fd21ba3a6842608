"""Tests of intervals, workers and shapes of the table, and of linear separability."""

import numpy as np
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.metrics import (
    OODTable,
    fpr_at_tpr,
    linear_separability,
    ood_table,
)
from sklearn_collapse.metrics._ood_curves import resampled_metrics
from sklearn_collapse.ood import MahalanobisDetector, NECODetector

METRICS = ["auroc", "aupr_in", "aupr_out", "fpr95_id", "fpr95_ood"]


class Sum:
    """A detector whose score is a rounded sum."""

    def __init__(self, digits):
        self.digits = digits

    def score_samples(self, X):
        return np.round(X.sum(axis=1), self.digits)


@pytest.fixture
def sets(rng):
    far = {"near": rng.normal(size=(50, 2)) - 0.5, "far": rng.normal(size=(30, 2)) - 2}
    return rng.normal(size=(80, 2)), far


def by_sklearn(inside, outside):
    """All metrics of two sets of scores, by scikit-learn and the public function."""
    y = np.repeat([1, 0], [len(inside), len(outside)])
    score = np.concatenate([inside, outside])
    return {
        "auroc": roc_auc_score(y, score),
        "aupr_in": average_precision_score(y, score),
        "aupr_out": average_precision_score(1 - y, -score),
        "fpr95_id": fpr_at_tpr(y, score),
        "fpr95_ood": fpr_at_tpr(y, score, positive="ood"),
    }


@pytest.mark.parametrize("digits", [0, 1, 8])
@pytest.mark.parametrize("sizes", [(60, 40), (3, 50), (50, 2), (1, 1)])
def test_metrics_of_resamples(rng, sizes, digits):
    """The drawn rows, copied out one by one."""
    inside, outside = (np.round(rng.normal(size=n), digits) for n in sizes)
    seeds = np.arange(7), 100 + np.arange(7)
    found = resampled_metrics(inside, outside, *seeds)
    assert list(found) == METRICS
    for r, pair in enumerate(zip(*seeds, strict=True)):
        drawn = (
            scores[np.random.default_rng(seed).integers(len(scores), size=len(scores))]
            for scores, seed in zip((inside, outside), pair, strict=True)
        )
        for name, expected in by_sklearn(*drawn).items():
            assert found[name][r] == pytest.approx(expected, abs=1e-12), name


def test_many_resamples_are_worked_on_in_parts(rng, monkeypatch):
    scores = rng.normal(size=40), rng.normal(size=30) - 1
    seeds = np.arange(25), np.arange(25, 50)
    expected = resampled_metrics(*scores, *seeds)
    monkeypatch.setattr("sklearn_collapse.metrics._ood_curves._HELD", 200)
    for name, values in resampled_metrics(*scores, *seeds).items():
        assert_allclose(values, expected[name], rtol=1e-12)


def test_intervals(sets):
    inside, outside = sets
    table = ood_table({"a": Sum(1)}, *sets, n_resamples=300, random_state=0)
    plain = ood_table({"a": Sum(1)}, *sets)
    for row, expected in zip(table, plain, strict=True):
        assert {name: row[name] for name in expected} == expected
        assert len(row) == 2 + 3 * len(METRICS)
        for name in METRICS:
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            assert 0 <= low <= row[name] <= high <= 1
            assert low < high
    narrow = ood_table(
        {"a": Sum(1)}, *sets, n_resamples=300, confidence_level=0.5, random_state=0
    )
    for row, half in zip(table, narrow, strict=True):
        assert row["auroc_low"] < half["auroc_low"] < half["auroc_high"]
        assert half["auroc_high"] < row["auroc_high"]
    # The quantiles of an independent bootstrap, up to what 300 draws leave to chance.
    a, b = (Sum(1).score_samples(X) for X in (inside, outside["near"]))
    rng = np.random.default_rng(5)
    values = [
        by_sklearn(rng.choice(a, len(a)), rng.choice(b, len(b)))["auroc"]
        for _ in range(300)
    ]
    found = table[0]["auroc_low"], table[0]["auroc_high"]
    assert_allclose(found, np.quantile(values, [0.025, 0.975]), atol=0.03)


def test_intervals_hold_the_value():
    """95 % intervals of the area of normal scores 1 apart, which is Phi(1 / sqrt 2)."""
    value, held, runs = 0.7602499389065233, 0, 200
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        scores = rng.normal(size=120) + 1, rng.normal(size=120)
        draws = seed + 1000 * np.arange(200), 7 + seed + 1000 * np.arange(200)
        areas = resampled_metrics(*scores, *draws)["auroc"]
        low, high = np.quantile(areas, [0.025, 0.975])
        held += low <= value <= high
    # 0.95 within three standard deviations of a binomial share.
    assert held / runs == pytest.approx(0.95, abs=3 * (0.95 * 0.05 / runs) ** 0.5)


def test_draws_are_reproducible_and_shared(sets):
    detectors = {"a": Sum(1), "again": Sum(1)}
    first, second = (
        ood_table(detectors, *sets, n_resamples=20, random_state=3) for _ in range(2)
    )
    assert first == second
    for a, b in zip(first[:2], first[2:], strict=True):
        assert a == {**b, "detector": "a"}
    other = ood_table(detectors, *sets, n_resamples=20, random_state=4)
    assert other[0]["auroc_low"] != first[0]["auroc_low"]


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_workers_and_progress(backend, capsys):
    data = load_cifar8_features()
    X, y = data.data[::10], data.target[::10]
    detectors = {
        "Mahalanobis": MahalanobisDetector().fit(X, y),
        "NECO": NECODetector().fit(X, y),
    }
    sets = data.X_test[::5], {name: rows[::5] for name, rows in data.ood.items()}
    options = {"n_resamples": 10, "random_state": 0}
    expected = ood_table(detectors, *sets, **options)
    assert "detectors" not in capsys.readouterr().err
    with parallel_config(backend=backend):
        found = ood_table(detectors, *sets, n_jobs=2, progress=True, **options)
    assert "2/2" in capsys.readouterr().err
    for row, other in zip(found, expected, strict=True):
        assert list(row) == list(other)
        assert [row["detector"], row["set"]] == [other["detector"], other["set"]]
        for name in METRICS:  # other numbers of threads, other rounding, maybe
            assert row[name] == pytest.approx(other[name], abs=1e-4)


def test_shown_as_a_table(sets):
    table = ood_table({"a": Sum(0), "b": Sum(8)}, *sets)
    assert isinstance(table, OODTable)
    assert table[:2] == list(table)[:2]
    lines = repr(table).split("\n")
    assert lines[0].split() == ["detector", "set", *METRICS]
    assert len(lines) == 5
    assert lines[1].split()[2] == f"{table[0]['auroc']:.4g}"
    assert repr(OODTable()) == "[]"
    frame = table.to_frame()
    assert list(frame.columns) == ["detector", "set", *METRICS]
    assert frame["auroc"].tolist() == [row["auroc"] for row in table]


def test_best():
    rows = [
        {"detector": "a", "set": "s", "auroc": 0.8, "fpr95_id": 0.3},
        {"detector": "b", "set": "s", "auroc": 0.9, "fpr95_id": 0.4},
        {"detector": "a", "set": "t", "auroc": 0.9, "fpr95_id": 0.4},
        {"detector": "b", "set": "t", "auroc": 0.9, "fpr95_id": 0.3},
    ]
    assert OODTable(rows).best() == {"s": "b", "t": "a"}
    assert OODTable(rows).best("fpr95_id") == {"s": "a", "t": "b"}
    with pytest.raises(ValueError, match="must be one of"):
        OODTable(rows).best("accuracy")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"detectors": [Sum(1)]}, TypeError, "detectors must be a dictionary"),
        ({"X_ood": np.ones((3, 2))}, TypeError, "X_ood must be a dictionary"),
        ({"detectors": {"a": Sum}}, TypeError, "but 'a' is <class"),
        ({"detectors": {7: StandardScaler()}}, TypeError, "7 is <.*StandardScaler"),
        ({"X_id": np.ones((0, 2))}, ValueError, "a on X_id: there are no rows"),
        ({"X_ood": {3: np.ones((0, 2))}}, ValueError, "a on 3: there are no rows"),
        ({"n_resamples": -1}, ValueError, "n_resamples == -1, must be >= 0"),
        ({"n_resamples": 2.5}, TypeError, "n_resamples"),
        ({"confidence_level": 95}, ValueError, r"\(0, 1\), got 95"),
    ],
)
def test_errors(sets, options, error, message):
    arguments = {"detectors": {"a": Sum(1)}, "X_id": sets[0], "X_ood": sets[1]}
    with pytest.raises(error, match=message):
        ood_table(**(arguments | options))


class Given(Sum):
    """A detector that gives the same scores whatever it is asked."""

    def score_samples(self, X):
        return self.digits


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.where(np.arange(50) == 9, np.nan, 0.0), r"NaN \(first in row 9\)"),
        (np.ones(30), r"50 rows have scores of shape \(30,\)"),
        (np.ones((50, 2)), r"50 rows have scores of shape \(50, 2\)"),
    ],
)
def test_bad_scores_name_detector_and_set(sets, scores, message):
    with pytest.raises(ValueError, match=f"broken on X_id: .*{message}"):
        ood_table({"broken": Given(scores)}, sets[0][:50], sets[1])

    class Late(Sum):
        def score_samples(self, X):
            return np.ones(80) if len(X) == 80 else scores

    with pytest.raises(ValueError, match=f"broken on near: .*{message}"):
        ood_table({"broken": Late(0)}, *sets)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_any_estimator_with_scores(sets, tmp_path, n_jobs):
    """Pipelines, searches, scikit-learn's detectors; lists, frames and memory maps."""
    pd = pytest.importorskip("pandas")
    inside, outside = sets
    stored = np.memmap(tmp_path / "rows", "float64", mode="w+", shape=inside.shape)
    stored[:] = inside
    frames = pd.DataFrame(inside, columns=["a", "b"])
    search = GridSearchCV(
        MahalanobisDetector(), {"shrinkage": [None]}, scoring=lambda *_: 0.0, cv=2
    )
    detectors = {
        1: make_pipeline(StandardScaler(), MahalanobisDetector()).fit(inside),
        (2, "b"): search.fit(inside),
        None: IsolationForest(n_estimators=5, random_state=0).fit(inside),
    }
    expected = [
        {"detector": name, "set": key}
        | by_sklearn(detector.score_samples(inside), detector.score_samples(rows))
        for name, detector in detectors.items()
        for key, rows in outside.items()
    ]
    for X in (stored,) if n_jobs else (stored, inside.tolist()):
        found = ood_table(detectors, X, outside, n_jobs=n_jobs)
        assert [row["detector"] for row in found] == [1, 1, (2, "b"), (2, "b")] + 2 * [
            None
        ]
        for row, other in zip(found, expected, strict=True):
            assert row["set"] == other["set"]
            for name in METRICS:
                assert row[name] == pytest.approx(other[name], abs=1e-9)
    detector = MahalanobisDetector().fit(frames)
    sets = {key: pd.DataFrame(v, columns=["a", "b"]) for key, v in outside.items()}
    framed = ood_table({1: detector}, frames, sets)
    assert framed == ood_table({1: MahalanobisDetector().fit(inside)}, inside, outside)


def test_tensors(library, sets):
    inside, outside = sets
    detector = MahalanobisDetector().fit(library.asarray(inside))
    rows = {key: library.asarray(value) for key, value in outside.items()}
    found = ood_table({"a": detector}, library.asarray(inside), rows)
    expected = ood_table({"a": MahalanobisDetector().fit(inside)}, inside, outside)
    assert [row["auroc"] for row in found] == pytest.approx(
        [row["auroc"] for row in expected], abs=1e-9
    )


# -- linear separability -----------------------------------------------------------


def separability_by_loop(inside, outside, seed):
    X = np.vstack([inside, outside]).astype(float)
    y = np.repeat([1, 0], [len(inside), len(outside)])
    areas = []
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    for train, test in folds.split(X, y):
        scaler = StandardScaler().fit(X[train])
        model = LogisticRegression(class_weight="balanced", max_iter=1000)
        model.fit(scaler.transform(X[train]), y[train])
        score = model.decision_function(scaler.transform(X[test]))
        a, b = score[y[test] == 1], score[y[test] == 0]
        areas.append(np.mean((a[:, None] > b) + 0.5 * (a[:, None] == b)))
    return np.mean(areas)


def test_linear_separability(library, rng):
    inside, outside = rng.normal(size=(90, 3)), rng.normal(size=(40, 3)) + 0.7
    found = linear_separability(
        library.asarray(inside), library.asarray(outside), random_state=0
    )
    assert type(found) is float
    expected = separability_by_loop(inside, outside, 0)
    assert found == pytest.approx(expected, abs=1e-12)


def test_separability_of_known_sets(rng):
    inside = rng.normal(size=(300, 4))
    same = linear_separability(inside, rng.normal(size=(300, 4)), random_state=0)
    assert same == pytest.approx(0.5, abs=0.1)
    assert linear_separability(inside, inside + 20, random_state=0) == 1
    # A shell around the rows is seen by every detector of distances, not by a line.
    shell = 9 * inside / np.linalg.norm(inside, axis=1, keepdims=True)
    assert linear_separability(inside, shell[::-1], random_state=0) < 0.6


def test_separability_takes_any_classifier(rng):
    from sklearn.neighbors import KNeighborsClassifier

    inside = rng.normal(size=(200, 4))
    shell = 9 * inside / np.linalg.norm(inside, axis=1, keepdims=True)
    options = {"estimator": KNeighborsClassifier(5), "cv": 3, "random_state": 0}
    assert linear_separability(inside, shell, **options) > 0.9


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"X_ood": np.ones((9, 3))}, ValueError, "2 features and X_ood 3"),
        ({"X_ood": np.ones((3, 2))}, ValueError, "cv=5 folds need"),
        ({"X_ood": np.full((9, 2), np.nan)}, ValueError, "NaN"),
        ({"estimator": StandardScaler()}, TypeError, "must be a classifier"),
    ],
)
def test_separability_errors(change, error, message):
    arguments = {"X_id": np.arange(20.0).reshape(10, 2), "X_ood": np.ones((9, 2))}
    with pytest.raises(error, match=message):
        linear_separability(**(arguments | change))
