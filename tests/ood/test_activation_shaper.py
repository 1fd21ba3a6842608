"""Tests of the transformer that shapes activations."""

import pickle
import tracemalloc

import numpy as np
import oracles
import oracles_shaping
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_outlier_detector
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from sklearn_collapse import LinearHead
from sklearn_collapse._linalg import _quantiles
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.ood import ActivationShaper, LogitDetector
from sklearn_collapse.utils import _arrays, estimator_checks, move_estimator

BY_RANK = ("ash_p", "ash_b", "ash_s", "scale")
METHODS = (*BY_RANK, "react", "vra", "optimal")
D, C = 12, 3
HEAD = LinearHead(np.random.default_rng(5).normal(size=(C, D)), [0.5, 0.0, -0.5])

methods = pytest.mark.parametrize("method", METHODS)
by_rank = pytest.mark.parametrize("method", BY_RANK)
dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])


@pytest.fixture
def data(rng):
    """Activations as a ReLU gives them, many of them zero, labels, and new rows."""
    y = np.arange(60) % C
    X = np.maximum(rng.normal(size=(60, D)) + 2 * rng.normal(size=(C, D))[y], 0)
    return X, y, np.maximum(2 * rng.normal(size=(25, D)), 0)


def shaper_of(method, **options):
    return ActivationShaper(method, head=HEAD, **options)


def shaped(library, method, X, new, dtype="float64", **options):
    shaper = shaper_of(method, **options).fit(library.asarray(X, dtype))
    found = shaper.transform(library.asarray(new, dtype))
    assert library.owns(found)
    return library.to_numpy(found)


def predicted(X):
    return np.argmax(X @ HEAD.coef_.T + HEAD.intercept_, axis=1)


def oracle(method, X, new, percentile=90.0, weights=None):
    X, new = (np.asarray(v, dtype=float) for v in (X, new))
    if method in BY_RANK:
        return oracles_shaping.by_rank(method, new, percentile)
    if method == "optimal":
        learned = oracles_shaping.factors(X, HEAD.coef_, predicted(X), weights)
        return oracles_shaping.reweighed(new, *learned)
    upper = oracles_shaping.quantile(X, percentile / 100, weights)
    if method == "react":
        return oracles_shaping.clipped(new, upper)
    return oracles_shaping.clipped(
        new, upper, oracles_shaping.quantile(X, 0.6, weights)
    )


# -- definitions -----------------------------------------------------------------


@dtypes
@methods
def test_definitions(library, method, dtype, data):
    X, _, new = (v.astype(dtype) for v in data)
    found = shaped(library, method, X, new, dtype)
    assert found.dtype == dtype
    rtol = {"float64": 1e-12, "float32": 1e-5}[dtype]
    expected = oracle(method, X, new)
    assert np.any(expected != new)
    assert_allclose(found, expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("percentile", [0, 10, 37.5, 65, 85, 99])
@by_rank
def test_numbers_that_are_kept(library, method, percentile, data):
    """Halves are rounded to even numbers, as the authors' code does."""
    X, _, new = data
    shaper = ActivationShaper(method, percentile=percentile).fit(library.asarray(X))
    assert shaper.n_kept_ == max(1, D - int(np.round(D * percentile / 100)))
    found = library.to_numpy(shaper.transform(library.asarray(new)))
    assert_allclose(found, oracle(method, X, new, percentile), rtol=1e-12)


def test_published_rule_by_hand():
    """k = d - round(d p / 100), S1 and S2: five activations, two of them kept."""
    z = np.array([[1.0, 4.0, 0.0, 3.0, 2.0]])
    growth = np.exp(10 / 7)
    for method, expected in {
        "ash_p": [0, 4, 0, 3, 0],
        "ash_b": [0, 5, 0, 5, 0],
        "ash_s": [0, 4 * growth, 0, 3 * growth, 0],
        "scale": [growth, 4 * growth, 0, 3 * growth, 2 * growth],
    }.items():
        found = ActivationShaper(method, percentile=60).fit_transform(z)
        assert_allclose(found, [expected], rtol=1e-14)
    # round(2.5) is 2, so that three are kept.
    assert ActivationShaper("ash_p", percentile=50).fit(z).n_kept_ == 3
    assert ActivationShaper("ash_p", percentile=100).fit(z).n_kept_ == 1


@by_rank
def test_published_code(method, data):
    """ASH and SCALE as their authors write them, by torch's topk."""
    torch = pytest.importorskip("torch")
    x = torch.asarray(data[2] + np.random.default_rng(3).uniform(size=data[2].shape))
    k = D - int(np.round(D * 65 / 100.0))
    values, places = torch.topk(x, k, dim=1)
    s1 = x.sum(dim=1, keepdim=True)
    fill = (s1 / k).expand(values.shape) if method == "ash_b" else values
    pruned = torch.zeros_like(x).scatter(1, places, fill)
    growth = torch.exp(s1 / values.sum(dim=1, keepdim=True))
    expected = {"ash_s": pruned * growth, "scale": x * growth}.get(method, pruned)
    found = ActivationShaper(method, percentile=65).fit(x).transform(x)
    assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)


