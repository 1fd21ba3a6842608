"""The obviously right, slow version of every dimensional metric, from the rows.

Singular values of X itself, loops over pairs and spacings, float64. Nothing here
imports the library. Weights are repetitions: repeat the rows.
"""

import math

import numpy as np

# Singular values of exactly dependent rows, as a share of the largest, are below it.
_RELATIVE = 1e-12


def centred(X):
    X = np.asarray(X, dtype=float)
    return X - X.mean(axis=0)


def singular(X):
    """Singular values, descending; those that are rounding are left out."""
    values = np.linalg.svd(np.asarray(X, dtype=float), compute_uv=False)
    return values[values > _RELATIVE * values[0]]


def entropy_exp(p):
    return math.exp(-sum(v * math.log(v) for v in p if v > 0))


def effective_rank(X, centered=True):
    s = singular(centred(X) if centered else X)
    return entropy_exp(s / s.sum())


def entropy_rank(X, centered=True):
    values = singular(centred(X) if centered else X) ** 2
    return entropy_exp(values / values.sum())


def rankme(X, eps=0.0):
    s = np.zeros(min(np.shape(X)))
    found = singular(X)
    s[: len(found)] = found
    return entropy_exp(s / s.sum() + eps)


def participation_ratio(X, centered=True):
    """From the covariance itself, without eigenvalues: tr(C)^2 / ||C||_F^2."""
    X = centred(X) if centered else np.asarray(X, dtype=float)
    C = X.T @ X / len(X)
    return np.trace(C) ** 2 / (C**2).sum()


def stable_rank(X):
    X = np.asarray(X, dtype=float)
    return np.linalg.norm(X, "fro") ** 2 / np.linalg.norm(X, 2) ** 2


def nuclear_rank(X, centered=True):
    X = centred(X) if centered else np.asarray(X, dtype=float)
    return np.linalg.norm(X, "nuc") / np.linalg.norm(X, 2)


def numerical_rank(X, centered=True):
    return float(len(singular(centred(X) if centered else X)))


def nesum(X):
    return np.linalg.norm(centred(X), "fro") ** 2 / np.linalg.norm(centred(X), 2) ** 2


def isoscore(X):
    """The published algorithm, step by step."""
    X = centred(X)
    n = X.shape[1]  # the paper's n is the number of dimensions
    _, _, directions = np.linalg.svd(X)
    reoriented = X @ directions.T
    variances = np.diag(np.cov(reoriented.T))
    normalised = math.sqrt(n) * variances / np.linalg.norm(variances)
    defect = np.linalg.norm(normalised - np.ones(n)) / math.sqrt(2 * (n - math.sqrt(n)))
    used = (n - defect**2 * (n - math.sqrt(n))) ** 2 / n**2
    return (n * used - 1) / (n - 1)


def alpha_req(X, first=10, last=100):
    """The normal equations of the reference code."""
    values = singular(centred(X)) ** 2
    j = np.arange(first, min(last, len(values)) + 1)
    if len(j) < 2:
        return math.nan
    y = np.log(values[j - 1])
    design = np.stack([-np.log(j), np.ones(len(j))], axis=1)
    W = np.diag(1 / j)
    return np.linalg.solve(design.T @ W @ design, design.T @ W @ y)[0]


def eee(X):
    values = np.zeros(min(np.shape(X)))
    found = singular(centred(X))[: len(values)] ** 2
    values[: len(found)] = found
    r, total = len(values), values.sum()
    above = [values[: j + 1].sum() - total * (j + 1) / r for j in range(r)]
    area = sum((above[j] + above[j + 1]) / 2 for j in range(r - 1))
    return area / (total * r / 2)


def vasicek(x):
    """Entropy by the definition, one spacing at a time."""
    x = np.sort(x)
    n = len(x)
    m = max(1, min(math.floor(math.sqrt(n) + 0.5), math.ceil(n / 2) - 1))
    total = 0.0
    for i in range(n):
        spacing = x[min(i + m, n - 1)] - x[max(i - m, 0)]
        total += math.log(n / (2 * m) * spacing) if spacing > 0 else -math.inf
    return total / n


def vrm(X):
    X = centred(X)
    d = X.shape[1]
    _, s, directions = np.linalg.svd(X, full_matrices=False)
    X = X * math.sqrt(d * len(X) / (X**2).sum())
    terms = []
    for j in range(d):
        ratio = 0.0
        if j < len(s) and s[j] > _RELATIVE * s[0]:
            ratio = math.exp(vasicek(X @ directions[j])) / math.sqrt(
                2 * math.pi * math.e
            )
        terms.append((1 - ratio) ** 2)
    return np.mean(terms)


def units(X):
    X = np.asarray(X, dtype=float)
    return np.array([x / np.linalg.norm(x) if x.any() else x for x in X])


def wasserstein_uniformity(X):
    """The published formula; its difference cancels near isotropy."""
    Z = units(X)
    mean = Z.mean(axis=0)
    # Singular values: the roots of eigenvalues that are rounding would not be small.
    roots = np.linalg.svd(Z - mean, compute_uv=False) / math.sqrt(len(Z))
    d = Z.shape[1]
    trace = (roots**2).sum()
    squared = mean @ mean + 1 + trace - 2 / math.sqrt(d) * roots.sum()
    return -math.sqrt(max(squared, 0.0))


def mean_cosine(X):
    Z = units(X)
    n = len(Z)
    return np.mean([Z[i] @ Z[j] for i in range(n) for j in range(n) if i != j])


def feature_std(X):
    Z = units(X)
    return math.sqrt(Z.shape[1]) * np.mean([np.std(z) for z in Z.T])


def vicreg_variance(X, eps=1e-4):
    variances = np.asarray(X, dtype=float).var(axis=0, ddof=1)
    return np.mean([max(0.0, 1 - math.sqrt(v + eps)) for v in variances])


def vicreg_covariance(X):
    C = np.atleast_2d(np.cov(np.asarray(X, dtype=float).T))
    d = len(C)
    return sum(C[i, j] ** 2 for i in range(d) for j in range(d) if i != j) / d


def feature_correlation(X):
    C = np.abs(np.corrcoef(np.asarray(X, dtype=float).T))
    d = len(C)
    return np.mean([C[i, j] for i in range(d) for j in range(d) if i != j])


def partition_ratio(X):
    X = np.asarray(X, dtype=float)
    _, vectors = np.linalg.eigh(X.T @ X)
    sums = [np.exp(sign * X @ c).sum() for c in vectors.T for sign in (1, -1)]
    return min(sums) / max(sums)


def unexplained_variance_area(X):
    values = np.linalg.svd(centred(X), compute_uv=False) ** 2 / len(X)
    return sum(values[k:].sum() for k in range(1, len(values)))
