"""Collapse metrics of features with continuous targets."""

import math

import numpy as np
from sklearn.utils import check_random_state

from sklearn_collapse._linalg._residuals import (
    nearest_shift,
)
from sklearn_collapse._regression_head import head_weights, row_space
from sklearn_collapse.metrics._local_dimension import _two_nn, two_nn
from sklearn_collapse.metrics._metric import RIGID, metric
from sklearn_collapse.metrics._neighborhood import Neighborhood
from sklearn_collapse.metrics._projections import (
    check_n_components,
    principal_basis,
    row_residual,
)
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import Rows, namespace
from sklearn_collapse.utils._targets import check_targets, take_targets
from sklearn_collapse.utils._validation import (
    check_features,
    check_weights,
    drop_zero_weights,
)
from sklearn_collapse.utils._warnings import CollapseWarning, warn_caller

_SOURCE = "Andriopoulos et al. 2024"


@metric(
    "regression",
    "moments unit_moments targets",
    _SOURCE,
    direction="lower",
    high=1.0,
    keeps=RIGID - {"translation"},
)
def nrc1(X, y, *, sample_weight=None, n_components=None, centered=False):
    """NRC1, collapse to principal directions: mean || u - P u ||^2, u = x / ||x||.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,) or (n, t)
        Targets. Only their number t counts.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    n_components : int, default=None
        Dimension of the principal subspace, by default t; no more than the rank of
        the features.
    centered : bool, default=False
        Whether the mean of the rows is taken off before they are divided by their
        lengths. The paper does not.

    Returns
    -------
    float
        In [0, 1], lower is more collapsed, 0 if every row lies in the subspace; nan if
        no row has a direction.

    See Also
    --------
    nrc2 : The same with the row space of the head.

    Notes
    -----
    P projects onto the leading eigenvectors of the covariance of the features, which
    is centred either way; it has rank 0, and NRC1 is 1, for features without variance.
    Where the last eigenvector that is kept and the next have equal eigenvalues a
    warning says that chance decides.

    Rows of zeros, or with ``centered=True`` rows equal to the mean, have no direction:
    they are left out of the mean over the rows and a warning says so. It is invariant
    under rotation and scale, with ``centered=True`` under translation as well.

    References
    ----------
    .. [1] Andriopoulos, G., Dong, Z., Guo, L., Zhao, Z., Ross, K. (2024). "The
       Prevalence of Neural Collapse in Neural Multivariate Regression". NeurIPS.

    Examples
    --------
    >>> from sklearn_collapse.metrics import nrc1
    >>> X = [[3.0, 0.0], [-4.0, 0.0], [1.0, 1.0], [1.0, -1.0]]
    >>> round(nrc1(X, [2.0, -3.0, 1.0, 0.0]), 6)
    0.25
    """
    X, y, weights = _validated(X, y, sample_weight)
    check_n_components(n_components)
    moments = ClassMoments.from_arrays(X, None, weights)
    basis = principal_basis(moments, n_components, y.shape[1])
    centre = moments.mean_ if centered else None
    return row_residual(Rows(X), basis, weights, centre, "nrc1")


