"""Features, labels and head of a model, in memory."""

from typing import Any, NamedTuple

import numpy as np

from sklearn_collapse.extraction._capture import INPUT, find_layer, named_layers
from sklearn_collapse.extraction._inference import unwrapped
from sklearn_collapse.extraction._stream import feature_blocks, in_batch, n_batches
from sklearn_collapse.heads import LinearHead
from sklearn_collapse.utils._arrays import is_foreign, to_numpy
from sklearn_collapse.utils._finite import check_finite


class ExtractedFeatures(NamedTuple):
    """What `extract` returns.

    Parameters
    ----------
    features : ndarray of shape (n, d)
        One row per sample, float32, or float64 of a model in float64.
    labels : ndarray of shape (n, ...) or None
        As the loader gave them; None if it gave none.
    head : LinearHead or None
        Copy of the linear layer that was named.

    See Also
    --------
    extract : Makes it.

    Examples
    --------
    >>> import torch
    >>> from sklearn_collapse.extraction import extract
    >>> model = torch.nn.Linear(4, 2)
    >>> features, labels, head = extract(model, [torch.ones(5, 4)])
    >>> features.shape, labels is None, head is None
    ((5, 2), True, True)
    """

    features: np.ndarray
    labels: Any
    head: Any

    def save(self, path, *, test=None, ood=None):
        """Save the file that ``sklearn-collapse report`` reads.

        Parameters
        ----------
        path : str or path-like
            ``.npz`` file to write: ``X``, ``y``, and with a head ``W``, ``b`` and
            ``classes``. The suffix is added if it is missing.
        test : ExtractedFeatures, default=None
            Rows that are held out, saved as ``X_test`` and ``y_test``.
        ood : dict of str to ExtractedFeatures or array of shape (m, d), default=None
            Out-of-distribution sets, saved as ``ood_NAME``.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from sklearn_collapse.extraction import ExtractedFeatures
        >>> X, y = np.eye(4), np.arange(4) % 2
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "last.npz"
        ...     ExtractedFeatures(X, y, None).save(path, ood={"zero": 0 * X})
        ...     sorted(np.load(path).files)
        ['X', 'ood_zero', 'y']
        """
        arrays = {"X": self.features, "y": _saved_labels(self)}
        if self.head is not None:
            head = self.head
            arrays |= {"W": head.coef_, "b": head.intercept_, "classes": head.classes_}
        if test is not None:
            arrays |= {"X_test": test.features, "y_test": _saved_labels(test)}
        for name, rows in ({} if ood is None else ood).items():
            found = rows.features if isinstance(rows, ExtractedFeatures) else rows
            arrays[f"ood_{name}"] = to_numpy(found)
        np.savez(path, **arrays)


def _saved_labels(extracted):
    labels = extracted.labels
    if labels is None:
        raise ValueError(
            "There are no labels to save: use a loader that gives them, or "
            "_replace(labels=...)."
        )
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype == object:
        raise ValueError(
            f"labels must be numbers or strings of shape (n,), got {labels.dtype} of "
            f"shape {labels.shape}. Replace them with _replace(labels=...)."
        )
    return labels