def test_published_optimal_shaping(data):
    """As its authors write it, with masks."""
    X, _, new = data
    low, high = np.quantile(X, [1e-3, 1 - 1e-3])
    width = (high - low) / 100
    bounds = low + width * np.arange(100)
    parts = HEAD.coef_[predicted(X)] * X
    masks = [(b <= X) & (b + width > X) for b in bounds]
    contributions = np.array([np.mean(np.sum(m * parts, axis=1)) for m in masks])
    theta = contributions / np.linalg.norm(contributions) * 1000
    shaper = shaper_of("optimal").fit(X)
    assert_allclose(shaper.bin_factors_, theta, rtol=1e-10, atol=1e-10)
    assert_allclose(shaper.bin_edges_[:-1], bounds, rtol=1e-12, atol=1e-15)
    expected = sum(
        ((new >= b) & (new < b + width)) * new * t
        for b, t in zip(bounds, theta, strict=True)
    )
    assert_allclose(shaper.transform(new), expected, rtol=1e-10)
    assert np.linalg.norm(shaper.bin_factors_) == pytest.approx(1000)


@by_rank
def test_ties(library, method):
    """Of equal activations the first are kept, and no more than there should be."""
    z = np.array([[2.0, 1.0, 2.0, 2.0, 0.0, 2.0], [0.0, 0, 3, 0, 0, 0], [1.0] * 6])
    found = shaped(library, method, z, z, percentile=50)
    expected = oracle(method, z, z, 50)
    assert_allclose(found, expected, rtol=1e-14)
    if method != "scale":
        assert_array_equal(np.flatnonzero(found[0]), [0, 2, 3])
        assert_array_equal(np.flatnonzero(found[2]), [0, 1, 2])
    if method == "ash_b":  # it fills zeros as well
        assert_array_equal(np.flatnonzero(found[1]), [0, 1, 2])


@methods
def test_rows_of_zeros(library, method, data):
    X, _, _ = data
    zeros = np.zeros((2, D))
    assert_array_equal(shaped(library, method, X, zeros), zeros)


@pytest.mark.parametrize("method", ["react", "vra", "optimal"])
def test_negative_activations(library, method, rng):
    """These three do not mind them."""
    X, new = rng.normal(size=(50, D)), rng.normal(size=(20, D))
    found = shaped(library, method, X, new)
    assert_allclose(found, oracle(method, X, new), rtol=1e-9, atol=1e-9)


