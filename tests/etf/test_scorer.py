"""Tests of ETFAlignmentScorer."""

import math
import pickle

import numpy as np
import oracles_etf as oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import helmert
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from sklearn_collapse import ClassMoments, LinearHead
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.etf import ETFAligner, ETFAlignmentScorer, ETFClassifier
from sklearn_collapse.metrics import (
    CollapseWarning,
    nc2_equiangularity,
    nc3_self_duality,
)

C, D = 5, 7
CRITERIA = ["disparity", "alignment_mean", "alignment_min", "cosine_gap_std"]
NEGATED = {"disparity", "cosine_gap_std"}
PLAIN = {
    *("disparity", "alignment_mean", "alignment_std", "alignment_min"),
    *("cosine_gap_mean", "cosine_gap_std"),
}
OF_HEAD = {"head_disparity", "head_alignment_mean", "head_self_duality"}


def random_means(n_classes=C, d=D, seed=0):
    return np.random.default_rng(seed).normal(size=(n_classes, d)) + 2


def random_head(n_classes=C, d=D, classes=None):
    rng = np.random.default_rng(8)
    W, b = rng.normal(size=(n_classes, d)), rng.normal(size=n_classes)
    return LinearHead(W, b, classes=classes)


def make_rows(counts=(7, 12, 3, 30, 1), spread=0.5):
    return oracles.rows_about(random_means(), counts, spread)


FRAMES = {
    "simplex": "simplex",
    "narrow": random_means(C, 2, seed=5),
    "wide": random_means(C, 9, seed=6) + 50,
}


def centred_frame(frame):
    B = oracles.simplex(C) if isinstance(frame, str) else frame
    return B - B.mean(axis=0)


def expected_metrics(A, B, rotation, scale):
    own = np.diag(oracles.cosines(A, B, rotation))
    gap_mean, gap_std = oracles.cosine_gaps(A, B)
    return {
        "cosine_gap_mean": gap_mean,
        "cosine_gap_std": gap_std,
        "disparity": oracles.residual(A - A.mean(axis=0), B, rotation, scale),
        "alignment_mean": own.mean(),
        "alignment_std": np.sqrt(((own - own.mean()) ** 2).mean()),
        "alignment_min": own.min(),
    }


def assert_same(found, expected, rtol=1e-10):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert type(found[name]) is float
        assert_allclose(found[name], value, rtol=rtol, atol=1e-14, err_msg=name)


# -- metrics_ ------------------------------------------------------------------------


@pytest.mark.parametrize("frame", FRAMES)
def test_metrics(library, frame):
    X, y = make_rows()
    frame = FRAMES[frame]
    scorer = ETFAlignmentScorer(frame).fit(library.asarray(X), library.asarray(y))
    A, B = oracles.centred_means(X, y), centred_frame(frame)
    rotation, scale, disparity = oracles.alignment(A, B)
    expected = expected_metrics(A, B, rotation, scale)
    assert_allclose(expected["disparity"], disparity, rtol=1e-10)
    assert_same(scorer.metrics_, expected)
    cosines = oracles.cosines(A, B, rotation)
    for name, value in (("cosines_", cosines), ("class_alignment_", np.diag(cosines))):
        found = getattr(scorer, name)
        assert library.owns(found)
        assert_allclose(library.to_numpy(found), value, atol=1e-12)
    assert scorer.rank_ == min(C - 1, B.shape[1])
    assert_array_equal(scorer.classes_, range(C))
    assert_allclose(
        library.to_numpy(scorer.means_) - X.mean(), random_means() - X.mean()
    )
    assert scorer.device_ == "cpu"


