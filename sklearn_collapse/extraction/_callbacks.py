"""Callbacks that track collapse while a framework trains; it is imported on use."""

_WHEN = ("train", "validation")


def lightning_callback(tracker, loader=None, *, when="train", extra=(), log=True):
    """Make a callback that runs a tracker while a Lightning Trainer trains.

    Its state goes into the checkpoints of the trainer: training that is resumed from
    one continues the history. With several processes each measures its share of the
    rows, and all have the numbers of all rows.

    Parameters
    ----------
    tracker : CollapseTracker
        Called after each epoch with the LightningModule; layers are named as in it.
    loader : DataLoader, default=None
        Batches to measure; None is the trainer's own. A loader that is given is not
        divided among processes: rows then count once for each of them, which leaves
        the metrics as they are.
    when : {"train", "validation"}, default="train"
        After which kind of epoch, and whose loader is the trainer's own.
    extra : list of str, default=()
        Names of logged numbers (``trainer.callback_metrics``) to keep with the epoch.
    log : bool, default=True
        Whether to log the metrics, as "collapse/layer/metric".

    Returns
    -------
    lightning.pytorch.Callback
        With the attribute ``tracker``. Needs lightning or pytorch-lightning.

    See Also
    --------
    transformers_callback : The same for a Hugging Face Trainer.

    Notes
    -----
    Where there is a validation loop, ``ModelCheckpoint`` saves when it ends, which is
    before the training epoch ends: with ``when="validation"`` the checkpoint has the
    epoch that it belongs to, otherwise it lacks that one. Pass ``loader=`` to measure
    the training images then. Of ``extra``, what training logs once per epoch is at that
    time still that of the epoch before. The sanity check before training is not
    measured.

    Examples
    --------
    >>> from sklearn_collapse.extraction import CollapseTracker, lightning_callback
    >>> tracker = CollapseTracker("fc:input", head="fc")
    >>> callback = lightning_callback(tracker)  # doctest: +SKIP
    >>> trainer = Trainer(callbacks=[callback])  # doctest: +SKIP
    """
    if when not in _WHEN:
        raise ValueError(f"when must be one of {list(_WHEN)}, got {when!r}.")
    from sklearn_collapse.extraction._lightning import CollapseCallback

    return CollapseCallback(tracker, loader, when, list(extra), log)


def transformers_callback(tracker, loader=None, *, extra=(), log=None):
    """Make a callback that runs a tracker while a Hugging Face Trainer trains.

    Its state goes into the state of the trainer and with it into the checkpoints
    (trainer_state.json): training that is resumed from one continues the history. With
    several processes each measures its share of the rows, and all have the numbers of
    all rows.

    Parameters
    ----------
    tracker : CollapseTracker
        Called after each epoch with the trainer's model. The first epoch is 1, as the
        trainer counts them once they are over.
    loader : DataLoader, default=None
        Batches to measure; None is the trainer's own for training. A loader that is
        given is not divided among processes: rows then count once for each of them,
        which leaves the metrics as they are.
    extra : list of str, default=()
        Names of numbers in the trainer's log, such as "loss" or "eval_loss", to keep
        with the epoch: the last that is logged in it or when it ends.
    log : callable, default=None
        What to log the metrics with, as "collapse/layer/metric":
        ``trainer.add_callback(transformers_callback(tracker, log=trainer.log))``
        reaches all that the trainer reports to. None adds them to
        ``trainer.state.log_history`` alone.

    Returns
    -------
    transformers.TrainerCallback
        With the attribute ``tracker``. Needs transformers and accelerate.

    See Also
    --------
    lightning_callback : The same for Lightning.

    Examples
    --------
    >>> from sklearn_collapse.extraction import CollapseTracker, transformers_callback
    >>> tracker = CollapseTracker("classifier:input", head="classifier")
    >>> callback = transformers_callback(tracker)  # doctest: +SKIP
    >>> trainer = Trainer(model, args, callbacks=[callback])  # doctest: +SKIP
    """
    from sklearn_collapse.extraction._transformers import CollapseCallback

    return CollapseCallback(tracker, loader, list(extra), log)


def logged_names(table):
    """Metrics of a table under the names for a log."""
    return {
        f"collapse/{layer}/{name}": value
        for layer, row in table.items()
        for name, value in row.items()
    }
