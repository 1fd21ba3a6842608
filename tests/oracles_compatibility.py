"""Matches of queries in galleries, with loops. Nothing here imports the library."""

import math

import numpy as np


def cosine(a, b):
    """Cosine, where rows of zeros are alike and orthogonal to all others."""
    a, b = (np.asarray(row, dtype=float) for row in (a, b))
    norms = [math.hypot(*row) for row in (a, b)]
    if 0 in norms:
        return float(norms[0] == norms[1])
    return math.fsum(x * y for x, y in zip(a / norms[0], b / norms[1], strict=True))


def nearness(query, row, metric):
    """Larger is nearer."""
    if metric == "cosine":
        return cosine(query, row)
    return -math.dist(np.asarray(query, dtype=float), np.asarray(row, dtype=float))


def match_share(query, label, gallery, labels, metric, own=None):
    """Share of the label among the rows that are nearest, row ``own`` left out."""
    near = {
        k: nearness(query, row, metric) for k, row in enumerate(gallery) if k != own
    }
    best = max(near.values())
    tied = [k for k, value in near.items() if value >= best - 1e-12 * max(-best, 1)]
    return sum(labels[k] == label for k in tied) / len(tied)


def class_means(X, y, metric):
    X = np.asarray(X, dtype=float)
    if metric == "cosine":
        X = np.array([x / math.hypot(*x) for x in X])
    return np.array([X[y == c].mean(axis=0) for c in np.unique(y)])


def score(queries, y, gallery, gallery_y, measure, metric, own=True):
    """Mean share over the queries; row i of both is of one sample if ``own``."""
    if measure == "class_mean":
        gallery = class_means(gallery, gallery_y, metric)
        gallery_y, own = np.unique(gallery_y), False
    shares = [
        match_share(q, label, gallery, gallery_y, metric, i if own else None)
        for i, (q, label) in enumerate(zip(queries, y, strict=True))
    ]
    return math.fsum(shares) / len(shares)


def matrix(models, y, measure, metric):
    C = np.full((len(models),) * 2, math.nan)
    for i, queries in enumerate(models):
        for j, gallery in enumerate(models[: i + 1]):
            C[i, j] = score(queries, y, gallery, y, measure, metric)
    return C


def compatibility(C):
    """Average, backward and forward compatibility by their sums."""
    T = len(C)
    hits, pairs, backward, forward = 0, 0, 0.0, 0.0
    for i in range(1, T):
        for j in range(i):
            pairs += 1
            hits += C[i][j] >= C[j][j]
        forward += C[i][i - 1] - C[i][i]
        backward += C[T - 1][i - 1] - C[i - 1][i - 1]
    return {
        "average_compatibility": hits / pairs,
        "backward_compatibility": backward / (T - 1),
        "forward_compatibility": forward / (T - 1),
    }
