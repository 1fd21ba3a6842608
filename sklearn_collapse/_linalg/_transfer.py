"""Transfer functions of a spectrum: what each eigenvector of a covariance is scaled by.

A gain at zero goes with each: what directions without variance are scaled by, wherever
the formula says. It is 0, which leaves them out, where the formula has no value there.
"""

from typing import NamedTuple

import numpy as np

from sklearn_collapse._linalg._maps import LinearMap
from sklearn_collapse.utils._arrays import Array, as_like, device_of, to_numpy

TRANSFERS = ("power", "soft", "band", "drop_top", "direct_pred")

# Rounding of a cumulative share.
_SHARE_ERROR = 1e-12


class Transfer(NamedTuple):
    """Gains of the eigenvectors, and where they jump."""

    gains: Array  # (r,)
    at_zero: float
    cuts: tuple  # numbers of leading eigenvectors before a jump


def power(values, exponent, xp):
    """g = l^-p; p = 1/2 whitens, p = 0 is the identity."""
    if exponent == 0:
        return Transfer(xp.ones_like(values), 1.0, ())
    return Transfer(values**-exponent, 0.0, ())


def soft(values, epsilon, mean, xp):
    """g = (l + epsilon * mean)^-1/2 with the mean of all d eigenvalues."""
    ridge = epsilon * mean
    return Transfer(1 / xp.sqrt(values + ridge), ridge**-0.5 if ridge else 0.0, ())


def direct_pred(values, epsilon, xp):
    """g = (l / l_1)^1/2 + epsilon."""
    top = values[:1]  # none, if no direction counts
    return Transfer(xp.sqrt(values / top) + epsilon, float(epsilon), ())


def band(values, low, high, xp):
    """g = 1 for eigenvectors with a cumulative share of the variance in (low, high]."""
    sums = xp.cumulative_sum(values)
    shares = to_numpy(sums / sums[-1:])
    first, last = (
        int(np.sum(shares <= edge + _SHARE_ERROR)) if edge < 1 else len(shares)
        for edge in (low, high)
    )
    position = np.arange(len(shares))
    inside = as_like((first <= position) & (position < last), values)
    gains = xp.where(inside, xp.ones_like(values), xp.zeros_like(values))
    return Transfer(gains, float(high == 1), (first, last))


def drop_top(values, n_drop, xp):
    """g = 0 for the leading eigenvectors, 1 for the others."""
    kept = as_like(np.arange(values.shape[0]) >= n_drop, values)
    gains = xp.where(kept, xp.ones_like(values), xp.zeros_like(values))
    return Transfer(gains, 1.0, (n_drop,))


def from_function(values, function, xp):
    """g = function(l), checked; the function sees NumPy arrays."""
    if not values.shape[0]:
        return Transfer(xp.ones_like(values), 0.0, ())
    host = to_numpy(values).copy()
    found = function(host)
    shape = np.shape(found)
    if shape != host.shape or np.asarray(found).dtype.kind not in "fiub":
        dtype = np.asarray(found).dtype
        what = f"{dtype} of shape {shape}" if shape else f"{found!r:.50}"
        raise ValueError(
            f"transfer must map the eigenvalues, an array of shape {host.shape}, to as "
            f"many real gains, but it returned {what}."
        )
    gains = np.asarray(found, dtype=float)
    bad = np.flatnonzero(~np.isfinite(gains))
    if len(bad):
        k = bad[0]
        raise ValueError(
            f"transfer must return finite gains, but for eigenvalue {k + 1}, "
            f"{host[k]:.6g}, it returned {gains[k]}. Return 0 to leave a direction out."
        )
    return Transfer(as_like(gains, values), 0.0, ())


def diagonal_map(vectors, gains, null_gain, xp, *, thin=False):
    """U diag(gains) U^T + null_gain (I - U U^T) as a map, with few columns."""
    d, k = vectors.shape
    base = null_gain if k < d else _commonest(to_numpy(gains))
    differ = np.flatnonzero(to_numpy(gains) != base)
    if len(differ) < k:
        index = as_like(differ, vectors)
        vectors, gains = xp.take(vectors, index, axis=1), xp.take(gains, index)
    rest = None
    if base:
        rest = xp.full((d,), base, dtype=gains.dtype, device=device_of(gains))
    left = vectors * (gains - base)
    linear = LinearMap(left, xp.matrix_transpose(vectors), rest)
    return linear.cheapest(xp, keep=thin)


def _commonest(gains):
    """Gain of more than half of the directions, or 0."""
    middle = float(np.median(gains)) if len(gains) else 0.0
    return middle if 2 * np.sum(gains == middle) > len(gains) else 0.0


def map_condition(values, gains, null_gain, xp):
    """Largest rounding of an output, in units of rounding and of the largest output.

    Squared, as the condition of what is inverted.
    """
    sizes = xp.abs(gains) * xp.sqrt(values)
    largest = float(xp.max(sizes)) if values.shape[0] else 0.0
    if not largest:
        return 1.0
    gain = max(float(xp.max(xp.abs(gains))), abs(null_gain))
    ratio = gain / largest * float(values[0]) ** 0.5
    return max(1.0, ratio * ratio)
