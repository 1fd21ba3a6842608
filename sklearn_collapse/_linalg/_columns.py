"""Means and standard deviations of columns, without anything of size d x d."""

import numpy as np

from sklearn_collapse.utils._arrays import device_of


@np.errstate(over="ignore", invalid="ignore")
def column_deviations(rows, weights, ddof=0):
    """Standard deviations of the columns, in float64.

    Parameters
    ----------
    rows : Rows
    weights : ndarray of shape (n,) or None
        Positive weights.
    ddof : float, default=0
        The normaliser is the sum of the weights minus this.

    Returns
    -------
    array of shape (d,)
        Not finite where the rows are not, or where their squares overflow.
    """
    xp = rows.xp
    n, d = rows.X.shape
    total = float(n if weights is None else weights.sum())
    # Counted from the first row: a constant column then has a deviation of exactly 0.
    origin = rows.local(rows.fetch(slice(0, 1), xp.float64))[0, :]
    zeros = xp.zeros((d,), dtype=xp.float64, device=device_of(rows.local(np.zeros(0))))
    mean = _weighted_sum(rows, weights, zeros, lambda block: block - origin) / total

    def squares(block):
        return ((block - origin) - mean) ** 2

    return xp.sqrt(_weighted_sum(rows, weights, zeros, squares) / (total - ddof))


def _weighted_sum(rows, weights, zeros, function):
    """Weighted sum over the rows of a function of each."""
    xp, total = rows.xp, zeros

    def absorb(block, here):
        nonlocal total
        values = function(block)
        if weights is None:
            total = total + xp.sum(values, axis=0)
        else:
            total = total + xp.matmul(rows.local(weights[here]), values)

    rows.visit(absorb, 2 * rows.X.shape[1], xp.float64)
    return total
