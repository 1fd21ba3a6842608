"""The browser of the tests finds what is wrong with a page, and disturbs nobody."""

import asyncio
import threading

import browsers
import pytest

pytestmark = pytest.mark.browser

GOOD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>A page</title>
<link rel="icon" href="data:,"></head>
<body><main><h1>Title</h1><p style="color: #333">Text</p>{}</main></body></html>"""


@pytest.fixture
def page_of(tmp_path):
    def write(extra=""):
        path = tmp_path / "page.html"
        path.write_text(GOOD.format(extra), encoding="utf-8")
        return path

    return write


def test_nothing_wrong(browser, page_of):
    visit = browser.visit(page_of(), browsers.violations)
    assert visit == ([], [], [], [])


@pytest.mark.parametrize(
    ("extra", "rule"),
    [
        ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">', "image-alt"),
        ('<p style="color: #ccc">pale</p>', "color-contrast"),
        ("<input>", "label"),
        ("<h4>far down</h4>", "heading-order"),
    ],
)
def test_violations(browser, page_of, extra, rule):
    (found,) = browser.visit(page_of(extra), browsers.violations).seen
    assert found.startswith(f"{rule}:")


def test_one_rule_alone(browser, page_of):
    def look(page):
        return browsers.violations(page, rules=["label"])

    path = page_of('<input><p style="color: #ccc">pale</p>')
    (found,) = browser.visit(path, look).seen
    assert found.startswith("label:")


def test_errors(browser, page_of):
    path = page_of("<script>console.error('said'); throw Error('thrown')</script>")
    assert [e.split()[-1] for e in browser.visit(path).errors] == ["said", "thrown"]


def test_requests(browser, page_of):
    address = "https://example.org/a.js"
    visit = browser.visit(page_of(f'<script src="{address}"></script>'))
    assert visit.remote == [address]
    visit = browser.visit(page_of('<img alt="gone" src="gone.png">'))
    assert (visit.remote, len(visit.failed)) == ([], 1)


def test_schemes_and_scripts(browser, page_of):
    path = page_of("<p id=s></p><script>s.textContent = 'ran'</script>")

    def look(page):
        dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        return page.inner_text("#s"), page.viewport_size["width"], dark

    seen = browser.visit(path, look, width=390, scheme="dark").seen
    assert seen == ("ran", 390, True)
    text = browser.visit(path, lambda page: page.text_content("#s"), script=False).seen
    assert text == ""


def test_an_error_of_the_test_comes_through(browser, page_of):
    def look(page):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        browser.visit(page_of(), look)
    assert browser.visit(page_of()).errors == []


def test_no_event_loop_is_left_in_this_thread(browser):
    """Tests of clusters run their own here while the browser is open."""
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()
    assert asyncio.run(asyncio.sleep(0, "slept")) == "slept"
    assert any(thread.name.startswith("browser") for thread in threading.enumerate())


def test_a_browser_has_to_start(monkeypatch, tmp_path):
    """Some distributions have a script of its name that says what to install."""
    whole = browsers.executable.__wrapped__
    stub = tmp_path / "chromium"
    stub.write_text("#!/bin/sh\necho 'install the other package' >&2\nexit 1\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert whole() is None
    good = tmp_path / "google-chrome"
    good.write_text("#!/bin/sh\necho 'Chromium 1.0'\n")
    good.chmod(0o755)
    assert whole() == str(good)
