"""Many symbols on one account: a ledger by hand, a plain oracle, vectorbt, and funding."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import vectorbt as vbt
from hypothesis import given
from hypothesis import strategies as st

from convnext_vbt.evidence.accounts import Account
from convnext_vbt.evidence.returns import bars_held
from convnext_vbt.market.bars import FIELDS, Bars
from convnext_vbt.trading.brackets import Brackets, fixed_brackets
from convnext_vbt.trading.codes import REASONS
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.portfolio import orders_with_funding, simulate, to_portfolio
from convnext_vbt.trading.signals import LEVELS, Signals
from convnext_vbt.trading.simulation import Simulation, simulate_signals
from tests.examples import examples

from .account_oracle import read
from .markets import bars_of, hours, random_bars, random_signals, signals_of

SEEDS = st.integers(0, 2**32 - 1)
few = examples(20)
FEES = SimulationConfig(fees=0.001, slippage=0.0, risk=0.8, init_cash=1000.0)
FREE = SimulationConfig(fees=0.0, slippage=0.0, risk=0.02, init_cash=1000.0)
COSTLY = SimulationConfig(fees=0.001, slippage=0.002, risk=0.02, init_cash=1000.0)


def flat(price):
    return (float(price),) * 4


def panel_of(**rows) -> Bars:
    """Bars from (open, high, low, close) rows by symbol; None is a missing bar."""
    parts = [replace(bars_of(table), symbols=(name,)) for name, table in rows.items()]
    return Bars(
        index=parts[0].index, symbols=tuple(rows), step=parts[0].step,
        **{field: np.hstack([getattr(part, field) for part in parts]) for field in FIELDS},
    )  # fmt: skip


def said(num_bars: int, **by_symbol) -> Signals:
    """One rule: A={"entries": [0]}, ..."""
    parts = [signals_of(num_bars, (name,), **levels) for name, levels in by_symbol.items()]
    columns = pd.MultiIndex.from_arrays([list(by_symbol)], names=["symbol"])
    arrays = {k: np.hstack([getattr(part, k) for part in parts]) for k in (*LEVELS, "size")}
    return Signals(index=hours(num_bars), columns=columns, **arrays)


def ledger(done: Simulation, column: int) -> list[tuple]:
    orders = done.orders[done.orders["col"] == column]
    rows = orders[["idx", "side", "size", "price", "fees"]].tolist()
    return [(i, ("buy", "sell")[s], *np.round((u, p, f), 9)) for i, s, u, p, f in rows]


def reasons(done: Simulation) -> list[str]:
    return [REASONS[k] for k in done.trades["reason"]]


def random_market(seed: int, symbols=("A", "B", "C"), num_bars: int = 250, **more):
    """Gaps, a symbol that comes late, one that is delisted, funding now and then."""
    rng = np.random.default_rng(seed)
    bars = random_bars(num_bars=num_bars, seed=seed, symbols=symbols, missing=0.05)
    gone = ~bars.present
    if len(symbols) > 1:
        gone[: num_bars // 3, 0] = True
        gone[-num_bars // 4 :, 1] = True
    fields = {field: np.where(gone, np.nan, getattr(bars, field)) for field in FIELDS}
    due = rng.random(gone.shape) < 0.2
    funding = np.where(due, rng.normal(0, 0.002, gone.shape), np.nan)
    bars = replace(bars, funding=funding, **fields)
    signals = random_signals(num_bars=num_bars, num_rules=1, seed=seed, symbols=symbols, **more)
    width = rng.uniform(0.01, 0.04, (4, *gone.shape))
    brackets = Brackets(
        stop_long=width[0], stop_short=width[1], take_profit_long=width[2],
        take_profit_short=width[3], max_holding=int(rng.integers(3, 20)),
    )  # fmt: skip
    return bars, signals, brackets


def test_five_bars_of_two_symbols_by_hand():
    # A is delisted at bar 4, the first that it has not: at bar 3 nobody knew.
    bars = panel_of(
        A=[flat(100), (100, 104, 100, 104), flat(104), (110, 110, 108, 108), None],
        B=[flat(50), (50, 50, 49, 49), flat(49), (48, 48, 47.5, 47.5), (47.5, 47.5, 47, 47)],
    )
    signals = said(5, A={"entries": [0]}, B={"short_entries": [0, 2], "short_exits": [1]})
    done = simulate_signals(bars, signals, fixed_brackets(bars), config=FEES, size_type="notional")
    # both want 800 of 1000; the long pays its fee from the same money: one factor for both
    money = 800 * 1000 / (800 * 1.001 + 800)
    a, b = money / 100, money / 50
    paid = 2 * 0.001 * money
    closed = 1000 - paid + b * 1 - 0.001 * b * 49  # B: short at 50, back at 49
    at_open = closed + a * 10  # A at its open of 110
    room = at_open - a * 110  # under the 0.8 of it that B wants
    again = room / 48
    assert ledger(done, 0) == [
        (1, "buy", round(a, 9), 100.0, round(0.001 * money, 9)),
        (4, "sell", round(a, 9), 108.0, round(0.001 * a * 108, 9)),
    ]
    assert ledger(done, 1) == [
        (1, "sell", round(b, 9), 50.0, round(0.001 * money, 9)),
        (2, "buy", round(b, 9), 49.0, round(0.001 * b * 49, 9)),
        (3, "sell", round(again, 9), 48.0, round(0.001 * room, 9)),
    ]
    after = closed + a * 8 - 0.001 * room
    assert done.equity[:, 0] == pytest.approx(
        [
            1000,
            1000 - paid + a * 4 + b,
            closed + a * 4,
            after + again * 0.5,
            after + again - 0.001 * a * 108,
        ],
        rel=1e-12,
    )
    assert done.equity.shape == (5, 1)
    assert reasons(done) == ["delisted", "signal", "open"]
    assert done.trades["capped"].tolist() == [True, True, True]
    assert done.value.sum(axis=1) - 1000 == pytest.approx(done.equity[:, 0], rel=1e-12)


def test_entries_wait_for_the_money_that_exits_of_the_same_open_bring():
    bars = panel_of(A=[flat(100)] * 4, B=[flat(100)] * 4)
    for first, second in (("A", "B"), ("B", "A")):
        levels = {first: {"entries": [0], "exits": [1]}, second: {"entries": [1]}}
        signals = said(4, A=levels["A"], B=levels["B"])
        config = replace(FREE, risk=1.0)
        done = simulate_signals(
            bars, signals, fixed_brackets(bars), config=config, size_type="notional"
        )
        assert done.trades["size"].tolist() == [10.0, 10.0]


def test_the_most_that_a_symbol_may_be_worth_is_the_whole_accounts_equity():
    # A has brought 10 %: B may be worth 1100, not the 1000 that it began with
    bars = panel_of(A=[flat(100), flat(100), flat(110), flat(110)], B=[flat(100)] * 4)
    signals = said(4, A={"entries": [0], "exits": [1]}, B={"entries": [2]})
    done = simulate_signals(
        bars, signals, fixed_brackets(bars), size_type="notional", config=replace(FREE, risk=1.0)
    )
    assert done.trades["size"].tolist() == [10.0, 11.0]
    assert done.trades["capped"].tolist() == [False, False]


def test_open_risk_is_cut_pro_rata_and_shares_the_cap_with_what_is_held():
    # 2 % each of five symbols at once: 10 % asked, 6 % allowed; then only a stop-out makes room
    names = ("A", "B", "C", "D", "E")
    fall = [flat(100), flat(100), flat(100), (100, 100, 90, 90), flat(90), flat(90)]
    bars = panel_of(A=fall, **{name: [flat(100)] * 6 for name in names[1:]}, F=[flat(100)] * 6)
    rows = {name: {"entries": [0]} for name in names} | {"F": {"entries": [1, 3]}}
    brackets = fixed_brackets(bars, stop=0.05)
    config = replace(FREE, max_leverage=10.0)
    done = simulate_signals(bars, said(6, **rows), brackets, config=config)
    first = done.trades[done.trades["entry_idx"] == 1]
    assert first["size"] * 100 * 0.05 == pytest.approx([12.0] * 5, rel=1e-12)
    assert done.trades["entry_idx"].tolist() == [1, 1, 1, 1, 1, 4]  # row 1 found no room
    assert done.equity[3, 0] == pytest.approx(988.0, rel=1e-12)
    # held risk 4 x 12 of a cap of 6 % of 988: 11.28 is left of the 19.76 that F wants
    late = done.trades[done.trades["entry_idx"] == 4]
    assert late["size"][0] * 100 * 0.05 == pytest.approx(0.06 * 988 - 48, rel=1e-12)
    alone = simulate_signals(bars, said(6, F=rows["F"]), brackets, config=config)
    assert alone.trades["size"][0] * 100 * 0.05 == pytest.approx(20.0, rel=1e-12)


@pytest.mark.parametrize(("room", "placed"), [(2e-6, True), (5e-7, False)])
def test_what_a_cap_leaves_of_an_entry_is_not_placed_as_dust(room, placed):
    # A holds all but `room` of the equity, which is what B and C, wanting half each, would share
    bars = panel_of(A=[flat(100)] * 4, B=[flat(100)] * 4, C=[flat(100)] * 4)
    signals = said(4, A={"entries": [0]}, B={"entries": [1]}, C={"entries": [1]})
    size = np.array(signals.size)
    size[:, 0], size[:, 1:] = 1 - 2 * room, 0.5
    done = simulate_signals(
        bars, replace(signals, size=size), fixed_brackets(bars), size_type="notional",
        config=replace(FREE, risk=1.0),
    )  # fmt: skip
    assert done.trades["col"].tolist() == ([0, 1, 2] if placed else [0])
    if placed:
        assert done.trades["size"][1:] * 100 == pytest.approx([1000 * room] * 2, rel=1e-6)


def test_an_entry_that_no_cap_cuts_may_be_as_small_as_it_likes():
    bars = panel_of(A=[flat(100)] * 3, B=[flat(100)] * 3)
    done = simulate_signals(
        bars, said(3, A={"entries": [0]}), fixed_brackets(bars), size_type="notional",
        config=replace(FREE, risk=1e-8),
    )  # fmt: skip
    assert done.trades["size"] * 100 == pytest.approx([1e-5], rel=1e-9)


@few
@given(
    SEEDS, st.sampled_from(["risk", "notional", "value"]), st.sampled_from([1.0, 3.0]),
    st.sampled_from([0.03, 0.06]),
)  # fmt: skip
def test_the_kernel_does_what_the_plain_account_does(seed, size_type, leverage, open_risk):
    bars, signals, brackets = random_market(seed)
    risk = 0.02 if size_type == "risk" else 0.6
    config = replace(COSTLY, risk=risk, max_leverage=leverage, max_open_risk=open_risk)
    done = simulate_signals(bars, signals, brackets, config=config, size_type=size_type)
    plain = read(bars, signals, brackets, config, size_type)
    assert done.equity[:, 0] == pytest.approx(plain.equity, rel=1e-10)
    ours = sorted(done.orders[["col", "idx", "side", "size", "price", "fees"]].tolist())
    theirs = sorted((n, i, int(s < 0), u, p, f) for n, i, s, u, p, f in plain.orders)
    assert [row[:3] for row in ours] == [row[:3] for row in theirs]
    assert np.array(ours)[:, 3:] == pytest.approx(np.array(theirs)[:, 3:], rel=1e-9)
    funding = np.zeros_like(done.funding)
    for n, i, amount in plain.paid:
        funding[i, n] = amount
    assert done.funding == pytest.approx(funding, rel=1e-9)
    assert (done.trades["reason"] == REASONS.index("delisted")).sum() <= 1


def trades_of(done: Simulation, column: int) -> list[tuple]:
    """What a column traded, by time; a trade that is still open has not ended at any."""
    own = done.trades[done.trades["col"] == column]
    numbers = ["direction", "size", "entry_price", "exit_price", "pnl", "funding", "reason"]
    ends = np.where(own["status"] == 1, done.index[own["exit_idx"]].asi8, -1)
    return [
        (*row, *values)
        for *row, values in zip(
            done.index[own["entry_idx"]].asi8.tolist(), ends.tolist(), own[numbers].tolist(),
            strict=True,
        )
    ]  # fmt: skip


CALENDARS = {
    "around the clock": lambda t: t.minute == 0,
    "half past": lambda t: t.minute == 30,
    "weekdays": lambda t: (t.minute == 0) & (t.day_of_week < 5),
    "sessions": lambda t: (t.minute == 0) & (t.day_of_week < 5) & (t.hour >= 8) & (t.hour <= 16),
    "evenings": lambda t: (t.minute == 30) & (t.hour >= 20),
    "thin": lambda t: (t.minute == 0) & (np.random.default_rng(3).random(len(t)) < 0.4),
}


def on_calendar(name: str, seed: int) -> Bars:
    """Three weeks of hours of one symbol; the last day is a Sunday."""
    half_hours = pd.date_range("2024-01-01", "2024-01-21 23:30", freq="30min", tz="UTC")
    times = half_hours[CALENDARS[name](half_hours)]
    made = random_bars(num_bars=len(times), seed=seed, symbols=(name,), gaps=0.01)
    rng = np.random.default_rng(seed)
    funding = np.where(rng.random((len(times), 1)) < 0.2, rng.normal(0, 0.002), np.nan)
    hour = pd.Timedelta(hours=1)
    return replace(made, index=times, step=hour, days_per_year=0, funding=funding)


@few
@given(SEEDS, st.lists(st.sampled_from(sorted(CALENDARS)), min_size=2, max_size=5, unique=True))
def test_what_a_symbol_trades_is_what_it_trades_alone_whatever_the_others_calendars(seed, names):
    parts = [on_calendar(name, seed + k) for k, name in enumerate(names)]
    panel = Bars.join(parts)
    # sized on the initial cash and with room for all: no symbol takes anything from another
    config = replace(COSTLY, risk=0.2, max_leverage=1e6)
    signals, brackets, alone = [], [], []
    for n, part in enumerate(parts):
        own = random_signals(
            num_bars=len(part), num_rules=1, seed=seed + n, symbols=(names[n],), density=0.3
        )
        own = replace(own, index=part.index)
        width = np.random.default_rng(seed + n).uniform(0.01, 0.04, (4, len(part), 1))
        own_brackets = Brackets(
            stop_long=width[0], stop_short=width[1], take_profit_long=width[2],
            take_profit_short=width[3], max_holding=5,
        )  # fmt: skip
        done = simulate_signals(part, own, own_brackets, config=config, size_type="value")
        alone.append(trades_of(done, 0))
        signals.append(own)
        brackets.append(own_brackets)
    rows = [panel.index.get_indexer(part.index) for part in parts]

    def spread(arrays, blank):
        out = np.full(panel.close.shape, blank)
        for n, values in enumerate(arrays):
            out[rows[n], n] = values[:, 0]
        return out

    together = Signals(
        index=panel.index,
        columns=pd.MultiIndex.from_product([[0], names], names=["rule", "symbol"]),
        # what is said on rows of others is not said
        **{k: spread([getattr(one, k) for one in signals], True) for k in LEVELS},
        size=spread([one.size for one in signals], 1.0),
    )
    sides = ("stop_long", "stop_short", "take_profit_long", "take_profit_short")
    bracket = Brackets(
        **{k: spread([getattr(one, k) for one in brackets], np.nan) for k in sides}, max_holding=5
    )
    done = simulate_signals(panel, together, bracket, config=config, size_type="value")
    assert (done.trades["reason"] != REASONS.index("delisted")).all()
    for n in range(len(names)):
        ours = trades_of(done, n)
        assert len(ours) > 5
        assert [row[:2] for row in ours] == [row[:2] for row in alone[n]]
        mine, theirs = (np.array([row[2] for row in one]) for one in (ours, alone[n]))
        assert mine == pytest.approx(theirs, rel=1e-9)
    marks = panel.frame("close").ffill().to_numpy()  # the last close stays
    held = done.position != 0
    change = np.diff(done.value, axis=0)
    still = held[1:] & (np.diff(marks, axis=0) == 0) & ~panel.present[1:]
    assert (change[still] == 0).all()


@pytest.mark.parametrize(
    ("name", "last", "ended"),
    [
        # an hour later it has no bar, and half past one is the first row by then
        ("around the clock", "2024-01-17 00:00", ["2024-01-17 01:30"]),
        ("around the clock", "2024-01-21 23:00", []),
        ("thin", "2024-01-21 22:00", []),  # it was silent as long before, so a bar may come yet
        ("thin", "2024-01-16 22:00", ["2024-01-17 10:30"]),
        ("weekdays", "2024-01-19 23:00", []),  # a weekend
        ("sessions", "2024-01-19 16:00", []),
        ("sessions", "2024-01-12 16:00", ["2024-01-17 16:30"]),  # that was no holiday
    ],
)
def test_a_symbol_is_delisted_once_it_is_silent_for_longer_than_it_ever_was(name, last, ended):
    whole, other = on_calendar(name, 2), on_calendar("half past", 1)
    end = int(whole.index.searchsorted(pd.Timestamp(last, tz="UTC"), side="right"))
    panel = Bars.join([whole.rows(0, end), other])
    always = pd.DataFrame({name: True, "half past": False}, index=panel.index)
    done = simulate_signals(
        panel, Signals.from_frames(entries=always), fixed_brackets(panel), config=FREE,
        size_type="notional",
    )  # fmt: skip
    closed = done.trades[done.trades["status"] == 1]
    assert [f"{t:%Y-%m-%d %H:%M}" for t in panel.index[closed["exit_idx"]]] == ended
    assert (closed["exit_price"] == whole.close[end - 1]).all()


def test_the_markets_above_reach_what_they_should_test():
    done = [simulate_signals(*random_market(seed), config=COSTLY) for seed in range(8)]
    seen = {REASONS[k] for one in done for k in one.trades["reason"]}
    assert seen == set(REASONS) - {"bust", "time of day", "liquidation"}
    capped = np.concatenate([one.trades["capped"] for one in done])
    assert 0.1 < capped.mean() < 0.9


@pytest.mark.parametrize("seed", range(6))
def test_what_comes_later_changes_nothing_of_a_panel(seed):
    bars, signals, brackets = random_market(seed)
    whole = simulate_signals(bars, signals, brackets, config=COSTLY)
    for stop in (60, 100, 150):  # a few days alone look like a market that closes
        cut = (0, stop)
        part = simulate_signals(
            bars.rows(*cut), signals.rows(*cut), brackets.rows(*cut), config=COSTLY
        )
        assert part.equity[:, 0] == pytest.approx(whole.equity[:stop, 0], rel=1e-12)


@few
@given(SEEDS, st.permutations(range(4)))
def test_the_order_of_the_symbols_means_nothing(seed, order):
    bars, signals, brackets = random_market(seed, ("A", "B", "C", "D"), density=0.2)
    take = np.array(order)
    names = tuple(bars.symbols[n] for n in order)
    fields = {field: getattr(bars, field)[:, take] for field in (*FIELDS, "funding")}
    moved = replace(brackets, **{
        name: getattr(brackets, name)[:, take]
        for name in ("stop_long", "stop_short", "take_profit_long", "take_profit_short")
    })  # fmt: skip
    one = simulate_signals(bars, signals, brackets, config=COSTLY)
    other = simulate_signals(
        replace(bars, symbols=names, **fields), signals.take(take), moved, config=COSTLY
    )
    assert other.equity == pytest.approx(one.equity, rel=1e-12)
    assert other.position == pytest.approx(one.position[:, take], rel=1e-9)
    assert other.value == pytest.approx(one.value[:, take], rel=1e-12)
    assert np.array_equal(other.position != 0, one.position[:, take] != 0)


@few
@given(SEEDS, st.sampled_from(["risk", "notional", "value"]))
def test_one_symbol_on_a_shared_account_is_the_single_account_to_the_last_bit(seed, size_type):
    pair, signals, brackets = random_market(seed, ("A", "B"))
    fields = {field: getattr(pair, field) for field in (*FIELDS, "funding")}
    fields = {name: np.column_stack([v[:, 0], v[:, 0]]) for name, v in fields.items()}
    for name in FIELDS:  # without the delisting, which a single symbol's bars cannot show
        fields[name][-1] = 100.0
    pair = replace(pair, **fields)
    only = replace(pair, symbols=("A",), **{name: v[:, :1] for name, v in fields.items()})
    config = replace(COSTLY, risk=0.02 if size_type == "risk" else 0.9)
    mine = signals.take([0])
    cut = replace(brackets, **{
        name: getattr(brackets, name)[:, :1]
        for name in ("stop_long", "stop_short", "take_profit_long", "take_profit_short")
    })  # fmt: skip
    shared = simulate_signals(pair, mine, brackets, config=config, size_type=size_type)
    alone = simulate_signals(only, mine, cut, config=config, size_type=size_type)
    assert len(alone.orders) > 5
    if "bust" in reasons(alone):  # where nothing is left is solved for there, and sought here
        assert shared.equity == pytest.approx(alone.equity, rel=1e-9, abs=1e-9)
        return
    for name in ("equity", "position", "value", "funding"):
        assert getattr(shared, name).tobytes() == getattr(alone, name).tobytes()
    assert shared.orders.tolist() == alone.orders.tolist()
    assert shared.trades.tolist() == alone.trades.tolist()


def test_equity_at_zero_closes_every_position_and_ends_trading():
    rows = [flat(100), flat(100), (100, 300, 100, 300), flat(300), flat(300)]
    bars = panel_of(A=rows, B=[flat(100), flat(100), None, flat(100), flat(100)])
    config = replace(FREE, risk=0.6, max_leverage=2.0)
    signals = said(5, A={"short_entries": [0, 3]}, B={"entries": [0, 3]})
    done = simulate_signals(
        bars, signals, fixed_brackets(bars), config=config, size_type="notional"
    )
    assert reasons(done) == ["bust", "bust"]  # B has no bar there: at its last close
    assert ledger(done, 1)[1] == (2, "sell", 6.0, 100.0, 0.0)
    assert done.equity[:, 0].tolist() == [1000.0, 1000.0, 0.0, 0.0, 0.0]


def test_a_stop_is_not_filled_in_a_bar_that_nobody_traded_though_the_account_is_short_of_money():
    """B's fall leaves nothing while A, beyond its stop, does not trade: A ends with the account."""
    bars = panel_of(
        A=[flat(100), flat(100), flat(80), flat(80)],
        B=[flat(100), flat(100), (100, 100, 5, 5), flat(5)],
    )
    volume = np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    brackets = fixed_brackets(bars, stop=0.1, take_profit=0.99)
    no_stop = np.where(np.array(bars.symbols) == "A", brackets.stop_long, 0.99)
    brackets = replace(brackets, stop_long=no_stop)
    config = replace(FREE, risk=0.9, max_leverage=2.0)
    signals = said(4, A={"entries": [0]}, B={"entries": [0]})
    done = simulate_signals(
        replace(bars, volume=volume), signals, brackets, config=config, size_type="notional"
    )
    assert reasons(done) == ["bust", "bust"]
    # 900 of each: A's mark of 80 leaves 820, B ends where it has lost as much.
    assert ledger(done, 0)[1] == (2, "sell", 9.0, 80.0, 0.0)
    assert ledger(done, 1)[1] == (2, "sell", 9.0, round(100 - 820 / 9, 9), 0.0)


