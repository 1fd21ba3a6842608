"""Named frames and given ones in the aligner and its scorer."""

import functools
import math

import numpy as np
import oracles_etf as oracles
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse.etf import ETFAligner, ETFAlignmentScorer
from sklearn_collapse.etf._spread import spread_frame
from sklearn_collapse.metrics import CollapseWarning
from sklearn_collapse.utils import _decompositions, move_estimator

FRAMES = {
    "simplex": lambda c, d: oracles.simplex(c),
    "orthoplex": lambda c, d: oracles.orthoplex(c),
    "hypercube": lambda c, d: oracles.hypercube(c),
    # Its properties are the business of its own tests.
    "spread": functools.cache(spread_frame),
}
# Classes and features; as many classes as the frame has are among them.
SIZES = {
    "simplex": [(2, 1), (4, 3), (7, 9)],
    "orthoplex": [(2, 1), (6, 3), (9, 6)],
    "hypercube": [(2, 1), (8, 3), (6, 4)],
    "spread": [(3, 2), (8, 4), (7, 3)],
}
CASES = [(name, *size) for name, sizes in SIZES.items() for size in sizes]


def centred_frame(name, n_classes, d):
    frame = FRAMES[name](n_classes, d)
    return frame - frame.mean(axis=0)


def planted(name, n_classes, d, scale=3.0, noise=0.0, seed=0, order=None):
    """Class means that are a turned, scaled and shifted frame."""
    rng = np.random.default_rng(seed)
    # In the fewest dimensions: the simplex has one row per class among C axes.
    left, values, _ = np.linalg.svd(centred_frame(name, n_classes, d))
    rank = int((values > 1e-10).sum())
    frame = left[:, :rank] * values[:rank]
    if order is not None:
        frame = frame[order]
    means = scale * frame @ oracles.random_rotation(d, rank, seed).T
    off = noise * scale * rng.normal(size=means.shape)
    return means + off + 4 * scale * rng.normal(size=d)


# -- against the oracle --------------------------------------------------------------


@pytest.mark.parametrize(("name", "n_classes", "d"), CASES)
def test_named_frame(library, name, n_classes, d):
    means = np.random.default_rng(0).normal(size=(n_classes, d)) + 2
    X, y = oracles.rows_about(means, 3)
    arrays = library.asarray(X), library.asarray(y)
    aligner, scorer = ETFAligner(name).fit(*arrays), ETFAlignmentScorer(name)
    scorer.fit(*arrays)
    B = centred_frame(name, n_classes, d)
    rotation, scale, disparity = oracles.alignment(means, B)
    assert library.owns(aligner.rotation_)
    assert_allclose(library.to_numpy(aligner.frame_), B, atol=1e-14)
    # The rotation is found as well as the least singular value that counts.
    assert_allclose(library.to_numpy(aligner.rotation_), rotation, atol=1e-9)
    assert_allclose(aligner.scale_, scale, rtol=1e-11)
    assert_allclose(aligner.disparity_, disparity, rtol=1e-9, atol=1e-14)
    assert_array_equal(aligner.assignment_, range(n_classes))
    assert_array_equal(scorer.assignment_, range(n_classes))
    assert_allclose(scorer.metrics_["disparity"], disparity, rtol=1e-9, atol=1e-14)
    cosines = oracles.cosines(means, B, rotation)
    assert_allclose(library.to_numpy(scorer.cosines_), cosines, atol=1e-9)


@pytest.mark.parametrize("frame", ["simplex", "spread"])
def test_every_simplex_in_the_fewest_dimensions(frame):
    for n_classes in (*range(2, 60), *range(60, 201, 7)):
        means = planted("simplex", n_classes, n_classes - 1, seed=n_classes)
        scorer = ETFAlignmentScorer(frame).fit(means, np.arange(n_classes))
        assert scorer.rank_ == n_classes - 1, n_classes
        assert scorer.metrics_["disparity"] < 1e-26, n_classes
        assert scorer.metrics_["alignment_min"] == pytest.approx(1, rel=1e-13)
        assert scorer.metrics_["cosine_gap_std"] < 1e-13, n_classes


