"""Tests of the metrics of nearest neighbours."""

import math
import re

import numpy as np
import oracles_neighbors as oracles
import pytest

from sklearn_collapse import metrics
from sklearn_collapse.metrics import (
    METRICS,
    CollapseWarning,
    lid,
    mst_dimension,
    mst_length,
    nearest_neighbor_entropy,
    thornton_index,
    topological_separability,
    two_nn,
    uniformity,
)
from sklearn_collapse.metrics._metric import INVARIANCES

NAMES = [name for name, metric in METRICS.items() if metric.family == "neighbors"]
KNOWN = {
    *("lid", "two_nn", "mst_length", "mst_dimension", "uniformity"),
    *("nearest_neighbor_entropy", "thornton_index"),
}
UNLABELLED = [name for name in NAMES if name != "thornton_index"]


def made(n=90, d=6, seed=0, offset=3.0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return 0.7 * rng.normal(size=(3, d))[y] + rng.normal(size=(n, d)) + offset, y


def measure(name, X, y, **options):
    if name == "mst_dimension":
        options = {"random_state": 0, **options}
    arguments = (X, y) if name == "thornton_index" else (X,)
    return METRICS[name].function(*arguments, **options)


# -- facts -----------------------------------------------------------------------


def test_names():
    assert set(NAMES) == KNOWN
    assert "topological_separability" not in METRICS


@pytest.mark.parametrize("name", NAMES)
def test_facts(name):
    metric = METRICS[name]
    assert metric.function is getattr(metrics, name)
    assert metric.needs == {"neighbors", "rows"}
    assert metric.direction == ("lower" if name == "uniformity" else "higher")
    assert metric.invariances <= set(INVARIANCES)
    doc = metric.function.__doc__
    author, year = re.match(r"(\w+).* (\d{4})$", metric.source).groups()
    assert author in doc.partition("References")[2]
    assert year in doc.partition("References")[2]


@pytest.mark.parametrize("name", NAMES)
def test_invariances_are_complete(name):
    """An invariance that is not listed does not hold, one that is does."""
    X, y = made()
    rng = np.random.default_rng(0)
    maps = {
        "rotation": lambda X: X @ np.linalg.qr(rng.normal(size=(6, 6)))[0],
        "translation": lambda X: X + np.array([9.0, -3.0, 2.0, 0.0, 1.0, -5.0]),
        "scale": lambda X: 0.05 * X,
        "invertible": lambda X: X @ np.diag([0.01, 0.1, 1.0, 1.0, 10.0, 100.0]),
        "cloning": lambda X: np.repeat(X, 3, axis=0),
    }
    value = measure(name, X, y)
    for kind in INVARIANCES:
        labels = np.repeat(y, 3) if kind == "cloning" else y
        with np.errstate(all="ignore"):
            if kind == "cloning" and name == "nearest_neighbor_entropy":
                with pytest.warns(CollapseWarning, match="270 rows"):
                    moved = measure(name, maps[kind](X), labels)
            else:
                moved = measure(name, maps[kind](X), labels)
        if kind in METRICS[name].invariances:
            assert math.isclose(value, moved, rel_tol=1e-9), kind
        else:
            assert not math.isclose(value, moved, rel_tol=1e-3), kind


@pytest.mark.parametrize("name", NAMES)
def test_range(name):
    low, high = METRICS[name].range
    for seed in range(5):
        for n in (4, 5, 40):
            X, y = made(n, seed=seed)
            assert low <= measure(name, X, y) <= high
    X = [[1.0, 0.0], [-2.0, 0.0]]
    if name == "uniformity":
        assert uniformity(X) == pytest.approx(low)
        assert uniformity([[1.0, 1.0], [3.0, 3.0]]) == pytest.approx(high)
    if name == "nearest_neighbor_entropy":
        assert nearest_neighbor_entropy(X) == pytest.approx(high)


@pytest.mark.parametrize("name", sorted(KNOWN - {"thornton_index"}))
def test_direction(name, rng):
    """The better value belongs to rows that fill their space."""
    full = rng.normal(size=(300, 6))
    flat = full * [1.0, 0.3, 1e-3, 1e-3, 1e-3, 1e-3]
    better, worse = measure(name, full, None), measure(name, flat, None)
    if METRICS[name].direction == "higher":
        assert better > worse
    else:
        assert better < worse


# -- values ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_neighbors": 5},
        {"n_neighbors": 5, "correction": True},
        {"n_neighbors": 2, "method": "moments"},
        {"method": "moments", "aggregate": "harmonic"},
        {"aggregate": "harmonic"},
        {"n_neighbors": 1000},
    ],
)
def test_lid(library, options):
    X, _ = made()
    expected = oracles.lid(X, **options)
    assert lid(library.asarray(X), **options) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "options", [{}, {"discard": 0.0}, {"discard": 0.5}, {"method": "mle"}]
)
def test_two_nn(library, options):
    X, _ = made()
    expected = oracles.two_nn(X, **options)
    assert two_nn(library.asarray(X), **options) == pytest.approx(expected, rel=1e-9)


