"""Tests of ETFAligner."""

import pickle

import numpy as np
import oracles_etf as oracles
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import helmert
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sklearn_collapse import ClassMoments
from sklearn_collapse.datasets import load_cifar8_features
from sklearn_collapse.etf import ETFAligner, simplex_etf
from sklearn_collapse.metrics import nc2_etf_error

C, D = 5, 7


def random_means(n_classes=C, d=D, seed=0):
    return np.random.default_rng(seed).normal(size=(n_classes, d)) + 2


def planted(n_classes=C, d=D, scale=3.0, shift=4.0, seed=0):
    """Class means that are a turned, scaled and shifted simplex, and the turn."""
    basis = oracles.random_rotation(d, n_classes - 1, seed)
    frame = np.sqrt(n_classes / (n_classes - 1)) * helmert(n_classes).T
    shift = shift * np.random.default_rng(seed + 1).normal(size=d)
    return scale * frame @ basis.T + shift, basis @ helmert(n_classes), shift


FRAMES = {
    "simplex": "simplex",
    "narrow": random_means(C, 2, seed=5),
    "list": random_means(C, C + 3, seed=6).tolist(),
    "far from its origin": random_means(C, 4, seed=7) + 1e3,
    "integers": np.arange(3 * C).reshape(C, 3) % 4,
}


def centred_frame(frame):
    B = oracles.simplex(C) if isinstance(frame, str) else np.asarray(frame, float)
    return B - B.mean(axis=0)


# -- against the oracle --------------------------------------------------------------


@pytest.mark.parametrize("counts", [6, (1, 9, 4, 30, 2)], ids=["even", "uneven"])
@pytest.mark.parametrize("frame", FRAMES)
def test_against_the_oracle(library, frame, counts):
    X, y = oracles.rows_about(random_means(), counts)
    frame = FRAMES[frame]
    aligner = ETFAligner(frame).fit(library.asarray(X), library.asarray(y))
    means = oracles.class_moments(X, y)["means"]
    B = centred_frame(frame)
    rotation, scale, disparity = oracles.alignment(means, B)
    for name, expected in (
        ("rotation_", rotation),
        ("centre_", means.mean(axis=0)),
        ("means_", means),
        ("frame_", B),
    ):
        value = getattr(aligner, name)
        assert library.owns(value), name
        assert_allclose(library.to_numpy(value), expected, atol=1e-11, err_msg=name)
    assert_allclose(aligner.scale_, scale, rtol=1e-12)
    assert_allclose(aligner.disparity_, disparity, rtol=1e-12)
    assert aligner.rank_ == min(C - 1, B.shape[1])
    assert_array_equal(aligner.classes_, range(C))
    assert aligner.n_features_in_ == D
    assert aligner.device_ == "cpu"

    coordinates = aligner.transform(library.asarray(X))
    assert library.owns(coordinates)
    expected = np.array([scale * (x - means.mean(axis=0)) @ rotation for x in X])
    assert_allclose(library.to_numpy(coordinates), expected, atol=1e-11)
    back = aligner.inverse_transform(coordinates)
    assert library.owns(back)
    kept = rotation @ rotation.T
    expected = means.mean(axis=0) + (X - means.mean(axis=0)) @ kept
    assert_allclose(library.to_numpy(back), expected, atol=1e-11)


def test_without_scaling():
    X, y = oracles.rows_about(random_means())
    scaled, plain = ETFAligner().fit(X, y), ETFAligner(scaling=False).fit(X, y)
    assert plain.scale_ == 1.0
    assert plain.disparity_ == scaled.disparity_
    assert_array_equal(plain.rotation_, scaled.rotation_)
    assert_allclose(scaled.scale_ * plain.transform(X), scaled.transform(X), atol=1e-13)
    again = plain.transform(plain.inverse_transform(plain.transform(X)))
    assert_allclose(again, plain.transform(X), atol=1e-13)


def test_sample_weight():
    X, y = oracles.rows_about(random_means(), 9)
    weights = np.random.default_rng(0).integers(0, 3, size=len(y))
    expected = oracles.centred_means(X, y, weights)
    rotation, scale, _ = oracles.alignment(expected, oracles.simplex(C))
    aligner = ETFAligner().fit(X, y, sample_weight=weights)
    assert_allclose(aligner.rotation_, rotation, atol=1e-12)
    assert_allclose(aligner.scale_, scale, rtol=1e-12)


# -- planted frames ------------------------------------------------------------------


