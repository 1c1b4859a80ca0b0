"""What each symbol paid, on orders worked by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.evidence.accounts import Account
from convnext_vbt.evidence.costs import SymbolCosts, costs_by_symbol
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions
from convnext_vbt.report.sections.costs.section import symbol_cost_table
from convnext_vbt.trading.instruments import Instrument
from convnext_vbt.trading.sweep import sweep
from tests.trading.markets import hours, signals_of

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")
SYMBOLS = ("A", "B")
PRICES = np.tile([100.0, 50.0], (4, 1))
BARS = Bars(
    index=hours(4), symbols=SYMBOLS, step=pd.Timedelta(hours=1), open=PRICES, high=PRICES,
    low=PRICES, close=PRICES, volume=np.ones_like(PRICES),
)  # fmt: skip


def paid_by(instruments):
    """Of an entry at the second bar and an exit at the third, in both symbols."""
    share = pd.DataFrame(0.4, index=BARS.index, columns=list(SYMBOLS))
    preds = Predictions.from_frames(prob_up=share, prob_down=share)
    signals = signals_of(4, symbols=SYMBOLS, entries=[0], exits=[1])
    res = sweep(
        BARS, preds, signals=signals, risk=0.01, stop=0.1, fees=0.002, slippage=0.001,
        instruments=instruments,
    )  # fmt: skip
    account = Account.of(res.simulation())
    return costs_by_symbol(res, account), account


def test_each_symbol_paid_for_its_own_orders():
    table = {
        "A": Instrument(taker=0.001, slippage=0.0, lot=1.0),
        "B": Instrument(half_spread=0.5, slippage=0.0, fee_per_contract=0.25, taker=0.0, lot=1.0),
    }
    (a, b), account = paid_by(table)
    assert (a.symbol, a.instrument, a.orders) == ("A", table["A"], 2)
    assert (a.taker, a.slippage, b.taker, b.slippage) == (0.001, 0.0, 0.0, 0.0)
    assert a.a_side == pytest.approx(0.001)
    # B is bought at 50.5 and sold at 49.5: a half and a quarter for each of its units, twice.
    units = account.orders[account.orders["col"] == 1]["size"]
    assert len(set(units)) == 1
    assert b.paid == pytest.approx(2 * 0.75 * units[0])
    assert b.a_side == pytest.approx(0.75 / 50)
    assert a.paid + b.paid == pytest.approx(account.init_cash - account.equity[-1])


def test_what_an_instrument_leaves_out_is_what_holds_for_all():
    (a, b), _ = paid_by({"default": Instrument(), "B": Instrument(taker=0.0)})
    assert (a.taker, a.slippage) == (0.002, 0.001)
    assert (b.taker, b.slippage) == (0.0, 0.001)
    assert b.a_side == pytest.approx(0.001)


def test_without_instruments_there_is_nothing_to_tell_by_symbol():
    found, account = paid_by({})
    assert len(account.orders) == 4
    assert found == ()
    assert symbol_cost_table(found) == ([], [])


def test_the_table_names_what_there_is():
    one = SymbolCosts(
        symbol="ES", taker=0.0, slippage=0.0, orders=12, paid=1_234.4, a_side=0.000123,
        instrument=Instrument(
            tick=0.25, fee_per_contract=2.25, half_spread=0.125, initial_margin=0.08,
            maintenance_margin=0.07,
        ),
    )  # fmt: skip
    other = SymbolCosts(
        symbol="BTC/USDT", taker=0.0004, slippage=0.0002, orders=0, paid=0.0, a_side=np.nan,
        instrument=Instrument(
            lot=0.001, volatility_slippage=0.1, impact=0.5, borrow=0.03, min_fee=0.5
        ),
    )  # fmt: skip
    heads, rows = symbol_cost_table([one, other])
    assert [dict(zip(heads, row, strict=True)) for row in rows] == [
        {
            "Symbol": "ES", "Taker fee": "2.25 a contract", "Slippage": "half-spread 0.125",
            "Least fee": "–", "Lot": "–", "Tick": "0.25", "Borrow a year": "–",
            "Margin": "8 % / 7 %", "Paid per side": "1.2 bp", "Paid in all": "1,234",
        },
        {
            "Symbol": "BTC/USDT", "Taker fee": "4.0 bp",
            "Slippage": "fixed 2.0 bp + volatility × 0.1 + impact × 0.5", "Least fee": "0.5",
            "Lot": "0.001", "Tick": "–", "Borrow a year": "3 %", "Margin": "–",
            "Paid per side": "n/a (0 trades)", "Paid in all": "0.00",
        },
    ]  # fmt: skip
    plain = replace(other, instrument=Instrument(), slippage=0.0)
    heads, rows = symbol_cost_table([plain])
    assert heads == ["Symbol", "Taker fee", "Slippage", "Paid per side", "Paid in all"]
    assert rows[0][:3] == ["BTC/USDT", "4.0 bp", "none"]
