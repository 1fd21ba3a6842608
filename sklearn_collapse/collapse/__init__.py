"""Scorers of neural collapse."""

from sklearn_collapse.collapse._neural_collapse import NeuralCollapseScorer

__all__ = ["NeuralCollapseScorer"]
