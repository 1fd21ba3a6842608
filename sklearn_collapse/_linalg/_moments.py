"""Class counts, class means and pooled within-class scatter, in one stable pass.

Every block of rows is centred by its own class means before its Gram product and then
merged by the pairwise update of Chan, Golub and LeVeque (1979). The scatter is never
a difference of two large matrices, so it keeps its digits however far the features
have collapsed and however large their mean is.
"""

from typing import NamedTuple

import numpy as np

from sklearn_collapse.utils._arrays import (
    Array,
    add_gram,
    add_low_rank,
    device_of,
    float_dtype,
    mirror,
    segment_sums,
    subtract_from_runs,
)


class Moments(NamedTuple):
    """Sufficient statistic of labelled rows.

    The weights are frequencies: ``counts`` are sums of weights. ``scatter`` is the sum
    over classes of sum_i w_i (x_i - mean_c)(x_i - mean_c)^T, ``traces`` its trace per
    class, ``class_scatter`` its terms, if they were asked for.
    """

    counts: np.ndarray  # (C,) on the host
    means: Array  # (C, d)
    scatter: Array  # (d, d)
    traces: Array  # (C,)
    class_scatter: Array | None  # (C, d, d)


# Blocks, or runs of a block, whose single rows are worth a product of their own.
_FEW = 64


class NonFiniteError(ValueError):
    """The rows hold NaN or infinity, or overflow when they are squared."""


def unit_rows(rows, xp):
    """Divide rows by their norms; rows of zeros stay zeros."""
    # Scaling by the largest entry first keeps tiny and huge rows exact.
    largest = xp.max(xp.abs(rows), axis=1, keepdims=True)
    rows = rows / xp.where(largest > 0, largest, xp.ones_like(largest))
    norms = xp.sqrt(xp.vecdot(rows, rows))[:, None]
    return rows / xp.where(norms > 0, norms, xp.ones_like(norms))


@np.errstate(over="ignore", invalid="ignore")
def gather(rows, codes, n_classes, weights, *, dtype, normalize, class_scatter):
    """Moments of the rows of one array.

    Rows are visited in the order of their class, so that a block meets few classes
    and shares at most one of them with the blocks before it.

    Parameters
    ----------
    rows : Rows
    codes : ndarray of int of shape (n,) or None
        Class of each row, each class at least once, -1 for rows that are left out and
        never read; None for a single class.
    n_classes : int
    weights : ndarray of shape (n,) or None
        Positive, but for rows that are left out.
    dtype : "float64" or "float32"
        Precision of the products.
    normalize : bool
        Whether rows are divided by their norms first.
    class_scatter : bool
        Whether one scatter per class is kept.

    Returns
    -------
    Moments
    """
    xp = rows.xp
    n, d = rows.X.shape
    order, bounds = _class_order(codes, n_classes, n)
    like = rows.local(np.zeros(0))
    kwargs = {"dtype": xp.float64, "device": device_of(like)}
    counts = np.zeros(n_classes)
    means = xp.zeros((n_classes, d), **kwargs)
    traces = xp.zeros((n_classes,), **kwargs)
    per_class: Array = None
    if class_scatter:
        per_class = xp.zeros((n_classes, d, d), **kwargs)
    # Column order lets BLAS accumulate in place; see add_gram.
    scatter = None if class_scatter else rows.local(np.zeros((d, d), order="F"))

    product = getattr(xp, dtype)
    # Centring happens in the wider of the two: the mean may be far larger.
    work = xp.float64 if dtype == "float64" else float_dtype(rows.X, xp)
    # Single rows that enter or leave the scatter, collected.
    given: list = []
    taken: list = []

    def absorb(block, here):
        nonlocal scatter, given, taken
        met, edges = _runs(bounds, here)
        w = None
        if weights is not None:
            w = weights[here if order is None else order[here]]
        if normalize:
            block = unit_rows(block, xp)
        block, n_b, means_b, traces_b, missed = _centre(block, edges, w, rows)
        block = xp.astype(block, product, copy=False)

        share, pull = _pooling_weights(counts[met], n_b)
        delta = means_b - means[met, :]
        drawn = rows.local(np.sqrt(pull))[:, None] * delta
        new_means = means[met, :] + rows.local(share)[:, None] * delta
        new_traces = traces[met] + traces_b + xp.vecdot(drawn, drawn)
        if class_scatter:
            spread = _run_scatters(block, edges, xp) + outer(drawn) - outer(missed)
            spread = per_class[met, :, :] + spread
        else:
            total = add_gram(scatter, block, xp)
            # Only the first class can have been met before.
            entered = [*given, drawn[:1, :]] if pull[0] > 0 else given
            left = [*taken, missed]
            if len(edges) > _FEW or len(left) > _FEW:
                total = _add_few(total, entered, left, xp)
                entered, left = [], []
        # From here on nothing can fail: a block is added whole or not at all.
        if class_scatter:
            per_class[met, :, :] = spread
        else:
            scatter, given, taken = total, entered, left
        means[met, :] = new_means
        traces[met] = new_traces
        counts[met] += n_b

    rows.visit(absorb, d, work, order=order, copy=True)
    if class_scatter:
        scatter = xp.sum(per_class, axis=0)
    else:
        scatter = mirror(_add_few(scatter, given, taken, xp), xp)
    sums = xp.sum(means) + xp.sum(traces) + xp.linalg.trace(scatter)
    if not bool(xp.isfinite(sums)):
        raise NonFiniteError
    return Moments(
        counts, *(_home(rows, x) for x in (means, scatter, traces, per_class))
    )


