"""Metrics of a model after an epoch, from one or two passes over a loader."""

import math
import random
from contextlib import contextmanager

import numpy as np
import torch
from torch import distributed as ranks

from sklearn_collapse.extraction import _measure
from sklearn_collapse.extraction._extract import _find_head
from sklearn_collapse.extraction._inference import tensors_of, unwrapped
from sklearn_collapse.extraction._stream import feature_blocks, moments_of

_NOT_FINITE, _FAILED = 1, 2


def measure_epoch(model, loader, layers, heads, metrics, *, distributed, **options):
    """Measure all layers; nan where features or weights are not finite.

    Parameters
    ----------
    model : torch.nn.Module
    loader : iterable
    layers : list of str
    heads : dict of str to str
        Name of the linear layer of each layer that has one.
    metrics : list of str
    distributed : bool
        Whether all processes call this together, each with its share of the rows.
    **options
        Of `feature_blocks`.

    Returns
    -------
    rows : dict of str to dict of str to float
    finite : bool
    """

    def blocks():
        return _labelled(feature_blocks(model, loader, layers, **options))

    found = dict.fromkeys(layers)
    for layer, name in heads.items():
        found[layer] = _find_head(unwrapped(model), name)[1]
    with _same_random_numbers(model, loader):
        moments = _gathered(lambda: moments_of(blocks(), layers), model, distributed)
        if moments is None:
            nothing = {k: _measure.nothing(metrics, head) for k, head in found.items()}
            return nothing, False
        rows, scorers = {}, {}
        for layer, head in found.items():
            measured = _measure.measure(moments[layer], head, metrics)
            scorers[layer], rows[layer] = measured
        if _measure.wants_rows(metrics):
            shares = _gathered(
                lambda: _measure.row_shares(blocks(), scorers), model, distributed
            )
            for layer, head in found.items():
                known = _measure.means_of_shares(shares, layer, scorers[layer].head_)
                rows[layer] = {
                    name: {**known, **rows[layer]}.get(name, math.nan)
                    for name in _measure.of_layer(metrics, head)
                }
    return rows, all(map(_measure.is_finite, found.values()))


def _labelled(blocks):
    """Pass blocks on; raises if one has no labels."""
    for number, rows, labels in blocks:
        if labels is None:
            raise ValueError(
                f"Batch {number} has no labels, which collapse is measured by: the "
                f"loader must give pairs (inputs, labels), or mappings with 'labels', "
                f"'label' or 'y'."
            )
        yield number, rows, labels


def _gathered(gather, model, distributed):
    """Moments by layer, of all processes; None where features are not finite."""
    found: dict = {}
    level, problem = 0, None
    try:
        found = gather()
    except Exception as error:
        level = _NOT_FINITE if _measure.is_divergence(error) else _FAILED
        problem = error
    if distributed:
        # Whoever raised would keep the others waiting.
        level = _worst(level, model)
    if level == _FAILED:
        if problem is None or _measure.is_divergence(problem):
            raise RuntimeError("Another process could not measure its share of rows.")
        raise problem
    if level == _NOT_FINITE:
        return None
    if distributed:
        for moments in found.values():
            moments.all_reduce()
    return found


def is_distributed():
    """Whether several processes train together."""
    if not ranks.is_available() or not ranks.is_initialized():
        return False
    return ranks.get_world_size() > 1


def _worst(level, model):
    """Highest level of all processes."""
    # gloo takes tensors of the CPU, nccl those of its GPU.
    on_gpu = ranks.get_backend() == "nccl"
    place = next(tensors_of(model)).device if on_gpu else "cpu"
    told = torch.tensor(level, device=place)
    ranks.all_reduce(told, op=ranks.ReduceOp.MAX)
    return int(told)


@contextmanager
def _same_random_numbers(model, loader):
    """Put the generators back that a loader and a model draw from.

    Training goes on as it would without the pass.
    """
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    own = [(one, one.get_state()) for one in _generators_of(loader)]
    place = next(tensors_of(unwrapped(model)), torch.empty(0)).device
    try:
        with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
            yield
    finally:
        for one, state in own:
            one.set_state(state)
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def _generators_of(loader):
    """Generators that a loader or its samplers hold, each once."""
    found = {}
    while loader is not None:
        for holder in (loader, getattr(loader, "sampler", None)):
            one = getattr(holder, "generator", None)
            if isinstance(one, torch.Generator):
                found[id(one)] = one
        loader = getattr(loader, "batch_sampler", None)
    return found.values()
