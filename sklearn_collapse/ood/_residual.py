"""Residual: the length of a row outside of the principal space."""

from numbers import Integral, Real
from typing import NamedTuple

from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._components import (
    count_components,
    default_components,
    warn_of_tie,
)
from sklearn_collapse._linalg._residual_norms import (
    Residual,
    residual_norms,
    residual_of,
)
from sklearn_collapse._linalg._spectrum import Spectrum, eigh_by_rank
from sklearn_collapse.ood._moments_detector import MomentsDetector
from sklearn_collapse.utils._arrays import Rows, namespace
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions


class _Space(NamedTuple):
    """The principal space about an origin, and what it leaves of rows."""

    spectrum: Spectrum
    k: int
    at_mean: bool
    residual: Residual


class ResidualBase(MomentsDetector):
    """Principal space about an origin; subclasses say which and score with it."""

    n_components: int | float | None

    _parameter_constraints: dict = {
        **MomentsDetector._parameter_constraints,
        "n_components": [
            None,
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="neither"),
        ],
    }

    @property
    def n_components_(self):
        """Number of principal components."""
        return self._space().k

    @property
    def components_(self):
        """Principal components."""
        space = self._space()
        vectors = space.spectrum.vectors[:, : space.k]
        return namespace(vectors).matrix_transpose(vectors)

    @property
    def eigenvalues_(self):
        """Mean squares along the principal components."""
        return self._space().spectrum.values[: self.rank_]

    @property
    def rank_(self):
        """Number of principal components that there are."""
        return self._space().spectrum.rank

    @property
    def origin_(self):
        """Point about which lengths are taken."""
        centre = self._space().residual.centre
        means = self.moments_.means_
        return namespace(means).zeros_like(means[0, :]) if centre is None else centre

    def _origin(self):
        """Name of the origin, or the point where it is."""
        raise NotImplementedError

    def _space(self):
        check_is_fitted(self, "moments_")
        key = ("residual", self.n_components, self.origin)
        return self.moments_._cached(key, self._factorise)

    def _factorise(self):
        origin, moments = self._origin(), self.moments_
        xp = namespace(moments.means_)
        if not isinstance(origin, str):
            centre, spectrum = origin, _spectrum_about(moments, origin, xp)
        elif origin == "mean":
            centre, spectrum = moments.mean_, moments._spectrum("total")
        else:
            centre, spectrum = None, moments._spectrum("second_moment")
        k = self._count(spectrum)
        residual = residual_of(spectrum, k, centre, xp)
        at_mean = isinstance(origin, str) and origin == "mean"
        return _Space(spectrum, k, at_mean, residual)

    def _count(self, spectrum):
        """Number of components, or an error that says why there are not as many."""
        wanted, rank, d = self.n_components, spectrum.rank, spectrum.values.shape[0]
        if wanted is None:
            k = min(default_components(d), rank)
            warn_of_tie(self.moments_, spectrum, k, "n_components=None")
            return k
        if isinstance(wanted, Integral) and wanted > min(rank, d - 1):
            raise ValueError(
                f"n_components={wanted} is too many: the rank of the rows about their "
                f"origin is {rank} (n_features={d}, "
                f"n_samples={self.moments_.n_samples_:g}), and at least one direction "
                f"must be left. Pass a smaller number, a share of the variance or None."
            )
        k = count_components(self.moments_, spectrum, wanted) if rank else 0
        if k == d:
            k = d - 1
            warn_of_tie(self.moments_, spectrum, k, f"n_components={wanted!r}")
        return k

    def _rows(self, X, width=0):
        """Blocks of rows for the residual and a product with that many columns."""
        n, d = X.shape
        work = self._space().residual.size + d * width
        return Rows(X, self.device, work=float(n) * work)

    def _negated_norms(self, X):
        rows = self._rows(X)
        return rows.home(-residual_norms(rows, self._space().residual)[0])


