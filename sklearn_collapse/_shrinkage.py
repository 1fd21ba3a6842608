"""Shrinkage as a parameter of estimators: what it may be and what it comes to."""

from numbers import Real
from typing import Any

import numpy as np

from sklearn_collapse._linalg._rows import fourth_moment
from sklearn_collapse._linalg._shrinkage import ledoit_wolf_intensity, oas_intensity
from sklearn_collapse.utils._arrays import Rows
from sklearn_collapse.utils._labels import encode_known
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions

SHRINKAGE = [
    None,
    StrOptions({"oas", "ledoit_wolf"}),
    Interval(Real, 0, 1, closed="both"),
]


class ShrinkageMixin:
    """Share of the identity in a covariance of the moments.

    For a `MomentsEstimator` with the parameters ``shrinkage`` and ``device``. What
    Ledoit and Wolf need of the rows is kept in ``_fourth``, by covariance.
    """

    shrinkage: Any
    device: str
    _statistics: Any

    def _intensity(self, which):
        """Share of the identity in the "within" or the "total" covariance."""
        if self.shrinkage is None or isinstance(self.shrinkage, Real):
            return float(self.shrinkage or 0.0)
        moments = self._statistics
        n, d = moments.n_samples_, moments.means_.shape[1]
        trace, trace_square = moments._traces(which)
        if not trace:
            return 0.0
        if self.shrinkage == "oas":
            return oas_intensity(1.0, trace_square, n, d)
        fourth = getattr(self, "_fourth", {}).get(which)
        if fourth is None:
            raise ValueError(
                "shrinkage='ledoit_wolf' needs rows, which partial_fit and fit_moments "
                "do not keep. Use fit(X, y), shrinkage='oas' or a number."
            )
        return ledoit_wolf_intensity(1.0, trace_square, fourth / trace / trace, n, d)

    def _learn_fourth(self, X, y, weights, *, within=False, total=False):
        """Keep the fourth moments about the class means, the mean, or both."""
        if self.shrinkage != "ledoit_wolf":
            return
        moments, n = self._statistics, X.shape[0]
        rows = Rows(X, self.device, work=float(n) * X.shape[1])
        one = np.zeros(n, dtype=int)
        passes = {}
        if within:
            own = one if y is None else encode_known(y, moments.classes_)
            passes["within"] = (moments.means_, own)
        if total:
            passes["total"] = (moments.mean_[None, :], one)
        self._fourth = {
            which: fourth_moment(
                rows, means, codes, weights, normalize=moments.normalize
            )
            for which, (means, codes) in passes.items()
        }
