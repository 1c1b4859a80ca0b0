"""A rehearsal that is killed with signal 9 again and again, and gone on with.

`python -m tests.live.killed RUN FOLDER CLOSES KILLS` leaves whole.sqlite, of a session that nothing
interrupted, and killed.sqlite, and prints one JSON line a kill; whole.jsonl and killed.jsonl hold
what their hooks heard. Every session is a process of its own, forked from this one before it has
done any work; torch is imported once.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from convnext_vbt.live.running import live_session


def start(run: Path, journal: Path, closes: int) -> tuple[int, int]:
    """Process id of a rehearsal, and a pipe with a byte for each close that it has booked."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            heard = shlex.quote(str(journal.with_suffix(".jsonl")))
            hook = f"sh -c {shlex.quote(f'cat >> {heard}')}"
            for _ in live_session(run, journal=journal, rehearse=closes, notify=hook):
                os.write(write, b".")
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    return pid, read


def booked(journal: Path) -> int:
    """How many closes a journal has, of which no process is at work."""
    if not journal.exists():
        return 0
    with closing(sqlite3.connect(journal)) as connection:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        return connection.execute("SELECT count(*) FROM closes").fetchone()[0] if tables else 0


def wait_for_transaction(journal: Path, pid: int) -> bool:
    """Until SQLite's own rollback file is there: a transaction is under way."""
    rollback = journal.with_name(f"{journal.name}-journal")
    while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if rollback.exists():
            return True
    return False


def run_to_the_end(run: Path, journal: Path, closes: int) -> None:
    """A session that nothing kills."""
    pid, read = start(run, journal, closes)
    assert os.waitpid(pid, 0)[1] == 0
    os.close(read)


def main(run: Path, folder: Path, closes: int, kills: int) -> None:
    """Kill and go on, then go on to the end."""
    begun = time.monotonic()
    run_to_the_end(run, folder / "whole.sqlite", closes)
    seconds = (time.monotonic() - begun) / closes  # a close, its part of the start in it
    rng, journal = np.random.default_rng(), folder / "killed.sqlite"
    for number in range(kills):
        left = closes - booked(journal)
        enough = int(rng.integers(0, 1 + 1.5 * left / (kills - number + 1)))
        pid, read = start(run, journal, closes)
        while enough > 0:
            enough -= len(os.read(read, enough))
        time.sleep(float(rng.uniform(0.0, seconds)))
        if number % 2:
            wait_for_transaction(journal, pid)
        os.kill(pid, signal.SIGKILL)
        killed = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        os.close(read)
        inside = journal.with_name(f"{journal.name}-journal").exists()
        print(json.dumps({
            "killed": killed, "in_transaction": inside, "booked": booked(journal),
        }), flush=True)  # fmt: skip
    run_to_the_end(run, journal, closes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
