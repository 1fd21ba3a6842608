"""One pure function per published metric, and what is known about each."""

from sklearn_collapse.metrics._duality import (
    nc3_product,
    nc3_self_duality,
    nc3_uniform_duality,
    nc4_agreement,
    ncm_accuracy,
)
from sklearn_collapse.metrics._means import (
    gnc2_uniformity,
    gof_off_diagonal,
    nc2_equiangularity,
    nc2_equinorm,
    nc2_etf_error,
    nc2_max_angle,
)
from sklearn_collapse.metrics._metric import Metric
from sklearn_collapse.metrics._neighbors import (
    lid,
    nearest_neighbor_entropy,
    thornton_index,
    two_nn,
    uniformity,
)
from sklearn_collapse.metrics._ood import fpr_at_tpr, ood_table
from sklearn_collapse.metrics._registry import METRICS
from sklearn_collapse.metrics._regression import id_gap, nrc1, nrc2, nrc3
from sklearn_collapse.metrics._scorers import get_scorer, get_scorer_names
from sklearn_collapse.metrics._trees import (
    mst_dimension,
    mst_length,
    topological_separability,
)
from sklearn_collapse.metrics._within import (
    cdnv,
    fisher_ratio,
    nc1_pinv,
    nc1_trace_ratio,
    vci,
)
from sklearn_collapse.utils._warnings import CollapseWarning

__all__ = [
    "METRICS",
    "CollapseWarning",
    "Metric",
    "cdnv",
    "fisher_ratio",
    "fpr_at_tpr",
    "get_scorer",
    "get_scorer_names",
    "gnc2_uniformity",
    "gof_off_diagonal",
    "id_gap",
    "lid",
    "mst_dimension",
    "mst_length",
    "nc1_pinv",
    "nc1_trace_ratio",
    "nc2_equiangularity",
    "nc2_equinorm",
    "nc2_etf_error",
    "nc2_max_angle",
    "nc3_product",
    "nc3_self_duality",
    "nc3_uniform_duality",
    "nc4_agreement",
    "ncm_accuracy",
    "nearest_neighbor_entropy",
    "nrc1",
    "nrc2",
    "nrc3",
    "ood_table",
    "thornton_index",
    "topological_separability",
    "two_nn",
    "uniformity",
    "vci",
]
