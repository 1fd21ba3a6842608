"""Tests of SpectralTransformer against its formulas written out."""

import itertools
import pickle
import re
import warnings

import numpy as np
import oracles_whitening as oracle
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from sklearn_collapse import ClassMoments
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.utils._warnings import CollapseWarning
from sklearn_collapse.whitening import SpectralTransformer, SpectralWhitener


def label(options):
    """Name of a parameter set without the addresses of functions."""
    if not isinstance(options, dict):
        return repr(options)
    return re.sub(r" at 0x\w+", "", str(options))


def make_rows(seed=0, n=200, d=6):
    """Correlated rows of full rank about an offset, of three classes."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 3)
    mix = rng.normal(size=(d, d))
    return rng.normal(size=(n, d)) @ mix + 3.0 + y[:, None] * np.linspace(-1, 1, d), y


def deficient_rows():
    """Rank 6 in 9 columns."""
    X, y = make_rows()
    return X @ np.random.default_rng(1).normal(size=(6, 9)), y


def gains(values, n_features, transfer="power", **options):
    """Gains of eigenvalues one by one, as formulas.md has them; zeros included."""
    total, largest = sum(values), max(values)
    mean = total / n_features
    found, reached = [], 0.0
    for k, value in enumerate(values):
        reached += value
        if transfer == "power":
            gain = value ** -options.get("exponent", 0.5)
        elif transfer == "soft":
            gain = (value + options.get("epsilon", 1e-3) * mean) ** -0.5
        elif transfer == "band":
            low, high = options["band"]
            share = reached / total
            gain = float(low < share <= high or (low < 1 - 1e-9 < share and high == 1))
        elif transfer == "drop_top":
            gain = float(k >= options.get("n_drop", 1))
        elif transfer == "direct_pred":
            gain = (value / largest) ** 0.5 + options.get("epsilon", 1e-3)
        else:
            gain = transfer(value)
        found.append(gain)
    return np.array(found)


def expected(X, y=None, ddof=0, n_components=None, **options):
    """U g(L) U^T by an explicit eigendecomposition; full rank."""
    S = oracle.covariance(X, ddof, y)
    values, vectors = oracle.descending(S)
    g = gains(values, len(values), **options)
    g[n_components:] = 0 if n_components else g[n_components:]
    matrix = sum(g[k] * np.outer(v, v) for k, v in enumerate(vectors.T))
    return (X - X.mean(axis=0)) @ matrix, matrix


TRANSFERS = [
    {"exponent": 0.5},
    {"exponent": 0},
    {"exponent": 0.25},
    {"exponent": 1},
    {"transfer": "soft"},
    {"transfer": "soft", "epsilon": 0.3},
    {"transfer": "soft", "epsilon": 0},
    {"transfer": "band", "band": (0, 1)},
    {"transfer": "band", "band": (0.5, 0.9)},
    {"transfer": "band", "band": [0.8, 1.0]},
    {"transfer": "band", "band": np.array([0, 0.95])},
    {"transfer": "drop_top"},
    {"transfer": "drop_top", "n_drop": 0},
    {"transfer": "drop_top", "n_drop": 2},
    {"transfer": "direct_pred"},
    {"transfer": "direct_pred", "epsilon": 0},
    {"transfer": np.log1p},
    {"transfer": np.cos},
]
transfers = pytest.mark.parametrize("options", TRANSFERS, ids=label)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@transfers
def test_explicit_eigendecomposition(library, options, dtype):
    X, _ = make_rows()
    X = X.astype(dtype)
    transformer = SpectralTransformer(**options).fit(library.asarray(X))
    Z = transformer.transform(library.asarray(X))
    assert library.owns(Z)
    Z = library.to_numpy(Z)
    assert Z.dtype == dtype
    output, matrix = expected(X.astype(float), **options)
    size = np.abs(output).max()
    assert_allclose(Z, output, atol=(1e-10 if dtype == "float64" else 1e-4) * size)
    found = library.to_numpy(transformer.matrix_)
    assert_allclose(found, matrix, atol=1e-9 * np.abs(matrix).max())
    values = oracle.descending(oracle.covariance(X))[0]
    assert_allclose(library.to_numpy(transformer.eigenvalues_), values, rtol=1e-9)
    g = gains(values, 6, **options)
    assert_allclose(library.to_numpy(transformer.gains_), g, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    "more",
    [{"scatter": "within"}, {"ddof": 1}, {"n_components": 3}, {"n_components": 0.9}],
    ids=label,
)
@transfers
def test_options(options, more):
    X, y = make_rows()
    transformer = SpectralTransformer(**options, **more).fit(X, y)
    oracle_options = {**more}
    labels = y if oracle_options.pop("scatter", None) else None
    if more.get("n_components") == 0.9:
        values = oracle.descending(oracle.covariance(X))[0]
        shares = np.cumsum(values) / values.sum()
        oracle_options["n_components"] = int(np.argmax(shares >= 0.9)) + 1
    output, _ = expected(X, labels, **oracle_options, **options)
    assert_allclose(transformer.transform(X), output, atol=1e-9 * np.abs(output).max())
    kept = oracle_options.get("n_components", 6)
    assert transformer.n_components_ == len(transformer.gains_) == kept
    assert transformer.rank_ == 6


@pytest.mark.parametrize(
    ("options", "null_gain"),
    [
        ({"exponent": 0}, 1.0),
        ({"exponent": 0.5}, 0.0),
        ({"transfer": "soft", "epsilon": 0.01}, None),
        ({"transfer": "soft", "epsilon": 0}, 0.0),
        ({"transfer": "band", "band": (0.5, 1)}, 1.0),
        ({"transfer": "band", "band": (0, 0.99)}, 0.0),
        ({"transfer": "drop_top"}, 1.0),
        ({"transfer": "direct_pred", "epsilon": 0.02}, 0.02),
        ({"transfer": np.ones_like}, 0.0),
    ],
    ids=label,
)
def test_directions_without_variance(options, null_gain):
    """They get what the formula says at 0, or are left out."""
    X, _ = deficient_rows()
    transformer = SpectralTransformer(**options).fit(X)
    assert transformer.rank_ == transformer.n_components_ == 6
    values, vectors = oracle.descending(oracle.covariance(X))
    if null_gain is None:
        null_gain = (0.01 * sum(values[:6]) / 9) ** -0.5
    assert transformer.null_gain_ == pytest.approx(null_gain)
    inside, outside = vectors[:, :6], vectors[:, 6:]
    new = X.mean(axis=0) + outside.T + inside[:, :3].T
    g = gains(values[:6], 9, **options)[:3]
    target = null_gain * outside.T + g[:, None] * inside[:, :3].T
    assert_allclose(transformer.transform(new), target, atol=1e-9 * max(1, max(g)))
    # With a number of components all else is left out.
    few = SpectralTransformer(**options, n_components=6).fit(X)
    assert few.null_gain_ == 0
    target = target - null_gain * outside.T
    assert_allclose(few.transform(new), target, atol=1e-9 * max(1, max(g)))


def test_half_is_zca():
    X, y = make_rows()
    for options in ({}, {"scatter": "within", "ddof": 1}, {"n_components": 4}):
        whitener = SpectralWhitener(**options).fit(X, y)
        transformer = SpectralTransformer(**options).fit(X, y)
        assert_allclose(transformer.transform(X), whitener.transform(X), atol=1e-9)
        assert_allclose(transformer.score_samples(X), whitener.score_samples(X))
        assert transformer.score(X) == pytest.approx(whitener.score(X))


@pytest.mark.parametrize(
    "options", [{"exponent": 0.4}, {"transfer": "soft"}], ids=label
)
def test_no_likelihood_unless_white(options):
    transformer = SpectralTransformer(**options)
    assert not hasattr(transformer, "score")
    with pytest.raises(AttributeError, match="Use SpectralWhitener to score rows"):
        transformer.score_samples(make_rows()[0])


def test_bands_add_up():
    X, _ = deficient_rows()
    edges = (0, 0.7, 0.9, 1)
    parts = [
        SpectralTransformer("band", band=band).fit(X)
        for band in itertools.pairwise(edges)
    ]
    new = X + np.random.default_rng(2).normal(size=X.shape)
    total = sum(part.transform(new) for part in parts)
    assert_allclose(total, new - X.mean(axis=0), atol=1e-10)
    held = sum(np.count_nonzero(part.gains_) for part in parts)
    assert held == 6


def test_drop_top_is_what_components_leave():
    X, _ = make_rows()
    dropped = SpectralTransformer("drop_top", n_drop=2).fit_transform(X)
    kept = SpectralTransformer(exponent=0, n_components=2).fit_transform(X)
    assert_allclose(dropped + kept, X - X.mean(axis=0), atol=1e-10)


# -- the way back ------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"exponent": 0.5},
        {"exponent": 0.3, "n_components": 4},
        {"transfer": "soft"},
        {"transfer": "direct_pred"},
        {"transfer": "drop_top", "n_drop": 0},
        {"transfer": "band"},
        {"transfer": lambda values: -values},
    ],
    ids=label,
)
def test_round_trip(library, options):
    for X, _ in (make_rows(), deficient_rows()):
        transformer = SpectralTransformer(**options).fit(library.asarray(X))
        Z = transformer.transform(library.asarray(X))
        back = library.to_numpy(transformer.inverse_transform(Z))
        target = X
        if "n_components" in options:
            vectors = oracle.descending(oracle.covariance(X))[1][:, :4]
            mean = X.mean(axis=0)
            target = (X - mean) @ vectors @ vectors.T + mean
        assert_allclose(back, target, atol=1e-8)


@pytest.mark.parametrize(
    ("options", "lost"),
    [
        ({"transfer": "drop_top", "n_drop": 2}, "2 of 6"),
        ({"transfer": "band", "band": (0, 0.9)}, "of 6"),
        ({"transfer": lambda values: values * (values < values[0])}, "1 of 6"),
    ],
    ids=label,
)
def test_no_way_back(options, lost):
    X, _ = make_rows()
    transformer = SpectralTransformer(**options)
    with pytest.raises(NotFittedError):
        transformer.inverse_transform(X)
    transformer.fit(X)
    assert not hasattr(transformer, "inverse_transform")
    for error in (ValueError, AttributeError):
        with pytest.raises(error, match=f"has taken off .*{lost} directions"):
            transformer.inverse_transform(X)


# -- degenerate rows and bad input -------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"transfer": "drop_top", "n_drop": 6},
        {"transfer": "drop_top", "n_drop": 60},
        {"transfer": "band", "band": (0, 1e-3)},
        {"transfer": np.zeros_like},
    ],
    ids=label,
)
def test_nothing_left_warns(options):
    X, _ = make_rows()
    with pytest.warns(CollapseWarning, match="takes off all directions"):
        transformer = SpectralTransformer(**options).fit(X)
    assert_allclose(transformer.transform(X), 0, atol=1e-10)


@transfers
def test_rows_that_are_all_equal(options):
    X = np.full((5, 3), 7.0)
    transformer = SpectralTransformer(**options).fit(X)
    assert transformer.rank_ == 0
    assert_allclose(transformer.transform(X), 0)
    assert np.isfinite(transformer.transform(X + 1)).all()


@pytest.mark.parametrize("scale", [1e-20, 1e15])
def test_gains_beyond_the_range_of_float32(scale):
    X, _ = make_rows()
    rows = (scale * X).astype(np.float32)
    output, _ = expected(rows.astype(float), exponent=1)
    Z = SpectralTransformer(exponent=1).fit_transform(rows)
    assert Z.dtype == np.float32
    assert_allclose(Z, output, atol=1e-5 * np.abs(output).max())


def test_variances_beyond_the_range_of_float64():
    X, _ = make_rows()
    for estimator in (SpectralWhitener(floor="auto"), SpectralTransformer(exponent=1)):
        with pytest.raises(ValueError, match="too small or too large for float64"):
            estimator.fit(1e-155 * X)
        assert not hasattr(estimator, "n_features_in_")
    Z = SpectralTransformer().fit_transform(X)
    assert_allclose(SpectralTransformer().fit_transform(1e-140 * X), Z, atol=1e-8)


def test_offset_and_scale():
    X, _ = make_rows()
    for options in TRANSFERS[:-2]:
        Z = SpectralTransformer(**options).fit_transform(X)
        moved = SpectralTransformer(**options).fit_transform(X + 1e4)
        assert_allclose(moved, Z, atol=1e-7 * np.abs(Z).max())
        for scale in (1e-6, 1e6):
            scaled = SpectralTransformer(**options).fit_transform(scale * X)
            factor = np.abs(scaled).max() / np.abs(Z).max()
            assert_allclose(scaled / factor, Z, atol=1e-9 * np.abs(Z).max())


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda values: values[:-1], r"array of shape \(6,\).* shape \(5,\)"),
        (lambda values: 1.0, r"as many real gains, but it returned 1.0"),
        (lambda values: values[:, None], r"shape \(6, 1\)"),
        (lambda values: None, "returned None"),
        (lambda values: values + 1j, "real gains"),
        (lambda values: values.astype(str), "real gains"),
        (lambda values: np.where(values == values[2], np.nan, 1.0), "eigenvalue 3"),
        (lambda values: values / 0 * np.sign(values), "for eigenvalue 1, .* inf"),
    ],
)
def test_functions_that_return_nonsense(function, message):
    X, _ = make_rows()
    transformer = SpectralTransformer(function)
    with np.errstate(divide="ignore"), pytest.raises(ValueError, match=message):
        transformer.fit(X)
    assert not hasattr(transformer, "n_features_in_")


def test_functions_cannot_change_the_eigenvalues():
    def spoil(values):
        values[:] = 1.0
        return values

    X, _ = make_rows()
    transformer = SpectralTransformer(spoil).fit(X)
    values = oracle.descending(oracle.covariance(X))[0]
    assert_allclose(transformer.eigenvalues_, values)


@pytest.mark.parametrize(
    "band",
    [(0.5, 0.5), (0.7, 0.2), (-0.1, 1), (0, 1.1), (0.5,), (0, 0.5, 1), (0, np.nan)],
)
def test_bands_out_of_range(band):
    message = re.escape(f"0 <= low < high <= 1, got {band!r}")
    with pytest.raises(ValueError, match=message):
        SpectralTransformer("band", band=band).fit(make_rows()[0])
    with pytest.raises(ValueError, match="band must be two shares"):
        SpectralTransformer("band", band=band).partial_fit(make_rows()[0])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exponent", -0.1),
        ("exponent", 1.5),
        ("epsilon", -1e-3),
        ("n_drop", -1),
        ("n_drop", 1.5),
        ("transfer", "whiten"),
        ("band", 0.5),
        ("solver", "qr"),
        ("n_components", 0),
    ],
)
def test_parameters_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        SpectralTransformer(**{name: value}).fit(make_rows()[0])


# -- the estimator -----------------------------------------------------------------


def test_streams():
    X, y = make_rows()
    whole = SpectralTransformer("soft", scatter="within").fit(X, y)
    parts = SpectralTransformer("soft", scatter="within")
    for start in range(0, 200, 33):
        parts.partial_fit(X[start : start + 33], y[start : start + 33])
    adopted = SpectralTransformer("soft", scatter="within")
    adopted.fit_moments(ClassMoments.from_arrays(X, y))
    for other in (parts, adopted):
        assert_allclose(other.transform(X), whole.transform(X), atol=1e-10)


def test_parameters_can_change_after_fit():
    X, _ = make_rows()
    transformer = SpectralTransformer().fit(X)
    for function in (np.sqrt, np.log1p):  # each is asked, whatever its address
        transformer.set_params(transfer=lambda values, f=function: f(values))
        output, _ = expected(X, transfer=function)
        assert_allclose(transformer.transform(X), output, atol=1e-9)


def test_bands_are_compared_exactly():
    X, _ = make_rows()
    transformer = SpectralTransformer("band", band=(0, 1)).fit(X)
    values = oracle.descending(oracle.covariance(X))[0]
    share = values[0] / values.sum()
    for edge, kept in ((share - 1e-10, 0), (share + 1e-10, 1)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CollapseWarning)
            transformer.set_params(band=np.array([0, edge]))
            assert transformer.gains_.sum() == kept
    band = (np.asarray(0.0), np.asarray(0.99))
    assert SpectralTransformer("band", band=band).fit(X).gains_.sum() > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("transfer", "foo"), ("exponent", 3), ("n_components", -3), ("band", (1, 0))],
)
def test_parameters_are_checked_on_use(name, value):
    X, _ = make_rows()
    transformer = SpectralTransformer().fit(X).set_params(**{name: value})
    with pytest.raises(ValueError, match=name):
        transformer.transform(X)


def test_asking_for_the_way_back_does_not_raise():
    X, _ = make_rows()
    transformer = SpectralTransformer().fit(X)
    transformer.set_params(transfer=lambda values: 1 / 0)
    assert hasattr(transformer, "inverse_transform")
    with pytest.raises(ZeroDivisionError):
        transformer.inverse_transform(X)


def test_way_back_of_hardly_soft():
    X, _ = make_rows()
    transformer = SpectralTransformer("soft", epsilon=1e-34).fit(X)
    back = transformer.inverse_transform(transformer.transform(X))
    assert_allclose(back, X, atol=1e-9)


def test_functions_may_return_a_mask():
    X, _ = make_rows()
    masked = SpectralTransformer(lambda values: values > values[2]).fit(X)
    expected = SpectralTransformer(exponent=0, n_components=2).fit(X)
    assert_allclose(masked.transform(X), expected.transform(X), atol=1e-10)


def test_moments_from_elsewhere_check_the_band():
    moments = ClassMoments.from_arrays(make_rows()[0])
    with pytest.raises(ValueError, match="band must be"):
        SpectralTransformer("band", band=(0.9, 0.1)).fit_moments(moments)


def test_names_and_pickle():
    pandas = pytest.importorskip("pandas")
    X, _ = make_rows()
    names = [f"unit_{k}" for k in range(6)]
    frame = pandas.DataFrame(X, columns=names)
    transformer = SpectralTransformer("drop_top").set_output(transform="pandas")
    Z = transformer.fit(frame).transform(frame)
    assert list(Z.columns) == names
    again = pickle.loads(pickle.dumps(transformer)).transform(frame)
    assert_allclose(again, Z)


def test_real_features():
    data = load_cifar8_features()
    for options in ({"exponent": 0.25}, {"transfer": "band", "band": (0.5, 1)}):
        Z = SpectralTransformer(**options).fit_transform(data.data)
        output, _ = expected(data.data.astype(float), **options)
        assert Z.dtype == np.float32
        assert_allclose(Z, output, atol=1e-3 * np.abs(output).max())
    whitener = SpectralWhitener("pca", n_components=20)
    pipe = make_pipeline(SpectralTransformer("drop_top"), whitener)
    assert_allclose(np.cov(pipe.fit_transform(data.data).T), np.eye(20), atol=1e-3)
