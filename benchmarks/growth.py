"""Time and memory while rows, features and classes grow.

    python -m benchmarks.growth [--csv FILE] [--large] [--repeats 3] [--folder FOLDER]

Moments, Mahalanobis scores and a whitening transform of float32 rows, against the
products that they cannot do without (the floor) and against what researchers write:
loops over classes, scikit-learn. The floor is measured in the same run on up to 20,000
of the rows, and scaled to the rows of the other; nothing else is scaled: where scores
of all rows would take too long, the column ``rows`` says how many were timed. A million
rows and more are read from a memory map, which the rivals are spared. Extra memory is
what Python allocates at the peak of one more call, its result not counted. What takes
longer than 3 s is timed once.
"""

import argparse
import csv
import os
import platform
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import scipy
import sklearn
from sklearn.neighbors import NearestCentroid

from benchmarks._measure import best_times, make_rows, peak_extra
from benchmarks.mahalanobis_memory import write_rows
from sklearn_collapse import ClassMoments, __version__
from sklearn_collapse.ood import MahalanobisDetector
from sklearn_collapse.whitening import SpectralWhitener

HEAD = ("axis", "n", "d", "classes", "what", "rows", "seconds", "us_per_row")
HEAD += ("floor_seconds", "ratio", "MiB")
_PATIENCE = 3.0  # seconds
_FLOOR_ROWS = 20_000  # of products, whose time is proportional to the rows
_ON_FILE = 1_000_000  # rows and more
# Loops over classes visit every row once per class; products of scores are C wide.
_LOOPED_CLASSES = 100
_LOOPED = 10**10  # n d^2 C of the loop
_SCORED = 4 * 10**10  # n d (d + C) of the scores at the most: fewer rows are scored


def sizes(large):
    """Yield (axis, n, d, classes)."""
    for n in (10_000, 100_000, 1_000_000, *([10_000_000] if large else [])):
        yield "rows", n, 256, 100
    for d in (64, 256, 1024, 4096):
        yield "features", 25_600_000 // d, d, 100
    for n_classes in (10, 1000, 10_000, 50_000):
        yield "classes", 200_000, 128, n_classes


def loop_moments(X, y, n_classes):
    """Means and within-class scatter, class by class, as a script does it."""
    d = X.shape[1]
    means, scatter = np.zeros((n_classes, d)), np.zeros((d, d))
    for c in np.unique(y):
        rows = X[y == c].astype(float)
        means[c] = rows.mean(axis=0)
        scatter += (rows - means[c]).T @ (rows - means[c])
    return means, scatter


def loop_scores(X, means, precision):
    """Negative distance to the nearest class, class by class."""
    best = np.full(len(X), np.inf)
    for mean in means:
        gap = X - mean
        best = np.minimum(best, np.sum(gap @ precision * gap, axis=1))
    return -best


@contextmanager
def rows_of(n, d, n_classes, folder):
    """Rows and labels, from a file if they are many."""
    if n < _ON_FILE:
        yield make_rows(n, d, n_classes)
        return
    with tempfile.TemporaryDirectory(dir=folder) as made:
        path = Path(made) / "rows.npy"
        y = write_rows(path, n, d, n_classes)
        yield np.load(path, mmap_mode="r"), y


def measure(n, d, n_classes, repeats, folder):
    """Yield (what, rows, seconds, seconds of the floor per row, MiB) for one size."""
    with rows_of(n, d, n_classes, folder) as (X, y):
        moments = ClassMoments.from_arrays(X, y)
        yield from measure_moments(X, y, n_classes, repeats)
        yield from measure_maps(X, y, moments, n_classes, repeats)


def gathered(moments):
    """Moments of which no rows wait in the buffer."""
    moments.means_  # noqa: B018
    return moments


def measure_moments(X, y, n_classes, repeats):
    """Gathering, by us and by a loop, to the Gram product in float64."""
    n, d = X.shape
    few = np.asarray(X[:_FLOOR_ROWS], dtype=float)
    out = np.empty((d, d))
    runs = {
        "floor": lambda: np.matmul(few.T, few, out=out),
        "ours": lambda: gathered(ClassMoments.from_arrays(X, y)),
    }
    if n_classes <= _LOOPED_CLASSES and n < _ON_FILE:
        runs["loop"] = lambda: loop_moments(X, y, n_classes)
    times = best_times(runs, repeats, _PATIENCE)
    floor = times["floor"] / len(few)
    peak, kept = peak_extra(runs["ours"])
    yield "moments", n, times["ours"], floor, peak - kept
    batches = [slice(i, i + 10_000) for i in range(0, n, 10_000)]
    if n < _ON_FILE:

        def stream():
            return gathered(ClassMoments.from_batches((X[b], y[b]) for b in batches))

        peak, kept = peak_extra(stream)
        seconds = best_times({"ours": stream}, repeats, _PATIENCE)["ours"]
        yield "moments, batches of 10,000", n, seconds, floor, peak - kept
    if "loop" in times:
        yield "moments, loop over classes", n, times["loop"], floor, ""


