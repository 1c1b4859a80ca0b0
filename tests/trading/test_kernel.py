"""Cells that are walked together are, bit for bit, what each is when walked alone."""

from dataclasses import replace

import numpy as np
import pytest

from convnext_vbt.trading import broker, kernel
from convnext_vbt.trading.brackets import fixed_brackets
from convnext_vbt.trading.conditions import conditions_of
from convnext_vbt.trading.inputs import SimulationConfig, kernel_inputs, kernel_terms
from convnext_vbt.trading.instruments import Instrument
from convnext_vbt.trading.walk import is_simple, walk_accounts

from .markets import random_bars, random_signals

NUM_RULES, NUM_RISKS = 3, kernel.LANES + 6
AT_HAND = (kernel.STOP_LEVEL, kernel.TARGET_LEVEL, kernel.ENTRY_PRICE, kernel.ENTRY_FEES,
           kernel.IS_CAPPED, kernel.TRADE_FUNDING)  # fmt: skip
"""Of the open trade, which one that was moved by a trailing stop keeps elsewhere."""


def walked(inputs, account_P, points_P3, terms, kept=(0,)):
    """States of all cells, and the daily returns of those that are `kept`."""
    market, columns, costs = inputs
    days = np.empty((len(kept), 1, int(market.day_end.sum())))
    day_row_P = np.full(len(account_P), -1)
    day_row_P[list(kept)] = np.arange(len(kept))
    cells = kernel.Cells(account_P, points_P3, day_row_P)
    states = kernel.walk_cells_nb(market, columns, cells, costs, terms, days)
    return states[:, : kernel.WANTED], days[:, 0]  # the order at hand is no outcome


@pytest.mark.parametrize("size_type", ["risk", "notional", "value"])
def test_cells_walked_together_are_those_walked_alone(size_type):
    bars = random_bars(num_bars=600, seed=5, gaps=0.03, missing=0.03)
    rng = np.random.default_rng(5)
    bars = replace(bars, funding=np.where(bars.present, rng.normal(0, 3e-4, (600, 1)), np.nan))
    signals = random_signals(num_bars=600, num_rules=NUM_RULES, seed=5)
    brackets = fixed_brackets(bars, stop=0.04, take_profit=0.06, max_holding=9)
    costs = conditions_of(SimulationConfig(), bars, brackets).costs
    inputs = (*kernel_inputs(bars, signals, brackets, SimulationConfig()), costs)
    terms = kernel_terms(SimulationConfig(max_leverage=20.0), brackets, size_type)
    risks = np.geomspace(0.01, 1.0 if size_type == "risk" else 30.0, NUM_RISKS)
    column_P = np.repeat(np.arange(NUM_RULES), 2 * NUM_RISKS)
    terms_P3 = np.array([[risk, stop, 1.5] for stop in (1.0, 2.0) for risk in risks])
    terms_P3 = np.tile(terms_P3, (NUM_RULES, 1))

    kept = [NUM_RISKS, 3 * NUM_RISKS + 5, 0]  # the first of a run or not
    accounts, days = walked(inputs, column_P, terms_P3, terms, kept)
    apart = rng.permutation(len(column_P))
    alone = [
        walked(inputs, column_P[p : p + 1], terms_P3[p : p + 1], terms) for p in range(len(apart))
    ]
    np.testing.assert_array_equal(accounts, np.concatenate([a for a, _ in alone]))
    np.testing.assert_array_equal(days, np.concatenate([alone[p][1] for p in kept]))
    scattered, _ = walked(inputs, column_P[apart], terms_P3[apart], terms)
    np.testing.assert_array_equal(accounts[apart], scattered)

    bust = accounts[:, kernel.IS_BUST]
    assert 0.05 < bust.mean() < 0.95  # some, and not at one bar
    assert len(np.unique(accounts[bust > 0, kernel.BARS_HELD])) > 10
    assert np.abs(accounts[:, kernel.FUNDING_PAID]).min() > 0
    capped = accounts[:, kernel.CAPPED]
    assert (capped > 0).any()
    assert (capped == 0).any()


@pytest.mark.parametrize("trail", ["none", "close", "extreme"])
@pytest.mark.parametrize(
    "instrument",
    [
        Instrument(lot=0.3, tick=0.5, min_fee=0.02),
        Instrument(lot=2.0, min_notional=150.0, taker=0.002, fee_per_contract=0.01),
        Instrument(min_fee=3.0, initial_margin=0.5),
    ],
)
def test_cells_with_lots_and_least_fees_are_those_that_the_broker_walks(instrument, trail):
    bars = random_bars(num_bars=600, seed=8, gaps=0.01, missing=0.03)
    signals = random_signals(num_bars=600, num_rules=NUM_RULES, seed=8)
    brackets = fixed_brackets(bars, stop=0.04, take_profit=0.06, max_holding=9)
    config = SimulationConfig(
        instruments={"default": instrument}, trail=trail, init_cash=1_000.0, leave_at="21:00"
    )
    market, columns = kernel_inputs(bars, signals, brackets, config)
    terms = kernel_terms(config, brackets, "risk")
    conditions = conditions_of(config, bars, brackets)
    assert is_simple(conditions)
    risks = np.geomspace(0.0005, 0.1, 12)
    cells = kernel.Cells(
        np.repeat(np.arange(NUM_RULES), len(risks)),
        np.tile([[risk, 1.0, 1.0] for risk in risks], (NUM_RULES, 1)),
        np.where(np.arange(NUM_RULES * len(risks)) == 3, 0, -1),
    )
    found, days = walk_accounts(market, columns, cells, terms, conditions)
    by_broker = np.zeros_like(days)
    alone = broker.walk_account_cells_nb(market, columns, cells, conditions, terms, 1, by_broker)
    outcome = [f for f in range(kernel.APART) if f not in AT_HAND]
    np.testing.assert_allclose(found[..., outcome], alone[..., outcome], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(days, by_broker, rtol=1e-9, atol=1e-12)
    assert found[:, 0, kernel.REFUSED].max() > 0  # the smallest risks can order nothing
    assert found[:, 0, kernel.TRADES].max() > 30
