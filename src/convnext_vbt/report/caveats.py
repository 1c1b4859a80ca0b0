"""Warnings that a run's own data call for, in plain words."""

from __future__ import annotations

import numpy as np

from convnext_vbt.market.gaps import find_gaps
from convnext_vbt.report.formats import THIN_TRADES
from convnext_vbt.trading.simulation import Simulation
from convnext_vbt.trading.sweep import SweepResult

GAP_STOP = 4
"""`Simulation.trades["reason"]` of a stop that filled at a worse open."""
MANY_CAPPED = 0.05


def is_simulated(res: SweepResult, source: str) -> bool:
    """Whether the bars come from the simulated market."""
    return source.startswith("simulated") or any(
        name.startswith("SIM/") for name in res.bars.symbols
    )


def generated(res: SweepResult, simulation: Simulation, name: str, *, simulated: bool) -> list[str]:
    """The caveats of a run; `simulation` is the cell called `name`, the strategy's or the first."""
    out = [*_data(res, simulated), *_sweep(res), *_splits(res), *_trades(res, simulation, name)]
    config = res.config
    out.append(
        f"Costs are a model: {config.fees * 1e4:g} bp of fees and {config.slippage * 1e4:g} bp of "
        "slippage on every fill, whatever its size; no market impact, no latency, no outage."
    )
    if (simulation.trades["direction"] == 1).any():
        out.append(
            "Shorts pay no borrow cost or funding here. On a spot market they need borrowed coins; "
            "what that costs comes off the returns shown."
        )
    out.append(
        "One history is one sample. No statistical test of the result is in this report yet: "
        "no interval on the Sharpe ratio, no correction for the number of tries."
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


def _sweep(res: SweepResult) -> list[str]:
    trades = res.metrics["trades"].to_numpy()
    thin = int((trades < THIN_TRADES).sum())
    out = []
    if thin:
        empty = int((trades == 0).sum())
        none = f", {empty} of them none at all" if empty else ""
        out.append(
            f"{thin:,} of {len(trades):,} cells have fewer than {THIN_TRADES} trades{none}. Their "
            "figures say little, however good they look."
        )
    bust = int(res.metrics["bust"].sum())
    if bust:
        out.append(f"{bust:,} of {len(trades):,} cells lose the whole account.")
    if len(trades) > 1:
        out.append(
            f"{len(trades):,} cells were tried on the same data. Those that differ in risk alone "
            "are nearly the same bet; still, the best of them flatters what to expect next time."
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
        return [f"The cell {name} makes no trade, so there is nothing to judge in it."]
    still_open = int((trades["status"] == 0).sum())
    if still_open:
        out.append(
            f"{still_open} trade of {name} is still open at the end, valued at the last close "
            "without the cost of leaving it."
        )
    capped = float(np.mean(trades["capped"]))
    if capped > MANY_CAPPED:
        out.append(
            f"{capped * 100:.0f} % of the trades of {name} hit the size cap of "
            f"{res.config.max_leverage:g} × equity and so risk less than set: setting more risk "
            "there does not make them larger."
        )
    gapped = int((trades["reason"] == GAP_STOP).sum())
    if gapped:
        out.append(
            f"{gapped} stops of {name} were gapped through and filled at a worse price than their "
            "level: those trades lost more than the risk set."
        )
    return out
