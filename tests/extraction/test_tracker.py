"""Collapse followed over epochs, against a plain loop and NumPy."""

import json
import math
import random

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_collapse import ClassMoments, LinearHead
from sklearn_collapse.collapse import NeuralCollapseScorer
from sklearn_collapse.extraction import CollapseTracker
from sklearn_collapse.metrics import METRICS, CollapseWarning, LayerTable

N_CLASSES, WIDTH = 3, 6


def make_moments(seed=0, spread=0.5):
    rng = np.random.default_rng(seed)
    y = np.arange(90) % N_CLASSES
    means = rng.normal(size=(N_CLASSES, WIDTH))
    X = means[y] + spread * rng.normal(size=(90, WIDTH))
    head = LinearHead(means + 0.1 * rng.normal(size=means.shape), np.zeros(N_CLASSES))
    return ClassMoments.from_arrays(X, y), head


def filled(n_epochs=4, **options):
    """Tracker with epochs that were gathered elsewhere."""
    tracker = CollapseTracker("features", **options)
    for epoch in range(n_epochs):
        moments, head = make_moments(epoch, 1 / (1 + epoch))
        extra = {"loss": 1 / (1 + epoch)}
        tracker.update_moments(epoch, {"features": moments}, head=head, extra=extra)
    return tracker


# -- from moments, without torch -----------------------------------------------------


def test_metrics_of_moments():
    moments, head = make_moments()
    tracker = CollapseTracker("features")
    table = tracker.update_moments(3, {"features": moments}, head=head)
    expected = NeuralCollapseScorer(head=head).fit_moments(moments).metrics_
    assert table["features"] == expected
    assert isinstance(table, LayerTable)
    assert tracker.history_[3]["features"] == expected
    assert {"nc1_pinv", "cdnv", "vci", "nc2_etf_error", "nc3_product"} <= set(expected)
    without = CollapseTracker("features").update_moments(0, {"features": moments})
    lacking = set(expected) - set(without["features"])
    assert lacking == {name for name in expected if name.startswith("nc3")}


def test_records_and_frame():
    pytest.importorskip("pandas")
    tracker = filled(2, metrics=["vci", "nc3_product"])
    first, second = tracker.to_records()
    assert list(second) == ["epoch", "layer", "vci", "nc3_product", "loss"]
    assert (second["epoch"], second["layer"], second["loss"]) == (1, "features", 0.5)
    assert first["vci"] == tracker.history_[0]["features"]["vci"]
    frame = tracker.to_frame()
    assert frame.index.names == ["epoch", "layer"]
    assert list(frame.columns) == ["vci", "nc3_product", "loss"]
    assert frame.loc[(1, "features"), "loss"] == 0.5
    assert repr(tracker) == "CollapseTracker(2 epochs of features)"


def test_epochs_in_any_order_and_again():
    tracker = CollapseTracker("a", metrics=["vci"])
    for epoch, seed in ((5, 0), (2, 1), (5, 2)):
        tracker.update_moments(epoch, {"a": make_moments(seed)[0]}, extra={"n": seed})
    assert tracker.epochs_ == [2, 5]
    assert tracker.extra_ == {2: {"n": 1.0}, 5: {"n": 2.0}}
    value = NeuralCollapseScorer().fit_moments(make_moments(2)[0]).metrics_["vci"]
    assert tracker.history_[5]["a"]["vci"] == value


def test_what_is_returned_is_a_copy():
    tracker = filled(1)
    kept = tracker.to_records()
    tracker.history_.clear()
    tracker.extra_[0]["loss"] = 7
    tracker.history_[0]["features"]["vci"] = 7
    tracker.state_dict()["epochs"][0]["layers"]["features"]["vci"] = 7
    assert tracker.to_records() == kept


