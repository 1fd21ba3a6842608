"""Nearest neighbours without a matrix of all distances.

||x||^2 - 2 x.y + ||y||^2 is one product of matrices, in float32 for speed, and has lost
digits where neighbours are near, so it only proposes candidates, a few more than are
wanted. Their distances are taken again from the differences; where rounding may have
hidden a neighbour, the row is searched again, in float64 and then more widely.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from sklearn_collapse._linalg._points import take_rows
from sklearn_collapse.utils._arrays import (
    Rows,
    block_factor,
    block_rows,
    is_memmap,
    is_numpy,
    namespace,
    slices,
    to_numpy,
)
from sklearn_collapse.utils._search import TREE_COLUMNS, tree_search
from sklearn_collapse.utils._selection import smallest, take_in_rows

# Candidates beyond those that are wanted, and how many times more the next search has.
_SPARE = 4
_MORE = 8

# Rows that are searched first where there are many: if float32 fails most of them, as
# within collapsed classes, the others are spared the attempt.
_PROBE = 256

# Relative error of a squared distance that nobody sees.
_NEGLIGIBLE = 1e-10

# Candidates that are held at a time.
_CANDIDATES = 2**23

# Numbers of the points of which what a search needs is kept for the next one.
_KEPT = 2**26

# Columns of a product, and numbers in the differences that are held at a time.
_COLUMNS = 8192
_DIFFERENCES = 2**17


class Neighbors(NamedTuple):
    """Nearest points, in the order of their distance and then of their position."""

    distances: np.ndarray  # (n, k); inf where there is no further point
    points: np.ndarray  # (n, k)
    equal: np.ndarray  # (n,): the point that a row is or is equal to, or -1


def nearest(points, k, X=None, *, device="auto"):
    """K nearest points of each point, or of other rows, itself left out.

    Parameters
    ----------
    points : Points
    k : int
        At most ``len(points) - 1``, or ``len(points)`` where no row equals a point.
    X : array of shape (n, d), default=None
        Other rows, of the library and device of the points; by default the points.
    device : str
        For NumPy rows.

    Returns
    -------
    Neighbors
    """
    n = len(points) if X is None else X.shape[0]
    search = Search(points, X, device)
    found = search.run(np.arange(n), k)
    return Neighbors(found.distances / points.unit, *found[1:])


class Search:
    """Search for the nearest points of rows, in the unit of the points.

    Parameters
    ----------
    points : Points
    X : array of shape (n, d) or None
        Rows; None stands for the points themselves.
    device : str
    """

    def __init__(self, points, X, device):
        self.points = points
        self.own = X is None
        self.queries = points.rows if X is None else X
        work = float(self.queries.shape[0]) * len(points) * points.n_features
        self.rows = Rows(self.queries, device, work)
        # A few rows at a time would spend their time on what does not change. Nothing
        # is kept of a memory map, on another device or of very many points.
        size = len(points) * points.n_features
        keeps = size <= _KEPT and not is_memmap(points.rows) and not self.rows.streamed
        self._references: dict = points.prepared if keeps else {}

    def run(self, which, k, labels=None):
        """Find the k nearest points of some of the rows.

        Parameters
        ----------
        which : ndarray of int of shape (n,)
        k : int
        labels : ndarray of int of shape (m,), default=None
            Of the points, which are then the rows as well: only points with another
            label count.

        Returns
        -------
        Neighbors
        """
        m = len(self.points)
        result = Neighbors(
            np.empty((len(which), k)),
            np.empty((len(which), k), dtype=np.int64),
            np.full(len(which), -1),
        )
        # One of them may be the row itself.
        n_candidates, wide = min(k + 1 + _SPARE, m), False
        todo = np.arange(len(which))

        def search(some):
            """Store what is found for some rows; return those that are not sure."""
            found, sure = self._round(which[some], k, n_candidates, labels, wide)
            for whole, part in zip(result, found, strict=True):
                whole[some] = part
            return some[~sure]

        if self._dtype == np.float32 and n_candidates < m and len(todo) > 8 * _PROBE:
            unsure = search(todo[:_PROBE])
            wide = 2 * len(unsure) > _PROBE
            todo = np.concatenate([unsure, todo[_PROBE:]])
        while len(todo):
            step = max(256, _CANDIDATES // n_candidates)
            parts = [search(todo[here]) for here in slices(len(todo), step)]
            todo = np.concatenate(parts) if n_candidates < m else todo[:0]
            if wide or self._dtype == np.float64:
                n_candidates = min(_MORE * n_candidates, m)
            wide = True
        return result

    def _round(self, which, k, n_candidates, labels, wide):
        """Search once, and say for which rows that settles it."""
        index, squares, error = self._propose(which, n_candidates, labels, wide)
        last = squares[:, -1].copy()
        squares, equal = self._measure(which, index, squares, error)
        order = np.lexsort((index, squares))[:, :k]
        squares = np.take_along_axis(squares, order, axis=1)
        # Everything else is as far as the last candidate, but for rounding.
        worst = squares[:, -1] if k else np.zeros(len(which))
        sure = worst * (1 - _NEGLIGIBLE) + error <= last
        index = np.take_along_axis(index, order, axis=1)
        return Neighbors(np.sqrt(squares), index, equal), sure

    def _propose(self, which, n_candidates, labels, wide):
        """Candidates, their rough squared distances and the error of these."""
        dtype = np.float64 if wide else self._dtype
        tree = self._by_tree and labels is None
        points, largest = self._reference(dtype, tree)
        if tree:
            found = self._from_tree(points, which, n_candidates, dtype)
        else:
            found = self._by_blocks(points, which, n_candidates, labels, dtype)
        index, squares, norms = found
        # Rounding errors of a sum of d products grow like the root of d.
        eps = float(np.finfo(dtype).eps)
        error = (8 + 2 * math.sqrt(self.points.n_features)) * eps
        return index, squares, error * (norms + largest) ** 2

    @property
    def _dtype(self):
        """Precision of the first search."""
        # Products of float32 take half the time, and candidates are measured anew.
        return np.float64 if self._by_tree else np.float32

    @property
    def _by_tree(self):
        """Whether NumPy rows have so few columns that a tree beats products."""
        here = is_numpy(self.rows.xp) and not self.rows.streamed
        return here and self.points.n_features <= TREE_COLUMNS

    def _reference(self, dtype, tree):
        """What is searched, where the work is done, and the points' largest norm.

        For a tree the points and how to search them; else rows (-y, ||y||^2 / 2), whose
        products with rows (x, 1) are ||y||^2 / 2 - x.y.
        """
        name = np.dtype(dtype).name
        if (name, tree) not in self._references:
            rows, points = self.rows, self.points
            xp, home = rows.xp, namespace(points.rows)
            # Block by block: a copy in float64 would be one too many.
            parts, squares = [], []
            for here in slices(len(points), block_rows(points.n_features)):
                part = points.framed(points.rows[here, :], home)
                squares.append(home.max(home.vecdot(part, part)))
                part = rows.local(home.astype(part, getattr(home, name)))
                if not tree:
                    norms = xp.vecdot(part, part)[:, None]
                    part = xp.concat([-part, norms / 2], axis=1)
                parts.append(part)
            found, largest = xp.concat(parts), float(home.max(home.stack(squares)))
            if tree:
                found = found, tree_search(found)
            self._references[name, tree] = found, math.sqrt(largest)
        return self._references[name, tree]

    def _from_tree(self, tree, which, n_candidates, dtype):
        whole, find = tree
        if self.own and len(which) == len(self.points):
            block = whole
        else:
            block = self.queries.take(which, axis=0)
            block = self.points.framed(block, self.rows.xp).astype(dtype)
        distances, index = find(block, n_candidates)
        norms = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
        return index, distances.astype(np.float64) ** 2, norms

    def _by_blocks(self, turned, which, n_candidates, labels, dtype):
        xp, points = self.rows.xp, self.points
        dtype = getattr(xp, np.dtype(dtype).name)
        theirs: Any = None
        mine: Any = None
        if labels is not None:
            theirs, mine = (self.rows.local(a) for a in (labels, labels[which]))
        found = []

        def merged(best, part, near):
            part = xp.concat([best[0], part], axis=1)
            near = xp.concat([best[1], near], axis=1)
            part, order = smallest(part, min(n_candidates, part.shape[1]), xp)
            return part, take_in_rows(near, order, xp)

        def propose(block, here):
            block = xp.astype(points.framed(block, xp), dtype)
            rows = xp.concat([block, xp.ones_like(block[:, :1])], axis=1)
            best: Any = None
            for there in slices(len(points), _COLUMNS):
                part = xp.matmul(rows, xp.matrix_transpose(turned[there, :]))
                if labels is not None:
                    same = mine[here][:, None] == theirs[there][None, :]
                    part = xp.where(same, xp.full_like(part, math.inf), part)
                part, near = smallest(part, min(n_candidates, part.shape[1]), xp)
                near = near + there.start
                best = (part, near) if best is None else merged(best, part, near)
            values, index = best
            norms = xp.vecdot(block, block)
            squares = xp.clip(2 * values + norms[:, None], 0.0, None)
            found.append((index, squares, xp.sqrt(norms)))

        width = max(points.n_features, min(len(points), _COLUMNS))
        self.rows.visit(propose, width, xp.float64, order=which)
        index, squares, norms = (
            to_numpy(xp.concat([part[j] for part in found])) for j in range(3)
        )
        return index, squares.astype(np.float64), norms.astype(np.float64)

    def _measure(self, which, index, squares, error):
        """Squared distances, from differences where need be, the row itself left out.

        Returns
        -------
        squares : ndarray of shape (n, k)
            inf for the row itself.
        equal : ndarray of int of shape (n,)
            Point that equals the row, or -1.
        """
        equal = np.full(len(which), -1)
        if self.own:
            equal = which
            squares[index == which[:, None]] = math.inf
        rough = np.flatnonzero(np.min(squares, axis=1) * _NEGLIGIBLE < error)
        if len(rough):
            taken = squares[rough]
            exact = self._differences(which[rough], index[rough])
            taken = np.where(np.isfinite(taken), exact, math.inf)
            if not self.own:
                # Points are distinct: one of them at the most equals the row.
                at, column = np.nonzero(taken == 0)
                equal[rough[at]] = index[rough[at], column]
                taken[at, column] = math.inf
            squares[rough] = taken
        return squares, equal

    def _differences(self, which, index):
        """Squared distances of rows to points, from differences in float64."""
        points, (n, k), d = self.points, index.shape, self.points.n_features
        xp = namespace(self.queries)
        # Where squares stay numbers, the unit can wait for them.
        late = points.unit if 1e-100 < points.unit < 1e100 else 1.0

        def take(X, positions):
            rows = take_rows(X, positions)
            if late == points.unit and xp.isdtype(rows.dtype, "real floating"):
                return rows
            return points.unit / late * xp.astype(rows, xp.float64)

        found, tile = [], _DIFFERENCES * block_factor(self.queries)
        for columns in slices(k, max(1, tile // d)):
            some, parts = index[:, columns], []
            for here in slices(n, max(1, tile // (some.shape[1] * d))):
                shape = some[here].shape
                near = xp.reshape(take(points.rows, some[here].ravel()), (*shape, d))
                row = xp.astype(take(self.queries, which[here]), xp.float64)
                near = near - row[:, None, :]
                parts.append(xp.vecdot(near, near))
            found.append(xp.concat(parts))
        return to_numpy(xp.concat(found, axis=1)) * late**2
