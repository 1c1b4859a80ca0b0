"""Warnings that a run's own data call for, in plain words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnext_vbt.market.gaps import find_gaps
from convnext_vbt.market.spikes import find_spikes
from convnext_vbt.report.formats import THIN_TRADES, format_number
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section
from convnext_vbt.trading.codes import GAP_STOP, OPEN, SHORT
from convnext_vbt.trading.simulation import Simulation
from convnext_vbt.trading.sweep import SweepResult

MANY_CAPPED = 0.05


def content(inputs: Inputs, _: Pool) -> Content:
    """The caller's own caveats, then the generated ones."""
    notes = generated(
        inputs.result, inputs.simulation, "the headline",
        num_rules=inputs.assessment.trials.num_rules, simulated=inputs.simulated,
    )  # fmt: skip
    return Content(context={"caveats": [*inputs.caveats, *notes]})


CAVEATS = Section(name="caveats", title="Caveats", content=content)


def generated(
    res: SweepResult, simulation: Simulation, name: str, *, num_rules: int, simulated: bool
) -> list[str]:
    """The caveats of a run; `simulation` is the account called `name`."""
    out = [
        *_data(res, simulated),
        *_spikes(res, simulation, name),
        *_sweep(res, num_rules),
        *_splits(res),
        *_trades(res, simulation, name),
    ]
    config = res.config
    out.append(
        f"Costs are a model: {config.fees * 1e4:g} bp of fees and {config.slippage * 1e4:g} bp of "
        "slippage on every fill, whatever its size; no market impact, no latency, no outage."
    )
    out += _carry(res, simulation)
    out.append(
        "One history is one sample. The interval, the random sides and the deflation above say "
        "how far luck goes on these bars; none of them knows of a market that changes."
    )
    return out


def _carry(res: SweepResult, simulation: Simulation) -> list[str]:
    """What positions may owe that the bars know nothing of, symbol by symbol."""
    funding, trades = res.bars.funding, simulation.trades
    names = simulation.columns.get_level_values("symbol")
    known = {
        symbol
        for n, symbol in enumerate(res.bars.symbols)
        if funding is not None and np.isfinite(funding[:, n]).any()
    }
    out = []
    unpaid = [name for name in dict.fromkeys(names[trades["col"]]) if name not in known]
    if known and unpaid:
        out.append(
            f"Funding is not known of all that was traded: {', '.join(unpaid)} came without rates "
            "and paid and received none."
        )
    shorts = names[trades["col"][trades["direction"] == SHORT]]
    borrowed = [name for name in dict.fromkeys(shorts) if name not in known]
    if borrowed:
        whose = f" of {', '.join(borrowed)}" if known else ""
        out.append(
            f"Shorts{whose} pay no borrow cost or funding here. On a spot market they need "
            "borrowed coins; what that costs comes off the returns shown."
        )
    return out


def _data(res: SweepResult, simulated: bool) -> list[str]:
    out = []
    if simulated:
        out.append(
            "The market is simulated, with an edge planted in it on purpose (none if edge=0). The "
            "result shows that the machinery works, not that any real market can be predicted."
        )
    gaps = find_gaps(res.bars)
    if len(gaps):
        longest = gaps.iloc[int(gaps["missing"].to_numpy().argmax())]
        out.append(
            f"The data have {len(gaps)} gap(s), {int(gaps['missing'].sum()):,} bar(s) in all, the "
            f"longest {int(longest['missing']):,} from {longest['start']:%Y-%m-%d %H:%M} UTC. "
            "Nothing was filled in; a stop cannot act in a gap."
        )
    return out


def _spikes(res: SweepResult, simulation: Simulation, name: str) -> list[str]:
    bars, trades = res.window_bars, simulation.trades
    spikes = find_spikes(bars)
    if not len(spikes):
        return []
    largest = spikes.iloc[0]
    rows = bars.index.get_indexer(pd.DatetimeIndex(spikes["time"]))
    spans = set(zip(spikes["symbol"], rows, strict=True))
    symbols = simulation.columns.get_level_values("symbol")[trades["col"]]
    ends = zip(symbols, trades["entry_idx"], trades["exit_idx"], strict=True)
    touched = np.array([(s, a) in spans or (s, b) in spans for s, a, b in ends], dtype=bool)
    count = int(touched.sum())
    profit = format_number(float(trades["pnl"][touched].sum()), "money")
    what = (
        f"{count} trade(s) of {name} begin or end there, with a profit of {profit} together."
        if count
        else f"No trade of {name} begins or ends there."
    )
    size = format_number(largest["move"], "percent")
    text = (
        f"{len(spikes)} bar(s) go far beyond their neighbours and straight back, the largest by "
        f"{size} at {largest['time']:%Y-%m-%d %H:%M} UTC: bad ticks or crashes. {what}"
    )
    return [text]


def _sweep(res: SweepResult, num_rules: int) -> list[str]:
    trades = res.account_metrics["trades"].to_numpy()
    thin = int((trades < THIN_TRADES).sum())
    out = []
    if thin:
        empty = int((trades == 0).sum())
        none = f", {empty} of them none at all" if empty else ""
        out.append(
            f"{thin:,} of {len(trades):,} cells have fewer than {THIN_TRADES} trades{none}. Their "
            "figures say little, however good they look."
            if len(trades) > 1
            else f"The one cell has fewer than {THIN_TRADES} trades. Its figures say little, "
            "however good they look."
        )
    bust = int(res.account_metrics["bust"].sum())
    if bust:
        out.append(f"{bust:,} of {len(trades):,} cells lose the whole account.")
    if len(trades) > 1:
        tried = f"and {num_rules:,} distinct rules on this data so far"
        out.append(
            f"{len(trades):,} cells were tried in this sweep, {tried}. The best of them is "
            "known only in hindsight and flatters what to expect next time; the headline "
            "does not use it."
        )
    return out


def _splits(res: SweepResult) -> list[str]:
    failed = [str(fit.number + 1) for fit in res.predictions.fits if not fit.learned]
    if not failed:
        return []
    which = "Split " if len(failed) == 1 else "Splits "
    text = (
        f"{which}{', '.join(failed)} did not learn: on validation the network was never better "
        "than the class frequencies of its training range. Trades taken there rest on noise."
    )
    return [text]


def _trades(res: SweepResult, simulation: Simulation, name: str) -> list[str]:
    trades = simulation.trades
    out = []
    if not len(trades):
        return [f"{name[0].upper()}{name[1:]} makes no trade, so there is nothing to judge."]
    still_open = int((trades["status"] == OPEN).sum())
    if still_open:
        are = "trade is" if still_open == 1 else "trades are"
        out.append(
            f"{still_open} {are} still open at the end of {name}, valued at the last close "
            "without the cost of leaving."
        )
    capped = float(np.mean(trades["capped"]))
    if capped > MANY_CAPPED:
        cap = f"{res.config.max_leverage:g} × equity"
        if len(res.bars.symbols) > 1:
            cap += (
                f" or of {res.config.max_open_risk * 100:g} % of open risk, all symbols together,"
            )
        out.append(
            f"{capped * 100:.0f} % of the trades of {name} hit the size cap of {cap} and so risk "
            "less than set: setting more risk there does not make them larger."
        )
    gapped = int((trades["reason"] == GAP_STOP).sum())
    if gapped:
        out.append(
            f"{gapped} stops of {name} were gapped through and filled at a worse price than their "
            "level: those trades lost more than the risk set."
        )
    return out
