"""Named settings of published detectors and of their reference implementations."""

from sklearn_collapse.presets._presets import (
    PRESETS,
    Preset,
    get_preset,
    get_preset_names,
)

__all__ = ["PRESETS", "Preset", "get_preset", "get_preset_names"]
