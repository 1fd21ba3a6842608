"""Facts about a metric, written down where its function is."""

import math
from collections.abc import Callable
from dataclasses import dataclass

# Kinds of maps of the features that may leave a value as it is.
INVARIANCES = ("rotation", "translation", "scale", "invertible", "cloning")
RIGID = frozenset({"rotation", "translation", "scale", "cloning"})


@dataclass(frozen=True)
class Metric:
    """Facts about one metric.

    Parameters
    ----------
    function : callable
        The public function of the metric.
    family : {"collapse", "regression", "dimensional", "neighbors"}
        Features with class labels, with continuous targets, without any; metrics of
        nearest neighbours.
    needs : frozenset of str
        Among "means", "moments", "unit_moments" (moments of rows of length 1),
        "class_scatters", "rows", "head", "neighbors", "targets".
    range : tuple of float
        Lowest and highest value.
    direction : {"higher", "lower", None}
        For metrics of labelled features and targets, which is more collapsed in the
        sense of the paper; for the others, which is less degenerate. None where
        neither is better.
    invariances : frozenset of str
        Among "rotation", "scale", "translation", "invertible" (any invertible linear
        map) of the features, and "cloning" (every row repeated equally often), with
        the head and the targets kept as they are.
    source : str
        Where the formula is from.

    Examples
    --------
    >>> from sklearn_collapse.metrics import METRICS
    >>> METRICS["vci"].direction, METRICS["vci"].range
    ('lower', (0.0, 1.0))
    """

    function: Callable
    family: str
    needs: frozenset
    range: tuple
    direction: str | None
    invariances: frozenset
    source: str


ENTERED: dict[str, Metric] = {}


def metric(family, needs, source, *, direction, low=0.0, high=math.inf, keeps=RIGID):
    """Enter a function into ``METRICS``; it is returned as it is.

    Parameters
    ----------
    family, source, direction
        As in `Metric`.
    needs : str
        Words, separated by blanks.
    low, high : float
        The range.
    keeps : set of str
        The invariances.
    """

    def enter(function):
        ENTERED[function.__name__] = Metric(
            function,
            family,
            frozenset(needs.split()),
            (low, high),
            direction,
            frozenset(keeps),
            source,
        )
        return function

    return enter
