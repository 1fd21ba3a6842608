"""The report as one HTML page that needs nothing beside itself."""

import base64
import hashlib
import json
from importlib.resources import files

from sklearn_collapse.report._compare import far_from_first
from sklearn_collapse.report._document import as_document, comparison, plain
from sklearn_collapse.report._errors import MissingExtraError
from sklearn_collapse.report._page_numbers import (
    data,
    formula,
    page_number,
    percent,
    short,
)
from sklearn_collapse.report._read import as_entry
from sklearn_collapse.report._summary import summary_of, summary_of_layers, tiles_of
from sklearn_collapse.report._tables import (
    alignments_of,
    class_columns,
    classes_of,
    detectors_of,
    groups_of,
    ood_sets_of,
    trend,
)

_FILES = ("page.html.j2", "layer.html.j2", "macros.html.j2", "page.css", "page.js")
_LISTED_CLASSES = 40
_SECTIONS = {
    "notes": "Notes",
    "data": "Data",
    "collapse": "Neural collapse",
    "classes": "Classes",
    "alignment": "Alignment",
    "whitening": "Whitening",
    "ood": "Out of distribution",
}


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
    import matplotlib
    from markupsafe import Markup

    from sklearn_collapse.report._pictures import draw, trajectories

    document = as_document(reports)
    several = len(reports) > 1
    layers = []
    for k, report in enumerate(reports):
        prefix = f"layer-{k + 1}-" if several else ""
        layers.append(_layer(report, report.pictures or draw(report), prefix))
    source = {name: _file(name) for name in _FILES}
    script, style = source["page.js"], source["page.css"]
    first = layers[0]
    found = _compared(document["layers"], comparison(document)) if several else []
    return (
        _environment(source)
        .get_template("page.html.j2")
        .render(
            title=f"{len(layers)} layers" if several else first["data"]["name"],
            summary=summary_of_layers(document["layers"])
            if several
            else first["summary"],
            tiles=[] if several else tiles_of(document["layers"][0]),
            comparison=found,
            trajectories=trajectories(document) if several else [],
            contents=_contents(layers),
            layers=layers,
            versions=document["made_with"] | {"matplotlib": matplotlib.__version__},
            numbers=_embedded(document),
            policy=_policy(script),
            script=Markup(script),
            style=Markup(style),
        )
    )


def _file(name):
    return files(__package__).joinpath("page", name).read_text("utf-8")


def _environment(source):
    from jinja2 import DictLoader, Environment, StrictUndefined

    environment = Environment(
        autoescape=True,
        loader=DictLoader(source),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": page_number,
        "short": short,
        "percent": percent,
        "count": "{:,}".format,
        "formula": formula,
        "data": data,
    }
    return environment


def _compared(layers, rows):
    """Rows of the comparison, with their lines and what differs from the first."""
    far = far_from_first([as_entry(layer["name"], layer) for layer in layers])
    return [
        {
            **row,
            "trend": trend(row["values"]),
            "far": far.get(row["metric"], []) if row["rows"] == "training" else [],
        }
        for row in rows
    ]


def _layer(report, pictures, prefix):
    """What the sections of a layer show."""
    numbers = report.numbers
    classes = list(numbers["classes"])
    return {
        **numbers,
        "prefix": prefix,
        "summary": list(summary_of(numbers)),
        "groups": groups_of(numbers),
        "classes": classes_of(numbers),
        "class_columns": class_columns(numbers),
        "class_names": classes if len(classes) <= _LISTED_CLASSES else [],
        "alignments": list(alignments_of(numbers["alignment"])),
        "ood_sets": ood_sets_of(numbers),
        "detectors": detectors_of(numbers),
        "pictures": pictures,
    }


def _contents(layers):
    """Links of the table of contents: (id, text)."""
    if len(layers) == 1:
        return [
            (name, text)
            for name, text in _SECTIONS.items()
            if name != "notes" or layers[0]["notes"]
        ]
    links = [(f"{layer['prefix']}layer", layer["name"]) for layer in layers]
    return [("layers", "Comparison"), *links]


def _embedded(document):
    """The document for the downloads; no text in it can end the script."""
    from markupsafe import Markup

    text = json.dumps(plain(document), allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _policy(script):
    """Nothing is loaded, and no script runs but that of the page."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