HEADS = {
    "linear": lambda X, y: random_head(),
    "lda": lambda X, y: "lda",
    "unfitted": lambda X, y: LogisticRegression(),
    "frozen": lambda X, y: FrozenEstimator(LogisticRegression(C=0.1).fit(X, y)),
}


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("kind", HEADS)
def test_head(library, frame, kind):
    X, y = make_rows()
    frame, head = FRAMES[frame], HEADS[kind](X, y)
    scorer = ETFAlignmentScorer(frame, head=head).fit(library.asarray(X), y)
    if kind == "lda":
        within = sum(np.cov(X[y == c].T, bias=True) * sum(y == c) for c in range(4))
        W = np.linalg.solve(within / len(X), random_means().T).T
    else:
        W = (clone(head).fit(X, y) if kind == "unfitted" else head).coef_
    W = W - W.mean(axis=0)
    A, B = oracles.centred_means(X, y), centred_frame(frame)
    rotation = oracles.alignment(A, B)[0]
    along = np.sum((W @ rotation) * B)
    scale = max(along, 0) / np.sum(W**2)
    expected = 1 - max(along, 0) ** 2 / np.sum(W**2) / np.sum(B**2)
    found = scorer.metrics_
    assert set(found) == PLAIN | OF_HEAD
    rtol = 1e-6 if kind == "unfitted" else 1e-9
    assert_allclose(found["head_disparity"], expected, rtol=rtol)
    assert_allclose(oracles.residual(W, B, rotation, scale), expected, rtol=1e-9)
    cosines = np.diag(oracles.cosines(W, B, rotation))
    assert_allclose(found["head_alignment_mean"], cosines.mean(), rtol=rtol, atol=rtol)
    A = A / np.linalg.norm(A)
    duality = np.sqrt(np.sum((W / np.linalg.norm(W) - A) ** 2))
    assert_allclose(found["head_self_duality"], duality, rtol=rtol)
    plain = ETFAlignmentScorer(frame).fit(X, y).metrics_
    assert_same({name: found[name] for name in PLAIN}, plain)


@pytest.mark.parametrize("kind", [*HEADS, "binary", "extra"])
def test_self_duality_is_that_of_the_metric(kind):
    """For every kind of head; rows of few classes weigh as much as of many."""
    X, y = make_rows(9)
    if kind == "binary":
        X, y = X[y < 2], np.array(["b", "a"])[y[y < 2]]
        head = FrozenEstimator(LogisticRegression().fit(X, y))
        assert head.coef_.shape == (1, D)
    elif kind == "extra":
        head = random_head(7, classes=[3, 9, 1, 0, 4, 7, 2])
        X, y = make_rows()
    else:
        head = HEADS[kind](X, y)
    found = ETFAlignmentScorer(head=head).fit(X, y).metrics_["head_self_duality"]
    options = {"class_weight": "balanced", "centered": True}
    assert_allclose(found, nc3_self_duality(X, y, head, **options), rtol=1e-10)


def test_discriminant_is_that_of_the_rows_as_they_are():
    """The metric weighs rows for it; with these weights both are the same."""
    X, y = make_rows()
    scorer = ETFAlignmentScorer(head="lda").fit(X, y)
    options = {"class_weight": "balanced", "centered": True}
    head = LinearHead(scorer._head_rows())
    expected = nc3_self_duality(X, y, head, **options)
    assert_allclose(scorer.metrics_["head_self_duality"], expected, rtol=1e-10)


def test_head_that_is_the_class_means():
    """Self-dual: the head's numbers are those of the class means."""
    X, y = make_rows()
    head = LinearHead(7 * random_means() - 3)
    found = ETFAlignmentScorer(head=head).fit(X, y).metrics_
    assert_allclose(found["head_disparity"], found["disparity"], rtol=1e-10)
    assert_allclose(found["head_alignment_mean"], found["alignment_mean"], rtol=1e-12)
    assert found["head_self_duality"] < 1e-14
    found = ETFAlignmentScorer(head=LinearHead(-random_means())).fit(X, y).metrics_
    assert_allclose(found["head_self_duality"], 2, rtol=1e-14)
    assert found["head_disparity"] == pytest.approx(1)  # not mirrored by its scale
    assert_allclose(found["head_alignment_mean"], -found["alignment_mean"], rtol=1e-12)


