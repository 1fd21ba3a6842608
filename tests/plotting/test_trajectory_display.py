"""The picture of a history: its lines, panels and axes."""

import numpy as np
import pytest

from sklearn_collapse.metrics import LayerTable
from sklearn_collapse.plotting import CollapseTrajectoryDisplay

HISTORY = {
    2: {"a": {"vci": 0.5, "nc1_pinv": 0.1}, "b": {"vci": 0.75}},
    0: {"a": {"vci": 0.8, "nc1_pinv": 10.0}, "b": {"vci": 0.9, "nc3_product": 0.25}},
}
EXTRA = {0: {"loss": 2.0}, 1: {"loss": 1.0}, 2: {"test accuracy": 0.75, "loss": 0.0}}


def make_history(**options):
    return CollapseTrajectoryDisplay.from_history(HISTORY, EXTRA, **options)


def test_lines_and_panels():
    drawn = make_history()
    assert [ax.get_title() for ax in drawn.axes_] == [
        "nc1_pinv \N{DOWNWARDS ARROW}",
        "vci \N{DOWNWARDS ARROW}",
        "loss",
        "test accuracy",
    ]
    assert drawn.ax_ is drawn.axes_[0]
    nan = np.nan
    expected = {
        ("nc1_pinv", "a"): [10.0, nan, 0.1],
        ("vci", "a"): [0.8, nan, 0.5],
        ("vci", "b"): [0.9, nan, 0.75],
        ("loss", None): [2.0, 1.0, 0.0],
        ("test accuracy", None): [nan, nan, 0.75],
    }
    assert set(drawn.lines_) == set(expected)
    for key, values in expected.items():
        np.testing.assert_array_equal(drawn.lines_[key].get_xdata(), [0, 1, 2])
        np.testing.assert_array_equal(drawn.lines_[key].get_ydata(), values)
    assert drawn.values["nc3_product", "b"][0] == 0.25  # kept, though not chosen


def test_scales():
    """Logarithmic for positive values over more than a factor of 20."""
    scales = [ax.get_yscale() for ax in make_history().axes_]
    assert scales == ["log", "linear", "linear", "linear"]
    several = {
        0: {"vci": 1.0},
        1: {"vci": np.inf},
        2: {"vci": 0.049},
        3: {"vci": np.nan},
    }
    drawn = CollapseTrajectoryDisplay.from_history(several)
    assert drawn.ax_.get_yscale() == "log"
    (line,) = drawn.lines_.values()
    np.testing.assert_array_equal(line.get_ydata(), [1, np.nan, 0.049, np.nan])
    del several[2]
    drawn = CollapseTrajectoryDisplay.from_history(several)
    assert drawn.ax_.get_yscale() == "linear"


def test_layers_are_told_apart_in_grey():
    drawn = make_history(metrics=["nc1_pinv", "vci"])
    first, second = (drawn.lines_["vci", layer] for layer in "ab")
    for look in ("get_color", "get_linestyle", "get_marker"):
        assert getattr(first, look)() != getattr(second, look)()
        # A layer looks the same in all panels.
        assert getattr(drawn.lines_["nc1_pinv", "a"], look)() == getattr(first, look)()
    # One line needs no legend, two have one.
    assert drawn.axes_[0].get_legend() is None
    texts = [text.get_text() for text in drawn.axes_[1].get_legend().get_texts()]
    assert texts == ["a", "b"]


def test_one_legend_for_panels_of_the_same_lines():
    history = {0: {"a": {"vci": 1.0, "cdnv": 2.0}, "b": {"vci": 1.0, "cdnv": 2.0}}}
    drawn = CollapseTrajectoryDisplay.from_history(history)
    assert [ax.get_legend() is None for ax in drawn.axes_] == [False, True]


def test_a_panel_of_several_names():
    drawn = make_history(metrics=[["test accuracy", "vci"], "loss"])
    texts = [text.get_text() for text in drawn.axes_[0].get_legend().get_texts()]
    assert texts == ["test accuracy", "vci, a", "vci, b"]
    assert len({line.get_linestyle() for line in drawn.axes_[0].lines}) == 3
    assert drawn.axes_[0].get_title() == "test accuracy | vci \N{DOWNWARDS ARROW}"


