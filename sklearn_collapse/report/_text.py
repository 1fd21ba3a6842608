"""The report as text for a terminal."""

import math

from sklearn_collapse.metrics import METRICS
from sklearn_collapse.report._document import as_document, comparison

MEANING = {
    "nc1_pinv": "tr(S_W S_B^+) / C",
    "nc1_trace_ratio": "tr S_W / tr S_B",
    "fisher_ratio": "tr(S_W^-1 S_B)",
    "cdnv": "class-distance normalised variance",
    "vci": "variability collapse index",
    "lidar": "effective rank of S_W^-1 S_B",
    "nc2_equinorm": "spread of the means' norms",
    "nc2_equiangularity": "spread of the means' angles",
    "nc2_max_angle": "angles against -1 / (C - 1)",
    "nc2_etf_error": "distance from a simplex ETF",
    "gnc2_uniformity": "hyperspherical uniformity",
    "gof_off_diagonal": "off-diagonal share, uncentred",
    "nc3_self_duality": "head against class means",
    "nc3_uniform_duality": "spread of head-mean cosines",
    "nc3_product": "head times means against simplex",
    "nc4_agreement": "head agrees with nearest mean",
    "ncm_accuracy": "accuracy of the nearest mean",
}
ALIGNMENT = {
    "disparity": ("lower", "misfit of the class means, 0 for a simplex"),
    "alignment_mean": ("higher", "cosine of a mean with its vertex, mean"),
    "alignment_std": (None, "the same, spread over classes"),
    "alignment_min": ("higher", "the same, worst class"),
    "cosine_gap_mean": (None, "cosine of two means less a simplex's, mean"),
    "cosine_gap_std": ("lower", "the same, spread over pairs"),
    "head_disparity": ("lower", "misfit of the head's rows, same rotation"),
    "head_alignment_mean": ("higher", "cosine of such a row with its vertex, mean"),
    "head_self_duality": ("lower", "head against class means, both centred"),
}
_CLASS_COLUMNS = {
    "variance": "variance",
    "nc1_trace_ratio": "NC1",
    "mean_norm": "norm",
    "vertex_cosine": "vertex",
}
_CLASSES_AT_END, _LONGEST = 10, 28
_ARROW = {"lower": "v", "higher": "^", None: ""}


def as_text(reports):
    """Format the report: the layers one after the other, several compared first.

    Parameters
    ----------
    reports : list of Report, or dict
        As for `as_document`.

    Returns
    -------
    str
    """
    document = as_document(reports)
    layers = document["layers"]
    if len(layers) == 1:
        return _layer(layers[0])
    parts = [_comparison(document)]
    for layer in layers:
        title = _printable(f"Layer {layer['name']}")
        parts.append(f"{'=' * len(title)}\n{title}\n{'=' * len(title)}")
        parts.append(_layer(layer))
    return "\n\n".join(parts)


def _layer(report):
    parts = [
        _data(report["data"]),
        _collapse(report["collapse"], report.get("intervals")),
        _classes(report["classes"]),
        _alignment(report["alignment"]),
        _whitening(report["whitening"]),
        _ood(report),
    ]
    parts += [f"Note: {note}" for note in report["notes"]]
    return "\n\n".join(parts)


def _comparison(document):
    """Metric by layer."""
    rows = [
        [
            f"{row['metric']} ({row['set']})" if row["set"] else row["metric"],
            _ARROW[row["direction"]],
            row["rows"],
            *("" if value is None else number(value) for value in row["values"]),
        ]
        for row in comparison(document)
    ]
    names = [layer["name"] for layer in document["layers"]]
    table = _table(["metric", "", "rows", *names], rows, "lcl" + "r" * len(names))
    return f"{len(names)} layers (^ higher, v lower is more collapsed)\n{table}"


def _classes(classes):
    """The classes, or those at both ends by what is left of a class after collapse."""
    many = len(classes) > 2 * _CLASSES_AT_END
    shown = at_the_ends(classes, _CLASSES_AT_END) if many else classes
    rows = [
        [
            _name(label),
            f"{row['rows']}",
            *(number(row[key]) for key in _CLASS_COLUMNS),
            _name(row["nearest"]),
            number(row["nearest_cdnv"]),
            number(row["ncm_accuracy_test"]),
        ]
        for label, row in shown.items()
    ]
    head = ["class", "rows", *_CLASS_COLUMNS.values(), "nearest", "CDNV", "acc."]
    title = "Classes"
    if many:
        title += f" ({len(shown)} of {len(classes)}: most and least NC1)"
    align = "lr" + "r" * len(_CLASS_COLUMNS) + "lrr"
    return (
        f"{title}; norm: of the centred mean; CDNV: with the nearest; acc.: of the "
        f"nearest mean, on test rows\n"
        f"{_table(head, rows, align)}"
    )


