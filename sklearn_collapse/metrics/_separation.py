"""Collapse metrics of directions: cosines within classes, and the rank of LiDAR."""

import math

import numpy as np

from sklearn_collapse.metrics._geometry import (
    check_two_classes,
    geometry_of,
    labelled,
)
from sklearn_collapse.metrics._metric import RIGID, metric
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import as_like, namespace, to_numpy
from sklearn_collapse.utils._decompositions import svdvals
from sklearn_collapse.utils._warnings import CollapseWarning, warn_caller


@metric(
    "collapse",
    "unit_moments",
    "Kornblith et al. 2021",
    direction="higher",
    low=-math.inf,
    high=1.0,
    keeps={"rotation", "scale"},
)
def class_separation(X, y, *, sample_weight=None, class_weight=None):
    """Class separation: 1 - d_within / d_total, with cosine distances.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" weighs rows by n / (C n_c), and a pair by the product, as the paper
        does.

    Returns
    -------
    float
        At most 1, higher is more collapsed, 1 where the rows of each class point the
        same way; about 0 for random labels; nan where no class has two rows or all
        rows point the same way, to rounding.

    See Also
    --------
    tolerance : The distances within classes alone.

    Notes
    -----
    Following the paper: d_within is the mean of 1 - cos(x_i, x_j) over pairs of rows
    of one class, d_total over all pairs. Pairs of a row with itself are left out, so
    that the number of rows does not matter; the paper has them. Computed from the
    moments of unit rows: d_within of a class is its scatter trace / (n_c - 1), and no
    digits are lost near collapse. Rows of zeros have cosine 0 with every row, and a
    warning says so. Classes of a single row have no pairs, but count in d_total.

    References
    ----------
    .. [1] Kornblith, S., Chen, T., Lee, H., Norouzi, M. (2021). "Why Do Better Loss
       Functions Lead to Less Transferable Features?". NeurIPS.

    Examples
    --------
    >>> from sklearn_collapse.metrics import class_separation
    >>> X = [[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]
    >>> class_separation(X, [0, 0, 1, 1])
    1.0
    """
    geometry = unit_geometry(X, y, sample_weight, class_weight)
    geometry.warn("class_separation")
    return _class_separation(geometry)


@metric(
    "collapse",
    "unit_moments",
    "Wang, Liu 2021",
    direction="higher",
    low=-1.0,
    high=1.0,
    keeps={"rotation", "scale"},
)
def tolerance(X, y, *, sample_weight=None, class_weight=None):
    """Tolerance: mean cosine of pairs of rows of the same class.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" weighs rows by n / (C n_c), and a pair by the product.

    Returns
    -------
    float
        In [-1, 1], higher is more collapsed; nan where no class has two rows.

    See Also
    --------
    class_separation : Relative to the distances of all rows.

    Notes
    -----
    Following the paper, where it stands against the uniformity of all rows. Pairs of a
    row with itself are left out. Rows of zeros have cosine 0 with every row, and a
    warning says so.

    References
    ----------
    .. [1] Wang, F., Liu, H. (2021). "Understanding the Behaviour of Contrastive
       Loss". CVPR.

    Examples
    --------
    >>> from sklearn_collapse.metrics import tolerance
    >>> tolerance([[1.0, 0.0], [0.0, 2.0], [0.0, 1.0], [0.0, 3.0]], [0, 0, 1, 1])
    0.5
    """
    geometry = unit_geometry(X, y, sample_weight, class_weight)
    geometry.warn("tolerance")
    return _tolerance(geometry)


@metric(
    "collapse",
    "moments",
    "Thilak et al. 2024",
    direction="higher",
    low=1.0,
    keeps=RIGID | {"invertible"},
)
def lidar(X, y, *, sample_weight=None, class_weight=None, delta=0.0):
    """LiDAR: effective rank of the linear discriminant's matrix.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, or the numbers of the samples that rows are augmentations of.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" weighs rows by n / (C n_c) in Sigma_w.
    delta : float, default=0.0
        Added to the diagonal of Sigma_w; 1e-4 in the paper. It makes the value depend
        on the scale of the features.

    Returns
    -------
    float
        In [1, min(C - 1, d)], higher is better; C - 1 for a simplex with isotropic
        noise; nan where all class means coincide.

    See Also
    --------
    vci : Sums the same eigenvalues as shares.

    Notes
    -----
    exp of the entropy of the eigenvalues, divided by their sum, of
    Sigma_w^-1/2 Sigma_b Sigma_w^-1/2. Sigma_b is the sample covariance of the class
    means, about their own mean (normaliser C - 1), Sigma_w the pooled covariance
    within classes (normaliser n - C). With delta = 0 the inverse is floored at the
    level of the rank rule, and invertible linear maps change nothing. With n <= d + C
    the floor decides the value, for any labels.

    References
    ----------
    .. [1] Thilak, V., Huang, C., Saremi, O., Dinh, L., Goh, H., Nakkiran, P.,
       Susskind, J. M., Littwin, E. (2024). "LiDAR: Sensing Linear Probing Performance
       in Joint Embedding SSL Architectures". ICLR.

    Examples
    --------
    >>> from sklearn_collapse.metrics import lidar
    >>> X = [[-1.0, 0.0], [1.0, 0.0], [0.0, 4.0], [0.0, 6.0], [5.0, 2.0], [5.0, 4.0]]
    >>> round(lidar(X, [0, 0, 1, 1, 2, 2]), 6)
    1.791142
    """
    if not delta >= 0:
        raise ValueError(f"delta must be 0 or positive, got {delta!r}.")
    return _lidar(geometry_of(X, y, sample_weight, class_weight), delta=delta)


