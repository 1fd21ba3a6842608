"""Which vertex of a frame each class belongs to, where the order does not say."""

import numpy as np
from scipy.optimize import linear_sum_assignment


def match_vertices(means, frame):
    """Assign vertices to classes so that class means come close to them when turned.

    Rotation and assignment are improved in turns until neither changes.

    Parameters
    ----------
    means : ndarray of shape (C, d)
        Centred, in float64.
    frame : ndarray of shape (C, k)
        Centred.

    Returns
    -------
    ndarray of int of shape (C,)
        Position in the frame of the vertex of each class.
    """
    order = np.arange(len(means))
    best = -np.inf
    while True:
        left, values, right = np.linalg.svd(means.T @ frame[order], full_matrices=False)
        if values.sum() <= best * (1 + 1e-12):
            return order
        best = values.sum()
        order = linear_sum_assignment(means @ (left @ right) @ frame.T, maximize=True)[
            1
        ]
