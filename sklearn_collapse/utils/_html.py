"""Fitted attributes of an estimator as HTML, without computing any of them.

A number is shown with what the class's docstring says about it. Arrays are only named:
a large one may be made when it is read, or lie on another device. Whatever an attribute
raises, the estimator is shown: `Exception` is caught where one is read.
"""

import html
import inspect
import re
from functools import cache
from itertools import compress
from numbers import Integral, Number, Real
from typing import Any, NamedTuple

from sklearn_collapse.utils._kept import NotKeptError, looking

# How many classes, and how many labels in one line, are written out.
_MOST_CLASSES = 30
_MOST_LABELS = 10
# Documented types that are no arrays; of properties only these are read.
_PLAIN = re.compile(r'(int|float|str|bool|tuple of float|None|\{|")')
_KINDS = (Number, str, bool, type(None))

# Colours are those of the page around it.
_STYLE = """<style>
.sk-collapse { font-family: monospace; font-size: .9em; color: inherit; }
.sk-collapse summary { cursor: pointer; padding: .5rem; }
.sk-collapse details details { margin: .3rem 0; }
.sk-collapse .sk-collapse-wide { overflow-x: auto; }
.sk-collapse table { border-collapse: collapse; margin: .2rem .5rem .6rem; }
.sk-collapse table :is(td, th) {
  border: 1px solid rgba(128, 128, 128, .35); padding: .25em .6em;
  text-align: left; vertical-align: top; background: transparent; color: inherit;
  white-space: normal; font-weight: normal;
}
.sk-collapse table tr { background: transparent; }
.sk-collapse table thead th { font-weight: bold; }
.sk-collapse table td.sk-collapse-number { text-align: right; white-space: nowrap; }
.sk-collapse p { margin: .2rem .5rem .6rem; max-width: 60em; }
</style>"""


class Attribute(NamedTuple):
    """What a docstring says about one fitted attribute."""

    kind: str
    about: str


@cache
def documented(cls: Any) -> dict[str, Attribute]:
    """Attributes in the docstring of a class, by name; empty without a docstring."""
    text = inspect.getdoc(cls) or ""
    section = re.search(
        r"^Attributes\n-+\n(.*?)(?=^\S[^\n]*\n-{3}|\Z)", text, re.S | re.M
    )
    entries = re.findall(
        r"^(\w+) : ([^\n]*)\n((?:[ ]+[^\n]*\n?|\n)*)",
        section.group(1) if section else "",
        re.M,
    )
    return {name: Attribute(kind, _sentence(about)) for name, kind, about in entries}


def _sentence(text):
    """First sentence of a description, without markup."""
    text = " ".join(text.split()).replace("`", "")
    return re.split(r"(?<=[.;])\s", text, maxsplit=1)[0].rstrip(".;")


