"""A random split of rows that treats frequencies as copies."""

from typing import NamedTuple

import numpy as np

from sklearn_collapse.utils._arrays import to_numpy

# Copies of rows that are drawn one by one; what weighs more is drawn row by row.
_MOST_COPIES = 10**7


class Part(NamedTuple):
    """Rows of one side of a split."""

    rows: np.ndarray  # (m,), positions in ascending order
    weights: np.ndarray | None  # (m,)


def split_rows(X, codes, weights, share, rng):
    """Draw rows at random, each as likely as any other.

    Rows are sorted first. So the split depends on what the rows are and not on how
    they are ordered, and whole weights are split as copies of the row would be.

    Classes are not looked at: rows drawn class by class are no longer exchangeable
    with a new one, whose class is left to chance.

    Parameters
    ----------
    X : array of shape (n, d)
    codes : ndarray of int of shape (n,)
        Classes of the rows, by which equal rows are sorted.
    weights : ndarray of shape (n,) or None
        Frequencies. If they are not whole, rows are drawn together with their weight.
    share : float
        Share of the rows to draw; one at least is drawn, and two are left.
    rng : RandomState

    Returns
    -------
    drawn, left : Part
    """
    copies, unit = _copies(weights, len(codes))
    order = np.lexsort((codes, content_ranks(X)))
    copy = np.repeat(order, copies[order])  # the row that each copy is one of
    # Rounding of share * n must not cost a row.
    wanted = int(share * len(copy) * (1 + 4 * np.finfo(float).eps))
    wanted = max(1, min(wanted, len(copy) - 2))
    taken = copy[rng.permutation(len(copy))[:wanted]]
    drawn = np.bincount(taken, minlength=len(codes))
    return _part(drawn, unit), _part(copies - drawn, unit)


def content_ranks(X):
    """Positions of rows in lexicographic order; equal rows share one.

    Parameters
    ----------
    X : array of shape (n, d)

    Returns
    -------
    ndarray of int of shape (n,)
    """
    ranks = np.zeros(X.shape[0], dtype=int)
    tied = np.arange(X.shape[0])
    # Few columns tell rows apart; only those that are equal so far need the next.
    for j in range(X.shape[1]):
        column = to_numpy(X[:, j])[tied]
        order = np.lexsort((column, ranks[tied]))
        tied, column = tied[order], column[order]
        group = ranks[tied]
        first = np.r_[True, group[1:] != group[:-1]]
        place = np.arange(len(tied))
        place -= np.maximum.accumulate(np.where(first, place, 0))
        new = first | np.r_[True, column[1:] != column[:-1]]
        start = np.maximum.accumulate(np.where(new, np.arange(len(tied)), 0))
        ranks[tied] = group + place[start]
        alone = new & np.r_[new[1:], True]
        tied = tied[~alone]
        if not len(tied):
            break
    return ranks


def _copies(weights, n):
    """Number of copies that each row stands for, and the weight of one."""
    if weights is None:
        return np.ones(n, dtype=int), None
    if np.all(weights == np.rint(weights)) and weights.sum() <= _MOST_COPIES:
        return weights.astype(int), np.ones(n)
    return np.ones(n, dtype=int), weights


def _part(copies, unit):
    rows = np.flatnonzero(copies)
    return Part(rows, None if unit is None else (copies * unit)[rows])
