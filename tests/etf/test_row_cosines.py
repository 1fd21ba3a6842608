"""Tests of ETFAlignmentScorer.score_samples."""

import math

import numpy as np
import oracles_etf as oracles
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from sklearn_collapse.etf import ETFAlignmentScorer
from sklearn_collapse.metrics import CollapseWarning

C, D = 5, 7


def random_means(n_classes=C, d=D, seed=0):
    return np.random.default_rng(seed).normal(size=(n_classes, d)) + 2


def make_rows(counts=(7, 12, 3, 30, 1), spread=0.5, offset=0.0):
    return oracles.rows_about(random_means() + offset, counts, spread)


FRAMES = {
    "simplex": lambda: oracles.simplex(C),
    "orthoplex": lambda: oracles.orthoplex(C),
    "narrow": lambda: random_means(C, 2, seed=5),
    "wide": lambda: random_means(C, 9, seed=6) + 50,
}


def expected_cosines(X, y, frame, new):
    """Cosine of new rows with each vertex, by the textbook."""
    means = oracles.class_moments(X, y)["means"]
    rotation = oracles.alignment(means, frame)[0]
    return oracles.row_cosines(new, means.mean(axis=0), rotation, frame)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("name", FRAMES)
def test_against_the_oracle(library, name, labelled):
    X, y = make_rows()
    frame = FRAMES[name]()
    given = name if name in ("simplex", "orthoplex") else frame
    scorer = ETFAlignmentScorer(given).fit(library.asarray(X), y)
    new, labels = oracles.rows_about(random_means() + 0.3, 6, seed=9)
    cosines = expected_cosines(X, y, frame, new)
    expected = cosines.max(axis=1)
    arguments = [library.asarray(new)]
    if labelled:
        expected = cosines[np.arange(len(new)), labels]
        arguments.append(library.asarray(labels))
    found = scorer.score_samples(*arguments)
    assert library.owns(found)
    assert found.shape == (len(new),)
    assert_allclose(library.to_numpy(found), expected, atol=1e-12)


def test_optimal_matching():
    """The vertex is the one that was assigned."""
    order = np.array([3, 1, 0, 4, 2])
    frame = random_means(C, 3, seed=5)
    means = frame[order] @ oracles.random_rotation(D, 3).T
    X, y = oracles.rows_about(means, spread=0.0)
    scorer = ETFAlignmentScorer(frame, matching="optimal").fit(X, y)
    assert_array_equal(scorer.assignment_, order)
    assert_allclose(scorer.score_samples(X, y), 1, rtol=1e-12)
    assert_allclose(scorer.score_samples(X), 1, rtol=1e-12)
    plain = ETFAlignmentScorer(frame).fit(X, y)
    assert plain.score_samples(X, y).min() < 0.5


def test_labels_may_be_anything_that_was_seen():
    X, y = make_rows()
    names = np.array(["e", "b", "a", "d", "c"])
    expected = ETFAlignmentScorer().fit(X, y).score_samples(X, y)
    scorer = ETFAlignmentScorer().fit(X, names[y])
    assert_allclose(scorer.score_samples(X, names[y]), expected, atol=1e-13)
    some = np.flatnonzero(y == 3)[:4]
    found = scorer.score_samples(X[some], names[y[some]].tolist())
    assert_allclose(found, expected[some], atol=1e-13)


@pytest.mark.parametrize("offset", [0.0, 1e5])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_collapsed_rows_are_their_class_means(library, dtype, offset):
    """Also far from the origin, where float32 holds few digits of a row."""
    means = (random_means() + offset).astype(dtype)
    y = np.repeat(np.arange(C), 4)
    X = library.asarray(means[y])
    scorer = ETFAlignmentScorer().fit(X, y)
    found = scorer.score_samples(X, y)
    assert str(found.dtype).endswith(dtype)
    # The centre itself is held in float64.
    rtol = 1e-6 if dtype == "float32" else 1e-13 + 2 * np.finfo(float).eps * offset
    own = library.to_numpy(scorer.class_alignment_)
    assert_allclose(library.to_numpy(found), own[y], rtol=rtol)
    A = means.astype(float) - means.astype(float).mean(axis=0)
    rotation = oracles.alignment(A, oracles.simplex(C))[0]
    expected = np.diag(oracles.cosines(A, oracles.simplex(C), rotation))
    assert_allclose(library.to_numpy(found), expected[y], rtol=rtol)


def test_what_the_rotation_leaves_out_counts():
    """A row that is orthogonal to the frame's directions has no cosine at all."""
    X, y = oracles.rows_about(random_means(3, D), spread=0.0)
    scorer = ETFAlignmentScorer().fit(X, y)
    centre = random_means(3, D).mean(axis=0)
    A = random_means(3, D) - centre
    outside = np.linalg.svd(A)[2][-1]
    row = A[:1] + centre
    for step in (0.0, 1.0, 10.0):
        found = scorer.score_samples(row + step * outside, [0])[0]
        shrunk = np.linalg.norm(A[0]) / np.hypot(np.linalg.norm(A[0]), step)
        assert_allclose(found, scorer.class_alignment_[0] * shrunk, rtol=1e-12)
    assert abs(scorer.score_samples((centre + outside)[None, :])[0]) < 1e-12


