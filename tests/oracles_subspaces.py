"""Oracle of class subspaces: loops over rows. Nothing here imports the library."""

import numpy as np


def centre(X, y, weights=None):
    """Unweighted mean of the class means."""
    w = np.ones(len(X)) if weights is None else np.asarray(weights, float)
    means = []
    for c in np.unique(y[w > 0]):
        rows = [i for i in range(len(X)) if y[i] == c]
        means.append(sum(w[i] * X[i] for i in rows) / sum(w[i] for i in rows))
    return sum(means) / len(means)


def second_moments(X, y, m, weights=None):
    """Mean of (x - m)(x - m)^T over the rows of each class."""
    w = np.ones(len(X)) if weights is None else np.asarray(weights, float)
    found = []
    for c in np.unique(y[w > 0]):
        total, n = np.zeros((X.shape[1], X.shape[1])), 0.0
        for x, label, weight in zip(X, y, w, strict=True):
            if label == c:
                total += weight * np.outer(x - m, x - m)
                n += weight
        found.append(total / n)
    return found


def subspace(moment, wanted, most, tol=1e-10):
    """Leading eigenvectors, in columns: a number of them or a share of the trace."""
    values, vectors = np.linalg.eigh(moment)
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = int(sum(v > tol * values[0] for v in values))
    if isinstance(wanted, int):
        k = wanted
    else:
        total, k = 0.0, 0
        while total < wanted * (1 - 1e-10) * sum(values[:rank]):
            total, k = total + values[k], k + 1
    return vectors[:, : min(k, rank, most)]


def logits(rows, subspaces, m, gamma=25.0):
    """gamma ||S_c^T (x - m)|| / ||x - m||, one by one."""
    found = np.zeros((len(rows), len(subspaces)))
    for i, x in enumerate(rows):
        z = x - m
        for c, S in enumerate(subspaces):
            if np.linalg.norm(z) > 0:
                found[i, c] = gamma * np.linalg.norm(S.T @ z) / np.linalg.norm(z)
    return found


def fitted(X, y, wanted, centered, weights=None, tol=1e-10):
    """Point and subspaces of labelled rows."""
    m = centre(X, y, weights) if centered else np.zeros(X.shape[1])
    moments = second_moments(X, y, m, weights)
    total = np.linalg.eigvalsh(sum(moments) / len(moments))
    most = max(1, int(sum(total > tol * total[-1])) - 1)
    return m, [subspace(moment, wanted, most, tol) for moment in moments], moments


def random_frame(rng, d, k):
    """Orthonormal columns."""
    return np.linalg.qr(rng.normal(size=(d, k)))[0]


def planted(n_classes, d, r, n, seed=0, noise=0.0, offset=0.0):
    """Rows in random subspaces of dimension r through one point, and the subspaces."""
    rng = np.random.default_rng(seed)
    frames = [random_frame(rng, d, r) for _ in range(n_classes)]
    point = offset * rng.normal(size=d)
    X, y = [], []
    for c, frame in enumerate(frames):
        half = rng.normal(size=(n // 2, r))
        # In pairs about the point, so that every class mean is there.
        half = np.concatenate([half, -half]) * np.linspace(2, 1, r)
        X.append(half @ frame.T + point + noise * rng.normal(size=(len(half), d)))
        y += [c] * len(half)
    return np.concatenate(X), np.array(y), frames, point
