"""ViM: the residual as one more logit."""

import numpy as np
from sklearn.exceptions import NotFittedError

from sklearn_collapse._linalg._logits import energy, max_logit
from sklearn_collapse._linalg._residual_norms import (
    head_origin,
    residual_norms,
    working_dtype,
)
from sklearn_collapse._linalg._rows import centring
from sklearn_collapse.ood._head import HEAD, HeadMixin
from sklearn_collapse.ood._residual import ResidualBase
from sklearn_collapse.ood._scores import finite_scores
from sklearn_collapse.utils._arrays import namespace, to_numpy
from sklearn_collapse.utils._sklearn_private import StrOptions
from sklearn_collapse.utils._warnings import warn_caller


class ViMDetector(HeadMixin, ResidualBase):
    """Virtual-logit matching: the logits of a head against the residual of a row.

    The length of a row outside of the principal space becomes the logit of one more
    class, "elsewhere", brought to the size of the others. Fitted from plain moments;
    with a head, one pass over rows (``calibrate``) sets that size.

    Parameters
    ----------
    head : {None, "lda"} or classifier, default=None
        What makes logits of X. None: the residual alone. "lda" is the linear
        discriminant of the same moments, and as None where there is but one class; a
        `LinearHead` or a ``FrozenEstimator`` is used as it is; any other classifier
        is cloned and fitted on the same rows, by ``fit`` alone.
    n_components : int or float, default=None
        Number of principal components D that are taken off, or the share of the
        variance (about the origin), in (0, 1), that they reach together, where at
        least one direction is left. None: 1000 for 2048 features and more, 512 for 768
        and more, otherwise half of the features, and never more than the rank.
    origin : {"auto", "head", "mean", "zero"}, default="auto"
        Point u about which the principal space is taken: "head" is -W^+ b of the
        weights W and the intercepts b of the head, where its logits are nearest to
        zero (W^+ to the rank that W has in float32). "auto" is that of a given head
        that has weights and intercepts other than zero, otherwise the mean.
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
    alpha_ : float
        Size of the virtual logit per unit of residual; absent without a head, and
        after ``partial_fit`` and ``fit_moments`` until ``calibrate``.
    offset_ : float
        Threshold on the scores; absent after ``partial_fit`` and ``fit_moments``
        until ``calibrate``.
    n_components_ : int
        Number of principal components D.
    components_ : array of shape (D, d)
        Principal components, up to sign.
    eigenvalues_ : array of shape (`rank_`,)
        Mean squares along all principal components, descending (normaliser n).
    rank_ : int
        Number of principal components that there are, by the rank rule.
    origin_ : array of shape (d,)
        Point u about which lengths are taken.
    means_ : array of shape (C, d)
        Class means.
    head_ : {None, "lda"} or classifier
        Fitted head.
    classes_ : ndarray of shape (C,)
        Labels, if y was given.
    moments_ : ClassMoments
        Fitted state.
    device_ : str
        Device on which the moments were gathered.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had any.

    See Also
    --------
    ResidualDetector : The residual alone.
    LogitDetector : The energy alone.

    Notes
    -----
    With V the first D eigenvectors of S = (1/n) sum_i (x_i - u)(x_i - u)^T, which is
    not centred at the mean unless u is, r(x) = ||(x - u) - (x - u) V V^T|| and l(x) the
    logits,

    ::

        score(x) = log sum_c exp l_c(x) - alpha r(x)
        alpha    = mean_i max_c l_c(x_i) / mean_i r(x_i)

    over the rows given to ``fit`` or ``calibrate``, with their weights. Without a head
    the score is -r(x).

    Logits of "lda", and logarithms of ``predict_proba`` of classifiers without
    ``decision_function``, are centred over classes: they are known up to a constant
    for each row only, and with another one alpha could turn negative. Logits of other
    heads are taken as they are; where their mean maximum is not positive, an error
    says so. A residual that the rank rule calls rounding counts as 0; where those of
    the rows of ``calibrate`` do, as those of training rows with D equal to the rank,
    alpha takes the level of that rounding for their mean, and a warning says so.

    With a head other than "lda" the ranking depends on the unit of the features.
    Directions that never varied in training count in full. Where the last component
    that is taken off and the first that is left have the same variance, the choice
    between them is arbitrary, and a warning says so.

    References
    ----------
    .. [1] Wang, H., Li, Z., Feng, L., Zhang, W. (2022). "ViM: Out-Of-Distribution with
       Virtual-logit Matching". CVPR. arXiv 2203.10807.

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import ViMDetector
    >>> data = load_cifar8_features()
    >>> detector = ViMDetector(head=data.head).fit(data.data)
    >>> inside = detector.score_samples(data.X_test)
    >>> outside = detector.score_samples(data.ood["far: texture"])
    >>> y_true = [1] * len(inside) + [0] * len(outside)
    >>> round(roc_auc_score(y_true, [*inside, *outside]), 2)
    0.92
    """

    _parameter_constraints: dict = {
        **ResidualBase._parameter_constraints,
        "head": HEAD,
        "origin": [StrOptions({"auto", "head", "mean", "zero"})],
    }
    _left_by_fit = (*ResidualBase._left_by_fit, "head_", "alpha_")
    _void_after_update = (*ResidualBase._void_after_update, "alpha_")
    _needs_classes = False

    def __init__(
        self,
        head=None,
        *,
        n_components=None,
        origin="auto",
        contamination=0.05,
        outlier_label=None,
        device="auto",
    ):
        self.head = head
        self.n_components = n_components
        self.origin = origin
        self.contamination = contamination
        self.outlier_label = outlier_label
        self.device = device

    @property
    def _ignores_scale(self):
        return self.head is None or isinstance(self.head, str)

    @property
    def _needs_weights(self):
        return self.origin == "head"

    def _adopt_head(self, classes, n_features, data=None):
        if self.head is None and self.origin == "head":
            raise ValueError(
                "origin='head' is the origin of a head, and there is none: pass "
                "head=LinearHead(coef, intercept), or origin='mean' or 'zero'."
            )
        super()._adopt_head(classes, n_features, data)

    def _origin(self):
        head, origin = self._resolved_head(), self.origin
        if origin not in ("auto", "head"):
            return origin
        if head is None or head.coef is None:
            return "mean"
        xp = namespace(head.coef)
        given = not isinstance(self.head_, str) and bool(xp.any(head.intercept != 0))
        if origin == "auto" and not given:
            return "mean"
        return head_origin(head.coef, head.intercept, xp)

    def _score_rows(self, X):
        if self._resolved_head() is None:
            return self._negated_norms(X)
        if not hasattr(self, "alpha_"):
            raise NotFittedError(
                f"This {type(self).__name__} has a head, but the size of the virtual "
                f"logit is not set. Call calibrate(X) with in-distribution rows first."
            )
        return self._matched(*self._norms_and_logits(X, energy))

    def _collect(self, X):
        if self._resolved_head() is None:
            return super()._collect(X)
        return self._norms_and_logits(X, energy, max_logit)

    def _calibrate_from(self, collected, weights):
        if self._resolved_head() is None:
            super()._calibrate_from(collected, weights)
            return
        norms, energies, largest = collected
        self.alpha_ = self._size(norms, largest, weights)
        self._set_offset(self._matched(norms, energies), weights)

    @np.errstate(over="ignore", invalid="ignore")
    def _matched(self, norms, energies):
        # Rows that are not finite were refused with their norms.
        remedy = f"Rescale X or the head (alpha_={self.alpha_:g})."
        return finite_scores(energies - self.alpha_ * norms, remedy=remedy)

    def _size(self, norms, largest, weights):
        """Alpha: the mean of the largest logits over that of the residuals."""
        norm, logit = (
            float(np.average(to_numpy(v).astype(float), weights=weights))
            for v in (norms, largest)
        )
        if not logit > 0:
            raise ValueError(
                f"The mean of the largest logits is {logit:g}, but must be positive: "
                f"the virtual logit would reward residuals. Pass a head whose logits "
                f"are centred over classes, LinearHead(W - W.mean(axis=0), "
                f"b - b.mean()), head='lda', or head=None for the residual alone."
            )
        space = self._space()
        if norm <= space.residual.least:
            least = space.residual.least or 1.0
            warn_caller(
                f"The mean residual outside of the {space.k} principal components is "
                f"rounding ({norm:g}, n_features={space.spectrum.values.shape[0]}): "
                f"alpha is set by its level {least:g}. Lower n_components, or "
                f"calibrate on rows that were not fitted on."
            )
            norm = least
        return logit / norm

    def _norms_and_logits(self, X, *scores):
        """Residual norms of rows and scores of their logits, in X's library."""
        width = len(self._resolved_head().classes)
        rows = self._rows(X, width)
        logits, xp = self._logits(rows), rows.xp

        def scored(block, z):
            values = logits(block, z)
            return tuple(score(values, 1.0, xp) for score in scores)

        residual = self._space().residual
        found = residual_norms(rows, residual, also=scored, width=width)
        return tuple(rows.home(part) for part in found)

    def _logits(self, rows):
        """Map of a block of x and the same block of x - u to logits."""
        head, space, xp = self._resolved_head(), self._space(), rows.xp
        if head.estimator is not None:
            if hasattr(head.estimator, "decision_function"):
                return lambda block, _: head.logits(block)
            return lambda block, _: _centred(head.logits(block), xp)
        dtype = working_dtype(rows, space.residual)
        if not space.at_mean and not isinstance(self.head_, str):
            head = head.placed(rows, dtype)
            return lambda block, _: head.logits(block)
        # Logits of rows far from the origin would lose digits.
        mean = self.moments_.mean_
        head = head.about(mean).placed(rows, dtype)
        if space.at_mean:
            return lambda _, z: head.logits(z)
        centred = centring(rows, mean, dtype)
        return lambda block, _: head.logits(centred(block))


def _centred(logits, xp):
    return logits - xp.mean(logits, axis=1, keepdims=True)
