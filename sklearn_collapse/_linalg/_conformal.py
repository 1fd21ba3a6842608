"""Conformal p-values: how rare a score is among calibration scores."""

from typing import NamedTuple

import numpy as np

from sklearn_collapse.utils._arrays import Array


class PValueSteps(NamedTuple):
    """The p-value of a score, a function that rises by steps."""

    scores: Array  # (m,), distinct calibration scores in ascending order
    values: Array  # (m + 1,), the p-value below all of them, then from each one on


def p_value_steps(scores, weights=None):
    """Steps of (1 + #{calibration scores <= s}) / (1 + n) as a function of s.

    Parameters
    ----------
    scores : ndarray of float64 of shape (n,)
        Calibration scores.
    weights : ndarray of shape (n,), default=None
        Frequencies: a weight of k equals k copies of a score.

    Returns
    -------
    PValueSteps
    """
    distinct, inverse = np.unique(scores, return_inverse=True)
    reached = np.concatenate([[0.0], np.cumsum(np.bincount(inverse, weights))])
    return PValueSteps(distinct, (1 + reached) / (1 + reached[-1]))


def threshold(steps, alpha):
    """Score below which p-values are at most alpha; -inf if none is.

    Parameters
    ----------
    steps : PValueSteps
        Of NumPy arrays.
    alpha : float
        Below 1, so that there is a step above it.

    Returns
    -------
    float
    """
    first = int(np.argmax(steps.values > alpha))
    return float(steps.scores[first - 1]) if first else -np.inf


def p_values(scores, steps, *, xp):
    """p-values of scores.

    Parameters
    ----------
    scores : array of float64 of shape (n,)
    steps : PValueSteps
        Of arrays of the same library.
    xp : namespace

    Returns
    -------
    array of float64 of shape (n,)
    """
    return xp.take(steps.values, xp.searchsorted(steps.scores, scores, side="right"))
