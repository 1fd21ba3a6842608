"""Tests of the metrics of regression collapse."""

import inspect
import math
import re
import warnings

import numpy as np
import oracles_regression as oracles
import pytest
from numpy.testing import assert_allclose
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVR

from sklearn_collapse import ClassMoments, LinearHead, metrics
from sklearn_collapse._linalg._residuals import complement_share
from sklearn_collapse.metrics import (
    METRICS,
    CollapseWarning,
    get_scorer,
    id_gap,
    nrc1,
    nrc2,
    nrc3,
)
from sklearn_collapse.metrics._metric import INVARIANCES
from sklearn_collapse.utils._arrays import namespace

NAMES = ["nrc1", "nrc2", "nrc3"]
EPS = np.finfo(float).eps
XP = namespace(np.zeros(0))  # NumPy by the names of the standard


def made(n=60, d=6, t=2, seed=0, noise=0.3, offset=0.2):
    """Features that follow targets by a linear map, and its weights."""
    rng = np.random.default_rng(seed)
    Y = rng.normal(size=(n, t)) @ rng.normal(size=(t, t)) + 1.0
    W = rng.normal(size=(t, d))
    return Y @ W + noise * rng.normal(size=(n, d)) + offset, Y, W


def measure(name, X, Y, W, **options):
    arguments = (X, Y, W) if "head" in METRICS[name].needs else (X, Y)
    return METRICS[name].function(*arguments, **options)


def oracle(name, X, Y, W, weights=None, centered=False):
    if name == "nrc1":
        return oracles.nrc1(X, Y.shape[1], weights, centered)
    if name == "nrc2":
        return oracles.nrc2(X, W, weights, centered)
    return oracles.nrc3(Y, W, weights)[0]


# -- what METRICS says -----------------------------------------------------------