def test_arrows_point_to_collapse():
    measured = {"nc4_agreement": 0.5, "vci": 0.5, "of mine": 0.5}
    drawn = CollapseTrajectoryDisplay.from_history({0: measured}, metrics=[*measured])
    ends = [ax.get_title()[-1] for ax in drawn.axes_]
    assert ends == ["\N{UPWARDS ARROW}", "\N{DOWNWARDS ARROW}", "e"]


def test_numbers_of_no_layer_look_like_no_layer():
    drawn = make_history()
    colours = {key: line.get_color() for key, line in drawn.lines_.items()}
    layers = {colours[key] for key in colours if key[1] is not None}
    assert colours["loss", None] == colours["test accuracy", None]
    assert colours["loss", None] not in layers


@pytest.mark.parametrize("n_layers", [3, 6])
def test_legends_of_many_lines_are_beside_them(n_layers):
    history = {
        k: {f"layer{i}": {"vci": i + k} for i in range(n_layers)} for k in (0, 1)
    }
    drawn = CollapseTrajectoryDisplay.from_history(history, metrics=[["vci"], ["vci"]])
    drawn.figure_.draw_without_rendering()
    legend = drawn.ax_.get_legend().get_window_extent()
    inside = drawn.ax_.get_window_extent()
    assert (legend.x0 < inside.x1) == (n_layers == 3)
    assert legend.x1 < drawn.figure_.bbox.x1


@pytest.mark.parametrize("wrap", [dict, LayerTable])
def test_histories_of_one_or_more_layers(wrap):
    layers = {epoch: wrap(rows) for epoch, rows in HISTORY.items()}
    drawn = CollapseTrajectoryDisplay.from_history(layers, EXTRA)
    assert set(drawn.values) == set(make_history().values)
    alone = {epoch: rows["a"] for epoch, rows in HISTORY.items()}
    drawn = CollapseTrajectoryDisplay.from_history(alone, metrics="vci")
    assert list(drawn.lines_) == [("vci", "")]
    np.testing.assert_array_equal(drawn.lines_["vci", ""].get_ydata(), [0.8, 0.5])


def test_axes_and_titles(plt):
    figure, axes = plt.subplots(1, 2)
    drawn = make_history(metrics=["vci", "loss"], ax=axes, name="mine")
    assert list(drawn.axes_) == list(axes)
    assert drawn.figure_ is figure
    assert figure.get_suptitle() == "mine"
    with pytest.raises(ValueError, match="each of the 4 panels, got 2"):
        make_history(ax=axes)
    drawn = make_history(metrics=["vci"], ax=axes[0], name="mine")
    assert drawn.ax_ is axes[0]
    assert (drawn.ax_.get_title(), drawn.ax_.get_ylabel()) == (
        "mine",
        "vci \N{DOWNWARDS ARROW}",
    )


@pytest.mark.parametrize("metrics", [[], ["cdnv"], [[]], [["vci", "x"]]])
def test_unknown_panels(metrics):
    with pytest.raises(ValueError, match="at least one of"):
        make_history(metrics=metrics)


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="history is empty"):
        CollapseTrajectoryDisplay.from_history({})


def test_of_a_tracker():
    pytest.importorskip("torch")
    from sklearn_collapse import ClassMoments
    from sklearn_collapse.extraction import CollapseTracker

    tracker = CollapseTracker(["a", "b"])
    rng = np.random.default_rng(0)
    for epoch in (0, 1):
        X, y = rng.normal(size=(60, 4)), np.arange(60) % 3
        moments = dict.fromkeys("ab", ClassMoments.from_arrays(X, y))
        tracker.update_moments(epoch, moments, extra={"loss": epoch})
    drawn = tracker.plot(["vci", "loss"], lw=3)
    for layer in "ab":
        line = drawn.lines_["vci", layer]
        kept = [table[layer]["vci"] for table in tracker.history_.values()]
        np.testing.assert_array_equal(line.get_ydata(), kept)
        assert line.get_linewidth() == 3
    np.testing.assert_array_equal(drawn.lines_["loss", None].get_ydata(), [0, 1])
