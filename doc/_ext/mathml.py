"""Mathematics as MathML, which browsers set themselves: no script, nothing remote.

The font that sets it, STIX Two Math, comes with ziamath and is copied into the build.
"""

import re
from importlib.resources import files
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert

FONT = "STIXTwoMath-Regular.ttf"

# A bar that stands alone would stretch to the height of what is beside it, and keep a
# distance as an operator does.
_BAR = re.compile(r'<mo(?: stretchy="false")?>(?=&#x0(?:2016|007C);)')
# Colons and semicolons, which the converter takes for names.
_COLON = re.compile(r"<mi>([:;])</mi>")
# The bold digit itself: browsers ignore the attribute.
_BOLD = re.compile(r'<mn mathvariant="bold">(\d)</mn>')
# Names of functions: space on both sides, none before a parenthesis.
_NAME = re.compile(r"<m([io])>([a-z]{2,})</m\1>(<mo[^>]*>(?:&#x00028;|\())?")
# Such a name where a formula or a parenthesis begins.
_FIRST = re.compile(
    r'((?:<mrow>|&#x00028;</mo>)(?:<m(?:sub|sup|under)>)?)<mo lspace="0.17em"'
)

# An environment without another inside, and what breaks lines or aligns them.
_ENVIRONMENT = re.compile(r"\\begin\{(\w+\*?)\}(?:(?!\\begin\{).)*?\\end\{\1\}", re.S)
_LINES = re.compile(r"\\\\|(?<!\\)&")


def in_lines(latex):
    """Put a formula of several lines into the environment that it lacks.

    As Sphinx does for LaTeX: blank lines separate formulas, ``\\\\`` ends a line and
    ``&`` aligns it. The converter knows ``aligned`` by another name, ``split``.
    """
    parts = [part.strip() for part in re.split(r"\n\s*\n", latex) if part.strip()]
    latex = r" \\ ".join(part.removesuffix(r"\\") for part in parts)
    latex = re.sub(r"(\\(?:begin|end)\{)aligned\}", r"\1split}", latex)
    outside, inner = latex, None
    while inner != outside:
        inner, outside = outside, _ENVIRONMENT.sub("", outside)
    return rf"\begin{{split}}{latex}\end{{split}}" if _LINES.search(outside) else latex


def mathml(latex, display):
    """Convert LaTeX, and put right what the converter leaves to the browser."""
    latex = in_lines(latex) if display == "block" else latex
    text = convert(latex, display=display)
    text = _BAR.sub('<mo stretchy="false" lspace="0" rspace="0">', text)
    text = _COLON.sub(r'<mo lspace="0.05em" rspace="0.2em">\1</mo>', text)
    text = _BOLD.sub(lambda m: f"<mn>{chr(0x1D7CE + int(m[1]))}</mn>", text)

    def spaced(match):
        after = match[3] or ""
        right = "0" if after else "0.17em"
        return f'<mo lspace="0.17em" rspace="{right}">{match[2]}</mo>{after}'

    return _FIRST.sub(r'\1<mo lspace="0"', _NAME.sub(spaced, text))


def visit_inline(self, node):
    """Write a formula within a line."""
    text, after = mathml(node.astext(), "inline"), node.get("after")
    if after:
        text = f'<span class="nowrap">{text}{after}</span>'
    self.body.append(text)
    raise nodes.SkipNode


def visit_block(self, node):
    """Write a displayed formula, with its number if it has one."""
    self.body.append(self.starttag(node, "div", CLASS="math"))
    if node.get("number"):
        self.body.append(f'<span class="eqno">({node["number"]})</span>')
    self.body.append(mathml(node.astext(), "block"))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def join_punctuation(app, doctree, docname):
    """Hand a formula the comma behind it: browsers would begin a line with that."""
    for node in doctree.findall(nodes.math):
        text = node.next_node(descend=False, siblings=True)
        if app.builder.format == "html" and isinstance(text, nodes.Text):
            rest = text.astext().lstrip(",.;:)")
            node["after"] = text.astext()[: len(text.astext()) - len(rest)]
            text.parent.replace(text, nodes.Text(rest))


def copy_font(app):
    """Put the font where the style sheet looks for it."""
    folder = Path(app.outdir, "_static")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FONT).write_bytes(files("ziamath").joinpath("fonts", FONT).read_bytes())


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.connect("builder-inited", copy_font)
    app.connect("doctree-resolved", join_punctuation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
