"""The callback for Lightning."""

try:
    from lightning.pytorch import Callback
except ModuleNotFoundError as error:
    if error.name != "lightning":
        raise
    # The same under its older name, whose trainers do not know the other's callbacks.
    from pytorch_lightning import Callback  # type: ignore[assignment]

from sklearn_collapse.extraction._callbacks import logged_names
from sklearn_collapse.extraction._epoch import is_distributed


class CollapseCallback(Callback):
    """Run a tracker after each epoch; `lightning_callback` makes one."""

    def __init__(self, tracker, loader, when, extra, log):
        self.tracker = tracker
        self.loader = loader
        self.when = when
        self.extra = extra
        self.log_metrics = log

    @property
    def state_key(self):
        """Name in a checkpoint, which tells several callbacks apart."""
        return self._generate_state_key(layers=self.tracker.layers, when=self.when)

    def state_dict(self):
        """Return what a checkpoint keeps."""
        return self.tracker.state_dict()

    def load_state_dict(self, state_dict):
        """Continue the history of a checkpoint."""
        self.tracker.load_state_dict(state_dict)

    def on_train_epoch_end(self, trainer, pl_module):
        """Measure after an epoch of training."""
        if self.when == "train":
            self._measure(trainer, pl_module, trainer.train_dataloader)

    def on_validation_epoch_end(self, trainer, pl_module):
        """Measure after an epoch of validation that belongs to training."""
        in_fit = trainer.state.fn == "fit" and not trainer.sanity_checking
        if self.when == "validation" and in_fit:
            self._measure(trainer, pl_module, trainer.val_dataloaders)

    def _measure(self, trainer, pl_module, own):
        logged = trainer.callback_metrics
        table = self.tracker(
            pl_module,
            _single(own) if self.loader is None else self.loader,
            trainer.current_epoch,
            extra={name: logged[name] for name in self.extra if name in logged},
            distributed=is_distributed(),
        )
        if table is not None and self.log_metrics:
            pl_module.log_dict(logged_names(table), rank_zero_only=False)


def _single(loader):
    """The loader of a trainer, which may have a collection of them."""
    if isinstance(loader, (list, tuple, dict)):
        several = list(loader.values() if isinstance(loader, dict) else loader)
        if len(several) != 1:
            raise ValueError(
                f"The trainer has {len(several)} loaders: say by loader= which one the "
                f"tracker is to measure."
            )
        return several[0]
    return loader
