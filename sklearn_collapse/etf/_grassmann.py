"""Classification by one linear subspace per class."""

from numbers import Real

from sklearn_collapse._base import LabelledMomentsEstimator
from sklearn_collapse._class_subspaces import SUBSPACES, ClassSubspacesMixin
from sklearn_collapse.etf._classification import MomentsClassifierMixin
from sklearn_collapse.metrics._geometry import check_two_classes
from sklearn_collapse.utils._arrays import namespace
from sklearn_collapse.utils._sklearn_private import Interval, fit_context
from sklearn_collapse.utils._warnings import CollapseWarning, warn_caller


class GrassmannClassifier(
    MomentsClassifierMixin, ClassSubspacesMixin, LabelledMomentsEstimator
):
    """Classify by the subspace that holds the largest share of a row's length.

    Each class is a linear subspace, the leading directions of its own rows, and not a
    vector: features may vary within it at no cost. Fitted from moments in closed form,
    so that it streams.

    Parameters
    ----------
    n_components : int or float, default=2
        Dimension of each class's subspace, or the share of the class's second moment,
        in (0, 1), that the fewest leading directions reach; classes then differ in
        dimension. At most the rank of the class, and one less than that of all rows:
        all directions hold every row.
    centered : bool, default=False
        Whether directions are those from the unweighted mean of the class means.
        Otherwise they are those from the origin, as in the paper, and translating the
        features changes the decisions. True is for three and more classes (see Notes).
    gamma : float, default=25.0
        Factor of the logits, larger than 0: the inverse temperature of
        ``predict_proba``.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    subspaces_ : array of shape (C, d, max(`n_components_`))
        Orthonormal columns S_c of each class, by descending eigenvalue, up to a
        rotation among equal ones. Classes of fewer dimensions are filled up with
        columns of zeros.
    eigenvalues_ : array of shape (C, d)
        Eigenvalues of each class's second moment that count, descending, then zeros.
    n_components_ : ndarray of int of shape (C,)
        Dimension of each class's subspace.
    centre_ : array of shape (d,)
        What is taken off the rows; zeros without centring.
    classes_ : ndarray of shape (C,)
        Labels.
    means_ : array of shape (C, d)
        Class means.
    moments_ : ClassMoments
        Fitted state, with one d x d scatter per class.
    device_ : str
        Device on which the moments were gathered.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had any.

    See Also
    --------
    sklearn.neighbors.NearestCentroid : Each class a point.
    sklearn_collapse.ood.ClassSubspaceDetector : The largest ratio, to find
        out-of-distribution rows.

    Notes
    -----
    The logit of class c is, with the centre m, ::

        gamma ||S_c^T (x - m)|| / ||x - m||

    in [0, gamma], and 0 for a row at m. S_c holds the leading eigenvectors of the
    second moment of the class about m, not about its own mean ::

        (1 / n_c) sum_i w_i (x_i - m)(x_i - m)^T
            = Sigma_c + (mu_c - m)(mu_c - m)^T

    with the sum n_c of the weights, the covariance Sigma_c (normaliser n_c) and the
    mean mu_c of class c. For features that have collapsed it is the line through m and
    mu_c. Wang et al. [1]_ train the subspaces on the Grassmannian together with the
    network; the leading directions are the choice of Watanabe and Pakvasa [2]_, which
    maximises the mean squared length of the class's own rows along S_c.

    Class means count alike in m, so that the number of rows of the other classes
    changes nothing about a class. Multiplying all features by a constant changes
    nothing at all.

    A subspace does not tell a direction from its opposite. With two classes, rows at
    either class mean lie on one line through m, on opposite sides, and get the same
    prediction: where the means are what separates two classes, a `CollapseWarning`
    asks for ``centered=False``. Of more classes, those whose means are opposite are
    told apart by their scatter alone. Features of a rectified layer have no opposites
    about the origin: there ``centered=False`` can be better for any number of
    classes.

    Directions that rounding explains do not count, by the rank rule of the library
    with the rows of the class. A class whose rows all lie at m has no direction: its
    dimension and its logits are 0. Where the last direction that is kept and the first
    that is not have the same eigenvalue, the choice between them is arbitrary, and a
    warning says so. Larger subspaces have larger ratios: with a share of the second
    moment, classes that spread into more directions are predicted more often.

    The moments need memory for C d^2 numbers.

    References
    ----------
    .. [1] Wang, H., Li, Z., Zhang, W. (2023). "Get the Best of Both Worlds: Improving
       Accuracy and Transferability by Grassmann Class Representation". ICCV.
       arXiv 2308.01547.
    .. [2] Watanabe, S., Pakvasa, N. (1973). "Subspace method of pattern recognition".
       1st International Joint Conference on Pattern Recognition.

    Examples
    --------
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.etf import GrassmannClassifier
    >>> data = load_cifar8_features()
    >>> classifier = GrassmannClassifier(1)
    >>> classifier.fit(data.data, data.target).n_components_
    array([1, 1, 1, 1, 1, 1, 1, 1])
    >>> round(classifier.score(data.X_test, data.y_test), 2)
    0.85
    """

    _parameter_constraints: dict = {
        **SUBSPACES,
        "gamma": [Interval(Real, 0, None, closed="neither")],
        "device": [str],
    }

    def __init__(self, n_components=2, *, centered=False, gamma=25.0, device="auto"):
        self.n_components = n_components
        self.centered = centered
        self.gamma = gamma
        self.device = device

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None):
        """Find the subspace of each class.

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
            Fitted classifier.
        """
        return self._fit_rows(X, y, sample_weight)

    def _logits(self, X):
        return self._ratios(X, factor=self.gamma)

    def _factorise(self):
        moments = self.moments_
        check_two_classes(moments.classes_)
        fitted = super()._factorise()
        if self.centered and len(moments.classes_) == 2 and _are_apart(moments):
            warn_caller(
                "Two class means lie on opposite sides of their mean, and a subspace "
                "does not tell a direction from its opposite: rows at either mean get "
                "the same prediction, although the means are what separates these "
                "classes. Pass centered=False.",
                CollapseWarning,
            )
        return fitted

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # The blobs of scikit-learn's check have two features, so that a subspace is a
        # line, and lines do not tell a row from its opposite.
        tags.classifier_tags.poor_score = True
        return tags


def _are_apart(moments):
    """Whether two class means are further apart than two standard deviations.

    The deviation is that of the rows within classes, along the line of the means, the
    classes counting alike.
    """
    xp, means = namespace(moments.means_), moments.means_
    gap = means[1, :] - means[0, :]
    spread = xp.matmul(xp.matmul(moments.class_scatter_, gap), gap) / moments.counts_
    return float(xp.vecdot(gap, gap)) ** 2 > 4 * float(xp.mean(spread))
