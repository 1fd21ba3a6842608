"""Tests of the dimensional metrics as functions, against oracles and known spectra."""

import inspect
import math
import re
import warnings

import numpy as np
import oracles_dimensional as oracles
import pytest
from numpy.testing import assert_allclose
from scipy.stats import differential_entropy

from sklearn_collapse import metrics
from sklearn_collapse._linalg._spread import entropy_dimension, shares
from sklearn_collapse._linalg._vasicek import vasicek_entropy
from sklearn_collapse.metrics import (
    METRICS,
    CollapseWarning,
    _spectra,
    alpha_req,
    eee,
    effective_rank,
    entropy_rank,
    feature_correlation,
    feature_std,
    isoscore,
    mean_cosine,
    n_components_for_variance,
    nesum,
    nuclear_rank,
    numerical_rank,
    participation_ratio,
    partition_ratio,
    rankme,
    spectral_utilization,
    stable_rank,
    unexplained_variance_area,
    vicreg_covariance,
    vicreg_variance,
    vrm,
    wasserstein_uniformity,
)
from sklearn_collapse.utils._arrays import namespace

NAMES = [name for name, metric in METRICS.items() if metric.family == "dimensional"]
KNOWN = {
    *("effective_rank", "entropy_rank", "rankme", "participation_ratio"),
    *("stable_rank", "nuclear_rank", "numerical_rank", "isoscore", "alpha_req"),
    *("nesum", "eee", "vrm", "wasserstein_uniformity", "vicreg_variance"),
    *("vicreg_covariance", "feature_std", "mean_cosine", "feature_correlation"),
}
UNIT = {"wasserstein_uniformity", "feature_std", "mean_cosine"}
LOWER = {
    *("eee", "vrm", "vicreg_variance", "vicreg_covariance", "mean_cosine"),
    "feature_correlation",
}
RANKS = {
    *("effective_rank", "entropy_rank", "rankme", "participation_ratio"),
    *("stable_rank", "nuclear_rank", "numerical_rank", "nesum"),
}
CENTERED = [
    name
    for name in NAMES
    if "centered" in inspect.signature(METRICS[name].function).parameters
]


def made(n=60, d=14, seed=0, offset=1.5, decay=0.8):
    """Correlated rows about a mean, their variances decaying."""
    rng = np.random.default_rng(seed)
    scales = np.arange(1, d + 1) ** -decay
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
    return (rng.normal(size=(n, d)) * scales) @ rotation + offset * rng.normal(size=d)


def with_spectrum(values, seed=0, mean=0.0):
    """2d rows whose covariance has exactly these eigenvalues, in a random basis."""
    d = len(values)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    rows = np.diag(np.sqrt(d * np.asarray(values, dtype=float))) @ rotation
    return np.concatenate([rows, -rows]) + mean


def measure(name, X, **options):
    return METRICS[name].function(X, **options)


# -- against the oracles --------------------------------------------------------------


