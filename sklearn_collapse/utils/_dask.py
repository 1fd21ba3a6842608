"""Dask collections: rows that lie in partitions, worked on one partition at a time.

The one file that names dask, which it imports only where X is a Dask collection, and
so dask has been imported. Whoever is handed one gathers something small from each
partition and adds that up in a tree (`Partitions`), or maps the rows of each lazily
(`by_partition`); everything else refuses it (`refuse_dask`).
"""

import copy
import math
import sys
from functools import wraps

import numpy as np
from joblib import cpu_count
from threadpoolctl import threadpool_limits

from sklearn_collapse.utils._batches import naming
from sklearn_collapse.utils._gpu import auto_is_cpu

# How many partial results are added up at a time.
_SPLIT_EVERY = 8


def is_dask(X):
    """Whether X is a Dask collection, of whatever kind."""
    base = sys.modules.get("dask.base")
    return base is not None and base.is_dask_collection(X)


def refuse_dask(X, who):
    """Raise if X is a Dask collection."""
    if is_dask(X):
        raise TypeError(
            f"{who} needs all rows in memory, and X is a Dask collection "
            f"({type(X).__name__}): pass X.compute()."
        )


class Partitions:
    """Partitions of X with their labels and weights, for passes over the rows.

    A pass calls a method of an object with the rows of each partition, ``(X, y,
    sample_weight)``, wherever Dask likes, and brings home what that returns: so it must
    leave the object as it is. Partitions without rows, or without weight, are left
    out.

    Parameters
    ----------
    X : Dask array or dataframe of shape (n, d)
    y, sample_weight : Dask collection or array-like of n rows, or None
        Collections must have the partitions of X. What is in memory is split like X,
        whose chunk sizes must then be known.
    """

    def __init__(self, X, y=None, sample_weight=None):
        self._X = _checked(X)
        self.names = _names(self._X)
        self.n_features = _width(self._X)
        sizes = _sizes(self._X)
        self._rows = _delayed_parts(self._X)
        self._y = _parts_like(y, sizes, "y")
        self._weights = _parts_like(sample_weight, sizes, "sample_weight")

    @property
    def probe(self):
        """One row of the kind of the partitions."""
        return _probe(self._X)

    def sum(self, owner, method, then=None):
        """Add up what a method makes of each partition: dictionaries of addends.

        ``then`` makes them of something else.
        """
        import dask

        parts = self._results(owner, method, then)
        add = dask.delayed(_added, pure=False)
        while len(parts) > 1:
            starts = range(0, len(parts), _SPLIT_EVERY)
            parts = [add(parts[i : i + _SPLIT_EVERY]) for i in starts]
        return _some(self._compute(parts))[0]

    def collect(self, owner, method):
        """What a method makes of each partition that has rows, in order."""
        return _some(self._compute(self._results(owner, method)))

    def mean(self, owner, method):
        """Average what a method makes of the rows: values, and weights or None."""
        total = self.sum(owner, method, _totals)
        return total["sum"] / total["weight"]

    def _results(self, owner, method, then=None):
        import dask

        owner = _sent(owner)
        work = dask.delayed(_work, pure=False)
        parts = zip(self._rows, self._y, self._weights, strict=True)
        return [
            work(owner, method, number, *part, then=then)
            for number, part in enumerate(parts)
        ]

    def _compute(self, values):
        import dask

        quiet = {}
        if "distributed" in sys.modules:  # whose settings are incomplete before
            # What tasks get is sent once, however large: there is nothing to warn of.
            quiet["distributed.admin.large-graph-warning-threshold"] = sys.maxsize
        # Partitions may be worked on by threads of this process.
        threads = max(1, cpu_count() // len(self._rows))
        with threadpool_limits(threads), dask.config.set(quiet):
            return dask.compute(values)[0]


def by_partition(method):
    """Let a method of rows answer a Dask collection with a lazy Dask array.

    The estimator is taken as it is at the call. A dataframe gives an array of unknown
    chunk sizes.
    """

    name = method.__name__

    @wraps(method)
    def answer(self, X, *args, **options):
        if not is_dask(X):
            return method(self, X, *args, **options)
        others = [*args, *options.values()]
        if any(value is not None for value in others):
            raise TypeError(
                f"{type(self).__name__}.{name} takes a Dask collection X "
                f"alone: pass X.compute() with the rest in memory."
            )
        return _mapped(self, name, X)

    return answer


# -- what runs in tasks ----------------------------------------------------------------


class _Sent:
    """An object as tasks get it: decompositions of its moments travel with it.

    Else every worker would do them again, and might find other vectors in the space of
    equal eigenvalues than the one before it.
    """

    def __init__(self, it):
        self.it = it

    def __getstate__(self):
        parts = {k: v for k, v in vars(self.it).items() if hasattr(v, "_cache")}
        return self.it, {name: part._cache.copy() for name, part in parts.items()}

    def __setstate__(self, state):
        self.it, caches = state
        for name, cache in caches.items():
            getattr(self.it, name)._cache = cache


def _sent(it):
    import dask

    return dask.delayed(_Sent(it), traverse=False, pure=False)


def _work(owner, method, number, X, y, weights, then=None):
    """What a method makes of one partition, or None of one without rows."""
    weighed = weights is None or np.any(np.asarray(weights))
    if not len(X) or not weighed:
        return None
    with naming(f"partition {number}"), auto_is_cpu():
        found = getattr(owner.it, method)(X, y, weights)
    return found if then is None else then(found)


def _totals(found):
    values, weights = found
    weights = np.ones(len(values)) if weights is None else weights
    return {"sum": float(np.dot(weights, values)), "weight": float(weights.sum())}


def _added(parts):
    total = None
    for part in parts:
        if part is None:
            continue
        if total is not None:
            part = {name: total[name] + value for name, value in part.items()}
        total = part
    return total


def _answer(X, owner, method, empty, number=0, block_id=None):
    """What a method answers to one partition; ``empty`` is the answer to no rows."""
    if not len(X):
        return empty
    number = number if block_id is None else block_id[0]
    with naming(f"partition {number}"), auto_is_cpu():
        return np.asarray(getattr(owner.it, method)(X))


# -- lazy answers ----------------------------------------------------------------------


def _mapped(estimator, method, X):
    import dask
    import dask.array as da

    X = _checked(X)
    if method == "transform":
        _check_output(estimator)
    # Raises here and now what every partition would raise, and decides once, in this
    # process, what the answers depend on.
    example = np.asarray(getattr(estimator, method)(_probe(X)))
    estimator = _snapshot(estimator)
    empty, width = example[:0], example.shape[1:]
    owner = _sent(estimator)
    if _is_array(X):
        return X.map_blocks(
            _answer,
            owner,
            method,
            empty,
            chunks=(X.chunks[0], *((k,) for k in width)),
            drop_axis=[] if width else [1],
            dtype=example.dtype,
            meta=empty,
        )
    answer = dask.delayed(_answer, pure=False)
    parts = [
        da.from_delayed(
            answer(rows, owner, method, empty, number), (math.nan, *width), meta=empty
        )
        for number, rows in enumerate(_delayed_parts(X))
    ]
    return da.concatenate(parts, allow_unknown_chunksizes=True)


def _snapshot(estimator):
    """Copy that a later fit of the estimator leaves as it is."""
    own = getattr(estimator, "_snapshot", None)
    return copy.copy(estimator) if own is None else own()


def _check_output(estimator):
    from sklearn import get_config

    wanted = getattr(estimator, "_sklearn_output_config", {}).get("transform")
    wanted = wanted or get_config()["transform_output"]
    if wanted != "default":
        raise ValueError(
            f"transform answers a Dask collection with a Dask array, not with "
            f"{wanted!r} as set_output asks for: call "
            f"set_output(transform='default')."
        )


# -- what a collection is made of ------------------------------------------------------


def _is_array(X):
    array = sys.modules.get("dask.array")
    return array is not None and isinstance(X, array.Array)


def _is_frame(X):
    frames = sys.modules.get("dask.dataframe")
    return frames is not None and isinstance(X, frames.DataFrame)


def _checked(X):
    """X as an array whose columns lie in one chunk, or as a dataframe."""
    if _is_frame(X):
        return X
    if not _is_array(X):
        raise TypeError(
            f"X must be a Dask array or dataframe with rows and columns, got "
            f"{type(X).__name__} of Dask: X.to_dataframe(), X.to_frame() or "
            f"dask.array.from_delayed makes one."
        )
    if X.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D Dask array of shape {X.shape} instead. "
            f"Reshape your data to (n_samples, n_features)."
        )
    if math.isnan(X.shape[1]):
        raise ValueError(
            "The number of columns of X is not known: call X.compute_chunk_sizes()."
        )
    if not isinstance(X._meta, np.ndarray):
        raise TypeError(
            f"The chunks of X must be NumPy arrays, got {type(X._meta).__name__}: map "
            f"them with X.map_blocks first."
        )
    return X if X.numblocks[1] == 1 else X.rechunk({1: -1})


