"""Class moments of all ranks of a torch.distributed group, on each of them.

torch is named here without being imported: whoever has a process group has imported
it. The lines that only NCCL can run are marked so; they have not been run yet.
"""

import pickle
import sys
from functools import reduce
from types import SimpleNamespace
from typing import Any

import numpy as np

from sklearn_collapse._linalg._reduction import Share, no_rows, reduce_moments
from sklearn_collapse._moments_checks import check_allowed, check_mergeable
from sklearn_collapse._moments_gathering import TOO_LARGE, spacing
from sklearn_collapse.utils._arrays import as_like, namespace, place_of
from sklearn_collapse.utils._gpu import on_cuda
from sklearn_collapse.utils._labels import positions, unite

# What the ranks tell each other; the checks of a merge read the same names.
_TOLD = (
    *("normalize", "class_scatter", "precision", "n_features"),
    *("_labelled", "_labels", "_allowed_labels", "_names", "_input"),
)
_FILLED = ("n_features", "place", "_labelled", "_names")


class Group:
    """The ranks of a process group, and the two things they do together.

    Parameters
    ----------
    group : torch.distributed.ProcessGroup or None
        None is the group of all ranks.
    """

    def __init__(self, group=None):
        torch: Any = sys.modules.get("torch")
        dist: Any = getattr(torch, "distributed", None)
        if dist is None or not dist.is_available() or not dist.is_initialized():
            raise ValueError(
                "all_reduce needs a process group, but torch.distributed has none. "
                "Call torch.distributed.init_process_group on every rank first, or "
                "merge moments without it: m1 + m2."
            )
        self._torch, self._dist, self._group = torch, dist, group
        self.rank = dist.get_rank(group)
        if self.rank < 0:
            raise ValueError(
                "This process is not a rank of the group given to all_reduce. Call it "
                "on the ranks of the group only."
            )
        self.size = dist.get_world_size(group)

    def tell(self, told):
        """What every rank has told, in their order."""
        answers = [None] * self.size
        self._dist.all_gather_object(answers, told, group=self._group)
        return answers

    def sum(self, values):
        """Sum of an array of every rank, which may be written to."""
        tensor = as_like(values, self._like(values)).contiguous()
        self._dist.all_reduce(tensor, group=self._group)
        return as_like(tensor, values)

    def empty(self, device):
        """Empty tensor on a device."""
        return self._torch.empty(0, device=device)

    def own_gpu(self):
        """Empty tensor on this rank's GPU."""
        return self.empty(f"cuda:{self._torch.cuda.current_device()}")  # CUDA only

    def _like(self, values):
        """Empty tensor where the group can sum these values."""
        config = str(self._dist.get_backend_config(self._group))
        backends = dict(part.split(":") for part in config.split(","))
        if on_cuda(values) and backends.get("cuda") == "nccl":  # NCCL only
            return values
        if "cpu" not in backends:  # NCCL only
            return self.own_gpu()
        return self.empty("cpu")


def all_reduce(moments, group):
    """Put the moments of all ranks in place of those of each; see ClassMoments."""
    ranks = Group(group)
    if ranks.size == 1:
        return moments
    try:
        told = _together(ranks, lambda: _summary(moments))
        answers = ranks.tell(told)
        everyone = _together(ranks, lambda: [pickle.loads(one) for one in answers])
        common = _agree(everyone)
        if common._labels is None:  # no rank has any rows
            return moments
        own, like = _together(ranks, lambda: _own(moments._moments, common, ranks))
        total = _reduced(own, like, common, everyone, ranks)
        xp = namespace(like)
        finite = bool(xp.isfinite(xp.sum(total.traces) + xp.sum(total.means)))
        # Whoever gets past this knows that every rank has the sums.
        overflows = ranks.sum(np.full(1, 0.0 if finite else 1.0))[0] > 0
    except RuntimeError as error:
        raise RuntimeError(
            f"all_reduce failed on rank {ranks.rank}: another rank has died, is late "
            f"by more than the group's timeout or did not call it. These moments are "
            f"as they were; the group may be unusable. The first line of the error "
            f"was: {str(error).partition(chr(10))[0]}"
        ) from error
    if overflows:
        raise ValueError(TOO_LARGE)
    moments.__dict__.update(
        _moments=total,
        _labels=common._labels,
        _labelled=common._labelled,
        _names=common._names,
        _input=common._input,
        _device_used=moments._device_used or place_of(total.means),
        n_features=common.n_features,
        precision=common.precision,
        _cache={},
    )
    return moments


def _together(ranks, function):
    """What a function returns on this rank, once it has returned on all of them.

    If it raises on one, all raise: the others would wait for that one otherwise.
    """
    found, problem, told = None, None, None
    try:
        found = function()
    except Exception as error:
        problem, told = error, f"{type(error).__name__}: {error}"
    for other, text in enumerate(ranks.tell(told)):
        if text is not None:
            raise ValueError(
                f"Rank {other} cannot take part in all_reduce: {text}"
            ) from (problem if other == ranks.rank else None)
    return found


def _summary(moments):
    """What a rank tells the others: bytes, since these may not be able to read it."""
    moments._flush()
    told = {name: getattr(moments, name) for name in _TOLD}
    place = _kind_of_place(moments.place)
    return pickle.dumps(SimpleNamespace(**told, place=place))


def _kind_of_place(place):
    """Library and kind of device: each rank has a GPU of its own."""
    return None if place is None else (place[0], place[1].partition(":")[0])


def _agree(everyone):
    """What the moments of all ranks have in common; raises alike on every rank."""
    common = SimpleNamespace(**vars(everyone[0]))
    for other, told in enumerate(everyone):
        try:
            check_mergeable(common, told)
        except ValueError as error:
            raise ValueError(
                f"The moments of rank {other} do not go with those of the ranks before "
                f"it: {error}"
            ) from None
        for name in _FILLED:
            if getattr(common, name) is None:
                setattr(common, name, getattr(told, name))
    full = [told for told in everyone if told._labels is not None]
    if not full:
        common._labels = None
        return common
    common._labels = reduce(lambda a, b: unite(a, b)[0], [t._labels for t in full])
    for other, told in enumerate(everyone):
        try:
            check_allowed(told, common._labels)
        except ValueError as error:
            raise ValueError(f"On rank {other}: {error}") from None
    common._input = max((told._input for told in full), key=spacing)
    single = any(told.precision == "single" for told in everyone)
    common.precision = "single" if single else "double"
    return common


def _own(moments, common, ranks):
    """Moments of this rank, of no rows if it has none, and an array that lives there.

    Without rows they live where those of all others do.
    """
    if moments is not None:
        return moments, moments.means
    library, device = common.place
    if library != "torch":
        like = np.empty(0)
    else:
        like = ranks.empty("cpu") if device == "cpu" else ranks.own_gpu()
    size, flag = common.n_features, common.class_scatter
    return no_rows(size, flag, namespace(like), lambda v: as_like(v, like)), like


def _reduced(own, like, common, everyone, ranks):
    share = _share(common._labels, everyone, ranks.rank)
    xp = namespace(like)
    return reduce_moments(own, share, ranks.sum, xp, lambda v: as_like(v, like))


def _share(labels, everyone, rank):
    """Which of the labels this rank has, and of which it lends its mean."""
    taken = np.zeros(len(labels), dtype=bool)
    for other in range(rank + 1):
        theirs = everyone[other]._labels
        index = np.full(len(labels), -1)
        if theirs is not None:
            index = positions(labels, theirs)
        lends = (index >= 0) & ~taken
        taken |= lends
    return Share(index, lends)
