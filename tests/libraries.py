"""The array libraries that the suite runs on."""

import importlib

import numpy as np

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
