"""Whitening maps from the eigenvectors of a covariance or of correlations."""

from typing import NamedTuple

import numpy as np

from sklearn_collapse._linalg._maps import LinearMap
from sklearn_collapse.utils._arrays import as_like, device_of, to_numpy

METHODS = ("zca", "pca", "cholesky", "zca_cor", "pca_cor")


# Beyond this a step need not bring the covariance nearer to the identity.
_NEAR_IDENTITY = 0.01


class Whitening(NamedTuple):
    """Maps of centred rows to white ones, and back."""

    forward: LinearMap  # to (k,) or (d,)
    backward: LinearMap
    lengths: LinearMap  # to the fewest columns with the norms of white rows


def whitening(method, vectors, roots, rest, deviations, gram, xp, *, thin=False):
    """Whitening and coloring of one of the five methods.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    vectors : array of shape (d, k)
        Orthonormal eigenvectors that are kept, in columns.
    roots : array of shape (k,)
        What each direction is multiplied by: one over its standard deviation.
    rest : float
        What all other directions are multiplied by. Only "zca" and "zca_cor" can have
        one that is not 0.
    deviations : array of shape (d,) or None
        Standard deviations of the columns, if the eigenvectors are those of the
        correlations; 0 leaves a column out.
    gram : callable or None
        Maps a matrix M of shape (d, k) to M^T S M, S the covariance that is to become
        the identity, if it is.
    thin : bool, default=False
        Whether nothing of size d x d is to be made.

    Returns
    -------
    Whitening
    """
    vectors = same_signs(vectors, xp)
    matrix = vectors * roots
    coloring = xp.matrix_transpose(vectors / roots)
    like = {"dtype": vectors.dtype, "device": device_of(vectors)}
    sizes = inverse = xp.ones((vectors.shape[0],), **like)
    if deviations is not None:
        zero = deviations == 0
        inverse = 1 / xp.where(zero, xp.ones_like(deviations), deviations)
        inverse = xp.where(zero, xp.zeros_like(deviations), inverse)
        matrix, coloring = inverse[:, None] * matrix, coloring * deviations
        sizes = deviations
    if gram is not None:
        matrix, coloring = refined(matrix, coloring, gram, xp)
    if method.startswith("zca"):
        back = xp.matrix_transpose(vectors)
        lengths = forward = LinearMap(matrix, back)
        backward = LinearMap(vectors, coloring)
        if rest:
            matrix = matrix - rest * inverse[:, None] * vectors
            coloring = coloring - back * sizes / rest
            lengths = forward = LinearMap(matrix, back, rest * inverse)
            backward = LinearMap(vectors, coloring, sizes / rest)
        else:
            lengths = LinearMap(matrix)
        forward, backward = (x.cheapest(xp, keep=thin) for x in (forward, backward))
        return Whitening(forward, backward, lengths)
    if method == "cholesky":
        turn, above = triangular_turn(to_numpy(matrix), to_numpy(vectors))
        turn, above = as_like(turn, matrix), as_like(above, matrix)
        matrix = xp.matmul(matrix, turn)
        matrix = xp.where(above, xp.zeros_like(matrix), matrix)
        coloring = xp.matmul(xp.matrix_transpose(turn), coloring)
    forward = LinearMap(matrix)
    return Whitening(forward, LinearMap(coloring), forward)


def refined(matrix, coloring, gram, xp):
    """One Newton step towards ``gram(matrix)`` = identity.

    Eigenvalues carry an error of the size of rounding of the largest. Columns of very
    different size have much more digits than that.
    """
    found = gram(matrix)
    eye = xp.eye(found.shape[0], dtype=found.dtype, device=device_of(found))
    half = (found - eye) / 2
    if float(xp.sum(half * half)) > _NEAR_IDENTITY:
        return matrix, coloring
    return xp.matmul(matrix, eye - half), xp.matmul(eye + half, coloring)


def same_signs(vectors, xp):
    """Turn columns so that their entry of largest size is positive."""
    high, low = xp.max(vectors, axis=0), -xp.min(vectors, axis=0)
    return xp.where(high >= low, vectors, -vectors)


def triangular_turn(matrix, vectors):
    """Rotation Q of the kept directions that makes ``matrix @ Q`` lower triangular.

    To be exact, its transpose gets row echelon form with positive pivots: columns of
    the data that depend on those before them have none. That makes Q unique at any
    rank. NumPy, float64.

    Parameters
    ----------
    matrix : ndarray of shape (d, k)
        Of rank k.
    vectors : ndarray of shape (d, k)
        The same with unit singular values, by which dependence is judged.

    Returns
    -------
    turn : ndarray of shape (k, k)
    above : ndarray of bool of shape (d, k)
        Entries of the product that are zero.
    """
    pivots = independent_rows(vectors)
    q, r = np.linalg.qr(matrix[pivots].T)
    turn = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return turn, np.arange(len(matrix))[:, None] < pivots


def independent_rows(vectors):
    """Positions of the first rows that span all rows: each adds to those before.

    Parameters
    ----------
    vectors : ndarray of shape (d, k)
        Orthonormal columns.
    """
    d, k = vectors.shape
    # What is left of a row by rounding, against what is left of it at the least.
    tolerance = max(d, 10) * np.finfo(float).eps
    r = np.linalg.qr(vectors[:k].T, mode="r")
    if np.min(np.abs(np.diagonal(r)), initial=1.0) > tolerance**0.5:
        return np.arange(k)
    basis = np.zeros((k, k))
    found: list[int] = []
    for row in range(d):
        rest = vectors[row]
        for _ in range(2):  # twice is enough
            rest = rest - basis[: len(found)].T @ (basis[: len(found)] @ rest)
        size = np.linalg.norm(rest)
        if size > tolerance**0.5 * np.linalg.norm(vectors[row]) and size > tolerance:
            basis[len(found)] = rest / size
            found.append(row)
            if len(found) == k:
                break
    return np.array(found, dtype=int)
