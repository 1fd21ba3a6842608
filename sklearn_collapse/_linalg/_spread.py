"""Over how many directions a spectrum spreads, and how evenly.

All work on the eigenvalues of a covariance that count (positive, descending), a short
vector of NumPy. Singular values of the rows are the roots of n times eigenvalues: the
normaliser drops out of everything here that is a ratio. Each value is divided by the
largest first, so that no sum or square overflows.
"""

import math

import numpy as np


def shares(values, power=1.0):
    """Values to a power, as shares of their sum.

    Parameters
    ----------
    values : ndarray of shape (r,)
        r >= 1.
    power : float, default=1.0
        1/2 for the shares of singular values.
    """
    scaled = (values / values[0]) ** power
    return scaled / scaled.sum()


def entropy_dimension(p, eps=0.0):
    """Exponential of the entropy of shares, -sum p ln p with 0 ln 0 = 0.

    With ``eps`` added to each share it may exceed their number; without, never.
    """
    p = p + eps
    logs = np.log(np.where(p > 0, p, 1.0))
    dimension = math.exp(-float(p @ logs))
    return dimension if eps else min(max(dimension, 1.0), float(len(p)))


def participation(values):
    """(sum l)^2 / sum l^2, in [1, r]."""
    scaled = values / values[0]
    ratio = float(scaled.sum()) ** 2 / float(scaled @ scaled)
    return min(max(ratio, 1.0), float(len(values)))


def relative_sum(values, power=1.0):
    """Sum of values to a power, in units of the largest; in [1, r]."""
    total = float(((values / values[0]) ** power).sum())
    return min(max(total, 1.0), float(len(values)))


def power_law(values, first, last):
    """Exponent a of l_j ~ j^-a: weighted least squares of ln l_j on ln j.

    Parameters
    ----------
    values : ndarray of shape (r,)
    first, last : int
        Ranks j that are fitted, from 1 and both included; those beyond r are left out.
        Weights are 1 / j.

    Returns
    -------
    float
        nan with fewer than two ranks.
    """
    j = np.arange(first, min(last, len(values)) + 1)
    if len(j) < 2:
        return math.nan
    x, y, w = np.log(j), np.log(values[j - 1] / values[0]), 1.0 / j
    w = w / w.sum()
    x = x - w @ x
    return -float((w * x) @ (y - w @ y)) / float((w * x) @ x)


def early_enrichment(values, n_components):
    """Area between the cumulative eigenvalues and a uniform ramp.

    Parameters
    ----------
    values : ndarray of shape (r,)
    n_components : int
        Number of components, at least r; those beyond r have no variance.

    Returns
    -------
    float
        Trapezoid over the components j = 1..k, without a leading zero, divided by
        k / 2 times the sum: 0 for equal values, ((k - 1) / k)^2 for a single one.
    """
    k = n_components
    p = np.zeros(k)
    p[: len(values)] = shares(values)
    # The excess over the ramp, summed: exact zeros for equal values.
    above = np.cumsum(p - 1.0 / k)
    area = float(above.sum()) - (float(above[0]) + float(above[-1])) / 2
    return max(area, 0.0) / (k / 2)


def transport_to_uniform(values, d, mean_square):
    """2-Wasserstein distance from N(mu, Sigma) to N(0, I / d).

    Parameters
    ----------
    values : ndarray of shape (r,)
        Eigenvalues of Sigma.
    d : int
        Number of features.
    mean_square : float
        ||mu||^2.

    Notes
    -----
    ||mu||^2 + 1 + tr Sigma - 2 / sqrt(d) tr Sigma^(1/2) as a sum of squares: nothing
    cancels near zero.
    """
    even = 1.0 / math.sqrt(d)
    missed = float(((np.sqrt(values) - even) ** 2).sum())
    return math.sqrt(mean_square + missed + (d - len(values)) / d)


def area_above_variance(values):
    """Variance that the first k components leave, summed over k >= 1."""
    return float(values @ np.arange(len(values)))
