"""The outlier contract that every detector keeps."""

from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import OutlierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._base import RowsEstimator, unchanged_on_error
from sklearn_collapse.ood._threshold import rounding_slack, weighted_quantiles
from sklearn_collapse.utils._arrays import (
    as_like,
    block_rows,
    is_memmap,
    namespace,
    slices,
    to_numpy,
)
from sklearn_collapse.utils._batches import for_each_block
from sklearn_collapse.utils._dask import Partitions, by_partition, is_dask
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._gpu import auto_is_cpu
from sklearn_collapse.utils._labels import is_label
from sklearn_collapse.utils._sklearn_private import Interval, fit_context
from sklearn_collapse.utils._tables import Columns
from sklearn_collapse.utils._validation import (
    check_lengths,
    check_weights,
    drop_zero_weights,
)
from sklearn_collapse.utils._warnings import warn_caller


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

    def _more_to_show(self):
        if not hasattr(self, "offset_"):
            yield "offset_", None, "No threshold: it is set by fit and by calibrate"

    @fit_context(prefer_skip_nested_validation=True)
    def calibrate(self, X, sample_weight=None):
        """Set the threshold ``offset_`` from rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            In-distribution features, best ones that were not fitted on: on training
            rows of few more than d the threshold lies far too high. Of a Dask array
            or dataframe only scores are brought together.
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
        if is_dask(X):
            parts = Partitions(X, None, sample_weight)
            self._calibrate_partitions(parts, "_collect_block")
            return self
        self._calibrate_joined([self._collect_block(X, None, sample_weight)])
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
            block = self._collect_block(X, y, sample_weight, "calibrate_batches")
            parts.append(block)

        for_each_block(batches, Columns(features, label, weight), collect)
        if not parts:
            raise ValueError(
                f"The batches hold no rows, while {type(self).__name__} needs at least "
                f"one to calibrate. An iterator that was read before is exhausted."
            )
        self._calibrate_joined(parts)
        return self

    @by_partition
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

    @by_partition
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

    @by_partition
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

    def _collect(self, X):
        """What the threshold needs to know of rows, as arrays of one entry per row."""
        return (self._score_rows(X),)

    def _calibrate_from(self, collected, weights):
        """Set the threshold from what was collected, NumPy arrays."""
        self._set_offset(collected[0], weights)

    def _calibrate(self, X, weights):
        """Set the threshold from rows as `_validate_fit` returns them."""
        self._calibrate_from(*self._collect_kept(X, weights))

    def _calibrate_joined(self, parts):
        with unchanged_on_error(self):
            self._calibrate_from(*_joined(parts))

    def _calibrate_partitions(self, parts, method):
        # Here, and not in every worker, is what scores depend on worked out.
        with auto_is_cpu():
            self._collect(self._validate_rows(parts.probe, "calibrate"))
        self._calibrate_joined(parts.collect(self, method))

    def _collect_block(self, X, y, weights, method="calibrate"):
        """Collect of a block that was not fitted on; labels only have to fit."""
        X = self._validate_rows(X, method)
        if y is not None:
            check_lengths(X, y)
        return self._collect_kept(X, check_weights(weights, X.shape[0]))

    def _collect_fitted(self, X, y, weights):
        """Collect of a partition that was fitted on."""
        X, _, weights = self._validate_fit(X, y, weights, reset=False, min_samples=0)
        return self._collect_kept(X, weights) if X.shape[0] else None

    def _collect_kept(self, X, weights):
        """Collect of the rows of positive weight, on the host, and their weights."""
        if weights is None or weights.all() or not is_memmap(X):
            X, _, weights = drop_zero_weights(X, weights)
            return tuple(map(to_numpy, self._collect(X))), weights
        # Of a file few at a time.
        kept, parts = np.flatnonzero(weights), []
        for here in slices(len(kept), block_rows(X.shape[1])):
            rows = X.take(kept[here], axis=0)
            check_finite(rows, row_numbers=kept[here])
            parts.append((self._collect(rows), weights[kept[here]]))
        return _joined(parts)

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


def _joined(parts):
    """Join what was collected from blocks, and their weights."""
    collected = zip(*(values for values, _ in parts), strict=True)
    weights = None
    if any(w is not None for _, w in parts):
        ones = [np.ones(len(v[0])) if w is None else w for v, w in parts]
        weights = np.concatenate(ones)
    return tuple(map(np.concatenate, collected)), weights


def warn_outlier_labels(labels):
    """Warn, in the name of fit's caller, about labels that mark outliers."""
    if labels.dtype.kind in "if" and set(labels.tolist()) == {-1, 1}:
        warn_caller(
            "y holds only -1 and 1, which are taken for two classes of "
            "in-distribution rows. Leave known outliers out of fit, or name their "
            "label: outlier_label=-1."
        )
