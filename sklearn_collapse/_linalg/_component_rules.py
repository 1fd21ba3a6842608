"""Rules that read the number of leading directions off the eigenvalues.

All work on the eigenvalues of a covariance that count (positive, descending), a short
vector of NumPy, and depend on their ratios alone: any normaliser will do.
"""

import math

import numpy as np
from scipy.integrate import fixed_quad
from scipy.optimize import brentq
from scipy.special import gammaln

RULES = ("mle", "gavish-donoho", "marchenko-pastur")

_EPS = float(np.finfo(np.float64).eps)


def components_by_rule(rule, values, n_rows, n_features, eps=_EPS):
    """Number of directions by the name of the rule; 0 if none stands out.

    Parameters
    ----------
    rule : {"mle", "gavish-donoho", "marchenko-pastur"}
    values : ndarray of shape (r,)
        Eigenvalues that count, descending.
    n_rows : float
        Degrees of freedom of the rows: their number less that of the means that were
        subtracted.
    n_features : int
        Number of columns that vary.
    eps : float
        Spacing of the dtype in which the covariance was accumulated.

    Returns
    -------
    int
    """
    if not values.shape[0]:
        return 0
    if rule == "mle":
        # For one mean this is the number of rows, as in scikit-learn.
        columns = n_columns(values.shape[0], n_rows, n_features)
        return minka(values, n_rows + 1, columns, eps)
    count = {"gavish-donoho": gavish_donoho, "marchenko-pastur": marchenko_pastur}
    return count[rule](values, n_rows, n_features)


def minka(values, n, n_features=None, eps=_EPS):
    """Most probable number of directions (Minka 2000), from 1 to r - 1.

    The Laplace approximation of the evidence for k directions over isotropic noise,
    equation (30) of "Automatic Choice of Dimensionality for PCA" (NIPS 2000). With v
    the mean of the d - k eigenvalues after the k-th, m = d k - k (k + 1) / 2::

        log p(U) - n/2 sum_{i<=k} log l_i - n (d - k) / 2 log v
            + (m + k) / 2 log 2 pi - 1/2 log |A| - k/2 log n
        log p(U) = sum_{i<=k} log Gamma((d - i + 1) / 2) - (d - i + 1) / 2 log pi
            - k log 2
        log |A|  = sum_{i<=k, i<j<=d} log (l_i - l_j) (1 / l^_j - 1 / l^_i) n

    l^ is l up to the k-th and v after it. The choice is that of scikit-learn, in
    O(r^2) operations instead of O(d^3) and without its absolute thresholds.

    Where two eigenvalues are equal the approximation breaks down, as log |A| is
    minus infinity. Differences up to max(10, sqrt(d)) eps l_1, the rounding of a
    decomposition, are a tie: the data say nothing about that rotation, so that the
    pair gives back its share of the prior, log p(U), and no more. Other differences
    are not taken below that level.

    Parameters
    ----------
    values : ndarray of shape (r,)
        Eigenvalues that count, descending.
    n : float
        Number of rows.
    n_features : int, default=None
        Dimension d of the space; eigenvalues after the r-th are 0. By default r.
    eps : float
        Spacing of the dtype in which the covariance was accumulated.

    Returns
    -------
    int
        1 if there is one direction only.
    """
    r = values.shape[0]
    d = r if n_features is None else n_features
    if r < 3:
        return 1
    values = values / values[0]
    logs = np.log(values)
    least = max(10.0, math.sqrt(d)) * eps
    index = np.arange(r)
    # The first eigenvalue after the i-th that differs from it.
    apart = r - np.searchsorted(values[::-1], values - least)
    n_after, n_apart = d - 1 - index, d - apart
    dims = (d - index) / 2
    prior = gammaln(dims) - math.log(math.pi) * dims - math.log(2)
    rest = np.cumsum(values[::-1])[::-1] / (d - index)

    rows = (d - r) * logs  # sum over j of log (l_i - l_j)
    inner = np.zeros(r)  # sum over i < k of log (l_i - l_k) (1 / l_k - 1 / l_i)
    outer = np.zeros(r)  # sum over i < k <= j of log (1 / v - 1 / l_i)
    for k in range(1, r):
        differs = apart[:k] <= k
        gaps = np.log(np.where(differs, values[:k] - values[k], 1.0))
        rows[:k] += gaps
        inner[k] = np.sum(np.where(differs, gaps - logs[:k] - logs[k], 0.0))
        spread = np.log(np.maximum(values[:k] - rest[k], least)) - logs[:k]
        outer[k] = (d - np.maximum(apart[:k], k)) @ (spread - math.log(rest[k]))

    # Pairs that differ have the factor n; the others undo log 2 pi and the prior.
    rows += n_apart * math.log(n)
    undone = math.log(2 * math.pi) + 2 * prior / np.maximum(n_after, 1)
    rows += (n_after - n_apart) * undone
    kept = index[1:]
    curvature = np.cumsum(rows)[:-1] + np.cumsum(inner)[:-1] + outer[1:]
    evidence = np.cumsum(prior)[:-1] - curvature / 2
    evidence -= n / 2 * (np.cumsum(logs)[:-1] + (d - kept) * np.log(rest[1:]))
    evidence += (d * kept - kept * (kept - 1) / 2) / 2 * math.log(2 * math.pi)
    evidence -= kept / 2 * math.log(n)
    return int(np.argmax(evidence)) + 1


