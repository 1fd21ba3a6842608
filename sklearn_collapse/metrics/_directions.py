"""How evenly the directions of rows spread: metrics of rows of length 1."""

import math

from sklearn_collapse._linalg._spread import transport_to_uniform
from sklearn_collapse.metrics._metric import RIGID, metric
from sklearn_collapse.metrics._spectra import spectra_of
from sklearn_collapse.utils._arrays import to_numpy


@metric(
    "dimensional",
    "unit_moments",
    "Fang et al. 2024",
    direction="higher",
    low=-math.sqrt(2),
    high=0.0,
    keeps=RIGID - {"translation"},
)
def wasserstein_uniformity(X, *, sample_weight=None):
    """Uniformity of unit rows: minus the Wasserstein distance from N(0, I / d).

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library; each row is divided by its norm.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    float
        In [-sqrt(2), 0], higher is less degenerate; 0 for isotropic directions,
        -sqrt(2 - 2 sqrt(r / d)) where r of d dimensions are used equally.

    See Also
    --------
    mean_cosine : Sees the mean of the unit rows alone.

    Notes
    -----
    Minus the root of ||mu||^2 + 1 + tr(S) - 2 / sqrt(d) tr(S^(1/2)), with mu and S the
    mean and the covariance (normaliser n) of the unit rows, computed as
    ||mu||^2 + sum_k (s_k - 1 / sqrt(d))^2 over the roots s_k of the eigenvalues of S,
    which does not cancel. Each row may be scaled by itself. It falls when features are
    cloned, [Z, Z], or padded, [Z, 0], which log-mean-exp uniformity does not see. Rows
    of zeros stay zeros, with a warning.

    References
    ----------
    .. [1] Fang, X., Li, J., Sun, Q., Wang, B. (2024). "Rethinking the Uniformity Metric
       in Self-Supervised Learning". ICLR.

    Examples
    --------
    >>> from sklearn_collapse.metrics import wasserstein_uniformity
    >>> round(wasserstein_uniformity([[1.0, 0.0], [-5.0, 0.0]]), 4)
    -0.7654
    """
    return _wasserstein_uniformity(spectra_of(X, sample_weight, unit=True))


@metric(
    "dimensional",
    "unit_moments",
    "Ethayarajh 2019",
    direction="lower",
    low=-1.0,
    high=1.0,
    keeps={"rotation", "scale"},
)
def mean_cosine(X, *, sample_weight=None):
    """Mean cosine of two different rows (cone effect, anisotropy).

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows; copies of a row are different rows.

    Returns
    -------
    float
        In [-1 / (n - 1), 1], lower is less degenerate; near 0 for isotropic rows, 1 if
        all point the same way; nan for a single row.

    See Also
    --------
    wasserstein_uniformity : Sees directions that are not used as well.

    Notes
    -----
    (||sum_i u_i||^2 - n) / (n (n - 1)) of the unit rows u_i, over all pairs i != j and
    without sampling them, computed from their mean mu and covariance S (normaliser n)
    as ||mu||^2 - tr(S) / (n - 1). Not centred. Rows of zeros have cosine 0 with all
    others, with a warning.

    References
    ----------
    .. [1] Ethayarajh, K. (2019). "How Contextual are Contextualized Word
       Representations? Comparing the Geometry of BERT, ELMo, and GPT-2 Embeddings".
       EMNLP.

    Examples
    --------
    >>> from sklearn_collapse.metrics import mean_cosine
    >>> round(mean_cosine([[1.0, 0.0], [5.0, 0.0], [0.0, 1.0]]), 4)
    0.3333
    """
    return _mean_cosine(spectra_of(X, sample_weight, unit=True))


@metric(
    "dimensional",
    "unit_moments",
    "Chen, He 2021",
    direction="higher",
    high=1.0,
    keeps={"scale", "cloning"},
)
def feature_std(X, *, sample_weight=None):
    """Mean standard deviation of the features of unit rows, times sqrt(d).

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library; each row is divided by its norm.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    float
        In [0, 1], higher is less degenerate; near 1 for isotropic rows, 0 if all point
        the same way.

    See Also
    --------
    vicreg_variance : Of the rows as they are.

    Notes
    -----
    sqrt(d) mean_j std(u_j) of the unit rows u, normaliser n; the reference code divides
    by n - 1. The paper plots it without sqrt(d), so that 1 / sqrt(d) is healthy. A
    single feature scores well only if its signs are mixed. Rows of zeros stay zeros,
    with a warning.

    References
    ----------
    .. [1] Chen, X., He, K. (2021). "Exploring Simple Siamese Representation Learning".
       CVPR.

    Examples
    --------
    >>> from sklearn_collapse.metrics import feature_std
    >>> round(feature_std([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), 6)
    1.0
    """
    return _feature_std(spectra_of(X, sample_weight, unit=True))


def _wasserstein_uniformity(spectra):
    distance = transport_to_uniform(
        spectra.unit_values, spectra.n_features, spectra.unit_mean_square
    )
    return -distance


def _mean_cosine(spectra):
    n = spectra.n_samples
    if n <= 1:
        return math.nan
    value = spectra.unit_mean_square - spectra.unit_variance / (n - 1)
    return min(max(value, -1.0), 1.0)


def _feature_std(spectra):
    spectra.unit_mean_square  # noqa: B018  warns of rows of zeros
    variances = to_numpy(spectra.unit_moments._variances("total")).clip(0.0)
    # Rounding of the roots may exceed the bound.
    return min(float((variances**0.5).mean()) * spectra.n_features**0.5, 1.0)