@metric(
    "regression",
    "unit_moments head",
    _SOURCE,
    direction="lower",
    high=1.0,
    keeps={"scale", "cloning"},
)
def nrc2(X, y, head, *, sample_weight=None, centered=False):
    """NRC2, collapse to the row space of the head: mean || u - P u ||^2, u = x / ||x||.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,) or (n, t)
        Targets: their number must be that of the rows of W, and a head that is not
        fitted is fitted to them.
    head : array-like of shape (t, d) or estimator
        The weights W: an array, an estimator with ``coef_``, or a regressor that is
        not fitted, which is cloned and fitted on X, y.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    centered : bool, default=False
        Whether the mean of the rows is taken off before they are divided by their
        lengths. The paper does not.

    Returns
    -------
    float
        In [0, 1], lower is more collapsed, 0 if every row lies in the row space of W;
        nan if no row has a direction.

    See Also
    --------
    nrc1 : The same with the principal directions of the features.

    Notes
    -----
    P projects onto the span of the rows of W, by a singular value decomposition with a
    rank rule, so that rows which depend on each other do no harm. W = 0 spans nothing
    and gives 1. Rows without a direction are left out as in `nrc1`.

    References
    ----------
    .. [1] Andriopoulos, G., Dong, Z., Guo, L., Zhao, Z., Ross, K. (2024). "The
       Prevalence of Neural Collapse in Neural Multivariate Regression". NeurIPS.

    Examples
    --------
    >>> from sklearn_collapse.metrics import nrc2
    >>> X = [[3.0, 0.0], [-4.0, 0.0], [1.0, 1.0], [1.0, -1.0]]
    >>> round(nrc2(X, [2.0, -3.0, 1.0, 0.0], [[0.8, 0.0]]), 6)
    0.25
    """
    X, y, weights = _validated(X, y, sample_weight)
    coef = _weights(head, X, y, weights)
    centre = None
    if centered:
        centre = ClassMoments.from_arrays(X, None, weights).mean_
    basis = row_space(coef, namespace(coef))
    return row_residual(Rows(X), basis, weights, centre, "nrc2")


@metric(
    "regression",
    "targets head",
    _SOURCE,
    direction="lower",
    high=2.0,
    keeps=RIGID | {"invertible"},
)
def nrc3(X, y, head, *, sample_weight=None, return_gamma=False):
    """NRC3, form of the head: distance of W W^T from a root of the target covariance.

    || W W^T / || W W^T || - D / || D || ||^2 with D = Sigma^(1/2) - sqrt(gamma) I,
    Sigma the covariance of the targets, and the gamma that makes it least.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library. A head that is not fitted is fitted to them;
        otherwise only their number of columns counts.
    y : array-like of shape (n, t)
        Targets, at least two for each row.
    head : array-like of shape (t, d) or estimator
        The weights W: an array, an estimator with ``coef_``, or a regressor that is
        not fitted, which is cloned and fitted on X, y.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    return_gamma : bool, default=False
        Whether gamma is returned as well.

    Returns
    -------
    float, or tuple of two floats
        In [0, 2], lower is more collapsed; and gamma, if it is asked for. Both are nan
        for one target, where any head has the form, for W = 0, and, with a warning,
        for targets that are all constant.

    See Also
    --------
    nrc2 : Compares the head with the features.

    Notes
    -----
    Norms are Frobenius norms, Sigma has normaliser n, gamma lies between 0 and the
    smallest eigenvalue of Sigma, ends included. As a function of sqrt(gamma) the value
    has at most one stationary point: it, or an end of the range, is the minimum, found
    without a search. The closed form for gamma in the paper belongs
    to the distance before the division by norms, and gives a larger value. Where Sigma
    is singular, gamma is 0.

    References
    ----------
    .. [1] Andriopoulos, G., Dong, Z., Guo, L., Zhao, Z., Ross, K. (2024). "The
       Prevalence of Neural Collapse in Neural Multivariate Regression". NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.metrics import nrc3
    >>> y = [[3.0, 2.0], [3.0, -2.0], [-3.0, 2.0], [-3.0, -2.0]]
    >>> W = np.diag([2.5, 1.5]) ** 0.5  # W W^T = Sigma^(1/2) - 0.5 I
    >>> value, gamma = nrc3(np.eye(4, 2), y, W, return_gamma=True)
    >>> print(f"{value:.6f} {gamma:.6f}")
    0.000000 0.250000
    """
    X, y, weights = _validated(X, y, sample_weight)
    coef = _weights(head, X, y, weights)
    found = match_targets(ClassMoments.from_arrays(y, None, weights), coef)
    return found if return_gamma else found[0]


