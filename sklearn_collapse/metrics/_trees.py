"""Metrics of the minimum spanning tree."""

import math
from typing import NamedTuple

import numpy as np

from sklearn_collapse._linalg._points import Points, take_rows
from sklearn_collapse._linalg._trees import tree_lengths
from sklearn_collapse.metrics._metric import RIGID, metric
from sklearn_collapse.metrics._neighborhood import (
    check_count,
    neighborhood_of,
    warn_undefined,
)

_N_SIZES = 8


class TopologicalSeparability(NamedTuple):
    """Summary of normalised lifetimes."""

    mean: float
    quantile: float


@metric(
    "neighbors",
    "neighbors rows",
    "Mordacq et al. 2025",
    direction="higher",
    keeps={"rotation", "scale", "cloning"},
)
def mst_length(X, *, max_samples=None, random_state=None):
    """Total length of the minimum spanning tree of the rows on the sphere.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library; divided by their norms.
    max_samples : int, default=None
        Rows to use, drawn without replacement where there are more; None uses all.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    float
        In [0, inf), higher is less degenerate; 0 where all rows have one direction.

    See Also
    --------
    mst_dimension : How the length grows with the number of rows.

    Notes
    -----
    Sum of the n - 1 Euclidean edge lengths of rows of length 1. It grows with n:
    compare values of equally many rows. Invariant under rotation, scale and copies of
    rows; not under translation. A row of zeros has no direction and raises.

    References
    ----------
    .. [1] Mordacq, J., Loiseaux, D., Kalogeiton, V., Oudot, S. (2025). "T-REGS:
       Minimum Spanning Tree Regularization for Self-Supervised Learning". NeurIPS.

    Examples
    --------
    >>> from sklearn_collapse.metrics import mst_length
    >>> round(mst_length([[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0]]), 6)
    2.828427
    """
    rows = neighborhood_of(X, max_samples=max_samples, random_state=random_state)
    return _mst_length(rows)


@metric(
    "neighbors",
    "neighbors rows",
    "Mordacq et al. 2025",
    direction="higher",
    keeps=RIGID - {"cloning"},
)
def mst_dimension(
    X, *, alpha=1.0, sizes=None, n_repeats=4, max_samples=None, random_state=None
):
    """Dimension from the growth of the minimum spanning tree with the number of rows.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    alpha : float, default=1.0
        Power of the edge lengths that is summed.
    sizes : list of int, default=None
        Numbers of rows to measure, at least two different ones; by default eight in
        geometric progression from n / 10 to n.
    n_repeats : int, default=4
        Draws for each size below n.
    max_samples : int, default=None
        Rows to use, drawn without replacement where there are more; None uses all.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws.

    Returns
    -------
    float
        In (0, inf], higher is less degenerate; nan with a warning where rows are too
        few (four) or all equal.

    See Also
    --------
    mst_length : The length itself, on the sphere.
    two_nn : A dimension from two neighbours of each row.

    Notes
    -----
    With E(n) the sum of the edge lengths to the power alpha and s the least-squares
    slope of ln E(n) on ln n, the dimension is alpha / (1 - s); inf where s >= 1. It is
    biased low: about 1.97, 3.67 and 7.17 for true dimensions 2, 4 and 8. Features
    that have collapsed to a few points have s near 0, which gives alpha, so that small
    dimensions ask for a small alpha. Rows are drawn by their position: the value
    depends on their order within the noise of the draws.

    References
    ----------
    .. [1] Mordacq, J., Loiseaux, D., Kalogeiton, V., Oudot, S. (2025). "T-REGS:
       Minimum Spanning Tree Regularization for Self-Supervised Learning". NeurIPS.
    .. [2] Steele, J. M. (1988). "Growth rates of Euclidean minimal spanning trees
       with power weighted edges". Annals of Probability 16(4).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.metrics import mst_dimension
    >>> plane = np.random.default_rng(0).uniform(size=(500, 2))
    >>> X = plane @ [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    >>> bool(1.8 < mst_dimension(X, random_state=0) < 2.2)
    True
    """
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha must be positive and finite, got {alpha!r}.")
    check_count("n_repeats", n_repeats, 1)
    rows = neighborhood_of(X, max_samples=max_samples, random_state=random_state)
    if sizes is not None:
        for size in sizes:
            check_count("Each of sizes", size, 2)
        if len(set(sizes)) < 2 or max(sizes) > rows.n_samples:
            raise ValueError(
                f"sizes must hold at least two different numbers of rows, up to "
                f"{rows.n_samples}, got {sizes!r}."
            )
    return _mst_dimension(rows, alpha, sizes, n_repeats)


