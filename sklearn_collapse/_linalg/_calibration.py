"""How many new rows thresholds flag, and how many they may if they are exact."""

import numpy as np
from scipy.special import gammaln
from scipy.stats import binom

_ROUNDING = 1e-9  # of probabilities from differences of logarithms of factorials


def flagged_shares(p_values):
    """Share of the rows flagged at each rate at which another row is.

    Parameters
    ----------
    p_values : ndarray of shape (m,)

    Returns
    -------
    rates : ndarray of shape (k,)
        Distinct p-values in ascending order.
    shares : ndarray of shape (k,)
        Share of the p-values that are not above each of them.
    """
    rates, counts = np.unique(p_values, return_counts=True)
    return rates, np.cumsum(counts) / len(p_values)


def exact_band(rates, n_rows, n_calibration=None, confidence=0.95):
    """Shares between which exact calibration leaves the flagged rows, at each rate.

    Parameters
    ----------
    rates : ndarray of shape (k,)
        Nominal rates in (0, 1).
    n_rows : int
        Number m of the rows that are judged.
    n_calibration : int, default=None
        Number n of the rows that set the threshold. None: p-values that are uniform.
    confidence : float, default=0.95
        Probability of the band at each rate, at the least.

    Returns
    -------
    low, high : ndarray of shape (k,)
    """
    tails = (1 - confidence) / 2, (1 + confidence) / 2
    if n_calibration is None:
        low, high = (binom.ppf(tail, n_rows, rates) for tail in tails)
        return low / n_rows, high / n_rows
    ends = np.zeros((2, len(rates)))
    log_factorials = gammaln(np.arange(1, n_rows + n_calibration + 1))
    for i, row in enumerate(_ranks(rates, n_calibration)):
        if row:
            reached = _cumulated(row, n_rows, n_calibration, log_factorials)
            # Rounding must not decide where a tail is reached exactly.
            ends[:, i] = np.searchsorted(reached * (1 + _ROUNDING), tails)
    return np.minimum(ends, n_rows) / n_rows


def _ranks(rates, n_calibration):
    """Which calibration score, in ascending order, is the threshold at each rate."""
    # Rounding of rate (n + 1) must not decide where it is whole.
    found = np.floor(np.asarray(rates) * (n_calibration + 1) * (1 + 1e-12))
    return np.minimum(found, n_calibration).astype(int)


def _cumulated(rank, n_rows, n_calibration, log_factorials):
    """Distribution function of the number of m new scores below the rank-th of n.

    All orders of the m + n scores are alike, so that j are below it with probability
    binom(j + k - 1, j) binom(m - j + n - k, m - j) / binom(m + n, m).
    """
    m, k, rest = n_rows, rank, n_calibration - rank
    own = log_factorials[: m + 1]
    below = log_factorials[k - 1 : k + m] - own  # of j = 0, ..., m
    above = log_factorials[rest : rest + m + 1] - own  # of m - j
    mass = below + above[::-1]
    reached = np.cumsum(np.exp(mass - mass.max()))
    return reached / reached[-1]
