"""Which vertex each class belongs to."""

from itertools import permutations

import numpy as np
import oracles_etf as oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse._linalg import _matching
from sklearn_collapse._linalg._matching import match_vertices


def centred(rows):
    return rows - rows.mean(axis=0)


def tree(n_classes):
    """Rows whose inner products fall with the distance in a binary tree."""
    leaves = np.arange(n_classes)
    apart = [[(int(i) ^ int(j)).bit_length() for j in leaves] for i in leaves]
    values, vectors = np.linalg.eigh(np.exp(-np.array(apart) / 2))
    return vectors * np.sqrt(np.clip(values, 0, None))


FRAMES = {
    "orthoplex": lambda c, rng: oracles.orthoplex(c),
    "hypercube": lambda c, rng: oracles.hypercube(c),
    "tree": lambda c, rng: tree(c),
    "random": lambda c, rng: rng.normal(size=(c, max(2, c // 2))),
    "narrow": lambda c, rng: rng.normal(size=(c, 2)),
    "wide": lambda c, rng: rng.normal(size=(c, 3 * c)),
}


def problem(kind, n_classes, seed, noise=0.0):
    """Class means that are a frame with permuted rows, turned and scaled, and it."""
    rng = np.random.default_rng(seed)
    frame = centred(FRAMES[kind](n_classes, rng))
    k = frame.shape[1]
    order = rng.permutation(n_classes)
    means = 3 * frame[order] @ oracles.random_rotation(k + 2, k, seed).T
    size = np.sqrt(np.mean(means**2))
    return centred(means + noise * size * rng.normal(size=means.shape)), frame, order


def value(means, frame, own):
    """Nuclear norm in its unit: 1 for a frame."""
    return oracles.nuclear_norm(means, frame[own]) / (
        np.linalg.norm(means) * np.linalg.norm(frame)
    )


@pytest.fixture
def never_all(monkeypatch):
    """Whatever the number of classes, not all orders are tried."""
    monkeypatch.setattr(_matching, "_ALL", 0)


@pytest.mark.parametrize("n_classes", [2, 3, 5, 6])
@pytest.mark.parametrize("kind", FRAMES)
def test_few_classes_against_all_orders(kind, n_classes):
    for seed in range(2):
        means, frame, _ = problem(kind, n_classes, seed, noise=(0.4, 10)[seed])
        own = match_vertices(means, frame)
        assert sorted(own) == list(range(n_classes))
        best = oracles.best_assignment(means, frame)
        assert_allclose(oracles.nuclear_norm(means, frame[own]), best, rtol=1e-12)


@pytest.mark.parametrize("noise", [0.5, 10.0])
def test_starts_nearly_always_reach_the_best(never_all, noise):
    hits = []
    for kind in FRAMES:
        for seed in range(3):
            means, frame, _ = problem(kind, 6, seed, noise)
            found = oracles.nuclear_norm(means, frame[match_vertices(means, frame)])
            best = oracles.best_assignment(means, frame)
            assert found <= best * (1 + 1e-12)
            hits.append(found >= best * (1 - 1e-9))
    assert np.mean(hits) >= 0.95


@pytest.mark.parametrize("n_classes", [4, 7, 8, 11, 12, 16, 20])
@pytest.mark.parametrize("kind", FRAMES)
def test_planted_order_is_found(kind, n_classes):
    for seed in range(4):
        means, frame, _ = problem(kind, n_classes, seed)
        own = match_vertices(means, frame)
        assert sorted(own) == list(range(n_classes))
        assert value(means, frame, own) > 1 - 1e-13


@pytest.mark.parametrize("noise", [1e-8, 0.1, 0.4])
@pytest.mark.parametrize("kind", ["orthoplex", "tree", "random"])
def test_noise(kind, noise):
    """As good as the order that was planted, or better."""
    for n_classes in (8, 13):
        means, frame, order = problem(kind, n_classes, 1, noise)
        own = match_vertices(means, frame)
        planted = value(means, frame, order)
        assert value(means, frame, own) >= planted - 1e-12


def test_frame_without_symmetry_gives_back_the_order():
    means, frame, order = problem("random", 15, 3, noise=0.05)
    assert_array_equal(match_vertices(means, frame), order)


@pytest.mark.parametrize("n_classes", [9, 33])
def test_never_worse_than_the_order(n_classes):
    rng = np.random.default_rng(0)
    for _ in range(2):
        means = centred(rng.normal(size=(n_classes, 6)))
        frame = centred(rng.normal(size=(n_classes, 4)))
        found = value(means, frame, match_vertices(means, frame))
        assert found > value(means, frame, np.arange(n_classes))


@pytest.mark.parametrize("n_classes", [5, 8, 16])
@pytest.mark.parametrize("kind", ["orthoplex", "hypercube", "random"])
def test_order_that_is_best_is_kept(kind, n_classes):
    """Although a symmetric frame has others that are as good."""
    means, frame, order = problem(kind, n_classes, 0)
    back = np.argsort(order)
    assert_array_equal(match_vertices(means[back], frame), np.arange(n_classes))


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("n_classes", [6, 9])
def test_invariance(kind, n_classes):
    means, frame, _ = problem(kind, n_classes, 2, noise=0.3)
    expected = value(means, frame, match_vertices(means, frame))
    rng = np.random.default_rng(0)
    turn = oracles.random_rotation(means.shape[1], means.shape[1], 5)
    names = rng.permutation(n_classes)
    for other, target in (
        (means @ turn, frame),
        (means[:, ::-1] * 1e-7, frame),
        (
            means,
            1e9 * frame @ oracles.random_rotation(frame.shape[1] + 1, frame.shape[1]).T,
        ),
        (means[names], frame),
        (means, frame[names]),
    ):
        found = value(other, target, match_vertices(other, target))
        assert_allclose(found, expected, rtol=1e-12)


def roughly(frame, rng):
    """The frame, symmetric only to as many digits as a search leaves."""
    return frame + 1e-11 * rng.normal(size=frame.shape)


@pytest.mark.parametrize("n_classes", [4, 6, 7])
@pytest.mark.parametrize("kind", ["orthoplex", "hypercube", "tree", "random"])
def test_first_copy_among_all_symmetries(kind, n_classes):
    """Every permutation that keeps all products is a symmetry."""
    rng = np.random.default_rng(n_classes)
    frame = centred(FRAMES[kind](n_classes, rng))
    gram = frame @ frame.T
    symmetries = [
        np.array(order)
        for order in permutations(range(n_classes))
        if np.allclose(gram[np.ix_(order, order)], gram, atol=1e-9)
    ]
    assert (len(symmetries) > 1) == (kind != "random")
    rough = roughly(frame, rng)
    for _ in range(10):
        own = rng.permutation(n_classes)
        first = min(tuple(order[own]) for order in symmetries)
        assert_array_equal(_matching._first_copy(own, rough @ rough.T), first)


@pytest.mark.parametrize("n_classes", [6, 11, 16])
@pytest.mark.parametrize("kind", ["orthoplex", "hypercube", "tree"])
def test_basis_does_not_choose_among_symmetric_optima(kind, n_classes):
    rng = np.random.default_rng(5)
    means, frame, _ = problem(kind, n_classes, seed=n_classes, noise=0.2)
    own = match_vertices(means, frame)
    for seed in range(3):
        turn = oracles.random_rotation(means.shape[1], means.shape[1], seed)
        assert_array_equal(match_vertices(means @ turn, frame), own)
        # The vertices in another order, too, are the same vertices.
        order = rng.permutation(n_classes)
        other = match_vertices(means, frame[order])
        assert_allclose(value(means, frame, order[other]), value(means, frame, own))


def test_start_by_shape():
    """Enough for a frame without symmetry."""
    means, frame, order = problem("random", 15, 0)
    means, frame = (_matching._coordinates(x) for x in (means, frame))
    assert_array_equal(next(_matching._starts(means, frame)), order)


def test_graph_matching():
    """From drawn orders it often leads to the best, which they seldom do themselves."""
    hits = np.zeros(2)
    for seed in range(5):
        means, frame, _ = problem("random", 10, seed)
        means, frame = (_matching._coordinates(x) for x in (means, frame))
        grams = means @ means.T, frame @ frame.T
        rng = np.random.default_rng(seed)
        for _ in range(6):
            drawn = rng.permutation(10)
            for k, order in enumerate(
                (drawn, _matching._graph_matching(*grams, drawn))
            ):
                search = _matching._Search(means, frame)
                search.start(order)
                hits[k] += search.perfect
    assert hits[1] >= 5
    assert hits[1] >= 2 * hits[0]


def test_directions_that_are_not_shared_are_not_turned():
    """Whatever basis a solver gives them."""
    basis = np.linalg.qr(centred(np.random.default_rng(0).normal(size=(9, 5))))[0]
    search = _matching._Search(basis[:, :3], basis[:, 2:5])
    value, rotation = search._turn(np.arange(9))
    assert_allclose(value, 1, rtol=1e-12)
    assert_allclose(rotation, [[0, 0, 0], [0, 0, 0], [1, 0, 0]], atol=1e-12)


def test_exchange_of_pairs():
    """The exchange that is taken is the best of all."""
    means, frame, _ = problem("random", 7, 4, noise=3.0)
    search = _matching._Search(means, frame)
    order = np.random.default_rng(1).permutation(7)
    values = []
    for i in range(7):
        for j in range(i):
            swapped = order.copy()
            swapped[[i, j]] = order[[j, i]]
            values.append(oracles.nuclear_norm(means, frame[swapped]))
    found = oracles.nuclear_norm(means, frame[search._best_swap(order)])
    assert_allclose(found, max(values), rtol=1e-12)


def test_exchange_helps():
    """It finds what the starts have missed, on some problem."""
    gains = []
    for seed in range(3):
        means, frame, _ = problem("random", 12, seed, noise=3.0)
        exchanged = value(means, frame, match_vertices(means, frame))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_matching, "_EXCHANGED", 0)
            gains.append(exchanged - value(means, frame, match_vertices(means, frame)))
    assert min(gains) > -1e-12
    assert max(gains) > 1e-6


@pytest.mark.parametrize("kind", ["orthoplex", "random"])
def test_hundreds_of_classes(kind):
    means, frame, _ = problem(kind, 200, 0)
    assert value(means, frame, match_vertices(means, frame)) > 1 - 1e-13


def test_deterministic():
    means, frame, _ = problem("random", 10, 0, noise=2.0)
    first = match_vertices(means, frame)
    np.random.seed(5)  # noqa: NPY002  the global generator is the point
    assert_array_equal(match_vertices(means, frame), first)
