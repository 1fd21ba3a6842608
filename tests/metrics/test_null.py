"""Tests of the values of metrics where there is nothing to find."""

import math
import warnings

import numpy as np
import oracles
import pytest
from fake_metrics import add_fakes, gap, misfit, same_neighbor, slope, spread
from sklearn.linear_model import LogisticRegression

from sklearn_collapse import LinearHead
from sklearn_collapse.metrics import (
    METRICS,
    CollapseWarning,
    _permuted,
    null_reference,
    vci,
)
from sklearn_collapse.metrics._registry import GEOMETRY_METRICS


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    add_fakes(monkeypatch)


def made(n=60, d=4, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 3)
    return rng.normal(size=(3, d))[y] + rng.normal(size=(n, d)), y


def seeds_of(random_state, n, skip=0):
    rng = np.random.RandomState(random_state)
    for _ in range(skip):
        rng.randint(2**31 - 1)
    return rng.randint(2**31 - 1, size=n)


def permutations(random_state, n, n_rows):
    """The orders that the seeds stand for."""
    return [
        np.random.default_rng(seed).permutation(n_rows)
        for seed in seeds_of(random_state, n)
    ]


def assert_summary(found, value, null, extreme):
    """Mean, deviation, z and p-value by the book."""
    assert found.value == pytest.approx(value, rel=1e-8)
    np.testing.assert_allclose(found.values, null, rtol=1e-8, atol=1e-12)
    assert found.mean == pytest.approx(sum(null) / len(null))
    deviation = math.sqrt(sum((v - found.mean) ** 2 for v in null) / (len(null) - 1))
    assert found.std == pytest.approx(deviation)
    assert found.z == pytest.approx((value - found.mean) / deviation)
    assert found.p_value == pytest.approx((1 + extreme) / (1 + len(null)))


@pytest.mark.parametrize("name", ["vci", "cdnv", "fisher_ratio", "ncm_accuracy"])
def test_permuted_labels(library, name):
    X, y = made()
    oracle = getattr(oracles, name)
    null = [oracle(X, y[order]) for order in permutations(3, 12, 60)]
    value = oracle(X, y)
    higher = name in ("fisher_ratio", "ncm_accuracy")
    extreme = sum(v >= value - 1e-12 if higher else v <= value + 1e-12 for v in null)
    found = null_reference(
        name,
        library.asarray(X),
        library.asarray(y),
        n_permutations=12,
        random_state=3,
    )
    assert found.alternative == ("greater" if higher else "less")
    assert_summary(found, value, null, extreme)


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_alternatives(alternative):
    X, y = made(12)
    y = np.random.default_rng(1).permutation(y)
    null = [oracles.cdnv(X, y[order]) for order in permutations(0, 30, 12)]
    value = oracles.cdnv(X, y)
    above, below = sum(v >= value for v in null), sum(v <= value for v in null)
    assert above > 3
    assert below > 3
    extreme = {
        "greater": above,
        "less": below,
        "two-sided": 2 * min(above, below) + 1,
    }[alternative]
    options = {"n_permutations": 30, "alternative": alternative, "random_state": 0}
    assert_summary(null_reference("cdnv", X, y, **options), value, null, extreme)


MOMENTS_ALONE = [
    name for name in GEOMETRY_METRICS if METRICS[name].needs <= {"means", "moments"}
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", MOMENTS_ALONE)
def test_one_product_for_all_permutations(monkeypatch, library, name, weighted):
    """The class means of each permutation give what all its rows give."""
    X, y = made()
    X = X * 10.0 ** np.arange(4) + 1e3
    weights = np.random.default_rng(0).integers(0, 3, size=60) if weighted else None
    labels = np.array(["b", "c", "a"])[y]
    arguments = (name, library.asarray(X), labels)
    options = {"sample_weight": weights, "n_permutations": 4, "random_state": 0}
    expected = null_reference(*arguments, **options)
    monkeypatch.setattr(_permuted, "_WORTH", 0.0)
    calls = []
    monkeypatch.setattr(
        _permuted,
        "class_means",
        lambda *a, real=_permuted.class_means: calls.append(0) or real(*a),
    )
    found = null_reference(*arguments, **options)
    assert len(calls) == 4
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-7, atol=1e-12)
    assert np.ptp(found.values) > 0
    # Whatever else it depends on, it is measured the long way.
    if name == "cdnv":
        null_reference(*arguments, **options, reduction="max")
        assert len(calls) == 4


