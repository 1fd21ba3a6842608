"""Tests of IterNormWhitener against its scalar recursion, and on degenerate data."""

import numpy as np
import oracles_whitening as oracle
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import covariance as sklearn_covariance
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from sklearn_collapse import ClassMoments
from sklearn_collapse._linalg._iternorm import iternorm, most_steps
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.utils import _decompositions
from sklearn_collapse.utils._arrays import namespace
from sklearn_collapse.utils.estimator_checks import check_estimator
from sklearn_collapse.whitening import IterNormWhitener, SpectralWhitener

EPS = np.finfo(float).eps

dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])


def make_rows(seed=0, n=200, d=7):
    """Correlated rows of full rank about an offset, of three classes."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 3)
    mix = rng.normal(size=(d, d))
    return rng.normal(size=(n, d)) @ mix + 3.0 + y[:, None] * np.linspace(-1, 1, d), y


def spread_rows(condition, d=8, n=100, seed=0):
    """Rows whose covariance has the condition number, about an offset."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d))
    rows = np.linalg.qr(rows - rows.mean(axis=0))[0] * np.sqrt(n)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    return rows * np.logspace(0, -np.log10(condition) / 2, d) @ turn + 3.0


def fit(X, n_iter=5, **options):
    return IterNormWhitener(n_iter, **options).fit(X)


def degenerate_rows():
    """Name to rows and their rank."""
    X, _ = make_rows()
    rng = np.random.default_rng(1)
    constant = np.insert(X, [0, 3], [[7.1, -2.5]], axis=1)
    return {
        "rank deficient": (X[:, :4] @ rng.normal(size=(4, 9)), 4),
        "copied columns": (X[:, [0, 0, 1, 2, 1, 3, 4, 5, 6]], 7),
        "constant columns": (constant, 7),
        "fewer rows than columns": (rng.normal(size=(8, 20)), 7),
        "offset 1e4": (X + 1e4, 7),
        "scale 1e-6": (1e-6 * X[:, [0, 0, 1]], 2),
        "scale 1e6": (1e6 * X[:, [0, 0, 1]], 2),
        "two rows": (X[:2], 1),
        "all rows equal": (np.tile(X[:1], (5, 1)), 0),
        "exactly collapsed": (X[np.arange(200) % 4], 3),
    }


DEGENERATE = degenerate_rows()


# -- the recursion -----------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("d", [8, 40])
@pytest.mark.parametrize("condition", [10, 2e4, 1e6])
def test_scalar_recursion(library, dtype, d, condition):
    """W is that of the eigenvalues, to 1e-10 of its largest entry at condition 1e6.

    Eigenvalues carry an error of some eps times the largest, so no form of the
    recursion, and no oracle, can do better than eps times the condition number.
    """
    X = spread_rows(condition, d).astype(dtype)
    S = oracle.covariance(X)  # the oracle sees the same float32 values
    x, U = np.linalg.eigh(S / np.trace(S))
    digits = EPS * (30 + condition / 4)
    of_rows = digits if dtype == "float64" else 2e-5
    whitener = fit(library.asarray(X))
    for n_iter in range(1, 41, 1 if d == 8 else 3):
        whitener.set_params(n_iter=n_iter)
        W, expected = library.to_numpy(whitener.whitening_), oracle.iternorm(S, n_iter)
        assert_allclose(W, expected, atol=digits * np.abs(expected).max())
        assert_array_equal(W, W.T)
        if n_iter % 6 != 4:  # 4, 10, ... 40
            continue
        Z = whitener.transform(library.asarray(X))
        assert library.owns(Z)
        Z = library.to_numpy(Z)
        assert Z.dtype == dtype
        assert_allclose(Z.mean(axis=0), 0, atol=max(of_rows, 1e-10))
        values = x * oracle.newton_factor(x, n_iter) ** 2
        assert (values <= 1 + digits).all()
        expected = U @ np.diag(values) @ U.T
        assert_allclose(oracle.covariance(Z), expected, atol=of_rows)


def test_published_recursion():
    """The same values while it is stable, and after that ours alone."""
    X = spread_rows(2e4)
    S = oracle.covariance(X)
    size = np.abs(oracle.root(S, -0.5)).max()
    for n_iter in (1, 2, 3, 5, 7, 15, 40):
        ours = fit(X, n_iter).whitening_
        assert_allclose(ours, oracle.iternorm(S, n_iter), atol=1e-12 * size)
        published = oracle.published_iternorm(S, min(n_iter, 15))
        if n_iter <= 7:
            assert_allclose(ours, published, atol=1e-12 * size)
        else:
            assert np.abs(published).max() > 1e9 * size


