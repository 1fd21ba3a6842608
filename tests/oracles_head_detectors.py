"""Residual, ViM, NCI and fDBD written out: NumPy, float64, loops over rows."""

import numpy as np


def lda(X, y):
    """Weights and intercepts of the linear discriminant, centred over classes.

    For a within-class covariance of full rank.
    """
    X, y = np.asarray(X, dtype=float), np.asarray(y)
    classes = np.unique(y)
    means = [X[y == c].mean(axis=0) for c in classes]
    within = sum(
        np.outer(x - means[k], x - means[k])
        for k, c in enumerate(classes)
        for x in X[y == c]
    ) / len(X)
    coef = np.array([np.linalg.solve(within, mean) for mean in means])
    intercept = np.array(
        [
            np.log(np.mean(y == c)) - means[k] @ coef[k] / 2
            for k, c in enumerate(classes)
        ]
    )
    return coef - coef.mean(axis=0), intercept - intercept.mean()


def logits(X, coef, intercept):
    X = np.asarray(X, dtype=float)
    return np.array(
        [[w @ x + b for w, b in zip(coef, intercept, strict=True)] for x in X]
    )


def head_origin(coef, intercept):
    return -np.linalg.pinv(np.asarray(coef, dtype=float)) @ intercept


def residuals(X_train, new, k, origin):
    """Norms outside of the first k eigenvectors of the second moment about a point."""
    X_train, new = np.asarray(X_train, dtype=float), np.asarray(new, dtype=float)
    moment = sum(np.outer(x - origin, x - origin) for x in X_train) / len(X_train)
    complement = np.linalg.eigh(moment)[1][:, : X_train.shape[1] - k]
    return np.array([np.linalg.norm((z - origin) @ complement) for z in new])


def vim_alpha(X_train, train_logits, k, origin, weights=None):
    """Mean largest logit over mean residual."""
    weights = np.ones(len(X_train)) if weights is None else weights
    norms = residuals(X_train, X_train, k, origin)
    top = sum(w * max(row) for w, row in zip(weights, train_logits, strict=True))
    return top / sum(w * r for w, r in zip(weights, norms, strict=True))


def vim(X_train, new, train_logits, new_logits, k, origin):
    """Energy minus alpha times the residual."""
    alpha = vim_alpha(X_train, train_logits, k, origin)
    norms = residuals(X_train, new, k, origin)
    return np.array(
        [
            max(row) + np.log(sum(np.exp(v - max(row)) for v in row)) - alpha * r
            for row, r in zip(new_logits, norms, strict=True)
        ]
    )


def nci(X_train, new, coef, intercept, alpha):
    X_train, new = np.asarray(X_train, dtype=float), np.asarray(new, dtype=float)
    mean, scores = X_train.mean(axis=0), []
    for z, row in zip(new, logits(new, coef, intercept), strict=True):
        gap = z - mean
        length = np.linalg.norm(gap)
        along = coef[np.argmax(row)] @ gap / length if length else 0.0
        scores.append(along + alpha * np.abs(z).sum())
    return np.array(scores)


def fdbd(X_train, new, coef, intercept):
    X_train, new = np.asarray(X_train, dtype=float), np.asarray(new, dtype=float)
    mean, scores = X_train.mean(axis=0), []
    for z, row in zip(new, logits(new, coef, intercept), strict=True):
        c, total = np.argmax(row), 0.0
        for k in range(len(coef)):
            if np.any(coef[k] != coef[c]):
                total += abs(row[c] - row[k]) / np.linalg.norm(coef[c] - coef[k])
        scores.append(total / (len(coef) - 1) / np.linalg.norm(z - mean))
    return np.array(scores)
