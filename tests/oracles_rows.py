"""Detectors of training rows by their formulas, with loops, in float64."""

import math

import numpy as np


def unit(row):
    """Row of length 1, or zeros."""
    row = [float(v) for v in row]
    largest = max(map(abs, row))
    if largest == 0:
        return row
    row = [v / largest for v in row]
    length = math.hypot(*row)
    return [v / length for v in row]


def dot(a, b):
    return math.fsum(float(u) * float(v) for u, v in zip(a, b, strict=True))


def cosine(a, b):
    return dot(unit(a), unit(b))


def direction_distance(a, b):
    """Distance of rows of length 1; rows of zeros are orthogonal to all others."""
    a, b = unit(a), unit(b)
    zero = [not any(a), not any(b)]
    if any(zero):
        return 0.0 if all(zero) else math.sqrt(2)
    return math.dist(a, b)


def knn(X, new, k, *, normalize=True, weights=None):
    """Minus the distance to the k-th of the rows, each as often as its weight says."""
    counts = [1] * len(X) if weights is None else [int(w) for w in weights]
    distance = direction_distance if normalize else math.dist
    scores = []
    for row in np.asarray(new, dtype=float):
        radii = []
        for other, count in zip(np.asarray(X, dtype=float), counts, strict=True):
            radii += [distance(row, other)] * count
        scores.append(-sorted(radii)[min(k, len(radii)) - 1])
    return np.array(scores)


def energy(logits):
    top = max(logits)
    return top + math.log(math.fsum(math.exp(v - top) for v in logits))


def linear_logits(X, coef, intercept):
    return [[dot(x, w) + b for w, b in zip(coef, intercept, strict=True)] for x in X]


def nnguide(X, train_logits, new, new_logits, k, *, scaled=True, weights=None):
    """Energy times the mean over the k nearest rows of cosine times energy."""
    counts = [1] * len(X) if weights is None else [int(w) for w in weights]
    scores = []
    for row, row_logits in zip(new, new_logits, strict=True):
        found = []
        for other, logits, count in zip(X, train_logits, counts, strict=True):
            c, e = cosine(row, other), energy(logits)
            found += [(c * e if scaled else c, c * e)] * count
        nearest = sorted(found, key=lambda pair: -pair[0])[:k]
        mean = math.fsum(product for _, product in nearest) / len(nearest)
        scores.append(energy(row_logits) * mean)
    return np.array(scores)


def patterns(X, y, predicted, weights=None):
    """Mean of the rows of each class that are predicted as it, or of all its rows."""
    weights = [1.0] * len(X) if weights is None else weights
    means = {}
    for c in sorted(set(y)):
        rows = [i for i in range(len(X)) if y[i] == c and predicted[i] == c]
        rows = rows or [i for i in range(len(X)) if y[i] == c]
        total = math.fsum(weights[i] for i in rows)
        means[c] = [
            math.fsum(weights[i] * float(X[i][j]) for i in rows) / total
            for j in range(len(X[0]))
        ]
    return means


def predict(logits, allowed):
    """Class of the largest logit among those allowed."""
    return [max(sorted(allowed), key=lambda c: row[c]) for row in logits]


def she(new, predicted, means, metric="inner_product"):
    similarity = {
        "inner_product": dot,
        "cosine": cosine,
        "euclidean": lambda a, b: -math.dist(a, b),
    }[metric]
    return np.array(
        [similarity(z, means[c]) for z, c in zip(new, predicted, strict=True)]
    )


def costarr(X, y, train_logits, new, new_logits, coef):
    """With the rows [z, w * z] written out, and their class means taken of them."""

    def both(z, c):
        return [
            *map(float, z),
            *(float(w) * float(v) for w, v in zip(coef[c], z, strict=True)),
        ]

    classes = sorted(set(y))
    predicted = predict(train_logits, range(len(coef)))
    means = {}
    for c in classes:
        rows = [both(X[i], c) for i in range(len(X)) if y[i] == c and predicted[i] == c]
        rows = rows or [both(X[i], c) for i in range(len(X)) if y[i] == c]
        means[c] = [math.fsum(column) / len(rows) for column in zip(*rows, strict=True)]
    low = min(min(row) for row in train_logits)
    high = max(max(row) for row in train_logits)
    scores = []
    for z, logits, c in zip(new, new_logits, predict(new_logits, classes), strict=True):
        scores.append(cosine(both(z, c), means[c]) * (max(logits) - low) / (high - low))
    return np.array(scores)


def lda(X, y, weights=None):
    """Weights and biases of the linear discriminant, logits centred over classes."""
    X = np.asarray(X, dtype=float)
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=float)
    classes = sorted(set(y))
    mean = weights @ X / weights.sum()
    means = [weights[y == c] @ X[y == c] / weights[y == c].sum() for c in classes]
    scatter = np.zeros((X.shape[1],) * 2)
    for w, x, c in zip(weights, X, y, strict=True):
        gap = x - means[classes.index(c)]
        scatter += w * np.outer(gap, gap)
    inverse = np.linalg.inv(scatter / weights.sum())
    coef = np.array([inverse @ (m - mean) for m in means])
    shares = [weights[y == c].sum() / weights.sum() for c in classes]
    intercept = np.array(
        [
            math.log(p) - (m + mean) @ w / 2
            for p, m, w in zip(shares, means, coef, strict=True)
        ]
    )
    return coef - coef.mean(axis=0), intercept - intercept.mean()
