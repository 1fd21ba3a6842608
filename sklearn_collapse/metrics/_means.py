"""Collapse metrics of the class means alone: NC2 and its relatives."""

import math

from sklearn_collapse._linalg._frames import (
    cosine_spread,
    distance_tiles,
    gram_tiles,
    simplex_distance,
    unit_means,
    without_diagonal,
)
from sklearn_collapse.metrics._geometry import geometry_of
from sklearn_collapse.metrics._metric import metric
from sklearn_collapse.utils._warnings import CollapseWarning, warn_caller


@metric("collapse", "means", "Papyan, Han, Donoho 2020", direction="lower")
def nc2_equinorm(X, y, *, sample_weight=None, class_weight=None):
    """NC2, equal norms: std_c ||m_c|| / mean_c ||m_c||.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" centres at the unweighted mean of the class means.

    Returns
    -------
    float
        In [0, inf), lower is more collapsed, 0 for means of equal norm; nan if all
        class means coincide.

    See Also
    --------
    nc2_equiangularity : The angles.

    Notes
    -----
    m_c = mu_c - mu_G with mu_G the mean of all rows; the standard deviation over
    classes has normaliser C.

    References
    ----------
    .. [1] Papyan, V., Han, X. Y., Donoho, D. L. (2020). "Prevalence of neural collapse
       during the terminal phase of deep learning training". PNAS 117(40).

    Examples
    --------
    >>> from sklearn_collapse.metrics import nc2_equinorm
    >>> nc2_equinorm([[0.0], [2.0], [8.0], [10.0]], [0, 0, 1, 1])
    0.0
    """
    return _nc2_equinorm(geometry_of(X, y, sample_weight, class_weight))


@metric("collapse", "means", "Papyan, Han, Donoho 2020", direction="lower", high=1.0)
def nc2_equiangularity(X, y, *, sample_weight=None, class_weight=None):
    """NC2, equal angles: standard deviation over pairs of cos(m_i, m_j).

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" centres at the unweighted mean of the class means.

    Returns
    -------
    float
        In [0, 1], lower is more collapsed, 0 for equal angles; nan if all class means
        coincide.

    See Also
    --------
    nc2_max_angle : Distance of the angles from the largest equal ones.

    Notes
    -----
    Pairs i != j, normaliser C (C - 1). A class mean that equals the global mean to
    rounding has cosine 0 with every other.

    References
    ----------
    .. [1] Papyan, V., Han, X. Y., Donoho, D. L. (2020). "Prevalence of neural collapse
       during the terminal phase of deep learning training". PNAS 117(40).

    Examples
    --------
    >>> from sklearn_collapse.metrics import nc2_equiangularity
    >>> X = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
    >>> round(nc2_equiangularity(X, [0, 1, 2, 3]), 6)
    0.471405
    """
    return _nc2_equiangularity(geometry_of(X, y, sample_weight, class_weight))


@metric("collapse", "means", "Papyan, Han, Donoho 2020", direction="lower", high=2.0)
def nc2_max_angle(X, y, *, sample_weight=None, class_weight=None):
    """NC2, maximal angles: mean over pairs of ``|cos(m_i, m_j) + 1 / (C - 1)|``.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" centres at the unweighted mean of the class means.

    Returns
    -------
    float
        In [0, 1 + 1 / (C - 1)], lower is more collapsed, 0 for a simplex; nan with
        a warning if C > d + 1, where no simplex exists.

    See Also
    --------
    gnc2_uniformity : What to look at when there are more classes than dimensions.

    Notes
    -----
    Pairs i != j, normaliser C (C - 1).

    References
    ----------
    .. [1] Papyan, V., Han, X. Y., Donoho, D. L. (2020). "Prevalence of neural collapse
       during the terminal phase of deep learning training". PNAS 117(40).

    Examples
    --------
    >>> from sklearn_collapse.metrics import nc2_max_angle
    >>> X = [[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]]
    >>> round(nc2_max_angle(X * 2, [0, 1, 2] * 2), 6)
    0.0
    """
    return _nc2_max_angle(geometry_of(X, y, sample_weight, class_weight))


@metric("collapse", "means", "Dang et al. 2023", direction="lower", high=2**0.5)
def nc2_etf_error(X, y, *, sample_weight=None, class_weight=None):
    """NC2 as one number: distance of the means' Gram matrix from a simplex ETF.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" centres at the unweighted mean of the class means.

    Returns
    -------
    float
        In [0, sqrt(2)], lower is more collapsed, 0 for a simplex equiangular tight
        frame; nan with a warning if C > d + 1, where no simplex exists.

    See Also
    --------
    gnc2_uniformity : What to look at when there are more classes than dimensions.

    Notes
    -----
    || M M^T / ||M M^T||_F - (I - 1 1^T / C) / sqrt(C - 1) ||_F with the centred class
    means in the rows of M. The mean that is subtracted is that of all rows: a perfect
    frame whose classes are imbalanced is then far from 0 (0.435 in one example) and
    at 0 with ``class_weight="balanced"``.

    References
    ----------
    .. [1] Dang, H., Tran, T., Osher, S., Tran-The, H., Ho, N., Nguyen, T. (2023).
       "Neural Collapse in Deep Linear Networks: From Balanced to Imbalanced Data".
       ICML.

    Examples
    --------
    >>> from sklearn_collapse.metrics import nc2_etf_error
    >>> X = [[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]]
    >>> round(nc2_etf_error(X * 2, [0, 1, 2] * 2), 6)
    0.0
    """
    return _nc2_etf_error(geometry_of(X, y, sample_weight, class_weight))


