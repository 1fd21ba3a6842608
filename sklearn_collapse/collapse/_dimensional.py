"""Dimensional collapse of unlabelled features: over how many directions they spread."""

from sklearn.utils.validation import check_is_fitted

from sklearn_collapse.collapse._base import COSTLY, MetricsScorer, names_of
from sklearn_collapse.metrics._isotropy import _vrm
from sklearn_collapse.metrics._registry import METRICS, SPECTRUM_METRICS
from sklearn_collapse.metrics._spectra import FeatureSpectra
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import device_of, namespace
from sklearn_collapse.utils._sklearn_private import StrOptions, fit_context
from sklearn_collapse.utils._validation import check_weights, drop_zero_weights

# A criterion must have a better side.
_CRITERIA: frozenset = frozenset(
    name for name in names_of("dimensional") if METRICS[name].direction is not None
)


class DimensionalCollapseScorer(MetricsScorer):
    """Measure over how many dimensions features spread, and how evenly.

    One pass over the rows gives every metric of dimensional collapse that is a function
    of the mean and covariance: effective ranks, IsoScore, decay of the spectrum, the
    terms of VICReg. Labels are not used. As an estimator its ``score`` is one of them,
    measured on the rows it is given.

    Parameters
    ----------
    criterion : str, default="effective_rank"
        What ``score`` returns: the name of a metric of this family, other than
        "alpha_req", of which neither direction is better.
    centered : bool, default=True
        Whether the metrics whose definition leaves it open take the covariance, or the
        second moment about the origin: "effective_rank", "entropy_rank",
        "participation_ratio", "nuclear_rank", "numerical_rank". RankMe and the stable
        rank are not centred by definition, the others of the spectrum are.
    metrics : {None, "all"} or list of str, default=None
        Which metrics ``metrics_`` holds. None: those of plain moments, and the
        criterion. "wasserstein_uniformity", "feature_std" and "mean_cosine" need the
        moments of unit rows as well, another pass; "vrm" sorts all rows along every
        principal component.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    metrics_ : dict of str to float
        Value of each metric. Computed on first access. "vrm" needs rows and is absent
        after ``partial_fit`` and ``fit_moments``; "alpha_req" is nan with fewer than
        eleven eigenvalues that count.
    eigenvalues_ : array of shape (d,)
        Eigenvalues of the covariance (normaliser n), or of the second moment with
        ``centered=False``, descending; 0 where the rank rule does not count them.
    rank_ : int
        How many of them count.
    mean_ : array of shape (d,)
        Mean of the rows.
    moments_ : ClassMoments
        Fitted state: the moments of all rows as one class.
    unit_moments_ : ClassMoments
        The same of the rows divided by their norms, if a metric needs them.
    device_ : str
        Device on which the moments were gathered.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had any.

    See Also
    --------
    NeuralCollapseScorer : Collapse of labelled features.
    sklearn_collapse.metrics : The same numbers as functions, with their options.

    Notes
    -----
    Formulas, normalisers and sources stand with the functions of
    `sklearn_collapse.metrics`; ``METRICS[name]`` has needs, range and direction. A
    finite sample is never of full rank: n isotropic normal rows have a participation
    ratio of about n d / (n + d), so compare features at the same n and d.

    References
    ----------
    .. [1] Roy, O., Vetterli, M. (2007). "The effective rank: a measure of effective
       dimensionality". EUSIPCO.
    .. [2] Garrido, Q., Balestriero, R., Najman, L., LeCun, Y. (2023). "RankMe:
       Assessing the Downstream Performance of Pretrained Self-Supervised
       Representations by Their Rank". ICML.

    Examples
    --------
    >>> from sklearn_collapse.collapse import DimensionalCollapseScorer
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> data = load_cifar8_features()
    >>> scorer = DimensionalCollapseScorer().fit(data.data)
    >>> round(scorer.metrics_["participation_ratio"], 1)
    7.3
    >>> round(scorer.score(data.X_test), 1)
    50.4
    """

    _family = "dimensional"
    _depends_on = ("centered",)
    _costly = COSTLY | {"rows"}
    _left_by_fit = ("_row_metrics", *MetricsScorer._left_by_fit)
    _void_after_update = ("_row_metrics",)

    _parameter_constraints: dict = {
        "criterion": [StrOptions(set(_CRITERIA))],
        "centered": ["boolean"],
        "metrics": [None, StrOptions({"all"}), list, tuple],
        "device": [str],
    }

    def __init__(
        self,
        criterion="effective_rank",
        *,
        centered=True,
        metrics=None,
        device="auto",
    ):
        self.criterion = criterion
        self.centered = centered
        self.metrics = metrics
        self.device = device

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Gather the moments of the rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of any array library.
        y : None
            Ignored.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            Fitted scorer.
        """
        return self._fit_rows(X, y, sample_weight)

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Add rows to the moments.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the library of the rows before them.
        y : None
            Ignored.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            The scorer.
        """
        return self._add_rows(X, y, sample_weight)

    def fit_moments(self, moments, unit_moments=None):
        """Fit from moments that were gathered elsewhere.

        Parameters
        ----------
        moments : ClassMoments
            Of rows with or without labels, which have no part in it; left as they are.
        unit_moments : ClassMoments, default=None
            Moments of the same rows, gathered with ``normalize=True``; for metrics
            of unit rows.

        Returns
        -------
        self : object
            The scorer. "vrm" is absent.
        """
        return super().fit_moments(_as_one_class(moments), _as_one_class(unit_moments))

    def score(self, X, y=None, sample_weight=None):
        """Measure the criterion on rows, signed so that larger is less degenerate.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features. The metric is of these rows alone; on the rows that were fitted
            it is plus or minus ``metrics_[criterion]``.
        y : None
            Ignored.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        float
            The criterion, negated where lower is less degenerate.
        """
        X = self._validate_rows(X, "score")
        name = self.criterion
        if name not in _CRITERIA:
            raise ValueError(
                f"criterion must be one of {sorted(_CRITERIA)}, got {name!r}: of other "
                f"metrics neither direction is better."
            )
        X, _, weights = drop_zero_weights(X, check_weights(sample_weight, X.shape[0]))
        unit = "unit_moments" in METRICS[name].needs
        moments = ClassMoments.from_arrays(
            X,
            None,
            weights,
            precision="double" if unit else self.moments_.precision,
            normalize=unit,
            device=self.device,
        )
        pair = (None, moments) if unit else (moments, None)
        spectra = FeatureSpectra(*pair, centered=self.centered)
        if "rows" in METRICS[name].needs:
            value = _vrm(spectra, X, weights, self.device)
        else:
            value = SPECTRUM_METRICS[name](spectra)
        return value if METRICS[name].direction == "higher" else -value

    @property
    def eigenvalues_(self):
        """Eigenvalues of the rows, descending; 0 where they do not count."""
        check_is_fitted(self, "moments_")
        spectrum = self._spectra().spectrum
        values = spectrum.values
        xp = namespace(values)
        counts = xp.arange(values.shape[0], device=device_of(values)) < spectrum.rank
        return xp.where(counts, values, xp.zeros_like(values))

    @property
    def rank_(self):
        """Number of eigenvalues that count."""
        check_is_fitted(self, "moments_")
        return self._spectra().spectrum.rank

    @property
    def mean_(self):
        """Mean of the rows."""
        check_is_fitted(self, "moments_")
        return self.moments_.mean_

    def _check_labels(self, y):
        return None

    def _learn_from_rows(self, X, y, weights):
        if self._needs("rows"):
            spectra = self._spectra()
            self._row_metrics = {"vrm": _vrm(spectra, X, weights, self.device)}

    def _learn_without_rows(self, y):
        self._wanted()  # raises on unknown names

    def _had(self):
        return super()._had() | ({"rows"} if hasattr(self, "_row_metrics") else set())

    def _value(self, name):
        if name in SPECTRUM_METRICS:
            return SPECTRUM_METRICS[name](self._spectra())
        return self._row_metrics[name]

    def _spectra(self):
        unit = getattr(self, "unit_moments_", None)
        return self.moments_._cached(
            ("spectra", self.centered),
            lambda: FeatureSpectra(self.moments_, unit, centered=self.centered),
        )


def _as_one_class(moments):
    """Moments without their labels; what is none of moments is left to the checks."""
    return moments._unlabelled() if isinstance(moments, ClassMoments) else moments
