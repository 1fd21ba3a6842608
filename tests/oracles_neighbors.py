"""Metrics of nearest neighbours by their formulas, with loops, in float64."""

import math

import numpy as np


def distances(X, Y=None):
    """All Euclidean distances, from differences."""
    X = np.asarray(X, dtype=float)
    Y = X if Y is None else np.asarray(Y, dtype=float)
    return np.array([[math.dist(x, y) for y in Y] for x in X])


def distinct(X):
    return np.unique(np.asarray(X, dtype=float), axis=0)


def unit(X):
    X = np.asarray(X, dtype=float)
    return np.array([x / math.hypot(*x) for x in X])


def neighbor_distances(X, k, points=None):
    """Distances of each row to its k nearest distinct rows, zero not among them."""
    points = distinct(X) if points is None else distinct(points)
    rows = []
    for row in distances(X, points):
        positive = sorted(r for r in row if r > 0)
        rows.append(positive[: min(k, len(points) - 1)])
    return np.array(rows)


def local_dimension(radii, method="mle", correction=False):
    k = len(radii)
    if method == "moments":
        mean = sum(radii) / k
        return mean / (radii[-1] - mean)
    logs = sum(math.log(radii[-1] / r) for r in radii)
    return (k - 1 if correction else k) / logs


def lid(X, n_neighbors=20, method="mle", correction=False, aggregate="geometric"):
    values = [
        local_dimension(list(radii), method, correction)
        for radii in neighbor_distances(X, n_neighbors)
    ]
    if aggregate == "harmonic":
        return len(values) / sum(1 / v for v in values)
    return math.exp(sum(math.log(v) for v in values) / len(values))


def two_nn(X, method="fit", discard=0.1):
    radii = neighbor_distances(distinct(X), 2)
    logs = sorted(math.log(b / a) for a, b in radii)
    n = len(logs)
    if method == "mle":
        return n / sum(logs)
    above = below = 0.0
    for i in range(1, min(int(n * (1 - discard)), n - 1) + 1):
        above += -math.log(1 - i / n) * logs[i - 1]
        below += logs[i - 1] ** 2
    return above / below


def uniformity(X, t=2.0):
    D = distances(unit(X))
    n = len(D)
    terms = [math.exp(-t * D[i, j] ** 2) for i in range(n) for j in range(i + 1, n)]
    return math.log(sum(terms) / len(terms))


def nearest_neighbor_entropy(X, eps=0.0):
    D = distances(unit(X))
    n = len(D)
    least = [min(D[i, j] for j in range(n) if j != i) for i in range(n)]
    return sum(math.log(r + eps) for r in least) / n


def thornton_index(X, y):
    """Ties count as shares."""
    D, n = distances(X), len(X)
    total = 0.0
    for i in range(n):
        least = min(D[i, j] for j in range(n) if j != i)
        tied = [j for j in range(n) if j != i and D[i, j] == least]
        total += sum(y[j] == y[i] for j in tied) / len(tied)
    return total / n


def tree(X):
    """Edge lengths of the minimum spanning tree by Prim's algorithm, ascending."""
    D = distances(X)
    n, inside, lengths = len(D), {0}, []
    while len(inside) < n:
        length, new = min((D[i, j], j) for i in inside for j in range(n)
                          if j not in inside)  # fmt: skip
        inside.add(new)
        lengths.append(length)
    return np.sort(lengths)


def mst_length(X):
    return sum(tree(unit(X)))


def ball(n, d, rng, ambient=None):
    """Uniform rows of a d-dimensional ball, turned into ``ambient`` dimensions."""
    X = rng.normal(size=(n, d))
    X *= rng.uniform(size=(n, 1)) ** (1 / d) / np.linalg.norm(X, axis=1)[:, None]
    if ambient is None:
        return X
    return X @ np.linalg.qr(rng.normal(size=(ambient, ambient)))[0][:d]
