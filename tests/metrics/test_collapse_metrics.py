"""Tests of the collapse metrics as functions, against oracles and known geometry."""

import math
import warnings

import numpy as np
import oracles
import oracles_collapse
import pytest
from numpy.testing import assert_allclose
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from sklearn_collapse import LinearHead
from sklearn_collapse._linalg import _frames
from sklearn_collapse.metrics import (
    METRICS,
    CollapseWarning,
    cdnv,
    fisher_ratio,
    gnc2_uniformity,
    gof_off_diagonal,
    nc1_pinv,
    nc1_trace_ratio,
    nc2_equiangularity,
    nc2_equinorm,
    nc2_etf_error,
    nc2_max_angle,
    nc3_product,
    nc3_self_duality,
    nc3_uniform_duality,
    nc4_agreement,
    ncm_accuracy,
    vci,
)

NAMES = [name for name, metric in METRICS.items() if metric.family == "collapse"]
NEED_HEAD = [name for name in NAMES if "head" in METRICS[name].needs]
NEED_NO_HEAD = [name for name in NAMES if name not in NEED_HEAD]
NEED_SIMPLEX = ["nc2_max_angle", "nc2_etf_error", "nc3_product"]
WEIGHTINGS = [None, "balanced"]

N_FEATURES = 5
# C = 2, C < d + 1, C = d + 1, C > d + 1.
COUNTS = {
    "balanced-2": [40, 40],
    "imbalanced-2": [60, 17],
    "balanced-3": [30, 30, 30],
    "imbalanced-3": [50, 22, 9],
    "balanced-6": [15] * 6,
    "imbalanced-6": [30, 22, 17, 12, 9, 7],
    "balanced-8": [12] * 8,
    "imbalanced-8": [24, 20, 17, 14, 11, 9, 8, 7],
}