def test_symbols_that_never_trade_and_bars_that_nobody_has():
    names = tuple("ABCDEFGHIJKL")
    bars = random_bars(num_bars=200, seed=4, symbols=names, missing=0.05)
    fields = {field: np.array(getattr(bars, field)) for field in FIELDS}
    for values in fields.values():
        values[90:95] = np.nan
    bars = replace(bars, **fields)
    signals = random_signals(num_bars=200, num_rules=2, seed=4, symbols=names, density=0.2)
    quiet = {name: np.array(getattr(signals, name)) for name in LEVELS}
    for values in quiet.values():
        values[:, ::12] = False
    signals = replace(signals, **quiet)
    done = simulate_signals(bars, signals, fixed_brackets(bars, stop=0.03), config=COSTLY)
    assert done.equity.shape == (200, 2)
    assert (done.value[:, ::12] == 1000.0).all()
    for a in range(2):
        own = done.value[:, done.account == a] - 1000
        assert own.sum(axis=1) + 1000 == pytest.approx(done.equity[:, a], rel=1e-12)
        pnl = done.trades["pnl"][done.account[done.trades["col"]] == a].sum()
        assert done.equity[-1, a] == pytest.approx(1000 + pnl, rel=1e-12)
    assert (np.diff(done.equity[89:95], axis=0) == 0).all()
    assert len(np.unique(done.trades["col"])) == 22


