"""Labels of the nearest rows of a gallery, where several may be equally near."""

import math

import numpy as np
from scipy.sparse import csr_matrix

from sklearn_collapse._linalg._moments import unit_rows
from sklearn_collapse._linalg._neighbors import nearest
from sklearn_collapse._linalg._points import Points, take_rows
from sklearn_collapse.utils._arrays import block_rows, namespace, slices

# Neighbours whose distance may equal that of the nearest, and times more if all do.
_TIES = 8

# Relative difference of distances that the search does not tell from none.
_EQUAL = 1e-9

# Neighbours that are held at a time where many are equally near.
_HELD = 2**22


def directions(X):
    """Rows of length 1, in float64, with one more column for rows of zeros.

    A row of zeros gets a direction of its own: it is orthogonal to all rows but others
    of zeros.
    """
    xp = namespace(X)
    parts = []
    for here in slices(X.shape[0], block_rows(X.shape[1])):
        block = xp.astype(X[here, :], xp.float64)
        zero = xp.all(block == 0, axis=1)[:, None]
        unit = unit_rows(block, xp)
        parts.append(xp.concat([unit, xp.astype(zero, xp.float64)], axis=1))
    return xp.concat(parts)


def zero_row_shares(zero, gallery_labels, labels, own):
    """`Gallery.label_shares` of rows of zeros, to which all others are equally near.

    Parameters
    ----------
    zero : ndarray of bool of shape (m,)
        Which rows of the gallery are zero.
    gallery_labels : ndarray of int of shape (m,)
    labels : ndarray of int of shape (n,)
        Of queries that are rows of zeros.
    own : ndarray of int of shape (n,) or None
        As for `Gallery.label_shares`, without -1.

    Returns
    -------
    ndarray of shape (n,)
    """
    own_zero = np.full(len(labels), zero.any()) if own is None else zero[own]
    own_rest = np.zeros(len(labels)) if own is None else ~zero[own]
    size = max(gallery_labels.max(), labels.max()) + 1
    tally_zero = np.bincount(gallery_labels[zero], minlength=size)[labels]
    tally_rest = np.bincount(gallery_labels[~zero], minlength=size)[labels]
    others = zero.sum() > own_zero
    hits = np.where(others, tally_zero - own_zero, tally_rest - own_rest)
    rows = np.where(others, zero.sum() - own_zero, (~zero).sum() - own_rest)
    return np.clip(hits, 0, None) / rows


def direction_rounding(d):
    """Distance that rounding leaves between rows of length 1 and one direction."""
    # Errors of a sum of d products grow like the root of d.
    return (8 + 2 * math.sqrt(d)) * float(np.finfo(np.float64).eps)


class Gallery:
    """Labelled rows among which queries look for the nearest.

    Parameters
    ----------
    rows : array of shape (m, d)
        Finite.
    labels : ndarray of int of shape (m,)
        From 0 to ``n_labels - 1``.
    n_labels : int
    rounding : float, default=0.0
        Distance that rounding of the rows leaves between equal ones.
    device : str, default="auto"
        For NumPy rows.
    """

    def __init__(self, rows, labels, n_labels, *, rounding=0.0, device="auto"):
        self.points = Points(rows)
        shape = len(self.points), n_labels
        ones = np.ones(len(labels))
        self._tally = csr_matrix((ones, (self.points.point_of, labels)), shape=shape)
        self._rounding, self._device = rounding, device

    def label_shares(self, X, labels, own):
        """Share of its own label among the rows that are nearest to each query.

        Parameters
        ----------
        X : array of shape (n, d)
            Queries, of the library and device of the gallery.
        labels : ndarray of int of shape (n,)
            Of the queries.
        own : ndarray of int of shape (n,) or None
            Row of the gallery that is of the same sample, and is no match; -1 for
            none. None: a query that equals a row is taken for it. Unless all are -1,
            the gallery must hold another row.

        Returns
        -------
        ndarray of shape (n,)
        """
        if own is not None:
            own = np.where(own < 0, -1, self.points.point_of[own])
        return self._shares(X, labels, own, _TIES)

    def _shares(self, X, labels, own, k):
        m = len(self.points)
        distances, index = self._nearest(X, min(k, m))
        if own is None:
            first = np.argmin(distances, axis=1)[:, None]
            equal = np.take_along_axis(distances, first, axis=1) <= self._rounding
            own = np.where(equal, np.take_along_axis(index, first, axis=1), -1)[:, 0]
        mine = index == own[:, None]
        rows = self.points.counts[index] - mine
        hits = self._tally[index.ravel(), np.repeat(labels, index.shape[1])]
        hits = np.clip(np.asarray(hits).reshape(index.shape) - mine, 0, None)
        least = np.min(np.where(rows > 0, distances, math.inf), axis=1, keepdims=True)
        # Infinite is the distance of what stands there for nothing.
        near = np.isfinite(distances) & (
            distances <= least * (1 + _EQUAL) + self._rounding
        )
        shares = (hits * near).sum(axis=1) / (rows * near).sum(axis=1)
        if k < m:
            # Where the last is as near as the first, so may others be.
            unsure, k = np.flatnonzero(near[:, -1]), _TIES * k
            for here in slices(len(unsure), max(1, _HELD // k)):
                some = unsure[here]
                rest = take_rows(X, some), labels[some], own[some]
                shares[some] = self._shares(*rest, k)
        return shares

    def _nearest(self, X, k):
        """Distances and positions of the nearest points, one that is equal first."""
        found = nearest(self.points, k, X, device=self._device)
        here = found.equal >= 0
        zero = np.where(here, 0.0, math.inf)[:, None]
        equal = np.where(here, found.equal, 0)[:, None]
        distances = np.concatenate([zero, found.distances], axis=1)
        return distances, np.concatenate([equal, found.points], axis=1)
