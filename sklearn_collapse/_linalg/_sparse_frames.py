"""Simplex equiangular frames of which given coordinates are zero, by L-BFGS."""

import numpy as np
from scipy.optimize import minimize

from sklearn_collapse._linalg._packing import row_blocks, set_diagonal, unit_rows_of

# Steps that L-BFGS remembers.
_MEMORY = 20


def random_support(n_classes, n_features, n_zeros, rng):
    """Mask of shape (C, d) with so many random False in each row."""
    order = np.argsort(rng.uniform(size=(n_classes, n_features)), axis=1)
    mask = np.ones((n_classes, n_features), dtype=bool)
    np.put_along_axis(mask, order[:, :n_zeros], False, axis=1)
    return mask


def angle_loss(rows):
    """How far the angles of rows are from those of a simplex.

    Parameters
    ----------
    rows : ndarray of shape (C, d)
        Of any norms but zero.

    Returns
    -------
    loss : float
        Sum over i != j of (cos_ij + 1 / (C - 1))^2, plus the squared norm of the sum
        of the unit rows.
    gradient : ndarray of shape (C, d)
        By the rows.
    deviation : float
        Largest |cos_ij + 1 / (C - 1)|.

    Notes
    -----
    The sum is zero where the angles are met. They depend on its square, so that
    without a term of its own its last digits would take thousands of steps. Row
    blocks: nothing of size C x C.
    """
    target = -1.0 / (len(rows) - 1)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    units = rows / norms
    total = units.sum(axis=0)
    pull = np.empty_like(units)
    loss, largest = float(total @ total), 0.0
    for here in row_blocks(len(units)):
        gap = units[here] @ units.T
        gap -= target
        set_diagonal(gap, here, 0.0)
        loss += float(np.vdot(gap, gap))
        largest = max(largest, float(np.abs(gap).max()))
        np.matmul(gap, units, out=pull[here])
    # Every pair twice, and twice for the square.
    pull *= 4.0
    pull += 2.0 * total
    pull -= (pull * units).sum(axis=1, keepdims=True) * units
    return loss, pull / norms, largest


def sparse_simplex(mask, rng, max_iter, tolerance):
    """Unit rows, zero outside of a mask, with cosines close to -1 / (C - 1).

    Parameters
    ----------
    mask : ndarray of bool of shape (C, d)
        Entries that may differ from zero, at least one in each row.
    rng : RandomState
        For the start.
    max_iter : int
    tolerance : float
        Deviation that is small enough to stop at.

    Returns
    -------
    frame : ndarray of shape (C, d)
    deviation : float
        Largest |cos_ij + 1 / (C - 1)|.
    """
    rows = np.zeros(mask.shape)
    rows[mask] = rng.normal(size=int(mask.sum()))
    rows = unit_rows_of(rows)

    def value(free):
        rows[mask] = free
        loss, gradient, _ = angle_loss(rows)
        return loss, gradient[mask]

    def stop_when_met(intermediate_result):
        # Each pair counts twice: the root bounds the largest deviation.
        if (intermediate_result.fun / 2) ** 0.5 <= tolerance:
            raise StopIteration

    # The loss of angles that are met is zero: no share of it is too small to gain.
    options = {
        "maxiter": max_iter,
        "maxfun": 10 * max_iter,
        "maxcor": _MEMORY,
        "ftol": 0.0,
        "gtol": np.finfo(float).eps,
    }
    found = minimize(
        value,
        rows[mask],
        jac=True,
        method="L-BFGS-B",
        callback=stop_when_met,
        options=options,
    )
    rows[mask] = found.x
    frame = unit_rows_of(rows)
    return frame, angle_loss(frame)[2]
