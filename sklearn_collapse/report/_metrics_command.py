"""``sklearn-collapse metrics``: what the library measures, and how."""

import inspect
import json
import math

from sklearn_collapse.report._errors import ReportError

# One letter each, in the table.
_LETTERS = {
    "rotation": "r",
    "translation": "t",
    "scale": "s",
    "invertible": "i",
    "cloning": "c",
}
_SECTIONS = ("Notes", "References")
_LABELLED = ("collapse", "regression")


def add_parser(commands):
    """Describe the command."""
    parser = commands.add_parser(
        "metrics",
        help="names, ranges, directions and definitions of the metrics",
        description="List the metrics of the library: what each needs, its range, "
        "which direction is more collapsed (for metrics without labels: less "
        "degenerate), what leaves it unchanged, and its source. With NAME, print the "
        "definition.",
    )
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="print the definition of this metric"
    )
    parser.add_argument("--family", metavar="FAMILY", help="list only this family")
    parser.add_argument(
        "--json", action="store_true", help="print the same as JSON, with definitions"
    )
    parser.set_defaults(run=run)


def run(arguments):
    """Print the table, or the definitions of what was named."""
    chosen = _chosen(arguments.names, arguments.family)
    if arguments.json:
        facts = {name: _facts(name, metric) for name, metric in chosen.items()}
        print(json.dumps(facts, indent=2))
    elif arguments.names:
        print("\n\n\n".join(_definition(*item) for item in chosen.items()))
    else:
        print(_listing(chosen))
    return 0


def _chosen(names, family):
    from sklearn_collapse.metrics import METRICS
    from sklearn_collapse.metrics._call import unknown_name

    families = list(dict.fromkeys(metric.family for metric in METRICS.values()))
    if family is not None and family not in families:
        raise ReportError(f"--family must be one of {families}, got {family!r}.")
    for name in names:
        if name not in METRICS:
            raise ReportError(unknown_name(name, "`sklearn-collapse metrics`"))
    chosen = {name: METRICS[name] for name in names or METRICS}
    if family is not None:
        chosen = {n: metric for n, metric in chosen.items() if metric.family == family}
    if not chosen:
        raise ReportError(f"None of the metrics named is of the family {family!r}.")
    return chosen


def _listing(chosen):
    from sklearn_collapse.report._text import _ARROW, _table

    parts = []
    for family in dict.fromkeys(metric.family for metric in chosen.values()):
        rows = [
            [
                name,
                _ARROW[metric.direction],
                _range(metric),
                " ".join(sorted(metric.needs)),
                "".join(v for k, v in _LETTERS.items() if k in metric.invariances),
                metric.source,
            ]
            for name, metric in chosen.items()
            if metric.family == family
        ]
        head = [family, "", "range", "needs", "same", "source"]
        parts.append(_table(head, rows, "lcllll"))
    letters = ", ".join(f"{letter} {name}" for name, letter in _LETTERS.items())
    parts.append(
        f"v lower, ^ higher is more collapsed; without labels: less degenerate.\n"
        f"same: what leaves the value as it is: {letters}.\n"
        f"`sklearn-collapse metrics NAME` prints a definition."
    )
    return "\n\n".join(parts)


def _definition(name, metric):
    facts = _facts(name, metric)
    summary, sections = _docstring(metric.function)
    direction = facts["direction"]
    better = "more collapsed" if metric.family in _LABELLED else "less degenerate"
    lines = [
        f"{name}: {summary}",
        "",
        f"family         {facts['family']}",
        f"needs          {', '.join(facts['needs'])}",
        f"range          {_range(metric)}",
        f"direction      {f'{direction} is {better}' if direction else 'neither'}",
        f"unchanged by   {', '.join(facts['invariances']) or 'none of these maps'}",
        f"source         {facts['source']}",
        f"function       {facts['function']}",
    ]
    parts = ["\n".join(lines)]
    parts += [
        f"{title}\n\n{sections[title]}" for title in _SECTIONS if title in sections
    ]
    return "\n\n".join(parts)


def _facts(name, metric):
    summary, sections = _docstring(metric.function)
    ends = (end if math.isfinite(end) else str(end) for end in metric.range)
    return {
        "summary": summary,
        "family": metric.family,
        "needs": sorted(metric.needs),
        "range": list(ends),
        "direction": metric.direction,
        "invariances": [kind for kind in _LETTERS if kind in metric.invariances],
        "source": metric.source,
        "function": f"sklearn_collapse.metrics.{name}",
        "notes": sections.get("Notes", ""),
        "references": sections.get("References", ""),
    }


def _range(metric):
    """The range, open where it is unbounded."""
    low, high = metric.range
    left, right = (
        "[" if math.isfinite(low) else "(",
        "]" if math.isfinite(high) else ")",
    )
    return f"{left}{low:.4g}, {high:.4g}{right}"


def _docstring(function):
    """Summary line and sections by title."""
    # python -OO drops docstrings.
    lines = (inspect.getdoc(function) or function.__name__).splitlines()
    starts = [k for k, line in enumerate(lines) if line and set(line) == {"-"}]
    ends = [*(k - 1 for k in starts[1:]), len(lines)]
    sections = {
        lines[start - 1]: "\n".join(lines[start + 1 : end]).strip()
        for start, end in zip(starts, ends, strict=True)
    }
    return lines[0], sections
