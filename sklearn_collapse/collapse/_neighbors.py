"""Collapse as neighbourhoods show it: local dimension and its relatives."""

from numbers import Integral

from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._base import RowsEstimator, unchanged_on_error
from sklearn_collapse.collapse._base import about_metric
from sklearn_collapse.metrics._local_dimension import local_dimensions
from sklearn_collapse.metrics._neighborhood import Neighborhood, warn_undefined
from sklearn_collapse.metrics._registry import METRICS, NEIGHBOR_METRICS
from sklearn_collapse.utils._arrays import (
    Rows,
    as_like,
    float_dtype,
    namespace,
)
from sklearn_collapse.utils._dask import by_partition
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._labels import as_label_array, encode_known
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions, fit_context
from sklearn_collapse.utils._validation import (
    check_lengths,
    check_same_place,
    validate_features,
)
from sklearn_collapse.utils._warnings import CollapseWarning, warn_caller

_NAMES = [name for name, metric in METRICS.items() if metric.family == "neighbors"]
# Metrics of rows of length 1: a row of zeros has none.
_OF_UNIT_ROWS = ("uniformity", "nearest_neighbor_entropy", "mst_length")
# Metrics that look for new rows' neighbours among the fitted rows.
_AMONG_FITTED = ("lid", "two_nn", "nearest_neighbor_entropy", "thornton_index")


# Up to so many multiplications all metrics together take a fraction of a second.
_LITTLE_WORK = 2**28


