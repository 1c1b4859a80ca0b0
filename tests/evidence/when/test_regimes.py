import numpy as np
import pandas as pd
import pytest

from convnext_vbt.evidence.when import regimes
from convnext_vbt.market.bars import Bars
from tests.evidence.when.books import closed_trades


def bars_of(days=260, symbols=1, *, seed=4, hole=False):
    """Six-hourly bars whose volatility swings, one of them with holes."""
    index = pd.date_range("2022-01-01", periods=4 * days, freq="6h", tz="UTC")
    rng = np.random.default_rng(seed)
    swing = 0.01 * (1.2 + np.sin(np.arange(len(index)) / 90))[:, None]
    close = 100 * np.exp(np.cumsum(swing * rng.standard_normal((len(index), symbols)), axis=0))
    if hole:
        close[40:60, 0] = np.nan
        close[:9, 1] = np.nan
    names = tuple(f"S{n}" for n in range(symbols))
    frames = {
        name: pd.DataFrame(
            dict.fromkeys(("open", "high", "low", "close"), own) | {"volume": 1.0}, index
        )
        for name, own in zip(names, close.T, strict=True)
    }
    return Bars.from_frames({name: frame.dropna() for name, frame in frames.items()})


def day_closes(bars):
    return bars.frame("close").ffill().resample("D").last()


@pytest.mark.parametrize("symbols", [1, 3])
def test_regimes_day_by_day_in_plain_loops(symbols):
    bars = bars_of(symbols=symbols, hole=symbols > 1)
    closes = day_closes(bars)
    market = closes.pct_change(fill_method=None).mean(axis=1).to_numpy()
    level = np.cumprod(1 + np.nan_to_num(market))
    first = 120
    days = (closes.index.as_unit("s").asi8 // 86_400)[first:]
    found = regimes.regimes_of_days(bars, days)
    volatility = np.array([np.std(market[d - 30 : d], ddof=1) for d in range(first, 260)])
    third, two = np.percentile(volatility, [100 / 3, 200 / 3])
    up = np.array([level[d - 1] > level[d - 100 : d].mean() for d in range(first, 260)])
    assert (found["low volatility"] == (volatility <= third)).all()
    assert (found["high volatility"] == (volatility > two)).all()
    assert (found["trend up"] == up).all()
    assert (found["trend down"] == ~up).all()
    parts = [found[name].sum() for name in regimes.REGIMES]
    assert sum(parts[:3]) == 140
    assert min(parts) > 20


def test_a_days_own_bars_do_not_change_its_regime():
    bars = bars_of()
    days = np.unique(bars.index.as_unit("s").asi8 // 86_400)[:200]
    before = regimes.regimes_of_days(bars, days)
    moved = bars.frame("close")["S0"]
    moved.iloc[4 * 199 :] *= 3.0  # the last of the days, and all that come later
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), moved) | {"volume": 1.0})
    after = regimes.regimes_of_days(Bars.from_frame(frame, symbol="S0"), days)
    for name in regimes.REGIMES:
        assert (before[name] == after[name]).all()


def test_days_without_enough_before_them_are_in_no_regime():
    bars = bars_of(120)
    days = np.unique(bars.index.as_unit("s").asi8 // 86_400)
    found = regimes.regimes_of_days(bars, days)
    known = sum(found[name] for name in regimes.REGIMES[:3])
    assert known.tolist() == [0] * 31 + [1] * 89  # 30 returns need 31 closes
    trend = found["trend up"] | found["trend down"]
    assert trend.tolist() == [False] * 100 + [True] * 20


def test_figures_of_a_regime_against_pandas():
    rng = np.random.default_rng(1)
    own, hold = 0.01 * rng.standard_normal((2, 60))
    here = rng.random(60) < 0.5
    entry_day = np.array([0, 0, 7, 33, 59])
    table = regimes.by_regime({"some": here, "none": here & False}, own, hold, entry_day, 365)
    some, none = table.to_dict("records")
    chosen = pd.DataFrame({"own": own, "hold": hold})[here]
    assert some["days"] == here.sum()
    assert some["trades"] == sum(here[day] for day in entry_day)
    for name, column in (("total_return", "own"), ("hold_return", "hold")):
        assert some[name] == pytest.approx((1 + chosen[column]).prod() - 1)
    for name, column in (("sharpe", "own"), ("hold_sharpe", "hold")):
        assert some[name] == pytest.approx(chosen[column].mean() / chosen[column].std() * 365**0.5)
    assert (none["days"], none["trades"]) == (0, 0)
    assert np.isnan([none["total_return"], none["sharpe"]]).all()


def test_entries_by_the_clock():
    index = pd.date_range("2022-01-01", periods=40, freq="6h", tz="UTC")  # a Saturday
    trades = closed_trades((0, 3, 1.0), (4, 5, 2.0), (9, 12, -3.0), (9, 13, -1.0))
    trades["status"][0] = 0  # still open: counted, not averaged
    hours, weekdays = regimes.by_clock(trades, index)
    assert hours["hour"].tolist() == [0, 6, 12, 18]
    assert hours["trades"].tolist() == [2, 2, 0, 0]
    np.testing.assert_allclose(hours["mean_trade"], [0.02, -0.02, np.nan, np.nan])
    assert weekdays["weekday"].tolist() == list(regimes.WEEKDAYS)
    assert weekdays["trades"].tolist() == [2, 0, 0, 0, 0, 1, 1]
