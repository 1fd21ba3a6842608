"""Out-of-distribution detectors on features."""

from sklearn_collapse.ood._mahalanobis import MahalanobisDetector

__all__ = ["MahalanobisDetector"]
