"""The obviously right, slow version of every formula: NumPy, float64, loops.

Nothing here imports the library. Covariances have normaliser n unless they say so.
"""

from fractions import Fraction

import numpy as np


def class_moments(X, y, weights=None):
    """Counts, means, pooled scatter, traces and scatters of the classes."""
    X = np.asarray(X, dtype=float)
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=float)
    classes, counts, means, scatters = [], [], [], []
    for c in np.unique(y):
        rows = [i for i in range(len(X)) if y[i] == c and weights[i] > 0]
        if not rows:
            continue
        n = sum(weights[i] for i in rows)
        mean = sum(weights[i] * X[i] for i in rows) / n
        scatter = sum(weights[i] * np.outer(X[i] - mean, X[i] - mean) for i in rows)
        classes.append(c)
        counts.append(n)
        means.append(mean)
        scatters.append(scatter)
    scatters = np.array(scatters)
    traces = np.array([np.trace(s) for s in scatters])
    return {
        "classes": np.array(classes),
        "counts": np.array(counts),
        "means": np.array(means),
        "scatter": scatters.sum(axis=0),
        "traces": traces,
        "class_scatter": scatters,
    }


def covariances(X, y, class_weight=None):
    """Shares p_c, centred means, within-class and between-class covariance."""
    m = class_moments(X, y)
    n_classes = len(m["counts"])
    p = m["counts"] / m["counts"].sum()
    if class_weight == "balanced":
        p = np.full(n_classes, 1 / n_classes)
    mean = sum(p[c] * m["means"][c] for c in range(n_classes))
    centred = np.array([mu - mean for mu in m["means"]])
    within = sum(
        p[c] * m["class_scatter"][c] / m["counts"][c] for c in range(n_classes)
    )
    between = sum(p[c] * np.outer(centred[c], centred[c]) for c in range(n_classes))
    return p, centred, within, between


def nc1_pinv(X, y, class_weight=None):
    _, centred, within, between = covariances(X, y, class_weight)
    return np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / len(centred)


def nc1_trace_ratio(X, y, class_weight=None):
    _, _, within, between = covariances(X, y, class_weight)
    return np.trace(within) / np.trace(between)


def fisher_ratio(X, y, class_weight=None):
    """For a within-class covariance of full rank."""
    _, _, within, between = covariances(X, y, class_weight)
    return np.trace(np.linalg.solve(within, between))


def vci(X, y, class_weight=None):
    """By its definition; for a total covariance of full rank."""
    _, _, within, between = covariances(X, y, class_weight)
    rank = np.linalg.matrix_rank(between, tol=1e-10 * np.trace(between))
    return 1 - np.trace(np.linalg.solve(within + between, between)) / rank


def one_minus_r2(X, y):
    """1 - R^2 of the least-squares probe on one-hot labels, with intercept."""
    X = np.asarray(X, dtype=float)
    onehot = np.array([[float(label == c) for c in np.unique(y)] for label in y])
    design = np.hstack([X - X.mean(axis=0), np.ones((len(X), 1))])
    solution = np.linalg.lstsq(design, onehot, rcond=None)[0]
    residual = ((onehot - design @ solution) ** 2).sum()
    return residual / ((onehot - onehot.mean(axis=0)) ** 2).sum()


def cdnv_grid(X, y, power=2):
    m = class_moments(X, y)
    n_classes = len(m["counts"])
    grid = np.zeros((n_classes, n_classes))
    for i in range(n_classes):
        for j in range(n_classes):
            if i != j:
                var = m["traces"][i] / m["counts"][i] + m["traces"][j] / m["counts"][j]
                distance = np.sqrt(((m["means"][i] - m["means"][j]) ** 2).sum())
                grid[i, j] = var / (2 * distance**power)
    return grid


def off_diagonal(matrix):
    n = len(matrix)
    return np.array([matrix[i, j] for i in range(n) for j in range(n) if i != j])


