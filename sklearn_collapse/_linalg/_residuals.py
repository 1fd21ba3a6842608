"""What a subspace leaves of rows of length 1, and Gram matrices of a family."""

from sklearn_collapse._linalg._moments import unit_rows
from sklearn_collapse._linalg._rows import map_rows
from sklearn_collapse.utils._arrays import device_of


def mean_residual(rows, basis, weights, *, centre=None, eps=0.0):
    """Mean of ||u - P u||^2 over rows u of length 1, P a projector.

    Parameters
    ----------
    rows : Rows
    basis : array of shape (d, k)
        Orthonormal columns that P projects onto.
    weights : ndarray of shape (n,) or None
    centre : array of shape (d,), default=None
        Taken off the rows before they are divided by their lengths.
    eps : float, default=0.0
        Spacing of the dtype of the input: a row within its rounding of the centre has
        no direction.

    Returns
    -------
    residual : float
        Mean over the rows that have a direction; 0 if there are none.
    share : float
        Their share of all rows.
    """
    xp = rows.xp
    d, k = basis.shape
    basis = rows.local(basis)
    across = xp.matrix_transpose(basis)
    centre = None if centre is None else rows.local(centre)

    def residuals(block, _):
        if centre is not None:
            gap = block - centre
            rounding = (2 * eps) ** 2 * xp.vecdot(block, block)
            counts = xp.vecdot(gap, gap) > rounding
            block = xp.where(counts[:, None], gap, xp.zeros_like(gap))
        unit = unit_rows(block, xp)
        left = unit - xp.matmul(xp.matmul(unit, basis), across)
        directed = xp.any(unit != 0, axis=1)
        return xp.vecdot(left, left), xp.astype(directed, xp.float64)

    left, directed = map_rows(rows, residuals, 3 * d + k, xp.float64)
    if weights is not None:
        weights = rows.local(weights)
        left, directed = left * weights, directed * weights
    total = float(left.shape[0] if weights is None else xp.sum(weights))
    counted = float(xp.sum(directed))
    return (float(xp.sum(left)) / counted if counted else 0.0), counted / total


def complement_share(second_moment, basis, xp):
    """Share of the trace of a second moment that lies outside a subspace.

    The moment is projected from both sides, so that nothing large is subtracted from
    anything large but entry by entry.

    Parameters
    ----------
    second_moment : array of shape (d, d)
    basis : array of shape (d, k)
        Orthonormal columns.

    Returns
    -------
    share : float
        0 for a matrix that is zero.
    trace : float
        Of the second moment.
    """
    across = xp.matrix_transpose(basis)
    left = second_moment - xp.matmul(basis, xp.matmul(across, second_moment))
    left = left - xp.matmul(xp.matmul(left, basis), across)
    trace = float(xp.linalg.trace(second_moment))
    outside = max(float(xp.linalg.trace(left)), 0.0)
    return (outside / trace if trace else 0.0), trace


def nearest_shift(gram, roots, rounding, xp):
    """Least distance of a Gram matrix from diag(roots) - s I, both of norm 1.

    Minimises f(s) = || G / ||G|| - D(s) / ||D(s)|| ||^2, Frobenius norms and
    D(s) = diag(roots) - s I, over s from 0 to the smallest root. With the roots
    centred at their mean r, the derivative vanishes only where
    s = r - tr(G) var(roots) / sum_i G_ii (roots_i - r). If that sum is positive f is
    least there, or at the nearer end of the range; if not, f grows on the whole range.

    Parameters
    ----------
    gram : array of shape (t, t)
        Not zero.
    roots : array of shape (t,)
        Not negative and not all zero.
    rounding : float
        Norm below which D(s) is rounding of the roots and has no direction.

    Returns
    -------
    value : float
    shift : float
        The s at which it is attained.
    """
    gram = gram / xp.linalg.matrix_norm(gram)
    diagonal = xp.linalg.diagonal(gram)
    identity = xp.eye(roots.shape[0], dtype=roots.dtype, device=device_of(roots))
    end = float(xp.min(roots))
    centre = float(xp.mean(roots))
    about = roots - centre
    match = float(xp.sum(diagonal * about))
    shifts = [0.0]
    if match > 0:
        free = centre - float(xp.sum(diagonal) * xp.mean(about**2)) / match
        shifts.append(min(max(free, 0.0), end))
    best = None
    for shift in shifts:
        norm = float(xp.linalg.vector_norm(roots - shift))
        if best is not None and norm <= rounding:
            continue
        gap = gram - identity * ((roots - shift) / norm)
        value = float(xp.sum(gap * gap))
        if best is None or value < best[0]:
            best = value, shift
    return best