@pytest.mark.parametrize("condition", [10, 1e6])
def test_many_iterations_are_zca(library, condition):
    X = spread_rows(condition)
    S = oracle.covariance(X)
    expected = oracle.root(S, -0.5)
    tolerance = EPS * (30 + condition / 2) * np.abs(expected).max()
    for n_iter in (40, 10_000):
        W = library.to_numpy(fit(library.asarray(X), n_iter).whitening_)
        assert_allclose(W, expected, atol=tolerance)


def test_soft_at_few_iterations():
    """On real features, variances from below 1e-3 to almost 1."""
    data = load_cifar8_features()
    whitener = fit(data.data, 4)
    values = np.linalg.eigvalsh(np.cov(whitener.transform(data.data).T, ddof=0))
    assert values[0] < 1e-3
    assert 0.99 < values[-1] < 1
    S = oracle.covariance(data.data[:500])
    W = fit(data.data[:500], 4).whitening_
    assert_allclose(W, oracle.iternorm(S, 4), atol=1e-11 * np.abs(W).max())
    assert not hasattr(IterNormWhitener(), "score")  # it would take that for white
    assert not hasattr(IterNormWhitener(), "eigenvalues_")


def test_matrix_products_only(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("a decomposition")

    monkeypatch.setattr(_decompositions, "_decompose", refuse)
    for name in ("eig", "eigh", "eigvalsh", "svd", "qr", "cholesky"):
        monkeypatch.setattr(np.linalg, name, refuse)
    X, _ = make_rows()
    whitener = fit(X, 12, n_groups=2, shrinkage="oas")
    whitener.inverse_transform(whitener.transform(X))
    assert whitener.trace_loss_ > 0


# -- groups --------------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("n_groups", [1, 2, 3, 5, 9, 10])
def test_groups(library, n_groups, dtype):
    """Each group as if it were alone; sizes as of array_split."""
    X = make_rows(d=10)[0].astype(dtype)
    whitener = fit(library.asarray(X), n_groups=n_groups)
    S = oracle.covariance(X)
    W = library.to_numpy(whitener.whitening_)
    expected = oracle.iternorm(S, 5, n_groups)
    assert_allclose(W, expected, atol=1e-12 * np.abs(expected).max())
    assert_array_equal(W[expected == 0], 0)
    Z = library.to_numpy(whitener.transform(library.asarray(X)))
    groups = np.array_split(np.arange(10), n_groups)
    assert len(groups) == n_groups
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    for group in groups:
        alone = fit(X[:, group])
        assert_allclose(Z[:, group], alone.transform(X[:, group]), atol=tolerance)


def test_groups_of_one_column_are_standardised():
    X, _ = make_rows()
    for n_iter in (1, 5):
        Z = fit(X, n_iter, n_groups=7).transform(X)
        assert_allclose(Z, (X - X.mean(axis=0)) / X.std(axis=0), atol=1e-13)


def test_rows_are_mapped_group_by_group():
    X, _ = make_rows(d=10)
    assert fit(X, n_groups=3)._fitted().forward.size == 4**2 + 3**2 + 3**2


@pytest.mark.parametrize("n_groups", [1, 3])
@pytest.mark.parametrize("name", ["oas", "ledoit_wolf"])
def test_shrinkage_is_that_of_scikit_learn(library, name, n_groups):
    """Estimated once, of the whole covariance."""
    X, y = make_rows(4, 30, 10)
    S, share = getattr(sklearn_covariance, name)(X)
    whitener = IterNormWhitener(7, n_groups=n_groups, shrinkage=name)
    whitener.fit(library.asarray(X), library.asarray(y))
    assert whitener.shrinkage_ == pytest.approx(share, rel=1e-10)
    W = library.to_numpy(whitener.whitening_)
    expected = oracle.iternorm(S, 7, n_groups)
    assert_allclose(W, expected, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("share", [0, 0.25, 1])
def test_fixed_shrinkage(share):
    X = DEGENERATE["constant columns"][0]
    S = oracle.covariance(X)
    S = (1 - share) * S + share * np.trace(S) / 9 * np.eye(9)
    whitener = fit(X, 6, n_groups=2, shrinkage=share)
    W = whitener.whitening_
    assert_allclose(W, oracle.iternorm(S, 6, 2), atol=1e-12 * np.abs(W).max())
    assert whitener.shrinkage_ == share
    assert fit(X).shrinkage_ == 0


# -- degenerate rows -------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("n_groups", [1, 2])
@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_rows(library, name, n_groups, dtype):
    """Output variances are those of the recursion, in (0, 1]; the rest is finite."""
    X = DEGENERATE[name][0].astype(dtype)
    S = oracle.covariance(X)
    if name == "all rows equal":
        S[:] = 0
    whitener = fit(library.asarray(X), n_groups=n_groups)
    for n_iter in (1, 5, 20):
        whitener.set_params(n_iter=n_iter)
        # Rounding of S is multiplied by P_T^2.
        tolerance = 1e-12 + 8 * EPS * 2.25**n_iter if dtype == "float64" else 1e-4
        Z = library.to_numpy(whitener.transform(library.asarray(X)))
        expected = oracle.iternorm(S, n_iter, n_groups)
        assert_allclose(
            oracle.covariance(Z), expected @ S @ expected, rtol=0, atol=tolerance
        )
        values = np.linalg.eigvalsh(oracle.covariance(Z))
        assert values[-1] < n_groups + tolerance


@dtypes
@pytest.mark.parametrize("n_iter", [41, 46, 1000])
@pytest.mark.parametrize("name", DEGENERATE)
def test_any_number_of_iterations(library, name, n_iter, dtype):
    """Rounding makes some eigenvalues negative, which the recursion would enlarge."""
    X, rank = DEGENERATE[name]
    X = X.astype(dtype)
    whitener = fit(library.asarray(X), n_iter)
    values = np.linalg.eigvalsh(library.to_numpy(whitener.whitening_))
    if not rank:
        assert_array_equal(values, 0)
        return
    S = oracle.covariance(X)
    values = values * np.sqrt(np.trace(S))
    assert values[0] > 1 - 1e-6
    # Not much more than a direction without variance may get.
    assert values[-1] < 2 * 1.5 ** min(n_iter, most_steps(X.shape[1], EPS))
    Z = library.to_numpy(whitener.transform(library.asarray(X)))
    found = np.linalg.eigvalsh(oracle.covariance(Z))
    assert found[-1] < 1 + 1e-4
    assert_allclose(found[len(found) - rank :], 1, atol=1e-4)


def test_null_directions_grow_by_half_per_iteration():
    X, rank = DEGENERATE["rank deficient"]
    whitener = fit(X)
    size = np.sqrt(np.trace(oracle.covariance(X)))
    for n_iter in (1, 4, 9, 20, 30):
        whitener.set_params(n_iter=n_iter)
        values = np.linalg.eigvalsh(whitener.whitening_)[rank:] * size
        assert_allclose(values, 1.5**n_iter, rtol=1e-5)


@pytest.mark.parametrize("eps", [2.0**-52, 2.0**-23])
@pytest.mark.parametrize("k", [1, 30, 4000])
def test_last_iteration(k, eps):
    """Rounding cannot grow before it; what is larger has converged."""
    rounding = max(10, np.sqrt(k)) * eps
    last = most_steps(k, eps)
    x = np.array([-rounding, 0, 100 * rounding])
    factors = oracle.newton_factor(x, last)
    assert factors[0] < 2 * factors[1]
    assert factors[0] ** 2 * rounding < 4
    assert x[2] * factors[2] ** 2 == pytest.approx(1, rel=1e-12)
    with np.errstate(over="ignore"):
        assert oracle.newton_factor(x[:1], last + 8)[0] > 1e50


def test_float32_products():
    """Negative eigenvalues are then as large as 1e-7; iterations end earlier."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 5)) @ rng.normal(size=(5, 40))
    moments = ClassMoments.from_arrays(X.astype(np.float32), precision="single")
    S = moments.total_covariance()
    assert np.linalg.eigvalsh(S)[0] < -1e-9 * np.trace(S)
    whitener = IterNormWhitener(200).fit_moments(moments)
    values = np.linalg.eigvalsh(whitener.whitening_) * np.sqrt(np.trace(S))
    assert values[-1] < 2 * 1.5**17
    found = np.linalg.eigvalsh(oracle.covariance(whitener.transform(X)))
    assert_allclose(found[-5:], 1, atol=1e-4)


def test_constant_groups(library):
    """They are 0 for whatever row, and come back as their mean."""
    X, _ = make_rows(d=6)
    X = np.insert(X, [0, 0, 4, 4], [[7.0, 0.1, -2.5, 1e5 / 3]], axis=1)
    where = [0, 1, 6, 7]
    assert_array_equal(X[:, where], X[:1][:, where].repeat(200, axis=0))
    whitener = fit(library.asarray(X), 9, n_groups=5)
    moved = X + np.isin(np.arange(10), where)
    Z = library.to_numpy(whitener.transform(library.asarray(moved)))
    assert_array_equal(Z[:, where], 0)
    rest = [2, 3, 4, 5, 8, 9]
    expected = fit(X[:, rest], 9, n_groups=3).transform(X[:, rest])
    assert_allclose(Z[:, rest], expected, atol=1e-12)
    back = library.to_numpy(whitener.inverse_transform(library.asarray(Z)))
    assert_allclose(back, X, rtol=1e-12)
    loss = fit(X[:, rest], 9, n_groups=3).trace_loss_
    assert whitener.trace_loss_ == pytest.approx(loss + 4, rel=1e-9)


@dtypes
def test_all_rows_equal(library, dtype):
    X = DEGENERATE["all rows equal"][0].astype(dtype)
    for shrinkage in (None, 0.5, "oas", "ledoit_wolf"):
        whitener = fit(library.asarray(X), shrinkage=shrinkage)
        assert whitener.trace_loss_ == 7
        Z = whitener.transform(library.asarray(X + 1))
        assert_array_equal(library.to_numpy(Z), 0)
        back = library.to_numpy(whitener.inverse_transform(Z))
        assert_allclose(back, X, rtol=np.finfo(dtype).eps)


def test_columns_that_are_constant_to_rounding():
    """Flips of the last bit about an offset are no feature."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4)).astype(np.float32)
    X[:, 2] = np.float32(1e4) + rng.choice([0, 2**-10], size=400)
    assert len(np.unique(X[:, 2])) == 2
    Z = fit(X, 40, n_groups=4).transform(X)
    assert_array_equal(Z[:, 2], 0)
    assert_allclose(Z[:, [0, 1, 3]].std(axis=0), 1, rtol=1e-5)


@dtypes
@pytest.mark.parametrize("scale", [1e-6, 1e6, 1e-30])
def test_unit_of_the_features(library, scale, dtype):
    X = DEGENERATE["rank deficient"][0].astype(dtype)
    scaled = (scale * X).astype(dtype)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    for n_iter in (1, 5, 20):
        Z = fit(X, n_iter).transform(X)
        found = fit(library.asarray(scaled), n_iter).transform(library.asarray(scaled))
        assert_allclose(
            library.to_numpy(found), Z, atol=tolerance * max(1, 1.5 ** (n_iter - 5))
        )


@dtypes
def test_mean_far_from_zero(dtype):
    X = spread_rows(100).astype(np.float32).astype(dtype)
    moved = (X + 2.0**13).astype(dtype)
    exact = moved.astype(float)
    for n_iter in (5, 20):
        Z = fit(moved, n_iter).transform(moved)
        W = oracle.iternorm(oracle.covariance(exact), n_iter)
        expected = (exact - exact.mean(axis=0)) @ W
        tolerance = 1e-8 if dtype == "float64" else 1e-5
        assert_allclose(Z, expected, atol=tolerance)


@pytest.mark.parametrize("n_groups", [1, 3])
def test_ill_conditioned_float32(n_groups):
    """Rows whose smallest deviation is 1e-4.5 of the largest keep four digits."""
    X = spread_rows(1e9, 40, 500).astype(np.float32)
    for n_iter in (5, 15, 20, 40):
        whitener = fit(X, n_iter, n_groups=n_groups)
        expected = whitener.transform(X.astype(float))
        assert_allclose(whitener.transform(X), expected, atol=1e-4)


@pytest.mark.parametrize("name", ["spread", *DEGENERATE])
def test_condition_is_a_bound(name):
    """What decides on float64 work is never too small, nor above the trivial bound."""
    X = spread_rows(1e6) if name == "spread" else DEGENERATE[name][0]
    S = oracle.covariance(X)
    if name == "all rows equal":
        S[:] = 0
    x = np.maximum(np.linalg.eigvalsh(S / (np.trace(S) or 1.0)), 0)
    for n_iter in (1, 5, 12, 25, 40):
        found = fit(X, n_iter)._fitted().condition
        largest = x[-1] * oracle.newton_factor(x, n_iter).max() ** 2
        # Rounding moves what has no variance by some parts in a thousand at T = 40.
        assert max(1, 0.99 * largest) <= found
        assert found <= max(1.0, 2.25**n_iter) * (1 + 1e-9)


# -- back to features ------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("n_groups", [1, 3])
@pytest.mark.parametrize("condition", [10, 1e6])
def test_round_trip(library, condition, n_groups, dtype):
    X = spread_rows(condition).astype(dtype)
    whitener = fit(library.asarray(X), n_groups=n_groups)
    tolerance = 1e-13 if dtype == "float64" else 1e-5
    for n_iter in (1, 5, 20, 40):
        whitener.set_params(n_iter=n_iter)
        back = whitener.inverse_transform(whitener.transform(library.asarray(X)))
        assert library.owns(back)
        back = library.to_numpy(back)
        assert back.dtype == dtype
        assert_allclose(back, X, rtol=0, atol=tolerance * np.abs(X).max())


@dtypes
@pytest.mark.parametrize("name", DEGENERATE)
def test_round_trip_of_degenerate_rows(library, name, dtype):
    """Also of rows that leave the span of those that were fitted."""
    X, rank = DEGENERATE[name]
    X = X.astype(dtype)
    rows = {"fitted": X}
    if rank:
        noise = np.random.default_rng(0).normal(size=X.shape)
        rows["others"] = (X + np.ptp(X) * noise).astype(dtype)
    whitener = fit(library.asarray(X))
    for n_iter in (1, 5, 15, 1000):
        whitener.set_params(n_iter=n_iter)
        # Other rows become larger by this factor, and their digits with them.
        factor = 1.5 ** min(n_iter, most_steps(X.shape[1], EPS))
        for which, x in rows.items():
            back = whitener.inverse_transform(whitener.transform(library.asarray(x)))
            digits = np.finfo(dtype).eps * (20 + factor)
            if which == "fitted":
                digits = min(digits, 1e-4)  # worked on in float64 beyond that
            assert_allclose(
                library.to_numpy(back), x, atol=digits * np.abs(x).max(), rtol=0
            )


# -- trace loss ------------------------------------------------------------------------


@pytest.mark.parametrize("shrinkage", [None, 0.3])
@pytest.mark.parametrize("n_groups", [1, 2, 7])
def test_trace_loss(library, n_groups, shrinkage):
    """From moments alone what the output of the fitted rows has."""
    X, _ = make_rows()
    weights = np.arange(200) % 3
    whitener = IterNormWhitener(4, n_groups=n_groups, shrinkage=shrinkage)
    whitener.partial_fit(library.asarray(X), sample_weight=weights)
    Z = np.repeat(X, weights, axis=0)
    Z = library.to_numpy(whitener.transform(library.asarray(Z)))
    expected = ((Z.var(axis=0) - 1) ** 2).sum()
    assert isinstance(whitener.trace_loss_, float)
    assert whitener.trace_loss_ == pytest.approx(expected, rel=1e-9, abs=1e-20)
    whitener.set_params(n_iter=60, shrinkage=None)
    assert whitener.trace_loss_ < 1e-18


# -- estimator ------------------------------------------------------------------------


def test_weights_are_repetitions():
    X, _ = make_rows()
    weights = np.arange(len(X)) % 4
    a = IterNormWhitener(n_groups=3).fit(X, sample_weight=weights)
    b = IterNormWhitener(n_groups=3).fit(np.repeat(X, weights, axis=0))
    assert_allclose(a.whitening_, b.whitening_, rtol=1e-10, atol=1e-13)
    assert_allclose(a.mean_, np.average(X, axis=0, weights=weights), rtol=1e-12)


def test_labels_do_not_matter():
    """Targets of a regression are no classes; moments with labels go on with them."""
    X, y = make_rows()
    target = X @ np.arange(7.0)
    whitener = IterNormWhitener().fit(X, target)
    assert not whitener.moments_.labelled
    assert not IterNormWhitener().partial_fit(X, target).moments_.labelled
    model = make_pipeline(IterNormWhitener(), Ridge(1e-9)).fit(X, target)
    assert model.score(X, target) > 0.999
    adopted = IterNormWhitener().fit_moments(ClassMoments.from_arrays(X, y))
    assert_allclose(adopted.whitening_, whitener.whitening_, atol=1e-13)
    continued = adopted.partial_fit(X, y)
    assert continued.moments_.labelled
    assert_allclose(continued.whitening_, whitener.whitening_, atol=1e-13)
    assert not continued.fit(X, target).moments_.labelled


def test_parameters_can_change_after_fit():
    X, _ = make_rows()
    whitener = fit(X)
    before = whitener.trace_loss_
    whitener.set_params(n_iter=8, n_groups=3, shrinkage=0.1)
    expected = fit(X, 8, n_groups=3, shrinkage=0.1)
    assert_array_equal(whitener.transform(X), expected.transform(X))
    assert whitener.trace_loss_ == expected.trace_loss_ != before
    whitener.set_params(n_groups=8)
    with pytest.raises(ValueError, match="n_groups=8 is more than n_features=7"):
        whitener.transform(X)


def test_nearer_to_zca_with_every_iteration():
    X = spread_rows(1e3)
    target = SpectralWhitener().fit_transform(X)
    distances = [
        np.linalg.norm(fit(X, n_iter).transform(X) - target) for n_iter in range(1, 16)
    ]
    assert (np.diff(distances) < 0).all()
    assert distances[-1] < 1e-3


@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_moments"])
def test_more_groups_than_columns(method):
    X, _ = make_rows()
    argument = ClassMoments.from_arrays(X) if method == "fit_moments" else X
    message = r"n_groups=8 is more than n_features=7: .* Pass n_groups of at most 7"
    whitener = IterNormWhitener(n_groups=8)
    with pytest.raises(ValueError, match=message):
        getattr(whitener, method)(argument)
    assert not hasattr(whitener, "moments_")
    assert not hasattr(whitener, "n_features_in_")
    getattr(whitener.set_params(n_groups=7), method)(argument)
    with pytest.raises(ValueError, match="n_groups=9"):
        getattr(whitener.set_params(n_groups=9), method)(argument)
    whitener.set_params(n_groups=7).transform(X)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, v) for name in ("n_iter", "n_groups") for v in (0, -1, 2.0, None)],
        *[("shrinkage", v) for v in (-0.1, 1.1, "mcd")],
        ("device", 3),
    ],
)
def test_parameters_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of IterNormWhitener"):
        IterNormWhitener(**{name: value}).fit(make_rows()[0])


