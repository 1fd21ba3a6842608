"""
Features that stay on disk
==========================

Everything here that is fitted on class counts, means and a scatter sees rows once, in
blocks. Features of a large data set can therefore stay in the file in which they were
extracted, and memory does not grow with their number. Three ways lead to the same fit,
and a fit can be had without reading the file again.
"""

# %%
# A file of features
# ------------------
# A loop as in the extraction of features writes 400,000 rows block by block: bundled
# features with some noise. Of a memory map only what is asked for is read.
import tempfile
import time
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np

from sklearn_collapse.datasets import load_cifar8_features

features = load_cifar8_features()
n, d, step = 400_000, 96, 10_000
directory = tempfile.TemporaryDirectory()
path = Path(directory.name) / "features.npy"

rng = np.random.default_rng(0)
y = np.empty(n, dtype=np.int64)
file = np.lib.format.open_memmap(path, mode="w+", dtype="float32", shape=(n, d))
for start in range(0, n, step):
    which = rng.integers(len(features.data), size=step)
    noise = 0.05 * rng.standard_normal((step, d), dtype=np.float32)
    file[start : start + step] = features.data[which] + noise
    y[start : start + step] = features.target[which]
del file

X = np.load(path, mmap_mode="r")
size = path.stat().st_size / 2**20
print(f"{X.shape[0]} rows of {X.shape[1]} {X.dtype}, {size:.0f} MiB")

# %%
# Three ways, one result
# ----------------------
# ``partial_fit`` takes block after block. :class:`~sklearn_collapse.ClassMoments` does
# the same for any number of estimators, and moments of several workers can be added.
# ``fit`` on the memory map reads it in order, in pieces. Measured is the peak of what
# Python allocates. Pages of the file that the system holds in spare memory, and gives
# back when it needs it, do not count.
from sklearn_collapse import ClassMoments
from sklearn_collapse.whitening import SpectralWhitener


def blocks(X, y, rows=4096):
    """Yield pairs (X, y), as a data loader does."""
    for start in range(0, len(X), rows):
        yield X[start : start + rows], y[start : start + rows]


def by_partial_fit(X, y):
    whitener = SpectralWhitener(scatter="within")
    for X_block, y_block in blocks(X, y):
        whitener.partial_fit(X_block, y_block)
    return whitener


def by_moments(X, y):
    moments = ClassMoments.from_batches(blocks(X, y))
    return SpectralWhitener(scatter="within").fit_moments(moments)


def by_fit(X, y):
    return SpectralWhitener(scatter="within").fit(X, y)


def measured(function, *args):
    """Result, peak of allocated memory in MiB, and seconds."""
    tracemalloc.start()
    began = time.perf_counter()
    result = function(*args)
    seconds = time.perf_counter() - began
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return result, peak, seconds


