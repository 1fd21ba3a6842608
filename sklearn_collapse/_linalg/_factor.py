"""Spectra of a covariance that is never formed: S = F^T F with few rows F.

For fewer rows than features. "svd" decomposes the rows themselves; "gram" the small
matrix of their products, by matrix products alone where those have digits enough.
"""

import math

from sklearn_collapse._linalg._spectrum import Spectrum
from sklearn_collapse.utils._arrays import device_of
from sklearn_collapse.utils._decompositions import eigh, svd

# Cosine between directions of rows, before it is squared, that is left to correction.
_NEARLY_ORTHOGONAL = 1e-5


def orthogonal_rows(rows, solver, xp):
    """Rows with the same Gram matrix F^T F that are orthogonal, the longest first.

    Parameters
    ----------
    rows : array of shape (m, d)
        In float64.
    solver : {"svd", "gram"}
    xp : namespace

    Returns
    -------
    array of shape (k, d)
        F without rows that are rounding: k <= min(m, d). With "gram" short rows are
        orthogonal up to the rounding of the longest; F^T F is right all the same.
    """
    if not rows.shape[0]:
        return rows
    if solver == "gram":
        found = _turned(rows, xp)
        if found is not None:
            return found
    _, lengths, right = svd(rows)
    eps = float(xp.finfo(lengths.dtype).eps)
    k = _count(lengths > max(rows.shape) * eps * lengths[0], xp)
    return lengths[:k, None] * right[:k, :]


def directions(rows, xp):
    """Lengths of orthogonal rows and their directions, orthonormal columns (d, k)."""
    lengths = xp.sqrt(xp.vecdot(rows, rows))
    vectors = rows / lengths[:, None]
    # One Newton step towards orthonormal rows.
    products = xp.matmul(vectors, xp.matrix_transpose(vectors))
    eye = xp.eye(rows.shape[0], dtype=rows.dtype, device=device_of(rows))
    vectors = vectors - xp.matmul((products - eye) / 2, vectors)
    return lengths, xp.matrix_transpose(vectors)


def _turned(rows, xp):
    """Rows turned by the eigenvectors of their products; None if those lack digits."""
    m, d = rows.shape
    if m > d:
        rows = xp.linalg.qr(rows)[1]
    values, turn = eigh(xp.matmul(rows, xp.matrix_transpose(rows)))
    eps = float(xp.finfo(values.dtype).eps)
    rounding = max(10.0, math.sqrt(d)) * eps * float(values[-1])
    k = _count(values > rounding, xp)
    start = values.shape[0] - k
    if k and eps * float(values[-1] / values[start]) > _NEARLY_ORTHOGONAL:
        return None
    turn = xp.flip(turn[:, start:], axis=1)
    return xp.matmul(xp.matrix_transpose(turn), rows)


def spectrum_of_rows(values, vectors, rest, noise, product_eps, rank_tol, xp):
    """Spectrum with its rank decided, of which only few eigenvectors are known.

    Parameters
    ----------
    values : array of shape (k,)
        Eigenvalues, descending.
    vectors : array of shape (d, k)
        Their eigenvectors, orthonormal columns.
    rest : float
        Eigenvalue of all other directions.
    noise : callable
        Maps squared unit vectors in columns to the variance of the input's rounding.
    product_eps : float
        Spacing of the dtype of the products.
    rank_tol : float or None
        Overrides the rank rule: keep eigenvalues above ``rank_tol`` times the largest.

    Returns
    -------
    Spectrum
        Its ``vectors`` are those of the leading eigenvalues that count. If ``rest``
        counts, so does all else, and the rank is d.
    """
    d, k = vectors.shape
    like = {"dtype": values.dtype, "device": device_of(values)}
    largest = float(values[0]) if k else 0.0
    if rank_tol is not None:
        limits = xp.full((k,), rank_tol * largest, **like)
        others = rank_tol * largest
    else:
        rounding = max(10.0, math.sqrt(d)) * product_eps * largest
        along = noise(vectors**2)
        limits = xp.clip(along, rounding, None)
        everywhere = float(noise(xp.ones((d, 1), **like))[0])
        others = max(rounding, (everywhere - float(xp.sum(along))) / max(d - k, 1))
    full = k < d and rest > others
    keep = values > limits
    if full:
        keep = xp.ones_like(keep)
    kept = _count(keep, xp)
    order = xp.argsort(xp.astype(~keep, xp.int8), stable=True)[:kept]
    if kept == d or full:
        floor = float(xp.min(xp.concat([limits, xp.full((1,), others, **like)])))
    else:
        dropped = float(xp.sum(xp.where(keep, xp.zeros_like(limits), limits)))
        floor = (dropped + (d - k) * others) / (d - kept)
    tail = xp.full((d - kept,), rest, **like)
    return Spectrum(
        xp.concat([xp.take(values, order), tail]),
        xp.take(vectors, order, axis=1),
        d if full else kept,
        floor,
    )


def _count(mask, xp):
    return int(xp.sum(xp.astype(mask, xp.int64)))
