"""The numbers of the report."""

import warnings

import numpy as np

from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.metrics import METRICS, nc2_etf_error, ood_table
from sklearn_collapse.ood import MahalanobisDetector

# Metrics that are also measured on rows that were not fitted on.
_HELD_OUT = [name for name, m in METRICS.items() if m.needs & {"moments", "rows"}]
_DETECTORS: dict[str, dict] = {
    "Mahalanobis": {},
    "Mahalanobis++": {"normalize": True},
    "relative": {"relative": True},
    "relative++": {"relative": True, "normalize": True},
}


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
    dict
        "data", "collapse", "ood" and "notes", of plain numbers and strings.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        progress("class moments and collapse metrics")
        scorer = NeuralCollapseScorer(head=features.head, class_weight=class_weight)
        scorer.fit(features.X, features.y)
        train = dict(scorer.metrics_)
        progress("collapse metrics of the test rows")
        held_out = {
            name: _held_out(scorer, name, features)
            for name in _HELD_OUT
            if name in train
        }
        etf_balanced = nc2_etf_error(features.X, features.y, class_weight="balanced")
        detectors = {}
        if features.ood:
            for name, options in _DETECTORS.items():
                progress(f"detector {name}")
                detector = MahalanobisDetector(**options)
                detectors[name] = detector.fit(features.X, features.y)
            progress("out-of-distribution table")
        table = ood_table(detectors, features.X_test, features.ood)
    return {
        "data": _summary(features, scorer),
        "collapse": {
            "class_weight": class_weight,
            "train": train,
            "held_out": held_out,
            "nc2_etf_error_balanced": etf_balanced,
        },
        "ood": table,
        "notes": sorted({str(w.message) for w in caught}),
    }


def _held_out(scorer, name, features):
    score = scorer.set_params(criterion=name).score(features.X_test, features.y_test)
    return score if METRICS[name].direction == "higher" else -score


def _summary(features, scorer):
    X, moments = features.X, scorer.moments_
    counts = np.asarray(np.unique(features.y, return_counts=True)[1])
    spread = np.sqrt(np.diag(moments.total_covariance()))
    summary = {
        "name": features.name,
        "n_train": X.shape[0],
        "n_test": features.X_test.shape[0],
        "n_features": X.shape[1],
        "dtype": str(X.dtype),
        "n_classes": len(scorer.classes_),
        "rows_per_class": [int(counts.min()), int(counts.max())],
        "constant_features": int(np.sum(spread == 0)),
        "within_rank": scorer.rank_,
        "split": features.split,
        "ood_rows": {name: rows.shape[0] for name, rows in features.ood.items()},
        "head_accuracy_test": None,
    }
    if features.head is not None:
        predicted = features.head.predict(features.X_test)
        accuracy = np.mean(predicted == features.y_test)
        summary["head_accuracy_test"] = float(accuracy)
    return summary
