"""The curve of false alarms against detectors that are calibrated at each rate."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from sklearn_collapse.ood import ConformalDetector, MahalanobisDetector
from sklearn_collapse.plotting import CalibrationDisplay


def make_data(rng, n=150, d=12):
    y = np.arange(n) % 3
    return rng.normal(size=(n, d)) + 2 * np.eye(3, d)[y], y


def share_at(display, rate):
    """The curve at a rate."""
    below = display.shares_[display.rates_ <= rate * (1 + 1e-9)]
    return below[-1] if len(below) else 0.0


def drawn_at(display, rate):
    x, y = display.line_.get_data()
    return y[np.searchsorted(x, rate * (1 + 1e-9), side="right") - 1]


@pytest.mark.parametrize("contamination", [0.02, 0.1, 0.37, 0.5])
def test_curve_is_what_calibrated_detectors_flag(rng, contamination):
    X, y = make_data(rng)
    X_test, _ = make_data(rng, 400)
    detector = MahalanobisDetector(contamination=contamination).fit(X, y)
    display = CalibrationDisplay.from_estimator(detector, X_test, X_calibration=X)
    flagged = np.mean(detector.predict(X_test) == -1)
    assert display.flagged == flagged
    assert display.asked == contamination
    assert display.n_calibration == len(X)
    np.testing.assert_allclose(display.point_.get_xydata(), [[contamination, flagged]])
    step = 1.5 / len(X)  # one calibration row
    assert share_at(display, contamination - step) <= flagged
    assert flagged <= share_at(display, contamination + step)
    # Thresholds of training rows, of 12 features and 150 rows, flag too much.
    assert flagged > contamination


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_conformal(rng, alpha):
    X, y = make_data(rng, 400)
    X_test, _ = make_data(rng, 300)
    detector = ConformalDetector(alpha=alpha, random_state=0).fit(X, y)
    display = CalibrationDisplay.from_estimator(detector, X_test)
    p = detector.p_values(X_test)
    for rate in (0.01, 0.05, 0.2, 0.7):
        expected = np.mean(p <= rate * (1 + 1e-9))
        assert share_at(display, rate) == pytest.approx(expected)
        if rate > p.min():
            assert drawn_at(display, rate) == pytest.approx(expected)
    assert display.flagged == pytest.approx(np.mean(p <= alpha))
    assert display.n_calibration == detector.n_calibration_
    # Its own rows by their scores: the same.
    scores = detector.score_samples(X_test)
    again = CalibrationDisplay.from_predictions(p, n_calibration=display.n_calibration)
    np.testing.assert_array_equal(again.shares_, display.shares_)
    assert again.point_ is None
    other = CalibrationDisplay.from_estimator(detector, X_test, X_calibration=X)
    np.testing.assert_array_equal(
        other.p_values,
        [(1 + np.sum(detector.score_samples(X) <= s)) / 401 for s in scores],
    )


def test_scores_of_predictions(rng):
    new, calibration = rng.integers(0, 9, 40), rng.integers(0, 9, 25)  # ties
    display = CalibrationDisplay.from_predictions(new, calibration)
    expected = [(1 + sum(c <= s for c in calibration)) / 26 for s in new]
    np.testing.assert_allclose(display.p_values, expected)
    for rate in expected:
        assert share_at(display, rate) == pytest.approx(
            np.mean(np.array(expected) <= rate * (1 + 1e-9))
        )


def test_detectors_of_scikit_learn(rng):
    X, _ = make_data(rng)
    forest = IsolationForest(contamination=0.1, n_estimators=10, random_state=0).fit(X)
    display = CalibrationDisplay.from_estimator(forest, X, X_calibration=X)
    assert display.asked == 0.1
    assert display.flagged == np.mean(forest.predict(X) == -1)
    forest.set_params(contamination="auto").fit(X)
    display = CalibrationDisplay.from_estimator(forest, X, X_calibration=X)
    assert display.flagged is display.point_ is None
    (text, _) = (t.get_text() for t in display.ax_.get_legend().get_texts())
    assert text == "IsolationForest"


def test_detector_without_p_values(rng):
    X, y = make_data(rng)
    with pytest.raises(
        TypeError, match=r"MahalanobisDetector has no p_values.*Pass X_c"
    ):
        CalibrationDisplay.from_estimator(MahalanobisDetector().fit(X, y), X)


def test_arrays_of_any_library(library, rng):
    X, y = make_data(rng)
    X_test, _ = make_data(rng)
    both = [
        CalibrationDisplay.from_estimator(
            MahalanobisDetector(contamination=0.1).fit(put(X), y),
            put(X_test),
            X_calibration=put(X),
        )
        for put in (np.asarray, library.asarray)
    ]
    np.testing.assert_allclose(both[1].shares_, both[0].shares_, atol=0.01)
    assert both[1].flagged == pytest.approx(both[0].flagged, abs=0.01)
    conformal = ConformalDetector(random_state=0).fit(library.asarray(X), y)
    display = CalibrationDisplay.from_estimator(conformal, library.asarray(X_test))
    assert isinstance(display.shares_, np.ndarray)


def test_curves_share_axes_and_are_told_apart(rng):
    first = CalibrationDisplay.from_predictions(rng.random(200), name="a")
    second = CalibrationDisplay.from_predictions(
        rng.random(200), name="b", ax=first.ax_
    )
    third = CalibrationDisplay.from_predictions(
        rng.random(90), n_calibration=30, name="c", ax=first.ax_
    )
    lines = [display.line_ for display in (first, second, third)]
    for look in ("get_linestyle", "get_color"):
        assert len({getattr(line, look)() for line in lines}) == 3
    # The same band is drawn once, another one beside it; the diagonal once.
    assert second.band_ is None
    assert third.band_ is not None
    assert len(first.ax_.collections) == 2
    assert len(first.ax_.lines) == 4
    texts = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    assert sorted(texts) == ["a", "b", "c", "shaded: 95 % if exact"]


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_band_holds_exact_p_values(scale, rng):
    display = CalibrationDisplay.from_predictions(
        rng.normal(size=500), rng.normal(size=200), scale=scale
    )
    assert (display.ax_.get_xscale(), display.ax_.get_yscale()) == (scale, scale)
    corners = display.band_.get_paths()[0].vertices
    rates = np.unique(corners[:, 0])
    # At whole k, where the distribution is the exact one.
    np.testing.assert_allclose(rates * 201, np.round(rates * 201), atol=1e-9)
    held = [
        corners[corners[:, 0] == rate, 1].min() - 1e-9
        <= share_at(display, rate)
        <= corners[corners[:, 0] == rate, 1].max() + 1e-9
        for rate in rates
    ]
    assert np.mean(held) > 0.8  # points of a curve are not independent
    tenth = corners[np.isclose(corners[:, 0], 20 / 201), 1].max(initial=0.2)
    shifted = CalibrationDisplay.from_predictions(
        rng.normal(size=500) - 1, rng.normal(size=200), scale=scale
    )
    assert share_at(shifted, 20 / 201) > tenth


def test_axes_show_the_smallest_rates(rng):
    display = CalibrationDisplay.from_predictions(rng.random(5000), name="many")
    low = display.ax_.get_xlim()[0]
    assert 0 < low < 1 / 5000
    few = CalibrationDisplay.from_predictions(rng.random(20), ax=display.ax_)
    assert few.ax_.get_xlim()[0] == low
    linear = CalibrationDisplay.from_predictions(rng.random(20), scale="linear")
    assert linear.ax_.get_xlim() == (0, 1)


@pytest.mark.parametrize("p", [[1.0], [0.0, 0.0], [0.3] * 4, [1 / 3, 1]])
@pytest.mark.parametrize("n_calibration", [None, 1, 2])
@pytest.mark.parametrize("scale", ["log", "linear"])
def test_degenerate_p_values(p, n_calibration, scale):
    display = CalibrationDisplay.from_predictions(
        p, n_calibration=n_calibration, scale=scale
    )
    assert display.shares_[-1] == 1


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"p-values must lie in \[0, 1\], got .*-3"):
        CalibrationDisplay.from_predictions([-3.0, 0.5])
    with pytest.raises(ValueError, match="p-values contains NaN"):
        CalibrationDisplay.from_predictions([np.nan])
    with pytest.raises(ValueError, match="scores_calibration must hold at least one"):
        CalibrationDisplay.from_predictions([1.0], [])
    with pytest.raises(ValueError, match="pass one of the two"):
        CalibrationDisplay.from_predictions([1.0], [2.0], n_calibration=3)
    for number in (0, 2.5, "many"):
        with pytest.raises(ValueError, match="n_calibration must be a positive whole"):
            CalibrationDisplay.from_predictions([1.0], n_calibration=number)
    with pytest.raises(ValueError, match="scale must be 'log' or 'linear', got 'x'"):
        CalibrationDisplay.from_predictions([1.0], scale="x")
