"""Commands as processes of their own, as a terminal starts them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# A shell that starts tests in the background has them ignore Ctrl-C, and so would their children.
_MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from convnext_vbt.cli.commands import main; main()"
)


def start(*args):
    """`convnext-vbt ARGS` in a session of its own, its output read as text."""
    return subprocess.Popen(
        [sys.executable, "-c", _MAIN, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=ROOT,
    )
