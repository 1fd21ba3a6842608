"""Properties of generated features and of splits that hold for all arguments."""

import math

import numpy as np
import oracles
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse.datasets import make_collapsed_features
from sklearn_collapse.metrics import get_scorer
from sklearn_collapse.model_selection import LeaveClassesOut

EPS = np.finfo(float).eps
SEEDS = st.integers(0, 2**32 - 1)


# -- generated features ----------------------------------------------------------


@st.composite
def requests(draw):
    """Arguments that can be met."""
    n_classes = draw(st.integers(2, 6))
    n_features = draw(st.integers(n_classes - 1, 15))
    imbalance = draw(st.sampled_from([1, 1.5, 7.0, 40.0]))
    least = sum(imbalance ** (k / (n_classes - 1)) for k in range(n_classes))
    n_samples = draw(st.integers(math.ceil(least) + 1, math.ceil(least) + 60))
    rank = draw(st.integers(1, min(n_features, n_samples - n_classes)))
    return {
        "n_samples": n_samples,
        "n_classes": n_classes,
        "n_features": n_features,
        "imbalance": imbalance,
        "rank": draw(st.sampled_from([None, rank])),
        "nc1": 10.0 ** draw(st.integers(-12, 3)),
        "random_state": draw(SEEDS),
    }


@given(requests())
def test_sample_has_what_was_asked_for(options):
    X, y = make_collapsed_features(**options)
    n, n_classes, d = (options[f"n_{k}"] for k in ("samples", "classes", "features"))
    assert X.shape == (n, d)
    nc1 = options["nc1"]
    found = oracles.nc1_pinv(X, y)
    # Rounding of a row against its distance from the mean.
    assert abs(found / nc1 - 1) < 100 * EPS / min(1, math.sqrt(nc1))
    moments = oracles.class_moments(X, y)
    means = moments["means"]
    size = max(1, np.abs(X).max())
    expected = (n_classes * np.eye(n_classes) - 1) / (n_classes - 1)
    assert_allclose(means @ means.T, expected, atol=200 * EPS * size)
    rank = options["rank"] or min(d, n - n_classes)
    values = np.linalg.svd(X - means[y], compute_uv=False)
    rounding = n * EPS * size
    assert np.sum(values > rounding) == rank
    counts = moments["counts"]
    assert counts.sum() == n
    assert counts.min() >= 1
    exact = options["imbalance"] ** -np.linspace(0, 1, n_classes)
    assert np.abs(counts - n * exact / exact.sum()).max() < 1
    assert (np.diff(counts) <= 0).all()


@given(requests())
def test_library_reads_the_same_nc1(options):
    X, y = make_collapsed_features(**{**options, "n_samples": 200, "imbalance": 2.0})
    nc1 = options["nc1"]
    found = -get_scorer("neg_nc1_pinv")(None, X, y)
    assert abs(found / nc1 - 1) < 200 * EPS / min(1, math.sqrt(nc1))


# -- splits ----------------------------------------------------------------------


@st.composite
def problems(draw):
    """Labels, of which two classes at least have two rows, and a splitter."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=2, max_size=7))
    n_out = draw(st.integers(1, len(sizes) - 1))
    # Whatever is left out, a class with two rows stays.
    sizes[: n_out + 1] = [size + 1 for size in sizes[: n_out + 1]]
    seed = draw(SEEDS)
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    most = min(math.comb(len(sizes), n_out), 12)
    n_splits = draw(st.none() | st.integers(1, most))
    test_size = draw(st.floats(0.01, 0.99))
    return y, LeaveClassesOut(n_out, n_splits, test_size, random_state=seed)


@given(problems())
def test_splits(problem):
    y, cv = problem
    found = []
    for train, test in cv.split(None, y):
        assert_array_equal(np.sort(np.r_[train, test]), np.arange(len(y)))
        known = set(y[train].tolist())
        found.append(frozenset(set(y.tolist()) - known))
        assert len(found[-1]) == cv.n_out
        assert known & set(y[test].tolist())
        for label in known:
            size, held_out = np.sum(y == label), np.sum(y[test] == label)
            assert abs(held_out - cv.test_size * size) <= 1
            assert (held_out == 0) == (size == 1)
    assert len(found) == cv.get_n_splits(None, y)
    assert len(set(found)) == len(found)
    if cv.n_splits is None:
        assert frozenset().union(*found) == set(y.tolist())


@given(problems())
def test_names_of_classes_do_not_matter(problem):
    """Only their order does."""
    y, cv = problem
    names = np.array(["ant", "bee", "cat", "dog", "elk", "fox", "gnu"])
    for plain, named in zip(cv.split(None, y), cv.split(None, names[y]), strict=True):
        assert_array_equal(plain[0], named[0])
        assert_array_equal(plain[1], named[1])
