"""Cross-validation for detectors: classes left out stand for what is not known yet."""

from sklearn_collapse.model_selection._leave_classes_out import LeaveClassesOut

__all__ = ["LeaveClassesOut"]