def test_head_rows_are_matched_by_label():
    X, y = make_rows()
    names = np.array(["e", "b", "a", "d", "c"])
    expected = ETFAlignmentScorer(head=random_head()).fit(X, y).metrics_
    W, b = random_head().coef_, random_head().intercept_
    extra = LinearHead(
        np.vstack([W, 100 + W[:1]]), np.append(b, 0), classes=[*names, "zebra"]
    )
    for head in (random_head(classes=names), extra):
        scorer = ETFAlignmentScorer(head=head).fit(X, names[y])
        assert_same(scorer.metrics_, expected)


@pytest.mark.parametrize("weights", [np.zeros((C, D)), np.full((C, D), 0.1)])
def test_head_whose_rows_are_equal(weights):
    X, y = make_rows()
    found = ETFAlignmentScorer(head=LinearHead(weights)).fit(X, y).metrics_
    assert {name for name in found if math.isnan(found[name])} == OF_HEAD


@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_moments"])
@pytest.mark.parametrize(
    ("head", "match"),
    [
        (random_head(4), r"lacks the classes \[4\]"),
        (random_head(d=3), "X has 7 features"),
        (
            FrozenEstimator(KNeighborsClassifier(1).fit(np.eye(C, D), range(C))),
            "has no coef_: a metric that compares",
        ),
        (None, None),
    ],
)
def test_heads_that_do_not_fit(method, head, match):
    X, y = make_rows()
    scorer = ETFAlignmentScorer(head=head)
    data = (ClassMoments().update(X, y),) if method == "fit_moments" else (X, y)
    if head is None:
        assert getattr(scorer, method)(*data).head_ is None
        return
    with pytest.raises(ValueError, match=match):
        getattr(scorer, method)(*data)
    assert not hasattr(scorer, "moments_")


def test_head_that_needs_rows():
    X, y = make_rows()
    scorer = ETFAlignmentScorer(head=LogisticRegression())
    for use in (
        lambda: scorer.partial_fit(X, y),
        lambda: scorer.fit_moments(ClassMoments().update(X, y)),
    ):
        with pytest.raises(ValueError, match="has to be fitted on rows"):
            use()


def test_small_blocks_are_not_gathered_one_by_one():
    """A look at the moments after every block would undo their buffer."""
    X, y = make_rows(20)
    scorer = ETFAlignmentScorer(head=random_head())
    for i in range(len(X)):
        scorer.partial_fit(X[i : i + 1], y[i : i + 1])
    assert scorer.moments_._buffer.n_rows == len(X)


# -- angles of the frame -------------------------------------------------------------


@pytest.mark.parametrize("tile", [1024, 2])
def test_cosine_gap(library, monkeypatch, tile):
    monkeypatch.setattr("sklearn_collapse._linalg._frames._TILE", tile)
    X, y = make_rows()
    frame = FRAMES["wide"]
    found = ETFAlignmentScorer(frame).fit(library.asarray(X), y).metrics_
    expected = oracles.cosine_gaps(oracles.centred_means(X, y), centred_frame(frame))
    names = ("cosine_gap_mean", "cosine_gap_std")
    assert_allclose([found[name] for name in names], expected, rtol=1e-11)


def test_cosine_gap_of_the_simplex_is_the_spread_of_the_angles():
    X, y = make_rows()
    found = ETFAlignmentScorer().fit(X, y).metrics_
    expected = nc2_equiangularity(X, y, class_weight="balanced")
    assert_allclose(found["cosine_gap_std"], expected, rtol=1e-12)
    A = oracles.centred_means(X, y)
    cosines = [
        A[i] @ A[j] / np.linalg.norm(A[i]) / np.linalg.norm(A[j])
        for i in range(C)
        for j in range(C)
        if i != j
    ]
    assert_allclose(found["cosine_gap_mean"], np.mean(cosines) + 1 / (C - 1))


