"""From maps and token sequences to one row per sample."""

import torch

POOLINGS = ("auto", "mean", "max", "flatten", "first", "last")


def check_pooling(pooling):
    """Raise unless pooling is a known name or a callable."""
    if not callable(pooling) and pooling not in POOLINGS:
        raise ValueError(
            f"pooling must be one of {', '.join(map(repr, POOLINGS))} or a callable, "
            f"got {pooling!r}."
        )


def pooled(values, mask=None, pooling="auto"):
    """Rows of float32 or float64 from what a layer put out.

    Parameters
    ----------
    values : tensor of shape (n,), (n, d), (n, tokens, d) or (n, channels, ...)
    mask : tensor of shape (n, tokens) or None
        Positive for tokens that count.
    pooling : {"auto", "mean", "max", "flatten", "first", "last"} or callable

    Returns
    -------
    tensor of shape (n, d)
        float64 of float64 and of integers, else float32. May share memory.
    """
    values = _as_float(values)
    if callable(pooling):
        rows = pooling(values, mask)
        return _as_float(rows) if isinstance(rows, torch.Tensor) else rows
    if values.ndim == 0:
        raise ValueError("a single number is no row per sample. Name another layer.")
    if values.ndim <= 2:
        return values if values.ndim == 2 else values[:, None]
    if pooling == "flatten":
        return values.flatten(1)
    if values.ndim == 3:
        return _pool_tokens(values, mask, pooling)
    if pooling in ("auto", "mean"):
        return values.flatten(2).mean(2)
    if pooling == "max":
        return values.flatten(2).amax(2)
    raise ValueError(
        f"pooling={pooling!r} takes one of several tokens, (n, tokens, d), but the "
        f"shape is {tuple(values.shape)}. Maps allow 'mean', 'max', 'flatten' or a "
        f"callable."
    )


def _as_float(values):
    if values.is_complex():
        raise ValueError("Complex data not supported: take its parts in a callable.")
    if not values.is_floating_point():
        return values.double()
    return values if values.dtype == torch.float64 else values.float()


def _pool_tokens(values, mask, pooling):
    kept = _kept(values, mask)
    if pooling in ("auto", "mean"):
        # Not by multiplying: padding may hold anything.
        total = torch.where(kept[:, :, None], values, 0).sum(1)
        return total / kept.sum(1)[:, None]
    if pooling == "max":
        return torch.where(kept[:, :, None], values, -torch.inf).amax(1)
    index = kept.int()
    # argmax finds the first of equal values.
    chosen = index.argmax(1)
    if pooling == "last":
        chosen = values.shape[1] - 1 - index.flip(1).argmax(1)
    return values[torch.arange(len(values), device=values.device), chosen]


def _kept(values, mask):
    """Which tokens count."""
    if mask is None:
        if not values.shape[1]:
            raise ValueError(f"there are no tokens in shape {tuple(values.shape)}.")
        return values.new_ones(values.shape[:2], dtype=torch.bool)
    if mask.shape != values.shape[:2]:
        raise ValueError(
            f"the attention mask has shape {tuple(mask.shape)}, but there are "
            f"{values.shape[1]} tokens of {values.shape[0]} samples. Pass a callable "
            f"pooling(values, mask) that says which of them count."
        )
    kept = mask.to(values.device) > 0
    empty = ~kept.any(1)
    if empty.any():
        row = int(empty.int().argmax())
        raise ValueError(
            f"the attention mask leaves no token in row {row}. Drop such samples."
        )
    return kept
