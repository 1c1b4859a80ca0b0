import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnext_vbt.errors import DataError
from convnext_vbt.live.account import Account, Holding, Limits
from convnext_vbt.live.decision import decide
from convnext_vbt.live.due import row_of
from convnext_vbt.live.text import NOT_AN_ORDER, lines, to_dict
from convnext_vbt.live.trained import difference_from_backtest, predict_now
from convnext_vbt.market.bars import FIELDS, Bars
from convnext_vbt.trading import kernel
from convnext_vbt.trading.instruments import Instrument
from tests.examples import examples

SYMBOL = "SIM/USDT"


def at(trained, bars, row, limits=None, *, equity=10_000.0, position=0.0, entered=None):
    """The decision at the close of a bar of the backtest."""
    account = Account(equity=equity, held={SYMBOL: Holding(units=position, entered=entered)})
    return decide(trained, bars.rows(0, row + 1), account, limits=limits).decisions[0]


def row_where(finished, trained, bars, step):
    """The first of the last bars at which a flat account is told to do this."""
    for row in range(1000, 1199):
        if at(trained, bars, row).step == step:
            return row
    raise AssertionError(f"no bar says {step}")


@pytest.fixture(scope="module")
def long_row(finished, trained, bars):
    return row_where(finished, trained, bars, "enter long")


@pytest.fixture(scope="module")
def short_row(finished, trained, bars):
    return row_where(finished, trained, bars, "enter short")


def test_a_position_decides_what_an_entry_comes_to(trained, bars, long_row, short_row):
    fresh = at(trained, bars, long_row)
    assert (fresh.action, fresh.target) == ("BUY", fresh.units)
    held = at(trained, bars, long_row, position=0.2)
    assert (held.action, held.step, held.units, held.target) == ("WAIT", "hold long", 0.0, 0.2)
    assert held.entry is None
    turned = at(trained, bars, long_row, position=-0.2)
    assert (turned.action, turned.step) == ("BUY", "reverse to long")
    assert turned.units == pytest.approx(0.2 + turned.entry.units)
    assert turned.target == turned.entry.units
    assert turned.entry.units < fresh.entry.units  # closing has cost money
    short = at(trained, bars, short_row)
    assert (short.action, short.step, short.target) == ("SELL", "enter short", -short.units)


def signals(trained, bars, row, side):
    """Whether a flat account enters on this side at the bar."""
    return at(trained, bars, row).step == f"enter {side}"


@pytest.mark.parametrize("side", ["long", "short"])
def test_a_time_limit_ends_a_position_that_is_no_longer_signalled(trained, bars, side):
    for row in range(1000, 1199):
        held = {"position": 0.3 if side == "long" else -0.3}
        opposite = at(trained, bars, row).entry
        if opposite is None and at(trained, bars, row, **held).step == f"hold {side}":
            break
    due = at(trained, bars, row, **held, entered=bars.index[row - 3])
    assert (due.step, due.target, due.units) == (f"exit {side}", 0.0, 0.3)
    assert due.action == ("SELL" if side == "long" else "BUY")
    assert any("held for 4 bars" in reason for reason in due.reasons)
    early = at(trained, bars, row, **held, entered=bars.index[row - 2])
    assert (early.step, early.warnings) == (f"hold {side}", ())
    unknown = at(trained, bars, row, **held)
    assert any("give --entered" in warning for warning in unknown.warnings)


@pytest.mark.parametrize("side", ["long", "short"])
def test_a_position_whose_time_was_up_at_a_bar_that_was_missed_ends_now(trained, bars, side):
    held = {"position": 0.3 if side == "long" else -0.3}
    seen = set()
    for row in range(1000, 1199):
        idle = at(trained, bars, row).entry is None
        if not idle or at(trained, bars, row, **held).step != f"hold {side}":
            continue
        kept_on = signals(trained, bars, row - 2, side)  # where four of the six bars were over
        late = at(trained, bars, row, **held, entered=bars.index[row - 5])
        assert late.step == (f"hold {side}" if kept_on else f"exit {side}")
        assert any("a decision was missed" in why for why in late.reasons) is not kept_on
        seen.add(kept_on)
        if seen == {True, False}:
            return
    raise AssertionError(f"only {seen}")


@pytest.mark.parametrize("seconds", [3, 3_599])
def test_a_fill_counts_from_the_bar_that_it_lies_in(trained, bars, seconds):
    for row in range(1000, 1199, 20):
        exact, later = (
            at(trained, bars, row, position=0.3, entered=bars.index[row - 3] + extra)
            for extra in (pd.Timedelta(0), pd.Timedelta(seconds=seconds))
        )
        assert later == exact


