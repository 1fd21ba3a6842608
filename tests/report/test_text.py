"""Tests of the report's text and JSON, from numbers that nobody computed."""

import json
import math
import re

import pytest

from sklearn_collapse.metrics import METRICS
from sklearn_collapse.report import _text
from sklearn_collapse.report._document import as_json
from sklearn_collapse.report._text import ALIGNMENT

NAMES = [
    name
    for name, m in METRICS.items()
    if m.family == "collapse" and "unit_moments" not in m.needs
]


def as_text(report):
    return _text.as_text({"layers": [report]})


@pytest.fixture
def report():
    """Every metric, alignment and condition, two sets, two detectors, a note."""
    train = {name: (k + 1) / 8 for k, name in enumerate(NAMES)}
    sets = ("near", "a set with a longer name")
    return {
        "data": {
            "name": "file.npz",
            "n_train": 80,
            "n_test": 20,
            "n_features": 7,
            "dtype": "float32",
            "n_classes": 4,
            "rows_per_class": [20, 20],
            "constant_features": 1,
            "within_rank": 6,
            "split": "test rows come with the features",
            "ood_rows": dict(zip(sets, (10, 1000), strict=True)),
            "head_accuracy_test": 0.875,
        },
        "collapse": {
            "class_weight": None,
            "train": train,
            "held_out": {"vci": 0.4321, "cdnv": 12.5},
            "nc2_etf_error_balanced": 0.2468,
        },
        "whitening": {
            "total": {
                "rank": 7,
                "condition_before": 123456.7,
                "condition_after": 1.0000004,
                "condition_test": math.inf,
            },
            "within": {
                "rank": 6,
                "condition_before": 987.65,
                "condition_after": 1.0,
                "condition_test": 2.3456,
            },
        },
        "alignment": {
            "train": {name: (k + 1) / 16 for k, name in enumerate(ALIGNMENT)},
            "held_out": {"disparity": 3.5, "alignment_min": -0.25},
        },
        "classes": {
            label: {
                "rows": 20 + k,
                "variance": 0.5 + k,
                "nc1_trace_ratio": 0.25 + k,
                "mean_norm": 1.5 + k,
                "vertex_cosine": 0.75 - k,
                "nearest": "cat",
                "nearest_cdnv": 0.125 + k,
                "ncm_accuracy_test": 0.875 - k,
            }
            for k, label in enumerate(["cat", "a label"])
        },
        "ood": [
            {
                "detector": detector,
                "set": name,
                "auroc": 0.9 + j / 50,
                "aupr_in": 0.5,
                "aupr_out": 0.5,
                "fpr95_id": 0.25 + i / 8,
                "fpr95_ood": 0.0004,
            }
            for i, detector in enumerate(["one", "another"])
            for j, name in enumerate(sets)
        ],
        "notes": ["first note", "second note"],
    }


def table_after(text, title):
    """Lines of the table under a title: head, rule, rows."""
    lines = text.splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith(title)) + 1
    stop = next((k for k in range(start, len(lines)) if not lines[k]), len(lines))
    return lines[start:stop]


def test_data(report):
    lines = as_text(report).split("\n\n")[0].splitlines()
    assert lines == [
        "Features   file.npz",
        "rows       80 training, 20 test; test rows come with the features",
        "features   7 (float32), 1 constant; within-class rank 6",
        "classes    4, 20 training rows each",
        "head       test accuracy 0.875",
    ]
    report["data"].update(rows_per_class=[5, 31], head_accuracy_test=None)
    lines = as_text(report).split("\n\n")[0].splitlines()
    assert lines[3] == "classes    4, 5 to 31 training rows each"
    assert lines[4] == "head       none"


def test_metrics(report):
    """Each metric with its direction, its numbers and what it is."""
    text = as_text(report)
    head, rule, *rows = table_after(text, "Neural collapse")
    assert head.split() == ["metric", "training", "test", "what", "it", "is"]
    assert set(rule) == {"-"}
    assert [row.split()[0] for row in rows] == NAMES
    for row in rows:
        name, arrow, value, *rest = row.split()
        assert arrow == {"lower": "v", "higher": "^"}[METRICS[name].direction]
        assert value == f"{report['collapse']['train'][name]:.4f}"
        held_out = {"vci": "0.4321", "cdnv": "12.5000"}.get(name)
        assert (rest[0] == held_out) == (held_out is not None)
        assert len(rest) > (held_out is not None)  # what it is


