"""Tests of the class subspace detector against loops, and on degenerate data."""

import numpy as np
import oracles_subspaces as oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import roc_auc_score
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_collapse import ClassMoments
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.etf import GrassmannClassifier
from sklearn_collapse.ood import ClassSubspaceDetector

CENTERED = pytest.mark.parametrize("centered", [False, True])


def make_data(seed=0, n=90, d=7, n_classes=4):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    spread = np.linspace(0.2, 1.5, d) * (1 + y[:, None])
    means = rng.normal(size=(n_classes, d)) + 0.5
    return means[y] + spread * rng.normal(size=(n, d)), y, 2 * rng.normal(size=(40, d))


def expected_scores(X, y, new, wanted, centered, weights=None):
    m, subspaces, _ = oracles.fitted(X, y, wanted, centered, weights)
    return oracles.logits(new, subspaces, m, gamma=1.0).max(axis=1)


# -- the definition --------------------------------------------------------------


@CENTERED
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("wanted", [1, 3, 50, 0.5, 0.95])
def test_against_loops(library, dtype, wanted, centered):
    X, y, new = make_data()
    X, new = X.astype(dtype), new.astype(dtype)
    detector = ClassSubspaceDetector(wanted, centered=centered)
    detector.fit(library.asarray(X), library.asarray(y))
    scores = detector.score_samples(library.asarray(new))
    assert library.owns(scores)
    scores = library.to_numpy(scores)
    assert scores.dtype == dtype
    arguments = X.astype(float), y, new.astype(float), wanted, centered
    rtol = 1e-9 if dtype == "float64" else 1e-6
    assert_allclose(scores, expected_scores(*arguments), rtol=rtol)


@CENTERED
def test_without_labels_is_one_class(library, centered):
    X, _, new = make_data()
    y = np.zeros(len(X), int)
    detector = ClassSubspaceDetector(2, centered=centered).fit(library.asarray(X))
    scores = library.to_numpy(detector.score_samples(library.asarray(new)))
    assert_allclose(scores, expected_scores(X, y, new, 2, centered), rtol=1e-9)
    assert np.ptp(scores) > 0.1
    assert detector.subspaces_.shape == (1, 7, 2)


@CENTERED
def test_weighted_rows(centered):
    X, y, new = make_data()
    weights = np.arange(len(X)) % 3
    detector = ClassSubspaceDetector(2, centered=centered).fit(X, y, weights)
    expected = expected_scores(X, y, new, 2, centered, weights)
    assert_allclose(detector.score_samples(new), expected, rtol=1e-9)


@CENTERED
def test_is_the_largest_logit_of_the_classifier(library, centered):
    X, y, new = make_data()
    X, new = library.asarray(X), library.asarray(new)
    detector = ClassSubspaceDetector(2, centered=centered).fit(X, y)
    classifier = GrassmannClassifier(2, centered=centered, gamma=1.0).fit(X, y)
    logits = library.to_numpy(classifier.decision_function(new))
    scores = library.to_numpy(detector.score_samples(new))
    assert_array_equal(scores, logits.max(axis=1))
    for name in ("subspaces_", "eigenvalues_", "n_components_", "centre_"):
        assert_array_equal(
            np.asarray(getattr(detector, name)), np.asarray(getattr(classifier, name))
        )


def test_collapsed_features_give_cosines(library):
    rng = np.random.default_rng(0)
    means = np.abs(rng.normal(size=(5, 9)))
    y = np.arange(60) % 5
    new = rng.normal(size=(30, 9))
    detector = ClassSubspaceDetector().fit(library.asarray(means[y]), y)
    unit = means / np.linalg.norm(means, axis=1)[:, None]
    cosines = np.abs(new @ unit.T) / np.linalg.norm(new, axis=1)[:, None]
    scores = library.to_numpy(detector.score_samples(library.asarray(new)))
    assert_allclose(scores, cosines.max(axis=1), rtol=1e-9)
    inside = detector.score_samples(library.asarray(means))
    assert_allclose(library.to_numpy(inside), 1, rtol=1e-12)


# -- degenerate data -------------------------------------------------------------


@CENTERED
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_zero_rows(library, centered, dtype):
    X, y, new = make_data()
    rows = [library.asarray(v.astype(dtype)) for v in (X, new)]
    detector = ClassSubspaceDetector(centered=centered).fit(rows[0], y)
    centre = library.to_numpy(detector.centre_)
    new = np.vstack([centre, new, np.zeros(7)])
    scores = library.to_numpy(detector.score_samples(library.asarray(new, dtype)))
    assert np.all(np.isfinite(scores))
    if dtype == "float64" or not centered:
        assert scores[0] == 0  # to the last digit at the centre
    if not centered:
        assert scores[-1] == 0


