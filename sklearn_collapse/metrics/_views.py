"""Two views of the same samples, and the volume that features take."""

import math

from sklearn_collapse._linalg._moments import unit_rows
from sklearn_collapse.metrics._decorrelation import _off_diagonal_sum
from sklearn_collapse.metrics._spectra import check_number, spectra_of
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import (
    as_like,
    block_rows,
    namespace,
    place_of,
    slices,
    to_numpy,
)
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._validation import (
    check_features,
    check_weights,
    drop_zero_weights,
)


def view_alignment(X, X_other, *, sample_weight=None):
    """Alignment of two views: mean squared distance of their unit rows.

    Parameters
    ----------
    X, X_other : array-like of shape (n, d)
        Features of two views of the same samples, of the same array library.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    float
        In [0, 4], lower is more aligned; 0 if the views point the same way, 2 for
        unrelated isotropic views.

    See Also
    --------
    wasserstein_uniformity : What alignment alone does not reward.

    Notes
    -----
    mean_i ||u_i - u'_i||^2 of the rows divided by their norms. Rows of zeros stay
    zeros. Constant features are perfectly aligned: read it beside a measure of spread.

    References
    ----------
    .. [1] Wang, T., Isola, P. (2020). "Understanding Contrastive Representation
       Learning through Alignment and Uniformity on the Hypersphere". ICML.

    Examples
    --------
    >>> from sklearn_collapse.metrics import view_alignment
    >>> view_alignment([[1.0, 0.0], [0.0, 3.0]], [[2.0, 0.0], [5.0, 0.0]])
    1.0
    """
    total, weight = 0.0, 0.0
    for one, other, w in _pairs(X, X_other, sample_weight):
        xp = namespace(one)
        gap = unit_rows(one, xp) - unit_rows(other, xp)
        squares = xp.vecdot(gap, gap)
        squares = squares if w is None else squares * as_like(w, one)
        total += float(xp.sum(squares))
        weight += one.shape[0] if w is None else float(w.sum())
    return total / weight


def barlow_twins_loss(X, X_other, *, sample_weight=None, off_diagonal=5e-3):
    """Redundancy of two views: distance of their correlations from the identity.

    Parameters
    ----------
    X, X_other : array-like of shape (n, d)
        Features of two views of the same samples, of the same array library.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    off_diagonal : float, default=5e-3
        Weight of the off-diagonal part, that of the paper.

    Returns
    -------
    float
        In [0, inf), lower is better: features that agree between the views and do not
        repeat each other.

    See Also
    --------
    feature_correlation : Of one set of features.

    Notes
    -----
    sum_j (1 - C_jj)^2 + off_diagonal sum_{j != k} C_jk^2, with C_jk the correlation of
    feature j of the one view with feature k of the other. Features that are constant in
    a view have correlation 0 there.

    References
    ----------
    .. [1] Zbontar, J., Jing, L., Misra, I., LeCun, Y., Deny, S. (2021). "Barlow Twins:
       Self-Supervised Learning via Redundancy Reduction". ICML.

    Examples
    --------
    >>> from sklearn_collapse.metrics import barlow_twins_loss
    >>> X = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]
    >>> round(barlow_twins_loss(X, X), 6)
    0.0
    """
    check_number("off_diagonal", off_diagonal, 0.0)
    moments = ClassMoments()
    for one, other, w in _pairs(X, X_other, sample_weight):
        moments.update(namespace(one).concat([one, other], axis=1), None, w)
    xp, d = namespace(moments.means_), moments.n_features // 2
    covariance = moments._covariance("total")
    inverse, _ = moments._column_scales(
        xp.linalg.diagonal(covariance), moments._mean_square()
    )
    root = xp.sqrt(inverse)
    cross = root[:d, None] * covariance[:d, d:] * root[None, d:]
    missed = 1 - xp.linalg.diagonal(cross)
    redundant = _off_diagonal_sum(cross * cross, xp)
    return float(xp.sum(missed * missed)) + off_diagonal * redundant


def least_volume(X, *, sample_weight=None, eta=0.0):
    """Volume that features take: geometric mean of their standard deviations.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    eta : float, default=0.0
        Added to each standard deviation, so that one dead feature does not decide.

    Returns
    -------
    float
        In [eta, inf), in units of the features; 0 with a constant feature and no eta.

    See Also
    --------
    n_components_for_variance : How many directions hold the variance.

    Notes
    -----
    (prod_j (s_j + eta))^(1 / d), s_j the standard deviation of feature j, normaliser n;
    0 where it is rounding of the input. It depends on the basis and the scale.

    References
    ----------
    .. [1] Chen, Q., Fuge, M. (2024). "Compressing Latent Space via Least Volume". ICLR.

    Examples
    --------
    >>> from sklearn_collapse.metrics import least_volume
    >>> round(least_volume([[4.0, 1.0], [-4.0, -1.0]]), 6)
    2.0
    """
    check_number("eta", eta, 0.0)
    moments = spectra_of(X, sample_weight).moments
    scales = moments._column_scales(moments._variances("total"), moments._mean_square())
    deviations = to_numpy(scales[1]) + eta
    if not deviations.all():
        return 0.0
    return math.exp(sum(map(math.log, deviations.tolist())) / len(deviations))


def _pairs(X, X_other, sample_weight):
    """Yield blocks of both views, in float64, and of the weights."""
    X, _ = check_features(X)
    X_other, _ = check_features(X_other)
    if X.shape != X_other.shape or place_of(X) != place_of(X_other):
        raise ValueError(
            f"X and X_other must be two views of the same rows: of one shape, array "
            f"library and device, got {tuple(X.shape)} on {place_of(X)} and "
            f"{tuple(X_other.shape)} on {place_of(X_other)}."
        )
    weights = check_weights(sample_weight, X.shape[0])
    X_other, _, _ = drop_zero_weights(X_other, weights)
    X, _, weights = drop_zero_weights(X, weights)
    check_finite(X)
    check_finite(X_other)
    xp = namespace(X)
    for here in slices(X.shape[0], block_rows(2 * X.shape[1])):
        one, other = (xp.astype(rows[here, :], xp.float64) for rows in (X, X_other))
        yield one, other, None if weights is None else weights[here]
