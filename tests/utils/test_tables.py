"""Blocks that are tables: Arrow, pandas, polars, mappings of columns."""

import decimal

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_collapse.utils._batches import for_each_block, read_block
from sklearn_collapse.utils._tables import Columns, NamedRows, is_table

N, D = 30, 3
X = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
Y = np.array(list("abc"))[np.arange(N) % 3]
W = np.arange(N) % 4.0
NAMES = ["x0", "x1", "x2"]
SCALARS = {**dict(zip(NAMES, X.T, strict=True)), "label": Y, "w": W}
ALL = {"label": "label", "weight": "w"}


def arrow_table(columns):
    return pytest.importorskip("pyarrow").table(columns)


def record_batch(columns):
    return pytest.importorskip("pyarrow").record_batch(columns)


def chunked(columns):
    arrow, table = pytest.importorskip("pyarrow"), arrow_table(columns)
    return arrow.concat_tables([table.slice(0, 7), table.slice(7, 0), table.slice(7)])


def part_of_a_table(columns):
    """A slice, whose arrays begin within their buffers."""
    arrow, table = pytest.importorskip("pyarrow"), arrow_table(columns)
    return arrow.concat_tables([table.slice(0, 2), table]).combine_chunks().slice(2)


def frame(columns):
    return pytest.importorskip("pandas").DataFrame(columns)


def polars_frame(columns):
    return pytest.importorskip("polars").DataFrame(columns)


ARROW = [arrow_table, record_batch, chunked, part_of_a_table]
TABLES = [*ARROW, frame, polars_frame, dict]
tables = pytest.mark.parametrize("make", TABLES)
arrow_tables = pytest.mark.parametrize("make", ARROW)


def read(table, **columns):
    """Rows, labels and weights as NumPy arrays, and names."""
    rows, y, weights = read_block(table, Columns(**columns))
    names = getattr(rows, "columns", None)
    rows = rows.rows if isinstance(rows, NamedRows) else np.asarray(rows)
    y, weights = (None if v is None else np.asarray(v) for v in (y, weights))
    return rows, y, weights, None if names is None else list(names)


def lists(values, kind="list"):
    """Columns with rows of values as Arrow lists of a kind."""
    arrow = pytest.importorskip("pyarrow")
    flat, width = arrow.array(np.ravel(values)), values.shape[1]
    if kind == "fixed":
        return arrow.FixedSizeListArray.from_arrays(flat, width)
    if kind == "tensor":
        return arrow.FixedShapeTensorArray.from_numpy_ndarray(values)
    make = {"list": arrow.ListArray, "large": arrow.LargeListArray}[kind]
    return make.from_arrays(width * np.arange(len(values) + 1), flat)


# -- columns of numbers ----------------------------------------------------------------


@tables
def test_all_columns_of_numbers(make):
    table = make({"path": ["p"] * N, "kept": Y == "a", **SCALARS})
    assert is_table(table)
    rows, y, weights, names = read(table, **ALL)
    assert_array_equal(rows, X)
    assert rows.dtype == np.float32
    assert_array_equal(y, Y)
    assert_array_equal(weights, W)
    assert names == NAMES


@tables
def test_named_columns(make):
    rows, y, weights, names = read(make(SCALARS), features=["x2", "x0"])
    assert_array_equal(rows, X[:, [2, 0]])
    assert names == ["x2", "x0"]
    assert y is weights is None
    rows, _, _, names = read(make(SCALARS), features=["w"], label="label")
    assert_array_equal(rows, W[:, None])
    # Booleans are features if they are asked for.
    rows = read(make({"a": Y == "a", **SCALARS}), features=["a", "x1"])[0]
    assert_array_equal(rows.astype(float), np.stack([Y == "a", X[:, 1]], axis=1))


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        *((make, t) for make in TABLES for t in ("int8", "uint64", "float64")),
        # Older polars has no such column.
        *((make, "float16") for make in TABLES if make is not polars_frame),
    ],
)
def test_dtypes(make, dtype):
    values = (10 * np.abs(X)).astype(dtype)
    columns = dict(zip(NAMES, values.T, strict=True))
    rows, _, _, names = read(make(columns))
    assert_array_equal(rows, values)
    assert names == NAMES


def test_other_libraries(library):
    columns = {
        name: library.asarray(values) for name, values in zip(NAMES, X.T, strict=True)
    }
    rows = read_block(columns, Columns())[0]
    assert library.owns(rows.rows)
    assert_array_equal(np.asarray(rows.rows), X)
    columns["x1"] = library.asarray(X[:, 1].astype(float))
    assert_array_equal(np.asarray(read_block(columns, Columns())[0].rows), X)
    embedding = {"e": library.asarray(X), "y": library.asarray(np.arange(N))}
    rows, y, _ = read_block(embedding, Columns("e", "y"))
    assert rows is embedding["e"]
    assert y is embedding["y"]


