"""Fixtures of the whole suite."""

import os

# scikit-learn's array checks skip silently unless this is set before SciPy loads.
os.environ["SCIPY_ARRAY_API"] = "1"

import importlib.util

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("ci", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("ci")

LIBRARIES = ("numpy", "array_api_strict", "torch")


class Library:
    """An array library: how to make its arrays and how to read them."""

    def __init__(self, name):
        self.name = name

    def asarray(self, values, dtype=None):
        """Array of the library with the values and dtype of a NumPy array."""
        values = np.asarray(values, dtype=dtype)
        if self.name == "numpy":
            return values
        module = importlib.import_module(self.name)
        return module.asarray(values)

    @staticmethod
    def to_numpy(array):
        """NumPy array with the values of an array of any library."""
        return np.asarray(array)

    def owns(self, array):
        """Whether an array belongs to the library."""
        return type(array).__module__.split(".")[0] == self.name


@pytest.fixture(params=LIBRARIES)
def library(request):
    """Each array library in turn; one that is not installed is skipped."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return Library(request.param)


@pytest.fixture
def rng():
    """A seeded generator."""
    return np.random.default_rng(0)
