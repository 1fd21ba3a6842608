"""From maps and token sequences to one row per sample."""

import torch


def pooled(values, mask=None, pooling="auto"):
    """Rows of float32 or float64 from what a layer put out.

    Parameters
    ----------
    values : tensor of shape (n, d), (n, tokens, d) or (n, channels, ...)
    mask : tensor of shape (n, tokens) or None
        Positive for tokens that count.
    pooling : {"auto", "mean", "max", "flatten", "first", "last"} or callable

    Returns
    -------
    tensor of shape (n, d)
    """
    if values.dtype not in (torch.float32, torch.float64):
        values = values.float()
    if callable(pooling):
        return pooling(values, mask)
    if values.ndim == 1:
        return values[:, None]
    if values.ndim == 2:
        return values
    if pooling == "flatten":
        return values.flatten(1)
    if values.ndim == 3:  # tokens
        return _pool_tokens(values, mask, pooling)
    if pooling in ("auto", "mean"):
        return values.flatten(2).mean(2)
    if pooling == "max":
        return values.flatten(2).amax(2)
    raise ValueError(f"pooling={pooling!r} is for tokens, got {tuple(values.shape)}.")


def _pool_tokens(values, mask, pooling):
    if mask is None:
        mask = values.new_ones(values.shape[:2])
    kept = (mask > 0)[:, :, None]
    if pooling in ("auto", "mean"):
        return torch.where(kept, values, 0).sum(1) / kept.sum(1)
    if pooling == "max":
        return torch.where(kept, values, -torch.inf).amax(1)
    index = kept[:, :, 0].int()
    # argmax finds the first of equal values.
    first = index.argmax(1)
    if pooling == "last":
        first = values.shape[1] - 1 - index.flip(1).argmax(1)
    return values[torch.arange(len(values), device=values.device), first]