def _sizes(X):
    """Rows of each partition; nan where they are not known."""
    return X.chunks[0] if _is_array(X) else (math.nan,) * X.npartitions


def _width(X):
    return X.shape[1] if _is_array(X) else len(X.columns)


def _names(X):
    """Column names of a dataframe."""
    names = [] if _is_array(X) else list(X.columns)
    text = names and all(isinstance(name, str) for name in names)
    return np.asarray(names, dtype=object) if text else None


def _probe(X):
    ones = np.ones((1, _width(X)))
    if _is_array(X):
        return ones.astype(X.dtype)
    import pandas

    frame = pandas.DataFrame(ones, columns=X.columns)
    return frame.astype(dict(zip(X.columns, X.dtypes, strict=True)))


def _delayed_parts(values):
    if not _is_array(values):
        return values.to_delayed()
    if values.ndim > 1 and values.numblocks[1] > 1:
        values = values.rechunk({1: -1})
    return values.to_delayed().ravel().tolist()


def _parts_like(values, sizes, name):
    """Split labels or weights like rows of these sizes."""
    if values is None or np.ndim(values) == 0:
        return [values] * len(sizes)
    if is_dask(values):
        if not hasattr(values, "to_delayed"):
            raise TypeError(
                f"{name} must be a Dask array, series or in memory, got "
                f"{type(values).__name__}."
            )
        _check_sizes(_sizes(values), sizes, name)
        return _delayed_parts(values)
    return _split(values, sizes, name)


