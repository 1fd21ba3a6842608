"""Gram matrices of frames that keep the distances of a hierarchy, and their factors.

All in NumPy, float64.
"""

import math

import numpy as np

from sklearn_collapse.utils._decompositions import eigh

# Offsets that are tried, as in the paper.
_N_OFFSETS = 100


def hierarchical_gram(distances, gamma):
    """S = (1 - s) exp(-gamma D / D_max) + s with the lowest s that keeps it PSD.

    Parameters
    ----------
    distances : ndarray of shape (C, C)
        Symmetric, zero on the diagonal only.
    gamma : float

    Returns
    -------
    ndarray of shape (C, C) or None
        None if no s of linspace(-1 / (C - 1), -1, 100) does.

    Notes
    -----
    S / (1 - s) = K - u 1 1^T with u = |s| / (1 + |s|): its smallest eigenvalue only
    falls as s does, and so does its largest. The s that do are the first ones of the
    grid, and their number is found by bisection.
    """
    kernel = np.exp(-gamma * (distances / distances.max()))
    offsets = np.linspace(-1 / (len(kernel) - 1), -1, _N_OFFSETS)
    some, too_many = 0, _N_OFFSETS + 1
    while too_many - some > 1:
        middle = (some + too_many) // 2
        if is_psd(_shifted(kernel, offsets[middle - 1])):
            some = middle
        else:
            too_many = middle
    return _shifted(kernel, offsets[some - 1]) if some else None


def _shifted(kernel, offset):
    gram = (1 - offset) * kernel + offset
    # Exactly one, which the sum is only to rounding.
    np.fill_diagonal(gram, 1.0)
    return gram


def is_psd(gram):
    """Whether no eigenvalue is negative beyond rounding of the largest."""
    values, _ = eigh(gram)
    return bool(values.min() >= -_rounding(values))


def coinciding_pair(gram):
    """Numbers of two rows that the factor could not tell apart, or None.

    1 - S_ab is the quadratic form of a unit vector, (e_a - e_b) / sqrt(2): where it
    is no larger than rounding of the largest eigenvalue, the factor leaves it out.
    """
    values, _ = eigh(gram)
    closest = gram - 2 * np.eye(len(gram))
    pair = np.unravel_index(np.argmax(closest), gram.shape)
    return pair if 1 - closest[pair] <= _rounding(values) else None


def gram_factor(gram):
    """Rows with a given Gram matrix, in as few dimensions as its rank.

    Parameters
    ----------
    gram : ndarray of shape (C, C)
        Positive semidefinite to rounding, ones on its diagonal.

    Returns
    -------
    ndarray of shape (C, r)
        Unit rows. A row that is no combination of those before it opens one axis
        more, with a positive coordinate, and has zeros behind it: this factor is
        unique, whatever basis of eigenvectors it was made from.
    """
    values, vectors = eigh(gram)
    kept = values > _rounding(values)
    rows = vectors[:, kept] * np.sqrt(values[kept])
    axes = _independent_rows(rows, math.sqrt(_rounding(values)))
    basis, triangle = np.linalg.qr(rows[axes].T)
    signs = np.where(np.diagonal(triangle) < 0, -1.0, 1.0)
    factor = rows @ (basis * signs)
    factor[axes] = (triangle * signs[:, None]).T
    return factor / np.linalg.norm(factor, axis=1, keepdims=True)


def _rounding(values):
    """Size of an eigenvalue that is rounding."""
    n = len(values)
    return max(10.0, math.sqrt(n)) * float(np.finfo(float).eps) * float(values.max())


def _independent_rows(rows, tolerance):
    """Numbers of the first rows that span the space of all."""
    n, rank = rows.shape
    if n == rank:
        return np.arange(n)
    rest = rows.copy()
    axes: list[int] = []
    # One direction after the other: which row opens the next depends on the last. It
    # happens on the verge of the lowest offset only.
    while len(axes) < rank:
        sizes = np.linalg.norm(rest, axis=1)
        sizes[axes] = 0.0
        # By rank there is one: the largest, should none exceed the tolerance.
        row = int(np.argmax(sizes > min(tolerance, 0.5 * sizes.max())))
        axes.append(row)
        direction = rest[row] / sizes[row]
        rest -= np.outer(rest @ direction, direction)
    return np.sort(np.array(axes))
