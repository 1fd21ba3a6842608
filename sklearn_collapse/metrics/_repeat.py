"""Many evaluations of a metric, in parallel, each from a seed of its own."""

import os
import warnings
from contextlib import contextmanager
from functools import partial

import numpy as np
from joblib import effective_n_jobs

from sklearn_collapse.utils._parallel import in_parallel
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
    parts = np.array_split(seeds, n_workers)
    # Workers that are threads of this process share its filters.
    with silenced():
        found = in_parallel(partial(_evaluate, task, os.getpid()), parts, n_workers)
        return np.concatenate(list(found))


@contextmanager
def silenced():
    """Silence `CollapseWarning`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        yield


def _evaluate(task, parent, seeds):
    if os.getpid() != parent:
        with silenced():
            return _evaluate(task, os.getpid(), seeds)
    return np.asarray([task(seed) for seed in seeds.tolist()], dtype=float)