def test_numbers_that_come_later():
    tracker = filled(2)
    tracker.update_extra(1, {"test accuracy": 0.5, "loss": 0.25})
    assert tracker.extra_ == {0: {"loss": 1.0}, 1: {"loss": 0.25, "test accuracy": 0.5}}
    with pytest.raises(ValueError, match="Epoch 2 was not measured"):
        tracker.update_extra(2, {"loss": 0.0})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": []}, "at least one layer, each once"),
        ({"layers": ["a", "a"]}, "at least one layer, each once"),
        ({"layers": "a", "head": "fc"}, "reads the layer 'fc:input', which is not"),
        ({"layers": "a", "head": {"b": "fc"}}, "reads the layer 'b', which is not"),
        ({"layers": "a", "metrics": "some"}, "None, 'all' or a list of names"),
        ({"layers": "a", "metrics": []}, "at least one of"),
        ({"layers": "a", "metrics": ["tolerance"]}, "passed as extra="),
        ({"layers": "a", "metrics": ["vci", "vci"]}, "each once"),
        ({"layers": "a", "every_n_epochs": 0}, "a positive integer, got 0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        CollapseTracker(**arguments)


@pytest.mark.parametrize(
    "arguments", [{"layers": ["a", 3]}, {"layers": 3}, {"layers": "3:input", "head": 3}]
)
def test_names_that_are_no_texts(arguments):
    with pytest.raises(TypeError, match=r"takes names as model.* got int"):
        CollapseTracker(**arguments)


def test_nothing_but_metrics_of_a_head_without_one():
    tracker = CollapseTracker("features", metrics=["nc3_self_duality"])
    moments, head = make_moments()
    with pytest.raises(ValueError, match="need a head, and no layer has one"):
        tracker.update_moments(0, {"features": moments})
    with pytest.raises(ValueError, match="need a head, and no layer has one"):
        tracker(None, [], 0)
    assert not tracker.epochs_
    table = tracker.update_moments(0, {"features": moments}, head=head)
    assert list(table["features"]) == ["nc3_self_duality"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"epoch": -1}, ValueError, "non-negative integer, got -1"),
        ({"epoch": 1.0}, ValueError, "non-negative integer, got 1.0"),
        ({"moments": {}}, ValueError, r"of the layers \['features'\], got \[\]"),
        ({"moments": {"features": 3}}, TypeError, "ClassMoments"),
        ({"extra": {"vci": 1.0}}, ValueError, "names of METRICS"),
        ({"extra": {"epoch": 1.0}}, ValueError, "other than 'epoch'"),
        ({"extra": {"loss": "low"}}, TypeError, "must be a number, got str"),
        ({"head": {"other": None}}, ValueError, "head names the layer 'other'"),
        ({"head": LinearHead(np.eye(3))}, ValueError, "features"),
    ],
)
def test_epoch_that_raises_leaves_the_history(arguments, error, message):
    tracker = filled(2)
    kept = tracker.state_dict()
    given = {"epoch": 2, "moments": {"features": make_moments()[0]}} | arguments
    with pytest.raises(error, match=message):
        tracker.update_moments(**given)
    assert tracker.state_dict() == kept


def test_one_head_for_two_layers():
    moments, head = make_moments()
    both = {"a": moments, "b": moments}
    with pytest.raises(ValueError, match="could be that of"):
        CollapseTracker(["a", "b"]).update_moments(0, both, head=head)
    table = CollapseTracker(["a", "b"], head={"b": "fc"}).update_moments(
        0, both, head=head
    )
    assert "nc3_product" in table["b"]
    assert "nc3_product" not in table["a"]


def test_one_class_is_refused():
    moments = ClassMoments.from_arrays(np.eye(4), np.zeros(4))
    tracker = CollapseTracker("a")
    with pytest.raises(ValueError, match="class"):
        tracker.update_moments(0, {"a": moments})
    assert tracker.epochs_ == []


def test_weights_that_are_not_finite():
    moments, head = make_moments()
    bad = LinearHead(np.where(np.eye(*head.coef.shape) > 0, np.nan, head.coef))
    tracker = CollapseTracker("a", metrics=["nc3_product", "vci"])
    with pytest.warns(CollapseWarning, match="epoch 4 are not finite") as caught:
        table = tracker.update_moments(4, {"a": moments}, head=bad)
    assert caught[0].filename == __file__
    assert list(table["a"]) == ["nc3_product", "vci"]
    assert math.isnan(table["a"]["nc3_product"])
    assert (
        table["a"]["vci"] == NeuralCollapseScorer().fit_moments(moments).metrics_["vci"]
    )


# -- saving --------------------------------------------------------------------------