def test_uniformity(library):
    X, _ = made()
    for t in (2.0, 0.5, 3000.0):
        # Even where every term but a few underflows.
        D = oracles.distances(oracles.unit(X))[np.triu_indices(len(X), 1)]
        terms = -t * D**2
        expected = np.max(terms) + math.log(np.mean(np.exp(terms - np.max(terms))))
        assert uniformity(library.asarray(X), t=t) == pytest.approx(expected, rel=1e-9)
    assert uniformity(X) == pytest.approx(oracles.uniformity(X), rel=1e-9)


def test_uniformity_by_blocks(library, monkeypatch):
    X, _ = made(300, 3)
    D = oracles.distances(oracles.unit(X))[np.triu_indices(len(X), 1)]
    monkeypatch.setattr("sklearn_collapse._linalg._pairs._COLUMNS", 100)
    monkeypatch.setattr("sklearn_collapse.utils._arrays.block_rows", lambda width: 64)
    for t in (2.0, 1e4):
        top = np.max(-t * D**2)
        expected = top + math.log(np.mean(np.exp(-t * D**2 - top)))
        found = uniformity(library.asarray(X), t=t)
        # Cosines have an absolute error, which t multiplies.
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-14 * t)


@pytest.mark.parametrize("eps", [0.0, 1e-2])
def test_nearest_neighbor_entropy(library, eps):
    X, _ = made()
    expected = oracles.nearest_neighbor_entropy(X, eps)
    found = nearest_neighbor_entropy(library.asarray(X), eps=eps)
    assert found == pytest.approx(expected, rel=1e-9)


def test_thornton_index(library):
    X, y = made()
    expected = oracles.thornton_index(X, y)
    assert 0 < expected < 1
    assert thornton_index(library.asarray(X), library.asarray(y)) == expected


def test_thornton_index_of_equal_and_equally_near_rows(library, rng):
    """Shares of ties, of rows that are equal as of others."""
    X = rng.integers(0, 2, size=(60, 3)).astype(float)
    y = rng.integers(0, 3, 60)
    expected = oracles.thornton_index(X, y)
    assert thornton_index(library.asarray(X), y) == pytest.approx(expected)
    X = np.array([[0.0], [1.0], [-1.0], [1.0], [9.0]])
    y = ["a", "a", "b", "c", "a"]
    # 1 and -1 are as near to 0; 1 is there twice.
    assert oracles.thornton_index(X, y) == pytest.approx((1 / 3 + 1 / 2) / 5)
    assert thornton_index(library.asarray(X), y) == pytest.approx(
        oracles.thornton_index(X, y)
    )


@pytest.mark.parametrize("offset", [0.0, 0.1, 1e4])
def test_dimension_of_equally_near_rows(library, offset):
    """Neighbours that are equally far but for the rounding of the rows."""
    grid = np.stack(np.meshgrid(range(8), range(8)), axis=-1).reshape(-1, 2)
    X = library.asarray(grid + offset)
    for method in ("fit", "mle"):
        assert two_nn(X, method=method) == math.inf
    for method in ("mle", "moments"):
        assert lid(X, n_neighbors=2, method=method) == math.inf
        assert 0 < lid(X, n_neighbors=12, method=method) < math.inf


