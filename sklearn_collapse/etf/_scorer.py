"""How well class means, and a head, align with an ideal frame."""

import math

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._head_argument import check_head, fitted_head, resolve_head
from sklearn_collapse._linalg._moments import NonFiniteError, class_means
from sklearn_collapse._linalg._procrustes import (
    all_cosines,
    own_cosines,
    row_cosines,
    unit_vertices,
)
from sklearn_collapse.etf._alignment import (
    OF_HEAD,
    OF_MEANS,
    alignment_metrics,
    head_metrics,
)
from sklearn_collapse.etf._base import FrameEstimator
from sklearn_collapse.metrics._geometry import ClassGeometry
from sklearn_collapse.utils._arrays import Rows, float_dtype
from sklearn_collapse.utils._dask import by_partition
from sklearn_collapse.utils._finite import check_finite, raise_nonfinite
from sklearn_collapse.utils._labels import encode_labels
from sklearn_collapse.utils._sklearn_private import HasMethods, StrOptions
from sklearn_collapse.utils._warnings import CollapseWarning, warn_caller

# What score may return, and whether less is better aligned.
_CRITERIA = {
    "disparity": True,
    "alignment_mean": False,
    "alignment_min": False,
    "cosine_gap_std": True,
}
# The same of what else has a better direction.
_LOWER = _CRITERIA | {
    "head_disparity": True,
    "head_alignment_mean": False,
    "head_self_duality": True,
}


