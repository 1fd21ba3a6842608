"""The picture of the class means against cosines from a loop."""

import numpy as np
import oracles
import pytest

from sklearn_collapse import ClassMoments
from sklearn_collapse.collapse import NeuralCollapseScorer
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
