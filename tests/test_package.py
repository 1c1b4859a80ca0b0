import ast
import importlib
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import convnext_vbt as cv
from tests.conftest import FIRST

ROOT = Path(__file__).parent.parent


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.strip()


def test_every_public_name_is_there_and_sorted():
    assert list(cv.__all__) == sorted(cv.__all__)
    for name in cv.__all__:
        assert getattr(cv, name) is not None
        assert name in dir(cv)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'walk_foward'"):
        _ = cv.walk_foward


def test_importing_the_package_loads_nothing_else():
    code = (
        "import sys, convnext_vbt; "
        "print({'numpy', 'pandas', 'torch', 'numba', 'vectorbt'} & set(sys.modules) or 'nothing')"
    )
    assert python(code) == "nothing"


@pytest.mark.slow
def test_the_right_half_runs_without_torch_and_the_accessor_is_there_after_vectorbt():
    modules = ["trading.sweep", "trading.portfolio", "report.page", "evidence.scores"]
    code = (
        "import sys; "
        + "; ".join(f"import convnext_vbt.{m}" for m in modules)
        + "; print('torch' in sys.modules)"
        "; [sys.modules.pop(m, None) for m in ('convnext_vbt', 'convnext_vbt.plugin')]"
        "; import pandas, vectorbt, convnext_vbt"  # the package anew, vectorbt loaded before it
        "; print(hasattr(pandas.DataFrame().vbt, 'convnext'))"
    )
    assert python(code).split() == ["False", "True"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        "convnext_vbt, vectorbt",
        "vectorbt, convnext_vbt",
        "convnext_vbt, convnext_vbt.trading.portfolio",
        "convnext_vbt, importlib.util; importlib.util.find_spec('vectorbt'); import vectorbt",
    ],
)
def test_the_accessor_is_there_whatever_is_imported_first(imports):
    code = (
        f"import {imports}; import sys, pandas; "
        "print(hasattr(pandas.DataFrame().vbt, 'convnext'), 'torch' in sys.modules)"
    )
    assert python(code) == "True False"


def test_a_missing_vectorbt_is_missed_as_ever():
    code = (
        "import sys, convnext_vbt; sys.path = []\n"
        "try: import vectorbt\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    assert python(code) == "No module named 'vectorbt'"


@pytest.mark.slow  # three seconds of imports; the import contracts say the same
def test_the_left_half_runs_without_vectorbt():
    code = "import sys, convnext_vbt.learning.walkforward; print('vectorbt' in sys.modules)"
    assert python(code) == "False"


@pytest.mark.parametrize("path", sorted((ROOT / "src").rglob("*.py")), ids=lambda p: p.stem)
def test_every_module_imports_and_says_what_it_is(path):
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    if parts[-1] == "__main__":
        return
    module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
    assert module.__doc__


def test_a_type_checker_sees_the_very_names_that_are_loaded():
    stub = ast.parse((ROOT / "src/convnext_vbt/__init__.pyi").read_text())
    typed = {}
    for node in stub.body:
        if isinstance(node, ast.ImportFrom):
            for name in node.names:
                assert name.asname == name.name  # else a stub does not export it
                typed[name.name] = f"{node.module}.{name.name}"
    assert sorted(typed) == list(cv.__all__)
    for name, home in typed.items():
        module, _, attribute = home.rpartition(".")
        if name in cv._MODULES:
            assert home == f"convnext_vbt.{cv._MODULES[name]}"
        else:
            assert getattr(importlib.import_module(module), attribute) is getattr(cv, name)


def test_the_test_files_that_come_first_are_there():
    assert [name for name in FIRST if not (ROOT / name).exists()] == []


def test_a_package_index_is_given_no_picture_or_link_that_leads_nowhere(monkeypatch):
    """The hook of the build, on the README; hatchling is only there where something is built."""
    parts = ["hatchling", "metadata", "plugin", "interface"]
    for count in range(1, len(parts) + 1):
        name = ".".join(parts[:count])
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules[name], "MetadataHookInterface", SimpleNamespace, raising=False)
    names = runpy.run_path(str(ROOT / "hatch_build.py"))
    metadata = {}
    names["IndexReadme"](root=str(ROOT)).update(metadata)
    text = metadata["readme"]["text"]
    assert metadata["readme"]["content-type"] == "text/markdown"
    assert "The head of a report" not in text, "the words of a picture that is not there"
    targets = re.findall(r"\]\(([^)]*)\)", text)
    assert targets
    assert all(target.startswith("https://") for target in targets)
    source = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^#+ .*", text, re.MULTILINE) == re.findall(r"^#+ .*", source, re.MULTILINE)
    assert "The guide goes from a CSV file to a verdict" in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["readme"]
    assert "custom" in project["tool"]["hatch"]["metadata"]["hooks"]
