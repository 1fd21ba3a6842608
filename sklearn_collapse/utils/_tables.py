"""Tables as rows, labels and weights: Arrow, pandas, polars, mappings of columns.

They are recognised by what they are and have, never by an import.
"""

import sys
from collections import Counter
from collections.abc import Mapping
from itertools import chain
from typing import NamedTuple

import numpy as np

from sklearn_collapse.utils._arrays import Array, is_foreign, namespace


class Columns(NamedTuple):
    """What the columns of a table are for; None stands for what was not said."""

    features: object = None
    label: object = None
    weight: object = None


class NamedRows(NamedTuple):
    """Rows that were collected from named columns."""

    rows: Array  # (n, d)
    columns: list


def is_table(batch):
    """Whether a block has named columns."""
    arrow = _is_arrow(batch) and hasattr(batch, "column") and hasattr(batch, "schema")
    return isinstance(batch, Mapping) or arrow or _is_frame(batch)


def n_entries(values):
    """Length of an array or sequence; 1 for a scalar."""
    shape = getattr(values, "shape", None)
    if shape is None:
        return len(values) if hasattr(values, "__len__") else 1
    return shape[0] if len(shape) else 1


def n_rows(table):
    """Number of rows of a table."""
    if isinstance(table, Mapping):
        return max((n_entries(column) for column in table.values()), default=0)
    return table.num_rows if _is_arrow(table) else table.shape[0]


def read_table(table, columns):
    """Rows, labels and weights of a table.

    Parameters
    ----------
    table : RecordBatch, Table, DataFrame or mapping
    columns : Columns

    Returns
    -------
    X : array, frame or NamedRows
    y, weights : array-like or None
    """
    features, label, weight = columns
    names = _names(table)
    one = not isinstance(features, (list, tuple, np.ndarray)) and features is not None
    asked = {
        "features": [features] if one else [] if features is None else list(features),
        "label": [] if label is None else [label],
        "weight": [] if weight is None else [weight],
    }
    _check_names(names, asked)
    if features is None:
        given = {label, weight}
        chosen = _numeric_columns(table, [name for name in names if name not in given])
    else:
        chosen = asked["features"]
    X = _list_column(table, features) if one else _stacked(table, chosen)
    y, weights = (
        None if name is None else _labels(table, name) for name in (label, weight)
    )
    return X, y, weights


def _names(table):
    if _is_arrow(table):
        return list(table.schema.names)
    return list(table.keys() if isinstance(table, Mapping) else table.columns)


def _column(table, name):
    if _is_arrow(table):
        column = table.column(name)
        kind = column.type
        if hasattr(kind, "storage_type"):
            column = column.cast(kind.storage_type)
        elif _types().is_dictionary(kind):
            column = column.cast(kind.value_type)
        return column
    return table[name]


def _check_names(names, asked):
    known = Counter(names)
    for what, wanted in asked.items():
        missing = [name for name in wanted if name not in known]
        if missing:
            raise ValueError(
                f"{what} names columns that are not there: {missing[:5]}. Columns: "
                f"{_short(names)}."
            )
    for name, count in Counter(chain(*asked.values())).items():
        if count > 1:
            raise ValueError(
                f"Column {name!r} is named twice among features, label and weight."
            )
    for name, count in known.items():
        if count > 1:
            raise ValueError(f"Column names must be unique: {name!r} occurs twice.")


def _numeric_columns(table, names):
    """Columns that features=None means: of integers and floats."""
    kinds = {name: _kind(_column(table, name)) for name in names}
    for kind, remedy in (
        ("list", "Pass features='<name>' for a column of lists"),
        ("decimal", "Cast them to floats"),
    ):
        held = [name for name in names if kinds[name] == kind]
        if held:
            raise ValueError(
                f"features=None takes all columns of numbers, but columns "
                f"{_short(held)} hold {kind}s. {remedy}, or name the columns to use: "
                f"features=[...]."
            )
    chosen = [name for name in names if kinds[name] == "number"]
    if not chosen:
        raise ValueError(
            f"There is no column of numbers beside label and weight. Columns: "
            f"{_short(names)}. Name those to use: features=[...]."
        )
    return chosen


