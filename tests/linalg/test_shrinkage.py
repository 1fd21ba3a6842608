"""Shrinkage intensities against scikit-learn's, which work on rows."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf, oas

from sklearn_collapse._linalg._shrinkage import ledoit_wolf_intensity, oas_intensity


def centred_rows(n, d, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.linspace(1, spread, d)
    return X - X.mean(axis=0)


def traces(X):
    covariance = sum(np.outer(x, x) for x in X) / len(X)
    return np.trace(covariance), np.trace(covariance @ covariance)


SHAPES = [(30, 5), (8, 5), (6, 20), (2, 3), (500, 4)]


@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
@pytest.mark.parametrize("spread", [1, 20])
@pytest.mark.parametrize("shape", SHAPES)
def test_oas(shape, spread, scale):
    X = scale * centred_rows(*shape, spread=spread)
    expected = oas(X, assume_centered=True)[1]
    found = oas_intensity(*traces(X), *shape)
    assert found == pytest.approx(expected, rel=1e-10)
    assert 0 < found <= 1


@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
@pytest.mark.parametrize("spread", [1, 20])
@pytest.mark.parametrize("shape", SHAPES)
def test_ledoit_wolf(shape, spread, scale):
    X = scale * centred_rows(*shape, spread=spread)
    expected = ledoit_wolf(X, assume_centered=True)[1]
    fourth = sum(sum(v**2 for v in x) ** 2 for x in X)
    found = ledoit_wolf_intensity(*traces(X), fourth, *shape)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert 0 <= found <= 1


def test_several_intensities_are_seen():
    # The comparisons above would be empty if every intensity were 0 or 1.
    assert 0.001 < oas(centred_rows(30, 5), assume_centered=True)[1] < 0.999
    assert 0.001 < ledoit_wolf(centred_rows(30, 5), assume_centered=True)[1] < 0.999


def test_isotropic():
    # S is a multiple of the identity: nothing to shrink, or everything.
    assert oas_intensity(3.0, 3.0, 50, 3) == 1.0
    assert ledoit_wolf_intensity(3.0, 3.0, 1000.0, 50, 3) == 0.0


def test_zero_covariance():
    X = np.zeros((10, 3))
    assert oas_intensity(0.0, 0.0, 10, 3) == oas(X, assume_centered=True)[1]
    expected = ledoit_wolf(X, assume_centered=True)[1]
    assert ledoit_wolf_intensity(0.0, 0.0, 0.0, 10, 3) == expected


def test_one_feature():
    # S is its own target: any intensity gives S back, so a number is enough.
    assert 0 <= oas_intensity(2.0, 4.0, 10, 1) <= 1
    assert ledoit_wolf_intensity(2.0, 4.0, 60.0, 10, 1) == 0.0
