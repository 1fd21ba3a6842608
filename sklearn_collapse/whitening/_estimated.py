"""Moments with a covariance that another estimator has estimated."""

from sklearn_collapse._estimated import fit_covariance, with_covariance
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import to_numpy
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
    fitted, covariance, location = fit_covariance(estimator, rows, weights)
    location = location if y is None else None
    return fitted, with_covariance(moments, covariance, location)


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