def measure_maps(X, y, moments, n_classes, repeats):
    """Scores and whitened rows, to their products in float32."""
    n, d = X.shape
    n = min(n, max(1000, _SCORED // (d * (d + n_classes))))
    X, y = X[:n], y[:n]
    few = np.asarray(X[:_FLOOR_ROWS])
    detector = MahalanobisDetector().fit_moments(moments)
    detector.score_samples(X[:1])  # factorises
    whitener = SpectralWhitener().fit_moments(moments)
    square = np.ascontiguousarray(whitener.whitening_, dtype=np.float32)
    queries = np.ones((d, n_classes), dtype=np.float32)
    turned = np.empty_like(few)
    # The queries in blocks: a result of n x C would measure memory.
    step = max(1, 2**22 // n_classes)
    match = np.empty((step, n_classes), dtype=np.float32)

    def products():
        np.matmul(few, square, out=turned)
        for i in range(0, len(few), step):
            block = few[i : i + step]
            np.matmul(block, queries, out=match[: len(block)])

    runs = {
        "turn": lambda: np.matmul(few, square, out=turned),
        "products": products,
        "scores": lambda: detector.score_samples(X),
        "whitened": lambda: whitener.transform(X),
    }
    looped = few
    if n_classes <= _LOOPED_CLASSES and n < _ON_FILE:
        precision = np.linalg.inv(detector.covariance_).astype(np.float32)
        means = detector.means_.astype(np.float32)
        looped = few[: max(50, _LOOPED // (d * d * n_classes))]
        runs["loop"] = lambda: loop_scores(looped, means, precision)
    if n < _ON_FILE and n * n_classes <= 2**28:  # its distances are n x C
        means = moments.means_.astype(np.float32)
        twice = np.concatenate([means + 1, means - 1]), np.tile(moments.classes_, 2)
        centroids = NearestCentroid().fit(*twice)
        runs["centroids"] = lambda: centroids.predict(X)
    times = best_times(runs, repeats, _PATIENCE)
    for name, what, floor, rows in (
        ("scores", "Mahalanobis scores", "products", n),
        ("loop", "scores, loop over classes", "products", len(looped)),
        ("centroids", "NearestCentroid.predict", "products", n),
        ("whitened", "whitening transform", "turn", n),
    ):
        if name in times:
            extra = ""
            if name in ("scores", "whitened"):
                peak, kept = peak_extra(runs[name])
                extra = peak - kept
            yield what, rows, times[name], times[floor] / len(few), extra


def main():
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--large", action="store_true", help="10 million rows as well")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="of files; by default temporary")
    parser.add_argument("--axis", choices=["rows", "features", "classes"])
    parser.add_argument("--shrink", type=int, default=1, help="divide n, to try it out")
    args = parser.parse_args()
    print(
        f"sklearn_collapse {__version__}, numpy {np.__version__}, scipy "
        f"{scipy.__version__}, scikit-learn {sklearn.__version__}, Python "
        f"{platform.python_version()}, {os.cpu_count()} cores, best of {args.repeats}\n"
    )
    print(
        f"{'axis':8} {'n':>10} {'d':>5} {'classes':>7} {'rows':>9} {'seconds':>8} "
        f"{'us/row':>8} {'ratio':>6} {'MiB':>6}  what"
    )
    rows = [HEAD]
    for axis, n, d, n_classes in sizes(args.large):
        if args.axis in (None, axis):
            n = max(n // args.shrink, 2 * n_classes)
            for what, timed, seconds, floor, extra in measure(
                n, d, n_classes, args.repeats, args.folder
            ):
                each, floor = 1e6 * seconds / timed, floor * timed
                ratio = seconds / floor
                shown = f"{extra:6.0f}" if extra != "" else " " * 6
                print(
                    f"{axis:8} {n:10,} {d:5} {n_classes:7,} {timed:9,} {seconds:8.3f} "
                    f"{each:8.2f} {ratio:6.2f} {shown}  {what}",
                    flush=True,
                )
                size = axis, n, d, n_classes
                rows.append((*size, what, timed, seconds, each, floor, ratio, extra))
                if args.csv:
                    with open(args.csv, "w", newline="", encoding="utf-8") as file:
                        csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
