"""Projection onto the directions that class means span, or onto all others."""

import math
from numbers import Integral, Real
from typing import NamedTuple

from sklearn_collapse._base import LabelledMomentsEstimator
from sklearn_collapse._components import count_components
from sklearn_collapse._linalg._maps import LinearMap
from sklearn_collapse._linalg._spectrum import Spectrum
from sklearn_collapse._linalg._subspace import projection
from sklearn_collapse._linalg._whitening import same_signs
from sklearn_collapse.metrics._geometry import ClassGeometry
from sklearn_collapse.utils._arrays import Array, namespace
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions, fit_context
from sklearn_collapse.whitening._base import LinearTransformer


class _Fitted(NamedTuple):
    """What fitting decides; the first three as `Maps`."""

    forward: LinearMap
    backward: LinearMap
    condition: float  # variance of the rows over that of the output
    values: Array  # (rank,) eigenvalues that count
    vectors: Array  # (d, k) leading directions


class ClassSubspaceProjector(LinearTransformer, LabelledMomentsEstimator):
    """Keep the directions in which class means differ, or remove them.

    Splits features into what tells classes apart on average and the rest: the signal
    and the noise of neural collapse, or a concept and what is left once it is erased.
    The two outputs add up to the centred features.

    Parameters
    ----------
    keep : {"between", "within"}, default="between"
        "between" projects onto the span of the centred class means, "within" onto its
        orthogonal complement, where all class means coincide. Both outputs have d
        columns under the names of the input, and mean 0.
    n_components : int, float or None, default=None
        Leading between-class directions that are kept, or with "within" removed: a
        number, at most the rank; the fewest with a share of the between-class
        variance in (0, 1); or all.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    mean_ : array of shape (d,)
        Mean of all rows.
    classes_ : ndarray of shape (C,)
        Labels.
    means_ : array of shape (C, d)
        Class means.
    components_ : array of shape (`n_components_`, d)
        Orthonormal between-class directions that are kept, or with "within" removed.
    eigenvalues_ : array of shape (`rank_`,)
        Eigenvalues of the between-class covariance that count, descending.
    rank_ : int
        Dimension of the span of the centred class means, at most C - 1. With "within"
        and equal class means it is 0, and the output the centred features.
    n_components_ : int
        Number of directions that are kept or removed.
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
    SpectralWhitener : ``scatter="within"`` makes the noise white instead.
    sklearn.discriminant_analysis.LinearDiscriminantAnalysis : Directions in which
        class means differ in units of the noise.

    Notes
    -----
    With the leading eigenvectors V, in columns, of the between-class covariance ::

        sum_c n_c / n (m_c - m) (m_c - m)^T

    of the class means m_c about the mean m of all rows, a row x becomes ::

        between   V V^T (x - m)
        within    (x - m) - V V^T (x - m)

    The span of the centred class means does not depend on how many rows a class has;
    which of its directions lead does. Its dimension is decided as in the collapse
    metrics: differences of class means that rounding explains do not count.

    Where all class means coincide, no linear model that is fitted by a convex loss
    predicts the class better than a constant does [2]_: "within" erases labels that
    way, with two classes as in [3]_. Non-linear models, and labels that were not
    fitted on, are not covered. ``inverse_transform`` adds the mean: directions that
    were left out come back at their mean.

    float32 rows are mapped in float32, unless the output is so small a part of them
    that this would show in the fourth digit.

    References
    ----------
    .. [1] Papyan, V., Han, X. Y., Donoho, D. L. (2020). "Prevalence of neural collapse
       during the terminal phase of deep learning training". PNAS 117(40).
    .. [2] Belrose, N., Schneider-Joseph, D., Ravfogel, S., Cotterell, R., Raff, E.,
       Biderman, S. (2023). "LEACE: Perfect linear concept erasure in closed form".
       NeurIPS.
    .. [3] Haghighatkhah, P., Fokkens, A., Sommerauer, P., Speckmann, B., Verbeek, K.
       (2022). "Better Hit the Nail on the Head than Beat around the Bush: Removing
       Protected Attributes with a Single Projection". EMNLP. Mean projection.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.whitening import ClassSubspaceProjector
    >>> data = load_cifar8_features()
    >>> X, y = data.data, data.target
    >>> between = ClassSubspaceProjector("between").fit(X, y)
    >>> within = ClassSubspaceProjector("within").fit_moments(between.moments_)
    >>> between.rank_
    7
    >>> signal, noise = between.transform(X), within.transform(X)
    >>> np.allclose(signal + noise, X - X.mean(axis=0), atol=1e-5)
    True
    >>> round(float(signal.var(axis=0).sum() / X.var(axis=0).sum()), 2)
    0.75
    """

    _parameter_constraints: dict = {
        "keep": [StrOptions({"between", "within"})],
        "n_components": [
            None,
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="neither"),
        ],
        "device": [str],
    }

    def __init__(self, keep="between", *, n_components=None, device="auto"):
        self.keep = keep
        self.n_components = n_components
        self.device = device

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Find the directions in which class means differ.

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
            Fitted transformer.
        """
        return self._fit_rows(X, y, sample_weight)

    @fit_context(prefer_skip_nested_validation=True)
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
            The transformer. Whether there are directions to keep shows on use.
        """
        return self._add_rows(X, y, sample_weight)

    @property
    def components_(self):
        """Between-class directions that are kept or removed."""
        vectors = self._fitted().vectors
        return namespace(vectors).matrix_transpose(vectors)

    @property
    def eigenvalues_(self):
        """Eigenvalues that count."""
        return self._fitted().values

    @property
    def rank_(self):
        """Dimension of the span of the centred class means."""
        return self._fitted().values.shape[0]

    @property
    def n_components_(self):
        """Number of directions that are kept or removed."""
        return self._fitted().vectors.shape[1]

    def _check_moments(self, moments):
        self._fitted()  # raises if the parameters ask for what there is not

    def _factorise(self):
        moments = self._statistics
        geometry = ClassGeometry(moments)
        xp = geometry.xp
        _, sizes, rows = geometry.between
        vectors = same_signs(xp.matrix_transpose(rows), xp)
        spectrum = Spectrum(sizes**2, vectors, rank=sizes.shape[0], floor=0.0)
        k = self._count(moments, spectrum)
        within = self.keep == "within"
        linear = projection(vectors[:, :k], complement=within, xp=xp)
        return _Fitted(
            forward=linear,
            backward=linear,
            condition=_size_ratio(moments, spectrum, k, complement=within),
            values=spectrum.values,
            vectors=vectors[:, :k],
        )

    def _count(self, moments, spectrum):
        """Number of directions to keep or to remove."""
        wanted, rank = self.n_components, spectrum.rank
        if not rank and self.keep == "between":
            raise ValueError(
                "All class means coincide, to rounding: there is no direction to keep. "
                "Check that the features vary with y."
            )
        if isinstance(wanted, Integral) and wanted > rank:
            raise ValueError(
                f"n_components={wanted} is more than the rank {rank} of the means of "
                f"{len(moments.classes_)} classes. Ask for at most {rank} directions, "
                f"or pass n_components=None for all that there are."
            )
        if wanted is None or not rank:
            return rank
        return count_components(moments, spectrum, wanted)


def _size_ratio(moments, spectrum, k, *, complement):
    """Variance of centred rows, over that of their projection.

    Parameters
    ----------
    moments : ClassMoments
    spectrum : Spectrum
        Of the between-class covariance, all of it.
    k : int
        Number of leading directions that are projected onto.
    complement : bool
        Whether it is the others.

    Returns
    -------
    float
        Infinite where nothing is left.
    """
    xp = namespace(spectrum.values)
    n = moments.n_samples_
    vectors = spectrum.vectors[:, :k]
    noise = float(xp.linalg.trace(moments.scatter_)) / n
    inside = float(xp.sum(vectors * xp.matmul(moments.scatter_, vectors))) / n
    leading = float(xp.sum(spectrum.values[:k]))
    others = float(xp.sum(spectrum.values[k:]))
    part = noise - inside + others if complement else inside + leading
    return (noise + leading + others) / part if part > 0 else math.inf