class ETFAlignmentScorer(FrameEstimator):
    """Measure how close class means are to an ideal frame.

    Procrustes analysis finds the rotation and the scale that bring the class means
    onto the frame; what is left tells how far they are from it, in all and class by
    class. With a head, its weights are held against the frame under the same rotation.

    Parameters
    ----------
    frame : {"simplex", "orthoplex", "hypercube", "spread"} or array-like of shape \
            (C, k), default="simplex"
        Ideal class means, row c for the c-th of the sorted labels. "simplex"
        is the equiangular tight frame among C axes, "orthoplex" and "hypercube" are
        polytopes in as few dimensions as they need, "spread" is `spread_frame` for
        more classes than those have. A frame is centred at the mean of its rows.
    matching : {"order", "optimal"}, default="order"
        Which row of the frame belongs to which class: that of the sorted labels, or
        the assignment under which class means come closest to their vertices (see
        Notes). For the simplex all are alike.
    head : {None, "lda"} or classifier, default=None
        A linear head. "lda" is the linear discriminant of the same moments; a
        `LinearHead` or a ``FrozenEstimator`` is used as it is; any other classifier
        is cloned and fitted on the same rows. Rows are matched by class label.
    criterion : {"disparity", "alignment_mean", "alignment_min", "cosine_gap_std"}, \
            default="disparity"
        What ``score`` returns.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    metrics_ : dict of str to float
        "disparity", in [0, 1], lower is better; "alignment_mean", "alignment_std" and
        "alignment_min" of ``class_alignment_``; "cosine_gap_mean" and "cosine_gap_std",
        in [-2, 2] and [0, 2], 0 for the angles of the frame. With a head
        "head_disparity" and "head_alignment_mean", the same for its rows, and
        "head_self_duality", in [0, 2], lower is better. Computed on first access.
    class_alignment_ : array of shape (C,)
        Cosine of each class mean with its own vertex, in [-1, 1], higher is better.
    cosines_ : array of shape (C, C)
        Cosines of class means (rows) with vertices (columns, by class).
    assignment_ : ndarray of int of shape (C,)
        Row of the frame that each class has; the order where nothing can be aligned.
    classes_ : ndarray of shape (C,)
        Labels.
    means_ : array of shape (C, d)
        Class means.
    rank_ : int
        Rank of the rotation; 0 where nothing can be aligned.
    moments_ : ClassMoments
        Fitted state.
    head_ : {None, "lda"} or classifier
        Fitted head.
    device_ : str
        Device on which the moments were gathered.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had any.

    See Also
    --------
    ETFAligner : The rotation itself, and rows in the frame's coordinates.
    sklearn_collapse.metrics.nc2_etf_error : Distance of the Gram matrices, which
        weighs classes by their rows unless they are balanced.

    Notes
    -----
    With R, s and the disparity of `ETFAligner`, class means a_c about their unweighted
    mean and vertices b_c about theirs, a cosine is a_i R b_j / (||a_i|| ||b_j||). The
    norm of a_i is that before the rotation: what the rotation leaves out counts as
    misaligned. It is 0 where a class mean or a vertex lies in the centre. Means and
    deviations over classes are unweighted, normaliser C.

    The cosine gap is cos(a_i, a_j) - cos(b_i, b_j), its mean and standard deviation
    over pairs i != j with normaliser C (C - 1), as in [2]_ but of centred class means
    and vertices. It needs no rotation. For the simplex the deviation is
    `nc2_equiangularity` of balanced classes.

    The rows of a head are centred at their mean, which changes no decision, turned by
    the R of the class means and given a scale of their own that is not negative. Their
    self-duality is `nc3_self_duality` of balanced classes and centred rows; "lda" is
    the discriminant of the rows as they are, which are not weighted for it.

    A small disparity alone proves little: differences of class means that are only
    noise are nearly orthogonal in many dimensions, so that random labels can come
    closer to a simplex than true ones. New rows tell them apart: ``score`` is then
    far below minus the disparity, and the alignment near 0.

    ``matching="optimal"`` is explained with `ETFAligner`. Chosen on the fitted rows it
    stays as it is for new ones.

    All is nan where class means coincide and, with a warning, where so many classes
    have no frame of that name, as C > d + 1 have no simplex. In cross-validation
    pass ``cv=StratifiedKFold()``.

    References
    ----------
    .. [1] Papyan, V., Han, X. Y., Donoho, D. L. (2020). "Prevalence of neural collapse
       during the terminal phase of deep learning training". PNAS 117(40).
    .. [2] Liang, T., Davis, J. (2023). "Inducing Neural Collapse to a Fixed
       Hierarchy-Aware Frame for Reducing Mistake Severity". ICCV.

    Examples
    --------
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.etf import ETFAlignmentScorer
    >>> data = load_cifar8_features()
    >>> scorer = ETFAlignmentScorer(head=data.head).fit(data.data, data.target)
    >>> round(scorer.metrics_["disparity"], 2)
    0.22
    >>> round(scorer.score(data.X_test, data.y_test), 2)
    -0.23
    >>> round(float(scorer.score_samples(data.X_test, data.y_test).mean()), 2)
    0.62
    """

    _parameter_constraints: dict = {
        **FrameEstimator._parameter_constraints,
        "head": [None, StrOptions({"lda"}), HasMethods(["fit", "predict"])],
        "criterion": [StrOptions(set(_CRITERIA))],
    }

    def __init__(
        self,
        frame="simplex",
        *,
        matching="order",
        head=None,
        criterion="disparity",
        device="auto",
    ):
        self.frame = frame
        self.matching = matching
        self.head = head
        self.criterion = criterion
        self.device = device

    def score(self, X, y=None, sample_weight=None):
        """Measure the criterion on new rows, signed so that larger is better.

        The class means of the new rows are held against the frame under the fitted
        centre, rotation and scale; classes without new rows are left out. On the rows
        that were fitted this is plus or minus ``metrics_[criterion]``.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features.
        y : array-like of shape (n,)
            Labels, all seen in fit.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        float
            The criterion; the disparity and the cosine gap are negated. The disparity
            may exceed 1 here; the cosine gap of a single class is nan.
        """
        X, codes, weights = self._validate_labelled(X, y, sample_weight, "score")
        if self.criterion not in _CRITERIA:
            raise ValueError(
                f"criterion must be one of {sorted(_CRITERIA)}, got {self.criterion!r}."
            )
        aligned = self._aligned_if_any()
        if aligned is None:
            return math.nan
        geometry = self._geometry()
        xp = geometry.xp
        present, codes = np.unique(codes, return_inverse=True)
        rows = Rows(X, self.device, work=float(X.shape[0]) * X.shape[1])
        try:
            means = class_means(rows, codes, len(present), weights)
        except NonFiniteError:
            raise_nonfinite(X)
        here = geometry.local(present)
        values = alignment_metrics(
            means - aligned.centre,
            xp.take(geometry.mean_rounding, here, axis=0),
            aligned,
            xp,
            here,
        )
        value = values[self.criterion]
        return -value if _CRITERIA[self.criterion] else value

    @by_partition
    def score_samples(self, X, y=None):
        """Measure the alignment of single rows.

        The fitted centre and rotation are used.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features.
        y : array-like of shape (n,), default=None
            Labels, all seen in fit. Without, each row is held against the vertex that
            is nearest to it.

        Returns
        -------
        array of shape (n,)
            Cosine of each row with the vertex of its class, in [-1, 1], higher is
            better; without ``y`` the largest cosine with any vertex. 0 for a row in
            the centre, nan where nothing can be aligned.
        """
        if y is None:
            X, codes = self._validate_rows(X, "score_samples"), None
        else:
            X, codes, _ = self._validate_labelled(X, y, None, "score_samples")
        aligned, geometry = self._aligned_if_any(), self._geometry()
        xp = geometry.xp
        if aligned is None:
            check_finite(X)
            return xp.full_like(X[:, 0], math.nan, dtype=float_dtype(X, xp))
        back = xp.matrix_transpose(aligned.alignment.rotation)
        directions = xp.matmul(unit_vertices(aligned.frame, xp), back)
        rounding = float(xp.max(geometry.mean_rounding))
        rows = Rows(X, self.device, work=float(X.shape[0]) * X.shape[1])
        return row_cosines(rows, aligned.centre, rounding, directions, codes)

    @property
    def assignment_(self):
        """Which row of the frame each class has; the order where nothing aligns."""
        check_is_fitted(self, "moments_")
        aligned = self._aligned_if_any()
        return np.arange(len(self.classes_)) if aligned is None else aligned.own

    @property
    def metrics_(self):
        """Value of each metric."""
        check_is_fitted(self, "moments_")
        key = ("alignment metrics", self.matching)
        return dict(self.moments_._cached(key, self._measure))

    @property
    def class_alignment_(self):
        """Cosine of each class mean with its own vertex."""
        return self._cosines(own_cosines, 1)

    @property
    def cosines_(self):
        """Cosines of class means with vertices."""
        return self._cosines(all_cosines, 2)

    @property
    def rank_(self):
        """Rank of the rotation."""
        check_is_fitted(self, "moments_")
        aligned = self._aligned_if_any()
        return 0 if aligned is None else aligned.alignment.rank

    def _metrics_to_show(self):
        found = super()._metrics_to_show()
        return found and (found[0], {"class_alignment_": self.class_alignment_})

    def _about_metric(self, name):
        return {True: "lower", False: "higher", None: None}[_LOWER.get(name)], ""

    _left_by_fit = (*FrameEstimator._left_by_fit, "head_")

    def _learn_from_rows(self, X, y, weights):
        self.head_ = fitted_head(self.head, (X, y, weights))
        self._check_head(y)

    def _learn_without_rows(self, y):
        self.head_ = fitted_head(self.head)
        self._check_head(y)

    def _check_head(self, y):
        classes = encode_labels(y)[0]
        check_head(self.head_, classes, self.n_features_in_, linear=True)

    def _head_rows(self):
        """Weights of the head, one row per class."""
        # With the weights of the rows, which the linear discriminant needs.
        geometry = ClassGeometry(self.moments_)
        return resolve_head(self.head_, geometry).rows_of(self.classes_)

    def _aligned_if_any(self):
        """Aligned class means, or None where nothing can be aligned."""
        geometry, lacking = self._geometry(), self._why_not_aligned()
        if lacking:
            if not geometry.warned_of_simplex:
                warn_caller(
                    f"ETF metrics are nan: {lacking} Use "
                    f"frame='spread', or gnc2_uniformity, which needs no frame.",
                    CollapseWarning,
                )
            geometry.warned_of_simplex = True
            return None
        return None if geometry.means_coincide else self._aligned()

    def _cosines(self, cosines, ndim):
        check_is_fitted(self, "moments_")
        aligned, geometry = self._aligned_if_any(), self._geometry()
        xp = geometry.xp
        if aligned is None:
            nothing = xp.full_like(geometry.moments.counts_, math.nan)
            return nothing if ndim == 1 else nothing[:, None] + nothing[None, :]
        return cosines(
            aligned.means,
            geometry.mean_rounding,
            aligned.alignment.rotation,
            unit_vertices(aligned.frame, xp),
            xp,
        )

    def _measure(self):
        aligned, geometry = self._aligned_if_any(), self._geometry()
        if aligned is None:
            names = OF_MEANS if self.head_ is None else OF_MEANS + OF_HEAD
            return dict.fromkeys(names, math.nan)
        values = alignment_metrics(
            aligned.means, geometry.mean_rounding, aligned, geometry.xp
        )
        if self.head_ is not None:
            values |= head_metrics(self._head_rows(), aligned, geometry)
        return values
