"""Class moments as plain arrays under fixed names, and back."""

import numpy as np

from sklearn_collapse._linalg._moments import Moments
from sklearn_collapse.utils._arrays import place_of, to_numpy

_FORMAT_VERSION = 1
# Arrays of the moments: C classes, d features.
_DIMENSIONS = {
    **{"counts": "C", "means": "Cd", "scatter": "dd", "traces": "C"},
    "class_scatter": "Cdd",
}
# What every state holds.
_KEYS = (
    *("version", "precision", "normalize", "labelled", "input_dtype", "input_eps"),
    *("classes", "counts", "means", "scatter", "traces"),
)


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
    _check_version(state)
    missing = [name for name in _KEYS if name not in state]
    if missing:
        _refuse(f"it lacks {missing}")
    arrays = {name: _numbers(state, name) for name in _DIMENSIONS if name in state}
    labels = np.array(state["classes"])
    _check_arrays(labels, arrays)
    moments = cls(
        arrays["means"].shape[1],
        precision=str(state["precision"]),
        normalize=bool(state["normalize"]),
        class_scatter="class_scatter" in arrays,
    )
    moments._moments = Moments(**{"class_scatter": None, **arrays})
    moments._labels = labels
    moments._labelled = bool(state["labelled"])
    moments._input = (str(state["input_dtype"]), float(state["input_eps"]))
    moments._device_used = place_of(moments._moments.means)
    if "feature_names" in state:
        names = np.asarray(state["feature_names"], dtype=object)
        if names.shape != (moments.n_features,):
            _refuse(f"{names.size} feature_names for {moments.n_features} features")
        moments._names = names
    return moments


def _check_version(state):
    version = int(state["version"]) if "version" in state else 0
    if version > _FORMAT_VERSION:
        raise ValueError(
            f"The moments have format version {version}, which a newer version of "
            f"sklearn_collapse wrote; this one reads version {_FORMAT_VERSION}. Update "
            f"sklearn_collapse."
        )
    if version != _FORMAT_VERSION:
        _refuse(f"it has no version, or one below {_FORMAT_VERSION}")


def _numbers(state, name):
    try:
        return np.array(state[name], dtype=float)
    except (TypeError, ValueError):
        _refuse(f"{name} does not hold numbers")


def _check_arrays(labels, arrays):
    """Raise unless all arrays agree on the number of classes and features."""
    means = arrays["means"]
    if labels.ndim != 1 or means.ndim != 2 or not means.size:
        _refuse(f"classes has shape {labels.shape}, means has shape {means.shape}")
    sizes = {"C": len(labels), "d": means.shape[1]}
    for name, values in arrays.items():
        expected = tuple(sizes[letter] for letter in _DIMENSIONS[name])
        if values.shape != expected:
            _refuse(
                f"{name} has shape {values.shape}, but {sizes['C']} classes and "
                f"{sizes['d']} features need {expected}"
            )
        if not np.isfinite(values).all():
            _refuse(f"{name} holds NaN or infinity")
    if not (arrays["counts"] > 0).all():
        _refuse("counts are not all positive")


def _refuse(what):
    raise ValueError(
        f"This is no state of a ClassMoments: {what}. Pass what to_dict returned, "
        f"unchanged."
    )
