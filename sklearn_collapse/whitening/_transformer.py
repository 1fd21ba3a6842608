"""Features under a function of their covariance's spectrum."""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np

from sklearn_collapse._components import warn_of_tie
from sklearn_collapse._linalg import _transfer
from sklearn_collapse._linalg._maps import LinearMap
from sklearn_collapse._linalg._transfer import TRANSFERS, diagonal_map, map_condition
from sklearn_collapse._linalg._whitening import same_signs
from sklearn_collapse.utils._arrays import (
    Array,
    namespace,
    to_numpy,
)
from sklearn_collapse.utils._available import available_unless
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions
from sklearn_collapse.utils._warnings import CollapseWarning, warn_caller
from sklearn_collapse.whitening._likelihood import WhitenedLikelihood
from sklearn_collapse.whitening._solver import SpectralEstimator

_EPS = float(np.finfo(float).eps)


class _Fitted(NamedTuple):
    """What fitting decides; the first three as `Maps`."""

    forward: LinearMap
    backward: LinearMap | None
    condition: float
    lengths: LinearMap
    values: Array  # (rank,) eigenvalues that count
    n_kept: int
    gains: Array  # (n_kept,)
    null_gain: float


def _not_white(estimator):
    transfer = estimator.transfer
    if isinstance(transfer, str) and transfer == "power" and estimator.exponent == 0.5:
        return ""
    return (
        f"Log-likelihoods need white rows, of transfer='power' with exponent=0.5, but "
        f"transfer={transfer!r}. Use SpectralWhitener to score rows."
    )


