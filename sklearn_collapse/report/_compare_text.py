"""A comparison of reports as text for a terminal."""

from sklearn_collapse.report._text import _ARROW, ALIGNMENT, _table, interval, number


def as_text(comparison):
    """Format a comparison.

    Parameters
    ----------
    comparison : dict
        Of `compare`.

    Returns
    -------
    str
    """
    parts = [_reports(comparison["reports"]), _metrics(comparison)]
    parts += _side_by_side(comparison["numbers"], len(comparison["reports"]))
    parts += [f"Note: {note}" for note in comparison["notes"]]
    return "\n\n".join(parts)


def _reports(reports):
    rows = [
        [
            f"[{k}]",
            f"{facts['file']}#{facts['layer']}",
            str(facts["n_train"]),
            str(facts["n_features"]),
            str(facts["n_classes"]),
            str(facts["n_resamples"] or "none"),
            {None: "", True: "paired", False: "apart"}[facts["paired"]],
        ]
        for k, facts in enumerate(reports, 1)
    ]
    head = ["", "report", "rows", "features", "classes", "resamples", "with [1]"]
    return _table(head, rows, "llrrrrl")


def _metrics(comparison):
    rows = []
    for name, row in comparison["metrics"].items():
        for k, found in enumerate(row["reports"], 1):
            difference = found["difference"] or {}
            rows.append(
                [
                    name if k == 1 else "",
                    _ARROW[row["direction"]] if k == 1 else "",
                    f"[{k}]",
                    _shown(found["value"]),
                    interval(found),
                    _signed(difference.get("value")),
                    interval(difference),
                    "*" if difference.get("leaves_out_zero") else "",
                ]
            )
    levels = {facts["confidence_level"] for facts in comparison["reports"]} - {None}
    level = " or ".join(f"{100 * level:g} %" for level in sorted(levels))
    title = "Neural collapse of the training rows (^ higher, v lower is more collapsed"
    if level:
        title += (
            f";\nintervals at {level}; * the difference's leaves out zero, as one in "
            f"twenty does by chance"
            if level == "95 %"
            else f";\nintervals at {level}; * the difference's leaves out zero"
        )
    head = ["metric", "", "", "value", "interval", "less [1]", "interval", ""]
    return f"{title})\n{_table(head, rows, 'lclrrrrl')}"


def _side_by_side(numbers, n_reports):
    """Tables of numbers without intervals; one column for each report."""
    columns = [f"[{k}]" for k in range(1, n_reports + 1)]
    test, alignment, ood = [], [], []
    for name, values in numbers.items():
        if name.startswith("ood."):
            if name.endswith(".auroc"):
                shown = ["" if v is None else f"{100 * v:.1f}" for v in values]
                ood.append([name[len("ood.") : -len(".auroc")], *shown])
            continue
        shown = [_shown(value) for value in values]
        if "alignment." in name:
            key = name.rpartition(".")[2]
            arrow = _ARROW[ALIGNMENT.get(key, (None,))[0]]
            alignment.append([name, arrow, *shown])
        else:
            test.append([name, *shown])
    aligned = "r" * n_reports
    parts = []
    if test:
        parts.append(
            "Test rows about the training means\n"
            f"{_table(['metric', *columns], test, 'l' + aligned)}"
        )
    if alignment:
        parts.append(
            "Alignment of the class means with a simplex\n"
            f"{_table(['value', '', *columns], alignment, 'lc' + aligned)}"
        )
    if ood:
        parts.append(
            "Out of distribution: AUROC (%), higher is better\n"
            f"{_table(['set.detector', *columns], ood, 'l' + aligned)}"
        )
    return parts


def _shown(value):
    return "" if value is None else number(value)


def _signed(value):
    if value is None:
        return ""
    text = number(value)
    return f"+{text}" if value > 0 else text
