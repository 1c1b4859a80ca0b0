"""Commands as processes of their own, as a terminal starts them."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
# A shell that starts tests in the background has them ignore Ctrl-C, and so would their children.
_MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from convnext_vbt.cli.commands import main; main()"
)


@contextlib.contextmanager
def start(*args):
    """`convnext-vbt ARGS` in a session of its own, its output read as text; killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", _MAIN, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=ROOT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition, process, *, seconds=600):
    """Wait until the condition is true of a process's work, which must not end before."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