def test_save_and_load(tmp_path):
    tracker = filled(3, every_n_epochs=2)
    odd = {"nan": math.nan, "up": math.inf, "down": -math.inf}
    tracker.update_extra(1, odd)
    path = tmp_path / "collapse.json"
    path.write_text("what was there before", encoding="utf-8")
    tracker.save(path)
    json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    loaded = CollapseTracker.load(path, every_n_epochs=3)
    assert_array_equal([loaded.extra_[1][k] for k in odd], list(odd.values()))
    assert loaded.history_ == tracker.history_
    assert loaded.state_dict() == tracker.state_dict()
    assert loaded.every_n_epochs == 3
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_save_leaves_the_file(tmp_path, monkeypatch):
    tracker = filled(1)
    path = tmp_path / "collapse.json"
    tracker.save(path)
    kept = path.read_bytes()
    tracker.update_extra(0, {"loss": 2.0})

    def full(*arguments, **options):
        raise OSError("no space left")

    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(OSError, match="no space left"):
        tracker.save(path)
    assert path.read_bytes() == kept
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("settings", ["head", "metrics", "layers", "pooling"])
def test_state_of_other_settings(settings):
    others = {
        "layers": CollapseTracker(["fc:input", "a"], head="fc"),
        "head": CollapseTracker("fc:input"),
        "metrics": CollapseTracker("fc:input", head="fc", metrics=["vci"]),
        "pooling": CollapseTracker("fc:input", head="fc", pooling="max"),
    }
    tracker = CollapseTracker("fc:input", head="fc")
    with pytest.raises(ValueError, match=f"is of {settings}="):
        tracker.load_state_dict(others[settings].state_dict())


DAMAGES = {
    "newer": (lambda s: s.update(version=2), "format version 2; this version"),
    "unmarked": (lambda s: s.pop("format"), "no saved CollapseTracker"),
    "lacks epochs": (lambda s: s.pop("epochs"), "damaged"),
    "lacks settings": (lambda s: s.pop("metrics"), "damaged"),
    "text": (lambda s: s["epochs"][0]["extra"].update(loss="low"), "damaged"),
    "epoch": (lambda s: s["epochs"][0].update(epoch="1"), "damaged"),
    "list": (lambda s: s["epochs"][0].update(layers=[1]), "damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_states(damage, tmp_path):
    spoil, message = DAMAGES[damage]
    tracker = filled(2)
    kept, state = tracker.to_records(), tracker.state_dict()
    spoil(state)
    with pytest.raises(ValueError, match=message):
        tracker.load_state_dict(state)
    assert tracker.to_records() == kept
    path = tmp_path / "collapse.json"
    path.write_text(json.dumps(state), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        CollapseTracker.load(path)


@pytest.mark.parametrize("content", [b"", b'{"format": "skl', b"\xff\xfe\x00", b"[]"])
def test_files_that_are_no_histories(content, tmp_path):
    path = tmp_path / "collapse.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"not JSON, or was cut off|lacks the mark"):
        CollapseTracker.load(path)
    with pytest.raises(FileNotFoundError):
        CollapseTracker.load(tmp_path / "none.json")


def test_pooling_by_a_function(tmp_path):
    path = tmp_path / "collapse.json"
    CollapseTracker("a", pooling=np.mean).save(path)
    with pytest.raises(ValueError, match="pooled with a function: pass pooling="):
        CollapseTracker.load(path)
    assert CollapseTracker.load(path, pooling=np.mean).pooling is np.mean


# -- with a network --------------------------------------------------------------------


def make_network(seed=0):
    torch = pytest.importorskip("torch")
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(64, 24),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.2),
        torch.nn.Linear(24, 12),
        torch.nn.ReLU(),
        torch.nn.Linear(12, 10),
    )


def make_digits(n=400):
    torch = pytest.importorskip("torch")
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return torch.tensor(X[:n] / 16, dtype=torch.float32), torch.tensor(y[:n])


def make_loader(X, y, **options):
    torch = pytest.importorskip("torch")

    data = torch.utils.data.TensorDataset(X, y)
    return torch.utils.data.DataLoader(data, batch_size=64, **options)


def train(model, X, y, optimizer):
    """One epoch; its order is drawn from torch's generator."""
    torch = pytest.importorskip("torch")

    for rows in torch.randperm(len(X)).split(40):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(X[rows]), y[rows]).backward()
        optimizer.step()


LAYERS = ["1", "5:input"]
# Features are float32, and batches of another size round differently.
RTOL = 1e3 * np.finfo(np.float32).eps


def run(n_epochs, tracker=None, start=None):
    """Train, after a checkpoint if one is given; yields one after each epoch."""
    torch = pytest.importorskip("torch")

    X, y = make_digits()
    model = make_network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    epoch, checkpoint = 0, None
    if start is not None:
        epoch = start["epoch"]
        model.load_state_dict(start["model"])
        optimizer.load_state_dict(start["optimizer"])
        torch.set_rng_state(start["random"])
        tracker.load_state_dict(start["tracker"])
    loader = make_loader(X, y, shuffle=True)
    while epoch < n_epochs:
        train(model, X, y, optimizer)
        if tracker is not None:
            tracker(model, loader)
        epoch += 1
        checkpoint = {
            "epoch": epoch,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "tracker": tracker.state_dict() if tracker is not None else None,
        }
    return model, checkpoint


