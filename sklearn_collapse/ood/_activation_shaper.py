"""Activations shaped before they become logits: ReAct, ASH, SCALE, VRA and others."""

from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._base import RowsEstimator, unchanged_on_error
from sklearn_collapse._head_argument import check_head, fitted_head
from sklearn_collapse._linalg._quantiles import entry_quantiles, entry_range
from sklearn_collapse._linalg._rows import map_rows
from sklearn_collapse._linalg._shaping import (
    BY_RANK,
    clip_high,
    first_negative,
    rectify,
    reweigh,
)
from sklearn_collapse.heads import LinearHead
from sklearn_collapse.ood._bin_factors import learn_bins
from sklearn_collapse.ood._head import HEAD, require_labels
from sklearn_collapse.ood._rows_detector import head_for_rows
from sklearn_collapse.utils._arrays import (
    Array,
    Rows,
    as_like,
    device_of,
    float_dtype,
    namespace,
    to_numpy,
)
from sklearn_collapse.utils._dask import by_partition
from sklearn_collapse.utils._sklearn_private import Interval, StrOptions, fit_context
from sklearn_collapse.utils._validation import check_same_place, validate_features


class _Fitted(NamedTuple):
    """What rows are compared with, and the method that was fitted."""

    like: Array  # (0,), of the library and device that were fitted on
    method: str


