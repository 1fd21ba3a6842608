"""Frames that can be written down."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse._linalg._polytopes import hypercube, orthoplex, simplex_frame


@pytest.mark.parametrize("n_classes", [2, 3, 4, 10, 100, 1000])
def test_simplex_frame(n_classes):
    frame = simplex_frame(n_classes)
    assert frame.shape == (n_classes, n_classes - 1)
    assert frame.dtype == np.float64
    expected = (n_classes * np.eye(n_classes) - 1) / (n_classes - 1)
    rounding = 8 * np.finfo(float).eps
    assert_allclose(frame @ frame.T, expected, rtol=0, atol=rounding)
    assert_allclose(frame.sum(axis=0), 0, atol=rounding * n_classes**0.5)


@pytest.mark.parametrize("n_classes", range(2, 70))
def test_orthoplex(n_classes):
    frame = orthoplex(n_classes)
    assert frame.shape == (n_classes, -(-n_classes // 2))
    gram = frame @ frame.T
    for i in range(n_classes):
        for j in range(n_classes):
            opposite = i // 2 == j // 2
            assert gram[i, j] == (0 if not opposite else 1 if i == j else -1)


@pytest.mark.parametrize("n_classes", range(2, 70))
def test_hypercube(n_classes):
    frame = hypercube(n_classes)
    d = frame.shape[1]
    assert 2 ** (d - 1) < n_classes <= 2**d
    assert_allclose(np.abs(frame), d**-0.5, rtol=1e-15)
    assert len(np.unique(frame, axis=0)) == n_classes
    pairs = n_classes // 2
    assert_array_equal(frame[0 : 2 * pairs : 2], -frame[1 : 2 * pairs : 2])