def cdnv(X, y, class_weight=None):
    return off_diagonal(cdnv_grid(X, y)).mean()


def cosines(centred):
    n = len(centred)
    return np.array(
        [
            [
                centred[i]
                @ centred[j]
                / np.sqrt((centred[i] @ centred[i]) * (centred[j] @ centred[j]))
                for j in range(n)
            ]
            for i in range(n)
        ]
    )


def nc2_equinorm(X, y, class_weight=None):
    _, centred, _, _ = covariances(X, y, class_weight)
    norms = np.array([np.sqrt(m @ m) for m in centred])
    return norms.std() / norms.mean()


def nc2_equiangularity(X, y, class_weight=None):
    _, centred, _, _ = covariances(X, y, class_weight)
    return off_diagonal(cosines(centred)).std()


def nc2_max_angle(X, y, class_weight=None):
    _, centred, _, _ = covariances(X, y, class_weight)
    return np.abs(off_diagonal(cosines(centred)) + 1 / (len(centred) - 1)).mean()


def simplex_gram(n_classes):
    gram = np.eye(n_classes) - np.ones((n_classes, n_classes)) / n_classes
    return gram / np.sqrt(n_classes - 1)


def nc2_etf_error(X, y, class_weight=None):
    _, centred, _, _ = covariances(X, y, class_weight)
    gram = centred @ centred.T
    gap = gram / np.linalg.norm(gram) - simplex_gram(len(centred))
    return np.linalg.norm(gap)


def gnc2_uniformity(X, y, class_weight=None):
    _, centred, _, _ = covariances(X, y, class_weight)
    units = [m / np.sqrt(m @ m) for m in centred]
    kernel = [
        -np.log(np.sqrt(((units[i] - units[j]) ** 2).sum()))
        for i in range(len(units))
        for j in range(len(units))
        if i != j
    ]
    return np.mean(kernel)


def gof_off_diagonal(X, y, class_weight=None):
    means = class_moments(X, y)["means"]
    gram = means @ means.T
    return 1 - sum(gram[c, c] ** 2 for c in range(len(means))) / (gram**2).sum()


def nc3_self_duality(X, y, W, class_weight=None):
    _, centred, _, _ = covariances(X, y, class_weight)
    return np.linalg.norm(W / np.linalg.norm(W) - centred / np.linalg.norm(centred))


def nc3_uniform_duality(X, y, W, class_weight=None):
    _, centred, _, _ = covariances(X, y, class_weight)
    angles = [
        w @ m / np.sqrt((w @ w) * (m @ m)) for w, m in zip(W, centred, strict=True)
    ]
    return np.var(angles)


def nc3_product(X, y, W, class_weight=None):
    _, centred, _, _ = covariances(X, y, class_weight)
    product = W @ centred.T
    gap = product / np.linalg.norm(product) - simplex_gram(len(centred))
    return np.linalg.norm(gap)


def unit_rows(X):
    """Rows divided by their lengths; rows of zeros stay."""
    lengths = [np.sqrt((x * x).sum()) for x in np.asarray(X, dtype=float)]
    return np.array(
        [
            x / size if size else x * 0.0
            for x, size in zip(np.asarray(X, float), lengths, strict=True)
        ]
    )


def cosine_distances(X):
    """1 - cos of every pair of rows: half the squared distance of unit rows."""
    unit = unit_rows(X)

    def distance(a, b):
        return ((a - b) ** 2).sum() / 2 if a.any() and b.any() else 1.0

    return np.array([[distance(a, b) for b in unit] for a in unit])


def pair_weights(y, class_weight=None):
    """Products of the weights of two rows; 0 for a row with itself."""
    y = np.asarray(y)
    w = np.ones(len(y))
    if class_weight == "balanced":
        w = np.array([1 / np.sum(y == label) for label in y])
    return np.outer(w, w) - np.diag(w * w)