def test_a_fill_in_a_panel_lies_in_its_symbols_own_bar(bars):
    late = replace(bars, index=bars.index + pd.Timedelta(minutes=30), symbols=("B",))
    panel = Bars.join([bars, late])
    fill = bars.index[50] + pd.Timedelta(minutes=40)  # after the other symbol's next open
    for n, opened in ((0, bars.index[50]), (1, late.index[50])):
        assert panel.index[row_of(panel, n, fill)] == opened
    assert row_of(panel, 0, panel.index[-1] + pd.Timedelta(days=1)) == len(panel)


def test_exits_and_reversals_are_whole_lots(trained, bars, short_row):
    lots = Limits(lot=0.001)
    turned = at(trained, bars, short_row, lots, position=0.3004)
    assert turned.step == "reverse to short"
    assert turned.units == round(turned.units, 3)
    assert turned.target == pytest.approx(0.3004 - turned.units, abs=1e-12)
    assert -turned.target == pytest.approx(turned.entry.units)
    whole = at(trained, bars, short_row, position=0.3004)
    assert turned.entry.money_at_risk <= whole.entry.money_at_risk
    row = next(
        row
        for row in range(1000, 1199)
        if at(trained, bars, row, position=0.3, entered=bars.index[row - 3]).step == "exit long"
    )
    due = bars.index[row - 3]
    left = at(trained, bars, row, lots, position=0.3004, entered=due)
    assert (left.action, left.step, left.units) == ("SELL", "exit long", 0.3)
    assert left.target == pytest.approx(0.0004, abs=1e-15)
    assert any("0.0004 units cannot be ordered: less than one lot" in w for w in left.warnings)
    dust = at(trained, bars, row, lots, position=0.0004, entered=due)
    assert (dust.action, dust.step, dust.units, dust.target) == ("WAIT", "hold long", 0.0, 0.0004)


@pytest.mark.parametrize(
    ("instrument", "said"),
    [
        (Instrument(multiplier=50.0), "of the underlying, a contract of 50: order units / 50, "),
        (Instrument(inverse=True, lot=100.0), "of the quote currency, a lot of 100: order units "),
        (Instrument(lot=0.1), None),
        (Instrument(inverse=True, lot=1.0), None),
    ],
)
def test_units_that_are_no_contracts_are_said_to_be_none(
    trained, bars, short_row, instrument, said
):
    trading = replace(trained.config.trading, instruments={"default": instrument})
    other = replace(trained, config=trained.config.model_copy(update={"trading": trading}))
    told = [why for why in at(other, bars, short_row).warnings if "units are" in why]
    assert len(told) == (said is not None)
    assert all(said in why for why in told)


def test_an_exit_under_the_least_worth_is_told_as_the_kernel_makes_it(trained, bars, short_row):
    row = next(
        row
        for row in range(1000, 1199)
        if at(trained, bars, row, position=0.3, entered=bars.index[row - 3]).step == "exit long"
    )
    least = Limits(min_notional=1e5)
    small = at(trained, bars, row, least, position=0.3, entered=bars.index[row - 3])
    assert (small.action, small.step, small.units, small.target) == ("SELL", "exit long", 0.3, 0.0)
    (worth,) = [why for why in small.warnings if "reduce-only" in why]
    assert (
        f"the exit is worth {0.3 * bars.close[row, 0]:,.2f}, under the minimum of 100,000" in worth
    )
    turned = at(
        trained, bars, short_row, least, position=0.3
    )  # only what it would open is too small
    assert (turned.action, turned.step, turned.target) == ("SELL", "exit long", 0.0)
    assert any("no entry: " in why and "under the minimum" in why for why in turned.reasons)
    assert any("reduce-only" in why for why in turned.warnings)
    enough = at(
        trained, bars, row, Limits(min_notional=5.0), position=0.3, entered=bars.index[row - 3]
    )
    assert enough.warnings == ()
    inverse = {"default": Instrument(inverse=True, min_notional=250.0)}
    trading = replace(trained.config.trading, instruments=inverse)
    other = replace(trained, config=trained.config.model_copy(update={"trading": trading}))
    for units, told in ((240.0, True), (260.0, False)):  # contracts of 1 of the quote currency
        one = at(other, bars, short_row, position=units, equity=1.0)
        assert any("reduce-only" in why for why in one.warnings) == (told and one.entry is None)
        assert one.step in ("exit long", "reverse to short")


