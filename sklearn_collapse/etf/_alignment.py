"""Metrics of class means, and of a head, that have been aligned with a frame."""

import math

from sklearn_collapse._linalg._frames import unit_means
from sklearn_collapse._linalg._procrustes import (
    best_scale,
    cosine_gap,
    mean_square,
    misfit,
    own_cosines,
    unit_vertices,
)
from sklearn_collapse.metrics._duality import _nc3_self_duality

OF_MEANS = (
    "disparity",
    "alignment_mean",
    "alignment_std",
    "alignment_min",
    "cosine_gap_mean",
    "cosine_gap_std",
)
OF_HEAD = ("head_disparity", "head_alignment_mean", "head_self_duality")


def alignment_metrics(means, rounding, aligned, xp, here=None):
    """Disparity, alignment and angles of class means under a given alignment.

    Parameters
    ----------
    means : array of shape (m, d)
        Centred where the alignment is.
    rounding : float or array of shape (m, 1)
        Norm below which a class mean is rounding.
    aligned : AlignedMeans
    here : array of int of shape (m,) or None
        Their classes; None for all.

    Returns
    -------
    dict of str to float
        Named `OF_MEANS`.
    """
    frame, (rotation, scale, disparity, _) = aligned.frame, aligned.alignment
    vertices = unit_vertices(frame, xp)
    if here is not None:
        size = mean_square(frame, xp)
        frame, vertices = (xp.take(x, here, axis=0) for x in (frame, vertices))
        disparity = misfit(means, rotation, scale, frame, size, xp)
    cosines = own_cosines(means, rounding, rotation, vertices, xp)
    gap_mean, gap_std = cosine_gap(unit_means(means, rounding, xp), vertices, xp)
    return {
        "disparity": disparity,
        "alignment_mean": float(xp.mean(cosines)),
        "alignment_std": float(xp.std(cosines)),
        "alignment_min": float(xp.min(cosines)),
        "cosine_gap_mean": gap_mean,
        "cosine_gap_std": gap_std,
    }


def head_metrics(weights, aligned, geometry):
    """Disparity and alignment of the rows of a head, and their duality with the means.

    Parameters
    ----------
    weights : array of shape (C, d)
    aligned : AlignedMeans
    geometry : ClassGeometry
        Of the class means, balanced.

    Returns
    -------
    dict of str to float
        Named `OF_HEAD`; nan for rows that are equal, to rounding.
    """
    rotation, frame, xp = aligned.alignment.rotation, aligned.frame, geometry.xp
    largest = float(xp.max(xp.vecdot(weights, weights))) ** 0.5
    rounding = max(weights.shape) * geometry.eps * largest
    weights = weights - xp.mean(weights, axis=0)
    if not bool(xp.any(xp.vecdot(weights, weights) > rounding**2)):
        return dict.fromkeys(OF_HEAD, math.nan)
    scale = best_scale(weights, rotation, frame, xp)
    size = mean_square(frame, xp)
    cosines = own_cosines(weights, rounding, rotation, unit_vertices(frame, xp), xp)
    return {
        "head_disparity": misfit(weights, rotation, scale, frame, size, xp),
        "head_alignment_mean": float(xp.mean(cosines)),
        "head_self_duality": _nc3_self_duality(geometry, weights, centered=True),
    }
