"""Linear maps of rows that are kept in factors, and what they make of blocks."""

from typing import NamedTuple

import numpy as np

from sklearn_collapse._linalg._rows import centring, map_rows
from sklearn_collapse.utils._arrays import (
    Array,
    device_of,
    float_dtype,
    is_numpy,
    to_numpy,
)
from sklearn_collapse.utils._finite import raise_nonfinite


class LinearMap(NamedTuple):
    """The map x -> x @ left @ right + rest * x, all in float64.

    A square matrix of low rank, or one that differs from a diagonal by a low rank, is
    never formed that way.
    """

    left: Array  # (d, m)
    right: Array = None  # (m, k); None for the identity
    rest: Array = None  # (d,), with k = d; None for zeros

    @property
    def arrays(self):
        """The arrays that it is made of."""
        return tuple(x for x in self if x is not None)

    @property
    def height(self):
        """Number of columns of the input."""
        return self.left.shape[0]

    @property
    def width(self):
        """Number of columns of the output."""
        return (self.left if self.right is None else self.right).shape[1]

    @property
    def size(self):
        """Multiplications per row."""
        inner = self.left.shape[1]
        return inner * self.left.shape[0] + (
            0 if self.right is None else inner * self.width
        )

    @property
    def columns(self):
        """Number of columns that a block and what is made of it occupy."""
        widths = [*self.left.shape, self.width]
        alone = self.right is None and self.rest is None
        return max(widths) if alone else sum(widths)

    def placed(self, place):
        """Return the map with ``place`` applied to its arrays."""
        return LinearMap(*(None if x is None else place(x) for x in self))

    def apply(self, block, xp, out=None):
        """Map a block of rows, into ``out`` if that is given (NumPy)."""
        inner = block if self.right is None else xp.matmul(block, self.left)
        last = self.left if self.right is None else self.right
        if out is None:
            out = xp.matmul(inner, last)
        else:
            np.matmul(inner, last, out=out)
        if self.rest is not None:
            out += block * self.rest
        return out

    def dense(self, xp):
        """Matrix of shape (d, k)."""
        matrix = self.left
        if self.right is not None:
            matrix = xp.matmul(matrix, self.right)
        if self.rest is not None:
            eye = xp.eye(matrix.shape[0], dtype=matrix.dtype, device=device_of(matrix))
            matrix = matrix + eye * self.rest
        return matrix

    def cheapest(self, xp, *, keep=False):
        """Return the same map with its factors multiplied where that saves work.

        ``keep`` leaves them alone.
        """
        if self.right is None or keep:
            return self
        (d, m), k = self.left.shape, self.width
        return self if m * (d + k) < d * k else LinearMap(self.dense(xp))


@np.errstate(over="ignore", invalid="ignore")
def affine_rows(rows, linear, *, centre=None, offset=None, wide=False):
    """Map each row x to linear(x - centre) + offset.

    Parameters
    ----------
    rows : Rows
    linear : LinearMap or BlockMap
    centre : array of shape (d,), default=None
        In float64, like the offset.
    offset : array of shape (k,), default=None
    wide : bool, default=False
        Whether float32 rows are worked on in float64.

    Returns
    -------
    array of shape (n, k)
        In X's own library, in the precision in which rows are mapped.
    """
    xp = rows.xp
    result_dtype = float_dtype(rows.X, xp)
    dtype = xp.float64 if wide else result_dtype
    product, width = _product(rows, linear, centre, dtype)
    if offset is not None:
        offset = rows.local(offset, dtype)

    shape = (rows.X.shape[0], linear.width)
    # NumPy writes its products straight into the result.
    whole = np.empty(shape, dtype) if is_numpy(xp) and not wide else None

    def mapped(block, here):
        out = product(block, None if whole is None else whole[here])
        if offset is not None:
            out += offset
        out = xp.astype(out, result_dtype, copy=False)
        sums = xp.sum(out, axis=1)
        return (sums, out) if whole is None else (sums,)

    # NaN and infinity in a row reach its sum.
    options = {"home": True, "check": False}
    sums, *found = map_rows(rows, mapped, width, dtype, **options)
    if not np.all(np.isfinite(to_numpy(sums))):
        raise_nonfinite(rows.X)
    return found[0] if whole is None else whole


@np.errstate(over="ignore", invalid="ignore")
def squared_norms(rows, linear, *, centre, wide=False):
    """Map each row x to ||linear(x - centre)||^2, without keeping the output.

    Parameters
    ----------
    rows, linear, centre, wide
        As for `affine_rows`.

    Returns
    -------
    array of shape (n,)
        In X's own library, in the precision in which rows are mapped.
    """
    xp = rows.xp
    result_dtype = float_dtype(rows.X, xp)
    dtype = xp.float64 if wide else result_dtype
    product, width = _product(rows, linear, centre, dtype)

    def lengths(block, _):
        out = product(block)
        return (xp.astype(xp.vecdot(out, out), result_dtype, copy=False),)

    found = map_rows(rows, lengths, width, dtype, home=True, check=False)[0]
    if not np.all(np.isfinite(to_numpy(found))):
        raise_nonfinite(rows.X)
    return found


def _product(rows, linear, centre, dtype):
    """Function of a block that applies a linear map to it, and its width."""
    xp = rows.xp
    linear = linear.placed(lambda values: rows.local(values, dtype))
    centred = centring(rows, centre, dtype)

    def product(block, out=None):
        return linear.apply(centred(block), xp, out)

    return product, linear.columns
