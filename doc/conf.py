"""Sphinx configuration. Build: sphinx-build -W --keep-going -b html doc doc/_build."""

import inspect
import math
import re
import sys
import tomllib
from pathlib import Path

import sklearn_collapse
from sklearn_collapse.metrics import METRICS
from sklearn_collapse.metrics._metric import INVARIANCES
from sklearn_collapse.presets import PRESETS

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "sklearn_collapse"
copyright = "2026, sklearn_collapse developers"
author = "sklearn_collapse developers"
version = release = sklearn_collapse.__version__

# No intersphinx: the build needs no network.
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "matplotlib.sphinxext.plot_directive",
    "detector_table",
    "mathml",
    "linked_names",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
default_role = "literal"
templates_path = ["_templates"]
exclude_patterns = [
    "_build",
    "_templates",
    "auto_examples/*.ipynb",
    "generated/examples",
]

nitpicky = True
nitpick_ignore_regex = [
    # Other projects: the build needs no network, so it has no inventory of theirs.
    (r"py:.*", r"(sklearn|scipy|numpy|torch|matplotlib|pandas)\..*"),
    # What dict's own docstrings say they return.
    (r"py:class", r"(an object|a set-like object) providing a view.*|D\[k\] if k.*"),
]
html_math_renderer = "mathml"
# For `sphinx-build -b linkcheck`, which CI does not run. Servers of journals turn
# robots away, and anchors that scripts make are not found.
linkcheck_timeout = 20
linkcheck_retries = 2
linkcheck_workers = 4
linkcheck_anchors = False
linkcheck_report_timeouts_as_broken = False
linkcheck_allowed_redirects = {r"https://doi\.org/.*": r"https://.*"}
linkcheck_ignore = [
    r"https://doi\.org/10\.(1073|1137|1109|1145|1016|1093|1080)/.*",
    r"https://(www\.)?(pnas\.org|sciencedirect\.com|dl\.acm\.org)/.*",
    r"https://(epubs\.siam\.org|ieeexplore\.ieee\.org|www\.tandfonline\.com)/.*",
]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# Pictures of the pages, drawn by the code beside them.
plot_formats = [("png", 144)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_rcparams = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.figsize": (6.4, 3.6),
    "font.size": 10,
}
plot_apply_rcparams = True

autosummary_generate = True
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"
# A table of the methods before their descriptions, which the class template adds.
numpydoc_class_members_toctree = False
# Markdown that pages include begins below their title.
suppress_warnings = ["myst.header"]

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    # Every example is executed, whatever its name; one that raises fails the build.
    "filename_pattern": r"\.py$",
    "reference_url": {"sklearn_collapse": None},
    # For the examples that a page of the API ends with.
    "doc_module": ("sklearn_collapse",),
    "backreferences_dir": "generated/examples",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    # Its table loads scripts from elsewhere.
    "write_computation_times": False,
    "remove_config_comments": True,
    "within_subsection_order": "gallery_order.QuickStartFirst",
}

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_collapse"
html_show_sourcelink = False
html_domain_indices = False  # doc/api.rst lists the modules
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_context = {"default_mode": "auto"}  # light or dark as the reader's system
html_theme_options = {
    "logo": {"text": "sklearn_collapse"},
    "search_bar_text": "Search",
    "navigation_with_keys": False,
    "header_links_before_dropdown": 5,
    "footer_start": ["copyright"],
    "footer_center": [],
    "footer_end": [],
    # The tables of metrics need the whole width.
    "secondary_sidebar_items": {
        "**": ["page-toc"],
        "index": [],
        "metrics": [],
        "papers": [],
        "detectors": [],
    },
    "show_prev_next": False,
}
html_sidebars = {
    name: []
    for name in ("index", "install", "start", "metrics", "contributing", "changelog")
}


def unlink_inherited(app, what, name, obj, options, lines):
    """Make plain text of the references to scikit-learn's guide in inherited text."""
    if (getattr(obj, "__module__", None) or "").startswith("sklearn."):
        reference = r":(?:ref|term):`([^<`]*?)(\s*<[^`]*>)?`"
        lines[:] = re.sub(reference, r"\1", "\n".join(lines)).split("\n")


# Sections of the page of metrics, and what their metrics measure.
FAMILIES = {
    "collapse": ("Features with class labels", "more collapsed"),
    "regression": ("Features with continuous targets", "more collapsed"),
    "dimensional": ("Features alone", "less degenerate"),
    "neighbors": ("Nearest neighbours", "less degenerate or better separated"),
}


