"""Oracles of the comedian and of reconstruction scores: loops, float64.

Nothing here imports the library.
"""

import numpy as np
from scipy.stats import norm


def median(values):
    """Middle of the sorted values, or the mean of the two."""
    ordered = sorted(values)
    n = len(ordered)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def comedian(X, centre=None):
    """Medians of products times 1 / Phi^-1(3/4)^2, and their standard errors."""
    n, d = X.shape
    factor = 1 / norm.ppf(0.75) ** 2
    m = [median(X[:, j]) for j in range(d)] if centre is None else centre
    low = max(int(np.floor((n - 1) / 2 - np.sqrt(n) / 2)), 0)
    high = n - 1 - low
    S, E = np.zeros((d, d)), np.zeros((d, d))
    for j in range(d):
        for k in range(d):
            products = [(x[j] - m[j]) * (x[k] - m[k]) for x in X]
            S[j, k] = factor * median(products)
            ordered = sorted(products)
            places = (high - low) / np.sqrt(n)  # sqrt(n) of them are two errors
            E[j, k] = factor * (ordered[high] - ordered[low]) / 2 / places
    return np.array(m), S, E


def intensity(S, E):
    """Sum of squared errors over the squared distance to nu I."""
    d = len(S)
    nu = sum(S[j, j] for j in range(d)) / d
    gap = noise = 0.0
    for j in range(d):
        for k in range(d):
            gap += (S[j, k] - nu * (j == k)) ** 2
            noise += E[j, k] ** 2
    if gap == 0:
        return 0.0
    return min(1.0, noise / gap)


def shrunk_comedian(X, share="auto", centre=None):
    """Location, covariance and the share of nu I."""
    m, S, E = comedian(X, centre)
    if share == "auto":
        share = intensity(S, E)
    values, vectors = np.linalg.eigh(S)
    positive = sum(
        max(value, 0.0) * np.outer(v, v)
        for value, v in zip(values, vectors.T, strict=True)
    )
    nu = np.trace(S) / len(S)
    return m, (1 - share) * positive + share * nu * np.eye(len(S)), share


def principal(X, weights=None):
    """Mean, eigenvalues (descending) and eigenvectors of the covariance of all rows."""
    w = np.ones(len(X)) if weights is None else np.asarray(weights, float)
    mean = sum(wi * x for wi, x in zip(w, X, strict=True)) / sum(w)
    S = sum(
        wi * np.outer(x - mean, x - mean) for wi, x in zip(w, X, strict=True)
    ) / sum(w)
    values, vectors = np.linalg.eigh(S)
    return mean, values[::-1], vectors[:, ::-1]


def reconstruction(X, new, k, latent=1.0, residual=1.0, weights=None, floor=None):
    """Minus the weighted sum of the code's distance and the reconstruction's error."""
    mean, values, vectors = principal(X, weights)
    d = X.shape[1]
    noise = sum(values[k:]) / (d - k) if k < d else 1.0
    if floor is not None:
        noise = floor
    scores = []
    for x in new:
        code = [vectors[:, j] @ (x - mean) for j in range(k)]
        rebuilt = sum((c * vectors[:, j] for j, c in enumerate(code)), np.zeros(d))
        error = x - mean - rebuilt
        distance = sum(c**2 / values[j] for j, c in enumerate(code))
        scores.append(-(latent * distance + residual * (error @ error) / noise))
    return np.array(scores)
