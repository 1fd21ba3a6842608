"""Run a torch model on a batch and catch what its layers take and give."""

import difflib
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import partial

import torch

from sklearn_collapse.extraction._inference import evaluation, unwrapped
from sklearn_collapse.extraction._pooling import pooled

INPUT = ":input"


class Layers:
    """Named layers of a model, caught by forward hooks that last for one batch.

    Parameters
    ----------
    model : torch.nn.Module
    names : sequence of str
        Names as in ``model.named_modules()``: the output of that module, or with
        ":input" appended its first input. An empty name is the model itself.
    pooling : str or callable
        As for `pooled`.
    autocast : None, bool or torch.dtype
    """

    def __init__(self, model, names, *, pooling="auto", autocast=None):
        self.model = unwrapped(model)
        self.pooling = pooling
        self.autocast = autocast
        known = named_layers(self.model)
        self._modules = {
            name: known[find_layer(name.removesuffix(INPUT), known)] for name in names
        }

    def features(self, batch):
        """Run the model on a batch.

        Returns
        -------
        dict of str to tensor of shape (n, d)
            One row per sample, by name.
        """
        found: dict = {}
        with evaluation(self.model, batch.device, self.autocast), ExitStack() as undo:
            for name, module in self._modules.items():
                keep = partial(self._keep, found, name, batch)
                undo.callback(_hook(name, module, keep).remove)
            batch.run(self.model)
        missing = [name for name in self._modules if name not in found]
        if missing:
            raise ValueError(
                f"The model did not call its layers {missing}. It may use their "
                f"weights alone (as attention does with its projections), skip them "
                f"on this batch, or run as TorchScript. Name the module around them, "
                f"or '…{INPUT}' of one that reads their output."
            )
        return found

    def _keep(self, found, name, batch, value):
        """Pool at once: the next layer may write to what this one gave."""
        if name in found:
            raise ValueError(
                f"Layer {name!r} is called more than once in one pass of the model, so "
                f"which call is meant is open. Name the module around it, or "
                f"'…{INPUT}' of one that reads the output that you want."
            )
        try:
            values = _tensor_of(value)
            rows = pooled(values, batch.mask, self.pooling)
            _check_rows(values, rows, batch.n_rows)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"Layer {name!r}: {error}") from error
        shared = (
            rows.untyped_storage().data_ptr() == values.untyped_storage().data_ptr()
        )
        found[name] = rows.clone() if shared else rows


def named_layers(model):
    """Modules by name, without what wraps them."""
    # A compiled part comes before what it wraps: the latter is kept.
    return {
        _without_wrappers(name): module
        for name, module in unwrapped(model).named_modules(remove_duplicate=False)
    }


def find_layer(name, known):
    """Key of a layer that a user named."""
    found = _without_wrappers(name)
    if found not in known:  # of a model that was wrapped for several devices
        found = "" if found == "module" else found.removeprefix("module.")
    if found not in known:
        names = [name for name in known if name]
        close = difflib.get_close_matches(found, names, n=5) or names[:20]
        rest = f" and {len(names) - len(close)} more" if len(names) > len(close) else ""
        raise ValueError(
            f"The model has no layer {name!r}. It has {', '.join(map(repr, close))}"
            f"{rest}, as model.named_modules() lists them; append {INPUT!r} for the "
            f"input of one, and '' is the model itself."
        )
    return found


def _without_wrappers(name):
    """Drop what torch.compile puts into the names of modules."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def _hook(name, module, keep):
    if name.endswith(INPUT):
        return module.register_forward_pre_hook(
            lambda module, args, kwargs: keep([*args, *kwargs.values()]),
            with_kwargs=True,
        )
    return module.register_forward_hook(lambda module, args, output: keep(output))


def _tensor_of(value):
    """First tensor of what a layer takes or gives: some wrap it."""
    if isinstance(value, torch.Tensor):
        return value
    parts: Iterable = value if isinstance(value, (list, tuple)) else ()
    if isinstance(value, Mapping):
        parts = (value.get("last_hidden_state"), *value.values())
    for part in parts:
        if isinstance(part, torch.Tensor) and part.ndim:  # a loss has no dimensions
            return part
    raise TypeError(
        f"it gives {type(value).__name__} without a tensor at its first level. Name "
        f"a layer further inside."
    )


def _check_rows(values, rows, n_rows):
    if not isinstance(rows, torch.Tensor) or rows.ndim != 2:
        what = tuple(rows.shape) if isinstance(rows, torch.Tensor) else type(rows)
        raise ValueError(f"pooling must return a tensor of shape (n, d), got {what}.")
    if n_rows is not None and len(rows) != n_rows:
        raise ValueError(
            f"{tuple(values.shape)} became {len(rows)} rows, but the batch has "
            f"{n_rows} samples. The first axis must be that of the samples; otherwise "
            f"pass a callable as pooling."
        )
