"""The simplex equiangular tight frame."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import kstest

from sklearn_collapse._linalg._polytopes import simplex_axes, simplex_frame
from sklearn_collapse.etf import simplex_etf


@pytest.mark.parametrize("n_classes", [2, 3, 10, 400])
@pytest.mark.parametrize("extra", [None, 0, 1, 7])
@pytest.mark.parametrize("random_state", [None, 0])
def test_frame(n_classes, extra, random_state):
    d = None if extra is None else n_classes - 1 + extra
    frame = simplex_etf(n_classes, d, random_state)
    assert frame.shape == (n_classes, n_classes - 1 if d is None else d)
    assert frame.dtype == np.float64
    gram = frame @ frame.T
    expected = np.full((n_classes, n_classes), -1 / (n_classes - 1))
    np.fill_diagonal(expected, 1.0)
    assert_allclose(gram, expected, rtol=0, atol=1e-14)
    assert_allclose(frame.sum(axis=0), 0, atol=1e-13)
    # Tight: all directions of its span alike.
    values = np.linalg.svd(frame, compute_uv=False)[: n_classes - 1]
    assert_allclose(values**2, n_classes / (n_classes - 1), rtol=1e-13)


def test_canonical_orientation():
    assert_allclose(simplex_etf(2), [[1.0], [-1.0]], rtol=1e-15)
    h = np.sqrt(3) / 2
    expected = [[h, 0.5, 0.0], [-h, 0.5, 0.0], [0.0, -1.0, 0.0]]
    assert_allclose(simplex_etf(3, 3), expected, atol=1e-15)
    assert_array_equal(simplex_etf(5, 9), simplex_etf(5, 9))
    assert_array_equal(simplex_etf(5, 9)[:, :4], simplex_etf(5))
    assert_array_equal(simplex_etf(5, 9)[:, 4:], 0)


def test_random_orientation():
    first = simplex_etf(4, 6, random_state=3)
    assert_array_equal(first, simplex_etf(4, 6, random_state=3))
    state = np.random.RandomState(3)
    assert_array_equal(first, simplex_etf(4, 6, random_state=state))
    assert np.abs(first - simplex_etf(4, 6, random_state=state)).max() > 0.1


@pytest.mark.parametrize("row", [0, 2])
def test_random_orientation_is_uniform(row):
    """Coordinates of a uniform unit vector in three dimensions are uniform."""
    frames = np.array([simplex_etf(3, 3, seed)[row] for seed in range(500)])
    for column in range(3):
        assert kstest(frames[:, column], "uniform", args=(-1, 2)).pvalue > 1e-3
    # And so is the turn about it: no orientation is left out.
    in_plane = np.array([simplex_etf(3, 2, seed)[row] for seed in range(500)])
    angles = np.arctan2(in_plane[:, 1], in_plane[:, 0]) / np.pi
    assert kstest(angles, "uniform", args=(-1, 2)).pvalue > 1e-3


def test_reflections_occur():
    turns = [np.sign(np.linalg.det(simplex_etf(3, 2, seed)[:2])) for seed in range(60)]
    assert 15 < sum(turn > 0 for turn in turns) < 45


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_both_forms_are_one_frame(n_classes):
    coordinates, axes = simplex_frame(n_classes), simplex_axes(n_classes)
    assert coordinates.shape == (n_classes, n_classes - 1)
    assert_allclose(coordinates @ coordinates.T, axes @ axes.T, atol=1e-15)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((1,), ValueError, "n_classes == 1, must be >= 2"),
        ((2.5,), TypeError, "n_classes must be an instance"),
        (("3",), TypeError, "n_classes must be an instance"),
        ((3, 2.0), TypeError, "n_features must be an instance"),
        ((3, 0), ValueError, "n_features == 0, must be >= 1"),
        ((5, 3), ValueError, "n_features=3 is too few .* = 4: .* at most 4 classes"),
        ((3, 2, "seed"), ValueError, "seed"),
    ],
)
def test_errors(arguments, error, match):
    with pytest.raises(error, match=match):
        simplex_etf(*arguments)