@pytest.mark.parametrize("with_funding", [False, True])
def test_the_native_portfolio_is_one_group_that_shares_cash(with_funding):
    bars, signals, brackets = random_market(3, num_bars=400)
    if not with_funding:
        bars = replace(bars, funding=None)
    done = simulate_signals(bars, signals, brackets, config=COSTLY)
    portfolio = to_portfolio(done, bars)
    assert portfolio.cash_sharing
    assert portfolio.wrapper.get_columns().tolist() == [0]
    value = portfolio.value().to_numpy().reshape(-1, 1)
    assert value == pytest.approx(done.equity, rel=1e-9)
    assert portfolio.value(group_by=False).to_numpy() == pytest.approx(done.value, rel=1e-9)
    assert portfolio.trades.count() == len(done.trades) > 30
    theirs = portfolio.trades.values
    for name in ("col", "entry_idx", "exit_idx", "direction", "status"):
        assert theirs[name].tolist() == done.trades[name].tolist()
    assert theirs["pnl"] == pytest.approx(done.trades["pnl"], rel=1e-7, abs=1e-7)


def test_each_rule_is_a_group_of_its_own_wherever_its_columns_stand():
    bars, _, brackets = random_market(5)
    signals = random_signals(num_bars=len(bars), num_rules=3, seed=5, symbols=bars.symbols)
    mixed = signals.take([0, 3, 6, 1, 4, 7, 2, 5, 8])
    done = simulate_signals(bars, signals, brackets, config=COSTLY)
    other = simulate_signals(bars, mixed, brackets, config=COSTLY)
    assert np.array_equal(other.equity, done.equity)
    for one in (done, other):
        portfolio = to_portfolio(one, bars)
        assert portfolio.wrapper.get_columns().tolist() == [0, 1, 2]
        assert portfolio.value().to_numpy() == pytest.approx(done.equity, rel=1e-9)