def test_cosine_gap_of_one_class():
    X, y = make_rows(9)
    scorer = ETFAlignmentScorer(criterion="cosine_gap_std").fit(X, y)
    assert math.isnan(scorer.score(X[y == 1], y[y == 1]))
    assert scorer.score(X[y < 2], y[y < 2]) == pytest.approx(0)  # of a single pair


# -- perfect frames ------------------------------------------------------------------


@pytest.mark.parametrize(("n_classes", "d"), [(2, 1), (2, 5), (6, 5), (5, 12)])
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_perfect_frame(library, n_classes, d, scale):
    basis = oracles.random_rotation(d, n_classes - 1)
    means = scale * (helmert(n_classes).T @ basis.T + 3)
    counts = 3 * np.arange(n_classes) + 1
    X, y = oracles.rows_about(means, counts, scale)
    head = LinearHead(means)
    scorer = ETFAlignmentScorer(head=head).fit(library.asarray(X), y)
    found = scorer.metrics_
    assert found["disparity"] < 1e-28
    assert found["head_disparity"] < 1e-28
    assert_allclose(found["alignment_min"], 1, rtol=1e-14)
    assert found["alignment_std"] < 1e-14
    expected = np.full((n_classes, n_classes), -1 / (n_classes - 1))
    np.fill_diagonal(expected, 1)
    cosines = library.to_numpy(scorer.cosines_)
    assert_allclose(cosines, expected, atol=1e-14)
    assert np.abs(cosines).max() <= 1


# -- score ---------------------------------------------------------------------------


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("criterion", CRITERIA)
def test_score(library, criterion, frame):
    X, y = make_rows()
    frame = FRAMES[frame]
    scorer = ETFAlignmentScorer(frame, criterion=criterion)
    scorer.fit(library.asarray(X), y)
    sign = -1 if criterion in NEGATED else 1
    fitted = scorer.score(library.asarray(X), library.asarray(y))
    assert type(fitted) is float
    assert_allclose(fitted, sign * scorer.metrics_[criterion], rtol=1e-12)

    X_new, y_new = oracles.rows_about(random_means(seed=0) + 0.3, 4, seed=9)
    X_new = X_new + 0.4 * np.random.default_rng(4).normal(size=X_new.shape)
    weights = np.random.default_rng(1).integers(0, 3, size=len(y_new))
    A, B = oracles.centred_means(X, y), centred_frame(frame)
    rotation, scale, _ = oracles.alignment(A, B)
    centre = oracles.class_moments(X, y)["means"].mean(axis=0)
    new = oracles.class_moments(X_new, y_new, weights)["means"] - centre
    own = [
        (a @ rotation) @ b / (np.linalg.norm(a) * np.linalg.norm(b))
        for a, b in zip(new, B, strict=True)
    ]
    gaps = [
        new[i] @ new[j] / np.linalg.norm(new[i]) / np.linalg.norm(new[j])
        - B[i] @ B[j] / np.linalg.norm(B[i]) / np.linalg.norm(B[j])
        for i in range(C)
        for j in range(C)
        if i != j
    ]
    expected = {
        "disparity": -oracles.residual(new, B, rotation, scale),
        "alignment_mean": np.mean(own),
        "alignment_min": min(own),
        "cosine_gap_std": -np.std(gaps),
    }[criterion]
    arrays = (library.asarray(a) for a in (X_new, y_new, weights))
    found = scorer.score(*arrays)
    # The part of a frame that nothing reaches is in the oracle as well.
    assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("weighted", [False, True])
