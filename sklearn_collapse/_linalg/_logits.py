"""Scores of rows of logits: how sure a classifier is.

A very sure row has probabilities that no float tells from 0 and 1. Everything here is
therefore made of the largest logit, of the sum over the other classes alone, which
keeps its digits, and of logarithms.
"""

from typing import NamedTuple

from sklearn_collapse.utils._arrays import Array, device_of
from sklearn_collapse.utils._selection import arange_like, smallest


def msp(logits, temperature, xp):
    """Largest softmax probability."""
    return 1 / _partition(logits, temperature, xp)[1]


def max_logit(logits, temperature, xp):
    """Largest logit."""
    return xp.max(logits, axis=1)


def energy(logits, temperature, xp):
    """Negative free energy, T log sum_c exp(l_c / T)."""
    largest, total = _partition(logits, temperature, xp)
    return largest + temperature * xp.log(total)


def entropy(logits, temperature, xp):
    """Negative entropy of the softmax."""
    return _negative_entropy(_softmax(logits, temperature, xp), xp)


def margin(logits, temperature, xp):
    """Largest logit minus the second largest."""
    others = xp.where(_is_largest(logits, xp), _lowest(logits, xp), logits)
    return xp.max(logits, axis=1) - xp.max(others, axis=1)


# Each maps logits (n, C), the temperature and the namespace to scores (n,).
SCORES = {
    "msp": msp,
    "max_logit": max_logit,
    "energy": energy,
    "entropy": entropy,
    "margin": margin,
}


def generalized_entropy(logits, temperature, gamma, n_top, xp):
    """Negative sum of (p (1 - p))^gamma over the n_top largest probabilities p."""
    softmax = _softmax(logits, temperature, xp)
    below = smallest(-softmax.shifted, n_top, xp)[0]
    log_total = xp.log1p(softmax.rest)[:, None]
    log_p = -below - log_total
    # The others are no larger than the largest: their 1 - p is at least one half.
    odds = log_p + xp.log1p(-xp.minimum(xp.exp(log_p), xp.full_like(log_p, 0.5)))
    first = _log_rest(softmax, xp)[:, None] - 2 * log_total
    products = xp.concat([first, odds[:, 1:]], axis=1)
    return -xp.sum(xp.exp(gamma * products), axis=1)


def class_probabilities(logits, temperature, xp):
    """Softmax of each row in float64, and the class of its largest logit."""
    softmax = _softmax(xp.astype(logits, xp.float64, copy=False), temperature, xp)
    shares = softmax.grown / (1 + softmax.rest)[:, None]
    return shares, xp.argmax(logits, axis=1)


def matching(logits, temperature, log_means, xp):
    """Negative Kullback-Leibler divergence to the closest class, as float64.

    Parameters
    ----------
    logits : array of shape (n, C)
    temperature : float
    log_means : array of shape (K, C), float64
        Logarithms of mean probabilities.

    Returns
    -------
    array of shape (n,)
    """
    # The divergence is a difference of two sums that may agree in most digits.
    softmax = _softmax(xp.astype(logits, xp.float64, copy=False), temperature, xp)
    shares = softmax.grown / (1 + softmax.rest)[:, None]
    match = xp.max(xp.matmul(shares, xp.matrix_transpose(log_means)), axis=1)
    score = match - _negative_entropy(softmax, xp)
    return xp.minimum(score, xp.zeros_like(score))  # above 0 is rounding


class _Softmax(NamedTuple):
    """Parts of the softmax grown / (1 + rest)."""

    shifted: Array  # (n, C): (l_c - largest) / T, at most 0
    grown: Array  # (n, C): exp(shifted)
    rest: Array  # (n,): sum of grown without the largest
    is_largest: Array  # (n, C): one per row


def _softmax(logits, temperature, xp):
    largest = xp.max(logits, axis=1, keepdims=True)
    shifted = _below(logits, largest, temperature, xp)
    shifted = xp.maximum(shifted, _lowest(logits, xp))
    grown, is_largest = xp.exp(shifted), _is_largest(logits, xp)
    # Nan where the largest is infinite: the others alone would not tell.
    rest = xp.sum(xp.where(is_largest, largest - largest, grown), axis=1)
    return _Softmax(shifted, grown, rest, is_largest)


def _negative_entropy(softmax, xp):
    """Sum of p log p: both of its parts are negative, so none loses digits."""
    terms = xp.sum(softmax.grown * softmax.shifted, axis=1)
    return terms / (1 + softmax.rest) - xp.log1p(softmax.rest)


def _log_rest(softmax, xp):
    """Logarithm of `rest`, where that may be too small for a float."""
    lowest = _lowest(softmax.shifted, xp)
    others = xp.where(softmax.is_largest, lowest, softmax.shifted)
    second = xp.max(others, axis=1, keepdims=True)
    grown = xp.exp(others - second)
    grown = xp.where(softmax.is_largest, xp.zeros_like(grown), grown)
    return second[:, 0] + xp.log(xp.sum(grown, axis=1))


def _is_largest(logits, xp):
    """Mark the largest entry of each row, the first of those that are equal."""
    columns = arange_like(logits.shape[1], logits, xp)
    return columns[None, :] == xp.argmax(logits, axis=1)[:, None]


def _lowest(like, xp):
    """Lowest number of a dtype, as an array."""
    lowest = float(xp.finfo(like.dtype).min)
    return xp.full((), lowest, dtype=like.dtype, device=device_of(like))


def _below(logits, largest, temperature, xp):
    """Return (l_c - largest) / T."""
    gaps = logits - largest
    if temperature == 1:
        return gaps
    # It may be zero in the dtype of the logits: the largest over it would be nan.
    return gaps / max(temperature, float(xp.finfo(logits.dtype).smallest_normal))


def _partition(logits, temperature, xp):
    """Largest logit, and the sum of exp((l_c - largest) / T), which is at least 1."""
    largest = xp.max(logits, axis=1, keepdims=True)
    grown = xp.exp(_below(logits, largest, temperature, xp))
    return largest[:, 0], xp.sum(grown, axis=1)