class SpectralTransformer(WhitenedLikelihood, SpectralEstimator):
    """Scale each principal direction of the features by a function of its variance.

    Whitening is one such function. Others whiten in part, keep or remove a band of the
    spectrum, or sharpen it. The output has the columns of the input.

    Parameters
    ----------
    transfer : {"power", "soft", "band", "drop_top", "direct_pred"} or callable, \
            default="power"
        The gain g of a direction with eigenvalue l, see Notes. A callable gets the
        eigenvalues that count, a NumPy array of shape (`rank_`,) in descending order,
        and returns as many finite gains. It is taken to be a function of them alone.
    exponent : float, default=0.5
        For "power", in [0, 1]: 0 leaves the rows as they are but for the mean, 0.5 is
        ZCA whitening.
    epsilon : float, default=1e-3
        For "soft" and "direct_pred": at least 0.
    band : tuple of two floats, default=(0, 1)
        For "band": shares of the variance, 0 <= low < high <= 1.
    n_drop : int, default=1
        For "drop_top": how many leading directions are taken off.
    n_components : int, float, str or None, default=None
        Leading directions that are kept, as for `SpectralWhitener`; all others are
        then left out.
    scatter : {"total", "within"}, default="total"
        Covariance of all rows, or of the rows about their class means. "total"
        ignores y.
    ddof : float, default=0
        The covariance is divided by n - ddof.
    rank_tol : float, default=None
        Directions count whose eigenvalue exceeds this share of the largest. By
        default what rounding of the input and of the products can explain does not
        count.
    solver : {"auto", "eigh", "svd", "gram"}, default="auto"
        As for `SpectralWhitener`.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device.

    Attributes
    ----------
    mean_ : array of shape (d,)
        Mean of all rows.
    eigenvalues_ : array of shape (`rank_`,)
        Eigenvalues of the covariance that count, descending.
    gains_ : array of shape (`n_components_`,)
        Gains of the directions that are kept.
    null_gain_ : float
        Gain of all other directions; 0 leaves them out.
    rank_ : int
        Number of directions with variance.
    n_components_ : int
        Number of directions with variance that are kept.
    matrix_ : array of shape (d, d)
        U g(L) U^T: output is (x - mean) matrix. Made when it is asked for.
    covariance_ : array of shape (d, d)
        Covariance of the features. Made when it is asked for.
    moments_ : ClassMoments
        Fitted state; absent with the solvers "svd" and "gram".
    solver_ : {"eigh", "svd", "gram"}
        Solver that was used.
    device_ : str
        Device on which the rows were gathered.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had any.

    See Also
    --------
    SpectralWhitener : Whitening in all its forms, with shrinkage and floors.
    IterNormWhitener : Soft whitening without an eigendecomposition.

    Notes
    -----
    With the covariance S = U L U^T (normaliser n - ddof) the output is
    (x - mean) U g(L) U^T. The gains are::

        power        l^-exponent
        soft         (l + epsilon * tr S / d)^-1/2
        band         1 if low < (l_1 + ... + l_k) / tr S <= high, else 0
        drop_top     0 for the first n_drop eigenvectors, else 1
        direct_pred  (l / l_1)^1/2 + epsilon

    Directions without variance get what the formula gives for l = 0 (for "band" the
    share 1), if it gives anything, and are left out otherwise: by "power" with a
    positive exponent, by "soft" with epsilon = 0 and by callables. In rows like those
    that were fitted on there is nothing in these directions.

    "band" and "drop_top" lose what they take off, so that there is no
    `inverse_transform` unless they took off nothing, nor with a callable that returns
    a gain of 0.

    `score_samples` and `score` exist for "power" with exponent 0.5, whose output is
    white.

    References
    ----------
    .. [1] Weng, X. et al. (2024). "Modulate Your Spectrum in Self-Supervised
       Learning". ICLR. For "power".
    .. [2] Mu, J., Viswanath, P. (2018). "All-but-the-Top: Simple and Effective
       Postprocessing for Word Representations". ICLR. For "drop_top".
    .. [3] Balestriero, R., LeCun, Y. (2024). "Learning by Reconstruction Produces
       Uninformative Features for Perception". For "band".
    .. [4] Tian, Y., Chen, X., Ganguli, S. (2021). "Understanding Self-Supervised
       Learning Dynamics without Contrastive Pairs". ICML. For "direct_pred".

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.whitening import SpectralTransformer
    >>> X = load_cifar8_features().data
    >>> half = SpectralTransformer(exponent=0.25).fit(X)
    >>> before = half.eigenvalues_
    >>> after = SpectralTransformer(exponent=0).fit(half.transform(X)).eigenvalues_
    >>> np.allclose(after, before**0.5, rtol=1e-4)
    True
    >>> top = SpectralTransformer("band", band=(0, 0.5)).fit(X)
    >>> rest = SpectralTransformer("band", band=(0.5, 1)).fit(X)
    >>> np.allclose(top.transform(X) + rest.transform(X), X - X.mean(axis=0), atol=1e-4)
    True
    """

    _parameter_constraints: dict = {
        **SpectralEstimator._parameter_constraints,
        "transfer": [StrOptions(set(TRANSFERS)), callable],
        "exponent": [Interval(Real, 0, 1, closed="both")],
        "epsilon": [Interval(Real, 0, None, closed="left")],
        "band": ["array-like"],
        "n_drop": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        transfer="power",
        *,
        exponent=0.5,
        epsilon=1e-3,
        band=(0, 1),
        n_drop=1,
        n_components=None,
        scatter="total",
        ddof=0,
        rank_tol=None,
        solver="auto",
        device="auto",
    ):
        self.transfer = transfer
        self.exponent = exponent
        self.epsilon = epsilon
        self.band = band
        self.n_drop = n_drop
        self.n_components = n_components
        self.scatter = scatter
        self.ddof = ddof
        self.rank_tol = rank_tol
        self.solver = solver
        self.device = device

    score_samples = available_unless(_not_white)(WhitenedLikelihood.score_samples)
    score = available_unless(_not_white)(WhitenedLikelihood.score)

    @property
    def gains_(self):
        """Gains of the directions that are kept."""
        return self._fitted().gains

    @property
    def null_gain_(self):
        """Gain of all other directions."""
        return self._fitted().null_gain

    @property
    def matrix_(self):
        """Matrix that centred rows are multiplied by."""
        forward = self._fitted().forward
        return forward.dense(namespace(forward.left))

    @property
    def covariance_(self):
        """Covariance of the features."""
        return self._scale * self._statistics._covariance(self.scatter)

    @property
    def _ignores_scale(self):
        # A callable may do as it likes.
        return isinstance(self.transfer, str)

    def _validate_fit(self, X, y, sample_weight, **options):
        self._band()
        return super()._validate_fit(X, y, sample_weight, **options)

    def _check_moments(self, moments):
        self._band()

    def _parameters(self):
        # A band may be an array, which is no key.
        parameters = self.get_params(deep=False)
        others = (v for k, v in parameters.items() if k not in ("band", "device"))
        return (self._band(), *others)

    def _band(self):
        """Both edges of the band, checked."""
        edges = np.asarray(self.band)
        if edges.shape == (2,) and np.issubdtype(edges.dtype, np.number):
            low, high = (float(edge) for edge in edges)
            if 0 <= low < high <= 1:
                return low, high
        raise ValueError(
            f"band must be two shares of the variance with 0 <= low < high <= 1, got "
            f"{self.band!r}."
        )

    def _lost(self):
        try:
            fitted = self._fitted()
        except Exception:  # not fitted, or not with these parameters: use says so
            return ""
        if fitted.backward is not None:
            return ""
        gains = to_numpy(fitted.gains)
        lost = np.sum(np.abs(gains) <= _least(gains, 0.0))
        return (
            f"inverse_transform is not available: transfer={self.transfer!r} has taken "
            f"off {lost} of {len(gains)} directions. Use a transfer without gains of "
            f"0, or n_components to keep the leading directions alone."
        )

    def _factorise(self):
        moments, scale = self._statistics, self._scale
        xp = namespace(moments.means_)
        spectrum = moments._spectrum(self.scatter, rank_tol=self.rank_tol)
        k, d = self._count(spectrum), spectrum.values.shape[0]
        values = scale * spectrum.values[: spectrum.rank]
        mean = float(xp.sum(values)) / d
        transfer = self._transfer(values, mean, xp)
        gains = transfer.gains[:k]
        null_gain = transfer.at_zero if self.n_components is None else 0.0
        for cut in transfer.cuts:
            if cut < k:
                warn_of_tie(moments, spectrum, cut, f"transfer={self.transfer!r}")
        if k and not to_numpy(gains).any():
            self._warn_of_nothing(values)
        vectors = same_signs(spectrum.vectors[:, :k], xp)
        thin = spectrum.vectors.shape[1] < d
        forward = diagonal_map(vectors, gains, null_gain, xp, thin=thin)
        backward = None
        least = _least(to_numpy(gains), null_gain if k < d else 0.0)
        if bool(xp.all(xp.abs(gains) > least)):
            back = 1 / null_gain if null_gain > least else 0.0
            backward = diagonal_map(vectors, 1 / gains, back, xp, thin=thin)
        return _Fitted(
            forward=forward,
            backward=backward,
            condition=map_condition(values[:k], gains, null_gain if k < d else 0.0, xp),
            lengths=LinearMap(vectors * gains),
            values=values,
            n_kept=k,
            gains=gains,
            null_gain=null_gain,
        )

    def _transfer(self, values, mean, xp):
        """Gains of all directions with variance."""
        if callable(self.transfer):
            return _transfer.from_function(values, self.transfer, xp)
        arguments = {
            "power": (self.exponent,),
            "soft": (self.epsilon, mean),
            "band": self._band(),
            "drop_top": (self.n_drop,),
            "direct_pred": (self.epsilon,),
        }[self.transfer]
        return getattr(_transfer, self.transfer)(values, *arguments, xp)

    def _warn_of_nothing(self, values):
        share = float(values[0] / namespace(values).sum(values))
        warn_caller(
            f"transfer={self.transfer!r} takes off all directions with variance: "
            f"rows like those fitted on become 0. The first of {values.shape[0]} holds "
            f"the share {share:.3g} of the variance.",
            CollapseWarning,
        )


def _least(gains, null_gain):
    """Gain that the rounding of the largest hides."""
    return _EPS * float(np.max(np.abs(gains), initial=null_gain))
