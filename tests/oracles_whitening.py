"""Whitening written out: NumPy, float64. Nothing here imports the library."""

import numpy as np


def covariance(X, ddof=0, y=None, weights=None):
    """Covariance of all rows, or of the rows about their class means."""
    X = np.asarray(X, dtype=float)
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=float)
    y = np.zeros(len(X)) if y is None else np.asarray(y)
    scatter = np.zeros((X.shape[1], X.shape[1]))
    for c in np.unique(y):
        rows, w = X[y == c], weights[y == c]
        centred = rows - (w @ rows) / w.sum()
        centred = centred - (w @ centred) / w.sum()
        for row, weight in zip(centred, w, strict=True):
            scatter += weight * np.outer(row, row)
    return scatter / (weights.sum() - ddof)


def descending(matrix):
    """Eigenvalues and eigenvectors, largest first."""
    values, vectors = np.linalg.eigh(matrix)
    return values[::-1], vectors[:, ::-1]


def root(matrix, power, rank=None):
    """Matrix power on the leading eigenvectors of a symmetric matrix."""
    values, vectors = descending(matrix)
    values, vectors = values[:rank], vectors[:, :rank]
    return vectors @ np.diag(values**power) @ vectors.T


def correlations(matrix):
    """Correlations and standard deviations; constant columns correlate with none."""
    deviations = np.sqrt(np.diag(matrix))
    inverse = np.array([0.0 if s == 0 else 1 / s for s in deviations])
    return np.diag(inverse) @ matrix @ np.diag(inverse), deviations, inverse


def whitening(method, matrix, rank=None):
    """The whitening matrix W of Kessy, Lewin and Strimmer; rank counts directions."""
    if method == "zca":
        return root(matrix, -0.5, rank)
    if method == "pca":
        values, vectors = descending(matrix)
        return np.diag(values[:rank] ** -0.5) @ vectors[:, :rank].T
    if method == "cholesky":  # full rank only
        return np.linalg.cholesky(np.linalg.inv(matrix)).T
    correlation, _, inverse = correlations(matrix)
    if method == "zca_cor":
        return root(correlation, -0.5, rank) @ np.diag(inverse)
    values, vectors = descending(correlation)
    return np.diag(values[:rank] ** -0.5) @ vectors[:, :rank].T @ np.diag(inverse)


def up_to_signs(a, like):
    """Rows of a with the signs of the rows of another matrix."""
    return np.array(
        [row if row @ other > 0 else -row for row, other in zip(a, like, strict=True)]
    )


def echelon_form(matrix, tolerance):
    """Position of the first entry of each row that is not zero."""
    return [int(np.flatnonzero(np.abs(row) > tolerance)[0]) for row in matrix]


def between_directions(X, y, weights=None):
    """Eigenvalues and eigenvectors of the covariance of the class means, descending."""
    X, y = np.asarray(X, dtype=float), np.asarray(y)
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=float)
    mean = sum(w * x for w, x in zip(weights, X, strict=True)) / weights.sum()
    between = np.zeros((X.shape[1], X.shape[1]))
    for c in np.unique(y[weights > 0]):
        rows, w = X[y == c], weights[y == c]
        gap = (w @ rows) / w.sum() - mean
        between += w.sum() / weights.sum() * np.outer(gap, gap)
    return (mean, *descending(between))


def class_split(X, y, k, weights=None):
    """Parts of centred rows in the k leading between-class directions and outside."""
    mean, _, vectors = between_directions(X, y, weights)
    inside, outside = [], []
    for row in np.asarray(X, dtype=float) - mean:
        along = sum((row @ v) * v for v in vectors[:, :k].T) if k else 0 * row
        inside.append(along)
        outside.append(row - along)
    return np.array(inside), np.array(outside)


def newton_factor(x, n_iter):
    """p_T of iterative normalization for eigenvalues x of a matrix of trace 1."""
    p = np.ones_like(x)
    for _ in range(n_iter):
        p = 1.5 * p - 0.5 * p**3 * x
    return p


def iternorm(matrix, n_iter, n_groups=1):
    """W of iterative normalization by the eigenvalues of each group of columns."""
    W = np.zeros_like(matrix)
    for group in np.array_split(np.arange(len(matrix)), n_groups):
        block = matrix[np.ix_(group, group)]
        trace = np.trace(block)
        if trace == 0:
            continue
        x, U = np.linalg.eigh(block / trace)
        W[np.ix_(group, group)] = U @ np.diag(newton_factor(x, n_iter)) @ U.T
        W[np.ix_(group, group)] /= np.sqrt(trace)
    return W


def published_iternorm(matrix, n_iter):
    """W by the recursion as it is published: P <- (3 P - P^3 S) / 2."""
    trace = np.trace(matrix)
    P = np.eye(len(matrix))
    for _ in range(n_iter):
        P = 1.5 * P - 0.5 * P @ P @ P @ (matrix / trace)
    return P / np.sqrt(trace)