def test_names():
    family = [name for name in METRICS if METRICS[name].family == "regression"]
    assert set(NAMES) <= set(family)
    assert set(family) <= set(metrics.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_facts(name):
    metric = METRICS[name]
    assert metric.function is getattr(metrics, name)
    assert metric.direction == "lower"
    parameters = inspect.signature(metric.function).parameters
    first = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert first == (["X", "y"] if name == "nrc1" else ["X", "y", "head"])
    assert parameters["sample_weight"].default is None
    doc = metric.function.__doc__
    assert "lower is more collapsed" in doc
    low, high = metric.range
    assert f"In [{low:g}, {high:g}]" in doc
    author = re.match(r"\w+", metric.source)[0]
    assert author in doc.partition("References")[2]


MAPS = {
    "rotation": lambda X: (
        X @ np.linalg.qr(np.random.default_rng(7).normal(size=(6, 6)))[0]
    ),
    "translation": lambda X: X + np.array([4.0, -3.0, 2.0, 0.0, 1.0, -5.0]),
    "scale": lambda X: 0.05 * X,
    "invertible": lambda X: X @ np.diag([0.01, 0.1, 1.0, 10.0, 100.0, 3.0]),
}


@pytest.mark.parametrize("name", NAMES)
def test_invariances_are_true_and_complete(name):
    X, Y, W = made()
    value = measure(name, X, Y, W)
    same = {
        kind
        for kind, f in MAPS.items()
        if math.isclose(value, measure(name, f(X), Y, W), rel_tol=1e-9)
    }
    twice = measure(name, np.repeat(X, 3, axis=0), np.repeat(Y, 3, axis=0), W)
    if math.isclose(value, twice, rel_tol=1e-9):
        same.add("cloning")
    assert same == METRICS[name].invariances
    assert same <= set(INVARIANCES)


def test_invariances_of_options():
    """A head that is rotated with the features, centred rows that are shifted."""
    X, Y, W = made()
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 6)))[0]
    assert_allclose(nrc2(X @ turn, Y, W @ turn), nrc2(X, Y, W), rtol=1e-10)
    for function, extra in ((nrc1, ()), (nrc2, (W,))):
        moved = function(X + 1e3, Y, *extra, centered=True)
        assert_allclose(moved, function(X, Y, *extra, centered=True), rtol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_range(name):
    low, high = METRICS[name].range
    for seed in range(6):
        for noise in (0.0, 1e-6, 1.0, 100.0):
            X, Y, W = made(seed=seed, noise=noise)
            for head in (W, np.random.default_rng(seed).normal(size=W.shape)):
                assert low <= measure(name, X, Y, head) <= high * (1 + 10 * EPS)


def test_highest_values():
    assert nrc2([[0.0, 1.0], [0.0, -2.0]], [1.0, 2.0], [[1.0, 0.0]]) == 1
    # Sigma^(1/2) of one direction, and a head of the other: orthogonal matrices.
    Y, W = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([[0.0, 0.0], [0.0, 1.0]])
    assert_allclose(nrc3(np.eye(2), Y, W), 2.0, rtol=1e-14)


# -- against the oracles ---------------------------------------------------------


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("name", ["nrc1", "nrc2"])
def test_residuals(library, name, centered):
    for t in (1, 2, 4):
        X, Y, W = made(t=t, seed=t)
        found = measure(
            name,
            library.asarray(X),
            library.asarray(Y),
            library.asarray(W),
            centered=centered,
        )
        assert type(found) is float
        assert_allclose(found, oracle(name, X, Y, W, centered=centered), rtol=1e-11)


def near_form(Y, rng, size=1.0):
    """A head whose Gram matrix is nearly that of the paper for some gamma."""
    sigma, t = oracles.covariance(Y), Y.shape[1]
    share = rng.uniform(0.2, 1) * math.sqrt(np.linalg.eigvalsh(sigma)[0])
    gram = oracles.root(sigma) - share * np.eye(t)
    return size * (oracles.root(gram) @ np.eye(t, 6) + 0.01 * rng.normal(size=(t, 6)))


def test_nrc3_is_the_least_of_a_grid(library):
    rng = np.random.default_rng(5)
    places = set()
    for seed in range(30):
        t = 2 + seed % 4
        Y = rng.normal(size=(40, t)) * 10 ** rng.uniform(-1, 1, size=t)
        W = rng.normal(size=(t, 6)) * 10 ** rng.uniform(-1, 1, size=(t, 1))
        if seed % 3 == 0:
            W = near_form(Y, rng)
        arguments = map(library.asarray, (rng.normal(size=(40, 6)), Y, W))
        value, gamma = nrc3(*arguments, return_gamma=True)
        least, _ = oracles.nrc3(Y, W)
        assert value <= least * (1 + 1e-9)
        assert_allclose(value, least, rtol=1e-5, atol=1e-7)
        if gamma > 0:
            # The value belongs to the gamma.
            sigma = oracles.covariance(Y)
            top = np.linalg.eigvalsh(sigma)[0]
            assert gamma <= top * (1 + 1e-9)
            assert_allclose(oracles.nrc3_at(W, sigma, gamma), value, rtol=1e-7)
            places.add("end" if math.isclose(gamma, top, rel_tol=1e-9) else "inside")
        else:
            places.add("zero")
    assert places == {"zero", "inside", "end"}  # every candidate was needed


def test_closed_form_without_norms_is_worse():
    """The trap: its gamma does not minimise the distance of normalised matrices."""
    rng = np.random.default_rng(0)
    worse = 0
    for _ in range(20):
        Y = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3))
        W = near_form(Y, rng, size=rng.uniform(0.3, 3))
        sigma = oracles.covariance(Y)
        other = oracles.nrc3_at(W, sigma, oracles.gamma_without_norms(W, sigma))
        found = nrc3(np.zeros((50, 6)), Y, W)
        assert found <= other * (1 + 1e-9)
        worse += found < 0.999 * other
    assert worse >= 15


