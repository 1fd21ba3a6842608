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
    long = "a_label_that_is_rather_long_and_has_no_blank"
    labels = np.array([ODD, long, '=1, "x"', "-1"])
    codes, new = np.arange(n) % n_classes, np.arange(80) % n_classes
    codes[codes == 3] = 0
    codes[-1] = 3  # a class of a single row: what it adds to NC1 is undefined
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
    """The report of two layers, one without a head, one with a set; its numbers."""
    path = report.parent / "features.npz"
    with np.load(path) as values:
        plain = {k: v for k, v in values.items() if k not in ("W", "b", "classes")}
    with np.load(path) as values:
        whole = {**values, "ood_far": np.load(path.with_name("far.npy"))}
    np.savez(path.with_name("early.npz"), **plain | {"X": plain["X"] ** 3})
    np.savez(path.with_name("late.npz"), **whole)
    files = [str(path.with_name(f"{name}.npz")) for name in ("early", "late")]
    page, numbers = path.with_name("layers.html"), path.with_name("layers.json")
    assert main(["report", *files, "-o", str(page), "--json", str(numbers)]) == 0
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


# All of axe takes seconds: each width and each scheme once.
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


def test_nothing_wrong_with_layers(browser, layers):
    """Folded ones as well."""
    width = 390

    def look(page):
        page.eval_on_selector_all("details", "all => all.forEach(d => d.open = true)")
        scrolls = page.evaluate("document.scrollingElement.scrollWidth")
        return browsers.violations(page), scrolls <= width

    visit = browser.visit(layers, look, width=width)
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
    moved = undefined = 0
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
            undefined += len(there) < len(values)
    assert moved > 3  # sorting what is sorted would show nothing
    assert undefined


def test_sorting_by_keys(browser, report):
    """Enter and Space press the buttons, and the order is said aloud."""

    def look(page):
        button = page.locator("table[data-sortable] button[data-sort]").first
        button.focus()
        states = []
        for key in ("Enter", "Space", "Enter"):
            page.keyboard.press(key)
            order, groups = page.evaluate(COLUMN, [0, 0])
            states.append((order, groups, page.text_content("[role=status]")))
        return states, page.locator("thead th").first.inner_text()

    states, name = browser.visit(report, look).seen
    orders, groups, said = zip(*states, strict=True)
    assert orders == ("ascending", "descending", "none")
    assert [group[::-1] for group in groups[0]] == groups[1] != groups[2]
    assert said == (
        *(f"Sorted by {name}, {order}" for order in orders[:2]),
        "Original order",
    )


def test_downloads(browser, layers):
    """The JSON is that of --json, the CSV has a line for each of its numbers."""

    def look(page):
        files = []
        for selector in ("#download-json", "#download-csv"):
            with page.expect_download() as download:
                page.click(selector)
            text = Path(download.value.path()).read_bytes().decode()
            files.append((download.value.suggested_filename, text))
        return files

    visit = browser.visit(layers, look)
    assert (visit.errors, visit.remote) == ([], [])
    (json_name, text), (csv_name, table) = visit.seen
    assert (json_name, csv_name) == ("report.json", "report.csv")
    document = json.loads(layers.with_suffix(".json").read_text(encoding="utf-8"))
    assert json.loads(text) == document
    head, *lines = csv.reader(io.StringIO(table, newline=""))
    assert head == ["layer", "section", "rows", "of", "name", "value"]
    found = {tuple(line[:5]): line[5] for line in lines}
    assert len(found) == len(lines)
    # Spreadsheets run what begins like a formula; numbers are left.
    assert {ODD, '\'=1, "x"', "-1"} < {of for _, _, _, of, _ in found}
    found = {
        tuple(cell.removeprefix("'") for cell in key): value.removeprefix("'")
        for key, value in found.items()
    }
    for layer in document["layers"]:
        expected = {}
        for section in ("collapse", "alignment"):
            for part, rows in (("train", "training"), ("held_out", "test")):
                for name, value in layer[section][part].items():
                    expected[section, rows, "", name] = value
        for section in ("classes", "whitening"):
            for of, values in layer[section].items():
                for name, value in values.items():
                    expected[section, "", of, name] = value
        for row in layer["ood"]:
            for name in set(row) - {"set", "detector"}:
                expected["ood", row["set"], row["detector"], name] = row[name]
        mine = {key[1:]: v for key, v in found.items() if key[0] == layer["name"]}
        assert set(mine) == set(expected)
        for key, value in expected.items():
            assert mine[key] == value or float(mine[key]) == value


