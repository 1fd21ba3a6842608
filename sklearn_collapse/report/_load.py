"""Read features from files: every problem is one line that names the file."""

import os
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split

from sklearn_collapse.heads import LinearHead
from sklearn_collapse.report._errors import ReportError
from sklearn_collapse.utils._finite import check_finite
from sklearn_collapse.utils._labels import as_label_array

# What numpy.load raises on files that are damaged or of another kind.
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    MemoryError,
    OverflowError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
_KEYS = "X and y, optionally X_test, y_test, W, b, classes, ood_NAME"
_OOD = "ood_"


@dataclass
class FeatureSet:
    """Features to report on."""

    name: str
    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    split: str
    head: LinearHead | None = None
    ood: dict = field(default_factory=dict)
    layer: str = ""


class LayerFiles(NamedTuple):
    """Where a layer is read from."""

    name: str
    features: str
    labels: str | None = None


def layer_files(files):
    """Names and files of layers.

    Parameters
    ----------
    files : list of str
        A pair of ``.npy`` files, or ``.npz`` files, each ``[NAME=]FILE``. NAME is by
        default the file's stem.

    Returns
    -------
    list of LayerFiles
    """
    if len(files) == 2 and any(file.endswith(".npy") for file in files):
        name, path = _named(files[0])
        return [LayerFiles(name, path, files[1])]
    layers: dict[str, LayerFiles] = {}
    for file in files:
        name, path = _named(file)
        if name in layers:
            raise ReportError(
                f"{file}: the name {name!r} is that of {layers[name].features} as "
                f"well. Pass NAME=FILE to name the layers."
            )
        layers[name] = LayerFiles(name, path)
    return list(layers.values())


def _named(item):
    """Split NAME=FILE; a file that is there may have such a path itself."""
    name, found, path = item.partition("=")
    if found and not os.path.exists(item) and not {"/", os.sep} & set(name):
        if not name or not path:
            raise ReportError(f"{item}: expected NAME=FILE, or FILE alone.")
        return name, path
    return Path(item).stem, item


def bundled():
    """Return the features that come with the package."""
    from sklearn_collapse.datasets import load_cifar8_features

    data = load_cifar8_features()
    names = data.target_names
    return FeatureSet(
        name="bundled: eight classes of CIFAR-10, a small residual network",
        X=data.data,
        y=names[data.target],
        X_test=data.X_test,
        y_test=names[data.y_test],
        split="test rows come with the features",
        head=LinearHead(data.coef, data.intercept, classes=names),
        ood=dict(data.ood),
        layer="bundled",
    )


def from_files(layer, ood, test_size, seed):
    """Read features, labels and out-of-distribution sets of a layer.

    Parameters
    ----------
    layer : LayerFiles
        ``.npz`` file, or ``.npy`` file together with one of labels.
    ood : list of str
        ``NAME=FILE``: sets beside those that the file holds as ``ood_NAME``.
    test_size : float
        Share of the rows that is held out if the file has no test rows.
    seed : int
        Seed of that split.

    Returns
    -------
    FeatureSet
    """
    name, features, labels = layer
    arrays = _read(features)
    if labels is not None:
        arrays = {"X": _only(arrays, features, "X"), "y": _only(_read(labels), labels)}
    missing = [key for key in ("X", "y") if key not in arrays]
    if missing:
        hint = " Pass the labels as a second .npy file." if ".npy" in features else ""
        raise ReportError(
            f"{features}: missing {' and '.join(missing)} (found "
            f"{', '.join(sorted(arrays)) or 'nothing'}; expected {_KEYS}).{hint}"
        )
    X, y = _rows(arrays["X"], features, "X"), arrays["y"]
    _check_labels(y, X, labels or features, "y")
    if ("X_test" in arrays) != ("y_test" in arrays):
        raise ReportError(f"{features}: X_test and y_test only come together.")
    if "X_test" in arrays:
        X_test, y_test = _rows(arrays["X_test"], features, "X_test"), arrays["y_test"]
        _check_labels(y_test, X_test, features, "y_test")
        _check_width(X_test, X, features, "X_test")
        unknown = sorted(set(y_test.tolist()) - set(y.tolist()), key=str)
        if unknown:
            raise ReportError(
                f"{features}: y_test has labels that y lacks: {unknown[:5]}."
            )
        split = "test rows come with the features"
    else:
        X, X_test, y, y_test = _split(X, y, features, test_size, seed)
        split = (
            f"test rows are a stratified {test_size:.0%} of the file (seed {seed}); "
            f"nothing was fitted on them"
        )
    head = _head(arrays, X, y, features)
    sets = {
        key.removeprefix(_OOD): _ood_rows(rows, X, features, key)
        for key, rows in arrays.items()
        if key.startswith(_OOD) and key != _OOD
    }
    for item in ood:
        set_name, rows = _ood_set(item, X)
        if set_name in sets:
            raise ReportError(f"--ood {item}: the name {set_name!r} is given twice.")
        sets[set_name] = rows
    return FeatureSet(features, X, y, X_test, y_test, split, head, sets, name)


