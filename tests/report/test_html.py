"""The HTML page, parsed: what it shows, that it is whole, that it loads nothing."""

import base64
import hashlib
import json
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest

from sklearn_collapse.metrics import METRICS
from sklearn_collapse.report.cli import main

NAMES = [
    name
    for name, m in METRICS.items()
    if m.family == "collapse" and "unit_moments" not in m.needs
]

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

DETECTORS = [
    *("Mahalanobis", "Mahalanobis++", "relative", "relative++"),
    *("Residual", "kNN", "NECO", "NECO with head", "energy", "max logit", "MSP"),
    *("ViM", "fDBD", "NCI"),
]
# Each is the best on one of the four sets.
DRAWN = ["Mahalanobis", "Mahalanobis++", "relative", "ViM"]
VOID = {"meta", "link", "img", "br", "hr", "wbr", "input"}
ODD = "<script>alert('1')</script> & \"$\\foo{$\" 猫 \x07"


class Page(HTMLParser):
    """Elements with their attributes and text; tags that do not match raise."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.open, self.elements = [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        element = {"tag": tag, "attrs": dict(attrs), "text": "", "in": list(self.open)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, **attrs):
        return [
            element
            for element in self.elements
            if element["tag"] == tag
            and all(element["attrs"].get(k) == v for k, v in attrs.items())
        ]

    def table(self, caption):
        """Rows of the table with a caption: (row group, cells without it)."""
        (table,) = (
            t
            for t in self.all("table")
            if any(caption in c["text"] for c in self.all("caption") if t in c["in"])
        )
        group, rows = None, []
        for tr in self.all("tr"):
            if table not in tr["in"]:
                continue
            cells = [e for e in self.elements if tr in e["in"] and e["tag"] in "thtd"]
            if cells[0]["attrs"].get("scope") == "rowgroup":
                group = plain(cells[0]["text"])
            elif cells[0]["attrs"].get("scope") == "row":
                rows.append((group, [plain(cell["text"]) for cell in cells]))
        return rows


def plain(text):
    return " ".join(text.replace("−", "-").split())


@pytest.fixture
def write(write_all):
    """Write a page; returns its source and the numbers as JSON."""

    def call(*arguments):
        source, document = write_all(*arguments)
        (layer,) = document["layers"]
        return source, layer

    return call


@pytest.fixture
def write_all(tmp_path, capsys):
    """The same with the whole document."""

    def call(*arguments):
        page, numbers = tmp_path / "page.html", tmp_path / "numbers.json"
        argv = ["report", *map(str, arguments), "-o", str(page), "--json", str(numbers)]
        if "--resamples" not in argv:  # most pages are about something else
            argv += ["--resamples", "0"]
        assert main(argv) == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert "Neural collapse (" in out  # the text as well
        return page.read_text("utf-8"), json.loads(numbers.read_text())

    return call


def make_file(path, names, d=6, n=120, seed=0, **more):
    rng = np.random.default_rng(seed)
    names = np.asarray(names)
    y = np.arange(n) % len(names)
    X = rng.normal(size=(len(names), d))[y] + 0.5 * rng.normal(size=(n, d))
    np.savez(path, X=X, y=names[y], **more)
    return path


@pytest.fixture(scope="module")
def bundled(tmp_path_factory):
    """The page of the bundled features, from a process of its own."""
    folder = tmp_path_factory.mktemp("bundled")
    command = [sys.executable, "-m", "sklearn_collapse.report.cli", "report"]
    command += ["--resamples", "20"]
    result = subprocess.run(
        [*command, "-o", folder / "page.html", "--json", folder / "numbers.json"],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (result.returncode, result.stderr) == (0, "")
    source = (folder / "page.html").read_text("utf-8")
    (layer,) = json.loads((folder / "numbers.json").read_text())["layers"]
    return source, layer


def pictures(page):
    """SVG source of each picture."""
    found = []
    for img in page.all("img"):
        head, _, code = img["attrs"]["src"].partition(",")
        assert head == "data:image/svg+xml;base64"
        found.append(base64.b64decode(code).decode())
    return found


def check_scripts(page):
    """One runs, that which the policy names; one holds data."""
    data, script = page.all("script")
    assert data["attrs"] == {"type": "application/json", "id": "numbers"}
    assert script["attrs"] == {}
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    rules = dict(
        rule.split(maxsplit=1) for rule in policy["attrs"]["content"].split(";")
    )
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "script-src": f"'sha256-{digest(script['text'])}'",
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def digest(text):
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def check_page(source):
    """What must hold for every page."""
    page = Page(source)
    assert source.startswith("<!doctype html>")
    assert page.all("html")[0]["attrs"]["lang"] == "en"
    (title,) = page.all("title")
    assert title["text"].strip()
    assert len(page.all("h1")) == 1
    ids = [e["attrs"]["id"] for e in page.elements if "id" in e["attrs"]]
    assert len(ids) == len(set(ids)) > 0
    for element in page.elements:
        attrs = element["attrs"]
        assert element["tag"] not in ("iframe", "object", "form", "base")
        assert not [name for name in attrs if name.startswith("on")]
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert attrs.get(name, "data:").startswith(("data:", "#")), attrs
        if attrs.get("href", "").startswith("#"):
            assert attrs["href"][1:] in ids
        if "aria-labelledby" in attrs:
            assert set(attrs["aria-labelledby"].split()) <= set(ids)
    check_scripts(page)
    for img in page.all("img"):
        assert len(img["attrs"]["alt"]) > 20
        assert int(img["attrs"]["width"]) > 0 < int(img["attrs"]["height"])
    for table in page.all("table"):
        assert any(table in caption["in"] for caption in page.all("caption"))
    for th in page.all("th"):
        assert th["attrs"]["scope"] in ("col", "row", "rowgroup")
    # Nothing is fetched by the styles either, and the policy says so.
    assert "@import" not in source
    assert "url(" not in source
    for svg in pictures(page):
        root = ElementTree.fromstring(svg)  # whole XML
        for element in root.iter():
            assert element.tag.rpartition("}")[2] not in ("script", "foreignObject")
            for name, value in element.attrib.items():
                if name.rpartition("}")[2] == "href":
                    assert value.startswith(("#", "data:"))
    return page


def test_bundled_page(bundled):
    source, _ = bundled
    page = check_page(source)
    assert len(source) < 1_500_000
    assert len(page.all("img")) == 2 + len(DRAWN)
    assert "Notes" not in [plain(h["text"]) for h in page.all("h2")]
    for name in ("airplane", "frog"):
        assert any(name in dd["text"] for dd in page.all("dd"))


def test_collapse_table(bundled):
    """The numbers of the JSON, all of them, and facts of METRICS."""
    source, numbers = bundled
    rows = {
        cells[0].split()[0]: (group, cells)
        for group, cells in Page(source).table("Metrics of the")
    }
    assert set(rows) == set(NAMES) == set(numbers["collapse"]["train"])
    for name, (group, (what, direction, train, test)) in rows.items():
        assert METRICS[name].source in what
        assert len(what.split()) > 2
        assert direction == METRICS[name].direction
        value, interval = train.split(maxsplit=1)
        expected = numbers["collapse"]["train"][name]
        assert float(value) == pytest.approx(expected, rel=2e-3, abs=5e-5)
        ends = numbers["intervals"]["metrics"][name]
        assert [float(end) for end in interval.split(" to ")] == pytest.approx(
            [ends["low"], ends["high"]], rel=2e-3, abs=5e-5
        )
        held_out = numbers["collapse"]["held_out"].get(name)
        if held_out is None:
            assert test == ""
        else:
            assert float(test) == pytest.approx(held_out, rel=2e-3, abs=5e-5)
        assert ("Geometry" in group) == name.startswith(("nc2", "gnc2", "gof"))
        assert ("Last layer" in group) == name.startswith("nc3")
        assert ("Decisions" in group) == (name in ("nc4_agreement", "ncm_accuracy"))


@pytest.mark.parametrize(
    ("resamples", "n", "d", "shown"),
    [
        (0, 400, 4, set()),
        (20, 400, 4, {"to"}),
        (20, 200, 12, {"to", "no interval"}),  # vci and others whiten
        (20, 30, 4, {"no interval"}),
    ],
)
def test_intervals(write, tmp_path, resamples, n, d, shown):
    """Beside their values, and explained; a value is sorted by itself."""
    path = make_file(tmp_path / "f.npz", ["a", "b", "c"], n=n, d=d)
    source, numbers = write(path, "--resamples", resamples)
    page = check_page(source)
    found = (numbers["intervals"] or {}).get("metrics", {})
    seen = set()
    for _, cells in page.table("Metrics of the"):
        _, _, rest = cells[2].partition(" ")
        interval = found.get(cells[0].split()[0])
        assert (rest == "no interval") == (bool(found) and interval is None)
        assert (" to " in rest) == (interval is not None)
        seen.add("to" if " to " in rest else rest)
    assert seen - {""} == shown
    (caption,) = (c for c in page.all("caption") if "Metrics of the" in c["text"])
    assert ("95\xa0% intervals, from 20 bootstrap" in caption["text"]) == (
        "to" in shown
    )
    links = [a["attrs"]["href"] for a in page.all("a") if caption in a["in"]]
    assert links == (["#notes"] if "no interval" in shown else [])


def test_detection_table(bundled):
    source, numbers = bundled
    shown = Page(source).table("AUROC")
    assert len(shown) == len(numbers["ood"]) == 4 * len(DETECTORS)
    best = {}
    for row in numbers["ood"]:
        best[row["set"]] = max(best.get(row["set"], 0), row["auroc"])
        (cells,) = (
            cells
            for group, cells in shown
            if group.startswith(row["set"])
            and cells[0].removesuffix(" best") == row["detector"]
        )
        values = [100 * row[key] for key in ("auroc", "fpr95_id", "fpr95_ood")]
        assert cells[1:] == [f"{value:.1f}" for value in values]
    marked = [cells[1] for _, cells in shown if cells[0].endswith(" best")]
    assert marked == [f"{100 * value:.1f}" for value in best.values()]
    for name, rows in numbers["data"]["ood_rows"].items():
        assert any(group == f"{name} {rows} rows" for group, _ in shown)


def test_alignment_table(bundled):
    """The numbers of the JSON."""
    source, numbers = bundled
    alignment = numbers["alignment"]
    rows = {
        cells[0].split()[0]: cells for _, cells in Page(source).table("Test: class")
    }
    assert list(rows) == list(alignment["train"])
    assert [cells[1] for cells in rows.values()] == [
        *("lower", "higher", "", "higher", "", "lower"),
        *("lower", "higher", "lower"),
    ]
    for name, (_, _, train, test) in rows.items():
        assert float(train) == pytest.approx(alignment["train"][name], abs=5e-5)
        if name in alignment["held_out"]:
            assert float(test) == pytest.approx(alignment["held_out"][name], abs=5e-5)
        else:
            assert test == ""


def test_class_table(bundled):
    """The numbers of the JSON, one row per class."""
    source, numbers = bundled
    rows = {cells[0]: cells for _, cells in Page(source).table("All classes.")}
    assert list(rows) == list(numbers["classes"])
    keys = ["variance", "nc1_trace_ratio", "mean_norm", "vertex_cosine"]
    keys += ["nc3_uniform_duality", "cdnv"]
    accuracies = ["ncm_accuracy_test", "head_accuracy_test"]
    for name, (_, count, *cells) in rows.items():
        values = numbers["classes"][name]
        assert count == f"{values['rows']:,}"
        assert cells.pop(len(keys)) == values["nearest"]
        shown = [float(cell) for cell in cells]
        found = [*keys, "nearest_distance", "nearest_cdnv", *accuracies]
        expected = [values[key] for key in found]
        assert shown == pytest.approx(expected, rel=2e-3, abs=5e-5)


def test_values_for_the_script(bundled):
    """Cells sort by the number, not by what of it is shown."""
    source, numbers = bundled
    page = Page(source)
    (table,) = page.all("table", **{"class": "classes"})
    cells = [e["attrs"].get("data-value") for e in page.all("td") if table in e["in"]]
    for values in numbers["classes"].values():
        assert repr(values["variance"]) in cells
        assert str(values["rows"]) in cells
    assert len([t for t in page.all("table") if "data-sortable" in t["attrs"]]) == 4


def test_embedded_numbers(bundled):
    """What the downloads are made of is the document of --json."""
    source, numbers = bundled
    (data,) = Page(source).all("script", id="numbers")
    document = json.loads(data["text"])
    assert document["format"] == "sklearn_collapse.report"
    assert document["layers"] == [numbers]


def test_definitions(bundled):
    """Of each metric and alignment: formula, range, direction and source."""
    page = Page(bundled[0])
    found = {}
    for details in page.all("details", **{"class": "def"}):
        within = [e for e in page.elements if details in e["in"]]
        (summary,) = (e for e in within if e["tag"] == "summary")
        found[summary["text"].strip()] = plain(details["text"])
    for name in NAMES:
        metric = METRICS[name]
        assert metric.source in found[name]
        assert f"Better{metric.direction}" in found[name]
        low, high = (
            0 if end == 0 else end if math.isinf(end) else pytest.approx(end, abs=1e-4)
            for end in metric.range
        )
        ends = re.search(r"Range(\S+) to (\S+)", found[name].replace("∞", "inf"))
        assert (float(ends[1]), float(ends[2])) == (low, high), name
        # The formula or the summary of the function's own documentation.
        first = metric.function.__doc__.splitlines()[0].split(":")[0]
        assert first in found[name]
    assert {"disparity", "cosine_gap_std", "head_self_duality"} <= set(found)
    (text,) = (
        e["text"] for e in page.all("details") if "What the detectors" in e["text"]
    )
    for name in DETECTORS:
        assert name in text


def test_whitening_table(bundled):
    source, numbers = bundled
    (_, total), (_, within) = Page(source).table("Condition of the covariance")
    for cells, name, found in (
        (total, "all rows", numbers["whitening"]["total"]),
        (within, "within classes", numbers["whitening"]["within"]),
    ):
        before = f"{found['condition_before']:,.0f}"
        assert cells[:3] == [name, str(found["rank"]), before]
        assert cells[3:] == ["1", f"{found['condition_test']:.3g}"]


def test_summary(bundled):
    """The main numbers in one paragraph, and the hardest and the easiest set."""
    source, numbers = bundled
    page = Page(source)
    (lead,) = page.all("p", **{"class": "lead"})
    text, collapse = plain(lead["text"]), numbers["collapse"]
    ratios = [collapse[part]["nc1_trace_ratio"] for part in ("train", "held_out")]
    assert (
        f"variation is {ratios[0]:.3g} times that between the class means on the "
        f"training rows and {ratios[1]:.3g} times on the test rows" in text
    )
    assert f"are {collapse['train']['nc2_etf_error']:.3g} from a simplex" in text
    accuracy = numbers["data"]["head_accuracy_test"]
    assert f"classifies {100 * accuracy:.1f} % of the test rows" in text
    disparity = numbers["alignment"]["train"]["disparity"]
    assert f"leave {100 * disparity:.1f} % of the simplex unexplained" in text
    condition = numbers["whitening"]["total"]["condition_before"]
    assert (
        f"vary in 96 of 96 directions, in the widest of them {condition**0.5:.3g} "
        f"times as far as in the narrowest" in text
    )
    best = {}
    for row in numbers["ood"]:
        if row["auroc"] > best.get(row["set"], {"auroc": -1})["auroc"]:
            best[row["set"]] = row
    ordered = sorted(best.values(), key=lambda row: row["auroc"])
    hard, easy = ordered[0], ordered[-1]
    assert f"hardest is “{hard['set']}”" in text
    assert (
        f"({hard['detector']}) reaches an AUROC of {100 * hard['auroc']:.1f} %" in text
    )
    assert f"easiest is “{easy['set']}” with {100 * easy['auroc']:.1f} %" in text
    tiles = [plain(b["text"]) for b in page.all("b")]
    assert tiles == [
        f"{collapse['held_out']['vci']:.3g}",
        f"{collapse['train']['nc2_etf_error']:.3g}",
        f"{100 * accuracy:.1f} %",
        f"{100 * hard['auroc']:.1f} %",
    ]


def test_pictures_show_the_numbers(bundled):
    """Text in the pictures is text: AUROC of every detector and set, the rank."""
    source, numbers = bundled
    spectrum, geometry, *scores = pictures(Page(source))
    assert f"rank {numbers['data']['within_rank']} of 96" in spectrum
    assert "automobile" in geometry
    assert len(scores) == len(DRAWN)
    for row in numbers["ood"]:
        if row["detector"] not in DRAWN:
            continue
        picture = scores[DRAWN.index(row["detector"])]
        assert f">AUROC {100 * row['auroc']:.1f}<" in picture
        assert f">FPR95 {100 * row['fpr95_id']:.1f}<" in picture
    for svg in (spectrum, geometry, *scores):
        assert "prefers-color-scheme" in svg
        assert "currentColor" in svg
        assert "#010203" not in svg


def test_same_page_every_time(write, tmp_path):
    """In another process as well, where sets are in another order."""
    path = make_file(tmp_path / "a.npz", ["a", "b", "c"])
    options = [path, "--resamples", "20"]
    command = [sys.executable, "-m", "sklearn_collapse.report.cli", "report", *options]
    page = tmp_path / "other.html"
    subprocess.run([*command, "-o", page], check=True, capture_output=True, timeout=240)
    assert write(*options)[0] == page.read_text("utf-8")


def test_text_of_users_is_text(write, tmp_path):
    """Names of classes, sets and files cannot become markup or formulas."""
    folder = tmp_path / "<b>file"
    folder.mkdir()
    path = make_file(folder / "<img src=x>.npz", [ODD, "</title>", "b", "c"])
    np.save(tmp_path / "far.npy", np.random.default_rng(0).normal(size=(20, 6)) * 3)
    source, numbers = write(path, "--ood", f"{ODD}={tmp_path / 'far.npy'}")
    page = check_page(source)
    assert len(page.all("script")) == 2
    assert "<script>alert" not in source
    assert "<b>file" not in source
    (data,) = page.all("script", id="numbers")
    assert json.loads(data["text"])["layers"] == [numbers]
    assert page.all("h1")[0]["text"] == numbers["data"]["name"] == str(path)
    assert any("<script>alert('1')</script> &" in e["text"] for e in page.all("dd"))
    shown = [cells[0] for _, cells in page.table("All classes.")]
    assert {plain(ODD), "</title>", "b", "c"} == set(shown)
    ((group, _), *_) = page.table("AUROC")
    assert group.startswith("<script>alert('1')</script> &")
    for svg in pictures(page)[1:]:
        assert "&lt;script&gt;alert" in svg
    # A control character may stand in HTML text, but would break the pictures.
    assert "\x07" not in "".join(pictures(page))


def test_file_name_that_is_not_unicode(write, tmp_path):
    path = make_file(tmp_path / "plain.npz", ["a", "b"])
    odd = tmp_path / "odd\udcff.npz"
    try:
        path.rename(odd)
    except (OSError, UnicodeEncodeError):
        pytest.skip("the file system has only unicode names")
    page = tmp_path / "page.html"
    argv = ["report", str(odd), "-o", str(page), "--json", str(tmp_path / "n.json")]
    from sklearn_collapse.report import _text

    original = _text.as_text
    try:  # such a name cannot be printed everywhere: not this test's subject
        _text.as_text = lambda report: ""
        assert main(argv) == 0
    finally:
        _text.as_text = original
    check_page(page.read_text("utf-8"))


def test_notes_and_numbers_that_are_not_there(write, tmp_path):
    """More classes than a simplex has: a note, and no sentence about it."""
    path = make_file(tmp_path / "many.npz", np.arange(9), d=3, n=180)
    source, numbers = write(path, "--class-weight", "balanced")
    page = check_page(source)
    notes = [plain(li["text"]) for li in page.all("li")]
    assert set(numbers["notes"]) <= set(notes)
    assert any("no simplex in 3 dimensions" in note for note in notes)
    rows = {cells[0].split()[0]: cells for _, cells in page.table("Metrics of the")}
    assert rows["nc2_etf_error"][2] == "undefined"
    assert "nc3_product" not in rows
    assert "All classes weigh alike" in source
    (lead,) = page.all("p", **{"class": "lead"})
    assert "simplex" not in lead["text"]
    for _, cells in page.table("Test: class"):
        assert cells[2] == "undefined"
        assert cells[3] in ("undefined", "")
    assert {cells[5] for _, cells in page.table("All classes.")} == {"undefined"}
    assert "No sets were given" in source
    assert len(page.all("img")) == 2


def test_collapsed_completely(write, tmp_path):
    """Zero within-class variation, zero distances, infinite ratios."""
    y = np.repeat(np.arange(4), 10)
    np.savez(tmp_path / "c.npz", X=np.eye(4)[y], y=y, X_test=np.eye(4)[y], y_test=y)
    source, numbers = write(tmp_path / "c.npz")
    page = check_page(source)
    rows = {cells[0].split()[0]: cells for _, cells in page.table("Metrics of the")}
    for name, value in numbers["collapse"]["train"].items():
        shown = rows[name][2].removesuffix(" no interval")
        shown = shown.replace("∞", "inf").replace("undefined", "nan")
        assert float(shown) == pytest.approx(
            float(value), rel=2e-3, abs=5e-5, nan_ok=True
        )
    (lead,) = page.all("p", **{"class": "lead"})
    assert "variation is 0 times" in lead["text"]
    (_, total), (_, within) = page.table("Condition of the covariance")
    assert total[1:] == ["3", "1", "1", "1"]
    assert within[1:] == ["0", *["undefined"] * 3]


def test_conditions_that_are_large_or_infinite(write, tmp_path):
    """Fewer test rows than features; sizes that no separator makes readable."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 8)) * [1e6, *[1] * 7], np.arange(60) % 3
    np.savez(tmp_path / "a.npz", X=X, y=y, X_test=X[:5], y_test=y[:5])
    source, numbers = write(tmp_path / "a.npz")
    for row, found in zip(
        check_page(source).table("Condition of the covariance"),
        numbers["whitening"].values(),
        strict=True,
    ):
        assert row[1][2] == f"{found['condition_before']:.3g}"
        assert "e+1" in row[1][2]
        assert row[1][3:] == ["1", "∞"]


