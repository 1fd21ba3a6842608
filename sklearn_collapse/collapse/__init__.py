"""Scorers of collapse."""

from sklearn_collapse.collapse._dimensional import DimensionalCollapseScorer
from sklearn_collapse.collapse._neural_collapse import NeuralCollapseScorer

__all__ = ["DimensionalCollapseScorer", "NeuralCollapseScorer"]
