"""What the dimensional metrics share: moments of all rows, decomposed once."""

import math
import numbers
from functools import cached_property

import numpy as np

from sklearn_collapse._linalg._rows import map_rows
from sklearn_collapse._linalg._vasicek import vasicek_entropy
from sklearn_collapse.metrics._inputs import checked_rows
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import Rows, namespace, slices, to_numpy
from sklearn_collapse.utils._warnings import CollapseWarning, warn_caller

# Numbers in the projections that are sorted at a time, and the fewest components: each
# time is a pass over the rows.
_PROJECTED = 2**20
_FEWEST = 8


class FeatureSpectra:
    """Spectra of the rows and of the unit rows, and what is read off them.

    Labels have no part in it: the moments may be those of classes.

    Parameters
    ----------
    moments : ClassMoments or None
        Moments of the rows.
    unit_moments : ClassMoments or None, default=None
        Moments of the rows divided by their norms.
    centered : bool, default=True
        Whether metrics whose definition leaves it open take the covariance, or the
        second moment about the origin.
    rank_tol : float or None, default=None
        Overrides the rank rule.
    """

    def __init__(self, moments, unit_moments=None, *, centered=True, rank_tol=None):
        self.moments = moments
        self.unit_moments = unit_moments
        self.centered = centered
        self.rank_tol = rank_tol
        self._warned: set = set()

    @property
    def xp(self):
        """Namespace of the moments."""
        return namespace((self.moments or self.unit_moments).means_)

    @property
    def n_samples(self):
        """Sum of the weights."""
        return (self.moments or self.unit_moments).n_samples_

    @property
    def n_features(self):
        """Number of features."""
        return (self.moments or self.unit_moments).n_features

    @property
    def n_components(self):
        """Number of principal components that n rows of d features have, min(n, d)."""
        return max(1, min(math.floor(self.n_samples), self.n_features))

    @property
    def values(self):
        """Eigenvalues that count, about the mean or the origin as ``centered`` says."""
        return self.covariance_values if self.centered else self.second_moment_values

    @cached_property
    def covariance_values(self):
        """Eigenvalues of the covariance that count, on the host."""
        return self._values("total")

    @cached_property
    def second_moment_values(self):
        """Eigenvalues of the second moment about the origin that count."""
        return self._values("second_moment")

    @cached_property
    def unit_values(self):
        """Eigenvalues of the covariance of the unit rows that count."""
        spectrum = self.unit_moments._spectrum("total")
        return to_numpy(spectrum.values[: spectrum.rank])

    @cached_property
    def unit_mean_square(self):
        """Squared norm of the mean of the unit rows."""
        mean = self.unit_moments.mean_
        self._warn_zero_rows()
        return float(namespace(mean).sum(mean * mean))

    @cached_property
    def unit_variance(self):
        """Sum of the variances of the unit rows."""
        return max(self.unit_moments._traces("total")[0], 0.0)

    @property
    def spectrum(self):
        """Decomposition that `values` are of."""
        which = "total" if self.centered else "second_moment"
        return self.moments._spectrum(which, rank_tol=self.rank_tol)

    def is_constant(self, name, values, result):
        """Whether no eigenvalue counts; then warn, once, what the metrics are."""
        if len(values):
            return False
        if "constant" not in self._warned:
            what = "are zero" if values is self._origin_values else "are all equal"
            warn_caller(
                f"The rows {what}, to rounding: they span no dimension, and {name} is "
                f"{result:g}. Ranks of such rows are 0, other metrics of their "
                f"spectrum nan.",
                CollapseWarning,
            )
        self._warned.add("constant")
        return True

    @property
    def _origin_values(self):
        return self.__dict__.get("second_moment_values")

    def _values(self, which):
        spectrum = self.moments._spectrum(which, rank_tol=self.rank_tol)
        return to_numpy(spectrum.values[: spectrum.rank])

    def _warn_zero_rows(self):
        """Warn, once, if rows of no length count as zeros among the unit rows."""
        mean = self.unit_moments.mean_
        missing = 1 - float(namespace(mean).sum(mean * mean)) - self.unit_variance
        if missing > max(1e-9, 100 * self.unit_moments._product_eps()):
            warn_caller(
                f"{missing:.3g} of the rows are zero and have no direction: they stay "
                f"zero among the unit rows and count as such. Drop them if they mean "
                f"nothing.",
                CollapseWarning,
            )


def spectra_of(X, sample_weight=None, *, centered=True, rank_tol=None, unit=False):
    """Spectra of rows for the metric functions; with ``unit``, of unit rows alone."""
    check_flag("centered", centered)
    X, weights = checked_rows(X, sample_weight)
    moments = ClassMoments.from_arrays(X, None, weights, normalize=unit)
    if unit:
        return FeatureSpectra(None, moments)
    return FeatureSpectra(moments, centered=centered, rank_tol=rank_tol)


def check_flag(name, value):
    """Raise unless an option is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}.")


def check_number(name, value, low, high=math.inf, *, closed=True):
    """Raise unless an option is a number between two others."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    if not (low <= value if closed else low < value) or not value <= high:
        bracket = "[" if closed else "("
        raise ValueError(f"{name} must be in {bracket}{low:g}, {high:g}], got {value}.")


def component_entropies(X, weights, spectrum, mean, device="auto"):
    """Vasicek's entropy of each principal component that counts.

    Rows are projected on a few components at a time, so that memory stays below that
    of the rows.

    Parameters
    ----------
    X : array of shape (n, d)
    weights : ndarray of shape (n,) or None
    spectrum : Spectrum
        Of the covariance of the rows.
    mean : array of shape (d,)
    device : str

    Returns
    -------
    ndarray of shape (rank,)
    """
    n, d = X.shape
    rank = spectrum.rank
    rows = Rows(X, device, work=float(n) * d * max(rank, 1))
    xp = rows.xp
    mean = rows.local(mean)
    local_weights = None if weights is None else rows.local(weights)
    found, longest = [], None
    for here in slices(rank, max(_FEWEST, _PROJECTED // n)):
        vectors = rows.local(spectrum.vectors[:, here])

        def project(block, _, vectors=vectors, first=longest is None):
            block = block - mean
            product = xp.matmul(block, vectors)
            return (product, xp.vecdot(block, block)) if first else (product,)

        projected, *lengths = map_rows(rows, project, d + vectors.shape[1], xp.float64)
        if longest is None:
            longest = math.sqrt(float(xp.max(lengths[0])))
        # Equal rows may differ by the rounding of the product.
        least = 4 * math.sqrt(d) * float(xp.finfo(xp.float64).eps) * longest
        found.append(to_numpy(vasicek_entropy(projected, local_weights, least, xp)))
    return np.concatenate(found) if found else np.zeros(0)
