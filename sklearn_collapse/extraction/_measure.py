"""What is measured of a layer in one epoch."""

import math

import numpy as np

from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.collapse._base import names_of
from sklearn_collapse.metrics._registry import METRICS, ROW_METRICS
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import to_numpy
from sklearn_collapse.utils._finite import NonFiniteFeatures
from sklearn_collapse.utils._labels import encode_labels, positions
from sklearn_collapse.utils._warnings import CollapseWarning, warn_caller

# What moments of plain rows, a head and a second pass give.
_HAD = {"means", "moments", "head", "rows"}
KNOWN = tuple(name for name in names_of("collapse") if METRICS[name].needs <= _HAD)
ONE_PASS = tuple(name for name in KNOWN if name not in ROW_METRICS)


def checked_metrics(metrics):
    """Names of the metrics, in the order in which they are wanted."""
    if metrics is None:
        return list(ONE_PASS)
    if isinstance(metrics, str):
        if metrics != "all":
            raise ValueError(
                f"metrics must be None, 'all' or a list of names, got {metrics!r}."
            )
        return list(KNOWN)
    metrics = list(metrics)
    unknown = [name for name in metrics if name not in KNOWN]
    if unknown or not metrics or len(set(metrics)) < len(metrics):
        raise ValueError(
            f"metrics must name at least one of {list(KNOWN)}, each once, got "
            f"{metrics}. Other numbers can be passed as extra=."
        )
    return metrics


def measure(moments, head, metrics):
    """Fitted scorer of a layer and its metrics of ``metrics``, but those of rows.

    A head whose weights are not finite is left out: what needs it is nan.
    """
    names = [name for name in of_layer(metrics, head) if name not in ROW_METRICS]
    head = head if is_finite(head) else None
    scorer = NeuralCollapseScorer(head=head, metrics=of_layer(names, head))
    values = scorer.fit_moments(moments).metrics_
    return scorer, {name: float(values.get(name, math.nan)) for name in names}


def is_finite(head):
    """Whether the weights of a head are, if it has any."""
    parts = (getattr(head, name, None) for name in ("coef", "intercept"))
    return all(np.isfinite(to_numpy(part)).all() for part in parts if part is not None)


def of_layer(metrics, head):
    """The metrics that a layer can have: those that need a head, if it has one."""
    return [name for name in metrics if head is not None or not _needs_head(name)]


def nothing(metrics, head):
    """The metrics of a layer where none can be measured."""
    return dict.fromkeys(of_layer(metrics, head), math.nan)


def _needs_head(name):
    return "head" in METRICS[name].needs


def row_shares(blocks, scorers):
    """Which share of the rows counts for each of the metrics of rows.

    Parameters
    ----------
    blocks : iterable of (int, dict of str to array of shape (n, d), labels)
    scorers : dict of str to fitted NeuralCollapseScorer
        By layer.

    Returns
    -------
    dict of str to ClassMoments
        By layer; of columns that are 1 for rows that count, in the order of
        `row_names`. They merge as other moments do.
    """
    shares = {layer: ClassMoments(device="cpu") for layer in scorers}
    for _, rows, labels in blocks:
        values, codes = encode_labels(labels)
        for layer, scorer in scorers.items():
            places = positions(values, scorer.classes_)[codes]
            hits = scorer._hits(to_numpy(rows[layer]), places)
            columns = [hits[name] for name in row_names(scorer.head_)]
            block = np.stack(columns, axis=1).astype(float)
            shares[layer].update(block, values[codes])
    return shares


def row_names(head):
    """Metrics of rows that a layer can have."""
    return of_layer(ROW_METRICS, head)


def wants_rows(metrics):
    """Whether any of the metrics takes a second pass."""
    return any(name in ROW_METRICS for name in metrics)


def means_of_shares(shares, layer, head):
    """Metrics of rows of a layer; nothing where features were not finite."""
    if shares is None:
        return {}
    return dict(zip(row_names(head), shares[layer].mean_.tolist(), strict=True))


def is_divergence(error):
    """Whether an error comes from features that are not finite."""
    while error is not None:
        if isinstance(error, NonFiniteFeatures):
            return True
        error = error.__cause__ or error.__context__
    return False


def warn_of_divergence(epoch):
    """Say that an epoch lacks values."""
    warn_caller(
        f"Features or weights of epoch {epoch} are not finite: has training diverged? "
        f"What they were needed for is recorded as nan.",
        CollapseWarning,
    )
