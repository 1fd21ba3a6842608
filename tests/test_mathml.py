"""Formulas of the pages: what the extension of Sphinx makes of several lines."""

import importlib.util
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip("latex2mathml")
pytest.importorskip("docutils")

EXTENSION = Path(__file__).parent.parent / "doc" / "_ext" / "mathml.py"
NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"


@pytest.fixture(scope="module")
def extension():
    spec = importlib.util.spec_from_file_location("doc_mathml", EXTENSION)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells(text):
    """Text of the cells of the table that a formula is, row by row; [] without one."""
    root = ElementTree.fromstring(text)  # a bare & would not parse
    tables = root.findall(f"./{NAMESPACE}mrow/{NAMESPACE}mtable")
    return [
        ["".join(cell.itertext()).strip() for cell in row]
        for table in tables
        for row in table
    ]


@pytest.mark.parametrize(
    "latex",
    [
        r"a &= b \\ c &= d",
        "a &= b\n\nc &= d",
        "a &= b \\\\\n\nc &= d\n",
        r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
        r"\begin{split} a &= b \\ c &= d \end{split}",
    ],
)
def test_lines_are_aligned(extension, latex):
    assert cells(extension.mathml(latex, "block")) == [["a", "=b"], ["c", "=d"]]


def test_lines_without_marks(extension):
    assert cells(extension.mathml("a = b\n\nc", "block")) == [["a=b"], ["c"]]


@pytest.mark.parametrize(
    "latex",
    [
        r"\begin{cases} 1 & x \\ 0 & y \end{cases}",
        r"\begin{pmatrix} \begin{matrix} 1 & x \end{matrix} \\ 2 \end{pmatrix}",
        r"\frac{a}{b} \& c",
        "a\n  = b",
    ],
)
def test_one_line_stays(extension, latex):
    assert extension.in_lines(latex) == latex
    ElementTree.fromstring(extension.mathml(latex, "block"))


def test_lines_around_an_environment(extension):
    latex = r"a &= \begin{cases} 1 & x \\ 0 & y \end{cases} \\ b &= c"
    first, second = cells(extension.mathml(latex, "block"))
    assert (first[0], second) == ("a", ["b", "=c"])
