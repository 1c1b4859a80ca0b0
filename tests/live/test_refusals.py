"""What is not decided: stale bars, other bars, a run that has changed or is too old."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import convnext_vbt as cv
from convnext_vbt.errors import ConfigError, DataError
from convnext_vbt.learning.settings import ModelConfig
from convnext_vbt.learning.splitcache import read_split
from convnext_vbt.live.account import Account
from convnext_vbt.live.clock import check_fresh, finished_bars, stale_from, when
from convnext_vbt.live.decision import decide
from convnext_vbt.live.said import why_missing
from convnext_vbt.live.session import open_session, time_of
from convnext_vbt.live.trained import open_trained, same_market
from convnext_vbt.market.bars import Bars
from convnext_vbt.runs import run as pipeline
from convnext_vbt.runs import strategy as stages
from convnext_vbt.runs.config import load_config
from tests.live.replay import replay
from tests.strategies import write_tiny

HOUR = pd.Timedelta(hours=1)


def test_the_last_bar_is_left_out_until_it_has_closed(bars):
    opens = bars.index[-1]
    part, notes = finished_bars(bars, opens + 0.5 * HOUR, replay=False)
    assert (len(part), len(notes)) == (len(bars) - 1, 1)
    assert notes[0].endswith("was not finished at 23:30: it is left out")
    part, notes = finished_bars(bars, opens + HOUR, replay=False)
    assert (len(part), notes) == (len(bars), [])


def test_more_than_one_unfinished_bar_is_a_wrong_clock(bars):
    early = bars.index[-1] - 0.5 * HOUR
    with pytest.raises(DataError, match=r"2 bars close after .* the clock or the data's time zone"):
        finished_bars(bars, early, replay=False)
    assert len(finished_bars(bars, early, replay=True)[0]) == len(bars) - 2
    with pytest.raises(DataError, match="no bar has closed"):
        finished_bars(bars, bars.index[0], replay=True)


def test_each_symbol_of_two_stamps_an_hour_may_have_a_bar_that_has_not_closed(bars):
    late = replace(bars, index=bars.index + 0.5 * HOUR, symbols=("B",))
    panel = Bars.join([bars, late])
    part, notes = finished_bars(panel, bars.index[-1] + 0.75 * HOUR, replay=False)
    assert (len(part), len(notes)) == (len(panel) - 2, 2)
    with pytest.raises(DataError, match="2 bars close after"):
        finished_bars(panel, bars.index[-1] - 0.25 * HOUR, replay=False)


def test_a_bar_is_stale_once_the_next_one_should_have_closed(bars):
    stale = bars.index[-1] + 2 * HOUR
    assert stale_from(bars) == stale
    check_fresh(bars, stale - pd.Timedelta(seconds=1))
    with pytest.raises(DataError, match="closed 0 days 01:00:00 ago"):
        check_fresh(bars, stale)


def test_a_weekend_makes_no_session_bar_stale():
    daily = cv.load_bars("sp500").rows(0, 300)
    friday = next(i for i in range(200, 300) if daily.index[i].day_of_week == 4)
    upto = daily.rows(0, friday + 1)
    check_fresh(upto, upto.index[-1] + pd.Timedelta(days=3))  # Monday, nothing has traded since
    with pytest.raises(DataError, match="give fresh bars"):
        check_fresh(upto, upto.index[-1] + pd.Timedelta(days=9))


def test_a_hole_in_the_history_makes_no_break_of_a_session_market():
    days = pd.bdate_range("2024-01-01", periods=400)
    hours = [day + pd.Timedelta(hours=14 + i) for day in days for i in range(7)]
    close = np.linspace(100, 110, len(hours))
    table = pd.DataFrame({"open": close, "high": close + 1, "low": close - 1, "close": close})
    table["volume"], table.index = 1.0, pd.DatetimeIndex(hours, tz="UTC")
    whole = Bars.from_frame(table, symbol="STK")
    start, end = days[200].tz_localize("UTC"), days[240].tz_localize("UTC")
    holed = Bars.from_frame(table[(table.index < start) | (table.index > end)], symbol="STK")
    assert whole.has_sessions
    assert stale_from(holed) == stale_from(whole)


def test_a_position_cannot_be_entered_in_the_future(finished, bars):
    later = bars.index[-1] + 30 * HOUR
    desk = open_session(finished.directory, positions=["0.1"], entered=[f"{later:%Y-%m-%dT%H:%M}"])
    with pytest.raises(ConfigError, match="lies after"):
        desk.look(bars.index[1100])


def test_other_bars_are_refused(trained, bars):
    frame = frame_of(bars)
    slower = cv.Bars.from_frame(frame[::2], symbol="SIM/USDT")
    with pytest.raises(DataError, match="trained on bars of 1h, these are of 2h"):
        same_market(trained, slower)
    other = cv.Bars.from_frame(frame, symbol="BTC/USDT")
    with pytest.raises(DataError, match=r"trained on SIM/USDT, .* BTC/USDT; .* --symbol SIM/USDT"):
        same_market(trained, other)
    assert same_market(trained, other, "SIM/USDT").symbols == ("SIM/USDT",)
    with pytest.raises(DataError, match="--symbol ETH cannot name BTC/USDT"):
        same_market(trained, other, "ETH")


def test_there_is_a_decision_exactly_where_the_backtest_has_a_prediction(trained, bars):
    first = trained.predictions.splits[0].test[0]
    with pytest.raises(DataError, match=r"no prediction at .* its first test range begins"):
        trained.split_of(bars.rows(0, first))
    assert trained.split_of(bars.rows(0, first + 1)).number == 0
    assert [trained.split_of(bars.rows(0, t)).number for t in (740, 741, 980, 981)] == [0, 1, 1, 2]


def test_a_symbol_without_the_last_bar_is_told_from_when_on_its_own_signal_acts(trained, bars):
    # Behind the bar of 23:30 the one of 23:00 has closed, and what it said was due at midnight.
    late = replace(bars, index=bars.index + 0.5 * HOUR, symbols=("B",))
    panel = Bars.join([bars, late])
    said = why_missing(trained, trained.predictions.splits[-1], panel, 0)
    assert said.startswith(f"no bar at {when(late.index[-1])}; what its bar of")
    assert said.endswith(
        f"{when(bars.index[-1])} said is due at its first open from "
        f"{when(bars.index[-1] + HOUR)} on"
    )


def test_a_network_older_than_a_test_range_is_refused(trained, bars):
    # The last test range begins at bar 980 and may last 240 bars; the run has 220 of them.
    later = frame_of(bars).set_axis(bars.index + len(bars) * HOUR)
    joined = cv.Bars.from_frame(pd.concat([frame_of(bars), later]), symbol="SIM/USDT")
    for start in (0, 1100, 1210):  # what lies between is counted by the clock
        assert trained.split_of(joined.rows(start, 1220)).number == 2
        with pytest.raises(
            DataError, match=r"is 241 bars old .* tested over 240 bars .* again to train"
        ):
            trained.split_of(joined.rows(start, 1221))


def test_a_network_tested_for_a_time_is_refused_by_the_calendar(trained, bars):
    # Its test range begins at bar 980: ten days on is bar 1220, however many bars are there.
    splits = replace(trained.config.splits, test="10D")
    timed = replace(trained, config=trained.config.model_copy(update={"splits": splits}))
    later = frame_of(bars).set_axis(bars.index + len(bars) * HOUR)
    joined = cv.Bars.from_frame(pd.concat([frame_of(bars), later]), symbol="SIM/USDT")
    idle = cv.Bars.from_frame(frame_of(joined).drop(joined.index[1190:1210]), symbol="SIM/USDT")
    for whole, last in ((joined, 1220), (idle, 1200)):
        for start in (0, 1100, 1185):
            assert timed.split_of(whole.rows(start, last)).number == 2
            with pytest.raises(
                DataError, match=r"is 10 days old .* tested over 10 days .* again to train"
            ):
                timed.split_of(whole.rows(start, last + 1))


def frame_of(bars):
    columns = ("open", "high", "low", "close", "volume")
    return pd.DataFrame({name: getattr(bars, name)[:, 0] for name in columns}, index=bars.index)


OWN_CODE = """
import numpy as np
import convnext_vbt as cv
from convnext_vbt.learning.features import Features

