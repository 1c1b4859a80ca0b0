"""Cells that are walked together are, bit for bit, what each is when walked alone."""

from dataclasses import replace

import numpy as np
import pytest

from convnext_vbt.trading import kernel
from convnext_vbt.trading.brackets import fixed_brackets
from convnext_vbt.trading.inputs import SimulationConfig, kernel_inputs, kernel_terms

from .markets import random_bars, random_signals

NUM_RULES, NUM_RISKS = 3, kernel.LANES + 6


def walked(inputs, account_P, points_P3, terms, kept=(0,)):
    """States of all cells, and the daily returns of those that are `kept`."""
    market, columns = inputs
    days = np.empty((len(kept), 1, int(market.day_end.sum())))
    day_row_P = np.full(len(account_P), -1)
    day_row_P[list(kept)] = np.arange(len(kept))
    cells = kernel.Cells(account_P, points_P3, day_row_P)
    states = kernel.walk_cells_nb(market, columns, cells, terms, days)
    return states[:, : kernel.WANTED], days[:, 0]  # the order at hand is no outcome


@pytest.mark.parametrize("size_type", ["risk", "notional", "value"])
def test_cells_walked_together_are_those_walked_alone(size_type):
    bars = random_bars(num_bars=600, seed=5, gaps=0.03, missing=0.03)
    rng = np.random.default_rng(5)
    bars = replace(bars, funding=np.where(bars.present, rng.normal(0, 3e-4, (600, 1)), np.nan))
    signals = random_signals(num_bars=600, num_rules=NUM_RULES, seed=5)
    brackets = fixed_brackets(bars, stop=0.04, take_profit=0.06, max_holding=9)
    inputs = kernel_inputs(bars, signals, brackets, SimulationConfig())
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
