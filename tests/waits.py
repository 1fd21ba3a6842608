"""Count what makes the host wait for a GPU, on tensors in main memory."""

from collections import Counter

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# Operations whose result, or whose shape, the host must know.
_WAIT = {
    *("_local_scalar_dense", "nonzero", "masked_select", "unique_dim", "_unique2"),
    *("unique_consecutive", "bincount", "equal", "repeat_interleave"),
}
_COPY = {"cpu", "numpy", "tolist", "__array__"}


class _Functions(TorchFunctionMode):
    """Copies to the host, and values of the host that become tensors."""

    def __init__(self, counts):
        super().__init__()
        self.counts = counts

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        if name in _COPY and isinstance(args[0], torch.Tensor):
            self.counts[name] += 1
        # A copy to the device that waits unless it says otherwise.
        if name in ("asarray", "as_tensor", "tensor") and not isinstance(
            args[0], torch.Tensor
        ):
            self.counts["asarray"] += 1
        return function(*args, **(kwargs or {}))


class _Operations(TorchDispatchMode):
    """Operations whose result the host must know."""

    def __init__(self, counts):
        super().__init__()
        self.counts = counts

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation.__name__.partition(".")[0]
        if name in _WAIT or self._reads_a_mask(name, args):
            self.counts[name] += 1
        return operation(*args, **(kwargs or {}))

    @staticmethod
    def _reads_a_mask(name, args):
        """Whether an index is a mask; one value under a mask is no wait."""
        if name not in ("index", "index_put_", "index_put"):
            return False
        masks = [i for i in args[1] if i is not None and i.dtype == torch.bool]
        return bool(masks) and (name == "index" or args[2].numel() > 1)


def count_waits(function):
    """Return how often a call would make the host wait, by kind."""
    counts = Counter()
    with _Functions(counts), _Operations(counts):
        function()
    return counts
