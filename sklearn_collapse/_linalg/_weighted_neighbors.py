"""Nearest rows where a row counts with its weight, and a row counts itself."""

import math
from typing import NamedTuple

import numpy as np

from sklearn_collapse._linalg._neighbors import nearest
from sklearn_collapse._linalg._points import Points

# Share of the wanted weight that is taken for rounding.
_SLACK = 1e-10


class Bank(NamedTuple):
    """Weighted rows among which queries look for the nearest; equal rows are one."""

    points: Points
    weights: np.ndarray  # (m,), of the points
    wanted: float  # weight of the neighbours that are looked for
    width: int  # number of points that have that weight, whichever they are

    @property
    def n_neighbors(self):
        """Number of neighbours that are looked for, at least one."""
        return max(1, math.floor(self.wanted * (1 + _SLACK)))


def bank_of(X, weights, wanted):
    """Make a bank of rows.

    Parameters
    ----------
    X : array of shape (n, d)
        Finite; kept as it is if all rows are distinct.
    weights : ndarray of shape (n,) or None
        Positive; a weight of k equals k copies of a row.
    wanted : int
        Number of neighbours that are looked for; of fewer rows, all.

    Returns
    -------
    Bank
    """
    points = Points(X)
    sums = np.bincount(points.point_of, weights).astype(float)
    wanted = min(float(wanted), float(sums.sum()))
    # The lightest points need the most of them to make up that weight.
    reached = np.cumsum(np.sort(sums))
    width = 1 + int(np.searchsorted(reached, wanted * (1 - _SLACK)))
    return Bank(points, sums, wanted, min(width, len(points)))


def nearest_shares(bank, X, *, device="auto"):
    """Nearest points of rows, and how much of the wanted weight each makes up.

    Parameters
    ----------
    bank : Bank
    X : array of shape (n, d)
        Rows, of the library and device of the bank. A row that equals a point has it
        for its nearest neighbour.
    device : str, default="auto"
        For NumPy rows.

    Returns
    -------
    distances : ndarray of shape (n, k)
        Ascending where the share is not zero.
    points : ndarray of int of shape (n, k)
    shares : ndarray of shape (n, k)
        Each row adds up to ``bank.wanted``.
    """
    found = nearest(bank.points, bank.width, X, device=device)
    here = found.equal >= 0
    own = np.where(here, 0.0, np.inf)[:, None]
    distances = np.concatenate([own, found.distances], axis=1)
    points = np.concatenate(
        [np.where(here, found.equal, 0)[:, None], found.points], axis=1
    )
    weights = np.where(np.isfinite(distances), bank.weights[points], 0.0)
    before = np.cumsum(weights, axis=1) - weights
    shares = np.clip(bank.wanted - before, 0.0, weights)
    shares[shares <= _SLACK * bank.wanted] = 0.0
    return distances, points, shares


def last_distances(bank, X, *, device="auto"):
    """Distance of each row to the last of the neighbours that are looked for."""
    distances, _, shares = nearest_shares(bank, X, device=device)
    return np.max(np.where(shares > 0, distances, 0.0), axis=1)
