"""What the covariance of features says, feature by feature and pair by pair."""

import math

import numpy as np

from sklearn_collapse.metrics._metric import metric
from sklearn_collapse.metrics._spectra import check_number, spectra_of
from sklearn_collapse.utils._arrays import to_numpy


@metric(
    "dimensional",
    "moments",
    "Bardes, Ponce, LeCun 2022",
    direction="lower",
    high=1.0,
    keeps={"translation"},
)
def vicreg_variance(X, *, sample_weight=None, gamma=1.0, eps=1e-4, ddof=1):
    """Variance term of VICReg: mean_j max(0, gamma - sqrt(Var_j + eps)).

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    gamma : float, default=1.0
        Standard deviation that is asked for.
    eps : float, default=1e-4
        Part of the published formula.
    ddof : float, default=1
        The sum of squares is divided by n - ddof, 1 as published.

    Returns
    -------
    float
        In [0, gamma), lower is less degenerate; 0 if every standard deviation reaches
        gamma, near gamma for constant rows; nan if n <= ddof.

    See Also
    --------
    vicreg_covariance : The other term.
    feature_std : Of unit rows.

    Notes
    -----
    It depends on the scale of the features and on the basis. The normaliser n - 1 makes
    cloning rows change it. ``METRICS`` has the range for gamma = 1.

    References
    ----------
    .. [1] Bardes, A., Ponce, J., LeCun, Y. (2022). "VICReg: Variance-Invariance-
       Covariance Regularization for Self-Supervised Learning". ICLR.

    Examples
    --------
    >>> from sklearn_collapse.metrics import vicreg_variance
    >>> vicreg_variance([[5.0, 1.0], [-5.0, 1.0]])
    0.495
    """
    check_number("gamma", gamma, 0.0)
    check_number("eps", eps, 0.0)
    check_number("ddof", ddof, 0.0)
    return _vicreg_variance(spectra_of(X, sample_weight), gamma, eps, ddof)


@metric(
    "dimensional",
    "moments",
    "Bardes, Ponce, LeCun 2022",
    direction="lower",
    keeps={"translation"},
)
def vicreg_covariance(X, *, sample_weight=None, ddof=1):
    """Covariance term of VICReg: sum of squared off-diagonal covariances, over d.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    ddof : float, default=1
        The covariance is divided by n - ddof, 1 as published.

    Returns
    -------
    float
        In [0, inf), lower is less degenerate; 0 for uncorrelated features and for
        constant rows, so that it is read beside `vicreg_variance`; nan if n <= ddof.

    See Also
    --------
    feature_correlation : Without units.

    Notes
    -----
    (1 / d) sum_{i != j} C_ij^2. It depends on the scale of the features and on the
    basis.

    References
    ----------
    .. [1] Bardes, A., Ponce, J., LeCun, Y. (2022). "VICReg: Variance-Invariance-
       Covariance Regularization for Self-Supervised Learning". ICLR.

    Examples
    --------
    >>> from sklearn_collapse.metrics import vicreg_covariance
    >>> vicreg_covariance([[1.0, 2.0], [-1.0, -2.0]])
    16.0
    """
    check_number("ddof", ddof, 0.0)
    return _vicreg_covariance(spectra_of(X, sample_weight), ddof)


@metric(
    "dimensional",
    "moments",
    "Hua et al. 2021",
    direction="lower",
    high=1.0,
    keeps={"translation", "scale", "cloning"},
)
def feature_correlation(X, *, sample_weight=None):
    """Mean absolute correlation of two different features.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    float
        In [0, 1], lower is less degenerate; 0 for uncorrelated features, 1 for rows on
        a line; nan if fewer than two features vary.

    See Also
    --------
    vicreg_covariance : In units of the features.

    Notes
    -----
    Following [1]_: the mean of ``|C_ij| / sqrt(C_ii C_jj)`` over the pairs i != j of
    the features that vary. Constant features, to the rounding of the input, have no
    correlation and are left out: counted as 0 they would make dead units look like
    decorrelated ones. Of n rows, independent features still correlate by about sqrt(2 /
    (pi n)).

    References
    ----------
    .. [1] Hua, T., Wang, W., Xue, Z., Ren, S., Wang, Y., Zhao, H. (2021). "On Feature
       Decorrelation in Self-Supervised Learning". ICCV.

    Examples
    --------
    >>> from sklearn_collapse.metrics import feature_correlation
    >>> round(feature_correlation([[1.0, -2.0], [2.0, -4.0], [4.0, -8.0]]), 6)
    1.0
    """
    return _feature_correlation(spectra_of(X, sample_weight))


def _vicreg_variance(spectra, gamma=1.0, eps=1e-4, ddof=1):
    n = spectra.n_samples
    if n <= ddof:
        return math.nan
    variances = to_numpy(spectra.moments._variances("total")) * (n / (n - ddof))
    missed = gamma - (variances.clip(0.0) + eps) ** 0.5
    return float(missed.clip(0.0).mean())


@np.errstate(over="ignore")
def _vicreg_covariance(spectra, ddof=1):
    n = spectra.n_samples
    if n <= ddof:
        return math.nan
    covariance = spectra.moments._covariance("total") * (n / (n - ddof))
    return _off_diagonal_sum(covariance**2, spectra.xp) / spectra.n_features


def _feature_correlation(spectra):
    xp, moments = spectra.xp, spectra.moments
    covariance = moments._covariance("total")
    variances = xp.linalg.diagonal(covariance)
    inverse, deviations = moments._column_scales(variances, moments._mean_square())
    varying = int(to_numpy(deviations > 0).sum())
    if varying < 2:
        return math.nan
    root = xp.sqrt(inverse)
    correlations = xp.clip(xp.abs(root[:, None] * covariance * root[None, :]), 0.0, 1.0)
    return _off_diagonal_sum(correlations, xp) / (varying * (varying - 1))


def _off_diagonal_sum(matrix, xp):
    """Sum of the entries off the diagonal, which is not subtracted from the others."""
    d = matrix.shape[0]
    if d == 1:
        return 0.0
    # In rows of d + 1 entries, without the last, the diagonal is the first column.
    flat = xp.reshape(xp.reshape(matrix, (-1,))[:-1], (d - 1, d + 1))
    return float(xp.sum(flat[:, 1:]))
