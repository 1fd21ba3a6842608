"""Every way to say `head=` for continuous targets, made a matrix of weights."""

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._head_argument import fitted_clone
from sklearn_collapse._linalg._moments import unit_rows
from sklearn_collapse.utils._arrays import (
    as_like,
    detach,
    is_foreign,
    namespace,
)
from sklearn_collapse.utils._decompositions import svd


def has_to_be_fitted(head):
    """Whether a head is an estimator that has no weights yet."""
    if head is None or isinstance(head, (str, type, FrozenEstimator)):
        return False
    return hasattr(head, "fit") and not hasattr(head, "coef_")


def head_weights(head, like, n_targets=None, data=None):
    """Weights W of a head, one row for each target.

    Parameters
    ----------
    head : array-like of shape (t, d) or (d,), or estimator
        An estimator with ``coef_`` is taken as it is, another one is cloned and fitted
        on the data.
    like : array of shape (..., d)
        The weights are brought to its library and device.
    n_targets : int, default=None
        Number t of targets, if it is known.
    data : tuple (X, y, sample_weight), default=None
        For estimators that have to be fitted.

    Returns
    -------
    array of shape (t, d)
        Float32 or float64, as they were.
    """
    if isinstance(head, (str, type)) or head is None:
        raise TypeError(
            f"head must be weights of shape (n_targets, n_features) or an estimator "
            f"with coef_, got {head!r}."
        )
    name = type(head).__name__
    if has_to_be_fitted(head):
        if data is None:
            raise ValueError(
                f"{name} has to be fitted on rows, which fit_moments and partial_fit "
                f"do not have. Pass weights, or an estimator that is fitted."
            )
        X, y, weights = data
        # Some regressors take a single target without a second axis only.
        head = fitted_clone(head, X, y[:, 0] if y.shape[1] == 1 else y, weights)
    if isinstance(head, FrozenEstimator):
        check_is_fitted(head, msg="The estimator in head is not fitted: fit it first.")
    if hasattr(head, "fit"):
        if not hasattr(head, "coef_"):
            raise ValueError(
                f"{name} has no coef_, which these metrics compare with the features: "
                f"pass a linear head."
            )
        head = head.coef_
    elif hasattr(head, "coef_"):
        head = head.coef_
    return _checked(_as_floats(head, name), like, n_targets)


def row_space(weights, xp):
    """Orthonormal basis, in columns, of the span of the rows of a head.

    The rows are brought to length 1 first, which leaves their span as it is: a target
    in a small unit counts as much as any other.

    Parameters
    ----------
    weights : array of shape (t, d)
        Float32 or float64: its rounding is part of the rank rule.

    Returns
    -------
    array of shape (d, r)
    """
    eps = float(xp.finfo(weights.dtype).eps)
    rows = unit_rows(xp.astype(weights, xp.float64), xp)
    _, values, right = svd(rows)
    double = float(xp.finfo(xp.float64).eps)
    least = max(max(rows.shape) * double, eps) * float(values[0])
    rank = int(xp.sum(xp.astype(values > least, xp.int64)))
    return xp.matrix_transpose(right[:rank, :])


def _as_floats(coef, name):
    if is_foreign(coef):
        coef = detach(coef)
        xp = namespace(coef)
        if not xp.isdtype(coef.dtype, "real floating"):
            return xp.astype(coef, xp.float64)
        narrow = xp.finfo(coef.dtype).bits < 32
        return xp.astype(coef, xp.float32) if narrow else coef
    try:
        coef = np.asarray(coef)
        kept = coef.dtype in (np.float32, np.float64)
        return coef if kept else coef.astype(float)
    except (TypeError, ValueError):
        raise TypeError(
            f"head must be weights of shape (n_targets, n_features) or an estimator "
            f"with coef_, got {name}. Of a layer of torch pass its weight."
        ) from None


def _checked(coef, like, n_targets):
    n_features = like.shape[-1]
    rows = coef[None, :] if coef.ndim == 1 else coef
    t = "n_targets" if n_targets is None else n_targets
    right = rows.ndim == 2 and rows.shape[1] == n_features
    if not right or n_targets not in (None, rows.shape[0]) or not rows.shape[0]:
        targets = "" if n_targets is None else f" and y has {n_targets} target(s)"
        raise ValueError(
            f"The weights of the head have shape {tuple(coef.shape)}, but X has "
            f"{n_features} features{targets}: they must have shape ({t}, "
            f"{n_features}), one row for each target. Use the layer that reads these "
            f"features."
        )
    xp = namespace(rows)
    if not bool(xp.all(xp.isfinite(rows))):
        raise ValueError("The weights of the head contain NaN or infinity.")
    # A copy: whoever holds the weights may go on training.
    rows = xp.asarray(rows, copy=True)
    return as_like(rows, like)
