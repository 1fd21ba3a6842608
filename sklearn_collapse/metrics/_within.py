"""Collapse metrics that compare the scatter within classes with that between them."""

import math

import numpy as np

from sklearn_collapse._linalg._frames import distance_tiles, without_diagonal
from sklearn_collapse.metrics._geometry import geometry_of
from sklearn_collapse.metrics._metric import RIGID, metric
from sklearn_collapse.utils._arrays import device_of
from sklearn_collapse.utils._decompositions import svdvals
from sklearn_collapse.utils._warnings import CollapseWarning, warn_caller


@metric("collapse", "moments", "Papyan, Han, Donoho 2020", direction="lower")
def nc1_pinv(X, y, *, sample_weight=None, class_weight=None):
    """NC1, variability collapse: tr(Sigma_W Sigma_B^+) / C.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" weighs rows by n / (C n_c) in the means and both covariances.

    Returns
    -------
    float
        In [0, inf), lower is more collapsed, 0 for complete collapse; inf where all
        class means coincide.

    See Also
    --------
    vci : Invariant under invertible linear maps, which NC1 is not.

    Notes
    -----
    Sigma_W has normaliser n, Sigma_B = sum_c p_c m_c m_c^T with p_c = n_c / n and m_c
    the centred class means. It is computed from the thin singular value decomposition
    of the C x d weighted means, sum_k v_k^T Sigma_W v_k / s_k^2 over the rank that is
    kept, so it is never negative. The paper assumes balanced classes; its notebook
    omits 1 / C. With n near d any labels look collapsed: a warning says so.

    References
    ----------
    .. [1] Papyan, V., Han, X. Y., Donoho, D. L. (2020). "Prevalence of neural collapse
       during the terminal phase of deep learning training". PNAS 117(40).

    Examples
    --------
    >>> from sklearn_collapse.metrics import nc1_pinv
    >>> round(nc1_pinv([[-1.0], [1.0], [4.0], [6.0]], [0, 0, 1, 1]), 6)
    0.08
    """
    return _nc1_pinv(geometry_of(X, y, sample_weight, class_weight))


@metric("collapse", "moments", "Tirer et al. 2023", direction="lower")
def nc1_trace_ratio(X, y, *, sample_weight=None, class_weight=None):
    """NC1 as a ratio of traces: tr(Sigma_W) / tr(Sigma_B).

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" weighs rows by n / (C n_c) in the means and both covariances.

    Returns
    -------
    float
        In [0, inf), lower is more collapsed; inf where all class means coincide.

    See Also
    --------
    nc1_pinv : Weighs the directions by the distance of the means in them.

    Notes
    -----
    Both covariances have normaliser n; the ratio does not depend on it. Invariant
    under rotation, translation and scale.

    References
    ----------
    .. [1] Tirer, T., Huang, H., Niles-Weed, J. (2023). "Perturbation Analysis of
       Neural Collapse". ICML.

    Examples
    --------
    >>> from sklearn_collapse.metrics import nc1_trace_ratio
    >>> round(nc1_trace_ratio([[-1.0], [1.0], [4.0], [6.0]], [0, 0, 1, 1]), 6)
    0.16
    """
    return _nc1_trace_ratio(geometry_of(X, y, sample_weight, class_weight))


@metric(
    "collapse",
    "moments",
    "Fukunaga 1990",
    direction="higher",
    keeps=RIGID | {"invertible"},
)
def fisher_ratio(X, y, *, sample_weight=None, class_weight=None):
    """Fisher ratio: tr(Sigma_W^-1 Sigma_B).

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" weighs rows by n / (C n_c) in the means and both covariances.

    Returns
    -------
    float
        In [0, inf], larger is more separated; inf where Sigma_W is zero, 0 where all
        class means coincide.

    See Also
    --------
    vci : The same eigenvalues in [0, 1].

    Notes
    -----
    Normaliser n for both covariances. The inverse is floored at the level of the rank
    rule, not a pseudo-inverse, which would give 0 on completely collapsed features.
    With n <= d + C it is very large for any labels, as VCI is near 0.

    References
    ----------
    .. [1] Fukunaga, K. (1990). "Introduction to Statistical Pattern Recognition",
       chapter 10. Academic Press.

    Examples
    --------
    >>> from sklearn_collapse.metrics import fisher_ratio
    >>> round(fisher_ratio([[-1.0], [1.0], [4.0], [6.0]], [0, 0, 1, 1]), 6)
    6.25
    """
    return _fisher_ratio(geometry_of(X, y, sample_weight, class_weight))


