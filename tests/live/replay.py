"""The backtest's last bars decided again one at a time, from no more history than live needs.

A rehearsal (`tests.live.test_running`) compares what a session books; this compares what is
decided, its sizes, prices, stops and take-profits. Entries by limit are followed in
`tests.live.test_limits`.
"""

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
        state = held(selection.simulation, bars, t, start)
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


def held(simulation, bars, t, start):
    """The account at the open after bar t, once what rests there has been filled.

    Stops and take-profits that the open lies beyond: their raw price is the open.
    """
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
        trade = of_symbol(simulation.trades, n)
        trade = trade[trade["entry_idx"] <= w][-1]
        by_rule = trade["status"] and trade["exit_idx"] == w + 1 and trade["reason"] in BY_RULE
        for order in exits(simulation, n, w + 1, units)[: -1 if by_rule else None]:
            way = 1 if units > 0 else -1
            raw = order["price"] + way * order["slippage"] / order["size"]
            if np.isclose(raw, price, rtol=1e-12):  # at the open
                equity -= order["size"] * way * (price - order["price"]) + order["fees"]
                units -= way * order["size"]
        if abs(units) > 1e-12:
            entered, stop = bars.index[trade["entry_idx"] + start], simulation.stop[w, n]
            positions[name] = Holding(units=units, entered=entered, stop=stop)
    return Account(equity=equity, held=positions, prices=prices)


def of_symbol(records, n):
    return records[records["col"] == n]


def exits(simulation, n, row, units):
    """The orders of a row that close a position of these units, or parts of it."""
    orders = of_symbol(simulation.orders, n)
    orders, left = orders[orders["idx"] == row], abs(units)
    found = []
    for order in orders:
        if left > 1e-12 and (order["side"] == 1) == (units > 0):
            found.append(order)
            left -= order["size"]
        else:
            break
    return found


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
    orders, simulation = [], selection.simulation
    for trade in of_symbol(simulation.trades, n):
        side, word = ((1, "long"), (-1, "short"))[trade["direction"]]
        if trade["exit_idx"] == w + 1 and trade["status"] and trade["reason"] in BY_RULE:
            orders.append(
                (-side * exits(simulation, n, w + 1, simulation.position[w, n])[-1]["size"],)
            )
        if trade["entry_idx"] == w + 1:
            stop, target = (
                getattr(selection.brackets, f"{kind}_{word}")[t, n]
                for kind in ("stop", "take_profit")
            )
            orders.append((side * trade["size"], trade["entry_price"], stop, target))
    return orders