# -- columns of lists ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16"])
@pytest.mark.parametrize("kind", ["list", "large", "fixed"])
@arrow_tables
def test_arrow_lists(make, kind, dtype):
    values = (8 * X).astype(dtype)
    table = make({"e": lists(values, kind), "label": Y})
    rows, y, _, names = read(table, features="e", label="label")
    assert_array_equal(rows, values)
    assert rows.dtype == dtype
    assert names is None
    assert_array_equal(y, Y)


@arrow_tables
def test_arrow_tensors(make):
    assert_array_equal(read(make({"e": lists(X, "tensor")}), features="e")[0], X)


@pytest.mark.parametrize("kind", ["list", "fixed"])
@pytest.mark.parametrize("make", [arrow_table, record_batch])
def test_arrow_lists_are_not_copied(make, kind):
    column = lists(X, kind)
    rows = read(make({"e": column}), features="e")[0]
    assert np.shares_memory(rows, column.values.to_numpy())
    part = read(make({"e": column.slice(4, 9)}), features="e")[0]
    assert np.shares_memory(part, column.values.to_numpy())
    assert_array_equal(part, X[4:13])


def test_lists_of_others():
    pandas, arrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    polars = pytest.importorskip("polars")
    table = arrow.table({"e": lists(X)})
    for column in (
        {"e": X.tolist()},
        {"e": X},
        {"e": list(X)},
        table.to_pandas(),
        table.to_pandas(types_mapper=pandas.ArrowDtype),
        polars.DataFrame({"e": X.tolist()}),
        polars.DataFrame(
            {"e": X.tolist()}, schema={"e": polars.Array(polars.Float32, D)}
        ),
    ):
        assert_array_equal(read(column, features="e")[0].astype(np.float32), X)


# -- labels ----------------------------------------------------------------------------


@arrow_tables
def test_labels_of_any_kind(make):
    arrow = pytest.importorskip("pyarrow")
    codes = np.arange(N) % 2
    for labels, expected in (
        (arrow.array(Y).dictionary_encode(), Y),
        (arrow.array(codes == 1), codes == 1),
        (arrow.array(codes, arrow.int8()), codes),
        (arrow.array(Y.tolist(), arrow.large_string()), Y),
    ):
        table = make({"x": X[:, 0], "y": labels})
        assert_array_equal(read(table, label="y")[1], expected)


def test_dictionaries_that_differ_between_chunks():
    arrow = pytest.importorskip("pyarrow")
    parts = [arrow.array(v).dictionary_encode() for v in (["a", "b"], ["c", "a"])]
    table = arrow.table({"x": [1.0, 2, 3, 4], "y": arrow.chunked_array(parts)})
    assert read(table, label="y")[1].tolist() == ["a", "b", "c", "a"]


# -- what is refused -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": "nope"}, r"label names columns that are not there: \['nope'\]. Co"),
        ({"features": ["x0", "y0"]}, r"features names .* \['y0'\]. Columns: \['x0',"),
        ({"features": "nope"}, "features names columns that are not there"),
        ({"features": "x0"}, r"must name a column of lists.*features=\['x0'\]"),
        ({"features": ["x0", "x0"]}, "Column 'x0' is named twice"),
        ({"features": ["x0", "label"], "label": "label"}, "'label' is named twice"),
        ({"features": []}, "features names no columns"),
    ],
)
@tables
def test_columns_that_cannot_serve(make, columns, message):
    with pytest.raises(ValueError, match=message):
        read(make(SCALARS), **columns)


@pytest.mark.parametrize("make", [*ARROW, dict])
def test_strings_are_no_features(make):
    for features in ("label", ["x0", "label"]):
        with pytest.raises(ValueError, match="Column 'label' must hold numbers, or"):
            read(make(SCALARS), features=features)


@tables
def test_no_numbers(make):
    with pytest.raises(ValueError, match=r"no column of numbers .*\['label'\]"):
        read(make({"label": Y}))


@tables
def test_lists_are_not_guessed(make):
    table = make({"id": list(range(4)), "e": [[1.0, 2.0]] * 4})
    with pytest.raises(ValueError, match=r"columns \['e'\] hold lists. Pass features"):
        read(table)
    with pytest.raises(ValueError, match="Column 'e' holds lists: pass features='e'"):
        read(table, features=["id", "e"])


@tables
def test_decimals(make):
    table = make({"a": [decimal.Decimal("1.5"), decimal.Decimal(2)], "x": [1.0, 2]})
    with pytest.raises(ValueError, match=r"\['a'\] hold decimals. Cast them"):
        read(table)
    for features in ("a", ["a", "x"]):
        with pytest.raises(ValueError, match=r"Column 'a' holds decimals.*float64"):
            read(table, features=features)


