"""Class labels: whatever is hashable and scalar becomes codes of sorted classes."""

import enum
import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_collapse.utils._labels import (
    as_label_array,
    encode_known,
    encode_labels,
    positions,
    shorten,
    unite,
)


class Animal(enum.Enum):
    CAT = 2
    ANT = 1


class Number(enum.IntEnum):
    TWO = 2
    ONE = 1


def dates(unit, *days):
    return np.array([f"2020-01-0{day}" for day in days], dtype=f"datetime64[{unit}]")


def check(y, classes, codes, kind=None):
    """Encode labels; ``kind`` is what the dtype of the classes may be."""
    found, found_codes = encode_labels(y)
    assert type(found) is type(found_codes) is np.ndarray
    assert found.tolist() == list(classes)
    assert found_codes.tolist() == list(codes)
    assert found_codes.dtype.kind == "i"
    if kind is not None:
        assert found.dtype.kind in kind
    # The pair says what y was.
    assert [found.tolist()[k] for k in found_codes] == [
        v.item() if isinstance(v, np.generic) else v for v in y
    ]


@pytest.mark.parametrize(
    ("y", "classes", "codes", "kind"),
    [
        ([3, 1, 3], [1, 3], [1, 0, 1], "i"),
        ((3, 1, 3), [1, 3], [1, 0, 1], "i"),
        (range(2, -1, -1), [0, 1, 2], [2, 1, 0], "i"),
        (np.array([2, 2], np.uint8), [2], [0, 0], "u"),
        (np.array([-1, 7, -1], np.int64), [-1, 7], [0, 1, 0], "i"),
        ([2.0, 0.0, -0.0], [0, 2], [1, 0, 0], "f"),
        (np.array([1, 0], np.float32), [0, 1], [1, 0], "f"),
        ([True, False], [False, True], [1, 0], "b"),
        ([np.int32(2), np.int64(1)], [1, 2], [1, 0], "i"),
        ([True, 2, 0.0], [0, 1, 2], [1, 2, 0], "f"),
        (["b", "a", "long"], ["a", "b", "long"], [1, 0, 2], "U"),
        ([np.str_("b"), np.str_("a")], ["a", "b"], [1, 0], "U"),
        (np.array(["b", "a"], dtype=object), ["a", "b"], [1, 0], "U"),
        (np.array([2, 1], dtype=object), [1, 2], [1, 0], "i"),
        (np.array([b"b", b"a"]), [b"a", b"b"], [1, 0], "S"),
        ([b"b", b"a"], [b"a", b"b"], [1, 0], "SO"),
        ([Number.TWO, Number.ONE], [1, 2], [1, 0], "i"),
        ([(1, 2), (0, 5), (1, 2)], [(0, 5), (1, 2)], [1, 0, 1], "O"),
        ([(1, 2), (0,)], [(0,), (1, 2)], [1, 0], "O"),
    ],
    ids=lambda value: " ".join(repr(value).split()),
)
def test_labels(y, classes, codes, kind):
    check(y, classes, codes, kind)


def test_dates():
    days = dates("D", 3, 1, 3)
    classes, codes = encode_labels(days)
    assert_array_equal(classes, days[[1, 0]])
    assert_array_equal(codes, [1, 0, 1])
    spans = np.array([5, 3], dtype="timedelta64[s]")
    assert_array_equal(encode_labels(spans)[0], spans[::-1])


@pytest.mark.parametrize(
    "labels", [[1, "a", 1, 2.0], [Animal.CAT, Animal.ANT], [Animal.CAT, "cat", 3]]
)
def test_labels_that_cannot_be_compared(labels):
    classes, codes = encode_labels(labels)
    assert classes.dtype == object
    assert [classes[k] for k in codes] == labels
    assert set(classes) == set(labels)
    # One order, whatever the order of the rows.
    again, codes = encode_labels(labels[::-1])
    assert again.tolist() == classes.tolist()
    assert [classes[k] for k in codes] == labels[::-1]


def test_no_labels():
    classes, codes = encode_labels([])
    assert len(classes) == len(codes) == 0


def test_arrays_of_any_library(library):
    check(library.asarray(np.array([3, 1, 3])), [1, 3], [1, 0, 1], "i")
    check(library.asarray(np.array([2.0, 1.0])), [1, 2], [1, 0], "f")
    check(library.asarray(np.array([True, False])), [False, True], [1, 0], "b")


def test_torch_labels_with_history():
    torch = pytest.importorskip("torch")
    y = torch.tensor([2.0, 1.0], requires_grad=True)
    assert encode_labels(y)[0].tolist() == [1, 2]
    assert encode_labels(torch.tensor([1, 0]).to(torch.bfloat16))[0].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("dtype", "values", "kind"),
    [
        (None, ["b", "a"], "UO"),
        ("object", ["b", "a"], "U"),
        ("string", ["b", "a"], "UO"),
        ("category", ["b", "a"], "U"),
        ("category", [2, 1], "i"),
        ("int64", [2, 1], "if"),
        ("Int64", [2, 1], "if"),
        ("boolean", [True, False], "bf"),
        ("bool", [True, False], "bf"),
        ("float64", [2.0, 1.0], "f"),
    ],
)
def test_pandas(dtype, values, kind):
    pandas = pytest.importorskip("pandas")
    y = pandas.Series(values, dtype=dtype, index=[7, 3])
    for labels in (y, y.array, pandas.Index(y)):
        classes, codes = encode_labels(labels)
        assert classes.tolist() == sorted(values)
        assert codes.tolist() == [1, 0]
        assert classes.dtype.kind in kind


