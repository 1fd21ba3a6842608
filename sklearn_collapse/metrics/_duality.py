"""Collapse metrics that compare the classifier's head with the class means."""

import math

import numpy as np

from sklearn_collapse._head_argument import fitted_head, resolve_head
from sklearn_collapse._linalg._frames import simplex_distance, unit_means
from sklearn_collapse._linalg._rows import class_metric, map_rows, nearest_class
from sklearn_collapse.metrics._geometry import balanced_weights, geometry_of
from sklearn_collapse.metrics._means import simplex_exists
from sklearn_collapse.metrics._metric import metric
from sklearn_collapse.utils._arrays import Rows, namespace, to_numpy
from sklearn_collapse.utils._labels import as_label_array, encode_known, positions
from sklearn_collapse.utils._validation import (
    check_features,
    check_weights,
    drop_zero_weights,
)

# A head is kept as it is when the features are mapped.
_WITH_HEAD = {"scale", "translation", "cloning"}


@metric(
    "collapse",
    "means head",
    "Papyan, Han, Donoho 2020",
    direction="lower",
    high=2.0,
    keeps=_WITH_HEAD,
)
def nc3_self_duality(
    X,
    y,
    head,
    *,
    sample_weight=None,
    class_weight=None,
    centered=False,
    squared=False,
):
    """NC3, self-duality: || W / ||W||_F - M / ||M||_F ||_F.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    head : "lda" or classifier
        The weights W: a LinearHead, a FrozenEstimator, or a classifier that is cloned
        and fitted on X, y. Rows are matched to classes by label.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" centres the means at their unweighted mean.
    centered : bool, default=False
        Whether the rows of W are centred at their mean; the paper does not.
    squared : bool, default=False
        Whether to return the square, as some code does.

    Returns
    -------
    float
        In [0, 2] ([0, 4] if squared), lower is more collapsed; nan where W or M is
        zero.

    See Also
    --------
    nc3_uniform_duality : Spread of the cosines instead of the distance.

    Notes
    -----
    M holds the centred class means in its rows. Invariant under the scale of W and
    under scale and translation of the features; with ``centered=True`` also under a
    vector that is added to all rows of W.

    References
    ----------
    .. [1] Papyan, V., Han, X. Y., Donoho, D. L. (2020). "Prevalence of neural collapse
       during the terminal phase of deep learning training". PNAS 117(40).

    Examples
    --------
    >>> from sklearn_collapse import LinearHead
    >>> from sklearn_collapse.metrics import nc3_self_duality
    >>> X = [[0.0, 1.0], [4.0, 1.0]]
    >>> nc3_self_duality(X, [0, 1], LinearHead([[-1.0, 0.0], [1.0, 0.0]]))
    0.0
    """
    geometry = geometry_of(X, y, sample_weight, class_weight)
    weights = _weights(geometry, head, (X, y, sample_weight))
    return _nc3_self_duality(geometry, weights, centered=centered, squared=squared)


@metric(
    "collapse",
    "means head",
    "Wu, Papyan 2024",
    direction="lower",
    high=1.0,
    keeps=_WITH_HEAD,
)
def nc3_uniform_duality(X, y, head, *, sample_weight=None, class_weight=None):
    """UNC3, uniform duality: variance over classes of cos(w_c, m_c).

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    head : "lda" or classifier
        The weights W: a LinearHead, a FrozenEstimator, or a classifier that is cloned
        and fitted on X, y. Rows are matched to classes by label.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" centres the means at their unweighted mean.

    Returns
    -------
    float
        In [0, 1], lower is more collapsed; nan where W is zero or all class means
        coincide.

    See Also
    --------
    nc3_self_duality : Distance between the two.

    Notes
    -----
    Normaliser C. A class whose weights or centred mean are zero has cosine 0. Defined
    for any number of classes.

    References
    ----------
    .. [1] Wu, R., Papyan, V. (2024). "Linguistic Collapse: Neural Collapse in (Large)
       Language Models". NeurIPS. arXiv 2405.17767.

    Examples
    --------
    >>> from sklearn_collapse import LinearHead
    >>> from sklearn_collapse.metrics import nc3_uniform_duality
    >>> X = [[0.0, 1.0], [4.0, 1.0]]
    >>> nc3_uniform_duality(X, [0, 1], LinearHead([[-1.0, 0.0], [0.0, 1.0]]))
    0.25
    """
    geometry = geometry_of(X, y, sample_weight, class_weight)
    weights = _weights(geometry, head, (X, y, sample_weight))
    return _nc3_uniform_duality(geometry, weights)


