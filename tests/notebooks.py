"""Runs a notebook from top to bottom: python -m tests.notebooks NOTEBOOK [EXECUTED].

Jupyter's kernel is no part of the environment; IPython, which does the work in it, is. Ends with
the first cell that fails. EXECUTED is written with the outputs in it.
"""

import os
import sys
from pathlib import Path

import nbformat
from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from nbformat import NotebookNode


class Shown(DisplayHook):
    """A cell's value is shown like anything else that it displays."""

    def write_output_prompt(self):
        """A notebook numbers its outputs itself."""

    def write_format_data(self, format_dict, md_dict=None):
        self.shell.display_pub.publish(format_dict, md_dict)


class Kernel(InteractiveShell):
    """IPython as a notebook has it: what asks for a kernel finds one."""

    kernel = "here"
    displayhook_class = Shown


def main():
    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"  # else it would open a browser
    path, *executed = map(Path, sys.argv[1:])
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    shell = Kernel.instance()
    shell.history_manager.enabled = False
    for number, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
        with capture_output() as seen:
            done = shell.run_cell(cell.source)
        if not done.success:
            sys.exit(f"{path.name}, cell {number + 1}: {done.error_in_exec!r}\n{seen.stdout}")
        if seen.stderr:
            sys.exit(f"{path.name}, cell {number + 1} writes to stderr:\n{seen.stderr}")
        cell.outputs = outputs(seen)
    for target in executed:
        nbformat.write(notebook, target)


def outputs(seen):
    """What a cell shows, a display that was drawn anew as it was last."""
    shown, places = [], {}
    if seen.stdout.strip():
        shown.append(NotebookNode(output_type="stream", name="stdout", text=seen.stdout))
    for one in seen._outputs:
        identity = (one.get("transient") or {}).get("display_id")
        output = NotebookNode(
            output_type="display_data", data=one["data"], metadata=one["metadata"] or {}
        )
        if one.get("update"):
            shown[places[identity]] = output
            continue
        places[identity] = len(shown)
        shown.append(output)
    return shown


if __name__ == "__main__":  # workers of the walk-forward import this file
    main()
