"""Gram matrices and cosines of class means, in row blocks.

C classes have C^2 pairs: nothing holds more than a block of them at a time.
"""

import math
from typing import NamedTuple

from sklearn_collapse.utils._arrays import (
    Array,
    block_rows,
    device_of,
    fill,
    slices,
)

# Classes along a side of a tile of pairs: it stays in the cache.
_TILE = 1024


def gram_blocks(a, b, xp):
    """Yield (first row, block of rows of a @ b.T)."""
    other = xp.matrix_transpose(b)
    for here in slices(a.shape[0], block_rows(b.shape[0])):
        yield here.start, xp.matmul(a[here, :], other)


def unit_means(means, scale, xp):
    """Means divided by their norms; means that are zero to rounding become zero.

    Parameters
    ----------
    means : array of shape (C, d)
        Centred class means.
    scale : float
        Norm below which a mean is rounding.
    """
    norms = xp.sqrt(xp.vecdot(means, means))[:, None]
    zero = norms <= scale
    return xp.where(
        zero, xp.zeros_like(means), means / xp.where(zero, xp.ones_like(norms), norms)
    )


def cosine_spread(units, reference, xp):
    """Mean |cos - reference| and standard deviation of cos over pairs i != j.

    The deviations are taken from the reference, near which collapsed means have their
    cosines, so that a spread of zero is found to rounding and not to its root.
    """
    c = units.shape[0]
    n_pairs = c * (c - 1)
    total, total_abs, total_square = 0.0, 0.0, 0.0
    for tile in gram_tiles(units, xp):
        off = without_diagonal(tile, tile.values - reference, xp)
        total += tile.times * float(xp.sum(off))
        total_abs += tile.times * float(xp.sum(xp.abs(off)))
        total_square += tile.times * float(xp.sum(off * off))
    variance = total_square / n_pairs - (total / n_pairs) ** 2
    return total_abs / n_pairs, math.sqrt(max(variance, 0.0))


def simplex_distance(a, b, xp):
    """Frobenius distance of a b^T, scaled to norm 1, from the simplex Gram matrix.

    ``|| A B^T / ||A B^T||_F - (I - 1 1^T / C) / sqrt(C - 1) ||_F``, the difference
    taken entry by entry: the expanded form loses half the digits near 0.
    """
    c = a.shape[0]
    a, b = _unit_size(a, xp), _unit_size(b, xp)
    square = sum(float(xp.sum(g * g)) for _, g in gram_blocks(a, b, xp))
    if square == 0:
        return math.nan
    total = 0.0
    for start, gram in gram_blocks(a, b, xp):
        ideal = xp.astype(diagonal_mask(start, gram, xp), gram.dtype) - 1 / c
        gap = gram / math.sqrt(square) - ideal / math.sqrt(c - 1)
        total += float(xp.sum(gap * gap))
    return math.sqrt(total)


def _unit_size(values, xp):
    """Divide by the largest entry, so that squares of squares do not overflow."""
    largest = float(xp.max(xp.abs(values)))
    return values / largest if largest else values


class Tile(NamedTuple):
    """Part of a symmetric matrix over pairs of classes."""

    rows: slice
    columns: slice
    values: Array

    @property
    def times(self):
        """How often the part occurs: what lies above the diagonal stands below it."""
        return 1 if self.rows == self.columns else 2


def gram_tiles(a, xp):
    """Yield the `Tile` objects of a @ a.T on and above the diagonal."""
    for rows in slices(a.shape[0], _TILE):
        left = a[rows, :]
        for columns in slices(a.shape[0], _TILE):
            if columns.start >= rows.start:
                right = xp.matrix_transpose(a[columns, :])
                yield Tile(rows, columns, xp.matmul(left, right))


def without_diagonal(tile, values, xp, other=0.0):
    """Values of a tile with another number where a class meets itself."""
    if tile.rows != tile.columns:
        return values
    return xp.where(diagonal_mask(0, values, xp), xp.full_like(values, other), values)


def distance_tiles(means, xp):
    """Yield the `Tile` objects of the squared distances between all pairs of means.

    Pairs so close that the product has no digits left are done from the difference.
    """
    squares = xp.vecdot(means, means)
    few_digits = 1e7 * means.shape[1] ** 0.5 * float(xp.finfo(means.dtype).eps)
    for tile in gram_tiles(means, xp):
        scale = squares[tile.rows][:, None] + squares[tile.columns][None, :]
        found = xp.clip(scale - 2 * tile.values, 0.0, None)
        close = without_diagonal(tile, found < few_digits * scale, xp, False)
        i, j = xp.nonzero(close)
        exact = []
        for pairs in slices(i.shape[0], block_rows(means.shape[1])):
            left = xp.take(means, tile.rows.start + i[pairs], axis=0)
            gap = left - xp.take(means, tile.columns.start + j[pairs], axis=0)
            exact.append(xp.vecdot(gap, gap))
        if exact:
            found = fill(found, close, xp.concat(exact), xp)
        yield tile._replace(values=found)


def diagonal_mask(start, block, xp):
    """Mask of the entries (i, j) of a row block with row number i equal to j."""
    device = device_of(block)
    rows = xp.arange(start, start + block.shape[0], device=device)
    return rows[:, None] == xp.arange(block.shape[1], device=device)[None, :]