def _name(label):
    """Label of a class on one line, of bounded length."""
    text = " ".join(_printable(label).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _printable(text):
    """No line breaks, nor what steers a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def at_the_ends(classes, n):
    """The n classes with most NC1 and the n with least; undefined ones are last."""

    def undefined_last(label):
        value = classes[label]["nc1_trace_ratio"]
        return (math.isnan(value), -value)

    ordered = sorted(classes, key=undefined_last)
    return {label: classes[label] for label in ordered[:n] + ordered[-n:]}


def _data(data):
    low, high = data["rows_per_class"]
    per_class = f"{low}" if low == high else f"{low} to {high}"
    accuracy = data["head_accuracy_test"]
    lines = [
        f"Features   {_printable(data['name'])}",
        f"rows       {data['n_train']} training, {data['n_test']} test; "
        f"{data['split']}",
        f"features   {data['n_features']} ({data['dtype']}), "
        f"{data['constant_features']} constant; within-class rank "
        f"{data['within_rank']}",
        f"classes    {data['n_classes']}, {per_class} training rows each",
        "head       none"
        if accuracy is None
        else f"head       test accuracy {accuracy:.3f}",
    ]
    return "\n".join(lines)


def _collapse(collapse, intervals):
    weight = collapse["class_weight"] or "none"
    found = intervals["metrics"] if intervals else {}
    if not any(found.values()):
        found = {}
    rows = []
    for name, value in collapse["train"].items():
        held_out = collapse["held_out"].get(name)
        ends = found.get(name)
        rows.append(
            [
                name,
                _ARROW[METRICS[name].direction],
                number(value),
                *([interval(ends)] if found else []),
                "" if held_out is None else number(held_out),
                MEANING[name],
            ]
        )
    head, align = ["metric", "", "training", "test", "what it is"], "lcrrl"
    if found:
        head.insert(3, f"{100 * intervals['confidence_level']:g} % interval")
        align = "lcrrrl"
    etf = number(collapse["train"]["nc2_etf_error"])
    balanced = number(collapse["nc2_etf_error_balanced"])
    return (
        f"Neural collapse (class_weight {weight}; ^ higher, v lower is more "
        f"collapsed; test = about the training means)\n{_table(head, rows, align)}\n\n"
        f"ETF error  {etf} (0 = simplex ETF; {balanced} with balanced classes)"
    )


def interval(found):
    """Ends of an interval; nothing where there is none, or the value is undefined."""
    low, high = ((found or {}).get(end) for end in ("low", "high"))
    if low is None or high is None or math.isnan(low + high):
        return ""
    return f"{number(low)} to {number(high)}"


def _alignment(alignment):
    rows = []
    for name, value in alignment["train"].items():
        direction, meaning = ALIGNMENT[name]
        held_out = alignment["held_out"].get(name)
        shown = "" if held_out is None else number(held_out)
        rows.append([name, _ARROW[direction], number(value), shown, meaning])
    return (
        "Alignment of the class means with a simplex after the best rotation (test = "
        "means of the test rows, under that of the training means)\n"
        f"{_table(['value', '', 'training', 'test', 'what it is'], rows, 'lcrrl')}"
    )


def _whitening(whitening):
    keys = ("condition_before", "condition_after", "condition_test")
    rows = [
        [scatter, str(found["rank"]), *(f"{found[key]:.4g}" for key in keys)]
        for scatter, found in whitening.items()
    ]
    head = ["covariance", "rank", "before", "training", "test"]
    return (
        "Whitening: condition of the covariance before, and of the whitened training "
        f"and test rows\n{_table(head, rows, 'lrrrr')}"
    )


def _ood(report):
    if not report["ood"]:
        return "Out of distribution: no sets given (--ood NAME=FILE)."
    sizes = report["data"]["ood_rows"]
    rows = [
        [
            name,
            str(sizes[name]),
            row["detector"],
            *(f"{100 * row[key]:.1f}" for key in ("auroc", "fpr95_id", "fpr95_ood")),
        ]
        for name, of_set in by_set(report)
        for row in of_set
    ]
    head = ["set", "rows", "detector", "AUROC", "FPR95 id", "FPR95 ood"]
    return (
        "Out of distribution against the test rows (%; AUROC: higher is better, FPR95: "
        "lower; id: in-distribution is the positive class, ood: OOD is)\n"
        f"{_table(head, rows, 'lrlrrr')}"
    )


def by_set(report):
    """Rows of the out-of-distribution table: (set, rows), in the order given."""
    sets = report["data"]["ood_rows"]
    return [(name, [r for r in report["ood"] if r["set"] == name]) for name in sets]


def _table(head, rows, align):
    """Columns padded to their widest cell; a repeated first cell is left empty."""
    # Names of users stay on their line.
    head, *rows = [[_printable(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    lines = []
    before = [None, None, *(row[0] for row in rows)]
    for row, last in zip([head, *rows], before, strict=False):
        cells = row if row[0] != last else ["", *row[1:]]
        pads = zip(cells, widths, align, strict=True)
        text = [f"{c:>{w}}" if a == "r" else f"{c:<{w}}" for c, w, a in pads]
        lines.append("  ".join(text).rstrip())
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)


def number(value):
    """Four decimals, or three digits where those would not do."""
    if not math.isfinite(value):
        return str(value)
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 else f"{value:.3g}"
