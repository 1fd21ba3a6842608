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

DEFAULT_RESAMPLES = 100
# n d (d + C) up to which that many are drawn unless their number is given: about ten
# seconds on one core.
MAX_WORK = 10**9
CONFIDENCE_LEVEL = 0.95
_METHOD = "basic"
_DIGITS = 6


def default_resamples(n_rows, n_features, n_classes):
    """How many resamples are drawn unless their number is given."""
    work = n_rows * n_features * (n_features + n_classes)
    return DEFAULT_RESAMPLES if work <= MAX_WORK else 0


def intervals(scorer, X, y, n_resamples, seed):
    """Bootstrap the metrics of a scorer.

    Parameters
    ----------
    scorer : NeuralCollapseScorer
        Fitted on X and y.
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
    n_resamples : int
        None is made of fewer than two.
    seed : int

    Returns
    -------
    dict
        The interval of each metric, and how the rows were drawn.
    """
    codes = encode_labels(y)[1]
    rng = check_random_state(seed)
    resampling = within_classes(codes)
    counts = [resampling.counts(s) for s in draw_seeds(rng, n_resamples).tolist()]
    values = scorer.metrics_
    drawn = _measure(scorer, X, y, counts, list(values))
    return {
        "n_resamples": n_resamples,
        "confidence_level": CONFIDENCE_LEVEL,
        "method": _METHOD,
        "seed": seed,
        "fingerprint": _fingerprint(y, counts),
        "metrics": {
            name: _interval(name, value, drawn[:, k])
            for k, (name, value) in enumerate(values.items())
        },
    }


def _measure(scorer, X, y, counts, names):
    """Metrics of each resample, (n_resamples, n_metrics)."""
    twin = clone(scorer).set_params(metrics=names, per_class=False)
    drawn = np.empty((len(counts), len(names)))
    with warnings.catch_warnings():
        # What is to be said of the rows was said when they were measured themselves.
        warnings.simplefilter("ignore")
        for row, weights in zip(drawn, counts, strict=True):
            found = twin.fit(X, y, sample_weight=weights.astype(float)).metrics_
            row[:] = [found[name] for name in names]
    return drawn


def _interval(name, value, drawn):
    low, high = _ends(value, drawn, CONFIDENCE_LEVEL, _METHOD)
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
