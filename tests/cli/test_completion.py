import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from convnext_vbt import __version__
from convnext_vbt.cli.completion import (
    run_directories,
    set_keys,
    strategy_files,
    strategy_keys,
)
from convnext_vbt.runs.config import parse_config
from tests.cli.test_commands import call

COMMAND = [sys.executable, "-c", "from convnext_vbt.cli.commands import main; main()"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with strategies, a run and what is neither."""
    for name in ("mine.toml", "pyproject.toml", "strategies/hourly.toml", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("reports/mine-0123abcd", "reports/other-4567cdef"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "manifest.json").touch()
    (tmp_path / "reports" / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(script, **environment):
    """What a bash says in which `convnext-vbt` is this package's command."""
    program = Path("bin")
    program.mkdir(exist_ok=True)
    name = program / "convnext-vbt"
    name.write_text(
        f"#!{sys.executable}\nimport sys\nsys.argv[0] = 'convnext-vbt'\n"
        "from convnext_vbt.cli.commands import main\nmain()\n"
    )
    name.chmod(0o755)
    path = f"{program.absolute()}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True, text=True, check=True, env=os.environ | {"PATH": path} | environment,
    ).stdout  # fmt: skip


def in_bash(*words):
    """What TAB offers after these words; the last is the one that is being typed."""
    script = (
        'eval "$(_CONVNEXT_VBT_COMPLETE=source_bash convnext-vbt)"\n'
        f"COMP_WORDS=({' '.join(map(repr, words))}); COMP_CWORD={len(words) - 1}\n"
        "_convnext_vbt_completion convnext-vbt\n"
        "printf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    return shell(script).split()


@pytest.mark.parametrize("command", [COMMAND, [sys.executable, "-m", "convnext_vbt"]])
def test_the_version_is_the_packages(command):
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"convnext-vbt {__version__}\n"


def test_the_version_of_the_package_is_the_projects():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__


def test_no_command_is_still_help():
    assert call("--help").exit_code == 0
    assert "Walk-forward ConvNeXt predictions" in call("--help").output


def test_bash_completes_commands_files_runs_and_keys(home):
    assert "run" in in_bash("convnext-vbt", "ru")
    assert in_bash("convnext-vbt", "run", "m") == ["mine.toml"]
    assert in_bash("convnext-vbt", "run", "strategies/") == ["strategies/hourly.toml"]
    runs = ["reports/mine-0123abcd", "reports/other-4567cdef"]
    for command in ("report", "sweep", "gate", "signal", "live", "compare"):
        assert in_bash("convnext-vbt", command, "rep") == runs, command
    assert in_bash("convnext-vbt", "compare", runs[0], "reports/o") == [runs[1]]
    assert in_bash("convnext-vbt", "run", "mine.toml", "--set", "data.st") == [
        "data.stamp=", "data.start=",
    ]  # fmt: skip
    # Nothing of ours: bash then offers files by itself.
    assert "complete -o default" in shell("_CONVNEXT_VBT_COMPLETE=source_bash convnext-vbt")
    assert in_bash("convnext-vbt", "check", "no") == []


def test_zsh_is_given_the_same(home):
    assert "#compdef convnext-vbt" in shell("_CONVNEXT_VBT_COMPLETE=source_zsh convnext-vbt")
    for typed, offered in (
        ("run --set data.st", ["data.stamp=", "data.start="]),
        ("report rep", ["reports/mine-0123abcd", "reports/other-4567cdef"]),
    ):
        text = shell(
            "_CONVNEXT_VBT_COMPLETE=complete_zsh convnext-vbt",
            _TYPER_COMPLETE_ARGS=f"convnext-vbt {typed}",
        )
        assert text.startswith("_arguments ")
        assert [part for part in text.split('"') if "=" in part or "/" in part] == offered


def test_what_is_typed_stays_and_what_is_no_pattern_is_none(home):
    assert strategy_files("") == ["mine.toml", "strategies/hourly.toml"]
    assert strategy_files("./mi") == ["./mine.toml"]
    assert strategy_files("[m]") == []
    (home / "[m]odel.toml").touch()
    assert strategy_files("[m]") == ["[m]odel.toml"]
    assert run_directories("") == ["reports/mine-0123abcd", "reports/other-4567cdef"]
    assert run_directories("reports/other") == ["reports/other-4567cdef"]
    assert run_directories("nowhere/") == []


def test_every_key_that_is_offered_is_one_of_a_strategy():
    document = parse_config({"instruments": {"default": {}}}).model_dump(mode="json")
    for key in strategy_keys():
        value = document
        for part in key.split("."):
            assert part in value, key
            value = value[part]
    keys = [key for key in strategy_keys() if not key.startswith("instruments.")]
    assert len(keys) == len(set(keys)) > 60
    assert set_keys("trading.ri") == ["trading.risk="]


def test_a_press_of_the_key_loads_no_more_than_it_reads(home):
    code = (
        "import sys; from convnext_vbt.cli import commands, completion; completion.set_keys('');"
        "print({'numpy', 'pandas', 'pydantic', 'torch'} & set(sys.modules) or 'nothing')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "nothing"
