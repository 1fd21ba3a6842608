"""The numbers of single classes."""

import numpy as np

from sklearn_collapse.utils._arrays import slices

# Distances that are held at a time.
_HELD = 2**22


def class_table(study):
    """Numbers of each class, by its label as text.

    "rows", "test_rows", "variance" (mean squared distance to the class mean), what
    ``per_class_`` of the scorer holds, "mean_norm" (of the class mean about the mean
    of the class means), "vertex_cosine" (with its vertex of the aligned simplex),
    "nearest" (the class whose mean is nearest), "nearest_distance", "nearest_cdnv",
    and of the test rows "ncm_accuracy_test" and "head_accuracy_test".
    """
    features, scorer, moments = study.features, study.scorer, study.moments
    classes = scorer.classes_
    means = scorer._geometry().means
    nearest, distances = _nearest(scorer)
    variances = moments.class_scatter_trace_ / moments.counts_
    with np.errstate(divide="ignore", invalid="ignore"):
        cdnv = (variances + variances[nearest]) / (2 * distances**2)
    columns = {
        "rows": moments.counts_.astype(int),
        "test_rows": _test_counts(features, classes),
        "variance": variances,
        **scorer.per_class_,
        "mean_norm": np.linalg.norm(means, axis=1),
        "vertex_cosine": study.aligner.class_alignment_,
        "nearest": np.asarray([str(label) for label in classes[nearest].tolist()]),
        "nearest_distance": distances,
        "nearest_cdnv": cdnv,
        **_test_accuracies(study, classes),
    }
    lists = {name: np.asarray(values).tolist() for name, values in columns.items()}
    return {
        str(label): {name: values[k] for name, values in lists.items()}
        for k, label in enumerate(classes.tolist())
    }


def _nearest(scorer):
    """Index of the class whose mean is nearest to that of each, and the distance."""
    means = scorer.means_
    n_classes = len(means)
    nearest, distances = np.empty(n_classes, dtype=int), np.empty(n_classes)
    for here in slices(n_classes, max(1, _HELD // n_classes)):
        found = scorer.transform(means[here])
        found[np.arange(len(found)), np.arange(here.start, here.stop)] = np.inf
        nearest[here] = found.argmin(axis=1)
        distances[here] = found.min(axis=1)
    return nearest, distances


def _test_accuracies(study, classes):
    """Share of the test rows of each class that decisions put into it."""
    features, scorer = study.features, study.scorer
    X, y = features.X_test, features.y_test
    codes = np.searchsorted(classes, y)
    nearest = np.empty(len(X), dtype=int)
    for here in slices(len(X), max(1, _HELD // len(classes))):
        nearest[here] = scorer.transform(X[here]).argmin(axis=1)
    hits = {"ncm_accuracy_test": nearest == codes}
    if features.head is not None:
        hits["head_accuracy_test"] = features.head.predict(X) == y
    counts = _test_counts(features, classes)
    with np.errstate(invalid="ignore"):
        return {
            name: np.bincount(codes, weights=hit, minlength=len(classes)) / counts
            for name, hit in hits.items()
        }


def _test_counts(features, classes):
    codes = np.searchsorted(classes, features.y_test)
    return np.bincount(codes, minlength=len(classes))
