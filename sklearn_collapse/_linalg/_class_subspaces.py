"""Leading directions of each class, and the share of a row's length along them."""

from numbers import Integral
from typing import NamedTuple

import numpy as np

from sklearn_collapse._linalg._rows import centring, map_rows
from sklearn_collapse._linalg._spectrum import eigh_by_rank, input_noise, noise_factor
from sklearn_collapse.utils._arrays import (
    Array,
    as_like,
    float_dtype,
    segment_sums,
    slices,
    to_numpy,
)
from sklearn_collapse.utils._decompositions import eigh
from sklearn_collapse.utils._finite import raise_nonfinite

# Bytes of second moments that are decomposed together.
_STACK_BYTES = 2**26

# Rounding of sums over class means, in units of the spacing at their size.
_ROUNDINGS = 10.0


class ClassSubspaces(NamedTuple):
    """Orthonormal bases of one subspace per class, and where they come from."""

    basis: Array  # (K, d): rows, class after class
    sizes: np.ndarray  # (C,) of int: dimensions, K together
    values: Array  # (C, d): eigenvalues that count, descending, then zeros
    tied: np.ndarray  # (C,) of bool: whether the cut is inside a tie


def class_subspaces(moments, centre, wanted, *, input_eps, product_eps, xp):
    """Leading eigenvectors of each class's second moment about a point.

    The second moment of class c is scatter_c / n_c + (mu_c - m)(mu_c - m)^T. Which of
    its directions count is decided by the rank rule (see `_spectrum`) with the rows of
    the class. Classes are decomposed a few at a time.

    Parameters
    ----------
    moments : Moments
        With class scatters.
    centre : array of shape (d,) or None
        The point m, the mean of the class means; None is the origin.
    wanted : int or float
        Number of directions per class, or the share in (0, 1) of the second moment
        that the fewest of them reach. At most the rank of the class, and one less than
        that of all rows about m, unless that is 1.
    input_eps, product_eps : float
        Spacings of the dtypes of the rows and of their products.

    Returns
    -------
    ClassSubspaces
    """
    n_classes, d = moments.means.shape
    n = as_like(moments.counts, moments.means)[:, None]
    offsets = moments.means if centre is None else moments.means - centre
    variances = xp.linalg.diagonal(moments.class_scatter) / n
    mean_square = variances + moments.means**2
    total = xp.matmul(xp.matrix_transpose(offsets), n * offsets) + moments.scatter
    n_rows = float(moments.counts.sum())
    level = xp.sum(n / n_rows * mean_square, axis=0)
    rank = eigh_by_rank(
        total / n_rows,
        lambda squared: input_noise(squared, level, n_rows, input_eps, xp),
        product_eps,
        None,
        xp,
    ).rank
    rounding = xp.zeros_like(level)
    if centre is not None:
        # The rows of the other classes have moved the centre, and so have their sums.
        mean_square = mean_square + xp.mean(mean_square, axis=0)
        unit = _ROUNDINGS * float(xp.finfo(xp.float64).eps)
        rounding = unit**2 * xp.max(moments.means**2, axis=0)
    rule = _Rule(wanted, max(rank - 1, 1), input_eps, product_eps, rounding)
    step = max(1, _STACK_BYTES // (8 * d * d))
    stacks = [
        _decompose(
            moments.class_scatter[here, :, :] / n[here, :, None],
            offsets[here, :],
            moments.counts[here],
            mean_square[here, :],
            rule,
            xp,
        )
        for here in slices(n_classes, step)
    ]
    basis, sizes, values, tied = zip(*stacks, strict=True)
    return ClassSubspaces(
        xp.concat(basis),
        np.concatenate(sizes),
        xp.concat(values),
        np.concatenate(tied),
    )


class _Rule(NamedTuple):
    """Which directions count, and how many of them are kept."""

    wanted: float
    most: int
    input_eps: float
    product_eps: float
    rounding: Array  # (d,): squared rounding of the centre, column by column


def _decompose(covariances, offsets, counts, mean_square, rule, xp):
    """Subspaces of some classes, as the fields of `ClassSubspaces`."""
    d = offsets.shape[1]
    outer = offsets[:, :, None] * offsets[:, None, :]
    values, vectors = eigh(covariances + outer)
    values = xp.clip(xp.flip(values, axis=1), 0.0, None)
    directions = xp.flip(xp.matrix_transpose(vectors), axis=1)

    squared = directions**2
    factor = as_like(rule.input_eps**2 * noise_factor(counts, d), values)[:, None]
    noise = factor * xp.matmul(squared, mean_square[:, :, None])[:, :, 0]
    limits = max(10.0, d**0.5) * rule.product_eps * values[:, :1]
    limits = xp.clip(noise, limits, None)
    limits = xp.clip(limits, xp.matmul(squared, rule.rounding), None)
    counted = values > limits
    values = xp.where(counted, values, xp.zeros_like(values))
    position = xp.cumulative_sum(xp.astype(counted, xp.int64), axis=1)
    rank = position[:, -1]
    size = xp.clip(_sizes(values, counted, rule.wanted, xp), None, rule.most)
    size = xp.where(size < rank, size, rank)

    def at(which):
        """Mask of the direction with a number among those that count."""
        return counted & (position == which[:, None])

    # As `cuts_tie`, for an error of the mean of n rows.
    rows = xp.clip(as_like(counts, values), 1.0, None)
    last = _picked(values, at(size), xp)
    gap = last - _picked(values, at(size + 1), xp)
    slack = xp.clip(xp.sqrt(xp.astype(rank, values.dtype)), 10.0, None)
    slack = slack * rule.product_eps * xp.max(values, axis=1)
    error = xp.sqrt(_picked(noise, at(size), xp) / rows)
    slack = slack + 4 * xp.sqrt(last) * error
    tied = (size < rank) & (gap <= slack)

    kept = counted & (position <= size[:, None])
    kept = xp.nonzero(xp.reshape(kept, (-1,)))[0]
    basis = xp.take(xp.reshape(directions, (-1, d)), kept, axis=0)
    # A direction with a large threshold may lie before one that counts.
    values = xp.sort(values, axis=1, descending=True)
    return basis, to_numpy(size), values, to_numpy(tied)


def _sizes(values, counted, wanted, xp):
    """Number of directions per class that are asked for, rank and d aside."""
    if isinstance(wanted, Integral):
        return xp.full_like(values[:, 0], int(wanted), dtype=xp.int64)
    reached = xp.cumulative_sum(values, axis=1)
    # Rounding of the sums must not ask for one direction more.
    short = counted & (reached < wanted * (1 - 1e-12) * reached[:, -1:])
    return xp.sum(xp.astype(short, xp.int64), axis=1) + 1


def _picked(values, mask, xp):
    """The entry of each row under a mask; 0 where there is none."""
    return xp.sum(xp.where(mask, values, xp.zeros_like(values)), axis=1)


@np.errstate(over="ignore", invalid="ignore")
def class_ratios(
    rows, basis, sizes, *, centre=None, factor=1.0, largest=False, wide=False
):
    """Map each row x to factor * ||S_c^T z|| / ||z|| for every class, z = x - centre.

    Parameters
    ----------
    rows : Rows
    basis : array of shape (K, d)
        Orthonormal rows of each class, class after class, in float64.
    sizes : ndarray of int of shape (C,)
        How many rows of the basis each class has; one without any has the ratio 0.
    centre : array of shape (d,), default=None
        In float64.
    factor : float, default=1.0
    largest : bool, default=False
        Whether only the largest ratio of each row is wanted.
    wide : bool, default=False
        Whether float32 rows are worked on in float64.

    Returns
    -------
    array of shape (n, C), or (n,) with ``largest``
        In X's own library, in the precision in which rows are mapped. The ratio is 0
        where z is.
    """
    xp = rows.xp
    result_dtype = float_dtype(rows.X, xp)
    dtype = xp.float64 if wide else result_dtype
    centred = centring(rows, centre, dtype)
    basis = rows.local(basis, dtype)
    edges = np.concatenate([[0], np.cumsum(sizes)])

    def ratios(block, _):
        z = centred(block)
        whole = xp.vecdot(z, z)
        inside = xp.matmul(basis, xp.matrix_transpose(z))
        inside *= inside
        share = _class_sums(inside, sizes, edges, xp)
        share /= xp.where(whole == 0, xp.ones_like(whole), whole)
        if largest:
            share = xp.max(share, axis=0)
        # More than the whole is rounding.
        ratio = factor * xp.sqrt(xp.clip(share, None, 1.0))
        ratio = ratio if largest else xp.matrix_transpose(ratio)
        return xp.astype(ratio, result_dtype, copy=False), whole

    # NaN and infinity in a row reach its length.
    options = {"home": True, "check": False}
    width = max(basis.shape[1], basis.shape[0] + len(sizes))
    found, whole = map_rows(rows, ratios, width, dtype, **options)
    if not np.all(np.isfinite(to_numpy(whole))):
        raise_nonfinite(rows.X)
    return found


def _class_sums(squares, sizes, edges, xp):
    """Sum the rows of each class: (C, n) of (K, n)."""
    if sizes[0] and np.all(sizes == sizes[0]):
        shape = (len(sizes), int(sizes[0]), squares.shape[1])
        return xp.sum(xp.reshape(squares, shape), axis=1)
    return segment_sums(squares, edges, None, xp)


def padded_bases(basis, sizes, xp):
    """Bases as columns of one matrix per class, filled up with columns of zeros.

    Parameters
    ----------
    basis, sizes
        As for `class_ratios`.

    Returns
    -------
    array of shape (C, d, max(sizes))
    """
    (k, d), most = basis.shape, int(sizes.max())
    column, first = np.arange(most), np.cumsum(sizes) - sizes
    index = np.where(column < sizes[:, None], first[:, None] + column, k)
    padded = xp.concat([basis, xp.zeros_like(basis[:1, :])])
    stacks = xp.take(padded, as_like(index.ravel(), basis), axis=0)
    return xp.matrix_transpose(xp.reshape(stacks, (len(sizes), most, d)))
