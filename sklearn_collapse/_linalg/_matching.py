"""Which vertex of a frame each class belongs to, where the order does not say.

Wanted is the assignment P of vertices to classes under which class means A, once
turned, come closest to their vertices: the largest nuclear norm of A^T P B. That is a
quadratic assignment in disguise, for which nothing but trying all assignments is
certain. Few classes are tried in all orders. For more the best of several starts is
taken, each improved by finding rotation and assignment in turns, and the best of those
by exchanging pairs.

All in NumPy, float64, with coordinates of no more columns than classes.
"""

from itertools import permutations

import numpy as np
from scipy.optimize import linear_sum_assignment, quadratic_assignment
from scipy.spatial.distance import cdist

from sklearn_collapse.utils._arrays import slices
from sklearn_collapse.utils._decompositions import svd, svdvals

_EPS = float(np.finfo(np.float64).eps)

# Classes of which all orders are tried, and of which pairs are exchanged.
_ALL, _EXCHANGED = 6, 32
# The most starts of two kinds, the fewest of others, and what those of many classes may
# cost: C^3 numbers each.
_PAIRS, _GRAPHS, _FEWEST, _EFFORT = 1024, 12, 4, 1e9
# Numbers to go through while classes are pinned one after the other.
_PINNED = 3e7
# Ends of starts of which pairs are exchanged.
_KEPT = 4
# Matrices that are decomposed at once.
_BATCH = 256
# Vertices whose symmetries are looked for, and the relative difference of two products
# that is none: a frame that was searched for is symmetric to so many digits only.
_SYMMETRIC, _EQUAL = 256, _EPS**0.5


def match_vertices(points, frame):
    """Assign vertices to classes so that class means come close to them when turned.

    Parameters
    ----------
    points : ndarray of shape (C, r)
        Coordinates of the centred class means, in float64, in any orthonormal basis;
        not zero.
    frame : ndarray of shape (C, k)
        Centred, not zero.

    Returns
    -------
    ndarray of int of shape (C,)
        Position in the frame of the vertex of each class. No other assignment is
        better up to six classes; beyond it is the best that was found, and at least as
        good as the order. Symmetries of the frame make several of one that are equal:
        it is the first of them in the order of numbers, and so the order if that is
        one of them.
    """
    points, frame = _coordinates(points), _coordinates(frame)
    if len(points) <= _ALL:
        own = _best_of_all(points, frame)
    else:
        own = _best_found(points, frame)
    return _first_copy(own, frame @ frame.T) if len(own) <= _SYMMETRIC else own


def _best_found(points, frame):
    """The best assignment of several starts."""
    # In an order of their own, so that no start depends on how classes are labelled.
    classes, vertices = _canonical_order(points), _canonical_order(frame)
    search = _Search(points[classes], frame[vertices])
    search.start(np.argsort(vertices)[classes])
    for start in _starts(search.points, search.frame):
        if search.perfect:
            break
        search.start(start)
    if len(points) <= _EXCHANGED:
        search.exchange()
    own = np.empty(len(points), dtype=np.intp)
    own[classes] = vertices[search.best()[1]]
    return own


class _Search:
    """The best assignments so far, best first, each with its nuclear norm."""

    def __init__(self, points, frame):
        self.points, self.frame = points, frame
        self._rounding = len(points) * _EPS
        # No assignment has more than the product of the singular values.
        spectra = [svdvals(x) for x in (points, frame)]
        both = min(len(s) for s in spectra)
        self._bound = float(spectra[0][:both] @ spectra[1][:both])
        self._found = []

    @property
    def perfect(self):
        """Whether nothing can be better."""
        return self.best()[0] >= self._bound - self._rounding

    def best(self):
        """Nuclear norm and assignment; the earlier of equal ones."""
        return self._found[0]

    def start(self, order):
        """Improve an assignment and keep it if it is among the best."""
        self._keep(*self._improved(order))

    def exchange(self):
        """Exchange pairs of the best ends of starts until that gains nothing."""
        for value, order in self._found.copy():
            while not self.perfect:
                swapped = self._best_swap(order)
                higher, other = self._improved(swapped)
                if higher <= value + self._rounding:
                    break
                value, order = higher, other
            self._keep(value, order)

    def _keep(self, value, order):
        found = self._found
        if any(abs(value - other) <= self._rounding for other, _ in found):
            return
        found.append((value, order))
        found.sort(key=lambda pair: -pair[0])
        del found[_KEPT:]

    def _improved(self, order):
        """Find rotation and assignment in turns until neither gains anything."""
        value, rotation = self._turn(order)
        while True:
            likeness = self.points @ rotation @ self.frame.T
            other = linear_sum_assignment(likeness, maximize=True)[1]
            higher, rotation = self._turn(other)
            if higher <= value + self._rounding:
                return value, order
            value, order = higher, other

    def _turn(self, order):
        """Nuclear norm of an assignment, and the rotation that attains it."""
        left, values, right = svd(self.points.T @ self.frame[order])
        # Directions that are not shared would be turned at the whim of the solver.
        kept = values > self._rounding
        return float(values.sum()), left[:, kept] @ right[kept]

    def _best_swap(self, order):
        """The assignment with those two classes exchanged that gain the most."""
        first, second = np.triu_indices(len(order), 1)
        rows = self.frame[order]
        # An exchange changes A^T P B by a matrix of rank one.
        a, b = (x[first] - x[second] for x in (self.points, rows))
        values = _nuclear_norms(
            lambda here: self.points.T @ rows - a[here, :, None] * b[here, None, :],
            len(first),
        )
        best = int(np.argmax(values))
        swapped = order.copy()
        pair = [first[best], second[best]]
        swapped[pair] = order[pair[::-1]]
        return swapped


