"""Galleries of successive models, and the scores of one model's rows in another's."""

import math
from typing import Any, NamedTuple

import numpy as np

from sklearn_collapse._linalg._matches import (
    Gallery,
    direction_rounding,
    directions,
    zero_row_shares,
)
from sklearn_collapse._linalg._moments import NonFiniteError, class_means, unit_rows
from sklearn_collapse._linalg._points import take_rows
from sklearn_collapse.utils._arrays import Rows, namespace, to_numpy
from sklearn_collapse.utils._finite import check_finite, raise_nonfinite


class ModelRecord(NamedTuple):
    """What is kept of the models, and the scores between them."""

    measure: str
    metric: str
    classes: np.ndarray
    codes: np.ndarray  # (n,)
    galleries: tuple[Any, ...]  # arrays (n, d) or (C, d), one for each model
    scores: tuple[tuple[float, ...], ...]  # row i has i + 1 entries

    def with_model(self, X, device):
        """Return the record with one more model, in all galleries up to its own."""
        rows = self.compared(X)
        if self.measure == "class_mean":
            gallery = self._class_means(X, rows, device)
        else:
            # A copy: whoever extracts features may use the memory again.
            gallery = namespace(X).asarray(X, copy=True)
        more = self._replace(galleries=(*self.galleries, gallery))
        own, n = np.arange(len(self.codes)), len(self.codes)
        scores = []
        for j in range(len(more.galleries)):
            shares = more.match(rows, self.codes, device, j, own)
            # Exactly rounded: equal scores are equal in any order of the rows.
            scores.append(math.fsum(shares.tolist()) / n)
        return more._replace(scores=(*self.scores, tuple(scores)))

    def match(self, rows, codes, device, j=-1, own=None):
        """Share of its own label among the matches of each query.

        Parameters
        ----------
        rows : array of shape (n, d)
            Queries, as `compared` returns them.
        codes : ndarray of int of shape (n,)
        device : str
        j : int
            Number of the gallery.
        own : ndarray of int of shape (n,) or None
            As for `Gallery.label_shares`.

        Returns
        -------
        ndarray of shape (n,)
        """
        gallery, labels = self.galleries[j], self.codes
        if self.measure == "class_mean":
            # The mean of a query's class is a match like any other.
            labels, own = np.arange(len(self.classes)), np.full(len(codes), -1)
        else:
            gallery = self.compared(gallery)
        rounding = 0.0
        if self.metric == "cosine":
            rounding = direction_rounding(rows.shape[1])
        found = Gallery(
            gallery, labels, len(self.classes), rounding=rounding, device=device
        )
        zero = np.zeros(len(codes), dtype=bool)
        if (self.measure, self.metric) == ("nearest_neighbor", "cosine"):
            zero = to_numpy(rows[:, -1]) > 0
        if not zero.any():
            return found.label_shares(rows, codes, own)

        # Rows of zeros tie with whole galleries: their ties are counted, not searched.
        there = to_numpy(gallery[:, -1]) > 0
        own_zero, own_rest = ((own if own is None else own[q]) for q in (zero, ~zero))
        shares = np.empty(len(codes))
        shares[zero] = zero_row_shares(there, labels, codes[zero], own_zero)
        if not zero.all():
            rest = take_rows(rows, np.flatnonzero(~zero))
            shares[~zero] = found.label_shares(rest, codes[~zero], own_rest)
        return shares

    def compared(self, X):
        """Rows as they are compared: of length 1, or as they are."""
        check_finite(X)
        return directions(X) if self.metric == "cosine" else X

    def _class_means(self, X, rows, device):
        n, d = rows.shape
        try:
            means = class_means(
                Rows(rows, device, float(n) * d), self.codes, len(self.classes), None
            )
        except NonFiniteError:
            raise_nonfinite(X)
        if self.metric == "euclidean":
            return means
        xp = namespace(means)
        lengths = to_numpy(xp.linalg.vector_norm(means, axis=1))
        none = np.flatnonzero(lengths <= direction_rounding(d))
        if len(none):
            raise ValueError(
                f"The rows of class {self.classes.tolist()[none[0]]!r}, divided by "
                f"their norms, have the mean 0, which has no direction: use "
                f"metric='euclidean' or measure='nearest_neighbor'."
            )
        return unit_rows(means, xp)
