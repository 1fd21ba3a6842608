"""Solvers of the spectral family: gram = svd = eigh, without anything of size d x d."""

import pickle
import tracemalloc
import warnings

import numpy as np
import oracles_whitening as oracle
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import covariance as sklearn_covariance
from sklearn.base import clone

from sklearn_collapse import ClassMoments
from sklearn_collapse.whitening import SpectralTransformer, SpectralWhitener

METHODS = ("zca", "pca", "cholesky", "zca_cor", "pca_cor")
OF_ROWS = pytest.mark.parametrize("solver", ["svd", "gram"])


def make_rows(n=20, d=50, seed=0, condition=1e3):
    """Fewer rows than features, columns of different size, an offset, three classes."""
    rng = np.random.default_rng(seed)
    sizes = condition ** rng.uniform(-0.5, 0.5, size=d)
    y = rng.permutation(np.arange(n) % 3)
    return rng.normal(size=(n, d)) * sizes + 5 + y[:, None], y


def results(estimator, X):
    Z = estimator.transform(X)
    found = {
        "products": Z @ Z.T,
        "rank": estimator.rank_,
        "kept": estimator.n_components_,
        "values": estimator.eigenvalues_,
        "mean": estimator.mean_,
        "covariance": estimator.covariance_,
    }
    if hasattr(estimator, "inverse_transform"):
        found["back"] = estimator.inverse_transform(Z)
    if hasattr(estimator, "score_samples"):
        found["scores"] = estimator.score_samples(X)
    return found


def assert_same(estimator, X, y, rtol=1e-9, **options):
    """The solver of the estimator and "eigh" give the same on rows old and new."""
    a = clone(estimator).fit(X, y, **options)
    b = clone(estimator).set_params(solver="eigh").fit(X, y, **options)
    assert (a.solver_, b.solver_) == (estimator.solver, "eigh")
    assert not hasattr(a, "moments_")
    new = X[:7] + np.random.default_rng(9).normal(size=(7, X.shape[1]))
    for rows in (X, new):
        expected = results(b, rows)
        for name, value in results(a, rows).items():
            size = np.max(np.abs(expected[name]))
            assert_allclose(
                value, expected[name], rtol=rtol, atol=rtol * size, err_msg=name
            )


OPTIONS = [
    {},
    {"scatter": "within"},
    {"ddof": 1},
    {"n_components": 5},
    {"n_components": 0.8, "scatter": "within", "ddof": 3},
    {"rank_tol": 1e-2},
    {"n_components": 4, "shrinkage": "oas"},
    {"n_components": 4, "floor": 0.05},
]


# Shrunk correlations are no function of few rows: see test_shrunk_correlations.
COMBINATIONS = [
    (method, options)
    for method in METHODS
    for options in OPTIONS
    if not (method.endswith("cor") and "shrinkage" in options)
]


@pytest.mark.parametrize(("method", "options"), COMBINATIONS, ids=str)
@pytest.mark.parametrize("shape", [(20, 50), (30, 31), (40, 40), (60, 12)], ids=str)
@OF_ROWS
def test_solvers_agree(solver, method, shape, options):
    X, y = make_rows(*shape)
    # As many rows as features leave tiny eigenvalues, of which eigh has few digits.
    rtol = 1e-7 if shape[0] == shape[1] else 1e-9
    assert_same(SpectralWhitener(method, solver=solver, **options), X, y, rtol=rtol)


