"""Tests of CompatibilityScorer and compatibility_metrics."""

import math
import pickle

import numpy as np
import oracles_compatibility as oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from sklearn_collapse.datasets import load_cifar8_trajectory
from sklearn_collapse.etf import CompatibilityScorer, compatibility_metrics
from sklearn_collapse.metrics import thornton_index
from sklearn_collapse.utils import move_estimator

MEASURES = ["nearest_neighbor", "class_mean"]
METRICS = ["cosine", "euclidean"]
every_measure = pytest.mark.parametrize("measure", MEASURES)
every_metric = pytest.mark.parametrize("metric", METRICS)


def checkpoints(n=60, d=5, n_models=3, n_classes=4, noise=0.8, seed=0):
    """Features that move from one model to the next, of overlapping classes."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % n_classes)
    X = rng.normal(size=(n_classes, d))[y] + noise * rng.normal(size=(n, d))
    models = [X]
    for _ in range(n_models - 1):
        models.append(models[-1] + 0.6 * rng.normal(size=(n, d)))
    return models, y


def fitted(models, y, measure, **options):
    return CompatibilityScorer.from_models(models, y, measure=measure, **options)


# -- the matrix ----------------------------------------------------------------------


@every_measure
@every_metric
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_matrix(library, measure, metric, dtype):
    models, y = checkpoints()
    models = [X.astype(dtype) for X in models]
    expected = oracles.matrix(models, y, measure, metric)
    scorer = CompatibilityScorer(measure, metric=metric)
    assert scorer.fit(library.asarray(models[0]), library.asarray(y)) is scorer
    for X in models[1:]:
        assert scorer.add_model(library.asarray(X)) is scorer
    assert library.owns(scorer.matrix_)
    assert_allclose(library.to_numpy(scorer.matrix_), expected, rtol=1e-12)
    assert len(np.unique(expected[np.tril_indices(3)])) > 2
    found = scorer.metrics_
    assert found.keys() == oracles.compatibility(expected).keys()
    for name, value in oracles.compatibility(expected).items():
        assert type(found[name]) is float
        assert_allclose(found[name], value, rtol=1e-12, atol=1e-15)
    assert scorer.n_models_ == 3
    assert scorer.device_ == "cpu"
    assert_array_equal(scorer.classes_, range(4))


@every_measure
@every_metric
def test_integers_with_equal_rows_and_ties(library, measure, metric):
    rng = np.random.default_rng(1)
    y = np.arange(45) % 3
    models = [rng.integers(1, 4, size=(45, 3)) for _ in range(3)]
    models[1][:20] = models[0][:20]
    # Lines through the origin: of one direction, but not equal.
    models[2] = models[2] * rng.uniform(0.1, 3, size=(45, 1))
    scorer = fitted([library.asarray(X) for X in models], y, measure, metric=metric)
    expected = oracles.matrix(models, y, measure, metric)
    assert_allclose(library.to_numpy(scorer.matrix_), expected, rtol=1e-12)


@every_metric
def test_more_ties_than_the_first_search_finds(library, metric):
    """Rows of an orthogonal frame: all others are equally near."""
    n = 90
    y = np.arange(n) % 4 // 2
    models = [np.eye(n), np.eye(n)[::-1].copy(), np.ones((n, n))]
    scorer = fitted([library.asarray(X) for X in models], y, MEASURES[0], metric=metric)
    same = np.mean([(np.sum(y == label) - 1) / (n - 1) for label in y])
    matrix = library.to_numpy(scorer.matrix_)
    # Query i of the second model is row n - 1 - i of the first, which is the nearest.
    assert_allclose(matrix[0, 0], same, rtol=1e-12)
    assert_allclose(matrix[1, 0], np.mean(y == y[::-1]), rtol=1e-12)
    assert_allclose(np.diagonal(matrix), same, rtol=1e-12)
    assert_allclose(matrix[2, :2], same, rtol=1e-12)


@every_metric
def test_the_own_row_is_left_out_however_near(library, metric):
    """Rows of two classes side by side: each one's nearest other has its label."""
    rng = np.random.default_rng(2)
    X = np.repeat(rng.normal(size=(30, 4)), 2, axis=0)
    y = np.repeat(np.arange(30) % 3, 2)
    near = X + 1e-9 * rng.normal(size=X.shape)
    models = [library.asarray(X), library.asarray(near), library.asarray(X)]
    scorer = fitted(models, y, "nearest_neighbor", metric=metric)
    assert_array_equal(library.to_numpy(scorer.matrix_)[np.tril_indices(3)], 1.0)
    # With the labels of each pair at odds, only the own row would have the label.
    y = np.arange(60) % 2
    scorer = fitted(models, y, "nearest_neighbor", metric=metric)
    assert_array_equal(library.to_numpy(scorer.matrix_)[np.tril_indices(3)], 0.0)


