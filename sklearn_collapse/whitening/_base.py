"""What transformers have in common that map rows linearly about their mean."""

from abc import abstractmethod
from typing import NamedTuple

import numpy as np
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._base import MomentsEstimator
from sklearn_collapse._linalg._blocks import BlockMap
from sklearn_collapse._linalg._maps import LinearMap, affine_rows
from sklearn_collapse.utils._arrays import Rows, namespace
from sklearn_collapse.utils._available import available_unless
from sklearn_collapse.utils._dask import by_partition

# Largest error of an output, in its standard deviations, that float32 products may
# cause; beyond it rows are worked on in float64.
_COORDINATE_ERROR = 1e-4

_FLOAT32 = np.finfo(np.float32)


class Maps(NamedTuple):
    """A linear map of centred rows and its way back.

    ``condition`` is the square of the ratio of its largest to its least factor.
    """

    forward: LinearMap | BlockMap
    backward: LinearMap | BlockMap | None  # None where something is lost on purpose
    condition: float


class LinearTransformer(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, MomentsEstimator
):
    """Transformer of the form linear(x - mean), a function of moments.

    Subclasses define ``_factorise()``, which returns something with the attributes of
    `Maps`; it is computed on first use and again when a parameter changes.
    """

    @property
    def _keeps_columns(self):
        """Whether the output has the columns of the input."""
        return True

    @abstractmethod
    def _factorise(self):
        """Compute the maps from ``_statistics``."""

    @by_partition
    def transform(self, X):
        """Transform rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library that was fitted on.

        Returns
        -------
        array of shape (n, k)
            Transformed rows, float32 or float64 as X.
        """
        X = self._validate_rows(X, "transform")
        rows, wide = self._rows(X)
        forward = self._fitted().forward
        return affine_rows(rows, forward, centre=self.mean_, wide=wide)

    @available_unless(lambda self: self._lost())
    @by_partition
    def inverse_transform(self, X):
        """Bring transformed rows back to features.

        Parameters
        ----------
        X : array-like of shape (n, k)
            Transformed rows, of the library that was fitted on.

        Returns
        -------
        array of shape (n, d)
            Features; directions that were left out are at their mean.
        """
        backward = self._fitted().backward
        X = self._validate_outputs(X, backward.height)
        rows, wide = self._rows(X)
        return affine_rows(rows, backward, offset=self.mean_, wide=wide)

    def get_feature_names_out(self, input_features=None):
        """Name the columns of the output.

        Parameters
        ----------
        input_features : array-like of str of shape (d,), default=None
            Names of the features; by default those seen in fit.

        Returns
        -------
        ndarray of str
            Names of the features where the output has the columns of the input, else
            the name of the class with a number.
        """
        check_is_fitted(self)
        if self._keeps_columns:
            return OneToOneFeatureMixin.get_feature_names_out(self, input_features)
        return super().get_feature_names_out(input_features)

    @property
    def mean_(self):
        """Mean of all rows."""
        return self._statistics.mean_

    @property
    def _n_features_out(self):
        return self._fitted().forward.width

    def _labels_of_total(self, y):
        """Labels to gather by, where all rows alike count.

        Targets of a regression, say, would be one class per row. Moments that came
        with labels go on with labels.
        """
        moments = getattr(self, "moments_", None)
        return y if moments is not None and moments.labelled else None

    def _lost(self):
        """Why there is no way back, or nothing."""
        return ""

    def _rows(self, X):
        """Rows to be mapped, and whether float32 products lack digits for it."""
        owner = (type(self), "wide")
        wide = self._statistics._latest(owner, self._parameters(), self._lacks_digits)
        work = float(X.shape[0]) * self._fitted().forward.size
        return Rows(X, self.device, work=work), wide

    def _fitted(self):
        """Maps of the fitted state under the present parameters."""
        return self._statistics._latest(type(self), self._parameters(), self._decide)

    def _decide(self):
        self._check_parameters()
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            fitted = self._factorise()
        if not np.all(np.isfinite(list(_sizes(fitted.forward)))):
            raise ValueError(
                f"The variances of the features are too small or too large for "
                f"float64 to hold what {type(self).__name__} multiplies them by. "
                f"Rescale the features."
            )
        return fitted

    def _lacks_digits(self):
        """Whether float32 products lack digits, or the range, for these maps."""
        fitted, margin = self._fitted(), float(_FLOAT32.eps)
        if margin * fitted.condition**0.5 > _COORDINATE_ERROR:
            return True
        least, most = float(_FLOAT32.tiny) / margin, float(_FLOAT32.max) * margin
        return any(not least < size < most for size in _sizes(fitted.forward) if size)

    def _check_parameters(self):
        """Raise for parameters, perhaps changed after fit, that cannot be used."""
        self._validate_params()

    def _parameters(self):
        """What the maps depend on besides the statistics."""
        parameters = self.get_params(deep=False)
        return tuple(v for name, v in parameters.items() if name != "device")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _sizes(linear):
    """Size of the largest entry of each array of a map; 0 if there is none."""
    for values in linear.arrays:
        xp = namespace(values)
        yield float(xp.max(xp.abs(values))) if min(values.shape, default=1) else 0.0
