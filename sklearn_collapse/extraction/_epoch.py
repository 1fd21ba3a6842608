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
from sklearn_collapse.extraction._stream import feature_blocks, stream_moments

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
        Of `stream_moments`.

    Returns
    -------
    rows : dict of str to dict of str to float
    finite : bool
    """
    found = dict.fromkeys(layers)
    for layer, name in heads.items():
        found[layer] = _find_head(unwrapped(model), name)[1]
    with _same_random_numbers():
        moments = _gathered(
            lambda: stream_moments(model, loader, layers, **options), model, distributed
        )
        if moments is None:
            nothing = {k: _measure.nothing(metrics, head) for k, head in found.items()}
            return nothing, False
        rows, scorers = {}, {}
        for layer, head in found.items():
            measured = _measure.measure(moments[layer], head, metrics)
            scorers[layer], rows[layer] = measured
        if _measure.wants_rows(metrics):
            shares = _gathered(
                lambda: _measure.row_shares(
                    feature_blocks(model, loader, layers, **options), scorers
                ),
                model,
                distributed,
            )
            for layer, head in found.items():
                known = _measure.means_of_shares(shares, layer, scorers[layer].head_)
                rows[layer] = {
                    name: {**known, **rows[layer]}.get(name, math.nan)
                    for name in _measure.of_layer(metrics, head)
                }
    return rows, all(map(_measure.is_finite, found.values()))


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
def _same_random_numbers():
    """Put the generators on the CPU back, which loaders draw from.

    Training goes on as it would without the pass.
    """
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
