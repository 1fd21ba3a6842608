"""What NRC1 and NRC2 project features onto, and what is left of them."""

import math
from numbers import Integral

from sklearn_collapse._components import warn_of_tie
from sklearn_collapse._linalg._residuals import complement_share, mean_residual
from sklearn_collapse.utils._arrays import input_eps, namespace
from sklearn_collapse.utils._warnings import CollapseWarning, warn_caller


def check_n_components(n_components):
    """Raise unless it is None or a positive integer."""
    whole = isinstance(n_components, Integral) and not isinstance(n_components, bool)
    if n_components is not None and not (whole and n_components >= 1):
        raise ValueError(
            f"n_components must be None or an integer, at least 1, got "
            f"{n_components!r}."
        )


def principal_basis(moments, n_components, n_targets):
    """Leading principal directions in columns, no more than the rank."""
    spectrum = moments._spectrum("total")
    wanted = n_targets if n_components is None else int(n_components)
    k = min(wanted, spectrum.rank)
    what = f"n_components={n_components}"
    if n_components is None:
        what = f"n_components={n_targets}, the number of targets,"
    warn_of_tie(moments, spectrum, k, what)
    return spectrum.vectors[:, :k]


def row_residual(rows, basis, weights, centre, name):
    """Mean residual of rows of length 1; warns of rows that have no direction."""
    eps = input_eps(rows.X, namespace(rows.X))
    value, share = mean_residual(rows, basis, weights, centre=centre, eps=eps)
    return _of_directed(value, share, 0.0, name, centre is not None)


def moments_residual(unit_moments, basis, name):
    """The same from the moments of rows of length 1."""
    xp = namespace(basis)
    value, share = complement_share(unit_moments.second_moment(), basis, xp)
    d = basis.shape[0]
    rounding = max(10.0, math.sqrt(d)) * unit_moments._product_eps()
    return _of_directed(value, share, rounding, name, False)


def _of_directed(value, share, rounding, name, centered):
    """Residual as it is published; nan if no row has a direction."""
    if share >= 1 - rounding:
        return value
    what = "equal to the mean of all rows" if centered else "of zeros"
    warn_caller(
        f"{name} leaves out rows {what} ({1 - share:.3g} of all rows): they have no "
        f"direction.",
        CollapseWarning,
    )
    return value if share else math.nan
