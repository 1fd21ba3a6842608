"""Tests of calling metrics by what their signatures ask for."""

from functools import partial

import numpy as np
import oracles
import pytest
from fake_metrics import FAKES, add_fakes, gap, slope, spread
from metric_problems import measure, options_of, random_problem
from sklearn.metrics import accuracy_score, make_scorer, silhouette_score

from sklearn_collapse.metrics import METRICS, cdnv, get_scorer
from sklearn_collapse.metrics._call import Measure, measured


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    add_fakes(monkeypatch)


@pytest.fixture
def data(rng):
    y = np.arange(60) % 3
    return rng.normal(size=(3, 4))[y] + rng.normal(size=(60, 4)), y


@pytest.mark.parametrize("name", [*METRICS, *FAKES])
def test_every_metric(name, rng):
    """By name, entry or function: the value of the function called by hand."""
    facts = METRICS[name]
    X, y, head = problem = random_problem(facts, rng)
    expected = measure(facts, problem)
    for metric in (name, facts, facts.function):
        found = measured(metric, X, y, head, **options_of(facts))
        assert type(found) is float
        assert found == expected
        assert Measure(metric).facts is facts


def test_options_and_weights(data):
    X, y = data
    weights = np.arange(60) % 4
    again = np.repeat(X, weights, axis=0), np.repeat(y, weights)
    for metric in ("spread", "slope", "cdnv"):
        found = measured(metric, X, y, sample_weight=weights)
        assert found == pytest.approx(measured(metric, *again))
    assert measured("spread", X, power=1) == spread(X, power=1)
    assert measured(partial(cdnv, reduction="max"), X, y) == cdnv(X, y, reduction="max")
    assert Measure(partial(cdnv, reduction="max")).direction == "lower"


def test_functions_of_others(data):
    """The second argument of a function that is no metric may have any name."""
    X, y = data
    assert measured(silhouette_score, X, y) == silhouette_score(X, y)
    assert measured(lambda X: X.sum(), X, y) == X.sum()
    assert measured(lambda X, y=None: 0.0 if y is None else 1.0, X) == 0.0
    assert measured(lambda X, y=None: 0.0 if y is None else 1.0, X, y) == 1.0
    assert measured(lambda X, head=None: head, X, head=3) == 3.0


def test_a_seed_for_metrics_that_draw(data):
    X, _ = data
    rng = np.random.RandomState(0)
    seeded = Measure("gap", {"max_samples": 10}).seeded(rng)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    assert seeded(X) == gap(X, max_samples=10, random_state=seed)
    assert seeded(X) == seeded(X) != Measure("gap", {"max_samples": 10})(X)
    plain = Measure("spread")
    assert plain.seeded(rng) is plain
    # Options of a partial stay.
    seeded = Measure(partial(gap, max_samples=5)).seeded(np.random.RandomState(0))
    assert seeded(X) == gap(X, max_samples=5, random_state=seed)


@pytest.mark.parametrize(
    ("metric", "classes"),
    [
        ("vci", True),
        ("same_neighbor", True),
        ("slope", False),
        (silhouette_score, None),
    ],
)
def test_what_targets_are(metric, classes):
    """By the family; of foreign functions by the values."""
    measure = Measure(metric)
    for y in ([0, 1, 1], [0.0, 1.0, 2.0], np.array(["a", "b", "b"])):
        assert measure.has_classes(y) == (classes is not False)
    for y in ([0.5, 1.0, 2.0], np.ones((3, 2))):
        assert measure.has_classes(y) == bool(classes)


def test_rows_of_zero_weight_are_dropped_at_once(data):
    X, y = data
    X[1] = np.nan
    found = Measure("vci").data(X, y, np.arange(60) != 1)
    kept = np.arange(60) != 1
    assert found.n_rows == 59
    np.testing.assert_array_equal(found.X, X[kept])
    np.testing.assert_array_equal(found.y, y[kept])
    measured("vci", found.X, found.y, sample_weight=found.weights)


# -- errors ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("neg_vci", r"'neg_vci' is not the name of a metric. Did you mean 'vci'\?"),
        ("sprad", "Did you mean 'spread'"),
        ("zzzzz", r"metric. sorted\(METRICS\) lists"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(ValueError, match=message):
        Measure(name)


@pytest.mark.parametrize("metric", [None, 3, ["vci"]])
def test_what_is_no_metric(metric):
    with pytest.raises(TypeError, match="metric must be a name in METRICS"):
        Measure(metric)


@pytest.mark.parametrize("scorer", [get_scorer("neg_vci"), make_scorer(accuracy_score)])
def test_what_scores_an_estimator(scorer, data):
    with pytest.raises(TypeError, match="scores an estimator, but features are"):
        measured(scorer, *data)


@pytest.mark.parametrize("function", [lambda: 0.0, min])
def test_functions_without_rows(function):
    with pytest.raises(TypeError, match="has no signature with X"):
        Measure(function)


@pytest.mark.parametrize(
    ("metric", "what"),
    [
        ("vci", "class labels"),
        ("slope", "continuous targets"),
        ("same_neighbor", "class labels"),
        (silhouette_score, "labels or targets"),
    ],
)
def test_y_is_missing(metric, what, data):
    for call in (Measure(metric), Measure(metric).data):
        with pytest.raises(ValueError, match=f"needs {what}.*: pass y, which is None"):
            call(data[0])


@pytest.mark.parametrize("metric", ["nc3_product", "misfit"])
def test_head_is_missing(metric, data):
    with pytest.raises(ValueError, match=f"head is None, but {metric} compares"):
        measured(metric, *data)


@pytest.mark.parametrize(
    ("metric", "why"),
    [("gap", "compared with their neighbours"), (np.linalg.norm, "repeat the rows")],
)
def test_weights_that_a_metric_does_not_take(metric, why, data):
    for call in (Measure(metric), Measure(metric).data):
        with pytest.raises(ValueError, match=f"takes no sample_weight.*{why}"):
            call(data[0], sample_weight=np.ones(60))


def test_unknown_options():
    with pytest.raises(
        TypeError, match=r"cdnv has no option 'powr'; its .*'class_weight', 'reduction'"
    ):
        Measure("cdnv", {"powr": 4})
    with pytest.raises(TypeError, match="spread has no option 'X'"):
        Measure("spread", {"X": 4})
    Measure(lambda X, **options: 0.0, {"anything": 4})


def test_more_than_one_number(data):
    with pytest.raises(ValueError, match=r"cdnv must give one number.*\(3, 3\).*grid"):
        measured("cdnv", *data, reduction="grid")
    with pytest.raises(ValueError, match="must give one number here, got tuple"):
        measured(lambda X: (1, 2), data[0])


def test_lengths(data):
    with pytest.raises(ValueError, match="X has 60 rows, y has 59"):
        Measure("vci").data(data[0], data[1][:-1])
    with pytest.raises(ValueError, match="X has 60 rows, y has 59"):
        Measure("slope").data(data[0], data[1][:-1] + 0.5)


def test_other_libraries(library, data):
    X, y = data
    measure = Measure("cdnv")
    found = measure.data(library.asarray(X), library.asarray(y))
    assert library.owns(found.X)
    assert isinstance(found.y, np.ndarray)
    assert measure(found.X, found.y) == pytest.approx(oracles.cdnv(X, y))
    targets = Measure(slope).data(X, library.asarray(X[:, :2])).y
    np.testing.assert_array_equal(targets, X[:, :2])
