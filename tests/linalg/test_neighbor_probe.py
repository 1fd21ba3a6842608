"""Tests of searches among many rows, of which a few are searched first."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.neighbors import NearestNeighbors

from sklearn_collapse._linalg import _neighbors
from sklearn_collapse._linalg._neighbors import nearest
from sklearn_collapse._linalg._points import Points

TRIES = {"spread": [True, True], "collapsed": [True, False]}


@pytest.mark.parametrize("kind", TRIES)
def test_many_rows(library, monkeypatch, kind, rng):
    """Float32 is given up after the first few where it is of no use."""
    means = {"spread": 1, "collapsed": 3000}[kind] * rng.normal(size=(3, 12))
    X = means[np.arange(700) % 3] + rng.normal(size=(700, 12))
    new = means[np.arange(600) % 3] + rng.normal(size=(600, 12))
    monkeypatch.setattr(_neighbors, "_PROBE", 32)
    dtypes = []
    by_blocks = _neighbors.Search._by_blocks

    def watched(self, points, which, n_candidates, labels, dtype):
        dtypes.append((len(which), dtype == np.float32))
        return by_blocks(self, points, which, n_candidates, labels, dtype)

    monkeypatch.setattr(_neighbors.Search, "_by_blocks", watched)
    found = nearest(Points(library.asarray(X)), 9, library.asarray(new))
    search = NearestNeighbors(n_neighbors=9, algorithm="kd_tree").fit(X)
    expected, index = search.kneighbors(new)
    assert_allclose(found.distances, expected, rtol=1e-9)
    assert np.mean(found.points == index) > 0.999
    assert dtypes[0] == (32, True)
    assert [single for _, single in dtypes[:2]] == TRIES[kind]
    assert dtypes[1][0] >= 600 - 32
