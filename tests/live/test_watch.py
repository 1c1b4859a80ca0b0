import os

import pandas as pd
import pytest

from convnext_vbt.errors import DataError
from convnext_vbt.live.session import open_session
from convnext_vbt.live.watch import watch

HOUR = pd.Timedelta(hours=1)


LATE = pd.Timedelta(seconds=50)


class Market:
    """A file of bars that grows while somebody sleeps, the unfinished one included, a bit late."""

    def __init__(self, path, bars, now):
        columns = ("open", "high", "low", "close", "volume")
        self.table = pd.DataFrame(
            {name: getattr(bars, name)[:, 0] for name in columns},
            index=pd.Index(bars.index, name="timestamp"),
        )
        self.path, self.now, self.broken, self.closed = path, now, 0, False
        self.least = 0.0
        self.publish()

    def publish(self):
        if self.closed:
            return
        if self.broken > 0:
            self.path.write_text("503 Service Unavailable")
        else:
            self.table[self.table.index <= self.now - LATE].to_csv(self.path)
        written = (self.now - LATE).timestamp()
        os.utime(self.path, (written, written))

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += pd.Timedelta(max(seconds, self.least), "s")
        self.broken -= 1
        self.publish()


@pytest.fixture
def market(tmp_path, bars):
    return Market(tmp_path / "bars.csv", bars, bars.index[1100] + 0.25 * HOUR)


@pytest.fixture
def heard():
    return []


@pytest.fixture
def moments(finished, market, heard):
    source = [str(market.path)]
    session = open_session(
        finished.directory, source=source, symbol="SIM/USDT", notify=heard.append
    )
    return watch(session, clock=market.clock, sleep=market.sleep)


def test_watching_decides_once_a_bar_as_soon_as_it_is_there(moments, market, heard, bars):
    seen = [(next(moments)[0].bar, market.now) for _ in range(4)]
    assert [bar for bar, _ in seen] == list(bars.index[1099:1103])
    for bar, moment in seen[1:]:
        assert HOUR + LATE <= moment - bar < HOUR + LATE + pd.Timedelta(seconds=30)
    assert len(heard) == 3  # each bar was waited for, which is told once
    assert heard[0] == f"waiting for the bar after {bars.index[1099]:%Y-%m-%d %H:%M} UTC"


def test_a_source_that_fails_for_a_while_is_tried_again(moments, market, heard, bars):
    next(moments)
    market.broken = 10
    assert next(moments)[0].bar == bars.index[1100]
    assert len(heard) == 1
    assert heard[0].endswith("; trying again")


def test_a_source_that_stands_still_or_stays_broken_ends_the_watch(moments, market, heard, bars):
    next(moments)
    market.closed, market.least = True, 300.0
    with pytest.raises(DataError, match="a later one should be there"):
        next(moments)
    assert market.now >= bars.index[1099] + 3 * HOUR
    assert len(heard) == 1


def test_what_is_broken_from_the_start_is_told_at_once(moments, market):
    market.broken = 1
    market.publish()
    with pytest.raises(DataError, match=r"bars\.csv"):
        next(moments)
