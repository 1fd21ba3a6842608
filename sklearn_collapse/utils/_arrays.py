"""The array boundary: which library an array belongs to, where it lives, and the
few operations that the array API standard lacks or that NumPy does faster.

Apart from `_gpu.py`, and `heads.py` and `_moments_reduce.py` (which read a torch layer
and sum over a process group without importing torch), nothing else in the package
names torch or array_api_compat.
"""

from typing import Any

import array_api_compat
import numpy as np
from scipy import sparse
from scipy.linalg import blas

from sklearn_collapse.utils._gpu import (
    Feed,
    block_factor,
    check_float64,
    free_cached,
    full_precision,
    gpu_for,
    halved,
    repays_float64,
    sent,
)

Array = Any  # an array of any library that follows the standard

_BLOCK_BYTES = 8 * 2**20
_RUNS = 128  # runs of rows that are summed by one product

# OpenBLAS 0.3.30 crashes in the triangular product of 18,000 columns and more.
_MOST_COLUMNS = 2**14
_PANEL = 1024


def is_foreign(X):
    """Whether X is an array of a library other than NumPy (torch, strict, …)."""
    return array_api_compat.is_array_api_obj(X) and not isinstance(
        X, (np.ndarray, np.generic)
    )


def namespace(*arrays):
    """Return the one array namespace of the arrays."""
    return array_api_compat.array_namespace(*arrays)


def is_numpy(xp):
    """Whether a namespace is NumPy's."""
    return array_api_compat.is_numpy_namespace(xp)


def is_torch(xp):
    """Whether a namespace is torch's."""
    return array_api_compat.is_torch_namespace(xp)


def device_of(x):
    """Device of an array."""
    return array_api_compat.device(x)


def place_of(x):
    """Library and device of an array as one comparable, printable value."""
    if not is_foreign(x):
        return ("numpy", "cpu")
    name = namespace(x).__name__.removeprefix("array_api_compat.")
    return (name, device_name(x))


def detach(X):
    """Drop the autograd history that a torch tensor may carry."""
    return X.detach() if array_api_compat.is_torch_array(X) else X


def is_sparse_tensor(X):
    """Whether a torch tensor is not stored as a plain array."""
    return array_api_compat.is_torch_array(X) and "strided" not in str(X.layout)


def to_numpy(x):
    """Array of any library and device as a NumPy array; may share its memory."""
    if not is_foreign(x):
        return np.asarray(x)
    if array_api_compat.is_torch_array(x):
        x = x.detach().cpu()
        # NumPy has no bfloat16.
        return (x.float() if "bfloat16" in str(x.dtype) else x).numpy()
    if device_name(x) != "cpu":
        default = namespace(x).__array_namespace_info__().default_device()
        x = array_api_compat.to_device(x, default)
    return np.asarray(x)


def device_name(x):
    """Device of an array in lower case; every library's main memory is "cpu"."""
    name = str(device_of(x)).lower()
    return "cpu" if "cpu" in name else name


def as_like(values, like, dtype=None):
    """Copy values, of any library, to the library and device of `like`."""
    xp = namespace(like)
    if is_foreign(values) and place_of(values) == place_of(like):
        return values if dtype is None else xp.astype(values, dtype, copy=False)
    values = to_numpy(values)
    if is_numpy(xp):
        return values if dtype is None else values.astype(dtype, copy=False)
    # torch warns about read-only memory and refuses arrays that run backwards.
    if not values.flags.writeable or min(values.strides, default=0) < 0:
        values = values.copy()
    if is_torch(xp):
        return sent(values, like, dtype)
    return xp.asarray(values, dtype=dtype, device=device_of(like))


def float_dtype(X, xp):
    """Dtype of `xp` in which rows of X are mapped; float64 for integers.

    ``xp`` may be another library than X's, where the rows are worked on.
    """
    home = namespace(X)
    if home.isdtype(X.dtype, "real floating") and home.finfo(X.dtype).bits < 64:
        return xp.float32
    return xp.float64


def input_eps(X, xp):
    """Spacing of the dtype that was handed in; integers count as float64."""
    if xp.isdtype(X.dtype, "real floating"):
        return float(xp.finfo(X.dtype).eps)
    return float(np.finfo(np.float64).eps)


