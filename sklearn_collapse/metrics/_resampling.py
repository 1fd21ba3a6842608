"""Rows drawn within classes, with replacement or as halves."""

from typing import NamedTuple

import numpy as np

from sklearn_collapse.utils._arrays import as_like, namespace
from sklearn_collapse.utils._labels import encode_labels


class Resampling(NamedTuple):
    """How rows are drawn; the fields are in the order of sorted classes."""

    order: np.ndarray  # rows
    starts: np.ndarray  # first position of the row's class
    sizes: np.ndarray  # size of the row's class
    halves: bool  # without replacement

    def counts(self, seed):
        """How often each row is drawn."""
        rng, n = np.random.default_rng(seed), len(self.order)
        if not self.halves:
            drawn = self.order[self.starts + rng.integers(self.sizes)]
            return np.bincount(drawn, minlength=n)
        # In random order within the classes, which stay where they are.
        mixed = np.lexsort((rng.random(n), self.starts))
        counts = np.zeros(n, dtype=int)
        counts[self.order[mixed[self._is_early]]] = 1
        return counts

    @property
    def _is_early(self):
        """Whether a position is in the first half of its class; two rows stay both."""
        drawn = np.maximum(self.sizes // 2, np.minimum(self.sizes, 2))
        return np.arange(len(self.order)) - self.starts < drawn

    def scaled(self, value, values):
        """Bring the spread of values of subsamples to that at all rows."""
        drawn = np.count_nonzero(self._is_early)
        left = len(self.order) - drawn
        if not self.halves or not left:
            return values
        return value + (values - np.mean(values)) * (drawn / left) ** 0.5


def resampling_of(measure, data):
    """How the rows of a metric's data are to be drawn."""
    if data.y is not None and measure.has_classes(data.y):
        codes = encode_labels(data.y)[1]
    else:
        codes = np.zeros(data.n_rows, dtype=int)
    return within_classes(codes, measure.is_of_neighbors)


def within_classes(codes, halves=False):
    """Resampling of rows of coded classes."""
    sizes = np.bincount(codes)
    starts = np.cumsum(sizes) - sizes
    return Resampling(
        np.argsort(codes, kind="stable"),
        np.repeat(starts, sizes),
        np.repeat(sizes, sizes),
        halves,
    )


def measure_resample(measure, pairs, data, resampling, seed):
    """Values of (X, head) pairs on the same drawn rows."""
    counts = resampling.counts(seed)
    if measure.takes_weights and not resampling.halves:
        weights = counts * (1.0 if data.weights is None else data.weights)
        return [measure(X, data.y, head, weights) for X, head in pairs]
    rows = np.repeat(np.arange(len(counts)), counts)
    y = None if data.y is None else data.y[rows]
    return [measure(_take(X, rows), y, head) for X, head in pairs]


def _take(X, rows):
    return namespace(X).take(X, as_like(rows, X), axis=0)