def test_one_product_where_it_is_singular(monkeypatch):
    """Fewer rows than features, dead units."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 40)), np.arange(30) % 3
    X[:, 5] = 2.0
    X[:, 6] = X[:, 7]
    options = {"n_permutations": 4, "random_state": 0}
    for rows, labels in ((X, y), (np.tile(X[:, :12], (4, 1)), np.tile(y, 4))):
        for name in ("vci", "nc1_pinv", "cdnv"):
            with monkeypatch.context() as context:
                expected = null_reference(name, rows, labels, **options)
                context.setattr(_permuted, "_WORTH", 0.0)
                found = null_reference(name, rows, labels, **options)
            np.testing.assert_allclose(
                found.values, expected.values, rtol=1e-7, atol=1e-10
            )


def test_weights_stay_with_their_rows():
    """Only rows of positive weight are permuted."""
    X, y = made()
    weights = np.random.default_rng(0).integers(0, 3, size=60)
    kept = weights > 0
    Z, labels, w = X[kept], y[kept], weights[kept]
    null = [
        oracles.nc1_trace_ratio(np.repeat(Z, w, axis=0), np.repeat(labels[order], w))
        for order in permutations(0, 10, kept.sum())
    ]
    value = oracles.nc1_trace_ratio(np.repeat(Z, w, axis=0), np.repeat(labels, w))
    found = null_reference(
        "nc1_trace_ratio",
        X,
        y,
        sample_weight=weights,
        n_permutations=10,
        random_state=0,
    )
    assert_summary(found, value, null, sum(v <= value for v in null))


def test_targets_are_permuted_by_rows():
    X, _ = made()
    y = X[:, :2] + 0.1 * np.random.default_rng(1).normal(size=(60, 2))
    null = [slope(X, y[order]) for order in permutations(0, 10, 60)]
    found = null_reference("slope", X, y, n_permutations=10, random_state=0)
    assert_summary(found, slope(X, y), null, 0)
    head = np.eye(2, 4)
    null = [misfit(X, y[order], head) for order in permutations(0, 10, 60)]
    found = null_reference("misfit", X, y, head=head, n_permutations=10, random_state=0)
    assert found.alternative == "less"
    assert_summary(found, misfit(X, y, head), null, 0)


@pytest.mark.parametrize("name", ["nrc1", "nrc2", "id_gap"])
def test_targets_that_are_not_paired_with_rows(name):
    """Permuted targets would change nothing: Gaussian rows, the same targets."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 6)) * [5, 4, 1, 1, 1, 1] + 1
    y = X[:, :2] + 0.1 * rng.normal(size=(50, 2))
    head = {"head": np.eye(2, 6)} if name == "nrc2" else {}
    metric = METRICS[name]
    scale = math.sqrt(np.mean(np.var(X, axis=0)))
    draws = name == "id_gap"  # and so is given a seed first
    null = [
        metric.function(np.random.default_rng(s).normal(0, scale, X.shape), y, **head)
        for s in seeds_of(0, 20, skip=draws)
    ]
    found = null_reference(metric, X, y, n_permutations=20, random_state=0, **head)
    assert found.alternative == ("two-sided" if draws else "less")
    assert draws or found.p_value == 1 / 21
    np.testing.assert_allclose(found.values, null, rtol=1e-8)
    assert found.std > 0


def test_no_reference_for_head_and_targets():
    X, _ = made()
    with pytest.raises(ValueError, match="nrc3 compares the head with the covariance"):
        null_reference("nrc3", X, X[:, :2], head=np.eye(2, 4))


def test_heads():
    """A fixed head stays, another one is fitted to the permuted labels."""
    X, y = made()
    orders = permutations(0, 10, 60)
    head = LinearHead(np.eye(3, 4))
    null = [oracles.nc3_self_duality(X, y[order], head.coef) for order in orders]
    value = oracles.nc3_self_duality(X, y, head.coef)
    options = {"n_permutations": 10, "random_state": 0}
    found = null_reference("nc3_self_duality", X, y, head=head, **options)
    assert_summary(found, value, null, sum(v <= value for v in null))
    classifier = LogisticRegression()

    def fitted(labels):
        coef = LogisticRegression().fit(X, labels).coef_
        return oracles.nc3_self_duality(X, labels, coef)

    null = [fitted(y[order]) for order in orders]
    found = null_reference("nc3_self_duality", X, y, head=classifier, **options)
    assert_summary(found, fitted(y), null, sum(v <= fitted(y) for v in null))
    assert not hasattr(classifier, "coef_")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("y", [None, np.arange(60) % 2])
def test_features_alone_against_a_gaussian(library, dtype, y):
    """Of the total variance of X, about the origin; toward the worse side."""
    X, _ = made()
    X = (X * np.array([5, 1, 1, 0.1]) + 7).astype(dtype)
    scale = math.sqrt(np.mean([np.var(column.astype(float)) for column in X.T]))
    null = [
        spread((scale * np.random.default_rng(s).normal(size=(60, 4))).astype(dtype))
        for s in seeds_of(0, 20)
    ]
    options = {"n_permutations": 20, "random_state": 0}
    found = null_reference("spread", library.asarray(X), y, **options)
    assert found.alternative == "less"  # higher is better
    np.testing.assert_allclose(found.values, null, rtol=1e-6)
    value = spread(X)
    assert found.value == pytest.approx(value)
    # The same total variance.
    assert abs(found.mean - value) < 3 * found.std
    assert found.p_value == (1 + sum(v <= value for v in null)) / 21


