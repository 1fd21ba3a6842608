"""Latent variables of autoencoders: which are used, and how much room they take."""

import math
from numbers import Integral
from typing import NamedTuple

import numpy as np

from sklearn_collapse._linalg._columns import column_deviations
from sklearn_collapse.metrics._inputs import checked_pair, checked_rows
from sklearn_collapse.utils._arrays import (
    Rows,
    as_like,
    detach,
    is_foreign,
    to_numpy,
)
from sklearn_collapse.utils._finite import raise_nonfinite
from sklearn_collapse.utils._validation import check_weights


class CodebookUsage(NamedTuple):
    """How a codebook is used.

    Parameters
    ----------
    usage : float
        Share of the codes that occur, in (0, 1].
    perplexity : float
        Exponential of the entropy of the codes, in [1, n_codes].
    dead_codes : ndarray of int
        Codes that do not occur, ascending.
    counts : ndarray of shape (n_codes,)
        Sum of the weights of each code.

    See Also
    --------
    codebook_usage : Computes it.

    Examples
    --------
    >>> from sklearn_collapse.metrics import codebook_usage
    >>> usage, perplexity, dead_codes, counts = codebook_usage([0, 2, 2, 0], 3)
    >>> dead_codes
    array([1])
    """

    usage: float
    perplexity: float
    dead_codes: np.ndarray
    counts: np.ndarray


def active_units(means, *, threshold=0.01, sample_weight=None, return_mask=False):
    """Count the latent units whose posterior mean depends on the sample.

    Parameters
    ----------
    means : array-like of shape (n, d)
        Means of the approximate posterior, one row per sample, of any array library.
    threshold : float, default=0.01
        Variance above which a unit is active.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    return_mask : bool, default=False
        Whether to say which units are active as well.

    Returns
    -------
    n_active : int
        In 0, …, d.
    mask : array of shape (d,)
        Whether each unit is active. Only with ``return_mask=True``.

    See Also
    --------
    posterior_collapse : Looks at the variances of the posterior as well.

    Notes
    -----
    #{j : Var_x(E[z_j | x]) > threshold}, with normaliser n.

    References
    ----------
    .. [1] Burda, Y., Grosse, R., Salakhutdinov, R. (2016). "Importance Weighted
       Autoencoders". ICLR.

    Examples
    --------
    >>> from sklearn_collapse.metrics import active_units
    >>> active_units([[1.0, 0.01], [-1.0, 0.0], [0.5, 0.02]])
    1
    """
    if not threshold >= 0:
        raise ValueError(f"threshold must not be negative, got {threshold!r}.")
    deviations, xp = _deviations(means, sample_weight)
    active = deviations**2 > threshold
    count = int(xp.sum(xp.astype(active, xp.int64)))
    return (count, active) if return_mask else count


