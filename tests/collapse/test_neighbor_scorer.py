"""Tests of NeighborCollapseScorer."""

import math
import pickle

import numpy as np
import oracles_neighbors as oracles
import pytest
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_collapse.collapse import NeighborCollapseScorer
from sklearn_collapse.metrics import METRICS, CollapseWarning
from sklearn_collapse.utils import move_estimator

NAMES = [name for name, metric in METRICS.items() if metric.family == "neighbors"]
UNIT = ["uniformity", "nearest_neighbor_entropy", "mst_length"]


def made(n=90, d=5, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return rng.normal(size=(3, d))[y] + rng.normal(size=(n, d)) + 2, y


def function_value(name, X, y, **options):
    if name == "lid":
        options["n_neighbors"] = 20
    arguments = (X, y) if name == "thornton_index" else (X,)
    return METRICS[name].function(*arguments, random_state=0, **options)


def test_metrics_are_those_of_the_functions(library):
    X, y = made()
    scorer = NeighborCollapseScorer(random_state=0).fit(library.asarray(X), y)
    assert list(scorer.metrics_) == NAMES
    for name, value in scorer.metrics_.items():
        assert type(value) is float
        assert value == pytest.approx(function_value(name, X, y), rel=1e-9), name


def test_drawn_rows():
    X, y = made()
    scorer = NeighborCollapseScorer(max_samples=40, random_state=0).fit(X, y)
    assert scorer.n_samples_fit_ == 40
    for name, value in scorer.metrics_.items():
        expected = function_value(name, X, y, max_samples=40)
        assert value == pytest.approx(expected, rel=1e-9), name


@pytest.mark.parametrize("name", NAMES)
def test_score_of_training_rows(library, name):
    """Equal to the metric, rows that are there twice included."""
    X, y = made()
    X[:10], y[:6] = X[10:20], y[10:16]
    if name == "nearest_neighbor_entropy":
        X[:10] += 1
    X = library.asarray(X)
    scorer = NeighborCollapseScorer(name, random_state=0, metrics=[name]).fit(X, y)
    sign = -1 if name == "uniformity" else 1
    expected = sign * scorer.metrics_[name]
    assert scorer.score(X, y) == pytest.approx(expected, rel=1e-9)
    assert math.isfinite(expected)


def test_score_of_new_rows(library):
    """Neighbours of new rows are fitted rows, by loops."""
    X, y = made(120)
    new, labels, X, y = X[90:], y[90:], X[:90], y[:90]
    rows = library.asarray(new)

    def score(name):
        return NeighborCollapseScorer(name).fit(library.asarray(X), y).score(
            rows, labels
        )  # fmt: skip

    radii = oracles.neighbor_distances(new, 20, X)
    logs = [math.log(oracles.local_dimension(list(r))) for r in radii]
    assert score("lid") == pytest.approx(math.exp(sum(logs) / 30), rel=1e-9)
    ratios = np.sort(np.log(radii[:, 1] / radii[:, 0]))[:27]
    heights = -np.log(1 - np.arange(1, 28) / 30)
    slope = (ratios @ heights) / (ratios @ ratios)
    assert score("two_nn") == pytest.approx(slope, rel=1e-9)
    hits = y[np.argmin(oracles.distances(new, X), axis=1)] == labels
    assert score("thornton_index") == pytest.approx(hits.mean())
    near = oracles.distances(oracles.unit(new), oracles.unit(X)).min(axis=1)
    assert score("nearest_neighbor_entropy") == pytest.approx(
        np.log(near).mean(), rel=1e-9
    )
    assert score("uniformity") == pytest.approx(-oracles.uniformity(new), rel=1e-9)
    assert score("mst_length") == pytest.approx(oracles.mst_length(new), rel=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_score_samples(library, dtype):
    X, _ = made()
    X = X.astype(dtype)
    scorer = NeighborCollapseScorer(n_neighbors=7).fit(library.asarray(X[20:]))
    values = scorer.score_samples(library.asarray(X))
    assert library.owns(values)
    assert library.to_numpy(values).dtype == dtype
    radii = oracles.neighbor_distances(X, 7, X[20:])
    expected = [oracles.local_dimension(list(r)) for r in radii]
    tolerance = 4 * np.finfo(dtype).eps if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(library.to_numpy(values), expected, rtol=tolerance)


def test_counts():
    X, _ = made(30)
    scorer = NeighborCollapseScorer().fit(X[np.r_[:15, :15, :5]])
    assert scorer.n_samples_fit_ == 35
    assert scorer.n_duplicates_ == 20
    assert scorer.n_neighbors_ == 14
    assert scorer.device_ == "cpu"
    assert NeighborCollapseScorer(n_neighbors=3).fit(X).n_neighbors_ == 3


def test_labels():
    X, y = made()
    scorer = NeighborCollapseScorer().fit(X)
    assert "thornton_index" not in scorer.metrics_
    assert not hasattr(scorer, "classes_")
    assert "thornton_index" not in scorer.set_params(metrics="all").metrics_
    names = np.array(["a", "b", "c"])[y]
    np.testing.assert_array_equal(scorer.fit(X, names).classes_, ["a", "b", "c"])
    for broken in (
        NeighborCollapseScorer("thornton_index"),
        NeighborCollapseScorer(metrics=["thornton_index"]),
    ):
        with pytest.raises(ValueError, match="pass y to fit"):
            broken.fit(X)
    scorer = NeighborCollapseScorer("thornton_index").fit(X, names)
    with pytest.raises(ValueError, match="pass y to score"):
        scorer.score(X)
    with pytest.raises(ValueError, match="z"):
        scorer.score(X, np.where(y == 0, "z", names))
    with pytest.raises(ValueError, match="inconsistent"):
        scorer.score(X, names[1:])


def test_labels_that_are_missing_later():
    """Metrics chosen after fit, and a class of which no row is kept."""
    X, y = made()
    scorer = NeighborCollapseScorer().fit(X).set_params(metrics=["thornton_index"])
    with pytest.raises(ValueError, match="pass y to fit"):
        scorer.metrics_  # noqa: B018
    y = np.where(np.arange(len(y)) < 2, "z", "a")
    scorer = NeighborCollapseScorer("thornton_index", max_samples=5, random_state=0)
    scorer.fit(X[::-1], y[::-1])
    assert scorer.classes_.tolist() == ["a", "z"]
    # None of the rows that are kept has the label "z".
    assert scorer.score(X[:2], ["z", "z"]) == 0
    assert scorer.score(X[:2], ["a", "z"]) == 0.5


def test_score_of_a_single_row():
    X, _ = made()
    scorer = NeighborCollapseScorer("uniformity", metrics=["lid"]).fit(X)
    with pytest.warns(CollapseWarning, match="uniformity needs at least 2"):
        assert np.isnan(scorer.score(X[:1]))


def test_new_rows_that_equal_fitted_rows():
    """With a label of its own, a row is not taken for the fitted one."""
    X, y = np.array([[0.0], [1.0], [5.0]]), np.array([0, 1, 1])
    scorer = NeighborCollapseScorer("thornton_index").fit(X, y)
    assert scorer.score([[0.0]], [0]) == 0  # itself left out: 1 is the nearest
    assert scorer.score([[1.0]], [0]) == 1  # taken for it as well
    assert scorer.score([[4.9]], [1]) == 1


def test_row_of_zeros():
    X, y = made()
    X[5] = 0
    scorer = NeighborCollapseScorer().fit(X, y)
    with pytest.warns(CollapseWarning, match="row of zeros has no direction"):
        found = scorer.metrics_
    assert set(found) == set(NAMES) - set(UNIT)
    for name in UNIT:
        with pytest.raises(ValueError, match="row 5"):
            NeighborCollapseScorer(metrics=[name]).fit(X).metrics_  # noqa: B018
        with pytest.raises(ValueError, match="row 5"):
            NeighborCollapseScorer(name).fit(X).score(X)
    with pytest.raises(ValueError, match="row 5"):
        NeighborCollapseScorer(metrics="all").fit(X).metrics_  # noqa: B018


def test_collapsed_to_two_points():
    X = np.repeat([[0.0, 1.0], [1.0, 0.0]], 5, axis=0)
    scorer = NeighborCollapseScorer(metrics=["two_nn"]).fit(X)
    assert scorer.n_neighbors_ == 1
    with pytest.warns(CollapseWarning, match="lid needs at least 3"):
        assert math.isnan(scorer.score(X))
    with pytest.warns(CollapseWarning, match="local dimension needs at least 3"):
        assert np.isnan(scorer.score_samples(X)).all()
    with pytest.warns(CollapseWarning, match="two_nn needs at least 3"):
        assert math.isnan(scorer.metrics_["two_nn"])


def test_all_rows_equal():
    X = np.ones((5, 3))
    scorer = NeighborCollapseScorer("nearest_neighbor_entropy").fit(X)
    assert scorer.n_duplicates_ == 4
    with pytest.warns(CollapseWarning, match="-inf"):
        assert scorer.score(X) == -math.inf
    new = [[1.0, 1.0, 0.0]]
    expected = math.log(oracles.distances(oracles.unit(new), oracles.unit(X))[0, 0])
    assert scorer.score(new) == pytest.approx(expected)
    with pytest.warns(CollapseWarning, match="needs at least 3 distinct rows, got 1"):
        assert np.isnan(scorer.score_samples(X)).all()


def test_one_new_row_has_no_slope():
    X, _ = made()
    with pytest.warns(CollapseWarning, match="two_nn"):
        assert math.isnan(NeighborCollapseScorer("two_nn").fit(X).score(X[:1]))


def test_refused():
    X, y = made()
    with pytest.raises(ValueError, match="unknown names"):
        NeighborCollapseScorer(metrics=["vci"]).fit(X)
    with pytest.raises(ValueError, match="criterion"):
        NeighborCollapseScorer("vci").fit(X)
    with pytest.raises(ValueError, match="n_neighbors"):
        NeighborCollapseScorer(n_neighbors=1).fit(X)
    scorer = NeighborCollapseScorer().fit(X)
    with pytest.raises(ValueError, match="takes no sample_weight"):
        scorer.score(X, y, sample_weight=np.ones(len(X)))
    X[3, 1] = np.inf
    for method in (scorer.score, scorer.score_samples):
        with pytest.raises(ValueError, match=r"infinity .*row 3"):
            method(X)


def test_metrics_are_computed_once(monkeypatch):
    X, _ = made()
    scorer = NeighborCollapseScorer(metrics=["lid", "mst_dimension"]).fit(X)
    before = scorer.metrics_
    monkeypatch.setattr("sklearn_collapse.collapse._neighbors.NEIGHBOR_METRICS", {})
    assert scorer.metrics_ == before
    scorer.metrics_["lid"] = 0.0  # a copy
    assert scorer.metrics_ == before


def test_seed_is_drawn_once():
    """Without a seed, the metrics of one fit are still its own."""
    X, _ = made()
    scorer = NeighborCollapseScorer("mst_dimension").fit(X)
    copy = pickle.loads(pickle.dumps(scorer))
    assert copy.metrics_["mst_dimension"] == scorer.metrics_["mst_dimension"]
    assert scorer.score(X) == scorer.metrics_["mst_dimension"]


def test_moved():
    torch = pytest.importorskip("torch")
    X, y = made()
    scorer = NeighborCollapseScorer(random_state=0).fit(X, y)
    values, rows = scorer.metrics_, scorer.score_samples(X)
    moved = move_estimator(scorer, torch.empty(0))
    there = moved.score_samples(torch.asarray(X))
    assert isinstance(there, torch.Tensor)
    np.testing.assert_allclose(there.numpy(), rows, rtol=1e-9)
    assert moved.metrics_ == values
    back = move_estimator(moved, "numpy")
    np.testing.assert_allclose(back.score_samples(X), rows, rtol=1e-9)
    np.testing.assert_allclose(back.score(X, y), scorer.score(X, y), rtol=1e-9)


def test_in_a_pipeline_and_a_search():
    """More noise in further columns is a higher dimension, which is found."""
    rng = np.random.default_rng(0)
    X = np.hstack([rng.normal(size=(120, 2)), 1e-3 * rng.normal(size=(120, 4))])
    pipeline = make_pipeline(FunctionTransformer(), NeighborCollapseScorer("two_nn"))
    search = GridSearchCV(
        pipeline,
        {"functiontransformer": [FunctionTransformer(), StandardScaler()]},
        cv=KFold(3, shuffle=True, random_state=0),
        error_score="raise",
    ).fit(X)
    assert isinstance(search.best_params_["functiontransformer"], StandardScaler)
    expected = search.best_estimator_[-1].metrics_["two_nn"]
    assert search.score(X) == pytest.approx(expected, rel=1e-9)
