"""What the API reference can say: `make docs` builds it from the docstrings."""

import inspect
import subprocess
import sys

import pytest

import convnext_vbt as cv


def members(kind):
    for name, member in vars(kind).items():
        is_public = not name.startswith("_")
        if is_public and (inspect.isfunction(member) or isinstance(member, property | classmethod)):
            yield name, member


@pytest.mark.parametrize("name", cv.__all__)
def test_every_public_name_and_its_methods_are_documented(name):
    value = getattr(cv, name)
    assert inspect.getdoc(value)
    is_vectorbts = hasattr(value, "apply_func")  # an indicator, made by vectorbt's factory
    if inspect.isclass(value) and not is_vectorbts:
        undocumented = [name for name, member in members(value) if not inspect.getdoc(member)]
        assert undocumented == []


@pytest.mark.slow
def test_the_reference_is_built_without_a_warning_and_has_every_name(tmp_path):
    command = [sys.executable, "-W", "error", "-m", "pdoc", "--no-include-undocumented"]
    subprocess.run([*command, "-o", tmp_path, "convnext_vbt"], check=True)
    page = (tmp_path / "convnext_vbt.html").read_text(encoding="utf-8")
    missing = [name for name in cv.__all__ if f'id="{name}"' not in page]
    assert missing == ["stats"]  # a module: its own page