class NeighborCollapseScorer(RowsEstimator):
    """Measure features by their nearest neighbours.

    Local and global intrinsic dimension, spanning trees, uniformity and separability,
    all from one search among the rows, which are kept. No labels are needed but for
    Thornton's index.

    Parameters
    ----------
    criterion : str, default="lid"
        What ``score`` returns: "lid", "two_nn", "mst_length", "mst_dimension",
        "uniformity", "nearest_neighbor_entropy" or, with labels, "thornton_index".
    n_neighbors : int, default=20
        Number of neighbours for "lid" and ``score_samples``.
    max_samples : int, default=None
        Rows to keep, drawn without replacement where there are more; None keeps all.
        Time grows with the square of this number.
    random_state : int, RandomState instance or None, default=None
        Seed of that draw and of those of "mst_dimension".
    metrics : {None, "all"} or list of str, default=None
        Which metrics ``metrics_`` holds. None: all that the rows and y allow. The
        trees take longest.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    metrics_ : dict of str to float
        Value of each metric. Computed on first access. "thornton_index" is absent
        without y; "uniformity", "nearest_neighbor_entropy" and "mst_length" are absent,
        with a warning, where a row is zero, and raise if they are asked for.
    n_neighbors_ : int
        Number of neighbours that is used, at most the number of other distinct rows.
    n_samples_fit_ : int
        Number of rows that are kept.
    n_duplicates_ : int
        How many of them equal an earlier one.
    classes_ : ndarray of shape (C,)
        Labels, if y was given.
    device_ : str
        Device on which neighbours are searched.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had any.

    See Also
    --------
    sklearn_collapse.metrics : The same numbers as functions, with their options.
    NeuralCollapseScorer : Collapse of labelled features, from moments.

    Notes
    -----
    Formulas and sources stand with the functions of `sklearn_collapse.metrics`. No
    publication says which local dimension is good: here a high one is taken for better,
    as collapse lowers it. Equal rows are one point of the search. X is kept as it is,
    not copied, unless rows are drawn or equal.

    References
    ----------
    .. [1] Amsaleg, L., et al. (2015). "Estimating Local Intrinsic Dimensionality".
       KDD.

    Examples
    --------
    >>> from sklearn_collapse.collapse import NeighborCollapseScorer
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> data = load_cifar8_features()
    >>> scorer = NeighborCollapseScorer(metrics=["lid", "thornton_index"])
    >>> scorer = scorer.fit(data.data, data.target)
    >>> {name: round(value, 1) for name, value in scorer.metrics_.items()}
    {'lid': 14.4, 'thornton_index': 0.8}
    """

    _left_by_fit = (
        *("n_neighbors_", "n_samples_fit_", "n_duplicates_", "device_"),
        *("_neighborhood", "_values"),
        *RowsEstimator._left_by_fit,
    )
    # Their draws go by the position of the rows.
    _drawn_metrics = ("mst_dimension",)

    _parameter_constraints: dict = {
        "criterion": [StrOptions(set(_NAMES))],
        "n_neighbors": [Interval(Integral, 2, None, closed="left")],
        "max_samples": [None, Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
        "metrics": [None, StrOptions({"all"}), list, tuple],
        "device": [str],
    }

    def __init__(
        self,
        criterion="lid",
        *,
        n_neighbors=20,
        max_samples=None,
        random_state=None,
        metrics=None,
        device="auto",
    ):
        self.criterion = criterion
        self.n_neighbors = n_neighbors
        self.max_samples = max_samples
        self.random_state = random_state
        self.metrics = metrics
        self.device = device

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Keep the rows and find out which are equal.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of any array library, at least two rows.
        y : array-like of shape (n,), default=None
            Labels, for "thornton_index" alone.

        Returns
        -------
        self : object
            Fitted scorer.
        """
        with unchanged_on_error(self):
            self._forget()
            X, y, _ = self._validate_fit(X, y, None, reset=True, min_samples=2)
            rows = Neighborhood(
                X,
                y,
                max_samples=self.max_samples,
                random_state=self.random_state,
                device=self.device,
            )
            self._neighborhood, self._values = rows, {}
            n, d = rows.X.shape
            self.n_samples_fit_ = n
            self.n_duplicates_ = n - len(rows.points)
            self.n_neighbors_ = min(self.n_neighbors, len(rows.points) - 1)
            self.device_ = Rows(rows.X, self.device, float(n) * n * d).place[1]
            asked = [] if self.metrics in (None, "all") else list(self.metrics)
            self._check_possible([self.criterion, *asked])
        return self

    @by_partition
    def score_samples(self, X):
        """Measure the local dimension of each row among the fitted rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features. A row that equals a fitted row is taken for it.

        Returns
        -------
        array of shape (n,)
            Maximum likelihood estimates; inf where all neighbours are equally far, nan
            with a warning if there are fewer than three distinct fitted rows.
        """
        X = self._validate_new(X, "score_samples")
        if self.n_neighbors_ < 2:
            warn_undefined("The local dimension", 3, self.n_neighbors_ + 1)
        found = self._neighborhood.nearest(self.n_neighbors_, X)
        values = local_dimensions(found.distances)
        xp = namespace(X)
        return as_like(values, X, float_dtype(X, xp))

    def score(self, X, y=None, sample_weight=None):
        """Measure the criterion on new rows, signed so that larger is better.

        "lid", "two_nn", "nearest_neighbor_entropy" and "thornton_index" look for the
        neighbours of the new rows among the fitted rows; a row that equals a fitted row
        is taken for it, and not its own neighbour. "uniformity", "mst_length" and
        "mst_dimension" are those of the new rows alone. On the rows that were fitted
        this is plus or minus ``metrics_[criterion]``, if ``max_samples`` kept them all.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features.
        y : array-like of shape (n,), default=None
            Labels seen in fit, for "thornton_index" alone.
        sample_weight : None
            Not supported: every row counts once.

        Returns
        -------
        float
            The criterion, negated where lower is better.
        """
        X = self._validate_new(X, "score")
        if sample_weight is not None:
            raise ValueError(
                "NeighborCollapseScorer takes no sample_weight: every row counts once."
            )
        name = self.criterion
        measure = NEIGHBOR_METRICS[name]
        if name not in _AMONG_FITTED:
            rows = Neighborhood(X, device=self.device)
            rows.seed = self._neighborhood.seed
            value = measure(rows)
        elif name == "lid":
            value = measure(self._neighborhood, self.n_neighbors_, X=X)
        elif name == "nearest_neighbor_entropy":
            unit = Neighborhood(X, device=self.device).unit
            value = measure(self._neighborhood, X=unit)
        elif name == "thornton_index":
            value = measure(self._neighborhood, X=X, codes=self._codes_of(X, y))
        else:
            value = measure(self._neighborhood, X=X)
        return value if METRICS[name].direction == "higher" else -value

    @property
    def classes_(self):
        """Labels."""
        check_is_fitted(self, "n_neighbors_")
        if self._neighborhood.classes is None:
            raise AttributeError("classes_ is not there: y was not given to fit.")
        return self._neighborhood.classes

    @property
    def metrics_(self):
        """Value of each metric."""
        check_is_fitted(self, "n_neighbors_")
        rows, names = self._neighborhood, self._wanted()
        if self.metrics is None:
            if rows.codes is None:
                names.remove("thornton_index")
            if rows.has_zero_row:
                warn_caller(
                    f"A row of zeros has no direction: {', '.join(_OF_UNIT_ROWS)} are "
                    f"left out. Drop such rows to have them.",
                    CollapseWarning,
                )
                names = [name for name in names if name not in _OF_UNIT_ROWS]
        elif self.metrics == "all" and rows.codes is None:
            names.remove("thornton_index")
        self._check_possible(names)
        for name in names:
            if name not in self._values:
                options = {"n_neighbors": self.n_neighbors_} if name == "lid" else {}
                self._values[name] = NEIGHBOR_METRICS[name](rows, **options)
        return {name: self._values[name] for name in names}

    def _metrics_to_show(self):
        work = self.n_samples_fit_**2 * self.n_features_in_
        if work > _LITTLE_WORK and set(self._values) < set(self._wanted()):
            return None
        return self.metrics_, None

    def _about_metric(self, name):
        return about_metric(name)

    def _wanted(self):
        if self.metrics is None or self.metrics == "all":
            return list(_NAMES)
        unknown = [name for name in self.metrics if name not in _NAMES]
        if unknown:
            raise ValueError(
                f"metrics contains unknown names {unknown}; known are {_NAMES}."
            )
        return list(self.metrics)

    def _check_possible(self, names):
        """Raise if a metric that was asked for cannot be had of these rows."""
        self._wanted()  # raises on unknown names
        if "thornton_index" in names and self._neighborhood.codes is None:
            raise ValueError(
                "thornton_index compares labels, but y is None: pass y to fit, or "
                "leave it out of criterion and metrics."
            )

    def _validate_new(self, X, method):
        check_is_fitted(self, "n_neighbors_")
        X = validate_features(self, X)
        check_same_place(self, X, self._neighborhood.X, method)
        check_finite(X)
        return X

    def _codes_of(self, X, y):
        if y is None or self._neighborhood.codes is None:
            where = "score" if y is None else "fit"
            raise ValueError(f"thornton_index needs labels: pass y to {where}.")
        y = as_label_array(y)
        check_lengths(X, y)
        return encode_known(y, self.classes_)
