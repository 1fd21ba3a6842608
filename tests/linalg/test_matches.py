"""Tests of the match of queries with labelled rows."""

import numpy as np
import oracles_compatibility as oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse._linalg import _matches
from sklearn_collapse._linalg._matches import Gallery, directions, zero_row_shares


def problem(n=50, m=80, n_labels=3, seed=0):
    """Queries and a gallery on a coarse grid: many rows are equal or equally near."""
    rng = np.random.default_rng(seed)
    X, rows = rng.integers(0, 3, size=(n, 3)), rng.integers(0, 3, size=(m, 3))
    return X, rng.integers(0, n_labels, n), rows, rng.integers(0, n_labels, m)


@pytest.mark.parametrize("held", [_matches._HELD, 8, 1])
def test_against_loops(library, monkeypatch, held):
    monkeypatch.setattr(_matches, "_HELD", held)
    X, y, rows, labels = problem()
    own = np.random.default_rng(1).integers(-1, len(rows), len(X))
    # The row of the same sample has its label.
    y = np.where(own < 0, y, labels[own])
    gallery = Gallery(library.asarray(rows), labels, 3)
    found = gallery.label_shares(library.asarray(X), y, own)
    for i, (x, label) in enumerate(zip(X, y, strict=True)):
        expected = oracles.match_share(x, label, rows, labels, "euclidean", own[i])
        assert_allclose(found[i], expected, rtol=1e-12)


def test_a_query_that_is_taken_for_a_row(library):
    rows = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [5.0, 0.0]])
    labels = np.array([0, 1, 1, 0])
    gallery = Gallery(library.asarray(rows), labels, 2)
    X = library.asarray([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    # Of the equal rows one is the query; else the next nearest counts.
    shares = gallery.label_shares(X, np.array([0, 1, 1]), None)
    assert_array_equal(shares, [0, 0.5, 1])
    nobody = np.full(3, -1)
    shares = gallery.label_shares(X, np.array([0, 1, 1]), nobody)
    assert_array_equal(shares, [0.5, 1, 1])


def test_a_gallery_of_one_row(library):
    gallery = Gallery(library.asarray([[1.0, 2.0]]), np.array([1]), 2)
    X = library.asarray([[0.0, 0.0], [1.0, 2.0]])
    shares = gallery.label_shares(X, np.array([1, 0]), np.full(2, -1))
    assert_array_equal(shares, [1, 0])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_directions(library, dtype):
    X = np.array([[3, 4], [0, 0], [0, -2]]).astype(dtype)
    found = directions(library.asarray(X))
    assert library.owns(found)
    assert str(found.dtype).endswith("float64")
    expected = [[0.6, 0.8, 0], [0, 0, 1], [0, -1, 0]]
    assert_allclose(library.to_numpy(found), expected, rtol=1e-15)


@pytest.mark.parametrize("n_zero", [0, 1, 2, 20])
@pytest.mark.parametrize("known", [False, True])
def test_rows_of_zeros_are_counted_as_they_would_be_found(n_zero, known):
    rng = np.random.default_rng(n_zero)
    rows = np.vstack([np.zeros((n_zero, 3)), rng.normal(size=(20 - n_zero, 3))])
    labels, own = rng.integers(0, 3, 20), np.arange(20) if known else None
    y = labels if known else rng.integers(0, 3, 20)
    found = zero_row_shares(np.arange(20) < n_zero, labels, y, own)
    gallery, queries = directions(rows), directions(np.zeros((20, 3)))
    expected = Gallery(gallery, labels, 3, rounding=1e-15).label_shares(queries, y, own)
    assert_allclose(found, expected, rtol=1e-12)
    for i in range(20):
        args = (queries[i], y[i], gallery, labels, "cosine")
        if known or not n_zero:
            share = oracles.match_share(*args, i if known else None)
            assert_allclose(found[i], share, rtol=1e-12)
