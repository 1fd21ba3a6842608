"""Class moments of a Spark RDD: one pass per partition, merged as a tree.

    pip install pyspark sklearn-collapse
    python spark_moments.py

Workers send moments as plain arrays (`to_dict`), d x d numbers each, and never rows.
The script compares the result with that of one process and exits with 1 if they differ.
"""

import os
import sys

import numpy as np
from pyspark.sql import SparkSession

from sklearn_collapse import ClassMoments
from sklearn_collapse.ood import MahalanobisDetector

N_PARTITIONS = 8


def rows_of(partition, n=2500, d=64, n_classes=10):
    """Rows of one partition, in two blocks; in earnest they are read from a file."""
    centres = np.random.default_rng(0).normal(size=(n_classes, d))
    rng = np.random.default_rng([1, partition])
    for _ in range(2):
        y = rng.integers(0, n_classes, n)
        yield rng.normal(size=(n, d)) + 100 + 3 * centres[y], y


def moments_of(partitions):
    """Moments of the partitions that one task was given; none of no rows."""
    moments = ClassMoments(device="cpu")
    for partition in partitions:
        for X, y in rows_of(partition):
            moments.update(X, y)
    if "empty" not in repr(moments):
        yield moments.to_dict()


def merged(one, two):
    """Moments of both, each as a dict of arrays."""
    return (ClassMoments.from_dict(one) + ClassMoments.from_dict(two)).to_dict()


def main():
    """Gather in Spark, fit, and compare with one process."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # not any python3
    spark = SparkSession.builder.master("local[2]").appName("moments").getOrCreate()
    try:
        partitions = spark.sparkContext.parallelize(range(N_PARTITIONS), N_PARTITIONS)
        state = partitions.mapPartitions(moments_of).treeReduce(merged, depth=2)
    finally:
        spark.stop()
    moments = ClassMoments.from_dict(state)
    detector = MahalanobisDetector().fit_moments(moments)

    blocks = [block for k in range(N_PARTITIONS) for block in rows_of(k)]
    X, y = (np.concatenate(values) for values in zip(*blocks, strict=True))
    batch = ClassMoments.from_arrays(X, y)
    worst = max(
        np.abs(getattr(moments, name) - getattr(batch, name)).max()
        / np.abs(getattr(batch, name)).max()
        for name in ("counts_", "means_", "scatter_", "class_scatter_trace_")
    )
    print(f"{moments}: differs from one batch by {worst:.1e}")
    print("scores of the first rows:", detector.score_samples(X[:3]))
    return int(not worst <= 1e-12)


if __name__ == "__main__":
    sys.exit(main())