ways = {
    "partial_fit on blocks": by_partial_fit,
    "ClassMoments, fit_moments": by_moments,
    "fit on the memory map": by_fit,
}
sizes = [n // 16, n // 8, n // 4, n // 2, n]
peaks, fitted = {}, {}
for name, way in ways.items():
    runs = [measured(way, X[:rows], y[:rows]) for rows in sizes]
    peaks[name] = [peak for _, peak, _ in runs]
    fitted[name], peak, seconds = runs[-1]
    print(f"{name:<26} {peak:5.1f} MiB, {seconds:.1f} s")

first, *others = (whitener.whitening_ for whitener in fitted.values())
for name, other in zip(list(ways)[1:], others, strict=True):
    print(f"{name}: differs from partial_fit by {np.abs(other - first).max():.1e}")

# %%
# The peak against the number of rows. ``fit`` needs some numbers per label as well,
# such as the order of the rows by class. The features themselves are never held.
import matplotlib.pyplot as plt

fig, ax = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
on_disk = np.array([rows * d * 4 / 2**20 for rows in sizes])
ax.plot(sizes, 2 * on_disk, ":", color="0.35")
ax.plot(sizes, on_disk, "-", color="0.35")
ax.text(n, 2 * on_disk[-1], " in memory,\n in float64", va="center")
ax.text(n, on_disk[-1], " the file", va="center")
styles = (("#d55e00", "o"), ("#0072b2", "x"), ("#009e73", "s"))
for (name, values), (color, marker) in zip(peaks.items(), styles, strict=True):
    style = {"color": color, "fillstyle": "none", "markersize": 9}
    ax.plot(sizes, values, marker, markeredgewidth=2, label=name, **style)
ax.set(
    xscale="log",
    yscale="log",
    xlabel="rows",
    ylabel="MiB",
    xlim=(0.9 * sizes[0], 2 * n),
    ylim=(4, 800),
)
ax.set_xticks(sizes, labels=[f"{rows:,}" for rows in sizes])
ax.minorticks_off()
ax.set_yticks([5, 10, 50, 100, 500], labels=["5", "10", "50", "100", "500"])
ax.spines[["top", "right"]].set_visible(False)
ax.legend(title="peak of a fit", loc="upper left", frameon=False)
plt.show()

# %%
# Transforming into another file
# ------------------------------
# The output is as large as the input, so it goes to disk as well. Moments gathered from
# that file show that the rows are white within classes.
path_out = path.with_name("white.npy")


def transform_file(whitener, X):
    out = np.lib.format.open_memmap(path_out, "w+", X.dtype, X.shape)
    for start in range(0, len(X), step):
        out[start : start + step] = whitener.transform(X[start : start + step])


_, peak, seconds = measured(transform_file, fitted["fit on the memory map"], X)
print(f"transformed in {seconds:.1f} s with {peak:.1f} MiB")

white = np.load(path_out, mmap_mode="r")
covariance = ClassMoments.from_arrays(white, y).within_covariance()
print(f"largest deviation from the identity {np.abs(covariance - np.eye(d)).max():.1e}")

# %%
# A threshold from the file
# -------------------------
# Scores need moments alone, and the threshold of a detector some numbers per row, which
# ``calibrate_batches`` collects block by block: the threshold is that of all rows.
# Blocks may as well be tables. With pyarrow, those of a Parquet file with one list of
# features per row come from ``ParquetFile(path, pre_buffer=False).iter_batches()``;
# here they are mappings.
from sklearn_collapse.ood import MahalanobisDetector


def tables(X, y, rows=4096):
    """Yield mappings of column to array."""
    for X_block, y_block in blocks(X, y, rows):
        yield {"embedding": X_block, "label": y_block}


columns = {"features": "embedding", "label": "label"}
moments = fitted["ClassMoments, fit_moments"].moments_
detector = MahalanobisDetector().fit_moments(moments)
calibrate = partial(detector.calibrate_batches, **columns)
_, peak, seconds = measured(calibrate, tables(X, y))
outside = np.mean(detector.predict(features.ood["far: noise"]) == -1)
print(f"calibrated in {seconds:.1f} s with {peak:.1f} MiB")
print(f"threshold {detector.offset_:.1f}; {outside:.0%} of pure noise is outside")

# %%
# One pass, many estimators
# -------------------------
# The moments that were gathered above are a few numbers. They fit a scorer and further
# detectors without another look at the file, which is gone by then.
del X, white
directory.cleanup()

from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.metrics import ood_table

began = time.perf_counter()
scorer = NeuralCollapseScorer().fit_moments(moments)
metrics = scorer.metrics_
detector = MahalanobisDetector().fit_moments(moments)
table = ood_table({"Mahalanobis": detector}, features.X_test, features.ood)
seconds = time.perf_counter() - began
kibibytes = sum(value.nbytes for value in moments.to_dict().values()) / 2**10
print(f"{moments}: {kibibytes:.0f} KiB, used in {seconds:.2f} s")
print(f"NC1 {metrics['nc1_pinv']:.3f}, VCI {metrics['vci']:.3f}")
for row in table:
    print(f"{row['set']:<18} AUROC {row['auroc']:.3f}")
