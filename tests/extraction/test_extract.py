"""Loaders of all kinds, labels, heads; what goes wrong half-way."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits

torch = pytest.importorskip("torch")

from torch_models import by_hand, conv_net, images, loader_of  # noqa: E402

from sklearn_collapse import LinearHead  # noqa: E402
from sklearn_collapse.collapse import NeuralCollapseScorer  # noqa: E402
from sklearn_collapse.extraction import ExtractedFeatures, extract  # noqa: E402
from sklearn_collapse.extraction._extract import _Growing  # noqa: E402

nn = torch.nn


class Sum(nn.Module):
    """Takes two inputs."""

    def forward(self, a, b):
        return a + 10 * b


@pytest.fixture(scope="module")
def data():
    return images()


# -- what a loader yields ------------------------------------------------------------


def as_dataloader(X, y):
    dataset = torch.utils.data.TensorDataset(torch.as_tensor(X), torch.as_tensor(y))
    return torch.utils.data.DataLoader(dataset, batch_size=16)


def as_numpy(X, y):
    X = X.copy()
    X.flags.writeable = False
    return [(X[:20], y[:20]), (X[20:], y[20:].tolist())]


def as_generator(X, y):
    yield from loader_of(X, y, 7)


def as_iterable_dataset(X, y):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            yield from zip(torch.as_tensor(X), y.tolist(), strict=True)

    return torch.utils.data.DataLoader(Stream(), batch_size=16)


def as_growing(X, y):
    """The first batch is the smallest, so the reserved rows are too few."""
    edges = [0, 1, 3, 10, 50]
    return [(torch.as_tensor(X[a:b]), y[a:b]) for a, b in pairwise(edges)]


def as_float64(X, y):
    return [(X[::-1].astype(">f8")[::-1], y)]


@pytest.mark.parametrize(
    "make",
    [
        as_dataloader,
        as_numpy,
        as_generator,
        as_iterable_dataset,
        as_growing,
        as_float64,
    ],
)
def test_loaders(data, make):
    X, y = data
    model = conv_net()
    found = extract(model, make(X, y), head="fc")
    assert isinstance(found, ExtractedFeatures)
    assert found.features.dtype == np.float32
    assert found.features.flags.c_contiguous
    assert_allclose(found.features, by_hand(model, X)["features"], rtol=1e-4, atol=1e-6)
    assert_array_equal(found.labels, y)
    assert found.features.shape == (50, 6)


def test_shapes_of_batches():
    a, b, y = torch.rand(4, 3), torch.rand(4, 3), ["u", "v", "u", "w"]
    expected = a + 10 * b
    inner = {"a": a, "b": b.numpy()}
    for batch, labels in (
        (((a, b), y), y),
        ([[a, b], y], y),
        ((inner, y), y),
        (inner, None),
        ({**inner, "labels": y}, y),
        ({**inner, "label": y}, y),
        ({**inner, "y": y}, y),
        ([inner], None),
        (((a, b), None), None),
    ):
        found = extract(Sum(), [batch])
        assert_array_equal(found.features, expected)
        assert (found.labels is None) == (labels is None)
        if labels is not None:
            assert_array_equal(found.labels, labels)
    alone = extract(nn.Identity(), [a, [b], (a,)])
    assert_array_equal(alone.features, torch.cat([a, b, a]))
    with pytest.raises(ValueError, match=r"In batch 1: A batch must be .* got 3 parts"):
        extract(nn.Identity(), [a, (a, b, y)])


def test_other_inputs_move_or_stay():
    class Graph:
        """As of a library for graphs: knows how to move."""

        def __init__(self, x, device=None):
            self.x, self.device = x, device

        def to(self, device):
            return Graph(self.x, device)

    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 2)

        def forward(self, graph, scale=1.0):
            assert graph.device == torch.device("cpu")
            return self.fc(graph.x) * scale

    model, x = Reads(), torch.rand(4, 3)
    with torch.no_grad():
        expected = 2 * model.fc(x)
    batch = {"graph": Graph(x), "scale": 2.0}
    assert_array_equal(extract(model, [batch]).features, expected)


def test_dtypes_of_inputs():
    """Floats follow the model; integers do unless they are tokens."""
    seen = []

    def note(module, args):
        seen.append(args[0].dtype)

    linear, embedding = nn.Linear(3, 2), nn.Embedding(5, 2)
    for model, x, expected in (
        (linear, torch.ones(2, 3, dtype=torch.float64), torch.float32),
        (linear, torch.ones(2, 3, dtype=torch.uint8), torch.float32),
        (linear, np.ones((2, 3), np.longdouble), torch.float32),
        (nn.Linear(3, 2).bfloat16(), torch.ones(2, 3), torch.bfloat16),
        (embedding, torch.ones(2, 3, dtype=torch.int32), torch.int32),
        (nn.Identity(), torch.ones(2, 3, dtype=torch.int32), torch.float64),
        (nn.Identity(), torch.ones(2, 3, dtype=torch.float64), torch.float64),
    ):
        handle = model.register_forward_pre_hook(note)
        extract(model, [x])
        handle.remove()
        assert seen.pop() == expected
    later = nn.Sequential(nn.Linear(3, 2))  # an embedding that reads other inputs
    later[0].classes = nn.Embedding(5, 2)
    found = extract(later, [torch.ones(2, 3, dtype=torch.uint8)], ":input")
    assert found.features.dtype == np.float32
    pair = (torch.ones(2, 3), torch.ones(2, 3, dtype=torch.int64))
    model = Sum()
    model.weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    model.register_forward_pre_hook(lambda m, args: seen.extend(a.dtype for a in args))
    extract(model, [(pair, None)])
    assert seen == [torch.float64, torch.int64]


# -- labels --------------------------------------------------------------------------


def test_targets_of_several_columns():
    x, y = torch.rand(5, 3), torch.rand(5, 2)
    found = extract(nn.Identity(), [(x[:2], y[:2]), (x[2:], y[2:])])
    assert_array_equal(found.labels, y)


@pytest.mark.parametrize("first", [True, False])
def test_labels_in_some_batches(first):
    x = torch.rand(4, 3)
    batches = [(x, torch.arange(4)), (x, None)]
    with pytest.raises(ValueError, match="In batch 1: Batches with and without labels"):
        extract(nn.Identity(), batches if first else batches[::-1])


def test_labels_of_another_length():
    x = torch.rand(4, 3)
    batches = [(x, torch.arange(4)), (x, torch.arange(3))]
    with pytest.raises(
        ValueError, match=r"In batch 1: labels have shape \(3,\).* 4 sa"
    ):
        extract(nn.Identity(), batches)
    with pytest.raises(ValueError, match=r"labels have shape \(\)"):
        extract(nn.Identity(), [(x, 3)])


# -- how much ------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 16, 20, 49, 50, 500])
@pytest.mark.parametrize("make", [as_dataloader, as_generator, as_growing])
def test_max_samples(data, n, make):
    X, y = data
    model, read = conv_net(), []

    def counted():
        for batch in make(X, y):
            read.append(len(batch[0]))
            yield batch

    found = extract(model, counted(), max_samples=n)
    kept = min(n, 50)
    assert_allclose(
        found.features, by_hand(model, X)["fc"][:kept], rtol=1e-4, atol=1e-6
    )
    assert_array_equal(found.labels, y[:kept])
    # Nothing is read that is not needed.
    assert sum(read[:-1]) < kept


def test_no_more_rows_are_reserved_than_wanted():
    kept = _Growing(n_batches=1000, max_rows=7)
    kept.add(np.ones((5, 2), np.float32))
    assert len(kept._array) == 7
    assert kept.add(np.ones((5, 2), np.float32)) == 2
    assert kept.full
    assert kept.rows().shape == (7, 2)


@pytest.mark.parametrize("n", [0, -1, 2.5, "3"])
def test_max_samples_is_refused(n):
    with pytest.raises(ValueError, match="max_samples must be None or a positive"):
        extract(nn.Identity(), [torch.ones(2, 2)], max_samples=n)


def test_an_empty_loader():
    iterator = iter([torch.ones(2, 2)])
    extract(nn.Identity(), iterator)
    for loader in ([], iterator):
        with pytest.raises(ValueError, match="The loader gave no batch"):
            extract(nn.Identity(), loader)


def test_progress(data, capsys):
    pytest.importorskip("tqdm")
    extract(conv_net(), as_dataloader(*data), progress=True)
    assert "4/4" in capsys.readouterr().err


# -- errors half-way -------------------------------------------------------------------


def test_nan_in_a_late_batch(data):
    X, y = data
    X = X.copy()
    X[35, 1, 2, 2] = np.nan
    with pytest.raises(ValueError, match=r"In batch 2: Input features contains NaN: f"):
        extract(conv_net(), loader_of(X, y))
    with pytest.raises(ValueError, match=r"first in row 3, column 0"):
        extract(conv_net(), loader_of(X, y))


def test_width_that_changes():
    batches = [torch.ones(2, 3), torch.ones(2, 4)]
    with pytest.raises(ValueError, match="In batch 1: features have 4 columns, but 3"):
        extract(nn.Identity(), batches)


def test_error_of_the_model(data):
    X, y = data
    with pytest.raises(RuntimeError, match="channels"):  # torch's own
        extract(conv_net(), loader_of(X[:, :2], y))


# -- heads -----------------------------------------------------------------------------


def test_head(data):
    X, y = data
    model = conv_net()
    for head in ("fc", "module.fc", model.fc):
        found = extract(model, loader_of(X, y), head=head)
        assert isinstance(found.head, LinearHead)
        logits = by_hand(model, X)["fc"]
        assert_allclose(
            found.head.decision_function(found.features), logits, rtol=1e-4, atol=1e-5
        )
    other = extract(model, loader_of(X, y), "norm", "fc")
    assert_allclose(
        other.features, by_hand(model, X)["norm"].mean((2, 3)), rtol=1e-4, atol=1e-6
    )
    # Training goes on; the head stays.
    before = other.head.coef_.copy()
    with torch.no_grad():
        model.fc.weight.add_(1)
        model.fc.bias.add_(1)
    assert_array_equal(other.head.coef_, before)
    named = other.head.set_params(classes=list("abcd"))
    assert_array_equal(named.classes_, list("abcd"))


def test_head_without_bias():
    model = nn.Linear(3, 2, bias=False).bfloat16()
    found = extract(model, [torch.ones(2, 3)], head="")
    assert_array_equal(found.head.coef_, model.weight.detach().double())
    assert_array_equal(found.head.intercept_, [0, 0])
    assert_array_equal(found.features, np.ones((2, 3)))


def test_wrong_heads(data):
    model = conv_net()
    for head, message in (
        ("classifier", "no layer 'classifier'"),
        ("conv", "head 'conv' is a Conv2d, not a linear layer"),
        ("relu", "head 'relu' is a ReLU, not a linear layer"),
        (nn.Linear(2, 2), "not a module of the model"),
    ):
        with pytest.raises(ValueError, match=message):
            extract(model, loader_of(*data), head=head)


# -- a trained network -----------------------------------------------------------------


def test_digits():
    """Metrics of a trained network's features and head equal those by hand."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2)
    )
    model.append(nn.Linear(32, 10))
    inputs, targets = torch.as_tensor(X), torch.as_tensor(y)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    found = extract(model, as_dataloader(X, y), head="4")

    model.eval()
    with torch.no_grad():
        hidden = model[2](model[1](model[0](inputs))).numpy()
        logits = model(inputs).numpy()
    assert np.mean(logits.argmax(1) == y) > 0.97  # it has learned
    assert np.mean(found.head.predict(found.features) == y) > 0.97
    head = LinearHead(model[4].weight.detach(), model[4].bias.detach())
    by_extract = NeuralCollapseScorer(head=found.head).fit(found.features, found.labels)
    manual = NeuralCollapseScorer(head=head).fit(hidden, y)
    assert set(by_extract.metrics_) == set(manual.metrics_)
    assert {"nc3_self_duality", "nc4_agreement", "vci"} <= set(manual.metrics_)
    for name, value in manual.metrics_.items():
        # Batches of other sizes are rounded otherwise.
        assert_allclose(by_extract.metrics_[name], value, rtol=1e-4, err_msg=name)


