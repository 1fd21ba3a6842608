"""What a classifier of moments says about rows, given the logits of its classes."""

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin

from sklearn_collapse.utils._arrays import as_like, is_foreign, namespace, to_numpy
from sklearn_collapse.utils._dask import Partitions, by_partition, is_dask
from sklearn_collapse.utils._labels import as_label_array, encode_known, positions
from sklearn_collapse.utils._sklearn_private import fit_context
from sklearn_collapse.utils._validation import check_lengths, check_weights


class MomentsClassifierMixin(ClassifierMixin):
    """Decisions and probabilities of a `LabelledMomentsEstimator`.

    It goes before that class among the bases. Subclasses define ``_logits(X)``, one
    logit per class for rows that have been validated, (n, C).
    """

    _logits: Any
    _validate_rows: Any
    _add_rows: Any
    _require_labels: Any
    classes_: Any

    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Add labelled rows to the moments.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library of the rows before them.
        y : array-like of shape (n,)
            Labels; new classes may appear at any time.
        classes : array-like of shape (C,), default=None
            Labels that may occur in y; others raise. Unlike elsewhere in scikit-learn
            the first call needs no list: classes are those that have been seen.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            The classifier. Whether the classes can be told apart is found when it
            first decides.
        """
        if classes is not None and y is not None:
            encode_known(y, as_label_array(classes, "classes"), "in classes")
        return self._add_rows(X, y, sample_weight)

    @by_partition
    def decision_function(self, X):
        """Compute the logits of the rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library that was fitted on.

        Returns
        -------
        array of shape (n, C), or (n,) for two classes
            Logits in the order of ``classes_``; of two classes the difference, positive
            for ``classes_[1]``.
        """
        logits = self._logits(self._validate_rows(X, "decision_function"))
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    @by_partition
    def predict(self, X):
        """Predict the class of the largest logit.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library that was fitted on.

        Returns
        -------
        array of shape (n,)
            Labels: numbers in X's library, others in a NumPy array.
        """
        logits = self._logits(self._validate_rows(X, "predict"))
        codes = namespace(logits).argmax(logits, axis=1)
        if is_foreign(codes) and self.classes_.dtype.kind in "biuf":
            return namespace(codes).take(as_like(self.classes_, codes), codes)
        return self.classes_[to_numpy(codes)]

    @by_partition
    def predict_proba(self, X):
        """Compute the softmax of the logits.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library that was fitted on.

        Returns
        -------
        array of shape (n, C)
            Probabilities, rows summing to 1.
        """
        logits = self._log_proba(X, "predict_proba")
        return namespace(logits).exp(logits)

    @by_partition
    def predict_log_proba(self, X):
        """Compute the logarithm of the softmax of the logits.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library that was fitted on.

        Returns
        -------
        array of shape (n, C)
            Log-probabilities.
        """
        return self._log_proba(X, "predict_log_proba")

    def score(self, X, y=None, sample_weight=None):
        """Measure the share of rows whose class is predicted.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library that was fitted on.
        y : array-like of shape (n,)
            Labels; one that was not seen in fit counts as missed.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        float
            Accuracy in [0, 1].
        """
        if is_dask(X):
            self._require_labels(y)
            return Partitions(X, y, sample_weight).mean(self, "_hits")
        hits, weights = self._hits(X, y, sample_weight)
        return float(np.average(hits, weights=weights))

    def _hits(self, X, y, sample_weight):
        """Which rows get their own class, and the weights of the rows."""
        X = self._validate_rows(X, "score")
        self._require_labels(y)
        y = as_label_array(y)
        check_lengths(X, y)
        logits = self._logits(X)
        codes = to_numpy(namespace(logits).argmax(logits, axis=1))
        weights = check_weights(sample_weight, X.shape[0])
        return positions(y, self.classes_) == codes, weights

    def _log_proba(self, X, method):
        logits = self._logits(self._validate_rows(X, method))
        xp = namespace(logits)
        logits = logits - xp.max(logits, axis=1, keepdims=True)
        return logits - xp.log(xp.sum(xp.exp(logits), axis=1, keepdims=True))
