import copy
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import convnext_vbt as cv
from convnext_vbt.errors import InputError, InputTypeError
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.trading.brackets import fixed_brackets
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.instruments import (
    DEFAULT,
    Instrument,
    Instruments,
    check_instruments,
    instrument_of,
)
from convnext_vbt.trading.simulation import simulate_signals

from .markets import random_bars, random_signals


def bars_of(symbols=("A",), price=100.0, volume=5.0):
    index = pd.date_range("2024-01-01", periods=3, freq="h", tz="UTC")
    values = np.full((3, len(symbols)), price)
    low = values.copy()
    low[1] = price / 2
    return cv.Bars(
        index=index,
        symbols=tuple(symbols),
        open=values,
        high=values,
        low=low,
        close=values,
        volume=np.full_like(values, volume),
        step=pd.Timedelta(hours=1),
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"lot": 0}, r"lot must be positive, got 0; leave it out for none"),
        ({"tick": -0.1}, "tick must be positive, got -0.1"),
        ({"min_notional": 0.0}, "min_notional must be positive"),
        ({"multiplier": 0.0}, "multiplier must be positive"),
        ({"tick": float("nan")}, "tick must be a number, got nan"),
        ({"lot": float("inf")}, "lot must be finite, got inf; leave it out"),
        ({"multiplier": None}, "multiplier must be a number, got None"),
        ({"lot": "1"}, "lot must be a number, got '1'"),
        ({"lot": True}, "lot must be a number, got True"),
        ({"inverse": 1}, "inverse must be true or false, got 1"),
        ({"currency": ""}, "currency must be a name such as \"USDT\", got ''"),
        ({"currency": 1}, 'currency must be a name such as "USDT", got 1'),
        ({"taker": -0.0001}, r"taker must lie in \[0, 0.5\), got -0.0001; 0.0005 is 5 bp"),
        ({"maker": -0.5001}, r"maker must lie in \[-0.5, 0.5\), got -0.5001"),
        ({"slippage": 0.5}, r"slippage must lie in \[0, 0.5\), got 0.5"),
        ({"fee_per_contract": -1.0}, "fee_per_contract must be at least 0, got -1.0"),
        ({"min_fee": -1.0}, "min_fee must be at least 0"),
        ({"half_spread": -1.0}, "half_spread must be at least 0"),
        ({"volatility_slippage": -1.0}, "volatility_slippage must be at least 0"),
        ({"impact": -1.0}, "impact must be at least 0"),
        ({"max_volume_share": 0.0}, r"max_volume_share must lie in \(0, 1\], got 0.0; 0.05"),
        ({"max_volume_share": 1.01}, r"max_volume_share must lie in \(0, 1\]"),
        ({"borrow": 10.0}, r"borrow must lie in \[0, 10\), got 10.0; 0.03 is 3 % a year"),
        ({"interest": -0.01}, r"interest must lie in \[0, 10\)"),
        ({"initial_margin": 0.0}, r"initial_margin must lie in \(0, 1\], got 0.0; 0.1 is ten"),
        ({"initial_margin": 1.5}, r"initial_margin must lie in \(0, 1\]"),
        ({"maintenance_margin": 1.0}, r"maintenance_margin must lie in \[0, 1\), got 1.0"),
        (
            {"initial_margin": 0.1, "maintenance_margin": 0.2},
            "maintenance_margin 0.2 lies above initial_margin 0.1: every entry",
        ),
        ({"inverse": True, "multiplier": 100.0}, "no multiplier, got 100: .* lot = 100"),
    ],
)
def test_what_cannot_be_is_refused_with_its_value(keys, message):
    with pytest.raises(InputError, match=message) as caught:
        Instrument(**keys)
    assert "\n" not in str(caught.value)


def test_edges_that_exchanges_have_are_taken():
    Instrument(maker=-0.00025, taker=0.0, max_volume_share=1.0, initial_margin=1.0)
    Instrument(initial_margin=0.1, maintenance_margin=0.1, inverse=True, lot=100)
    assert cv.Instrument() == Instrument()


def test_a_rebate_is_not_raised_with_the_costs():
    one = cv.Instrument(maker=-0.0002, taker=0.0005, min_fee=1.0, lot=0.1)
    double, free = one.times_costs(2.0), one.times_costs(0.0)
    assert (double.maker, double.taker, double.min_fee, double.lot) == (-0.0002, 0.001, 2.0, 0.1)
    assert (free.maker, free.taker, free.min_fee) == (0.0, 0.0, 0.0)


