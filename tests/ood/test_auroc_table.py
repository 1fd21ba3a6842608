"""The table of AUROCs: every row against its formula, and what is stored against both.

The formulas of oracles_ood.py score all rows in float64; the library is fitted on
float32 ones, once per detector.
"""

import csv
import re
import runpy
from pathlib import Path

import numpy as np
import oracles
import oracles_ood as ood
import pytest
from sklearn.base import BaseEstimator

import sklearn_collapse.ood
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import ConformalDetector

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "benchmarks" / "ood_auroc.py"))


class Recorder(BaseEstimator):
    """Keeps the rows that it is fitted on."""

    def fit(self, X, y):
        self.X_, self.y_ = X, y
        return self

    def score_samples(self, X):
        return X[:, 0]


def conformal(data):
    """Distances by the rows that are left when some are drawn to calibrate."""
    detector = ConformalDetector(Recorder(), random_state=0).fit(data.X, data.y)
    X, y = detector.estimator_.X_, detector.estimator_.y_
    assert len(y) == 0.8 * len(data.y)
    return ood.mahalanobis(ood.Problem(X, y, data.new, data.w, data.b))


def ensemble(combine):
    def score(data):
        seen = ood.Problem(data.X, data.y, data.X, data.w, data.b)
        members = ood.mahalanobis, ood.energy
        return ood.ensemble([(m(seen), m(data)) for m in members], combine)

    return score


FORMULAS = {
    "MSP": ood.msp,
    "max logit": ood.max_logit,
    "energy": ood.energy,
    "energy (lda)": lambda data: ood.energy(data.lda),
    "entropy": ood.entropy,
    "GEN": ood.gen,
    "KL matching": ood.klm,
    "margin": ood.margin,
    "ReAct": ood.react,
    "VRA": ood.vra,
    "ASH-P": lambda data: ood.by_rank(data, "ash_p", 90),
    "ASH-B": lambda data: ood.by_rank(data, "ash_b", 90),
    "ASH-S": lambda data: ood.by_rank(data, "ash_s", 90),
    "SCALE": lambda data: ood.by_rank(data, "scale", 85),
    "optimal shaping": ood.optimal,
    "Mahalanobis": ood.mahalanobis,
    "Mahalanobis relative": lambda data: ood.mahalanobis(data, relative=True),
    "Mahalanobis++": lambda data: ood.mahalanobis(data.unit),
    "Mahalanobis++ relative": lambda data: ood.mahalanobis(data.unit, relative=True),
    "Mahalanobis class": ood.class_density,
    "Mahalanobis class relative": lambda d: ood.class_density(d, relative=True),
    "Mahalanobis comedian": ood.comedian,
    "Mahalanobis top": lambda data: ood.directions(data, "top", 0.99),
    "Mahalanobis bottom": lambda data: ood.directions(data, "bottom", 0.01),
    "Mahalanobis SVDD (one class)": ood.one_class,
    "NECO": lambda data: ood.neco(data, raw=False, logits=False),
    "NECO (head)": lambda data: ood.neco(data, raw=False, logits=True),
    "NECO (head) raw": lambda data: ood.neco(data, raw=True, logits=True),
    "class subspaces": lambda data: ood.class_subspaces(data, centered=False),
    "class subspaces centered": lambda data: ood.class_subspaces(data, centered=True),
    "residual": ood.residual,
    "ViM": ood.vim,
    "ViM (lda)": lambda data: ood.vim(data.lda, data.mean),
    "reconstruction": ood.reconstruction,
    "NCI": lambda data: ood.nci(data, 1e-3),
    "NCI (lda)": lambda data: ood.nci(data.lda, 1e-3),
    "fDBD": ood.fdbd,
    "fDBD (lda)": lambda data: ood.fdbd(data.lda),
    "SHE": ood.she,
    "SHE cosine": lambda data: ood.she(data, "cosine"),
    "SHE euclidean": lambda data: ood.she(data, "euclidean"),
    "COSTARR": ood.costarr,
    "kNN": lambda data: ood.knn(data.unit),
    "kNN lengths kept": ood.knn,
    "NNGuide": lambda data: ood.nnguide(data, "scaled"),
    "NNGuide cosine": lambda data: ood.nnguide(data, "cosine"),
    "ensemble rank": ensemble("rank"),
    "ensemble z": ensemble("z"),
    "ensemble max": ensemble("max"),
    "conformal": conformal,
}


