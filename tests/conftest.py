"""How two workers share two cores: waiting threads sleep, and the long files come first."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests import examples  # noqa: F401 - registers the profile
from tests.browser import find_browser, headless

# Threads that wait for work would else keep busy the core that the other worker needs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Worker processes import torch for seconds: only where a test asks for two are there any.
os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")

settings.load_profile("quick")  # `--hypothesis-profile default` tries all examples

TRADING = Path(__file__).parents[1] / "src" / "convnext_vbt" / "trading"
for index in (TRADING / "__pycache__").glob("broker.*.nbi"):
    if index.stat().st_mtime < (TRADING / "kernel.py").stat().st_mtime:
        index.unlink()  # it holds kernels of that file as they were, which numba does not notice
EDITED = max((TRADING / name).stat().st_mtime for name in ("kernel.py", "broker.py"))
for index in (TRADING.parent / "live" / "__pycache__").glob("walk.*.nbi"):
    if index.stat().st_mtime < EDITED:
        index.unlink()

FIRST = [
    "tests/trading/test_simulation.py",  # compiles most kernels of one half where none are cached,
    "tests/learning/features/test_compute.py",  # and this one those of the other
    "tests/runs/test_run.py",
    "tests/learning/test_walkforward.py",
    "tests/live",
    "tests/report/test_browser.py",
    "tests/test_robust.py",
    "tests/learning/test_devices.py",
    "tests/market/test_download.py",
    "tests/runs/test_audit.py",
    "tests/report/test_evidence_section.py",
    "tests/report/test_page.py",
    "tests/learning/models/test_baselines.py",
    "tests/test_docs.py",
    "tests/test_package.py",
    "tests/evidence/audit/test_audit.py",
    "tests/learning/test_classifier.py",
    "tests/learning/models/test_kinds.py",
    "tests/learning/test_training.py",
    "tests/learning/test_network.py",
    "tests/cli/test_commands.py",
    "tests/report/test_recomputed.py",
    "tests/trading/test_sweep.py",
    "tests/report/test_accessibility.py",
    "tests/report/test_compare_browser.py",
    "tests/test_get_browser.py",
    "tests/test_system.py",
]
TOGETHER = ["tests/live"]  # folders whose files share what is made once a session


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Imports leave a million objects; to look through them again and again costs a third."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class LongFilesFirst(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return next((each for each in TOGETHER if file.startswith(f"{each}/")), file)

        def _assign_work_unit(self, node):
            for file in reversed(FIRST):
                if file in self.workqueue:
                    self.workqueue.move_to_end(file, last=False)
            super()._assign_work_unit(node)

    return LongFilesFirst(config, log)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A finished run of the tiny strategy, alone in its folder: copy that to change it."""
    from convnext_vbt.runs import run as pipeline
    from convnext_vbt.runs.config import load_config
    from tests.strategies import write_tiny

    home = tmp_path_factory.mktemp("tiny")
    return pipeline.run(load_config(write_tiny(home)), out=home / "reports", jobs=1)


NO_BROWSER = "no Chrome, Chromium or Edge; `python -m tests.get_browser` tries to get one"


@pytest.fixture(scope="session")
def browser_path():
    """A browser that draws pages; without one, the tests that ask for it are skipped."""
    pytest.importorskip("playwright", reason=NO_BROWSER)
    program = find_browser()
    if program is None:
        pytest.skip(NO_BROWSER)
    return program


@pytest.fixture(scope="module")
def browser(browser_path):
    """It, running, for the tests of one file: its event loop is in other tests' way."""
    with headless(browser_path) as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """All tests without a browser are one line of the summary, wherever they stand."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and NO_BROWSER in report.longrepr[2]:
        report.longrepr = (__file__, None, report.longrepr[2])
    return report
