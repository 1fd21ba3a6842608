"""Properties of the detectors and their metrics, on data that Hypothesis makes up."""

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse import ClassMoments
from sklearn_collapse.metrics import fpr_at_tpr
from sklearn_collapse.ood import MahalanobisDetector
from sklearn_collapse.ood._threshold import weighted_quantiles

few = settings(max_examples=25)
seeds = st.integers(0, 2**32 - 1)
flags = st.fixed_dictionaries({"relative": st.booleans(), "normalize": st.booleans()})
shrinkages = st.sampled_from([None, 0.2, "oas", "ledoit_wolf"])


def make_data(seed, n_classes, d):
    """Training rows, more of them than features; labels; rows from elsewhere."""
    rng = np.random.default_rng(seed)
    n = n_classes * (d + 5)
    y = np.r_[np.arange(n_classes), rng.integers(n_classes, size=n - n_classes)]
    X = rng.normal(size=(n, d)) + 2 * rng.normal(size=(n_classes, d))[y]
    return X, y, 2 * rng.normal(size=(20, d))


data = st.builds(make_data, seeds, st.integers(1, 4), st.integers(1, 6))


def random_map(rng, d, condition):
    """Invertible matrix of a given condition number."""
    left, right = (np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(2))
    return left * np.logspace(0, -np.log10(condition), d) @ right


def scores(X, y, new, **options):
    return MahalanobisDetector(**options).fit(X, y).score_samples(new)


