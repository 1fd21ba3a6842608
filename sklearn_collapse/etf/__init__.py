"""Ideal frames, and how class means align with them."""

from sklearn_collapse.etf._aligner import ETFAligner
from sklearn_collapse.etf._etf_classifier import ETFClassifier
from sklearn_collapse.etf._frames import simplex_etf
from sklearn_collapse.etf._grassmann import GrassmannClassifier
from sklearn_collapse.etf._scorer import ETFAlignmentScorer

__all__ = [
    "ETFAligner",
    "ETFAlignmentScorer",
    "ETFClassifier",
    "GrassmannClassifier",
    "simplex_etf",
]
