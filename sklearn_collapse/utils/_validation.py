"""Input checks: what was got, what is allowed, what to do."""

import numbers

import numpy as np
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import validate_data

from sklearn_collapse.utils._arrays import (
    as_like,
    detach,
    is_foreign,
    is_memmap,
    is_sparse_tensor,
    namespace,
    place_of,
    to_numpy,
)
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._tables import NamedRows

# Everything else (integers, booleans, long double) becomes float64.
_FLOATS = (np.float64, np.float32, np.float16)


def check_features(X, *, min_samples=1):
    """Check a feature matrix that belongs to no estimator.

    Returns
    -------
    X : array of shape (n, d)
        Of the library it came in; finiteness is checked by `check_finite` or in the
        computation.
    names : ndarray of str or None
        Column names of a DataFrame.
    """
    names = None if is_foreign(X) else getattr(X, "columns", None)
    if names is not None and not all(isinstance(name, str) for name in names):
        names = None
    names = None if names is None else np.asarray(names, dtype=object)
    X = X.rows if isinstance(X, NamedRows) else X
    if is_foreign(X):
        return _check_foreign(X, min_samples), names
    X = check_array(
        X,
        dtype=_accepted_dtypes(X),
        ensure_all_finite=False,
        ensure_min_samples=min_samples,
        input_name="X",
    )
    return X, names


def validate_features(estimator, X, *, reset=False, min_samples=1):
    """Check features for an estimator; sets or checks n_features_in_ and names."""
    if isinstance(X, NamedRows):
        return _validate_named(estimator, X)
    if is_foreign(X):
        X = _check_foreign(X, min_samples, type(estimator).__name__)
        return validate_data(estimator, X, skip_check_array=True, reset=reset)
    return validate_data(
        estimator,
        X,
        reset=reset,
        dtype=_accepted_dtypes(X),
        ensure_all_finite=False,
        ensure_min_samples=min_samples,
    )


def _validate_named(estimator, X):
    """Check rows of named columns, which scikit-learn does not know, once fitted."""
    known = getattr(estimator, "feature_names_in_", None)
    if known is not None and list(X.columns) != list(known):
        raise ValueError(
            f"The feature names should match those that were passed during fit: got "
            f"{X.columns[:5]}…, expected {known[:5].tolist()}…. Name them in this "
            f"order: features=[...]."
        )
    rows, _ = check_features(X)
    if rows.shape[1] != estimator.n_features_in_:
        raise ValueError(
            f"X has {rows.shape[1]} features, but {type(estimator).__name__} is "
            f"expecting {estimator.n_features_in_} features as input."
        )
    return rows


def _accepted_dtypes(X):
    """Dtypes that stay; the integers of a file are converted block by block."""
    return None if is_memmap(X) and X.dtype.kind in "biu" else _FLOATS


def check_same_place(estimator, X, fitted, method):
    """Raise if X is of another library or device than the fitted arrays.

    ``fitted`` is one of the estimator's fitted arrays, ``method`` the public method
    that was called.
    """
    if place_of(X) == place_of(fitted):
        return
    (lib, dev), (fit_lib, fit_dev) = place_of(X), place_of(fitted)
    raise ValueError(
        f"Inputs passed to {type(estimator).__name__}.{method}() must use the same "
        f"namespace and the same device as those passed to fit(): got {lib} on {dev}, "
        f"fitted on {fit_lib} on {fit_dev}. Convert X, or fit again on such arrays."
    )


def check_weights(sample_weight, n):
    """Check sample weights.

    Returns
    -------
    weights : ndarray of float64 of shape (n,) or None
        None stands for ones.
    """
    if sample_weight is None:
        return None
    if isinstance(sample_weight, numbers.Real):
        weights = np.full(n, float(sample_weight))
    else:
        weights = np.asarray(to_numpy(sample_weight), dtype=float)
    if weights.ndim != 1:
        raise ValueError(
            f"sample_weight must be one-dimensional, got shape {weights.shape}."
        )
    check_consistent_length(np.empty(n), weights)
    bad = np.flatnonzero(~np.isfinite(weights) | (weights < 0))
    if len(bad):
        raise ValueError(
            f"sample_weight must be finite and not negative, got "
            f"{weights[bad[0]]} in row {bad[0]}."
        )
    if not weights.any():
        raise ValueError(
            "Sample weights are all zero: at least one positive weight is required."
        )
    return weights


def drop_zero_weights(X, weights):
    """Leave out rows of zero weight; errors name rows of the whole array.

    Returns
    -------
    X : array of shape (m, d)
    kept : ndarray of int of shape (m,) or slice
        Rows that are left.
    weights : ndarray of shape (m,) or None
    """
    if weights is None or weights.all():
        return X, slice(None), weights
    kept = np.flatnonzero(weights)
    X = namespace(X).take(X, as_like(kept, X), axis=0)
    check_finite(X, row_numbers=kept)
    return X, kept, weights[kept]


def check_lengths(X, y):
    """Raise if X and y have different numbers of rows."""
    n = np.shape(y)[0]  # arrays of some libraries have no len
    if X.shape[0] != n:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has "
            f"{X.shape[0]} rows, y has {n}."
        )


def check_coef(coef, n_features):
    """Check the width of a weight matrix."""
    if coef.ndim != 2 or coef.shape[1] != n_features:
        raise ValueError(
            f"coef_ of the head has shape {tuple(coef.shape)}, but X has "
            f"{n_features} features: it must have shape (n_classes, {n_features}). "
            f"Use the layer that reads these features."
        )


def _check_foreign(X, min_samples, estimator_name=None):
    """Checks of `check_array` for arrays that it would convert or refuse."""
    if is_sparse_tensor(X):
        raise TypeError(
            "Sparse data was passed for X, but dense data is required. Use "
            "X.to_dense()."
        )
    X = detach(X)
    xp = namespace(X)
    if X.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D array of shape {tuple(X.shape)} "
            f"instead. Reshape your data to (n_samples, n_features)."
        )
    if xp.isdtype(X.dtype, "complex floating"):
        raise ValueError("Complex data not supported: X must be real.")
    for axis, least, what in ((0, min_samples, "sample"), (1, 1, "feature")):
        if X.shape[axis] < least:
            by = f" by {estimator_name}" if estimator_name else ""
            raise ValueError(
                f"Found array with {X.shape[axis]} {what}(s) (shape={tuple(X.shape)}) "
                f"while a minimum of {least} is required{by}."
            )
    return X
