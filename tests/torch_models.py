"""Small torch models, and features by plain forward passes: the oracle."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn


class ConvNet(nn.Module):
    """Convolution, batch norm, in-place ReLU, dropout and a linear head."""

    def __init__(self, n_classes=4):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(6, n_classes)

    def forward(self, x):
        return self.fc(
            self.drop(self.pool(self.relu(self.norm(self.conv(x)))).flatten(1))
        )


def conv_net(seed=0, **options):
    """A net whose running statistics are not those it began with."""
    torch.manual_seed(seed)
    model = ConvNet(**options)
    model(torch.randn(20, 3, 6, 6))
    return model


def images(n=50, seed=1):
    """Images and labels, as NumPy arrays."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3, 6, 6)).astype(np.float32), rng.integers(0, 4, n)


def loader_of(X, y, batch_size=16):
    """Plain batches in order."""
    return [
        (torch.as_tensor(X[i : i + batch_size]), torch.as_tensor(y[i : i + batch_size]))
        for i in range(0, len(X), batch_size)
    ]


def by_hand(model, X):
    """Outputs of the steps of a `ConvNet`, in float64 NumPy arrays."""
    relu = nn.functional.relu
    norm = model.norm
    with torch.no_grad():
        x = torch.as_tensor(X).float()
        conv = nn.functional.conv2d(x, model.conv.weight, model.conv.bias)
        shape = (1, -1, 1, 1)
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        centred = conv - norm.running_mean.reshape(shape)
        normed = centred * scale.reshape(shape) + norm.bias.reshape(shape)
        maps = relu(normed)
        features = maps.mean((2, 3))
        logits = features @ model.fc.weight.T + model.fc.bias
    steps = {
        "conv": conv,
        "norm": normed,
        "relu": maps,
        "features": features,
        "fc": logits,
    }
    return {name: step.double().numpy() for name, step in steps.items()}
