"""Shaped activations by their definitions: loops over rows and entries, float64."""

import math

import numpy as np


def quantile(X, share, weights=None):
    """Quantile of all entries, of rows that are repeated as often as they weigh."""
    X = np.asarray(X, dtype=float)
    if weights is not None:
        X = np.repeat(X, np.asarray(weights, dtype=int), axis=0)
    values = sorted(X.ravel().tolist())
    place = share * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def kept(row, percentile):
    """Positions of the largest entries, of equal ones the first, and their number."""
    d = len(row)
    k = max(1, d - int(np.round(d * percentile / 100)))
    return set(sorted(range(d), key=lambda j: (-row[j], j))[:k]), k


def by_rank(method, X, percentile):
    shaped = []
    for row in np.asarray(X, dtype=float).tolist():
        largest, k = kept(row, percentile)
        s1, s2 = math.fsum(row), math.fsum(row[j] for j in largest)
        growth = math.exp(s1 / s2) if s2 else 1.0
        shaped.append(
            [
                {
                    "ash_p": z if j in largest else 0.0,
                    "ash_b": s1 / k if j in largest else 0.0,
                    "ash_s": z * growth if j in largest else 0.0,
                    "scale": z * growth,
                }[method]
                for j, z in enumerate(row)
            ]
        )
    return np.array(shaped)


def clipped(X, upper, lower=-math.inf):
    return np.array(
        [
            [0.0 if z < lower else min(z, upper) for z in row]
            for row in np.asarray(X, dtype=float).tolist()
        ]
    )


def factors(X, coef, predicted, weights=None):
    """Bounds of the ranges, and what activations in them are multiplied by."""
    low, high = (quantile(X, share, weights) for share in (0.001, 0.999))
    edges = [low + (high - low) * b / 100 for b in range(101)]
    edges[-1] = high
    weights = np.ones(len(X)) if weights is None else weights
    sums = [0.0] * 100
    for row, c, w in zip(np.asarray(X, float), predicted, weights, strict=True):
        for j, z in enumerate(row):
            for b in range(100):
                if edges[b] <= z < edges[b + 1]:
                    sums[b] += w * coef[c][j] * z
    means = [s / float(np.sum(weights)) for s in sums]
    norm = math.sqrt(math.fsum(m * m for m in means))
    return edges, [1000 * m / norm for m in means]


def reweighed(X, edges, factors):
    shaped = np.zeros(np.shape(X))
    for i, row in enumerate(np.asarray(X, dtype=float)):
        for j, z in enumerate(row):
            for b in range(100):
                if edges[b] <= z < edges[b + 1]:
                    shaped[i, j] = factors[b] * z
    return shaped
