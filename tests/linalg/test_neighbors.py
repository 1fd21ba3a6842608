"""Tests of the search for nearest neighbours."""

import numpy as np
import oracles_neighbors as oracles
import pytest
from sklearn.neighbors import NearestNeighbors

from sklearn_collapse._linalg import _neighbors
from sklearn_collapse._linalg._neighbors import Search, nearest
from sklearn_collapse._linalg._points import Points


def made(kind, rng):
    if kind == "gaussian":
        return rng.normal(size=(120, 12))
    if kind == "few columns":
        return rng.uniform(size=(120, 2))
    if kind == "mean far from zero":
        return rng.normal(size=(120, 12)) + 1e8
    if kind == "float32, mean far from zero":
        return (rng.normal(size=(120, 12)) + 1e4).astype(np.float32)
    if kind == "collapsed":
        means = rng.normal(size=(3, 12))
        return means[np.arange(120) % 3] + 1e-11 * rng.normal(size=(120, 12))
    if kind == "collapsed, float32":
        means = rng.normal(size=(3, 12))
        rows = means[np.arange(120) % 3] + 1e-6 * rng.normal(size=(120, 12))
        return np.unique(rows.astype(np.float32), axis=0)
    if kind == "grid":
        return np.unique(rng.integers(0, 3, size=(150, 5)), axis=0)
    if kind == "tiny":
        return 1e-150 * rng.normal(size=(120, 12))
    assert kind == "huge"
    return 1e200 * rng.normal(size=(120, 12))


KINDS = [
    *("gaussian", "few columns", "mean far from zero", "float32, mean far from zero"),
    *("collapsed", "collapsed, float32", "grid", "tiny", "huge"),
]


def sorted_distances(X, Y=None):
    """Of each row to the others."""
    D = oracles.distances(X, Y)
    if Y is None:
        np.fill_diagonal(D, np.inf)
    return np.sort(D, axis=1)


