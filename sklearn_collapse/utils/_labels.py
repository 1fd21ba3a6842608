"""Class labels: any hashable scalars, encoded as codes into a sorted array."""

import numbers

import numpy as np
from sklearn.utils import column_or_1d

from sklearn_collapse.utils._arrays import detach, is_foreign, to_numpy

_ALLOWED = "Class labels are integers, strings, booleans or other hashable scalars"


def encode_labels(y, name="y"):
    """Encode class labels.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels of any library; integral floats count as labels.

    Returns
    -------
    classes : ndarray of shape (C,)
        Sorted distinct labels.
    codes : ndarray of int of shape (n,)
    """
    y = as_label_array(y, name)
    if y.dtype.kind != "O":
        return np.unique(y, return_inverse=True)
    try:
        return np.unique(y, return_inverse=True)
    except TypeError:  # labels that cannot be compared with each other
        classes = _object_array(sorted(set(y.tolist()), key=_sort_key))
        index = {label: k for k, label in enumerate(classes.tolist())}
        return classes, np.fromiter((index[v] for v in y.tolist()), np.intp, len(y))


def as_label_array(y, name="y"):
    """Convert labels to a checked one-dimensional NumPy array."""
    y = to_numpy(detach(y)) if is_foreign(y) else y
    if not hasattr(y, "dtype") or str(y.dtype) in ("object", "category"):
        y = _from_objects(y)
    y = column_or_1d(y, warn=True)
    if y.dtype.kind == "O":  # such as the strings of a data frame
        y = _from_objects(y)
    kind = y.dtype.kind
    if kind == "f":
        bad = np.flatnonzero(~np.isfinite(y))
        if len(bad):
            raise ValueError(
                f"Input {name} contains NaN or infinity (first in row {bad[0]}). "
                f"Give every row a class label."
            )
        bad = np.flatnonzero(y != np.floor(y))
        if len(bad):
            raise ValueError(
                f"Unknown label type: continuous. {name} holds {y[bad[0]]!r} in row "
                f"{bad[0]}. {_ALLOWED}; bin a continuous target first."
            )
    elif kind in "mM" and np.isnat(y).any():
        row = int(np.argmax(np.isnat(y)))
        raise ValueError(
            f"Input {name} contains a missing label (first in row {row}: NaT). Give "
            f"every row a class label."
        )
    elif kind == "c":
        raise ValueError(f"Complex data not supported in {name}. {_ALLOWED}.")
    elif kind == "O":
        _check_objects(y, name)
    return y


def unite(a, b):
    """Union of two sorted label arrays.

    Returns
    -------
    labels : ndarray of shape (C,)
    rows_a, rows_b : ndarray of int of shape (C,)
        For each label of the union its position in a (in b), or -1.
    """
    if len(a) == len(b) and a.dtype.kind == b.dtype.kind and np.array_equal(a, b):
        same = np.arange(len(a))
        return a, same, same
    kinds = {a.dtype.kind, b.dtype.kind}
    if len(kinds) == 1 and kinds != {"O"}:
        labels = np.union1d(a, b)
    elif kinds <= set("biuf"):  # floats are integral here, and may be too short
        labels = np.array(sorted({int(v) for v in a.tolist() + b.tolist()}))
    else:
        labels = encode_labels(_object_array(a.tolist() + b.tolist()))[0]
    return labels, positions(labels, a), positions(labels, b)


def positions(labels, known):
    """Position of each label in `known`, or -1."""
    if labels.dtype.kind == known.dtype.kind != "O" and len(known):
        order = np.argsort(known, kind="stable")
        found = np.searchsorted(known, labels, sorter=order)
        found = order[np.minimum(found, len(known) - 1)]
        return np.where(known[found] == labels, found, -1)
    index = {label: k for k, label in enumerate(known.tolist())}
    return np.fromiter((index.get(v, -1) for v in labels.tolist()), int, len(labels))


def encode_known(y, classes, what="in fit"):
    """Codes of labels into known classes; a label that is not there raises."""
    labels, codes = encode_labels(y)
    rows = positions(labels, classes)
    if np.any(rows < 0):
        unseen = labels[rows < 0][:5].tolist()
        raise ValueError(
            f"y contains labels that were not seen {what}: {unseen}. Known classes: "
            f"{shorten(classes)}."
        )
    return rows[codes]


def is_label(y, label, name):
    """Which labels equal one label, whose kind must be that of all of them.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Checked labels.
    label : scalar
    name : str
        Of the argument that the label comes from.

    Returns
    -------
    ndarray of bool of shape (n,)
    """
    labels, codes = encode_labels(y)
    asked = as_label_array([label], name)
    if labels.dtype.kind != "O" and (asked.dtype.kind in "US") != (
        labels.dtype.kind in "US"
    ):
        raise ValueError(
            f"{name}={label!r} is of another kind than the labels in y, "
            f"{shorten(labels)}: no row can have it."
        )
    return (positions(labels, asked) >= 0)[codes]


def shorten(classes, limit=8):
    """Show a list of classes in an error message."""
    shown = ", ".join(repr(v) for v in classes[:limit].tolist())
    return f"[{shown}{', …' if len(classes) > limit else ''}]"


def _from_objects(y):
    """Array of a sequence; labels of one kind get that kind's dtype."""
    if not isinstance(y, (list, tuple)):
        y = np.asarray(y)
        if y.dtype.kind != "O":
            return y
    values = y.tolist() if isinstance(y, np.ndarray) else list(y)
    kinds = {type(v) for v in values}
    plain = all(issubclass(k, (str, bytes, numbers.Number, np.generic)) for k in kinds)
    numeric = all(issubclass(k, (numbers.Number, np.number, np.bool_)) for k in kinds)
    if plain and (numeric or len(kinds) == 1):
        return np.asarray(values)
    if any(issubclass(k, (list, np.ndarray)) for k in kinds):
        return np.asarray(y)  # two-dimensional: refused with its shape
    return _object_array(values)


def _object_array(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _check_objects(y, name):
    for row, value in enumerate(y.tolist()):
        missing = value is None or type(value).__name__ in ("NAType", "NaTType")
        # NaN is the one value that differs from itself.
        if missing or (isinstance(value, float) and value != value):
            raise ValueError(
                f"Input {name} contains a missing label (first in row {row}: "
                f"{value!r}). Give every row a class label."
            )
        try:
            hash(value)
        except TypeError:
            raise ValueError(
                f"Unknown label type: {type(value).__name__} in row {row} of {name}. "
                f"{_ALLOWED}."
            ) from None


def _sort_key(label):
    return (type(label).__qualname__, str(label))