def test_rows_of_zeros(library):
    models, y = checkpoints()
    models = [np.maximum(X, 0) for X in models]
    models[0][:7] = models[1][5:6] = models[2][10:13] = 0
    arrays = [library.asarray(X) for X in models]
    scorer = fitted(arrays, y, "nearest_neighbor")
    expected = oracles.matrix(models, y, "nearest_neighbor", "cosine")
    assert_allclose(library.to_numpy(scorer.matrix_), expected, rtol=1e-12)
    # New rows of zeros are taken for a row of the gallery, if it has any.
    new, labels = library.asarray(np.zeros((4, 5))), np.arange(4)
    scorer = CompatibilityScorer()
    for X in models:
        scorer.fit(library.asarray(X), y)
        dead = ~X.any(axis=1)
        rest = [dead.sum() - 1 if dead.sum() > 1 else (~dead).sum()] * 4
        hits = [np.sum(y[dead if dead.sum() > 1 else ~dead] == c) for c in labels]
        hits = np.clip(np.array(hits) - (dead.sum() > 1), 0, None)
        expected = np.mean(hits / rest)
        assert_allclose(scorer.score(new, labels), expected, rtol=1e-12)
    live = CompatibilityScorer().fit(library.asarray(models[2] + 1), y)
    assert_allclose(live.score(new, labels), 1 / 4, rtol=1e-12)
    dead = library.asarray(np.zeros((60, 5)))
    scorer = CompatibilityScorer().fit(dead, y)
    assert_allclose(library.to_numpy(scorer.matrix_), 14 / 59, rtol=1e-12)
    # They are orthogonal to class means without such rows: all are equally near.
    scorer = CompatibilityScorer("class_mean").fit(library.asarray(models[2] + 1), y)
    assert_allclose(scorer.score(dead, y), 1 / 4, rtol=1e-12)


def test_a_class_mean_without_direction():
    X = np.array([[1.0, 2.0], [-2.0, -4.0], [3.0, 1.0], [3.0, 2.0]])
    y = ["a", "a", "b", "b"]
    with pytest.raises(ValueError, match=r"class 'a', .* mean 0.*metric='euclidean'"):
        CompatibilityScorer("class_mean").fit(X, y)
    CompatibilityScorer("class_mean", metric="euclidean").fit(X, y)


def test_diagonal_is_the_index_of_thornton():
    models, y = checkpoints(n=150)
    plain = fitted(models, y, "nearest_neighbor", metric="euclidean").matrix_
    assert_allclose(np.diagonal(plain), [thornton_index(X, y) for X in models])
    unit = [X / np.linalg.norm(X, axis=1, keepdims=True) for X in models]
    cosine = fitted(models, y, "nearest_neighbor").matrix_
    assert_allclose(np.diagonal(cosine), [thornton_index(X, y) for X in unit])


