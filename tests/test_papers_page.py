"""What the page on papers names is there, with the arguments that it shows."""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

import sklearn_collapse

PAGE = Path(__file__).parent.parent / "doc" / "papers.rst"
ROWS = [
    [re.sub(r"\s+", " ", cell).strip() for cell in re.split(r"\n     -", row)]
    for row in re.split(r"\n   \* - ", PAGE.read_text(encoding="utf-8"))[2:]
]
# What a fitted scorer has.
ATTRIBUTES = {"per_class_"}


def public_names():
    found = {name: getattr(sklearn_collapse, name) for name in sklearn_collapse.__all__}
    for name in ("collapse", "etf", "metrics", "ood", "whitening"):
        module = import_module(f"sklearn_collapse.{name}")
        found |= {name: getattr(module, name) for name in module.__all__}
    return found


def check(node, names):
    """Names are public, and calls of them take their keywords; others are not ours."""
    if isinstance(node, ast.Attribute):
        owner = check(node.value, names)
        assert hasattr(owner, node.attr), f"{owner} has no {node.attr}"
        return getattr(owner, node.attr)
    if isinstance(node, ast.Call):
        function = check(node.func, names)
        if function is not None:
            known = set(inspect.signature(function).parameters)
            given = {keyword.arg for keyword in node.keywords}
            assert given <= known or node.func.attr == "fit", given - known
        return function
    assert isinstance(node, ast.Name)
    assert node.id in names, f"no public name {node.id}"
    return names[node.id]


def test_rows():
    names = public_names()
    for paper, here, status, _ in ROWS:
        assert status in ("built", "in part"), paper
        codes = [code.strip("`") for code in re.findall(r"`+[^`]+`+", here)]
        assert codes, paper
        for code in codes:
            if code not in ATTRIBUTES:
                check(ast.parse(code, mode="eval").body, names)


def test_wrong_names_are_seen():
    names = public_names()
    for code in ("Mahalanobis()", "ClassMoments.reduce", "lidar(ridge=1)"):
        with pytest.raises((AssertionError, AttributeError)):
            check(ast.parse(code, mode="eval").body, names)