@metric("collapse", "means", "Wu, Papyan 2024", direction="lower", low=-math.log(2))
def gnc2_uniformity(X, y, *, sample_weight=None, class_weight=None):
    """GNC2, hyperspherical uniformity: mean over pairs of -log ||u_i - u_j||.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" centres at the unweighted mean of the class means.

    Returns
    -------
    float
        In [-log 2, inf], lower is more uniform; inf where two directions coincide.

    See Also
    --------
    nc2_etf_error : Distance from the simplex, which needs C <= d + 1.

    Notes
    -----
    u_c is the centred class mean divided by its norm. Pairs i != j, normaliser
    C (C - 1). Defined for any number of classes.

    References
    ----------
    .. [1] Wu, R., Papyan, V. (2024). "Linguistic Collapse: Neural Collapse in (Large)
       Language Models". NeurIPS. arXiv 2405.17767.

    Examples
    --------
    >>> from sklearn_collapse.metrics import gnc2_uniformity
    >>> round(gnc2_uniformity([[0.0], [2.0], [8.0], [10.0]], [0, 0, 1, 1]), 6)
    -0.693147
    """
    return _gnc2_uniformity(geometry_of(X, y, sample_weight, class_weight))


@metric(
    "collapse",
    "means",
    "Dang et al. 2023",
    direction="lower",
    high=1.0,
    keeps={"rotation", "scale", "cloning"},
)
def gof_off_diagonal(X, y, *, sample_weight=None, class_weight=None):
    """Off-diagonal share of the uncentred means' Gram matrix.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        Accepted for symmetry: the means are not centred.

    Returns
    -------
    float
        In [0, 1), lower is closer to a general orthogonal frame, 0 for orthogonal
        class means; nan if all class means are zero.

    See Also
    --------
    nc2_etf_error : The frame of balanced classes.

    Notes
    -----
    1 - sum_c (G_cc)^2 / ||G||_F^2 with G the Gram matrix of the class means about the
    origin, computed as the sum of the squared off-diagonal entries. It depends on the
    origin: translation changes it.

    References
    ----------
    .. [1] Dang, H., Tran, T., Osher, S., Tran-The, H., Ho, N., Nguyen, T. (2023).
       "Neural Collapse in Deep Linear Networks: From Balanced to Imbalanced Data".
       ICML.

    Examples
    --------
    >>> from sklearn_collapse.metrics import gof_off_diagonal
    >>> gof_off_diagonal([[1.0, 0.0], [0.0, 3.0]], [0, 1])
    0.0
    """
    return _gof_off_diagonal(geometry_of(X, y, sample_weight, class_weight))


def _nc2_equinorm(geometry):
    if geometry.means_coincide:
        return math.nan
    xp = geometry.xp
    norms = xp.sqrt(xp.vecdot(geometry.means, geometry.means))
    return float(xp.std(norms)) / float(xp.mean(norms))


def _nc2_equiangularity(geometry):
    if geometry.means_coincide:
        return math.nan
    return _cosine_spread(geometry)[1]


def _nc2_max_angle(geometry):
    if not simplex_exists(geometry) or geometry.means_coincide:
        return math.nan
    return _cosine_spread(geometry)[0]


def _nc2_etf_error(geometry):
    if not simplex_exists(geometry) or geometry.means_coincide:
        return math.nan
    return simplex_distance(geometry.means, geometry.means, geometry.xp)


def _gnc2_uniformity(geometry):
    xp = geometry.xp
    total = 0.0
    for tile in distance_tiles(_units(geometry), xp):
        apart = without_diagonal(tile, tile.values, xp, 1.0)
        if not float(xp.min(apart)):
            return math.inf
        total -= tile.times * float(xp.sum(xp.log(apart))) / 2
    return total / (geometry.n_classes * (geometry.n_classes - 1))


def _gof_off_diagonal(geometry):
    xp = geometry.xp
    means = geometry.moments.means_
    # Squares of squares: in units of the largest entry they do not overflow.
    means = means / (float(xp.max(xp.abs(means))) or 1.0)
    norms = xp.vecdot(means, means)
    on, off = float(xp.sum(norms * norms)), 0.0
    for tile in gram_tiles(means, xp):
        gram = without_diagonal(tile, tile.values, xp)
        off += tile.times * float(xp.sum(gram * gram))
    return off / (on + off) if on else math.nan


def simplex_exists(geometry):
    """Whether C <= d + 1; otherwise warn, once, and name the alternative."""
    if geometry.n_classes <= geometry.n_features + 1:
        return True
    if not geometry.warned_of_simplex:
        warn_caller(
            f"nc2_max_angle, nc2_etf_error and nc3_product are nan: "
            f"{geometry.n_classes} classes have no simplex in {geometry.n_features} "
            f"dimensions (at most {geometry.n_features + 1}). "
            f"Use gnc2_uniformity, which is defined for any number of classes.",
            CollapseWarning,
        )
    geometry.warned_of_simplex = True
    return False


def _units(geometry):
    return unit_means(geometry.means, geometry.mean_rounding, geometry.xp)


def _cosine_spread(geometry):
    """Deviation of the cosines from a simplex's, and their spread; C^2 d, so kept."""
    if geometry.cosine_spread is None:
        cosine = -1 / (geometry.n_classes - 1)
        geometry.cosine_spread = cosine_spread(_units(geometry), cosine, geometry.xp)
    return geometry.cosine_spread
