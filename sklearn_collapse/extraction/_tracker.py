"""Neural collapse of a network, epoch by epoch."""

from collections.abc import Mapping
from numbers import Integral

from sklearn_collapse.extraction import _measure
from sklearn_collapse.extraction._history import History, checked_epoch, checked_extra


class CollapseTracker(History):
    """Follow the neural collapse of a network while it is trained.

    Called once per epoch with the model and a loader, it gathers the class moments of
    all layers in one pass, in evaluation mode and without gradients, and keeps the
    metrics of each layer. Training goes on as it would without it: the modes of the
    modules and the states of random generators are put back: those of Python, NumPy and
    torch, of the model's CUDA device, and of the loader and its samplers.

    Parameters
    ----------
    layers : str or list of str
        Names as in ``model.named_modules()``: the output of that module, or with
        ":input" appended its first input.
    head : str or dict of str to str, default=None
        Name of the last linear layer, for NC3, and with ``metrics="all"`` for NC4, of
        the layer that is its input: ``head="fc"`` goes with the layer "fc:input". A
        dictionary names the linear layer of each layer that has one.
    metrics : {None, "all"} or list of str, default=None
        Names in `METRICS`. None: all that class moments and the head give in one pass.
        "all": "nc4_agreement" and "ncm_accuracy" as well. These need the class means
        first and then the rows, which is a second pass over the loader. Metrics that
        need a head are those of layers that have one.
    pooling : str or callable, default="auto"
        How maps and tokens become one row per sample; see `stream_moments`.
    every_n_epochs : int, default=1
        Calls for other epochs than its multiples return None without a pass.
    autocast : torch.dtype, default=None
        Type in which the model is run.
    progress : bool, default=False
        Whether to show a progress bar; needs tqdm.

    Attributes
    ----------
    history_ : dict of int to LayerTable
        Metrics of each layer after each epoch: ``history_[epoch][layer][metric]``.
    extra_ : dict of int to dict of str to float
        Other numbers of each epoch.
    epochs_ : list of int
        The epochs that were measured, ascending.

    See Also
    --------
    stream_moments : The pass over the loader.
    lightning_callback : Calls it while Lightning trains.
    transformers_callback : Calls it while a Hugging Face Trainer trains.
    sklearn_collapse.plotting.CollapseTrajectoryDisplay : The picture.
    sklearn_collapse.metrics.layerwise : A table over layers from features at hand.

    Notes
    -----
    An epoch that is measured again replaces what was kept of it, so that a run which
    was interrupted can repeat an epoch; the history is always in ascending order. A
    pass that raises leaves the history as it was.

    Features or weights that are not finite do not end the training: what they were
    needed for is recorded as nan, with a `CollapseWarning`. Other errors, such as a
    loader with a single class or a layer that does not exist, are raised.

    Workers that a DataLoader keeps (``persistent_workers``) have generators that nobody
    else can put back: where they augment images, pass another loader than that of the
    training.

    The numbers are those of the loader: neural collapse is a statement about training
    images without augmentation. Layers in evaluation mode differ from what was trained
    where there is dropout or batch normalisation.

    References
    ----------
    .. [1] Papyan, V., Han, X. Y., Donoho, D. L. (2020). "Prevalence of neural collapse
       during the terminal phase of deep learning training". PNAS 117(40).

    Examples
    --------
    Moments that were gathered elsewhere need no torch:

    >>> from sklearn_collapse import ClassMoments
    >>> from sklearn_collapse.datasets import load_cifar8_trajectory
    >>> from sklearn_collapse.extraction import CollapseTracker
    >>> data = load_cifar8_trajectory()
    >>> tracker = CollapseTracker("features", metrics=["nc1_pinv", "nc3_self_duality"])
    >>> for epoch in (1, 38):
    ...     moments = ClassMoments.from_arrays(data.features[epoch], data.target)
    ...     accuracy = data.test_accuracy[epoch]
    ...     table = tracker.update_moments(
    ...         epoch,
    ...         {"features": moments},
    ...         head=data.heads[epoch],
    ...         extra={"test_accuracy": accuracy},
    ...     )
    >>> table
    layer     nc1_pinv  nc3_self_duality
    features    0.5752            0.5768
    >>> tracker.epochs_
    [1, 38]

    In a training loop, with a head that is the layer "fc"::

        tracker = CollapseTracker(["layer4", "fc:input"], head="fc")
        for epoch in range(n_epochs):
            train(model)
            tracker(model, loader, epoch, extra={"loss": loss})
            tracker.save("collapse.json")
        tracker.plot()
    """

    def __init__(
        self,
        layers,
        *,
        head=None,
        metrics=None,
        pooling="auto",
        every_n_epochs=1,
        autocast=None,
        progress=False,
    ):
        self.layers = _names(layers)
        if not self.layers or len(set(self.layers)) < len(self.layers):
            raise ValueError(
                f"layers must name at least one layer, each once, got {self.layers}."
            )
        self.head = self._heads_of_layers(head)
        self.metrics = _measure.checked_metrics(metrics)
        if not isinstance(every_n_epochs, Integral) or every_n_epochs < 1:
            raise ValueError(
                f"every_n_epochs must be a positive integer, got {every_n_epochs!r}."
            )
        self.pooling = pooling
        self.every_n_epochs = int(every_n_epochs)
        self.autocast = autocast
        self.progress = progress
        self._start()

    def _heads_of_layers(self, head):
        """Name of the linear layer of each layer that has one."""
        if head is None:
            return {}
        named = head if isinstance(head, Mapping) else {f"{head}:input": head}
        for name in named.values():
            _check_name(name, "head")
        unknown = [layer for layer in named if layer not in self.layers]
        if unknown:
            raise ValueError(
                f"head={head!r} reads the layer {unknown[0]!r}, which is not among "
                f"layers={self.layers}: add it, or pass a dictionary "
                f"{{layer: name of the linear layer that reads it}}."
            )
        return dict(named)

    # -- measuring -----------------------------------------------------------------

    def __call__(self, model, loader, epoch=None, *, extra=None, distributed=False):
        """Measure the model after an epoch.

        Parameters
        ----------
        model : torch.nn.Module
            The model, which is left in its mode.
        loader : iterable
            Batches as for `stream_moments`, with labels.
        epoch : int, default=None
            Number of the epoch; None is one more than in the last call.
        extra : dict of str to float, default=None
            Other numbers of the epoch to keep and plot, such as the loss.
        distributed : bool, default=False
            Whether all processes of torch.distributed call this together, each with
            its share of the rows: the moments of all are measured, by each of them.

        Returns
        -------
        LayerTable or None
            Metrics of each layer; None if the epoch is left out.
        """
        epoch = checked_epoch(self._next if epoch is None else epoch)
        extra = checked_extra(extra)
        if epoch % self.every_n_epochs:
            self._next = epoch + 1
            return None
        self._check_anything_to_measure(self.head)
        if _measure.wants_rows(self.metrics) and hasattr(loader, "__next__"):
            raise ValueError(
                "nc4_agreement and ncm_accuracy take two passes over the rows, but "
                "loader is an iterator, which has one: pass a DataLoader or a list, or "
                "leave them out of metrics."
            )
        # Here, since moments that were gathered elsewhere need no torch.
        from sklearn_collapse.extraction._epoch import measure_epoch

        options = {"autocast": self.autocast, "progress": self.progress}
        rows, finite = measure_epoch(
            model,
            loader,
            self.layers,
            self.head,
            self.metrics,
            distributed=distributed,
            pooling=self.pooling,
            **options,
        )
        return self._keep(epoch, rows, extra, finite)

    def update_moments(self, epoch, moments, *, head=None, extra=None):
        """Measure moments that were gathered elsewhere.

        Parameters
        ----------
        epoch : int
            Number of the epoch.
        moments : dict of str to ClassMoments
            Moments of each of the layers.
        head : classifier or dict of str to classifier, default=None
            Such as a `LinearHead`, of the layer that has one, or of each.
        extra : dict of str to float, default=None
            Other numbers of the epoch.

        Returns
        -------
        LayerTable
            Metrics of each layer, without those that need rows.
        """
        epoch = checked_epoch(epoch)
        extra = checked_extra(extra)
        if set(moments) != set(self.layers):
            raise ValueError(
                f"moments must be of the layers {self.layers}, got {list(moments)}."
            )
        heads = self._given_heads(head)
        self._check_anything_to_measure(heads)
        rows = {
            layer: _measure.measure(moments[layer], heads.get(layer), self.metrics)[1]
            for layer in self.layers
        }
        finite = all(map(_measure.is_finite, heads.values()))
        return self._keep(epoch, rows, extra, finite)

    def _given_heads(self, head):
        if head is None or isinstance(head, Mapping):
            heads = dict(head or {})
            unknown = [layer for layer in heads if layer not in self.layers]
            if unknown:
                raise ValueError(
                    f"head names the layer {unknown[0]!r}, but the layers are "
                    f"{self.layers}."
                )
            return heads
        owners = list(self.head) or self.layers
        if len(owners) > 1:
            raise ValueError(
                f"head is one classifier, but it could be that of {owners}: pass a "
                f"dictionary of layers and heads."
            )
        return {owners[0]: head}

    def _check_anything_to_measure(self, heads):
        if not heads and not _measure.of_layer(self.metrics, None):
            raise ValueError(
                f"All of metrics={self.metrics} need a head, and no layer has one: "
                f"pass head=, or other metrics."
            )


def _names(layers):
    """Names of layers as a list."""
    names = list(layers) if isinstance(layers, (list, tuple)) else [layers]
    for name in names:
        _check_name(name, "layers")
    return names


def _check_name(name, what):
    if not isinstance(name, str):
        raise TypeError(
            f"{what} takes names as model.named_modules() lists them, got "
            f"{type(name).__name__}."
        )
