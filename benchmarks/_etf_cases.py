"""What is measured of frames, the alignment with them and their classifiers."""

import numpy as np
from sklearn.neighbors import NearestCentroid

from benchmarks._measure import best_times, make_rows, of_floor, of_ratio, peak_extra
from sklearn_collapse import ClassMoments
from sklearn_collapse.etf import (
    ETFAligner,
    ETFAlignmentScorer,
    ETFClassifier,
    GrassmannClassifier,
    frame_report,
    spread_frame,
)


def fixed_frames(n, d, n_classes, repeats):
    """Fit and decisions against the products they stand on, and the nearest mean."""
    X, y = make_rows(n, d, n_classes)
    work = "fixed frame"
    classifier = ETFClassifier().fit(X, y)
    ridge = ETFClassifier(mapping="ridge").fit(X, y)
    scorer = ETFAlignmentScorer().fit(X, y)
    aligner = ETFAligner().fit(X, y)
    centroid = NearestCentroid().fit(X, y)
    weights = np.random.default_rng(1).normal(size=(d, n_classes)).astype(np.float32)
    out = np.empty((n, n_classes), np.float32)
    times = best_times(
        {
            "product": lambda: np.matmul(X, weights, out=out),
            "transform": lambda: aligner.transform(X),
            "procrustes": lambda: classifier.decision_function(X),
            "ridge": lambda: ridge.decision_function(X),
            "predict": lambda: classifier.predict(X),
            "cosines": lambda: scorer.score_samples(X, y),
            "centroid": lambda: centroid.predict(X),
        },
        repeats,
    )
    floor = times["product"]
    yield of_floor(work, f"X @ ({d} x {n_classes}), float32", floor)
    for name, what in (
        ("transform", "ETFAligner, transform"),
        ("procrustes", "ETFClassifier, decision_function"),
        ("ridge", "the same, ridge map"),
        ("predict", "ETFClassifier, predict"),
        ("cosines", "ETFAlignmentScorer, score_samples"),
    ):
        yield of_ratio(work, what, times[name], "product", floor)
    yield of_floor(work, "NearestCentroid, predict", times["centroid"])
    what = "ETFClassifier, predict"
    yield of_ratio(work, what, times["predict"], "centroid", times["centroid"])
    peak, kept = peak_extra(lambda: classifier.decision_function(X))
    yield work, "extra memory, result not counted", peak - kept, "MiB", "", ""


def subspaces(n, d, n_classes, repeats):
    """Class subspaces: decisions against their product, the fit against one eigh."""
    d, n_classes, work = max(d // 4, 2), max(n_classes // 2, 2), "Grassmann"
    X, y = make_rows(n, d, n_classes)
    classifier = GrassmannClassifier().fit(X, y)
    width = 2 * n_classes
    weights = np.random.default_rng(1).normal(size=(d, width)).astype(np.float32)
    out = np.empty((n, width), np.float32)
    moments = ClassMoments.from_arrays(X, y, class_scatter=True)
    seconds = moments.class_scatter_
    times = best_times(
        {
            "product": lambda: np.matmul(X, weights, out=out),
            "decisions": lambda: classifier.decision_function(X),
            "eigh": lambda: np.linalg.eigh(seconds),
            "fit": lambda: GrassmannClassifier().fit_moments(moments).subspaces_,
        },
        repeats,
    )
    yield of_floor(work, f"X @ ({d} x {width}), float32", times["product"])
    what = "decision_function, 2 directions per class"
    yield of_ratio(work, what, times["decisions"], "product", times["product"])
    yield of_floor(work, f"eigh of {n_classes} matrices, d = {d}", times["eigh"])
    yield of_ratio(work, "fit_moments", times["fit"], "eigh", times["eigh"])


def frames(n, d, n_classes, repeats):
    """Frames of many classes, and the assignment of classes to vertices."""
    n_classes, d, work = max(2 * n_classes, 20), max(d // 16, 4), "frames"
    frame = spread_frame(n_classes, d)
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    order = rng.permutation(n_classes)
    # With noise no start is known to be the best, and all of them are tried.
    means = frame[order] @ turn + rng.normal(scale=0.1 / d**0.5, size=frame.shape)
    labels = np.repeat(np.arange(n_classes), 2)
    moments = ClassMoments.from_arrays(np.repeat(means, 2, axis=0), labels)

    def fit(target, matching="order"):
        aligner = ETFAligner(target, matching=matching)
        return lambda: aligner.fit_moments(moments).disparity_

    times = best_times(
        {
            "order": fit(frame),
            "optimal": fit(frame, "optimal"),
            "spread": lambda: spread_frame(n_classes, d),
            "report": lambda: frame_report(frame),
        },
        min(repeats, 2),
    )
    size = f"{n_classes} x {d}"
    yield of_floor(work, f"ETFAligner.fit_moments, {size}", times["order"])
    what = "the same, matching='optimal'"
    yield of_ratio(work, what, times["optimal"], "in order", times["order"])
    found, planted = fit(frame, "optimal")(), fit(frame[order])()
    yield work, "its disparity", found, "", "planted", found / planted
    yield of_floor(work, f"spread_frame, {size}", times["spread"])
    largest = frame_report(frame).largest_cosine
    yield work, "its largest cosine", largest, "", "", ""
    yield of_floor(work, f"frame_report, {size}", times["report"])
