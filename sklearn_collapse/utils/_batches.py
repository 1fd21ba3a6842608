"""Blocks of a stream: arrays, pairs and triples of them, and tables."""

from contextlib import contextmanager

import numpy as np

from sklearn_collapse.utils._arrays import to_numpy
from sklearn_collapse.utils._tables import is_table, n_entries, n_rows, read_table


def for_each_block(batches, columns, use):
    """Call ``use(X, y, sample_weight)`` for every block that has rows.

    Errors in a block name it, counted from 0; those of the iterable itself pass as
    they are.

    Parameters
    ----------
    batches : iterable
        Blocks X, (X, y) or (X, y, sample_weight), or tables.
    columns : Columns
    use : callable

    Returns
    -------
    int
        Number of blocks that had rows.
    """
    _refuse_one_block(batches)
    used = 0
    for number, batch in enumerate(batches):
        with naming(f"block {number}"):
            # Data sets give parts without rows as well.
            if is_table(batch) and not n_rows(batch):
                continue
            X, y, weights = read_block(batch, columns)
            if _has_rows(X, weights):
                use(X, y, weights)
                used += 1
    return used


@contextmanager
def naming(part):
    """Put the name of a part of the rows before an error's message; its type stays."""
    try:
        yield
    except Exception as error:
        if len(error.args) == 1 and isinstance(error.args[0], str):
            error.args = (f"In {part}: {error.args[0]}",)
        else:
            error.add_note(f"In {part}.")
        raise


def read_block(batch, columns):
    """Rows, labels and weights of a block; None for what it does not hold."""
    if is_table(batch):
        return read_table(batch, columns)
    if any(part is not None for part in columns):
        raise ValueError(
            f"features, label and weight name columns of tables (Arrow, pandas, "
            f"polars, or a mapping of column to array), got a block of type "
            f"{type(batch).__name__}. Leave them out and pass (X, y, sample_weight)."
        )
    parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    if not 1 <= len(parts) <= 3:
        raise ValueError(
            f"A block is X, (X, y) or (X, y, sample_weight), got a "
            f"{type(batch).__name__} of {len(parts)}."
        )
    return (*parts, None, None)[:3]


def _refuse_one_block(batches):
    """Raise on what is itself one block, or gives blocks only if asked."""
    if is_table(batches):
        raise TypeError(
            f"batches must be an iterable of blocks, got one table of type "
            f"{type(batches).__name__}: pass [table]."
        )
    for method in ("iter_batches", "to_batches"):
        if not hasattr(batches, "__iter__") and hasattr(batches, method):
            raise TypeError(
                f"batches must be an iterable of blocks, got "
                f"{type(batches).__name__}: pass its {method}()."
            )


def _has_rows(X, weights):
    """Whether a block has rows: those of zero weight do not exist."""
    if n_entries(X) == 0 or weights is None:
        return n_entries(X) > 0
    return not hasattr(weights, "__len__") or bool(np.any(to_numpy(weights)))
