"""A headless Chromium for tests of pages: files alone, no network, one thread.

Playwright drives it. Its calls keep an event loop running in the thread that made them,
where other tests have theirs, so all of them are made in a thread of its own.
"""

import importlib.util
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

EXECUTABLES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
]
REMOTE = re.compile(r"^(?!file:|data:|blob:|about:)")


@cache
def executable():
    """Path of a browser that starts, or None."""
    return next(filter(_starts, map(shutil.which, EXECUTABLES)), None)


def _starts(path):
    """Whether a browser knows its version: some are a script that names a package."""
    if path is None:
        return False
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def why_not():
    """Why pages cannot be looked at here; empty if they can."""
    for name in ("playwright", "axe_playwright_python"):
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed"
    return "" if executable() else f"none of {', '.join(EXECUTABLES)} starts here"


class Visit(NamedTuple):
    """What a visit to a page has found."""

    seen: Any
    errors: list  # of the console and of the page's own scripts
    failed: list  # addresses of files that could not be had
    remote: list  # addresses outside, all refused


class Browser:
    """Visits pages, each in a context of its own."""

    def __enter__(self):
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="browser")
        try:
            self._thread.submit(self._start).result()
        except BaseException:
            self._thread.shutdown()
            raise
        return self

    def __exit__(self, *_):
        try:
            self._thread.submit(self._stop).result()
        finally:
            self._thread.shutdown()

    def visit(self, path, look=None, *, width=1280, scheme="light", script=True):
        """Open a file and call ``look(page)``.

        Parameters
        ----------
        path : Path
        look : callable, default=None
            Called with Playwright's page in the thread of the browser.
        width : int
            Of the window.
        scheme : {"light", "dark"}
        script : bool
            Whether scripts run.

        Returns
        -------
        Visit
        """
        options = {
            "viewport": {"width": width, "height": 900},
            "color_scheme": scheme,
            "java_script_enabled": script,
            "accept_downloads": True,
            "reduced_motion": "reduce",
        }
        return self._thread.submit(self._visit, path, look, options).result()

    def _start(self):
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        try:
            self._browser = self._playwright.chromium.launch(
                executable_path=executable(), args=ARGUMENTS
            )
        except BaseException:
            self._playwright.stop()
            raise

    def _stop(self):
        try:
            self._browser.close()
        finally:
            self._playwright.stop()

    def _visit(self, path, look, options):
        errors, failed, remote = [], [], []
        context = self._browser.new_context(**options)
        context.set_default_timeout(20_000)

        def refuse(route):
            remote.append(route.request.url)
            route.abort()

        def listen(message):
            if message.type in ("error", "warning"):
                errors.append(message.text)

        try:
            context.route(REMOTE, refuse)
            page = context.new_page()
            page.on("console", listen)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("requestfailed", lambda request: failed.append(request.url))
            page.goto(path.resolve().as_uri(), wait_until="load")
            seen = look(page) if look else None
        finally:
            context.close()
        return Visit(seen, errors, [f for f in failed if f not in remote], remote)


def violations(page, *, rules=None, without=()):
    """What axe finds wrong: rule, element and message, a line each.

    Parameters
    ----------
    page : Page
    rules : list of str, default=None
        Rules to check; None is all of axe.
    without : tuple of str
        Rules that do not apply.
    """
    from axe_playwright_python.sync_playwright import Axe

    options: dict = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    options["rules"] = {rule: {"enabled": False} for rule in without}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{rule['id']}: {' '.join(map(str, node['target']))}: "
        + " ".join(part["message"] for part in node["any"] + node["all"] + node["none"])
        for rule in found
        for node in rule["nodes"]
    ]