def test_zero_rows_in_training():
    """A class of nothing but zeros has no direction; the others keep theirs."""
    X, y, new = make_data()
    X[y == 2] = 0
    detector = ClassSubspaceDetector(2).fit(X, y)
    assert_array_equal(detector.n_components_, [2, 2, 0, 2])
    kept = y != 2
    alone = ClassSubspaceDetector(2).fit(X[kept], y[kept])
    assert_allclose(detector.score_samples(new), alone.score_samples(new), rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_dead_unit_is_seen(library, dtype):
    X, y, _ = make_data(n=400)
    X = np.abs(X)
    X[:, 6] = 0.0
    lit = X[:100].copy()
    lit[:, 6] += 5.0
    detector = ClassSubspaceDetector(3).fit(library.asarray(X, dtype), y)
    scores = [
        library.to_numpy(detector.score_samples(library.asarray(rows, dtype)))
        for rows in (X, lit)
    ]
    assert np.all(scores[1] < scores[0][:100])
    y_true = np.repeat([1, 0], [len(X), len(lit)])
    assert roc_auc_score(y_true, np.concatenate(scores)) > 0.97


@CENTERED
@pytest.mark.parametrize("case", ["single rows", "wide", "constant", "duplicated"])
def test_degenerate(case, centered):
    X, y, new = make_data(d=60 if case == "wide" else 7)
    if case == "single rows":
        y = np.r_[[7, 8, 9], y[3:]]
    elif case == "constant":
        X[:, 2] = 3.7
    elif case == "duplicated":
        X, new = np.hstack([X, X]), np.hstack([new, new])
    detector = ClassSubspaceDetector(2, centered=centered).fit(X, y)
    expected = expected_scores(X, y, new, 2, centered)
    assert_allclose(detector.score_samples(new), expected, rtol=1e-8)


@pytest.mark.parametrize("labelled", [True, False])
def test_no_direction_at_all(labelled):
    X = np.zeros((10, 3))
    y = np.arange(10) % 2 if labelled else None
    with pytest.raises(ValueError, match="All rows lie at the origin"):
        ClassSubspaceDetector().fit(X, y)
    with pytest.raises(ValueError, match="All rows lie at the mean"):
        ClassSubspaceDetector(centered=True).fit(X + 2, y)


def test_a_single_feature():
    with pytest.raises(ValueError, match=r"at least two features, got n_features=1"):
        ClassSubspaceDetector().fit(np.arange(10.0)[:, None], np.arange(10) % 2)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_cut_inside_a_tie_warns(labelled):
    X = np.concatenate([np.eye(3), 2 * np.eye(3)])
    y = np.repeat([3, 5], 3) if labelled else None
    message = r"^In 2 of 2 classes \(\[3, 5\]\)" if labelled else "^The last eigenvalue"
    with pytest.warns(UserWarning, match=message + r".* keeps equals the next"):
        ClassSubspaceDetector().fit(X, y)


def test_two_classes_on_opposite_sides_do_not_warn():
    """Nothing has to tell them apart here."""
    X, _, new = make_data(n_classes=1)
    y = np.arange(len(X)) % 2
    X += 20 * (2 * y[:, None] - 1) * np.eye(7)[0]
    detector = ClassSubspaceDetector(centered=True).fit(X, y)
    expected = expected_scores(X, y, new, 1, True)
    assert_allclose(detector.score_samples(new), expected, rtol=1e-9)


@pytest.mark.parametrize("size", [1e-30, 1e25])
def test_squares_at_the_limits_of_float32(size):
    X, y, new = make_data()
    expected = ClassSubspaceDetector(2).fit(X, y).score_samples(new)
    X, new = (size * X).astype(np.float32), (size * new).astype(np.float32)
    scores = ClassSubspaceDetector(2).fit(X, y).score_samples(new)
    assert_allclose(scores, expected, rtol=1e-5)


def test_rows_whose_squares_overflow():
    X, y, new = make_data()
    detector = ClassSubspaceDetector(2).fit(X, y)
    with pytest.raises(ValueError, match="squares overflow"):
        detector.score_samples(1e200 * new)


# -- streams and parameters ------------------------------------------------------


def test_moments_without_class_scatter():
    X, y, _ = make_data()
    with pytest.raises(ValueError, match=r"ClassMoments\(class_scatter=True\)"):
        ClassSubspaceDetector().fit_moments(ClassMoments().update(X, y))


def test_stream_with_new_classes():
    X, y, new = make_data()
    detector = ClassSubspaceDetector(2, centered=True)
    for c in (3, 0, 2, 1):
        detector.partial_fit(X[y == c], y[y == c])
    whole = ClassSubspaceDetector(2, centered=True).fit(X, y)
    assert_allclose(detector.score_samples(new), whole.score_samples(new), rtol=1e-9)


@pytest.mark.parametrize("bad", [0, 1.0, -1, 0.0, "all", None])
def test_bad_parameters(bad):
    X, y, _ = make_data()
    with pytest.raises(InvalidParameterError, match="'n_components' parameter"):
        ClassSubspaceDetector(bad).fit(X, y)


@pytest.mark.parametrize("changed", [{"n_components": 3}, {"centered": True}], ids=repr)
def test_parameters_after_fit(changed):
    X, y, new = make_data()
    detector = ClassSubspaceDetector(1).fit(X, y).set_params(**changed)
    fresh = ClassSubspaceDetector(1).set_params(**changed).fit(X, y)
    assert_array_equal(detector.score_samples(new), fresh.score_samples(new))


# -- real features ---------------------------------------------------------------


@CENTERED
@pytest.mark.parametrize("wanted", [1, 5])
def test_real_features(wanted, centered):
    """The same ratios from the singular vectors of each class's rows."""
    data = load_cifar8_features()
    X, y = np.asarray(data.data, float), data.target
    m = np.mean([X[y == c].mean(axis=0) for c in range(8)], axis=0) * centered
    bases = [
        np.linalg.svd(X[y == c] - m, full_matrices=False)[2][:wanted] for c in range(8)
    ]
    detector = ClassSubspaceDetector(wanted, centered=centered).fit(data.data, y)
    for rows in (data.X_test, *data.ood.values()):
        z = np.asarray(rows, float) - m
        inside = np.max([np.linalg.norm(z @ B.T, axis=1) for B in bases], axis=0)
        expected = inside / np.linalg.norm(z, axis=1)
        assert_allclose(detector.score_samples(rows), expected, rtol=1e-5)
