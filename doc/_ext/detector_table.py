"""The table of the page "Which metric, which detector": detectors, measured.

Fits detectors on the bundled features when the page is built, unless the table is there
and newer than the package: areas under ROC curves, seconds and bytes are those of the
machine that builds.
"""

import pickle
from pathlib import Path
from time import perf_counter

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

import sklearn_collapse
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.metrics import ood_table
from sklearn_collapse.ood import (
    ActivationShaper,
    ClassSubspaceDetector,
    COSTARRDetector,
    DetectorEnsemble,
    FDBDDetector,
    KNNDetector,
    LogitDetector,
    MahalanobisDetector,
    NCIDetector,
    NECODetector,
    NNGuideDetector,
    ReconstructionDetector,
    ResidualDetector,
    SHEDetector,
    ViMDetector,
)

NEAR = "near (cat, truck)"
HEADER = [
    "detector",
    "needs",
    "near",
    "far",
    "fit, ms",
    "score, µs",
    "kept, kB",
    "streams",
]
WIDTHS = [34, 14, 8, 8, 9, 9, 9, 9]


def detectors(head):
    """Name of a class, its settings in words, what it needs, and it, unfitted."""
    shaper = ActivationShaper("scale", percentile=85)
    members = [
        ("mahalanobis", MahalanobisDetector()),
        ("energy", LogitDetector(head=head)),
    ]
    return [
        ("ResidualDetector", "", "", ResidualDetector()),
        ("ReconstructionDetector", "", "", ReconstructionDetector()),
        ("NECODetector", "", "", NECODetector()),
        ("KNNDetector", "", "rows", KNNDetector()),
        ("MahalanobisDetector", "", "labels", MahalanobisDetector()),
        (
            "MahalanobisDetector",
            "``relative=True``",
            "labels",
            MahalanobisDetector(relative=True),
        ),
        (
            "MahalanobisDetector",
            "``normalize=True``",
            "labels",
            MahalanobisDetector(normalize=True),
        ),
        ("ClassSubspaceDetector", "", "labels", ClassSubspaceDetector()),
        ("FDBDDetector", '``"lda"``', "labels", FDBDDetector()),
        ("ViMDetector", '``"lda"``', "labels", ViMDetector("lda")),
        ("LogitDetector", '``"msp"``', "logits", LogitDetector("msp", head=head)),
        ("LogitDetector", '``"energy"``', "logits", LogitDetector(head=head)),
        ("ViMDetector", "with head", "head", ViMDetector(head)),
        ("FDBDDetector", "with head", "head", FDBDDetector(head)),
        ("NCIDetector", "with head", "head", NCIDetector(head)),
        (
            "ActivationShaper",
            '``"scale"``, then energy',
            "head",
            make_pipeline(shaper, LogitDetector(head=head)),
        ),
        ("SHEDetector", "with head", "head, labels", SHEDetector(head)),
        ("COSTARRDetector", "with head", "head, labels", COSTARRDetector(head)),
        ("NNGuideDetector", "with head", "head, rows", NNGuideDetector(head)),
        (
            "DetectorEnsemble",
            "of Mahalanobis and energy",
            "head, labels",
            DetectorEnsemble(members),
        ),
    ]


def seconds(function, repeats=3):
    """Shortest time of some calls, and the last result."""
    times = []
    for _ in range(repeats):
        start = perf_counter()
        result = function()
        times.append(perf_counter() - start)
    return min(times), result


def measured(detector, data):
    """Cells of a detector that are numbers."""
    fit, fitted = seconds(lambda: clone(detector).fit(data.data, data.target))
    score, _ = seconds(lambda: fitted.score_samples(data.X_test))
    areas = {
        row["set"]: row["auroc"]
        for row in ood_table({"": fitted}, data.X_test, data.ood)
    }
    far = np.mean([area for name, area in areas.items() if name != NEAR])
    return [
        f"{areas[NEAR]:.2f}",
        f"{far:.2f}",
        f"{1e3 * fit:.0f}",
        f"{1e6 * score / len(data.X_test):.1f}",
        f"{len(pickle.dumps(fitted)) / 1e3:.0f}",
        "✓" if hasattr(fitted, "fit_moments") else "",
    ]


def detector_table():
    """Lines of the table."""
    data = load_cifar8_features()
    lines = [".. list-table::", "   :header-rows: 1", "   :class: compact"]
    lines += [f"   :widths: {' '.join(map(str, WIDTHS))}", "", *row(HEADER)]
    for name, options, needs, detector in detectors(data.head):
        link = f":class:`~sklearn_collapse.ood.{name}`"
        lines += row([f"{link} {options}", needs, *measured(detector, data)])
    return lines


def row(cells):
    return [
        f"   {'  ' if k else '* '}- {cell}".rstrip() for k, cell in enumerate(cells)
    ]


def write(app):
    """Write the table unless it is newer than what it is made of."""
    path = Path(app.srcdir, "detector_table.inc")
    package = Path(sklearn_collapse.__file__).parent
    sources = [Path(__file__), *package.rglob("*.py")]
    if path.exists() and path.stat().st_mtime > max(
        source.stat().st_mtime for source in sources
    ):
        return
    path.write_text("\n".join(detector_table()), encoding="utf-8")


def setup(app):
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
