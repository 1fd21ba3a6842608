"""Properties of frames and of their reports that hold for all of them."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import squareform

from sklearn_collapse.etf import (
    frame_gram,
    frame_report,
    hierarchical_frame,
    hypercube_frame,
    orthoplex_frame,
    rankin_bound,
    simplex_etf,
    spread_frame,
    welch_bound,
)

SEEDS = st.integers(0, 2**32 - 1)


def rotation(d, seed):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


@pytest.mark.parametrize("build", [simplex_etf, orthoplex_frame, hypercube_frame])
@given(n_classes=st.integers(2, 40), extra=st.integers(0, 9), seed=SEEDS)
def test_turning_keeps_the_gram_matrix(build, n_classes, extra, seed):
    plain = build(n_classes)
    turned = build(n_classes, plain.shape[1] + extra, random_state=seed)
    assert_allclose(frame_gram(turned), frame_gram(plain), rtol=0, atol=1e-14)


@given(n=st.integers(2, 20), d=st.integers(1, 12), seed=SEEDS)
def test_report_does_not_see_rotations(n, d, seed):
    rows = np.random.default_rng(seed).normal(size=(n, d))
    report = frame_report(rows)
    other = frame_report(rows @ rotation(d, seed))
    for name, value in dataclasses.asdict(report).items():
        # An angle close to zero or 180 degrees has half the digits.
        atol = 1e-5 if name == "least_angle" else 1e-11
        assert_allclose(getattr(other, name), value, rtol=1e-9, atol=atol)


@given(n=st.integers(2, 20), d=st.integers(1, 12), seed=SEEDS)
def test_report_does_not_see_order_nor_norms(n, d, seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d))
    report = frame_report(rows)
    scaled = rows[rng.permutation(n)] * 10 ** rng.uniform(-3, 3, size=(n, 1))
    other = frame_report(scaled)
    for name in ("largest_cosine", "coherence", "mean_cosine", "std_cosine"):
        assert_allclose(getattr(other, name), getattr(report, name), atol=1e-12)
    assert_allclose(other.least_angle, report.least_angle, atol=1e-5)


@given(n=st.integers(2, 25), d=st.integers(1, 12), seed=SEEDS)
def test_no_frame_is_below_the_bounds(n, d, seed):
    report = frame_report(np.random.default_rng(seed).normal(size=(n, d)))
    assert report.largest_cosine >= rankin_bound(n, d) - 1e-14
    assert report.coherence >= welch_bound(n, d) - 1e-14
    assert report.rankin_gap >= -1e-14
    assert report.welch_gap >= -1e-14
    assert 0 < report.tightness <= 1
    assert report.rank == min(n, d)


@given(n=st.integers(2, 12), d=st.integers(2, 6), seed=SEEDS)
@settings(max_examples=15)
def test_spread_frames_are_wider_than_random_ones(n, d, seed):
    found = frame_report(spread_frame(n, d, seed, n_init=1, max_iter=20))
    chance = frame_report(np.random.default_rng(seed).normal(size=(n, d)))
    assert found.rankin_gap >= -1e-14
    assert found.largest_cosine <= chance.largest_cosine
    assert found.norm_spread < 1e-14


@given(n=st.integers(2, 15), gamma=st.floats(0.1, 20), seed=SEEDS)
def test_hierarchical_frames(n, gamma, seed):
    """Nearer classes have the larger cosine, equal distances the same; any scale."""
    rng = np.random.default_rng(seed)
    tree = linkage(rng.normal(size=(n, 3)), method="complete")
    frame = hierarchical_frame(tree, gamma=gamma)
    gram = frame_gram(frame)
    assert np.abs(np.diagonal(gram) - 1).max() < 1e-14
    distances = squareform(cophenet(tree))
    cosines = gram.ravel()[np.argsort(distances, axis=None, kind="stable")]
    assert (np.diff(cosines) < 1e-12).all()
    for height in tree[:, 2]:
        assert np.ptp(gram[distances == height]) < 1e-12
    scaled = tree * [1, 1, 7.0, 1]
    other = frame_gram(hierarchical_frame(scaled, frame.shape[1], gamma=gamma))
    assert_allclose(other, gram, rtol=0, atol=1e-11)


@given(n=st.integers(3, 12), seed=SEEDS)
def test_hierarchical_frames_follow_the_labels(n, seed):
    rng = np.random.default_rng(seed)
    tree = linkage(rng.normal(size=(n, 3)), method="average")
    names = rng.permutation(n)
    plain = frame_gram(hierarchical_frame(tree))
    named = frame_gram(hierarchical_frame(tree, classes=names))
    # Leaf i is called names[i], and rows follow the sorted names.
    assert_allclose(named[np.ix_(names, names)], plain, rtol=0, atol=1e-13)
