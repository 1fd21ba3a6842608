"""Metrics of nearest neighbours: local dimension, two neighbours, labels, entropy."""

import math

import numpy as np
from scipy.sparse import csr_matrix

from sklearn_collapse._linalg._pairs import log_mean_kernel
from sklearn_collapse._linalg._points import Points, take_rows
from sklearn_collapse.metrics._metric import RIGID, metric
from sklearn_collapse.metrics._neighborhood import (
    check_choice,
    check_count,
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


@metric("neighbors", "neighbors rows", "Amsaleg et al. 2015", direction="higher")
def lid(
    X,
    *,
    n_neighbors=20,
    method="mle",
    correction=False,
    aggregate="geometric",
    max_samples=None,
    random_state=None,
):
    """Local intrinsic dimensionality, averaged over the rows.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    n_neighbors : int, default=20
        Number k of neighbours, at least 2; all there are where they are fewer.
    method : {"mle", "moments"}, default="mle"
        Maximum likelihood, or the method of moments.
    correction : bool, default=False
        Whether "mle" has k - 1 in place of k, as Levina and Bickel have.
    aggregate : {"geometric", "harmonic"}, default="geometric"
        Mean over the rows: the geometric one is the Fréchet mean for the Fisher-Rao
        distance, the harmonic one averages the estimates' inverses.
    max_samples : int, default=None
        Rows to use, drawn without replacement where there are more; None uses all.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    float
        In (0, inf], higher is less degenerate; inf where all neighbours of a row are
        equally far, nan with a warning for fewer than three distinct rows.

    See Also
    --------
    two_nn : One dimension from two neighbours of each row.
    sklearn_collapse.collapse.NeighborCollapseScorer : The value of each row.

    Notes
    -----
    With r_1 <= ... <= r_k the distances of a row to its neighbours and m their mean::

        mle       1 / ((1 / k) sum_i ln(r_k / r_i))
        moments   m / (r_k - m)

    Equal rows are one point: copies of a row are no neighbours of it, and k distinct
    rows at a distance other than zero are used. All rows count in the mean. The
    estimate is too low for large dimensions, where n would have to grow exponentially.
    No publication says which value is good; a low one for many features is taken for
    degenerate here. Unlike the formulas of most implementations, distances of near
    rows are taken from their differences, in float64.

    References
    ----------
    .. [1] Amsaleg, L., et al. (2015). "Estimating Local Intrinsic Dimensionality".
       KDD.
    .. [2] Levina, E., Bickel, P. J. (2004). "Maximum Likelihood Estimation of
       Intrinsic Dimension". NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.metrics import lid
    >>> plane = np.random.default_rng(0).uniform(size=(500, 2))
    >>> X = plane @ [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    >>> round(lid(X), 1)
    2.1
    """
    check_count("n_neighbors", n_neighbors, 2)
    check_choice("method", method, ("mle", "moments"))
    check_choice("aggregate", aggregate, ("geometric", "harmonic"))
    if correction and method != "mle":
        raise ValueError("correction=True is for method='mle', got method='moments'.")
    rows = neighborhood_of(X, max_samples=max_samples, random_state=random_state)
    return _lid(rows, n_neighbors, method, correction, aggregate)


@metric("neighbors", "neighbors rows", "Facco et al. 2017", direction="higher")
def two_nn(X, *, method="fit", discard=0.1, max_samples=None, random_state=None):
    """Intrinsic dimension from the two nearest neighbours of each row.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    method : {"fit", "mle"}, default="fit"
        Slope of a line through the origin, or maximum likelihood.
    discard : float, default=0.1
        Share of the largest ratios that "fit" leaves out; "mle" uses all.
    max_samples : int, default=None
        Rows to use, drawn without replacement where there are more; None uses all.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    float
        In (0, inf], higher is less degenerate; inf where both neighbours of all rows
        are equally far, nan with a warning for fewer than three distinct rows.

    See Also
    --------
    lid : From more neighbours, row by row.

    Notes
    -----
    With mu = r_2 / r_1 in ascending order, i = 1..n::

        fit   slope of -ln(1 - i / n) on ln mu_i, i <= (1 - discard) n
        mle   n / sum_i ln mu_i

    Equal rows are one point, as the paper asks for. The last ratio, whose i / n is 1,
    is always left out of "fit".

    References
    ----------
    .. [1] Facco, E., d'Errico, M., Rodriguez, A., Laio, A. (2017). "Estimating the
       intrinsic dimension of datasets by a minimal neighborhood information".
       Scientific Reports 7.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.metrics import two_nn
    >>> plane = np.random.default_rng(0).uniform(size=(500, 2))
    >>> X = plane @ [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    >>> round(two_nn(X), 1)
    2.0
    """
    check_choice("method", method, ("fit", "mle"))
    if not 0 <= discard < 1:
        raise ValueError(f"discard must be in [0, 1), got {discard!r}.")
    rows = neighborhood_of(X, max_samples=max_samples, random_state=random_state)
    return _two_nn(rows, method=method, discard=discard)


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


def local_dimensions(distances, method="mle", correction=False):
    """Local dimension of each row, from distances in ascending order.

    Parameters
    ----------
    distances : ndarray of shape (n, k)
        Positive.
    method, correction
        As in `lid`.

    Returns
    -------
    ndarray of shape (n,)
        nan for k < 2.
    """
    n, k = distances.shape
    if k < 2:
        return np.full(n, math.nan)
    if method == "moments":
        mean = np.mean(distances, axis=1)
        spread = distances[:, -1] / mean - 1
    else:
        spread = np.mean(np.log(distances[:, -1:] / distances), axis=1)
    # Of distances that are equal, rounding is all that is left.
    spread = np.where(spread > _EQUAL, spread, 0.0)
    with np.errstate(divide="ignore"):
        return ((k - 1) / k if correction else 1.0) / spread


def mean_dimension(values, aggregate="geometric"):
    """Mean of local dimensions, which may be inf."""
    if aggregate == "geometric":
        return float(np.exp(np.mean(np.log(values))))
    inverse = float(np.mean(1 / values))
    return 1 / inverse if inverse else math.inf


def _lid(
    rows, n_neighbors=20, method="mle", correction=False, aggregate="geometric", X=None
):
    """Of the rows, or of others (X) among them."""
    if len(rows.points) < 3:
        warn_undefined("lid", 3, len(rows.points))
        return math.nan
    distances = rows.nearest(n_neighbors, X).distances
    values = local_dimensions(distances, method, correction)
    if X is None:
        values = values[rows.points.point_of]
    return mean_dimension(values, aggregate)


def _two_nn(rows, *, method="fit", discard=0.1, X=None):
    if len(rows.points) < 3:
        warn_undefined("two_nn", 3, len(rows.points))
        return math.nan
    distances = rows.nearest(2, None if X is None else Points(X).rows).distances
    ratios = np.sort(np.log(distances[:, 1] / distances[:, 0]))
    ratios = np.where(ratios > _EQUAL, ratios, 0.0)
    n = len(ratios)
    if n < 2:
        warn_undefined("two_nn", 2, n)
        return math.nan
    if method == "mle":
        heights = np.ones(n)
        below = float(np.sum(ratios))
    else:
        kept = min(max(int(n * (1 - discard)), 1), n - 1)
        ratios = ratios[:kept]
        heights = -np.log1p(-np.arange(1, kept + 1) / n) * ratios
        below = float(ratios @ ratios)
    return float(np.sum(heights)) / below if below else math.inf


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
