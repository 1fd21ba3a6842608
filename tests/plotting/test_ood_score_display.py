"""The pictures of scores against counts by hand."""

import numpy as np
import oracles
import pytest

from sklearn_collapse.metrics import ood_table
from sklearn_collapse.ood import MahalanobisDetector
from sklearn_collapse.plotting import OODScoreDisplay


@pytest.fixture
def scores(rng):
    inside = rng.normal(size=200)
    return inside, {"near": rng.normal(size=70) - 1, "far": rng.normal(size=90) - 4}


def heights(display, patch, row):
    """Shares of a histogram, up to the one unit that all rows have."""
    values, edges, baseline = patch.get_data()
    assert np.all(np.asarray(baseline) == row)
    return values - row, edges


def test_histograms(scores):
    """Shares of each set in shared bins; one unit everywhere."""
    inside, sets = scores
    display = OODScoreDisplay.from_predictions(inside, sets, bins=20)
    reference, edges = heights(display, display.histograms_id_["near"], 1)
    assert len(edges) == 21
    units = []
    for row, (name, outside) in zip((1, 0), sets.items(), strict=True):
        for patches, values in (
            (display.histograms_id_, inside),
            (display.histograms_, outside),
        ):
            shown, own_edges = heights(display, patches[name], row)
            np.testing.assert_array_equal(own_edges, edges)
            counts = np.zeros(20)
            for value in np.clip(values, edges[0], edges[-1]):
                counts[min(np.searchsorted(edges, value, "right") - 1, 19)] += 1
            expected = counts / len(values)
            units.append(shown.sum() / expected.sum())
            np.testing.assert_allclose(shown, units[-1] * expected, atol=1e-9)
    np.testing.assert_allclose(units, units[0])
    assert 0.5 < max(reference.max(), shown.max()) < 1  # rows do not overlap


@pytest.mark.parametrize("kind", ["hist", "roc"])
def test_numbers(scores, kind):
    inside, sets = scores
    display = OODScoreDisplay.from_predictions(inside, sets, kind=kind)
    for name, outside in sets.items():
        assert display.auroc[name] == pytest.approx(oracles.auroc(inside, outside))
        fpr = oracles.fpr_at_tpr(inside, outside)
        assert display.fpr95[name] == pytest.approx(fpr)
        assert np.mean(outside >= display.threshold) == pytest.approx(fpr)
    # 190 of 200 rows are kept, and one step higher fewer than 95 %.
    assert np.sum(inside >= display.threshold) == 190
    assert display.threshold in inside
    if kind == "hist":
        labels = [text.get_text() for text in display.ax_.get_yticklabels()][::-1]
        labels = [label.replace("\n", "  ") for label in labels]
        np.testing.assert_allclose(
            display.threshold_line_.get_xdata(), display.threshold
        )
    else:
        labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == [
        f"{name}  AUROC {100 * display.auroc[name]:.1f}  "
        f"FPR95 {100 * display.fpr95[name]:.1f}"
        for name in sets
    ]


def test_curves(scores):
    """Every point of a curve is a threshold; FPR95 is marked on it."""
    inside, sets = scores
    display = OODScoreDisplay.from_predictions(inside, sets, kind="roc")
    styles = set()
    for name, outside in sets.items():
        fpr, tpr = display.lines_[name].get_data()
        points = {(0.0, 0.0)} | {
            (np.mean(outside >= t), np.mean(inside >= t)) for t in [*inside, *outside]
        }
        assert {(round(a, 9), round(b, 9)) for a, b in zip(fpr, tpr, strict=True)} <= {
            (round(a, 9), round(b, 9)) for a, b in points
        }
        area = np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2)
        assert area == pytest.approx(oracles.auroc(inside, outside))
        marks = [line.get_xydata() for line in display.ax_.lines]
        marks = [tuple(m[0]) for m in marks if len(m) == 1]
        assert (display.fpr95[name], pytest.approx(0.95)) in marks
        styles.add(display.lines_[name].get_linestyle())
    assert len(styles) == 2
    np.testing.assert_allclose(display.threshold_line_.get_ydata(), 0.95)


def test_both_pictures(scores, plt):
    inside, sets = scores
    display = OODScoreDisplay.from_predictions(inside, sets, kind="both", name="mine")
    assert display.figure_.get_suptitle() == "mine"
    assert display.ax_ is display.axes_[0]
    assert set(display.histograms_) == set(display.lines_) == set(sets)
    np.testing.assert_allclose(display.threshold_line_.get_xdata(), display.threshold)
    hist, roc = display.axes_
    assert all(line.axes is roc for line in display.lines_.values())
    assert all(patch.axes is hist for patch in display.histograms_.values())
    # The numbers are beside the histograms.
    texts = [text.get_text() for text in roc.get_legend().get_texts()]
    assert texts == list(sets)
    _, axes = plt.subplots(1, 2)
    assert list(display.plot(axes, kind="both", lw=3).axes_) == list(axes)
    widths = {line.get_linewidth() for line in display.lines_.values()}
    assert widths == {p.get_linewidth() for p in display.histograms_.values()} == {3}


