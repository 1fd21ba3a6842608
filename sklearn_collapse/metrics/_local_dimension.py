"""Dimension by the distances to nearest neighbours: LID and TwoNN."""

import math

import numpy as np

from sklearn_collapse._linalg._points import Points
from sklearn_collapse.metrics._metric import metric
from sklearn_collapse.metrics._neighborhood import (
    check_choice,
    check_count,
    neighborhood_of,
    warn_undefined,
)

# Relative difference of distances that the search does not tell from none.
_EQUAL = 1e-9


@metric("neighbors", "neighbors rows", "Amsaleg et al. 2015", direction="higher")
def lid(
    X,
    *,
    n_neighbors=20,
    method="mle",
    correction=False,
    aggregate="geometric",
    max_samples=None,
    random_state=None,
):
    """Local intrinsic dimensionality, averaged over the rows.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    n_neighbors : int, default=20
        Number k of neighbours, at least 2; all there are where they are fewer.
    method : {"mle", "moments"}, default="mle"
        Maximum likelihood, or the method of moments.
    correction : bool, default=False
        Whether "mle" has k - 1 in place of k, as Levina and Bickel have.
    aggregate : {"geometric", "harmonic"}, default="geometric"
        Mean over the rows: the geometric one is the Fréchet mean for the Fisher-Rao
        distance, the harmonic one averages the estimates' inverses.
    max_samples : int, default=None
        Rows to use, drawn without replacement where there are more; None uses all.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    float
        In (0, inf], higher is less degenerate; inf where all neighbours of a row are
        equally far, nan with a warning for fewer than three distinct rows.

    See Also
    --------
    two_nn : One dimension from two neighbours of each row.
    sklearn_collapse.collapse.NeighborCollapseScorer : The value of each row.

    Notes
    -----
    With r_1 <= ... <= r_k the distances of a row to its neighbours and m their mean::

        mle       1 / ((1 / k) sum_i ln(r_k / r_i))
        moments   m / (r_k - m)

    Equal rows are one point: copies of a row are no neighbours of it, and k distinct
    rows at a distance other than zero are used. All rows count in the mean. The
    estimate is too low for large dimensions, where n would have to grow exponentially.
    No publication says which value is good; a low one for many features is taken for
    degenerate here. Unlike the formulas of most implementations, distances of near
    rows are taken from their differences, in float64.

    References
    ----------
    .. [1] Amsaleg, L., et al. (2015). "Estimating Local Intrinsic Dimensionality".
       KDD.
    .. [2] Levina, E., Bickel, P. J. (2004). "Maximum Likelihood Estimation of
       Intrinsic Dimension". NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.metrics import lid
    >>> plane = np.random.default_rng(0).uniform(size=(500, 2))
    >>> X = plane @ [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    >>> round(lid(X), 1)
    2.1
    """
    check_count("n_neighbors", n_neighbors, 2)
    check_choice("method", method, ("mle", "moments"))
    check_choice("aggregate", aggregate, ("geometric", "harmonic"))
    if correction and method != "mle":
        raise ValueError("correction=True is for method='mle', got method='moments'.")
    rows = neighborhood_of(X, max_samples=max_samples, random_state=random_state)
    return _lid(rows, n_neighbors, method, correction, aggregate)


@metric("neighbors", "neighbors rows", "Facco et al. 2017", direction="higher")
def two_nn(X, *, method="fit", discard=0.1, max_samples=None, random_state=None):
    """Intrinsic dimension from the two nearest neighbours of each row.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, of any array library.
    method : {"fit", "mle"}, default="fit"
        Slope of a line through the origin, or maximum likelihood.
    discard : float, default=0.1
        Share of the largest ratios that "fit" leaves out; "mle" uses all.
    max_samples : int, default=None
        Rows to use, drawn without replacement where there are more; None uses all.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    float
        In (0, inf], higher is less degenerate; inf where both neighbours of all rows
        are equally far, nan with a warning for fewer than three distinct rows.

    See Also
    --------
    lid : From more neighbours, row by row.

    Notes
    -----
    With mu = r_2 / r_1 in ascending order, i = 1..n::

        fit   slope of -ln(1 - i / n) on ln mu_i, i <= (1 - discard) n
        mle   n / sum_i ln mu_i

    Equal rows are one point, as the paper asks for. The last ratio, whose i / n is 1,
    is always left out of "fit".

    References
    ----------
    .. [1] Facco, E., d'Errico, M., Rodriguez, A., Laio, A. (2017). "Estimating the
       intrinsic dimension of datasets by a minimal neighborhood information".
       Scientific Reports 7.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.metrics import two_nn
    >>> plane = np.random.default_rng(0).uniform(size=(500, 2))
    >>> X = plane @ [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    >>> round(two_nn(X), 1)
    2.0
    """
    check_choice("method", method, ("fit", "mle"))
    if not 0 <= discard < 1:
        raise ValueError(f"discard must be in [0, 1), got {discard!r}.")
    rows = neighborhood_of(X, max_samples=max_samples, random_state=random_state)
    return _two_nn(rows, method=method, discard=discard)


def local_dimensions(distances, method="mle", correction=False):
    """Local dimension of each row, from distances in ascending order.

    Parameters
    ----------
    distances : ndarray of shape (n, k)
        Positive.
    method, correction
        As in `lid`.

    Returns
    -------
    ndarray of shape (n,)
        nan for k < 2.
    """
    n, k = distances.shape
    if k < 2:
        return np.full(n, math.nan)
    if method == "moments":
        mean = np.mean(distances, axis=1)
        spread = distances[:, -1] / mean - 1
    else:
        spread = np.mean(np.log(distances[:, -1:] / distances), axis=1)
    # Of distances that are equal, rounding is all that is left.
    spread = np.where(spread > _EQUAL, spread, 0.0)
    with np.errstate(divide="ignore"):
        return ((k - 1) / k if correction else 1.0) / spread


def mean_dimension(values, aggregate="geometric"):
    """Mean of local dimensions, which may be inf."""
    if aggregate == "geometric":
        return float(np.exp(np.mean(np.log(values))))
    inverse = float(np.mean(1 / values))
    return 1 / inverse if inverse else math.inf


def _lid(
    rows, n_neighbors=20, method="mle", correction=False, aggregate="geometric", X=None
):
    """Of the rows, or of others (X) among them."""
    if len(rows.points) < 3:
        warn_undefined("lid", 3, len(rows.points))
        return math.nan
    distances = rows.nearest(n_neighbors, X).distances
    values = local_dimensions(distances, method, correction)
    if X is None:
        values = values[rows.points.point_of]
    return mean_dimension(values, aggregate)


def _two_nn(rows, *, method="fit", discard=0.1, X=None):
    if len(rows.points) < 3:
        warn_undefined("two_nn", 3, len(rows.points))
        return math.nan
    distances = rows.nearest(2, None if X is None else Points(X).rows).distances
    ratios = np.sort(np.log(distances[:, 1] / distances[:, 0]))
    ratios = np.where(ratios > _EQUAL, ratios, 0.0)
    n = len(ratios)
    if n < 2:
        warn_undefined("two_nn", 2, n)
        return math.nan
    if method == "mle":
        heights = np.ones(n)
        below = float(np.sum(ratios))
    else:
        kept = min(max(int(n * (1 - discard)), 1), n - 1)
        ratios = ratios[:kept]
        heights = -np.log1p(-np.arange(1, kept + 1) / n) * ratios
        below = float(ratios @ ratios)
    return float(np.sum(heights)) / below if below else math.inf
