"""The outlier contract that every detector keeps."""

from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import OutlierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._base import (
    MomentsEstimator,
    RowsEstimator,
    unchanged_on_error,
)
from sklearn_collapse.utils._arrays import (
    as_like,
    block_rows,
    is_memmap,
    namespace,
    slices,
    to_numpy,
)
from sklearn_collapse.utils._batches import for_each_block
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._labels import is_label
from sklearn_collapse.utils._sklearn_private import Interval, fit_context
from sklearn_collapse.utils._tables import Columns
from sklearn_collapse.utils._validation import (
    check_lengths,
    check_weights,
    drop_zero_weights,
)
from sklearn_collapse.utils._warnings import warn_caller

# The row that defines the threshold stays an inlier when rounding moves its score: a
# share of the interquartile range, or as many units of rounding of the scores.
_SLACK = 1e-6
_UNITS = 16


class Detector(OutlierMixin, RowsEstimator):
    """Scores, threshold and decisions; subclasses say how to fit and to score.

    Subclasses define ``fit(X, y, sample_weight)``, ``_validate_rows(X, method)``, which
    checks rows for a method, and ``_score_rows(X)``, the scores of such rows. Where the
    threshold needs more than scores, they extend ``_collect(X)``, some numbers per row,
    and ``_calibrate_from(collected, weights)``.
    """

    _parameter_constraints: dict = {
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
        "outlier_label": [None, str, Real],
        "device": [str],
    }
    _left_by_fit = (*RowsEstimator._left_by_fit, "offset_")

    contamination: float
    outlier_label: Any
    device: str
    fit: Any
    _validate_rows: Any
    _score_rows: Any

    @fit_context(prefer_skip_nested_validation=True)
    def calibrate(self, X, sample_weight=None):
        """Set the threshold ``offset_`` from rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            In-distribution features, best ones that were not fitted on: on training
            rows of few more than d the threshold lies far too high.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            The detector, with ``offset_`` the ``contamination`` quantile of the
            scores (averaged inverted CDF), lowered by 1e-6 of their interquartile
            range or by 16 units of rounding, whichever is more: the row that defines
            it stays an inlier when it is scored in another batch.
        """
        X = self._validate_rows(X, "calibrate")
        weights = check_weights(sample_weight, X.shape[0])
        if is_memmap(X) and weights is not None and not weights.all():
            collected, weights = self._collect_kept(X, weights)
        else:
            X, _, weights = drop_zero_weights(X, weights)
            collected = self._collect(X)
        with unchanged_on_error(self):
            self._calibrate_from(collected, weights)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def calibrate_batches(self, batches, *, features=None, label=None, weight=None):
        """Set the threshold from a stream of blocks, as `calibrate` on all their rows.

        Parameters
        ----------
        batches : iterable
            Blocks X, (X, y) or (X, y, sample_weight), or tables, as for
            `ClassMoments.from_batches`. Labels are not used.
        features : str or list of str, default=None
            In tables, the column of lists, or the columns of numbers. None: all
            columns of numbers but those below.
        label : str, default=None
            In tables, the column of labels, which then is no feature.
        weight : str, default=None
            In tables, the column of frequencies.

        Returns
        -------
        self : object
            The detector, with ``offset_``. A stream that raises leaves it as it was.

        Notes
        -----
        Some numbers per row are kept, not rows: the threshold is exact. An error in a
        block names it, counted from 0.
        """
        check_is_fitted(self)
        parts: list = []

        def collect(X, y, sample_weight):
            X = self._validate_rows(X, "calibrate_batches")
            if y is not None:
                check_lengths(X, y)
            weights = check_weights(sample_weight, X.shape[0])
            X, _, weights = drop_zero_weights(X, weights)
            # The numbers of each block wait on the host.
            parts.append((tuple(map(to_numpy, self._collect(X))), weights))

        for_each_block(batches, Columns(features, label, weight), collect)
        if not parts:
            raise ValueError(
                f"The batches hold no rows, while {type(self).__name__} needs at least "
                f"one to calibrate. An iterator that was read before is exhausted."
            )
        collected = _joined([part for part, _ in parts])
        weights = None
        if any(w is not None for _, w in parts):
            ones = (np.ones(len(p[0])) if w is None else w for p, w in parts)
            weights = np.concatenate(list(ones))
        with unchanged_on_error(self):
            self._calibrate_from(collected, weights)
        return self

    def score_samples(self, X):
        """Score rows; higher is more in-distribution.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library that was fitted on.

        Returns
        -------
        array of shape (n,)
            Scores, float64 or float32 as X.
        """
        return self._score_rows(self._validate_rows(X, "score_samples"))

    def decision_function(self, X):
        """Compute score minus threshold: negative for outliers.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library that was fitted on.

        Returns
        -------
        array of shape (n,)
            ``score_samples(X) - offset_``.
        """
        return self._decide(X, "decision_function")

    def predict(self, X):
        """Tell inliers from outliers.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library that was fitted on.

        Returns
        -------
        array of int of shape (n,)
            1 for inliers, -1 for outliers.
        """
        decision = self._decide(X, "predict")
        xp = namespace(decision)
        return 2 * xp.astype(decision >= 0, xp.int64) - 1

    def fit_predict(self, X, y=None, sample_weight=None):
        """Fit and tell inliers from outliers on the same rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features.
        y : array-like of shape (n,), default=None
            Class labels, which are used.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        array of int of shape (n,)
            1 for inliers, -1 for outliers.
        """
        return self.fit(X, y, sample_weight).predict(X)

    def _validate_fit(self, X, y, sample_weight, *, reset, min_samples):
        """Validate rows for fitting; those of zero weight and outliers are dropped."""
        X, y, weights = super()._validate_fit(
            X, y, sample_weight, reset=reset, min_samples=min_samples
        )
        if self.outlier_label is None or y is None:
            return X, y, weights
        kept = np.flatnonzero(~is_label(y, self.outlier_label, "outlier_label"))
        if len(kept) == len(y):
            return X, y, weights
        if len(kept) < min_samples:
            raise ValueError(
                f"{len(kept)} of {len(y)} rows are left without those labelled "
                f"outlier_label={self.outlier_label!r}, while a minimum of "
                f"{min_samples} is required by {type(self).__name__}."
            )
        X = namespace(X).take(X, as_like(kept, X), axis=0)
        return X, y[kept], None if weights is None else weights[kept]

    @property
    def _share_outside(self):
        """Share of the calibration rows that are outliers."""
        return self.contamination

    def _calibrate(self, X, weights):
        self._calibrate_from(self._collect(X), weights)

    def _collect(self, X):
        """What the threshold needs to know of rows, as arrays of one entry per row."""
        return (self._score_rows(X),)

    def _collect_kept(self, X, weights):
        """Collect of rows in a file those of positive weight, few at a time."""
        kept, parts = np.flatnonzero(weights), []
        for here in slices(len(kept), block_rows(X.shape[1])):
            rows = X.take(kept[here], axis=0)
            check_finite(rows, row_numbers=kept[here])
            parts.append(self._collect(rows))
        return _joined(parts), weights[kept]

    def _calibrate_from(self, collected, weights):
        """Set the threshold from what was collected, in any library."""
        self._set_offset(collected[0], weights)

    def _set_offset(self, scores, weights):
        scores = to_numpy(scores)
        eps = float(np.finfo(scores.dtype).eps)
        offset, low, high = weighted_quantiles(
            scores.astype(float), [self._share_outside, 0.25, 0.75], weights
        )
        self.offset_ = float(offset - rounding_slack(offset, low, high, eps))

    def _decide(self, X, method):
        X = self._validate_rows(X, method)
        if not hasattr(self, "offset_"):
            raise NotFittedError(
                f"This {type(self).__name__} can score but has no threshold. Call "
                f"calibrate(X) with in-distribution rows before {method}."
            )
        return self._score_rows(X) - self.offset_


