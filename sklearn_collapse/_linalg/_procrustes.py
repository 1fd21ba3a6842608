"""Procrustes alignment of class means with a frame, and how far it is from exact.

With A the centred class means in rows and B the centred frame, R minimises
||s A R - B||_F. It is the partial isometry U V^T of the singular vectors of A^T B whose
singular values are not zero. Centred rows always leave a null direction; completing R
there would turn it at the whim of the solver, while U V^T is unique, also where
singular values are equal, as all those of a perfect frame are.
"""

import math
from typing import NamedTuple

import numpy as np

from sklearn_collapse._linalg._frames import (
    gram_tiles,
    unit_means,
    without_diagonal,
)
from sklearn_collapse._linalg._rows import centring, map_rows
from sklearn_collapse.utils._arrays import Array, float_dtype, namespace
from sklearn_collapse.utils._decompositions import svd, svdvals
from sklearn_collapse.utils._finite import raise_nonfinite


class Alignment(NamedTuple):
    """Rotation and scale that take centred class means to a frame."""

    rotation: Array  # (d, k), a partial isometry
    scale: float
    disparity: float
    rank: int  # of the rotation


def procrustes(means, thin, frame, xp):
    """Rotation, scale and disparity of class means and a frame.

    Parameters
    ----------
    means : array of shape (C, d)
        Centred.
    thin : tuple (U, s, Vt)
        Thin singular value decomposition of the means, or of a multiple of them, only
        the directions that count; at least one.
    frame : array of shape (C, k)
        Centred, not zero.

    Returns
    -------
    Alignment
    """
    left, values, right = thin
    # A^T B = Vt^T core: its singular values without a d x k decomposition.
    core = values[:, None] * xp.matmul(xp.matrix_transpose(left), frame)
    inner, sigma, outer = svd(core)
    size = max(*means.shape, frame.shape[1])
    largest = values[0] * xp.max(svdvals(frame))
    # What rounding leaves of a direction that the means and the frame do not share.
    rounding = size * float(xp.finfo(xp.float64).eps) * largest
    kept = xp.nonzero(sigma > rounding)[0]
    turned = xp.matmul(xp.matrix_transpose(right), xp.take(inner, kept, axis=1))
    rotation = xp.matmul(turned, xp.take(outer, kept, axis=0))
    scale = best_scale(means, rotation, frame, xp)
    size = mean_square(frame, xp)
    disparity = min(misfit(means, rotation, scale, frame, size, xp), 1.0)
    return Alignment(rotation, scale, disparity, kept.shape[0])


def best_scale(points, rotation, frame, xp):
    """Factor, not negative, that brings rotated points closest to the frame."""
    along = float(xp.sum(xp.matmul(points, rotation) * frame))
    return max(along, 0.0) / float(xp.sum(points * points))


def misfit(points, rotation, scale, frame, size, xp):
    """Mean squared distance of scaled, rotated points from rows of a frame.

    (||s A R - B||^2 + ||s A (I - R R^T)||^2) / ||B||^2: what the rotation leaves out
    of the points counts as missed. With the best scale this is the disparity
    1 - (sum of singular values)^2 / (||A||^2 ||B||^2), which as a difference would
    lose all its digits near 0.

    Parameters
    ----------
    points : array of shape (m, d)
        Centred.
    rotation : array of shape (d, k)
    scale : float
    frame : array of shape (m, k)
        The rows that belong to the points.
    size : float
        The unit: `mean_square` of the whole frame.
    """
    points = scale * points
    turned = xp.matmul(points, rotation)
    outside = points - xp.matmul(turned, xp.matrix_transpose(rotation))
    return (mean_square(turned - frame, xp) + mean_square(outside, xp)) / size


def mean_square(rows, xp):
    """Mean squared norm of rows."""
    return float(xp.sum(rows * rows)) / rows.shape[0]


def unit_vertices(frame, xp):
    """Rows of a frame divided by their norms; a row that is rounding becomes zero."""
    largest = float(xp.max(xp.vecdot(frame, frame))) ** 0.5
    eps = float(xp.finfo(xp.float64).eps)
    return unit_means(frame, max(frame.shape) * eps * largest, xp)


