"""Generators of features whose collapse metrics are known."""

import math
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state

from sklearn_collapse._linalg._polytopes import simplex_frame
from sklearn_collapse.utils._arrays import block_rows, slices
from sklearn_collapse.utils._decompositions import svd


def make_collapsed_features(
    n_samples=1000,
    n_classes=10,
    n_features=32,
    *,
    nc1=0.1,
    frame="simplex",
    imbalance=1.0,
    rank=None,
    random_state=None,
):
    """Generate labelled features whose collapse is known exactly.

    Not the distribution but the sample itself has the class means, the NC1 and the
    rank that were asked for, up to rounding.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_classes : int, default=10
        Number of classes, at least 2.
    n_features : int, default=32
        Number of features.
    nc1 : float, default=0.1
        ``nc1_pinv(X, y)`` of the sample; 0 makes all rows of a class equal.
    frame : "simplex" or array-like of shape (n_classes, n_features), default="simplex"
        Class means: a simplex equiangular tight frame of unit rows in a random
        subspace, which needs n_classes <= n_features + 1, or the rows of an array.
    imbalance : float, default=1.0
        Size of the largest class over that of the smallest, at least 1. Sizes in
        between are geometric, falling from class 0 on, and rounded to whole rows.
    rank : int, default=None
        Rank of the within-class covariance. None: as large as can be,
        min(n_features, n_samples - n_classes), or 0 if ``nc1=0``.
    random_state : int, RandomState instance or None, default=None
        Seed. Pass an int for the same data in every call.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Features, float64.
    y : ndarray of int of shape (n_samples,)
        Labels 0, 1, …, n_classes - 1, shuffled.

    See Also
    --------
    load_cifar8_features : Features of a real network.
    sklearn_collapse.metrics.nc1_pinv : What ``nc1`` is.

    Notes
    -----
    NC1 is tr(Sigma_W Sigma_B^+) / C with classes weighted by their size. It sees only
    the scatter within the span of the centred class means; scatter in other
    directions is free. Gaussian noise is drawn in ``rank`` orthonormal directions,
    alike in each: first directions of that span, then, if ``rank`` is larger, others.
    It is centred in each class, so that a class with one row has none, and scaled to
    the NC1 that was asked for.

    Adding the noise to the class means rounds it: NC1 is met to a relative error of
    about 2.2e-16 / sqrt(nc1).

    References
    ----------
    .. [1] Papyan, V., Han, X. Y., Donoho, D. L. (2020). "Prevalence of neural collapse
       during the terminal phase of deep learning training". PNAS 117(40).

    Examples
    --------
    >>> from sklearn_collapse.datasets import make_collapsed_features
    >>> from sklearn_collapse.metrics import nc1_pinv, nc2_etf_error
    >>> X, y = make_collapsed_features(nc1=1e-3, imbalance=10, random_state=0)
    >>> f"{nc1_pinv(X, y):.6f} {nc2_etf_error(X, y, class_weight='balanced'):.6f}"
    '0.001000 0.000000'
    """
    for name, value, least in (
        ("n_samples", n_samples, 1),
        ("n_classes", n_classes, 2),
        ("n_features", n_features, 1),
    ):
        if not isinstance(value, Integral) or value < least:
            raise ValueError(
                f"{name} must be an integer, at least {least}, got {value!r}."
            )
    if not isinstance(nc1, Real) or nc1 < 0 or not nc1 < math.inf:
        raise ValueError(f"nc1 must be a finite number, at least 0, got {nc1!r}.")
    rng = check_random_state(random_state)
    sizes = _class_sizes(n_samples, n_classes, imbalance)
    rank = _check_rank(rank, nc1, n_samples - n_classes, n_features)
    means = _class_means(frame, n_classes, n_features, rng)
    values, span = _between(means, sizes)
    y = rng.permutation(np.repeat(np.arange(n_classes), sizes))
    X = means[y]
    if rank:
        coordinates = _centred_noise(y, sizes, rank, rng)
        directions = _directions(span, rank, rng)
        seen = coordinates @ (directions @ span.T)
        found = np.sum((seen / values) ** 2) / n_samples / n_classes
        directions *= math.sqrt(nc1 / found)
        for here in slices(n_samples, block_rows(n_features)):
            X[here] += coordinates[here] @ directions
    return X, y


