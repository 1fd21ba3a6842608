"""Isotropy by the partition function of word embeddings."""

import math

from sklearn_collapse._linalg._rows import map_rows
from sklearn_collapse.metrics._inputs import checked_rows
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import Rows


def partition_ratio(X, *, sample_weight=None):
    """Ratio of the extreme values of the partition function, I(V).

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features (embeddings), of any array library.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    float
        In [0, 1], higher is more isotropic; 1 if all rows are zero, 0 where the ratio
        is smaller than any number.

    See Also
    --------
    isoscore : Without units, and of the covariance alone.

    Notes
    -----
    min Z / max Z with Z(c) = sum_i exp(c . x_i) and c the eigenvectors of X^T X, not
    centred, of length 1. An eigenvector has no sign, so both signs count, where public
    code takes those that its solver returns; where eigenvalues are equal, the
    eigenvectors are a matter of chance. It depends on the scale of the rows: small
    ones always look isotropic. Kept as the baseline that later measures were set
    against. Sums are taken of logarithms, so that nothing overflows.

    References
    ----------
    .. [1] Mu, J., Viswanath, P. (2018). "All-but-the-Top: Simple and Effective
       Postprocessing for Word Representations". ICLR.

    Examples
    --------
    >>> from sklearn_collapse.metrics import partition_ratio
    >>> round(partition_ratio([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), 4)
    0.534
    """
    X, weights = checked_rows(X, sample_weight)
    vectors = ClassMoments.from_arrays(X, None, weights)._spectrum("second_moment")
    vectors = vectors.vectors
    n, d = X.shape
    rows = Rows(X, work=float(n) * d * d)
    xp = rows.xp
    vectors = rows.local(vectors)
    weights = None if weights is None else rows.local(weights)
    # Largest exponent so far for each direction, and the sum relative to it.
    top, total = None, None

    def add(block, here):
        nonlocal top, total
        product = xp.matmul(block, vectors)
        exponents = xp.concat([product, -product], axis=1)
        highest = xp.max(exponents, axis=0)
        if top is not None:
            highest = xp.maximum(highest, top)
        terms = xp.exp(exponents - highest)
        if weights is not None:
            terms = terms * weights[here][:, None]
        summed = xp.sum(terms, axis=0)
        if top is not None:
            summed = summed + total * xp.exp(top - highest)
        top, total = highest, summed
        return ()

    map_rows(rows, add, 4 * d, xp.float64)
    logs = top + xp.log(total)
    return math.exp(float(xp.min(logs)) - float(xp.max(logs)))