@pytest.mark.parametrize(("n_values", "d"), [(2, 9), (4, 5)])
def test_thornton_index_of_a_grid(library, rng, n_values, d):
    """Ties of many rows, and such as the rounding of products would break."""
    X = rng.integers(0, n_values, size=(70, d)).astype(float)
    y = rng.integers(0, 3, 70)
    expected = oracles.thornton_index(X, y)
    assert thornton_index(library.asarray(X), y) == pytest.approx(expected)
    # Every row is as near as any other.
    y = np.arange(40) % 2
    assert thornton_index(library.asarray(np.eye(40)), y) == pytest.approx(19 / 39)


def test_thornton_index_of_equal_rows():
    X = np.ones((4, 2))
    assert thornton_index(X, [0, 0, 0, 0]) == 1
    assert thornton_index(X, [0, 0, 0, 1]) == pytest.approx(3 * (2 / 3) / 4)


def test_mst_length(library):
    X, _ = made()
    assert mst_length(library.asarray(X)) == pytest.approx(
        oracles.mst_length(X), rel=1e-9
    )


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_mst_dimension(library, alpha):
    """Of all rows and one draw, by two points of the line."""
    X, _ = made(60)
    found = mst_dimension(
        library.asarray(X), alpha=alpha, sizes=[20, 60], n_repeats=1, random_state=3
    )
    state = np.random.RandomState(3)
    state = np.random.RandomState(state.randint(np.iinfo(np.int32).max))
    some = X[state.choice(60, 20, replace=False)]
    totals = [np.sum(oracles.tree(rows) ** alpha) for rows in (some, X)]
    slope = math.log(totals[1] / totals[0]) / math.log(60 / 20)
    assert found == pytest.approx(alpha / (1 - slope), rel=1e-9)


def test_topological_separability(library, rng):
    X = np.vstack([rng.normal(size=(30, 3)), 40 + rng.normal(size=(30, 3))])
    lifetimes = oracles.tree(X)
    lifetimes = lifetimes / max(lifetimes)
    mean, quantile = topological_separability(library.asarray(X))
    assert mean == pytest.approx(np.mean(lifetimes), rel=1e-9)
    assert quantile == pytest.approx(np.quantile(lifetimes, 0.9), rel=1e-9)
    # Classes that are apart leave one long edge.
    joined = topological_separability(np.vstack([X[:30], X[30:] - 40]))
    assert mean < 0.2 < joined.mean
    assert topological_separability(X, quantile=1).quantile == 1


# -- known dimensions ------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 4, 8])
def test_dimension_of_balls(d, rng):
    """Rows of a ball, turned into more dimensions; the known bias is one-sided."""
    X = oracles.ball(2000, d, rng, ambient=20) + 100
    assert 0.75 * d < lid(X) < 1.1 * d
    assert 0.8 * d < lid(X, method="moments") < 1.15 * d
    for method in ("fit", "mle"):
        assert 0.85 * d < two_nn(X, method=method) < 1.1 * d
    biased = {2: 1.97, 4: 3.67, 8: 7.17}[d]
    found = mst_dimension(X, random_state=0)
    assert found == pytest.approx(biased, rel=0.08)


def skdim_two_nn(X, discard=0.1):
    """TwoNN as scikit-dimension 0.5 writes it."""
    radii = np.sort(oracles.distances(X), axis=1)
    ratios = np.sort(radii[:, 2] / radii[:, 1])
    n = len(ratios)
    kept = int(n * (1 - discard))
    logs = np.log(ratios[:kept])
    heights = -np.log(1 - np.arange(1, 1 + kept) / n)
    return np.linalg.lstsq(logs[:, None], heights, rcond=None)[0][0]


