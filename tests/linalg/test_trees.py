"""Tests of the minimum spanning tree."""

import numpy as np
import oracles_neighbors as oracles
import pytest
from scipy.cluster.hierarchy import linkage

from sklearn_collapse._linalg import _neighbors, _trees
from sklearn_collapse._linalg._neighbors import Search
from sklearn_collapse._linalg._points import Points
from sklearn_collapse._linalg._trees import tree_lengths


def made(kind, rng):
    if kind == "gaussian":
        return rng.normal(size=(70, 6))
    if kind == "clusters":
        return 100 * rng.normal(size=(7, 6))[np.arange(70) % 7] + rng.normal(
            size=(70, 6)
        )
    if kind == "collapsed":
        means = rng.normal(size=(4, 6))
        return means[np.arange(70) % 4] + 1e-10 * rng.normal(size=(70, 6))
    if kind == "duplicates":
        return rng.normal(size=(20, 6))[rng.integers(0, 20, 70)]
    if kind == "grid":  # all edges alike
        return np.stack(np.meshgrid(*[np.arange(4.0)] * 3), axis=-1).reshape(-1, 3)
    if kind == "line":
        return (np.arange(70.0) ** 2)[:, None]
    assert kind == "float32, mean far from zero"
    return (rng.normal(size=(70, 6)) + 1e4).astype(np.float32)


KINDS = [
    *("gaussian", "clusters", "collapsed", "duplicates", "grid", "line"),
    "float32, mean far from zero",
]


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_prim(library, kind, dense, rng, monkeypatch):
    X = made(kind, rng)
    expected = oracles.tree(X)
    if not dense:
        monkeypatch.setattr(_trees, "_DENSE", 0)
        monkeypatch.setattr(_trees, "_NEIGHBORS", 3)
        monkeypatch.setattr(_neighbors, "_COLUMNS", 16)
    lengths = tree_lengths(Points(library.asarray(X)))
    assert len(lengths) == len(X) - 1
    np.testing.assert_allclose(lengths, expected, rtol=1e-9)


def test_single_linkage_heights(rng, monkeypatch):
    """Without a matrix of all distances, as soon as that would be large."""
    X = rng.normal(size=(2500, 4))
    monkeypatch.setattr(_trees, "pdist", None)
    lengths = tree_lengths(Points(X))
    np.testing.assert_allclose(lengths, linkage(X, "single")[:, 2], rtol=1e-9)


def test_searches_few_rows_again(rng, monkeypatch):
    """Most rows are joined by the neighbours that the first search found."""
    again = []
    run = Search.run

    def counted(self, which, k, labels=None):
        again.append(len(which) if labels is not None else 0)
        return run(self, which, k, labels)

    monkeypatch.setattr(Search, "run", counted)
    monkeypatch.setattr(_trees, "_DENSE", 0)
    tree_lengths(Points(rng.normal(size=(2000, 8))))
    assert sum(again) < 400


@pytest.mark.parametrize("dense", [True, False])
def test_scale(dense, rng, monkeypatch):
    if not dense:
        monkeypatch.setattr(_trees, "_DENSE", 0)
    X = rng.normal(size=(50, 3))
    expected = tree_lengths(Points(X))
    for scale in (1e-200, 1e200):
        lengths = tree_lengths(Points(scale * X))
        np.testing.assert_allclose(lengths, scale * expected, rtol=1e-9)


def test_all_rows_equal():
    np.testing.assert_array_equal(tree_lengths(Points(np.ones((5, 2)))), np.zeros(4))
