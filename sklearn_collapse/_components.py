"""How many leading components are kept, for a parameter ``n_components``."""

from numbers import Integral

from sklearn_collapse._linalg._spectrum import cuts_tie, share_components
from sklearn_collapse.utils._arrays import namespace
from sklearn_collapse.utils._warnings import warn_caller


def count_components(moments, spectrum, wanted, deviations=None):
    """Count the components to keep; warn if the last one is as large as the next.

    Parameters
    ----------
    moments : ClassMoments
    spectrum : Spectrum
        Of a covariance of the moments or of its correlations; not of rank 0.
    wanted : int or float
        A number up to the rank, or a share of the sum of the eigenvalues in (0, 1).
    deviations : array of shape (d,), default=None
        Standard deviations of the columns, 0 for constant ones, if the spectrum is
        that of the correlations.

    Returns
    -------
    int
    """
    xp = namespace(spectrum.values)
    values = spectrum.values[: spectrum.rank]
    if isinstance(wanted, Integral):
        k = int(wanted)
    else:
        k = share_components(values, wanted, xp)
    vector = spectrum.vectors[:, k - 1]
    if deviations is not None:
        ones = xp.ones_like(deviations)
        vector = vector / xp.where(deviations == 0, ones, deviations)
    if cuts_tie(values, k, moments._product_eps(), _noise_of_mean(moments, vector, xp)):
        warn_caller(
            f"The eigenvalues {k} and {k + 1} are equal up to rounding "
            f"({float(values[k - 1]):.6g}): which directions n_components={wanted!r} "
            f"keeps, and with them the results, is a matter of chance. Keep fewer or "
            f"more."
        )
    return k


def _noise_of_mean(moments, vector, xp):
    """Variance of the mean rounding error of the input along a vector."""
    noise = float(moments._noise(vector[:, None] ** 2)[0])
    within = float(xp.linalg.trace(moments.scatter_)) / moments.n_samples_
    least = moments.input_eps_**2 * float(xp.sum(moments._mean_square()))
    # Rows of a class that has collapsed all have the same error.
    errors = len(moments.classes_) if within <= least else moments.n_samples_
    return noise / max(errors, 1)