@pytest.mark.parametrize("d", [2, 8])
def test_two_nn_of_scikit_dimension(d, rng):
    X = oracles.ball(400, d, rng, ambient=10)
    assert two_nn(X) == pytest.approx(skdim_two_nn(X), rel=1e-9)


# -- difficult rows --------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_mean_far_from_zero(name, library):
    """In float32, against float64 of the same rows."""
    X, y = made(offset=1e4)
    X = X.astype(np.float32)
    wide = X.astype(float)
    oracle = getattr(oracles, name, None)
    if name == "mst_dimension":
        expected = measure(name, wide, y)
    else:
        expected = oracle(wide, y) if name == "thornton_index" else oracle(wide)
    found = measure(name, library.asarray(X), y)
    # Chords of almost equal directions have that many digits in float64.
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", ["lid", "two_nn", "mst_dimension", "thornton_index"])
def test_collapsed_classes(name):
    """Classes far tighter than the square root of the rounding of their distance."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    noise = rng.normal(size=(120, 5))
    X = 100 * np.eye(3, 5)[y] + 1e-9 * noise
    if name in ("lid", "two_nn"):
        expected = getattr(oracles, name)(X)
        assert measure(name, X, y) == pytest.approx(expected, rel=1e-8)
    elif name == "thornton_index":
        assert measure(name, X, y) == 1
    else:
        assert 0 < measure(name, X, y) < 2


@pytest.mark.parametrize("function", [lid, two_nn])
def test_duplicates(function, library, rng):
    """Zero distances are skipped: equal rows are one point."""
    X = rng.normal(size=(40, 4))
    rows = X[np.r_[:40, [3] * 50, 5, 9]]
    expected = getattr(oracles, function.__name__)(rows)
    assert function(library.asarray(rows)) == pytest.approx(expected, rel=1e-9)
    assert math.isfinite(expected)
    if function is two_nn:
        assert function(rows) == pytest.approx(function(X), rel=1e-9)


@pytest.mark.parametrize("name", ["lid", "two_nn"])
@pytest.mark.parametrize(
    "X", [np.ones((5, 2)), [[0.0], [1.0]], [[0.0], [1.0], [1.0], [0.0]]]
)
def test_fewer_than_three_points(name, X):
    with pytest.warns(CollapseWarning, match=f"{name} needs at least 3 distinct"):
        assert math.isnan(METRICS[name].function(X))


def test_constant_rows():
    X = np.full((6, 3), 2.0)
    assert uniformity(X) == 0
    assert mst_length(X) == 0
    with pytest.warns(CollapseWarning, match="6 rows have the direction"):
        assert nearest_neighbor_entropy(X) == -math.inf
    assert nearest_neighbor_entropy(X, eps=1e-8) == pytest.approx(math.log(1e-8))
    with pytest.warns(CollapseWarning, match="mst_dimension needs at least 2 distinct"):
        assert math.isnan(mst_dimension(X))
    with pytest.warns(CollapseWarning, match="at least 2 distinct rows"):
        assert np.isnan(topological_separability(X)).all()


def test_two_rows():
    X = [[3.0, 0.0], [0.0, 1.0]]
    assert uniformity(X) == pytest.approx(-4)
    assert mst_length(X) == pytest.approx(math.sqrt(2))
    assert thornton_index(X, [0, 0]) == 1
    assert thornton_index(X, [0, 1]) == 0
    with pytest.warns(CollapseWarning, match="at least 4 distinct rows"):
        assert math.isnan(mst_dimension(X))
    assert topological_separability(X) == (1, 1)


def test_equally_far_neighbours():
    """A simplex: the ratio of its distances is 1, the dimension unbounded."""
    X = np.eye(6)
    assert lid(X) == math.inf
    assert lid(X, aggregate="harmonic") == math.inf
    assert lid(X, method="moments") == math.inf
    assert two_nn(X) == math.inf
    assert two_nn(X, method="mle") == math.inf


def test_mst_dimension_beyond_all_bounds():
    """Every row adds the same length: the slope is 1 or more."""
    assert mst_dimension(np.eye(50), random_state=0) > 30


# -- arguments -------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_max_samples(name):
    X, y = made()
    value = measure(name, X, y)
    assert measure(name, X, y, max_samples=90, random_state=0) == value
    some = measure(name, X, y, max_samples=50, random_state=0)
    assert some == measure(name, X, y, max_samples=50, random_state=0)
    assert some != measure(name, X, y, max_samples=50, random_state=1)
    if name != "mst_dimension":
        state = np.random.RandomState(0)
        state.randint(np.iinfo(np.int32).max)
        chosen = state.choice(90, 50, replace=False)
        assert some == pytest.approx(measure(name, X[chosen], y[chosen]), rel=1e-9)


@pytest.mark.parametrize("function", [uniformity, nearest_neighbor_entropy, mst_length])
def test_row_of_zeros(function, library):
    X, _ = made()
    X[17] = 0
    with pytest.raises(ValueError, match="row of zeros, row 17"):
        function(library.asarray(X))
    X[16:] = 0
    with pytest.raises(ValueError, match=r"row (1[6-9]|[2-8]\d)\b"):
        function(X, max_samples=80, random_state=0)


@pytest.mark.parametrize(
    ("function", "options", "error", "text"),
    [
        (lid, {"n_neighbors": 1}, ValueError, "n_neighbors must be at least 2, got 1"),
        (lid, {"n_neighbors": 2.5}, TypeError, "n_neighbors must be an integer"),
        (lid, {"method": "ml"}, ValueError, "method must be 'mle' or 'moments'"),
        (lid, {"aggregate": "mean"}, ValueError, "aggregate must be 'geometric'"),
        (lid, {"method": "moments", "correction": True}, ValueError, "correction"),
        (lid, {"max_samples": 1}, ValueError, "max_samples must be at least 2"),
        (lid, {"max_samples": "all"}, TypeError, "an integer or None, got 'all'"),
        (two_nn, {"method": "x"}, ValueError, "method must be 'fit' or 'mle'"),
        (two_nn, {"discard": 1.0}, ValueError, r"discard must be in \[0, 1\)"),
        (uniformity, {"t": 0}, ValueError, "t must be positive"),
        (nearest_neighbor_entropy, {"eps": -1}, ValueError, "eps must be finite"),
        (mst_dimension, {"alpha": 0}, ValueError, "alpha must be positive"),
        (mst_dimension, {"n_repeats": 0}, ValueError, "n_repeats must be at least 1"),
        (mst_dimension, {"sizes": [5]}, ValueError, "two different numbers"),
        (mst_dimension, {"sizes": [5, 91]}, ValueError, "up to 90"),
        (mst_dimension, {"sizes": [1, 9]}, ValueError, "at least 2, got 1"),
        (topological_separability, {"quantile": 2}, ValueError, "quantile must be in"),
    ],
)
def test_refused_arguments(function, options, error, text):
    X, _ = made()
    with pytest.raises(error, match=text):
        function(X, **options)


@pytest.mark.parametrize("name", NAMES)
def test_refused_rows(name):
    X, y = made()
    X[4, 2] = np.nan
    with pytest.raises(ValueError, match="NaN: first in row 4, column 2"):
        measure(name, X, y)
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        measure(name, X[:1], y[:1])


def test_labels_of_another_length():
    X, y = made()
    with pytest.raises(ValueError, match="inconsistent numbers"):
        thornton_index(X, y[1:])


@pytest.mark.parametrize("name", NAMES)
def test_scorer_by_name(name):
    """Every call has the same draws; weights are refused."""
    X, y = made()
    sign = -1 if METRICS[name].direction == "lower" else 1
    scorer = metrics.get_scorer(f"neg_{name}" if sign < 0 else name)

    class Anything:
        pass

    assert scorer(Anything(), X, y) == sign * measure(name, X, y, random_state=0)
    with pytest.raises(ValueError, match="takes no sample_weight"):
        scorer(Anything(), X, y, sample_weight=np.ones(len(X)))
