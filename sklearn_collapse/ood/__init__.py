"""Out-of-distribution detectors on features."""

from sklearn_collapse.ood._activation_shaper import ActivationShaper
from sklearn_collapse.ood._logits import LogitDetector
from sklearn_collapse.ood._mahalanobis import MahalanobisDetector
from sklearn_collapse.ood._neco import NECODetector

__all__ = [
    "ActivationShaper",
    "LogitDetector",
    "MahalanobisDetector",
    "NECODetector",
]
