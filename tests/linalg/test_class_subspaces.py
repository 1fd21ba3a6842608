"""Tests of the bases of class subspaces and of ratios of rows to them."""

import numpy as np
import oracles_subspaces as oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse._linalg import _class_subspaces
from sklearn_collapse._linalg._class_subspaces import (
    class_ratios,
    class_subspaces,
    padded_bases,
)
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import Rows, namespace

EPS = float(np.finfo(float).eps)
SIZES = ([2, 2, 2], [3, 1, 2], [0, 2, 1], [1, 0, 0], [4, 4, 0], [1, 1, 1])


def bases(sizes, d=5, seed=0):
    """Columns of each class, and all of them as rows below each other."""
    rng = np.random.default_rng(seed)
    columns = [oracles.random_frame(rng, d, k) for k in sizes]
    return columns, np.concatenate([S.T for S in columns])


def found(X, y, centre, wanted, library=None):
    rows = X if library is None else library.asarray(X)
    moments = ClassMoments(class_scatter=True).update(rows, y)
    if library is not None and centre is not None:
        centre = library.asarray(centre)
    return class_subspaces(
        moments._gathered(),
        centre,
        wanted,
        input_eps=float(np.finfo(X.dtype).eps),
        product_eps=EPS,
        xp=namespace(moments.means_),
    )


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_ratios(library, sizes, dtype, offset):
    columns, basis = bases(sizes)
    rng = np.random.default_rng(1)
    centre = offset * rng.normal(size=5)
    X = (rng.normal(size=(300, 5)) + centre).astype(dtype)
    expected = oracles.logits(X.astype(float), columns, centre, 2.0)
    rows = Rows(library.asarray(X))
    options = {"centre": library.asarray(centre), "factor": 2.0}
    args = rows, library.asarray(basis), np.array(sizes)
    ratios = class_ratios(*args, **options)
    assert library.owns(ratios)
    assert str(ratios.dtype).endswith(dtype)
    rtol = 1e-12 if dtype == "float64" else 1e-5
    assert_allclose(np.asarray(ratios), expected, rtol=rtol, atol=rtol)
    wide = class_ratios(*args, **options, wide=True)
    assert wide.dtype == ratios.dtype
    least = 1e-12 if dtype == "float64" else 2e-7  # rounding of the result alone
    assert_allclose(np.asarray(wide), expected, rtol=least, atol=least)


@pytest.mark.parametrize("sizes", [[2, 2], [1, 3]])
def test_rows_without_a_direction_have_the_ratio_0(library, sizes):
    _, basis = bases(sizes)
    point = np.full(5, 0.1)
    X = np.stack([point, point + 1, np.zeros(5)])
    rows, basis = Rows(library.asarray(X)), library.asarray(basis)
    centred = class_ratios(
        rows, basis, np.array(sizes), centre=library.asarray(point), factor=3.0
    )
    assert_array_equal(np.asarray(centred)[0], 0)
    assert (np.asarray(centred)[1] > 0).all()
    plain = class_ratios(rows, basis, np.array(sizes))
    assert_array_equal(np.asarray(plain)[2], 0)


