"""Classifier whose weights are the vertices of a frame that was fixed beforehand."""

import math
from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._linalg._procrustes import mean_square, unit_vertices
from sklearn_collapse._linalg._spectrum import floored_inverse
from sklearn_collapse._linalg._vertices import (
    VertexMap,
    affine_map,
    isometric_map,
    least_squares,
    vertex_logits,
)
from sklearn_collapse._shrinkage import SHRINKAGE, ShrinkageMixin
from sklearn_collapse.etf._base import FrameEstimator
from sklearn_collapse.etf._classification import MomentsClassifierMixin
from sklearn_collapse.utils._arrays import (
    Rows,
    as_like,
    detach,
    float_dtype,
    is_foreign,
    namespace,
    to_numpy,
)
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions


class _Fitted(NamedTuple):
    """What the logits need, and the choices that were made on the way."""

    map: VertexMap
    rank: int
    shrinkage: float | None


class ETFClassifier(ShrinkageMixin, MomentsClassifierMixin, FrameEstimator):
    """Classify by the cosines of rows with the vertices of a fixed frame.

    The classifier of federated and long-tailed learning with a fixed simplex: no
    class weight is learned, so that none is biased to the classes with many rows.
    What is learned is the map that takes features to the frame, in closed form and
    from class moments alone, so that it streams.

    Parameters
    ----------
    frame : {"simplex", "orthoplex", "hypercube", "spread"} or array-like of shape \
            (C, k), default="simplex"
        Vertices, row c for the c-th of the sorted labels. "simplex" is the
        equiangular tight frame among C axes, "orthoplex" and "hypercube" are
        polytopes in as few dimensions as they need, "spread" is `spread_frame` for
        more classes than those have. A frame is centred at the mean of its rows.
    matching : {"order", "optimal"}, default="order"
        Which row of the frame belongs to which class: that of the sorted labels, or
        the assignment under which class means come closest to their vertices. For the
        simplex all are alike.
    mapping : {"procrustes", "ridge"}, default="procrustes"
        How features come to the frame. "procrustes": turned, as `ETFAligner` turns
        them. "ridge": by the linear map that brings each row closest to the vertex of
        its class in least squares.
    shrinkage : {None, "oas", "ledoit_wolf"} or float, default=None
        For "ridge", share of (tr S / d) I in the covariance of all rows: a number in
        [0, 1], or the estimate of Chen et al. or of Ledoit and Wolf. The latter needs
        rows: ``fit`` alone.
    temperature : float, default=1.0
        Temperature T > 0 that cosines are divided by.
    priors : {None, "empirical"} or array-like of shape (C,), default=None
        Shares of the classes where rows are classified. None: all alike, as
        published; "empirical": those of the fitted rows. An array is positive, sums
        to 1 and follows the sorted labels.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    coef_ : array of shape (C, d)
        Weights of the linear functions whose largest tells the class; only with
        ``priors=None``. Also two classes have one row each.
    intercept_ : array of shape (C,)
        Their intercepts.
    classes_ : ndarray of shape (C,)
        Labels.
    means_ : array of shape (C, d)
        Class means.
    priors_ : array of shape (C,)
        Shares of the classes, in the order of ``classes_``.
    frame_ : array of shape (C, k)
        Centred frame, row c for class c.
    assignment_ : ndarray of int of shape (C,)
        Row of the frame that each class has.
    shrinkage_ : float
        Share of the identity that was used; only with ``mapping="ridge"``.
    rank_ : int
        Rank of the rotation, or for "ridge" of the covariance.
    moments_ : ClassMoments
        Fitted state.
    device_ : str
        Device on which the moments were gathered.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had any.

    See Also
    --------
    ETFAligner : Rows in the coordinates of the frame.
    ETFAlignmentScorer : How well class means fit the frame; takes this as ``head=``.
    sklearn.discriminant_analysis.LinearDiscriminantAnalysis : Weighs features by the
        covariance within classes, and uses the empirical priors unless told others.

    Notes
    -----
    The logit of class c is cos(z, v_c) / T + log p_c, with the unit vertices v_c of
    the centred frame. Without priors there is no second term: the angle alone decides.
    A vertex in the centre has cosines 0, and so has a row whose z is.

    "procrustes": z = (x - centre) R, with the partial isometry R and the centre of
    `ETFAligner`, the unweighted mean of the class means. The length in the cosine is
    that of x - centre, before the rotation. For a perfect simplex this is the nearest
    class mean.

    "ridge": z = (x - mean) W + b, W = S^-1 sum_c p_c (mean_c - mean) (b_c - b)^T,
    with the rows b_c of the centred frame, their mean b weighted by the shares p_c of
    the fitted rows, the mean and the covariance S (normaliser n) of all rows, shrunk.
    The inverse is the pseudo-inverse: directions that the rank rule drops are not
    used, and collapsed features come to their vertices. For the simplex z is, but for
    a factor, the least-squares regression on one-hot labels less 1 / C: the class is
    that of the largest regression. A share a of the identity is a ridge penalty of
    n tr(S) a / (d (1 - a)) on the sum of squares, with the slope divided by 1 - a.
    For two classes of as many rows that is the linear discriminant; for more classes
    least squares can hide one class behind others, which the discriminant does not.

    Cosines lie in [-1, 1]: with T = 1 probabilities are far from 0 and 1. Choose T by
    ``GridSearchCV(scoring="neg_log_loss")`` or a calibrated classifier; it changes no
    decision unless there are priors.

    With priors the largest logit is not that of a linear function, as the length of
    the row weighs the cosines against log p_c: ``coef_`` and ``intercept_`` raise
    AttributeError.

    References
    ----------
    .. [1] Li, Z., Shang, X., He, R., Lin, T., Wu, C. (2023). "No Fear of Classifier
       Biases: Neural Collapse Inspired Federated Learning with Synthetic and Fixed
       Classifier". ICCV.
    .. [2] Xiao, Z., et al. (2024). "FedLoGe: Joint Local and Generic Federated
       Learning under Long-tailed Data". ICLR.

    Examples
    --------
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.etf import ETFClassifier
    >>> data = load_cifar8_features()
    >>> classifier = ETFClassifier(mapping="ridge").fit(data.data, data.target)
    >>> round(classifier.score(data.X_test, data.y_test), 2)
    0.88
    """

    _parameter_constraints: dict = {
        **FrameEstimator._parameter_constraints,
        "mapping": [StrOptions({"procrustes", "ridge"})],
        "shrinkage": SHRINKAGE,
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "priors": [None, StrOptions({"empirical"}), "array-like"],
    }
    _left_by_fit = (*FrameEstimator._left_by_fit, "_fourth")
    _void_after_update = ("_fourth",)

    def __init__(
        self,
        frame="simplex",
        *,
        matching="order",
        mapping="procrustes",
        shrinkage=None,
        temperature=1.0,
        priors=None,
        device="auto",
    ):
        self.frame = frame
        self.matching = matching
        self.mapping = mapping
        self.shrinkage = shrinkage
        self.temperature = temperature
        self.priors = priors
        self.device = device

    @property
    def coef_(self):
        """Weights of the linear functions."""
        return self._linear()[0]

    @property
    def intercept_(self):
        """Intercepts of the linear functions."""
        return self._linear()[1]

    @property
    def priors_(self):
        """Shares of the classes."""
        check_is_fitted(self, "moments_")
        moments = self.moments_
        given = check_priors(self.priors, moments.classes_)
        if given is None:
            given = np.full(len(moments.classes_), 1 / len(moments.classes_))
        elif isinstance(given, str):
            return moments._shares()
        return as_like(given, moments.means_)

    @property
    def frame_(self):
        """Centred frame."""
        return self._require_aligned().frame

    @property
    def shrinkage_(self):
        """Share of the identity."""
        shrinkage = self._fitted().shrinkage
        if shrinkage is None:
            raise AttributeError(
                "mapping='procrustes' uses no covariance: it has no shrinkage_."
            )
        return shrinkage

    @property
    def rank_(self):
        """Rank of the rotation or of the covariance."""
        return self._fitted().rank

    def _check_labels(self, y):
        self._check_parameters()
        return super()._check_labels(y)

    def _check_moments(self, moments):
        self._check_parameters(moments.classes_)
        super()._check_moments(moments)
        self._require_aligned()

    def _check_parameters(self, classes=None):
        check_priors(self.priors, classes)
        if self.mapping == "procrustes" and self.shrinkage:
            raise ValueError(
                f"shrinkage={self.shrinkage!r} has no meaning with "
                f"mapping='procrustes', which uses no covariance. Pass "
                f"mapping='ridge', or shrinkage=None."
            )

    def _learn_from_rows(self, X, y, weights):
        self._learn_fourth(X, y, weights)

    def _logits(self, X):
        found = self._fitted().map
        factor = self._inverse_temperature(X)
        priors = self.priors_  # raises if they do not fit
        shift = None if self.priors is None else namespace(priors).log(priors)
        rows = Rows(X, self.device, work=float(X.shape[0]) * found.size)
        return vertex_logits(rows, found, factor, shift)

    def _inverse_temperature(self, X):
        """1 / T, if logits with it are numbers of the rows' precision."""
        dtype = float_dtype(X, np)
        info = np.finfo(dtype)
        # Their differences must not overflow, nor their last digits underflow.
        least, most = 4 / float(info.max), float(info.eps / info.smallest_normal)
        if not least < self.temperature < most:
            raise ValueError(
                f"temperature={self.temperature!r} must lie between {least:.1g} and "
                f"{most:.1g} for logits in {np.dtype(dtype).name}."
            )
        return 1 / float(self.temperature)

    def _linear(self):
        found = self._fitted().map
        if self.priors is not None:
            raise AttributeError(
                f"{type(self).__name__} with priors has no coef_ and no intercept_: "
                f"the length of a row weighs its cosines against the priors, so that "
                f"its class is that of no linear function. Pass priors=None."
            )
        return found.linear(namespace(found.left))

    def _fitted(self):
        """What the logits need, or an error that says why there is no such thing."""
        self._require_aligned()
        key = ("etf classifier", self.matching, self.mapping, self.shrinkage)
        return self.moments_._cached(key, self._factorise)

    def _factorise(self):
        aligned, moments = self._require_aligned(), self.moments_
        xp = namespace(moments.means_)
        vertices = unit_vertices(aligned.frame, xp)
        if self.mapping == "procrustes":
            rotation, rank = aligned.alignment.rotation, aligned.alignment.rank
            spread = root_mean_square(moments, aligned.centre)
            found = isometric_map(aligned.centre, rotation, vertices, spread, xp)
            return _Fitted(found, rank, None)
        shrinkage = self._intensity("total")
        spectrum = moments._spectrum("total", shrinkage)
        inverse, _ = floored_inverse(spectrum, 0, xp=xp)
        shares = moments._shares()
        # The unit of a frame changes no cosine; of size 1 it overflows nowhere.
        frame = aligned.frame / mean_square(aligned.frame, xp) ** 0.5
        offset = xp.matmul(shares, frame)
        targets = xp.sqrt(shares)[:, None] * (frame - offset)
        slope = least_squares(moments._between_root(), targets, spectrum, inverse, xp)
        centre = moments.mean_
        spread = root_mean_square(moments, centre)
        found = affine_map(centre, slope, offset, vertices, spread, xp)
        return _Fitted(found, spectrum.rank, shrinkage)


