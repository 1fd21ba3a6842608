"""Maps over blocks of rows: nearest class, distances to class means, projections.

Collapsed features are the normal case here: whitened class means may be 1e4 apart
while a row sits 1 from its own. The expansion ||x||^2 - 2 x.m + ||m||^2 then has no
digits left, so it only finds the nearest class; the distance to that class is taken
from the difference. Rows whose two best classes lie within the rounding of the product
are decided again in float64.
"""

import math
from typing import NamedTuple

import numpy as np

from sklearn_collapse._linalg._moments import unit_rows
from sklearn_collapse.utils._arrays import (
    Array,
    block_rows,
    device_of,
    fill,
    float_dtype,
    is_foreign,
    to_numpy,
)
from sklearn_collapse.utils._finite import check_finite


class ClassMetric(NamedTuple):
    """What the squared distances (x - m_c)^T P (x - m_c) need.

    ``root`` is R with P = R R^T, or None for the identity.
    """

    centre: Array  # (d,), float64
    means: Array  # (C, d), float64
    root: Array | None  # (d, r)
    queries: Array  # (d, C): P (m_c - centre)
    half_norms: Array  # (C,): half of (m_c - centre)^T P (m_c - centre)


def class_metric(means, centre, root, xp):
    """Prepare distances to class means; see `ClassMetric`."""
    centred = means - centre
    queries = centred
    if root is not None:
        queries = xp.matmul(xp.matmul(centred, root), xp.matrix_transpose(root))
    half_norms = xp.vecdot(queries, centred) / 2
    return ClassMetric(centre, means, root, xp.matrix_transpose(queries), half_norms)


def map_rows(rows, function, width, dtype=None):
    """Apply a function to blocks of rows and stack what it returns.

    Parameters
    ----------
    rows : Rows
    function : callable
        Maps (block, slice) to a tuple of arrays with as many rows.
    width : int
        Number of float64 columns that a block occupies at the most.
    dtype : dtype, default=None
        Dtype of the blocks; by default that in which X is mapped.

    Returns
    -------
    tuple of arrays, where the rows are worked on
    """
    X, xp = rows.X, rows.xp
    dtype = dtype or float_dtype(X, xp)
    if is_foreign(X):
        check_finite(X)  # once: every check waits for the device
    n = X.shape[0]
    step = block_rows(width, n)
    out = None
    for start in range(0, n, step):
        here = slice(start, start + step)
        if not is_foreign(X) and not np.isfinite(np.sum(X[here])):
            check_finite(X)
        results = function(rows.fetch(here, dtype), here)
        if out is None:
            out = tuple(
                xp.empty((n, *r.shape[1:]), dtype=r.dtype, device=device_of(r))
                for r in results
            )
        for whole, part in zip(out, results, strict=True):
            whole[here, ...] = part
    return out


def nearest_class(rows, metric, *, normalize=False, wide=False):
    """Nearest class mean of each row and the squared distance to it.

    Parameters
    ----------
    rows : Rows
    metric : ClassMetric
        In float64, of the library of the rows.
    normalize : bool, default=False
        Whether rows are divided by their norms first.
    wide : bool, default=False
        Whether float32 rows are worked on in float64.

    Returns
    -------
    nearest : array of int of shape (n,)
    distance : array of shape (n,)
        In the precision in which rows are mapped.
    """
    xp = rows.xp
    metric = _placed(metric, rows)
    result_dtype = float_dtype(rows.X, xp)
    dtype = xp.float64 if wide else result_dtype
    d, n_classes = metric.queries.shape
    width = max(d, n_classes)
    cast = _cast(metric, dtype, xp)

    def decide(block, metric, dtype):
        if normalize:
            block = unit_rows(xp.astype(block, xp.float64, copy=False), xp)
        return _decide(block, metric, dtype, xp)

    nearest, distance, unsure = map_rows(
        rows, lambda block, _: decide(block, cast, dtype), width, dtype
    )
    if dtype != xp.float64 and n_classes > 1:
        again = np.flatnonzero(to_numpy(unsure))
        step = block_rows(width)
        decided = []
        for start in range(0, len(again), step):
            block = rows.fetch(again[start : start + step], xp.float64)
            decided.append(decide(block, metric, xp.float64))
        if decided:
            found, exact = (xp.concat([p[k] for p in decided]) for k in (0, 1))
            nearest = fill(nearest, unsure, found, xp)
            distance = fill(distance, unsure, xp.astype(exact, dtype), xp)
    return nearest, xp.astype(distance, result_dtype, copy=False)


