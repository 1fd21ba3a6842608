"""Time of work on a GPU, against its own copies and products.

    python -m benchmarks.gpu [--device cuda] [--csv FILE] [-n 1000000] [-d 512]

Everything is measured in one run: copies of pinned rows to the device, products in
float64 and float32, plain torch loops over classes, and ours on tensors that live there
and on NumPy rows that are streamed. "share" is what is attained of the limit that is
named: of the rate of products, or of the copies. Without a CUDA device it says so and
stops; ``--device cpu`` tries the code out in main memory, on torch tensors.
"""

import argparse
import csv
import time
from pathlib import Path

import torch

from benchmarks._measure import make_rows
from sklearn_collapse import ClassMoments, __version__
from sklearn_collapse.ood import MahalanobisDetector
from sklearn_collapse.whitening import SpectralWhitener

HEAD = ("what", "seconds", "limit", "share")


class Clock:
    """Seconds of functions whose work a device does later."""

    def __init__(self, device, repeats):
        self.device, self.repeats = device, repeats

    def finish(self):
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def __call__(self, function):
        """Shortest time of several calls, the first not counted."""
        function()
        best = float("inf")
        for _ in range(self.repeats):
            self.finish()
            start = time.perf_counter()
            function()
            self.finish()
            best = min(best, time.perf_counter() - start)
        return best


def loop_moments(X, y, n_classes):
    """Means and within-class scatter by a loop over classes, in float64."""
    d = X.shape[1]
    means = torch.zeros(n_classes, d, dtype=torch.float64, device=X.device)
    scatter = torch.zeros(d, d, dtype=torch.float64, device=X.device)
    for c in range(n_classes):
        rows = X[y == c].double()
        if len(rows):
            means[c] = rows.mean(0)
            scatter += (rows - means[c]).T @ (rows - means[c])
    return means, scatter


def loop_scores(X, means, precision):
    """Negative distance to the nearest class by a loop over classes."""
    best = torch.full((len(X),), torch.inf, dtype=X.dtype, device=X.device)
    for mean in means:
        gap = X - mean
        best = torch.minimum(best, ((gap @ precision) * gap).sum(1))
    return -best


def limits(clock, n, d, n_classes):
    """Seconds of what cannot be done without."""
    device = clock.device
    few = min(n, 20_000)
    host = torch.empty(few, d, pin_memory=device.type == "cuda")
    there = torch.empty(few, d, device=device)
    scale = n / few

    def product(dtype, width):
        left = torch.rand(few, d, dtype=dtype, device=device)
        right = torch.rand(d, width, dtype=dtype, device=device)
        return scale * clock(lambda: left @ right)

    copy = clock(lambda: there.copy_(host, non_blocking=True)) * scale
    return {
        "pinned copy to the device": copy,
        "product with d x d, float64": product(torch.float64, d),
        "product with d x d, float32": product(torch.float32, d),
        "product with d x C, float32": product(torch.float32, n_classes),
    }


def measure(device, n, d, n_classes, repeats):
    """Yield (what, seconds, limit, share); a limit is held against itself."""
    clock = Clock(device, repeats)
    X, y = make_rows(n, d, n_classes)
    rows, codes = torch.asarray(X, device=device), torch.asarray(y, device=device)
    name = str(device)
    limit = limits(clock, n, d, n_classes)
    for what, seconds in limit.items():
        yield what, seconds, "", ""
    copy, wide, narrow, logits = limit.values()
    moments = ClassMoments.from_arrays(rows, y)
    detector = MahalanobisDetector().fit_moments(moments)
    whitener = SpectralWhitener().fit_moments(moments)
    streaming = MahalanobisDetector(device=name).fit_moments(
        ClassMoments.from_arrays(X, y, device=name)
    )
    means = moments.means_.float()
    precision = torch.linalg.inv(moments.within_covariance()).float()
    expected = loop_scores(rows[:200], means, precision)
    found = detector.score_samples(rows[:200])
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)

    def gather(X, **options):
        ClassMoments.from_arrays(X, y, **options).means_  # noqa: B018

    for what, function, seconds, against in (
        ("moments, tensors", lambda: gather(rows), wide, "float64 product"),
        (
            "moments, tensors, single",
            lambda: gather(rows, precision="single"),
            narrow,
            "float32 product",
        ),
        (
            "moments, NumPy rows",
            lambda: gather(X, device=name),
            max(copy, wide),
            "the slower of copy and float64 product",
        ),
        (
            "moments, loop over classes",
            lambda: loop_moments(rows, codes, n_classes),
            wide,
            "float64 product",
        ),
        (
            "Mahalanobis scores, tensors",
            lambda: detector.score_samples(rows),
            narrow + logits,
            "two float32 products",
        ),
        (
            "Mahalanobis scores, NumPy rows",
            lambda: streaming.score_samples(X),
            max(copy, narrow + logits),
            "the slower of copy and two float32 products",
        ),
        (
            "scores, loop over 10 classes",
            lambda: loop_scores(rows, means[:10], precision),
            narrow,
            "float32 product",
        ),
        (
            "whitening transform, tensors",
            lambda: whitener.transform(rows),
            narrow,
            "float32 product",
        ),
    ):
        took = clock(function)
        yield what, took, against, seconds / took


def main():
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("-n", type=int, default=1_000_000)
    parser.add_argument("-d", type=int, default=512)
    parser.add_argument("-c", "--classes", type=int, default=1000)
    args = parser.parse_args()
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        print("torch sees no CUDA device: nothing was measured.")
        return
    device = torch.device(args.device)
    model = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"
    print(
        f"sklearn_collapse {__version__}, torch {torch.__version__}, {device} "
        f"({model}); n = {args.n:,}, d = {args.d}, C = {args.classes:,}, float32\n"
    )
    print(f"{'what':34} {'seconds':>9}  share")
    rows = [HEAD]
    size = args.n, args.d, args.classes
    for what, seconds, against, share in measure(device, *size, args.repeats):
        shown = f"{share:6.2f} of {against}" if share != "" else ""
        print(f"{what:34} {seconds:9.4f} {shown}", flush=True)
        rows.append((what, seconds, against, share))
    if args.csv:
        with open(args.csv, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
