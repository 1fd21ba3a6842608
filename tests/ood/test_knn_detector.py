"""Tests of the distance to the k-th nearest training row."""

import pickle

import numpy as np
import oracles_rows as oracle
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.neighbors import NearestNeighbors
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_collapse._linalg._points import Points
from sklearn_collapse._linalg._weighted_neighbors import bank_of, nearest_shares
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import KNNDetector, _knn
from sklearn_collapse.utils import move_estimator

dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])
modes = pytest.mark.parametrize("normalize", [True, False])


@pytest.fixture(params=[4, 12], ids="d={}".format)
def data(request, rng):
    """Rows in few dimensions, searched by trees, and in more; new rows."""
    y = np.arange(60) % 3
    X = (
        rng.normal(size=(60, request.param))
        + 3 * rng.normal(size=(3, request.param))[y]
    )
    return X, y, 2 * rng.normal(size=(15, request.param))


def scored(library, detector, X, new, weights=None, dtype=None):
    detector.fit(library.asarray(X, dtype), sample_weight=weights)
    scores = detector.score_samples(library.asarray(new, dtype))
    assert library.owns(scores)
    return library.to_numpy(scores)


@dtypes
@modes
@pytest.mark.parametrize("k", [1, 5, 60, 500])
def test_scores(library, normalize, k, dtype, data):
    X, _, new = data
    X, new = X.astype(dtype), new.astype(dtype)
    detector = KNNDetector(k, normalize=normalize)
    rtol = {"float64": 1e-9, "float32": 1e-6}[dtype]
    for rows in (new, X):  # a training row counts itself
        scores = scored(library, detector, X, rows)
        assert scores.dtype == dtype
        expected = oracle.knn(X, rows, k, normalize=normalize)
        assert_allclose(scores, expected, rtol=rtol, atol=rtol)
    assert detector.n_neighbors_ == min(k, 60)
    if k == 1:
        assert_array_equal(scores, 0)


@modes
def test_weights_are_frequencies(library, normalize, data, rng):
    X, _, new = data
    X = np.vstack([X, X[:9], X[:3]])  # copies there are as well
    weights = rng.integers(0, 4, len(X))
    for k in (1, 4, 11, int(weights.sum()) - 1, int(weights.sum()) + 7):
        detector = KNNDetector(k, normalize=normalize)
        scores = scored(library, detector, X, np.vstack([new, X]), weights)
        rows = np.vstack([new, X])
        expected = oracle.knn(X, rows, k, normalize=normalize, weights=weights)
        assert_allclose(scores, expected, rtol=1e-9, atol=1e-9)
        assert detector.n_neighbors_ == min(k, weights.sum())


def test_weights_that_are_not_whole(data):
    """Halves of everything: the k-th neighbour has half of that weight before it."""
    X, _, new = data
    half = KNNDetector(10).fit(X, sample_weight=np.full(len(X), 0.5))
    assert_allclose(
        half.score_samples(new), oracle.knn(X, new, 20), rtol=1e-9, atol=1e-9
    )
    assert half.n_neighbors_ == 10
    tiny = KNNDetector(10).fit(X, sample_weight=np.full(len(X), 1e-5))
    farthest = oracle.knn(X, new, len(X))
    assert_allclose(tiny.score_samples(new), farthest, rtol=1e-9)
    assert tiny.n_neighbors_ == 1


@pytest.mark.parametrize("wanted", [1, 3.5, 7, 100])
def test_shares_add_up(wanted, data, rng):
    X, _, new = data
    weights = rng.uniform(0.2, 3, len(X))
    bank = bank_of(X, weights, wanted)
    distances, points, shares = nearest_shares(bank, np.vstack([new, X[:5]]))
    assert_allclose(shares.sum(axis=1), min(wanted, weights.sum()), rtol=1e-9)
    assert np.all(shares <= bank.weights[points] + 1e-12)
    for row_distances, row_shares in zip(distances, shares, strict=True):
        assert np.all(np.diff(row_distances[row_shares > 0]) >= 0)


@dtypes
@modes
def test_collapsed_rows(library, normalize, dtype, rng):
    """Differences far below the rounding of a product of float32, and offset rows."""
    y = np.arange(90) % 3
    means = 10 * rng.normal(size=(3, 16))
    X = (means[y] + 1e-4 * rng.normal(size=(90, 16))).astype(dtype)
    new = (means[y[:12]] + 2e-4 * rng.normal(size=(12, 16))).astype(dtype)
    scores = scored(library, KNNDetector(4, normalize=normalize), X, new)
    expected = oracle.knn(X, new, 4, normalize=normalize)
    assert np.abs(expected).max() < 2e-3
    assert_allclose(scores, expected, rtol=1e-6)


@modes
def test_all_rows_equal(library, normalize):
    X = np.ones((20, 3))
    detector = KNNDetector(5, normalize=normalize)
    scores = scored(library, detector, X, np.array([[1.0, 1, 1], [1, 0, 0]]))
    far = [[1.0, 1, 1], [1, 0, 0]]
    assert_allclose(scores, oracle.knn(X, far, 5, normalize=normalize), atol=1e-15)
    assert_array_equal(library.to_numpy(detector.predict(library.asarray(X))), 1)


