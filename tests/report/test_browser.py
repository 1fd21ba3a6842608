"""The report in a browser: what it shows, in which width, to whom, and from where."""

import re

import browsers
import numpy as np
import pytest

from sklearn_collapse.report.cli import main

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
pytestmark = pytest.mark.browser

ODD = "<i>cat</i> & dog"


def write_report(folder):
    """A report with a head, two sets, and labels that look like HTML."""
    rng = np.random.default_rng(0)
    n, d, n_classes = 240, 8, 4
    means = 2 * rng.normal(size=(n_classes, d))
    labels = np.array([ODD, "a_label_that_is_rather_long_and_has_no_blank", "x", "y"])
    codes, new = np.arange(n) % n_classes, np.arange(80) % n_classes
    np.savez(
        folder / "features.npz",
        X=means[codes] + rng.normal(size=(n, d)),
        y=labels[codes],
        X_test=means[new] + rng.normal(size=(80, d)),
        y_test=labels[new],
        W=means - means.mean(axis=0),
        b=np.zeros(n_classes),
        classes=labels,
    )
    np.save(folder / "near.npy", means[new] + 2 * rng.normal(size=(80, d)))
    np.save(folder / "far.npy", 4 * rng.normal(size=(60, d)))
    page = folder / "report.html"
    sets = [f"--ood={name}={folder / name}.npy" for name in ("near", "far")]
    arguments = [folder / "features.npz", *sets, "-o", page]
    assert main(["report", *map(str, arguments)]) == 0
    return page


@pytest.fixture(scope="module")
def report(tmp_path_factory, browser):  # without one there is nothing to write for
    return write_report(tmp_path_factory.mktemp("report"))


@pytest.fixture
def changed(report, tmp_path):
    """Write the page with a part replaced."""

    def change(pattern, replacement):
        source, count = re.subn(
            pattern, replacement, report.read_text(encoding="utf-8"), count=1
        )
        assert count == 1, pattern
        path = tmp_path / "changed.html"
        path.write_text(source, encoding="utf-8")
        return path

    return change


SIZES = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]


# -- what nobody may find ------------------------------------------------------------


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_nothing_wrong(browser, report, width, scheme):
    """No errors, no requests, enough contrast, names for all that has a role."""
    visit = browser.visit(report, browsers.violations, width=width, scheme=scheme)
    assert visit == ([], [], [], [])


@pytest.mark.parametrize(
    ("pattern", "replacement", "rule"),
    [
        (r' alt="[^"]*"', "", "image-alt"),
        (r"--soft: #[0-9a-f]+", "--soft: #c0c0c0", "color-contrast"),
        (r'<html lang="en">', "<html>", "html-has-lang"),
        (r"<h2([^>]*)>(.*?)</h2>", r"<h5\1>\2</h5>", "heading-order"),
    ],
)
def test_what_is_wrong_is_found(browser, changed, pattern, replacement, rule):
    """The test above can fail."""
    page = changed(pattern, replacement)
    found = browser.visit(page, browsers.violations).seen
    assert {line.partition(":")[0] for line in found} == {rule}


def test_requests_are_found(browser, changed):
    page = changed("</main>", '<img alt="" src="https://example.org/a.png"></main>')
    visit = browser.visit(page)
    # The page's own policy refuses it first, and says so.
    assert visit.remote or any("example.org" in error for error in visit.errors)


# -- what is there -------------------------------------------------------------------


def test_images(browser, report):
    """Each is drawn, and described by a sentence."""

    def look(page):
        return page.eval_on_selector_all(
            "img", "all => all.map(i => [i.alt, i.complete && i.naturalWidth > 0])"
        )

    images = browser.visit(report, look).seen
    assert len(images) >= 3
    assert all(drawn for _, drawn in images)
    assert min(len(alt) for alt, _ in images) > 20


def test_headings(browser, report):
    """One title, and no level is left out."""
    levels = browser.visit(
        report,
        lambda page: page.eval_on_selector_all(
            "h1, h2, h3, h4, h5, h6", "all => all.map(h => Number(h.tagName[1]))"
        ),
    ).seen
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert len(levels) > 5
    assert max(np.diff(levels)) <= 1


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_the_page_does_not_scroll_sideways(browser, report, width):
    def look(page):
        return page.evaluate("document.scrollingElement.scrollWidth")

    assert browser.visit(report, look, width=width).seen <= width


def test_scrolling_sideways_is_found(browser, changed):
    page = changed("<main>", '<main><p style="width: 500px">wide</p>')

    def look(page):
        return page.evaluate("document.scrollingElement.scrollWidth")

    assert browser.visit(page, look, width=360).seen > 360


def test_text_is_not_cut(browser, report):
    """Nothing reaches out of the window at the left or right, unless it scrolls."""

    def look(page):
        return page.evaluate(
            """() => [...document.querySelectorAll('h1, h2, p, td, th, dd, figure')]
            .filter(e => {
              for (let p = e; p; p = p.parentElement)
                if (/auto|scroll/.test(getComputedStyle(p).overflowX)) return false;
              const box = e.getBoundingClientRect();
              return box.width && (box.left < -1 || box.right > innerWidth + 1);
            }).map(e => e.textContent.slice(0, 40))"""
        )

    assert browser.visit(report, look, width=360).seen == []


def test_labels_are_text(browser, report):
    def look(page):
        return page.inner_text("main"), page.locator("i").count()

    text, elements = browser.visit(report, look).seen
    assert ODD in text
    assert elements == 0


def test_dark_is_dark(browser, report):
    def look(page):
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    light, dark = (
        browser.visit(report, look, scheme=s).seen for s in ("light", "dark")
    )
    assert light > 3 * 200
    assert dark < 3 * 60


def test_without_scripts(browser, report):
    """All numbers are there, and nothing that only a script could work."""

    def look(page):
        buttons = page.locator("button:visible, input:visible, select:visible")
        return page.locator("main td:visible").all_inner_texts(), buttons.count()

    cells, controls = browser.visit(report, look, script=False).seen
    with_scripts, _ = browser.visit(report, look).seen
    assert cells == with_scripts
    assert len(cells) > 100
    assert controls == 0