@pytest.fixture(scope="module")
def bunch():
    return load_cifar8_features()


@pytest.fixture(scope="module")
def detectors(bunch):
    return SCRIPT["make_detectors"](bunch.head)


@pytest.fixture(scope="module")
def problem(bunch):
    new = np.vstack([bunch.X_test, *(bunch.ood[k] for k in SCRIPT["SETS"].values())])
    return ood.Problem(bunch.data, bunch.target, new, bunch.coef, bunch.intercept)


@pytest.fixture(scope="module")
def stored():
    with SCRIPT["FILE"].open(newline="", encoding="utf-8") as file:
        return {row["detector"]: row for row in csv.DictReader(file)}


def test_names(detectors, stored):
    assert list(FORMULAS) == list(detectors) == list(stored)


def test_every_class_is_there(detectors):
    parts = [[d, *d.get_params().values()] for d in detectors.values()]
    kinds = {getattr(sklearn_collapse.ood, k) for k in sklearn_collapse.ood.__all__}
    assert kinds <= {type(part) for found in parts for part in found}


@pytest.mark.parametrize("name", FORMULAS)
def test_row(name, bunch, detectors, problem, stored):
    fitted = SCRIPT["fit"](detectors[name], bunch)
    row = SCRIPT["areas"](name, fitted, bunch)
    scores = FORMULAS[name](problem)
    inside, *outside = np.split(scores, np.cumsum([2000, 500, 500, 500]))
    for key, rows in zip(SCRIPT["SETS"], outside, strict=True):
        expected = oracles.auroc(inside, rows)
        assert row[key] == pytest.approx(expected, abs=2e-5), key
        # Four digits are stored.
        assert float(stored[name][key]) == pytest.approx(row[key], abs=7e-5), key


def test_what_the_page_says(stored):
    """The sentences of doc/detectors.rst about the table."""
    area = {n: {k: float(row[k]) for k in SCRIPT["SETS"]} for n, row in stored.items()}
    assert all(area["SCALE"][k] > 0.95 for k in ("texture", "digits", "noise"))
    assert area["SCALE"]["near"] < 0.53
    assert area["ASH-S"]["near"] < 0.45
    for name in ("Mahalanobis", "residual", "kNN", "reconstruction"):
        assert area[name]["digits"] > 0.99
        assert area[name]["near"] < 0.6
    plain, relative = area["Mahalanobis"], area["Mahalanobis relative"]
    assert 0.15 < relative["near"] - plain["near"] < 0.25
    assert 0.25 < plain["noise"] - relative["noise"] < 0.35
    assert f"{plain['texture']:.2f}" == "0.75"
    assert f"{area['Mahalanobis++']['texture']:.2f}" == "0.97"
    lengths = area["kNN"]["texture"] - area["kNN lengths kept"]["texture"]
    assert 0.25 < lengths < 0.35
    for key in ("digits", "noise"):
        middle = np.median([row[key] for row in area.values()])
        for name in ("MSP", "max logit", "energy", "entropy", "GEN", "KL matching"):
            assert area[name][key] < middle
    assert max(area, key=lambda name: min(area[name].values())) == "fDBD (lda)"


def test_streams_as_the_page_says():
    page = (ROOT / "doc" / "detectors.rst").read_text(encoding="utf-8")
    rows = re.findall(
        r"\* - :class:`~sklearn_collapse\.ood\.(\w+)`\n +- (yes|no)", page
    )
    kinds = {k: getattr(sklearn_collapse.ood, k) for k in sklearn_collapse.ood.__all__}
    assert dict(rows) == {
        name: "yes" if hasattr(kind, "partial_fit") else "no"
        for name, kind in kinds.items()
        if hasattr(kind, "score_samples")
    }
