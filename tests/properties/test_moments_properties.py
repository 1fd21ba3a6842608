"""Laws of class moments, for any rows, labels, weights and splits."""

import numpy as np
import oracles
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse import ClassMoments

EPS = np.finfo(float).eps
VALUES = st.one_of(
    st.floats(-1e3, 1e3, width=32),
    st.floats(1e6, 1e6 + 1),  # mean far larger than the spread
    st.integers(-3, 3).map(float),  # ties and constant columns
)


@st.composite
def labelled_rows(draw, min_rows=1):
    """Rows, labels and weights of which one at least is positive."""
    n, d = draw(st.integers(min_rows, 14)), draw(st.integers(1, 4))
    X = draw(arrays(float, (n, d), elements=VALUES))
    y = draw(arrays(int, n, elements=st.integers(0, 4)))
    weights = draw(arrays(float, n, elements=st.sampled_from([0.0, 0.25, 1.0, 3.0])))
    weights[draw(st.integers(0, n - 1))] = 2.0
    return X, y, weights


@st.composite
def splits(draw, n):
    """Rows in some order, cut into blocks."""
    order = np.array(draw(st.permutations(range(n))))
    cuts = draw(st.sets(st.integers(1, max(n - 1, 1)), max_size=4))
    return [part for part in np.split(order, sorted(cuts)) if len(part)]


def scatter_tolerance(size, X, n):
    """Rounding of a scatter of trace ``size``: that of the means enters squared.

    The total minus the between-class scatter would not pass.
    """
    step = 8 * EPS * np.abs(X).max() * len(X)  # error of a mean
    return 1e-12 * size + 2 * np.sqrt(size * n) * step + n * step**2


def assert_same(moments, expected, X, weights=None):
    """Compare with an oracle, allowing for rounding at the size of the rows."""
    n = len(X) if weights is None else weights.sum()
    assert_array_equal(moments.classes_, expected["classes"])
    assert_allclose(moments.counts_, expected["counts"], rtol=1e-13)
    step = 8 * EPS * np.abs(X).max() * len(X)
    assert_allclose(moments.means_, expected["means"], rtol=0, atol=step)
    atol = scatter_tolerance(np.trace(expected["scatter"]), X, n)
    assert_allclose(moments.scatter_, expected["scatter"], rtol=0, atol=atol)
    assert_allclose(moments.class_scatter_trace_, expected["traces"], rtol=0, atol=atol)
    if moments.class_scatter:
        found = moments.class_scatter_
        assert_allclose(found, expected["class_scatter"], rtol=0, atol=atol)


@given(labelled_rows(), st.data(), st.booleans())
def test_merge_is_batch(rows, data, class_scatter):
    X, y, weights = rows
    parts = data.draw(splits(len(X)))
    expected = oracles.class_moments(X, y, weights)
    merged = sum(
        ClassMoments(class_scatter=class_scatter).update(
            X[part], y[part], weights[part]
        )
        for part in parts
        if weights[part].any()
    )
    assert_same(merged, expected, X, weights)


@given(labelled_rows(), st.data())
def test_merge_is_batch_in_any_tree(rows, data):
    X, y, _ = rows
    waiting = [ClassMoments().update(X[p], y[p]) for p in data.draw(splits(len(X)))]
    while len(waiting) > 1:
        one = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
        two = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
        waiting.append(one + two)
    assert_same(waiting[0], oracles.class_moments(X, y), X)


@given(labelled_rows(), st.data(), st.booleans())
def test_stream_is_batch(rows, data, class_scatter):
    X, y, weights = rows
    moments = ClassMoments(class_scatter=class_scatter)
    for part in data.draw(splits(len(X))):
        if weights[part].any():
            moments.update(X[part], y[part], weights[part])
            if data.draw(st.booleans()):
                assert moments.n_samples_ > 0  # reading takes in the rows that wait
    assert_same(moments, oracles.class_moments(X, y, weights), X, weights)


@given(labelled_rows(), st.data())
def test_order_of_rows_does_not_matter(rows, data):
    X, y, weights = rows
    order = np.array(data.draw(st.permutations(range(len(X)))))
    moments = ClassMoments().update(X[order], y[order], weights[order])
    assert_same(moments, oracles.class_moments(X, y, weights), X, weights)


@given(labelled_rows(), st.data())
def test_integer_weights_are_repetitions(rows, data):
    X, y, _ = rows
    times = np.array(
        data.draw(st.lists(st.integers(0, 3), min_size=len(X), max_size=len(X)))
    )
    times[-1] = 1
    index = np.repeat(np.arange(len(X)), times)
    expected = oracles.class_moments(X[index], y[index])
    assert_same(ClassMoments().update(X, y, times), expected, X, times)
    assert_same(ClassMoments().update(X[index], y[index]), expected, X, times)


@given(labelled_rows(), arrays(float, 4, elements=st.integers(-1000, 1000)))
def test_translation(rows, shift):
    X, y, weights = rows
    X = np.round(X)  # so that adding is exact
    shift = shift[: X.shape[1]]
    expected = oracles.class_moments(X, y, weights)
    expected["means"] = expected["means"] + shift
    moments = ClassMoments(class_scatter=True).update(X + shift, y, weights)
    assert_same(moments, expected, np.abs(X) + np.abs(shift), weights)


@given(labelled_rows(), st.sampled_from([2.0**-20, 0.5, -1.0, 2.0**20]))
def test_scale(rows, factor):
    # Powers of two scale without rounding: not a digit may differ.
    X, y, weights = rows
    moments = ClassMoments(class_scatter=True).update(X, y, weights)
    scaled = ClassMoments(class_scatter=True).update(factor * X, y, weights)
    assert_array_equal(scaled.means_, factor * moments.means_)
    assert_array_equal(scaled.scatter_, factor**2 * moments.scatter_)
    assert_array_equal(scaled.class_scatter_, factor**2 * moments.class_scatter_)
    unit = ClassMoments(normalize=True).update(X, y, weights)
    scaled = ClassMoments(normalize=True).update(abs(factor) * X, y, weights)
    assert_array_equal(scaled.scatter_, unit.scatter_)


@given(labelled_rows(min_rows=2))
def test_covariances_add_up(rows):
    X, y, _ = rows
    moments = ClassMoments().update(X, y)
    total = np.cov(X.T, ddof=0).reshape(X.shape[1], X.shape[1])
    size = np.trace(total)
    close = {"rtol": 0, "atol": scatter_tolerance(size, X, 1)}
    parts = moments.within_covariance() + moments.between_covariance()
    assert_allclose(parts, total, **close)
    assert_allclose(moments.total_covariance(), total, **close)
    second = np.mean([np.outer(x, x) for x in X], axis=0)
    assert_allclose(
        moments.second_moment(), second, 1e-12, 1e-12 * np.abs(second).max()
    )
    for covariance in (moments.within_covariance(), moments.between_covariance()):
        assert np.linalg.eigvalsh(covariance)[0] >= -close["atol"] - 1e-14 * size


@given(labelled_rows())
def test_joining_classes_adds_to_the_scatter(rows):
    X, y, _ = rows
    fine = ClassMoments().update(X, y).scatter_
    coarse = ClassMoments().update(X, y // 2).scatter_
    atol = scatter_tolerance(np.trace(coarse), X, len(X))
    assert np.linalg.eigvalsh(coarse - fine)[0] >= -atol