def test_one_direction_is_not_compared(write, tmp_path):
    """The widest of one is the narrowest as well."""
    y = np.arange(40) % 2
    X = (np.random.default_rng(0).normal(size=(40, 1)) + y[:, None]) * [1.0, 2.0]
    np.savez(tmp_path / "a.npz", X=X, y=y)
    (lead,) = check_page(write(tmp_path / "a.npz")[0]).all("p", **{"class": "lead"})
    assert "directions" not in lead["text"]


def test_one_set(write, tmp_path):
    path = make_file(tmp_path / "a.npz", ["a", "b", "c"])
    np.save(tmp_path / "far.npy", np.full((5, 6), 40.0))
    source, _ = write(path, "--ood", f"far={tmp_path / 'far.npy'}")
    (lead,) = check_page(source).all("p", **{"class": "lead"})
    assert "Rows of “far” are told apart with an AUROC of 100.0" in lead["text"]


def test_captions_fit_the_pictures(write, tmp_path):
    """A matrix has dark and pale cells; a histogram, of many classes, has none."""
    few = check_page(write(make_file(tmp_path / "a.npz", ["a", "b", "c"]))[0])
    many = make_file(tmp_path / "b.npz", np.arange(201), d=5, n=2010)
    many = check_page(write(many)[0])
    captions = [plain(e["text"]) for p in (few, many) for e in p.all("figcaption")]
    assert ["part from the rest" in c for c in captions] == [True, False, False, False]
    assert ["Darker" in c for c in captions] == [False, True, False, False]