def _read(path):
    """Arrays of an .npz file, or {"array": …} of an .npy file."""
    pickled = False
    try:
        with open(path, "rb") as file:
            pickled = file.read(1) == b"\x80"
            file.seek(0)
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"array": loaded}
            arrays = {key: loaded[key] for key in loaded.files}
    except FileNotFoundError:
        raise ReportError(f"{path}: no such file.") from None
    except _UNREADABLE as error:
        reason = str(error) or type(error).__name__
        if pickled or "Object arrays" in reason:
            reason = "it holds pickled objects, which are never loaded"
        elif "allow_pickle" in reason:
            reason = "it is no array file"
        raise ReportError(
            f"{path}: cannot be read as .npy or .npz: {reason}. Save plain arrays with "
            f"numpy.save or numpy.savez."
        ) from None
    other = [key for key, value in arrays.items() if not isinstance(value, np.ndarray)]
    if other:
        raise ReportError(f"{path}: {other[0]} is no array. Use numpy.savez.")
    return arrays


def _only(arrays, path, key=None):
    """Return the one array of a file that holds one."""
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    if key in arrays:
        return arrays[key]
    raise ReportError(f"{path}: holds {sorted(arrays)}, expected one array.")


def _rows(X, path, key):
    if X.ndim != 2 or X.dtype.kind not in "fiub" or 0 in X.shape:
        raise ReportError(
            f"{path}: {key} must be numbers of shape (n_samples, n_features), got "
            f"{X.dtype} of shape {X.shape}."
        )
    finite = np.isfinite(X).all(axis=1)
    if not finite.all():
        raise ReportError(
            f"{path}: {key} contains NaN or infinity, first in row "
            f"{int(np.argmin(finite))}."
        )
    return X


def _check_labels(y, X, path, key):
    if y.ndim != 1 or len(y) != len(X):
        raise ReportError(
            f"{path}: {key} must have shape ({len(X)},), one label per row of X, got "
            f"{y.shape}."
        )
    try:
        as_label_array(y, key)
    except ValueError as error:
        raise ReportError(f"{path}: {error}") from None


def _check_width(X, reference, path, key):
    if X.shape[1] != reference.shape[1]:
        raise ReportError(
            f"{path}: {key} has {X.shape[1]} features, but X has {reference.shape[1]}."
        )


def _split(X, y, path, test_size, seed):
    """Stratified split; a class with one row stays in training."""
    classes, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    alone = counts[codes] < 2
    rows = np.flatnonzero(~alone)
    try:
        train, test = train_test_split(
            rows, test_size=test_size, stratify=codes[rows], random_state=seed
        )
    except ValueError:
        raise ReportError(
            f"{path}: {len(rows)} rows in {len(classes)} classes cannot be split into "
            f"training and test rows. Save X_test and y_test in the file."
        ) from None
    train = np.sort(np.concatenate([train, np.flatnonzero(alone)]))
    test = np.sort(test)
    return X[train], X[test], y[train], y[test]


def _head(arrays, X, y, path):
    if "W" not in arrays:
        if "b" in arrays:
            raise ReportError(f"{path}: b without W; the head needs both, or W alone.")
        return None
    weights = arrays["W"]
    classes = np.unique(y)
    n_rows = weights.shape[0] if weights.ndim else 0
    if "classes" in arrays:
        classes = arrays["classes"]
    elif classes.dtype.kind in "iu" and n_rows > classes[-1] >= 0 <= classes[0]:
        classes = np.arange(n_rows)
    try:
        return LinearHead(weights, arrays.get("b"), classes=classes).fit(X, y)
    except (ValueError, TypeError) as error:
        raise ReportError(f"{path}: W and b do not fit X and y: {error}") from None


def _ood_set(item, X):
    name, found, path = item.partition("=")
    if not found or not name or not path:
        raise ReportError(f"--ood {item}: expected NAME=FILE.")
    return name, _ood_rows(_only(_read(path), path, "X"), X, path, "X")


def _ood_rows(rows, X, path, key):
    rows = _rows(rows, path, key)
    _check_width(rows, X, path, key)
    try:
        wide = rows.dtype.itemsize > 4
        check_finite(rows, squares_in="float64" if wide else "float32")
    except ValueError as error:
        raise ReportError(f"{path}: {error}") from None
    return rows
