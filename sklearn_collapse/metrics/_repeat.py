"""Many evaluations of a metric, in parallel, each from a seed of its own."""

import os
import warnings
from contextlib import ExitStack, contextmanager

import numpy as np
from joblib import Parallel, cpu_count, delayed, effective_n_jobs
from threadpoolctl import threadpool_limits

from sklearn_collapse.utils._warnings import CollapseWarning

_SEEDS = 2**31 - 1


def draw_seeds(rng, n):
    """Seeds of n evaluations, which do not depend on who works on them."""
    return rng.randint(_SEEDS, size=n)


def evaluate(task, seeds, n_jobs=None):
    """Evaluate ``task(seed)`` for each seed.

    Warnings that a value is easily misread are silenced: whoever calls this shows
    what the value is worth.

    Parameters
    ----------
    task : callable
        Returns a float or an array of floats; can be pickled.
    seeds : ndarray of int of shape (n,)
    n_jobs : int or None

    Returns
    -------
    ndarray of float64 of shape (n, ...)
    """
    n_workers = min(effective_n_jobs(n_jobs), len(seeds))
    if n_workers == 1:
        with silenced():
            return _evaluate(task, seeds)
    threads = max(1, cpu_count() // n_workers)
    parts = np.array_split(seeds, n_workers)
    # Workers that are threads of this process share its limits and its filters.
    with silenced(threads):
        found = Parallel(n_jobs=n_workers)(
            delayed(_work)(task, part, os.getpid(), threads) for part in parts
        )
    return np.concatenate(found)


@contextmanager
def silenced(threads=None):
    """Silence `CollapseWarning`; bound the threads of BLAS unless None."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", CollapseWarning)
        if threads is not None:
            stack.enter_context(threadpool_limits(threads))
        yield


def _work(task, seeds, parent, threads):
    if os.getpid() == parent:
        return _evaluate(task, seeds)
    with silenced(threads):
        return _evaluate(task, seeds)


def _evaluate(task, seeds):
    return np.asarray([task(seed) for seed in seeds.tolist()], dtype=float)
