"""Block-diagonal matrices as stacks of equal blocks.

Consecutive groups whose sizes differ by one at the most, larger ones first as in
``np.array_split``, need two stacks: nothing loops over groups.
"""

from typing import NamedTuple

import numpy as np

from sklearn_collapse.utils._arrays import Array, device_of, is_numpy


def diagonal_blocks(matrix, n_groups, xp):
    """Cut the blocks of consecutive groups out of a matrix.

    Parameters
    ----------
    matrix : array of shape (d, d)
    n_groups : int
        At most d.

    Returns
    -------
    tuple of arrays of shape (g, k, k)
        One stack, or two if the groups do not have the same size.
    """
    size, larger = divmod(matrix.shape[0], n_groups)
    stacks, start = [], 0
    for count, k in ((larger, size + 1), (n_groups - larger, size)):
        if count:
            here = slice(start, start + count * k)
            pairs = xp.reshape(matrix[here, here], (count, k, count, k))
            own = xp.linalg.diagonal(xp.permute_dims(pairs, (1, 3, 0, 2)))
            # Through a flat array, so that the entries of each block lie together.
            flat = xp.reshape(xp.permute_dims(own, (2, 0, 1)), (-1,))
            stacks.append(xp.reshape(flat, (count, k, k)))
            start = here.stop
    return tuple(stacks)


class BlockMap(NamedTuple):
    """The map of rows by a block-diagonal matrix, like `LinearMap`, in float64."""

    stacks: tuple[Array, ...]  # of shape (g, k, k), in the order of the columns

    @property
    def arrays(self):
        """The arrays that it is made of."""
        return self.stacks

    @property
    def height(self):
        """Number of columns of the input."""
        return sum(stack.shape[0] * stack.shape[1] for stack in self.stacks)

    @property
    def width(self):
        """Number of columns of the output."""
        return self.height

    @property
    def size(self):
        """Multiplications per row."""
        return sum(stack.shape[0] * stack.shape[1] ** 2 for stack in self.stacks)

    @property
    def columns(self):
        """Number of columns that a block and what is made of it occupy."""
        return self.height

    def placed(self, place):
        """Return the map with ``place`` applied to its arrays."""
        return BlockMap(tuple(place(stack) for stack in self.stacks))

    def apply(self, block, xp, out=None):
        """Map a block of rows, into ``out`` if that is given (NumPy)."""
        if out is None and is_numpy(xp):
            out = np.empty_like(block)
        parts, start = [], 0
        for stack in self.stacks:
            g, k, _ = stack.shape
            here = slice(start, start + g * k)
            groups = _groups(block[:, here], g, xp)
            if out is None:
                product = xp.permute_dims(xp.matmul(groups, stack), (1, 0, 2))
                parts.append(xp.reshape(product, (block.shape[0], g * k)))
            else:  # views all the way
                np.matmul(groups, stack, out=_groups(out[:, here], g, xp))
            start = here.stop
        if out is not None:
            return out
        return parts[0] if len(parts) == 1 else xp.concat(parts, axis=1)

    def inverse(self, xp):
        """Return the map back; a block of zeros has a block of zeros."""
        return BlockMap(tuple(_inverse(stack, xp) for stack in self.stacks))

    def dense(self, xp):
        """Matrix of shape (d, d)."""
        matrix = _dense(self.stacks[0], xp)
        for stack in self.stacks[1:]:
            other = _dense(stack, xp)
            like = {"dtype": matrix.dtype, "device": device_of(matrix)}
            corner = xp.zeros((matrix.shape[0], other.shape[0]), **like)
            upper = xp.concat([matrix, corner], axis=1)
            lower = xp.concat([xp.matrix_transpose(corner), other], axis=1)
            matrix = xp.concat([upper, lower], axis=0)
        return matrix


def _groups(rows, g, xp):
    """View of rows of shape (n, g k) as (g, n, k)."""
    n, d = rows.shape
    return xp.permute_dims(xp.reshape(rows, (n, g, d // g)), (1, 0, 2))


def _dense(stack, xp):
    """Block-diagonal matrix of a stack."""
    g, k, _ = stack.shape
    eye = xp.eye(g, dtype=stack.dtype, device=device_of(stack))
    pairs = xp.reshape(eye, (g, 1, g, 1)) * xp.reshape(stack, (g, k, 1, k))
    return xp.reshape(pairs, (g * k, g * k))


def _inverse(stack, xp):
    eye = xp.eye(stack.shape[-1], dtype=stack.dtype, device=device_of(stack))
    zero = ~xp.any(stack != 0, axis=(1, 2))[:, None, None]
    inverse = xp.linalg.inv(xp.where(zero, eye, stack))
    return xp.where(zero, xp.zeros_like(inverse), inverse)
