"""Metrics of nearest neighbours: local dimension, two neighbours, labels, entropy."""

import math

import numpy as np
from scipy.sparse import csr_matrix

from sklearn_collapse._linalg._pairs import log_mean_kernel
from sklearn_collapse._linalg._points import take_rows
from sklearn_collapse.metrics._metric import RIGID, metric
from sklearn_collapse.metrics._neighborhood import (
    neighborhood_of,
    warn_undefined,
)
from sklearn_collapse.utils._arrays import Rows, slices
from sklearn_collapse.utils._warnings import CollapseWarning, warn_caller

# Neighbours whose distance may equal that of the nearest, and times more if all do.
_TIES = 8

# Relative difference of distances that the search does not tell from none.
_EQUAL = 1e-9

# Neighbours that are held at a time where many are equally near.
_HELD = 2**22


@metric(
    "neighbors",
    "neighbors rows",
    "Wang, Isola 2020",
    direction="lower",
    low=-8.0,
    high=0.0,
    keeps={"rotation", "scale"},
)
def uniformity(X, *, t=2.0, max_samples=None, random_state=None):
    """Uniformity on the sphere: logarithm of the mean Gaussian kernel of all pairs.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library; divided by their norms.
    t : float, default=2.0
        Sharpness of the kernel.
    max_samples : int, default=None
        Rows to use, drawn without replacement where there are more; None uses all.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    float
        In [-4 t, 0], lower is less degenerate; 0 where all rows have one direction.

    See Also
    --------
    nearest_neighbor_entropy : Looks at the nearest row alone.

    Notes
    -----
    ln mean_{i<j} exp(-t ||x_i - x_j||^2) over rows of length 1, exactly, in blocks.
    ``METRICS`` has the range for t = 2. Invariant under rotation and scale; not under
    translation. A row of zeros has no direction and raises.

    References
    ----------
    .. [1] Wang, T., Isola, P. (2020). "Understanding Contrastive Representation
       Learning through Alignment and Uniformity on the Hypersphere". ICML.

    Examples
    --------
    >>> from sklearn_collapse.metrics import uniformity
    >>> round(uniformity([[1.0, 0.0], [0.0, 2.0]]), 6)
    -4.0
    """
    if not 0 < t < math.inf:
        raise ValueError(f"t must be positive and finite, got {t!r}.")
    rows = neighborhood_of(X, max_samples=max_samples, random_state=random_state)
    return _uniformity(rows, t)


@metric(
    "neighbors",
    "neighbors rows",
    "Sablayrolles et al. 2019",
    direction="higher",
    low=-math.inf,
    high=math.log(2.0),
    keeps={"rotation", "scale"},
)
def nearest_neighbor_entropy(X, *, eps=0.0, max_samples=None, random_state=None):
    """Nearest-neighbour entropy on the sphere: KoLeo with its sign turned.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library; divided by their norms.
    eps : float, default=0.0
        Added to the distances, as some training code does.
    max_samples : int, default=None
        Rows to use, drawn without replacement where there are more; None uses all.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    float
        In [-inf, ln 2], higher is less degenerate; -inf with a warning where two rows
        have the same direction and eps is 0.

    See Also
    --------
    uniformity : Looks at all pairs of rows.

    Notes
    -----
    (1/n) sum_i ln min_{j != i} ||x_i - x_j|| over rows of length 1: the negative of
    the KoLeo loss. The entropy of Kozachenko and Leonenko is d times that (d the
    dimension of the density) plus terms that depend on n and d alone. Invariant under
    rotation and scale; not under translation. A row of zeros has no direction and
    raises.

    References
    ----------
    .. [1] Sablayrolles, A., Douze, M., Schmid, C., Jégou, H. (2019). "Spreading
       vectors for similarity search". ICLR.

    Examples
    --------
    >>> from sklearn_collapse.metrics import nearest_neighbor_entropy
    >>> round(nearest_neighbor_entropy([[1.0, 0.0], [-3.0, 0.0]]), 6)
    0.693147
    """
    if not 0 <= eps < math.inf:
        raise ValueError(f"eps must be finite and not negative, got {eps!r}.")
    rows = neighborhood_of(X, max_samples=max_samples, random_state=random_state)
    return _nearest_neighbor_entropy(rows, eps)


