"""Scorers of collapse: of labelled features, and by nearest neighbours."""

from sklearn_collapse.collapse._neighbors import NeighborCollapseScorer
from sklearn_collapse.collapse._neural_collapse import NeuralCollapseScorer
from sklearn_collapse.collapse._regression import RegressionCollapseScorer

__all__ = [
    "NeighborCollapseScorer",
    "NeuralCollapseScorer",
    "RegressionCollapseScorer",
]
