"""What the aligner and its scorer share: a frame, and class means aligned with it."""

from typing import NamedTuple

import numpy as np

from sklearn_collapse._base import LabelledMomentsEstimator
from sklearn_collapse._linalg._frames import simplex_axes
from sklearn_collapse._linalg._procrustes import Alignment, procrustes
from sklearn_collapse.metrics._geometry import ClassGeometry, check_two_classes
from sklearn_collapse.utils._arrays import Array, detach, is_foreign, to_numpy
from sklearn_collapse.utils._labels import shorten
from sklearn_collapse.utils._sklearn_private import StrOptions, fit_context


class AlignedMeans(NamedTuple):
    """Class means, the frame, and what takes one to the other."""

    centre: Array  # (d,), unweighted mean of the class means
    means: Array  # (C, d), centred
    frame: Array  # (C, k), centred
    alignment: Alignment


class FrameEstimator(LabelledMomentsEstimator):
    """Estimator that aligns class means with a frame by Procrustes analysis."""

    _parameter_constraints: dict = {
        "frame": [StrOptions({"simplex"}), "array-like"],
        "device": [str],
    }

    _left_by_fit = (*LabelledMomentsEstimator._left_by_fit, "_given_frame")

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None):
        """Align the class means of labelled rows with the frame.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of any array library.
        y : array-like of shape (n,)
            Labels, at least two classes.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            Fitted estimator.
        """
        return self._fit_rows(X, y, sample_weight)

    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X, y, sample_weight=None):
        """Add labelled rows to the moments.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library of the rows before them.
        y : array-like of shape (n,)
            Labels; new classes may appear.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            The estimator. Whether the class means can be aligned is found when the
            alignment is first used.
        """
        return self._add_rows(X, y, sample_weight)

    def _check_labels(self, y):
        self._given_frame = check_frame(self.frame)
        return super()._check_labels(y)

    def _check_moments(self, moments):
        self._given_frame = check_frame(self.frame)
        check_two_classes(moments.classes_)
        check_frame_rows(self._given_frame, moments.classes_)

    def _geometry(self):
        """Geometry of the class means about their unweighted mean."""
        return self.moments_._cached(
            "frame geometry", lambda: ClassGeometry(self.moments_, "balanced")
        )

    def _aligned(self):
        """Class means aligned with the frame; they must not coincide."""
        return self.moments_._cached(
            "aligned means", lambda: align_means(self._geometry(), self._given_frame)
        )


def align_means(geometry, frame):
    """Align class means with a frame.

    Parameters
    ----------
    geometry : ClassGeometry
        Balanced, of class means that do not coincide.
    frame : ndarray of shape (C, k) or None
        Centred; None is the simplex.

    Returns
    -------
    AlignedMeans
    """
    check_frame_rows(frame, geometry.moments.classes_)
    frame = simplex_axes(geometry.n_classes) if frame is None else frame
    frame = geometry.local(frame)
    found = procrustes(geometry.means, geometry.between, frame, geometry.xp)
    return AlignedMeans(geometry.mean, geometry.means, frame, found)


def check_frame(frame):
    """Check an argument ``frame=``.

    Returns
    -------
    ndarray of float64 of shape (C, k) or None
        A frame that was given, centred at the mean of its rows; None is the simplex.
    """
    if isinstance(frame, str):
        return None
    given = np.asarray(to_numpy(detach(frame)) if is_foreign(frame) else frame)
    if given.ndim != 2 or 0 in given.shape or given.dtype.kind not in "biuf":
        raise ValueError(
            f"frame must be 'simplex' or numbers of shape (n_classes, k), one row per "
            f"class, got shape {given.shape} and dtype {given.dtype}."
        )
    given = given.astype(float)
    if not np.isfinite(given).all():
        raise ValueError("frame contains NaN or infinity.")
    centred = given - given.mean(axis=0)
    # Once more: the first mean was rounded at the size of the rows.
    centred -= centred.mean(axis=0)
    rounding = max(given.shape) * np.finfo(float).eps * np.abs(given).max()
    if np.abs(centred).max() <= rounding:
        raise ValueError(
            "All rows of frame are equal, which gives the classes no direction. Pass "
            "distinct rows, or frame='simplex'."
        )
    return centred


def check_frame_rows(frame, classes):
    """Raise unless a frame has one row per class."""
    # No len(): a frame that has moved with its estimator may be of any library.
    if frame is not None and frame.shape[0] != len(classes):
        raise ValueError(
            f"frame has {frame.shape[0]} rows, but y holds {len(classes)} classes "
            f"({shorten(classes)}): it must have one row per class, in the order of "
            f"the sorted labels."
        )
