"""One pure function per published metric, and what is known about each."""

from sklearn_collapse.metrics._bootstrap import (
    BootstrapDifference,
    BootstrapInterval,
    bootstrap_difference,
    bootstrap_interval,
)
from sklearn_collapse.metrics._coding_rate import coding_rate_reduction
from sklearn_collapse.metrics._decorrelation import (
    feature_correlation,
    vicreg_covariance,
    vicreg_variance,
)
from sklearn_collapse.metrics._directions import (
    feature_std,
    mean_cosine,
    wasserstein_uniformity,
)
from sklearn_collapse.metrics._duality import (
    nc3_product,
    nc3_self_duality,
    nc3_uniform_duality,
    nc4_agreement,
    ncm_accuracy,
)
from sklearn_collapse.metrics._hierarchy import mistake_severity
from sklearn_collapse.metrics._isotropy import alpha_req, eee, isoscore, vrm
from sklearn_collapse.metrics._latents import (
    CodebookUsage,
    active_units,
    codebook_usage,
    least_volume,
    posterior_collapse,
)
from sklearn_collapse.metrics._layerwise import LayerTable, layerwise
from sklearn_collapse.metrics._local_dimension import lid, two_nn
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
    nearest_neighbor_entropy,
    thornton_index,
    uniformity,
)
from sklearn_collapse.metrics._null import NullReference, null_reference
from sklearn_collapse.metrics._ood import fpr_at_tpr
from sklearn_collapse.metrics._ood_separability import linear_separability
from sklearn_collapse.metrics._ood_table import OODTable, ood_table
from sklearn_collapse.metrics._partition import partition_ratio
from sklearn_collapse.metrics._ranks import (
    effective_rank,
    entropy_rank,
    participation_ratio,
    rankme,
)
from sklearn_collapse.metrics._registry import METRICS
from sklearn_collapse.metrics._regression import id_gap, nrc1, nrc2, nrc3
from sklearn_collapse.metrics._relative_ranks import (
    nesum,
    nuclear_rank,
    numerical_rank,
    stable_rank,
)
from sklearn_collapse.metrics._scorers import get_scorer, get_scorer_names
from sklearn_collapse.metrics._separation import class_separation, lidar, tolerance
from sklearn_collapse.metrics._trees import (
    mst_dimension,
    mst_length,
    topological_separability,
)
from sklearn_collapse.metrics._truncation import truncation_curve
from sklearn_collapse.metrics._utilization import (
    n_components_for_variance,
    spectral_utilization,
    unexplained_variance_area,
)
from sklearn_collapse.metrics._views import alignment, cross_correlation_loss
from sklearn_collapse.metrics._weights import (
    sign_diversity,
    spectral_alignment,
    utilized_rank,
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
    "BootstrapDifference",
    "BootstrapInterval",
    "CodebookUsage",
    "CollapseWarning",
    "LayerTable",
    "Metric",
    "NullReference",
    "OODTable",
    "active_units",
    "alignment",
    "alpha_req",
    "bootstrap_difference",
    "bootstrap_interval",
    "cdnv",
    "class_separation",
    "codebook_usage",
    "coding_rate_reduction",
    "cross_correlation_loss",
    "eee",
    "effective_rank",
    "entropy_rank",
    "feature_correlation",
    "feature_std",
    "fisher_ratio",
    "fpr_at_tpr",
    "get_scorer",
    "get_scorer_names",
    "gnc2_uniformity",
    "gof_off_diagonal",
    "id_gap",
    "isoscore",
    "layerwise",
    "least_volume",
    "lid",
    "lidar",
    "linear_separability",
    "mean_cosine",
    "mistake_severity",
    "mst_dimension",
    "mst_length",
    "n_components_for_variance",
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
    "nesum",
    "nrc1",
    "nrc2",
    "nrc3",
    "nuclear_rank",
    "null_reference",
    "numerical_rank",
    "ood_table",
    "participation_ratio",
    "partition_ratio",
    "posterior_collapse",
    "rankme",
    "sign_diversity",
    "spectral_alignment",
    "spectral_utilization",
    "stable_rank",
    "thornton_index",
    "tolerance",
    "topological_separability",
    "truncation_curve",
    "two_nn",
    "unexplained_variance_area",
    "uniformity",
    "utilized_rank",
    "vci",
    "vicreg_covariance",
    "vicreg_variance",
    "vrm",
    "wasserstein_uniformity",
]
