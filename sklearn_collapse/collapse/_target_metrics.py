"""How the metrics of features with continuous targets are measured."""

import math

from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._regression_head import head_weights, row_space
from sklearn_collapse.collapse._base import MetricsScorer
from sklearn_collapse.metrics._projections import (
    moments_residual,
    principal_basis,
    row_residual,
)
from sklearn_collapse.metrics._registry import METRICS
from sklearn_collapse.metrics._regression import gap_of_dimensions, match_targets
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import Rows, namespace
from sklearn_collapse.utils._targets import check_targets, take_targets
from sklearn_collapse.utils._validation import (
    check_weights,
    drop_zero_weights,
    validate_features,
)


class TargetMetricsScorer(MetricsScorer):
    """Measure the metrics of regression on gathered moments and on rows.

    Subclasses have the parameters ``criterion``, ``n_components``, ``head``,
    ``centered``, ``metrics`` and ``device``.
    """

    _family = "regression"
    _depends_on = ("n_components", "centered")
    # The criterion needs unit moments anyway, and the other metric takes them as well.
    _costly = frozenset({"neighbors"})
    _left_by_fit = (
        "target_moments_",
        "head_",
        "_row_values",
        *MetricsScorer._left_by_fit,
    )
    _void_after_update = ("_row_values",)

    def _value(self, name):
        if name == "nrc3":
            return self._match()[0]
        if "rows" in self._needs_of(name):
            return self._row_values[self._key(name)]
        return moments_residual(self.unit_moments_, self._basis(name), name)

    def _measure(self):
        values = super()._measure()
        # Of a single target, any head has the form that NRC3 asks for.
        if not self._chosen and "nrc3" in values and self.n_targets_ == 1:
            del values["nrc3"]
        return values

    def _had(self):
        had = super()._had() | {"neighbors"}
        if hasattr(self, "target_moments_"):
            had.add("targets")
        if getattr(self, "head_", None) is not None:
            had.add("head")
        return had

    def _needs_of(self, name):
        needs = METRICS[name].needs
        if name == "nrc1" and self.n_components is not None:
            needs = needs - {"targets"}
        if self.centered and "unit_moments" in needs:
            needs = (needs - {"unit_moments"}) | {"rows"}
        return needs

    def _missing(self, name):
        if self._key(name) in getattr(self, "_row_values", {}):
            return None
        return super()._missing(name)

    def _key(self, name):
        """Under which a value of rows is kept: what it was measured with."""
        if name == "id_gap":
            return name
        return name, self.centered, self.n_components if name == "nrc1" else None

    def _basis(self, name):
        """Orthonormal columns that a metric projects onto."""
        check_is_fitted(self, "moments_")
        if name == "nrc2":
            self._require_head(name)
            return self.moments_._cached(
                "row space", lambda: row_space(self.head_, namespace(self.head_))
            )
        if self.n_components is None and not hasattr(self, "target_moments_"):
            raise ValueError(
                "nrc1 needs the number of targets: pass n_components, or "
                "target_moments= to fit_moments."
            )
        n_targets = None if self.n_components else self.n_targets_
        return self.moments_._cached(
            ("principal basis", self.n_components),
            lambda: principal_basis(self.moments_, self.n_components, n_targets),
        )

    def _match(self):
        """NRC3 and its gamma."""
        targets = self._targets()
        self._require_head("nrc3")
        return self.moments_._cached(
            "match", lambda: match_targets(targets, self.head_)
        )

    def _measure_rows(self, name, X, weights):
        """Measure a metric on rows by what has been fitted."""
        basis = self._basis(name)
        rows = Rows(X, self.device, work=2.0 * X.shape[0] * math.prod(basis.shape))
        centre = self.moments_.mean_ if self.centered else None
        return row_residual(rows, basis, weights, centre, name)

    def _validate_fit(self, X, y, sample_weight, *, reset, min_samples):
        X = validate_features(self, X, reset=reset, min_samples=min_samples)
        weights = check_weights(sample_weight, X.shape[0])
        y = check_targets(y, X, caller=type(self).__name__)
        self._wanted()  # raises on unknown names
        X, kept, weights = drop_zero_weights(X, weights)
        return X, take_targets(y, kept), weights

    def _gather(self, X, y, weights):
        self._take_head(X, y.shape[1], (X, y, weights))
        super()._gather(X, None, weights)
        self.target_moments_ = self._new_moments().update(y, None, weights)

    def _learn_from_rows(self, X, y, weights):
        self._row_values = {}
        for name in self._wanted():
            if name == "id_gap":
                value = gap_of_dimensions(X, y, self.device)
            elif "rows" in self._needs_of(name) and self._missing(name) == "rows":
                value = self._measure_rows(name, X, weights)
            else:
                continue
            self._row_values[self._key(name)] = value

    def _learn_from_partitions(self, parts):
        self._take_head(self.moments_.means_, self.n_targets_)

    def _continue_moments(self, X, y, weights):
        first = not hasattr(self, "moments_")
        if not first and not hasattr(self, "target_moments_"):
            raise ValueError(
                "partial_fit cannot add targets: the rows before were gathered without "
                "them. Pass target_moments= to fit_moments."
            )
        if not first and y.shape[1] != self.n_targets_:
            raise ValueError(
                f"y has {y.shape[1]} target(s), but {self.n_targets_} before: pass as "
                f"many in every block."
            )
        self._take_head(X, y.shape[1])
        targets = self._new_moments() if first else self.target_moments_
        super()._continue_moments(X, None, weights)
        # The targets have been checked: after the rows nothing can fail.
        self.target_moments_ = targets.update(y, None, weights)

    def _take_head(self, like, n_targets=None, data=None):
        self.head_ = None
        if self.head is not None:
            self.head_ = head_weights(self.head, like, n_targets, data)

    def _targets(self):
        """Moments of the targets."""
        check_is_fitted(self, "moments_")
        if not hasattr(self, "target_moments_"):
            raise AttributeError(
                "There are no moments of the targets: use fit or partial_fit, or pass "
                "target_moments= to fit_moments."
            )
        return self.target_moments_

    def _require_head(self, name):
        if self.head_ is None:
            raise ValueError(f"{name} needs a head: pass head=.")

    def _check_target_moments(self, moments):
        if not isinstance(moments, ClassMoments):
            raise TypeError(
                f"target_moments must be a ClassMoments, got {type(moments).__name__}."
            )
        if moments.normalize:
            raise ValueError(
                "target_moments must be moments of the targets as they are, got "
                "normalize=True: gather them with ClassMoments(normalize=False)."
            )
        ours, theirs = self.moments_.n_samples_, moments.n_samples_
        if abs(theirs - ours) > 1e-9 * ours:
            raise ValueError(
                f"moments and target_moments must be of the same rows, got {ours:g} "
                f"and {theirs:g} rows."
            )
        if moments.place != self.moments_.place:
            raise ValueError(
                f"moments and target_moments must be of the same library and device, "
                f"got {self.moments_.place} and {moments.place}."
            )
