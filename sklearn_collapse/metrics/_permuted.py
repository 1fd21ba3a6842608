"""Metrics of permuted labels from one product over the rows."""

import numpy as np

from sklearn_collapse._linalg._moments import Moments, class_means
from sklearn_collapse.metrics._geometry import ClassGeometry
from sklearn_collapse.metrics._registry import GEOMETRY_METRICS, METRICS
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import Rows, as_like, namespace, to_numpy
from sklearn_collapse.utils._labels import encode_labels

# Multiplications of a Gram product from which sparing it repays the trouble.
_WORTH = 2.0**28


def is_worth_it(measure, data):
    """Whether a metric is a function of plain moments, and of many or wide rows.

    Few rows are left alone: a permutation may then restore the labels, and the value
    must come out the same to the last digits.
    """
    known = METRICS.get(measure.name) is measure.facts is not None
    if not known or measure.options or measure.name not in GEOMETRY_METRICS:
        return False
    work = float(data.n_rows) * data.X.shape[1] ** 2
    return measure.facts.needs <= {"means", "moments"} and work >= _WORTH


class PermutedLabels:
    """Measure the same rows under permuted labels.

    The scatter of all rows does not depend on the labels, so a permutation costs the
    class means, n d additions, and not the n d^2 of a product. The scatter within
    classes is the rest after that between them is taken away, which is safe here and
    nowhere else: under permuted labels the latter is the small one of the two.

    Parameters
    ----------
    name : str
        Name of the metric.
    data : Data
        Labelled rows.
    """

    def __init__(self, name, data):
        self.name, self.data = name, data
        self.classes, self.codes = encode_labels(data.y)
        self.total = ClassMoments.from_arrays(data.X, None, data.weights)
        self.squares = self._squared_distances()

    def __call__(self, seed):
        """Value under the permutation that a seed stands for."""
        order = np.random.default_rng(seed).permutation(self.data.n_rows)
        geometry = ClassGeometry(self._moments(self.codes[order]))
        return GEOMETRY_METRICS[self.name](geometry)

    def _moments(self, codes):
        total, weights = self.total, self.data.weights
        n_classes = len(self.classes)
        means = class_means(Rows(self.data.X), codes, n_classes, weights)
        xp = namespace(means)
        counts = np.bincount(codes, weights, minlength=n_classes).astype(float)
        delta = means - total.mean_
        drawn = as_like(np.sqrt(counts), means)[:, None] * delta
        scatter = total.scatter_ - xp.matmul(xp.matrix_transpose(drawn), drawn)
        traces = np.bincount(codes, self.squares, minlength=n_classes)
        traces = as_like(traces, means) - xp.vecdot(drawn, drawn)
        moments = total.copy()
        moments._labels, moments._labelled = self.classes, True
        moments._moments = Moments(
            counts, means, scatter, xp.clip(traces, 0.0, None), None
        )
        return moments

    def _squared_distances(self):
        """Squared distance of each row to the mean of all, times its weight."""
        squares = np.empty(self.data.n_rows)
        rows = Rows(self.data.X)
        mean = rows.local(self.total.mean_)

        def measure(block, here):
            block -= mean
            squares[here] = to_numpy(rows.xp.vecdot(block, block))

        rows.visit(measure, self.data.X.shape[1], rows.xp.float64, copy=True)
        return squares if self.data.weights is None else squares * self.data.weights
