"""Angles between class means, against those of the simplex."""

import numpy as np

from sklearn_collapse._linalg._frames import gram_tiles, without_diagonal
from sklearn_collapse.metrics._geometry import ClassGeometry
from sklearn_collapse.metrics._means import _units
from sklearn_collapse.plotting._style import (
    BLUE,
    axes_for,
    check_matplotlib,
    fitted_moments,
    literal,
    options_for,
    shown,
)
from sklearn_collapse.utils._arrays import namespace, to_numpy

# Classes up to which cells hold their cosine, ticks their label, and the picture is a
# matrix; beyond, cells would be smaller than can be seen.
_MAX_NUMBERS, _MAX_LABELS, _MAX_MATRIX = 12, 30, 200
_BINS = 100
# Smallest deviation that fills the scale: below it means are a simplex to the eye.
_LEAST_RANGE = 0.02


class ClassGeometryDisplay:
    """Cosines between centred class means, against the simplex's -1 / (C - 1).

    Use `from_estimator` or `from_moments` to make one. The ideal is the neutral
    middle of the colours: classes that lie too close are dark, those that are
    further apart than the simplex has room for all are pale. Lightness falls all the
    way, so that the picture reads in grey as well.

    Parameters
    ----------
    directions : ndarray of shape (C, d)
        Centred class means divided by their norms; zero for a class whose mean is
        the mean of all to rounding.
    classes : array-like of shape (C,), default=None
        Labels. None numbers them.
    estimator_name : str, default=None
        Shown as the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the matrix or, beyond 200 classes, the histogram.
    figure_ : matplotlib Figure
        Figure of the axes.
    cosines_ : ndarray of shape (C, C) or None
        What the matrix shows, with 1 on the diagonal; None for a histogram.
    image_ : matplotlib AxesImage or None
        The matrix; its diagonal is masked.
    histogram_ : matplotlib StepPatch or None
        Share of the pairs of classes in each bin.
    colorbar_ : matplotlib Colorbar or None
        Scale of the matrix, with the ideal marked.
    ideal_cosine : float
        -1 / (C - 1).

    See Also
    --------
    sklearn_collapse.metrics.nc2_max_angle : Mean distance of these cosines from the
        ideal.
    sklearn_collapse.metrics.nc2_etf_error : The same with the norms.

    Notes
    -----
    cos_ij = m_i . m_j / (||m_i|| ||m_j||) with m_c = mu_c - mu_G. Where C > d + 1 no
    simplex exists and the ideal cannot be reached by all pairs.

    References
    ----------
    .. [1] Papyan, V., Han, X. Y., Donoho, D. L. (2020). "Prevalence of neural collapse
       during the terminal phase of deep learning training". PNAS 117(40).

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn_collapse import ClassMoments
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.plotting import ClassGeometryDisplay
    >>> data = load_cifar8_features()
    >>> names = data.target_names[data.target]
    >>> moments = ClassMoments.from_arrays(data.data, names)
    >>> display = ClassGeometryDisplay.from_moments(moments)
    >>> display.cosines_.shape
    (8, 8)
    >>> round(display.ideal_cosine, 3)
    -0.143
    >>> plt.show()
    """

    def __init__(self, directions, classes=None, *, estimator_name=None):
        self.directions = directions
        self.classes = classes
        self.estimator_name = estimator_name

    @property
    def ideal_cosine(self):
        """Cosine between any two directions of a simplex, -1 / (C - 1)."""
        return -1 / (self.directions.shape[0] - 1)

    @classmethod
    def from_estimator(cls, estimator, *, name=None, ax=None, **kwargs):
        """Draw the class means of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            Fitted, with ``moments_`` of at least two classes. Its ``class_weight``,
            if it has one, decides about which mean the class means are centred.
        name : str, default=None
            Title; by default the name of the class.
        ax : matplotlib Axes, default=None
            Axes to draw into; by default those of a new figure.
        **kwargs : dict
            Passed to ``ax.imshow`` or, beyond 200 classes, ``ax.stairs``.

        Returns
        -------
        ClassGeometryDisplay
            The drawn display.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        return cls.from_moments(
            fitted_moments(estimator),
            class_weight=getattr(estimator, "class_weight", None),
            name=type(estimator).__name__ if name is None else name,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_moments(cls, moments, *, class_weight=None, name=None, ax=None, **kwargs):
        """Draw the class means of class moments.

        Parameters
        ----------
        moments : ClassMoments
            At least two classes, of any array library.
        class_weight : {None, "balanced"}, default=None
            Centre at the mean of all rows, or at the unweighted mean of the class
            means.
        name : str, default=None
            Title.
        ax : matplotlib Axes, default=None
            Axes to draw into; by default those of a new figure.
        **kwargs : dict
            Passed to ``ax.imshow`` or, beyond 200 classes, ``ax.stairs``.

        Returns
        -------
        ClassGeometryDisplay
            The drawn display.
        """
        check_matplotlib(f"{cls.__name__}.from_moments")
        display = cls._of_moments(moments, class_weight=class_weight, name=name)
        return display.plot(ax, **kwargs)

    @classmethod
    def _of_moments(cls, moments, *, class_weight=None, name=None):
        directions = _units(ClassGeometry(moments, class_weight))
        return cls(to_numpy(directions), moments.classes_, estimator_name=name)

    def plot(self, ax=None, **kwargs):
        """Draw the cosines.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into; by default those of a new figure.
        **kwargs : dict
            Passed to ``ax.imshow`` or, beyond 200 classes, ``ax.stairs``.

        Returns
        -------
        ClassGeometryDisplay
            The display itself.
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        self.ax_, self.figure_ = axes_for(ax)
        self.cosines_ = self.image_ = self.colorbar_ = self.histogram_ = None
        if self.directions.shape[0] <= _MAX_MATRIX:
            self._draw_matrix(kwargs)
        else:
            self._draw_histogram(kwargs)
        if self.estimator_name is not None:
            self.ax_.set_title(shown(self.estimator_name), parse_math=False)
        return self

    def _draw_matrix(self, kwargs):
        from matplotlib.colors import CenteredNorm

        n_classes, ax = self.directions.shape[0], self.ax_
        self.cosines_ = self.directions @ self.directions.T
        np.fill_diagonal(self.cosines_, 1.0)
        own = np.eye(n_classes, dtype=bool)
        gap = float(np.abs(self.cosines_ - self.ideal_cosine)[~own].max())
        options = {"cmap": _colours(), "interpolation": "nearest"}
        if not {"vmin", "vmax"} & set(kwargs):  # matplotlib takes limits or a norm
            options["norm"] = CenteredNorm(self.ideal_cosine, max(gap, _LEAST_RANGE))
        cells = np.ma.masked_array(self.cosines_, own)
        self.image_ = ax.imshow(cells, **options | kwargs)
        if n_classes <= _MAX_NUMBERS:
            self._write_numbers(self.image_)
        self._label_classes()
        self._draw_scale()

    def _write_numbers(self, image):
        size = 8 if self.directions.shape[0] <= 8 else 7
        for (i, j), value in np.ndenumerate(self.cosines_):
            if i != j:
                red, green, blue, _ = image.cmap(image.norm(value))
                dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
                self.ax_.text(
                    *(j, i, f"{value:.2f}".replace("-", "−")),
                    ha="center",
                    va="center",
                    fontsize=size,
                    color="#ffffff" if dark else "#000000",
                )

    def _label_classes(self):
        n_classes, ax = self.directions.shape[0], self.ax_
        ax.tick_params(length=0)
        if n_classes > _MAX_LABELS:
            ax.set(xticks=[], yticks=[], xlabel=f"{n_classes} classes")
            return
        classes = range(n_classes) if self.classes is None else self.classes
        labels = [shown(label, 16) for label in np.asarray(classes).tolist()]
        turn = 0 if sum(map(len, labels)) <= 32 else 90
        size = "medium" if n_classes <= _MAX_NUMBERS else 7
        ax.set_xticks(range(n_classes), labels, rotation=turn, fontsize=size)
        ax.set_yticks(range(n_classes), labels, fontsize=size)
        literal([*ax.get_xticklabels(), *ax.get_yticklabels()])

    def _draw_scale(self):
        bar = self.figure_.colorbar(self.image_, ax=self.ax_)
        bar.ax.axhline(self.ideal_cosine, color="#000000", linewidth=1.5)
        bar.set_label(f"cosine ({self._ideal_text()})")
        self.colorbar_ = bar

    def _ideal_text(self):
        exists = self.directions.shape[0] <= self.directions.shape[1] + 1
        text = f"simplex: {self.ideal_cosine:.3g}".replace("-", "−")
        return text if exists else f"{text}, which needs C ≤ d + 1"

    def _draw_histogram(self, kwargs):
        from matplotlib.patches import StepPatch

        edges = np.linspace(-1, 1, _BINS + 1)
        counts = np.zeros(_BINS)
        n_classes, xp = self.directions.shape[0], namespace(self.directions)
        for tile in gram_tiles(self.directions, xp):
            off = to_numpy(without_diagonal(tile, tile.values, xp, np.nan))
            off = off[~np.isnan(off)]
            counts += tile.times * np.histogram(np.clip(off, -1, 1), edges)[0]
        shares = counts / (n_classes * (n_classes - 1))
        options = {"fill": True, "facecolor": BLUE, "edgecolor": BLUE, "alpha": 0.8}
        options = options_for(StepPatch, options, kwargs)
        self.histogram_ = self.ax_.stairs(shares, edges, **options)
        held = np.flatnonzero(counts)
        left, right = edges[held[0]], edges[held[-1] + 1]
        ends = min(left, self.ideal_cosine), max(right, self.ideal_cosine)
        margin = 0.1 * (ends[1] - ends[0])
        on_the_left = self.ideal_cosine < (ends[0] + ends[1]) / 2
        self.ax_.set(
            xlim=(ends[0] - margin, ends[1] + margin),
            xlabel=f"cosine of {n_classes} class means ({self._ideal_text()})",
            ylabel="share of the pairs",
        )
        ink = self.ax_.xaxis.label.get_color()
        self.ax_.axvline(self.ideal_cosine, color=ink, linestyle="--")
        self.ax_.annotate(
            "simplex",
            (self.ideal_cosine, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4 if on_the_left else -4, -4),
            textcoords="offset points",
            ha="left" if on_the_left else "right",
            va="top",
        )


def _colours():
    """Pale blue, grey at the ideal, dark red: lightness falls all the way."""
    from matplotlib.colors import LinearSegmentedColormap

    stops = ["#e3f4ff", "#b5cfe0", "#b3aca8", "#b0543c", "#67000d"]
    return LinearSegmentedColormap.from_list("collapse", stops)
