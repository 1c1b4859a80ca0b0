"""Sweep confidence thresholds against risk fractions and write the HTML report."""

import sys
from pathlib import Path

import convnext_vbt as cv

quick = "--quick" in sys.argv
bars = cv.load_bars("simulated:seed=1,bars=6000" if quick else "simulated:seed=1")
config = {"splits": {"train": 3000, "test": 1500}} if quick else {}


def main() -> None:
    preds = cv.walk_forward(bars, config, directory="reports/sweep_thresholds/splits")
    thresholds = ["q0.50", "q0.60", "q0.70", "q0.80", "q0.85", "q0.90", "q0.95", "q0.975", "q0.99"]
    result = cv.sweep(bars, preds, threshold=thresholds, risk=[0.0025, 0.005, 0.01, 0.02])

    print(result.metrics[["total_return", "sharpe", "max_drawdown", "trades"]].round(3))
    portfolio = result.portfolio(threshold="q0.90", risk=0.01)  # a native vbt.Portfolio
    print(portfolio.trades.records_readable.tail())
    print(cv.write_report(result, Path("reports/sweep_thresholds/report.html")))


if __name__ == "__main__":  # workers of the walk-forward import this file
    main()
