"""Share of each row's length that lies in a subspace."""

import numpy as np

from sklearn_collapse._linalg._rows import centring, map_rows
from sklearn_collapse.utils._arrays import float_dtype
from sklearn_collapse.utils._finite import raise_nonfinite


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
        by, shape (n,).
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
    centred = centring(rows, centre, dtype)
    inverse = None if scale is None else rows.local(1 / scale, dtype)
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

    found = map_rows(rows, ratios, max(*vectors.shape, width), dtype)[0]
    if not bool(xp.all(xp.isfinite(found))):
        raise_nonfinite(rows.X)
    return found
