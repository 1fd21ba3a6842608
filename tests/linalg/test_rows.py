"""Maps over blocks of rows: nearest class, distances, fourth moments."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse._linalg._rows import (
    class_distances,
    class_metric,
    fourth_moments,
    map_rows,
    nearest_class,
)
from sklearn_collapse.utils import _arrays
from sklearn_collapse.utils._arrays import Rows, namespace

FLOATS = pytest.mark.parametrize("dtype", [np.float64, np.float32])


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 256 rows."""
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)


@pytest.fixture
def elsewhere(monkeypatch):
    """NumPy rows go to torch; main memory stands for a GPU."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(_arrays, "gpu_for", lambda device, work: torch.empty(0))


def metric_of(library, means, centre=None, root=None):
    means = library.asarray(np.asarray(means, dtype=float))
    xp = namespace(means)
    centre = xp.mean(means, axis=0) if centre is None else library.asarray(centre)
    return class_metric(
        means, centre, None if root is None else library.asarray(root), xp
    )


def squared_distances(X, means, root=None):
    """(x - m)^T R R^T (x - m), by loops, in float64."""
    X = np.asarray(X, dtype=float)
    root = np.eye(X.shape[1]) if root is None else root
    return np.array([(((x - means) @ root) ** 2).sum(axis=1) for x in X])


def check_nearest(
    library, X, means, root=None, *, rtol, atol=0.0, centre=None, wide=False
):
    """Nearest class and the distance to it against the loops."""
    metric = metric_of(library, means, centre, root)
    nearest, distance = nearest_class(Rows(library.asarray(X)), metric, wide=wide)
    assert library.owns(nearest)
    assert library.owns(distance)
    nearest, distance = np.asarray(nearest), np.asarray(distance)
    expected = squared_distances(X, means, root)
    assert distance.dtype == X.dtype
    assert_array_equal(nearest, expected.argmin(axis=1))
    expected = np.sqrt(expected.min(axis=1))
    assert_allclose(np.sqrt(distance), expected, rtol=rtol, atol=atol)


# -- nearest class ---------------------------------------------------------------------


@FLOATS
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("whitened", [False, True])
def test_nearest_class(library, dtype, wide, whitened):
    rng = np.random.default_rng(0)
    means = 2 * rng.normal(size=(5, 4))
    root = rng.normal(size=(4, 4)) if whitened else None
    X = (means[rng.integers(0, 5, 60)] + rng.normal(size=(60, 4))).astype(dtype)
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    check_nearest(library, X, means, root, rtol=rtol, wide=wide)


@FLOATS
@pytest.mark.parametrize("n_classes", [1, 2, 300])
def test_numbers_of_classes(library, dtype, n_classes):
    rng = np.random.default_rng(1)
    means = rng.normal(size=(n_classes, 5))
    X = rng.normal(size=(80, 5)).astype(dtype)
    root = rng.normal(size=(5, 3))
    rtol = 1e-11 if dtype == np.float64 else 1e-4
    check_nearest(library, X, means, rtol=rtol)
    check_nearest(library, X, means, root, rtol=rtol)


@FLOATS
@pytest.mark.parametrize("n", [256, 257, 700])
def test_several_blocks(library, dtype, n, small_blocks):
    rng = np.random.default_rng(2)
    means = rng.normal(size=(6, 3))
    X = rng.normal(size=(n, 3)).astype(dtype)
    rtol = 1e-11 if dtype == np.float64 else 1e-4
    for wide in (False, True):
        check_nearest(library, X, means, np.eye(3), rtol=rtol, wide=wide)


@FLOATS
@pytest.mark.parametrize("spread", [1e-2, 1e-3, 1e-4])
def test_collapsed_classes(library, dtype, spread, small_blocks):
    # Whitened, the means are 1e2 to 1e4 apart and a row is about 2 from its own:
    # ||z||^2 - 2 z.m + ||m||^2 has no digits left in float32.
    rng = np.random.default_rng(3)
    means = rng.normal(size=(7, 4))
    y = rng.integers(0, 7, 600)
    X = (means[y] + spread * rng.normal(size=(600, 4))).astype(dtype)
    root = np.eye(4) / spread
    apart = np.sqrt(squared_distances(means, means, root))
    assert apart[apart > 0].min() > 1 / spread
    close = {"rtol": 1e-8} if dtype == np.float64 else {"rtol": 1e-5, "atol": 2e-4}
    check_nearest(library, X, means, root, **close)
    # The same far from zero, where float32 itself is coarser than the spread.
    check_nearest(library, (X + 100).astype(dtype), means + 100, root, **close)


@FLOATS
def test_rows_at_a_mean(library, dtype):
    means = np.array([[1.0, 2.0], [3.0, -1.0], [1e4, 0.0]])
    nearest, distance = nearest_class(
        Rows(library.asarray(means.astype(dtype))), metric_of(library, means)
    )
    assert_array_equal(np.asarray(nearest), [0, 1, 2])
    assert_array_equal(np.asarray(distance), 0)


@FLOATS
def test_rows_exactly_between_two_classes(library, dtype):
    # Either is right; the distance is that to either.
    rng = np.random.default_rng(4)
    means = np.array([[1e4, 3.0, 0.5], [-1e4, 3.0, 0.5], [0.0, 5e4, 0.0]])
    X = np.hstack([np.zeros((50, 1)), rng.normal(size=(50, 2))]).astype(dtype)
    nearest, distance = nearest_class(
        Rows(library.asarray(X)), metric_of(library, means)
    )
    assert set(np.asarray(nearest).tolist()) <= {0, 1}
    expected = squared_distances(X, means)
    assert_array_equal(expected[:, 0], expected[:, 1])
    assert_allclose(np.asarray(distance), expected[:, 0], rtol=1e-6)


@pytest.mark.parametrize("gap", [1e-4, 1e-6, 1e-8])
def test_rows_nearly_between_two_classes(library, gap):
    # The two products differ by less than float32 resolves: decided in float64.
    rng = np.random.default_rng(5)
    shared = np.array([0.0, 300.0, -200.0, 100.0])
    means = shared + np.array([[10.0, 0, 0, 0], [-10.0, 0, 0, 0], [0, 900, 0, 0]])
    X = rng.normal(size=(400, 4)) + shared
    X[:, 0] = gap * rng.choice([-1, 1], 400) * rng.uniform(1, 2, 400)
    X = X.astype(np.float32)
    assert_array_equal(squared_distances(X, means).argmin(axis=1), X[:, 0] < 0)
    for root in (None, np.eye(4)):
        check_nearest(library, X, means, root, rtol=1e-6, centre=np.zeros(4))
        check_nearest(library, X, means, root, rtol=1e-6)


def test_rows_near_the_centre_of_classes_of_almost_equal_norm(library):
    # Half of the squared norms lies where float32 changes: they differ by 1e-5, and by
    # 0.03 once they are rounded. What decides is x.m, of about 1e-3.
    rng = np.random.default_rng(6)
    half = 500_000 + 2.0**-6 + 1e-5 * np.ones((40, 1))
    half[7] -= 2e-5
    assert np.all(half[7].astype(np.float32) < np.delete(half, 7).astype(np.float32))
    means = rng.normal(size=(40, 3))
    means *= np.sqrt(2 * half) / np.linalg.norm(means, axis=1, keepdims=True)
    X = (1e-6 * rng.normal(size=(300, 3))).astype(np.float32)
    metric = metric_of(library, means, np.zeros(3))
    nearest = np.asarray(nearest_class(Rows(library.asarray(X)), metric)[0])
    # Without ||x||^2, which all classes share, the loops resolve the differences.
    match = X.astype(float) @ means.T - (means**2).sum(axis=1) / 2
    assert_array_equal(nearest, match.argmax(axis=1))


@FLOATS
def test_normalized_rows(library, dtype, small_blocks):
    rng = np.random.default_rng(7)
    X = rng.normal(size=(600, 4)) * 10.0 ** rng.integers(-8, 8, (600, 1))
    X = X.astype(dtype)
    units = X.astype(float) / np.linalg.norm(X.astype(float), axis=1, keepdims=True)
    means = units[:5] + 0.1 * rng.normal(size=(5, 4))
    nearest, distance = nearest_class(
        Rows(library.asarray(X)), metric_of(library, means), normalize=True
    )
    expected = squared_distances(units, means)
    assert np.asarray(distance).dtype == dtype
    assert_array_equal(np.asarray(nearest), expected.argmin(axis=1))
    rtol = 1e-11 if dtype == np.float64 else 1e-4
    assert_allclose(np.asarray(distance), expected.min(axis=1), rtol=rtol)


@pytest.mark.parametrize("dtype", ["float16", "int64", "int8", "bool"])
def test_other_dtypes(library, dtype):
    if (library.name, dtype) == ("array_api_strict", "float16"):
        dtype = "int16"  # the standard has no half precision
    rng = np.random.default_rng(8)
    X = (3 * rng.normal(size=(50, 3))).astype(dtype)
    means = rng.normal(size=(4, 3))
    metric = metric_of(library, means)
    nearest, distance = nearest_class(Rows(library.asarray(X)), metric)
    expected = squared_distances(X, means)
    result = np.float32 if dtype == "float16" else np.float64
    assert np.asarray(distance).dtype == result
    assert_allclose(np.asarray(distance), expected.min(axis=1), rtol=1e-5)
    assert_array_equal(np.asarray(nearest), expected.argmin(axis=1))
    distances = class_distances(Rows(library.asarray(X)), metric)
    assert np.asarray(distances).dtype == result
    assert_allclose(np.asarray(distances), np.sqrt(expected), rtol=1e-3)


@FLOATS
@pytest.mark.parametrize("wide", [False, True])
def test_numpy_rows_worked_on_elsewhere(elsewhere, small_blocks, dtype, wide):
    rng = np.random.default_rng(9)
    means, root = rng.normal(size=(6, 3)), rng.normal(size=(3, 3))
    X = rng.normal(size=(700, 3)).astype(dtype)
    X.flags.writeable = False
    xp = namespace(X)
    rows = Rows(X, "cuda")
    metric = class_metric(means, means.mean(axis=0), root, xp)
    nearest, distance = map(rows.home, nearest_class(rows, metric, wide=wide))
    expected = squared_distances(X, means, root)
    assert type(nearest) is type(distance) is np.ndarray
    assert_array_equal(nearest, expected.argmin(axis=1))
    assert_allclose(distance, expected.min(axis=1), rtol=1e-4)
    metric = class_metric(means, means.mean(axis=0), None, xp)
    distances = rows.home(class_distances(rows, metric))
    assert type(distances) is np.ndarray
    assert_allclose(distances, np.sqrt(squared_distances(X, means)), rtol=1e-5)


# -- distances to all classes ----------------------------------------------------------


@FLOATS
@pytest.mark.parametrize("n_classes", [1, 2, 300])
@pytest.mark.parametrize("offset", [0, 1e3])
def test_class_distances(library, dtype, n_classes, offset, small_blocks):
    rng = np.random.default_rng(10)
    means = rng.normal(size=(n_classes, 4)) + offset
    X = (rng.normal(size=(300, 4)) + offset).astype(dtype)
    found = class_distances(Rows(library.asarray(X)), metric_of(library, means))
    assert library.owns(found)
    assert np.asarray(found).dtype == dtype
    expected = np.sqrt(squared_distances(X, means))
    rtol = 1e-6 if dtype == np.float32 else 1e-9
    assert_allclose(np.asarray(found), expected, rtol=rtol)


@FLOATS
def test_class_distances_of_collapsed_classes(library, dtype):
    rng = np.random.default_rng(11)
    means = rng.normal(size=(5, 4)) + 10
    y = np.arange(100) % 5
    X = (means[y] + 1e-5 * rng.normal(size=(100, 4))).astype(dtype)
    X[:5] = means.astype(dtype)
    found = np.asarray(
        class_distances(Rows(library.asarray(X)), metric_of(library, X[:5]))
    )
    expected = np.sqrt(squared_distances(X, X[:5].astype(float)))
    assert_array_equal(np.diag(found[:5]), 0)
    assert_allclose(found, expected, rtol=1e-6)
    assert_array_equal(found.argmin(axis=1), y)


@FLOATS
def test_class_distances_to_means_that_nearly_coincide(library, dtype, small_blocks):
    # Not only the nearest: the second mean is as close, the norms 1e12 times larger.
    rng = np.random.default_rng(14)
    centre = np.array([1e3, -2e3, 3e3])
    means = centre + np.array([[0, 0, 0], [1e-2, 0, 0], [0, -2e-2, 0], [500, 0, 0]])
    X = (centre + 1e-2 * rng.normal(size=(300, 3))).astype(dtype)
    metric = metric_of(library, means, np.zeros(3))
    found = np.asarray(class_distances(Rows(library.asarray(X)), metric))
    expected = np.sqrt(squared_distances(X, means))
    assert_allclose(found, expected, rtol=1e-6)


# -- sums of fourth powers -------------------------------------------------------------


@FLOATS
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("offset", [0, 1e4])
def test_fourth_moments(library, dtype, weighted, normalize, offset, small_blocks):
    rng = np.random.default_rng(12)
    X = (rng.normal(size=(600, 3)) + offset).astype(dtype)
    codes = rng.integers(0, 4, 600)
    weights = rng.uniform(size=600) if weighted else None
    rows = X.astype(float)
    if normalize:
        rows = np.array([x / math.sqrt(x @ x) for x in rows])
    means = np.array([rows[codes == c].mean(axis=0) for c in range(4)])
    expected = np.zeros(4)
    for i, x in enumerate(rows):
        weight = 1 if weights is None else weights[i]
        expected[codes[i]] += weight * sum((x - means[codes[i]]) ** 2) ** 2
    found = fourth_moments(
        Rows(library.asarray(X)), means, codes, weights, normalize=normalize
    )
    assert isinstance(found, np.ndarray)
    # Unit rows at 1e4 differ by 1e-4 and are rounded at 1e-16.
    assert_allclose(found, expected, rtol=1e-9)


# -- the map itself --------------------------------------------------------------------


@FLOATS
@pytest.mark.parametrize("n", [1, 256, 300, 512, 700])
def test_map_rows(library, dtype, n, small_blocks):
    X = np.random.default_rng(13).normal(size=(n, 3)).astype(dtype)
    seen = []

    def function(block, here):
        xp = namespace(block)
        seen.append((here.start, block.shape[0]))
        return xp.sum(block, axis=1), 2 * block

    sums, doubled = map_rows(Rows(library.asarray(X)), function, 3)
    assert_allclose(np.asarray(sums), [sum(x) for x in X], rtol=1e-5, atol=1e-5)
    assert_array_equal(np.asarray(doubled), 2 * X)
    assert library.owns(doubled)
    starts, sizes = zip(*seen, strict=True)
    assert_array_equal(starts, np.arange(0, n, 256))
    assert sum(sizes) == n
    assert max(sizes) <= 256


def test_map_rows_in_another_dtype(library):
    X = np.ones((5, 2), dtype=np.float32)
    xp = namespace(library.asarray(X))
    (block,) = map_rows(
        Rows(library.asarray(X)), lambda block, _: (block,), 2, xp.float64
    )
    assert np.asarray(block).dtype == np.float64


@FLOATS
@pytest.mark.parametrize("row", [0, 255, 256, 699])
@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")]
)
def test_rows_that_are_not_finite(library, dtype, row, value, word, small_blocks):
    X = np.ones((700, 3), dtype=dtype)
    X[row, 2] = value
    X[-1, 0] = -value
    metric = metric_of(library, np.eye(3))
    for function in (nearest_class, class_distances):
        with pytest.raises(ValueError, match=f"{word}.*first in row {row}, column"):
            function(Rows(library.asarray(X)), metric)


def test_large_sums_are_not_an_error(library):
    # Entries are fine, their sum is not a number of the dtype.
    dtype = np.float32 if library.name == "array_api_strict" else np.float16
    X = np.full((40, 3), np.finfo(dtype).max / 8, dtype=dtype)
    _, distance = nearest_class(
        Rows(library.asarray(X)), metric_of(library, X[:1]), wide=True
    )
    assert_array_equal(np.asarray(distance), 0)