def test_digits_against_a_plain_loop():
    """Every epoch equals features taken by hand, and NC1 falls."""
    torch = pytest.importorskip("torch")

    X, y = make_digits()
    model = make_network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    tracker = CollapseTracker(LAYERS, head="5", metrics="all")
    labels = y.numpy()
    for epoch in range(5):
        for _ in range(3):
            train(model, X, y, optimizer)
        table = tracker(model, make_loader(X, y, shuffle=True))
        assert model.training
        model.eval()
        with torch.no_grad():
            first = torch.relu(model[0](X)).double().numpy()
            last = torch.relu(model[3](torch.relu(model[0](X)))).double().numpy()
            logits = model[5](torch.relu(model[3](torch.relu(model[0](X)))))
        model.train()
        weights = model[5].weight.detach().double().numpy()
        for layer, features in (("1", first), ("5:input", last)):
            names = ["nc1_pinv", "nc1_trace_ratio", "cdnv", "nc2_equinorm"]
            for name in names:
                assert_allclose(
                    table[layer][name], by_hand(name, features, labels), rtol=RTOL
                )
            nearest = nearest_mean(features, labels)
            right = np.mean(nearest == labels)
            assert table[layer]["ncm_accuracy"] == pytest.approx(right)
        agree = np.mean(nearest == logits.argmax(1).numpy())
        assert table["5:input"]["nc4_agreement"] == pytest.approx(agree)
        duality = self_duality(last, labels, weights)
        assert_allclose(table["5:input"]["nc3_self_duality"], duality, rtol=RTOL)
        assert tracker.epochs_[-1] == epoch
        assert "nc4_agreement" not in table["1"]
    nc1 = [table["5:input"]["nc1_pinv"] for table in tracker.history_.values()]
    assert nc1[-1] < 0.5 * nc1[0]
    assert set(table["5:input"]) <= set(METRICS)


def parts(X, y):
    """Class means, within- and between-class covariance, by loops."""
    means = np.array([X[y == c].mean(axis=0) for c in np.unique(y)])
    away = means - X.mean(axis=0)
    within = sum(
        np.outer(x - means[c], x - means[c]) for x, c in zip(X, y, strict=True)
    )
    between = sum(np.outer(away[c], away[c]) for c in y)
    return means, within / len(y), between / len(y)


def by_hand(name, X, y):
    means, within, between = parts(X, y)
    if name == "nc1_pinv":
        return np.trace(within @ np.linalg.pinv(between, rcond=1e-9)) / len(means)
    if name == "nc1_trace_ratio":
        return np.trace(within) / np.trace(between)
    if name == "cdnv":
        spread = [np.mean((X[y == c] - means[c]) ** 2) * X.shape[1] for c in range(10)]
        return np.mean(
            [
                (spread[a] + spread[b]) / (2 * np.sum((means[a] - means[b]) ** 2))
                for a in range(10)
                for b in range(10)
                if a != b
            ]
        )
    norms = np.linalg.norm(means - X.mean(axis=0), axis=1)
    return norms.std() / norms.mean()


def nearest_mean(X, y):
    means = parts(X, y)[0]
    return np.array([np.argmin(np.linalg.norm(means - x, axis=1)) for x in X])


def self_duality(X, y, weights):
    means = parts(X, y)[0]
    centred = means - X.mean(axis=0)
    return np.linalg.norm(
        weights / np.linalg.norm(weights) - centred / np.linalg.norm(centred)
    )