@pytest.mark.parametrize("size", [1.0, 7.0, 1e-9])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_nrc3_zero(library, size, share):
    """W W^T proportional to Sigma^(1/2) - sqrt(gamma) I: 0 at this gamma."""
    rng = np.random.default_rng(1)
    Y = rng.normal(size=(80, 3)) @ np.diag([3.0, 2.0, 1.0]) + 5.0
    sigma = oracles.covariance(Y)
    s = share * math.sqrt(np.linalg.eigvalsh(sigma)[0])
    values, vectors = np.linalg.eigh(oracles.root(sigma) - s * np.eye(3))
    turn = np.linalg.qr(rng.normal(size=(7, 3)))[0].T
    W = size * (vectors * np.sqrt(values)) @ turn
    X = library.asarray(rng.normal(size=(80, 7)))
    value, gamma = nrc3(X, library.asarray(Y), library.asarray(W), return_gamma=True)
    assert 0 <= value < (100 * EPS) ** 2 * 100
    assert_allclose(math.sqrt(gamma), s, atol=1e-9)
    if share and size != 1:  # without norms another gamma looks best
        other = oracles.gamma_without_norms(W, sigma)
        assert oracles.nrc3_at(W, sigma, other) > 1e-4


def test_features_in_the_span(library):
    """NRC1 and NRC2 vanish, to the square of rounding, and are never negative."""
    X, Y, W = made(noise=0.0, offset=0.0, d=8)
    assert 0 <= nrc2(*map(library.asarray, (X, Y, W))) < (100 * EPS) ** 2
    # Features about the origin: principal directions of centred rows span them too.
    assert 0 <= nrc1(*map(library.asarray, (X, Y))) < (100 * EPS) ** 2
    for name in ("nrc1", "nrc2"):
        small, here, head = X.astype("f"), Y.astype("f"), W.astype("f")
        found = measure(name, *map(library.asarray, (small, here, head)))
        assert 0 <= found < (10 * np.finfo("f").eps) ** 2