# -- files for the report ------------------------------------------------------------


def test_saved_for_the_report(data, tmp_path, capsys):
    """What the command reads is what was extracted."""
    from sklearn_collapse.report.cli import main

    X, y = data
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(X[0].size, 6), nn.ReLU())
    net = nn.Sequential(*net, nn.Linear(6, int(max(y)) + 1)).eval()
    name = str(len(net) - 1)
    found = extract(net, loader_of(X, y, 16), head=name)
    ood = {"far": found._replace(features=found.features + 1), "zero": np.zeros((3, 6))}
    found.save(tmp_path / "last", test=found, ood=ood)
    stored = np.load(tmp_path / "last.npz")
    assert_array_equal(stored["X"], found.features)
    assert_array_equal(stored["X_test"], found.features)
    assert_array_equal(stored["y_test"], y)
    assert_array_equal(stored["W"], net[-1].weight.detach().numpy())
    assert_array_equal(stored["b"], net[-1].bias.detach().numpy())
    assert_array_equal(stored["ood_far"], found.features + 1)
    assert main(["report", str(tmp_path / "last.npz"), "--json", "-"]) == 0
    assert '"test rows come with the features"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "There are no labels"),
        (np.zeros((3, 2)), "shape \\(3, 2\\)"),
        (np.array(["a", None, "b"]), "got object"),
    ],
)
def test_labels_that_cannot_be_saved(tmp_path, labels, message):
    found = ExtractedFeatures(np.eye(3), labels, None)
    with pytest.raises(ValueError, match=message):
        found.save(tmp_path / "x.npz")
    assert not (tmp_path / "x.npz").exists()
