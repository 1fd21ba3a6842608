"""Independent pieces of work in joblib workers that do not crowd each other out."""

import os
from functools import partial

from joblib import cpu_count, effective_n_jobs
from threadpoolctl import threadpool_limits


def in_parallel(function, arguments, n_jobs=None):
    """Yield ``function(argument)`` for each argument, in their order.

    BLAS threads are bounded so that all workers together have one for each core; a
    single worker is this process and keeps all of them. Workers have scikit-learn's
    configuration of this one.

    Parameters
    ----------
    function : callable
        Can be pickled.
    arguments : sequence
    n_jobs : int or None
    """
    n_workers = min(effective_n_jobs(n_jobs), len(arguments))
    if n_workers <= 1:
        yield from map(function, arguments)
        return
    # Here, since the pure maths imports this package without scikit-learn.
    from sklearn.utils.parallel import Parallel, delayed

    threads = max(1, cpu_count() // n_workers)
    task = delayed(partial(_bounded, function, os.getpid(), threads))
    # Workers that are threads of this process share its limits.
    with threadpool_limits(threads):
        workers = Parallel(n_jobs=n_workers, return_as="generator")
        yield from workers(task(argument) for argument in arguments)


def with_progress(results, total, progress, what):
    """Iterate over results behind a progress bar, if one is wanted."""
    if not progress:
        return results
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError(
            "progress=True needs tqdm: pip install tqdm, or leave it out."
        ) from error
    return tqdm(results, total=total, desc=what)


def _bounded(function, parent, threads, argument):
    if os.getpid() == parent:
        return function(argument)
    with threadpool_limits(threads):
        return function(argument)
