"""Properties of detectors of training rows, on data that Hypothesis makes up."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse import LinearHead
from sklearn_collapse.ood import (
    COSTARRDetector,
    KNNDetector,
    NNGuideDetector,
    SHEDetector,
)

few = settings(max_examples=25)
seeds = st.integers(0, 2**32 - 1)
scales = st.sampled_from([1e-8, 0.03, 7.0, 1e8])
counts = st.integers(1, 30)
choices = st.sampled_from(["scaled", "cosine"])
metrics = st.sampled_from(["inner_product", "cosine", "euclidean"])
DEGREE = {"inner_product": 2, "cosine": 0, "euclidean": 1}


def make_data(seed, n_classes, d):
    """Training rows, labels, and rows from elsewhere."""
    rng = np.random.default_rng(seed)
    n = n_classes * (d + 8)
    y = np.arange(n) % n_classes
    X = rng.normal(size=(n, d)) + 2 * rng.normal(size=(n_classes, d))[y]
    return X, y, 2 * rng.normal(size=(15, d))


data = st.builds(make_data, seeds, st.integers(2, 4), st.integers(2, 12))
any_detector = st.one_of(
    st.builds(KNNDetector, counts, normalize=st.booleans()),
    st.builds(SHEDetector, metric=metrics),
    st.builds(NNGuideDetector, n_neighbors=counts, neighbors=choices),
    st.builds(COSTARRDetector),
)


def turn(seed, d):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


def scores(detector, X, y, new, weights=None):
    return detector.fit(X, y, weights).score_samples(new)


def assert_same(a, b, rtol=1e-6):
    assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


@given(data, counts, st.booleans(), seeds, scales)
@few
def test_knn_ignores_rotation_and_unit(drawn, k, normalize, seed, scale):
    X, y, new = drawn
    detector = KNNDetector(k, normalize=normalize)
    before = scores(detector, X, y, new)
    rotation = turn(seed, X.shape[1])
    assert_same(scores(detector, X @ rotation, y, new @ rotation), before)
    scaled = scores(detector, scale * X, y, scale * new)
    assert_same(scaled if normalize else scaled / scale, before)


@given(data, counts, seeds)
@few
def test_knn_of_distances_ignores_the_origin(drawn, k, seed):
    X, y, new = drawn
    shift = 50 * np.random.default_rng(seed).normal(size=X.shape[1])
    detector = KNNDetector(k, normalize=False)
    before = scores(detector, X, y, new)
    assert_same(scores(detector, X + shift, y, new + shift), before)


@given(data, counts, st.booleans())
@few
def test_knn_is_monotone(drawn, k, normalize):
    """Further neighbours are farther, and more rows are nearer."""
    X, y, new = drawn
    score = scores(KNNDetector(k, normalize=normalize), X, y, new)
    further = scores(KNNDetector(k + 3, normalize=normalize), X, y, new)
    assert np.all(further <= score)
    more = np.vstack([X, new[::2]])
    if k <= len(X):
        nearer = scores(KNNDetector(k, normalize=normalize), more, None, new)
        assert np.all(nearer >= score - 1e-12)


@given(data, metrics, seeds, scales)
@few
def test_she_turns_and_scales_with_its_head(drawn, metric, seed, scale):
    X, y, new = drawn
    detector = SHEDetector(metric=metric)
    before = scores(detector, X, y, new)
    rotation = turn(seed, X.shape[1])
    assert_same(scores(detector, X @ rotation, y, new @ rotation), before)
    scaled = scores(detector, scale * X, y, scale * new)
    assert_same(scaled / scale ** DEGREE[metric], before)


@given(data, choices, counts, seeds, scales)
@few
def test_nnguide_ignores_rotation_and_unit(drawn, neighbors, k, seed, scale):
    X, y, new = drawn
    detector = NNGuideDetector(neighbors=neighbors, n_neighbors=k)
    before = scores(detector, X, y, new)
    rotation = turn(seed, X.shape[1])
    assert_same(scores(detector, X @ rotation, y, new @ rotation), before)
    assert_same(scores(detector, scale * X, y, scale * new), before)


@given(data, counts)
@few
def test_largest_products_guide_most(drawn, k):
    X, y, new = drawn
    scaled = scores(NNGuideDetector(n_neighbors=k), X, y, new)
    cosine = scores(NNGuideDetector(n_neighbors=k, neighbors="cosine"), X, y, new)
    assert np.all(scaled >= cosine - 1e-9 * np.abs(scaled).max())


@given(data, seeds)
@few
def test_costarr_ignores_names_and_signs_of_axes(drawn, seed):
    X, y, new = drawn
    rng = np.random.default_rng(seed)
    d = X.shape[1]
    coef, intercept = rng.normal(size=(4, d)), rng.normal(size=4)
    order, signs = rng.permutation(d), rng.choice([-1, 1], d)
    head = LinearHead(coef, intercept)
    before = scores(COSTARRDetector(head), X, y, new)
    head = LinearHead((signs * coef)[:, order], intercept)
    moved = [(signs * rows)[:, order] for rows in (X, new)]
    assert_same(scores(COSTARRDetector(head), moved[0], y, moved[1]), before)


@given(data, seeds)
@few
def test_costarr_ignores_a_constant_in_the_logits(drawn, seed):
    """Their range takes it off, and the size of all of them as well."""
    X, y, new = drawn
    rng = np.random.default_rng(seed)
    coef, intercept = rng.normal(size=(4, X.shape[1])), rng.normal(size=4)
    before = scores(COSTARRDetector(LinearHead(coef, intercept)), X, y, new)
    after = scores(COSTARRDetector(LinearHead(coef, intercept + 37)), X, y, new)
    assert_same(after, before)


@given(data, any_detector, seeds)
@few
def test_rows_do_not_see_their_batch(drawn, detector, seed):
    X, y, new = drawn
    whole = scores(detector, X, y, new)
    chosen = np.random.default_rng(seed).permutation(len(new))[:4]
    assert_same(detector.score_samples(new[chosen]), whole[chosen], 1e-9)
    assert_same(detector.score_samples(new[chosen[:1]]), whole[chosen[:1]], 1e-9)


@given(data, any_detector, st.floats(0.01, 0.5))
@few
def test_predictions_and_contamination(drawn, detector, contamination):
    X, y, new = drawn
    detector.set_params(contamination=contamination).fit(X, y)
    for rows in (X, new):
        inlier = detector.decision_function(rows) >= 0
        assert_array_equal(detector.predict(rows), np.where(inlier, 1, -1))
    flagged = np.sum(detector.predict(X) == -1)
    assert flagged <= contamination * len(X) + 1e-9


@given(data, any_detector, seeds)
@few
def test_weights_are_repetitions(drawn, detector, seed):
    X, y, new = drawn
    weights = np.random.default_rng(seed).integers(1, 4, len(X))
    weighted = scores(detector, X, y, new, weights)
    offset = detector.offset_
    index = np.repeat(np.arange(len(X)), weights)
    assert_same(weighted, scores(detector, X[index], y[index], new))
    size = np.abs(weighted).max()
    assert_allclose(detector.offset_, offset, rtol=1e-6, atol=1e-6 * size)
