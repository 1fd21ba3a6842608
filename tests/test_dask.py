"""Dask arrays and dataframes, in this process: every estimator against NumPy.

`test_dask_cluster.py` has the same on processes that may die.
"""

import inspect
import math
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from oracles import class_moments
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils import get_tags
from test_common import INSTANCES

from sklearn_collapse import ClassMoments, LinearHead
from sklearn_collapse.collapse import NeuralCollapseScorer, RegressionCollapseScorer
from sklearn_collapse.etf import ETFAlignmentScorer, ETFClassifier
from sklearn_collapse.metrics import nc1_pinv
from sklearn_collapse.ood import (
    ConformalDetector,
    KNNDetector,
    MahalanobisDetector,
    ViMDetector,
)
from sklearn_collapse.utils import _dask, _gpu
from sklearn_collapse.utils.estimator_checks import labelled_rows, rows_for
from sklearn_collapse.whitening import SpectralWhitener

pytest.importorskip("dask")
pytest.importorskip("pandas")

import dask
import dask.array as da
import dask.dataframe as dd
import pandas as pd

# Methods that answer each row by itself.
ROW_METHODS = (
    *("score_samples", "decision_function", "predict", "predict_proba"),
    *("predict_log_proba", "transform", "mahalanobis", "p_values"),
)
NAMES = list("abcdef")


@pytest.fixture(autouse=True)
def synchronous():
    """Tasks run one after the other in this thread, unless a test says otherwise."""
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture
def rows():
    return labelled_rows()


def parted(X, size=37):
    """Dask array of a few partitions, cut between columns as well."""
    return da.from_array(X, chunks=(size, *(4 for _ in X.shape[1:])))


def of_unknown_size(X, size=37):
    """Dask array whose chunks do not say how many rows they have."""
    frame = pd.DataFrame(X, columns=NAMES[: X.shape[1]])
    sizes = [*range(0, len(X), size), len(X) - 1]
    return dd.from_pandas(frame, npartitions=len(sizes) - 1).to_dask_array()


def frame_of(X, npartitions=4, **columns):
    return dd.from_pandas(
        pd.DataFrame(X, columns=NAMES).assign(**columns), npartitions=npartitions
    )


def assert_close(found, expected, rtol=1e-7):
    """Equal to rounding, relative to the size of what was expected."""
    expected = np.asarray(expected)
    assert found.dtype == expected.dtype
    if expected.dtype.kind != "f":
        assert_array_equal(found, expected)
        return
    size = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
    assert_allclose(found, expected, rtol=rtol, atol=rtol * size)


# -- class moments ---------------------------------------------------------------------


def check_moments(found, X, y, weights=None, rtol=1e-12):
    expected = class_moments(X, y, weights)
    assert_array_equal(found.classes_, expected["classes"])
    assert_allclose(found.counts_, expected["counts"], rtol=rtol)
    assert_allclose(found.means_, expected["means"], rtol=rtol)
    size = np.abs(expected["scatter"]).max()
    assert_allclose(found.scatter_, expected["scatter"], rtol=rtol, atol=rtol * size)


def test_a_thousand_partitions_equal_one_batch(rng):
    y = rng.integers(0, 4, 3000)
    X = 5 * rng.normal(size=(4, 6))[y] + rng.normal(size=(3000, 6))
    check_moments(ClassMoments.from_arrays(parted(X, 3), y), X, y)


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
@pytest.mark.parametrize("make", [np.asarray, list, pd.Series, parted, dd.Series])
def test_labels_and_weights_of_every_kind(rows, rng, make, scheduler):
    X, y = rows
    weights = rng.integers(0, 3, len(y)).astype(float)
    weights[:40] = 0  # a partition without any
    data = parted(X)
    if make is dd.Series:
        frame = frame_of(X, y=y, w=weights)
        data, labels, own = frame[NAMES], frame["y"], frame["w"]
    elif make is pd.Series:
        index = np.arange(len(y)) / 2  # labels of rows are not positions
        labels, own = (pd.Series(v, index) for v in (y, weights))
    else:
        labels, own = make(y), make(weights)
    with dask.config.set(scheduler=scheduler):
        found = ClassMoments.from_arrays(data, labels, own)
    check_moments(found, X, y, weights)


