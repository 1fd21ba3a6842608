"""Sphinx configuration. Build: sphinx-build -W --keep-going -b html doc doc/_build."""

import re

import sklearn_collapse

project = "sklearn_collapse"
copyright = "2026, sklearn_collapse developers"
author = "sklearn_collapse developers"
version = release = sklearn_collapse.__version__

# No intersphinx: the build needs no network.
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
default_role = "literal"
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "auto_examples/*.ipynb"]

autosummary_generate = True
autodoc_typehints = "none"
# The class template lists the members, so numpydoc must not list them again.
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    # Every example is executed, whatever its name; one that raises fails the build.
    "filename_pattern": r"\.py$",
    "reference_url": {"sklearn_collapse": None},
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_collapse"
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
}
html_sidebars = {"papers": [], "conventions": [], "changelog": []}


def unlink_inherited(app, what, name, obj, options, lines):
    """Make plain text of the references to scikit-learn's guide in inherited text."""
    if (getattr(obj, "__module__", None) or "").startswith("sklearn."):
        reference = r":(?:ref|term):`([^<`]*?)(\s*<[^`]*>)?`"
        lines[:] = re.sub(reference, r"\1", "\n".join(lines)).split("\n")


def setup(app):
    app.connect("autodoc-process-docstring", unlink_inherited)
