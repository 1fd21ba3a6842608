"""Detectors compared on sets of out-of-distribution rows."""

from collections.abc import Mapping
from functools import partial
from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_random_state, check_scalar

from sklearn_collapse.metrics._ood import ood_metrics
from sklearn_collapse.metrics._ood_curves import OOD_METRICS, resampled_metrics
from sklearn_collapse.metrics._repeat import draw_seeds
from sklearn_collapse.metrics._tables import import_pandas, text_table
from sklearn_collapse.utils._arrays import to_numpy
from sklearn_collapse.utils._parallel import in_parallel, with_progress


class OODTable(list):
    """Metrics of detectors on sets: a list of dictionaries, shown as a table.

    Parameters
    ----------
    iterable : iterable of dict
        One for each detector and set.

    See Also
    --------
    ood_table : Computes it.

    Examples
    --------
    >>> from sklearn_collapse.metrics import OODTable
    >>> OODTable([{"detector": "energy", "set": "noise", "auroc": 0.75}])
    detector    set  auroc
    energy    noise   0.75
    """

    def __repr__(self):
        """Show one line per detector and set."""
        if not self:
            return "[]"
        names = list(self[0])
        lines = [[_cell(row.get(name)) for name in names] for row in self]
        return text_table([names, *lines])

    def to_frame(self):
        """Return a pandas DataFrame.

        Returns
        -------
        DataFrame
            One row per detector and set, with the keys as columns. Needs pandas.
        """
        return import_pandas("to_frame", "the list itself").DataFrame(list(self))

    def best(self, metric="auroc"):
        """Name the best detector on each set.

        Parameters
        ----------
        metric : str, default="auroc"
            One of the metrics of the table; of "fpr95_id" and "fpr95_ood" the lowest
            value is best.

        Returns
        -------
        dict of str to str
            The first of those that are equal.
        """
        if metric not in OOD_METRICS:
            raise ValueError(
                f"metric must be one of {list(OOD_METRICS)}, got {metric!r}."
            )
        sign = -1 if metric.startswith("fpr") else 1
        sets = dict.fromkeys(row["set"] for row in self)
        return {
            name: max(
                (row for row in self if row["set"] == name),
                key=lambda row: sign * row[metric],
            )["detector"]
            for name in sets
        }


class _Bootstrap(NamedTuple):
    """Seeds of the draws, the same for all detectors, and the ends of the intervals."""

    inside: np.ndarray  # (R,)
    outside: dict  # of each set
    level: float


