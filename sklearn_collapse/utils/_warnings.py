"""Warnings that name the line of the user's program."""

import contextlib
import functools
import inspect
import os
import warnings

import sklearn

# Also what wraps methods: `fit` of scikit-learn, `np.errstate`, `cached_property`.
_INSIDE = (
    os.path.dirname(os.path.dirname(__file__)) + os.sep,
    os.path.dirname(sklearn.__file__) + os.sep,
    contextlib.__file__,
    functools.__file__,
)


class CollapseWarning(UserWarning):
    """A result is right by its definition and easily misread."""


def warn_caller(message, category=UserWarning):
    """Warn in the name of the caller of this package, however deep the call is."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_code.co_filename.startswith(_INSIDE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
