"""Class moments as plain arrays under fixed names, and back."""

import numpy as np

from sklearn_collapse._linalg._moments import Moments
from sklearn_collapse.utils._arrays import place_of, to_numpy

_FORMAT_VERSION = 1


def state_of(moments):
    """Plain arrays of a `ClassMoments`; `restored` reads them back."""
    gathered = moments._gathered()
    state = {
        "version": _FORMAT_VERSION,
        "precision": moments.precision,
        "normalize": moments.normalize,
        "labelled": moments._labelled,
        "input_dtype": moments._input[0],
        "input_eps": moments._input[1],
        "classes": moments._labels,
        "counts": gathered.counts,
        "means": gathered.means,
        "scatter": gathered.scatter,
        "traces": gathered.traces,
    }
    if moments.class_scatter:
        state["class_scatter"] = gathered.class_scatter
    if moments._names is not None:
        state["feature_names"] = moments._names.astype(str)
    return {name: np.array(to_numpy(value)) for name, value in state.items()}


def restored(cls, state):
    """`ClassMoments`, or a subclass, from plain arrays."""
    version = int(state["version"])
    if version != _FORMAT_VERSION:
        raise ValueError(
            f"The moments have format version {version}; this version of "
            f"sklearn_collapse reads version {_FORMAT_VERSION}."
        )
    # An open .npz file is a mapping without defaults in older NumPy.
    per_class = state["class_scatter"] if "class_scatter" in state else None  # noqa: SIM401
    moments = cls(
        state["means"].shape[1],
        precision=str(state["precision"]),
        normalize=bool(state["normalize"]),
        class_scatter=per_class is not None,
    )
    names = ("counts", "means", "scatter", "traces")
    arrays = {name: np.array(state[name], dtype=float) for name in names}
    per_class = None if per_class is None else np.array(per_class, dtype=float)
    moments._moments = Moments(**arrays, class_scatter=per_class)
    moments._labels = np.array(state["classes"])
    moments._labelled = bool(state["labelled"])
    moments._input = (str(state["input_dtype"]), float(state["input_eps"]))
    moments._device_used = place_of(moments._moments.means)
    if "feature_names" in state:
        moments._names = np.asarray(state["feature_names"], dtype=object)
    return moments
