"""Frames that can be written down: their angles, bounds and orientation."""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse.etf import (
    hypercube_frame,
    orthoplex_frame,
    rankin_bound,
    simplex_etf,
    welch_bound,
)

EPS = np.finfo(float).eps


def slow_extremes(frame):
    """Largest cosine and largest |cosine|, pair by pair."""
    units = [row / np.sqrt(row @ row) for row in frame]
    cosines = [a @ b for i, a in enumerate(units) for b in units[:i]]
    return max(cosines), max(abs(c) for c in cosines)


def simplex_of_cores(n_classes):
    """The construction of CoReS: e_1, …, e_d and a (1, …, 1), centred, unit."""
    d = n_classes - 1
    a = (1 - np.sqrt(d + 1)) / d
    points = np.vstack([np.eye(d), np.full((1, d), a)])
    points = points - points.mean(axis=0)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize("extra", [0, 3])
@pytest.mark.parametrize("random_state", [None, 0])
def test_identities_of_the_simplex(extra, random_state):
    for n_classes in range(2, 201):
        d = n_classes - 1
        frame = simplex_etf(n_classes, d + extra, random_state)
        gram = frame @ frame.T
        cores = simplex_of_cores(n_classes)
        tolerance = 30 * EPS
        assert_allclose(gram, cores @ cores.T, rtol=0, atol=2 * tolerance)
        assert_allclose(np.diagonal(gram), 1, rtol=0, atol=tolerance)
        off = gram[~np.eye(n_classes, dtype=bool)]
        assert_allclose(off, rankin_bound(n_classes, d), rtol=0, atol=tolerance)
        assert_allclose(-off, welch_bound(n_classes, d), rtol=0, atol=tolerance)
        assert_allclose(frame.sum(axis=0), 0, atol=tolerance * n_classes**0.5)
        if extra == 0:  # tight
            operator = frame.T @ frame
            expected = n_classes / d * np.eye(d)
            assert_allclose(operator, expected, rtol=0, atol=2 * tolerance)


@pytest.mark.parametrize("n_classes", [*range(2, 30), 101])
def test_orthoplex(n_classes):
    least = -(-n_classes // 2)
    expected = np.eye(n_classes)
    for i in range(0, n_classes - 1, 2):
        expected[i, i + 1] = expected[i + 1, i] = -1
    for d, random_state in product((None, least, least + 4), (None, 1)):
        frame = orthoplex_frame(n_classes, d, random_state)
        assert frame.shape == (n_classes, d or least)
        assert frame.dtype == np.float64
        assert_allclose(frame @ frame.T, expected, rtol=0, atol=20 * EPS)
        if least + 1 < n_classes:
            largest, _ = slow_extremes(frame)
            bound = rankin_bound(n_classes, least)
            assert largest == pytest.approx(bound, abs=20 * EPS)


@pytest.mark.parametrize("n_classes", [*range(2, 34), 200])
@pytest.mark.parametrize("random_state", [None, 1])
def test_hypercube(n_classes, random_state):
    k = int(np.ceil(np.log2(n_classes)))
    corners = hypercube_frame(n_classes)
    assert_allclose(np.abs(corners), k**-0.5, rtol=1e-15)
    frame = hypercube_frame(n_classes, k + 3, random_state)
    assert frame.shape == (n_classes, k + 3)
    # Cosines 1 - 2 h / k, from the coordinates in which the corners differ.
    differ = (corners[:, None] * corners[None] < 0).sum(axis=2)
    assert differ[~np.eye(n_classes, dtype=bool)].min() >= 1
    assert_allclose(frame @ frame.T, 1 - 2 * differ / k, rtol=0, atol=30 * EPS)
    largest, coherence = slow_extremes(frame)
    assert largest >= rankin_bound(n_classes, k + 3)
    assert coherence >= welch_bound(n_classes, k)


@pytest.mark.parametrize("build", [simplex_etf, orthoplex_frame, hypercube_frame])
def test_orientation(build):
    plain = build(4)
    padded = build(4, 7)
    assert_array_equal(padded[:, : plain.shape[1]], plain)
    assert not padded[:, plain.shape[1] :].any()
    assert_array_equal(padded, build(4, 7, None))
    turned = build(4, 7, random_state=5)
    assert_array_equal(turned, build(4, 7, np.random.RandomState(5)))
    assert np.abs(turned - padded).max() > 0.1
    assert_allclose(turned @ turned.T, padded @ padded.T, atol=20 * EPS)
    # No orientation is preferred: rows lie on both sides of every axis.
    signs = np.sign([build(4, 3, seed)[0] for seed in range(60)]).sum(axis=0)
    assert (np.abs(signs) < 30).all()


@pytest.mark.parametrize("integer", [np.int8, np.uint8, np.int64])
@pytest.mark.parametrize("build", [simplex_etf, orthoplex_frame, hypercube_frame])
def test_numpy_integers(build, integer):
    found = build(integer(100), integer(120), integer(3))
    assert_array_equal(found, build(100, 120, 3))
    with pytest.raises(ValueError, match=r"n_features=2 .* at most"):
        build(integer(100), integer(2))


@pytest.mark.parametrize(
    ("build", "arguments", "error", "match"),
    [
        (simplex_etf, (5, 3), ValueError, "n_features=3 .* = 4: .* 4 .*spread_frame"),
        (orthoplex_frame, (7, 3), ValueError, "n_features=3 .* 4: .* 6 .*spread_frame"),
        (hypercube_frame, (9, 3), ValueError, "n_features=3 .* 4: .* 8 .*spread_frame"),
        (orthoplex_frame, (1,), ValueError, "n_classes == 1"),
        (hypercube_frame, (1,), ValueError, "n_classes == 1"),
        (orthoplex_frame, (2.0,), TypeError, "n_classes must be an instance"),
        (hypercube_frame, (4, 2.0), TypeError, "n_features must be an instance"),
        (hypercube_frame, (4, 0), ValueError, "n_features == 0"),
        (orthoplex_frame, (4, 2, "seed"), ValueError, "seed"),
    ],
)
def test_errors(build, arguments, error, match):
    with pytest.raises(error, match=match):
        build(*arguments)
