"""Unit vectors whose largest cosine is as small as can be found, by L-BFGS.

The largest cosine is replaced by the logarithm of a sum of exponentials, which exceeds
it by at most ln(C (C - 1)) / t; the sharpness t grows from level to level, each of
which starts where the one before it stopped.
"""

import math

import numpy as np
from scipy.optimize import minimize

from sklearn_collapse.utils._arrays import slices

# Sharpness of the levels. The first is nearly a mean over all pairs, which has few
# bad minima; the last exceeds the maximum by 1e-5 for a thousand vectors.
SHARPNESS = tuple(5.0 * 4.0**level for level in range(10))

# Pairs count no less than this many powers of e: anything smaller only makes numbers
# that processors are slow with.
_FAINTEST = -200.0

# Steps that L-BFGS remembers.
_MEMORY = 20

# Pairs in a row block: it is read many times over, so it should stay in the cache.
_PAIRS = 2**17
_FEWEST_ROWS = 64


def polygon(n_classes):
    """Vertices of a regular polygon, shape (C, 2)."""
    angle = 2 * math.pi / n_classes * np.arange(n_classes)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def unit_rows_of(rows):
    """Rows divided by their norms, which are not zero."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def row_blocks(n_classes):
    """Yield slices of rows of which all pairs fit into the cache."""
    yield from slices(n_classes, max(_FEWEST_ROWS, _PAIRS // n_classes))


def largest_cosine(units):
    """Largest cosine of two of the unit rows, in row blocks."""
    found = -1.0
    for here in row_blocks(len(units)):
        cosines = units[here] @ units.T
        set_diagonal(cosines, here, -1.0)
        found = max(found, float(cosines.max()))
    return found


def smooth_largest_cosine(rows, sharpness):
    """Smoothed largest cosine of rows, 1 / t ln sum_{i != j} exp(t cos_ij).

    Parameters
    ----------
    rows : ndarray of shape (C, d)
        Of any norms but zero.
    sharpness : float
        t > 0.

    Returns
    -------
    value : float
    gradient : ndarray of shape (C, d)
        By the rows.

    Notes
    -----
    Row blocks: each row has a maximum of its own, and the rows are brought to a common
    one at the end.
    """
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    units = rows / norms
    peaks, sums = np.empty((2, len(units), 1))
    pull = np.empty_like(units)
    for here in row_blocks(len(units)):
        cosines = units[here] @ units.T
        set_diagonal(cosines, here, -np.inf)
        peaks[here] = cosines.max(axis=1, keepdims=True)
        cosines -= peaks[here]
        cosines *= sharpness
        weights = np.exp(np.maximum(cosines, _FAINTEST, out=cosines), out=cosines)
        set_diagonal(weights, here, 0.0)
        sums[here] = weights.sum(axis=1, keepdims=True)
        np.matmul(weights, units, out=pull[here])
    peak = peaks.max()
    share = np.exp(np.maximum(sharpness * (peaks - peak), _FAINTEST))
    total = float((share * sums).sum())
    # Every pair twice, once for each of its ends.
    pull *= 2 * share / total
    pull -= (pull * units).sum(axis=1, keepdims=True) * units
    return float(peak) + math.log(total) / sharpness, pull / norms


def pack(start, max_iter):
    """Move unit vectors apart until their largest cosine is small.

    Parameters
    ----------
    start : ndarray of shape (C, d)
        Rows that are not zero.
    max_iter : int
        Steps at each of the levels of sharpness.

    Returns
    -------
    ndarray of shape (C, d)
        Unit rows: the best of what the levels came to.
    """
    shape = start.shape
    rows = best = unit_rows_of(start)
    lowest = math.inf

    for sharpness in SHARPNESS:

        def value(flat, sharpness=sharpness):
            found, gradient = smooth_largest_cosine(flat.reshape(shape), sharpness)
            return found, gradient.ravel()

        # Cosines are of order one: below their spacing nothing is gained.
        options = {
            "maxiter": max_iter,
            "maxfun": 10 * max_iter,
            "maxcor": _MEMORY,
            "ftol": 4 * np.finfo(float).eps,
            "gtol": 0.0,
        }
        found = minimize(
            value, rows.ravel(), jac=True, method="L-BFGS-B", options=options
        )
        rows = unit_rows_of(found.x.reshape(shape))
        reached = largest_cosine(rows)
        if reached < lowest:
            best, lowest = rows, reached
    return best


def set_diagonal(block, here, value):
    """Set the entries of a row block in which a vector meets itself."""
    block[np.arange(here.stop - here.start), np.arange(here.start, here.stop)] = value
