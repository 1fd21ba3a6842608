"""Properties of scores of logits and of shaped activations."""

import numpy as np
import oracles_logits
import oracles_shaping
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse import LinearHead
from sklearn_collapse._linalg._quantiles import entry_quantiles, entry_range
from sklearn_collapse.ood import ActivationShaper, LogitDetector
from sklearn_collapse.utils._arrays import Rows

few = settings(max_examples=30)
seeds = st.integers(0, 2**32 - 1)
compared = st.sampled_from(["entropy", "gen", "klm", "margin", "msp"])
by_rank = st.sampled_from(["ash_p", "ash_b", "ash_s", "scale"])
shapers = st.sampled_from(["ash_p", "ash_b", "ash_s", "scale", "react", "vra"])
percentiles = st.floats(0, 100)
shapes = st.tuples(st.integers(2, 12), st.integers(1, 8))
finite = st.floats(-1e6, 1e6, allow_subnormal=False)


def make_logits(seed, n_classes, size):
    rng = np.random.default_rng(seed)
    return size * rng.normal(size=(20, n_classes)), size * rng.normal(
        size=(9, n_classes)
    )


logits = st.builds(
    make_logits, seeds, st.integers(2, 7), st.sampled_from([0.1, 1.0, 30.0])
)


def activations(seed, n, d):
    rng = np.random.default_rng(seed)
    X, new = rng.normal(size=(n, d)), rng.normal(size=(5, d))
    return np.maximum(X, 0), np.maximum(new, 0)


rows = st.builds(activations, seeds, st.integers(2, 30), st.integers(1, 9))


@given(logits, compared, st.sampled_from([0.3, 1.0, 10.0]))
@few
def test_scores_are_within_their_range(drawn, method, temperature):
    X, new = drawn
    n_classes = X.shape[1]
    detector = LogitDetector(method, temperature=temperature, n_top=3).fit(X)
    found = detector.score_samples(new)
    low, high = {
        "msp": (1 / n_classes, 1),
        "entropy": (-np.log(n_classes), 0),
        "gen": (-min(3, n_classes), 0),
        "klm": (-np.inf, 0),
        "margin": (0, np.inf),
    }[method]
    slack = 1e-12 * max(1.0, abs(low) if np.isfinite(low) else 1.0)
    assert (found >= low - slack).all()
    assert (found <= high + slack).all()


@given(logits, compared, seeds, st.floats(-100, 100))
@few
def test_order_of_classes_and_constants(drawn, method, seed, constant):
    X, new = drawn
    order = np.random.default_rng(seed).permutation(X.shape[1])
    before = LogitDetector(method).fit(X).score_samples(new)
    after = LogitDetector(method).fit(X[:, order] + constant)
    after = after.score_samples(new[:, order] + constant)
    # Adding a constant rounds the logits.
    tolerance = 1e-12 * (100 + np.abs(new).max())
    assert_allclose(after, before, rtol=10 * tolerance, atol=10 * tolerance)


@given(logits, st.sampled_from([0.1, 0.7]), st.integers(1, 8))
@few
def test_gen_is_the_formula(drawn, gamma, n_top):
    X, new = drawn
    found = LogitDetector("gen", gamma=gamma, n_top=n_top).fit(X).score_samples(new)
    expected = oracles_logits.by_rows(
        oracles_logits.generalized, new, 1.0, gamma, n_top, digits=200
    )
    assert_allclose(found, expected, rtol=1e-10, atol=1e-300)


@given(logits, st.integers(0, 2**16))
@few
def test_klm_is_the_formula(drawn, seed):
    X, new = drawn
    weights = np.random.default_rng(seed).integers(0, 3, len(X)) + 1
    found = LogitDetector("klm").fit(X, None, weights).score_samples(new)
    means = oracles_logits.mean_softmax(X, 1.0, weights).values()
    expected = oracles_logits.matching(new, means)
    assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@given(
    arrays.arrays(float, shapes, elements=finite),
    st.lists(st.floats(0, 1), min_size=1, max_size=3),
    st.integers(0, 2**16),
)
@few
def test_quantiles_are_numpys(X, shares, seed):
    block = Rows(X, "cpu")
    found = entry_quantiles(block, shares, None, entry_range(block))
    scale = np.abs(X).max()
    assert_allclose(found, np.quantile(X, shares), rtol=1e-12, atol=1e-12 * scale)
    weights = np.random.default_rng(seed).integers(1, 4, len(X)).astype(float)
    found = entry_quantiles(block, shares, weights, entry_range(block))
    expected = [oracles_shaping.quantile(X, share, weights) for share in shares]
    assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * scale)


@given(rows, shapers, percentiles, st.sampled_from([1e-6, 0.5, 1e6]))
@few
def test_unit_of_activations(drawn, method, percentile, unit):
    X, new = drawn
    options = {"percentile": percentile, "lower_percentile": percentile / 2}
    before = ActivationShaper(method, **options).fit(X).transform(new)
    after = ActivationShaper(method, **options).fit(unit * X).transform(unit * new)
    assert_allclose(after, unit * before, rtol=1e-9, atol=1e-12 * unit)


@given(rows, by_rank, percentiles, seeds)
@few
def test_order_of_features(drawn, method, percentile, seed):
    """Where no activations tie, their order does not matter."""
    X, new = drawn
    new = new + 1e-3 * np.arange(1, 1 + new.size).reshape(new.shape)
    order = np.random.default_rng(seed).permutation(X.shape[1])
    shaper = ActivationShaper(method, percentile=percentile).fit(X)
    before, after = shaper.transform(new), shaper.transform(new[:, order])
    assert_allclose(after, before[:, order], rtol=1e-12)


@given(rows, percentiles)
@few
def test_kept_activations(drawn, percentile):
    """No more than k of them, and none that is left out is larger."""
    X, new = drawn
    shaper = ActivationShaper("ash_p", percentile=percentile).fit(X)
    found = shaper.transform(new)
    assert (np.sum(found > 0, axis=1) <= shaper.n_kept_).all()
    largest = np.sort(new, axis=1)[:, ::-1][:, : shaper.n_kept_]
    assert_allclose(found.sum(axis=1), largest.sum(axis=1), rtol=1e-12)


@given(rows, percentiles)
@few
def test_clipping_twice_is_clipping_once(drawn, percentile):
    X, new = drawn
    for method in ("react", "vra"):
        shaper = ActivationShaper(method, percentile=percentile, lower_percentile=0)
        once = shaper.fit(X).transform(new)
        assert_array_equal(shaper.transform(once), once)
        assert once.max() <= max(shaper.upper_, 0)


@given(seeds, st.integers(2, 5), st.integers(2, 6))
@few
def test_optimal_is_the_formula(seed, n_classes, d):
    rng = np.random.default_rng(seed)
    X, new = rng.normal(size=(15, d)), rng.normal(size=(5, d))
    coef = rng.normal(size=(n_classes, d))
    head = LinearHead(coef) if n_classes > 2 else LinearHead(coef, classes=[0, 1])
    decided = np.argmax(X @ coef.T, axis=1)
    edges, factors = oracles_shaping.factors(X, coef, decided)
    found = ActivationShaper("optimal", head=head).fit(X).transform(new)
    near = np.abs(new[:, :, None] - np.asarray(edges)).min(axis=2) > 1e-12
    expected = oracles_shaping.reweighed(new, edges, factors)
    assert_allclose(found[near], expected[near], rtol=1e-7, atol=1e-6)
