"""A session that outlives its network: the next one is trained as a new run would train it."""

import hashlib
import os
import time
import warnings

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.errors import DataError, FewTradesWarning, NetworkTooOldError
from convnext_vbt.live.retrain import Training
from convnext_vbt.live.running import live_session
from convnext_vbt.live.trained import open_trained
from convnext_vbt.predictions import Predictions
from convnext_vbt.runs import run as pipeline
from convnext_vbt.runs.config import load_config
from convnext_vbt.runs.directory import update_manifest
from tests.live.conftest import TOLD
from tests.live.test_watch import HOUR, LATE, Market
from tests.strategies import write_tiny

KNOWN = 980
"""Bars of the run: two whole test ranges, so that the next bar needs a third network."""


def made(home, source):
    """A run over the first bars of a file, in a folder of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewTradesWarning)
        config = load_config(write_tiny(home, *TOLD), [f"data.source={source}"])
        return pipeline.run(config, out=home / "reports", jobs=1)


class Growing(Market):
    """The run's own source, which grows by the hour."""

    rows, unfinished = 0, pd.Timedelta(0)

    def __init__(self, path, bars, row):
        super().__init__(path, bars, bars.index[row] + HOUR + 2 * LATE)

    def publish(self):
        there = self.table.index + HOUR <= self.now - LATE + self.unfinished
        if there.sum() == self.rows:
            return
        self.rows = there.sum()
        whole = self.path.with_suffix(".new")
        self.table[there].to_csv(whole)
        whole.replace(self.path)  # the process that trains may read it at any time
        written = (self.now - LATE).timestamp()
        os.utime(self.path, (written, written))

    def sleep(self, seconds):
        time.sleep(0.02)  # a process that trains has no other clock
        super().sleep(seconds)


@pytest.fixture
def market(tmp_path, bars):
    return Growing(tmp_path / "bars.csv", bars, KNOWN - 1)


@pytest.fixture
def run(tmp_path, market, bars):
    return made(tmp_path, market.path)


def session(run, market, heard, **options):
    return live_session(
        run.directory, clock=market.clock, sleep=market.sleep, say=heard.append, **options
    )


def test_a_network_too_old_is_an_error_of_its_own(trained, bars):
    late = pd.date_range(bars.index[-1] + HOUR, periods=1000, freq="h")
    from dataclasses import replace

    values = {name: np.concatenate([getattr(bars, name)] * 2)[: len(bars) + 1000] for name in (
        "open", "high", "low", "close", "volume")}  # fmt: skip
    longer = replace(bars, index=bars.index.append(late), **values)
    with pytest.raises(NetworkTooOldError, match="run the strategy again to train the next one"):
        trained.split_of(longer)


@pytest.mark.slow
def test_the_next_network_is_trained_as_a_new_run_would_and_the_session_goes_on(
    run, market, bars, tmp_path
):
    heard = []
    closes = session(run, market, heard)
    assert next(closes)[0].decisions.split == 1
    seen = [next(closes)[0] for _ in range(3)]
    closes.close()
    assert [close.decisions.split for close in seen] == [2, 2, 2]
    assert [close.bar for close in seen] == list(bars.index[KNOWN : KNOWN + 3])
    assert any("the next one is being trained" in line for line in heard)
    assert heard.count("the next network is trained; going on with it") == 1

    kept = open_trained(run.directory)
    other = tmp_path / "other"
    other.mkdir()
    source = tmp_path / "bars.csv"
    rows = len(kept.predictions.index)
    market.table.iloc[:rows].to_csv(source)
    again = made(other, source)
    assert again.directory.name == run.directory.name
    theirs = Predictions.load(again.directory / "predictions.parquet")
    np.testing.assert_array_equal(kept.predictions.proba, theirs.proba)
    for name in ("002.safetensors", "002.parquet"):
        ours, new = (folder / "splits" / name for folder in (run.directory, again.directory))
        assert (
            hashlib.sha256(ours.read_bytes()).digest() == hashlib.sha256(new.read_bytes()).digest()
        )
    assert dict(kept.choices[2]) == dict(open_trained(again.directory).choices[2])


@pytest.mark.slow
def test_a_training_that_fails_is_a_refusal_and_tried_again_at_the_next_close(run, market, bars):
    heard = []
    closes = session(run, market, heard)
    next(closes)
    weights = run.directory / "splits" / "002.safetensors"
    weights.mkdir()  # nothing can be written there

    def repaired(seconds):
        if any("could not be trained" in line for line in heard) and weights.is_dir():
            weights.rmdir()
        market.sleep(seconds)

    closes.close()
    closes = live_session(
        run.directory, clock=market.clock, sleep=repaired, say=heard.append
    )  # fmt: skip
    assert [next(closes)[0].decisions.split for _ in range(2)] == [2, 2]
    closes.close()
    assert sum("the next one is being trained" in line for line in heard) == 2


@pytest.mark.slow
def test_once_waits_for_the_next_network(run, market, bars):
    list(session(run, market, [], once=True))
    market.now += 3 * HOUR
    market.publish()
    heard = []
    closes = [close for close, _ in session(run, market, heard, once=True)]
    assert [close.decisions.split for close in closes] == [2, 2, 2]
    assert [close.late for close in closes] == [True, True, False]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewTradesWarning)
        done = []
        pipeline.run(
            load_config(run.directory / "config.toml"),
            out=run.directory.parent, jobs=1, progress=done.append,
        )  # fmt: skip
    assert all(one.cached for one in done)  # a plain run finds all of it


@pytest.mark.slow
def test_a_training_that_was_killed_is_gone_on_with_first(run, market, bars):
    list(session(run, market, [], once=True))
    market.now += HOUR
    market.publish()
    update_manifest(run.directory, finished=False)  # as a killed run leaves it
    heard = []
    (one,) = session(run, market, heard, once=True)
    assert heard[0] == "the next network was being trained: going on with that first"
    assert one[0].decisions.split == 2


def test_an_unfinished_bar_in_the_source_keeps_a_run_from_going_on(run, market, bars, tmp_path):
    list(session(run, market, [], once=True))
    market.now += HOUR
    market.unfinished = HOUR
    market.publish()
    with pytest.raises(DataError, match=r"has the bar of 2022-02-10 21:00 UTC already, which has"):
        next(session(run, market, [], once=True))


def test_what_cannot_grow_in_place_says_so(finished, bars, tmp_path):
    path = tmp_path / "other.csv"
    from tests.live.test_refusals import frame_of

    table = frame_of(bars)
    longer = pd.concat([table] * 2)
    longer.index = pd.date_range(bars.index[0], periods=len(longer), freq="h")
    market = Market.__new__(Market)
    market.now = longer.index[1500] + HOUR + pd.Timedelta(seconds=60)
    longer.iloc[:1501].to_csv(path, index_label="timestamp")
    closes = live_session(
        finished.directory, journal=tmp_path / "a.sqlite", source=[str(path)],
        symbol="SIM/USDT", clock=market.clock, sleep=market.clock,
    )  # fmt: skip
    with pytest.raises(DataError, match=r"240 bars.*no next network is trained: the run was made "):
        next(closes)


def test_a_training_that_fails_says_where_to_look(tmp_path):
    training = Training(directory=tmp_path)
    training.start()
    with pytest.raises(DataError, match=r"could not be trained \(exit code 1\); .*run.log says"):
        training.finish()
    training.start()
    training.stop()
    assert not training.is_running
