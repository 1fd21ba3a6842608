"""How many leading components are kept, for a parameter ``n_components``."""

from numbers import Integral

from sklearn_collapse._linalg._component_rules import RULES, components_by_rule
from sklearn_collapse._linalg._spectrum import cuts_tie, share_components
from sklearn_collapse.utils._arrays import device_of, namespace, to_numpy
from sklearn_collapse.utils._warnings import warn_caller

# Numbers of components of Wang et al. (2022), by the least number of features.
_DEFAULTS = ((2048, 1000), (768, 512))


def default_components(d):
    """Number of components that Wang et al. (2022) use with d features for ViM."""
    return next((k for least, k in _DEFAULTS if d >= least), d // 2)


def count_components(
    moments, spectrum, wanted, deviations=None, *, scatter="total", plain=None
):
    """Count the components to keep; warn if the last one is as large as the next.

    Parameters
    ----------
    moments : ClassMoments
    spectrum : Spectrum
        Of a covariance of the moments or of its correlations; not of rank 0.
    wanted : int, float or one of RULES
        A number up to the rank, a share of the sum of the eigenvalues in (0, 1), or
        the rule that chooses.
    deviations : array of shape (d,), default=None
        Standard deviations of the columns, 0 for constant ones, if the spectrum is
        that of the correlations.
    scatter : {"total", "within"}, default="total"
        Which covariance it is: a rule asks how many rows are free to vary.
    plain : Spectrum, default=None
        If the covariance was shrunk, the same spectrum without shrinkage, which a
        rule judges: shrinkage lifts the noise that it looks for.

    Returns
    -------
    int
    """
    xp = namespace(spectrum.values)
    values = spectrum.values[: spectrum.rank]
    if isinstance(wanted, Integral):
        k = int(wanted)
    elif wanted in RULES:
        judged = spectrum if plain is None else plain
        k = min(_by_rule(moments, judged, wanted, scatter), spectrum.rank)
    else:
        k = share_components(values, wanted, xp)
    warn_of_tie(moments, spectrum, k, f"n_components={wanted!r}", deviations)
    return k


def warn_of_tie(moments, spectrum, k, what, deviations=None):
    """Warn if the k-th eigenvalue equals the next, so that chance decides.

    Parameters
    ----------
    moments, spectrum, deviations
        As for `count_components`.
    k : int
        Number of eigenvalues before the cut.
    what : str
        The parameter that cuts there.
    """
    if is_tie(moments, spectrum, k, deviations):
        warn_caller(
            f"The eigenvalues {k} and {k + 1} are equal up to rounding "
            f"({float(spectrum.values[k - 1]):.6g}): which directions {what} keeps, "
            f"and with them the results, is a matter of chance. Keep fewer or more."
        )


def is_tie(moments, spectrum, k, deviations=None):
    """Whether the k-th eigenvalue equals the next up to rounding."""
    xp = namespace(spectrum.values)
    values = spectrum.values[: spectrum.rank]
    if not 0 < k < min(spectrum.rank, spectrum.vectors.shape[1] + 1):
        return False
    vector = spectrum.vectors[:, k - 1]
    if deviations is not None:
        ones = xp.ones_like(deviations)
        vector = vector / xp.where(deviations == 0, ones, deviations)
    noise = _noise_of_mean(moments, vector, xp)
    return cuts_tie(values, k, moments._product_eps(), noise)


def count_by_rule(rule, values, n_rows, n_features, n_means, eps=None):
    """Count the components that a rule keeps, at least one.

    For eigenvalues that come from elsewhere than moments.

    Parameters
    ----------
    rule : {"mle", "gavish-donoho", "marchenko-pastur"}
    values : array of shape (r,)
        Eigenvalues that count, descending: of a covariance or of correlations, with
        any normaliser.
    n_rows : float
        Number of rows: the sum of the weights.
    n_features : int
        Number of columns that vary.
    n_means : int
        Number of means that were subtracted: 1, or that of the classes.
    eps : float, default=None
        Spacing of the dtype of the products, by default float64's.

    Returns
    -------
    int
    """
    values = to_numpy(values)
    rank, free = values.shape[0], n_rows - n_means
    if rank > free + 0.5:
        raise ValueError(
            f"n_components={rule!r} needs the number of rows, but {rank} directions "
            f"count and the weights sum to {n_rows:g}, which about {n_means} mean(s) "
            f"span at most {max(free, 0):g}. Pass weights that are frequencies, or a "
            f"rank_tol that leaves rounding out."
        )
    about = {} if eps is None else {"eps": eps}
    k = components_by_rule(rule, values, free, n_features, **about)
    if not k and rank != 1:  # a single direction has no other to stand out from
        warn_caller(
            f"By n_components={rule!r} none of the {rank} directions stands out from "
            f"noise: the largest is kept. Pass a number of components or a share of "
            f"the variance if there is more to keep."
        )
    return max(k, 1)


def _by_rule(moments, spectrum, rule, scatter):
    return count_by_rule(
        rule,
        spectrum.values[: spectrum.rank],
        moments.n_samples_,
        _n_varying(moments, scatter),
        n_means=1 if scatter == "total" else len(moments.classes_),
        eps=moments._product_eps(),
    )


def _n_varying(moments, scatter):
    """Number of columns with more variance than rounding of the input leaves."""
    variances = moments._variances(scatter)
    xp = namespace(variances)
    one = xp.ones((1, 1), dtype=variances.dtype, device=device_of(variances))
    least = moments._rounding(one, moments._mean_square()[None, :])[0, :]
    return int(xp.sum(xp.astype(variances > least, xp.int64)))


def _noise_of_mean(moments, vector, xp):
    """Variance of the mean rounding error of the input along a vector."""
    noise = float(moments._noise(vector[:, None] ** 2)[0])
    within = moments._traces()[0]
    least = moments.input_eps_**2 * float(xp.sum(moments._mean_square()))
    # Rows of a class that has collapsed all have the same error.
    errors = len(moments.classes_) if within <= least else moments.n_samples_
    return noise / max(errors, 1)
