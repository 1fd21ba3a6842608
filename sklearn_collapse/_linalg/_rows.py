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
    is_numpy,
    namespace,
    slices,
    to_numpy,
)
from sklearn_collapse.utils._finite import check_finite, raise_nonfinite
from sklearn_collapse.utils._selection import arange_like

# Whitened lengths: an error of a distance that nobody sees, and a distance from the
# origin that costs no digit worth a pass over the rows.
_NEGLIGIBLE = 1e-4
_NEAR = 1e2

# Largest error of a whitened coordinate, in its standard deviations, that float32
# products may cause; beyond it rows are worked on in float64.
_COORDINATE_ERROR = 1e-3

# Bytes of results that wait on a GPU for the last block.
_COLLECTED = 2**28


def squares_fit_float32(least, most, xp):
    """Whether float32 holds squares of that size, with room above and digits below."""
    info = xp.finfo(xp.float32)
    eps = float(info.eps)
    return float(info.smallest_normal) / eps**2 < least and most < float(info.max) * eps


def whitening_needs_float64(condition):
    """Whether float32 loses digits of distances under a covariance.

    Parameters
    ----------
    condition : float
        Its largest eigenvalue over the least after the floor.
    """
    return float(np.finfo(np.float32).eps) * condition**0.5 > _COORDINATE_ERROR


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


def map_rows(rows, function, width, dtype=None, *, home=False, check=True):
    """Apply a function to blocks of rows and stack what it returns.

    Parameters
    ----------
    rows : Rows
    function : callable
        Maps (block, slice) to a tuple of arrays with as many rows. The block is valid
        during the call only; a call may be repeated for a part of the slice.
    width : int
        Number of float64 columns that a block occupies at the most.
    dtype : dtype, default=None
        Dtype of the blocks; by default that in which X is mapped.
    home : bool, default=False
        Whether results are wanted in X's own library; large ones are then brought
        there block by block.
    check : bool, default=True
        Whether NaN and infinity are refused. Without, the caller looks at the results.

    Returns
    -------
    tuple of arrays, where the rows are worked on unless ``home``
    """
    X, xp = rows.X, rows.xp
    dtype = dtype or float_dtype(X, xp)
    if check and is_foreign(X):
        check_finite(X)  # once: every check waits for the device
    n = X.shape[0]
    out = None

    def apply(block, here):
        nonlocal out
        if check and not is_foreign(X):
            check_finite(X[here], row_numbers=range(here.start, n))
        results = function(block, here)
        if out is None:
            out = tuple(_whole(part, n, rows, home, xp) for part in results)
        for whole, part in zip(out, results, strict=True):
            whole[here, ...] = rows.home(part) if is_numpy(namespace(whole)) else part

    rows.visit(apply, width, dtype)
    return tuple(rows.home(whole) for whole in out) if home and out else out


def _whole(part, n, rows, home, xp):
    """Room for the results of all rows, given those of a block."""
    shape = (n, *part.shape[1:])
    like = part
    if home and rows.streamed and 8 * math.prod(shape) > _COLLECTED:
        like = rows.home(part[:0, ...])
        xp = namespace(like)
    return xp.empty(shape, dtype=like.dtype, device=device_of(like))


def centring(rows, centre, dtype):
    """Return a function that takes a float64 centre off blocks of a precision.

    A centre that float32 cannot hold is taken off in two steps: the difference is
    then rounded at its own size and not at that of the centre.
    """
    xp = rows.xp
    if centre is None:
        return lambda block: block
    rough = rows.local(centre, dtype)
    rest = rows.local(centre) - xp.astype(rough, xp.float64)
    if not bool(xp.any(rest != 0)):
        return lambda block: block - rough
    rest = xp.astype(rest, dtype)

    def centred(block):
        block = block - rough
        block -= rest
        return block

    return centred


