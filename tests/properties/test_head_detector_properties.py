"""Properties of Residual, ViM, NCI and fDBD, on data that Hypothesis makes up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse import LinearHead
from sklearn_collapse.ood import (
    FDBDDetector,
    NCIDetector,
    ResidualDetector,
    ViMDetector,
)

few = settings(max_examples=25)
seeds = st.integers(0, 2**32 - 1)


def make_data(seed, n_classes, d):
    """Training rows with distinct variances; labels; rows from elsewhere."""
    rng = np.random.default_rng(seed)
    n = n_classes * (d + 12)
    y = np.arange(n) % n_classes
    mix = np.linalg.qr(rng.normal(size=(d, d)))[0] * np.geomspace(1, 3, d)
    X = rng.normal(size=(n, d)) @ mix.T + 2 * rng.normal(size=(n_classes, d))[y]
    return X, y, 2 * rng.normal(size=(20, d))


data = st.builds(make_data, seeds, st.integers(2, 4), st.integers(3, 6))
DETECTORS = {
    "residual": ResidualDetector(1),
    "zero": ResidualDetector(1, origin="zero"),
    "vim": ViMDetector("lda", n_components=1),
    "vim zero": ViMDetector("lda", n_components=1, origin="zero"),
    "angle": NCIDetector(alpha=0),
    "fdbd": FDBDDetector(),
}
detectors = pytest.mark.parametrize("name", DETECTORS)


def scores(name, X, y, new):
    detector = DETECTORS[name]
    return type(detector)(**detector.get_params()).fit(X, y).score_samples(new)


def assert_same(a, b, rtol=1e-6):
    assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


@detectors
@given(drawn=data, seed=seeds)
@few
def test_rotations(name, drawn, seed):
    X, y, new = drawn
    d = X.shape[1]
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    assert_same(scores(name, X @ turn, y, new @ turn), scores(name, X, y, new))


@detectors
@given(drawn=data, exponent=st.floats(-6, 6))
@few
def test_scale(name, drawn, exponent):
    """Scores are the same, or multiples."""
    X, y, new = drawn
    unit = 10.0**exponent
    power = {"residual": 1, "zero": 1, "angle": -1}.get(name, 0)
    after = scores(name, unit * X, y, unit * new) / unit**power
    assert_same(after, scores(name, X, y, new))


@pytest.mark.parametrize("name", [k for k in DETECTORS if "zero" not in k])
@given(drawn=data, shift=st.floats(-1e3, 1e3))
@few
def test_translations(name, drawn, shift):
    X, y, new = drawn
    assert_same(scores(name, X + shift, y, new + shift), scores(name, X, y, new))


@detectors
@given(drawn=data, start=st.integers(0, 19), size=st.integers(1, 20))
@few
def test_batches(name, drawn, start, size):
    X, y, new = drawn
    detector = DETECTORS[name]
    fitted = type(detector)(**detector.get_params()).fit(X, y)
    part = slice(start, start + size)
    whole = fitted.score_samples(new)
    assert_same(fitted.score_samples(new[part]), whole[part], 1e-10)
    sign = np.where(fitted.decision_function(new) >= 0, 1, -1)
    assert_array_equal(fitted.predict(new), sign)


@detectors
@given(drawn=data, contamination=st.floats(0.01, 0.5))
@few
def test_contamination(name, drawn, contamination):
    X, y, _ = drawn
    detector = DETECTORS[name]
    options = {**detector.get_params(), "contamination": contamination}
    flagged = np.sum(type(detector)(**options).fit_predict(X, y) == -1)
    assert flagged == int(contamination * len(X) + 1e-9)


@given(data)
@few
def test_residuals_and_norm(drawn):
    """Larger with each direction that is left; all of them together are the length."""
    X, y, new = drawn
    lengths = np.linalg.norm(new - X.mean(axis=0), axis=1)
    found = [
        -ResidualDetector(k).fit(X, y).score_samples(new) for k in range(1, X.shape[1])
    ]
    assert np.max(np.diff(found, axis=0), initial=0) <= 1e-9
    assert np.all(found[0] <= lengths + 1e-9)
    inside = (new - X.mean(axis=0)) @ ResidualDetector(2).fit(X).components_.T
    assert_allclose(np.hypot(np.linalg.norm(inside, axis=1), found[1]), lengths)


@given(data)
@few
def test_alpha_balances_the_means(drawn):
    """alpha x mean residual is the mean largest logit: its definition."""
    X, y, _ = drawn
    vim = ViMDetector("lda", n_components=1).fit(X, y)
    norms = -ResidualDetector(1).fit(X).score_samples(X)
    energies = vim.score_samples(X) + vim.alpha_ * norms
    largest = vim.alpha_ * norms.mean()
    # An energy is between the largest logit and that plus log C.
    assert largest <= energies.mean() + 1e-9
    assert energies.mean() <= largest + np.log(y.max() + 1) + 1e-9
    assert vim.alpha_ > 0


@given(data, seeds, st.floats(-5, 5), st.floats(0.1, 10))
@few
def test_fdbd_knows_differences_of_logits_alone(drawn, seed, shift, unit):
    """One vector for all weights, one constant for all intercepts, and a unit."""
    X, y, new = drawn
    rng = np.random.default_rng(seed)
    coef, b = rng.normal(size=(5, X.shape[1])), rng.normal(size=5)
    before = FDBDDetector(LinearHead(coef, b)).fit(X, y).score_samples(new)
    moved = LinearHead(unit * (coef + rng.normal(size=X.shape[1])), unit * (b + shift))
    assert_same(FDBDDetector(moved).fit(X, y).score_samples(new), before)
    assert np.min(before) >= 0


@given(data, seeds, st.floats(0, 3))
@few
def test_alignment_is_bounded(drawn, seed, alpha):
    """By the longest weights, on both sides."""
    X, y, new = drawn
    coef = np.random.default_rng(seed).normal(size=(5, X.shape[1]))
    found = NCIDetector(LinearHead(coef), alpha=alpha).fit(X, y).score_samples(new)
    along = found - alpha * np.abs(new).sum(axis=1)
    assert np.max(np.abs(along)) <= np.linalg.norm(coef, axis=1).max() + 1e-9
