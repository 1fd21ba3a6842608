"""One pass of a model over a loader: blocks of features, or their moments."""

from operator import length_hint

from sklearn_collapse.extraction._batches import Inputs
from sklearn_collapse.extraction._capture import Layers
from sklearn_collapse.extraction._inference import check_autocast
from sklearn_collapse.extraction._pooling import check_pooling
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._arrays import to_numpy
from sklearn_collapse.utils._batches import naming
from sklearn_collapse.utils._move import move_estimator
from sklearn_collapse.utils._parallel import with_progress


def feature_blocks(
    model,
    loader,
    layers,
    *,
    pooling="auto",
    autocast=None,
    device="auto",
    progress=False,
):
    """Run the model on each batch of a loader.

    Between batches the model is as the caller left it.

    Yields
    ------
    number : int
        Of the batch, from 0.
    rows : dict of str to tensor of shape (n, d)
        Features by layer.
    labels : object or None
        As the loader gave them.
    """
    check_pooling(pooling)
    check_autocast(autocast)
    watched = Layers(model, layers, pooling=pooling, autocast=autocast)
    inputs = Inputs(model, device)
    number = -1
    batches = with_progress(loader, n_batches(loader), progress, "batches")
    for number, item in enumerate(batches):
        with in_batch(number):
            batch = inputs.read(item)
            rows = watched.features(batch)
        yield number, rows, batch.labels
    if number < 0:
        raise ValueError(
            "The loader gave no batch. An iterator can be read only once: pass a list "
            "or a DataLoader."
        )


def stream_moments(
    model,
    loader,
    layers,
    *,
    pooling="auto",
    autocast=None,
    device="auto",
    progress=False,
    **options,
):
    """Gather the class moments of several layers in one pass.

    No features are stored: memory is that of the moments and of one batch.

    Parameters
    ----------
    model : torch.nn.Module
        It is run where it is, in evaluation mode and without gradients, and left as
        it was.
    loader : iterable
        Batches as for `extract`, in any order. With labels in every batch or in none,
        which is one class.
    layers : str or sequence of str
        Names as for `FeatureExtractor`.
    pooling : {"auto", "mean", "max", "flatten", "first", "last"} or callable, \
            default="auto"
        As for `FeatureExtractor`.
    autocast : torch.dtype or bool, default=None
        As for `FeatureExtractor`.
    device : {"auto"}, str or torch.device, default="auto"
        As for `FeatureExtractor`.
    progress : bool, default=False
        Whether to show a progress bar (with tqdm).
    **options
        Arguments of `ClassMoments`, the same for all layers; its ``device`` is that
        of the features.

    Returns
    -------
    dict of str to ClassMoments
        By name, in the order given. They hold NumPy arrays: features on a CUDA device
        are summed there, those on other devices by NumPy, in float64 either way
        unless ``precision="single"`` says otherwise.

    See Also
    --------
    extract : Keeps the features.

    Notes
    -----
    An error in a batch names it, counted from 0, and the layer.

    Examples
    --------
    >>> import torch
    >>> from sklearn_collapse.collapse import NeuralCollapseScorer
    >>> from sklearn_collapse.extraction import stream_moments
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
    ... )
    >>> data = torch.utils.data.TensorDataset(torch.randn(90, 4), torch.arange(90) % 3)
    >>> loader = torch.utils.data.DataLoader(data, batch_size=30)
    >>> moments = stream_moments(model, loader, ["0", "2:input"])
    >>> moments["2:input"]
    ClassMoments(n_samples=90, n_features=8, n_classes=3)
    >>> scorer = NeuralCollapseScorer().fit_moments(moments["2:input"])
    >>> 0 < scorer.metrics_["vci"] < 1
    True
    """
    names = [layers] if isinstance(layers, str) else list(layers)
    if not names:
        raise ValueError("layers is empty: name at least one layer.")
    blocks = feature_blocks(
        model,
        loader,
        names,
        pooling=pooling,
        autocast=autocast,
        device=device,
        progress=progress,
    )
    return moments_of(blocks, names, **options)


def moments_of(blocks, layers, **options):
    """Class moments by layer from what `feature_blocks` yields."""
    moments = {name: ClassMoments(**options) for name in layers}
    for number, rows, labels in blocks:
        for name, block in rows.items():
            with in_batch(number, name):
                block = block if block.device.type == "cuda" else to_numpy(block)
                moments[name].update(block, labels)
    return {name: move_estimator(found, "numpy") for name, found in moments.items()}


def in_batch(number, layer=None):
    """Say in which batch, and in which layer, something was wrong."""
    return naming(f"batch {number}" + (f", layer {layer!r}" if layer else ""))


def n_batches(loader):
    """Length of a loader, or None if it has none."""
    return length_hint(loader, 0) or None
