"""The parameter ``head`` of detectors."""

from typing import Any

from sklearn_collapse._head_argument import (
    check_head,
    fitted_head,
    resolve_classifier,
    resolve_head,
)
from sklearn_collapse.metrics._geometry import ClassGeometry
from sklearn_collapse.utils._labels import encode_labels
from sklearn_collapse.utils._sklearn_private import HasMethods, StrOptions

GIVEN_HEAD = [StrOptions({"lda"}), HasMethods(["fit", "predict"])]
HEAD = [None, *GIVEN_HEAD]


class HeadMixin:
    """Head of a `MomentsDetector`: fitted with it, checked, and ready for rows.

    It goes before `MomentsDetector` among the bases.
    """

    head: Any
    head_: Any
    n_features_in_: int
    moments_: Any
    # Whether the weights of the head are used, and not the logits alone.
    _needs_weights: Any = False
    # Whether "lda" needs classes; otherwise one class has no head.
    _needs_classes = True

    def _check_labels(self, y):
        if self._needs_classes:
            require_labels(self.head, y is not None)
        return super()._check_labels(y)  # type: ignore[misc]

    def _learn_without_rows(self, y):
        if self._needs_classes:
            require_labels(self.head, y is not None)
        classes = None if y is None else encode_labels(y)[0]
        self._adopt_head(classes, self.n_features_in_)
        super()._learn_without_rows(y)  # type: ignore[misc]

    def _learn_from_rows(self, X, y, weights):
        classes = None if y is None else self.moments_.classes_
        self._adopt_head(classes, self.n_features_in_, (X, y, weights))
        super()._learn_from_rows(X, y, weights)  # type: ignore[misc]

    def _adopt_head(self, classes, n_features, data=None):
        self.head_ = fitted_head(self.head, data)
        check_head(self.head_, classes, n_features, linear=self._needs_weights)

    def _resolved_head(self):
        """Head as weights or estimator, or None."""
        if self.head_ is None or self._lacks_discriminant():
            return None
        return self.moments_._cached("resolved head", self._resolve_head)

    def _lacks_discriminant(self):
        one_class = len(self.moments_.classes_) < 2
        return not self._needs_classes and isinstance(self.head_, str) and one_class

    def _resolve_head(self):
        moments = self.moments_
        if isinstance(self.head_, str):
            return resolve_head(self.head_, ClassGeometry(moments))
        return resolve_classifier(self.head_, moments.means_)


def require_labels(head, labelled):
    """Raise if a head is to be made of classes and there are none."""
    if isinstance(head, str) and not labelled:
        raise ValueError(
            f"head={head!r} is the linear discriminant between the classes: pass y, or "
            f"give the network's last layer as a LinearHead."
        )
