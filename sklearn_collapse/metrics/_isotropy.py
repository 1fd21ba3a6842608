"""How evenly features spread over all directions."""

import math

import numpy as np

from sklearn_collapse._linalg._spread import (
    early_enrichment,
    participation,
    power_law,
)
from sklearn_collapse.metrics._inputs import checked_rows
from sklearn_collapse.metrics._metric import RIGID, metric
from sklearn_collapse.metrics._spectra import (
    FeatureSpectra,
    component_entropies,
    spectra_of,
)
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._warnings import CollapseWarning, warn_caller

# Ranks of the eigenvalues between which alpha_req fits.
_FIT_RANGE = (10, 100)


@metric(
    "dimensional",
    "moments",
    "Rudman et al. 2022",
    direction="higher",
    low=0.0,
    high=1.0,
)
def isoscore(X, *, sample_weight=None):
    """IsoScore: how uniformly the variance fills all dimensions.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    float
        In [0, 1], higher is less degenerate; 1 for equal eigenvalues, 0 for rows on a
        line; nan for constant rows and for a single feature.

    See Also
    --------
    participation_ratio : The same number, as a rank.

    Notes
    -----
    The published algorithm compares the normalised variances of the principal
    components of the centred rows with the vector of ones; its value is exactly
    (PR - 1) / (d - 1), with PR = (sum l)^2 / sum l^2 and l the eigenvalues of the
    covariance, of any normaliser.

    References
    ----------
    .. [1] Rudman, W., Gillman, N., Rayne, T., Eickhoff, C. (2022). "IsoScore: Measuring
       the Uniformity of Embedding Space Utilization". Findings of ACL.

    Examples
    --------
    >>> from sklearn_collapse.metrics import isoscore
    >>> round(isoscore([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), 4)
    0.2195
    """
    return _isoscore(spectra_of(X, sample_weight))


@metric("dimensional", "moments", "Agrawal et al. 2022", direction=None, low=-math.inf)
def alpha_req(X, *, sample_weight=None, fit_range=_FIT_RANGE):
    """Exponent alpha of the decay of the eigenvalues, l_j ~ j^-alpha.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    fit_range : tuple of int, default=(10, 100)
        First and last rank j that is fitted, counted from 1, both included.

    Returns
    -------
    float
        At least 0 up to rounding; neither direction is better as such, representations
        that generalise well are reported near 1. nan, with a warning, if fewer than
        two eigenvalues lie in the range.

    See Also
    --------
    entropy_rank : Larger where the decay is slow.

    Notes
    -----
    Minus the slope of ln l_j on ln j, least squares with weights 1 / j, over the
    eigenvalues of the covariance of the centred rows (any normaliser). Eigenvalues
    below the rank rule are left out: their decay is that of rounding. Public code
    takes other ranges: 11 to 50, 4 to 100, 12 to 100.

    References
    ----------
    .. [1] Agrawal, K. K., Mondal, A. K., Ghosh, A., Richards, B. (2022). "alpha-ReQ:
       Assessing Representation Quality in Self-Supervised Learning by measuring
       eigenspectrum decay". NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.metrics import alpha_req
    >>> X = np.diag(np.arange(1.0, 13) ** -0.75)
    >>> round(alpha_req(np.concatenate([X, -X]), fit_range=(1, 12)), 6)
    1.5
    """
    first, last = _checked_range(fit_range)
    spectra = spectra_of(X, sample_weight)
    value = _alpha_req(spectra, first, last)
    if math.isnan(value) and len(spectra.covariance_values):
        warn_caller(
            f"alpha_req is nan: fit_range={(first, last)} needs two eigenvalues, and "
            f"{len(spectra.covariance_values)} count. Pass one that begins earlier.",
            CollapseWarning,
        )
    return value


