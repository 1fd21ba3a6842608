"""Every way to say `head=`, made ready for the classes and rows of the data."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from sklearn_collapse._linear_logits import ask, classifier_logits
from sklearn_collapse.heads import LinearHead
from sklearn_collapse.utils._arrays import (
    Array,
    as_like,
    float_dtype,
    namespace,
    to_numpy,
)
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._labels import encode_known, positions, shorten
from sklearn_collapse.utils._validation import check_coef


class ResolvedHead(NamedTuple):
    """A head ready for use; ``estimator`` decides unless it is None."""

    classes: np.ndarray
    coef: Array | None  # (C, d), of the library of the features
    intercept: Array | None  # (C,)
    estimator: Any = None

    def rows_of(self, classes):
        """Weights in the order of the data's classes; extra rows are dropped."""
        if self.coef is None:
            raise _no_weights(self.estimator)
        index = positions(classes, self.classes)
        xp = namespace(self.coef)
        return xp.take(self.coef, as_like(index, self.coef), axis=0)

    def about(self, centre, scale=None):
        """Return the head that reads (x - centre) / scale instead of x.

        Centred rows are small: their logits keep digits that those of rows far from
        the origin have lost. A head that is an estimator reads x.
        """
        if self.estimator is not None or centre is None:
            return self
        xp = namespace(self.coef)
        intercept = self.intercept + xp.matmul(self.coef, centre)
        coef = self.coef if scale is None else self.coef * scale
        return self._replace(coef=coef, intercept=intercept)

    def placed(self, rows, dtype=None):
        """Return the head with its weights where and as precise as rows are mapped."""
        if self.estimator is not None:
            return self
        dtype = dtype or float_dtype(rows.X, rows.xp)
        coef, intercept = (rows.local(w, dtype) for w in (self.coef, self.intercept))
        return self._replace(coef=coef, intercept=intercept)

    def predict_codes(self, block):
        """Position in `classes` of the class predicted for each row of a block."""
        if self.estimator is None:
            return namespace(block).argmax(self.logits(block), axis=1)
        labels = ask(self.estimator, "predict", block)
        return as_like(encode_known(labels, self.classes, "by the head"), block)

    def logits(self, block):
        """Logits of a block, (n, C); of other classifiers what stands for them."""
        xp = namespace(block)
        if self.estimator is None:
            return xp.matmul(block, xp.matrix_transpose(self.coef)) + self.intercept
        logits = classifier_logits(self.estimator, self.classes, block)
        return as_like(logits, block, block.dtype)


def fitted_head(head, data=None):
    """Turn an argument ``head=`` into something fitted.

    Parameters
    ----------
    head : None, "lda", LinearHead, FrozenEstimator or classifier
        A classifier that is neither of the two is cloned and fitted on the data.
    data : tuple (X, y, sample_weight), default=None
        For classifiers that have to be fitted.

    Returns
    -------
    None, "lda" or fitted classifier
    """
    if head is None or isinstance(head, str):
        if head not in (None, "lda"):
            raise ValueError(f"head must be None, 'lda' or a classifier, got {head!r}.")
        return head
    if not hasattr(head, "predict") or not is_classifier(head):
        raise TypeError(
            f"head must be None, 'lda' or a classifier such as LinearHead, got "
            f"{type(head).__name__}. Wrap weights as LinearHead(coef, intercept)."
        )
    if isinstance(head, (LinearHead, FrozenEstimator)):
        check_is_fitted(
            head, msg="The classifier in head is not fitted: fit it, then freeze it."
        )
        return head
    if data is None:
        raise ValueError(
            f"{type(head).__name__} has to be fitted on rows, which fit_moments, "
            f"partial_fit and Dask collections do not have at hand. Pass head='lda', "
            f"a LinearHead or a FrozenEstimator."
        )
    X, y, sample_weight = data
    if y is None:
        raise ValueError(
            f"{type(head).__name__} has to be fitted on labelled rows: pass y, or a "
            f"LinearHead or a FrozenEstimator as head."
        )
    return fitted_clone(head, X, y, sample_weight)


def fitted_clone(head, X, y, sample_weight=None):
    """Clone an estimator of scikit-learn and fit it on rows of any library."""
    weights = {}
    if sample_weight is not None and has_fit_parameter(head, "sample_weight"):
        weights["sample_weight"] = to_numpy(sample_weight)
    check_finite(X)
    rows = to_numpy(X)
    # As precise as rows are mapped: sums of float16 overflow.
    rows = rows.astype(float_dtype(rows, np), copy=False)
    return clone(head).fit(rows, to_numpy(y), **weights)