def test_score_of_many_blocks(library, weighted, offset):
    """Class means of rows that come in several blocks, in any order of the classes."""
    rng = np.random.default_rng(5)
    y = rng.integers(0, C, size=3000)
    X = (random_means()[y] + rng.normal(size=(len(y), D)) + offset).astype("float32")
    weights = rng.integers(0, 3, size=len(y)) if weighted else None
    scorer = ETFAlignmentScorer(criterion="alignment_mean")
    scorer.fit(library.asarray(X[:500]), y[:500])
    A = oracles.centred_means(X[:500].astype(float), y[:500])
    rotation = oracles.alignment(A, centred_frame("simplex"))[0]
    centre = oracles.class_moments(X[:500], y[:500])["means"].mean(axis=0)
    new = oracles.class_moments(X, y, weights)["means"] - centre
    own = [
        (a @ rotation) @ b / (np.linalg.norm(a) * np.linalg.norm(b))
        for a, b in zip(new, centred_frame("simplex"), strict=True)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sklearn_collapse.utils._arrays.block_rows", lambda width: 256)
        found = scorer.score(library.asarray(X), y, weights)
    assert_allclose(found, np.mean(own), rtol=1e-9)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_score_names_rows_that_are_not_finite(library, value):
    X, y = make_rows()
    scorer = ETFAlignmentScorer().fit(library.asarray(X), y)
    X[7, 2] = value
    with pytest.raises(ValueError, match="first in row 7, column 2"):
        scorer.score(library.asarray(X), y)


def test_score_of_some_classes():
    """Classes without rows are left out; the unit stays that of the whole frame."""
    X, y = make_rows(9)
    frame = FRAMES["wide"]
    A, B = oracles.centred_means(X, y), centred_frame(frame)
    rotation, scale, _ = oracles.alignment(A, B)
    here = [1, 4]
    some = np.isin(y, here)
    unit = np.mean([b @ b for b in B])
    expected = oracles.residual(A[here], B[here], rotation, scale)
    expected *= np.mean([b @ b for b in B[here]]) / unit
    scorer = ETFAlignmentScorer(frame).fit(X, y)
    assert_allclose(scorer.score(X[some], y[some]), -expected, rtol=1e-10)
    scorer = ETFAlignmentScorer(frame, criterion="alignment_min").fit(X, y)
    own = np.diag(oracles.cosines(A, B, rotation))
    assert_allclose(scorer.score(X[some], y[some]), own[here].min(), rtol=1e-10)


def test_score_falls_with_distance():
    X, y = make_rows(9)
    scorer = ETFAlignmentScorer().fit(X, y)
    scores = [scorer.score(X * (y != 2)[:, None] * k + X, y) for k in (0, 1, 3)]
    assert scores[0] > scores[1] > scores[2]
    assert scores[2] < -1


def test_score_errors():
    X, y = make_rows()
    scorer = ETFAlignmentScorer().fit(X, y)
    with pytest.raises(ValueError, match="requires y to be passed"):
        scorer.score(X)
    with pytest.raises(ValueError, match=r"not seen in fit: \[9\]"):
        scorer.score(X, np.where(y == 0, 9, y))
    with pytest.raises(ValueError, match="inconsistent"):
        scorer.score(X, y[:-1])
    with pytest.raises(ValueError, match="features"):
        scorer.score(X[:, 1:], y)
    with pytest.raises(NotFittedError):
        ETFAlignmentScorer().score(X, y)
    with pytest.raises(ValueError, match="criterion must be one of"):
        scorer.set_params(criterion="alignment_std").score(X, y)
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match="row 3"):
        ETFAlignmentScorer().fit(make_rows()[0], y).score(X, y)


def test_cross_validation():
    X, y = make_rows(12)
    for criterion in CRITERIA:
        scores = cross_val_score(
            ETFAlignmentScorer(criterion=criterion), X, y, cv=StratifiedKFold(3)
        )
        assert np.isfinite(scores).all()


# -- degenerate class means ----------------------------------------------------------


