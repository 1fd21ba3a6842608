"""Out-of-distribution detectors on features."""

from sklearn_collapse.ood._logits import LogitDetector
from sklearn_collapse.ood._mahalanobis import MahalanobisDetector
from sklearn_collapse.ood._mahalanobis_svdd import MahalanobisSVDD
from sklearn_collapse.ood._neco import NECODetector

__all__ = ["LogitDetector", "MahalanobisDetector", "MahalanobisSVDD", "NECODetector"]
