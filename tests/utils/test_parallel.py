"""Tests of work that is shared out to joblib workers."""

import os

import pytest
from joblib import cpu_count, parallel_config
from sklearn import config_context, get_config
from threadpoolctl import threadpool_info

from sklearn_collapse.utils._parallel import in_parallel


def look(argument):
    threads = [pool["num_threads"] for pool in threadpool_info()]
    return argument, os.getpid(), get_config()["enable_metadata_routing"], max(threads)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_workers(backend):
    """In order, with the caller's configuration and a bounded number of threads."""
    with parallel_config(backend=backend), config_context(enable_metadata_routing=True):
        found = list(in_parallel(look, [3, 1, 2], n_jobs=2))
    assert [argument for argument, *_ in found] == [3, 1, 2]
    assert all((pid == os.getpid()) == (backend == "threading") for _, pid, *_ in found)
    assert all(routing for _, _, routing, _ in found)
    assert all(threads <= max(1, cpu_count() // 2) for *_, threads in found)


@pytest.mark.parametrize(("arguments", "n_jobs"), [([1, 2], None), ([1], 2), ([], 2)])
def test_one_worker_is_this_process(arguments, n_jobs):
    found = list(in_parallel(look, arguments, n_jobs))
    assert [(argument, pid) for argument, pid, *_ in found] == [
        (argument, os.getpid()) for argument in arguments
    ]
