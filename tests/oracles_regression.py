"""Oracles of the metrics of regression collapse: loops over rows, grids over gamma.

Nothing here imports the library.
"""

import math

import numpy as np


def covariance(A, weights=None):
    A = np.asarray(A, dtype=float)
    w = np.ones(len(A)) if weights is None else np.asarray(weights, dtype=float)
    mean = sum(wi * a for wi, a in zip(w, A, strict=True)) / w.sum()
    total = np.zeros((A.shape[1], A.shape[1]))
    for wi, a in zip(w, A, strict=True):
        total += wi * np.outer(a - mean, a - mean)
    return total / w.sum()


def residual(X, basis, weights=None, centered=False):
    """Mean of ||u - P u||^2 with P onto the columns of an orthonormal basis."""
    X = np.asarray(X, dtype=float)
    w = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=float)
    centre = np.zeros(X.shape[1])
    if centered:
        centre = (w[:, None] * X).sum(axis=0) / w.sum()
    total = counted = 0.0
    for wi, x in zip(w, X, strict=True):
        x = x - centre
        length = math.sqrt(sum(v * v for v in x))
        if wi == 0 or length == 0:
            continue
        u = x / length
        rest = u.copy()
        for k in range(basis.shape[1]):
            rest = rest - (basis[:, k] @ rest) * basis[:, k]
        total += wi * (rest @ rest)
        counted += wi
    return total / counted


def nrc1(X, k, weights=None, centered=False):
    values, vectors = np.linalg.eigh(covariance(X, weights))
    return residual(X, vectors[:, np.argsort(-values)[:k]], weights, centered)


def nrc2(X, W, weights=None, centered=False):
    """With a basis of the row space of W by Gram and Schmidt, twice."""
    basis = []
    for row in np.asarray(W, dtype=float):
        rest = row.copy()
        for _ in range(2):
            for b in basis:
                rest = rest - (b @ rest) * b
        if np.linalg.norm(rest) > 1e-9 * np.linalg.norm(row):
            basis.append(rest / np.linalg.norm(rest))
    basis = np.array(basis).T.reshape(len(X[0]), -1)
    return residual(X, basis, weights, centered)


def root(matrix):
    """Symmetric square root."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(np.sqrt(np.clip(values, 0, None))) @ vectors.T


def nrc3_at(W, sigma, gamma):
    """The distance for one gamma."""
    return _distance(W, root(sigma), math.sqrt(gamma))


def nrc3(Y, W, weights=None, points=2001):
    """Least distance on a grid over sqrt(gamma), and the gamma."""
    sigma = covariance(Y, weights)
    form, least = root(sigma), max(np.linalg.eigvalsh(sigma)[0], 0.0)
    values = [
        (_distance(W, form, s), s * s) for s in np.linspace(0, math.sqrt(least), points)
    ]
    return min(values)


def _distance(W, form, s):
    gram = np.asarray(W, dtype=float) @ np.asarray(W, dtype=float).T
    form = form - s * np.eye(len(form))
    gap = gram / np.linalg.norm(gram) - form / np.linalg.norm(form)
    return float((gap**2).sum())


def gamma_without_norms(W, sigma):
    """Closed form that belongs to || W W^T - (Sigma^(1/2) - sqrt(gamma) I) ||^2.

    Its derivative in s = sqrt(gamma), 2 tr(W W^T - Sigma^(1/2)) + 2 s t, vanishes at
    s = tr(Sigma^(1/2) - W W^T) / t. Nothing is divided by a norm here.
    """
    s = np.trace(root(sigma) - W @ W.T) / len(sigma)
    s = min(max(s, 0.0), 0.999 * math.sqrt(np.linalg.eigvalsh(sigma)[0]))
    return s * s


def two_nn(X, discard=0.1):
    """Slope of -ln(1 - i/n) on the sorted ln(r2/r1), over distinct rows."""
    X = np.unique(np.asarray(X, dtype=float), axis=0)
    ratios = []
    for i, x in enumerate(X):
        r = sorted(math.dist(x, other) for j, other in enumerate(X) if j != i)
        ratios.append(math.log(r[1] / r[0]))
    n = len(X)
    kept = min(int(n * (1 - discard)), n - 1)
    above = below = 0.0
    for i, ratio in enumerate(sorted(ratios)[:kept], start=1):
        above -= math.log(1 - i / n) * ratio
        below += ratio**2
    return above / below


def id_gap(X, Y, discard=0.1):
    return two_nn(X, discard) - two_nn(Y, discard)
