"""The share of a row's length in the nearest of the classes' subspaces."""

from sklearn_collapse._class_subspaces import SUBSPACES, ClassSubspacesMixin
from sklearn_collapse.ood._moments_detector import MomentsDetector


class ClassSubspaceDetector(ClassSubspacesMixin, MomentsDetector):
    """Largest share of a row's length that lies in the subspace of a class.

    Each class is a linear subspace, the leading directions of its own rows. A row that
    lies near none of them is like no class. Fitted from moments in closed form, so
    that it streams.

    Parameters
    ----------
    n_components : int or float, default=1
        Dimension of each class's subspace, or the share of the class's second moment,
        in (0, 1), that the fewest leading directions reach; classes then differ in
        dimension. At most the rank of the class, and one less than that of all rows:
        all directions hold every row.
    centered : bool, default=False
        Whether directions are those from the unweighted mean of the class means.
        Otherwise they are those from the origin, and translating the features changes
        the ranking.
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
    means_ : array of shape (C, d)
        Class means.
    classes_ : ndarray of shape (C,)
        Labels, if y was given.
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
    NECODetector : One subspace for all classes.
    sklearn_collapse.etf.GrassmannClassifier : Classifies by the same ratios.

    Notes
    -----
    The score is, with the centre m, ::

        max_c ||S_c^T (x - m)|| / ||x - m||

    in [0, 1], and 0 for a row at m. S_c holds the leading eigenvectors of the second
    moment of class c about m, not about its own mean. With one direction per class
    and collapsed features it is the largest cosine with a class mean, its sign aside.
    Without y all rows are one class.

    The length of a row does not count, only its direction from m, and a subspace does
    not tell a direction from its opposite. Features of a rectified layer have no
    opposites about the origin. Rotating the features and multiplying them by a
    constant change no score, and with ``centered=True`` translating them does not
    either. A unit that was off in training and is lit lowers the score.

    Ratios are worked out in float64: those of in-distribution rows are close to 1.
    Directions that rounding explains do not count, by the rank rule of the library
    with the rows of the class. A class whose rows all lie at m has no direction: its
    ratio is 0. Where the last direction that is kept and the first that is not have
    the same eigenvalue, the choice between them is arbitrary, and a warning says so.
    Larger subspaces have larger ratios, of outliers as well. The moments need memory
    for C d^2 numbers.

    References
    ----------
    .. [1] Watanabe, S., Pakvasa, N. (1973). "Subspace method of pattern recognition".
       1st International Joint Conference on Pattern Recognition.
    .. [2] Wang, H., Li, Z., Zhang, W. (2023). "Get the Best of Both Worlds: Improving
       Accuracy and Transferability by Grassmann Class Representation". ICCV.
       arXiv 2308.01547.

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import ClassSubspaceDetector
    >>> data = load_cifar8_features()
    >>> detector = ClassSubspaceDetector().fit(data.data, data.target)
    >>> inside = detector.score_samples(data.X_test)
    >>> outside = detector.score_samples(data.ood["far: texture"])
    >>> y_true = [1] * len(inside) + [0] * len(outside)
    >>> round(roc_auc_score(y_true, [*inside, *outside]), 2)
    0.96
    """

    _parameter_constraints: dict = {
        **MomentsDetector._parameter_constraints,
        **SUBSPACES,
    }

    def __init__(
        self,
        n_components=1,
        *,
        centered=False,
        contamination=0.05,
        outlier_label=None,
        device="auto",
    ):
        self.n_components = n_components
        self.centered = centered
        self.contamination = contamination
        self.outlier_label = outlier_label
        self.device = device

    def _score_rows(self, X):
        # The best ratios are near 1, where float32 sums differ by more than scores do.
        return self._ratios(X, largest=True, wide=True)
