"""Read reports that were written as JSON."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from sklearn_collapse.report._document import FORMAT, VERSION
from sklearn_collapse.report._errors import ReportError
from sklearn_collapse.report._paths import as_number, numbers_of


@dataclass
class Entry:
    """One layer of a report."""

    file: str
    layer: str
    facts: dict  # "data" of the layer
    class_weight: str | None
    train: dict  # collapse metrics
    intervals: dict | None
    numbers: dict = field(repr=False)


def read_entries(arguments):
    """Read the layers of reports.

    Parameters
    ----------
    arguments : list of str
        ``FILE`` for all layers, ``FILE#LAYER`` for one.

    Returns
    -------
    list of Entry
    """
    entries = []
    for argument in arguments:
        path, wanted = argument, None
        if "#" in argument and not os.path.exists(argument):
            path, wanted = argument.rsplit("#", 1)
        layers = _layers(path)
        try:
            found = [as_entry(path, layer) for layer in layers]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ReportError(
                f"{path}: is not a whole report: {type(error).__name__} {error}."
            ) from None
        if wanted is not None:
            names = [entry.layer for entry in found]
            found = [entry for entry in found if entry.layer == wanted]
            if not found:
                raise ReportError(
                    f"{path}: there is no layer {wanted!r}; its layers are {names}."
                )
        entries += found
    return entries


def _layers(path):
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ReportError(f"{path}: no such file.") from None
    except OSError as error:
        raise ReportError(f"{path}: cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise ReportError(f"{path}: is no report: it is not JSON.{_HINT}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ReportError(f"{path}: is no report: its format is not {FORMAT}.{_HINT}")
    version = document.get("version")
    if not isinstance(version, int) or version < 1:
        raise ReportError(f"{path}: is no report: its version is {version!r}.")
    if version > VERSION:
        raise ReportError(
            f"{path}: is a report of version {version}, and this release reads "
            f"version {VERSION}: update sklearn-collapse."
        )
    layers = document.get("layers")
    if not isinstance(layers, list) or not layers:
        raise ReportError(f"{path}: is not a whole report: it has no layers.")
    return layers


_HINT = " `sklearn-collapse report FILE --json OUT` writes one."


def as_entry(path, layer):
    """Read a layer, an entry of "layers"."""
    intervals = layer["intervals"]
    if intervals is not None:
        n_resamples = intervals["n_resamples"]
        intervals = intervals | {
            "confidence_level": _number(intervals["confidence_level"]),
            "fingerprint": str(intervals["fingerprint"]),
            "metrics": {
                name: found and _as_numbers(found, n_resamples)
                for name, found in intervals["metrics"].items()
            },
        }
    return Entry(
        path,
        str(layer["name"]),
        {k: layer["data"][k] for k in ("n_train", "n_test", "n_features", "n_classes")},
        layer["collapse"]["class_weight"],
        {k: _number(v) for k, v in layer["collapse"]["train"].items()},
        intervals,
        numbers_of(layer),
    )


def _as_numbers(found, n_resamples):
    if len(found["values"]) != n_resamples:
        raise ValueError(f"of {len(found['values'])} instead of {n_resamples} values")
    ends = {k: _number(found[k]) for k in ("low", "high", "standard_error")}
    return ends | {"values": [_number(v) for v in found["values"]]}


def _number(value):
    number = as_number(value)
    if number is None:
        raise TypeError(f"for {value!r}, which should be a number")
    return number
