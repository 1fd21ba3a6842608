"""Oracles of the collapse metrics where float64 loops are not enough or not all.

Exact arithmetic for collapsed features, the rank rule and the floored inverse, and the
metrics on rows that were not fitted on. Nothing here imports the library.
"""

from fractions import Fraction

import numpy as np
from oracles import (
    _lidar_values,
    class_moments,
    covariances,
    exp_entropy,
    nearest_mean,
    unit_rows,
    weighted_rate_reduction,
)

# -- collapse metrics in exact arithmetic ---------------------------------------------
#
# Float64 cannot referee collapsed float32 features: 1 - tr(...) has no digits left
# when VCI is 1e-10, nor has a pseudo-inverse of Sigma_B. Floats are rationals, so
# fractions give every value without any rounding.


def exact(X):
    """Array of fractions with the very values of an array of floats."""
    return np.vectorize(Fraction, otypes=[object])(np.asarray(X, dtype=float))


def exact_covariances(X, y, class_weight=None):
    """As `covariances`, in fractions."""
    X, y = exact(X), np.asarray(y)
    groups = [X[y == c] for c in np.unique(y)]
    n_classes = len(groups)
    p = np.array([Fraction(len(rows), len(X)) for rows in groups])
    if class_weight == "balanced":
        p = np.array([Fraction(1, n_classes)] * n_classes)
    means = [rows.sum(axis=0) / len(rows) for rows in groups]
    mean = sum(p[c] * means[c] for c in range(n_classes))
    centred = np.array([mu - mean for mu in means])
    within = sum(
        p[c] * ((groups[c] - means[c]).T @ (groups[c] - means[c])) / len(groups[c])
        for c in range(n_classes)
    )
    between = sum(p[c] * np.outer(centred[c], centred[c]) for c in range(n_classes))
    return p, centred, within, between


def exact_solve(a, b):
    """Solution of a x = b by Gauss-Jordan elimination."""
    n = len(a)
    table = np.hstack([a, b])
    for k in range(n):
        pivot = next(i for i in range(k, n) if table[i, k] != 0)
        table[[k, pivot]] = table[[pivot, k]]
        table[k] = table[k] / table[k, k]
        for i in range(n):
            if i != k:
                table[i] = table[i] - table[i, k] * table[k]
    return table[:, n:]


def exact_nc1_pinv(X, y, class_weight=None):
    """For C - 1 independent class means.

    Sigma_B = D^T K D with D all centred means but the last, which is minus their
    weighted sum, so that D has full row rank and Sigma_B^+ = D^+ K^-1 D^+T.
    """
    p, centred, within, _ = exact_covariances(X, y, class_weight)
    D, share = centred[:-1], p[:-1]
    K = np.diag(share) + np.outer(share, share) / p[-1]
    gram = D @ D.T
    spread = exact_solve(gram, exact_solve(gram, D @ within @ D.T).T)
    return float(np.trace(exact_solve(K, spread)) / len(p))


def exact_nc1_trace_ratio(X, y, class_weight=None):
    _, _, within, between = exact_covariances(X, y, class_weight)
    return float(np.trace(within) / np.trace(between))


def exact_fisher_ratio(X, y, class_weight=None):
    _, _, within, between = exact_covariances(X, y, class_weight)
    return float(np.trace(exact_solve(within, between)))


def exact_vci(X, y, class_weight=None):
    """For C - 1 independent class means."""
    p, _, within, between = exact_covariances(X, y, class_weight)
    return float(1 - np.trace(exact_solve(within + between, between)) / (len(p) - 1))


def exact_lidar(X, y, class_weight=None):
    """For C - 1 independent class means; the eigenvalues in float64."""
    _, centred, within, _ = exact_covariances(X, y, class_weight)
    gaps = centred - sum(centred) / Fraction(len(centred))
    ratio = exact_solve(within, gaps.T @ gaps).astype(float)
    values = np.sort(np.linalg.eigvals(ratio).real)[::-1]
    return exp_entropy(values[: len(centred) - 1])


def exact_cdnv(X, y, reduction="mean"):
    X, y = exact(X), np.asarray(y)
    groups = [X[y == c] for c in np.unique(y)]
    means = [rows.sum(axis=0) / len(rows) for rows in groups]
    spreads = [
        ((rows - mu) ** 2).sum() / len(rows)
        for rows, mu in zip(groups, means, strict=True)
    ]
    ratios = [
        (spreads[i] + spreads[j]) / (2 * ((means[i] - means[j]) ** 2).sum())
        for i in range(len(means))
        for j in range(len(means))
        if i != j
    ]
    return float(max(ratios) if reduction == "max" else sum(ratios) / len(ratios))


# -- the rank rule and the floored inverse --------------------------------------------


