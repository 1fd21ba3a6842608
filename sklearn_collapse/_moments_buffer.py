"""Blocks of rows that wait until together they are worth a product."""

from typing import NamedTuple

import numpy as np

from sklearn_collapse.utils._arrays import Array, namespace, place_of
from sklearn_collapse.utils._labels import positions, unite


class Block(NamedTuple):
    """Rows of one update; what belongs to them is on the host."""

    rows: Array  # (n, d)
    classes: np.ndarray  # (k,)
    codes: np.ndarray  # (n,)
    weights: np.ndarray | None  # (n,)
    squares: float  # sum of w x^2


class Buffer:
    """Copies of small blocks with their labels, encoded block by block."""

    def __init__(self):
        self._blocks = []
        self.n_rows = 0
        self.squares = 0.0

    def add(self, X, classes, codes, weights, squares):
        """Keep a copy of a block; the caller may write to its arrays again."""
        copy = namespace(X).asarray(X, copy=True)
        weights = None if weights is None else weights.copy()
        self._blocks.append(Block(copy, classes, codes, weights, squares))
        self.n_rows += X.shape[0]
        self.squares += squares

    def drop_last(self):
        """Take the last block back."""
        block = self._blocks.pop()
        self.n_rows -= block.rows.shape[0]
        self.squares -= block.squares

    @property
    def place(self):
        """Library and device of the blocks; None if there are none."""
        return place_of(self._blocks[0].rows) if self._blocks else None

    def joined(self):
        """Return all blocks as one: rows, classes, codes and weights."""
        rows, classes, codes, weights, _ = zip(*self._blocks, strict=True)
        classes, codes = _encode_together(list(zip(classes, codes, strict=True)))
        joined = None
        if any(w is not None for w in weights):
            ones = [
                np.ones(X.shape[0]) if w is None else w
                for X, w in zip(rows, weights, strict=True)
            ]
            joined = np.concatenate(ones)
        xp = namespace(rows[0])
        same = len({str(X.dtype) for X in rows}) == 1
        dtype = rows[0].dtype if same else xp.float64
        rows = xp.concat([xp.astype(X, dtype, copy=False) for X in rows], axis=0)
        return rows, classes, codes, joined


def _encode_together(encoded):
    """Encode the labels of several blocks, each given as (classes, codes)."""
    kinds = {classes.dtype.kind for classes, _ in encoded}
    if len(kinds) == 1 and kinds != {"O"}:
        labels = np.concatenate([classes[codes] for classes, codes in encoded])
        return np.unique(labels, return_inverse=True)
    union = encoded[0][0]
    for classes, _ in encoded[1:]:
        union = unite(union, classes)[0]
    return union, np.concatenate([positions(c, union)[k] for c, k in encoded])
