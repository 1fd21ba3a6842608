"""Ideal frames: unit vectors, one per class, at prescribed angles."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state, check_scalar

from sklearn_collapse._linalg._polytopes import (
    hypercube,
    hypercube_dimension,
    orthoplex,
    simplex_frame,
)


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
    spread_frame : Unit vectors for more classes than that.

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
    n_classes = check_count(n_classes, "n_classes", 2)
    n_features = _check_room(
        n_features,
        least=n_classes - 1,
        what=f"a simplex of {n_classes} classes",
        why="n_classes - 1",
        most=lambda d: d + 1,
    )
    return place_frame(simplex_frame(n_classes), n_features, random_state)


def orthoplex_frame(n_classes, n_features=None, random_state=None):
    """Cross-polytope: unit vectors at right angles or opposite to each other.

    For more classes than a simplex has room for, up to twice the number of features,
    no unit vectors are further apart.

    Parameters
    ----------
    n_classes : int
        Number of vectors C, at least 2.
    n_features : int, default=None
        Number of coordinates d, at least C / 2; by default that, rounded up.
    random_state : None, int or RandomState, default=None
        None: always the same orientation, in the first ceil(C / 2) coordinates.
        Otherwise the frame is turned by a random orthonormal matrix, uniform over all
        of them.

    Returns
    -------
    ndarray of shape (n_classes, n_features)
        Unit rows in float64, with cosines 0, and -1 within the pairs of rows 0 and 1,
        2 and 3, … An odd C leaves the last row alone.

    See Also
    --------
    simplex_etf : Larger angles, for up to n_features + 1 classes.
    spread_frame : Unit vectors for more classes than that.

    Notes
    -----
    The first C of e_1, -e_1, e_2, -e_2, … By Rankin the largest cosine of more than
    d + 1 unit vectors in d dimensions is at least 0.

    References
    ----------
    .. [1] Rankin, R. A. (1955). "The closest packing of spherical caps in n
       dimensions". Glasgow Mathematical Journal 2(3).
    .. [2] Pernici, F., Bruni, M., Baecchi, C., Del Bimbo, A. (2021). "Regular polytope
       networks". IEEE Transactions on Neural Networks and Learning Systems.

    Examples
    --------
    >>> from sklearn_collapse.etf import orthoplex_frame
    >>> orthoplex_frame(4) + 0.0
    array([[ 1.,  0.],
           [-1.,  0.],
           [ 0.,  1.],
           [ 0., -1.]])
    """
    n_classes = check_count(n_classes, "n_classes", 2)
    n_features = _check_room(
        n_features,
        least=(n_classes + 1) // 2,
        what=f"an orthoplex of {n_classes} classes",
        why="n_classes / 2",
        most=lambda d: 2 * d,
    )
    return place_frame(orthoplex(n_classes), n_features, random_state)


def hypercube_frame(n_classes, n_features=None, random_state=None):
    """Cube: exponentially many unit vectors, at the price of small angles.

    Parameters
    ----------
    n_classes : int
        Number of vectors C, at least 2.
    n_features : int, default=None
        Number of coordinates d, at least log2(C); by default that, rounded up.
    random_state : None, int or RandomState, default=None
        None: always the same orientation, in the first ceil(log2(C)) coordinates.
        Otherwise the frame is turned by a random orthonormal matrix, uniform over all
        of them.

    Returns
    -------
    ndarray of shape (n_classes, n_features)
        Unit rows in float64; rows 0 and 1, 2 and 3, … are opposite to each other.

    See Also
    --------
    orthoplex_frame : Right angles, for up to 2 n_features classes.
    spread_frame : The largest angles that can be found in so many dimensions.

    Notes
    -----
    Entries are +-1 / sqrt(k) with k = ceil(log2(C)), cosines 1 - 2 h / k with h the
    number of coordinates in which two vertices differ. The least angle is that of
    h = 1 as soon as two neighbours are among the C vertices. More features than k
    stay unused: `spread_frame` gives larger angles there.

    References
    ----------
    .. [1] Pernici, F., Bruni, M., Baecchi, C., Del Bimbo, A. (2021). "Regular polytope
       networks". IEEE Transactions on Neural Networks and Learning Systems.

    Examples
    --------
    >>> from sklearn_collapse.etf import hypercube_frame
    >>> hypercube_frame(4).round(3)
    array([[ 0.707,  0.707],
           [-0.707, -0.707],
           [-0.707,  0.707],
           [ 0.707, -0.707]])
    """
    n_classes = check_count(n_classes, "n_classes", 2)
    n_features = _check_room(
        n_features,
        least=hypercube_dimension(n_classes),
        what=f"{n_classes} vertices of a cube",
        why="log2(n_classes)",
        most=lambda d: 2**d,
    )
    return place_frame(hypercube(n_classes), n_features, random_state)


def check_count(value, name, least):
    """An argument as an int, no less than ``least``, whatever integer it came as.

    NumPy's integers overflow, and lack methods that those of Python have.
    """
    check_scalar(value, name, Integral, min_val=least)
    return int(value)


def place_frame(frame, n_features, random_state):
    """Put a frame among as many features, which are no fewer than its dimensions.

    Parameters
    ----------
    frame : ndarray of shape (C, k)
    n_features : int
    random_state : None, int or RandomState
        None pads with zeros. Otherwise the frame is turned by an orthonormal matrix,
        uniform over all of them.

    Returns
    -------
    ndarray of shape (C, n_features)
    """
    k = frame.shape[1]
    if random_state is None:
        return np.pad(frame, ((0, 0), (0, n_features - k)))
    normal = check_random_state(random_state).normal(size=(n_features, k))
    basis, triangle = np.linalg.qr(normal)
    # Without the signs the solver's convention would favour some orientations.
    basis *= np.where(np.diagonal(triangle) < 0, -1.0, 1.0)
    return frame @ basis.T


def _check_room(n_features, *, least, what, why, most):
    """Number of features, by default the least; raise if there are fewer."""
    if n_features is None:
        return least
    n_features = check_count(n_features, "n_features", 1)
    if n_features < least:
        raise ValueError(
            f"n_features={n_features} is too few for {what}, which needs at least "
            f"{why} = {least}: with these features at most {most(n_features)} classes "
            f"have one. Raise n_features, lower n_classes, or use spread_frame, which "
            f"has one for any number of classes."
        )
    return n_features