def test_ledoit_wolf_needs_rows():
    X, _ = make_rows()
    whitener = IterNormWhitener(shrinkage="ledoit_wolf").partial_fit(X)
    for attempt in (whitener, whitener.fit(X).partial_fit(X)):
        with pytest.raises(ValueError, match="needs rows"):
            attempt.transform(X)


def test_names_of_columns():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(make_rows()[0], columns=list("abcdefg"))
    whitener = fit(frame, n_groups=2).set_output(transform="pandas")
    assert_array_equal(whitener.get_feature_names_out(), list("abcdefg"))
    assert list(whitener.transform(frame).columns) == list("abcdefg")


def test_inverse_of_other_columns():
    whitener = fit(make_rows()[0])
    with pytest.raises(ValueError, match=r"X has 3 columns, but .* expecting 7"):
        whitener.inverse_transform(np.ones((2, 3)))


def test_common_checks_with_groups_of_two_sizes():
    check_estimator(IterNormWhitener(6, n_groups=4))


def test_tags():
    tags = get_tags(IterNormWhitener())
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]
    assert not tags.target_tags.required


def test_stack_of_covariances(library):
    """One call for many groups, zero ones among them."""
    stack = np.stack([oracle.covariance(make_rows(s)[0]) for s in range(4)])
    stack[2] = 0
    array = library.asarray(stack)
    found = library.to_numpy(iternorm(array, 6, EPS, namespace(array))[0])
    for block, S in zip(found, stack, strict=True):
        assert_allclose(block, oracle.iternorm(S, 6), atol=1e-12)