def test_bins_hold_their_lower_bound(library):
    """A range is closed on the left; beyond the last bound all is zero."""
    X = np.linspace(0, 1, 1001)[:, None] * 10.0
    head = LinearHead([[1.0], [-1.0]])
    shaper = ActivationShaper("optimal", head=head).fit(library.asarray(X))
    edges = library.to_numpy(shaper.bin_edges_)
    factors = library.to_numpy(shaper.bin_factors_)
    down, up = np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf)
    for values, expected in (
        (edges, [*factors, 0.0]),
        (up, [*factors, 0.0]),
        (down, [0.0, *factors]),
        ([-5.0, 20.0, 1e300], [0.0, 0.0, 0.0]),
    ):
        values = np.array(values)[:, None]
        found = library.to_numpy(shaper.transform(library.asarray(values)))
        assert_array_equal(found[:, 0], np.array(expected) * values[:, 0])


# -- percentiles -----------------------------------------------------------------


def quantiles(library, X, shares, weights=None, dtype=None):
    rows = _arrays.Rows(library.asarray(X, dtype), "cpu")
    extent = _quantiles.entry_range(rows)
    weights = None if weights is None else np.asarray(weights, dtype=float)
    return _quantiles.entry_quantiles(rows, shares, weights, extent)


SHARES = [0, 0.001, 0.1, 0.5, 0.9, 0.95, 0.999, 1]
ENTRIES = {
    "normal": lambda rng: rng.normal(size=(300, 7)),
    "relu": lambda rng: np.maximum(rng.normal(size=(300, 7)), 0),
    "few values": lambda rng: rng.integers(0, 3, size=(300, 7)) / 7,
    "constant": lambda rng: np.full((300, 7), 0.1),
    "heavy tail": lambda rng: np.exp(15 * rng.normal(size=(300, 7))),
    "far from zero": lambda rng: 1e8 + rng.normal(size=(300, 7)),
    "neighbours": lambda rng: 1 + 2.0**-52 * rng.integers(0, 9, size=(300, 7)),
    "huge": lambda rng: 1.7e308 * rng.uniform(-1, 1, size=(300, 7)),
    "tiny": lambda rng: 5e-324 * rng.integers(-4, 5, size=(300, 7)),
    "one outlier": lambda rng: np.r_[rng.normal(size=(299, 7)), np.full((1, 7), 1e300)],
}


@pytest.fixture
def split_bins(monkeypatch):
    """Few bins and little to sort, in small blocks: many passes."""
    monkeypatch.setattr(_quantiles, "_BINS", 4)
    monkeypatch.setattr(_quantiles, "_SORTED", 3)
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ENTRIES)
def test_quantiles(library, kind, weighted, rng):
    X = ENTRIES[kind](rng)
    weights = rng.integers(1, 4, len(X)) if weighted else None
    expected = [oracles_shaping.quantile(X / 2, s, weights) * 2 for s in SHARES]
    if kind == "tiny":  # halves of the smallest number are none
        expected = [oracles_shaping.quantile(X, s, weights) for s in SHARES]
    found = quantiles(library, X, SHARES, weights)
    assert_allclose(found, expected, rtol=1e-12, atol=1e-300)
    if weights is None and kind != "huge":
        assert_allclose(found, np.quantile(X, SHARES), rtol=1e-12, atol=1e-300)


@pytest.fixture(params=["good", "too much to sort", "bad"])
def sample(request, monkeypatch):
    """A sample, of which there is none of so few entries, that helps or does not."""
    monkeypatch.setattr(_quantiles, "_SAMPLE_ROWS", 16)
    monkeypatch.setattr(_quantiles, "_SAMPLE", 64)
    margin = {"bad": 0.0}.get(request.param, 0.09)
    monkeypatch.setattr(_quantiles, "_MARGIN", margin)
    if request.param != "good":
        monkeypatch.setattr(_quantiles, "_SORTED", 3)
    if request.param != "bad":
        return
    looked = _quantiles._sample_brackets

    def moved(*args):
        return {(low, low): among for (low, _), among in looked(*args).items()}

    monkeypatch.setattr(_quantiles, "_sample_brackets", moved)


