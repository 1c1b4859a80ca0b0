"""The notebooks of the guide are run, and are stored without what running them shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
SAID = {
    "quickstart": [
        "Predictions of SIM/USDT",
        "Sweep of 12 cells",
        "Headline, each split",
        "Win Rate",
    ],
    "own-model": [
        "Writing ",
        "Predictions of SIM/USDT",
        "Headline, each split by a rule chosen by the splits before it",
    ],
    "judge": ["Judgement(INCONCLUSIVE", "Judgement(PASS", "Trades: not known from returns alone"],
}
"""What is shown, in this order."""
FIGURES = {"quickstart": 4, "own-model": 2, "judge": 1}
WALKS = {"quickstart": 1, "own-model": 2, "judge": 0}


def read(name):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    return notebook


def files():
    return {path for path in FOLDER.parent.rglob("*") if "api" not in path.parts}


def test_each_is_known_here_and_listed_in_the_guide():
    guide = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    assert set(NAMES) == set(SAID) == set(FIGURES) == set(WALKS)
    for name in NAMES:
        assert f"(notebooks/{name}.ipynb)" in guide


@pytest.mark.parametrize("name", NAMES)
def test_one_is_stored_without_outputs_and_its_links_lead_somewhere(name):
    notebook = read(name)
    assert notebook.cells[0].cell_type == "markdown"
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or (cell.outputs, cell.execution_count) == ([], None)
        for target in re.findall(r"\]\(([^)#]+?)(?:#[\w-]+)?\)", cell.source):
            assert cell.cell_type == "code" or (FOLDER / target).exists(), target


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_one_runs_and_leaves_nothing(tmp_path, name):
    before, executed = files(), tmp_path / "executed.ipynb"
    own = {"IPYTHONDIR": tmp_path / "ipython", "TMPDIR": tmp_path, "PYTHONPATH": ROOT}
    done = subprocess.run(
        [sys.executable, "-m", "tests.notebooks", f"{name}.ipynb", executed],
        cwd=FOLDER, env=os.environ | {key: str(value) for key, value in own.items()},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert files() == before
    shown = [
        output
        for cell in nbformat.read(executed, as_version=4).cells
        for output in cell.get("outputs", [])
    ]
    text = "\n".join(output.get("text") or output.data.get("text/plain", "") for output in shown)
    assert re.search(".*".join(map(re.escape, SAID[name])), text, re.DOTALL), text
    figures = [one for one in shown if "application/vnd.plotly.v1+json" in one.get("data", {})]
    assert len(figures) == FIGURES[name]
    assert len(re.findall(r"^4 splits in \d:\d\d$", text, re.MULTILINE)) == WALKS[name]