@metric(
    "regression",
    "rows neighbors targets",
    "Andriopoulos et al. 2025",
    direction=None,
    low=-math.inf,
)
def id_gap(X, y, *, method="fit", discard=0.1, max_samples=None, random_state=None):
    """Intrinsic dimension of the features minus that of the targets.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,) or (n, t)
        Targets.
    method : {"fit", "mle"}, default="fit"
        As for `two_nn`.
    discard : float, default=0.1
        As for `two_nn`.
    max_samples : int, default=None
        Rows to use, drawn without replacement where there are more, the same ones of
        features and targets; None uses all.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    float
        In [-inf, inf], nan where one of the dimensions is nan or both are inf.
        Neither direction is better.

    See Also
    --------
    two_nn : The estimate of both dimensions.
    nrc1 : Collapse to as many dimensions as there are targets.

    Notes
    -----
    TwoNN(X) - TwoNN(y). Below zero the features are over-compressed: they hold fewer
    dimensions than what they should predict, as the paper finds in collapsed models.
    Above zero it depends on data and noise whether fewer dimensions would be better.
    All pairs of rows are compared, in blocks.

    References
    ----------
    .. [1] Andriopoulos, G., Dong, Z., Adhikari, B., Ross, K. (2025). "Geometric
       Properties of Neural Multivariate Regression". arXiv 2510.01105.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.metrics import id_gap
    >>> y = np.random.default_rng(0).uniform(size=(500, 3))
    >>> X = y[:, :1] @ [[1.0, 2.0, 0.0, -1.0]]  # what is left of three dimensions: one
    >>> round(id_gap(X, y))
    -2
    """
    X, y, _ = _validated(X, y, None)
    options = {"method": method, "discard": discard, "max_samples": max_samples}
    # One seed for both: the same rows are drawn.
    seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    inside, outside = (two_nn(rows, random_state=seed, **options) for rows in (X, y))
    return _difference(inside, outside)


def gap_of_dimensions(X, y, device):
    """`id_gap` of all rows, which have been checked."""
    inside, outside = (_two_nn(Neighborhood(rows, device=device)) for rows in (X, y))
    return _difference(inside, outside)


def _difference(inside, outside):
    return math.nan if math.isinf(inside) and inside == outside else inside - outside


def match_targets(moments, coef):
    """NRC3 and its gamma.

    Parameters
    ----------
    moments : ClassMoments
        Of the targets.
    coef : array of shape (t, d)
        Weights of the head.

    Returns
    -------
    value, gamma : float
    """
    xp = namespace(coef)
    spectrum = moments._spectrum("total")
    if coef.shape[0] == 1 or not bool(xp.any(coef != 0)):
        return math.nan, math.nan
    if not spectrum.rank:
        warn_caller(
            "nrc3 is undefined: all targets are constant, so there is no covariance "
            "to compare the head with.",
            CollapseWarning,
        )
        return math.nan, math.nan
    t = coef.shape[0]
    roots = xp.sqrt(spectrum.values)
    largest = float(roots[0])
    zeros = xp.zeros_like(roots[spectrum.rank :])
    roots = xp.concat([roots[: spectrum.rank], zeros]) / largest
    coef = xp.astype(coef, xp.float64)
    rotated = xp.matmul(xp.matrix_transpose(spectrum.vectors), coef)
    rotated = rotated / xp.max(xp.abs(rotated))
    gram = xp.matmul(rotated, xp.matrix_transpose(rotated))
    # How far rounding of products and of the targets themselves may move the roots.
    noise = float(xp.sum(moments._noise(spectrum.vectors**2))) / moments.n_samples_
    rounding = max(10.0, math.sqrt(t)) * moments._product_eps() * t**0.5
    rounding += 2 * math.sqrt(noise) / largest
    value, shift = nearest_shift(gram, roots, rounding, xp)
    return value, (shift * largest) ** 2


def _weights(head, X, y, weights):
    if head is None:
        raise ValueError("head is None, but this metric compares a head with the data.")
    return head_weights(head, X, y.shape[1], (X, y, weights))


def _validated(X, y, sample_weight):
    X, _ = check_features(X, min_samples=2)
    y = check_targets(y, X)
    weights = check_weights(sample_weight, X.shape[0])
    X, kept, weights = drop_zero_weights(X, weights)
    return X, take_targets(y, kept), weights