def topological_separability(
    X, y=None, *, quantile=0.9, max_samples=None, random_state=None
):
    """Separability of classes without labels, from lifetimes of components.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : object, default=None
        Not used: the labels are not needed.
    quantile : float, default=0.9
        Which quantile is returned.
    max_samples : int, default=None
        Rows to use, drawn without replacement where there are more; None uses all.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    tuple of float
        ``mean`` and ``quantile`` of the normalised lifetimes, in [0, 1], lower is more
        separable; nan with a warning where all rows are equal.

    See Also
    --------
    thornton_index : With labels.

    Notes
    -----
    Following Gourgoulias et al.: lifetimes of the components in 0-dimensional
    persistent homology, which are the edge lengths of the minimum spanning tree,
    divided by the longest of them. Where classes are apart, few long edges join them
    and all others are short. Rows that are equal have lifetimes of zero, which count.

    References
    ----------
    .. [1] Gourgoulias, K., Ghalyan, N., Labonne, M., Satsangi, Y., Moran, S.,
       Sabelja, J. (2023). "Estimating class separability of text embeddings with
       persistent homology". arXiv:2305.15016.

    Examples
    --------
    >>> from sklearn_collapse.metrics import topological_separability
    >>> result = topological_separability([[0.0], [1.0], [5.0]])
    >>> round(result.mean, 6), round(result.quantile, 6)
    (0.625, 0.925)
    """
    if not 0 <= quantile <= 1:
        raise ValueError(f"quantile must be in [0, 1], got {quantile!r}.")
    rows = neighborhood_of(X, max_samples=max_samples, random_state=random_state)
    if len(rows.points) < 2:
        warn_undefined("topological_separability", 2, 1)
        return TopologicalSeparability(math.nan, math.nan)
    lifetimes = tree_lengths(rows.points, device=rows.device)
    lifetimes = lifetimes / lifetimes[-1]
    return TopologicalSeparability(
        float(np.mean(lifetimes)), float(np.quantile(lifetimes, quantile))
    )


def _mst_length(rows):
    return float(np.sum(rows.tree))


def _mst_dimension(rows, alpha=1.0, sizes=None, n_repeats=4):
    n = rows.n_samples
    if len(rows.points) < 2 or n < 4:
        warn_undefined("mst_dimension", *((2, 1) if n >= 4 else (4, n)))
        return math.nan
    if sizes is None:
        sizes = np.geomspace(max(n / 10, 3), n, _N_SIZES).round().astype(int)
    draws = np.random.RandomState(rows.seed)
    heights, places = [], []
    for size in np.unique(sizes):
        for _ in range(n_repeats if size < n else 1):
            chosen = np.sort(draws.choice(n, size, replace=False))
            some = Points(take_rows(rows.X, chosen)) if size < n else rows.points
            lengths = tree_lengths(some, device=rows.device)
            if lengths[-1] > 0:
                # Logarithms before powers, which may leave the range of numbers.
                power = float(np.sum((lengths / lengths[-1]) ** alpha))
                heights.append(math.log(power) + alpha * math.log(lengths[-1]))
                places.append(math.log(size))
    apart = np.asarray(places) - np.mean(places) if places else np.zeros(1)
    spread = float(apart @ apart)
    if not spread:  # only draws of equal rows, but for one size
        warn_undefined("mst_dimension", 4, len(rows.points))
        return math.nan
    slope = float(apart @ np.asarray(heights)) / spread
    return alpha / (1 - slope) if slope < 1 else math.inf
