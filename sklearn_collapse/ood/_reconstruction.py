"""Mahalanobis distance in the principal components, plus reconstruction error."""

from numbers import Integral, Real
from typing import NamedTuple

from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._components import (
    count_components,
    default_components,
    warn_of_tie,
)
from sklearn_collapse._linalg._rows import (
    ClassMetric,
    class_metric,
    nearest_class,
    whitening_needs_float64,
)
from sklearn_collapse._linalg._spectrum import Spectrum, floored_inverse
from sklearn_collapse.ood._moments_detector import MomentsDetector
from sklearn_collapse.utils._arrays import Array, Rows, device_of, namespace
from sklearn_collapse.utils._sklearn_private import Interval


class _Model(NamedTuple):
    """What scoring needs, and the choices that were made on the way."""

    metric: ClassMetric
    vectors: Array  # (d, k)
    spectrum: Spectrum
    noise: float  # before the floor
    floor: float
    condition: float


class ReconstructionDetector(MomentsDetector):
    """Reconstruction error plus Mahalanobis distance of the code, negated.

    Principal component analysis is the autoencoder: its code tells how unusual a row
    is within the leading components, the error of its reconstruction what lies
    outside. Labels are not used. Fitted from plain moments, so that it streams.

    Parameters
    ----------
    n_components : int or float, default=None
        Number k of principal components, or the share of the variance, in (0, 1), that
        they reach together. None: half of the features, 512 from 768 features on and
        1000 from 2048 on, as for ViM, and at most the rank.
    latent_weight : float, default=1.0
        What the distance within the components is multiplied by, 0 or larger. 1 is
        exact under probabilistic PCA.
    residual_weight : float, default=1.0
        The same for the error of the reconstruction. Something has to be left to score.
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
        Number of principal components k.
    components_ : array of shape (k, d)
        Principal components, up to sign.
    eigenvalues_ : array of shape (`rank_`,)
        Variance along all principal components (normaliser n), descending.
    noise_variance_ : float
        Mean discarded eigenvalue, before the floor; 0 if none is discarded.
    floor_ : float
        What the noise variance is raised to where rounding explains it.
    rank_ : int
        Number of principal components that there are, by the rank rule.
    mean_ : array of shape (d,)
        Mean of all rows.
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
    sklearn.decomposition.PCA : Its ``score_samples`` is the log-density of the model.
    MahalanobisDetector : Distance to the nearest of several means.

    Notes
    -----
    With z the coordinates of x - mean along the principal components and the
    eigenvalues l_j of the covariance of all rows (normaliser n), the score is ::

        -(a sum_{j<=k} z_j^2 / l_j + b ||residual||^2 / s^2)

    in (-inf, 0], where the residual is x - mean without its first k components and
    s^2 = sum_{j>k} l_j / (d - k). With a = b = 1 it is the squared Mahalanobis
    distance under probabilistic PCA, whose covariance has the eigenvalues l_1, ...,
    l_k, s^2, ..., s^2: the log-density up to a factor of 2 and a constant. On training
    rows the mean of the first sum is k, that of the second term d - k. Denouden et
    al. [1]_ add the two for a neural autoencoder, with weights that are chosen on
    validation rows. ``latent_weight=0`` ranks by the reconstruction error alone.

    The residual is projected, not the difference of two squared lengths, so that
    small ones keep their digits. Directions that never vary in training belong to it:
    a row that lights a unit that was always off is far out. Where rounding explains
    all that is discarded, s^2 is the level of the rank rule: such a row then scores
    about -b / `floor_` and keeps no digits of the rest.

    Rotating or translating the features and multiplying them by a constant change no
    ranking. Where the last component that is kept and the first that is not have the
    same variance, the choice between them is arbitrary, and a warning says so.

    References
    ----------
    .. [1] Denouden, T., Salay, R., Czarnecki, K., Abdelzad, V., Phan, B., Vernekar, S.
       (2018). "Improving Reconstruction Autoencoder Out-of-distribution Detection with
       Mahalanobis Distance". arXiv 1812.02765.
    .. [2] Tipping, M. E., Bishop, C. M. (1999). "Probabilistic principal component
       analysis". Journal of the Royal Statistical Society B 61, 611-622.

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import ReconstructionDetector
    >>> data = load_cifar8_features()
    >>> detector = ReconstructionDetector().fit(data.data)
    >>> inside = detector.score_samples(data.X_test)
    >>> outside = detector.score_samples(data.ood["far: noise"])
    >>> y_true = [1] * len(inside) + [0] * len(outside)
    >>> round(roc_auc_score(y_true, [*inside, *outside]), 2)
    0.98
    """

    _parameter_constraints: dict = {
        **MomentsDetector._parameter_constraints,
        "n_components": [
            None,
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="neither"),
        ],
        "latent_weight": [Interval(Real, 0, None, closed="left")],
        "residual_weight": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        n_components=None,
        *,
        latent_weight=1.0,
        residual_weight=1.0,
        contamination=0.05,
        outlier_label=None,
        device="auto",
    ):
        self.n_components = n_components
        self.latent_weight = latent_weight
        self.residual_weight = residual_weight
        self.contamination = contamination
        self.outlier_label = outlier_label
        self.device = device

    @property
    def n_components_(self):
        """Number of principal components."""
        return self._model().vectors.shape[1]

    @property
    def components_(self):
        """Principal components."""
        vectors = self._model().vectors
        return namespace(vectors).matrix_transpose(vectors)

    @property
    def eigenvalues_(self):
        """Variance along all principal components."""
        return self._model().spectrum.values[: self.rank_]

    @property
    def noise_variance_(self):
        """Mean discarded eigenvalue."""
        return self._model().noise

    @property
    def floor_(self):
        """What the noise variance is raised to."""
        return self._model().floor

    @property
    def rank_(self):
        """Number of principal components that there are."""
        return self._model().spectrum.rank

    @property
    def mean_(self):
        """Mean of all rows."""
        check_is_fitted(self, "moments_")
        return self.moments_.mean_

    def _score_rows(self, X):
        model = self._model()
        d, kept = model.metric.root.shape
        rows = Rows(X, self.device, work=float(X.shape[0]) * d * kept)
        wide = whitening_needs_float64(model.condition)
        return rows.home(-nearest_class(rows, model.metric, wide=wide)[1])

    def _model(self):
        check_is_fitted(self, "moments_")
        weights = self.latent_weight, self.residual_weight
        key = ("reconstruction", self.n_components, *weights)
        return self.moments_._cached(key, self._factorise)

    def _factorise(self):
        moments = self.moments_
        xp = namespace(moments.means_)
        spectrum = moments._spectrum("total")
        d = spectrum.values.shape[0]
        k = self._count(spectrum)
        # The covariance of probabilistic PCA: one variance for all that is discarded.
        discarded = spectrum.values[k : spectrum.rank]
        noise = float(xp.sum(discarded)) / max(d - k, 1)
        kept = xp.arange(d, device=device_of(spectrum.values)) < k
        values = xp.where(kept, spectrum.values, xp.full_like(spectrum.values, noise))
        counted = d if noise > spectrum.floor else k
        inverse, floor = floored_inverse(
            spectrum._replace(values=values, rank=counted), xp=xp
        )
        condition = float(xp.max(values) * xp.max(inverse))
        weights = xp.where(
            kept,
            xp.full_like(values, float(self.latent_weight)),
            xp.full_like(values, float(self.residual_weight)),
        )
        root = spectrum.vectors * xp.sqrt(weights * inverse)
        first = 0 if self.latent_weight else k
        last = d if self.residual_weight else k
        if first == last:
            raise ValueError(
                f"Every score would be 0: with {k} components (n_features={d}) "
                f"latent_weight={self.latent_weight} and "
                f"residual_weight={self.residual_weight} leave nothing. Pass a "
                f"positive weight for both."
            )
        root = root[:, first:last]
        mean = moments.mean_
        metric = class_metric(mean[None, :], mean, root, xp)
        vectors = spectrum.vectors[:, :k]
        return _Model(metric, vectors, spectrum, noise, floor, condition)

    def _count(self, spectrum):
        """Number of components, or an error that says why there are not as many."""
        wanted, rank = self.n_components, spectrum.rank
        d = spectrum.values.shape[0]
        if wanted is None:
            k = min(max(default_components(d), 1), rank)
            warn_of_tie(self.moments_, spectrum, k, "n_components=None")
            return k
        if not rank or (isinstance(wanted, Integral) and wanted > rank):
            raise ValueError(
                f"n_components={wanted} is more than there are: the rank of the rows "
                f"is {rank} (n_features={d}, n_samples={self.moments_.n_samples_:g}). "
                f"Pass a smaller number, a share of the variance or None."
            )
        return count_components(self.moments_, spectrum, wanted)