@pytest.mark.parametrize("shape", [(60, 14), (40, 40), (23, 31), (200, 3)])
@pytest.mark.parametrize("name", NAMES)
def test_equals_its_formula(name, shape):
    for seed in (0, 1):
        X = made(*shape, seed=seed)
        with warnings.catch_warnings():
            if name == "alpha_req" and shape[1] < 11:
                warnings.simplefilter("ignore", CollapseWarning)
            found = measure(name, X)
        assert type(found) is float
        assert_allclose(found, getattr(oracles, name)(X), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", CENTERED)
def test_without_centring(name):
    X = made()
    found = measure(name, X, centered=False)
    assert_allclose(found, getattr(oracles, name)(X, centered=False), rtol=1e-9)
    if name != "numerical_rank":
        assert abs(found - measure(name, X)) > 0.1


def test_which_metrics_have_a_choice_of_centring():
    assert set(CENTERED) == RANKS - {"rankme", "stable_rank", "nesum"}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", NAMES)
def test_any_library_and_precision(library, name, dtype):
    X = made().astype(dtype)
    found = measure(
        name, library.asarray(X), sample_weight=library.asarray(np.ones(len(X)))
    )
    assert type(found) is float
    assert_allclose(found, getattr(oracles, name)(X), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_repetitions(library, name):
    X = made()
    weights = np.random.default_rng(1).integers(0, 4, len(X))
    repeated = np.repeat(X, weights, axis=0)
    found = measure(name, library.asarray(X), sample_weight=library.asarray(weights))
    assert_allclose(found, getattr(oracles, name)(repeated), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_mean_far_from_zero(name):
    """Float32 rows, mean 1e4 times the spread: the oracle sees the same rows."""
    X = (made(offset=0) + 1e4).astype(np.float32)
    # An SVD of the rows as they are has rounding of the mean's size, not the spread's.
    rtol = 1e-9 if "translation" in METRICS[name].invariances else 1e-3
    truth = getattr(oracles, name)(X)
    if name in ("rankme", "stable_rank"):
        rtol = 1e-6
    assert_allclose(measure(name, X), truth, rtol=rtol, atol=1e-10)


def test_functions_beside_the_metrics(library):
    X = made()
    rows = library.asarray(X)
    weights = np.random.default_rng(1).integers(0, 4, len(X))
    repeated = np.repeat(X, weights, axis=0)
    for function in (partition_ratio, unexplained_variance_area):
        oracle = getattr(oracles, function.__name__)
        assert_allclose(function(rows), oracle(X), rtol=1e-10)
        found = function(rows, sample_weight=library.asarray(weights))
        assert_allclose(found, oracle(repeated), rtol=1e-10)
    soft, hard = oracles.entropy_rank(X), oracles.participation_ratio(X)
    assert_allclose(spectral_utilization(rows), soft / 14, rtol=1e-10)
    assert_allclose(spectral_utilization(rows, kind="hard"), hard / 14, rtol=1e-10)
    values = np.linalg.svd(oracles.centred(X), compute_uv=False) ** 2
    for share in (0.1, 0.5, 0.9, 0.99, 1.0):
        k = n_components_for_variance(rows, share)
        assert type(k) is int
        assert values[:k].sum() >= share * values.sum() * (1 - 1e-9)
        assert values[: k - 1].sum() < share * values.sum()


def test_partition_function_does_not_overflow():
    X = np.diag([1732.0, 1731.0, 1730.0])
    X = np.concatenate([X, -X])
    assert partition_ratio(X) == pytest.approx(math.exp(-2), rel=1e-12)
    with np.errstate(over="ignore", invalid="ignore"):
        assert not np.isfinite(oracles.partition_ratio(X))
    assert partition_ratio(np.zeros((4, 3))) == 1


def test_partition_function_over_blocks(monkeypatch):
    X = made(600, 5)
    monkeypatch.setattr("sklearn_collapse.utils._arrays.block_rows", lambda width: 64)
    assert_allclose(partition_ratio(X), oracles.partition_ratio(X), rtol=1e-11)


# -- known spectra --------------------------------------------------------------------


def test_geometric_spectrum():
    X = with_spectrum(np.geomspace(1, 1e-3, 64))
    assert round(participation_ratio(X), 2) == 18.23
    assert round(entropy_rank(X), 2) == 24.63
    p = np.geomspace(1, 1e-3, 64) ** 0.5
    p /= p.sum()
    assert_allclose(effective_rank(X), math.exp(-(p * np.log(p)).sum()), rtol=1e-12)
    assert participation_ratio(X) < entropy_rank(X) < effective_rank(X) < 64
    assert numerical_rank(X) == 64


@pytest.mark.parametrize("d", [2, 7, 64])
def test_equal_eigenvalues(d):
    X = with_spectrum(np.full(d, 3.0))
    for name in RANKS:
        assert_allclose(measure(name, X), d, rtol=1e-12, err_msg=name)
    assert_allclose(isoscore(X), 1, rtol=1e-12)
    assert_allclose(eee(X), 0, atol=1e-13)
    assert_allclose(spectral_utilization(X), 1, rtol=1e-12)
    assert_allclose(unexplained_variance_area(X), 3 * d * (d - 1) / 2, rtol=1e-12)
    assert n_components_for_variance(X, 0.5) == math.ceil(d / 2)


@pytest.mark.parametrize("d", [2, 7, 64])
def test_rows_on_a_line(d):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3 * d, 1)) * rng.normal(size=d)
    for name in RANKS:
        assert_allclose(measure(name, X), 1, rtol=1e-12, err_msg=name)
    assert_allclose(isoscore(X), 0, atol=1e-12)
    assert_allclose(eee(X), ((d - 1) / d) ** 2, rtol=1e-12)
    assert_allclose(feature_correlation(X), 1, rtol=1e-12)
    assert_allclose(unexplained_variance_area(X), 0, atol=1e-12)
    # Fewer rows than features: the number of components is n.
    assert_allclose(eee(X[:2]), 0.25, rtol=1e-12)


@pytest.mark.parametrize("name", sorted(RANKS))
def test_ranks_stay_within_their_bounds(name):
    """A flat spectrum at d = 256 is never above d, one direction is 1 and no more."""
    d = 256
    flat = np.concatenate([np.eye(d), -np.eye(d)])
    for X in (flat, flat.astype(np.float32), flat[:, ::-1] * 1e-3):
        assert measure(name, X) <= d
        assert_allclose(measure(name, X), d, rtol=1e-9)
    line = np.random.default_rng(0).normal(size=(300, 1)) * np.ones((1, d))
    assert measure(name, line) == 1
    # Direction and rows of float32: what their rounding adds does not count.
    assert measure(name, line.astype(np.float32)) == pytest.approx(1, abs=1e-6)


def test_entropies_at_many_dimensions():
    """The values of the formula itself, where an eigensolver would take minutes."""
    flat = entropy_dimension(shares(np.full(2048, 0.3), 0.5))
    assert flat <= 2048
    assert flat == pytest.approx(2048, rel=1e-12)
    assert entropy_dimension(np.full(2048, 1 / 2048), eps=1e-5) > 2048
    line = np.zeros(8192)
    line[0] = 1.0
    assert entropy_dimension(line) == 1
    assert entropy_dimension(line, eps=1e-5) == pytest.approx(2.57, abs=0.01)


@pytest.mark.parametrize("mean", [0.0, 30.0])
def test_rounding_of_float32_rows_does_not_count(mean):
    """Five even directions and one that holds the rest: 4.99 stays 4.99."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(400, 5)) @ np.linalg.qr(rng.normal(size=(256, 5)))[0].T
    exact = signal + mean
    X = exact.astype(np.float32)
    # What a float32 Gram product makes of it.
    gram = np.linalg.eigvalsh(X.T @ X).astype(float)
    s = np.sqrt(np.clip(gram, 0, None))
    careless = oracles.entropy_exp(s / s.sum())
    truth = oracles.rankme(exact)
    assert careless > truth + 0.02
    assert_allclose(rankme(X), truth, rtol=1e-5)
    assert_allclose(effective_rank(X), oracles.effective_rank(exact), rtol=1e-5)
    assert numerical_rank(X) == 5


def test_isoscore_is_a_participation_ratio():
    for seed in range(5):
        X = made(seed=seed)
        assert_allclose(isoscore(X), (participation_ratio(X) - 1) / 13, rtol=1e-12)
        assert_allclose(isoscore(X), oracles.isoscore(X), rtol=1e-9)
    assert math.isnan(isoscore(X[:, :1]))


@pytest.mark.parametrize("alpha", [0.0, 0.7, 1.0, 2.5])
def test_power_laws_are_found(alpha):
    X = with_spectrum(np.arange(1.0, 121) ** -alpha)
    assert_allclose(alpha_req(X), alpha, rtol=1e-9, atol=1e-12)
    assert_allclose(alpha_req(X, fit_range=(1, 20)), alpha, rtol=1e-9, atol=1e-12)


def test_fit_range_of_the_power_law():
    values = np.concatenate([np.full(9, 100.0), np.arange(10.0, 101) ** -1.0])
    values = np.concatenate([values, np.full(5, 1e-5)])
    X = with_spectrum(values)
    assert_allclose(alpha_req(X), 1, rtol=1e-9)
    assert abs(alpha_req(X, fit_range=(9, 100)) - 1) > 0.1
    assert abs(alpha_req(X, fit_range=(10, 101)) - 1) > 0.01
    assert_allclose(
        alpha_req(X, fit_range=(3, 50)), oracles.alpha_req(X, 3, 50), rtol=1e-9
    )
    with pytest.warns(CollapseWarning, match="fit_range=\\(10, 100\\)"):
        assert math.isnan(alpha_req(made(d=10)))
    for wrong in ((0, 5), (5, 5), (1.5, 7), 3, (1, 2, 3), "ab"):
        with pytest.raises(ValueError, match="fit_range"):
            alpha_req(X, fit_range=wrong)


@pytest.mark.parametrize(("r", "d"), [(1, 4), (3, 4), (4, 4), (2, 16)])
def test_wasserstein_uniformity_of_equally_used_dimensions(r, d):
    X = np.zeros((2 * r, d))
    X[np.arange(r), np.arange(r)] = 1
    X[r + np.arange(r), np.arange(r)] = -1
    expected = -math.sqrt(2 - 2 * math.sqrt(r / d))
    assert_allclose(wasserstein_uniformity(X), expected, rtol=1e-13, atol=1e-13)


def test_wasserstein_uniformity_near_isotropy():
    """The published difference has no digits left there."""
    d, h = 8, 1e-9
    values = np.full(d, 1 / d)
    X = np.diag(np.sqrt(values) * (1 + h * np.arange(d)))
    X = np.concatenate([X, -X])  # each unit row on an axis: weights make the spectrum
    w = np.tile(1 + h * np.arange(d), 2)
    s = np.sqrt(w[:d] / w[:d].sum())
    expected = -math.sqrt(((s - d**-0.5) ** 2).sum())
    found = wasserstein_uniformity(X, sample_weight=w)
    assert_allclose(found, expected, rtol=1e-5)


def test_wasserstein_uniformity_of_cloned_features():
    X = made(offset=0)
    assert wasserstein_uniformity(np.hstack([X, X])) < wasserstein_uniformity(X) - 0.1
    padded = np.hstack([X, np.zeros_like(X)])
    assert wasserstein_uniformity(padded) < wasserstein_uniformity(X) - 0.1
    lengths = np.random.default_rng(0).uniform(0.1, 9, size=(len(X), 1))
    assert_allclose(wasserstein_uniformity(lengths * X), wasserstein_uniformity(X))


def test_mean_cosine_of_a_narrow_cone():
    """1 minus it keeps its digits: the spread of unit rows is not a difference."""
    rng = np.random.default_rng(0)
    X = np.array([1.0, 0, 0, 0]) + 1e-7 * rng.normal(size=(50, 4))
    Z = oracles.units(X)
    gap = np.mean([((a - b) ** 2).sum() / 2 for a in Z for b in Z]) * 50 / 49
    assert 1 - mean_cosine(X) == pytest.approx(gap, rel=1e-2)
    opposite = np.array([[1.0, 2.0], [-2.0, -4.0]])
    assert mean_cosine(opposite) == pytest.approx(-1, rel=1e-15)
    assert math.isnan(mean_cosine(opposite[:1]))


def test_zero_rows_among_unit_rows():
    X = np.concatenate([made(), np.zeros((20, 14))])
    for name in sorted(UNIT):
        with pytest.warns(CollapseWarning, match="0.25 of the rows are zero"):
            found = measure(name, X)
        assert_allclose(found, getattr(oracles, name)(X), rtol=1e-10)
    # One of very many is seen, rounding is not.
    weights = np.ones(len(X))
    weights[:60] = 1e5
    with pytest.warns(CollapseWarning, match="are zero"):
        mean_cosine(X[:61], sample_weight=weights[:61])
    mean_cosine(made(5000, 3))


def test_vicreg_terms():
    X = made()
    C = np.cov(X.T)
    for ddof in (0, 1):
        C = np.cov(X.T, ddof=ddof)
        v = np.clip(2 - np.sqrt(np.diag(C) + 0.01), 0, None).mean()
        options = {"gamma": 2.0, "eps": 0.01, "ddof": ddof}
        assert_allclose(vicreg_variance(X, **options), v, rtol=1e-12)
        off = (C**2).sum() - (np.diag(C) ** 2).sum()
        assert_allclose(vicreg_covariance(X, ddof=ddof), off / 14, rtol=1e-11)
    assert vicreg_variance(10 * with_spectrum(np.ones(4))) == 0
    assert vicreg_variance(np.ones((5, 3))) == pytest.approx(0.99, rel=1e-12)
    assert vicreg_covariance(np.ones((5, 3))) == 0
    assert vicreg_covariance(X[:, :1]) == 0
    for name in ("vicreg_variance", "vicreg_covariance"):
        assert math.isnan(measure(name, X[:1]))


def test_healthy_feature_std():
    X = np.random.default_rng(0).normal(size=(4000, 30))
    assert feature_std(X) == pytest.approx(1, abs=0.02)
    assert feature_std(np.eye(6)) <= 1
    assert_allclose(feature_std(np.concatenate([np.eye(6), -np.eye(6)])), 1)


def test_dead_units_have_no_correlation():
    X = made()
    dead = np.hstack([X, np.full((len(X), 3), 5.0)])
    assert_allclose(feature_correlation(dead), oracles.feature_correlation(X))
    assert math.isnan(feature_correlation(dead[:, -4:]))
    assert math.isnan(feature_correlation(X[:, :1]))


@pytest.mark.parametrize("eps", [1e-7, 1e-3])
def test_rankme_with_the_epsilon_of_the_paper(eps):
    for shape in ((60, 14), (9, 14)):
        X = made(*shape)
        assert_allclose(rankme(X, eps=eps), oracles.rankme(X, eps), rtol=1e-10)
    rng = np.random.default_rng(0)
    line = rng.normal(size=(40, 1)) * rng.normal(size=20)
    assert_allclose(rankme(line, eps=eps), oracles.rankme(line, eps), rtol=1e-9)


def test_numerical_rank_with_a_tolerance():
    X = with_spectrum([1.0, 0.5, 1e-3, 1e-9, 0.0])
    assert numerical_rank(X) == 4
    assert numerical_rank(X, rank_tol=1e-4) == 3
    assert numerical_rank(X, rank_tol=0.6) == 1


# -- Vasicek's entropy ----------------------------------------------------------------


@pytest.mark.parametrize("n", [5, 6, 11, 100, 1001])
def test_entropy_is_that_of_scipy(n):
    x = np.random.default_rng(n).gamma(2.0, size=(n, 3))
    found = vasicek_entropy(x, None, 0.0, namespace(x))
    assert_allclose(found, differential_entropy(x, method="vasicek"), rtol=1e-12)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 30])
def test_entropy_of_weighted_rows(library, n):
    rng = np.random.default_rng(n)
    x, w = rng.normal(size=(n, 2)), rng.integers(1, 4, n)
    array = library.asarray(x)
    xp = namespace(array)
    expected = [oracles.vasicek(np.repeat(column, w)) for column in x.T]
    found = vasicek_entropy(array, library.asarray(w.astype(float)), 0.0, xp)
    assert_allclose(library.to_numpy(found), expected, rtol=1e-12)
    alone = vasicek_entropy(array, None, 0.0, xp)
    same = vasicek_entropy(array, library.asarray(np.ones(n)), 0.0, xp)
    assert_allclose(library.to_numpy(same), library.to_numpy(alone), rtol=1e-12)


def test_entropy_of_spacings_that_are_all_positive():
    x = np.concatenate([1e-15 * np.arange(1, 21), np.arange(1.0, 21)])[:, None]
    assert np.isfinite(vasicek_entropy(x, None, 0.0, namespace(x))[0])
    for w in (None, np.ones(40)):
        assert vasicek_entropy(x, w, 1e-12, namespace(x))[0] == -math.inf


def test_entropy_where_spacings_are_rounding():
    x = np.array([[0.0], [1e-15], [1.0], [1.0], [2.0], [3.0]])
    x = np.concatenate([x, np.full((9, 1), 1.0)])
    assert vasicek_entropy(x, None, 1e-12, namespace(x))[0] == -math.inf
    w = np.ones(len(x))
    assert vasicek_entropy(x, w, 1e-12, namespace(x))[0] == -math.inf


def test_vrm_does_not_depend_on_scale():
    X = made(200, 5)
    for scale in (1e-8, 1e8):
        assert_allclose(vrm(scale * X), vrm(X), rtol=1e-9)


def test_vrm_of_normal_rows_and_of_others():
    rng = np.random.default_rng(0)
    normal = vrm(rng.normal(size=(4000, 4)))
    assert normal < 0.002
    # A cube has the spectrum of a sphere, but less entropy than normal rows.
    assert vrm(rng.uniform(-1, 1, size=(4000, 4))) > 2 * normal
    assert vrm(rng.choice([-1.0, 1.0], size=(4000, 4))) > 0.9
    assert vrm(rng.normal(size=(400, 1)) * np.ones((1, 4))) == pytest.approx(
        (3 + (1 - 2) ** 2) / 4, abs=0.1
    )


def test_vrm_over_blocks_of_components(monkeypatch):
    X = made(80, 12)
    whole = vrm(X)
    monkeypatch.setattr(_spectra, "_FEWEST", 1)
    monkeypatch.setattr(_spectra, "_PROJECTED", 5 * 80)
    assert_allclose(vrm(X), whole, rtol=1e-12)
    monkeypatch.setattr(_spectra, "_PROJECTED", 1)
    assert_allclose(vrm(X), whole, rtol=1e-12)


def test_vrm_of_collapsed_classes():
    """Equal rows stay equal: the rounding of products is no spacing."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4, 6))
    X = points[np.arange(400) % 4]
    assert vrm(X) == 1
    assert vrm(points, sample_weight=np.full(4, 100)) == 1
    # Rows that differ by their last bits are equal as well.
    bits = rng.integers(-8, 9, size=(400, 6)) * np.finfo(float).eps
    assert vrm(X * (1 + bits)) == 1


# -- degenerate rows ------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 7.0, 1e-3])
@pytest.mark.parametrize("name", NAMES)
def test_constant_rows(name, value):
    X = np.full((20, 12), value)
    origin = name in ("rankme", "stable_rank")
    defined = name in UNIT | {"vicreg_variance", "vicreg_covariance"}
    silent = defined or name in ("numerical_rank", "feature_correlation")
    if value and origin:
        assert measure(name, X) == 1  # the mean is a direction
        return
    if silent and not (name in UNIT and not value):
        found = measure(name, X)
    else:
        match = "rows are zero" if name in UNIT else "span no dimension"
        with pytest.warns(CollapseWarning, match=match):
            found = measure(name, X)
    if name in RANKS:
        assert found == 0
    elif defined:
        assert_allclose(found, getattr(oracles, name)(X), rtol=1e-12, atol=1e-15)
    else:
        assert math.isnan(found)


def test_constant_rows_beside_the_metrics():
    X = np.full((20, 3), 7.0)
    assert n_components_for_variance(X) == 0
    assert unexplained_variance_area(X) == 0
    with pytest.warns(CollapseWarning, match="span no dimension"):
        assert spectral_utilization(X) == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_single_row(name):
    X = np.array([[3.0, -4.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        found = measure(name, X)
    if name in ("rankme", "stable_rank"):
        assert found == 1
    elif name in RANKS or name == "feature_std":
        assert found == 0
    elif name == "wasserstein_uniformity":
        assert found == pytest.approx(-math.sqrt(2))
    else:
        assert math.isnan(found)


@pytest.mark.parametrize("name", NAMES)
def test_huge_and_tiny_rows(name):
    X = made()
    value = measure(name, X)
    for scale in (1e-100, 1e100):
        found = measure(name, scale * X)
        if "scale" in METRICS[name].invariances:
            assert_allclose(found, value, rtol=1e-8)


# -- arguments ------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_input_is_checked(name):
    X = made()
    bad = X.copy()
    bad[3, 2] = np.nan
    with pytest.raises(ValueError, match="row 3, column 2"):
        measure(name, bad)
    with pytest.raises(ValueError, match="Expected 2D"):
        measure(name, X[0])
    with pytest.raises(ValueError, match="not negative"):
        measure(name, X, sample_weight=-np.ones(len(X)))
    with pytest.raises(ValueError, match="inconsistent"):
        measure(name, X, sample_weight=np.ones(3))


@pytest.mark.parametrize(
    ("function", "options", "error"),
    [
        (effective_rank, {"centered": "yes"}, TypeError),
        (entropy_rank, {"centered": 1}, TypeError),
        (rankme, {"eps": -1e-7}, ValueError),
        (rankme, {"eps": None}, TypeError),
        (rankme, {"eps": math.nan}, ValueError),
        (numerical_rank, {"rank_tol": 2.0}, ValueError),
        (vicreg_variance, {"gamma": -1.0}, ValueError),
        (vicreg_variance, {"eps": -1.0}, ValueError),
        (vicreg_covariance, {"ddof": "1"}, TypeError),
        (n_components_for_variance, {"share": 0.0}, ValueError),
        (n_components_for_variance, {"share": 1.1}, ValueError),
        (spectral_utilization, {"kind": "firm"}, ValueError),
    ],
)
def test_options_are_checked(function, options, error):
    with pytest.raises(error, match=next(iter(options))):
        function(made(), **options)


# -- what METRICS says ----------------------------------------------------------------


def test_names():
    assert set(NAMES) == KNOWN
    assert set(NAMES) <= set(metrics.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_facts(name):
    metric = METRICS[name]
    assert metric.function is getattr(metrics, name)
    expected = {"unit_moments"} if name in UNIT else {"moments"}
    assert metric.needs == expected | ({"rows"} if name == "vrm" else set())
    direction = "lower" if name in LOWER else "higher"
    assert metric.direction == (None if name == "alpha_req" else direction)
    parameters = inspect.signature(metric.function).parameters
    first = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert first == ["X"]
    assert parameters["sample_weight"].default is None
    doc = metric.function.__doc__
    for section in ("Returns", "Notes", "References", "Examples"):
        assert re.search(rf"^ *{section}\n *-+\n", doc, flags=re.MULTILINE), section
    assert re.match(r"\w+", metric.source)[0] in doc.partition("References")[2]
    assert f"{direction} is" in doc or name == "alpha_req"


@pytest.mark.parametrize("name", NAMES)
def test_range(name):
    rounding = 1e-14
    low, high = METRICS[name].range
    for n, d in ((300, 12), (12, 40), (3, 5)):
        for decay in (0.0, 1.0, 6.0):
            for offset in (0.0, 1e4):
                X = made(n, d, offset=offset, decay=decay)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", CollapseWarning)
                    value = measure(name, X)
                if name == "alpha_req" and (math.isnan(value) or min(n - 1, d) < 11):
                    assert math.isnan(value)
                    continue
                assert low - rounding <= value <= high + rounding
                if name in RANKS:
                    assert 1 <= value <= d


@pytest.mark.parametrize("name", sorted(KNOWN - {"alpha_req"}))
def test_direction(name):
    """The better value belongs to rows that spread over more directions."""
    even = 2 * np.random.default_rng(0).normal(size=(300, 6))
    narrow = even * [1.0, 0.3, 0.1, 0.01, 1e-3, 0.0] @ np.linalg.qr(even[:6])[0] + 0.5
    better, worse = measure(name, even), measure(name, narrow)
    assert better < worse if name in LOWER else better > worse


@pytest.mark.parametrize("name", NAMES)
def test_invariances_are_complete(name):
    """An invariance that is not listed does not hold: maps that change the value."""
    rng = np.random.default_rng(0)
    X = made(10, 14, seed=3, offset=0.3)  # fewer rows than features
    shear = np.eye(14) + np.triu(rng.normal(size=(14, 14)), 1)
    maps = {
        "rotation": lambda X: X @ np.linalg.qr(rng.normal(size=(14, 14)))[0],
        "translation": lambda X: X + 3 * rng.normal(size=14),
        "scale": lambda X: 0.05 * X,
        "invertible": lambda X: X @ shear,
        "cloning": lambda X: np.repeat(X, 3, axis=0),
    }
    options = {"fit_range": (1, 9)} if name == "alpha_req" else {}
    value = measure(name, X, **options)
    for kind in maps.keys() - METRICS[name].invariances:
        moved = measure(name, maps[kind](X), **options)
        assert not math.isclose(value, moved, rel_tol=1e-4), kind
    for kind in METRICS[name].invariances:
        moved = measure(name, maps[kind](X), **options)
        assert_allclose(moved, value, rtol=1e-7, atol=1e-9, err_msg=kind)


@pytest.mark.parametrize("function", [nesum, nuclear_rank, stable_rank])
def test_relative_ranks_of_a_known_spectrum(function):
    X = with_spectrum([4.0, 1.0, 0.25])
    expected = {nesum: 1.3125, nuclear_rank: 1.75, stable_rank: 1.3125}[function]
    assert_allclose(function(X), expected, rtol=1e-12)