@metric(
    "collapse",
    "moments",
    "Xu, Liu 2023",
    direction="lower",
    high=1.0,
    keeps=RIGID | {"invertible"},
)
def vci(X, y, *, sample_weight=None, class_weight=None):
    """Variability collapse index: 1 - tr(Sigma_T^+ Sigma_B) / rank(Sigma_B).

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" weighs rows by n / (C n_c) in the means and all covariances.

    Returns
    -------
    float
        In [0, 1], lower is more collapsed; 1 where all class means coincide.

    See Also
    --------
    sklearn_collapse.collapse.NeuralCollapseScorer : Its ``score`` holds it out.

    Notes
    -----
    Invariant under invertible linear maps. For balanced classes it equals 1 - R^2 of
    the least-squares probe on one-hot labels. It is computed as the mean over k of
    1 / (1 + g_k), with g the rank(Sigma_B) leading eigenvalues of
    A^T Sigma_W^-1 A and the columns of A sqrt(p_c) m_c: the difference from 1 would
    have lost its digits. Random labels give 0 at n <= d and about 1 - d/n above: with
    n <= d + C a warning says so.

    References
    ----------
    .. [1] Xu, J., Liu, H. (2023). "Quantifying the Variability Collapse of Neural
       Networks". ICML.

    Examples
    --------
    >>> from sklearn_collapse.metrics import vci
    >>> round(vci([[-1.0], [1.0], [4.0], [6.0]], [0, 0, 1, 1]), 6)
    0.137931
    """
    return _vci(geometry_of(X, y, sample_weight, class_weight))


@metric("collapse", "moments", "Galanti, Gyorgy, Hutter 2022", direction="lower")
def cdnv(X, y, *, sample_weight=None, class_weight=None, reduction="mean", power=2):
    """Class-distance normalised variance: (Var_i + Var_j) / (2 ||mu_i - mu_j||^2).

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        Accepted for symmetry: every pair of classes counts alike already.
    reduction : {"mean", "max", "grid"}, default="mean"
        Mean or maximum over the pairs i != j, or all of them, (C, C) with zeros on
        the diagonal.
    power : {2, 4}, default=2
        Power of the distance below the line; 4 as in the code of Linguistic Collapse,
        which depends on scale.

    Returns
    -------
    float or array of shape (C, C)
        In [0, inf), lower is more collapsed; inf where two class means coincide.

    See Also
    --------
    nc1_trace_ratio : One ratio for all classes.

    Notes
    -----
    Var_i is the mean of ||x - mu_i||^2 over the rows of class i (normaliser n_i): a
    trace, not a variance per dimension. A class of a single row has none: its pairs
    are left out (nan in the grid), a warning says so.

    References
    ----------
    .. [1] Galanti, T., Gyorgy, A., Hutter, M. (2022). "On the Role of Neural Collapse
       in Transfer Learning". ICLR.

    Examples
    --------
    >>> from sklearn_collapse.metrics import cdnv
    >>> round(cdnv([[-1.0], [1.0], [4.0], [6.0]], [0, 0, 1, 1]), 6)
    0.04
    """
    if reduction not in ("mean", "max", "grid"):
        raise ValueError(
            f"reduction must be 'mean', 'max' or 'grid', got {reduction!r}."
        )
    if power not in (2, 4):
        raise ValueError(f"power must be 2 or 4, got {power!r}.")
    geometry = geometry_of(X, y, sample_weight, class_weight)
    geometry.warn_of_single_rows("cdnv")
    return _cdnv(geometry, reduction=reduction, power=power)