def test_labels_may_be_text(rows):
    X, y = rows
    text = np.array(["red", "green", "blue"])[y]
    for labels in (text, da.from_array(text, chunks=37), list(text)):
        found = ClassMoments.from_arrays(parted(X), labels)
        check_moments(found, X, text)
    frame = frame_of(X, y=text)
    found = ClassMoments.from_arrays(frame[NAMES], frame["y"])
    assert found.classes_.tolist() == ["blue", "green", "red"]
    assert_allclose(found.means_, class_moments(X, text)["means"])


def test_options_reach_the_partitions(rows):
    X, y = rows
    options = {"normalize": True, "class_scatter": True, "precision": "single"}
    found = ClassMoments.from_arrays(parted(X), y, **options)
    expected = ClassMoments.from_arrays(X, y, **options)
    assert (found.normalize, found.class_scatter) == (True, True)
    assert found.dtype_ == "float32"
    assert_close(found.class_scatter_, expected.class_scatter_, rtol=1e-5)
    assert found.device == "auto"
    assert (
        ClassMoments.from_arrays(parted(X.astype("float32"))).input_dtype_ == "float32"
    )
    # What has been gathered goes on like any other moments.
    found = ClassMoments.from_arrays(parted(X[:60]), y[:60]).update(X[60:], y[60:])
    check_moments(found, X, y)


def test_partitions_of_unknown_size(rows):
    X, y = rows
    data = of_unknown_size(X)
    assert math.isnan(data.shape[0])
    frame = frame_of(X, npartitions=4, y=y)
    labels = frame["y"].to_dask_array()
    check_moments(ClassMoments.from_arrays(data, labels), X, y)
    with pytest.raises(ValueError, match=r"y is in memory .*compute_chunk"):
        ClassMoments.from_arrays(data, y)
    data.compute_chunk_sizes()
    check_moments(ClassMoments.from_arrays(data, y), X, y)


def test_empty_partitions_are_left_out(rows):
    X, y = rows
    frame = frame_of(X, y=y)
    kept = frame[frame["a"] > np.sort(X[:, 0])[-3]]  # most partitions keep no row
    found = ClassMoments.from_arrays(kept[NAMES], kept["y"])
    index = X[:, 0] > np.sort(X[:, 0])[-3]
    check_moments(found, X[index], y[index])
    none = frame[frame["a"] > 1e9]
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        ClassMoments.from_arrays(none[NAMES])
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        MahalanobisDetector().fit(none[NAMES])
    detector = MahalanobisDetector().fit(X, y)
    lazy = detector.score_samples(kept[NAMES].to_dask_array())
    assert_allclose(lazy.compute(), detector.score_samples(X[index]))


def test_names_of_columns_are_kept_and_checked(rows):
    X, _ = rows
    frame = frame_of(X)
    assert ClassMoments.from_arrays(frame).feature_names_.tolist() == NAMES
    detector = MahalanobisDetector().fit(frame)
    assert detector.feature_names_in_.tolist() == NAMES
    for method in (detector.score_samples, detector.calibrate):
        with pytest.raises(ValueError, match="feature names should match"):
            method(frame[NAMES[::-1]])
    # A partition that is not what the collection says it is.
    wrong = frame.map_partitions(
        lambda part: part[NAMES[::-1]], meta=frame._meta, enforce_metadata=False
    )
    for call in (ClassMoments.from_arrays, MahalanobisDetector().fit):
        with pytest.raises(ValueError, match=r"In partition [0-9]: The feature names"):
            call(wrong)


def test_every_partition_is_made_once(rows):
    """One pass for moments; detectors take a second one for their threshold."""
    X, y = rows
    made = []

    def make(start):
        made.append(start)
        return X[start : start + 30]

    starts = range(0, 120, 30)
    parts = [da.from_delayed(dask.delayed(make)(s), (30, 6), float) for s in starts]
    data = da.concatenate(parts)
    ClassMoments.from_arrays(data, y)
    assert sorted(made) == list(starts)
    made.clear()
    SpectralWhitener().fit(data)
    assert sorted(made) == list(starts)
    made.clear()
    lazy = MahalanobisDetector().fit(data, y).score_samples(data)
    assert sorted(made) == sorted([*starts, *starts])
    lazy.compute()
    assert len(made) == 12


