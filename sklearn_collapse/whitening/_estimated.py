"""Moments with a covariance that another estimator has estimated."""

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import as_like, to_numpy
from sklearn_collapse.utils._labels import encode_known


def estimate(estimator, X, y, weights, device):
    """Fit a copy of a covariance estimator and put its covariance into moments.

    Parameters
    ----------
    estimator : estimator object
        With ``covariance_`` after ``fit`` and perhaps ``location_``. It gets NumPy rows
        in float64.
    X : array of shape (n, d)
    y : ndarray of shape (n,) or None
        Labels, if the covariance is that about the class means.
    weights : ndarray of shape (n,) or None
    device : str
        Where NumPy rows are worked on.

    Returns
    -------
    fitted : estimator object
    moments : ClassMoments
        Those of the rows, but for the covariance. Of unlabelled rows the mean is the
        location of the estimator, if it has one.
    """
    moments = ClassMoments(device=device).update(X, y, weights)
    rows = to_numpy(X).astype(float)
    if y is not None:
        rows -= to_numpy(moments.means_)[encode_known(y, moments.classes_)]
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
                f"{weights[weights != np.round(weights)][0]}. Round them, or use "
                f"covariance=None with shrinkage=."
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
    location = getattr(fitted, "location_", None) if y is None else None
    if location is not None:
        location = np.asarray(location, dtype=float)
        if location.shape != (d,) or not np.isfinite(location).all():
            raise ValueError(
                f"location_ of covariance={name} must be finite and of shape ({d},), "
                f"got shape {location.shape}."
            )
    return fitted, _with_covariance(moments, covariance, location)


def check_alone(whitener):
    """Raise for parameters that say something about the covariance as well."""
    rule = isinstance(whitener.n_components, str)
    for name, meant in (
        ("shrinkage", bool(whitener.shrinkage)),
        ("ddof", whitener.ddof != 0),
        ("solver", whitener.solver in ("svd", "gram")),
        ("n_components", rule),
    ):
        if meant:
            raise ValueError(
                f"{name}={getattr(whitener, name)!r} has no meaning beside covariance="
                f"{type(whitener.covariance).__name__}, whose estimate is taken as it "
                f"is. Leave {name} at its default"
                f"{', or pass a number or a share of the variance' * rule}."
            )


def _with_covariance(moments, covariance, location):
    """Copy of moments whose within-class covariance is another."""
    found, old = moments.copy(), moments._gathered()
    means = old.means
    if location is not None:
        means = as_like(location[None, :], means, means.dtype)
    covariance = (covariance + covariance.T) / 2
    traces = old.counts * np.trace(covariance)
    found._moments = old._replace(
        means=means,
        scatter=as_like(old.counts.sum() * covariance, means),
        traces=as_like(traces, means),
    )
    return found
