"""The sweep's cells through backtesting.py, one at a time: the rival that walks bar by bar.

Its orders carry stops fixed before the fill is known; on bars that open where the last one
closed they are the same. It cannot trade on the first bar. Its spread makes entries alone worse,
so here no fill is. `benchmarks.sweep` compares and times.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy

from convnext_vbt.market.bars import Bars
from convnext_vbt.trading.brackets import fixed_brackets
from convnext_vbt.trading.codes import CLOSED, LONG
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.signals import LEVELS, Signals
from convnext_vbt.trading.simulation import simulate_signals

CASH = 1e14  # units are whole there: with so much, rounding them is nothing
FEES, SLIPPAGE = 0.0005, 0.0
WHOLE = math.nextafter(1.0, 0.0)  # a size of 1 is one unit there, less is a share of the cash
SHARE = 1.0 / (1.0 + FEES)
"""Of equity in a full stake: there the entry's fee comes from the stake, of a short too."""


def without_gaps(bars: Bars) -> Bars:
    """The bars, each opening at the close before."""
    open_ = np.vstack([bars.open[:1], bars.close[:-1]])
    return replace(
        bars, open=open_, high=np.maximum(bars.high, open_), low=np.minimum(bars.low, open_)
    )


def strategy(levels: dict[str, np.ndarray], size: np.ndarray, stop: float, profit: float) -> type:
    """One column of signals, (T,) each, as a strategy."""

    class Column(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            pass

        def next(self) -> None:
            t = len(self.data) - 1
            enters = levels["entries"][t], levels["short_entries"][t]
            exits = levels["exits"][t], levels["short_exits"][t]
            held = 0 if not self.position else 1 if self.position.is_long else 2
            for side, (sign, order) in enumerate(((1, self.buy), (-1, self.sell)), 1):
                if enters[side - 1] and not enters[2 - side] and held != side and size[t] > 0:
                    price = self.data.Close[-1]
                    order(
                        size=min(size[t], WHOLE),
                        sl=price * (1 - sign * stop),
                        tp=price * (1 + sign * profit),
                    )
                    return
            if held and exits[held - 1]:
                self.position.close()

    return Column


def run(bars: Bars, signals: Signals, column: int, *, stop: float, profit: float) -> pd.Series:
    """backtesting.py's own statistics of one column, its trades among them."""
    frame = pd.DataFrame(
        {name.title(): getattr(bars, name)[:, 0] for name in ("open", "high", "low", "close")},
        index=bars.index.tz_localize(None),
    )
    levels = {name: getattr(signals, name)[:, column] for name in LEVELS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        test = Backtest(
            frame,
            strategy(levels, signals.size[:, column], stop, profit),
            cash=CASH,
            commission=FEES,
            exclusive_orders=True,
            finalize_trades=True,
        )
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            return test.run()


def compared_trades(bars: Bars, signals: Signals, *, stop: float, profit: float) -> int:
    """Trades of all columns, whose bars, sizes, prices and profits are equal in both engines.

    One that is still open is equal at its entry: there it is closed at the last bar.
    """
    brackets = fixed_brackets(bars, stop=stop, take_profit=profit)
    config = SimulationConfig(risk=SHARE, fees=FEES, slippage=SLIPPAGE, init_cash=CASH)
    ours = simulate_signals(bars, signals, brackets, config=config, size_type="notional").trades
    for c in range(len(signals.columns)):
        theirs = run(bars, signals, c, stop=stop, profit=profit)["_trades"].sort_values("EntryBar")
        mine = ours[ours["col"] == c]
        ended, closed = mine[mine["status"] == CLOSED], theirs[: (mine["status"] == CLOSED).sum()]
        np.testing.assert_array_equal(mine["entry_idx"], theirs["EntryBar"])
        np.testing.assert_array_equal(ended["exit_idx"], closed["ExitBar"])
        for one, other in (
            (np.where(mine["direction"] == LONG, 1, -1) * mine["size"], theirs["Size"]),
            (mine["entry_price"], theirs["EntryPrice"]),
            (ended["exit_price"], closed["ExitPrice"]),
            (CASH + ended["pnl"], CASH + closed["PnL"]),
        ):
            np.testing.assert_allclose(one, other, rtol=1e-6)
    return len(ours)