def _starts(points, frame):
    """Yield assignments to improve: by shape, drawn, by graph matching, from pairs."""
    n = len(points)
    gram, other = points @ points.T, frame @ frame.T
    # Sorted rows do not depend on the order of the others: equal for equal shapes.
    cost = cdist(np.sort(gram, axis=1), np.sort(other, axis=1), "sqeuclidean")
    yield linear_sum_assignment(cost)[1]
    most = int(_EFFORT / n**3)
    rng = np.random.default_rng(0)
    for _ in range(_FEWEST):
        yield rng.permutation(n)
    for _ in range(min(_GRAPHS, most // 8)):  # each takes as long as several others
        yield _graph_matching(gram, other, rng.permutation(n))
    for pair in range(min(_PAIRS, n * n, max(_FEWEST, most))):
        yield _pinned(gram, other, cost, *divmod(pair, n))


def _pinned(gram, other, cost, i, j):
    """Assignment that gives class i the vertex j and goes on with the clearest pairs.

    Those in a symmetric frame are told apart by their angles with what is pinned.
    """
    n = len(gram)
    cost, order = cost / n, np.full(n, -1)
    for _ in range(min(n, int(_PINNED / n**2))):
        order[i] = j
        gap = gram[:, i, None] - other[None, :, j]
        gap *= gap
        cost += gap
        cost[i] = cost[:, j] = np.inf
        i, j = divmod(int(np.argmin(cost)), n)
    rows = np.flatnonzero(order < 0)
    columns = np.setdiff1d(np.arange(n), order)
    rest = linear_sum_assignment(cost[np.ix_(rows, columns)])[1]
    order[rows] = columns[rest]
    return order


def _graph_matching(gram, other, order):
    """Assignment by matching the Gram matrices as graphs, from near an assignment.

    Gram matrices make the relaxed problem convex: each start would end at once.
    Shifting the diagonal changes all assignments alike and opens the way between them.
    """
    n = len(gram)
    shifted = gram - np.linalg.norm(gram, 2) / 2 * np.eye(n)
    begin = (np.eye(n)[order] + 1 / n) / 2
    # The generator is not used; without, SciPy minds the seed of the global one.
    options = {"maximize": True, "P0": begin, "rng": np.random.default_rng(0)}
    found = quadratic_assignment(shifted, other, method="faq", options=options)
    return found.col_ind


def _best_of_all(points, frame):
    """The assignment of the largest nuclear norm; the first of equal ones."""
    orders = np.array(list(permutations(range(len(points)))))
    values = _nuclear_norms(lambda here: points.T @ frame[orders[here]], len(orders))
    rounding = len(points) * _EPS
    return orders[np.argmax(values >= values.max() - rounding)]


def _first_copy(own, gram):
    """The first, in the order of numbers, of the copies of an assignment.

    A symmetry of the frame permutes its vertices and keeps all their products: after
    it every assignment is as good as before. Which copy a search ends at is a matter
    of rounding. Vertices are chosen class by class, the first that leaves some vertex
    to every other class; should that lead nowhere, the assignment stays.
    """
    n, slack = len(own), _EQUAL * float(np.abs(gram).max())
    gram = gram[np.ix_(own, own)]  # by class
    shapes = np.sort(gram, axis=1)
    # Entry b, m: whether class b may get the vertex that class m has.
    may = (cdist(shapes, shapes, "chebyshev") <= slack) & (
        np.abs(np.diagonal(gram)[:, None] - np.diagonal(gram)) <= slack
    )
    chosen = np.empty(n, dtype=np.intp)
    for c in range(n):
        candidates = np.flatnonzero(may[c])
        for m in candidates[np.argsort(own[candidates])]:
            left = may & (np.abs(gram[:, c, None] - gram[None, :, m]) <= slack)
            left[:, m] = False
            left[c] = False
            left[c, m] = True
            if left.any(axis=1).all():
                chosen[c], may = m, left
                break
        else:
            return own
    return own[chosen]


def _nuclear_norms(matrices, n):
    """Nuclear norms of n matrices, of which a function of a slice gives some."""
    return np.concatenate(
        [svdvals(matrices(here)).sum(axis=1) for here in slices(n, _BATCH)]
    )


def _coordinates(rows):
    """Coordinates in the directions that count, scaled to norm 1."""
    left, values, _ = svd(rows)
    kept = values > max(rows.shape) * _EPS * values[0]
    values = values[kept] / np.linalg.norm(values)
    return left[:, kept] * values


def _canonical_order(points):
    """Order of points by their shape alone; symmetric ones follow as they come."""
    return np.argsort(((points @ points.T) ** 3).sum(axis=1), kind="stable")
