"""Properties of the compatibility of successive models that hold for all data."""

import numpy as np
import oracles_compatibility as oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse.etf import CompatibilityScorer, compatibility_metrics

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def problems(draw):
    """Features of a few models, some rows of which are equal, and parameters."""
    rng = np.random.default_rng(draw(SEEDS))
    n, d = draw(st.integers(4, 30)), draw(st.integers(2, 8))
    y = rng.permutation(np.arange(n) % draw(st.integers(2, 4)))
    models = [rng.normal(size=(n, d)) + rng.normal(size=(4, d))[y]]
    for _ in range(draw(st.integers(0, 2))):
        models.append(models[-1] + rng.normal(size=(n, d)))
    if draw(st.booleans()):
        for X in models:
            X[: n // 2] = X[rng.integers(0, n, n // 2)]
    measure = draw(st.sampled_from(["nearest_neighbor", "class_mean"]))
    metric = draw(st.sampled_from(["cosine", "euclidean"]))
    return models, y, {"measure": measure, "metric": metric}, rng


def matrix(models, y, options):
    return CompatibilityScorer.from_models(models, y, **options).matrix_


@given(problem=problems())
def test_entries_are_shares(problem):
    models, y, options, _ = problem
    C = matrix(models, y, options)
    below = np.tril_indices(len(models))
    assert np.all((C[below] >= 0) & (C[below] <= 1))
    assert np.all(np.isnan(C[np.triu_indices(len(models), 1)]))
    assert_allclose(C, oracles.matrix(models, y, *options.values()), rtol=1e-12)


@pytest.mark.parametrize(
    "kind", ["rotation", "scale", "scale of each", "translation", "labels", "rows"]
)
@given(problem=problems(), seed=SEEDS)
def test_invariances(kind, problem, seed):
    models, y, options, _ = problem
    rng = np.random.default_rng(seed)
    new, labels, (n, d) = models, y, models[0].shape
    if kind == "rotation":
        turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
        # Row by row: equal rows stay equal.
        new = [np.array([x @ turn for x in X]) for X in models]
    elif kind == "scale":
        new = 10 ** rng.uniform(-6, 6) * np.stack(models)
    elif kind == "scale of each":
        options["metric"] = "cosine"
        new = [X * 10 ** rng.uniform(-6, 6) for X in models]
    elif kind == "translation":
        options["metric"] = "euclidean"
        shift = rng.normal(size=d)
        new = [X + shift for X in models]
    elif kind == "labels":
        labels = np.array(["d", "b", "a", "c"])[y]
    else:
        order = rng.permutation(n)
        new, labels = [X[order] for X in models], y[order]
    expected = matrix(models, y, options)
    assert_allclose(matrix(new, labels, options), expected, rtol=1e-12)


@given(problem=problems())
def test_equal_models_are_compatible(problem):
    models, y, options, rng = problem
    again = [models[0]] * 3
    C = matrix(again, y, options)
    assert_array_equal(C[np.tril_indices(3)], C[0, 0])
    assert compatibility_metrics(C)["average_compatibility"] == 1
    # In whatever order the rows come.
    order = rng.permutation(len(y))
    found = CompatibilityScorer(**options).fit(models[0][order], y[order]).matrix_
    assert found[0, 0] == C[0, 0]


@given(problem=problems())
def test_one_by_one_or_a_part(problem):
    """An entry depends on the two models alone."""
    models, y, options, _ = problem
    C = matrix(models, y, options)
    for i in range(len(models)):
        assert_array_equal(matrix(models[i:], y, options), C[i:, i:])
