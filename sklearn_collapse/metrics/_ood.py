"""Metrics of out-of-distribution scores: rank-based only."""

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.utils import check_consistent_length, column_or_1d

from sklearn_collapse.utils._arrays import to_numpy


def fpr_at_tpr(y_true, y_score, *, tpr=0.95, positive="id"):
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
    inside, score = _check_scores(y_true, y_score)
    if positive == "ood":
        inside, score = ~inside, -score
    return float(np.mean(score[~inside] >= threshold_at_tpr(score[inside], tpr)))


def ood_table(detectors, X_id, X_ood):
    """Compare detectors on out-of-distribution sets.

    Parameters
    ----------
    detectors : dict of str to estimator
        Fitted detectors with ``score_samples``.
    X_id : array-like of shape (n, d)
        In-distribution rows that no detector was fitted on.
    X_ood : dict of str to array-like of shape (m, d)
        Out-of-distribution sets.

    Returns
    -------
    list of dict
        One row per detector and set, with the keys "detector", "set", "auroc",
        "aupr_in", "aupr_out" (higher is better), "fpr95_id", "fpr95_ood" (lower is
        better). ``pandas.DataFrame`` takes it as it is.

    See Also
    --------
    fpr_at_tpr : What "fpr95_id" and "fpr95_ood" are.

    Notes
    -----
    ``aupr_in`` has the in-distribution rows as positives, ``aupr_out`` the others;
    both depend on the sizes of the sets.

    References
    ----------
    .. [1] Hendrycks, D., Gimpel, K. (2017). "A Baseline for Detecting Misclassified
       and Out-of-Distribution Examples in Neural Networks". ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.metrics import ood_table
    >>> from sklearn_collapse.ood import MahalanobisDetector
    >>> rng = np.random.default_rng(0)
    >>> detector = MahalanobisDetector().fit(rng.normal(size=(200, 3)))
    >>> far = {"far": rng.normal(size=(50, 3)) + 9.0}
    >>> ood_table({"Mahalanobis": detector}, rng.normal(size=(50, 3)), far)[0]["auroc"]
    1.0
    """
    table = []
    for name, detector in detectors.items():
        inside = to_numpy(detector.score_samples(X_id))
        for set_name, X in X_ood.items():
            outside = to_numpy(detector.score_samples(X))
            y_true = np.repeat([1, 0], [len(inside), len(outside)])
            score = np.concatenate([inside, outside])
            _check_scores(y_true, score)
            # Only ranks count, and those of infinite scores are finite.
            score = rankdata(score)
            row = {
                "detector": name,
                "set": set_name,
                "auroc": float(roc_auc_score(y_true, score)),
                "aupr_in": float(average_precision_score(y_true, score)),
                "aupr_out": float(average_precision_score(1 - y_true, -score)),
                "fpr95_id": fpr_at_tpr(y_true, score),
                "fpr95_ood": fpr_at_tpr(y_true, score, positive="ood"),
            }
            table.append(row)
    return table


def threshold_at_tpr(positives, tpr):
    """Strictest threshold that accepts at least a share of the positives' scores."""
    accepted = np.sort(positives)[::-1]
    # Rounding of tpr * n must not ask for one row more than it says.
    needed = int(np.ceil(tpr * len(accepted) * (1 - 1e-12)))
    return accepted[max(needed, 1) - 1]


def _check_scores(y_true, y_score):
    """Check labels and scores; returns a boolean mask and float64 scores."""
    y_true = column_or_1d(to_numpy(y_true))
    score = column_or_1d(to_numpy(y_score)).astype(float)
    check_consistent_length(y_true, score)
    bad = np.flatnonzero(np.isnan(score))
    if len(bad):
        raise ValueError(
            f"y_score contains NaN (first in row {bad[0]}): such rows have no rank."
        )
    values = np.unique(y_true)
    if len(values) != 2 or not np.isin(values, [0, 1]).all():
        raise ValueError(
            f"y_true must hold both 1 (in-distribution) and 0, got the values "
            f"{values[:5].tolist()}."
        )
    return y_true.astype(bool), score
