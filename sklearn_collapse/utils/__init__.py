"""Discovery and checks of estimators, and moving fitted ones between devices."""

from sklearn_collapse.utils._move import move_estimator
from sklearn_collapse.utils.discovery import all_estimators

__all__ = ["all_estimators", "move_estimator"]
