"""The package as Windows would have it: python -m tests.windows FOLDER.

What only POSIX has is taken from our own modules, and from nobody else's: an import of such a
module fails there, `os` and its like lack POSIX's names, no folder can be opened, and no file that
is open can be replaced or removed. Then every module is imported and a small strategy is run,
swept, reported and listed.
"""

import builtins
import importlib
import os
import pkgutil
import select
import signal
import sys
import time
import types
from pathlib import Path

ABSENT = {
    "curses", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios",
    "tty",
}  # fmt: skip
LACKING = {
    os: """O_CLOEXEC O_DIRECTORY O_DSYNC O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC RTLD_NOW SEEK_DATA
        WNOHANG WIFSIGNALED chown chroot confstr copy_file_range ctermid fchdir fchown fork forkpty
        fpathconf getegid geteuid getgid getgroups getloadavg getpgid getpgrp getpriority getresuid
        getsid getuid initgroups killpg lchown lockf major makedev memfd_create minor mkfifo mknod
        nice openpty pathconf pipe2 posix_fadvise posix_fallocate posix_spawn pread preadv pwrite
        pwritev readv register_at_fork sched_getaffinity sched_getscheduler sched_setaffinity
        sched_yield sendfile setegid seteuid setgid setpgid setpriority setsid setuid statvfs sync
        sysconf tcgetpgrp ttyname uname unshare wait wait3 wait4 waitid writev""",
    signal: """ITIMER_REAL SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP
        SIGUSR1 SIGUSR2 alarm pause pthread_kill pthread_sigmask setitimer siginterrupt sigwait""",
    select: "epoll poll",
    time: "CLOCK_MONOTONIC clock_getres clock_gettime pthread_getcpuclockid tzset",
}


def as_on_windows(module, lacking):
    view = types.ModuleType(module.__name__)
    vars(view).update({k: v for k, v in vars(module).items() if k not in lacking.split()})
    return view


def is_open(path):
    target = os.path.realpath(path)
    descriptors = {os.path.realpath(entry) for entry in Path("/proc/self/fd").iterdir()}
    return target in descriptors or f" {target}\n" in Path("/proc/self/maps").read_text()


def refusing_folders(path, *args, **options):
    if Path(path).is_dir():
        raise PermissionError(13, "Permission denied", str(path))
    return os.open(path, *args, **options)


def refusing_open_files(method, which):
    def refusing(path, *args, **options):
        target = (path, *args)[which]
        if is_open(target):
            raise PermissionError(13, "The process cannot access the file", str(target))
        return method(path, *args, **options)

    return refusing


def hide():
    """Let our modules see what Windows has."""
    views = {module.__name__: as_on_windows(module, names) for module, names in LACKING.items()}
    views["os"].open = refusing_folders
    Path.replace = refusing_open_files(Path.replace, 1)
    Path.unlink = refusing_open_files(Path.unlink, 0)
    real = builtins.__import__

    def windows(name, globals=None, locals=None, fromlist=(), level=0):  # noqa: A002
        if level or not (globals or {}).get("__name__", "").startswith("convnext_vbt"):
            return real(name, globals, locals, fromlist, level)
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}: Windows has none")
        return views[name] if name in views else real(name, globals, locals, fromlist, level)

    builtins.__import__ = windows


def import_everything():
    import convnext_vbt

    for found in pkgutil.walk_packages(convnext_vbt.__path__, "convnext_vbt."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)


def call(*args):
    from typer.testing import CliRunner

    from convnext_vbt.cli.commands import app

    done = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
    assert done.exit_code == 0, (args, done.output)
    return done.stdout


def main(folder):
    from tests.strategies import write_tiny

    hide()
    import_everything()
    out = folder / "reports"
    strategy = write_tiny(folder)
    for _ in range(2):  # the second time over files that are there
        call("run", strategy, "--out", out, "--jobs", 1, "--quiet")
    (run,) = out.glob("tiny-*")
    call("sweep", run, "--risk", "0.02")
    call("report", run)
    call("compare", *out.glob("tiny-*"))
    print(call("runs", "--out", out))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
