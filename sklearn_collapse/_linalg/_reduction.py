"""Class moments of rows that are spread over processes, by sums over all of them.

The pairwise update of `_moments.merge`, done for any number of processes at once: no
process ever holds the matrix of another, so memory does not grow with their number.
"""

from typing import NamedTuple

import numpy as np

from sklearn_collapse._linalg._moments import Moments, aligned, outer
from sklearn_collapse.utils._arrays import add_low_rank


class Share(NamedTuple):
    """What one process has of the union of the classes."""

    rows: np.ndarray  # (C,) row of each class in its own moments, or -1
    lends: np.ndarray  # (C,) bool, True in exactly one process that has the class


def no_rows(n_features, class_scatter, xp, to_device):
    """Moments that stand for a process without rows: one class, of no weight."""
    d = n_features
    means, scatter = to_device(np.zeros((1, d))), to_device(np.zeros((d, d)))
    per_class = scatter[None, :, :] if class_scatter else None
    return Moments(np.zeros(1), means, scatter, xp.zeros_like(means[:, 0]), per_class)


def reduce_moments(own, share, summed, xp, to_device):
    """Moments of the rows of all processes.

    Every process calls this at the same time and gets the same.

    Parameters
    ----------
    own : Moments
        Of the rows of this process; left as they are.
    share : Share
    summed : callable
        Returns the sum over all processes of an array, which it may write to.
    xp : namespace
    to_device : callable
        Puts a NumPy array where the moments are.

    Returns
    -------
    Moments
    """
    weights = np.append(own.counts, 0.0)[share.rows]
    counts = summed(weights.copy())
    means = aligned(own.means, share.rows, xp, to_device)
    # One of its means is the origin of a class: what is summed from here on is of the
    # size of the differences between means, however far from zero these are.
    lent = to_device(share.lends.astype(float))[:, None]
    origin = summed(lent * means)
    away = means - origin
    shift = summed(to_device(weights / counts)[:, None] * away)
    drawn = to_device(np.sqrt(weights))[:, None] * (away - shift)
    traces = aligned(own.traces, share.rows, xp, to_device)
    traces = summed(traces + xp.vecdot(drawn, drawn))
    if own.class_scatter is not None:
        per_class = aligned(own.class_scatter, share.rows, xp, to_device)
        per_class = _symmetric(summed(per_class + outer(drawn)), xp)
        scatter = xp.sum(per_class, axis=0)
        return Moments(counts, origin + shift, scatter, traces, per_class)
    scatter = xp.asarray(own.scatter, copy=True)
    # The means of a class that one process has alone are drawn nowhere.
    spread = np.flatnonzero((weights > 0) & (weights < counts))
    if len(spread):
        scatter = add_low_rank(scatter, xp.take(drawn, to_device(spread), axis=0), xp)
    scatter = _symmetric(summed(scatter), xp)
    return Moments(counts, origin + shift, scatter, traces, None)


def _symmetric(total, xp):
    # Sums over processes may run in another order in each half.
    return (total + xp.matrix_transpose(total)) / 2
