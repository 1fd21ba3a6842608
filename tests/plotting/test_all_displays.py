"""What all displays share: axes, names, what is refused, what is not needed."""

import subprocess
import sys

import numpy as np
import pytest

from sklearn_collapse import ClassMoments, plotting
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.ood import MahalanobisDetector
from sklearn_collapse.plotting import (
    CalibrationDisplay,
    ClassGeometryDisplay,
    CollapseTrajectoryDisplay,
    OODScoreDisplay,
    SpectrumDisplay,
)

ODD_NAMES = np.array(["$\\bad{$", "a_$x^2$", "<b>", "two\nlines\x07", "n" * 60])


def make_data(n_classes=5, d=7, n=60):
    rng = np.random.default_rng(0)
    y = np.arange(n) % n_classes
    return rng.normal(size=(n_classes, d))[y] + 0.2 * rng.normal(size=(n, d)), y


def draw(display, X, y, **options):
    """Each display from the estimator that it is made for."""
    if display is OODScoreDisplay:
        detector = MahalanobisDetector().fit(X, y)
        return display.from_estimator(detector, X, {"a": X + 1, "b": 3 * X}, **options)
    if display is CalibrationDisplay:
        detector = MahalanobisDetector().fit(X, y)
        return display.from_estimator(detector, X + 0.1, X_calibration=X, **options)
    scorer = NeuralCollapseScorer(metrics=["vci"]).fit(X, y)
    if display is CollapseTrajectoryDisplay:
        options = {"name": "NeuralCollapseScorer", **options}
        return display.from_history({0: scorer.metrics_}, **options)
    return display.from_estimator(scorer, **options)


DISPLAYS = [
    CalibrationDisplay,
    ClassGeometryDisplay,
    CollapseTrajectoryDisplay,
    OODScoreDisplay,
    SpectrumDisplay,
]


@pytest.mark.parametrize("display", DISPLAYS)
def test_axes_in_and_out(display, plt):
    X, y = make_data()
    figure, ax = plt.subplots()
    drawn = draw(display, X, y, ax=ax)
    assert drawn.ax_ is ax
    assert drawn.figure_ is figure
    again = drawn.plot()
    assert again is drawn
    assert drawn.ax_ is not ax
    assert drawn.figure_ is drawn.ax_.figure


@pytest.mark.parametrize("display", DISPLAYS)
def test_every_display_is_public(display):
    assert display.__name__ in plotting.__all__
    assert len(DISPLAYS) == len(plotting.__all__)


@pytest.mark.parametrize("display", DISPLAYS)
def test_title(display):
    X, y = make_data()
    if display is CalibrationDisplay:  # several curves share axes: names in the legend
        drawn = draw(display, X, y).ax_.get_legend().get_texts()
        assert drawn[0].get_text().startswith("MahalanobisDetector: ")
        drawn = draw(display, X, y, name="mine").ax_.get_legend().get_texts()
        assert drawn[0].get_text().startswith("mine: ")
        return
    default = draw(display, X, y).ax_.get_title()
    assert default in ("NeuralCollapseScorer", "MahalanobisDetector")
    assert draw(display, X, y, name="mine").ax_.get_title() == "mine"


def test_options_of_matplotlib_by_their_short_names():
    X, y = make_data()
    line = {"lw": 3, "c": "k", "ls": ":"}
    lines = [
        *draw(SpectrumDisplay, X, y, mec="r", **line).lines_.values(),
        *draw(OODScoreDisplay, X, y, kind="roc", **line).lines_.values(),
        *draw(CollapseTrajectoryDisplay, X, y, **line).lines_.values(),
        draw(CalibrationDisplay, X, y, **line).line_,
    ]
    for drawn in lines:
        found = drawn.get_linewidth(), drawn.get_color(), drawn.get_linestyle()
        assert found == (3, "k", ":")
    for drawn in draw(OODScoreDisplay, X, y, lw=3, ec="k").histograms_.values():
        assert drawn.get_linewidth() == 3
        assert drawn.get_edgecolor() == (0, 0, 0, 1)
    many = draw(ClassGeometryDisplay, *make_data(201, 3, 402), ec="k", fc="w")
    assert many.histogram_.get_edgecolor()[:3] == (0, 0, 0)
    assert many.histogram_.get_facecolor()[:3] == (1, 1, 1)


def test_limits_of_the_colours():
    image = draw(ClassGeometryDisplay, *make_data(), vmin=-1, vmax=1).image_
    assert image.get_clim() == (-1, 1)


@pytest.mark.parametrize("bins", [0, -3, 2.5, "auto"])
def test_bins(bins):
    with pytest.raises(ValueError, match="bins must be a positive integer, got"):
        OODScoreDisplay.from_predictions([1.0, 2.0], [0.0], bins=bins)