@metric(
    "collapse",
    "means head",
    "Dang et al. 2023",
    direction="lower",
    high=2.0,
    keeps=_WITH_HEAD,
)
def nc3_product(X, y, head, *, sample_weight=None, class_weight=None):
    """NC3, product form: distance of W M^T from a simplex Gram matrix.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    head : "lda" or classifier
        The weights W: a LinearHead, a FrozenEstimator, or a classifier that is cloned
        and fitted on X, y. Rows are matched to classes by label.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" centres the means at their unweighted mean.

    Returns
    -------
    float
        In [0, 2], lower is more collapsed; nan with a warning if C > d + 1, where no
        simplex exists, and nan where W M^T is zero.

    See Also
    --------
    nc2_etf_error : The same for the means alone.

    Notes
    -----
    || W M^T / ||W M^T||_F - (I - 1 1^T / C) / sqrt(C - 1) ||_F.

    References
    ----------
    .. [1] Dang, H., Tran, T., Osher, S., Tran-The, H., Ho, N., Nguyen, T. (2023).
       "Neural Collapse in Deep Linear Networks: From Balanced to Imbalanced Data".
       ICML.

    Examples
    --------
    >>> from sklearn_collapse import LinearHead
    >>> from sklearn_collapse.metrics import nc3_product
    >>> X = [[0.0, 1.0], [4.0, 1.0]]
    >>> round(nc3_product(X, [0, 1], LinearHead([[-1.0, 0.0], [1.0, 0.0]])), 6)
    0.0
    """
    geometry = geometry_of(X, y, sample_weight, class_weight)
    return _nc3_product(geometry, _weights(geometry, head, (X, y, sample_weight)))


@metric(
    "collapse",
    "means rows head",
    "Papyan, Han, Donoho 2020",
    direction="higher",
    high=1.0,
    keeps={"cloning"},
)
def nc4_agreement(X, y, head, *, sample_weight=None, class_weight=None):
    """NC4: share of rows on which the head and the nearest class mean agree.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    head : "lda" or classifier
        A LinearHead, a FrozenEstimator, or a classifier that is cloned and fitted on
        X, y.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" weighs rows by n / (C n_c).

    Returns
    -------
    float
        In [0, 1], higher is more collapsed.

    See Also
    --------
    ncm_accuracy : The nearest class mean against the labels.

    Notes
    -----
    The nearest mean is by Euclidean distance to the means of the same rows. A head
    that predicts a class which the data lack disagrees.

    References
    ----------
    .. [1] Papyan, V., Han, X. Y., Donoho, D. L. (2020). "Prevalence of neural collapse
       during the terminal phase of deep learning training". PNAS 117(40).

    Examples
    --------
    >>> from sklearn_collapse import LinearHead
    >>> from sklearn_collapse.metrics import nc4_agreement
    >>> X = [[0.0, 1.0], [1.0, 1.0], [4.0, 1.0]]
    >>> nc4_agreement(X, [0, 0, 1], LinearHead([[-1.0, 0.0], [1.0, 0.0]], [4.5, -4.5]))
    0.6666666666666666
    """
    geometry, rows, codes, weights = _rows_of(X, y, sample_weight, class_weight)
    head = _resolve(head, geometry, (X, y, sample_weight))
    hits = row_hits(rows, geometry.moments, codes, head)["nc4_agreement"]
    return float(np.average(hits, weights=weights))