def test_columns_are_aligned(report):
    text = as_text(report)
    for title, numbers in [
        ("Neural collapse", ["training", "test"]),
        ("Alignment", ["training", "test"]),
        ("Whitening", ["rank", "before", "training"]),
        ("Out of distribution", ["rows", "AUROC", "FPR95 id", "FPR95 ood"]),
    ]:
        head, rule, *rows = table_after(text, title)
        assert len(rule) >= max(map(len, [head, *rows]))
        for column in numbers:
            end = head.index(column) + len(column)
            for row in rows:
                # A number ends where its heading ends; few metrics have one for test.
                assert row[end - 1].isdigit() or column == "test"
                assert row[end : end + 1] in ("", " ")
        for line in (head, *rows):
            assert line == line.rstrip()


def test_alignment(report):
    """Values that only training rows have leave the cell of the test rows empty."""
    head, _, *rows = table_after(as_text(report), "Alignment")
    assert head.split() == ["value", "training", "test", "what", "it", "is"]
    arrows = ("v", "^", "", "^", "", "v", "v", "^", "v")
    for k, (row, name, arrow) in enumerate(zip(rows, ALIGNMENT, arrows, strict=True)):
        cells = [part.strip() for part in re.split(r"  +", row)]
        test = {"disparity": ["3.5000"], "alignment_min": ["-0.2500"]}.get(name, [])
        shown = [name, *[arrow] * bool(arrow), f"{(k + 1) / 16:.4f}", *test]
        assert cells[:-1] == shown
        assert ALIGNMENT[name][1] == cells[-1]


def test_alignment_without_head(report):
    for name in [name for name in ALIGNMENT if name.startswith("head_")]:
        del report["alignment"]["train"][name]
    assert "head_" not in as_text(report)


def test_classes(report):
    head, _, *rows = table_after(as_text(report), "Classes")
    columns = ["class", "rows", "variance", "NC1", "norm", "vertex", "nearest"]
    assert re.split(r"  +", head) == [*columns, "CDNV", "acc."]
    assert [re.split(r"  +", row) for row in rows] == [
        [
            "cat",
            "20",
            "0.5000",
            "0.2500",
            "1.5000",
            "0.7500",
            "cat",
            "0.1250",
            "0.8750",
        ],
        [
            *("a label", "21", "1.5000", "1.2500", "2.5000", "-0.2500", "cat"),
            *("1.1250", "-0.1250"),
        ],
    ]


def test_many_classes(report):
    """Those at both ends; the ones without a value are the last."""
    row = report["classes"]["cat"]
    report["classes"] = {
        f"class {k}": row | {"nc1_trace_ratio": math.nan if k == 7 else (k - 20) ** 2}
        for k in range(60)
    }
    text = as_text(report)
    assert "Classes (20 of 60: most and least NC1)" in text
    shown = [line.split()[1] for line in table_after(text, "Classes")[2:]]
    values = {k: (k - 20) ** 2 for k in range(60) if k != 7}
    ordered = [*sorted(values, key=lambda k: -values[k]), 7]
    assert shown == [str(k) for k in ordered[:10] + ordered[-10:]]


def test_label_that_is_no_line(report):
    row = report["classes"].pop("cat")
    report["classes"] = {"a\nb \x1b[31m" + "x" * 99: row}
    (line,) = table_after(as_text(report), "Classes")[2:]
    assert line.startswith("a b [31mxxx")
    assert "...    20  " in line


def test_whitening(report):
    head, _, *rows = table_after(as_text(report), "Whitening")
    assert head.split() == ["covariance", "rank", "before", "training", "test"]
    assert [row.split() for row in rows] == [
        ["total", "7", "1.235e+05", "1", "inf"],
        ["within", "6", "987.6", "1", "2.346"],
    ]
    report["whitening"]["within"] = dict.fromkeys(report["whitening"]["total"], 0) | {
        key: math.nan for key in report["whitening"]["total"] if "condition" in key
    }
    rows = table_after(as_text(report), "Whitening")[2:]
    assert rows[1].split() == ["within", "0", "nan", "nan", "nan"]


def test_etf_error(report):
    value = report["collapse"]["train"]["nc2_etf_error"]
    line = f"ETF error  {value:.4f} (0 = simplex ETF; 0.2468 with balanced classes)"
    assert line in as_text(report).splitlines()


def test_class_weight(report):
    assert "class_weight none" in as_text(report)
    report["collapse"]["class_weight"] = "balanced"
    assert "class_weight balanced" in as_text(report)