@metric(
    "neighbors",
    "neighbors rows",
    "Thornton 1998",
    direction="higher",
    high=1.0,
    keeps=RIGID - {"cloning"},
)
def thornton_index(X, y, *, max_samples=None, random_state=None):
    """Separability index of Thornton: share of rows whose nearest has their label.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels.
    max_samples : int, default=None
        Rows to use, drawn without replacement where there are more; None uses all.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    float
        In [0, 1], higher is more separated.

    See Also
    --------
    topological_separability : Without labels.

    Notes
    -----
    Accuracy of the nearest-neighbour rule with the row itself left out. Rows that are
    equal are each other's nearest. Where several rows are equally near, the share of
    them that has the label counts.

    References
    ----------
    .. [1] Thornton, C. (1998). "Separability is a Learner's Best Friend". 4th Neural
       Computation and Psychology Workshop, Springer.

    Examples
    --------
    >>> from sklearn_collapse.metrics import thornton_index
    >>> thornton_index([[0.0], [1.0], [5.0], [7.0]], ["a", "a", "b", "a"])
    0.5
    """
    rows = neighborhood_of(X, y, max_samples=max_samples, random_state=random_state)
    return _thornton_index(rows)


def _uniformity(rows, t=2.0):
    n, d = rows.X.shape
    if n < 2:
        warn_undefined("uniformity", 2, n)
        return math.nan
    unit = Rows(rows.unit, rows.device, work=float(n) * n * d / 2)
    return min(log_mean_kernel(unit, t), 0.0)


def _nearest_neighbor_entropy(rows, eps=0.0, X=None):
    """Of the rows, or of others (of length 1) among them."""
    found, points = rows.nearest_unit(X), rows.unit_points
    distances = np.zeros(len(found.equal))
    if found.distances.shape[1]:
        distances = found.distances[:, 0]
    # A row that is there more than once is its own neighbour.
    again = (found.equal >= 0) & (points.counts[found.equal] > 1)
    distances = np.where(again, 0.0, distances)
    if X is None:
        distances = distances[points.point_of]
    copies = int(np.count_nonzero(distances == 0))
    if copies and not eps:
        warn_caller(
            f"nearest_neighbor_entropy is -inf: {copies} rows have the direction of "
            f"another row. Pass eps= to bound it, or drop duplicates.",
            CollapseWarning,
        )
    with np.errstate(divide="ignore"):
        return float(np.mean(np.log(distances + eps)))


def _thornton_index(rows, X=None, codes=None):
    """Of the rows, or of others (X and their labels) among them."""
    points, labels = rows.points, rows.codes
    ones, shape = np.ones(len(labels)), (len(points), len(rows.classes))
    tally = csr_matrix((ones, (points.point_of, labels)), shape=shape)
    found = rows.nearest(_TIES, X)
    if X is None:
        X, codes, which = rows.X, labels, points.point_of
        found = type(found)(*(part[which] for part in found))
    # A row that is there more than once: the others are the nearest.
    equal = np.where(found.equal >= 0, found.equal, 0)
    n_others = points.counts[equal] - 1
    same = np.clip(np.asarray(tally[equal, codes]).ravel() - 1, 0, None)
    shares = np.where(n_others > 0, same / np.maximum(n_others, 1), 0.0)
    alone = np.flatnonzero((found.equal < 0) | (n_others == 0))
    if len(alone) and found.distances.shape[1]:
        found = type(found)(*(part[alone] for part in found))
        others = take_rows(X, alone)
        shares[alone] = _label_shares(rows, tally, others, codes[alone], found, _TIES)
    return float(np.mean(shares))


def _label_shares(rows, tally, X, codes, found, k):
    """Share of the own label among the nearest; ``found`` are k of them or all."""
    # The distance to the nearest, to the precision that the search has.
    tied = found.distances <= found.distances[:, :1] * (1 + _EQUAL)
    own = np.broadcast_to(codes[:, None], tied.shape)
    hits = np.asarray(tally[found.points.ravel(), own.ravel()]).reshape(tied.shape)
    n_tied = (rows.points.counts[found.points] * tied).sum(axis=1)
    shares = (hits * tied).sum(axis=1) / n_tied
    if tied.shape[1] == k:
        # Where the last is as near as the first, so may others be.
        unsure, k = np.flatnonzero(tied[:, -1]), _TIES * k
        for here in slices(len(unsure), max(1, _HELD // k)):
            some = take_rows(X, unsure[here])
            wanted = codes[unsure[here]]
            found = rows.nearest(k, some)
            shares[unsure[here]] = _label_shares(rows, tally, some, wanted, found, k)
    return shares
