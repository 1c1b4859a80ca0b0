"""The rival of the sweep stakes what we stake; only where backtesting.py is installed."""

import numpy as np
import pandas as pd
import pytest

import convnext_vbt as cv

by_backtesting = pytest.importorskip("benchmarks.by_backtesting", exc_type=ImportError)


def market(num_bars: int):
    bars = by_backtesting.without_gaps(cv.load_bars(f"simulated:seed=1,bars={num_bars}"))
    chance = np.random.default_rng(0).random((num_bars, 1))
    frame = pd.DataFrame(chance, bars.index, list(bars.symbols))
    preds = cv.Predictions.from_frames(prob_up=frame, prob_down=1 - frame)
    return bars, cv.confidence_signals(preds, bars, threshold=[0.7, 0.9], full=0.8)


def test_both_stake_the_same_money_at_the_same_prices():
    bars, signals = market(1_500)
    assert (signals.size == 1).any()
    assert by_backtesting.compared_trades(bars, signals, stop=0.03, profit=0.03) > 100


def test_a_full_stake_is_the_whole_account():
    bars, signals = market(600)
    trades = by_backtesting.run(bars, signals, 0, stop=0.03, profit=0.03)["_trades"]
    full = signals.size[trades["EntryBar"] - 1, 0] == 1
    assert full.any()
    assert (trades["Size"][full].abs() > 1e6).all()
