"""Properties of the alignment with a frame that hold for all data."""

import numpy as np
import oracles_etf as oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sklearn_collapse.etf import ETFAligner, ETFAlignmentScorer, simplex_etf

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def problems(draw):
    """Labelled rows about distinct class means, and a frame or "simplex"."""
    rng = np.random.default_rng(draw(SEEDS))
    n_classes = draw(st.integers(2, 6))
    d = draw(st.integers(n_classes - 1, 9))
    means = rng.normal(size=(n_classes, d)) + 3 * rng.normal(size=d)
    counts = rng.integers(1, 12, size=n_classes) + (n_classes == 2)
    X, y = oracles.rows_about(means, counts, seed=draw(SEEDS))
    frame = "simplex"
    if draw(st.booleans()):
        frame = rng.normal(size=(n_classes, draw(st.integers(1, 7))))
    return X, y, frame, rng


def fitted(X, y, frame):
    return ETFAligner(frame).fit(X, y), ETFAlignmentScorer(frame).fit(X, y)


@given(problem=problems())
def test_rotation_is_a_partial_isometry(problem):
    X, y, frame, _ = problem
    aligner, scorer = fitted(X, y, frame)
    R = aligner.rotation_
    values = np.linalg.svd(R, compute_uv=False)
    assert_allclose(values[: aligner.rank_], 1, rtol=1e-12)
    assert_allclose(values[aligner.rank_ :], 0, atol=1e-12)
    assert 0 <= aligner.disparity_ <= 1
    assert np.abs(scorer.cosines_).max() <= 1
    # Positive semidefinite: no rotation within its range does better.
    stretch = R.T @ (aligner.means_ - aligner.centre_).T @ aligner.frame_
    assert_allclose(stretch, stretch.T, atol=1e-10)
    assert np.linalg.eigvalsh(stretch + stretch.T).min() > -1e-10


@given(problem=problems())
def test_no_other_rotation_and_scale_come_closer(problem):
    X, y, frame, rng = problem
    aligner, _ = fitted(X, y, frame)
    A, B = aligner.means_ - aligner.centre_, aligner.frame_
    for step in (1e-3, 0.1, 1.0):
        skew = step * rng.normal(size=(A.shape[1], A.shape[1]))
        turn = np.linalg.qr(np.eye(len(skew)) + skew - skew.T)[0]
        scale = aligner.scale_ * np.exp(step * rng.normal())
        other = oracles.residual(A, B, turn @ aligner.rotation_, scale)
        assert other >= aligner.disparity_ * (1 - 1e-9) - 1e-14


@pytest.mark.parametrize("kind", ["rotation", "translation", "scale", "labels", "rows"])
@given(problem=problems(), seed=SEEDS)
def test_invariances(kind, problem, seed):
    """What the features go through, the alignment undoes."""
    X, y, frame, _ = problem
    rng = np.random.default_rng(seed)
    aligner, scorer = fitted(X, y, frame)
    names = np.arange(len(aligner.classes_))
    new, labels, target = X, y, frame
    if kind == "rotation":
        new = X @ np.linalg.qr(rng.normal(size=(X.shape[1], X.shape[1])))[0]
    elif kind == "translation":
        new = X + 100 * rng.normal(size=X.shape[1])
    elif kind == "scale":
        new = X * 10 ** rng.uniform(-6, 6)
    elif kind == "labels":
        names = rng.permutation(len(names))
        labels = names[y]
        if not isinstance(frame, str):
            target = frame[np.argsort(names)]
    else:
        order = rng.permutation(len(y))
        new, labels = X[order], y[order]
    other, judged = fitted(new, labels, target)
    assert other.rank_ == aligner.rank_
    found = judged.metrics_
    for name, value in scorer.metrics_.items():
        assert_allclose(found[name], value, rtol=1e-7, atol=1e-9)
    cosines = judged.cosines_[names][:, names]
    assert_allclose(cosines, scorer.cosines_, atol=1e-8)
    coordinates = other.transform(new)
    if kind == "labels" and isinstance(frame, str):
        coordinates = coordinates[:, names]
    expected = aligner.transform(X)
    if kind == "rows":
        expected = expected[order]
    # Small singular values make the rotation itself sensitive to rounding.
    weakest = np.linalg.svd(aligner.rotation_.T @ (aligner.means_ - aligner.centre_).T)
    weakest = weakest[1][aligner.rank_ - 1] * aligner.scale_
    size = np.abs(expected).max()
    assert_allclose(coordinates, expected, atol=1e-9 * size / min(weakest, 1))


@given(problem=problems(), scale=st.floats(1e-6, 1e6), seed=SEEDS)
def test_scale_and_place_of_the_frame_do_not_matter(problem, scale, seed):
    X, y, frame, rng = problem
    if isinstance(frame, str):
        frame = oracles.simplex(len(np.unique(y)))
    aligner = ETFAligner(frame).fit(X, y)
    other = ETFAligner(scale * (frame + rng.normal(size=frame.shape[1]))).fit(X, y)
    assert other.rank_ == aligner.rank_
    assert_allclose(other.disparity_, aligner.disparity_, rtol=1e-9, atol=1e-13)
    assert_allclose(other.scale_, scale * aligner.scale_, rtol=1e-9)


