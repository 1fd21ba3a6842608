"""What the angles of a frame are, and what they could be at best."""

import math
from dataclasses import dataclass, fields

import numpy as np

from sklearn_collapse._linalg._frames import (
    cosine_spread,
    gram_tiles,
    without_diagonal,
)
from sklearn_collapse.etf._frames import check_count
from sklearn_collapse.utils._arrays import input_eps, namespace, to_numpy
from sklearn_collapse.utils._decompositions import svdvals
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._validation import check_features


def rankin_bound(n_classes, n_features):
    """Lower bound of the largest cosine of unit vectors.

    Parameters
    ----------
    n_classes : int
        Number of vectors C, at least 2.
    n_features : int
        Number of coordinates d.

    Returns
    -------
    float
        -1 / (C - 1) for C <= d + 1, else 0. No frame is below; the simplex and the
        orthoplex reach it, up to C = 2 d.

    See Also
    --------
    welch_bound : For the largest absolute cosine.
    frame_report : Compares a frame with the bounds.

    References
    ----------
    .. [1] Rankin, R. A. (1955). "The closest packing of spherical caps in n
       dimensions". Glasgow Mathematical Journal 2(3).

    Examples
    --------
    >>> from sklearn_collapse.etf import rankin_bound
    >>> rankin_bound(5, 4), rankin_bound(6, 4)
    (-0.25, 0.0)
    """
    n_classes, n_features = _check_size(n_classes, n_features)
    return -1 / (n_classes - 1) if n_classes <= n_features + 1 else 0.0


def welch_bound(n_classes, n_features):
    """Lower bound of the largest absolute cosine of unit vectors.

    Parameters
    ----------
    n_classes : int
        Number of vectors C, at least 2.
    n_features : int
        Number of coordinates d.

    Returns
    -------
    float
        0 for C <= d, else sqrt((C - d) / (d (C - 1))), which equiangular tight frames
        reach and no others.

    See Also
    --------
    rankin_bound : For the largest cosine with its sign.
    frame_report : Compares a frame with the bounds.

    References
    ----------
    .. [1] Welch, L. R. (1974). "Lower bounds on the maximum cross correlation of
       signals". IEEE Transactions on Information Theory 20(3).

    Examples
    --------
    >>> from sklearn_collapse.etf import welch_bound
    >>> welch_bound(5, 4), welch_bound(4, 4)
    (0.25, 0.0)
    """
    n_classes, n_features = _check_size(n_classes, n_features)
    if n_classes <= n_features:
        return 0.0
    return math.sqrt((n_classes - n_features) / (n_features * (n_classes - 1)))


def frame_gram(frame):
    """Inner products of the rows of a frame; of unit rows the cosines.

    Parameters
    ----------
    frame : array-like of shape (C, d)
        Rows, of any array library.

    Returns
    -------
    array of shape (C, C)
        In float64, of the frame's library and on its device.

    See Also
    --------
    frame_report : A summary that needs no room for all pairs.

    Examples
    --------
    >>> from sklearn_collapse.etf import frame_gram, simplex_etf
    >>> frame_gram(simplex_etf(3)).round(3)
    array([[ 1. , -0.5, -0.5],
           [-0.5,  1. , -0.5],
           [-0.5, -0.5,  1. ]])
    """
    rows, xp = _checked_frame(frame, 1)
    rows = xp.astype(rows, xp.float64)
    return xp.matmul(rows, xp.matrix_transpose(rows))


