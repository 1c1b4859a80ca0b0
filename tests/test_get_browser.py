"""Where there is no browser, the tests that need one are skipped and nothing fails."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import browser, get_browser
from tests.processes import ROOT

FILES = ("test_browser.py", "test_accessibility.py", "test_compare_browser.py")
EVERYWHERE = [place for place in browser.PLACES if Path(place).exists()]
nowhere_else = pytest.mark.skipif(bool(EVERYWHERE), reason="a browser that cannot be hidden")


@pytest.fixture
def bare(tmp_path):
    """An environment without a browser: no programs, no home, none of Playwright's."""
    for name in ("bin", "home", "playwright"):
        (tmp_path / name).mkdir()
    return {
        "PATH": str(tmp_path / "bin"),
        "HOME": str(tmp_path / "home"),
        "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path / "playwright"),
        "PLAYWRIGHT_DOWNLOAD_HOST": "http://127.0.0.1:9",  # nobody answers there
        **{name: text for name, text in os.environ.items() if name == "NUMBA_CACHE_DIR"},
    }


def program(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def python(env, *args):
    return subprocess.run(
        [sys.executable, *args], env=env, cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@nowhere_else
@pytest.mark.parametrize("workers", [["-p", "no:xdist"], ["-n", "2"]])
def test_without_a_browser_its_tests_are_skipped_in_one_line(bare, workers):
    files = [f"tests/report/{name}" for name in FILES]
    done = python(bare, "-m", "pytest", "-q", *workers, *files)
    assert done.returncode == 0, done.stdout
    (line,) = re.findall("^SKIPPED.*", done.stdout, re.MULTILINE)
    assert re.fullmatch(r"SKIPPED \[\d+\] tests.conftest\.py: no Chrome, Chromium or Edge.*", line)
    assert re.search(r"^\d+ skipped(, \d+ deselected)? in", done.stdout, re.MULTILINE)
    assert "error" not in done.stdout


@pytest.mark.slow
@nowhere_else
def test_what_cannot_be_got_is_one_line_and_no_failure(bare):
    done = python(bare, "-m", "tests.get_browser")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch("browser tests: skipped, no browser was found .*\n", done.stdout)


@pytest.mark.slow
@nowhere_else
def test_a_program_that_is_no_browser_is_passed_over_unless_it_was_asked_for(bare, tmp_path):
    notice = program(tmp_path / "bin", "chromium", "echo install the snap; exit 1")
    code = "from tests.browser import find_browser; print(find_browser())"
    assert python(bare, "-c", code).stdout == "None\n"
    asked = python(bare | {browser.ENVIRONMENT: str(notice)}, "-c", code)
    assert asked.returncode == 1
    assert (
        f"{browser.ENVIRONMENT}={notice} is no Chrome, Chromium or Edge that starts" in asked.stderr
    )


@pytest.mark.slow
def test_an_installation_that_hangs_is_ended_with_all_it_started(tmp_path):
    mark = tmp_path / "alive"
    script = f"(sleep 1; touch {mark}) & wait"
    assert not get_browser._quietly(["sh", "-c", script], seconds=0.2)
    assert get_browser._quietly(["sh", "-c", "sleep 1.5"], seconds=60)
    assert not mark.exists()


@pytest.mark.slow
def test_a_browser_of_ones_own_is_taken(browser_path):
    assert Path(browser_path).is_file()
    code = "from tests.browser import find_browser; print(find_browser())"
    done = python({**os.environ, browser.ENVIRONMENT: browser_path}, "-c", code)
    assert done.stdout.strip() == browser_path
