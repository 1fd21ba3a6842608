"""What Mahalanobis distances and log-densities need, from moments."""

from typing import Any, NamedTuple

import numpy as np

from sklearn_collapse._components import warn_of_tie
from sklearn_collapse._linalg._gaussians import (
    Gaussians,
    Rules,
    class_inverses,
    gaussians,
)
from sklearn_collapse._linalg._rows import ClassMetric, class_metric
from sklearn_collapse._linalg._spectrum import (
    Spectrum,
    eigh_by_rank,
    floored_inverse,
    share_components,
    trailing_components,
)
from sklearn_collapse.utils._arrays import Array, namespace


class Source(NamedTuple):
    """A covariance: moments, which of theirs, and the share of the identity in it."""

    moments: Any  # ClassMoments
    which: str
    shrinkage: float

    def spectrum(self, basis=None):
        """Spectrum of the covariance, or of its restriction to a subspace."""
        moments, xp = self.moments, namespace(self.moments.means_)
        if basis is None:
            return moments._spectrum(self.which, self.shrinkage)
        covariance = moments._covariance(self.which, self.shrinkage)
        eps = moments._product_eps()
        return eigh_by_rank(covariance, moments._noise, eps, None, xp, basis=basis)


class Factors(NamedTuple):
    """What scoring needs, and the choices that were made on the way."""

    within: ClassMetric | Gaussians
    total: ClassMetric | Gaussians | None
    shrinkage: float | np.ndarray  # of each class, if each has its covariance
    floor: float | np.ndarray
    rank: int | np.ndarray
    condition: float  # of the floored covariances, the largest
    kept: slice  # of the directions of the covariance, in order
    borrowed: np.ndarray | None = None  # (C,) of bool: classes with the tied one


class Pooled(NamedTuple):
    """The covariance about the class means on the directions that are kept."""

    spectrum: Spectrum
    inverse: Array  # (r,)
    floor: float
    kept: slice  # of all directions
    most: float  # largest eigenvalue of all directions

    @property
    def basis(self):
        """Directions that are kept, or None for all."""
        vectors = self.spectrum.vectors
        return None if vectors.shape[0] == vectors.shape[1] else vectors


def pool(within, floor, components, share):
    """Decompose the covariance about the class means.

    Parameters
    ----------
    within : Source
    floor : "auto" or float
    components : {"all", "top", "bottom"}
    share : float
        Share of the variance that "top" or "bottom" holds.

    Returns
    -------
    Pooled
    """
    moments = within.moments
    xp = namespace(moments.means_)
    kept = slice(0, moments.means_.shape[1])
    if components == "all":
        spectrum = within.spectrum()
    else:
        plain = within._replace(shrinkage=0.0).spectrum()
        spectrum = _shrunk_spectrum(plain, within.shrinkage, xp)
        # Where nothing varies no direction differs from another, and all are kept.
        if plain.rank:
            kept = _kept(moments, plain, components, share, xp)
    most = float(xp.max(spectrum.values))
    spectrum = spectrum._replace(
        values=spectrum.values[kept],
        vectors=spectrum.vectors[:, kept],
        rank=max(min(kept.stop, spectrum.rank) - kept.start, 0),
    )
    level = moments._zero_level(spectrum)
    inverse, floor = floored_inverse(spectrum, floor, level=level, xp=xp)
    return Pooled(spectrum, inverse, floor, kept, most)


def _kept(moments, spectrum, components, share, xp):
    """Directions that hold a share of the variance, at either end."""
    values, d = spectrum.values[: spectrum.rank], spectrum.values.shape[0]
    if components == "top":
        cut = share_components(values, share, xp)
        kept = slice(0, cut)
    else:
        cut = spectrum.rank - trailing_components(values, share, xp)
        kept = slice(cut, d)
    warn_of_tie(moments, spectrum, cut, f"variance_share={share:g}")
    return kept


