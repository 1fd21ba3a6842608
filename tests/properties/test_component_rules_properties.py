"""Properties of the rules for the number of directions, over spectra and rows."""

import warnings

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sklearn_collapse import ClassMoments
from sklearn_collapse._components import count_components
from sklearn_collapse._linalg._component_rules import (
    RULES,
    components_by_rule,
    gavish_donoho,
    hard_threshold,
    marchenko_pastur,
    marchenko_pastur_median,
)

ANY_RULE = st.sampled_from(RULES)
SEEDS = st.integers(0, 2**32 - 1)
BETAS = st.floats(1e-9, 1)


@st.composite
def spectra(draw, odd=False):
    """Descending eigenvalues, some of them equal, with a shape they can come from."""
    rank = 2 * draw(st.integers(0, 12)) + 1 if odd else draw(st.integers(1, 25))
    logs = st.floats(-20, 20) | st.sampled_from([-3.0, 0.0, 5.0])
    values = np.exp(draw(st.lists(logs, min_size=rank, max_size=rank)))
    n_rows = rank + draw(st.integers(0, 200))
    n_features = rank + draw(st.integers(0, 200))
    return -np.sort(-values), n_rows, n_features


@st.composite
def rows(draw):
    """Noise with a few directions of more than it, classes, and whole weights."""
    rng = np.random.default_rng(draw(SEEDS))
    n, d = draw(st.integers(12, 60)), draw(st.integers(2, 40))
    rank = draw(st.integers(0, min(d, 5)))
    signal = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d))
    X = draw(st.sampled_from([0.0, 1.0, 4.0])) * signal + rng.normal(size=(n, d))
    return X, np.arange(n) % 3, rng.integers(1, 4, n)


def count(X, rule, y=None, weights=None, scatter="total"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        moments = ClassMoments().update(X, y, weights)
        spectrum = moments._spectrum(scatter)
        return count_components(moments, spectrum, rule, scatter=scatter)


@given(spectra(), ANY_RULE)
def test_counts_are_possible(spectrum, rule):
    values, n_rows, n_features = spectrum
    k = components_by_rule(rule, values, n_rows, n_features)
    least = 1 if rule == "mle" else 0
    assert least <= k <= max(len(values) - 1, 1)


@given(spectra(), ANY_RULE, st.integers(-900, 900))
def test_units_do_not_matter(spectrum, rule, power):
    values, n_rows, n_features = spectrum
    k = components_by_rule(rule, values, n_rows, n_features)
    scaled = np.ldexp(values, power)
    assert components_by_rule(rule, scaled, n_rows, n_features) == k


@given(spectra(odd=True))
def test_the_threshold_is_above_the_edge(spectrum):
    # With an even number the medians of l and of sqrt(l) differ.
    assert gavish_donoho(*spectrum) <= marchenko_pastur(*spectrum)


@given(BETAS, BETAS)
def test_order_of_the_constants(one, other):
    low, high = sorted((one, other))
    # Sides more alike: the law is wider and its median lower.
    up = 1 + 1e-14
    assert marchenko_pastur_median(low) * up >= marchenko_pastur_median(high)
    assert hard_threshold(low) <= hard_threshold(high) * up
    edge = (1 + np.sqrt(low)) / np.sqrt(marchenko_pastur_median(low))
    assert edge < hard_threshold(low)


@given(rows(), ANY_RULE, st.sampled_from(["total", "within"]))
def test_weights_are_repetitions(data, rule, scatter):
    X, y, weights = data
    k = count(X, rule, y, weights, scatter)
    X, y = np.repeat(X, weights, axis=0), np.repeat(y, weights)
    assert count(X, rule, y, scatter=scatter) == k


@given(rows(), ANY_RULE, SEEDS, st.sampled_from([1e-7, 1, 1e7]))
def test_the_frame_of_the_features_does_not_matter(data, rule, seed, scale):
    X, _, _ = data
    d = X.shape[1]
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    assert count(scale * (X @ turn + 3), rule) == count(X, rule)


@given(rows(), ANY_RULE, st.integers(1, 50))
def test_dead_columns_do_not_matter(data, rule, more):
    X, y, _ = data
    dead = np.concatenate([np.zeros((len(X), more)), X], axis=1)
    for scatter in ("total", "within"):
        assert count(dead, rule, y, scatter=scatter) == count(
            X, rule, y, scatter=scatter
        )


@given(rows(), ANY_RULE)
def test_one_class_within_is_total(data, rule):
    X, _, _ = data
    assert count(X, rule, scatter="within") == count(X, rule)
