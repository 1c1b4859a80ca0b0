"""Our orders against vectorbt's: its portfolio, its loop, and that loop with three rows a bar."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import vectorbt as vbt
from hypothesis import given
from hypothesis import strategies as st
from vectorbt.portfolio.enums import order_dt

from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions
from convnext_vbt.trading.brackets import Brackets, fixed_brackets
from convnext_vbt.trading.codes import REASONS
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.instruments import Instrument
from convnext_vbt.trading.portfolio import simulate, to_portfolio
from convnext_vbt.trading.records import ORDER_DTYPE
from convnext_vbt.trading.signals import Signals
from convnext_vbt.trading.simulation import simulate_signals
from convnext_vbt.trading.sweep import sweep
from tests.examples import examples

from .markets import bars_of, random_bars, random_signals, signals_of

CONFIG = SimulationConfig(risk=0.3, fees=0.001, slippage=0.0005)
FLAT = (100.0, 100.0, 100.0, 100.0)


def three_rows_a_bar(bars: Bars, signals: Signals, brackets: Brackets) -> np.ndarray:
    """vectorbt's own loop over (open, open, bar): exits on the first, entries on the second.

    Three chances to trade a bar, so nothing is lost; one symbol, sizes by value.
    """
    num_bars, num_columns = signals.size.shape
    prices = {name: np.repeat(bars.open, 3, axis=0) for name in ("open", "high", "low", "close")}
    for name, values in prices.items():
        values[2::3] = getattr(bars, name)
    long_clash = signals.entries & signals.exits
    short_clash = signals.short_entries & signals.short_exits
    both = signals.entries & ~long_clash & signals.short_entries & ~short_clash
    enter_long, enter_short = (
        signals.entries & ~long_clash & ~both,
        signals.short_entries & ~short_clash & ~both,
    )

    def on_row(values: np.ndarray, row: int, blank: object) -> np.ndarray:
        """Row t of the rule at row `row` of bar t + 1."""
        out = np.full((3 * num_bars, num_columns), blank)
        out[3 + row :: 3] = values[:-1]
        return out

    fill = np.roll(bars.open, -1, axis=0) * np.where(
        enter_short, 1 - CONFIG.slippage, 1 + CONFIG.slippage
    )
    stop = np.where(enter_short, brackets.stop_short, brackets.stop_long)
    profit = np.where(enter_short, brackets.take_profit_short, brackets.take_profit_long)
    index = pd.RangeIndex(3 * num_bars)
    portfolio = vbt.Portfolio.from_signals(
        pd.DataFrame(np.repeat(prices["close"], num_columns, axis=1), index=index),
        entries=on_row(enter_long, 1, False),
        exits=on_row((signals.exits & ~long_clash) | enter_short, 0, False),
        short_entries=on_row(enter_short, 1, False),
        short_exits=on_row((signals.short_exits & ~short_clash) | enter_long, 0, False),
        size=on_row(CONFIG.risk * signals.size * CONFIG.init_cash / fill, 1, 0.0),
        size_type="amount",
        open=prices["open"], high=prices["high"], low=prices["low"],
        sl_stop=on_row(stop, 1, np.nan),
        tp_stop=on_row(profit, 1, np.nan),
        stop_entry_price="fillprice", stop_exit_price="stopmarket",
        accumulate=False, fees=CONFIG.fees, slippage=CONFIG.slippage, init_cash=CONFIG.init_cash,
        freq="1h",
    )  # fmt: skip
    return portfolio.orders.values


def random_brackets(bars: Bars, seed: int) -> Brackets:
    rng = np.random.default_rng(seed)
    names = ("stop_long", "stop_short", "take_profit_long", "take_profit_short")
    values = {name: rng.uniform(0.0003, 0.04, bars.close.shape) for name in names}
    for distances in values.values():
        distances[rng.random(bars.close.shape) < 0.1] = np.nan
    return Brackets(**values)


@examples(15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.03, 0.1, 0.3]))
def test_every_order_is_that_of_vectorbt_with_three_rows_a_bar(seed, density):
    bars = random_bars(num_bars=250, seed=seed)
    signals = random_signals(num_bars=250, num_rules=12, seed=seed, density=density)
    brackets = random_brackets(bars, seed)
    ours = simulate_signals(bars, signals, brackets, config=CONFIG, size_type="value")
    theirs = three_rows_a_bar(bars, signals, brackets)
    assert len(ours.orders) == len(theirs) > 100
    assert ours.orders["idx"].tolist() == (theirs["idx"] // 3).tolist()
    for name in ("col", "side"):
        assert ours.orders[name].tolist() == theirs[name].tolist()
    for name in ("size", "price", "fees"):
        assert ours.orders[name] == pytest.approx(theirs[name], rel=1e-12)


def test_the_random_markets_reach_every_way_out_that_vectorbt_knows():
    bars = random_bars(num_bars=250, seed=3)
    signals = random_signals(num_bars=250, num_rules=12, seed=3)
    done = simulate_signals(
        bars, signals, random_brackets(bars, 3), config=CONFIG, size_type="value"
    )
    seen = {REASONS[k] for k in done.trades["reason"]}
    assert seen >= {"signal", "reverse", "stop", "gap through stop", "take-profit"}
    same_bar = np.diff(done.orders["idx"]) == 0
    assert same_bar.sum() > 50


@pytest.mark.parametrize("with_stops", [True, False])
def test_vectorbts_own_loop_agrees_where_no_bar_needs_two_orders(with_stops):
    bars = random_bars(num_bars=400, seed=5, gaps=0.0)
    both = random_signals(num_bars=400, num_rules=200, seed=5, density=0.02)
    long_only = np.arange(200) % 2 == 0  # a reversal needs two orders, so half the rules never sell
    signals = replace(
        both, entries=both.entries & long_only, short_entries=both.short_entries & ~long_only
    )
    brackets = (
        fixed_brackets(bars, stop=0.03, take_profit=0.05) if with_stops else fixed_brackets(bars)
    )
    ours = simulate_signals(bars, signals, brackets, config=CONFIG, size_type="value")
    theirs = simulate(
        bars,
        signals,
        stop=brackets,
        risk=0.3,
        fees=0.001,
        slippage=0.0005,
        size_type="value",
        engine="vectorbt",
    ).orders.values
    compared = 0
    for c in range(200):
        orders, trades = ours.orders[ours.orders["col"] == c], ours.trades[ours.trades["col"] == c]
        inside = np.zeros(
            len(orders), dtype=bool
        )  # brackets fill inside their bar, signals at its open
        inside[1::2] = np.isin(
            trades["reason"][trades["status"] == 1],
            [REASONS.index("stop"), REASONS.index("take-profit")],
        )
        row = orders["idx"] - ~inside  # vectorbt stamps a next-open fill with the signal's bar
        if len(np.unique(row)) < len(row):
            continue
        other = theirs[theirs["col"] == c]
        assert row.tolist() == other["idx"].tolist()
        assert orders["side"].tolist() == other["side"].tolist()
        for name in ("size", "price", "fees"):
            assert orders[name] == pytest.approx(other[name], rel=1e-12)
        compared += len(orders)
    assert compared > 400


@pytest.mark.parametrize("side", ["entries", "short_entries"])
def test_an_open_beyond_the_take_profit_is_taken_by_vectorbt_too(side):
    beyond = (110.0, 112.0, 90.0, 108.0) if side == "entries" else (90.0, 110.0, 88.0, 92.0)
    bars = bars_of([FLAT, FLAT, beyond, FLAT, FLAT])
    given = {"stop": 0.05, "take_profit": 0.05, "risk": 1.0, "size_type": "value", "fees": 0.0,
             "slippage": 0.0}  # fmt: skip
    for engine in ("exact", "vectorbt"):
        portfolio = simulate(bars, signals_of(5, **{side: [0]}), engine=engine, **given)
        assert portfolio.orders.values["price"].tolist() == [100.0, beyond[0]]
        assert portfolio.orders.values["idx"][1] == 2


@examples(15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2]))
def test_vectorbts_own_loop_agrees_across_gaps_until_a_bar_needs_two_orders(seed, num_symbols):
    symbols = ("A", "B")[:num_symbols]
    bars = random_bars(num_bars=200, seed=seed, gaps=0.03, volatility=0.03, symbols=symbols)
    both = random_signals(num_bars=200, num_rules=24, seed=seed, density=0.03, symbols=symbols)
    long_only = np.arange(24 * num_symbols) % 4 < 2  # a reversal needs two orders
    nothing = np.zeros_like(both.exits)
    signals = replace(
        both,
        entries=both.entries & long_only,
        short_entries=both.short_entries & ~long_only,
        exits=nothing,  # an exit signal where the next open is a gap is the same fill on two rows
        short_exits=nothing,
    )
    given = {"risk": 0.01, "fees": 0.001, "slippage": 0.0005, "size_type": "value"}
    brackets = fixed_brackets(bars, stop=0.02, take_profit=0.02)
    done = simulate_signals(
        bars, signals, brackets, size_type="value",
        config=SimulationConfig(risk=0.01, fees=0.001, slippage=0.0005),
    )  # fmt: skip
    theirs = simulate(bars, signals, stop=brackets, engine="vectorbt", **given).orders.values
    compared = 0
    for c in range(len(signals.columns)):
        orders, other = done.orders[done.orders["col"] == c], theirs[theirs["col"] == c]
        row = orders["idx"].copy()
        row[0::2] -= 1  # vectorbt stamps a next-open fill with the signal's bar
        clash = np.flatnonzero(np.diff(row) <= 0)  # an entry at the open that a gap has left
        agreed = int(clash[0]) if len(clash) else len(row)
        assert row[:agreed].tolist() == other["idx"][:agreed].tolist()
        for name in ("side", "size", "price", "fees"):
            assert orders[name][:agreed] == pytest.approx(other[name][:agreed], rel=1e-12)
        compared += agreed
    assert compared > 100


def test_our_order_records_are_vectorbts():
    assert {name: order_dt[name] for name in order_dt.names} == {
        name: ORDER_DTYPE[name] for name in ORDER_DTYPE.names if name != "slippage"
    }


def test_the_native_portfolio_says_what_the_simulation_says():
    symbols = ("A", "B")
    bars = random_bars(num_bars=500, seed=1, symbols=symbols, missing=0.05)
    signals = random_signals(num_bars=500, num_rules=3, seed=1, symbols=symbols)
    done = simulate_signals(
        bars,
        signals,
        fixed_brackets(bars, stop=0.03, max_holding=10),
        config=CONFIG,
        size_type="notional",
    )
    portfolio = to_portfolio(done, bars)
    assert isinstance(portfolio, vbt.Portfolio)
    assert portfolio.wrapper.columns.equals(signals.columns)
    assert portfolio.value(group_by=False).to_numpy() == pytest.approx(done.value, rel=1e-12)
    assert portfolio.value().to_numpy() == pytest.approx(done.equity, rel=1e-12)
    assert portfolio.assets().to_numpy() == pytest.approx(done.position, abs=1e-9)
    assert portfolio.total_return().to_numpy() == pytest.approx(
        done.equity[-1] / 10_000 - 1, abs=1e-12
    )
    theirs = portfolio.trades.values
    assert len(theirs) == len(done.trades)
    for name in ("col", "entry_idx", "exit_idx", "direction", "status"):
        assert theirs[name].tolist() == done.trades[name].tolist()
    for name in ("size", "entry_price", "exit_price", "entry_fees", "exit_fees", "pnl", "return"):
        assert theirs[name] == pytest.approx(done.trades[name], rel=1e-9, abs=1e-9)


def test_simulate_is_the_kernel_behind_a_portfolio():
    bars = random_bars(num_bars=300, seed=2)
    signals = random_signals(num_bars=300, num_rules=2, seed=2)
    stop = pd.DataFrame(0.03, index=bars.index, columns=["A"])
    portfolio = simulate(bars, signals, risk=0.02, stop=stop, take_profit=0.05, max_holding=20)
    brackets = fixed_brackets(bars, stop=0.03, take_profit=0.05, max_holding=20)
    done = simulate_signals(bars, signals, brackets, config=SimulationConfig(risk=0.02))
    theirs = portfolio.orders.values
    assert theirs.tolist() == done.orders[list(theirs.dtype.names)].tolist()


def test_what_cannot_be_done_is_refused():
    bars = bars_of([FLAT] * 4)
    signals = signals_of(4, entries=[1])
    with pytest.raises(ValueError, match="1 entries have no stop"):
        simulate(bars, signals)
    with pytest.raises(ValueError, match=r"cannot size on equity .*use size_type='value'"):
        simulate(bars, signals, size_type="notional", engine="vectorbt")
    with pytest.raises(ValueError, match="knows no max_holding, got 5"):
        simulate(bars, signals, size_type="value", max_holding=5, engine="vectorbt")
    with pytest.raises(ValueError, match="got max_leverage=2"):
        simulate(bars, signals, size_type="value", max_leverage=2.0, engine="vectorbt")
    with pytest.raises(ValueError, match="engine must be one of"):
        simulate(bars, signals, stop=0.1, engine="rust")
    with pytest.raises(ValueError, match="Brackets hold take_profit and max_holding"):
        simulate(bars, signals, stop=fixed_brackets(bars, stop=0.1), take_profit=0.2)
    done = simulate_signals(bars, signals, fixed_brackets(bars, stop=0.1))
    with pytest.raises(ValueError, match="pass the bars that were simulated"):
        to_portfolio(done, bars.rows(0, 3))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trail", "close"),
        ("break_even", 1.0),
        ("take_profit_ladder", ((1.0, 0.5),)),
        ("leave_at", "15:55"),
        ("limit_offset", 0.001),
        ("instruments", {"A": Instrument(lot=1.0)}),
    ],
)
def test_vectorbts_engine_is_not_asked_for_what_it_has_not(name, value):
    bars, signals = bars_of([FLAT] * 4), signals_of(4, entries=[1])
    with pytest.raises(ValueError, match=rf"engine='vectorbt' knows no {name}, got .*exact"):
        simulate(
            bars, signals, size_type="value", take_profit=0.1, engine="vectorbt", **{name: value}
        )


def on_market(name: str) -> Bars:
    """Two years of an always-open market by the hour, and of one with sessions by hour and day."""
    index = pd.date_range("2022-01-03", "2023-12-29 23:00", freq="h", tz="UTC")
    if name == "sessions":
        index = index[(index.day_of_week < 5) & (index.hour >= 14) & (index.hour <= 20)]
    if name == "days":
        index = index[(index.day_of_week < 5) & (index.hour == 0)]
    bars = random_bars(num_bars=len(index), seed=7, volatility=0.004)
    step = pd.Timedelta(days=1) if name == "days" else bars.step
    return replace(bars, index=index, step=step, days_per_year=0)


@pytest.mark.parametrize("name", ["always open", "sessions", "days"])
def test_the_portfolios_own_figures_are_annualised_by_the_markets_year(name, monkeypatch):
    bars = on_market(name)
    assert bars.days_per_year == (365 if name == "always open" else 252)
    wave = pd.DataFrame(0.2 * np.sin(np.arange(len(bars)) / 5)[:, None], bars.index, ["A"])
    preds = Predictions.from_frames(prob_up=0.4 + wave, prob_down=0.4 - wave)
    result = sweep(bars, preds, threshold=0.5, risk=0.01, stop=0.02)
    row, portfolio = result.metrics.iloc[0], result.portfolio(threshold=0.5, risk=0.01)
    before = copy.deepcopy(dict(vbt.settings["returns"]))
    said, told = portfolio.stats(), portfolio.returns_stats()
    assert portfolio.annualized_return() == pytest.approx(row["cagr"], rel=1e-9)
    for one in (portfolio.calmar_ratio(), said["Calmar Ratio"]):
        assert one == pytest.approx(row["calmar"], rel=1e-9)
    assert told["Annualized Return [%]"] == pytest.approx(100 * row["cagr"], rel=1e-9)
    # by bar, and ours by UTC day with an exchange's usual 252 of them (here there are 261)
    equity = result.simulation(threshold=0.5, risk=0.01).equity[:, 0]
    returns = equity / np.r_[10_000.0, equity[:-1]] - 1
    sharpe = returns.mean() / returns.std(ddof=1) * np.sqrt(len(bars) / bars.years)
    for one in (portfolio.sharpe_ratio(), said["Sharpe Ratio"], told["Sharpe Ratio"]):
        assert one == pytest.approx(sharpe, rel=1e-9)
        assert one == pytest.approx(row["sharpe"], rel=0.02 if name == "days" else 0.15)
    if name == "always open":
        assert portfolio.year_freq == pd.Timedelta(days=365)
    full = sharpe * np.sqrt(pd.Timedelta(days=365) / portfolio.year_freq)
    assert portfolio.sharpe_ratio(year_freq="365 days") == pytest.approx(full, rel=1e-9)
    given = portfolio.stats(settings={"year_freq": "365 days"})["Sharpe Ratio"]
    assert given == pytest.approx(full, rel=1e-9)
    assert dict(vbt.settings["returns"]) == before
    monkeypatch.setitem(vbt.settings["returns"], "year_freq", "100 days")
    hundred = full * np.sqrt(100 / 365)
    fresh = result.portfolio(threshold=0.5, risk=0.01)  # vectorbt keeps what it has said
    for one in (fresh.sharpe_ratio(), fresh.stats()["Sharpe Ratio"]):
        assert one == pytest.approx(hundred, rel=1e-9)
