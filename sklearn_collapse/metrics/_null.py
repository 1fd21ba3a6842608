"""What a metric reads where there is nothing to find."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state, check_scalar

from sklearn_collapse.metrics._call import Measure
from sklearn_collapse.metrics._permuted import PermutedLabels, is_worth_it
from sklearn_collapse.metrics._repeat import draw_seeds, evaluate, silenced
from sklearn_collapse.utils._arrays import as_like, float_dtype, namespace, to_numpy
from sklearn_collapse.utils._finite import check_finite

_ALTERNATIVES = ("auto", "greater", "less", "two-sided")
# Metrics of X and y that do not ask which row has which target.
_UNPAIRED = ("nrc1", "nrc2", "id_gap")


@dataclass(frozen=True, eq=False)
class NullReference:
    """A metric's value beside its values where there is nothing to find.

    Parameters
    ----------
    value : float
        Value of the data.
    mean : float
        Mean of the null values.
    std : float
        Their standard deviation, normaliser n - 1.
    z : float
        (value - mean) / std; nan where the null values do not differ.
    p_value : float
        (1 + number of null values at least as extreme) / (1 + n_permutations).
    alternative : {"greater", "less", "two-sided"}
        Which null values count as extreme.
    values : ndarray of shape (n_permutations,)
        The null values.

    See Also
    --------
    null_reference : Computes it.

    Examples
    --------
    >>> from sklearn_collapse.datasets import make_collapsed_features
    >>> from sklearn_collapse.metrics import null_reference
    >>> X, y = make_collapsed_features(60, 3, 4, nc1=0.1, random_state=0)
    >>> reference = null_reference("cdnv", X, y, n_permutations=19, random_state=0)
    >>> reference.alternative, reference.p_value
    ('less', 0.05)
    """

    value: float
    mean: float
    std: float
    z: float
    p_value: float
    alternative: str
    values: np.ndarray = field(repr=False)


def null_reference(
    metric,
    X,
    y=None,
    *,
    head=None,
    sample_weight=None,
    n_permutations=100,
    alternative="auto",
    random_state=None,
    n_jobs=None,
    **options,
):
    """Compare a metric with its value where there is nothing to find.

    Parameters
    ----------
    metric : str, Metric or callable
        A name in ``METRICS``, an entry of it, or a function of (X), (X, y) or
        (X, y, head).
    X : array-like of shape (n, d)
        Features, of any array library.
    y : array-like of shape (n,) or (n, t), default=None
        Labels or targets, for metrics that take them.
    head : object, default=None
        For metrics that take one. A classifier that is to be fitted is fitted anew
        for each permutation.
    sample_weight : array-like of shape (n,), default=None
        Frequencies; they stay with the rows of X. Rows of zero weight are dropped
        before labels are permuted.
    n_permutations : int, default=100
        Number of null values.
    alternative : {"auto", "greater", "less", "two-sided"}, default="auto"
        Whether ``p_value`` counts null values that are as large as the value or
        larger, as small or smaller, or twice the rarer of the two. "auto": for a
        metric of labels or targets those that are as good or better, for a metric of
        features alone those that are as bad or worse, by ``METRICS``; "two-sided"
        for metrics without a direction.
    random_state : int, RandomState instance or None, default=None
        Draws the permutations or the Gaussian rows; a metric that draws itself gets
        one seed for all values.
    n_jobs : int or None, default=None
        Number of joblib workers. The values do not depend on it.
    **options
        Keyword arguments of the metric.

    Returns
    -------
    NullReference
        With the attributes ``value``, ``mean``, ``std``, ``z``, ``p_value``,
        ``alternative`` and ``values``.

    See Also
    --------
    bootstrap_interval : How far a value may be off.
    sklearn.model_selection.permutation_test_score : The same with a model fitted for
        each permutation, and a scorer of `get_scorer`.

    Notes
    -----
    For metrics of labels or targets the rows of y are permuted, which keeps both X
    and the sizes of the classes. A small p-value says that labels without a meaning
    would rarely read as collapsed as these.

    For metrics of X alone there is nothing to permute: the null values are those of n
    isotropic Gaussian rows in d dimensions about the origin, of the total variance of
    X. Such a cloud is not of full effective rank either, so the value is to be read
    against it: a small p-value says that X is more degenerate than chance makes it.

    NRC1, NRC2 and the ID gap take targets but do not ask which row has which, so that
    permuting them would change nothing. They are compared with Gaussian rows as well,
    beside the same targets and head: a small p-value says that such rows would rarely
    read as collapsed as these. NRC3 compares the head with the covariance of the
    targets; no features are a reference for it, and it is refused.

    Warnings that few rows make any labels look collapsed (`CollapseWarning`) are
    silenced here, since this is the remedy: the variability collapse index of random
    labels is 0 at n <= d and close to 1 - d / n above.

    The p-value counts the data as one of the permutations, so it is never 0 and the
    test is valid for any ``n_permutations``; null values that differ from the value
    by rounding count as equal.

    References
    ----------
    .. [1] Phipson, B., Smyth, G. K. (2010). "Permutation P-values Should Never Be
       Zero". Statistical Applications in Genetics and Molecular Biology 9(1).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.metrics import null_reference
    >>> X = np.random.default_rng(0).normal(size=(40, 50))
    >>> reference = null_reference("vci", X, np.arange(40) % 4, random_state=0)
    >>> print(f"{reference.value:.2f} against {reference.mean:.2f}")
    0.00 against 0.00
    """
    check_scalar(n_permutations, "n_permutations", Integral, min_val=1)
    if alternative not in _ALTERNATIVES:
        raise ValueError(
            f"alternative must be one of {list(_ALTERNATIVES)}, got {alternative!r}."
        )
    measure = Measure(metric, options)
    name = None if measure.facts is None else measure.name
    if name == "nrc3":
        raise ValueError(
            "nrc3 compares the head with the covariance of the targets: neither "
            "permuted targets nor other features change it, so there is no reference."
        )
    data = measure.data(X, y, sample_weight)
    rng = check_random_state(random_state)
    measure = measure.seeded(rng)
    if alternative == "auto":
        alternative = _alternative(measure.direction, data.y is not None)
    with silenced():
        value = measure(data.X, data.y, head, data.weights)
    task: Callable
    if data.y is None or name in _UNPAIRED:
        task = partial(_of_noise, measure, data, head, _spread(data))
    elif is_worth_it(measure, data):
        task = PermutedLabels(measure.name, data)
    else:
        task = partial(_of_permuted, measure, data, head)
    values = evaluate(task, draw_seeds(rng, n_permutations), n_jobs)
    with np.errstate(invalid="ignore"):  # infinite values
        mean = float(np.mean(values))
        std = float(np.std(values, ddof=1)) if n_permutations > 1 else np.nan
    differ = std > _rounding(mean)
    return NullReference(
        value,
        mean,
        std,
        (value - mean) / std if differ else np.nan,
        _p_value(value, values, alternative),
        alternative,
        values,
    )


def _of_permuted(measure, data, head, seed):
    order = np.random.default_rng(seed).permutation(data.n_rows)
    return measure(data.X, data.y[order], head, data.weights)


def _of_noise(measure, data, head, spread, seed):
    noise = np.random.default_rng(seed).normal(0.0, spread, size=data.X.shape)
    dtype = float_dtype(data.X, namespace(data.X))
    return measure(as_like(noise, data.X, dtype), data.y, head, data.weights)


def _spread(data):
    """Root of the mean variance of the features; 1 if there is none."""
    check_finite(data.X)
    X = to_numpy(data.X).astype(float)
    X -= np.average(X, axis=0, weights=data.weights)
    variance = float(np.average(np.mean(X**2, axis=1), weights=data.weights))
    return variance**0.5 or 1.0


def _alternative(direction, has_targets):
    """Side of the null values that are better with targets, worse without."""
    if direction is None:
        return "two-sided"
    return "greater" if (direction == "higher") == has_targets else "less"


def _p_value(value, values, alternative):
    if np.isnan(value) or np.isnan(values).any():
        return np.nan
    slack = _rounding(value)
    above = 1 + int(np.count_nonzero(values >= value - slack))
    below = 1 + int(np.count_nonzero(values <= value + slack))
    total = 1 + len(values)
    if alternative == "two-sided":
        return min(2 * min(above, below), total) / total
    return (above if alternative == "greater" else below) / total


def _rounding(value):
    """Difference that rounding alone makes, as scipy.stats.permutation_test has it."""
    return 100 * np.finfo(float).eps * abs(value) if np.isfinite(value) else 0.0
