"""Logits of any classifier, and the linear map of the features that is closest."""

import warnings
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse._linalg._spectrum import floored_inverse
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import (
    Rows,
    as_like,
    is_foreign,
    namespace,
    to_numpy,
)
from sklearn_collapse.utils._labels import shorten
from sklearn_collapse.utils._validation import (
    check_features,
    check_weights,
    drop_zero_weights,
)


def classifier_logits(classifier, classes, block):
    """Logits of a fitted classifier for a block of rows, as a NumPy array (n, C).

    That is ``decision_function`` or else the logarithm of ``predict_proba``, where a
    probability of zero counts as the smallest normal number.
    """
    name = type(classifier).__name__
    if hasattr(classifier, "decision_function"):
        logits = ask(classifier, "decision_function", block)
        if logits.ndim == 1:
            logits = np.stack([-logits / 2, logits / 2], axis=1)
    elif hasattr(classifier, "predict_proba"):
        shares = ask(classifier, "predict_proba", block)
        logits = np.log(np.maximum(shares, np.finfo(shares.dtype).tiny))
    else:
        raise ValueError(
            f"{name} has neither decision_function nor predict_proba, and logits are "
            f"needed: pass another head."
        )
    if logits.shape[1] != len(classes):
        raise ValueError(
            f"{name} gives {logits.shape[1]} decision values for {len(classes)} "
            f"classes, but there must be one per class: with support vectors use "
            f"decision_function_shape='ovr'."
        )
    if not np.isfinite(logits).all():
        raise ValueError(
            f"{name} gives logits that are NaN or infinity. Rescale the features, or "
            f"pass another head."
        )
    return logits


def ask(classifier, method, block):
    """Result of a classifier's method for a block of rows, as a NumPy array.

    The block is handed over in the library and on the device that the classifier was
    fitted in.
    """
    with warnings.catch_warnings():
        # Blocks of rows have lost the column names that a frame had.
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        rows = as_like(block, _fitted_array(classifier))
        return np.asarray(to_numpy(getattr(classifier, method)(rows)))


def _fitted_array(classifier):
    """What a classifier, maybe frozen or the last step of a pipeline, has learned.

    A NumPy array for those that keep it elsewhere.
    """
    steps = getattr(classifier, "steps", None)
    last = steps[-1][1] if steps else classifier
    found = getattr(last, "means_", None)
    found = getattr(last, "coef_", None) if found is None else found
    return found if is_foreign(found) else np.zeros(0)


def closest_linear_logits(classifier, X, sample_weight=None):
    """Weights and biases whose logits come closest to a classifier's on rows.

    Parameters
    ----------
    classifier : fitted classifier
    X : array-like of shape (n, d)
    sample_weight : array-like of shape (n,), default=None

    Returns
    -------
    coef : ndarray of shape (C, d)
        Of least norm, by the rank rule for the covariance of the rows.
    intercept : ndarray of shape (C,)
    """
    decides = hasattr(classifier, "predict") and not isinstance(classifier, type)
    if not decides or not is_classifier(classifier):
        raise TypeError(
            f"classifier must be a fitted classifier, got {classifier!r:.100}."
        )
    check_is_fitted(classifier)
    classes = classifier.classes_
    if is_foreign(classes):
        classes = to_numpy(classes)
    if np.ndim(classes) != 1 or len(classes) < 2:
        raise ValueError(
            f"classifier must tell the labels of one target, two or more, apart, got "
            f"classes_={classes!r:.100}."
        )
    X, names = check_features(X)
    known = getattr(classifier, "feature_names_in_", names)
    if names is not None and not np.array_equal(known, names):
        raise ValueError(
            f"X has the columns {shorten(names)}, but classifier was fitted on "
            f"{shorten(known)}: pass the same columns in the same order."
        )
    weights = check_weights(sample_weight, X.shape[0])
    X, _, weights = drop_zero_weights(X, weights)
    moments = ClassMoments.from_arrays(X, None, weights)
    spectrum, mean = moments._spectrum("total"), moments.mean_
    home = namespace(mean)

    rows = Rows(X, "auto", work=float(X.shape[0]) * X.shape[1] * len(classes))
    xp, centre = rows.xp, rows.local(mean)
    origin: Any = None  # logits may be far from zero
    products = rows.local(np.zeros((len(classes) + 1, X.shape[1])))
    sums = np.zeros(len(classes))

    def absorb(block, here):
        nonlocal origin, products, sums
        logits = classifier_logits(classifier, classes, block).astype(float)
        if origin is None:
            origin = logits.mean(axis=0)
        logits = logits - origin
        w = np.ones(len(logits)) if weights is None else weights[here]
        left = np.concatenate([w[:, None] * logits, w[:, None]], axis=1)
        part = xp.matmul(xp.matrix_transpose(rows.local(left)), block - centre)
        products, sums = products + part, sums + w @ logits

    rows.visit(absorb, X.shape[1], xp.float64)
    # The last row is what the mean of the rows has been rounded by.
    n = moments.n_samples_
    products, mean_logits = to_numpy(rows.home(products)) / n, sums / n
    cross = products[:-1, :] - np.outer(mean_logits, products[-1, :])
    inverse = to_numpy(floored_inverse(spectrum, 0, xp=home)[0])
    vectors = to_numpy(spectrum.vectors)
    coef = ((cross @ vectors) * inverse) @ vectors.T
    centre = to_numpy(mean) + products[-1, :]
    return coef, origin + mean_logits - coef @ centre
