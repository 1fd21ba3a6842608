"""Metrics of every family that tests put into METRICS, with plain formulas."""

import numpy as np

from sklearn_collapse.metrics import METRICS, Metric


def spread(X, *, sample_weight=None, power=2):
    """Mean power of the distance to the mean: features alone."""
    X, mean = np.asarray(X, dtype=float), np.average(X, axis=0, weights=sample_weight)
    distances = np.linalg.norm(X - mean, axis=1)
    return np.average(distances**power, weights=sample_weight)


def slope(X, y, *, sample_weight=None):
    """Largest absolute correlation of a feature with a target."""
    y = np.asarray(y, dtype=float).reshape(len(X), -1)
    weights = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight)
    X, y = (
        (Z - np.average(Z, axis=0, weights=weights)) * np.sqrt(weights)[:, None]
        for Z in (X, y)
    )
    X, y = X / np.linalg.norm(X, axis=0), y / np.linalg.norm(y, axis=0)
    return np.max(np.abs(X.T @ y))


def misfit(X, y, head, *, sample_weight=None):
    """Mean squared error of weights, about the means."""
    coef = np.atleast_2d(getattr(head, "coef_", head))
    residual = np.asarray(y, dtype=float).reshape(len(X), -1) - X @ coef.T
    residual = residual - np.average(residual, axis=0, weights=sample_weight)
    return np.average((residual**2).sum(axis=1), weights=sample_weight)


def gap(X, *, n_neighbors=1, max_samples=None, random_state=None):
    """Mean distance to the k-th neighbour, zero where rows repeat."""
    X = np.asarray(X, dtype=float)
    if max_samples is not None:
        rng = np.random.default_rng(random_state)
        X = X[rng.choice(len(X), max_samples, replace=False)]
    distances = np.linalg.norm(X[:, None] - X[None], axis=2)
    return np.sort(distances, axis=1)[:, n_neighbors].mean()


def same_neighbor(X, y, *, n_neighbors=1):
    """Share of rows whose nearest neighbour has the same label."""
    X = np.asarray(X, dtype=float)
    distances = np.linalg.norm(X[:, None] - X[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.mean(np.asarray(y)[distances.argmin(axis=1)] == y)


def entry(function, family, needs, direction, keeps, high=np.inf):
    needs, keeps = frozenset(needs.split()), frozenset(keeps.split())
    return Metric(function, family, needs, (0.0, high), direction, keeps, "Mean 2000")


FAKES = {
    "spread": entry(
        *(spread, "dimensional", "moments", "higher"),
        "rotation translation cloning",
    ),
    "slope": entry(
        *(slope, "regression", "moments targets", "higher"),
        "translation scale cloning",
    ),
    "misfit": entry(
        *(misfit, "regression", "moments head targets", "lower"),
        "translation cloning",
    ),
    "gap": entry(gap, "neighbors", "neighbors", None, "rotation translation"),
    "same_neighbor": entry(
        *(same_neighbor, "neighbors", "neighbors", "higher"),
        "rotation translation scale",
        1.0,
    ),
}


def add_fakes(monkeypatch):
    """Put all of them into METRICS."""
    for name, fake in FAKES.items():
        monkeypatch.setitem(METRICS, name, fake)