def assert_quantiles(library, kind, rng):
    X = ENTRIES[kind](rng)
    for weights in (None, rng.integers(1, 4, len(X))):
        whole = X if weights is None else np.repeat(X, weights, axis=0)
        unit = 1 if kind == "tiny" else 4  # parts of the smallest number are none
        shares = [0.0, 0.3, 0.5, 0.52, 0.9, 1.0]
        expected = np.quantile(whole / unit, shares) * unit
        found = quantiles(library, X, shares, weights)
        assert_allclose(found, expected, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("kind", ENTRIES)
def test_quantiles_in_many_passes(library, kind, rng, split_bins):
    assert_quantiles(library, kind, rng)


@pytest.mark.parametrize("kind", ENTRIES)
def test_quantiles_with_a_sample(library, kind, rng, sample):
    assert_quantiles(library, kind, rng)


def test_passes_over_the_rows(rng, monkeypatch):
    """Range, sample and bracket: three visits find a quantile of many rows."""
    rows = _arrays.Rows(np.maximum(rng.normal(size=(4000, 100)), 0), "cpu")
    visits = []
    visit = rows.visit

    def counted(function, width, dtype, **options):
        visits.append(options)
        visit(function, width, dtype, **options)

    monkeypatch.setattr(rows, "visit", counted)
    extent = _quantiles.entry_range(rows)
    found = _quantiles.entry_quantiles(rows, [0.2, 0.9], None, extent)
    assert_allclose(found, np.quantile(rows.X, [0.2, 0.9]), rtol=1e-14)
    assert ["order" in options for options in visits] == [False, True, False]


def test_quantiles_of_float32_and_integers(library, rng):
    X = rng.normal(size=(200, 5)).astype("float32")
    found = quantiles(library, X, [0.37])
    assert_allclose(found, [np.quantile(X.astype(float), 0.37)], rtol=1e-13)
    X = rng.integers(-9, 9, size=(200, 5))
    assert_allclose(quantiles(library, X, [0.37]), [np.quantile(X, 0.37)], atol=1e-14)


def test_fractional_weights_are_scaled_frequencies(library, rng):
    """Where interpolation does not matter."""
    X, weights = rng.normal(size=(400, 5)), rng.integers(1, 5, 400)
    (whole,) = quantiles(library, X, [0.9], weights)
    (parts,) = quantiles(library, X, [0.9], weights / 4)
    gap = np.sort(X.ravel())
    near = np.searchsorted(gap, [whole, parts])
    assert abs(near[0] - near[1]) <= 2


@pytest.mark.parametrize("method", ["react", "vra"])
def test_no_copy_of_the_rows(method, tmp_path, rng, monkeypatch):
    """Quantiles of a file take less memory than the file, weights or not."""
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 2**18)
    monkeypatch.setattr(_quantiles, "_SORTED", 2**12)
    path = tmp_path / "rows.npy"
    np.save(path, rng.normal(size=(20000, 100)).astype("float32"))
    rows = np.load(path, mmap_mode="r")
    for weights in (None, np.ones(len(rows))):
        ActivationShaper(method).fit(rows[:9])  # imports are not what is measured
        tracemalloc.start()
        shaper = ActivationShaper(method).fit(rows, None, weights)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        expected = np.percentile(rows.astype(float), 90)
        assert shaper.upper_ == pytest.approx(expected, rel=1e-12)
        assert peak < rows.nbytes / 2


def test_thresholds(library, data):
    X, _, _ = data
    react = ActivationShaper("react", percentile=80).fit(library.asarray(X))
    assert isinstance(react.upper_, float)
    assert react.upper_ == pytest.approx(np.percentile(X, 80), rel=1e-14)
    vra = ActivationShaper("vra", percentile=80, lower_percentile=55)
    vra.fit(library.asarray(X))
    assert vra.lower_ == pytest.approx(np.percentile(X, 55), rel=1e-14)
    assert vra.upper_ == react.upper_
    assert not hasattr(react, "lower_")
    # At 100 nothing is clipped, at 0 nothing is zeroed.
    new = library.asarray(X)
    whole = ActivationShaper("vra", percentile=100, lower_percentile=0).fit(new)
    assert_array_equal(library.to_numpy(whole.transform(new)), X)


