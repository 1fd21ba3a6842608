"""Gram blocks, cosines and distances of class means."""

import math

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse._linalg import _frames
from sklearn_collapse.utils import _arrays
from sklearn_collapse.utils._arrays import namespace

MANY = 600  # rows: three blocks of 256


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)


@pytest.fixture
def xp(library):
    return namespace(library.asarray(np.zeros(1)))


def simplex(n_classes):
    """Unit rows of a simplex equiangular tight frame."""
    centred = np.eye(n_classes) - 1 / n_classes
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


def random_means(n_classes, d=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n_classes, d))


def gram(a, b):
    return np.array([(x * b).sum(axis=1) for x in a])


def squared_distances(means):
    return np.array([((a - means) ** 2).sum(axis=1) for a in means])


def stack(blocks):
    """Rows of the blocks, each where it says it starts."""
    rows = []
    for start, block in blocks:
        assert start == sum(len(b) for b in rows)
        rows.append(np.asarray(block))
    return np.concatenate(rows), len(rows)


@pytest.mark.parametrize(("n", "n_blocks"), [(3, 1), (256, 1), (257, 2), (MANY, 3)])
def test_gram_blocks(library, xp, n, n_blocks):
    a, b = random_means(n), random_means(n, seed=1)
    blocks = _frames.gram_blocks(library.asarray(a), library.asarray(b), xp)
    found, count = stack(blocks)
    assert_allclose(found, gram(a, b), rtol=1e-12, atol=1e-12)
    assert count == n_blocks


def test_gram_blocks_of_different_numbers(library, xp):
    a, b = random_means(MANY), random_means(5, seed=1)
    blocks = _frames.gram_blocks(library.asarray(a), library.asarray(b), xp)
    found, _ = stack(blocks)
    assert_allclose(found, gram(a, b), rtol=1e-12, atol=1e-12)


def assemble(tiles, n, xp):
    """The symmetric matrix of tiles; each pair must be there once."""
    whole, met = np.full((n, n), np.nan), np.zeros((n, n))
    for tile in tiles:
        values = np.asarray(tile.values)
        whole[tile.rows, tile.columns] = values
        whole[tile.columns, tile.rows] = values.T
        met[tile.rows, tile.columns] += tile.times
        assert tile.times == (2 if tile.columns.start > tile.rows.start else 1)
    assert met.sum() == n * n
    return whole


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(_frames, "_TILE", 7)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("n", [3, 7, 8, 30])
def test_gram_tiles(library, xp, n):
    a = random_means(n)
    found = assemble(_frames.gram_tiles(library.asarray(a), xp), n, xp)
    assert_allclose(found, gram(a, a), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("start", [0, 3, 256])
def test_diagonal_mask(library, xp, start):
    block = library.asarray(np.zeros((4, 10)))
    mask = np.asarray(_frames.diagonal_mask(start, block, xp))
    expected = [[start + i == j for j in range(10)] for i in range(4)]
    assert_array_equal(mask, expected)


def test_unit_means(library, xp):
    means = random_means(6)
    means[2] = 0
    means[4] *= 1e-12
    means[5] *= 1e-200
    found = np.asarray(_frames.unit_means(library.asarray(means), 1e-9, xp))
    expected = np.array([m / math.sqrt(m @ m) for m in means[[0, 1, 3]]])
    assert_allclose(found[[0, 1, 3]], expected, rtol=1e-14)
    assert_array_equal(found[[2, 4, 5]], 0)
    kept = np.asarray(_frames.unit_means(library.asarray(means), 0, xp))
    assert_allclose(np.linalg.norm(kept[4]), 1, rtol=1e-14)
    assert_array_equal(kept[2], 0)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("n", [2, 7, 30])
@pytest.mark.parametrize("reference", [0.0, -0.5])
def test_cosine_spread(library, xp, n, reference):
    means = random_means(n)
    units = means / np.linalg.norm(means, axis=1, keepdims=True)
    pairs = oracles.off_diagonal(units @ units.T)
    found = _frames.cosine_spread(library.asarray(units), reference, xp)
    assert found[0] == pytest.approx(np.abs(pairs - reference).mean(), rel=1e-12)
    assert found[1] == pytest.approx(pairs.std(), rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("n", [2, 10, 300])
def test_spread_of_a_simplex_is_zero_to_rounding(library, xp, n):
    # Not to its root, which is what mean(cos^2) - mean(cos)^2 would give.
    units = library.asarray(simplex(n))
    deviation, spread = _frames.cosine_spread(units, -1 / (n - 1), xp)
    assert deviation < 1e-14
    assert spread < 1e-14


@pytest.mark.parametrize("n", [2, 7, 300])
def test_simplex_distance(library, xp, n):
    a, b = random_means(n), random_means(n, seed=1)
    product = a @ b.T
    expected = np.linalg.norm(
        product / np.linalg.norm(product) - oracles.simplex_gram(n)
    )
    found = _frames.simplex_distance(library.asarray(a), library.asarray(b), xp)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-60, 1, 1e60])
@pytest.mark.parametrize("n", [2, 10, 300])
def test_simplex_distance_of_a_simplex(library, xp, n, scale):
    a = library.asarray(scale * simplex(n))
    assert _frames.simplex_distance(a, a, xp) < 1e-13
    # Two unit matrices that are opposite.
    found = _frames.simplex_distance(a, -a, xp)
    assert found == pytest.approx(2, rel=1e-12)


def test_simplex_distance_of_zero_means(library, xp):
    zero = library.asarray(np.zeros((4, 3)))
    assert math.isnan(_frames.simplex_distance(zero, zero, xp))


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("offset", [0, 100])
@pytest.mark.parametrize("n", [2, 9, 300])
def test_pair_distances(library, xp, n, offset):
    # Pairs that the product gives with four digits are left to it.
    means = random_means(n) + offset
    found = assemble(_frames.distance_tiles(library.asarray(means), xp), len(means), xp)
    expected = squared_distances(means)
    off = ~np.eye(n, dtype=bool)
    assert_allclose(found[off], expected[off], rtol=1e-4)
    assert np.all(np.diag(found) <= 1e-12 * (1 + offset**2))


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("n", [5, 300])
def test_distances_of_means_that_nearly_coincide(library, xp, n):
    # ||a||^2 - 2 a.b + ||b||^2 has no digits left: the norms are 1e16 times larger.
    means = random_means(n) + 1e3
    step = np.array([1e-7, 0, -2e-7, 0])
    means[1], means[-1] = means[0] + step, means[0] - 3 * step
    found = assemble(_frames.distance_tiles(library.asarray(means), xp), len(means), xp)
    expected = squared_distances(means)
    off = ~np.eye(n, dtype=bool)
    assert_allclose(found[off], expected[off], rtol=1e-4)
    assert_allclose(found[0, [1, -1]], expected[0, [1, -1]], rtol=1e-12)
    assert 0 < found[0, 1] < 1e-12


def test_distances_of_equal_and_of_zero_means(library, xp):
    means = random_means(5)
    means[3] = means[1]
    found = assemble(_frames.distance_tiles(library.asarray(means), xp), len(means), xp)
    assert found[1, 3] == found[3, 1] == 0
    zero = library.asarray(np.zeros((4, 3)))
    zero = assemble(_frames.distance_tiles(zero, xp), 4, xp)
    assert_array_equal(zero, np.zeros((4, 4)))
