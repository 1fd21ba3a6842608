"""One pass of a model over a loader: blocks of features, or their moments."""

from sklearn_collapse.extraction._batches import read_batch
from sklearn_collapse.extraction._capture import Layers, device_of_model, inference
from sklearn_collapse.extraction._pooling import pooled
from sklearn_collapse.moments import ClassMoments
from sklearn_collapse.utils._parallel import with_progress


def feature_blocks(
    model, loader, layers, *, pooling="auto", autocast=None, progress=False
):
    """Yield, for each batch, a dict of features by layer and the labels or None."""
    names = [layers] if isinstance(layers, str) else list(layers)
    device = device_of_model(model)
    total = len(loader) if hasattr(loader, "__len__") else None
    with Layers(model, names).watched() as take, inference(model, autocast):
        for item in with_progress(loader, total, progress, "batches"):
            batch = read_batch(item, device)
            batch.run(model)
            found = take()
            rows = {name: pooled(found[name], batch.mask, pooling) for name in names}
            yield rows, batch.labels


def stream_moments(
    model, loader, layers, *, pooling="auto", autocast=None, progress=False, **options
):
    """Gather the class moments of several layers in one pass.

    Returns
    -------
    dict of str to ClassMoments
    """
    names = [layers] if isinstance(layers, str) else list(layers)
    moments = {name: ClassMoments(**options) for name in names}
    blocks = feature_blocks(
        model, loader, names, pooling=pooling, autocast=autocast, progress=progress
    )
    for rows, labels in blocks:
        for name, block in rows.items():
            moments[name].update(block, labels)
    return moments
