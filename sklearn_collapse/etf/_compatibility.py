"""Whether features of successive models can be compared with each other."""

import math

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._base import RowsEstimator, unchanged_on_error
from sklearn_collapse.etf._galleries import ModelRecord
from sklearn_collapse.metrics._geometry import check_two_classes
from sklearn_collapse.utils._arrays import Rows, as_like, to_numpy
from sklearn_collapse.utils._labels import encode_labels
from sklearn_collapse.utils._sklearn_private import StrOptions, fit_context
from sklearn_collapse.utils._validation import check_same_place, validate_features


def compatibility_metrics(matrix):
    """Average, backward and forward compatibility of successive models.

    Parameters
    ----------
    matrix : array-like of shape (T, T)
        Entry i, j for j <= i is the score of queries of model i against the gallery of
        model j, such as an accuracy; higher is better. What is above the diagonal is
        not looked at and may be nan.

    Returns
    -------
    dict of str to float
        "average_compatibility", in [0, 1], and "backward_compatibility" and
        "forward_compatibility", differences of scores, negative where something is
        lost. Higher is better for all three; they are nan for a single model.

    See Also
    --------
    CompatibilityScorer : Gathers the matrix from features.

    Notes
    -----
    With models 1, …, T and the matrix C::

        average  = share of the pairs i > j with C_ij >= C_jj
        backward = mean over j < T of C_Tj - C_jj
        forward  = mean over i > 1 of C_i,i-1 - C_ii

    The first asks whether queries of a newer model do as well in an old gallery as
    those of the model that made it; the second how much the last model gains in all
    old galleries; the third how much a gallery of the model just before costs, against
    one that is indexed anew.

    References
    ----------
    .. [1] Biondi, N., Pernici, F., Bruni, M., Mugnai, D., Del Bimbo, A. (2023). "CL2R:
       Compatible Lifelong Learning Representations". ACM TOMM 18(2s).

    Examples
    --------
    >>> from sklearn_collapse.etf import compatibility_metrics
    >>> found = compatibility_metrics([[0.5, 0.0], [0.75, 1.0]])
    >>> found["average_compatibility"], found["backward_compatibility"]
    (1.0, 0.25)
    >>> found["forward_compatibility"]
    -0.25
    """
    matrix = _check_matrix(matrix)
    own = np.diagonal(matrix)
    average = backward = forward = math.nan
    if len(matrix) > 1:
        i, j = np.tril_indices(len(matrix), -1)
        average = float(np.mean(matrix[i, j] >= own[j]))
        backward = float(np.mean(matrix[-1, :-1] - own[:-1]))
        forward = float(np.mean(np.diagonal(matrix, -1) - own[1:]))
    return {
        "average_compatibility": average,
        "backward_compatibility": backward,
        "forward_compatibility": forward,
    }


