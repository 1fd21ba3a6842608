"""Tests of generated features: the sample itself has what was asked for."""

import math
import tracemalloc

import numpy as np
import oracles
import oracles_collapse
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse.datasets import make_collapsed_features

EPS = np.finfo(float).eps


def class_means(X, y):
    return np.array([X[y == c].mean(axis=0) for c in np.unique(y)])


def scatter_values(X, y):
    """Singular values of the rows about their class means, relative."""
    centred = X - class_means(X, y)[y]
    values = np.linalg.svd(centred, compute_uv=False)
    return values / values[0]


def test_shapes_and_defaults():
    X, y = make_collapsed_features(random_state=0)
    assert X.shape == (1000, 32)
    assert X.dtype == np.float64
    assert y.shape == (1000,)
    assert y.dtype == np.int64
    assert_array_equal(np.bincount(y), np.full(10, 100))
    assert oracles.nc1_pinv(X, y) == pytest.approx(0.1, rel=1e-12)
    assert scatter_values(X, y)[-1] > 0.1  # of full rank


@pytest.mark.parametrize("nc1", [1e-12, 1e-6, 1e-3, 1.0, 100.0])
@pytest.mark.parametrize("imbalance", [1, 2.5, 13])
def test_nc1_in_exact_arithmetic(nc1, imbalance):
    X, y = make_collapsed_features(
        30, 3, 4, nc1=nc1, imbalance=imbalance, random_state=0
    )
    found = oracles_collapse.exact_nc1_pinv(X, y)
    assert found == pytest.approx(nc1, rel=50 * EPS / min(1, math.sqrt(nc1)))


@pytest.mark.parametrize(("n_classes", "n_features"), [(2, 1), (2, 9), (5, 4), (7, 20)])
@pytest.mark.parametrize("imbalance", [1.0, 10.0])
def test_simplex_means(n_classes, n_features, imbalance):
    X, y = make_collapsed_features(
        150, n_classes, n_features, imbalance=imbalance, random_state=1
    )
    means = class_means(X, y)
    expected = (n_classes * np.eye(n_classes) - 1) / (n_classes - 1)
    assert_allclose(means @ means.T, expected, atol=100 * EPS)


def test_frame_is_turned_by_the_seed():
    means = [
        class_means(*make_collapsed_features(60, 3, 5, random_state=seed))
        for seed in (0, 0, 1)
    ]
    assert_array_equal(means[0], means[1])
    assert np.abs(means[0] - means[2]).max() > 0.1


def test_own_means(rng):
    frame = rng.normal(size=(4, 6)) + 3
    X, y = make_collapsed_features(
        90, 4, 6, nc1=0.3, frame=frame.tolist(), imbalance=4, random_state=0
    )
    assert_allclose(class_means(X, y), frame, atol=1e-13)
    assert oracles.nc1_pinv(X, y) == pytest.approx(0.3, rel=1e-12)


@pytest.mark.parametrize("imbalance", [1, 3, 7])
def test_equal_means(rng, imbalance):
    """What rounding leaves of their differences is not a direction."""
    frame = np.tile(rng.normal(size=6), (4, 1))
    with pytest.raises(ValueError, match="rows of frame are equal"):
        make_collapsed_features(90, 4, 6, frame=frame, imbalance=imbalance)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_means_of_low_rank(rng, rank):
    """The span of the centred means decides, not the number of classes."""
    frame = rng.normal(size=(6, rank)) @ rng.normal(size=(rank, 8)) + 5
    X, y = make_collapsed_features(80, 6, 8, nc1=0.2, frame=frame, random_state=0)
    assert oracles.nc1_pinv(X, y) == pytest.approx(0.2, rel=1e-10)


