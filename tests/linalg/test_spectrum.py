"""The rank rule and the one inverse of a covariance."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse import ClassMoments
from sklearn_collapse._linalg._spectrum import (
    Spectrum,
    eigh_by_rank,
    floored_inverse,
    input_noise,
)
from sklearn_collapse.utils._arrays import namespace

EPS = {"float64": 2.0**-52, "float32": 2.0**-23}


@pytest.fixture
def xp(library):
    return namespace(library.asarray(np.zeros(1)))


def silent(squared_vectors):
    """No rounding of the input."""
    return 0 * squared_vectors[0, :]


def decompose(library, matrix, noise=silent, eps=EPS["float64"], rank_tol=None):
    matrix = library.asarray(np.asarray(matrix, dtype=float))
    return eigh_by_rank(matrix, noise, eps, rank_tol, namespace(matrix))


def rotation(d, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


def spectrum_of(X, y=None, which="total", **kwargs):
    return ClassMoments().update(X, y)._spectrum(which, **kwargs)


# -- one decomposition -----------------------------------------------------------------


def test_decomposition(library):
    turn, values = rotation(5), np.array([7.0, 3.0, 1.0, 1.0, 0.2])
    matrix = (turn * values) @ turn.T
    found = decompose(library, (matrix + matrix.T) / 2)
    assert library.owns(found.values)
    assert library.owns(found.vectors)
    vectors = np.asarray(found.vectors)
    assert_allclose(np.asarray(found.values), values, rtol=1e-13)
    assert_allclose((vectors * values) @ vectors.T, matrix, rtol=0, atol=1e-14 * 10)
    assert_allclose(vectors.T @ vectors, np.eye(5), rtol=0, atol=1e-14)
    assert found.rank == 5
    assert found.largest == pytest.approx(7, rel=1e-14)
    assert type(found.rank) is int
    assert type(found.floor) is float


def test_rounding_below_zero_is_zero(library):
    found = decompose(library, np.diag([1.0, -1e-18, 0.0]))
    assert_array_equal(np.asarray(found.values), [1, 0, 0])
    assert found.rank == 1


@pytest.mark.parametrize("product", ["float64", "float32"])
@pytest.mark.parametrize(("d", "factor"), [(4, 10), (100, 10), (144, 12)])
@pytest.mark.parametrize("scale", [1e-12, 1, 1e12])
def test_rounding_of_the_product(product, d, factor, scale):
    # max(10, sqrt(d)) eps lambda_1, of diagonal matrices: eigh is exact on them.
    limit = factor * EPS[product]
    values = np.ones(d)
    values[3], values[1] = 1.001 * limit, 0.999 * limit
    matrix = scale * np.diag(values)
    found = eigh_by_rank(matrix, silent, EPS[product], None, namespace(matrix))
    assert found.rank == d - 1
    assert found.floor == pytest.approx(scale * limit, rel=1e-12)
    assert found.values[d - 2] == scale * values[3]
    assert found.values[d - 1] == scale * values[1]


def test_input_noise(library, xp):
    rng = np.random.default_rng(0)
    vectors = rotation(6)[:, :4]
    square = rng.uniform(size=6) * 10.0 ** np.arange(6)
    eps = 2.0**-23
    for n in (2.0, 100.0, 1e6):
        inflation = max(1, (1 + math.sqrt(6 / n)) ** 2 / 12)
        expected = [
            eps**2 * inflation * sum(v[j] ** 2 * square[j] for j in range(6))
            for v in vectors.T
        ]
        squared, mean_square = library.asarray(vectors**2), library.asarray(square)
        found = input_noise(squared, mean_square, n, eps, xp)
        assert_allclose(np.asarray(found), expected, rtol=1e-13)
    assert (1 + math.sqrt(6 / 2)) ** 2 / 12 < 1 < (1 + math.sqrt(600 / 2)) ** 2 / 12


def test_input_noise_of_many_more_features_than_rows():
    squared, square = np.full((600, 1), 1 / 600), np.ones(600)
    expected = (1 + math.sqrt(600 / 2)) ** 2 / 12
    found = input_noise(squared, square, 2.0, 1.0, namespace(square))
    assert_allclose(found, [expected], rtol=1e-12)


def test_a_direction_with_a_large_threshold_does_not_count(library):
    # The second direction is larger than the third and still nothing but noise.
    noise = np.array([0.1, 5.0, 0.1, 0.3])

    def rounding(squared_vectors):
        xp = namespace(squared_vectors)
        return xp.matmul(xp.matrix_transpose(squared_vectors), library.asarray(noise))

    found = decompose(library, np.diag([3.0, 2.0, 1.0, 0.2]), rounding)
    assert found.rank == 2
    assert_allclose(np.asarray(found.values), [3, 1, 2, 0.2], rtol=1e-15)
    order = np.abs(np.asarray(found.vectors)).argmax(axis=0)
    assert_array_equal(order, [0, 2, 1, 3])
    assert found.floor == pytest.approx((5 + 0.3) / 2)


def test_floor_when_all_directions_count(library):
    def rounding(squared_vectors):
        xp = namespace(squared_vectors)
        level = library.asarray(np.array([0.1, 0.4, 0.2]))
        return xp.matmul(xp.matrix_transpose(squared_vectors), level)

    found = decompose(library, np.diag([3.0, 2.0, 1.0]), rounding)
    assert (found.rank, found.floor) == (3, pytest.approx(0.1))


def test_floor_does_not_depend_on_the_basis_of_the_null_space(library):
    # The threshold differs between directions; its mean is a trace.
    level = np.array([1.0, 2.0, 5.0, 9.0, 20.0])

    def rounding(squared_vectors):
        xp = namespace(squared_vectors)
        return xp.matmul(xp.matrix_transpose(squared_vectors), library.asarray(level))

    kept = rotation(5)[:, :2]
    matrix = 1000 * kept @ kept.T
    found = decompose(library, (matrix + matrix.T) / 2, rounding)
    null = np.eye(5) - kept @ kept.T
    assert found.rank == 2
    assert found.floor == pytest.approx(np.trace(null @ np.diag(level)) / 3, rel=1e-12)


@pytest.mark.parametrize(("rank_tol", "rank"), [(0, 4), (1e-3, 3), (0.4, 2), (0.99, 1)])
@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
def test_rank_tol(library, rank_tol, rank, scale):
    matrix = scale * np.diag([2.0, 1.0, 0.5, 1e-12])
    found = decompose(library, matrix, lambda v: 1e3 + silent(v), rank_tol=rank_tol)
    assert found.rank == rank
    assert found.floor == pytest.approx(rank_tol * 2 * scale)


def test_zero_matrix(library):
    found = decompose(library, np.zeros((3, 3)))
    assert (found.rank, found.floor, found.largest) == (0, 0, 0)
    assert_array_equal(np.asarray(found.values), 0)


# -- the rank of rows ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
@pytest.mark.parametrize("offset", [0, 100])
def test_full_rank(library, dtype, scale, offset):
    rng = np.random.default_rng(0)
    y = np.arange(80) % 4
    X = rng.normal(size=(80, 6)) * np.geomspace(1, 1e-2, 6) + y[:, None] + offset
    X = library.asarray((scale * X).astype(dtype))
    for which in ("within", "total"):
        assert spectrum_of(X, y, which).rank == 6


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
def test_fewer_rows_than_features(library, dtype, scale, precision):
    rng = np.random.default_rng(1)
    for n, d, offset in ((12, 30, 0), (12, 30, 10), (5, 50, 1), (3, 4, 0)):
        y = np.arange(n) % 3
        X = (scale * (rng.normal(size=(n, d)) + offset)).astype(dtype)
        moments = ClassMoments(precision=precision).update(library.asarray(X), y)
        assert moments._spectrum("within").rank == n - 3
        assert moments._spectrum("total").rank == n - 1


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
@pytest.mark.parametrize("offset", [0, 1, 1e3])
def test_copied_columns(library, dtype, scale, offset):
    rng = np.random.default_rng(2)
    X = (scale * (rng.normal(size=(100, 4)) + offset)).astype(dtype)
    X = np.hstack([X, X[:, ::-1], X[:, :1]])
    assert spectrum_of(library.asarray(X)).rank == 4


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("value", [0, 0.1, 1e4 / 3, 1e8 / 3])
@pytest.mark.parametrize("n", [100, 10_000])
def test_constant_columns(library, n, dtype, value):
    X = np.random.default_rng(3).normal(size=(n, 5)).astype(dtype)
    X[:, [1, 4]] = value
    assert spectrum_of(library.asarray(X)).rank == 3


@pytest.mark.parametrize("n", [30, 3000])
@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
@pytest.mark.parametrize("offset", [0, 10, 1e3])
def test_dependence_up_to_rounding_of_the_input(library, offset, scale, n):
    # The third column is the sum of the others, rounded to float32: in float64 the
    # covariance has full rank, and the last eigenvalue is rounding of the input.
    rng = np.random.default_rng(4)
    X = (scale * (rng.normal(size=(n, 2)) + offset)).astype(np.float32)
    X = np.hstack([X, X.sum(axis=1, keepdims=True)])
    assert X.dtype == np.float32
    assert spectrum_of(library.asarray(X)).rank == 2
    if offset:  # the same numbers, known to be exact, do have three directions
        assert spectrum_of(library.asarray(X.astype(float))).rank == 3


def test_dependence_on_means_alone_is_judged_for_each_direction():
    # A large mean in one column must not hide a small, exact spread in another.
    rng = np.random.default_rng(5)
    X = rng.normal(size=(200, 3)) * [1, 1, 1e-4] + [1e4, 0, 0]
    X = X.astype(np.float32)
    assert np.ptp(X[:, 2]) > 0
    assert spectrum_of(X).rank == 3


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e3, 1e6])
def test_rank_ignores_scale(scale):
    rng = np.random.default_rng(6)
    turn = rotation(12, seed=1)
    X = (rng.normal(size=(300, 12)) * np.geomspace(1, 1e-7, 12)) @ turn + 1
    for dtype, rank in ((np.float64, 12), (np.float32, 11)):
        for factor in (1, scale):
            assert spectrum_of((factor * X).astype(dtype)).rank == rank


def test_rank_of_single_products():
    # Eigenvalues below 1e-7 of the largest are rounding of float32 products.
    X = np.random.default_rng(7).normal(size=(300, 4)) * [1, 1, 1e-2, 1e-5]
    assert spectrum_of(X).rank == 4
    single = ClassMoments(precision="single").update(X)._spectrum("total")
    assert single.rank == 3
    values = np.linalg.eigvalsh(np.cov(X.T, ddof=0))
    assert single.floor == pytest.approx(10 * EPS["float32"] * values[-1], rel=1e-5)


@pytest.mark.parametrize("n", [90, 3000])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_within_rank_of_collapsed_rows(library, dtype, n):
    rng = np.random.default_rng(8)
    y = np.arange(n) % 3
    X = rng.normal(size=(3, 5))[y].astype(dtype)
    assert spectrum_of(library.asarray(X), y, "within").rank == 0
    assert spectrum_of(library.asarray(X), y, "total").rank == 2
    # A within-class spread is judged by its own size, not by that of the means.
    nearly = (X + 1e-5 * rng.normal(size=X.shape)).astype(dtype)
    assert spectrum_of(library.asarray(nearly), y, "within").rank == 5


def test_zero_rows(library):
    spectrum = spectrum_of(library.asarray(np.zeros((5, 3))))
    assert (spectrum.rank, spectrum.floor) == (0, 0)


def test_spectrum_of_moments(library):
    rng = np.random.default_rng(9)
    y = np.arange(60) % 3
    X = rng.normal(size=(60, 4)) + y[:, None]
    moments = ClassMoments().update(library.asarray(X), y)
    within = sum(np.cov(X[y == c].T, ddof=0) for c in range(3)) / 3
    total = np.cov(X.T, ddof=0)
    for which, expected in (("within", within), ("total", total)):
        values = np.asarray(moments._spectrum(which).values)
        assert_allclose(values, np.linalg.eigvalsh(expected)[::-1], rtol=1e-11)
    assert_array_equal(
        np.asarray(moments._spectrum().values),
        np.asarray(moments._spectrum("within").values),
    )
    target = np.trace(total) / 4 * np.eye(4)
    shrunk = np.linalg.eigvalsh(0.7 * total + 0.3 * target)[::-1]
    found = moments._spectrum("total", shrinkage=0.3).values
    assert_allclose(np.asarray(found), shrunk, rtol=1e-11)
    assert moments._spectrum("total", rank_tol=0.999).rank == 1


def test_spectrum_follows_updates():
    rng = np.random.default_rng(10)
    X = rng.normal(size=(40, 3))
    moments = ClassMoments().update(X[:20])
    first = moments._spectrum("total").values
    assert_array_equal(moments._spectrum("total").values, first)
    moments.update(X[20:])
    expected = np.linalg.eigvalsh(np.cov(X.T, ddof=0))[::-1]
    assert_allclose(moments._spectrum("total").values, expected, rtol=1e-12)
    moments.merge(ClassMoments().update(5 * X))
    expected = np.linalg.eigvalsh(np.cov(np.vstack([X, 5 * X]).T, ddof=0))[::-1]
    assert_allclose(moments._spectrum("total").values, expected, rtol=1e-12)


# -- the inverse -----------------------------------------------------------------------


def a_spectrum(library, values, rank, floor):
    values = np.array(values)
    vectors = library.asarray(rotation(len(values)))
    return Spectrum(library.asarray(values), vectors, rank, floor)


def test_floor_auto(library, xp):
    # Kept eigenvalues are untouched, even below the floor; the others are raised.
    spectrum = a_spectrum(library, [5.0, 2.0, 1e-9, 1e-12, 0.0], 3, 1e-6)
    inverse, floor = floored_inverse(spectrum, xp=xp)
    assert library.owns(inverse)
    assert_allclose(np.asarray(inverse), [0.2, 0.5, 1e9, 1e6, 1e6], rtol=1e-15)
    assert floor == 1e-6


def test_floor_auto_with_a_level(library, xp):
    spectrum = a_spectrum(library, [5.0, 2.0, 0.0], 2, 1e-6)
    inverse, floor = floored_inverse(spectrum, level=0.25, xp=xp)
    assert_allclose(np.asarray(inverse), [0.2, 0.5, 4], rtol=1e-15)
    assert floor == 0.25


def test_floor_auto_never_lowers_an_eigenvalue(library, xp):
    # A dropped eigenvalue above the mean threshold stays where it is.
    spectrum = a_spectrum(library, [5.0, 1.0, 2.0, 0.1], 2, 1.0)
    inverse, _ = floored_inverse(spectrum, xp=xp)
    assert_allclose(np.asarray(inverse), [0.2, 1, 0.5, 1], rtol=1e-15)


def test_floor_zero_is_the_pseudo_inverse(library, xp):
    X = np.random.default_rng(0).normal(size=(40, 4))
    X = np.hstack([X, X[:, :2]])
    spectrum = ClassMoments().update(library.asarray(X))._spectrum("total")
    inverse, floor = floored_inverse(spectrum, 0, xp=xp)
    assert floor == 0
    assert_array_equal(np.asarray(inverse)[4:], 0)
    vectors = np.asarray(spectrum.vectors)
    found = (vectors * np.asarray(inverse)) @ vectors.T
    expected = np.linalg.pinv(np.cov(X.T, ddof=0), rcond=1e-10, hermitian=True)
    assert_allclose(found, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("floor", [1e-3, 0.3, 1.0])
def test_positive_floor_is_a_share_of_the_largest(library, xp, floor):
    values = [4.0, 2.0, 1e-2, 1e-20, 0.0]
    spectrum = a_spectrum(library, values, 3, 1e-15)
    inverse, used = floored_inverse(spectrum, floor, xp=xp)
    expected = [1 / max(v, floor * 4) for v in values]
    assert_allclose(np.asarray(inverse), expected, rtol=1e-15)
    assert used == floor * 4


@pytest.mark.parametrize("floor", ["auto", 0.1])
@pytest.mark.parametrize(("level", "expected"), [(None, 1.0), (0.25, 4.0)])
def test_zero_matrix_is_raised_to_the_level(library, xp, floor, level, expected):
    spectrum = decompose(library, np.zeros((3, 3)))
    inverse, used = floored_inverse(spectrum, floor, level=level, xp=xp)
    assert_array_equal(np.asarray(inverse), [expected] * 3)
    assert used == 1 / expected


def test_pseudo_inverse_of_a_zero_matrix(library, xp):
    inverse, used = floored_inverse(decompose(library, np.zeros((3, 3))), 0, xp=xp)
    assert_array_equal(np.asarray(inverse), 0)
    assert used == 0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("floor", ["auto", 0, 1e-3])
def test_inverse_does_not_depend_on_the_basis_of_the_null_space(library, floor, dtype):
    rng = np.random.default_rng(11)
    X = (rng.normal(size=(20, 40)) * np.geomspace(1, 0.1, 40) + 2).astype(dtype)
    spectrum = ClassMoments().update(library.asarray(X))._spectrum("total")
    rank = spectrum.rank
    assert rank == 19
    inverse, _ = floored_inverse(spectrum, floor, xp=namespace(spectrum.values))
    inverse = np.asarray(inverse)
    # One number for the whole null space …
    assert_array_equal(inverse[rank:], inverse[rank])
    # … so that another basis of it gives the same matrix.
    vectors = np.asarray(spectrum.vectors)
    turned = vectors.copy()
    turned[:, rank:] = vectors[:, rank:] @ rotation(21)
    one, two = ((v * inverse) @ v.T for v in (vectors, turned))
    assert_allclose(one, two, rtol=0, atol=1e-12 * inverse.max())


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("floor", ["auto", 0, 1e-3])
def test_inverse_scales_with_the_rows(floor, scale):
    X = np.random.default_rng(12).normal(size=(30, 5))
    X = np.hstack([X, X[:, :1]])
    found = []
    for factor in (1, scale):
        spectrum = spectrum_of(factor * X)
        inverse, used = floored_inverse(spectrum, floor, xp=namespace(X))
        found.append((factor**2 * inverse, used / factor**2))
    assert_allclose(found[0][0], found[1][0], rtol=1e-6)
    assert_allclose(found[0][1], found[1][1], rtol=1e-6)
