"""Rows from maps and tokens, against loops."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

torch = pytest.importorskip("torch")

from sklearn_collapse.extraction import FeatureExtractor, extract  # noqa: E402
from sklearn_collapse.extraction._pooling import pooled  # noqa: E402

POOLINGS = ("auto", "mean", "max", "flatten", "first", "last")


def numbers(*shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    # Negative maxima: a mask that multiplies would give 0.
    return torch.randn(*shape, generator=generator).sub(5).to(dtype)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_rows_stay_as_they_are(pooling):
    values = numbers(4, 3)
    assert_array_equal(pooled(values, None, pooling), values)
    assert_array_equal(pooled(values[:, 0], None, pooling), values[:, :1])


@pytest.mark.parametrize("shape", [(4, 3, 5, 2), (4, 3, 2, 2, 3)])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_maps(shape, pooling):
    values = numbers(*shape)
    if pooling in ("first", "last"):
        with pytest.raises(ValueError, match=f"pooling='{pooling}' takes one of"):
            pooled(values, None, pooling)
        return
    flat = values.numpy().astype(float).reshape(4, 3, -1)
    expected = {"max": flat.max(2), "flatten": flat.reshape(4, -1)}
    expected = expected.get(pooling, flat.mean(2))
    assert_allclose(pooled(values, None, pooling), expected, rtol=1e-6)


MASKS = {
    "right padding": [[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]],
    "left padding": [[0, 0, 1, 1, 1], [0, 0, 0, 0, 1], [1, 1, 1, 1, 1]],
    "holes": [[0, 1, 0, 1, 0], [0, 0, 1, 0, 0], [1, 0, 0, 0, 1]],
}


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float32])
@pytest.mark.parametrize("mask", [None, *MASKS])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_tokens(pooling, mask, dtype):
    values = numbers(3, 5, 2)
    kept = np.ones((3, 5), bool) if mask is None else np.array(MASKS[mask], bool)
    if pooling != "flatten":
        values[~torch.as_tensor(kept)] = torch.nan  # padding may hold anything
    expected = []
    for row, keep in zip(values.numpy().astype(float), kept, strict=True):
        tokens = row[keep]
        expected.append(
            {
                "max": tokens.max(0),
                "flatten": row.ravel(),
                "first": tokens[0],
                "last": tokens[-1],
            }.get(pooling, tokens.mean(0))
        )
    mask = None if mask is None else torch.as_tensor(kept).to(dtype)
    assert_allclose(pooled(values, mask, pooling), expected, rtol=1e-6)


def test_masks_that_do_not_fit():
    values = numbers(3, 5, 2)
    with pytest.raises(ValueError, match=r"mask has shape \(3, 4\), but there are 5"):
        pooled(values, torch.ones(3, 4))
    mask = torch.ones(3, 5)
    mask[1] = 0
    for pooling in ("auto", "max", "first", "last"):
        with pytest.raises(ValueError, match="leaves no token in row 1"):
            pooled(values, mask, pooling)
    with pytest.raises(ValueError, match="there are no tokens"):
        pooled(values[:, :0])
    # Maps and rows have no tokens.
    assert pooled(numbers(3, 2, 2, 2), mask).shape == (3, 2)
    assert pooled(numbers(3, 2), mask).shape == (3, 2)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.int64, torch.float64),
        (torch.bool, torch.float64),
    ],
)
def test_dtypes(dtype, expected):
    values = numbers(3, 5, 2, dtype=dtype)
    rows = pooled(values)
    assert rows.dtype == expected
    # Summed in the wider dtype.
    assert_allclose(rows, values.double().numpy().mean(1), rtol=1e-6)
    assert pooled(values, None, lambda v, mask: v[:, 0].to(dtype)).dtype == expected


def test_callable():
    values, mask = numbers(3, 4, 5, 2), torch.ones(3, 4)
    seen = []

    def channels_last(values, mask):
        seen.append(mask)
        return values.mean((1, 2))

    rows = pooled(values, mask, channels_last)
    assert_allclose(rows, values.double().numpy().mean((1, 2)), rtol=1e-6)
    assert seen[0] is mask


def test_what_is_not_a_row():
    with pytest.raises(ValueError, match="a single number is no row"):
        pooled(torch.tensor(1.0))
    with pytest.raises(ValueError, match="Complex data not supported"):
        pooled(torch.ones(2, 2, dtype=torch.complex64))
    x = [torch.ones(2, 3, 4)]
    for wrong, what in (
        (lambda v, mask: v, r"\(2, 3, 4\)"),
        (lambda v, mask: v.numpy(), "numpy.ndarray"),
    ):
        with pytest.raises(ValueError, match=f"pooling must return.*{what}"):
            extract(torch.nn.Identity(), x, pooling=wrong)
    with pytest.raises(ValueError, match=r"pooling must be one of 'auto'.*got 'avg'"):
        extract(torch.nn.Identity(), x, pooling="avg")
    with pytest.raises(ValueError, match="'pooling' parameter"):
        FeatureExtractor(torch.nn.Identity(), pooling="avg").fit(np.ones((2, 3)))
