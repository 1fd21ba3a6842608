"""The pictures of the HTML report, as SVG that follows light and dark themes."""

import base64
import io
import re
import warnings
from typing import Any, NamedTuple

import numpy as np

from sklearn_collapse.plotting import (
    ClassGeometryDisplay,
    CollapseTrajectoryDisplay,
    OODScoreDisplay,
    SpectrumDisplay,
)
from sklearn_collapse.plotting._style import shown

# Colour of text and axes while matplotlib draws; the theme's in the file.
_INK = "#010203"
# Colours of the displays that are too dark for a dark theme, and what replaces them.
_DARK = {"#0072b2": "#58a6e0", "#d55e00": "#f08a3c"}
# Metrics that are drawn over layers.
_TRAJECTORIES = {
    "vci": "Variability collapse index",
    "nc1_trace_ratio": "NC1, variance within classes over that of their means",
    "nc2_etf_error": "Distance of the class means from a simplex",
    "disparity": "Misfit of the class means after the best rotation",
    "nc3_self_duality": "Head against class means",
    "ncm_accuracy": "Accuracy of the nearest class mean",
}
_MOST_TICKS, _TICK_LETTERS = 12, 40
# Detectors whose scores are drawn; more if more of them are best on a set.
_SCORE_PICTURES = 4
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "figure.dpi": 72,
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "svg.hashsalt": "sklearn_collapse",  # the same file every time
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


class Picture(NamedTuple):
    """An image for the page."""

    caption: str
    alt: str
    source: str  # data URI
    width: int
    height: int


def draw(report):
    """Draw every picture of a layer: {name: list of Picture}."""
    return {name: list(picture(report)) for name, picture in _PICTURES.items()}


def _spectrum(report):
    study = report.study
    display = SpectrumDisplay._of_moments(study.scorer.moments_)
    alt = (
        f"Eigenvalues on a logarithmic scale. Within classes they fall from "
        f"{display.within[0]:.2g} to {display.within[-1]:.2g}, over all rows from "
        f"{display.total[0]:.2g} to {display.total[-1]:.2g}. The within-class rank is "
        f"{display.within_rank} of {len(display.within)}."
    )
    caption = "Eigenvalues of the covariances."
    if display.n_classes <= len(display.within):
        caption += (
            " With collapse the C\N{NO-BREAK SPACE}−\N{NO-BREAK SPACE}1 largest, which "
            "belong to the class means, part from the rest."
        )
    yield _render(display, caption, alt, (5, 4.2))


def _geometry(report):
    study = report.study
    scorer = study.scorer
    balanced = "balanced" if study.class_weight else None
    display = ClassGeometryDisplay._of_moments(scorer.moments_, class_weight=balanced)
    n_classes = display.directions.shape[0]
    alt = (
        f"Cosines between the centred means of {n_classes} classes, beside those of a "
        f"simplex, {display.ideal_cosine:.3g}."
    )
    caption = (
        "Cosines between class means. In a simplex all are "
        "−1/(C\N{NO-BREAK SPACE}−\N{NO-BREAK SPACE}1)."
    )
    picture = _render(display, caption, alt, (5, 4.2))
    if display.image_ is not None:
        note = " Darker pairs are closer than that, paler ones further apart."
        picture = picture._replace(caption=caption + note)
    yield picture


def best_detectors(table):
    """Names of the best on each set and overall, in the order of the table."""
    best, sums = set(), dict.fromkeys((row["detector"] for row in table), 0.0)
    for name in {row["set"] for row in table}:
        rows = [row for row in table if row["set"] == name]
        best.add(max(rows, key=lambda row: row["auroc"])["detector"])
        for row in rows:
            sums[row["detector"]] += row["auroc"]
    for name in sorted(sums, key=lambda name: -sums[name]):
        if len(best) < _SCORE_PICTURES:
            best.add(name)
    return [name for name in sums if name in best]


def _scores(report):
    study = report.study
    features = study.features
    for name in best_detectors(report.numbers["ood"]):
        detector = study.detectors[name]
        display = OODScoreDisplay._of_scores(
            detector.score_samples(features.X_test),
            {key: detector.score_samples(rows) for key, rows in features.ood.items()},
        )
        alt = f"Histograms of the scores of {name}. AUROC: " + ", ".join(
            f"{key} {value:.3f}" for key, value in display.auroc.items()
        )
        size = (5, 0.9 + 0.75 * len(features.ood))
        yield _render(display, name, f"{alt}.", size, bins=40)


def trajectories(document):
    """Draw metrics over the layers, training and test rows."""
    layers = document["layers"]
    names = [layer["name"] for layer in layers]
    history: dict = {}
    for k, layer in enumerate(layers):
        parts = {"training": "train", "test": "held_out"}
        history[k] = {
            rows: layer["collapse"][part]
            | {"disparity": layer["alignment"][part]["disparity"]}
            for rows, part in parts.items()
        }
    display = CollapseTrajectoryDisplay._of_history(history)
    for metric, title in _TRAJECTORIES.items():
        values = {
            rows: display.values[metric, rows]
            for rows in ("training", "test")
            if (metric, rows) in display.values
        }
        if not any(np.isfinite(found).any() for found in values.values()):
            continue
        alt = f"{title} over {len(names)} layers. " + " ".join(
            f"{rows.capitalize()} rows: "
            + ", ".join(
                f"{name} {value:.3g}" for name, value in zip(names, found, strict=True)
            )
            + "."
            for rows, found in values.items()
        )
        yield _render(_Over(display, names), title, alt, (4.2, 2.9), metrics=[metric])


class _Over:
    """A trajectory over layers that have names."""

    def __init__(self, display, names):
        self._display, self._names = display, names

    def plot(self, ax, **options):
        self._display.plot(ax, **options)
        step = max(1, -(-len(self._names) // _MOST_TICKS))
        places = range(0, len(self._names), step)
        labels = [shown(self._names[k], 14) for k in places]
        long = sum(map(len, labels)) > _TICK_LETTERS
        ax.set_xticks(
            list(places),
            labels,
            rotation=35 if long else 0,
            ha="right" if long else "center",
            parse_math=False,
        )
        ax.set_xlabel("")
        ax.set_title("")


_PICTURES = {"spectrum": _spectrum, "geometry": _geometry, "scores": _scores}


def _render(display, caption, alt, size, **options):
    """Draw a display without touching the settings or the windows of the caller."""
    import matplotlib
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        # Letters that matplotlib's font lacks: the browser has them.
        warnings.simplefilter("ignore")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=size, layout="constrained")
        display.plot(figure.subplots(), **options)
        nothing = dict.fromkeys(["Creator", "Date", "Format", "Type"])
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    code = base64.b64encode(_themed(buffer.getvalue()).encode()).decode()
    width, height = (round(96 * inches) for inches in size)
    return Picture(caption, alt, f"data:image/svg+xml;base64,{code}", width, height)


def _themed(svg):
    """Drop the preamble and let the colours of text and series follow the theme."""
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    dark = ""
    for k, (light, replacement) in enumerate(_DARK.items()):
        svg = svg.replace(light, f"var(--c{k},{light})")
        dark += f"--c{k}:{replacement};"
    style = (
        "<style>svg{color:#1c2126}text{font-family:system-ui,sans-serif!important}"
        f"@media screen and (prefers-color-scheme:dark){{svg{{color:#e3e6ea;{dark}}}}}"
        "</style>"
    )
    return re.sub(r"(<svg[^>]*>)", lambda found: found[1] + style, svg, count=1)
