"""Rows against the mean row, or pattern, of the class that they are taken for."""

from typing import NamedTuple

import numpy as np

from sklearn_collapse._linalg._moments import unit_rows
from sklearn_collapse.utils._arrays import Array, segment_sums


def pattern_means(rows, codes, n_classes, weights, right):
    """Mean of the rows of each class that are rightly classified.

    Of a class without such rows it is the mean of all of them.

    Parameters
    ----------
    rows : Rows
    codes : ndarray of int of shape (n,)
        Class of each row.
    n_classes : int
    weights : ndarray of shape (n,) or None
        Positive.
    right : ndarray of bool of shape (n,)

    Returns
    -------
    means : array of shape (P, d)
        In float64, where the rows are worked on.
    classes : ndarray of int of shape (P,)
        Those that have rows.
    """
    xp = rows.xp
    known = np.bincount(codes[right], minlength=n_classes) > 0
    chosen = np.flatnonzero(right | ~known[codes])
    order = chosen[np.argsort(codes[chosen], kind="stable")]
    classes, codes = np.unique(codes[order], return_inverse=True)
    weights = None if weights is None else weights[order]
    sums = rows.local(np.zeros((len(classes), rows.X.shape[1])))

    def absorb(block, here):
        nonlocal sums
        some = codes[here]
        met = slice(int(some[0]), int(some[-1]) + 1)
        edges = np.searchsorted(some, np.arange(met.start, met.stop + 1))
        w = None if weights is None else weights[here]
        part = segment_sums(block, edges, w, xp)
        sums[met, :] = sums[met, :] + part

    with np.errstate(over="ignore", invalid="ignore"):
        rows.visit(absorb, rows.X.shape[1], xp.float64, order=order)
    return sums / rows.local(np.bincount(codes, weights).astype(float))[
        :, None
    ], classes


class Attenuation(NamedTuple):
    """What cosines of rows [z, w_c * z] with their class means need."""

    queries: Array  # (P, d)
    squares: Array  # (P, d): 1 + w_c^2


def attenuation(means, coef, xp):
    """Prepare `attenuated_cosine`.

    The mean of the rows [z, w_c * z] of one class is [m_c, w_c * m_c]: of both, inner
    products are those of z and m_c with weights 1 + w_c^2.

    Parameters
    ----------
    means : array of shape (P, d)
    coef : array of shape (P, d) or None
        Weights of the same classes; None for none.

    Returns
    -------
    Attenuation
    """
    squares = xp.ones_like(means) if coef is None else 1 + coef**2
    means = unit_rows(means, xp)
    lengths = xp.sqrt(xp.vecdot(means * squares, means))[:, None]
    lengths = xp.where(lengths > 0, lengths, xp.ones_like(lengths))
    return Attenuation(means * squares / lengths, squares)


def attenuated_cosine(block, patterns, prepared, xp):
    """Cosine of [z, w_c * z] with the mean of its class; 0 for rows of zeros."""
    z = unit_rows(block, xp)
    product = xp.vecdot(z, xp.take(prepared.queries, patterns, axis=0))
    squares = xp.take(prepared.squares, patterns, axis=0)
    lengths = xp.sqrt(xp.vecdot(z * squares, z))
    return product / xp.where(lengths > 0, lengths, xp.ones_like(lengths))


def inner_product(block, means, xp):
    """Inner product of each row with a mean of its own."""
    return xp.vecdot(block, means)


def cosine(block, means, xp):
    """Cosine of each row with a mean of its own; 0 where one of them is zero."""
    return xp.vecdot(unit_rows(block, xp), unit_rows(means, xp))


def negative_distance(block, means, xp):
    """Minus the Euclidean distance of each row to a mean of its own."""
    gap = block - means
    return -xp.sqrt(xp.vecdot(gap, gap))


# Each maps rows and their means, both (n, d), and the namespace to similarities (n,).
SIMILARITIES = {
    "inner_product": inner_product,
    "cosine": cosine,
    "euclidean": negative_distance,
}