def test_many_classes(write, tmp_path):
    """Those at both ends of NC1, and the page says so; the data have all."""
    names = [f"class {k}" for k in range(60)]
    rng = np.random.default_rng(0)
    y = np.arange(600) % 60
    X = 4 * rng.normal(size=(60, 70))[y]
    X += (1 + y[:, None] / 10) * rng.normal(size=(600, 70))
    np.savez(tmp_path / "m.npz", X=X, y=np.array(names)[y])
    source, numbers = write(tmp_path / "m.npz")
    page = check_page(source)
    shown = [cells[0] for _, cells in page.table("40 of 60 classes: those with the")]
    ratios = {name: row["nc1_trace_ratio"] for name, row in numbers["classes"].items()}
    ordered = sorted(ratios, key=lambda name: -ratios[name])
    assert shown == ordered[:20] + ordered[-20:]
    assert len(ratios) == 60
    assert not any("class 17" in e["text"] for e in page.all("dd"))


def test_layers(write_all, tmp_path):
    """Compared, then one section each, of which the first is open."""
    files = [
        make_file(tmp_path / f"{name}.npz", ["a", "b", "c"], seed=k)
        for k, name in enumerate(["first", "<b>second", "third"])
    ]
    source, document = write_all(*files)
    page = check_page(source)
    names = ["first", "<b>second", "third"]
    sections = page.all("details", **{"class": "layer"})
    assert ["open" in e["attrs"] for e in sections] == [True, False, False]
    assert [e["text"] for e in page.all("h2")] == [
        *("Comparison", *names, "How it was made")
    ]
    (nav,) = page.all("nav")
    links = [e["text"] for e in page.all("a") if nav in e["in"]]
    assert links == ["Comparison", *names]
    rows = {tuple(c[:2]): c for _, c in page.table("Metrics by layer")}
    for k, layer in enumerate(document["layers"]):
        assert layer["name"] == names[k]
        for rows_of, part in (("training", "train"), ("test", "held_out")):
            for metric, value in layer["collapse"][part].items():
                shown = rows[metric, rows_of][3 + k]
                assert float(shown.rstrip("*")) == pytest.approx(
                    value, rel=2e-3, abs=5e-5
                )
    trends = page.all("svg")
    assert len(trends) == len(rows)
    assert {e["attrs"]["aria-hidden"] for e in trends} == {"true"}
    # Three layers of two pictures each, and metrics over the layers.
    over = pictures(page)[: len(page.all("img")) - 6]
    assert len(over) == 5  # no head
    assert all("first" in svg and "&lt;b&gt;second" in svg for svg in over)
    value = document["layers"][2]["collapse"]["held_out"]["vci"]
    assert f"third {value:.3g}" in page.all("img")[0]["attrs"]["alt"]
    (lead,) = (e for e in page.all("p", **{"class": "lead"})[:1])
    first = document["layers"][0]["collapse"]["held_out"]["vci"]
    assert f"goes from {first:.3g} to {value:.3g}" in lead["text"]
    # Not what one layer says of another.
    assert len(page.table("Metrics by layer")[0][1]) == 3 + 3 + 1