def _class_sizes(n_samples, n_classes, imbalance):
    """Geometric sizes that sum to n_samples, each within one row of exact."""
    if not isinstance(imbalance, Real) or imbalance < 1 or not imbalance < math.inf:
        raise ValueError(
            f"imbalance must be a finite number, at least 1, the size of the largest "
            f"class over that of the smallest, got {imbalance!r}."
        )
    shares = float(imbalance) ** -np.linspace(0, 1, n_classes)
    shares = shares / shares.sum()
    # Rounding must not take a whole row from an exact size.
    exact = n_samples * shares * (1 + 4 * n_classes * np.finfo(float).eps)
    if exact[-1] < 1:
        raise ValueError(
            f"imbalance={imbalance} leaves {exact[-1]:.3g} of n_samples={n_samples} "
            f"rows to the smallest of {n_classes} classes. Pass a smaller imbalance, "
            f"or n_samples >= {math.ceil(1 / shares[-1])}."
        )
    sizes = np.floor(exact).astype(int)
    largest_remainders = np.argsort(sizes - exact, kind="stable")
    sizes[largest_remainders[: n_samples - sizes.sum()]] += 1
    return sizes


def _check_rank(rank, nc1, n_free, n_features):
    """Rank of the scatter within classes."""
    largest = min(n_features, n_free)
    if rank is not None and (not isinstance(rank, Integral) or rank < 0):
        raise ValueError(f"rank must be None or an integer >= 0, got {rank!r}.")
    if not nc1:
        if rank:
            raise ValueError(
                f"nc1=0 makes all rows of a class equal, so rank must be None or 0, "
                f"got {rank}."
            )
        return 0
    if not n_free:
        raise ValueError(
            f"nc1={nc1} needs a class with two rows: n_samples must be larger than "
            f"n_classes."
        )
    if rank is None:
        return largest
    if rank < 1 or not rank <= largest:
        raise ValueError(
            f"rank must lie between 1 and {largest}, the smaller of n_features "
            f"({n_features}) and n_samples - n_classes ({n_free}), got {rank}. rank=0 "
            f"goes with nc1=0."
        )
    return rank


def _class_means(frame, n_classes, n_features, rng):
    if isinstance(frame, str):
        if frame != "simplex":
            raise ValueError(f"frame must be 'simplex' or an array, got {frame!r}.")
        if n_classes > n_features + 1:
            raise ValueError(
                f"A simplex of n_classes={n_classes} rows needs n_features >= "
                f"{n_classes - 1}, got {n_features}. Pass other class means as frame."
            )
        turn, _ = np.linalg.qr(rng.standard_normal((n_features, n_classes - 1)))
        return simplex_frame(n_classes) @ turn.T
    means = np.asarray(frame, dtype=float)
    if means.shape != (n_classes, n_features) or not np.isfinite(means).all():
        raise ValueError(
            f"frame must be 'simplex' or finite numbers of shape (n_classes, "
            f"n_features) = ({n_classes}, {n_features}), got shape {means.shape}."
        )
    return means


def _between(means, sizes):
    """Roots of the non-zero eigenvalues of Sigma_B, and its eigenvectors as rows."""
    shares = sizes / sizes.sum()
    root = np.sqrt(shares)[:, None] * (means - shares @ means)
    _, values, span = svd(root)
    # What rounding of the means themselves can leave counts as zero.
    scale = max(values[0], np.linalg.norm(means, axis=1).max())
    kept = values > max(means.shape) * np.finfo(float).eps * scale
    if not kept.any():
        raise ValueError(
            "The rows of frame are equal, to rounding: NC1 needs class means that "
            "differ."
        )
    return values[kept], span[kept]


def _centred_noise(y, sizes, rank, rng):
    """Gaussian rows, centred in each class."""
    noise = rng.standard_normal((len(y), rank))
    order = np.argsort(y, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    # A product with this spares a sorted copy of the noise.
    indicator = sparse.csr_matrix((np.ones(len(y)), order, starts))
    means = indicator @ noise / sizes[:, None]
    for here in slices(len(y), block_rows(rank)):
        noise[here] -= means[y[here]]
    return noise


def _directions(span, rank, rng):
    """Orthonormal rows: within the span of the means first, then beyond it."""
    inside, n_features = span.shape
    if rank <= inside:
        turn, _ = np.linalg.qr(rng.standard_normal((inside, rank)))
        return turn.T @ span
    beyond = rng.standard_normal((n_features, rank - inside))
    directions, _ = np.linalg.qr(np.concatenate([span.T, beyond], axis=1))
    return directions.T