def test_more_classes_than_a_simplex_has():
    X, y = oracles.rows_about(random_means(6, 4), 9)
    scorer = ETFAlignmentScorer(head=random_head(6, 4)).fit(X, y)
    with pytest.warns(CollapseWarning, match="ETF metrics are nan: 6 .*gnc2") as caught:
        found = scorer.metrics_
    assert len(caught) == 1
    assert caught[0].filename == __file__  # the line of the caller
    assert set(found) == PLAIN | OF_HEAD
    assert all(math.isnan(value) for value in found.values())
    # And no second warning.
    assert math.isnan(scorer.score(X, y))
    assert scorer.class_alignment_.shape == (6,)
    assert scorer.cosines_.shape == (6, 6)
    assert np.isnan(scorer.class_alignment_).all()
    assert np.isnan(scorer.cosines_).all()
    assert scorer.rank_ == 0
    for criterion in CRITERIA:
        scorer = ETFAlignmentScorer(criterion=criterion).fit(X, y)
        with pytest.warns(CollapseWarning, match="ETF metrics are nan"):
            assert math.isnan(scorer.score(X, y))
    # Another frame has no such bound.
    frame = random_means(6, 2, seed=3)
    found = ETFAlignmentScorer(frame).fit(X, y).metrics_["disparity"]
    assert_allclose(found, oracles.alignment(random_means(6, 4), frame)[2], rtol=1e-10)


def test_as_many_classes_as_a_simplex_has():
    X, y = oracles.rows_about(random_means(5, 4), 9)
    assert ETFAlignmentScorer().fit(X, y).metrics_["disparity"] < 1


def test_class_means_that_coincide(library):
    rng = np.random.default_rng(0)
    X, y = np.repeat(rng.normal(size=(9, D)), C, axis=0), np.tile(np.arange(C), 9)
    scorer = ETFAlignmentScorer().fit(library.asarray(X), y)
    assert all(math.isnan(value) for value in scorer.metrics_.values())
    assert math.isnan(scorer.score(library.asarray(X), y))
    assert scorer.rank_ == 0
    assert np.isnan(library.to_numpy(scorer.cosines_)).all()
    assert library.to_numpy(scorer.class_alignment_).shape == (C,)


def test_frame_of_other_directions():
    """Nothing in common is as bad as can be, and no error."""
    full = helmert(6).T
    X, y = oracles.rows_about(full[:, :2], spread=0.0)
    scorer = ETFAlignmentScorer(full[:, 2:4]).fit(X, y)
    assert scorer.metrics_["disparity"] == pytest.approx(1)
    assert scorer.metrics_["alignment_mean"] == 0
    assert scorer.rank_ == 0


def test_class_mean_in_the_centre(library):
    means = np.array([[1.0, 0], [-1, 0], [0, 0]]) + 5
    X, y = oracles.rows_about(means, spread=0.2)
    scorer = ETFAlignmentScorer().fit(library.asarray(X), y)
    assert library.to_numpy(scorer.class_alignment_)[2] == 0
    assert scorer.rank_ == 1


def test_narrow_frame_is_no_perfect_frame():
    """In one dimension all cosines would be 1 or -1; the lost part counts."""
    X, y = make_rows()
    scorer = ETFAlignmentScorer(np.arange(C)[:, None]).fit(X, y)
    assert np.all(np.abs(scorer.class_alignment_) < 0.99)


def test_float32_far_from_the_origin(library):
    X, y = make_rows(40)
    X = (X + 1e4).astype(np.float32)
    expected = ETFAlignmentScorer().fit(X.astype(float), y).metrics_
    scorer = ETFAlignmentScorer().fit(library.asarray(X), y)
    assert_same(scorer.metrics_, expected, rtol=1e-9)
    A = oracles.centred_means(X, y)
    disparity = oracles.alignment(A, oracles.simplex(C))[2]
    assert_allclose(expected["disparity"], disparity, rtol=1e-8)
    assert_allclose(
        scorer.score(library.asarray(X), y), -expected["disparity"], rtol=1e-9
    )


# -- ways to fit ---------------------------------------------------------------------


