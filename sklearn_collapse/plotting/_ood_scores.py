"""Scores of in-distribution rows beside those of out-of-distribution sets."""

from numbers import Integral

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from sklearn_collapse.metrics import fpr_at_tpr
from sklearn_collapse.metrics._ood import threshold_at_tpr
from sklearn_collapse.plotting._style import (
    GREY,
    LINES,
    SERIES,
    axes_for,
    check_matplotlib,
    check_scores,
    literal,
    options_for,
    shown,
)

_TPR = 0.95
# Share of each set that may lie beyond either end of the axis, and how many times the
# width of the in-distribution scores the axis may be: one far set would flatten all.
_TAIL, _WIDEST = 0.005, 5
_ROW = 0.85  # height of the tallest histogram, in rows
_KINDS = {"hist": 1, "roc": 1, "both": 2}  # and how many axes they need


class OODScoreDisplay:
    """Scores of in-distribution rows against out-of-distribution sets.

    Use `from_estimator` or `from_predictions` to make one. Each set has a row of its
    own with the in-distribution scores behind it, the same bins everywhere, and the
    threshold that keeps 95 % of the in-distribution rows.

    Parameters
    ----------
    scores_id : ndarray of shape (n,)
        Scores of in-distribution rows, larger = more in-distribution.
    scores_ood : dict of str to ndarray of shape (m,)
        Scores of each set.
    auroc : dict of str to float
        Area under the curve of each set.
    fpr95 : dict of str to float
        Share of each set above the threshold.
    threshold : float
        Strictest threshold that keeps 95 % of the in-distribution rows.
    estimator_name : str, default=None
        Shown as the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the histograms or curves; with ``kind="both"`` the histograms.
    axes_ : ndarray of matplotlib Axes
        Axes of each picture, one or two.
    figure_ : matplotlib Figure
        Figure of the axes.
    histograms_ : dict of str to matplotlib StepPatch
        Histogram of each set; none with ``kind="roc"``.
    histograms_id_ : dict of str to matplotlib StepPatch
        In-distribution histogram in the row of each set; none with ``kind="roc"``.
    threshold_line_ : matplotlib Line2D
        The threshold, or with ``kind="roc"`` the true positive rate of 95 %.
    lines_ : dict of str to matplotlib Line2D
        Curve of each set; none with ``kind="hist"``.

    See Also
    --------
    sklearn_collapse.metrics.ood_table : The same numbers as a table.
    sklearn_collapse.metrics.fpr_at_tpr : What FPR95 is.

    Notes
    -----
    In-distribution rows are the positives, as in `fpr_at_tpr` with
    ``positive="id"``: FPR95 is the share of a set that is accepted at the strictest
    threshold that accepts 95 % of the in-distribution rows, a circle on the curve.
    Histograms show the share of the rows in
    each bin. The axis leaves out half a percent of every set at either end and is at
    most five times as wide as the in-distribution scores; what lies beyond, infinite
    scores too, is counted in the outermost bins.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import MahalanobisDetector
    >>> from sklearn_collapse.plotting import OODScoreDisplay
    >>> data = load_cifar8_features()
    >>> detector = MahalanobisDetector(relative=True).fit(data.data, data.target)
    >>> display = OODScoreDisplay.from_estimator(detector, data.X_test, data.ood)
    >>> round(display.auroc["far: digits"], 2)
    0.94
    >>> plt.show()
    """

    def __init__(
        self, scores_id, scores_ood, *, auroc, fpr95, threshold, estimator_name=None
    ):
        self.scores_id = scores_id
        self.scores_ood = scores_ood
        self.auroc = auroc
        self.fpr95 = fpr95
        self.threshold = threshold
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls,
        detector,
        X_id,
        X_ood,
        *,
        kind="hist",
        bins=50,
        name=None,
        ax=None,
        **kwargs,
    ):
        """Draw the scores of a fitted detector.

        Parameters
        ----------
        detector : estimator
            Fitted, with ``score_samples``.
        X_id : array-like of shape (n, d)
            In-distribution rows that the detector was not fitted on.
        X_ood : array-like of shape (m, d), or dict of str to array-like
            One out-of-distribution set, or several with their names.
        kind : {"hist", "roc", "both"}, default="hist"
            Histograms, receiver operating characteristics, or both side by side.
        bins : int, default=50
            Number of bins of the histograms.
        name : str, default=None
            Title; by default the name of the class.
        ax : matplotlib Axes, or two of them with ``kind="both"``, default=None
            Axes to draw into; by default those of a new figure.
        **kwargs : dict
            Passed to what draws each set, ``ax.stairs`` and ``ax.plot``.

        Returns
        -------
        OODScoreDisplay
            The drawn display.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        sets = X_ood if isinstance(X_ood, dict) else {"OOD": X_ood}
        return cls.from_predictions(
            detector.score_samples(X_id),
            {key: detector.score_samples(X) for key, X in sets.items()},
            kind=kind,
            bins=bins,
            name=type(detector).__name__ if name is None else name,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        scores_id,
        scores_ood,
        *,
        kind="hist",
        bins=50,
        name=None,
        ax=None,
        **kwargs,
    ):
        """Draw given scores.

        Parameters
        ----------
        scores_id : array-like of shape (n,)
            Scores of in-distribution rows, larger = more in-distribution.
        scores_ood : array-like of shape (m,), or dict of str to array-like
            Scores of one out-of-distribution set, or of several with their names.
        kind : {"hist", "roc", "both"}, default="hist"
            Histograms, receiver operating characteristics, or both side by side.
        bins : int, default=50
            Number of bins of the histograms.
        name : str, default=None
            Title.
        ax : matplotlib Axes, or two of them with ``kind="both"``, default=None
            Axes to draw into; by default those of a new figure.
        **kwargs : dict
            Passed to what draws each set, ``ax.stairs`` and ``ax.plot``.

        Returns
        -------
        OODScoreDisplay
            The drawn display.
        """
        check_matplotlib(f"{cls.__name__}.from_predictions")
        display = cls._of_scores(scores_id, scores_ood, name)
        return display.plot(ax, kind=kind, bins=bins, **kwargs)

    @classmethod
    def _of_scores(cls, scores_id, scores_ood, name=None):
        if not isinstance(scores_ood, dict):
            scores_ood = {"OOD": scores_ood}
        if not scores_ood:
            raise ValueError("scores_ood is empty: at least one set is needed.")
        inside = check_scores(scores_id, "scores_id")
        sets = {
            key: check_scores(v, f"scores_ood[{key!r}]")
            for key, v in scores_ood.items()
        }
        labelled = {
            key: (np.repeat([1, 0], [len(inside), len(s)]), _ranks(inside, s))
            for key, s in sets.items()
        }
        return cls(
            inside,
            sets,
            auroc={key: float(roc_auc_score(*ys)) for key, ys in labelled.items()},
            fpr95={key: fpr_at_tpr(*ys, tpr=_TPR) for key, ys in labelled.items()},
            threshold=float(threshold_at_tpr(inside, _TPR)),
            estimator_name=name,
        )

    def plot(self, ax=None, *, kind="hist", bins=50, **kwargs):
        """Draw the scores.

        Parameters
        ----------
        ax : matplotlib Axes, or two of them with ``kind="both"``, default=None
            Axes to draw into; by default those of a new figure.
        kind : {"hist", "roc", "both"}, default="hist"
            Histograms, receiver operating characteristics, or both side by side.
        bins : int, default=50
            Number of bins of the histograms.
        **kwargs : dict
            Passed to what draws each set, ``ax.stairs`` and ``ax.plot``.

        Returns
        -------
        OODScoreDisplay
            The display itself.
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {list(_KINDS)}, got {kind!r}.")
        if not isinstance(bins, Integral) or bins < 1:
            raise ValueError(f"bins must be a positive integer, got {bins!r}.")
        self.axes_, self.figure_ = _axes(ax, kind, len(self.scores_ood))
        self.ax_ = self.axes_[0]
        self.histograms_, self.histograms_id_, self.lines_ = {}, {}, {}
        lines = []
        if kind != "roc":
            lines.append(self._draw_histograms(self.axes_[0], bins, kwargs))
        if kind != "hist":
            lines.append(self._draw_curves(self.axes_[-1], kind == "roc", kwargs))
        self.threshold_line_ = lines[0]
        if self.estimator_name is not None:
            title = shown(self.estimator_name)
            if kind == "both":
                self.figure_.suptitle(title, parse_math=False)
            else:
                self.ax_.set_title(title, parse_math=False)
        return self

    def _draw_histograms(self, ax, bins, kwargs):
        from matplotlib.patches import StepPatch

        n_sets = len(self.scores_ood)
        low, high = self._range()
        edges = np.linspace(low, high, bins + 1)
        inside = _shares(self.scores_id, edges)
        outside = {key: _shares(s, edges) for key, s in self.scores_ood.items()}
        unit = _ROW / max(inside.max(), *(shares.max() for shares in outside.values()))
        for k, (key, shares) in enumerate(outside.items()):
            base = n_sets - 1 - k  # the first set on top
            self.histograms_id_[key] = ax.stairs(
                base + unit * inside,
                edges,
                baseline=base,
                fill=True,
                facecolor=GREY,
                alpha=0.45,
                zorder=1,
            )
            colour = SERIES[k % len(SERIES)]
            options = {"edgecolor": colour, "linewidth": 1.5, "zorder": 2}
            options = options_for(StepPatch, options, kwargs)
            self.histograms_[key] = ax.stairs(
                base + unit * shares, edges, baseline=base, **options
            )
            ax.axhline(base, color=GREY, linewidth=0.5, zorder=0)
        threshold = np.clip(self.threshold, edges[0], edges[-1])  # it may be infinite
        line = ax.axvline(threshold, color=GREY, linestyle="--", linewidth=1, zorder=3)
        room = edges[0] + 0.6 * (edges[-1] - edges[0]) > threshold
        ax.annotate(
            "95 % of ID →",
            (threshold, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3 if room else -3, -3),
            textcoords="offset points",
            ha="left" if room else "right",
            va="top",
        )
        ax.set_yticks(
            range(n_sets), [self._label(key) for key in reversed(self.scores_ood)]
        )
        ax.set_yticklabels(ax.get_yticklabels(), va="bottom")
        literal(ax.get_yticklabels())
        ax.tick_params(axis="y", length=0)
        ax.set(xlim=(edges[0], edges[-1]), ylim=(-0.08, n_sets + 0.2))
        ax.set_xlabel("score (grey: in-distribution)")
        for side in ("left", "right", "top"):
            ax.spines[side].set_visible(False)
        return line

    def _label(self, key):
        auroc, fpr95 = 100 * self.auroc[key], 100 * self.fpr95[key]
        return f"{shown(key, 22)}\nAUROC {auroc:.1f}\nFPR95 {fpr95:.1f}"

    def _range(self):
        """Ends of the axis."""
        with_inf = [self.scores_id, *self.scores_ood.values()]
        groups = [scores[np.isfinite(scores)] for scores in with_inf]
        inside = groups[0] if len(groups[0]) else np.zeros(1)
        ends = [np.quantile(g, [_TAIL, 1 - _TAIL]) for g in groups if len(g)]
        low, high = np.quantile(inside, [_TAIL, 1 - _TAIL])
        width = (high - low) or abs(high) or 1.0
        left = max(min(e[0] for e in [(low, high), *ends]), high - _WIDEST * width)
        right = min(max(e[1] for e in [(low, high), *ends]), low + _WIDEST * width)
        margin = 0.02 * (right - left) or width / 2
        return left - margin, right + margin

    def _draw_curves(self, ax, with_numbers, kwargs):
        from matplotlib.lines import Line2D

        for k, (key, scores) in enumerate(self.scores_ood.items()):
            y_true = np.repeat([1, 0], [len(self.scores_id), len(scores)])
            fpr, tpr, _ = roc_curve(y_true, _ranks(self.scores_id, scores))
            label = self._label(key) if with_numbers else shown(key, 22)
            options = {
                "color": SERIES[k % len(SERIES)],
                "linestyle": LINES[k % len(LINES)],
                "label": label.replace("\n", "  "),
            }
            options = options_for(Line2D, options, kwargs)
            (line,) = ax.plot(fpr, tpr, **options)
            self.lines_[key] = line
            share = np.mean(self.scores_id >= self.threshold)
            ax.plot(self.fpr95[key], share, "o", color=line.get_color(), markersize=6)
        threshold = ax.axhline(
            _TPR, color=GREY, linestyle="--", linewidth=0.8, zorder=0
        )
        ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, zorder=0)
        ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        ax.set_xlabel("share of OOD rows accepted (false positive rate)")
        ax.set_ylabel("share of ID rows accepted (true positive rate)")
        legend = ax.legend(
            loc="lower right",
            frameon=False,
            title="● 95 % of ID accepted: FPR95",
            alignment="left",
            title_fontsize="medium",
        )
        literal(legend.get_texts())
        return threshold


def _axes(ax, kind, n_sets):
    """Axes of the pictures and their figure; None makes new ones."""
    if ax is not None:
        axes = np.ravel(np.asarray(ax, dtype=object))
        if len(axes) != _KINDS[kind]:
            raise ValueError(
                f"kind={kind!r} needs {_KINDS[kind]} Axes as ax, got {len(axes)}."
            )
        return axes, axes[0].get_figure()
    height = 1.6 + 0.8 * n_sets
    if kind != "both":
        one, figure = axes_for(
            None, figsize=(6.4, height) if kind == "hist" else (5, 5)
        )
        return np.array([one], dtype=object), figure
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1,
        2,
        figsize=(9.6, max(height, 4.2)),
        width_ratios=(1.3, 1),
        layout="constrained",
    )
    return axes, figure


def _ranks(inside, outside):
    """Scores as whole numbers in the same order: infinite ones become finite."""
    return np.unique(np.concatenate([inside, outside]), return_inverse=True)[1]


def _shares(scores, edges):
    """Share of the rows in each bin; what lies beyond counts in the last ones."""
    inner = np.clip(scores, edges[0], edges[-1])
    return np.histogram(inner, edges)[0] / len(scores)
