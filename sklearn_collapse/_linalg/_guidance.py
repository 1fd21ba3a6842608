"""Mean of the largest weighted cosines of rows with those of a bank.

Cosines c, multiplied by numbers a of at most 1, are inner products of the unit rows
[u, 0] and [a v, sqrt(1 - a^2)], so that those of the largest a c are the nearest ones:
the squared distance is 2 - 2 a c.
"""

from typing import NamedTuple

import numpy as np

from sklearn_collapse._linalg._moments import unit_rows
from sklearn_collapse._linalg._weighted_neighbors import Bank, bank_of, nearest_shares
from sklearn_collapse.utils._arrays import (
    as_like,
    block_rows,
    namespace,
    slices,
    to_numpy,
)

# Numbers that are held at a time for a part of the rows.
_HELD = 2**23


class Guide(NamedTuple):
    """Training rows that guide others."""

    bank: Bank  # of rows with one more column
    unit: float  # of the factors by which rows were multiplied
    factors: np.ndarray | None  # (m,): of the points, where rows were not multiplied


def guiding_rows(X, factors, weights, n_neighbors, *, scaled):
    """Prepare `guidance`.

    Parameters
    ----------
    X : array of shape (n, d)
        Finite.
    factors : ndarray of shape (n,)
        By which the cosines with each row are multiplied.
    weights : ndarray of shape (n,) or None
        Positive.
    n_neighbors : int
    scaled : bool
        Whether the nearest rows are those of the largest product, not cosine.

    Returns
    -------
    Guide
    """
    xp = namespace(X)
    unit = float(np.max(np.abs(factors))) or 1.0
    if not scaled:
        unit = 1.0
    parts = []
    for here in slices(X.shape[0], block_rows(X.shape[1])):
        rows = unit_rows(xp.astype(X[here, :], xp.float64), xp)
        if scaled:
            rows = rows * as_like(factors[here] / unit, rows)[:, None]
        rest = xp.sqrt(xp.clip(1 - xp.vecdot(rows, rows), 0.0, None))
        if not scaled:
            rest = xp.round(rest)  # 1 for rows of zeros, exactly 0 for others
        parts.append(xp.concat([rows, rest[:, None]], axis=1))
    bank = bank_of(xp.concat(parts), weights, n_neighbors)
    if scaled:
        return Guide(bank, unit, None)
    sums = factors if weights is None else weights * factors
    means = np.bincount(bank.points.point_of, sums) / bank.weights
    return Guide(bank, unit, means)


def guidance(guide, X, *, device="auto"):
    """Mean over the nearest rows of the bank of factor times cosine.

    Parameters
    ----------
    guide : Guide
    X : array of shape (n, d)
        Finite rows, of the library and device of the bank.
    device : str, default="auto"
        For NumPy rows.

    Returns
    -------
    ndarray of shape (n,)
        0 for rows of zeros.
    """
    xp, bank = namespace(X), guide.bank
    means = np.empty(X.shape[0])
    for here in slices(X.shape[0], max(256, _HELD // (X.shape[1] + 6 * bank.width))):
        rows = unit_rows(xp.astype(X[here, :], xp.float64), xp)
        zero = to_numpy(xp.all(rows == 0, axis=1))
        rows = xp.concat([rows, xp.zeros_like(rows[:, :1])], axis=1)
        distances, points, shares = nearest_shares(bank, rows, device=device)
        terms = 1 - np.where(shares > 0, distances, 0.0) ** 2 / 2
        if guide.factors is not None:
            terms = terms * guide.factors[points]
        means[here] = np.where(zero, 0.0, np.sum(shares * terms, axis=1))
    return means * (guide.unit / bank.wanted)
