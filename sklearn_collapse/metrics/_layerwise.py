"""Metrics over the layers of a network, or over its checkpoints."""

import inspect
from collections.abc import Mapping

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from sklearn_collapse.metrics._call import Measure
from sklearn_collapse.metrics._registry import METRICS
from sklearn_collapse.metrics._tables import import_pandas, text_table


class LayerTable(Mapping):
    """Metrics of layers or checkpoints: a mapping that shows itself as a table.

    ``table["layer"]["metric"]`` is a value; a metric that a layer does not have, for
    want of a head, is not in its dictionary.

    Parameters
    ----------
    values : dict of str to dict of str to float
        Metrics of each layer.

    See Also
    --------
    layerwise : Computes it.

    Examples
    --------
    >>> from sklearn_collapse.metrics import LayerTable
    >>> table = LayerTable({"conv": {"vci": 0.75}, "final": {"vci": 0.125}})
    >>> table
    layer    vci
    conv    0.75
    final  0.125
    >>> table["final"]["vci"]
    0.125
    """

    def __init__(self, values):
        self._values = {name: dict(row) for name, row in values.items()}

    def __getitem__(self, layer):
        return dict(self._values[layer])

    def __iter__(self):
        return iter(self._values)

    def __len__(self):
        return len(self._values)

    def __repr__(self):
        """Show one line per layer."""
        names = self.metric_names
        lines = [["layer", *names]]
        for layer, row in self._values.items():
            cells = [f"{row[name]:.4g}" if name in row else "" for name in names]
            lines.append([str(layer), *cells])
        return text_table(lines)

    @property
    def metric_names(self):
        """Names of all metrics, in the order in which they appear."""
        return list(
            dict.fromkeys(name for row in self._values.values() for name in row)
        )

    def to_records(self):
        """Return one dictionary per layer, as `ood_table` does.

        Returns
        -------
        list of dict
            With the key "layer" and one key for each metric of the layer.
        """
        return [{"layer": layer, **row} for layer, row in self._values.items()]

    def to_frame(self):
        """Return a pandas DataFrame.

        Returns
        -------
        DataFrame
            Layers in the rows, metrics in the columns, nan where a layer does not
            have one. Needs pandas.
        """
        pandas = import_pandas("to_frame", "to_records()")
        index = pandas.Index(list(self._values), name="layer")
        rows = list(self._values.values())
        return pandas.DataFrame(rows, index=index, columns=self.metric_names)


def layerwise(scorer, layers, y=None, *, sample_weight=None, head=None):
    """Measure the features of several layers or checkpoints.

    Parameters
    ----------
    scorer : estimator, str, list or dict
        An estimator with ``metrics_``, of which a clone is fitted to each layer, or
        names in ``METRICS`` or functions of (X), (X, y) or (X, y, head); a dictionary
        gives them the names of columns, for one function with several options. A
        scorer gathers what its metrics share once, the others are measured one by one.
    layers : dict of str to array-like of shape (n, d)
        Features of the same rows; the number of features may differ.
    y : array-like of shape (n,) or (n, t), default=None
        Labels or targets of the rows, for metrics that take them.
    sample_weight : array-like of shape (n,), default=None
        Frequencies of the rows.
    head : object or dict of str to object, default=None
        Head for all layers, or for those that have one: layers without one lack the
        metrics that need it. An estimator gets it as its parameter ``head``.

    Returns
    -------
    LayerTable
        A mapping of layers to dictionaries of metrics, with ``to_frame()`` and
        ``to_records()``.

    See Also
    --------
    bootstrap_difference : Whether two layers or checkpoints differ.
    ood_table : Detectors on out-of-distribution sets.

    Notes
    -----
    The estimator that is passed is left as it was.

    References
    ----------
    .. [1] He, H., Su, W. J. (2023). "A Law of Data Separation in Deep Learning".
       PNAS 120(36).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.metrics import layerwise
    >>> data = load_cifar8_features()
    >>> X, y = data.X_test, data.y_test
    >>> layers = {"features": X, "logits": data.head.decision_function(X)}
    >>> layerwise(["nc1_trace_ratio", "ncm_accuracy"], layers, y)
    layer     nc1_trace_ratio  ncm_accuracy
    features           0.9318        0.8425
    logits             0.3855        0.8645
    """
    if not isinstance(layers, Mapping) or not layers:
        raise ValueError(
            f"layers must be a dictionary of at least one name and its features, got "
            f"{layers if isinstance(layers, Mapping) else type(layers).__name__}."
        )
    heads = head if isinstance(head, Mapping) else dict.fromkeys(layers, head)
    unknown = [name for name in heads if name not in layers]
    if unknown:
        raise ValueError(
            f"head names the layer {unknown[0]!r}, but the layers are {list(layers)}."
        )
    by_names = _are_names(scorer)
    measure = _by_names(scorer, head) if by_names else _by_estimator(scorer, head)
    return LayerTable(
        {
            name: measure(X, y, heads.get(name), sample_weight)
            for name, X in layers.items()
        }
    )


def _are_names(scorer):
    if isinstance(scorer, (str, list, tuple, Mapping)):
        return True
    if not hasattr(scorer, "fit"):
        raise _no_scorer(scorer)
    return False


def _no_scorer(scorer):
    return TypeError(
        f"scorer must be an estimator with metrics_ or a list of names in METRICS, got "
        f"{type(scorer).__name__}."
    )


def _by_names(names, head):
    if isinstance(names, Mapping):
        measures = {name: Measure(metric) for name, metric in names.items()}
    elif not names:
        raise ValueError("scorer names no metric: pass at least one.")
    else:
        found = [
            Measure(name) for name in ([names] if isinstance(names, str) else names)
        ]
        measures = {m.name: m for m in found}
        if len(measures) < len(found):
            raise ValueError(
                f"Some of {[m.name for m in found]} have the same name: pass a "
                f"dictionary of names and metrics."
            )
    lacking = [m.name for m in measures.values() if m.needs_head]
    if head is None and lacking:
        raise ValueError(f"{lacking[0]} compares a head with the data: pass head=.")

    def measure(X, y, head, sample_weight):
        # Metrics that draw do so alike in all layers.
        return {
            name: m.seeded(np.random.RandomState(0))(X, y, head, sample_weight)
            for name, m in measures.items()
            if head is not None or not m.needs_head
        }

    return measure


def _by_estimator(scorer, heads):
    parameters = scorer.get_params(deep=False)
    if heads is not None and "head" not in parameters:
        raise ValueError(
            f"{type(scorer).__name__} has no parameter head: leave out head=."
        )
    chosen = parameters.get("metrics")

    def measure(X, y, head, sample_weight):
        fitted = clone(scorer)
        if head is not None:
            fitted.set_params(head=head)
        elif heads is not None and isinstance(chosen, (list, tuple)):
            without = [n for n in chosen if "head" not in METRICS[n].needs]
            fitted.set_params(metrics=without)
        weights = {}
        if sample_weight is not None:
            if not has_fit_parameter(fitted, "sample_weight"):
                raise ValueError(
                    f"{type(fitted).__name__}.fit takes no sample_weight: pass None."
                )
            weights["sample_weight"] = sample_weight
        fitted.fit(X, y, **weights)
        # Not hasattr: an error of the computation is not to be hidden.
        if inspect.getattr_static(fitted, "metrics_", None) is None:
            raise _no_scorer(fitted)
        return dict(fitted.metrics_)

    return measure
