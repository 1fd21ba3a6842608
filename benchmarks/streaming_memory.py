"""Peak memory of streams of rows, at n rows and at ten times as many.

    python -m benchmarks.streaming_memory [--rows 100000] [--features 128]
        [--classes 20] [--batch 4096] [--folder FOLDER]

Float32 features are written once, as a memory map and, with pyarrow, as Parquet with
one list per row; a generator makes the same blocks without a file. Memory is what
Python allocates at the peak of a call (tracemalloc). What Arrow holds when it hands out
a block is counted apart; pages of files that the system caches are not counted.

Parquet is read with ``pre_buffer=False``: by default Arrow fetches the file ahead.
"""

import argparse
import gc
import importlib.util
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np

from sklearn_collapse import ClassMoments
from sklearn_collapse.ood import MahalanobisDetector, ViMDetector

_SIZES = (1, 10)


def made_blocks(n, d, n_classes, batch):
    """Yield pairs of float32 rows and labels."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(n_classes, d)).astype(np.float32)
    for start in range(0, n, batch):
        y = rng.integers(0, n_classes, min(batch, n - start))
        yield means[y] + rng.standard_normal((len(y), d), dtype=np.float32), y


def write_files(folder, n, d, n_classes, batch):
    """Write the blocks as a memory map and, if there is pyarrow, as Parquet."""
    rows = np.lib.format.open_memmap(folder / "rows.npy", "w+", np.float32, (n, d))
    labels = np.empty(n, dtype=np.int64)
    writer, start = None, 0
    for X, y in made_blocks(n, d, n_classes, batch):
        rows[start : start + len(X)], labels[start : start + len(X)] = X, y
        start += len(X)
        if importlib.util.find_spec("pyarrow"):
            import pyarrow as pa
            import pyarrow.parquet as pq

            embedding = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), d)
            table = pa.table({"embedding": embedding, "label": y})
            writer = writer or pq.ParquetWriter(folder / "rows.parquet", table.schema)
            writer.write_table(table)
    if writer is not None:
        writer.close()
    rows.flush()
    np.save(folder / "labels.npy", labels)


def streams(folder, n, d, n_classes, batch, pool):
    """Functions that open each stream, and what names its columns."""
    X = np.load(folder / "rows.npy", mmap_mode="r")
    y = np.load(folder / "labels.npy", mmap_mode="r")

    def mapped():
        for start in range(0, n, batch):
            yield X[start : start + batch], y[start : start + batch]

    found = {
        "generator": (lambda: made_blocks(n, d, n_classes, batch), {}),
        "memory map": (mapped, {}),
    }
    if (folder / "rows.parquet").exists():
        import pyarrow.parquet as pq

        columns = {"features": "embedding", "label": "label"}
        file = pq.ParquetFile(folder / "rows.parquet", pre_buffer=False)
        found["parquet"] = (lambda: pool.watch(file.iter_batches(batch)), columns)
    return found


def measured(function, pool):
    """Peaks that a call allocates, by Python and by Arrow, in MiB, and seconds."""
    gc.collect()
    pool.high = 0
    tracemalloc.start()
    start = time.perf_counter()
    function()
    seconds = time.perf_counter() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20, pool.high / 2**20, seconds


class Pool:
    """Most that Arrow's pool held when a block was handed out."""

    high = 0

    def watch(self, blocks):
        """Yield the blocks."""
        import pyarrow as pa

        for block in blocks:
            self.high = max(self.high, pa.total_allocated_bytes())
            yield block


def measure(folder, n, d, n_classes, batch):
    """Peaks and seconds by task and stream."""
    found, pool = {}, Pool()
    opened = streams(folder, n, d, n_classes, batch, pool)
    for name, (stream, columns) in opened.items():
        moments = ClassMoments.from_batches(stream(), **columns)

        def gathering(s=stream, c=columns):
            return ClassMoments.from_batches(s(), **c)

        found["from_batches", name] = measured(gathering, pool)
        for detector in (MahalanobisDetector(), ViMDetector("lda")):
            detector.fit_moments(moments)
            task = f"{type(detector).__name__}.calibrate_batches"

            def calibrating(t=detector, s=stream, c=columns):
                return t.calibrate_batches(s(), **c)

            found[task, name] = measured(calibrating, pool)
    return found


def main():
    """Measure at n and 10 n rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=128)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--folder", default=None)
    args = parser.parse_args()
    shape = args.features, args.classes, args.batch
    print(f"{'task':37} {'stream':10} {'rows':>9} {'MiB':>7} {'Arrow':>7} {'s':>7}")
    for factor in _SIZES:
        n = factor * args.rows
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            write_files(Path(folder), n, *shape)
            for (task, name), figures in measure(Path(folder), n, *shape).items():
                shown = " ".join(f"{value:7.1f}" for value in figures)
                print(f"{task:37} {name:10} {n:9,} {shown}", flush=True)
        print(f"{'(the features, float32)':58} {n * args.features * 4 / 2**20:7.1f}")


if __name__ == "__main__":
    main()
