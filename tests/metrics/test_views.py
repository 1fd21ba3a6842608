"""Tests of the metrics of two views, and of the volume of features."""

import math

import numpy as np
import oracles_dimensional as oracles
import pytest
from numpy.testing import assert_allclose

from sklearn_collapse.metrics import (
    _views,
    barlow_twins_loss,
    least_volume,
    view_alignment,
)

D = 5


def made(n=50, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, D)) @ rng.normal(size=(D, D)) + 3.0
    return X, X + 0.5 * rng.normal(size=(n, D))


@pytest.mark.parametrize("function", [view_alignment, barlow_twins_loss])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_equals_its_formula(library, function, dtype, monkeypatch):
    X, X_other = (rows.astype(dtype) for rows in made())
    views = library.asarray(X), library.asarray(X_other)
    truth = getattr(oracles, function.__name__)
    exact = X.astype(float), X_other.astype(float)
    found = function(*views)
    assert type(found) is float
    assert_allclose(found, truth(*exact), rtol=1e-11)
    weights = np.random.default_rng(1).integers(0, 4, len(X))
    repeated = [np.repeat(rows, weights, axis=0) for rows in exact]
    monkeypatch.setattr(_views, "block_rows", lambda width: 8)
    found = function(*views, sample_weight=library.asarray(weights))
    assert_allclose(found, truth(*repeated), rtol=1e-11)


def test_known_views():
    X, X_other = made()
    assert view_alignment(X, 7 * X) == pytest.approx(0, abs=1e-30)
    assert view_alignment(X, -X) == pytest.approx(4, rel=1e-14)
    white = np.concatenate([np.eye(D), -np.eye(D)])
    assert barlow_twins_loss(white, 2 * white + 1) == pytest.approx(0, abs=1e-28)
    assert barlow_twins_loss(white, -white) == pytest.approx(4 * D, rel=1e-14)
    assert barlow_twins_loss(np.ones_like(X), X_other) == D
    off = barlow_twins_loss(X, X_other, off_diagonal=1.0)
    assert off == pytest.approx(oracles.barlow_twins_loss(X, X_other, 1.0))


def test_least_volume(library):
    X, _ = made()
    weights = np.random.default_rng(1).integers(0, 4, len(X))
    for eta in (0.0, 0.3):
        found = least_volume(library.asarray(X), eta=eta)
        assert_allclose(found, oracles.least_volume(X, eta), rtol=1e-12)
        found = least_volume(X, eta=eta, sample_weight=weights)
        repeated = np.repeat(X, weights, axis=0)
        assert_allclose(found, oracles.least_volume(repeated, eta), rtol=1e-12)
    X[:, 2] = 0.1
    assert least_volume(X) == 0
    assert_allclose(least_volume(X, eta=0.3), oracles.least_volume(X, 0.3))
    # The product itself would overflow, or vanish.
    for scale in (1e-100, 1e100):
        wide = scale * np.random.default_rng(0).normal(size=(30, 20))
        mean_log = np.log(wide.std(axis=0)).mean()
        assert math.log(least_volume(wide)) == pytest.approx(mean_log)


@pytest.mark.parametrize("function", [view_alignment, barlow_twins_loss])
def test_input_is_checked(function):
    X, X_other = made()
    with pytest.raises(ValueError, match="two views of the same rows"):
        function(X, X_other[:-1])
    with pytest.raises(ValueError, match="two views of the same rows"):
        function(X, X_other[:, :-1])
    with pytest.raises(ValueError, match="inconsistent"):
        function(X, X_other, sample_weight=np.ones(3))
    X_other[7, 2] = np.nan
    for views in ((X, X_other), (X_other, X)):
        with pytest.raises(ValueError, match="row 7, column 2"):
            function(*views)


def test_options_are_checked():
    X, X_other = made()
    with pytest.raises(ValueError, match="off_diagonal"):
        barlow_twins_loss(X, X_other, off_diagonal=-1)
    with pytest.raises(ValueError, match="eta"):
        least_volume(X, eta=-1)
