"""Run a torch model over batches and catch what its layers put out."""

from collections.abc import Mapping
from contextlib import ExitStack, contextmanager

import torch

INPUT = ":input"


class Layers:
    """Named layers of a model, whose outputs (or inputs) are caught by forward hooks.

    Parameters
    ----------
    model : torch.nn.Module
    names : sequence of str
        Names as in ``model.named_modules()``: the output of that module, or with
        ":input" appended its first input. An empty name is the model itself.
    """

    def __init__(self, model, names):
        self._modules = {}
        known = dict(model.named_modules())
        for name in names:
            module = name.removesuffix(INPUT)
            if module not in known:
                raise ValueError(
                    f"The model has no layer {module!r}. Its layers are "
                    f"{_shortened(known)}; append '{INPUT}' for the input of one."
                )
            self._modules[name] = known[module]
        self._found: dict = {}

    @contextmanager
    def watched(self):
        """Catch what passes; yields a function that hands over what it caught."""
        with ExitStack() as undo:
            for name, module in self._modules.items():
                undo.callback(self._hook(name, module).remove)
            yield self._take

    def _hook(self, name, module):
        def before(module, inputs, kwargs):
            self._found[name] = _tensor_of([*inputs, *kwargs.values()], name)

        def after(module, inputs, output):
            self._found[name] = _tensor_of(output, name)

        if name.endswith(INPUT):
            return module.register_forward_pre_hook(before, with_kwargs=True)
        return module.register_forward_hook(after)

    def _take(self):
        missing = self._modules.keys() - self._found.keys()
        if missing:
            raise ValueError(
                f"The model did not call its layers {sorted(missing)} on this batch."
            )
        found, self._found = self._found, {}
        return found


def _tensor_of(value, name):
    """First tensor of what a layer takes or gives: some wrap it."""
    if isinstance(value, torch.Tensor):
        return value
    parts = value.values() if isinstance(value, Mapping) else value
    if isinstance(parts, (list, tuple)) or isinstance(value, Mapping):
        for part in parts:
            if isinstance(part, torch.Tensor):
                return part
    raise TypeError(
        f"Layer {name!r} gives {type(value).__name__}, which has no tensor."
    )


def _shortened(names, most=20):
    names = [name for name in names if name]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


@contextmanager
def inference(model, autocast=None):
    """Evaluation mode without gradients; every module's mode is restored after it."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode(), ExitStack() as stack:
            if autocast is not None:
                kind = device_of_model(model).type
                stack.enter_context(torch.autocast(kind, dtype=autocast))
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def device_of_model(model):
    """Device of the first parameter or buffer; the CPU if there is none."""
    for tensors in (model.parameters(), model.buffers()):
        for tensor in tensors:
            return tensor.device
    return torch.device("cpu")
