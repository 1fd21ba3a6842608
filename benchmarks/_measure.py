"""Timing and memory of functions, taken in turns."""

import gc
import time
import tracemalloc

import numpy as np


def best_times(functions, repeats, patience=float("inf")):
    """Shortest wall time of each function; they take turns, so drift hits them alike.

    Parameters
    ----------
    functions : dict of str to callable
    repeats : int
    patience : float
        Seconds: what takes longer at first is not repeated.

    Returns
    -------
    dict of str to float
        Seconds.
    """
    # First calls load libraries and touch pages: they count for long ones only.
    first = {name: _time(function) for name, function in functions.items()}
    best = {name: t if t > patience else float("inf") for name, t in first.items()}
    for _ in range(repeats):
        for name, function in functions.items():
            if first[name] <= patience:
                best[name] = min(best[name], _time(function))
    return best


def _time(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak_extra(function):
    """Peak memory that a call allocates through Python, in MiB; its result is freed.

    Returns
    -------
    peak, result : float
        MiB at the peak, and MiB still held by the result when the call returned.
    """
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        kept = function()
        after, peak = tracemalloc.get_traced_memory()
        del kept
    finally:
        tracemalloc.stop()
    return (peak - before) / 2**20, (after - before) / 2**20


def make_rows(n, d, n_classes, seed=0):
    """Float32 rows of n_classes Gaussian classes, in random order."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    means = rng.normal(size=(n_classes, d)).astype(np.float32)
    X = rng.standard_normal((n, d), dtype=np.float32)
    X += means[y]
    return X, y


def of_floor(work, what, seconds):
    """Row of a time that others are held against."""
    return work, what, 1e3 * seconds, "ms", "", ""


def of_ratio(work, what, seconds, against, reference):
    """Row of a time and its ratio to another."""
    return work, what, 1e3 * seconds, "ms", against, seconds / reference