class UnitGeometry:
    """Cosines within and between classes, from the moments of unit rows.

    Parameters
    ----------
    moments : ClassMoments
        Gathered with ``normalize=True``, at least two classes.
    class_weight : {None, "balanced"}
        Whether rows or classes count alike.
    check : bool, default=True
        Whether there must be two classes.
    """

    def __init__(self, moments, class_weight=None, check=True):
        if check:
            check_two_classes(moments.classes_)
        self.moments = moments
        self.class_weight = class_weight
        self.counts = to_numpy(moments.counts_)
        shares = self.counts
        if class_weight == "balanced":
            shares = np.ones(len(shares))
        self.shares = shares / shares.sum()
        self.traces = to_numpy(moments.class_scatter_trace_)
        means = moments.means_
        norms = to_numpy(namespace(means).vecdot(means, means))
        # Share of rows that have no direction; rounding of the others leaves less.
        lengths = self.traces / self.counts + norms
        missing = np.clip(1 - lengths, 0.0, None)
        self.zeros = np.where(missing > 1e3 * moments._product_eps(), missing, 0.0)

    @property
    def within(self):
        """Mean cosine distance of two rows of each class; nan for a single row."""
        pairs = np.where(self.counts > 1, self.counts - 1, math.nan)
        return self.zeros + self.traces / pairs

    @property
    def own_pairs(self):
        """Weight of the pairs of two rows of each class; that of all rows is 1."""
        return self.shares**2 * np.clip(1 - 1 / self.counts, 0.0, None)

    @property
    def between(self):
        """Trace of the covariance of the class means."""
        means = self.moments.means_
        xp = namespace(means)
        shares = as_like(self.shares, means)
        centred = means - xp.matmul(shares, means)
        return float(xp.sum(shares * xp.vecdot(centred, centred)))

    def with_rows(self, traces, zeros):
        """The same class means and counts with the spread of other rows."""
        twin = UnitGeometry(self.moments, self.class_weight)
        twin.traces, twin.zeros = traces, zeros
        return twin

    def warn(self, what):
        """Warn of classes and rows that have no cosines."""
        single = self.counts <= 1
        if single.any():
            warn_caller(
                f"{what}: classes of a single row (or whose weights sum to 1 or less) "
                f"have no pairs and are left out ({int(single.sum())} of "
                f"{len(single)}). Weights are frequencies.",
                CollapseWarning,
            )
        self.warn_of_zeros(what)

    def warn_of_zeros(self, what):
        """Warn of rows that have no direction."""
        zeros = round(float(np.sum(self.zeros * self.counts)))
        if zeros:
            warn_caller(
                f"{what}: {zeros} rows are zero. They have no direction, and count "
                f"with cosine 0.",
                CollapseWarning,
            )


def unit_geometry(X, y, sample_weight, class_weight):
    """Geometry of the unit rows for the metric functions."""
    X, y, weights = labelled(X, y, sample_weight, class_weight)
    return UnitGeometry(
        ClassMoments.from_arrays(X, y, weights, normalize=True), class_weight
    )


def _within_distance(geometry):
    """Mean cosine distance of two rows of one class; nan without pairs."""
    paired = geometry.counts > 1
    if not paired.any():
        return math.nan
    weights = geometry.own_pairs[paired]
    return float(np.average(geometry.within[paired], weights=weights))


def _total_distance(geometry):
    """Mean cosine distance of two rows; 0 where it is but rounding of the rows."""
    shares, own = geometry.shares, geometry.own_pairs
    paired = geometry.counts > 1
    # Of two rows of different classes: half the spread of either class, and half the
    # squared distance of the class means.
    spread = geometry.zeros + geometry.traces / geometry.counts
    apart = shares @ ((1 - shares) * spread) + geometry.between
    total = own[paired] @ geometry.within[paired] + apart
    total = float(total / (1 - shares @ shares + own.sum()))
    eps = max(geometry.moments.input_eps_, geometry.moments._product_eps())
    return total if total > (2 * eps) ** 2 else 0.0


def _class_separation(geometry):
    total = _total_distance(geometry)
    return 1 - _within_distance(geometry) / total if total else math.nan


def _tolerance(geometry):
    return 1 - _within_distance(geometry)


def _lidar(geometry, delta=0.0):
    xp = geometry.xp
    if geometry.means_coincide:
        return math.nan
    _, sizes, right = geometry.kept_part(geometry.moments._between_root("balanced"))
    if delta:
        n, c = float(geometry.sizes.sum()), geometry.n_classes
        unbiased = geometry.within * (n / max(n - c, 1.0))
        spectrum = geometry._decompose(unbiased)
        inverse = 1 / (spectrum.values + delta)
        whitener = spectrum.vectors * xp.sqrt(inverse)
    else:
        whitener = geometry.whitener
    values = svdvals(xp.matmul(sizes[:, None] * right, whitener)) ** 2
    shares = values / xp.sum(values)
    logs = xp.log(xp.where(shares > 0, shares, xp.ones_like(shares)))
    return math.exp(-float(xp.sum(shares * logs)))
