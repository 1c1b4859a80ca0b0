"""Ledgers of a few bars worked by hand: the plain account, one rule of it at a time."""

import math

import pandas as pd
import pytest

from .plain_account import plain_account
from .plain_market import (
    ENTER_LONG,
    ENTER_SHORT,
    EXIT_LONG,
    Contract,
    Terms,
)

FLAT = (100.0, 100.0, 100.0, 100.0)
NOTIONAL = {"sizing": "notional", "risk": 1.0}


def frame(rows, volume=None, funding=None):
    blank = (math.nan,) * 4
    table = pd.DataFrame(
        [blank if row is None else row for row in rows],
        pd.date_range("2024-01-01", periods=len(rows), freq="h", tz="UTC"),
        ["open", "high", "low", "close"],
    )
    table["volume"] = [1_000.0] * len(rows) if volume is None else volume
    if funding is not None:
        table["funding"] = funding
    return table


def account(rows, codes, *, stop=math.nan, profit=math.nan, size=1.0, volume=None, funding=None,
            sigma=None, leave=None, slots=None, detail=None, contract=None, **terms):  # fmt: skip
    """One symbol; `codes` are the rows that say something."""
    num = len(rows)
    rest = {"sigma": sigma and [sigma] * num, "leave": leave and [i in leave for i in range(num)],
            "slots": slots,
            "detail": detail and [detail.get(i) for i in range(num)]}  # fmt: skip
    return plain_account(
        {"A": frame(rows, volume, funding)},
        {"A": [codes.get(i, 0) for i in range(num)]},
        {"A": [size] * num},
        {"A": {
            name: [stop if "stop" in name else profit] * num
            for name in ("stop_long", "stop_short", "take_profit_long", "take_profit_short")
        }},
        {"A": contract or Contract()},
        Terms(**terms),
        **{name: {"A": value} for name, value in rest.items() if value},
    )  # fmt: skip


def told(done):
    """Row, side, units, price and reason of every order."""
    return [(o.row, o.side, pytest.approx(o.units), pytest.approx(o.price), o.reason)
            for o in done.orders]  # fmt: skip


def test_a_stopped_trade_loses_the_risk_with_fees_and_slippage():
    # E = 100 x 1.01 = 101; the stop is 10 % below, 90.9, and fills at 90.9 x 0.99 = 89.991.
    # A unit loses 101 - 89.991 + 1 % of both, 11.009 + 1.01 + 0.89991 = 12.91891; 1 % of 10,000
    # is 100, so 100 / 12.91891 = 7.7406 units.
    rows = [FLAT, FLAT, (100, 100, 80, 85), FLAT]
    done = account(rows, {0: ENTER_LONG}, stop=0.1, fees=0.01, slippage=0.01)
    units = 100 / 12.91891
    assert told(done) == [(1, 1, units, 101.0, "entry"), (2, -1, units, 89.991, "stop")]
    assert done.equity == pytest.approx([10_000, 10_000 - units * 2.01, 9_900, 9_900])
    assert done.trades[0].pnl == pytest.approx(-100)


def test_lots_are_rounded_down_and_too_little_is_refused():
    # By risk 100 / 10 = 10 units; of lots of 3 contracts of 2 units each, 6 units: 1 lot.
    rows = [FLAT] * 4
    lots = {"stop": 0.1, "contract": Contract(lot=3, multiplier=2)}
    assert told(account(rows, {0: ENTER_LONG}, **lots)) == [(1, 1, 6.0, 100.0, "entry")]
    # A lot of 12 is more than the 10: nothing, though it is exactly 10 that fits lots of 10.
    none = account(rows, {0: ENTER_LONG}, stop=0.1, contract=Contract(lot=12))
    assert (none.orders, none.counts["refused"]) == ([], 1)
    whole = account(rows, {0: ENTER_LONG}, stop=0.1, contract=Contract(lot=10))
    assert told(whole) == [(1, 1, 10.0, 100.0, "entry")]
    # 10 units are worth 1,000.
    some = account(rows, {0: ENTER_LONG}, stop=0.1, contract=Contract(min_notional=1_000.1))
    assert (some.orders, some.counts["refused"]) == ([], 1)


