"""Ideal frames, and how class means align with them."""

from sklearn_collapse.etf._aligner import ETFAligner
from sklearn_collapse.etf._compatibility import (
    CompatibilityScorer,
    compatibility_metrics,
)
from sklearn_collapse.etf._etf_classifier import ETFClassifier
from sklearn_collapse.etf._frames import simplex_etf
from sklearn_collapse.etf._grassmann import GrassmannClassifier
from sklearn_collapse.etf._scorer import ETFAlignmentScorer

__all__ = [
    "CompatibilityScorer",
    "ETFAligner",
    "ETFAlignmentScorer",
    "ETFClassifier",
    "GrassmannClassifier",
    "compatibility_metrics",
    "simplex_etf",
]
