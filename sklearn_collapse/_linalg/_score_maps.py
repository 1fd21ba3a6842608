"""Scores of several detectors on one scale: ranks and standard scores."""

from typing import NamedTuple

import numpy as np

from sklearn_collapse.utils._arrays import Array

# Scores that differ by no more than so many roundings are taken for equal.
_ROUNDINGS = 16

# A training score that differs by so many in another batch keeps its rank.
_PLATEAU = 4


class RankMap(NamedTuple):
    """Share of the training scores that lie below a score."""

    knots: Array  # (2 k,), just below and above each distinct training score
    shares: Array  # (2 k,), mid-ranks, the same for both
    scale: float  # of what lies beyond them


class ZMap(NamedTuple):
    """Standard score."""

    mean: float
    scale: float


def rank_map(scores, weights, eps):
    """Mid-ranks of training scores.

    Parameters
    ----------
    scores : ndarray of float64 of shape (n,)
    weights : ndarray of shape (n,) or None
        Frequencies.
    eps : float
        Spacing of the dtype in which the scores were computed.

    Returns
    -------
    RankMap
    """
    rounding = _ROUNDINGS * eps * _size(scores)
    knots, counts = _ties(scores, weights, rounding)
    below = np.cumsum(counts) - counts
    shares = (below + counts / 2) / np.sum(counts)
    low, high = np.interp([0.25, 0.75], shares, knots)
    scale = high - low
    if scale <= rounding:
        scale = knots[-1] - knots[0]
    if scale <= rounding:
        scale = _size(scores)
    # Between close scores ranks are steep: without level ground around each of them
    # rounding, which depends on the batch, would move rows across a threshold.
    reach = np.full(len(knots) + 1, rounding * _PLATEAU / _ROUNDINGS)
    reach[1:-1] = np.minimum(reach[1:-1], np.diff(knots) / 4)
    ends = np.stack([knots - reach[:-1], knots + reach[1:]], axis=1)
    return RankMap(ends.ravel(), np.repeat(shares, 2), float(scale))


def z_map(scores, weights, eps):
    """Mean and standard deviation of training scores.

    Parameters
    ----------
    scores : ndarray of float64 of shape (n,)
    weights : ndarray of shape (n,) or None
        Frequencies.
    eps : float
        Spacing of the dtype in which the scores were computed.

    Returns
    -------
    ZMap
    """
    mean = np.average(scores, weights=weights)
    if np.ptp(scores) <= _ROUNDINGS * eps * _size(scores):
        return ZMap(float(mean), _size(scores))
    # Squares of large scores would overflow.
    size = np.max(np.abs(scores - mean))
    variance = np.average(((scores - mean) / size) ** 2, weights=weights)
    return ZMap(float(mean), float(size * np.sqrt(variance)))


def apply_map(scores, fitted, *, xp):
    """Bring scores to the scale of a map.

    Parameters
    ----------
    scores : array of float64 of shape (n,)
    fitted : RankMap or ZMap
        Of arrays of the same library.
    xp : namespace

    Returns
    -------
    array of float64 of shape (n,)
    """
    if isinstance(fitted, ZMap):
        return (scores - fitted.mean) / fitted.scale
    return _shares(scores, fitted, xp)


def _shares(scores, ranks, xp):
    """Mid-ranks, linear between training scores and bounded beyond them."""
    knots, shares, scale = ranks
    last = knots.shape[0] - 1
    left = xp.clip(xp.searchsorted(knots, scores, side="right") - 1, 0, last - 1)
    start, stop = xp.take(knots, left), xp.take(knots, left + 1)
    # An overflow of distances between opposite infinities is none of inside.
    way = xp.clip((xp.clip(scores, start, stop) - start) / (stop - start), 0.0, 1.0)
    low, high = xp.take(shares, left), xp.take(shares, left + 1)
    inside = low + way * (high - low)
    # Distances below and above, zero inside: each share stays on its side.
    beneath = xp.clip(knots[0] - scores, 0.0, None) / scale
    beyond = xp.clip(scores - knots[last], 0.0, None) / scale
    result = xp.where(beneath > 0, shares[0] / (1 + beneath), inside)
    return xp.where(beyond > 0, 1 - (1 - shares[last]) / (1 + beyond), result)


def _ties(scores, weights, rounding):
    """Distinct scores and their frequencies; those equal up to rounding are one.

    Without that a step between two of them would turn rounding into ranks. In a run of
    many scores, each as close to the next, steps are small: they stay apart.
    """
    knots, inverse = np.unique(scores, return_inverse=True)
    counts = np.bincount(inverse, weights)
    first = np.r_[True, np.diff(knots) > rounding]
    start = np.flatnonzero(first)
    stop = np.r_[start[1:], len(knots)] - 1
    long = (knots[stop] - knots[start] > 4 * rounding)[np.cumsum(first) - 1]
    start = np.flatnonzero(first | long)
    stop = np.r_[start[1:], len(knots)] - 1
    # Halves first: the sum of two scores may overflow.
    return knots[start] / 2 + knots[stop] / 2, np.add.reduceat(counts, start)


def _size(scores):
    """Largest of the scores, or 1 if all are zero."""
    return float(np.max(np.abs(scores))) or 1.0
