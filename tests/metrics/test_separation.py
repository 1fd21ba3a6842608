"""Tests of LiDAR, class separation, tolerance and coding rate reduction."""

import math
import tracemalloc

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose

from sklearn_collapse import ClassMoments
from sklearn_collapse.metrics import (
    CollapseWarning,
    _coding_rate,
    class_separation,
    coding_rate_reduction,
    lidar,
    tolerance,
)

WEIGHTINGS = [None, "balanced"]


def make_rows(counts, d=5, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    means = 2 * rng.normal(size=(len(counts), d)) + 0.5
    return means[y] + spread * rng.normal(size=(len(y), d)), y


def simplex_rows(n_classes, d, sigma=0.1):
    """A simplex with exactly isotropic noise: each class has rows mean ± sigma e_j."""
    simplex = np.eye(n_classes, d) - np.eye(n_classes, d).mean(axis=0)
    steps = sigma * np.vstack([np.eye(d), -np.eye(d)])
    X = np.vstack([mean + steps for mean in simplex])
    return X, np.repeat(np.arange(n_classes), 2 * d)


# -- LiDAR ----------------------------------------------------------------------------


@pytest.mark.parametrize(("n_classes", "d"), [(2, 2), (4, 4), (10, 12)])
def test_lidar_of_a_simplex_with_isotropic_noise(library, n_classes, d):
    X, y = simplex_rows(n_classes, d)
    for delta in (0.0, 1e-4, 10.0):
        found = lidar(library.asarray(X), y, delta=delta)
        assert found == pytest.approx(n_classes - 1, rel=1e-10)


@pytest.mark.parametrize("class_weight", WEIGHTINGS)
@pytest.mark.parametrize("delta", [1e-4, 0.3])
def test_lidar_with_a_ridge(library, delta, class_weight):
    X, y = make_rows([20, 12, 7, 9])
    options = {"class_weight": class_weight, "delta": delta}
    truth = oracles.lidar(X, y, **options)
    assert lidar(library.asarray(X), y, **options) == pytest.approx(truth, rel=1e-10)
    # A ridge matters, and at another scale it is another one.
    assert abs(lidar(X, y, **options) - lidar(0.01 * X, y, **options)) > 1e-6
    assert_allclose(
        lidar(0.01 * X, y, **options | {"delta": 1e-4 * delta}), truth, rtol=1e-10
    )


def test_lidar_is_at_most_the_number_of_directions():
    for counts, d in (([6] * 12, 3), ([30, 4, 5], 8)):
        X, y = make_rows(counts, d)
        assert 1 <= lidar(X, y) <= min(len(counts) - 1, d) + 1e-12


def test_lidar_of_means_that_coincide():
    X, y = np.vstack([np.eye(3), np.eye(3)]), np.repeat([0, 1], 3)
    assert math.isnan(lidar(X, y))


@pytest.mark.parametrize("delta", [-1e-9, math.nan])
def test_lidar_refuses_negative_ridges(delta):
    with pytest.raises(ValueError, match="delta must be 0 or positive"):
        lidar(*make_rows([5, 5]), delta=delta)


def test_groups_of_augmentations():
    """Groups may be the numbers of samples, many of few rows each."""
    X, y = make_rows([4] * 40, d=6)
    assert lidar(X, y) == pytest.approx(oracles.lidar(X, y), rel=1e-9)


# -- cosines --------------------------------------------------------------------------


@pytest.mark.parametrize("class_weight", WEIGHTINGS)
def test_single_rows_count_in_the_total_only(class_weight):
    X, y = make_rows([9, 1, 7, 1])
    for function, oracle in (
        (class_separation, oracles.class_separation),
        (tolerance, oracles.tolerance),
    ):
        with pytest.warns(CollapseWarning, match=r"left out \(2 of 4"):
            found = function(X, y, class_weight=class_weight)
        assert found == pytest.approx(oracle(X, y, class_weight), rel=1e-12)


@pytest.mark.parametrize("class_weight", WEIGHTINGS)
def test_rows_of_zeros_have_cosine_zero(library, class_weight):
    X, y = make_rows([9, 4, 7])
    X[[0, 3, 11]] = 0
    for function, oracle in (
        (class_separation, oracles.class_separation),
        (tolerance, oracles.tolerance),
    ):
        with pytest.warns(CollapseWarning, match="3 rows are zero"):
            found = function(library.asarray(X), y, class_weight=class_weight)
        assert found == pytest.approx(oracle(X, y, class_weight), rel=1e-12)


def test_nearly_collapsed_directions_keep_their_digits():
    """1 - cosine of 1e-16 and less: no cosine is ever formed."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 10)
    means = np.eye(3, 6)
    X = means[y] + 1e-9 * rng.normal(size=(30, 6))
    assert 1 - tolerance(X, y) < 1e-15
    within = 1 - class_separation(X, y)
    assert within < 1e-15
    assert class_separation(means[y], y) == 1


def test_all_rows_the_same_way():
    X, y = np.outer(np.arange(1.0, 7.0), [1.0, 2.0]), np.arange(6) % 2
    assert tolerance(X, y) == pytest.approx(1)
    assert math.isnan(class_separation(np.ones((6, 2)), y))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("d", [1, 7, 512])
def test_rows_the_same_way_to_rounding(library, dtype, d):
    """Their distances are rounding: no quotient of them means anything."""
    rng = np.random.default_rng(0)
    X = np.outer(rng.uniform(1, 3, size=60), 1 + rng.uniform(size=d))
    y = np.arange(60) % 4
    rows = library.asarray(X.astype(dtype))
    assert math.isnan(class_separation(rows, y))
    # Classes a little further apart than that are seen.
    apart = 1e3 * np.finfo(dtype).eps * rng.normal(size=(4, d))
    X = np.outer(rng.uniform(1, 3, size=60), np.ones(d)) * (1 + apart[y])
    found = class_separation(library.asarray(X.astype(dtype)), y)
    assert math.isnan(found) if d == 1 else 0.999 < found <= 1


def test_random_labels_separate_nothing():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(2000, 20)), rng.integers(0, 5, size=2000)
    assert abs(class_separation(X, y)) < 2e-3
    assert abs(tolerance(X, y)) < 2e-3


# -- coding rate ----------------------------------------------------------------------


@pytest.fixture(params=[2**23, 60, 1])
def group(request, monkeypatch):
    """Groups of all classes, of some, of one."""
    monkeypatch.setattr(_coding_rate, "_GROUP", request.param)


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("class_weight", WEIGHTINGS)
@pytest.mark.parametrize("epsilon", [0.5, 0.05])
def test_coding_rate_of_few_and_of_many_rows(library, class_weight, epsilon):
    """Classes of fewer rows than features, as many, and more."""
    X, y = make_rows([3, 20, 5, 1, 6, 2], d=5)
    options = {"class_weight": class_weight, "epsilon": epsilon}
    truth = oracles.coding_rate_reduction(X, y, **options)
    found = coding_rate_reduction(library.asarray(X), y, **options)
    assert found == pytest.approx(truth, rel=1e-11)


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("class_weight", WEIGHTINGS)
def test_coding_rate_of_moments(library, class_weight):
    X, y = make_rows([3, 20, 5, 1, 6, 2], d=5)
    rows = library.asarray(X)
    moments = ClassMoments.from_arrays(rows, y, normalize=True, class_scatter=True)
    found = _coding_rate.rate_reduction_of_moments(moments, class_weight)
    truth = oracles.coding_rate_reduction(X, y, class_weight)
    assert found == pytest.approx(truth, rel=1e-11)


def test_coding_rate_of_orthogonal_classes():
    """C classes of one direction each: 1/2 sum log(1 + d / (C eps^2)) - ..."""
    d, epsilon = 6, 0.5
    X, y = np.tile(np.eye(d), (4, 1)), np.tile(np.arange(d), 4)
    truth = d / 2 * math.log(1 + 1 / epsilon**2)
    truth -= math.log(1 + d / epsilon**2) / 2
    assert coding_rate_reduction(X, y) == pytest.approx(truth, rel=1e-12)


def test_coding_rate_is_not_negative_and_positive_for_random_labels():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 10)), np.arange(60) % 3
    assert coding_rate_reduction(X, y) > 0.3
    one_way = np.ones((6, 3))
    assert coding_rate_reduction(one_way, y[:6]) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("epsilon", [0, -1.0, math.nan])
def test_coding_rate_refuses_precisions(epsilon):
    with pytest.raises(ValueError, match="epsilon must be positive"):
        coding_rate_reduction(*make_rows([5, 5]), epsilon=epsilon)


def test_coding_rate_names_bad_rows():
    X, y = make_rows([5, 5])
    X[3, 1] = math.nan
    with pytest.raises(ValueError, match="row 3"):
        coding_rate_reduction(X, y)
    with pytest.raises(ValueError, match="at least two classes"):
        coding_rate_reduction(X[:3], [1, 1, 1])


def test_coding_rate_of_many_classes_in_little_memory():
    """Never a matrix per class: 2,000 of 256 x 256 would be a gigabyte."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(4000, 256)), np.repeat(np.arange(2000), 2)
    tracemalloc.start()
    coding_rate_reduction(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6


def test_coding_rate_of_large_classes_in_little_memory():
    """Classes of more rows than features are not copied at once."""
    X = np.random.default_rng(0).normal(size=(600_000, 64)).astype(np.float32)
    tracemalloc.start()
    try:
        coding_rate_reduction(X, np.arange(600_000) % 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes
