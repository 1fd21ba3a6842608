"""Vasicek's entropy of the columns of a matrix, from the spacings of sorted values."""

import math

from sklearn_collapse.utils._arrays import device_of


def vasicek_window(n):
    """Window m = floor(sqrt(n) + 1/2), less than n / 2 where that allows 1."""
    return max(1, min(math.floor(math.sqrt(n) + 0.5), math.ceil(n / 2) - 1))


def vasicek_entropy(columns, weights, least, xp):
    """Entropy of each column, (1/n) sum_i ln(n / (2 m) (x_(i+m) - x_(i-m))).

    Order statistics beyond the ends are those at the ends.

    Parameters
    ----------
    columns : array of shape (n, k)
        In float64.
    weights : array of shape (n,) or None
        Positive weights; a weight of w equals w copies of the row, also where w is not
        whole.
    least : float
        Spacings up to this one are rounding and count as 0.

    Returns
    -------
    array of shape (k,)
        -inf where a spacing is 0.
    """
    if weights is None:
        return _unweighted(columns, least, xp)
    one_by_one = [
        _weighted(columns[:, j], weights, least, xp) for j in range(columns.shape[1])
    ]
    return xp.stack(one_by_one)


def _unweighted(columns, least, xp):
    n = columns.shape[0]
    m = vasicek_window(n)
    ordered = xp.sort(columns, axis=0)
    width = min(m, n)
    low = xp.broadcast_to(ordered[:1, :], (width, ordered.shape[1]))
    high = xp.broadcast_to(ordered[n - 1 :, :], (width, ordered.shape[1]))
    above = xp.concat([ordered[width:, :], high])
    below = xp.concat([low, ordered[: n - width, :]])
    return xp.mean(_log_spacing(above - below, n / (2 * m), least, xp), axis=0)


def _weighted(column, weights, least, xp):
    """The same as an integral over t in (0, n) of the quantiles Q(t + m), Q(t - m).

    Q is a step function: between its steps, shifted by m to either side, the integrand
    is constant. With whole weights this is the sum over repeated rows.
    """
    order = xp.argsort(column)
    ordered, reached = xp.take(column, order), xp.take(weights, order)
    reached = xp.cumulative_sum(reached)
    n = float(reached[-1])
    m = vasicek_window(n)
    ends = xp.asarray([0.0, n], dtype=xp.float64, device=device_of(column))
    edges = xp.sort(xp.clip(xp.concat([reached - m, reached + m, ends]), 0.0, n))
    widths, middles = edges[1:] - edges[:-1], (edges[1:] + edges[:-1]) / 2
    last = column.shape[0] - 1
    above = xp.clip(xp.searchsorted(reached, middles + m), 0, last)
    below = xp.clip(xp.searchsorted(reached, middles - m), 0, last)
    spacing = xp.take(ordered, above) - xp.take(ordered, below)
    logs = _log_spacing(spacing, n / (2 * m), least, xp)
    # An interval without width has no part in the mean, whatever its spacing.
    counts = widths > 4 * float(xp.finfo(xp.float64).eps) * n
    zero = xp.zeros_like(logs)
    return xp.sum(xp.where(counts, widths * xp.where(counts, logs, zero), zero)) / n


def _log_spacing(spacing, factor, least, xp):
    """Logarithm of scaled spacings; -inf for those that are rounding."""
    counts = spacing > least
    logs = xp.log(factor * xp.where(counts, spacing, xp.ones_like(spacing)))
    return xp.where(counts, logs, xp.full_like(logs, -math.inf))