def test_vectorbt_places_the_same_orders_where_no_cap_binds():
    bars = random_bars(num_bars=400, seed=6, symbols=("A", "B", "C"))
    signals = random_signals(num_bars=400, num_rules=2, seed=6, symbols=bars.symbols)
    never = np.zeros_like(signals.entries)
    signals = replace(signals, short_entries=never, short_exits=never)  # one order a bar
    given = {"risk": 0.2, "size_type": "value", "fees": 0.001, "slippage": 0.002}
    ours = simulate(bars, signals, **given)
    theirs = simulate(bars, signals, engine="vectorbt", **given)
    assert theirs.cash_sharing
    one, other = (np.sort(pf.orders.values, order=["col", "idx"]) for pf in (ours, theirs))
    assert len(one) == len(other) > 200
    assert one["col"].tolist() == other["col"].tolist()
    assert (one["idx"] - 1).tolist() == other["idx"].tolist()  # it stamps the signal's bar
    for name in ("size", "price", "fees"):
        assert one[name] == pytest.approx(other[name], rel=1e-12)
    assert ours.final_value().to_numpy() == pytest.approx(
        theirs.final_value().to_numpy(), rel=1e-12
    )


def test_a_trade_is_held_for_bars_of_its_own_symbol():
    bars = replace(Bars.join([on_calendar(name, 6) for name in ("sessions", "thin")]), funding=None)
    signals = random_signals(num_bars=len(bars), num_rules=1, seed=6, symbols=bars.symbols)
    signals = replace(signals, index=bars.index)
    done = simulate_signals(bars, signals, fixed_brackets(bars), config=FREE, size_type="notional")
    trades = Account.of(done).trades
    own = [bars.present[t["entry_idx"] + 1 : t["exit_idx"] + 1, t["col"]].sum() for t in trades]
    held = bars_held(Account.of(done), bars)
    assert held.tolist() == own
    assert (held < trades["exit_idx"] - trades["entry_idx"]).any()


