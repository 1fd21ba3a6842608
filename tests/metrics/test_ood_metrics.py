"""Tests of the metrics of out-of-distribution scores."""

import numpy as np
import oracles
import pytest
from numpy.testing import assert_array_equal

from sklearn_collapse.metrics import fpr_at_tpr, ood_table
from sklearn_collapse.ood import MahalanobisDetector

KEYS = ["detector", "set", "auroc", "aupr_in", "aupr_out", "fpr95_id", "fpr95_ood"]


def scores_of(seed, n_inside, n_outside, levels):
    """Overlapping scores; few levels make many ties."""
    rng = np.random.default_rng(seed)
    inside, outside = rng.normal(size=n_inside) + 1, rng.normal(size=n_outside)
    if levels:
        inside, outside = np.round(levels * inside), np.round(levels * outside)
    return inside, outside


def together(inside, outside):
    order = np.random.default_rng(0).permutation(len(inside) + len(outside))
    y_true = np.repeat([1, 0], [len(inside), len(outside)])
    return y_true[order], np.concatenate([inside, outside])[order]


@pytest.mark.parametrize("levels", [None, 3, 1])
@pytest.mark.parametrize("sizes", [(40, 60), (100, 20), (60, 7), (1, 5), (20, 1)])
def test_fpr_at_tpr(library, sizes, levels):
    inside, outside = scores_of(0, *sizes, levels)
    y_true, y_score = (library.asarray(v) for v in together(inside, outside))
    for tpr in (0.01, 0.5, 0.8, 0.95, 0.99, 1.0, 1):
        rate = fpr_at_tpr(y_true, y_score, tpr=tpr)
        assert isinstance(rate, float)
        expected = oracles.fpr_at_tpr(inside, outside, tpr)
        assert rate == pytest.approx(expected, abs=1e-12)
        rate = fpr_at_tpr(y_true, y_score, tpr=tpr, positive="ood")
        expected = oracles.fpr_at_tpr(-outside, -inside, tpr)
        assert rate == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("percent", "n"), [(95, 20), (95, 60), (95, 1000), (7, 100), (28, 100), (55, 100)]
)
def test_share_that_is_whole(percent, n):
    """0.07 * 100 is above 7 in floating point: no row more is asked for."""
    inside = np.arange(n, 0, -1.0)
    needed = percent * n // 100
    last = inside[needed - 1]
    outside = np.array([last - 0.5, last + 0.5])
    assert fpr_at_tpr(*together(inside, outside), tpr=percent / 100) == 0.5
    mirrored = together(-outside, -inside)
    assert fpr_at_tpr(*mirrored, tpr=percent / 100, positive="ood") == 0.5


def test_by_hand():
    y_true = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    y_score = [9, 8, 7, 6, 2, 7, 5, 3, 1, 0]
    assert fpr_at_tpr(y_true, y_score, tpr=0.8) == 0.2  # accepts >= 6
    assert fpr_at_tpr(y_true, y_score, tpr=0.6) == 0.2  # accepts >= 7, a tie
    assert fpr_at_tpr(y_true, y_score, tpr=0.4) == 0.0  # accepts >= 8
    assert fpr_at_tpr(y_true, y_score, tpr=1.0) == 0.6  # accepts >= 2
    assert fpr_at_tpr(y_true, y_score, tpr=0.8, positive="ood") == 0.2  # rejects <= 5
    assert fpr_at_tpr(y_true, y_score, tpr=1.0, positive="ood") == 0.6  # rejects <= 7


def test_extremes():
    y_true = [1, 1, 1, 0, 0]
    for positive in ("id", "ood"):
        perfect = fpr_at_tpr(y_true, [3, 4, 5, 1, 2], positive=positive)
        assert perfect == 0
        assert fpr_at_tpr(y_true, [1, 2, 3, 4, 5], positive=positive) == 1
        assert fpr_at_tpr(y_true, [7] * 5, positive=positive) == 1  # all tie


def test_conventions_differ():
    """The published numbers are of one convention or the other."""
    inside = np.r_[np.zeros(10), np.full(90, 5.0)]
    outside = np.full(50, 1.0)
    y_true, y_score = together(inside, outside)
    assert fpr_at_tpr(y_true, y_score) == 1.0
    assert fpr_at_tpr(y_true, y_score, positive="ood") == 0.1


