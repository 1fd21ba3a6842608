"""Collapse metrics over the epochs of a training."""

from collections.abc import Mapping

import numpy as np

from sklearn_collapse.metrics import METRICS
from sklearn_collapse.plotting._style import (
    BLUE,
    GREEN,
    LINES,
    ORANGE,
    PURPLE,
    axes_for,
    check_matplotlib,
    literal,
    options_for,
    power_of_ten,
    shown,
)

_COLOURS, _MARKERS = (BLUE, ORANGE, GREEN, PURPLE), "os^Dv"
# Positive values whose largest is this many times the smallest get a logarithmic axis.
_SPAN = 20.0
# Panels that are drawn if none are named: one for each property, in their order.
_CHOICE = (
    "nc1_pinv",
    "cdnv",
    "vci",
    "nc2_equinorm",
    "nc2_equiangularity",
    "nc2_etf_error",
    "nc3_self_duality",
    "nc4_agreement",
    "ncm_accuracy",
)
_MOST_COLUMNS, _MOST_MARKERS = 4, 12
# Legends of more lines would cover them.
_MOST_INSIDE, _BESIDE = 3, {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
_ARROWS = {"higher": "\N{UPWARDS ARROW}", "lower": "\N{DOWNWARDS ARROW}"}
_NO_LAYER = "0.25"


class CollapseTrajectoryDisplay:
    """Metrics of neural collapse over the epochs of a training, a panel for each.

    Use `from_history` to make one, or `CollapseTracker.plot`. Layers are lines of a
    panel, told apart by colour, line style and marker; a number that belongs to no
    layer is grey. An arrow behind a metric points to where it goes with collapse. An
    axis is logarithmic where values above zero span more than a factor of 20.

    Parameters
    ----------
    epochs : ndarray of shape (n_epochs,)
        Epochs, ascending.
    values : dict of (str, str or None) to ndarray of shape (n_epochs,)
        Values of each metric and layer, nan where there is none. The layer of numbers
        that belong to none, such as the loss, is None.
    estimator_name : str, default=None
        Shown as the title of the figure, or of the only panel.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the first panel.
    axes_ : ndarray of matplotlib Axes
        Axes of all panels.
    figure_ : matplotlib Figure
        Figure of the axes.
    lines_ : dict of (str, str or None) to matplotlib Line2D
        Line of each metric and layer that is drawn.

    See Also
    --------
    sklearn_collapse.extraction.CollapseTracker : Gathers the history.
    sklearn_collapse.plotting.ClassGeometryDisplay : The class means of one epoch.

    Notes
    -----
    Values that are not finite leave gaps in their line.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn_collapse.collapse import NeuralCollapseScorer
    >>> from sklearn_collapse.datasets import load_cifar8_trajectory
    >>> from sklearn_collapse.plotting import CollapseTrajectoryDisplay
    >>> data = load_cifar8_trajectory()
    >>> history = {}
    >>> for epoch in data.epochs:
    ...     scorer = NeuralCollapseScorer(head=data.heads[epoch])
    ...     history[epoch] = scorer.fit(data.features[epoch], data.target).metrics_
    >>> extra = {e: {"test accuracy": a} for e, a in data.test_accuracy.items()}
    >>> display = CollapseTrajectoryDisplay.from_history(history, extra)
    >>> len(display.axes_)
    10
    >>> plt.show()
    """

    def __init__(self, epochs, values, *, estimator_name=None):
        self.epochs = epochs
        self.values = values
        self.estimator_name = estimator_name

    @classmethod
    def from_history(
        cls, history, extra=None, *, metrics=None, name=None, ax=None, **kwargs
    ):
        """Draw metrics that were measured at several epochs.

        Parameters
        ----------
        history : dict of int to dict
            What was measured after each epoch: dictionaries of metrics such as
            ``metrics_`` of a scorer, or of layers to dictionaries of metrics, such as
            `CollapseTracker.history_` and `LayerTable`.
        extra : dict of int to dict of str to float, default=None
            Numbers of each epoch that belong to no layer, such as the loss.
        metrics : list, default=None
            Names of metrics and extra numbers, one panel each; a list of names shares
            a panel. None is a choice of the metrics and all extra numbers.
        name : str, default=None
            Title.
        ax : matplotlib Axes or array of Axes, default=None
            One for each panel; by default those of a new figure.
        **kwargs : dict
            Passed to ``ax.plot`` for all lines.

        Returns
        -------
        CollapseTrajectoryDisplay
            The drawn display.
        """
        check_matplotlib(f"{cls.__name__}.from_history")
        display = cls._of_history(history, extra, name)
        return display.plot(ax, metrics=metrics, **kwargs)

    @classmethod
    def _of_history(cls, history, extra=None, name=None):
        extra = {} if extra is None else extra
        epochs = sorted({*history, *extra})
        if not epochs:
            raise ValueError("history is empty: at least one epoch is needed.")
        values: dict = {}
        for k, epoch in enumerate(epochs):
            rows = dict(_rows(history.get(epoch, {})))
            for layer, row in [*rows.items(), (None, extra.get(epoch, {}))]:
                for metric, value in row.items():
                    empty = np.full(len(epochs), np.nan)
                    values.setdefault((metric, layer), empty)[k] = value
        return cls(np.asarray(epochs), values, estimator_name=name)

    def plot(self, ax=None, *, metrics=None, **kwargs):
        """Draw the metrics.

        Parameters
        ----------
        ax : matplotlib Axes or array of Axes, default=None
            One for each panel; by default those of a new figure.
        metrics : list, default=None
            Names of metrics and extra numbers, one panel each; a list of names shares
            a panel. None is a choice of the metrics and all extra numbers.
        **kwargs : dict
            Passed to ``ax.plot`` for all lines.

        Returns
        -------
        CollapseTrajectoryDisplay
            The display itself.
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        panels = self._panels(metrics)
        self.axes_, self.figure_ = _axes(ax, len(panels))
        self.ax_, self.lines_ = self.axes_[0], {}
        layers = list(dict.fromkeys(layer for _, layer in self.values))
        told = set()
        for panel, names in zip(self.axes_, panels, strict=True):
            keys = [key for name in names for key in self.values if key[0] == name]
            self._draw(panel, keys, layers, kwargs)
            title = " | ".join(map(_with_arrow, names))
            panel.set_title(shown(title, 44), fontsize=10, parse_math=False)
            labels = tuple(line.get_label() for line in panel.lines)
            # Panels with the same lines need one legend.
            if len(labels) > 1 and labels not in told:
                told.add(labels)
                place = {"loc": "best"} if len(labels) <= _MOST_INSIDE else _BESIDE
                literal(panel.legend(frameon=False, fontsize=8, **place).get_texts())
        if self.estimator_name is not None:
            title = shown(self.estimator_name)
            if len(panels) == 1:
                self.ax_.set_title(title, parse_math=False)
                names = map(_with_arrow, panels[0])
                self.ax_.set_ylabel(shown(" | ".join(names)), parse_math=False)
            else:
                self.figure_.suptitle(title, parse_math=False)
        return self

    def _panels(self, metrics):
        """Names of the lines of each panel."""
        known = dict.fromkeys(name for name, _ in self.values)
        if metrics is None:
            extra = [name for name, layer in self.values if layer is None]
            chosen = [name for name in _CHOICE if name in known]
            chosen = chosen or [name for name in known if name not in extra]
            metrics = [*chosen, *extra]
        elif isinstance(metrics, str):
            metrics = [metrics]
        panels = [[item] if isinstance(item, str) else list(item) for item in metrics]
        unknown = [name for panel in panels for name in panel if name not in known]
        if unknown or not panels or not all(panels):
            raise ValueError(
                f"metrics must name at least one of {list(known)} for each panel, got "
                f"{metrics}."
            )
        return panels

    def _draw(self, ax, keys, layers, kwargs):
        """Lines of a panel and its axes."""
        from matplotlib.lines import Line2D

        single = len({name for name, _ in keys}) == 1
        for number, (name, layer) in enumerate(keys):
            values = self.values[name, layer]
            # A layer looks the same in all panels of a single metric.
            look = layers.index(layer) if single and layer is not None else number
            parts = [] if single and layer is not None else [name]
            parts += [] if layer in (None, "") else [layer]
            alone = single and layer is None
            options = {
                "color": _NO_LAYER if alone else _COLOURS[look % len(_COLOURS)],
                "linestyle": LINES[look % len(LINES)],
                "marker": _MARKERS[look % len(_MARKERS)],
                "markersize": 4.5,
                "markevery": max(1, len(values) // _MOST_MARKERS),
                "linewidth": 1.4,
                "label": shown(", ".join(parts) or name),
            }
            options = options_for(Line2D, options, kwargs)
            shown_values = np.where(np.isfinite(values), values, np.nan)
            (self.lines_[name, layer],) = ax.plot(self.epochs, shown_values, **options)
        if _spans_decades([self.values[key] for key in keys]):
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter(power_of_ten)
            ax.yaxis.set_minor_formatter(lambda value, position: "")
        ax.set_xlabel("epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.spines[["top", "right"]].set_visible(False)


def _with_arrow(name):
    """Name of a metric and where it goes with collapse."""
    direction = METRICS[name].direction if name in METRICS else None
    return f"{name} {_ARROWS[direction]}" if direction else name


def _rows(measured):
    """Metrics by layer; metrics alone are those of a layer without a name."""
    if any(isinstance(value, Mapping) for value in measured.values()):
        return measured
    return {"": measured} if measured else {}


def _spans_decades(series):
    values = np.concatenate(series)
    values = values[np.isfinite(values)]
    if not len(values) or values.min() <= 0:
        return False
    return values.max() > _SPAN * values.min()


def _axes(ax, n_panels):
    """Axes of the panels and their figure; None makes new ones."""
    if ax is not None:
        axes = np.ravel(np.asarray(ax, dtype=object))
        if len(axes) != n_panels:
            raise ValueError(
                f"ax must hold one Axes for each of the {n_panels} panels, got "
                f"{len(axes)}: pass as many, or as many metrics=."
            )
        return axes, axes[0].get_figure()
    if n_panels == 1:
        one, figure = axes_for(None)
        return np.array([one], dtype=object), figure
    import matplotlib.pyplot as plt

    # As few empty places as can be, from three columns on.
    choices = range(min(3, n_panels), min(_MOST_COLUMNS, n_panels) + 1)
    columns = min(choices, key=lambda c: (-n_panels % c, -c))
    rows = -(-n_panels // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(3.1 * columns, 2.5 * rows),
        layout="constrained",
        squeeze=False,
        sharex=True,
    )
    for empty in axes.flat[n_panels:]:
        empty.remove()
    for panel in axes.flat[:n_panels]:
        panel.tick_params(labelbottom=True)
    return axes.ravel()[:n_panels], figure
