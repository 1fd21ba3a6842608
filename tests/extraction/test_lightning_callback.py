"""Collapse tracked while Lightning trains, for real."""

import csv
import warnings

import pytest

torch = pytest.importorskip("torch")
with warnings.catch_warnings():
    # What it imports uses names that other packages have deprecated.
    warnings.simplefilter("ignore")
    lightning = pytest.importorskip("lightning.pytorch")

from lightning.pytorch.callbacks import ModelCheckpoint  # noqa: E402
from lightning.pytorch.loggers import CSVLogger  # noqa: E402

from sklearn_collapse.extraction import (  # noqa: E402
    CollapseTracker,
    lightning_callback,
)

pytestmark = [
    # Its progress of trees still asks torch in the old way.
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec:DeprecationWarning"),
    # It recommends processes for loading, which tests do without.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # A resumed run finds the checkpoints of the first.
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists"),
]


class Net(lightning.LightningModule):
    """A hidden layer and a head, on rows of five numbers."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.ReLU())
        self.fc = torch.nn.Linear(8, 3)

    def forward(self, x):
        return self.fc(self.body(x))

    def _loss(self, batch):
        return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])

    def training_step(self, batch, index):
        loss = self._loss(batch)
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, index, dataloader_idx=0):
        self.log("val_loss", self._loss(batch))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def make_loader(shuffle=False):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 3
    X = torch.randn(60, 5, generator=generator) + y[:, None]
    data = torch.utils.data.TensorDataset(X, y)
    return torch.utils.data.DataLoader(data, batch_size=16, shuffle=shuffle)


def make_tracker(**options):
    return CollapseTracker(["body", "fc:input"], head="fc", **options)


def fit(
    folder,
    *callbacks,
    n_epochs=2,
    resume=None,
    shuffle=False,
    logger=False,
    wrap=lambda loader: loader,
):
    torch.manual_seed(0)
    model = Net()
    saving = ModelCheckpoint(dirpath=folder, save_top_k=-1, filename="{epoch}")
    trainer = lightning.Trainer(
        max_epochs=n_epochs,
        accelerator="cpu",
        logger=logger,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        callbacks=[*callbacks, saving],
    )
    loaders = make_loader(shuffle), wrap(make_loader())
    trainer.fit(model, *loaders, ckpt_path=resume)
    return model, trainer


@pytest.mark.parametrize("when", ["train", "validation"])
def test_history_log_and_resumed_run(tmp_path, when):
    tracker = make_tracker(metrics="all")
    extra = ["loss" if when == "train" else "val_loss", "unknown"]
    callback = lightning_callback(tracker, when=when, extra=extra)
    logger = CSVLogger(tmp_path, name="log", version=0)
    model, _ = fit(tmp_path / "a", callback, n_epochs=3, logger=logger)
    assert callback.tracker is tracker
    assert tracker.epochs_ == [0, 1, 2]
    # The last epoch is that of the model as it is now.
    again = make_tracker(metrics="all")(model, make_loader())
    assert again == tracker.history_[2]
    assert [list(numbers) for numbers in tracker.extra_.values()] == [extra[:1]] * 3

    with (tmp_path / "log/version_0/metrics.csv").open() as file:
        rows = [*csv.DictReader(file)]
    for name in ("nc1_pinv", "nc4_agreement"):
        logged = [r[f"collapse/fc:input/{name}"] for r in rows]
        values = [float(value) for value in logged if value]
        kept = [table["fc:input"][name] for table in tracker.history_.values()]
        assert values == pytest.approx(kept, rel=1e-6)
    for epoch, numbers in tracker.extra_.items():
        logged = [r[extra[0]] for r in rows if r["epoch"] == str(epoch)]
        assert any(
            numbers[extra[0]] == pytest.approx(float(value), rel=1e-6)
            for value in logged
            if value
        )

    resumed = make_tracker(metrics="all")
    callback = lightning_callback(resumed, when=when, extra=extra, log=False)
    fit(tmp_path / "a", callback, n_epochs=3, resume=tmp_path / "a/epoch=1.ckpt")
    if when == "train":
        # The checkpoint was saved when validation ended, before its epoch did.
        assert resumed.epochs_[-1] == 2
        assert resumed.history_[2] == tracker.history_[2]
    else:
        assert resumed.to_records() == tracker.to_records()


def test_training_is_the_same_and_loader_of_its_own(tmp_path):
    tracker = make_tracker(every_n_epochs=2)
    seen = []

    class Watched(list):
        def __iter__(self):
            seen.append(None)
            return super().__iter__()

    callback = lightning_callback(tracker, Watched(make_loader()), log=False)
    plain, _ = fit(tmp_path / "a", n_epochs=3, shuffle=True)
    watched, trainer = fit(tmp_path / "b", callback, n_epochs=3, shuffle=True)
    pairs = zip(plain.parameters(), watched.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert tracker.epochs_ == [0, 2]
    assert len(seen) == 2
    assert not any(name.startswith("collapse") for name in trainer.callback_metrics)


@pytest.mark.parametrize("wrap", [lambda one: [one], lambda one: {"a": one}])
def test_loaders_in_a_collection(tmp_path, wrap):
    trackers = [make_tracker(), make_tracker()]
    callbacks = [lightning_callback(tracker, when="validation") for tracker in trackers]
    fit(tmp_path / "a", callbacks[0], n_epochs=1)
    fit(tmp_path / "b", callbacks[1], n_epochs=1, wrap=wrap)
    assert trackers[0].epochs_ == [0]
    assert trackers[1].to_records() == trackers[0].to_records()


def test_several_loaders(tmp_path):
    callback = lightning_callback(make_tracker(), when="validation")
    with pytest.raises(ValueError, match="has 2 loaders: say by loader="):
        fit(tmp_path, callback, n_epochs=1, wrap=lambda one: [one, one])


def test_when():
    with pytest.raises(ValueError, match=r"one of \['train', 'validation'\], got 'x'"):
        lightning_callback(make_tracker(), when="x")
