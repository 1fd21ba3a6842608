"""How numbers and formulas stand on the page."""

import math
import re

from sklearn_collapse.report._text import number


def page_number(value):
    """Number as in the text report, set properly."""
    if math.isnan(value):
        return "undefined"
    return number(value).replace("-", "−").replace("inf", "∞")


def formula(text):
    """Set the subscripts, superscripts and code of what a metric is."""
    from markupsafe import Markup, escape

    # Code is left as it is: what lies between the backquotes of docstrings.
    parts = str(escape(text)).split("``")
    for k, part in enumerate(parts):
        if k % 2:
            parts[k] = f"<code>{part}</code>"
            continue
        part = re.sub(r"_(\w{1,2})\b", r"<sub>\1</sub>", part)
        part = re.sub(r"\^(-?\d(?:/\d)?|\+|T\b)", r"<sup>\1</sup>", part)
        parts[k] = re.sub(r"-(?= ?\d)", "−", part)
    return Markup("".join(parts).replace("`", ""))


def short(value):
    """Number for prose."""
    if not math.isfinite(value):
        return page_number(value)
    shown = f"{value:,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"
    return shown.replace("-", "−")


def data(value):
    """Number as the page's script reads it; nothing for nan."""
    if math.isnan(value):
        return ""
    return repr(value).replace("inf", "Infinity")


def tenths(share):
    return f"{100 * share:.1f}"


def percent(share):
    return f"{tenths(share)}\N{NO-BREAK SPACE}%"