def test_a_least_fee_and_one_a_contract_come_out_of_the_risk():
    # A contract is 10 units: 0.5 a contract is 0.05 a unit. Of 100 at risk, q units lose
    # 10 q + 2 x 0.05 q = 10.1 q: 100 / 10.1 = 9.90099.
    rows = [FLAT, (100, 100, 80, 85), FLAT]
    done = account(
        rows, {0: ENTER_LONG}, stop=0.1, contract=Contract(multiplier=10, fee_per_contract=0.5)
    )
    assert done.orders[0].units == pytest.approx(100 / 10.1)
    assert done.equity[-1] == pytest.approx(9_900)
    # At least 5 an order is more than that, so 100 = 10 q + 10: 9 units.
    done = account(rows, {0: ENTER_LONG}, stop=0.1, contract=Contract(
        multiplier=10, fee_per_contract=0.5, min_fee=5))  # fmt: skip
    assert told(done) == [(1, 1, 9.0, 100.0, "entry"), (1, -1, 9.0, 90.0, "stop")]
    assert [order.fees for order in done.orders] == [5.0, 5.0]
    # Two fees of 60 are more than all that is at risk.
    done = account(rows, {0: ENTER_LONG}, stop=0.1, contract=Contract(min_fee=60))
    assert (done.orders, done.counts["refused"]) == ([], 1)


def test_the_tick_moves_levels_towards_the_entry():
    # 100 x 0.947 = 94.7 goes up to 95, 100 x 1.053 = 105.3 down to 105.
    given = {"stop": 0.053, "profit": 0.053, "contract": Contract(tick=1.0), **NOTIONAL}
    down = account([FLAT, FLAT, (100, 100, 90, 90), FLAT], {0: ENTER_LONG}, **given)
    up = account([FLAT, FLAT, (100, 109, 100, 109), FLAT], {0: ENTER_LONG}, **given)
    assert [done.orders[1].price for done in (down, up)] == [95.0, 105.0]
    # Half a tick leaves the stop no way: 99.7 goes up to 100.
    none = account([FLAT] * 3, {0: ENTER_LONG}, stop=0.003, contract=Contract(tick=1.0))
    assert (none.orders, none.counts["refused"]) == ([], 1)


def test_inverse_contracts_are_accounted_in_the_coin():
    # 1 coin, all of it: contracts of 10 dollars each, 100 dollars at 100. At 125 they are worth
    # 0.8 coins: 10 contracts x 10 x (1/100 - 1/125) = 0.2 coins won.
    rows = [FLAT, FLAT, (125, 125, 125, 125), (125, 125, 125, 125)]
    done = account(rows, {0: ENTER_LONG, 2: EXIT_LONG}, init_cash=1.0,
                   contract=Contract(inverse=True, multiplier=10), **NOTIONAL)  # fmt: skip
    assert told(done) == [(1, 1, 100.0, 100.0, "entry"), (3, -1, 100.0, 125.0, "signal")]
    assert done.equity == pytest.approx([1, 1, 1.2, 1.2])
    # 1 % of a coin at a stop 20 % below: a dollar loses 1/80 - 1/100 = 0.0025: 4 dollars.
    rows = [FLAT, FLAT, (100, 100, 70, 75), FLAT]
    done = account(rows, {0: ENTER_LONG}, init_cash=1.0, stop=0.2, contract=Contract(inverse=True))
    assert told(done) == [(1, 1, 4.0, 100.0, "entry"), (2, -1, 4.0, 80.0, "stop")]
    assert done.equity[-1] == pytest.approx(0.99)


