"""Gram matrix, report and bounds of a frame, against loops over pairs."""

import dataclasses
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_collapse._linalg import _frames
from sklearn_collapse.etf import (
    FrameReport,
    frame_gram,
    frame_report,
    hypercube_frame,
    orthoplex_frame,
    rankin_bound,
    simplex_etf,
    welch_bound,
)


def slow_report(frame):
    """Every value of a report, pair by pair."""
    n, d = frame.shape
    norms = [math.sqrt(sum(v * v for v in row)) for row in frame.tolist()]
    units = [row / norm for row, norm in zip(frame, norms, strict=True)]
    cosines = [float(a @ b) for i, a in enumerate(units) for b in units[:i]]
    values = np.linalg.eigvalsh(frame.T @ frame)
    values = values[values > 1e-9 * values[-1]]
    rankin = -1 / (n - 1) if n <= d + 1 else 0.0
    welch = math.sqrt((n - d) / (d * (n - 1))) if n > d else 0.0
    largest, coherence = max(cosines), max(abs(c) for c in cosines)
    return {
        "n_classes": n,
        "n_features": d,
        "smallest_norm": min(norms),
        "largest_norm": max(norms),
        "norm_spread": (max(norms) - min(norms)) / np.mean(norms),
        "least_angle": math.degrees(math.acos(min(largest, 1.0))),
        "largest_cosine": largest,
        "coherence": coherence,
        "mean_cosine": np.mean(cosines),
        "std_cosine": np.std(cosines),
        "rankin_bound": rankin,
        "rankin_gap": largest - rankin,
        "welch_bound": welch,
        "welch_gap": coherence - welch,
        "rank": len(values),
        "tightness": values[0] / values[-1],
    }