def test_vectorbts_own_loop_acts_at_each_symbols_own_next_bar_too():
    bars = Bars.join([on_calendar(name, 6) for name in ("sessions", "half past", "thin")])
    signals = random_signals(num_bars=len(bars), num_rules=1, seed=6, symbols=bars.symbols)
    never = np.zeros_like(signals.entries)
    signals = replace(
        signals, index=bars.index, short_entries=never, short_exits=never
    )  # one order a bar
    bars = replace(bars, funding=None)
    given = {"risk": 0.2, "size_type": "value", "fees": 0.001, "slippage": 0.002}
    ours = simulate(bars, signals, **given)
    theirs = simulate(bars, signals, engine="vectorbt", **given)
    one, other = (np.sort(pf.orders.values, order=["col", "idx"]) for pf in (ours, theirs))
    assert len(one) == len(other) > 60
    assert one["col"].tolist() == other["col"].tolist()
    assert bars.previous[one["idx"], one["col"]].tolist() == other["idx"].tolist()
    for name in ("size", "price", "fees"):
        assert one[name] == pytest.approx(other[name], rel=1e-12)


def test_vectorbt_keeps_the_same_books_on_our_orders():
    """Every order of a shared account through `from_orders`, four rows a bar, caps and all."""
    bars, signals, brackets = random_market(8, num_bars=300)
    bars = replace(bars, funding=None)
    config = replace(COSTLY, max_leverage=2.0)
    done = simulate_signals(bars, signals, brackets, config=config)
    shape = (4 * len(bars), 3)
    close = np.repeat(bars.frame("close").ffill().bfill().to_numpy(), 4, axis=0)
    units, price, fees = np.full(shape, np.nan), close.copy(), np.zeros(shape)
    taken = np.zeros((len(bars), 3), dtype=int)
    for order in done.orders:
        row = 4 * order["idx"] + taken[order["idx"], order["col"]]
        taken[order["idx"], order["col"]] += 1
        units[row, order["col"]] = -order["size"] if order["side"] else order["size"]
        price[row, order["col"]] = order["price"]
        fees[row, order["col"]] = order["fees"]
    books = vbt.Portfolio.from_orders(
        pd.DataFrame(close), size=units, price=price, fixed_fees=fees, fees=0.0, init_cash=1e9,
        cash_sharing=True, group_by=True, freq="15min",
    )  # fmt: skip
    assert books.orders.count() == len(done.orders) > 100
    value = books.value().to_numpy()[3::4]
    assert value - 1e9 == pytest.approx(done.equity[:, 0] - 1000, abs=1e-5)