def posterior_collapse(
    means,
    *,
    log_variances=None,
    variances=None,
    epsilon=0.01,
    delta=0.01,
    sample_weight=None,
    return_mask=False,
):
    """Share of the latent units whose posterior is the prior for nearly all samples.

    Parameters
    ----------
    means : array-like of shape (n, d)
        Means of the approximate posterior, one row per sample, of any array library.
    log_variances : array-like of shape (n, d), default=None
        Logarithms of its variances. Pass either these or `variances`.
    variances : array-like of shape (n, d), default=None
        Its variances.
    epsilon : float, default=0.01
        Divergence in nats below which a posterior counts as the prior, positive.
    delta : float, default=0.01
        Share of the samples that may differ, in [0, 1].
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    return_mask : bool, default=False
        Whether to say which units have collapsed as well.

    Returns
    -------
    share : float
        In [0, 1].
    mask : array of shape (d,)
        Whether each unit has collapsed. Only with ``return_mask=True``.

    See Also
    --------
    active_units : Looks at the means alone.

    Notes
    -----
    Following [1]_, a unit j has (epsilon, delta)-collapsed if
    P_x(KL_j < epsilon) >= 1 - delta with
    KL_j = (mu_j^2 + sigma_j^2 - 1 - ln sigma_j^2) / 2, the divergence of a Gaussian
    from the standard one. A variance of 0 has an infinite divergence.

    References
    ----------
    .. [1] Lucas, J., Tucker, G., Grosse, R., Norouzi, M. (2019). "Don't Blame the ELBO!
       A Linear VAE Perspective on Posterior Collapse". NeurIPS.

    Examples
    --------
    >>> from sklearn_collapse.metrics import posterior_collapse
    >>> means = [[1.0, 0.01], [-1.0, 0.0], [0.5, 0.02]]
    >>> posterior_collapse(means, variances=[[0.1, 1.0], [0.2, 1.0], [0.1, 0.99]])
    0.5
    """
    if (log_variances is None) == (variances is None):
        raise ValueError("Pass exactly one of log_variances and variances.")
    if not epsilon > 0:
        raise ValueError(f"epsilon must be positive, got {epsilon!r}.")
    if not 0 <= delta <= 1:
        raise ValueError(f"delta must lie in [0, 1], got {delta!r}.")
    logs = variances is None
    names = ("means", "log_variances" if logs else "variances")
    means, spread, weights = checked_pair(
        means, log_variances if logs else variances, names, sample_weight
    )
    rows, others = Rows(means), Rows(spread)
    xp, differing = rows.xp, 0.0

    @np.errstate(over="ignore")
    def absorb(block, here):
        nonlocal differing
        values = others.fetch(here, xp.float64)
        divergences = (block**2 + _excess(values, logs, xp)) / 2
        differ = xp.astype(~(divergences < epsilon), xp.float64)
        w = np.ones(block.shape[0]) if weights is None else weights[here]
        differing = differing + xp.matmul(rows.local(w), differ)

    rows.visit(absorb, 4 * means.shape[1], xp.float64)
    n = means.shape[0]
    total = float(n if weights is None else weights.sum())
    # Rounding of the sums must not make a share of exactly delta a larger one.
    allowed = delta * total * (1 + n * float(np.finfo(float).eps))
    collapsed = differing <= allowed
    share = float(xp.mean(xp.astype(collapsed, xp.float64)))
    return (share, collapsed) if return_mask else share


def codebook_usage(codes, n_codes, *, sample_weight=None):
    """Usage, perplexity and dead codes of a vector quantiser.

    Parameters
    ----------
    codes : array-like of int
        Index of the code of each vector, of any shape and array library.
    n_codes : int
        Size of the codebook; codes are 0, …, n_codes - 1.
    sample_weight : array-like, default=None
        Frequencies, of the shape of `codes`.

    Returns
    -------
    CodebookUsage
        Named tuple ``(usage, perplexity, dead_codes, counts)``.

    See Also
    --------
    active_units : The same question for continuous latent variables.

    Notes
    -----
    usage = number of codes that occur / n_codes; perplexity = exp(-sum_k p_k ln p_k), p
    the shares of the codes, which is n_codes for codes used alike and 1 for one code.

    References
    ----------
    .. [1] van den Oord, A., Vinyals, O., Kavukcuoglu, K. (2017). "Neural Discrete
       Representation Learning". NeurIPS.

    Examples
    --------
    >>> from sklearn_collapse.metrics import codebook_usage
    >>> found = codebook_usage([[0, 0], [3, 3]], 4)
    >>> found.usage, round(found.perplexity, 6), found.dead_codes
    (0.5, 2.0, array([1, 2]))
    """
    if isinstance(n_codes, bool) or not isinstance(n_codes, Integral) or n_codes < 1:
        raise ValueError(f"n_codes must be an integer, at least 1, got {n_codes!r}.")
    codes = np.asarray(to_numpy(detach(codes)) if is_foreign(codes) else codes)
    if not codes.size:
        raise ValueError(f"codes is empty, of shape {codes.shape}: pass at least one.")
    if codes.dtype.kind not in "iu":
        raise TypeError(
            f"codes must be integers, got dtype {codes.dtype}. Pass the index of the "
            f"code of each vector."
        )
    low, high = int(codes.min()), int(codes.max())
    if low < 0 or high >= n_codes:
        raise ValueError(
            f"codes must lie in 0, …, {n_codes - 1} (n_codes={n_codes}), got values "
            f"from {low} to {high}."
        )
    weights = None
    if sample_weight is not None:
        weights = np.asarray(to_numpy(sample_weight))
        if weights.shape != codes.shape:
            raise ValueError(
                f"sample_weight must have the shape of codes, {codes.shape}, got "
                f"{weights.shape}."
            )
        weights = check_weights(weights.ravel(), codes.size)
    counts = np.bincount(codes.ravel(), weights=weights, minlength=n_codes)
    used = counts[counts > 0]
    shares = used / used.sum()
    entropy = float(np.sum(shares * -np.log(shares)))
    # Rounding must not take it beyond the number of codes that occur.
    perplexity = min(math.exp(entropy), float(len(used)))
    dead = np.flatnonzero(counts == 0)
    return CodebookUsage(len(used) / int(n_codes), perplexity, dead, counts)