def test_activations_at_the_thresholds_stay(library):
    """Both bounds belong to what VRA keeps."""
    X = np.arange(11.0)[:, None] + 1
    vra = ActivationShaper("vra", percentile=80, lower_percentile=30)
    found = library.to_numpy(vra.fit_transform(library.asarray(X)))[:, 0]
    assert (vra.lower_, vra.upper_) == (4, 9)
    assert_array_equal(found, [0, 0, 0, 4, 5, 6, 7, 8, 9, 9, 9])


@methods
def test_weights_are_frequencies(library, method, data):
    X, _, new = data
    weights = np.arange(len(X)) % 4
    shaper = shaper_of(method)
    shaper.fit(library.asarray(X), sample_weight=weights)
    found = library.to_numpy(shaper.transform(library.asarray(new)))
    expected = oracle(method, X, new, weights=weights)
    assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


# -- heads -----------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [False, True])
def test_heads_that_are_fitted(library, frozen, data):
    X, y, new = data
    model = LogisticRegression(C=0.1).fit(X, y)
    learned = oracles_shaping.factors(X, model.coef_, model.predict(X))
    head = FrozenEstimator(model) if frozen else LogisticRegression(C=0.1)
    shaper = ActivationShaper("optimal", head=head).fit(library.asarray(X), y)
    found = library.to_numpy(shaper.transform(library.asarray(new)))
    expected = oracles_shaping.reweighed(new, *learned)
    assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


@dtypes
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_discriminant(library, dtype, offset, data):
    X, y, new = data
    X, new = ((v + offset).astype(dtype) for v in (X, new))
    centre = X.astype(float).mean(axis=0)
    m = oracles.class_moments(X - centre, y)
    coef = m["means"] @ np.linalg.inv(m["scatter"] / len(X))
    bias = np.log(m["counts"] / len(X)) - np.einsum("cd,cd->c", coef, m["means"]) / 2
    decided = np.argmax((X - centre) @ coef.T + bias, axis=1)
    coef = coef - coef.mean(axis=0)
    learned = oracles_shaping.factors(X, coef, decided)
    shaper = ActivationShaper("optimal", head="lda").fit(library.asarray(X), y)
    found = library.to_numpy(shaper.transform(library.asarray(new)))
    rtol = {"float64": 1e-7, "float32": 2e-3}[dtype]
    expected = oracles_shaping.reweighed(new, *learned)
    assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def test_binary_head_and_classes_that_data_lack(data):
    X, _, new = data
    coef, bias = HEAD.coef_[:1], HEAD.intercept_[:1]
    both = np.concatenate([-coef / 2, coef / 2])
    decided = (X @ coef[0] + bias[0] > 0).astype(int)
    learned = oracles_shaping.factors(X, both, decided)
    shaper = ActivationShaper("optimal", head=LinearHead(coef, bias)).fit(X)
    expected = oracles_shaping.reweighed(new, *learned)
    assert_allclose(shaper.transform(new), expected, rtol=1e-9)
    # Two labels, three rows of the head.
    wide = shaper_of("optimal").fit(X, np.arange(len(X)) % 2)
    assert_allclose(wide.bin_factors_, shaper_of("optimal").fit(X).bin_factors_)


