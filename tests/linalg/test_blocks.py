"""Tests of block-diagonal maps."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse._linalg._blocks import BlockMap, diagonal_blocks
from sklearn_collapse._linalg._maps import affine_rows
from sklearn_collapse.utils._arrays import Rows, namespace

CUTS = [(1, 1), (6, 1), (6, 2), (6, 6), (7, 2), (7, 3), (11, 4), (11, 10)]

cuts = pytest.mark.parametrize(("d", "n_groups"), CUTS)


def cut(matrix, n_groups):
    """The same matrix with zeros outside the groups, and its blocks."""
    kept, blocks = np.zeros_like(matrix), []
    for group in np.array_split(np.arange(len(matrix)), n_groups):
        here = np.ix_(group, group)
        kept[here] = matrix[here]
        blocks.append(matrix[here])
    return kept, blocks


def make_map(library, d, n_groups):
    matrix = np.random.default_rng(d).normal(size=(d, d))
    array = library.asarray(matrix)
    stacks = diagonal_blocks(array, n_groups, namespace(array))
    return BlockMap(stacks), *cut(matrix, n_groups)


@cuts
def test_blocks(library, d, n_groups):
    """Consecutive groups as of array_split, in at most two stacks."""
    linear, matrix, blocks = make_map(library, d, n_groups)
    assert len(linear.stacks) <= 2
    found = [block for stack in linear.stacks for block in library.to_numpy(stack)]
    assert len(found) == n_groups
    for block, expected in zip(found, blocks, strict=True):
        assert_array_equal(block, expected)
    assert linear.height == linear.width == d
    assert linear.size == sum(len(block) ** 2 for block in blocks)
    dense = linear.dense(namespace(*linear.stacks))
    assert_array_equal(library.to_numpy(dense), matrix)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@cuts
def test_rows(library, monkeypatch, d, n_groups, dtype):
    monkeypatch.setattr("sklearn_collapse.utils._arrays._BLOCK_BYTES", 1)
    linear, matrix, _ = make_map(library, d, n_groups)
    X = np.random.default_rng(1).normal(size=(700, d)).astype(dtype)
    centre = np.linspace(-1, 1, d)
    expected = (X - centre) @ matrix
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    for wide in (False, True):
        found = affine_rows(
            Rows(library.asarray(X)),
            linear,
            centre=library.asarray(centre),
            offset=library.asarray(centre),
            wide=wide,
        )
        assert library.owns(found)
        found = library.to_numpy(found)
        assert found.dtype == dtype
        assert_allclose(found, expected + centre, atol=tolerance)


@cuts
def test_inverse(library, d, n_groups):
    linear, matrix, _ = make_map(library, d, n_groups)
    xp = namespace(*linear.stacks)
    back = library.to_numpy(linear.inverse(xp).dense(xp))
    assert_allclose(back @ matrix, np.eye(d), atol=1e-10)


def test_inverse_of_a_block_of_zeros(library):
    matrix = np.diag([2.0, 4.0, 0.0, 0.0, 1.0])
    matrix[0, 1] = 1.0
    array = library.asarray(matrix)
    xp = namespace(array)
    back = BlockMap(diagonal_blocks(array, 3, xp)).inverse(xp).dense(xp)
    expected = np.linalg.pinv(matrix)
    assert_allclose(library.to_numpy(back), expected, atol=1e-15)
