"""Projections on a subspace, and the share of each row's length that lies in it."""

import numpy as np

from sklearn_collapse._linalg._maps import LinearMap
from sklearn_collapse._linalg._rows import centring, map_rows
from sklearn_collapse.utils._arrays import device_of, float_dtype
from sklearn_collapse.utils._finite import raise_nonfinite

# Rounding of the centre, in units of the scale and of a dtype's spacing, that is no
# larger than the rounding of a product.
_NEGLIGIBLE = 8.0


def projection(vectors, *, complement, xp):
    """Orthogonal projection on a subspace or on its complement.

    Parameters
    ----------
    vectors : array of shape (d, k)
        Orthonormal columns; none is the subspace {0}.
    complement : bool
        Whether the subspace is what is projected out.

    Returns
    -------
    LinearMap
        Of d to d columns.
    """
    back = xp.matrix_transpose(vectors)
    if not complement:
        return LinearMap(vectors, back).cheapest(xp)
    ones = xp.ones((vectors.shape[0],), dtype=vectors.dtype, device=device_of(vectors))
    return LinearMap(vectors, -back, ones).cheapest(xp)


@np.errstate(over="ignore", invalid="ignore")
def subspace_ratio(
    rows, vectors, *, centre=None, scale=None, raw=False, factor=None, width=0
):
    """Map each row x to ||z V|| / ||z||, z = (x - centre) / scale.

    Parameters
    ----------
    rows : Rows
    vectors : array of shape (d, m)
        Orthonormal columns V, in float64, like the centre and the scale.
    centre : array of shape (d,), default=None
    scale : array of shape (d,), default=None
        Positive; only together with a centre.
    raw : bool, default=False
        Whether the length in the denominator is ||x||.
    factor : callable, default=None
        Maps a block of x and the same block of z to what its ratios are multiplied
        by, shape (n,). Rows that are not finite have been refused before.
    width : int, default=0
        Number of columns of what the factor computes.

    Returns
    -------
    array of shape (n,)
        Where the rows are worked on, in the precision in which rows are mapped. The
        ratio is 0 where the length is.
    """
    xp = rows.xp
    dtype = float_dtype(rows.X, xp)
    inverse = None
    if scale is not None:
        inverse = rows.local(1 / scale, dtype)
        centre = _rounded(rows.local(centre), rows.local(scale), dtype, xp)
    centred = centring(rows, centre, dtype)
    vectors = rows.local(vectors, dtype)

    def ratios(block, _):
        z = centred(block)
        if inverse is not None:
            z *= inverse
        inside, whole = xp.matmul(z, vectors), block if raw else z
        inside, whole = xp.vecdot(inside, inside), xp.vecdot(whole, whole)
        empty = whole == 0
        share = inside / xp.where(empty, xp.ones_like(whole), whole)
        if not raw:  # more than the whole is rounding
            share = xp.where(share > 1, xp.ones_like(share), share)
        ratio = xp.sqrt(xp.where(empty, xp.zeros_like(share), share))
        if factor is not None:
            ratio *= factor(block, z)
        return (ratio,)

    # A row that is not finite has a ratio that is not: no pass of its own to find it.
    check, width = factor is not None, max(*vectors.shape, width)
    found = map_rows(rows, ratios, width, dtype, check=check)[0]
    if not bool(xp.all(xp.isfinite(found))):
        raise_nonfinite(rows.X)
    return found


def _rounded(centre, scale, dtype, xp):
    """Round a centre to a dtype, where the second step of centring gains nothing."""
    rough = xp.astype(xp.astype(centre, dtype), xp.float64)
    least = _NEGLIGIBLE * float(xp.finfo(dtype).eps)
    return rough if bool(xp.all(xp.abs(rough - centre) <= least * scale)) else centre
