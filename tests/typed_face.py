"""The public names as a type checker sees them: `make lint` reads this file, nothing runs it.

A wrong use must be an error: an `ignore` comment that hides none is one itself.
"""

from typing import assert_type

import pandas as pd
import vectorbt as vbt

import convnext_vbt as cv


def right(frame: pd.DataFrame) -> None:
    """What the README shows."""
    bars = cv.load_bars("prices.csv.gz")
    assert_type(bars, cv.Bars)
    assert_type(cv.Bars.from_frame(frame, symbol="BTC/USDT"), cv.Bars)
    assert_type(cv.compute_features(bars), cv.Features)
    preds = cv.walk_forward(bars, "strategies/btc_hourly.toml")
    assert_type(preds, cv.Predictions)
    cv.walk_forward(bars, progress=True)
    cv.walk_forward(bars, progress=lambda event: print(event.fit.number))
    signals = cv.confidence_signals(preds, bars, threshold=["q0.80", 0.5])
    assert_type(signals, cv.Signals)
    result = cv.sweep(bars, preds, threshold="q0.90", risk=[0.005, 0.01])
    assert_type(result, cv.SweepResult)
    assert_type(result.metrics, pd.DataFrame)
    portfolio: vbt.Portfolio = cv.simulate(bars, signals, risk=0.01, stop=0.03)
    assert_type(cv.headline(result).sharpe, float)
    cv.write_report(result, "report.html")
    cv.plot_heatmap(result, "cagr").show()
    pairs = [((0, 900), (924, 1000))]
    own = cv.Predictions.from_frames(
        prob_up=frame, prob_down=1 - frame, splits=pairs, target=cv.Target(horizon=24)
    )
    assert_type(own.splits[0], cv.Split)
    assert_type(own.calibrated(cv.barrier_labels(bars)), cv.Predictions)
    assert_type(cv.open_run("reports/mine-1a2b3c4d").predictions, cv.Predictions)
    assert_type(cv.stats.probability_of_backtest_overfitting(frame.to_numpy()).probability, float)
    judgement = cv.judge(portfolio, num_trials=20, slippage=0.0005)
    assert_type(judgement, cv.Judgement)
    assert_type(judgement.judged.sharpe, float)
    judgement.write_report("judge.html")


def wrong(bars: cv.Bars, preds: cv.Predictions) -> None:
    """What a checker must refuse."""
    cv.walk_forward("nonsense", 3, 4)  # type: ignore[arg-type, call-arg]
    cv.walk_forward(bars, progress="yes")  # type: ignore[arg-type]
    cv.load_bars(7)  # type: ignore[arg-type]
    cv.sweep(preds, bars)  # type: ignore[arg-type]
    cv.simulate(bars, preds)  # type: ignore[arg-type]
    cv.confidence_signals(preds, bars, treshold=0.5)  # type: ignore[call-arg]
    cv.headline(bars)  # type: ignore[arg-type]
    cv.judge(preds, benchmark=0.0)  # type: ignore[arg-type]
    cv.walk_foward(bars)  # type: ignore[attr-defined]