def test_one_row_per_class():
    X = np.random.default_rng(0).normal(size=(9, 4))
    scorer = fitted([X, X], np.arange(9), "nearest_neighbor")
    assert_array_equal(scorer.matrix_, [[0, np.nan], [0, 0]])
    scorer = fitted([X, X], np.arange(9), "class_mean")
    assert_array_equal(scorer.matrix_, [[1, np.nan], [1, 1]])


@every_measure
@pytest.mark.parametrize("size", [1e-150, 1e150])
def test_tiny_and_huge_features(measure, size):
    models, y = checkpoints()
    for metric in METRICS:
        expected = oracles.matrix(models, y, measure, metric)
        scorer = fitted([X * size for X in models], y, measure, metric=metric)
        assert_allclose(scorer.matrix_, expected, rtol=1e-12)


# -- what it is for ------------------------------------------------------------------


@every_measure
@every_metric
def test_planted(measure, metric):
    """A rotation of the new model alone makes old galleries useless, noise does not."""
    models, y = checkpoints(n=400, d=20, n_models=1, n_classes=10, noise=0.3)
    rng = np.random.default_rng(3)
    X = models[0]
    turned = X @ np.linalg.qr(rng.normal(size=(20, 20)))[0]
    better = X + 0.05 * rng.normal(size=X.shape)
    compatible = fitted([X, better], y, measure, metric=metric)
    incompatible = fitted([X, turned], y, measure, metric=metric)
    assert compatible.matrix_[1, 0] > 0.9
    assert incompatible.matrix_[1, 0] < 0.4
    # Within each model nothing has happened.
    assert_allclose(incompatible.matrix_[1, 1], incompatible.matrix_[0, 0], atol=0.01)
    assert incompatible.metrics_["average_compatibility"] == 0
    assert incompatible.metrics_["backward_compatibility"] < -0.5
    assert incompatible.metrics_["forward_compatibility"] < -0.5
    assert abs(compatible.metrics_["forward_compatibility"]) < 0.05
    same = fitted([X, X, X], y, measure, metric=metric).metrics_
    assert same == dict.fromkeys(same, 0.0) | {"average_compatibility": 1.0}


@every_measure
def test_epochs_of_a_network(measure):
    """Real checkpoints: a newer model does best in a gallery of its own."""
    data = load_cifar8_trajectory()
    rows = slice(None, None, 20)
    y, epochs = data.target[rows], (6, 24, 38)
    models = [data.features[e][rows] for e in epochs]
    scorer = fitted(models, y, measure)
    expected = oracles.matrix(models, y, measure, "cosine")
    assert_allclose(scorer.matrix_, expected, rtol=1e-12)
    assert scorer.matrix_[2, 2] > scorer.matrix_[0, 0]
    assert scorer.metrics_["forward_compatibility"] < 0


# -- new queries ---------------------------------------------------------------------


@every_measure
@every_metric
def test_score(library, measure, metric):
    models, y = checkpoints(n=160)
    old, new = slice(0, 100), slice(100, None)
    scorer = CompatibilityScorer(measure, metric=metric)
    scorer.fit(library.asarray(models[0][old]), y[old])
    for k in range(3):
        if k:
            scorer.add_model(library.asarray(models[k][old]))
        gallery = models[k][old], y[old], measure, metric
        expected = oracles.score(models[k][new], y[new], *gallery, own=False)
        found = scorer.score(library.asarray(models[k][new]), library.asarray(y[new]))
        assert type(found) is float
        assert_allclose(found, expected, rtol=1e-12)
    # Weights are frequencies; rows of weight 0 may even hold NaN elsewhere.
    weights = np.arange(60) % 4
    index = np.repeat(np.arange(100, 160), weights)
    found = scorer.score(library.asarray(models[2][new]), y[new], weights)
    expected = oracles.score(models[2][index], y[index], *gallery, own=False)
    assert_allclose(found, expected, rtol=1e-12)