def test_slippage_is_fixed_at_the_entry():
    # Share: 0.001 + 0.1/100 + 0.5 x 0.02 = 0.012, of the exit at 200 as well.
    rows = [FLAT, FLAT, (200, 200, 200, 200), (200, 200, 200, 200)]
    contract = Contract(slippage=0.001, half_spread=0.1, volatility_slippage=0.5)
    done = account(rows, {0: ENTER_LONG, 2: EXIT_LONG}, contract=contract, sigma=0.02, **NOTIONAL)
    assert [o.price for o in done.orders] == pytest.approx([101.2, 200 * 0.988])
    # Impact: q units of 100 with a volume of 10,000, sigma .02: 0.5 x 0.02 x sqrt(q / 10,000);
    # q = 100 makes s = 0.001, E = 100.1 and a worth of 10,010, which is what is staked.
    done = account([FLAT] * 4, {0: ENTER_LONG}, contract=Contract(impact=0.5), sigma=0.02,
                   volume=[10_000.0] * 4, init_cash=10_010.0, **NOTIONAL)  # fmt: skip
    assert told(done) == [(1, 1, 100.0, 100.1, "entry")]
    quiet = account([FLAT] * 4, {0: ENTER_LONG}, contract=Contract(impact=0.5), sigma=0.02,
                    volume=[0.0] * 4, **NOTIONAL)  # fmt: skip
    assert (quiet.orders, quiet.counts["refused"]) == ([], 1)


def test_no_more_than_a_share_of_the_signals_volume():
    done = account([FLAT] * 3, {0: ENTER_LONG}, volume=[50.0, 9.0, 9.0],
                   contract=Contract(max_volume_share=0.1), **NOTIONAL)  # fmt: skip
    assert told(done) == [(1, 1, 5.0, 100.0, "entry")]


def test_shorts_borrow_and_what_is_beyond_equity_pays_interest():
    # A short of 10,000 for 2 hours, at 8,760 an hour a year: 1 % of an hour is 87.6 a year.
    day = account([FLAT] * 4, {0: ENTER_SHORT}, contract=Contract(borrow=87.6), **NOTIONAL)
    # 100 units x 100 x 0.01 = 100 each of the two hours after the entry's.
    assert day.equity == pytest.approx([10_000, 10_000, 9_900, 9_800])
    assert day.trades[0].funding == pytest.approx(200)
    # Twice the equity: 10,000 are lent, 1 % an hour; then 20,000 - 9,900 = 10,100.
    lent = account([FLAT] * 4, {0: ENTER_LONG}, contract=Contract(interest=87.6), max_leverage=2.0,
                   sizing="notional", risk=2.0)  # fmt: skip
    assert lent.equity == pytest.approx([10_000, 10_000, 9_900, 9_799])


def test_funding_is_paid_at_the_open_before_all_else():
    rows = [FLAT, FLAT, (110, 110, 110, 110), FLAT]
    done = account(rows, {0: ENTER_LONG, 1: EXIT_LONG}, funding=[0, 0.01, 0.01, 0.01], **NOTIONAL)
    # 100 units x 110 x 1 % = 110 at the open at which they leave; the entry's own open costs none.
    assert done.trades[0].funding == pytest.approx(110)
    assert done.trades[0].pnl == pytest.approx(1_000 - 110)
    assert done.equity[-1] == pytest.approx(10_890)


