"""Every public name has a docstring that numpydoc finds valid, with an example.

Public are the names in ``__all__`` of the modules without a leading underscore, and
those methods and properties of their classes that the package wrote. The checks are
those of ``[tool.numpydoc_validation]`` in pyproject.toml; methods need no example.
"""

import importlib
import inspect
import pkgutil
import tomllib
from pathlib import Path

import pytest

import sklearn_collapse

validation = pytest.importorskip("numpydoc.validate")

PACKAGE = "sklearn_collapse"
ROOT = Path(__file__).parents[1]
# Modules whose names need what is optional to be imported at all.
NEED = {f"{PACKAGE}.extraction": "torch", f"{PACKAGE}.plotting": "matplotlib"}


def is_ours(obj):
    """Whether a function, a class or a property was written in the package."""
    obj = inspect.unwrap(getattr(obj, "fget", None) or getattr(obj, "__func__", obj))
    return (getattr(obj, "__module__", None) or "").startswith(PACKAGE)


def public_modules():
    """Names of the package and of its public modules."""
    found = pkgutil.walk_packages(
        sklearn_collapse.__path__, f"{PACKAGE}.", onerror=lambda name: None
    )
    names = [info.name for info in found]
    public = [n for n in names if not any(p[0] == "_" for p in n.split("."))]
    return [PACKAGE, *public]


def public_names(module):
    """{dotted name: object} of the classes and functions that a module publishes."""
    members = {n: getattr(module, n) for n in getattr(module, "__all__", ())}
    return {
        f"{module.__name__}.{name}": obj
        for name, obj in members.items()
        if (inspect.isclass(obj) or inspect.isfunction(obj)) and is_ours(obj)
    }


def methods_of(path, cls):
    """Dotted names of the public methods and properties that the package wrote."""
    public = [n for n in dir(cls) if not n.startswith("_")]
    return [f"{path}.{n}" for n in public if is_ours(inspect.getattr_static(cls, n))]


def needs_example(obj):
    """Whether users call it: warnings and errors they only meet."""
    return not (inspect.isclass(obj) and issubclass(obj, Exception))


def problems(name, checks):
    """What numpydoc finds wrong with the docstring of a dotted name."""
    errors = validation.validate(name)["errors"]
    return [f"{name}: {code} {text}" for code, text in errors if code in checks]


@pytest.fixture(scope="module")
def checks():
    """Codes of the checks; the file is part of a checkout and of an sdist."""
    path = ROOT / "pyproject.toml"
    if not path.exists():
        pytest.skip("pyproject.toml is not there")
    config = tomllib.loads(path.read_text(encoding="utf-8"))
    chosen = set(config["tool"]["numpydoc_validation"]["checks"])
    return validation.get_validation_checks(chosen)


def load(name):
    if name in NEED:
        pytest.importorskip(NEED[name])
    return importlib.import_module(name)


@pytest.mark.parametrize("name", public_modules())
def test_docstrings(name, checks):
    module = load(name)
    assert (module.__doc__ or "").strip()
    found = []
    for path, obj in public_names(module).items():
        found += problems(path, checks if needs_example(obj) else checks - {"EX01"})
        if inspect.isclass(obj):
            for method in methods_of(path, obj):
                found += problems(method, checks - {"EX01"})
    assert found == []


@pytest.mark.parametrize("name", public_modules())
def test_reference_lists_every_name(name):
    path = ROOT / "doc" / "api.rst"
    if not path.exists():
        pytest.skip("doc/api.rst is not there")
    listed = path.read_text(encoding="utf-8").split()
    # A name that several modules publish is listed once.
    known = [_member(f"{PACKAGE}.{other}") for other in listed]
    names = public_names(load(name)).items()
    lacking = [path for path, obj in names if not any(k is obj for k in known)]
    assert lacking == []


def _member(path):
    """Object of a dotted name, or None."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None


def test_names_are_found():
    """The tests above would hold for an empty list."""
    modules = public_modules()
    assert len(modules) > 10
    names = public_names(importlib.import_module(f"{PACKAGE}.ood"))
    assert f"{PACKAGE}.ood.MahalanobisDetector" in names
    methods = methods_of("X", names[f"{PACKAGE}.ood.MahalanobisDetector"])
    assert {"X.calibrate", "X.rank_", "X.fit"} <= set(methods)
    assert not {"X.get_params", "X.set_params", "X.set_fit_request"} & set(methods)


def test_a_bad_docstring_is_found(checks, monkeypatch):
    from sklearn_collapse.heads import LinearHead

    name = f"{PACKAGE}.heads.LinearHead"
    assert problems(name, checks) == []
    text = LinearHead.__doc__
    monkeypatch.setattr(LinearHead, "__doc__", text[: text.index("Examples")].rstrip())
    assert [p.split()[1] for p in problems(name, checks)] == ["EX01"]
    renamed = text.replace("coef : array", "weights : array", 1)
    monkeypatch.setattr(LinearHead, "__doc__", renamed)
    assert {p.split()[1] for p in problems(name, checks)} == {"PR01", "PR02"}
