"""One pure function per published metric, and what is known about each."""

from sklearn_collapse.metrics._bootstrap import (
    BootstrapDifference,
    BootstrapInterval,
    bootstrap_difference,
    bootstrap_interval,
)
from sklearn_collapse.metrics._coding_rate import coding_rate_reduction
from sklearn_collapse.metrics._duality import (
    nc3_product,
    nc3_self_duality,
    nc3_uniform_duality,
    nc4_agreement,
    ncm_accuracy,
)
from sklearn_collapse.metrics._hierarchy import mistake_severity
from sklearn_collapse.metrics._latents import (
    CodebookUsage,
    active_units,
    codebook_usage,
    least_volume,
    posterior_collapse,
)
from sklearn_collapse.metrics._layerwise import LayerTable, layerwise
from sklearn_collapse.metrics._means import (
    gnc2_uniformity,
    gof_off_diagonal,
    nc2_equiangularity,
    nc2_equinorm,
    nc2_etf_error,
    nc2_max_angle,
)
from sklearn_collapse.metrics._metric import Metric
from sklearn_collapse.metrics._null import NullReference, null_reference
from sklearn_collapse.metrics._ood import fpr_at_tpr, ood_table
from sklearn_collapse.metrics._registry import METRICS
from sklearn_collapse.metrics._scorers import get_scorer, get_scorer_names
from sklearn_collapse.metrics._separation import class_separation, lidar, tolerance
from sklearn_collapse.metrics._truncation import truncation_curve
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
    "active_units",
    "alignment",
    "bootstrap_difference",
    "bootstrap_interval",
    "cdnv",
    "class_separation",
    "codebook_usage",
    "coding_rate_reduction",
    "cross_correlation_loss",
    "fisher_ratio",
    "fpr_at_tpr",
    "get_scorer",
    "get_scorer_names",
    "gnc2_uniformity",
    "gof_off_diagonal",
    "layerwise",
    "least_volume",
    "lidar",
    "mistake_severity",
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
    "null_reference",
    "ood_table",
    "posterior_collapse",
    "sign_diversity",
    "spectral_alignment",
    "tolerance",
    "truncation_curve",
    "utilized_rank",
    "vci",
]
