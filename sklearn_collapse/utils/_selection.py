"""The smallest entries of rows, and sums of entries by bins, in any array library."""

import math

import numpy as np

from sklearn_collapse.utils._arrays import device_of, is_numpy, is_torch


def smallest(values, k, xp):
    """The k smallest entries of each row in ascending order.

    Parameters
    ----------
    values : array of shape (n, m)
    k : int
        At most m.

    Returns
    -------
    smallest : array of shape (n, k)
    positions : array of int of shape (n, k)
    """
    if is_torch(xp):
        return tuple(xp.topk(values, k, dim=1, largest=False, sorted=True))
    if is_numpy(xp):
        return _smallest_of_numpy(values, k)
    near = xp.argsort(values, axis=1)[:, :k]
    return take_in_rows(values, near, xp), near


def _smallest_of_numpy(values, k):
    """The same for NumPy, without a partial sort of whole rows.

    The k-th smallest of the minima of groups is no less than the k-th smallest entry,
    and not much larger: few entries are left to sort.
    """
    n, m = values.shape
    minima = values
    while minima.shape[1] >= 8 * k:
        half = minima.shape[1] // 2
        rest = minima[:, 2 * half :]
        minima = np.minimum(minima[:, :half], minima[:, half : 2 * half])
        if rest.shape[1]:
            minima[:, :1] = np.minimum(minima[:, :1], rest)
    limit = np.partition(minima, k - 1, axis=1)[:, k - 1 : k] if k < m else math.inf
    found = np.flatnonzero(values <= limit)
    rows, columns = np.divmod(found, m)
    counts = np.bincount(rows, minlength=n)
    place = np.arange(len(found)) - np.repeat(np.cumsum(counts) - counts, counts)
    few = np.full((n, counts.max(initial=k)), math.inf, dtype=values.dtype)
    near = np.zeros(few.shape, dtype=np.int64)
    few[rows, place], near[rows, place] = values[rows, columns], columns
    order = np.argsort(few, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(few, order, 1), np.take_along_axis(near, order, 1)


def arange_like(n, like, xp):
    """Return 0, 1, …, n - 1 as int64 where another array lives."""
    return xp.arange(n, dtype=xp.int64, device=device_of(like))


def kth_largest(values, k, xp):
    """The k-th largest entry of each row, as a column.

    Parameters
    ----------
    values : array of shape (n, m)
    k : int
        From 1 to m.

    Returns
    -------
    array of shape (n, 1)
    """
    from_below = values.shape[1] - k
    if is_numpy(xp):
        part = np.partition(values, from_below, axis=1)
        return part[:, from_below : from_below + 1]
    if is_torch(xp):
        return xp.kthvalue(values, from_below + 1, dim=1, keepdim=True)[0]
    return xp.sort(values, axis=1)[:, from_below : from_below + 1]


def bin_sums(index, n_bins, weights, xp):
    """Sum the weights of entries bin by bin.

    Parameters
    ----------
    index : array of int of shape (m,)
        Bins of the entries, from 0 to n_bins - 1.
    n_bins : int
    weights : array of shape (m,), float64, or None
        None counts the entries.

    Returns
    -------
    array of shape (n_bins,), float64
    """
    if is_torch(xp):  # its bincount makes the host wait for a GPU
        ones = xp.ones_like(index) if weights is None else weights
        sums = xp.zeros(n_bins, dtype=ones.dtype, device=device_of(index))
        return xp.astype(sums.scatter_add_(0, index, ones), xp.float64, copy=False)
    if is_numpy(xp):
        counts = xp.bincount(index, weights=weights, minlength=n_bins)
        return xp.astype(counts, xp.float64, copy=False)
    order = xp.argsort(index)
    edges = arange_like(n_bins + 1, index, xp)
    stops = xp.searchsorted(xp.take(index, order), edges)
    if weights is None:
        return xp.astype(stops[1:] - stops[:-1], xp.float64)
    zero = xp.zeros((1,), dtype=xp.float64, device=device_of(index))
    reached = xp.concat([zero, xp.cumulative_sum(xp.take(weights, order))])
    return xp.take(reached, stops[1:]) - xp.take(reached, stops[:-1])


def take_in_rows(values, positions, xp):
    """Entries of each row at positions of its own."""
    n, m = values.shape
    like = {"dtype": positions.dtype, "device": device_of(positions)}
    flat = positions + xp.reshape(m * xp.arange(n, **like), (n, 1))
    flat = xp.reshape(flat, (-1,))
    return xp.reshape(xp.take(xp.reshape(values, (-1,)), flat), positions.shape)