@np.errstate(over="ignore", invalid="ignore")
def class_means(rows, codes, n_classes, weights):
    """Class means alone, as `gather` computes them: no product of d x d.

    Parameters
    ----------
    rows, codes, n_classes, weights
        As for `gather`.

    Returns
    -------
    array of shape (C, d)
        In float64, of the library of the rows.
    """
    xp = rows.xp
    n, d = rows.X.shape
    order, bounds = _class_order(codes, n_classes, n)
    counts = np.zeros(n_classes)
    means = rows.local(np.zeros((n_classes, d)))

    def absorb(block, here):
        met, edges = _runs(bounds, here)
        w = None
        if weights is not None:
            w = weights[here if order is None else order[here]]
        _, n_b, means_b, _, _ = _centre(block, edges, w, rows)
        share = rows.local(_pooling_weights(counts[met], n_b)[0])[:, None]
        means[met, :] = means[met, :] + share * (means_b - means[met, :])
        counts[met] += n_b

    rows.visit(absorb, d, xp.float64, order=order, copy=True)
    if not bool(xp.isfinite(xp.sum(means))):
        raise NonFiniteError
    return _home(rows, means)


@np.errstate(over="ignore", invalid="ignore")
def merge(a, b, rows_a, rows_b, xp, to_device):
    """Moments of the union of two sets of rows.

    Parameters
    ----------
    a, b : Moments
    rows_a, rows_b : ndarray of int of shape (C,)
        For each class of the union its row in a (in b), or -1 where it is absent.
    xp : namespace
    to_device : callable
        Puts a NumPy array where the moments are.

    Returns
    -------
    Moments
    """
    n_a, n_b = (np.append(m.counts, 0.0)[r] for m, r in ((a, rows_a), (b, rows_b)))
    share, pull = _pooling_weights(n_a, n_b)
    # The classes of one side only are copied: their pull is zero.
    means_a, means_b = (
        aligned(m.means, r, xp, to_device) for m, r in ((a, rows_a), (b, rows_b))
    )
    # In place, since these may be the largest arrays: C x d.
    drawn = means_b - means_a
    means = to_device(share)[:, None] * drawn
    means += means_a
    drawn *= to_device(np.sqrt(pull))[:, None]
    both = np.flatnonzero(pull)
    scatter = a.scatter + b.scatter
    if len(both):
        scatter = add_low_rank(scatter, aligned(drawn, both, xp, to_device), xp)
    traces = xp.vecdot(drawn, drawn)
    for m, r in ((a, rows_a), (b, rows_b)):
        traces = traces + aligned(m.traces, r, xp, to_device)
    per_class = None
    if a.class_scatter is not None:
        per_class = outer(drawn)
        for m, r in ((a, rows_a), (b, rows_b)):
            per_class = per_class + aligned(m.class_scatter, r, xp, to_device)
    return Moments(n_a + n_b, means, scatter, traces, per_class)