@pytest.mark.parametrize("display", [ClassGeometryDisplay, SpectrumDisplay])
def test_estimators_without_moments(display):
    from sklearn.decomposition import PCA
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        display.from_estimator(NeuralCollapseScorer())
    with pytest.raises(TypeError, match="PCA has no moments_"):
        display.from_estimator(PCA().fit(make_data()[0]))


@pytest.mark.parametrize("display", [ClassGeometryDisplay, SpectrumDisplay])
def test_moments_of_any_library(display, library):
    X, y = make_data()
    numpy = display.from_moments(ClassMoments.from_arrays(X, y))
    other = display.from_moments(ClassMoments.from_arrays(library.asarray(X), y))
    for name, value in vars(numpy).items():
        if isinstance(value, (np.ndarray, float, int)):
            np.testing.assert_allclose(getattr(other, name), value, atol=1e-12)


def test_scores_of_any_library(library):
    X, y = make_data()
    detector = MahalanobisDetector().fit(library.asarray(X), y)
    drawn = OODScoreDisplay.from_estimator(
        detector, library.asarray(X), library.asarray(X + 1)
    )
    expected = OODScoreDisplay.from_estimator(
        MahalanobisDetector().fit(X, y), X, {"OOD": X + 1}
    )
    assert drawn.auroc == pytest.approx(expected.auroc)
    np.testing.assert_allclose(drawn.scores_id, expected.scores_id, rtol=1e-6)


def texts_of(figure):
    found = figure.findobj(match=lambda artist: hasattr(artist, "get_text"))
    return [artist.get_text() for artist in found]


def test_names_from_users_are_text(plt):
    """Not formulas, which may be wrong; one printable line of bounded length."""
    X, y = make_data()
    scorer = NeuralCollapseScorer().fit(X, ODD_NAMES[y])
    sets = {name: np.arange(5.0) for name in ODD_NAMES.tolist()}
    drawn = [
        SpectrumDisplay.from_estimator(scorer, name="$\\bad{$"),
        ClassGeometryDisplay.from_estimator(scorer, name="$\\bad{$"),
        OODScoreDisplay.from_predictions(np.arange(9.0), sets),
        OODScoreDisplay.from_predictions(np.arange(9.0), sets, kind="roc"),
        CalibrationDisplay.from_predictions([0.5, 1.0], name="$\\bad{$"),
        CollapseTrajectoryDisplay.from_history(
            {0: {layer: {"vci": 1.0} for layer in sets}},
            {0: {"$\\bad{$": 1.0}},
            name="$\\bad{$",
        ),
        CollapseTrajectoryDisplay.from_history(
            {}, {0: dict.fromkeys(sets, 1.0)}, metrics=[[*sets]], name="$\\bad{$"
        ),
    ]
    for display in drawn:
        display.figure_.canvas.draw()  # a formula that is wrong raises here
        texts = texts_of(display.figure_)
        assert any("$\\bad{$" in text for text in texts)
        if not isinstance(display, (SpectrumDisplay, CalibrationDisplay)):
            (odd,) = {text for text in texts if text.startswith("two")}
            assert odd.startswith("two lines\N{REPLACEMENT CHARACTER}")
            (long,) = {text for text in texts if text.startswith("nnn")}
            assert "…" in long
            assert len(long.partition("…")[0]) < 30


NO_MATPLOTLIB = """
import sys
sys.modules["matplotlib"] = None
from sklearn_collapse import ClassMoments
from sklearn_collapse.plotting import *
moments = ClassMoments.from_arrays([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
for draw in (
    lambda: SpectrumDisplay.from_moments(moments),
    lambda: ClassGeometryDisplay.from_moments(moments),
    lambda: OODScoreDisplay.from_predictions([1.0], [0.0]),
    lambda: ClassGeometryDisplay(moments.means_).plot(),
    lambda: CalibrationDisplay.from_predictions([1.0]),
    lambda: CollapseTrajectoryDisplay.from_history({0: {"vci": 1.0}}),
):
    try:
        draw()
    except ImportError as error:
        print(error)
"""


def test_without_matplotlib():
    """Importing works; drawing says who needs it and what to install."""
    result = subprocess.run(
        [sys.executable, "-c", NO_MATPLOTLIB],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    needs = "requires matplotlib. You can install it with "
    needs += "`pip install 'sklearn-collapse[plot]'`."
    assert result.stdout.splitlines() == [
        f"SpectrumDisplay.from_moments {needs}",
        f"ClassGeometryDisplay.from_moments {needs}",
        f"OODScoreDisplay.from_predictions {needs}",
        f"ClassGeometryDisplay.plot {needs}",
        f"CalibrationDisplay.from_predictions {needs}",
        f"CollapseTrajectoryDisplay.from_history {needs}",
    ]
