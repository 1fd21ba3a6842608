"""The report in a browser: what it shows, in which width, to whom, and from where."""

import csv
import io
import json
import math
import re
from pathlib import Path

import browsers
import numpy as np
import pytest

from sklearn_collapse.report.cli import main

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
pytestmark = pytest.mark.browser

ODD = "<i>cat</i> & dog"


def write_report(folder):
    """A report with a head, two sets, and labels that look like HTML; its numbers."""
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
    numbers = ["--json", folder / "numbers.json", "-o", page]
    assert main(["report", *map(str, [folder / "features.npz", *sets, *numbers])]) == 0
    return page


@pytest.fixture(scope="module")
def report(tmp_path_factory, browser):  # without one there is nothing to write for
    return write_report(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def layers(report):
    """The report of two layers, one of them without a head."""
    path = report.parent / "features.npz"
    with np.load(path) as values:
        plain = {k: v for k, v in values.items() if k not in ("W", "b", "classes")}
    np.savez(path.with_name("early.npz"), **plain | {"X": plain["X"] ** 3})
    page = path.with_name("layers.html")
    early = f"early={path.with_name('early.npz')}"
    assert main(["report", early, f"late={path}", "-o", str(page)]) == 0
    return page


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


# All of axe takes seconds: each width and scheme once, on one of the two pages.
SIZES = [(1280, "light"), (390, "dark")]


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
    found = browser.visit(page, lambda p: browsers.violations(p, rules=[rule])).seen
    assert {line.partition(":")[0] for line in found} == {rule}


def test_requests_are_found(browser, changed):
    page = changed("</main>", '<img alt="" src="https://example.org/a.png"></main>')
    visit = browser.visit(page)
    # The page's own policy refuses it first, and says so.
    assert visit.remote or any("example.org" in error for error in visit.errors)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_nothing_wrong_with_layers(browser, layers, width, scheme):
    """Folded ones as well."""

    def look(page):
        page.eval_on_selector_all("details", "all => all.forEach(d => d.open = true)")
        scrolls = page.evaluate("document.scrollingElement.scrollWidth")
        return browsers.violations(page), scrolls <= width

    visit = browser.visit(layers, look, width=width, scheme=scheme)
    assert visit == (([], True), [], [], [])


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


# -- what its script does ------------------------------------------------------------

# Of the n-th sortable table: the order it says, and by group the cells of a column.
COLUMN = """([n, column]) => {
  const table = document.querySelectorAll('table[data-sortable]')[n];
  const header = table.querySelectorAll('thead th')[column];
  return [header.getAttribute('aria-sort'), [...table.tBodies].map(body =>
    [...body.rows].filter(row => row.cells.length > 1).map(row => {
      const cell = row.cells[column];
      return cell.dataset.value ?? cell.textContent.trim();
    }))];
}"""


def as_numbers(texts):
    """Numbers of cells; those without one come last in either order."""
    return [float(text) if text else math.nan for text in texts]


def test_sorting_by_numbers(browser, report):
    """Values read from the page: ascending, descending, and as they were."""

    def look(page):
        found = []
        tables = page.locator("table[data-sortable]")
        for n in range(tables.count()):
            headers = tables.nth(n).locator("thead th")
            for column in range(headers.count()):
                if "num" not in (headers.nth(column).get_attribute("class") or ""):
                    continue
                states = [page.evaluate(COLUMN, [n, column])]
                for _ in range(3):
                    headers.nth(column).locator("button[data-sort]").click()
                    states.append(page.evaluate(COLUMN, [n, column]))
                found.append(states)
        return found

    visit = browser.visit(report, look)
    assert visit.errors == []
    assert len(visit.seen) > 8
    moved = 0
    for states in visit.seen:
        orders = [order for order, _ in states]
        assert orders == ["none", "ascending", "descending", "none"]
        before, up, down, after = (groups for _, groups in states)
        assert after == before
        for as_was, rising, falling in zip(before, up, down, strict=True):
            assert sorted(rising) == sorted(falling) == sorted(as_was)
            values = as_numbers(as_was)
            there = sorted(v for v in values if not math.isnan(v))
            for got, expected in ((rising, there), (falling, there[::-1])):
                assert as_numbers(got)[: len(there)] == expected
            moved += rising != as_was
    assert moved > 3  # sorting what is sorted would show nothing


def test_sorting_by_keys(browser, report):
    """Enter and Space press the buttons, and the order is said aloud."""

    def look(page):
        button = page.locator("table[data-sortable] button[data-sort]").first
        button.focus()
        states = []
        for key in ("Enter", "Space"):
            page.keyboard.press(key)
            order, groups = page.evaluate(COLUMN, [0, 0])
            states.append((order, groups, page.text_content("[role=status]")))
        return states

    (up, rising, said), (down, falling, _) = browser.visit(report, look).seen
    assert (up, down) == ("ascending", "descending")
    assert [group[::-1] for group in rising] == falling
    assert "ascending" in said


def test_downloads(browser, report):
    """The numbers that --json writes, as JSON and as a table."""

    def look(page):
        files = []
        for selector in ("#download-json", "#download-csv"):
            with page.expect_download() as download:
                page.click(selector)
            text = Path(download.value.path()).read_bytes().decode()
            files.append((download.value.suggested_filename, text))
        return files

    visit = browser.visit(report, look)
    assert (visit.errors, visit.remote) == ([], [])
    (json_name, text), (csv_name, table) = visit.seen
    assert (json_name, csv_name) == ("report.json", "report.csv")
    expected = json.loads((report.parent / "numbers.json").read_text())
    assert json.loads(text) == expected
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    found = {(r["section"], r["rows"], r["of"], r["name"]): r["value"] for r in rows}
    (layer,) = expected["layers"]
    for name, value in layer["collapse"]["train"].items():
        assert float(found["collapse", "training", "", name]) == value
    for label, values in layer["classes"].items():
        for name, value in values.items():
            text = found["classes", "", label, name]
            assert text == value or float(text) == value
    for row in layer["ood"]:
        assert float(found["ood", row["set"], row["detector"], "auroc"]) == row["auroc"]
    assert ODD in {row["of"] for row in rows}


def test_filter(browser, report):
    def look(page):
        rows = page.locator("table[data-sortable]").first.locator("tbody tr")
        box = page.locator("input[data-filter]").first
        counts = []
        for text in ("", "cdnv", "no such metric", ""):
            box.fill(text)
            counts.append(sum(row.is_visible() for row in rows.all()))
        box.fill("cdnv")
        return counts, page.text_content("[role=status]")

    (every, some, none, again), said = browser.visit(report, look).seen
    assert every == again > some >= 2 > none == 0  # with the heading of its group
    assert said.startswith("1 ")


def test_theme(browser, report):
    """The reader's choice stands against the system's, also in contrast."""

    def look(page):
        found = []
        system = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        for theme in ("system", "light", "dark"):
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            brightness = sum(map(int, re.findall(r"\d+", colour)[:3])) / 3
            against = theme == ("light" if system else "dark")
            rules = ["color-contrast"]
            wrong = browsers.violations(page, rules=rules) if against else []
            found.append((page.inner_text("#theme"), brightness > 128, wrong))
            page.click("#theme")
        return found

    for scheme in ("light", "dark"):
        system, light, dark = browser.visit(report, look, scheme=scheme).seen
        assert system == ("Theme: system", scheme == "light", [])
        assert light == ("Theme: light", True, [])
        assert dark == ("Theme: dark", False, [])


FOCUSABLE = "a[href], button, input, select, summary, [tabindex='0']"


def test_keyboard_reaches_everything(browser, layers):
    """In the order of the page, with a mark that can be seen."""

    def look(page):
        page.evaluate(
            """selector => [...document.querySelectorAll(selector)]
              .filter(e => e.checkVisibility())
              .forEach((e, k) => { e.dataset.k = k; })""",
            FOCUSABLE,
        )
        count = page.locator("[data-k]").count()
        reached = []
        for _ in range(count):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate(
                    """() => { const e = document.activeElement;
                    const s = getComputedStyle(e);
                    return [Number(e.dataset.k), s.outlineStyle !== 'none'
                            && parseFloat(s.outlineWidth) > 0]; }"""
                )
            )
        return count, reached

    count, reached = browser.visit(layers, look).seen
    assert count > 20
    assert [k for k, _ in reached] == list(range(count))
    assert all(marked for _, marked in reached)


def test_definitions_open(browser, report):
    def look(page):
        definition = page.locator("details.def").first
        before = definition.locator("p").first.is_visible()
        definition.locator("summary").focus()
        page.keyboard.press("Enter")
        return before, definition.locator("p").first.is_visible()

    assert browser.visit(report, look).seen == (False, True)


def test_links_open_layers(browser, layers):
    """A link into a folded layer unfolds it."""

    def look(page):
        folded = page.locator("details.layer:not([open])")
        name = folded.first.get_attribute("id")
        count = folded.count()
        page.evaluate("name => { location.hash = name; }", name)
        page.wait_for_selector(f"#{name}[open]")
        return count, page.locator("details.layer:not([open])").count()

    before, after = browser.visit(layers, look).seen
    assert (before, after) == (1, 0)