def test_ways_to_fit(library):
    X, y = make_rows()
    expected = ETFAlignmentScorer(head="lda").fit(X, y)
    order = np.argsort(y)
    parts = ETFAlignmentScorer(head="lda")
    for block in (order[:3], order[3:20], order[20:]):
        parts.partial_fit(library.asarray(X[block]), y[block])
    moments = ClassMoments().update(library.asarray(X), y)
    for scorer in (parts, ETFAlignmentScorer(head="lda").fit_moments(moments)):
        assert_same(scorer.metrics_, expected.metrics_)
        assert_allclose(
            library.to_numpy(scorer.cosines_), expected.cosines_, atol=1e-12
        )
    again = pickle.loads(pickle.dumps(expected))
    assert_same(again.metrics_, expected.metrics_, rtol=0)


@pytest.mark.parametrize("use", [ETFAligner, ETFAlignmentScorer, ETFClassifier])
def test_matching_that_changes_later_counts_at_once(use):
    """Whether or not anything has been asked before."""
    X, y = make_rows()
    frame = np.random.default_rng(8).normal(size=(len(np.unique(y)), 3))
    expected = use(frame, matching="optimal").fit(X, y).assignment_
    asked, other = use(frame).fit(X, y), use(frame).fit(X, y)
    assert_array_equal(asked.assignment_, np.arange(len(frame)))
    assert expected.tolist() != asked.assignment_.tolist()
    for estimator in (asked, other):
        estimator.set_params(matching="optimal")
        assert_array_equal(estimator.assignment_, expected)
    if use is ETFAlignmentScorer:
        before = use(frame).fit(X, y)
        assert before.metrics_["disparity"] > asked.metrics_["disparity"]
        disparity = asked.metrics_["disparity"]
        assert before.set_params(matching="optimal").metrics_["disparity"] == disparity
    if use is ETFClassifier:
        found = asked.decision_function(X)
        fresh = use(frame, matching="optimal").fit(X, y)
        assert_array_equal(found, fresh.decision_function(X))


def test_sample_weight():
    X, y = make_rows(9)
    weights = np.random.default_rng(0).integers(0, 3, size=len(y))
    A = oracles.centred_means(X, y, weights)
    found = ETFAlignmentScorer().fit(X, y, sample_weight=weights).metrics_
    disparity = oracles.alignment(A, oracles.simplex(C))[2]
    assert_allclose(found["disparity"], disparity, rtol=1e-10)


def test_metrics_cannot_be_changed():
    scorer = ETFAlignmentScorer().fit(*make_rows())
    scorer.metrics_["disparity"] = 7.0
    assert scorer.metrics_["disparity"] < 1


# -- real features -------------------------------------------------------------------


def test_real_features():
    data = load_cifar8_features()
    X, y = data.data, data.target
    scorer = ETFAlignmentScorer(head=data.head).fit(X, y)
    found = scorer.metrics_
    assert_allclose(found["disparity"], ETFAligner().fit(X, y).disparity_, rtol=1e-12)
    # The network had not reached its terminal phase.
    assert 0.05 < found["disparity"] < 0.5
    error = NeuralCollapseScorer().fit(X, y).metrics_["nc2_etf_error"]
    # Both are 0 for a frame; the Gram matrix squares the unevenness.
    assert found["disparity"] < error**2 < 4 * found["disparity"]
    # Trained rows and their class means have turned towards each other.
    assert abs(found["head_alignment_mean"] - found["alignment_mean"]) < 0.1
    held_out = -scorer.score(data.X_test, data.y_test)
    assert found["disparity"] < held_out < 1.3 * found["disparity"]


def test_random_labels_look_like_a_frame_until_new_rows_come():
    """As the docstring warns."""
    data = load_cifar8_features()
    rng = np.random.default_rng(0)
    y, y_test = rng.permutation(data.target), rng.permutation(data.y_test)
    true = ETFAlignmentScorer(criterion="alignment_mean").fit(data.data, data.target)
    noise = ETFAlignmentScorer(criterion="alignment_mean").fit(data.data, y)
    assert noise.metrics_["disparity"] < true.metrics_["disparity"]
    assert true.score(data.X_test, data.y_test) > 0.85
    assert abs(noise.score(data.X_test, y_test)) < 0.2
    noise.set_params(criterion="disparity")
    assert noise.score(data.X_test, y_test) < -1