def _check_matrix(matrix):
    matrix = np.asarray(to_numpy(matrix), dtype=float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise ValueError(
            f"matrix must be square, one row and one column for each model, got shape "
            f"{matrix.shape}."
        )
    i, j = np.tril_indices(len(matrix))
    bad = np.flatnonzero(~np.isfinite(matrix[i, j]))
    if len(bad):
        k = bad[0]
        raise ValueError(
            f"matrix must be finite on and below its diagonal, got "
            f"{matrix[i[k], j[k]]} in row {i[k]}, column {j[k]}."
        )
    return matrix


class CompatibilityScorer(RowsEstimator):
    """Tell whether features of successive models can be compared with each other.

    Retrieval keeps a gallery of features. When the model that made them is replaced,
    either the whole gallery is computed anew or the new model's features have to be
    compatible with the old ones. ``fit`` takes the features of the first model,
    ``add_model`` those of each further one, or checkpoint, for the same samples; every
    model's rows are looked up in the galleries of all models up to its own.

    Parameters
    ----------
    measure : {"nearest_neighbor", "class_mean"}, default="nearest_neighbor"
        What a query is matched with: the nearest of the other rows of a gallery, or
        the nearest of its class means.
    metric : {"cosine", "euclidean"}, default="cosine"
        What near means. "cosine" divides rows, and their class means, by their norms.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    matrix_ : array of shape (T, T)
        Entry i, j: share of the rows of model i whose match in the gallery of model j
        has their label, in [0, 1]; nan for j > i.
    metrics_ : dict of str to float
        `compatibility_metrics` of the matrix, nan until a second model is added.
    n_models_ : int
        Number T of models.
    classes_ : ndarray of shape (C,)
        Labels.
    device_ : str
        Device on which matches are searched.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had any.

    See Also
    --------
    compatibility_metrics : The metrics of any matrix of scores.
    sklearn_collapse.metrics.thornton_index : The diagonal of the matrix, for
        "nearest_neighbor".

    Notes
    -----
    A match of "nearest_neighbor" is never the query's own sample, which is left out of
    every gallery; where several rows are equally near, the share of them that has the
    label counts. The search is exact and in blocks, its time n^2 d for each entry of
    the matrix. The rows of all models are kept, T n d numbers, as copies.

    "class_mean" keeps the class means alone, C d numbers for each model. A mean
    contains the rows that are matched with it, which flatters where a class has few.
    With "cosine" it is the mean of the rows of length 1, brought to length 1 itself.
    Every row counts once.

    Under "cosine" a row of zeros is orthogonal to all rows but others of zeros. The
    features of any model may be scaled then, and those of all models rotated in the
    same way: the matrix stays the same. "euclidean" lets all be shifted alike as well,
    but scaled only together.

    Models of different widths cannot be compared: map their features to a common
    width first.

    References
    ----------
    .. [1] Biondi, N., Pernici, F., Bruni, M., Mugnai, D., Del Bimbo, A. (2023). "CL2R:
       Compatible Lifelong Learning Representations". ACM TOMM 18(2s).
    .. [2] Biondi, N., Pernici, F., Bruni, M., Del Bimbo, A. (2023). "CoReS: Compatible
       Representations via Stationarity". IEEE TPAMI 45(8).

    Examples
    --------
    >>> from sklearn_collapse.datasets import load_cifar8_trajectory
    >>> from sklearn_collapse.etf import CompatibilityScorer
    >>> data = load_cifar8_trajectory()
    >>> scorer = CompatibilityScorer("class_mean")
    >>> scorer = scorer.fit(data.features[1], data.target)
    >>> scorer = scorer.add_model(data.features[24])
    >>> scorer.matrix_.round(2)
    array([[0.62,  nan],
           [0.78, 0.87]])
    >>> round(scorer.metrics_["forward_compatibility"], 2)
    -0.09
    """

    _left_by_fit = ("_record", "device_", *RowsEstimator._left_by_fit)

    _parameter_constraints: dict = {
        "measure": [StrOptions({"nearest_neighbor", "class_mean"})],
        "metric": [StrOptions({"cosine", "euclidean"})],
        "device": [str],
    }

    def __init__(self, measure="nearest_neighbor", *, metric="cosine", device="auto"):
        self.measure = measure
        self.metric = metric
        self.device = device

    @classmethod
    def from_models(cls, models, y, **parameters):
        """Fit the features of all models at once.

        Parameters
        ----------
        models : iterable of array-like of shape (n, d)
            Features of the same samples, in the order of the models.
        y : array-like of shape (n,)
            Labels of the samples, at least two classes.
        **parameters
            Of the scorer.

        Returns
        -------
        CompatibilityScorer
            Fitted scorer.
        """
        scorer = cls(**parameters)
        models = iter(models)
        try:
            first = next(models)
        except StopIteration:
            raise ValueError(
                "models is empty: pass the features of one model or more."
            ) from None
        scorer.fit(first, y)
        for X in models:
            scorer.add_model(X)
        return scorer

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Start with the features of the first model.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of any array library.
        y : array-like of shape (n,)
            Labels, at least two classes.

        Returns
        -------
        self : object
            Fitted scorer.
        """
        with unchanged_on_error(self):
            self._forget()
            self._require_labels(y)
            X, y, _ = self._validate_fit(X, y, None, reset=True, min_samples=2)
            classes, codes = encode_labels(y)
            check_two_classes(classes)
            n, d = X.shape
            self.device_ = Rows(X, self.device, float(n) * n * d).place[1]
            empty = ModelRecord(self.measure, self.metric, classes, codes, (), ())
            self._record = empty.with_model(X, self.device)
        return self

    def add_model(self, X):
        """Add the features of the next model.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features of the samples that were fitted, in the same order, from a model
            of the same width.

        Returns
        -------
        self : object
            The scorer, with one more row and column in ``matrix_``.
        """
        X = self._validate_rows(X, "add_model")
        record = self._record
        if X.shape[0] != len(record.codes):
            raise ValueError(
                f"X has {X.shape[0]} rows, but fit had {len(record.codes)}: pass the "
                f"features of the same samples, in the same order."
            )
        self._record = record.with_model(X, self.device)
        return self

    def score(self, X, y=None, sample_weight=None):
        """Measure how well new queries are matched in the gallery of the last model.

        A query that equals a row of the gallery is taken for it, and is not its own
        match: for the rows of the last model this is the last entry of ``matrix_``.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features, of the last model or of a newer one.
        y : array-like of shape (n,)
            Labels, all seen in fit.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the queries.

        Returns
        -------
        float
            Share of the queries whose match has their label, in [0, 1].
        """
        X, codes, weights = self._validate_labelled(X, y, sample_weight, "score")
        record = self._record
        shares = record.match(record.compared(X), codes, self.device)
        return float(np.average(shares, weights=weights))

    @property
    def matrix_(self):
        """Share of matches with the own label, by model of queries and gallery."""
        check_is_fitted(self, "_record")
        record = self._record
        matrix = np.full((len(record.scores),) * 2, math.nan)
        for i, row in enumerate(record.scores):
            matrix[i, : i + 1] = row
        return as_like(matrix, record.galleries[-1])

    @property
    def metrics_(self):
        """Compatibility of the models."""
        return compatibility_metrics(to_numpy(self.matrix_))

    @property
    def n_models_(self):
        """Number of models."""
        check_is_fitted(self, "_record")
        return len(self._record.scores)

    @property
    def classes_(self):
        """Labels."""
        check_is_fitted(self, "_record")
        return self._record.classes

    def _metrics_to_show(self):
        return self.metrics_, None

    def _validate_rows(self, X, method):
        """Validate rows for a method of the fitted scorer."""
        check_is_fitted(self, "_record")
        X = validate_features(self, X)
        check_same_place(self, X, self._record.galleries[-1], method)
        return X

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
