"""Whitening by Newton's iteration, without an eigendecomposition."""

from functools import cached_property
from numbers import Integral

from sklearn_collapse._linalg._blocks import BlockMap, diagonal_blocks
from sklearn_collapse._linalg._iternorm import iternorm, variances
from sklearn_collapse._shrinkage import SHRINKAGE, ShrinkageMixin
from sklearn_collapse.utils._arrays import namespace
from sklearn_collapse.utils._sklearn_private import Interval, fit_context
from sklearn_collapse.whitening._base import LinearTransformer


class _Fitted:
    """What fitting decides, as `Maps`; the way back is made when it is needed.

    float32 products err by eps sqrt(condition) at the most in an output, whose variance
    is 1 or less.
    """

    def __init__(self, forward, condition, shrinkage):
        self.forward = forward
        self.condition = condition
        self.shrinkage = shrinkage

    @cached_property
    def backward(self):
        return self.forward.inverse(namespace(*self.forward.stacks))


class IterNormWhitener(ShrinkageMixin, LinearTransformer):
    """Whiten features softly by a few iterations of Newton's method.

    The transformation that iterative normalization and INTL train networks with:
    directions of much variance become white, those of little variance are raised by
    at most 1.5 per iteration. Needs matrix products only. Fitted from class moments, so
    that it streams.

    Parameters
    ----------
    n_iter : int, default=5
        Number of iterations T. Five are usual for normalization, four for INTL; the
        more, the nearer to ZCA whitening.
    n_groups : int, default=1
        Number of groups of consecutive columns that are whitened separately, at most
        d. Their sizes differ by at most one, larger ones first, as in
        ``numpy.array_split``.
    shrinkage : {None, "oas", "ledoit_wolf"} or float, default=None
        Share of (tr Sigma / d) I in the covariance of all columns: a number in [0, 1],
        or the estimate of Chen et al. or of Ledoit and Wolf. The latter needs rows:
        ``fit`` alone.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    mean_ : array of shape (d,)
        Mean of all rows.
    whitening_ : array of shape (d, d)
        Whitening matrix W, symmetric, with a block for each group: output is
        (x - mean) W.
    trace_loss_ : float
        Sum over columns of (Var_j - 1)^2, Var_j the variance (normaliser n) of the
        output on the rows that were fitted: INTL's trace loss. A constant column adds
        1.
    shrinkage_ : float
        Share of the identity that was used.
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
    SpectralWhitener : With "zca" the limit of many iterations, exact at any rank.

    Notes
    -----
    For the covariance Sigma of a group (normaliser n, after shrinkage)::

        S = Sigma / tr Sigma,  P_0 = I,  P_{j+1} = (3 P_j - P_j^3 S) / 2,
        W = P_T / sqrt(tr Sigma)

    An eigenvalue x of S becomes the variance x p_T^2 of the output, in (0, 1], with
    p_0 = 1 and p_{j+1} = (3 p_j - p_j^3 x) / 2. At finite T the output is therefore
    not white: at T = 4 the variances may go from 4e-4 to 0.999. There is no
    ``score``, which would take it for white.

    The recursion as it stands blows up from rounding after some ten iterations when
    Sigma is ill-conditioned. The coupled form that is used here, Y_0 = S, Z_0 = I,
    M = (3 I - Z Y) / 2, Y <- Y M, Z <- M Z, P_j = Z_j, has the same values and is
    stable. The number of iterations has no upper limit; those are left out that could
    act on rounding errors only, after about 40 (16 with moments in single precision).

    Directions without variance are multiplied by 1.5^T / sqrt(tr Sigma) at the most.
    A group of constant columns maps to 0 and comes back as its mean; all else is
    brought back by ``inverse_transform``. No constant is added to the covariance:
    the unit of the features does not matter.

    References
    ----------
    .. [1] Huang, L., Zhou, Y., Zhu, F., Liu, L., Shao, L. (2019). "Iterative
       Normalization: Beyond Standardization towards Efficient Whitening". CVPR.
    .. [2] Weng, X., Ni, Y., Song, T., Luo, J., Anwer, R. M., Khan, S., Khan, F. S.,
       Huang, L. (2024). "Modulate Your Spectrum in Self-Supervised Learning". ICLR.
    .. [3] Higham, N. J. (2008). "Functions of Matrices: Theory and Computation". SIAM.
       Section 6.7 for the coupled form.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.whitening import IterNormWhitener
    >>> X = load_cifar8_features().data
    >>> values = np.linalg.eigvalsh(np.cov(X.T))
    >>> bool(values[-1] / values[0] > 1e3)
    True
    >>> Z = IterNormWhitener(n_iter=5).fit_transform(X)
    >>> values = np.linalg.eigvalsh(np.cov(Z.T))
    >>> bool(values[-1] / values[0] > 100)  # not white after five iterations
    True
    >>> Z = IterNormWhitener(n_iter=30).fit_transform(X)
    >>> np.allclose(np.cov(Z.T, ddof=0), np.eye(Z.shape[1]), atol=1e-3)
    True
    """

    _parameter_constraints: dict = {
        "n_iter": [Interval(Integral, 1, None, closed="left")],
        "n_groups": [Interval(Integral, 1, None, closed="left")],
        "shrinkage": SHRINKAGE,
        "device": [str],
    }

    _left_by_fit = (*LinearTransformer._left_by_fit, "_fourth")
    _void_after_update = ("_fourth",)

    def __init__(self, n_iter=5, *, n_groups=1, shrinkage=None, device="auto"):
        self.n_iter = n_iter
        self.n_groups = n_groups
        self.shrinkage = shrinkage
        self.device = device

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Gather the covariance.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of any array library; at least two rows.
        y : None
            Ignored.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows. Rows of weight 0 are left out.

        Returns
        -------
        self : object
            Fitted transformer.
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
            Ignored, unless the moments came from elsewhere with labels: then the
            labels of these rows.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            The transformer.
        """
        return self._add_rows(X, y, sample_weight)

    @property
    def whitening_(self):
        """Whitening matrix."""
        forward = self._fitted().forward
        return forward.dense(namespace(*forward.stacks))

    @property
    def trace_loss_(self):
        """Trace loss of the output."""
        return self._statistics._cached(
            (type(self).__name__, "trace_loss", *self._parameters()), self._trace_loss
        )

    @property
    def shrinkage_(self):
        """Share of the identity."""
        return self._fitted().shrinkage

    def _check_labels(self, y):
        return self._labels_of_total(y)

    def _gather(self, X, y, weights):
        self._check_groups()
        super()._gather(X, y, weights)

    def _learn_from_rows(self, X, y, weights):
        self._learn_fourth(X, y, weights)

    def _learn_without_rows(self, y):
        self._check_groups()

    def _check_groups(self):
        if self.n_groups > self.n_features_in_:
            raise ValueError(
                f"n_groups={self.n_groups} is more than "
                f"n_features={self.n_features_in_}: a group needs a column. Pass "
                f"n_groups of at most {self.n_features_in_}."
            )

    def _covariances(self, share):
        """Covariances of the groups, as stacks; constant columns have zeros."""
        self._check_groups()
        moments = self._statistics
        covariance = moments._covariance("total", share)
        xp = namespace(covariance)
        diagonal = xp.linalg.diagonal(covariance)
        _, deviations = moments._column_scales(diagonal, moments._mean_square())
        varies = xp.astype(deviations > 0, covariance.dtype)
        covariance = covariance * varies[:, None] * varies
        return diagonal_blocks(covariance, self.n_groups, xp)

    def _factorise(self):
        share = self._intensity("total")
        eps = self._statistics._product_eps()
        stacks = self._covariances(share)
        xp = namespace(*stacks)
        found = [iternorm(stack, self.n_iter, eps, xp) for stack in stacks]
        forward = BlockMap(tuple(stack for stack, _ in found))
        return _Fitted(forward, max(bound for _, bound in found), share)

    def _trace_loss(self):
        stacks, covariances = self._fitted().forward.stacks, self._covariances(0.0)
        xp = namespace(*stacks)
        return sum(
            float(xp.sum((variances(stack, own, xp) - 1) ** 2))
            for stack, own in zip(stacks, covariances, strict=True)
        )
