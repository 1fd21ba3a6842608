"""All metrics, and how the scorers compute them."""

from collections.abc import Callable

from sklearn_collapse.metrics import (
    _duality,
    _means,
    _neighbors,
    _regression,
    _trees,
    _within,
)
from sklearn_collapse.metrics._metric import ENTERED

# In the order in which they are shown: that of these modules, not of imports.
_MODULES = [
    module.__name__
    for module in (_within, _means, _duality, _regression, _neighbors, _trees)
]

METRICS = {
    name: metric
    for module in _MODULES
    for name, metric in ENTERED.items()
    if metric.function.__module__ == module
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

# As functions of a Neighborhood (and, for lid, of the number of neighbours).
NEIGHBOR_METRICS: dict[str, Callable[..., float]] = {
    "lid": _neighbors._lid,
    "two_nn": _neighbors._two_nn,
    "uniformity": _neighbors._uniformity,
    "nearest_neighbor_entropy": _neighbors._nearest_neighbor_entropy,
    "thornton_index": _neighbors._thornton_index,
    "mst_length": _trees._mst_length,
    "mst_dimension": _trees._mst_dimension,
}