# -- planted frames ------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-5, 3.0])
@pytest.mark.parametrize("matching", ["order", "optimal"])
@pytest.mark.parametrize(("name", "n_classes", "d"), CASES)
def test_planted_frame_is_found(name, n_classes, d, matching, scale):
    order = np.arange(n_classes)
    if matching == "optimal":
        order = np.random.default_rng(1).permutation(n_classes)
    means = planted(name, n_classes, d + 2, scale, order=order)
    X, y = oracles.rows_about(means, 4, 0.1 * scale)
    aligner = ETFAligner(name, matching=matching).fit(X, y)
    assert aligner.disparity_ < 1e-26
    assert_allclose(aligner.scale_, 1 / scale, rtol=1e-11)
    assert_allclose(aligner.transform(means), aligner.frame_, atol=1e-10)
    B = centred_frame(name, n_classes, d + 2)[aligner.assignment_]
    assert_allclose(aligner.frame_, B, atol=1e-14)
    scorer = ETFAlignmentScorer(name, matching=matching).fit(X, y)
    assert_array_equal(scorer.assignment_, aligner.assignment_)
    assert_allclose(scorer.metrics_["alignment_min"], 1, rtol=1e-11)
    assert_allclose(scorer.metrics_["cosine_gap_std"], 0, atol=1e-11)


@pytest.mark.parametrize("matching", ["order", "optimal"])
@pytest.mark.parametrize("name", FRAMES)
def test_disparity_is_the_square_of_the_noise(name, matching):
    n_classes, d = 8, 9
    order = np.arange(n_classes)
    if matching == "optimal":
        order = np.random.default_rng(1).permutation(n_classes)
    found = []
    for noise in (1e-6, 1e-4, 1e-2):
        means = planted(name, n_classes, d, noise=noise, order=order)
        aligner = ETFAligner(name, matching=matching)
        aligner.fit(means, np.arange(n_classes))
        found.append(aligner.disparity_ / noise**2)
    assert_allclose(found, found[0], rtol=0.1)
    assert 0.1 < found[0] < 100


# -- uniqueness ----------------------------------------------------------------------


def mixing(seed):
    """Singular vectors as another solver may return them: any basis where tied."""
    decompose, rng = _decompositions._decompose, np.random.default_rng(seed)

    def mixed(name, matrix, **options):
        parts = decompose(name, matrix, **options)
        if name != "svd":
            return parts
        left, values, right = (x.copy() for x in parts)
        edges = np.flatnonzero(np.diff(values) < -1e-9 * values[0]) + 1
        for tied in np.split(np.arange(len(values)), edges):
            turn = np.linalg.qr(rng.normal(size=(len(tied), len(tied))))[0]
            left[:, tied] = left[:, tied] @ turn
            if values[tied[0]] <= 1e-9 * values[0]:  # of nothing: no common basis
                turn = turn[:, rng.permutation(len(tied))]
            right[tied] = turn.T @ right[tied]
        return left, values, right

    return mixed


@pytest.mark.parametrize("matching", ["order", "optimal"])
@pytest.mark.parametrize("perfect", [True, False])
@pytest.mark.parametrize(("name", "n_classes", "d"), CASES)
def test_choice_of_singular_vectors_does_not_matter(
    monkeypatch, name, n_classes, d, perfect, matching
):
    """All singular values of a perfect frame are equal: any basis is theirs."""
    means = planted(name, n_classes, d, noise=0 if perfect else 0.2)
    X, y = oracles.rows_about(means, 3)
    expected = ETFAligner(name, matching=matching).fit(X, y)
    rotation, scale = expected.rotation_, expected.scale_
    disparity, own = expected.disparity_, expected.assignment_
    for seed in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(_decompositions, "_decompose", mixing(seed))
            found = ETFAligner(name, matching=matching).fit(X, y)
            assert_array_equal(found.assignment_, own)
            assert_allclose(found.rotation_, rotation, atol=1e-10)
            assert_allclose(found.scale_, scale, rtol=1e-12)
            assert_allclose(found.disparity_, disparity, rtol=1e-9, atol=1e-26)


@pytest.mark.parametrize("matching", ["order", "optimal"])
@pytest.mark.parametrize("name", FRAMES)
def test_features_in_another_basis_and_rows_in_another_order(name, matching):
    n_classes, d = 6, 7
    means = planted(name, n_classes, d, noise=0.05)
    X, y = oracles.rows_about(means, 5)
    aligner = ETFAligner(name, matching=matching).fit(X, y)
    expected = aligner.transform(X)
    rng = np.random.default_rng(0)
    turns = [
        np.eye(d)[rng.permutation(d)],
        np.diag(rng.choice([-1.0, 1.0], size=d)),
        oracles.random_rotation(d, d, 3),
    ]
    for turn in turns:
        order = rng.permutation(len(y))
        other = ETFAligner(name, matching=matching).fit(X[order] @ turn, y[order])
        assert_array_equal(other.assignment_, aligner.assignment_)
        assert_allclose(turn @ other.rotation_, aligner.rotation_, atol=1e-11)
        assert_allclose(other.transform(X @ turn), expected, atol=1e-10)


