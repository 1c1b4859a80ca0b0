"""The backtest's last bars decided again one at a time, from no more history than live needs."""

import numpy as np

from convnext_vbt.evidence.headline import headline
from convnext_vbt.live.account import Account
from convnext_vbt.live.decision import decide
from convnext_vbt.trading import kernel

BY_RULE = (kernel.SIGNAL, kernel.REVERSE, kernel.MAX_HOLDING)


def replay(trained, result, num_bars):
    """Largest difference of a probability, and for each bar (decided orders, simulated orders).

    Orders are (units, negative when sold; for an entry also fill, stop distance and take-profit
    distance), in the order in which they are placed at one open.
    """
    config = trained.config
    head = headline(result, initial=config.initial_threshold, risk=config.trading.risk)
    account, brackets = head.selection.simulation, head.selection.brackets
    bars, window = result.bars, result.window
    trades = account.trades
    worst, pairs = 0.0, []
    for t in range(window[1] - 1 - num_bars, window[1] - 1):
        w = t - window[0]  # the bar's place in the simulation
        state = held(account, bars, w, window[0], config.trading)
        history = trained.history(trained.kept(trained.split_of(bars.rows(0, t + 1))))
        live = decide(
            trained, bars.rows(t + 1 - history, t + 1), dict.fromkeys(bars.symbols, state)
        )
        one = live.decisions[0]
        said = np.array([one.prob_down, one.prob_stay, one.prob_up])
        assert (one.bar, one.symbol) == (bars.index[t], bars.symbols[0])
        worst = max(worst, np.abs(said - result.predictions.proba[t, 0]).max())
        pairs.append((decided(one, state), simulated(trades, brackets, w, t)))
    return worst, pairs


def held(account, bars, w, start, trading):
    """The account at the open after bar w, once the stops that rest there have been filled."""
    price, position = bars.open[w + start + 1, 0], account.position[w, 0]
    equity = account.equity[w, 0] + position * (price - bars.close[w + start, 0])
    if position == 0:
        return Account(equity=equity, price=price)
    trade = account.trades[account.trades["entry_idx"] <= w][-1]
    slipped = price * (1 - np.sign(position) * trading.slippage)
    ends_here = trade["status"] and trade["exit_idx"] == w + 1 and trade["reason"] not in BY_RULE
    if ends_here and np.isclose(trade["exit_price"], slipped, rtol=1e-12):  # a gap at the open
        equity -= abs(position) * (price * trading.slippage + slipped * trading.fees)
        return Account(equity=equity, price=price)
    entered = bars.index[trade["entry_idx"] + start]
    return Account(equity=equity, position=position, entered=entered, price=price)


def decided(one, state):
    orders = []
    if state.position and not one.step.startswith("hold"):
        orders.append((-state.position,))
    if one.entry is not None:
        entry = one.entry
        units = entry.side * entry.units
        orders.append((units, entry.price, entry.stop_distance, entry.take_profit_distance))
    assert np.isclose(one.target - state.position, sum(order[0] for order in orders))
    return orders


def simulated(trades, brackets, w, t):
    orders = []
    for trade in trades:
        side, word = ((1, "long"), (-1, "short"))[trade["direction"]]
        if trade["exit_idx"] == w + 1 and trade["status"] and trade["reason"] in BY_RULE:
            orders.append((-side * trade["size"],))
        if trade["entry_idx"] == w + 1:
            distances = (
                getattr(brackets, f"{kind}_{word}")[t, 0] for kind in ("stop", "take_profit")
            )
            orders.append((side * trade["size"], trade["entry_price"], *distances))
    return orders
