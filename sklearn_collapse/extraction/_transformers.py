"""The callback for Hugging Face's Trainer."""

import math

from transformers import TrainerCallback

from sklearn_collapse.extraction._callbacks import logged_names
from sklearn_collapse.extraction._epoch import is_distributed

_KEY = "sklearn_collapse.CollapseTracker"
# The trainer adds up parts of epochs: sums may be off by rounding.
_PART_OF_STEP = 1e-6


class CollapseCallback(TrainerCallback):
    """Run a tracker after each epoch; `transformers_callback` makes one."""

    def __init__(self, tracker, loader, extra, log):
        self.tracker = tracker
        self.loader = loader
        self.extra = extra
        self.log = log
        self._waiting: dict = {}  # numbers logged in an epoch that goes on

    def on_train_begin(self, args, state, control, **kwargs):
        """Continue the history of the checkpoint that training resumes from."""
        saved = (state.stateful_callbacks or {}).get(self._key)
        if saved is not None:
            self.tracker.load_state_dict(saved)

    def on_epoch_end(self, args, state, control, **kwargs):
        """Measure after an epoch of training."""
        loader = kwargs["train_dataloader"] if self.loader is None else self.loader
        table = self.tracker(
            kwargs["model"],
            loader,
            _epoch_of(state),
            extra=self._waiting,
            distributed=is_distributed(),
        )
        self._waiting = {}
        self._remember(state)
        if table is not None:
            self._report(logged_names(table), state, control)

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Keep numbers with their epoch; its last ones come after it has ended."""
        found = {k: logs[k] for k in self.extra if k in (logs or {})}
        if found and _epoch_of(state) in self.tracker.epochs_:
            self.tracker.update_extra(_epoch_of(state), found)
            self._remember(state)
        else:
            self._waiting |= found

    def _remember(self, state):
        """Put the history into what checkpoints keep.

        Not through ExportableState: the trainer makes such callbacks anew from their
        state, without the tracker that the user holds.
        """
        state.stateful_callbacks[self._key] = self.tracker.state_dict()

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


def _epoch_of(state):
    """Epoch to which a step belongs, from 1; the last step of one ends it."""
    return max(1, math.ceil(state.epoch - _PART_OF_STEP))