def least_volume(X, *, eta=0.01, ddof=1, sample_weight=None):
    """Geometric mean of the standard deviations of the latent variables.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Latent variables, at least two rows, of any array library.
    eta : float, default=0.01
        Added to each deviation, not negative, as in the authors' code. 0 measures the
        volume itself, which a single constant column makes 0.
    ddof : int, default=1
        The variances are divided by the sum of the weights minus this; 1 as in the
        authors' code.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    float
        In [eta, inf).

    See Also
    --------
    active_units : Counts the columns that vary.

    Notes
    -----
    (prod_j (sigma_j + eta))^(1/d), sigma_j the standard deviation of column j, computed
    as exp of the mean logarithm. It depends on the scale of X, and is unchanged by
    translation and by permutations of the columns.

    References
    ----------
    .. [1] Chen, Q., Fuge, M. (2024). "Compressing Latent Space via Least Volume". ICLR.

    Examples
    --------
    >>> from sklearn_collapse.metrics import least_volume
    >>> X = [[0.0, 0.0], [2.0, 8.0]]
    >>> round(least_volume(X, eta=0, ddof=0), 6)
    2.0
    """
    if not eta >= 0:
        raise ValueError(f"eta must not be negative, got {eta!r}.")
    deviations, xp = _deviations(X, sample_weight, ddof, min_samples=2)
    sizes = deviations + eta
    if bool(xp.any(sizes == 0)):
        return 0.0
    return float(xp.exp(xp.mean(xp.log(sizes))))


def _deviations(X, sample_weight, ddof=0, min_samples=1):
    """Standard deviations of the columns, and their namespace."""
    X, weights = checked_rows(X, sample_weight, min_samples=min_samples)
    total = X.shape[0] if weights is None else weights.sum()
    if not total > ddof:
        raise ValueError(
            f"ddof={ddof} must be smaller than the number of rows, or the sum of "
            f"their weights, which is {total:g}."
        )
    rows = Rows(X)
    deviations = column_deviations(rows, weights, ddof)
    if not bool(rows.xp.all(rows.xp.isfinite(deviations))):
        raise_nonfinite(X)
    return as_like(deviations, X), rows.xp


def _excess(values, logs, xp):
    """Terms sigma^2 - 1 - ln sigma^2 of the divergence."""
    if logs:
        return xp.expm1(values) - values
    if bool(xp.any(values < 0)):
        raise ValueError(
            "variances must not be negative. Pass logarithms as log_variances."
        )
    positive = values > 0
    safe = xp.where(positive, values, xp.ones_like(values))
    excess = (safe - 1) - xp.log(safe)
    return xp.where(positive, excess, xp.full_like(excess, float("inf")))
