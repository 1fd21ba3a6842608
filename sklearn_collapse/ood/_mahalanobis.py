"""Mahalanobis distance to the nearest class mean, and its refinements."""

from numbers import Real

from scipy.special import chdtri
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._base import unchanged_on_error
from sklearn_collapse.ood._mahalanobis_base import MahalanobisBase
from sklearn_collapse.utils._sklearn_private import (
    HasMethods,
    Interval,
    StrOptions,
    fit_context,
)


class MahalanobisDetector(MahalanobisBase):
    """Squared Mahalanobis distance to the nearest class mean, negated.

    By default the class means share one covariance, that of the rows about their class
    means: fast on any number of classes, exact on collapsed features, and fitted from
    plain moments, so that it streams.

    Parameters
    ----------
    covariance : {"tied", "class"} or covariance estimator, default="tied"
        "tied": one covariance for all classes, pooled within classes (normaliser n).
        "class": one for each class (normaliser n_c), and the score is a Gaussian
        log-density. An unfitted covariance estimator of scikit-learn's kind is cloned
        and fitted on the rows about their class means, by ``fit`` alone, and its
        estimate takes the place of the tied covariance.
    relative : bool, default=False
        Relative Mahalanobis: the distance to the mean of all rows under the covariance
        of all rows (for an estimator that of a second clone) is taken off, which
        cancels directions in which nothing separates the classes. With one class it
        has no effect.
    normalize : bool, default=False
        Mahalanobis++: rows are divided by their Euclidean norm first.
    shrinkage : {None, "oas", "ledoit_wolf"} or float, default=None
        Share of (tr S / d) I in the covariance: a number in [0, 1], or the estimate of
        Chen et al. or of Ledoit and Wolf. The latter needs rows: ``fit`` alone.
    floor : "auto" or float, default="auto"
        What eigenvalues are floored at. "auto" raises directions that the rank
        rule drops to its threshold; a positive number raises all eigenvalues to that
        share of the largest; 0 is the pseudo-inverse, which is blind to directions
        that never vary in training.
    components : {"all", "top", "bottom"}, default="all"
        Rows are projected onto principal directions of the covariance within classes
        first. "top": the fewest leading directions that together hold at least
        ``variance_share`` of the variance, blind to units that were off in training.
        "bottom": the fewest last ones that do, and all directions that never vary in
        training.
    variance_share : float, default=None
        For "top" and "bottom", in (0, 1). None is 0.99 for "top", 0.01 for "bottom".
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
        Class means; of a single class the location that an estimator has found.
    covariance_ : array of shape (d, d)
        Covariance after shrinkage, before the floor; (C, d, d) for "class", the tied
        one for classes that do not vary.
    covariance_estimator_ : estimator object
        The fitted clone of ``covariance``, if that is an estimator.
    shrinkage_ : float
        Share of the identity that was used; for "class" an ndarray of shape (C,).
    floor_ : float
        Absolute floor of the eigenvalues, 0 for the pseudo-inverse; for "class" an
        ndarray of shape (C,).
    rank_ : int
        Rank of the covariance by the rank rule, on the directions that are kept; for
        "class" an ndarray of shape (C,).
    n_components_ : int
        Number of directions that are kept.
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
    MahalanobisSVDD : Distances that are not squared, and their radius.
    sklearn.covariance.EllipticEnvelope : One class, robust; here this is
        ``covariance=MinCovDet()`` without y.
    sklearn_collapse.metrics.ood_table : Compare detectors.

    Notes
    -----
    Higher is more in-distribution. With d(x; mu, S) = (x - mu)^T S^-1 (x - mu), the
    class means mu_c, the covariance within classes S_W (normaliser n), the mean m of
    all rows and their covariance S_T (normaliser n), the score is ::

        "tied"            -min_c d(x; mu_c, S_W), in (-inf, 0]
        "tied", relative  d(x; m, S_T) - min_c d(x; mu_c, S_W)
        "class"           max_c log N(x; mu_c, S_c), S_c with the normaliser n_c
        "class", relative max_c log N(x; mu_c, S_c) - log N(x; m, S_T)

        log N(x; mu, S) = -(d(x; mu, S) + log det S + r log 2 pi) / 2

    with natural logarithms, r the number of directions that are kept, and no priors.
    Rotations and changes of the unit change no ranking (unless an estimator's
    covariance does not follow them), other invertible linear maps do not either as
    long as no floor acts, all components are kept, and there is neither shrinkage nor
    ``normalize``.

    **Directions that never vary** count: a row that lights a unit that was off in
    training scores about -1 / floor and keeps no digits of the rest. With
    ``relative=True`` and ``floor="auto"`` the floor of S_T is larger by the ratio of
    the largest eigenvalues, so that such rows do not cancel.

    **One covariance per class** [1]_. Rank, shrinkage and floor are those of each
    class, and determinants are of the floored covariance: a class of fewer rows than
    features has a very high density on the span of its rows alone, so shrink. A class
    that does not vary, such as one of a single row, takes the tied covariance. Scoring
    takes n C d^2 operations instead of n d (C + d), and O(C d^2) memory; moments must
    have been gathered with ``class_scatter=True``.

    **Components** [4]_ are directions of S_W before shrinkage, or of the estimate, for
    "class" and relative scores too. Floors and ranks are those of what is kept; the
    level of the shrinkage is that of all directions. The direction at a cut is in both
    halves if it holds part of both shares; a tie there warns. Where nothing varies
    within classes all directions are kept.

    float32 rows are mapped in float32, unless three digits need float64. A threshold
    set on training rows flags far too much when n is near d: calibrate on others.

    References
    ----------
    .. [1] Lee, K., Lee, K., Lee, H., Shin, J. (2018). "A Simple Unified Framework for
       Detecting Out-of-Distribution Samples and Adversarial Attacks". NeurIPS.
    .. [2] Ren, J., et al. (2021). "A Simple Fix to Mahalanobis Distance for Improving
       Near-OOD Detection". arXiv 2106.09022.
    .. [3] Mueller, M., Hein, M. (2025). "Mahalanobis++: Improving OOD Detection via
       Feature Normalization". ICML.
    .. [4] Rippel, O., Mertens, P., Koenig, E., Merhof, D. (2021). "Gaussian Anomaly
       Detection by Modeling the Distribution of Normal Data in Pretrained Deep
       Features". IEEE Trans. Instrumentation and Measurement 70.

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
        **MahalanobisBase._parameter_constraints,
        "covariance": [StrOptions({"tied", "class"}), HasMethods(["fit"])],
        "relative": ["boolean"],
        "components": [StrOptions({"all", "top", "bottom"})],
        "variance_share": [None, Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(
        self,
        covariance="tied",
        *,
        relative=False,
        normalize=False,
        shrinkage=None,
        floor="auto",
        components="all",
        variance_share=None,
        contamination=0.05,
        outlier_label=None,
        device="auto",
    ):
        self.covariance = covariance
        self.relative = relative
        self.normalize = normalize
        self.shrinkage = shrinkage
        self.floor = floor
        self.components = components
        self.variance_share = variance_share
        self.contamination = contamination
        self.outlier_label = outlier_label
        self.device = device

    @fit_context(prefer_skip_nested_validation=True)
    def calibrate(self, X=None, sample_weight=None, *, threshold="quantile"):
        """Set the threshold ``offset_`` from rows or from the law of the distance.

        Parameters
        ----------
        X : array-like of shape (n, d), default=None
            In-distribution features, best ones that were not fitted on: on training
            rows of few more than d the threshold lies far too high. Not used for
            "chi2".
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.
        threshold : {"quantile", "chi2"}, default="quantile"
            "quantile": that of the scores of X. "chi2": the squared distance that the
            chi-squared law exceeds with probability ``contamination``.

        Returns
        -------
        self : object
            The detector, with ``offset_`` the ``contamination`` quantile of the
            scores (averaged inverted CDF), lowered by 1e-6 of their interquartile
            range or by 16 units of rounding, whichever is more; or
            -chi2.isf(contamination, r).

        Notes
        -----
        "chi2" needs no rows, and so serves after ``partial_fit`` and ``fit_moments``.
        It is defined for one covariance of all classes, ``relative=False`` and
        ``normalize=False``. r is the number of directions that are kept and vary in
        training. It assumes that rows are Gaussian about their class mean, and that
        there were many more of them than features: the squared distance to their own
        mean then follows the law, and that to the nearest is no larger, so that at
        most a share ``contamination`` is flagged. Shrinkage and a positive floor make
        distances smaller still. Features of networks have heavier tails: on the test
        rows of the bundled ones 0.17 are flagged for a ``contamination`` of 0.05.
        """
        if threshold == "chi2":
            check_is_fitted(self, "moments_")
            with unchanged_on_error(self):
                self.offset_ = self._chi2_offset()
            return self
        if threshold != "quantile":
            raise ValueError(
                f"threshold must be 'quantile' or 'chi2', got {threshold!r}."
            )
        if X is None:
            check_is_fitted(self, "moments_")
            raise ValueError(
                "threshold='quantile' needs rows: pass in-distribution rows as X, or "
                "threshold='chi2'."
            )
        return super().calibrate(X, sample_weight)

    @property
    def n_components_(self):
        """Number of directions that are kept."""
        check_is_fitted(self, "moments_")
        kept = self._factors().kept
        return kept.stop - kept.start

    def _chi2_offset(self):
        """Score that Gaussian rows exceed but for a share of them."""
        for name, meant in (
            ("covariance", self._by_class),
            ("relative", self._factors().total is not None),
            ("normalize", self.normalize),
        ):
            if meant:
                raise ValueError(
                    f"threshold='chi2' is not defined with {name}="
                    f"{getattr(self, name)!r}, whose scores follow another law: it "
                    f"needs squared distances under one covariance of all classes. "
                    f"Calibrate on rows instead."
                )
        kept, plain = self._factors().kept, self._source("within", 0.0).spectrum()
        free = min(kept.stop, plain.rank) - kept.start
        if free <= 0:
            raise ValueError(
                "threshold='chi2' needs directions in which the features vary within "
                "classes, and that are kept; there are none. Calibrate on rows instead."
            )
        return -float(chdtri(free, self.contamination))

    def _score_rows(self, X):
        found, background, home = self._measure(X)
        if self._by_class:
            return home(found if background is None else found - background)
        return home(-found if background is None else background - found)