def test_pandas_categories_need_not_occur():
    pandas = pytest.importorskip("pandas")
    y = pandas.Categorical(["b", "a"], categories=["z", "b", "a"], ordered=True)
    assert encode_labels(y)[0].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "dtype", ["string", "category", "Int64", "boolean", "float64", None]
)
def test_pandas_missing(dtype):
    pandas = pytest.importorskip("pandas")
    values = {"Int64": [1, None], "boolean": [True, None], "float64": [1, None]}
    y = pandas.Series(values.get(dtype, ["a", None]), dtype=dtype)
    with pytest.raises(ValueError, match="row 1"):
        encode_labels(y)


@pytest.mark.parametrize(
    ("dtype", "values", "kind"),
    [
        ("String", ["b", "a"], "U"),
        ("Categorical", ["b", "a"], "UO"),
        ("Int64", [2, 1], "i"),
        ("Boolean", [True, False], "b"),
        ("Float64", [2.0, 1.0], "f"),
    ],
)
def test_polars(dtype, values, kind):
    polars = pytest.importorskip("polars")
    y = polars.Series(values, dtype=getattr(polars, dtype))
    classes, codes = encode_labels(y)
    assert classes.tolist() == sorted(values)
    assert codes.tolist() == [1, 0]
    assert classes.dtype.kind in kind


@pytest.mark.parametrize("values", [["a", None], [1, None], [True, None]])
def test_polars_missing(values):
    polars = pytest.importorskip("polars")
    with pytest.raises(ValueError, match="row 1"):
        encode_labels(polars.Series(values))


@pytest.mark.parametrize(
    ("y", "match"),
    [
        ([0.5, 1.0], r"Unknown label type: continuous. y holds .*0\.5.* in row 0"),
        ([1.0, 2.0, 1.25], "in row 2"),
        (np.array([1.0, 0.5], np.float32), "in row 1"),
        (np.array([1.0, 0.5], dtype=object), "continuous"),
        ([1.0, np.nan, np.inf], r"y contains NaN or infinity \(first in row 1\)"),
        ([1.0, np.inf], "y contains NaN or infinity"),
        (["a", None], r"missing label \(first in row 1: None\)"),
        ([None, None], r"missing label \(first in row 0: None\)"),
        (["a", float("nan")], r"missing label \(first in row 1: nan\)"),
        (["a", np.float64("nan")], "missing label"),
        (np.array(["a", np.nan], dtype=object), "missing label"),
        (np.array(["2020-01-01", "NaT"], dtype="M8[D]"), "missing label.*row 1"),
        (np.array([1, "NaT"], dtype="m8[s]"), "missing label.*row 1"),
        ([{"a": 1}, {"b": 2}], "Unknown label type: dict in row 0"),
        (["a", {1, 2}], "Unknown label type: set in row 1"),
        (["a", {1: 2}], "Unknown label type: dict in row 1"),
        ([[1, 2], [3, 4]], "1d array"),
        (np.zeros((3, 2)), "1d array"),
        (np.zeros((2, 2, 2)), "1d array|dim 3"),
        (np.array(1), "1d array|scalar"),
        ([1 + 0j, 2], "Complex data not supported"),
        (np.zeros(3, complex), "Complex data not supported"),
    ],
    ids=lambda value: " ".join(repr(value).split()),
)
def test_refused(y, match):
    with pytest.raises(ValueError, match=match):
        encode_labels(y)


def test_refused_arrays_of_any_library(library):
    for values, match in (
        (np.array([0.5]), "continuous"),
        (np.array([np.nan]), "NaN"),
        (np.zeros((3, 2)), "1d array"),
        (np.zeros(3, complex), "Complex data not supported"),
    ):
        with pytest.raises(ValueError, match=match):
            encode_labels(library.asarray(values))


@pytest.mark.parametrize("y", [np.ones((3, 1), int), [[1], [1], [1]]], ids=repr)
def test_a_column_is_taken_with_a_warning(y):
    with pytest.warns(UserWarning, match="column-vector y"):
        classes, codes = encode_labels(y)
    assert (classes.tolist(), codes.tolist()) == ([1], [0, 0, 0])


def test_the_name_is_in_the_error():
    with pytest.raises(ValueError, match="Input classes contains NaN"):
        encode_labels([np.nan], "classes")


def test_as_label_array():
    for y in (np.array([3, 1]), ["b", "a"], (2.0, 1.0)):
        found = as_label_array(y)
        assert type(found) is np.ndarray
        assert found.tolist() == list(y)


# -- unions and positions --------------------------------------------------------------


