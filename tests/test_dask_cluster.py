"""Dask collections on a real cluster of processes: equal results, and dying workers."""

import os
import signal
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_collapse import ClassMoments
from sklearn_collapse.ood import MahalanobisDetector, ViMDetector
from sklearn_collapse.whitening import SpectralWhitener

pytest.importorskip("dask")
pytest.importorskip("distributed")

import dask
import dask.array as da
from distributed import Client, KilledWorker, LocalCluster

N_BLOCKS, ROWS, WIDTH = 12, 200, 5
# Whatever hangs becomes an error.
TIMES = {
    "distributed.comm.timeouts.connect": "20s",
    "distributed.scheduler.allowed-failures": 1,
    "distributed.admin.tick.limit": "1 minute",
    "distributed.worker.multiprocessing-method": "spawn",
}


@pytest.fixture(scope="module")
def client():
    """Client of two workers, each a process of its own."""
    with (
        dask.config.set(TIMES),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            protocol="tcp",
            dashboard_address=None,
            silence_logs=60,
        ) as cluster,
        Client(cluster, timeout=20) as client,
    ):
        yield client


# -- rows that any worker can make again -----------------------------------------------


def block(number):
    """Rows and labels of one block."""
    rng = np.random.default_rng(number)
    y = rng.integers(0, 3, ROWS)
    means = 4 * np.random.default_rng(99).normal(size=(3, WIDTH))
    return means[y] + rng.normal(size=(ROWS, WIDTH)), y


def rows_of(number):
    return block(number)[0]


def dying_once(number, flag):
    """Rows of a block; the first worker that makes the fifth one dies of it."""
    if number == 5 and not os.path.exists(flag):
        with open(flag, "w", encoding="utf-8") as file:
            file.write(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return rows_of(number)


def dying(number):
    """Rows of a block; no worker survives the fifth."""
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return rows_of(number)


def collection(make):
    """Dask array of the blocks as a function makes them."""
    make = dask.delayed(make, pure=False)
    parts = [
        da.from_delayed(make(number), (ROWS, WIDTH), dtype=float)
        for number in range(N_BLOCKS)
    ]
    return da.concatenate(parts)


@pytest.fixture(scope="module")
def memory():
    """All rows and labels."""
    X, y = zip(*map(block, range(N_BLOCKS)), strict=True)
    return np.concatenate(X), np.concatenate(y)


def assert_same_detector(found, expected, X):
    assert_allclose(found.moments_.scatter_, expected.moments_.scatter_, rtol=1e-12)
    assert_allclose(found.offset_, expected.offset_, rtol=1e-10)
    scores = expected.score_samples(X)
    assert_allclose(found.score_samples(X), scores, rtol=1e-10)


# -- tests -----------------------------------------------------------------------------


def test_moments_equal_those_of_one_batch(client, memory):
    X, y = memory
    found = ClassMoments.from_arrays(collection(rows_of), y)
    expected = ClassMoments.from_arrays(X, y)
    assert_allclose(found.counts_, expected.counts_)
    assert_allclose(found.means_, expected.means_, rtol=1e-12)
    assert_allclose(found.scatter_, expected.scatter_, rtol=1e-12)


@pytest.mark.parametrize(
    "estimator", [MahalanobisDetector(shrinkage="ledoit_wolf"), ViMDetector("lda")]
)
def test_fit_and_scores_equal_those_in_memory(client, memory, estimator):
    (X, y), rows = memory, collection(rows_of)
    detector = type(estimator)(**estimator.get_params()).fit(rows, y)
    expected = estimator.fit(X, y)
    assert_same_detector(detector, expected, X)
    lazy = detector.score_samples(rows)
    assert isinstance(lazy, da.Array)
    assert_allclose(lazy.compute(), expected.score_samples(X), rtol=1e-10)
    assert (detector.predict(rows).compute() == expected.predict(X)).all()


def count_solves(dask_worker):
    """Count what this worker decomposes from now on."""
    import scipy.linalg

    dask_worker.solves = 0

    def counted(solve):
        def count(*args, **options):
            dask_worker.solves += 1
            return solve(*args, **options)

        return count

    for module in (np.linalg, scipy.linalg):
        for name in ("eigh", "svd"):
            setattr(module, name, counted(getattr(module, name)))


def test_workers_do_not_decompose(client, memory):
    """Each might choose other vectors for equal eigenvalues."""
    client.run(count_solves)
    rows = collection(rows_of)
    # What is sent is large from 1 byte on: no warning.
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": 1}):
        detector = MahalanobisDetector().fit(rows, memory[1])
        whitener = SpectralWhitener().fit(rows)
        detector.calibrate(rows)
    dask.compute(detector.score_samples(rows), whitener.transform(rows))
    frame = pytest.importorskip("dask.dataframe").from_dask_array(rows)
    whitener.transform(frame).compute()
    assert set(client.run(lambda dask_worker: dask_worker.solves).values()) == {0}


def test_work_is_spread_over_the_workers(client):
    """The threads of this process have no part in it."""

    def who(rows):
        return np.full(len(rows), os.getpid())

    pids = set(collection(rows_of).map_blocks(who, drop_axis=1, dtype=int).compute())
    assert len(pids) > 1
    assert os.getpid() not in pids


def test_a_worker_is_killed(client, memory, tmp_path):
    X, y = memory
    flag = tmp_path / "died"
    rows = collection(partial(dying_once, flag=str(flag)))
    detector = MahalanobisDetector().fit(rows, y)
    assert int(flag.read_text()) != os.getpid()
    assert_same_detector(detector, MahalanobisDetector().fit(X, y), X)


def test_a_worker_is_killed_while_scoring(client, memory, tmp_path):
    X, _ = memory
    whitener = SpectralWhitener("pca").fit(X)
    flag = tmp_path / "died"
    lazy = whitener.transform(collection(partial(dying_once, flag=str(flag))))
    assert not flag.exists()
    assert_allclose(lazy.compute(), whitener.transform(X), atol=1e-12)
    assert flag.exists()


def test_every_worker_dies(client, memory):
    X, y = memory
    detector = MahalanobisDetector().fit(X[:100], y[:100])
    before = vars(detector).copy()
    with pytest.raises(KilledWorker):
        detector.fit(collection(dying), y)
    assert vars(detector) == before
    assert detector.moments_.n_samples_ == 100


def test_error_of_a_partition_arrives(client, memory):
    X, y = memory
    rows = da.from_array(
        np.where(np.arange(len(X))[:, None] == 777, np.nan, X), (200, 5)
    )
    with pytest.raises(ValueError, match=r"In partition 3: .*NaN.* row 177"):
        MahalanobisDetector().fit(rows, y)


def test_cluster_is_still_whole(client, memory):
    """After all that has died."""
    client.wait_for_workers(2, timeout=20)
    assert len(client.scheduler_info()["workers"]) == 2
