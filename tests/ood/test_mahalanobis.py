"""Tests of the Mahalanobis detector against its formula, and on degenerate data."""

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import covariance as sklearn_covariance
from sklearn.metrics import roc_auc_score

from sklearn_collapse import ClassMoments
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.metrics import fpr_at_tpr, ood_table
from sklearn_collapse.ood import MahalanobisDetector

VARIANTS = {
    "tied": {},
    "relative": {"relative": True},
    "normalize": {"normalize": True},
    "both": {"relative": True, "normalize": True},
}
SHRINKAGES = (None, 0.0, 0.3, 1.0, "oas", "ledoit_wolf")

variants = pytest.mark.parametrize("variant", VARIANTS)


def make_data(seed=0, n=90, d=5, n_new=40):
    """Correlated features of three classes of different sizes, about an offset."""
    rng = np.random.default_rng(seed)
    y = np.repeat([2, 0, 7], [n // 2, n // 3, n - n // 2 - n // 3])[rng.permutation(n)]
    mix = rng.normal(size=(d, d))
    X = rng.normal(size=(n, d)) @ mix + 2.0 + y[:, None] * np.linspace(-1, 1, d)
    return X, y, 3 * rng.normal(size=(n_new, d)) + 1.0


def precision_of(shrinkage):
    """How to invert: scikit-learn's shrinkage, on rows about their class means."""
    estimate = {
        "oas": sklearn_covariance.oas,
        "ledoit_wolf": sklearn_covariance.ledoit_wolf,
    }

    def precision(rows):
        if shrinkage in estimate:
            return np.linalg.inv(estimate[shrinkage](rows, assume_centered=True)[0])
        shrunk = oracles.shrunk(rows.T @ rows / len(rows), shrinkage or 0.0)
        return np.linalg.inv(shrunk)

    return precision


def unit(X):
    return np.array([x / np.sqrt(x @ x) for x in X])


def assert_scores(scores, expected, rtol, scale=None):
    """Compare scores; `scale` is the size of the distances they are taken from."""
    scale = np.abs(expected) if scale is None else scale
    excess = np.abs(np.asarray(scores, dtype=float) - expected) - rtol * scale
    assert np.isfinite(excess).all()
    assert excess.max() <= 1e-12


def auroc(detector, inside, outside):
    return oracles.auroc(
        np.asarray(detector.score_samples(inside)).tolist(),
        np.asarray(detector.score_samples(outside)).tolist(),
    )


# -- the formula -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shrinkage", SHRINKAGES)
@variants
def test_scores(library, variant, shrinkage, dtype):
    options = VARIANTS[variant]
    X, y, X_new = (v.astype(dtype) if v.ndim > 1 else v for v in make_data())
    expected = oracles.mahalanobis_by(precision_of(shrinkage), X, y, X_new, **options)
    plain = {**options, "relative": False}
    distance = oracles.mahalanobis_by(precision_of(shrinkage), X, y, X_new, **plain)

    detector = MahalanobisDetector(shrinkage=shrinkage, **options)
    detector.fit(library.asarray(X), library.asarray(y))
    scores = detector.score_samples(library.asarray(X_new))

    assert library.owns(scores)
    assert library.owns(detector.means_)
    scores = library.to_numpy(scores)
    assert scores.dtype == dtype
    rtol = {"float64": 1e-9, "float32": 2e-5}[dtype]
    assert_scores(scores, expected, rtol, scale=np.abs(distance))


@pytest.mark.parametrize("floor", [1.0, 0.3, 0.05, 1e-3])
@variants
def test_positive_floor(library, variant, floor):
    """All eigenvalues are raised to a share of the largest."""
    options = VARIANTS[variant]
    X, y, X_new = make_data(1)
    expected = oracles.mahalanobis_by(
        lambda rows: oracles.floored_precision(rows, floor), X, y, X_new, **options
    )
    detector = MahalanobisDetector(floor=floor, **options)
    detector.fit(library.asarray(X), library.asarray(y))
    scores = library.to_numpy(detector.score_samples(library.asarray(X_new)))
    assert_allclose(scores, expected, rtol=1e-8, atol=1e-8)

    rows = unit(X) if detector.normalize else X
    within = oracles.class_moments(rows, y)["scatter"] / len(X)
    assert detector.floor_ == pytest.approx(floor * np.linalg.eigvalsh(within).max())


@variants
def test_floor_zero_is_the_pseudo_inverse(library, variant):
    options = VARIANTS[variant]
    X, y, X_new = make_data(2)
    X[:, 3] = X[:, 1] - 2 * X[:, 0]  # rank 4
    expected = oracles.mahalanobis_by(
        lambda rows: oracles.floored_precision(rows, 0), X, y, X_new, **options
    )
    detector = MahalanobisDetector(floor=0, **options)
    detector.fit(library.asarray(X), library.asarray(y))
    scores = library.to_numpy(detector.score_samples(library.asarray(X_new)))
    assert_allclose(scores, expected, rtol=1e-7, atol=1e-7)
    assert detector.floor_ == 0
    assert detector.rank_ == 4


@pytest.mark.parametrize("shrinkage", [None, "oas", "ledoit_wolf"])
@pytest.mark.parametrize("relative", [False, True])
def test_one_class(library, relative, shrinkage):
    """Relative has no effect: the score would be constant."""
    X, _, X_new = make_data(3)
    expected = oracles.mahalanobis_by(precision_of(shrinkage), X, None, X_new)
    detector = MahalanobisDetector(relative=relative, shrinkage=shrinkage)
    for y in (None, np.zeros(len(X), dtype=int)):
        detector.fit(library.asarray(X), y)
        scores = library.to_numpy(detector.score_samples(library.asarray(X_new)))
        assert_allclose(scores, expected, rtol=1e-9)


@pytest.mark.parametrize("shrinkage", SHRINKAGES)
@variants
def test_weights_are_repetitions(library, variant, shrinkage):
    options = VARIANTS[variant]
    X, y, X_new = make_data(4)
    weights = np.random.default_rng(4).integers(0, 4, size=len(X))
    repeated = np.repeat(np.arange(len(X)), weights)
    expected = oracles.mahalanobis_by(
        precision_of(shrinkage), X[repeated], y[repeated], X_new, **options
    )
    detector = MahalanobisDetector(shrinkage=shrinkage, **options)
    detector.fit(library.asarray(X), y, library.asarray(weights, dtype=float))
    scores = library.to_numpy(detector.score_samples(library.asarray(X_new)))
    assert_allclose(scores, expected, rtol=1e-8, atol=1e-8)

    copies = MahalanobisDetector(shrinkage=shrinkage, **options)
    copies.fit(library.asarray(X[repeated]), y[repeated])
    assert detector.offset_ == pytest.approx(copies.offset_, rel=1e-9)


@pytest.mark.parametrize("shrinkage", ["oas", "ledoit_wolf"])
def test_shrinkage_is_that_of_scikit_learn(library, shrinkage):
    X, y, _ = make_data(5, n=30, d=8)
    rows = np.array([x - X[y == c].mean(axis=0) for x, c in zip(X, y, strict=True)])
    function = getattr(sklearn_covariance, shrinkage)
    expected, intensity = function(rows, assume_centered=True)
    detector = MahalanobisDetector(shrinkage=shrinkage).fit(library.asarray(X), y)
    assert 0.01 < intensity < 0.99
    assert detector.shrinkage_ == pytest.approx(intensity, rel=1e-9)
    covariance = library.to_numpy(detector.covariance_)
    assert_allclose(covariance, expected, rtol=1e-9, atol=1e-12)


def test_attributes(library):
    X, y, _ = make_data(6)
    detector = MahalanobisDetector(shrinkage=0.25)
    detector.fit(library.asarray(X), library.asarray(y))
    m = oracles.class_moments(X, y)
    assert_array_equal(detector.classes_, [0, 2, 7])
    assert isinstance(detector.classes_, np.ndarray)
    assert_allclose(library.to_numpy(detector.means_), m["means"], rtol=1e-12)
    covariance = oracles.shrunk(m["scatter"] / len(X), 0.25)
    assert_allclose(library.to_numpy(detector.covariance_), covariance, rtol=1e-9)
    assert library.owns(detector.covariance_)
    assert detector.shrinkage_ == 0.25
    assert detector.rank_ == 5
    assert detector.n_features_in_ == 5
    assert detector.device_ == "cpu"
    assert isinstance(detector.moments_, ClassMoments)
    assert isinstance(detector.offset_, float)
    assert not hasattr(MahalanobisDetector().fit(library.asarray(X)), "classes_")


@pytest.mark.parametrize(
    ("given", "expected"),
    [("float16", "float32"), ("int64", "float64"), ("int8", "float64")],
)
def test_dtype_of_scores(given, expected):
    X, y, X_new = make_data(7)
    X, X_new = (np.round(4 * v).astype(given) for v in (X, X_new))
    scores = MahalanobisDetector().fit(X, y).score_samples(X_new)
    assert scores.dtype == expected
    assert_allclose(scores, oracles.mahalanobis(X, y, X_new), rtol=2e-5)


@pytest.mark.parametrize("normalize", [False, True])
def test_float16_whose_sums_overflow(normalize):
    """Half precision holds numbers up to 65504, and so far more features."""
    X, y, X_new = make_data(7)
    X, X_new = ((500 * np.round(4 * v)).astype("float16") for v in (X, X_new))
    with np.errstate(over="ignore"):
        assert not np.isfinite(X.sum())
    scores = MahalanobisDetector(normalize=normalize).fit(X, y).score_samples(X_new)
    expected = oracles.mahalanobis(X, y, X_new, normalize=normalize)
    assert_allclose(scores, expected, rtol=2e-5)


def test_torch_bfloat16():
    torch = pytest.importorskip("torch")
    X, y, X_new = make_data(7)
    X, X_new = (torch.asarray(v).to(torch.bfloat16) for v in (X, X_new))
    scores = MahalanobisDetector().fit(X, y).score_samples(X_new)
    assert scores.dtype == torch.float32
    expected = oracles.mahalanobis(X.float().numpy(), y, X_new.float().numpy())
    assert_allclose(scores.numpy(), expected, rtol=2e-5)


@pytest.mark.parametrize("labels", ["strings", "mixed", "tuples", "booleans"])
def test_labels_of_any_kind(labels):
    """Only which rows belong together matters."""
    X, _, X_new = make_data(8)
    codes = np.arange(len(X)) % (2 if labels == "booleans" else 3)
    names = {
        "strings": ["cat", "dog", "ox"],
        "mixed": ["cat", 3, 2.5],
        "tuples": [("a", 1), ("a", 2), ("b", 1)],
        "booleans": [True, False],
    }[labels]
    detector = MahalanobisDetector().fit(X, [names[k] for k in codes])
    assert set(detector.classes_.tolist()) == set(names)
    expected = oracles.mahalanobis(X, codes, X_new)
    assert_allclose(detector.score_samples(X_new), expected, rtol=1e-9)


# -- real features ---------------------------------------------------------------


@pytest.fixture(scope="module")
def bunch():
    return load_cifar8_features()


@variants
def test_bundled_features(bunch, variant):
    """Areas and false positive rates equal those of the slow formula."""
    options = VARIANTS[variant]
    detector = MahalanobisDetector(**options).fit(bunch.data, bunch.target)
    table = ood_table({variant: detector}, bunch.X_test, bunch.ood)
    assert [row["set"] for row in table] == list(bunch.ood)
    rows = np.vstack([bunch.X_test, *bunch.ood.values()])
    expected = oracles.mahalanobis(bunch.data, bunch.target, rows, **options)
    inside = expected[: len(bunch.X_test)]
    outside = np.split(expected[len(inside) :], len(bunch.ood))
    for row, scores in zip(table, outside, strict=True):
        # In float32 a few of a million pairs change places.
        assert row["auroc"] == pytest.approx(oracles.auroc(inside, scores), abs=1e-5)
        one = 1 / len(scores) + 1e-12
        rate = oracles.fpr_at_tpr(inside, scores)
        assert row["fpr95_id"] == pytest.approx(rate, abs=one)
        rate = oracles.fpr_at_tpr(-scores, -inside)
        assert row["fpr95_ood"] == pytest.approx(rate, abs=1 / len(inside) + 1e-12)

    # In float64 none does.
    detector.fit(bunch.data.astype(float), bunch.target)
    scores = detector.score_samples(rows.astype(float))
    assert_allclose(scores, expected, rtol=1e-6, atol=1e-6)
    for k, part in enumerate(np.split(scores[len(inside) :], len(bunch.ood))):
        y_true = np.repeat([1, 0], [len(inside), len(part)])
        y_score = np.concatenate([scores[: len(inside)], part])
        area = oracles.auroc(inside, outside[k])
        assert roc_auc_score(y_true, y_score) == pytest.approx(area, abs=1e-6)
        rates = oracles.fpr_at_tpr(inside, outside[k])
        assert fpr_at_tpr(y_true, y_score) == pytest.approx(rates, abs=1e-12)
        rates = oracles.fpr_at_tpr(-outside[k], -inside)
        got = fpr_at_tpr(y_true, y_score, positive="ood")
        assert got == pytest.approx(rates, abs=1e-12)


@pytest.mark.parametrize("shrinkage", ["oas", "ledoit_wolf"])
def test_bundled_features_with_shrinkage(bunch, shrinkage):
    X, y = bunch.data[::4], bunch.target[::4]
    rows = bunch.X_test[::4]
    detector = MahalanobisDetector(shrinkage=shrinkage).fit(X, y)
    expected = oracles.mahalanobis_by(precision_of(shrinkage), X, y, rows)
    assert_allclose(detector.score_samples(rows), expected, rtol=1e-4)


# -- directions that never vary in training --------------------------------------


def dead_unit_data(dtype="float64", within=1.0, seed=0):
    """Unit 3 is off in training; the outliers differ only by lighting it."""
    rng = np.random.default_rng(seed)
    y = np.arange(300) % 3
    means = 3 * rng.normal(size=(3, 8))
    sizes = (300, 90, 90)
    X, inside, outside = (
        within * rng.normal(size=(n, 8)) + means[np.arange(n) % 3] for n in sizes
    )
    X[:, 3] = inside[:, 3] = 0
    outside[:, 3] = 5 + np.abs(outside[:, 3])
    return *(v.astype(dtype) for v in (X, inside, outside)), y


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("within", [1.0, 1e-2, 1e-5])
@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_dead_unit_is_seen(library, dtype, within, relative, normalize):
    X, inside, outside, y = dead_unit_data(dtype, within)
    detector = MahalanobisDetector(relative=relative, normalize=normalize)
    detector.fit(library.asarray(X), y)
    assert auroc(detector, library.asarray(inside), library.asarray(outside)) == 1
    scores = library.to_numpy(detector.score_samples(library.asarray(outside)))
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shrinkage", [0.1, "oas", "ledoit_wolf"])
@pytest.mark.parametrize("relative", [False, True])
def test_dead_unit_is_seen_with_shrinkage(dtype, shrinkage, relative):
    X, inside, outside, y = dead_unit_data(dtype, 0.3)
    for floor in ("auto", 0):  # shrinkage leaves nothing to floor
        detector = MahalanobisDetector(
            shrinkage=shrinkage, relative=relative, floor=floor
        )
        assert auroc(detector.fit(X, y), inside, outside) == 1


@pytest.mark.parametrize("relative", [False, True])
def test_dead_unit_and_one_row_per_class(relative):
    """Nothing varies within classes: the floors must still differ."""
    X, inside, outside, _ = dead_unit_data(within=1e-3)
    detector = MahalanobisDetector(relative=relative).fit(X[:6], np.arange(6))
    assert detector.rank_ == 0
    assert auroc(detector, X[:6], outside) == 1
    assert auroc(detector, inside, outside) == 1


def test_pseudo_inverse_is_blind():
    """Why it is not the default."""
    X, inside, outside, y = dead_unit_data()
    detector = MahalanobisDetector(floor=0).fit(X, y)
    assert auroc(detector, inside, outside) == pytest.approx(0.5, abs=0.12)
    # The unit has no say at all.
    dark = outside.copy()
    dark[:, 3] = 0
    assert_allclose(detector.score_samples(outside), detector.score_samples(dark))


def test_positive_floor_sees_a_dead_unit():
    X, inside, outside, y = dead_unit_data()
    for relative in (False, True):
        detector = MahalanobisDetector(floor=1e-3, relative=relative).fit(X, y)
        # In relative scores a floor relative to each matrix leaves the difference.
        assert auroc(detector, inside, outside) > 0.95


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("relative", [False, True])
def test_duplicated_columns(library, relative, dtype):
    """Rows that break the equality are out; copies change no other score."""
    X, y, X_new = (v.astype(dtype) if v.ndim > 1 else v for v in make_data(9))
    twice, broken = np.hstack([X, X[:, :2]]), np.hstack([X_new, X_new[:, 2:4]])
    detector = MahalanobisDetector(relative=relative)
    detector.fit(library.asarray(twice), y)
    assert detector.rank_ == 5
    kept = library.asarray(np.hstack([X_new, X_new[:, :2]]))
    assert auroc(detector, kept, library.asarray(broken)) == 1
    scores = library.to_numpy(detector.score_samples(kept))
    # [x, x] is an invertible map of x onto the subspace that was seen.
    expected = oracles.mahalanobis(X, y, X_new, relative=relative)
    plain = oracles.mahalanobis(X, y, X_new)
    # float32 sums of equal columns cancel up to rounding, which the floor amplifies.
    rtol = {"float64": 1e-6, "float32": 1e-3}[dtype]
    assert_scores(scores, expected, rtol, scale=np.abs(plain))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_constant_columns(library, dtype):
    """They say nothing as long as they stay constant, whatever their value."""
    X, y, X_new = make_data(10)
    X, X_new = (
        np.insert(v, [0, 3], [1e3, 0.1], axis=1).astype(dtype) for v in (X, X_new)
    )
    expected = oracles.mahalanobis(X[:, [1, 2, 3, 5, 6]], y, X_new[:, [1, 2, 3, 5, 6]])
    detector = MahalanobisDetector().fit(library.asarray(X), y)
    scores = library.to_numpy(detector.score_samples(library.asarray(X_new)))
    assert detector.rank_ == 5
    assert_allclose(scores, expected, rtol=1e-5)
    moved = X_new.copy()
    moved[:, 4] = 0.2
    assert auroc(detector, library.asarray(X_new), library.asarray(moved)) == 1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("relative", [False, True])
def test_fewer_rows_than_features(dtype, labelled, relative, rng):
    """What leaves the span of the training rows is out."""
    d = 40
    X, new = (rng.normal(size=(n, d)).astype(dtype) for n in (12, 30))
    y = np.arange(12) % 3 if labelled else None
    detector = MahalanobisDetector(relative=relative).fit(X, y)
    assert detector.rank_ == (9 if labelled else 11)
    mixing = rng.dirichlet(np.ones(4), size=30)
    inside = (mixing @ X.astype(float)[::3]).astype(dtype)  # of one class
    assert auroc(detector, inside, new) == 1
    for rows in (X, inside, new):
        assert np.isfinite(detector.score_samples(rows)).all()

    blind = MahalanobisDetector(floor=0).fit(X, y)
    expected = oracles.mahalanobis_by(
        lambda rows: oracles.floored_precision(rows, 0), X, y, new
    )
    rtol = {"float64": 1e-8, "float32": 1e-4}[dtype]
    assert_allclose(blind.score_samples(new), expected, rtol=rtol)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("shrinkage", [None, 0.5, "oas", "ledoit_wolf"])
def test_one_row_per_class(library, relative, shrinkage):
    """No scatter within classes: a floor in all directions, finite scores."""
    X, _, X_new = make_data(11)
    X = X[:7]
    detector = MahalanobisDetector(relative=relative, shrinkage=shrinkage)
    detector.fit(library.asarray(X), np.arange(7))
    assert detector.rank_ == 0
    assert detector.floor_ > 0
    scores = library.to_numpy(detector.score_samples(library.asarray(X_new)))
    own = library.to_numpy(detector.score_samples(library.asarray(X)))
    assert np.isfinite(scores).all()
    assert own.min() > scores.max()
    nearest = [min(((x - row) ** 2).sum() for row in X) for x in X_new]
    if not relative:
        assert_array_equal(own, 0)
        assert_allclose(scores, -np.array(nearest) / detector.floor_, rtol=1e-9)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("relative", [False, True])
def test_identical_rows(library, relative, value):
    """Nothing varies: Euclidean distances in units of what rounding may have hidden."""
    X = np.tile([1.5 * value, -2.0 * value, 0.25 * value], (6, 1))
    X_new = X[:3] + np.array([[0, 0, 0], [0, 2, 0], [1, 1, 1]])
    detector = MahalanobisDetector(relative=relative).fit(library.asarray(X))
    scores = library.to_numpy(detector.score_samples(library.asarray(X_new)))
    assert_allclose(scores, np.array([0, -4, -3]) / detector.floor_, rtol=1e-9)
    assert_array_equal(library.to_numpy(detector.predict(library.asarray(X))), 1)
    if value == 0:
        assert detector.floor_ == 1  # not even rounding gives a scale
    detector.fit(library.asarray(X), np.arange(6) % 2)
    scores = library.to_numpy(detector.score_samples(library.asarray(X_new)))
    assert np.isfinite(scores).all()
    assert scores[0] > scores[1:].max()


# -- precision -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("within", "between", "offset"),
    [
        *((1.0, 1.0, 0.0), (1e-3, 1.0, 0.0), (1e-5, 1.0, 0.0)),
        *((1e-5, 1.0, 1.0), (1.0, 1.0, 1e4), (1e-2, 1e3, 1e4)),
    ],
)
@pytest.mark.parametrize("relative", [False, True])
def test_collapsed_float32(library, within, between, offset, relative):
    """Against float64 on the same rounded values."""
    rng = np.random.default_rng(12)
    n, d, n_classes = 400, 12, 6
    means = offset + between * rng.normal(size=(n_classes, d))
    spread = np.linspace(0.5, 2, d)
    y = rng.integers(n_classes, size=n)
    X = (means[y] + within * spread * rng.normal(size=(n, d))).astype(np.float32)
    new = means[y[:60]] + 3 * within * spread * rng.normal(size=(60, d))
    far = offset + 2 * between * rng.normal(size=(60, d))
    new = np.vstack([new, far]).astype(np.float32)

    expected = oracles.mahalanobis(X, y, new, relative=relative)
    plain = oracles.mahalanobis(X, y, new)
    detector = MahalanobisDetector(relative=relative)
    detector.fit(library.asarray(X), library.asarray(y))
    scores = library.to_numpy(detector.score_samples(library.asarray(new)))
    assert scores.dtype == np.float32
    # A relative score is a difference: it cannot be closer than its larger part.
    scale = np.maximum(np.abs(expected), np.abs(expected - plain))
    assert_scores(scores, expected, 1e-3, scale=scale)
    if not relative:
        assert scores.max() <= 0


def test_nearest_of_two_close_classes(library):
    """Twins 3 apart among classes 1e5 apart: float32 products cannot tell them."""
    rng = np.random.default_rng(13)
    d = 8
    means = np.vstack([1e5 * np.eye(d), 1e5 * np.eye(d)[:2] + 3 * np.eye(d)[2:4]])
    y = np.arange(600) % len(means)
    X = (means[y] + rng.normal(size=(600, d))).astype(np.float32)
    new = means[y[:200]] + rng.normal(size=(200, d))
    new = new.astype(np.float32)
    detector = MahalanobisDetector().fit(library.asarray(X), y)
    scores = library.to_numpy(detector.score_samples(library.asarray(new)))
    assert_scores(scores, oracles.mahalanobis(X, y, new), 1e-3)


@variants
def test_wide_spectrum_in_float32(library, variant):
    """Variances from 1 to 1e-8: rows are worked on in float64."""
    options = VARIANTS[variant]
    rng = np.random.default_rng(14)
    d = 9
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
    mix = np.sqrt(np.logspace(0, -8, d))[:, None] * rotation
    y = np.arange(400) % 2
    X = (rng.normal(size=(400, d)) @ mix + y[:, None]).astype(np.float32)
    new = (2 * rng.normal(size=(50, d)) @ mix + 0.5).astype(np.float32)
    detector = MahalanobisDetector(**options).fit(library.asarray(X), y)
    scores = library.to_numpy(detector.score_samples(library.asarray(new)))
    expected = oracles.mahalanobis(X, y, new, **options)
    plain = oracles.mahalanobis(X, y, new, normalize=options.get("normalize", False))
    assert_scores(scores, expected, 1e-3, scale=np.abs(plain))
    if "relative" not in options:
        assert scores.max() <= 0


def test_scores_are_never_positive(rng):
    """Not on the training means either, nor on noise of any spectrum."""
    for scale in (1.0, 1e-4, 1e-9):
        X = rng.normal(size=(200, 10)) * np.logspace(0, np.log10(scale), 10)
        y = np.arange(200) % 4
        for dtype in (np.float32, np.float64):
            detector = MahalanobisDetector().fit(X.astype(dtype), y)
            rows = np.vstack([X, detector.means_]).astype(dtype)
            scores = detector.score_samples(rows)
            assert scores.max() <= 0
            assert scores[-4:].min() > scores[:-4].max()


# -- what must not matter --------------------------------------------------------


@pytest.mark.parametrize("factor", [1e-6, 1e6])
@pytest.mark.parametrize("case", ["full", "dead", "wide", "short"])
@pytest.mark.parametrize("relative", [False, True])
def test_scale(library, factor, case, relative):
    """No absolute number acts: rank and ranking stay as they are."""
    X, y, X_new = make_data(15, d=30 if case == "short" else 6)
    if case == "dead":
        X[:, 3] = 0
        X_new[::2, 3] = 0
    if case == "short":
        X, y = X[:20], y[:20]
    reference = MahalanobisDetector(relative=relative).fit(library.asarray(X), y)
    scaled = MahalanobisDetector(relative=relative).fit(library.asarray(factor * X), y)
    assert scaled.rank_ == reference.rank_
    a = library.to_numpy(reference.score_samples(library.asarray(X_new)))
    b = library.to_numpy(scaled.score_samples(library.asarray(factor * X_new)))
    assert_array_equal(np.argsort(a), np.argsort(b))
    assert_allclose(b, a, rtol=1e-6)


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**20])
@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("within", [1.0, 1e-4])
def test_scale_in_float32(factor, relative, within):
    """Powers of two round nothing, so the scores themselves stay as they are."""
    X, inside, outside, y = dead_unit_data("float32", within)
    rows = np.vstack([inside, outside])
    factor = np.float32(factor)
    reference = MahalanobisDetector(relative=relative).fit(X, y)
    scaled = MahalanobisDetector(relative=relative).fit(factor * X, y)
    assert scaled.rank_ == reference.rank_ == 7
    expected = reference.score_samples(rows)
    assert_allclose(scaled.score_samples(factor * rows), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@variants
def test_batches_do_not_matter(library, variant, dtype):
    """A row scores alone what it scores among others."""
    X, y, X_new = (v.astype(dtype) if v.ndim > 1 else v for v in make_data(16))
    detector = MahalanobisDetector(**VARIANTS[variant]).fit(library.asarray(X), y)
    together = library.to_numpy(detector.score_samples(library.asarray(X_new)))
    alone = [
        library.to_numpy(detector.score_samples(library.asarray(X_new[k : k + 1])))[0]
        for k in range(len(X_new))
    ]
    rtol = {"float64": 1e-12, "float32": 1e-5}[dtype]
    assert_allclose(together, alone, rtol=rtol, atol=10 * rtol)


def test_many_blocks(rng):
    """More rows than a block holds, in one call and in pieces."""
    X = rng.normal(size=(40_000, 3)).astype(np.float32)
    y = np.arange(len(X)) % 5
    detector = MahalanobisDetector(relative=True).fit(X + y[:, None], y)
    whole = detector.score_samples(X)
    pieces = [detector.score_samples(part) for part in np.array_split(X, 7)]
    assert_allclose(whole, np.concatenate(pieces), rtol=1e-5, atol=1e-5)
    some = rng.choice(len(X), size=50, replace=False)
    double = MahalanobisDetector(relative=True).fit((X + y[:, None]).astype(float), y)
    assert_allclose(whole[some], double.score_samples(X[some].astype(float)), rtol=1e-4)


def test_fortran_order_and_strides(library):
    X, y, X_new = make_data(17)
    reference = MahalanobisDetector().fit(X, y).score_samples(X_new)
    strided = np.empty((2 * len(X), 10))[::2, ::2]
    strided[...] = X
    for rows in (np.asfortranarray(X), strided):
        detector = MahalanobisDetector().fit(library.asarray(rows), y)
        scores = detector.score_samples(library.asarray(np.asfortranarray(X_new)))
        assert_allclose(library.to_numpy(scores), reference, rtol=1e-10)


def test_zero_rows_with_normalize(library):
    """A row of zeros has no direction: it stays where it is."""
    X, y, X_new = make_data(18)
    X[4] = X_new[2] = 0
    units = X / np.maximum(np.linalg.norm(X, axis=1), 1e-300)[:, None]
    new = X_new / np.maximum(np.linalg.norm(X_new, axis=1), 1e-300)[:, None]
    detector = MahalanobisDetector(normalize=True).fit(library.asarray(X), y)
    scores = library.to_numpy(detector.score_samples(library.asarray(X_new)))
    assert_allclose(scores, oracles.mahalanobis(units, y, new), rtol=1e-8)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_whose_distance_overflows(dtype, relative):
    """Refused by name, as in fit; never nan and never a warning."""
    X, y, _ = make_data(19)
    X = X.astype(dtype)
    detector = MahalanobisDetector(relative=relative).fit(X, y)
    huge = X.copy()
    huge[3] *= {"float64": 1e200, "float32": 1e30}[dtype]
    with pytest.raises(ValueError, match=r"large|overflow"):
        detector.score_samples(huge)
