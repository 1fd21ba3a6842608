"""Tests of the random split that treats frequencies as copies."""

from collections import Counter

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_collapse.ood._split import content_ranks, split_rows


def split(X, codes, share=0.3, weights=None, seed=0):
    state = np.random.RandomState(seed)
    return split_rows(X, np.asarray(codes), weights, share, state)


def contents(X, codes, part):
    """How often each labelled row is in a part."""
    weights = np.ones(len(part.rows)) if part.weights is None else part.weights
    found = Counter()
    for row, weight in zip(part.rows, weights, strict=True):
        found[tuple(X[row]), int(codes[row])] += weight
    return found


@pytest.fixture
def data(rng):
    """Rows of which some are equal, of classes of all sizes."""
    codes = np.repeat([0, 1, 2, 3], [40, 13, 2, 1])
    X = np.column_stack([rng.integers(0, 3, 56), rng.integers(0, 4, 56)]).astype(float)
    return X, codes


# -- order of rows -----------------------------------------------------------------


def test_content_ranks(library, data):
    X, _ = data
    rows = [tuple(row) for row in X.tolist()]
    expected = [sum(other < row for other in rows) for row in rows]
    assert_array_equal(content_ranks(library.asarray(X)), expected)


def test_content_ranks_of_distinct_and_equal_rows(rng):
    X = rng.normal(size=(50, 4))
    assert_array_equal(np.sort(content_ranks(X)), np.arange(50))
    assert_array_equal(content_ranks(X), np.argsort(np.argsort(X[:, 0])))
    assert_array_equal(content_ranks(np.ones((7, 3))), 0)
    assert_array_equal(content_ranks(np.array([[-0.0, 1.0], [0.0, 0.0]])), [1, 0])
    late = np.zeros((3, 5))
    late[:, -1] = [2, 0, 1]
    assert_array_equal(content_ranks(late), [2, 0, 1])


# -- what is drawn -----------------------------------------------------------------


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
def test_parts(data, share):
    X, codes = data
    for seed in range(30):
        drawn, left = split(X, codes, share, seed=seed)
        assert drawn.weights is left.weights is None
        assert_array_equal(np.sort(np.r_[drawn.rows, left.rows]), np.arange(len(X)))
        assert len(drawn.rows) == int(share * 56)


def test_all_sets_of_rows_are_drawn_as_often():
    """Whatever their classes, the one with a single row included."""
    codes, trials = np.array([0, 0, 0, 1, 1, 2]), 3000
    X = np.arange(6.0)[:, None]
    found = Counter(
        tuple(split(X, codes, 1 / 3, seed=seed)[0].rows.tolist())
        for seed in range(trials)
    )
    assert len(found) == 15
    error = np.sqrt(trials / 15 * 14 / 15)
    assert max(abs(hits - trials / 15) for hits in found.values()) < 4.5 * error


def test_seeds():
    X, codes = np.arange(60.0)[:, None], np.arange(60) % 3
    first, again, other = (split(X, codes, seed=s)[0].rows for s in (0, 0, 1))
    assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("n", "share", "expected"),
    [
        (3, 0.01, 1),
        (3, 0.99, 1),
        (100, 0.29, 29),  # 28.999999999999996 in floats
        (100, 0.995, 98),
        (9, 0.2, 1),
        (9, 0.95, 7),
    ],
)
def test_how_many(n, share, expected):
    for codes in (np.zeros(n, int), np.arange(n)):
        drawn, left = split(np.arange(float(n))[:, None], codes, share)
        assert len(drawn.rows) == expected
        assert len(left.rows) == n - expected


# -- what the split does not depend on ---------------------------------------------


def test_order_of_rows(data, rng):
    X, codes = data
    order = rng.permutation(len(X))
    for seed in range(10):
        parts = split(X, codes, seed=seed)
        moved = split(X[order], codes[order], seed=seed)
        for a, b in zip(parts, moved, strict=True):
            assert contents(X, codes, a) == contents(X[order], codes[order], b)


def test_weights_are_copies(data, rng):
    X, codes = data
    weights = rng.integers(1, 5, len(X)).astype(float)
    index = rng.permutation(np.repeat(np.arange(len(X)), weights.astype(int)))
    for seed in range(10):
        weighted = split(X, codes, weights=weights, seed=seed)
        repeated = split(X[index], codes[index], seed=seed)
        for a, b in zip(weighted, repeated, strict=True):
            assert contents(X, codes, a) == contents(X[index], codes[index], b)
        total = contents(X, codes, weighted[0]) + contents(X, codes, weighted[1])
        assert sum(total.values()) == weights.sum()


def test_ones_are_no_weights(data):
    X, codes = data
    plain, ones = split(X, codes), split(X, codes, weights=np.ones(len(X)))
    for a, b in zip(plain, ones, strict=True):
        assert_array_equal(a.rows, b.rows)
        assert_array_equal(b.weights, 1)


@pytest.mark.parametrize("scale", [0.25, 1e9])
def test_weights_that_are_no_counts(data, rng, scale):
    """Rows are drawn as a whole, each with its weight."""
    X, codes = data
    weights = scale * rng.integers(1, 6, len(X))
    drawn, left = split(X, codes, weights=weights)
    assert_array_equal(np.sort(np.r_[drawn.rows, left.rows]), np.arange(len(X)))
    for part in (drawn, left):
        assert_array_equal(part.weights, weights[part.rows])


def test_unit_of_the_features(library, data):
    X, codes = data
    expected = split(X, codes)
    for rows in (1e6 * X, X - 3, X.astype(np.float32)):
        for a, b in zip(split(library.asarray(rows), codes), expected, strict=True):
            assert_array_equal(a.rows, b.rows)