@pytest.mark.parametrize("kind", [bool, int, float, np.uint8, "list"])
def test_labels_of_any_dtype(kind):
    inside, outside = scores_of(1, 30, 20, 2)
    y_true, y_score = together(inside, outside)
    labels = y_true.tolist() if kind == "list" else y_true.astype(kind)
    assert fpr_at_tpr(labels, y_score) == oracles.fpr_at_tpr(inside, outside)


def test_only_ranks_count():
    """Any increasing map, infinite scores included."""
    inside, outside = scores_of(2, 50, 50, None)
    y_true, y_score = together(inside, outside)
    steep = np.exp(300 * y_score / np.abs(y_score).max())
    ends = np.where(y_score == y_score.min(), -np.inf, y_score)
    for positive in ("id", "ood"):
        expected = fpr_at_tpr(y_true, y_score, positive=positive)
        assert fpr_at_tpr(y_true, steep, positive=positive) == expected
        assert fpr_at_tpr(y_true, ends, positive=positive) == expected


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1, 0, 1], [0.5, np.nan, np.nan]), {}, r"NaN \(first in row 1\)"),
        (([1, 1, 1], [0, 1, 2]), {}, r"both 1 \(in-distribution\) and 0"),
        (([0, 0, 0], [0, 1, 2]), {}, "both 1"),
        (([], []), {}, "both 1"),
        (([1, -1, 1], [0, 1, 2]), {}, r"got the values \[-1, 1\]"),
        (([0, 1, 2], [0, 1, 2]), {}, r"\[0, 1, 2\]"),
        ((["in", "out"], [0, 1]), {}, "both 1"),
        (([1, 0], [0, 1, 2]), {}, "inconsistent numbers"),
        (([1, 0], [[0, 1], [2, 3]]), {}, "1d array"),
        (([[1, 0], [0, 1]], [0, 1]), {}, "1d array"),
        (([1, 0], [0, 1]), {"tpr": 0}, r"tpr must lie in \(0, 1\], got 0"),
        (([1, 0], [0, 1]), {"tpr": 1.01}, "tpr must lie"),
        (([1, 0], [0, 1]), {"tpr": 95}, "tpr must lie"),
        (([1, 0], [0, 1]), {"tpr": np.nan}, "tpr must lie"),
        (([1, 0], [0, 1]), {"positive": "in"}, "'id' or 'ood', got 'in'"),
        (([1, 0], [0, 1]), {"positive": None}, "'id' or 'ood', got None"),
    ],
)
def test_errors(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        fpr_at_tpr(*arguments, **options)


@pytest.mark.parametrize("positive", ["id", "ood"])
@pytest.mark.parametrize("levels", [None, 2])
def test_weights_are_frequencies(positive, levels):
    y_true, y_score = together(*scores_of(0, 40, 60, levels))
    weights = np.random.default_rng(1).integers(0, 4, size=len(y_true))
    y_score[np.flatnonzero(weights == 0)[0]] = np.nan  # which does not count
    copies = np.repeat(y_true, weights), np.repeat(y_score, weights)
    for tpr in (0.05, 0.5, 0.95, 1.0):
        options = {"tpr": tpr, "positive": positive}
        found = fpr_at_tpr(y_true, y_score, sample_weight=weights, **options)
        inside, outside = (copies[1][copies[0] == k] for k in (1, 0))
        if positive == "ood":
            inside, outside = -outside, -inside
        expected = oracles.fpr_at_tpr(inside, outside, tpr)
        assert found == pytest.approx(expected, abs=1e-12)
        third = fpr_at_tpr(y_true, y_score, sample_weight=weights / 3, **options)
        assert third == pytest.approx(found, abs=1e-12)


def test_weights_that_leave_one_kind():
    with pytest.raises(ValueError, match="must hold both"):
        fpr_at_tpr([1, 0, 0], [3, 2, 1], sample_weight=[1, 0, 0])
    with pytest.raises(ValueError, match="inconsistent numbers"):
        fpr_at_tpr([1, 0, 0], [3, 2, 1], sample_weight=[1, 1])


def test_options_are_keyword_only():
    with pytest.raises(TypeError, match="positional"):
        fpr_at_tpr([1, 0], [1, 0], 0.95)


# -- the table -------------------------------------------------------------------


class Column:
    """A detector whose score is a column, with ties."""

    def __init__(self, column):
        self.column = column

    def score_samples(self, X):
        return X[:, self.column]


@pytest.fixture
def sets(rng):
    inside = np.round(2 * rng.normal(size=(80, 2)) + 2)
    near = np.round(2 * rng.normal(size=(50, 2)))
    far = np.round(2 * rng.normal(size=(30, 2)) - 3)
    return inside, {"near": near, "far": far}


def test_table(library, sets):
    inside, outside = sets
    detectors = {"first": Column(0), "second": Column(1)}
    table = ood_table(
        detectors,
        library.asarray(inside),
        {name: library.asarray(rows) for name, rows in outside.items()},
    )
    assert [(row["detector"], row["set"]) for row in table] == [
        *(("first", "near"), ("first", "far"), ("second", "near"), ("second", "far"))
    ]
    for row in table:
        assert list(row) == KEYS
        assert all(type(row[key]) is float for key in KEYS[2:])
        column = detectors[row["detector"]].column
        a, b = inside[:, column], outside[row["set"]][:, column]
        expected = {
            "auroc": oracles.auroc(a, b),
            "aupr_in": oracles.average_precision(a, b),
            "aupr_out": oracles.average_precision(-b, -a),
            "fpr95_id": oracles.fpr_at_tpr(a, b),
            "fpr95_ood": oracles.fpr_at_tpr(-b, -a),
        }
        assert {key: row[key] for key in expected} == pytest.approx(expected)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_table_of_detectors(library, dtype, rng):
    y = np.arange(120) % 3
    X, inside = (rng.normal(size=(120, 4)) + 3 * np.eye(3, 4)[y] for _ in range(2))
    outside = 2 * rng.normal(size=(40, 4))
    X, inside, outside = (v.astype(dtype) for v in (X, inside, outside))
    table = ood_table(
        {
            name: MahalanobisDetector(relative=name == "relative").fit(
                library.asarray(X), y
            )
            for name in ("plain", "relative")
        },
        library.asarray(inside),
        {"wide": library.asarray(outside)},
    )
    for row in table:
        a, b = (
            oracles.mahalanobis(X, y, v, relative=row["detector"] == "relative")
            for v in (inside, outside)
        )
        assert row["auroc"] == pytest.approx(oracles.auroc(a, b), abs=1e-9)


def test_table_makes_a_frame(sets):
    pandas = pytest.importorskip("pandas")
    inside, outside = sets
    frame = pandas.DataFrame(ood_table({"a": Column(0)}, inside, outside))
    assert list(frame.columns) == KEYS
    assert frame.shape == (2, 7)


def test_empty_tables(sets):
    inside, outside = sets
    assert ood_table({}, inside, outside) == []
    assert ood_table({"a": Column(0)}, inside, {}) == []


def test_each_set_is_scored_once(sets):
    inside, outside = sets
    calls = []

    class Counting(Column):
        def score_samples(self, X):
            calls.append(len(X))
            return super().score_samples(X)

    ood_table({"a": Counting(0)}, inside, outside)
    assert_array_equal(sorted(calls), [30, 50, 80])


def test_table_with_scores_of_minus_infinity(sets):
    """The lowest rank there is, for areas and rates alike."""
    inside, outside = sets
    lowest, far = outside["far"].copy(), outside["far"].copy()
    lowest[:5], far[:5] = -np.inf, -1e3
    table = ood_table({"a": Column(0)}, inside, {"lowest": lowest, "far": far})
    values = [[row[key] for key in KEYS[2:]] for row in table]
    assert values[0] == pytest.approx(values[1])


def test_nan_scores_are_an_error(sets):
    inside, outside = sets
    outside["far"][3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        ood_table({"a": Column(0)}, inside, outside)


def test_unfitted_detectors(sets):
    with pytest.raises(ValueError, match="not fitted"):
        ood_table({"a": MahalanobisDetector()}, *sets)
