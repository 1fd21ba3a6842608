"""NCI: how well a row points along the weights of its class, and how long it is."""

from numbers import Real

from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._linalg._boundaries import class_alignment
from sklearn_collapse.ood._head import GIVEN_HEAD, HeadMixin
from sklearn_collapse.ood._moments_detector import MomentsDetector
from sklearn_collapse.ood._scores import finite_scores
from sklearn_collapse.utils._arrays import Rows
from sklearn_collapse.utils._sklearn_private import Interval


class NCIDetector(HeadMixin, MomentsDetector):
    """Alignment with the weights of the predicted class, plus a share of the 1-norm.

    In a collapsed network a row about the mean of all rows points along the weights of
    its class, and rows of other classes point elsewhere or are short. Costs one
    product with the weights, and streams.

    Parameters
    ----------
    head : "lda" or classifier, default="lda"
        Where weights and logits come from. "lda" is the linear discriminant of the
        same moments, and none where there is but one class; a `LinearHead` or a
        ``FrozenEstimator`` is used as it is; any other classifier is cloned and fitted
        on the same rows, by ``fit`` alone. It must have ``coef_``.
    alpha : float, default=1e-3
        Weight of the 1-norm, at least 0. With one class, where nothing else is left,
        more than 0.
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
    FDBDDetector : Distance from the decision boundaries instead.
    NECODetector : Share of the length in all directions of the classes together.

    Notes
    -----
    With the mean mu of all rows, the weights w_c and the largest logit that of class c,

    ::

        score(x) = w_c . (x - mu) / ||x - mu|| + alpha ||x||_1

    where the first term is 0 for x = mu, and absent where there is one class and no
    head. Higher is more in-distribution; the range depends on the weights. Logits and
    weights of "lda" are centred over classes, those of other heads are taken as they
    are. Classes that the head has and the data lack count as well.

    The two terms have different units: the ranking depends on the scale of the
    features, and alpha has to be tuned with it (`GridSearchCV` with `LeaveClassesOut`);
    with ``alpha=0`` and ``head="lda"`` it does not. The 1-norm depends on where the
    origin is and on the axes, as features behind a ReLU have them.

    References
    ----------
    .. [1] Liu, L., Qin, Y. (2025). "Detecting Out-of-Distribution Through the Lens of
       Neural Collapse". CVPR. arXiv 2311.01479.

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import NCIDetector
    >>> data = load_cifar8_features()
    >>> detector = NCIDetector(data.head).fit(data.data)
    >>> inside = detector.score_samples(data.X_test)
    >>> outside = detector.score_samples(data.ood["far: texture"])
    >>> y_true = [1] * len(inside) + [0] * len(outside)
    >>> round(roc_auc_score(y_true, [*inside, *outside]), 2)
    0.95
    """

    _parameter_constraints: dict = {
        **MomentsDetector._parameter_constraints,
        "head": GIVEN_HEAD,
        "alpha": [Interval(Real, 0, None, closed="left")],
    }
    _left_by_fit = (*MomentsDetector._left_by_fit, "head_")
    _needs_weights = True
    _needs_classes = False

    def __init__(
        self,
        head="lda",
        *,
        alpha=1e-3,
        contamination=0.05,
        outlier_label=None,
        device="auto",
    ):
        self.head = head
        self.alpha = alpha
        self.contamination = contamination
        self.outlier_label = outlier_label
        self.device = device

    @property
    def _ignores_scale(self):
        return self.alpha == 0 and isinstance(self.head, str)

    def _score_rows(self, X):
        check_is_fitted(self, "moments_")
        head, mean = self._resolved_head(), self.moments_.mean_
        weights, logits, work = None, None, float(X.shape[0])
        if head is not None:
            about = head.about(mean)
            weights, work = (about.coef, about.intercept), work * head.coef.shape[0]
            logits = None if head.estimator is None else head.logits
        elif not self.alpha:
            raise ValueError(
                "alpha=0 leaves no score for one class without a head: pass y with at "
                "least two classes, a LinearHead, or alpha > 0."
            )
        rows = Rows(X, self.device, work=work * X.shape[1])
        found = class_alignment(rows, mean, self.alpha, weights, logits)
        return rows.home(finite_scores(found, X))
