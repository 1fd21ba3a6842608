"""Exact quantiles of all entries of many rows, by passes over blocks of them.

A sample says between which bounds a quantile is likely to be. One pass then counts the
entries below the bounds and gathers those between them. Where they are too many, or
the sample was wrong, a pass counts the entries bin by bin; the bins that hold the
wanted ranks are what the next pass looks at, until few entries are left to sort or
those left are all equal.
"""

import math
from typing import NamedTuple

import numpy as np

from sklearn_collapse.utils._arrays import to_numpy
from sklearn_collapse.utils._finite import raise_nonfinite
from sklearn_collapse.utils._selection import bin_sums

_BINS = 2**16
# Entries of a bin that are sorted rather than split again.
_SORTED = 2**19
# Of the sample: its rows and entries, and the share of entries that a quantile may be
# off by.
_SAMPLE_ROWS = 2**10
_SAMPLE = 2**15
_MARGIN = 2**-6


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

    def gathered(self, flat, weights, chosen):
        """Return the content with entries that are marked; weights may be None."""
        values = to_numpy(flat[chosen])
        if not values.size:
            return self
        weights = np.ones(values.size) if weights is None else to_numpy(weights[chosen])
        low, high = min(self.low, values.min()), max(self.high, values.max())
        entries = None
        if self.entries is not None:
            size = len(values) + sum(len(part) for part, _ in self.entries)
            entries = [*self.entries, (values, weights)] if size <= _SORTED else None
        return _Content(float(low), float(high), entries)


def entry_range(rows):
    """Smallest and largest entry of all rows; raises for NaN and infinity."""
    xp, found = rows.xp, []

    def absorb(block, _):
        found.append(xp.stack([xp.min(block), xp.max(block)]))

    rows.visit(absorb, rows.X.shape[1], xp.float64)
    ranges = to_numpy(xp.stack(found))
    if not np.isfinite(ranges).all():
        raise_nonfinite(rows.X, overflow=False)
    return float(ranges[:, 0].min()), float(ranges[:, 1].max())


# NumPy 1.26 pads what it divides by the smallest numbers, and the padding overflows.
@np.errstate(over="ignore")
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
    wanted = _bracket(rows, sorted(ranks), weights, extent, values)
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


def _bracket(rows, ranks, weights, extent, values):
    """Find parts that hold the ranks; values found on the way are put to the others."""
    whole = _Part(extent[0], extent[1], 0.0)
    n, d = rows.X.shape
    if n * d <= 4 * _SAMPLE:
        return {whole: ranks}
    xp = rows.xp
    total = d * float(n if weights is None else weights.sum())
    brackets = _sample_brackets(rows, ranks, weights, total, extent)
    found = [(0.0, 0.0, _Content(math.inf, -math.inf, [])) for _ in brackets]

    def absorb(block, here):
        nonlocal found
        flat, w = _flat(block, _local(rows, weights, here), xp)
        new = []
        for (low, high), sums in zip(brackets, found, strict=True):
            below, inside, content = sums
            less, kept = flat < low, (flat >= low) & (flat <= high)
            below, inside = below + _weight(less, w, xp), inside + _weight(kept, w, xp)
            new.append((below, inside, content.gathered(flat, w, kept)))
        found = new

    rows.visit(absorb, 4 * d, xp.float64)
    wanted: dict = {}
    # Sums of weights are rounded: a rank close to a bound may be beyond it.
    slack = 0.0 if weights is None else 1e-9 * total
    for (below, inside, content), among in zip(found, brackets.values(), strict=True):
        if not below + slack <= among[0] <= among[-1] < below + inside - slack:
            wanted.setdefault(whole, []).extend(among)
        elif content.entries is None:
            wanted[_Part(content.low, content.high, below)] = among
        else:
            values |= _sorted_ranks(content.entries, below, among)
    return wanted


def _sample_brackets(rows, ranks, weights, total, extent):
    """Bounds that entries of the ranks are likely to lie between, by a sample.

    Returns
    -------
    dict from (low, high) to ranks, without overlaps
    """
    n, d = rows.X.shape
    rng = np.random.default_rng(0)  # the result does not depend on it
    chosen = np.sort(rng.integers(n, size=_SAMPLE_ROWS))
    columns = rng.integers(d, size=(_SAMPLE_ROWS, _SAMPLE // _SAMPLE_ROWS))
    entries: list = []

    def absorb(block, here):
        entries.append(np.take_along_axis(to_numpy(block), columns[here], axis=1))

    rows.visit(absorb, d, rows.xp.float64, order=chosen)
    sample = np.concatenate(entries)
    shares = np.ones(len(sample)) if weights is None else weights[chosen]
    shares = np.repeat(shares, sample.shape[1])
    order = np.argsort(sample, axis=None)
    sample, reached = sample.ravel()[order], np.cumsum(shares[order])
    reached /= reached[-1]
    brackets: list = []
    for rank in ranks:
        at = np.array([rank / total - _MARGIN, rank / total + _MARGIN])
        low, high = sample[np.searchsorted(reached, at.clip(0, 1 - 1e-9))].tolist()
        low, high = extent[0] if at[0] <= 0 else low, extent[1] if at[1] >= 1 else high
        if brackets and low <= brackets[-1][1]:
            brackets[-1][1] = high
            brackets[-1][2].append(rank)
        else:
            brackets.append([low, high, [rank]])
    return {(low, high): among for low, high, among in brackets}


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
            new.append(content.gathered(inside, w, _bin_of(inside, part, xp) == at))
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
    flat, weights = _flat(block, weights, xp)
    kept = (flat >= part.low) & (flat <= part.high)
    return flat[kept], None if weights is None else weights[kept]


def _flat(block, weights, xp):
    """All entries of a block, and the weights of their rows."""
    if weights is not None:
        weights = xp.broadcast_to(weights[:, None], block.shape)
        weights = xp.reshape(weights, (-1,))
    return xp.reshape(block, (-1,)), weights


def _weight(kept, weights, xp):
    """Sum of the weights of entries that are marked."""
    if weights is None:
        return float(xp.count_nonzero(kept))
    return float(xp.sum(weights * xp.astype(kept, xp.float64)))


def _bin_of(values, part, xp):
    """Bin of each value of a part: the first holds its least, the last its largest."""
    low, high = part.low, part.high
    # Halves where the difference overflows.
    unit = 0.5 if math.isinf(high - low) else 1.0
    share = (values * unit - low * unit) / (high * unit - low * unit)
    return xp.astype(xp.clip(share * _BINS, None, _BINS - 1.0), xp.int64)


def _local(rows, weights, here):
    return None if weights is None else rows.local(weights[here])