def _class_order(codes, n_classes, n):
    """Row order by class and the first position of each class in it."""
    if codes is None:
        return None, np.array([0, n])
    # Rows that are left out would come first.
    counts = np.bincount(codes + 1, minlength=n_classes + 1)
    bounds = np.concatenate([[0], np.cumsum(counts[1:])])
    if np.all(codes[:-1] <= codes[1:]):
        order = None if not counts[0] else np.arange(counts[0], n)
    else:
        order = np.argsort(codes, kind="stable")[counts[0] :]
    return order, bounds


def _runs(bounds, here):
    """Classes that a slice of the ordered rows meets, and where their runs begin."""
    first = int(np.searchsorted(bounds, here.start, side="right")) - 1
    last = int(np.searchsorted(bounds, here.stop, side="left"))
    edges = np.clip(bounds[first : last + 1], here.start, here.stop) - here.start
    return slice(first, last), edges


def _centre(block, edges, weights, rows):
    """Subtract in place from each run its own mean; scale rows by root weights.

    The mean is rounded at its own size, which may be far larger than the spread. What
    it misses is the mean of the rest: it is added to the mean, and ``missed``, root n_b
    times it, leaves the scatter as one row per run.
    """
    xp = rows.xp
    sizes = np.diff(edges)
    n_b = sizes.astype(float)
    if weights is not None:
        n_b = np.add.reduceat(weights, edges[:-1])
    total = rows.local(n_b, block.dtype)[:, None]
    rough = segment_sums(block, edges, weights, xp) / total
    subtract_from_runs(block, edges, rough, xp)
    rest = xp.astype(segment_sums(block, edges, weights, xp), xp.float64)
    rest = rest / rows.local(n_b)[:, None]
    missed = rows.local(np.sqrt(n_b))[:, None] * rest
    if weights is not None:
        block *= rows.local(np.sqrt(weights), block.dtype)[:, None]
    squares = xp.astype(xp.vecdot(block, block), xp.float64)
    traces = segment_sums(squares[:, None], edges, None, xp)[:, 0]
    traces = xp.clip(traces - xp.vecdot(missed, missed), 0.0, None)
    return block, n_b, xp.astype(rough, xp.float64) + rest, traces, missed


def _pooling_weights(n_a, n_b):
    """Share of b in the pooled mean, and n_a n_b / (n_a + n_b)."""
    share = n_b / (n_a + n_b)
    return share, n_a * share


def _add_few(scatter, given, taken, xp):
    """Add the Gram matrix of some rows and take off that of others."""
    for rows, sign in ((given, 1.0), (taken, -1.0)):
        if rows:
            scatter = add_gram(scatter, xp.concat(rows), xp, sign)
    return scatter


def _run_scatters(block, edges, xp):
    """Gram matrix of each run of rows: (k, d, d), as large as the result itself."""
    runs = zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    grams = [
        xp.matmul(xp.matrix_transpose(block[i:j, :]), block[i:j, :]) for i, j in runs
    ]
    return xp.astype(xp.stack(grams), xp.float64)


def outer(rows):
    """Outer product of each row with itself."""
    return rows[:, :, None] * rows[:, None, :]


def aligned(values, index, xp, to_device):
    """Take rows of an array, itself if those are all; index -1 gives a row of zeros."""
    if np.array_equal(index, np.arange(values.shape[0])):
        return values
    if np.any(index < 0):
        index = np.where(index < 0, values.shape[0], index)
        values = xp.concat([values, xp.zeros_like(values[:1, ...])])
    return xp.take(values, to_device(index), axis=0)


def _home(rows, values):
    return None if values is None else rows.home(values)
