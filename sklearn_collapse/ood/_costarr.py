"""COSTARR: features before and after attenuation by the weights of the class."""

import numpy as np

from sklearn_collapse._linalg._patterns import attenuated_cosine, attenuation
from sklearn_collapse._linalg._rows import map_rows
from sklearn_collapse.ood._pattern_detector import HEAD_OR_LDA, PatternDetector
from sklearn_collapse.utils._arrays import as_like, namespace


class COSTARRDetector(PatternDetector):
    """Cosine with the class mean before and after attenuation, times the logit.

    Small weights of the head attenuate features that do not speak for a class. A row
    is compared with the mean of its predicted class both as it is and multiplied,
    feature by feature, by the weights of that class.

    Parameters
    ----------
    head : "lda" or classifier, default="lda"
        What classifies rows and attenuates features, usually the network's last layer
        as a `LinearHead`. "lda" is the linear discriminant of the rows given to
        ``fit``; without y, or with a single class, there is none, and all rows belong
        to one class. A `LinearHead` or a ``FrozenEstimator`` is used as it is; any
        other classifier is cloned and fitted on the same rows. It needs ``coef_``.
    contamination : float, default=0.05
        Share of the calibration rows that ``predict`` calls outliers, in (0, 0.5].
    outlier_label : str, int or float, default=None
        Label in y of rows that are known outliers: ``fit`` leaves them out, and
        scorers such as ``get_scorer("ood_auroc")`` count them as out-of-distribution.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    offset_ : float
        Threshold on the scores.
    patterns_ : array of shape (P, d)
        Mean of the training rows of each class that the head classifies correctly.
    pattern_classes_ : ndarray of shape (P,) or None
        Their labels; None where all rows belong to one class without a label.
    logit_range_ : tuple of float or None
        Smallest and largest logit of the training rows; None without a head.
    head_ : "lda" or classifier
        Fitted head.
    classes_ : ndarray of shape (C,)
        Labels, if y was given.
    device_ : str
        Device on which the rows were worked on.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had any.

    See Also
    --------
    SHEDetector : Similarity with such means, without weights and logits.

    Notes
    -----
    With c the class that the head predicts for z, w_c its weights, and m_c the mean of
    the training rows of class c that the head predicts as c::

        score = cos([z, w_c * z], [m_c, w_c * m_c])
                * (max_k l_k(z) - low) / (high - low)

    where ``*`` between vectors is the product by entries, and low and high are the
    smallest and the largest of all logits of the training rows (1 stands for the
    fraction if they are equal, or without a head). The first factor lies in [-1, 1],
    the second is near [0, 1] and not clipped. The right vector is the class mean of
    the left one. A row of zeros scores 0.

    That the method combines features before and after attenuation by the weights, the
    similarity with what is familiar, and the logits, is what the paper's abstract
    says. The formula above, with one cosine of both parts together and this
    normalisation of the logit, is this library's reading: it has not been compared with
    the authors' code.

    Of a class none of whose rows is classified correctly, the mean of all its rows is
    taken. Classes of the head that have no training rows are never predicted. Without y
    every row belongs to the class that the head predicts. A binary head with one row of
    weights w has the rows ± w / 2.

    The unit of the features matters, also with "lda": it changes the balance of the two
    parts. So do rotations, since products by entries depend on the axes, and the
    origin. There is no ``partial_fit`` and no ``fit_moments``: which rows are
    classified correctly is known after the head. Of the training rows only the
    patterns are kept.

    References
    ----------
    .. [1] Rabinowitz, R., Cruz, S., Scheirer, W., Boult, T. E. (2025). "COSTARR:
       Consolidated Open Set Technique with Attenuation for Robust Recognition". ICCV.
       arXiv 2508.01087.

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import COSTARRDetector
    >>> data = load_cifar8_features()
    >>> detector = COSTARRDetector(data.head).fit(data.data, data.target)
    >>> inside = detector.score_samples(data.X_test)
    >>> outside = detector.score_samples(data.ood["far: digits"])
    >>> y_true = [1] * len(inside) + [0] * len(outside)
    >>> round(roc_auc_score(y_true, [*inside, *outside]), 2)
    0.97
    """

    _parameter_constraints: dict = {
        **PatternDetector._parameter_constraints,
        "head": HEAD_OR_LDA,
    }
    _left_by_fit = (*PatternDetector._left_by_fit, "logit_range_", "_attenuation")
    _needs_weights = True
    _needs_logits = True
    _ignores_scale = False

    def __init__(
        self,
        head="lda",
        *,
        contamination=0.05,
        outlier_label=None,
        device="auto",
    ):
        self.head = head
        self.contamination = contamination
        self.outlier_label = outlier_label
        self.device = device

    @np.errstate(over="ignore", invalid="ignore")
    def _learn(self, X, y, weights):
        super()._learn(X, y, weights)
        means, codes, _ = self._patterns
        coef, self.logit_range_ = None, None
        xp = namespace(means)
        if self._head is not None:
            head = self._head.head
            coef = xp.take(head.coef, as_like(codes, head.coef), axis=0)
            self.logit_range_ = self._range(X)
        self._attenuation = attenuation(means, coef, xp)

    def _range(self, X):
        """Smallest and largest logit of rows."""
        rows = self._rows(X)
        xp, logits = rows.xp, self._logits(rows)

        def extremes(block, _):
            found = logits(block)
            return xp.min(found, axis=1), xp.max(found, axis=1)

        width = max(X.shape[1], self._n_logits(X))
        low, high = map_rows(rows, extremes, width)
        return float(xp.min(low)), float(xp.max(high))

    @np.errstate(over="ignore", invalid="ignore")
    def _score_rows(self, X):
        rows, prepared = self._rows(X), self._attenuation
        xp, match = rows.xp, self._matched(rows)
        prepared = type(prepared)(*(rows.local(part) for part in prepared))
        low, high = self.logit_range_ or (0.0, 0.0)

        def scored(block, _):
            found, logits = match(block)
            # In float64: the cosines of collapsed rows differ from 1 by little.
            block = xp.astype(block, xp.float64, copy=False)
            scores = attenuated_cosine(block, found, prepared, xp)
            if high > low:
                largest = xp.astype(xp.max(logits, axis=1), xp.float64)
                scores = scores * ((largest - low) / (high - low))
            return (scores,)

        width = max(4 * X.shape[1], self._n_logits(X))
        return self._checked(map_rows(rows, scored, width)[0], rows)