def class_separation(X, y, class_weight=None):
    """1 - mean distance within classes / mean distance of all pairs."""
    distances, weights = cosine_distances(X), pair_weights(y, class_weight)
    same = weights * (np.asarray(y)[:, None] == np.asarray(y)[None, :])
    within = (same * distances).sum() / same.sum()
    return 1 - within / ((weights * distances).sum() / weights.sum())


def tolerance(X, y, class_weight=None):
    """Mean cosine of the pairs of rows of one class."""
    weights = pair_weights(y, class_weight)
    same = weights * (np.asarray(y)[:, None] == np.asarray(y)[None, :])
    return (same * (1 - cosine_distances(X))).sum() / same.sum()


def exp_entropy(values):
    """exp of the entropy of values divided by their sum; 0 ln 0 = 0."""
    shares = [v / sum(values) for v in values if v > 0]
    return np.exp(-sum(p * np.log(p) for p in shares))


def lidar(X, y, class_weight=None, delta=0.0):
    """From the non-zero eigenvalues of Sigma_w^-1 Sigma_b, for non-singular Sigma_w."""
    _, _, within, _ = covariances(X, y, class_weight)
    return exp_entropy(
        _lidar_values(class_moments(X, y)["means"], within, len(y), delta)
    )


def _lidar_values(means, within, n, delta=0.0):
    n_classes, d = means.shape
    gaps = [m - means.mean(axis=0) for m in means]
    between = sum(np.outer(g, g) for g in gaps) / (n_classes - 1)
    within = within * n / (n - n_classes) + delta * np.eye(d)
    values = np.linalg.eigvals(np.linalg.solve(within, between)).real
    return np.sort(values)[::-1][: min(n_classes - 1, d)]


def coding_rate(rows, epsilon=0.5):
    """1/2 logdet(I + d / (n eps^2) X^T X)."""
    n, d = rows.shape
    gram = np.eye(d) + d / (n * epsilon**2) * rows.T @ rows
    return 0.5 * np.log(np.linalg.eigvalsh(gram)).sum()


def coding_rate_reduction(X, y, class_weight=None, epsilon=0.5):
    unit, y = unit_rows(X), np.asarray(y)
    groups = [unit[y == c] for c in np.unique(y)]
    p = [len(rows) / len(y) for rows in groups]
    if class_weight == "balanced":
        p = [1 / len(groups) for _ in groups]
    return weighted_rate_reduction(groups, p, epsilon)


def weighted_rate_reduction(groups, p, epsilon=0.5):
    """Rate of all rows, class c weighing p_c, minus the rates of the classes."""
    whole = np.vstack(
        [np.sqrt(q / len(rows)) * rows for q, rows in zip(p, groups, strict=True)]
    )
    d = whole.shape[1]
    rate = 0.5 * np.linalg.slogdet(np.eye(d) + d / epsilon**2 * whole.T @ whole)[1]
    return rate - sum(
        q * coding_rate(rows, epsilon) for q, rows in zip(p, groups, strict=True)
    )


def nearest_mean(X, means):
    """Position of the nearest mean of each row."""
    X = np.asarray(X, dtype=float)
    return np.array([np.argmin([((x - mu) ** 2).sum() for mu in means]) for x in X])


def ncm_accuracy(X, y, class_weight=None):
    m = class_moments(X, y)
    nearest = m["classes"][nearest_mean(X, m["means"])]
    return _share(nearest == np.asarray(y), y, class_weight)


def nc4_agreement(X, y, W, b, class_weight=None):
    """For a head whose rows are the sorted classes."""
    m = class_moments(X, y)
    nearest = nearest_mean(X, m["means"])
    chosen = np.array([np.argmax(W @ x + b) for x in np.asarray(X, dtype=float)])
    return _share(nearest == chosen, y, class_weight)