@every_measure
@every_metric
def test_score_of_the_fitted_rows(library, measure, metric):
    models, y = checkpoints()
    models[1][:6] = models[1][6:12]
    scorer = fitted([library.asarray(X) for X in models[:2]], y, measure, metric=metric)
    found = scorer.score(library.asarray(models[1]), y)
    assert_allclose(found, float(scorer.matrix_[1, 1]), rtol=1e-12)
    if metric == "cosine":
        found = scorer.score(library.asarray(3 * models[1]), y)
        assert_allclose(found, float(scorer.matrix_[1, 1]), rtol=1e-12)


def test_score_needs_known_labels():
    models, y = checkpoints()
    scorer = CompatibilityScorer().fit(models[0], y)
    with pytest.raises(ValueError, match=r"not seen in fit: \[4\]"):
        scorer.score(models[0], y + 1)
    with pytest.raises(ValueError, match="requires y to be passed"):
        scorer.score(models[0])
    with pytest.raises(ValueError, match="60 rows, y has 59"):
        scorer.score(models[0], y[1:])


# -- adding models -------------------------------------------------------------------


def broken_models(library):
    models, _ = checkpoints()
    X = models[1]
    bad = X.copy()
    bad[7, 3] = np.nan
    yield "7", library.asarray(bad)
    yield "50 rows, but fit had 60", library.asarray(X[:50])
    yield (
        "4 features, but CompatibilityScorer is expecting 5",
        library.asarray(X[:, 1:]),
    )
    if library.name != "numpy":
        yield "must use the same namespace", X


@every_measure
def test_a_model_that_does_not_fit_changes_nothing(library, measure):
    models, y = checkpoints()
    models = [library.asarray(X) for X in models]
    scorer = fitted(models[:2], y, measure)
    before = {**vars(scorer)}
    for match, X in broken_models(library):
        with pytest.raises(ValueError, match=match):
            scorer.add_model(X)
        assert vars(scorer).keys() == before.keys()
        assert all(vars(scorer)[name] is value for name, value in before.items())
    expected = library.to_numpy(fitted(models, y, measure).matrix_)
    assert_array_equal(library.to_numpy(scorer.add_model(models[2]).matrix_), expected)


@every_measure
def test_memory_of_the_features_may_be_used_again(library, measure):
    models, y = checkpoints()
    expected = fitted(models, y, measure).matrix_
    buffer = library.asarray(models[0].copy())
    scorer = CompatibilityScorer(measure).fit(buffer, y)
    for X in models[1:]:
        buffer[...] = library.asarray(X)
        scorer.add_model(buffer)
    assert_allclose(library.to_numpy(scorer.matrix_), expected, rtol=1e-12)


def test_what_is_kept():
    models, y = checkpoints()
    sizes = {"nearest_neighbor": (60, 5), "class_mean": (4, 5)}
    for measure, shape in sizes.items():
        arrays = fitted(models, y, measure, metric="euclidean")._record.galleries
        assert [array.shape for array in arrays] == [shape] * 3


def test_fit_starts_again():
    models, y = checkpoints()
    scorer = fitted(models, y, "class_mean").fit(models[1][:, :3], y)
    assert scorer.n_models_ == 1
    assert scorer.n_features_in_ == 3
    expected = oracles.matrix([models[1][:, :3]], y, "class_mean", "cosine")
    assert_allclose(scorer.matrix_, expected)
    assert all(math.isnan(value) for value in scorer.metrics_.values())


def test_parameters_count_at_the_next_fit():
    models, y = checkpoints()
    scorer = CompatibilityScorer().fit(models[0], y)
    scorer.set_params(measure="class_mean", metric="euclidean").add_model(models[1])
    expected = oracles.matrix(models[:2], y, "nearest_neighbor", "cosine")
    assert_allclose(scorer.matrix_, expected)


