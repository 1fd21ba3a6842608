"""Conformal p-values: a threshold with a guarantee for any detector."""

import math
from numbers import Real
from typing import Any

import numpy as np
from scipy.stats import false_discovery_control
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state

from sklearn_collapse._base import unchanged_on_error
from sklearn_collapse._linalg._conformal import (
    PValueSteps,
    p_value_steps,
    p_values,
    threshold,
)
from sklearn_collapse.ood._mahalanobis import MahalanobisDetector
from sklearn_collapse.ood._meta import MetaDetector
from sklearn_collapse.ood._split import split_rows
from sklearn_collapse.ood._threshold import rounding_slack, weighted_quantiles
from sklearn_collapse.utils._arrays import as_like, namespace, to_numpy
from sklearn_collapse.utils._dask import by_partition
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._labels import encode_labels
from sklearn_collapse.utils._sklearn_private import HasMethods, Interval, fit_context
from sklearn_collapse.utils._warnings import CollapseWarning, warn_caller


class ConformalDetector(MetaDetector):
    """Conformal p-values of any detector: false alarms at a rate that is guaranteed.

    Some rows are kept out of fitting, and a new row is as suspicious as its score is
    rare among theirs. In-distribution rows are then called outliers with probability
    `alpha` at the most, whatever the detector, the features and their number.

    Parameters
    ----------
    estimator : estimator object, default=None
        Anything with ``fit`` and ``score_samples``, where larger scores are more
        in-distribution: a detector of this package or of scikit-learn, or a Pipeline
        that ends with one. A clone of it is fitted. A fitted one in a
        ``FrozenEstimator`` is used as it is, and all rows of ``fit`` calibrate. None
        is ``MahalanobisDetector()``.
    alpha : float, default=0.05
        Largest probability of a false alarm, in (0, 1).
    calibration_size : float, default=0.2
        Share of the rows that calibrate, in (0, 1), drawn at random.
    outlier_label : str, int or float, default=None
        Label in y of rows that are known outliers: ``fit`` leaves them out, and
        scorers such as ``get_scorer("ood_auroc")`` count them as out-of-distribution.
    random_state : int, RandomState instance or None, default=None
        Seed of the rows that calibrate. Pass an int for the same ones in every call.

    Attributes
    ----------
    estimator_ : estimator object
        Fitted.
    calibration_scores_ : array of shape (m,)
        Distinct scores of the rows that calibrate, in ascending order.
    n_calibration_ : float
        Number of the rows that calibrate, the sum of their weights.
    offset_ : float
        Threshold on the scores: the lowest one whose p-value is above `alpha`; -inf if
        there are too few rows for any p-value to reach it.
    classes_ : ndarray of shape (C,)
        Labels, if y was given.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had any.

    See Also
    --------
    DetectorEnsemble : Several detectors as one, which may be the estimator here.
    sklearn.frozen.FrozenEstimator : Keeps an estimator as it was fitted.

    Notes
    -----
    With n calibration scores s_i the p-value of a row with score s is ::

        p = (1 + #{i : s_i <= s}) / (1 + n)

    in [1 / (1 + n), 1], small for outliers; ``predict`` gives -1 where p <= alpha. If
    the row and those that calibrate are exchangeable, P(p <= alpha) <= alpha, on
    average over calibration sets, ties included; without ties and for a whole
    alpha * (1 + n) it is alpha. Given one calibration set, the rate of false alarms
    varies like a beta variable, about alpha with variance alpha (1 - alpha) / n. With
    n < 1 / alpha - 1 no row can be called an outlier, and a warning says so.

    The calibration scores are lowered by 1e-6 of their interquartile range or by 16
    units of rounding, whichever is more, so that rounding does not make a row rarer
    than an equal one: that can only raise p.

    What the guarantee rests on: rows that are exchangeable, such as independent ones of
    the same source. The rows that calibrate are drawn without regard to classes:
    drawn class by class they would not be exchangeable with a new row, of which the
    class is left to chance. So of a class with very few rows all may calibrate and none
    be fitted on; new rows of it then score low, as those that calibrate do.

    A weight of k stands for k rows; whole weights are even split like copies. The
    guarantee holds if such rows have really been seen, not for weights of importance or
    for augmented copies of one row, of which n would count too many.

    `predict_fdr` looks at all rows of a batch together and bounds the share of false
    alarms among the rows that it calls outliers.

    The split does not depend on the order of the rows, which are sorted before it.

    References
    ----------
    .. [1] Bates, S., Candes, E., Lei, L., Romano, Y., Sesia, M. (2023). "Testing for
       Outliers with Conformal p-values". Annals of Statistics 51(1).
    .. [2] Benjamini, Y., Hochberg, Y. (1995). "Controlling the False Discovery Rate".
       Journal of the Royal Statistical Society B 57(1).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import ConformalDetector, MahalanobisDetector
    >>> data = load_cifar8_features()
    >>> detector = ConformalDetector(MahalanobisDetector(), alpha=0.1, random_state=0)
    >>> detector = detector.fit(data.data, data.target)
    >>> false_alarms = np.mean(detector.predict(data.X_test) == -1)
    >>> alarms = np.mean(detector.predict(data.ood["far: noise"]) == -1)
    >>> round(float(false_alarms), 2), round(float(alarms), 2)
    (0.1, 1.0)
    """

    _parameter_constraints: dict = {
        "estimator": [None, HasMethods(["fit", "score_samples"])],
        "alpha": [Interval(Real, 0, 1, closed="neither")],
        "calibration_size": [Interval(Real, 0, 1, closed="neither")],
        "outlier_label": [None, str, Real],
        "random_state": ["random_state"],
    }
    _left_by_fit = (
        *MetaDetector._left_by_fit,
        *("estimator_", "calibration_scores_", "n_calibration_", "_steps"),
    )
    estimator_: Any

    def __init__(
        self,
        estimator=None,
        *,
        alpha=0.05,
        calibration_size=0.2,
        outlier_label=None,
        random_state=None,
    ):
        self.estimator = estimator
        self.alpha = alpha
        self.calibration_size = calibration_size
        self.outlier_label = outlier_label
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, sample_weight=None):
        """Fit on some of the rows and set the threshold on the others.

        Parameters
        ----------
        X : array-like of shape (n, d)
            In-distribution features, at least three rows; of any array library that
            the estimator takes.
        y : array-like of shape (n,), default=None
            Class labels, which the estimator gets. Rows labelled `outlier_label` are
            left out; otherwise a y of -1 and 1 means two classes, and a warning says
            so.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            Fitted detector.
        """
        with unchanged_on_error(self):
            self._forget()
            estimator = self._members()[0][1]
            frozen = isinstance(estimator, FrozenEstimator)
            weighs = bool(self._who_weighs(sample_weight))
            X, y, weights = self._begin(X, y, sample_weight, 1 if frozen else 3)
            if frozen:
                self.estimator_ = self._fit_member(estimator, None, None, None)
            else:
                drawn, left = self._split(X, y, weights)
                self.estimator_ = self._fit_member(
                    estimator,
                    _rows(X, left.rows),
                    None if y is None else y[left.rows],
                    left.weights if weighs else None,
                )
                X, weights = _rows(X, drawn.rows), drawn.weights
            self._calibrate(X, weights)
        return self

    def calibrate(self, X, sample_weight=None):
        """Set the threshold on other rows, which replace those that calibrated.

        Parameters
        ----------
        X : array-like of shape (n, d)
            In-distribution features that were not fitted on.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            The detector.
        """
        return super().calibrate(X, sample_weight)

    @by_partition
    def p_values(self, X):
        """Compute how rare the scores of rows are among the calibration scores.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library that was fitted on.

        Returns
        -------
        array of float64 of shape (n,)
            In [1 / (1 + `n_calibration_`), 1]; small for outliers.
        """
        return self._p_values(X, "p_values")

    def predict_fdr(self, X):
        """Tell outliers apart in a batch, few of them in error.

        By the procedure of Benjamini and Hochberg at level `alpha`: at most that share
        of the rows called outliers, in expectation, are in-distribution (alpha times
        the share of in-distribution rows in the batch). Unlike that of ``predict``, the
        answer for a row depends on the rows beside it: more rows need smaller p-values,
        and a lone outlier among m rows is found only if `n_calibration_` is at least
        m / alpha - 1.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library that was fitted on.

        Returns
        -------
        array of int of shape (n,)
            1 for inliers, -1 for outliers.
        """
        found = self._p_values(X, "predict_fdr")
        adjusted = false_discovery_control(to_numpy(found), method="bh")
        # Rounding of p m / i must not decide where it equals alpha.
        slack = 1 + 4 * np.finfo(float).eps
        return as_like(np.where(adjusted <= slack * self.alpha, -1, 1), found)

    def _members(self):
        default = MahalanobisDetector() if self.estimator is None else self.estimator
        return [("estimator", default)]

    def _split(self, X, y, weights):
        n = X.shape[0] if weights is None else weights.sum()
        if n < 3 or X.shape[0] < 2:
            raise ValueError(
                f"{X.shape[0]} sample(s) of weight {n} are left without those of zero "
                f"weight or labelled outlier_label, while a minimum of 3 is required "
                f"by {type(self).__name__}: two to fit on and one to calibrate with."
            )
        codes = np.zeros(X.shape[0], int) if y is None else encode_labels(y)[1]
        rng = check_random_state(self.random_state)
        return split_rows(X, codes, weights, self.calibration_size, rng)

    def _score_rows(self, X):
        check_finite(X)
        return self._member_scores(self.estimator_, X)

    def _calibrate_from(self, collected, weights):
        scores, like = collected[0], self._fitted.like
        # Scores of other people's detectors may be integers.
        eps = float(np.finfo(np.result_type(scores.dtype, np.float16)).eps)
        scores = scores.astype(float)
        steps = p_value_steps(scores, weights)
        low, high = weighted_quantiles(scores, [0.25, 0.75], weights)
        self.calibration_scores_ = as_like(steps.scores, like)
        if np.isfinite([low, high]).all():
            slack = rounding_slack(steps.scores, low, high, eps)
            slack[~np.isfinite(slack)] = 0.0
            steps = steps._replace(scores=steps.scores - slack)
        self.n_calibration_ = float(len(scores) if weights is None else weights.sum())
        self.offset_ = threshold(steps, self.alpha)
        self._steps = PValueSteps(*(as_like(part, like) for part in steps))
        if not math.isfinite(self.offset_) and steps.values[0] > self.alpha:
            warn_caller(
                f"{self.n_calibration_:g} rows calibrate, so that no p-value is below "
                f"{steps.values[0]:.3g} and no row can be called an outlier at "
                f"alpha={self.alpha}. At least {_least_rows(self.alpha)} are needed: "
                f"pass more rows, or raise calibration_size or alpha.",
                CollapseWarning,
            )

    def _p_values(self, X, method):
        scores = self._score_rows(self._validate_rows(X, method))
        xp = namespace(scores)
        return p_values(xp.astype(scores, xp.float64), self._steps, xp=xp)

    @np.errstate(over="ignore")
    def _decide(self, X, method):
        scores = self._score_rows(self._validate_rows(X, method))
        xp = namespace(scores)
        # float32 may not hold the threshold, and the difference of equal infinities
        # is none: the sign must be that of the comparison.
        wide = xp.astype(scores, xp.float64)
        zero = xp.zeros_like(wide)
        same = wide == self.offset_
        gap = xp.where(same, zero, xp.where(same, zero, wide) - self.offset_)
        # Nor may a small difference vanish.
        least = float(xp.finfo(scores.dtype).smallest_normal)
        gap = xp.where(gap < 0, xp.clip(gap, None, -least), gap)
        return xp.astype(gap, scores.dtype)


def _rows(X, index):
    return namespace(X).take(X, as_like(index, X), axis=0)


def _least_rows(alpha):
    """Least n for which 1 / (1 + n) is at most alpha."""
    n = max(0, math.floor(1 / alpha) - 2)
    while 1 / (1 + n) > alpha:
        n += 1
    return n
