"""Whitening and spectral transforms of features."""

from sklearn_collapse.whitening._class_subspace import ClassSubspaceProjector
from sklearn_collapse.whitening._iternorm import IterNormWhitener
from sklearn_collapse.whitening._spectral import SpectralWhitener
from sklearn_collapse.whitening._transformer import SpectralTransformer

__all__ = [
    "ClassSubspaceProjector",
    "IterNormWhitener",
    "SpectralTransformer",
    "SpectralWhitener",
]
