"""The sparse frame: exact zeros, exact norms, the angles of a simplex."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime
from sklearn.exceptions import ConvergenceWarning

from sklearn_collapse._linalg import _packing
from sklearn_collapse._linalg._sparse_frames import angle_loss, random_support
from sklearn_collapse.etf import _sparse, sparse_etf


def slow_loss(rows):
    units = [row / np.sqrt(row @ row) for row in rows]
    n = len(units)
    pairs = [(units[i], units[j]) for i in range(n) for j in range(n) if i != j]
    gaps = [a @ b + 1 / (n - 1) for a, b in pairs]
    total = sum(units)
    return sum(g * g for g in gaps) + total @ total, max(abs(g) for g in gaps)


@pytest.mark.parametrize(
    ("n_classes", "d", "sparsity"),
    [
        *[(2, 5, 0.6), (3, 8, 0.6), (4, 10, 0.6), (10, 64, 0.6), (10, 20, 0.6)],
        *[(40, 128, 0.6), (5, 4, 0.0), (6, 100, 0.8), (7, 15, 0.5), (5, 7, 1 / 3)],
    ],
)
@pytest.mark.parametrize("random_state", [None, 3])
def test_zeros_norms_and_angles(n_classes, d, sparsity, random_state):
    frame = sparse_etf(n_classes, d, sparsity, random_state)
    assert frame.shape == (n_classes, d)
    assert frame.dtype == np.float64
    assert_array_equal((frame == 0).sum(axis=1), round(sparsity * d))
    gram = frame @ frame.T
    expected = (n_classes * np.eye(n_classes) - 1) / (n_classes - 1)
    assert_allclose(np.linalg.norm(frame, axis=1), 1, rtol=1e-15)
    assert_allclose(gram, expected, rtol=0, atol=2e-8)


@pytest.mark.parametrize("n_classes", [2, 3, 50, 200])
def test_without_zeros_the_frame_is_exact(n_classes):
    d = n_classes - 1
    for seed in (None, *range(20)):
        frame = sparse_etf(n_classes, d, 0.0, seed)
        expected = (n_classes * np.eye(n_classes) - 1) / d
        assert_allclose(frame @ frame.T, expected, rtol=0, atol=1e-14)
    if d > 1:
        assert (frame != 0).all()


def test_numpy_numbers():
    found = sparse_etf(np.int8(5), np.uint8(20), np.float32(0.5), np.int64(1))
    assert_array_equal(found, sparse_etf(5, 20, 0.5, 1))


def test_default_sparsity_and_seeds():
    first = sparse_etf(5, 20)
    assert (first == 0).mean() == 0.6
    assert_array_equal(first, sparse_etf(5, 20))
    second = sparse_etf(5, 20, random_state=7)
    assert_array_equal(second, sparse_etf(5, 20, random_state=np.random.RandomState(7)))
    assert ((first == 0) != (second == 0)).any()


def test_support_is_uniform():
    rng = np.random.RandomState(0)
    shares = np.mean([random_support(3, 8, 5, rng) for _ in range(2000)], axis=0)
    assert_allclose(shares, 3 / 8, atol=5 * np.sqrt(3 / 8 * 5 / 8 / 2000))


def test_loss_and_gradient(rng, monkeypatch):
    rows = rng.normal(size=(7, 5)) * rng.uniform(0.5, 2, size=(7, 1))
    loss, gradient, deviation = angle_loss(rows)
    expected, largest = slow_loss(rows)
    assert_allclose([loss, deviation], [expected, largest], rtol=1e-13)
    numeric = approx_fprime(
        rows.ravel(), lambda x: slow_loss(x.reshape(rows.shape))[0], 1e-7
    )
    assert_allclose(gradient.ravel(), numeric, atol=1e-5 * np.abs(numeric).max())
    # In blocks of a few rows the same.
    monkeypatch.setattr(_packing, "_PAIRS", 1)
    monkeypatch.setattr(_packing, "_FEWEST_ROWS", 3)
    blocks = angle_loss(rows)
    for found, whole in zip(blocks, (loss, gradient, deviation), strict=True):
        assert_allclose(found, whole, rtol=1e-13, atol=1e-15)


def test_too_few_coordinates_warn():
    with pytest.warns(ConvergenceWarning, match="lower sparsity, or raise n_feat") as w:
        frame = sparse_etf(12, 12, 0.6)
    assert w[0].filename == __file__
    # The rest holds all the same, and the deviation named is that of the frame.
    assert_array_equal((frame == 0).sum(axis=1), 7)
    assert_allclose(np.linalg.norm(frame, axis=1), 1, rtol=1e-15)
    named = float(str(w[0].message).split("a cosine is ")[1].split(" ")[0])
    assert named == pytest.approx(slow_loss(frame)[1], rel=0.05)
    assert named > 1e-3


def test_the_best_of_unmet_starts_is_returned(monkeypatch):
    found, search = [], _sparse.sparse_simplex

    def recorded(*arguments):
        found.append(search(*arguments))
        return found[-1]

    monkeypatch.setattr(_sparse, "sparse_simplex", recorded)
    with pytest.warns(ConvergenceWarning):
        frame = sparse_etf(12, 16, 0.6)
    deviations = [slow_loss(rows)[1] for rows, _ in found]
    assert len(found) == 5
    assert np.argmin(deviations) < 4
    assert slow_loss(frame)[1] == min(deviations)


def test_unmet_angles_are_close_to_what_can_be_had():
    """One coordinate per row: cosines are 0 or +-1, never -1 / 2."""
    with pytest.warns(ConvergenceWarning, match=r"a cosine is (0\.5|1)"):
        sparse_etf(3, 3, 0.6)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((5, 3), ValueError, "n_features=3 .* = 4.*spread_frame"),
        ((2, 1), ValueError, "sparsity=0.6 leaves no coordinate of n_features=1"),
        ((3, 10, 0.96), ValueError, "sparsity=0.96 leaves no coordinate"),
        ((3, 10, 1.0), ValueError, "sparsity == 1.0"),
        ((3, 10, -0.1), ValueError, "sparsity == -0.1"),
        ((3, 10, "0.6"), TypeError, "sparsity must be an instance"),
        ((1, 10), ValueError, "n_classes == 1"),
        ((3, 4.0), TypeError, "n_features must be an instance"),
        ((3, 10, 0.6, "seed"), ValueError, "seed"),
    ],
)
def test_errors(arguments, error, match):
    with pytest.raises(error, match=match):
        sparse_etf(*arguments)
