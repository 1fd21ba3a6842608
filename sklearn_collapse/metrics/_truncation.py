"""A metric against the number of dimensions that are kept."""

from numbers import Integral

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state

from sklearn_collapse._head_argument import check_head, fitted_head, resolve_classifier
from sklearn_collapse._linalg._rows import map_rows
from sklearn_collapse.heads import LinearHead
from sklearn_collapse.metrics._call import Measure
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import (
    Rows,
    as_like,
    float_dtype,
    namespace,
    to_numpy,
)
from sklearn_collapse.utils._validation import check_features

_ORDERS = ("first", "random", "principal")
# Sizes that are tried by default, at the most.
_SIZES = 10


def truncation_curve(
    metric,
    X,
    y=None,
    *,
    head=None,
    sample_weight=None,
    dimensions=None,
    order="first",
    n_repeats=5,
    random_state=None,
    **options,
):
    """Measure a metric on fewer and fewer dimensions of the features.

    Parameters
    ----------
    metric : str, Metric or callable
        A name in ``METRICS``, an entry of it, or a function whose first argument is X
        and which returns a number. It takes labels or targets as ``y``, or under
        another name as its second argument, and a head as ``head``.
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like, default=None
        Labels or targets, for metrics that take them.
    head : None, "lda" or classifier, default=None
        For metrics that take one. A LinearHead or a FrozenEstimator keeps the weights
        of the dimensions that are kept, and its intercept; "lda" and other classifiers
        are fitted anew on them.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows, for metrics that take them.
    dimensions : array-like of int, default=None
        Numbers of dimensions to keep, in 1, …, d. By default up to 10 of them, evenly
        spaced in their logarithm, the last of them d.
    order : {"first", "random", "principal"}, default="first"
        Which dimensions are kept: the first columns, columns drawn at random, or
        leading principal directions.
    n_repeats : int, default=5
        Number of random orders of the columns. Only for ``order="random"``.
    random_state : int, RandomState instance or None, default=None
        Seed of the random orders, and of a metric that draws at random, which draws
        alike for every number of dimensions. Pass an int for the same curve in every
        call.
    **options
        Passed to the metric.

    Returns
    -------
    dimensions : ndarray of int of shape (k,)
        Numbers of dimensions, as they were given.
    values : ndarray of shape (n_repeats, k)
        Value of the metric for each; one row unless the order is random.

    See Also
    --------
    sklearn_collapse.whitening.SpectralTransformer : Features in a band of the spectrum.

    Notes
    -----
    A repeat keeps the leading columns of one random order, so that each set contains
    the smaller ones. Principal directions are those of the covariance of the rows, with
    their weights if there are any; rows are turned onto them and not centred, so that a
    metric which rotation leaves alone has its full value at d.

    References
    ----------
    .. [1] Tsukagoshi, H., Sasano, R. (2025). "Redundancy, Isotropy, and Intrinsic
       Dimensionality of Prompt-based Text Embeddings". Findings of ACL.

    Examples
    --------
    >>> from sklearn_collapse.datasets import make_collapsed_features
    >>> from sklearn_collapse.metrics import truncation_curve
    >>> X, y = make_collapsed_features(300, 3, 8, nc1=0.01, random_state=0)
    >>> dimensions, values = truncation_curve(
    ...     "ncm_accuracy", X, y, dimensions=[1, 2, 8], order="principal"
    ... )
    >>> dimensions
    array([1, 2, 8])
    >>> values.shape
    (1, 3)
    """
    measure = Measure(metric, options)
    if order not in _ORDERS:
        raise ValueError(f"order must be one of {_ORDERS}, got {order!r}.")
    X, _ = check_features(X)
    d = X.shape[1]
    sizes = _sizes(dimensions, d)
    head = _weights_of(head, d)
    if order == "principal":
        moments = ClassMoments.from_arrays(X, None, sample_weight)
        spectrum = moments._spectrum("total")
        X, head = _turned(X, head, spectrum.vectors)
    rng = check_random_state(random_state)
    orders = _column_orders(order, d, n_repeats, rng)
    measure = measure.seeded(rng)
    values = np.empty((len(orders), len(sizes)))
    for i, columns in enumerate(orders):
        for j, size in enumerate(sizes):
            rows, kept_head = _kept(X, head, columns[:size])
            values[i, j] = measure(rows, y, kept_head, sample_weight)
    return sizes, values


def _sizes(dimensions, d):
    """Checked numbers of dimensions."""
    if dimensions is None:
        return np.unique(np.round(np.geomspace(1, d, _SIZES)).astype(int))
    sizes = np.asarray(to_numpy(dimensions))
    if sizes.ndim != 1 or not len(sizes) or sizes.dtype.kind not in "iu":
        raise ValueError(f"dimensions must be a list of integers, got {dimensions!r}.")
    if sizes.min() < 1 or sizes.max() > d:
        raise ValueError(
            f"dimensions must lie between 1 and the number of features, {d}, got "
            f"{sizes.tolist()}."
        )
    return sizes


def _column_orders(order, d, n_repeats, rng):
    """Columns in the order in which they are kept, once per repeat."""
    if order != "random":
        return [np.arange(d)]
    if not isinstance(n_repeats, Integral) or n_repeats < 1:
        raise ValueError(
            f"n_repeats must be an integer, at least 1, got {n_repeats!r}."
        )
    return [rng.permutation(d) for _ in range(n_repeats)]


def _weights_of(head, d):
    """Fitted linear head as a LinearHead; any other is fitted later, and kept."""
    if not isinstance(head, (LinearHead, FrozenEstimator)):
        return head
    check_head(fitted_head(head), None, d, linear=True)
    resolved = resolve_classifier(head, np.zeros(0))
    return LinearHead(resolved.coef, resolved.intercept, classes=resolved.classes)


def _turned(X, head, turn):
    """Features, and weights that read them, in the basis of the columns of `turn`."""
    rows = Rows(X)
    xp, dtype = rows.xp, float_dtype(X, rows.xp)

    def product(block, _):
        return (xp.astype(xp.matmul(block, turn), dtype, copy=False),)

    (turned,) = map_rows(rows, product, 2 * X.shape[1], xp.float64)
    if isinstance(head, LinearHead):
        coef = head.coef_ @ to_numpy(turn)
        head = LinearHead(coef, head.intercept_, classes=head.classes_)
    return turned, head


def _kept(X, head, columns):
    """Columns of the features and of the weights."""
    rows = namespace(X).take(X, as_like(columns, X), axis=1)
    if isinstance(head, LinearHead):
        coef = head.coef_[:, columns]
        head = LinearHead(coef, head.intercept_, classes=head.classes_)
    return rows, head
