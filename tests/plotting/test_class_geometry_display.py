"""The picture of the class means against cosines from a loop."""

import numpy as np
import oracles
import pytest

from sklearn_collapse import ClassMoments
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.etf import (
    ETFAligner,
    ETFAlignmentScorer,
    hierarchical_frame,
    hypercube_frame,
    orthoplex_frame,
)
from sklearn_collapse.metrics import nc2_max_angle
from sklearn_collapse.plotting import ClassGeometryDisplay


def make_data(n_classes=4, d=6, n=90, seed=0):
    rng = np.random.default_rng(seed)
    y = np.minimum(rng.integers(n_classes + 3, size=n), n_classes - 1)
    y[:n_classes] = np.arange(n_classes)
    return rng.normal(size=(n_classes, d))[y] + rng.normal(size=(n, d)), y


def cosines(X, y, class_weight=None):
    _, centred, _, _ = oracles.covariances(X, y, class_weight)
    return np.array(
        [
            [a @ b / np.sqrt(a @ a * (b @ b)) if a is not b else 1.0 for b in centred]
            for a in centred
        ]
    )


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_matrix(class_weight):
    X, y = make_data()
    scorer = NeuralCollapseScorer(class_weight=class_weight).fit(X, y)
    display = ClassGeometryDisplay.from_estimator(scorer)
    expected = cosines(X, y, class_weight)
    np.testing.assert_allclose(display.cosines_, expected, atol=1e-12)
    shown = display.image_.get_array()
    assert (np.ma.getmaskarray(shown) == np.eye(4, dtype=bool)).all()
    np.testing.assert_allclose(shown.filled(1.0), expected, atol=1e-12)
    assert display.ideal_cosine == -1 / 3
    assert display.histogram_ is None
    off = expected[~np.eye(4, dtype=bool)]
    value = nc2_max_angle(X, y, class_weight=class_weight)
    assert np.abs(off + 1 / 3).mean() == pytest.approx(value)


def test_ideal_is_the_neutral_middle():
    X, y = make_data()
    display = ClassGeometryDisplay.from_moments(ClassMoments.from_arrays(X, y))
    norm = display.image_.norm
    assert norm(-1 / 3) == pytest.approx(0.5)
    off = cosines(X, y)[~np.eye(4, dtype=bool)]
    assert norm.halfrange == pytest.approx(np.abs(off + 1 / 3).max())
    (mark,) = (
        line for line in display.colorbar_.ax.lines if len(set(line.get_ydata())) == 1
    )
    np.testing.assert_allclose(mark.get_ydata(), -1 / 3)
    assert "−0.333" in display.colorbar_.ax.get_ylabel()


def test_colours_read_in_grey():
    """Lightness falls from the lowest to the highest cosine, by equal-ish steps."""
    X, y = make_data()
    display = ClassGeometryDisplay.from_moments(ClassMoments.from_arrays(X, y))
    colours = display.image_.cmap(np.linspace(0, 1, 21))[:, :3]
    lightness = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) < 0).all()


def test_numbers_and_labels():
    X, y = make_data()
    names = np.array(["ant", "bee", "cat", "dog"])
    moments = ClassMoments.from_arrays(X, names[y])
    display = ClassGeometryDisplay.from_moments(moments)
    expected = cosines(X, y)
    for text in display.ax_.texts:
        j, i = text.get_position()
        shown = float(text.get_text().replace("−", "-"))
        assert i != j
        assert shown == pytest.approx(expected[i, j], abs=0.0051)
    assert len(display.ax_.texts) == 12
    for labels in (display.ax_.get_xticklabels(), display.ax_.get_yticklabels()):
        assert [label.get_text() for label in labels] == list(names)


@pytest.mark.parametrize(
    ("n_classes", "numbers", "labels"), [(12, 132, 12), (13, 0, 13), (31, 0, 0)]
)
def test_many_classes(n_classes, numbers, labels):
    X, y = make_data(n_classes, d=40, n=8 * n_classes)
    display = ClassGeometryDisplay.from_moments(ClassMoments.from_arrays(X, y))
    assert len(display.ax_.texts) == numbers
    assert len(display.ax_.get_xticks()) == len(display.ax_.get_yticks()) == labels
    assert display.image_.get_array().shape == (n_classes, n_classes)


