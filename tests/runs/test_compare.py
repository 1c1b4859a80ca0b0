import json
import shutil
from dataclasses import replace

import pytest

from convnext_vbt.errors import ConfigError, DataError
from convnext_vbt.runs.compare import compare_directories, linked, page_path
from convnext_vbt.runs.run import resweep
from tests.cli.test_commands import call

pytestmark = pytest.mark.filterwarnings("ignore:.*cells have fewer than 30 trades")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny):
    reports = tmp_path_factory.mktemp("comparison") / "reports"
    shutil.copytree(tiny.directory.parent, reports)
    first = replace(tiny, directory=reports / tiny.directory.name)
    second = resweep(first.directory, {"threshold": ["q0.60"]})
    return first, second


def test_runs_are_compared_and_a_page_is_written(runs):
    first, second = runs
    result = call("compare", first.directory, second.directory, "--json")
    facts = json.loads(result.stdout)
    assert facts["settings"] == {"sweep.threshold": ['["q0.20", "q0.50"]', '["q0.60"]']}
    assert [one["run"] for one in facts["runs"]] == [first.directory.name, second.directory.name]
    for one, made in zip(facts["runs"], (first, second), strict=True):
        assert one["figures"]["sharpe"] == pytest.approx(made.metrics["headline"]["sharpe"])
        low = made.metrics["headline"]["sharpe_low"]
        assert one["figures"]["sharpe_low"] == pytest.approx(low)
    page = page_path([first.directory, second.directory])
    assert facts["page"] == str(page)
    assert page.parent == first.directory.parent
    text = page.read_text()
    assert f'href="./{second.directory.name}/report.html"' in text
    shown = call("compare", first.directory, second.directory).stdout
    assert first.directory.name in shown
    assert "sweep.threshold" in shown
    assert f"page: {page}" in shown


def test_other_costs_are_refused_unless_told(runs, tmp_path):
    first, costly = runs[0].directory, tmp_path / "costly"
    shutil.copytree(first, costly)
    text = (costly / "config.toml").read_text()
    assert "fees = 0.0005" in text
    (costly / "config.toml").write_text(text.replace("fees = 0.0005", "fees = 0.001"))
    result = call("compare", first, costly)
    assert result.exit_code == 2
    assert "10 bp of fees" in result.stderr
    assert "give --anyway: the page then says so" in result.stderr
    page = tmp_path / "unequal.html"
    result = call("compare", first, costly, "--anyway", "--page", page)
    assert result.exit_code == 0
    assert "not on equal terms: costs:" in result.stdout
    assert "These runs are not on equal terms" in page.read_text()


def test_what_is_no_pair_of_finished_runs_is_told(runs, tmp_path):
    first = runs[0].directory
    with pytest.raises(ConfigError, match="at least two different runs"):
        compare_directories([first])
    with pytest.raises(ConfigError, match="at least two different runs"):
        compare_directories([first, first])
    with pytest.raises(DataError, match="is not a finished run"):
        compare_directories([first, tmp_path])


def test_a_report_that_is_gone_is_not_linked(runs, tmp_path):
    first, second = (made.directory for made in runs)
    found = compare_directories([first, second])
    ways = [one.report for one in linked(found, [first, second], tmp_path / "page.html").contenders]
    assert all(way.endswith("/report.html") for way in ways)
    gone = linked(found, [first, tmp_path], tmp_path / "page.html")
    assert [bool(one.report) for one in gone.contenders] == [True, False]


def test_a_report_on_another_drive_is_linked_by_its_whole_name(runs, tmp_path, monkeypatch):
    def relpath(path, start):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    folders = [made.directory for made in runs]
    found = compare_directories(folders)
    monkeypatch.setattr("os.path.relpath", relpath)
    ways = [one.report for one in linked(found, folders, tmp_path / "page.html").contenders]
    assert ways == [(folder / "report.html").as_uri() for folder in folders]