def test_margin_bounds_the_entry_and_liquidates_inside_and_in_gaps():
    # Leverage 10, but margin 20 %: worth 50,000, 500 units. Liquidated where
    # 10,000 + 500 (p - 100) = 10 % x 500 p: 450 p = 40,000, p = 88.89.
    contract = Contract(initial_margin=0.2, maintenance_margin=0.1)
    given = {"contract": contract, "max_leverage": 10.0, "sizing": "notional", "risk": 10.0}
    price = 40_000 / 450
    inside = account([FLAT, FLAT, (100, 100, 85, 99), FLAT], {0: ENTER_LONG}, **given)
    assert told(inside) == [(1, 1, 500.0, 100.0, "entry"), (2, -1, 500.0, price, "liquidation")]
    assert inside.equity[-1] == pytest.approx(10_000 + 500 * (price - 100))
    # A gap to 82 leaves 1,000; one to 70 would leave -5,000 and ends at 80, where nothing is left.
    gap = account([FLAT, FLAT, (82, 82, 82, 82), FLAT], {0: ENTER_LONG}, **given)
    assert (gap.orders[1].price, gap.orders[1].reason) == (82, "liquidation")
    assert (gap.equity[-1], gap.counts["bust"]) == (pytest.approx(1_000), 0)
    far = account([FLAT, FLAT, (70, 70, 70, 70), FLAT], {0: ENTER_LONG, 2: ENTER_LONG}, **given)
    assert told(far)[1:] == [(2, -1, 500.0, 80.0, "bust")]
    assert (far.equity[-1], far.counts["bust"]) == (pytest.approx(0, abs=1e-8), 1)
    # A stop that is nearer comes first, one that is farther never.
    near = account([FLAT, FLAT, (100, 100, 70, 99), FLAT], {0: ENTER_LONG}, stop=0.05, **given)
    assert (near.orders[1].price, near.orders[1].reason) == (95, "stop")
    late = account([FLAT, FLAT, (100, 100, 70, 99), FLAT], {0: ENTER_LONG}, stop=0.15, **given)
    assert (late.orders[1].price, late.orders[1].reason) == (pytest.approx(price), "liquidation")


def test_without_margin_an_account_ends_at_its_bankruptcy_price():
    # A short of 10,000 is gone at 200; with 1 % fees, entry 100 of them, at
    # 9,900 + 100 (100 - p) = 1 % x 100 p: 101 p = 19,900.
    rows = [FLAT, FLAT, (100, 500, 100, 100), FLAT]
    free = account(rows, {0: ENTER_SHORT, 2: ENTER_SHORT}, **NOTIONAL)
    assert told(free) == [(1, -1, 100.0, 100.0, "entry"), (2, 1, 100.0, 200.0, "bust")]
    dear = account(rows, {0: ENTER_SHORT}, fees=0.01, **NOTIONAL)
    assert dear.orders[1].price == pytest.approx(19_900 / 101)
    assert dear.equity[-1] == pytest.approx(0, abs=1e-8)
    # A margin of 0.1 % would be called at 19,900 / 100.1, where the fees are more than is left.
    called = account([FLAT, FLAT, (100, 198, 100, 100), FLAT], {0: ENTER_SHORT}, fees=0.01,
                     contract=Contract(maintenance_margin=0.001), **NOTIONAL)  # fmt: skip
    assert told(called)[1:] == [(2, 1, 100.0, 19_900 / 101, "bust")]


def test_nothing_fills_on_an_untraded_bar():
    rows = [FLAT, FLAT, (80, 80, 80, 80), (85, 85, 85, 85), FLAT]
    done = account(rows, {0: ENTER_LONG, 1: EXIT_LONG}, stop=0.1, volume=[1, 1, 0, 1, 1])
    # Neither the stop at 90 nor the exit; the exit has lapsed, the stop is a gap one bar later.
    assert told(done)[1:] == [(3, -1, 10.0, 85.0, "gap_stop")]
    assert done.equity[2] == pytest.approx(9_800)
    # A bar that moves was traded, whatever its volume says.
    moved = [FLAT, FLAT, (80, 81, 80, 80), (85, 85, 85, 85), FLAT]
    done = account(moved, {0: ENTER_LONG}, stop=0.1, volume=[1, 1, 0, 1, 1])
    assert told(done)[1:] == [(2, -1, 10.0, 80.0, "gap_stop")]
    # A market whose volume is never known trades at every bar.
    done = account(rows, {0: ENTER_LONG}, stop=0.1, volume=[0] * 5)
    assert done.orders[1].row == 2


