"""The frame against which class means are drawn."""

from sklearn_collapse._linalg._procrustes import unit_vertices
from sklearn_collapse.etf._targets import (
    FRAMES,
    check_frame,
    check_frame_rows,
    frame_for,
    why_no_frame,
)
from sklearn_collapse.utils._arrays import namespace, to_numpy


def ideal_frame(estimator):
    """Frame of an estimator, the rows in the order of its classes."""
    frame = estimator._given_frame
    if isinstance(frame, str) and frame == "simplex":
        return frame  # all orders are alike
    geometry = estimator._geometry()
    _refuse_without_frame(frame, geometry.n_classes, geometry.n_features)
    rows = to_numpy(frame_for(frame, geometry.n_classes, geometry.n_features))
    return rows[estimator.assignment_]


def ideal_vertices(frame, moments):
    """Unit vertices of a frame; None for the simplex, whose cosines are all alike."""
    frame = check_frame(frame)
    shape = moments.means_.shape
    if isinstance(frame, str):
        if frame not in FRAMES:
            raise ValueError(
                f"frame must be one of {sorted(FRAMES)} or an array, got {frame!r}."
            )
        if frame == "simplex":
            return None
        _refuse_without_frame(frame, *shape)
    check_frame_rows(frame, moments.classes_)
    rows = frame_for(frame, *shape)
    return to_numpy(unit_vertices(rows, namespace(rows)))


def _refuse_without_frame(frame, n_classes, n_features):
    lacking = why_no_frame(frame, n_classes, n_features)
    if lacking:
        raise ValueError(f"{lacking} Use frame='spread', or pass an array.")