@np.errstate(over="ignore", invalid="ignore")
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

    def decide(block, rule):
        if normalize:
            block = unit_rows(xp.astype(block, xp.float64, copy=False), xp)
        return _decide(block, rule, xp)

    rule = _rule(metric, dtype, xp)
    nearest, distance, unsure = map_rows(
        rows, lambda block, _: decide(block, rule), width, dtype
    )
    if dtype != xp.float64 and n_classes > 1:
        again = np.flatnonzero(to_numpy(unsure))
        rule = _rule(metric, xp.float64, xp)
        decided = []
        rows.visit(
            lambda block, _: decided.append(decide(block, rule)),
            width,
            xp.float64,
            order=again,
        )
        if decided:
            found, exact = (xp.concat([p[k] for p in decided]) for k in (0, 1))
            nearest = fill(nearest, unsure, found, xp)
            distance = fill(distance, unsure, xp.astype(exact, dtype), xp)
    distance = xp.astype(distance, result_dtype, copy=False)
    if not bool(xp.all(xp.isfinite(distance))):
        raise_nonfinite(rows.X)
    return nearest, distance


@np.errstate(over="ignore", invalid="ignore")
def class_distances(rows, metric):
    """Euclidean distances of each row to each class mean, worked out in float64.

    Parameters
    ----------
    rows : Rows
    metric : ClassMetric
        Without a root.

    Returns
    -------
    array of shape (n, C), of X's library, in the precision in which rows are mapped
    """
    xp = rows.xp
    metric = _placed(metric, rows)
    dtype = float_dtype(rows.X, xp)
    d, n_classes = metric.queries.shape
    # Below this share of their terms squared distances have fewer than 7 digits left.
    few_digits = 1e7 * d**0.5 * float(xp.finfo(xp.float64).eps)

    def rough(block):
        x = block - metric.centre
        scale = xp.vecdot(x, x)[:, None] + 2 * metric.half_norms
        square = scale - 2 * xp.matmul(x, metric.queries)
        return square, square < few_digits * scale

    def finished(square):
        return xp.astype(xp.sqrt(square), dtype, copy=False)

    def to_nearest(block, _):
        """Exact for the nearest class; tell whether a row is close to others too."""
        square, close = rough(block)
        nearest = xp.argmin(square, axis=1)
        gap = block - xp.take(metric.means, nearest, axis=0)
        columns = arange_like(n_classes, nearest, xp)[None, :]
        mine = close & (columns == nearest[:, None])
        square = xp.where(mine, xp.vecdot(gap, gap)[:, None], square)
        return finished(square), xp.any(close & ~mine, axis=1)

    def to_all(block, _):
        square, close = rough(block)
        i, j = xp.nonzero(close)
        exact = []
        for here in slices(i.shape[0], block_rows(d)):
            rows_of_pairs = xp.take(block, i[here], axis=0)
            gap = rows_of_pairs - xp.take(metric.means, j[here], axis=0)
            exact.append(xp.vecdot(gap, gap))
        if exact:
            square = fill(square, close, xp.concat(exact), xp)
        return (finished(square),)

    width = max(d, 2 * n_classes)
    settled = False
    if not is_numpy(xp):
        # Looking for pairs makes the host wait for a GPU, so it is the last resort.
        found, others = map_rows(rows, to_nearest, width, xp.float64, home=True)
        settled = not bool(namespace(others).any(others))
    if not settled:
        found = map_rows(rows, to_all, width, xp.float64, home=True)[0]
    xp = namespace(found)
    if not bool(xp.all(xp.isfinite(found))):
        raise_nonfinite(rows.X)
    return found


def fourth_moments(rows, means, codes, weights, *, normalize=False):
    """Sum over the rows of each class of w ||x - mean_c||^4, for Ledoit-Wolf shrinkage.

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
    ndarray of shape (C,)
    """
    xp, host_codes = rows.xp, codes
    means, codes = rows.local(means), rows.local(codes)

    def squares(block, here):
        if normalize:
            block = unit_rows(block, xp)
        gap = block - xp.take(means, codes[here], axis=0)
        return (xp.vecdot(gap, gap) ** 2,)

    fourth = map_rows(rows, squares, 2 * means.shape[1], xp.float64)[0]
    fourth = to_numpy(fourth if weights is None else fourth * rows.local(weights))
    return np.bincount(host_codes, weights=fourth, minlength=means.shape[0])


