"""The detectors of the report's table."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.ood import (
    FDBDDetector,
    KNNDetector,
    LogitDetector,
    MahalanobisDetector,
    NCIDetector,
    NECODetector,
    ResidualDetector,
    ViMDetector,
)

# Products that the search for neighbours may take: a minute or so on two cores.
_MOST_PRODUCTS = 1e11


class Entry(NamedTuple):
    """A detector of the table."""

    make: Callable  # takes the head
    meaning: str
    needs_head: bool = False


DETECTORS = {
    "Mahalanobis": Entry(
        lambda head: MahalanobisDetector(),
        "Distance to the nearest class mean, under the covariance within classes.",
    ),
    "Mahalanobis++": Entry(
        lambda head: MahalanobisDetector(normalize=True),
        "The same for rows that are scaled to length 1.",
    ),
    "relative": Entry(
        lambda head: MahalanobisDetector(relative=True),
        "That distance, less the distance to the mean of all rows under the "
        "covariance of all rows.",
    ),
    "relative++": Entry(
        lambda head: MahalanobisDetector(relative=True, normalize=True),
        "The same for rows that are scaled to length 1.",
    ),
    "Residual": Entry(
        lambda head: ResidualDetector(),
        "Length of a row outside of the leading principal components.",
    ),
    "kNN": Entry(
        lambda head: KNNDetector(),
        "Distance to the 50th nearest training row, all rows scaled to length 1.",
    ),
    "NECO": Entry(
        lambda head: NECODetector(),
        "Share of the length of a standardised row within the leading principal "
        "components.",
    ),
    "NECO with head": Entry(
        lambda head: NECODetector(head=head),
        "NECO times the largest logit.",
        True,
    ),
    "energy": Entry(
        lambda head: LogitDetector("energy", head=head),
        "Logarithm of the sum of the exponentials of the logits.",
        True,
    ),
    "max logit": Entry(
        lambda head: LogitDetector("max_logit", head=head),
        "The largest logit.",
        True,
    ),
    "MSP": Entry(
        lambda head: LogitDetector("msp", head=head),
        "The largest softmax probability.",
        True,
    ),
    "ViM": Entry(
        lambda head: ViMDetector(head),
        "Energy, less the residual brought to the size of the logits.",
        True,
    ),
    "fDBD": Entry(
        lambda head: FDBDDetector(head),
        "Mean distance to the boundaries with the other classes, divided by the "
        "distance to the mean of all rows.",
        True,
    ),
    "NCI": Entry(
        lambda head: NCIDetector(head),
        "Alignment of a row, about the mean of all rows, with the weights of the "
        "class that the head predicts, plus a thousandth of the sum of its absolute "
        "values.",
        True,
    ),
}


def fitted_detectors(features, moments, progress):
    """Fit those of the table that can be; why one cannot becomes a warning.

    Parameters
    ----------
    features : FeatureSet
    moments : ClassMoments
        Of the training rows.
    progress : callable
        Called with what is done next.

    Returns
    -------
    dict of str to estimator
    """
    X, y = features.X, features.y
    unit = ClassMoments.from_arrays(X, y, normalize=True)
    found = {}
    for name, entry in DETECTORS.items():
        if entry.needs_head and features.head is None:
            continue
        progress(f"detector {name}")
        reason = _too_long(features) if name == "kNN" else None
        if reason is None:
            detector = entry.make(features.head)
            reason = _fit(detector, X, y, unit, moments)
        if reason is None:
            found[name] = detector
        else:
            warnings.warn(
                f"{name} is not in the table: {reason}", UserWarning, stacklevel=2
            )
    return found


def _fit(detector, X, y, unit, moments):
    """Why it is of no use, or None."""
    try:
        if isinstance(detector, (LogitDetector, KNNDetector)):
            detector.fit(X, y)
        elif isinstance(detector, MahalanobisDetector) and detector.normalize:
            detector.fit_moments(unit)
        else:
            detector.fit_moments(moments)
        if isinstance(detector, ViMDetector):
            detector.calibrate(X)
    except ValueError as error:
        return str(error)
    return _cannot_tell(detector) if isinstance(detector, NECODetector) else None


def _cannot_tell(neco):
    """Why NECO cannot tell rows of these features apart, or None if it can."""
    try:
        kept, n_features = neco.n_components_, neco.n_features_in_
    except ValueError:
        return "the features do not vary."
    if kept < n_features:
        return None
    # Only rounding would make the order of such scores.
    return (
        f"{neco.n_components:.0%} of the variance take all {n_features} principal "
        f"components, and then every row has the same share in them."
    )


def _too_long(features):
    n, d = features.X.shape
    rows = len(features.X_test) + sum(len(rows) for rows in features.ood.values())
    if float(n) * d * rows <= _MOST_PRODUCTS:
        return None
    return (
        f"{n:,} training rows are too many to hold {rows:,} rows against each. Fit a "
        f"KNNDetector on part of them."
    )