def test_a_symbol_has_its_own_entry_or_the_default_one():
    own, other = Instrument(lot=1.0), Instrument(lot=2.0)
    assert instrument_of({}, "A") == Instrument()
    assert instrument_of({"A": own, DEFAULT: other}, "A") is own
    assert instrument_of({"A": own, DEFAULT: other}, "B") is other
    with pytest.raises(InputError, match=r'symbol B has no entry .* add \[instruments."B"\] or'):
        instrument_of({"A": own}, "B")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"X": {}, "Y": {}}, r"\[instruments\] names X, Y, but the bars hold A; write the"),
        ({"A": {"tick": 50.1}}, r"A: tick = 50.1 is too large for its lowest price, 50 \(2024-01-"),
        ({"default": {"half_spread": 26.0}}, "A: half_spread = 26 is too large for its lowest"),
    ],
)
def test_instruments_that_the_bars_cannot_have_are_refused(table, message):
    table = {symbol: Instrument(**keys) for symbol, keys in table.items()}
    with pytest.raises(InputError, match=message):
        check_instruments(bars_of(), table)


def test_instruments_that_fit_the_bars_pass():
    check_instruments(bars_of(), {})
    check_instruments(bars_of(), {"A": Instrument(tick=50.0, impact=1.0), DEFAULT: Instrument()})
    with pytest.raises(InputError, match="symbol B has no entry"):
        check_instruments(bars_of(("A", "B")), {"A": Instrument()})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"A": {"currency": "USDT"}, "C": {"currency": "USD"}},
            "A is settled in USDT and C in USD, but one account has one currency; trade them in",
        ),
        (
            {"C": {"inverse": True}},
            "C is an inverse contract, settled in its underlying, and A is none: they cannot",
        ),
        (
            {"B": {"inverse": True, "currency": "BTC"}, "default": {"currency": "BTC"}},
            "B is an inverse contract, settled in its underlying, and A is none",
        ),
        (
            {"default": {"inverse": True}},
            'A, B, C are inverse .* A does not say .* same currency = "BTC", or trade them apart',
        ),
        (
            {"default": {"inverse": True, "currency": "BTC"}, "B": {"inverse": True}},
            "A, B, C are inverse contracts on one account and B does not say what it is settled",
        ),
        (
            {"default": {"inverse": True, "currency": "BTC"},
             "C": {"inverse": True, "currency": "ETH"}},
            "A is settled in BTC and C in ETH",
        ),
    ],
)  # fmt: skip
def test_an_account_has_one_currency(table, message):
    table = {symbol: Instrument(**keys) for symbol, keys in ({"default": {}} | table).items()}
    with pytest.raises(InputError, match=message) as caught:
        check_instruments(bars_of(("A", "B", "C")), table)
    assert "\n" not in str(caught.value)


def test_symbols_of_one_currency_share_an_account():
    three = bars_of(("A", "B", "C"))
    check_instruments(three, {"A": Instrument(currency="USD"), DEFAULT: Instrument()})
    check_instruments(three, {DEFAULT: Instrument(inverse=True, currency="BTC")})
    check_instruments(bars_of(), {"A": Instrument(inverse=True)})
    many = {"A": Instrument(currency="USD"), DEFAULT: Instrument(currency="EUR")}
    check_instruments(bars_of(), many)  # nobody here is the default one


@pytest.mark.parametrize("key", ["impact", "max_volume_share"])
def test_what_needs_volumes_is_refused_without_them(key):
    with pytest.raises(InputError, match=f"A: {key} needs volumes and its bars have none"):
        check_instruments(bars_of(volume=np.nan), {"A": Instrument(**{key: 0.5})})


def test_instruments_are_a_mapping_that_never_changes():
    given = {"A": Instrument(lot=1.0)}
    table = Instruments(given)
    given["B"] = Instrument()
    assert table == {"A": Instrument(lot=1.0)}
    assert (len(table), hash(table)) == (1, hash(Instruments(dict(table))))
    assert "Instruments({'A': Instrument(tick=None, lot=1.0" in repr(table)
    again = pickle.loads(pickle.dumps(table))  # noqa: S301 - our own
    assert again == table == copy.deepcopy(table)
    with pytest.raises(TypeError, match="does not support item assignment"):
        table["A"] = Instrument()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], r"must be a mapping from symbols to Instrument, got \[\]"),
        ({1: Instrument()}, "1 is no symbol; use its name"),
        ({"A": {"tick": 1}}, r"A must be an Instrument, got \{'tick': 1\}; write cv.Instrument"),
    ],
)
def test_what_is_no_table_of_instruments_is_refused(table, message):
    with pytest.raises(InputTypeError, match=message):
        SimulationConfig(instruments=table)


def test_a_symbol_without_a_bar_so_far_is_not_traded_and_no_fault():
    bars = random_bars(num_bars=80, seed=1, symbols=("A", "B"))
    fields = {name: np.array(getattr(bars, name)) for name in FIELDS}
    for values in fields.values():
        values[:60, 1] = np.nan
    bars = replace(bars, **fields).rows(0, 50)
    check_instruments(bars, {"default": Instrument(tick=0.01)})
    signals = random_signals(num_bars=50, num_rules=1, seed=1, symbols=("A", "B"), density=0.3)
    config = SimulationConfig(instruments={"default": Instrument(tick=0.01)})
    done = simulate_signals(bars, signals, fixed_brackets(bars, stop=0.05), config=config)
    assert set(done.orders["col"]) == {0}
