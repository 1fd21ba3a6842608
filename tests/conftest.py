"""Fixtures of the whole suite."""

import os

# scikit-learn's array checks skip silently unless this is set before SciPy loads.
os.environ["SCIPY_ARRAY_API"] = "1"
# Workers share the cores already: threads of BLAS on top of them take turns.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import importlib.util

import browsers
import numpy as np
import pytest
from hypothesis import settings
from libraries import LIBRARIES, Library

settings.register_profile("ci", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("ci")


@pytest.fixture(params=LIBRARIES)
def library(request):
    """Each array library in turn; one that is not installed is skipped."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return Library(request.param)


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium; tests that use it are marked ``browser``."""
    if reason := browsers.why_not():
        pytest.skip(reason)
    with browsers.Browser() as found:
        yield found


@pytest.fixture
def rng():
    """A seeded generator."""
    return np.random.default_rng(0)