def test_rows_of_zeros(library, data):
    """They have no direction: as far from all rows as orthogonal ones."""
    X, _, new = data
    zeros = np.zeros((3, X.shape[1]))
    detector = KNNDetector(2)
    scores = scored(library, detector, X, zeros)
    assert_allclose(scores, -np.sqrt(2), rtol=1e-12)
    rows = np.vstack([X, zeros])
    for k, expected in ((3, 0.0), (4, -np.sqrt(2))):
        detector = KNNDetector(k)
        assert_allclose(scored(library, detector, rows, zeros), expected, atol=1e-12)
    both = np.vstack([new, zeros])
    assert_allclose(
        scored(library, KNNDetector(63), rows, both),
        oracle.knn(rows, both, 63),
        rtol=1e-9,
    )


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e30, 1e300])
def test_size_of_rows(library, size, data):
    X, _, new = data
    expected = oracle.knn(X, new, 5)
    scores = scored(library, KNNDetector(5), size * X, size * new)
    assert_allclose(scores, expected, rtol=1e-9)
    plain = scored(library, KNNDetector(5, normalize=False), size * X, size * new)
    assert_allclose(plain / size, oracle.knn(X, new, 5, normalize=False), rtol=1e-9)


def test_overflow_is_named(library):
    X = np.array([[3e38, 3e38, 3e38], [-3e38, -3e38, -3e38]], dtype=np.float32)
    with pytest.raises(ValueError, match=r"overflow .*float32.*normalize=True"):
        KNNDetector(2, normalize=False).fit(library.asarray(X))
    KNNDetector(2).fit(library.asarray(X))


def test_dead_units(library, rng):
    """Rows that light a unit that was dead in training."""
    X = np.abs(rng.normal(size=(50, 6))) + 1
    X[:, 3] = 0
    lit = X[:10].copy()
    lit[:, 3] = 5
    detector = KNNDetector(5)
    outside = scored(library, detector, X, lit)
    inside = library.to_numpy(detector.score_samples(library.asarray(X)))
    assert outside.max() < inside.min()


@modes
def test_against_scikit_learn(normalize):
    """On real features."""
    data = load_cifar8_features()
    X, new = data.data[:1500], np.vstack([data.X_test[:100], *data.ood.values()])[:400]
    detector = KNNDetector(20, normalize=normalize).fit(X)
    if normalize:
        X, new_ = (
            v.astype(float) / np.linalg.norm(v.astype(float), axis=1, keepdims=True)
            for v in (X, new)
        )
    else:
        new_ = new.astype(float)
    search = NearestNeighbors(n_neighbors=20, algorithm="brute").fit(X.astype(float))
    expected = -search.kneighbors(new_)[0][:, -1]
    assert_allclose(detector.score_samples(new), expected, rtol=2e-6)


def test_parts_of_rows(monkeypatch, library, data):
    """Rows are worked on in parts, none of which sees the others."""
    X, _, new = data
    rows = np.tile(new, (40, 1))
    whole = scored(library, KNNDetector(5), X, rows)
    monkeypatch.setattr(_knn, "_HELD", 1)
    assert_array_equal(scored(library, KNNDetector(5), X, rows), whole)


def test_memory_map_is_kept(tmp_path, data):
    X, _, new = data
    stored = np.memmap(tmp_path / "rows", dtype="float64", mode="w+", shape=X.shape)
    stored[:] = X
    detector = KNNDetector(5, normalize=False).fit(stored)
    assert np.shares_memory(detector._bank.points.rows, stored)
    expected = oracle.knn(X, new, 5, normalize=False)
    assert_allclose(detector.score_samples(new), expected, rtol=1e-9)
    assert not detector._bank.points.prepared


@pytest.mark.parametrize("d", [3, 12])
def test_search_is_prepared_once(library, monkeypatch, d, rng):
    """Rows scored one at a time do not pay for the bank each time."""
    X, new = rng.normal(size=(300, d)), rng.normal(size=(3, d))
    rows = library.asarray(new)
    detector = KNNDetector(5).fit(library.asarray(X))
    sizes = []
    framed = Points.framed

    def watched(self, block, xp):
        sizes.append(block.shape[0])
        return framed(self, block, xp)

    monkeypatch.setattr(Points, "framed", watched)
    for i in range(3):
        detector.score_samples(rows[i : i + 1, :])
    assert max(sizes) == 1
    # A copy prepares its own.
    assert detector._bank.points.prepared
    twin = pickle.loads(pickle.dumps(detector))
    assert not twin._bank.points.prepared
    scores = library.to_numpy(twin.score_samples(rows))
    assert_allclose(scores, oracle.knn(X, new, 5), rtol=1e-9)


def test_normalize_is_that_of_fit(data):
    X, _, new = data
    detector = KNNDetector(5).fit(X)
    scores = detector.score_samples(new)
    assert_array_equal(detector.set_params(normalize=False).score_samples(new), scores)


@pytest.mark.parametrize("target", ["torch", "array_api_strict"])
@modes
def test_move_and_pickle(normalize, target, data):
    module = pytest.importorskip(target)
    X, _, new = data
    weights = np.arange(len(X)) % 3 + 1
    detector = KNNDetector(5, normalize=normalize).fit(X, sample_weight=weights)
    expected = detector.score_samples(new)
    moved = move_estimator(detector, module.asarray(X[:1]))
    scores = moved.score_samples(module.asarray(new))
    assert_allclose(np.asarray(scores), expected, rtol=1e-9)
    back = pickle.loads(pickle.dumps(move_estimator(moved, "numpy")))
    assert_allclose(back.score_samples(new), expected, rtol=1e-9)


def test_labels_are_not_used(data):
    X, y, new = data
    scores = KNNDetector(5).fit(X).score_samples(new)
    assert_array_equal(KNNDetector(5).fit(X, y).score_samples(new), scores)


@pytest.mark.parametrize(
    "params",
    [
        *({"n_neighbors": value} for value in (0, -1, 2.5, None)),
        *({"normalize": value} for value in ("l2", 2, None)),
    ],
    ids=repr,
)
def test_bad_parameters(params, data):
    with pytest.raises(InvalidParameterError, match=next(iter(params))):
        KNNDetector(**params).fit(data[0])
