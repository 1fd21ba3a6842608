"""Class moments by Ray tasks, merged as a tree.

    pip install ray sklearn-collapse
    python ray_moments.py

Tasks return moments as plain arrays (`to_dict`), d x d numbers each, and never rows.
The script compares the result with that of one process and exits with 1 if they differ.
"""

import sys

import numpy as np
import ray

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


@ray.remote
def moments_of(partition):
    """Moments of one partition; Ray runs it again if its worker dies."""
    return ClassMoments.from_batches(rows_of(partition), device="cpu").to_dict()


@ray.remote
def merged(*states):
    """Moments of all, each as a dict of arrays."""
    return sum(map(ClassMoments.from_dict, states)).to_dict()


def tree_merged(states, width=4):
    """Merge `width` at a time, where they are, until one is left."""
    while len(states) > 1:
        states = [
            merged.remote(*states[start : start + width])
            for start in range(0, len(states), width)
        ]
    return states[0]


def main():
    """Gather in Ray, fit, and compare with one process."""
    ray.init(num_cpus=2, include_dashboard=False)
    try:
        states = [moments_of.remote(k) for k in range(N_PARTITIONS)]
        moments = ClassMoments.from_dict(ray.get(tree_merged(states)))
    finally:
        ray.shutdown()
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