class MomentsDetector(Detector, MomentsEstimator):
    """Detector whose scores are a function of class moments.

    Subclasses define ``_score_rows(X)``, the scores of validated rows, and may extend
    ``_learn_from_rows(X, y, weights)``, which runs in ``fit`` alone.
    """

    _left_by_fit = (*MomentsEstimator._left_by_fit, "offset_", "_fourth")
    _void_after_update: tuple = ("offset_", "_fourth")

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, sample_weight=None):
        """Gather the moments and set the threshold on the same rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            In-distribution features, of any array library; at least two rows.
        y : array-like of shape (n,), default=None
            Class labels; None is one class. Rows labelled `outlier_label` are left
            out; otherwise a y of -1 and 1 means two classes, and a warning says so.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            Fitted detector.
        """
        with unchanged_on_error(self):
            self._fit_rows(X, y, sample_weight)
            warn_outlier_labels(self.moments_.classes_)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Add rows to the moments; the threshold is void until `calibrate`.

        Parameters
        ----------
        X : array-like of shape (n, d)
            In-distribution features.
        y : array-like of shape (n,), default=None
            Class labels, in every block or in none.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            The detector.
        """
        return self._add_rows(X, y, sample_weight)

    @property
    def classes_(self):
        """Labels, if y was given."""
        check_is_fitted(self, "moments_")
        if not self.moments_.labelled:
            raise AttributeError(
                f"{type(self).__name__} was fitted without y: it has no classes_."
            )
        return self.moments_.classes_

    @property
    def means_(self):
        """Class means."""
        check_is_fitted(self, "moments_")
        return self.moments_.means_

    def _learn_from_rows(self, X, y, weights):
        """Set the threshold; subclasses first learn what the scores need."""
        self._calibrate(X, weights)


def _joined(parts):
    """Join what was collected from blocks, on the host."""
    return tuple(np.concatenate(same) for same in zip(*parts, strict=True))


def rounding_slack(scores, low, high, eps):
    """By how much rounding may move scores.

    A unit is the spacing of numbers of the size of the score or of the quartiles: a
    score near zero may be a difference of larger numbers.

    Parameters
    ----------
    scores : ndarray or float
    low, high : float
        Quartiles of the scores.
    eps : float
        Relative spacing of the dtype that the scores had.

    Returns
    -------
    ndarray or float
    """
    size = np.maximum(np.abs(scores), max(abs(low), abs(high)))
    # Apart: the difference of two scores may overflow.
    return np.maximum(_SLACK * high - _SLACK * low, _UNITS * eps * size)


def weighted_quantiles(values, shares, weights=None):
    """Quantiles by the averaged inverted distribution function.

    A weight of k equals k copies of a row. Where the share is reached exactly, the
    value and the next one are averaged.

    Parameters
    ----------
    values : ndarray of shape (n,)
    shares : list of float
    weights : ndarray of shape (n,) or None

    Returns
    -------
    ndarray of shape (len(shares),)
    """
    weights = np.ones(len(values)) if weights is None else weights
    values, weights = values[weights > 0], weights[weights > 0]
    order = np.argsort(values, kind="stable")
    values, reached = values[order], np.cumsum(weights[order])
    target = np.asarray(shares) * reached[-1]
    # Rounding of share * n must not decide whether the share is reached exactly.
    slack = 1e-10 * reached[-1]
    low = np.searchsorted(reached, target - slack)
    high = np.searchsorted(reached, target + slack)
    last = len(values) - 1
    # Halves first: the sum of two scores may overflow.
    return values[np.minimum(low, last)] / 2 + values[np.minimum(high, last)] / 2


def warn_outlier_labels(labels):
    """Warn, in the name of fit's caller, about labels that mark outliers."""
    if labels.dtype.kind in "if" and set(labels.tolist()) == {-1, 1}:
        warn_caller(
            "y holds only -1 and 1, which are taken for two classes of "
            "in-distribution rows. Leave known outliers out of fit, or name their "
            "label: outlier_label=-1."
        )