def root_mean_square(moments, centre):
    """Root of the mean of ||x - centre||^2 over the rows."""
    xp = namespace(moments.means_)
    gaps = moments.means_ - centre
    between = float(xp.sum(moments._shares() * xp.vecdot(gaps, gaps)))
    within = float(xp.sum(moments.class_scatter_trace_)) / moments.n_samples_
    return math.sqrt(between + within)


def check_priors(priors, classes=None):
    """Check an argument ``priors=``, for the classes if they are known.

    Returns
    -------
    None, "empirical" or ndarray of float64 of shape (C,)
        Given ones sum to 1 exactly.
    """
    if priors is None or isinstance(priors, str):
        return priors
    given = np.asarray(to_numpy(detach(priors)) if is_foreign(priors) else priors)
    if given.ndim != 1 or given.dtype.kind not in "biuf":
        raise ValueError(
            f"priors must be None, 'empirical' or numbers of shape (n_classes,), got "
            f"shape {given.shape} and dtype {given.dtype}."
        )
    if classes is not None and len(given) != len(classes):
        raise ValueError(
            f"Number of priors must match number of classes: got {len(given)} for "
            f"{len(classes)} classes. Pass one per class, in the order of the sorted "
            f"labels."
        )
    given = given.astype(float)
    if not (given > 0).all():
        raise ValueError(
            f"priors must be positive, got {given[~(given > 0)][0]:g}. A class that "
            f"never occurs is left out of y."
        )
    total = float(given.sum())
    # They may have been rounded to float32, one by one.
    if not abs(total - 1) <= len(given) * float(np.finfo(np.float32).eps):
        raise ValueError(
            f"The sum of the priors should be 1, got {total:g}. Divide them by it."
        )
    return given / total