def test_from_models():
    models, y = checkpoints()
    names = np.array(["d", "a", "c", "b"])[y]
    scorer = CompatibilityScorer.from_models(
        (X for X in models), names.tolist(), measure="class_mean", metric="euclidean"
    )
    assert scorer.get_params() == {
        "measure": "class_mean",
        "metric": "euclidean",
        "device": "auto",
    }
    expected = oracles.matrix(models, y, "class_mean", "euclidean")
    assert_allclose(scorer.matrix_, expected)
    assert_array_equal(scorer.classes_, list("abcd"))
    with pytest.raises(ValueError, match="models is empty"):
        CompatibilityScorer.from_models([], y)
    with pytest.raises(ValueError, match="Expected 2D array, got 1D"):
        CompatibilityScorer.from_models(models[0], y)


def test_labels_that_do_not_do():
    models, y = checkpoints()
    with pytest.raises(ValueError, match="requires y to be passed"):
        CompatibilityScorer().fit(models[0], None)
    with pytest.raises(ValueError, match="at least two classes"):
        CompatibilityScorer().fit(models[0], np.zeros(60))
    with pytest.raises(ValueError, match="60 rows, y has 50"):
        CompatibilityScorer().fit(models[0], y[:50])


def test_unfitted():
    models, _ = checkpoints()
    with pytest.raises(NotFittedError):
        CompatibilityScorer().add_model(models[0])


@every_measure
def test_several_models_move_and_pickle(library, measure):
    models, y = checkpoints()
    scorer = fitted([library.asarray(X) for X in models[:2]], y, measure)
    expected = fitted(models, y, measure).matrix_
    for copy in (move_estimator(scorer, "numpy"), pickle.loads(pickle.dumps(scorer))):
        same = copy.matrix_
        assert_array_equal(library.to_numpy(same), library.to_numpy(scorer.matrix_))
        last = models[2] if type(same) is np.ndarray else library.asarray(models[2])
        found = library.to_numpy(copy.add_model(last).matrix_)
        assert_allclose(found, expected, rtol=1e-12)
    assert scorer.n_models_ == 2


def test_column_names():
    pandas = pytest.importorskip("pandas")
    models, y = checkpoints()
    frames = [pandas.DataFrame(X, columns=list("abcde")) for X in models]
    scorer = CompatibilityScorer().fit(frames[0], y).add_model(frames[1])
    assert_array_equal(scorer.matrix_, fitted(models[:2], y, MEASURES[0]).matrix_)
    with pytest.raises(ValueError, match="feature names"):
        scorer.add_model(frames[2][list("edcba")])


# -- compatibility_metrics -------------------------------------------------------------


@pytest.mark.parametrize("n_models", [2, 3, 7])
def test_metrics_of_a_matrix(library, n_models):
    rng = np.random.default_rng(n_models)
    C = rng.integers(0, 5, size=(n_models, n_models)) / 4  # with ties
    expected = oracles.compatibility(C)
    C[np.triu_indices(n_models, 1)] = np.nan
    found = compatibility_metrics(library.asarray(C))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_allclose(found[name], value, rtol=1e-12, atol=1e-15)
    assert compatibility_metrics(C.tolist()) == found


def test_metrics_of_a_single_model():
    found = compatibility_metrics([[0.5]])
    assert len(found) == 3
    assert all(math.isnan(value) for value in found.values())


@pytest.mark.parametrize(
    ("matrix", "match"),
    [
        ([[1.0, 2.0]], r"must be square.*got shape \(1, 2\)"),
        ([1.0], r"must be square.*got shape \(1,\)"),
        (np.zeros((0, 0)), "must be square"),
        ([[1.0, 0.0], [np.nan, 1.0]], "got nan in row 1, column 0"),
        ([[1.0, 0.0], [0.5, np.inf]], "got inf in row 1, column 1"),
    ],
)
def test_what_is_no_matrix(matrix, match):
    with pytest.raises(ValueError, match=match):
        compatibility_metrics(matrix)
