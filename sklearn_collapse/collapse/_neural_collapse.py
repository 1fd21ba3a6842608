"""Neural collapse of labelled features: NC1 to NC4 and their relatives."""

import math

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._base import unchanged_on_error
from sklearn_collapse._head_argument import check_head, fitted_head
from sklearn_collapse._linalg._rows import class_distances, class_metric
from sklearn_collapse.collapse._class_metrics import CRITERIA, ClassMetricsScorer
from sklearn_collapse.metrics import _per_class
from sklearn_collapse.metrics._geometry import balanced_weights, check_two_classes
from sklearn_collapse.metrics._registry import METRICS
from sklearn_collapse.metrics._within import _cdnv as cdnv_values
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import Rows, namespace
from sklearn_collapse.utils._dask import by_partition, is_dask
from sklearn_collapse.utils._labels import encode_labels
from sklearn_collapse.utils._sklearn_private import (
    HasMethods,
    StrOptions,
    fit_context,
)


class NeuralCollapseScorer(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClassMetricsScorer,
):
    """Measure how far labelled features have collapsed.

    One pass over the rows gives every metric of neural collapse that is a function of
    class means and scatter: variability (NC1, CDNV, VCI, Fisher ratio), geometry of
    the means (NC2), duality with a head (NC3) and agreement of decisions (NC4). Used
    as an estimator, ``score`` holds one of them out on new rows.

    Parameters
    ----------
    criterion : str, default="vci"
        What ``score`` returns: "vci", "nc1_pinv", "nc1_trace_ratio", "fisher_ratio",
        "cdnv", "lidar", "class_separation", "tolerance", "coding_rate_reduction",
        "ncm_accuracy" or, with a head, "nc4_agreement". Metrics of the class means
        alone do not change on new rows and are refused.
    head : {None, "lda"} or classifier, default=None
        For NC3 and NC4. "lda" is the linear discriminant of the same moments; a
        `LinearHead` or a ``FrozenEstimator`` is used as it is; any other classifier
        is cloned and fitted on the same rows. Rows are matched by class label.
    class_weight : {None, "balanced"}, default=None
        "balanced" weighs rows by n / (C n_c) in the class means' mean, in both
        covariances and in NC4. Papers assume balanced classes, and the choice changes
        the numbers.
    metrics : {None, "all"} or list of str, default=None
        Which metrics ``metrics_`` holds. None: all that plain moments, the rows given
        to ``fit`` and the head allow, and the criterion. "all": also those that take
        a second pass, over rows scaled to length 1 ("class_separation", "tolerance",
        "coding_rate_reduction").
    per_class : bool, default=False
        Whether ``fit`` measures `nc1_per_class_`, which takes another pass over the
        rows.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    metrics_ : dict of str to float
        Value of each metric. Computed on first access. Metrics that need rows
        ("nc4_agreement", "ncm_accuracy") are absent after ``partial_fit`` and
        ``fit_moments``, metrics that need a head if there is none.
    per_class_ : dict of str to ndarray of shape (C,)
        What each class contributes to the metrics of ``metrics_`` that are made up of
        classes; nan where a class of a single row has no variance.
    nc1_per_class_ : ndarray of shape (C,)
        tr(Sigma_c Sigma_B^+) / C with the covariance of each class; their mean
        weighted by class is "nc1_pinv". Only with ``per_class=True`` after ``fit``,
        or where the moments have the scatter of each class.
    cdnv_grid_ : array of shape (C, C)
        CDNV of each pair of classes, computed on access.
    classes_ : ndarray of shape (C,)
        Labels.
    means_ : array of shape (C, d)
        Class means.
    rank_ : int
        Rank of the within-class covariance by the rank rule.
    moments_ : ClassMoments
        Fitted state. With ``class_weight="balanced"`` it has the scatter of each
        class, or after ``fit``, if those would be more than 2^25 numbers, belongs to
        the reweighted rows.
    head_ : {None, "lda"} or classifier
        Fitted head.
    unit_moments_ : ClassMoments
        Moments of the rows scaled to length 1, if a metric needs them.
    device_ : str
        Device on which the moments were gathered.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had any.

    See Also
    --------
    sklearn_collapse.metrics : The same numbers as functions.
    sklearn_collapse.ClassMoments : The statistic they are computed from.

    Notes
    -----
    Formulas, normalisers and sources stand with the functions of
    `sklearn_collapse.metrics`; ``METRICS[name]`` has needs, range and direction.
    In cross-validation pass ``cv=StratifiedKFold()``: a scorer is no classifier, plain
    folds of sorted labels would hold out classes that were not fitted.

    References
    ----------
    .. [1] Papyan, V., Han, X. Y., Donoho, D. L. (2020). "Prevalence of neural collapse
       during the terminal phase of deep learning training". PNAS 117(40).

    Examples
    --------
    >>> from sklearn_collapse.collapse import NeuralCollapseScorer
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> data = load_cifar8_features()
    >>> scorer = NeuralCollapseScorer(head=data.head).fit(data.data, data.target)
    >>> round(scorer.metrics_["nc2_etf_error"], 2)
    0.78
    >>> round(scorer.score(data.X_test, data.y_test), 2)
    -0.38
    """

    _parameter_constraints: dict = {
        "criterion": [StrOptions(set(CRITERIA))],
        "head": [None, StrOptions({"lda"}), HasMethods(["fit", "predict"])],
        "class_weight": [None, StrOptions({"balanced"})],
        "metrics": [None, StrOptions({"all"}), list, tuple],
        "per_class": ["boolean"],
        "device": [str],
    }

    def __init__(
        self,
        criterion="vci",
        *,
        head=None,
        class_weight=None,
        metrics=None,
        per_class=False,
        device="auto",
    ):
        self.criterion = criterion
        self.head = head
        self.class_weight = class_weight
        self.metrics = metrics
        self.per_class = per_class
        self.device = device

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None):
        """Gather the moments of labelled rows.

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
            Fitted scorer.
        """
        if is_dask(X):
            return self._fit_partitions(X, y, sample_weight)
        with unchanged_on_error(self):
            self._forget()
            self._require_labels(y)
            X, y, weights = self._validate_fit(
                X, y, sample_weight, reset=True, min_samples=2
            )
            classes, codes = encode_labels(y)
            check_two_classes(classes)
            head = fitted_head(self.head, (X, y, weights))
            check_head(head, classes, X.shape[1])
            scatters = not self._too_many_scatters(classes, X)
            self._gather_unit(X, y, weights, scatters)
            own_weights = weights
            row_weights = weights
            self._sizes = None
            if self.class_weight == "balanced":
                row_weights = balanced_weights(codes, len(classes), weights)
            moments = self._new_moments()
            if moments.class_scatter and not scatters:
                # Rows that carry the class weights need no scatter per class.
                moments, weights = ClassMoments(device=self.device), row_weights
                self._sizes = np.bincount(codes, weights=own_weights).astype(float)
            self.moments_ = moments.update(X, y, weights)
            self.head_ = head
            self._measure_rows(X, codes, row_weights, own_weights)
        return self

    @fit_context(prefer_skip_nested_validation=False)
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
            The scorer. With ``class_weight="balanced"``, or where
            "coding_rate_reduction" is wanted, the scatter of each class is kept,
            C d^2 numbers.
        """
        with unchanged_on_error(self):
            self._require_labels(y)
            if getattr(self, "_sizes", None) is not None:
                raise ValueError(
                    "partial_fit cannot continue this fit: with "
                    "class_weight='balanced' and so many classes and features it "
                    "reweighted the rows instead of keeping the scatter of each "
                    "class. Use partial_fit for all blocks."
                )
            first = not hasattr(self, "moments_")
            X, y, weights = self._validate_fit(
                X, y, sample_weight, reset=first, min_samples=1
            )
            self._wanted()  # raises on unknown names
            self.head_ = fitted_head(self.head)
            check_head(self.head_, encode_labels(y)[0], X.shape[1])
            self._continue_moments(X, y, weights)
            self._row_values, self._row_classes, self._sizes = {}, {}, None
        return self

    @by_partition
    def transform(self, X):
        """Measure distances to the class means.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features.

        Returns
        -------
        array of shape (n, C)
            Euclidean distances, classes in the order of ``classes_``.
        """
        X = self._validate_rows(X, "transform")
        moments = self.moments_
        means = moments.means_
        metric = class_metric(means, moments.mean_, None, namespace(means))
        rows = Rows(X, self.device, work=float(X.shape[0]) * math.prod(means.shape))
        return rows.home(class_distances(rows, metric))

    def score(self, X, y=None, sample_weight=None):
        """Measure the criterion on new rows, signed so that larger is more collapsed.

        The class means, their covariance and its rank and the class weights are the
        fitted ones; the scatter within classes is measured anew, about the fitted
        means, rows of class c weighing p_c(fitted) / n_c(new). Held-out VCI is
        1 - R^2 of the fitted least-squares probe. On the rows that were fitted this
        is plus or minus ``metrics_[criterion]`` (to the level of the floor, where the
        within-class covariance is zero).

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features.
        y : array-like of shape (n,)
            Labels, all seen in fit.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        float
            The criterion, negated where lower is more collapsed.
        """
        check_is_fitted(self, "moments_")
        if self.criterion not in CRITERIA:
            raise ValueError(
                f"criterion must be one of {sorted(CRITERIA)}, got "
                f"{self.criterion!r}: other metrics do not change on new rows."
            )
        check_two_classes(self.classes_)
        X, codes, weights = self._validate_labelled(X, y, sample_weight, "score")
        value = self._held_out(self.criterion, X, codes, weights)
        return value if METRICS[self.criterion].direction == "higher" else -value

    @property
    def per_class_(self):
        """What each class contributes to metrics that are made up of classes."""
        check_is_fitted(self, "moments_")
        key = ("per class", self.class_weight, tuple(self._wanted()))
        return dict(self.moments_._cached(key, self._measure_classes))

    @property
    def nc1_per_class_(self):
        """NC1 with the covariance of each class."""
        check_is_fitted(self, "moments_")
        measured = self._measured("nc1_per_class_")
        if measured is not None:
            return np.array(measured)
        if not self.moments_.class_scatter:
            raise AttributeError(
                "nc1_per_class_ needs fit with per_class=True and this class_weight, "
                "or moments gathered with class_scatter=True."
            )
        return self.moments_._cached(
            ("nc1 per class", self.class_weight),
            lambda: _per_class.nc1_of_scatters(self._geometry()),
        )

    @property
    def cdnv_grid_(self):
        """CDNV of each pair of classes."""
        check_is_fitted(self, "moments_")
        return cdnv_values(self._geometry(), reduction="grid")

    @property
    def rank_(self):
        """Rank of the within-class covariance."""
        check_is_fitted(self, "moments_")
        return self._geometry().within_spectrum.rank

    @property
    def _n_features_out(self):
        return len(self.classes_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
