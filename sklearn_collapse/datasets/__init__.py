"""Bundled features of a real network."""

from sklearn_collapse.datasets._cifar8 import load_cifar8_features

__all__ = ["load_cifar8_features"]
