"""Continuous targets, one or several for each row."""

import math

import numpy as np
from sklearn.utils import check_array

from sklearn_collapse.utils._arrays import (
    as_like,
    detach,
    is_foreign,
    is_sparse_tensor,
    namespace,
)
from sklearn_collapse.utils._validation import check_lengths


def check_targets(y, X, caller="This metric"):
    """Check targets of rows, as scikit-learn's regressors do.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, t)
    X : array of shape (n, d)
        The rows.
    caller : str
        Who needs targets, for the error.

    Returns
    -------
    array of shape (n, t)
        Where X is, in the floating dtype of y or else in float64.
    """
    if y is None:
        raise ValueError(f"{caller} requires y to be passed, but the target y is None.")
    y = _check_foreign(y) if is_foreign(y) else _check_plain(y)
    check_lengths(X, y)
    y = as_like(y, X)
    xp = namespace(y)
    if not xp.isdtype(y.dtype, "real floating"):
        y = xp.astype(y, xp.float64)
    largest = float(xp.max(xp.abs(y)))
    if not math.isfinite(largest):
        kind = "NaN" if bool(xp.any(xp.isnan(y))) else "infinity"
        raise ValueError(
            f"Input y contains {kind}. Only finite targets are allowed: drop such rows."
        )
    if largest > math.sqrt(np.finfo(float).max / y.shape[0]):
        raise ValueError(
            "Input y holds values so large that their squares overflow. Rescale the "
            "targets."
        )
    return y[:, None] if y.ndim == 1 else y


def take_targets(y, kept):
    """Targets of the rows that `drop_zero_weights` has kept."""
    if isinstance(kept, slice):
        return y
    return namespace(y).take(y, as_like(kept, y), axis=0)


def _check_plain(y):
    y = check_array(
        y, ensure_2d=False, dtype="numeric", ensure_all_finite=True, input_name="y"
    )
    if y.dtype.kind not in "fiub":
        raise ValueError(
            f"y must hold numbers, one or several targets for each row, got dtype "
            f"{y.dtype}."
        )
    # Long double has no counterpart in other libraries.
    return y if y.dtype.itemsize <= 8 else y.astype(float)


def _check_foreign(y):
    if is_sparse_tensor(y):
        raise TypeError(
            "Sparse data was passed for y, but dense data is required. Use "
            "y.to_dense()."
        )
    y = detach(y)
    if y.ndim not in (1, 2) or 0 in y.shape:
        raise ValueError(
            f"y must have shape (n_samples,) or (n_samples, n_targets), got "
            f"{tuple(y.shape)}."
        )
    if namespace(y).isdtype(y.dtype, "complex floating"):
        raise ValueError("Complex data not supported: y must be real.")
    return y