def test_difference_to_the_first_layer(write_all, tmp_path):
    """Marked as `compare` marks it; never the first, nor numbers without interval."""
    files = [
        make_file(tmp_path / f"{k}.npz", ["a", "b", "c"], d=4, n=400, seed=k)
        for k in range(2)
    ]
    source, document = write_all(*files, "--resamples", 40)
    (tmp_path / "all.json").write_text(json.dumps(document))
    argv = ["compare", str(tmp_path / "all.json"), "--json", str(tmp_path / "c.json")]
    assert main(argv) == 0
    compared = json.loads((tmp_path / "c.json").read_text())["metrics"]
    marks = set()
    for _, (name, rows, _, *shown, _) in Page(source).table("Metrics by layer"):
        far = [False] * 2
        if rows == "training" and name in compared:
            found = [row["difference"] for row in compared[name]["reports"]]
            far = [bool(row and row["leaves_out_zero"]) for row in found]
        assert [text.endswith("*") for text in shown] == far
        marks |= set(far)
    assert marks == {True, False}
    assert "leaves out zero" in source


def test_trend():
    """From lowest to highest; numbers that are not there leave gaps."""
    from sklearn_collapse.report._tables import trend

    path = re.search(r' d="([^"]*)"', trend([0.0, 4.0, 2.0]))[1]
    assert path == "M0.0 18.0L36.0 2.0L72.0 10.0"
    path = re.search(r' d="([^"]*)"', trend([1.0, None, 2.0, math.inf, 2.0]))[1]
    assert path.count("M") == 3
    assert "L" not in path
    assert 'd="M0.0 10.0L72.0 10.0"' in trend([3.0, 3.0])
    assert trend([1.0, math.nan]) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tr(S_W S_B^+) / C", "tr(S<sub>W</sub> S<sub>B</sub><sup>+</sup>) / C"),
        ("A^T Sigma_W^-1 A", "A<sup>T</sup> Sigma<sub>W</sub><sup>−1</sup> A"),
        (
            "at 0 with ``class_weight='b'``",
            "at 0 with <code>class_weight=&#39;b&#39;</code>",
        ),
        ("a < b, -1 / (C - 1)", "a &lt; b, −1 / (C − 1)"),
        ("mean-centred class_weight", "mean-centred class_weight"),
    ],
)
def test_formula(text, shown):
    from sklearn_collapse.report._page_numbers import formula

    assert str(formula(text)) == shown