class FittedAttributes:
    """Fitted attributes of an estimator, to be written as HTML.

    Parameters
    ----------
    estimator : estimator
        It may have ``_metrics_to_show()``, which returns the metrics and those by class
        or None where measuring them takes long, ``_about_metric(name)``, which returns
        the better direction and a definition, and ``_more_to_show()``, further rows
        (name, value, description).
    """

    def __init__(self, estimator):
        self.estimator = estimator
        self.metrics: dict | None = None
        self.per_class: dict | None = None
        self.problem = ""
        if "metrics_" in dir(type(estimator)):
            self._find_metrics()
        self.rows, self.others, self.absent = [], [], []
        with looking():
            self._find_rows()

    def __len__(self):
        return len(self.rows) + len(self.others) + len(self.absent)

    def _repr_html_inner(self):
        """HTML of a block with the tables; one with metrics is open at first."""
        parts = []
        if self.problem:
            parts.append(_paragraph(self.problem))
        if self.metrics:
            parts.append(self._metrics_html(self.metrics))
        if self.per_class:
            parts.append(self._classes_html(self.per_class))
        parts.append(_table(("attribute", "value", "what it is"), self.rows))
        if self.others:
            names = ", ".join(self.others)
            parts.append(_paragraph(f"Arrays and objects, had when read: {names}."))
        if self.absent:
            parts.append(_paragraph(f"Not to be had: {', '.join(self.absent)}."))
        state = " open" if self.metrics else ""
        return (
            f'<div class="sk-collapse">{_STYLE}<details{state}>'
            f"<summary>Fitted attributes</summary>{''.join(parts)}</details></div>"
        )

    def _find_metrics(self):
        try:
            with looking(False):
                found = self.estimator._metrics_to_show()
        except Exception as error:
            self.problem = f"metrics_ cannot be had: {error}"
            return
        if found is None:
            self.problem = "metrics_ are measured when they are first read."
        else:
            self.metrics, self.per_class = found

    def _find_rows(self):
        estimator: Any = self.estimator
        about = documented(estimator.__class__)
        own = [n for n in vars(estimator) if n.endswith("_") and n[0] != "_"]
        for name in dict.fromkeys([*about, *own]):
            kind, text = about.get(name, Attribute("", ""))
            if name in ("metrics_", "per_class_"):
                continue
            if name in vars(estimator):
                self._add(name, vars(estimator)[name], text)
            elif not isinstance(getattr(type(estimator), name, None), property):
                continue  # not had after this fit
            elif self._unmeasured or not (_PLAIN.match(kind) or name == "classes_"):
                self.others.append(name)
            else:
                self._add_property(name, text)
        for name, value, text in self._more_rows():
            self._add(name, value, text)

    def _more_rows(self):
        try:
            return list(self.estimator._more_to_show())
        except Exception:  # not computed yet, or not to be had with these parameters
            return []

    @property
    def _unmeasured(self):
        """Whether what metrics are made of may not be there."""
        return self.metrics is None and "metrics_" in dir(type(self.estimator))

    def _add_property(self, name, text):
        try:
            value = getattr(self.estimator, name)
        except NotKeptError:
            self.others.append(name)
        except Exception:  # after this fit, or with these parameters
            self.absent.append(name)
        else:
            self._add(name, value, text)

    def _add(self, name, value, text):
        if name == "classes_":
            self.rows.append((name, _labels(value), text))
        elif isinstance(value, _KINDS) or _is_scalar_tuple(value):
            self.rows.append((name, value, text))
        else:
            self.others.append(name)

    def _metrics_html(self, metrics):
        about = self.estimator._about_metric
        rows = [(name, value, *about(name)) for name, value in metrics.items()]
        head = ("metric", "value", "better", "what it is")
        # What is known of none of them has no column.
        known = [k < 2 or any(row[k] for row in rows) for k in range(len(head))]
        head, *rows = (tuple(compress(row, known)) for row in (head, *rows))
        return _table(head, rows)

    def _classes_html(self, per_class):
        labels = self.estimator.classes_[:_MOST_CLASSES]
        columns = [values[: len(labels)].tolist() for values in per_class.values()]
        rows = list(zip(map(str, labels), *columns, strict=True))
        left = len(self.estimator.classes_) - len(labels)
        table = _table(("class", *per_class), rows)
        more = _paragraph(f"and {left} more classes") if left else ""
        return (
            f"<details><summary>By class</summary>"
            f'<div class="sk-collapse-wide">{table}</div>{more}</details>'
        )


def _is_scalar_tuple(value):
    return isinstance(value, tuple) and all(isinstance(v, _KINDS) for v in value)


def _labels(classes):
    """Number of classes and the first labels."""
    shown = ", ".join(map(str, classes[:_MOST_LABELS]))
    return f"{len(classes)}: {shown}{', …' if len(classes) > _MOST_LABELS else ''}"


def _table(head, rows):
    if not rows:
        return ""
    cells = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in head)
    body = "".join(f"<tr>{_row(row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def _row(values):
    name, *others = values
    return f'<th scope="row">{html.escape(name)}</th>' + "".join(map(_cell, others))


def _cell(value):
    number = isinstance(value, Real) and not isinstance(value, bool)
    kind = ' class="sk-collapse-number"' if number else ""
    return f"<td{kind}>{html.escape(_text(value))}</td>"


def _text(value):
    if isinstance(value, (bool, Integral, str)):
        return str(value)
    if isinstance(value, tuple):
        return ", ".join(map(_text, value))
    return "–" if value is None else f"{value:.4g}"


def _paragraph(text):
    return f"<p>{html.escape(text)}</p>"
