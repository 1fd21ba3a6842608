"""fDBD: distance of a row from the decision boundaries of its class."""

from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._linalg._boundaries import boundaries, boundary_distances
from sklearn_collapse._linalg._residual_norms import Residual, residual_norms
from sklearn_collapse.ood._head import GIVEN_HEAD, HeadMixin
from sklearn_collapse.ood._moments_detector import MomentsDetector
from sklearn_collapse.ood._scores import finite_scores
from sklearn_collapse.utils._arrays import Rows, namespace


class FDBDDetector(HeadMixin, MomentsDetector):
    """Mean distance from the decision boundaries, in units of the distance to the mean.

    Rows of the training classes are deep inside of the region of their class, and rows
    of other classes close to its boundaries. Costs one product with the weights, and
    streams.

    Parameters
    ----------
    head : "lda" or classifier, default="lda"
        Where weights and logits come from. "lda" is the linear discriminant of the
        same moments, and none where there is but one class; a `LinearHead` or a
        ``FrozenEstimator`` is used as it is; any other classifier is cloned and fitted
        on the same rows, by ``fit`` alone. It must have ``coef_``.
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
        Threshold on the scores; absent after ``partial_fit`` and ``fit_moments``
        until ``calibrate``.
    means_ : array of shape (C, d)
        Class means.
    head_ : "lda" or classifier
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
    NCIDetector : Alignment with the weights of the predicted class instead.
    LogitDetector : The logits alone.

    Notes
    -----
    With the mean mu of all rows, the weights w_k and the logits l_k of the C classes
    of the head, the largest logit that of class c,

    ::

        score(x) = sum_{k != c} |l_c - l_k| / ||w_c - w_k|| / ((C - 1) ||x - mu||)

    which is at least 0; higher is more in-distribution. The authors' code sums instead
    of averaging, a constant factor. Classes whose weights equal those of class c to
    rounding have no boundary with it and add nothing. The formula grows without bound
    near x = mu: a row there counts as far from it as rounding, in units of the root
    mean square. Where there is one class and no head, or all weights are equal, the
    score is -||x - mu||.

    With "lda" ranking by it does not change under rotations, translations and
    multiples of the features; with another head it does. Classes that the head has and
    the data lack count as well.

    Memory is a table of C x C distances of weights, made once, up to C = 2048, beyond
    that some arrays of 256 x C for each block of rows: the distances of the classes
    that occur in it are made anew, by one product that is as large as that of the
    logits at the most, and float32 rows are worked on in float64. So they are as well
    where two rows of weights are so close that float32 logits would lose the digits of
    their difference.

    References
    ----------
    .. [1] Liu, L., Qin, Y. (2024). "Fast Decision Boundary based Out-of-Distribution
       Detector". ICML. arXiv 2312.11536.

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import FDBDDetector
    >>> data = load_cifar8_features()
    >>> detector = FDBDDetector(data.head).fit(data.data)
    >>> inside = detector.score_samples(data.X_test)
    >>> outside = detector.score_samples(data.ood["far: texture"])
    >>> y_true = [1] * len(inside) + [0] * len(outside)
    >>> round(roc_auc_score(y_true, [*inside, *outside]), 2)
    0.95
    """

    _parameter_constraints: dict = {
        **MomentsDetector._parameter_constraints,
        "head": GIVEN_HEAD,
    }
    _left_by_fit = (*MomentsDetector._left_by_fit, "head_")
    _needs_weights = True
    _needs_classes = False

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

    @property
    def _ignores_scale(self):
        return isinstance(self.head, str)

    def _score_rows(self, X):
        check_is_fitted(self, "moments_")
        bounds = self.moments_._cached("boundaries", self._boundaries)
        work = float(X.shape[0]) * X.shape[1]
        if bounds is None:
            rows = Rows(X, self.device, work=work)
            centre = Residual(self.moments_.mean_, None, False)
            return rows.home(-residual_norms(rows, centre)[0])
        rows = Rows(X, self.device, work=work * bounds.coef.shape[0])
        head = self._resolved_head()
        logits = None if head.estimator is None else head.logits
        return rows.home(finite_scores(boundary_distances(rows, bounds, logits), X))

    def _boundaries(self):
        head, moments = self._resolved_head(), self.moments_
        if head is None:
            return None
        head = head.about(moments.mean_)
        spread = moments._traces("total")[0] ** 0.5
        xp = namespace(moments.means_)
        return boundaries(head.coef, head.intercept, moments.mean_, spread, xp)
