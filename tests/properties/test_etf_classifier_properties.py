"""Properties of the fixed-frame classifier that hold for all data."""

import numpy as np
import oracles_etf as frames
import oracles_etf_classifier as oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse import ClassMoments
from sklearn_collapse.etf import ETFClassifier

few = settings(max_examples=25)
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def problems(draw):
    """Labelled rows, more than features, rows of no class, and parameters."""
    rng = np.random.default_rng(draw(SEEDS))
    n_classes = draw(st.integers(2, 5))
    d = draw(st.integers(n_classes - 1, 8))
    counts = rng.integers(4, 12, size=n_classes)
    means = 2 * rng.normal(size=(n_classes, d)) + 3 * rng.normal(size=d)
    X, y = frames.rows_about(means, counts, seed=draw(SEEDS))
    options = {
        "frame": draw(st.sampled_from(["simplex", "orthoplex", "narrow"])),
        "mapping": draw(st.sampled_from(["procrustes", "ridge"])),
        "temperature": draw(st.sampled_from([0.1, 1.0])),
        "priors": draw(st.sampled_from([None, "empirical", "given"])),
    }
    if options["frame"] == "narrow":
        options["frame"] = rng.normal(size=(n_classes, draw(st.integers(1, 6))))
    if options["priors"] == "given":
        options["priors"] = rng.dirichlet(np.full(n_classes, 5.0))
    if options["mapping"] == "ridge":
        options["shrinkage"] = draw(st.sampled_from([None, 0.2, "oas", "ledoit_wolf"]))
    return X, y, means[0] + 2 * rng.normal(size=(9, d)), options


def shares(X, y, new, options):
    return ETFClassifier(**options).fit(X, y).predict_proba(new)


@given(problem=problems(), kind=st.sampled_from(["rotation", "translation", "scale"]))
def test_invariances(problem, kind):
    X, y, new, options = problem
    rng = np.random.default_rng(0)
    d = X.shape[1]
    change = {
        "rotation": lambda x: x @ frames.random_rotation(d, d),
        "translation": lambda x: x + 100 * rng.standard_normal(d),
        "scale": lambda x: x * 10 ** rng.uniform(-6, 6),
    }[kind]
    # One change for both.
    both = change(np.concatenate([X, new]))
    found = shares(both[: len(X)], y, both[len(X) :], options)
    assert_allclose(found, shares(X, y, new, options), atol=1e-8)


@given(problem=problems(), seed=SEEDS)
def test_relabelling(problem, seed):
    """The frame and the priors go with the classes; names do not matter."""
    X, y, new, options = problem
    n_classes = len(np.unique(y))
    order = np.random.default_rng(seed).permutation(n_classes)
    names = np.array([f"{order[c]}: class" for c in range(n_classes)])
    first = ETFClassifier(**options).fit(X, y)
    back = np.argsort(order)
    if str(options["frame"]) != "simplex":  # any order of which is a turn of any other
        options["frame"] = first.frame_[back]
    if not isinstance(options["priors"], (str, type(None))):
        options["priors"] = options["priors"][back]
    other = ETFClassifier(**options).fit(X, names[y])
    assert_allclose(
        other.predict_proba(new)[:, order], first.predict_proba(new), atol=1e-9
    )
    decided = np.sort(first.predict_proba(new), axis=1)
    clear = decided[:, -1] - decided[:, -2] > 1e-8
    assert_array_equal(other.predict(new)[clear], names[first.predict(new)][clear])


@few
@given(problem=problems(), seed=SEEDS)
def test_merged_moments_are_one_batch(problem, seed):
    X, y, new, options = problem
    if options.get("shrinkage") == "ledoit_wolf":
        return
    parts = np.random.default_rng(seed).integers(3, size=len(y))
    moments = [ClassMoments().update(X[parts == k], y[parts == k]) for k in set(parts)]
    found = ETFClassifier(**options).fit_moments(sum(moments)).predict_proba(new)
    assert_allclose(found, shares(X, y, new, options), atol=1e-9)


@given(problem=problems())
def test_probabilities_are_the_formula(problem):
    X, y, new, options = problem
    classifier = ETFClassifier(**options).fit(X, y)
    found = classifier.predict_proba(new)
    expected = oracles.logits(
        X,
        y,
        new,
        classifier.frame_,
        options["mapping"],
        share=getattr(classifier, "shrinkage_", 0.0),
        temperature=options["temperature"],
        priors=options["priors"],
    )
    assert_allclose(found, oracles.probabilities(expected), atol=1e-9)
    limit = 1 / options["temperature"]
    if options["priors"] is None and len(classifier.classes_) > 2:
        assert np.abs(classifier.decision_function(new)).max() <= limit


@pytest.mark.parametrize("mapping", ["procrustes", "ridge"])
@given(
    n_classes=st.integers(2, 12),
    extra=st.integers(0, 6),
    seed=SEEDS,
    scale=st.floats(1e-6, 1e6),
)
def test_collapsed_simplex_is_classified(mapping, n_classes, extra, seed, scale):
    """Cosines of a planted frame are those of the simplex itself."""
    rng = np.random.default_rng(seed)
    d = n_classes - 1 + extra
    simplex = frames.simplex(n_classes)
    # Coordinates of the simplex in its own n_classes - 1 dimensions.
    inner = np.linalg.svd(simplex)[2][:-1].T
    turn = frames.random_rotation(d, n_classes - 1, seed)
    means = scale * (simplex @ inner @ turn.T + rng.normal(size=d))
    y = np.r_[np.arange(n_classes), rng.integers(n_classes, size=9)]
    classifier = ETFClassifier(mapping=mapping, temperature=0.5).fit(means[y], y)
    assert_array_equal(classifier.predict(means), range(n_classes))
    expected = oracles.probabilities(2 * simplex @ simplex.T)
    assert_allclose(classifier.predict_proba(means), expected, atol=1e-8)
    if n_classes > 2:
        assert np.abs(classifier.decision_function(means)).max() <= 2
