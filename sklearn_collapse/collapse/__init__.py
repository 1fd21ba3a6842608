"""Scorers of neural collapse."""

from sklearn_collapse.collapse._neural_collapse import NeuralCollapseScorer
from sklearn_collapse.collapse._regression import RegressionCollapseScorer

__all__ = ["NeuralCollapseScorer", "RegressionCollapseScorer"]
