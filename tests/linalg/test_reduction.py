"""Moments of rows spread over processes, with threads in their place."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import oracles
import pytest
from libraries import Library
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse import ClassMoments
from sklearn_collapse._linalg._reduction import Share, no_rows, reduce_moments
from sklearn_collapse.utils._arrays import as_like, namespace, to_numpy


class Sums:
    """Sums over threads, which meet at each of them."""

    def __init__(self, n_ranks):
        self._values = [None] * n_ranks
        self._barrier = threading.Barrier(n_ranks, timeout=20)

    def of(self, rank):
        def summed(values):
            self._values[rank] = np.array(to_numpy(values))
            self._barrier.wait()
            total = as_like(np.sum(self._values, axis=0), values)
            self._barrier.wait()
            values *= np.nan  # it may be written to
            return total

        return summed


def reduce_all(parts, library, **flags):
    """Moments that each of the threads arrives at, of its (X, y, weights) or None."""
    labels = np.unique(np.concatenate([part[1] for part in parts if part is not None]))
    sums, taken, jobs = Sums(len(parts)), np.zeros(len(labels), bool), []
    d = next(part[0].shape[1] for part in parts if part is not None)
    for rank, part in enumerate(parts):
        like = library.asarray(np.zeros(1))
        xp = namespace(like)

        def to_device(values, like=like):
            return as_like(values, like)

        if part is None:
            own, known = no_rows(d, bool(flags), xp, to_device), labels[:0]
        else:
            X, y, w = part
            moments = ClassMoments(**flags).update(library.asarray(X), y, w)
            own, known = moments._gathered(), moments.classes_
        index = np.array([[*known, label].index(label) for label in labels])
        index[index == len(known)] = -1
        lends = (index >= 0) & ~taken
        taken |= lends
        jobs.append((own, Share(index, lends), sums.of(rank), xp, to_device))
    with ThreadPoolExecutor(len(parts)) as pool:
        return list(pool.map(lambda job: reduce_moments(*job), jobs))


def assert_matches(found, expected, rtol=1e-11):
    for name, values in expected.items():
        if getattr(found, name, None) is None:
            continue
        size = np.abs(values).max()
        got = to_numpy(getattr(found, name))
        assert_allclose(got, values, rtol, rtol * size, err_msg=name)


def spread_rows(n_ranks, offset=0.0, std=1.0, seed=0):
    """Rows of each rank; class 0 on the first only, class 1 on all but the first."""
    rng = np.random.default_rng(seed)
    parts = []
    for rank in range(n_ranks):
        n = int(rng.integers(5, 60))
        y = rng.integers(2, 6, n)
        y[:3] = min(rank, 1)
        X = offset + std * rng.normal(size=(n, 4)) + rng.normal(size=(6, 4))[y]
        parts.append((X, y, rng.integers(1, 4, n).astype(float)))
    return parts


def joined(parts):
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


@pytest.mark.parametrize("class_scatter", [False, True])
@pytest.mark.parametrize("n_ranks", [2, 5])
def test_equals_the_batch(library, n_ranks, class_scatter):
    flags = {"class_scatter": True} if class_scatter else {}
    parts = spread_rows(n_ranks)
    expected = oracles.class_moments(*joined(parts))
    parts.insert(1, None)  # a rank without rows
    for found in reduce_all(parts, library, **flags):
        assert_matches(found, expected)
        assert isinstance(found.counts, np.ndarray)
        assert type(found.scatter) is type(library.asarray(np.zeros(1)))
        assert_array_equal(to_numpy(found.scatter), to_numpy(found.scatter).T)
        if class_scatter:
            per_class = to_numpy(found.class_scatter)
            assert_array_equal(per_class, np.swapaxes(per_class, 1, 2))


def test_many_processes():
    parts = spread_rows(40)
    expected = oracles.class_moments(*joined(parts))
    found = reduce_all(parts, Library("numpy"))
    assert_matches(found[7], expected, 1e-12)


def test_collapsed_classes_far_from_zero():
    """Each process sees one row of each class, so all spread lies between means."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 6)
    # Multiples of 2^-20 about 2^13: every sum and difference below is exact.
    step = 2.0**-20
    X = 2.0**13 + step * rng.integers(-64, 64, (18, 2))
    parts = [(X[k::6], y[k::6], None) for k in range(6)]
    expected = oracles.class_moments((X - 2.0**13) / step, y)
    found = reduce_all(parts, Library("numpy"))[0]
    assert_allclose(found.scatter / step**2, expected["scatter"], rtol=1e-12)
    assert_allclose(found.traces / step**2, expected["traces"], rtol=1e-12)


def test_equal_rows_leave_no_scatter():
    X = np.full((8, 3), 0.5)  # whose sums are exact
    parts = [(X[:n], np.zeros(n, int), None) for n in (3, 5, 8)]
    for found in reduce_all(parts, Library("numpy")):
        assert_array_equal(found.scatter, np.zeros((3, 3)))
        assert_array_equal(found.means, X[:1])