def tied_factors(within, total, pooled, floor):
    """Factors of one covariance for all classes.

    Parameters
    ----------
    within : Source
    total : Source or None
        Of all rows, for relative distances.
    pooled : Pooled
    floor : "auto" or float

    Returns
    -------
    Factors
    """
    means, mean = within.moments.means_, within.moments.mean_
    xp = namespace(means)
    spectrum = pooled.spectrum
    root = spectrum.vectors * xp.sqrt(pooled.inverse)
    # The directions that are left out are in the rows, and in the sums of a product.
    condition = pooled.most * float(xp.max(pooled.inverse))
    background = None
    if total is not None:
        level = 2 * pooled.floor
        whole = total.spectrum(pooled.basis)
        if spectrum.rank:
            level = pooled.floor * whole.largest / spectrum.largest
        inverse, _ = floored_inverse(whole, floor, level=level, xp=xp)
        background = class_metric(
            mean[None, :], mean, whole.vectors * xp.sqrt(inverse), xp
        )
        condition = max(condition, float(xp.max(whole.values) * xp.max(inverse)))
    return Factors(
        class_metric(means, mean, root, xp),
        background,
        within.shrinkage,
        pooled.floor,
        spectrum.rank,
        condition,
        pooled.kept,
    )


def class_factors(within, total, pooled, floor, shares):
    """Factors of one covariance for each class.

    Parameters
    ----------
    within, total, pooled, floor
        As for `tied_factors`; the moments have class scatters.
    shares : ndarray of shape (C,)
        Shares of the identity.

    Returns
    -------
    Factors
    """
    moments, spectrum = within.moments, pooled.spectrum
    xp = namespace(moments.means_)
    found = class_inverses(
        moments._gathered(),
        shares,
        Rules(floor, moments.input_eps_, moments._product_eps()),
        (
            *(pooled.inverse, spectrum.vectors),
            *(pooled.floor, spectrum.largest, spectrum.rank),
        ),
        pooled.basis,
        xp,
    )
    if floor == 0 and np.ptp(found.ranks):
        raise ValueError(
            f"floor=0 with covariance='class' compares densities on the directions in "
            f"which each class varies, but that are {found.ranks.min()} for one class "
            f"and {found.ranks.max()} for another. Use floor='auto' or shrinkage=."
        )
    condition, background = found.condition, None
    if pooled.basis is not None:
        steepest = float(xp.max(found.inverse))
        condition = max(condition, pooled.most * steepest)
    if total is not None:
        whole = total.spectrum(pooled.basis)
        # A row that leaves the span of all classes must not cancel: in the total
        # covariance such a direction has more variance than in that of any class.
        level = 2 * float(np.max(found.floors))
        if whole.rank and np.all(found.largest > 0):
            ratio = float(np.max(found.floors / found.largest))
            level = max(level, ratio * whole.largest)
        inverse, _ = floored_inverse(whole, floor, level=level, xp=xp)
        background = gaussians(
            moments.mean_[None, :], inverse[None, :], whole.vectors[None, :, :], xp
        )
        condition = max(condition, float(xp.max(whole.values) * xp.max(inverse)))
    return Factors(
        gaussians(moments.means_, found.inverse, found.vectors, xp),
        background,
        np.where(found.borrowed, within.shrinkage, shares),
        found.floors,
        found.ranks,
        condition,
        pooled.kept,
        found.borrowed,
    )


def _shrunk_spectrum(plain, share, xp):
    """Spectrum of a shrunk covariance, on the eigenvectors of the plain one.

    Where shrinkage leaves all eigenvalues equal, those of its own would be any. What
    did not count does as soon as its share of the identity exceeds rounding.
    """
    d = plain.values.shape[0]
    level = share * float(xp.sum(plain.values)) / d
    rank = d if level > plain.floor else plain.rank
    return plain._replace(values=(1 - share) * plain.values + level, rank=rank)
