"""How alike the classes are."""

import math

from sklearn_collapse.metrics._geometry import geometry_of
from sklearn_collapse.metrics._metric import metric


@metric("collapse", "moments", "This page", direction="lower")
def variance_spread(X, y, *, sample_weight=None):
    """Spread of the variances of the classes: std_c V_c / mean_c V_c.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    float
        In [0, inf), lower is more alike; nan where every V_c is 0.

    Notes
    -----
    V_c is the mean squared distance of the rows of class c to their mean; the standard
    deviation has normaliser C.

    Examples
    --------
    >>> variance_spread([[0.0], [2.0], [5.0], [9.0]], [0, 0, 1, 1])  # V: 1, 4
    0.6
    """
    return _variance_spread(geometry_of(X, y, sample_weight, None))


def _variance_spread(geometry):
    variances, xp = geometry.variances, geometry.xp
    mean = float(xp.mean(variances))
    return float(xp.std(variances)) / mean if mean else math.nan