# Funding


def funded(rates: list[float], prices=(100.0, 100.0, 110.0, 110.0, 120.0)) -> Bars:
    bars = bars_of([flat(price) for price in prices])
    return replace(bars, funding=np.array(rates)[:, None])


@pytest.mark.parametrize("symbols", [1, 2])
@pytest.mark.parametrize(("side", "sign"), [("entries", 1), ("short_entries", -1)])
def test_longs_pay_a_positive_rate_and_shorts_receive_it(side, sign, symbols):
    # in at bar 1, out at the open of bar 3; the entry's open pays nothing, the exit's does
    bars = funded([0.001, 0.002, 0.003, 0.004, 0.005])
    leave = {"entries": "exits", "short_entries": "short_exits"}[side]
    signals = signals_of(5, **{side: [0], leave: [2]})
    if symbols == 2:
        bars = Bars.join([bars, replace(bars, symbols=("B",))])
    config = replace(FREE, risk=0.5)
    done = simulate_signals(
        bars, signals, fixed_brackets(bars), config=config, size_type="notional"
    )
    paid = sign * 5 * 110 * np.array([0, 0, 0.003, 0.004, 0])
    assert done.funding[:, 0] == pytest.approx(paid, rel=1e-12)
    assert len(done.orders) == 2
    move = sign * 5 * 10
    assert done.equity[:, 0] == pytest.approx(
        [1000, 1000, 1000 + move - paid[2], *[1000 + move - paid.sum()] * 2], rel=1e-12
    )
    assert done.trades["pnl"][0] == pytest.approx(move - paid.sum(), rel=1e-12)
    assert done.trades["funding"][0] == pytest.approx(paid.sum(), rel=1e-12)
    assert done.trades_frame()["funding"].tolist() == done.trades["funding"].tolist()


