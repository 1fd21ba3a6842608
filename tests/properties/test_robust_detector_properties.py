"""Properties of the comedian, of reconstruction and of class subspace scores."""

import warnings

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse.ood import (
    ClassSubspaceDetector,
    ComedianCovariance,
    ReconstructionDetector,
)

few = settings(max_examples=25)
seeds = st.integers(0, 2**32 - 1)
exponents = st.floats(-6, 6)
shares = st.sampled_from(["auto", 0.0, 0.3])


def make_data(seed, n_classes, d):
    """Training rows with distinct variances; labels; rows from elsewhere."""
    rng = np.random.default_rng(seed)
    n = n_classes * (d + 12)
    y = np.arange(n) % n_classes
    mix = np.linalg.qr(rng.normal(size=(d, d)))[0] * np.geomspace(1, 3, d)
    X = rng.normal(size=(n, d)) @ mix.T + 2 * rng.normal(size=(n_classes, d))[y]
    return X, y, 2 * rng.normal(size=(20, d))


data = st.builds(make_data, seeds, st.integers(1, 4), st.integers(3, 6))
reconstructions = st.builds(
    ReconstructionDetector,
    st.one_of(st.none(), st.integers(1, 2), st.floats(0.05, 0.9)),
    latent_weight=st.sampled_from([0.0, 0.5, 1.0]),
    residual_weight=st.sampled_from([0.5, 1.0]),
)
subspaces = st.builds(
    ClassSubspaceDetector,
    st.one_of(st.integers(1, 3), st.floats(0.05, 0.95)),
    centered=st.booleans(),
)
detectors = st.one_of(reconstructions, subspaces)


def scores(detector, X, y, new):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ties
        return detector.fit(X, y).score_samples(new)


def assert_same(a, b, rtol=1e-6):
    assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


@given(data, detectors, seeds)
@few
def test_rotations(drawn, detector, seed):
    X, y, new = drawn
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(X.shape[1],) * 2))[0]
    before = scores(detector, X, y, new)
    assert_same(scores(detector, X @ turn, y, new @ turn), before)


@given(data, detectors, exponents)
@few
def test_scale(drawn, detector, exponent):
    X, y, new = drawn
    unit = 10.0**exponent
    before = scores(detector, X, y, new)
    assert_same(scores(detector, unit * X, y, unit * new), before)


@given(data, detectors, st.floats(-1e3, 1e3))
@few
def test_translations(drawn, detector, shift):
    """They change the directions from the origin."""
    X, y, new = drawn
    if getattr(detector, "centered", True):
        before = scores(detector, X, y, new)
        assert_same(scores(detector, X + shift, y, new + shift), before)


@given(data, detectors, st.integers(0, 19), st.integers(1, 20))
@few
def test_batches(drawn, detector, start, size):
    X, y, new = drawn
    whole = scores(detector, X, y, new)
    part = slice(start, start + size)
    assert_same(detector.score_samples(new[part]), whole[part], 1e-10)
    decision = detector.decision_function(new)
    assert_array_equal(detector.predict(new), np.where(decision >= 0, 1, -1))


@given(data, detectors, st.sampled_from([0.05, 0.1, 0.3]))
@few
def test_contamination(drawn, detector, contamination):
    X, y, _ = drawn
    scores(detector.set_params(contamination=contamination), X, y, X)
    flagged = np.sum(detector.predict(X) == -1)
    assert flagged <= contamination * len(X) + 1e-9


@given(data, st.integers(1, 3), st.booleans())
@few
def test_ratios_are_shares(drawn, k, centered):
    """In [0, 1], and larger with each component."""
    X, y, new = drawn
    ratios = [
        scores(ClassSubspaceDetector(m, centered=centered), X, y, new)
        for m in (k, k + 1)
    ]
    assert np.min(ratios) >= 0
    assert np.max(ratios) <= 1
    assert np.min(ratios[1] - ratios[0]) >= -1e-12


@given(data, exponents, exponents)
@few
def test_weights_are_linear(drawn, latent, residual):
    """The score is the weighted sum of its two terms."""
    X, y, new = drawn
    a, b = 10.0**latent, 10.0**residual

    def score(latent_weight, residual_weight):
        detector = ReconstructionDetector(
            2, latent_weight=latent_weight, residual_weight=residual_weight
        )
        return scores(detector, X, y, new)

    assert_same(score(a, b), a * score(1, 0) + b * score(0, 1))
    assert np.all(score(a, b) <= 0)


@given(data, shares, exponents, st.floats(-1e3, 1e3))
@few
def test_comedian_unit_and_shift(drawn, share, exponent, shift):
    X, _, _ = drawn
    unit = 10.0**exponent
    before = ComedianCovariance(share).fit(X)
    after = ComedianCovariance(share).fit(unit * (X + shift))
    assert_same(after.covariance_, unit**2 * before.covariance_)
    assert_allclose(after.shrinkage_, before.shrinkage_, rtol=1e-6)
    assert_same(after.mahalanobis(unit * (X + shift)), before.mahalanobis(X), 1e-4)


@given(data, shares, seeds)
@few
def test_comedian_order_and_signs(drawn, share, seed):
    """Permuted columns, rows and signs permute the covariance."""
    X, _, _ = drawn
    rng = np.random.default_rng(seed)
    columns = rng.permutation(X.shape[1])
    signs = rng.choice([-1, 1], X.shape[1])
    before = ComedianCovariance(share).fit(X).covariance_
    moved = rng.permutation(X, axis=0)[:, columns] * signs
    after = ComedianCovariance(share).fit(moved).covariance_
    expected = before[columns][:, columns] * np.outer(signs, signs)
    assert_same(after, expected, 1e-9)


@given(data, st.floats(0, 1), st.lists(st.floats(0.01, 100), min_size=6, max_size=6))
@few
def test_comedian_variances(drawn, share, units):
    """Without shrinkage every column has its own unit; with it the trace stays."""
    X, _, _ = drawn
    units = np.array(units[: X.shape[1]])
    plain = ComedianCovariance(0.0).fit(X)
    if np.linalg.eigvalsh(plain.covariance_)[0] > 1e-9:  # nothing was cut
        scaled = ComedianCovariance(0.0).fit(X * units).covariance_
        assert_same(scaled / np.outer(units, units), plain.covariance_)
        shrunk = ComedianCovariance(share).fit(X).covariance_
        assert_allclose(shrunk.trace(), plain.covariance_.trace(), rtol=1e-9)
    assert np.linalg.eigvalsh(plain.covariance_)[0] > -1e-9
