"""The report as one document: layers or checkpoints in the order given."""

import json
import math
import platform

import numpy as np
import scipy
import sklearn

from sklearn_collapse import __version__
from sklearn_collapse.metrics import METRICS

FORMAT, VERSION = "sklearn_collapse.report", 1


def as_document(reports):
    """Gather the numbers of all layers.

    Parameters
    ----------
    reports : list of Report, or dict
        Reports of `compute`; a document is returned as it is.

    Returns
    -------
    dict
        With "format", "version", "made_with" and "layers", a list with the numbers
        of each report.
    """
    if isinstance(reports, dict):
        return reports
    return {
        "format": FORMAT,
        "version": VERSION,
        "made_with": {
            "sklearn_collapse": __version__,
            "Python": platform.python_version(),
            "NumPy": np.__version__,
            "SciPy": scipy.__version__,
            "scikit-learn": sklearn.__version__,
        },
        "layers": [report.numbers for report in reports],
    }


def as_json(reports):
    """Write the document as strict JSON; nan, inf and -inf become strings.

    Parameters
    ----------
    reports : list of Report, or dict
        As for `as_document`.

    Returns
    -------
    str
    """
    return json.dumps(plain(as_document(reports)), indent=2, allow_nan=False)


def plain(value):
    """What JSON can hold: names are text, numbers that are not finite strings."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def comparison(document):
    """One number of every layer per row, for what several layers are compared by.

    Parameters
    ----------
    document : dict
        Of `as_document`.

    Returns
    -------
    list of dict
        With "metric", "rows" ("training" or "test"), "direction" ("lower", "higher"
        or None), "set" (name of the set of a best AUROC, otherwise None) and "values"
        (one per layer, None where a layer lacks the number).
    """
    layers = document["layers"]
    table: list[dict] = []

    def add(metric, rows, direction, values, of_set=None):
        if any(value is not None for value in values):
            row = {"metric": metric, "rows": rows, "direction": direction}
            table.append({**row, "set": of_set, "values": values})

    for part, rows in (("train", "training"), ("held_out", "test")):
        for name, metric in METRICS.items():
            values = [layer["collapse"][part].get(name) for layer in layers]
            add(name, rows, metric.direction, values)
    for part, rows in (("train", "training"), ("held_out", "test")):
        values = [layer["alignment"][part]["disparity"] for layer in layers]
        add("disparity", rows, "lower", values)
    values = [layer["data"]["head_accuracy_test"] for layer in layers]
    add("head_accuracy", "test", "higher", values)
    for name in dict.fromkeys(r["set"] for layer in layers for r in layer["ood"]):
        found = [
            [row["auroc"] for row in layer["ood"] if row["set"] == name]
            for layer in layers
        ]
        values = [max(aurocs, default=None) for aurocs in found]
        add("best_auroc", "test", "higher", values, name)
    return table
