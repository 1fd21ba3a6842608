"""Moments of layers without storing features."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

torch = pytest.importorskip("torch")

from sklearn_collapse.extraction import stream_moments  # noqa: E402


def test_moments_of_two_layers():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(5, 7),
        torch.nn.ReLU(),
        torch.nn.Dropout(),
        torch.nn.Linear(7, 3),
    )
    X, y = torch.randn(100, 5), torch.arange(100) % 3
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(X, y), batch_size=32
    )
    found = stream_moments(model, loader, ["1", "3:input", "3"])
    assert model.training
    with torch.no_grad():
        hidden = torch.relu(model[0](X))
        logits = model[3](hidden)
    for name, values in (("1", hidden), ("3:input", hidden), ("3", logits)):
        rows = values.numpy().astype(float)
        for c in range(3):
            mean = rows[y.numpy() == c].mean(axis=0)
            assert_allclose(np.asarray(found[name].means_)[c], mean, rtol=1e-6)
