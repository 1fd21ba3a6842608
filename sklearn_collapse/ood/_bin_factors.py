"""What the "optimal" shaping of activations learns: ranges of them, and factors."""

import numpy as np

from sklearn_collapse._linalg._quantiles import entry_quantiles
from sklearn_collapse._linalg._rows import centring
from sklearn_collapse._linalg._shaping import bin_contributions
from sklearn_collapse.utils._arrays import float_dtype, to_numpy

# As its authors set them.
_SHARES = (0.001, 0.999)
_N_BINS = 100
_LENGTH = 1000.0


def learn_bins(rows, head, centre, weights, extent):
    """Learn from a head what activations of a range are multiplied by.

    Parameters
    ----------
    rows : Rows
    head : ResolvedHead
        With weights; it reads x - centre.
    centre : array of shape (d,) or None
    weights : ndarray of shape (n,) or None
    extent : tuple of float
        Smallest and largest activation.

    Returns
    -------
    edges : ndarray of shape (101,)
    factors : ndarray of shape (100,)
    """
    low, high = entry_quantiles(rows, _SHARES, weights, extent)
    edges = np.linspace(low, high, _N_BINS + 1)
    if not (np.isfinite(edges).all() and (np.diff(edges) > 0).all()):
        raise ValueError(
            f"The {_SHARES[0]} and {_SHARES[1]} quantiles of the activations, "
            f"{low:g} and {high:g}, cannot be told apart by {_N_BINS} ranges in "
            f"float64. Pass activations that vary."
        )
    placed = head.placed(rows)
    centred = centring(rows, centre, float_dtype(rows.X, rows.xp))
    contributions = bin_contributions(
        rows,
        edges,
        lambda block: placed.predict_codes(centred(block)),
        head.coef,
        weights,
        width=max(4 * rows.X.shape[1], len(head.classes)),
    )
    contributions = to_numpy(contributions)
    # Shares of the largest: squares of tiny or huge contributions have no float.
    largest = np.abs(contributions).max()
    if not 0 < largest < np.inf:
        raise ValueError(
            f"The activations in the {_N_BINS} ranges add {largest:g} to the "
            f"logits of the head, and factors are shares of that. Rescale the "
            f"activations or the head."
        )
    factors = contributions / largest
    return edges, _LENGTH * factors / np.linalg.norm(factors)
