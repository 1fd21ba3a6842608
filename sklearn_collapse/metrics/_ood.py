"""Metrics of out-of-distribution scores: rank-based only."""

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d

from sklearn_collapse.metrics._ood_curves import OOD_METRICS, SortedScores, fpr
from sklearn_collapse.utils._arrays import to_numpy
from sklearn_collapse.utils._validation import check_weights


def fpr_at_tpr(y_true, y_score, *, tpr=0.95, positive="id", sample_weight=None):
    """False positive rate at the threshold that reaches a true positive rate.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        1 (or True) for in-distribution rows, 0 for the others.
    y_score : array-like of shape (n,)
        Scores, larger = more in-distribution.
    tpr : float, default=0.95
        True positive rate to reach, in (0, 1].
    positive : {"id", "ood"}, default="id"
        Which rows are the positives. Papers differ: ViM, NECO and NINCO use "id",
        OpenOOD v1.5 uses "ood".
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    float
        In [0, 1], lower is better.

    See Also
    --------
    ood_table : Both conventions beside the area under the curve.

    Notes
    -----
    The strictest threshold at which at least the share ``tpr`` of the positives is
    accepted; the share of the negatives accepted there is returned. Ties are accepted
    together and nothing is interpolated.

    References
    ----------
    .. [1] Zhang, J., et al. (2023). "OpenOOD v1.5: Enhanced Benchmark for
       Out-of-Distribution Detection". arXiv 2306.09301.

    Examples
    --------
    >>> from sklearn_collapse.metrics import fpr_at_tpr
    >>> fpr_at_tpr([1, 1, 1, 1, 0, 0], [5.0, 4.0, 3.0, 2.0, 2.5, 1.0])
    0.5
    >>> fpr_at_tpr([1, 1, 1, 1, 0, 0], [5.0, 4.0, 3.0, 2.0, 2.5, 1.0], positive="ood")
    0.25
    """
    if not 0 < tpr <= 1:
        raise ValueError(f"tpr must lie in (0, 1], got {tpr!r}.")
    if positive not in ("id", "ood"):
        raise ValueError(f"positive must be 'id' or 'ood', got {positive!r}.")
    runs = _runs(y_true, y_score, sample_weight)
    return float(fpr(runs if positive == "id" else runs.mirrored, tpr)[0])


def threshold_at_tpr(positives, tpr, weights=None):
    """Strictest threshold that accepts at least a share of the positives' scores."""
    order = np.argsort(-positives)
    reached = np.cumsum(np.ones(len(order)) if weights is None else weights[order])
    # Rounding of tpr * n must not ask for one row more than it says.
    last = np.searchsorted(reached, tpr * reached[-1] * (1 - 1e-12))
    return positives[order[last]]


def ood_metrics(y_true, y_score, sample_weight=None, names=tuple(OOD_METRICS)):
    """Metrics of scores, by name; 1 marks in-distribution rows."""
    runs = _runs(y_true, y_score, sample_weight)
    return {name: float(OOD_METRICS[name](runs)[0]) for name in names}


def _runs(y_true, y_score, sample_weight):
    """Weights at each distinct score, of checked scores."""
    inside, score, weights = _check_scores(y_true, y_score, sample_weight)
    scores = SortedScores(score[inside], score[~inside])
    return scores.runs(weights[None, inside], weights[None, ~inside])


def _check_scores(y_true, y_score, sample_weight):
    """Check labels, scores and weights; rows of zero weight are dropped.

    Returns
    -------
    inside : ndarray of bool of shape (n,)
    score : ndarray of float64 of shape (n,)
    weights : ndarray of float64 of shape (n,)
    """
    y_true = column_or_1d(to_numpy(y_true))
    score = column_or_1d(to_numpy(y_score)).astype(float)
    check_consistent_length(y_true, score)
    weights = check_weights(sample_weight, len(score))
    if weights is None:
        weights = np.ones(len(score))
    bad = np.flatnonzero(np.isnan(score) & (weights > 0))
    if len(bad):
        raise ValueError(
            f"y_score contains NaN (first in row {bad[0]}): such rows have no rank."
        )
    kept = weights > 0
    values = np.unique(y_true[kept])
    if len(values) != 2 or not np.isin(values, [0, 1]).all():
        raise ValueError(
            f"y_true must hold both 1 (in-distribution) and 0, got the values "
            f"{values[:5].tolist()}."
        )
    return y_true[kept].astype(bool), score[kept], weights[kept]
