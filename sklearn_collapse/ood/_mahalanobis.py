"""Mahalanobis distance to the nearest class mean, and its refinements."""

from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._linalg._rows import (
    ClassMetric,
    class_metric,
    nearest_class,
)
from sklearn_collapse._linalg._spectrum import floored_inverse
from sklearn_collapse._shrinkage import SHRINKAGE, ShrinkageMixin
from sklearn_collapse.ood._base import MomentsDetector
from sklearn_collapse.utils._arrays import Rows, namespace
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions

# Largest error of a whitened coordinate, in its standard deviations, that float32
# products may cause; beyond it rows are worked on in float64.
_COORDINATE_ERROR = 1e-3


class _Factors(NamedTuple):
    """What scoring needs, and the choices that were made on the way."""

    within: ClassMetric
    total: ClassMetric | None
    shrinkage: float
    floor: float
    rank: int
    condition: float  # of the floored covariances, the larger


class MahalanobisDetector(ShrinkageMixin, MomentsDetector):
    """Squared Mahalanobis distance to the nearest class mean, negated.

    The class means share one covariance, that of the rows about their class means.
    Fast on any number of classes, exact on collapsed features, and fitted from plain
    moments, so that it streams.

    Parameters
    ----------
    covariance : {"tied"}, default="tied"
        "tied": one covariance for all classes, pooled within classes (normaliser n).
    relative : bool, default=False
        Relative Mahalanobis: the distance to the mean of all rows under the covariance
        of all rows is taken off, which cancels directions in which nothing separates
        the classes. With one class it has no effect.
    normalize : bool, default=False
        Mahalanobis++: rows are divided by their Euclidean norm first.
    shrinkage : {None, "oas", "ledoit_wolf"} or float, default=None
        Share of (tr S / d) I in the covariance: a number in [0, 1], or the estimate of
        Chen et al. or of Ledoit and Wolf. The latter needs rows: ``fit`` alone.
    floor : "auto" or float, default="auto"
        What inverse eigenvalues are floored at. "auto" raises directions that the rank
        rule drops to its threshold; a positive number raises all eigenvalues to that
        share of the largest; 0 is the pseudo-inverse, which is blind to directions
        that never vary in training.
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
    covariance_ : array of shape (d, d)
        Covariance after shrinkage, before the floor.
    shrinkage_ : float
        Share of the identity that was used.
    floor_ : float
        Absolute floor of the eigenvalues; 0 for the pseudo-inverse.
    rank_ : int
        Rank of the covariance by the rank rule.
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
    sklearn.covariance.EllipticEnvelope : One class, robust, much slower.
    sklearn_collapse.metrics.ood_table : Compare detectors.

    Notes
    -----
    The score is -min_c (x - mu_c)^T Sigma_W^-1 (x - mu_c), in (-inf, 0]; with
    ``relative=True`` -(min_c d_c - d_0), d_0 from the mean and the covariance of all
    rows. Ranking by it does not change under invertible linear maps as long as no
    floor acts and ``normalize`` is off.

    The null space counts: a row that lights a unit that was always off in training
    scores about -1 / floor, and its score keeps no digits of the rest. With
    ``relative=True`` and ``floor="auto"`` the floor of the total covariance is larger
    by the ratio of the largest eigenvalues, so that such rows do not cancel.

    float32 rows are mapped in float32, unless the covariance is so ill-conditioned
    that float64 is needed for three digits. A threshold set on training rows flags far
    too much when n is near d: calibrate on rows that were not fitted on.

    References
    ----------
    .. [1] Lee, K., Lee, K., Lee, H., Shin, J. (2018). "A Simple Unified Framework for
       Detecting Out-of-Distribution Samples and Adversarial Attacks". NeurIPS.
    .. [2] Ren, J., et al. (2021). "A Simple Fix to Mahalanobis Distance for Improving
       Near-OOD Detection". arXiv 2106.09022.
    .. [3] Mueller, M., Hein, M. (2025). "Mahalanobis++: Improving OOD Detection via
       Feature Normalization". ICML.

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import MahalanobisDetector
    >>> data = load_cifar8_features()
    >>> detector = MahalanobisDetector().fit(data.data, data.target)
    >>> inside = detector.score_samples(data.X_test)
    >>> outside = detector.score_samples(data.ood["far: noise"])
    >>> y_true = [1] * len(inside) + [0] * len(outside)
    >>> round(roc_auc_score(y_true, [*inside, *outside]), 2)
    0.99
    """

    _parameter_constraints: dict = {
        **MomentsDetector._parameter_constraints,
        "covariance": [StrOptions({"tied"})],
        "relative": ["boolean"],
        "normalize": ["boolean"],
        "shrinkage": SHRINKAGE,
        "floor": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        covariance="tied",
        *,
        relative=False,
        normalize=False,
        shrinkage=None,
        floor="auto",
        contamination=0.05,
        outlier_label=None,
        device="auto",
    ):
        self.covariance = covariance
        self.relative = relative
        self.normalize = normalize
        self.shrinkage = shrinkage
        self.floor = floor
        self.contamination = contamination
        self.outlier_label = outlier_label
        self.device = device

    @property
    def covariance_(self):
        """Covariance after shrinkage."""
        check_is_fitted(self, "moments_")
        return self.moments_._covariance("within", self._factors().shrinkage)

    @property
    def shrinkage_(self):
        """Share of the identity."""
        check_is_fitted(self, "moments_")
        return self._factors().shrinkage

    @property
    def floor_(self):
        """Absolute floor of the eigenvalues."""
        check_is_fitted(self, "moments_")
        return self._factors().floor

    @property
    def rank_(self):
        """Rank of the covariance."""
        check_is_fitted(self, "moments_")
        return self._factors().rank

    def _moments_options(self):
        return {"normalize": self.normalize}

    def _score_rows(self, X):
        factors = self._factors()
        d = X.shape[1]
        rows = Rows(X, self.device, work=float(X.shape[0]) * d * d)
        eps = float(np.finfo(np.float32).eps)
        wide = eps * factors.condition**0.5 > _COORDINATE_ERROR
        options = {"normalize": self.moments_.normalize, "wide": wide}
        score = -nearest_class(rows, factors.within, **options)[1]
        if factors.total is not None:
            score = score + nearest_class(rows, factors.total, **options)[1]
        return rows.home(score)

    def _factors(self):
        key = ("mahalanobis", self.relative, self.shrinkage, self.floor)
        return self.moments_._cached(key, self._factorise)

    def _factorise(self):
        moments = self.moments_
        xp = namespace(moments.means_)
        mean = moments.mean_
        shrinkage = self._intensity("within")
        spectrum = moments._spectrum("within", shrinkage)
        level = moments._zero_level(spectrum)
        root, floor, condition = _root(spectrum, self.floor, level, xp)
        within = class_metric(moments.means_, mean, root, xp)
        total = None
        if self.relative and len(moments.classes_) > 1:
            whole = moments._spectrum("total", self._intensity("total"))
            level = 2 * floor
            if spectrum.rank:
                level = floor * whole.largest / spectrum.largest
            root, _, other = _root(whole, self.floor, level, xp)
            total = class_metric(mean[None, :], mean, root, xp)
            condition = max(condition, other)
        return _Factors(within, total, shrinkage, floor, spectrum.rank, condition)

    def _learn_from_rows(self, X, y, weights):
        self._learn_fourth(X, y, weights, within=True, total=self.relative)
        super()._learn_from_rows(X, y, weights)


def _root(spectrum, floor, level, xp):
    """Root of the floored inverse, the floor, and the condition it leaves."""
    inverse, floor = floored_inverse(spectrum, floor, level=level, xp=xp)
    condition = float(xp.max(spectrum.values) * xp.max(inverse))
    return spectrum.vectors * xp.sqrt(inverse), floor, condition