@metric(
    "collapse",
    "means rows",
    "Galanti, Gyorgy, Hutter 2022",
    direction="higher",
    high=1.0,
)
def ncm_accuracy(X, y, *, sample_weight=None, class_weight=None):
    """Accuracy of the nearest class mean.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" weighs rows by n / (C n_c).

    Returns
    -------
    float
        In [0, 1], higher is more collapsed.

    See Also
    --------
    nc4_agreement : The same rule against the head.

    Notes
    -----
    Euclidean distance to the means of the same rows, which flatters when a class has
    few rows.

    References
    ----------
    .. [1] Galanti, T., Gyorgy, A., Hutter, M. (2022). "On the Role of Neural Collapse
       in Transfer Learning". ICLR.

    Examples
    --------
    >>> from sklearn_collapse.metrics import ncm_accuracy
    >>> ncm_accuracy([[0.0], [1.0], [5.0], [3.0]], [0, 0, 1, 1])
    1.0
    """
    geometry, rows, codes, weights = _rows_of(X, y, sample_weight, class_weight)
    hits = row_hits(rows, geometry.moments, codes)["ncm_accuracy"]
    return float(np.average(hits, weights=weights))


def row_hits(rows, moments, codes, head=None):
    """Rows that count for NC4 and for nearest-class-mean accuracy, in one pass.

    Parameters
    ----------
    rows : Rows
    moments : ClassMoments
        Whose class means are the rule.
    codes : ndarray of int of shape (n,)
        Class of each row.
    head : ResolvedHead or None

    Returns
    -------
    dict of str to ndarray of bool of shape (n,)
    """
    means, mean = moments.means_, moments.mean_
    metric = class_metric(means, mean, None, namespace(means))
    nearest = to_numpy(nearest_class(rows, metric)[0])
    hits = {"ncm_accuracy": codes == nearest}
    if head is not None:
        head = head.placed(rows)
        width = max(rows.X.shape[1], len(head.classes))
        chosen = map_rows(rows, lambda b, _: (head.predict_codes(b),), width)[0]
        # A class that the data lack becomes -1 and agrees with nothing.
        chosen = positions(head.classes, moments.classes_)[to_numpy(chosen)]
        hits["nc4_agreement"] = chosen == nearest
    return hits


def _nc3_self_duality(geometry, weights, centered=False, squared=False):
    xp = geometry.xp
    if centered:
        weights = weights - xp.mean(weights, axis=0)
    norms = [float(xp.linalg.vector_norm(m)) for m in (weights, geometry.means)]
    if 0.0 in norms or geometry.means_coincide:
        return math.nan
    gap = weights / norms[0] - geometry.means / norms[1]
    distance = float(xp.linalg.vector_norm(gap))
    return distance**2 if squared else distance


def _nc3_uniform_duality(geometry, weights):
    xp = geometry.xp
    if geometry.means_coincide or not bool(xp.any(weights != 0)):
        return math.nan
    means = unit_means(geometry.means, geometry.mean_rounding, xp)
    cosines = xp.vecdot(unit_means(weights, 0.0, xp), means)
    return float(xp.var(cosines))


def _nc3_product(geometry, weights):
    if not simplex_exists(geometry) or geometry.means_coincide:
        return math.nan
    return simplex_distance(weights, geometry.means, geometry.xp)


def _weights(geometry, head, data):
    return _resolve(head, geometry, data).rows_of(geometry.moments.classes_)


def _resolve(head, geometry, data):
    if head is None:
        raise ValueError("head is None, but this metric compares a head with the data.")
    return resolve_head(fitted_head(head, data), geometry)


def _rows_of(X, y, sample_weight, class_weight):
    """Geometry and, for a pass over rows, codes and weights of the rows."""
    geometry = geometry_of(X, y, sample_weight, class_weight)
    X, _ = check_features(X)
    weights = check_weights(sample_weight, X.shape[0])
    classes = geometry.moments.classes_
    X, kept, weights = drop_zero_weights(X, weights)
    codes = encode_known(as_label_array(y)[kept], classes)
    if class_weight == "balanced":
        weights = balanced_weights(codes, len(classes), weights)
    return geometry, Rows(X), codes, weights
