"""The band of exact calibration against all orders of rows, and against draws."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import betabinom

from sklearn_collapse._linalg._calibration import exact_band, flagged_shares


def shares_by_hand(n_rows, n_calibration, rate):
    """Share flagged in each equally likely order of new and calibration scores."""
    total, found = n_rows + n_calibration, []
    for places in combinations(range(total), n_calibration):
        new = np.setdiff1d(np.arange(total), places)
        p = [(1 + np.sum(np.array(places) <= s)) / (1 + n_calibration) for s in new]
        found.append(np.mean(np.array(p) <= rate + 1e-9))
    return np.sort(found)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (4, 5), (6, 3), (3, 9)])
@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95])
def test_band_of_all_orders(m, n, confidence):
    rates = np.arange(1, n + 1) / (n + 1)
    low, high = exact_band(rates, m, n, confidence)
    for rate, least, most in zip(rates, low, high, strict=True):
        found = shares_by_hand(m, n, rate)
        tail = (1 - confidence) / 2
        # The lowest shares whose distribution function reaches the tails.
        reached = np.arange(1, len(found) + 1) / len(found)
        expected = [found[reached >= t * (1 - 1e-9)][0] for t in (tail, 1 - tail)]
        np.testing.assert_allclose([least, most], expected, atol=1e-12)
        inside = (found >= least - 1e-9) & (found <= most + 1e-9)
        assert inside.mean() >= confidence - 1e-9


@pytest.mark.parametrize(("m", "n"), [(50, 20), (400, 3000)])
def test_band_of_the_reference(m, n):
    rates = np.arange(1, n + 1, max(1, n // 25)) / (n + 1)
    k = np.arange(1, n + 1, max(1, n // 25))
    low, high = exact_band(rates, m, n)
    np.testing.assert_allclose(low, betabinom.ppf(0.025, m, k, n + 1 - k) / m)
    np.testing.assert_allclose(high, betabinom.ppf(0.975, m, k, n + 1 - k) / m)


def test_band_of_uniform_p_values(rng):
    """Without a number of calibration rows: all thresholds are exact."""
    rates = np.array([0.02, 0.3, 0.9])
    low, high = exact_band(rates, 80)
    drawn = np.mean(rng.random((20000, 80, 1)) <= rates, axis=1)
    inside = np.mean((drawn >= low) & (drawn <= high), axis=0)
    assert (inside > 0.945).all()
    narrower = np.mean((drawn > low) & (drawn < high), axis=0)
    assert (narrower < 0.95).all()
    # Very many rows that calibrate are the same.
    many = exact_band(rates, 80, 10**6)
    np.testing.assert_allclose(many, (low, high))


def test_no_row_can_be_flagged():
    """Rates below 1 / (n + 1), which no p-value reaches."""
    low, high = exact_band(np.array([0.05]), 30, 15)
    assert low == high == 0


def test_band_of_many_rows():
    low, high = exact_band(np.array([0.01, 0.5]), 300_000, 100_000)
    error = np.sqrt([0.01 * 0.99, 0.25]) * np.sqrt(1 / 300_000 + 1 / 100_000)
    np.testing.assert_allclose(low, [0.01, 0.5] - 1.96 * error, rtol=0.01)
    np.testing.assert_allclose(high, [0.01, 0.5] + 1.96 * error, rtol=0.01)


def test_flagged_shares():
    rates, shares = flagged_shares(np.array([0.5, 0.1, 0.5, 1.0]))
    assert rates.tolist() == [0.1, 0.5, 1.0]
    assert shares.tolist() == [0.25, 0.75, 1.0]
