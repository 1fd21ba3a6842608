"""Detectors that look at the logits alone."""

from functools import partial
from numbers import Integral, Real

import numpy as np
from sklearn.exceptions import NotFittedError

from sklearn_collapse._linalg._logits import (
    SCORES,
    class_probabilities,
    generalized_entropy,
    matching,
)
from sklearn_collapse._linalg._rows import map_rows
from sklearn_collapse.ood._head import HEAD
from sklearn_collapse.ood._rows_detector import HeadRowsDetector
from sklearn_collapse.utils._arrays import float_dtype
from sklearn_collapse.utils._finite import raise_nonfinite
from sklearn_collapse.utils._selection import arange_like
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions

# What these say of a single class is the same for every row.
_COMPARE_CLASSES = ("msp", "entropy", "gen", "klm", "margin")


class LogitDetector(HeadRowsDetector):
    """How sure a classifier is: softmax probability, largest logit, energy and others.

    The baselines that every other detector is compared with. ``fit`` learns no more
    than the threshold, the head if it has to be fitted, and for "klm" the mean
    probabilities.

    Parameters
    ----------
    method : {"energy", "msp", "max_logit", "entropy", "gen", "klm", "margin"}, \
            default="energy"
        With l_c the logits, T the temperature and p the softmax of l / T,
        "energy": T log sum_c exp(l_c / T). "msp": the largest p_c. "max_logit": the
        largest logit, whatever the temperature. "entropy": sum_c p_c log p_c, the
        negative entropy. "gen": the negative generalized entropy,
        - sum_c (p_c (1 - p_c))^gamma over the `n_top` largest p_c. "klm": the negative
        Kullback-Leibler divergence of p from the closest class, see Notes. "margin":
        the largest logit minus the second largest, whatever the temperature.
    head : {None, "lda"} or classifier, default=None
        What makes logits of X. None: X holds the logits, one column per class. "lda"
        is the linear discriminant of the rows given to ``fit``, which needs y; a
        `LinearHead` or a ``FrozenEstimator`` is used as it is; any other classifier
        is cloned and fitted on the same rows.
    temperature : float, default=1.0
        Temperature T > 0.
    gamma : float, default=0.1
        Exponent of "gen", in (0, 1].
    n_top : int, default=100
        Number of probabilities, the largest ones, that "gen" adds up; all where there
        are not as many.
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
    mean_probabilities_ : array of shape (K, C)
        Mean softmax of the training rows by predicted class, float64, one row for
        each of the K classes that any row is predicted as. With ``method="klm"``.
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
    ActivationShaper : Shapes features before they become logits.
    NECODetector : The largest logit times a ratio of lengths.
    sklearn_collapse.LinearHead : The network's last layer.

    Notes
    -----
    A binary head with one row of weights w has the logits ± (x · w + b) / 2. Of a
    classifier other than `LinearHead` the logits are ``decision_function``, or else the
    logarithm of ``predict_proba``.

    All scores grow with certainty. Their ranges, and what changes no ranking:

    =========  ======================  =========================================
    method     range                   ignores
    =========  ======================  =========================================
    energy     unbounded
    msp        [1 / C, 1]              a constant added to all logits
    max_logit  unbounded               the unit of the logits
    entropy    [-log C, 0]             a constant added to all logits
    gen        [-min(M, C), 0]         a constant added to all logits
    klm        (-inf, 0]               a constant added to all logits
    margin     [0, inf)                a constant added to all logits, their unit
    =========  ======================  =========================================

    With ``head="lda"`` the unit of the features matters to none.

    "klm" is - min_k KL(p || d_k), KL(p || d) = sum_c p_c log(p_c / d_c), with d_k the
    mean of p over the training rows whose largest logit is that of class k, whatever
    their label. Classes that no row is predicted as are left out. A d_kc of 0 counts as
    the smallest normal number of float64, so that a row which needs it scores some
    -708 p_c and not minus infinity. It is worked out in float64.

    The largest probability comes as close to 1 as float32 or float64 allows: very
    sure rows then share one score. The entropy keeps its digits until the probability
    of all other classes together underflows, at a margin of about 87 T in float32 and
    708 T in float64, and is 0 beyond; "gen" until its power underflows, at those
    margins divided by gamma. The others do not saturate.

    There is no ``partial_fit`` and no ``fit_moments``: the scores are no function of
    moments. A head that is, "lda", streams inside of `NECODetector`.

    References
    ----------
    .. [1] Hendrycks, D., Gimpel, K. (2017). "A Baseline for Detecting Misclassified
       and Out-of-Distribution Examples in Neural Networks". ICLR.
    .. [2] Liu, W., Wang, X., Owens, J. D., Li, Y. (2020). "Energy-based
       Out-of-distribution Detection". NeurIPS.
    .. [3] Hendrycks, D., et al. (2022). "Scaling Out-of-Distribution Detection for
       Real-World Settings". ICML. The largest logit and KL matching.
    .. [4] Liu, X., Lochman, Y., Zach, C. (2023). "GEN: Pushing the Limits of
       Softmax-Based Out-of-Distribution Detection". CVPR.

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
        "method": [StrOptions({*SCORES, "gen", "klm"})],
        "head": HEAD,
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "gamma": [Interval(Real, 0, 1, closed="right")],
        "n_top": [Interval(Integral, 1, None, closed="left")],
    }
    _left_by_fit = (*HeadRowsDetector._left_by_fit, "mean_probabilities_")

    def __init__(
        self,
        method="energy",
        *,
        head=None,
        temperature=1.0,
        gamma=0.1,
        n_top=100,
        contamination=0.05,
        outlier_label=None,
        device="auto",
    ):
        self.method = method
        self.head = head
        self.temperature = temperature
        self.gamma = gamma
        self.n_top = n_top
        self.contamination = contamination
        self.outlier_label = outlier_label
        self.device = device

    @property
    def _ignores_scale(self):
        if self.head is None:
            return self.method in ("max_logit", "margin")
        return super()._ignores_scale

    def _learn(self, X, y, weights):
        super()._learn(X, y, weights)
        if self.method in _COMPARE_CLASSES and self._n_logits(X) == 1:
            raise ValueError(
                f"There is a single logit (n_features={X.shape[1]}), and a class "
                f"without others, whose probability is always 1, cannot be compared: "
                f"method={self.method!r} needs two. Pass method='energy' or "
                f"'max_logit', or features together with a head."
            )
        if self.method == "klm":
            self.mean_probabilities_ = self._mean_probabilities(X, weights)

    @np.errstate(over="ignore", invalid="ignore")
    def _mean_probabilities(self, X, weights):
        """Mean softmax of the rows of each class that any row is predicted as."""
        rows, temperature = self._rows(X), self.temperature
        xp, logits, n_classes = rows.xp, self._logits(rows), self._n_logits(X)
        sums = rows.local(np.zeros((n_classes, n_classes)))
        counts = rows.local(np.zeros(n_classes))

        def absorb(block, here):
            nonlocal sums, counts
            shares, predicted = class_probabilities(logits(block), temperature, xp)
            columns = arange_like(n_classes, block, xp)
            member = xp.astype(columns[None, :] == predicted[:, None], xp.float64)
            if weights is not None:
                member = member * rows.local(weights[here])[:, None]
            part = xp.matmul(xp.matrix_transpose(member), shares)
            sums, counts = sums + part, counts + xp.sum(member, axis=0)

        width = max(X.shape[1], 4 * n_classes)
        rows.visit(absorb, width, float_dtype(X, xp))
        if not bool(xp.all(xp.isfinite(sums))):
            raise_nonfinite(X, overflow=False)
            self._raise_overflow("The logits", float_dtype(X, xp))
        predicted = xp.nonzero(counts > 0)[0]
        sums, counts = (xp.take(v, predicted, axis=0) for v in (sums, counts))
        return rows.home(sums / counts[:, None])

    def _score(self, rows):
        """Return the function that makes scores of logits."""
        xp, temperature = rows.xp, self.temperature
        if self.method == "gen":
            n_top = min(self.n_top, self._n_logits(rows.X))
            return partial(
                generalized_entropy,
                temperature=temperature,
                gamma=self.gamma,
                n_top=n_top,
                xp=xp,
            )
        if self.method != "klm":
            return partial(SCORES[self.method], temperature=temperature, xp=xp)
        if not hasattr(self, "mean_probabilities_"):
            raise NotFittedError(
                "This LogitDetector was fitted with another method: method='klm' needs "
                "the mean probabilities of training rows. Call fit again."
            )
        means = rows.local(self.mean_probabilities_)
        least = xp.full_like(means, float(xp.finfo(xp.float64).smallest_normal))
        log_means = xp.log(xp.maximum(means, least))

        def matched(logits):
            score = matching(logits, temperature, log_means, xp)
            return xp.astype(score, logits.dtype, copy=False)

        return matched

    @np.errstate(over="ignore", invalid="ignore")
    def _score_rows(self, X):
        rows = self._rows(X)
        xp, logits, score = rows.xp, self._logits(rows), self._score(rows)
        width = max(X.shape[1], 4 * self._n_logits(X))
        found = map_rows(rows, lambda block, _: (score(logits(block)),), width)[0]
        if not bool(xp.all(xp.isfinite(found))):
            raise_nonfinite(X, overflow=False)
            self._raise_overflow("Scores", found.dtype)
        return rows.home(found)

    def _raise_overflow(self, what, dtype):
        raise ValueError(
            f"{what} overflow {dtype}, in which these rows are scored. "
            f"Rescale X, or lower temperature={self.temperature:g}."
        )
