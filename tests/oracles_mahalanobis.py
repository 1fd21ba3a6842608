"""Oracle of Mahalanobis scores beyond the tied ones. Nothing here imports the library.

Covariances are of full rank on the directions that are kept, unless a class does not
vary at all.
"""

import math

import numpy as np


def means_of(X, y):
    """Class means, by label."""
    return {c: sum(X[y == c]) / np.sum(y == c) for c in np.unique(y)}


def within(X, y):
    """Mean of (x - mean_c)(x - mean_c)^T over all rows."""
    means, total = means_of(X, y), np.zeros((X.shape[1], X.shape[1]))
    for x, c in zip(X, y, strict=True):
        total += np.outer(x - means[c], x - means[c])
    return total / len(X)


def covariance_of(rows):
    """Covariance of rows about their mean, normaliser n."""
    mean, total = sum(rows) / len(rows), np.zeros((rows.shape[1], rows.shape[1]))
    for x in rows:
        total += np.outer(x - mean, x - mean)
    return total / len(rows)


def shrink(covariance, share):
    d = len(covariance)
    return (1 - share) * covariance + share * np.trace(covariance) / d * np.eye(d)


def log_density(x, mean, covariance):
    """Of the normal law, natural logarithm."""
    gap, d = x - mean, len(x)
    determinant = np.linalg.slogdet(covariance)[1]
    square = gap @ np.linalg.solve(covariance, gap)
    return -(square + determinant + d * math.log(2 * math.pi)) / 2


def class_scores(X, y, new, *, shares=None, total_share=0.0, relative=False):
    """Largest log-density over the classes, less that of all rows.

    ``shares`` maps a label to the share of the identity.
    """
    means, found = means_of(X, y), []
    covariances, pooled = {}, within(X, y)
    for c in means:
        own = covariance_of(X[y == c])
        own = own if np.any(own) else pooled
        covariances[c] = shrink(own, 0.0 if shares is None else shares[c])
    whole = shrink(covariance_of(X), total_share)
    for x in new:
        score = max(log_density(x, means[c], covariances[c]) for c in means)
        if relative:
            score -= log_density(x, X.mean(axis=0), whole)
        found.append(score)
    return np.array(found)


def kept_directions(X, y, components, share, tol=1e-10):
    """Eigenvectors of the covariance within classes that are kept, in columns."""
    values, vectors = np.linalg.eigh(within(X, y))
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = sum(v > tol * values[0] for v in values)
    held, goal, k = 0.0, share * sum(values[:rank]), 0
    order = range(rank) if components == "top" else reversed(range(rank))
    for j in order:
        if held >= goal * (1 - 1e-9):
            break
        held, k = held + values[j], k + 1
    if components == "top":
        return vectors[:, :k]
    return vectors[:, rank - k :]


def radius(distances, quantile):
    """Averaged inverted distribution function, raised by 1e-6 quartile ranges."""
    distances = sorted(distances)
    n = len(distances)

    def at(share):
        place = share * n
        low = math.ceil(place - 1e-9) - 1
        high = math.floor(place + 1e-9)
        return (distances[max(low, 0)] + distances[min(high, n - 1)]) / 2

    return at(quantile) + 1e-6 * (at(0.75) - at(0.25))