class _Rule(NamedTuple):
    """A class metric in the precision of the blocks.

    A float64 mean is split into its rounded value and the rest: x - mean, taken in two
    steps, is then rounded at the size of the difference and not of the mean.
    """

    means: Array  # (C, d)
    means_rest: Array | None
    centre: Array | None  # (d,), or None where centring would gain nothing
    centre_rest: Array | None
    root: Array | None  # (d, r)
    queries: Array  # (d, C)
    half_norms: Array  # (C,)
    slack: Array  # rounding of a product with the queries, per unit of ||x||
    floor: Array  # rounding of the half norms


def _rule(metric, dtype, xp):
    """Round a class metric to a precision, leaving out steps that change nothing."""
    narrow = dtype != xp.float64
    means = xp.astype(metric.means, dtype)
    rest = metric.means - xp.astype(means, xp.float64) if narrow else None
    centre, half_norms = metric.centre, metric.half_norms
    if metric.root is not None:
        # Lengths in units of the standard deviations within classes.
        if narrow and _largest_norm(xp.matmul(rest, metric.root), xp) < _NEGLIGIBLE:
            rest = None
        if _largest_norm(xp.matmul(centre[None, :], metric.root), xp) < _NEAR:
            half_norms = half_norms + xp.matmul(centre, metric.queries)
            centre = None
    rough = None if centre is None else xp.astype(centre, dtype)
    centre_rest = None
    if narrow and centre is not None:
        centre_rest = xp.astype(centre - xp.astype(rough, xp.float64), dtype)
    columns = xp.matrix_transpose(metric.queries)
    rounding = 2 * (math.sqrt(metric.centre.shape[0]) + 4) * float(xp.finfo(dtype).eps)
    slack = rounding * xp.sqrt(xp.max(xp.vecdot(columns, columns)))
    return _Rule(
        means=means,
        means_rest=None if rest is None else xp.astype(rest, dtype),
        centre=rough,
        centre_rest=centre_rest,
        root=None if metric.root is None else xp.astype(metric.root, dtype),
        queries=xp.astype(metric.queries, dtype),
        half_norms=xp.astype(half_norms, dtype),
        slack=xp.astype(slack, dtype),
        floor=xp.astype(rounding * xp.max(xp.abs(half_norms)), dtype),
    )


def _largest_norm(rows, xp):
    return float(xp.max(xp.vecdot(rows, rows))) ** 0.5


def _decide(block, rule, xp):
    """Nearest class, squared distance, and whether the choice may be rounding."""
    n, n_classes = block.shape[0], rule.means.shape[0]
    unsure = xp.zeros(n, dtype=xp.bool, device=device_of(block))
    nearest = xp.zeros(n, dtype=xp.int64, device=device_of(block))
    if n_classes > 1:
        x = block
        if rule.centre is not None:
            x = block - rule.centre
            if rule.centre_rest is not None:
                x -= rule.centre_rest
        x = xp.astype(x, rule.queries.dtype, copy=False)
        match = xp.matmul(x, rule.queries)
        match -= rule.half_norms
        nearest = xp.argmax(match, axis=1)
        best = xp.max(match, axis=1) - rule.slack * xp.sqrt(xp.vecdot(x, x))
        best -= rule.floor
        rivals = xp.astype(match >= best[:, None], xp.int8)
        unsure = xp.sum(rivals, axis=1, dtype=xp.int64) > 1
    # The mean minus the row: the sign does not matter.
    gap = _of_class(rule.means, nearest, xp) - block
    if rule.means_rest is not None:
        gap = gap + _of_class(rule.means_rest, nearest, xp)
    if rule.root is not None:
        gap = xp.matmul(xp.astype(gap, rule.root.dtype, copy=False), rule.root)
    return nearest, xp.vecdot(gap, gap), unsure


def _of_class(values, nearest, xp):
    """Row of each row's class; a single class is left to broadcasting."""
    return values if values.shape[0] == 1 else xp.take(values, nearest, axis=0)


def _placed(metric, rows):
    """The metric where the rows are worked on."""
    return ClassMetric(*(None if x is None else rows.local(x) for x in metric))
