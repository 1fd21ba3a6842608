"""History of a tracker as plain values, in a file or in a checkpoint."""

import json
import math
import os
import tempfile
from pathlib import Path

_FORMAT = "sklearn_collapse.CollapseTracker"
_VERSION = 1
SETTINGS = ("layers", "head", "metrics", "pooling")
_NON_FINITE = ("nan", "inf", "-inf")


def state_of(settings, history, extra, following):
    """Plain lists, dictionaries, texts and numbers; `restored` reads them back."""
    epochs = [
        {
            "epoch": epoch,
            "layers": {layer: _written(row) for layer, row in layers.items()},
            "extra": _written(extra[epoch]),
        }
        for epoch, layers in history.items()
    ]
    head = {"format": _FORMAT, "version": _VERSION}
    return {**head, **settings, "next_epoch": following, "epochs": epochs}


def restored(state):
    """Settings, history, extra numbers and the next epoch."""
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise ValueError("This is no saved CollapseTracker: it lacks the mark of one.")
    version = state.get("version")
    if version != _VERSION:
        raise ValueError(
            f"The history has format version {version}; this version of "
            f"sklearn_collapse reads version {_VERSION}."
        )
    try:
        settings = {name: state[name] for name in SETTINGS}
        history, extra = {}, {}
        for entry in state["epochs"]:
            epoch = entry["epoch"]
            history[epoch] = {k: _read(row) for k, row in entry["layers"].items()}
            extra[epoch] = _read(entry["extra"])
        numbers = [*history, state["next_epoch"]]
        if not all(type(number) is int for number in numbers):
            raise TypeError("epochs must be whole numbers")
        return settings, history, extra, state["next_epoch"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"The saved CollapseTracker is damaged ({type(error).__name__}: {error})."
        ) from error


def write(path, state):
    """Write JSON beside the file, then put it in its place in one step."""
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(state, file, allow_nan=False, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that nobody else may read.
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def read(path):
    """Read what `write` wrote."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:  # not JSON, or not even text
        raise ValueError(
            f"{os.fspath(path)!r} is not JSON, or was cut off: {error}."
        ) from error


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _written(row):
    """Numbers, those that JSON lacks as texts."""
    return {k: v if math.isfinite(v) else str(v) for k, v in row.items()}


def _read(row):
    for name, value in row.items():
        known = value in _NON_FINITE if isinstance(value, str) else True
        if not known or isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}, not a number")
    return {name: float(value) for name, value in row.items()}