def check_union(a, b, labels, rows_a, rows_b):
    found = unite(np.asarray(a), np.asarray(b))
    assert found[0].tolist() == labels
    assert found[1].tolist() == rows_a
    assert found[2].tolist() == rows_b
    assert [v.dtype.kind for v in found[1:]] == ["i", "i"]


@pytest.mark.parametrize(
    ("a", "b", "labels", "rows_a", "rows_b"),
    [
        ([1, 3], [1, 3], [1, 3], [0, 1], [0, 1]),
        ([1, 3], [2, 3, 4], [1, 2, 3, 4], [0, -1, 1, -1], [-1, 0, 1, 2]),
        ([5], [1], [1, 5], [-1, 0], [0, -1]),
        ([1, 2], [2.0, 3.0], [1, 2, 3], [0, 1, -1], [-1, 0, 1]),
        ([False, True], [1, 2], [0, 1, 2], [0, 1, -1], [-1, 0, 1]),
        (["a"], ["b", "longer"], ["a", "b", "longer"], [0, -1, -1], [-1, 0, 1]),
        ([b"a"], [b"bb"], [b"a", b"bb"], [0, -1], [-1, 0]),
    ],
)
def test_unite(a, b, labels, rows_a, rows_b):
    check_union(a, b, labels, rows_a, rows_b)
    check_union(b, a, labels, rows_b, rows_a)


def test_unite_strings_with_objects():
    strings, objects = np.array(["a", "b"]), np.array(["b", "c"], dtype=object)
    for one, two in ((strings, objects), (objects, strings)):
        labels, rows_one, rows_two = unite(one, two)
        assert labels.tolist() == ["a", "b", "c"]
        for known, rows in ((one, rows_one), (two, rows_two)):
            assert known[rows[rows >= 0]].tolist() == labels[rows >= 0].tolist()


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.array([1, 2]), np.array(["1", "b"])),
        (np.array([b"a"]), np.array(["a"])),
        (np.array([1, "a"], dtype=object), np.array([2, 3])),
        (dates("D", 1), np.array([1, 2])),
    ],
    ids=lambda value: " ".join(repr(value).split()),
)
def test_unite_different_types(a, b):
    labels, rows_a, rows_b = unite(a, b)
    assert set(labels.tolist()) == set(a.tolist()) | set(b.tolist())
    for known, rows in ((a, rows_a), (b, rows_b)):
        assert sorted(rows[rows >= 0]) == list(range(len(known)))
        assert known[rows[rows >= 0]].tolist() == labels[rows >= 0].tolist()
    assert unite(b, a)[0].tolist() == labels.tolist()


@pytest.mark.parametrize("unit", ["h", "s", "ms", "ns"])
def test_unite_dates_of_different_units(unit):
    labels, rows_a, rows_b = unite(dates("D", 1, 2), dates(unit, 2, 3))
    assert_array_equal(labels, dates("D", 1, 2, 3))
    assert_array_equal(rows_a, [0, 1, -1])
    assert_array_equal(rows_b, [-1, 0, 1])


@pytest.mark.parametrize("other", [np.int64, np.uint32, bool])
def test_unite_integers_that_a_float_cannot_hold(other):
    large = 2**60 + 1
    labels, rows_a, rows_b = unite(np.array([large], np.uint64), np.array([1], other))
    assert labels.tolist() == [1, large]
    assert_array_equal(rows_a, [-1, 0])
    assert_array_equal(rows_b, [0, -1])


@pytest.mark.parametrize(
    ("labels", "known", "expected"),
    [
        ([3, 1, 2], [1, 2], [-1, 0, 1]),
        ([2.0, 1.5], [1, 2], [1, -1]),
        (["b", "x"], ["a", "b"], [1, -1]),
        (["1"], [1], [-1]),
        ([], [1], []),
    ],
)
def test_positions(labels, known, expected):
    found = positions(np.array(labels), np.array(known))
    assert found.dtype.kind == "i"
    assert found.tolist() == expected


def test_positions_need_not_be_sorted():
    known = np.array(["b", "c", "a"])
    assert positions(np.array(["a", "b"]), known).tolist() == [2, 0]


def test_encode_known():
    known = np.array(["b", "c", "a"])
    codes = encode_known(["a", "b", "a"], known)
    assert codes.tolist() == [2, 0, 2]
    match = "not seen in fit: ['x', 'y']. Known classes: ['b', 'c', 'a']"
    with pytest.raises(ValueError, match=re.escape(match)):
        encode_known(["a", "y", "x"], known)
    with pytest.raises(ValueError, match=r"not seen by the head: \[3\]"):
        encode_known([3], np.arange(3), "by the head")


def test_encode_known_dates_of_another_unit():
    assert_array_equal(encode_known(dates("ns", 2, 1), dates("D", 1, 2)), [1, 0])


def test_shorten():
    assert shorten(np.arange(3)) == "[0, 1, 2]"
    assert shorten(np.array(["a"])) == "['a']"
    assert shorten(np.arange(9)) == "[0, 1, 2, 3, 4, 5, 6, 7, …]"
    assert shorten(np.arange(8)) == "[0, 1, 2, 3, 4, 5, 6, 7]"