def ood_table(
    detectors,
    X_id,
    X_ood,
    *,
    n_resamples=0,
    confidence_level=0.95,
    random_state=None,
    n_jobs=None,
    progress=False,
):
    """Compare detectors on out-of-distribution sets.

    Parameters
    ----------
    detectors : dict of str to estimator
        Fitted detectors with ``score_samples``.
    X_id : array-like of shape (n, d)
        In-distribution rows that no detector was fitted on.
    X_ood : dict of str to array-like of shape (m, d)
        Out-of-distribution sets.
    n_resamples : int, default=0
        Number of bootstrap resamples for the intervals; 0 leaves them out.
    confidence_level : float, default=0.95
        Share of intervals that are to hold the value of infinitely many rows, in
        (0, 1).
    random_state : int, RandomState instance or None, default=None
        Draws the rows of the resamples.
    n_jobs : int or None, default=None
        Number of joblib workers, one detector each; BLAS threads are bounded so that
        together they do not exceed the cores. The values do not depend on it.
    progress : bool, default=False
        Whether a progress bar is shown. Needs tqdm.

    Returns
    -------
    OODTable
        A list with one dictionary per detector and set, with the keys "detector",
        "set", "auroc", "aupr_in", "aupr_out" (higher is better), "fpr95_id",
        "fpr95_ood" (lower is better), all in [0, 1], and with resamples "auroc_low",
        "auroc_high" and so on. It prints as a table; ``to_frame()`` gives a DataFrame.

    See Also
    --------
    fpr_at_tpr : What "fpr95_id" and "fpr95_ood" are.
    linear_separability : What a linear classifier that has seen the set can do.

    Notes
    -----
    ``auroc`` is the share of pairs of rows in which the in-distribution row scores
    higher, ties counted half. ``aupr_in`` is the average precision with the
    in-distribution rows as positives, ``aupr_out`` with the others; both depend on the
    sizes of the sets.

    Intervals are between quantiles of the resampled values: rows of both sets are
    drawn with replacement, each as often as it has rows, while the fitted detectors
    stay. The draws are the same for all detectors, but an interval speaks of one
    detector: two may overlap and differ all the same.

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
    >>> ood_table({"Mahalanobis": detector}, rng.normal(size=(50, 3)), far)
    detector     set  auroc  aupr_in  aupr_out  fpr95_id  fpr95_ood
    Mahalanobis  far      1        1         1         0          0
    """
    for argument, what in ((detectors, "detectors"), (X_ood, "X_ood")):
        if not isinstance(argument, Mapping):
            raise TypeError(
                f"{what} must be a dictionary of names, got {type(argument).__name__}."
            )
    for name, detector in detectors.items():
        if isinstance(detector, type) or not hasattr(detector, "score_samples"):
            kind = detector if isinstance(detector, type) else type(detector)
            raise TypeError(
                f"detectors must be fitted estimators with score_samples, but {name!r} "
                f"is {kind}."
            )
    check_scalar(n_resamples, "n_resamples", Integral, min_val=0)
    if not 0 < confidence_level < 1:
        raise ValueError(
            f"confidence_level must lie in (0, 1), got {confidence_level}."
        )
    bootstrap = None
    if n_resamples:
        rng = check_random_state(random_state)
        inside = draw_seeds(rng, n_resamples)
        outside = {name: draw_seeds(rng, n_resamples) for name in X_ood}
        bootstrap = _Bootstrap(inside, outside, confidence_level)
    compare = partial(_compare, X_id, X_ood, bootstrap)
    found = in_parallel(compare, list(detectors.items()), n_jobs)
    found = with_progress(found, len(detectors), progress, "detectors")
    return OODTable(row for rows in found for row in rows)


def _compare(X_id, X_ood, bootstrap, named):
    """Rows of one detector."""
    name, detector = named
    inside = _scores(detector, X_id, f"{name} on X_id")
    rows = []
    for set_name, X in X_ood.items():
        what = f"{name} on {set_name}"
        outside = _scores(detector, X, what)
        y_true = np.repeat([1, 0], [len(inside), len(outside)])
        values = ood_metrics(y_true, np.concatenate([inside, outside]))
        if bootstrap is not None:
            values |= _intervals(inside, outside, set_name, bootstrap)
        rows.append({"detector": name, "set": set_name, **values})
    return rows


def _scores(detector, X, what):
    scores = to_numpy(detector.score_samples(X)).astype(float)
    n = X.shape[0] if hasattr(X, "shape") else len(X)
    if scores.shape != (n,):
        raise ValueError(f"{what}: {n} rows have scores of shape {scores.shape}.")
    bad = np.flatnonzero(np.isnan(scores))
    if len(bad):
        raise ValueError(
            f"{what}: scores contain NaN (first in row {bad[0]}): such rows have no "
            f"rank."
        )
    if not n:
        raise ValueError(f"{what}: there are no rows.")
    return scores


def _intervals(inside, outside, set_name, bootstrap):
    """Ends of the intervals of all metrics, by the name of their column."""
    draws = bootstrap.inside, bootstrap.outside[set_name]
    ends = np.array([1 - bootstrap.level, 1 + bootstrap.level]) / 2
    found: dict = {}
    for metric, values in resampled_metrics(inside, outside, *draws).items():
        low, high = np.quantile(values, ends)
        found |= {f"{metric}_low": float(low), f"{metric}_high": float(high)}
    return found


def _cell(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)