def random_rows(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * rng.uniform(0.1, 9, size=(n, 1))


def assert_reports(found, expected, atol=1e-13):
    assert set(expected) == {f.name for f in dataclasses.fields(FrameReport)}
    for name, value in expected.items():
        assert_allclose(
            getattr(found, name), value, rtol=1e-12, atol=atol, err_msg=name
        )


@pytest.mark.parametrize("tile", [None, 4])
@pytest.mark.parametrize("shape", [(2, 1), (2, 7), (11, 3), (9, 20), (13, 12)])
def test_report(library, shape, tile, monkeypatch):
    if tile:
        monkeypatch.setattr(_frames, "_TILE", tile)
    rows = random_rows(*shape)
    found = frame_report(library.asarray(rows))
    assert_reports(found, slow_report(rows))
    for field in dataclasses.fields(found):
        assert type(getattr(found, field.name)) in (int, float)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_report_of_other_dtypes(library, dtype):
    rows = np.round(random_rows(8, 5)).astype(dtype)
    found = frame_report(library.asarray(rows))
    assert_reports(found, slow_report(rows.astype(float)))


def test_lists_and_data_frames():
    pandas = pytest.importorskip("pandas")
    rows = random_rows(5, 3)
    expected = slow_report(rows)
    assert_reports(frame_report(rows.tolist()), expected)
    assert_reports(frame_report(pandas.DataFrame(rows)), expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", [2, 3, 10, 200])
def test_simplex_meets_both_bounds(n_classes, dtype):
    eps = float(np.finfo(dtype).eps)
    frame = simplex_etf(n_classes, n_classes - 1, 0).astype(dtype)
    report = frame_report(frame)
    assert abs(report.rankin_gap) < 10 * eps
    assert abs(report.welch_gap) < 10 * eps
    assert report.std_cosine < 10 * eps
    assert report.rank == n_classes - 1
    assert report.tightness == pytest.approx(1, abs=100 * eps)
    # Among more axes the rank stays, in the precision of the frame.
    wide = frame_report(simplex_etf(n_classes, n_classes + 3, 0).astype(dtype))
    assert wide.rank == n_classes - 1


def test_other_frames_meet_their_bounds():
    report = frame_report(orthoplex_frame(12, random_state=0))
    assert abs(report.rankin_gap) < 1e-15
    assert report.coherence == pytest.approx(1)
    assert report.tightness == pytest.approx(1)
    report = frame_report(hypercube_frame(16, random_state=0))
    assert report.tightness == pytest.approx(1)
    assert report.least_angle == pytest.approx(60)


def test_least_angle_keeps_its_digits():
    """Where the cosine has none."""
    for angle in (1e-5, 1e-9, 0.0):
        rows = [[1, 0], [math.cos(angle), math.sin(angle)], [-1, -1]]
        report = frame_report(rows)
        assert math.radians(report.least_angle) == pytest.approx(angle, rel=1e-6)
        assert report.largest_cosine <= 1
    assert frame_report([[1.0, 0], [-3.0, 0]]).least_angle == 180


def test_equal_cosines_have_no_spread():
    """All cosines 1/2: the deviation is not found as a difference of squares."""
    gram = (np.eye(5) + 1) / 2
    report = frame_report(np.linalg.cholesky(gram))
    assert report.mean_cosine == pytest.approx(0.5)
    assert report.std_cosine < 1e-15


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_extreme_scales(scale):
    rows = random_rows(6, 4)
    expected = slow_report(rows)
    for name in ("smallest_norm", "largest_norm"):
        expected[name] *= scale
    found = frame_report(rows * scale)
    assert_reports(found, expected, atol=1e-210)


def test_printed():
    report = frame_report(orthoplex_frame(6))
    lines = str(report).splitlines()
    values = dict(line.split() for line in lines)
    assert list(values) == [f.name for f in dataclasses.fields(report)]
    for name, value in values.items():
        assert float(value) == pytest.approx(getattr(report, name), rel=1e-5, abs=1e-6)
    assert len({len(line) - len(line.split()[1]) for line in lines}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.rank = 2


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_gram(library, dtype):
    rows = np.round(3 * random_rows(6, 4)).astype(dtype)
    gram = frame_gram(library.asarray(rows))
    assert library.owns(gram)
    found = library.to_numpy(gram)
    assert found.dtype == np.float64
    expected = [[sum(a * b) for b in rows.astype(float)] for a in rows.astype(float)]
    assert_allclose(found, expected, rtol=1e-14)
    assert frame_gram(rows[:1]).shape == (1, 1)


def test_gram_of_float32_is_summed_in_float64():
    row = np.full((1, 3), 0.1, dtype=np.float32)
    expected = 3 * float(row[0, 0]) ** 2
    assert frame_gram(row)[0, 0] == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("function", [frame_report, frame_gram])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite(library, function, value):
    rows = random_rows(5, 3)
    rows[3, 1] = value
    with pytest.raises(ValueError, match=r"Input frame contains .* row 3, column 1"):
        function(library.asarray(rows))


def test_zero_rows_and_too_few(library):
    rows = random_rows(5, 3)
    rows[2] = 0
    with pytest.raises(ValueError, match="Row 2 of frame is zero"):
        frame_report(library.asarray(rows))
    rows[2] = 1e-20
    with pytest.raises(ValueError, match="Row 2 of frame is zero to rounding"):
        frame_report(library.asarray(rows))
    with pytest.raises(ValueError, match="Row 0 of frame is zero"):
        frame_report(library.asarray(np.zeros((3, 3))))
    with pytest.raises(ValueError, match=r"frame has 1 row: .* at least 2"):
        frame_report(library.asarray(rows[:1]))
    with pytest.raises(ValueError, match="2D array"):
        frame_report(library.asarray(rows[0]))


def test_bounds():
    for d in range(1, 12):
        for n in range(2, 40):
            rankin, welch = rankin_bound(n, d), welch_bound(n, d)
            assert isinstance(rankin, float)
            assert rankin == (-1 / (n - 1) if n <= d + 1 else 0)
            assert 0 <= welch <= 1
            # Frobenius norm of the Gram matrix: C + C (C - 1) w^2 >= C^2 / d.
            if n > d:
                assert n + n * (n - 1) * welch**2 == pytest.approx(n * n / d)
            else:
                assert welch == 0
    # No integer type overflows.
    for integer in (np.int8, np.uint8, np.int64):
        for n, d in [(20, 19), (100, 127), (50, 20)]:
            assert rankin_bound(integer(n), integer(d)) == rankin_bound(n, d)
            assert welch_bound(integer(n), integer(d)) == welch_bound(n, d)
            assert type(rankin_bound(integer(n), integer(d))) is float
    # The twelve vertices of an icosahedron are six lines that meet it: C = 6, d = 3.
    assert welch_bound(6, 3) == pytest.approx(1 / math.sqrt(5))


@pytest.mark.parametrize("bound", [rankin_bound, welch_bound])
def test_bounds_check_their_arguments(bound):
    with pytest.raises(ValueError, match="n_classes == 1"):
        bound(1, 3)
    with pytest.raises(ValueError, match="n_features == 0"):
        bound(3, 0)
    with pytest.raises(TypeError, match="n_classes must be an instance"):
        bound(3.0, 3)