def _check_sizes(own, sizes, name):
    known = not np.isnan([*own, *sizes]).any()
    if len(own) != len(sizes) or (known and tuple(own) != tuple(sizes)):
        raise ValueError(
            f"{name} and X must have the same partitions: {name} has {len(own)} of "
            f"{_shown(own)} rows, X has {len(sizes)} of {_shown(sizes)}. Rechunk one "
            f"like the other: {name}.rechunk((X.chunks[0],))."
        )


def _shown(sizes):
    return ", ".join(f"{size:g}" for size in sizes[:3]) + (", …" * (len(sizes) > 3))


def _split(values, sizes, name):
    import dask

    if np.isnan(sizes).any():
        raise ValueError(
            f"{name} is in memory and cannot be split like X, whose chunk sizes are "
            f"not known: call X.compute_chunk_sizes(), or make an array of a dataframe "
            f"with X.to_dask_array(lengths=True), or pass {name} as a Dask array or "
            f"column with the partitions of X."
        )
    n, stops = len(values), np.cumsum(sizes)
    if n != stops[-1]:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has "
            f"{stops[-1]} rows, {name} has {n}."
        )
    rows = getattr(values, "iloc", values)
    bounds = zip((stops - sizes).tolist(), stops.tolist(), strict=True)
    parts = [rows[start:stop] for start, stop in bounds]
    return [dask.delayed(part, traverse=False, pure=False) for part in parts]


def _some(found):
    found = [part for part in found if part is not None]
    if not found:
        raise ValueError(
            "Found array with 0 sample(s) of positive weight in all partitions of X."
        )
    return found