# -- errors ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "labels", "message"),
    [
        ({"method": "optimal"}, None, r"weights of a head, got head=None"),
        ({"method": "optimal", "head": "lda"}, None, r"requires y to be passed"),
        ({"method": "optimal", "head": "lda"}, np.zeros(60), "at least two classes"),
        ({"method": "optimal", "head": LogisticRegression()}, None, "requires y"),
        ({"method": "optimal", "head": GaussianNB()}, np.arange(60) % 3, "no coef_"),
        (
            {"method": "optimal", "head": LinearHead(HEAD.coef_[:, :5])},
            None,
            r"\(3, 5\), but X has 12 features",
        ),
        ({"method": "optimal", "head": HEAD}, np.arange(60) % 5, r"lacks the classes"),
        ({"method": "optimal", "head": LinearHead(0 * HEAD.coef_)}, None, "add 0 to"),
        (
            {"method": "vra", "percentile": 50, "lower_percentile": 60},
            None,
            "lower_percentile=60 is above percentile=50",
        ),
        *(({"method": m}, None, "'method'") for m in ("dice", None, 1)),
        *(({"percentile": p}, None, "'percentile'") for p in (-1, 101, None, np.nan)),
        *(({"lower_percentile": p}, None, "'lower_perc") for p in (-1, 101, "60")),
        *(({"head": h}, None, "'head'") for h in ("qda", 1)),
        ({"device": None}, None, "'device'"),
    ],
    ids=str,
)
def test_errors(options, labels, message, data):
    X, _, new = data
    shaper = ActivationShaper(**options)
    with pytest.raises(ValueError, match=message):
        shaper.fit(X, labels)
    assert vars(shaper).keys() == shaper.get_params(deep=False).keys()
    # A fit that fails leaves an earlier one as it was.
    shaper = ActivationShaper().fit(X)
    expected = shaper.transform(new)
    with pytest.raises(ValueError, match=message):
        shaper.set_params(**options).fit(X, labels)
    again = shaper.set_params(**ActivationShaper().get_params())
    assert_array_equal(again.transform(new), expected)


@by_rank
def test_negative_activations_are_named(library, method, data):
    X, _, new = data
    shaper = ActivationShaper(method).fit(library.asarray(X))
    bad = new.copy()
    bad[7, 3] = -0.5
    for call in (ActivationShaper(method).fit, shaper.transform):
        message = rf"Negative values.*-0.5 in row 7, column 3.*{method}.*ReLU"
        with pytest.raises(ValueError, match=message):
            call(library.asarray(bad))
    assert get_tags(shaper).input_tags.positive_only
    assert not get_tags(ActivationShaper()).input_tags.positive_only


@pytest.mark.parametrize("method", ["ash_p", "react", "optimal"])
@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "inf")]
)
def test_nonfinite_rows_are_named(library, method, value, word, data):
    X, _, new = data
    shaper = shaper_of(method).fit(library.asarray(X))
    bad = new.copy()
    bad[11, 2], bad[20, 0] = value, value
    for call in (shaper_of(method).fit, shaper.transform):
        for dtype in ("float64", "float32"):
            with pytest.raises(ValueError, match=rf"X contains {word}.*row 11, col"):
                call(library.asarray(bad, dtype))


@pytest.mark.parametrize("method", ["ash_s", "scale"])
@dtypes
def test_overflow_is_named(library, method, dtype):
    """exp(S1 / S2) of many equal activations, few of which are kept."""
    X = np.ones((4, 1000))
    options = {"percentile": 99.9} if dtype == "float64" else {"percentile": 98.9}
    shaper = ActivationShaper(method, **options).fit(library.asarray(X, dtype))
    with pytest.raises(ValueError, match=rf"overflow .*{dtype}.*smaller percentile"):
        shaper.transform(library.asarray(X, dtype))


def test_sums_of_large_activations(library):
    """The sum overflows float32, what is made of it does not."""
    X = np.full((3, 8), 2e38, dtype="float32")
    for method, expected in (("ash_b", 2e38 * 8 / 8), ("ash_p", 2e38)):
        found = shaped(library, method, X, X, "float32", percentile=0)
        assert_allclose(found, np.full((3, 8), expected, dtype="float32"), rtol=1e-6)


def test_activations_that_do_not_vary(library):
    with pytest.raises(ValueError, match="cannot be told apart"):
        shaped(library, "optimal", np.ones((9, D)), np.ones((9, D)))
    for method in ("react", "vra", *BY_RANK):
        found = shaped(library, method, np.ones((9, D)), np.ones((9, D)))
        assert np.isfinite(found).all()


@methods
def test_unfitted(method, data):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        shaper_of(method).transform(data[0])
    for name in ("device_", "upper_", "lower_", "n_kept_", "bin_edges_", "head_"):
        assert not hasattr(shaper_of(method), name)


