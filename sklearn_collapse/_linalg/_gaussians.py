"""One Gaussian per class: covariances, each with its own rank, and log-densities.

A class whose rows do not vary has no covariance of its own, and takes the pooled one.
"""

import math
from typing import NamedTuple

import numpy as np

from sklearn_collapse._linalg._moments import unit_rows
from sklearn_collapse._linalg._rows import map_rows
from sklearn_collapse._linalg._shrinkage import STACK_BYTES
from sklearn_collapse._linalg._spectrum import checked_inverse, noise_factor
from sklearn_collapse.utils._arrays import (
    Array,
    as_like,
    device_of,
    float_dtype,
    slices,
    to_numpy,
)
from sklearn_collapse.utils._decompositions import eigh
from sklearn_collapse.utils._finite import raise_nonfinite

# Columns of the blocks that several classes work on together.
_COLUMNS = 1024

# Rounding of whitened means, in standard deviations, that nobody sees.
_NEGLIGIBLE = 1e-4


class Gaussians(NamedTuple):
    """Densities of classes: N(x; m_c, S_c), with the inverse of S_c as R_c R_c^T."""

    means: Array  # (C, d), float64
    roots: Array  # (C, d, r)
    peaks: Array  # (C,): log-density at the mean


class Inverses(NamedTuple):
    """What has been decided about the covariance of each class."""

    inverse: Array  # (C, r): inverse eigenvalues
    vectors: Array  # (C, d, r): eigenvectors in columns
    floors: np.ndarray  # (C,): absolute; 0 for the pseudo-inverse
    largest: np.ndarray  # (C,): largest eigenvalues
    ranks: np.ndarray  # (C,) of int
    borrowed: np.ndarray  # (C,) of bool: whether the pooled one stands in

    @property
    def condition(self):
        """Largest eigenvalue over the smallest after the floor, at the worst."""
        return float(np.max(self.largest * to_numpy(self.inverse).max(axis=1)))


class Rules(NamedTuple):
    """How the spectra of classes are judged; see `_spectrum`."""

    floor: str | float
    input_eps: float
    product_eps: float


