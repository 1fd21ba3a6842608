"""Geometry of learned representations in scikit-learn's terms.

Four families of estimators (whitening, collapse scorers, simplex alignment,
out-of-distribution detectors) stand on one streaming statistic, `ClassMoments`.
Sub-packages are loaded on first use; torch is never imported unless asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from sklearn_collapse import (
        collapse,
        datasets,
        etf,
        extraction,
        metrics,
        model_selection,
        ood,
        plotting,
        presets,
        utils,
        whitening,
    )
    from sklearn_collapse.heads import LinearHead
    from sklearn_collapse.moments import ClassMoments
    from sklearn_collapse.utils._versions import show_versions

_LAZY = {
    "ClassMoments": "sklearn_collapse.moments",
    "LinearHead": "sklearn_collapse.heads",
    "show_versions": "sklearn_collapse.utils._versions",
}
_SUBPACKAGES = (
    "collapse",
    "datasets",
    "etf",
    "extraction",
    "metrics",
    "model_selection",
    "ood",
    "plotting",
    "presets",
    "utils",
    "whitening",
)

__all__ = [
    "ClassMoments",
    "LinearHead",
    "__version__",
    "collapse",
    "datasets",
    "etf",
    "extraction",
    "metrics",
    "model_selection",
    "ood",
    "plotting",
    "presets",
    "show_versions",
    "utils",
    "whitening",
]


def __getattr__(name):
    if name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
    elif name in _SUBPACKAGES:
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
