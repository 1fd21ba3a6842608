"""Rules that read the number of directions off the eigenvalues."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.optimize import brentq
from sklearn.decomposition import PCA

from sklearn_collapse._linalg._component_rules import (
    RULES,
    components_by_rule,
    gavish_donoho,
    hard_threshold,
    marchenko_pastur,
    marchenko_pastur_median,
    minka,
)

BETAS = [1e-8, 0.001, 0.05, 0.3, 0.5, 0.9, 0.999999, 1.0]
SHAPES = [(400, 100), (100, 400), (150, 150), (2000, 40), (61, 60)]


def planted(n, d, rank, seed=0, snr=2.5):
    """White noise, a mean, and directions well above it."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.normal(size=(n, rank)))[0]
    right = np.linalg.qr(rng.normal(size=(d, rank)))[0]
    size = snr * (math.sqrt(n) + math.sqrt(d)) * np.linspace(1, 3, rank)
    return 3 + left * size @ right.T + rng.normal(size=(n, d))


def eigenvalues(X):
    """Squared singular values of the centred rows that rounding does not explain."""
    X = X - X.mean(axis=0)
    values = np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2
    return values[values > 1e-20 * values[0]]


# -- the Marchenko-Pastur law ----------------------------------------------------------


def share_above(x, beta):
    """The law integrated over x; the root at the upper edge by its weight."""
    low, high = (1 - math.sqrt(beta)) ** 2, (1 + math.sqrt(beta)) ** 2
    return quad(
        lambda t: math.sqrt(t - low) / (2 * math.pi * beta * t),
        *(x, high),
        weight="alg",
        wvar=(0, 0.5),
        epsrel=1e-12,
        epsabs=0,
    )[0]


@pytest.mark.parametrize("beta", BETAS[1:])
def test_half_of_the_law_is_above_its_median(beta):
    median = marchenko_pastur_median(beta)
    assert share_above(median, beta) == pytest.approx(0.5, rel=1e-11)
    # A change in the twelfth digit shows.
    assert share_above(median * (1 + 1e-9), beta) < 0.5 * (1 - 1e-10)


def test_median_of_nearly_flat_spectra():
    # 1 + sqrt(beta) cos t is symmetric about 1 to first order in sqrt(beta).
    assert marchenko_pastur_median(1e-300) == 1
    assert marchenko_pastur_median(1e-12) == pytest.approx(1, abs=1e-11)


@pytest.mark.parametrize(("n", "d"), [(1000, 200), (400, 400), (200, 1000)])
def test_median_of_sampled_noise(n, d):
    X = np.random.default_rng(0).normal(size=(n, d))
    values = np.linalg.svd(X, compute_uv=False) ** 2 / max(n, d)
    beta = min(n, d) / max(n, d)
    assert np.median(values) == pytest.approx(marchenko_pastur_median(beta), rel=0.02)


# -- Gavish and Donoho -----------------------------------------------------------------


@pytest.mark.parametrize("beta", BETAS)
def test_threshold_is_where_keeping_starts_to_pay(beta):
    # A planted singular value x is seen at y, its vectors at cosines a and b. Keeping
    # it costs x^2 + y^2 - 2 x y a b, dropping it x^2: alike at y = 2 x a b.
    def seen(x):
        return math.sqrt((x + 1 / x) * (x + beta / x))

    def gain(x):
        a = (x**4 - beta) / (x**4 + beta * x**2)
        b = (x**4 - beta) / (x**4 + x**2)
        return 2 * x * math.sqrt(a * b) - seen(x)

    x = brentq(gain, beta**0.25 + 1e-9, 10, xtol=1e-15)
    found = hard_threshold(beta) * math.sqrt(marchenko_pastur_median(beta))
    assert found == pytest.approx(seen(x), rel=1e-12)


def test_published_thresholds():
    known = hard_threshold(1.0) * math.sqrt(marchenko_pastur_median(1.0))
    assert known == pytest.approx(4 / math.sqrt(3), rel=1e-14)
    assert hard_threshold(1.0) == pytest.approx(2.858, abs=5e-4)
    # The paper's polynomial, which it gives to 0.02.
    beta = np.linspace(0.001, 1, 50)
    cubic = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    assert_allclose([hard_threshold(b) for b in beta], cubic, atol=0.02)


