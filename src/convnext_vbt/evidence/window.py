"""The window of a sweep, in which any signals can be traded again under the sweep's own terms."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from convnext_vbt.market.bars import Bars
from convnext_vbt.trading.brackets import Brackets, fixed_brackets
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.signals import Rules, Signals
from convnext_vbt.trading.simulation import Simulation, simulate_signals
from convnext_vbt.trading.sweep import SweepResult


class Window:
    """Bars and costs of a sweep, cut to its window, to trade other signals in."""

    bars: Bars
    config: SimulationConfig
    """At the sweep's reference risk."""

    def __init__(self, res: SweepResult) -> None:
        self._range = res.window
        self.config = res.config
        self.bars = res.window_bars
        self._volatility = res.brackets.rows(*res.window).volatility

    def simulate(
        self,
        signals: Rules,
        brackets: Brackets,
        *,
        risk: float | None = None,
        cost_multiple: float = 1.0,
        best_first: bool = False,
    ) -> Simulation:
        """Trade these columns and brackets, given on all bars of the sweep, in the window.

        `risk` None is the reference risk; fees and slippage are times `cost_multiple`; with
        `best_first` take-profits come first where a bar reached the stop too.
        """
        config = replace(
            self.config.times_costs(cost_multiple),
            risk=self.config.risk if risk is None else risk,
        )
        signals, brackets = signals.rows(*self._range), brackets.rows(*self._range)
        return simulate_signals(self.bars, signals, brackets, config=config, best_first=best_first)

    def buy_and_hold(self, symbol: str | None = None) -> Simulation:
        """Bought with all cash at the first open that a signal can reach, and never sold.

        That is the open of the window's second bar, at the strategy's own costs, but whatever
        share of the bar's volume that is; there are no exit costs. Of several symbols those that
        are there share the cash equally, and one that comes later gets what a delisted one left.
        With `symbol` all cash goes into that one.
        """
        always = pd.DataFrame(True, index=self.bars.index, columns=list(self.bars.symbols))
        if symbol is not None:
            always = always[[symbol]]
        return simulate_signals(
            self.bars,
            Signals.from_frames(entries=always),
            replace(fixed_brackets(self.bars), volatility=self._volatility),
            config=replace(self.config.at_open_and_whole(), risk=1.0, max_leverage=1.0),
            size_type="notional",
        )