@pytest.mark.parametrize("make", [arrow_table, record_batch, dict])
def test_nulls(make):
    table = make(
        {"a": [1.0, 2.0, None, None], "x": [1.0] * 4, "s": ["u", None, "v", "w"]}
    )
    message = r"Column 'a' holds 2 null value\(s\), first in row 2"
    with pytest.raises(ValueError, match=message):
        read(table, features=["x", "a"])
    if make is not dict:  # labels of a mapping are checked with all labels
        with pytest.raises(ValueError, match=r"Column 's' holds 1 null.* in row 1"):
            read(table, features=["x"], label="s")
        with pytest.raises(ValueError, match=message):
            read(table, features=["x"], weight="a")


def test_nulls_in_a_dictionary():
    arrow = pytest.importorskip("pyarrow")
    column = arrow.DictionaryArray.from_arrays(arrow.array([0, 1]), ["a", None])
    with pytest.raises(ValueError, match=r"Column 'y' holds 1 null.*row 1"):
        read(arrow.table({"x": [1.0, 2], "y": column}), label="y")


@tables
def test_lists_with_holes(make):
    rows = [[1.0, 2.0], [3.0, 4.0], None, [5.0, 6.0]]
    with pytest.raises(ValueError, match=r"Column 'e' holds 1 null.* in row 2"):
        read(make({"e": rows}), features="e")


@pytest.mark.parametrize("make", [arrow_table, record_batch, dict, frame])
def test_lists_of_holes(make):
    rows = [[1.0, 2.0], [3.0, 4.0], [5.0, None]]
    with pytest.raises(ValueError, match=r"Column 'e' holds 1 null.* in row 2"):
        read(make({"e": rows}), features="e")


@pytest.mark.parametrize("make", [*ARROW[:2], frame, polars_frame, dict])
def test_uneven_lists(make):
    rows = [[1.0, 2.0], [3.0, 4.0], [5.0]]
    with pytest.raises(ValueError, match=r"must be .* 1 values in row 2, 2 in row 0"):
        read(make({"e": rows}), features="e")


def test_uneven_chunks():
    arrow = pytest.importorskip("pyarrow")
    column = arrow.chunked_array([[[1.0, 2.0], [3.0, 4.0]], [[5.0]]])
    with pytest.raises(ValueError, match="1 values in row 2, 2 in row 0"):
        read(arrow.table({"e": column}), features="e")


@pytest.mark.parametrize("make", [*ARROW[:2], dict])
@pytest.mark.parametrize("rows", [[["u"], ["v"]], [[[1.0]], [[2.0]]]])
def test_lists_of_no_numbers(make, rows):
    with pytest.raises(ValueError, match="Column 'e' must hold"):
        read(make({"e": rows}), features="e")


def test_columns_of_unequal_length():
    with pytest.raises(ValueError, match=r"different lengths: \{'a': 2, 'b': 1\}"):
        read({"a": [1.0, 2.0], "b": [1.0]})


def test_one_row_is_no_block():
    # As a data set gives when it is not asked for batches.
    for row in ({"a": 1.0}, {"a": np.float64(1)}):
        with pytest.raises(ValueError, match=r"pass blocks of rows, not single rows"):
            read(row, features=["a"])
    with pytest.raises(ValueError, match=r"'y' has shape .* not single rows"):
        read({"a": [1.0], "y": 3}, label="y")


def test_names_that_occur_twice():
    arrow = pytest.importorskip("pyarrow")
    table = arrow.Table.from_arrays(
        [arrow.array([1.0]), arrow.array([2.0])], ["a", "a"]
    )
    with pytest.raises(ValueError, match="must be unique: 'a' occurs twice"):
        read(table)


def test_columns_of_what_is_no_table():
    for options in ({"features": "e"}, {"label": "y"}, {"weight": "w"}):
        with pytest.raises(ValueError, match=r"name columns of tables .* type ndarray"):
            read(X, **options)


@tables
def test_a_table_is_no_stream(make):
    with pytest.raises(TypeError, match=r"got one table of type \w+: pass \[table\]"):
        for_each_block(make(SCALARS), Columns(), print)


def test_what_gives_blocks_if_asked(tmp_path):
    dataset = pytest.importorskip("pyarrow.dataset")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    parquet.write_table(arrow_table(SCALARS), path)
    with pytest.raises(TypeError, match=r"Dataset: pass its to_batches\(\)"):
        for_each_block(dataset.dataset(path), Columns(), print)
    message = r"ParquetFile: pass its iter_batches\(\)"
    with (
        parquet.ParquetFile(path) as file,
        pytest.raises(TypeError, match=message),
    ):
        for_each_block(file, Columns(), print)


# -- streams ---------------------------------------------------------------------------


@pytest.mark.parametrize("make", [arrow_table, record_batch, frame, polars_frame, dict])
def test_blocks_without_rows_are_passed_over(make):
    empty = make({name: values[:0] for name, values in SCALARS.items()})
    lists = make({"e": [], "label": []})
    seen = []
    stream = iter([empty, make(SCALARS), lists, empty])

    def use(rows, y, weights):
        seen.append(len(y))

    assert for_each_block(stream, Columns(NAMES, "label", "w"), use) == 1
    assert seen == [N]
