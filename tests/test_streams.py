"""ClassMoments of streams, files and many partitions."""

import pickle
import tracemalloc
from itertools import pairwise

import numpy as np
import oracles
import pytest
from moment_asserts import assert_moments as assert_matches
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse import ClassMoments
from sklearn_collapse.utils import _arrays


def labelled_rows(n=60, d=3, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % n_classes)
    return rng.normal(size=(n, d)) + 3 * y[:, None], y


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 256 rows: a block of 300 rows is worked on at once."""
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)


# -- tables ----------------------------------------------------------------------------


def test_parquet(tmp_path):
    arrow, parquet = (
        pytest.importorskip("pyarrow"),
        pytest.importorskip("pyarrow.parquet"),
    )
    dataset = pytest.importorskip("pyarrow.dataset")
    X, y = labelled_rows(200)
    weights = np.arange(200) % 4.0
    names = np.array(["ant", "bee", "cat", "dog"])[y]
    table = arrow.table(
        {
            "path": [f"{i}.png" for i in range(200)],
            "embedding": arrow.array(X.tolist(), arrow.list_(arrow.float64(), 3)),
            "label": arrow.array(names).dictionary_encode(),
            "weight": weights,
        }
    )
    expected = oracles.class_moments(X, names, weights)
    columns = {"features": "embedding", "label": "label", "weight": "weight"}
    path = tmp_path / "rows.parquet"
    parquet.write_table(table, path, row_group_size=33)
    with parquet.ParquetFile(path) as file:
        moments = ClassMoments.from_batches(file.iter_batches(7), **columns)
    assert_matches(moments, expected)
    # Filters leave parts without rows.
    source = dataset.dataset(path)
    assert_matches(ClassMoments.from_batches(source.to_batches(), **columns), expected)
    filtered = source.to_batches(filter=dataset.field("label") == "bee")
    kept = y == 1
    expected = oracles.class_moments(X[kept], names[kept], weights[kept])
    assert_matches(ClassMoments.from_batches(filtered, **columns), expected)


@pytest.mark.parametrize("kind", ["arrow", "pandas", "polars", "mapping"])
def test_names_of_columns(kind):
    X, y = labelled_rows()
    columns = {"b": X[:, 0], "a": X[:, 1], "c": X[:, 2], "label": y}
    if kind == "arrow":
        blocks = pytest.importorskip("pyarrow").table(columns).to_batches(17)
    elif kind == "mapping":
        cuts = slice(0, 17), slice(17, 60)
        blocks = [{k: v[cut] for k, v in columns.items()} for cut in cuts]
    else:
        frame = pytest.importorskip(kind).DataFrame(columns)
        blocks = [frame[:17], frame[17:]]
    moments = ClassMoments.from_batches(blocks, label="label")
    assert_matches(moments, oracles.class_moments(X, y))
    assert_array_equal(moments.feature_names_, list("bac"))
    turned = ClassMoments.from_batches(blocks, features=list("cab"), label="label")
    assert_array_equal(turned.feature_names_, list("cab"))
    with pytest.raises(ValueError, match=r"feature names should match .*Reorder"):
        moments.merge(turned)


# -- what a stream may do wrong --------------------------------------------------------


GOOD = labelled_rows()
BAD = np.where(np.arange(180).reshape(60, 3) == 11, np.nan, GOOD[0])
FAULTS = {
    "nan": ((BAD, GOOD[1]), r"Input X contains NaN: first in row 3, column 2"),
    "width": ((GOOD[0][:, :2], GOOD[1]), "X has 2 features"),
    "class": ((GOOD[0], GOOD[1] + 2), "y contains labels that are not among"),
    "labels": ((GOOD[0], GOOD[1][:-1]), ".*inconsistent numbers of samples"),
    "no labels": (GOOD[0], "Blocks with and without labels cannot be mixed"),
    "weights": ((*GOOD, -np.ones(60)), "sample_weight must be finite"),
    "missing label": ((GOOD[0], [None, *GOOD[1][1:]]), "Input y contains a missing"),
    "huge": ((1e200 * GOOD[0], GOOD[1]), ".*squares overflow"),
    "one row": ((GOOD[0][0], GOOD[1]), "Expected 2D array"),
}


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_errors_name_the_block(fault, large, small_blocks, monkeypatch):
    if large:  # every block is worked on at once
        monkeypatch.setattr(ClassMoments, "_block_size", lambda *_: 10)
    block, message = FAULTS[fault]
    # The fourth block has no rows, but counts.
    stream = [GOOD, GOOD, GOOD, (GOOD[0][:0], GOOD[1][:0]), block, GOOD]
    read = []

    def watched():
        for number, part in enumerate(stream):
            read.append(number)
            yield part

    with pytest.raises(ValueError, match=f"^In block 4: {message}"):
        ClassMoments.from_batches(watched(), classes=[0, 1, 2, 3])
    assert read == [0, 1, 2, 3, 4]  # not when a later one is gathered


def test_errors_keep_their_type_and_arguments():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"^In block 1: .*dense data"):
        ClassMoments.from_batches([GOOD, sparse.csr_array(GOOD[0])])

    class Odd(Exception):
        """Of two arguments."""

    class Rows:
        shape = (3, 3)

        def __array__(self, dtype=None, copy=None):
            raise Odd("a", 2)

    with pytest.raises(Odd) as caught:
        ClassMoments.from_batches([GOOD[0], Rows()])
    assert caught.value.args == ("a", 2)
    assert caught.value.__notes__ == ["In block 1."]


def test_a_block_on_another_device(library):
    if library.name == "numpy":
        other = pytest.importorskip("array_api_strict").asarray(GOOD[0])
    else:
        other = GOOD[0]
    with pytest.raises(ValueError, match=r"^In block 1: Blocks must use the same name"):
        ClassMoments.from_batches([library.asarray(GOOD[0]), other])


def test_an_iterator_that_raises():
    def broken():
        yield GOOD
        raise ValueError("the disk is gone")

    with pytest.raises(ValueError, match=r"^the disk is gone$"):
        ClassMoments.from_batches(broken())


def test_blocks_of_no_weight():
    X, y = labelled_rows()
    none = np.zeros(60)
    stream = [(X, y + 7, none), (X, y), (X[:0], y[:0], none[:0])]
    assert_matches(ClassMoments.from_batches(stream), oracles.class_moments(X, y))
    with pytest.raises(ValueError, match="is empty"):
        ClassMoments.from_batches([(X, y, none)]).means_  # noqa: B018


def test_overflow_of_blocks_together():
    # The block that is too much raises, and the others stay.
    block = np.array([[2e153], [-2e153], [4e153]])
    moments = ClassMoments()

    def read():
        for _ in range(20):
            moments.update(block)

    with pytest.raises(ValueError, match="squares overflow"):
        read()
    kept = moments.n_samples_
    assert 3 <= kept < 60
    assert np.isfinite(moments.scatter_).all()
    assert moments.update(block / 1e9).n_samples_ == kept + 3
    stream = [block / 1e9] * 4 + [block] * 20
    number = 4 + int(kept) // 3
    with pytest.raises(ValueError, match=f"^In block {number}: .*overflow"):
        ClassMoments.from_batches(stream)
    # Only deviations are squared: a far mean alone is no overflow.
    far = 1e153 * (1 + 1e-9 * np.random.default_rng(0).normal(size=(900, 1)))
    moments = ClassMoments.from_batches(far[i : i + 1] for i in range(900))
    assert_allclose(moments.scatter_[0, 0], far.var() * 900, 1e-6)


@pytest.mark.parametrize("weights", [None, np.array([1.0, 3.0])])
def test_squares_that_overflow_in_float32_alone(weights, library):
    X = np.array([[1e30, 0], [0, -2e30]], dtype=np.float32)
    stream = [(library.asarray(X), [0, 0], weights)] * 3
    expected = oracles.class_moments(
        np.tile(X.astype(float), (3, 1)),
        [0] * 6,
        None if weights is None else np.tile(weights, 3),
    )
    assert_matches(ClassMoments.from_batches(stream), expected, rtol=1e-7)
    stream[2] = (library.asarray(np.array([[0, 0], [np.inf, 0]], np.float32)), [0, 0])
    with pytest.raises(ValueError, match=r"In block 2: .*first in row 1, column 0"):
        ClassMoments.from_batches(stream)


# -- files -----------------------------------------------------------------------------


def stored(X, folder):
    rows = np.memmap(folder / "rows", X.dtype, mode="w+", shape=X.shape)
    rows[:] = X
    return rows


@pytest.mark.parametrize("dtype", ["int8", "uint16", "bool", "float16", "float32"])
@pytest.mark.parametrize("n", [60, 700])
@pytest.mark.parametrize("flags", [{}, {"class_scatter": True}], ids=str)
def test_dtypes_of_a_file(dtype, n, flags, tmp_path, small_blocks):
    X, y = labelled_rows(n)
    X = (8 * np.abs(X)).astype(dtype)
    rows = stored(X, tmp_path)
    weights = np.arange(n) % 3.0
    for w in (None, weights):
        moments = ClassMoments.from_arrays(rows, y, w, **flags)
        assert_matches(moments, oracles.class_moments(X, y, w))
    batches = ClassMoments.from_arrays(rows, y, weights, batch_size=50, **flags)
    assert_matches(batches, oracles.class_moments(X, y, weights))
    assert moments.input_dtype_ == dtype


def peak_of(function):
    """Result and peak of what Python allocates, in bytes."""
    tracemalloc.start()
    result = function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, peak


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_file_is_not_copied(dtype, tmp_path):
    n, d = 60_000, 32
    rows = stored(np.ones((n, d), dtype=dtype), tmp_path)
    rows[::2, 1] = 0
    y = np.arange(n) % 3
    for weights in (None, (np.arange(n) % 4 > 0).astype(float)):
        moments, peak = peak_of(lambda w=weights: ClassMoments.from_arrays(rows, y, w))
        assert moments.n_samples_ == (n if weights is None else weights.sum())
        # Some numbers per row, and one block of 16,384 rows at a time.
        assert peak < 0.85 * n * d * 8


@pytest.mark.parametrize("n", [60, 700])
def test_rows_of_zero_weight_are_not_read(n, library, small_blocks):
    X, y = labelled_rows(n)
    weights = (np.arange(n) % 3).astype(float)
    X[weights == 0] = np.nan
    expected = oracles.class_moments(X, y, weights)
    moments = ClassMoments().update(library.asarray(X), y, weights)
    assert_matches(moments, expected)
    weights[y == 1] = 0
    moments = ClassMoments().update(library.asarray(X), y, weights)
    assert_matches(moments, oracles.class_moments(X, y, weights))
    X[37] = np.nan
    weights[37] = 1.0
    with pytest.raises(ValueError, match="first in row 37, column 0"):
        ClassMoments().update(library.asarray(X), y, weights)


def test_pieces_of_a_file(tmp_path, monkeypatch, small_blocks):
    # Pieces without a row of positive weight, and classes in some pieces only.
    monkeypatch.setattr("sklearn_collapse._moments_gathering._MEMMAP_ROWS", 100)
    X, _ = labelled_rows(1000)
    y = np.repeat(np.arange(5), 200)
    weights = np.ones(1000)
    weights[300:500] = 0
    weights[::7] = 0
    X[weights == 0] = np.inf
    rows = stored(X, tmp_path)
    assert_matches(
        ClassMoments.from_arrays(rows, y, weights), oracles.class_moments(X, y, weights)
    )
    rows[705, 2] = np.nan
    with pytest.raises(ValueError, match="NaN: first in row 705, column 2"):
        ClassMoments.from_arrays(rows, y, weights)


# -- many partitions -------------------------------------------------------------------


def exact_moments(X, y):
    """Class moments in extended precision, in two passes."""
    X = X.astype(np.longdouble)
    classes = np.unique(y)
    means = np.stack([X[y == c].mean(axis=0) for c in classes])
    rest = X - means[np.searchsorted(classes, y)]
    return {
        "classes": classes,
        "counts": np.array([(y == c).sum() for c in classes], dtype=float),
        "means": means,
        "scatter": rest.T @ rest,
        "traces": np.array([(rest[y == c] ** 2).sum() for c in classes]),
    }


@pytest.mark.parametrize(
    ("way", "mean"),
    [("order", 1e4), ("tree", 0.0), ("tree", 1e4), ("states", 1e4)],
)
def test_a_thousand_partitions(way, mean):
    # Unequal ones, most without most classes; the mean may be 1e4 times the spread.
    rng = np.random.default_rng(0)
    n, d, parts = 6000, 5, 1000
    y = np.sort(rng.choice(60, size=n, p=np.arange(1, 61) / 1830))
    X = rng.normal(size=(n, d)) + rng.normal(size=(60, d))[y] + mean
    cuts = np.sort(rng.choice(np.arange(1, n), parts - 1, replace=False))
    cuts = [0, *cuts.tolist(), n]
    sizes = np.diff(cuts)
    assert sizes.min() == 1
    assert sizes.max() > 30
    pieces = [ClassMoments().update(X[i:j], y[i:j]) for i, j in pairwise(cuts)]
    assert max(len(piece.classes_) for piece in pieces) < 12
    pieces = [pieces[k] for k in rng.permutation(parts)]
    if way == "tree":
        while len(pieces) > 1:
            pairs = [pieces[k : k + 2] for k in range(0, len(pieces), 2)]
            pieces = [sum(pair[1:], start=pair[0]) for pair in pairs]
        merged = pieces[0]
    elif way == "states":
        merged = ClassMoments()
        for piece in pieces:
            merged.merge(ClassMoments.from_dict(piece.to_dict()))
    else:
        merged = sum(pieces)
    expected = exact_moments(X, y)
    batch = ClassMoments().update(X, y)
    # 1e-12 relative, where the data themselves say that: a row at 1e4 is known to
    # eps * 1e4, but what is rounded is the rows, which both sides share.
    for moments in (merged, batch):
        assert_array_equal(moments.classes_, expected["classes"])
        assert_array_equal(moments.counts_, expected["counts"])
        assert_allclose(moments.means_, expected["means"].astype(float), 1e-12, 1e-12)
        for name, found in (
            ("scatter", moments.scatter_),
            ("traces", moments.class_scatter_trace_),
        ):
            size = float(np.abs(expected[name]).max())
            assert_allclose(found, expected[name].astype(float), 0, 1e-12 * size)
    assert_allclose(merged.scatter_, batch.scatter_, 0, 1e-12 * batch.scatter_.max())


# -- memory ----------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_stream():
    rng = np.random.default_rng(0)
    block = rng.normal(size=(4096, 16)), np.arange(4096) % 5

    def peak(n_blocks):
        return peak_of(
            lambda: ClassMoments.from_batches(block for _ in range(n_blocks))
        )

    peak(20)  # first calls load libraries
    few, many = peak(20), peak(200)
    assert many[0].n_samples_ == 10 * few[0].n_samples_
    # Ten times as many blocks of 0.5 MiB.
    assert many[1] < 1.2 * few[1]


# -- states ----------------------------------------------------------------------------


STATE = ClassMoments(class_scatter=True).update(*GOOD).to_dict()


@pytest.mark.parametrize("name", sorted(set(STATE) - {"class_scatter"}))
def test_states_that_lack_something(name):
    state = {k: v for k, v in STATE.items() if k != name}
    message = "no version" if name == "version" else rf"lacks \['{name}'\]"
    with pytest.raises(ValueError, match=f"no state of a ClassMoments: .*{message}"):
        ClassMoments.from_dict(state)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("version", 2, "version 2, which a newer version .* Update sklearn_collapse"),
        ("version", 0, "no version, or one below"),
        (
            "counts",
            np.ones(3),
            r"counts has shape \(3,\), but 4 classes and",
        ),
        ("means", np.ones((3, 3)), r"means has shape \(3, 3\), but 4 classes"),
        ("means", np.ones(4), r"classes has shape \(4,\), means has shape \(4,\)"),
        ("scatter", np.ones((4, 4)), r"scatter has shape .* need \(3, 3\)"),
        ("traces", np.ones((4, 1)), r"traces has shape .* need \(4,\)"),
        ("class_scatter", np.ones((4, 3)), r"class_scatter has .* need \(4, 3, 3\)"),
        ("classes", np.arange(5), r"counts has shape \(4,\), but 5 classes"),
        ("feature_names", np.array(["a"]), "1 feature_names for 3 features"),
        ("scatter", np.full((3, 3), np.nan), "scatter holds NaN or infinity"),
        ("counts", np.array([1.0, 0, 1, 1]), "counts are not all positive"),
        ("means", np.array([["a"]]), "means does not hold numbers"),
        ("precision", "half", "precision must be"),
    ],
)
def test_states_that_are_not_whole(name, value, message):
    with pytest.raises(ValueError, match=message):
        ClassMoments.from_dict({**STATE, name: value})


def test_states_are_read_back():
    moments = ClassMoments.from_dict(STATE)
    assert_matches(moments, oracles.class_moments(*GOOD))
    assert_matches(pickle.loads(pickle.dumps(moments)), oracles.class_moments(*GOOD))
