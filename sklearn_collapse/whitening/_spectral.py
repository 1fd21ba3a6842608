"""Whitening by the eigenvectors of a covariance, in its five published forms."""

from numbers import Real
from typing import NamedTuple

from sklearn_collapse._linalg._maps import LinearMap
from sklearn_collapse._linalg._spectrum import floored_inverse
from sklearn_collapse._linalg._whitening import METHODS, whitening
from sklearn_collapse._shrinkage import SHRINKAGE, ShrinkageMixin
from sklearn_collapse.utils._arrays import Array, namespace
from sklearn_collapse.utils._sklearn_private import HasMethods, Interval, StrOptions
from sklearn_collapse.whitening._estimated import check_alone, estimate
from sklearn_collapse.whitening._likelihood import WhitenedLikelihood
from sklearn_collapse.whitening._solver import SpectralEstimator


class _Fitted(NamedTuple):
    """What fitting decides; the first three as `Maps`."""

    forward: LinearMap
    backward: LinearMap
    condition: float  # of what is inverted
    lengths: LinearMap  # to the fewest columns with the norms of white rows
    values: Array  # (rank,) eigenvalues that count
    n_kept: int
    shrinkage: float
    floor: float


class SpectralWhitener(WhitenedLikelihood, ShrinkageMixin, SpectralEstimator):
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
    n_components : int, float, str or None, default=None
        Leading directions that are kept: a number, at most the rank; the fewest with
        a share of the variance in (0, 1); or all. Or what a rule makes of the
        eigenvalues: "mle" [6]_, "gavish-donoho" [7]_, "marchenko-pastur" [8]_, see
        Notes. With "zca" and "zca_cor" the output still has d columns.
    covariance : estimator object, default=None
        A covariance estimator, such as ``sklearn.covariance.MinCovDet()``: a clone is
        fitted on the rows (about their class means with ``scatter="within"``), in
        ``fit`` alone, and its ``covariance_`` is whitened. With ``scatter="total"``
        rows are centred at its ``location_``.
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
    solver : {"auto", "eigh", "svd", "gram"}, default="auto"
        "eigh" decomposes the d x d covariance of moments, which stream. "gram" and
        "svd" decompose the rows, for d above n: nothing of size d x d is made unless
        an attribute of that size is asked for. "gram" is faster; "svd" keeps more
        digits of the least eigenvalues. "auto" takes "gram" in ``fit`` where d is
        large and at least 2 n, else "eigh", which alone knows all directions where
        "pca" or "cholesky" with shrinkage or a floor keeps them.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    mean_ : array of shape (d,)
        Mean of all rows, or the location that ``covariance`` has found.
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
    covariance_estimator_ : estimator object
        The fitted clone of ``covariance``, if there is one.
    moments_ : ClassMoments
        Fitted state; absent with ``covariance`` and where ``solver_`` is "svd" or
        "gram".
    solver_ : {"eigh", "svd", "gram"}
        Solver that was used.
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

    `score_samples` is the log-density of the white row under the standard normal law
    [5]_: -(r ln(2 pi) + ||w||^2) / 2, r the number of directions that are kept. The
    mean of ||w||^2 over the rows that were fitted on is r (n - ddof) / n, if they were
    whitened as a whole, without shrinkage, floor or ``covariance``.

    The rules ask where noise begins. "mle" is the most probable number of directions
    over isotropic noise, as in scikit-learn's PCA, but in the space of those that
    count. "gavish-donoho" keeps singular values above omega times their median, the
    threshold of least error, and "marchenko-pastur" eigenvalues above the upper edge
    of the law of white noise, whose level comes from their median. They judge the
    covariance before shrinkage, with n - 1 rows (n - C within classes), and keep one
    direction, with a warning, where none stands out. With many rows of features whose
    spectrum has no flat end, "mle" keeps nearly all.

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
    .. [5] Betser, R., Levi, M. Y., Gilboa, G. (2025). "Whitened CLIP as a Likelihood
       Surrogate of Images and Captions". ICML.
    .. [6] Minka, T. P. (2000). "Automatic Choice of Dimensionality for PCA". NIPS.
    .. [7] Gavish, M., Donoho, D. L. (2014). "The Optimal Hard Threshold for Singular
       Values is 4/sqrt(3)". IEEE Trans. Information Theory 60.
    .. [8] Marchenko, V. A., Pastur, L. A. (1967). "Distribution of Eigenvalues for
       Some Sets of Random Matrices". Mathematics of the USSR-Sbornik 1.

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
        **SpectralEstimator._parameter_constraints,
        "method": [StrOptions(set(METHODS))],
        "covariance": [None, HasMethods(["fit"])],
        "shrinkage": SHRINKAGE,
        "floor": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
    }

    _left_by_fit = (
        *SpectralEstimator._left_by_fit,
        "_fourth",
        "covariance_estimator_",
    )
    _void_after_update = ("_fourth",)

    def __init__(
        self,
        method="zca",
        *,
        n_components=None,
        covariance=None,
        shrinkage=None,
        scatter="total",
        ddof=0,
        floor=0,
        rank_tol=None,
        solver="auto",
        device="auto",
    ):
        self.method = method
        self.n_components = n_components
        self.covariance = covariance
        self.shrinkage = shrinkage
        self.scatter = scatter
        self.ddof = ddof
        self.floor = floor
        self.rank_tol = rank_tol
        self.solver = solver
        self.device = device

    @property
    def whitening_(self):
        """Whitening matrix."""
        return _transposed(self._fitted().forward)

    @property
    def coloring_(self):
        """Matrix of the way back."""
        return _transposed(self._fitted().backward)

    @property
    def covariance_(self):
        """Covariance after shrinkage."""
        share = self._fitted().shrinkage
        return self._scale * self._statistics._covariance(self.scatter, share)

    @property
    def shrinkage_(self):
        """Share of the identity."""
        return self._fitted().shrinkage

    @property
    def floor_(self):
        """Absolute floor of the eigenvalues."""
        return self._fitted().floor

    @property
    def _keeps_columns(self):
        return self.method.startswith("zca")

    def _without_direction(self):
        return (
            ", or use method='zca' without a number of components, which maps all to 0"
        )

    def _knows_directions(self):
        if self.method.endswith("_cor") and self.shrinkage:
            return False
        everything = bool(self.shrinkage) or self.floor != 0
        return self._keeps_columns or not everything or self.n_components is not None

    def _needs_all_rows(self):
        if self.covariance is not None:
            return f"covariance={type(self.covariance).__name__}"
        return super()._needs_all_rows()

    def _check_parameters(self):
        super()._check_parameters()
        fitted = hasattr(self, "covariance_estimator_")
        if fitted != (self.covariance is not None):
            raise ValueError(
                "covariance was changed after fit, which used it: fit again."
            )
        if fitted:
            check_alone(self)

    def _gather(self, X, y, weights):
        if self.covariance is None:
            super()._gather(X, y, weights)
            return
        check_alone(self)
        self.covariance_estimator_, self._of_rows = estimate(
            self.covariance, X, y, weights, self.device
        )

    def _learn_from_rows(self, X, y, weights):
        self._learn_fourth(X, y, weights)
        super()._learn_from_rows(X, y, weights)

    def _fourth_wanted(self):
        return (self.scatter,)

    def _factorise(self):
        moments = self._statistics
        xp = namespace(moments.means_)
        share = self._intensity(self.scatter)
        scale = self._scale
        spectrum, deviations = self._decomposed(share)
        level = moments._zero_level(spectrum)
        inverse, floor = floored_inverse(spectrum, self.floor, level=level, xp=xp)
        plain = None
        if share and isinstance(self.n_components, str):
            plain = self._decomposed(0.0)[0]
        k = self._count(spectrum, deviations, all_count=self.floor != 0, plain=plain)
        self._check_known(spectrum, k)
        if deviations is not None:
            deviations, scale = deviations * scale**0.5, 1.0
        roots = xp.sqrt(inverse[:k] / scale)
        known = min(k, spectrum.vectors.shape[1])
        vectors = spectrum.vectors[:, :known]
        gram = None
        if self.floor == 0:

            def gram(matrix):
                return self._scale * moments._gram(matrix, self.scatter, share)

        maps = whitening(
            self.method,
            vectors,
            roots[:known],
            float(roots[known]) if known < k else 0.0,
            deviations,
            gram,
            xp,
            thin=spectrum.vectors.shape[1] < spectrum.values.shape[0],
        )
        condition = 1.0
        if k:
            condition = float(xp.max(spectrum.values[:k]) * xp.max(inverse[:k]))
        return _Fitted(
            forward=maps.forward,
            backward=maps.backward,
            condition=condition,
            lengths=maps.lengths,
            values=scale * spectrum.values[: spectrum.rank],
            n_kept=k,
            shrinkage=share,
            floor=scale * floor,
        )

    def _decomposed(self, share):
        """Spectrum that the method is about, and deviations of the columns."""
        arguments = (self.scatter, share, self.rank_tol)
        if self.method.endswith("_cor"):
            return self._statistics._correlations(*arguments)
        return self._statistics._spectrum(*arguments), None


def _transposed(linear):
    """Matrix (k, d) of a map of rows, which has d x k."""
    xp = namespace(linear.left)
    return xp.matrix_transpose(linear.dense(xp))
