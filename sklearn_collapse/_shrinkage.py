"""Shrinkage as a parameter of estimators: what it may be and what it comes to."""

from numbers import Real
from typing import Any

import numpy as np

from sklearn_collapse._linalg._rows import fourth_moments
from sklearn_collapse._linalg._shrinkage import (
    class_traces,
    ledoit_wolf_intensity,
    oas_intensity,
)
from sklearn_collapse.utils._arrays import Rows, to_numpy
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
    _validate_fit: Any

    def _fourth_wanted(self):
        """Covariances, "within" or "total", whose fourth moments are needed."""
        return ("total",)

    def _intensity(self, which):
        """Share of the identity in the "within" or the "total" covariance."""
        if self.shrinkage is None or isinstance(self.shrinkage, Real):
            return float(self.shrinkage or 0.0)
        moments = self._statistics
        n, d = moments.n_samples_, moments.means_.shape[1]
        trace, trace_square = moments._traces(which)
        if not trace:
            return 0.0
        fourth = 0.0
        if self.shrinkage == "ledoit_wolf":
            fourth = float(self._fourth_of(which).sum()) / trace / trace
        return self._of_traces(trace_square, fourth, n, d)

    def _class_intensities(self):
        """Share of the identity in the covariance of each class, (C,) of NumPy.

        The moments have class scatters. A class without variance has the share 0.
        """
        moments = self._statistics
        n_classes, d = moments.means_.shape
        if self.shrinkage is None or isinstance(self.shrinkage, Real):
            return np.full(n_classes, float(self.shrinkage or 0.0))
        fourth = np.zeros(n_classes)
        if self.shrinkage == "ledoit_wolf":
            fourth = self._fourth_of("within")
        counts = to_numpy(moments.counts_)
        traces, squares = class_traces(moments.class_scatter_, moments.counts_)
        return np.asarray(
            [
                self._of_traces(square, value / trace / trace, n, d) if trace else 0.0
                for trace, square, value, n in zip(
                    traces, squares, fourth, counts, strict=True
                )
            ]
        )

    def _of_traces(self, trace_square, fourth, n, d):
        """Intensity of a covariance of trace 1."""
        if self.shrinkage == "oas":
            return oas_intensity(1.0, trace_square, n, d)
        return ledoit_wolf_intensity(1.0, trace_square, fourth, n, d)

    def _fourth_of(self, which):
        """Fourth moments of the classes that ``fit`` has kept."""
        fourth = getattr(self, "_fourth", {}).get(which)
        if fourth is None:
            raise ValueError(
                "shrinkage='ledoit_wolf' needs rows, which partial_fit and fit_moments "
                "do not keep. Use fit(X, y), shrinkage='oas' or a number."
            )
        return np.asarray(fourth)

    def _learn_fourth(self, X, y, weights):
        """Keep the fourth moments about the class means, the mean, or both."""
        if self.shrinkage == "ledoit_wolf":
            self._fourth = _as_lists(self._measure_fourth(X, y, weights))

    def _learn_from_partitions(self, parts):
        if self.shrinkage == "ledoit_wolf":
            self._fourth = _as_lists(parts.sum(self, "_fourth_of_partition"))
        super()._learn_from_partitions(parts)  # type: ignore[misc]

    def _fourth_of_partition(self, X, y, weights):
        X, y, weights = self._validate_fit(X, y, weights, reset=False, min_samples=0)
        return self._measure_fourth(X, y, weights) if X.shape[0] else None

    def _measure_fourth(self, X, y, weights):
        """Fourth moments of rows, (C,) or (1,) of NumPy, by covariance."""
        moments, n = self._statistics, X.shape[0]
        rows = Rows(X, self.device, work=float(n) * X.shape[1])
        one = np.zeros(n, dtype=int)
        passes = {}
        if "within" in self._fourth_wanted():
            own = one if y is None else encode_known(y, moments.classes_)
            passes["within"] = (moments.means_, own)
        if "total" in self._fourth_wanted():
            passes["total"] = (moments.mean_[None, :], one)
        options = {"normalize": moments.normalize}
        return {
            which: fourth_moments(rows, means, codes, weights, **options)
            for which, (means, codes) in passes.items()
        }


def _as_lists(arrays):
    # Arrays would move with the estimator to other libraries.
    return {name: values.tolist() for name, values in arrays.items()}
