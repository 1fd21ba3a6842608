"""Procrustes alignment of class means with a frame."""

import numpy as np
import oracles_etf as oracles
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import helmert, orthogonal_procrustes
from scipy.spatial import procrustes as scipy_procrustes

from sklearn_collapse._linalg import _procrustes
from sklearn_collapse.utils._arrays import namespace


def align(library, A, B):
    """Alignment of plain means; all directions of float64 means count."""
    A, B = A - A.mean(axis=0), B - B.mean(axis=0)
    left, values, right = np.linalg.svd(A, full_matrices=False)
    rank = int((values > max(A.shape) * np.finfo(float).eps * values[0]).sum())
    thin = (left[:, :rank], values[:rank], right[:rank])
    A, B, *thin = (library.asarray(a) for a in (A, B, *thin))
    found = _procrustes.procrustes(A, tuple(thin), B, namespace(A))
    assert library.owns(found.rotation)
    assert type(found.scale) is type(found.disparity) is float
    return found._replace(rotation=library.to_numpy(found.rotation))


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def padded(B, d):
    return np.pad(B, ((0, 0), (0, max(0, d - B.shape[1]))))


@pytest.mark.parametrize(("n_classes", "d"), [(2, 1), (2, 5), (5, 4), (5, 5), (4, 30)])
@pytest.mark.parametrize("kind", ["simplex", "random"])
def test_against_scipy(library, n_classes, d, kind):
    A = random(n_classes, d) + 3
    B = oracles.simplex(n_classes)
    if kind == "random":
        B = random(n_classes, min(d, n_classes), seed=1) - 5
    found = align(library, A, B)
    width = max(d, B.shape[1])
    wide, target = padded(A - A.mean(axis=0), width), padded(B - B.mean(axis=0), width)
    disparity = scipy_procrustes(wide, target)[2]
    assert_allclose(found.disparity, disparity, rtol=1e-9, atol=1e-15)
    rotation, total = orthogonal_procrustes(wide, target)
    assert_allclose(found.scale, total / np.sum(wide**2), rtol=1e-12)
    if found.rank == min(n_classes - 1, d):  # then all of A is turned
        expected = (wide @ rotation)[:, : B.shape[1]]
        assert_allclose(wide[:, :d] @ found.rotation, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("n_classes", "d", "k", "rank"),
    [(6, 3, 4, 3), (6, 8, 2, 2), (3, 7, 5, 2), (9, 4, 9, 4)],
)
def test_against_the_textbook(library, n_classes, d, k, rank):
    A, B = random(n_classes, d), random(n_classes, k, seed=1)
    found = align(library, A, B)
    rotation, scale, disparity = oracles.alignment(A, B)
    assert found.rank == rank
    assert_allclose(found.rotation, rotation, atol=1e-12)
    assert_allclose(found.scale, scale, rtol=1e-12)
    assert_allclose(found.disparity, disparity, rtol=1e-12)


@pytest.mark.parametrize("spread", [0.3, 1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_small_disparity_keeps_its_digits(library, spread, scale):
    """1 - (sum of singular values)^2 / … would be 0, or 1e-16, for the last two."""
    stretch = scale * (1 + spread * np.array([0.5, -1.0, 0.2, 0.9, 0.1]))
    A = np.sqrt(6 / 5) * helmert(6).T * stretch @ oracles.random_rotation(9, 5).T
    found = align(library, A, oracles.simplex(6))
    # The singular values are those of the stretch.
    off = stretch - stretch.mean()
    expected = np.sum(off**2) / np.sum(stretch**2)
    assert_allclose(found.disparity, expected, rtol=1e-13 + 1e-14 / spread)


@pytest.mark.parametrize("n_classes", [2, 3, 8, 40])
@pytest.mark.parametrize("wider", [0, 1, 20])
def test_perfect_frame(library, n_classes, wider):
    """All singular values are equal: whatever their order, one rotation is right."""
    d = n_classes - 1 + wider
    basis = oracles.random_rotation(d, n_classes - 1)
    A = 7 * np.sqrt(n_classes / (n_classes - 1)) * helmert(n_classes).T @ basis.T
    found = align(library, A, oracles.simplex(n_classes))
    assert found.rank == n_classes - 1
    assert found.disparity < 1e-29
    assert_allclose(found.scale, 1 / 7, rtol=1e-13)
    assert_allclose(found.rotation, basis @ helmert(n_classes), atol=1e-13)


@pytest.mark.parametrize("width", [1, 3])
def test_nothing_in_common(library, width):
    """Columns of the frame that are orthogonal to those of the means."""
    full = helmert(6).T
    found = align(library, full[:, :2] * [5.0, 1e-3], full[:, 2 : 2 + width])
    assert found.rank == 0
    assert found.scale == pytest.approx(0, abs=1e-15)
    assert_allclose(found.rotation, np.zeros((2, width)), atol=0)
    assert found.disparity == pytest.approx(1)


def test_direction_in_common_is_not_rounding(library):
    """A direction counts by what means and frame hold there, however little."""
    full = helmert(6).T
    A = full[:, :2] * [1.0, 1e-7]
    found = align(library, A, full[:, [1, 2]] * [1e-3, 1.0])
    assert found.rank == 1
    assert_allclose(np.abs(found.rotation), [[0, 0], [1, 0]], atol=1e-6)


def test_misfit_counts_what_is_left_out(library):
    A, B = random(5, 6), random(5, 2, seed=1)
    A, B = A - A.mean(axis=0), B - B.mean(axis=0)
    rotation = oracles.random_rotation(6, 2)
    xp = namespace(library.asarray(A))
    arrays = [library.asarray(a) for a in (A, rotation, B)]
    for scale in (0.0, 0.3, 2.0):
        size = np.mean([b @ b for b in B])
        found = _procrustes.misfit(
            arrays[0], arrays[1], scale, arrays[2], float(size), xp
        )
        assert_allclose(found, oracles.residual(A, B, rotation, scale), rtol=1e-12)
    best = _procrustes.best_scale(*arrays, xp)
    around = [
        oracles.residual(A, B, rotation, s) for s in (best, best - 0.01, best + 0.01)
    ]
    assert min(around[1:]) > around[0] or best == 0


def test_scale_is_never_negative(library):
    A = oracles.simplex(4)
    xp = namespace(library.asarray(A))
    arrays = [library.asarray(a) for a in (-A, np.eye(4), A)]
    assert _procrustes.best_scale(*arrays, xp) == 0


def test_cosines(library):
    A, B = random(5, 6), random(5, 3, seed=1)
    A, B = A - A.mean(axis=0), B - B.mean(axis=0)
    rotation = oracles.random_rotation(6, 3)
    expected = oracles.cosines(A, B, rotation)
    A[2] = 1e-17
    expected[2] = 0
    a, b, r = (library.asarray(v) for v in (A, B, rotation))
    xp = namespace(a)
    vertices = _procrustes.unit_vertices(b, xp)
    full = _procrustes.all_cosines(a, 1e-15, r, vertices, xp)
    own = _procrustes.own_cosines(a, 1e-15, r, vertices, xp)
    assert_allclose(library.to_numpy(full), expected, atol=1e-14)
    assert_allclose(library.to_numpy(own), np.diag(expected), atol=1e-14)
