"""Metrics called with whatever their signatures ask for."""

import inspect
from copy import copy
from difflib import get_close_matches
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from sklearn_collapse.metrics._metric import Metric
from sklearn_collapse.metrics._registry import METRICS
from sklearn_collapse.utils._arrays import Array, to_numpy
from sklearn_collapse.utils._labels import as_label_array
from sklearn_collapse.utils._validation import (
    check_features,
    check_lengths,
    check_weights,
    drop_zero_weights,
)

# What is handed to a metric; its other parameters are options.
_DATA = ("y", "head", "sample_weight")


class Data(NamedTuple):
    """Rows that have been checked, without those of zero weight."""

    X: Array
    y: np.ndarray | None
    weights: np.ndarray | None

    @property
    def n_rows(self):
        """Number of rows."""
        return self.X.shape[0]


class Measure:
    """A metric with its options; called with data, it returns a float.

    Parameters
    ----------
    metric : str, Metric or callable
        A name in ``METRICS``, an entry of it, or a function whose first argument is X.
        A function that is no metric of the library takes its targets as ``y``, or
        under another name as its second argument.
    options : dict, default=None
        Keyword arguments of the function.
    """

    def __init__(self, metric, options=None):
        self.name, self.function, self.facts = _look_up(metric)
        self.options = dict(options or {})
        parameters = _parameters(self.function, self.name)
        if next(iter(parameters)) == "estimator":
            raise TypeError(
                f"{metric!r} scores an estimator, but features are measured here: "
                f"pass a name in METRICS or a function of (X) or (X, y)."
            )
        self._target = _name_of_target(parameters)
        self._known = set(parameters)
        self.needs_y = bool(self._target) and _is_required(parameters[self._target])
        self.needs_head = "head" in parameters and _is_required(parameters["head"])
        variadic = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        reserved = {*_DATA, self._target, next(iter(parameters))}
        allowed = [name for name in parameters if name not in reserved]
        unknown = [name for name in self.options if name not in allowed]
        if unknown and not variadic:
            raise TypeError(
                f"{self.name} has no option {unknown[0]!r}; its options are {allowed}."
            )

    @property
    def takes_y(self):
        """Whether it measures labels or targets as well."""
        return self._target is not None

    @property
    def takes_head(self):
        """Whether it measures a head as well."""
        return "head" in self._known

    @property
    def takes_weights(self):
        """Whether rows may have weights."""
        return "sample_weight" in self._known

    @property
    def is_of_neighbors(self):
        """Whether it compares rows with their neighbours, so that copies disturb."""
        facts = self.facts
        return facts is not None and "neighbors" in {facts.family, *facts.needs}

    @property
    def direction(self):
        """Which is better, "higher" or "lower", or None."""
        return None if self.facts is None else self.facts.direction

    @property
    def draws(self):
        """Whether it may draw at random."""
        return "random_state" in self._known

    def seeded(self, rng):
        """Return the same with a seed, if it draws at random."""
        if not self.draws or "random_state" in self.options:
            return self
        twin = copy(self)
        twin.options = self.options | {"random_state": int(rng.randint(2**31 - 1))}
        return twin

    def has_classes(self, y):
        """Whether targets are class labels."""
        if self.facts is not None:
            return self.facts.family != "regression"
        y = np.asarray(to_numpy(y))
        return y.ndim == 1 and (y.dtype.kind != "f" or bool(np.all(y == np.floor(y))))

    def data(self, X, y=None, sample_weight=None):
        """Check what is to be measured, once for many calls.

        Returns
        -------
        Data
        """
        X, _ = check_features(X)
        self._check(y, sample_weight=sample_weight)
        if not self.takes_y or y is None:
            y = None
        elif self.has_classes(y):
            y = as_label_array(y)
        else:
            y = np.asarray(to_numpy(y), dtype=float)
        if y is not None:
            check_lengths(X, y)
        weights = check_weights(sample_weight, X.shape[0])
        X, kept, weights = drop_zero_weights(X, weights)
        return Data(X, None if y is None else y[kept], weights)

    def __call__(self, X, y=None, head=None, sample_weight=None):
        """Measure."""
        self._check(y, head, sample_weight, needs_head=self.needs_head)
        arguments = dict(self.options)
        if self.takes_y and (y is not None or self.needs_y):
            arguments[self._target] = y
        if self.takes_head and (head is not None or self.needs_head):
            arguments["head"] = head
        if sample_weight is not None:
            arguments["sample_weight"] = sample_weight
        value = self.function(X, **arguments)
        if getattr(value, "ndim", 0) or isinstance(value, (tuple, list, dict)):
            shape = getattr(value, "shape", None)
            raise ValueError(
                f"{self.name} must give one number here, got "
                f"{type(value).__name__}{'' if shape is None else f' of shape {shape}'}"
                f" with the options {self.options}."
            )
        return float(value)

    def _check(self, y, head=None, sample_weight=None, needs_head=False):
        if self.needs_y and y is None:
            what = "labels or targets of the rows" if self.facts is None else "y"
            if self.facts is not None:
                classes = self.facts.family != "regression"
                what = "class labels" if classes else "continuous targets"
            raise ValueError(f"{self.name} needs {what}: pass y, which is None.")
        if needs_head and head is None:
            raise ValueError(
                f"head is None, but {self.name} compares a head with the data: pass "
                f"head=."
            )
        if sample_weight is not None and not self.takes_weights:
            raise ValueError(
                f"{self.name} takes no sample_weight: pass None, or repeat the rows."
                if not self.is_of_neighbors
                else f"{self.name} takes no sample_weight, because rows are compared "
                f"with their neighbours: pass None."
            )


def measured(metric, X, y=None, head=None, sample_weight=None, **options):
    """Value of a metric, called once."""
    return Measure(metric, options)(X, y, head, sample_weight)


def _look_up(metric) -> tuple[str, Any, Metric | None]:
    """Name, function and, of a metric of the library, what is known about it."""
    if isinstance(metric, str):
        if metric not in METRICS:
            raise ValueError(unknown_name(metric))
        return metric, METRICS[metric].function, METRICS[metric]
    if isinstance(metric, Metric):
        return metric.function.__name__, metric.function, metric
    if not callable(metric):
        raise TypeError(
            f"metric must be a name in METRICS, an entry of it or a function, got "
            f"{type(metric).__name__}."
        )
    inner = metric
    while isinstance(inner, partial):
        inner = inner.func
    facts = next((m for m in METRICS.values() if m.function is inner), None)
    return getattr(inner, "__name__", type(inner).__name__), metric, facts


def unknown_name(name, lister="sorted(METRICS)"):
    """Error text for a name that is not in METRICS; what lists all of them."""
    close = get_close_matches(name.removeprefix("neg_"), METRICS, n=3)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    return f"{name!r} is not the name of a metric.{hint} {lister} lists all of them."


def _parameters(function, name):
    try:
        parameters = dict(inspect.signature(function).parameters)
    except ValueError:  # of a function that is not written in Python
        parameters = {}
    if not parameters:
        raise TypeError(
            f"{name} has no signature with X as its first argument: wrap it in a "
            f"function of (X), (X, y) or (X, y, head)."
        )
    return parameters


def _name_of_target(parameters):
    """Name under which a function takes labels or targets, or None."""
    if "y" in parameters:
        return "y"
    second = list(parameters.values())[1:2]
    if second and second[0].name not in _DATA and _is_required(second[0]):
        return second[0].name
    return None


def _is_required(parameter):
    by_place = parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    return by_place and parameter.default is parameter.empty
