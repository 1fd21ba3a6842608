"""Eigenvalues of a covariance, one decision about its rank, and its inverse.

The rank rule. A direction v with eigenvalue l counts when l exceeds both

    max(10, sqrt(d)) * eps(products) * l_1
    eps(input)^2 * sum_j v_j^2 mean(x_j^2) * max(1, (1 + sqrt(d / n))^2 / 12)

The first is the rounding of the product and the eigenvalue solver, the second what
rounding of the input itself leaves behind: at least twelve times its expected variance
in the direction v, and the top of its spectrum when d is much larger than n.
"""

import math
from typing import NamedTuple

import numpy as np

from sklearn_collapse.utils._arrays import Array, device_of
from sklearn_collapse.utils._decompositions import eigh


class Spectrum(NamedTuple):
    """Eigendecomposition of a covariance matrix.

    The ``rank`` directions that count come first, in descending order; ``floor`` is
    the rank rule's threshold as one number (0 for a zero matrix): its mean over the
    directions that do not count, which does not depend on the basis chosen for them.
    """

    values: Array  # (d,), or (k,) within a subspace
    vectors: Array  # (d, d), or (d, k): columns
    rank: int
    floor: float

    @property
    def largest(self):
        """Largest eigenvalue as a float; 0 for a zero matrix."""
        return float(self.values[0]) if self.rank else 0.0


def input_noise(squared_vectors, mean_square, n, eps, xp):
    """Variance that rounding of the input may put into each direction.

    Parameters
    ----------
    squared_vectors : array of shape (d, k)
        Squared entries of unit vectors, in columns.
    mean_square : array of shape (d,)
        Mean of x_j^2 over the rows.
    n : float
        Number of rows.
    eps : float
        Spacing of the dtype of the input.
    """
    level = xp.matmul(xp.matrix_transpose(squared_vectors), mean_square)
    return eps**2 * float(noise_factor(n, mean_square.shape[0])) * level


def noise_factor(n, d):
    """Factor of the rank rule for n rows of d columns; n a number or a NumPy array."""
    return np.maximum(1.0, (1 + np.sqrt(d / n)) ** 2 / 12)


def eigh_by_rank(matrix, noise, product_eps, rank_tol, xp, *, basis=None):
    """Eigendecomposition of a symmetric matrix with its rank decided.

    Parameters
    ----------
    matrix : array of shape (d, d)
    noise : callable
        Maps squared unit vectors in columns to the variance of the input's rounding.
    product_eps : float
        Spacing of the dtype in which the matrix was accumulated.
    rank_tol : float or None
        Overrides the rank rule: keep eigenvalues above ``rank_tol`` times the largest.
    basis : array of shape (d, k), default=None
        Orthonormal columns: the matrix is restricted to their span, and has k
        eigenvectors there.

    Returns
    -------
    Spectrum
    """
    scale = None
    if basis is not None:
        # Sums over all columns were rounded, whatever is left of them.
        scale = float(xp.linalg.trace(matrix))
        matrix = xp.matmul(xp.matrix_transpose(basis), xp.matmul(matrix, basis))
    d = matrix.shape[0]
    values, vectors = eigh(matrix)
    values = xp.clip(xp.flip(values, axis=0), 0.0, None)
    vectors = xp.flip(vectors, axis=1)
    if basis is not None:
        vectors = xp.matmul(basis, vectors)
    largest = float(values[0])
    if rank_tol is not None:
        limits = xp.full_like(values, rank_tol * largest)
    else:
        rounding = max(10.0, math.sqrt(d)) * product_eps * (scale or largest)
        limits = xp.clip(noise(vectors**2), rounding, None)
    keep = values > limits
    rank = int(xp.sum(xp.astype(keep, xp.int64)))
    if 0 < rank < d:
        # A direction with a large threshold may lie before one that counts.
        order = xp.argsort(xp.astype(~keep, xp.int8), stable=True)
        values, limits = xp.take(values, order), xp.take(limits, order)
        vectors = xp.take(vectors, order, axis=1)
    floor = float(xp.mean(limits[rank:])) if rank < d else float(xp.min(limits))
    return Spectrum(values, vectors, rank, floor)


def share_components(values, share, xp):
    """Fewest leading values whose sum reaches a share of the sum of all.

    Parameters
    ----------
    values : array of shape (r,)
        Positive, descending.
    share : float
        In (0, 1].
    """
    reached = xp.cumulative_sum(values)
    # Rounding of the sums must not ask for one component more.
    short = reached < share * (1 - 1e-12) * reached[-1]
    return int(xp.sum(xp.astype(short, xp.int64))) + 1


def trailing_components(values, share, xp):
    """Fewest trailing values whose sum reaches a share of the sum of all.

    Parameters
    ----------
    values : array of shape (r,)
        Positive, descending.
    share : float
        In (0, 1].
    """
    return share_components(xp.flip(values), share, xp)


def cuts_tie(values, k, eps, noise=0.0):
    """Whether the k-th of descending eigenvalues equals the next to rounding.

    The span of the first k eigenvectors is then a matter of chance.

    Parameters
    ----------
    values : array of shape (r,)
    k : int
        Number of eigenvalues before the cut.
    eps : float
        Spacing of the dtype in which the matrix was accumulated.
    noise : float, default=0.0
        Variance of the mean error that rounding of the input leaves in the direction
        of the k-th: an eigenvalue l moves by about 2 sqrt(l noise), here taken twice.
    """
    if not 0 < k < values.shape[0]:
        return False
    rounding = max(10.0, math.sqrt(values.shape[0])) * eps * float(values[0])
    # Two roots: the product of two squares may overflow.
    rounding += 4 * math.sqrt(float(values[k - 1])) * math.sqrt(noise)
    return float(values[k - 1] - values[k]) <= rounding


def checked_inverse(inverse, xp):
    """Return inverse variances, or raise if float64 does not hold them."""
    if not bool(xp.all(xp.isfinite(inverse))):
        raise ValueError(
            "The variances of the features are too small or too large for float64 to "
            "hold their inverses. Rescale the features."
        )
    return inverse


@np.errstate(over="ignore")
def floored_inverse(spectrum, floor="auto", *, level=None, xp):
    """Inverse eigenvalues of a covariance whose spectrum is kept off zero.

    Every inverse of a covariance in the library goes through here.

    Parameters
    ----------
    spectrum : Spectrum
    floor : "auto" or float
        "auto" raises the directions that the rank rule drops to the level of the
        rule. A positive number raises every eigenvalue to that share of the largest.
        0 is the pseudo-inverse: dropped directions get 0.
    level : float or None
        What "auto" raises dropped directions to, and what any floor means for a zero
        matrix. By default the spectrum's own floor, or 1 if that is 0.

    Returns
    -------
    inverse : array of shape (d,)
    floor : float
        The absolute floor that was used.
    """
    values = spectrum.values
    counts = xp.arange(values.shape[0], device=device_of(values)) < spectrum.rank
    if floor == 0:
        safe = xp.where(counts, values, xp.ones_like(values))
        inverse = xp.where(counts, 1 / safe, xp.zeros_like(values))
        return checked_inverse(inverse, xp), 0.0
    level = level or spectrum.floor or 1.0
    if floor == "auto" or not spectrum.rank:
        raised = xp.clip(values, level, None)
        return checked_inverse(1 / xp.where(counts, values, raised), xp), level
    level = floor * spectrum.largest
    return checked_inverse(1 / xp.clip(values, level, None), xp), level
