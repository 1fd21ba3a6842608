"""What single classes contribute to the metrics, as functions of their geometry."""

import math

import numpy as np

from sklearn_collapse._linalg._frames import gram_tiles, unit_means, without_diagonal
from sklearn_collapse._linalg._rows import map_rows
from sklearn_collapse.metrics._means import _units, simplex_exists
from sklearn_collapse.metrics._separation import _total_distance
from sklearn_collapse.metrics._within import _cdnv
from sklearn_collapse.utils._arrays import slices, to_numpy

# Numbers in the scatters of the classes that are worked on at a time.
_GROUP = 2**23


def nc1_of_scatters(geometry):
    """tr(Sigma_c Sigma_B^+) / C of each class, from the scatter of each class."""
    moments, xp = geometry.moments, geometry.xp
    directions = _nc1_directions(geometry)
    found = []
    for here in slices(geometry.n_classes, max(1, _GROUP // geometry.n_features**2)):
        covariance = moments.class_scatter_[here, ...]
        covariance = covariance / moments.counts_[here][:, None, None]
        spread = xp.matmul(directions, covariance) * directions
        found.append(xp.sum(spread, axis=(1, 2)))
    values = xp.clip(xp.concat(found), 0.0, None) / geometry.n_classes
    return _measurable(geometry, to_numpy(values))


def nc1_of_rows(geometry, rows, codes, weights):
    """The same from the rows: their lengths in the directions of the class means."""
    xp = rows.xp
    directions = xp.matrix_transpose(rows.local(_nc1_directions(geometry)))
    means, local = rows.local(geometry.moments.means_), rows.local(codes)

    def lengths(block, here):
        gap = block - xp.take(means, local[here], axis=0)
        found = xp.matmul(gap, directions)
        return (xp.vecdot(found, found),)

    squares = map_rows(rows, lengths, 2 * means.shape[1], xp.float64)[0]
    squares = to_numpy(squares)
    squares = squares if weights is None else squares * weights
    sums = np.bincount(codes, weights=squares, minlength=geometry.n_classes)
    counts = np.bincount(codes, weights=weights, minlength=geometry.n_classes)
    return _measurable(geometry, sums / counts / geometry.n_classes)


def _nc1_directions(geometry):
    _, values, right = geometry.between
    return right / values[:, None]


def nc1_trace_ratio(geometry):
    """tr(Sigma_c) / tr(Sigma_B) of each class."""
    between = float(geometry.xp.sum(geometry.between[1] ** 2))
    return _measurable(geometry, to_numpy(geometry.variances) / (between or math.nan))


def cdnv(geometry):
    """Mean CDNV of a class and each other."""
    return to_numpy(_cdnv(geometry, reduction="classes"))


def nc2_equinorm(geometry):
    """Norm of the centred mean of each class, divided by the mean of the norms."""
    xp = geometry.xp
    norms = to_numpy(xp.sqrt(xp.vecdot(geometry.means, geometry.means)))
    if geometry.means_coincide:
        return np.full(len(norms), math.nan)
    return norms / norms.mean()


def nc2_max_angle(geometry):
    """Mean over the other classes of |cos + 1 / (C - 1)|."""
    c, xp = geometry.n_classes, geometry.xp
    if not simplex_exists(geometry) or geometry.means_coincide:
        return np.full(c, math.nan)
    sums = np.zeros(c)
    for tile in gram_tiles(_units(geometry), xp):
        off = xp.abs(without_diagonal(tile, tile.values + 1 / (c - 1), xp))
        sums[tile.rows] += to_numpy(xp.sum(off, axis=1))
        if tile.times == 2:
            sums[tile.columns] += to_numpy(xp.sum(off, axis=0))
    return sums / (c - 1)


def nc3_uniform_duality(geometry, weights):
    """Cosine of the weights and the centred mean of each class."""
    xp = geometry.xp
    return to_numpy(xp.vecdot(unit_means(weights, 0.0, xp), _units(geometry)))


def class_separation(unit_geometry):
    """1 - d_c / d_total, with d_c the mean cosine distance within class c."""
    total = _total_distance(unit_geometry)
    return 1 - unit_geometry.within / (total or math.nan)


def tolerance(unit_geometry):
    """Mean cosine of pairs of rows of each class."""
    return 1 - unit_geometry.within


def share_of_classes(hits, codes, weights, n_classes):
    """Share of the rows of each class that count; nan for classes without rows."""
    met = np.bincount(codes, weights=weights, minlength=n_classes)
    weighted = hits * (1.0 if weights is None else weights)
    counted = np.bincount(codes, weights=weighted, minlength=n_classes)
    return counted / np.where(met > 0, met, math.nan)


def _measurable(geometry, values):
    """NC1 of the classes; nan for those of a single row, which do not vary."""
    if geometry.means_coincide:
        values = np.full(len(values), math.inf)
    return np.where(geometry.single_rows, math.nan, values)


OF_GEOMETRY = {
    "nc1_trace_ratio": nc1_trace_ratio,
    "cdnv": cdnv,
    "nc2_equinorm": nc2_equinorm,
    "nc2_max_angle": nc2_max_angle,
}
OF_UNIT_GEOMETRY = {"class_separation": class_separation, "tolerance": tolerance}
