"""Memory and time of Mahalanobis scores of many rows of a file, against many classes.

    python -m benchmarks.mahalanobis_memory [--rows 1000000] [--features 256]
        [--classes 1000] [--folder FOLDER]

Rows are float32 in a memory map that is made in FOLDER and removed afterwards. Extra
memory is what Python allocates at the peak of a call, beyond its result. Scores of some
rows are compared with the formula in float64.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks._measure import peak_extra
from sklearn_collapse import ClassMoments
from sklearn_collapse.ood import MahalanobisDetector

_BLOCK = 50_000
_COMPARED = 200


def write_rows(path, n, d, n_classes, seed=0):
    """Write rows of Gaussian classes that share a covariance; return labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    means = rng.normal(size=(n_classes, d)).astype(np.float32)
    mix = rng.normal(scale=d**-0.5, size=(d, d)).astype(np.float32)
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (n, d))
    for start in range(0, n, _BLOCK):
        labels = y[start : start + _BLOCK]
        noise = rng.standard_normal((len(labels), d), dtype=np.float32)
        rows[start : start + len(labels)] = means[labels] + noise @ mix
    rows.flush()
    return y


def reference(detector, rows):
    """Negative distances to the nearest class by the formula, class by class."""
    precision = np.linalg.inv(detector.covariance_)
    best = np.full(len(rows), np.inf)
    for mean in detector.means_:
        gap = rows - mean
        best = np.minimum(best, np.sum(gap @ precision * gap, axis=1))
    return -best


def measure(path, y):
    """Print one line per step."""
    X = np.load(path, mmap_mode="r")
    start = time.perf_counter()
    moments = ClassMoments.from_arrays(X, y)
    print(f"{'gathering':34} {time.perf_counter() - start:8.1f} s", flush=True)
    for options in ({}, {"relative": True}):
        detector = MahalanobisDetector(**options).fit_moments(moments)
        detector.score_samples(X[:_BLOCK])  # factorises
        what = "score_samples" + ", relative" * bool(options)
        start = time.perf_counter()
        scores = detector.score_samples(X)
        print(f"{what:34} {time.perf_counter() - start:8.1f} s", flush=True)
        peak, kept = peak_extra(lambda d=detector: d.score_samples(X))
        print(f"{what + ', extra memory':34} {peak - kept:8.1f} MiB", flush=True)
        if not options:
            expected = reference(detector, X[:_COMPARED].astype(float))
            error = np.max(np.abs(scores[:_COMPARED] / expected - 1))
            print(
                f"{'largest relative error of some rows':34} {error:8.1e}", flush=True
            )
    peak, kept = peak_extra(lambda: detector.calibrate(X).offset_)
    print(f"{'calibrate, extra memory':34} {peak - kept:8.1f} MiB", flush=True)


def main():
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="by default the temporary one")
    args = parser.parse_args()
    shape = args.rows, args.features, args.classes
    print("{:,} x {} rows, float32, {} classes".format(*shape))
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "rows.npy"
        measure(path, write_rows(path, *shape))


if __name__ == "__main__":
    main()
