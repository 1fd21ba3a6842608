"""The numbers of the report."""

import warnings
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.metrics import METRICS, nc2_etf_error, ood_table
from sklearn_collapse.ood import MahalanobisDetector
from sklearn_collapse.report._load import FeatureSet

# Metrics that are also measured on rows that were not fitted on.
_HELD_OUT = [name for name, m in METRICS.items() if m.needs & {"moments", "rows"}]
_DETECTORS: dict[str, dict] = {
    "Mahalanobis": {},
    "Mahalanobis++": {"normalize": True},
    "relative": {"relative": True},
    "relative++": {"relative": True, "normalize": True},
}


@dataclass
class Study:
    """What was fitted; sections and pictures are functions of it."""

    features: FeatureSet
    class_weight: str | None
    scorer: NeuralCollapseScorer
    detectors: dict = field(default_factory=dict)


class Report(NamedTuple):
    """Plain numbers and strings, and what they were computed from."""

    numbers: dict
    study: Study


def compute(features, *, class_weight=None, progress=lambda text: None):
    """Compute everything that the report shows.

    Parameters
    ----------
    features : FeatureSet
    class_weight : {None, "balanced"}, default=None
    progress : callable, default does nothing
        Called with what is done next.

    Returns
    -------
    Report
        Its numbers have one entry per section, and "notes".
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        study = _fit(features, class_weight, progress)
        numbers = {}
        for name, (section, doing) in _SECTIONS.items():
            progress(doing)
            numbers[name] = section(study)
    numbers["notes"] = sorted({str(w.message) for w in caught})
    return Report(numbers, study)


def _fit(features, class_weight, progress):
    progress("class moments and collapse metrics")
    scorer = NeuralCollapseScorer(head=features.head, class_weight=class_weight)
    study = Study(features, class_weight, scorer.fit(features.X, features.y))
    for name, options in _DETECTORS.items() if features.ood else ():
        progress(f"detector {name}")
        detector = MahalanobisDetector(**options)
        study.detectors[name] = detector.fit(features.X, features.y)
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


def _ood(study):
    return ood_table(study.detectors, study.features.X_test, study.features.ood)


# One entry: a function of the study, and what it is said to do while it runs.
_SECTIONS = {
    "data": (_data, "rows and classes"),
    "collapse": (_collapse, "collapse metrics of the test rows"),
    "ood": (_ood, "out-of-distribution table"),
}
