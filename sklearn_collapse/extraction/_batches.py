"""What a loader yields: inputs of the model, labels, and a mask of tokens."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from sklearn_collapse.extraction._inference import tensors_of, unwrapped

_LABELS = ("labels", "label", "y")


class Batch(NamedTuple):
    """One batch, ready for the model."""

    args: tuple
    kwargs: dict
    labels: Any
    device: torch.device

    def run(self, model):
        """Call the model."""
        return model(*self.args, **self.kwargs)

    @property
    def n_rows(self):
        """Number of samples, if the inputs are tensors."""
        for value in (*self.args, *self.kwargs.values()):
            if isinstance(value, torch.Tensor) and value.ndim:
                return len(value)
        return None

    @property
    def mask(self):
        """Which tokens count, (n, tokens), or None."""
        mask = self.kwargs.get("attention_mask")
        is_mask = isinstance(mask, torch.Tensor) and mask.ndim == 2
        return mask if is_mask else None


class Inputs:
    """Bring batches to the device and dtype of a model.

    Floats become the dtype of the model's first floating-point parameter. A single
    input of integers becomes floats as well (float64 without parameters) unless the
    model begins with an embedding; in mappings and among several inputs they stay.

    Parameters
    ----------
    model : torch.nn.Module
    device : {"auto"}, str or torch.device
    """

    def __init__(self, model, device="auto"):
        model = unwrapped(model)
        self.device = _device(model, device)
        floats = (t.dtype for t in tensors_of(model) if t.is_floating_point())
        self.dtype = next(floats, None)
        first = next(model.parameters(), None)
        self.embeds = first is not None and any(
            isinstance(module, (nn.Embedding, nn.EmbeddingBag))
            and module.weight is first
            for module in model.modules()
        )

    def read(self, batch):
        """Split a batch into inputs and labels.

        A pair is (inputs, labels). Inputs are one tensor, several in a tuple or list,
        or a mapping of arguments, which may hold the labels under "labels", "label"
        or "y".
        """
        labels = None
        if isinstance(batch, (tuple, list)):
            if len(batch) not in (1, 2):
                raise ValueError(
                    f"A batch must be inputs or a pair (inputs, labels), got "
                    f"{len(batch)} parts. Put several inputs into a tuple of their "
                    f"own: ((a, b), labels)."
                )
            batch, labels = (*batch, None)[:2]
        if isinstance(batch, Mapping):
            found = [batch[name] for name in _LABELS if name in batch]
            labels = found[0] if labels is None and found else labels
            kept = {k: v for k, v in batch.items() if k not in _LABELS}
            return self._batch((), kept, labels)
        several = isinstance(batch, (tuple, list))
        return self._batch(batch if several else (batch,), {}, labels)

    def read_alone(self, inputs):
        """Take inputs, an array or a dict of arguments, that have no labels beside."""
        if isinstance(inputs, dict):
            return self._batch((), inputs, None)
        return self._batch((inputs,), {}, None)

    def _batch(self, args, kwargs, labels):
        alone = len(args) == 1 and not kwargs
        keep = not alone or self.embeds
        args = tuple(self._sent(value, keep) for value in args)
        kwargs = {name: self._sent(value, True) for name, value in kwargs.items()}
        where = self.device
        if where is None:
            tensors = (*args, *kwargs.values())
            devices = (v.device for v in tensors if isinstance(v, torch.Tensor))
            where = next(devices, torch.device("cpu"))
        return Batch(args, kwargs, labels, where)

    def _sent(self, value, keep_integers):
        if isinstance(value, np.ndarray):
            value = tensor_from_numpy(value)
        if not isinstance(value, torch.Tensor):
            return value if self.device is None else _moved(value, self.device)
        dtype = value.dtype
        if value.is_floating_point():
            dtype = self.dtype or dtype
        elif not (keep_integers or value.is_complex()):
            dtype = self.dtype or torch.float64
        return value.to(self.device, dtype, non_blocking=True)


def tensor_from_numpy(values):
    """Tensor of a NumPy array, whose memory it shares if torch can."""
    if values.dtype.kind == "f" and values.dtype.itemsize > 8:
        values = values.astype(np.float64)
    # torch warns about read-only memory and refuses arrays that run backwards or are
    # stored in the other byte order.
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    if not values.flags.writeable or min(values.strides, default=0) < 0:
        values = values.copy()
    return torch.from_numpy(values)


def _moved(value, device):
    """Other inputs know how to move (graphs, packed sequences) or stay."""
    return value.to(device) if hasattr(value, "to") else value


def _device(model, device):
    """Device of the model's first parameter, which a given name must agree with.

    None, without parameters and name: inputs stay where they are.
    """
    first = next(tensors_of(model), None)
    found = None if first is None else first.device
    if device == "auto":
        return found
    try:
        wanted = torch.device(device)
        torch.empty(0, device=wanted)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={device!r} cannot be used: {reason}") from error
    if found is None:
        return wanted
    if wanted.type != found.type or wanted.index not in (None, found.index):
        raise ValueError(
            f"device={str(device)!r}, but the model is on {str(found)!r}. Call "
            f"model.to({str(device)!r}) before, or pass device='auto' to run it where "
            f"it is: extraction does not move models."
        )
    return found
