"""Timing and memory of functions, taken in turns."""

import gc
import time
import tracemalloc


def best_times(functions, repeats):
    """Shortest wall time of each function; they take turns, so drift hits them alike.

    Parameters
    ----------
    functions : dict of str to callable
    repeats : int

    Returns
    -------
    dict of str to float
        Seconds.
    """
    best = dict.fromkeys(functions, float("inf"))
    for function in functions.values():
        function()  # first calls load libraries and touch pages
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


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