def test_weighted_variance_of_the_gaussian():
    X, _ = made()
    weights = np.random.default_rng(0).integers(1, 4, size=60)
    again = np.repeat(X, weights, axis=0)
    scale = math.sqrt(again.var(axis=0).mean())
    null = [
        spread(
            scale * np.random.default_rng(s).normal(size=(60, 4)), sample_weight=weights
        )
        for s in seeds_of(0, 5)
    ]
    found = null_reference(
        "spread", X, sample_weight=weights, n_permutations=5, random_state=0
    )
    np.testing.assert_allclose(found.values, null)


def test_constant_features():
    found = null_reference("spread", np.ones((9, 2)), n_permutations=5, random_state=0)
    assert found.value == 0
    assert found.mean > 0.5
    assert found.p_value == 1 / 6


def test_neighbors():
    """With labels they are permuted; without a direction both sides count."""
    X, y = made()
    null = [same_neighbor(X, y[order]) for order in permutations(0, 10, 60)]
    value = same_neighbor(X, y)
    found = null_reference("same_neighbor", X, y, n_permutations=10, random_state=0)
    assert_summary(found, value, null, sum(v >= value for v in null))

    found = null_reference("gap", X, n_permutations=10, random_state=0, max_samples=20)
    assert found.alternative == "two-sided"
    # One seed for all values of the metric, drawn before the others.
    own = np.random.RandomState(0).randint(2**31 - 1)
    scale = math.sqrt(X.var(axis=0).mean())
    null = [
        gap(
            scale * np.random.default_rng(s).normal(size=X.shape),
            max_samples=20,
            random_state=own,
        )
        for s in seeds_of(0, 10, skip=1)
    ]
    np.testing.assert_allclose(found.values, null)
    assert found.value == gap(X, max_samples=20, random_state=own)


@pytest.mark.parametrize(("times", "expected"), [(1, 0.0), (2, 0.48), (20, 0.95)])
def test_published_values_of_vci(times, expected):
    """Random labels look collapsed where n is not much larger than d."""
    d = 50
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(times * d, d)), np.arange(times * d) % 10
    found = null_reference("vci", X, y, n_permutations=30, random_state=0)
    assert found.mean == pytest.approx(expected, abs=0.02)
    # Nothing to find here either.
    assert found.p_value > 0.05


def test_few_rows_are_no_reason_to_warn_here():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 30)), np.arange(20) % 2
    with pytest.warns(CollapseWarning, match=r"null_reference\('vci', X, y\)"):
        vci(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n_jobs in (None, 2):
            null_reference("vci", X, y, n_permutations=2, n_jobs=n_jobs)


def test_values_do_not_depend_on_workers():
    X, y = made()
    options = {"n_permutations": 7, "random_state": 5}
    one, two = (
        null_reference("nc1_pinv", X, y, n_jobs=n_jobs, **options) for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(one.values, two.values)
    other = null_reference("nc1_pinv", X, y, n_permutations=7, random_state=6)
    assert (one.values != other.values).all()


def test_p_value_is_valid():
    """On random labels it is below alpha no more often than alpha says."""
    rng = np.random.default_rng(0)
    y = np.arange(30) % 2
    small = 0
    for seed in range(400):
        found = null_reference(
            lambda X, y: X[y == 1].mean() - X[y == 0].mean(),
            rng.normal(size=(30, 1)),
            y,
            alternative="greater",
            n_permutations=19,
            random_state=seed,
        )
        small += found.p_value <= 0.1
    # 40 expected, with a standard deviation of 6.
    assert 22 <= small <= 58


def test_a_value_that_does_not_depend_on_labels():
    """Equal to rounding is equal; there is no z."""
    X, y = made()
    for alternative in ("less", "greater", "two-sided"):
        found = null_reference(
            lambda X, y: sum(X[np.argsort(y), 0].tolist()),
            X,
            y,
            alternative=alternative,
            random_state=0,
        )
        assert len(set(found.values)) > 1
        assert found.p_value == 1.0
        assert math.isnan(found.z)


def test_nan_and_infinite_values():
    X, y = made()
    found = null_reference(lambda X, y: math.nan, X, y, n_permutations=3)
    assert math.isnan(found.value)
    assert math.isnan(found.p_value)
    found = null_reference(lambda X, y: math.inf, X, y, n_permutations=3)
    assert found.p_value == 1
    assert math.isnan(found.z)
    one = null_reference("vci", X, y, n_permutations=1)
    assert math.isnan(one.std)
    assert math.isnan(one.z)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_permutations": 0}, ValueError, "n_permutations == 0, must be >= 1"),
        ({"n_permutations": 2.5}, TypeError, "n_permutations must be an instance"),
        ({"alternative": "better"}, ValueError, "alternative must be one of"),
        ({"powr": 3}, TypeError, "vci has no option 'powr'"),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        null_reference("vci", *made(), **options)


def test_result_cannot_be_changed():
    found = null_reference("vci", *made(), n_permutations=2)
    with pytest.raises(AttributeError):
        found.value = 0.0
    assert "values" not in repr(found)
