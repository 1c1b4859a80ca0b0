import contextlib
import io
import logging
import os
import pty
import re
import threading
import time

import numpy as np
import pytest
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from rich.console import Console

import convnext_vbt as cv
from convnext_vbt.cli.exits import exit_codes
from convnext_vbt.learning.walkforward import SplitDone
from convnext_vbt.learning.watching import announce, step_writer, steps_in, total_in
from convnext_vbt.predictions import SplitFit
from convnext_vbt.runs.bars import read_bars
from convnext_vbt.runs.config import load_config
from convnext_vbt.runs.progress import (
    JUDGING,
    PREDICTED,
    PREPARING,
    Display,
    clock_text,
    split_line,
    watching,
)
from convnext_vbt.runs.strategy import prepare, walk
from tests.strategies import write_tiny


def finished(number, done, *, loss=1.0712, cached=False):
    fit = SplitFit(
        number=number, epochs=25, valid_loss=loss, prior_loss=1.094,
        prior=(0.3, 0.4, 0.3),
    )  # fmt: skip
    return SplitDone(fit=fit, done=done, total=3, cached=cached)


def text_of(display, *, width=80):
    console = Console(file=io.StringIO(), width=width, no_color=True)
    console.print(display.render())
    return console.file.getvalue()


def test_a_display_shows_every_split_in_training_and_the_time_left(tmp_path):
    now = 100.0
    display = Display(folder=tmp_path, clock=lambda: now)
    assert "reading bars" in text_of(display)
    announce(tmp_path, 3)
    assert "split 0/3" in text_of(display)
    assert "eta -:--" in text_of(display)
    step_writer(tmp_path, 0)(30, 40, 1.08123, 1.094)
    step_writer(tmp_path, 1)(10, 40, 1.2, 1.1)
    now = 130.0  # one split's work in 30 s, two are left
    text = text_of(display)
    assert "33 %" in text
    assert "eta 1:00" in text
    assert "split 1  step 30/40  loss 1.0812 (base rates 1.0940)" in text
    assert "split 2  step 10/40  loss 1.2000 (base rates 1.1000)" in text
    display.finish(finished(0, 1))
    text = text_of(display)
    assert "split 1/3" in text
    assert "step 30/40" not in text
    display.finish(finished(1, 2))
    display.finish(finished(2, 3))
    assert text_of(display).strip() == JUDGING
    assert all(len(line) <= 40 for line in text_of(display, width=40).splitlines())


def test_cached_splits_do_not_make_the_rest_look_fast(tmp_path):
    now = 0.0
    display = Display(folder=tmp_path, clock=lambda: now)
    announce(tmp_path, 4)
    display.look()
    display.finish(finished(0, 1, cached=True))
    display.finish(finished(1, 2, cached=True))
    display.finish(finished(2, 3))
    now = 60.0
    assert display.seconds_left(3.0) == 60.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-:--"), (40.4, "0:40"), (725, "12:05"), (11_220, "3:07:00")]
)
def test_time_left(seconds, text):
    assert clock_text(seconds) == text


def test_a_split_in_a_line():
    assert split_line(finished(4, 2, cached=True)) == (
        "split 5 (2/3)  out-of-fold loss 1.0712 (base rates 1.0940) (from cache)"
    )
    assert split_line(finished(0, 1, loss=1.2)).endswith("did not learn")


def test_off_a_terminal_it_is_one_line_a_split(capsys):
    for last in (JUDGING, PREDICTED):
        with watching(True, last=last) as watcher:
            assert watcher.folder is None
            for number in range(3):
                watcher.done(finished(number, number + 1))
        err = capsys.readouterr().err
        assert err.splitlines() == [*(split_line(finished(k, k + 1)) for k in range(3)), last]
        assert "\r" not in err
    for asked in (None, False):
        with watching(asked) as watcher:
            assert watcher.done is None
    heard = []
    with watching(heard.append) as watcher:
        watcher.done(finished(0, 1))
    assert heard == [finished(0, 1)]
    assert capsys.readouterr().err == ""


def test_from_python_a_run_says_what_the_command_says_where_it_is_asked_to(tmp_path, capsys):
    bars = cv.load_bars("simulated:seed=5,bars=1200")
    config = load_config(write_tiny(tmp_path))
    cv.walk_forward(bars, config, jobs=1)
    assert capsys.readouterr().err == ""
    cv.walk_forward(bars, config, jobs=1, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "split 1 (1/3)", "split 2 (2/3)", "split 3 (3/3)", PREDICTED,
    ]  # fmt: skip


def test_on_a_terminal_a_script_shows_it_unless_told_not_to(tmp_path, monkeypatch):
    bars = cv.load_bars("simulated:seed=5,bars=1200")
    config = load_config(write_tiny(tmp_path))
    text = on_terminal(monkeypatch, lambda: cv.walk_forward(bars, config, jobs=1))
    assert "split 3 (3/3)" in text
    assert "\x1b[2K" in text
    silent = on_terminal(monkeypatch, lambda: cv.walk_forward(bars, config, jobs=1, progress=False))
    assert silent == ""


