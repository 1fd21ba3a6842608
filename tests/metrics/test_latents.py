"""Tests of the measures of latent variables, against loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse.metrics import (
    CodebookUsage,
    active_units,
    codebook_usage,
    least_volume,
    posterior_collapse,
)

SEEDS = st.integers(0, 2**32 - 1)


def make_posterior(seed=0, n=60, d=8):
    """Units from used to collapsed."""
    rng = np.random.default_rng(seed)
    use = np.geomspace(1, 1e-4, d)
    means = rng.normal(size=(n, d)) * use + 0.2 * use
    variances = 1 - 0.9 * use * rng.uniform(size=(n, d))
    return means, variances


def slow_deviations(X, ddof=0, weights=None):
    w = np.ones(len(X)) if weights is None else weights
    deviations = []
    for x in X.T:
        mean = math.fsum(w[i] * x[i] for i in range(len(x))) / sum(w)
        square = math.fsum(w[i] * (x[i] - mean) ** 2 for i in range(len(x)))
        deviations.append(math.sqrt(square / (sum(w) - ddof)))
    return np.array(deviations)


def slow_collapse(means, variances, epsilon, delta, weights=None):
    weights = np.ones(len(means)) if weights is None else weights
    mask = []
    for j in range(means.shape[1]):
        inside = 0.0
        for i in range(len(means)):
            variance = variances[i, j]
            divergence = (means[i, j] ** 2 + variance - 1 - math.log(variance)) / 2
            inside += weights[i] * (divergence < epsilon)
        mask.append(inside / sum(weights) >= 1 - delta - 1e-12)
    return np.array(mask)


@pytest.mark.parametrize("threshold", [0.01, 1e-5, 0.5])
@pytest.mark.parametrize("weighted", [False, True])
def test_active_units(library, rng, threshold, weighted):
    means, _ = make_posterior()
    weights = rng.integers(0, 4, size=len(means)) if weighted else None
    truth = slow_deviations(means, weights=weights) ** 2 > threshold
    assert 0 < truth.sum() < len(truth)
    count, mask = active_units(
        library.asarray(means),
        threshold=threshold,
        sample_weight=weights,
        return_mask=True,
    )
    assert isinstance(count, int)
    assert count == truth.sum()
    assert library.owns(mask)
    assert_array_equal(library.to_numpy(mask), truth)
    alone = active_units(
        library.asarray(means), threshold=threshold, sample_weight=weights
    )
    assert alone == count


def test_active_units_have_a_variance_of_a_hundredth():
    """The published threshold."""
    means = np.outer([1.0, -1.0], np.sqrt([0.0099, 0.0101]))
    assert active_units(means, return_mask=True)[1].tolist() == [False, True]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_constant_units_are_exactly_constant(dtype):
    X = np.full((1001, 3), 0.1, dtype=dtype)
    X[:, 1] = 1e4
    assert active_units(X, threshold=0) == 0
    assert least_volume(X, eta=0) == 0
    assert least_volume(X) == pytest.approx(0.01, rel=1e-14)


def test_small_variance_about_a_large_mean(rng):
    noise = 1e-3 * rng.normal(size=(5000, 2))
    X = 1e6 + noise
    truth = slow_deviations(X)
    assert_allclose(least_volume(X[:, :1], eta=0, ddof=0), truth[0], rtol=1e-9)


@pytest.mark.parametrize("logs", [False, True])
@pytest.mark.parametrize(("epsilon", "delta"), [(0.01, 0.01), (0.1, 0.2), (1e-3, 0.0)])
@pytest.mark.parametrize("weighted", [False, True])
def test_posterior_collapse(library, rng, logs, epsilon, delta, weighted):
    means, variances = make_posterior(1)
    weights = rng.integers(0, 4, size=len(means)) if weighted else None
    truth = slow_collapse(means, variances, epsilon, delta, weights)
    assert 0 < truth.sum() < len(truth)
    name = "log_variances" if logs else "variances"
    spread = {name: library.asarray(np.log(variances) if logs else variances)}
    options = {"epsilon": epsilon, "delta": delta, "sample_weight": weights}
    means = library.asarray(means)
    share, mask = posterior_collapse(means, **spread, **options, return_mask=True)
    assert_array_equal(library.to_numpy(mask), truth)
    assert share == truth.mean()
    assert posterior_collapse(means, **spread, **options) == share


def test_shares_of_exactly_delta():
    """One in ten samples may differ, and one does."""
    for n in (10, 20, 30, 70, 110):
        means = np.zeros((n, 1))
        means[: n // 10] = 5
        ones = np.ones_like(means)
        assert posterior_collapse(means, variances=ones, delta=0.1) == 1
        means[n // 10] = 5
        assert posterior_collapse(means, variances=ones, delta=0.1) == 0
    # Here the product 0.29 * 100 is rounded down.
    means = np.concatenate([np.full((29, 1), 5.0), np.zeros((71, 1))])
    assert posterior_collapse(means, variances=np.ones_like(means), delta=0.29) == 1


def test_extreme_variances():
    zeros = np.zeros((3, 2))
    assert posterior_collapse(zeros, variances=zeros) == 0
    assert posterior_collapse(zeros, log_variances=zeros) == 1
    assert posterior_collapse(zeros, log_variances=zeros + 1000) == 0
    assert posterior_collapse(zeros, log_variances=zeros - 1000) == 0
    assert posterior_collapse(zeros + 1e200, log_variances=zeros) == 0


@pytest.mark.parametrize("shape", [(24,), (4, 6), (2, 3, 4)])
def test_codebook(library, rng, shape):
    codes = rng.integers(0, 5, size=shape) * 2
    found = codebook_usage(library.asarray(codes), 12)
    assert isinstance(found, CodebookUsage)
    counts = [sum(code == k for code in codes.ravel()) for k in range(12)]
    assert_array_equal(found.counts, counts)
    assert_array_equal(found.dead_codes, [k for k in range(12) if not counts[k]])
    assert found.usage == sum(c > 0 for c in counts) / 12
    shares = [c / codes.size for c in counts if c]
    entropy = -sum(p * math.log(p) for p in shares)
    assert found.perplexity == pytest.approx(math.exp(entropy), rel=1e-12)


def test_weighted_codes(library, rng):
    codes = rng.integers(0, 6, size=(5, 7))
    weights = rng.integers(0, 3, size=codes.shape)
    found = codebook_usage(
        library.asarray(codes), 6, sample_weight=library.asarray(weights)
    )
    repeated = codebook_usage(np.repeat(codes.ravel(), weights.ravel()), 6)
    assert_array_equal(found.counts, repeated.counts)
    assert found.perplexity == pytest.approx(repeated.perplexity, rel=1e-12)


def test_bounds_of_the_perplexity():
    for n_codes in range(1, 200):
        even = codebook_usage(np.arange(n_codes), n_codes)
        assert even.perplexity == pytest.approx(n_codes, rel=1e-12)
        assert even.perplexity <= n_codes
        assert not len(even.dead_codes)
        one = codebook_usage(np.zeros(5, dtype=np.uint8), n_codes)
        assert one.perplexity == 1
        assert one.usage == 1 / n_codes


@pytest.mark.parametrize(
    ("codes", "n_codes", "error", "match"),
    [
        ([0, 3], 3, ValueError, "0, …, 2"),
        ([-1, 0], 3, ValueError, "from -1 to 0"),
        ([0.0, 1.0], 3, TypeError, "float64"),
        ([True, False], 3, TypeError, "bool"),
        (np.zeros((0, 2), int), 3, ValueError, "empty"),
        ([0], 0, ValueError, "n_codes"),
        ([0], 2.0, ValueError, "n_codes"),
        ([0], True, ValueError, "n_codes"),
    ],
)
def test_refused_codes(codes, n_codes, error, match):
    with pytest.raises(error, match=match):
        codebook_usage(codes, n_codes)


@pytest.mark.parametrize("eta", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("weighted", [False, True])
def test_least_volume(library, rng, eta, ddof, weighted):
    X = rng.normal(size=(30, 6)) * np.geomspace(1, 1e-3, 6) + 5
    weights = rng.integers(0, 4, size=len(X)) if weighted else None
    product = 1.0
    for deviation in slow_deviations(X, ddof, weights):
        product *= deviation + eta
    found = least_volume(library.asarray(X), eta=eta, ddof=ddof, sample_weight=weights)
    assert found == pytest.approx(product ** (1 / 6), rel=1e-10)


def test_nothing_underflows(rng):
    """The product itself would be 1e-3000."""
    X = 1e-3 * rng.normal(size=(50, 1000))
    found = least_volume(X, eta=0)
    assert 0.9e-3 < found < 1.1e-3


@given(SEEDS)
def test_volume_properties(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(15, 4)) * 10 ** rng.uniform(-2, 2, size=4)
    volume = least_volume(X, eta=0)
    moved = X[:, rng.permutation(4)] + rng.normal(size=4)
    assert least_volume(moved, eta=0) == pytest.approx(volume, rel=1e-9)
    scale = 10 ** rng.uniform(-2, 2, size=4)
    grown = volume * math.prod(scale) ** 0.25
    assert least_volume(scale * X, eta=0) == pytest.approx(grown, rel=1e-9)
    cloned = least_volume(np.repeat(X, 3, axis=0), eta=0, ddof=0)
    assert cloned == pytest.approx(least_volume(X, eta=0, ddof=0), rel=1e-9)
    assert volume < least_volume(X) < volume + max(1, volume)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_rows_in_blocks(dtype):
    rng = np.random.default_rng(9)
    X = (rng.normal(size=(20000, 4)) + 3).astype(dtype)
    truth = slow_deviations(X.astype(float))
    assert_allclose(least_volume(X, ddof=0), np.prod(truth + 0.01) ** 0.25, rtol=1e-10)
    count = active_units(X, threshold=float(np.sort(truth**2)[1]) * (1 + 1e-9))
    assert count == 2


def test_errors(library):
    X = np.zeros((4, 2))
    with pytest.raises(ValueError, match="minimum of 2"):
        least_volume(library.asarray(X[:1]))
    with pytest.raises(ValueError, match=r"ddof=1 .* which is 0.5"):
        least_volume(library.asarray(X), sample_weight=[0.5, 0, 0, 0])
    with pytest.raises(ValueError, match="eta"):
        least_volume(X, eta=-1)
    with pytest.raises(ValueError, match="threshold"):
        active_units(X, threshold=np.nan)
    for options in ({}, {"variances": X, "log_variances": X}):
        with pytest.raises(ValueError, match="exactly one"):
            posterior_collapse(X, **options)
    with pytest.raises(ValueError, match="must not be negative"):
        posterior_collapse(library.asarray(X), variances=library.asarray(X - 1))
    for name, value in (("epsilon", 0), ("delta", 1.5), ("delta", np.nan)):
        with pytest.raises(ValueError, match=name):
            posterior_collapse(X, variances=X, **{name: value})
    with pytest.raises(ValueError, match=r"\(4, 2\) and \(4, 1\)"):
        posterior_collapse(X, variances=X[:, :1])
    with pytest.raises(ValueError, match="sample_weight must have the shape"):
        codebook_usage([[0, 1]], 2, sample_weight=[1, 1])
    X = 1e200 * np.array([[1.0, 0.0], [-1.0, 0.0]])
    with pytest.raises(ValueError, match="squares overflow"):
        active_units(library.asarray(X))
    X[1, 1] = np.nan
    for function in (active_units, least_volume):
        with pytest.raises(ValueError, match="NaN: first in row 1, column 1"):
            function(library.asarray(X))
    with pytest.raises(ValueError, match="Input log_variances contains NaN"):
        posterior_collapse(X[:1], log_variances=X[1:])


def test_one_row():
    assert active_units([[1.0, 2.0]]) == 0
    assert posterior_collapse([[0.0, 2.0]], variances=[[1.0, 1.0]]) == 0.5