def _share(hits, y, class_weight):
    if class_weight is None:
        return np.mean(hits)
    y = np.asarray(y)
    return np.mean([np.mean(hits[y == c]) for c in np.unique(y)])


def mahalanobis(X_train, y, X, *, relative=False, normalize=False, shrinkage=0.0):
    """Scores for covariances of full rank; y=None is one class."""
    return mahalanobis_by(
        lambda rows: np.linalg.inv(shrunk(rows.T @ rows / len(rows), shrinkage)),
        *(X_train, y, X),
        relative=relative,
        normalize=normalize,
    )


def mahalanobis_by(precision_of, X_train, y, X, *, relative=False, normalize=False):
    """Scores with the inverse covariance that is made of rows about their means."""
    X_train, X = np.asarray(X_train, dtype=float), np.asarray(X, dtype=float)
    if normalize:
        X_train = np.array([x / np.sqrt(x @ x) for x in X_train])
        X = np.array([x / np.sqrt(x @ x) for x in X])
    y = np.zeros(len(X_train)) if y is None else np.asarray(y)
    m = class_moments(X_train, y)
    own = dict(zip(m["classes"], m["means"], strict=True))
    precision = precision_of(
        np.array([x - own[c] for x, c in zip(X_train, y, strict=True)])
    )
    scores = [-min((x - mu) @ precision @ (x - mu) for mu in m["means"]) for x in X]
    if relative:
        mean = X_train.mean(axis=0)
        background = precision_of(X_train - mean)
        scores = [
            s + (x - mean) @ background @ (x - mean)
            for s, x in zip(scores, X, strict=True)
        ]
    return np.array(scores)


def floored_precision(rows, floor):
    """Inverse covariance, eigenvalues at least a share of the largest; 0: dropped."""
    values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    if floor == 0:
        inverse = [1 / v if v > 1e-10 * values.max() else 0.0 for v in values]
    else:
        inverse = [1 / max(v, floor * values.max()) for v in values]
    return vectors @ np.diag(inverse) @ vectors.T


def quantile(values, share, weights=None):
    """Averaged inverted distribution function, decided in exact fractions."""
    weights = [1] * len(values) if weights is None else weights
    pairs = [
        (v, Fraction(float(w))) for v, w in sorted(zip(values, weights, strict=True))
    ]
    pairs = [(v, w) for v, w in pairs if w > 0]
    target = Fraction(str(share)) * sum(w for _, w in pairs)
    reached = Fraction(0)
    for k, (v, w) in enumerate(pairs):
        reached += w
        if reached > target or k == len(pairs) - 1:
            return v
        if reached == target:
            return (v + pairs[k + 1][0]) / 2
    return None


def shrunk(covariance, share):
    d = len(covariance)
    return (1 - share) * covariance + share * np.trace(covariance) / d * np.eye(d)


def auroc(inside, outside):
    """Share of pairs in the right order, ties half."""
    outside = np.asarray(outside)
    wins = sum(np.sum(a > outside) + 0.5 * np.sum(a == outside) for a in inside)
    return wins / (len(inside) * len(outside))


def fpr_at_tpr(positives, negatives, tpr=0.95):
    """Smallest share of accepted negatives among all thresholds that reach tpr."""
    positives, negatives = np.asarray(positives), np.asarray(negatives)
    best = 1.0
    for threshold in set(positives.tolist()):
        if np.mean(positives >= threshold) >= tpr - 1e-12:
            best = min(best, np.mean(negatives >= threshold))
    return best


def average_precision(positives, negatives):
    """Sum over thresholds of precision times the gain in recall."""
    positives, negatives = np.asarray(positives), np.asarray(negatives)
    total, before = 0.0, 0.0
    for threshold in sorted({*positives.tolist(), *negatives.tolist()}, reverse=True):
        hits = np.sum(positives >= threshold)
        recall = hits / len(positives)
        total += (recall - before) * hits / (hits + np.sum(negatives >= threshold))
        before = recall
    return total
