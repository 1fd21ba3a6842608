"""Distinct rows: equal rows are one point."""

import math

import numpy as np

from sklearn_collapse.utils._arrays import (
    as_like,
    block_rows,
    namespace,
    slices,
    to_numpy,
)
from sklearn_collapse.utils._finite import check_finite

_EPS = float(np.finfo(np.float64).eps)


class Points:
    """The distinct rows of an array, and the frame in which they are measured.

    Differences of rows are exact, or nearly so, in float64; the frame serves products,
    which lose the digits of whatever the rows have in common, and keeps squares within
    the range of numbers.

    Parameters
    ----------
    X : array of shape (n, d)
        Finite.

    Attributes
    ----------
    rows : array of shape (m, d)
        Distinct rows, in the order of their first appearance.
    counts : ndarray of int of shape (m,)
        How often each appears.
    point_of : ndarray of int of shape (n,)
        Position of each row of X among the points.
    unit : float
        Power of two by which rows are multiplied.
    centre : array of shape (d,)
        Mean of the multiplied rows.
    prepared : dict
        What searches have made of the points, for the next one; not copied.
    """

    def __init__(self, X):
        check_finite(X)
        self.unit, centre = _frame(X)
        self.centre = as_like(centre, X)
        first, self.point_of = distinct_rows(X, self)
        self.counts = np.bincount(self.point_of)
        everything = len(first) == X.shape[0]
        self.rows = X if everything else take_rows(X, first)
        self.prepared: dict = {}

    def __getstate__(self):
        return {**self.__dict__, "prepared": {}}

    def __len__(self):
        return self.rows.shape[0]

    @property
    def n_features(self):
        """Number of columns."""
        return self.rows.shape[1]

    def framed(self, block, xp):
        """Rows in float64, multiplied by the unit and centred."""
        block = self.unit * xp.astype(block, xp.float64)
        return block - as_like(self.centre, block)


def take_rows(X, index):
    """Rows at the positions of a NumPy array, where X lives."""
    return namespace(X).take(X, as_like(index, X), axis=0)


def distinct_rows(X, frame):
    """First row of every set of equal rows, and the set to which each row belongs.

    Rows whose projections on a random direction differ by more than rounding are
    different; only the others are compared entry by entry.

    Returns
    -------
    first : ndarray of int of shape (m,)
    point_of : ndarray of int of shape (n,)
    """
    xp = namespace(X)
    n, d = X.shape
    direction = np.random.default_rng(0).normal(size=d)
    keys, squares = [], []
    for here in slices(n, block_rows(d)):
        block = frame.framed(X[here, :], xp)
        keys.append(xp.matmul(block, as_like(direction, block)))
        squares.append(xp.max(xp.vecdot(block, block)))
    keys, largest = to_numpy(xp.concat(keys)), float(xp.max(xp.stack(squares)))
    rounding = 8 * d * _EPS * math.sqrt(largest) * np.linalg.norm(direction)
    order = np.argsort(keys, kind="stable")
    close = np.diff(keys[order]) <= rounding
    suspect = np.zeros(n, dtype=bool)
    suspect[order[1:][close]] = suspect[order[:-1][close]] = True
    suspects = np.flatnonzero(suspect)
    same_as = np.arange(n)
    if len(suspects):
        rows = to_numpy(take_rows(X, suspects)) + 0  # no negative zero
        bits = np.ascontiguousarray(rows).view(f"V{rows.dtype.itemsize * d}").ravel()
        _, start, group = np.unique(bits, return_index=True, return_inverse=True)
        same_as[suspects] = suspects[start[group]]
    first = np.flatnonzero(same_as == np.arange(n))
    return first, np.searchsorted(first, same_as)


def _frame(X):
    """Power of two that brings the entries to about 1, and the mean of them then."""
    xp = namespace(X)
    n, d = X.shape
    # In float64: of integers, the absolute value may not exist.
    blocks = [slice(s.start, s.stop) for s in slices(n, block_rows(d))]
    wide = [xp.max(xp.abs(xp.astype(X[b, :], xp.float64))) for b in blocks]
    largest = float(xp.max(xp.stack(wide)))
    # Twice that is the largest difference; the smallest numbers have no inverse.
    unit = math.ldexp(1.0, -max(math.frexp(largest)[1] + 1, -1000))
    sums = [xp.sum(unit * xp.astype(X[b, :], xp.float64), axis=0) for b in blocks]
    return unit, to_numpy(xp.sum(xp.stack(sums), axis=0)) / n
