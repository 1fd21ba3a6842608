"""Properties of conformal p-values and of common scales that hold for all scores."""

import numpy as np
import oracles_meta
from hypothesis import given
from hypothesis import strategies as st
from meta_members import Line
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.frozen import FrozenEstimator

from sklearn_collapse._linalg._conformal import p_value_steps, p_values, threshold
from sklearn_collapse._linalg._score_maps import apply_map, rank_map, z_map
from sklearn_collapse.ood import ConformalDetector, DetectorEnsemble

EPS = np.finfo(float).eps
# Many ties, and values between which there are none.
SCORES = st.one_of(
    st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=30),
    st.lists(st.floats(-1e6, 1e6).map(lambda v: round(v, 3)), min_size=1, max_size=30),
)
ALPHAS = st.one_of(
    st.floats(0.001, 0.999),
    st.builds(lambda k, n: k / n, st.integers(1, 6), st.integers(7, 40)),
)


@st.composite
def weighted(draw):
    scores = draw(SCORES)
    size = {"min_size": len(scores), "max_size": len(scores)}
    weights = draw(st.none() | st.lists(st.integers(1, 4), **size))
    new = draw(SCORES)
    weights = None if weights is None else np.array(weights, dtype=float)
    return np.array(scores), weights, np.array([*scores, *new])


@given(weighted(), ALPHAS)
def test_p_values(problem, alpha):
    scores, weights, new = problem
    steps = p_value_steps(scores, weights)
    p = p_values(new, steps, xp=np)
    assert_allclose(p, oracles_meta.p_values(scores, new, weights), rtol=4 * EPS)
    assert_array_equal(p <= alpha, new < threshold(steps, alpha))
    assert_array_equal(
        np.argsort(p[np.argsort(new, kind="stable")], kind="stable"),
        np.arange(len(new)),
    )
    if weights is not None:
        copies = p_value_steps(np.repeat(scores, weights.astype(int)))
        assert_array_equal(p, p_values(new, copies, xp=np))


@given(SCORES, ALPHAS)
def test_calibration_rows_themselves(scores, alpha):
    """Of n + 1 exchangeable rows at most a share alpha is flagged by the others."""
    scores = np.array([*scores, 0.0])
    flagged = 0
    for k in range(len(scores)):
        others = np.delete(scores, k)
        flagged += oracles_meta.p_values(others, scores[k : k + 1])[0] <= alpha
        steps = p_value_steps(others)
        found = p_values(scores[k : k + 1], steps, xp=np)[0]
        assert (found <= alpha) == (scores[k] < threshold(steps, alpha))
    assert flagged <= alpha * len(scores) * (1 + EPS)


@given(weighted())
def test_shares(problem):
    scores, weights, new = problem
    found = apply_map(new, rank_map(scores, weights, EPS), xp=np)
    expected = [oracles_meta.share(scores, s, weights) for s in new]
    assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    assert ((found > 0) & (found < 1)).all()
    order = np.argsort(new)
    assert (np.diff(found[order]) >= -8 * EPS).all()
    # On training rows the mean share is a half.
    mean = np.average(found[: len(scores)], weights=weights)
    assert abs(mean - 0.5) < 1e-9


@given(weighted(), st.floats(1e-3, 1e3), st.floats(-10, 10))
def test_scales_ignore_unit_and_origin(problem, unit, origin):
    scores, weights, new = problem
    if np.ptp(scores) == 0:
        return  # then nothing but the scores themselves sets a scale
    size = np.max(np.abs(new)) + abs(origin)
    for make in (rank_map, z_map):
        plain = apply_map(new, make(scores, weights, EPS), xp=np)
        moved = make(unit * (scores + origin), weights, EPS)
        moved = apply_map(unit * (new + origin), moved, xp=np)
        gaps = np.diff(np.unique(scores)).min()
        assert_allclose(moved, plain, rtol=1e-9, atol=64 * EPS * size / gaps)


@given(weighted())
def test_standard_scores(problem):
    scores, weights, new = problem
    if np.ptp(scores) == 0:
        return
    found = apply_map(new, z_map(scores, weights, EPS), xp=np)
    expected = [oracles_meta.standard_score(scores, s, weights) for s in new]
    assert_allclose(found, expected, rtol=1e-7, atol=1e-7)


@given(SCORES, st.sampled_from(["rank", "z", "max"]))
def test_equal_members_are_one(scores, combine):
    X = np.array([*scores, 0.0])[:, None]
    one = DetectorEnsemble([("a", Line())], combine=combine).fit(X)
    two = DetectorEnsemble([("a", Line()), ("b", Line())], combine=combine).fit(X)
    assert_allclose(two.score_samples(X), one.score_samples(X), rtol=1e-12, atol=1e-12)


@given(weighted(), ALPHAS)
def test_detector_says_what_its_p_values_say(problem, alpha):
    scores, weights, new = problem
    detector = ConformalDetector(FrozenEstimator(Line().fit(None)), alpha=alpha)
    n = len(scores) if weights is None else weights.sum()
    if 1 / (n + 1) > alpha:
        return  # a warning says so
    detector.fit(scores[:, None], sample_weight=weights)
    p = detector.p_values(new[:, None])
    assert_array_equal(detector.predict(new[:, None]), np.where(p <= alpha, -1, 1))
    # Lowered calibration scores can only raise them.
    assert (p >= oracles_meta.p_values(scores, new, weights) * (1 - 4 * EPS)).all()
