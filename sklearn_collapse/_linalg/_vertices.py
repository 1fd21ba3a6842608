"""Rows mapped into the space of a frame, and their cosines with its vertices.

A row x has the coordinates z = u A + b, u = x - centre. Only the cosines of z with the
vertices are wanted, so that one product takes u to all of them wherever that is
cheaper than to go through z.
"""

from typing import NamedTuple

import numpy as np

from sklearn_collapse._linalg._maps import LinearMap
from sklearn_collapse._linalg._rows import centring, map_rows, squares_fit_float32
from sklearn_collapse.utils._arrays import Array, float_dtype, namespace
from sklearn_collapse.utils._finite import raise_nonfinite

# Largest error of a coordinate, relative to the vertices, that float32 may cause;
# beyond it rows are worked on in float64.
_COORDINATE_ERROR = 1e-3


class VertexMap(NamedTuple):
    """What takes rows to their products with vertices, and to the length of z."""

    centre: Array  # (d,)
    left: Array  # (d, m)
    right: Array | None  # (m, C); None where u @ left are the products themselves
    offset: Array | None  # (m,), added to u @ left
    stretch: float | None  # length of u @ left + offset over that of z; None: ||u||
    spread: float  # root of the mean of ||u||^2 over the rows that were fitted

    @property
    def size(self):
        """Multiplications per row."""
        return LinearMap(self.left, self.right).size

    def linear(self, xp):
        """Weights (C, d) and intercepts (C,) of the products with the vertices."""
        weights = xp.matrix_transpose(LinearMap(self.left, self.right).dense(xp))
        intercept = -xp.matmul(weights, self.centre)
        if self.offset is not None:
            offset = self.offset[None, :]
            offset = offset if self.right is None else xp.matmul(offset, self.right)
            intercept = intercept + offset[0, :]
        return weights, intercept

    def needs_float64(self):
        """Whether float32 would lose digits of the cosines that count."""
        xp = namespace(self.left)
        if not squares_fit_float32(self.spread**2, self.spread**2, xp):
            return True
        if self.stretch is None:
            return False  # nothing cancels in an isometry
        eps = float(xp.finfo(xp.float32).eps)
        gain = float(xp.sum(self.left * self.left)) ** 0.5 / self.stretch
        return eps * self.spread * gain > _COORDINATE_ERROR


def isometric_map(centre, rotation, vertices, spread, xp):
    """Map z = (x - centre) R with a partial isometry; the length is ||x - centre||.

    Parameters
    ----------
    centre : array of shape (d,)
    rotation : array of shape (d, k)
    vertices : array of shape (C, k)
        Unit rows, or zero.
    spread : float
        Root of the mean of ||x - centre||^2.

    Returns
    -------
    VertexMap
    """
    found = LinearMap(rotation, xp.matrix_transpose(vertices)).cheapest(xp)
    return VertexMap(centre, found.left, found.right, None, None, spread)


def affine_map(centre, slope, offset, vertices, spread, xp):
    """Map z = (x - centre) A + b, whose own length counts.

    Parameters
    ----------
    centre : array of shape (d,)
    slope : array of shape (d, k)
        A; its rows, like b, lie in the span of the vertices, which are of size 1.
    offset : array of shape (k,)
        b; what is rounding becomes zero, or the centre would have a direction.
    vertices : array of shape (C, k)
        Unit rows, or zero.
    spread : float
        Root of the mean of ||x - centre||^2.

    Returns
    -------
    VertexMap
    """
    across = xp.matrix_transpose(vertices)
    rounding = max(vertices.shape) * float(xp.finfo(xp.float64).eps)
    if float(xp.max(xp.abs(offset))) <= rounding:
        offset = xp.zeros_like(offset)
    whole = LinearMap(slope, across)
    tight = _tightness(vertices, xp)
    if tight and slope.shape[0] * across.shape[1] <= whole.size:
        # The products with the vertices have the length of z, but for a factor.
        offset = xp.matmul(offset[None, :], across)[0, :]
        left = xp.matmul(slope, across)
        return VertexMap(centre, left, None, offset, tight**0.5, spread)
    return VertexMap(centre, slope, across, offset, 1.0, spread)


def least_squares(root, targets, spectrum, inverse, xp):
    """Slope of the least-squares map from features onto one target per class.

    Parameters
    ----------
    root : array of shape (C, d)
        Rows sqrt(p_c) (mean_c - mean), with the shares p_c of the classes.
    targets : array of shape (C, k)
        Rows sqrt(p_c) (b_c - b).
    spectrum : Spectrum
        Of the covariance of all rows.
    inverse : array of shape (d,)
        Inverse eigenvalues.

    Returns
    -------
    array of shape (d, k)
        Sigma^-1 sum_c p_c (mean_c - mean) (b_c - b)^T.
    """
    vectors = spectrum.vectors
    # Products with the C rows first: nothing of size d x d is made.
    inner = xp.matmul(xp.matrix_transpose(xp.matmul(root, vectors)), targets)
    return xp.matmul(vectors, inverse[:, None] * inner)


@np.errstate(over="ignore", invalid="ignore")
def vertex_logits(rows, found, factor, shift=None):
    """Map each row to factor * cos(z, vertex of class c) + shift_c.

    Parameters
    ----------
    rows : Rows
    found : VertexMap
    factor : float
    shift : array of shape (C,), default=None

    Returns
    -------
    array of shape (n, C)
        In X's own library, in the precision in which rows are mapped. The cosines of
        a row without length are 0.
    """
    xp = rows.xp
    result_dtype = float_dtype(rows.X, xp)
    dtype = xp.float64 if found.needs_float64() else result_dtype
    centred = centring(rows, found.centre, dtype)
    left, right, offset, shift = (
        None if x is None else rows.local(x, dtype)
        for x in (found.left, found.right, found.offset, shift)
    )

    def logits(block, _):
        u = centred(block)
        inner = xp.matmul(u, left)
        if offset is not None:
            inner += offset
        z = u if found.stretch is None else inner
        length = xp.sqrt(xp.vecdot(z, z))
        safe = xp.where(length > 0, length / (found.stretch or 1.0), length + 1)
        out = inner if right is None else xp.matmul(inner, right)
        out /= safe[:, None]
        out = factor * xp.clip(out, -1.0, 1.0)
        if shift is not None:
            out += shift
        return length, xp.astype(out, result_dtype, copy=False)

    # NaN, infinity and squares that overflow reach the length of their row.
    width = LinearMap(found.left, found.right).columns
    length, out = map_rows(rows, logits, width, dtype, home=True, check=False)
    xp = namespace(length)
    if not bool(xp.all(xp.isfinite(length))):
        raise_nonfinite(rows.X)
    return out


def _tightness(vertices, xp):
    """The factor c of V^T V = c P with a projection P, or 0 if there is none."""
    gram = xp.matmul(xp.matrix_transpose(vertices), vertices)
    total = float(xp.linalg.trace(gram))
    factor = float(xp.sum(gram * gram)) / total
    rounding = max(vertices.shape) * float(xp.finfo(xp.float64).eps)
    error = xp.max(xp.abs(xp.matmul(vertices, gram) - factor * vertices))
    return factor if float(error) <= rounding * factor else 0.0