def test_out_of_distribution(report):
    """One block per set, in the order given; its name and size stand once."""
    head, _, *rows = table_after(as_text(report), "Out of distribution")
    columns = ["set", "rows", "detector", "AUROC", "FPR95 id", "FPR95 ood"]
    assert [part.strip() for part in head.split("  ") if part] == columns
    assert [row.split()[-4:] for row in rows] == [
        ["one", "90.0", "25.0", "0.0"],
        ["another", "90.0", "37.5", "0.0"],
        ["one", "92.0", "25.0", "0.0"],
        ["another", "92.0", "37.5", "0.0"],
    ]
    assert rows[0].startswith("near  ")
    assert rows[2].startswith("a set with a longer name  1000  one")
    assert rows[1].split()[:2] == ["10", "another"]


def test_names_stay_on_their_line(report):
    """Of sets and of the file, with line breaks or codes that steer a terminal."""
    name = "a\nb\x1b[2J"
    for row in report["ood"]:
        row["set"] = name
    report["data"]["ood_rows"] = {name: 3}
    report["data"]["name"] = name
    text = as_text(report)
    assert "\x1b" not in text
    assert text.startswith("Features   a b [2J\n")
    assert table_after(text, "Out of distribution")[2].startswith("a b [2J")


def test_intervals(report):
    """None where the value is undefined; no column where there are none at all."""
    report["collapse"]["train"] = {"vci": 0.5, "cdnv": math.nan, "nc2_etf_error": 1.0}
    ends = {"vci": (0.4, 0.6), "cdnv": (math.nan, math.nan)}
    found = {k: dict(zip(("low", "high"), v, strict=True)) for k, v in ends.items()}
    report["intervals"] = {"confidence_level": 0.95, "metrics": found}
    head, _, vci, cdnv, etf = table_after(as_text(report), "Neural collapse")
    assert "95 % interval" in head
    assert "0.4000 to 0.6000" in vci
    assert " to " not in cdnv + etf
    report["intervals"]["metrics"] = dict.fromkeys(ends)
    assert "interval" not in table_after(as_text(report), "Neural collapse")[0]


def test_set_that_is_named_like_its_column(report):
    """The heading is no row above it."""
    for row in report["ood"]:
        row["set"] = row["set"].replace("near", "set")
    report["data"]["ood_rows"] = {"set": 10, "a set with a longer name": 1000}
    rows = table_after(as_text(report), "Out of distribution")[2:]
    assert rows[0].split()[:3] == ["set", "10", "one"]


def test_no_sets(report):
    report["ood"], report["data"]["ood_rows"] = [], {}
    assert "Out of distribution: no sets given (--ood NAME=FILE)." in as_text(report)


def test_notes(report):
    assert as_text(report).endswith("\n\nNote: first note\n\nNote: second note")
    report["notes"] = []
    assert "Note" not in as_text(report)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.12344, "0.1234"),
        (-0.5, "-0.5000"),
        (0.001, "0.0010"),
        (0.00099, "0.00099"),
        (-1.23456e-7, "-1.23e-07"),
        (9999.0, "9999.0000"),
        (12345.6, "1.23e+04"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers(report, value, shown):
    report["collapse"]["train"] = {"vci": value, "nc2_etf_error": value}
    report["collapse"]["held_out"] = {"vci": value}
    rows = table_after(as_text(report), "Neural collapse")[2:]
    assert rows[0].split()[:4] == ["vci", "v", shown, shown]
    assert f"ETF error  {shown} (" in as_text(report)


def test_text_is_plain_ascii(report):
    """Any terminal and any pipe can show it."""
    assert as_text(report).isascii()


def layer_of(text, **options):
    (layer,) = json.loads(text, **options)["layers"]
    return layer


def test_json(report):
    """Nothing is lost or rounded; infinity is a string."""
    read = layer_of(as_json({"layers": [report]}))
    assert read["whitening"]["total"].pop("condition_test") == "inf"
    del report["whitening"]["total"]["condition_test"]
    assert read == report


def test_json_of_numbers_that_json_lacks(report):
    report["collapse"]["train"] = {"a": math.nan, "b": -math.inf, "c": [math.inf, 1.0]}
    report["data"]["ood_rows"] = {3: 4}

    def refuse(constant):
        raise AssertionError(constant)

    plain = layer_of(as_json({"layers": [report]}), parse_constant=refuse)
    assert plain["collapse"]["train"] == {"a": "nan", "b": "-inf", "c": ["inf", 1.0]}
    assert plain["data"]["ood_rows"] == {"3": 4}
