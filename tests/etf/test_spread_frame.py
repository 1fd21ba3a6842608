"""The frame with the largest least angle, against codes that are known."""

import inspect

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import OptimizeResult, approx_fprime
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_collapse._linalg import _packing
from sklearn_collapse._linalg._packing import (
    largest_cosine,
    pack,
    polygon,
    smooth_largest_cosine,
)
from sklearn_collapse.etf import _spread, rankin_bound, spread_frame
from sklearn_collapse.etf._spread import searched_frame

# Least angles in degrees of the best codes known, from Sloane's tables.
SLOANE = {
    (8, 3): 74.8585,
    (12, 3): 63.4349,
    (24, 3): 43.6908,
    (10, 4): 80.4060,
    (24, 4): 60.0,
    (16, 5): 78.4630,
}


def cosines(rows):
    """Of all pairs, each twice."""
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return (units @ units.T)[~np.eye(len(units), dtype=bool)]


def search(n_classes, d, seed=0, n_init=32, max_iter=100):
    """The optimiser without the frames that are known."""
    rng = np.random.RandomState(seed)
    return searched_frame(n_classes, d, rng, n_init, max_iter)


@pytest.mark.parametrize(("shape", "angle"), SLOANE.items())
def test_best_codes_known(shape, angle):
    frame = spread_frame(*shape)
    assert frame.shape == shape
    assert_allclose(np.linalg.norm(frame, axis=1), 1, rtol=1e-15)
    found = np.degrees(np.arccos(cosines(frame).max()))
    # Tables have four decimals.
    assert found == pytest.approx(angle, abs=2e-4)


@pytest.mark.parametrize("d", [2, 3, 5, 8, 16])
def test_search_finds_the_simplex(d):
    found = cosines(search(d + 1, d, n_init=1))
    assert_allclose(found, -1 / d, rtol=0, atol=1e-6)


@pytest.mark.parametrize("d", [2, 3, 5, 8, 16])
def test_search_finds_the_orthoplex(d):
    found = cosines(search(2 * d, d, n_init=1)).max()
    assert found + 1e-12 >= 0
    assert found < 1e-5


@pytest.mark.parametrize("n_classes", [5, 9])
def test_search_finds_the_polygon(n_classes):
    found = cosines(search(n_classes, 2, n_init=4)).max()
    assert found == pytest.approx(np.cos(2 * np.pi / n_classes), abs=1e-5)


@pytest.mark.parametrize(
    ("n_classes", "d", "largest"),
    [
        *[(2, 1, -1), (2, 5, -1), (4, 3, -1 / 3), (9, 20, -1 / 8)],
        *[(5, 3, 0), (6, 3, 0), (40, 20, 0), (4, 2, 0)],
        *[(5, 2, np.cos(2 * np.pi / 5)), (100, 2, np.cos(2 * np.pi / 100))],
    ],
)
@pytest.mark.parametrize("random_state", [None, 0])
def test_known_frames(n_classes, d, largest, random_state):
    frame = spread_frame(n_classes, d, random_state)
    assert frame.shape == (n_classes, d)
    assert_allclose(np.linalg.norm(frame, axis=1), 1, rtol=1e-14)
    assert cosines(frame).max() == pytest.approx(largest, abs=1e-14)
    if d > 1:
        other = spread_frame(n_classes, d, 1)
        assert np.abs(frame - other).max() > 1e-3


def test_polygon_is_balanced():
    for n_classes in range(3, 12):
        assert_allclose(polygon(n_classes).sum(axis=0), 0, atol=1e-15)


def test_seeds_and_starts():
    first = spread_frame(9, 3)
    assert_array_equal(first, spread_frame(9, 3, None))
    assert_array_equal(first, spread_frame(9, 3, 0))
    assert np.abs(first - spread_frame(9, 3, 1)).max() > 1e-3
    few = spread_frame(24, 4, n_init=2, max_iter=10)
    assert_array_equal(few, spread_frame(24, 4, 0, n_init=2, max_iter=10))
    # More starts contain the fewer, and more steps go on from them.
    values = [cosines(spread_frame(24, 4, n_init=k)).max() for k in (1, 4, 16)]
    assert values == sorted(values, reverse=True)
    assert cosines(few).max() > values[-1] + 1e-4


def test_never_below_the_bound_and_better_than_chance(rng):
    for n_classes, d in [(20, 3), (50, 10), (100, 16)]:
        frame = spread_frame(n_classes, d, n_init=1, max_iter=20)
        found = cosines(frame).max()
        chance = cosines(rng.normal(size=(n_classes, d))).max()
        assert rankin_bound(n_classes, d) <= found < chance - 0.3
    assert found < 0.22  # 0.206 with more steps


