"""ClassMoments: what it computes, on every array library, from any stream of blocks."""

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse import ClassMoments
from sklearn_collapse.utils import _arrays

FLAGS = [
    {},
    {"class_scatter": True},
    {"precision": "single"},
    {"precision": "single", "class_scatter": True},
]


def labelled_rows(n=40, d=4, n_classes=3, dtype=float, seed=1):
    """Rows of classes that differ in mean, spread and size; every class occurs."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % (2 * n_classes) // 2 * (np.arange(n) % 5 > 0))
    means = 3 * rng.normal(size=(n_classes, d))
    scales = np.linspace(0.2, 2, d) * (1 + y[:, None])
    X = means[y] + scales * rng.normal(size=(n, d))
    return X.astype(dtype), y


def fast_moments(X, y, weights=None):
    """The oracle of `oracles.class_moments` without its loop over rows."""
    X = np.asarray(X, dtype=float)
    weights = np.ones(len(X)) if weights is None else weights
    parts = []
    for c in np.unique(y[weights > 0]):
        w, rows = weights[y == c], X[y == c]
        mean = w @ rows / w.sum()
        parts.append((c, w.sum(), mean, (rows - mean).T @ (w[:, None] * (rows - mean))))
    classes, counts, means, scatters = map(np.array, zip(*parts, strict=True))
    return {
        "classes": classes,
        "counts": counts,
        "means": means,
        "scatter": scatters.sum(axis=0),
        "traces": np.trace(scatters, axis1=1, axis2=2),
        "class_scatter": scatters,
    }


def assert_matches(moments, expected, rtol=1e-11, offset=0.0):
    """Compare with an oracle, of the rows less an offset.

    Scatters are compared relative to their largest entry.
    """
    assert_array_equal(moments.classes_, expected["classes"])
    assert_allclose(np.asarray(moments.counts_), expected["counts"], rtol=1e-13)
    means = expected["means"]
    close = {"rtol": rtol, "atol": rtol * np.abs(means).max()}
    assert_allclose(np.asarray(moments.means_) - offset, means, **close)
    close = {"rtol": rtol, "atol": rtol * np.abs(expected["scatter"]).max()}
    assert_allclose(np.asarray(moments.scatter_), expected["scatter"], **close)
    assert_allclose(
        np.asarray(moments.class_scatter_trace_), expected["traces"], **close
    )
    if moments.class_scatter:
        assert_allclose(
            np.asarray(moments.class_scatter_), expected["class_scatter"], **close
        )


# -- attributes ------------------------------------------------------------------------


@pytest.mark.parametrize("flags", FLAGS, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_attributes(library, dtype, weighted, flags):
    X, y = labelled_rows(dtype=dtype)
    weights = np.linspace(0, 2, len(X)) if weighted else None
    moments = ClassMoments(**flags).update(
        library.asarray(X),
        library.asarray(y),
        None if weights is None else library.asarray(weights),
    )
    expected = oracles.class_moments(X, y, weights)
    single = moments.precision == "single"
    assert_matches(moments, expected, rtol=1e-5 if single else 1e-11)
    n = expected["counts"].sum()
    assert moments.n_samples_ == pytest.approx(n, rel=1e-13)
    mean = expected["counts"] @ expected["means"] / n
    assert_allclose(np.asarray(moments.mean_), mean, rtol=1e-6 if single else 1e-12)
    assert moments.dtype_ == ("float32" if single else "float64")
    assert moments.input_dtype_ == np.dtype(dtype).name
    assert moments.input_eps_ == np.finfo(dtype).eps
    assert moments.device_ == "cpu"
    assert moments.labelled
    assert moments.feature_names_ is None
    assert moments.n_features == X.shape[1]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_results_stay_in_the_library(library, dtype):
    X, y = labelled_rows(dtype=dtype)
    moments = ClassMoments(class_scatter=True).update(library.asarray(X), y)
    results = [
        *(moments.counts_, moments.means_, moments.scatter_, moments.mean_),
        *(moments.class_scatter_trace_, moments.class_scatter_),
        *(moments.within_covariance(), moments.between_covariance("balanced")),
        *(moments.total_covariance(1), moments.second_moment()),
    ]
    for result in results:
        assert library.owns(result)
        assert "float64" in str(result.dtype)
    assert type(moments.classes_) is np.ndarray
    assert type(moments.n_samples_) is float


def test_no_labels_are_one_class(library):
    X, _ = labelled_rows()
    moments = ClassMoments().update(library.asarray(X))
    assert_matches(moments, oracles.class_moments(X, np.zeros(len(X), dtype=int)))
    assert not moments.labelled


def test_string_labels_beside_any_rows(library):
    X, y = labelled_rows()
    names = np.array(["cat", "ant", "bee"])[y]
    moments = ClassMoments().update(library.asarray(X), names)
    assert_array_equal(moments.classes_, ["ant", "bee", "cat"])
    assert_matches(moments, oracles.class_moments(X, names))


def test_rows_and_classes_of_zero_weight_do_not_exist(library):
    X, y = labelled_rows()
    weights = np.where(y == 1, 0.0, 1.5)
    weights[::4] = 0
    X[weights == 0] = np.nan
    moments = ClassMoments(class_scatter=True)
    moments.update(library.asarray(X), library.asarray(y), library.asarray(weights))
    assert_array_equal(moments.classes_, [0, 2])
    assert_matches(moments, oracles.class_moments(X, y, weights))


def test_one_number_as_weight():
    X, y = labelled_rows()
    moments = ClassMoments().update(X, y, 2.5)
    assert_matches(moments, oracles.class_moments(X, y, np.full(len(X), 2.5)))


@pytest.mark.parametrize("class_scatter", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_normalize(library, dtype, class_scatter):
    X, y = labelled_rows(dtype=dtype)
    X[[3, 7]] = 0
    units = np.array([x / (np.linalg.norm(x) or 1) for x in X.astype(float)])
    moments = ClassMoments(normalize=True, class_scatter=class_scatter)
    moments.update(library.asarray(X), library.asarray(y))
    assert_matches(moments, oracles.class_moments(units, y))


def test_normalize_ignores_the_length_of_rows():
    # Squares of the shortest vanish and those of the longest overflow.
    X, y = labelled_rows()
    lengths = np.geomspace(1e-200, 1e200, len(X))[:, None]
    expected = ClassMoments(normalize=True).update(X, y)
    found = ClassMoments(normalize=True).update(lengths * X, y)
    assert_matches(found, oracles.class_moments(unit_rows(X), y))
    assert_allclose(found.scatter_, expected.scatter_, rtol=1e-12)


def unit_rows(X):
    return X / np.linalg.norm(X, axis=1, keepdims=True)


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "int64", "int8", "uint8", "bool"]
)
def test_dtypes_of_rows(library, dtype):
    if library.name == "array_api_strict" and dtype == "float16":
        dtype = "float32"  # the standard has no half precision
    X, y = labelled_rows()
    X = (np.abs(X) > 2) if dtype == "bool" else np.abs(10 * X).astype(dtype)
    moments = ClassMoments().update(library.asarray(X), y)
    assert_matches(moments, oracles.class_moments(X.astype(float), y))
    if dtype.startswith("float"):
        assert moments.input_dtype_ == dtype
    # Integers are exact: as good as float64.
    eps = np.finfo(dtype).eps if dtype.startswith("float") else np.finfo(float).eps
    assert moments.input_eps_ == eps


def test_bfloat16():
    torch = pytest.importorskip("torch")
    X, y = labelled_rows()
    rows = torch.asarray(X).to(torch.bfloat16)
    moments = ClassMoments().update(rows, y)
    assert_matches(moments, oracles.class_moments(rows.double().numpy(), y))
    assert moments.input_dtype_ == "bfloat16"
    assert moments.input_eps_ == 2.0**-7
    assert moments.scatter_.dtype == torch.float64


def test_rows_with_autograd_history_are_detached():
    torch = pytest.importorskip("torch")
    X, y = labelled_rows()
    rows = torch.asarray(X).requires_grad_()
    moments = ClassMoments().update(2 * rows, torch.asarray(y))
    assert not moments.scatter_.requires_grad
    assert_matches(moments, oracles.class_moments(2 * X, y))


def test_extended_precision_becomes_double():
    X, y = labelled_rows()
    moments = ClassMoments().update(X.astype(np.longdouble), y)
    assert_matches(moments, oracles.class_moments(X, y))
    assert moments.input_dtype_ == "float64"


def test_lists():
    moments = ClassMoments().update(
        [[1, 2], [3, 6], [5, 5]], ["b", "b", "a"], [1, 1, 2]
    )
    assert_array_equal(moments.classes_, ["a", "b"])
    assert_array_equal(moments.counts_, [2, 2])
    assert_array_equal(moments.means_, [[5, 5], [2, 4]])
    assert_array_equal(moments.scatter_, [[2, 4], [4, 8]])
    assert_array_equal(moments.class_scatter_trace_, [0, 10])


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_data_frames(container):
    frames = pytest.importorskip(container)
    X, y = labelled_rows()
    names = [f"unit{k}" for k in range(X.shape[1])]
    frame = frames.DataFrame(dict(zip(names, X.T, strict=True)))
    moments = ClassMoments().update(frame, frames.Series(y))
    assert_matches(moments, oracles.class_moments(X, y))
    assert_array_equal(moments.feature_names_, names)


def test_the_coarsest_input_is_remembered():
    X, y = labelled_rows()
    moments = ClassMoments()
    dtypes = (np.float64, np.float32, np.float64, np.float16, np.float32)
    kept = [moments.update(X.astype(dtype), y).input_dtype_ for dtype in dtypes]
    assert kept == ["float64", "float32", "float32", "float16", "float16"]
    fine = ClassMoments().update(X, y)
    assert (fine + moments).input_dtype_ == (moments + fine).input_dtype_ == "float16"
    assert (fine + moments).input_eps_ == np.finfo(np.float16).eps


def test_blocks_of_several_dtypes_lose_nothing():
    X, y = labelled_rows()
    single = X[:20].astype(np.float32)
    expected = oracles.class_moments(np.concatenate([single, X[20:]]), y)
    assert_matches(
        ClassMoments().update(single, y[:20]).update(X[20:], y[20:]), expected
    )


# -- covariances -----------------------------------------------------------------------


def test_covariances(library):
    X, y = labelled_rows()
    moments = ClassMoments().update(library.asarray(X), library.asarray(y))
    _, _, within, between = oracles.covariances(X, y)
    close = {"rtol": 1e-11, "atol": 1e-12}
    assert_allclose(np.asarray(moments.within_covariance()), within, **close)
    unbiased = within * len(X) / (len(X) - 3)
    assert_allclose(np.asarray(moments.within_covariance(3)), unbiased, **close)
    assert_allclose(np.asarray(moments.between_covariance()), between, **close)
    balanced = oracles.covariances(X, y, "balanced")[3]
    found = moments.between_covariance(class_weight="balanced")
    assert_allclose(np.asarray(found), balanced, **close)
    for ddof in (0, 1):
        total = np.cov(X.T, ddof=ddof)
        assert_allclose(np.asarray(moments.total_covariance(ddof)), total, **close)
    second = X.T @ X / len(X)
    assert_allclose(np.asarray(moments.second_moment()), second, **close)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_between_covariance_of_collapsed_means_far_from_zero(library, class_weight):
    # Means at 1e6 that differ by 1e-9: their own mean is rounded at 1e-10.
    rng = np.random.default_rng(0)
    steps = rng.integers(-8, 8, size=(7, 3)) / 2.0**32
    moments = ClassMoments().update(library.asarray(1e6 + steps), np.arange(7))
    centred = steps - steps.mean(axis=0)
    expected = sum(np.outer(x, x) for x in centred) / 7
    found = np.asarray(moments.between_covariance(class_weight))
    assert_allclose(found, expected, rtol=0, atol=1e-6 * expected.max())


def test_too_few_rows_for_the_degrees_of_freedom():
    moments = ClassMoments().update([[1.0], [2.0]])
    assert_array_equal(moments.within_covariance(ddof=1), [[0.5]])
    with pytest.raises(ValueError, match="ddof=2 needs more than 2 samples"):
        moments.within_covariance(ddof=2)
    with pytest.raises(ValueError, match="only 2"):
        moments.total_covariance(ddof=3)


def test_unknown_class_weight():
    moments = ClassMoments().update([[1.0], [2.0]], [0, 1])
    with pytest.raises(ValueError, match="class_weight must be None or 'balanced'"):
        moments.between_covariance("even")


# -- streams ---------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [{}, {"class_scatter": True, "normalize": True}])
@pytest.mark.parametrize("size", [1, 7, 39, 1000])
def test_any_block_size(library, size, flags):
    X, y = labelled_rows()
    weights = np.linspace(0.1, 3, len(X))
    moments = ClassMoments(**flags)
    for start in range(0, len(X), size):
        part = slice(start, start + size)
        block = library.asarray(X[part])
        moments.update(block, library.asarray(y[part]), library.asarray(weights[part]))
    rows = unit_rows(X) if flags else X
    assert_matches(moments, oracles.class_moments(rows, y, weights))


def test_reading_between_updates_changes_nothing(library):
    X, y = labelled_rows()
    moments = ClassMoments()
    for stop in (1, 5, 6, 20, 40):
        start = int(moments.n_samples_) if stop > 1 else 0
        moments.update(library.asarray(X[start:stop]), y[start:stop])
        assert_matches(moments, oracles.class_moments(X[:stop], y[:stop]))


def test_blocks_with_and_without_weights():
    X, y = labelled_rows()
    weights = np.concatenate([np.ones(10), np.linspace(0.5, 2, 10), np.ones(20)])
    moments = ClassMoments().update(X[:10], y[:10])
    moments.update(X[10:20], y[10:20], weights[10:20]).update(X[20:], y[20:])
    assert_matches(moments, oracles.class_moments(X, y, weights))


@pytest.mark.parametrize("batch_size", [None, 1, 9, 40, 64])
def test_from_arrays(library, batch_size):
    X, y = labelled_rows()
    weights = np.where(np.arange(len(X)) < 10, 0.0, 1.5)
    moments = ClassMoments.from_arrays(
        library.asarray(X), library.asarray(y), weights, batch_size=batch_size
    )
    assert_matches(moments, oracles.class_moments(X, y, weights))
    alone = ClassMoments.from_arrays(library.asarray(X), batch_size=batch_size)
    assert_matches(alone, oracles.class_moments(X, np.zeros(len(X), dtype=int)))


def test_from_arrays_takes_frames_and_options():
    pandas = pytest.importorskip("pandas")
    X, y = labelled_rows()
    frame = pandas.DataFrame(X, columns=list("abcd"))
    options = {"class_scatter": True, "precision": "single", "classes": [0, 1, 2]}
    moments = ClassMoments.from_arrays(frame, pandas.Series(y), batch_size=7, **options)
    assert_matches(moments, oracles.class_moments(X, y), rtol=1e-5)
    assert_array_equal(moments.feature_names_, list("abcd"))
    assert (moments.class_scatter, moments.dtype_) == (True, "float32")


def test_from_batches(library):
    X, y = labelled_rows()
    weights = np.linspace(0.5, 2, len(X))
    parts = [slice(0, 9), slice(9, 10), slice(10, 40)]
    rows = [library.asarray(X[p]) for p in parts]
    labels = [library.asarray(y[p]) for p in parts]
    alone = ClassMoments.from_batches(iter(rows))
    assert_matches(alone, oracles.class_moments(X, np.zeros(len(X), dtype=int)))
    expected = oracles.class_moments(X, y)
    pairs = list(zip(rows, labels, strict=True))
    assert_matches(ClassMoments.from_batches(iter(pairs)), expected)
    # A DataLoader collates to lists.
    assert_matches(ClassMoments.from_batches([list(p) for p in pairs]), expected)
    triples = (
        (X_b, y_b, weights[p]) for (X_b, y_b), p in zip(pairs, parts, strict=True)
    )
    moments = ClassMoments.from_batches(triples, class_scatter=True)
    assert_matches(moments, oracles.class_moments(X, y, weights))


def test_from_a_data_loader():
    data = pytest.importorskip("torch.utils.data")
    torch = pytest.importorskip("torch")
    X, y = labelled_rows()
    dataset = data.TensorDataset(torch.asarray(X), torch.asarray(y))
    moments = ClassMoments.from_batches(data.DataLoader(dataset, batch_size=7))
    assert_matches(moments, oracles.class_moments(X, y))


@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_several_blocks(library, flags, monkeypatch):
    # Blocks of 256 rows: classes run across them, one fills several.
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)
    rng = np.random.default_rng(2)
    y = rng.choice(5, size=1500, p=[0.6, 0.2, 0.15, 0.04, 0.01])
    X = rng.normal(size=(1500, 4)) + 5 * y[:, None]
    weights = rng.integers(0, 3, size=1500) / 2
    rtol = 1e-5 if "precision" in flags else 1e-11
    for order in (np.arange(1500), np.argsort(y)):
        X, y, weights = X[order], y[order], weights[order]
        for w in (None, weights):
            moments = ClassMoments(**flags).update(library.asarray(X), y, w)
            assert_matches(moments, fast_moments(X, y, w), rtol)


def test_one_class_in_several_blocks(library, monkeypatch):
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)
    X = np.random.default_rng(3).normal(size=(900, 3)) + 7
    moments = ClassMoments(class_scatter=True).update(library.asarray(X))
    assert_matches(moments, fast_moments(X, np.zeros(900, dtype=int)))


def test_more_classes_than_rows_in_a_block(library, monkeypatch):
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)
    rng = np.random.default_rng(4)
    y = rng.integers(0, 400, size=1000)
    X = rng.normal(size=(1000, 3)) + y[:, None]
    moments = ClassMoments()
    for start in range(0, 1000, 90):
        part = slice(start, start + 90)
        moments.update(library.asarray(X[part]), y[part])
    assert_matches(moments, fast_moments(X, y))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_more_rows_than_one_block_holds(library, dtype):
    # 300 float64 columns: blocks have 3495 rows as they are.
    rng = np.random.default_rng(5)
    y = rng.integers(0, 7, size=5000)
    X = (rng.normal(size=(5000, 300)) + y[:, None]).astype(dtype)
    moments = ClassMoments().update(library.asarray(X), y)
    assert_matches(moments, fast_moments(X, y))


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_memory_maps(tmp_path, mode):
    # More rows than are read at once; a class that only the last of them have.
    rng = np.random.default_rng(6)
    n = 2**18 + 5000
    X = rng.normal(size=(n, 2)).astype(np.float32) + 3
    y = np.sort(rng.integers(0, 3, size=n))
    y[-20:] = 3
    path = tmp_path / "X.npy"
    np.save(path, X)
    before = path.read_bytes()
    expected = fast_moments(X, y)
    mapped = np.load(path, mmap_mode=mode)
    assert_matches(ClassMoments.from_arrays(mapped, y), expected)
    batched = ClassMoments.from_arrays(mapped, y, batch_size=50_000)
    assert_matches(batched, expected)
    assert path.read_bytes() == before


# -- numerics --------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [1.0, 0.1])
def test_mean_far_larger_than_spread(library, spread):
    X, y = labelled_rows(n=300)
    X = (1e4 + spread * X).astype(np.float32)
    expected = oracles.class_moments(X, y)
    rows = library.asarray(X)
    assert_matches(ClassMoments().update(rows, y), expected, rtol=1e-9)
    single = ClassMoments(precision="single").update(rows, y)
    assert_matches(single, expected, rtol=1e-5)
    streamed = ClassMoments.from_arrays(rows, y, batch_size=11)
    assert_matches(streamed, expected, rtol=1e-9)


@pytest.mark.parametrize("precision", ["double", "single"])
def test_mean_that_float32_cannot_hold(library, precision):
    # Single products too are of rows that were centred in their own precision.
    X, y = labelled_rows(n=300)
    X = 1e9 + np.round(1024 * X) / 1024
    moments = ClassMoments(precision=precision).update(library.asarray(X), y)
    rtol = 1e-6 if precision == "double" else 1e-5
    assert_matches(moments, oracles.class_moments(X - 1e9, y), rtol, offset=1e9)


@pytest.mark.parametrize("offset", [0, 1e4])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("spread", [1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
def test_collapsed(library, spread, dtype, offset, monkeypatch):
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)
    rng = np.random.default_rng(7)
    y = rng.integers(0, 4, size=600)
    means = rng.normal(size=(4, 3)) + offset
    X = (means[y] + spread * rng.normal(size=(600, 3))).astype(dtype)
    expected = oracles.class_moments(X, y)
    whole = ClassMoments(class_scatter=True).update(library.asarray(X), y)
    parts = sum(
        ClassMoments(class_scatter=True).update(library.asarray(X[k::5]), y[k::5])
        for k in range(5)
    )
    _, _, _, between = oracles.covariances(X, y)
    for moments in (whole, parts):
        # The scatter may be 1e10 times smaller than the between-class part.
        assert_matches(moments, expected, rtol=1e-7)
        found = np.asarray(moments.between_covariance())
        assert_allclose(found, between, rtol=1e-9, atol=1e-10)


def test_constant_columns(library):
    X, y = labelled_rows()
    X[:, 1], X[:, 3] = 0.1, 1e4 / 3
    moments = ClassMoments(class_scatter=True).update(library.asarray(X), y)
    scatter = np.asarray(moments.scatter_)
    assert np.all(np.abs(scatter[1]) < 1e-14)
    assert np.all(np.abs(scatter[3]) < 1e-9)
    assert scatter[1, 1] < 1e-28
    assert scatter[3, 3] < 1e-20
    assert_matches(moments, oracles.class_moments(X, y))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_one_row_per_class(library, dtype):
    X = np.random.default_rng(8).normal(size=(12, 5), loc=1e4).astype(dtype)
    moments = ClassMoments(class_scatter=True)
    moments.update(library.asarray(X), np.arange(12)[::-1])
    assert_array_equal(np.asarray(moments.means_), X[::-1])
    assert_array_equal(np.asarray(moments.scatter_), 0)
    assert_array_equal(np.asarray(moments.class_scatter_), 0)
    assert_array_equal(np.asarray(moments.class_scatter_trace_), 0)


def test_one_row(library):
    moments = ClassMoments().update(library.asarray(np.array([[2.0, 3.0]])))
    assert moments.n_samples_ == 1
    assert_array_equal(np.asarray(moments.total_covariance()), 0)
    assert_array_equal(np.asarray(moments.second_moment()), [[4, 6], [6, 9]])


@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_scatter_is_exactly_symmetric(library, flags, monkeypatch):
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)
    rng = np.random.default_rng(9)
    X, y = rng.normal(size=(700, 33)) + 10, rng.integers(0, 5, size=700)
    moments = ClassMoments(**flags).update(library.asarray(X), y)
    merged = moments + ClassMoments(**flags).update(library.asarray(X[:50] + 1), y[:50])
    for m in (moments, merged):
        scatter = np.asarray(m.scatter_)
        assert_array_equal(scatter, scatter.T)
        if m.class_scatter:
            scatters = np.asarray(m.class_scatter_)
            assert_array_equal(scatters, np.swapaxes(scatters, 1, 2))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_gram_of_many_columns(monkeypatch, dtype):
    """Panels of columns give what one product gives; large ones would crash BLAS."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(50, 23)) + 3).astype(dtype)
    y = np.arange(50) % 3
    precision = "double" if dtype == "float64" else "single"
    whole = ClassMoments.from_arrays(X, y, precision=precision)
    expected = whole.scatter_
    monkeypatch.setattr(_arrays, "_MOST_COLUMNS", 8)
    monkeypatch.setattr(_arrays, "_PANEL", 5)
    parts = ClassMoments.from_arrays(X, y, precision=precision)
    rtol = 1e-12 if dtype == "float64" else 1e-5
    assert_allclose(parts.scatter_, expected, rtol=rtol, atol=rtol * 100)
    assert_allclose(parts.scatter_, parts.scatter_.T)