def features(bars):
    body = (bars.close / bars.open - 1).astype(np.float32)
    return Features(names=("body",), values=body[:, :, None], warmup=0)

def rule(preds, bars):
    lean = preds.prob_up - preds.prob_down
    up = lean > lean.rolling(12).mean()
    return cv.Signals.from_frames(entries=up, exits=~up, short_entries=~up, size=0.5)
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A logistic regression on the user's own features, traded by the user's own rule."""
    home = tmp_path_factory.mktemp("own")
    (home / "mine.py").write_text(OWN_CODE)
    changes = [
        f"features.file={home}/mine.py:features",
        f"rule.file={home}/mine.py:rule",
        "model.kind=logistic",
    ]
    return pipeline.run(load_config(write_tiny(home), changes), out=home / "out", jobs=1)


def test_the_users_own_code_and_a_baseline_decide_as_in_the_backtest(own):
    worst, pairs = replay(open_trained(own.directory), own.result, 60)
    assert worst < 1e-5
    for decided, simulated in pairs:
        assert [order[0] for order in decided] == pytest.approx([o[0] for o in simulated], rel=3e-5)
    assert sum(len(decided) for decided, _ in pairs) > 10


def test_code_that_has_changed_since_is_refused(own):
    file = own.directory.parent.parent / "mine.py"
    try:
        file.write_text(OWN_CODE.replace("rolling(12)", "rolling(13)"))
        with pytest.raises(DataError, match=r"mine.py:features .* is not what .* was made with"):
            open_trained(own.directory)
    finally:
        file.write_text(OWN_CODE)


def test_other_features_than_those_of_training_are_refused(trained, bars):
    shape = trained.config.features.__class__(names=("candle_body", "hour_sin"))
    other = replace(trained, config=trained.config.model_copy(update={"features": shape}))
    with pytest.raises(DataError, match=r"the features are 2 .* was trained on 3 .*_percent_b_20"):
        decide(other, bars, Account(equity=1.0))


def test_boosting_says_that_it_is_not_kept(finished, tmp_path):
    config = finished.config.model_copy(update={"model": ModelConfig(kind="boosting")})
    prepared = stages.prepare(config, finished.result.bars.rows(0, 800))
    stages.walk(config, prepared, directory=tmp_path, jobs=1)
    with pytest.raises(
        ValueError,
        match=r"a model of kind boosting is not kept .* kind convnext, logistic, majority are",
    ):
        read_split(tmp_path, 0, config.model)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("splits/002.safetensors", lambda b: b[:-9], "002.safetensors does not match its hash"),
        ("splits/002.json", lambda b: b.replace(b"0", b"1"), "do not match their digest"),
        ("splits/002.json", None, "002.json is not there"),
        ("predictions.parquet", lambda b: b[:-9], r"predictions\.parquet"),
        ("metrics.json", lambda b: b"{}", r"metrics\.json is damaged"),
        (
            "config.toml",
            lambda b: b.replace(b"risk = 0.01", b"risk = 0.02"),
            "is not the strategy that",
        ),
        ("metrics.json", None, "is not a finished run"),
        ("manifest.json", None, "is not a run directory"),
        ("manifest.json", lambda b: b.replace(b'"format": ', b'"format": 9'), "was written by"),
    ],
)
def test_a_damaged_run_is_named(finished, bars, tmp_path, name, damage, message):
    folder = shutil.copytree(finished.directory, tmp_path / "run")
    path = folder / name
    path.unlink() if damage is None else path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=message):
        decide(open_trained(folder), bars, Account(equity=1.0))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"positions": ["much"]}, "'much' is not a number of units"),
        ({"positions": ["BTC=1"]}, "the run trades SIM/USDT; write --position VALUE"),
        ({"entered": ["soon"]}, "--entered 'soon' is not a time such as"),
        ({"entered": ["2022-02-19"]}, "--entered SIM/USDT: give its --position too"),
    ],
)
def test_options_that_cannot_be_understood_are_refused(finished, given, message):
    with pytest.raises(ConfigError, match=message):
        open_session(finished.directory, **given)


def test_a_desk_takes_the_words_of_the_command_line(finished):
    session = open_session(
        finished.directory, positions=["-0.25"], equity=5_000.0, entered=["2022-02-19 09:00"]
    )
    held = session.account.held["SIM/USDT"]
    assert (held.units, held.side, session.account.equity) == (-0.25, -1, 5_000.0)
    assert held.entered == pd.Timestamp("2022-02-19 09:00", tz="UTC")
    assert open_session(finished.directory).account.equity == 10_000.0
    assert time_of("2022-02-19T10:00+01:00", "--as-of") == held.entered


def test_a_look_at_the_past_is_the_backtest_and_says_so(finished):
    found, notes = open_session(finished.directory).look(time_of("2022-02-19 12:30", "--as-of"))
    assert (str(found.bar), notes) == ("2022-02-19 11:00:00+00:00", [])
    assert found.difference < 1e-5
    with pytest.raises(DataError, match="give fresh bars with --data, or --as-of"):
        open_session(finished.directory).look(None)
