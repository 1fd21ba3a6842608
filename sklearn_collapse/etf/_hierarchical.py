"""Frames whose angles follow a hierarchy of the classes."""

import math
from numbers import Real

import numpy as np
from sklearn.utils import check_scalar

from sklearn_collapse._linalg._hierarchical import (
    coinciding_pair,
    gram_factor,
    hierarchical_gram,
)
from sklearn_collapse.etf._frames import check_count, place_frame
from sklearn_collapse.metrics._hierarchy import class_distances


def hierarchical_frame(
    distances,
    n_features=None,
    gamma=3.0,
    *,
    distance="height",
    classes=None,
    random_state=None,
):
    """Unit vectors that are the closer the closer their classes are in a hierarchy.

    Parameters
    ----------
    distances : nested containers of labels, or array
        Lists, tuples, sets and dictionaries are inner nodes and everything else in
        them a label: ``[["cat", "dog"], "ship"]``, or, with names for the nodes,
        ``{"animal": ["cat", "dog"], "vehicle": ["ship"]}``. An array is either a
        symmetric matrix of distances, (C, C), or the linkage of
        `scipy.cluster.hierarchy`, (C - 1, 4).
    n_features : int, default=None
        Number of coordinates d, at least the rank of the Gram matrix, which is the
        default and rarely less than C.
    gamma : float, default=3.0
        How fast the cosine falls with the distance, positive.
    distance : {"height", "path"}, default="height"
        Of two classes in a tree: the height of their lowest common ancestor, or the
        number of edges between them. A matrix is taken as it is.
    classes : array-like of shape (C,), default=None
        Labels of the rows of a matrix or of the leaves of a linkage; by default
        0, …, C - 1.
    random_state : None, int or RandomState, default=None
        None: always the same orientation. Otherwise the frame is turned by a random
        orthonormal matrix, uniform over all of them.

    Returns
    -------
    ndarray of shape (n_classes, n_features)
        Unit rows in float64, in the order of the sorted labels, as `ETFAligner` takes
        them; without ``classes`` in the order of the matrix or of the leaves.

    See Also
    --------
    frame_gram : The cosines S of the frame.
    sklearn_collapse.metrics.mistake_severity : Reads the same hierarchies.

    Notes
    -----
    The cosines are ::

        S = (1 - s) exp(-gamma D / D_max) + s

    with s the lowest of 100 values from -1 / (C - 1) to -1 that leaves S positive
    semidefinite, to rounding of its largest eigenvalue. That is what makes the frame
    as wide as it can be. Lower values fail once one has, so the search is a bisection.

    The rows W with W W^T = S are those of its triangular factor: each class adds one
    axis at the most. The paper's Q diag(l)^(1/2) V^T is a rotation of it that depends
    on the solver.

    References
    ----------
    .. [1] Liang, T., Davis, J. (2023). "Inducing Neural Collapse to a Fixed
       Hierarchy-Aware Frame for Reducing Mistake Severity". ICCV.

    Examples
    --------
    >>> from sklearn_collapse.etf import frame_gram, hierarchical_frame
    >>> frame = hierarchical_frame([["cat", "dog"], ["ship", "truck"]])
    >>> frame_gram(frame).round(2)
    array([[ 1.  , -0.16, -0.41, -0.41],
           [-0.16,  1.  , -0.41, -0.41],
           [-0.41, -0.41,  1.  , -0.16],
           [-0.41, -0.41, -0.16,  1.  ]])
    """
    if n_features is not None:
        n_features = check_count(n_features, "n_features", 1)
    check_scalar(gamma, "gamma", Real)
    if not 0 < gamma < math.inf:
        raise ValueError(f"gamma must be positive and finite, got {gamma}.")
    labels, between = class_distances(distances, classes, distance, "distances")
    _check_distances(labels, between)
    gram = hierarchical_gram(between, float(gamma))
    if gram is None:
        raise ValueError(
            f"No offset keeps the Gram matrix positive semidefinite with "
            f"gamma={gamma}. The distances of nested labels always have one, and so do "
            f"those of a linkage whose heights grow toward the root: pass such, or "
            f"raise gamma."
        )
    same = coinciding_pair(gram)
    if same is not None:
        a, b = _names(labels, same)
        raise ValueError(
            f"With gamma={gamma} the classes {a} and {b} have the same vertex, to "
            f"rounding: their distance is {between[same]:.3g}, the largest one "
            f"{between.max():.3g}. Raise gamma, or merge them."
        )
    frame = gram_factor(gram)
    rank = frame.shape[1]
    if n_features is None:
        n_features = rank
    if n_features < rank:
        raise ValueError(
            f"n_features={n_features} is too few for these {len(labels)} classes: "
            f"their Gram matrix has rank {rank}, the least that is allowed. Raise "
            f"n_features, or leave classes out."
        )
    return place_frame(frame, n_features, random_state)


def _check_distances(labels, distances):
    """Raise unless distances are symmetric and differ from zero off the diagonal."""
    n_classes = len(labels)
    if n_classes < 2:
        raise ValueError(
            f"distances has {n_classes} class: a frame needs at least 2 classes."
        )
    rounding = n_classes * np.finfo(float).eps * distances.max()
    gap = np.abs(distances - distances.T)
    if gap.max() > rounding:
        a, b = _names(labels, np.unravel_index(np.argmax(gap), gap.shape))
        raise ValueError(
            f"distances must be symmetric: those between the classes {a} and {b} "
            f"differ. Pass (D + D.T) / 2."
        )
    off = distances + np.eye(n_classes)
    if off.min() <= 0:
        a, b = _names(labels, np.unravel_index(np.argmin(off), off.shape))
        raise ValueError(
            f"The distance between the classes {a} and {b} is 0, which gives them the "
            f"same vertex. Merge them, or pass a positive distance."
        )


def _names(labels, pair):
    """Labels of a pair of classes, to be shown."""
    return (repr(labels[k : k + 1].tolist()[0]) for k in pair)
