"""Rotation and scale that bring class means onto an ideal frame."""

import math

from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from sklearn_collapse._linalg._maps import LinearMap, affine_rows
from sklearn_collapse.etf._base import FrameEstimator
from sklearn_collapse.utils._arrays import Rows, namespace
from sklearn_collapse.utils._dask import by_partition


class ETFAligner(ClassNamePrefixFeaturesOutMixin, TransformerMixin, FrameEstimator):
    """Turn and scale features so that class means come onto a frame.

    Orthogonal Procrustes analysis of the class means and a frame with one vector per
    class. Features of different networks become comparable, and each coordinate reads
    as the alignment with one class.

    Parameters
    ----------
    frame : {"simplex", "orthoplex", "hypercube", "spread"} or array-like of shape \
            (C, k), default="simplex"
        Target of the class means, row c for the c-th of the sorted labels. "simplex"
        is the equiangular tight frame among C axes, "orthoplex" and "hypercube" are
        polytopes in as few dimensions as they need, "spread" is `spread_frame` for
        more classes than those have. A frame is centred at the mean of its rows.
    matching : {"order", "optimal"}, default="order"
        Which row of the frame belongs to which class: that of the sorted labels, or
        the assignment under which class means come closest to their vertices (see
        Notes). For the simplex all are alike.
    scaling : bool, default=True
        Whether features are scaled as well; otherwise ``scale_`` is 1.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    rotation_ : array of shape (d, k)
        Partial isometry R: orthonormal on the directions that class means and frame
        share, zero elsewhere.
    scale_ : float
        Factor s.
    centre_ : array of shape (d,)
        Unweighted mean of the class means.
    frame_ : array of shape (C, k)
        Centred frame B, row c for class c.
    assignment_ : ndarray of int of shape (C,)
        Row of the frame that each class has.
    disparity_ : float
        In [0, 1]; 0 for class means that are the frame up to rotation, scale and
        translation. It does not depend on ``scaling``.
    rank_ : int
        Rank of the rotation.
    classes_ : ndarray of shape (C,)
        Labels.
    means_ : array of shape (C, d)
        Class means.
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
    ETFAlignmentScorer : How well the class means fit, class by class.
    simplex_etf : The simplex in any number of dimensions.
    scipy.spatial.procrustes : The same disparity for two plain matrices.

    Notes
    -----
    A holds the class means about their unweighted mean, B the frame about the mean of
    its rows; translating a frame changes nothing. R = U V^T minimises ||s A R - B||_F,
    with the singular vectors of A^T B whose singular values are not zero, and
    s = tr(B^T A R) / ||A||_F^2. The disparity is
    1 - (sum of singular values)^2 / (||A||^2 ||B||^2), computed from the residual, so
    that small ones keep their digits. What R leaves out of the class means counts.

    ``matching="optimal"`` chooses rotation and assignment together, for the largest
    sum of singular values. Up to six classes all assignments are compared. For more,
    which is a quadratic assignment problem, it is the best of several starts: the
    order, graph matching of the two Gram matrices, pairs of a class and a vertex, each
    improved in turns and, up to 32 classes, by exchanging pairs. That is never worse
    than the order and nearly always finds a frame whose rows were permuted, also with
    noise up to a disparity of about 0.03 for sixty classes and 0.01 for hundreds. For
    class means that fit more poorly it may miss the optimum, and mostly does with many
    classes. It does not depend on the basis or the unit of the features. A frame with
    symmetries has several optima: up to 256 classes the first in the order of their
    numbers is taken, which is the order of the classes if that is one of them. The
    search ends at a perfect fit; otherwise it takes seconds for 100 classes. More
    classes have fewer starts, each of which takes C^3.

    Class means decide, however many rows a class has. Coordinates of the simplex sum
    to zero: they span C - 1 dimensions.

    References
    ----------
    .. [1] Papyan, V., Han, X. Y., Donoho, D. L. (2020). "Prevalence of neural collapse
       during the terminal phase of deep learning training". PNAS 117(40).
    .. [2] Schönemann, P. H. (1966). "A generalized solution of the orthogonal
       Procrustes problem". Psychometrika 31(1).
    .. [3] Vogelstein, J. T., et al. (2015). "Fast Approximate Quadratic Programming
       for Graph Matching". PLOS ONE 10(4).

    Examples
    --------
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.etf import ETFAligner
    >>> data = load_cifar8_features()
    >>> aligner = ETFAligner().fit(data.data, data.target)
    >>> aligner.transform(data.X_test).shape[1] == len(aligner.classes_)
    True
    >>> round(aligner.disparity_, 2)
    0.22
    """

    _parameter_constraints: dict = {
        **FrameEstimator._parameter_constraints,
        "scaling": ["boolean"],
    }

    def __init__(
        self, frame="simplex", *, matching="order", scaling=True, device="auto"
    ):
        self.frame = frame
        self.matching = matching
        self.scaling = scaling
        self.device = device

    @by_partition
    def transform(self, X):
        """Compute coordinates in the frame, s (x - centre) R.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features.

        Returns
        -------
        array of shape (n, k)
            Coordinates; for the simplex k is the number of classes, and column c is
            the alignment with the c-th of ``classes_``.
        """
        X = self._validate_rows(X, "transform")
        matrix = self.scale_ * self.rotation_
        return self._map(X, matrix, centre=self.centre_)

    @by_partition
    def inverse_transform(self, X):
        """Turn coordinates back into features, centre + x R^T / s.

        Parameters
        ----------
        X : array-like of shape (n, k)
            Coordinates.

        Returns
        -------
        array of shape (n, d)
            Features: of transformed rows their projection on the directions that the
            rotation keeps.
        """
        rotation = self.rotation_
        X = self._validate_outputs(X, rotation.shape[1])
        matrix = namespace(rotation).matrix_transpose(rotation) / self.scale_
        return self._map(X, matrix, offset=self.centre_)

    @property
    def rotation_(self):
        """Partial isometry."""
        return self._require_aligned().alignment.rotation

    @property
    def scale_(self):
        """Factor."""
        scale = self._require_aligned().alignment.scale
        return scale if self.scaling else 1.0

    @property
    def centre_(self):
        """Unweighted mean of the class means."""
        return self._require_aligned().centre

    @property
    def frame_(self):
        """Centred frame."""
        return self._require_aligned().frame

    @property
    def assignment_(self):
        """Which row of the frame each class has."""
        return self._require_aligned().own

    @property
    def disparity_(self):
        """Distance of the class means from the frame."""
        return self._require_aligned().alignment.disparity

    @property
    def rank_(self):
        """Rank of the rotation."""
        return self._require_aligned().alignment.rank

    @property
    def _n_features_out(self):
        return self.rotation_.shape[1]

    def _check_moments(self, moments):
        super()._check_moments(moments)
        self._require_aligned()  # raises if the class means cannot be aligned

    def _map(self, X, matrix, **options):
        rows = Rows(X, self.device, work=float(X.shape[0]) * math.prod(matrix.shape))
        return affine_rows(rows, LinearMap(matrix), **options)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