def rank_rule(covariance, X):
    """Eigenvalues, eigenvectors, thresholds of a covariance of float64 products."""
    X = np.asarray(X)
    n, d = X.shape
    values, vectors = np.linalg.eigh(covariance)
    product = max(10, np.sqrt(d)) * np.finfo(float).eps * max(values)
    mean_square = (X.astype(float) ** 2).mean(axis=0)
    spread = max(1, (1 + np.sqrt(d / n)) ** 2 / 12)
    noise = np.finfo(X.dtype).eps ** 2 * (vectors**2).T @ mean_square * spread
    return values, vectors, np.maximum(product, noise)


def floored_within_inverse(X, y):
    """Inverse of Sigma_W and its rank; dropped directions are raised to the floor.

    The floor is that of Sigma_T where the rank rule keeps no direction of Sigma_W.
    """
    _, _, within, between = covariances(X, y)
    values, vectors, limits = rank_rule(within, X)
    kept = values > limits
    if kept.all():
        floor = 0.0
    elif kept.any():
        floor = limits[~kept].mean()
    else:
        total, _, total_limits = rank_rule(within + between, X)
        floor = total_limits[total <= total_limits].mean()
    raised = np.where(kept, values, np.maximum(values, floor))
    return vectors @ np.diag(1 / raised) @ vectors.T, kept.sum()


def floored_separations(X, y):
    """Eigenvalues g of A^T Sigma_W^-1 A, ascending, and the rank of Sigma_W."""
    p, centred, _, _ = covariances(X, y)
    A = (np.sqrt(p)[:, None] * centred).T
    inverse, rank = floored_within_inverse(X, y)
    return np.linalg.eigvalsh(A.T @ inverse @ A), rank


def floored_fisher_ratio(X, y):
    separations, rank = floored_separations(X, y)
    return separations.sum() if rank else np.inf


def floored_vci(X, y):
    """For C - 1 independent class means."""
    separations, _ = floored_separations(X, y)
    return np.mean(1 / (1 + separations[1:]))


def floored_lidar(X, y):
    """For C - 1 independent class means."""
    means = class_moments(X, y)["means"]
    gaps = means - means.mean(axis=0)
    inverse, _ = floored_within_inverse(X, y)
    return exp_entropy(np.linalg.eigvalsh(gaps @ inverse @ gaps.T)[1:])


# -- collapse metrics on rows that were not fitted on ---------------------------------


def held_out_weights(y_train, y, class_weight=None):
    """Weights p_c(fitted) / n_c(new) of new rows, scaled to sum 1."""
    y_train, y = np.asarray(y_train), np.asarray(y)
    n_classes = len(set(y_train.tolist()))
    weights = []
    for label in y:
        share = np.mean(y_train == label)
        if class_weight == "balanced":
            share = 1 / n_classes
        weights.append(share / np.sum(y == label))
    return np.array(weights) / np.sum(weights)


def about_fitted_means(X_train, y_train, X, y, class_weight=None):
    """Within-class covariance and class variances of new rows about fitted means."""
    m = class_moments(X_train, y_train)
    w = held_out_weights(y_train, y, class_weight)
    gaps = np.array(
        [
            np.asarray(x, float) - m["means"][m["classes"] == c][0]
            for x, c in zip(X, y, strict=True)
        ]
    )
    within = sum(w[i] * np.outer(gaps[i], gaps[i]) for i in range(len(gaps)))
    squares = (gaps**2).sum(axis=1)
    return within, np.array([squares[np.asarray(y) == c].mean() for c in m["classes"]])


def held_out_nc1_pinv(X_train, y_train, X, y, class_weight=None):
    _, centred, _, between = covariances(X_train, y_train, class_weight)
    within, _ = about_fitted_means(X_train, y_train, X, y, class_weight)
    return np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / len(centred)


def held_out_nc1_trace_ratio(X_train, y_train, X, y, class_weight=None):
    _, _, _, between = covariances(X_train, y_train, class_weight)
    within, _ = about_fitted_means(X_train, y_train, X, y, class_weight)
    return np.trace(within) / np.trace(between)


def held_out_fisher_ratio(X_train, y_train, X, y, class_weight=None):
    _, _, _, between = covariances(X_train, y_train, class_weight)
    within, _ = about_fitted_means(X_train, y_train, X, y, class_weight)
    return np.trace(np.linalg.solve(within, between))


def held_out_cdnv(X_train, y_train, X, y, class_weight=None):
    means = class_moments(X_train, y_train)["means"]
    _, variances = about_fitted_means(X_train, y_train, X, y)
    ratios = [
        (variances[i] + variances[j]) / (2 * ((means[i] - means[j]) ** 2).sum())
        for i in range(len(means))
        for j in range(len(means))
        if i != j
    ]
    return np.mean(ratios)


