"""Properties of the classifier by class subspaces that hold for all data."""

import numpy as np
import oracles_subspaces as oracles
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse import ClassMoments
from sklearn_collapse.etf import GrassmannClassifier

SEEDS = st.integers(0, 2**32 - 1)
WANTED = st.one_of(st.integers(1, 9), st.sampled_from([0.4, 0.7, 0.95]))

# Results move by rounding over the gap of the eigenvalues that a cut separates.
GAP = 1e-3


@st.composite
def problems(draw):
    """Labelled rows of three classes or more, new rows, and an unfitted classifier."""
    rng = np.random.default_rng(draw(SEEDS))
    n_classes, d = draw(st.integers(3, 6)), draw(st.integers(2, 8))
    y = rng.permutation(np.repeat(np.arange(n_classes), rng.integers(1, 12, n_classes)))
    means = rng.normal(size=(n_classes, d)) + 3 * rng.normal(size=d)
    X = means[y] + rng.uniform(0.1, 2, d) * rng.normal(size=(len(y), d))
    new = 3 * rng.normal(size=(15, d)) + means.mean(axis=0)
    classifier = GrassmannClassifier(draw(WANTED), centered=draw(st.booleans()))
    values = classifier.fit(X, y).eigenvalues_
    for row, k in zip(values, classifier.n_components_, strict=True):
        assume(k == d or row[k - 1] - row[k] > GAP * row[0])
        if isinstance(classifier.n_components, float):
            reached = np.cumsum(row) / row.sum()
            assume(np.abs(reached - classifier.n_components).min() > GAP)
    return X, y, new, classifier


def refit(classifier, X, y, new, **options):
    parameters = classifier.get_params()
    return GrassmannClassifier(**parameters).fit(X, y, **options).decision_function(new)


@pytest.mark.parametrize("kind", ["rotation", "translation", "scale", "labels", "rows"])
@given(problem=problems(), seed=SEEDS)
def test_invariances(kind, problem, seed):
    X, y, new, classifier = problem
    rng = np.random.default_rng(seed)
    expected = classifier.decision_function(new)
    labels, names, tolerance = y, np.arange(len(classifier.classes_)), 1e-9
    if kind == "rotation":
        turn = oracles.random_frame(rng, X.shape[1], X.shape[1])
        X, new = X @ turn, new @ turn
    elif kind == "translation":
        shift = 100 * rng.normal(size=X.shape[1])
        X, new = X + shift, new + shift
        if not classifier.centered:
            return
    elif kind == "scale":
        scale = 10 ** rng.uniform(-6, 6)
        X, new = scale * X, scale * new
    elif kind == "labels":
        names = rng.permutation(names)
        labels = names[y]
    else:
        order = rng.permutation(len(y))
        X, labels = X[order], y[order]
    found = refit(classifier, X, labels, new)[:, names]
    assert_allclose(found, expected, atol=25 * tolerance)


@given(problem=problems())
def test_identities(problem):
    X, y, new, classifier = problem
    S, sizes = classifier.subspaces_, classifier.n_components_
    d = X.shape[1]
    gram = np.swapaxes(S, 1, 2) @ S
    for c, k in enumerate(sizes):
        mask = np.diag(np.arange(S.shape[2]) < k).astype(float)
        assert_allclose(gram[c], mask, atol=1e-12)
        assert 1 <= k <= min(d - 1, int((y == c).sum()))
    # Eigenvalues sum to the mean squared length of the rows of the class.
    z = X - classifier.centre_
    for c, values in enumerate(classifier.eigenvalues_):
        assert_allclose(values.sum(), (z[y == c] ** 2).sum(axis=1).mean(), rtol=1e-10)
        # No other subspace of the dimension holds more of the rows of the class.
        inside = (z[y == c] @ S[c]) ** 2
        assert_allclose(inside.sum(axis=1).mean(), values[: sizes[c]].sum(), rtol=1e-9)
        assert np.all(np.diff(values) <= 0)
    logits = classifier.decision_function(new)
    assert logits.min() >= 0
    assert logits.max() <= 25
    proba = classifier.predict_proba(new)
    assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)
    assert_array_equal(classifier.predict(new), logits.argmax(axis=1))
    # A row and its opposite are one to a subspace, and so are its multiples.
    m = classifier.centre_
    for factor in (-1, 3, -1e-3):
        turned = classifier.decision_function(m + factor * (new - m))
        assert_allclose(turned, logits, atol=1e-8)


@given(problem=problems(), cut=st.floats(0, 1), seed=SEEDS)
def test_merging_is_one_batch(problem, cut, seed):
    X, y, new, classifier = problem
    expected = classifier.decision_function(new)
    at = int(cut * len(y))
    parts = [
        ClassMoments.from_arrays(X[here], y[here], class_scatter=True)
        for here in (slice(0, at), slice(at, None))
        if len(y[here])
    ]
    merged = GrassmannClassifier(**classifier.get_params()).fit_moments(sum(parts))
    assert_allclose(merged.decision_function(new), expected, atol=25e-9)
    weights = np.random.default_rng(seed).integers(1, 4, len(y))
    index = np.repeat(np.arange(len(y)), weights)
    if isinstance(classifier.n_components, int):
        one = refit(classifier, X, y, X, sample_weight=weights)
        other = refit(classifier, X[index], y[index], X)
        assert_allclose(one, other, atol=1e-6)


@given(
    n_classes=st.integers(3, 6),
    r=st.integers(1, 3),
    extra=st.integers(2, 9),
    scale=st.floats(-4, 4),
    seed=SEEDS,
)
def test_planted_subspaces_are_recovered(n_classes, r, extra, scale, seed):
    X, y, frames, _ = oracles.planted(n_classes, r + extra, r, 30, seed, 0, offset=10)
    classifier = GrassmannClassifier(r, centered=True).fit(10**scale * X, y)
    assert_array_equal(classifier.n_components_, r)
    for S, frame in zip(classifier.subspaces_, frames, strict=True):
        assert_allclose(S @ S.T, frame @ frame.T, atol=1e-8)
    logits = classifier.decision_function(10**scale * X)
    assert_allclose(logits[np.arange(len(y)), y], 25, rtol=1e-10)
