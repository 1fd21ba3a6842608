"""Bundled features of a real network, and generators with known answers."""

from sklearn_collapse.datasets._cifar8 import load_cifar8_features
from sklearn_collapse.datasets._cifar8_trajectory import load_cifar8_trajectory
from sklearn_collapse.datasets._generators import make_collapsed_features

__all__ = [
    "load_cifar8_features",
    "load_cifar8_trajectory",
    "make_collapsed_features",
]
