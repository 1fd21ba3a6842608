"""Medians of products of columns: a robust covariance, and how far it may be off.

NumPy alone: the array API has no partial sort.
"""

import numpy as np
from scipy.special import ndtri

from sklearn_collapse.utils._decompositions import eigh

# The median of z^2 for a standard normal z is the inverse of this number.
CONSISTENCY = 1 / float(ndtri(0.75)) ** 2

# Numbers that are partially sorted together: 2 MB, which a cache holds.
_BLOCK = 2**18


@np.errstate(over="ignore", invalid="ignore")
def comedian(centred):
    """Medians of the products of all pairs of columns, times `CONSISTENCY`.

    Parameters
    ----------
    centred : ndarray of float64 of shape (n, d)
        Rows about their median.

    Returns
    -------
    matrix : ndarray of shape (d, d)
        Symmetric, not necessarily positive semi-definite. Infinite where more than
        half of the products overflow.
    error : ndarray of shape (d, d)
        Standard error of each entry: half the gap of the order statistics sqrt(n) / 2
        places below and above the median, for which no density is needed. The one of
        a product of uncorrelated normal columns is infinite at the median.
    """
    n, d = centred.shape
    columns = np.ascontiguousarray(centred.T)
    low = max(int(np.floor((n - 1) / 2 - np.sqrt(n) / 2)), 0)
    places = sorted({low, (n - 1) // 2, n // 2, n - 1 - low})
    # Rounding the places to whole numbers has widened the gap.
    half = np.sqrt(n) / (2 * max(n - 1 - 2 * low, 1))
    matrix, error = np.empty((d, d)), np.empty((d, d))
    step = max(1, _BLOCK // n)
    for j in range(d):
        for start in range(j, d, step):
            here = slice(start, min(start + step, d))
            products = columns[here] * columns[j]
            products.partition(places, axis=1)
            middle = products[:, (n - 1) // 2] / 2 + products[:, n // 2] / 2
            gap = half * (products[:, n - 1 - low] - products[:, low])
            matrix[j, here] = matrix[here, j] = middle
            error[j, here] = error[here, j] = gap
    return CONSISTENCY * matrix, CONSISTENCY * error


def intensity(matrix, error):
    """Share of the identity that makes the expected squared error least.

    Parameters
    ----------
    matrix, error : ndarray of shape (d, d)
        As `comedian` returns them.

    Returns
    -------
    float
        In [0, 1]: the sum of the squared errors over ||S - nu I||^2, nu the mean of
        the diagonal of S; 0 where S is nu I.
    """
    d = matrix.shape[0]
    level = np.trace(matrix) / d
    if not level:
        return 0.0
    # In units of nu: squares of large features may overflow.
    gap = np.sum((matrix / level - np.eye(d)) ** 2)
    noise = np.sum((error / level) ** 2)
    return 1.0 if noise >= gap > 0 else float(noise / gap) if gap else 0.0


def semidefinite(matrix):
    """Nearest positive semi-definite matrix in the Frobenius norm."""
    values, vectors = eigh(matrix)
    d, eps = len(values), float(np.finfo(float).eps)
    if values[0] >= -max(10.0, np.sqrt(d)) * eps * values[-1]:
        return matrix  # negative by rounding at the most
    kept = values > 0
    root = vectors[:, kept] * np.sqrt(values[kept])
    return root @ root.T