@given(
    n_classes=st.integers(2, 30),
    extra=st.integers(0, 10),
    seed=SEEDS,
    scale=st.floats(1e-6, 1e6),
)
def test_every_simplex_is_recognised(n_classes, extra, seed, scale):
    frame = scale * simplex_etf(n_classes, n_classes - 1 + extra, seed)
    labels = np.arange(n_classes)
    aligner, scorer = fitted(frame, labels, "simplex")
    assert aligner.disparity_ < 1e-27
    assert_allclose(aligner.transform(frame), oracles.simplex(n_classes), atol=1e-12)
    assert_allclose(scorer.class_alignment_, 1, rtol=1e-13)


@st.composite
def matched_problems(draw):
    """Labelled rows and a frame of any kind; there are several assignments."""
    rng = np.random.default_rng(draw(SEEDS))
    n_classes = draw(st.integers(3, 6))  # as many as are tried in all orders
    d = draw(st.integers(n_classes - 1, 8))
    means = rng.normal(size=(n_classes, d)) + 3 * rng.normal(size=d)
    X, y = oracles.rows_about(means, draw(st.integers(1, 5)), seed=draw(SEEDS))
    frame = draw(st.sampled_from(["orthoplex", "hypercube", "spread", "given"]))
    if frame == "given":
        frame = rng.normal(size=(n_classes, draw(st.integers(1, 7))))
    return X, y, frame, rng


@given(problem=matched_problems())
def test_no_assignment_comes_closer(problem):
    X, y, frame, _ = problem
    aligner = ETFAligner(frame, matching="optimal").fit(X, y)
    own = aligner.assignment_
    assert sorted(own) == list(range(len(own)))
    A, B = aligner.means_ - aligner.centre_, aligner.frame_
    rest = 1 - oracles.best_assignment(A, B) ** 2 / np.sum(A**2) / np.sum(B**2)
    assert_allclose(aligner.disparity_, rest, rtol=1e-9, atol=1e-13)
    assert aligner.disparity_ <= ETFAligner(frame).fit(X, y).disparity_ * (1 + 1e-9)


@pytest.mark.parametrize(
    "kind", ["rotation", "translation", "scale", "labels", "frame"]
)
@pytest.mark.parametrize("matching", ["order", "optimal"])
@given(problem=matched_problems(), seed=SEEDS)
def test_invariances_of_any_frame(kind, matching, problem, seed):
    """Of the metrics and of single rows; optimal matching also forgets labels."""
    X, y, frame, _ = problem
    rng = np.random.default_rng(seed)
    new, labels, target = X, y, frame
    if kind == "rotation":
        new = X @ np.linalg.qr(rng.normal(size=(X.shape[1], X.shape[1])))[0]
    elif kind == "translation":
        new = X + 100 * rng.normal(size=X.shape[1])
    elif kind == "scale":
        new = X * 10 ** rng.uniform(-6, 6)
    elif kind == "labels":
        names = rng.permutation(y.max() + 1)
        labels = names[y]
        if not isinstance(frame, str):
            # Of an array the rows go along; optimal matching does not need that.
            target = frame[np.argsort(names)] if matching == "order" else frame
        elif matching == "order":
            return  # a named frame is no longer the same
    elif not isinstance(frame, str):
        k = frame.shape[1]
        turn = np.linalg.qr(rng.normal(size=(k + 1, k + 1)))[0][:k]
        target = 10 ** rng.uniform(-6, 6) * (frame @ turn + rng.normal(size=k + 1))
    first = ETFAlignmentScorer(frame, matching=matching).fit(X, y)
    other = ETFAlignmentScorer(target, matching=matching).fit(new, labels)
    # Other assignments may be found, but only those of a symmetry of the frame.
    for name, value in first.metrics_.items():
        assert_allclose(other.metrics_[name], value, rtol=1e-7, atol=1e-8)
    # Small singular values make the rotation itself sensitive to rounding.
    aligner = ETFAligner(frame, matching=matching).fit(X, y)
    centred = X - aligner.centre_
    A = aligner.means_ - aligner.centre_
    weakest = np.linalg.svd(aligner.rotation_.T @ A.T)[1][aligner.rank_ - 1]
    least = min(weakest, np.linalg.norm(centred, axis=1).min())
    atol = 1e-10 * np.abs(centred).max() / least
    for old, theirs in ((None, None), (y, labels)):
        found = other.score_samples(new, theirs)
        assert np.abs(found).max() <= 1
        assert_allclose(found, first.score_samples(X, old), atol=atol)


@given(problem=matched_problems())
def test_no_vertex_is_nearer_than_the_nearest(problem):
    X, y, frame, _ = problem
    scorer = ETFAlignmentScorer(frame).fit(X, y)
    best = scorer.score_samples(X)
    each = [scorer.score_samples(X, np.full(len(y), c)) for c in scorer.classes_]
    assert_allclose(best, np.max(each, axis=0), atol=1e-13)
