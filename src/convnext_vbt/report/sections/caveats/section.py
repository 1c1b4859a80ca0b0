"""Warnings that a run's own data call for, in plain words."""

from __future__ import annotations

from convnext_vbt.evidence.concerns import Concerns
from convnext_vbt.report.formats import THIN_TRADES, format_number
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section
from convnext_vbt.trading.sweep import SweepResult

MANY_CAPPED = 0.05


def content(inputs: Inputs, _: Pool) -> Content:
    """The caller's own caveats, then the generated ones."""
    notes = generated(
        inputs.evidence.concerns, inputs.result, "the headline",
        num_rules=inputs.assessment.trials.num_rules, simulated=inputs.simulated,
    )  # fmt: skip
    return Content(context={"caveats": [*inputs.caveats, *notes]})


CAVEATS = Section(name="caveats", title="Caveats", content=content)


def generated(
    found: Concerns, res: SweepResult, name: str, *, num_rules: int, simulated: bool
) -> list[str]:
    """The caveats of a run; `found` is of its account that is called `name`."""
    config = res.config
    costs = (
        f"Costs are a model: {config.fees * 1e4:g} bp of fees and {config.slippage * 1e4:g} bp of "
        "slippage on every fill, whatever its size; no market impact, no latency, no outage."
    )
    luck = (
        "One history is one sample. The interval, the random sides and the deflation above say "
        "how far luck goes on these bars; none of them knows of a market that changes."
    )
    return [
        *_data(found, simulated),
        *_spikes(found, name),
        *_sweep(found, num_rules),
        *_splits(found),
        *_trades(found, res, name),
        costs,
        *_carry(found),
        luck,
    ]


def _carry(found: Concerns) -> list[str]:
    """What positions may owe that the bars know nothing of, symbol by symbol."""
    out = []
    if found.funded and found.unfunded:
        out.append(
            f"Funding is not known of all that was traded: {', '.join(found.unfunded)} came "
            "without rates and paid and received none."
        )
    if found.borrowed:
        whose = f" of {', '.join(found.borrowed)}" if found.funded else ""
        out.append(
            f"Shorts{whose} pay no borrow cost or funding here. On a spot market they need "
            "borrowed coins; what that costs comes off the returns shown."
        )
    return out


def _data(found: Concerns, simulated: bool) -> list[str]:
    out = []
    if simulated:
        out.append(
            "The market is simulated, with an edge planted in it on purpose (none if edge=0). The "
            "result shows that the machinery works, not that any real market can be predicted."
        )
    gaps = found.gaps
    if len(gaps):
        longest = gaps.iloc[int(gaps["missing"].to_numpy().argmax())]
        out.append(
            f"The data have {len(gaps)} gap(s), {int(gaps['missing'].sum()):,} bar(s) in all, the "
            f"longest {int(longest['missing']):,} from {longest['start']:%Y-%m-%d %H:%M} UTC. "
            "Nothing was filled in; a stop cannot act in a gap."
        )
    return out


def _spikes(found: Concerns, name: str) -> list[str]:
    spikes, count = found.spikes, found.spiked_trades
    if not len(spikes):
        return []
    largest = spikes.iloc[0]
    profit = format_number(found.spiked_profit, "money")
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


def _sweep(found: Concerns, num_rules: int) -> list[str]:
    thin, cells = found.thin_cells, found.cells
    out = []
    if thin:
        none = f", {found.empty_cells} of them none at all" if found.empty_cells else ""
        out.append(
            f"{thin:,} of {cells:,} cells have fewer than {THIN_TRADES} trades{none}. Their "
            "figures say little, however good they look."
            if cells > 1
            else f"The one cell has fewer than {THIN_TRADES} trades. Its figures say little, "
            "however good they look."
        )
    if found.bust_cells:
        out.append(f"{found.bust_cells:,} of {cells:,} cells lose the whole account.")
    if cells > 1:
        tried = f"and {num_rules:,} distinct rules on this data so far"
        out.append(
            f"{cells:,} cells were tried in this sweep, {tried}. The best of them is "
            "known only in hindsight and flatters what to expect next time; the headline "
            "does not use it."
        )
    return out


def _splits(found: Concerns) -> list[str]:
    failed = [str(number + 1) for number in found.failed_splits]
    if not failed:
        return []
    which = "Split " if len(failed) == 1 else "Splits "
    text = (
        f"{which}{', '.join(failed)} did not learn: on validation the network was never better "
        "than the class frequencies of its training range. Trades taken there rest on noise."
    )
    return [text]


def _trades(found: Concerns, res: SweepResult, name: str) -> list[str]:
    out = []
    if not found.trades:
        return [f"{name[0].upper()}{name[1:]} makes no trade, so there is nothing to judge."]
    still_open = found.open_trades
    if still_open:
        are = "trade is" if still_open == 1 else "trades are"
        out.append(
            f"{still_open} {are} still open at the end of {name}, valued at the last close "
            "without the cost of leaving."
        )
    capped = found.capped_share
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
    if found.gap_stops:
        out.append(
            f"{found.gap_stops} stops of {name} were gapped through and filled at a worse price "
            "than their level: those trades lost more than the risk set."
        )
    return out
