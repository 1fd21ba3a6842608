"""Oracles of frames and of Procrustes alignment. Nothing here imports the library."""

from itertools import permutations

import numpy as np
from oracles import class_moments


def simplex(n_classes):
    """Rows of sqrt(C / (C - 1)) (I - 1 1^T / C)."""
    centred = np.eye(n_classes) - 1 / n_classes
    return np.sqrt(n_classes / (n_classes - 1)) * centred


def centred_means(X, y, weights=None):
    """Class means about their unweighted mean."""
    means = class_moments(X, y, weights)["means"]
    return means - means.mean(axis=0)


def alignment(A, B, rank=None):
    """Rotation, scale and disparity by the textbook: A^T B, its singular vectors.

    The disparity is a difference: it has about eight digits when it is 1e-8.
    """
    A, B = A - A.mean(axis=0), B - B.mean(axis=0)
    U, sigma, Vt = np.linalg.svd(A.T @ B)
    if rank is None:
        rank = int((sigma > 1e-10 * sigma[0]).sum())
    rotation = sum(np.outer(U[:, i], Vt[i]) for i in range(rank))
    total = sum(sigma[:rank])
    size = sum(a @ a for a in A)
    disparity = 1 - total**2 / (size * sum(b @ b for b in B))
    return rotation, total / size, disparity


def cosines(A, B, rotation):
    """Cosines of rows of A with rows of B turned back, one by one."""
    A, B = A - A.mean(axis=0), B - B.mean(axis=0)
    return np.array(
        [
            [(a @ rotation) @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for b in B]
            for a in A
        ]
    )


def residual(A, B, rotation, scale):
    """Distance in all d dimensions of s A from B turned back, relative to B.

    The part of B that no rotation reaches counts as well.
    """
    total = 0.0
    for a, b in zip(A, B, strict=True):
        back = rotation @ b
        missed = scale * a - back
        total += missed @ missed + b @ b - back @ back
    return total / sum(b @ b for b in B)


def rows_about(means, counts=6, spread=0.5, seed=0):
    """Labelled rows, shuffled, whose class means are the given ones to rounding."""
    rng = np.random.default_rng(seed)
    counts = np.broadcast_to(counts, len(means))
    X, y = [], []
    for c, (mean, n) in enumerate(zip(means, counts, strict=True)):
        noise = spread * rng.normal(size=(n, means.shape[1]))
        X.append(mean + noise - noise.mean(axis=0))
        y += [c] * n
    order = rng.permutation(len(y))
    return np.concatenate(X)[order], np.array(y)[order]


def random_rotation(d, k, seed=0):
    """Orthonormal columns, d >= k."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, k)))[0]


def orthoplex(n_classes):
    """Rows e_1, -e_1, e_2, -e_2, … one after the other."""
    rows = []
    for axis in range(-(-n_classes // 2)):
        for sign in (1.0, -1.0):
            row = np.zeros(-(-n_classes // 2))
            row[axis] = sign
            rows.append(row)
    return np.array(rows[:n_classes])


def hypercube(n_classes):
    """Corners of the smallest cube that has enough, each followed by its opposite."""
    width = 1
    while 2**width < n_classes:
        width += 1
    rows = []
    for number in range(n_classes // 2 + 1):
        corner = [1.0 if digit == "0" else -1.0 for digit in f"{number:0{width}b}"]
        rows += [np.array(corner[::-1]), -np.array(corner[::-1])]
    return np.array(rows[:n_classes]) / np.sqrt(width)


def nuclear_norm(A, B):
    """Sum of the singular values of A^T B."""
    return np.linalg.svd(A.T @ B, compute_uv=False).sum()


def best_assignment(A, B):
    """Largest nuclear norm over all assignments of rows of B to rows of A."""
    A, B = A - A.mean(axis=0), B - B.mean(axis=0)
    return max(nuclear_norm(A, B[list(p)]) for p in permutations(range(len(A))))


def cosine_gaps(A, B):
    """Mean and deviation of cos(a_i, a_j) - cos(b_i, b_j), pair by pair."""
    A, B = A - A.mean(axis=0), B - B.mean(axis=0)

    def cosine(M, i, j):
        return M[i] @ M[j] / np.sqrt((M[i] @ M[i]) * (M[j] @ M[j]))

    m = len(A)
    gaps = [
        cosine(A, i, j) - cosine(B, i, j) for i in range(m) for j in range(m) if i != j
    ]
    return np.mean(gaps), np.std(gaps)


def row_cosines(X, centre, rotation, B):
    """Cosine of each row about a centre with each vertex turned back, (n, C)."""
    B = B - B.mean(axis=0)
    found = np.zeros((len(X), len(B)))
    for i, x in enumerate(np.asarray(X, float)):
        for c, b in enumerate(B):
            z = x - centre
            lengths = np.sqrt(z @ z) * np.sqrt(b @ b)
            found[i, c] = (z @ rotation) @ b / lengths if lengths else 0.0
    return found
