"""What the aligner and its scorer share: a frame, and class means aligned with it."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._base import LabelledMomentsEstimator
from sklearn_collapse._linalg._matching import match_vertices
from sklearn_collapse._linalg._procrustes import Alignment, procrustes
from sklearn_collapse.etf._targets import (
    FRAMES,
    check_frame,
    check_frame_rows,
    frame_for,
    why_no_frame,
)
from sklearn_collapse.metrics._geometry import ClassGeometry, check_two_classes
from sklearn_collapse.utils._arrays import Array, to_numpy
from sklearn_collapse.utils._sklearn_private import StrOptions, fit_context


class AlignedMeans(NamedTuple):
    """Class means, the frame, and what takes one to the other."""

    centre: Array  # (d,), unweighted mean of the class means
    means: Array  # (C, d), centred
    frame: Array  # (C, k), centred; row c is the vertex of class c
    own: np.ndarray  # (C,), which row of the frame that is
    alignment: Alignment


class FrameEstimator(LabelledMomentsEstimator):
    """Estimator that aligns class means with a frame by Procrustes analysis.

    Subclasses have the parameters ``frame`` and ``matching``.
    """

    frame: Any
    matching: str
    _given_frame: Any

    _parameter_constraints: dict = {
        "frame": [StrOptions(set(FRAMES)), "array-like"],
        "matching": [StrOptions({"order", "optimal"})],
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

    @property
    def assignment_(self):
        """Which row of the frame each class has."""
        check_is_fitted(self, "moments_")
        return self._aligned().own

    def _geometry(self):
        """Geometry of the class means about their unweighted mean."""
        return self.moments_._cached(
            "frame geometry", lambda: ClassGeometry(self.moments_, "balanced")
        )

    def _aligned(self):
        """Class means aligned with the frame; they must not coincide."""
        return self.moments_._cached(
            ("aligned means", self.matching),
            lambda: align_means(self._geometry(), self._given_frame, self.matching),
        )

    def _require_aligned(self):
        """Class means aligned with the frame, or an error that says why not."""
        check_is_fitted(self, "moments_")
        geometry, lacking = self._geometry(), self._why_not_aligned()
        if lacking:
            raise ValueError(
                f"{lacking} Use more features, frame='spread' (see spread_frame), or "
                f"pass a frame as an array of shape ({geometry.n_classes}, k)."
            )
        if geometry.means_coincide:
            raise ValueError(
                "All class means coincide, to rounding: there is no direction to "
                "align. Check that the features vary with y."
            )
        aligned = self._aligned()
        if not aligned.alignment.rank:
            raise ValueError(
                "The class means share no direction with the frame: A^T B is zero to "
                "rounding. Check that the rows of frame follow the sorted labels, or "
                "pass matching='optimal'."
            )
        return aligned

    def _why_not_aligned(self):
        """Say why the classes have no such frame, or None if they have."""
        geometry = self._geometry()
        shape = geometry.n_classes, geometry.n_features
        return why_no_frame(self._given_frame, *shape)


def align_means(geometry, frame, matching):
    """Align class means with a frame.

    Parameters
    ----------
    geometry : ClassGeometry
        Balanced, of class means that do not coincide.
    frame : str or array of shape (C, k)
        As `check_frame` returns it.
    matching : {"order", "optimal"}

    Returns
    -------
    AlignedMeans
    """
    check_frame_rows(frame, geometry.moments.classes_)
    n_classes = geometry.n_classes
    rows = geometry.local(frame_for(frame, n_classes, geometry.n_features))
    own = np.arange(n_classes)
    # Any order of a simplex is a rotation of any other.
    if matching == "optimal" and not (isinstance(frame, str) and frame == "simplex"):
        left, values, _ = geometry.between
        # Multiples of the means in a basis of their own: no more columns than classes.
        own = match_vertices(to_numpy(left * values), to_numpy(rows))
        rows = geometry.xp.take(rows, geometry.local(own), axis=0)
    found = procrustes(geometry.means, geometry.between, rows, geometry.xp)
    return AlignedMeans(geometry.mean, geometry.means, rows, own, found)