def gavish_donoho(values, n_rows, n_features):
    """Singular values above the optimal hard threshold (Gavish and Donoho 2014).

    s > omega(beta) median(s): of all thresholds the one with the least asymptotic
    error of the matrix that is kept, for white noise of unknown level. omega is the
    paper's lambda*(beta) / sqrt(mu_beta), with the median mu_beta of the
    Marchenko-Pastur law. "The Optimal Hard Threshold for Singular Values is
    4/sqrt(3)", IEEE Trans. Information Theory 60(8).

    Parameters
    ----------
    values : ndarray of shape (r,)
        Eigenvalues that count.
    n_rows : float
        Degrees of freedom of the rows.
    n_features : int
        Number of columns that vary.

    Returns
    -------
    int
        0 if no singular value is above the threshold.
    """
    singular = np.sqrt(values / np.max(values))
    beta = aspect_ratio(values.shape[0], n_rows, n_features)
    return int(np.sum(singular > hard_threshold(beta) * np.median(singular)))


def marchenko_pastur(values, n_rows, n_features):
    """Eigenvalues above the bulk that white noise has (Marchenko and Pastur 1967).

    l > sigma^2 (1 + sqrt(beta))^2, the upper edge of the law, with the level of the
    noise from the median: sigma^2 = median(l) / mu_beta. The largest of pure noise
    lies about the edge: in large samples it is above it about one time in six.

    Parameters
    ----------
    values : ndarray of shape (r,)
        Eigenvalues that count.
    n_rows : float
        Degrees of freedom of the rows.
    n_features : int
        Number of columns that vary.

    Returns
    -------
    int
        0 if no eigenvalue is above the edge.
    """
    values = values / np.max(values)
    beta = aspect_ratio(values.shape[0], n_rows, n_features)
    noise = np.median(values) / marchenko_pastur_median(beta)
    return int(np.sum(values > noise * (1 + math.sqrt(beta)) ** 2))


def n_columns(rank, n_rows, n_features):
    """Columns of the matrix whose noise the eigenvalues show.

    Columns that are copies or sums of others add no direction, and their zeros do not
    belong to the law: features below full rank have as many columns as directions.
    If the rows are what limits the rank, nothing says so, and all columns count.
    """
    # Weights that are fractions do not sum to a whole number of rows.
    return n_features if rank + 0.5 > n_rows else rank


def aspect_ratio(rank, n_rows, n_features):
    """Smaller over larger side of that matrix."""
    columns = n_columns(rank, n_rows, n_features)
    return min(n_rows, columns) / max(n_rows, columns)


def hard_threshold(beta):
    """omega(beta) of Gavish and Donoho, in units of the median singular value."""
    root = math.sqrt(beta**2 + 14 * beta + 1)
    known = 2 * (beta + 1) + 8 * beta / (beta + 1 + root)
    return math.sqrt(known / marchenko_pastur_median(beta))


def marchenko_pastur_median(beta):
    """Median of the Marchenko-Pastur law of unit variance, beta in (0, 1].

    At x = 1 + beta + 2 sqrt(beta) cos t the share of the law above x is::

        2 / pi * integral from 0 to t of sin^2 s / (1 + beta + 2 sqrt(beta) cos s) ds

    which is smooth up to the median for every beta, beta = 1 included.
    """
    side, root = 1 + beta, 2 * math.sqrt(beta)

    def density(angle):
        return np.sin(angle) ** 2 / (side + root * np.cos(angle))

    def excess(angle):
        # The nearest pole is at pi or beyond: 40 nodes are exact to rounding.
        return 2 / math.pi * fixed_quad(density, 0.0, angle, n=40)[0] - 0.5

    # The root goes from pi / 2 at beta = 0 to 2.31 at beta = 1.
    angle = brentq(excess, 1.0, 0.75 * math.pi, xtol=4 * _EPS, rtol=4 * _EPS)
    return side + root * math.cos(angle)