@dataclass(frozen=True)
class FrameReport:
    """The angles, norms and bounds of a frame.

    Printed, it is a table.

    Parameters
    ----------
    n_classes, n_features : int
        Shape of the frame, (C, d).
    smallest_norm, largest_norm : float
        Of the rows.
    norm_spread : float
        Their difference, divided by the mean norm.
    least_angle : float
        Between two rows, in degrees.
    largest_cosine : float
        Cosine of that angle.
    coherence : float
        Largest absolute cosine.
    mean_cosine, std_cosine : float
        Over all pairs of different rows.
    rankin_bound, rankin_gap : float
        Lower bound of the largest cosine, and how far above it the frame is.
    welch_bound, welch_gap : float
        Lower bound of the coherence, and how far above it the frame is.
    rank : int
        Number of dimensions that the rows span.
    tightness : float
        Smallest eigenvalue of the frame operator that is not zero divided by the
        largest; 1 for a tight frame of its span.

    See Also
    --------
    frame_report : Makes it.

    Examples
    --------
    >>> from sklearn_collapse.etf import frame_report, simplex_etf
    >>> report = frame_report(simplex_etf(4))
    >>> round(report.least_angle, 3), report.rank
    (109.471, 3)
    """

    n_classes: int
    n_features: int
    smallest_norm: float
    largest_norm: float
    norm_spread: float
    least_angle: float
    largest_cosine: float
    coherence: float
    mean_cosine: float
    std_cosine: float
    rankin_bound: float
    rankin_gap: float
    welch_bound: float
    welch_gap: float
    rank: int
    tightness: float

    def __str__(self):
        """Table of the values, one a line."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return "\n".join(f"{name:<16}{value:.6g}" for name, value in values.items())


def frame_report(frame):
    """Angles, norms and bounds of a frame.

    Parameters
    ----------
    frame : array-like of shape (C, d)
        Rows, of any array library; at least two, none zero to rounding of the largest.

    Returns
    -------
    FrameReport
        Its values are floats and integers; printed, it is a table.

    See Also
    --------
    frame_gram : All inner products.
    spread_frame : The largest least angle that can be found.

    Notes
    -----
    Angles do not depend on the norms; rank and tightness do. The frame operator is
    sum_c w_c w_c^T; directions count whose singular value exceeds the rounding of the
    frame's own precision. The bounds are those for d, whether the frame uses all its
    dimensions or not. Pairs are visited in tiles, in float64: nothing holds all.

    Examples
    --------
    >>> from sklearn_collapse.etf import frame_report, orthoplex_frame
    >>> print(frame_report(orthoplex_frame(6)))
    n_classes       6
    n_features      3
    smallest_norm   1
    largest_norm    1
    norm_spread     0
    least_angle     90
    largest_cosine  0
    coherence       1
    mean_cosine     -0.2
    std_cosine      0.4
    rankin_bound    0
    rankin_gap      0
    welch_bound     0.447214
    welch_gap       0.552786
    rank            3
    tightness       1
    """
    rows, xp = _checked_frame(frame, 2)
    eps = input_eps(rows, xp)
    rows = xp.astype(rows, xp.float64)
    unit = float(xp.max(xp.abs(rows)))
    # In units of the largest entry no square overflows.
    rows = rows / unit if unit else rows
    norms = xp.sqrt(xp.vecdot(rows, rows))
    _check_norms(norms, rows, xp)
    units = rows / norms[:, None]
    angle, cosine, coherence, mean = _extremes(units, xp)
    sizes = [float(f(norms)) for f in (xp.min, xp.max, xp.mean)]
    n_classes, n_features = rows.shape
    bounds = [f(n_classes, n_features) for f in (rankin_bound, welch_bound)]
    rank, tightness = _rank(rows, eps, xp)
    return FrameReport(
        n_classes=n_classes,
        n_features=n_features,
        smallest_norm=unit * sizes[0],
        largest_norm=unit * sizes[1],
        norm_spread=(sizes[1] - sizes[0]) / sizes[2],
        least_angle=math.degrees(angle),
        largest_cosine=cosine,
        coherence=coherence,
        mean_cosine=mean,
        std_cosine=cosine_spread(units, mean, xp)[1],
        rankin_bound=bounds[0],
        rankin_gap=cosine - bounds[0],
        welch_bound=bounds[1],
        welch_gap=coherence - bounds[1],
        rank=rank,
        tightness=tightness,
    )


def _check_size(n_classes, n_features):
    return (
        check_count(n_classes, "n_classes", 2),
        check_count(n_features, "n_features", 1),
    )


def _checked_frame(frame, least):
    """Frame as an array with finite entries and at least so many rows."""
    rows, _ = check_features(frame)
    if rows.shape[0] < least:
        raise ValueError(
            f"frame has {rows.shape[0]} row: angles need at least {least} rows."
        )
    check_finite(rows, name="frame")
    return rows, namespace(rows)


def _check_norms(norms, rows, xp):
    """Raise if a row is zero to rounding of the largest."""
    rounding = max(rows.shape) * float(xp.finfo(xp.float64).eps) * float(xp.max(norms))
    zero = np.flatnonzero(to_numpy(norms) <= rounding)
    if len(zero):
        raise ValueError(
            f"Row {zero[0]} of frame is zero to rounding of the largest, which leaves "
            f"it no direction. Leave such rows out."
        )


def _extremes(units, xp):
    """Least angle in radians, largest cosine, largest |cosine| and mean cosine."""
    highest, coherence, total, pair = -math.inf, 0.0, 0.0, (0, 1)
    for tile in gram_tiles(units, xp):
        low = without_diagonal(tile, tile.values, xp, -math.inf)
        off = without_diagonal(tile, tile.values, xp)
        total += tile.times * float(xp.sum(off))
        coherence = max(coherence, float(xp.max(xp.abs(off))))
        if float(xp.max(low)) > highest:
            place = int(xp.argmax(xp.reshape(low, (-1,))))
            highest = float(xp.max(low))
            row, column = divmod(place, low.shape[1])
            pair = tile.rows.start + row, tile.columns.start + column
    # Of vectors that nearly coincide the cosine has no digits of the angle.
    a, b = units[pair[0], :], units[pair[1], :]
    lengths = (float(xp.vecdot(x, x)) ** 0.5 for x in (a - b, a + b))
    c = units.shape[0]
    angle = 2 * math.atan2(*lengths)
    return angle, min(highest, 1.0), min(coherence, 1.0), total / (c * (c - 1))


def _rank(rows, eps, xp):
    """Rank, and smallest eigenvalue of the frame operator relative to the largest."""
    values = svdvals(rows)
    floor = max(10.0, math.sqrt(values.shape[0])) * eps * float(values[0])
    rank = int(xp.sum(xp.astype(values > floor, xp.int64)))
    return rank, (float(values[rank - 1]) / float(values[0])) ** 2
