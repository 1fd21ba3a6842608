"""Features and moments straight from a torch model.

They import torch (``pip install 'sklearn-collapse[torch]'``) on first use; a
`CollapseTracker` does so when it is called with a model.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklearn_collapse.extraction._callbacks import (
        lightning_callback,
        transformers_callback,
    )
    from sklearn_collapse.extraction._extract import ExtractedFeatures, extract
    from sklearn_collapse.extraction._feature_extractor import FeatureExtractor
    from sklearn_collapse.extraction._stream import stream_moments
    from sklearn_collapse.extraction._tracker import CollapseTracker

_MODULES = {
    "CollapseTracker": "_tracker",
    "ExtractedFeatures": "_extract",
    "FeatureExtractor": "_feature_extractor",
    "extract": "_extract",
    "lightning_callback": "_callbacks",
    "stream_moments": "_stream",
    "transformers_callback": "_callbacks",
}

__all__ = [
    "CollapseTracker",
    "ExtractedFeatures",
    "FeatureExtractor",
    "extract",
    "lightning_callback",
    "stream_moments",
    "transformers_callback",
]


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_MODULES[name]}")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError(
            f"sklearn_collapse.extraction.{name} needs torch: "
            f"pip install 'sklearn-collapse[torch]'."
        ) from error
    value = globals()[name] = getattr(module, name)
    return value


def __dir__():
    return sorted(__all__)
