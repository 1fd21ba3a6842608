"""The array boundary: conversions, small operations, blocks of rows, devices."""

import itertools
import os
import pickle

import numpy as np
import pytest
from joblib import Parallel, delayed
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse.ood import MahalanobisDetector
from sklearn_collapse.utils import _arrays, _gpu
from sklearn_collapse.utils._arrays import (
    Rows,
    add_gram,
    as_like,
    block_rows,
    check_device,
    detach,
    device_name,
    device_of,
    fill,
    float_dtype,
    gpu_for,
    input_eps,
    is_foreign,
    is_memmap,
    is_numpy,
    mirror,
    namespace,
    place_of,
    segment_sums,
    to_numpy,
)
from sklearn_collapse.utils._selection import bin_sums, kth_largest

HUGE = 1e18  # multiplications that repay any copy


@pytest.fixture
def elsewhere(monkeypatch):
    """NumPy rows go to torch; main memory stands for a GPU."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(_arrays, "gpu_for", lambda device, work: torch.empty(0))
    return torch


# -- where arrays are ------------------------------------------------------------------


def test_libraries(library):
    x = library.asarray(np.zeros((2, 3)))
    assert is_foreign(x) == (library.name != "numpy")
    assert is_numpy(namespace(x)) == (library.name == "numpy")
    assert place_of(x) == (library.name, "cpu")
    assert device_name(x) == "cpu"
    pickle.dumps(place_of(x))


@pytest.mark.parametrize("x", [[1, 2], None, 3.0, "text", np.float64(1), (1,)])
def test_what_is_not_foreign(x):
    assert not is_foreign(x)


def test_data_frames_are_not_foreign():
    for container in ("pandas", "polars"):
        frames = pytest.importorskip(container)
        assert not is_foreign(frames.DataFrame({"a": [1.0]}))
        assert not is_foreign(frames.Series([1.0]))


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int8", "bool"])
def test_to_numpy(library, dtype):
    values = np.array([[0, 1], [1, 0]]).astype(dtype)
    found = to_numpy(library.asarray(values))
    assert type(found) is np.ndarray
    assert found.dtype == values.dtype
    assert_array_equal(found, values)


def test_to_numpy_of_what_numpy_does_not_know():
    torch = pytest.importorskip("torch")
    tensor = torch.tensor([0.5, 3.0], requires_grad=True)
    assert_array_equal(to_numpy(tensor), [0.5, 3])
    half = to_numpy(tensor.to(torch.bfloat16))
    assert (half.dtype, half.tolist()) == (np.float32, [0.5, 3])
    assert not detach(tensor).requires_grad


def test_to_numpy_from_another_device():
    strict = pytest.importorskip("array_api_strict")
    pytest.importorskip("numpy", "2", reason="array_api_strict moves with NumPy 2")
    x = strict.asarray([1.0, 2.0], device=strict.Device("device1"))
    assert device_name(x) != "cpu"
    assert place_of(x) != place_of(strict.asarray([1.0]))
    assert_array_equal(to_numpy(x), [1, 2])


@pytest.mark.parametrize("source", ["numpy", "array_api_strict", "torch"])
@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
def test_as_like(library, source, dtype):
    pytest.importorskip(source)
    values = np.array([[1, 2], [3, 4]], dtype=np.float32)
    like = library.asarray(np.zeros(1))
    xp = namespace(like)
    found = as_like(
        type(library)(source).asarray(values), like, dtype and getattr(xp, dtype)
    )
    assert library.owns(found)
    assert str(found.dtype).endswith(dtype or "float32")
    assert_array_equal(np.asarray(found), values)


def test_as_like_does_not_copy_what_is_there(library):
    x = library.asarray(np.zeros(3))
    assert as_like(x, x) is x


def test_as_like_of_arrays_that_run_backwards(library):
    values = np.arange(6.0).reshape(2, 3)[:, ::-1]
    copied = as_like(values, library.asarray(np.zeros(2)))
    assert library.owns(copied)
    assert_array_equal(library.to_numpy(copied), values)


def test_as_like_of_read_only_memory(library):
    values = np.arange(3.0)
    values.flags.writeable = False
    found = as_like(values, library.asarray(np.zeros(1)))
    assert_array_equal(np.asarray(found), [0, 1, 2])


def test_is_memmap(tmp_path):
    np.save(tmp_path / "X.npy", np.zeros((4, 2)))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    for array in (mapped, mapped[1:], np.asarray(mapped), np.asarray(mapped)[:, :1].T):
        assert is_memmap(array)
    for array in (np.zeros(3), mapped + 0, np.array(mapped), [1, 2], None):
        assert not is_memmap(array)


# -- dtypes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "mapped"),
    [
        ("float64", "float64"),
        ("float32", "float32"),
        ("int64", "float64"),
        ("int8", "float64"),
        ("bool", "float64"),
    ],
)
def test_float_dtype(library, dtype, mapped):
    X = library.asarray(np.zeros((2, 2), dtype=dtype))
    xp = namespace(X)
    assert float_dtype(X, xp) == getattr(xp, mapped)
    eps = np.finfo(dtype).eps if "float" in dtype else np.finfo(float).eps
    assert input_eps(X, xp) == eps
    assert type(input_eps(X, xp)) is float


def test_half_precision():
    X = np.zeros((2, 2), dtype=np.float16)
    assert float_dtype(X, namespace(X)) == np.float32
    assert input_eps(X, namespace(X)) == 2.0**-10


def test_half_precision_of_torch():
    torch = pytest.importorskip("torch")
    for dtype, eps in ((torch.float16, 2.0**-10), (torch.bfloat16, 2.0**-7)):
        X = torch.zeros((2, 2), dtype=dtype)
        assert float_dtype(X, namespace(X)) == torch.float32
        assert input_eps(X, namespace(X)) == eps


# -- small operations ------------------------------------------------------------------


def test_block_rows():
    widths = np.array([1, 64, 128, 1000, 2048, 10**6])
    rows = np.array([block_rows(width) for width in widths])
    assert np.all((rows >= 256) & (rows <= 16384))
    assert np.all(np.diff(rows) <= 0)
    # Wide blocks keep to the memory that is allowed, down to 256 rows.
    for width, n in zip(widths, rows, strict=True):
        assert n == 256 or 8 * width * n <= _arrays._BLOCK_BYTES
    assert block_rows(0) == block_rows(1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sizes", [[7], [1, 1, 1, 4], [3, 4], [6, 1]])
def test_segment_sums(library, dtype, weighted, sizes):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(7, 3)).astype(dtype)
    weights = rng.uniform(size=7) if weighted else None
    edges = np.concatenate([[0], np.cumsum(sizes)])
    x = library.asarray(rows)
    found = segment_sums(x, edges, weights, namespace(x))
    w = np.ones(7) if weights is None else weights
    expected = [
        sum(w[i] * rows[i].astype(float) for i in range(start, stop))
        for start, stop in itertools.pairwise(edges)
    ]
    assert library.owns(found)
    assert np.asarray(found).dtype == dtype
    rtol = 1e-13 if dtype == np.float64 else 1e-5
    assert_allclose(np.asarray(found), expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("weighted", [False, True])
def test_segment_sums_of_many_runs(library, weighted):
    rng = np.random.default_rng(0)
    runs = np.sort(np.append(np.arange(500), rng.integers(0, 500, 700)))
    edges = np.searchsorted(runs, np.arange(501))
    rows, weights = rng.normal(size=(1200, 2)), rng.uniform(size=1200)
    x = library.asarray(rows)
    found = segment_sums(x, edges, weights if weighted else None, namespace(x))
    weighed = weights[:, None] * rows if weighted else rows
    expected = [weighed[runs == k].sum(axis=0) for k in range(500)]
    assert_allclose(np.asarray(found), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_add_gram(library, dtype):
    rng = np.random.default_rng(1)
    blocks = [rng.normal(size=(n, 5)).astype(dtype) for n in (4, 1, 9)]
    total = library.asarray(np.zeros((5, 5), order="F"))
    xp = namespace(total)
    for block in blocks:
        total = add_gram(total, library.asarray(block), xp)
    total = np.asarray(mirror(total, xp))
    expected = sum(np.outer(x, x) for block in blocks for x in block.astype(float))
    assert total.dtype == np.float64
    rtol = 1e-13 if dtype == np.float64 else 1e-5
    assert_allclose(total, expected, rtol=rtol, atol=10 * rtol)
    assert_array_equal(total, total.T)


@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_fill(library, shape):
    values = np.arange(6.0).reshape(shape)
    for mask in ([0, 1, 0, 0, 1, 1], [1] * 6, [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]):
        mask = np.array(mask, dtype=bool).reshape(shape)
        new = 10 + np.arange(float(mask.sum()))
        expected = values.copy()
        expected[mask] = new
        x = library.asarray(values)
        found = fill(x, library.asarray(mask), library.asarray(new), namespace(x))
        assert_array_equal(np.asarray(found), expected)
        assert_array_equal(np.asarray(x), values)


# -- blocks of rows --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
@pytest.mark.parametrize("work", ["float64", "float32"])
def test_fetch(library, dtype, work):
    X = (np.arange(12).reshape(6, 2) % 5).astype(dtype)
    rows = Rows(library.asarray(X))
    for index in (slice(0, 6), slice(2, 5), np.array([4, 0, 0, 5])):
        block = rows.fetch(index, getattr(rows.xp, work))
        assert library.owns(block)
        assert str(block.dtype).endswith(work)
        assert_array_equal(np.asarray(block), X[index])
    assert rows.place == (library.name, "cpu")


@pytest.mark.parametrize(
    "index", [slice(0, 4), np.array([1, 2])], ids=["slice", "take"]
)
def test_a_copied_block_can_be_written_to(library, index):
    X = library.asarray(np.ones((4, 2)))
    rows = Rows(X)
    block = rows.fetch(index, rows.xp.float64, copy=True)
    block *= 0
    assert_array_equal(np.asarray(X), 1)
    assert_array_equal(np.asarray(block), 0)


def test_local_and_home(library):
    rows = Rows(library.asarray(np.ones((4, 2))))
    local = rows.local(np.arange(3.0))
    assert library.owns(local)
    assert rows.home(local) is local


@pytest.mark.parametrize("order", [None, np.array([1, 2])], ids=["all", "some"])
def test_numpy_rows_worked_on_elsewhere(elsewhere, order):
    X = np.arange(8.0).reshape(4, 2)
    X.flags.writeable = False
    expected = X if order is None else X[order]
    rows, found = Rows(X), []
    assert rows.place == ("torch", "cpu")

    def work(block, here):
        assert isinstance(block, elsewhere.Tensor)
        assert_array_equal(block.numpy(), expected[here])
        block += 1
        found.append(rows.home(block).copy())

    rows.visit(work, 2, rows.xp.float64, order=order, copy=True)
    assert_array_equal(X, np.arange(8.0).reshape(4, 2))
    assert isinstance(rows.local(np.ones(2)), elsewhere.Tensor)
    assert_array_equal(np.concatenate(found), expected + 1)


def test_dtypes_of_rows_worked_on_elsewhere(elsewhere):
    for dtype, mapped in (
        (np.float64, elsewhere.float64),
        (np.float32, elsewhere.float32),
        (np.float16, elsewhere.float32),
        (np.int64, elsewhere.float64),
    ):
        rows = Rows(np.ones((3, 2), dtype=dtype))
        assert float_dtype(rows.X, rows.xp) == mapped


# -- devices ---------------------------------------------------------------------------


def test_foreign_rows_stay_where_they_are(library):
    X = library.asarray(np.ones((3, 2)))
    for device in ("auto", "cpu"):
        rows = Rows(X, device, work=HUGE)
        assert rows.place == (library.name, "cpu")
    if is_foreign(X):
        check_device(X, "CPU")
        match = "X lives on device 'cpu' but device='cuda'.*move X, or pass"
        with pytest.raises(ValueError, match=match):
            Rows(X, "cuda")


def test_cpu_never_asks_torch(monkeypatch):
    monkeypatch.setattr(_gpu.importlib.util, "find_spec", _must_not_be_called)
    assert gpu_for("cpu", HUGE) is None
    # Nor does "auto" when the work does not repay a copy …
    assert gpu_for("auto", 1.0) is None
    # … or in a forked child, which must not touch a GPU.
    monkeypatch.setattr(_gpu, "_PARENT", os.getpid() + 1)
    assert gpu_for("auto", HUGE) is None


def _must_not_be_called(*args):
    raise AssertionError(args)


def test_auto_in_a_worker_process(monkeypatch):
    monkeypatch.setattr(_gpu.importlib.util, "find_spec", _must_not_be_called)

    class Worker:
        name = "LokyProcess-1"

    monkeypatch.setattr(_gpu.multiprocessing, "current_process", Worker)
    assert gpu_for("auto", HUGE) is None


def test_auto_in_a_worker_of_joblib():
    assert _gpu._auto_may_use_gpu(HUGE)
    asked = Parallel(n_jobs=2)(delayed(_gpu._auto_may_use_gpu)(HUGE) for _ in range(2))
    assert asked == [False, False]


def test_device_that_was_used(elsewhere):
    X, y = np.eye(4), [0, 1, 0, 1]
    assert MahalanobisDetector(device="cpu").fit(X, y).device_ == "cpu"
    detector = MahalanobisDetector(device="cuda").fit(X, y)
    assert detector.moments_._device_used == ("torch", "cpu")  # where "cuda" stands
    assert detector.moments_.place == ("numpy", "cpu")


def test_auto_without_torch(monkeypatch):
    monkeypatch.setattr(_gpu.importlib.util, "find_spec", lambda name: None)
    assert gpu_for("auto", HUGE) is None
    with pytest.raises(ValueError, match=r"device='cuda' needs torch.*pip install"):
        gpu_for("cuda", 1.0)


def test_auto_without_a_gpu(monkeypatch):
    torch = pytest.importorskip("torch")
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(asked.append(1)))
    assert gpu_for("auto", HUGE) is None
    assert asked


@pytest.mark.parametrize("error", [RuntimeError, OSError, ImportError])
def test_auto_with_a_gpu_that_cannot_be_used(monkeypatch, error):
    """A broken installation, a GPU that is full: what "cpu" can do "auto" can."""
    torch = pytest.importorskip("torch")

    def fail():
        raise error("busy or unavailable\nDetails")

    monkeypatch.setattr(torch.cuda, "is_available", fail)
    match = r"GPU cannot be used \(busy or unavailable\).*device='cpu'"
    with pytest.warns(RuntimeWarning, match=match):
        assert gpu_for("auto", HUGE) is None


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "cuda:x"])
@pytest.mark.parametrize("work", [1.0, HUGE])
def test_a_device_that_is_not_there(device, work):
    pytest.importorskip("torch")
    with pytest.raises(ValueError, match=f"device='{device}' cannot be used"):
        gpu_for(device, work)


def test_a_device_that_is_there():
    torch = pytest.importorskip("torch")
    target = gpu_for("meta", 1.0)
    assert isinstance(target, torch.Tensor)
    assert str(device_of(target)) == "meta"


# -- ranks and bins --------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_kth_largest(library, dtype, rng):
    values = rng.integers(0, 9, size=(40, 13)).astype(dtype)
    rows = library.asarray(values)
    for k in (1, 2, 6, 13):
        found = kth_largest(rows, k, namespace(rows))
        assert found.shape == (40, 1)
        expected = [sorted(row, reverse=True)[k - 1] for row in values.tolist()]
        assert_array_equal(library.to_numpy(found)[:, 0], expected)
    assert_array_equal(library.to_numpy(rows), values)


def test_bin_sums(library, rng):
    """Bins without entries, the first and the last among them, are 0."""
    index, weights = rng.integers(2, 7, size=200), rng.normal(size=200)
    places = library.asarray(index)
    for w in (None, weights):
        given = None if w is None else library.asarray(w)
        found = bin_sums(places, 11, given, namespace(places))
        assert library.owns(found)
        expected = [
            sum(1.0 if w is None else w[i] for i in range(200) if index[i] == b)
            for b in range(11)
        ]
        found = library.to_numpy(found)
        assert found.dtype == np.float64
        assert_allclose(found, expected, atol=1e-12)
    empty = bin_sums(places[:0], 3, None, namespace(places))
    assert_array_equal(library.to_numpy(empty), np.zeros(3))
