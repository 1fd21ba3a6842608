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
    """Draw rows of each class at random.

    Rows are sorted first. So the split depends on what the rows are and not on how
    they are ordered, and whole weights are split as copies of the row would be.

    Parameters
    ----------
    X : array of shape (n, d)
    codes : ndarray of int of shape (n,)
        Classes of the rows.
    weights : ndarray of shape (n,) or None
        Frequencies. If they are not whole, rows are drawn together with their weight.
    share : float
        Share of the rows to draw, of each class as far as a row of it is left.
    rng : RandomState

    Returns
    -------
    drawn, left : Part
    """
    copies, unit = _copies(weights, len(codes))
    counts = np.bincount(codes, copies).astype(int)
    wanted = _wanted(counts, share, rng)
    order = np.lexsort((content_ranks(X), codes))
    copy = np.repeat(order, copies[order])  # the row that each copy is one of
    copy = copy[np.lexsort((rng.random_sample(len(copy)), codes[copy]))]
    # Position of each copy within its class, in random order.
    place = np.arange(len(copy)) - np.repeat(np.cumsum(counts) - counts, counts)
    taken = copy[place < np.repeat(wanted, counts)]
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


def _wanted(counts, share, rng):
    """Number of rows to draw of each class, the same share of each on average."""
    n = counts.sum()
    # A class keeps a row for training; all of them together keep two.
    room = counts - (1 if len(counts) > 1 else 2)
    expected = np.minimum(share * counts, room)
    if not expected.any():  # a single row of each class
        expected = share * counts
    # Rounding of share * n must not cost a row.
    total = int(expected.sum() * (1 + 4 * np.finfo(float).eps))
    total = max(1, min(total, n - 2))
    order = rng.permutation(len(counts))
    ends = np.cumsum(expected[order])
    ends *= total / ends[-1]
    ends[-1] = total
    # Each class gets its expected number rounded down or up, by chance.
    ends = np.floor(ends + rng.random_sample()).astype(int)
    ends[-1] = total
    wanted = np.empty_like(counts)
    wanted[order] = np.diff(ends, prepend=0)
    return wanted


def _part(copies, unit):
    rows = np.flatnonzero(copies)
    return Part(rows, None if unit is None else (copies * unit)[rows])
