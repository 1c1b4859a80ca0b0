"""What bars do not tell, on accounts of a few bars worked by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.evidence.accounts import Account
from convnext_vbt.evidence.selection import Selection
from convnext_vbt.evidence.window import Window
from convnext_vbt.evidence.within_bars import within_bars
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.detail import Detail
from convnext_vbt.predictions import Predictions
from convnext_vbt.report.sections.caveats.section import _within
from convnext_vbt.trading.instruments import Instrument
from convnext_vbt.trading.sweep import sweep
from tests.trading.markets import bars_of, signals_of

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")
CALM = (100.0, 100.0, 100.0, 100.0)
BOTH = (100.0, 110.0, 90.0, 100.0)
"""Of an entry at 100 it reaches the stop at 95 and the take-profit at 105."""
UP = (100.0, 106.0, 99.0, 105.0)
GAP = (90.0, 91.0, 89.0, 90.0)
DOWN = (100.0, 100.0, 98.0, 98.0)
ROWS = [CALM, BOTH, UP, DOWN, GAP, GAP]


def found_in(bars, *, entries=(0, 1, 2), risk=0.01, stop=0.05, take_profit=0.05, **terms):
    """Of one rule's own account, as if it had been selected."""
    share = pd.DataFrame(0.4, index=bars.index, columns=list(bars.symbols))
    preds = Predictions.from_frames(prob_up=share, prob_down=share)
    signals = signals_of(len(bars), symbols=bars.symbols, entries=list(entries))
    signals = replace(signals, index=bars.index)
    costs = {"fees": 0.0, "slippage": 0.0}
    res = sweep(
        bars, preds, signals=signals, risk=risk, stop=stop, take_profit=take_profit,
        **(costs | terms),
    )  # fmt: skip
    done = Window(res).simulate(signals, res.brackets, risk=risk)
    chosen = Selection(
        choices=pd.DataFrame(), signals=signals, brackets=res.brackets, simulation=done,
        account=Account.of(done), test_ranges={}, how="nested",
    )  # fmt: skip
    return within_bars(res, chosen, risk=risk)


def finer(bars, first, second):
    """Half hours: of bar 1 these two, of the others the bar and its close."""
    halves = []
    for row, bar in enumerate(ROWS):
        halves += [first, second] if row == 1 else [bar, (bar[3],) * 4]
    index = pd.date_range(bars.index[0], periods=len(halves), freq="30min")
    table = np.array(halves)[:, :, None]
    return Bars(
        index=index, symbols=bars.symbols, step=pd.Timedelta(minutes=30),
        open=table[:, 0], high=table[:, 1], low=table[:, 2], close=table[:, 3],
        volume=np.full((len(halves), 1), 0.5),
    )  # fmt: skip


def test_both_orders_within_a_bar_by_hand():
    # 20 % of the equity each: -1 or +1 % in bar 1, +1 % in bar 2, -2 % over the gap into bar 4.
    found = found_in(bars_of(ROWS))
    assert (found.exits, found.ambiguous_exits) == (3, 1)
    assert found.ambiguous_share == pytest.approx(1 / 3)
    assert found.total_return == pytest.approx(0.99 * 1.01 * 0.98 - 1, rel=1e-12)
    assert found.best_total_return == pytest.approx(1.01 * 1.01 * 0.98 - 1, rel=1e-12)
    assert (found.past_risk, found.risk) == (1, 0.01)
    assert found.worst_loss == pytest.approx(0.02)
    assert (found.refused_entries, found.liquidations, found.is_bust) == (0, 0, False)
    assert not found.has_detail


def test_both_sharpe_ratios_are_of_daily_returns():
    bars = bars_of(ROWS)
    days = replace(
        bars,
        index=pd.date_range("2024-01-01", periods=len(ROWS), freq="D", tz="UTC"),
        step=pd.Timedelta(days=1),
    )
    found = found_in(days)
    for first, sharpe in ((-0.01, found.sharpe), (0.01, found.best_sharpe)):
        returns = np.array([0.0, first, 0.01, -0.004, 0.98 / 0.996 - 1, 0.0])
        expected = returns.mean() / returns.std(ddof=1) * days.days_per_year**0.5
        assert sharpe == pytest.approx(expected, rel=1e-9)


