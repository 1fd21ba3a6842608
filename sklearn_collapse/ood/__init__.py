"""Out-of-distribution detectors on features."""

from sklearn_collapse.ood._fdbd import FDBDDetector
from sklearn_collapse.ood._logits import LogitDetector
from sklearn_collapse.ood._mahalanobis import MahalanobisDetector
from sklearn_collapse.ood._nci import NCIDetector
from sklearn_collapse.ood._neco import NECODetector
from sklearn_collapse.ood._residual import ResidualDetector
from sklearn_collapse.ood._vim import ViMDetector

__all__ = [
    "FDBDDetector",
    "LogitDetector",
    "MahalanobisDetector",
    "NCIDetector",
    "NECODetector",
    "ResidualDetector",
    "ViMDetector",
]