def test_auto_is_the_cpu_in_tasks(rows, monkeypatch):
    """Tasks in threads of this process would all ask for its one GPU."""
    asked = []
    known = _gpu._auto_may_use_gpu
    monkeypatch.setattr(_gpu, "_WORTH_A_COPY", 0)

    def ask(work):
        asked.append(known(work))
        return False

    monkeypatch.setattr(_gpu, "_auto_may_use_gpu", ask)
    X, y = rows
    detector = MahalanobisDetector().fit(parted(X), y)
    assert asked
    assert not any(asked)
    lazy = detector.score_samples(parted(X))
    asked.clear()
    lazy.compute()
    assert asked
    assert not any(asked)
    asked.clear()
    detector.score_samples(X)
    assert any(asked)


# -- errors ----------------------------------------------------------------------------


def test_errors_name_the_partition(rows):
    X, y = rows
    bad = X.copy()
    bad[80, 2] = np.nan
    for call in (ClassMoments.from_arrays, MahalanobisDetector().fit):
        with pytest.raises(ValueError, match=r"In partition 2: .*NaN: first in row 6,"):
            call(parted(bad), y)
    with pytest.raises(
        ValueError, match=r"In partition [0-9]: y contains labels that are"
    ):
        ClassMoments.from_arrays(parted(X), y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"In partition 1: sample_weight must"):
        ClassMoments.from_arrays(parted(X), y, np.where(np.arange(120) == 50, -1, 1))
    lazy = MahalanobisDetector().fit(X, y).score_samples(parted(bad))
    with pytest.raises(ValueError, match=r"In partition 2: .*NaN"):
        lazy.compute()
    detector = ViMDetector("lda").fit(X, y)
    with pytest.raises(ValueError, match=r"In partition 2: .*NaN"):
        detector.calibrate(parted(bad))


def test_a_partition_of_another_width(rows):
    X, y = rows
    data = da.from_array(X, chunks=(30, -1))
    wrong = data.map_blocks(
        lambda block, block_id: block[:, :5] if block_id[0] == 3 else block,
        dtype=float,
        meta=np.empty((0, 0)),
    )
    for call in (ClassMoments.from_arrays, MahalanobisDetector().fit):
        with pytest.raises(ValueError, match=r"In partition 3: X has 5 features"):
            call(wrong, y)


def test_partitions_must_match(rows):
    X, y = rows
    data = parted(X)
    with pytest.raises(ValueError, match=r"must have the same partitions.*rechunk"):
        ClassMoments.from_arrays(data, da.from_array(y, chunks=40))
    with pytest.raises(ValueError, match=r"y has 120 of|y has 4 of"):
        MahalanobisDetector().fit(data, da.from_array(y, chunks=(30,)))
    with pytest.raises(ValueError, match=r"X has 120 rows, y has 60"):
        MahalanobisDetector().fit(data, y[:60])
    with pytest.raises(ValueError, match=r"X has 120 rows, sample_weight has 60"):
        MahalanobisDetector().fit(data, y, np.ones(60))
    frame = frame_of(X, y=y)
    with pytest.raises(ValueError, match=r"In partition [0-9]: .*inconsistent numbers"):
        MahalanobisDetector().fit(frame[NAMES], frame["y"][frame["y"] > 0])


def test_what_cannot_be_rows(rows):
    X, _ = rows
    detector = MahalanobisDetector().fit(X)
    for call in (ClassMoments.from_arrays, detector.fit, detector.score_samples):
        with pytest.raises(TypeError, match=r"Dask array or dataframe.*got Delayed"):
            call(dask.delayed(X))
        with pytest.raises(TypeError, match=r"Dask array or dataframe.*got Series"):
            call(frame_of(X)["a"])
        with pytest.raises(ValueError, match="Expected 2D array, got 1D"):
            call(parted(X[:, 0]))
    with pytest.raises(ValueError, match="has 5 features, but MahalanobisDetector"):
        detector.score_samples(parted(X[:, :5]))
    with pytest.raises(ValueError, match="X has 5 features, but ClassMoments is exp"):
        ClassMoments.from_arrays(parted(X[:, :5]), n_features=6)
    sparse = parted(X).map_blocks(csr_array, meta=csr_array((0, 0)))
    with pytest.raises(TypeError, match="must be NumPy arrays, got csr_array"):
        detector.score_samples(sparse)