def block_rows(width):
    """Number of rows of a block with `width` float64 columns.

    Blocks stay small enough for the allocator to reuse their memory (fresh pages
    cost as much as the arithmetic) and large enough for a product to be worth it.
    """
    return max(256, min(16384, _BLOCK_BYTES // (8 * max(int(width), 1))))


def slices(n, step):
    """Yield slices of at most `step` positions that cover n of them."""
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def is_memmap(X):
    """Whether a NumPy array reads from a file, itself or through its base."""
    while isinstance(X, np.ndarray):
        if isinstance(X, np.memmap):
            return True
        X = X.base
    return False


def segment_sums(rows, edges, weights, xp):
    """Sum consecutive runs of rows.

    Parameters
    ----------
    rows : array of shape (m, d)
    edges : ndarray of shape (k + 1,)
        Run j is ``rows[edges[j]:edges[j + 1]]``.
    weights : ndarray of shape (m,) or None

    Returns
    -------
    array of shape (k, d)
    """
    if is_numpy(xp):
        data = np.ones(len(rows)) if weights is None else weights
        index = np.arange(len(rows))
        shape = (len(edges) - 1, len(rows))
        data = data.astype(rows.dtype, copy=False)
        return sparse.csr_matrix((data, index, edges), shape=shape) @ rows
    sums = []
    for runs in slices(len(edges) - 1, _RUNS):  # an indicator of all would be n x C
        rows_of_runs = slice(int(edges[runs.start]), int(edges[runs.stop]))
        some = rows[rows_of_runs, :]
        # Made where the rows are: only the edges go there.
        bounds = as_like(edges[runs.start : runs.stop + 1] - edges[runs.start], rows)
        at = xp.arange(some.shape[0], dtype=bounds.dtype, device=device_of(rows))
        indicator = (at >= bounds[:-1, None]) & (at < bounds[1:, None])
        indicator = xp.astype(indicator, rows.dtype)
        if weights is not None:
            indicator = indicator * as_like(weights[rows_of_runs], rows, rows.dtype)
        sums.append(xp.matmul(indicator, some))
    return xp.concat(sums)


def subtract_from_runs(rows, edges, values, xp):
    """Subtract one row of values from each run of rows, in place.

    Long runs are done one by one on views: that spares a temporary as large as the
    rows, and there are no more of them than classes plus blocks.
    """
    if is_numpy(xp) and len(rows) >= 64 * len(values):
        runs = zip(edges[:-1].tolist(), edges[1:].tolist(), values, strict=True)
        for start, stop, value in runs:
            rows[start:stop] -= value
        return
    index = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    rows -= xp.take(values, as_like(index, rows), axis=0)


def add_gram(total, rows, xp, sign=1.0):
    """Return ``total + sign * rows.T @ rows``; NumPy fills the upper triangle only.

    `mirror` completes the matrix after the last block.
    """
    if is_numpy(xp):
        if rows.shape[1] > _MOST_COLUMNS:
            return _add_panels(total, rows, sign)
        same = rows.dtype == total.dtype
        if same:  # one triangle, accumulated in place: half the work of `@`
            return blas.dsyrk(sign, rows.T, beta=1.0, c=total, overwrite_c=1)
        return total + blas.ssyrk(sign, rows.T)
    gram = xp.matmul(xp.matrix_transpose(rows), rows)
    return total + sign * xp.astype(gram, total.dtype)


def _add_panels(total, rows, sign):
    """Fill the upper triangle panel by panel of columns."""
    for columns in slices(rows.shape[1], _PANEL):
        above = slice(0, columns.stop)
        total[above, columns] += sign * (rows[:, above].T @ rows[:, columns])
    return total


def add_low_rank(total, rows, xp):
    """Return ``total + rows.T @ rows`` for few rows; ``total`` is written to."""
    if is_numpy(xp):
        # One product straight into the sum: `@` would take the symmetric routine,
        # whose copy from one triangle to the other costs more than the arithmetic.
        a = rows.T
        return blas.dgemm(1.0, a, a, beta=1.0, c=total.T, trans_b=1, overwrite_c=1).T
    return total + xp.matmul(xp.matrix_transpose(rows), rows)


def mirror(total, xp):
    """Complete the matrix that `add_gram` accumulated."""
    if is_numpy(xp):
        # Panels on the diagonal are full; below them are zeros.
        if total.shape[0] > _MOST_COLUMNS:
            total = np.triu(total)
        full = np.add(total, total.T, order="C")
        np.fill_diagonal(full, np.diagonal(total))
        return full
    return (total + xp.matrix_transpose(total)) / 2


def fill(values, mask, new, xp):
    """Replace the entries under a mask by new ones, in the order of `nonzero`."""
    if is_numpy(xp):
        values = values.copy()
        values[mask] = new
        return values
    flat = xp.reshape(xp.astype(mask, xp.int64), (-1,))
    position = xp.clip(xp.cumulative_sum(flat) - 1, 0, None)
    spread = xp.reshape(xp.take(new, position), values.shape)
    return xp.where(mask, spread, values)


class Rows:
    """Blocks of rows of X, fetched to where they are worked on.

    A foreign array is worked on where it lives. NumPy rows are worked on by NumPy or,
    with ``device`` naming a GPU, copied there block by block.

    Parameters
    ----------
    X : array of shape (n, d)
    device : {"auto", "cpu"} or str
    work : float
        Multiplications that will be spent on X, for ``device="auto"``.
    double : bool, default=None
        Whether most of them are in float64, which few GPUs do fast; by default as X.
    """

    def __init__(self, X, device="auto", work=0.0, *, double=None):
        self.X = X
        self._home = namespace(X)
        self._target = None
        if is_foreign(X):
            check_device(X, device)
            check_float64(X)
        else:
            target = gpu_for(device, work)
            if double is None:
                double = float_dtype(X, self._home) == self._home.float64
            worth_it = device != "auto" or not double or repays_float64(target, work)
            self._target = target if worth_it else None
        self.xp = self._home if self._target is None else namespace(self._target)
        self._halvings = 0  # of blocks that the GPU's memory did not hold

    def fetch(self, index, dtype, *, copy=False):
        """Rows of a slice or of a NumPy index array; ``copy`` makes them writable."""
        if isinstance(index, slice):
            rows = self.X[index, :]
        elif is_foreign(self.X):
            rows = self._home.take(self.X, as_like(index, self.X), axis=0)
        else:
            rows = self.X.take(index, axis=0, mode="clip")  # indices are ours: in range
        return self.xp.astype(rows, dtype, copy=copy and isinstance(index, slice))

    def visit(self, function, width, dtype, *, order=None, copy=False):
        """Call ``function(block, here)`` for one block of rows after the other.

        A block that a GPU's memory does not hold is halved and begun again, so a call
        that raises must leave what the function keeps as it was. A block is valid
        during the call only.

        Parameters
        ----------
        function : callable
            Takes the block and the slice of positions that it covers.
        width : int
            Number of float64 columns that a block occupies at the most.
        dtype : dtype
            Of the blocks.
        order : ndarray of int, default=None
            The rows to visit; by default all, as they stand.
        copy : bool, default=False
            Whether the function may write to the block.
        """
        n = self.X.shape[0] if order is None else len(order)
        step = max(1, block_rows(width) * block_factor(self._like) >> self._halvings)
        feed, start = None, 0
        with full_precision(self._like):
            try:
                while start < n:
                    here = slice(start, min(start + step, n))
                    try:
                        if self._target is not None and feed is None:
                            feed = Feed(self.X, order, step, self._target)
                        function(self._block(feed, here, order, dtype, copy), here)
                    except Exception as error:
                        step = halved(here.stop - start, error)
                        self._halvings += 1
                        feed = _closed(feed)
                    else:
                        start = here.stop
                        continue
                    # Only here is what the error held on to free.
                    free_cached()
            finally:
                _closed(feed)

    def _block(self, feed, here, order, dtype, copy):
        if feed is None:
            return self.fetch(here if order is None else order[here], dtype, copy=copy)
        return self.xp.astype(feed.block(here), dtype, copy=False)

    def local(self, values, dtype=None):
        """Put a small array where the blocks are."""
        return as_like(values, self._like, dtype)

    def home(self, values):
        """Bring a result back to X's own library."""
        return values if self._target is None else to_numpy(values)

    @property
    def streamed(self):
        """Whether NumPy rows are copied to a device block by block."""
        return self._target is not None

    @property
    def place(self):
        """Library and device on which the work is done."""
        return place_of(self._like)

    @property
    def _like(self):
        return self.X if self._target is None else self._target


def _closed(feed):
    if feed is not None:
        feed.close()


def check_device(X, device):
    """Raise when a foreign array does not live where the estimator must work."""
    name, wanted = device_name(X), str(device).lower()
    # "cuda" is any of "cuda:0", "cuda:1".
    if wanted != "auto" and name != wanted and name.partition(":")[0] != wanted:
        raise ValueError(
            f"X lives on device {name!r} but device={device!r}. Arrays other "
            f"than NumPy's are worked on where they are: move X, or pass device='auto'."
        )
