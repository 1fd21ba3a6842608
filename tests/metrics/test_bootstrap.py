"""Tests of intervals by resampling, against explicitly repeated rows."""

import math
import warnings
from functools import partial

import numpy as np
import oracles
import pytest
from fake_metrics import add_fakes, gap, misfit, same_neighbor, slope, spread
from joblib import parallel_config
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_collapse import LinearHead
from sklearn_collapse.metrics import (
    BootstrapInterval,
    CollapseWarning,
    bootstrap_difference,
    bootstrap_interval,
)
from sklearn_collapse.metrics._repeat import evaluate


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    add_fakes(monkeypatch)


def made(sizes=(12, 20, 8), d=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return rng.normal(size=(len(sizes), d))[y] + rng.normal(size=(len(y), d)), y


def seeds_of(random_state, n, skip=0):
    rng = np.random.RandomState(random_state)
    for _ in range(skip):
        rng.randint(2**31 - 1)
    return rng.randint(2**31 - 1, size=n)


def drawn_rows(y, seed):
    """Rows of one resample: each position of the sorted labels draws of its class."""
    order = np.argsort(y, kind="stable")
    members = {label: order[y[order] == label] for label in np.unique(y)}
    highs = np.array([len(members[y[row]]) for row in order])
    picks = np.random.default_rng(seed).integers(highs)
    return np.array(
        [members[y[row]][pick] for row, pick in zip(order, picks, strict=True)]
    )


def drawn_halves(y, seed):
    """The first half of each class in the order of random keys, two rows at least."""
    order = np.argsort(y, kind="stable")
    keys = np.random.default_rng(seed).random(len(y))
    rows = []
    for label in np.unique(y):
        mine = [(keys[p], row) for p, row in enumerate(order) if y[row] == label]
        count = max(len(mine) // 2, min(len(mine), 2))
        rows += [row for _, row in sorted(mine)[:count]]
    return np.sort(rows)


def assert_interval(found, value, values, level=0.95):
    """Resampled values, and the interval of those reflected at the value."""
    assert found.value == pytest.approx(value)
    np.testing.assert_allclose(found.values, values, rtol=1e-8)
    reflected = [2 * value - v for v in values]
    low, high = np.percentile(reflected, [50 * (1 - level), 50 * (1 + level)])
    assert (found.low, found.high) == pytest.approx((low, high))
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
    assert found.standard_error == pytest.approx(deviation)


# -- with replacement ------------------------------------------------------------


@pytest.mark.parametrize("name", ["vci", "cdnv", "nc2_equinorm", "ncm_accuracy"])
def test_rows_are_repeated_within_classes(library, name):
    X, y = made()
    oracle = getattr(oracles, name)
    values = []
    for seed in seeds_of(0, 25):
        rows = drawn_rows(y, seed)
        np.testing.assert_array_equal(np.bincount(y[rows]), np.bincount(y))
        values.append(oracle(X[rows], y[rows]))
    found = bootstrap_interval(
        name,
        library.asarray(X),
        library.asarray(y),
        n_resamples=25,
        random_state=0,
    )
    assert_interval(found, oracle(X, y), values)


def test_labels_of_any_kind():
    X, y = made()
    options = {"n_resamples": 5, "random_state": 0}
    names = np.array(["a", "b", "c"])[y]
    found = bootstrap_interval("vci", X, names.tolist(), **options)
    expected = bootstrap_interval("vci", X, y, **options)
    np.testing.assert_allclose(found.values, expected.values)


def test_percentile_interval_and_level():
    X, y = made()
    options = {"n_resamples": 40, "random_state": 0, "confidence_level": 0.8}
    basic = bootstrap_interval("cdnv", X, y, **options)
    assert_interval(basic, oracles.cdnv(X, y), basic.values, 0.8)
    percentile = bootstrap_interval("cdnv", X, y, method="percentile", **options)
    ends = np.percentile(percentile.values, [10, 90])
    assert (percentile.low, percentile.high) == pytest.approx(tuple(ends))
    assert basic.low == pytest.approx(2 * basic.value - percentile.high)
    assert basic.high == pytest.approx(2 * basic.value - percentile.low)


def test_weights_are_drawn_with_their_rows():
    X, y = made()
    weights = np.random.default_rng(0).integers(0, 3, size=len(y))
    kept = np.flatnonzero(weights)
    Z, labels, w = X[kept], y[kept], weights[kept]
    values = []
    for seed in seeds_of(0, 10):
        rows = drawn_rows(labels, seed)
        again = np.repeat(rows, w[rows])
        values.append(oracles.cdnv(Z[again], labels[again]))
    value = oracles.cdnv(np.repeat(Z, w, axis=0), np.repeat(labels, w))
    found = bootstrap_interval(
        "cdnv", X, y, sample_weight=weights, n_resamples=10, random_state=0
    )
    assert_interval(found, value, values)


@pytest.mark.parametrize("name", ["spread", "slope", "misfit"])
def test_without_classes(name):
    """All rows are one class; they keep their targets."""
    X, labels = made()
    y = X[:, :2] ** 2
    oracle = {
        "spread": lambda rows: spread(X[rows]),
        "slope": lambda rows: slope(X[rows], y[rows]),
        "misfit": lambda rows: misfit(X[rows], y[rows], np.eye(2, 3)),
    }[name]
    values = [oracle(drawn_rows(0 * labels, seed)) for seed in seeds_of(0, 10)]
    found = bootstrap_interval(
        name,
        X,
        None if name == "spread" else y,
        head=np.eye(2, 3),
        n_resamples=10,
        random_state=0,
    )
    assert_interval(found, oracle(np.arange(len(y))), values)


def test_functions_that_take_no_weights():
    X, y = made()

    def function(X, y):
        return oracles.cdnv(X, y)

    options = {"n_resamples": 10, "random_state": 0}
    found = bootstrap_interval(function, X, y, **options)
    expected = bootstrap_interval("cdnv", X, y, **options)
    np.testing.assert_allclose(found.values, expected.values)


def test_heads():
    X, y = made()
    head = LinearHead(np.eye(3))
    rows = [drawn_rows(y, seed) for seed in seeds_of(0, 6)]
    values = [oracles.nc3_self_duality(X[r], y[r], head.coef) for r in rows]
    options = {"n_resamples": 6, "random_state": 0}
    found = bootstrap_interval("nc3_self_duality", X, y, head=head, **options)
    assert_interval(found, oracles.nc3_self_duality(X, y, head.coef), values)
    tight = {"tol": 1e-10, "max_iter": 1000}
    values = [
        oracles.nc3_self_duality(
            X[r], y[r], LogisticRegression(**tight).fit(X[r], y[r]).coef_
        )
        for r in rows
    ]
    found = bootstrap_interval(
        "nc3_self_duality", X, y, head=LogisticRegression(**tight), **options
    )
    np.testing.assert_allclose(found.values, values, rtol=1e-4)


def test_classes_of_one_row_stay():
    X, y = made((1, 1, 15))
    options = {"n_resamples": 10, "random_state": 0}
    for seed in seeds_of(0, 10):
        rows = drawn_rows(y, seed)
        assert np.bincount(y[rows]).tolist() == [1, 1, 15]
    found = bootstrap_interval("nc1_trace_ratio", X, y, **options)
    assert np.isfinite(found.values).all()
    found = bootstrap_interval("same_neighbor", X, y, **options)
    assert np.isfinite(found.values).all()


# -- halves, without replacement -------------------------------------------------


@pytest.mark.parametrize("name", ["gap", "same_neighbor"])
def test_neighbors_see_no_row_twice(name):
    X, y = made((12, 21, 2, 1))
    strata = y if name == "same_neighbor" else 0 * y
    oracle = (
        (lambda rows: same_neighbor(X[rows], y[rows]))
        if name == "same_neighbor"
        else (lambda rows: gap(X[rows]))
    )
    skip = int(name == "gap")  # it draws, and has got a seed of its own
    halves = [drawn_halves(strata, seed) for seed in seeds_of(0, 15, skip)]
    assert all(len(set(rows)) == len(rows) for rows in halves)
    b, n = len(halves[0]), len(y)
    assert b == (6 + 10 + 2 + 1 if name == "same_neighbor" else 18)
    raw = np.array([oracle(rows) for rows in halves])
    value = oracle(np.arange(n))
    values = value + math.sqrt(b / (n - b)) * (raw - raw.mean())
    found = bootstrap_interval(name, X, y, n_resamples=15, random_state=0)
    assert_interval(found, value, values)


def test_halves_of_very_few_rows():
    """Nothing is left out, so nothing varies."""
    found = bootstrap_interval("gap", [[0.0], [1.0]], n_resamples=5, random_state=0)
    assert found.low == found.high == found.value == 1.0


def test_halves_give_the_standard_error_of_a_mean(monkeypatch):
    """sigma / sqrt(n), though the subsamples have half the rows."""
    from dataclasses import replace

    from sklearn_collapse.metrics import METRICS

    mean = replace(METRICS["gap"], function=lambda X: float(np.mean(X)))
    monkeypatch.setitem(METRICS, "gap", mean)
    X = np.random.default_rng(0).normal(size=(300, 1))
    found = bootstrap_interval("gap", X, n_resamples=2000, random_state=0)
    expected = X.std(ddof=1) / math.sqrt(300)
    # The standard deviation of 2000 draws is known to 1.6 %.
    assert found.standard_error == pytest.approx(expected, rel=0.07)
    assert found.value == X.mean()


# -- two checkpoints -------------------------------------------------------------


def test_difference_is_paired():
    """The same rows for both, whatever their width."""
    X, y = made()
    other = np.hstack([1.5 * X, X[:, :1] ** 2])
    rows = [drawn_rows(y, seed) for seed in seeds_of(0, 20)]
    values = [oracles.cdnv(other[r], y[r]) - oracles.cdnv(X[r], y[r]) for r in rows]
    a, b = oracles.cdnv(X, y), oracles.cdnv(other, y)
    found = bootstrap_difference("cdnv", X, other, y, n_resamples=20, random_state=0)
    assert isinstance(found, BootstrapInterval)
    assert_interval(found, b - a, values)
    assert (found.value_a, found.value_b) == pytest.approx((a, b))
    opposite = sum(np.sign(2 * (b - a) - v) != np.sign(b - a) for v in values)
    assert found.opposite_share == opposite / 20
    options = {"n_resamples": 20, "random_state": 0, "method": "percentile"}
    plain = bootstrap_difference("cdnv", X, other, y, **options)
    opposite = sum(np.sign(v) != np.sign(b - a) for v in values)
    assert plain.opposite_share == opposite / 20
    back = bootstrap_difference("cdnv", other, X, y, n_resamples=20, random_state=0)
    np.testing.assert_allclose(back.values, -found.values)
    assert back.opposite_share == found.opposite_share


def test_what_both_have_in_common_cancels():
    X, y = made((60, 60, 60))
    options = {"n_resamples": 60, "random_state": 0}
    near = X + 0.01 * np.random.default_rng(1).normal(size=X.shape)
    paired = bootstrap_difference("cdnv", X, near, y, **options)
    alone = bootstrap_interval("cdnv", X, y, **options)
    assert paired.standard_error < 0.1 * alone.standard_error
    same = bootstrap_difference("cdnv", X, X, y, **options)
    assert (same.low, same.high, same.opposite_share) == (0, 0, 1)


def test_difference_with_heads_and_halves():
    X, y = made()
    other = X[:, :2]
    heads = LinearHead(np.eye(3)), LinearHead(np.eye(3, 2))
    found = bootstrap_difference(
        *("nc3_self_duality", X, other, y),
        head_a=heads[0],
        head_b=heads[1],
        n_resamples=5,
        random_state=0,
    )
    rows = [drawn_rows(y, seed) for seed in seeds_of(0, 5)]
    values = [
        oracles.nc3_self_duality(other[r], y[r], heads[1].coef)
        - oracles.nc3_self_duality(X[r], y[r], heads[0].coef)
        for r in rows
    ]
    np.testing.assert_allclose(found.values, values)

    found = bootstrap_difference("gap", X, other, n_resamples=5, random_state=0)
    halves = [drawn_halves(0 * y, seed) for seed in seeds_of(0, 5, skip=1)]
    raw = np.array([gap(other[r]) - gap(X[r]) for r in halves])
    np.testing.assert_allclose(found.values, gap(other) - gap(X) + raw - raw.mean())


# -- as an interval --------------------------------------------------------------


@pytest.mark.parametrize("method", ["percentile", "basic"])
def test_coverage(method):
    """CDNV of two Gaussian classes, whose true value is known."""
    truth = 3 / 4.0**2  # trace of the covariance over the squared distance
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 60)
    centres = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0]])
    covered = 0
    for seed in range(100):
        X = centres[y] + rng.normal(size=(120, 3))
        found = bootstrap_interval(
            partial(_cdnv),
            X,
            y,
            n_resamples=80,
            confidence_level=0.9,
            method=method,
            random_state=seed,
        )
        covered += found.low <= truth <= found.high
    # 90 expected, with a standard deviation of 3.
    assert 80 <= covered <= 98