def test_shares_from_moments_are_never_negative():
    rng = np.random.default_rng(0)
    for k in range(7):
        basis = np.linalg.qr(rng.normal(size=(6, 6)))[0][:, :k]
        X = rng.normal(size=(30, k)) @ basis.T if k else np.zeros((30, 6))
        share, trace = complement_share(X.T @ X, basis, XP)
        assert 0 <= share < 100 * EPS
        assert trace == pytest.approx((X**2).sum())
    X = rng.normal(size=(30, 6))
    basis = np.linalg.qr(rng.normal(size=(6, 2)))[0]
    rest = X - X @ basis @ basis.T
    expected = (rest**2).sum() / (X**2).sum()
    assert_allclose(complement_share(X.T @ X, basis, XP)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_repetitions(library, name):
    X, Y, W = made(n=40)
    weights = np.random.default_rng(2).integers(0, 4, len(X))
    index = np.repeat(np.arange(len(X)), weights)
    found = measure(
        name, *map(library.asarray, (X, Y, W)), sample_weight=library.asarray(weights)
    )
    assert_allclose(found, measure(name, X[index], Y[index], W), rtol=1e-11)
    truth = oracle(name, X, Y, W, weights)
    assert_allclose(found, truth, rtol=1e-11 if name != "nrc3" else 1e-5)


def test_weights_with_centring():
    X, Y, W = made(n=40)
    weights = np.random.default_rng(2).uniform(0.1, 3, len(X))
    for name in ("nrc1", "nrc2"):
        found = measure(name, X, Y, W, sample_weight=weights, centered=True)
        assert_allclose(found, oracle(name, X, Y, W, weights, True), rtol=1e-11)


@pytest.mark.parametrize("dtype", ["f", "e", int])
def test_dtypes(library, dtype):
    if dtype == "e" and library.name == "array_api_strict":
        dtype = "f"  # the standard has no float16
    X, Y, W = (np.asarray(10 * a).astype(dtype) for a in made())
    for name in NAMES:
        found = measure(name, *map(library.asarray, (X, Y, W)))
        exact = measure(name, *(a.astype(float) for a in (X, Y, W)))
        assert_allclose(found, exact, rtol=1e-9)


def test_mean_far_from_zero():
    """Float32 features 1e4 away: by the oracle on the very same values."""
    X, Y, W = made(n=200, noise=1.0)
    X = (X + 1e4).astype("f")
    for name in ("nrc1", "nrc2"):
        for centered in (False, True):
            found = measure(name, X, Y, W, centered=centered)
            truth = oracle(name, X.astype(float), Y, W, centered=centered)
            assert_allclose(found, truth, rtol=1e-6)
    Y = (Y + 1e4).astype("f")
    assert_allclose(nrc3(X, Y, W), oracles.nrc3(Y.astype(float), W)[0], rtol=1e-5)


# -- the number of components ----------------------------------------------------


def test_n_components():
    X, Y, _ = made(noise=1.0)
    values = [nrc1(X, Y, n_components=k) for k in range(1, 9)]
    expected = [oracles.nrc1(X, k) for k in range(1, 6)]
    assert_allclose(values[:5], expected, rtol=1e-10)
    assert values[1] == nrc1(X, Y)
    assert max(values[5:]) < (100 * EPS) ** 2  # all of space, and no more than that


@pytest.mark.parametrize("k", [0, -1, 1.5, True, "two"])
def test_n_components_refused(k):
    X, Y, _ = made()
    with pytest.raises(ValueError, match="n_components must be None or an integer"):
        nrc1(X, Y, n_components=k)


def test_tie_warns():
    X = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    with pytest.warns(UserWarning, match="equal up to rounding.*number of targets"):
        nrc1(X, [0.0, 1, 2, 3])
    with pytest.warns(UserWarning, match="n_components=1 keeps"):
        nrc1(X, np.eye(4, 2), n_components=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nrc1(X, np.eye(4, 2))


# -- degenerate data -------------------------------------------------------------


def test_more_targets_than_features(library):
    X, Y, W = made(d=2, t=4)
    rows = [library.asarray(a) for a in (X, Y, W)]
    assert nrc1(*rows[:2]) < (100 * EPS) ** 2
    assert nrc2(*rows) < (100 * EPS) ** 2
    assert_allclose(nrc3(*rows), oracles.nrc3(Y, W)[0], rtol=1e-5)


def test_fewer_rows_than_features(library):
    X, Y, W = made(n=5, d=12)
    for name in ("nrc1", "nrc2"):
        found = measure(name, *map(library.asarray, (X, Y, W)))
        assert_allclose(found, oracle(name, X, Y, W), rtol=1e-9)


def test_rank_below_the_number_of_targets():
    """Directions without variance are no principal directions."""
    rng = np.random.default_rng(0)
    line = rng.normal(size=(30, 1)) * np.array([1.0, 2, 0, 0, 0])
    X, Y = line + np.array([0, 0, 3.0, 0, 0]), rng.normal(size=(30, 3))
    assert_allclose(nrc1(X, Y), oracles.nrc1(X, 1), rtol=1e-12)
    assert nrc1(np.ones((30, 5)), Y) == pytest.approx(1)


def test_constant_and_doubled_columns(library):
    X, Y, W = made()
    X[:, 2], X[:, 4] = 5.0, X[:, 3]
    for name in ("nrc1", "nrc2"):
        found = measure(name, *map(library.asarray, (X, Y, W)))
        assert_allclose(found, oracle(name, X, Y, W), rtol=1e-10)


def test_rows_of_zeros(library):
    """They have no direction: left out, with one warning."""
    X, Y, W = made(n=30)
    X[[3, 17]] = 0
    for name in ("nrc1", "nrc2"):
        with pytest.warns(CollapseWarning, match=r"rows of zeros \(0.0667") as caught:
            found = measure(name, *map(library.asarray, (X, Y, W)))
        assert len(caught) == 1
        assert_allclose(found, oracle(name, X, Y, W), rtol=1e-10)
        with pytest.warns(CollapseWarning, match="no direction"):
            assert math.isnan(measure(name, np.zeros((4, 6)), Y[:4], W))


def test_rows_equal_to_the_mean():
    X, Y, W = made(n=30)
    X = np.concatenate([X, [X.mean(axis=0)]]).astype("f")
    Y = np.concatenate([Y, Y[:1]])
    for name in ("nrc1", "nrc2"):
        with pytest.warns(CollapseWarning, match="equal to the mean"):
            found = measure(name, X, Y, W, centered=True)
        exact = measure(name, X[:-1].astype(float), Y[:-1], W, centered=True)
        assert_allclose(found, exact, rtol=1e-2)
        with pytest.warns(CollapseWarning, match="equal to the mean"):
            assert math.isnan(measure(name, 0.1 + 0 * X, Y, W, centered=True))


def test_one_target():
    X, Y, W = made(t=1)
    for y in (Y, Y[:, 0]):
        value, gamma = nrc3(X, y, W[0], return_gamma=True)
        assert math.isnan(value)
        assert math.isnan(gamma)
        assert nrc1(X, y) == pytest.approx(oracles.nrc1(X, 1))
        assert nrc2(X, y, W[0]) == nrc2(X, Y, W)


def test_collinear_and_constant_targets(library):
    """A singular covariance leaves gamma = 0 alone."""
    X, Y, _ = made(t=3)
    W = np.random.default_rng(8).normal(size=(3, 6))
    for make in (
        lambda Y: np.stack([Y[:, 0], Y[:, 1], 2 * Y[:, 0] - Y[:, 1]], axis=1),
        lambda Y: np.stack([Y[:, 0], Y[:, 1], 0 * Y[:, 1] + 0.1], axis=1),
        lambda Y: (1e-5 * Y[:, :1] @ np.ones((1, 3)) + 10).astype("f"),
    ):
        targets = make(Y)
        sigma = oracles.covariance(targets)
        values, vectors = np.linalg.eigh(oracles.root(sigma))
        kept = values > 1e-3 * values[-1]
        # A head that a positive gamma would suit better, if the range had one.
        suits = (vectors * np.sqrt(np.where(kept, values - values[kept][0] / 2, 0))).T
        for head in (W, vectors @ suits @ np.eye(3, 6)):
            rows = map(library.asarray, (X, targets, head))
            value, gamma = nrc3(*rows, return_gamma=True)
            assert gamma == 0
            truth = oracles.nrc3_at(head, sigma, 0.0)
            assert_allclose(value, truth, rtol=1e-5, atol=EPS)
    with pytest.warns(CollapseWarning, match="all targets are constant"):
        assert math.isnan(nrc3(X, np.full(Y.shape, 0.1), W))


def test_targets_alike_in_all_directions():
    """Sigma = I: the form is I for every gamma, and none is made of rounding."""
    Y = np.concatenate([np.eye(3), -np.eye(3)]) * math.sqrt(3) * 0.7 + 0.1
    rng = np.random.default_rng(0)
    W = rng.normal(size=(3, 5))
    gram = W @ W.T / np.linalg.norm(W @ W.T)
    expected = ((gram - np.eye(3) / math.sqrt(3)) ** 2).sum()
    for turn in (np.eye(3), np.linalg.qr(rng.normal(size=(3, 3)))[0]):
        for dtype in ("d", "f"):
            found = nrc3(np.zeros((6, 5)), (Y @ turn).astype(dtype), W)
            assert_allclose(found, expected, rtol=1e-5)


def test_heads_without_weights_or_rank():
    X, Y, W = made()
    assert nrc2(X, Y, 0 * W) == pytest.approx(1)
    assert math.isnan(nrc3(X, Y, 0 * W))
    doubled = np.stack([W[0], -3 * W[0]])
    assert_allclose(nrc2(X, Y, doubled), nrc2(X, Y[:, 0], W[:1]), rtol=1e-12)
    # Units of the targets do not matter for the row space, in float32 neither.
    scaled = (W * np.array([[1.0], [1e-12]])).astype("f")
    assert_allclose(nrc2(X, Y, scaled), nrc2(X, Y, W), rtol=1e-5)
    nearly = np.stack([W[0], W[0] / 3]).astype("f")  # dependent, to float32
    assert_allclose(nrc2(X, Y, nearly), nrc2(X, Y[:, 0], W[:1]), rtol=1e-5)


# -- arguments -------------------------------------------------------------------


def test_heads(library):
    X, Y, _ = made()
    fitted = Ridge(2.0).fit(X, Y)
    rows = library.asarray(X), library.asarray(Y)
    for name in ("nrc2", "nrc3"):
        function = METRICS[name].function
        expected = oracle(name, X, Y, fitted.coef_)
        for head in (
            fitted,
            FrozenEstimator(fitted),
            LinearHead(fitted.coef_),
            fitted.coef_.tolist(),
            library.asarray(fitted.coef_),
            fitted.coef_,
            Ridge(2.0),
        ):
            assert_allclose(function(*rows, head), expected, rtol=1e-4)
        unfitted = Ridge(2.0)
        function(*rows, unfitted)
        assert not hasattr(unfitted, "coef_")


def test_head_is_fitted_with_weights_and_one_target():
    X, Y, _ = made(n=40)
    weights = np.random.default_rng(0).integers(0, 3, 40)
    index = np.repeat(np.arange(40), weights)
    found = nrc2(X, Y, LinearRegression(), sample_weight=weights)
    assert_allclose(found, nrc2(X[index], Y[index], LinearRegression()), rtol=1e-9)
    # A regressor for a single target is given one axis, as it asks.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = nrc2(X, Y[:, :1], LinearSVR(C=0.1, random_state=0))
    fitted = LinearSVR(C=0.1, random_state=0).fit(X, Y[:, 0])
    assert_allclose(found, nrc2(X, Y[:, 0], fitted.coef_), rtol=1e-9)


@pytest.mark.parametrize(
    ("head", "error", "text"),
    [
        (None, ValueError, "head is None"),
        ("lda", TypeError, "estimator with coef_, got 'lda'"),
        (Ridge, TypeError, "estimator with coef_"),
        (object(), TypeError, "got object"),
        (np.ones((3, 6)), ValueError, r"shape \(3, 6\).*2 target"),
        (np.ones((2, 5)), ValueError, r"must have shape \(2, 6\)"),
        (np.ones(6), ValueError, "2 target"),
        (np.ones((1, 2, 6)), ValueError, "must have shape"),
        (np.full((2, 6), np.nan), ValueError, "NaN or infinity"),
        (KNeighborsRegressor(2), ValueError, "KNeighborsRegressor has no coef_"),
        (make_pipeline(StandardScaler(), Ridge()), ValueError, "Pipeline has no coef_"),
        (FrozenEstimator(Ridge()), ValueError, "not fitted"),
    ],
)
def test_head_refused(head, error, text):
    X, Y, _ = made()
    for function in (nrc2, nrc3):
        with pytest.raises(error, match=text):
            function(X, Y, head)


@pytest.mark.parametrize(
    ("y", "error", "text"),
    [
        (None, ValueError, "requires y to be passed, but the target y is None"),
        (np.zeros(59), ValueError, "inconsistent numbers of samples"),
        (np.full(60, np.nan), ValueError, "y contains NaN"),
        (np.full((60, 2), np.inf), ValueError, "y contains inf"),
        (np.full(60, 1e200), ValueError, "y holds values so large"),
        (np.full(60, "a"), ValueError, "could not convert|must hold numbers|numeric"),
        (np.full(60, 1j), ValueError, "Complex data not supported"),
        (np.zeros((60, 2, 2)), ValueError, "dim 3|must have shape"),
        (np.full(60, "2020", dtype="M8[Y]"), (ValueError, TypeError), "numbers|dtype"),
    ],
)
def test_targets_refused(y, error, text):
    X, _, _ = made()
    with pytest.raises(error, match=text):
        nrc1(X, y)


@pytest.mark.parametrize(
    ("y", "text"),
    [
        (np.full(60, np.nan), "y contains NaN"),
        (np.full((60, 2), np.inf), "y contains infinity"),
        (np.zeros((60, 2, 2)), "must have shape"),
        (np.zeros((60, 0)), "must have shape"),
        (np.full(60, 1j), "Complex data"),
        (np.zeros(7), "inconsistent"),
    ],
)
def test_bad_targets_are_refused(library, y, text):
    # NumPy's go through scikit-learn, which has texts of its own.
    text = None if library.name == "numpy" else text
    with pytest.raises(ValueError, match=text):
        nrc1(library.asarray(made()[0]), library.asarray(y))


def test_containers():
    pandas = pytest.importorskip("pandas")
    X, Y, W = made()
    frame, targets = pandas.DataFrame(X), pandas.DataFrame(Y, columns=["a", "b"])
    for name in NAMES:
        expected = measure(name, X, Y, W)
        assert measure(name, frame, targets, pandas.DataFrame(W)) == expected
        assert measure(name, X.tolist(), Y.tolist(), W.tolist()) == expected
    assert nrc1(X, targets["a"]) == nrc1(X, Y[:, 0])
    assert nrc1(X, targets["a"].astype(object)) == nrc1(X, Y[:, 0])


def test_input_is_left_as_it_is():
    X, Y, W = made()
    weights = np.ones(len(X))
    for array in (X, Y, W, weights):
        array.flags.writeable = False
    for name in NAMES:
        measure(name, X, Y, W, sample_weight=weights)


# -- as scorers ------------------------------------------------------------------


def test_scorers():
    X, Y, _ = made()
    X_new, Y_new, _ = made(seed=1)
    model = make_pipeline(StandardScaler(), Ridge()).fit(X, Y)
    scale = model[0]
    Z, coef = (X_new - scale.mean_) / scale.scale_, model[1].coef_
    for name in NAMES:
        found = get_scorer(f"neg_{name}")(model, X_new, Y_new)
        assert_allclose(found, -oracle(name, Z, Y_new, coef), rtol=1e-4)
    with pytest.raises(ValueError, match="StandardScaler has neither coef_ nor head_"):
        get_scorer("neg_nrc2")(model[:1], X_new, Y_new)


def test_moments_of_one_block_or_many():
    """The functions of moments take any that hold the rows."""
    X, Y, W = made()
    unit = ClassMoments.from_arrays(X, batch_size=7, normalize=True)
    basis = np.linalg.svd(W, full_matrices=False)[2].T
    share, trace = complement_share(unit.second_moment(), basis, XP)
    assert trace == pytest.approx(1)
    assert_allclose(share, nrc2(X, Y, W), rtol=1e-12)


# -- intrinsic dimensions --------------------------------------------------------


def test_id_gap(library):
    X, Y, _ = made(n=50, noise=1.0)
    rows = library.asarray(X), library.asarray(Y)
    assert_allclose(id_gap(*rows), oracles.id_gap(X, Y), rtol=1e-9)
    assert_allclose(id_gap(*rows, discard=0.3), oracles.id_gap(X, Y, 0.3), rtol=1e-9)
    assert id_gap(X, Y) == -id_gap(Y, X)
    one = library.asarray(Y[:, 0])
    assert_allclose(id_gap(rows[0], one), oracles.id_gap(X, Y[:, :1]), rtol=1e-9)
    assert id_gap(*rows, method="mle") != id_gap(*rows)


def test_id_gap_draws_the_same_rows():
    X, _, _ = made(n=60, noise=1.0)
    for state in (0, np.random.RandomState(3), None):
        assert id_gap(X, X, max_samples=20, random_state=state) == 0
    first = id_gap(X, X[:, :2], max_samples=20, random_state=1)
    assert first == id_gap(X, X[:, :2], max_samples=20, random_state=1)
    assert first != id_gap(X, X[:, :2], max_samples=20, random_state=2)


def test_id_gap_of_degenerate_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 3))
    same = np.ones((20, 2))
    with pytest.warns(CollapseWarning, match="two_nn"):
        assert math.isnan(id_gap(X, same))
    grid = np.array([0.0, 1.0, 2.0])  # neighbours on both sides or on one
    corners = np.eye(3)  # equally far from each other
    assert id_gap(corners, grid) == math.inf
    assert id_gap(grid[:, None], corners) == -math.inf
    assert math.isnan(id_gap(corners, 2 * corners))
    with pytest.raises(ValueError, match="method must be"):
        id_gap(X, X, method="x")


def test_facts_of_id_gap():
    metric = METRICS["id_gap"]
    assert metric.direction is None
    assert metric.range == (-math.inf, math.inf)
    X, Y, _ = made(n=40, noise=1.0)
    value = id_gap(X, Y)
    same = {
        kind
        for kind, f in MAPS.items()
        if math.isclose(value, id_gap(f(X), Y), rel_tol=1e-7)
    }
    twice = id_gap(np.repeat(X, 3, axis=0), np.repeat(Y, 3, axis=0))
    if math.isclose(value, twice, rel_tol=1e-9):
        same.add("cloning")
    assert same == metric.invariances
