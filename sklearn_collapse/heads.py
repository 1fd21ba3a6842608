"""The network's last layer as a fitted classifier, and every way to say `head=`."""

import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone, is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from sklearn_collapse.utils._arrays import (
    Array,
    as_like,
    float_dtype,
    namespace,
    to_numpy,
)
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._gpu import full_precision
from sklearn_collapse.utils._labels import (
    encode_known,
    encode_labels,
    positions,
    shorten,
)
from sklearn_collapse.utils._validation import (
    check_coef,
    check_features,
    check_lengths,
)


class LinearHead(ClassifierMixin, BaseEstimator):
    """The last linear layer of a trained network, as a fitted classifier.

    Wraps weights that exist already, so that estimators and metrics can use the
    network's own decision. The parameters are stored as they are, ``fit`` only checks
    that data fit them, and ``clone`` keeps them.

    Parameters
    ----------
    coef : array-like of shape (n_classes, n_features) or (1, n_features)
        Weights of the layer, one row per class. A single row is a binary head.
    intercept : array-like of shape (n_classes,) or (1,), default=None
        Bias; None is zero.
    classes : array-like of shape (n_classes,), default=None
        Label of each row. By default 0, 1, …, n_classes - 1.

    Attributes
    ----------
    coef_ : ndarray of shape (n_classes, n_features) or (1, n_features)
        Weights, float64.
    intercept_ : ndarray of shape (n_classes,) or (1,)
        Bias, float64.
    classes_ : ndarray of shape (n_classes,)
        Labels in the order of the rows.
    n_features_in_ : int
        Width of the head.

    See Also
    --------
    sklearn_collapse.collapse.NeuralCollapseScorer : Takes it as ``head=``.

    Notes
    -----
    It is not part of scikit-learn's estimator checks, since its width is fixed before
    it sees data. Rows of data are matched to it by label, not by position.

    Examples
    --------
    >>> from sklearn_collapse import LinearHead
    >>> head = LinearHead([[1.0, 0.0], [0.0, 1.0]], classes=["cat", "dog"])
    >>> head.predict([[3.0, 1.0], [0.0, 2.0]])
    array(['cat', 'dog'], dtype='<U3')
    """

    def __init__(self, coef, intercept=None, *, classes=None):
        self.coef = coef
        self.intercept = intercept
        self.classes = classes

    @classmethod
    def from_torch(cls, layer, classes=None):
        """Take the weights of a ``torch.nn.Linear``.

        Parameters
        ----------
        layer : torch.nn.Linear
            The layer; its weights are detached, not copied.
        classes : array-like of shape (n_classes,), default=None
            Label of each output; by default 0, 1, ….

        Returns
        -------
        LinearHead
        """
        bias = None if layer.bias is None else layer.bias.detach()
        return cls(layer.weight.detach(), bias, classes=classes)

    @property
    def coef_(self):
        """Weights as a NumPy array."""
        coef = np.asarray(to_numpy(self.coef), dtype=float)
        if coef.ndim != 2 or 0 in coef.shape:
            raise ValueError(
                f"coef must have shape (n_classes, n_features), got {coef.shape}."
            )
        if not np.isfinite(coef).all():
            raise ValueError("coef contains NaN or infinity.")
        return coef

    @property
    def intercept_(self):
        """Bias as a NumPy array."""
        rows = self.coef_.shape[0]
        if self.intercept is None:
            return np.zeros(rows)
        intercept = np.asarray(to_numpy(self.intercept), dtype=float)
        if intercept.shape != (rows,):
            raise ValueError(
                f"intercept must have shape ({rows},), as many entries as coef has "
                f"rows, got {intercept.shape}."
            )
        if not np.isfinite(intercept).all():
            raise ValueError("intercept contains NaN or infinity.")
        return intercept

    @property
    def classes_(self):
        """Labels in the order of the rows."""
        rows = self.coef_.shape[0]
        n_classes = 2 if rows == 1 else rows
        if self.classes is None:
            return np.arange(n_classes)
        labels, codes = encode_labels(self.classes, "classes")
        if len(codes) != n_classes or len(labels) != n_classes:
            raise ValueError(
                f"classes must hold {n_classes} distinct labels, one per row of coef "
                f"(two for a single row), got {len(codes)} with {len(labels)} distinct."
            )
        return labels[codes]

    @property
    def n_features_in_(self):
        """Width of the head."""
        return self.coef_.shape[1]

    def fit(self, X, y=None):
        """Check that data fit the head; nothing is learned.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Features.
        y : array-like of shape (n,), default=None
            Labels, all of which the head must know.

        Returns
        -------
        LinearHead
            The object itself.
        """
        X, _ = check_features(X)
        check_coef(self.coef_, X.shape[1])
        self.intercept_  # noqa: B018  raises if it does not fit
        classes = self.classes_
        if y is not None:
            check_lengths(X, encode_known(y, classes, "by the head"))
        return self

    def decision_function(self, X):
        """Compute the logits of the rows.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Features, of any array library.

        Returns
        -------
        array of shape (n, n_classes), or (n,) for a single row
            Logits; of a single row the positive ones belong to ``classes_[1]``.
        """
        X, _ = check_features(X)
        check_coef(self.coef_, X.shape[1])
        check_finite(X)
        xp = namespace(X)
        dtype = float_dtype(X, xp)
        coef, intercept = (as_like(w, X, dtype) for w in (self.coef_, self.intercept_))
        X = xp.astype(X, dtype, copy=False)
        with full_precision(X):
            logits = xp.matmul(X, xp.matrix_transpose(coef)) + intercept
        return logits[:, 0] if coef.shape[0] == 1 else logits

    def predict(self, X):
        """Predict the label of the largest logit.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n,)
            Labels, as a NumPy array.
        """
        logits = to_numpy(self.decision_function(X))
        best = logits > 0 if logits.ndim == 1 else np.argmax(logits, axis=1)
        return self.classes_[best.astype(int)]

    def predict_proba(self, X):
        """Compute the softmax of the logits.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Features.

        Returns
        -------
        array of shape (n, n_classes)
            Probabilities, rows summing to 1.
        """
        logits = self.decision_function(X)
        xp = namespace(logits)
        if logits.ndim == 1:
            logits = xp.stack([-logits / 2, logits / 2], axis=1)
        grown = xp.exp(logits - xp.max(logits, axis=1, keepdims=True))
        return grown / xp.sum(grown, axis=1, keepdims=True)

    def __sklearn_is_fitted__(self):
        """Tell scikit-learn that there is nothing to fit."""
        return True

    def __sklearn_tags__(self):
        """Say that arrays of any library are taken and nothing needs a fit."""
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.requires_fit = False
        return tags


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

    def placed(self, rows):
        """Return the head with its weights where and as precise as rows are mapped."""
        if self.estimator is not None:
            return self
        dtype = float_dtype(rows.X, rows.xp)
        coef, intercept = (rows.local(w, dtype) for w in (self.coef, self.intercept))
        return self._replace(coef=coef, intercept=intercept)

    def predict_codes(self, block):
        """Position in `classes` of the class predicted for each row of a block."""
        if self.estimator is None:
            return namespace(block).argmax(self.logits(block), axis=1)
        labels = _ask(self.estimator.predict, block)
        return as_like(encode_known(labels, self.classes, "by the head"), block)

    def logits(self, block):
        """Logits of a block, (n, C); of other classifiers what stands for them.

        That is ``decision_function`` or else the logarithm of ``predict_proba``, where
        a probability of zero counts as the smallest normal number.
        """
        xp = namespace(block)
        if self.estimator is None:
            return xp.matmul(block, xp.matrix_transpose(self.coef)) + self.intercept
        if hasattr(self.estimator, "decision_function"):
            logits = _ask(self.estimator.decision_function, block)
            if logits.ndim == 1:
                logits = np.stack([-logits / 2, logits / 2], axis=1)
        elif hasattr(self.estimator, "predict_proba"):
            shares = _ask(self.estimator.predict_proba, block)
            logits = np.log(np.maximum(shares, np.finfo(shares.dtype).tiny))
        else:
            raise ValueError(
                f"{type(self.estimator).__name__} has neither decision_function nor "
                f"predict_proba, and logits are needed: pass another head."
            )
        if logits.shape[1] != len(self.classes):
            raise ValueError(
                f"{type(self.estimator).__name__} gives {logits.shape[1]} decision "
                f"values for {len(self.classes)} classes, but there must be one per "
                f"class: with support vectors use decision_function_shape='ovr'."
            )
        if not np.isfinite(logits).all():
            raise ValueError(
                f"{type(self.estimator).__name__} gives logits that are NaN or "
                f"infinity. Rescale the features, or pass another head."
            )
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
            f"{type(head).__name__} has to be fitted on rows, which fit_moments and "
            f"partial_fit do not have. Pass head='lda', a LinearHead or a "
            f"FrozenEstimator."
        )
    X, y, sample_weight = data
    if y is None:
        raise ValueError(
            f"{type(head).__name__} has to be fitted on labelled rows: pass y, or a "
            f"LinearHead or a FrozenEstimator as head."
        )
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
    known = head.classes_
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
    known = head.classes_
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
        f"class means needs a linear head."
    )


def _ask(method, block):
    """Result of a classifier's method for a block of rows, as a NumPy array."""
    with warnings.catch_warnings():
        # Blocks of rows have lost the column names that a frame had.
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        return np.asarray(method(to_numpy(block)))


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
