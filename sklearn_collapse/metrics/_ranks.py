"""Over how many directions features spread: ranks that need not be whole numbers."""

import numpy as np

from sklearn_collapse._linalg._spread import (
    entropy_dimension,
    participation,
    shares,
)
from sklearn_collapse.metrics._metric import RIGID, metric
from sklearn_collapse.metrics._spectra import check_number, spectra_of

_UNCENTRED = RIGID - {"translation"}


@metric("dimensional", "moments", "Roy, Vetterli 2007", direction="higher")
def effective_rank(X, *, sample_weight=None, centered=True):
    """Effective rank: exponential of the entropy of the singular values.

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
        In [1, d], higher is less degenerate; d for equal singular values, 0 for
        constant rows.

    See Also
    --------
    entropy_rank : The same with eigenvalues, which are squares.
    rankme : The same without centring.

    Notes
    -----
    exp(-sum_k p_k ln p_k) with p_k = s_k / sum s and s_k the singular values of the
    centred rows: the normaliser of the covariance drops out. Singular values below the
    rank rule count as 0, and 0 ln 0 = 0. Public code often adds a small number inside
    the logarithm, by which a flat spectrum of 2,048 features may score 2,345 and a
    line among 8,192 features 2.57.

    References
    ----------
    .. [1] Roy, O., Vetterli, M. (2007). "The effective rank: a measure of effective
       dimensionality". EUSIPCO.

    Examples
    --------
    >>> from sklearn_collapse.metrics import effective_rank
    >>> round(effective_rank([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), 4)
    1.7548
    """
    return _effective_rank(spectra_of(X, sample_weight, centered=centered))


@metric("dimensional", "moments", "Jha, Reagen 2025", direction="higher")
def entropy_rank(X, *, sample_weight=None, centered=True):
    """Entropy rank (soft rank): exponential of the entropy of the eigenvalues.

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
        In [1, d], higher is less degenerate; d for equal eigenvalues, 0 for constant
        rows.

    See Also
    --------
    effective_rank : The same with singular values.
    participation_ratio : The hard rank that goes with it.

    Notes
    -----
    exp(-sum_k p_k ln p_k) with p_k = l_k / sum l and l_k the eigenvalues of the
    covariance, of any normaliser: the exponential of its von Neumann entropy.
    Eigenvalues below the rank rule count as 0, nothing is added inside the logarithm.
    Between `participation_ratio` and `effective_rank`.

    References
    ----------
    .. [1] Jha, N. K., Reagen, B. (2025). "Spectral Scaling Laws in Language Models: How
       Effectively Do Feed-Forward Networks Use Their Latent Space?". EMNLP.

    Examples
    --------
    >>> from sklearn_collapse.metrics import entropy_rank
    >>> round(entropy_rank([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), 4)
    1.3841
    """
    return _entropy_rank(spectra_of(X, sample_weight, centered=centered))


@metric(
    "dimensional",
    "moments",
    "Garrido et al. 2023",
    direction="higher",
    keeps=_UNCENTRED,
)
def rankme(X, *, sample_weight=None, eps=0.0):
    """RankMe: exponential of the entropy of the uncentred singular values.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    eps : float, default=0.0
        Added to each of the min(n, d) shares, 1e-7 in the paper. With it the value is
        not invariant under cloning of fewer rows than features, and may exceed d.

    Returns
    -------
    float
        In [1, d], higher is less degenerate; 0 if all rows are zero.

    See Also
    --------
    effective_rank : The same of centred rows.

    Notes
    -----
    exp(-sum_k p_k ln p_k) with p_k = s_k / sum s and s_k the singular values of the
    rows as they are, not centred: a mean far from zero pulls it towards 1. Singular
    values below the rank rule count as 0; rounding of float32 products alone turns 4.99
    into 5.35. Some public code takes eigenvalues instead, which is `entropy_rank` with
    ``centered=False``.

    References
    ----------
    .. [1] Garrido, Q., Balestriero, R., Najman, L., LeCun, Y. (2023). "RankMe:
       Assessing the Downstream Performance of Pretrained Self-Supervised
       Representations by Their Rank". ICML.

    Examples
    --------
    >>> from sklearn_collapse.metrics import rankme
    >>> round(rankme([[3.0, 0.0], [3.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), 4)
    1.7548
    """
    check_number("eps", eps, 0.0)
    return _rankme(spectra_of(X, sample_weight), eps)


@metric("dimensional", "moments", "Gao et al. 2017", direction="higher")
def participation_ratio(X, *, sample_weight=None, centered=True):
    """Participation ratio (hard rank): (sum l)^2 / sum l^2.

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
        In [1, d], higher is less degenerate; d for equal eigenvalues, 0 for constant
        rows.

    See Also
    --------
    isoscore : The same, mapped to [0, 1].
    entropy_rank : The soft rank that goes with it.

    Notes
    -----
    l are the eigenvalues of the covariance, of any normaliser; those below the rank
    rule count as 0. Estimates from n rows are biased low, to about n d / (n + d) for
    isotropic rows.

    References
    ----------
    .. [1] Gao, P., Trautmann, E., Yu, B., Santhanam, G., Ryu, S., Shenoy, K., Ganguli,
       S. (2017). "A theory of multineuronal dimensionality, dynamics and measurement".
       bioRxiv 214262.

    Examples
    --------
    >>> from sklearn_collapse.metrics import participation_ratio
    >>> X = [[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
    >>> round(participation_ratio(X), 4)
    1.2195
    """
    return _participation_ratio(spectra_of(X, sample_weight, centered=centered))


def _effective_rank(spectra):
    values = spectra.values
    if spectra.is_constant("effective_rank", values, 0):
        return 0.0
    return entropy_dimension(shares(values, 0.5))


def _entropy_rank(spectra):
    values = spectra.values
    if spectra.is_constant("entropy_rank", values, 0):
        return 0.0
    return entropy_dimension(shares(values))


def _rankme(spectra, eps=0.0):
    values = spectra.second_moment_values
    if spectra.is_constant("rankme", values, 0):
        return 0.0
    p = shares(values, 0.5)
    if eps:
        p = np.pad(p, (0, max(spectra.n_components - len(p), 0)))
    return entropy_dimension(p, eps)


def _participation_ratio(spectra):
    values = spectra.values
    if spectra.is_constant("participation_ratio", values, 0):
        return 0.0
    return participation(values)