def class_inverses(moments, shares, rules, pooled, basis, xp):
    """Inverse of the covariance of each class, by its own rank rule.

    Parameters
    ----------
    moments : Moments
        With class scatters.
    shares : ndarray of shape (C,)
        Share of the multiple of the identity in each covariance.
    rules : Rules
    pooled : tuple of inverse (r,), vectors (d, r), floor, largest and rank
        What stands in for a class whose covariance is zero by the rule.
    basis : array of shape (d, r) or None
        Directions that the covariances are restricted to.

    Returns
    -------
    Inverses
    """
    inverse, vectors, floor, largest, rank = pooled
    n_classes, d = moments.means.shape
    parts = []
    for here in slices(n_classes, max(1, STACK_BYTES // (8 * d * d))):
        found = _decompose(moments, shares, here, rules, basis, xp)
        empty = as_like(found.ranks == 0, moments.means)
        none = to_numpy(empty)
        parts.append(
            Inverses(
                xp.where(empty[:, None], inverse, found.inverse),
                xp.where(empty[:, None, None], vectors, found.vectors),
                np.where(none, floor, found.floors),
                np.where(none, largest, found.largest),
                np.where(none, rank, found.ranks),
                none,
            )
        )
    if len(parts) == 1:
        return parts[0]
    inverses, vectors, *others = zip(*parts, strict=True)
    return Inverses(
        xp.concat(inverses), xp.concat(vectors), *(np.concatenate(x) for x in others)
    )


def class_covariances(moments, shares, here, xp):
    """Covariance (normaliser n_c) of some classes, shrunk."""
    counts = as_like(moments.counts[here], moments.means)
    found = moments.class_scatter[here, :, :] / counts[:, None, None]
    if not np.any(shares[here]):
        return found
    d = found.shape[1]
    eye = xp.eye(d, dtype=found.dtype, device=device_of(found))
    share = as_like(shares[here], found)
    level = share * xp.sum(xp.linalg.diagonal(found), axis=1) / d
    return (1 - share)[:, None, None] * found + level[:, None, None] * eye


def _decompose(moments, shares, here, rules, basis, xp):
    """Inverses of some classes; what is 0 has rank 0."""
    covariances = class_covariances(moments, shares, here, xp)
    counts = moments.counts[here]
    mean_square = moments.means[here, :] ** 2 + (
        xp.linalg.diagonal(moments.class_scatter[here, :, :])
        / as_like(counts, moments.means)[:, None]
    )
    d = mean_square.shape[1]
    scale = None
    if basis is not None:
        # Sums over all columns were rounded, whatever is left of them.
        scale = xp.sum(xp.linalg.diagonal(covariances), axis=1)
        covariances = xp.matmul(
            xp.matrix_transpose(basis), xp.matmul(covariances, basis)
        )
    values, vectors = eigh(covariances)
    values = xp.clip(values, 0.0, None)
    if basis is not None:
        vectors = xp.matmul(basis, vectors)
    largest = values[:, -1]
    scale = largest if scale is None else scale
    factor = as_like(rules.input_eps**2 * noise_factor(counts, d), values)
    noise = xp.matmul(mean_square[:, None, :], vectors**2)[:, 0, :]
    rounding = max(10.0, values.shape[1] ** 0.5) * rules.product_eps * scale
    limits = xp.clip(factor[:, None] * noise, rounding[:, None], None)
    counted = values > limits
    ranks = to_numpy(xp.sum(xp.astype(counted, xp.int64), axis=1))
    inverse, floors = _floored(values, counted, limits, rules.floor, xp)
    checked_inverse(inverse, xp)
    return Inverses(
        inverse, vectors, to_numpy(floors), to_numpy(largest), ranks, ranks == 0
    )


@np.errstate(over="ignore")
def _floored(values, counted, limits, floor, xp):
    """Inverse eigenvalues and the floor of each class, as `floored_inverse`."""
    zero, one = xp.zeros_like(values), xp.ones_like(values)
    safe = xp.where(counted, values, one)
    if floor == 0:
        return xp.where(counted, 1 / safe, zero), zero[:, 0]
    if floor != "auto":
        level = floor * values[:, -1]
        raised = xp.clip(values, level[:, None], None)
        return 1 / xp.where(raised > 0, raised, one), level
    dropped = xp.astype(~counted, values.dtype)
    n_dropped = xp.sum(dropped, axis=1)
    # The mean over the directions that do not count does not depend on their basis.
    level = xp.sum(xp.where(counted, zero, limits), axis=1)
    level = level / xp.where(n_dropped == 0, one[:, 0], n_dropped)
    level = xp.where(n_dropped == 0, xp.min(limits, axis=1), level)
    raised = xp.clip(values, level[:, None], None)
    kept = xp.where(counted, values, raised)
    return 1 / xp.where(kept > 0, kept, one), level


def gaussians(means, inverse, vectors, xp):
    """Densities of classes, given the inverses of their covariances.

    Parameters
    ----------
    means : array of shape (C, d)
    inverse : array of shape (C, r)
        Where it is 0 there is no such direction.
    vectors : array of shape (C, d, r)

    Returns
    -------
    Gaussians
    """
    used = inverse > 0
    logs = xp.log(xp.where(used, inverse, xp.ones_like(inverse)))
    logs = logs - math.log(2 * math.pi) * xp.astype(used, logs.dtype)
    return Gaussians(
        means, vectors * xp.sqrt(inverse)[:, None, :], xp.sum(logs, axis=1) / 2
    )


@np.errstate(over="ignore", invalid="ignore")
def largest_log_density(rows, densities, *, normalize=False, wide=False):
    """Log-density of each row in the class where it is largest.

    Differences from the means are taken before the product with the roots: whitened
    means may be so far apart that a difference after it has no digits left.

    Parameters
    ----------
    rows : Rows
    densities : Gaussians
        In float64, of the library of the rows.
    normalize : bool, default=False
        Whether rows are divided by their norms first.
    wide : bool, default=False
        Whether float32 rows are worked on in float64.

    Returns
    -------
    array of shape (n,)
        In the precision in which rows are mapped.
    """
    xp = rows.xp
    means, roots, peaks = (rows.local(x) for x in densities)
    result_dtype = float_dtype(rows.X, xp)
    dtype = xp.float64 if wide else result_dtype
    n_classes, d = means.shape
    step = min(n_classes, max(1, _COLUMNS // d))
    rough, rest = _split(means, roots, step, dtype, xp)

    def largest(block, _):
        if normalize:
            block = unit_rows(xp.astype(block, xp.float64, copy=False), xp)
        best = None
        for here in slices(n_classes, step):
            gap = block[None, :, :] - rough[here, None, :]
            if rest is not None:
                gap -= rest[here, None, :]
            gap = xp.astype(gap, dtype, copy=False)
            white = xp.matmul(gap, xp.astype(roots[here, :, :], dtype, copy=False))
            squares = xp.astype(xp.vecdot(white, white), xp.float64, copy=False)
            found = xp.max(peaks[here, None] - squares / 2, axis=0)
            best = found if best is None else xp.where(found > best, found, best)
        return (xp.astype(best, result_dtype, copy=False),)

    found = map_rows(rows, largest, 2 * step * d, dtype)[0]
    if not bool(xp.all(xp.isfinite(found))):
        raise_nonfinite(rows.X)
    return found


def _split(means, roots, step, dtype, xp):
    """Means rounded to a precision, and the rest where it matters."""
    rough = xp.astype(means, dtype)
    rest = means - xp.astype(rough, xp.float64)
    for here in slices(means.shape[0], step):
        white = xp.matmul(rest[here, None, :], roots[here, :, :])
        if float(xp.max(xp.vecdot(white, white))) ** 0.5 >= _NEGLIGIBLE:
            return rough, xp.astype(rest, dtype)
    return rough, None
