"""Discovery and checks of estimators."""

from sklearn_collapse.utils.discovery import all_estimators

__all__ = ["all_estimators"]
