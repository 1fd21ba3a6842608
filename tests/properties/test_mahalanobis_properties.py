"""Properties of class densities, components and radii, on data of Hypothesis."""

import numpy as np
import oracles_mahalanobis as oracle
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse import ClassMoments
from sklearn_collapse.ood import MahalanobisDetector, MahalanobisSVDD

few = settings(max_examples=15)
seeds = st.integers(0, 2**32 - 1)
DETECTORS = {
    "class": MahalanobisDetector("class"),
    "class relative": MahalanobisDetector("class", relative=True, shrinkage=0.1),
    "class oas": MahalanobisDetector("class", shrinkage="oas"),
    "top": MahalanobisDetector(components="top", variance_share=0.6),
    "bottom": MahalanobisDetector(components="bottom", variance_share=0.2),
    "bottom class": MahalanobisDetector(
        "class", components="bottom", variance_share=0.2, relative=True
    ),
    "svdd": MahalanobisSVDD(0.9),
}
names = st.sampled_from(sorted(DETECTORS))


def make_data(seed, n_classes, d):
    """Training rows, labels, rows from elsewhere; no two eigenvalues are close."""
    rng = np.random.default_rng(seed)
    n = n_classes * (2 * d + 8)
    y = rng.permutation(np.arange(n) % n_classes)
    spread = 2.0 ** np.arange(d) * rng.uniform(0.9, 1.1, (n_classes, 1))
    X = rng.normal(size=(n, d)) * spread[y] + 2 * rng.normal(size=(n_classes, d))[y]
    return X, y, 2 * rng.normal(size=(20, d))


data = st.builds(make_data, seeds, st.integers(1, 4), st.integers(2, 5))


def fitted(name, X, y, weights=None):
    # Clones would be as good: a fit starts anew.
    return DETECTORS[name].fit(X, y, weights)


@given(data, names, seeds, st.floats(-100, 100))
@few
def test_rigid_motions_change_nothing(drawn, name, seed, shift):
    X, y, new = drawn
    Q = np.linalg.qr(np.random.default_rng(seed).normal(size=(X.shape[1],) * 2))[0]
    before = fitted(name, X, y).score_samples(new)
    after = fitted(name, X @ Q + shift, y).score_samples(new @ Q + shift)
    size = max(1.0, np.abs(before).max())
    assert_allclose(after, before, rtol=1e-6, atol=1e-6 * size)


@given(data, names, st.floats(-4, 4))
@few
def test_unit_of_the_features(drawn, name, exponent):
    """Log-densities move by a constant, and no ranking changes."""
    X, y, new = drawn
    factor = 10.0**exponent
    detector = fitted(name, X, y)
    before, offset = detector.score_samples(new), detector.offset_
    scaled = fitted(name, factor * X, y)
    after = scaled.score_samples(factor * new)
    moved = 0.0
    if "class" in name and (not detector.relative or len(detector.classes_) == 1):
        moved = -detector.n_components_ * np.log(factor)
    size = max(1.0, np.abs(before).max())
    assert_allclose(after, before + moved, rtol=1e-7, atol=1e-7 * size)
    assert abs(scaled.offset_ - offset - moved) < 1e-7 * size


@given(data, seeds)
@few
def test_invertible_maps(drawn, seed):
    """Of class densities all differences stay, whatever the basis."""
    X, y, new = drawn
    matrix = np.eye(X.shape[1]) + np.triu(
        np.random.default_rng(seed).normal(size=(X.shape[1],) * 2), 1
    )
    for relative in (False, True):
        detector = MahalanobisDetector("class", relative=relative)
        before = detector.fit(X, y).score_samples(new)
        after = detector.fit(X @ matrix, y).score_samples(new @ matrix)
        # Its determinant is 1.
        assert_allclose(after, before, rtol=1e-6, atol=1e-6 * np.abs(before).max())


@given(data, st.sampled_from([0.1, 0.5, 0.9]))
@few
def test_both_ends_together_hold_everything(drawn, share):
    """Distances at both ends add up to the whole, the direction at the cut aside."""
    X, y, new = drawn
    y = np.zeros(len(X), dtype=int)
    top = MahalanobisDetector(components="top", variance_share=share).fit(X, y)
    rest = MahalanobisDetector(components="bottom", variance_share=1 - share).fit(X, y)
    both = top.n_components_ + rest.n_components_ - X.shape[1]
    assert both in (0, 1)
    assume(both == 1)
    V = oracle.kept_directions(X, y, "top", share)
    assert V.shape[1] == top.n_components_
    v = V[:, -1]
    twice = ((new - X.mean(axis=0)) @ v) ** 2 / (v @ oracle.within(X, y) @ v)
    whole = MahalanobisDetector().fit(X, y).score_samples(new)
    total = top.score_samples(new) + rest.score_samples(new)
    assert_allclose(total, whole - twice, rtol=1e-6, atol=1e-6)


@given(data, names, st.integers(0, 19), st.integers(1, 20))
@few
def test_batches(drawn, name, start, size):
    X, y, new = drawn
    detector, part = fitted(name, X, y), slice(start, start + size)
    whole = detector.score_samples(new)
    scale = 1e-10 * max(1.0, np.abs(whole).max())
    assert_allclose(detector.score_samples(new[part]), whole[part], atol=scale)


@given(data, names, seeds)
@few
def test_merged_moments_are_fit(drawn, name, seed):
    X, y, new = drawn
    rng = np.random.default_rng(seed)
    weights, half = rng.integers(1, 4, len(X)) / 2, rng.integers(0, 2, len(X)) == 1
    assume(0 < np.sum(half) < len(X))
    expected = fitted(name, X, y, weights)
    options = expected._moments_options()
    scores, offset = expected.score_samples(new), expected.offset_
    moments = sum(
        ClassMoments(**options).update(X[part], y[part], weights[part])
        for part in (half, ~half)
    )
    adopted = expected.fit_moments(moments).calibrate(X, weights)
    size = max(1.0, np.abs(scores).max())
    assert_allclose(adopted.score_samples(new), scores, rtol=1e-7, atol=1e-7 * size)
    assert abs(adopted.offset_ - offset) < 1e-7 * size


@given(data, st.sampled_from([0.5, 0.75, 0.9, 0.99]))
@few
def test_radius(drawn, quantile):
    X, y, _ = drawn
    detector = MahalanobisSVDD(quantile).fit(X, y)
    distances = -detector.score_samples(X)
    expected = oracle.radius(distances, quantile)
    assert abs(detector.radius_ - expected) < 1e-9 * max(1.0, expected)
    inside = detector.predict(X) == 1
    assert_array_equal(inside, distances <= detector.radius_)
    assert np.sum(~inside) == int((1 - quantile) * len(X) + 1e-9)
