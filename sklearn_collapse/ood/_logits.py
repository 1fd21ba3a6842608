"""Detectors that look at the logits alone."""

from numbers import Real

import numpy as np

from sklearn_collapse._linalg._logits import SCORES
from sklearn_collapse._linalg._rows import map_rows
from sklearn_collapse.ood._head import HEAD
from sklearn_collapse.ood._rows_detector import HeadRowsDetector
from sklearn_collapse.utils._finite import raise_nonfinite
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions


class LogitDetector(HeadRowsDetector):
    """How sure a classifier is: softmax probability, largest logit or energy.

    The baselines that every other detector is compared with. ``fit`` learns no more
    than the threshold, and the head if it has to be fitted.

    Parameters
    ----------
    method : {"energy", "msp", "max_logit"}, default="energy"
        "energy": T log sum_c exp(l_c / T), l_c the logits and T the temperature.
        "msp": the largest softmax probability of l / T. "max_logit": the largest
        logit, whatever the temperature.
    head : {None, "lda"} or classifier, default=None
        What makes logits of X. None: X holds the logits, one column per class. "lda"
        is the linear discriminant of the rows given to ``fit``, which needs y; a
        `LinearHead` or a ``FrozenEstimator`` is used as it is; any other classifier
        is cloned and fitted on the same rows.
    temperature : float, default=1.0
        Temperature T > 0.
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
    head_ : {None, "lda"} or classifier
        Fitted head.
    classes_ : ndarray of shape (C,)
        Labels, if y was given.
    device_ : str
        Device on which the rows were worked on.
    n_features_in_ : int
        Number of features, or of logits with ``head=None``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had any.

    See Also
    --------
    NECODetector : The largest logit times a ratio of lengths.
    sklearn_collapse.LinearHead : The network's last layer.

    Notes
    -----
    A binary head with one row of weights w has the logits ± (x · w + b) / 2. Of a
    classifier other than `LinearHead` the logits are ``decision_function``, or else the
    logarithm of ``predict_proba``.

    The largest probability comes as close to 1 as float32 or float64 allows: very
    sure rows then share one score. The largest logit and the energy do not saturate.
    The unit of the logits matters, except for the ranking by "max_logit"; with
    ``head="lda"`` that of the features does not.

    There is no ``partial_fit`` and no ``fit_moments``: the scores are no function of
    moments. A head that is, "lda", streams inside of `NECODetector`.

    References
    ----------
    .. [1] Hendrycks, D., Gimpel, K. (2017). "A Baseline for Detecting Misclassified
       and Out-of-Distribution Examples in Neural Networks". ICLR.
    .. [2] Liu, W., Wang, X., Owens, J. D., Li, Y. (2020). "Energy-based
       Out-of-distribution Detection". NeurIPS.
    .. [3] Hendrycks, D., et al. (2022). "Scaling Out-of-Distribution Detection for
       Real-World Settings". ICML.

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import LogitDetector
    >>> data = load_cifar8_features()
    >>> detector = LogitDetector(head=data.head).fit(data.data)
    >>> inside = detector.score_samples(data.X_test)
    >>> outside = detector.score_samples(data.ood["far: texture"])
    >>> y_true = [1] * len(inside) + [0] * len(outside)
    >>> round(roc_auc_score(y_true, [*inside, *outside]), 2)
    0.9
    """

    _parameter_constraints: dict = {
        **HeadRowsDetector._parameter_constraints,
        "method": [StrOptions(set(SCORES))],
        "head": HEAD,
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        method="energy",
        *,
        head=None,
        temperature=1.0,
        contamination=0.05,
        outlier_label=None,
        device="auto",
    ):
        self.method = method
        self.head = head
        self.temperature = temperature
        self.contamination = contamination
        self.outlier_label = outlier_label
        self.device = device

    @property
    def _ignores_scale(self):
        if self.head is None:
            return self.method == "max_logit"
        return super()._ignores_scale

    def _learn(self, X, y, weights):
        if self.head is None and self.method == "msp" and X.shape[1] == 1:
            raise ValueError(
                "X holds the logits of a single class (n_features=1), whose "
                "probability is always 1. Pass method='energy' or 'max_logit', or "
                "features together with a head."
            )
        super()._learn(X, y, weights)

    @np.errstate(over="ignore", invalid="ignore")
    def _score_rows(self, X):
        rows, score, temperature = self._rows(X), SCORES[self.method], self.temperature
        xp, logits = rows.xp, self._logits(rows)

        def scored(block, _):
            return (score(logits(block), temperature, xp),)

        found = map_rows(rows, scored, max(X.shape[1], self._n_logits(X)))[0]
        if not bool(xp.all(xp.isfinite(found))):
            raise_nonfinite(X, overflow=False)
            raise ValueError(
                f"Scores overflow {found.dtype}, in which these rows are scored. "
                f"Rescale X, or lower temperature={temperature:g}."
            )
        return rows.home(found)
