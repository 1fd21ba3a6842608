"""Simplex frames in which most coordinates are zero."""

import warnings
from numbers import Real

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, check_scalar

from sklearn_collapse._linalg._sparse_frames import random_support, sparse_simplex
from sklearn_collapse.etf._frames import check_count, simplex_etf

_STARTS = 5
_STEPS = 2000


def sparse_etf(n_classes, n_features, sparsity=0.6, random_state=None):
    """Simplex equiangular frame in which a share of the coordinates is zero.

    Each class reads features of its own choice and ignores the others.

    Parameters
    ----------
    n_classes : int
        Number of vectors C, at least 2.
    n_features : int
        Number of coordinates d, at least C - 1. With zeros the angles need more:
        about C / (2 (1 - sparsity)).
    sparsity : float, default=0.6
        Share of zeros, in [0, 1): exactly ``round(sparsity * d)`` random coordinates
        of each row.
    random_state : None, int or RandomState, default=None
        Draws the coordinates that are zero, and the start. None: always the same
        frame.

    Returns
    -------
    ndarray of shape (n_classes, n_features)
        Unit rows in float64 with cosines -1 / (C - 1), to about eight digits. With too
        few coordinates to choose, a ConvergenceWarning says how far the cosines are
        from it; the rows are unit all the same.

    See Also
    --------
    simplex_etf : The same angles without zeros, in closed form.
    frame_report : The angles of a frame.

    Notes
    -----
    L-BFGS minimises, over the coordinates w that are not fixed at zero, ::

        sum_{i != j} (cos_ij + 1 / (C - 1))^2 + || sum_i w_i / ||w_i|| ||^2

    The second term is zero where the first is; it makes the last digits quick. Norms
    are no part of it: rows are divided by theirs at the end. Up to five starts, each
    with zeros of its own, until the angles are met. Without zeros the frame is that of
    `simplex_etf`, at a random orientation. Their C (C - 1) / 2 equations need
    as many coordinates to choose, C ((1 - sparsity) d - 1); close to that the search
    is slow. Nor can two rows have an angle that share no coordinate, as happens when
    (1 - sparsity)^2 d is small. 100 classes in 512 dimensions take seconds.

    References
    ----------
    .. [1] Xiao, Z., et al. (2024). "FedLoGe: Joint Local and Generic Federated Learning
       under Long-tailed Data". ICLR.

    Examples
    --------
    >>> from sklearn_collapse.etf import sparse_etf
    >>> frame = sparse_etf(4, 10, random_state=0)
    >>> (frame == 0).sum(axis=1)
    array([6, 6, 6, 6])
    >>> (frame @ frame.T).round(6) + 0.0
    array([[ 1.      , -0.333333, -0.333333, -0.333333],
           [-0.333333,  1.      , -0.333333, -0.333333],
           [-0.333333, -0.333333,  1.      , -0.333333],
           [-0.333333, -0.333333, -0.333333,  1.      ]])
    """
    n_classes = check_count(n_classes, "n_classes", 2)
    n_features = check_count(n_features, "n_features", 1)
    check_scalar(
        sparsity, "sparsity", Real, min_val=0, max_val=1, include_boundaries="left"
    )
    if n_features < n_classes - 1:
        raise ValueError(
            f"n_features={n_features} is too few for a simplex of {n_classes} classes, "
            f"which needs at least n_classes - 1 = {n_classes - 1}. Raise n_features, "
            f"lower n_classes, or use spread_frame, which has one for any number of "
            f"classes."
        )
    n_zeros = round(sparsity * n_features)
    if n_zeros == n_features:
        raise ValueError(
            f"sparsity={sparsity} leaves no coordinate of n_features={n_features}: "
            f"lower sparsity, or raise n_features."
        )
    rng = check_random_state(0 if random_state is None else random_state)
    if not n_zeros:
        return simplex_etf(n_classes, n_features, rng)
    met = float(np.finfo(float).eps) ** 0.5
    best = lowest = None
    # Fewer coordinates to choose than equations: no start will meet them.
    hopeless = n_features - n_zeros < (n_classes + 1) // 2
    for _ in range(1 if hopeless else _STARTS):
        mask = random_support(n_classes, n_features, n_zeros, rng)
        frame, deviation = sparse_simplex(mask, rng, _STEPS, met / 10)
        if lowest is None or deviation < lowest:
            best, lowest = frame, deviation
        if deviation <= met:
            return best
    warnings.warn(
        f"The angles of the sparse frame were not met: a cosine is {lowest:.2g} from "
        f"-1 / (n_classes - 1). {n_classes} classes with n_features={n_features} and "
        f"sparsity={sparsity} leave {n_features - n_zeros} coordinates per class: "
        f"lower sparsity, or raise n_features.",
        ConvergenceWarning,
        stacklevel=2,
    )
    return best