def resolve_head(head, geometry):
    """Weights, if there are any, of a fitted head for the classes of the data.

    Parameters
    ----------
    head : "lda" or fitted classifier
        It must know all classes of the data.
    geometry : ClassGeometry
        Of the data.

    Returns
    -------
    ResolvedHead
    """
    if isinstance(head, str):
        return lda_head(geometry)
    moments = geometry.moments
    check_head(head, moments.classes_, moments.n_features)
    return resolve_classifier(head, moments.means_)


def resolve_classifier(head, like):
    """Weights, if there are any, of a fitted classifier that has been checked.

    Parameters
    ----------
    head : fitted classifier
    like : array
        The weights are brought to its library and device, in float64.

    Returns
    -------
    ResolvedHead
    """
    known = to_numpy(head.classes_)
    coef = _coef(head)
    if coef is None:
        return ResolvedHead(known, None, None, head)
    intercept = np.asarray(to_numpy(getattr(head, "intercept_", 0.0)), dtype=float)
    # Copies: where an estimator moves, the weights move and the classifier stays.
    coef, intercept = coef.copy(), np.broadcast_to(intercept, coef.shape[:1]).copy()
    if len(known) == 2 and coef.shape[0] == 1:
        coef = np.concatenate([-coef / 2, coef / 2])
        intercept = np.concatenate([-intercept / 2, intercept / 2])
    # Other classifiers decide by their own predict, whatever their coef_ is used for.
    decides = None if _is_plain(head) else head
    return ResolvedHead(known, as_like(coef, like), as_like(intercept, like), decides)


def check_head(head, classes, n_features, *, linear=False):
    """Raise if a fitted head lacks classes of the data or reads other features.

    ``classes`` is None for data without labels. With ``linear`` a head also needs
    weights to compare with class means.
    """
    if head is None or isinstance(head, str):
        return
    known = to_numpy(head.classes_)
    if classes is None:
        classes = known
    lacking = classes[positions(classes, known) < 0]
    if len(lacking):
        raise ValueError(
            f"The head lacks the classes {lacking[:5].tolist()} of the data; it knows "
            f"{shorten(known)}. Pass the labels of its rows, for example "
            f"LinearHead(coef, intercept, classes=…)."
        )
    coef = _coef(head)
    if coef is None and linear:
        raise _no_weights(head)
    if coef is not None:
        check_coef(coef, n_features)
        if _is_plain(head):
            head.intercept_  # noqa: B018  raises if it does not fit


def _no_weights(head):
    return ValueError(
        f"{type(head).__name__} has no coef_: a metric that compares weights with "
        f"class means needs a linear head. LinearHead.from_classifier(classifier, X) "
        f"makes the one that is closest to a fitted classifier."
    )


def _is_plain(head):
    """Whether the head is a `LinearHead`, maybe frozen."""
    return isinstance(getattr(head, "estimator", head), LinearHead)


def _coef(head):
    """Weights of a linear classifier, one row per class or one in all, or None."""
    coef = getattr(head, "coef_", None)
    # The rows of a support vector classifier belong to pairs of classes.
    if coef is None or (hasattr(head, "support_vectors_") and len(head.classes_) > 2):
        return None
    coef = np.asarray(to_numpy(coef), dtype=float)
    if coef.ndim == 1:  # as RidgeClassifier has it for two classes
        coef = coef[None, :]
    binary = len(head.classes_) == 2 and coef.shape[0] == 1
    return coef if binary or coef.shape[0] == len(head.classes_) else None


def lda_head(geometry):
    """Closed-form linear discriminant, logits centred over classes.

    Weights Sigma_W^-1 (mean_c - mean) with the floored inverse, intercepts
    log p_c - (mean_c + mean)^T w_c / 2, all with the class weights of the geometry.
    """
    xp, root = geometry.xp, geometry.whitener
    means = geometry.moments.means_
    coef = xp.matmul(xp.matmul(geometry.means, root), xp.matrix_transpose(root))
    intercept = xp.log(geometry.local(geometry.shares))
    intercept = intercept - xp.vecdot(coef, means + geometry.mean) / 2
    coef = coef - xp.mean(coef, axis=0)
    classes = geometry.moments.classes_
    return ResolvedHead(classes, coef, intercept - xp.mean(intercept))