def test_without_such_a_bar_both_orders_are_the_same_account():
    found = found_in(bars_of([CALM, UP, CALM]), entries=[0])
    assert (found.exits, found.ambiguous_exits, found.ambiguous_share) == (1, 0, 0.0)
    assert found.total_return == found.best_total_return == pytest.approx(0.01)
    still = found_in(bars_of([CALM] * 3), entries=[])
    assert (still.exits, still.total_return) == (0, 0.0)
    assert np.isnan(still.ambiguous_share)
    assert _within(still, "the headline") == []


@pytest.mark.parametrize(
    ("first", "second", "ambiguous"),
    [
        ((100.0, 104.0, 90.0, 92.0), (92.0, 110.0, 92.0, 100.0), 0),
        ((100.0, 110.0, 90.0, 95.0), (95.0, 100.0, 95.0, 100.0), 1),
    ],
)
def test_finer_bars_tell_but_for_what_is_within_one_of_them(first, second, ambiguous):
    bars = bars_of(ROWS)
    bars = replace(bars, detail=Detail.from_bars(bars, finer(bars, first, second)))
    found = found_in(bars)
    assert found.has_detail
    assert found.ambiguous_exits == ambiguous
    assert (found.best_total_return > found.total_return) == bool(ambiguous)


def test_entries_under_the_least_worth_are_counted():
    # 2,000 is placed and loses 100; the next two would be 1,980.
    found = found_in(bars_of(ROWS), instruments={"A": Instrument(min_notional=1_990.0)})
    assert (found.exits, found.refused_entries) == (1, 2)
    assert found_in(bars_of(ROWS)).refused_entries == 0


def test_a_liquidation_is_no_bust_and_a_bust_is():
    # Five times the equity; at 85 a tenth of the worth is not left.
    terms = {"risk": 1.0, "stop": 0.2, "take_profit": 0.5, "max_leverage": 10.0, "entries": [0]}
    margin = {"A": Instrument(maintenance_margin=0.1)}
    falls = bars_of([CALM, (100.0, 100.0, 85.0, 90.0), CALM])
    found = found_in(falls, instruments=margin, **terms)
    assert (found.liquidations, found.is_bust) == (1, False)
    assert -1.0 < found.total_return < -0.4
    crash = bars_of([CALM, CALM, (70.0,) * 4, (70.0,) * 4])
    lost = found_in(crash, **terms)
    assert (lost.is_bust, lost.total_return) == (True, -1.0)


def test_what_is_said_of_it():
    found = found_in(bars_of(ROWS), instruments={"A": Instrument(min_notional=100.0)})
    past, order = _within(found, "the headline")
    assert past == (
        "1 trade of the headline whose stop was gapped through lost more than the 1 % of the "
        "equity that a trade may lose; the worst lost 2 %."
    )
    assert order == (
        "In 1 of 3 exits of the headline (33.3 %) one bar reached both the stop and the "
        "take-profit; here the stop comes first: −2.0 % in all; were it the take-profit, 0.0 %. "
        "Finer bars (data.detail) tell."
    )
    more = replace(
        found, past_risk=0, has_detail=True, refused_entries=1_212, liquidations=1, is_bust=True
    )
    order, refused, liquidated, bust = _within(more, "the headline")
    for terms, why in (
        ({"is_shared": True}, "under the least order of the instrument, or without room under the"),
        ({"is_shared": True, "has_least_size": False}, "entries of x were without room under the"),
        ({"has_least_size": False}, "1,212 entries of x were of no size and not placed."),
    ):
        assert why in _within(replace(more, **terms), "x")[1]
    assert "(33.3 %) even one of the finer bars (data.detail) reached both" in order
    assert order.endswith("were it the take-profit, 0.0 %.")
    assert refused == (
        "1,212 entries of the headline were under the least order of the instrument and not placed."
    )
    assert liquidated == "1 trade of the headline was liquidated, the margin used up."
    assert bust == "The headline loses the whole account."
