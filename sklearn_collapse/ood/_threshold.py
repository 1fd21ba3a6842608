"""Where a threshold lies, and how far rounding may move it."""

import numpy as np

# The row that defines the threshold stays an inlier when rounding moves its score: a
# share of the interquartile range, or as many units of rounding of the scores.
_SLACK = 1e-6
_UNITS = 16


def rounding_slack(scores, low, high, eps):
    """By how much rounding may move scores.

    A unit is the spacing of numbers of the size of the score or of the quartiles: a
    score near zero may be a difference of larger numbers.

    Parameters
    ----------
    scores : ndarray or float
    low, high : float
        Quartiles of the scores.
    eps : float
        Relative spacing of the dtype that the scores had.

    Returns
    -------
    ndarray or float
    """
    size = np.maximum(np.abs(scores), max(abs(low), abs(high)))
    # Apart: the difference of two scores may overflow.
    return np.maximum(_SLACK * high - _SLACK * low, _UNITS * eps * size)


def weighted_quantiles(values, shares, weights=None):
    """Quantiles by the averaged inverted distribution function.

    A weight of k equals k copies of a row. Where the share is reached exactly, the
    value and the next one are averaged.

    Parameters
    ----------
    values : ndarray of shape (n,)
    shares : list of float
    weights : ndarray of shape (n,) or None

    Returns
    -------
    ndarray of shape (len(shares),)
    """
    weights = np.ones(len(values)) if weights is None else weights
    values, weights = values[weights > 0], weights[weights > 0]
    order = np.argsort(values, kind="stable")
    values, reached = values[order], np.cumsum(weights[order])
    target = np.asarray(shares) * reached[-1]
    # Rounding of share * n must not decide whether the share is reached exactly.
    slack = 1e-10 * reached[-1]
    low = np.searchsorted(reached, target - slack)
    high = np.searchsorted(reached, target + slack)
    last = len(values) - 1
    # Halves first: the sum of two scores may overflow.
    return values[np.minimum(low, last)] / 2 + values[np.minimum(high, last)] / 2