def class_distances(rows, metric):
    """Euclidean distances of each row to each class mean, worked out in float64.

    Parameters
    ----------
    rows : Rows
    metric : ClassMetric
        Without a root.

    Returns
    -------
    array of shape (n, C), in the precision in which rows are mapped
    """
    xp = rows.xp
    metric = _placed(metric, rows)
    dtype = float_dtype(rows.X, xp)
    d, n_classes = metric.queries.shape
    columns = xp.arange(n_classes, device=device_of(metric.means))

    def distances(block, _):
        x = block - metric.centre
        match = metric.half_norms - xp.matmul(x, metric.queries)
        nearest = xp.argmin(match, axis=1)
        square = xp.clip(xp.vecdot(x, x)[:, None] + 2 * match, 0.0, None)
        exact = _squared_norms(block, nearest, metric, xp)
        square = xp.where(columns == nearest[:, None], exact[:, None], square)
        return (xp.astype(xp.sqrt(square), dtype, copy=False),)

    return map_rows(rows, distances, max(d, 2 * n_classes), xp.float64)[0]


def fourth_moment(rows, means, codes, weights, *, normalize=False):
    """Sum over rows of w ||x - mean_c||^4, which Ledoit-Wolf shrinkage needs.

    Parameters
    ----------
    rows : Rows
    means : array of shape (C, d)
    codes : ndarray of int of shape (n,)
    weights : ndarray of shape (n,) or None
    normalize : bool, default=False
        Whether rows are divided by their norms first.

    Returns
    -------
    float
    """
    xp = rows.xp
    means, codes = rows.local(means), rows.local(codes)

    def squares(block, here):
        if normalize:
            block = unit_rows(block, xp)
        gap = block - xp.take(means, codes[here], axis=0)
        return (xp.vecdot(gap, gap) ** 2,)

    fourth = map_rows(rows, squares, 2 * means.shape[1], xp.float64)[0]
    return float(xp.sum(fourth if weights is None else fourth * rows.local(weights)))


def _decide(block, metric, dtype, xp):
    """Nearest class, squared distance, and whether the choice may be rounding."""
    x = _difference(block, metric.centre, dtype, xp)
    unsure = xp.zeros(x.shape[0], dtype=xp.bool, device=device_of(x))
    nearest = xp.zeros(x.shape[0], dtype=xp.int64, device=device_of(x))
    if metric.means.shape[0] > 1:
        match = xp.matmul(x, metric.queries)
        match -= metric.half_norms
        nearest = xp.argmax(match, axis=1)
        slack = 2 * (math.sqrt(x.shape[1]) + 4) * float(xp.finfo(dtype).eps)
        columns = xp.matrix_transpose(metric.queries)
        slack = slack * xp.sqrt(xp.max(xp.vecdot(columns, columns)))
        best = xp.max(match, axis=1) - slack * xp.sqrt(xp.vecdot(x, x))
        rivals = xp.astype(match >= best[:, None], xp.int32)
        unsure = xp.sum(rivals, axis=1) > 1
    return nearest, _squared_norms(block, nearest, metric, xp), unsure


def _squared_norms(block, nearest, metric, xp):
    """Squared distance of each row to the mean that was chosen for it."""
    dtype = block.dtype if metric.root is None else metric.root.dtype
    if metric.means.shape[0] == 1:
        means = metric.means
    else:
        means = xp.take(metric.means, nearest, axis=0)
    gap = _difference(block, means, dtype, xp)
    if metric.root is not None:
        gap = xp.matmul(gap, metric.root)
    return xp.vecdot(gap, gap)


def _difference(block, means, dtype, xp):
    """Rows minus float64 means, rounded only after the subtraction."""
    wide = xp.astype(block, xp.float64, copy=False) - means
    return xp.astype(wide, dtype, copy=False)


def _cast(metric, dtype, xp):
    """The parts that enter products in another precision; means stay float64."""
    if dtype == xp.float64:
        return metric
    names = ("root", "queries", "half_norms")
    parts = {name: getattr(metric, name) for name in names}
    cast = {k: v if v is None else xp.astype(v, dtype) for k, v in parts.items()}
    return metric._replace(**cast)


def _placed(metric, rows):
    """The metric where the rows are worked on."""
    return ClassMetric(*(None if x is None else rows.local(x) for x in metric))