def _kind(column):
    """What a column holds per row: "number", "list", "decimal" or "other"."""
    if _is_arrow(column):
        return _arrow_kind(column.type)
    dtype = getattr(column, "dtype", None)
    if dtype is not None and _is_polars(column):
        root = str(dtype).partition("(")[0]
        kinds = {"List": "list", "Array": "list", "Decimal": "decimal"}
        number = root.startswith(("Int", "UInt", "Float"))
        return "number" if number else kinds.get(root, "other")
    if is_foreign(column):
        real = namespace(column).isdtype(column.dtype, ("integral", "real floating"))
        return "list" if column.ndim > 1 else "number" if real else "other"
    if getattr(column, "ndim", 1) > 1:
        return "list"
    if getattr(dtype, "kind", "O") in "iuf":
        return "number"
    if getattr(dtype, "kind", "O") != "O" or not hasattr(column, "__len__"):
        return "other"
    first = next((v for v in column if v is not None), None)
    if hasattr(first, "__len__") and not isinstance(first, (str, bytes, Mapping)):
        return "list"
    if type(first).__name__ == "Decimal":
        return "decimal"
    plain = isinstance(first, (int, float, np.integer, np.floating))
    return "number" if plain and not isinstance(first, bool) else "other"


def _types():
    # Whoever made the column has imported it.
    return sys.modules["pyarrow"].types


def _arrow_kind(kind):
    types = _types()
    if types.is_integer(kind) or types.is_floating(kind):
        return "number"
    if types.is_decimal(kind):
        return "decimal"
    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    return "list" if any(check(kind) for check in lists) else "other"


def _stacked(table, names):
    """Rows of one column per feature."""
    if not names:
        raise ValueError("features names no columns: at least one is required.")
    columns = {name: _column(table, name) for name in names}
    for name, column in columns.items():
        kind = _kind(column)
        if kind == "list":
            raise ValueError(
                f"Column {name!r} holds lists: pass features={name!r} to use it, alone."
            )
        if kind == "decimal":
            _refuse_decimals(name)
    if _is_frame(table):
        return table[names]
    parts = [_flat(columns[name], name) for name in names]
    for name, part in zip(names, parts, strict=True):
        if not is_foreign(part) and part.dtype.kind not in "biuf":
            _refuse_kind(name, part.dtype)
    if len({part.shape[0] for part in parts}) > 1:
        sizes = {name: part.shape[0] for name, part in zip(names, parts, strict=True)}
        raise ValueError(f"Columns have different lengths: {sizes}.")
    if not any(is_foreign(part) for part in parts):
        rows = np.stack(parts, axis=1)
    else:
        xp = namespace(*parts)
        same = len({str(part.dtype) for part in parts}) == 1
        dtype = parts[0].dtype if same else xp.float64
        parts = [xp.astype(part, dtype, copy=False) for part in parts]
        rows = xp.stack(parts, axis=1)
    return NamedRows(rows, names) if all(isinstance(n, str) for n in names) else rows


def _flat(column, name):
    """Values of a column of numbers, (n,)."""
    if _is_arrow(column):
        return _arrow_values(column, name)
    values = column if is_foreign(column) else np.asarray(column)
    if values.ndim != 1:
        raise ValueError(
            f"Column {name!r} has shape {tuple(values.shape)}, but a block has one "
            f"value per row and column: pass blocks of rows, not single rows."
        )
    if not is_foreign(values) and values.dtype.kind == "O":
        bad = [row for row, value in enumerate(values.tolist()) if value is None]
        if bad:
            _refuse_nulls(name, len(bad), bad[0])
    return values


def _labels(table, name):
    """Labels or weights; what may stand in them is checked where they are used."""
    column = _column(table, name)
    if _is_arrow(column):
        return _arrow_values(column, name)
    if not hasattr(column, "__len__") or getattr(column, "shape", None) == ():
        return _flat(column, name)  # raises
    return column


def _arrow_values(column, name):
    """NumPy array of an Arrow column without nulls."""
    if column.null_count:
        row = int(np.argmax(np.asarray(column.is_null())))
        _refuse_nulls(name, column.null_count, row)
    return np.asarray(column)