def test_filter(browser, report):
    """By words of all cells; headings of groups stay with what is left of them."""

    def look(page):
        table = page.locator("table[data-sortable]").first
        box = page.locator("input[data-filter]").first
        found = []
        for text in ("", "papyan NC2", "no such metric", ""):
            box.fill(text)
            rows = sum(row.is_visible() for row in table.locator("tbody tr").all())
            said = page.text_content("[role=status]")
            names = table.locator("code:visible").all_inner_texts()
            found.append((rows, names, said))
        return found

    every, some, none, again = browser.visit(report, look).seen
    assert every[:2] == again[:2]
    rows, names, said = some
    assert {"nc2_equinorm", "nc2_equiangularity", "nc2_max_angle"} <= set(names)
    assert all("nc2" in name for name in names)
    assert every[0] > rows > len(names)
    assert said == f"{len(names)} metrics"
    assert none[:2] == (0, [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_theme(browser, report, scheme):
    """The reader's choice stands against the system's, in contrast too, and is kept."""

    def look(page):
        def state():
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            brightness = sum(map(int, re.findall(r"\d+", colour)[:3])) / 3
            return page.inner_text("#theme"), brightness > 128

        found, wrong = [state()], []
        for theme in ("light", "dark", "system"):
            page.click("#theme")
            found.append(state())
            if theme not in (scheme, "system"):
                wrong += browsers.violations(page, rules=["color-contrast"])
        for _ in range(1 if scheme == "dark" else 2):
            page.click("#theme")
        before = state()
        page.reload()
        return found, wrong, before, state()

    found, wrong, before, kept = browser.visit(report, look, scheme=scheme).seen
    system = ("Theme: system", scheme == "light")
    assert found == [system, ("Theme: light", True), ("Theme: dark", False), system]
    assert wrong == []
    assert kept == before
    assert kept[1] != system[1]


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


def test_printed(browser, report):
    """Metrics keep their names; what only works on a screen is left out."""

    def look(page):
        page.emulate_media(media="print")
        names = page.locator("th details.def code:visible").all_inner_texts()
        others = page.locator(".tools button:visible, nav:visible, details dl:visible")
        return names, others.count(), page.locator("input:visible").count()

    names, others, inputs = browser.visit(report, look).seen
    numbers = json.loads(report.with_name("numbers.json").read_text(encoding="utf-8"))
    (layer,) = numbers["layers"]
    expected = [*layer["collapse"]["train"], *layer["alignment"]["train"]]
    assert sorted(names) == sorted(expected)
    assert (others, inputs) == (0, 0)


def test_folded_layers(browser, layers):
    """Printing opens all and leaves them as they were; a link opens its own."""

    def look(page):
        def opened():
            return page.eval_on_selector_all(
                "details.layer", "all => all.map(d => d.open)"
            )

        found = [opened()]
        for name in ("beforeprint", "afterprint"):
            page.evaluate(f"dispatchEvent(new Event('{name}'))")
            found.append(opened())
        folded = page.locator("details.layer:not([open])").get_attribute("id")
        page.locator(f"nav a[href='#{folded}']").click()
        page.wait_for_selector(f"#{folded}[open]")
        return [*found, opened()]

    first, printing, after, followed = browser.visit(layers, look).seen
    assert sorted(first) == [False, True]
    assert after == first
    assert printing == followed == [True, True]