@pytest.mark.parametrize("offset", [5.0, 0.3, 1 / 7])
def test_rows_in_the_centre(library, offset):
    """To rounding: they have no direction, like their class mean."""
    means = np.array([[0.1, 0.7], [-0.1, -0.7], [0.0, 0.0]]) + offset
    y = np.repeat(np.arange(3), 3)
    X = means[y]
    scorer = ETFAlignmentScorer().fit(library.asarray(X), y)
    assert library.to_numpy(scorer.class_alignment_)[2] == 0
    for labels in (y, None):
        found = library.to_numpy(scorer.score_samples(library.asarray(X), labels))
        assert_array_equal(found[y == 2], 0)
        assert found[y == 0].min() > 0.5


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e30])
@pytest.mark.parametrize("labelled", [True, False])
def test_float32_of_any_size(library, scale, labelled):
    """No square leaves the range of float32."""
    X, y = make_rows()
    labels = y if labelled else None
    expected = ETFAlignmentScorer().fit(X, y).score_samples(X, labels)
    X = library.asarray((scale * X).astype("float32"))
    scorer = ETFAlignmentScorer().fit(X, y)
    found = library.to_numpy(scorer.score_samples(X, labels))
    assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("labelled", [True, False])
def test_many_blocks(library, monkeypatch, labelled):
    X, y = make_rows((300, 200, 100, 250, 150))
    scorer = ETFAlignmentScorer().fit(library.asarray(X), y)
    arguments = (library.asarray(X), y) if labelled else (library.asarray(X),)
    expected = library.to_numpy(scorer.score_samples(*arguments))
    monkeypatch.setattr("sklearn_collapse.utils._arrays.block_rows", lambda width: 64)
    found = library.to_numpy(scorer.score_samples(*arguments))
    assert_allclose(found, expected, atol=1e-14)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("labelled", [True, False])
def test_rows_that_are_not_finite(library, value, labelled):
    X, y = make_rows()
    scorer = ETFAlignmentScorer().fit(library.asarray(X), y)
    X[7, 2] = value
    arguments = (library.asarray(X), y) if labelled else (library.asarray(X),)
    with pytest.raises(ValueError, match="first in row 7, column 2"):
        scorer.score_samples(*arguments)


def test_errors(library):
    X, y = make_rows()
    rows = library.asarray(X)
    scorer = ETFAlignmentScorer().fit(rows, y)
    with pytest.raises(ValueError, match=r"not seen in fit: \[9\]"):
        scorer.score_samples(rows, np.where(y == 0, 9, y))
    with pytest.raises(ValueError, match="inconsistent"):
        scorer.score_samples(rows, y[:-1])
    with pytest.raises(ValueError, match="features"):
        scorer.score_samples(library.asarray(X[:, 1:]))
    with pytest.raises(NotFittedError):
        ETFAlignmentScorer().score_samples(rows)
    if library.name != "numpy":
        match = r"ETFAlignmentScorer.score_samples\(\) must use the same namespace"
        with pytest.raises(ValueError, match=match):
            scorer.score_samples(X)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_nothing_to_align(library, dtype):
    X, y = oracles.rows_about(random_means(6, 4), 9)
    rows = library.asarray(X.astype(dtype))
    scorer = ETFAlignmentScorer().fit(rows, y)
    with pytest.warns(CollapseWarning, match="6 classes have no 'simplex'") as caught:
        found = scorer.score_samples(rows, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # the line of the caller
    assert library.owns(found)
    assert str(found.dtype).endswith(dtype)
    assert found.shape == (len(X),)
    assert np.isnan(library.to_numpy(found)).all()
    assert np.isnan(library.to_numpy(scorer.score_samples(rows))).all()
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="first in row 3, column 1"):
        scorer.score_samples(library.asarray(X))


def test_class_means_that_coincide():
    X, y = np.tile(np.arange(12.0).reshape(4, 3), (3, 1)), np.repeat(np.arange(3), 4)
    scorer = ETFAlignmentScorer().fit(X, y)
    found = scorer.score_samples(X.astype(int), y)
    assert found.dtype == np.float64
    assert all(math.isnan(value) for value in found)


def test_frame_of_other_directions():
    full = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    full = full - full.mean(axis=0)
    basis = np.linalg.svd(full)[0]
    X, y = oracles.rows_about(basis[:, :2], spread=0.0)
    scorer = ETFAlignmentScorer(basis[:, 2:4]).fit(X, y)
    assert scorer.rank_ == 0
    assert_array_equal(scorer.score_samples(X, y), 0)


def test_table():
    X, y = make_rows()
    table = pd.DataFrame(X, columns=[f"unit{j}" for j in range(D)])
    scorer = ETFAlignmentScorer().fit(table, y)
    expected = ETFAlignmentScorer().fit(X, y).score_samples(X, y)
    found = scorer.score_samples(table, pd.Series(y))
    assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("labelled", [True, False])
def test_rows_that_are_sent_to_a_device(monkeypatch, labelled):
    """Main memory stands for a GPU; results come home."""
    torch = pytest.importorskip("torch")
    X, y = make_rows((300, 200, 100, 250, 150))
    labels = y if labelled else None
    scorer = ETFAlignmentScorer().fit(X, y)
    expected = scorer.score_samples(X, labels)
    arrays = "sklearn_collapse.utils._arrays"
    monkeypatch.setattr(f"{arrays}.gpu_for", lambda device, work: torch.empty(0))
    monkeypatch.setattr(f"{arrays}.block_rows", lambda width: 64)
    found = scorer.score_samples(X, labels)
    assert type(found) is np.ndarray
    assert_allclose(found, expected, atol=1e-14)
