"""Detectors that look at the logits alone."""

from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._base import unchanged_on_error
from sklearn_collapse._head_argument import (
    ResolvedHead,
    check_head,
    fitted_head,
    resolve_classifier,
    resolve_head,
)
from sklearn_collapse._linalg._logits import SCORES
from sklearn_collapse._linalg._rows import centring, map_rows
from sklearn_collapse.metrics._geometry import ClassGeometry
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.ood._base import Detector, warn_outlier_labels
from sklearn_collapse.ood._head import HEAD, require_labels
from sklearn_collapse.utils._arrays import (
    Array,
    Rows,
    device_of,
    float_dtype,
    namespace,
)
from sklearn_collapse.utils._finite import raise_nonfinite
from sklearn_collapse.utils._labels import encode_labels
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions, fit_context
from sklearn_collapse.utils._validation import check_same_place, validate_features


class _Fitted(NamedTuple):
    """What scoring needs; one attribute, as labels are of no library but NumPy's."""

    like: Array  # (0,), of the library and device that were fitted on
    classes: np.ndarray | None
    head: ResolvedHead | None
    centre: Array | None  # of the rows that the head reads


class LogitDetector(Detector):
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
        **Detector._parameter_constraints,
        "method": [StrOptions(set(SCORES))],
        "head": HEAD,
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }
    _left_by_fit = (*Detector._left_by_fit, "head_", "device_", "_fitted")

    def __init__(
        self,
        method="energy",
        *,
        head=None,
        temperature=1.0,
        contamination=0.05,
        device="auto",
    ):
        self.method = method
        self.head = head
        self.temperature = temperature
        self.contamination = contamination
        self.device = device

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, sample_weight=None):
        """Fit the head, if it has to be, and set the threshold on the same rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            In-distribution features or, without a head, logits, of any array library;
            at least two rows.
        y : array-like of shape (n,), default=None
            Class labels, for a head that is fitted; a head that is not must know them.
            Outliers are not marked here: a y of -1 and 1 means two classes, and a
            warning says so.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            Fitted detector.
        """
        with unchanged_on_error(self):
            self._forget()
            require_labels(self.head, y is not None)
            X, y, weights = self._validate_fit(
                X, y, sample_weight, reset=True, min_samples=2
            )
            self._check_width(X.shape[1])
            classes = None if y is None else encode_labels(y)[0]
            self.head_ = fitted_head(self.head, (X, y, weights))
            check_head(self.head_, classes, X.shape[1])
            head, centre = self._resolve(X, y, weights)
            xp = namespace(X)
            like = xp.empty((0,), dtype=float_dtype(X, xp), device=device_of(X))
            self._fitted = _Fitted(like, classes, head, centre)
            self.device_ = self._rows(X).place[1]
            self._calibrate(X, weights)
            if classes is not None:
                warn_outlier_labels(classes)
        return self

    @property
    def classes_(self):
        """Labels, if y was given."""
        check_is_fitted(self, "_fitted")
        if self._fitted.classes is None:
            raise AttributeError(
                f"{type(self).__name__} was fitted without y: it has no classes_."
            )
        return self._fitted.classes

    @property
    def _ignores_scale(self):
        return self.method == "max_logit" if self.head is None else self.head == "lda"

    def _check_width(self, n_columns):
        if self.head is None and self.method == "msp" and n_columns == 1:
            raise ValueError(
                "X holds the logits of a single class (n_features=1), whose "
                "probability is always 1. Pass method='energy' or 'max_logit', or "
                "features together with a head."
            )

    def _resolve(self, X, y, weights):
        """Head as weights or estimator, and the centre of the rows that it reads."""
        if self.head_ is None:
            return None, None
        if not isinstance(self.head_, str):
            return resolve_classifier(self.head_, X), None
        moments = ClassMoments.from_arrays(X, y, weights, device=self.device)
        head = resolve_head(self.head_, ClassGeometry(moments))
        return head.about(moments.mean_), moments.mean_

    def _validate_rows(self, X, method):
        check_is_fitted(self, "_fitted")
        X = validate_features(self, X)
        check_same_place(self, X, self._fitted.like, method)
        return X

    def _rows(self, X):
        head = self._fitted.head
        n_classes = X.shape[1] if head is None else len(head.classes)
        return Rows(X, self.device, work=float(X.shape[0]) * X.shape[1] * n_classes)

    @np.errstate(over="ignore", invalid="ignore")
    def _score_rows(self, X):
        head, centre = self._fitted.head, self._fitted.centre
        rows, score, temperature = self._rows(X), SCORES[self.method], self.temperature
        xp, width = rows.xp, X.shape[1]
        if head is not None:
            head, width = head.placed(rows), max(width, len(head.classes))
        centred = centring(rows, centre, float_dtype(X, xp))

        def scored(block, _):
            logits = block if head is None else head.logits(centred(block))
            return (score(logits, temperature, xp),)

        found = map_rows(rows, scored, width)[0]
        if not bool(xp.all(xp.isfinite(found))):
            raise_nonfinite(X, overflow=False)
            raise ValueError(
                f"Scores overflow {found.dtype}, in which these rows are scored. "
                f"Rescale X, or lower temperature={temperature:g}."
            )
        return rows.home(found)