@metric(
    "dimensional",
    "moments",
    "Marbut, McKinney-Bock, Wheeler 2023",
    direction="lower",
    high=1.0,
    keeps=RIGID - {"cloning"},
)
def eee(X, *, sample_weight=None):
    """Eigenvalue early enrichment: how early the cumulative eigenvalues rise.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    float
        In [0, 1), lower is less degenerate; 0 for equal eigenvalues,
        ((r - 1) / r)^2 for rows on a line; nan for constant rows.

    See Also
    --------
    vrm : From the same paper; it looks at the shape of the distribution as well.

    Notes
    -----
    The trapezoid, over j = 1..r and without a leading zero, of the cumulative
    eigenvalues of the covariance less the ramp L j / r, divided by L r / 2, with L
    their sum and r = min(n, d): cloning rows changes it while n < d. Eigenvalues below
    the rank rule count as 0. The authors' code rounds to 4 digits, and its docstring
    states the direction the other way round.

    References
    ----------
    .. [1] Marbut, A. C., McKinney-Bock, K., Wheeler, T. J. (2023). "Reliable Measures
       of Spread in High Dimensional Latent Spaces". ICML.

    Examples
    --------
    >>> from sklearn_collapse.metrics import eee
    >>> eee([[3.0, 3.0], [-3.0, -3.0]])
    0.25
    """
    return _eee(spectra_of(X, sample_weight))


@metric(
    "dimensional",
    "moments rows",
    "Marbut, McKinney-Bock, Wheeler 2023",
    direction="lower",
    keeps=RIGID - {"cloning"},
)
def vrm(X, *, sample_weight=None):
    """Vasicek ratio MSE: distance of the principal components' entropies from normal.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    float
        In [0, inf), lower is less degenerate; near 0 for isotropic normal rows, at
        most 1 if no component is wider than a standard normal one; nan for constant
        rows.

    See Also
    --------
    eee : Of the eigenvalues alone.

    Notes
    -----
    mean_j (1 - r_j)^2 over all d principal components, r_j = exp(H_j) / sqrt(2 pi e),
    with H_j Vasicek's entropy of component j after the total variance (normaliser n)
    has been scaled to d: the mean of ln(n / (2 m) (x_(i+m) - x_(i-m))), window
    m = floor(sqrt(n) + 1/2). Components below the rank rule, and those with more than
    2 m equal values, have r_j = 0. Where eigenvalues are equal the components, and with
    them the value, are a matter of chance. The authors' code scales to the total
    variance of a random normal sample, takes the estimator that SciPy prefers for the
    n at hand, and leaves directions beyond n rows out of the sum but not of the
    mean.

    References
    ----------
    .. [1] Marbut, A. C., McKinney-Bock, K., Wheeler, T. J. (2023). "Reliable Measures
       of Spread in High Dimensional Latent Spaces". ICML.
    .. [2] Vasicek, O. (1976). "A Test for Normality Based on Sample Entropy". Journal
       of the Royal Statistical Society B 38(1).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.metrics import vrm
    >>> X = np.random.default_rng(0).normal(size=(4000, 4))
    >>> round(vrm(X), 2), round(vrm(X * [1.0, 0.1, 0.1, 0.1]), 2)
    (0.0, 0.72)
    """
    X, weights = checked_rows(X, sample_weight)
    moments = ClassMoments.from_arrays(X, None, weights)
    return _vrm(FeatureSpectra(moments), X, weights)


def _isoscore(spectra):
    values = spectra.covariance_values
    if spectra.is_constant("isoscore", values, math.nan) or spectra.n_features == 1:
        return math.nan
    return (participation(values) - 1) / (spectra.n_features - 1)


def _alpha_req(spectra, first=_FIT_RANGE[0], last=_FIT_RANGE[1]):
    values = spectra.covariance_values
    if spectra.is_constant("alpha_req", values, math.nan):
        return math.nan
    return power_law(values, first, last)


def _eee(spectra):
    values = spectra.covariance_values
    if spectra.is_constant("eee", values, math.nan):
        return math.nan
    return early_enrichment(values, max(spectra.n_components, len(values)))


def _vrm(spectra, X, weights, device="auto"):
    values = spectra.covariance_values
    if spectra.is_constant("vrm", values, math.nan):
        return math.nan
    moments, d = spectra.moments, spectra.n_features
    entropies = component_entropies(
        X, weights, moments._spectrum("total"), moments.mean_, device
    )
    # Of the total variance scaled to d, relative to a standard normal.
    shift = math.log(d / float(values.sum())) - math.log(2 * math.pi * math.e)
    ratios = np.exp(entropies + shift / 2)
    return (float(((1 - ratios) ** 2).sum()) + (d - len(ratios))) / d


def _checked_range(fit_range):
    try:
        first, last = fit_range
        whole = first == int(first) and last == int(last)
    except (TypeError, ValueError):
        whole, first, last = False, 0, 0
    if not whole or not 1 <= first < last:
        raise ValueError(
            f"fit_range must be two whole numbers with 1 <= first < last, got "
            f"{fit_range!r}."
        )
    return int(first), int(last)
