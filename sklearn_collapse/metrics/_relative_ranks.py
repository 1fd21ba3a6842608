"""Ranks relative to the largest eigenvalue or singular value."""

from sklearn_collapse._linalg._spread import relative_sum
from sklearn_collapse.metrics._metric import RIGID, metric
from sklearn_collapse.metrics._spectra import check_number, spectra_of


@metric(
    "dimensional",
    "moments",
    "Rudelson, Vershynin 2007",
    direction="higher",
    keeps=RIGID - {"translation"},
)
def stable_rank(X, *, sample_weight=None):
    """Stable rank: ||X||_F^2 / ||X||_2^2.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    float
        In [1, d], higher is less degenerate; 0 if all rows are zero.

    See Also
    --------
    nesum : The same of centred rows.

    Notes
    -----
    Sum of the squared singular values of the rows as they are, not centred, over the
    largest of them. Those below the rank rule count as 0.

    References
    ----------
    .. [1] Rudelson, M., Vershynin, R. (2007). "Sampling from large matrices: an
       approach through geometric functional analysis". Journal of the ACM 54(4).

    Examples
    --------
    >>> from sklearn_collapse.metrics import stable_rank
    >>> round(stable_rank([[3.0, 0.0], [3.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), 4)
    1.1111
    """
    return _stable_rank(spectra_of(X, sample_weight))


@metric("dimensional", "moments", "Tropp 2015", direction="higher")
def nuclear_rank(X, *, sample_weight=None, centered=True):
    """Nuclear rank: sum of the singular values over the largest.

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
    nesum : The same with eigenvalues.

    Notes
    -----
    Following [1]_, whose intrinsic dimension tr(A) / ||A|| it is, of the root of
    X^T X. The normaliser drops out; singular values below the rank rule count as 0.

    References
    ----------
    .. [1] Tropp, J. A. (2015). "An Introduction to Matrix Concentration Inequalities",
       chapter 7. Foundations and Trends in Machine Learning 8.

    Examples
    --------
    >>> from sklearn_collapse.metrics import nuclear_rank
    >>> round(nuclear_rank([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), 4)
    1.3333
    """
    return _nuclear_rank(spectra_of(X, sample_weight, centered=centered))


@metric(
    "dimensional",
    "moments",
    "Golub, Van Loan 2013",
    direction="higher",
    keeps=RIGID | {"invertible"},
)
def numerical_rank(X, *, sample_weight=None, centered=True, rank_tol=None):
    """Numerical rank: number of eigenvalues of the covariance that count.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    centered : bool, default=True
        Whether the mean is subtracted first.
    rank_tol : float, default=None
        Share of the largest eigenvalue that counts: the square of the ratio of singular
        values. By default the rank rule: what is above the rounding of the products and
        of the features themselves.

    Returns
    -------
    float
        A whole number in [0, d], higher is less degenerate; 0 for constant rows.

    See Also
    --------
    n_components_for_variance : Number of directions that hold a share of the variance.

    Notes
    -----
    Invariant under invertible linear maps as far as they do not push a direction below
    the rounding. Public code with an absolute threshold, such as singular values above
    0.01, depends on the scale of the features and on n.

    References
    ----------
    .. [1] Golub, G. H., Van Loan, C. F. (2013). "Matrix Computations", section 5.4.
       Johns Hopkins University Press.

    Examples
    --------
    >>> from sklearn_collapse.metrics import numerical_rank
    >>> numerical_rank([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]])
    1.0
    """
    if rank_tol is not None:
        check_number("rank_tol", rank_tol, 0.0, 1.0)
    options = {"centered": centered, "rank_tol": rank_tol}
    return _numerical_rank(spectra_of(X, sample_weight, **options))


@metric("dimensional", "moments", "He, Ozay 2022", direction="higher")
def nesum(X, *, sample_weight=None):
    """Normalised eigenvalue sum: sum of the eigenvalues over the largest.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    float
        In [1, d], higher is less degenerate; d for white features, 0 for constant
        rows.

    See Also
    --------
    stable_rank : The same without centring.

    Notes
    -----
    Eigenvalues of the covariance of the centred rows, of any normaliser; those below
    the rank rule count as 0.

    References
    ----------
    .. [1] He, B., Ozay, M. (2022). "Exploring the Gap between Collapsed & Whitened
       Features in Self-Supervised Learning". ICML.

    Examples
    --------
    >>> from sklearn_collapse.metrics import nesum
    >>> round(nesum([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), 4)
    1.1111
    """
    return _nesum(spectra_of(X, sample_weight))


def _stable_rank(spectra):
    values = spectra.second_moment_values
    if spectra.is_constant("stable_rank", values, 0):
        return 0.0
    return relative_sum(values)


def _nuclear_rank(spectra):
    values = spectra.values
    if spectra.is_constant("nuclear_rank", values, 0):
        return 0.0
    return relative_sum(values, 0.5)


def _numerical_rank(spectra):
    return float(len(spectra.values))


def _nesum(spectra):
    values = spectra.covariance_values
    if spectra.is_constant("nesum", values, 0):
        return 0.0
    return relative_sum(values)
