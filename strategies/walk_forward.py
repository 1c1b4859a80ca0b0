"""Walk forward over simulated bars and trade the predictions as a native vectorbt portfolio."""

import sys

import convnext_vbt as cv

quick = "--quick" in sys.argv
bars = cv.load_bars("simulated:seed=1,bars=6000" if quick else "simulated:seed=1")
config = {"splits": {"train": 3000, "test": 1500}} if quick else {}


def main() -> None:
    preds = cv.walk_forward(bars, config)  # computed once, strictly out of sample
    print(preds)

    signals = cv.confidence_signals(preds, bars, threshold=["q0.80", "q0.90"])
    portfolio = cv.simulate(bars, signals, risk=0.01, stop=0.03, fees=0.0005, slippage=0.0002)
    for column in portfolio.wrapper.columns:
        one = portfolio[column]
        print(f"{column}: {one.total_return():+.1%} in {one.trades.count()} trades")


if __name__ == "__main__":  # workers of the walk-forward import this file
    main()