def held_out_lidar(X_train, y_train, X, y, class_weight=None):
    within, _ = about_fitted_means(X_train, y_train, X, y, class_weight)
    means = class_moments(X_train, y_train)["means"]
    return exp_entropy(_lidar_values(means, within, len(y_train)))


def held_out_directions(X_train, y_train, X, y, class_weight=None):
    """Mean cosine distance within classes, and of all pairs.

    As for the fitted rows, with the mean squared distance of the new unit rows to the
    fitted mean of their class in the place of that of the fitted rows.
    """
    m = class_moments(unit_rows(X_train), y_train)
    unit, n = unit_rows(X), m["counts"]
    spread = np.array(
        [
            np.mean(((unit[np.asarray(y) == c] - m["means"][k]) ** 2).sum(axis=1))
            for k, c in enumerate(m["classes"])
        ]
    )
    within = spread * n / (n - 1)
    apart = np.array(
        [
            [
                (spread[i] + spread[j] + ((a - b) ** 2).sum()) / 2
                for j, b in enumerate(m["means"])
            ]
            for i, a in enumerate(m["means"])
        ]
    )
    np.fill_diagonal(apart, within)
    w = np.ones(len(n)) if class_weight == "balanced" else n
    pairs = np.outer(w, w) - np.diag(w * w / n)
    own = np.diag(pairs)
    return own @ within / own.sum(), (pairs * apart).sum() / pairs.sum()


def held_out_class_separation(X_train, y_train, X, y, class_weight=None):
    within, total = held_out_directions(X_train, y_train, X, y, class_weight)
    return 1 - within / total


def held_out_tolerance(X_train, y_train, X, y, class_weight=None):
    return 1 - held_out_directions(X_train, y_train, X, y, class_weight)[0]


def held_out_coding_rate_reduction(X_train, y_train, X, y, class_weight=None):
    p = covariances(X_train, y_train, class_weight)[0]
    unit = unit_rows(X)
    groups = [unit[np.asarray(y) == c] for c in np.unique(y_train)]
    return weighted_rate_reduction(groups, p)


def held_out_vci(X_train, y_train, X, y, class_weight=None):
    """1 - R^2 of the weighted least-squares probe on the targets U_c / sqrt(p_c)."""
    p, centred, _, between = covariances(X_train, y_train, class_weight)
    rank = np.linalg.matrix_rank(between, tol=1e-10 * np.trace(between))
    U = np.linalg.svd(np.sqrt(p)[:, None] * centred)[0][:, :rank]
    rows = {c: U[k] / np.sqrt(p[k]) for k, c in enumerate(np.unique(y_train))}
    train = np.array([rows[c] for c in y_train])
    new = np.array([rows[c] for c in y])
    root = np.sqrt(held_out_weights(y_train, y_train, class_weight))[:, None]
    design = np.hstack([np.asarray(X_train, float), np.ones((len(X_train), 1))])
    probe = np.linalg.lstsq(root * design, root * train, rcond=None)[0]
    missed = new - np.hstack([np.asarray(X, float), np.ones((len(X), 1))]) @ probe
    w = held_out_weights(y_train, y, class_weight)
    loss = sum(w[i] * missed[i] @ missed[i] for i in range(len(w)))
    return loss / sum(w[i] * new[i] @ new[i] for i in range(len(w)))


def held_out_ncm_accuracy(X_train, y_train, X, y, class_weight=None):
    m = class_moments(X_train, y_train)
    hits = m["classes"][nearest_mean(X, m["means"])] == np.asarray(y)
    return held_out_weights(y_train, y, class_weight) @ hits


def held_out_nc4_agreement(X_train, y_train, X, y, W, b, class_weight=None):
    """For a head whose rows are the sorted classes."""
    nearest = nearest_mean(X, class_moments(X_train, y_train)["means"])
    chosen = np.array([np.argmax(W @ x + b) for x in np.asarray(X, dtype=float)])
    return held_out_weights(y_train, y, class_weight) @ (nearest == chosen)


def held_out_one_minus_r2(X_train, y_train, X, y):
    """1 - R^2 on new rows of the one-hot probe; balanced classes in both sets."""
    classes = np.unique(y_train)
    train = np.array([[float(label == c) for c in classes] for label in y_train])
    new = np.array([[float(label == c) for c in classes] for label in y])
    design = np.hstack([np.asarray(X_train, float), np.ones((len(X_train), 1))])
    probe = np.linalg.lstsq(design, train, rcond=None)[0]
    residual = new - np.hstack([np.asarray(X, float), np.ones((len(X), 1))]) @ probe
    return (residual**2).sum() / ((new - train.mean(axis=0)) ** 2).sum()
