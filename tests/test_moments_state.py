"""ClassMoments: merging, copies, files, and what is refused without a trace."""

import copy
import pickle

import numpy as np
import oracles
import pytest
from moment_asserts import assert_moments, assert_same_state
from numpy.testing import assert_array_equal
from scipy import sparse

from sklearn_collapse import ClassMoments
from sklearn_collapse.utils import _arrays

LARGE = 300  # rows of a block that does not wait, with blocks of 256 rows


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 256 rows: a block of `LARGE` rows is worked on at once."""
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)


def labelled_rows(n=60, d=3, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % n_classes)
    return rng.normal(size=(n, d)) + 3 * y[:, None], y


def state(moments):
    """Everything that has been gathered; None if that is nothing."""
    return None if "empty" in repr(moments) else moments.to_dict()


def assert_matches(moments, X, y, weights=None, rtol=1e-11):
    assert_moments(moments, oracles.class_moments(X, y, weights), rtol)


# -- merging ---------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [{}, {"class_scatter": True}], ids=str)
def test_merge(library, flags):
    # Classes on both sides, on the left only, on the right only.
    X, y = labelled_rows()
    left = (np.arange(60) < 35) & (y != 3)
    right = ~left & (y != 0)
    used = left | right
    one, two = (
        ClassMoments(**flags).update(library.asarray(X[part]), library.asarray(y[part]))
        for part in (left, right)
    )
    assert_array_equal(one.classes_, [0, 1, 2])
    assert_array_equal(two.classes_, [1, 2, 3])
    before = one.to_dict(), two.to_dict()
    both = one + two
    assert_matches(both, X[used], y[used])
    assert library.owns(both.scatter_)
    assert_matches(two + one, X[used], y[used])
    assert_same_state(one.to_dict(), before[0])
    assert_same_state(two.to_dict(), before[1])
    assert one.merge(two) is one
    assert_matches(one, X[used], y[used])
    assert_same_state(two.to_dict(), before[1])


def test_labels_of_a_union_are_sorted():
    blocks = [["m", "z"], ["a"], ["zebra", "b"], ["m"]]
    rows = np.arange(6.0)[:, None] ** 2
    moments = ClassMoments()
    for block in blocks:
        part, rows = rows[: len(block)], rows[len(block) :]
        moments.merge(ClassMoments().update(part, block))
    assert_array_equal(moments.classes_, ["a", "b", "m", "z", "zebra"])
    assert_array_equal(moments.counts_, [1, 1, 2, 1, 1])
    assert_array_equal(moments.means_[:, 0], [4, 16, 12.5, 1, 9])


def test_labels_of_different_types():
    numbers = ClassMoments().update([[1.0], [2.0]], [10, 2])
    names = ClassMoments().update([[3.0], [4.0]], ["10", "b"])
    both = numbers + names
    expected = {10: 1.0, 2: 2.0, "10": 3.0, "b": 4.0}
    found = dict(zip(both.classes_.tolist(), both.means_[:, 0], strict=True))
    assert found == expected
    assert_array_equal(both.classes_, (names + numbers).classes_)
    again = both + numbers
    assert dict(zip(again.classes_.tolist(), again.counts_, strict=True)) == {
        **dict.fromkeys(expected, 1.0),
        **{10: 2.0, 2: 2.0},
    }


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ([0, 1], [1.0, 2.0]),
        ([False, True], [1, 2]),
        (np.array([0, 1], np.uint8), np.array([1, 2], np.int64)),
        (["a", "b"], np.array(["b", "long name"], dtype=object)),
        (
            np.array(["2020-01-01", "2020-01-02"], "M8[D]"),
            np.array(["2020-01-02", "2020-01-03"], "M8[ns]"),
        ),
        (
            np.array([2**60 + 1, 2**60 + 2], np.uint64),
            np.array([2**60 + 2, 2**60 + 3], np.int64),
        ),
    ],
    ids=["float", "bool", "unsigned", "object", "datetime", "large"],
)
def test_equal_labels_of_different_dtypes_are_one_class(one, two):
    both = ClassMoments().update([[1.0], [2.0]], one)
    both.merge(ClassMoments().update([[4.0], [8.0]], two))
    assert_array_equal(both.counts_, [1, 2, 1])
    assert_array_equal(both.means_[:, 0], [1, 3, 8])


def test_sum():
    X, y = labelled_rows()
    parts = [ClassMoments().update(X[k::4], y[k::4]) for k in range(4)]
    assert_matches(sum(parts), X, y)
    alone = sum(parts[:1])
    assert_same_state(alone.to_dict(), parts[0].to_dict())
    alone.update(X, y)
    assert parts[0].n_samples_ == 15


def test_with_itself():
    X, y = labelled_rows()
    moments = ClassMoments(class_scatter=True).update(X, y)
    twice = np.tile(X, (2, 1)), np.tile(y, 2)
    assert_matches(moments + moments, *twice)
    assert_matches(moments.merge(moments), *twice)


def test_with_an_empty_one(library):
    X, y = labelled_rows()
    full = ClassMoments().update(library.asarray(X), y)
    assert_matches(full + ClassMoments(), X, y)
    grown = ClassMoments() + full
    assert_matches(grown, X, y)
    assert grown.n_features == 3
    assert grown.input_dtype_ == "float64"
    grown.update(library.asarray(X), y)
    assert grown.n_samples_ == 120
    assert full.n_samples_ == 60
    assert repr(ClassMoments() + ClassMoments()) == "ClassMoments(empty)"


def test_rows_that_wait_are_merged():
    X, y = labelled_rows()
    one, two = ClassMoments(), ClassMoments()
    for k in range(0, 60, 2):
        one.update(X[k : k + 1], y[k : k + 1])
        two.update(X[k + 1 : k + 2], y[k + 1 : k + 2])
    assert_matches(one.merge(two), X, y)
    # Both can go on.
    one.update(X[:7], y[:7])
    two.update(X[:5], y[:5])
    assert_matches(one, *(np.concatenate([v, v[:7]]) for v in (X, y)))
    assert_matches(two, *(np.concatenate([v[1::2], v[:5]]) for v in (X, y)))


def test_the_coarser_precision_is_kept():
    X, y = labelled_rows()
    double = ClassMoments().update(X, y)
    single = ClassMoments(precision="single").update(X, y)
    for both in (double + single, single + double):
        assert both.dtype_ == "float32"
        assert_matches(both, np.tile(X, (2, 1)), np.tile(y, 2), rtol=1e-5)
    assert (double + double).dtype_ == "float64"
    assert double.dtype_ == "float64"
    # Nothing single has been added by an empty one.
    assert (double + ClassMoments(precision="single")).dtype_ == "float64"


def test_names_are_adopted():
    pandas = pytest.importorskip("pandas")
    X, y = labelled_rows()
    named = ClassMoments().update(pandas.DataFrame(X, columns=list("abc")), y)
    plain = ClassMoments().update(X, y)
    for both in (named + plain, plain + named, ClassMoments() + named):
        assert_array_equal(both.feature_names_, list("abc"))
    other = ClassMoments().update(pandas.DataFrame(X, columns=list("acb")), y)
    with pytest.raises(ValueError, match="feature names should match"):
        named.merge(other)


def unmergeable():
    X, y = labelled_rows()
    yield {"normalize": True}, (X, y), "normalize=False and normalize=True"
    yield {"class_scatter": True}, (X, y), "class_scatter=False and class_scatter=True"
    yield {}, (X[:, :2], y), "numbers of features .* 3 and 2"
    yield {}, (X,), "kinds of labels"
    yield {}, (X, y + 3), "not among `classes`: .4, 5, 6"
    yield {"n_features": 5}, (), "numbers of features .* 3 and 5"


@pytest.mark.parametrize(("flags", "block", "match"), list(unmergeable()))
def test_what_cannot_be_merged(flags, block, match):
    X, y = labelled_rows()
    moments = ClassMoments(classes=range(4)).update(X, y)
    other = ClassMoments(**flags)
    if block:
        other.update(*block)
    before = moments.to_dict(), state(other)
    with pytest.raises(ValueError, match=match):
        moments.merge(other)
    with pytest.raises(ValueError, match=match):
        moments + other
    assert_same_state(moments.to_dict(), before[0])
    assert_same_state(state(other), before[1])


def test_an_empty_one_keeps_its_declarations():
    X, y = labelled_rows()
    moments = ClassMoments().update(X, y)
    with pytest.raises(ValueError, match="numbers of features"):
        ClassMoments(n_features=5).merge(moments)
    with pytest.raises(ValueError, match="not among `classes`"):
        ClassMoments(classes=[0, 1]).merge(moments)
    with pytest.raises(ValueError, match="class_scatter"):
        ClassMoments(class_scatter=True).merge(moments)


def test_only_one_library(library):
    if library.name == "numpy":
        pytest.importorskip("array_api_strict")
    X, y = labelled_rows()
    other = "array_api_strict" if library.name == "numpy" else "numpy"
    theirs = type(library)(other)
    moments = ClassMoments().update(library.asarray(X), y)
    with pytest.raises(ValueError, match="same namespace and device"):
        moments.update(theirs.asarray(X), y)
    with pytest.raises(ValueError, match="libraries or devices"):
        moments.merge(ClassMoments().update(theirs.asarray(X), y))
    assert_matches(moments, X, y)


@pytest.mark.parametrize("other", [None, 1, np.zeros((3, 3)), "moments"])
def test_only_moments_can_be_merged(other):
    moments = ClassMoments().update([[1.0]])
    with pytest.raises(TypeError, match="Only ClassMoments can be merged"):
        moments.merge(other)


# -- independence ----------------------------------------------------------------------


@pytest.mark.parametrize("n", [60, LARGE])
def test_arrays_of_the_caller_are_left_alone_and_not_kept(library, n, small_blocks):
    X, y = labelled_rows(n)
    weights = np.linspace(0.5, 2, n)
    arrays = [library.asarray(values.copy()) for values in (X, y, weights)]
    moments = ClassMoments(normalize=True).update(*arrays)
    for array, values in zip(arrays, (X, y, weights), strict=True):
        assert_array_equal(np.asarray(array), values)
        array[...] = 0
    units = X / np.linalg.norm(X, axis=1, keepdims=True)
    assert_matches(moments, units, y, weights)


@pytest.mark.parametrize("n", [60, LARGE])
def test_read_only_arrays(n, small_blocks):
    X, y = labelled_rows(n)
    weights = np.ones(n)
    for array in (X, y, weights):
        array.flags.writeable = False
    assert_matches(ClassMoments().update(X, y, weights), X, y)


@pytest.mark.parametrize("duplicate", [ClassMoments.copy, copy.deepcopy, copy.copy])
@pytest.mark.parametrize("read_first", [False, True])
def test_copies_are_independent(library, duplicate, read_first):
    X, y = labelled_rows()
    moments = ClassMoments(class_scatter=True).update(library.asarray(X[:30]), y[:30])
    if read_first:
        assert moments.n_samples_ == 30
    twin = duplicate(moments)
    twin.update(library.asarray(X[30:]), y[30:])
    assert_matches(moments, X[:30], y[:30])
    assert_matches(twin, X, y)
    moments.update(library.asarray(X), y)
    assert_matches(twin, X, y)


def test_a_copy_keeps_its_options():
    twin = ClassMoments(3, ["a"], precision="single", normalize=True).copy()
    assert (twin.n_features, twin.precision, twin.normalize) == (3, "single", True)
    with pytest.raises(ValueError, match="not among `classes`"):
        twin.update([[1.0, 2.0, 3.0]], ["b"])


@pytest.mark.parametrize("read_first", [False, True])
def test_pickle(library, read_first):
    X, y = labelled_rows()
    moments = ClassMoments(class_scatter=True, classes=range(4))
    moments.update(library.asarray(X[:30]), y[:30])
    if read_first:
        moments._spectrum()
    twin = pickle.loads(pickle.dumps(moments))
    assert library.owns(twin.scatter_)
    assert_same_state(twin.to_dict(), moments.to_dict())
    assert_matches(twin.update(library.asarray(X[30:]), y[30:]), X, y)
    assert moments.n_samples_ == 30
    with pytest.raises(ValueError, match="not among `classes`"):
        twin.update(library.asarray(X[:1]), [9])


# -- files -----------------------------------------------------------------------------

LABELS = {
    "integers": np.array([3, -1, 3, 7]),
    "strings": np.array(["b", "a", "b", "long name"]),
    "booleans": np.array([True, False, True, True]),
    "floats": np.array([0.0, 2.0, 2.0, -1.0]),
    "dates": np.array(["2021-01-01", "2020-01-01"] * 2, dtype="M8[D]"),
    "bytes": np.array([b"b", b"a", b"b", b"c"]),
    "list of bytes": [b"b", b"a", b"b", b"c"],
    "objects": np.array(["b", "a", "b", "c"], dtype=object),
}


def through_a_file(moments, path):
    np.savez(path, **moments.to_dict())
    with np.load(path, allow_pickle=False) as archive:
        return ClassMoments.from_dict(archive)


@pytest.mark.parametrize("kind", LABELS)
def test_file(kind, tmp_path):
    X, _ = labelled_rows(4)
    moments = ClassMoments().update(X, LABELS[kind])
    twin = through_a_file(moments, tmp_path / "moments.npz")
    assert_same_state(twin.to_dict(), moments.to_dict())
    assert twin.classes_.tolist() == moments.classes_.tolist()
    assert_matches(
        twin.update(X, LABELS[kind]), np.tile(X, (2, 1)), np.tile(LABELS[kind], 2)
    )


@pytest.mark.parametrize("dtype", ["str", "string", "category"])
def test_file_with_string_labels_of_a_data_frame(dtype, tmp_path):
    pandas = pytest.importorskip("pandas")
    X, _ = labelled_rows(4)
    y = pandas.Series(["b", "a", "b", "c"], dtype=dtype)
    twin = through_a_file(ClassMoments().update(X, y), tmp_path / "moments.npz")
    assert twin.classes_.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"class_scatter": True},
        {"normalize": True, "precision": "single"},
    ],
    ids=str,
)
@pytest.mark.parametrize("labelled", [False, True])
def test_file_of_any_library(library, flags, labelled, tmp_path):
    X, y = labelled_rows()
    block = (library.asarray(X.astype(np.float32)), *((y,) if labelled else ()))
    moments = ClassMoments(**flags).update(*block)
    content = moments.to_dict()
    assert all(type(value) is np.ndarray for value in content.values())
    twin = through_a_file(moments, tmp_path / "moments.npz")
    assert_same_state(twin.to_dict(), content)
    assert type(twin.scatter_) is np.ndarray
    assert (twin.dtype_, twin.input_dtype_) == (moments.dtype_, "float32")
    assert (twin.normalize, twin.class_scatter) == (
        moments.normalize,
        moments.class_scatter,
    )
    assert (twin.labelled, twin.n_features, twin.device_) == (labelled, 3, "cpu")
    # It goes on as the original would.
    more = (X, y) if labelled else (X,)
    grown = twin.update(*more).merge(ClassMoments(**flags).update(*more))
    assert grown.n_samples_ == 180
    assert grown.input_dtype_ == "float32"
    with pytest.raises(ValueError, match="Blocks with and without labels"):
        twin.update(*((X,) if labelled else (X, y)))


def test_file_with_names(tmp_path):
    pandas = pytest.importorskip("pandas")
    X, y = labelled_rows()
    frame = pandas.DataFrame(X, columns=["a", "b", "é"])
    twin = through_a_file(ClassMoments().update(frame, y), tmp_path / "moments.npz")
    assert twin.feature_names_.tolist() == ["a", "b", "é"]
    assert twin.update(frame, y).n_samples_ == 120
    with pytest.raises(ValueError, match="feature names"):
        twin.update(frame[["b", "a", "é"]], y)


def test_the_dict_shares_nothing():
    X, y = labelled_rows()
    moments = ClassMoments(class_scatter=True).update(X, y)
    content = moments.to_dict()
    before = {name: value.copy() for name, value in content.items()}
    twin = ClassMoments.from_dict(content)
    for name in ("classes", "counts", "means", "scatter", "traces", "class_scatter"):
        content[name][...] = 0
    assert_same_state(moments.to_dict(), before)
    assert_same_state(twin.to_dict(), before)


def test_file_of_another_version():
    content = ClassMoments().update([[1.0]]).to_dict()
    content["version"] = np.array(99)
    with pytest.raises(ValueError, match="format version 99"):
        ClassMoments.from_dict(content)


# -- what is refused -------------------------------------------------------------------


def bad_blocks(n):
    """Blocks that must be refused, with the words of the error."""
    X, y = labelled_rows(n)

    def spoiled(value, row):
        rows = X.copy()
        rows[row, 1] = value
        rows[-1, 2] = value
        return rows

    ones = np.ones(n)
    yield "nan", (spoiled(np.nan, 7), y), "NaN: first in row 7, column 1"
    yield "inf", (spoiled(np.inf, 5), y), r"infinity .*first in row 5, column 1"
    yield "-inf", (spoiled(-np.inf, 0), y), r"infinity .*first in row 0, column 1"
    yield "overflow", (1e200 * X, y), "squares overflow"
    yield "width", (np.hstack([X, X]), y), "X has 6 features, but .* expecting 3"
    yield "no columns", (X[:, :0], y), "0 feature"
    yield "no rows", (X[:0], y[:0]), "0 sample"
    yield "1-D", (X[0], y), "Expected 2D array, got 1D array"
    yield "3-D", (X[None], y), "3"
    yield "complex", (X.astype(complex), y), "Complex data not supported"
    yield "short y", (X, y[:-1]), "inconsistent numbers of samples"
    yield "long y", (X, np.append(y, 0)), "inconsistent numbers of samples"
    yield "continuous y", (X, y + 0.5), "continuous"
    yield "nan y", (X, np.where(y == 1, np.nan, y)), "y contains NaN"
    yield "new class", (X, y + 1), r"not among `classes`: \[4\]"
    yield "2-D y", (X, np.stack([y, y], axis=1)), "1d array"
    yield "no y", (X,), "Blocks with and without labels"
    yield "short weights", (X, y, ones[1:]), "inconsistent numbers of samples"
    yield "negative weight", (X, y, -ones), "finite and not negative"
    yield "nan weight", (X, y, np.nan * ones), "finite and not negative"
    yield "no weight", (X, y, 0 * ones), "all zero"
    yield "2-D weights", (X, y, ones[:, None]), "one-dimensional"


@pytest.mark.parametrize("n", [60, LARGE])
@pytest.mark.parametrize("case", [case for case, *_ in bad_blocks(60)])
def test_bad_block_leaves_no_trace(library, case, n, small_blocks):
    block, match = {c: rest for c, *rest in bad_blocks(n)}[case]
    block = [library.asarray(part) for part in block]
    X, y = labelled_rows(n)
    good = library.asarray(X), library.asarray(y)
    for already in (0, 60, LARGE):
        if not already and case in ("width", "no y"):
            continue
        moments = ClassMoments(classes=range(4))
        if already:
            old = labelled_rows(already)
            moments.update(library.asarray(old[0]), old[1])
        before = copy.deepcopy(moments)
        with pytest.raises(ValueError, match=match):
            moments.update(*block)
        assert_same_state(state(moments), state(before))
        moments.update(*good)
        assert_same_state(state(moments), state(before.update(*good)))


def test_a_refused_first_block_decides_nothing():
    moments = ClassMoments()
    with pytest.raises(ValueError, match="NaN"):
        moments.update([[1.0, np.nan]], ["a"])
    assert moments.update([[1.0, 2.0, 3.0]]).n_features == 3
    assert not moments.labelled


@pytest.mark.parametrize("n", [60, LARGE])
def test_the_row_is_that_of_the_caller(library, n, small_blocks):
    # Rows of zero weight before it are counted.
    X, y = labelled_rows(n)
    X[20, 1] = np.nan
    weights = np.where(np.arange(n) < 10, 0.0, 1.0)
    with pytest.raises(ValueError, match="first in row 20"):
        ClassMoments().update(library.asarray(X), y, weights)


def test_the_row_is_that_of_the_whole_array():
    X, y = labelled_rows()
    X[20, 1] = np.nan
    with pytest.raises(ValueError, match="first in row 20"):
        ClassMoments.from_arrays(X, y, batch_size=15)


@pytest.mark.parametrize("n", [60, LARGE])
def test_overflow_of_single_products(library, n, small_blocks):
    X, y = labelled_rows(n)
    rows = library.asarray(1e25 * X)
    assert np.isfinite(np.asarray(ClassMoments().update(rows, y).scatter_)).all()
    with pytest.raises(ValueError, match="squares overflow"):
        ClassMoments(precision="single").update(rows, y)


def test_overflow_of_many_blocks_loses_no_rows():
    # Every block is fine; their sum of squares is not.
    moments = ClassMoments()
    block = np.array([[2e153], [-2e153], [4e153]])
    blocks = [block] * 20

    def read():
        while blocks:
            moments.update(blocks.pop())
        return moments.scatter_

    for _ in range(2):  # the second time as the first
        with pytest.raises(ValueError, match="overflow"):
            read()


def test_labels_of_another_length_in_batches():
    X, y = labelled_rows()
    for labels in (y[:-1], np.append(y, 0)):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            ClassMoments.from_arrays(X, labels, batch_size=20)


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.coo_array])
def test_sparse_rows(container):
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        ClassMoments().update(container(np.eye(3)))


@pytest.mark.parametrize("rows", [[["a", "b"]], [[{}, {}]], "text", None])
def test_rows_that_are_not_numbers(rows):
    with pytest.raises((ValueError, TypeError)):
        ClassMoments().update(rows)


def test_reordered_columns():
    pandas = pytest.importorskip("pandas")
    X, y = labelled_rows()
    frame = pandas.DataFrame(X, columns=list("abc"))
    moments = ClassMoments().update(frame, y)
    before = moments.to_dict()
    with pytest.raises(ValueError, match=r"feature names should match .* Reorder"):
        moments.update(frame[list("cba")], y)
    with pytest.raises(ValueError, match="feature names should match"):
        moments.update(frame.rename(columns={"a": "d"}), y)
    assert_same_state(moments.to_dict(), before)
    # Rows without names are taken on trust.
    assert moments.update(X, y).n_samples_ == 120


def test_only_declared_features_and_classes():
    X, _ = labelled_rows()
    moments = ClassMoments(n_features=3, classes=["a", "b"])
    with pytest.raises(ValueError, match=r"X has 2 features, but .* expecting 3"):
        moments.update([[1.0, 2.0]], ["a"])
    with pytest.raises(
        ValueError, match=r"not among `classes`: \['c'\].* \['a', 'b'\]"
    ):
        moments.update(X[:2], ["a", "c"])
    # Classes that may occur need not.
    assert_array_equal(moments.update(X[:2], ["b", "b"]).classes_, ["b"])


@pytest.mark.parametrize(
    "name",
    [
        *("classes_", "counts_", "means_", "scatter_", "class_scatter_trace_"),
        *("class_scatter_", "n_samples_", "mean_", "input_dtype_", "device_"),
    ],
)
def test_empty_attributes(name):
    with pytest.raises(ValueError, match="ClassMoments is empty: call update"):
        getattr(ClassMoments(), name)


@pytest.mark.parametrize(
    "method",
    [
        *("within_covariance", "between_covariance", "total_covariance"),
        *("second_moment", "to_dict"),
    ],
)
def test_empty_methods(method):
    with pytest.raises(ValueError, match="ClassMoments is empty"):
        getattr(ClassMoments(), method)()


def test_no_batches():
    with pytest.raises(ValueError, match="is empty"):
        ClassMoments.from_batches([]).means_  # noqa: B018


def test_class_scatters_that_were_not_asked_for():
    moments = ClassMoments().update([[1.0]])
    with pytest.raises(AttributeError, match="class_scatter=True"):
        moments.class_scatter_  # noqa: B018


def test_unknown_precision():
    with pytest.raises(ValueError, match="precision must be 'double' or 'single'"):
        ClassMoments(precision="half")


def test_repr():
    X, y = labelled_rows()
    assert repr(ClassMoments()) == "ClassMoments(empty)"
    assert repr(ClassMoments().update(X, y)) == (
        "ClassMoments(n_samples=60, n_features=3, n_classes=4)"
    )


# -- devices ---------------------------------------------------------------------------


def test_cpu(library):
    X, y = labelled_rows()
    moments = ClassMoments(device="cpu").update(library.asarray(X), y)
    assert moments.device_ == "cpu"
    assert_matches(moments, X, y)


@pytest.mark.parametrize("n", [60, LARGE])
def test_a_gpu_that_is_not_there(n, small_blocks):
    pytest.importorskip("torch")
    X, y = labelled_rows(n)
    moments = ClassMoments(device="cuda:99")
    with pytest.raises(ValueError, match="device='cuda:99' cannot be used"):
        moments.update(X, y)
    with pytest.raises(ValueError, match="is empty"):
        moments.means_  # noqa: B018


@pytest.mark.parametrize("n", [60, LARGE])
def test_foreign_rows_elsewhere_than_the_device(n, small_blocks):
    torch = pytest.importorskip("torch")
    X, y = labelled_rows(n)
    moments = ClassMoments(device="cuda")
    with pytest.raises(ValueError, match="X lives on device 'cpu' but device='cuda'"):
        moments.update(torch.asarray(X), y)
    with pytest.raises(ValueError, match="is empty"):
        moments.means_  # noqa: B018


@pytest.mark.parametrize(
    "flags",
    [{}, {"class_scatter": True}, {"precision": "single"}, {"normalize": True}],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64])
def test_numpy_rows_worked_on_elsewhere(dtype, flags, small_blocks, monkeypatch):
    # A tensor in main memory stands for one on a GPU.
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(_arrays, "gpu_for", lambda device, work: torch.empty(0))
    X, y = labelled_rows(700)
    X = (8 * X).astype(dtype)
    X.flags.writeable = False
    weights = np.linspace(0.5, 2, 700)
    moments = ClassMoments(**flags)
    for part in (slice(0, 500), slice(500, 520), slice(520, 700)):
        moments.update(X[part], y[part], weights[part])
    rows = X.astype(float)
    if moments.normalize:
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert_matches(
        moments, rows, y, weights, 1e-11 if "precision" not in flags else 1e-5
    )
    assert type(moments.means_) is type(moments.scatter_) is np.ndarray
    assert type(moments.counts_) is type(moments.class_scatter_trace_) is np.ndarray
    assert moments.input_dtype_ == np.dtype(dtype).name or dtype is np.int64
