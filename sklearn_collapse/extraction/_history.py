"""History of a network's collapse: what was measured after each epoch."""

from numbers import Integral, Real

from sklearn_collapse.extraction import _measure, _tracker_state
from sklearn_collapse.metrics import METRICS, LayerTable
from sklearn_collapse.metrics._tables import import_pandas

# Columns of records that extra numbers would hide.
_TAKEN = {"epoch", "layer", *METRICS}
# What stands for a callable in a saved state.
_FUNCTION = "a function"


class History:
    """What `CollapseTracker` keeps; it sets ``layers`` and its other parameters."""

    layers: list
    head: dict
    metrics: list
    pooling: object

    def _start(self):
        """Begin with nothing."""
        self._history: dict = {}
        self._extra: dict = {}
        self._next = 0

    def _keep(self, epoch, rows, extra, finite):
        """Put an epoch into the history, in its place."""
        if not finite:
            _measure.warn_of_divergence(epoch)
        self._history = dict(sorted({**self._history, epoch: rows}.items()))
        self._extra = dict(sorted({**self._extra, epoch: extra}.items()))
        self._next = epoch + 1
        return LayerTable(rows)

    @property
    def history_(self):
        """Metrics of each layer after each epoch."""
        return {epoch: LayerTable(rows) for epoch, rows in self._history.items()}

    @property
    def extra_(self):
        """Other numbers of each epoch."""
        return {epoch: dict(values) for epoch, values in self._extra.items()}

    @property
    def epochs_(self):
        """The epochs that were measured, ascending."""
        return list(self._history)

    def __repr__(self):
        """Show how much is known."""
        layers = ", ".join(self.layers)
        return f"CollapseTracker({len(self._history)} epochs of {layers})"

    def update_extra(self, epoch, extra):
        """Add numbers to an epoch that was measured.

        Parameters
        ----------
        epoch : int
            Number of the epoch.
        extra : dict of str to float
            They replace those of the same names.
        """
        epoch = checked_epoch(epoch)
        if epoch not in self._history:
            raise ValueError(
                f"Epoch {epoch} was not measured; the history has {self.epochs_}."
            )
        self._extra[epoch] = {**self._extra[epoch], **checked_extra(extra)}

    def to_records(self):
        """Return one dictionary per epoch and layer.

        Returns
        -------
        list of dict
            With the keys "epoch" and "layer", and one for each metric of the layer
            and each extra number of the epoch.
        """
        return [
            {"epoch": epoch, "layer": layer, **row, **self._extra[epoch]}
            for epoch, rows in self._history.items()
            for layer, row in rows.items()
        ]

    def to_frame(self):
        """Return a pandas DataFrame.

        Returns
        -------
        DataFrame
            Rows are epochs and layers; columns are metrics, then extra numbers, nan
            where there is none. Needs pandas.
        """
        pandas = import_pandas("to_frame", "to_records()")
        records = self.to_records()
        keys = [(record.pop("epoch"), record.pop("layer")) for record in records]
        names = dict.fromkeys(name for record in records for name in record)
        extra = {name for values in self._extra.values() for name in values}
        index = pandas.MultiIndex.from_tuples(keys, names=["epoch", "layer"])
        columns = sorted(names, key=lambda name: name in extra)
        return pandas.DataFrame(records, index=index, columns=columns)

    def plot(self, metrics=None, *, ax=None, **kwargs):
        """Draw the history.

        Parameters
        ----------
        metrics : list, default=None
            Names of metrics and extra numbers, one panel each; a list of names shares
            a panel. None is a choice of those that there are.
        ax : matplotlib Axes or array of Axes, default=None
            One for each panel; by default those of a new figure.
        **kwargs : dict
            Passed to ``ax.plot`` for all lines.

        Returns
        -------
        CollapseTrajectoryDisplay
            The drawn display.
        """
        from sklearn_collapse.plotting import CollapseTrajectoryDisplay

        return CollapseTrajectoryDisplay.from_history(
            self.history_, self._extra, metrics=metrics, ax=ax, **kwargs
        )

    # -- saving ------------------------------------------------------------------------

    def state_dict(self):
        """Return the history as plain values, for a checkpoint of the training.

        Returns
        -------
        dict
            Of texts, numbers, lists and dictionaries; JSON can hold it, and
            ``torch.load`` reads it with ``weights_only=True``.
        """
        return _tracker_state.state_of(
            self._settings(), self._history, self._extra, self._next
        )

    def load_state_dict(self, state):
        """Take over the history that `state_dict` returned.

        Parameters
        ----------
        state : dict
            Of a tracker of the same layers, head, metrics and pooling.

        Returns
        -------
        CollapseTracker
            The object itself, which continues where the other one was. A state that
            raises leaves it as it was.
        """
        settings, history, extra, following = _tracker_state.restored(state)
        for name, mine in self._settings().items():
            if settings[name] != mine:
                raise ValueError(
                    f"The saved history is of {name}={settings[name]!r}, this tracker "
                    f"has {name}={mine!r}: make one with the same {name}."
                )
        self._history, self._extra, self._next = history, extra, following
        return self

    def save(self, path):
        """Write the history to a JSON file, which is whole at any time.

        Parameters
        ----------
        path : str or path-like
            A file that is there is replaced in one step.
        """
        _tracker_state.write(path, self.state_dict())

    @classmethod
    def load(cls, path, *, pooling=None, **options):
        """Read a tracker from a file.

        Parameters
        ----------
        path : str or path-like
            A file that `save` wrote.
        pooling : callable, default=None
            The function that was used, if it was one: a file cannot hold it.
        **options
            ``every_n_epochs``, ``autocast`` and ``progress``, which the file does not
            hold either.

        Returns
        -------
        CollapseTracker
            It continues where the saved one was.
        """
        state = _tracker_state.read(path)
        settings, *_ = _tracker_state.restored(state)
        kept = settings["pooling"]
        if (kept == _FUNCTION) != callable(pooling):
            raise ValueError(
                f"The saved history was pooled with {kept}: pass pooling= only if that "
                f"is a function, and then the same one."
            )
        tracker = cls(  # type: ignore[call-arg]
            settings["layers"],
            head=settings["head"],
            metrics=settings["metrics"],
            pooling=kept if pooling is None else pooling,
            **options,
        )
        return tracker.load_state_dict(state)

    def _settings(self):
        """What the numbers depend on, as plain values."""
        return {
            "layers": list(self.layers),
            "head": dict(self.head),
            "metrics": list(self.metrics),
            "pooling": _FUNCTION if callable(self.pooling) else self.pooling,
        }


def checked_epoch(epoch):
    if not isinstance(epoch, Integral) or isinstance(epoch, bool) or epoch < 0:
        raise ValueError(
            f"epoch must be a non-negative integer, got {epoch!r}. It may also count "
            f"steps."
        )
    return int(epoch)


def checked_extra(extra):
    """Extra numbers as floats, by name."""
    checked = {}
    for name, value in (extra or {}).items():
        if not isinstance(name, str) or name in _TAKEN:
            raise ValueError(
                f"extra holds {name!r}: its keys must be texts other than 'epoch', "
                f"'layer' and the names of METRICS."
            )
        if isinstance(value, Real) or getattr(value, "ndim", None) == 0:
            checked[name] = float(value)
        else:
            raise TypeError(
                f"extra[{name!r}] must be a number, got {type(value).__name__}."
            )
    return checked