def test_what_needs_rows_in_memory_says_so(rows):
    X, y = rows
    data, detector = parted(X), MahalanobisDetector().fit(X, y)
    memory = r"in memory, and X is a Dask collection"
    with pytest.raises(TypeError, match=memory):
        ClassMoments().update(data, y)
    with pytest.raises(TypeError, match=memory):
        detector.partial_fit(data, y)
    with pytest.raises(TypeError, match=memory):
        nc1_pinv(data, y)
    with pytest.raises(TypeError, match=memory):
        ConformalDetector().fit(X).predict_fdr(data)
    with pytest.raises(ValueError, match="batch_size=10 has no meaning"):
        ClassMoments.from_arrays(data, batch_size=10)
    with pytest.raises(TypeError, match="X alone"):
        ETFAlignmentScorer().fit(X, y).score_samples(data, y)
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        MahalanobisDetector().fit(parted(X[:1]))
    with pytest.raises(ValueError, match="LogisticRegression has to be fitted on rows"):
        ViMDetector(LogisticRegression()).fit(data, y)
    scorer = NeuralCollapseScorer(metrics=["nc4_agreement"], head="lda")
    with pytest.raises(ValueError, match=r"needs rows: use fit, .* on rows in memory"):
        scorer.fit(data, y).metrics_  # noqa: B018


def test_failed_fit_changes_nothing(rows):
    X, y = rows
    bad = X.copy()
    bad[80] = np.inf
    for kind in (MahalanobisDetector, SpectralWhitener, NeuralCollapseScorer):
        estimator = kind().fit(X, y)
        before = vars(estimator).copy()
        with pytest.raises(ValueError, match="In partition 2"):
            estimator.fit(parted(bad), y)
        assert vars(estimator) == before
    detector = MahalanobisDetector().fit(X, y)
    offset = detector.offset_
    with pytest.raises(ValueError, match="In partition 2"):
        detector.calibrate(parted(bad))
    assert detector.offset_ == offset


# -- every estimator -------------------------------------------------------------------


def gathers_moments(estimator):
    """Whether fit is a function of moments, with these parameters."""
    return hasattr(estimator, "fit_moments")


