"""The frame of a hierarchy, against its definition with all 100 offsets tried."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import pdist, squareform

from sklearn_collapse._linalg import _hierarchical
from sklearn_collapse.etf import frame_gram, hierarchical_frame

TREE = {"animal": ["cat", ["dog", "wolf"]], "vehicle": ["ship", "truck"], "x": "frog"}
# Sorted: cat, dog, frog, ship, truck, wolf. Heights of the lowest common ancestors.
HEIGHTS = np.array(
    [
        [0, 2, 3, 3, 3, 2],
        [2, 0, 3, 3, 3, 1],
        [3, 3, 0, 3, 3, 3],
        [3, 3, 3, 0, 1, 3],
        [3, 3, 3, 1, 0, 3],
        [2, 1, 3, 3, 3, 0],
    ]
)


def slow_gram(D, gamma=3.0):
    """S by its definition: every offset of the grid, by eigenvalues."""
    n = len(D)
    found = None
    for s in np.linspace(-1 / (n - 1), -1, 100):
        S = (1 - s) * np.exp(-gamma * D / D.max()) + s
        values = np.linalg.eigvalsh(S)
        if values[0] >= -1e-14 * values[-1]:
            found = S
    return found


def tree_distances(n, seed=0):
    rng = np.random.default_rng(seed)
    Z = linkage(rng.normal(size=(n, 5)), method="average")
    return Z, squareform(cophenet(Z))


@pytest.mark.parametrize("gamma", [0.3, 3.0, 20.0])
@pytest.mark.parametrize("n_classes", [2, 3, 4, 5, 17, 200])
def test_matrix_and_linkage(n_classes, gamma):
    Z, D = tree_distances(n_classes)
    expected = slow_gram(D, gamma)
    for given in (D, Z, 100 * D):
        frame = hierarchical_frame(given, gamma=gamma)
        assert frame.dtype == np.float64
        assert_allclose(frame @ frame.T, expected, rtol=0, atol=1e-13)
        assert_allclose(np.linalg.norm(frame, axis=1), 1, rtol=1e-15)


@pytest.mark.parametrize("seed", range(8))
def test_lowest_offset_of_euclidean_distances(seed):
    """Distances of no tree: K is positive definite for them as well."""
    rng = np.random.default_rng(seed)
    D = squareform(pdist(rng.normal(size=(9, 3))))
    frame = hierarchical_frame(D, gamma=1.0)
    assert_allclose(frame_gram(frame), slow_gram(D, 1.0), rtol=0, atol=1e-13)


def test_nested_labels():
    frame = hierarchical_frame(TREE)
    assert_allclose(frame @ frame.T, slow_gram(HEIGHTS), rtol=0, atol=1e-14)
    order = [3, 0, 5, 2, 4, 1]
    names = np.array(["cat", "dog", "frog", "ship", "truck", "wolf"])[order]
    given = hierarchical_frame(HEIGHTS[np.ix_(order, order)], classes=names)
    assert_allclose(given, frame, rtol=0, atol=1e-14)
    pairs = hierarchical_frame(["a", "b"])
    assert_allclose(pairs @ pairs.T, slow_gram(np.array([[0, 1], [1, 0]])), atol=1e-15)


def test_paths():
    D = np.array([[0, 2, 4, 3], [2, 0, 4, 3], [4, 4, 0, 3], [3, 3, 3, 0.0]])
    tree = [["a", "b"], [["c"]], "z"]
    D[2, 3] = D[3, 2] = 4
    D[0, 2] = D[2, 0] = D[1, 2] = D[2, 1] = 5
    frame = hierarchical_frame(tree, distance="path", gamma=2.0)
    assert_allclose(frame @ frame.T, slow_gram(D, 2.0), rtol=0, atol=1e-14)


def test_flat_hierarchy_is_close_to_a_simplex():
    n = 10
    frame = hierarchical_frame(list(range(n)))
    off = (frame @ frame.T)[~np.eye(n, dtype=bool)]
    # The grid has steps of 1 / 110; one step changes a cosine by less than that.
    assert (off >= -1 / (n - 1) - 1e-15).all()
    assert (off < -1 / (n - 1) + 1 / 110).all()


@pytest.mark.parametrize("flat", [False, True])
def test_triangular_and_unique(flat, monkeypatch):
    """Neither order nor sign of eigenvectors matters, nor, if equal, their choice."""
    n = 12
    D = 1 - np.eye(n) if flat else tree_distances(n)[1]
    frame = hierarchical_frame(D)
    assert_array_equal(np.triu(frame, 1), 0)
    assert (np.diagonal(frame) > 0).all()
    eigh = _hierarchical.eigh

    def other(gram):
        values, vectors = eigh(gram)
        rng = np.random.default_rng(0)
        order = rng.permutation(n)
        if flat:  # one eigenvalue of its own, the smallest; the others are equal
            turn = np.linalg.qr(rng.normal(size=(n - 1, n - 1)))[0]
            vectors[:, 1:] = vectors[:, 1:] @ turn
        signs = np.where(np.arange(n) % 2, -1.0, 1.0)
        return values[order], (vectors * signs)[:, order]

    monkeypatch.setattr(_hierarchical, "eigh", other)
    assert_allclose(hierarchical_frame(D), frame, rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 2, 0, 1, 3], [0, 2, 1, 3, 4]])
def test_factor_of_a_singular_gram(order):
    """Rows that depend on those before them open no axis."""
    rows = np.array([[1, 0, 0], [0.6, 0.8, 0], [-1, 0, 0], [0, -1, 0], [0, 0.6, 0.8]])
    rows = rows[order]
    factor = _hierarchical.gram_factor(rows @ rows.T)
    assert factor.shape == (5, 3)
    assert_allclose(factor @ factor.T, rows @ rows.T, rtol=0, atol=1e-14)
    opened = 0
    for i in range(5):
        before = np.linalg.matrix_rank(rows[:i]) if i else 0
        after = np.linalg.matrix_rank(rows[: i + 1])
        opened += after - before
        assert_allclose(factor[i, opened:], 0, atol=1e-14)
        if after > before:
            assert factor[i, opened - 1] > 0.1


def test_features_and_orientation():
    frame = hierarchical_frame(HEIGHTS)
    assert frame.shape == (6, 6)
    padded = hierarchical_frame(HEIGHTS, 8)
    assert_array_equal(padded, np.pad(frame, ((0, 0), (0, 2))))
    turned = hierarchical_frame(HEIGHTS, 8, random_state=0)
    assert np.abs(turned - padded).max() > 0.1
    assert_allclose(turned @ turned.T, frame @ frame.T, rtol=0, atol=1e-14)


def test_any_library(library):
    found = hierarchical_frame(library.asarray(HEIGHTS, np.float64))
    assert_allclose(found, hierarchical_frame(HEIGHTS), atol=1e-15)


def asymmetric():
    D = HEIGHTS.astype(float)
    D[1, 4] += 1e-6
    return D


def coinciding():
    D = HEIGHTS.astype(float)
    D[1, 5] = D[5, 1] = 0
    return D


def joined(height, first=1.0):
    """Linkage of three classes."""
    return np.array([[0, 1, first, 2], [2, 3, height, 3.0]])


def endless():
    tree = ["a"]
    tree.append(tree)
    return tree


# Shortest paths between the corners of K(3, 3), far from any tree.
BIPARTITE = 2.0 - (np.arange(6)[:, None] % 2 != np.arange(6) % 2)
np.fill_diagonal(BIPARTITE, 0)


@pytest.mark.parametrize(
    ("distances", "options", "error", "match"),
    [
        (asymmetric(), {}, ValueError, "classes 1 and 4 differ"),
        (coinciding(), {}, ValueError, "classes 1 and 5 is 0"),
        (-HEIGHTS, {}, ValueError, r"not negative, got -2.0 in distances\."),
        (HEIGHTS * np.nan, {}, ValueError, "distances must be"),
        (np.where(HEIGHTS == 3, np.nan, HEIGHTS), {}, ValueError, "must be finite"),
        (np.zeros((1, 1)), {}, ValueError, "1 class: .* at least 2"),
        (["a"], {}, ValueError, "1 class: .* at least 2"),
        (["a", "a"], {}, ValueError, "distances holds labels more than once"),
        (["a", []], {}, ValueError, "distances holds an empty node"),
        (np.ones((2, 3)), {}, ValueError, "distances must be nested labels"),
        (HEIGHTS, {"gamma": 0.0}, ValueError, "gamma must be positive .*got 0.0"),
        (HEIGHTS, {"gamma": np.inf}, ValueError, "gamma must be positive"),
        (HEIGHTS, {"gamma": np.nan}, ValueError, "gamma must be positive"),
        (HEIGHTS, {"gamma": "3"}, TypeError, "gamma must be an instance"),
        (HEIGHTS, {"distance": "depth"}, ValueError, "distance must be 'height'"),
        (HEIGHTS, {"n_features": 5}, ValueError, "n_features=5 .* rank 6"),
        (HEIGHTS, {"n_features": 0}, ValueError, "n_features == 0"),
        (BIPARTITE, {"gamma": 0.5}, ValueError, "No offset .* gamma=0.5.* raise gamma"),
        (TREE, {"classes": list("abcdef")}, ValueError, "classes goes with an array"),
        (joined(np.nan), {}, ValueError, "finite and not negative, got nan in dist"),
        (joined(np.inf), {}, ValueError, "finite and not negative, got inf in dist"),
        (joined(0.01), {}, ValueError, "No offset .* linkage whose heights grow"),
        (joined(1e-18)[::-1], {}, ValueError, "distances must be nested labels"),
        (joined(1.0, 1e-18), {}, ValueError, "gamma=3.0 .* 0 and 1 .*1e-18,.* 1. Ra"),
        (HEIGHTS, {"gamma": 1e-16}, ValueError, "gamma=1e-16 .* vertex.*Raise gamma"),
        (HEIGHTS * 1j, {}, ValueError, "must be nested .* got an array of dtype comp"),
        (np.array(["a", "b"]), {}, ValueError, "must be nested .* of dtype <U1"),
        ("ab", {}, ValueError, "must be nested .* of dtype <U2"),
        ((c for c in "ab"), {}, ValueError, "got generator that holds no numbers"),
        (np.array([[{}]]), {}, ValueError, "got ndarray that holds no numbers"),
        (
            [np.array(["a", "b"]), "c"],
            {},
            ValueError,
            r"ndarray of shape .*tolist",
        ),
        (endless(), {}, ValueError, "nested too deeply, or holds itself"),
    ],
)
def test_errors(distances, options, error, match):
    with pytest.raises(error, match=match):
        hierarchical_frame(distances, **options)


@pytest.mark.parametrize("method", ["single", "centroid", "median", "ward"])
@pytest.mark.parametrize("gamma", [1e-9, 1.0, 1e308])
def test_linkages_and_extreme_gamma(method, gamma):
    """Centroids and medians may join at a height below the one before."""
    Z = linkage(np.random.default_rng(1).normal(size=(30, 2)), method)
    frame = hierarchical_frame(Z, gamma=gamma)
    with np.errstate(over="ignore"):
        expected = slow_gram(squareform(cophenet(Z)), gamma)
    assert_allclose(frame @ frame.T, expected, rtol=0, atol=1e-13)
    assert (np.diff(Z[:, 2]) < 0).any() == (method in ("centroid", "median"))


@pytest.mark.parametrize("n_classes", [3, 60])
def test_vertices_coincide_no_sooner_than_they_must(n_classes):
    """Every pair that the frame is given for has an angle; the others are refused."""
    Z, _ = tree_distances(n_classes)
    refused = 0
    for gamma in np.logspace(-17, -9, 17):
        try:
            frame = hierarchical_frame(Z, gamma=gamma)
        except ValueError:
            refused += 1
            continue
        assert pdist(frame).min() > np.sqrt(np.finfo(float).eps)
    assert 2 < refused < 14


def test_raising_gamma_helps():
    """What the error advises works where it is raised."""
    assert slow_gram(BIPARTITE, 0.5) is None
    frame = hierarchical_frame(BIPARTITE, gamma=3.0)
    assert_allclose(frame @ frame.T, slow_gram(BIPARTITE), rtol=0, atol=1e-13)
