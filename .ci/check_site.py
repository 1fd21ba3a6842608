"""Check the built documentation.

    python .ci/check_site.py HTML_DIR

Of every page: nothing is loaded from elsewhere, also by its style sheets, links inside
the site lead somewhere, and images have a text. Where Playwright and Chromium are
installed, one page of each kind is opened as well: no errors in the console, no
requests that fail or go outside, formulas that are drawn, enough contrast in light and
dark.
"""

import argparse
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import browsers

# Attributes by which a page loads something.
LOADING = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "input": ("src",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
# Kinds of <link> that are not loaded.
LINKS = {"author", "canonical", "index", "license", "next", "prev", "search"}
URL_IN_STYLE = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")
# Rules of axe that hold for a whole page of the theme.
RULES = ["color-contrast", "image-alt", "link-name", "button-name", "label"]


class Page(HTMLParser):
    """What a page loads, where it links to, what can be linked to."""

    def __init__(self, source):
        super().__init__()
        self.loads, self.links, self.anchors, self.silent = [], [], set(), []
        self._in_style = False
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        found = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        self.loads += in_style(found.get("style", ""))
        for name in LOADING.get(tag, ()):
            self.loads += addresses(name, found.get(name, ""))
        if tag == "link" and "href" in found:
            kinds = set(found.get("rel", "").split())
            (self.links if kinds & LINKS else self.loads).append(found["href"])
        if tag in ("a", "area") and "href" in found:
            self.links.append(found["href"])
        if tag == "img" and not found.get("alt", "").strip():
            source = found.get("src", "")
            # Thumbnails of the gallery only repeat what the title beside them says.
            repeats = "alt" in found and source.endswith("_thumb.png")
            if not repeats:
                self.silent.append(source[:80])

    def handle_endtag(self, tag):
        self._in_style = False

    def handle_data(self, data):
        if self._in_style:
            self.loads += in_style(data)


def addresses(name, value):
    """Addresses in an attribute; a srcset holds several, each with a size."""
    parts = value.split(",") if name == "srcset" else [value]
    return [part.split()[0] for part in parts if part.strip()]


def in_style(text):
    """Addresses in a style sheet."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return [one or other for one, other in URL_IN_STYLE.findall(text)]


def is_remote(address):
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("http", "https", "ftp")


def target_of(address, page):
    """File and anchor that an address inside the site means."""
    parts = urlsplit(address)
    path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if path.is_dir():
        path /= "index.html"
    return path, unquote(parts.fragment)


def check_pages(root):
    """Problems of all pages and of the style sheets that they load, a line each."""
    files = [p for p in sorted(root.rglob("*.html")) if "_static" not in p.parts]
    pages = {p: Page(p.read_text(encoding="utf-8")) for p in files}
    problems, sheets = [], set()
    for path, page in pages.items():
        name = path.relative_to(root)
        problems += [f"{name}: an image without a text: {src}" for src in page.silent]
        for address in page.loads:
            problems += check_loaded(address, path, name, sheets)
        for address in page.links:
            if is_remote(address) or urlsplit(address).scheme:
                continue
            target, anchor = target_of(address, path)
            if not target.exists():
                problems.append(f"{name}: a link to what is not there: {address}")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                problems.append(f"{name}: no such place: {address}")
    problems += check_sheets(root, sheets)
    return list(dict.fromkeys(problems)), list(pages)


def check_loaded(address, path, name, sheets):
    """Yield what is wrong with one thing that is loaded; style sheets are collected."""
    if is_remote(address):
        yield f"{name}: loaded from elsewhere: {address}"
    elif not urlsplit(address).scheme and not address.startswith("#"):
        target, _ = target_of(address, path)
        if not target.exists():
            yield f"{name}: loads what is not there: {address}"
        elif target.suffix == ".css":
            sheets.add(target)


def check_sheets(root, sheets):
    """Yield what is wrong with style sheets and those that they import."""
    done, waiting = set(), set(sheets)
    while waiting:
        path = waiting.pop()
        done.add(path)
        found = set()
        for address in in_style(path.read_text(encoding="utf-8")):
            yield from check_loaded(address, path, path.relative_to(root), found)
        waiting |= found - done


def kinds_of_pages(root, pages):
    """One page of each kind, by what it is for."""
    text = {page: page.read_text(encoding="utf-8") for page in pages}

    def first(pattern, having=""):
        fit = [p for p in sorted(root.glob(pattern)) if having in text.get(p, "")]
        if not fit:
            raise SystemExit(f"No page {pattern} with {having!r} in {root}.")
        return fit[0]

    return {
        "landing page": first("index.html"),
        "guide": first("guide/[!i]*.html"),
        "formulas": first("**/*.html", "<math"),
        "gallery": first("auto_examples/**/plot_*.html"),
        "class": first("generated/*Detector.html"),
        "metrics": first("metrics.html"),
    }


def look(page):
    """Formulas without a size, and what axe finds."""
    flat = page.eval_on_selector_all(
        "math",
        """all => all.filter(m => {
            const box = m.getBoundingClientRect();
            return m.checkVisibility() && !(box.width > 1 && box.height > 1);
        }).map(m => m.textContent)""",
    )
    return [
        *(f"a formula that is not drawn: {text}" for text in flat),
        *browsers.violations(page, rules=RULES),
    ]


def check_in_browser(chosen):
    """Yield what is wrong with pages, in light and dark."""
    with browsers.Browser() as browser:
        for kind, path in chosen.items():
            for scheme in ("light", "dark"):
                visit = browser.visit(path, look, scheme=scheme)
                for what in ("seen", "errors", "failed", "remote"):
                    for problem in getattr(visit, what):
                        yield f"{kind} ({path.name}, {scheme}): {what}: {problem}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, metavar="HTML_DIR")
    root = parser.parse_args().root.resolve()

    problems, pages = check_pages(root)
    print(f"{len(pages)} pages checked")
    if reason := browsers.why_not():
        print(f"None was opened in a browser: {reason}.")
    elif pages:
        chosen = kinds_of_pages(root, pages)
        problems += check_in_browser(chosen)
        print(f"opened in a browser: {', '.join(chosen)}")
    print("\n".join(problems))
    return 1 if problems or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
