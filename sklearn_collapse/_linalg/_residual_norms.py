"""Length of what a subspace leaves of each row.

Never the root of a difference of squares: what is left of collapsed features is far
smaller than they are, and that difference would have no digits of it.
"""

from typing import NamedTuple

import numpy as np

from sklearn_collapse._linalg._rows import centring, map_rows
from sklearn_collapse.utils._arrays import Array, float_dtype
from sklearn_collapse.utils._decompositions import svd
from sklearn_collapse.utils._finite import raise_nonfinite

# Largest relative error of a typical residual that float32 products may cause.
_RESIDUAL_ERROR = 1e-3


class Residual(NamedTuple):
    """The map x -> x - centre without its part in a subspace, all in float64."""

    centre: Array | None  # (d,); None is the origin
    basis: Array | None  # (d, m), orthonormal columns; None leaves all
    # Whether the basis spans what is taken off, and not what is left.
    taken_off: bool
    # Whether float32 products would lose digits of what is left.
    wide: bool = False
    # Norm up to which the rank rule calls what is left rounding: it counts as 0.
    least: float = 0.0

    @property
    def size(self):
        """Multiplications per row."""
        if self.basis is None:
            return self.centre.shape[0] if self.centre is not None else 0
        return self.basis.shape[0] * self.basis.shape[1] * (1 + self.taken_off)


def residual_of(spectrum, k, centre, xp):
    """Prepare what the first k eigenvectors of a second moment leave of rows.

    Parameters
    ----------
    spectrum : Spectrum
        Of the mean of z z^T, z = x - centre.
    k : int
        Less than d.
    centre : array of shape (d,) or None

    Returns
    -------
    Residual
    """
    values, vectors = spectrum.values, spectrum.vectors
    d = values.shape[0]
    total, left = float(xp.sum(values)), float(xp.sum(values[k:]))
    rounding = d * float(np.finfo(np.float32).eps) ** 2 * total
    wide = rounding > _RESIDUAL_ERROR**2 * left
    least = ((d - k) * spectrum.floor) ** 0.5
    if not k:
        return Residual(centre, None, False, wide, least)
    # A product with the complement, or two with what is taken off and a difference.
    taken_off = 3 * k < d
    basis = vectors[:, :k] if taken_off else vectors[:, k:]
    # Products are slow where columns run backwards, as those of a spectrum do.
    return Residual(centre, xp.asarray(basis, copy=True), taken_off, wide, least)


@np.errstate(over="ignore", invalid="ignore")
def residual_norms(rows, residual, *, also=None, width=0):
    """Norm of what is left of each row.

    Parameters
    ----------
    rows : Rows
    residual : Residual
    also : callable, default=None
        Maps a block of x and the same block of x - centre to a tuple of arrays (n,).
        Rows that are not finite have been refused before.
    width : int, default=0
        Number of columns of what it computes.

    Returns
    -------
    tuple of arrays of shape (n,)
        Norms and what ``also`` returns, where the rows are worked on, in the
        precision in which rows are mapped.
    """
    xp = rows.xp
    result = float_dtype(rows.X, xp)
    dtype = working_dtype(rows, residual)
    centred = centring(rows, residual.centre, dtype)
    basis = None if residual.basis is None else rows.local(residual.basis, dtype)

    def norms(block, _):
        z = centred(block)
        left = z if basis is None else xp.matmul(z, basis)
        if residual.taken_off:
            left = z - xp.matmul(left, xp.matrix_transpose(basis))
        norm = xp.sqrt(xp.vecdot(left, left))
        parts = (xp.where(norm <= residual.least, xp.zeros_like(norm), norm),)
        if also is not None:
            parts += also(block, z)
        return tuple(xp.astype(part, result, copy=False) for part in parts)

    # A row that is not finite has a norm that is not: no pass of its own to find it.
    width = max(2 * rows.X.shape[1], width)
    found = map_rows(rows, norms, width, dtype, check=also is not None)
    if not bool(xp.all(xp.isfinite(found[0]))):
        raise_nonfinite(rows.X)
    return found


def working_dtype(rows, residual):
    """Dtype in which blocks are worked on."""
    return rows.xp.float64 if residual.wide else float_dtype(rows.X, rows.xp)


def head_origin(coef, intercept, xp):
    """Point u = -W^+ b, where the logits of a head are nearest to zero.

    Parameters
    ----------
    coef : array of shape (C, d)
    intercept : array of shape (C,)

    Returns
    -------
    array of shape (d,)

    Notes
    -----
    Weights count as known to float32, in which networks are trained: of weights that
    are centred over classes up to rounding, W^+ would be nothing else.
    """
    left, values, right = svd(coef)
    eps = float(np.finfo(np.float32).eps)
    counts = values > max(coef.shape) * eps * values[0]
    inverse = 1 / xp.where(counts, values, xp.ones_like(values))
    inverse = xp.where(counts, inverse, xp.zeros_like(values))
    along = xp.matmul(xp.matrix_transpose(left), intercept) * inverse
    return -xp.matmul(xp.matrix_transpose(right), along)
