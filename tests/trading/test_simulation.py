"""The kernel's rule: ledgers worked by hand, sizing, and what must hold for any signals."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnext_vbt.market.bars import Bars
from convnext_vbt.trading.brackets import Brackets, fixed_brackets
from convnext_vbt.trading.codes import REASONS
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.signals import LEVELS
from convnext_vbt.trading.simulation import Simulation, simulate_signals
from tests.examples import examples

from .markets import bars_of, random_bars, random_signals, signals_of

FREE = SimulationConfig(fees=0.0, slippage=0.0, risk=0.5, init_cash=1000.0)
COSTLY = SimulationConfig(fees=0.001, slippage=0.01, risk=0.5, init_cash=1000.0)
SEEDS = st.integers(0, 2**32 - 1)
few = examples(25)

FLAT = (100.0, 100.0, 100.0, 100.0)


def run(
    bars: Bars, config: SimulationConfig = FREE, size_type: str = "notional", **spec
) -> Simulation:
    brackets = fixed_brackets(
        bars, **{k: spec.pop(k) for k in ("stop", "take_profit", "max_holding") if k in spec}
    )
    return simulate_signals(
        bars, signals_of(len(bars), **spec), brackets, config=config, size_type=size_type
    )


def ledger(simulation: Simulation) -> list[tuple]:
    """(bar, side, size, price, fees) of every order, sizes to nine digits."""
    rows = simulation.orders[["idx", "side", "size", "price", "fees"]].tolist()
    return [
        (bar, ("buy", "sell")[side], *np.round((size, price, fee), 9))
        for bar, side, size, price, fee in rows
    ]


def reasons(simulation: Simulation) -> list[str]:
    return [REASONS[k] for k in simulation.trades["reason"]]


def test_five_bars_by_hand():
    # enter at 100 -> filled 101; stop 10 % below: 90.9; bar 2 falls through it: out at 90.9 x 0.99
    bars = bars_of(
        [FLAT, (100, 104, 99, 103), (103, 103, 88, 95), (80, 82, 79, 81), (81, 81, 81, 81)]
    )
    done = run(bars, COSTLY, stop=0.1, entries=[0], short_entries=[2])
    long_size = 500 / 101
    after = 1000 - 500 * 0.001 + long_size * (89.991 - 101) - long_size * 89.991 * 0.001
    short_size = 0.5 * after / 79.2
    assert ledger(done) == [
        (1, "buy", round(long_size, 9), 101.0, 0.5),
        (2, "sell", round(long_size, 9), 89.991, round(long_size * 89.991 * 0.001, 9)),
        (3, "sell", round(short_size, 9), 79.2, round(0.5 * after * 0.001, 9)),
    ]
    short_fee = 0.5 * after * 0.001
    assert done.equity[:, 0] == pytest.approx(
        [
            1000.0,
            1000 - 0.5 + long_size * (103 - 101),
            after,
            after - short_fee + short_size * (79.2 - 81),
            after - short_fee + short_size * (79.2 - 81),
        ],
        rel=1e-12,
    )
    assert done.position[:, 0] == pytest.approx([0, long_size, 0, -short_size, -short_size])
    assert reasons(done) == ["stop", "open"]
    open_trade = done.trades[1]
    assert (open_trade["status"], open_trade["exit_idx"], open_trade["exit_price"]) == (0, 4, 81.0)


def test_reversal_closes_and_opens_at_the_same_open():
    bars = bars_of([FLAT, (100, 101, 99, 100), (110, 111, 109, 110), FLAT, FLAT])
    done = run(bars, entries=[0], short_entries=[1], exits=[1])
    assert ledger(done) == [
        (1, "buy", 5.0, 100.0, 0.0),
        (2, "sell", 5.0, 110.0, 0.0),
        (2, "sell", round(525 / 110, 9), 110.0, 0.0),
    ]
    assert reasons(done) == ["reverse", "open"]


def test_gap_through_the_stop_fills_at_the_open_and_a_level_still_on_enters_there():
    bars = bars_of([FLAT, FLAT, (80, 81, 79, 80), (80, 80, 80, 80)])
    done = run(bars, stop=0.1, entries=[0, 1])
    assert ledger(done) == [
        (1, "buy", 5.0, 100.0, 0.0),
        (2, "sell", 5.0, 80.0, 0.0),
        (2, "buy", 5.625, 80.0, 0.0),
    ]
    assert reasons(done) == ["gap through stop", "open"]


def test_stop_comes_before_take_profit_from_the_entry_bar_on():
    wild = (100, 130, 70, 100)
    done = run(bars_of([FLAT, wild, FLAT]), stop=0.1, take_profit=0.2, entries=[0])
    assert [row[:4] for row in ledger(done)] == [(1, "buy", 5.0, 100.0), (1, "sell", 5.0, 90.0)]
    short = run(bars_of([FLAT, wild, FLAT]), stop=0.1, take_profit=0.2, short_entries=[0])
    assert [row[3] for row in ledger(short)] == [100.0, 110.0]
    assert reasons(done) == reasons(short) == ["stop"]


def test_take_profit_fills_at_its_level_or_at_a_better_open():
    rising = bars_of([FLAT, FLAT, (100, 125, 100, 120), (120, 120, 120, 120)])
    gapping = bars_of([FLAT, FLAT, (130, 131, 130, 130), (130, 130, 130, 130)])
    assert ledger(run(rising, take_profit=0.2, entries=[0]))[1][3] == 120.0
    assert ledger(run(gapping, take_profit=0.2, entries=[0]))[1][3] == 130.0
    assert (
        ledger(
            run(bars_of([FLAT, FLAT, (70, 71, 70, 70), FLAT]), take_profit=0.2, short_entries=[0])
        )[1][3]
        == 70.0
    )
    assert reasons(run(gapping, take_profit=0.2, entries=[0])) == ["take-profit"]


def test_after_a_stop_inside_a_bar_the_earliest_entry_is_the_next_open():
    dip = (100, 100, 85, 100)
    done = run(bars_of([FLAT, dip, FLAT, FLAT]), stop=0.1, entries=[0, 1])
    assert [(bar, side) for bar, side, *_ in ledger(done)] == [(1, "buy"), (1, "sell"), (2, "buy")]
    late = run(bars_of([FLAT, dip, FLAT, FLAT]), stop=0.1, entries=[0])
    assert len(late.orders) == 2


def test_max_holding_leaves_at_the_open_when_it_is_reached():
    done = run(bars_of([FLAT] * 7), max_holding=3, entries=[0])
    assert [bar for bar, *_ in ledger(done)] == [1, 4]
    assert reasons(done) == ["max holding"]


def test_max_holding_restarts_its_clock_while_the_side_is_still_signalled():
    # due at 4, where row 3 still signals: no order, the stop stays; due again at 7
    done = run(bars_of([FLAT] * 10), max_holding=3, entries=[0, 3])
    assert [bar for bar, *_ in ledger(done)] == [1, 7]
    early = run(bars_of([FLAT] * 10), max_holding=3, entries=[0, 2])
    assert [bar for bar, *_ in ledger(early)] == [1, 4]


def test_max_holding_counts_the_bars_that_a_gap_swallowed():
    rows = [FLAT, FLAT, None, FLAT, FLAT, FLAT]
    done = run(bars_of(rows), max_holding=3, entries=[0])
    assert [bar for bar, *_ in ledger(done)] == [1, 4]
    late = run(bars_of([FLAT, FLAT, None, None, None, FLAT]), max_holding=3, entries=[0])
    assert [bar for bar, *_ in ledger(late)] == [1, 5]  # the first open there is


def test_a_missing_bar_fills_nothing_and_a_signal_waits_for_the_symbols_next_bar():
    rows = [FLAT, FLAT, None, (90, 90, 90, 90), FLAT]
    late = run(bars_of(rows), entries=[1])
    assert [(bar, price) for bar, _, _, price, _ in ledger(late)] == [(3, 90.0)]
    assert len(run(bars_of(rows), entries=[2]).orders) == 0  # a row without a bar says nothing
    held = run(bars_of(rows), entries=[0], exits=[1], stop=0.05)
    assert [(bar, price) for bar, _, _, price, _ in ledger(held)] == [(1, 100.0), (3, 90.0)]
    assert held.equity[:, 0].tolist() == [1000.0, 1000.0, 1000.0, 950.0, 950.0]
    left = run(bars_of(rows), entries=[0], exits=[1])
    assert [(bar, price) for bar, _, _, price, _ in ledger(left)] == [(1, 100.0), (3, 90.0)]


def test_a_signal_on_the_last_bar_places_no_order():
    assert len(run(bars_of([FLAT] * 3), entries=[2]).orders) == 0


def test_an_entry_on_the_held_side_and_one_of_size_zero_place_no_order():
    assert len(run(bars_of([FLAT] * 5), entries=[0, 1, 2, 3]).orders) == 1
    assert len(run(bars_of([FLAT] * 5), entries=[0, 1], size=0.0).orders) == 0


@pytest.mark.parametrize(
    "levels",
    [
        {"entries": [0], "exits": [0]},
        {"entries": [0], "short_entries": [0]},
        {"short_entries": [0], "short_exits": [0]},
    ],
)
def test_contradicting_levels_do_nothing(levels):
    assert len(run(bars_of([FLAT] * 3), **levels).orders) == 0


def test_a_price_that_leaves_nothing_ends_the_account_inside_the_bar():
    config = replace(FREE, risk=1.0)
    rows = [FLAT, FLAT, (100, 210, 100, 110), FLAT, FLAT]
    done = run(bars_of(rows), config, short_entries=[0, 3], entries=[2])
    assert [(bar, price) for bar, _, _, price, _ in ledger(done)] == [(1, 100.0), (2, 200.0)]
    assert reasons(done) == ["bust"]
    assert done.equity[:, 0].tolist() == [1000.0, 1000.0, 0.0, 0.0, 0.0]


def test_a_gap_costs_no_more_than_there_is():
    config = replace(FREE, risk=1.0)
    done = run(bars_of([FLAT, FLAT, (1300,) * 4, FLAT]), config, short_entries=[0, 2])
    assert [(bar, price) for bar, _, _, price, _ in ledger(done)] == [(1, 100.0), (2, 200.0)]
    assert done.equity[:, 0].tolist() == [1000.0, 1000.0, 0.0, 0.0]


def test_closing_costs_bring_the_end_nearer_and_leave_exactly_nothing():
    config = replace(COSTLY, risk=1.0)
    done = run(bars_of([FLAT, FLAT, (100, 400, 100, 100)]), config, size_type="notional",
               short_entries=[0])  # fmt: skip
    ((_, _, units, sold, fee), (_, _, _, bought, back)) = ledger(done)
    assert done.equity[-1, 0] == 0.0
    assert 1000 - fee + units * (sold - bought) - back == pytest.approx(0, abs=1e-6)


def test_a_stop_that_comes_before_the_end_of_the_money_saves_the_rest():
    config = replace(FREE, risk=1.0)
    rows = [FLAT, FLAT, (100, 250, 100, 110), FLAT]
    done = run(bars_of(rows), config, short_entries=[0], stop=0.5, size_type="notional")
    assert reasons(done) == ["stop"]
    assert done.equity[-1, 0] == 500.0


def test_nothing_is_filled_in_a_bar_in_which_nobody_traded():
    bars = bars_of([FLAT, FLAT, (90, 90, 90, 90), (90, 90, 90, 90), FLAT, FLAT])
    volume = np.ones((6, 1))
    volume[2] = 0.0
    quiet = replace(bars, volume=volume)
    late = run(quiet, entries=[1])  # its signal lapses: the bar without trades says nothing more
    assert len(late.orders) == 0
    again = run(quiet, entries=[1, 2])
    assert [(bar, price) for bar, _, _, price, _ in ledger(again)] == [(3, 90.0)]
    held = run(quiet, entries=[0], stop=0.05)
    assert [(bar, price) for bar, _, _, price, _ in ledger(held)] == [(1, 100.0), (3, 90.0)]
    assert reasons(held) == ["gap through stop"]
    unknown = replace(bars, volume=np.zeros((6, 1)))  # no volume is known of this market
    assert [bar for bar, *_ in ledger(run(unknown, entries=[1]))] == [2]
    moved = replace(quiet, high=np.where(volume == 0, 95.0, quiet.high))
    assert [bar for bar, *_ in ledger(run(moved, entries=[1]))] == [2]  # traded, volume unknown


def test_a_stop_closer_than_the_slippage_fills_at_the_entry_bars_open():
    done = run(bars_of([FLAT, FLAT, FLAT]), COSTLY, stop=0.001, entries=[0])
    assert [price for _, _, _, price, _ in ledger(done)] == [101.0, 99.0]


@pytest.mark.parametrize("side", ["entries", "short_entries"])
@pytest.mark.parametrize(("fees", "slippage"), [(0.0, 0.0), (0.001, 0.0), (0.001, 0.0005)])
def test_the_piggy_bank_keeps_98_percent_to_the_tenth_power(side, fees, slippage):
    """Ten stop-outs in a row at 2 %: 81.7 of 100 are left, all costs included."""
    wild = (100.0, 110.0, 90.0, 100.0)
    config = SimulationConfig(risk=0.02, fees=fees, slippage=slippage, init_cash=100.0)
    done = run(
        bars_of([FLAT] + [wild] * 10 + [FLAT]), config, "risk", stop=0.03, **{side: list(range(10))}
    )
    assert reasons(done) == ["stop"] * 10
    assert done.equity[-1, 0] == pytest.approx(100 * 0.98**10, rel=1e-9)
    assert done.trades["pnl"] == pytest.approx(-0.02 * 100 * 0.98 ** np.arange(10), rel=1e-9)
    assert not done.trades["capped"].any()


def test_a_long_stop_that_no_price_can_reach_risks_all_that_it_is_worth():
    config = SimulationConfig(risk=0.02, fees=0.001, slippage=0.0, init_cash=100.0)
    far = np.full((3, 1), 1.5)
    none = np.full((3, 1), np.nan)
    brackets = Brackets(
        stop_long=far, stop_short=far, take_profit_long=none, take_profit_short=none
    )
    rows = [FLAT, (100.0, 100.0, 0.01, 0.01), (0.01, 0.01, 0.01, 0.01)]
    done = simulate_signals(bars_of(rows), signals_of(3, entries=[0]), brackets, config=config)
    assert done.trades["status"].tolist() == [0]  # never stopped
    assert done.trades["size"][0] * 100.0 == pytest.approx(2.0 / 1.001, rel=1e-12)
    assert done.equity[-1, 0] == pytest.approx(98.0, abs=1e-3)


def test_half_the_confidence_risks_half_the_money():
    wild = (100.0, 110.0, 90.0, 100.0)
    done = run(
        bars_of([FLAT, wild, FLAT]),
        replace(COSTLY, risk=0.02),
        "risk",
        stop=0.03,
        entries=[0],
        size=0.5,
    )
    assert done.equity[-1, 0] == pytest.approx(990.0, rel=1e-12)


@pytest.mark.parametrize(
    ("side", "leverage", "notional"),
    [
        ("entries", 1.0, 1000 / 1.001),
        ("entries", 2.0, 2000 / 1.001),
        ("short_entries", 1.0, 1000.0),
        ("short_entries", 2.0, 2000.0),
    ],
)
def test_no_position_is_larger_than_the_leverage_allows(side, leverage, notional):
    config = replace(COSTLY, risk=0.9, max_leverage=leverage)
    done = run(bars_of([FLAT] * 3), config, "risk", stop=0.03, **{side: [0]})
    assert done.trades["size"][0] * done.trades["entry_price"][0] == pytest.approx(
        notional, rel=1e-12
    )
    assert done.trades["capped"][0]


def test_sizing_by_value_does_not_compound():
    rows = [FLAT, FLAT, (100, 100, 50, 50), (50, 50, 50, 50), (50, 50, 50, 50)]
    levels = {"entries": [0, 2], "exits": [1]}
    by_value = run(bars_of(rows), replace(FREE, risk=0.4), "value", **levels, stop=0.5)
    by_notional = run(bars_of(rows), replace(FREE, risk=0.4), "notional", **levels, stop=0.5)
    assert by_value.trades["size"].tolist() == [4.0, 8.0]
    assert by_notional.trades["size"].tolist() == [4.0, 8.0]  # the first trade ended level
    rows[2] = (50, 50, 50, 50)
    assert run(bars_of(rows), replace(FREE, risk=0.4), "value", **levels).trades[
        "size"
    ].tolist() == [4.0, 8.0]
    assert run(bars_of(rows), replace(FREE, risk=0.4), "notional", **levels).trades[
        "size"
    ].tolist() == [4.0, 6.4]


def random_run(
    seed: int, *, config: SimulationConfig = FREE, size_type: str = "value", **more
) -> Simulation:
    bars = random_bars(num_bars=200, seed=seed, symbols=("A", "B"), missing=0.05)
    signals = random_signals(num_bars=200, num_rules=3, seed=seed, symbols=("A", "B"))
    brackets = fixed_brackets(bars, stop=0.02, take_profit=0.03, max_holding=12)
    return simulate_signals(bars, signals, brackets, config=config, size_type=size_type, **more)


@few
@given(SEEDS)
def test_final_equity_is_initial_cash_and_the_trades_profits(seed):
    for size_type in ("value", "notional", "risk"):
        done = random_run(seed, config=replace(COSTLY, risk=0.02), size_type=size_type)
        assert done.equity.shape == (200, 3)
        for a in range(3):
            pnl = done.trades["pnl"][done.account[done.trades["col"]] == a].sum()
            assert done.equity[-1, a] == pytest.approx(1000 + pnl, rel=1e-12)


@few
@given(SEEDS)
def test_a_flat_price_without_costs_earns_exactly_nothing(seed):
    bars = bars_of([(97.3,) * 4] * 100)
    signals = random_signals(num_bars=100, num_rules=5, seed=seed)
    brackets = fixed_brackets(bars, stop=0.02, take_profit=0.03, max_holding=5)
    done = simulate_signals(bars, signals, brackets, config=FREE, size_type="notional")
    assert len(done.orders) > 5
    assert (done.equity == 1000.0).all()
    assert (done.trades["pnl"] == 0.0).all()


@few
@given(SEEDS)
def test_doubling_the_fees_never_helps(seed):
    config = SimulationConfig(risk=0.2, fees=0.001, slippage=0.0005)
    cheap = random_run(seed, config=config)
    dear = random_run(seed, config=replace(config, fees=0.002))
    assert (dear.equity <= cheap.equity).all()
    assert (dear.equity[-1] < cheap.equity[-1]).all()


@few
@given(SEEDS, st.sampled_from([True, False]))
def test_one_trade_mirrors_when_prices_are_reflected_about_its_fill(seed, with_brackets):
    """A long on p and a short on 2 p_fill - p: same bars, reasons and profits, without costs."""
    bars = random_bars(num_bars=60, seed=seed)
    fill = bars.open[1, 0]
    mirrored = Bars(
        index=bars.index, symbols=bars.symbols, step=bars.step, volume=bars.volume,
        open=2 * fill - bars.open, high=2 * fill - bars.low,
        low=2 * fill - bars.high, close=2 * fill - bars.close,
    )  # fmt: skip
    levels = {"stop": 0.03, "take_profit": 0.04, "max_holding": 40} if with_brackets else {}
    size_type = "risk" if with_brackets else "notional"
    long = run(bars, FREE, size_type, entries=[0], exits=[50], **levels)
    short = run(mirrored, FREE, size_type, short_entries=[0], short_exits=[50], **levels)
    for name in ("entry_idx", "exit_idx", "reason"):
        assert long.trades[name].tolist() == short.trades[name].tolist()
    assert long.trades["pnl"] == pytest.approx(short.trades["pnl"], rel=1e-9)
    assert long.equity == pytest.approx(short.equity, rel=1e-9)


@few
@given(SEEDS)
def test_many_trades_mirror_unit_by_unit(seed):
    """Signals with the sides exchanged on 2 m - p earn the same per unit held, without stops."""
    bars = random_bars(num_bars=100, seed=seed)
    mirrored = Bars(
        index=bars.index, symbols=bars.symbols, step=bars.step, volume=bars.volume,
        open=400 - bars.open, high=400 - bars.low, low=400 - bars.high, close=400 - bars.close,
    )  # fmt: skip
    signals = random_signals(num_bars=100, num_rules=3, seed=seed)
    exchanged = replace(
        signals,
        entries=signals.short_entries, exits=signals.short_exits,
        short_entries=signals.entries, short_exits=signals.exits,
    )  # fmt: skip
    here = simulate_signals(bars, signals, fixed_brackets(bars), config=FREE, size_type="value")
    there = simulate_signals(
        mirrored, exchanged, fixed_brackets(mirrored), config=FREE, size_type="value"
    )
    assert here.trades["direction"].tolist() == (1 - there.trades["direction"]).tolist()
    assert here.trades["exit_idx"].tolist() == there.trades["exit_idx"].tolist()
    per_unit = [done.trades["pnl"] / done.trades["size"] for done in (here, there)]
    assert per_unit[0] == pytest.approx(per_unit[1], rel=1e-9, abs=1e-9)


@few
@given(SEEDS, st.integers(1, 198))
def test_changing_bars_after_t_and_signals_from_t_on_changes_no_order_up_to_t(seed, t):
    bars = random_bars(num_bars=200, seed=seed)
    other_bars = random_bars(num_bars=200, seed=seed + 1, volatility=0.03)
    signals = random_signals(num_bars=200, num_rules=4, seed=seed)
    other_signals = random_signals(num_bars=200, num_rules=4, seed=seed + 1, density=0.5)

    def spliced(first, second, names, row):
        joined = {
            name: np.concatenate([getattr(first, name)[:row], getattr(second, name)[row:]])
            for name in names
        }
        return replace(first, **joined)

    changed_bars = spliced(bars, other_bars, ("open", "high", "low", "close"), t + 1)
    # what is said at the close of t can be acted on at t + 1 at the earliest
    changed_signals = spliced(signals, other_signals, (*LEVELS, "size"), t)
    stops = np.abs(np.random.default_rng(seed).normal(0.02, 0.01, (200, 1))) + 1e-3
    changed_stops = stops.copy()
    changed_stops[t:] *= 3
    results = []
    for these_bars, these_signals, stop in (
        (bars, signals, stops),
        (changed_bars, changed_signals, changed_stops),
    ):
        brackets = Brackets(
            stop_long=stop,
            stop_short=stop,
            take_profit_long=stop,
            take_profit_short=stop,
            max_holding=9,
        )
        done = simulate_signals(
            these_bars, these_signals, brackets, config=COSTLY, size_type="risk"
        )
        past = done.orders[done.orders["idx"] <= t]
        results.append(
            (past.tobytes(), done.equity[: t + 1].tobytes(), done.position[: t + 1].tobytes())
        )
        assert len(past) or t < 20
    assert results[0] == results[1]


@few
@given(SEEDS)
def test_max_holding_ends_only_what_is_no_longer_signalled(seed):
    bars = random_bars(num_bars=200, seed=seed)
    signals = random_signals(num_bars=200, num_rules=3, seed=seed)
    done = simulate_signals(
        bars, signals, fixed_brackets(bars, max_holding=6), config=FREE, size_type="value"
    )
    ended = done.trades[done.trades["reason"] == REASONS.index("max holding")]
    assert len(ended) > 3
    for trade in ended:
        level = (signals.entries, signals.short_entries)[trade["direction"]][:, trade["col"]]
        leave = (signals.exits, signals.short_exits)[trade["direction"]][:, trade["col"]]
        row = trade["exit_idx"] - 1
        assert (
            not level[row]
            or leave[row]
            or (signals.entries & signals.short_entries)[row, trade["col"]]
        )
        assert (trade["exit_idx"] - trade["entry_idx"]) % 6 == 0


def test_frames_speak_in_words():
    done = run(bars_of([FLAT, FLAT, (80, 81, 79, 80), FLAT]), stop=0.1, entries=[0])
    orders, trades = done.orders_frame(), done.trades_frame()
    assert orders["side"].tolist() == ["Buy", "Sell"]
    assert orders["symbol"].tolist() == ["A", "A"]
    assert orders["timestamp"].tolist() == [done.index[1], done.index[2]]
    row = trades.iloc[0]
    assert (row["direction"], row["status"], row["reason"]) == (
        "Long",
        "Closed",
        "gap through stop",
    )
    assert row["return"] == pytest.approx(-0.2)


def test_what_does_not_belong_together_is_refused():
    bars = bars_of([FLAT] * 4)
    none = fixed_brackets(bars)
    unstaked = signals_of(4, entries=[1], short_entries=[2], size=0.0)
    assert not len(simulate_signals(bars, unstaked, none).orders)
    with pytest.raises(ValueError, match=r"2 entries have no stop \(first at 2024-01-01 01:00"):
        simulate_signals(bars, signals_of(4, entries=[1, 2]), none)
    with pytest.raises(ValueError, match="signals cover 5 bars"):
        simulate_signals(bars, signals_of(5, entries=[1]), none, size_type="notional")
    with pytest.raises(ValueError, match=r"signals of \['Z'\]"):
        simulate_signals(bars, signals_of(4, symbols=("Z",)), none)
    with pytest.raises(ValueError, match="size_type must be one of"):
        simulate_signals(bars, signals_of(4), none, size_type="percent")
    with pytest.raises(ValueError, match="brackets have shape"):
        simulate_signals(bars, signals_of(4), none.rows(0, 2))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("risk", 0.0, r"risk must lie in \(0, 1\], got 0"),
        ("fees", -0.1, r"fees must lie in \[0, 0.5\), got -0.1"),
        ("slippage", 0.7, "slippage must lie in"),
        ("max_leverage", 0.0, "max_leverage must be positive"),
        ("init_cash", float("inf"), "init_cash must be positive and finite"),
    ],
)
def test_config_refuses(field, value, message):
    with pytest.raises(ValueError, match=message):
        SimulationConfig(**{field: value})