def test_ratios_are_at_most_1():
    rng = np.random.default_rng(0)
    S = oracles.random_frame(rng, 40, 39)
    X = (rng.normal(size=(2000, 39)) @ S.T).astype(np.float32)
    ratios = class_ratios(Rows(X), S.T, np.array([39]))
    assert ratios.max() == 1
    assert_allclose(ratios, 1, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_not_finite(library, bad):
    _, basis = bases([1, 2])
    X = np.ones((6, 5))
    X[4, 3] = bad
    args = Rows(library.asarray(X)), library.asarray(basis), np.array([1, 2])
    for wide in (False, True):
        with pytest.raises(ValueError, match="row 4, column 3"):
            class_ratios(*args, wide=wide)


@pytest.mark.parametrize("sizes", SIZES)
def test_padded(library, sizes):
    columns, basis = bases(sizes)
    padded = padded_bases(
        library.asarray(basis), np.array(sizes), namespace(library.asarray(basis))
    )
    assert padded.shape == (3, 5, max(sizes))
    for c, S in enumerate(columns):
        assert_array_equal(np.asarray(padded)[c, :, : sizes[c]], S)
        assert_array_equal(np.asarray(padded)[c, :, sizes[c] :], 0)


@pytest.mark.parametrize("wanted", [2, 0.7])
@pytest.mark.parametrize("per_stack", [1, 3, 4])
def test_the_size_of_the_stacks_does_not_matter(
    library, monkeypatch, wanted, per_stack
):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(70, 6)) * np.linspace(1, 3, 6), np.arange(70) % 7
    centre = X.mean(axis=0)
    whole = found(X, y, centre, wanted, library)
    monkeypatch.setattr(_class_subspaces, "_STACK_BYTES", per_stack * 8 * 36)
    seen = []
    eigh = _class_subspaces.eigh
    monkeypatch.setattr(
        _class_subspaces, "eigh", lambda a: seen.append(a.shape[0]) or eigh(a)
    )
    parts = found(X, y, centre, wanted, library)
    assert sum(seen) == 7
    assert max(seen) == per_stack
    assert_array_equal(parts.sizes, whole.sizes)
    assert_allclose(np.asarray(parts.values), np.asarray(whole.values), rtol=1e-13)
    projector = np.asarray(whole.basis).T @ np.asarray(whole.basis)
    again = np.asarray(parts.basis).T @ np.asarray(parts.basis)
    assert_allclose(again, projector, atol=1e-12)


def tied_rows(values):
    """Rows whose second moment about the origin is diagonal."""
    root = np.sqrt(len(values) * np.asarray(values, float))
    return np.diag(root)


@pytest.mark.parametrize(
    ("values", "k", "tied"),
    [
        ([4, 4, 1, 0, 0], 1, True),
        ([4, 4, 1, 0, 0], 2, False),
        ([4, 4, 1, 0, 0], 3, False),  # all that count
        ([4, 1, 1, 1, 1], 3, True),
        ([1, 1, 1, 1, 1], 4, True),  # one less than there are features
        ([4, 4 * (1 - 1e-12), 1, 0, 0], 1, False),
        ([4, 4 * (1 - 4 * EPS), 1, 0, 0], 1, True),
    ],
)
def test_cuts_inside_ties(library, values, k, tied):
    X = np.concatenate([tied_rows(values), tied_rows([5, 4, 3, 2, 1])])
    y = np.repeat([0, 1], 5)
    cut = found(X, y, None, k, library)
    assert_array_equal(cut.tied, [tied, False])
    assert_array_equal(cut.sizes, [min(k, np.count_nonzero(values)), k])


def test_rounding_of_the_input_ties():
    # What float32 leaves of two equal eigenvalues far from the origin.
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.normal(size=(64, 64)))[0]
    exact = 8 * Q[:, :3] * np.sqrt([4, 4, 1])
    X = (np.concatenate([exact, -exact]) + 1000).astype(np.float32)
    y = np.zeros(128, dtype=int)
    centre = np.full(3, 1000.0)
    gaps = np.linalg.eigvalsh(np.cov((X - centre).T, bias=True))
    assert gaps[2] - gaps[1] > 100 * EPS * gaps[2]
    assert found(X, y, centre, 1).tied.all()
    assert not found(X.astype(float), y, centre, 1).tied.any()
    assert not found(X, y, centre, 2).tied.any()


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("centered", [False, True])
def test_rank_is_at_most_the_number_of_rows(library, n, centered):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(4 * n, 30)) + 3, np.arange(4 * n) % 4
    centre = oracles.centre(X, y) if centered else None
    cut = found(X, y, centre, 29, library)
    assert_array_equal(cut.sizes, n)
    assert cut.basis.shape == (4 * n, 30)
    assert (np.asarray(cut.values)[:, n:] == 0).all()


def test_noise_alone_is_no_direction():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1, 8)) + np.zeros((50, 8))
    X = np.concatenate([X, rng.normal(size=(50, 8))])
    X[:50] *= 1 + 0.3 * np.finfo(np.float32).eps * rng.normal(size=(50, 8))
    cut = found(X.astype(np.float32), np.repeat([0, 1], 50), None, 7)
    assert_array_equal(cut.sizes, [1, 7])
