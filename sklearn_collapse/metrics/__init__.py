"""One pure function per published metric, and what is known about each."""

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
from sklearn_collapse.metrics._isotropy import (
    alpha_req,
    eee,
    isoscore,
    vrm,
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
from sklearn_collapse.metrics._ood import fpr_at_tpr, ood_table
from sklearn_collapse.metrics._partition import (
    partition_ratio,
)
from sklearn_collapse.metrics._ranks import (
    effective_rank,
    entropy_rank,
    participation_ratio,
    rankme,
)
from sklearn_collapse.metrics._registry import METRICS
from sklearn_collapse.metrics._relative_ranks import (
    nesum,
    nuclear_rank,
    numerical_rank,
    stable_rank,
)
from sklearn_collapse.metrics._scorers import get_scorer, get_scorer_names
from sklearn_collapse.metrics._utilization import (
    n_components_for_variance,
    spectral_utilization,
    unexplained_variance_area,
)
from sklearn_collapse.metrics._views import (
    barlow_twins_loss,
    least_volume,
    view_alignment,
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
    "alpha_req",
    "barlow_twins_loss",
    "cdnv",
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
    "isoscore",
    "least_volume",
    "mean_cosine",
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
    "nesum",
    "nuclear_rank",
    "numerical_rank",
    "ood_table",
    "participation_ratio",
    "partition_ratio",
    "rankme",
    "spectral_utilization",
    "stable_rank",
    "unexplained_variance_area",
    "vci",
    "vicreg_covariance",
    "vicreg_variance",
    "view_alignment",
    "vrm",
    "wasserstein_uniformity",
]
