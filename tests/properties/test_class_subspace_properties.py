"""Properties of the class subspace projector, over shapes, ranks and class sizes."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse.whitening import ClassSubspaceProjector

SEEDS = st.integers(0, 2**32 - 1)
KEEP = st.sampled_from(["between", "within"])


@st.composite
def labelled_rows(draw, full_rank=False):
    """Rows whose class means span a planted number of dimensions about their mean.

    Integers, so that the means lie there exactly and not to rounding.
    """
    rng = np.random.default_rng(draw(SEEDS))
    n_classes = draw(st.integers(2, 7))
    d = draw(st.integers(1, 10))
    rank = min(n_classes - 1, d)
    if not full_rank:
        rank = draw(st.integers(1, rank))
    basis = rng.integers(-4, 5, size=(rank, d)).astype(float)
    places = rng.integers(-4, 5, size=(n_classes, rank)).astype(float)
    assume(np.linalg.matrix_rank(basis) == rank)
    assume(np.linalg.matrix_rank(places - places.mean(axis=0)) == rank)
    means = places @ basis + rng.integers(-9, 10, size=d)
    size = draw(st.sampled_from([0, 1, 9]))
    X, y = [], []
    for c, mean in enumerate(means):
        noise = rng.integers(-size, size + 1, size=(rng.integers(1, 6), d))
        X += [mean, *(mean + noise), *(mean - noise)]
        y += (1 + 2 * len(noise)) * [c]
    order = rng.permutation(len(y))
    return np.array(X)[order], np.array(y)[order], rank


def split(X, y, **options):
    return [
        ClassSubspaceProjector(keep, **options).fit_transform(X, y)
        for keep in ("between", "within")
    ]


def leading(data, share):
    """A number of directions after which the eigenvalues have a gap, or None."""
    X, y, rank = data
    values = ClassSubspaceProjector().fit(X, y).eigenvalues_
    k = max(1, round(share * rank))
    return k if k < rank and values[k] < 0.9 * values[k - 1] else None


@given(labelled_rows(), st.floats(0, 1))
def test_the_parts_add_up(data, share):
    X, y, rank = data
    k = leading(data, share)
    size = np.abs(X).max()
    inside, outside = split(X, y, n_components=k)
    assert_allclose(inside + outside, X - X.mean(axis=0), atol=1e-13 * size)
    assert_allclose(inside @ outside.T, 0, atol=1e-11 * size**2)
    values = np.linalg.svd(inside, compute_uv=False)
    assert np.sum(values > 1e-9 * size) == (k or rank)


@given(labelled_rows(), KEEP, st.floats(0, 1))
def test_projecting_again_changes_nothing(data, keep, share):
    X, y, rank = data
    projector = ClassSubspaceProjector(keep, n_components=leading(data, share))
    Z = projector.fit(X, y).transform(X)
    assert projector.rank_ == rank
    back = projector.inverse_transform(Z)
    size = np.abs(X).max()
    assert_allclose(back, Z + projector.mean_, atol=1e-12 * size)
    assert_allclose(projector.transform(back), Z, atol=1e-12 * size)


@given(labelled_rows())
def test_class_means_of_the_rest_coincide(data):
    X, y, _ = data
    outside = split(X, y)[1]
    means = [outside[y == c].mean(axis=0) for c in np.unique(y)]
    assert_allclose(means, np.zeros_like(means), atol=1e-12 * np.abs(X).max())


@given(labelled_rows(full_rank=True), KEEP, SEEDS, st.floats(0, 1))
def test_it_turns_with_the_features(data, keep, seed, share):
    X, y, _ = data
    d = X.shape[1]
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    projector = ClassSubspaceProjector(keep, n_components=leading(data, share))
    Z = projector.fit_transform(X, y)
    turned = projector.fit_transform(X @ turn, y)
    assert_allclose(turned, Z @ turn, atol=1e-9 * np.abs(X).max())


@given(labelled_rows(), KEEP, st.sampled_from([2**-30, 0.5, 2**30]), st.integers(-9, 9))
def test_units_and_origin(data, keep, scale, shift):
    X, y, rank = data
    Z = ClassSubspaceProjector(keep).fit_transform(X, y)
    moved = ClassSubspaceProjector(keep).fit(scale * (X + shift), y)
    assert moved.rank_ == rank
    Z_moved = moved.transform(scale * (X + shift)) / scale
    assert_allclose(Z_moved, Z, atol=1e-10 * (np.abs(X).max() + abs(shift)))


@given(labelled_rows(), KEEP, SEEDS)
def test_names_and_order_of_classes_do_not_matter(data, keep, seed):
    X, y, _ = data
    rng = np.random.default_rng(seed)
    names = rng.permutation([f"class {c}" for c in range(y.max() + 1)])
    a = ClassSubspaceProjector(keep).fit(X, y)
    b = ClassSubspaceProjector(keep).fit(X, names[y])
    size = np.abs(X).max()
    assert_allclose(b.transform(X), a.transform(X), atol=1e-11 * size)
    assert_array_equal(b.classes_, np.sort(names))


@given(labelled_rows(), KEEP, st.integers(1, 70))
def test_blocks_equal_one_fit(data, keep, cut):
    X, y, rank = data
    cut = min(cut, len(X) - 1)
    parts = ClassSubspaceProjector(keep).partial_fit(X[:cut], y[:cut])
    parts.partial_fit(X[cut:], y[cut:])
    assert parts.rank_ == rank
    whole = ClassSubspaceProjector(keep).fit(X, y)
    size = np.abs(X).max()
    assert_allclose(parts.transform(X), whole.transform(X), atol=1e-11 * size)


@given(labelled_rows(), KEEP)
def test_the_span_ignores_class_sizes(data, keep):
    """Rows that are counted several times move the mean and nothing else."""
    X, y, _ = data
    plain = ClassSubspaceProjector(keep).fit(X, y)
    weighted = ClassSubspaceProjector(keep).fit(X, y, sample_weight=1.0 + y)
    shift = plain.transform(weighted.mean_[None])
    size = np.abs(X).max()
    found = weighted.transform(X) + shift
    assert_allclose(found, plain.transform(X), atol=1e-10 * size)
