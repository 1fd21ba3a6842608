"""Scores from a linear head and the mean of all rows: angles and decision boundaries.

The boundary between classes c and k is the hyperplane where their logits are equal; a
row lies |l_c - l_k| / ||w_c - w_k|| away from it.
"""

import math
from typing import NamedTuple

import numpy as np

from sklearn_collapse._linalg._rows import (
    centring,
    class_distances,
    class_metric,
    map_rows,
)
from sklearn_collapse.utils._arrays import Array, Rows, float_dtype
from sklearn_collapse.utils._selection import take_in_rows

# With more classes the table of pairs (here 32 MB) is made anew for each block, for
# the classes that occur in it.
_MOST_IN_TABLE = 2048

# Largest relative error of a distance that float32 logits may cause.
_DISTANCE_ERROR = 1e-3


class Boundaries(NamedTuple):
    """Boundaries between all pairs of classes, for rows x - centre, in float64.

    Weights and intercepts are about their means over the classes, which leaves all
    differences of logits and spares digits, and in units of the largest weight.
    """

    centre: Array  # (d,)
    coef: Array  # (C, d)
    intercept: Array  # (C,)
    unit: float
    equal: float  # distance of weights up to which they are equal
    inverse: Array | None  # (C, C): 1 / ||w_c - w_k||, 0 for equal ones
    wide: bool  # whether float32 logits would lose digits of the distances
    spread: float  # root mean square of ||x - centre||, positive


def boundaries(coef, intercept, centre, spread, xp):
    """Prepare distances from boundaries.

    Parameters
    ----------
    coef : array of shape (C, d)
    intercept : array of shape (C,)
        Of the head that reads x - centre.
    centre : array of shape (d,)
    spread : float
        Root mean square of ||x - centre||.

    Returns
    -------
    Boundaries or None
        None if all rows of weights are equal: there are no boundaries.
    """
    unit = float(xp.max(xp.abs(coef))) or 1.0
    coef, intercept = coef / unit, intercept / unit
    equal = max(coef.shape) * float(xp.finfo(coef.dtype).eps) * _largest_norm(coef, xp)
    coef = coef - xp.mean(coef, axis=0)
    intercept = intercept - xp.mean(intercept)
    largest = _largest_norm(coef, xp)
    if largest <= equal:
        return None
    spread = spread or float(xp.sqrt(xp.vecdot(centre, centre))) or 1.0
    found = Boundaries(centre, coef, intercept, unit, equal, None, True, spread)
    if coef.shape[0] > _MOST_IN_TABLE:
        return found
    inverse = _inverse_distances(coef, _metric(coef, xp), equal, xp)
    steepest = float(xp.max(inverse))
    lost = largest + float(xp.max(xp.abs(intercept))) / spread
    lost *= steepest * float(np.finfo(np.float32).eps)
    return found._replace(inverse=inverse, wide=lost > _DISTANCE_ERROR)


@np.errstate(over="ignore", invalid="ignore")
def boundary_distances(rows, bounds, logits=None):
    """Mean distance from the boundaries of the predicted class, over ||x - centre||.

    Parameters
    ----------
    rows : Rows
    bounds : Boundaries
    logits : callable, default=None
        Maps a block of x to its logits; by default those of the linear head.

    Returns
    -------
    array of shape (n,)
        Where the rows are worked on, in the precision in which rows are mapped.
    """
    xp = rows.xp
    result = float_dtype(rows.X, xp)
    dtype = xp.float64 if bounds.wide else result
    n_classes, d = bounds.coef.shape
    centred = centring(rows, bounds.centre, dtype)
    weights = rows.local(bounds.coef, dtype)
    columns = xp.matrix_transpose(weights)
    intercept = rows.local(bounds.intercept, dtype)
    if bounds.inverse is None:
        table, metric = None, _metric(weights, xp)
    else:
        table, metric = rows.local(bounds.inverse, dtype), None
    # The row at the centre has no direction, and is as far from it as rounding.
    least = bounds.spread * float(xp.finfo(dtype).eps)

    def scored(block, _):
        z = centred(block)
        if logits is None:
            values = xp.matmul(z, columns) + intercept
        else:
            values = logits(block) / bounds.unit
        best = xp.argmax(values, axis=1)
        if table is not None:
            inverse = xp.take(table, best, axis=0)
        else:
            here, best = xp.unique_inverse(best)
            some = xp.take(weights, here, axis=0)
            inverse = _inverse_distances(some, metric, bounds.equal, xp)
            inverse = xp.take(inverse, best, axis=0)
        gaps = xp.max(values, axis=1, keepdims=True) - values
        length = xp.clip(xp.sqrt(xp.vecdot(z, z)), least, None)
        score = _over(xp.vecdot(gaps, inverse) / (n_classes - 1), length, xp)
        return (xp.astype(score, result, copy=False),)

    return map_rows(rows, scored, max(d, 2 * n_classes), dtype)[0]


@np.errstate(over="ignore", invalid="ignore")
def class_alignment(rows, centre, alpha, head=None, logits=None):
    """Map x to w_c . (x - centre) / ||x - centre|| + alpha ||x||_1, c predicted.

    Parameters
    ----------
    rows : Rows
    centre : array of shape (d,)
    alpha : float
    head : tuple (coef, intercept), default=None
        Weights of the linear head that reads x - centre. None leaves the first term
        out.
    logits : callable, default=None
        Maps a block of x to the logits that predict; by default those of the head.

    Returns
    -------
    array of shape (n,)
        Where the rows are worked on, in the precision in which rows are mapped. The
        first term is 0 for x = centre.
    """
    xp = rows.xp
    dtype = float_dtype(rows.X, xp)
    centred = centring(rows, centre, dtype)
    width = rows.X.shape[1]
    if head is not None:
        coef, intercept = (rows.local(w, dtype) for w in head)
        columns = xp.matrix_transpose(coef)
        width = max(width, 2 * coef.shape[0])

    def scored(block, _):
        size = alpha * xp.sum(xp.abs(block), axis=1)
        if head is None:
            return (size,)
        z = centred(block)
        along = xp.matmul(z, columns)
        values = along + intercept if logits is None else logits(block)
        best = xp.argmax(values, axis=1, keepdims=True)
        along = take_in_rows(along, best, xp)[:, 0]
        length = xp.sqrt(xp.vecdot(z, z))
        # Along nothing there is nothing: any length but 0 will do.
        length = xp.where(length == 0, xp.ones_like(length), length)
        return (_over(along, length, xp) + size,)

    return map_rows(rows, scored, width, dtype)[0]


def _metric(coef, xp):
    """Distances from rows of weights; they are about their mean already."""
    return class_metric(coef, xp.zeros_like(coef[0, :]), None, xp)


def _inverse_distances(some, metric, equal, xp):
    """1 / ||w_c - w_k|| of some rows of weights and all, 0 where they are equal."""
    gaps = class_distances(Rows(some), metric)
    # Equal ones as if they were infinitely far.
    return 1 / xp.where(gaps <= equal, xp.full_like(gaps, math.inf), gaps)


def _over(values, lengths, xp):
    """Values over lengths; where a length has overflown, so has the result."""
    return xp.where(lengths < math.inf, values / lengths, lengths)


def _largest_norm(weights, xp):
    return float(xp.sqrt(xp.max(xp.vecdot(weights, weights))))
