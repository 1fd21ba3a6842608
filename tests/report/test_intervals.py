"""Intervals of the report, against a plain bootstrap loop and a known answer."""

import numpy as np
import oracles
import pytest
from test_sections import make_features

from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.metrics import METRICS
from sklearn_collapse.report import _intervals
from sklearn_collapse.report._compute import compute

HEAD_METRICS = ("nc3_self_duality", "nc3_uniform_duality", "nc3_product")


def found_in(features, n_resamples=20, seed=3, **options):
    features.ood = {}  # detectors have no part in it
    numbers = compute(features, n_resamples=n_resamples, seed=seed, **options).numbers
    return numbers["intervals"], numbers


def draws(y, n_resamples, seed):
    """Row indices of each resample, drawn class after class of sorted labels."""
    for inner in np.random.RandomState(seed).randint(2**31 - 1, size=n_resamples):
        rng = np.random.default_rng(int(inner))
        rows = [np.flatnonzero(y == c) for c in np.unique(y)]
        sizes = np.concatenate([np.full(len(r), len(r)) for r in rows])
        picks = np.split(rng.integers(sizes), np.cumsum([len(r) for r in rows])[:-1])
        yield np.concatenate([r[p] for r, p in zip(rows, picks, strict=True)])


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_against_a_plain_loop(class_weight):
    """Every metric of every resample by its slow formula on the repeated rows."""
    features, W, b = make_features()
    found, numbers = found_in(features, class_weight=class_weight)
    assert list(found["metrics"]) == list(numbers["collapse"]["train"])
    for name, interval in found["metrics"].items():
        extra = (W,) if name in HEAD_METRICS else ()
        extra = (W, b) if name == "nc4_agreement" else extra
        oracle = getattr(oracles, name)
        X, y = features.X, features.y
        expected = [
            oracle(X[rows], y[rows], *extra, class_weight) for rows in draws(y, 20, 3)
        ]
        assert interval["values"] == pytest.approx(expected, rel=6e-6, abs=1e-9), name
        value = oracle(X, y, *extra, class_weight)
        ends = np.quantile(2 * value - np.asarray(expected), [0.025, 0.975])
        ends = np.clip(ends, *METRICS[name].range)
        assert [interval["low"], interval["high"]] == pytest.approx(ends, rel=1e-6)
        spread = np.std(expected, ddof=1)
        assert interval["standard_error"] == pytest.approx(spread, rel=1e-5, abs=1e-12)
        assert all(float(f"{v:.6g}") == v for v in interval["values"])


def test_one_fit_gives_all_metrics(monkeypatch):
    features, _, _ = make_features()
    fits, fit = [], NeuralCollapseScorer.fit

    def counted(self, X, y, sample_weight=None):
        fits.append(sample_weight)
        return fit(self, X, y, sample_weight)

    monkeypatch.setattr(NeuralCollapseScorer, "fit", counted)
    found_in(features, n_resamples=25)
    drawn = [weights for weights in fits if weights is not None]
    assert len(drawn) == 25
    sizes = np.bincount(features.y)
    assert all(np.bincount(features.y, weights=w).tolist() == [*sizes] for w in drawn)


def test_known_answer():
    """CDNV of two round Gaussians is known: it is held, and its spread is right."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 60)
    centres = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]])[y]
    truth = (3 + 3) / (2 * 2**2)
    values, held, errors = [], 0, []
    for repeat in range(30):
        X = centres + rng.normal(size=(120, 3))
        features, _, _ = make_features(head=False, X=X, y=y, X_test=X, y_test=y, ood={})
        scorer = NeuralCollapseScorer(metrics=["cdnv"]).fit(X, y)
        study = FakeStudy(features, scorer, 25, repeat)
        interval = _intervals.intervals(study)["metrics"]["cdnv"]
        values.append(scorer.metrics_["cdnv"])
        errors.append(interval["standard_error"])
        held += interval["low"] <= truth <= interval["high"]
    assert 25 <= held <= 30
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.3)


class FakeStudy:
    """What `intervals` reads of a study."""

    def __init__(self, features, scorer, n_resamples=20, seed=0):
        self.features, self.scorer = features, scorer
        self.n_resamples, self.seed = n_resamples, seed


# -- rows that are too few -------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "d", "left_out"),
    [
        (184, 12, set()),  # less 4 classes 15 for each feature
        (183, 12, {"vci", "fisher_ratio", "lidar"}),
        (104, 20, {"vci", "fisher_ratio", "lidar"}),  # 5 for each
        (103, 20, "all"),
        (84, 4, set()),  # 20 for each of 4 classes
        (83, 4, "all"),
    ],
)
def test_too_few_rows(n, d, left_out):
    features, _, _ = make_features(n=n, d=d)
    found, numbers = found_in(features)
    metrics = found["metrics"]
    if left_out == "all":
        left_out = set(metrics)
    assert {name for name, interval in metrics.items() if not interval} == left_out
    notes = [note for note in numbers["notes"] if "No interval" in note]
    assert len(notes) == bool(left_out)
    assert len(found["fingerprint"]) == 64
    if 0 < len(left_out) < 17:
        assert all(name in notes[0] for name in left_out)


# -- how many --------------------------------------------------------------------


def test_none():
    found, numbers = found_in(make_features()[0], n_resamples=0)
    assert found is None
    assert numbers["notes"] == []


def test_default(monkeypatch):
    """100, unless rows x features x (features + classes) are many."""
    features, _, _ = make_features(d=12)
    assert found_in(features, n_resamples=None)[0]["n_resamples"] == 100
    work = 240 * 12 * (12 + 4)
    monkeypatch.setattr(_intervals, "_MAX_WORK", work)
    assert found_in(features, n_resamples=None)[0]["n_resamples"] == 100
    monkeypatch.setattr(_intervals, "_MAX_WORK", work - 1)
    found, numbers = found_in(features, n_resamples=None)
    assert found is None
    assert "--resamples 100" in numbers["notes"][0]
    assert found_in(features, n_resamples=20)[0]["n_resamples"] == 20


# -- drawn alike -----------------------------------------------------------------


def test_fingerprint():
    """Of the labels in their order and of the draws; the features do not matter."""
    features, _, _ = make_features()
    other, _, _ = make_features(d=7)
    found = found_in(features)[0]
    assert found["fingerprint"] == found_in(other)[0]["fingerprint"]
    assert found["seed"] == 3
    mixed, _, _ = make_features()
    order = np.random.default_rng(0).permutation(len(mixed.y))
    mixed.X, mixed.y = mixed.X[order], mixed.y[order]
    renamed, _, _ = make_features(head=False)
    renamed.y, renamed.y_test = renamed.y + 1, renamed.y_test + 1
    different = [
        found_in(mixed),
        found_in(renamed),
        found_in(features, seed=4),
        found_in(features, n_resamples=21),
    ]
    prints = {f["fingerprint"] for f, _ in different} | {found["fingerprint"]}
    assert len(prints) == 5


def test_same_features_same_values():
    features, _, _ = make_features()
    assert found_in(features)[0] == found_in(features)[0]


def test_ends_stay_in_the_range():
    """Reflected shares of rows would lie above 1."""
    features, _, _ = make_features(head=False)
    found, numbers = found_in(features, n_resamples=60)
    value = numbers["collapse"]["train"]["ncm_accuracy"]
    values = np.asarray(found["metrics"]["ncm_accuracy"]["values"])
    top = np.quantile(2 * value - values, 0.975)
    assert value < 1
    assert top > 1
    assert found["metrics"]["ncm_accuracy"]["high"] == 1
