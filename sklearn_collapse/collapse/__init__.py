"""Scorers of collapse: with labels, targets or neither, and by nearest neighbours."""

from sklearn_collapse.collapse._dimensional import DimensionalCollapseScorer
from sklearn_collapse.collapse._neighbors import NeighborCollapseScorer
from sklearn_collapse.collapse._neural_collapse import NeuralCollapseScorer
from sklearn_collapse.collapse._regression import RegressionCollapseScorer

__all__ = [
    "DimensionalCollapseScorer",
    "NeighborCollapseScorer",
    "NeuralCollapseScorer",
    "RegressionCollapseScorer",
]
