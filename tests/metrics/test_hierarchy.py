"""Tests of the severity of mistakes, against paths in explicit trees."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import squareform

from sklearn_collapse.metrics import mistake_severity

TREE = [["cat", ["dog", "wolf"]], ["ship", "truck"], "frog"]
# The chains of nodes from the root to each leaf, and the heights of the nodes.
CHAINS = {
    "cat": ["root", "pets"],
    "dog": ["root", "pets", "canines"],
    "wolf": ["root", "pets", "canines"],
    "ship": ["root", "vehicles"],
    "truck": ["root", "vehicles"],
    "frog": ["root"],
}
HEIGHTS = {"root": 3, "pets": 2, "canines": 1, "vehicles": 1}
LABELS = sorted(CHAINS)


def slow_distance(a, b, kind):
    if a == b:
        return 0
    shared = [node for node in CHAINS[a] if node in CHAINS[b]]
    if kind == "height":
        return HEIGHTS[shared[-1]]
    return len(CHAINS[a]) + len(CHAINS[b]) + 2 - 2 * len(shared)


def slow_severity(y_true, y_pred, kind, weights=None):
    weights = [1] * len(y_true) if weights is None else weights
    total, count = 0.0, 0.0
    for a, b, w in zip(y_true, y_pred, weights, strict=True):
        if a != b:
            total += w * slow_distance(a, b, kind)
            count += w
    return total / count


def make_labels(seed=0, n=200):
    rng = np.random.default_rng(seed)
    y_true = rng.choice(LABELS, size=n)
    return y_true, np.where(rng.uniform(size=n) < 0.5, y_true, rng.choice(LABELS, n))


@pytest.mark.parametrize("kind", ["height", "path"])
@pytest.mark.parametrize(
    "tree",
    [
        TREE,
        ("frog", {"truck", "ship"}, (("wolf", "dog"), "cat")),
        {
            "pets": {"cat": ["cat"], "canines": ["dog", "wolf"]},
            "vehicles": ["ship", "truck"],
            "others": "frog",
        },
    ],
)
def test_nested_labels(tree, kind):
    y_true, y_pred = make_labels()
    found = mistake_severity(y_true, y_pred, tree, distance=kind)
    if isinstance(tree, dict):  # its one-child nodes are edges of their own
        longer = {"cat": 1, "frog": 1} if kind == "path" else {}
        wrong = y_true != y_pred
        extra = sum(longer.get(v, 0) for y in (y_true, y_pred) for v in y[wrong]) / sum(
            wrong
        )
    else:
        extra = 0
    assert found == pytest.approx(slow_severity(y_true, y_pred, kind) + extra)


@pytest.mark.parametrize("kind", ["height", "path"])
def test_pairs(kind):
    for a in LABELS:
        for b in LABELS:
            found = mistake_severity([a, a], [b, a], TREE, distance=kind)
            truth = slow_distance(a, b, kind) if a != b else math.nan
            assert_allclose(found, truth)


def test_weights():
    y_true, y_pred = make_labels(1)
    weights = np.random.default_rng(1).integers(0, 4, size=len(y_true))
    found = mistake_severity(y_true, y_pred, TREE, sample_weight=weights)
    assert found == pytest.approx(slow_severity(y_true, y_pred, "height", weights))
    right = (y_true == y_pred).astype(float)
    assert math.isnan(mistake_severity(y_true, y_pred, TREE, sample_weight=right))


def test_matrix(library, rng):
    distances = rng.uniform(1, 5, size=(5, 5))
    np.fill_diagonal(distances, 0)
    y_true, y_pred = rng.integers(0, 5, size=(2, 60))
    wrong = y_true != y_pred
    truth = np.mean([distances[a, b] for a, b in np.stack([y_true, y_pred]).T[wrong]])
    found = mistake_severity(
        library.asarray(y_true), library.asarray(y_pred), library.asarray(distances)
    )
    assert found == pytest.approx(truth, rel=1e-12)
    names = np.array(["e", "b", "a", "d", "c"])
    named = mistake_severity(names[y_true], names[y_pred], distances, classes=names)
    assert named == pytest.approx(truth, rel=1e-12)


@pytest.mark.parametrize("n_classes", [2, 4, 5, 9])
@pytest.mark.parametrize("kind", ["height", "path"])
def test_linkage(n_classes, kind):
    """Five classes have a linkage as square as a matrix of distances."""
    rng = np.random.default_rng(n_classes)
    merges = linkage(rng.normal(size=(n_classes, 3)), "average")
    members = {k: {k} for k in range(n_classes)}
    parent = {}
    for row, (a, b, _, _) in enumerate(merges):
        parent[int(a)] = parent[int(b)] = n_classes + row
        members[n_classes + row] = members[int(a)] | members[int(b)]

    def ancestors(node):
        chain = [node]
        while chain[-1] in parent:
            chain.append(parent[chain[-1]])
        return chain

    heights = squareform(cophenet(merges))
    for a in range(n_classes):
        for b in range(n_classes):
            if a == b:
                continue
            up_a, up_b = ancestors(a), ancestors(b)
            steps = min(
                i + up_b.index(node) for i, node in enumerate(up_a) if node in up_b
            )
            truth = heights[a, b] if kind == "height" else steps
            found = mistake_severity([a], [b], merges, distance=kind)
            assert found == pytest.approx(truth, rel=1e-12)


def test_no_errors_and_flat_hierarchy():
    assert math.isnan(mistake_severity([0, 1], [0, 1], [0, 1, 2]))
    assert mistake_severity([0, 1, 2], [1, 2, 2], [0, 1, 2]) == 1
    assert mistake_severity([0, 1, 2], [1, 2, 2], [0, 1, 2], distance="path") == 2


@given(st.integers(0, 2**32 - 1), st.sampled_from(["height", "path"]))
def test_properties(seed, kind):
    rng = np.random.default_rng(seed)
    nodes: list = list(range(rng.integers(2, 9)))
    n_classes = len(nodes)
    while len(nodes) > 1:
        size = int(rng.integers(2, len(nodes) + 1))
        picked = [nodes.pop(rng.integers(len(nodes))) for _ in range(size)]
        nodes.append(picked)
    tree = nodes[0]
    distances = np.zeros((n_classes, n_classes))
    for a in range(n_classes):
        for b in range(n_classes):
            if a != b:
                distances[a, b] = mistake_severity([a], [b], tree, distance=kind)
    assert_allclose(distances, distances.T)
    assert distances[~np.eye(n_classes, dtype=bool)].min() >= 1
    through = distances[:, :, None] + distances[None, :, :]
    assert (distances[:, None, :] <= through + 1e-12).all()
    y_true, y_pred = rng.integers(n_classes, size=(2, 20))
    assert_allclose(
        mistake_severity(y_true, y_pred, tree, distance=kind),
        mistake_severity(y_true, y_pred, distances),
    )


@pytest.mark.parametrize(
    ("hierarchy", "options", "match"),
    [
        ([["a", "b"], "a"], {}, r"more than once: \['a'\]"),
        (["a", []], {}, "empty node"),
        ([], {}, "empty node"),
        (["a", "b"], {"classes": ["a", "b"]}, "classes goes with an array"),
        (["a", "c"], {}, r"not seen in the hierarchy: \['b'\]"),
        (["a", "b"], {"distance": "depth"}, "'height' or 'path'"),
        (np.zeros((2, 3)), {}, r"shape \(2, 3\)"),
        (np.ones((2, 2)), {}, "zeros on its diagonal"),
        (np.zeros((2, 2)) - [[0, 1], [1, 0]], {"classes": ["a", "b"]}, "negative"),
        (np.array([[0, np.nan], [1, 0]]), {"classes": ["a", "b"]}, "finite"),
        (np.zeros((2, 2)), {"classes": ["a", "b", "c"]}, "2 distinct labels"),
        (np.zeros((2, 2)), {"classes": ["a", "a"]}, "2 distinct labels"),
        (np.zeros((2, 2)), {}, "not seen in the hierarchy"),
    ],
)
def test_errors(hierarchy, options, match):
    with pytest.raises(ValueError, match=match):
        mistake_severity(["a", "b"], ["b", "b"], hierarchy, **options)


def test_lengths():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        mistake_severity([0, 1], [0], [0, 1])
