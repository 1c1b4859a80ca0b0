"""The headless browser of the tests: an installed Chrome, Chromium or Edge, else Playwright's own.

`CONVNEXT_VBT_BROWSER=/path/to/program` names another one.
"""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

ENVIRONMENT = "CONVNEXT_VBT_BROWSER"
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
COMMANDS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
    "microsoft-edge", "microsoft-edge-stable", "msedge",
)  # fmt: skip
PLACES = (
    "/opt/google/chrome/chrome",
    "/opt/microsoft/msedge/msedge",
    "/snap/bin/chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
WINDOWS_FOLDERS = ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
WINDOWS_PLACES = (
    "Google/Chrome/Application/chrome.exe",
    "Chromium/Application/chrome.exe",
    "Microsoft/Edge/Application/msedge.exe",
)


def find_browser():
    """Path of a browser that draws a page, or None.

    Raises `RuntimeError` where the one that the environment names does not.
    """
    from playwright.sync_api import sync_playwright

    named = os.environ.get(ENVIRONMENT)
    with sync_playwright() as driver:
        for program in [named] if named else [*_installed(), driver.chromium.executable_path]:
            if _draws(driver, program):
                return program
    if named:
        raise RuntimeError(f"{ENVIRONMENT}={named} is no Chrome, Chromium or Edge that starts")
    return None


@contextlib.contextmanager
def headless(program, *more):
    """The browser of `find_browser`, running, with `more` options on its command line."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=[*ARGUMENTS, *more])
        with contextlib.closing(browser):
            yield browser


def _installed():
    """Programs that are there; whether they start is another matter."""
    windows = [os.environ[name] for name in WINDOWS_FOLDERS if name in os.environ]
    places = [
        *filter(None, map(shutil.which, COMMANDS)),
        *PLACES,
        *(f"{Path.home()}{place}" for place in PLACES if place.startswith("/Applications")),
        *(str(Path(folder, place)) for folder in windows for place in WINDOWS_PLACES),
    ]
    return [place for place in dict.fromkeys(places) if Path(place).is_file()]


def _draws(driver, program):
    """Whether it opens a file: Ubuntu's chromium-browser is a notice, and its snap sees no /tmp."""
    from playwright.sync_api import Error

    if not Path(program).is_file():
        return False
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Error):
        page = Path(folder, "page.html")
        page.write_text("<title>drawn</title>", "utf-8")
        browser = driver.chromium.launch(executable_path=program, args=ARGUMENTS, timeout=60_000)
        with contextlib.closing(browser):
            tab = browser.new_page()
            tab.goto(page.as_uri(), timeout=60_000)
            return tab.title() == "drawn"
    return False
