"""Neural collapse of features with continuous targets: NRC1 to NRC3."""

from numbers import Integral

from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._base import unchanged_on_error
from sklearn_collapse._regression_head import (
    has_to_be_fitted,
)
from sklearn_collapse.collapse._target_metrics import TargetMetricsScorer
from sklearn_collapse.utils._arrays import namespace
from sklearn_collapse.utils._available import available_unless
from sklearn_collapse.utils._sklearn_private import (
    HasMethods,
    Interval,
    StrOptions,
    fit_context,
)
from sklearn_collapse.utils._validation import (
    check_weights,
    drop_zero_weights,
)

# Others do not change on new rows, or neither direction is better.
_CRITERIA = ("nrc1", "nrc2")


def _unfitted_head(estimator):
    if not has_to_be_fitted(estimator.head):
        return ""
    return (
        f"{type(estimator.head).__name__} as head has to be fitted on all rows, so "
        f"there is fit, but neither partial_fit nor fit_moments. Pass weights, or an "
        f"estimator that is fitted."
    )


class RegressionCollapseScorer(TargetMetricsScorer):
    """Measure how far features with continuous targets have collapsed.

    One pass over the rows gives the metrics of neural regression collapse: features
    near a subspace of as many dimensions as there are targets (NRC1), near the row
    space of the head (NRC2), and a head whose Gram matrix follows the covariance of the
    targets (NRC3). Used as an estimator, ``score`` holds one of them out on new rows.

    Parameters
    ----------
    criterion : {"nrc1", "nrc2"}, default="nrc1"
        What ``score`` returns. "nrc2" needs a head; NRC3 does not change on new rows.
    n_components : int, default=None
        Dimension of the principal subspace of NRC1, by default the number of targets;
        no more than the rank of the features.
    head : array-like of shape (t, d) or estimator, default=None
        Weights W of the last layer, for NRC2 and NRC3: an array, or an estimator, of
        which ``coef_`` is taken. An estimator without ``coef_`` is cloned and fitted
        on the same rows. Cloning the scorer, as cross-validation does, clones the
        head as well: wrap one that is fitted in a ``FrozenEstimator`` to keep it so.
    centered : bool, default=False
        Whether NRC1 and NRC2 take the mean off the rows before they divide them by
        their lengths. The paper does not. It takes a second pass over the rows, so
        that both are absent after ``partial_fit`` and ``fit_moments``.
    metrics : {None, "all"} or list of str, default=None
        Which metrics ``metrics_`` holds. None: all that moments and the head allow.
        "id_gap" compares all pairs of rows, in ``fit`` only, and has to be asked for;
        it counts every row of positive weight once.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    metrics_ : dict of str to float
        Value of each metric. Computed on first access. Metrics that need a head are
        absent if there is none. "nrc3" is absent for a single target, of which any
        head has the form that it asks for, and nan if it was named.
    components_ : array of shape (k, d)
        Principal directions of NRC1, in rows; k is `n_components_`.
    n_components_ : int
        Number of principal directions.
    target_covariance_ : array of shape (t, t)
        Covariance of the targets, normaliser n.
    gamma_ : float
        The gamma of NRC3, in units of the targets squared; with a head only.
    n_targets_ : int
        Number t of targets.
    head_ : array of shape (t, d) or None
        Weights of the head.
    moments_ : ClassMoments
        Fitted state, moments of the rows.
    unit_moments_ : ClassMoments
        Moments of the rows divided by their lengths, if a metric needs them.
    target_moments_ : ClassMoments
        Moments of the targets. Absent after ``fit_moments`` without them.
    device_ : str
        Device on which the moments were gathered.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had any.

    See Also
    --------
    NeuralCollapseScorer : The same for class labels.
    sklearn_collapse.metrics : The same numbers as functions.

    Notes
    -----
    Formulas and conventions stand with the functions `nrc1`, `nrc2`, `nrc3` and
    `id_gap` of `sklearn_collapse.metrics`. From moments, NRC1 and NRC2 are traces of
    the second moment of rows of length 1 outside the subspace: they are never negative,
    and exact to about 1e-16, below which the functions, which visit the rows again,
    still see.

    References
    ----------
    .. [1] Andriopoulos, G., Dong, Z., Guo, L., Zhao, Z., Ross, K. (2024). "The
       Prevalence of Neural Collapse in Neural Multivariate Regression". NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.collapse import RegressionCollapseScorer
    >>> rng = np.random.default_rng(0)
    >>> y = rng.normal(size=(300, 2))
    >>> W = rng.normal(size=(2, 10))
    >>> X = y @ W + 0.1 * rng.normal(size=(300, 10))
    >>> scorer = RegressionCollapseScorer(head=W).fit(X[:200], y[:200])
    >>> {name: round(value, 3) for name, value in scorer.metrics_.items()}
    {'nrc1': 0.012, 'nrc2': 0.012, 'nrc3': 0.201}
    >>> round(scorer.score(X[200:]), 3)
    -0.013
    """

    _parameter_constraints: dict = {
        "criterion": [StrOptions(set(_CRITERIA))],
        "n_components": [None, Interval(Integral, 1, None, closed="left")],
        "head": [None, "array-like", HasMethods("fit")],
        "centered": ["boolean"],
        "metrics": [None, StrOptions({"all"}), list, tuple],
        "device": [str],
    }

    def __init__(
        self,
        criterion="nrc1",
        *,
        n_components=None,
        head=None,
        centered=False,
        metrics=None,
        device="auto",
    ):
        self.criterion = criterion
        self.n_components = n_components
        self.head = head
        self.centered = centered
        self.metrics = metrics
        self.device = device

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None):
        """Gather the moments of rows and targets.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of any array library.
        y : array-like of shape (n,) or (n, t)
            Targets.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            Fitted scorer.
        """
        return self._fit_rows(X, y, sample_weight)

    @available_unless(_unfitted_head)
    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X, y, sample_weight=None):
        """Add rows and their targets to the moments.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library of the rows before them.
        y : array-like of shape (n,) or (n, t)
            Targets, as many as before.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            The scorer.
        """
        return self._add_rows(X, y, sample_weight)

    @available_unless(_unfitted_head)
    @fit_context(prefer_skip_nested_validation=False)
    def fit_moments(self, moments, unit_moments=None, target_moments=None):
        """Fit from moments that were gathered elsewhere.

        Parameters
        ----------
        moments : ClassMoments
            Of the rows; it is left as it is, like the others.
        unit_moments : ClassMoments, default=None
            Moments of the same rows, gathered with ``normalize=True``, for NRC1 and
            NRC2.
        target_moments : ClassMoments, default=None
            Moments of the targets of the same rows, targets taken for features. Needed
            for NRC3, and for NRC1 unless ``n_components`` is given.

        Returns
        -------
        self : object
            The scorer.
        """
        with unchanged_on_error(self):
            super().fit_moments(moments, unit_moments)
            if target_moments is not None:
                self._check_target_moments(target_moments)
                self.target_moments_ = target_moments.copy()
            known = hasattr(self, "target_moments_")
            n_targets = self.n_targets_ if known else None
            self._take_head(self.moments_.means_, n_targets)
        return self

    def score(self, X, y=None, sample_weight=None):
        """Measure the criterion on new rows, signed so that larger is more collapsed.

        The principal directions, the head and, with ``centered=True``, the mean are
        the fitted ones. On the rows that were fitted this is minus
        ``metrics_[criterion]``.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features.
        y : array-like of shape (n,) or (n, t), default=None
            Not used.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        float
            The criterion, negated since lower is more collapsed.
        """
        check_is_fitted(self, "moments_")
        if self.criterion not in _CRITERIA:
            raise ValueError(
                f"criterion must be one of {list(_CRITERIA)}, got {self.criterion!r}: "
                f"other metrics do not change on new rows."
            )
        X = self._validate_rows(X, "score")
        weights = check_weights(sample_weight, X.shape[0])
        X, _, weights = drop_zero_weights(X, weights)
        return -self._measure_rows(self.criterion, X, weights)

    @property
    def components_(self):
        """Principal directions."""
        basis = self._basis("nrc1")
        return namespace(basis).matrix_transpose(basis)

    @property
    def n_components_(self):
        """Number of principal directions."""
        return self._basis("nrc1").shape[1]

    @property
    def n_targets_(self):
        """Number of targets."""
        return self._targets().n_features

    @property
    def target_covariance_(self):
        """Covariance of the targets."""
        return self._targets().total_covariance()

    @property
    def gamma_(self):
        """The gamma of NRC3."""
        return self._match()[1]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags
