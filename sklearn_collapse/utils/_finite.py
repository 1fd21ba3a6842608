"""Refuse NaN and infinity, naming the first row that holds one."""

import numpy as np

from sklearn_collapse.utils._arrays import block_rows, namespace, slices, to_numpy


class NonFiniteFeatures(ValueError):
    """Features hold NaN or infinity, or overflow when squared."""


def check_finite(X, squares_in=None, row_numbers=None, name="X"):
    """Raise if X holds NaN or infinity, naming the first row.

    ``squares_in`` names a dtype in which the squares must not overflow either,
    ``row_numbers`` are the rows' numbers in the whole array, ``name`` is that of the
    argument.
    """
    xp = namespace(X)
    if not xp.isdtype(X.dtype, "real floating"):
        return
    with np.errstate(over="ignore", invalid="ignore"):
        finite = _sum_is_finite(X, xp, squares_in)
    if not finite:
        overflow = squares_in is not None
        raise_nonfinite(X, overflow=overflow, row_numbers=row_numbers, name=name)


def _sum_is_finite(X, xp, squares_in):
    values = X if squares_in is None else xp.astype(X, getattr(xp, squares_in)) ** 2
    # A sum is one fast pass: it is finite unless an entry is not (or it overflows).
    return bool(xp.isfinite(xp.sum(values)))


@np.errstate(over="ignore", invalid="ignore")
def sum_of_squares(X, weights, dtype):
    """Sum of w x^2; not finite if an entry or its square in a dtype is not.

    Parameters
    ----------
    X : array of shape (n, d)
    weights : ndarray of shape (n,) or None
    dtype : str
        Dtype in which the squares are taken.

    Returns
    -------
    float
    """
    xp = namespace(X)
    if dtype == "float64" and X.dtype == xp.float32:
        # Without a copy, unless squares overflow in float32 alone.
        total = _total_square(X, weights, xp)
        if np.isfinite(total):
            return total
    return _total_square(xp.astype(X, getattr(xp, dtype), copy=False), weights, xp)


def _total_square(rows, weights, xp):
    squares = to_numpy(xp.vecdot(rows, rows)).astype(float)
    return float(np.sum(squares) if weights is None else np.dot(weights, squares))


def raise_nonfinite(X, *, overflow=True, row_numbers=None, left_out=None, name="X"):
    """Find the first row with NaN or infinity and raise.

    If all entries are finite, their squares overflow: with ``overflow`` that raises.
    Rows under the mask ``left_out`` may hold anything.
    """
    xp = namespace(X)
    for here in slices(X.shape[0], block_rows(X.shape[1])):
        bad = to_numpy(xp.any(~xp.isfinite(X[here, :]), axis=1))
        if left_out is not None:
            bad = bad & ~left_out[here]
        if bad.any():
            row = here.start + int(np.argmax(bad))
            values = to_numpy(X[row : row + 1, :])[0]
            column = int(np.argmax(~np.isfinite(values)))
            kind = "NaN" if np.isnan(values[column]) else "infinity (inf)"
            row = row if row_numbers is None else int(row_numbers[row])
            raise NonFiniteFeatures(
                f"Input {name} contains {kind}: first in row {row}, column {column}. "
                f"Only finite features are allowed: drop or impute such rows."
            )
    if overflow:
        raise NonFiniteFeatures(
            f"Input {name} holds values so large that their squares overflow. Rescale "
            f"the features."
        )
