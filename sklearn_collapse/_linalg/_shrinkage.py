"""Shrinkage of a covariance towards a multiple of the identity.

(1 - a) S + a (tr S / d) I. The intensities are those of scikit-learn's ``oas`` and
``ledoit_wolf`` on centred rows, computed from the traces of S and S^2.
"""

import numpy as np

from sklearn_collapse.utils._arrays import device_of, namespace, slices, to_numpy

# Bytes of class scatters that are worked on together.
STACK_BYTES = 2**26


def shrunk(covariance, share, xp):
    """Mix a covariance with the multiple of the identity of the same trace."""
    if not share:
        return covariance
    d = covariance.shape[0]
    eye = xp.eye(d, dtype=covariance.dtype, device=device_of(covariance))
    return (1 - share) * covariance + share * xp.linalg.trace(covariance) / d * eye


def class_traces(scatters, counts):
    """Trace of the covariance of each class, and that of its square.

    Parameters
    ----------
    scatters : array of shape (C, d, d)
    counts : array of shape (C,)

    Returns
    -------
    traces, squares : ndarray of shape (C,)
        The second in units of the first squared; 0 where that is 0.
    """
    xp = namespace(scatters)
    n_classes, d, _ = scatters.shape
    found = []
    for here in slices(n_classes, max(1, STACK_BYTES // (8 * d * d))):
        stack = scatters[here, :, :]
        trace = xp.sum(xp.linalg.diagonal(stack), axis=1)
        unit = stack / xp.where(trace == 0, xp.ones_like(trace), trace)[:, None, None]
        square = xp.sum(unit * unit, axis=(1, 2))
        found.append((to_numpy(trace / counts[here]), to_numpy(square)))
    traces, squares = zip(*found, strict=True)
    return np.concatenate(traces), np.concatenate(squares)


def oas_intensity(trace, trace_square, n, d):
    """Oracle approximating shrinkage (Chen et al. 2010) as scikit-learn computes it.

    Parameters
    ----------
    trace, trace_square : float
        tr S and tr S^2, S with normaliser n.
    n : float
        Number of rows.
    d : int
        Number of features.
    """
    mean_square = trace_square / d**2
    mu_square = (trace / d) ** 2
    gap = (n + 1) * (mean_square - mu_square / d)
    return 1.0 if gap <= 0 else min((mean_square + mu_square) / gap, 1.0)


def ledoit_wolf_intensity(trace, trace_square, fourth, n, d):
    """Ledoit and Wolf (2004) intensity.

    Parameters
    ----------
    trace, trace_square : float
        tr S and tr S^2, S with normaliser n.
    fourth : float
        Sum over rows of ||x - mean||^4, which S does not determine.
    n : float
        Number of rows.
    d : int
        Number of features.
    """
    distance = (trace_square - trace**2 / d) / d
    noise = min((fourth / n - trace_square) / (d * n), distance)
    return 0.0 if noise <= 0 or distance <= 0 else noise / distance
