"""How many new rows a detector flags, against how many it was asked to."""

from numbers import Integral, Real

import numpy as np

from sklearn_collapse._linalg._calibration import exact_band, flagged_shares
from sklearn_collapse._linalg._conformal import p_value_steps, p_values
from sklearn_collapse.plotting._style import (
    GREY,
    LINES,
    SERIES,
    axes_for,
    check_matplotlib,
    check_scores,
    literal,
    options_for,
    power_of_ten,
    shown,
)
from sklearn_collapse.utils._arrays import to_numpy

_CONFIDENCE, _POINTS = 0.95, 80
_MARKERS = "osD^"
# Curves of the axes have these names: another display knows how many there are.
_CURVE, _BAND = "false alarms", "exact calibration"


class CalibrationDisplay:
    """Share of in-distribution rows that are flagged, against the nominal rate.

    Use `from_estimator` or `from_predictions` to make one. All thresholds are seen at
    once: at each nominal rate (``contamination`` of a detector, ``alpha`` of a
    `ConformalDetector`) the share of new in-distribution rows below the threshold. A
    threshold that holds lies on the diagonal, to what chance allows, which is the
    band. Above it more rows are flagged than were asked for, below it fewer.

    For the probabilities of a classifier use scikit-learn's
    ``sklearn.calibration.CalibrationDisplay``.

    Parameters
    ----------
    p_values : ndarray of shape (m,)
        Of in-distribution rows: the lowest nominal rate at which each is flagged.
    n_calibration : int, default=None
        Number of the rows that set the thresholds. None: so many that they do not
        vary.
    asked, flagged : float, default=None
        Nominal rate of a threshold that is set, and the share of the rows below it.
    estimator_name : str, default=None
        Shown in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the curve.
    figure_ : matplotlib Figure
        Figure of the axes.
    rates_, shares_ : ndarray of shape (k,)
        Where the curve rises, and to what.
    line_ : matplotlib Line2D
        The curve, a function of steps.
    point_ : matplotlib Line2D or None
        The threshold that is set.
    band_ : matplotlib FillBetweenPolyCollection or None
        Where exact calibration lies; None if the axes had the same one.

    See Also
    --------
    sklearn_collapse.ood.ConformalDetector : Thresholds that hold by construction.
    OODScoreDisplay : What the same thresholds find.

    Notes
    -----
    With n calibration scores s_i the p-value of a row with score s is that of
    `ConformalDetector`, ::

        p = (1 + #{i : s_i <= s}) / (1 + n)

    and the curve is a -> #{p <= a} / m over m rows. A detector calibrated on the same
    n rows with ``contamination=a`` flags the same rows, to one calibration row.

    If the rows and those that calibrate are exchangeable, and without ties, the number
    of rows that are flagged at a is that of the new scores below the k-th calibration
    score, k = floor(a (n + 1)), ::

        P(j) = binom(j + k - 1, j) binom(m - j + n - k, m - j) / binom(m + n, m)

    a beta-binomial distribution; without `n_calibration` it is the binomial one of m
    and a. The band holds at least 95 % of it at each rate, not of whole curves: a
    curve may leave it here and there. It widens with few rows on either side.

    Rows that were fitted on are not exchangeable with new ones: thresholds set on them
    flag too much, the more the nearer their number is to that of the features.

    References
    ----------
    .. [1] Bates, S., Candes, E., Lei, L., Romano, Y., Sesia, M. (2023). "Testing for
       Outliers with Conformal p-values". Annals of Statistics 51(1).
    .. [2] Vovk, V. (2012). "Conditional Validity of Inductive Conformal Predictors".
       Proceedings of Machine Learning Research 25.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn_collapse.datasets import load_cifar8_features
    >>> from sklearn_collapse.ood import ConformalDetector, MahalanobisDetector
    >>> from sklearn_collapse.plotting import CalibrationDisplay
    >>> data = load_cifar8_features()
    >>> X, y = data.data[::12], data.target[::12]
    >>> detector = MahalanobisDetector(contamination=0.05).fit(X, y)
    >>> display = CalibrationDisplay.from_estimator(
    ...     detector, data.X_test, X_calibration=X, name="training rows"
    ... )
    >>> round(display.flagged, 2)
    0.17
    >>> conformal = ConformalDetector(detector, random_state=0).fit(X, y)
    >>> display = CalibrationDisplay.from_estimator(
    ...     conformal, data.X_test, ax=display.ax_
    ... )
    >>> round(display.flagged, 2)
    0.05
    >>> plt.show()
    """

    def __init__(
        self,
        p_values,
        *,
        n_calibration=None,
        asked=None,
        flagged=None,
        estimator_name=None,
    ):
        self.p_values = p_values
        self.n_calibration = n_calibration
        self.asked = asked
        self.flagged = flagged
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls,
        detector,
        X,
        *,
        X_calibration=None,
        scale="log",
        name=None,
        ax=None,
        **kwargs,
    ):
        """Draw how many rows a fitted detector flags.

        Parameters
        ----------
        detector : estimator
            Fitted, with ``score_samples``; without `X_calibration` also with
            ``p_values``, as a `ConformalDetector` has. The threshold that it has, if
            it has one for a ``contamination`` or ``alpha``, is drawn as a point.
        X : array-like of shape (m, d)
            In-distribution rows that neither were fitted on nor set the threshold.
        X_calibration : array-like of shape (n, d), default=None
            Rows that set the thresholds of the curve: the training rows for what
            ``fit`` does, others for what ``calibrate`` does with them. None: those
            that calibrate a `ConformalDetector`.
        scale : {"log", "linear"}, default="log"
            Scale of both axes.
        name : str, default=None
            Name in the legend; by default that of the class.
        ax : matplotlib Axes, default=None
            Axes to draw into, which may have other curves; by default new ones.
        **kwargs : dict
            Passed to ``ax.plot`` for the curve.

        Returns
        -------
        CalibrationDisplay
            The drawn display.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        if X_calibration is not None:
            calibration = detector.score_samples(X_calibration)
            found, n = _p_values(detector.score_samples(X), calibration)
        elif hasattr(detector, "p_values"):
            found, n = detector.p_values(X), int(detector.n_calibration_)
        else:
            raise TypeError(
                f"{type(detector).__name__} has no p_values: the scores that set its "
                f"threshold are not kept. Pass X_calibration, the rows it was fitted "
                f"or calibrated on, or wrap it into a ConformalDetector."
            )
        asked = getattr(
            detector,
            "alpha" if hasattr(detector, "p_values") else "contamination",
            None,
        )
        flagged = None
        if isinstance(asked, Real) and hasattr(detector, "offset_"):
            flagged = float(np.mean(to_numpy(detector.predict(X)) == -1))
        display = cls(
            _check_p_values(found),
            n_calibration=n,
            asked=asked,
            flagged=flagged,
            estimator_name=type(detector).__name__ if name is None else name,
        )
        return display.plot(ax, scale=scale, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        scores,
        scores_calibration=None,
        *,
        n_calibration=None,
        scale="log",
        name=None,
        ax=None,
        **kwargs,
    ):
        """Draw how many rows would be flagged by their scores, or by their p-values.

        Parameters
        ----------
        scores : array-like of shape (m,)
            Scores of in-distribution rows, larger = more in-distribution; without
            `scores_calibration` p-values, in [0, 1].
        scores_calibration : array-like of shape (n,), default=None
            Scores of the rows that set the thresholds.
        n_calibration : int, default=None
            Number of the rows that gave p-values, for the band; None takes them for
            exact. With `scores_calibration` it is their number.
        scale : {"log", "linear"}, default="log"
            Scale of both axes.
        name : str, default=None
            Name in the legend.
        ax : matplotlib Axes, default=None
            Axes to draw into, which may have other curves; by default new ones.
        **kwargs : dict
            Passed to ``ax.plot`` for the curve.

        Returns
        -------
        CalibrationDisplay
            The drawn display.
        """
        check_matplotlib(f"{cls.__name__}.from_predictions")
        if scores_calibration is not None:
            if n_calibration is not None:
                raise ValueError(
                    "n_calibration is the number of scores_calibration: pass one of "
                    "the two."
                )
            scores, n_calibration = _p_values(scores, scores_calibration)
        display = cls(
            _check_p_values(scores),
            n_calibration=_check_number(n_calibration),
            estimator_name=name,
        )
        return display.plot(ax, scale=scale, **kwargs)

    def plot(self, ax=None, *, scale="log", **kwargs):
        """Draw the curve, and what it is held against.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into, which may have other curves; by default new ones.
        scale : {"log", "linear"}, default="log"
            Scale of both axes.
        **kwargs : dict
            Passed to ``ax.plot`` for the curve.

        Returns
        -------
        CalibrationDisplay
            The display itself.
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        if scale not in ("log", "linear"):
            raise ValueError(f"scale must be 'log' or 'linear', got {scale!r}.")
        self.ax_, self.figure_ = axes_for(ax, figsize=(5.4, 5))
        self.rates_, self.shares_ = flagged_shares(self.p_values)
        before = [line for line in self.ax_.lines if line.get_gid() == _CURVE]
        self._draw_scale(scale, bool(before))
        self._draw_curve(len(before), kwargs)
        self._draw_band(scale)
        legend = self.ax_.legend(loc="upper left", frameon=False, fontsize=9)
        literal(legend.get_texts())
        return self

    def _draw_scale(self, scale, again):
        """Axes, with room for the smallest rates of all curves, and the diagonal."""
        ax, low = self.ax_, 0.0
        if scale == "log":
            m, n = len(self.p_values), self.n_calibration
            low = 0.7 / (m if n is None else min(m, n + 1))
            low = min(low, 0.01, *(ax.get_xlim()[:1] if again else ()))
        ax.set(xscale=scale, yscale=scale, xlim=(low, 1), ylim=(low, 1))
        ax.set_aspect("equal")
        if scale == "log":
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_formatter(_percent)
                axis.set_minor_formatter(lambda value, position: "")
        if not again:
            ax.axline((0.5, 0.5), (1, 1), color=GREY, linewidth=1, zorder=1)
            ax.set_xlabel("nominal rate of false alarms")
            ax.set_ylabel("share of in-distribution rows flagged")

    def _draw_band(self, scale):
        ax, m, n = self.ax_, len(self.p_values), self.n_calibration
        key = f"{_BAND} {m} {n}"
        self.band_ = None
        if any(drawn.get_gid() == key for drawn in ax.collections):
            return
        ends = ax.get_xlim()[0] or 1 / (_POINTS + 1), 1 - 1e-9
        spaced = np.geomspace if scale == "log" else np.linspace
        rates = spaced(*ends, _POINTS)
        if n is not None:
            # At whole k, where it is exact.
            rates = np.unique(np.clip(np.round(rates * (n + 1)), 1, n)) / (n + 1)
        low, high = exact_band(rates, m, n, _CONFIDENCE)
        others = [d for d in ax.collections if str(d.get_gid()).startswith(_BAND)]
        self.band_ = ax.fill_between(
            rates,
            low,
            high,
            facecolor=self.line_.get_color(),
            alpha=0.16,
            linewidth=0,
            zorder=0,
            label=None if others else f"shaded: {100 * _CONFIDENCE:g} % if exact",
            gid=key,
        )

    def _draw_curve(self, number, kwargs):
        from matplotlib.lines import Line2D

        marker = _MARKERS[number % len(_MARKERS)]
        name = "" if self.estimator_name is None else shown(self.estimator_name)
        label = [name] if name else []
        if self.flagged is not None:
            label.append(f"{100 * self.flagged:.3g} % at {100 * self.asked:.3g} %")
        options: dict = {
            "color": SERIES[number % len(SERIES)],
            "linestyle": LINES[number % len(LINES)],
            # In the legend alone: the curve has a marker at the threshold that is set.
            "marker": None if self.flagged is None else marker,
            "markevery": [],
            "linewidth": 1.6,
            "label": ": ".join(label) or "rows",
            "drawstyle": "steps-post",
            "gid": _CURVE,
        }
        options = options_for(Line2D, options, kwargs)
        rates, shares = np.append(self.rates_, 1.0), np.append(self.shares_, 1.0)
        rates, shares = np.append(rates[0], rates), np.append(0.0, shares)
        (self.line_,) = self.ax_.plot(rates, shares, **options)
        self.point_ = None
        if self.flagged is not None:
            (self.point_,) = self.ax_.plot(
                self.asked,
                self.flagged,
                linestyle="none",
                marker=marker,
                color=self.line_.get_color(),
                markeredgecolor="#ffffff",
                markersize=8,
                zorder=4,
            )


def _percent(value, position=None):
    """Tick label in percent for powers of ten, none for others."""
    return f"{100 * value:g} %" if power_of_ten(value) else ""


def _p_values(scores, calibration):
    """Conformal p-values of scores, and how many calibrate."""
    scores = check_scores(scores, "scores")
    calibration = check_scores(calibration, "scores_calibration")
    steps = p_value_steps(calibration)
    return p_values(scores, steps, xp=np), len(calibration)


def _check_p_values(values):
    values = check_scores(values, "p-values")
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"p-values must lie in [0, 1], got values from {values.min():.3g} to "
            f"{values.max():.3g}. Of scores pass those of calibration rows as well, "
            f"as scores_calibration."
        )
    return values


def _check_number(number):
    if number is None:
        return None
    if not isinstance(number, Integral) or number < 1:
        raise ValueError(
            f"n_calibration must be a positive whole number or None, got {number!r}."
        )
    return int(number)
