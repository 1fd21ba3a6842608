"""Detectors whose scores are no function of moments."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._base import unchanged_on_error
from sklearn_collapse._head_argument import (
    ResolvedHead,
    check_head,
    fitted_head,
    resolve_classifier,
    resolve_head,
)
from sklearn_collapse._linalg._rows import centring
from sklearn_collapse.metrics._geometry import ClassGeometry
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.ood._base import Detector, warn_outlier_labels
from sklearn_collapse.ood._head import require_labels
from sklearn_collapse.utils._arrays import (
    Array,
    Rows,
    device_of,
    float_dtype,
    namespace,
)
from sklearn_collapse.utils._labels import encode_labels
from sklearn_collapse.utils._sklearn_private import fit_context
from sklearn_collapse.utils._validation import check_same_place, validate_features


class _Fitted(NamedTuple):
    """Where and on which classes; one attribute, as labels stay NumPy's."""

    like: Array  # (0,), of the library and device that were fitted on
    classes: np.ndarray | None


class RowsDetector(Detector):
    """Detector that is fitted on rows alone, all at once.

    Subclasses define ``_score_rows(X)``, the scores of validated rows, and
    ``_work(X)``, the multiplications that it takes, and may define
    ``_learn(X, y, weights)``.
    """

    _left_by_fit = (*Detector._left_by_fit, "device_", "_fitted")
    _work: Callable[..., float]

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, sample_weight=None):
        """Fit on in-distribution rows and set the threshold on the same rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            In-distribution features (logits, where there is no head to make them), of
            any array library; at least two rows.
        y : array-like of shape (n,), default=None
            Class labels; None is one class. A head that is not fitted here must know
            them. Rows labelled `outlier_label` are left out; otherwise a y of -1 and 1
            means two classes, and a warning says so.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            Fitted detector.
        """
        with unchanged_on_error(self):
            self._forget()
            X, y, weights = self._validate_fit(
                X, self._check_labels(y), sample_weight, reset=True, min_samples=2
            )
            classes = None if y is None else encode_labels(y)[0]
            xp = namespace(X)
            like = xp.empty((0,), dtype=float_dtype(X, xp), device=device_of(X))
            self._fitted = _Fitted(like, classes)
            self._learn(X, y, weights)
            self.device_ = self._rows(X).place[1]
            self._calibrate(X, weights)
            if classes is not None:
                warn_outlier_labels(classes)
        return self

    @property
    def classes_(self):
        """Labels, if y was given."""
        check_is_fitted(self, "_fitted")
        if self._fitted.classes is None:
            raise AttributeError(
                f"{type(self).__name__} was fitted without y: it has no classes_."
            )
        return self._fitted.classes

    def _check_labels(self, y):
        """Raise if labels cannot serve; return those to fit on."""
        return y

    def _learn(self, X, y, weights):
        """Learn what the scores need."""

    def _rows(self, X):
        return Rows(X, self.device, work=self._work(X))

    def _validate_rows(self, X, method):
        check_is_fitted(self, "_fitted")
        X = validate_features(self, X)
        check_same_place(self, X, self._fitted.like, method)
        return X


class _Head(NamedTuple):
    """A head ready for rows of which a centre has been taken off."""

    head: ResolvedHead
    centre: Array | None  # (d,)


def head_for_rows(head, X, y, weights, device):
    """Make a fitted head ready for rows; None stays None."""
    if head is None:
        return None
    if not isinstance(head, str):
        return _Head(resolve_classifier(head, X), None)
    moments = ClassMoments.from_arrays(X, y, weights, device=device)
    resolved = resolve_head(head, ClassGeometry(moments))
    return _Head(resolved.about(moments.mean_), moments.mean_)


class HeadRowsDetector(RowsDetector):
    """Such a detector with the parameter ``head``.

    Subclasses that extend ``_learn`` call that of this class first.
    """

    _left_by_fit = (*RowsDetector._left_by_fit, "head_", "_head")
    head: Any
    # Whether the weights of the head are used, and not the logits alone.
    _needs_weights = False

    def _check_labels(self, y):
        require_labels(self.head, y is not None)
        return super()._check_labels(y)

    def _learn(self, X, y, weights):
        self.head_ = fitted_head(self.head, (X, y, weights))
        classes = self._fitted.classes
        check_head(self.head_, classes, X.shape[1], linear=self._needs_weights)
        self._head = self._resolve(X, y, weights)

    def _resolve(self, X, y, weights):
        return head_for_rows(self.head_, X, y, weights, self.device)

    @property
    def _ignores_scale(self):
        return isinstance(self.head, str)

    def _n_logits(self, X):
        """Number of logits of a row; without a head X holds them."""
        return X.shape[1] if self._head is None else len(self._head.head.classes)

    def _work(self, X):
        return float(X.shape[0]) * X.shape[1] * self._n_logits(X)

    def _logits(self, rows):
        """Map of blocks to logits, (m, C)."""
        if self._head is None:
            return lambda block: block
        head = self._head.head.placed(rows)
        centred = centring(rows, self._head.centre, float_dtype(rows.X, rows.xp))
        return lambda block: head.logits(centred(block))
