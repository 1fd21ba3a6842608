"""The spectrum's picture against NumPy's eigenvalues."""

import numpy as np
import oracles
import pytest

from sklearn_collapse import ClassMoments
from sklearn_collapse.plotting import SpectrumDisplay


def make_moments(n=80, d=6, n_classes=3, scale=1.0):
    rng = np.random.default_rng(1)
    y = rng.integers(n_classes, size=n)
    spread = np.logspace(0, -1, d)
    X = scale * (rng.normal(size=(n_classes, d))[y] + spread * rng.normal(size=(n, d)))
    return X, y


def expected(X, y):
    _, _, within, between = oracles.covariances(X, y)
    return {
        "within": np.linalg.eigvalsh(within)[::-1],
        "total": np.linalg.eigvalsh(within + between)[::-1],
    }


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_lines(scale):
    X, y = make_moments(scale=scale)
    display = SpectrumDisplay.from_moments(ClassMoments.from_arrays(X, y))
    for which, values in expected(X, y).items():
        x, shown = display.lines_[which].get_data()
        np.testing.assert_array_equal(x, np.arange(1, 7))
        np.testing.assert_allclose(shown, values, rtol=1e-9)
        assert not len(display.dropped_[which].get_xdata())
    low, high = display.ax_.get_ylim()
    assert 0 < low < expected(X, y)["within"].min()
    assert high > expected(X, y)["total"].max()
    assert display.ax_.get_yscale() == "log"
    # C - 1, and no line for a rank that is full.
    (line,) = vertical(display)
    assert line == 3 - 0.5


def vertical(display):
    """Positions of the vertical lines."""
    lines = [line for line in display.ax_.lines if len(set(line.get_xdata())) == 1]
    return sorted({line.get_xdata()[0] for line in lines if len(line.get_xdata()) == 2})


def test_far_threshold_is_told():
    X, y = make_moments()
    display = SpectrumDisplay.from_moments(ClassMoments.from_arrays(X, y))
    largest = expected(X, y)["within"][0]
    threshold = 10 * np.finfo(float).eps * largest  # sqrt(d) < 10
    (text,) = (t.get_text() for t in display.ax_.texts)
    told = float(text.split()[2].rstrip(","))
    highest = display.total_threshold
    assert told == pytest.approx(highest, rel=0.5)
    assert display.within_threshold == pytest.approx(threshold, rel=1e-6)
    assert "below the axis" in text
    line = display.threshold_lines_["within"]
    np.testing.assert_allclose(line.get_ydata(), threshold, rtol=1e-6)


def test_rank_is_marked():
    """A duplicated column and a constant one: two directions do not count."""
    X, y = make_moments()
    X = np.column_stack([X, X[:, 0], np.full(len(X), 3.0)])
    display = SpectrumDisplay.from_moments(ClassMoments.from_arrays(X, y))
    assert (display.within_rank, display.total_rank) == (6, 6)
    assert len(display.lines_["within"].get_xdata()) == 6
    dropped = display.dropped_["within"]
    assert (dropped.get_ydata() < display.within_threshold).all()
    assert (dropped.get_ydata() > 0).all()
    assert vertical(display) == [2.5, 6.5]
    low, _ = display.ax_.get_ylim()
    for which in ("within", "total"):
        (height,) = set(display.threshold_lines_[which].get_ydata())
        # The rule with the largest eigenvalue: sqrt(8) < 10.
        level = 10 * np.finfo(float).eps * expected(X, y)[which][0]
        assert height == pytest.approx(level, rel=1e-6)
        assert height > low
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    zeros = sum(value == 0 for value in display.within)
    assert zeros >= 1
    assert f"within classes: rank 6 of 8, {zeros} are 0" in labels
    assert "C − 1 = 2" in labels


def test_one_class():
    """Both covariances are the same: one line."""
    X, _ = make_moments()
    display = SpectrumDisplay.from_moments(ClassMoments.from_arrays(X))
    assert set(display.lines_) == {"within"}
    (text,) = display.ax_.get_legend().get_texts()
    assert text.get_text() == "all rows: rank 6 of 6"
    values = np.linalg.eigvalsh(np.cov(X.T, bias=True))[::-1]
    np.testing.assert_allclose(display.lines_["within"].get_ydata(), values)


def test_collapsed_completely():
    """Within-class covariance zero, then all covariances zero."""
    X, y = make_moments()
    means = np.random.default_rng(0).integers(5, size=(3, 6)).astype(float)
    display = SpectrumDisplay.from_moments(ClassMoments.from_arrays(means[y], y))
    assert display.within_rank == 0
    assert display.total_rank == 2
    assert not len(display.lines_["within"].get_xdata())
    assert len(display.lines_["total"].get_xdata()) == 2
    nothing = SpectrumDisplay.from_moments(ClassMoments.from_arrays(0 * X, y))
    assert nothing.total_rank == 0


def test_options_are_passed():
    X, y = make_moments()
    moments = ClassMoments.from_arrays(X, y)
    display = SpectrumDisplay.from_moments(moments, linewidth=4, marker="x")
    for line in display.lines_.values():
        assert (line.get_linewidth(), line.get_marker()) == (4, "x")


def test_told_apart_without_colour():
    X, y = make_moments()
    display = SpectrumDisplay.from_moments(ClassMoments.from_arrays(X, y))
    styles = {(v.get_linestyle(), v.get_marker()) for v in display.lines_.values()}
    assert len(styles) == 2


def test_lines_do_not_cross_the_words(rng):
    X = rng.normal(size=(200, 40))
    display = SpectrumDisplay.from_moments(
        ClassMoments.from_arrays(X, np.arange(200) % 5)
    )
    (words,) = (t for t in display.ax_.texts if "rank threshold" in t.get_text())
    display.figure_.canvas.draw()
    box = words.get_bbox_patch()
    assert box.get_facecolor()[3] == 1
    assert words.get_zorder() > max(line.get_zorder() for line in display.ax_.lines)
    # Nor does the box hide the axis below.
    assert box.get_window_extent().y0 > display.ax_.get_window_extent().y0
