"""The kernel against the plain account, what must hold of any account, and vectorbt."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import vectorbt as vbt
from hypothesis import assume, event, given
from hypothesis import strategies as st

from convnext_vbt.market.bars import Bars
from convnext_vbt.market.detail import Detail
from convnext_vbt.trading import kernel
from convnext_vbt.trading.brackets import DISTANCES, Brackets
from convnext_vbt.trading.conditions import conditions_of
from convnext_vbt.trading.inputs import SimulationConfig, kernel_inputs, kernel_terms
from convnext_vbt.trading.instruments import Instrument
from convnext_vbt.trading.signals import LEVEL_BITS, LEVELS, Signals
from convnext_vbt.trading.walk import record_accounts
from tests.examples import examples

from .account_cases import Case, cases
from .plain_account import plain_account
from .plain_market import (
    ENTER_LONG,
    ENTER_SHORT,
    Contract,
    Terms,
)

ORDER_FIELDS = ("row", "side", "units", "price", "fees")


@dataclass
class Told:
    """What an account says of itself: orders by symbol, equity at each close, counts."""

    orders: dict[str, list[tuple[int, int, float, float, float]]]
    """Of each symbol in time: row, side (1 buys), units, price, fees."""
    equity: list[float]
    counts: dict[str, int]


def plain_told(case: Case) -> Told:
    done = case.account()
    orders = {
        name: [
            (o.row, o.side, o.units, o.price, o.fees) for o in done.orders if o.symbol == name
        ]
        for name in case.bars
    }  # fmt: skip
    return Told(orders, done.equity, done.counts)


def kernel_account(case: Case) -> Told:
    """What the kernel makes of the case: the only function that knows the kernel."""
    bars, terms = with_detail(case), case.terms
    config = SimulationConfig(
        risk=terms.risk, fees=terms.fees, slippage=terms.slippage, init_cash=terms.init_cash,
        max_leverage=terms.max_leverage, max_open_risk=terms.max_open_risk,
        trail=terms.trail or "none", break_even=terms.break_even, take_profit_ladder=terms.ladder,
        limit_offset=terms.limit_offset,
        limit_bars=1 if terms.limit_offset is None else terms.limit_bars,
        instruments={name: instrument(one) for name, one in case.instruments.items()},
    )  # fmt: skip
    brackets = Brackets(
        **{side: columns([case.brackets[name][side] for name in case.bars]) for side in DISTANCES},
        max_holding=terms.max_holding,
        volatility=columns(case.sigma.values()),
    )
    market, said = kernel_inputs(bars, signals_of(case, bars), brackets, config)
    leave = np.array(list(case.leave.values()))
    said = said._replace(codes=said.codes | np.where(leave, kernel.LEAVE, 0).astype(np.uint8))
    conditions = conditions_of(config, bars, brackets, best_first=terms.order == "best")
    equity, made = record_accounts(
        market, said, terms.risk, kernel_terms(config, brackets, terms.sizing), conditions
    )
    over = [one.inverse for one in case.instruments.values()]
    return Told(
        orders={
            name: [
                (int(row), int(-way if other else way), units, 1 / price if other else price, fees)
                for row, way, units, price, fees in one.fills[
                    ["idx", "side", "size", "price", "fees"]
                ].itertuples(index=False)
            ]
            for name, one, other in zip(case.bars, made, over, strict=True)
        },
        equity=equity[:, 0].tolist(),
        counts={
            name: int(sum(one.state[field] for one in made))
            for name, field in (
                ("refused", kernel.REFUSED),
                ("ambiguous", kernel.AMBIGUOUS),
                ("gap_stops", kernel.GAP_STOPS),
            )
        }
        | {
            "liquidations": int(sum(one.state[kernel.LIQUIDATED] for one in made)),
            "bust": int(made[0].state[kernel.IS_BUST]),
        },
    )


def columns(lists) -> np.ndarray:
    return np.column_stack([np.array(one, dtype=float) for one in lists])


def instrument(one: Contract) -> Instrument:
    """A contract as the package has it: an inverse one counts in money."""
    if one.inverse and one.multiplier != 1.0:
        one = replace(
            one, multiplier=1.0, lot=one.lot and one.lot * one.multiplier,
            fee_per_contract=one.fee_per_contract / one.multiplier,
        )  # fmt: skip
    return Instrument(**vars(one), currency="BTC" if one.inverse else None)


def signals_of(case: Case, bars: Bars) -> Signals:
    codes = np.column_stack(list(case.codes.values()))
    levels = {name: codes & bit != 0 for name, bit in zip(LEVELS, LEVEL_BITS, strict=True)}
    names = pd.MultiIndex.from_arrays([list(case.bars)], names=["symbol"])
    return Signals(index=bars.index, columns=names, size=columns(case.sizes.values()), **levels)


def with_detail(case: Case) -> Bars:
    bars = case.to_bars()
    if case.detail is None:
        return bars
    (rows,) = case.detail.values()
    counts = [len(one or []) for one in rows]
    prices = np.array([bar for one in rows for bar in one or []], dtype=float).reshape(-1, 4)
    starts = np.concatenate([[0], np.cumsum(counts)])[None].astype(np.int64)
    return replace(bars, detail=Detail(prices=np.ascontiguousarray(prices.T[None]), starts=starts))


@examples(120)
@given(cases())
def test_the_kernel_is_the_plain_account(case):
    plain, kernel = plain_told(case), kernel_account(case)
    for name, orders in plain.orders.items():
        others = kernel.orders[name]
        assert [o[:2] for o in others] == [o[:2] for o in orders]
        for k, field in enumerate(ORDER_FIELDS[2:], start=2):
            mine, other = [o[k] for o in orders], [o[k] for o in others]
            assert other == pytest.approx(mine, rel=1e-9, abs=1e-12), field
    scale = case.terms.init_cash
    assert kernel.equity == pytest.approx(plain.equity, rel=1e-9, abs=1e-9 * scale)
    assert kernel.counts == plain.counts


@examples(120)
@given(cases())
def test_what_must_hold_of_any_account(case):
    done, cash = case.account(), case.terms.init_cash
    for reason in {order.reason for order in done.orders}:
        event(reason)
    for trade in done.trades:
        if trade.reason == "stop" and not case.terms.ladder:
            lost = -(trade.pnl + trade.funding)
            assert lost <= trade.allowed * (1 + 1e-9) + 1e-9 * cash
    profit = sum(trade.pnl for trade in done.trades)
    left = max(cash + profit, 0.0) if done.counts["bust"] else cash + profit
    assert done.equity[-1] == pytest.approx(left, rel=1e-9, abs=1e-9 * cash)
    # On an untraded bar nobody can leave; own stops of a shared account come before its end.
    is_stuck = any(
        ((frame["volume"] == 0) & (frame["high"] == frame["low"])).any()
        for frame in case.bars.values()
    )
    stops_fit = case.terms.sizing == "risk" and not any(
        one.min_fee
        for one in case.instruments.values()  # it is not cut with the size
    )
    if not is_stuck and (not case.is_shared or stops_fit):
        assert min(done.equity) >= -1e-9 * cash
    if done.counts["bust"]:
        row = max(order.row for order in done.orders)
        assert done.equity[row:] == pytest.approx([done.equity[-1]] * len(done.equity[row:]))
    assert done.counts["gap_stops"] == sum(o.reason == "gap_stop" for o in done.orders)


def flat(frame):
    """Every price at 100, nothing due."""
    out = frame.copy()
    out[["open", "high", "low", "close"]] = out[["open", "high", "low", "close"]] * 0 + 100.0
    out["funding"] = 0.0
    return out


@examples(60)
@given(cases())
def test_a_flat_price_without_costs_makes_nothing(case):
    costs = (
        "fee_per_contract", "min_fee", "half_spread", "volatility_slippage", "impact", "borrow",
        "interest", "taker", "maker", "slippage", "maintenance_margin",
    )  # fmt: skip
    free = dict.fromkeys(costs, 0.0)
    case = replace(
        case.priced(flat),
        detail=None,
        terms=replace(case.terms, fees=0.0, slippage=0.0),
        instruments={name: replace(one, **free) for name, one in case.instruments.items()},
    )
    done = case.account()
    assert done.equity == pytest.approx([case.terms.init_cash] * len(done.equity), rel=1e-12)
    assert all(trade.pnl == pytest.approx(0, abs=1e-9) for trade in done.trades)


@examples(60)
@given(cases(), st.sampled_from([1.5, 4.0]))
def test_dearer_orders_of_the_same_size_never_help(case, times):
    small = replace(case.terms, sizing="value", risk=0.1, max_leverage=10.0, fees=0.002,
                    break_even=None, max_open_risk=1.0)  # fmt: skip
    case = replace(
        case,
        terms=small,
        instruments={
            name: replace(one, taker=None, maker=None, maintenance_margin=0.0, interest=0.0)
            for name, one in case.instruments.items()
        },
    )
    dearer = replace(
        case,
        terms=replace(small, fees=0.002 * times),
        instruments={
            name: replace(
                one, min_fee=one.min_fee * times, fee_per_contract=one.fee_per_contract * times
            )
            for name, one in case.instruments.items()
        },
    )
    cheap, dear = case.account(), dearer.account()
    sizes = [[(o.symbol, o.row, o.side, o.units) for o in done.orders] for done in (cheap, dear)]
    assume(sizes[0] == sizes[1])
    for before, after in zip(cheap.equity, dear.equity, strict=True):
        assert after <= before + 1e-9 * small.init_cash


@examples(40)
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_the_symbols_means_nothing(case, random):
    names = list(case.bars)
    random.shuffle(names)
    turned = replace(case, bars={name: case.bars[name] for name in names})
    assert turned.account().equity == pytest.approx(case.account().equity, rel=1e-9, abs=1e-7)


def by_vectorbt(frame, sides, stop, *, shares, risk, contract, terms, trail):
    """vectorbt's own loop on next opens; (signal's row or bar, side, units, price, fees)."""
    num = len(frame)
    opens = frame["open"].shift(-1).to_numpy()
    fill = opens * np.where(sides < 0, 1 - terms.slippage, 1 + terms.slippage)
    least = np.where(sides != 0, (contract.min_notional or 0.0) / fill, 0.0)
    index = pd.RangeIndex(num)
    portfolio = vbt.Portfolio.from_signals(
        pd.Series(frame["close"].to_numpy(), index),
        entries=pd.Series(sides > 0, index),
        short_entries=pd.Series(sides < 0, index),
        exits=False, short_exits=False,
        size=pd.Series(risk * shares * terms.init_cash / fill, index),
        size_type="amount",
        price=pd.Series(opens, index),
        open=frame["open"].to_numpy()[:, None], high=frame["high"].to_numpy()[:, None],
        low=frame["low"].to_numpy()[:, None],
        sl_stop=stop, sl_trail=trail, stop_entry_price="fillprice", stop_exit_price="stopmarket",
        size_granularity=contract.lot or np.nan, min_size=pd.Series(least, index),
        fixed_fees=contract.min_fee, fees=0.0 if contract.min_fee else terms.fees,
        slippage=terms.slippage, accumulate=False, init_cash=terms.init_cash, freq="1h",
    )  # fmt: skip
    return portfolio.orders.values


@examples(60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, -1]),
    st.sampled_from([None, "extreme"]),
    st.sampled_from([
        Contract(), Contract(lot=0.25), Contract(min_notional=1_000.0), Contract(min_fee=3.0),
        Contract(lot=2.0, min_notional=500.0, min_fee=1.0),
    ]),
)  # fmt: skip
def test_vectorbt_places_the_plain_accounts_orders(seed, side, trail, contract):
    rng = np.random.default_rng(seed)
    num, stop = 120, 0.02
    first = 100 * np.exp(np.cumsum(rng.normal(size=num) * 0.01))
    close = first * np.exp(rng.normal(size=num) * 0.005)
    index = pd.date_range("2024-01-01", periods=num, freq="h", tz="UTC")
    frame = pd.DataFrame(
        {
            "open": first,
            "high": np.maximum(first, close) * np.exp(np.abs(rng.normal(size=num)) * 0.004),
            "low": np.minimum(first, close) * np.exp(-np.abs(rng.normal(size=num)) * 0.004),
            "close": close,
            "volume": 1.0,
        },
        index,
    )
    sides = np.where(rng.random(num) < 0.1, side, 0)
    sides[-1] = 0
    shares = rng.choice([0.1, 0.5, 1.0], num)
    fees = 0.0 if contract.min_fee else 0.001
    terms = Terms(sizing="value", risk=0.3, fees=fees, slippage=0.0005, trail=trail,
                  max_leverage=10.0)  # fmt: skip
    none = [np.nan] * num
    done = plain_account(
        {"A": frame},
        {"A": np.where(sides > 0, ENTER_LONG, np.where(sides < 0, ENTER_SHORT, 0)).tolist()},
        {"A": shares.tolist()},
        {"A": {"stop_long": [stop] * num, "stop_short": [stop] * num,
               "take_profit_long": none, "take_profit_short": none}},
        {"A": contract},
        terms,
    )  # fmt: skip
    theirs = by_vectorbt(
        frame, sides, stop, shares=shares, risk=0.3, contract=contract, terms=terms,
        trail=trail is not None,
    )  # fmt: skip
    rows = [order.row - (order.reason == "entry") for order in done.orders]
    clash = np.flatnonzero(np.diff(rows) <= 0)  # it places one order a bar
    agreed = int(clash[0]) if len(clash) else len(rows)
    assert agreed > 0 or not rows or len(clash)
    assert rows[:agreed] == theirs["idx"][:agreed].tolist()
    ours = done.orders[:agreed]
    assert [order.side for order in ours] == (1 - 2 * theirs["side"][:agreed]).tolist()
    for name, field in (("units", "size"), ("price", "price"), ("fees", "fees")):
        mine = [getattr(order, name) for order in ours]
        assert mine == pytest.approx(theirs[field][:agreed], rel=1e-9), field


def test_vectorbts_trailing_stop_moves_after_its_check_by_the_bars_extreme():
    # Bar 2 goes to 130 and back to 118: below 90 % of 130, yet it stays; bar 3 opens above and
    # falls through 117. A stop from the close of 120 would be at 108.
    rows = [(100.0,) * 4, (100.0,) * 4, (100.0, 130.0, 95.0, 120.0), (119.0, 119.0, 112.0, 113.0)]
    frame = pd.DataFrame(rows, columns=["open", "high", "low", "close"]).assign(volume=1.0)
    orders = by_vectorbt(
        frame, np.array([1, 0, 0, 0]), 0.1, shares=np.ones(4), risk=0.5, contract=Contract(),
        terms=Terms(), trail=True,
    )  # fmt: skip
    assert [(o["idx"], o["price"]) for o in orders] == [(0, 100.0), (3, pytest.approx(117.0))]
