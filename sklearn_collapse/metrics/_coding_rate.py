"""Coding rate reduction (MCR^2) of unit rows."""

import numpy as np

from sklearn_collapse._linalg._moments import unit_rows
from sklearn_collapse.metrics._geometry import check_two_classes, labelled
from sklearn_collapse.metrics._metric import metric
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import (
    Rows,
    as_like,
    device_of,
    namespace,
    slices,
    to_numpy,
)
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._labels import encode_labels
from sklearn_collapse.utils._validation import check_lengths

# Numbers that the padded rows, or the scatters, of a group of classes occupy.
_GROUP = 2**23

EPSILON = 0.5


@metric(
    "collapse",
    "unit_moments class_scatters",
    "Yu et al. 2020",
    direction="higher",
    keeps={"rotation", "scale", "cloning"},
)
def coding_rate_reduction(
    X, y, *, sample_weight=None, class_weight=None, epsilon=EPSILON
):
    """Coding rate reduction: nats of all rows minus those of the classes.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,)
        Labels, at least two classes.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    class_weight : {None, "balanced"}, default=None
        "balanced" weighs every class by 1 / C instead of n_c / n.
    epsilon : float, default=0.5
        Precision of the code, for rows of length 1.

    Returns
    -------
    float
        In [0, inf), in nats, higher is better: classes that are each of low dimension
        and together of high. It is positive for random labels too: compare with
        `null_reference`.

    See Also
    --------
    lidar : Dimension of the class means instead.

    Notes
    -----
    R - sum_c p_c R_c with R = 1/2 logdet(I + d / epsilon^2 S) and R_c the same with
    S_c; S and S_c are the second moments about the origin, x x^T averaged over all
    rows of length 1 (normaliser n) and over those of class c (normaliser n_c).
    Following the paper; in nats, where its figures may be in bits. Rows of zeros stay
    zeros.

    References
    ----------
    .. [1] Yu, Y., Chan, K. H. R., You, C., Song, C., Ma, Y. (2020). "Learning Diverse
       and Discriminative Representations via the Principle of Maximal Coding Rate
       Reduction". NeurIPS.

    Examples
    --------
    >>> from sklearn_collapse.metrics import coding_rate_reduction
    >>> X = [[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]
    >>> round(coding_rate_reduction(X, [0, 0, 1, 1]), 6)
    0.510826
    """
    if not epsilon > 0:
        raise ValueError(f"epsilon must be positive, got {epsilon!r}.")
    X, y, weights = labelled(X, y, sample_weight, class_weight)
    classes, codes = encode_labels(y)
    check_lengths(X, codes)
    check_two_classes(classes)
    check_finite(X)
    counts = np.bincount(codes, weights=weights)
    shares = counts if class_weight is None else np.ones(len(classes))
    return rate_reduction(X, codes, weights, shares / shares.sum(), epsilon)