def test_histogram_beyond_two_hundred():
    X, y = make_data(201, d=30, n=900)
    display = ClassGeometryDisplay.from_moments(ClassMoments.from_arrays(X, y))
    assert display.image_ is display.cosines_ is display.colorbar_ is None
    off = cosines(X, y)[~np.eye(201, dtype=bool)]
    shares, edges, _ = display.histogram_.get_data()
    counts, _ = np.histogram(off, edges)
    np.testing.assert_allclose(shares, counts / len(off), atol=3 / len(off))
    assert shares.sum() == pytest.approx(1)
    low, high = display.ax_.get_xlim()
    assert low <= off.min()
    assert high >= off.max()
    (line,) = display.ax_.lines
    np.testing.assert_allclose(line.get_xdata(), -1 / 200)
    assert "which needs C ≤ d + 1" in display.ax_.get_xlabel()


def test_perfect_simplex():
    """Rounding is not blown up to the full range of colours."""
    means = np.eye(5) - 0.2
    y = np.repeat(np.arange(5), 2)
    display = ClassGeometryDisplay.from_moments(ClassMoments.from_arrays(means[y], y))
    shown = display.image_.norm(display.image_.get_array())
    np.testing.assert_allclose(shown.compressed(), 0.5, atol=1e-9)
    assert display.ax_.texts[0].get_text() == "−0.25"


def test_class_at_the_mean_of_all():
    X = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    moments = ClassMoments.from_arrays(X, [0, 1, 2, 2])
    display = ClassGeometryDisplay.from_moments(moments)
    np.testing.assert_allclose(display.cosines_, [[1, -1, 0], [-1, 1, 0], [0, 0, 1]])


def test_two_classes_are_a_simplex():
    X, y = make_data(2)
    display = ClassGeometryDisplay.from_moments(ClassMoments.from_arrays(X, y))
    np.testing.assert_allclose(display.cosines_, [[1, -1], [-1, 1]])


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="at least two"):
        ClassGeometryDisplay.from_moments(ClassMoments.from_arrays(np.eye(3)))


def test_more_classes_than_a_simplex_has():
    X, y = make_data(6, d=3)
    display = ClassGeometryDisplay.from_moments(ClassMoments.from_arrays(X, y))
    assert "needs C ≤ d + 1" in display.colorbar_.ax.get_ylabel()


def test_without_labels_classes_are_numbered():
    display = ClassGeometryDisplay(np.eye(3)).plot(cmap="PuOr")
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == ["0", "1", "2"]
    assert display.image_.cmap.name == "PuOr"


def units(rows):
    """Rows about their mean, divided by their norms."""
    centred = rows - rows.mean(axis=0)
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


TREE = [[0, 1], [2, 3]]


def cosines_of(frame):
    return units(frame) @ units(frame).T


@pytest.mark.parametrize(
    "frame", ["orthoplex", "hypercube", "spread", hierarchical_frame(TREE), "array"]
)
def test_another_frame(frame):
    """Cells are the cosine gap, whose deviation the scorer measures."""
    X, y = make_data()
    if isinstance(frame, str) and frame == "array":
        frame = np.random.default_rng(3).normal(size=(4, 3)) + 5
    scorer = ETFAlignmentScorer(frame).fit(X, y)
    display = ClassGeometryDisplay.from_estimator(scorer)
    made = {"orthoplex": orthoplex_frame, "hypercube": hypercube_frame}
    if isinstance(frame, str):
        # Among 6 features; those of "spread" are a simplex, as 4 <= d + 1.
        rows = np.eye(4) if frame == "spread" else made[frame](4)
    else:
        rows = frame
    own = np.eye(4, dtype=bool)
    expected = np.where(own, 1.0, cosines_of(rows))
    np.testing.assert_allclose(display.ideal_cosines_, expected, atol=1e-9)
    np.testing.assert_allclose(display.cosines_, cosines(X, y, "balanced"), atol=1e-12)
    gap = display.image_.get_array().compressed()
    np.testing.assert_allclose(gap, (display.cosines_ - expected)[~own], atol=1e-9)
    assert gap.std() == pytest.approx(scorer.metrics_["cosine_gap_std"])
    assert gap.mean() == pytest.approx(scorer.metrics_["cosine_gap_mean"])
    assert display.ideal_cosine == 0
    assert display.image_.norm(0.0) == pytest.approx(0.5)
    assert display.colorbar_.ax.get_ylabel() == "cosine − that of the frame"
    signs = {text.get_text()[0] for text in display.ax_.texts}
    assert signs <= {"+", "−"}
    # Given by hand, of moments or of another estimator: the same picture.
    named = ClassGeometryDisplay.from_moments(
        scorer.moments_, frame=frame, class_weight="balanced"
    )
    np.testing.assert_allclose(named.image_.get_array(), display.image_.get_array())
    other = NeuralCollapseScorer(class_weight="balanced").fit(X, y)
    given = ClassGeometryDisplay.from_estimator(other, frame=frame)
    np.testing.assert_allclose(given.image_.get_array(), display.image_.get_array())


