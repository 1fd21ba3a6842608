"""One linear subspace per class, as estimators of several families fit it."""

from numbers import Integral, Real
from typing import Any, NamedTuple

from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._linalg._class_subspaces import (
    ClassSubspaces,
    class_ratios,
    class_subspaces,
    padded_bases,
)
from sklearn_collapse._linalg._rows import squares_fit_float32
from sklearn_collapse.utils._arrays import Array, Rows, namespace
from sklearn_collapse.utils._labels import shorten
from sklearn_collapse.utils._sklearn_private import Interval
from sklearn_collapse.utils._warnings import warn_caller

SUBSPACES: dict = {
    "n_components": [
        Interval(Integral, 1, None, closed="left"),
        Interval(Real, 0, 1, closed="neither"),
    ],
    "centered": ["boolean"],
}


class _Fitted(NamedTuple):
    """What fitting decides."""

    centre: Array  # (d,), or None for the origin
    subspaces: ClassSubspaces
    wide: bool  # whether float32 rows are worked on in float64


class ClassSubspacesMixin:
    """Subspaces of the classes of the moments, and shares of rows in them.

    For a `MomentsEstimator` with the parameters ``n_components``, ``centered`` and
    ``device``.
    """

    n_components: Any
    centered: bool
    device: str
    moments_: Any

    @property
    def subspaces_(self):
        """Orthonormal columns of each class."""
        subspaces = self._fitted().subspaces
        xp = namespace(subspaces.basis)
        return padded_bases(subspaces.basis, subspaces.sizes, xp)

    @property
    def eigenvalues_(self):
        """Eigenvalues of each class's second moment."""
        return self._fitted().subspaces.values

    @property
    def n_components_(self):
        """Dimension of each class's subspace."""
        return self._fitted().subspaces.sizes

    @property
    def centre_(self):
        """What is taken off the rows."""
        centre, means = self._fitted().centre, self.moments_.means_
        return namespace(means).zeros_like(means[0, :]) if centre is None else centre

    def _moments_options(self):
        return {"normalize": False, "class_scatter": True}

    def _check_moments(self, moments):
        self._fitted()  # raises if there are no subspaces

    def _ratios(self, X, **options):
        """Shares of the rows' lengths in the subspaces; options of `class_ratios`."""
        centre, subspaces, wide = self._fitted()
        basis = subspaces.basis
        work = float(X.shape[0]) * basis.shape[0] * basis.shape[1]
        rows = Rows(X, self.device, work)
        options = {"centre": centre, "wide": wide, **options}
        return class_ratios(rows, basis, subspaces.sizes, **options)

    def _fitted(self):
        check_is_fitted(self, "moments_")
        key = ("class subspaces", type(self), self.n_components, self.centered)
        return self.moments_._cached(key, self._factorise)

    def _factorise(self):
        moments = self.moments_
        means = moments.means_
        if means.shape[1] == 1:
            raise ValueError(
                f"{type(self).__name__} needs at least two features, got n_features=1: "
                f"a single direction holds every row."
            )
        xp = namespace(means)
        centre = xp.mean(means, axis=0) if self.centered else None
        subspaces = class_subspaces(
            moments._gathered(),
            centre,
            self.n_components,
            input_eps=moments.input_eps_,
            product_eps=moments._product_eps(),
            xp=xp,
        )
        if not subspaces.sizes.any():
            raise ValueError(
                f"All rows lie at the {'mean' if self.centered else 'origin'}, to "
                f"rounding: no class has a direction. Check that the features vary."
            )
        self._warn_of_ties(subspaces.tied)
        # Mean squared lengths of the rows of each class.
        squares = xp.sum(subspaces.values, axis=1)
        least = float(xp.min(xp.where(squares > 0, squares, xp.max(squares))))
        wide = not squares_fit_float32(least, float(xp.max(squares)), xp)
        return _Fitted(centre, subspaces, wide)

    def _warn_of_ties(self, tied):
        if not tied.any():
            return
        which = "the last eigenvalue"
        if self.moments_.labelled:
            names = shorten(self.moments_.classes_[tied])
            which = f"in {int(tied.sum())} of {len(tied)} classes ({names}) {which}"
        warn_caller(
            f"{which[0].upper()}{which[1:]} that n_components={self.n_components!r} "
            f"keeps equals the next up to rounding: which directions are kept, and "
            f"with them the results, is a matter of chance. Keep fewer or more."
        )
