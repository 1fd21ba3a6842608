"""Whitening by the eigenvectors of a covariance, in its five published forms."""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._base import MomentsEstimator
from sklearn_collapse._components import count_components
from sklearn_collapse._linalg._rows import affine_rows
from sklearn_collapse._linalg._spectrum import floored_inverse
from sklearn_collapse._linalg._whitening import METHODS, Whitening, whitening
from sklearn_collapse._shrinkage import SHRINKAGE, ShrinkageMixin
from sklearn_collapse.utils._arrays import Array, Rows, namespace
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions, fit_context

# Largest error of a whitened coordinate, in its standard deviations, that float32
# products may cause; beyond it rows are worked on in float64.
_COORDINATE_ERROR = 1e-4


class _Fitted(NamedTuple):
    """What fitting decides."""

    maps: Whitening
    values: Array  # (rank,) eigenvalues that count
    n_kept: int
    shrinkage: float
    floor: float
    condition: float  # of what is inverted


class SpectralWhitener(
    ShrinkageMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, MomentsEstimator
):
    """Whiten features: uncorrelated coordinates of unit variance.

    Exact on the features that networks produce: rank deficient, with dead units, with
    a mean far from zero. Directions without variance are left out instead of being
    blown up. Fitted from class moments, so that it streams.

    Parameters
    ----------
    method : {"zca", "pca", "cholesky", "zca_cor", "pca_cor"}, default="zca"
        Which of the whitening matrices, which differ by a rotation. "zca" stays
        closest to the features, "zca_cor" closest to the standardised features; both
        give d columns under the names of the input. "pca" and "pca_cor" give the
        principal components of the covariance or of the correlations, "cholesky" a
        triangular map, whose k-th column looks at no feature before the k-th.
    n_components : int, float or None, default=None
        Leading directions that are kept: a number, at most the rank; the fewest with
        a share of the variance in (0, 1); or all. With "zca" and "zca_cor" the output
        still has d columns.
    shrinkage : {None, "oas", "ledoit_wolf"} or float, default=None
        Share of (tr S / d) I in the covariance: a number in [0, 1], or the estimate of
        Chen et al. or of Ledoit and Wolf. The latter needs rows: ``fit`` alone.
    scatter : {"total", "within"}, default="total"
        Covariance of all rows, or of the rows about their class means, which makes
        Euclidean distances Mahalanobis distances. "total" ignores y.
    ddof : float, default=0
        The covariance is divided by n - ddof.
    floor : "auto" or float, default=0
        0 leaves directions without variance out. A positive number keeps all
        directions and raises eigenvalues to that share of the largest; "auto" raises
        those that the rank rule drops to its threshold.
    rank_tol : float, default=None
        Directions count whose eigenvalue exceeds this share of the largest. By
        default what rounding of the input and of the products can explain does not
        count.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    mean_ : array of shape (d,)
        Mean of all rows.
    eigenvalues_ : array of shape (`rank_`,)
        Eigenvalues that count, descending, of the shrunk covariance or, for
        "zca_cor" and "pca_cor", of its correlations.
    rank_ : int
        Number of directions with variance.
    n_components_ : int
        Number of directions that are kept.
    whitening_ : array of shape (k, d)
        Whitening matrix W: output is (x - mean) W^T. k is d for "zca" and "zca_cor",
        else ``n_components_``.
    coloring_ : array of shape (d, k)
        Way back: x = mean + z coloring^T. The pseudo-inverse of ``whitening_``, with
        "zca_cor" and "pca_cor" that of standardised features.
    covariance_ : array of shape (d, d)
        Covariance after shrinkage.
    shrinkage_ : float
        Share of the identity that was used.
    floor_ : float
        Absolute floor of the eigenvalues; 0 if there is none.
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
    sklearn.decomposition.PCA : With ``whiten=True`` the same as "pca" with ddof=1 on
        data of full rank; divides by rounding errors on others.

    Notes
    -----
    With the covariance S = U L U^T (normaliser n - ddof), the variances V, and the
    correlations P = V^-1/2 S V^-1/2 = G T G^T, the matrices W are::

        zca       U L^-1/2 U^T
        pca       L^-1/2 U^T
        cholesky  R, upper triangular with positive diagonal, R^T R = S^-1
        zca_cor   G T^-1/2 G^T V^-1/2
        pca_cor   T^-1/2 G^T V^-1/2

    On the kept directions the covariance of the output is the identity; for "zca" and
    "zca_cor" it is the projector onto them. At a rank below d, pseudo-inverses take
    the place of inverses, and "cholesky" is the row echelon form with positive pivots.
    Columns that are constant map to 0. Signs of components are such that the entry of
    largest size of each eigenvector is positive.

    float32 rows are mapped in float32, unless the covariance is so ill-conditioned
    that this would show in the fourth digit.

    References
    ----------
    .. [1] Kessy, A., Lewin, A., Strimmer, K. (2018). "Optimal Whitening and
       Decorrelation". The American Statistician 72(4).
    .. [2] Hatch, A. O., Kajarekar, S., Stolcke, A. (2006). "Within-Class Covariance
       Normalization for SVM-Based Speaker Recognition". Interspeech. For
       ``scatter="within"``.
    .. [3] Chen, Y., Wiesel, A., Eldar, Y. C., Hero, A. O. (2010). "Shrinkage
       Algorithms for MMSE Covariance Estimation". IEEE Trans. Signal Processing 58.
    .. [4] Ledoit, O., Wolf, M. (2004). "A Well-Conditioned Estimator for
       Large-Dimensional Covariance Matrices". J. Multivariate Analysis 88.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.whitening import SpectralWhitener
    >>> X = load_cifar8_features().data
    >>> bool(np.linalg.cond(np.cov(X.T)) > 1e3)
    True
    >>> whitener = SpectralWhitener().fit(X)
    >>> Z = whitener.transform(X)
    >>> np.allclose(Z.T @ Z / len(Z), np.eye(whitener.rank_), atol=1e-4)
    True
    >>> np.allclose(whitener.inverse_transform(Z), X, atol=1e-4)
    True
    """

    _parameter_constraints: dict = {
        "method": [StrOptions(set(METHODS))],
        "n_components": [
            None,
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="neither"),
        ],
        "shrinkage": SHRINKAGE,
        "scatter": [StrOptions({"total", "within"})],
        "ddof": [Interval(Real, 0, None, closed="left")],
        "floor": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
        "rank_tol": [None, Interval(Real, 0, 1, closed="left")],
        "device": [str],
    }

    _left_by_fit = (*MomentsEstimator._left_by_fit, "_fourth")
    _void_after_update = ("_fourth",)

    def __init__(
        self,
        method="zca",
        *,
        n_components=None,
        shrinkage=None,
        scatter="total",
        ddof=0,
        floor=0,
        rank_tol=None,
        device="auto",
    ):
        self.method = method
        self.n_components = n_components
        self.shrinkage = shrinkage
        self.scatter = scatter
        self.ddof = ddof
        self.floor = floor
        self.rank_tol = rank_tol
        self.device = device

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Gather the moments and decide what is kept.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of any array library; at least two rows.
        y : array-like of shape (n,), default=None
            Class labels for ``scatter="within"``; None is one class.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            Fitted whitener.
        """
        return self._fit_rows(X, y, sample_weight)

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Add rows to the moments.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library of the rows before them.
        y : array-like of shape (n,), default=None
            Class labels for ``scatter="within"``, in every block or in none.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            The whitener. That ``n_components`` exceeds the rank shows on use.
        """
        return self._add_rows(X, y, sample_weight)

    def transform(self, X):
        """Whiten rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library that was fitted on.

        Returns
        -------
        array of shape (n, k)
            Whitened rows, float32 or float64 as X. k is d for "zca" and "zca_cor",
            else ``n_components_``.
        """
        X = self._validate_rows(X, "transform")
        fitted = self._fitted()
        return self._mapped(X, fitted.maps.matrix, centre=self.mean_)

    def inverse_transform(self, X):
        """Bring whitened rows back to features.

        Parameters
        ----------
        X : array-like of shape (n, k)
            Whitened rows, of the library that was fitted on.

        Returns
        -------
        array of shape (n, d)
            Features in the kept directions; directions that were dropped are at their
            mean.
        """
        coloring = self._fitted().maps.coloring
        X = self._validate_outputs(X, coloring.shape[0])
        return self._mapped(X, coloring, offset=self.mean_)

    def get_feature_names_out(self, input_features=None):
        """Name the columns of the output.

        Parameters
        ----------
        input_features : array-like of str of shape (d,), default=None
            Names of the features; by default those seen in fit.

        Returns
        -------
        ndarray of str
            Names of the features for "zca" and "zca_cor", else the name of the class
            with a number.
        """
        check_is_fitted(self, "moments_")
        if self.method.startswith("zca"):
            return OneToOneFeatureMixin.get_feature_names_out(self, input_features)
        return super().get_feature_names_out(input_features)

    @property
    def mean_(self):
        """Mean of all rows."""
        check_is_fitted(self, "moments_")
        return self.moments_.mean_

    @property
    def eigenvalues_(self):
        """Eigenvalues that count."""
        return self._fitted().values

    @property
    def rank_(self):
        """Number of directions with variance."""
        return self._fitted().values.shape[0]

    @property
    def n_components_(self):
        """Number of directions that are kept."""
        return self._fitted().n_kept

    @property
    def whitening_(self):
        """Whitening matrix."""
        matrix = self._fitted().maps.matrix
        return namespace(matrix).matrix_transpose(matrix)

    @property
    def coloring_(self):
        """Matrix of the way back."""
        coloring = self._fitted().maps.coloring
        return namespace(coloring).matrix_transpose(coloring)

    @property
    def covariance_(self):
        """Covariance after shrinkage."""
        share = self._fitted().shrinkage
        return self._scale * self.moments_._covariance(self.scatter, share)

    @property
    def shrinkage_(self):
        """Share of the identity."""
        return self._fitted().shrinkage

    @property
    def floor_(self):
        """Absolute floor of the eigenvalues."""
        return self._fitted().floor

    @property
    def _n_features_out(self):
        return self._fitted().maps.matrix.shape[1]

    @property
    def _scale(self):
        """Covariance with the estimator's normaliser, over that with n."""
        n = self.moments_.n_samples_
        return n / self.moments_._degrees(self.ddof)

    def _check_labels(self, y):
        # Targets of a regression, say, would be one class per row. Moments that came
        # with labels go on with labels.
        moments = getattr(self, "moments_", None)
        if self.scatter == "within" or (moments is not None and moments.labelled):
            return y
        return None

    def _learn_from_rows(self, X, y, weights):
        self._learn_fourth(X, y, weights, **{self.scatter: True})
        self._fitted()  # raises if the parameters ask for what there is not

    def _mapped(self, X, matrix, **about):
        rows = Rows(X, self.device, work=float(X.shape[0]) * matrix.shape[0] ** 2)
        eps = float(np.finfo(np.float32).eps)
        wide = eps * self._fitted().condition ** 0.5 > _COORDINATE_ERROR
        return affine_rows(rows, matrix, wide=wide, **about)

    def _fitted(self):
        check_is_fitted(self, "moments_")
        key = ("whitening", *(v for k, v in self.get_params().items() if k != "device"))
        return self.moments_._cached(key, self._factorise)

    def _factorise(self):
        moments = self.moments_
        xp = namespace(moments.means_)
        share = self._intensity(self.scatter)
        arguments = (self.scatter, share, self.rank_tol)
        deviations, scale = None, self._scale
        if self.method.endswith("_cor"):
            spectrum, deviations = moments._correlations(*arguments)
        else:
            spectrum = moments._spectrum(*arguments)
        level = moments._zero_level(spectrum)
        inverse, floor = floored_inverse(spectrum, self.floor, level=level, xp=xp)
        k = self._count(spectrum, deviations)
        if deviations is not None:
            deviations, scale = deviations * scale**0.5, 1.0
        roots = xp.sqrt(inverse[:k] / scale)
        target = None
        if self.floor == 0:
            target = self._scale * moments._covariance(self.scatter, share)
        vectors = spectrum.vectors[:, :k]
        maps = whitening(self.method, vectors, roots, deviations, target, xp)
        condition = 1.0
        if k:
            condition = float(xp.max(spectrum.values[:k]) * xp.max(inverse[:k]))
        values = scale * spectrum.values[: spectrum.rank]
        return _Fitted(maps, values, k, share, scale * floor, condition)

    def _count(self, spectrum, deviations):
        """Number of directions to keep."""
        wanted, rank = self.n_components, spectrum.rank
        d = spectrum.values.shape[0]
        if wanted is None and self.floor != 0:
            return d
        counted = isinstance(wanted, Integral)
        if not rank and (counted or not self.method.startswith("zca")):
            raise ValueError(
                f"The {self.scatter} covariance is zero: there is no direction to "
                f"keep. Check the features, or use method='zca' without a number of "
                f"components, which maps all to 0."
            )
        if counted and wanted > rank:
            raise ValueError(
                f"n_components={wanted} is more than the rank {rank} of the "
                f"{self.scatter} covariance of {d} features. Keep at most {rank} "
                f"directions, or pass n_components=None for all that there are."
            )
        if wanted is None or not rank:
            return rank
        return count_components(self.moments_, spectrum, wanted, deviations)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
