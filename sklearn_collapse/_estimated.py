"""Covariances that another estimator has estimated."""

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from sklearn_collapse.utils._arrays import as_like


def fit_covariance(estimator, rows, weights=None):
    """Fit a copy of a covariance estimator.

    Parameters
    ----------
    estimator : estimator object
        With ``covariance_`` after ``fit`` and perhaps ``location_``.
    rows : ndarray of shape (n, d)
        In float64, centred or not.
    weights : ndarray of shape (n,), default=None
        Frequencies: whole numbers if the estimator takes no ``sample_weight``.

    Returns
    -------
    fitted : estimator object
    covariance : ndarray of shape (d, d)
        Symmetric.
    location : ndarray of shape (d,) or None
    """
    fitted = clone(estimator)
    options = {}
    if weights is not None:
        if has_fit_parameter(fitted, "sample_weight"):
            options = {"sample_weight": weights}
        elif np.all(weights == np.round(weights)):
            rows = np.repeat(rows, weights.astype(int), axis=0)
        else:
            raise ValueError(
                f"covariance={type(estimator).__name__} takes no sample_weight, so "
                f"that frequencies must be whole numbers, got "
                f"{weights[weights != np.round(weights)][0]}. Round them, or leave "
                f"covariance at its default and use shrinkage=."
            )
    fitted.fit(rows, None, **options)
    name, d = type(estimator).__name__, rows.shape[1]
    covariance = np.asarray(getattr(fitted, "covariance_", None), dtype=float)
    if covariance.shape != (d, d) or not np.isfinite(covariance).all():
        what = "not finite" if covariance.shape == (d, d) else "no such array"
        raise ValueError(
            f"covariance={name} must have a finite covariance_ of shape ({d}, {d}) "
            f"after fit, got {what}. Pass a covariance estimator such as "
            f"sklearn.covariance.LedoitWolf()."
        )
    location = getattr(fitted, "location_", None)
    if location is not None:
        location = np.asarray(location, dtype=float)
        if location.shape != (d,) or not np.isfinite(location).all():
            raise ValueError(
                f"location_ of covariance={name} must be finite and of shape ({d},), "
                f"got shape {location.shape}."
            )
    return fitted, (covariance + covariance.T) / 2, location


def with_covariance(moments, covariance, location=None):
    """Copy of moments whose within-class covariance is another.

    Parameters
    ----------
    moments : ClassMoments
    covariance : ndarray of shape (d, d)
    location : ndarray of shape (d,), default=None
        Takes the place of the mean, if there is a single class.

    Returns
    -------
    ClassMoments
    """
    found, old = moments.copy(), moments._gathered()
    means = old.means
    if location is not None and means.shape[0] == 1:
        means = as_like(location[None, :], means, means.dtype)
    traces = old.counts * np.trace(covariance)
    found._moments = old._replace(
        means=means,
        scatter=as_like(old.counts.sum() * covariance, means),
        traces=as_like(traces, means),
    )
    return found