def spread_by_svd(rule, X):
    """Either rule from the rows, with the law's median found by its own integral."""
    n, d = X.shape
    values = np.sqrt(eigenvalues(X))
    low, high = sorted((n - 1, d))
    beta = low / high
    top = (1 + math.sqrt(beta)) ** 2
    bottom = (1 - math.sqrt(beta)) ** 2
    median = brentq(lambda x: share_above(x, beta) - 0.5, bottom + 1e-6, top - 1e-6)
    if rule == "marchenko-pastur":
        level = np.median(values**2) / (high * median)
        return int(np.sum(values**2 / high > level * top))
    root = math.sqrt(beta**2 + 14 * beta + 1)
    level = math.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + root))
    return int(np.sum(values > level / math.sqrt(median) * np.median(values)))


@pytest.mark.parametrize("rule", RULES[1:])
@pytest.mark.parametrize("snr", [0.2, 0.5, 0.7, 1.0])
@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_same_as_from_singular_values(rule, snr, n, d):
    for seed in range(3):
        X = planted(n, d, 12, seed, snr)
        found = components_by_rule(rule, eigenvalues(X), n - 1, d)
        assert found == spread_by_svd(rule, X)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("rank", [1, 6, 15])
@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_planted_rank(rule, rank, n, d):
    for seed in range(3):
        X = planted(n, d, rank, seed)
        # The edge of the bulk has no margin: noise may lie just above it.
        slack = 1 if rule == "marchenko-pastur" else 0
        found = components_by_rule(rule, eigenvalues(X), n - 1, d)
        assert rank <= found <= rank + slack


def test_noise_alone():
    counts = {rule: [] for rule in RULES}
    for seed in range(20):
        n, d = SHAPES[seed % 3]
        values = eigenvalues(np.random.default_rng(seed).normal(size=(n, d)))
        for rule in RULES:
            counts[rule].append(components_by_rule(rule, values, n - 1, d))
    assert counts["mle"] == [1] * 20
    assert counts["gavish-donoho"] == [0] * 20
    assert max(counts["marchenko-pastur"]) <= 1
    assert sum(counts["marchenko-pastur"]) <= 8


@pytest.mark.parametrize("count", [gavish_donoho, marchenko_pastur])
def test_one_value_is_not_above_itself(count):
    assert count(np.array([3.0]), 10, 4) == 0


@pytest.mark.parametrize("count", [gavish_donoho, marchenko_pastur])
@pytest.mark.parametrize("off", [-0.4, -1e-12, 0.0, 1e-12, 0.4])
def test_rows_that_are_a_fraction(count, off):
    # 41 rows have 40 directions: 40 x 200, whatever the weights sum to.
    values = np.geomspace(100, 0.01, 40)
    wide = count(values, 40, 200)
    tall = count(values, 41, 200)  # where the law is that of 41 x 40
    assert tall != wide
    assert count(values, 41 + off, 200) == tall
    assert count(values, 40 + off, 200) == wide


def test_median_of_singular_values():
    # 2.171 is the threshold of a matrix twice as long as wide; the median of 1, 1, 9, 9
    # is 2 as singular values and 2.24 as roots of the median eigenvalue.
    values = np.array([1.0, 1, 9, 9, 4.5**2, 1])[[4, 2, 3, 0, 1, 5]]
    assert np.median(np.sqrt(values)) * hard_threshold(0.5) == pytest.approx(
        4.342, 1e-3
    )
    assert np.sqrt(np.median(values)) * hard_threshold(0.5) > 4.5
    assert gavish_donoho(values, 12, 6) == 1


# -- Minka -----------------------------------------------------------------------------


def minka_by_loops(values, n, d):
    """Equation (30) of the paper, pair by pair; d - r eigenvalues are 0."""
    values = np.concatenate([values, np.zeros(d - len(values))])
    best, choice = -math.inf, None
    for k in range(1, np.count_nonzero(values)):
        v = values[k:].sum() / (d - k)
        hat = [*values[:k], *[v] * (d - k)]
        m = d * k - k * (k + 1) / 2
        found = -k * math.log(2)
        for i in range(1, k + 1):
            half = (d - i + 1) / 2
            found += math.lgamma(half) - half * math.log(math.pi)
        found -= n / 2 * sum(math.log(x) for x in values[:k])
        found -= n * (d - k) / 2 * math.log(v)
        found += (m + k) / 2 * math.log(2 * math.pi) - k / 2 * math.log(n)
        for i in range(k):
            for j in range(i + 1, d):
                curve = (values[i] - values[j]) * (1 / hat[j] - 1 / hat[i]) * n
                found -= math.log(curve) / 2
        if found > best:
            best, choice = found, k
    return choice


