"""What every metric is: function, needs, range, direction, invariances, source."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from sklearn_collapse.metrics import _duality, _means, _within


@dataclass(frozen=True)
class Metric:
    """Facts about one metric.

    Parameters
    ----------
    function : callable
        The public function of the metric.
    family : str
        "collapse", for labelled features.
    needs : frozenset of str
        Among "means", "moments", "rows", "head".
    range : tuple of float
        Lowest and highest value.
    direction : {"higher", "lower"}
        Which is more collapsed.
    invariances : frozenset of str
        Among "rotation", "scale", "translation", "invertible" (any invertible linear
        map) of the features, with the head kept as it is.
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
    direction: str
    invariances: frozenset
    source: str


_RIGID = frozenset({"rotation", "translation", "scale"})
_PAPYAN = "Papyan, Han, Donoho 2020"
_DANG = "Dang et al. 2023"
_LINGUISTIC = "Wu, Papyan 2024"


def _metric(function, needs, high, source, *, direction="lower", low=0.0, keeps=_RIGID):
    return Metric(
        function,
        "collapse",
        frozenset(needs.split()),
        (low, high),
        direction,
        frozenset(keeps),
        source,
    )


METRICS = {
    metric.function.__name__: metric
    for metric in (
        _metric(_within.nc1_pinv, "moments", math.inf, _PAPYAN),
        _metric(_within.nc1_trace_ratio, "moments", math.inf, "Tirer et al. 2023"),
        _metric(
            _within.fisher_ratio,
            "moments",
            math.inf,
            "Fukunaga 1990",
            direction="higher",
            keeps=_RIGID | {"invertible"},
        ),
        _metric(_within.cdnv, "moments", math.inf, "Galanti, Gyorgy, Hutter 2022"),
        _metric(
            _within.vci, "moments", 1.0, "Xu, Liu 2023", keeps=_RIGID | {"invertible"}
        ),
        _metric(_means.nc2_equinorm, "means", math.inf, _PAPYAN),
        _metric(_means.nc2_equiangularity, "means", 1.0, _PAPYAN),
        _metric(_means.nc2_max_angle, "means", 2.0, _PAPYAN),
        _metric(_means.nc2_etf_error, "means", 2.0, _DANG),
        _metric(
            _means.gnc2_uniformity, "means", math.inf, _LINGUISTIC, low=-math.log(2)
        ),
        _metric(
            _means.gof_off_diagonal, "means", 1.0, _DANG, keeps={"rotation", "scale"}
        ),
        _metric(
            _duality.nc3_self_duality,
            "means head",
            2.0,
            _PAPYAN,
            keeps={"scale", "translation"},
        ),
        _metric(
            _duality.nc3_uniform_duality,
            "means head",
            1.0,
            _LINGUISTIC,
            keeps={"scale", "translation"},
        ),
        _metric(
            _duality.nc3_product,
            "means head",
            2.0,
            _DANG,
            keeps={"scale", "translation"},
        ),
        _metric(
            _duality.nc4_agreement,
            "means rows head",
            1.0,
            _PAPYAN,
            direction="higher",
            keeps=set(),
        ),
        _metric(
            _duality.ncm_accuracy,
            "means rows",
            1.0,
            "Galanti, Gyorgy, Hutter 2022",
            direction="higher",
        ),
    )
}

# Metrics as functions of a ClassGeometry (and of aligned head weights).
GEOMETRY_METRICS = {
    "nc1_pinv": _within._nc1_pinv,
    "nc1_trace_ratio": _within._nc1_trace_ratio,
    "fisher_ratio": _within._fisher_ratio,
    "cdnv": _within._cdnv,
    "vci": _within._vci,
    "nc2_equinorm": _means._nc2_equinorm,
    "nc2_equiangularity": _means._nc2_equiangularity,
    "nc2_max_angle": _means._nc2_max_angle,
    "nc2_etf_error": _means._nc2_etf_error,
    "gnc2_uniformity": _means._gnc2_uniformity,
    "gof_off_diagonal": _means._gof_off_diagonal,
}
HEAD_METRICS = {
    "nc3_self_duality": _duality._nc3_self_duality,
    "nc3_uniform_duality": _duality._nc3_uniform_duality,
    "nc3_product": _duality._nc3_product,
}
ROW_METRICS = ("nc4_agreement", "ncm_accuracy")
