"""Intervals of the collapse metrics: one resample of the rows gives all of them."""

import hashlib
import warnings

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state

from sklearn_collapse.metrics import METRICS
from sklearn_collapse.metrics._bootstrap import _ends, _spread
from sklearn_collapse.metrics._repeat import draw_seeds
from sklearn_collapse.metrics._resampling import within_classes
from sklearn_collapse.utils._labels import encode_labels

_RESAMPLES = 100
# n d (d + C) up to which that many are drawn unless their number is given: about ten
# seconds on one core.
_MAX_WORK = 10**9
_LEVEL, _METHOD = 0.95, "basic"
# Rows beyond the classes for each class and for each feature, below which intervals do
# not hold; the second for metrics that whiten by the within-class covariance.
_PER_CLASS, _PER_FEATURE, _PER_WHITENED = 20, 5, 15
_DIGITS = 6


def intervals(study):
    """Bootstrap the collapse metrics of the training rows.

    Parameters
    ----------
    study : Study

    Returns
    -------
    dict or None
        The interval of each metric, None where there are too few rows for one, and
        how the rows were drawn.
    """
    X, y, scorer = study.features.X, study.features.y, study.scorer
    n_resamples = study.n_resamples
    if n_resamples is None:
        n_resamples = _affordable(X, scorer.classes_)
    if not n_resamples:
        return None
    values = scorer.metrics_
    wanted = _with_enough_rows(values, X, scorer.classes_)
    resampling = within_classes(encode_labels(y)[1])
    seeds = draw_seeds(check_random_state(study.seed), n_resamples).tolist()
    counts = [resampling.counts(seed) for seed in seeds]
    drawn = _measure(scorer, X, y, counts, wanted) if wanted else {}
    return {
        "n_resamples": n_resamples,
        "confidence_level": _LEVEL,
        "method": _METHOD,
        "seed": study.seed,
        "fingerprint": _fingerprint(y, counts),
        "metrics": {
            name: _interval(name, value, drawn[name]) if name in drawn else None
            for name, value in values.items()
        },
    }


def _affordable(X, classes):
    """Resamples that are drawn unless their number is given."""
    (n, d), n_classes = X.shape, len(classes)
    if n * d * (d + n_classes) <= _MAX_WORK:
        return _RESAMPLES
    warnings.warn(
        f"No intervals: with {n} rows of {d} features in {n_classes} classes they take "
        f"long. --resamples {_RESAMPLES} computes them.",
        UserWarning,
        stacklevel=2,
    )
    return 0


def _with_enough_rows(names, X, classes):
    """Names of metrics whose intervals hold for so many rows."""
    n_free, d, n_classes = X.shape[0] - len(classes), X.shape[1], len(classes)
    few = n_free < max(_PER_CLASS * n_classes, _PER_FEATURE * d)
    left_out = [
        name
        for name in names
        if few
        or ("invertible" in METRICS[name].invariances and n_free < _PER_WHITENED * d)
    ]
    if left_out:
        which = "any metric" if few else ", ".join(left_out)
        warnings.warn(
            f"No interval of {which}: {X.shape[0]} rows are too few for {d} features "
            f"in {n_classes} classes.",
            UserWarning,
            stacklevel=2,
        )
    return [name for name in names if name not in left_out]


def _measure(scorer, X, y, counts, names):
    """Values of the resamples by metric: one fit for each gives all of them."""
    twin = clone(scorer).set_params(metrics=names, per_class=False, head=scorer.head_)
    drawn = np.empty((len(counts), len(names)))
    with warnings.catch_warnings():
        # What is to be said of the rows was said when they were measured themselves.
        warnings.simplefilter("ignore")
        for row, weights in zip(drawn, counts, strict=True):
            found = twin.fit(X, y, sample_weight=weights.astype(float)).metrics_
            row[:] = [found[name] for name in names]
    return dict(zip(names, drawn.T, strict=True))


def _interval(name, value, drawn):
    low, high = _ends(value, drawn, _LEVEL, _METHOD)
    return {
        # Reflected values can leave the range, the true one cannot.
        "low": float(np.clip(low, *METRICS[name].range)),
        "high": float(np.clip(high, *METRICS[name].range)),
        "standard_error": _spread(drawn),
        "values": [float(f"{v:.{_DIGITS}g}") for v in drawn.tolist()],
    }


def _fingerprint(y, counts):
    """Equal for reports whose rows have equal labels and were drawn alike."""
    digest = hashlib.sha256("\n".join(map(str, y.tolist())).encode())
    for drawn in counts:
        digest.update(drawn.astype("<u4").tobytes())
    return digest.hexdigest()