def _spectrum_about(moments, origin, xp):
    """Spectrum of the mean of z z^T, z = x - origin."""
    gap = moments.mean_ - origin
    matrix = moments._covariance("total") + gap[:, None] * gap[None, :]
    return eigh_by_rank(matrix, moments._noise, moments._product_eps(), None, xp)


class ResidualDetector(ResidualBase):
    """Length of a row outside of the principal space, negated.

    Features of the training rows fill few directions, and features of other inputs lie
    outside of them. Needs neither labels nor a head, and streams.

    Parameters
    ----------
    n_components : int or float, default=None
        Number of principal components D that are taken off, or the share of the
        variance (about the origin), in (0, 1), that they reach together, where at
        least one direction is left. None: 1000 for 2048 features and more, 512 for 768
        and more, otherwise half of the features, and never more than the rank.
    origin : {"mean", "zero"}, default="mean"
        Point about which the principal space is taken.
    contamination : float, default=0.05
        Share of the calibration rows that ``predict`` calls outliers, in (0, 0.5].
    outlier_label : str, int or float, default=None
        Label in y of rows that are known outliers: ``fit`` leaves them out, and
        scorers such as ``get_scorer("ood_auroc")`` count them as out-of-distribution.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    offset_ : float
        Threshold on the scores; absent after ``partial_fit`` and ``fit_moments``
        until ``calibrate``.
    n_components_ : int
        Number of principal components D.
    components_ : array of shape (D, d)
        Principal components, up to sign.
    eigenvalues_ : array of shape (`rank_`,)
        Mean squares along all principal components, descending (normaliser n).
    rank_ : int
        Number of principal components that there are, by the rank rule.
    origin_ : array of shape (d,)
        Point u about which lengths are taken.
    means_ : array of shape (C, d)
        Class means.
    classes_ : ndarray of shape (C,)
        Labels, if y was given.
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
    ViMDetector : The same residual against the logits of a head.
    NECODetector : The share of the length inside, not the length outside.

    Notes
    -----
    With V the first D eigenvectors of S = (1/n) sum_i (x_i - u)(x_i - u)^T, which is
    not centred at the mean unless u is, the score is -||(x - u) - (x - u) V V^T||, in
    (-inf, 0]. Ranking by it does not change under rotations and multiples of the
    features, with ``origin="mean"`` under translations neither.

    The residual counts directions that never varied in training in full: a row that
    lights a unit that was dead scores low. A residual that the rank rule calls
    rounding, up to the root of d - D times its threshold, counts as 0. So do those of
    all training rows with D equal to the rank, and a threshold set on them flags every
    other row: calibrate on rows that were not fitted on.

    Where the last component that is taken off and the first that is left have the same
    variance, the choice between them is arbitrary, and a warning says so. float32 rows
    are mapped in float32, unless their residuals are so small beside them that float64
    is needed for three digits.

    References
    ----------
    .. [1] Wang, H., Li, Z., Feng, L., Zhang, W. (2022). "ViM: Out-Of-Distribution with
       Virtual-logit Matching". CVPR. arXiv 2203.10807. (Its baseline "Residual".)

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import ResidualDetector
    >>> data = load_cifar8_features()
    >>> detector = ResidualDetector().fit(data.data)
    >>> inside = detector.score_samples(data.X_test)
    >>> outside = detector.score_samples(data.ood["far: noise"])
    >>> y_true = [1] * len(inside) + [0] * len(outside)
    >>> round(roc_auc_score(y_true, [*inside, *outside]), 2)
    0.96
    """

    _parameter_constraints: dict = {
        **ResidualBase._parameter_constraints,
        "origin": [StrOptions({"mean", "zero"})],
    }

    def __init__(
        self,
        n_components=None,
        *,
        origin="mean",
        contamination=0.05,
        outlier_label=None,
        device="auto",
    ):
        self.n_components = n_components
        self.origin = origin
        self.contamination = contamination
        self.outlier_label = outlier_label
        self.device = device

    def _origin(self):
        return self.origin

    def _score_rows(self, X):
        return self._negated_norms(X)