# -- more classes than there are vertices --------------------------------------------


TOO_MANY = [
    ("simplex", 5, 3, 4),
    ("orthoplex", 7, 3, 6),
    ("hypercube", 9, 3, 8),
    ("spread", 3, 1, 2),
]


@pytest.mark.parametrize("matching", ["order", "optimal"])
@pytest.mark.parametrize(("name", "n_classes", "d", "most"), TOO_MANY)
def test_too_many_classes(name, n_classes, d, most, matching):
    means = np.random.default_rng(0).normal(size=(n_classes, d))
    X, y = oracles.rows_about(means, 4)
    aligner = ETFAligner(name, matching=matching)
    match = f"n_features={d} dimensions: at most {most} .*spread_frame"
    with pytest.raises(ValueError, match=match):
        aligner.fit(X, y)
    assert not hasattr(aligner, "moments_")
    aligner.partial_fit(X, y)
    for attribute in ("assignment_", "rotation_", "frame_"):
        with pytest.raises(ValueError, match=match):
            getattr(aligner, attribute)
    scorer = ETFAlignmentScorer(name, matching=matching).fit(X, y)
    with pytest.warns(CollapseWarning, match=f"at most {most}") as caught:
        assert np.isnan(scorer.score_samples(X)).all()
    assert len(caught) == 1
    # And no second warning.
    assert all(math.isnan(value) for value in scorer.metrics_.values())
    assert math.isnan(scorer.score(X, y))
    assert_array_equal(scorer.assignment_, range(n_classes))
    # One class fewer has the frame.
    here = y < most
    ETFAligner(name, matching=matching).fit(X[here], y[here])


def test_class_means_that_coincide():
    X, y = np.tile(np.arange(6.0), (12, 1)), np.arange(12) % 3
    scorer = ETFAlignmentScorer("orthoplex", matching="optimal").fit(X, y)
    assert_array_equal(scorer.assignment_, range(3))
    assert all(math.isnan(value) for value in scorer.metrics_.values())
    with pytest.raises(ValueError, match="coincide"):
        ETFAligner("orthoplex", matching="optimal").fit(X, y)


# -- optimal matching ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["named", "given"])
def test_optimal_matching_against_all_assignments(library, kind):
    n_classes, d = 5, 4
    means = np.random.default_rng(3).normal(size=(n_classes, d))
    X, y = oracles.rows_about(means, (1, 9, 4, 30, 2))
    frame = "orthoplex"
    if kind == "given":
        frame = np.random.default_rng(4).normal(size=(n_classes, 9)) + 7
    arrays = library.asarray(X), y
    aligner = ETFAligner(frame, matching="optimal").fit(*arrays)
    B = oracles.orthoplex(n_classes) if kind == "named" else frame
    B = B - B.mean(axis=0)
    A = means - means.mean(axis=0)
    best = oracles.best_assignment(A, B)
    disparity = 1 - best**2 / np.sum(A**2) / np.sum(B**2)
    assert_allclose(aligner.disparity_, disparity, rtol=1e-10)
    own = aligner.assignment_
    assert own.dtype.kind == "i"
    assert_allclose(oracles.nuclear_norm(A, B[own]), best, rtol=1e-12)
    assert_allclose(library.to_numpy(aligner.frame_), B[own], atol=1e-13)
    rotation = oracles.alignment(A, B[own])[0]
    assert_allclose(library.to_numpy(aligner.rotation_), rotation, atol=1e-9)
    assert aligner.disparity_ < ETFAligner(frame).fit(*arrays).disparity_

    scorer = ETFAlignmentScorer(frame, matching="optimal").fit(*arrays)
    assert_allclose(scorer.metrics_["disparity"], disparity, rtol=1e-10)
    assert_allclose(scorer.score(*arrays), -disparity, rtol=1e-10)
    cosines = oracles.cosines(A, B[own], rotation)
    assert_allclose(library.to_numpy(scorer.cosines_), cosines, atol=1e-9)
    gaps = oracles.cosine_gaps(A, B[own])
    found = [scorer.metrics_[f"cosine_gap_{what}"] for what in ("mean", "std")]
    assert_allclose(found, gaps, rtol=1e-9)


