"""The report as one HTML page that needs nothing beside itself."""

import math
import platform
import re
from importlib.resources import files

import numpy as np
import sklearn

from sklearn_collapse import __version__
from sklearn_collapse.metrics import METRICS
from sklearn_collapse.report._errors import MissingExtraError
from sklearn_collapse.report._text import ALIGNMENT, MEANING, by_set, number

_MANY_CLASSES = 40


def check_extra():
    """Raise unless jinja2 and matplotlib can be imported."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"the HTML report needs jinja2 and matplotlib ({error}): "
            f"pip install 'sklearn-collapse[report]'"
        ) from error


def as_html(reports):
    """Write the page.

    Parameters
    ----------
    reports : list of Report
        Of `compute`; with pictures, or with the study that they are drawn from.

    Returns
    -------
    str
    """
    check_extra()
    from jinja2 import Environment, StrictUndefined

    from sklearn_collapse.report._pictures import draw

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _number,
        "short": _short,
        "percent": _percent,
        "count": "{:,}".format,
        "formula": _formula,
    }
    source = files(__package__).joinpath("template.html.j2").read_text("utf-8")
    (report,) = reports
    numbers = report.numbers
    classes = list(numbers["classes"])
    return environment.from_string(source).render(
        {key: value for key, value in numbers.items() if key != "classes"},
        class_table=numbers["classes"],
        summary=_summary(numbers),
        tiles=_tiles(numbers),
        groups=_groups(numbers["collapse"]),
        ood_sets=_ood_sets(numbers),
        classes=classes if len(classes) <= _MANY_CLASSES else [],
        alignments=_alignments(numbers["alignment"]),
        pictures=report.pictures or draw(report.study),
        versions=_versions(),
    )


def _number(value):
    """Number as in the text report, set properly."""
    if math.isnan(value):
        return "undefined"
    return number(value).replace("-", "−").replace("inf", "∞")


def _formula(text):
    """Set subscripts and superscripts of what a metric is."""
    from markupsafe import Markup, escape

    text = re.sub(r"_(\w)", r"<sub>\1</sub>", str(escape(text)))
    text = re.sub(r"\^(-?\d|\+)", r"<sup>\1</sup>", text)
    return Markup(re.sub(r"-(?= ?1)", "−", text))


def _short(value):
    """Number for prose."""
    if not math.isfinite(value):
        return _number(value)
    shown = f"{value:,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"
    return shown.replace("-", "−")


def _summary(numbers):
    """Sentences that say what the numbers mean; those that cannot be said are left."""
    train, test = numbers["collapse"]["train"], numbers["collapse"]["held_out"]
    ratios = train["nc1_trace_ratio"], test["nc1_trace_ratio"]
    if all(map(math.isfinite, ratios)):
        yield (
            f"Within-class variation is {_short(ratios[0])} times that between the "
            f"class means on the training rows and {_short(ratios[1])} times on the "
            f"test rows; it is 0 for a network that has collapsed completely."
        )
    error = train["nc2_etf_error"]
    if math.isfinite(error):
        yield (
            f"The class means are {_short(error)} from a simplex, the shape they "
            f"approach as training goes on; 0 is exactly a simplex."
        )
    disparity = numbers["alignment"]["train"]["disparity"]
    if math.isfinite(disparity):
        yield (
            f"The best rotation and scale leave {_percent(disparity)} of the simplex "
            f"unexplained."
        )
    whitening = numbers["whitening"]["total"]
    if whitening["rank"] > 1:
        yield (
            f"The features vary in {whitening['rank']:,} of "
            f"{numbers['data']['n_features']:,} directions, in the widest of them "
            f"{_short(whitening['condition_before'] ** 0.5)} times as far as in the "
            f"narrowest."
        )
    data = numbers["data"]
    if data["head_accuracy_test"] is not None:
        accuracy = _percent(data["head_accuracy_test"])
        sentence = (
            f"The network's last layer classifies {accuracy} of the test rows correctly"
        )
        if "nc4_agreement" in test:
            sentence += (
                f" and agrees with the nearest class mean on "
                f"{_percent(test['nc4_agreement'])} of them"
            )
        yield f"{sentence}."
    best = _best(numbers["ood"])
    if best:
        hardest = min(best.values(), key=lambda row: row["auroc"])
        easiest = max(best.values(), key=lambda row: row["auroc"])
        yield (
            f"Of {len(best)} out-of-distribution sets the hardest is "
            f"“{hardest['set']}”, where the best detector ({hardest['detector']}) "
            f"reaches an AUROC of {_percent(hardest['auroc'])}; the easiest is "
            f"“{easiest['set']}” with {_percent(easiest['auroc'])}."
            if len(best) > 1
            else f"Rows of “{hardest['set']}” are told apart with an AUROC of "
            f"{_percent(hardest['auroc'])} by the best detector, {hardest['detector']}."
        )


def _tiles(numbers):
    """Pairs of a number and what it is, for the head of the page."""
    train, test = numbers["collapse"]["train"], numbers["collapse"]["held_out"]
    yield _short(test["vci"]), "variability collapse index of the test rows"
    error = train["nc2_etf_error"]
    if math.isfinite(error):
        yield _short(error), "distance of the class means from a simplex"
    if numbers["data"]["head_accuracy_test"] is not None:
        accuracy = _percent(numbers["data"]["head_accuracy_test"])
        yield accuracy, "test accuracy of the last layer"
    else:
        yield _percent(test["ncm_accuracy"]), "test accuracy of the nearest class mean"
    best = _best(numbers["ood"])
    if best:
        hardest = min(best.values(), key=lambda row: row["auroc"])
        yield _percent(hardest["auroc"]), f"best AUROC on “{hardest['set']}”"


def _groups(collapse):
    """Metrics by what they look at: (title, rows)."""
    titles = {
        "moments": "Variability within classes",
        "means": "Geometry of the class means",
        "head": "Last layer against class means",
        "rows": "Decisions",
    }
    groups: dict[str, list] = {title: [] for title in titles.values()}
    for name, value in collapse["train"].items():
        metric = METRICS[name]
        # The most that a metric needs decides.
        (*_, kind) = (need for need in titles if need in metric.needs)
        row = {
            "name": name,
            "meaning": MEANING[name],
            "direction": metric.direction,
            "source": metric.source,
            "train": value,
            "test": collapse["held_out"].get(name),
        }
        groups[titles[kind]].append(row)
    return [(title, rows) for title, rows in groups.items() if rows]


def _alignments(alignment):
    """Rows of the table of alignments."""
    for name, value in alignment["train"].items():
        direction, meaning = ALIGNMENT[name]
        yield {
            "name": name,
            "meaning": meaning,
            "direction": direction or "",
            "train": value,
            "test": alignment["held_out"].get(name),
        }


def _ood_sets(numbers):
    """Rows of the table by set, the largest AUROC of each marked."""
    best = _best(numbers["ood"])
    sets = []
    for name, rows in by_set(numbers):
        shown = []
        for row in rows:
            values = [_tenths(row[key]) for key in ("auroc", "fpr95_id", "fpr95_ood")]
            is_best = row["auroc"] == best[name]["auroc"]
            shown.append({**row, "values": values, "best": is_best})
        sets.append((name, numbers["data"]["ood_rows"][name], shown))
    return sets


def _best(table):
    """Row with the largest AUROC of each set."""
    best: dict[str, dict] = {}
    for row in table:
        if row["set"] not in best or row["auroc"] > best[row["set"]]["auroc"]:
            best[row["set"]] = row
    return best


def _tenths(share):
    return f"{100 * share:.1f}"


def _percent(share):
    return f"{_tenths(share)}\N{NO-BREAK SPACE}%"


def _versions():
    import matplotlib

    return {
        "sklearn_collapse": __version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "matplotlib": matplotlib.__version__,
    }
