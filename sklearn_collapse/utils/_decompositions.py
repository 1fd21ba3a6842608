"""Eigenvalues and singular values that survive a GPU's linear algebra library.

Every decomposition in the package goes through here. Where the one of a foreign array
fails or gives NaN, it is done again in float64, then on the CPU, and a warning says so.
"""

import warnings

import numpy as np

from sklearn_collapse.utils._arrays import (
    as_like,
    is_foreign,
    namespace,
    place_of,
    to_numpy,
)


def eigh(matrix):
    """Eigenvalues, ascending, and eigenvectors of a symmetric matrix, or of a stack.

    Parameters
    ----------
    matrix : array of shape (..., d, d)

    Returns
    -------
    values : array of shape (..., d)
    vectors : array of shape (..., d, d), columns
    """
    return _decompose("eigh", matrix)


def svd(matrix):
    """Thin singular value decomposition.

    Parameters
    ----------
    matrix : array of shape (m, n)

    Returns
    -------
    left : array of shape (m, k), columns
    values : array of shape (k,), descending
    right : array of shape (k, n), rows
    """
    return _decompose("svd", matrix, full_matrices=False)


def svdvals(matrix):
    """Singular values, descending.

    Parameters
    ----------
    matrix : array of shape (m, n)

    Returns
    -------
    array of shape (k,)
    """
    return _decompose("svdvals", matrix)


def _decompose(name, matrix, **options):
    xp = namespace(matrix)
    if not is_foreign(matrix):
        return _on_the_host(name, matrix, options)
    failed = None
    tries = [matrix] if matrix.dtype == xp.float64 else [matrix, None]
    for attempt in tries:
        try:
            if attempt is None:
                attempt = xp.astype(matrix, xp.float64)
            parts = getattr(xp.linalg, name)(attempt, **options)
            if all(bool(xp.all(xp.isfinite(x))) for x in _as_tuple(parts)):
                if attempt is not matrix:
                    _warn(name, matrix, failed, "in float64")
                    parts = _like(parts, matrix, xp)
                return parts
            failed = failed or "its result is not finite"
        except (RuntimeError, ValueError) as error:
            failed = failed or (str(error).splitlines() or [type(error).__name__])[0]
    values = to_numpy(matrix).astype(np.float64)
    if np.isfinite(values).all():
        _warn(name, matrix, failed, "on the CPU")
    return _like(_on_the_host(name, values, options), matrix, xp)


def _on_the_host(name, matrix, options):
    """Decompose a NumPy array; a failure names what failed."""
    xp = namespace(matrix)
    try:
        return getattr(xp.linalg, name)(matrix, **options)
    except np.linalg.LinAlgError as error:
        what = "finite" if np.isfinite(matrix).all() else "not finite (NaN or infinity)"
        raise np.linalg.LinAlgError(
            f"{name} of a matrix of shape {matrix.shape} failed: {error}. The matrix "
            f"is {what}; check the features for extreme values and rescale them."
        ) from error


def _warn(name, matrix, reason, remedy):
    library, device = place_of(matrix)
    warnings.warn(
        f"{name} of {library} on {device} failed ({reason}); it was done again "
        f"{remedy}.",
        RuntimeWarning,
        stacklevel=4,
    )


def _as_tuple(parts):
    return parts if isinstance(parts, tuple) else (parts,)


def _like(parts, matrix, xp):
    """The parts where the matrix is, in its dtype."""
    if isinstance(parts, tuple):
        return tuple(as_like(x, matrix, matrix.dtype) for x in parts)
    return as_like(parts, matrix, matrix.dtype)
