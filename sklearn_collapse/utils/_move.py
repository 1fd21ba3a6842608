"""Fitted estimators on another array library or device."""

import copy
import re
import types
import typing

import numpy as np

from sklearn_collapse.utils._arrays import (
    as_like,
    check_device,
    detach,
    is_foreign,
    to_numpy,
)
from sklearn_collapse.utils._gpu import check_float64, gpu_for

# Names under which labels of classes and columns are kept: they stay NumPy arrays.
_LABELS = re.compile("classes_?$|label|names")
_NO_STATE = (
    *(str, bytes, int, float, complex, type(None), type, np.generic),
    *(types.ModuleType, types.FunctionType, types.MethodType),
    *(types.BuiltinFunctionType, np.random.Generator, np.random.RandomState),
)


def move_estimator(estimator, to):
    """Copy a fitted estimator to another array library or device.

    An estimator that was fitted on CUDA tensors takes CUDA tensors and can only be
    unpickled where there is a GPU. Its copy on NumPy has neither limit.

    Parameters
    ----------
    estimator : estimator object or ClassMoments
        Fitted. It may contain others, as a Pipeline does, and be one of scikit-learn.
        It is left as it is.
    to : {"numpy", "cpu", "cuda", "cuda:0", …} or array
        "numpy": NumPy arrays. "cpu": torch tensors go to main memory, arrays of
        other libraries become NumPy's. "cuda", or "cuda:1" for one of several: torch
        tensors on that device. An array stands for its library and device.

    Returns
    -------
    object
        The copy. It takes rows of its new library and gives the same results, to
        rounding.

    See Also
    --------
    sklearn_collapse.ClassMoments.to_dict : Moments as plain NumPy arrays.

    Notes
    -----
    Every array that does not belong to NumPy moves. Of NumPy arrays those of floating
    point that an estimator of this package has fitted move; labels and names of
    columns, integers, parameters of the constructor and what estimators of
    scikit-learn have fitted stay, since code on any library reads them there.

    What was derived from the moments is not copied, as in a pickle: it is computed
    again when it is needed. ``device_`` still tells where the fit was done. A
    parameter ``device`` that names another device than the new one becomes "auto".

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.ood import MahalanobisDetector
    >>> from sklearn_collapse.utils import move_estimator
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> detector = MahalanobisDetector().fit(X)
    >>> copy = move_estimator(detector, "numpy")
    >>> bool(np.all(copy.score_samples(X) == detector.score_samples(X)))
    True
    """
    # Here, since the pure maths imports this package without scikit-learn.
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    move = _mover(to)
    if hasattr(estimator, "fit") or isinstance(estimator, type):
        check_is_fitted(estimator)
    found = _Arrays()
    found.visit(estimator)
    if not (found.arrays or hasattr(estimator, "fit")):
        raise NotFittedError(
            f"This {type(estimator).__name__} holds no arrays yet: there is nothing to "
            f"move."
        )
    # A deep copy in which the arrays that move are replaced.
    memo = {key: move(array) for key, array in found.arrays.items()}
    twin = copy.deepcopy(estimator, memo)
    for owner in found.with_device:
        part = memo.get(id(owner))
        if part is not None and not _may_keep(part.device, move):
            part.device = "auto"
    return twin


def _mover(to):
    """Return a function that copies an array to where ``to`` says."""
    if is_foreign(to) or isinstance(to, np.ndarray):
        like = detach(to)
        check_float64(like)
    elif not isinstance(to, str):
        raise TypeError(
            f"to must be 'numpy', 'cpu', 'cuda', 'cuda:0' or an array, got "
            f"{type(to).__name__}."
        )
    elif to in ("numpy", "cpu"):
        like = np.empty(0)
    elif re.fullmatch(r"cuda(:\d+)?", to):
        like = gpu_for(to, 0.0)
    else:
        raise ValueError(
            f"to must be 'numpy', 'cpu', 'cuda', 'cuda:0' or an array, got {to!r}. For "
            f"another device pass an array that lives there."
        )
    return _Mover(like, keep_torch=isinstance(to, str) and to == "cpu")


class _Mover:
    """Copies arrays to the library and device of another."""

    def __init__(self, like, keep_torch):
        self.like, self._keep_torch = like, keep_torch

    def __call__(self, array):
        if self._keep_torch and hasattr(array, "cpu"):
            return detach(array).clone().cpu()
        # bfloat16 has no NumPy dtype: it arrives as float32.
        return as_like(np.array(to_numpy(array)), self.like)


def _may_keep(device, move):
    """Whether a parameter ``device`` suits arrays that live in a new place."""
    if not isinstance(device, str):
        return True
    if not is_foreign(move.like):
        return device in ("auto", "cpu")
    try:
        check_device(move.like, device)
    except ValueError:
        return False
    return True


class _Arrays:
    """The arrays of an estimator that move, found by walking through its state."""

    def __init__(self):
        self.arrays: dict = {}  # by id
        self.with_device: list = []  # objects with a parameter `device`
        self._seen: dict = {}  # keeps what was seen alive, and its id its own

    def visit(self, item, *, fitted=False):
        """Collect arrays.

        ``fitted`` says that NumPy arrays were fitted by this package.
        """
        if isinstance(item, _NO_STATE):
            return
        if is_foreign(item) or isinstance(item, np.ndarray):
            if is_foreign(item) or (fitted and item.dtype.kind == "f"):
                self.arrays[id(item)] = item
            return
        if (id(item), fitted) in self._seen:
            return
        self._seen[id(item), fitted] = item
        if isinstance(item, dict):
            self._visit_named(item.items(), fitted)
        elif isinstance(item, tuple) and hasattr(item, "_fields"):
            self._visit_named(_fields_that_may_move(item), fitted)
        elif isinstance(item, (list, tuple, set, frozenset)):
            for part in item:
                self.visit(part, fitted=fitted)
        else:
            self._visit_object(item, fitted)

    def _visit_named(self, items, fitted):
        for name, part in items:
            labels = isinstance(name, str) and _LABELS.search(name)
            self.visit(part, fitted=fitted and not labels)

    def _visit_object(self, item, fitted):
        ours = any(
            c.__module__.partition(".")[0] == "sklearn_collapse"
            for c in type(item).__mro__
        )
        state = _state(item)
        if ours and "device" in state:
            self.with_device.append(item)
        if hasattr(item, "get_params"):
            parameters = item.get_params(deep=False)
            self._visit_named(parameters.items(), False)
            state = {k: v for k, v in state.items() if k not in parameters}
            fitted, ours = False, ours and _of_any_library(item)
        self._visit_named(state.items(), fitted or ours)


def _of_any_library(estimator):
    """Whether an estimator says that it works on arrays of other libraries."""
    tags = getattr(estimator, "__sklearn_tags__", None)
    return tags is None or tags().array_api_support


def _fields_that_may_move(item):
    """Names and values of a named tuple but for those declared as NumPy arrays."""
    hints = typing.get_type_hints(type(item))
    for name, value in zip(item._fields, item, strict=True):
        on_host = np.ndarray in (hints.get(name), *typing.get_args(hints.get(name)))
        if is_foreign(value) or not on_host:
            yield name, value


def _state(item):
    """What a copy of an object is made of, by name."""
    try:
        state = item.__getstate__()
    except Exception:  # it cannot be copied, or tells so in its own way
        return {}
    slots: dict = {}
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
        state, slots = state
    return {**(state if isinstance(state, dict) else {}), **slots}