@given(data, flags, st.sampled_from([None, 0.2]))
@few
def test_scores_are_the_formula(drawn, options, shrinkage):
    X, y, new = drawn
    if options["normalize"] and X.shape[1] == 1:
        return  # rows of -1 and 1 may not vary at all
    if len(np.unique(y)) == 1:
        options["relative"] = False
    expected = oracles.mahalanobis(X, y, new, shrinkage=shrinkage or 0.0, **options)
    got = scores(X, y, new, shrinkage=shrinkage, **options)
    assert_allclose(got, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@given(data, st.booleans(), seeds, st.sampled_from([1.0, 10.0, 1e3]))
@few
def test_invertible_maps(drawn, relative, seed, condition):
    """Where no floor acts, any basis of the features gives the same scores."""
    X, y, new = drawn
    rng = np.random.default_rng(seed)
    d = X.shape[1]
    matrix, shift = random_map(rng, d, condition), rng.normal(size=d)
    before = scores(X, y, new, relative=relative)
    after = scores(X @ matrix + shift, y, new @ matrix + shift, relative=relative)
    tolerance = 1e-9 * condition**2 * max(1.0, np.abs(before).max())
    assert_allclose(after, before, rtol=1e-9, atol=tolerance)
    gaps = np.diff(np.sort(before))
    if gaps.min(initial=np.inf) > 2 * tolerance:
        assert_array_equal(np.argsort(after), np.argsort(before))


@given(data, flags, shrinkages, seeds)
@few
def test_rotations(drawn, options, shrinkage, seed):
    """Shrinkage and normalising allow them too."""
    X, y, new = drawn
    rotation = random_map(np.random.default_rng(seed), X.shape[1], 1.0)
    before = scores(X, y, new, shrinkage=shrinkage, **options)
    after = scores(X @ rotation, y, new @ rotation, shrinkage=shrinkage, **options)
    assert_allclose(after, before, rtol=1e-7, atol=1e-7 * np.abs(before).max())


@given(data, st.booleans(), shrinkages, st.floats(-1e3, 1e3))
@few
def test_translations(drawn, relative, shrinkage, shift):
    X, y, new = drawn
    options = {"relative": relative, "shrinkage": shrinkage}
    before = scores(X, y, new, **options)
    after = scores(X + shift, y, new + shift, **options)
    assert_allclose(after, before, rtol=1e-7, atol=1e-7 * np.abs(before).max())


@given(data, flags, shrinkages, st.floats(-6, 6), st.booleans())
@few
def test_scale(drawn, options, shrinkage, exponent, dead):
    """No absolute number acts, not even where a unit is dead in training."""
    X, y, new = drawn
    if dead:
        X[:, 0] = 0
    factor = 10.0**exponent
    detector = MahalanobisDetector(shrinkage=shrinkage, **options).fit(X, y)
    scaled = MahalanobisDetector(shrinkage=shrinkage, **options).fit(factor * X, y)
    assert scaled.rank_ == detector.rank_
    before, after = detector.score_samples(new), scaled.score_samples(factor * new)
    if detector.rank_:
        assert_allclose(after, before, rtol=1e-7, atol=1e-7 * np.abs(before).max())


@given(data, flags, shrinkages, seeds)
@few
def test_row_order(drawn, options, shrinkage, seed):
    X, y, new = drawn
    order = np.random.default_rng(seed).permutation(len(X))
    detectors = [
        MahalanobisDetector(shrinkage=shrinkage, contamination=0.1, **options)
        for _ in range(2)
    ]
    detectors[0].fit(X, y)
    detectors[1].fit(X[order], y[order])
    before, after = (detector.score_samples(new) for detector in detectors)
    tolerance = 1e-9 * max(1.0, np.abs(before).max())
    assert_allclose(after, before, rtol=1e-9, atol=tolerance)
    assert abs(detectors[0].offset_ - detectors[1].offset_) <= tolerance


@given(data, seeds)
@few
def test_names_of_classes(drawn, seed):
    """Only which rows belong together matters."""
    X, y, new = drawn
    names = np.random.default_rng(seed).permutation(["d", "c", "b", "a"])
    assert_allclose(scores(X, names[y], new), scores(X, y, new), rtol=1e-9)


@given(data, flags, shrinkages, st.integers(0, 19), st.integers(1, 20))
@few
def test_batches(drawn, options, shrinkage, start, size):
    X, y, new = drawn
    detector = MahalanobisDetector(shrinkage=shrinkage, **options).fit(X, y)
    part = slice(start, start + size)
    whole = detector.score_samples(new)
    tolerance = 1e-10 * max(1.0, np.abs(whole).max())
    assert_allclose(
        detector.score_samples(new[part]), whole[part], rtol=1e-10, atol=tolerance
    )


@given(
    data,
    flags,
    st.sampled_from([None, 0.3, "oas"]),
    st.lists(st.integers(1, 60), max_size=4),
    st.booleans(),
    seeds,
)
@few
def test_any_split_is_fit(drawn, options, shrinkage, cuts, weighted, seed):
    """partial_fit or merged moments, then calibrate, whatever the blocks."""
    X, y, new = drawn
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    X, y = X[order], y[order]
    weights = rng.integers(1, 4, size=len(X)) / 2 if weighted else np.ones(len(X))
    detectors = [MahalanobisDetector(shrinkage=shrinkage, **options) for _ in range(3)]
    whole, parts, merged = detectors
    whole.fit(X, y, weights)
    moments = ClassMoments(normalize=options["normalize"])
    for rows in np.split(np.arange(len(X)), sorted(min(cut, len(X)) for cut in cuts)):
        if len(rows):
            parts.partial_fit(X[rows], y[rows], weights[rows])
            block = ClassMoments(normalize=options["normalize"])
            moments = block.update(X[rows], y[rows], weights[rows]) + moments
    parts.calibrate(X, weights)
    merged.fit_moments(moments).calibrate(X, weights)
    expected = whole.score_samples(new)
    tolerance = 1e-8 * max(1.0, np.abs(expected).max())
    for detector in (parts, merged):
        got = detector.score_samples(new)
        assert_allclose(got, expected, rtol=1e-8, atol=tolerance)
        assert abs(detector.offset_ - whole.offset_) <= tolerance


@given(
    st.lists(
        st.tuples(st.integers(-5, 5), st.integers(0, 4)), min_size=1, max_size=30
    ).filter(lambda pairs: any(weight for _, weight in pairs)),
    st.sampled_from([0.01, 0.05, 0.1, 0.25, 0.3, 0.5, 0.75]),
)
def test_weighted_quantiles(pairs, share):
    """Exact fractions, NumPy on copies of the rows, and a common factor."""
    values, weights = np.array(pairs, dtype=float).T
    expected = oracles.quantile(values, share, weights)
    assert weighted_quantiles(values, [share], weights)[0] == expected
    assert weighted_quantiles(values, [share], weights / 4)[0] == expected
    copies = np.repeat(values, weights.astype(int))
    assert weighted_quantiles(copies, [share])[0] == expected
    if share * len(copies) % 1 == pytest.approx(0.5, abs=0.49):  # NumPy rounds there
        numpys = np.quantile(copies, share, method="averaged_inverted_cdf")
        assert numpys == pytest.approx(expected)


@given(data, st.floats(0.01, 0.5))
@few
def test_share_of_outliers(drawn, contamination):
    """Never more of the training rows than asked for, and at most one row less."""
    X, y, _ = drawn
    detector = MahalanobisDetector(contamination=contamination)
    share = np.mean(detector.fit_predict(X, y) == -1)
    assert share <= contamination + 1e-9
    distinct = np.unique(detector.score_samples(X).round(9)).size == len(X)
    if distinct:
        assert share > contamination - 1 / len(X) - 1e-9


ranks = st.lists(st.integers(-4, 4), min_size=1, max_size=25)


@given(ranks, ranks, st.floats(0.01, 1.0))
def test_fpr_at_tpr(inside, outside, tpr):
    y_true = np.repeat([1, 0], [len(inside), len(outside)])
    y_score = np.array([*inside, *outside], dtype=float)
    got = fpr_at_tpr(y_true, y_score, tpr=tpr)
    expected = oracles.fpr_at_tpr(np.array(inside), np.array(outside), tpr)
    assert got == pytest.approx(expected, abs=1e-12)
    # The other convention is this one with both classes and the order exchanged.
    mirrored = fpr_at_tpr(1 - y_true, -y_score, tpr=tpr, positive="ood")
    assert mirrored == got


@given(ranks, ranks, st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_fpr_grows_with_tpr(inside, outside, a, b):
    y_true = np.repeat([1, 0], [len(inside), len(outside)])
    y_score = np.array([*inside, *outside], dtype=float)
    for positive in ("id", "ood"):
        low, high = (
            fpr_at_tpr(y_true, y_score, tpr=tpr, positive=positive)
            for tpr in sorted([a, b])
        )
        assert 0 <= low <= high <= 1
