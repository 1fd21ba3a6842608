"""Spectra of a covariance that is never formed: S = F^T F with few rows F.

For fewer rows than features. "svd" decomposes the rows themselves; "gram" the small
matrix of their products, which is faster and then corrected to the same result.
"""

import math

from sklearn_collapse._linalg._spectrum import Spectrum
from sklearn_collapse.utils._arrays import device_of
from sklearn_collapse.utils._decompositions import eigh, svd

# Cosine between directions of rows that nobody sees.
_ORTHOGONAL = 1e-11


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
    lengths : array of shape (k,)
        Lengths of the rows, descending; k = min(m, d), or fewer where the rest is
        rounding.
    vectors : array of shape (d, k)
        Their directions, orthonormal columns.
    """
    if solver == "svd":
        _, lengths, right = svd(rows)
        return lengths, xp.matrix_transpose(right)
    m, d = rows.shape
    flipped = xp.matrix_transpose(rows)
    if m >= d:
        values, vectors = eigh(xp.matmul(flipped, rows))
        values = xp.clip(xp.flip(values, axis=0), 0.0, None)
        return xp.sqrt(values), xp.flip(vectors, axis=1)
    values, turn = eigh(xp.matmul(rows, flipped))
    turned = xp.matmul(flipped, xp.flip(turn, axis=1))
    lengths = xp.sqrt(xp.sum(turned * turned, axis=0))
    eps = float(xp.finfo(values.dtype).eps)
    count = lengths > (max(10.0, math.sqrt(d)) * eps) ** 0.5 * lengths[0]
    k = int(xp.sum(xp.astype(count, xp.int64)))
    if k and eps * float(lengths[0] / lengths[k - 1]) ** 2 < _ORTHOGONAL:
        return lengths[:k], turned[:, :k] / lengths[:k]
    # Short rows carry the rounding of the longest: their parts along longer ones are
    # taken off, longest first.
    vectors, corner = xp.linalg.qr(turned)
    lengths = xp.abs(xp.linalg.diagonal(corner))
    order = xp.argsort(lengths, descending=True, stable=True)
    return xp.take(lengths, order), xp.take(vectors, order, axis=1)


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
    largest = float(values[0])
    if rank_tol is not None:
        limits = xp.full_like(values, rank_tol * largest)
        others = rank_tol * largest
    else:
        rounding = max(10.0, math.sqrt(d)) * product_eps * largest
        along = noise(vectors**2)
        limits = xp.clip(along, rounding, None)
        everywhere = noise(xp.ones((d, 1), dtype=along.dtype, device=device_of(along)))
        left = float(everywhere[0]) - float(xp.sum(along))
        others = max(rounding, left / max(d - k, 1))
    full = k < d and rest > others
    keep = xp.ones_like(values, dtype=xp.bool) if full else values > limits
    kept = int(xp.sum(xp.astype(keep, xp.int64)))
    order = xp.argsort(xp.astype(~keep, xp.int8), stable=True)[:kept]
    dropped = float(xp.sum(xp.where(keep, xp.zeros_like(limits), limits)))
    floor = min(float(xp.min(limits)), others)
    if kept < d and not full:
        floor = (dropped + (d - k) * others) / (d - kept)
    tail = xp.full((d - kept,), rest, dtype=values.dtype, device=device_of(values))
    return Spectrum(
        xp.concat([xp.take(values, order), tail]),
        xp.take(vectors, order, axis=1),
        d if full else kept,
        floor,
    )
