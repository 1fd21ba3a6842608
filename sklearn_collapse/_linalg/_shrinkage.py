"""Shrinkage of a covariance towards a multiple of the identity.

(1 - a) S + a (tr S / d) I. The intensities are those of scikit-learn's ``oas`` and
``ledoit_wolf`` on centred rows, computed from the traces of S and S^2.
"""

from sklearn_collapse.utils._arrays import device_of


def shrunk(covariance, share, xp):
    """Mix a covariance with the multiple of the identity of the same trace."""
    if not share:
        return covariance
    d = covariance.shape[0]
    eye = xp.eye(d, dtype=covariance.dtype, device=device_of(covariance))
    return (1 - share) * covariance + share * xp.linalg.trace(covariance) / d * eye


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