def test_assignment_follows_new_rows():
    n_classes = 6
    order = np.array([3, 1, 0, 5, 2, 4])
    X, y = oracles.rows_about(planted("orthoplex", n_classes, 5, order=order), 5)
    aligner = ETFAligner("orthoplex", matching="optimal").partial_fit(X, y)
    assert aligner.disparity_ < 1e-26
    # Now in order: the first rows are outnumbered and shrink the frame's weight.
    more = oracles.rows_about(planted("orthoplex", n_classes, 5, 300.0), 50)
    aligner.partial_fit(*more)
    assert aligner.disparity_ < 1e-2
    again = ETFAligner("orthoplex", matching="optimal")
    again.fit(np.concatenate([X, more[0]]), np.concatenate([y, more[1]]))
    assert_array_equal(aligner.assignment_, again.assignment_)


def test_given_frame_far_from_the_origin():
    """Its mean is rounded at the size of the rows, and so taken away twice."""
    frame = np.random.default_rng(0).normal(size=(7, 3))
    frame += [1e9, -3e9, 7e8]
    X, y = oracles.rows_about(np.random.default_rng(1).normal(size=(7, 5)))
    found = ETFAligner(frame).fit(X, y).frame_
    assert_allclose(found.mean(axis=0), 0, atol=1e-15)


@pytest.mark.parametrize("name", FRAMES)
def test_frames_are_not_shared(name):
    """The search for a frame is remembered; what is handed out is no part of that."""
    # More classes than a simplex has room for make the search necessary.
    n_classes, d = (7, 3) if name == "spread" else (7, 6)
    X, y = oracles.rows_about(np.random.default_rng(1).normal(size=(n_classes, d)))
    first = ETFAligner(name).fit(X, y)
    expected = first.frame_.copy()
    handed = first.frame_
    handed *= np.nan
    assert_array_equal(ETFAligner(name).fit(X, y).frame_, expected)


# -- frames of other libraries -------------------------------------------------------


@pytest.mark.parametrize("matching", ["order", "optimal"])
@pytest.mark.parametrize("kind", ["library", "table", "nested lists"])
def test_kinds_of_frames(library, kind, matching):
    n_classes, d = 5, 6
    frame = np.random.default_rng(4).normal(size=(n_classes, 3)) + 7
    X, y = oracles.rows_about(planted("simplex", n_classes, d, noise=0.3))
    expected = ETFAligner(frame, matching=matching).fit(X, y)
    given = {
        "library": library.asarray(frame),
        "table": pd.DataFrame(frame, index=list("abcde")),
        "nested lists": frame.tolist(),
    }[kind]
    for rows in (X, library.asarray(X)):
        aligner = ETFAligner(given, matching=matching).fit(rows, y)
        rotation = library.to_numpy(aligner.rotation_)
        assert_allclose(rotation, expected.rotation_, atol=1e-12)
        assert_array_equal(aligner.assignment_, expected.assignment_)
        scorer = ETFAlignmentScorer(given, matching=matching).fit(rows, y)
        assert_allclose(scorer.metrics_["disparity"], expected.disparity_, rtol=1e-11)


@pytest.mark.parametrize("frame", ["orthoplex", "given"])
def test_moved(library, frame):
    n_classes, d = 6, 7
    if frame == "given":
        frame = np.random.default_rng(4).normal(size=(n_classes, 3))
    X, y = oracles.rows_about(np.random.default_rng(1).normal(size=(n_classes, d)))
    scorer = ETFAlignmentScorer(frame, matching="optimal").fit(X, y)
    twin = move_estimator(scorer, library.asarray(0.0))
    found = twin.score_samples(library.asarray(X), y)
    assert library.owns(found)
    assert_allclose(library.to_numpy(found), scorer.score_samples(X, y), atol=1e-12)
    assert_array_equal(twin.assignment_, scorer.assignment_)
    assert_allclose(twin.score(library.asarray(X), y), scorer.score(X, y), rtol=1e-11)
    twin.partial_fit(library.asarray(X), y)
    assert_allclose(twin.metrics_["disparity"], scorer.metrics_["disparity"])
