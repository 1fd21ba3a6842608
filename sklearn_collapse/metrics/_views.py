"""Two views of the same samples: how close they are, and how redundant."""

from sklearn_collapse._linalg._frames import diagonal_mask
from sklearn_collapse._linalg._moments import unit_rows
from sklearn_collapse.metrics._inputs import checked_pair
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import Rows, block_rows, namespace, slices


def alignment(X_a, X_b, *, alpha=2, sample_weight=None):
    """Mean distance of the unit rows of two views.

    Parameters
    ----------
    X_a : array-like of shape (n, d)
        Features of one view, of any array library.
    X_b : array-like of shape (n, d)
        Features of the other, row i of the same sample as row i of `X_a`.
    alpha : float, default=2
        Power of the distance, positive.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    float
        In [0, 2^alpha], 0 for views that point the same way.

    See Also
    --------
    cross_correlation_loss : Redundancy of the columns as well.

    Notes
    -----
    The mean over rows of ||a_i / ||a_i|| - b_i / ||b_i|| ||^alpha, from the differences
    themselves, so that close views keep their digits. A row of zeros stays zero: its
    distance from every unit row is 1.

    References
    ----------
    .. [1] Wang, T., Isola, P. (2020). "Understanding Contrastive Representation
       Learning through Alignment and Uniformity on the Hypersphere". ICML.

    Examples
    --------
    >>> from sklearn_collapse.metrics import alignment
    >>> alignment([[2.0, 0.0], [0.0, 1.0]], [[3.0, 0.0], [1.0, 0.0]])
    1.0
    """
    if not alpha > 0:
        raise ValueError(f"alpha must be positive, got {alpha!r}.")
    X_a, X_b, weights = checked_pair(X_a, X_b, ("X_a", "X_b"), sample_weight)
    rows, others = Rows(X_a), Rows(X_b)
    xp, total = rows.xp, 0.0

    def absorb(block, here):
        nonlocal total
        gap = unit_rows(block, xp) - unit_rows(others.fetch(here, xp.float64), xp)
        powers = xp.vecdot(gap, gap) ** (alpha / 2)
        if weights is not None:
            powers = powers * rows.local(weights[here])
        total += float(xp.sum(powers))

    rows.visit(absorb, 3 * X_a.shape[1], xp.float64)
    return total / float(X_a.shape[0] if weights is None else weights.sum())


def cross_correlation_loss(X_a, X_b, *, weight=5e-3, sample_weight=None):
    """Barlow Twins loss: distance of the views' cross-correlation from the identity.

    Parameters
    ----------
    X_a : array-like of shape (n, d)
        Features of one view, at least two rows, of any array library.
    X_b : array-like of shape (n, d)
        Features of the other, row i of the same sample as row i of `X_a`.
    weight : float, default=5e-3
        Weight lambda of the entries off the diagonal, not negative.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    float
        In [0, inf), 0 for equal views with uncorrelated columns.

    See Also
    --------
    alignment : Distance of the rows.

    Notes
    -----
    sum_i (1 - C_ii)^2 + lambda sum_{i != j} C_ij^2 with C_ij the Pearson correlation of
    column i of `X_a` with column j of `X_b` over the rows (the normaliser n of
    covariance and variances cancels). It is a sum, not a mean, over entries, as
    published: it grows with d. Correlations with a column that is constant, to the
    rounding of the input, are 0. Unchanged by translation and by positive scales of
    single columns. The scatter of both views together is held, (2 d)^2 numbers.

    References
    ----------
    .. [1] Zbontar, J., Jing, L., Misra, I., LeCun, Y., Deny, S. (2021). "Barlow Twins:
       Self-Supervised Learning via Redundancy Reduction". ICML.

    Examples
    --------
    >>> from sklearn_collapse.metrics import cross_correlation_loss
    >>> X = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]
    >>> round(cross_correlation_loss(X, X), 6)
    0.0
    >>> swapped = [row[::-1] for row in X]
    >>> round(cross_correlation_loss(X, swapped), 6)
    2.01
    """
    if not weight >= 0:
        raise ValueError(f"weight must not be negative, got {weight!r}.")
    X_a, X_b, weights = checked_pair(
        X_a, X_b, ("X_a", "X_b"), sample_weight, min_samples=2
    )
    correlations = _cross_correlations(X_a, X_b, weights)
    xp = namespace(correlations)
    diagonal = xp.linalg.diagonal(correlations)
    # Of the entries themselves: a difference of sums would lose the small ones.
    own = diagonal_mask(0, correlations, xp)
    others = xp.where(own, xp.zeros_like(correlations), correlations)
    return float(xp.sum((1 - diagonal) ** 2)) + weight * float(xp.sum(others**2))


def _cross_correlations(X_a, X_b, weights):
    """Correlations of the columns of one view with those of the other, (d, d)."""
    n, d = X_a.shape
    xp = namespace(X_a, X_b)
    # Their own dtype, if they share one, says what rounding of the input can do.
    dtype = X_a.dtype if X_a.dtype == X_b.dtype else xp.float64
    moments = ClassMoments()
    for here in slices(n, block_rows(2 * d)):
        block = [xp.astype(X[here, :], dtype, copy=False) for X in (X_a, X_b)]
        part = None if weights is None else weights[here]
        moments.update(xp.concat(block, axis=1), None, part)
    covariance = moments.total_covariance()
    inverse, _ = moments._column_scales(moments._variances(), moments._mean_square())
    root = xp.sqrt(inverse)
    cross = covariance[:d, d:]
    return root[:d, None] * cross * root[None, d:]
