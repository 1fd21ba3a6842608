"""Whitening and spectral transforms of features."""

from sklearn_collapse.whitening._iternorm import IterNormWhitener
from sklearn_collapse.whitening._spectral import SpectralWhitener

__all__ = ["IterNormWhitener", "SpectralWhitener"]