def test_training_is_the_same_with_a_tracker():
    torch = pytest.importorskip("torch")

    plain, _ = run(3)
    tracker = CollapseTracker(LAYERS, head="5", metrics="all")
    watched, _ = run(3, tracker)
    pairs = zip(plain.parameters(), watched.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert tracker.epochs_ == [0, 1, 2]


@pytest.mark.parametrize("metrics", [None, "all"])
def test_loader_of_the_training_with_a_generator(metrics):
    torch = pytest.importorskip("torch")
    from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

    X, y = make_digits(60)
    data = TensorDataset(X, y)
    # The generator is the loader's, that of its sampler, or that of a batch sampler.
    loaders = [
        lambda own: DataLoader(data, 20, shuffle=True, generator=own),
        lambda own: DataLoader(data, 20, sampler=RandomSampler(data, generator=own)),
        lambda own: DataLoader(
            data,
            batch_sampler=BatchSampler(RandomSampler(data, generator=own), 20, False),
        ),
    ]
    for make in loaders:
        plain, watched = (make(torch.Generator().manual_seed(0)) for _ in range(2))
        tracker = CollapseTracker("1", metrics=metrics)
        for _ in range(2):
            orders = [torch.cat([b[1] for b in one]) for one in (plain, watched)]
            assert torch.equal(*orders)
            tracker(make_network(), watched)


def test_random_numbers_that_a_loader_draws():
    X, y = make_digits(60)
    drawn = []

    class Augmented(list):
        def __iter__(self):
            drawn.append((random.random(), np.random.random()))  # noqa: NPY002
            return super().__iter__()

    tracker = CollapseTracker("1")
    for _ in range(2):
        tracker(make_network(), Augmented([(X, y)]))
    assert len(drawn) == 2
    assert drawn[0] == drawn[1]


def test_resumed_run_equals_an_uninterrupted_one(tmp_path):
    torch = pytest.importorskip("torch")

    whole = CollapseTracker(LAYERS, head="5", metrics="all")
    run(4, whole)
    _, checkpoint = run(2, CollapseTracker(LAYERS, head="5", metrics="all"))
    torch.save(checkpoint, tmp_path / "checkpoint.pt")
    again = CollapseTracker(LAYERS, head="5", metrics="all")
    run(4, again, torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    assert again.to_records() == whole.to_records()


def test_every_second_epoch():
    X, y = make_digits(60)
    model, loader = make_network(), make_loader(X, y)
    tracker = CollapseTracker("1", every_n_epochs=2)
    found = [tracker(model, loader) for _ in range(4)]
    assert [table is None for table in found] == [False, True, False, True]
    assert tracker.epochs_ == [0, 2]
    assert tracker(model, None, 5) is None  # not even looked at
    tracker(model, loader)
    assert tracker.epochs_ == [0, 2, 6]


@pytest.mark.parametrize("where", [0, 5])
def test_diverged_training_goes_on(where):
    """Of features everything is lost, of the head's weights what needs them."""
    X, y = make_digits(60)
    model = make_network()
    tracker = CollapseTracker(LAYERS, head="5", metrics="all")
    before = tracker(model, make_loader(X, y))
    model[where].weight.data[0, 0] = math.nan
    with pytest.warns(CollapseWarning, match="epoch 1 are not finite"):
        table = tracker(model, make_loader(X, y), extra={"loss": math.nan})
    for layer, row in table.items():
        assert list(row) == list(before[layer])
        for name, value in row.items():
            lost = where == 0 or "head" in METRICS[name].needs
            assert math.isnan(value) if lost else value == before[layer][name]
    assert tracker.epochs_ == [0, 1]


FAULTS = {
    "one class": (lambda X, y: make_loader(X, 0 * y), "class"),
    "no labels": (lambda X, y: [(X, y), X], "Batch 1 has no labels"),
    "no batch": (lambda X, y: [], "no batch"),
    "iterator": (lambda X, y: iter([(X, y)]), "two passes over the rows"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_loaders_that_cannot_be_measured(fault):
    X, y = make_digits(60)
    model = make_network()
    make, message = FAULTS[fault]
    tracker = CollapseTracker(LAYERS, head="5", metrics="all")
    tracker(model, make_loader(X, y))
    kept = tracker.state_dict()
    with pytest.raises(ValueError, match=message):
        tracker(model, make(X, y))
    assert tracker.state_dict() == kept
    assert model.training


def test_loader_that_raises_half_way():
    X, y = make_digits(60)
    tracker = CollapseTracker("1")

    def batches():
        yield X[:30], y[:30]
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        tracker(make_network(), batches())
    assert tracker.epochs_ == []
    # One pass over an iterator is enough for the metrics of moments.
    tracker(make_network(), iter([(X, y)]))
    assert tracker.epochs_ == [0]


@pytest.mark.parametrize(
    ("layers", "head", "message"),
    [
        ("9", None, "'9'"),
        ("1:input", "1", "not a linear layer"),
        ("8:input", "8", "'8'"),
        (["1"], {"1": "5"}, "features"),
    ],
)
def test_layers_and_heads_that_are_not_there(layers, head, message):
    X, y = make_digits(60)
    with pytest.raises(ValueError, match=message):
        CollapseTracker(layers, head=head)(make_network(), make_loader(X, y))
