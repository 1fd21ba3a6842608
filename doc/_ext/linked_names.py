"""Public names in the tables of two pages lead to their pages of the API.

There they stand as code, with arguments or without, as one would write them.
"""

import re

from docutils import nodes
from sphinx import addnodes

import sklearn_collapse

PAGES = {"papers", "migration"}


def public_names():
    """Full names of what the packages offer, by their last part."""
    names = {}
    for package in sklearn_collapse.__all__:
        found = getattr(sklearn_collapse, package)
        if callable(found):
            names[package] = f"sklearn_collapse.{package}"
        elif hasattr(found, "__path__"):
            # Tables such as METRICS have no page.
            shown = [name for name in found.__all__ if not name.isupper()]
            names |= {name: f"{found.__name__}.{name}" for name in shown}
    return names


def link(app, doctree):
    """Wrap code that begins with a public name in a reference to it."""
    if app.env.docname not in PAGES:
        return
    names = public_names()
    for node in list(doctree.findall(nodes.literal)):
        found = re.match(r"\w+(?![\w.])", node.astext())
        around = {type(ancestor) for ancestor in ancestors(node)}
        if not found or found[0] not in names or nodes.entry not in around:
            continue
        if addnodes.pending_xref in around:  # it is a reference already
            continue
        facts = {"refdomain": "py", "reftype": "obj", "refdoc": app.env.docname}
        facts |= {"reftarget": names[found[0]], "refexplicit": True, "refwarn": True}
        node.replace_self(addnodes.pending_xref("", node.deepcopy(), **facts))


def ancestors(node):
    """Yield what a node is in, from the inside."""
    while node.parent is not None:
        node = node.parent
        yield node


def setup(app):
    app.connect("doctree-read", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