@pytest.mark.parametrize("shrinkage", [0.2, 1.0, "oas", "ledoit_wolf"])
@pytest.mark.parametrize("scatter", ["total", "within"])
@OF_ROWS
def test_shrinkage_fills_the_space(solver, scatter, shrinkage):
    """All directions count; those beyond the rows share one eigenvalue."""
    X, y = make_rows()
    whitener = SpectralWhitener(solver=solver, shrinkage=shrinkage, scatter=scatter)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(whitener, X, y)
    fitted = whitener.fit(X, y)
    assert fitted.rank_ == fitted.n_components_ == 50
    if shrinkage == "ledoit_wolf" and scatter == "total":
        theirs = sklearn_covariance.LedoitWolf().fit(X)
        assert fitted.shrinkage_ == pytest.approx(theirs.shrinkage_, rel=1e-9)
        assert_allclose(fitted.covariance_, theirs.covariance_, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("method", ["zca", "zca_cor"])
@pytest.mark.parametrize("floor", ["auto", 1e-3, 1.0])
@OF_ROWS
def test_floor_fills_the_space(solver, floor, method):
    X, y = make_rows()
    # What is inverted has a condition of up to 1e14 with "auto".
    rtol = 1e-6 if floor == "auto" else 1e-9
    assert_same(SpectralWhitener(method, solver=solver, floor=floor), X, y, rtol=rtol)


@pytest.mark.parametrize(
    "options",
    [
        {"exponent": 0.3},
        {"exponent": 0},
        {"transfer": "soft", "epsilon": 0.01},
        {"transfer": "soft", "epsilon": 0},
        {"transfer": "band", "band": (0.2, 0.9)},
        {"transfer": "band", "band": (0.3, 1)},
        {"transfer": "drop_top", "n_drop": 3},
        {"transfer": "direct_pred", "scatter": "within"},
        {"transfer": np.log1p, "n_components": 6},
    ],
    ids=str,
)
@OF_ROWS
def test_transfers_agree(solver, options):
    X, y = make_rows()
    assert_same(SpectralTransformer(solver=solver, **options), X, y)


@OF_ROWS
def test_weights(solver):
    X, y = make_rows()
    weights = np.arange(len(X)) % 3 / 2
    whitener = SpectralWhitener(solver=solver, scatter="within", shrinkage=0.1)
    assert_same(whitener, X, y, sample_weight=weights)


@OF_ROWS
def test_within_then_total(solver):
    """What was fitted within classes knows the total covariance as well."""
    X, y = make_rows()
    a = SpectralWhitener(solver=solver, scatter="within").fit(X, y)
    a.set_params(scatter="total")
    b = SpectralWhitener(solver=solver).fit(X)
    assert a.rank_ == b.rank_ == 19
    assert_allclose(a.whitening_, b.whitening_, rtol=1e-7, atol=1e-9)


@OF_ROWS
def test_on_every_library(library, solver):
    X, _ = make_rows()
    for method, options in (("zca", {"shrinkage": 0.1}), ("zca_cor", {}), ("pca", {})):
        whitener = SpectralWhitener(method, solver=solver, **options)
        expected = clone(whitener).fit(X).transform(X)
        Z = whitener.fit(library.asarray(X)).transform(library.asarray(X))
        assert library.owns(Z)
        assert_allclose(library.to_numpy(Z), expected, atol=1e-9)


@OF_ROWS
@pytest.mark.parametrize("condition", [1e4, 1e6, 1e9])
def test_ill_conditioned(solver, condition):
    """Where eigh of the covariance has few digits, the output is white all the same."""
    rng = np.random.default_rng(3)
    left = np.linalg.qr(rng.normal(size=(30, 29)))[0]
    left = np.linalg.qr(left - left.mean(axis=0))[0]
    right = np.linalg.qr(rng.normal(size=(80, 29)))[0]
    X = left * np.geomspace(1, condition**-0.5, 29) @ right.T
    X = X - X.mean(axis=0)
    whitener = SpectralWhitener(solver=solver).fit(X)
    rank = np.linalg.matrix_rank(X, tol=1e-7)
    assert whitener.rank_ == rank
    Z = whitener.transform(X)
    values = np.linalg.svd(Z, compute_uv=False)[:rank] / np.sqrt(30)
    assert_allclose(values, 1, atol=1e-8)
    exact = np.linalg.svd(X, compute_uv=False)[:rank] ** 2 / 30
    assert_allclose(whitener.eigenvalues_, exact, rtol=1e-6)


def test_svd_keeps_digits_of_small_eigenvalues():
    rng = np.random.default_rng(4)
    left = np.linalg.qr(rng.normal(size=(30, 10)))[0]
    left = np.linalg.qr(left - left.mean(axis=0))[0]
    right = np.linalg.qr(rng.normal(size=(40, 10)))[0]
    X = left * np.geomspace(1, 1e-6, 10) @ right.T
    found = SpectralWhitener(solver="svd").fit(X).eigenvalues_
    assert_allclose(found, np.geomspace(1, 1e-12, 10) / 30, rtol=1e-8)


@OF_ROWS
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_narrow_input(solver, dtype):
    X, _ = make_rows(condition=10)
    X = X.astype(dtype)
    a = SpectralWhitener(solver=solver).fit(X)
    assert a.rank_ == SpectralWhitener(solver="eigh").fit(X).rank_
    Z = a.transform(X)
    assert Z.dtype == np.float32
    expected = oracle.root(oracle.covariance(X), -0.5, 19)
    exact = X.astype(float) - X.astype(float).mean(axis=0)
    assert_allclose(Z, exact @ expected, atol=1e-4)


@OF_ROWS
def test_degenerate_rows(solver):
    X, _ = make_rows(12, 30)
    copied = np.hstack([X, X])
    constant = X.copy()
    constant[:, 3] = 7.0
    for rows, rank in ((copied, 11), (constant, 11), (X[:2], 1), (X[[0] * 5], 0)):
        whitener = SpectralWhitener(solver=solver).fit(rows)
        assert whitener.rank_ == rank
        Z = whitener.transform(rows)
        assert_allclose(Z, SpectralWhitener().fit_transform(rows), atol=1e-9)
        assert np.isfinite(Z).all()


@pytest.mark.parametrize("shape", [(12, 40), (60, 20)], ids=str)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scatter", ["total", "within"])
@OF_ROWS
def test_dead_units(solver, scatter, method, shape):
    """Constant columns have no variance, whatever orthogonal rows leave of them."""
    for seed in range(3):
        X, y = make_rows(*shape, seed=seed)
        X[:, 3] = 0
        X[:, 7] = 4.0
        X[:, 11] = y  # constant within classes
        whitener = SpectralWhitener(method, solver=solver, scatter=scatter)
        assert_same(whitener, X, y)
        lit = X.copy()
        lit[:, [3, 7]] += 1e-6
        moved = whitener.fit(X, y).transform(lit)
        assert_allclose(moved, whitener.transform(X), atol=1e-4)


@pytest.mark.parametrize("method", ["zca", "zca_cor"])
@OF_ROWS
def test_collapsed_classes(solver, method):
    """Nothing varies within classes."""
    X, y = make_rows()
    X = X[:3][y]
    whitener = SpectralWhitener(method, solver=solver, scatter="within").fit(X, y)
    assert whitener.rank_ == 0
    assert_allclose(whitener.transform(X), 0)
    total = SpectralWhitener(method, solver=solver)
    assert_same(total, X, y)
    constant = total.fit(np.full((5, 7), 0.1))
    assert constant.rank_ == 0


def test_rounding_of_the_input_in_correlations():
    """Columns judged each by its own rounding: float32 of large mean, small spread."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12, 40))
    X[:, :20] = X[:, :20] * 1e-4 + 1e4
    X = X.astype(np.float32)
    for solver in ("svd", "gram"):
        assert_same(SpectralWhitener("zca_cor", solver=solver), X, None, rtol=1e-5)


# -- large -------------------------------------------------------------------------


@OF_ROWS
def test_nothing_of_size_d_by_d(solver):
    """d = 20,000: a d x d array would be 3.2 GB."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 20_000)).astype(np.float32)
    tracemalloc.start()
    whitener = SpectralWhitener(solver=solver, shrinkage="oas").fit(X)
    Z = whitener.transform(X)
    back = whitener.inverse_transform(Z)
    scores = whitener.score_samples(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * X.astype(float).nbytes
    assert_allclose(back, X, atol=1e-3)
    assert np.isfinite(scores).all()
    assert whitener.eigenvalues_.shape == (20_000,)


@OF_ROWS
def test_factors_are_kept(solver):
    """Also where multiplying them would be cheaper: d < 2 n."""
    X, _ = make_rows(60, 100)
    for estimator in (
        SpectralWhitener(solver=solver),
        SpectralWhitener("zca_cor", solver=solver),
        SpectralWhitener(solver=solver, shrinkage=0.1),
        SpectralTransformer(solver=solver, exponent=0.2),
        SpectralTransformer("drop_top", n_drop=40, solver=solver),
    ):
        fitted = estimator.fit(X)._fitted()
        for linear in (fitted.forward, fitted.backward, fitted.lengths):
            arrays = [] if linear is None else [x for x in linear if x is not None]
            assert all(array.shape != (100, 100) for array in arrays)


def test_many_rows_make_no_square():
    """With gram as well nothing is n x n."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6000, 5))
    tracemalloc.start()
    SpectralWhitener(solver="gram").fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * X.nbytes


def test_auto_takes_gram_where_it_pays():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 1100))
    fitted = SpectralWhitener().fit(X)
    assert fitted.solver_ == "gram"
    assert SpectralTransformer("drop_top").fit(X).solver_ == "gram"
    expected = SpectralWhitener(solver="eigh").fit(X)
    assert expected.solver_ == "eigh"
    assert_allclose(fitted.transform(X), expected.transform(X), atol=1e-9)
    # Not for few features, nor where all d directions are asked for.
    assert SpectralWhitener().fit(X[:, :100]).solver_ == "eigh"
    assert SpectralWhitener().fit(rng.normal(size=(700, 1100))).solver_ == "eigh"
    needs_all = SpectralWhitener("pca", shrinkage=0.1)
    assert needs_all.fit(X).transform(X).shape == (40, 1100)
    assert needs_all.solver_ == "eigh"
    assert SpectralWhitener("zca_cor", shrinkage=0.1).fit(X).solver_ == "eigh"
    with pytest.raises(ValueError, match="solver='eigh' to continue"):
        fitted.partial_fit(X)
    assert_allclose(fitted.transform(X), expected.transform(X), atol=1e-9)
    # Another fit starts afresh.
    assert fitted.fit(X[:, :100]).solver_ == "eigh"
    assert fitted.partial_fit(X[:, :100]).moments_.n_samples_ == 80


# -- errors ------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [SpectralWhitener(), SpectralTransformer()])
@OF_ROWS
def test_no_streaming(estimator, solver):
    X, _ = make_rows()
    estimator = clone(estimator).set_params(solver=solver)
    for name, argument in (("partial_fit", X), ("fit_moments", ClassMoments(50))):
        assert not hasattr(estimator, name)
        for error in (ValueError, AttributeError):
            with pytest.raises(error, match=f"solver='{solver}', which needs all rows"):
                getattr(estimator, name)(argument)
    assert not hasattr(estimator, "n_features_in_")
    assert hasattr(estimator.set_params(solver="eigh"), "partial_fit")


@pytest.mark.parametrize("method", ["pca", "cholesky"])
@OF_ROWS
def test_directions_that_are_not_known(solver, method):
    X, _ = make_rows()
    whitener = SpectralWhitener(method, solver=solver, shrinkage=0.1)
    with pytest.raises(ValueError, match="50 directions are to be kept, but the rows"):
        whitener.fit(X)
    assert not hasattr(whitener, "mean_")
    known = whitener.set_params(n_components=19).fit(X)
    assert known.transform(X).shape == (20, 19)
    with pytest.raises(ValueError, match=r"Pass n_components of at most 20|span 19"):
        whitener.set_params(n_components=30).fit(X)


@OF_ROWS
def test_shrunk_correlations(solver):
    X, _ = make_rows()
    with pytest.raises(ValueError, match="Correlations of a shrunk covariance"):
        SpectralWhitener("zca_cor", solver=solver, shrinkage=0.1).fit(X)


@OF_ROWS
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_rows_that_are_not_finite(solver, bad):
    X, _ = make_rows()
    X[7, 3] = bad
    with pytest.raises(ValueError, match=r"row 7|large"):
        SpectralWhitener(solver=solver).fit(X)


@OF_ROWS
def test_pickle_leaves_out_what_can_be_computed(solver):
    X, _ = make_rows(20, 400)
    fitted = SpectralWhitener(solver=solver).fit(X)
    state = pickle.dumps(fitted)
    assert len(state) < 3 * X.nbytes
    assert_array_equal(pickle.loads(state).transform(X), fitted.transform(X))
