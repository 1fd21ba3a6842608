"""What the displays share: axes, colours, and labels that come from users."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_collapse.utils._arrays import to_numpy

# Okabe and Ito's colours, told apart by colour-blind readers. Nothing is told by
# colour alone: every series has a line style, a hatch or a label of its own.
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
SERIES = (ORANGE, BLUE, GREEN, PURPLE)
LINES = ("-", "--", "-.", ":")
GREY = "#8a8a8a"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def check_matplotlib(caller):
    """Raise an ImportError that says what to install."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{caller} requires matplotlib. You can install it with "
            f"`pip install 'sklearn-collapse[plot]'`."
        ) from error


def axes_for(ax, **figure):
    """Return the axes to draw into and their figure; None makes new ones."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(layout="constrained", **figure)
    return ax, ax.get_figure()


def options_for(artist, defaults, kwargs):
    """Defaults of an artist overruled by what the user passed, such as ``lw`` too."""
    from matplotlib.cbook import normalize_kwargs

    return defaults | normalize_kwargs(kwargs, artist)


def fitted_moments(estimator):
    """Moments of a fitted estimator; anything else is refused by name."""
    check_is_fitted(estimator)
    moments = getattr(estimator, "moments_", None)
    if moments is None:
        raise TypeError(
            f"{type(estimator).__name__} has no moments_. Pass an estimator that is "
            f"fitted from class moments, or use from_moments."
        )
    return moments


def check_scores(scores, name):
    """Scores as a float64 vector without NaN."""
    scores = np.asarray(to_numpy(scores), dtype=float)
    if scores.ndim != 1 or not len(scores):
        raise ValueError(
            f"{name} must hold at least one score in one dimension, got shape "
            f"{scores.shape}."
        )
    if np.isnan(scores).any():
        raise ValueError(
            f"{name} contains NaN (first in row {int(np.argmax(np.isnan(scores)))}): "
            f"such rows have no rank."
        )
    return scores


def shown(label, longest=28):
    """Text of a label on one line, of bounded length, printable."""
    text = " ".join(str(label).split())
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def literal(texts):
    """Show the dollar signs of texts from users instead of reading formulas."""
    for text in texts:
        text.set_parse_math(False)


def power_of_ten(value, position=None):
    """Tick label 10⁻³, without the formula parser."""
    from math import log10

    exponent = round(log10(value))
    if abs(log10(value) - exponent) > 1e-6:
        return ""
    return "1" if exponent == 0 else f"10{str(exponent).translate(_SUPERSCRIPT)}"
