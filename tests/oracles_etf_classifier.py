"""Oracle of the ETFClassifier, row by row. Nothing here imports the library."""

import numpy as np
from oracles_etf import alignment


def one_hot(y):
    """Indicator of each row's class."""
    return (np.asarray(y)[:, None] == np.unique(y)).astype(float)


def class_means(X, y, weights):
    """Means of the classes, one after the other."""
    return np.array(
        [np.average(X[y == c], axis=0, weights=weights[y == c]) for c in np.unique(y)]
    )


def ridge_coordinates(X, y, new, B, weights, share=0.0):
    """Least-squares regression of each row's vertex, with an intercept.

    Normal equations summed row by row; the pseudo-inverse drops what is rounding.
    """
    codes = np.searchsorted(np.unique(y), y)
    total = weights.sum()
    mean = sum(w * x for w, x in zip(weights, X, strict=True)) / total
    offset = sum(w * B[c] for w, c in zip(weights, codes, strict=True)) / total
    d = X.shape[1]
    S, cross = np.zeros((d, d)), np.zeros((d, B.shape[1]))
    for w, x, c in zip(weights, X, codes, strict=True):
        S += w * np.outer(x - mean, x - mean) / total
        cross += w * np.outer(x - mean, B[c] - offset) / total
    S = (1 - share) * S + share * np.trace(S) / d * np.eye(d)
    W = np.linalg.pinv(S, rcond=1e-12, hermitian=True) @ cross
    return np.array([(x - mean) @ W + offset for x in new])


def logits(
    X,
    y,
    new,
    frame,
    mapping="procrustes",
    *,
    weights=None,
    share=0.0,
    temperature=1.0,
    priors=None,
):
    """Cosine over temperature plus logarithm of the prior, entry by entry."""
    weights = np.ones(len(y)) if weights is None else np.asarray(weights, float)
    B = frame - frame.mean(axis=0)
    n_classes = len(B)
    if mapping == "procrustes":
        means = class_means(X, y, weights)
        centre = means.mean(axis=0)
        rotation = alignment(means, B)[0]
        z = [(x - centre) @ rotation for x in new]
        lengths = [np.linalg.norm(x - centre) for x in new]
    else:
        z = ridge_coordinates(X, y, new, B, weights, share)
        lengths = [np.linalg.norm(row) for row in z]
    if isinstance(priors, str):
        priors = [weights[y == c].sum() / weights.sum() for c in np.unique(y)]
    found = np.zeros((len(new), n_classes))
    for i in range(len(new)):
        for c in range(n_classes):
            size = lengths[i] * np.linalg.norm(B[c])
            cosine = z[i] @ B[c] / size if size > 1e-12 else 0.0
            found[i, c] = cosine / temperature
            if priors is not None:
                found[i, c] += np.log(priors[c])
    return found


def probabilities(logits):
    """Softmax of each row."""
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)