def _nc1_pinv(geometry):
    _warn_few_rows(geometry, "nc1_pinv")
    xp = geometry.xp
    _, values, right = geometry.between
    if not values.shape[0]:
        return math.inf
    spread = xp.vecdot(xp.matmul(right, geometry.within), right)
    # A scatter of zero is one to rounding, of either sign.
    spread = xp.clip(spread, 0.0, None)
    return float(xp.sum(spread / values**2)) / geometry.n_classes


def _nc1_trace_ratio(geometry):
    xp = geometry.xp
    between = float(xp.sum(geometry.between[1] ** 2))
    within = max(float(xp.linalg.trace(geometry.within)), 0.0)
    return within / between if between else math.inf


def _fisher_ratio(geometry):
    if geometry.means_coincide:
        return 0.0
    if not geometry.within_spectrum.rank:
        return math.inf
    return float(geometry.xp.sum(_separations(geometry)))


def _vci(geometry):
    _warn_few_rows(geometry, "vci")
    separations = _separations(geometry)
    if not separations.shape[0]:
        return 1.0
    return float(geometry.xp.mean(1 / (1 + separations)))


def _separations(geometry):
    """Eigenvalues g_k of A^T Sigma_W^-1 A, as many as the rank of Sigma_B."""
    xp = geometry.xp
    _, values, right = geometry.between
    if not values.shape[0]:
        return values
    return svdvals(xp.matmul(values[:, None] * right, geometry.whitener)) ** 2


def _cdnv(geometry, reduction="mean", power=2):
    """Mean or maximum over pairs of classes, mean per class, or the whole grid.

    Classes of a single row have no variance: their pairs are left out, nan in a grid.
    """
    xp, c = geometry.xp, geometry.n_classes
    single = geometry.local(geometry.single_rows)
    variances = geometry.variances
    raw = geometry.moments.means_
    # Squared distances that rounding of the means may make of zero.
    noise = (4 * geometry.eps) ** 2 * xp.vecdot(raw, raw)
    largest, sums, grid = 0.0, xp.zeros_like(variances), None
    if reduction == "grid":
        grid = xp.full((c, c), math.nan, dtype=raw.dtype, device=device_of(raw))
    for tile in distance_tiles(geometry.means, xp):
        rows, columns, squares = tile
        spread = (variances[rows][:, None] + variances[columns][None, :]) / 2
        apart = squares > noise[rows][:, None] + noise[columns][None, :]
        below = xp.where(apart, squares, xp.ones_like(squares)) ** (power // 2)
        ratio = xp.where(apart, spread / below, xp.full_like(spread, math.inf))
        ratio = without_diagonal(tile, ratio, xp)
        left_out = single[rows][:, None] | single[columns][None, :]
        counted = xp.where(left_out, xp.zeros_like(ratio), ratio)
        sums[rows] += xp.sum(counted, axis=1)
        if rows != columns:
            sums[columns] += xp.sum(counted, axis=0)
        largest = max(largest, float(xp.max(counted)))
        if grid is not None:
            ratio = xp.where(left_out, xp.full_like(ratio, math.nan), ratio)
            grid[rows, columns] = ratio
            grid[columns, rows] = xp.matrix_transpose(ratio)
    if grid is not None:
        return grid
    kept = c - int(np.sum(geometry.single_rows))
    if reduction == "classes":
        means = sums / (kept - 1) if kept > 1 else sums * math.nan
        return xp.where(single, xp.full_like(sums, math.nan), means)
    if kept < 2:
        return math.nan
    return float(xp.sum(sums)) / (kept * (kept - 1)) if reduction == "mean" else largest


def _warn_few_rows(geometry, name):
    if geometry.few_rows:
        n, d = geometry.counts.sum(), geometry.n_features
        warn_caller(
            f"{name} reads as collapsed for any labels when n_samples ({n:g}) is not "
            f"larger than n_features ({d}) + n_classes ({geometry.n_classes}). Use "
            f"more rows, or compare with its value for permuted labels: "
            f"null_reference({name!r}, X, y).",
            CollapseWarning,
        )
