"""Out-of-distribution detectors on features."""

from sklearn_collapse.ood._conformal import ConformalDetector
from sklearn_collapse.ood._ensemble import DetectorEnsemble
from sklearn_collapse.ood._logits import LogitDetector
from sklearn_collapse.ood._mahalanobis import MahalanobisDetector
from sklearn_collapse.ood._neco import NECODetector

__all__ = [
    "ConformalDetector",
    "DetectorEnsemble",
    "LogitDetector",
    "MahalanobisDetector",
    "NECODetector",
]
