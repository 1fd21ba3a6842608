"""SHE: simplified Hopfield energy."""

import numpy as np

from sklearn_collapse._linalg._patterns import SIMILARITIES
from sklearn_collapse._linalg._rows import map_rows
from sklearn_collapse.ood._pattern_detector import HEAD_OR_LDA, PatternDetector
from sklearn_collapse.utils._sklearn_private import StrOptions


class SHEDetector(PatternDetector):
    """Inner product with the mean training row of the predicted class.

    One stored pattern per class stands for the training rows; the energy of a modern
    Hopfield network then is an inner product.

    Parameters
    ----------
    head : "lda" or classifier, default="lda"
        What classifies rows. "lda" is the linear discriminant of the rows given to
        ``fit``; without y, or with a single class, there is none, and all rows belong
        to one class. A `LinearHead` or a ``FrozenEstimator`` is used as it is; any
        other classifier is cloned and fitted on the same rows.
    metric : {"inner_product", "cosine", "euclidean"}, default="inner_product"
        Similarity of a row z and the pattern m: z · m, z · m / (||z|| ||m||) or
        -||z - m||.
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
    COSTARRDetector : Cosine with such means, with the weights of the class.
    KNNDetector : Compares with single training rows.

    Notes
    -----
    The score is z · m_c, unbounded, with c the class that the head predicts for z and
    m_c = sum_i w_i z_i / sum_i w_i over the training rows i of class c that the head
    predicts as c; the cosine lies in [-1, 1], the negative distance is at most 0. A
    row of zeros scores 0 by the first two.

    Of a class none of whose rows is classified correctly, the mean of all its rows is
    taken (the public code gives nan). Classes of the head that have no training rows
    are never predicted: the largest logit among the others decides. Without y every
    row belongs to the class that the head predicts.

    By inner product long rows score high: features are expected not to be negative,
    and the origin matters. Rotations of X change nothing if the head turns with it, as
    "lda" does; with "lda" the unit of the features changes no ranking, with a given
    head it changes what is predicted.

    There is no ``partial_fit`` and no ``fit_moments``: which rows are classified
    correctly is known after the head. Of the training rows only the patterns are kept.

    References
    ----------
    .. [1] Zhang, J., Fu, Q., Chen, X., Du, L., Li, Z., Wang, G., Liu, X., Han, S.,
       Zhang, D. (2023). "Out-of-Distribution Detection based on In-Distribution Data
       Patterns Memorization with Modern Hopfield Energy". ICLR.
    .. [2] Zhang, J., et al. (2023). "OpenOOD v1.5: Enhanced Benchmark for
       Out-of-Distribution Detection". arXiv 2306.09301. Its code has the three metrics.

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import SHEDetector
    >>> data = load_cifar8_features()
    >>> detector = SHEDetector(data.head).fit(data.data, data.target)
    >>> inside = detector.score_samples(data.X_test)
    >>> outside = detector.score_samples(data.ood["far: texture"])
    >>> y_true = [1] * len(inside) + [0] * len(outside)
    >>> round(roc_auc_score(y_true, [*inside, *outside]), 2)
    0.91
    """

    _parameter_constraints: dict = {
        **PatternDetector._parameter_constraints,
        "head": HEAD_OR_LDA,
        "metric": [StrOptions(set(SIMILARITIES))],
    }

    def __init__(
        self,
        head="lda",
        *,
        metric="inner_product",
        contamination=0.05,
        outlier_label=None,
        device="auto",
    ):
        self.head = head
        self.metric = metric
        self.contamination = contamination
        self.outlier_label = outlier_label
        self.device = device

    @np.errstate(over="ignore", invalid="ignore")
    def _score_rows(self, X):
        rows, similarity = self._rows(X), SIMILARITIES[self.metric]
        xp, match = rows.xp, self._matched(rows)
        patterns = rows.local(self._patterns.means)

        def scored(block, _):
            found, logits = match(block)
            # In float64: a cosine or a difference of collapsed rows has few digits.
            block = xp.astype(block, xp.float64, copy=False)
            scores = similarity(block, xp.take(patterns, found, axis=0), xp)
            if logits is not None:
                # Of logits that overflow, the largest says nothing.
                known = xp.isfinite(xp.max(logits, axis=1))
                scores = xp.where(known, scores, xp.full_like(scores, xp.nan))
            return (scores,)

        width = max(3 * X.shape[1], self._n_logits(X))
        return self._checked(map_rows(rows, scored, width)[0], rows)
