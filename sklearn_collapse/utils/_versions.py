"""Versions of what the library runs on."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = (
    "sklearn-collapse",
    "numpy",
    "scipy",
    "scikit-learn",
    "array-api-compat",
    "joblib",
    "threadpoolctl",
    "torch",
    "matplotlib",
    "jinja2",
    "array-api-strict",
)


def show_versions():
    """Print the versions of Python, the platform and the dependencies.

    Nothing is imported for it: a package that is not installed is shown as "none".

    Examples
    --------
    >>> from sklearn_collapse import show_versions
    >>> show_versions()  # doctest: +ELLIPSIS
    python: 3...
    """
    print(f"python: {sys.version.split()[0]}")
    print(f"platform: {platform.platform()}")
    for name in _PACKAGES:
        try:
            print(f"{name}: {version(name)}")
        except PackageNotFoundError:
            print(f"{name}: none")
