"""Exact quantiles of all entries of many rows, by passes over blocks of them.

A pass counts the entries bin by bin; the bins that hold the wanted ranks are what the
next pass looks at, until few entries are left to sort or those left are all equal.
"""

import math
from typing import NamedTuple

import numpy as np

from sklearn_collapse.utils._arrays import bin_sums, to_numpy
from sklearn_collapse.utils._finite import raise_nonfinite

_BINS = 2**16
# Entries of a bin that are sorted rather than split again.
_SORTED = 2**18


class _Part(NamedTuple):
    """Entries between two bounds, both included."""

    low: float
    high: float
    below: float  # weight of all entries below them


class _Content(NamedTuple):
    """Range of the entries of a bin, and unless they are too many the entries."""

    low: float
    high: float
    entries: list | None  # pairs of arrays: entries, weights

    def joined(self, values, weights):
        """Return the content with more entries, one at least."""
        low, high = min(self.low, values.min()), max(self.high, values.max())
        entries = None
        if self.entries is not None:
            size = len(values) + sum(len(part) for part, _ in self.entries)
            entries = [*self.entries, (values, weights)] if size <= _SORTED else None
        return _Content(float(low), float(high), entries)


def entry_range(rows):
    """Smallest and largest entry of all rows; raises for NaN and infinity."""
    xp, found = rows.xp, (math.inf, -math.inf)

    def absorb(block, _):
        nonlocal found
        low, high = float(xp.min(block)), float(xp.max(block))
        # Python's own min and max would lose nan.
        found = (float(np.minimum(found[0], low)), float(np.maximum(found[1], high)))

    rows.visit(absorb, rows.X.shape[1], xp.float64)
    if not np.isfinite(found).all():
        raise_nonfinite(rows.X, overflow=False)
    return found


def entry_quantiles(rows, shares, weights, extent):
    """Quantiles of all entries of the rows, interpolated linearly.

    A weight of k equals k copies of a row; without weights these are the quantiles
    that NumPy finds by default.

    Parameters
    ----------
    rows : Rows
    shares : sequence of float
        In [0, 1].
    weights : ndarray of shape (n,) or None
        Positive weights.
    extent : tuple of float
        Smallest and largest entry.

    Returns
    -------
    list of float
    """
    n, d = rows.X.shape
    last = max(0.0, d * float(n if weights is None else weights.sum()) - 1)
    places = [share * last for share in shares]
    ranks = {min(float(k), last) for p in places for k in (p // 1, p // 1 + 1)}
    values = _of_ranks(rows, ranks, weights, extent)
    found = []
    for place in places:
        low, high = (values[min(k, last)] for k in (place // 1, place // 1 + 1))
        part = place % 1
        # Rounding must not move a value that many entries have.
        found.append(low if low == high else low * (1 - part) + high * part)
    return found


def _of_ranks(rows, ranks, weights, extent):
    """Smallest entry with more weight than a rank up to it, for each of the ranks."""
    values: dict[float, float] = {}
    wanted = {_Part(extent[0], extent[1], 0.0): sorted(ranks)}
    while wanted:
        for part in [part for part in wanted if part.low == part.high]:
            values |= dict.fromkeys(wanted.pop(part), part.low)
        if not wanted:
            break
        bins = _bins_of_ranks(rows, wanted, weights)
        contents = _look_into(rows, list(bins), weights)
        wanted = {}
        for (below, among), content in zip(bins.values(), contents, strict=True):
            if content.entries is None:
                wanted[_Part(content.low, content.high, below)] = among
            else:
                values |= _sorted_ranks(content.entries, below, among)
    return values


def _bins_of_ranks(rows, wanted, weights):
    """Count the entries of parts; find the bins that the wanted ranks are in.

    Returns
    -------
    dict from (part, bin) to (weight below the bin, ranks)
    """
    xp = rows.xp
    sums = [rows.local(np.zeros(_BINS)) for _ in wanted]

    def absorb(block, here):
        nonlocal sums
        new = []
        for part, total in zip(wanted, sums, strict=True):
            inside, w = _inside(block, part, _local(rows, weights, here), xp)
            new.append(total + bin_sums(_bin_of(inside, part, xp), _BINS, w, xp))
        sums = new

    rows.visit(absorb, 4 * rows.X.shape[1], xp.float64)
    found: dict = {}
    for (part, ranks), total in zip(wanted.items(), sums, strict=True):
        total = to_numpy(total)
        reached = part.below + np.cumsum(total)
        filled = np.flatnonzero(total)
        for rank in ranks:
            # Sums of weights are rounded: the last entry may seem not to be reached.
            place = np.searchsorted(reached[filled], rank, side="right")
            at = int(filled[min(place, len(filled) - 1)])
            below = part.below if at == 0 else float(reached[at - 1])
            found.setdefault((part, at), (below, []))[1].append(rank)
    return found


def _look_into(rows, keys, weights):
    """Find out what bins, given as (part, bin), hold.

    Returns
    -------
    list of _Content
    """
    xp = rows.xp
    found = [_Content(math.inf, -math.inf, []) for _ in keys]

    def absorb(block, here):
        nonlocal found
        new = []
        for (part, at), content in zip(keys, found, strict=True):
            inside, w = _inside(block, part, _local(rows, weights, here), xp)
            chosen = _bin_of(inside, part, xp) == at
            inside = to_numpy(inside[chosen])
            w = np.ones(inside.size) if w is None else to_numpy(w[chosen])
            new.append(content.joined(inside, w) if inside.size else content)
        found = new

    rows.visit(absorb, 4 * rows.X.shape[1], xp.float64)
    return found


def _sorted_ranks(entries, below, ranks):
    """Entries of ranks, given pairs of entries and weights that hold them."""
    values, weights = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    order = np.argsort(values, kind="stable")
    values, reached = values[order], below + np.cumsum(weights[order])
    at = np.searchsorted(reached, ranks, side="right")
    found = values[np.minimum(at, len(values) - 1)]
    return dict(zip(ranks, found.tolist(), strict=True))


def _inside(block, part, weights, xp):
    """Entries of a block that lie in a part, and the weights of their rows."""
    flat = xp.reshape(block, (-1,))
    if weights is not None:
        weights = xp.broadcast_to(weights[:, None], block.shape)
        weights = xp.reshape(weights, (-1,))
    kept = (flat >= part.low) & (flat <= part.high)
    return flat[kept], None if weights is None else weights[kept]


def _bin_of(values, part, xp):
    """Bin of each value of a part: the first holds its least, the last its largest."""
    low, high = part.low, part.high
    # Halves where the difference overflows.
    unit = 0.5 if math.isinf(high - low) else 1.0
    share = (values * unit - low * unit) / (high * unit - low * unit)
    return xp.astype(xp.clip(share * _BINS, None, _BINS - 1.0), xp.int64)


def _local(rows, weights, here):
    return None if weights is None else rows.local(weights[here])