def test_an_open_trade_owes_its_funding_too_and_a_missing_bars_is_due_at_the_next():
    bars = bars_of([flat(100), flat(100), None, flat(100), flat(100)])
    bars = replace(bars, funding=np.array([np.nan, np.nan, 0.01, 0.02, np.nan])[:, None])
    done = simulate_signals(
        bars, signals_of(5, entries=[0]), fixed_brackets(bars), size_type="notional",
        config=replace(FREE, risk=0.1),
    )  # fmt: skip
    assert done.funding[:, 0].tolist() == [0, 0, 0, 3.0, 0]
    assert done.trades["pnl"].tolist() == [-3.0]
    assert done.equity[-1, 0] == 997.0


def test_funding_is_an_order_of_a_billionth_that_carries_the_amount_in_its_fees():
    bars = funded([0.0, 0.0, 0.003, -0.004, 0.0])
    signals = signals_of(5, entries=[0], exits=[3])
    config = replace(FREE, risk=0.5)
    done = simulate_signals(
        bars, signals, fixed_brackets(bars), config=config, size_type="notional"
    )
    orders = orders_with_funding(done, bars)
    assert orders["idx"].tolist() == [1, 2, 3, 4]
    assert orders["id"].tolist() == [0, 1, 2, 3]
    assert orders["fees"] == pytest.approx([0, 1.65, -2.2, 0], rel=1e-12)
    assert (orders["size"][1:3] <= 1e-9).all()
    portfolio = to_portfolio(done, bars)
    assert portfolio.value().to_numpy() == pytest.approx(done.equity, rel=1e-12)
    assert portfolio.trades.count().tolist() == [1]
    assert portfolio.trades.values["pnl"] == pytest.approx([100 - 1.65 + 2.2], rel=1e-9)
    assert portfolio.assets().to_numpy()[-1, 0] == 0


@few
@given(SEEDS)
def test_with_funding_final_equity_is_still_cash_and_profits(seed):
    bars, signals, brackets = random_market(seed)
    done = simulate_signals(bars, signals, brackets, config=COSTLY)
    assert done.equity[-1, 0] == pytest.approx(1000 + done.trades["pnl"].sum(), rel=1e-12)
    assert done.trades["funding"].sum() == pytest.approx(done.funding.sum(), rel=1e-9)
    assert to_portfolio(done, bars).value().to_numpy() == pytest.approx(done.equity[:, 0], rel=1e-9)


def test_vectorbts_own_loop_refuses_funding():
    with pytest.raises(ValueError, match=r"books no funding.*use engine='exact'"):
        simulate(
            funded([0.0] * 5), signals_of(5, entries=[0]), size_type="value", engine="vectorbt"
        )


def test_the_caps_must_be_sensible():
    with pytest.raises(ValueError, match="max_open_risk must be positive and finite, got 0"):
        SimulationConfig(max_open_risk=0.0)
