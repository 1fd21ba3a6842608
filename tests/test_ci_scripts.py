"""The scripts of CI find what they are there to find."""

import importlib.util
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / ".ci"
PAGE = "<!doctype html><html><body><h1 id='top'>A</h1>{}</body></html>"


def script(name):
    """A script as a module."""
    path = FOLDER / f"{name}.py"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def site(tmp_path):
    """Write pages and files, and return what is wrong with them."""
    check_pages = script("check_site").check_pages

    def write(body, **files):
        (tmp_path / "index.html").write_text(PAGE.format(body))
        (tmp_path / "other.html").write_text(PAGE.format('<p name="there">B</p>'))
        for name, text in files.items():
            (tmp_path / f"{name}.css").write_text(text)
        return check_pages(tmp_path)[0]

    return write


def test_site_without_faults(site):
    body = """<a href="#top">a</a> <a href="other.html#there">b</a>
      <a href="https://example.org/x">a link to elsewhere loads nothing</a>
      <a href="mailto:a@example.org">c</a> <img src="data:," alt="d">
      <link rel="canonical" href="index.html"><link rel="stylesheet" href="a.css">"""
    assert site(body, a="@import 'b.css'; p { background: url(data:,) }", b="") == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('<script src="https://example.org/a.js"></script>', "loaded from elsewhere"),
        ('<link rel="stylesheet" href="//example.org/a.css">', "loaded from elsewhere"),
        ('<img alt="a" src="a.png" srcset="http://example.org/a 2x">', "elsewhere"),
        ("<p style=\"background: url('https://example.org/a')\">a</p>", "elsewhere"),
        ("<style>@import 'https://example.org/a.css';</style>", "elsewhere"),
        ('<iframe src="https://example.org/"></iframe>', "elsewhere"),
        ('<script src="gone.js"></script>', "loads what is not there"),
        ('<a href="gone.html">a</a>', "a link to what is not there"),
        ('<a href="#gone">a</a>', "no such place"),
        ('<a href="other.html#gone">a</a>', "no such place"),
        ('<img src="data:,">', "an image without a text"),
        ('<img src="data:," alt=" ">', "an image without a text"),
    ],
)
def test_site_with_a_fault(site, body, said):
    assert any(said in problem for problem in site(body))


def test_style_sheets_are_followed(site):
    link = '<link rel="stylesheet" href="a.css">'
    (problem,) = site(link, a="@import 'b.css'", b="p { src: url(//example.org/f) }")
    assert problem == "b.css: loaded from elsewhere: //example.org/f"


def junit(path, **cases):
    """Write a report of tests; the value says why one was skipped."""
    body = "".join(
        f'<testcase classname="tests.test_a" name="{name}">'
        + (f'<skipped type="pytest.skip" message="{why}"/>' if why else "")
        + "</testcase>"
        for name, why in cases.items()
    )
    path.write_text(f"<testsuites><testsuite>{body}</testsuite></testsuites>")
    return str(path)


def test_skips(tmp_path, monkeypatch, capsys):
    main = script("check_skips").main
    first = junit(tmp_path / "a.xml", test_x="", test_y="no torch", test_z="no GPU")
    second = junit(tmp_path / "b.xml", test_x="", test_y="", test_z="no GPU")
    listed = tmp_path / "lacking.txt"
    listed.write_text("tests/test_a.py::test_z\n\n1 test collected\n")

    def code(*arguments):
        monkeypatch.setattr(sys, "argv", ["check_skips.py", *map(str, arguments)])
        return main()

    assert code(first, second) == 1
    assert "never ran: tests.test_a.test_z (no GPU)" in capsys.readouterr().out
    assert code("--may-skip", listed, first, second) == 0
    assert "did not run here: tests.test_a.test_z" in capsys.readouterr().out
    # What is not on the list has to run somewhere.
    assert code("--may-skip", listed, first) == 1
    assert "never ran: tests.test_a.test_y" in capsys.readouterr().out
