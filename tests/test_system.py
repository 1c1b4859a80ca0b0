import errno
import fcntl
import logging
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from convnext_vbt.errors import WriteError
from convnext_vbt.storage import write_text
from convnext_vbt.system import exclusive, replace_file, sync_folder
from tests.processes import ROOT

HOLDER = """
import os, sys, time
from pathlib import Path
from convnext_vbt.system import exclusive
with exclusive(Path(sys.argv[1])) as alone:
    print(alone, flush=True)
    time.sleep(100)
"""


@pytest.fixture
def held(tmp_path):
    """A lock file that another process holds, and that process."""
    lock = tmp_path / ".lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, lock], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"True\n"
        yield lock, holder
        holder.kill()


def refuse():
    raise ZeroDivisionError


def test_who_waits_is_told_first_and_comes_in_when_the_holder_is_killed(held):
    lock, holder = held
    with exclusive(lock, on_wait=holder.kill) as alone:
        assert alone
        assert holder.wait(10) < 0
    with exclusive(lock, on_wait=refuse) as alone:  # it was given back
        assert alone
    assert lock.read_bytes() == b""


def test_who_does_not_want_to_wait_raises(held):
    lock, holder = held
    with pytest.raises(ZeroDivisionError), exclusive(lock, on_wait=refuse):
        pytest.fail("two at once")
    assert holder.poll() is None


def test_threads_shut_each_other_out(tmp_path):
    inside, most = [], []

    def work():
        for _ in range(20):
            with exclusive(tmp_path / ".lock"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 60


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def test_a_disk_without_locks_does_not_stop_the_work(tmp_path, monkeypatch, caplog, code):
    def flock(descriptor, how):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    caplog.set_level(logging.INFO)
    for _ in range(2):  # nothing is left that would keep the second one out
        with exclusive(tmp_path / ".lock", on_wait=refuse) as alone:
            assert not alone
    assert caplog.text.count(f".lock cannot be locked ({os.strerror(code)})") == 2


def test_a_folder_that_takes_no_lock_file_does_not_stop_the_work(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    (tmp_path / "file").write_text("")
    with exclusive(tmp_path / "file" / ".lock", on_wait=refuse) as alone:
        assert not alone
    assert ".lock cannot be locked (" in caplog.text


def test_a_reader_that_has_the_file_open_is_waited_for(tmp_path, monkeypatch):
    """Windows refuses to rename over an open file; a virus scanner has every new one open."""
    real, refusals = Path.replace, []

    def replace(self, target):
        if len(refusals) < 3:
            refusals.append(target)
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(self, target)

    path, new = tmp_path / "a", tmp_path / "b"
    path.write_text("old")
    new.write_text("new")
    monkeypatch.setattr(Path, "replace", replace)
    replace_file(new, path)
    assert (path.read_text(), new.exists()) == ("new", False)
    assert len(refusals) == 3


def test_a_file_that_stays_open_is_told_and_stays(tmp_path, monkeypatch):
    def replace(self, target):
        raise PermissionError(errno.EACCES, "Permission denied")

    path = tmp_path / "a"
    path.write_text("old")
    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(WriteError, match=r"a cannot be written \(Permission denied\)"):
        write_text(path, "new")
    assert [item.name for item in tmp_path.iterdir()] == ["a"]
    assert path.read_text() == "old"


def test_a_folder_that_cannot_be_opened_is_not_synced_and_a_faulty_disk_is_told(
    tmp_path, monkeypatch
):
    def closed(path, flags):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    def broken(descriptor):
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", closed)
        sync_folder(tmp_path)
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="broken"):
        sync_folder(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks Linux which files are open")
@pytest.mark.slow
def test_everything_imports_and_runs_without_what_only_posix_has(tmp_path):
    command = [sys.executable, "-W", "ignore", "-m", "tests.windows", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^tiny-\w{8} ", done.stdout, re.MULTILINE)) == 2


@pytest.mark.parametrize(
    "line",
    ["import fcntl", "from resource import getrusage", "import pwd", "pid = os.fork()"],
)
def test_ruff_bans_what_only_posix_has(line):
    ruff = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--no-cache"]
    name = ["--stdin-filename", "src/convnext_vbt/market/new.py", "-"]
    text = f"import os\n{line}\n"
    found = subprocess.run(
        [*ruff, *name], input=text, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert found.returncode == 1
    assert "TID251" in found.stdout


def test_no_date_is_written_in_a_form_that_only_glibc_knows():
    """`%-d`, a day without its zero, is an error on Windows."""
    texts = {path: path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py")}
    assert [path for path, text in texts.items() if re.search(r"%[-_^#][a-zA-Z]", text)] == []


def test_a_process_of_low_priority_lets_others_go_first():
    use = "from convnext_vbt.system import low_priority; low_priority()"
    code = f"import os; {use}; print(os.nice(0))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == min(os.nice(0) + 10, 19)
