"""Log-likelihood of whitened rows."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_collapse._linalg._maps import squared_norms
from sklearn_collapse.utils._arrays import namespace, to_numpy
from sklearn_collapse.utils._dask import Partitions, by_partition, is_dask
from sklearn_collapse.utils._validation import check_weights


class WhitenedLikelihood:
    """Adds ``score_samples`` and ``score`` to a transformer whose output is white.

    What ``_fitted`` returns has ``lengths``, a map to the norms of white rows, and
    ``n_kept``.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    @by_partition
    def score_samples(self, X):
        """Log-likelihood of the whitened rows under the standard normal law.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library that was fitted on.

        Returns
        -------
        array of shape (n,)
            -(r ln(2 pi) + ||w||^2) / 2 for the white row w with r = `n_components_`
            coordinates; higher is more typical. ||w||^2 is the squared Mahalanobis
            distance from the mean.

        Notes
        -----
        It compares rows under one fitted map. Without the determinant of the map it is
        no density of the features: whatever shrinks the output, such as shrinkage or
        fewer components, raises it.
        """
        X = self._validate_rows(X, "score_samples")
        rows, wide = self._rows(X)
        fitted = self._fitted()
        squares = squared_norms(rows, fitted.lengths, centre=self.mean_, wide=wide)
        return -(fitted.n_kept * math.log(2 * math.pi) + squares) / 2

    def score(self, X, y=None, sample_weight=None):
        """Mean log-likelihood of whitened rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library that was fitted on.
        y : None
            Ignored.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        float
            Mean of ``score_samples``; higher is better. It compares sets of rows, not
            parameters, see there.
        """
        if is_dask(X):
            return Partitions(X, None, sample_weight).mean(self, "_score_partition")
        found = self.score_samples(X)
        xp = namespace(found)
        found = xp.astype(found, xp.float64)
        weights = check_weights(sample_weight, found.shape[0])
        if weights is None:
            return float(xp.mean(found))
        return float(np.average(to_numpy(found), weights=weights))

    def _score_partition(self, X, y, weights):
        found = to_numpy(self.score_samples(X)).astype(float)
        return found, check_weights(weights, found.shape[0])
