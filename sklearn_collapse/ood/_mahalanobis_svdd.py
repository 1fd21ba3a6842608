"""Support vector data description with the Mahalanobis distance."""

from numbers import Real

from sklearn.utils.validation import check_is_fitted

from sklearn_collapse.ood._mahalanobis_base import MahalanobisBase
from sklearn_collapse.utils._arrays import namespace
from sklearn_collapse.utils._sklearn_private import HasMethods, Interval, StrOptions


class MahalanobisSVDD(MahalanobisBase):
    """Ball in Mahalanobis distance that holds a share of the training rows.

    The distance to the nearest class mean, not squared, against a radius: what remains
    of the data description by Yang et al. once a network has been trained. It ranks
    rows as `MahalanobisDetector` does, and its decisions are in standard deviations.

    Parameters
    ----------
    quantile : float, default=0.95
        Share of the calibration rows that lie within the radius, in [0.5, 1). It takes
        the place of the ``contamination`` of other detectors, which is 1 - quantile.
    covariance : {"tied"} or covariance estimator, default="tied"
        "tied": one covariance for all classes, pooled within classes (normaliser n).
        An unfitted covariance estimator of scikit-learn's kind is cloned and fitted on
        the rows about their class means, by ``fit`` alone.
    normalize : bool, default=False
        Whether rows are divided by their Euclidean norm first.
    shrinkage : {None, "oas", "ledoit_wolf"} or float, default=None
        Share of (tr S / d) I in the covariance: a number in [0, 1], or the estimate of
        Chen et al. or of Ledoit and Wolf. The latter needs rows: ``fit`` alone.
    floor : "auto" or float, default="auto"
        What eigenvalues are floored at. "auto" raises directions that the rank
        rule drops to its threshold; a positive number raises all eigenvalues to that
        share of the largest; 0 is the pseudo-inverse, which is blind to directions
        that never vary in training.
    outlier_label : str, int or float, default=None
        Label in y of rows that are known outliers: ``fit`` leaves them out, and
        scorers such as ``get_scorer("ood_auroc")`` count them as out-of-distribution.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    radius_ : float
        The radius R; absent after ``partial_fit`` and ``fit_moments`` until
        ``calibrate``.
    offset_ : float
        Threshold on the scores, -R.
    means_ : array of shape (C, d)
        Class means; of a single class the location that an estimator has found.
    covariance_ : array of shape (d, d)
        Covariance after shrinkage, before the floor.
    covariance_estimator_ : estimator object
        The fitted clone of ``covariance``, if that is an estimator.
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
    MahalanobisDetector : Squared distances, relative ones, one covariance per class.

    Notes
    -----
    With d(x) = min_c ((x - mu_c)^T Sigma_W^-1 (x - mu_c))^1/2 the score is -d(x), in
    (-inf, 0], and the decision R - d(x). R is the quantile of the distances of the
    rows (averaged inverted CDF), raised by 1e-6 of their interquartile range or by 16
    units of rounding, whichever is more, so that the row that defines it lies within.
    There is one ball about each class mean, all of the same radius; without y there is
    one.

    [1]_ trains a network so that the ball becomes small, and estimates mean and
    covariance by the minimum covariance determinant, which is
    ``covariance=MinCovDet()`` without y. Ranking does not change under invertible
    linear maps as long as no floor acts and ``normalize`` is off. Directions that
    never vary in training count as for `MahalanobisDetector`.

    References
    ----------
    .. [1] Yang, Y., Zhao, J., Xu, X., Cao, K., Yuan, S., Xie, L. (2025). "Unsupervised
       Anomaly Detection for Autonomous Robots via Mahalanobis SVDD with Audio-IMU
       Fusion". arXiv 2505.05811.

    Examples
    --------
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import MahalanobisSVDD
    >>> data = load_cifar8_features()
    >>> detector = MahalanobisSVDD(0.9).fit(data.data, data.target)
    >>> round(float((detector.predict(data.data) == -1).mean()), 3)
    0.1
    >>> float((detector.predict(data.ood["far: noise"]) == -1).mean()) > 0.9
    True
    """

    _parameter_constraints: dict = {
        **MahalanobisBase._parameter_constraints,
        "quantile": [Interval(Real, 0.5, 1, closed="left")],
        "covariance": [StrOptions({"tied"}), HasMethods(["fit"])],
    }
    del _parameter_constraints["contamination"]

    def __init__(
        self,
        quantile=0.95,
        *,
        covariance="tied",
        normalize=False,
        shrinkage=None,
        floor="auto",
        outlier_label=None,
        device="auto",
    ):
        self.quantile = quantile
        self.covariance = covariance
        self.normalize = normalize
        self.shrinkage = shrinkage
        self.floor = floor
        self.outlier_label = outlier_label
        self.device = device

    @property
    def radius_(self):
        """Radius."""
        check_is_fitted(self, "moments_")
        if not hasattr(self, "offset_"):
            raise AttributeError(
                "There is no radius yet: call calibrate(X) with in-distribution rows."
            )
        return -self.offset_

    @property
    def _share_outside(self):
        return 1 - self.quantile

    def _score_rows(self, X):
        found, _, home = self._measure(X)
        return home(-namespace(found).sqrt(found))
