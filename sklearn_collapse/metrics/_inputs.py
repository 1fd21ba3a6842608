"""What functions of rows without labels check before they compute."""

import numpy as np

from sklearn_collapse.utils._arrays import as_like, detach, place_of, to_numpy
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._validation import (
    check_features,
    check_weights,
    drop_zero_weights,
)


def checked_rows(X, sample_weight=None, *, min_samples=1):
    """Rows of positive weight, and their weights.

    That they are finite is for the computation to check, which passes over them anyway.

    Returns
    -------
    X : array of shape (m, d)
    weights : ndarray of shape (m,) or None
    """
    X, _ = check_features(X, min_samples=min_samples)
    X, _, weights = drop_zero_weights(X, check_weights(sample_weight, X.shape[0]))
    return X, weights


def checked_pair(X_a, X_b, names, sample_weight=None, *, min_samples=1):
    """Two finite arrays of one shape, library and device, and their weights.

    Parameters
    ----------
    X_a, X_b : array-like of shape (n, d)
    names : tuple of str
        Of the two, for messages.
    sample_weight : array-like of shape (n,), default=None
    min_samples : int, default=1

    Returns
    -------
    X_a, X_b : array of shape (m, d)
    weights : ndarray of shape (m,) or None
    """
    pair = [check_features(X, min_samples=min_samples)[0] for X in (X_a, X_b)]
    shapes = [tuple(X.shape) for X in pair]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"{names[0]} and {names[1]} must have the same shape, row i of one "
            f"belonging to row i of the other: got {shapes[0]} and {shapes[1]}."
        )
    places = [place_of(X) for X in pair]
    if places[0] != places[1]:
        raise ValueError(
            f"{names[0]} and {names[1]} must be of one library and on one device: got "
            f"{places[0]} and {places[1]}."
        )
    weights = check_weights(sample_weight, shapes[0][0])
    kept = [drop_zero_weights(X, weights) for X in pair]
    for (X, _, _), name in zip(kept, names, strict=True):
        check_finite(X, name=name)
    return kept[0][0], kept[1][0], kept[0][2]


def checked_matrix(W, n_features, like):
    """Finite weights W of shape (m, d), in float64, where the features are."""
    W = np.asarray(to_numpy(detach(W)), dtype=float)
    if W.ndim != 2 or W.shape[1] != n_features or not W.shape[0]:
        raise ValueError(
            f"W must have shape (m, {n_features}), one column per feature of X, got "
            f"shape {W.shape}. Pass W.T if its rows belong to features."
        )
    check_finite(W, name="W")
    return as_like(W, like)
