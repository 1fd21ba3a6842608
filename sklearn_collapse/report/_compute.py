"""The numbers of the report."""

import warnings
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.etf import ETFAlignmentScorer
from sklearn_collapse.metrics import METRICS, nc2_etf_error, ood_table
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.report._classes import class_table
from sklearn_collapse.report._detectors import fitted_detectors
from sklearn_collapse.report._intervals import intervals
from sklearn_collapse.report._load import FeatureSet
from sklearn_collapse.whitening import SpectralWhitener

# Metrics that are also measured on rows that were not fitted on.
_HELD_OUT = [
    name
    for name, metric in METRICS.items()
    if metric.family == "collapse" and metric.needs & {"moments", "rows"}
]
_HELD_OUT_ALIGNMENT = ("disparity", "alignment_mean", "alignment_min")


@dataclass
class Study:
    """What was fitted; sections and pictures are functions of it."""

    features: FeatureSet
    class_weight: str | None
    scorer: NeuralCollapseScorer
    moments: ClassMoments  # of the training rows as they are
    aligner: ETFAlignmentScorer
    detectors: dict = field(default_factory=dict)
    n_resamples: int | None = 0
    seed: int = 0


class Report(NamedTuple):
    """Plain numbers and strings of one layer, and what they were computed from.

    Once the pictures are drawn the study, which holds all rows, can be dropped.
    """

    numbers: dict
    study: Study | None
    pictures: dict | None = None


def compute(
    features, *, class_weight=None, n_resamples=0, seed=0, progress=lambda text: None
):
    """Compute everything that the report shows.

    Parameters
    ----------
    features : FeatureSet
    class_weight : {None, "balanced"}, default=None
    n_resamples : int or None, default=0
        Resamples for the intervals; None decides by their cost.
    seed : int, default=0
        Seed of the resamples.
    progress : callable, default does nothing
        Called with what is done next.

    Returns
    -------
    Report
        Its numbers have the name of the layer, one entry per section, and "notes".
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        study = _fit(features, class_weight, progress)
        study.n_resamples, study.seed = n_resamples, seed
        numbers = {"name": features.layer or features.name}
        for name, (section, doing) in _SECTIONS.items():
            progress(doing)
            numbers[name] = section(study)
    numbers["notes"] = sorted({str(w.message) for w in caught})
    return Report(numbers, study)


def _fit(features, class_weight, progress):
    progress("class moments and collapse metrics")
    X, y = features.X, features.y
    scorer = NeuralCollapseScorer(
        head=features.head, class_weight=class_weight, per_class=True
    )
    moments = scorer.fit(X, y).moments_
    if class_weight is not None:  # they may be those of reweighted rows
        moments = ClassMoments.from_arrays(X, y)
    aligner = ETFAlignmentScorer(head=features.head).fit_moments(moments)
    study = Study(features, class_weight, scorer, moments, aligner)
    if features.ood:
        study.detectors = fitted_detectors(features, moments, progress)
    return study


def _data(study):
    features, moments = study.features, study.scorer.moments_
    X = features.X
    counts = np.asarray(np.unique(features.y, return_counts=True)[1])
    spread = np.sqrt(np.diag(moments.total_covariance()))
    accuracy = None
    if features.head is not None:
        predicted = features.head.predict(features.X_test)
        accuracy = float(np.mean(predicted == features.y_test))
    return {
        "name": features.name,
        "n_train": X.shape[0],
        "n_test": features.X_test.shape[0],
        "n_features": X.shape[1],
        "dtype": str(X.dtype),
        "n_classes": len(study.scorer.classes_),
        "rows_per_class": [int(counts.min()), int(counts.max())],
        "constant_features": int(np.sum(spread == 0)),
        "within_rank": study.scorer.rank_,
        "split": features.split,
        "ood_rows": {name: rows.shape[0] for name, rows in features.ood.items()},
        "head_accuracy_test": accuracy,
    }


def _collapse(study):
    features, train = study.features, dict(study.scorer.metrics_)
    return {
        "class_weight": study.class_weight,
        "train": train,
        "held_out": {
            name: _held_out(study, name) for name in _HELD_OUT if name in train
        },
        "nc2_etf_error_balanced": nc2_etf_error(
            features.X, features.y, class_weight="balanced"
        ),
    }


def _held_out(study, name):
    scorer, features = study.scorer.set_params(criterion=name), study.features
    score = scorer.score(features.X_test, features.y_test)
    return score if METRICS[name].direction == "higher" else -score


def _whitening(study):
    """Condition of the covariances before whitening and after."""
    return {
        scatter: _whitened(study, scatter, y, y_test)
        for scatter, y, y_test in (
            ("total", None, None),
            ("within", study.features.y, study.features.y_test),
        )
    }


def _whitened(study, scatter, y, y_test):
    whitener = SpectralWhitener(scatter=scatter).fit_moments(study.moments)
    found = {"rank": whitener.rank_}
    keys = ("condition_before", "condition_after", "condition_test")
    if not whitener.rank_:
        return found | dict.fromkeys(keys, np.nan)
    values = whitener.eigenvalues_
    # The kept directions alone.
    whitener.set_params(method="pca")
    features = study.features
    conditions = (
        float(values[0] / values[-1]),
        _condition(whitener.transform(features.X), y),
        _condition(whitener.transform(features.X_test), y_test),
    )
    return found | dict(zip(keys, conditions, strict=True))


def _condition(Z, y):
    """Condition number of the covariance; infinite if it is singular."""
    spectrum = ClassMoments.from_arrays(Z, y)._spectrum()
    if spectrum.rank < Z.shape[1]:
        return np.inf
    return float(spectrum.values[0] / spectrum.values[-1])


def _alignment(study):
    """How far the class means are from a simplex."""
    features, scorer = study.features, study.aligner
    held_out = {}
    for name in _HELD_OUT_ALIGNMENT:
        score = scorer.set_params(criterion=name).score(
            features.X_test, features.y_test
        )
        held_out[name] = -score if name == "disparity" else score
    return {"train": scorer.metrics_, "held_out": held_out}


def _ood(study):
    return ood_table(study.detectors, study.features.X_test, study.features.ood)


# One entry: a function of the study, and what it is said to do while it runs.
_SECTIONS = {
    "data": (_data, "rows and classes"),
    "collapse": (_collapse, "collapse metrics of the test rows"),
    "intervals": (intervals, "intervals"),
    "classes": (class_table, "single classes"),
    "whitening": (_whitening, "whitening"),
    "alignment": (_alignment, "alignment with a simplex"),
    "ood": (_ood, "out-of-distribution table"),
}
