"""What a run says of the bars that it is about to trade."""

import logging

import pytest

from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.runs.bars import warn_of_costs
from convnext_vbt.runs.config import parse_config


@pytest.mark.parametrize(
    ("symbol", "costs", "warned"),
    [
        ("EURUSD", {}, True),
        ("eur/usd", {}, True),
        ("XAUUSD_H1", {}, True),
        ("EURUSD", {"fees": 0.00002}, False),
        ("BTC/USDT", {}, False),
        ("EURUSDT", {}, False),
        ("SPY", {}, False),
    ],
)
def test_currencies_at_a_crypto_exchanges_costs_are_told(caplog, symbol, costs, warned):
    bars = simulated_bars(bars=48, symbol=symbol)
    with caplog.at_level(logging.WARNING, "convnext_vbt"):
        warn_of_costs(parse_config({"trading": costs}), bars)
    assert ("a pair of currencies" in caplog.text) == warned