def rate_reduction(X, codes, weights, shares, epsilon=EPSILON, device="auto"):
    """Coding rate reduction of rows of any length.

    No more is held than a group of classes: their rows padded to the same number
    where a class has fewer rows than features, their scatters otherwise.

    Parameters
    ----------
    X : array of shape (n, d)
    codes : ndarray of int of shape (n,)
        Class of each row; all classes present.
    weights : ndarray of shape (n,) or None
    shares : ndarray of shape (C,)
        Weights of the classes, summing to 1.
    epsilon : float
    device : str
        Where NumPy rows are worked on.
    """
    sizes = np.bincount(codes)
    total = shares / np.bincount(codes, weights=weights)
    all_weights = total[codes] if weights is None else total[codes] * weights
    moments = ClassMoments(normalize=True, device=device).update(X, None, all_weights)
    rate = float(_rates(moments.second_moment()[None, ...], epsilon)[0])
    order = np.argsort(codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    within = 0.0
    for group, few in _groups(sizes, X.shape[1]):
        runs = [order[starts[c] : starts[c + 1]] for c in group]
        if few:
            rates = _rates_of_few(X, runs, weights, epsilon)
        else:
            rates = _rates_of_many(X, runs, weights, epsilon, device)
        within += float(shares[group] @ rates)
    return max(rate - within, 0.0)  # of one class, rounding is all there is


def rate_reduction_of_moments(moments, class_weight=None, epsilon=EPSILON):
    """The same from moments of unit rows with the scatter of each class."""
    means = moments.means_
    xp = namespace(means)
    counts = to_numpy(moments.counts_)
    shares = np.ones(len(counts)) if class_weight == "balanced" else counts
    shares = shares / shares.sum()
    d = means.shape[1]
    rate, second = 0.0, xp.zeros((d, d), dtype=means.dtype, device=device_of(means))
    for here in slices(len(counts), max(1, _GROUP // d**2)):
        moment = _class_moments(moments, here)
        share = as_like(shares[here], means)
        rate -= float(xp.sum(share * _rates(moment, epsilon)))
        second += xp.sum(share[:, None, None] * moment, axis=0)
    return max(rate + float(_rates(second[None, ...], epsilon)[0]), 0.0)


def _class_moments(moments, here):
    """Second moments of some classes about the origin."""
    means, counts = moments.means_[here, :], moments.counts_[here]
    return (
        moments.class_scatter_[here, ...] / counts[:, None, None]
        + means[:, :, None] * means[:, None, :]
    )


def _groups(sizes, d):
    """Yield classes of similar size, and whether they have fewer rows than features."""
    order = np.argsort(sizes, kind="stable")
    few = order[sizes[order] < d]
    start = 0
    while start < len(few):
        # Rows are padded to the largest class of the group.
        widths = sizes[few[start:]] * np.arange(1, len(few) - start + 1) * d
        stop = start + max(1, int(np.searchsorted(widths, _GROUP, side="right")))
        yield few[start:stop], True
        start = stop
    many = order[len(few) :]
    for here in slices(len(many), max(1, _GROUP // d**2)):
        yield many[here], False


def _rates_of_few(X, runs, weights, epsilon):
    """Rates of classes with fewer rows than features, from the rows' Gram matrices."""
    rows = Rows(X, "cpu" if isinstance(X, np.ndarray) else "auto")
    xp = rows.xp
    found = np.concatenate(runs)
    unit = unit_rows(rows.fetch(found, xp.float64), xp)
    lengths = np.array([len(run) for run in runs])
    width, d = int(lengths.max()), X.shape[1]
    root = np.ones(len(found)) if weights is None else np.sqrt(weights[found])
    root /= np.sqrt(np.repeat(np.bincount(_labels(lengths), root**2), lengths))
    unit = unit * rows.local(root)[:, None]
    # Position len(found) holds the row of zeros that shorter classes are padded with.
    padded = np.full((len(runs), width), len(found))
    padded[np.arange(width) < lengths[:, None]] = np.arange(len(found))
    unit = xp.concat([unit, xp.zeros_like(unit[:1, :])])
    stack = xp.reshape(
        xp.take(unit, rows.local(padded.ravel()), axis=0), (len(runs), width, d)
    )
    gram = xp.matmul(stack, xp.matrix_transpose(stack))
    return to_numpy(_rates(gram, epsilon, d))


def _rates_of_many(X, runs, weights, epsilon, device):
    """Rates of classes with at least as many rows as features."""
    found = np.concatenate(runs)
    labels = _labels(np.array([len(run) for run in runs]))
    moments = ClassMoments(normalize=True, class_scatter=True, device=device)
    # The rows of the group may be all there are: no copy of them at once.
    for here in slices(len(found), max(1, _GROUP // X.shape[1])):
        part = found[here]
        some = namespace(X).take(X, as_like(part, X), axis=0)
        moments.update(some, labels[here], None if weights is None else weights[part])
    return to_numpy(_rates(_class_moments(moments, slice(None)), epsilon))


def _labels(lengths):
    return np.repeat(np.arange(len(lengths)), lengths)


def _rates(moments, epsilon, d=None):
    """1/2 logdet(I + d / epsilon^2 M) of each matrix of a stack."""
    xp = namespace(moments)
    size = moments.shape[-1]
    eye = xp.eye(size, dtype=moments.dtype, device=device_of(moments))
    scale = (size if d is None else d) / epsilon**2
    return xp.linalg.slogdet(eye + scale * moments)[1] / 2
