"""What the scorers of moments share: the metrics wanted, their needs, `metrics_`."""

from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._base import MomentsEstimator, unchanged_on_error
from sklearn_collapse.metrics._registry import METRICS
from sklearn_collapse.moments import ClassMoments

# What a default choice of metrics leaves out: it takes another pass over the rows.
COSTLY = frozenset({"unit_moments", "class_scatters"})

_REMEDIES = {
    "head": "a head: pass head=",
    "coef": "a head with coef_",
    "rows": "rows: use fit, not partial_fit or fit_moments, on rows in memory",
    "unit_moments": (
        "moments of unit rows: name it in metrics before fitting, or pass "
        "unit_moments= to fit_moments"
    ),
    "class_scatters": (
        "the scatter of each class of unit rows: name it in metrics before fitting, "
        "or pass unit_moments= gathered with class_scatter=True to fit_moments"
    ),
    "targets": (
        "targets: use fit or partial_fit, or pass target_moments= to fit_moments"
    ),
}


def names_of(family):
    """Names of the metrics of a family."""
    return [name for name, metric in METRICS.items() if metric.family == family]


def about_metric(name):
    """Which direction is better, and the definition in a line."""
    metric = METRICS[name]
    summary = (metric.function.__doc__ or "").partition("\n")[0]
    return metric.direction, summary.replace("`", "").removesuffix(".")


class MetricsScorer(MomentsEstimator):
    """Measure metrics of one family on gathered moments.

    Subclasses have the parameters ``criterion`` and ``metrics`` and say what they have
    (`_had`), how a metric is computed (`_value`) and on what parameters the values
    depend (`_depends_on`).
    """

    _family: str
    _depends_on: tuple = ()
    # Needs that only a metric which is named in `metrics` may call for.
    _costly = COSTLY
    _left_by_fit = ("unit_moments_", *MomentsEstimator._left_by_fit)

    def _value(self, name):
        """Value of a metric whose needs are met."""
        raise NotImplementedError

    def _about_metric(self, name):
        return about_metric(name)

    def _had(self):
        """Which needs of metrics are met."""
        had = {"means", "moments"}
        if hasattr(self, "unit_moments_"):
            had.add("unit_moments")
            if self.unit_moments_.class_scatter:
                had.add("class_scatters")
        return had

    @property
    def metrics_(self):
        """Value of each metric."""
        check_is_fitted(self, "moments_")
        parameters = tuple(getattr(self, name) for name in self._depends_on)
        key = ("metrics", parameters, tuple(self._wanted()))
        return dict(self.moments_._cached(key, self._measure))

    def fit_moments(self, moments, unit_moments=None):
        """Fit from moments that were gathered elsewhere.

        Parameters
        ----------
        moments : ClassMoments
            Gathered with the flags that this estimator needs; it is left as it is.
        unit_moments : ClassMoments, default=None
            Moments of the same rows, gathered with ``normalize=True``; for metrics
            of unit rows.

        Returns
        -------
        self : object
            The estimator. What needs rows is absent or raises.
        """
        with unchanged_on_error(self):
            super().fit_moments(moments)
            if unit_moments is not None:
                self._check_unit_moments(unit_moments)
                self.unit_moments_ = unit_moments.copy()
        return self

    def _measure(self):
        values = {}
        for name in self._wanted():
            if self._missing(name) is None:
                values[name] = self._value(name)
            elif self._chosen:
                self._require(name)
        return values

    def _missing(self, name):
        """The first need of a metric that is not met, or None."""
        return min(self._needs_of(name) - self._had(), default=None)

    def _needs_of(self, name):
        """Needs of a metric under the parameters of the estimator."""
        return METRICS[name].needs

    def _require(self, name):
        """Raise, naming what a metric needs, unless it can be had."""
        need = self._missing(name)
        if need is not None:
            raise ValueError(f"{name} needs {_REMEDIES[need]}.")

    @property
    def _chosen(self):
        """Whether the metrics were chosen one by one."""
        return self.metrics is not None and self.metrics != "all"

    def _wanted(self):
        """Names of the metrics that `metrics_` holds, as far as they can be had."""
        names = names_of(self._family)
        if self._chosen:
            unknown = [name for name in self.metrics if name not in names]
            if unknown:
                raise ValueError(
                    f"metrics contains unknown names {unknown}; known are {names}."
                )
            return list(self.metrics)
        if self.metrics == "all":
            return names
        return [
            name
            for name in names
            if name == self.criterion or not self._needs_of(name) & self._costly
        ]

    def _needs(self, what):
        """Whether a metric that is wanted, or the criterion, needs something."""
        wanted = {*self._wanted(), self.criterion} & set(METRICS)
        return any(what in self._needs_of(name) for name in wanted)

    def _gather(self, X, y, weights):
        super()._gather(X, y, weights)
        self._gather_unit(X, y, weights)

    def _gather_unit(self, X, y, weights, scatters=True):
        """Gather the moments of unit rows, in ``fit``, if a metric needs them."""
        if self._needs("unit_moments"):
            moments = self._new_unit_moments(scatters)
            self.unit_moments_ = moments.update(X, y, weights)

    def _continue_moments(self, X, y, weights):
        # Rows that were gathered without them cannot be added later: what needs the
        # moments of unit rows then stays absent.
        if not hasattr(self, "moments_") and self._needs("unit_moments"):
            self.unit_moments_ = self._new_unit_moments()
        super()._continue_moments(X, y, weights)
        if hasattr(self, "unit_moments_"):
            self.unit_moments_.update(X, y, weights)

    def _new_unit_moments(self, scatters=True):
        return ClassMoments(
            normalize=True,
            class_scatter=scatters and self._needs("class_scatters"),
            device=self.device,
        )

    def _check_unit_moments(self, unit_moments):
        if not isinstance(unit_moments, ClassMoments):
            raise TypeError(
                f"unit_moments must be a ClassMoments, got "
                f"{type(unit_moments).__name__}."
            )
        if not unit_moments.normalize:
            raise ValueError(
                "unit_moments must be moments of unit rows, got normalize=False: "
                "gather them with ClassMoments(normalize=True)."
            )
        ours, theirs = self.moments_, unit_moments
        same = theirs.n_features == ours.n_features
        same = same and theirs.classes_.tolist() == ours.classes_.tolist()
        if not same or abs(theirs.n_samples_ - ours.n_samples_) > 1e-9 * (
            ours.n_samples_
        ):
            raise ValueError(
                f"moments and unit_moments must be of the same rows, got "
                f"{ours.n_samples_:g} rows of {ours.n_features} features in "
                f"{len(ours.classes_)} classes and {theirs.n_samples_:g} rows of "
                f"{theirs.n_features} features in {len(theirs.classes_)} classes."
            )
        if theirs.place != ours.place:
            raise ValueError(
                f"moments and unit_moments must be of the same library and device, "
                f"got {ours.place} and {theirs.place}."
            )