def _list_column(table, name):
    """Rows of a column that holds one list per row."""
    column = _column(table, name)
    kind = _kind(column)
    if kind == "number":
        raise ValueError(
            f"features={name!r} must name a column of lists, one per row, but it holds "
            f"numbers: pass features=[{name!r}], or the names of all columns."
        )
    if kind == "decimal":
        _refuse_decimals(name)
    if _is_arrow(column):
        if kind != "list":
            _refuse_kind(name, column.type)
        # A table keeps a column in chunks, a record batch as one array.
        chunks = getattr(column, "chunks", [column])
        return _joined([_arrow_lists(chunk, name) for chunk in chunks], name)
    if is_foreign(column):
        return column
    if kind == "other" and len(column):
        _refuse_kind(name, getattr(column, "dtype", type(column).__name__))
    values = column.to_numpy() if hasattr(column, "to_numpy") else column
    if getattr(values, "ndim", 1) > 1 and values.dtype.kind != "O":
        return values
    return _object_lists(values, name)


def _joined(blocks, name):
    first_row = 0
    full = [block for block in blocks if block.shape[0]] or blocks[:1]
    if not full:
        return np.empty((0, 0))
    for block in full:
        if block.shape[1] != full[0].shape[1]:
            _refuse_ragged(name, first_row, block.shape[1], full[0].shape[1])
        first_row += block.shape[0]
    return full[0] if len(full) == 1 else np.concatenate(full)


def _arrow_lists(array, name):
    """Rows of an Arrow array of lists: a view of the numbers that it holds."""
    if array.null_count:
        row = int(np.argmax(np.asarray(array.is_null())))
        _refuse_nulls(name, array.null_count, row)
    n = len(array)
    if hasattr(array.type, "list_size"):
        width = array.type.list_size
    else:
        sizes = np.diff(np.asarray(array.offsets))
        width = int(sizes[0]) if n else 0
        uneven = np.flatnonzero(sizes != width)
        if len(uneven):
            _refuse_ragged(name, int(uneven[0]), int(sizes[uneven[0]]), width)
    flat = array.flatten()  # of a slice, what the slice holds
    kind = _arrow_kind(flat.type)
    if kind == "decimal":
        _refuse_decimals(name)
    if kind != "number":
        _refuse_kind(name, array.type)
    if flat.null_count:
        at = int(np.argmax(np.asarray(flat.is_null())))
        _refuse_nulls(name, flat.null_count, at // max(width, 1))
    return np.asarray(flat).reshape(n, width)


def _object_lists(rows, name):
    """Rows of Python lists or small arrays."""
    try:
        values = np.stack(list(rows))
    except (ValueError, TypeError):
        pass  # what is wrong with them is said below
    else:
        if values.ndim == 2 and values.dtype.kind in "iuf":
            return values
    lost = [number for number, row in enumerate(rows) if row is None]
    if lost:
        _refuse_nulls(name, len(lost), lost[0])
    parts = [np.asarray(row) for row in rows]
    for number, part in enumerate(parts):
        if part.ndim != 1:
            raise ValueError(
                f"Column {name!r} must hold one list of numbers per row, got shape "
                f"{part.shape} in row {number}."
            )
        if part.dtype.kind == "O" and any(value is None for value in part.tolist()):
            _refuse_nulls(name, 1, number)
        if len(part) != len(parts[0]):
            _refuse_ragged(name, number, len(part), len(parts[0]))
    values = np.stack(parts) if parts else np.empty((0, 0))
    if values.dtype.kind not in "iufb":
        first = values.ravel().tolist()[:1]
        if type(first[0] if first else None).__name__ == "Decimal":
            _refuse_decimals(name)
        _refuse_kind(name, f"lists of {values.dtype}")
    return values


def _refuse_nulls(name, count, row):
    raise ValueError(
        f"Column {name!r} holds {count} null value(s), first in row {row}: drop or "
        f"fill such rows."
    )


def _refuse_ragged(name, row, size, expected):
    raise ValueError(
        f"The lists of column {name!r} must be equally long: {size} values in row "
        f"{row}, {expected} in row 0."
    )


def _refuse_decimals(name):
    raise ValueError(
        f"Column {name!r} holds decimals, which are no floating-point numbers: cast it "
        f"to float64."
    )


def _refuse_kind(name, kind):
    raise ValueError(
        f"Column {name!r} must hold numbers, or one list of numbers per row, got "
        f"{kind}."
    )


def _short(names, limit=8):
    shown = ", ".join(repr(name) for name in names[:limit])
    return f"[{shown}{', …' if len(names) > limit else ''}]"


def _is_arrow(x):
    return type(x).__module__.partition(".")[0] == "pyarrow"


def _is_polars(x):
    return type(x).__module__.partition(".")[0] == "polars"


def _is_frame(x):
    return hasattr(x, "columns") and (hasattr(x, "iloc") or _is_polars(x))
