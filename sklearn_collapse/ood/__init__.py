"""Out-of-distribution detectors on features."""

from sklearn_collapse.ood._activation_shaper import ActivationShaper
from sklearn_collapse.ood._class_subspace import ClassSubspaceDetector
from sklearn_collapse.ood._comedian import ComedianCovariance
from sklearn_collapse.ood._conformal import ConformalDetector
from sklearn_collapse.ood._costarr import COSTARRDetector
from sklearn_collapse.ood._ensemble import DetectorEnsemble
from sklearn_collapse.ood._fdbd import FDBDDetector
from sklearn_collapse.ood._knn import KNNDetector
from sklearn_collapse.ood._logits import LogitDetector
from sklearn_collapse.ood._mahalanobis import MahalanobisDetector
from sklearn_collapse.ood._mahalanobis_svdd import MahalanobisSVDD
from sklearn_collapse.ood._nci import NCIDetector
from sklearn_collapse.ood._neco import NECODetector
from sklearn_collapse.ood._nnguide import NNGuideDetector
from sklearn_collapse.ood._reconstruction import ReconstructionDetector
from sklearn_collapse.ood._residual import ResidualDetector
from sklearn_collapse.ood._she import SHEDetector
from sklearn_collapse.ood._vim import ViMDetector

__all__ = [
    "ActivationShaper",
    "COSTARRDetector",
    "ClassSubspaceDetector",
    "ComedianCovariance",
    "ConformalDetector",
    "DetectorEnsemble",
    "FDBDDetector",
    "KNNDetector",
    "LogitDetector",
    "MahalanobisDetector",
    "MahalanobisSVDD",
    "NCIDetector",
    "NECODetector",
    "NNGuideDetector",
    "ReconstructionDetector",
    "ResidualDetector",
    "SHEDetector",
    "ViMDetector",
]