def test_settings_of_the_caller_are_left_alone(write, tmp_path):
    import matplotlib

    path = make_file(tmp_path / "a.npz", ["a", "b"])
    with matplotlib.rc_context({"font.size": 31, "text.usetex": True}):
        before = dict(matplotlib.rcParams)
        first = write(path)[0]
        assert dict(matplotlib.rcParams) == before
    assert write(path)[0] == first


# -- what cannot be written --------------------------------------------------------


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_missing_extra(missing, monkeypatch, tmp_path, capsys):
    """One line says what to install; the text is printed, no file is left."""
    path = make_file(tmp_path / "a.npz", ["a", "b"])
    assert main(["report", str(path)]) == 0
    text, _ = capsys.readouterr()
    monkeypatch.setitem(sys.modules, missing, None)
    page, numbers = tmp_path / "page.html", tmp_path / "numbers.json"
    argv = ["report", str(path), "-o", str(page), "--json", str(numbers)]
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == text
    assert len(err.splitlines()) == 1
    assert err.startswith(f"sklearn-collapse: error: {page}: not written: ")
    assert err.endswith("pip install 'sklearn-collapse[report]'\n")
    assert missing in err
    assert not page.exists()
    assert json.loads(numbers.read_text())["layers"][0]["data"]["n_classes"] == 2


@pytest.mark.parametrize("target", [".", "nowhere/page.html"])
def test_path_that_cannot_be_written(target, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    path = make_file("a.npz", ["a", "b"])
    assert main(["report", path, "--output", target]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"sklearn-collapse: error: {target}: cannot be written: ")
    assert len(err.splitlines()) == 1


def test_features_that_cannot_be_read_leave_no_page(tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["report", str(tmp_path / "no.npz"), "-o", str(page)]) == 2
    assert not page.exists()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_help_says_what_is_needed(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["report", "--help"])
    out = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "-o FILE" in out
    assert "sklearn-collapse[report]" in out
    assert "exit code is 2" in out