def test_orders_are_rounded_as_people_count():
    assert Limits(lot=0.1).order(0.1, 0.3) == (0.2, 0.3)
    assert Limits(lot=0.1).order(0.3, -0.3) == (-0.6, -0.3)
    assert Limits(lot=0.1).order(0.37, 0.0) == (-0.3, pytest.approx(0.07))
    left = 0.243 - 0.073  # 0.16999999999999998, what a partial exit leaves
    assert Limits(lot=0.001).order(-left, 0.0) == (0.17, 0.0)
    assert Limits(lot=0.001).order(left, -0.05) == (-0.22, -0.05)
    assert Limits().order(4.0, 1.0) == (-3.0, 1.0)


@examples(15)
@given(
    equity=st.floats(1_000, 1e7),
    lot=st.sampled_from([1e-5, 0.001, 0.01]),
    tick=st.sampled_from([0.01, 0.1, 1.0]),
    is_long=st.booleans(),
)
def test_what_the_exchange_takes_never_raises_the_risk(
    trained, bars, long_row, short_row, equity, lot, tick, is_long
):
    row = long_row if is_long else short_row
    exact = at(trained, bars, row, equity=equity).entry
    entry = at(trained, bars, row, Limits(lot=lot, tick=tick), equity=equity).entry
    risk = trained.config.trading.risk
    assert entry.risk <= exact.risk <= risk * (1 + 1e-12)
    assert exact.units - lot < entry.units <= exact.units
    for value, unit in ((entry.units, lot), (entry.stop, tick), (entry.take_profit, tick)):
        assert value / unit == pytest.approx(round(value / unit), abs=1e-6)
    nearer = abs(entry.stop - entry.price), abs(entry.take_profit - entry.price)
    farther = abs(exact.stop - exact.price), abs(exact.take_profit - exact.price)
    assert all(f - tick - 1e-6 < n <= f + 1e-9 for n, f in zip(nearer, farther, strict=True))
    assert (
        entry.side * (entry.take_profit - entry.price) > 0 > entry.side * (entry.stop - entry.price)
    )


def test_money_at_risk_is_what_a_stopped_trade_loses(trained, bars, long_row):
    entry = at(trained, bars, long_row, equity=20_000.0).entry
    trading = trained.config.trading
    sold = entry.stop * (1 - trading.slippage)
    fees = entry.units * trading.fees * (entry.price + sold)
    loss = entry.units * (entry.price - sold) + fees
    assert entry.money_at_risk == pytest.approx(loss, rel=1e-9)
    assert entry.risk == pytest.approx(loss / 20_000)


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Limits(lot=1000.0), "less than one lot of 1000"),
        (Limits(min_notional=1e9), "under the minimum of 1e"),
        (Limits(tick=1e4), "wider than the way to the stop"),
    ],
)
def test_an_entry_that_cannot_be_ordered_is_a_wait(trained, bars, long_row, limits, why):
    one = at(trained, bars, long_row, limits)
    assert (one.action, one.step, one.entry) == ("WAIT", "stay out", None)
    assert any("no entry: " in reason and why in reason for reason in one.reasons)


