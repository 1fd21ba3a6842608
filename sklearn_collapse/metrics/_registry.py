"""All metrics, and how the scorers compute them."""

from collections.abc import Callable

from sklearn_collapse.metrics import (
    _coding_rate,
    _decorrelation,
    _directions,
    _duality,
    _isotropy,
    _local_dimension,
    _means,
    _neighbors,
    _ranks,
    _regression,
    _relative_ranks,
    _separation,
    _trees,
    _within,
)
from sklearn_collapse.metrics._metric import ENTERED

# In the order in which they are shown: that of these modules, not of imports.
_MODULES = [
    module.__name__
    for module in (
        *(_within, _separation, _coding_rate, _means, _duality, _regression),
        *(_ranks, _relative_ranks, _isotropy, _directions, _decorrelation),
        *(_local_dimension, _neighbors, _trees),
    )
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
    "lidar": _separation._lidar,
}
# As functions of a UnitGeometry.
UNIT_METRICS = {
    "class_separation": _separation._class_separation,
    "tolerance": _separation._tolerance,
}
HEAD_METRICS = {
    "nc3_self_duality": _duality._nc3_self_duality,
    "nc3_uniform_duality": _duality._nc3_uniform_duality,
    "nc3_product": _duality._nc3_product,
}
ROW_METRICS = ("nc4_agreement", "ncm_accuracy")

# Metrics as functions of FeatureSpectra; "vrm" takes rows as well.
SPECTRUM_METRICS = {
    "effective_rank": _ranks._effective_rank,
    "entropy_rank": _ranks._entropy_rank,
    "rankme": _ranks._rankme,
    "participation_ratio": _ranks._participation_ratio,
    "stable_rank": _relative_ranks._stable_rank,
    "nuclear_rank": _relative_ranks._nuclear_rank,
    "numerical_rank": _relative_ranks._numerical_rank,
    "nesum": _relative_ranks._nesum,
    "isoscore": _isotropy._isoscore,
    "alpha_req": _isotropy._alpha_req,
    "eee": _isotropy._eee,
    "wasserstein_uniformity": _directions._wasserstein_uniformity,
    "mean_cosine": _directions._mean_cosine,
    "vicreg_variance": _decorrelation._vicreg_variance,
    "vicreg_covariance": _decorrelation._vicreg_covariance,
    "feature_std": _directions._feature_std,
    "feature_correlation": _decorrelation._feature_correlation,
}

# As functions of a Neighborhood (and, for lid, of the number of neighbours).
NEIGHBOR_METRICS: dict[str, Callable[..., float]] = {
    "lid": _local_dimension._lid,
    "two_nn": _local_dimension._two_nn,
    "uniformity": _neighbors._uniformity,
    "nearest_neighbor_entropy": _neighbors._nearest_neighbor_entropy,
    "thornton_index": _neighbors._thornton_index,
    "mst_length": _trees._mst_length,
    "mst_dimension": _trees._mst_dimension,
}