@pytest.mark.parametrize("rank", [1, 2, 3, 4, 5, 8, 12])
def test_rank(rank):
    X, y = make_collapsed_features(60, 5, 12, nc1=1e-2, rank=rank, random_state=0)
    values = scatter_values(X, y)
    assert np.sum(values > 1e-10) == rank
    assert values[rank - 1] > 0.1
    assert oracles.nc1_pinv(X, y) == pytest.approx(1e-2, rel=1e-12)


@pytest.mark.parametrize("rank", [1, 2, 4, 5, 7])
def test_noise_lies_in_the_span_of_the_means_first(rank):
    """C - 1 = 4 directions of it, whatever the number of features."""
    X, y = make_collapsed_features(100, 5, 30, rank=rank, random_state=0)
    means = class_means(X, y)
    basis = np.linalg.svd(means)[2][:4]
    centred = X - means[y]
    inside = np.linalg.svd(centred @ basis.T, compute_uv=False)
    assert np.sum(inside > 1e-10) == min(rank, 4)
    outside = centred - centred @ basis.T @ basis
    values = np.linalg.svd(outside, compute_uv=False)
    assert np.sum(values > 1e-10) == max(rank - 4, 0)


def test_memory():
    """The result and the noise, but no further array of their size."""
    tracemalloc.start()
    try:
        X, _ = make_collapsed_features(40_000, 20, 128, random_state=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.7 * X.nbytes


def test_noise_is_alike_in_all_directions():
    X, y = make_collapsed_features(20000, 4, 9, random_state=0)
    centred = X - class_means(X, y)[y]
    covariance = centred.T @ centred / len(X)
    level = np.trace(covariance) / 9
    # Deviations are of the order of n^(-1/2).
    assert_allclose(covariance, level * np.eye(9), atol=0.05 * level)


@pytest.mark.parametrize(("n", "d", "rank"), [(12, 30, 8), (40, 5, 5), (5, 30, 1)])
def test_largest_rank(n, d, rank):
    X, y = make_collapsed_features(n, 4, d, random_state=0)
    assert np.sum(scatter_values(X, y) > 1e-10) == rank


@pytest.mark.parametrize("rank", [None, 0])
def test_complete_collapse(rank):
    X, y = make_collapsed_features(50, 4, 6, nc1=0, rank=rank, random_state=0)
    assert len(np.unique(X, axis=0)) == 4
    for c in range(4):
        assert len(np.unique(X[y == c], axis=0)) == 1


def test_one_row_per_class_collapses():
    X, y = make_collapsed_features(4, 4, 6, nc1=0, random_state=0)
    assert_array_equal(np.sort(y), np.arange(4))
    assert_allclose(np.linalg.norm(X, axis=1), 1)


@pytest.mark.parametrize("nc1", [1e-12, 0.5])
def test_classes_with_one_row(nc1):
    """They are where their mean is, and the others make up for them."""
    X, y = make_collapsed_features(13, 3, 4, nc1=nc1, imbalance=9, random_state=0)
    assert_array_equal(np.bincount(y), [9, 3, 1])
    assert_allclose(np.linalg.norm(X[y == 2]), 1, rtol=4 * EPS)
    found = oracles_collapse.exact_nc1_pinv(X, y)
    assert found == pytest.approx(nc1, rel=50 * EPS / math.sqrt(nc1))


# -- class sizes -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "n_classes", "imbalance", "sizes"),
    [
        (10, 2, 1, [5, 5]),
        (10, 3, 1, [4, 3, 3]),
        (10, 2, 9, [9, 1]),
        (111, 3, 100, [100, 10, 1]),
        (1110, 3, 100.0, [1000, 100, 10]),
        (15, 4, 8, [8, 4, 2, 1]),
        (7, 3, 4, [4, 2, 1]),
        (3, 3, 1, [1, 1, 1]),
    ],
)
def test_sizes(n, n_classes, imbalance, sizes):
    nc1 = 0 if n == n_classes else 0.1
    _, y = make_collapsed_features(
        n, n_classes, 5, nc1=nc1, imbalance=imbalance, random_state=0
    )
    assert_array_equal(np.bincount(y), sizes)