def test_a_holding_is_over_by_bar_slots():
    given = {"max_holding": 3, **NOTIONAL}
    assert account([FLAT] * 6, {0: ENTER_LONG}, **given).orders[1].row == 4
    gap = account([FLAT] * 6, {0: ENTER_LONG}, slots=[0, 1, 2, 5, 6, 7], **given)  # two are missing
    assert (gap.orders[1].row, gap.orders[1].reason) == (3, "max_holding")
    again = account([FLAT] * 8, {0: ENTER_LONG, 3: ENTER_LONG}, **given)  # due at 4, from there on
    assert again.orders[1].row == 7


def test_leave_rows_end_what_is_held_and_enter_nothing():
    done = account([FLAT] * 6, {0: ENTER_LONG, 2: ENTER_LONG, 3: ENTER_LONG}, leave={3}, **NOTIONAL)
    assert [(o.row, o.reason) for o in done.orders] == [(1, "entry"), (3, "leave"), (4, "entry")]


@pytest.mark.parametrize(
    ("trail", "price"),
    [("close", 108.0), ("extreme", 117.0)],  # 120 x 0.9; 130 x 0.9
)
def test_a_trailing_stop_moves_at_the_close_and_acts_from_the_next_bar(trail, price):
    # The low of 95 on the bar of the high of 130 is not yet below a stop that has moved.
    rows = [FLAT, FLAT, (100, 130, 95, 120), (119, 119, 100, 100), FLAT]
    done = account(rows, {0: ENTER_LONG}, stop=0.1, trail=trail)
    assert told(done)[1:] == [(3, -1, 10.0, price, "stop")]


def test_break_even_is_where_the_trade_makes_nothing():
    # Once 100 x (1 + 0.5 x 0.1) = 105 was reached: 100 q + 1 % (100 + p) q = p q, p = 101 / 0.99.
    rows = [FLAT, FLAT, (100, 105, 100, 104), (104, 104, 90, 90), FLAT]
    done = account(rows, {0: ENTER_LONG}, stop=0.1, break_even=0.5, fees=0.01)
    assert (done.orders[1].price, done.orders[1].reason) == (pytest.approx(101 / 0.99), "stop")
    assert done.trades[0].pnl == pytest.approx(0, abs=1e-9)
    short_of = [FLAT, FLAT, (100, 104.9, 100, 104), (104, 104, 90, 90), FLAT]
    done = account(short_of, {0: ENTER_LONG}, stop=0.1, break_even=0.5, fees=0.01)
    assert done.orders[1].price == pytest.approx(90)


def test_a_ladder_leaves_in_steps_and_is_one_trade():
    # 100 units, 10 % profit: half at 110, the rest at 120.
    rows = [FLAT, FLAT, (100, 115, 100, 112), (112, 125, 112, 120), FLAT]
    given = {"profit": 0.1, **NOTIONAL}
    done = account(rows, {0: ENTER_LONG}, ladder=((1.0, 0.5), (2.0, 0.5)), **given)
    assert told(done)[1:] == [
        (2, -1, 50.0, 110.0, "take_profit"),
        (3, -1, 50.0, 120.0, "take_profit"),
    ]
    (trade,) = done.trades
    assert (trade.exit_price, trade.exit_row) == (pytest.approx(115), 3)
    assert trade.pnl == pytest.approx(500 + 1_000)
    # Of lots of 60 there is one, 60 units; half of it is none, so the last step takes it all.
    lots = account(rows, {0: ENTER_LONG}, ladder=((1.0, 0.5), (2.0, 0.5)),
                   contract=Contract(lot=60), **given)  # fmt: skip
    assert told(lots)[1:] == [(3, -1, 60.0, 120.0, "take_profit")]
    # Of 100 units in lots of 20, 15 are too few; the next step's 15 and these are one lot.
    kept = account(rows, {0: ENTER_LONG}, ladder=((0.5, 0.15), (1.0, 0.15)),
                   contract=Contract(lot=20), **given)  # fmt: skip
    assert told(kept)[1:] == [(2, -1, 20.0, 110.0, "take_profit")]
    # A gap beyond both takes both at its open.
    gap = account([FLAT, FLAT, (130, 130, 130, 130), FLAT], {0: ENTER_LONG},
                  ladder=((1.0, 0.5), (2.0, 0.5)), **given)  # fmt: skip
    assert told(gap)[1:] == [(2, -1, 50.0, 130.0, "take_profit")] * 2


