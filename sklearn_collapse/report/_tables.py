"""Rows of the page's tables."""

import inspect
import math
import re

from sklearn_collapse.metrics import METRICS
from sklearn_collapse.report._detectors import DETECTORS
from sklearn_collapse.report._page_numbers import tenths
from sklearn_collapse.report._summary import best_of_sets
from sklearn_collapse.report._text import (
    ALIGNMENT,
    MEANING,
    at_the_ends,
    by_set,
    number,
)

_MANY_CLASSES, _AT_END = 40, 20
# Key, heading, and for whole numbers and names what they are.
_CLASS_COLUMNS = (
    ("rows", "Rows", "whole"),
    ("variance", "Variance", ""),
    ("nc1_trace_ratio", "NC1", ""),
    ("mean_norm", "Norm of the centred mean", ""),
    ("vertex_cosine", "Cosine with its vertex", ""),
    ("nc3_uniform_duality", "Cosine with the head", ""),
    ("cdnv", "CDNV, mean", ""),
    ("nearest", "Nearest class", "name"),
    ("nearest_distance", "Distance to it", ""),
    ("nearest_cdnv", "CDNV with it", ""),
    ("ncm_accuracy_test", "Accuracy of the nearest mean, test", ""),
    ("head_accuracy_test", "Accuracy of the head, test", ""),
)
_ALIGNMENT_DEFINITIONS = {
    "disparity": (
        (0, 1),
        "What the best rotation and scale leave of the squared "
        "distances between class means and vertices, as a share. On test rows it may "
        "exceed 1.",
    ),
    "alignment_mean": (
        (-1, 1),
        "Mean over classes of the cosine of a centred class "
        "mean, rotated, with its vertex.",
    ),
    "alignment_std": ((0, 1), "Standard deviation of these cosines."),
    "alignment_min": ((-1, 1), "The smallest of these cosines."),
    "cosine_gap_mean": (
        (-2, 2),
        "Mean over pairs of classes of the cosine of their "
        "centred means, less -1 / (C - 1). 0 for a simplex.",
    ),
    "cosine_gap_std": ((0, 2), "Standard deviation of these differences."),
    "head_disparity": (
        (0, 1),
        "The same share for the centred rows of the head's "
        "weights, under the rotation of the class means, at the best scale.",
    ),
    "head_alignment_mean": (
        (-1, 1),
        "Mean cosine of these rows, rotated, with their vertices.",
    ),
    "head_self_duality": (
        (0, 2),
        "Distance of the centred weights from the centred "
        "class means, both divided by their norms.",
    ),
}


def definition(name):
    """What a metric is: summary and notes of its function, range, direction, source."""
    metric = METRICS[name]
    text = inspect.getdoc(metric.function)
    summary, details = MEANING[name], ""
    if text is not None:  # python -OO drops it
        summary = text.splitlines()[0]
        notes = re.search(r"\nNotes\n-+\n(.*?)(?:\n\n\w+\n-+\n|\Z)", text, re.S)
        details = " ".join(notes[1].split()) if notes else ""
    return {
        "name": name,
        "meaning": MEANING[name],
        "summary": summary,
        "details": details,
        "range": _range(*metric.range),
        "direction": metric.direction,
        "source": metric.source,
    }


def _range(low, high):
    ends = [
        "0" if end == 0 else number(end).rstrip("0").rstrip(".") for end in (low, high)
    ]
    return f"{ends[0]} to {ends[1]}".replace("-", "−").replace("inf", "∞")


def groups_of(numbers):
    """Metrics by what they look at: (title, rows)."""
    collapse, intervals = numbers["collapse"], numbers["intervals"]
    titles = {
        "moments": "Variability within classes",
        "means": "Geometry of the class means",
        "head": "Last layer against class means",
        "rows": "Decisions",
    }
    groups: dict[str, list] = {title: [] for title in titles.values()}
    for name, value in collapse["train"].items():
        metric = METRICS[name]
        # The most that a metric needs decides.
        (*_, kind) = (need for need in titles if need in metric.needs)
        row = {
            **definition(name),
            "train": value,
            "ends": intervals and _ends(value, intervals["metrics"][name]),
            "test": collapse["held_out"].get(name),
        }
        groups[titles[kind]].append(row)
    return [(title, rows) for title, rows in groups.items() if rows]


def _ends(value, interval):
    """Ends of an interval: () where there is none, None where none is to be missed."""
    if math.isnan(value):
        return None
    return () if interval is None else (interval["low"], interval["high"])


def alignments_of(alignment):
    """Rows of the table of alignments."""
    for name, value in alignment["train"].items():
        direction, meaning = ALIGNMENT[name]
        ends, text = _ALIGNMENT_DEFINITIONS[name]
        yield {
            "name": name,
            "meaning": meaning,
            "direction": direction or "",
            "summary": text,
            "details": "",
            "range": _range(*ends),
            "source": None,
            "train": value,
            "test": alignment["held_out"].get(name),
        }


def ood_sets_of(numbers):
    """Rows of the table by set, the largest AUROC of each marked."""
    best = best_of_sets(numbers["ood"])
    sets = []
    for name, rows in by_set(numbers):
        shown = []
        for row in rows:
            keys = ("auroc", "fpr95_id", "fpr95_ood")
            values = [(row[key], tenths(row[key])) for key in keys]
            is_best = row["auroc"] == best[name]["auroc"]
            shown.append({**row, "values": values, "best": is_best})
        sets.append((name, numbers["data"]["ood_rows"][name], shown))
    return sets


def detectors_of(numbers):
    """What the detectors of the table measure."""
    names = dict.fromkeys(row["detector"] for row in numbers["ood"])
    return {name: DETECTORS[name].meaning for name in names}


def classes_of(numbers):
    """Classes of the page: of many those at both ends of NC1."""
    classes = numbers["classes"]
    if len(classes) <= _MANY_CLASSES:
        return classes
    return at_the_ends(classes, _AT_END)


def class_columns(numbers):
    """Columns of that table which there are."""
    row = next(iter(numbers["classes"].values()))
    return [
        {
            "key": key,
            "title": title,
            "numeric": kind != "name",
            "whole": kind == "whole",
        }
        for key, title, kind in _CLASS_COLUMNS
        if key in row
    ]


def trend(values):
    """Small line through the numbers of a row; those that are undefined leave gaps."""
    from markupsafe import Markup

    finite = [value for value in values if value is not None and math.isfinite(value)]
    if len(finite) < 2:
        return ""
    low, high = min(finite), max(finite)
    path, pen_down = "", False
    for k, value in enumerate(values):
        if value is None or not math.isfinite(value):
            pen_down = False
            continue
        x = 72 * k / (len(values) - 1)
        y = 10.0 if high == low else 18 - 16 * (value - low) / (high - low)
        path += f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}"
        pen_down = True
    return Markup(
        f'<svg class="trend" viewBox="0 0 72 20" aria-hidden="true"><path d="{path}" '
        f'fill="none" stroke="currentColor" stroke-width="1.8" '
        f'stroke-linecap="round" stroke-linejoin="round"/></svg>'
    )