def test_the_positives_are_named(scores):
    """FPR95 is that of fpr_at_tpr with positive="id", and the axes say so."""
    inside, sets = scores
    display = OODScoreDisplay.from_predictions(inside, sets, kind="roc")
    assert "ID rows accepted (true positive" in display.ax_.get_ylabel()
    assert "OOD rows accepted (false positive" in display.ax_.get_xlabel()
    assert "95 % of ID accepted" in display.ax_.get_legend().get_title().get_text()


@pytest.mark.parametrize(("kind", "n_axes"), [("both", 1), ("roc", 2), ("hist", 2)])
def test_as_many_axes_as_pictures(scores, plt, kind, n_axes):
    inside, sets = scores
    _, axes = plt.subplots(1, n_axes)
    with pytest.raises(ValueError, match=rf"kind='{kind}' needs . Axes as ax, got"):
        OODScoreDisplay.from_predictions(inside, sets, kind=kind, ax=axes)


def test_from_estimator_agrees_with_the_table(rng):
    X, y = rng.normal(size=(90, 4)), np.arange(90) % 3
    X_test, far = rng.normal(size=(40, 4)), {"far": 3 * rng.normal(size=(30, 4))}
    detector = MahalanobisDetector().fit(X, y)
    display = OODScoreDisplay.from_estimator(detector, X_test, far)
    (row,) = ood_table({"": detector}, X_test, far)
    assert display.auroc == {"far": row["auroc"]}
    assert display.fpr95 == {"far": row["fpr95_id"]}
    np.testing.assert_array_equal(display.scores_id, detector.score_samples(X_test))
    alone = OODScoreDisplay.from_estimator(detector, X_test, far["far"], kind="roc")
    assert alone.auroc == {"OOD": row["auroc"]}


def test_axis_is_robust(rng):
    """One set far away does not flatten the others; what is beyond is still counted."""
    inside = rng.normal(size=1000)
    sets = {
        "far": -1e6 * rng.random(100) - 1e5,
        "infinite": np.r_[np.full(5, -np.inf), rng.normal(size=45)],
        "outlier": np.r_[rng.normal(size=999), 1e9],
    }
    display = OODScoreDisplay.from_predictions(inside, sets, bins=30)
    low, high = display.ax_.get_xlim()
    width = np.quantile(inside, 0.995) - np.quantile(inside, 0.005)
    assert high - low < 6 * width
    assert low < np.quantile(inside, 0.005)
    assert high > np.quantile(inside, 0.995)
    shown, _ = heights(display, display.histograms_["far"], 2)
    assert shown[0] == shown.max() > 0
    assert not shown[1:].any()
    lowest, _ = heights(display, display.histograms_["infinite"], 1)
    assert lowest[0] == pytest.approx(lowest.sum() / 10)
    assert display.auroc["far"] == 1


@pytest.mark.parametrize("kind", ["hist", "roc"])
@pytest.mark.parametrize(
    ("inside", "outside"),
    [([1.0], [1.0]), ([0.0, 0.0], [0.0]), ([-np.inf], [np.inf]), ([1, 2], [3, 4])],
)
def test_degenerate_scores(kind, inside, outside):
    display = OODScoreDisplay.from_predictions(inside, outside, kind=kind)
    expected = np.mean([(a > b) + (a == b) / 2 for a in inside for b in outside])
    assert display.auroc["OOD"] == pytest.approx(expected)


def test_options_are_passed(scores):
    inside, sets = scores
    display = OODScoreDisplay.from_predictions(inside, sets, linewidth=4)
    assert {p.get_linewidth() for p in display.histograms_.values()} == {4}
    display.plot(kind="roc", linewidth=5)
    assert {p.get_linewidth() for p in display.lines_.values()} == {5}


def test_what_is_refused(scores):
    inside, sets = scores
    with pytest.raises(ValueError, match=r"kind must be one of .*'both'\], got 'pie'"):
        OODScoreDisplay.from_predictions(inside, sets, kind="pie")
    with pytest.raises(ValueError, match=r"scores_ood\['x'\] contains NaN .* row 1"):
        OODScoreDisplay.from_predictions(inside, {"x": [0.0, np.nan]})
    with pytest.raises(ValueError, match=r"scores_id must hold .* \(2, 1\)"):
        OODScoreDisplay.from_predictions([[1.0], [2.0]], sets)
    with pytest.raises(ValueError, match="at least one score"):
        OODScoreDisplay.from_predictions(inside, [])
    with pytest.raises(ValueError, match="at least one set"):
        OODScoreDisplay.from_predictions(inside, {})