@pytest.mark.parametrize("kind", KINDS)
def test_distances(library, kind, rng):
    X = made(kind, rng)
    points = Points(library.asarray(X))
    assert len(points) == len(X)
    found = nearest(points, 7)
    # float32 rows are differences of float64: exact rows, whatever their mean.
    np.testing.assert_allclose(
        found.distances, sorted_distances(X.astype(float))[:, :7], rtol=1e-9
    )
    assert not (found.points == np.arange(len(X))[:, None]).any()
    assert [len(set(row)) for row in found.points] == [7] * len(X)
    # The distances belong to the points.
    near = X.astype(float)[found.points] - X.astype(float)[:, None, :]
    scale = np.max(np.abs(near))
    own = scale * np.linalg.norm(near / scale, axis=2)
    np.testing.assert_allclose(own, found.distances, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_other_rows(library, kind, rng):
    """Rows that are points are told, and are not their own neighbours."""
    X = made(kind, rng)
    points = Points(library.asarray(X[20:]))
    found = nearest(points, 5, library.asarray(X))
    expected = sorted_distances(X.astype(float), X[20:].astype(float))
    np.testing.assert_allclose(found.distances[:20], expected[:20, :5], rtol=1e-9)
    np.testing.assert_allclose(found.distances[20:], expected[20:, 1:6], rtol=1e-9)
    np.testing.assert_array_equal(found.equal[:20], -1)
    np.testing.assert_array_equal(found.equal[20:], np.arange(len(X) - 20))


@pytest.mark.parametrize("kind", KINDS)
def test_small_blocks_and_float32_products(library, kind, rng, monkeypatch):
    """Column blocks, blocks of differences and rounds of candidates, all tiny."""
    X = made(kind, rng)
    monkeypatch.setattr(_neighbors, "_COLUMNS", 16)
    monkeypatch.setattr(_neighbors, "_DIFFERENCES", 50)
    monkeypatch.setattr(_neighbors, "_CANDIDATES", 1)
    monkeypatch.setattr(_neighbors, "_SPARE", 1)
    found = nearest(Points(library.asarray(X)), 4)
    np.testing.assert_allclose(
        found.distances, sorted_distances(X.astype(float))[:, :4], rtol=1e-9
    )


def test_no_more_rounds_than_needed(rng, monkeypatch):
    """Plain rows are settled by one product and the differences of its candidates."""
    rounds, differences = [], []
    count, measure = Search._round, Search._differences

    def counted(self, which, *args):
        rounds.append(len(which))
        return count(self, which, *args)

    def measured(self, which, index):
        differences.append(len(which))
        return measure(self, which, index)

    monkeypatch.setattr(Search, "_round", counted)
    monkeypatch.setattr(Search, "_differences", measured)
    nearest(Points(rng.normal(size=(300, 20))), 10)
    # Nor does a mean far from zero ask for them: it is taken off first.
    nearest(Points(rng.normal(size=(300, 20)) + 1e6), 10)
    assert rounds == [300, 300]
    assert differences == [300, 300]
    # A collapsed class loses its digits: it is searched again, and no other row.
    X = rng.normal(size=(300, 20))
    X[:40] = X[0] + 1e-10 * X[:40]
    nearest(Points(X), 10)
    assert differences[2] == 300
    assert rounds[2] == 300
    # Beside it, at the most rows that float32 leaves undecided, once.
    assert set(rounds[4:]) == {40}
    assert rounds[3] < 60


def test_distance_then_position(library):
    X = np.array([[0.0], [1.0], [-1.0], [2.0], [-2.0]])
    found = nearest(Points(library.asarray(X)), 4)
    np.testing.assert_array_equal(found.points[0], [1, 2, 3, 4])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_equal_rows_are_one_point(library, dtype, rng):
    X = (10 * rng.normal(size=(40, 3))).astype(dtype)
    index = rng.integers(0, 40, 200)
    rows = X[index]
    if dtype != np.int64:
        rows[rows == 0] = 0.0
        rows[3], rows[9] = 0.0, -0.0
    points = Points(library.asarray(rows))
    values, first = np.unique(rows, axis=0, return_index=True)
    assert len(points) == len(values)
    np.testing.assert_array_equal(np.asarray(points.rows), rows[np.sort(first)])
    np.testing.assert_array_equal(np.asarray(points.rows)[points.point_of], rows)
    np.testing.assert_array_equal(points.counts, np.bincount(points.point_of))


def test_almost_equal_rows_are_two():
    X = np.ones((4, 3))
    X[1, 2] = np.nextafter(1.0, 2.0)
    points = Points(X)
    np.testing.assert_array_equal(points.point_of, [0, 1, 0, 0])
    found = nearest(points, 1)
    np.testing.assert_array_equal(found.distances, np.full((2, 1), X[1, 2] - 1))


def test_labels(library, rng):
    """Points with the label of their own do not count."""
    X = rng.normal(size=(60, 3))
    labels = rng.integers(0, 3, 60)
    search = Search(Points(library.asarray(X)), None, "auto")
    which = np.array([3, 50, 8])
    found = search.run(which, 2, labels)
    D = oracles.distances(X)
    for row, i in enumerate(which):
        others = np.sort(D[i, labels != labels[i]])[:2]
        np.testing.assert_allclose(
            found.distances[row] / search.points.unit, others, rtol=1e-9
        )


def test_labels_that_leave_too_few(rng):
    X = rng.normal(size=(30, 3))
    labels = np.zeros(30, dtype=int)
    labels[7] = 1
    search = Search(Points(X), None, "auto")
    found = search.run(np.array([0, 1]), 2, labels)
    np.testing.assert_array_equal(found.points[:, 0], 7)
    assert np.isinf(found.distances[:, 1]).all()


def test_against_scikit_learn(rng):
    X = rng.normal(size=(500, 40)).astype(np.float32)
    found = nearest(Points(X), 20)
    theirs, index = NearestNeighbors(n_neighbors=20).fit(X.astype(float)).kneighbors()
    np.testing.assert_allclose(found.distances, theirs, rtol=1e-9)
    np.testing.assert_array_equal(found.points, index)
