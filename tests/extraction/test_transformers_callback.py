"""Collapse tracked while a Hugging Face Trainer trains, for real and offline."""

import json
import os
import warnings

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
# Before the first import, which reads them.
for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
    os.environ.setdefault(name, "1")
with warnings.catch_warnings():
    # What it imports uses names that other packages have deprecated.
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers")
    from transformers import BertConfig, BertForSequenceClassification
    from transformers.trainer import Trainer, TrainingArguments

from sklearn_collapse.extraction import (  # noqa: E402
    CollapseTracker,
    transformers_callback,
)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No bars of progress, no advice, and not our tests' folder as a package."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    # tests/ is on the path of modules, and has a folder "datasets".
    monkeypatch.setattr(transformers.trainer, "is_datasets_available", lambda: False)


def make_rows():
    generator = torch.Generator().manual_seed(0)
    rows = []
    for k in range(48):
        words = torch.randint(6, 20, (6,), generator=generator)
        words[:2] = 3 + k % 3
        mask = torch.ones(6, dtype=torch.long)
        mask[4 + k % 2 :] = 0
        rows.append({"input_ids": words, "attention_mask": mask, "labels": k % 3})
    return rows


def make_tracker(**options):
    return CollapseTracker(
        ["bert.encoder", "classifier:input"], head="classifier", **options
    )


def fit(folder, *, resume=None, make_callback=None, **options):
    transformers.set_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 16, "vocab_size": 20}
    config = BertConfig(
        **size,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=8,
        num_labels=3,
    )
    arguments = {
        "num_train_epochs": 3,
        "per_device_train_batch_size": 16,
        "save_strategy": "epoch",
        "logging_strategy": "epoch",
        "eval_strategy": "epoch",
        "learning_rate": 1e-2,
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
    }
    rows = make_rows()
    trainer = Trainer(
        BertForSequenceClassification(config),
        TrainingArguments(folder, **{**arguments, **options}),
        train_dataset=rows,
        eval_dataset=rows,
    )
    if make_callback is not None:
        trainer.add_callback(make_callback(trainer))
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def batches():
    """All rows as batches of the trainer."""
    return torch.utils.data.DataLoader(
        make_rows(), batch_size=16, collate_fn=transformers.default_data_collator
    )


def losses(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def test_history_log_and_resumed_run(tmp_path):
    tracker = make_tracker(metrics="all")
    extra = ["loss", "eval_loss", "unknown"]

    def make_callback(trainer):
        return transformers_callback(tracker, extra=extra, log=trainer.log)

    trainer = fit(tmp_path / "a", make_callback=make_callback)
    assert tracker.epochs_ == [1, 2, 3]
    again = make_tracker(metrics="all")(trainer.model, batches())
    for layer, row in tracker.history_[3].items():
        assert again[layer] == pytest.approx(row, rel=1e-3)
    # The loss of an epoch is its own, and is logged although the metrics are.
    assert len(losses(trainer)) == 3
    assert [numbers["loss"] for numbers in tracker.extra_.values()] == losses(trainer)
    for epoch, numbers in tracker.extra_.items():
        assert set(numbers) == {"loss", "eval_loss"}
        (logged,) = [
            entry
            for entry in trainer.state.log_history
            if entry["epoch"] == epoch and "collapse/classifier:input/vci" in entry
        ]
        for layer, row in tracker.history_[epoch].items():
            for name, value in row.items():
                assert logged[f"collapse/{layer}/{name}"] == value

    # A checkpoint may have been moved.
    moved = (tmp_path / "a/checkpoint-6").rename(tmp_path / "moved")
    json.loads((moved / "trainer_state.json").read_text(encoding="utf-8"))
    resumed = make_tracker(metrics="all")
    fit(
        tmp_path / "b",
        resume=str(moved),
        make_callback=lambda _: transformers_callback(resumed, extra=extra),
    )
    assert resumed.epochs_ == [1, 2, 3]
    assert resumed.extra_[3] == pytest.approx(tracker.extra_[3])
    for epoch, table in tracker.history_.items():
        for layer, row in table.items():
            assert resumed.history_[epoch][layer] == pytest.approx(row)


def test_training_is_the_same_and_loader_of_its_own(tmp_path):
    tracker = make_tracker()
    plain = fit(tmp_path / "a", save_strategy="no", eval_strategy="no")
    watched = fit(
        tmp_path / "b",
        save_strategy="no",
        eval_strategy="no",
        logging_strategy="steps",
        logging_steps=5,
        make_callback=lambda _: transformers_callback(
            tracker, batches(), extra=["loss"]
        ),
    )
    pairs = zip(plain.model.parameters(), watched.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    # Step 5 is in the second of three epochs of three steps.
    (loss,) = losses(watched)
    assert tracker.extra_ == {1: {}, 2: {"loss": loss}, 3: {}}
    found = [e for e in watched.state.log_history if "collapse/bert.encoder/vci" in e]
    assert [(entry["epoch"], entry["step"]) for entry in found] == [
        (1.0, 3),
        (2.0, 6),
        (3.0, 9),
    ]