@pytest.mark.parametrize("sharpness", [5.0, 300.0])
def test_smoothed_maximum(sharpness, rng, monkeypatch):
    rows = rng.normal(size=(7, 4)) * rng.uniform(0.5, 2, size=(7, 1))

    def slow(flat):
        return np.log(np.exp(sharpness * cosines(flat.reshape(7, 4))).sum()) / sharpness

    value, gradient = smooth_largest_cosine(rows, sharpness)
    assert value == pytest.approx(slow(rows), rel=1e-13)
    numeric = approx_fprime(rows.ravel(), slow, 1e-7)
    assert_allclose(gradient.ravel(), numeric, atol=1e-4 * np.abs(numeric).max())
    assert value - largest_cosine(_packing.unit_rows_of(rows)) >= 0
    # In blocks of a few rows the same.
    monkeypatch.setattr(_packing, "_PAIRS", 1)
    monkeypatch.setattr(_packing, "_FEWEST_ROWS", 3)
    blocks = smooth_largest_cosine(rows, sharpness)
    assert blocks[0] == pytest.approx(value, rel=1e-14)
    assert_allclose(blocks[1], gradient, rtol=1e-12, atol=1e-15)
    units = _packing.unit_rows_of(rows)
    assert largest_cosine(units) == pytest.approx(cosines(rows).max(), rel=1e-14)


def test_sharpest_level_does_not_overflow(rng):
    rows = np.vstack([np.eye(3), [[1, 1e-9, 0]], rng.normal(size=(3, 3))])
    value, gradient = smooth_largest_cosine(rows, _packing.SHARPNESS[-1])
    assert value == pytest.approx(1.0, abs=1e-5)
    assert np.isfinite(gradient).all()


def test_pack_never_returns_worse_than_it_saw(rng):
    start = rng.normal(size=(12, 3))
    assert largest_cosine(pack(start, 1)) < cosines(start).max()


def test_pack_returns_the_best_level(rng, monkeypatch):
    """Should the optimiser lose ground at a level, as a failed line search may."""
    levels = iter(rng.normal(size=(len(_packing.SHARPNESS), 8, 3)))
    seen = []

    def worse_and_better(value, start, **options):
        seen.append(next(levels))
        return OptimizeResult(x=seen[-1].ravel())

    monkeypatch.setattr(_packing, "minimize", worse_and_better)
    found = pack(rng.normal(size=(8, 3)), 5)
    values = [cosines(rows).max() for rows in seen]
    assert cosines(found).max() == pytest.approx(min(values), abs=1e-14)
    assert min(values) < values[-1] - 1e-3


@pytest.mark.parametrize(
    ("arguments", "options", "error", "match"),
    [
        ((3, 1), {}, ValueError, "n_features=1 has room for 2 .* n_classes=3"),
        ((1, 3), {}, ValueError, "n_classes == 1"),
        ((5.0, 3), {}, TypeError, "n_classes must be an instance"),
        ((5, 0), {}, ValueError, "n_features == 0"),
        ((9, 3), {"n_init": 0}, ValueError, "n_init == 0"),
        ((9, 3), {"n_init": "all"}, ValueError, "n_init must be 'auto' .*'all'"),
        ((9, 3), {"n_init": 1.5}, TypeError, "n_init must be an instance"),
        ((9, 3), {"max_iter": 0}, ValueError, "max_iter == 0"),
        ((9, 3, "seed"), {}, ValueError, "seed"),
    ],
)
def test_errors(arguments, options, error, match):
    with pytest.raises(error, match=match):
        spread_frame(*arguments, **options)


@pytest.mark.parametrize("integer", [np.int8, np.uint8, np.int64])
def test_numpy_integers(integer):
    """None of them overflows: 20^2 * 3 is more than a byte holds."""
    found = spread_frame(
        integer(20), integer(3), integer(4), n_init=integer(2), max_iter=integer(20)
    )
    assert_array_equal(found, spread_frame(20, 3, 4, n_init=2, max_iter=20))


def test_options_are_keywords():
    parameters = inspect.signature(spread_frame).parameters
    for name in ("n_init", "max_iter"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize(("work", "threads"), [(1e8, 1), (0, 2)])
def test_threads_where_products_are_large(monkeypatch, work, threads):
    """Small products spend their time waiting for the other threads."""

    def watched(start, max_iter):
        blas = [i for i in threadpool_info() if i["user_api"] == "blas"]
        found.extend(info["num_threads"] for info in blas)
        return start

    found = []
    monkeypatch.setattr(_spread, "pack", watched)
    monkeypatch.setattr(_spread, "_WORK_OF_THREADS", work)
    with threadpool_limits(2, user_api="blas"):
        before = [i["num_threads"] for i in threadpool_info()]
        spread_frame(12, 3, n_init=1)
        assert [i["num_threads"] for i in threadpool_info()] == before
    assert found
    assert max(found) == threads
