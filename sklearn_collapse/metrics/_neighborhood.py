"""Rows as metrics of nearest neighbours see them."""

import numbers
from functools import cached_property

import numpy as np
from sklearn.utils import check_random_state

from sklearn_collapse._linalg._moments import unit_rows
from sklearn_collapse._linalg._neighbors import nearest
from sklearn_collapse._linalg._points import Points, take_rows
from sklearn_collapse._linalg._trees import tree_lengths
from sklearn_collapse.utils._arrays import block_rows, namespace, slices, to_numpy
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._labels import as_label_array, encode_labels
from sklearn_collapse.utils._validation import check_features, check_lengths
from sklearn_collapse.utils._warnings import CollapseWarning, warn_caller


class Neighborhood:
    """Rows with their distinct points and what is searched among them, once each.

    Parameters
    ----------
    X : array of shape (n, d)
    y : ndarray of shape (n,), default=None
        Labels.
    max_samples : int, default=None
        How many of the rows are kept, drawn without replacement.
    random_state : int, RandomState instance or None, default=None
        For the draw, and for those of metrics.
    device : str, default="auto"
        For NumPy rows.
    """

    def __init__(
        self, X, y=None, *, max_samples=None, random_state=None, device="auto"
    ):
        check_finite(X)
        random_state = check_random_state(random_state)
        self.seed = random_state.randint(np.iinfo(np.int32).max)
        self.classes = codes = None
        if y is not None:
            self.classes, codes = encode_labels(y)
        n = X.shape[0]
        self._row_numbers = np.arange(n)
        if max_samples is not None and max_samples < n:
            chosen = random_state.choice(n, max_samples, replace=False)
            self._row_numbers = np.sort(chosen)
            X = take_rows(X, self._row_numbers)
            codes = None if codes is None else codes[self._row_numbers]
        self.X, self.codes, self.device = X, codes, device

    def __getstate__(self):
        """Leave out what is computed again where it is needed."""
        lasting = ("X", "codes", "classes", "device", "seed", "_row_numbers")
        return {name: vars(self)[name] for name in lasting}

    @property
    def n_samples(self):
        """Number of rows."""
        return self.X.shape[0]

    @cached_property
    def points(self):
        """Distinct rows."""
        return Points(self.X)

    @cached_property
    def unit(self):
        """Rows divided by their norms, in float64; raises where one is zero."""
        xp = namespace(self.X)
        parts = []
        for here in slices(self.n_samples, block_rows(self.X.shape[1])):
            block = xp.astype(self.X[here, :], xp.float64)
            zero = to_numpy(~xp.any(block != 0, axis=1))
            if zero.any():
                row = self._row_numbers[here.start + int(np.argmax(zero))]
                raise ValueError(
                    f"Input X has a row of zeros, row {row}: it has no direction, "
                    f"which metrics of rows of length 1 measure. Drop such rows."
                )
            parts.append(unit_rows(block, xp))
        return xp.concat(parts)

    @cached_property
    def has_zero_row(self):
        """Whether a row has no direction."""
        try:
            return self.unit is None
        except ValueError:
            return True

    @cached_property
    def unit_points(self):
        """Distinct rows among those of length 1."""
        return Points(self.unit)

    @cached_property
    def tree(self):
        """Edge lengths of the minimum spanning tree of the rows of length 1."""
        return tree_lengths(self.unit_points, device=self.device)

    def nearest(self, k, X=None):
        """K nearest other points of each point or row; fewer where there are no more.

        Returns
        -------
        Neighbors
        """
        return self._nearest(self.points, k, X)

    def nearest_unit(self, X=None):
        """The same among the rows of length 1, for one neighbour."""
        return self._nearest(self.unit_points, 1, X)

    def _nearest(self, points, k, X):
        # Of a single point, other rows may still be neighbours.
        most = max(len(points) - 1, 0 if X is None else 1)
        return nearest(points, min(k, most), X, device=self.device)


def neighborhood_of(X, y=None, *, max_samples=None, random_state=None):
    """Check the arguments of a metric function."""
    check_count("max_samples", max_samples, 2, optional=True)
    X, _ = check_features(X, min_samples=2)
    if y is not None:
        y = as_label_array(y)
        check_lengths(X, y)
    return Neighborhood(X, y, max_samples=max_samples, random_state=random_state)


def check_count(name, value, least, *, optional=False):
    """Raise if a number of rows is none."""
    if optional and value is None:
        return
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        allowed = "an integer or None" if optional else "an integer"
        raise TypeError(f"{name} must be {allowed}, got {value!r}.")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}.")


def check_choice(name, value, allowed):
    """Raise if an option is not among those allowed."""
    if value not in allowed:
        allowed = " or ".join(map(repr, allowed))
        raise ValueError(f"{name} must be {allowed}, got {value!r}.")


def warn_undefined(name, least, n_points):
    """Warn that there are too few distinct rows for a metric."""
    warn_caller(
        f"{name} needs at least {least} distinct rows, got {n_points}: it is nan.",
        CollapseWarning,
    )