def test_other_width(library, data):
    X, _, _ = data
    shaper = ActivationShaper().fit(library.asarray(X))
    with pytest.raises(ValueError, match=r"3 features.* expecting 12 features"):
        shaper.transform(library.asarray(X[:, :3]))


# -- a transformer ---------------------------------------------------------------


def test_it_is_no_detector():
    for name in ("partial_fit", "fit_moments", "score_samples", "calibrate"):
        assert not hasattr(ActivationShaper(), name)
    assert not is_outlier_detector(ActivationShaper())


def test_labels_are_needed_by_some_heads_alone(data):
    X, _, _ = data
    required = {
        "lda": True,
        "fitted": True,
        "linear": False,
        "frozen": False,
    }
    heads = {
        "lda": "lda",
        "fitted": LogisticRegression(),
        "linear": HEAD,
        "frozen": FrozenEstimator(LogisticRegression().fit(X, np.arange(60) % 2)),
    }
    for name, head in heads.items():
        shaper = ActivationShaper("optimal", head=head)
        assert get_tags(shaper).target_tags.required == required[name]
    assert not get_tags(ActivationShaper(head="lda")).target_tags.required
    # Other methods ignore y, targets of a regression included.
    ActivationShaper().fit(X, np.linspace(0, 1, 60))


def test_fit_forgets(data):
    X, _, new = data
    shaper = shaper_of("optimal").fit(X)
    expected = shaper.transform(new)
    # What was fitted counts, and not what has been set since.
    assert_array_equal(shaper.set_params(method="ash_p").transform(new), expected)
    shaper.fit(X[:, :4])
    for name in ("bin_edges_", "bin_factors_", "head_"):
        assert not hasattr(shaper, name)
    assert shaper.n_features_in_ == 4


@pytest.mark.parametrize("frames", ["pandas", "polars"])
@pytest.mark.parametrize("method", ["scale", "vra", "optimal"])
def test_data_frames(frames, method, data):
    module = pytest.importorskip(frames)
    X, _, new = data
    names = [f"unit_{j}" for j in range(D)]
    frame, frame_new = (
        module.DataFrame({k: v[:, j] for j, k in enumerate(names)}) for v in (X, new)
    )
    shaper = shaper_of(method).set_output(transform=frames).fit(frame)
    found = shaper.transform(frame_new)
    assert list(found.columns) == names == list(shaper.get_feature_names_out())
    expected = shaper_of(method).fit(X).transform(new)
    # Sums of rows are rounded as columns lie in memory.
    assert_allclose(np.asarray(found), expected, rtol=1e-13)


@methods
def test_rows_do_not_depend_on_others(library, method, data, monkeypatch):
    X, _, new = data
    X, new = (np.vstack([v * (1 + k / 50) for k in range(30)]) for v in (X, new))
    whole = shaped(library, method, X, new)
    alone = shaped(library, method, X, new[13:14])
    assert_allclose(alone, whole[13:14], rtol=1e-12)
    monkeypatch.setattr(_arrays, "_BLOCK_BYTES", 1)
    assert_allclose(shaped(library, method, X, new), whole, rtol=1e-10)


@methods
def test_elsewhere(method, data, monkeypatch):
    """Main memory stands for a GPU."""
    torch = pytest.importorskip("torch")
    X, _, new = data
    weights = 1.0 + np.arange(len(X)) % 2
    expected = shaper_of(method).fit(X, None, weights).transform(new)
    monkeypatch.setattr(_arrays, "gpu_for", lambda device, work: torch.empty(0))
    shaper = shaper_of(method).fit(X, None, weights)
    found = shaper.transform(new)
    assert isinstance(found, np.ndarray)
    assert_allclose(found, expected, rtol=1e-10)
    for value in vars(shaper).values():
        assert not isinstance(value, torch.Tensor)


