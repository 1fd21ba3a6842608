"""NECO: the share of a row's length in the leading principal components."""

import math
from numbers import Integral, Real
from typing import NamedTuple

from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._components import count_components, is_tie
from sklearn_collapse._linalg._rows import centring
from sklearn_collapse._linalg._spectrum import Spectrum
from sklearn_collapse._linalg._subspace import subspace_ratio
from sklearn_collapse.ood._head import HEAD, HeadMixin
from sklearn_collapse.ood._moments_detector import MomentsDetector
from sklearn_collapse.utils._arrays import Array, Rows, float_dtype, namespace
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions


class _Space(NamedTuple):
    """The rows z = (x - mean) / scale that are projected, and what they keep."""

    mean: Array | None  # (d,)
    scale: Array | None  # (d,)
    spectrum: Spectrum
    vectors: Array  # (d, m)


class NECODetector(HeadMixin, MomentsDetector):
    """Share of a row's length that lies in the leading principal components.

    Collapsed features of the training classes fill few directions, and features of
    other inputs lie outside of them. Fitted from plain moments, so that it streams.

    Parameters
    ----------
    n_components : int or float, default=0.9
        Number of principal components, or the share of the variance, in (0, 1), that
        they reach together. A share that needs all features leaves the last direction
        out, unless ``denominator="raw"`` or it is tied: else every ratio is 1.
    scale : bool, default=True
        Whether features are standardised first. The authors advise against it where
        clusters are well separated.
    center : bool, default=True
        Whether the mean is taken off first. Without it the principal components are
        those of the second moment about the origin. Standardising takes it off anyway.
    head : {None, "lda"} or classifier, default=None
        Multiplies the ratio by the largest logit. "lda" is the linear discriminant of
        the same moments, which needs y; a `LinearHead` or a ``FrozenEstimator`` is
        used as it is; any other classifier is cloned and fitted on the same rows, by
        ``fit`` alone.
    denominator : {"scaled", "raw"}, default="scaled"
        Length that the projection is divided by: that of the row that is projected,
        or that of the row as it came in.
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
        Number of principal components m.
    components_ : array of shape (m, d)
        Principal components of the standardised (centred, raw) rows, up to sign.
    eigenvalues_ : array of shape (`rank_`,)
        Variance along all principal components, descending; mean squares without
        centring.
    rank_ : int
        Number of principal components that there are, by the rank rule.
    mean_ : array of shape (d,)
        What is taken off the rows; zeros without centring.
    scale_ : array of shape (d,) or None
        What their columns are divided by: standard deviations (normaliser n), and 1
        for columns that are constant to the rounding of the input.
    means_ : array of shape (C, d)
        Class means.
    head_ : {None, "lda"} or classifier
        Fitted head.
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
    MahalanobisDetector : Uses the directions that vary little as well.
    LogitDetector : The logits alone.

    Notes
    -----
    With z = (x - mean) / scale and V the first m eigenvectors of the covariance of
    the z of all training rows, the score is ||z V|| / ||z||, in [0, 1], or
    ||z V|| / ||x|| with ``denominator="raw"``, times max_c l_c(x) with a head. It is 0
    for a row whose denominator is 0. The settings of the authors' code are

    ===========  ==================================
    network      parameters
    ===========  ==================================
    ViT          ``head=head``
    DeiT, Swin   ``head=head, denominator="raw"``
    ResNet       none
    ===========  ==================================

    and leaving out its scaler, while its PCA still centres, is ``scale=False,
    denominator="raw"``. With as many components as features and
    ``denominator="scaled"`` the ratio is 1 for every row. The largest logit is taken
    as it is: where it is negative, a larger ratio gives a lower score.

    A column that was constant in training adds nothing to the numerator. In the
    denominator of ``scale=True`` it counts with its deviation from that constant, in
    the unit of the features (scikit-learn's StandardScaler divides it by 1 as well),
    so that a unit that was dead in training and is lit lowers the score.

    Without a head, or with ``head="lda"``, multiplying all features by a constant
    changes no ranking, such units aside. Where the last component that is kept and the
    first that is not have the same variance, the choice between them is arbitrary, and
    a warning says so: the class means of a collapsed network have C - 1 equal ones.

    References
    ----------
    .. [1] Ben Ammar, M., Belkhir, N., Popescu, S., Manzanera, A., Franchi, G. (2024).
       "NECO: Neural Collapse Based Out-of-distribution Detection". ICLR.
       arXiv 2310.06823.

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import NECODetector
    >>> data = load_cifar8_features()
    >>> detector = NECODetector().fit(data.data)
    >>> inside = detector.score_samples(data.X_test)
    >>> outside = detector.score_samples(data.ood["far: digits"])
    >>> y_true = [1] * len(inside) + [0] * len(outside)
    >>> round(roc_auc_score(y_true, [*inside, *outside]), 2)
    0.97
    """

    _parameter_constraints: dict = {
        **MomentsDetector._parameter_constraints,
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="neither"),
        ],
        "scale": ["boolean"],
        "center": ["boolean"],
        "head": HEAD,
        "denominator": [StrOptions({"scaled", "raw"})],
    }
    _left_by_fit = (*MomentsDetector._left_by_fit, "head_")

    def __init__(
        self,
        n_components=0.9,
        *,
        scale=True,
        center=True,
        head=None,
        denominator="scaled",
        contamination=0.05,
        outlier_label=None,
        device="auto",
    ):
        self.n_components = n_components
        self.scale = scale
        self.center = center
        self.head = head
        self.denominator = denominator
        self.contamination = contamination
        self.outlier_label = outlier_label
        self.device = device

    @property
    def n_components_(self):
        """Number of principal components."""
        return self._space().vectors.shape[1]

    @property
    def components_(self):
        """Principal components."""
        vectors = self._space().vectors
        return namespace(vectors).matrix_transpose(vectors)

    @property
    def eigenvalues_(self):
        """Variance along the principal components."""
        return self._space().spectrum.values[: self.rank_]

    @property
    def rank_(self):
        """Number of principal components that there are."""
        return self._space().spectrum.rank

    @property
    def mean_(self):
        """What is taken off the rows."""
        mean = self._space().mean
        means = self.moments_.means_
        return namespace(means).zeros_like(means[0, :]) if mean is None else mean

    @property
    def scale_(self):
        """What the columns are divided by."""
        return self._space().scale

    @property
    def _ignores_scale(self):
        return self.head is None or isinstance(self.head, str)

    def _score_rows(self, X):
        space = self._space()
        work = float(X.shape[0]) * math.prod(space.vectors.shape)
        rows = Rows(X, self.device, work)
        factor, width = self._largest_logit(rows, space)
        ratio = subspace_ratio(
            rows,
            space.vectors,
            centre=space.mean,
            scale=space.scale,
            raw=self.denominator == "raw",
            factor=factor,
            width=width,
        )
        return rows.home(ratio)

    def _largest_logit(self, rows, space):
        """Map of blocks of x and of z to the largest logit, and its width."""
        head, xp = self._resolved_head(), rows.xp
        if head is None:
            return None, 0
        width = len(head.classes)
        if head.estimator is not None:
            return lambda block, _: xp.max(head.logits(block), axis=1), width
        if space.mean is not None:
            head = head.about(space.mean, space.scale).placed(rows)
            return lambda _, z: xp.max(head.logits(z), axis=1), width
        # Logits of rows far from the origin would lose digits.
        mean = self.moments_.mean_
        head = head.about(mean).placed(rows)
        centred = centring(rows, mean, float_dtype(rows.X, xp))
        return lambda block, _: xp.max(head.logits(centred(block)), axis=1), width

    def _space(self):
        check_is_fitted(self, "moments_")
        key = ("neco", self.n_components, self.scale, self.center)
        return self.moments_._cached(key, self._factorise)

    def _factorise(self):
        moments = self.moments_
        xp = namespace(moments.means_)
        if not self.scale:
            spectrum = moments._spectrum("total" if self.center else "second_moment")
            vectors = spectrum.vectors[:, : self._count(spectrum)]
            return _Space(
                moments.mean_ if self.center else None, None, spectrum, vectors
            )
        spectrum, deviations = moments._correlations("total")
        constant = deviations == 0
        scale = xp.where(constant, xp.ones_like(deviations), deviations)
        vectors = spectrum.vectors[:, : self._count(spectrum, deviations)]
        # Exactly nothing, whatever a new row may hold there.
        vectors = xp.where(constant[:, None], xp.zeros_like(vectors), vectors)
        return _Space(moments.mean_, scale, spectrum, vectors)

    def _count(self, spectrum, deviations=None):
        """Number of components, or an error that says why there are not as many."""
        wanted, rank = self.n_components, spectrum.rank
        d = spectrum.values.shape[0]
        if not rank or (isinstance(wanted, Integral) and wanted > rank):
            raise ValueError(
                f"n_components={wanted} is more than there are: the rank of the "
                f"{'standardised ' if self.scale else ''}rows is {rank} "
                f"(n_features={d}, n_samples={self.moments_.n_samples_:g}). Pass a "
                f"smaller number or a share of the variance, and rows that vary."
            )
        count = count_components(self.moments_, spectrum, wanted, deviations)
        if isinstance(wanted, Integral) or self.denominator == "raw" or count < d:
            return count
        # With all of them the ratio of every row is 1. Leave the last one out, if
        # which one that is is no matter of chance.
        tied = d == 1 or is_tie(self.moments_, spectrum, d - 1, deviations)
        return d if tied else d - 1
