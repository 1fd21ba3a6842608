"""How the metrics of labelled features are measured, fitted and on new rows."""

import math

import numpy as np

from sklearn_collapse._base import LabelledMomentsEstimator
from sklearn_collapse._head_argument import check_head, fitted_head, resolve_head
from sklearn_collapse.collapse._base import MetricsScorer, names_of
from sklearn_collapse.collapse._held_out import (
    held_out_directions,
    held_out_metric,
    held_out_rate,
    held_out_weights,
)
from sklearn_collapse.metrics import _per_class
from sklearn_collapse.metrics._coding_rate import (
    rate_reduction,
    rate_reduction_of_moments,
)
from sklearn_collapse.metrics._duality import row_hits
from sklearn_collapse.metrics._geometry import ClassGeometry, check_two_classes
from sklearn_collapse.metrics._registry import (
    GEOMETRY_METRICS,
    HEAD_METRICS,
    METRICS,
    ROW_METRICS,
    UNIT_METRICS,
)
from sklearn_collapse.metrics._separation import UnitGeometry
from sklearn_collapse.utils._arrays import Rows

# Metrics of the class means alone cannot change on new rows.
CRITERIA: frozenset = frozenset(
    name
    for name in names_of("collapse")
    if METRICS[name].needs & {"moments", "unit_moments", "rows"}
)

# Numbers in the scatters of single classes that fit keeps at the most.
_MAX_SCATTER = 2**25


class ClassMetricsScorer(MetricsScorer, LabelledMomentsEstimator):
    """Measure the metrics of labelled features on gathered moments and on rows.

    Subclasses have the parameters ``criterion``, ``head``, ``class_weight``,
    ``metrics``, ``per_class`` and ``device``.
    """

    _family = "collapse"
    _depends_on = ("class_weight",)

    def _moments_options(self):
        flags = {"normalize": False}
        return flags | {"class_scatter": True} if self._balanced else flags

    @property
    def _balanced(self):
        return self.class_weight == "balanced"

    def _too_many_scatters(self, classes, X):
        return len(classes) * X.shape[1] ** 2 > _MAX_SCATTER

    def _check_moments(self, moments):
        self._wanted()  # raises on unknown names
        check_two_classes(moments.classes_)
        head = fitted_head(self.head)
        check_head(head, moments.classes_, moments.n_features)
        self.head_ = head
        self._row_values, self._row_classes, self._sizes = {}, {}, None

    def _geometry(self):
        weight = self.class_weight
        if self._sizes is not None:
            if not self._balanced:
                raise ValueError(
                    "class_weight was 'balanced' in fit, which reweighted the rows, "
                    "and is None now: fit again."
                )
            weight = None
        return self.moments_._cached(
            ("geometry", weight),
            lambda: ClassGeometry(self.moments_, weight, self._sizes),
        )

    def _unit_geometry(self):
        return self.unit_moments_._cached(
            ("geometry", self.class_weight),
            lambda: UnitGeometry(self.unit_moments_, self.class_weight),
        )

    def _resolved_head(self):
        if self.head_ is None:
            return None
        return self.moments_._cached(
            ("head", self.class_weight),
            lambda: resolve_head(self.head_, self._geometry()),
        )

    def _head_rows(self):
        """Weights of the head, a row per class; None for heads without."""
        head = self._resolved_head()
        if head is None or head.coef is None:
            return None
        return head.rows_of(self.classes_)

    def _measure_rows(self, X, codes, row_weights, weights):
        """What `fit` measures on the rows themselves."""
        wanted, n_classes = set(self._wanted()), len(self.classes_)
        self._row_values, self._row_classes = {}, {}
        if wanted & set(ROW_METRICS):
            for name, hits in self._hits(X, codes).items():
                shares = _per_class.share_of_classes(
                    hits, codes, row_weights, n_classes
                )
                # Lists: arrays would move with the estimator to other libraries.
                self._row_classes[name] = shares.tolist()
        if self._needs("class_scatters") and not self.unit_moments_.class_scatter:
            shares = self._geometry().shares
            rate = rate_reduction(X, codes, weights, shares, device=self.device)
            self._row_values["coding_rate_reduction", self.class_weight] = rate
        if self.per_class:
            work = float(X.shape[0]) * math.prod(self.means_.shape)
            rows = Rows(X, self.device, work)
            values = _per_class.nc1_of_rows(self._geometry(), rows, codes, weights)
            self._row_values["nc1_per_class_", self.class_weight] = values.tolist()

    def _measured(self, name):
        """What `fit` measured on rows under the present class weight, or None."""
        return self._row_values.get((name, self.class_weight))

    def _hits(self, X, codes):
        moments = self.moments_
        work = float(X.shape[0]) * math.prod(moments.means_.shape)
        rows = Rows(X, self.device, work)
        return row_hits(rows, moments, codes, self._resolved_head())

    def _had(self):
        had = super()._had()
        return had | {"head"} if self.head_ is not None else had

    def _missing(self, name):
        if name in self._row_classes or self._measured(name) is not None:
            return None
        need = super()._missing(name)
        if need is None and name in HEAD_METRICS and self._head_rows() is None:
            return "coef"
        return need

    def _measure(self):
        wanted = [name for name in self._wanted() if self._missing(name) is None]
        single = [n for n in wanted if n in ("cdnv", "class_separation", "tolerance")]
        if single:
            self._geometry().warn_of_single_rows(", ".join(single))
        if set(wanted) & set(UNIT_METRICS):
            self._unit_geometry().warn_of_zeros("metrics of unit rows")
        return super()._measure()

    def _value(self, name):
        if name in self._row_classes:
            shares = self._geometry().shares
            return float(np.average(self._row_classes[name], weights=shares))
        if self._measured(name) is not None:
            return self._measured(name)
        if name in GEOMETRY_METRICS:
            return GEOMETRY_METRICS[name](self._geometry())
        if name in HEAD_METRICS:
            return HEAD_METRICS[name](self._geometry(), self._head_rows())
        if name in UNIT_METRICS:
            return UNIT_METRICS[name](self._unit_geometry())
        return rate_reduction_of_moments(self.unit_moments_, self.class_weight)

    def _measure_classes(self):
        values = {n: np.array(shares) for n, shares in self._row_classes.items()}
        for name in self._wanted():
            if name in _per_class.OF_GEOMETRY:
                values[name] = _per_class.OF_GEOMETRY[name](self._geometry())
            elif name in UNIT_METRICS and self._missing(name) is None:
                values[name] = _per_class.OF_UNIT_GEOMETRY[name](self._unit_geometry())
            elif name == "nc3_uniform_duality" and self._missing(name) is None:
                values[name] = _per_class.nc3_uniform_duality(
                    self._geometry(), self._head_rows()
                )
            elif name == "nc1_pinv" and hasattr(self, "nc1_per_class_"):
                values[name] = self.nc1_per_class_
        return {name: values[name] for name in self._wanted() if name in values}

    def _held_out(self, name, X, codes, weights):
        """Value of a metric on new rows."""
        geometry = self._geometry()
        if name in ROW_METRICS:
            hits = self._hits(X, codes)
            if name not in hits:
                self._require(name)
            weights = held_out_weights(geometry, codes, weights)
            return float(np.average(hits[name], weights=weights))
        if name in UNIT_METRICS:
            self._require(name)
            unit = self._unit_geometry()
            return held_out_directions(name, unit, X, codes, weights, self.device)
        if name == "coding_rate_reduction":
            return held_out_rate(X, codes, weights, geometry.shares, self.device)
        return held_out_metric(name, geometry, X, codes, weights, self.device)
