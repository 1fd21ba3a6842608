"""Moments whose scatter is kept as few orthogonal rows: for fewer rows than features.

They answer what the spectral family asks of moments, and never hold a d x d array. They
cannot be continued or merged.
"""

import numpy as np

from sklearn_collapse._linalg._factor import (
    directions,
    orthogonal_rows,
    spectrum_of_rows,
)
from sklearn_collapse._linalg._moments import Moments, NonFiniteError, class_means
from sklearn_collapse._linalg._spectrum import Spectrum
from sklearn_collapse._moments_derived import DerivedMoments
from sklearn_collapse.utils._arrays import (
    Array,
    Rows,
    as_like,
    input_eps,
    namespace,
)
from sklearn_collapse.utils._finite import check_finite, raise_nonfinite
from sklearn_collapse.utils._labels import encode_labels


class FactoredMoments(DerivedMoments):
    """Class means, and rows F whose Gram matrix F^T F is the within-class scatter.

    Parameters
    ----------
    X : array of shape (n, d)
        All rows, validated.
    y : ndarray of shape (n,) or None
        Labels; None is one class.
    weights : ndarray of shape (n,) or None
        Positive weights.
    solver : {"svd", "gram"}
        How rows are made orthogonal.
    device : str
        Where NumPy rows are worked on.
    """

    precision = "double"
    normalize = False

    def __init__(self, X, y, weights, *, solver, device):
        n, d = X.shape
        self.solver = solver
        self._labelled = y is not None
        self._names = None
        self._cache: dict = {}
        self._input = (str(X.dtype).rsplit(".", 1)[-1], input_eps(X, namespace(X)))
        self._labels, codes = np.zeros(1, dtype=int), np.zeros(n, dtype=int)
        if y is not None:
            self._labels, codes = encode_labels(y)
        check_finite(X, squares_in="float64")
        rows = Rows(X, device, work=float(n) * min(n, d) * d, double=True)
        self._device_used = rows.place
        counts = np.bincount(codes, weights, minlength=len(self._labels)).astype(float)
        try:
            means, centred = _centred(rows, codes, len(counts), weights)
        except NonFiniteError:
            raise_nonfinite(X)
        # From the rows as they are: what orthogonal rows leave of a constant column is
        # rounding.
        squares = rows.xp.sum(centred * centred, axis=0)
        self._squares: Array = rows.home(squares)
        self._rows: Array = rows.home(orthogonal_rows(centred, solver, rows.xp))
        self._moments = Moments(counts, rows.home(means), None, None, None)

    @property
    def scatter_(self):
        """Pooled within-class scatter: made when it is asked for, and not kept."""
        xp = namespace(self._rows)
        return xp.matmul(xp.matrix_transpose(self._rows), self._rows)

    def _gathered(self):
        return self._moments

    def _variances(self, which="within"):
        variances = self._squares / self.n_samples_
        if which == "within" or len(self._labels) == 1:
            return variances
        between = self._between_root()
        return variances + namespace(between).sum(between * between, axis=0)

    def _factor(self, which):
        """Orthogonal rows whose Gram matrix is n times a covariance."""
        if which == "within" or len(self._labels) == 1:
            return self._rows
        return self._cached(("rows", which), self._total_rows)

    def _total_rows(self):
        xp = namespace(self._rows)
        between = self._between_root() * self.n_samples_**0.5
        return orthogonal_rows(xp.concat([self._rows, between]), self.solver, xp)

    def _traces(self, which="within"):
        return self._cached(("traces", which), lambda: self._compute_traces(which))

    def _compute_traces(self, which):
        rows = self._factor(which)
        xp = namespace(rows)
        trace = float(xp.sum(rows * rows)) / self.n_samples_
        if not trace:
            return 0.0, 0.0
        products = xp.matmul(rows, xp.matrix_transpose(rows)) / self.n_samples_ / trace
        return trace, float(xp.sum(products * products))

    def _gram(self, matrix, which="within", shrinkage=0.0):
        xp = namespace(matrix)
        rows = xp.matmul(self._factor(which), matrix)
        found = xp.matmul(xp.matrix_transpose(rows), rows) / self.n_samples_
        if not shrinkage:
            return found
        square = xp.matmul(xp.matrix_transpose(matrix), matrix)
        return (1 - shrinkage) * found + self._level(which, shrinkage) * square

    def _level(self, which, shrinkage):
        """Variance that shrinkage adds to each direction."""
        return shrinkage * self._traces(which)[0] / self.means_.shape[1]

    def _decompose(self, which, shrinkage, rank_tol):
        lengths, vectors = directions(self._factor(which), namespace(self._rows))
        rest = self._level(which, shrinkage) if shrinkage else 0.0
        values = (1 - shrinkage) * lengths**2 / self.n_samples_ + rest
        return self._decided(values, vectors, rest, self._noise, rank_tol)

    def _decided(self, values, vectors, rest, noise, rank_tol) -> Spectrum:
        xp = namespace(values)
        eps = self._product_eps()
        return spectrum_of_rows(values, vectors, rest, noise, eps, rank_tol, xp)

    def _decompose_correlations(self, which, shrinkage, rank_tol):
        if shrinkage:
            raise ValueError(
                f"Correlations of a shrunk covariance are not those of few rows: "
                f"solver={self.solver!r} cannot have them. Use solver='eigh', no "
                f"shrinkage, or a method that whitens the covariance."
            )
        rows = self._factor(which)
        xp = namespace(rows)
        mean_square = self._mean_square()
        inverse, deviations = self._column_scales(self._variances(which), mean_square)
        rows = orthogonal_rows(rows * xp.sqrt(inverse), self.solver, xp)
        lengths, vectors = directions(rows, xp)
        spectrum = self._decided(
            lengths**2 / self.n_samples_,
            vectors,
            0.0,
            lambda squared: self._rounding(squared, mean_square * inverse),
            rank_tol,
        )
        return spectrum, deviations


def _centred(rows, codes, n_classes, weights):
    """Class means, and rows about them times the roots of their weights."""
    xp = rows.xp
    means = rows.local(class_means(rows, codes, n_classes, weights))
    centred = xp.astype(rows.local(rows.X), xp.float64, copy=True)
    centred -= _of_classes(means, codes, rows)
    # Once more: the means were rounded at their own size.
    again = class_means(Rows(centred), codes, n_classes, weights)
    centred -= _of_classes(as_like(again, means), codes, rows)
    if weights is not None:
        centred *= rows.local(np.sqrt(weights))[:, None]
    return means, centred


def _of_classes(means, codes, rows):
    """Mean of each row's class; a single class is left to broadcasting."""
    if means.shape[0] == 1:
        return means
    return rows.xp.take(means, rows.local(codes), axis=0)