def make_rows(counts, seed=0, d=N_FEATURES, spread=1.0):
    """Rows about random class means, with correlated features, in random order."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    means = 2 * rng.normal(size=(len(counts), d)) + rng.normal(size=d)
    X = means[y] + spread * rng.normal(size=(len(y), d)) @ rng.normal(size=(d, d))
    return X, y


def make_head(X, y, seed=0):
    """Weights near the class means, and an intercept that matters."""
    rng = np.random.default_rng(seed)
    means = np.array([X[y == c].mean(axis=0) for c in np.unique(y)])
    W = means - means.mean(axis=0) + 0.5 * rng.normal(size=means.shape)
    return W, rng.normal(size=len(W))


def measure(name, X, y, head=None, **options):
    """Value of the public function."""
    arguments = (X, y, head) if name in NEED_HEAD else (X, y)
    return METRICS[name].function(*arguments, **options)


def expected(name, X, y, W=None, b=None, class_weight=None):
    """Value of the oracle."""
    X, y = np.asarray(X, dtype=float), np.asarray(y)
    oracle = getattr(oracles, name)
    if name == "nc4_agreement":
        return oracle(X, y, W, b, class_weight)
    if name in NEED_HEAD:
        return oracle(X, y, W, class_weight)
    if name == "gof_off_diagonal":
        return oracle(X, y)
    return oracle(X, y, class_weight)


def simplex(n_classes, d, seed=0):
    """Unit rows with cosines -1 / (C - 1), in random orthonormal directions of R^d."""
    scale = math.sqrt(n_classes / (n_classes - 1))
    frame = scale * (np.eye(n_classes) - 1 / n_classes)
    rng = np.random.default_rng(seed)
    # C - 1 orthonormal directions that span the centred coordinates, then d of them.
    basis = np.linalg.svd(frame)[0][:, : n_classes - 1]
    embedding = np.linalg.qr(rng.normal(size=(d, n_classes - 1)))[0]
    return frame @ basis @ embedding.T


# -- against the oracles --------------------------------------------------------------


@pytest.mark.parametrize("class_weight", WEIGHTINGS)
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        (name, counts)
        for name in NAMES
        for counts, sizes in COUNTS.items()
        # Beyond it: test_more_classes_than_a_simplex_has.
        if name not in NEED_SIMPLEX or len(sizes) <= N_FEATURES + 1
    ],
)
def test_equals_its_formula(name, counts, class_weight):
    for seed in (0, 1):
        X, y = make_rows(COUNTS[counts], seed)
        W, b = make_head(X, y, seed)
        found = measure(name, X, y, LinearHead(W, b), class_weight=class_weight)
        assert type(found) is float
        assert_allclose(
            found, expected(name, X, y, W, b, class_weight), rtol=1e-9, atol=1e-14
        )


@pytest.mark.parametrize("class_weight", WEIGHTINGS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", NAMES)
def test_any_library_and_precision(library, name, dtype, class_weight):
    X, y = make_rows(COUNTS["imbalanced-3"])
    X = X.astype(dtype)
    W, b = make_head(X, y)
    head = LinearHead(W, b)
    found = measure(
        name,
        library.asarray(X),
        library.asarray(y),
        head,
        class_weight=class_weight,
        sample_weight=library.asarray(np.ones(len(y))),
    )
    assert type(found) is float
    value = expected(name, X, y, W, b, class_weight)
    assert_allclose(found, value, rtol=1e-9)


@pytest.mark.parametrize("class_weight", WEIGHTINGS)
@pytest.mark.parametrize("name", NAMES)
def test_weights_are_repetitions(name, class_weight):
    X, y = make_rows([14, 9, 12], seed=3)
    W, b = make_head(X, y)
    weights = np.random.default_rng(4).integers(0, 4, size=len(y))
    options = {"class_weight": class_weight}
    found = measure(name, X, y, LinearHead(W, b), sample_weight=weights, **options)
    repeated = np.repeat(X, weights, axis=0), np.repeat(y, weights)
    assert_allclose(found, expected(name, *repeated, W, b, class_weight), rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_class_without_weight_does_not_exist(name):
    X, y = make_rows([14, 9, 12, 10], seed=3)
    W, b = make_head(X, y)
    weights = (y != 2).astype(float)
    found = measure(name, X, y, LinearHead(W, b), sample_weight=weights)
    kept = y != 2
    head = LinearHead(W, b)
    assert_allclose(found, measure(name, X[kept], y[kept], head), rtol=1e-12)


@pytest.mark.parametrize("counts", ["balanced-2", "balanced-3", "balanced-6"])
def test_vci_is_the_loss_of_the_least_squares_probe(counts):
    X, y = make_rows(COUNTS[counts], seed=5)
    assert_allclose(vci(X, y), oracles.one_minus_r2(X, y), rtol=1e-10)


def test_balanced_weights_change_imbalanced_numbers():
    """The option is not silently without effect, in any metric that it concerns."""
    X, y = make_rows(COUNTS["imbalanced-3"])
    head = LinearHead(*make_head(X, y))
    unmoved = {
        name
        for name in NAMES
        if np.isclose(
            measure(name, X, y, head),
            measure(name, X, y, head, class_weight="balanced"),
            rtol=1e-6,
        )
    }
    assert unmoved == {"cdnv", "gof_off_diagonal"}


def test_balanced_weights_leave_balanced_numbers():
    X, y = make_rows(COUNTS["balanced-3"])
    head = LinearHead(*make_head(X, y))
    for name in NAMES:
        balanced = measure(name, X, y, head, class_weight="balanced")
        assert_allclose(balanced, measure(name, X, y, head), rtol=1e-11, err_msg=name)


# -- collapsed float32 features -------------------------------------------------------

RATIOS = [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5]
OFFSETS = [0.0, 1.0, 1e2, 1e4]


def collapsed_rows(ratio, offset):
    """Float32 rows: class means about 1 apart, spread `ratio`, far from the origin."""
    rng = np.random.default_rng(7)
    y = np.repeat(np.arange(3), [12, 9, 15])
    X = rng.normal(size=(3, 4))[y] + ratio * rng.normal(size=(len(y), 4)) + offset
    return X.astype(np.float32), y


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("ratio", RATIOS)
def test_collapsed_float32(ratio, offset):
    """Within 1e-3 of the truth on the same values; there is no rounding in the truth.

    Fisher ratio and VCI contain the inverse of Sigma_W, which is floored where float32
    cannot hold the features: there the truth is the formula with that floor.
    """
    X, y = collapsed_rows(ratio, offset)
    W, b = make_head(X.astype(float), y)
    b = b - W @ X.astype(float).mean(axis=0)
    truths = {
        "nc1_pinv": oracles_collapse.exact_nc1_pinv(X, y),
        "nc1_trace_ratio": oracles_collapse.exact_nc1_trace_ratio(X, y),
        "cdnv": oracles_collapse.exact_cdnv(X, y),
        "fisher_ratio": oracles_collapse.floored_fisher_ratio(X, y),
        "vci": oracles_collapse.floored_vci(X, y),
        "lidar": oracles_collapse.floored_lidar(X, y),
    }
    for name in NAMES:
        truth = truths.get(name)
        if truth is None:
            truth = expected(name, X, y, W, b)
        found = measure(name, X, y, LinearHead(W, b))
        assert_allclose(found, truth, rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("class_weight", WEIGHTINGS)
@pytest.mark.parametrize(
    ("ratio", "offset"),
    [(r, o) for o in OFFSETS for r in RATIOS if r > 10 * max(o, 1) * 1.2e-7],
)
def test_collapsed_float32_without_floor(ratio, offset, class_weight):
    """Where float32 holds the spread within classes, no floor acts at all."""
    X, y = collapsed_rows(ratio, offset)
    options = {"class_weight": class_weight}
    for name in ("nc1_pinv", "nc1_trace_ratio", "cdnv", "fisher_ratio", "vci", "lidar"):
        oracle = getattr(oracles_collapse, f"exact_{name}")
        truth = oracle(X, y) if name == "cdnv" else oracle(X, y, **options)
        found = METRICS[name].function(X, y, **options)
        assert_allclose(found, truth, rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("ratio", [1e-2, 1e-5])
def test_collapsed_float32_in_any_library(library, ratio):
    X, y = collapsed_rows(ratio, 1.0)
    for name in ("nc1_pinv", "nc1_trace_ratio", "cdnv", "fisher_ratio", "vci"):
        truth = getattr(oracles_collapse, f"exact_{name}")(X, y)
        found = METRICS[name].function(library.asarray(X), y)
        assert_allclose(found, truth, rtol=1e-3, err_msg=name)


def test_exact_oracles_agree_with_the_float_oracles():
    """The referee of collapsed features, where float64 can still check it."""
    X, y = make_rows([12, 9, 15], d=4)
    for class_weight in WEIGHTINGS:
        for name in ("nc1_pinv", "nc1_trace_ratio", "fisher_ratio", "vci"):
            truth = getattr(oracles_collapse, f"exact_{name}")(X, y, class_weight)
            value = getattr(oracles, name)(X, y, class_weight)
            assert_allclose(value, truth, rtol=1e-10, err_msg=name)
    assert_allclose(oracles.cdnv(X, y), oracles_collapse.exact_cdnv(X, y), rtol=1e-12)
    floored = (
        oracles_collapse.floored_vci(X, y),
        oracles_collapse.floored_fisher_ratio(X, y),
    )
    assert_allclose(floored, [oracles.vci(X, y), oracles.fisher_ratio(X, y)])


# -- the simplex ----------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3, 4, 7])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_complete_collapse_to_a_simplex(library, dtype, n_classes):
    means = simplex(n_classes, d=6).astype(dtype)
    y = np.repeat(np.arange(n_classes), 9)
    X = library.asarray(means[y])
    head = LinearHead(3.0 * (means - means.mean(axis=0, dtype=float)))
    rounding = 20 * float(np.finfo(dtype).eps)
    assert nc1_pinv(X, y) == pytest.approx(0, abs=1e-28)
    assert nc1_trace_ratio(X, y) == pytest.approx(0, abs=1e-28)
    assert cdnv(X, y) == pytest.approx(0, abs=1e-28)
    assert fisher_ratio(X, y) == math.inf
    assert 0 <= vci(X, y) < 1e-10
    assert nc2_equinorm(X, y) == pytest.approx(0, abs=rounding)
    assert nc2_equiangularity(X, y) == pytest.approx(0, abs=rounding)
    assert nc2_max_angle(X, y) == pytest.approx(0, abs=rounding)
    assert nc2_etf_error(X, y) == pytest.approx(0, abs=rounding)
    distance = math.sqrt(2 * n_classes / (n_classes - 1))
    assert gnc2_uniformity(X, y) == pytest.approx(-math.log(distance), abs=rounding)
    assert nc3_self_duality(X, y, head) == pytest.approx(0, abs=rounding)
    assert nc3_uniform_duality(X, y, head) == pytest.approx(0, abs=rounding)
    assert nc3_product(X, y, head) == pytest.approx(0, abs=rounding)
    assert nc4_agreement(X, y, head) == 1
    assert ncm_accuracy(X, y) == 1


@pytest.mark.parametrize("n_rows", [10, 1000])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_equal_rows_have_no_spread(library, dtype, n_rows):
    """Summing equal rows rounds; what that leaves is not a spread within classes."""
    means = np.random.default_rng(0).normal(size=(5, 20)).astype(dtype)
    y = np.repeat(np.arange(5), n_rows)
    X = library.asarray(means[y])
    assert fisher_ratio(X, y) == math.inf
    assert fisher_ratio(X, y, class_weight="balanced") == math.inf
    for function in (vci, nc1_pinv, nc1_trace_ratio, cdnv):
        assert 0 <= function(X, y) < 1e-9


@pytest.mark.parametrize("n_classes", [3, 6])
def test_simplex_with_isotropic_spread(n_classes):
    """Class rows mu_c +- r e_j for every axis j: Sigma_W = (r^2 / d) I exactly."""
    d, r = 6, 0.5
    axes = r * np.vstack([np.eye(d), -np.eye(d)])
    means = simplex(n_classes, d)
    X = np.vstack([mu + axes for mu in means])
    y = np.repeat(np.arange(n_classes), 2 * d)
    within = r**2 / d
    between = 1 / (n_classes - 1)  # each of the C - 1 eigenvalues of Sigma_B
    share = (n_classes - 1) / n_classes
    assert_allclose(nc1_pinv(X, y), share * within / between, rtol=1e-12)
    assert_allclose(nc1_trace_ratio(X, y), r**2, rtol=1e-12)
    assert_allclose(fisher_ratio(X, y), 1 / within, rtol=1e-12)
    assert_allclose(vci(X, y), within / (within + between), rtol=1e-12)
    assert_allclose(cdnv(X, y), r**2 / (2 / share), rtol=1e-12)
    assert nc2_etf_error(X, y) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("translation", [0.0, 100.0])
def test_imbalanced_simplex_needs_balanced_weights(translation):
    counts = [64, 16, 16, 4]
    y = np.repeat(np.arange(4), counts)
    X = simplex(4, 5)[y] + translation
    plain = nc2_etf_error(X, y)
    assert_allclose(plain, oracles.nc2_etf_error(X, y), rtol=1e-10)
    assert plain > 0.3
    for name in ("nc2_equinorm", "nc2_equiangularity", *NEED_SIMPLEX[:2]):
        assert measure(name, X, y) > 0.1, name
        balanced = measure(name, X, y, class_weight="balanced")
        assert balanced == pytest.approx(0, abs=1e-13 * (1 + translation)), name


def test_etf_error_of_an_imbalanced_simplex_by_hand():
    """Two of three classes: the third has so few rows that the mean is between two.

    Means e_1, e_2, e_3 with shares 1/2, 1/2, 0+: the centred means are nearly
    (1, -1, 0)/2, (-1, 1, 0)/2 and (-1/2, -1/2, 1).
    """
    y = np.repeat([0, 1, 2], [500_000, 500_000, 1])
    gram = np.array([[0.5, -0.5, 0], [-0.5, 0.5, 0], [0, 0, 1.5]])
    ideal = (np.eye(3) - 1 / 3) / math.sqrt(2)
    truth = np.linalg.norm(gram / np.linalg.norm(gram) - ideal)
    found = nc2_etf_error(np.eye(3), [0, 1, 2], sample_weight=np.bincount(y))
    assert_allclose(found, truth, rtol=1e-5)


def test_orthogonal_means_are_a_general_orthogonal_frame():
    y = np.repeat([0, 1, 2], [4, 7, 2])
    assert gof_off_diagonal(np.diag([1.0, 2.0, 5.0])[y], y) == 0
    X = np.ones((13, 3)) * (1 + y[:, None])  # parallel means: 1 - sum n^4 / (sum n^2)^2
    assert_allclose(gof_off_diagonal(X, y), 1 - (1 + 16 + 81) / 14**2, rtol=1e-12)


@pytest.mark.parametrize("name", NEED_SIMPLEX)
def test_more_classes_than_a_simplex_has(library, name):
    X, y = make_rows(COUNTS["imbalanced-8"])
    head = LinearHead(*make_head(X, y))
    with pytest.warns(CollapseWarning, match="gnc2_uniformity") as caught:
        assert math.isnan(measure(name, library.asarray(X), y, head))
    assert len(caught) == 1
    assert name in str(caught[0].message)
    assert caught[0].filename == __file__  # it points at the caller


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(NEED_SIMPLEX)))
def test_more_classes_than_a_simplex_has_is_fine_elsewhere(name):
    X, y = make_rows(COUNTS["imbalanced-8"])
    assert math.isfinite(measure(name, X, y, LinearHead(*make_head(X, y))))


def test_many_classes():
    """So many classes that pairs are worked on in blocks."""
    n_classes, d = 1100, 16
    rng = np.random.default_rng(0)
    means = rng.normal(size=(n_classes, d))
    X = np.vstack([means + 0.1, means - 0.1])
    y = np.tile(np.arange(n_classes), 2)
    centred = means - means.mean(axis=0)
    off = ~np.eye(n_classes, dtype=bool)
    gram = centred @ centred.T
    units = centred / np.sqrt(np.diag(gram))[:, None]
    cosines = (units @ units.T)[off]
    squares = np.diag(gram)[:, None] + np.diag(gram) - 2 * gram
    origin = means @ means.T
    truths = {
        "cdnv": np.mean(0.01 * d / squares[off]),
        "nc2_equiangularity": cosines.std(),
        "gnc2_uniformity": np.mean(-np.log(2 - 2 * cosines) / 2),
        "gof_off_diagonal": (origin[off] ** 2).sum() / (origin**2).sum(),
    }
    for name, truth in truths.items():
        assert_allclose(measure(name, X, y), truth, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("n_rows", [1, 3, 5])
def test_pairs_of_classes_in_small_blocks(n_rows, monkeypatch):
    """Every metric of pairs, where the last block may be shorter than the others."""
    X, y = make_rows(COUNTS["imbalanced-6"])
    W, b = make_head(X, y)
    monkeypatch.setattr(_frames, "block_rows", lambda width, n_rows_of=None: n_rows)
    for name in NAMES:
        found = measure(name, X, y, LinearHead(W, b))
        truth = expected(name, X, y, W, b)
        assert_allclose(found, truth, rtol=1e-9, err_msg=name)
    grid = cdnv(X, y, reduction="grid")
    assert_allclose(grid, oracles.cdnv_grid(X, y), rtol=1e-9)


def test_grid_of_many_classes():
    n_classes, d = 1100, 3
    means = np.random.default_rng(0).normal(size=(n_classes, d))
    X = np.vstack([means + 0.1, means - 0.1])
    y = np.tile(np.arange(n_classes), 2)
    off = ~np.eye(n_classes, dtype=bool)
    squares = ((means[:, None, :] - means) ** 2).sum(axis=-1)
    grid = cdnv(X, y, reduction="grid")
    assert_allclose(grid[off], 0.01 * d / squares[off], rtol=1e-9)
    assert_allclose(np.diag(grid), 0)
    largest = cdnv(X, y, reduction="max")
    assert_allclose(largest, 0.01 * d / squares[off].min(), rtol=1e-9)


# -- degenerate data ------------------------------------------------------------------


def test_two_coincident_class_means():
    """Two of three means coincide: only the pair metrics are infinite."""
    y = np.repeat([0, 1, 2], 4)
    spread = np.array([[1.0, 0.5], [-1.0, -0.5], [0.25, -1.0], [-0.25, 1.0]])
    X = np.array([[0.5, 0.25], [0.5, 0.25], [4.0, 1.0]])[y] + np.tile(spread, (3, 1))
    assert cdnv(X, y) == math.inf
    assert cdnv(X, y, reduction="max") == math.inf
    grid = cdnv(X, y, reduction="grid")
    assert_allclose(np.isinf(grid), [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    assert gnc2_uniformity(X, y) == math.inf
    for name in ("nc1_pinv", "nc1_trace_ratio", "vci", "fisher_ratio"):
        assert_allclose(measure(name, X, y), expected(name, X, y), rtol=1e-9)


@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-7])
def test_class_means_close_to_each_other(library, gap):
    """Their distance is not found by expanding its square."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 6)
    means = rng.normal(size=(3, 4))
    means[1] = means[0] + gap * rng.normal(size=4)
    X = means[y] + np.tile(rng.normal(size=(6, 4)), (3, 1))
    for options in ({}, {"reduction": "max"}):
        truth = oracles_collapse.exact_cdnv(X, y, **options)
        assert_allclose(cdnv(library.asarray(X), y, **options), truth, rtol=1e-6)
    collapsed = means[y]
    centred = means - means.mean(axis=0)
    units = centred / np.linalg.norm(centred, axis=1)[:, None]
    distances = [
        np.linalg.norm(units[i] - units[j]) for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    truth = -np.mean(np.log(distances))
    assert_allclose(gnc2_uniformity(library.asarray(collapsed), y), truth, rtol=1e-6)


@pytest.mark.parametrize("counts", [[4, 4, 4], [4, 8, 2], [3, 5, 11]])
def test_coincident_class_means_of_any_class_sizes(counts):
    """Weighting and unweighting the means must not pull equal ones apart."""
    y = np.repeat([0, 1, 2], counts)
    X = np.array([[0.1, 0.3], [0.1, 0.3], [2.0, 1.0]])[y]
    assert cdnv(X, y) == math.inf
    assert gnc2_uniformity(X, y) == math.inf


COINCIDENT = {
    "nc1_pinv": math.inf,
    "nc1_trace_ratio": math.inf,
    "fisher_ratio": 0.0,
    "cdnv": math.inf,
    "vci": 1.0,
    "nc2_equinorm": math.nan,
    "nc2_equiangularity": math.nan,
    "nc2_max_angle": math.nan,
    "nc2_etf_error": math.nan,
    "gnc2_uniformity": math.inf,
    "nc3_self_duality": math.nan,
    "nc3_uniform_duality": math.nan,
    "nc3_product": math.nan,
}


@pytest.mark.parametrize("offset", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("name", COINCIDENT)
def test_all_class_means_coincide_to_rounding(name, offset):
    """The same rows in another order, with another label: nothing is told apart."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 3)) + offset
    X = np.vstack([rows, rng.permutation(rows), rng.permutation(rows)])
    y = np.repeat([0, 1, 2], 30)
    value = measure(name, X, y, LinearHead(np.eye(3)))
    assert value == pytest.approx(COINCIDENT[name], abs=1e-20, nan_ok=True)


@pytest.mark.parametrize("name", COINCIDENT)
def test_all_rows_equal(name):
    X, y = np.full((12, 3), 0.1), np.repeat([0, 1, 2], [3, 4, 5])
    value = measure(name, X, y, LinearHead(np.eye(3)))
    assert value == pytest.approx(COINCIDENT[name], nan_ok=True)


@pytest.mark.parametrize("class_weight", WEIGHTINGS)
@pytest.mark.parametrize("offset", [0.0, 1.0, 100.0, 1e4])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_class_mean_at_the_global_mean(dtype, offset, class_weight):
    """Three collinear equally spaced classes: the middle one has no direction.

    Its cosines are 0 and not those of its rounding errors. The others are -1.
    """
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 8)
    noise = np.tile(rng.normal(size=(8, 3)), (3, 1))
    X = (np.array([-1.0, 0.0, 1.0])[y, None] + 0.25 * noise + offset).astype(dtype)
    options = {"class_weight": class_weight}
    # Float32 moves the other means a little, too.
    near = {"abs": 1e-6 * max(offset, 1)} if dtype == np.float32 else {"abs": 1e-10}
    spread = math.sqrt(2) / 3  # standard deviation of -1, -1, 0, 0, 0, 0
    assert nc2_equiangularity(X, y, **options) == pytest.approx(spread, **near)
    assert nc2_max_angle(X, y, **options) == pytest.approx(0.5, **near)
    uniformity = -math.log(2) / 3  # the distance to no direction is 1
    assert gnc2_uniformity(X, y, **options) == pytest.approx(uniformity, **near)
    head = LinearHead(np.array([[-1.0] * 3, [1.0] * 3, [1.0] * 3]))
    variance = 2 / 9  # of the cosines 1, 0, 1
    found = nc3_uniform_duality(X, y, head, **options)
    assert found == pytest.approx(variance, **near)


def test_global_mean_next_to_a_large_constant_column():
    """Rounding of one column is not held against the directions of the others."""
    X, y = make_rows([20, 20, 20], spread=0.2)
    X = (0.02 * X).astype(np.float32)
    wide = np.column_stack([X, np.full(60, 1e6, dtype=np.float32)])
    for name in ("nc2_equiangularity", "nc2_max_angle", "gnc2_uniformity"):
        truth = expected(name, X, y)
        assert_allclose(measure(name, wide, y), truth, rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_one_row_per_class(n_classes):
    """No spread is left to see, which a warning says."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n_classes, 3)), np.arange(n_classes)
    for name in ("nc1_pinv", "vci"):
        with pytest.warns(CollapseWarning, match="permuted labels") as caught:
            assert measure(name, X, y) == pytest.approx(0, abs=1e-10)
        assert len(caught) == 1
    assert nc1_trace_ratio(X, y) == 0
    assert fisher_ratio(X, y) == math.inf
    assert math.isfinite(measure("lidar", X, y))
    for name in ("cdnv", "class_separation", "tolerance"):
        with pytest.warns(CollapseWarning, match=f"{name}: classes of a single row"):
            assert math.isnan(measure(name, X, y))
    assert ncm_accuracy(X, y) == 1


# The number of columns is in the definition of the one that is left out.
@pytest.mark.parametrize("name", sorted({*NEED_NO_HEAD} - {"coding_rate_reduction"}))
def test_constant_and_duplicated_columns(name):
    """A constant column adds nothing; a duplicate only what a scaled feature would."""
    X, y = make_rows(COUNTS["imbalanced-3"])
    constant = np.column_stack([X, np.zeros(len(X))])
    assert_allclose(measure(name, constant, y), measure(name, X, y), rtol=1e-9)
    # Some are about the origin.
    if name not in ("gof_off_diagonal", "class_separation", "tolerance"):
        constant = np.column_stack([np.full(len(X), 1e3), X, np.ones(len(X))])
        assert_allclose(measure(name, constant, y), measure(name, X, y), rtol=1e-9)
    twice = np.column_stack([X, X[:, 0]])
    scaled = np.column_stack([math.sqrt(2) * X[:, 0], X[:, 1:]])
    assert_allclose(measure(name, twice, y), measure(name, scaled, y), rtol=1e-9)


@pytest.mark.parametrize("n_extra", [0, 1])
def test_few_rows_warn(n_extra):
    """n <= d + C warns, once; one row more does not."""
    d, n_classes = 6, 3
    rng = np.random.default_rng(0)
    n = d + n_classes + n_extra
    X, y = rng.normal(size=(n, d)), np.arange(n) % n_classes
    for name in ("vci", "nc1_pinv"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            measure(name, X, y)
        assert len(caught) == (1 - n_extra)
        for warning in caught:
            assert issubclass(warning.category, CollapseWarning)
            assert warning.filename == __file__
    others = set(NEED_NO_HEAD) - {"vci", "nc1_pinv"}
    for name in others:
        assert math.isfinite(measure(name, X, y)), name  # and no warning


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_fewer_rows_than_features(library, dtype):
    """Labels of any kind look collapsed: VCI 0.00, and the warning says so."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 50)).astype(dtype)
    y = rng.permutation(np.arange(20) % 4)
    with pytest.warns(CollapseWarning, match="vci reads as collapsed"):
        value = vci(library.asarray(X), y)
    assert 0 <= value < 1e-3
    with pytest.warns(CollapseWarning, match="nc1_pinv reads as collapsed"):
        assert math.isfinite(nc1_pinv(library.asarray(X), y))
    for name in set(NEED_NO_HEAD) - {"vci", "nc1_pinv"}:
        value = measure(name, library.asarray(X), y)
        assert math.isfinite(value), name
        if name == "lidar":
            assert_allclose(value, oracles_collapse.floored_lidar(X, y), rtol=1e-4)
        elif name != "fisher_ratio":
            assert_allclose(value, expected(name, X, y), rtol=1e-9, err_msg=name)


def test_random_labels_and_sample_size():
    """VCI of random labels: 0.48 at n = 2d, 0.95 at n = 20d."""
    rng = np.random.default_rng(0)
    for factor, level in ((2, 0.48), (20, 0.95)):
        X, y = rng.normal(size=(factor * 40, 40)), rng.integers(4, size=factor * 40)
        assert vci(X, y) == pytest.approx(level, abs=0.05)


# -- options --------------------------------------------------------------------------


@pytest.mark.parametrize("power", [2, 4])
def test_cdnv_options(library, power):
    X, y = make_rows(COUNTS["imbalanced-3"])
    truth = oracles.cdnv_grid(X, y, power)
    X = library.asarray(X)
    grid = cdnv(X, y, reduction="grid", power=power)
    assert library.owns(grid)
    assert_allclose(library.to_numpy(grid), truth, rtol=1e-10)
    pairs = oracles.off_diagonal(truth)
    assert_allclose(cdnv(X, y, power=power), pairs.mean(), rtol=1e-10)
    assert_allclose(cdnv(X, y, reduction="max", power=power), pairs.max(), rtol=1e-10)


def test_cdnv_rejects_other_options():
    X, y = make_rows([9, 9])
    with pytest.raises(ValueError, match=r"'mean', 'max' or 'grid', got 'sum'"):
        cdnv(X, y, reduction="sum")
    with pytest.raises(ValueError, match="power must be 2 or 4, got 3"):
        cdnv(X, y, power=3)


def test_self_duality_options(library):
    X, y = make_rows(COUNTS["imbalanced-3"])
    W, b = make_head(X, y)
    W = W + np.array([3.0, 0.0, -1.0, 0.0, 2.0])  # not centred
    head = LinearHead(W, b)
    plain = oracles.nc3_self_duality(X, y, W)
    centred = oracles.nc3_self_duality(X, y, W - W.mean(axis=0))
    assert abs(plain - centred) > 0.1
    X = library.asarray(X)
    assert_allclose(nc3_self_duality(X, y, head), plain, rtol=1e-10)
    assert_allclose(nc3_self_duality(X, y, head, squared=True), plain**2, rtol=1e-10)
    assert_allclose(nc3_self_duality(X, y, head, centered=True), centred, rtol=1e-10)
    both = nc3_self_duality(X, y, head, centered=True, squared=True)
    assert_allclose(both, centred**2, rtol=1e-10)


@pytest.mark.parametrize("name", NEED_NO_HEAD)
def test_class_weight_is_checked(name):
    X, y = make_rows([9, 9])
    with pytest.raises(ValueError, match=r"None or 'balanced', got 'even'"):
        measure(name, X, y, class_weight="even")


# -- labels ---------------------------------------------------------------------------

LABELS = {
    "int": np.array([7, -3, 100]),
    "str": np.array(["dog", "cat", "a longer name"]),
    "float": np.array([2.0, 0.0, 1.0]),
    "objects": np.array([1, "one", (1, 1)], dtype=object),
    "str objects": np.array(["b", "a", "c"], dtype=object),
}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("name", NAMES)
def test_labels_of_any_kind(name, labels):
    X, y = make_rows(COUNTS["imbalanced-3"])
    W, b = make_head(X, y)
    names = LABELS[labels]
    truth = expected(name, X, y, W, b)
    head = LinearHead(W, b, classes=names)
    assert_allclose(measure(name, X, names[y], head), truth, rtol=1e-9)
    assert_allclose(measure(name, X, names[y].tolist(), head), truth, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_boolean_labels(name):
    X, y = make_rows(COUNTS["imbalanced-2"])
    W, b = make_head(X, y)
    head = LinearHead(W, b, classes=[False, True])
    truth = expected(name, X, y, W, b)
    assert_allclose(measure(name, X, y == 1, head), truth, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_mixed_labels_in_a_list_with_zero_weights(name):
    X, y = make_rows(COUNTS["imbalanced-2"])
    W, b = make_head(X, y)
    names = np.array([1, "one"], dtype=object)
    weights = np.ones(len(y))
    weights[:3] = 0
    head = LinearHead(W, b, classes=names)
    found = measure(name, X, names[y].tolist(), head, sample_weight=weights)
    truth = expected(name, X[3:], y[3:], W, b)
    assert_allclose(found, truth, rtol=1e-9, atol=1e-15)


# -- heads ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NEED_HEAD)
def test_rows_of_a_head_are_matched_by_label(library, name):
    X, y = make_rows(COUNTS["imbalanced-3"])
    W, b = make_head(X, y)
    names = np.array(["ant", "bee", "cow"])
    order = [2, 0, 1]
    head = LinearHead(W[order], b[order], classes=names[order])
    found = measure(name, library.asarray(X), names[y], head)
    assert_allclose(found, expected(name, X, y, W, b), rtol=1e-9)


@pytest.mark.parametrize("name", NEED_HEAD)
def test_extra_rows_of_a_head(name):
    """NC3 drops them; a class that wins NC4 without being in the data disagrees."""
    X, y = make_rows(COUNTS["imbalanced-3"])
    W, b = make_head(X, y)
    wide = np.vstack([W, [W[0]]]), np.append(b, b[0] - 0.5)
    if name == "nc4_agreement":
        wide[1][3] = b[0] + 0.5  # always ahead of class 0
        nearest = oracles.nearest_mean(X, oracles.class_moments(X, y)["means"])
        truth = np.mean(np.argmax(X @ wide[0].T + wide[1], axis=1) == nearest)
        assert truth < oracles.nc4_agreement(X, y, W, b)
    else:
        truth = expected(name, X, y, W, b)
    assert_allclose(measure(name, X, y, LinearHead(*wide)), truth, rtol=1e-9)


@pytest.mark.parametrize("name", NEED_HEAD)
def test_binary_head_of_one_row(library, name):
    X, y = make_rows(COUNTS["imbalanced-2"])
    w, b = np.array([[1.0, -2.0, 0.5, 0.0, 1.0]]), np.array([0.3])
    two = np.vstack([-w, w]) / 2, np.array([-b[0], b[0]]) / 2
    found = measure(name, library.asarray(X), y, LinearHead(w, b))
    assert_allclose(found, expected(name, X, y, *two), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("counts", ["imbalanced-2", "imbalanced-3"])
@pytest.mark.parametrize("name", NEED_HEAD)
def test_lda_head(library, name, counts):
    """The linear discriminant of scikit-learn, its rows centred over the classes."""
    X, y = make_rows(COUNTS[counts])
    lda = LinearDiscriminantAnalysis(solver="lsqr").fit(X, y)
    W, b = lda.coef_, lda.intercept_
    if len(W) == 1:
        W, b = np.vstack([-W, W]) / 2, np.append(-b, b) / 2
    W, b = W - W.mean(axis=0), b - b.mean()
    found = measure(name, library.asarray(X), y, "lda")
    assert_allclose(found, expected(name, X, y, W, b), rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize("counts", ["imbalanced-2", "imbalanced-3"])
@pytest.mark.parametrize("name", NEED_HEAD)
def test_classifier_as_head(library, name, counts):
    """Unfitted it is cloned and fitted on the same rows, frozen it is taken as is."""
    X, y = make_rows(COUNTS[counts])
    fitted = LogisticRegression().fit(X, y)
    W, b = fitted.coef_, fitted.intercept_
    if len(W) == 1:
        W, b = np.vstack([-W, W]) / 2, np.append(-b, b) / 2
    truth = expected(name, X, y, W, b)
    unfitted = LogisticRegression()
    found = measure(name, library.asarray(X), library.asarray(y), unfitted)
    assert_allclose(found, truth, rtol=1e-9, atol=1e-15)
    assert not hasattr(unfitted, "coef_")
    found = measure(name, library.asarray(X), y, FrozenEstimator(fitted))
    assert_allclose(found, truth, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("frozen", [False, True])
def test_head_without_weights(library, frozen):
    """Only decisions are asked of it by NC4; NC3 says that it has no weights."""
    X, y = make_rows(COUNTS["imbalanced-3"])
    names = np.array(["ant", "bee", "cow"])[y]
    head = KNeighborsClassifier().fit(X, names)
    m = oracles.class_moments(X, names)
    nearest = m["classes"][oracles.nearest_mean(X, m["means"])]
    truth = np.mean(head.predict(X) == nearest)
    head = FrozenEstimator(head) if frozen else KNeighborsClassifier()
    X = library.asarray(X)
    assert nc4_agreement(X, names, head) == pytest.approx(truth, rel=1e-12)
    for name in set(NEED_HEAD) - {"nc4_agreement"}:
        with pytest.raises(ValueError, match="has no coef_"):
            measure(name, X, names, head)


@pytest.mark.parametrize("n_classes", [3, 4])
def test_head_whose_weights_are_not_those_of_classes(n_classes):
    """A one-versus-one machine has one row per pair: three classes, three pairs."""
    X, y = make_rows([20] * n_classes)
    head = SVC(kernel="linear").fit(X, y)
    nearest = oracles.nearest_mean(X, oracles.class_moments(X, y)["means"])
    truth = np.mean(head.predict(X) == nearest)
    assert nc4_agreement(X, y, FrozenEstimator(head)) == pytest.approx(truth)
    with pytest.raises(ValueError, match="coef_"):
        nc3_self_duality(X, y, FrozenEstimator(head))


@pytest.mark.parametrize("name", NEED_HEAD)
def test_heads_that_do_not_fit(name):
    X, y = make_rows([9, 9, 9])
    with pytest.raises(ValueError, match=r"lacks the classes \[2\] of the data"):
        measure(name, X, y, LinearHead(np.ones((2, 5))))
    with pytest.raises(ValueError, match=r"shape \(3, 4\), but X has 5 features"):
        measure(name, X, y, LinearHead(np.ones((3, 4))))
    with pytest.raises(ValueError, match="head is None"):
        measure(name, X, y, None)
    with pytest.raises(ValueError, match="'lda' or a classifier, got 'qda'"):
        measure(name, X, y, "qda")
    with pytest.raises(TypeError, match=r"Wrap weights as LinearHead"):
        measure(name, X, y, np.ones((3, 5)))


def test_zero_weights_of_a_head():
    X, y = make_rows([9, 9, 9])
    head = LinearHead(np.zeros((3, 5)))
    assert math.isnan(nc3_self_duality(X, y, head))
    assert math.isnan(nc3_product(X, y, head))
    assert math.isnan(nc3_uniform_duality(X, y, head))


# -- bad input ------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_bad_input(library, name):
    X, y = make_rows([9, 9])
    head = LinearHead(np.ones((2, 5)))
    rows = library.asarray(X)
    with pytest.raises(ValueError, match="requires y to be passed"):
        measure(name, rows, None, head)
    with pytest.raises(ValueError, match="X has 18 rows, y has 17"):
        measure(name, rows, y[:-1], head)
    with pytest.raises(ValueError, match="at least two classes"):
        measure(name, rows, np.zeros(18, dtype=int), head)
    with pytest.raises(ValueError, match="continuous"):
        measure(name, rows, y + 0.5, head)
    with pytest.raises(ValueError, match="Expected 2D array, got 1D"):
        measure(name, rows[:, 0], y, head)
    with pytest.raises(ValueError, match="one-dimensional"):
        measure(name, rows, y, head, sample_weight=np.ones((18, 2)))
    weights = np.where(np.arange(18) == 3, -1.0, 1.0)
    with pytest.raises(ValueError, match=r"not negative, got -1\.0 in row 3"):
        measure(name, rows, y, head, sample_weight=weights)
    for value in (np.nan, np.inf):
        bad = X.copy()
        bad[11, 2] = value
        with pytest.raises(ValueError, match="first in row 11, column 2"):
            measure(name, library.asarray(bad), y, head)


def test_nonfinite_row_is_named_by_its_place_in_the_input():
    """Rows of weight zero before it are counted, too."""
    X, y = make_rows([9, 9])
    X[11, 2] = np.nan
    weights = np.ones(18)
    weights[[0, 4]] = 0
    with pytest.raises(ValueError, match="first in row 11, column 2"):
        nc1_pinv(X, y, sample_weight=weights)


def test_nonfinite_row_of_weight_zero_does_not_exist():
    X, y = make_rows([9, 9])
    W, b = make_head(X, y)
    weights = np.ones(18)
    weights[4] = 0
    bad = np.where(np.arange(18)[:, None] == 4, np.nan, X)
    for name in NAMES:
        found = measure(name, bad, y, LinearHead(W, b), sample_weight=weights)
        truth = measure(name, X, y, LinearHead(W, b), sample_weight=weights)
        assert found == truth, name


@pytest.mark.parametrize("name", NAMES)
def test_input_is_not_written_to(name):
    X, y = make_rows([9, 9])
    head = LinearHead(*make_head(X, y))
    before = X.copy()
    X.flags.writeable = False
    measure(name, X, y, head, class_weight="balanced", sample_weight=np.ones(18))
    assert np.array_equal(X, before)