def test_decimals_are_rounded_as_people_count():
    down = partial(kernel.multiple_nb.py_func, up=False)
    assert down(0.3, 0.1) == 0.3
    assert down(0.39, 0.1) == 0.3
    assert down(3 * 0.1, 0.1) == 0.3
    assert down(750.0, 250.0) == 750.0
    assert kernel.multiple_nb.py_func(1.01, 0.05, up=True) == 1.05
    assert down(0.123456789, 0.0) == 0.123456789


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Account(equity=0.0), "equity must be positive"),
        (lambda: Holding(units=float("nan")), "position must be a number"),
        (lambda: Limits(lot=-0.1), "lot must be positive, got -0.1"),
        (lambda: Limits(min_notional=0.0), "min-notional must be positive"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_just_the_needed_history_is_enough_and_one_bar_less_is_not(trained, bars):
    split = trained.predictions.splits[-1]
    history = trained.history(trained.kept(split))
    assert history == 102  # the stop's volatility: the network needs 80
    proba = predict_now(trained, split, bars.rows(1100 - history, 1100))
    np.testing.assert_allclose(proba, trained.predictions.proba[1099], atol=1e-5)
    short = bars.rows(1101 - trained.kept(split).fitted.receptive_field, 1100)
    with pytest.raises(DataError, match=r"SIM/USDT: 79 bars are there and 102 are needed"):
        decide(trained, short, Account(equity=1.0))
    slow = replace(trained.kept(split), warmup=150)  # of features that do not even begin
    with pytest.raises(DataError, match=r"^150 bars are there and 230 are needed \(warm-up of"):
        predict_now(replace(trained, _kept={split.number: slow}), split, bars.rows(950, 1100))


def test_gaps_are_told_and_do_not_matter(trained, bars):
    keep = np.r_[0:1050, 1055:1100]
    gappy = replace(
        bars,
        index=bars.index[keep],
        **{name: getattr(bars, name)[keep] for name in ("open", "high", "low", "close", "volume")},
    )
    one = decide(trained, gappy, Account(equity=1e4)).decisions[0]
    assert any(warning.startswith("1 gap(s), 5 bars missing") for warning in one.warnings)
    assert not at(trained, bars, 1099).warnings


def test_the_text_says_what_the_decision_says(trained, bars, long_row):
    account = Account(equity=10_000.0)
    found = decide(trained, bars.rows(0, long_row + 1), account, difference=3e-8)
    text = "\n".join(lines(found, ["a note"]))
    one = found.decisions[0]
    for part in (
        f"BUY {one.units:.8g}: enter long",
        f"UP {one.prob_up:.1%}",
        f"{one.entry.money_at_risk:,.2f}",
        "reaches the threshold",
        "of the training range, out of fold",
        "volatility: over 4 bars",
        f"verdict is {trained.verdict}",
        "to 3e-08",
        "a note",
        NOT_AN_ORDER,
    ):
        assert part in text
    assert all(len(line) <= 120 for line in text.splitlines())
    facts = json.loads(json.dumps(to_dict(found)))
    assert facts["decisions"][0]["entry"]["stop"] == one.entry.stop
    assert pd.Timestamp(facts["bar"]) == one.bar
    assert facts["note"] == NOT_AN_ORDER


def test_what_an_order_and_its_exits_are_is_told(trained, bars, long_row):
    exits = {
        "limit_offset": 0.002,
        "limit_bars": 3,
        "trail": "extreme",
        "break_even": 0.5,
        "take_profit_ladder": ((0.5, 0.3), (1.0, 0.7)),
        "leave_at": "23:30",
    }
    config = trained.config
    trading = replace(config.trading, **exits)
    telling = replace(trained, config=config.model_copy(update={"trading": trading}))
    found = decide(telling, bars.rows(0, long_row + 1), Account(equity=10_000.0))
    (one,), text = found.decisions, "\n".join(lines(found, []))
    profit, gain = one.entry.take_profit_distance, 0.5 * one.entry.stop_distance
    until = f"{one.bar + 4 * pd.Timedelta(hours=1):%Y-%m-%d %H:%M} UTC"
    for part in (
        f"BUY {one.units:.8g} limit at {one.entry.price:,.8g}: enter long, rests for 3 bars",
        f", until {until}; target {one.units:+.8g}",
        "it is a limit order, 0.20% from the signal's close",
        f"in steps: 30% of it {profit:.2%} away, 70% of it {2 * profit:.2%} away",
        "the stop follows each bar's extreme",
        f"a gain of {gain:.2%} moves the stop",
        "nothing is held from 23:30 on",
    ):
        assert part in text
    assert all(len(line) <= 120 for line in text.splitlines())


def test_bars_that_were_revised_are_not_those_of_the_backtest(trained, bars):
    known = bars.rows(0, 1150)
    assert difference_from_backtest(trained, known) < 1e-5
    assert difference_from_backtest(trained, known.rows(1100, 1150)) is None
    table = pd.concat([known.frame(name)[SYMBOL] for name in FIELDS], axis=1, keys=FIELDS)
    for hole, compared in ((900, True), (1100, False)):  # 102 bars are read
        holed = Bars.from_frame(table.drop(table.index[hole]), symbol=SYMBOL)
        assert (difference_from_backtest(trained, holed) is not None) == compared
    factor = np.ones((1150, 1))
    factor[1140:] = np.linspace(1.0, 1.3, 10)[:, None]
    prices = {name: getattr(known, name) * factor for name in ("open", "high", "low", "close")}
    prices["open"] = prices["open"] / factor**0.5
    prices["high"] = np.maximum(prices["high"], prices["open"])
    prices["low"] = np.minimum(prices["low"], prices["open"])
    with pytest.raises(DataError, match="the bars were revised, or the features have changed"):
        difference_from_backtest(trained, replace(known, **prices))