def extract(
    model,
    loader,
    layer=None,
    head=None,
    *,
    pooling="auto",
    autocast=None,
    device="auto",
    progress=False,
    max_samples=None,
):
    """Run a model over a loader and keep features, labels and head.

    Parameters
    ----------
    model : torch.nn.Module
        It is run where it is, in evaluation mode and without gradients, and left as
        it was.
    loader : iterable
        Batches: pairs (inputs, labels), inputs alone, or mappings of the model's
        arguments with labels under "labels", "label" or "y", which the model does not
        get. Inputs of a pair are a tensor or array, several in a tuple, or a mapping;
        an "attention_mask" among them governs the pooling of tokens.
    layer : str, default=None
        Name as for `FeatureExtractor`. By default the input of the head, or without
        head the output of the model.
    head : str or torch.nn.Module, default=None
        The last linear layer, or its name, to be returned as a `LinearHead`.
    pooling : {"auto", "mean", "max", "flatten", "first", "last"} or callable, \
            default="auto"
        As for `FeatureExtractor`.
    autocast : torch.dtype or bool, default=None
        As for `FeatureExtractor`.
    device : {"auto"}, str or torch.device, default="auto"
        As for `FeatureExtractor`.
    progress : bool, default=False
        Whether to show a progress bar (with tqdm).
    max_samples : int, default=None
        Stop after so many samples, the first that the loader gives.

    Returns
    -------
    ExtractedFeatures
        Named tuple of ``features``, ``labels`` and ``head``. The head has labels
        0, 1, …; ``head.set_params(classes=...)`` names others.

    See Also
    --------
    stream_moments : Class moments of several layers without storing features.
    FeatureExtractor : The same as a transformer.

    Notes
    -----
    A pair is always inputs and labels. Dtypes are as for `FeatureExtractor`: floats
    follow the model, and a single input of integers becomes floats unless the model
    begins with an embedding.

    Nothing here draws random numbers, but a DataLoader draws a seed from torch's
    global generator each time it is read: give it a ``generator`` of its own where
    training must go on as without extraction.

    Examples
    --------
    >>> import torch
    >>> from sklearn_collapse.collapse import NeuralCollapseScorer
    >>> from sklearn_collapse.extraction import extract
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
    ... )
    >>> data = torch.utils.data.TensorDataset(torch.randn(90, 4), torch.arange(90) % 3)
    >>> loader = torch.utils.data.DataLoader(data, batch_size=40)
    >>> X, y, head = extract(model, loader, head="2")
    >>> X.shape, y.shape, head.coef_.shape
    ((90, 8), (90,), (3, 8))
    >>> scorer = NeuralCollapseScorer(head=head).fit(X, y)
    >>> 0 < scorer.metrics_["nc4_agreement"] < 1
    True
    """
    is_count = isinstance(max_samples, (int, np.integer)) and max_samples >= 1
    if max_samples is not None and not is_count:
        raise ValueError(
            f"max_samples must be None or a positive integer, got {max_samples!r}."
        )
    if head is not None:
        name, head = _find_head(model, head)
        layer = f"{name}{INPUT}" if layer is None else layer
    layer = "" if layer is None else layer
    blocks = feature_blocks(
        model,
        loader,
        [layer],
        pooling=pooling,
        autocast=autocast,
        device=device,
        progress=progress,
    )
    kept = _Growing(n_batches(loader), max_samples)
    labels: list = []
    for number, rows, found in blocks:
        with in_batch(number):
            block, found = to_numpy(rows[layer]), _as_labels(found, rows[layer])
            check_finite(block, name="features")
            if number and (found is None) != (not labels):
                raise ValueError(
                    "Batches with and without labels cannot be mixed: give every "
                    "batch labels, or none."
                )
            taken = kept.add(block)
        if found is not None:
            labels.append(found[:taken])
        if kept.full:
            break
    joined = np.concatenate(labels) if labels else None
    return ExtractedFeatures(kept.rows(), joined, head)


def _find_head(model, head):
    """Name of the linear layer, and a copy of it."""
    known = named_layers(model)
    if isinstance(head, str):
        name = find_layer(head, known)
    else:
        wanted = unwrapped(head)
        names = [name for name, module in known.items() if module is wanted]
        if not names:
            raise ValueError(
                "head is not a module of the model: pass one, or its name."
            )
        name = names[0]
    layer = known[name]
    weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
    if getattr(weight, "ndim", 0) != 2:
        raise ValueError(
            f"head {name!r} is a {type(layer).__name__}, not a linear layer: it needs "
            f"a weight of shape (n_classes, n_features)."
        )
    # The layer may go on being trained.
    coef, intercept = (
        None if w is None else to_numpy(w).copy() for w in (weight, bias)
    )
    return name, LinearHead(coef, intercept)


def _as_labels(labels, rows):
    if labels is None:
        return None
    labels = to_numpy(labels) if is_foreign(labels) else np.asarray(labels)
    if labels.ndim == 0 or len(labels) != len(rows):
        raise ValueError(
            f"labels have shape {labels.shape}, but there are {len(rows)} samples."
        )
    return labels


class _Growing:
    """Rows of batches in one array, reserved at once if the length is known.

    Parameters
    ----------
    n_batches, max_rows : int or None
    """

    def __init__(self, n_batches, max_rows):
        self._n_batches = n_batches
        self._max = max_rows
        self._array: Any = None
        self._n = 0

    def add(self, block):
        """Append rows; returns how many were wanted."""
        if self._max is not None:
            block = block[: self._max - self._n]
        if self._array is None:
            self._array = np.empty(
                (self._reserve(len(block)), block.shape[1]), block.dtype
            )
        if block.shape[1] != self._array.shape[1]:
            raise ValueError(
                f"features have {block.shape[1]} columns, but {self._array.shape[1]} "
                f"in the batches before. Pool over what varies."
            )
        stop = self._n + len(block)
        if stop > len(self._array):
            self._resize(max(stop, 2 * len(self._array)))
        self._array[self._n : stop] = block
        self._n = stop
        return len(block)

    @property
    def full(self):
        """Whether as many rows are there as are wanted."""
        return self._n == self._max

    def rows(self):
        """Return the rows."""
        self._resize(self._n)
        return self._array

    def _reserve(self, n_first):
        """Rows of all batches, of which the first is among the largest."""
        n = n_first * (self._n_batches or 1)
        return n if self._max is None else min(n, self._max)

    def _resize(self, n):
        # In place: nothing else refers to the array.
        if n != len(self._array):
            self._array.resize((n, self._array.shape[1]), refcheck=False)
