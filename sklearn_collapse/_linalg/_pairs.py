"""Sums over all pairs of rows, block by block."""

import math

from sklearn_collapse.utils._arrays import device_of, float_dtype, slices

# Columns of a product.
_COLUMNS = 4096


def log_mean_kernel(rows, t):
    """Logarithm of the mean of exp(-t ||x_i - x_j||^2) over pairs of unit rows.

    Parameters
    ----------
    rows : Rows
        Of length 1, at least two.
    t : float

    Returns
    -------
    float
    """
    X, xp = rows.X, rows.xp
    n, d = X.shape
    dtype = float_dtype(X, xp)
    whole = rows.local(X, dtype)
    largest, total = -math.inf, 0.0

    def add(block, here):
        nonlocal largest, total
        peak, parts = largest, []
        # Pairs (i, j) with j > i: columns from the block's own on.
        for there in slices(n - here.start, _COLUMNS):
            there = slice(there.start + here.start, there.stop + here.start)
            cosines = xp.matmul(block, xp.matrix_transpose(whole[there, :]))
            exponents = 2 * t * (cosines - 1)
            if there.start < here.stop:
                like = {"device": device_of(block)}
                i = xp.arange(here.start, here.stop, **like)[:, None]
                j = xp.arange(there.start, there.stop, **like)[None, :]
                exponents = xp.where(
                    j > i, exponents, xp.full_like(exponents, -math.inf)
                )
            top = float(xp.max(exponents))
            if top > -math.inf:
                terms = xp.exp(exponents - top)
                parts.append((top, float(xp.sum(terms, dtype=xp.float64))))
                peak = max(peak, top)
        # Only here, so that a block that is begun again is counted once.
        if peak > -math.inf:
            total = sum(
                (value * math.exp(top - peak) for top, value in parts),
                total * math.exp(largest - peak) if total else 0.0,
            )
            largest = peak

    rows.visit(add, max(d, min(n, _COLUMNS)), dtype)
    return largest + math.log(total) - math.log(n * (n - 1) / 2)
