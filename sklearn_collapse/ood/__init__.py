"""Out-of-distribution detectors on features."""

from sklearn_collapse.ood._costarr import COSTARRDetector
from sklearn_collapse.ood._knn import KNNDetector
from sklearn_collapse.ood._logits import LogitDetector
from sklearn_collapse.ood._mahalanobis import MahalanobisDetector
from sklearn_collapse.ood._neco import NECODetector
from sklearn_collapse.ood._nnguide import NNGuideDetector
from sklearn_collapse.ood._she import SHEDetector

__all__ = [
    "COSTARRDetector",
    "KNNDetector",
    "LogitDetector",
    "MahalanobisDetector",
    "NECODetector",
    "NNGuideDetector",
    "SHEDetector",
]