def metrics_table():
    """Lines of the tables of METRICS, one section per family."""
    lines, marks = [], [kind[0].upper() for kind in INVARIANCES]
    for family, (title, better) in FAMILIES.items():
        rows = {n: m for n, m in METRICS.items() if m.family == family}
        if not rows:
            continue
        lines += [title, "-" * len(title), "", f'"Better" means {better}.', ""]
        lines += [".. list-table::", "   :header-rows: 1", "   :class: metrics"]
        lines += ["   :widths: 40 13 12 8 3 3 3 3 3 12", ""]
        lines += table_row(["metric", "needs", "range", "better", *marks, "source"])
        for name, metric in rows.items():
            kept = ["✓" if kind in metric.invariances else "" for kind in INVARIANCES]
            lines += table_row(
                [
                    f":func:`~sklearn_collapse.metrics.{name}`\n\n       "
                    + in_a_line(metric.function),
                    ", ".join(sorted(metric.needs)),
                    interval(*metric.range),
                    metric.direction or "–",
                    *kept,
                    metric.source,
                ]
            )
        lines.append("")
    return lines


def in_a_line(function):
    """First line of a docstring; a formula after a colon is set as code."""
    line = inspect.getdoc(function).split("\n")[0].removesuffix(".")
    name, colon, rest = line.partition(": ")
    words = set(re.findall(r"\b[a-z]{4,}\b", rest)) - {"mean", "rank"}
    if re.search(r"\^|\|\||\w\(", rest) and not words:
        rest = f"``{rest.replace('``', '')}``"
    return name + colon + rest


def invariances_table():
    """Lines of a table of METRICS against invariances, one for each family."""
    lines, letters = [], [kind[0].upper() for kind in INVARIANCES]
    for family, (title, _) in FAMILIES.items():
        rows = {n: m for n, m in METRICS.items() if m.family == family}
        lines += [f".. list-table:: {title}", "   :header-rows: 1"]
        lines += ["   :class: invariances", ""]
        lines += table_row(["metric", *letters])
        for name, metric in rows.items():
            kept = ["✓" if kind in metric.invariances else "" for kind in INVARIANCES]
            lines += table_row([f":func:`~sklearn_collapse.metrics.{name}`", *kept])
        lines.append("")
    return lines


def table_row(cells):
    return [
        f"   {'  ' if k else '* '}- {cell}".rstrip() for k, cell in enumerate(cells)
    ]


def interval(low, high):
    """Write a range; ends at infinity are open."""
    left = "(−∞" if math.isinf(low) else f"[{low:g}".replace("-", "−")
    return f"{left}, " + ("∞)" if math.isinf(high) else f"{high:g}]")


def versions_table():
    """Lines of a table of what the package and its extras need, by pyproject.toml."""
    text = Path(__file__).parent.with_name("pyproject.toml").read_text(encoding="utf-8")
    facts = tomllib.loads(text)["project"]
    extras = facts["optional-dependencies"]
    inner = {"test", "test-engines", "doc", "bench", "dev"}
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 22 78", ""]
    lines += table_row(["for", "needs"])
    always = [f"Python {facts['requires-python']}", *facts["dependencies"]]
    lines += table_row(["everything", ", ".join(always)])
    for extra, packages in extras.items():
        if extra not in inner:
            lines += table_row([f"``{extra}``", ", ".join(packages)])
    return [line.replace(">=", " ≥ ") for line in lines]


def presets_table():
    """Lines of the table of PRESETS."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 22 8 34 36", ""]
    lines += table_row(["name", "head", "score", "source and notes"])
    for name, preset in PRESETS.items():
        head = "yes" if preset.needs_head else ""
        about = f"{preset.source}. {preset.note}".strip()
        lines += table_row([f"``{name}``", head, f"``{preset.formula}``", about])
    return lines


def write_tables(app):
    """Write what pages include, unless it is there already."""
    tables = {
        "metrics": metrics_table,
        "invariances": invariances_table,
        "presets": presets_table,
        "versions": versions_table,
    }
    for name, table in tables.items():
        path, text = Path(app.srcdir, f"{name}_table.inc"), "\n".join(table())
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app):
    app.connect("builder-inited", write_tables)
    app.connect("autodoc-process-docstring", unlink_inherited)