def any_rows(seed):
    """Rows with more or less of structure, more of them than columns."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 20))
    n = int(rng.integers(d + 1, 12 * d))
    rank = int(rng.integers(0, d))
    signal = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d))
    scales = np.exp(rng.choice([0, 0.1, 1.0]) * rng.normal(size=d))
    return rng.uniform(0, 3) * signal + rng.normal(size=(n, d)) * scales + 5


def test_minka_is_that_of_scikit_learn():
    seen = set()
    for seed in range(200):
        X = any_rows(seed)
        expected = PCA(n_components="mle", svd_solver="full").fit(X).n_components_
        values = eigenvalues(X)
        for scale in (1, 1 / len(X), 1e12):
            assert minka(scale * values, len(X)) == expected
        assert components_by_rule("mle", values, len(X) - 1, X.shape[1]) == expected
        seen.add(expected)
    assert len(seen) > 10


@pytest.mark.parametrize(("n", "d"), [(12, 30), (20, 21), (15, 60)])
def test_minka_with_fewer_rows_than_columns(n, d):
    seen = set()
    for seed in range(12):
        X = planted(n, d, 1 + seed % 4, seed, snr=0.3 + 0.3 * (seed % 3))
        values = eigenvalues(X)
        assert len(values) == n - 1
        expected = minka_by_loops(values, n, d)
        assert minka(values, n, d) == expected
        assert components_by_rule("mle", values, n - 1, d) == expected
        seen.add(expected)
    assert len(seen) > 2


def test_minka_of_few_directions():
    assert minka(np.array([2.0]), 10) == 1
    assert minka(np.array([2.0, 1e-9]), 10) == 1
    assert minka(np.array([2.0]), 10, 5) == 1


@pytest.mark.parametrize("jitter", [0, 1e-16, 1e-15, 4e-15])
@pytest.mark.parametrize("scale", [1e-20, 1, 1e20])
def test_minka_of_tied_noise(jitter, scale):
    # scikit-learn's formula is infinite at the first tie: it would say 6.
    wobble = 1 + jitter * np.random.default_rng(0).uniform(-1, 1, 95)
    values = scale * np.concatenate([[9.0, 7, 5, 4, 3], -np.sort(-wobble)])
    assert minka(values, 1000) == 5


def test_minka_of_tied_signals():
    noise = eigenvalues(np.random.default_rng(0).normal(size=(400, 50))) / 400
    for signals in ([5.0, 5, 5], [9.0, 9, 4], [9.0, 4, 4]):
        near = np.array(signals) * [1.02, 1, 0.98]
        for three in (np.array(signals), near):
            values = np.concatenate([three, noise])
            assert minka(values, 400) == 3
            assert minka_by_loops(np.concatenate([near, noise]), 400, 53) == 3


@pytest.mark.parametrize("r", [3, 9, 60])
@pytest.mark.parametrize(("n", "most"), [(5, True), (6, True), (7, False), (99, False)])
def test_minka_of_equal_eigenvalues(r, n, most):
    # The rotations say nothing and the likelihood is that of any k. What is left is
    # (2 pi / n)^(k/2), which falls with k from n = 7 on.
    assert minka(np.full(r, 0.3), n) == (r - 1 if most else 1)


def test_ties_with_zeros_after_them():
    # Zeros do not tie with anything: one direction of noise is like the next.
    values = np.concatenate([[90.0, 70, 50], np.ones(20)])
    assert minka(values, 24, 200) == 3


def test_ties_are_judged_at_the_precision_of_the_products():
    wobble = np.linspace(1 + 4e-7, 1 - 4e-7, 95)
    values = np.concatenate([[9.0, 7, 5, 4, 3], wobble])
    assert minka(values, 1000) > 90  # distinct: each is taken for a signal
    assert minka(values, 1000, eps=2.0**-23) == 5
    assert components_by_rule("mle", values, 999, 100, 2.0**-23) == 5


def test_minka_next_to_ties_is_that_without():
    # Differences of more than rounding are taken as they are.
    values = np.array([4.0, 1 + 1e-9, 1.0, 1 - 1e-9, 0.5])
    assert minka(values, 30) == minka_by_loops(values, 30, 5)


@pytest.mark.parametrize("d", [None, 40])
def test_minka_of_a_wide_spectrum(d):
    values = np.geomspace(1, 1e-14, 30)
    assert minka(values, 500, d) == minka_by_loops(values, 500, d or 30)