def test_rows_are_shuffled():
    _, y = make_collapsed_features(100, 4, 5, random_state=0)
    assert np.sum(np.diff(y) != 0) > 50


def test_seed():
    first, second, other = (
        make_collapsed_features(random_state=seed) for seed in (0, 0, 1)
    )
    assert_array_equal(first[0], second[0])
    assert_array_equal(first[1], second[1])
    assert not np.array_equal(first[1], other[1])
    generator = np.random.RandomState(0)
    first, second = (make_collapsed_features(random_state=generator) for _ in range(2))
    assert not np.array_equal(first[1], second[1])


# -- errors ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_classes": 1}, "n_classes must be an integer, at least 2, got 1"),
        ({"n_samples": 10.5}, "n_samples must be an integer, at least 1, got 10.5"),
        ({"n_features": 0}, "n_features must be an integer, at least 1, got 0"),
        ({"nc1": -0.1}, "nc1 must be a finite number, at least 0, got -0.1"),
        ({"nc1": math.nan}, "nc1 must be .* got nan"),
        ({"nc1": math.inf}, "nc1 must be .* got inf"),
        ({"nc1": "0.1"}, "nc1 must be .* got '0.1'"),
        ({"imbalance": 0.5}, "imbalance must be .* at least 1.* got 0.5"),
        ({"imbalance": math.nan}, "imbalance must be .* got nan"),
        ({"imbalance": math.inf}, "imbalance must be .* got inf"),
        ({"imbalance": None}, "imbalance must be .* got None"),
        ({"frame": "etf"}, "frame must be 'simplex' or an array, got 'etf'"),
        (
            {"frame": np.ones((3, 2))},
            r"frame must be .* = \(4, 6\), got shape \(3, 2\)",
        ),
        ({"frame": np.full((4, 6), np.nan)}, "frame must be 'simplex' or finite"),
        ({"frame": np.full((4, 6), 0.1)}, "rows of frame are equal"),
        ({"n_features": 2}, "n_classes=4 rows needs n_features >= 3, got 2"),
        ({"rank": -1}, "rank must be None or an integer >= 0, got -1"),
        ({"rank": 1.0}, "rank must be None or an integer >= 0, got 1.0"),
        ({"rank": 0}, "rank must lie between 1 and 6.* got 0"),
        ({"rank": 7}, r"between 1 and 6, .*n_features \(6\).* \(36\), got 7"),
        ({"rank": 3, "n_samples": 6}, r"between 1 and 2, .* \(2\), got 3"),
        ({"rank": 2, "nc1": 0}, "rank must be None or 0, got 2"),
        ({"n_samples": 4}, "nc1=0.1 needs a class with two rows"),
        ({"n_samples": 3}, r"0.75 of n_samples=3 rows .* n_samples >= 4\."),
        ({"imbalance": 100}, r"imbalance=100 leaves .* of 4 classes"),
    ],
)
def test_errors(options, message):
    options = {"n_samples": 40, "n_classes": 4, "n_features": 6, **options}
    with pytest.raises(ValueError, match=message):
        make_collapsed_features(**options)


@pytest.mark.parametrize("imbalance", [3, 10, 100, 1000])
def test_number_of_rows_that_the_error_names(imbalance):
    with pytest.raises(ValueError, match="n_samples >=") as caught:
        make_collapsed_features(4, 4, 6, imbalance=imbalance)
    least = int(str(caught.value).split(">= ")[1].rstrip("."))
    _, y = make_collapsed_features(least, 4, 6, imbalance=imbalance)
    assert np.bincount(y)[-1] == 1
    with pytest.raises(ValueError, match="n_samples >="):
        make_collapsed_features(least - 1, 4, 6, imbalance=imbalance)


def test_options_are_keyword_only():
    with pytest.raises(TypeError, match="positional"):
        make_collapsed_features(100, 3, 5, 0.1)
