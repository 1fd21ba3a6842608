"""Reports side by side, and their differences to the first."""

from difflib import get_close_matches

import numpy as np

from sklearn_collapse.metrics import METRICS
from sklearn_collapse.metrics._bootstrap import _ends, _spread
from sklearn_collapse.report._errors import ReportError

FORMAT, VERSION = "sklearn_collapse.comparison", 1


def compare(entries, metrics=None):
    """Compare layers of reports with the first of them.

    Parameters
    ----------
    entries : list of Entry
        At least two.
    metrics : list of str, default=None
        Collapse metrics, by default all.

    Returns
    -------
    dict
        Plain numbers: "reports", what was compared; "metrics", by name the value of
        each report with its interval and the difference to the first with its own;
        "numbers", by name those of test rows, alignment and out-of-distribution
        table; "notes".
    """
    if len(entries) < 2:
        raise ReportError(
            f"{entries[0].file}: one report with one layer cannot be compared: pass "
            f"another."
        )
    names = _names(entries, metrics)
    return {
        "format": FORMAT,
        "version": VERSION,
        "reports": [_facts(entry, entries[0]) for entry in entries],
        "metrics": {
            name: {
                "direction": METRICS[name].direction if name in METRICS else None,
                "reports": [_compared(name, entry, entries[0]) for entry in entries],
            }
            for name in names
        },
        "numbers": _side_by_side(entries, names),
        "notes": _notes(entries),
    }


def numbers_for_conditions(entries, comparison):
    """Numbers of each report, and its differences to the first, by name.

    Parameters
    ----------
    entries : list of Entry
    comparison : dict
        Of `compare`.

    Returns
    -------
    dict of str to dict of str to float or None
        By the report; "NAME.difference" is that of any number, and of collapse metrics
        "NAME.difference.low" and "NAME.difference.high" are the ends of its interval.
    """
    first = entries[0].numbers
    found = {_label(0, entries[0]): first}
    for k, entry in enumerate(entries[1:], 1):
        numbers = dict(entry.numbers)
        for name in first | entry.numbers:
            a, b = first.get(name), entry.numbers.get(name)
            numbers[f"{name}.difference"] = None if None in (a, b) else b - a
        for name, row in comparison["metrics"].items():
            difference = row["reports"][k]["difference"] or {}
            for end in ("low", "high"):
                numbers[f"{name}.difference.{end}"] = difference.get(end)
        found[_label(k, entry)] = numbers
    return found


def far_from_first(entries):
    """Whether the interval of each report's difference to the first leaves out zero.

    Parameters
    ----------
    entries : list of Entry

    Returns
    -------
    dict of str to list of bool
        By metric; False where there is no interval. Empty if no report has any.
    """
    if all(entry.intervals is None for entry in entries):
        return {}
    return {
        name: [
            bool((row["difference"] or {}).get("leaves_out_zero"))
            for row in (_compared(name, entry, entries[0]) for entry in entries)
        ]
        for name in _names(entries, None)
    }


def _label(k, entry):
    return f"[{k + 1}] {entry.file}#{entry.layer}"


def is_paired(entry, first):
    """Whether the rows of both were drawn alike."""
    both = entry.intervals, first.intervals
    return None not in both and both[0]["fingerprint"] == both[1]["fingerprint"]


def _names(entries, wanted):
    """Names of metrics that any report has, in the order of METRICS."""
    had = list(dict.fromkeys(name for entry in entries for name in entry.train))
    if wanted is None:
        known = [name for name in METRICS if name in had]
        return known + [name for name in had if name not in METRICS]
    for name in wanted:
        if name not in had:
            close = get_close_matches(name, had, n=3)
            hint = (
                f"did you mean {' or '.join(map(repr, close))}?"
                if close
                else (f"they have {', '.join(had)}.")
            )
            raise ReportError(f"--metrics: no report has {name!r}; {hint}")
    return list(dict.fromkeys(wanted))


def _facts(entry, first):
    drawn = entry.intervals or {}
    return {
        "file": entry.file,
        "layer": entry.layer,
        **entry.facts,
        "class_weight": entry.class_weight,
        "n_resamples": drawn.get("n_resamples", 0),
        "confidence_level": drawn.get("confidence_level"),
        "paired": None if entry is first else is_paired(entry, first),
    }


def _compared(name, entry, first):
    """Value and interval of a metric in a report, and the difference to the first."""
    value = entry.train.get(name)
    interval = _interval(name, entry)
    ends = {k: None if interval is None else interval[k] for k in ("low", "high")}
    difference = None
    if entry is not first and None not in (value, first.train.get(name)):
        difference = _difference(name, entry, first)
    return {"value": value, **ends, "difference": difference}


def _interval(name, entry):
    return None if entry.intervals is None else entry.intervals["metrics"].get(name)


def _difference(name, entry, first):
    value = entry.train[name] - first.train[name]
    found = {"value": value, "low": None, "high": None, "leaves_out_zero": None}
    intervals = _interval(name, entry), _interval(name, first)
    if None in intervals:
        return found
    theirs, ours = (np.asarray(interval["values"]) for interval in intervals)
    if is_paired(entry, first):
        values = theirs - ours
        spread = _spread(values)
    else:  # every resample of one with every resample of the other
        values = (theirs[:, None] - ours[None, :]).ravel()
        spread = float(
            np.hypot(*(interval["standard_error"] for interval in intervals))
        )
    low, high = _ends(value, values, first.intervals["confidence_level"], "basic")
    return found | {
        "low": low,
        "high": high,
        "standard_error": spread,
        "leaves_out_zero": low > 0 or high < 0,
    }


def _side_by_side(entries, names):
    """Numbers that have no interval, one for each report."""
    prefixes = ("alignment.", "test.alignment.", "ood.")
    wanted = {f"test.{name}" for name in names} | {"data.head_accuracy_test"}
    found = {}
    for name in dict.fromkeys(name for entry in entries for name in entry.numbers):
        if name in wanted or name.startswith(prefixes):
            values = [entry.numbers.get(name) for entry in entries]
            if values != [None] * len(values):
                found[name] = values
    return found


def _notes(entries):
    notes = []
    if any(entry.intervals is None for entry in entries):
        notes.append(
            "A report without intervals has none for its differences either: "
            "`sklearn-collapse report FILE --resamples 100 --json OUT` gives them."
        )
    elif any(None in entry.intervals["metrics"].values() for entry in entries):
        notes.append(
            "Where an interval is missing there were too few training rows for one."
        )
    for what, values in (
        ("class_weight", [entry.class_weight for entry in entries]),
        ("the number of classes", [entry.facts["n_classes"] for entry in entries]),
        ("the number of training rows", [entry.facts["n_train"] for entry in entries]),
        ("the number of features", [entry.facts["n_features"] for entry in entries]),
    ):
        if len(set(values)) > 1:
            notes.append(f"The reports differ in {what}, on which metrics depend.")
    return notes
