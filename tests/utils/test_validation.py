"""Checks of features, weights, lengths and finiteness."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator

from sklearn_collapse.utils import _arrays
from sklearn_collapse.utils._finite import check_finite, raise_nonfinite
from sklearn_collapse.utils._validation import (
    check_coef,
    check_features,
    check_lengths,
    check_same_place,
    check_weights,
    validate_features,
)


class Thing(BaseEstimator):
    pass


def features_of(X, **options):
    return check_features(X, **options)[0]


def validated(X, **options):
    return validate_features(Thing(), X, reset=True, **options)


both = pytest.mark.parametrize("check", [features_of, validated])


# -- features --------------------------------------------------------------------------


@both
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_arrays_pass_unchanged(library, check, dtype):
    X = library.asarray(np.ones((3, 2), dtype=dtype))
    found = check(X)
    assert library.owns(found)
    assert found.dtype == X.dtype
    assert found is X or library.name != "numpy" or np.shares_memory(found, X)


@both
@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float16", "float16"),
        ("int64", "float64"),
        ("uint8", "float64"),
        ("bool", "float64"),
        ("longdouble", "float64"),
        ("object", "float64"),
    ],
)
def test_dtypes(check, dtype, expected):
    found = check(np.ones((3, 2)).astype(dtype))
    assert found.dtype == expected
    assert_array_equal(found, 1)


@both
def test_lists(check):
    found = check([[1, 2], [3, 4]])
    assert found.dtype == np.float64
    assert_array_equal(found, [[1, 2], [3, 4]])


@both
def test_nan_is_left_to_those_who_compute(library, check):
    X = library.asarray(np.array([[1.0, np.nan], [np.inf, 2.0]]))
    assert_array_equal(np.asarray(check(X)), [[1, np.nan], [np.inf, 2]])


@both
def test_shapes(library, check):
    def refused(values, match, **options):
        with pytest.raises(ValueError, match=match):
            check(library.asarray(values), **options)

    refused(np.ones(3), "Expected 2D array, got 1D array")
    refused(np.array(1.0), "Expected 2D array, got (0D|scalar) array")
    refused(np.ones((2, 2, 2)), "dim 3|3D array")
    refused(np.ones((0, 3)), r"0 sample\(s\) \(shape=\(0, 3\)\).*minimum of 1")
    refused(np.ones((3, 0)), r"0 feature\(s\) \(shape=\(3, 0\)\).*minimum of 1")
    refused(np.ones((1, 3)), r"1 sample\(s\).*minimum of 2", min_samples=2)
    assert check(library.asarray(np.ones((2, 3))), min_samples=2).shape == (2, 3)


@both
def test_complex(library, check):
    with pytest.raises(ValueError, match="Complex data not supported"):
        check(library.asarray(np.ones((2, 2), dtype=complex)))


@both
@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csr_array])
def test_sparse(check, container):
    with pytest.raises(TypeError, match="Sparse data was passed"):
        check(container(np.eye(3)))


@both
def test_sparse_tensors(check):
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="Sparse data was passed"):
        check(torch.eye(3).to_sparse())


@both
@pytest.mark.parametrize("X", [[["a", "b"]], [[1, 2], [3]], "text", [[{}]]], ids=repr)
def test_not_numbers(check, X):
    with pytest.raises((ValueError, TypeError)):
        check(X)


@both
def test_tensors_are_detached(check):
    torch = pytest.importorskip("torch")
    assert not check(torch.ones((2, 2), requires_grad=True)).requires_grad


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_names(container):
    frames = pytest.importorskip(container)
    frame = frames.DataFrame({"b": [1.0, 2.0], "a": [3.0, 4.0]})
    X, names = check_features(frame)
    assert type(X) is np.ndarray
    assert_array_equal(X, [[1, 3], [2, 4]])
    assert names.tolist() == ["b", "a"]
    estimator = Thing()
    assert_array_equal(validate_features(estimator, frame, reset=True), X)
    assert estimator.feature_names_in_.tolist() == ["b", "a"]
    assert estimator.n_features_in_ == 2
    with pytest.raises(ValueError, match="feature names should match"):
        validate_features(estimator, frame[["a", "b"]])


def test_names_that_are_numbers():
    pandas = pytest.importorskip("pandas")
    X, names = check_features(pandas.DataFrame([[1.0, 2.0]]))
    assert (X.tolist(), names) == ([[1, 2]], None)


def test_no_names(library):
    assert check_features(library.asarray(np.ones((2, 2))))[1] is None
    assert check_features([[1.0]])[1] is None


def test_width(library):
    estimator = Thing()
    validate_features(estimator, library.asarray(np.ones((3, 2))), reset=True)
    assert estimator.n_features_in_ == 2
    match = "X has 3 features, but Thing is expecting 2 features"
    with pytest.raises(ValueError, match=match):
        validate_features(estimator, library.asarray(np.ones((3, 3))))
    validate_features(estimator, library.asarray(np.ones((3, 3))), reset=True)
    assert estimator.n_features_in_ == 3


# -- libraries -------------------------------------------------------------------------


def test_same_place(library):
    x = library.asarray(np.ones(2))
    check_same_place(Thing(), x, library.asarray(np.ones((3, 3))), "predict")
    if library.name == "numpy":
        return
    for one, two in ((x, np.ones(2)), (np.ones(2), x)):
        with pytest.raises(ValueError, match="must use the same namespace") as caught:
            check_same_place(Thing(), one, two, "predict")
        for part in ("Thing.predict()", "numpy on cpu", f"{library.name} on cpu"):
            assert part in str(caught.value)


# -- weights ---------------------------------------------------------------------------


def test_weights(library):
    found = check_weights(library.asarray(np.array([0, 2, 1])), 3)
    assert type(found) is np.ndarray
    assert found.dtype == np.float64
    assert_array_equal(found, [0, 2, 1])
    assert_array_equal(check_weights([0.5, 1], 2), [0.5, 1])
    assert_array_equal(check_weights(2, 3), [2, 2, 2])
    assert_array_equal(check_weights(np.float32(0.5), 2), [0.5, 0.5])
    assert check_weights(None, 3) is None


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        ([1, 2], "inconsistent numbers of samples"),
        ([1, 2, 3, 4], "inconsistent numbers of samples"),
        ([[1, 2, 3]], r"one-dimensional, got shape \(1, 3\)"),
        ([1, -0.5, -1], r"finite and not negative, got -0\.5 in row 1"),
        ([1, 1, np.nan], "got nan in row 2"),
        ([np.inf, 1, 1], "got inf in row 0"),
        ([0, 0, 0], "Sample weights are all zero: at least one positive weight"),
        (0, "all zero"),
        (-1.0, "not negative"),
        (np.nan, "finite"),
    ],
)
def test_bad_weights(weights, match):
    with pytest.raises(ValueError, match=match):
        check_weights(weights, 3)


def test_weights_are_no_text():
    with pytest.raises((ValueError, TypeError)):
        check_weights(["a", "b", "c"], 3)


# -- lengths and widths ----------------------------------------------------------------


def test_lengths(library):
    X = library.asarray(np.ones((3, 2)))
    check_lengths(X, [1, 2, 3])
    with pytest.raises(ValueError, match="X has 3 rows, y has 2"):
        check_lengths(X, [1, 2])


def test_coef():
    check_coef(np.ones((3, 2)), 2)
    match = (
        r"coef_ of the head has shape \(3, 2\), but X has 4 features.*\(n_classes, 4\)"
    )
    with pytest.raises(ValueError, match=match):
        check_coef(np.ones((3, 2)), 4)
    with pytest.raises(ValueError, match=r"coef_ of the head has shape \(2,\)"):
        check_coef(np.ones(2), 2)


# -- NaN and infinity ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
def test_finite(library, dtype):
    X = library.asarray(np.ones((5, 3), dtype=dtype))
    check_finite(X)
    check_finite(X, squares_in="float64")
    check_finite(X, squares_in="float32")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("row", [0, 4, 300, 699])
@pytest.mark.parametrize(
    ("value", "word"),
    [(np.nan, "NaN"), (np.inf, "infinity (inf)"), (-np.inf, "infinity (inf)")],
)
def test_first_bad_row(library, dtype, row, value, word, monkeypatch):
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)  # blocks of 256 rows
    X = np.ones((700, 3), dtype=dtype)
    X[row, 1:] = value
    X[-1, 0] = -value
    column = 0 if row == 699 else 1
    expected = f"Input X contains {word}: first in row {row}, column {column}. "
    for options in ({}, {"squares_in": "float64"}):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            check_finite(library.asarray(X), **options)
        assert str(caught.value).startswith(expected)


def test_half_precision():
    check_finite(np.full((100, 3), 6e4, dtype=np.float16))
    check_finite(np.full((100, 3), 6e4, dtype=np.float16), squares_in="float32")
    X = np.ones((4, 2), dtype=np.float16)
    X[2, 1] = np.inf
    with pytest.raises(ValueError, match="row 2"):
        check_finite(X)


def test_half_precision_of_torch():
    torch = pytest.importorskip("torch")
    X = np.ones((4, 2), dtype=np.float32)
    X[2, 1] = np.inf
    with pytest.raises(ValueError, match="row 2"):
        check_finite(torch.asarray(X).to(torch.bfloat16))


def test_overflow(library):
    X = library.asarray(np.full((4, 2), 1e30))
    check_finite(X)
    check_finite(X, squares_in="float64")
    with pytest.raises(ValueError, match=r"squares overflow\. Rescale"):
        check_finite(X, squares_in="float32")
    with pytest.raises(ValueError, match="squares overflow"):
        check_finite(X * 1e150, squares_in="float64")
    # Sums of finite entries may overflow; the entries are fine.
    check_finite(X * 1e278)


def test_raise_nonfinite(library):
    X = library.asarray(np.ones((3, 2)))
    with pytest.raises(ValueError, match="squares overflow"):
        raise_nonfinite(X)
    raise_nonfinite(X, overflow=False)
