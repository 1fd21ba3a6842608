"""Orthogonal rows of a covariance that is not formed, and their spectrum."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_collapse._linalg._factor import (
    directions,
    orthogonal_rows,
    spectrum_of_rows,
)
from sklearn_collapse._linalg._maps import LinearMap, affine_rows, squared_norms
from sklearn_collapse._linalg._spectrum import eigh_by_rank
from sklearn_collapse.utils._arrays import Rows, namespace

EPS = float(np.finfo(float).eps)


def planted(singular_values, m, d, seed=0):
    rng = np.random.default_rng(seed)
    k = len(singular_values)
    left = np.linalg.qr(rng.normal(size=(m, k)))[0]
    right = np.linalg.qr(rng.normal(size=(d, k)))[0]
    return left * singular_values @ right.T, right


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (12, 12)], ids=str)
@pytest.mark.parametrize("condition", [1.0, 1e3, 1e6, 1e7])
@pytest.mark.parametrize("solver", ["svd", "gram"])
def test_orthogonal_rows(library, solver, condition, shape):
    k = min(shape)
    sizes = np.geomspace(condition, 1, k) if condition > 1 else np.linspace(2, 1, k)
    A, right = planted(sizes, *shape)
    rows = library.asarray(A)
    xp = namespace(rows)
    F = orthogonal_rows(rows, solver, xp)
    assert library.owns(F)
    found = library.to_numpy(F)
    assert found.shape == (k, shape[1])
    assert_allclose(found.T @ found, A.T @ A, atol=1e-13 * sizes[0] ** 2)
    lengths, vectors = (library.to_numpy(x) for x in directions(F, xp))
    assert_allclose(lengths, sizes, rtol=1e-15 * condition**2 + 1e-12)
    # Cosines of up to 1e-5 are squared by one step.
    assert_allclose(vectors.T @ vectors, np.eye(k), atol=1e-13 + 1e-30 * condition**4)
    assert_allclose(np.abs(np.sum(vectors * right, axis=0)), 1, atol=1e-6)


@pytest.mark.parametrize("solver", ["svd", "gram"])
def test_rows_that_are_rounding_are_left_out(solver):
    A, _ = planted([3.0, 2.0, 1e-17], 6, 20)
    assert orthogonal_rows(A, solver, namespace(A)).shape == (2, 20)
    zero = np.zeros((4, 9))
    assert orthogonal_rows(zero, solver, namespace(zero)).shape == (0, 9)


def silent(squared):
    return namespace(squared).zeros_like(squared[0, :])


@pytest.mark.parametrize("rank_tol", [None, 0.3])
def test_spectrum_is_that_of_the_matrix(library, rank_tol):
    """Against eigh of the matrix itself, noise of the input included."""
    A, right = planted([3.0, 2.0, 1.0], 6, 9)
    level = np.linspace(0.2, 1.9, 9)  # in some directions above an eigenvalue

    def noise(squared):
        weights = library.asarray(level)
        xp = namespace(squared)
        return xp.matmul(xp.matrix_transpose(squared), weights)

    S = library.asarray(A.T @ A)
    expected = eigh_by_rank(S, noise, EPS, rank_tol, namespace(S))
    values, vectors = library.asarray([9.0, 4.0, 1.0]), library.asarray(right)
    xp = namespace(values)
    found = spectrum_of_rows(values, vectors, 0.0, noise, EPS, rank_tol, xp)
    assert found.rank == expected.rank
    assert found.floor == pytest.approx(expected.floor, rel=1e-9)
    assert found.values.shape == (9,)
    assert found.vectors.shape == (9, found.rank)
    a, b = (library.to_numpy(s.values)[: s.rank] for s in (found, expected))
    assert_allclose(a, b, rtol=1e-12)


def test_all_other_directions_count():
    _, right = planted([3.0, 2.0], 6, 5)
    values = np.array([9.0, 4.0])
    xp = namespace(values)
    found = spectrum_of_rows(values + 1, right, 1.0, silent, EPS, None, xp)
    assert found.rank == 5
    assert_allclose(found.values, [10, 5, 1, 1, 1])
    assert found.vectors.shape == (5, 2)
    S = right * values @ right.T + np.eye(5)
    whole = eigh_by_rank(S, silent, EPS, None, xp)
    assert found.floor == pytest.approx(whole.floor, rel=1e-12)
    # A level that the rule drops does not count, whatever it is.
    found = spectrum_of_rows(values, right, 1e-17, silent, EPS, None, xp)
    assert found.rank == 2
    found = spectrum_of_rows(values + 1, right, 1.0, silent, EPS, 0.2, xp)
    assert found.rank == 2


def test_uncounted_before_counted():
    """A direction whose rounding is larger than its variance does not come first."""
    right = np.eye(5)[:, :3]
    level = np.array([10.0, 0.1, 0.1, 0.1, 0.1])
    xp = namespace(right)

    def noise(squared):
        return squared.T @ level

    values = np.array([9.0, 4.0, 1.0])
    found = spectrum_of_rows(values, right, 0.0, noise, EPS, None, xp)
    assert found.rank == 2
    assert_allclose(found.values, [4, 1, 0, 0, 0])
    assert_allclose(found.vectors, right[:, 1:])
    # With a level that counts everywhere, it counts as well.
    found = spectrum_of_rows(values + 3, right, 3.0, noise, EPS, None, xp)
    assert found.rank == 5
    assert_allclose(found.values, [12, 7, 4, 3, 3])


def test_no_rows():
    assert orthogonal_rows(np.zeros((0, 4)), "gram", namespace(np.zeros(1))).shape == (
        0,
        4,
    )
    empty = np.zeros((7, 0))
    xp = namespace(empty)
    found = spectrum_of_rows(np.zeros(0), empty, 0.0, silent, EPS, None, xp)
    zero = eigh_by_rank(np.zeros((7, 7)), silent, EPS, None, xp)
    assert (found.rank, found.floor, found.largest) == (0, 0, 0) == (*zero[2:], 0)
    assert_allclose(found.values, np.zeros(7))


# -- linear maps in factors --------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("with_right", [True, False])
@pytest.mark.parametrize("with_rest", [True, False])
@pytest.mark.parametrize("wide", [True, False])
def test_linear_maps(library, dtype, with_right, with_rest, wide):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(700, 5)).astype(dtype)
    left = rng.normal(size=(5, 2 if with_right else 5))
    right = rng.normal(size=(2, 5)) if with_right else None
    rest = rng.normal(size=5) if with_rest else None
    centre = rng.normal(size=5)
    matrix = left @ (np.eye(5) if right is None else right)
    matrix = matrix + np.diag(np.zeros(5) if rest is None else rest)
    expected = (X.astype(float) - centre) @ matrix
    linear = LinearMap(
        *(None if x is None else library.asarray(x) for x in (left, right, rest))
    )
    xp = namespace(linear.left)
    assert linear.width == 5
    assert linear.size == (20 if with_right else 25)
    assert_allclose(library.to_numpy(linear.dense(xp)), matrix, atol=1e-12)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    for same in (linear, linear.cheapest(xp)):
        rows = Rows(library.asarray(X), "auto")
        options = {"centre": library.asarray(centre), "wide": wide}
        out = library.to_numpy(affine_rows(rows, same, **options))
        assert out.dtype == dtype
        assert_allclose(out, expected, atol=tolerance)
        norms = library.to_numpy(squared_norms(rows, same, **options))
        assert norms.dtype == dtype
        assert_allclose(norms, (expected**2).sum(axis=1), rtol=10 * tolerance)


def test_the_cheapest_form():
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(10, 3)), rng.normal(size=(3, 10))
    xp = namespace(left)
    thin = LinearMap(left, right)
    assert thin.cheapest(xp) is thin
    thick = LinearMap(rng.normal(size=(10, 6)), rng.normal(size=(6, 10)))
    assert thick.cheapest(xp).right is None
    plain = LinearMap(left)
    assert plain.cheapest(xp) is plain


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_lengths_of_rows_that_are_not_finite(library, bad):
    X = np.zeros((9, 3))
    X[4, 1] = bad
    eye, centre = library.asarray(np.eye(3)), library.asarray(np.zeros(3))
    with pytest.raises(ValueError, match="row 4"):
        squared_norms(Rows(library.asarray(X)), LinearMap(eye), centre=centre)
