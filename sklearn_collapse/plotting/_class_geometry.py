"""Angles between class means, against those of the simplex or of another frame."""

import numpy as np

from sklearn_collapse._linalg._frames import gram_tiles, without_diagonal
from sklearn_collapse.etf._base import FrameEstimator
from sklearn_collapse.metrics._geometry import ClassGeometry, check_class_weight
from sklearn_collapse.metrics._means import _units
from sklearn_collapse.plotting._ideal import ideal_frame, ideal_vertices
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

    Against another frame each pair of classes has an ideal of its own, and the picture
    shows how far its cosine is above or below that.

    Parameters
    ----------
    directions : ndarray of shape (C, d)
        Centred class means divided by their norms; zero for a class whose mean is
        the mean of all to rounding.
    classes : array-like of shape (C,), default=None
        Labels. None numbers them.
    frame : ndarray of shape (C, k), default=None
        Vertices of the ideal, divided by their norms, row c for class c. None is the
        simplex.
    estimator_name : str, default=None
        Shown as the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the matrix or, beyond 200 classes, the histogram.
    figure_ : matplotlib Figure
        Figure of the axes.
    cosines_ : ndarray of shape (C, C) or None
        Of the class means, with 1 on the diagonal; None for a histogram.
    ideal_cosines_ : ndarray of shape (C, C) or None
        Of the frame, likewise. The matrix shows ``cosines_`` for the simplex and
        ``cosines_ - ideal_cosines_`` for another frame.
    image_ : matplotlib AxesImage or None
        The matrix; its diagonal is masked.
    histogram_ : matplotlib StepPatch or None
        Share of the pairs of classes in each bin.
    colorbar_ : matplotlib Colorbar or None
        Scale of the matrix, with the ideal marked.
    ideal_cosine : float
        Middle of the colours: -1 / (C - 1), or 0 for differences from a frame.

    See Also
    --------
    sklearn_collapse.metrics.nc2_max_angle : Mean distance of these cosines from the
        ideal.
    sklearn_collapse.metrics.nc2_etf_error : The same with the norms.
    sklearn_collapse.etf.ETFAlignmentScorer : How well class means fit a frame.

    Notes
    -----
    cos_ij = m_i . m_j / (||m_i|| ||m_j||) with m_c = mu_c - mu_G. Where C > d + 1 no
    simplex exists and the ideal cannot be reached by all pairs.

    A frame b_c is centred at the mean of its rows, as in `ETFAligner`, and a cell is
    cos(m_i, m_j) - cos(b_i, b_j): the cosine gap, of which ``cosine_gap_std`` of an
    `ETFAlignmentScorer` is the standard deviation over all pairs. It needs no rotation,
    but says nothing of the norms.

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

    Against a frame in which animals lie close to each other, and vehicles too:

    >>> from sklearn_collapse.etf import ETFAligner, hierarchical_frame
    >>> vehicles = ["airplane", "automobile", "ship"]
    >>> animals = ["bird", "deer", "dog", "frog", "horse"]
    >>> frame = hierarchical_frame([vehicles, animals], gamma=1.0)
    >>> aligner = ETFAligner(frame).fit(data.data, names)
    >>> display = ClassGeometryDisplay.from_estimator(aligner)
    >>> display.ideal_cosine
    0.0
    >>> plt.show()
    """

    def __init__(self, directions, classes=None, *, frame=None, estimator_name=None):
        self.directions = directions
        self.classes = classes
        self.frame = frame
        self.estimator_name = estimator_name

    @property
    def ideal_cosine(self):
        """Middle of the colours: -1 / (C - 1), or 0 for differences from a frame."""
        return -1 / (self.directions.shape[0] - 1) if self.frame is None else 0.0

    @classmethod
    def from_estimator(cls, estimator, *, frame=None, name=None, ax=None, **kwargs):
        """Draw the class means of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            Fitted, with ``moments_`` of at least two classes. Its ``class_weight``,
            if it has one, decides about which mean the class means are centred; those
            of an `ETFAligner` or `ETFAlignmentScorer` are about their unweighted mean.
        frame : {"simplex", "orthoplex", "hypercube", "spread"} or array-like of shape \
                (C, k), default=None
            Ideal, row c for the c-th of the sorted labels. None is that of the
            estimator, with its assignment of rows to classes, or the simplex where it
            has none.
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
        moments = fitted_moments(estimator)
        class_weight = getattr(estimator, "class_weight", None)
        if isinstance(estimator, FrameEstimator):
            class_weight = "balanced"
            if frame is None:
                frame = ideal_frame(estimator)
        return cls.from_moments(
            moments,
            frame="simplex" if frame is None else frame,
            class_weight=class_weight,
            name=type(estimator).__name__ if name is None else name,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_moments(
        cls,
        moments,
        *,
        frame="simplex",
        class_weight=None,
        name=None,
        ax=None,
        **kwargs,
    ):
        """Draw the class means of class moments.

        Parameters
        ----------
        moments : ClassMoments
            At least two classes, of any array library.
        frame : {"simplex", "orthoplex", "hypercube", "spread"} or array-like of shape \
                (C, k), default="simplex"
            Ideal, row c for the c-th of the sorted labels, as in `ETFAligner`.
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
        display = cls._of_moments(
            moments, frame=frame, class_weight=class_weight, name=name
        )
        return display.plot(ax, **kwargs)

    @classmethod
    def _of_moments(cls, moments, *, frame="simplex", class_weight=None, name=None):
        check_class_weight(class_weight)
        directions = _units(ClassGeometry(moments, class_weight))
        return cls(
            to_numpy(directions),
            moments.classes_,
            frame=ideal_vertices(frame, moments),
            estimator_name=name,
        )

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
        is_matrix = self.directions.shape[0] <= _MAX_MATRIX
        self.ax_, self.figure_ = axes_for(ax, figsize=(6.4, 5 if is_matrix else 4))
        self.cosines_ = self.ideal_cosines_ = None
        self.image_ = self.colorbar_ = self.histogram_ = None
        if is_matrix:
            self._draw_matrix(kwargs)
        else:
            self._draw_histogram(kwargs)
        if self.estimator_name is not None:
            self.ax_.set_title(shown(self.estimator_name), parse_math=False)
        return self

    def _draw_matrix(self, kwargs):
        from matplotlib.colors import CenteredNorm

        n_classes, ax = self.directions.shape[0], self.ax_
        self.cosines_ = _gram(self.directions)
        own = np.eye(n_classes, dtype=bool)
        if self.frame is None:
            self.ideal_cosines_ = np.where(own, 1.0, self.ideal_cosine)
            values = self.cosines_
        else:
            self.ideal_cosines_ = _gram(self.frame)
            values = self.cosines_ - self.ideal_cosines_
        gap = float(np.abs(values - self.ideal_cosine)[~own].max())
        options = {"cmap": _colours(), "interpolation": "nearest"}
        if not {"vmin", "vmax"} & set(kwargs):  # matplotlib takes limits or a norm
            options["norm"] = CenteredNorm(self.ideal_cosine, max(gap, _LEAST_RANGE))
        cells = np.ma.masked_array(values, own)
        self.image_ = ax.imshow(cells, **options | kwargs)
        if n_classes <= _MAX_NUMBERS:
            self._write_numbers(self.image_, values)
        self._label_classes()
        self._draw_scale()

    def _write_numbers(self, image, values):
        size = 8 if self.directions.shape[0] <= 8 else 7
        for (i, j), value in np.ndenumerate(values):
            if i != j:
                red, green, blue, _ = image.cmap(image.norm(value))
                dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
                self.ax_.text(
                    *(j, i, self._number(value)),
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
        if self.frame is None:
            bar.set_label(f"cosine ({self._ideal_text()})")
        else:
            bar.set_label("cosine − that of the frame")
        self.colorbar_ = bar

    def _number(self, value):
        """Text of a cosine, or of a difference with its sign."""
        text = f"{value:.2f}" if self.frame is None else f"{value:+.2f}"
        return text.replace("-", "−")

    def _ideal_text(self):
        exists = self.directions.shape[0] <= self.directions.shape[1] + 1
        text = f"simplex: {self.ideal_cosine:.3g}".replace("-", "−")
        return text if exists else f"{text}, which needs C ≤ d + 1"

    def _draw_histogram(self, kwargs):
        from matplotlib.patches import StepPatch

        reach = 1 if self.frame is None else 2
        edges = np.linspace(-reach, reach, reach * _BINS + 1)
        counts = np.zeros(reach * _BINS)
        n_classes, xp = self.directions.shape[0], namespace(self.directions)
        for tile in gram_tiles(self.directions, xp):
            values = tile.values
            if self.frame is not None:
                values = values - self.frame[tile.rows] @ self.frame[tile.columns].T
            off = to_numpy(without_diagonal(tile, values, xp, np.nan))
            off = off[~np.isnan(off)]
            counts += tile.times * np.histogram(np.clip(off, -reach, reach), edges)[0]
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
            xlabel=(
                f"cosine of {n_classes} class means ({self._ideal_text()})"
                if self.frame is None
                else f"cosine of {n_classes} class means − that of the frame"
            ),
            ylabel="share of the pairs",
        )
        ink = self.ax_.xaxis.label.get_color()
        self.ax_.axvline(self.ideal_cosine, color=ink, linestyle="--")
        self.ax_.annotate(
            "simplex" if self.frame is None else "frame",
            (self.ideal_cosine, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4 if on_the_left else -4, -4),
            textcoords="offset points",
            ha="left" if on_the_left else "right",
            va="top",
        )


def _gram(units):
    """Cosines of unit rows, with 1 on the diagonal."""
    found = units @ units.T
    np.fill_diagonal(found, 1.0)
    return found


def _colours():
    """Pale blue, grey at the ideal, dark red: lightness falls all the way."""
    from matplotlib.colors import LinearSegmentedColormap

    stops = ["#e3f4ff", "#b5cfe0", "#b3aca8", "#b0543c", "#67000d"]
    return LinearSegmentedColormap.from_list("collapse", stops)
