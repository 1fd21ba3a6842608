"""Detectors that are a function of class moments."""

from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._base import MomentsEstimator, unchanged_on_error
from sklearn_collapse.ood._base import Detector, warn_outlier_labels
from sklearn_collapse.utils._sklearn_private import fit_context


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

    def _learn_from_partitions(self, parts):
        """The same from the rows of a Dask collection."""
        super()._learn_from_partitions(parts)
        self._calibrate_partitions(parts, "_collect_fitted")