@pytest.mark.parametrize("estimator", INSTANCES, ids=repr)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_fit(estimator):
    """Equal to that in memory, or an error that says what to do."""
    X, y = rows_for(estimator)
    data, parts = parted(X), clone(estimator)
    if not gathers_moments(estimator):
        with pytest.raises((TypeError, ValueError), match=r"in memory.*X\.compute\(\)"):
            parts.fit(data, y)
        assert not any(name.endswith("_") for name in vars(parts))
        return
    whole = clone(estimator).fit(X, y)
    assert parts.fit(data, parted(y)) is parts
    assert parts.n_features_in_ == X.shape[1]
    if hasattr(whole, "offset_"):
        assert_allclose(parts.offset_, whole.offset_, rtol=1e-7)
    for method in ROW_METHODS:
        if hasattr(whole, method):
            expected = getattr(whole, method)(X)
            assert_close(getattr(parts, method)(X), expected)
    if hasattr(whole, "metrics_"):
        found, expected = parts.metrics_, whole.metrics_
        streamed = clone(estimator).partial_fit(X, y).metrics_
        assert set(found) == set(streamed)
        for name, value in found.items():
            assert_allclose(value, expected[name], rtol=1e-7, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("estimator", INSTANCES, ids=repr)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_row_methods(estimator):
    """Lazy, and equal to those on NumPy rows."""
    X, y = rows_for(estimator)
    X = X.astype(np.float32)
    fitted = clone(estimator).fit(X, y)
    new = X[::-1]
    calls = [(m, new) for m in ROW_METHODS if hasattr(fitted, m)]
    if hasattr(fitted, "inverse_transform"):
        calls.append(("inverse_transform", fitted.transform(new)))
    for method, rows in calls:
        expected = getattr(fitted, method)(rows)
        lazy = getattr(fitted, method)(parted(rows))
        assert isinstance(lazy, da.Array)
        assert lazy.shape == expected.shape
        assert lazy.dtype == expected.dtype
        assert lazy.chunks[0] == (37, 37, 37, 9)
        assert_close(lazy.compute(), expected, rtol=1e-4)


@pytest.mark.parametrize("estimator", INSTANCES, ids=repr)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_method_loads_the_rows_unasked(estimator):
    """Each that takes X is lazy, gathers by partition, or says that it cannot."""
    X, y = rows_for(estimator)
    fitted, data = clone(estimator).fit(X, y), parted(X)
    skipped = {"fit", "fit_predict", "fit_transform", "set_output", "set_params"}
    seen = 0
    for name in set(dir(type(fitted))) - skipped:
        if name.startswith("_") or not callable(getattr(type(fitted), name)):
            continue
        member = getattr(fitted, name, None)  # None: not with these parameters
        parameters = {} if member is None else inspect.signature(member).parameters
        if next(iter(parameters), None) != "X":
            continue
        seen += 1
        others = {"y": y} if "y" in parameters and name != "score_samples" else {}
        if name == "calibrate" or (name == "score" and has_mean_score(fitted)):
            expected = member(X, **others)
            found = member(data, **others)
            if name == "score":
                assert_allclose(found, expected, rtol=1e-10)
        elif name in (*ROW_METHODS, "inverse_transform"):
            continue  # above
        else:
            with pytest.raises(TypeError, match="in memory, and X is a Dask"):
                member(data, **others)
    assert seen


def has_mean_score(estimator):
    return hasattr(estimator, "predict_proba") or (
        hasattr(estimator, "rank_")
        and (
            hasattr(estimator, "score_samples")
            and hasattr(estimator, "inverse_transform")
        )
    )


@pytest.mark.parametrize("estimator", INSTANCES[::9], ids=repr)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_dataframes(estimator):
    X, y = rows_for(estimator)
    frame = pd.DataFrame(X, columns=NAMES)
    fitted, data = clone(estimator).fit(frame, y), frame_of(X)
    for method in ROW_METHODS:
        if hasattr(fitted, method):
            lazy = getattr(fitted, method)(data)
            expected = getattr(fitted, method)(frame)
            assert isinstance(lazy, da.Array)
            assert math.isnan(lazy.shape[0])
            assert lazy.shape[1:] == expected.shape[1:]
            assert_close(lazy.compute(), expected)


# -- what fit does beside moments ------------------------------------------------------


def test_weights_and_known_outliers(rows, rng):
    X, y = rows
    weights = rng.integers(0, 3, len(y)).astype(float)
    y = np.where(np.arange(len(y)) < 40, -1, y)  # a partition of outliers alone
    whole = MahalanobisDetector(outlier_label=-1, shrinkage="ledoit_wolf")
    parts = clone(whole).fit(parted(X), y, weights)
    whole.fit(X, y, weights)
    assert_allclose(parts.offset_, whole.offset_, rtol=1e-10)
    assert_allclose(parts.shrinkage_, whole.shrinkage_, rtol=1e-10)
    assert parts.classes_.tolist() == [0, 1, 2]


def test_labels_that_mark_outliers_warn(rows):
    X, _ = rows
    with pytest.warns(UserWarning, match="only -1 and 1"):
        MahalanobisDetector().fit(parted(X), np.arange(120) % 2 * 2 - 1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "detector",
    [
        MahalanobisDetector(relative=True),
        ViMDetector("lda", n_components=2),
        ViMDetector(LinearHead(np.eye(3, 6), np.ones(3)), n_components=2),
        KNNDetector(5),
        ConformalDetector(random_state=0),
    ],
    ids=repr,
)
def test_calibrate(rows, rng, detector, weighted):
    X, y = rows
    held_out = labelled_rows(seed=3)[0]
    weights = rng.integers(0, 3, len(y)).astype(float) if weighted else None
    whole = clone(detector).fit(X, y).calibrate(held_out, weights)
    parts = clone(detector).fit(X, y)
    assert parts.calibrate(parted(held_out), weights) is parts
    assert_allclose(parts.offset_, whole.offset_, rtol=1e-10)
    if hasattr(whole, "alpha_"):
        assert_allclose(parts.alpha_, whole.alpha_, rtol=1e-10)
    assert_allclose(parts.decision_function(X), whole.decision_function(X), rtol=1e-7)


def test_score_is_weighted(rows, rng):
    X, y = rows
    weights = rng.integers(0, 3, len(y)).astype(float)
    for estimator in (ETFClassifier(), SpectralWhitener()):
        estimator.fit(X, y)
        y_test = np.roll(y, 5)
        expected = estimator.score(X, y_test, weights)
        found = estimator.score(parted(X), parted(y_test), weights)
        assert_allclose(found, expected, rtol=1e-12)


def test_heads_and_ranks_are_looked_at_in_fit(rows, rng):
    X, _ = rows
    targets = X[:, :2] + rng.normal(size=(120, 2))
    whole = RegressionCollapseScorer(head=rng.normal(size=(2, 6))).fit(X, targets)
    parts = clone(whole).fit(parted(X), parted(targets))
    assert set(parts.metrics_) == set(whole.metrics_) >= {"nrc2", "nrc3"}
    for name, value in whole.metrics_.items():
        assert_allclose(parts.metrics_[name], value, rtol=1e-7)
    flat = X * (np.arange(6) < 3)
    with pytest.raises(ValueError, match="is more than the rank 3"):
        SpectralWhitener(n_components=5).fit(parted(flat))


# -- laziness --------------------------------------------------------------------------


def test_answers_are_of_the_estimator_as_it_was(rows):
    X, y = rows
    data = parted(X)
    for change in ("fit", "partial_fit"):
        whitener = SpectralWhitener().fit(X)
        expected, lazy = whitener.transform(X), whitener.transform(data)
        getattr(whitener, change)(2 * X + 1)
        assert np.abs(whitener.transform(X) - expected).max() > 0.1
        assert_allclose(lazy.compute(), expected, rtol=1e-10, atol=1e-10)
    detector = MahalanobisDetector().fit(X, y)
    expected, lazy = detector.decision_function(X), detector.decision_function(data)
    detector.calibrate(X[:5])
    assert_allclose(lazy.compute(), expected)


def test_without_distributed():
    """Its settings are not touched where nobody has imported it."""
    code = (
        "import numpy as np, dask.array as da\n"
        "from sklearn_collapse.ood import MahalanobisDetector\n"
        "X = da.from_array(np.random.default_rng(0).normal(size=(90, 3)), (30, 3))\n"
        "MahalanobisDetector().fit(X).score_samples(X).compute()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_one_decomposition_for_all_partitions(rows, monkeypatch):
    X, _ = rows
    whitener, calls = SpectralWhitener(), []
    factorise = SpectralWhitener._factorise

    def counted(self):
        calls.append(1)
        return factorise(self)

    monkeypatch.setattr(SpectralWhitener, "_factorise", counted)
    lazy = whitener.fit(parted(X)).transform(parted(X, 3))
    dask.compute(lazy, whitener.score_samples(parted(X)))
    assert len(calls) == 1


@pytest.mark.parametrize(
    "estimator",
    [e for e in INSTANCES[::8] if any(hasattr(e, name) for name in ROW_METHODS)],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_sent_to_workers(estimator):
    """Derived arrays go with it, and whoever lends it is not changed by that."""
    cloudpickle = pytest.importorskip("cloudpickle")
    X, y = rows_for(estimator)
    fitted = clone(estimator).fit(X, y)
    method = next(m for m in ROW_METHODS if hasattr(fitted, m))
    expected = getattr(fitted, method)(X)
    before = vars(fitted).copy()
    snapshot = _dask._snapshot(fitted)
    assert vars(fitted) == before
    sent = cloudpickle.loads(cloudpickle.dumps(_dask._Sent(snapshot))).it
    for name, value in before.items():
        if isinstance(value, ClassMoments):
            assert getattr(snapshot, name) is not value
            assert getattr(sent, name)._cache.keys() == value._cache.keys()
    assert_close(getattr(sent, method)(X), expected)


def test_errors_of_the_estimator_are_not_put_off(rows):
    X, _ = rows
    with pytest.raises(ValueError, match="not fitted"):
        MahalanobisDetector().score_samples(parted(X))
    with pytest.raises(ValueError, match="has no threshold"):
        MahalanobisDetector().partial_fit(X).predict(parted(X))


def test_set_output_is_refused(rows):
    X, _ = rows
    whitener = SpectralWhitener().fit(X)
    for lazily in (whitener.set_output(transform="pandas"), whitener):
        with pytest.raises(ValueError, match=r"'pandas'.*\(transform='default'\)"):
            lazily.transform(frame_of(X).to_dask_array())
    whitener.set_output(transform="default").transform(parted(X))


def test_only_collections_of_dask_are_told_apart(rows):
    X, _ = rows
    assert not any(map(_dask.is_dask, (X, X.tolist(), pd.DataFrame(X), None, "lda")))
    assert all(map(_dask.is_dask, (parted(X), frame_of(X), dask.delayed(X))))
    assert get_tags(MahalanobisDetector()).array_api_support
