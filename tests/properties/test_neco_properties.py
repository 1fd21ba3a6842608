"""Properties of NECO and of the logit scores, on data that Hypothesis makes up."""

import warnings

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sklearn_collapse.ood import LogitDetector, NECODetector

few = settings(max_examples=25)
seeds = st.integers(0, 2**32 - 1)
components = st.one_of(st.floats(0.05, 0.95), st.integers(1, 2))
plain = st.fixed_dictionaries(
    {
        "scale": st.just(False),
        "center": st.booleans(),
        "denominator": st.sampled_from(["scaled", "raw"]),
        "head": st.sampled_from([None, "lda"]),
    }
)
options = plain | st.fixed_dictionaries(
    {"denominator": st.sampled_from(["scaled", "raw"])}
)


def make_data(seed, n_classes, d):
    """Training rows with distinct variances; labels; rows from elsewhere."""
    rng = np.random.default_rng(seed)
    n = n_classes * (d + 12)
    y = np.arange(n) % n_classes
    spread = np.geomspace(1, 3, d)
    mix = np.linalg.qr(rng.normal(size=(d, d)))[0] * spread
    X = rng.normal(size=(n, d)) @ mix.T + 2 * rng.normal(size=(n_classes, d))[y]
    return X, y, 2 * rng.normal(size=(20, d))


data = st.builds(make_data, seeds, st.integers(2, 4), st.integers(2, 6))


def scores(X, y, new, n_components=0.9, **options):
    return NECODetector(n_components, **options).fit(X, y).score_samples(new)


def assert_same(a, b, rtol=1e-6):
    assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


@given(data, components, plain, seeds)
@few
def test_rotations(drawn, n_components, chosen, seed):
    """Without a scaler the axes have no meaning."""
    X, y, new = drawn
    d = X.shape[1]
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    before = scores(X, y, new, n_components, **chosen)
    assert_same(scores(X @ turn, y, new @ turn, n_components, **chosen), before)


@given(data, components, options, st.floats(-6, 6))
@few
def test_scale(drawn, n_components, chosen, exponent):
    """The unit of the features cancels, or divides the raw denominator."""
    X, y, new = drawn
    unit = 10.0**exponent
    before = scores(X, y, new, n_components, **chosen)
    after = scores(unit * X, y, unit * new, n_components, **chosen)
    if chosen.get("scale", True) and chosen["denominator"] == "raw":
        after = after * unit
    assert_same(after, before)


@given(data, components, st.lists(st.floats(0.01, 100), min_size=6, max_size=6))
@few
def test_scaler_makes_every_unit_alike(drawn, n_components, units):
    X, y, new = drawn
    units = np.array(units[: X.shape[1]])
    for head in (None, "lda"):
        before = scores(X, y, new, n_components, head=head)
        assert_same(scores(units * X, y, units * new, n_components, head=head), before)


@given(data, st.sampled_from([{}, {"scale": False}]), st.floats(-1e3, 1e3))
@few
def test_translations(drawn, chosen, shift):
    X, y, new = drawn
    before = scores(X, y, new, 2, **chosen)
    assert_same(scores(X + shift, y, new + shift, 2, **chosen), before)


@given(data, components, options, st.integers(0, 19), st.integers(1, 20))
@few
def test_batches(drawn, n_components, chosen, start, size):
    X, y, new = drawn
    detector = NECODetector(n_components, **chosen).fit(X, y)
    part = slice(start, start + size)
    assert_same(
        detector.score_samples(new[part]), detector.score_samples(new)[part], 1e-10
    )


@given(data, options)
@few
def test_ratio_is_a_share(drawn, chosen):
    """In [0, 1], larger with each component, and 1 with all of them."""
    X, y, new = drawn
    chosen = {**chosen, "denominator": "scaled", "head": None}
    ratios = [scores(X, y, new, m, **chosen) for m in range(1, X.shape[1] + 1)]
    assert np.min(ratios) >= 0
    assert np.max(ratios) <= 1
    assert np.min(np.diff(ratios, axis=0)) >= -1e-12
    assert_allclose(ratios[-1], 1, rtol=1e-12)


@given(seeds, st.integers(2, 6), st.floats(-2, 2), st.floats(-50, 50))
@few
def test_logit_scores(seed, n_classes, exponent, shift):
    """Bounds, order of the classes, and a constant that is added to all logits."""
    rng = np.random.default_rng(seed)
    logits = 5 * rng.normal(size=(30, n_classes))
    temperature = 10.0**exponent
    found = {}
    for method in ("msp", "max_logit", "energy"):
        detector = LogitDetector(method, temperature=temperature).fit(logits)
        found[method] = detector.score_samples(logits)
        order = rng.permutation(n_classes)
        assert_same(detector.score_samples(logits[:, order]), found[method], 1e-10)
        moved = detector.score_samples(logits + shift)
        moves = 0.0 if method == "msp" else shift
        assert_allclose(moved, found[method] + moves, rtol=1e-7, atol=1e-7)
    assert np.all(found["msp"] <= 1)
    assert np.all(found["msp"] >= 1 / n_classes - 1e-12)
    gap = found["energy"] - found["max_logit"]
    # The identity that ties the three together.
    assert_allclose(gap, -temperature * np.log(found["msp"]), atol=1e-9, rtol=1e-6)


@given(st.integers(3, 8), st.integers(1, 7), st.booleans(), seeds)
@few
def test_equal_eigenvalues_warn(n_classes, k, single, seed):
    """C - 1 of them; cutting anywhere inside is told, at the end it is not."""
    rng = np.random.default_rng(seed)
    k = min(k, n_classes - 1)
    turn = np.linalg.qr(rng.normal(size=(10, n_classes)))[0]
    means = (np.eye(n_classes) - 1 / n_classes) @ turn.T * 10.0 ** rng.uniform(-3, 3)
    X = means.astype(np.float32 if single else float)[
        np.arange(6 * n_classes) % n_classes
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        NECODetector(k, scale=False).fit(X)
    assert len(caught) == (k < n_classes - 1)
