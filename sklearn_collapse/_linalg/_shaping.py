"""Functions that shape activations before they become logits."""

import numpy as np

from sklearn_collapse.utils._arrays import (
    Array,
    block_rows,
    float_dtype,
    is_numpy,
    slices,
    to_numpy,
)
from sklearn_collapse.utils._selection import bin_sums, kth_largest


def clip_high(block, upper, xp):
    """Replace larger activations by a threshold."""
    return xp.clip(block, None, upper)


def rectify(block, lower, upper, xp):
    """Replace larger activations by a threshold, smaller ones than another by zero."""
    small = block < lower
    return xp.where(small, xp.zeros_like(block), xp.clip(block, None, upper))


def prune(block, k, xp):
    """Keep the k largest activations of each row; the others become zero."""
    return xp.where(_kept(block, k, xp), block, xp.zeros_like(block))


def binarize(block, k, xp):
    """Replace the k largest activations of each row by their share of its sum."""
    share = xp.sum(_double(block, xp), axis=1, keepdims=True) / k
    share = xp.astype(share, block.dtype, copy=False)
    return xp.where(_kept(block, k, xp), share, xp.zeros_like(block))


def sharpen(block, k, xp):
    """Keep the k largest activations of each row, times exp(S1 / S2)."""
    kept = prune(block, k, xp)
    return kept * _growth(block, kept, xp)


def rescale(block, k, xp):
    """Multiply each row by exp(S1 / S2)."""
    return block * _growth(block, prune(block, k, xp), xp)


# Each maps activations (n, d), the number that is kept and the namespace.
BY_RANK = {"ash_p": prune, "ash_b": binarize, "ash_s": sharpen, "scale": rescale}


def first_negative(X):
    """Row, column and value of the first negative entry of X, which has one."""
    for here in slices(X.shape[0], block_rows(X.shape[1])):
        values = to_numpy(X[here, :])
        rows, columns = np.nonzero(values < 0)
        if len(rows):
            row, column = int(rows[0]), int(columns[0])
            return here.start + row, column, float(values[row, column])
    raise AssertionError("no entry is negative")


def reweigh(block, edges, factors, xp):
    """Multiply activations by the factor of their bin; outside of all it is zero.

    Parameters
    ----------
    block : array of shape (n, d)
    edges : array of shape (b + 1,), float64
        Equally far apart.
    factors : array of shape (b,), float64

    Returns
    -------
    array of shape (n, d)
    """
    zero = xp.zeros_like(factors[:1])
    factors = xp.concat([zero, factors, zero])
    chosen = xp.take(factors, _bins(block, edges, xp))
    chosen = xp.reshape(xp.astype(chosen, block.dtype, copy=False), block.shape)
    return block * chosen


def bin_contributions(rows, edges, decide, coef, weights, width):
    """Sum over rows of what the activations of a bin add to the largest logit.

    Parameters
    ----------
    rows : Rows
    edges : array of shape (b + 1,), float64
        Equally far apart. Bins are closed on the left and open on the right.
    decide : callable
        Maps a block to the positions of its classes.
    coef : array of shape (C, d), float64
    weights : ndarray of shape (n,) or None
    width : int
        Number of float64 columns that a block occupies at the most.

    Returns
    -------
    array of shape (b,), where the rows are worked on
    """
    xp, n_bins = rows.xp, edges.shape[0] - 1
    edges, coef = rows.local(edges), rows.local(coef)
    sums = rows.local(np.zeros(n_bins + 2))

    def absorb(block, here):
        nonlocal sums
        parts = xp.take(coef, decide(block), axis=0) * _double(block, xp)
        if weights is not None:
            parts = parts * rows.local(weights[here])[:, None]
        index = _bins(block, edges, xp)
        sums = sums + bin_sums(index, n_bins + 2, xp.reshape(parts, (-1,)), xp)

    rows.visit(absorb, width, float_dtype(rows.X, xp))
    return sums[1:-1]


def _bins(block, edges, xp) -> Array:
    """Bins of all entries of a block, in a row; 0 is below the first edge.

    The edges are equally far apart. What arithmetic says of a bin is then put right by
    the edges themselves: a search among them would cost several times as much.
    """
    flat = xp.reshape(_double(block, xp), (-1,))
    n_bins = edges.shape[0] - 1
    share = (flat - edges[0]) / (edges[-1] - edges[0])
    guess = (
        xp.astype(xp.floor(xp.clip(share * n_bins, -1.0, float(n_bins))), xp.int64) + 1
    )
    far = xp.full_like(edges[:1], float("inf"))
    bounds = xp.concat([-far, edges, far])  # of bin k: from bounds[k] to bounds[k + 1]
    guess = guess + xp.astype(flat >= xp.take(bounds, guess + 1), xp.int64)
    return guess - xp.astype(flat < xp.take(bounds, guess), xp.int64)


def _kept(block, k, xp):
    """Mark the k largest entries of each row, the first ones of those that tie."""
    limit = kth_largest(block, k, xp)
    kept = block >= limit
    if is_numpy(xp) and np.sum(kept, axis=1).max(initial=0) <= k:
        return kept  # to look would make the host wait for a GPU
    above = block > limit
    free = k - xp.sum(xp.astype(above, xp.int64), axis=1, keepdims=True)
    ties = kept & ~above
    first = xp.cumulative_sum(xp.astype(ties, xp.int64), axis=1) <= free
    return above | (ties & first)


def _growth(block, kept, xp):
    """exp(S1 / S2), and 1 for rows of zeros."""
    all_of_it, largest = (
        xp.sum(_double(v, xp), axis=1, keepdims=True) for v in (block, kept)
    )
    empty = largest == 0
    ones = xp.ones_like(largest)
    ratio = xp.where(empty, ones, all_of_it) / xp.where(empty, ones, largest)
    growth = xp.where(empty, ones, xp.exp(ratio))
    return xp.astype(growth, block.dtype, copy=False)


def _double(block, xp):
    """Return float64: sums of many activations, and their bins, need its digits."""
    return xp.astype(block, xp.float64, copy=False)
