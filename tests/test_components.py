"""The number of components that a rule chooses, from moments."""

import re
import warnings

import numpy as np
import pytest
from sklearn.decomposition import PCA

from sklearn_collapse import ClassMoments
from sklearn_collapse._components import _n_varying, count_by_rule, count_components
from sklearn_collapse._linalg._component_rules import RULES, components_by_rule


def planted(n, d, rank, seed=0):
    """White noise, a mean, and directions well above it."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.normal(size=(n, rank)))[0]
    right = np.linalg.qr(rng.normal(size=(d, rank)))[0]
    size = 3 * (np.sqrt(n) + np.sqrt(d)) * np.linspace(1, 2, rank)
    return left * size @ right.T + rng.normal(size=(n, d)) + 2


def count(X, rule, y=None, scatter="total", weights=None):
    moments = ClassMoments().update(X, y, weights)
    return count_components(moments, moments._spectrum(scatter), rule, scatter=scatter)


def eigenvalues(X):
    return np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("n", "d"), [(300, 60), (60, 300)])
def test_from_moments(library, rule, dtype, n, d):
    X = planted(n, d, 4).astype(dtype)
    found = count(library.asarray(X), rule)
    assert type(found) is int
    assert found == 4


def test_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    for rank in (1, 3, 6, 9):
        X = rng.normal(size=(50, rank)) @ rng.normal(size=(rank, 10))
        X += 0.5 * rng.normal(size=(50, 10))
        expected = PCA(n_components="mle", svd_solver="full").fit(X).n_components_
        assert count(X, "mle") == expected


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("n", "d"), [(300, 40), (45, 400)])
def test_rows_about_their_class_means(rule, n, d):
    # 30 means are subtracted from 45 rows: 15 are left.
    rng = np.random.default_rng(0)
    y = np.arange(n) % 30
    X = planted(n, d, 2) + 50 * rng.normal(size=(30, d))[y]
    centred = X - np.stack([X[y == c].mean(axis=0) for c in range(30)])[y]
    free = n - 30
    values = np.linalg.svd(centred, compute_uv=False)[: min(free, d)] ** 2
    expected = max(1, components_by_rule(rule, values, free, d))
    assert count(X, rule, y, "within") == expected
    assert expected < 10


def dead(X):
    return np.concatenate([X, np.full((len(X), 70), 3.7)], axis=1)


def copied(X):
    return np.concatenate([X] * 3, axis=1)


def summed(X):
    return X @ np.linalg.qr(np.random.default_rng(1).normal(size=(90, X.shape[1])))[0].T


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("spoil", [dead, copied, summed])
def test_columns_that_add_no_direction_do_not_matter(rule, spoil):
    X = planted(200, 30, 5)
    assert count(X, rule) == 5
    assert count(spoil(X), rule) == 5
    noise = np.random.default_rng(3).normal(size=(200, 30))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert count(spoil(noise), rule) == count(noise, rule) == 1


@pytest.mark.parametrize("rule", RULES[1:])
def test_constant_columns_are_no_columns_of_wide_rows(rule):
    # 40 x 60 or 40 x 130: the threshold differs.
    rng = np.random.default_rng(0)
    changes = 0
    for size in np.linspace(5, 30, 26):
        X = rng.normal(size=(40, 60))
        X += size * np.outer(np.linspace(-1, 1, 40), np.ones(60)) / 8
        values = eigenvalues(X)[:39]
        expected = components_by_rule(rule, values, 39, 60)
        changes += expected != components_by_rule(rule, values, 39, 130)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert count(dead(X), rule) == max(expected, 1)
    assert changes


def test_columns_constant_within_classes_are_no_columns_of_wide_rows():
    rng = np.random.default_rng(0)
    y = np.arange(42) % 2
    within = np.linspace(-1, 1, 42) * np.where(y, 1, -1)
    changes = 0
    for size in np.linspace(5, 30, 26):
        X = rng.normal(size=(42, 60)) + size * within[:, None] / 8
        between = np.concatenate([X, 7.0 * y[:, None] + np.zeros(70)], axis=1)
        moments = ClassMoments().update(between, y)
        assert _n_varying(moments, "within") == 60
        assert _n_varying(moments, "total") == 130
        spectrum = moments._spectrum("within")
        assert spectrum.rank == 40
        expected, wrong = (
            components_by_rule("gavish-donoho", np.asarray(spectrum.values[:40]), 40, d)
            for d in (60, 130)
        )
        changes += expected != wrong
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = count(between, "gavish-donoho", y, "within")
        assert found == max(expected, 1)
    assert changes


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("n", "d"), [(300, 60), (60, 300)])
def test_correlations(rule, n, d):
    X = planted(n, d, 3) * np.geomspace(1, 1e6, d)
    X = np.concatenate([X, np.ones((n, 5))], axis=1)
    moments = ClassMoments().update(X)
    spectrum, deviations = moments._correlations("total")
    Z = (X - X.mean(axis=0))[:, :d] / X.std(axis=0)[:d]
    values = np.linalg.svd(Z, compute_uv=False)[: min(n - 1, d)] ** 2
    expected = components_by_rule(rule, values, n - 1, d)
    assert count_components(moments, spectrum, rule, deviations) == expected


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("n", "d"), [(300, 60), (60, 300)])
def test_shrinkage_does_not_change_what_is_noise(rule, n, d):
    moments = ClassMoments().update(planted(n, d, 4))
    plain = moments._spectrum("total")
    for share in (0.1, 0.5):
        shrunk = moments._spectrum("total", share)
        assert count_components(moments, shrunk, rule, plain=plain) == 4


@pytest.mark.parametrize("rule", RULES)
def test_no_more_than_there_are(rule):
    moments = ClassMoments().update(planted(300, 60, 4))
    plain = moments._spectrum("total")
    few = plain._replace(rank=3)
    assert count_components(moments, few, rule, plain=plain) == 3


def hadamard(n):
    """Columns of 1 and -1, orthogonal and exactly of mean 0 but for the first."""
    H = np.array([[1.0]])
    while len(H) < n:
        H = np.block([[H, H], [H, -H]])
    return H


@pytest.mark.parametrize(("precision", "expected"), [("single", 5), ("double", None)])
def test_ties_are_judged_at_the_precision_of_the_products(precision, expected):
    variances = np.array([9, 7, 5, 4, 3, *np.linspace(1 + 2e-7, 1 - 2e-7, 50)])
    X = hadamard(64)[:, 1:56] * np.sqrt(variances)
    moments = ClassMoments(precision=precision).update(X, None, np.full(64, 20.0))
    k = count_components(moments, moments._spectrum("total"), "mle")
    assert k == (expected or 54)


# -- warnings and errors ---------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES[1:])
def test_noise_alone_keeps_one_and_warns(rule):
    X = np.random.default_rng(1).normal(size=(200, 30))
    message = rf"n_components='{rule}' none of the 30 directions stands out"
    with pytest.warns(UserWarning, match=message) as caught:
        assert count(X, rule) == 1
    assert caught[0].filename == __file__
    assert count(X, "mle") == 1


@pytest.mark.parametrize("rule", RULES)
def test_a_single_direction_is_kept(rule):
    X = np.outer(np.arange(9.0), [1, 2, 3])
    assert count(X, rule) == 1
    assert count(X[:2], rule) == 1


@pytest.mark.parametrize("rule", RULES)
def test_nothing_to_count_keeps_one(rule):
    with pytest.warns(UserWarning, match="none of the 0 directions"):
        assert count_by_rule(rule, np.zeros(0), 10, 4, 1) == 1


@pytest.mark.parametrize("rule", RULES)
def test_cutting_a_tie_warns(rule):
    H = hadamard(64)
    tied = {"mle": [30.0, 30.0, 0.3, 0.3]}.get(rule, [30.0, 30.0, 0.3])
    X = H[:, 1 : len(tied) + 1] * np.sqrt(tied)
    moments = ClassMoments().update(X)
    spectrum = moments._spectrum("total")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        k = count_components(moments, spectrum, rule)
    cut = [w for w in caught if f"eigenvalues {k} and {k + 1} are equal" in str(w)]
    values = np.asarray(spectrum.values)
    assert bool(cut) == (abs(values[k - 1] / values[k] - 1) < 1e-12)
    flat = ClassMoments().update(H[:, 1:8])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert count_components(flat, flat._spectrum("total"), rule) == 1
    told = [str(w.message) for w in caught]
    message = f"eigenvalues 1 and 2 are equal.*n_components='{rule}'"
    assert any(re.search(message, text) for text in told)


@pytest.mark.parametrize("size", [1e-100, 1e100, 1e150])
def test_no_ties_where_squares_of_eigenvalues_overflow(size):
    """Nor where they underflow; warnings are errors."""
    X = size * np.random.default_rng(0).normal(size=(100, 4)) * [4.0, 3, 2, 1]
    assert count(X, 2) == 2
    tied = size * hadamard(64)[:, 1:5]
    with pytest.warns(UserWarning, match="eigenvalues 2 and 3 are equal"):
        count(tied, 2)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("total", [1.0, 8.0])
def test_weights_that_do_not_count_rows(rule, total):
    X = planted(50, 12, 2)
    message = rf"12 directions count and the weights sum to {total:g}, .* frequencies"
    with pytest.raises(ValueError, match=message):
        count(X, rule, weights=np.full(50, total / 50))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("weight", [1 - 1e-9, 0.995, 1.005, 1 + 1e-9])
def test_weights_that_are_fractions(rule, weight):
    X = planted(60, 200, 4)
    assert count(X, rule, weights=np.full(60, weight)) == 4


def test_the_means_are_not_free():
    values = np.geomspace(100, 0.01, 40)
    with pytest.raises(ValueError, match=r"41, which about 2 .* span at most 39"):
        count_by_rule("gavish-donoho", values, 41, 40, 2)
    wide = components_by_rule("gavish-donoho", values, 40, 200)
    assert count_by_rule("gavish-donoho", values, 41, 200, 1) == wide
    assert count_by_rule("gavish-donoho", values, 90, 200, 50) == wide
    assert count_by_rule("gavish-donoho", values, 90, 200, 1) != wide


@pytest.mark.parametrize("rule", RULES)
def test_weights_are_repetitions(rule):
    rng = np.random.default_rng(0)
    X = planted(150, 20, 3)
    weights = rng.integers(0, 4, 150)
    y = np.arange(150) % 3
    for scatter in ("total", "within"):
        weighted = count(X, rule, y, scatter, weights)
        assert weighted == count(
            np.repeat(X, weights, axis=0), rule, np.repeat(y, weights), scatter
        )


def test_the_weights_are_the_number_of_rows():
    # More of the same rows are more evidence.
    X = np.random.default_rng(4).normal(size=(60, 12))
    few = count(X, "mle")
    many = count(X, "mle", weights=np.full(60, 50.0))
    assert few < many
