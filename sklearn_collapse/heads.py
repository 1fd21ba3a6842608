"""The network's last layer as a fitted classifier."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from sklearn_collapse._linear_logits import closest_linear_logits
from sklearn_collapse.utils._arrays import as_like, float_dtype, namespace, to_numpy
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._gpu import full_precision
from sklearn_collapse.utils._labels import encode_known, encode_labels
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

    @classmethod
    def from_classifier(cls, classifier, X, *, sample_weight=None):
        """Take the linear head whose logits are closest to those of a classifier.

        Makes a classifier without weights, such as a multilayer perceptron, a forest
        or nearest neighbours, comparable with class means. How far the head may stand
        for it is another question: see how often their predictions agree, on rows
        that it was not made from.

        Parameters
        ----------
        classifier : fitted classifier
            With ``decision_function`` or ``predict_proba``; it reads NumPy rows.
        X : array-like of shape (n, n_features)
            Rows on which the logits are compared, of any array library.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        LinearHead
            Over ``classifier.classes_``, with two rows for two classes.

        Notes
        -----
        Least squares over the rows, with an intercept: the weights are Cov(logits, X)
        Sigma_T^+, of least norm, with the covariance Sigma_T of the rows and its rank
        as elsewhere in the package. The logits are those of ``decision_function``, for
        two classes plus and minus its half, or else the logarithm of
        ``predict_proba``, where a probability of zero counts as the smallest normal
        number: where many are zero, as with trees, the head tells zeros from the rest.

        Of a linear classifier it gives the weights themselves, but for what they hold
        in directions in which the rows do not vary.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.neural_network import MLPClassifier
        >>> from sklearn_collapse import LinearHead
        >>> from sklearn_collapse.datasets import load_cifar8_features
        >>> data = load_cifar8_features()
        >>> model = MLPClassifier(20, early_stopping=True, random_state=0)
        >>> model = model.fit(data.data, data.target)
        >>> head = LinearHead.from_classifier(model, data.data)
        >>> agree = head.predict(data.X_test) == model.predict(data.X_test)
        >>> bool(np.mean(agree) > 0.9)
        True
        """
        coef, intercept = closest_linear_logits(classifier, X, sample_weight)
        return cls(coef, intercept, classes=classifier.classes_)

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
