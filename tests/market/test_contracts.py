import ccxt
import pytest

from convnext_vbt.market import contracts
from convnext_vbt.market.contracts import contract_terms, terms_text
from convnext_vbt.market.download import download_bars
from convnext_vbt.runs.config import load_config
from convnext_vbt.trading.instruments import Instrument
from tests.market.exchanges import Habits, Habitual

SPOT = {
    "symbol": "BTC/USDT",
    "contractSize": None,
    "inverse": None,
    "quote": "USDT",
    "settle": None,
    "taker": 0.001,
    "maker": "0.0008",
    "percentage": True,
    "precision": {"amount": 1e-05, "price": 0.01},
    "limits": {"amount": {"min": 1e-05}, "cost": {"min": 5.0, "max": None}},
}
TICKS = contracts.TICK_SIZE


def test_the_modes_are_ccxts():
    assert contracts.DECIMAL_PLACES == ccxt.DECIMAL_PLACES
    assert contracts.SIGNIFICANT_DIGITS == ccxt.SIGNIFICANT_DIGITS
    assert contracts.TICK_SIZE == ccxt.TICK_SIZE


@pytest.mark.parametrize(
    ("mode", "precision", "price", "steps"),
    [
        (ccxt.TICK_SIZE, {"amount": 1e-05, "price": 0.01}, 42_000.0, {"tick": 0.01, "lot": 1e-05}),
        (ccxt.TICK_SIZE, {"amount": 5, "price": 0}, 42_000.0, {"lot": 5.0}),
        (ccxt.DECIMAL_PLACES, {"amount": 5, "price": 2}, 42_000.0, {"tick": 0.01, "lot": 1e-05}),
        (ccxt.DECIMAL_PLACES, {"amount": 0, "price": -1}, 42_000.0, {"tick": 10.0, "lot": 1.0}),
        (ccxt.SIGNIFICANT_DIGITS, {"amount": 8, "price": 5}, 42_000.0, {"tick": 1.0}),
        (ccxt.SIGNIFICANT_DIGITS, {"amount": 8, "price": 5}, 0.0123, {"tick": 1e-06}),
        (ccxt.SIGNIFICANT_DIGITS, {"amount": 8, "price": 5}, 99_999.9, {"tick": 1.0}),
        (ccxt.TICK_SIZE, {"amount": None, "price": None}, 42_000.0, {}),
        (ccxt.TICK_SIZE, None, 42_000.0, {}),
    ],
)
def test_steps_are_read_by_the_exchanges_mode(mode, precision, price, steps):
    told = contract_terms(SPOT | {"precision": precision}, mode, price=price)
    said = {"min_notional": 5.0, "taker": 0.001, "maker": 0.0008, "currency": "USDT"}
    assert told == steps | said
    Instrument(**told)


def test_a_linear_contract_stands_for_its_units():
    swap = SPOT | {"contractSize": 0.001, "precision": {"amount": 1.0, "price": 0.1}}
    told = contract_terms(swap, TICKS, price=42_000.0)
    assert (told["multiplier"], told["lot"], told["min_notional"]) == (0.001, 1.0, 5.0)
    assert "inverse" not in told
    Instrument(**told)


def test_an_inverse_contract_is_worth_money():
    swap = SPOT | {"contractSize": 100.0, "inverse": True, "precision": {"amount": 2.0}}
    told = contract_terms(swap | {"quote": "USD", "settle": "BTC"}, TICKS, price=42_000.0)
    fees = {"taker": 0.001, "maker": 0.0008}
    assert told == {"lot": 200.0, "inverse": True, "currency": "BTC"} | fees
    Instrument(**told)


@pytest.mark.parametrize(
    "market", [{}, {"limits": {"cost": {"min": 0}}}, {"taker": 1.0, "percentage": False}]
)
def test_what_is_not_said_is_left_out(market):
    assert contract_terms(market, TICKS, price=1.0) == {}


class Telling(Habitual):
    def load_markets(self, *_, **__):
        self.markets = {"BTC/USDT": SPOT}
        return self.markets


def test_a_download_keeps_the_terms_and_no_strategy_follows_them_unasked(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVNEXT_VBT_CACHE", str(tmp_path))
    done = download_bars(Telling(Habits(), [True] * 30), "BTC/USDT", "1h")
    terms = {"tick": 0.01, "lot": 1e-05, "min_notional": 5.0, "taker": 0.001, "maker": 0.0008,
             "currency": "USDT"}  # fmt: skip
    assert done.instrument == done.to_dict()["instrument"] == terms
    kept = done.store.terms
    assert kept.parent == done.store.folder
    assert kept.read_text().splitlines() == [
        "# As binance said last",
        *done.instrument_text.split("\n"),
    ]
    strategy = tmp_path / "mine.toml"
    strategy.write_text(f'[data]\nsource = "{done.store.source}"\n')
    assert load_config(strategy).trading.instruments == {}
    strategy.write_text(strategy.read_text() + kept.read_text())
    assert load_config(strategy).trading.instruments == {"BTC/USDT": Instrument(**terms)}
    assert terms_text("A", {"lot": 1.0}) == "[instruments.A]\nlot = 1.0"


def test_an_exchange_that_says_nothing_leaves_no_file(tmp_path):
    done = download_bars(Habitual(Habits(), [True] * 30), "BTC/USDT", "1h", cache=tmp_path)
    assert (done.instrument, done.instrument_text) == ({}, "")
    assert not done.store.terms.exists()
