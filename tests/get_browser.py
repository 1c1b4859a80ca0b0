"""Get a browser for the tests where there is none: python -m tests.get_browser.

Playwright's own is tried, then Debian's package. Never fails and says one line: without a browser
the tests that need one are skipped.
"""

import os
import shutil
import signal
import subprocess
import sys

from tests.browser import find_browser

PLAYWRIGHT = [sys.executable, "-m", "playwright", "install", "chromium"]
APT = ["apt-get", "-y", "-qq"]


def main():
    program = find_browser()
    for get in (_from_playwright, _from_debian):
        if program is None and get():
            program = find_browser()
    print(f"browser tests: {program}" if program else (
        "browser tests: skipped, no browser was found or could be installed; "
        "install Chrome, Chromium or Edge to run them"
    ))  # fmt: skip


def _from_playwright():
    wait = {"PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": "10000"}  # ms, for each of five attempts
    return _quietly(PLAYWRIGHT, seconds=300, **wait)


def _from_debian():
    if shutil.which("apt-get") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    _quietly([*APT, "update"], seconds=120, **quiet)
    return _quietly([*APT, "install", "--no-install-recommends", "chromium"], seconds=600, **quiet)


def _quietly(command, *, seconds, **environment):
    """Whether a command ended well, and in time."""
    with subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            return process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            _end(process)
            return False


def _end(process):
    """With what it has started, where the system knows such a group."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGTERM)
    else:
        process.kill()


if __name__ == "__main__":
    main()
