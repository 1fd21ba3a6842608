"""The callback for Hugging Face's Trainer."""

from transformers import TrainerCallback

from sklearn_collapse.extraction._callbacks import logged_names
from sklearn_collapse.extraction._epoch import is_distributed

_KEY = "sklearn_collapse.CollapseTracker"


class CollapseCallback(TrainerCallback):
    """Run a tracker after each epoch; `transformers_callback` makes one."""

    def __init__(self, tracker, loader, extra, log):
        self.tracker = tracker
        self.loader = loader
        self.extra = extra
        self.log = log

    def on_train_begin(self, args, state, control, **kwargs):
        """Continue the history of the checkpoint that training resumes from."""
        saved = (state.stateful_callbacks or {}).get(self._key)
        if saved is not None:
            self.tracker.load_state_dict(saved)

    def on_epoch_end(self, args, state, control, *, model, train_dataloader, **kwargs):
        """Measure after an epoch of training."""
        logged = {k: v for entry in state.log_history for k, v in entry.items()}
        table = self.tracker(
            model,
            train_dataloader if self.loader is None else self.loader,
            round(state.epoch),
            extra={name: logged[name] for name in self.extra if name in logged},
            distributed=is_distributed(),
        )
        # Not through ExportableState: its callbacks are made anew from their state,
        # without the tracker that the user holds.
        state.stateful_callbacks[self._key] = self.tracker.state_dict()
        if table is not None:
            self._report(logged_names(table), state, control)

    def _report(self, numbers, state, control):
        if self.log is None:
            entry = {"epoch": state.epoch, "step": state.global_step, **numbers}
            state.log_history.append(entry)
            return
        # Trainer.log takes back the request to log the loss of this epoch.
        requested = control.should_log
        self.log(numbers)
        control.should_log = requested

    @property
    def _key(self):
        return f"{_KEY}({', '.join(self.tracker.layers)})"
