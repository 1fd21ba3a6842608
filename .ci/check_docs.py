"""Check that the public API is documented.

    python .ci/check_docs.py

Public are the names in ``__all__`` of the modules without a leading underscore, and
those methods and properties of their classes that the package wrote. numpydoc validates
the docstrings, with the checks of ``[tool.numpydoc_validation]`` in pyproject.toml, and
each class and function must be listed in doc/api.rst.
"""

import importlib
import inspect
import pkgutil
import sys
import tomllib
from pathlib import Path

from numpydoc.validate import get_validation_checks, validate

PACKAGE = "sklearn_collapse"


def is_ours(obj):
    """Whether a function, a class or a property was written in the package."""
    obj = inspect.unwrap(getattr(obj, "fget", None) or getattr(obj, "__func__", obj))
    return (getattr(obj, "__module__", None) or "").startswith(PACKAGE)


def public_modules():
    """Yield the package and its public modules."""
    package = importlib.import_module(PACKAGE)
    yield package
    for info in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."):
        if not any(part.startswith("_") for part in info.name.split(".")):
            yield importlib.import_module(info.name)


def public_names():
    """Return {dotted name: object} of classes and functions, then of methods."""
    first_name = {}
    for module in public_modules():
        for name in getattr(module, "__all__", ()):
            obj = getattr(module, name)
            if (inspect.isclass(obj) or inspect.isfunction(obj)) and is_ours(obj):
                first_name.setdefault(obj, f"{module.__name__}.{name}")
    members = {
        f"{path}.{name}": inspect.getattr_static(cls, name)
        for cls, path in first_name.items()
        for name in (dir(cls) if inspect.isclass(cls) else ())
        if not name.startswith("_")
    }
    methods = {path: obj for path, obj in members.items() if is_ours(obj)}
    return {path: obj for obj, path in first_name.items()}, methods


def needs_example(obj):
    """Whether users call it: warnings and errors they only meet."""
    return not (inspect.isclass(obj) and issubclass(obj, Exception))


def main():
    root = Path(__file__).parents[1]
    config = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    checks = get_validation_checks(set(config["tool"]["numpydoc_validation"]["checks"]))
    listed = (root / "doc" / "api.rst").read_text(encoding="utf-8").split()

    names, methods = public_names()
    problems = [
        f"{name}: not in doc/api.rst"
        for name in names
        if name.removeprefix(f"{PACKAGE}.") not in listed
    ]
    need_example = {name for name, obj in names.items() if needs_example(obj)}
    problems += [
        f"{name}: {code} {text}"
        for name in (*names, *methods)
        for code, text in validate(name)["errors"]
        if code in checks and (code != "EX01" or name in need_example)
    ]
    print("\n".join(problems) or f"{len(names) + len(methods)} docstrings are valid")
    return 1 if problems or not names else 0


if __name__ == "__main__":
    sys.exit(main())
