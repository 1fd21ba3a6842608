"""Tests of truncation curves."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from sklearn_collapse import LinearHead
from sklearn_collapse.metrics import (
    nc1_trace_ratio,
    nc3_self_duality,
    nc4_agreement,
    truncation_curve,
    vci,
)

D = 7


def make_rows(seed=0, n=120, d=D, n_classes=3):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % n_classes)
    means = 3 * rng.normal(size=(n_classes, d))
    return means[y] + rng.normal(size=(n, d)) * np.geomspace(2, 0.3, d) + 1, y


def make_head(seed=0, d=D, n_classes=3):
    rng = np.random.default_rng(seed)
    return LinearHead(rng.normal(size=(n_classes, d)), rng.normal(size=n_classes))


def spread(X):
    """Mean squared distance from the mean: a metric of rows alone."""
    X = np.asarray(X, dtype=float)
    return np.mean((X - X.mean(axis=0)) ** 2) * X.shape[1]


def test_first_columns(library):
    X, y = make_rows()
    sizes, values = truncation_curve(
        "nc1_trace_ratio", library.asarray(X), y, dimensions=[5, 1, 7]
    )
    assert_array_equal(sizes, [5, 1, 7])
    assert isinstance(values, np.ndarray)
    truth = [[nc1_trace_ratio(X[:, :k], y) for k in (5, 1, 7)]]
    assert_allclose(values, truth, rtol=1e-10)


def test_default_sizes():
    X, y = make_rows()
    sizes, values = truncation_curve("vci", X, y)
    assert_array_equal(sizes, range(1, D + 1))
    assert values.shape == (1, D)
    wide = np.random.default_rng(0).normal(size=(5, 3000))
    sizes, _ = truncation_curve(spread, wide)
    assert len(sizes) == 10
    assert sizes[0] == 1
    assert sizes[-1] == 3000
    assert_allclose(np.diff(np.log(sizes)), np.log(3000) / 9, rtol=0.3)


def test_random_orders(library):
    X, _ = make_rows()
    kept = []

    def metric(X):
        kept.append(np.asarray(X, dtype=float))
        return spread(X)

    arguments = {"dimensions": [2, 4, D], "order": "random", "n_repeats": 3}
    _, values = truncation_curve(
        metric, library.asarray(X), random_state=1, **arguments
    )
    assert values.shape == (3, 3)
    columns = [[X.T.tolist().index(c) for c in rows.T.tolist()] for rows in kept]
    for repeat in range(3):
        two, four, all_of_them = columns[3 * repeat : 3 * repeat + 3]
        assert two == four[:2]
        assert four == all_of_them[:4]
        assert sorted(all_of_them) == list(range(D))
    assert len({tuple(c) for c in columns[2::3]}) == 3
    truth = [spread(X[:, c]) for c in columns]
    assert_allclose(values.ravel(), truth, rtol=1e-12)
    again = truncation_curve(spread, X, random_state=1, **arguments)[1]
    assert_allclose(again, values, rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_principal_directions(library, rng, weighted):
    X, _ = make_rows()
    weights = rng.integers(0, 4, size=len(X)).astype(float) if weighted else None
    variances = np.linalg.eigvalsh(np.cov(X.T, ddof=0, aweights=weights))[::-1]

    def metric(X, sample_weight=None):
        X = np.asarray(X, dtype=float)
        return np.trace(np.atleast_2d(np.cov(X.T, ddof=0, aweights=sample_weight)))

    options = {} if weights is None else {"sample_weight": weights}
    sizes, values = truncation_curve(
        metric, library.asarray(X), order="principal", **options
    )
    assert_allclose(values[0], np.cumsum(variances)[sizes - 1], rtol=1e-9)


def test_rows_are_not_centred():
    X, _ = make_rows()
    _, values = truncation_curve(
        lambda X: np.sum(X**2), X, order="principal", dimensions=[D]
    )
    assert values[0, 0] == pytest.approx(np.sum(X**2), rel=1e-12)


@pytest.mark.parametrize("order", ["first", "random", "principal"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_all_dimensions_give_the_metric(order, dtype):
    X, y = make_rows()
    X, head = X.astype(dtype), make_head()
    for metric, arguments in ((vci, (X, y)), (nc3_self_duality, (X, y, head))):
        _, values = truncation_curve(
            metric.__name__,
            X,
            y,
            head=head,
            dimensions=[D],
            order=order,
            n_repeats=2,
            random_state=0,
        )
        truth = metric(*arguments)
        assert_allclose(values, truth, rtol=1e-9 if dtype == np.float64 else 1e-5)


@pytest.mark.parametrize("order", ["first", "principal"])
def test_head_is_cut_with_the_features(library, order):
    X, y = make_rows(1)
    head = make_head(1)
    turn = np.eye(D)
    if order == "principal":
        turn = np.linalg.eigh(np.cov(X.T))[1][:, ::-1]
    truth = []
    for k in (2, 5):
        part = LinearHead(head.coef @ turn[:, :k], head.intercept)
        truth.append(nc4_agreement(X @ turn[:, :k], y, part))
    for given in (head, FrozenEstimator(head)):
        _, values = truncation_curve(
            "nc4_agreement",
            library.asarray(X),
            y,
            head=given,
            dimensions=[2, 5],
            order=order,
        )
        assert_allclose(values, [truth], rtol=1e-12)


def test_head_that_is_fitted_anew():
    X, y = make_rows(2)
    for head in ("lda", LogisticRegression()):
        _, values = truncation_curve("nc4_agreement", X, y, head=head, dimensions=[3])
        assert values[0, 0] == nc4_agreement(X[:, :3], y, head)


def test_frozen_classifier_of_two_classes():
    X, y = make_rows(3, n_classes=2)
    model = LogisticRegression().fit(X, y)
    _, values = truncation_curve(
        "nc4_agreement", X, y, head=FrozenEstimator(model), dimensions=[4]
    )
    part = LinearHead(model.coef_[:, :4], model.intercept_)
    assert values[0, 0] == nc4_agreement(X[:, :4], y, part)


def test_functions_get_what_there_is():
    X, y = make_rows()
    calls = []

    def metric(X, y=None, head=None, **options):
        calls.append((y is not None, head, options))
        return 1

    truncation_curve(metric, X, dimensions=[1])
    truncation_curve(metric, X, y, dimensions=[1], power=3)
    truncation_curve(metric, X, y, head="lda", dimensions=[1])
    assert calls == [
        (False, None, {}),
        (True, None, {"power": 3}),
        (True, "lda", {}),
    ]
    # Under a name of its own, and rows alone although there are labels.
    _, values = truncation_curve(lambda X, labels: labels[0], X, y, dimensions=[1])
    assert values[0, 0] == y[0]
    _, values = truncation_curve(lambda X: X[0, 0], X, y, head="lda", dimensions=[1])
    assert values[0, 0] == X[0, 0]


def test_draws_of_a_metric_have_the_seed():
    X, _ = make_rows()
    arguments = {"dimensions": [2, D], "max_samples": 40}
    curves = [
        truncation_curve("mst_dimension", X, random_state=seed, **arguments)[1]
        for seed in (0, 0, 1)
    ]
    assert_array_equal(curves[0], curves[1])
    assert (curves[0] != curves[2]).all()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"metric": "vcl"}, ValueError, "Did you mean 'vci'"),
        ({"metric": 3}, TypeError, "metric must be"),
        ({"order": "last"}, ValueError, "order must be one of"),
        ({"dimensions": [0]}, ValueError, "between 1 and the number of features, 7"),
        ({"dimensions": [8]}, ValueError, "between 1 and"),
        ({"dimensions": []}, ValueError, "list of integers"),
        ({"dimensions": 3}, ValueError, "list of integers"),
        ({"dimensions": [1.5]}, ValueError, "list of integers"),
        ({"order": "random", "n_repeats": 0}, ValueError, "n_repeats"),
        ({"head": make_head(d=5)}, ValueError, "coef_ of the head has shape"),
        ({"power": 2}, TypeError, "power"),
    ],
)
def test_errors(options, error, match):
    X, y = make_rows()
    with pytest.raises(error, match=match):
        truncation_curve(**{"metric": "vci", "X": X, "y": y, **options})


def test_head_without_weights():
    X, y = make_rows()
    head = FrozenEstimator(SVC().fit(X, y))
    with pytest.raises(ValueError, match="no coef_"):
        truncation_curve("nc4_agreement", X, y, head=head)
