"""What else the spectrum of features says: how many directions hold how much."""

from sklearn_collapse._linalg._spectrum import share_components
from sklearn_collapse._linalg._spread import area_above_variance
from sklearn_collapse.metrics._ranks import _entropy_rank, _participation_ratio
from sklearn_collapse.metrics._spectra import check_number, spectra_of
from sklearn_collapse.utils._arrays import namespace


def n_components_for_variance(X, share=0.99, *, sample_weight=None, centered=True):
    """Fewest principal directions that hold a share of the variance.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    share : float, default=0.99
        In (0, 1].
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    centered : bool, default=True
        Whether the mean is subtracted first.

    Returns
    -------
    int
        In [1, d]; 0 for constant rows.

    See Also
    --------
    numerical_rank : Number of directions with any variance.

    Notes
    -----
    The smallest k with l_1 + ... + l_k >= share (l_1 + ... + l_d), l the eigenvalues of
    the covariance, of any normaliser; those below the rank rule count as 0.

    References
    ----------
    .. [1] Jolliffe, I. T. (2002). "Principal Component Analysis", section 6.1.1.
       Springer.

    Examples
    --------
    >>> from sklearn_collapse.metrics import n_components_for_variance
    >>> X = [[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
    >>> n_components_for_variance(X), n_components_for_variance(X, 0.9)
    (2, 1)
    """
    check_number("share", share, 0.0, 1.0, closed=False)
    values = spectra_of(X, sample_weight, centered=centered).values
    return share_components(values, share, namespace(values)) if len(values) else 0


def spectral_utilization(X, *, kind="soft", sample_weight=None, centered=True):
    """Spectral utilisation: the share of the dimensions that are in use.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    kind : {"soft", "hard"}, default="soft"
        `entropy_rank` or `participation_ratio`, divided by d.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    centered : bool, default=True
        Whether the mean is subtracted first.

    Returns
    -------
    float
        In [0, 1], higher is less degenerate; 0 for constant rows.

    See Also
    --------
    entropy_rank : The soft rank.
    participation_ratio : The hard rank.

    Notes
    -----
    Both ranks are of the eigenvalues of the covariance, of any normaliser. With n <= d
    at most (n - 1) / d can be reached.

    References
    ----------
    .. [1] Jha, N. K., Reagen, B. (2025). "Spectral Scaling Laws in Language Models: How
       Effectively Do Feed-Forward Networks Use Their Latent Space?". EMNLP.

    Examples
    --------
    >>> from sklearn_collapse.metrics import spectral_utilization
    >>> X = [[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
    >>> round(spectral_utilization(X, kind="hard"), 4)
    0.6098
    """
    if kind not in ("soft", "hard"):
        raise ValueError(f"kind must be 'soft' or 'hard', got {kind!r}.")
    spectra = spectra_of(X, sample_weight, centered=centered)
    rank = _entropy_rank if kind == "soft" else _participation_ratio
    return rank(spectra) / spectra.n_features


def unexplained_variance_area(X, *, sample_weight=None, centered=True):
    """Area under the curve of unexplained variance: sum_j (j - 1) l_j.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    centered : bool, default=True
        Whether the mean is subtracted first.

    Returns
    -------
    float
        In [0, inf), in units of the features squared; 0 for rows on a line,
        (d - 1) / 2 times the total variance for equal eigenvalues.

    See Also
    --------
    eee : Much the same about the uniform ramp, without units.

    Notes
    -----
    l_1 >= l_2 >= ... are the eigenvalues of the covariance, normaliser n; those below
    the rank rule count as 0. The variance that the first k directions leave, summed
    over k >= 1, known as AUV.

    Examples
    --------
    >>> from sklearn_collapse.metrics import unexplained_variance_area
    >>> X = [[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
    >>> round(unexplained_variance_area(X), 6)
    0.5
    """
    values = spectra_of(X, sample_weight, centered=centered).values
    return area_above_variance(values)
