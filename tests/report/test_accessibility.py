"""The page by axe-core's rules: what a screen reader, a keyboard and weak eyes can use."""

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from convnext_vbt.evidence.comparison import compare_runs
from convnext_vbt.report.compare_page import write_comparison
from convnext_vbt.report.judge import judge
from convnext_vbt.report.page import write_report
from tests.evidence.judging.grids import crossings, prices
from tests.evidence.test_comparison import contender
from tests.report.markets import make_bars, make_sweep
from tests.report.test_browser import Visit

AXE = "axe-core@4.14.1"
SCRIPT_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:.*cells have fewer than 30 trades"),
]


@pytest.fixture(scope="module")
def axe():
    """The script, from the npm registry once and then from the user's cache."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "convnext-vbt-tests"
    script = home / "axe-4.14.1.min.js"
    if not script.exists():
        if shutil.which("npm") is None:
            pytest.skip("npm is not installed, so axe-core cannot be had")
        home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["npm", "pack", AXE, "--silent", "--pack-destination", home],
            cwd=home, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"npm pack {AXE} failed: {done.stderr.strip()[:200]}")
        with tarfile.open(home / done.stdout.split()[-1]) as archive:
            member = archive.extractfile("package/axe.min.js")
            script.write_bytes(member.read())
    data = script.read_bytes()
    assert hashlib.sha256(data).hexdigest() == SCRIPT_SHA256
    return data.decode()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    res = make_sweep(bars=make_bars(bars=1_500), threshold="q0.70", risk=0.01)
    return write_report(res, path, provenance={"Seed": "0"}).as_uri()


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    path = tmp_path_factory.mktemp("compare") / "compare.html"
    bars = make_bars(bars=1_500)
    runs = [
        contender(name, make_sweep(bars=bars, threshold=rule, risk=0.01), rule=rule)
        for name, rule in (("first", "q0.70"), ("second", "q0.60"))
    ]
    return write_comparison(compare_runs(runs), path).as_uri()


@pytest.fixture(scope="module")
def judgement(tmp_path_factory):
    path = tmp_path_factory.mktemp("judge") / "judge.html"
    return judge(crossings(prices(days=120)["a0"])).write_report(path).as_uri()


def faults(visit, axe):
    """What axe-core finds wrong, the first places of each."""
    visit.page.evaluate(axe)
    found = visit.page.evaluate("axe.run({resultTypes: ['violations']})")
    assert len(found["passes"]) > 20  # it did look
    return [
        (fault["id"], fault["help"], [node["html"][:120] for node in fault["nodes"][:3]])
        for fault in found["violations"]
    ]


@pytest.mark.slow
def test_axe_finds_nothing(browser, address, axe):
    with Visit(browser, address, bypass_csp=True) as visit:
        assert faults(visit, axe) == []


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("name", ["address", "comparison", "judgement"])
def test_axe_finds_nothing_in_any_form(browser, request, axe, name, width, scheme):
    size = {"width": width, "height": 900}
    page = request.getfixturevalue(name)
    with Visit(browser, page, viewport=size, color_scheme=scheme, bypass_csp=True) as visit:
        visit.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        assert faults(visit, axe) == []
