"""Thresholds from a stream of blocks are those of all rows at once."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from test_outlier_contract import DETECTORS

from sklearn_collapse import ClassMoments, LinearHead
from sklearn_collapse.ood import (
    ConformalDetector,
    KNNDetector,
    MahalanobisDetector,
    ViMDetector,
)

ALL = {
    **DETECTORS,
    "conformal": ConformalDetector(random_state=0),
    "conformal forest": ConformalDetector(IsolationForest(random_state=0)),
}


def labelled_rows(n=120, d=4, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 4
    return rng.normal(size=(n, d)) + 2 * rng.normal(size=(4, d))[y], y


X_FIT, Y_FIT = labelled_rows()
X_OTHER, _ = labelled_rows(90, seed=1)
WEIGHTS = np.random.default_rng(2).integers(0, 3, 90).astype(float)
CUTS = [0, 1, 1, 30, 31, 90]


def blocks(X, weights=None, cuts=CUTS):
    """Blocks of unequal size, one of them empty; labels are not used."""
    for start, stop in pairwise(cuts):
        rows = X[start:stop]
        if weights is None:
            yield rows
        else:
            yield rows, None, weights[start:stop]


def thresholds(detector):
    names = ("offset_", "alpha_", "n_calibration_", "calibration_scores_")
    return {n: np.asarray(getattr(detector, n)) for n in names if hasattr(detector, n)}


def assert_same_thresholds(found, expected):
    found, expected = thresholds(found), thresholds(expected)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_allclose(found[name], value, 1e-9, err_msg=name)


@pytest.mark.parametrize("name", ALL)
def test_as_one_batch(name):
    detector = clone(ALL[name]).fit(X_FIT, Y_FIT)
    at_once, streamed = copy.deepcopy(detector), copy.deepcopy(detector)
    at_once.calibrate(X_OTHER)
    assert streamed.calibrate_batches(blocks(X_OTHER)) is streamed
    assert_same_thresholds(streamed, at_once)
    assert at_once.offset_ != detector.offset_
    at_once.calibrate(X_OTHER, WEIGHTS)
    streamed.calibrate_batches(blocks(X_OTHER, WEIGHTS))
    assert_same_thresholds(streamed, at_once)
    assert_array_equal(streamed.predict(X_OTHER), at_once.predict(X_OTHER))


FITTED = {
    "mahalanobis": MahalanobisDetector(contamination=0.1).fit(X_FIT, Y_FIT),
    "vim": ViMDetector("lda", n_components=1).fit(X_FIT, Y_FIT),
}


@pytest.mark.parametrize("name", FITTED)
@given(
    cuts=st.lists(st.integers(0, 90), max_size=12).map(sorted),
    whole=st.booleans(),
)
def test_any_split(name, cuts, whole):
    cuts = [0, *cuts, 90]
    weights = None if whole else WEIGHTS
    expected = copy.deepcopy(FITTED[name]).calibrate(X_OTHER, weights)
    found = copy.deepcopy(FITTED[name])
    found.calibrate_batches(blocks(X_OTHER, weights, cuts))
    assert_same_thresholds(found, expected)


@pytest.mark.parametrize("name", ["mahalanobis", "vim head", "knn", "conformal"])
def test_other_libraries(name, library):
    detector = clone(ALL[name])
    if name == "vim head":
        head = detector.head
        detector.set_params(
            head=LinearHead(library.asarray(head.coef), library.asarray(head.intercept))
        )
    detector.fit(library.asarray(X_FIT), Y_FIT)
    expected = copy.deepcopy(detector).calibrate(library.asarray(X_OTHER), WEIGHTS)
    parts = [
        (library.asarray(X), None, w) for X, _, w in blocks(X_OTHER, WEIGHTS) if len(X)
    ]
    detector.calibrate_batches(parts)
    assert_same_thresholds(detector, expected)
    if name == "conformal":
        assert library.owns(detector.calibration_scores_)


def test_a_data_loader():
    data = pytest.importorskip("torch.utils.data")
    torch = pytest.importorskip("torch")
    X, X_other = torch.asarray(X_FIT), torch.asarray(X_OTHER)
    detector = MahalanobisDetector().fit(X, Y_FIT)
    expected = copy.deepcopy(detector).calibrate(X_other)
    dataset = data.TensorDataset(X_other, torch.zeros(90))
    detector.calibrate_batches(data.DataLoader(dataset, batch_size=7))
    assert_same_thresholds(detector, expected)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int8", "bool"])
@pytest.mark.parametrize("kind", [MahalanobisDetector, KNNDetector])
def test_rows_of_a_file(dtype, kind, tmp_path):
    rows = (8 * X_OTHER).astype(dtype)
    stored = np.memmap(tmp_path / "rows", dtype, mode="w+", shape=rows.shape)
    stored[:] = rows
    detector = kind().fit((8 * X_FIT).astype(np.float64), Y_FIT)
    wide = rows if rows.dtype.kind == "f" else rows.astype(float)
    expected = copy.deepcopy(detector).calibrate(wide, WEIGHTS)
    found = copy.deepcopy(detector).calibrate(stored, WEIGHTS)
    assert_same_thresholds(found, expected)
    found = copy.deepcopy(detector).calibrate_batches(blocks(stored, WEIGHTS))
    assert_same_thresholds(found, expected)
    assert found.score_samples(stored).dtype == expected.score_samples(wide).dtype
    assert_array_equal(found.score_samples(stored), expected.score_samples(wide))


def test_zero_weights_in_a_file_are_read_few_at_a_time(tmp_path, monkeypatch):
    # The rows of zero weight are not looked at; an error names rows of the file.
    monkeypatch.setattr("sklearn_collapse.utils._arrays._BLOCK_BYTES", 1)
    X, _ = labelled_rows(2000)
    weights = np.arange(2000) % 3.0
    X[weights == 0] = np.nan
    stored = np.memmap(tmp_path / "rows", float, mode="w+", shape=X.shape)
    stored[:] = X
    detector = MahalanobisDetector().fit(X_FIT, Y_FIT)
    sizes = []

    class Watched(MahalanobisDetector):
        def _score_rows(self, X):
            sizes.append(X.shape[0])
            return super()._score_rows(X)

    watched = Watched()
    watched.__dict__.update(detector.__dict__)
    watched.calibrate(stored, weights)
    kept = weights > 0
    detector.calibrate(X[kept], weights[kept])
    assert watched.offset_ == detector.offset_
    assert sum(sizes) == kept.sum()
    assert max(sizes) <= 256
    stored[1000, 2] = np.nan
    assert weights[1000] > 0
    with pytest.raises(ValueError, match="NaN: first in row 1000, column 2"):
        watched.calibrate(stored, weights)


def test_tables():
    pandas = pytest.importorskip("pandas")
    names = list("abcd")
    frame = pandas.DataFrame(X_OTHER, columns=names).assign(
        kind="x", w=WEIGHTS, label=1
    )
    detector = MahalanobisDetector().fit(frame[names])
    expected = copy.deepcopy(detector).calibrate(frame[names], WEIGHTS)
    options = {"label": "label", "weight": "w"}
    columns = {name: frame[name].to_numpy() for name in frame.columns}
    halves = [{k: v[h] for k, v in columns.items()} for h in HALVES]
    for parts in ([frame[h] for h in HALVES], halves):
        found = copy.deepcopy(detector).calibrate_batches(parts, **options)
        assert_same_thresholds(found, expected)
        names_back = {"features": list("abdc"), **options}
        with pytest.raises(ValueError, match=r"In block 0: .*feature names should"):
            found.calibrate_batches(parts, **names_back)
        assert_same_thresholds(found, expected)
    # Columns were named, so that rows without names are no reason to warn.
    plain = MahalanobisDetector().fit(X_OTHER)
    plain.calibrate_batches(halves, features=names, weight="w")
    assert_same_thresholds(plain, expected)
    with pytest.raises(ValueError, match="In block 0: X has 3 features, but Mahal"):
        plain.calibrate_batches(halves, features=names[:3])


HALVES = slice(0, 40), slice(40, 90)


def test_arrow_lists():
    arrow = pytest.importorskip("pyarrow")
    embedding = arrow.array(X_OTHER.tolist(), arrow.list_(arrow.float64(), 4))
    table = arrow.table({"embedding": embedding, "w": WEIGHTS})
    detector = MahalanobisDetector().fit(X_FIT, Y_FIT)
    expected = copy.deepcopy(detector).calibrate(X_OTHER, WEIGHTS)
    stream = table.to_batches(max_chunksize=7)
    detector.calibrate_batches(stream, features="embedding", weight="w")
    assert_same_thresholds(detector, expected)


def test_after_moments():
    # No threshold, and for ViM no size of the virtual logit, before.
    moments = ClassMoments().update(X_FIT, Y_FIT)
    for detector in (MahalanobisDetector(), ViMDetector("lda", n_components=1)):
        detector.fit_moments(moments)
        expected = copy.deepcopy(detector).calibrate(X_OTHER)
        assert_same_thresholds(detector.calibrate_batches(blocks(X_OTHER)), expected)


# -- what is refused -------------------------------------------------------------------


def broken(*parts):
    yield from parts
    raise OSError("the disk is gone")


NAN = np.where(np.arange(4) == 2, np.nan, X_OTHER[:5])
FAULTS = {
    "width": (X_OTHER[:, :3], ValueError, "In block 2: X has 3 features"),
    "nan": (NAN, ValueError, "In block 2: .*NaN.*"),
    "lengths": ((X_OTHER, [1, 2]), ValueError, "In block 2: .*inconsistent numbers"),
    "weights": ((X_OTHER, None, -WEIGHTS), ValueError, "In block 2: sample_weight"),
    "one row": (X_OTHER[0], ValueError, "In block 2: Expected 2D array"),
    "four": ((X_OTHER,) * 4, ValueError, r"In block 2: A block is X, \(X, y\) or"),
    "sparse": ("sparse", TypeError, "In block 2: .*dense"),
}


@pytest.mark.parametrize("name", ["mahalanobis", "vim head", "knn", "conformal"])
@pytest.mark.parametrize("fault", [*FAULTS, "iterator", "no rows"])
def test_a_stream_that_fails(name, fault):
    detector = clone(ALL[name]).fit(X_FIT, Y_FIT)
    before = pickle.dumps(detector)
    if fault == "iterator":
        stream, error, message = broken(X_OTHER), OSError, "^the disk is gone$"
    elif fault == "no rows":
        parts = X_OTHER[:0], (X_OTHER, None, 0 * WEIGHTS)
        stream, error, message = iter(parts), ValueError, "hold no rows"
    else:
        block, error, message = FAULTS[fault]
        if fault == "sparse":
            block = pytest.importorskip("scipy.sparse").csr_array(X_OTHER)
        stream = iter([X_OTHER, X_OTHER[:0], block])
    with pytest.raises(error, match=message):
        detector.calibrate_batches(stream)
    assert pickle.dumps(detector) == before


def test_a_block_of_another_library():
    strict = pytest.importorskip("array_api_strict")
    detector = MahalanobisDetector().fit(X_FIT, Y_FIT)
    message = (
        r"In block 1: .*MahalanobisDetector.calibrate_batches\(\) must use the same "
        r"namespace"
    )
    with pytest.raises(ValueError, match=message):
        detector.calibrate_batches([X_OTHER, strict.asarray(X_OTHER)])


def test_not_fitted():
    def never():
        raise AssertionError("read")
        yield

    for kind in (MahalanobisDetector, ConformalDetector, KNNDetector):
        with pytest.raises(NotFittedError, match=r"^This .* not fitted yet"):
            kind().calibrate_batches(never())
