"""Pictures of spectra, class means, scores, thresholds and of training.

Display classes in scikit-learn's style. They need matplotlib
(``pip install 'sklearn-collapse[plot]'``), but only once something is drawn.
"""

from sklearn_collapse.plotting._calibration import CalibrationDisplay
from sklearn_collapse.plotting._class_geometry import ClassGeometryDisplay
from sklearn_collapse.plotting._ood_scores import OODScoreDisplay
from sklearn_collapse.plotting._spectrum import SpectrumDisplay
from sklearn_collapse.plotting._trajectory import CollapseTrajectoryDisplay

__all__ = [
    "CalibrationDisplay",
    "ClassGeometryDisplay",
    "CollapseTrajectoryDisplay",
    "OODScoreDisplay",
    "SpectrumDisplay",
]