def test_a_limit_entry_rests_is_traded_through_and_expires():
    given = {"limit_offset": 0.05, "limit_bars": 2, "contract": Contract(taker=0.02, maker=0.01),
             "slippage": 0.001, "sizing": "notional", "risk": 0.5}  # fmt: skip
    touched = (100, 100, 95, 100)  # the limit itself, not through it
    through = (100, 120, 94, 100)
    done = account([FLAT, touched, through, FLAT], {0: ENTER_LONG}, profit=0.1, **given)
    # 5,000 at 95 are 52.63 units, fee 1 %; 104.5 was passed on the same bar, perhaps before.
    assert told(done) == [(2, 1, 5_000 / 95, 95.0, "entry")]
    assert done.orders[0].fees == pytest.approx(50)
    late = account([FLAT, touched, touched, through, FLAT], {0: ENTER_LONG}, **given)
    assert late.orders == []
    # A later open beyond it: at the open, as a maker. At its own first open: a taker, slipped.
    low = (90, 100, 90, 100)
    later = account([FLAT, touched, low, FLAT], {0: ENTER_LONG}, **given)
    assert (later.orders[0].price, later.orders[0].fees) == (90, pytest.approx(50))
    first = account([FLAT, low, FLAT], {0: ENTER_LONG}, **given)
    assert (first.orders[0].price, first.orders[0].fees) == (
        pytest.approx(90.09),
        pytest.approx(100),
    )
    # An exit signal takes it back; so does the time to leave.
    back = account([FLAT, touched, through, FLAT], {0: ENTER_LONG, 1: EXIT_LONG}, **given)
    gone = account([FLAT, touched, through, FLAT], {0: ENTER_LONG}, leave={2}, **given)
    assert back.orders == gone.orders == []


def test_a_bar_that_reaches_both_is_ambiguous_unless_detail_tells():
    wide = (100, 125, 80, 100)
    given = {"stop": 0.1, "profit": 0.2}
    for order, price in (("worst", 90), ("best", 120)):
        done = account([FLAT, FLAT, wide, FLAT], {0: ENTER_LONG}, order=order, **given)
        assert (done.orders[1].price, done.counts["ambiguous"]) == (pytest.approx(price), 1)
    up_first = {2: [(100, 125, 100, 110), (110, 110, 80, 100)]}
    down_first = {2: [(100, 100, 85, 85), (85, 125, 80, 100)]}
    for detail, price in ((up_first, 120), (down_first, 90)):
        done = account([FLAT, FLAT, wide, FLAT], {0: ENTER_LONG}, detail=detail, **given)
        assert (done.orders[1].price, done.counts["ambiguous"]) == (pytest.approx(price), 0)
    jump = {2: [(100, 100, 100, 100), (85, 125, 80, 100)]}
    done = account([FLAT, FLAT, wide, FLAT], {0: ENTER_LONG}, detail=jump, **given)
    assert (done.orders[1].price, done.orders[1].reason) == (85, "gap_stop")


def test_detail_bars_trail_within_their_bar():
    # After the first detail bar's close of 120 the stop is at 108, and the second goes to 100.
    rows = [FLAT, FLAT, (100, 120, 100, 105), FLAT]
    detail = {2: [(100, 120, 100, 120), (120, 120, 100, 105)]}
    done = account(rows, {0: ENTER_LONG}, stop=0.1, trail="extreme", detail=detail)
    assert told(done)[1:] == [(2, -1, 10.0, 108.0, "stop")]
    done = account(rows, {0: ENTER_LONG}, stop=0.1, trail="close", detail=detail)
    assert told(done)[1:] == []  # that follows the bar's own close


