"""How a model is run: as at inference, and left as it was found."""

import sys
import threading
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

# Hooks and modes belong to the model, not to a thread: one pass at a time.
_ONE_AT_A_TIME = threading.RLock()
_REDUCED = (torch.bfloat16, torch.float16)


def unwrapped(model):
    """Drop what runs a model compiled or on several devices.

    Compiled code passes by hooks, replicas call them once each, and processes would
    wait for each other's batches.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}.")
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        elif isinstance(getattr(model, "_orig_mod", None), nn.Module):
            model = model._orig_mod
        else:
            return model


@contextmanager
def evaluation(model, device, autocast=None):
    """Evaluation mode without gradients; the model is as before afterwards."""
    with _ONE_AT_A_TIME, ExitStack() as undo:
        training = [module for module in model.modules() if module.training]
        # Not by eval() and train(): some models merge weights there.
        undo.callback(_set_training, training, True)
        _set_training(training, False)
        # Not inference_mode: what a model keeps of its first pass (positions, say)
        # could not be trained with afterwards.
        undo.enter_context(torch.no_grad())
        # The fused path hands nested tensors to hooks.
        undo.callback(
            torch.backends.mha.set_fastpath_enabled,
            torch.backends.mha.get_fastpath_enabled(),
        )
        torch.backends.mha.set_fastpath_enabled(False)
        # Compiled parts pass by hooks (torch 2.6 has this switch).
        if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
            undo.enter_context(torch.compiler.set_stance("force_eager"))
        if autocast:
            dtype = None if autocast is True else autocast
            undo.enter_context(torch.autocast(device.type, dtype=dtype))
        yield


def _set_training(modules, mode):
    for module in modules:
        module.training = mode


def check_autocast(autocast):
    """Raise unless it is None, a bool or a dtype that autocast knows."""
    if autocast is None or isinstance(autocast, bool) or autocast in _REDUCED:
        return
    raise ValueError(
        f"autocast must be None, True, torch.bfloat16 or torch.float16, got "
        f"{autocast!r}."
    )


def tensors_of(model):
    """Parameters, then buffers."""
    yield from model.parameters()
    yield from model.buffers()
