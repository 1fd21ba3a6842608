"""What a loader yields: inputs of the model, labels, and a mask of tokens."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

_LABELS = ("labels", "label", "y")


class Batch(NamedTuple):
    """One batch, ready for the model."""

    inputs: Any
    labels: Any
    mask: Any

    def run(self, model):
        """Call the model."""
        if isinstance(self.inputs, Mapping):
            return model(**self.inputs)
        return model(self.inputs)


def read_batch(batch, device):
    """Split a batch into inputs and labels, inputs on the device.

    A pair is (inputs, labels), a mapping holds labels under "labels", "label" or "y"
    and the arguments of the model beside them; anything else is inputs alone.
    """
    labels = None
    if isinstance(batch, (tuple, list)):
        if len(batch) not in (1, 2):
            raise ValueError(
                f"A batch must be inputs or (inputs, labels), got {len(batch)} parts."
            )
        batch, labels = (*batch, None)[:2]
    if isinstance(batch, Mapping):
        inputs = {k: _sent(v, device) for k, v in batch.items() if k not in _LABELS}
        found = [batch[name] for name in _LABELS if name in batch]
        labels = labels if labels is not None or not found else found[0]
        return Batch(inputs, labels, inputs.get("attention_mask"))
    return Batch(_sent(batch, device), labels, None)


def _sent(value, device):
    if isinstance(value, torch.Tensor):
        return value.to(device, non_blocking=True)
    return value