def test_device(data):
    torch = pytest.importorskip("torch")
    X, _, _ = data
    assert ActivationShaper(device="cpu").fit(X).device_ == "cpu"
    with pytest.raises(ValueError, match="device='nowhere' cannot be used"):
        ActivationShaper(device="nowhere").fit(X)
    with pytest.raises(ValueError, match="X lives on device 'cpu'"):
        ActivationShaper(device="cuda:0").fit(torch.asarray(X))


@methods
def test_moving_and_pickles(method, data):
    torch = pytest.importorskip("torch")
    X, _, new = data
    shaper = shaper_of(method).fit(X)
    expected = shaper.transform(new)
    assert_array_equal(pickle.loads(pickle.dumps(shaper)).transform(new), expected)
    moved = move_estimator(shaper, torch.zeros(0))
    found = moved.transform(torch.asarray(new))
    assert isinstance(found, torch.Tensor)
    assert_allclose(found.numpy(), expected, rtol=1e-12)
    back = move_estimator(moved, "numpy")
    assert_allclose(back.transform(new), expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"ActivationShaper\.transform\(\) must use"):
        shaper.transform(torch.asarray(new))


@pytest.mark.parametrize(
    "shaper",
    [
        ActivationShaper("optimal", head=LogisticRegression()),
        ActivationShaper("ash_b", percentile=30),
        ActivationShaper("vra", percentile=70, lower_percentile=70),
    ],
    ids=repr,
)
def test_our_checks(shaper):
    ran = estimator_checks.check_estimator(shaper)
    assert len(ran) == len(estimator_checks.estimator_checks())


# -- in front of a score ---------------------------------------------------------


@methods
def test_pipeline(library, method, data):
    X, y, new = data
    shaper, energy = shaper_of(method), LogitDetector(head=HEAD)
    pipeline = make_pipeline(clone(shaper), clone(energy)).fit(library.asarray(X), y)
    found = library.to_numpy(pipeline.score_samples(library.asarray(new)))
    logits = oracle(method, X, new) @ HEAD.coef_.T + HEAD.intercept_
    top = logits.max(axis=1)
    expected = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    predictions = library.to_numpy(pipeline.predict(library.asarray(X)))
    assert np.sum(predictions == -1) == 3


@methods
def test_bundled_features(method):
    """Real activations by way of NumPy, and AUROC that is not trivial."""
    bunch = load_cifar8_features()
    X = bunch.data.astype(float)
    options = {"percentile": 65} if method in BY_RANK else {}
    shaper = ActivationShaper(method, head=bunch.head, **options).fit(bunch.data)
    if method == "react":
        assert shaper.upper_ == pytest.approx(np.percentile(X, 90), rel=1e-12)
    if method == "vra":
        assert shaper.lower_ == pytest.approx(np.percentile(X, 60), rel=1e-12)
    new = bunch.X_test[:40]
    found = shaper.transform(new)
    if method == "optimal":
        decided = np.argmax(X @ bunch.coef.T + bunch.intercept, axis=1)
        edges = np.linspace(*np.quantile(X, [0.001, 0.999]), 101)
        parts, at = bunch.coef[decided] * X, np.searchsorted(edges, X, side="right")
        sums = [parts[at == b + 1].sum() for b in range(100)]
        factors = 1000 * np.array(sums) / np.linalg.norm(sums)
        expected = oracles_shaping.reweighed(new, edges, factors)
    elif method in BY_RANK:
        expected = oracles_shaping.by_rank(method, new, 65)
    else:
        lower = shaper.lower_ if method == "vra" else -np.inf
        expected = oracles_shaping.clipped(new, shaper.upper_, lower)
    assert_allclose(found, expected, rtol=1e-5, atol=1e-5)

    energy = LogitDetector(head=bunch.head)
    pipeline = make_pipeline(shaper, energy).fit(bunch.data)
    inside = pipeline.score_samples(bunch.X_test).tolist()
    for name, rows in bunch.ood.items():
        found = oracles.auroc(inside, pipeline.score_samples(rows).tolist())
        low = 0.55 if name.startswith("near") else 0.8
        assert low < found < 0.995
