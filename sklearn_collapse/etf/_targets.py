"""The parameter ``frame`` of estimators: names, arrays, and what they come to."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sklearn_collapse._linalg._polytopes import hypercube, orthoplex, simplex_axes
from sklearn_collapse.etf._spread import spread_frame
from sklearn_collapse.utils._arrays import detach, is_foreign, to_numpy
from sklearn_collapse.utils._labels import shorten


class NamedFrame(NamedTuple):
    """A frame that is made for the number of classes and of features."""

    build: Callable  # (n_classes, n_features) -> ndarray of shape (C, k)
    limit: Callable  # n_features -> the most classes that have one


@lru_cache(maxsize=8)
def _spread(n_classes, n_features):
    """The frame that a search finds; a model selection asks for it again and again."""
    return spread_frame(n_classes, n_features)


FRAMES = {
    "simplex": NamedFrame(lambda c, d: simplex_axes(c), lambda d: d + 1),
    "orthoplex": NamedFrame(lambda c, d: orthoplex(c), lambda d: 2 * d),
    "hypercube": NamedFrame(lambda c, d: hypercube(c), lambda d: 2**d),
    "spread": NamedFrame(_spread, lambda d: 2 if d == 1 else np.inf),
}


def check_frame(frame):
    """Check an argument ``frame=``.

    Returns
    -------
    str or ndarray of float64 of shape (C, k)
        The name, or a frame that was given, centred at the mean of its rows.
    """
    if isinstance(frame, str):
        return frame
    given = np.asarray(to_numpy(detach(frame)) if is_foreign(frame) else frame)
    if given.ndim != 2 or 0 in given.shape or given.dtype.kind not in "biuf":
        raise ValueError(
            f"frame must be one of {sorted(FRAMES)} or numbers of shape "
            f"(n_classes, k), one row per class, got shape {given.shape} and dtype "
            f"{given.dtype}."
        )
    given = given.astype(float)
    if not np.isfinite(given).all():
        raise ValueError("frame contains NaN or infinity.")
    centred = centre_rows(given)
    rounding = max(given.shape) * np.finfo(float).eps * np.abs(given).max()
    if np.abs(centred).max() <= rounding:
        raise ValueError(
            "All rows of frame are equal, which gives the classes no direction. Pass "
            "distinct rows, or frame='simplex'."
        )
    return centred


def centre_rows(frame):
    """Rows about their mean."""
    centred = frame - frame.mean(axis=0)
    # Once more: the first mean was rounded at the size of the rows.
    return centred - centred.mean(axis=0)


def check_frame_rows(frame, classes):
    """Raise unless a frame has one row per class; a name has."""
    # No len(): a frame that has moved with its estimator may be of any library.
    if not isinstance(frame, str) and frame.shape[0] != len(classes):
        raise ValueError(
            f"frame has {frame.shape[0]} rows, but y holds {len(classes)} classes "
            f"({shorten(classes)}): it must have one row per class, in the order of "
            f"the sorted labels."
        )


def why_no_frame(frame, n_classes, n_features):
    """Say why so many classes have no frame of a name, or None if they have."""
    if not isinstance(frame, str):
        return None
    most = FRAMES[frame].limit(n_features)
    if n_classes <= most:
        return None
    return (
        f"{n_classes} classes have no {frame!r} frame in n_features={n_features} "
        f"dimensions: at most {most} classes do."
    )


def frame_for(frame, n_classes, n_features):
    """Centred frame of a name, or the one that was given."""
    if not isinstance(frame, str):
        return frame
    return centre_rows(FRAMES[frame].build(n_classes, n_features))