@pytest.fixture
def cell(monkeypatch):
    """What a notebook's cell is sent, message by message: (data, display id, whether in place)."""
    sent = []

    class Publisher(DisplayPublisher):
        def publish(self, data, *, transient=None, update=False, **_):
            sent.append((data, (transient or {}).get("display_id"), update))

    shell = InteractiveShell.__new__(InteractiveShell)  # set up, it would take over this process
    shell.display_pub = Publisher()
    shell.kernel = "ipykernel gives its shell one"
    monkeypatch.setattr(InteractiveShell, "_instance", shell)
    return sent


def test_in_a_notebook_one_line_is_drawn_anew_in_place(tmp_path, cell, capsys):
    bars = cv.load_bars("simulated:seed=5,bars=1200")
    cv.walk_forward(bars, load_config(write_tiny(tmp_path)), jobs=1)
    first, *rest = cell
    assert (first[0]["text/plain"], first[2]) == (PREPARING, False)
    assert {identity for _, identity, _ in rest} == {first[1]}
    assert all(update for _, _, update in rest)
    assert re.fullmatch(r"3 splits in 0:\d\d", rest[-1][0]["text/plain"])
    assert '<progress value="3.000" max="3">' in rest[-1][0]["text/html"]
    assert capsys.readouterr() == ("", "")
    cell.clear()
    cv.walk_forward(bars, load_config(tmp_path / "tiny.toml"), jobs=1, progress=False)
    assert cell == []


def test_a_notebooks_line_has_room_for_two_splits_in_training(tmp_path):
    display = Display(folder=tmp_path)
    announce(tmp_path, 6)
    for number in range(4):
        step_writer(tmp_path, number)(10, 40, 1.08, 1.094)
    text = display.bundle()["text/plain"]
    assert len(re.findall(r"step 10/40", text)) == 2
    assert text.endswith("(base rates 1.0940) · 2 more")


def test_a_notebooks_line_tells_of_splits_in_training_and_where_it_stopped(cell):
    def interrupted():
        with watching() as watcher:
            announce(watcher.folder, 3)
            watcher.done(finished(1, 1))
            step_writer(watcher.folder, 0)(10, 40, 1.08, 1.094)
            time.sleep(0.8)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    texts = [data["text/plain"] for data, *_ in cell]
    step = "split 1  step 10/40  loss 1.0800 (base rates 1.0940)"
    assert re.fullmatch(r"split 1/3 · 42 % · eta \d:\d\d · " + re.escape(step), texts[1])
    assert texts[-1] == "stopped at split 1/3"
    assert all("<script" not in data["text/html"] for data, *_ in cell)


def on_terminal(monkeypatch, work, **environment):
    """What `work` writes to stderr when that is a real pseudo-terminal."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm-256color", "COLUMNS": "80"} | environment).items():
        monkeypatch.setenv(name, value)
    parent, child = pty.openpty()
    chunks = []

    def read():
        with contextlib.suppress(OSError):  # the other side is closed at the end
            while data := os.read(parent, 65_536):
                chunks.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(child, "w", encoding="utf-8") as stream:
        monkeypatch.setattr("sys.stderr", stream)
        work()
        stream.flush()
    reader.join(timeout=10)
    os.close(parent)
    return b"".join(chunks).decode()


def show_two_splits():
    with exit_codes(), watching(True) as watcher:
        announce(watcher.folder, 3)
        step_writer(watcher.folder, 0)(10, 40, 1.08, 1.094)
        step_writer(watcher.folder, 1)(20, 40, 1.07, 1.094)
        time.sleep(0.5)
        logging.getLogger("convnext_vbt").warning("mind %s", "this")
        watcher.done(finished(0, 1))
        time.sleep(0.5)


def test_on_a_terminal_the_splits_in_training_are_shown_and_then_cleared(monkeypatch):
    text = on_terminal(monkeypatch, show_two_splits)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert "split 1  step 10/40  loss 1.0800 (base rates 1.0940)" in plain
    assert "split 2  step 20/40" in plain
    assert "split 1/3" in plain
    assert split_line(finished(0, 1)) in plain
    assert "warning: mind this" in plain
    assert "\x1b[2K" in text  # lines are drawn over, not added
    assert re.search(r"\x1b\[[0-9;]*3[0-9]", text)  # colour


def test_no_color_is_respected(monkeypatch):
    text = on_terminal(monkeypatch, show_two_splits, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9][0-9;]*m", text)
    assert "split 1  step 10/40" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_splits_tell_their_steps_and_train_the_same(tmp_path):
    (tmp_path / "watch").mkdir()
    config = load_config(write_tiny(tmp_path))
    stages = prepare(config, read_bars(config))
    watched = walk(config, stages, jobs=1, watch=tmp_path / "watch")
    plain = walk(config, stages, jobs=1)
    np.testing.assert_array_equal(watched.proba, plain.proba)
    steps = steps_in(tmp_path / "watch")
    assert total_in(tmp_path / "watch") == 3
    assert [step.number for step in steps] == [0, 1, 2]
    for step, fit in zip(steps, watched.fits, strict=True):
        assert (step.step, step.steps) == (2, 2)
        assert step.prior_loss == fit.prior_loss


def test_a_watch_folder_that_is_gone_stops_nothing(tmp_path):
    step_writer(tmp_path / "gone", 0)(1, 2, 1.0, 1.0)
    announce(tmp_path / "gone", 3)
    assert total_in(tmp_path / "gone") == 0
    assert steps_in(tmp_path / "gone") == []
