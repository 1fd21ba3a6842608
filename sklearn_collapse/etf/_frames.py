"""Ideal frames: unit vectors, one per class, at prescribed angles."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state, check_scalar

from sklearn_collapse._linalg._polytopes import simplex_frame


def simplex_etf(n_classes, n_features=None, random_state=None):
    """Simplex equiangular tight frame: unit vectors, all pairs as far apart as can be.

    Parameters
    ----------
    n_classes : int
        Number of vectors C, at least 2.
    n_features : int, default=None
        Number of coordinates d, at least C - 1, which is the default.
    random_state : None, int or RandomState, default=None
        None: always the same orientation, in the first C - 1 coordinates. Otherwise
        the frame is turned by a random orthonormal matrix, uniform over all of them.

    Returns
    -------
    ndarray of shape (n_classes, n_features)
        Unit rows in float64 that sum to zero, with cosines -1 / (C - 1).

    See Also
    --------
    ETFAligner : Turn features so that class means point along such a frame.

    Notes
    -----
    M = sqrt(C / (C - 1)) (I - 1 1^T / C) U^T with U orthonormal. The centring leaves
    C - 1 directions, so U needs no more columns than that, and d = C - 1 is enough.
    M M^T = C / (C - 1) (I - 1 1^T / C) whatever U is.

    References
    ----------
    .. [1] Papyan, V., Han, X. Y., Donoho, D. L. (2020). "Prevalence of neural collapse
       during the terminal phase of deep learning training". PNAS 117(40).
    .. [2] Xiao, Z., et al. (2024). "FedLoGe: Joint Local and Generic Federated Learning
       under Long-tailed Data". ICLR.

    Examples
    --------
    >>> from sklearn_collapse.etf import simplex_etf
    >>> frame = simplex_etf(4, 6, random_state=0)
    >>> (frame @ frame.T).round(3) + 0.0
    array([[ 1.   , -0.333, -0.333, -0.333],
           [-0.333,  1.   , -0.333, -0.333],
           [-0.333, -0.333,  1.   , -0.333],
           [-0.333, -0.333, -0.333,  1.   ]])
    """
    check_scalar(n_classes, "n_classes", Integral, min_val=2)
    if n_features is None:
        n_features = n_classes - 1
    check_scalar(n_features, "n_features", Integral, min_val=1)
    if n_features < n_classes - 1:
        raise ValueError(
            f"n_features={n_features} is too few for a simplex of {n_classes} classes, "
            f"which needs at least n_classes - 1 = {n_classes - 1}: with these "
            f"features at most {n_features + 1} classes have one. Raise n_features, or "
            f"lower n_classes."
        )
    frame = simplex_frame(n_classes)
    if random_state is None:
        return np.pad(frame, ((0, 0), (0, n_features - n_classes + 1)))
    normal = check_random_state(random_state).normal(size=(n_features, n_classes - 1))
    basis, triangle = np.linalg.qr(normal)
    # Without the signs the solver's convention would favour some orientations.
    basis *= np.where(np.diagonal(triangle) < 0, -1.0, 1.0)
    return frame @ basis.T
