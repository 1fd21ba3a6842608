"""Features against the weights of the layer that reads them."""

import numpy as np

from sklearn_collapse._linalg._moments import unit_rows
from sklearn_collapse._linalg._rows import map_rows
from sklearn_collapse._linalg._spectrum import cuts_tie, share_components
from sklearn_collapse.metrics._inputs import checked_matrix, checked_rows
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import Rows, namespace, to_numpy
from sklearn_collapse.utils._decompositions import svd
from sklearn_collapse.utils._warnings import CollapseWarning, warn_caller


def spectral_alignment(X, W):
    """Cosine of each row with the leading right singular vector of the weights.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Input of the layer, of any array library.
    W : array-like of shape (m, d)
        Weights of the layer, one column per feature, not zero.

    Returns
    -------
    array of shape (n,)
        Cosines in [-1, 1], float64, of the library of X; 0 for rows of zeros. The
        vector's sign is chosen so that their mean is not negative; where that is zero,
        to rounding, so that its largest entry is positive.

    See Also
    --------
    sign_diversity : One number of them.

    Notes
    -----
    Following [1]_: a_i = x_i . v_1 / ||x_i||, v_1 the right singular vector of the
    largest singular value of W. Where the largest singular value is repeated, v_1 is
    not determined, and a warning says so.

    References
    ----------
    .. [1] Qiu, H., Wu, Y., Tan, Y., Wang, Y., Yao, Q. (2025). "Spectral Alignment as
       Predictor of Loss Explosion in Neural Network Training". arXiv 2510.04202.

    Examples
    --------
    >>> from sklearn_collapse.metrics import spectral_alignment
    >>> spectral_alignment([[2.0, 0.0], [-3.0, 4.0]], [[5.0, 0.0], [0.0, 1.0]])
    array([ 1. , -0.6])
    """
    X, _ = checked_rows(X)
    rows = Rows(X)
    values = _cosines(rows, checked_matrix(W, X.shape[1], X))
    xp = namespace(values)
    # A sum of zero, to rounding, leaves the sign that the vector itself has.
    rounding = X.shape[0] * _rounding(X, xp)
    return -values if float(xp.sum(values)) < -rounding else values


def sign_diversity(X, W, *, sample_weight=None):
    """Share of the rows on the smaller side of the weights' leading direction.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Input of the layer, of any array library.
    W : array-like of shape (m, d)
        Weights of the layer, one column per feature, not zero.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    float
        In [0, 0.5]; 0 where all rows lie on one side.

    See Also
    --------
    spectral_alignment : The cosines.

    Notes
    -----
    Following [1]_: min(share of a_i > 0, share of a_i < 0), a the spectral alignment.
    Cosines of zero, to the rounding of a product of d terms, are on neither side.
    Features that are never negative, such as those after a ReLU, lie on one side of
    every non-negative direction.

    References
    ----------
    .. [1] Qiu, H., Wu, Y., Tan, Y., Wang, Y., Yao, Q. (2025). "Spectral Alignment as
       Predictor of Loss Explosion in Neural Network Training". arXiv 2510.04202.

    Examples
    --------
    >>> from sklearn_collapse.metrics import sign_diversity
    >>> X = [[2.0, 0.0], [1.0, 1.0], [-3.0, 4.0], [0.0, 1.0]]
    >>> sign_diversity(X, [[5.0, 0.0], [0.0, 1.0]])
    0.25
    """
    X, weights = checked_rows(X, sample_weight)
    rows = Rows(X)
    values = to_numpy(_cosines(rows, checked_matrix(W, X.shape[1], X)))
    least = _rounding(X, rows.xp)
    sides = (values > least, values < -least)
    return float(min(np.average(side, weights=weights) for side in sides))


def utilized_rank(X, W, *, energy=0.99, centered=False, sample_weight=None):
    """Number of directions in which the features and the weights meet.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Input of the layer, of any array library.
    W : array-like of shape (m, d)
        Weights of the layer, one column per feature.
    energy : float, default=0.99
        Share of the spectrum that is kept on either side, in (0, 1]; 1 keeps every
        eigenvalue above rounding, as the rank rule decides.
    centered : bool, default=False
        Whether the spectra are those of covariances instead of second moments.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.

    Returns
    -------
    int
        In 0, …, min(m, d). Divided by min(m, d) it is the utilization of the layer.

    See Also
    --------
    spectral_alignment : Which side of the leading direction rows are on.

    Notes
    -----
    Following [1]_: r = min(k_S, k_T), where k_S leading eigenvalues of X^T X / n, the
    input, and k_T of W X^T X W^T / n, the output, sum to the share ``energy``. No more
    than r directions of W can matter to these features. The paper searches for each
    layer the least energy that keeps the accuracy; here it is a parameter.

    References
    ----------
    .. [1] Garg, I., Koguchi, C., Verma, E., Ulbricht, D. (2024). "Revealing the
       Utilized Rank of Subspaces of Learning in Neural Networks". arXiv 2407.04797.

    Examples
    --------
    >>> from sklearn_collapse.metrics import utilized_rank
    >>> X = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [2.0, 1.0, 0.0]]
    >>> utilized_rank(X, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    2
    """
    if not 0 < energy <= 1:
        raise ValueError(f"energy must lie in (0, 1], got {energy!r}.")
    X, weights = checked_rows(X, sample_weight)
    W = checked_matrix(W, X.shape[1], X)
    moments = ClassMoments.from_arrays(X, None, weights)
    spectrum = moments._spectrum("total" if centered else "second_moment")
    if not spectrum.rank:
        return 0
    xp = namespace(W)
    kept = spectrum.values[: spectrum.rank]
    factor = xp.matmul(W, spectrum.vectors[:, : spectrum.rank]) * xp.sqrt(kept)
    left, values, _ = svd(factor)
    # What rounding of the product and of the features may put into each direction.
    eps = float(xp.finfo(xp.float64).eps)
    rounding = max(factor.shape) * eps * float(values[0])
    noise = moments._noise(xp.matmul(xp.matrix_transpose(W), left) ** 2)
    counts = (values > rounding) & (values**2 > noise)
    output = values[counts] ** 2
    if not output.shape[0]:
        return 0
    if energy == 1:
        return min(spectrum.rank, output.shape[0])
    return min(share_components(v, energy, xp) for v in (kept, output))


def _cosines(rows, W):
    """Cosines of the rows with the leading right singular vector of W."""
    xp = rows.xp
    _, values, right = svd(W)
    if not float(values[0]) > 0:
        raise ValueError(
            "W is zero, so it has no leading singular vector. Pass the weights of the "
            "layer that reads X."
        )
    eps = float(xp.finfo(xp.float64).eps)
    if cuts_tie(values, 1, eps):
        warn_caller(
            f"The two largest singular values of W are equal ({float(values[0]):.6g}), "
            f"so any direction in the plane of their vectors is the leading one, and "
            f"the alignment with it is arbitrary.",
            CollapseWarning,
        )
    leading = right[0, :]
    # The sign of a singular vector is a matter of chance.
    largest = leading[int(xp.argmax(xp.abs(leading)))]
    leading = leading * xp.sign(largest)

    def cosines(block, _):
        return (xp.matmul(unit_rows(block, xp), leading),)

    (found,) = map_rows(rows, cosines, 2 * rows.X.shape[1], xp.float64)
    return found


def _rounding(X, xp):
    """Error of a cosine of d terms."""
    return X.shape[1] * float(xp.finfo(xp.float64).eps)