def _cdnv(X, y, *, sample_weight=None):
    """CDNV of two classes in a few lines: the function is not what is tested."""
    w = np.ones(len(X)) if sample_weight is None else sample_weight
    means = [np.average(X[y == c], axis=0, weights=w[y == c]) for c in (0, 1)]
    variances = [
        np.average(((X[y == c] - means[c]) ** 2).sum(axis=1), weights=w[y == c])
        for c in (0, 1)
    ]
    return sum(variances) / (2 * ((means[0] - means[1]) ** 2).sum())


# -- workers, warnings, errors ---------------------------------------------------


def test_values_do_not_depend_on_workers():
    X, y = made()
    options = {"n_resamples": 7, "random_state": 5}
    one, two = (
        bootstrap_interval("vci", X, y, n_jobs=n_jobs, **options) for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(one.values, two.values)
    pair = bootstrap_difference("vci", X, X[:, :2], y, n_jobs=2, **options)
    np.testing.assert_array_equal(
        pair.values,
        bootstrap_difference("vci", X, X[:, :2], y, **options).values,
    )


def _blas_threads(seed):
    np.ones((2, 2)) @ np.ones((2, 2))
    return max(
        (
            info["num_threads"]
            for info in threadpool_info()
            if info["user_api"] == "blas"
        ),
        default=1,
    )


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_threads_of_workers_are_bounded(backend):
    from joblib import cpu_count

    # Whatever the environment says, there is something to bound.
    few = max(1, cpu_count() // 3)
    with threadpool_limits(max(2, cpu_count())), parallel_config(backend=backend):
        before = _blas_threads(0)
        found = evaluate(_blas_threads, np.arange(6), n_jobs=3)
        assert _blas_threads(0) == before
    assert before > few
    assert (found <= few).all()


def test_few_rows_warn_once():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 30)), np.arange(20) % 2
    with pytest.warns(CollapseWarning, match="null_reference") as caught:
        bootstrap_interval("vci", X, y, n_resamples=5)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_nan_and_infinite_values():
    X, _ = made()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = bootstrap_interval(lambda X: math.nan, X, n_resamples=3)
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        found = bootstrap_interval(lambda X: math.inf, X, n_resamples=3)
        assert math.isnan(found.standard_error)


@pytest.mark.parametrize("function", [bootstrap_interval, bootstrap_difference])
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_resamples": 1}, ValueError, "n_resamples == 1, must be >= 2"),
        (
            {"confidence_level": 95},
            ValueError,
            r"confidence_level must lie in \(0, 1\)",
        ),
        ({"method": "bca"}, ValueError, "method must be one of"),
        ({"powr": 3}, TypeError, "vci has no option 'powr'"),
        ({"sample_weight": [1.0]}, ValueError, "inconsistent numbers of samples"),
    ],
)
def test_errors(function, options, error, message):
    X, y = made()
    features = [X] if function is bootstrap_interval else [X, X]
    with pytest.raises(error, match=message):
        function("vci", *features, y, **options)


def test_rows_that_do_not_correspond():
    X, y = made()
    with pytest.raises(ValueError, match="same rows, got 40 and 39 rows"):
        bootstrap_difference("spread", X, X[1:])
    with pytest.raises(ValueError, match="X has 39 rows, y has 40"):
        bootstrap_difference("vci", X, X[1:], y)
    with pytest.raises(ValueError, match="gap takes no sample_weight"):
        bootstrap_interval("gap", X, sample_weight=np.ones(40))
