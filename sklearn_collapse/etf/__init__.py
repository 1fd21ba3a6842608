"""Ideal frames, and how class means align with them."""

from sklearn_collapse.etf._aligner import ETFAligner
from sklearn_collapse.etf._compatibility import (
    CompatibilityScorer,
    compatibility_metrics,
)
from sklearn_collapse.etf._etf_classifier import ETFClassifier
from sklearn_collapse.etf._frames import hypercube_frame, orthoplex_frame, simplex_etf
from sklearn_collapse.etf._grassmann import GrassmannClassifier
from sklearn_collapse.etf._hierarchical import hierarchical_frame
from sklearn_collapse.etf._report import (
    FrameReport,
    frame_gram,
    frame_report,
    rankin_bound,
    welch_bound,
)
from sklearn_collapse.etf._scorer import ETFAlignmentScorer
from sklearn_collapse.etf._sparse import sparse_etf
from sklearn_collapse.etf._spread import spread_frame

__all__ = [
    "CompatibilityScorer",
    "ETFAligner",
    "ETFAlignmentScorer",
    "ETFClassifier",
    "FrameReport",
    "GrassmannClassifier",
    "compatibility_metrics",
    "frame_gram",
    "frame_report",
    "hierarchical_frame",
    "hypercube_frame",
    "orthoplex_frame",
    "rankin_bound",
    "simplex_etf",
    "sparse_etf",
    "spread_frame",
    "welch_bound",
]
