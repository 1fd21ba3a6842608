"""Collapse metrics on rows that were not fitted on.

The class means, their covariance, its rank and the class weights are the fitted ones;
the within-class scatter is measured anew, about the fitted means. A row of class c
weighs p_c(fitted) / n_c(new), so that new class frequencies do not matter.
"""

import numpy as np

from sklearn_collapse._linalg._rows import map_rows
from sklearn_collapse.metrics._coding_rate import rate_reduction
from sklearn_collapse.metrics._registry import GEOMETRY_METRICS, UNIT_METRICS
from sklearn_collapse.metrics._separation import UnitGeometry
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import Rows, as_like, namespace, to_numpy
from sklearn_collapse.utils._labels import positions


def held_out_weights(geometry, codes, weights):
    """Weights p_c(fitted) / n_c(new) of the rows, summing to 1."""
    counts = np.bincount(codes, weights=weights, minlength=geometry.n_classes)
    scale = np.divide(
        geometry.shares, counts, out=np.zeros(len(counts)), where=counts > 0
    )
    scale = scale / geometry.shares[counts > 0].sum()
    return scale[codes] if weights is None else scale[codes] * weights


def held_out_metric(name, geometry, X, codes, weights, device):
    """Value of a metric that needs moments, on new rows."""
    weights = held_out_weights(geometry, codes, weights)
    if name == "vci":
        return _held_out_vci(geometry, X, codes, weights, device)
    within, variances = _about_fitted_means(geometry, X, codes, weights, device)
    return GEOMETRY_METRICS[name](geometry.with_within(within, variances))


def held_out_directions(name, geometry, X, codes, weights, device):
    """Value of a metric of cosines, new unit rows about the fitted unit means."""
    moments = geometry.moments
    options = {"precision": moments.precision, "device": device, "normalize": True}
    new = ClassMoments.from_arrays(X, codes, weights, **options)
    means = moments.means_
    xp = namespace(means)
    present = as_like(new.classes_, means)
    shift = new.means_ - xp.take(means, present, axis=0)
    spread = new.class_scatter_trace_ / new.counts_ + xp.vecdot(shift, shift)
    # Classes without new rows keep their fitted spread.
    traces, zeros = geometry.traces.copy(), geometry.zeros.copy()
    traces[new.classes_] = geometry.counts[new.classes_] * to_numpy(spread)
    zeros[new.classes_] = UnitGeometry(new, check=False).zeros
    return UNIT_METRICS[name](geometry.with_rows(traces, zeros))


def held_out_rate(X, codes, weights, shares, device):
    """Coding rate reduction of new rows, their classes weighted as in fit."""
    present, codes = np.unique(codes, return_inverse=True)
    shares = shares[present]
    shares = shares / shares.sum()
    return rate_reduction(X, codes, weights, shares, device=device)


def _about_fitted_means(geometry, X, codes, weights, device):
    """Within-class covariance and class variances of new rows about fitted means."""
    classes = geometry.moments.classes_
    options = {"precision": geometry.moments.precision, "device": device}
    new = ClassMoments.from_arrays(X, codes, weights, **options)
    xp = geometry.xp
    present = geometry.local(new.classes_)
    shift = new.means_ - xp.take(geometry.moments.means_, present, axis=0)
    root = xp.sqrt(new.counts_)[:, None] * shift
    within = new.scatter_ + xp.matmul(xp.matrix_transpose(root), root)
    spread = new.class_scatter_trace_ / new.counts_ + xp.vecdot(shift, shift)
    # A class without new rows keeps its fitted variance, which only CDNV looks at.
    where = positions(np.arange(len(classes)), new.classes_)
    index = geometry.local(np.where(where < 0, 0, where))
    fitted = geometry.variances
    variances = xp.where(geometry.local(where < 0), fitted, xp.take(spread, index))
    return within, variances


def _held_out_vci(geometry, X, codes, weights, device):
    """1 - R^2 of the fitted least-squares probe.

    The probe predicts the targets U_c / sqrt(p_c), U the kept left singular vectors of
    the weighted class means: centred, with unit covariance under the fitted weights.
    """
    xp = geometry.xp
    left, values, right = geometry.between
    rank = values.shape[0]
    if not rank:
        return 1.0
    # Sigma_T^+ A: what the class means say, through the covariance of all rows.
    total = geometry.total_spectrum
    kept = total.vectors[:, : total.rank]
    probe = xp.matmul(right, kept) * values[:, None] / total.values[: total.rank]
    probe = xp.matmul(kept, xp.matrix_transpose(probe))
    targets = left / geometry.local(np.sqrt(geometry.shares))[:, None]
    rows = Rows(X, device, work=float(X.shape[0]) * probe.shape[0] * rank)
    probe, targets, mean, codes, weights = (
        rows.local(v) for v in (probe, targets, geometry.mean, codes, weights)
    )

    def losses(block, here):
        missed = xp.take(targets, codes[here], axis=0)
        missed = missed - xp.matmul(block - mean, probe)
        return (weights[here] * xp.vecdot(missed, missed),)

    xp = rows.xp
    loss = map_rows(rows, losses, probe.shape[0] + rank, xp.float64)[0]
    return float(xp.sum(loss)) / rank