def test_frame_of_an_estimator_and_its_assignment():
    """Rows of the frame go to the classes that the estimator gave them to."""
    frame = hierarchical_frame([[0, 1, 2], [3, 4]])
    shuffled = frame[[3, 0, 4, 1, 2]]
    y = np.repeat(np.arange(5), 3)
    aligner = ETFAligner(shuffled, matching="optimal").fit(frame[y], y)
    assert aligner.assignment_.tolist() != [0, 1, 2, 3, 4]
    display = ClassGeometryDisplay.from_estimator(aligner)
    np.testing.assert_allclose(display.image_.get_array().compressed(), 0, atol=1e-9)
    in_order = ClassGeometryDisplay.from_moments(aligner.moments_, frame=shuffled)
    assert np.abs(in_order.image_.get_array()).max() > 0.1
    # The frame that is asked for goes before that of the estimator.
    simplex = ClassGeometryDisplay.from_estimator(aligner, frame="simplex")
    assert simplex.ideal_cosine == -0.25


def test_aligner_of_a_simplex_is_about_the_mean_of_the_means():
    X, y = make_data()
    display = ClassGeometryDisplay.from_estimator(ETFAligner().fit(X, y))
    np.testing.assert_allclose(display.cosines_, cosines(X, y, "balanced"), atol=1e-12)
    assert display.ideal_cosine == -1 / 3
    assert (display.ideal_cosines_[~np.eye(4, dtype=bool)] == -1 / 3).all()


def test_histogram_against_a_frame():
    X, y = make_data(201, d=30, n=900)
    frame = np.random.default_rng(4).normal(size=(201, 7))
    moments = ClassMoments.from_arrays(X, y)
    display = ClassGeometryDisplay.from_moments(moments, frame=frame)
    off = (cosines(X, y) - cosines_of(frame))[~np.eye(201, dtype=bool)]
    shares, edges, _ = display.histogram_.get_data()
    counts, _ = np.histogram(off, edges)
    np.testing.assert_allclose(shares, counts / len(off), atol=3 / len(off))
    assert (edges[0], edges[-1]) == (-2, 2)
    assert off.min() < -1
    (line,) = display.ax_.lines
    np.testing.assert_allclose(line.get_xdata(), 0)
    assert display.ax_.get_xlabel().endswith("− that of the frame")


def test_frames_that_do_not_fit():
    moments = ClassMoments.from_arrays(*make_data(6, d=2))
    with pytest.raises(ValueError, match="6 classes have no 'orthoplex' frame"):
        ClassGeometryDisplay.from_moments(moments, frame="orthoplex")
    with pytest.raises(ValueError, match="frame has 5 rows, but y holds 6 classes"):
        ClassGeometryDisplay.from_moments(moments, frame=np.eye(5))
    with pytest.raises(ValueError, match=r"frame must be one of .* got 'cube'"):
        ClassGeometryDisplay.from_moments(moments, frame="cube")
    scorer = ETFAlignmentScorer("hypercube").fit_moments(moments)
    with pytest.raises(ValueError, match="6 classes have no 'hypercube' frame"):
        ClassGeometryDisplay.from_estimator(scorer)


def test_unknown_class_weight(rng):
    moments = ClassMoments.from_arrays(rng.normal(size=(12, 3)), np.arange(12) % 3)
    with pytest.raises(ValueError, match="class_weight must be None or 'balanced'"):
        ClassGeometryDisplay.from_moments(moments, class_weight="x")