@pytest.mark.parametrize(("n_classes", "d"), [(2, 1), (2, 6), (6, 5), (5, 30)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_planted_frame_is_found(library, n_classes, d, scale):
    """d = C - 1 included. All singular values are equal: no order may matter."""
    means, rotation, shift = planted(n_classes, d, 3 * scale, scale)
    counts = np.arange(n_classes) * 7 + 2
    X, y = oracles.rows_about(means, counts, 0.1 * scale)
    aligner = ETFAligner().fit(library.asarray(X), y)
    assert aligner.rank_ == n_classes - 1
    assert aligner.disparity_ < 1e-28
    assert_allclose(aligner.scale_, 1 / (3 * scale), rtol=1e-12)
    assert_allclose(library.to_numpy(aligner.rotation_), rotation, atol=1e-12)
    centre = library.to_numpy(aligner.centre_)
    assert_allclose(centre, shift, atol=1e-13 * scale)
    vertices = library.to_numpy(aligner.transform(library.asarray(means)))
    assert_allclose(vertices, oracles.simplex(n_classes), atol=1e-12)


@pytest.mark.parametrize("noise", [1e-6, 1e-3])
def test_noise_moves_the_rotation_by_its_size(noise):
    means, rotation, _ = planted()
    off = noise * np.random.default_rng(3).normal(size=means.shape)
    aligner = ETFAligner().fit(*oracles.rows_about(means + off))
    assert np.abs(aligner.rotation_ - rotation).max() < 2 * noise
    assert 1e-2 < aligner.disparity_ / noise**2 < 1


def test_rotation_is_unique():
    """The same for rows in any basis, and for labels in any order."""
    means, rotation, _ = planted()
    X, y = oracles.rows_about(means)
    for seed in range(5):
        turn = oracles.random_rotation(D, D, seed)
        found = ETFAligner().fit(X @ turn, y).rotation_
        assert_allclose(turn @ found, rotation, atol=1e-12)
        names = np.random.default_rng(seed).permutation(C)
        found = ETFAligner().fit(X, names[y]).rotation_
        assert_allclose(found[:, names], rotation, atol=1e-12)


@pytest.mark.parametrize("d", [C - 1, D])
def test_array_of_a_simplex(d):
    """The simplex in other coordinates: the same but for the last turn."""
    X, y = oracles.rows_about(random_means())
    axes = ETFAligner().fit(X, y)
    frame = simplex_etf(C, d, random_state=0)
    given = ETFAligner(frame + 3).fit(X, y)
    assert_allclose(given.disparity_, axes.disparity_, rtol=1e-12)
    assert_allclose(given.scale_, axes.scale_, rtol=1e-12)
    assert_allclose(given.frame_, frame, atol=1e-14)
    turn = axes.frame_.T @ frame * (C - 1) / C
    assert_allclose(given.rotation_, axes.rotation_ @ turn, atol=1e-12)


def test_frame_that_changes_later_does_not_matter():
    frame = random_means(C, 3, seed=9)
    X, y = oracles.rows_about(random_means())
    aligner = ETFAligner(frame).fit(X, y)
    expected = aligner.transform(X)
    frame *= -1
    aligner = pickle.loads(pickle.dumps(aligner))  # nothing is computed yet
    assert_array_equal(aligner.transform(X), expected)


# -- degenerate class means ----------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_two_classes_with_equal_means(library, offset):
    """One direction fewer; the noise there is not turned into one."""
    means = random_means() + offset
    means[3] = means[1]
    X, y = oracles.rows_about(means)
    aligner = ETFAligner().fit(library.asarray(X), y)
    assert aligner.rank_ == C - 2
    rotation, scale, disparity = oracles.alignment(means, oracles.simplex(C), C - 2)
    assert_allclose(library.to_numpy(aligner.rotation_), rotation, atol=1e-10)
    assert_allclose(aligner.disparity_, disparity, rtol=1e-10)
    assert_allclose(aligner.scale_, scale, rtol=1e-10)


def test_rounding_of_the_input_is_no_direction():
    """float32 at 1e4 is 1e-3 apart: a difference of 1e-4 of class means is nothing."""
    means = planted(shift=0.0)[0]
    X, y = oracles.rows_about(means + 1e4, 40)
    X = X.astype(np.float32)
    aligner = ETFAligner().fit(X, y)
    assert aligner.rank_ == C - 1
    A, B = oracles.centred_means(X, y), oracles.simplex(C)
    rotation, scale, _ = oracles.alignment(A, B)
    assert_allclose(aligner.rotation_, rotation, atol=1e-11)
    disparity = oracles.residual(A, B, rotation, scale)
    assert_allclose(aligner.disparity_, disparity, rtol=1e-5)
    coordinates = aligner.transform(X)
    assert coordinates.dtype == np.float32
    centre = oracles.class_moments(X, y)["means"].mean(axis=0)
    expected = scale * (X.astype(float) - centre) @ rotation
    assert_allclose(coordinates, expected, atol=1e-6)

    means[3] = means[1]
    X, y = oracles.rows_about(means + 1e4, 40)
    aligner = ETFAligner().fit(X.astype(np.float32), y)
    assert aligner.rank_ == C - 2
    assert ETFAligner().fit(X + 1e-3 * (y == 3)[:, None], y).rank_ == C - 1


@pytest.mark.parametrize("frame", ["simplex", FRAMES["narrow"]])
def test_class_means_that_coincide(frame):
    rng = np.random.default_rng(0)
    X, y = np.repeat(rng.normal(size=(9, D)), C, axis=0), np.tile(np.arange(C), 9)
    with pytest.raises(ValueError, match="All class means coincide"):
        ETFAligner(frame).fit(X, y)


def test_more_classes_than_a_simplex_has():
    X, y = oracles.rows_about(random_means(5, 3))
    with pytest.raises(
        ValueError, match=r"5 classes have no .simplex. frame in n_features=3"
    ):
        ETFAligner().fit(X, y)
    aligner = ETFAligner().partial_fit(X, y)
    with pytest.raises(ValueError, match=r"an array of shape \(5, k\)"):
        aligner.transform(X)
    # Any other frame has no such bound.
    rotation, _, disparity = oracles.alignment(random_means(5, 3), FRAMES["narrow"])
    aligner = ETFAligner(FRAMES["narrow"]).fit(X, y)
    assert_allclose(aligner.rotation_, rotation, atol=1e-12)
    assert_allclose(aligner.disparity_, disparity, rtol=1e-12)
    X, y = oracles.rows_about(random_means(4, 3))
    assert ETFAligner().fit(X, y).rank_ == 3


def test_frame_of_other_directions():
    full = helmert(6).T
    X, y = oracles.rows_about(full[:, :2], spread=0.0)
    with pytest.raises(ValueError, match="share no direction with the frame"):
        ETFAligner(full[:, 2:4]).fit(X, y)


# -- arguments -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "match"),
    [
        ("cube", "'frame' parameter"),
        (None, "'frame' parameter"),
        ([1.0, 2.0, 3.0, 4.0, 5.0], r"got shape \(5,\)"),
        (np.zeros((C, 0)), r"got shape \(5, 0\)"),
        ([["a", "b"]] * C, "dtype"),
        (np.full((C, 2), 1j), "dtype complex128"),
        (np.full((C, 2), np.nan), "frame contains NaN or infinity"),
        (np.full((C, 2), 0.1), "All rows of frame are equal"),
        (np.zeros((C, 2)), "All rows of frame are equal"),
        (np.eye(C + 1), r"frame has 6 rows, but y holds 5 classes \(\[0, 1, 2, 3, 4"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_moments"])
def test_frames_that_are_none(frame, match, method):
    X, y = oracles.rows_about(random_means())
    aligner = ETFAligner(frame)
    data = (ClassMoments().update(X, y),) if method == "fit_moments" else (X, y)
    with pytest.raises(ValueError, match=match):
        getattr(aligner, method)(*data).transform(X)  # the row count needs all classes
    if method != "partial_fit" or "rows, but" not in match:
        assert not hasattr(aligner, "moments_")


def test_rows_of_the_frame_follow_sorted_labels():
    X, y = oracles.rows_about(random_means())
    names = np.array(["e", "b", "a", "d", "c"])
    frame = FRAMES["narrow"]
    order = np.argsort(names)
    aligner = ETFAligner(frame[order]).fit(X, names[y])
    assert_array_equal(aligner.classes_, ["a", "b", "c", "d", "e"])
    assert_allclose(aligner.rotation_, ETFAligner(frame).fit(X, y).rotation_, atol=1e-9)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_labels_are_needed(method):
    X, y = oracles.rows_about(random_means())
    with pytest.raises(ValueError, match="requires y to be passed"):
        getattr(ETFAligner(), method)(X, None)
    with pytest.raises(ValueError, match="at least two"):
        getattr(ETFAligner(), method)(X, 0 * y).transform(X)


def test_unfitted():
    X, _ = oracles.rows_about(random_means())
    for use in (ETFAligner().transform, ETFAligner().inverse_transform):
        with pytest.raises(NotFittedError):
            use(X)


def test_coordinates_of_another_width(library):
    X, y = oracles.rows_about(random_means())
    aligner = ETFAligner().fit(library.asarray(X), y)
    with pytest.raises(ValueError, match=r"X has 7 columns, but .* is expecting 5"):
        aligner.inverse_transform(library.asarray(X))
    if library.name != "numpy":
        with pytest.raises(ValueError, match=r"ETFAligner.inverse_transform\(\) must"):
            aligner.inverse_transform(np.zeros((2, C)))


# -- ways to fit ---------------------------------------------------------------------


def test_ways_to_fit(library):
    X, y = oracles.rows_about(random_means(), (1, 9, 4, 30, 2))
    expected = ETFAligner().fit(X, y)
    order = np.argsort(y)  # the first blocks lack classes
    blocks = [order[:3], order[3:20], order[20:]]
    parts = ETFAligner()
    for block in blocks:
        parts.partial_fit(library.asarray(X[block]), y[block])
    moments = ClassMoments().update(library.asarray(X), y)
    for aligner in (parts, ETFAligner().fit_moments(moments)):
        assert_allclose(
            library.to_numpy(aligner.transform(library.asarray(X))),
            expected.transform(X),
            atol=1e-12,
        )
        assert_allclose(aligner.disparity_, expected.disparity_, rtol=1e-12)
    with pytest.raises(ValueError, match="normalize=False"):
        ETFAligner().fit_moments(ClassMoments(normalize=True).update(X, y))


def test_alignment_follows_new_rows():
    X, y = oracles.rows_about(random_means())
    aligner = ETFAligner().partial_fit(X, y)
    first = aligner.disparity_
    aligner.partial_fit(X + 5 * (y == 1)[:, None], y)
    both = np.concatenate([X, X + 5 * (y == 1)[:, None]]), np.concatenate([y, y])
    assert_allclose(aligner.disparity_, ETFAligner().fit(*both).disparity_, rtol=1e-12)
    assert abs(aligner.disparity_ - first) > 1e-3


def test_failed_fit_keeps_the_first():
    X, y = oracles.rows_about(random_means())
    aligner = ETFAligner().fit(X, y)
    expected = aligner.transform(X)
    for frame in (np.eye(3), np.ones((C, 2))):
        with pytest.raises(ValueError, match="frame"):
            aligner.set_params(frame=frame).fit(X, y)
        assert_array_equal(aligner.transform(X), expected)


# -- scikit-learn --------------------------------------------------------------------


def test_names_and_frames():
    X, y = oracles.rows_about(random_means())
    table = pd.DataFrame(X, columns=[f"unit{j}" for j in range(D)])
    aligner = ETFAligner().set_output(transform="pandas").fit(table, y)
    found = aligner.transform(table)
    assert list(found.columns) == [f"etfaligner{c}" for c in range(C)]
    assert_allclose(found, ETFAligner().fit(X, y).transform(X), atol=1e-14)
    assert_allclose(
        aligner.inverse_transform(found), aligner.inverse_transform(found.to_numpy())
    )


def test_in_a_pipeline():
    X, y = oracles.rows_about(random_means(), 20)
    pipeline = make_pipeline(ETFAligner(), LogisticRegression()).fit(X, y)
    assert pipeline.score(X, y) > 0.8
    assert clone(pipeline).fit(X, y).score(X, y) == pipeline.score(X, y)


def test_largest_coordinate_is_nearest_mean_of_a_frame():
    X, y = oracles.rows_about(planted()[0], spread=2.0)
    aligner = ETFAligner().fit(X, y)
    coordinates = aligner.transform(X)
    nearest = [((x - aligner.means_) ** 2).sum(axis=1).argmin() for x in X]
    assert_array_equal(coordinates.argmax(axis=1), nearest)
    assert_allclose(coordinates.sum(axis=1), 0, atol=1e-12)


# -- real features -------------------------------------------------------------------


def test_real_features():
    """Disparity and nc2_etf_error are two functions of the same singular values."""
    data = load_cifar8_features()
    X, y = data.data, data.target
    aligner = ETFAligner().fit(X, y)
    assert aligner.rank_ == 7
    values = np.linalg.svd(oracles.centred_means(X, y), compute_uv=False)[:7]
    disparity = 1 - values.sum() ** 2 / (7 * (values**2).sum())
    assert_allclose(aligner.disparity_, disparity, rtol=1e-10)
    squares = values**2
    cosine = squares.sum() / np.sqrt(7 * (squares**2).sum())
    assert_allclose(nc2_etf_error(X, y), np.sqrt(2 - 2 * cosine), rtol=1e-9)
    # Rows fall to the side of their own class.
    hits = aligner.transform(data.X_test).argmax(axis=1)
    share = np.mean(aligner.classes_[hits] == data.y_test)
    assert 0.6 < share < 0.9
