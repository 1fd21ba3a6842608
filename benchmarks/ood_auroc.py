"""Areas under ROC curves of all detectors on the bundled network features.

``python -m benchmarks.ood_auroc`` fits every detector on the training rows of
``load_cifar8_features()``, tells its test rows from the four out-of-distribution sets,
prints the table and writes benchmarks/results/ood_auroc.csv, which doc/detectors.rst
shows. tests/ood/test_auroc_table.py holds each row against its formula.
"""

import csv
from pathlib import Path

from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.metrics import ood_table
from sklearn_collapse.ood import (
    ActivationShaper,
    ClassSubspaceDetector,
    ComedianCovariance,
    ConformalDetector,
    COSTARRDetector,
    DetectorEnsemble,
    FDBDDetector,
    KNNDetector,
    LogitDetector,
    MahalanobisDetector,
    MahalanobisSVDD,
    NCIDetector,
    NECODetector,
    NNGuideDetector,
    ReconstructionDetector,
    ResidualDetector,
    SHEDetector,
    ViMDetector,
)

FILE = Path(__file__).parent / "results" / "ood_auroc.csv"

# Name of a column -> name of a set in the data.
SETS = {
    "near": "near (cat, truck)",
    "texture": "far: texture",
    "digits": "far: digits",
    "noise": "far: noise",
}


def make_detectors(head):
    """Return the unfitted detectors by name, in the order of the table.

    ``head`` is the network's last layer. Settings are the defaults but for what the
    name says and the percentile of SCALE, which is that of its authors.
    """

    def shaped(method, **options):
        shaper = ActivationShaper(method, **options)
        return make_pipeline(shaper, LogitDetector(head=head))

    def ensemble(combine):
        members = [
            ("mahalanobis", MahalanobisDetector()),
            ("energy", LogitDetector(head=head)),
        ]
        return DetectorEnsemble(members, combine=combine)

    return {
        "MSP": LogitDetector("msp", head=head),
        "max logit": LogitDetector("max_logit", head=head),
        "energy": LogitDetector("energy", head=head),
        "energy (lda)": LogitDetector("energy", head="lda"),
        "entropy": LogitDetector("entropy", head=head),
        "GEN": LogitDetector("gen", head=head),
        "KL matching": LogitDetector("klm", head=head),
        "margin": LogitDetector("margin", head=head),
        "ReAct": shaped("react"),
        "VRA": shaped("vra"),
        "ASH-P": shaped("ash_p"),
        "ASH-B": shaped("ash_b"),
        "ASH-S": shaped("ash_s"),
        "SCALE": shaped("scale", percentile=85),
        "optimal shaping": shaped("optimal", head=head),
        "Mahalanobis": MahalanobisDetector(),
        "Mahalanobis relative": MahalanobisDetector(relative=True),
        "Mahalanobis++": MahalanobisDetector(normalize=True),
        "Mahalanobis++ relative": MahalanobisDetector(normalize=True, relative=True),
        "Mahalanobis class": MahalanobisDetector("class"),
        "Mahalanobis class relative": MahalanobisDetector("class", relative=True),
        "Mahalanobis comedian": MahalanobisDetector(ComedianCovariance()),
        "Mahalanobis top": MahalanobisDetector(components="top"),
        "Mahalanobis bottom": MahalanobisDetector(components="bottom"),
        "Mahalanobis SVDD (one class)": MahalanobisSVDD(),
        "NECO": NECODetector(),
        "NECO (head)": NECODetector(head=head),
        "NECO (head) raw": NECODetector(head=head, denominator="raw"),
        "class subspaces": ClassSubspaceDetector(),
        "class subspaces centered": ClassSubspaceDetector(centered=True),
        "residual": ResidualDetector(),
        "ViM": ViMDetector(head),
        "ViM (lda)": ViMDetector("lda"),
        "reconstruction": ReconstructionDetector(),
        "NCI": NCIDetector(head),
        "NCI (lda)": NCIDetector("lda"),
        "fDBD": FDBDDetector(head),
        "fDBD (lda)": FDBDDetector("lda"),
        "SHE": SHEDetector(head),
        "SHE cosine": SHEDetector(head, metric="cosine"),
        "SHE euclidean": SHEDetector(head, metric="euclidean"),
        "COSTARR": COSTARRDetector(head),
        "kNN": KNNDetector(),
        "kNN lengths kept": KNNDetector(normalize=False),
        "NNGuide": NNGuideDetector(head),
        "NNGuide cosine": NNGuideDetector(head, neighbors="cosine"),
        "ensemble rank": ensemble("rank"),
        "ensemble z": ensemble("z"),
        "ensemble max": ensemble("max"),
        "conformal": ConformalDetector(MahalanobisDetector(), random_state=0),
    }


def fit(detector, data):
    """Fit a clone on the training rows.

    The SVDD gets no labels: with them it ranks as `MahalanobisDetector` does.
    """
    one_class = isinstance(detector, MahalanobisSVDD)
    return clone(detector).fit(data.data, None if one_class else data.target)


def areas(name, fitted, data):
    """Return the row of the table of a fitted detector."""
    rows = ood_table({name: fitted}, data.X_test, data.ood)
    found = {row["set"]: row["auroc"] for row in rows}
    return {"detector": name} | {key: found[of] for key, of in SETS.items()}


def main():
    """Print the table and write it."""
    data, lines = load_cifar8_features(), [["detector", *SETS]]
    for name, detector in make_detectors(data.head).items():
        row = areas(name, fit(detector, data), data)
        lines.append([name, *(f"{row[key]:.4f}" for key in SETS)])
        print(f"{name:28}" + "".join(f"{cell:>9}" for cell in lines[-1][1:]))
    with FILE.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


if __name__ == "__main__":
    main()