def two(a, b, codes, **terms):
    names = ("A", "B")
    num = len(a)
    nothing = dict.fromkeys(
        ("stop_long", "stop_short", "take_profit_long", "take_profit_short"),
        [terms.pop("stop", math.nan)] * num,
    )
    nothing |= {name: [math.nan] * num for name in nothing if "take" in name}
    contract = terms.pop("contract", Contract())
    return plain_account(
        {"A": frame(a), "B": frame(b)},
        {n: [codes.get(i, 0) for i in range(num)] for n in names},
        {n: [1.0] * num for n in names},
        dict.fromkeys(names, nothing),
        dict.fromkeys(names, contract),
        Terms(**terms),
    )


def test_entries_of_one_open_share_the_room():
    done = two([FLAT] * 3, [(50, 50, 50, 50)] * 3, {0: ENTER_LONG}, **NOTIONAL)
    # Both want 10,000 of 10,000: 5,000 each.
    assert [(o.symbol, o.units) for o in done.orders] == [
        ("A", pytest.approx(50)), ("B", pytest.approx(100)),
    ]  # fmt: skip
    # 1 % each by risk, but 1.5 % together: 0.75 % each, 75 over a stop of 10.
    done = two([FLAT] * 3, [FLAT] * 3, {0: ENTER_LONG}, stop=0.1, max_open_risk=0.015)
    assert [o.units for o in done.orders] == pytest.approx([7.5, 7.5])


def test_all_that_is_held_is_liquidated_on_the_way_down_together():
    # 2 x leverage, 10,000 each: 100 units of A at 100, 200 of B at 50. A's low is 40, B's 30: at
    # the share w of the way A is at 100 - 60 w, B at 50 - 20 w, equity 10,000 - 10,000 w. A margin
    # of 10 % of 20,000 - 10,000 w: 10,000 - 10,000 w = 2,000 - 1,000 w, w = 8/9.
    a = [FLAT, FLAT, (100, 100, 40, 100), FLAT]
    b = [(50, 50, 50, 50)] * 2 + [(50, 50, 30, 50), (50, 50, 50, 50)]
    done = two(a, b, {0: ENTER_LONG}, sizing="notional", risk=1.0, max_leverage=2.0,
               contract=Contract(maintenance_margin=0.1))  # fmt: skip
    assert told(done)[2:] == [
        (2, -1, 100.0, 100 - 60 * 8 / 9, "liquidation"),
        (2, -1, 200.0, 50 - 20 * 8 / 9, "liquidation"),
    ]
    assert done.equity[-1] == pytest.approx(10_000 / 9)


def test_a_symbol_that_is_gone_is_closed_at_its_last_close():
    rows = [FLAT, FLAT, (100, 100, 80, 80), None, None, None]
    done = plain_account(
        {"A": frame(rows), "B": frame([FLAT] * 6)},
        {"A": [ENTER_LONG, 0, 0, 0, 0, 0], "B": [0] * 6},
        dict.fromkeys("AB", [0.5] * 6),
        dict.fromkeys("AB", dict.fromkeys(
            ("stop_long", "stop_short", "take_profit_long", "take_profit_short"), [math.nan] * 6
        )),
        dict.fromkeys("AB", Contract()),
        Terms(**NOTIONAL),
        gone={"A": 4},
    )  # fmt: skip
    assert told(done) == [(1, 1, 50.0, 100.0, "entry"), (4, -1, 50.0, 80.0, "delisted")]
    assert done.equity[-1] == pytest.approx(9_000)


def test_the_stop_of_a_short_mirrors_that_of_a_long():
    # E = 99; the stop 10 % above, 108.9, fills at 109.989: 10.989 and 1 % of 99 + 109.989 a unit.
    rows = [FLAT, FLAT, (100, 120, 100, 115), FLAT]
    done = account(rows, {0: ENTER_SHORT}, stop=0.1, fees=0.01, slippage=0.01)
    units = 100 / (10.989 + 2.08989)
    assert told(done) == [(1, -1, units, 99.0, "entry"), (2, 1, units, 109.989, "stop")]
    assert done.equity[-1] == pytest.approx(9_900)
