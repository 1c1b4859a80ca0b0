"""The backtest's last bars decided again one at a time, from no more history than live needs."""

import numpy as np

from convnext_vbt.evidence.headline import headline_of
from convnext_vbt.live.account import FLAT, Account, Holding
from convnext_vbt.live.decision import decide
from convnext_vbt.live.trained import recent
from convnext_vbt.trading.codes import BY_RULE


def replay(trained, result, num_bars, *, more=0, step=1):
    """Largest difference of a probability, and for each bar (decided orders, simulated orders).

    Orders are (units, negative when sold; for an entry also fill, stop distance and take-profit
    distance), those of one open by symbol, an exit before an entry. `more` bars of history than
    are needed tell where the stops of held positions lie. Of the last bars, every `step`th.
    """
    config = trained.config
    head = headline_of(result, config.preset)
    selection, bars, start = head.selection, result.bars, result.window[0]
    worst, pairs = 0.0, []
    for t in range(result.window[1] - 1 - num_bars, result.window[1] - 1, step):
        state = held(selection.simulation, bars, t, start, config.trading)
        past = bars.rows(0, t + 1)
        history = trained.history(trained.kept(trained.split_of(past)))
        live = decide(trained, recent(past, history + more), state)
        assert live.bar == bars.index[t]
        said = result.predictions.proba[t]
        assert [one.symbol for one in live.decisions] == [
            name for name, row in zip(bars.symbols, said, strict=True) if not np.isnan(row).any()
        ]
        for one in live.decisions:
            n = bars.symbols.index(one.symbol)
            proba = one.prob_down, one.prob_stay, one.prob_up
            worst = max(worst, np.abs(proba - said[n]).max())
            pairs.append((decided(one, state), simulated(selection, t, t - start, n)))
    return worst, pairs


def held(simulation, bars, t, start, trading):
    """The account at the open after bar t, once the stops that rest there have been filled."""
    w = t - start  # the bar's place in the simulation
    equity = simulation.equity[w, 0]
    if simulation.funding is not None:
        equity -= simulation.funding[w + 1].sum()
    positions, prices = {}, {}
    for n, name in enumerate(bars.symbols):
        last = bars.close[: t + 1, n][bars.present[: t + 1, n]][-1]
        price = prices[name] = bars.open[t + 1, n] if bars.present[t + 1, n] else last
        units = simulation.position[w, n]
        if units == 0:
            continue
        equity += units * (price - last)
        trades = simulation.trades[simulation.trades["col"] == n]
        trade = trades[trades["entry_idx"] <= w][-1]
        slipped = price * (1 - np.sign(units) * trading.slippage)
        ends = trade["status"] and trade["exit_idx"] == w + 1 and trade["reason"] not in BY_RULE
        if ends and np.isclose(trade["exit_price"], slipped, rtol=1e-12):  # a gap at the open
            equity -= abs(units) * (price * trading.slippage + slipped * trading.fees)
        else:
            entered = bars.index[trade["entry_idx"] + start]
            positions[name] = Holding(units=units, entered=entered)
    return Account(equity=equity, held=positions, prices=prices)


def decided(one, state):
    orders, units = [], state.held.get(one.symbol, FLAT).units
    if units and not one.step.startswith("hold"):
        orders.append((-units,))
    if one.entry is not None:
        entry, profit = one.entry, one.entry.take_profit_distance
        profit = np.nan if profit is None else profit
        orders.append((entry.side * entry.units, entry.price, entry.stop_distance, profit))
    assert np.isclose(one.target - units, sum(order[0] for order in orders))
    return orders


def simulated(selection, t, w, n):
    orders = []
    for trade in selection.simulation.trades:
        if trade["col"] != n:
            continue
        side, word = ((1, "long"), (-1, "short"))[trade["direction"]]
        if trade["exit_idx"] == w + 1 and trade["status"] and trade["reason"] in BY_RULE:
            orders.append((-side * trade["size"],))
        if trade["entry_idx"] == w + 1:
            stop, target = (
                getattr(selection.brackets, f"{kind}_{word}")[t, n]
                for kind in ("stop", "take_profit")
            )
            orders.append((side * trade["size"], trade["entry_price"], stop, target))
    return orders
