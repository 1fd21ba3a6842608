"""What the detectors by Mahalanobis distance share."""

from numbers import Real
from typing import Any

from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._estimated import fit_covariance, with_covariance
from sklearn_collapse._linalg._gaussians import class_covariances, largest_log_density
from sklearn_collapse._linalg._moments import unit_rows
from sklearn_collapse._linalg._rows import nearest_class, whitening_needs_float64
from sklearn_collapse._shrinkage import SHRINKAGE, ShrinkageMixin
from sklearn_collapse.ood._mahalanobis_factors import (
    Source,
    class_factors,
    pool,
    tied_factors,
)
from sklearn_collapse.ood._moments_detector import MomentsDetector
from sklearn_collapse.utils._arrays import Rows, as_like, namespace, to_numpy
from sklearn_collapse.utils._available import available_unless
from sklearn_collapse.utils._labels import encode_known
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions

# Share of the variance that Rippel et al. keep at the top or at the bottom.
_SHARES = {"top": 0.99, "bottom": 0.01}


def _not_streaming(estimator):
    if not estimator._is_estimated:
        return ""
    return (
        f"partial_fit and fit_moments are not available with covariance="
        f"{type(estimator.covariance).__name__}, which needs all rows at once. Use "
        f"fit, or covariance='tied' with shrinkage=."
    )


class MahalanobisBase(ShrinkageMixin, MomentsDetector):
    """Distances to class means under covariances; subclasses make scores of them.

    For the parameters ``covariance``, ``normalize``, ``shrinkage`` and ``floor``.
    """

    _parameter_constraints: dict = {
        **MomentsDetector._parameter_constraints,
        "normalize": ["boolean"],
        "shrinkage": SHRINKAGE,
        "floor": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
    }
    _estimates = ("covariance_estimator_", "_estimated")
    _left_by_fit = (*MomentsDetector._left_by_fit, *_estimates)
    _void_after_update = (*MomentsDetector._void_after_update, *_estimates)

    covariance: Any
    normalize: bool
    floor: Any
    # Parameters that not every subclass has.
    relative = False
    components = "all"
    variance_share: float | None = None

    @available_unless(_not_streaming)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Add rows to the moments; the threshold is void until `calibrate`.

        Parameters
        ----------
        X : array-like of shape (n, d)
            In-distribution features.
        y : array-like of shape (n,), default=None
            Class labels, in every block or in none.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            The detector.
        """
        return super().partial_fit(X, y, sample_weight)

    @available_unless(_not_streaming)
    def fit_moments(self, moments):
        """Fit from moments that were gathered elsewhere.

        Parameters
        ----------
        moments : ClassMoments
            Gathered with the flags that this detector needs; it is left as it is.

        Returns
        -------
        self : object
            The detector. What needs rows is absent or raises.
        """
        return super().fit_moments(moments)

    @property
    def means_(self):
        """Class means."""
        check_is_fitted(self, "moments_")
        return self._source("within", 0.0).moments.means_

    @property
    def covariance_(self):
        """Covariance after shrinkage."""
        check_is_fitted(self, "moments_")
        within = self._source("within")
        tied = within.moments._covariance(within.which, within.shrinkage)
        if not self._by_class:
            return tied
        borrowed = as_like(self._factors().borrowed, tied)
        moments, xp = self.moments_._gathered(), namespace(tied)
        shares, every = self._class_intensities(), slice(0, moments.means.shape[0])
        own = class_covariances(moments, shares, every, xp)
        return xp.where(borrowed[:, None, None], tied, own)

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

    @property
    def _is_estimated(self):
        """Whether another estimator estimates the covariance."""
        return hasattr(self.covariance, "fit")

    def _moments_options(self):
        options = {"normalize": self.normalize}
        # Moments that hold more than is needed serve as well.
        return {**options, "class_scatter": True} if self._by_class else options

    @property
    def _by_class(self):
        return isinstance(self.covariance, str) and self.covariance == "class"

    def _learn_from_rows(self, X, y, weights):
        if self._is_estimated:
            self._estimate(X, y, weights)
        else:
            self._learn_fourth(X, y, weights)
        super()._learn_from_rows(X, y, weights)

    def _fourth_wanted(self):
        return ("within", "total") if self.relative else ("within",)

    def _estimate(self, X, y, weights):
        """Fit copies of the covariance estimator on centred rows."""
        if self.shrinkage:
            raise ValueError(
                f"shrinkage={self.shrinkage!r} has no meaning beside covariance="
                f"{type(self.covariance).__name__}, whose estimate is taken as it is. "
                f"Leave shrinkage at its default."
            )
        moments = self.moments_
        rows = to_numpy(X).astype(float)
        if self.normalize:
            rows = unit_rows(rows, namespace(rows))
        means = to_numpy(moments.means_)
        own = 0 if y is None else encode_known(y, moments.classes_)
        fitted, covariance, location = fit_covariance(
            self.covariance, rows - means[own], weights
        )
        if location is not None:
            location = means[0] + location
        self.covariance_estimator_ = fitted
        self._estimated = {"within": with_covariance(moments, covariance, location)}
        if self.relative and len(means) > 1:
            _, covariance, _ = fit_covariance(
                self.covariance, rows - to_numpy(moments.mean_), weights
            )
            self._estimated["total"] = with_covariance(
                moments._unlabelled(), covariance
            )

    def _source(self, which, shrinkage=None):
        """Covariance within classes or of all rows, wherever it comes from."""
        if self._is_estimated != hasattr(self, "_estimated"):
            raise ValueError(
                "covariance was changed after fit, which used it: fit again."
            )
        if not self._is_estimated:
            share = self._intensity(which) if shrinkage is None else shrinkage
            return Source(self.moments_, which, share)
        if which not in self._estimated:
            raise ValueError(
                "relative was changed after fit, which used it: fit again."
            )
        return Source(self._estimated[which], "within", 0.0)

    def _with_class_scatters(self):
        """Moments, if they hold one scatter per class."""
        self._check_flags(self.moments_)
        return self.moments_

    def _factors(self):
        key = (
            *("mahalanobis", self._by_class, self.relative, self.shrinkage, self.floor),
            *(self.components, self.variance_share),
        )
        source = self._source("within", 0.0)
        return source.moments._latest("mahalanobis", key, self._factorise)

    def _factorise(self):
        within = self._source("within")
        share = self.variance_share or _SHARES.get(self.components, 1.0)
        pooled = pool(within, self.floor, self.components, share)
        total = None
        if self.relative and within.moments.means_.shape[0] > 1:
            total = self._source("total")
        if not self._by_class:
            return tied_factors(within, total, pooled, self.floor)
        self._with_class_scatters()
        shares = self._class_intensities()
        return class_factors(within, total, pooled, self.floor, shares)

    def _measure(self, X):
        """Squared distance to the nearest class, or the largest log-density.

        Returns
        -------
        found : array of shape (n,)
            Where the rows are worked on.
        background : array of shape (n,) or None
            The same of all rows as one class, with ``relative``.
        home : callable
            Brings results back to X's own library.
        """
        factors = self._factors()
        n, d = X.shape
        products = factors.within.means.shape[0] if self._by_class else 1
        rows = Rows(X, self.device, work=float(n) * d * d * products)
        options = {
            "normalize": self.moments_.normalize,
            "wide": whitening_needs_float64(factors.condition),
        }
        if self._by_class:

            def measure(metric):
                return largest_log_density(rows, metric, **options)

        else:

            def measure(metric):
                return nearest_class(rows, metric, **options)[1]

        found = measure(factors.within)
        background = None if factors.total is None else measure(factors.total)
        return found, background, rows.home
