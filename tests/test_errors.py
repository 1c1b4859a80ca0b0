import ast
import logging
import warnings
from pathlib import Path

import pytest
import typer

import convnext_vbt
from convnext_vbt import errors
from convnext_vbt.cli.exits import exit_codes
from convnext_vbt.errors import ConvnextVbtError

SOURCES = sorted(Path(convnext_vbt.__file__).parent.rglob("*.py"))
TREE = [kind for kind in vars(errors).values() if isinstance(kind, type)]


def test_every_error_of_ours_lives_in_one_tree_and_has_an_exit_code():
    for kind in TREE:
        if issubclass(kind, Warning) or kind is Path:
            continue
        assert issubclass(kind, ConvnextVbtError)
        assert kind.exit_code in (2, 3, 4)


def test_nobody_raises_a_built_in_error_for_a_fault_of_the_user():
    built_in = {"ValueError", "TypeError", "FileNotFoundError", "ModuleNotFoundError", "OSError"}
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            call = node.exc if isinstance(node, ast.Raise) else None
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                found += [f"{path.name}:{node.lineno}"] * (call.func.id in built_in)
    assert found == []


def test_a_fault_of_the_user_is_a_line_and_its_exit_code(capsys):
    with pytest.raises(typer.Exit) as ended, exit_codes():
        raise errors.DamagedError("manifest.json is damaged; run again")
    assert ended.value.exit_code == 3
    assert capsys.readouterr().err == "error: manifest.json is damaged; run again\n"


@pytest.mark.parametrize("bug", [ValueError("shapes (3,) (4,)"), TypeError("x"), KeyError("y")])
def test_a_bug_of_ours_shows_its_traceback(bug):
    with pytest.raises(type(bug)), exit_codes():
        raise bug


def test_a_command_leaves_nothing_behind_in_the_process():
    before = warnings.showwarning, list(logging.getLogger("convnext_vbt").handlers)
    with pytest.raises(typer.Exit), exit_codes():
        raise errors.InputError("no")
    assert (warnings.showwarning, logging.getLogger("convnext_vbt").handlers) == before
