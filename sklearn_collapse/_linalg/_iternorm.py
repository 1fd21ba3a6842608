"""Iterative normalization: whitening by matrix products alone.

With S = Sigma / tr Sigma, P_0 = I and P_{j+1} = (3 P_j - P_j^3 S) / 2, P_T tends to
S^-1/2. In this form rounding makes P_j and S no longer commute, which the next step
enlarges. The coupled form has the same values and is stable [1]_: Y_0 = S, Z_0 = I,

    M = (3 I - Z Y) / 2,  Y <- Y M,  Z <- M Z.

.. [1] Higham, N. J. (2008). "Functions of Matrices", theorem 6.15.
"""

import math

from sklearn_collapse.utils._arrays import device_of


def iternorm(stack, n_iter, eps, xp):
    """Whitening matrices P_T / sqrt(tr Sigma) of a stack of covariances.

    Parameters
    ----------
    stack : array of shape (g, k, k)
        Covariances; those of trace 0 are zero.
    n_iter : int
        T.
    eps : float
        Spacing of the dtype in which the covariances were accumulated.

    Returns
    -------
    stack : array of shape (g, k, k)
        Symmetric; zero where the covariance is.
    condition : float
        Bound of x p^2, x the largest eigenvalue of an S and p the largest of its P_T.
    """
    trace = xp.linalg.trace(stack)[:, None, None]
    zero = trace == 0
    trace = xp.where(zero, xp.ones_like(trace), trace)
    unit = stack / trace
    steps = min(n_iter, most_steps(stack.shape[-1], eps))
    root = _inverse_root(unit, steps, xp)
    # Norms of Frobenius bound eigenvalues; that of the square is the closer bound.
    square = xp.matmul(root, root)
    bounds = xp.clip(_norms(square, xp), None, 2.25**steps) * _norms(unit, xp)
    root = xp.where(zero, xp.zeros_like(root), root / xp.sqrt(trace))
    return root, max(1.0, float(xp.max(bounds)))


def most_steps(k, eps):
    """Number of steps beyond which only rounding would be iterated on.

    Eigenvalues of S that are zero are computed as anything up to the rank rule's
    rounding, max(10, sqrt(k)) eps, in size. A negative -x makes p grow to no end once
    x p^2 is near 1, with p <= 1.5^T. Up to that point it is harmless, and what is
    larger than rounding has converged by then or is about to.
    """
    return int(-math.log(max(10.0, math.sqrt(k)) * eps) / math.log(2.25))


def variances(stack, covariances, xp):
    """Variance of each output column, the diagonals of W Sigma W, of shape (g, k)."""
    return xp.sum(stack * xp.matmul(covariances, stack), axis=1)


def _inverse_root(unit, steps, xp):
    """P_T of each S in a stack, T at least 1."""
    eye = 1.5 * xp.eye(unit.shape[-1], dtype=unit.dtype, device=device_of(unit))
    y, z = unit, eye - unit / 2  # the first step, whose Z is I
    m = z
    for _ in range(steps - 1):
        y = xp.matmul(y, m)
        m = xp.matmul(z, y)
        m *= -0.5
        m += eye
        z = xp.matmul(m, z)
    return (z + xp.matrix_transpose(z)) / 2


def _norms(stack, xp):
    """Frobenius norm of each matrix of a stack."""
    return xp.sqrt(xp.sum(stack * stack, axis=(1, 2)))