def own_cosines(points, rounding, rotation, vertices, xp):
    """Cosine of each rotated point with its own vertex, (C,).

    Parameters
    ----------
    points : array of shape (C, d)
        Centred.
    rounding : float or array of shape (C, 1)
        Norm below which a point is rounding; its cosine is 0.
    rotation : array of shape (d, k)
    vertices : array of shape (C, k)
        Unit rows.
    """
    turned = xp.matmul(unit_means(points, rounding, xp), rotation)
    return xp.clip(xp.vecdot(turned, vertices), -1.0, 1.0)


def all_cosines(points, rounding, rotation, vertices, xp):
    """Cosine of each rotated point with each vertex, (C, C); see `own_cosines`."""
    turned = xp.matmul(unit_means(points, rounding, xp), rotation)
    return xp.clip(xp.matmul(turned, xp.matrix_transpose(vertices)), -1.0, 1.0)


def cosine_gap(units, vertices, xp):
    """Mean and standard deviation over pairs of how far cosines are from the frame's.

    Parameters
    ----------
    units, vertices : array of shape (m, d) and (m, k)
        Unit rows, or zero.

    Returns
    -------
    mean, std : float
        Of cos(a_i, a_j) - cos(b_i, b_j) over i != j; nan for a single row.
    """
    n_pairs = units.shape[0] * (units.shape[0] - 1)
    if not n_pairs:
        return math.nan, math.nan
    total, total_square = 0.0, 0.0
    for tile, ideal in zip(
        gram_tiles(units, xp), gram_tiles(vertices, xp), strict=True
    ):
        gap = without_diagonal(tile, tile.values - ideal.values, xp)
        total += tile.times * float(xp.sum(gap))
        total_square += tile.times * float(xp.sum(gap * gap))
    variance = total_square / n_pairs - (total / n_pairs) ** 2
    return total / n_pairs, math.sqrt(max(variance, 0.0))


@np.errstate(over="ignore", invalid="ignore")
def row_cosines(rows, centre, rounding, directions, codes=None):
    """Cosine of each row with the direction of its class, or with the nearest one.

    Parameters
    ----------
    rows : Rows
    centre : array of shape (d,)
        Taken off the rows, in float64.
    rounding : float
        Norm below which a centred row is rounding; its cosine is 0.
    directions : array of shape (C, d)
        Vertices turned back, in float64; they are shorter than 1 by what they lack.
    codes : ndarray of int of shape (n,) or None
        Class of each row; None for the direction with the largest cosine.

    Returns
    -------
    array of shape (n,)
        In X's own library, in the precision in which rows are mapped.
    """
    xp = rows.xp
    dtype = float_dtype(rows.X, xp)
    centred = centring(rows, centre, dtype)
    directions = rows.local(directions, dtype)
    if codes is not None:
        codes = rows.local(codes)

    def cosines(block, here):
        z = centred(block)
        # In units of the largest entry, so that no square leaves the range.
        largest = xp.max(xp.abs(z), axis=1, keepdims=True)
        z = z / xp.where(largest > 0, largest, xp.ones_like(largest))
        norms = xp.sqrt(xp.vecdot(z, z))
        if codes is None:
            found = xp.max(xp.matmul(z, xp.matrix_transpose(directions)), axis=1)
        else:
            found = xp.vecdot(z, xp.take(directions, codes[here], axis=0))
        zero = norms * largest[:, 0] <= rounding
        found = found / xp.where(zero, xp.ones_like(norms), norms)
        found = xp.where(zero, xp.zeros_like(found), found)
        return (xp.clip(found, -1.0, 1.0),)

    # NaN and infinity in a row reach its cosine.
    width = max(2 * directions.shape[1], directions.shape[0])
    found = map_rows(rows, cosines, width, dtype, home=True, check=False)[0]
    if not bool(namespace(found).all(namespace(found).isfinite(found))):
        raise_nonfinite(rows.X)
    return found
