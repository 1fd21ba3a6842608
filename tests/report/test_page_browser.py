"""What the page's script does: sorting, filter, theme, downloads, folded layers."""

import csv
import json
import re

import numpy as np
import pytest
from test_cli import make_arrays

from sklearn_collapse.report.cli import main

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
pytestmark = pytest.mark.browser

NAMES = ("early", "later", "last")


def write(folder, *names):
    for k, name in enumerate(names):
        arrays = make_arrays(d=5 + k, seed=k)
        arrays["y"][-1] = 7  # of a single row: its NC1 is undefined
        arrays = {**arrays, "classes": np.arange(3)}
        del arrays["W"], arrays["b"]
        labels = np.array(["=1, b", '@the "best"', "-1", *"defg", "-h"])
        arrays["y"], arrays["y_test"] = labels[arrays["y"]], labels[arrays["y_test"]]
        arrays["ood_far"] = 3 * arrays["X_test"][:20] + 1
        np.savez(folder / f"{name}.npz", **arrays)
    files = [str(folder / f"{name}.npz") for name in names]
    page, numbers = folder / "page.html", folder / "numbers.json"
    assert main(["report", *files, "-o", str(page), "--json", str(numbers)]) == 0
    return page, json.loads(numbers.read_text())


@pytest.fixture(scope="module")
def one(tmp_path_factory, browser):
    return write(tmp_path_factory.mktemp("one"), "last")


@pytest.fixture(scope="module")
def several(tmp_path_factory, browser):
    return write(tmp_path_factory.mktemp("several"), *NAMES)


def visit(browser, page, look, **options):
    found = browser.visit(page, look, **options)
    assert found.errors + found.failed + found.remote == []
    return found.seen


def test_sorting(browser, one):
    """Undefined values are last in both orders; a third press restores the order."""
    page, document = one
    classes = document["layers"][0]["classes"]

    def look(page):
        table = page.locator("table.classes")
        header = table.locator("thead th", has_text="NC1")
        found = []
        for _ in range(3):
            header.locator("button[data-sort]").press("Enter")
            labels = table.locator("tbody th").all_inner_texts()
            said = page.locator("#status").inner_text()
            found.append((labels, header.get_attribute("aria-sort"), said))
        sorted_by = table.locator('thead th:not([aria-sort="none"])').count()
        return found, sorted_by

    found, sorted_by = visit(browser, page, look)
    values = {k: row["nc1_trace_ratio"] for k, row in classes.items()}
    undefined = [k for k, value in values.items() if value == "nan"]
    assert len(undefined) == 1
    defined = sorted(set(values) - set(undefined), key=values.get)
    assert found == [
        (defined + undefined, "ascending", "Sorted by NC1, ascending"),
        (defined[::-1] + undefined, "descending", "Sorted by NC1, descending"),
        (list(values), "none", "Original order"),
    ]
    assert sorted_by == 0


def test_sorting_stays_within_groups(browser, one):
    page, _ = one

    def look(page):
        table = page.locator("table[data-sortable]").first
        body = table.locator("tbody")
        before = [set(b.locator("code").all_inner_texts()) for b in body.all()]
        table.locator("th button[data-sort]").nth(2).click()
        after = [set(b.locator("code").all_inner_texts()) for b in body.all()]
        heads = [b.locator("tr").first.inner_text() for b in body.all()]
        values = [
            [
                float(v.split()[0].replace("−", "-"))
                for v in b.locator("td:nth-child(3)").all_inner_texts()
            ]
            for b in body.all()
        ]
        return before, after, heads, values

    before, after, heads, values = visit(browser, page, look)
    assert before == after
    assert heads[0] == "Variability within classes"
    assert all(rows == sorted(rows) for rows in values)


def test_filter(browser, one):
    page, _ = one

    def look(page):
        page.locator("input[data-filter]").fill("papyan NC2")
        shown = page.locator("table[data-sortable]").first.locator("code:visible")
        return shown.all_inner_texts(), page.locator("#status").inner_text()

    names, said = visit(browser, page, look)
    assert {"nc2_equinorm", "nc2_equiangularity", "nc2_max_angle"} <= set(names)
    assert all("nc2" in name for name in names)
    assert said == f"{len(names)} metrics"


def test_theme(browser, one):
    """The system's until another is chosen; that is kept."""
    page, _ = one

    def look(page):
        def state():
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            return page.inner_text("#theme"), colour

        found = [state()]
        for _ in range(3):
            page.click("#theme")
            found.append(state())
        page.click("#theme")
        page.reload()
        return found, state()

    found, kept = visit(browser, page, look, scheme="dark")
    names, colours = zip(*found, strict=True)
    assert names == (
        *("Theme: system", "Theme: light"),
        *("Theme: dark", "Theme: system"),
    )
    assert colours[0] == colours[2] == colours[3] != colours[1]
    assert kept == found[1]


def test_downloads(browser, several, tmp_path):
    """The JSON is that of --json, the CSV has a line for each of its numbers."""
    page, document = several

    def look(page):
        for kind in ("json", "csv"):
            with page.expect_download() as waited:
                page.click(f"#download-{kind}")
            assert waited.value.suggested_filename == f"report.{kind}"
            waited.value.save_as(tmp_path / f"report.{kind}")

    visit(browser, page, look)
    assert json.loads((tmp_path / "report.json").read_text("utf-8")) == document
    with (tmp_path / "report.csv").open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["layer", "section", "rows", "of", "name", "value"]
    found = {tuple(row[:5]): row[5] for row in rows}
    assert len(found) == len(rows)
    # Spreadsheets run what begins like a formula; numbers are left.
    labels = {row[3] for row in rows if row[1] == "classes"}
    assert labels == {"'=1, b", '\'@the "best"', "-1", "'-h"}
    found = {
        tuple(re.sub("^'", "", cell) for cell in key): re.sub("^'", "", value)
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
            shown = mine[key]
            assert (shown if isinstance(value, str) else float(shown)) == value


def test_printed(browser, one):
    """Metrics keep their names; what only works on a screen is left out."""
    page, document = one

    def look(page):
        page.emulate_media(media="print")
        names = page.locator("th details.def code:visible").all_inner_texts()
        others = page.locator(".tools button:visible, nav:visible, details dl:visible")
        return names, others.count(), page.locator("input:visible").count()

    names, others, inputs = visit(browser, page, look)
    (layer,) = document["layers"]
    expected = [*layer["collapse"]["train"], *layer["alignment"]["train"]]
    assert sorted(names) == sorted(expected)
    assert (others, inputs) == (0, 0)


def test_folded_layers(browser, several):
    """A link opens its layer; printing opens all and leaves them as they were."""
    page, _ = several

    def look(page):
        def opened():
            return page.eval_on_selector_all(
                "details.layer", "all => all.map(d => d.open)"
            )

        found = [opened()]
        page.locator("nav a").nth(3).click()
        page.wait_for_function("document.querySelectorAll('details.layer')[2].open")
        found.append(opened())
        for name in ("beforeprint", "afterprint"):
            page.evaluate(f"dispatchEvent(new Event('{name}'))")
            found.append(opened())
        return found

    assert visit(browser, page, look) == [
        [True, False, False],
        [True, False, True],
        [True, True, True],
        [True, False, True],
    ]
