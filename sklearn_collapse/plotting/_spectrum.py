"""Eigenvalues of the covariances behind every metric, and where their rank ends."""

import numpy as np

from sklearn_collapse.plotting._style import (
    BLUE,
    GREY,
    ORANGE,
    axes_for,
    check_matplotlib,
    fitted_moments,
    options_for,
    power_of_ten,
    shown,
)
from sklearn_collapse.utils._arrays import to_numpy

# Decades by which the axis goes below the eigenvalues to reach the threshold.
_REACH = 3


class SpectrumDisplay:
    """Eigenvalues of the within-class and the total covariance, and their rank.

    Use `from_estimator` or `from_moments` to make one. With collapse the C - 1
    largest eigenvalues of the total covariance, which belong to the class means,
    part from the others, and those of the within-class covariance sink.

    Parameters
    ----------
    within : ndarray of shape (d,)
        Eigenvalues of the within-class covariance: those that count first.
    total : ndarray of shape (d,)
        Eigenvalues of the covariance of all rows.
    within_rank, total_rank : int
        How many eigenvalues count.
    within_threshold, total_threshold : float
        What the rank rule compares them with.
    n_classes : int
        Number of classes.
    estimator_name : str, default=None
        Shown as the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the spectrum.
    figure_ : matplotlib Figure
        Figure of the axes.
    lines_ : dict of str to matplotlib Line2D
        Eigenvalues that count, "within" and "total"; with one class "within" alone,
        since the two are the same.
    dropped_ : dict of str to matplotlib Line2D
        Eigenvalues above zero that do not count, as hollow markers.
    threshold_lines_ : dict of str to matplotlib Line2D
        The rank rule's thresholds.

    See Also
    --------
    sklearn_collapse.ClassMoments : Where the covariances come from.

    Notes
    -----
    Covariances have normaliser n. An eigenvalue counts when it is above

        max(max(10, sqrt(d)) eps(products) l_1, rounding of the input)

    and the threshold drawn is the mean of that over the directions that do not count,
    or the least of it if all do. The axis is logarithmic: a threshold far below all
    eigenvalues is told in words, eigenvalues of zero are counted in the legend.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn_collapse.collapse import NeuralCollapseScorer
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.plotting import SpectrumDisplay
    >>> data = load_cifar8_features()
    >>> scorer = NeuralCollapseScorer().fit(data.data, data.target)
    >>> display = SpectrumDisplay.from_estimator(scorer)
    >>> display.within_rank
    96
    >>> plt.show()
    """

    def __init__(
        self,
        within,
        total,
        *,
        within_rank,
        total_rank,
        within_threshold,
        total_threshold,
        n_classes,
        estimator_name=None,
    ):
        self.within = within
        self.total = total
        self.within_rank = within_rank
        self.total_rank = total_rank
        self.within_threshold = within_threshold
        self.total_threshold = total_threshold
        self.n_classes = n_classes
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(cls, estimator, *, name=None, ax=None, **kwargs):
        """Draw the spectrum of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            Fitted, with ``moments_``. Of a detector with ``normalize=True`` these are
            the moments of unit rows.
        name : str, default=None
            Title; by default the name of the class.
        ax : matplotlib Axes, default=None
            Axes to draw into; by default those of a new figure.
        **kwargs : dict
            Passed to ``ax.plot`` for both lines.

        Returns
        -------
        SpectrumDisplay
            The drawn display.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        name = type(estimator).__name__ if name is None else name
        return cls.from_moments(fitted_moments(estimator), name=name, ax=ax, **kwargs)

    @classmethod
    def from_moments(cls, moments, *, name=None, ax=None, **kwargs):
        """Draw the spectrum of class moments.

        Parameters
        ----------
        moments : ClassMoments
            Of any array library.
        name : str, default=None
            Title.
        ax : matplotlib Axes, default=None
            Axes to draw into; by default those of a new figure.
        **kwargs : dict
            Passed to ``ax.plot`` for both lines.

        Returns
        -------
        SpectrumDisplay
            The drawn display.
        """
        check_matplotlib(f"{cls.__name__}.from_moments")
        return cls._of_moments(moments, name).plot(ax, **kwargs)

    @classmethod
    def _of_moments(cls, moments, name=None):
        within, total = moments._spectrum("within"), moments._spectrum("total")
        return cls(
            to_numpy(within.values),
            to_numpy(total.values),
            within_rank=within.rank,
            total_rank=total.rank,
            within_threshold=within.floor,
            total_threshold=total.floor,
            n_classes=len(moments.classes_),
            estimator_name=name,
        )

    def plot(self, ax=None, **kwargs):
        """Draw the spectrum.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into; by default those of a new figure.
        **kwargs : dict
            Passed to ``ax.plot`` for both lines.

        Returns
        -------
        SpectrumDisplay
            The display itself.
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        self.ax_, self.figure_ = axes_for(ax)
        self.lines_, self.dropped_, self.threshold_lines_ = {}, {}, {}
        # With one class the two covariances are the same.
        both = {"total": (ORANGE, "o", "-"), "within": (BLUE, "s", "--")}
        drawn = both if self.n_classes > 1 else {"within": both["within"]}
        low, high = self._limits(drawn)
        for which, style in drawn.items():
            self._draw_values(which, style, kwargs)
        self._draw_thresholds(drawn, low)
        d = len(self.within)
        if 1 < self.n_classes <= d:
            self.ax_.axvline(
                self.n_classes - 0.5,
                color=GREY,
                linewidth=1,
                zorder=0,
                label=f"C − 1 = {self.n_classes - 1}",
            )
        # Limits first: without an eigenvalue above zero the scale has none of its own.
        self.ax_.set(xlim=(0, d + 1), ylim=(low, high), yscale="log")
        self.ax_.yaxis.set_major_formatter(power_of_ten)
        self.ax_.yaxis.set_minor_formatter(lambda value, position: "")
        self.ax_.set(xlabel="number of the eigenvalue", ylabel="eigenvalue")
        self.ax_.legend(loc="best", frameon=False)
        if self.estimator_name is not None:
            self.ax_.set_title(shown(self.estimator_name), parse_math=False)
        return self

    def _draw_values(self, which, style, kwargs):
        """Eigenvalues above zero; hollow markers for those that do not count."""
        from matplotlib.lines import Line2D

        color, marker, linestyle = style
        values, rank = getattr(self, which), getattr(self, f"{which}_rank")
        number = 1 + np.arange(len(values))
        above = values > 0
        is_within = which == "within" and self.n_classes > 1
        label = f"{'within classes' if is_within else 'all rows'}: "
        label += f"rank {rank} of {len(values)}"
        if not above.all():
            label += f", {np.sum(~above)} are 0"
        options = {"color": color, "linestyle": linestyle, "label": label}
        options |= {"marker": marker, "markersize": 3.5, "linewidth": 1.2}
        options["markevery"] = max(1, len(values) // 32)
        options = options_for(Line2D, options, kwargs)
        (line,) = self.ax_.plot(number[:rank], values[:rank], **options)
        self.lines_[which] = line
        dropped = above & (number > rank)
        (self.dropped_[which],) = self.ax_.plot(
            number[dropped],
            values[dropped],
            linestyle="none",
            marker=marker,
            markersize=5,
            markerfacecolor="none",
            markeredgecolor=line.get_color(),
        )

    def _draw_thresholds(self, drawn, low):
        """Lines of the rank rule, or words where they lie below the axis."""
        thresholds = []
        for which, (color, _, linestyle) in drawn.items():
            threshold = getattr(self, f"{which}_threshold")
            rank = getattr(self, f"{which}_rank")
            self.threshold_lines_[which] = self.ax_.axhline(
                threshold, color=color, linestyle=linestyle, linewidth=0.8
            )
            if 0 < rank < len(self.within):
                self.ax_.axvline(
                    rank + 0.5, color=color, linestyle=linestyle, linewidth=0.8
                )
            thresholds.append(threshold)
        highest = max(thresholds)
        text, height = "rank threshold", highest
        if highest < low:
            text, height = f"rank threshold {highest:.0e}, below the axis ↓", low
        self.ax_.annotate(
            text,
            (0.5, height),
            xytext=(4, 7),
            textcoords="offset points",
            # Lines at the ranks and at C - 1 must not cross it.
            bbox={"facecolor": self.ax_.get_facecolor(), "edgecolor": "none", "pad": 1},
        )

    def _limits(self, drawn):
        """Ends of the axis: the eigenvalues, and thresholds that are not far."""
        values = np.concatenate([getattr(self, which) for which in drawn])
        values = values[values > 0]
        if not len(values):
            return 0.1, 10.0
        low, high = values.min(), values.max()
        for which in drawn:
            threshold = getattr(self, f"{which}_threshold")
            if low / 10**_REACH < threshold:
                low = min(low, threshold)
        return low / 2, high * 3