class ActivationShaper(OneToOneFeatureMixin, TransformerMixin, RowsEstimator):
    """Clip, prune, scale or reweigh activations before they become logits.

    A transformer that goes in front of a score of the logits: ReAct, say, is
    ``make_pipeline(ActivationShaper("react"), LogitDetector(head=head))``.

    Parameters
    ----------
    method : {"react", "ash_p", "ash_b", "ash_s", "scale", "vra", "optimal"}, \
            default="react"
        "react" clips activations from above; "vra" also sets low ones to zero.
        "ash_p", "ash_b" and "ash_s" keep the largest activations of each row as they
        are, all equal, or scaled up; "scale" scales up all of them. "optimal" learns a
        factor for each of 100 ranges of activations from a head. See Notes.
    percentile : float, default=90
        "react" and "vra": percentile of all training activations at which they are
        clipped. "ash_p", "ash_b", "ash_s" and "scale": share of each row's
        activations, in percent, that is left out of the largest. In [0, 100].
    lower_percentile : float, default=60
        "vra": percentile of all training activations below which they become zero.
    head : {None, "lda"} or classifier, default=None
        "optimal" needs a head with weights: "lda" is the linear discriminant of the
        rows given to ``fit``, which needs y; a `LinearHead` or a ``FrozenEstimator``
        is used as it is; any other classifier is cloned and fitted on the same rows.
        The other methods need none.
    device : str, default="auto"
        Where NumPy rows are worked on: "auto", "cpu" or a torch device. Arrays of
        other libraries are worked on where they are.

    Attributes
    ----------
    upper_ : float
        Threshold above which activations are clipped ("react", "vra").
    lower_ : float
        Threshold below which they become zero ("vra").
    n_kept_ : int
        Number k of largest activations of a row ("ash_p", "ash_b", "ash_s", "scale").
    bin_edges_ : array of shape (101,)
        Bounds of the ranges ("optimal"), which hold their lower bound.
    bin_factors_ : array of shape (100,)
        What activations in a range are multiplied by ("optimal").
    head_ : "lda" or classifier
        Fitted head ("optimal").
    device_ : str
        Device on which the rows were worked on.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X had any.

    See Also
    --------
    LogitDetector : The score that follows, energy for all of them.
    sklearn_collapse.LinearHead : The network's last layer.

    Notes
    -----
    For a row z of d activations let k = d - round(d * percentile / 100), where halves
    are rounded to even numbers, but at least 1; S1 the sum of z and S2 that of its k
    largest entries; of equal ones the first count. With thresholds lower and upper,
    and q_b, q_b+1 the bounds of range b ::

        react     min(z_j, upper)
        vra       0 if z_j < lower, else min(z_j, upper)
        ash_p     z_j for the k largest, else 0
        ash_b     S1 / k for the k largest, else 0
        ash_s     z_j exp(S1 / S2) for the k largest, else 0
        scale     z_j exp(S1 / S2)
        optimal   theta_b z_j if q_b <= z_j < q_b+1, and 0 outside of all ranges

    The published networks shape features after a ReLU. ASH and SCALE are meant for
    these, and negative activations are an error. Rows of zeros stay zeros.

    The ranges of "optimal" are 100 of equal length between the 0.001 and the 0.999
    quantile of all training activations. With c_i the class that the head predicts for
    row i and w its weights, theta = 1000 I / ||I|| where ::

        I_b = mean_i sum_j w[c_i, j] z_ij [z_ij in range b]

    The authors of VRA zero low activations, as here; OpenOOD clips them. Their code has
    thresholds of each feature for CIFAR, where 60 and 90 are its percentiles for
    CIFAR-10, and one pair of constants for ImageNet; here they are quantiles of all
    features together, as in ReAct. VRA+ and VRA++ are not there.

    Quantiles are exact, interpolated linearly as NumPy does by default, and weigh rows
    by frequency. They take a few passes over blocks of rows, without a copy of all
    activations. There is no ``partial_fit``: quantiles of a stream are not exact.

    The unit of the features changes nothing but the unit of the result, unless
    "optimal" reads them with a head whose weights are fixed. Rotations and
    translations change everything: activations are looked at one by one.

    References
    ----------
    .. [1] Sun, Y., Guo, C., Li, Y. (2021). "ReAct: Out-of-distribution Detection With
       Rectified Activations". NeurIPS.
    .. [2] Djurisic, A., Bozanic, N., Ashok, A., Liu, R. (2023). "Extremely Simple
       Activation Shaping for Out-of-Distribution Detection". ICLR.
    .. [3] Xu, K., Chen, R., Franchi, G., Yao, A. (2024). "Scaling for Training Time and
       Post-hoc Out-of-distribution Detection Enhancement". ICLR.
    .. [4] Xu, M., Lian, Z., Liu, B., Tao, J. (2023). "VRA: Variational Rectified
       Activation for Out-of-distribution Detection". NeurIPS.
    .. [5] Zhao, Q., Xu, M., Gupta, K., Asthana, A., Zheng, L., Gould, S. (2024).
       "Towards Optimal Feature-Shaping Methods for Out-of-Distribution Detection".
       ICLR.

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import ActivationShaper, LogitDetector
    >>> data = load_cifar8_features()
    >>> react = make_pipeline(ActivationShaper("react"), LogitDetector(head=data.head))
    >>> react = react.fit(data.data)
    >>> inside = react.score_samples(data.X_test)
    >>> outside = react.score_samples(data.ood["far: noise"])
    >>> y_true = [1] * len(inside) + [0] * len(outside)
    >>> round(roc_auc_score(y_true, [*inside, *outside]), 2)
    0.97
    """

    _parameter_constraints: dict = {
        "method": [StrOptions({"react", "vra", "optimal", *BY_RANK})],
        "percentile": [Interval(Real, 0, 100, closed="both")],
        "lower_percentile": [Interval(Real, 0, 100, closed="both")],
        "head": HEAD,
        "device": [str],
    }
    _left_by_fit = (
        *RowsEstimator._left_by_fit,
        *("_fitted", "device_", "upper_", "lower_", "n_kept_"),
        *("bin_edges_", "bin_factors_", "head_"),
    )
    bin_edges_: Any
    bin_factors_: Any

    def __init__(
        self,
        method="react",
        *,
        percentile=90,
        lower_percentile=60,
        head=None,
        device="auto",
    ):
        self.method = method
        self.percentile = percentile
        self.lower_percentile = lower_percentile
        self.head = head
        self.device = device

    @property
    def _ignores_scale(self):
        return self.method != "optimal" or isinstance(self.head, str)

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, sample_weight=None):
        """Learn thresholds, or factors, from in-distribution activations.

        Parameters
        ----------
        X : array-like of shape (n, d)
            In-distribution activations, of any array library.
        y : array-like of shape (n,), default=None
            Class labels, for the head of "optimal"; other methods ignore them.
        sample_weight : array-like of shape (n,), default=None
            Frequencies of the rows.

        Returns
        -------
        self : object
            Fitted transformer.
        """
        with unchanged_on_error(self):
            self._forget()
            y = self._check_labels(y)
            X, y, weights = self._validate_fit(
                X, y, sample_weight, reset=True, min_samples=1
            )
            xp = namespace(X)
            like = xp.empty((0,), dtype=float_dtype(X, xp), device=device_of(X))
            self._fitted = _Fitted(like, self.method)
            rows = Rows(X, self.device, work=float(X.shape[0]) * X.shape[1])
            self.device_ = rows.place[1]
            self._learn(rows, y, weights)
        return self

    @by_partition
    def transform(self, X):
        """Shape activations.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Activations, of the library that was fitted on.

        Returns
        -------
        array of shape (n, d)
            Shaped activations, float32 or float64 as X.
        """
        check_is_fitted(self, "_fitted")
        X = validate_features(self, X)
        check_same_place(self, X, self._fitted.like, "transform")
        rows = Rows(X, self.device, work=float(X.shape[0]) * X.shape[1])
        return self._shape_rows(rows)

    def _check_labels(self, y):
        """Labels that the method needs, or None."""
        if self.method != "optimal":
            return None
        if self.head is None:
            raise ValueError(
                "method='optimal' learns from the weights of a head, got head=None. "
                "Pass the network's last layer as a LinearHead, or head='lda' with y."
            )
        if self._head_needs_labels:
            self._require_labels(y)
        require_labels(self.head, y is not None)
        return y

    @property
    def _head_needs_labels(self):
        return not isinstance(self.head, (type(None), LinearHead, FrozenEstimator))

    def _learn(self, rows, y, weights):
        extent = entry_range(rows)
        if self.method in BY_RANK:
            d = rows.X.shape[1]
            self.n_kept_ = max(1, d - round(d * self.percentile / 100))
            if extent[0] < 0:
                self._raise_negative(rows.X)
        elif self.method == "react":
            shares = [self.percentile / 100]
            (self.upper_,) = entry_quantiles(rows, shares, weights, extent)
        elif self.method == "vra":
            if self.lower_percentile > self.percentile:
                raise ValueError(
                    f"lower_percentile={self.lower_percentile} is above "
                    f"percentile={self.percentile}: activations between the two are "
                    f"what 'vra' keeps. Exchange them."
                )
            shares = [self.lower_percentile / 100, self.percentile / 100]
            self.lower_, self.upper_ = entry_quantiles(rows, shares, weights, extent)
        else:
            self._learn_factors(rows, y, weights, extent)

    def _learn_factors(self, rows, y, weights, extent):
        """Set the ranges of "optimal" and their factors."""
        X = rows.X
        self.head_ = fitted_head(self.head, (X, y, weights))
        classes = None if y is None else np.unique(y)
        check_head(self.head_, classes, X.shape[1], linear=True)
        resolved, centre = head_for_rows(self.head_, X, y, weights, self.device)
        found = learn_bins(rows, resolved, centre, weights, extent)
        self.bin_edges_, self.bin_factors_ = (as_like(v, X) for v in found)

    @np.errstate(over="ignore", invalid="ignore")
    def _shape_rows(self, rows):
        xp, method = rows.xp, self._fitted.method
        shape = self._shaping(rows)
        visited, faults = [], []

        def apply(block, here):
            found = shape(block)
            # Read after the last block: to look would make the host wait for a GPU.
            overflow = ~xp.all(xp.isfinite(found))
            visited.append(here)
            faults.append(xp.stack([xp.any(block < 0), overflow]))
            return (found,)

        shaped = map_rows(rows, apply, 4 * rows.X.shape[1], home=True)[0]
        negative, overflow = to_numpy(xp.stack(faults)).T
        if method in BY_RANK and negative.any():
            self._raise_negative(rows.X)
        if overflow.any():
            here = visited[int(np.argmax(overflow))]
            raise ValueError(
                f"Activations shaped by method={method!r} overflow {shaped.dtype}: "
                f"first in rows {here.start} to {here.stop - 1}. Rescale X, or pass a "
                f"smaller percentile."
            )
        return shaped

    def _shaping(self, rows):
        """Return the fitted function of blocks."""
        xp, method = rows.xp, self._fitted.method
        if method == "react":
            return lambda block: clip_high(block, self.upper_, xp)
        if method == "vra":
            return lambda block: rectify(block, self.lower_, self.upper_, xp)
        if method == "optimal":
            edges, factors = map(rows.local, (self.bin_edges_, self.bin_factors_))
            return lambda block: reweigh(block, edges, factors, xp)
        by_rank = BY_RANK[method]
        return lambda block: by_rank(block, self.n_kept_, xp)

    def _raise_negative(self, X):
        row, column, value = first_negative(X)
        raise ValueError(
            f"Negative values in data passed to X: {value:g} in row {row}, column "
            f"{column}. {type(self).__name__} with method={self._fitted.method!r} "
            f"needs non-negative activations, as a ReLU gives. Pass those, or "
            f"method='react', 'vra' or 'optimal'."
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.positive_only = self.method in BY_RANK
        tags.target_tags.required = self.method == "optimal" and self._head_needs_labels
        return tags
