"""Warnings that a run's own data call for."""

from __future__ import annotations

from convnext_vbt.evidence.concerns import Concerns
from convnext_vbt.evidence.within_bars import WithinBars
from convnext_vbt.report.formats import THIN_TRADES, format_number
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section
from convnext_vbt.trading.sweep import SweepResult

MANY_CAPPED = 0.05
MANY_SPLITS = 20
"""More of them are not listed one by one."""


def content(inputs: Inputs, _: Pool) -> Content:
    """The caller's own caveats, then the generated ones."""
    notes = generated(
        inputs.evidence.concerns, inputs.result, "the headline",
        num_rules=inputs.assessment.trials.num_rules, simulated=inputs.simulated,
        within=inputs.evidence.within_bars,
    )  # fmt: skip
    return Content(context={"caveats": [*inputs.caveats, *notes]})


CAVEATS = Section(name="caveats", title="Caveats", content=content)


def generated(
    found: Concerns,
    res: SweepResult,
    name: str,
    *,
    num_rules: int,
    simulated: bool,
    within: WithinBars | None = None,
) -> list[str]:
    """The caveats of a run; `found` and `within` are of its account that is called `name`."""
    config = res.config
    costs = (
        f"Costs are a model: {config.fees * 1e4:g} bp of fees and {config.slippage * 1e4:g} bp of "
        "slippage on every fill, whatever its size; no market impact, latency or outages."
    )
    if config.instruments:
        costs = (
            "Costs are a model: each instrument's fees, slippage and financing as the strategy "
            "file gives them; no latency or outages."
        )
    luck = (
        "One history is one sample. CIs, random sides and deflation measure chance on these bars, "
        "not a market that changes."
    )
    return [
        *_data(found, simulated),
        *_spikes(found, name),
        *_leaps(found, name),
        *_frozen(found, name),
        *_sweep(found, num_rules),
        *_origin(found),
        *_splits(found),
        *_trades(found, res, name),
        *([] if within is None else _within(within, name)),
        costs,
        *_carry(found),
        luck,
    ]


def _carry(found: Concerns) -> list[str]:
    """What positions may owe that the bars know nothing of, symbol by symbol."""
    out = []
    if found.funded and found.unfunded:
        names = ", ".join(found.unfunded)
        out.append(f"No funding rates for {names}: none was paid or received there.")
    if found.borrowed:
        whose = f" of {', '.join(found.borrowed)}" if found.funded or found.lends else ""
        out.append(
            f"Shorts{whose} pay no borrow cost or funding here. On a spot market they need "
            "borrowed coins, whose cost comes off these returns."
        )
    return out


def _data(found: Concerns, simulated: bool) -> list[str]:
    out = []
    if simulated:
        out.append(
            "The market is simulated, with a planted edge (none if edge=0). The result shows that "
            "the software works, not that a real market can be predicted."
        )
    gaps = found.gaps
    if len(gaps):
        longest = gaps.iloc[int(gaps["missing"].to_numpy().argmax())]
        out.append(
            f"{_count(len(gaps), 'gap')} in the data, {_count(int(gaps['missing'].sum()), 'bar')} "
            f"missing, the longest {int(longest['missing']):,} from "
            f"{longest['start']:%Y-%m-%d %H:%M} UTC. Nothing was filled in; a stop cannot act in a "
            "gap."
        )
    out += [
        f"{symbol} had never moved on {_count(bars, 'bar')} with a prediction: no barrier, so no "
        "entry there."
        for symbol, bars in found.still.items()
    ]
    return out


def _spikes(found: Concerns, name: str) -> list[str]:
    spikes, count = found.spikes, found.spiked_trades
    if not len(spikes):
        return []
    largest = spikes.iloc[0]
    profit = format_number(found.spiked_profit, "money")
    what = (
        f"{_count(count, 'trade')} of {name} entered or left there, total profit {profit}."
        if count
        else f"No trade of {name} entered or left there."
    )
    size = format_number(largest["move"], "percent")
    text = (
        f"{_count(len(spikes), 'price spike')} that reversed at once (bad ticks or crashes), the "
        f"largest {size} at {largest['time']:%Y-%m-%d %H:%M} UTC. {what}"
    )
    return [text]


def _leaps(found: Concerns, name: str) -> list[str]:
    leaps, count = found.leaps, found.leapt_trades
    if not len(leaps):
        return []
    largest = leaps.iloc[0]
    ratio = f" (as a split of {largest['ratio']} leaves it)" if largest["ratio"] else ""
    profit = format_number(found.leapt_profit, "money")
    them = "it" if len(leaps) == 1 else "them"
    text = (
        f"{_count(len(leaps), 'leap')} of the price that stayed (a split or a redenomination that "
        "nobody adjusted, another contract, a reused ticker, or a crash), the largest "
        f"{format_number(largest['move'], 'percent')}{ratio} at "
        f"{largest['time']:%Y-%m-%d %H:%M} UTC. "
    )
    if not count:
        return [f"{text}No trade of {name} was held over {them}."]
    were = "was" if count == 1 else "were"
    held = f"{_count(count, 'trade')} of {name} {were} held over {them}"
    return [f"{text}{held}, total profit {profit}."]


def _frozen(found: Concerns, name: str) -> list[str]:
    frozen, count = found.frozen, found.frozen_orders
    if not len(frozen):
        return []
    longest, total = frozen.iloc[0], int(frozen["bars"].sum())
    orders = _count(count, "order") if count else "No order"
    fills = f"{orders} of {name} {'were' if count > 1 else 'was'} filled"
    text = (
        f"{_count(len(frozen), 'stretch', 'stretches')} in which nothing traded "
        f"({_count(total, 'bar')} of volume 0 or of one price), the longest "
        f"{int(longest['bars']):,} bars from {longest['start']:%Y-%m-%d %H:%M} UTC. {fills} there"
    )
    return [f"{text}, at prices that nobody paid." if count else f"{text}."]


def _sweep(found: Concerns, num_rules: int) -> list[str]:
    thin, cells = found.thin_cells, found.num_cells
    out = []
    if thin:
        none = f", {found.empty_cells} of them none" if found.empty_cells else ""
        out.append(
            f"{thin:,} of {cells:,} cells have fewer than {THIN_TRADES} trades{none}. Their "
            "figures say little."
            if cells > 1
            else f"The one cell has fewer than {THIN_TRADES} trades. Its figures say little."
        )
    if found.bust_cells:
        out.append(f"{found.bust_cells:,} of {cells:,} cells lose the whole account.")
    if cells > 1:
        out.append(
            f"{cells:,} cells in this sweep, {num_rules:,} distinct rules on this data so "
            "far. The best of them is a choice in hindsight; the headline does not use it."
        )
    return out


def _origin(found: Concerns) -> list[str]:
    """What predictions from elsewhere say, or do not say, of what they were learned from."""
    out = []
    if found.later_splits:
        out.append(
            f"Not walk-forward: {_numbered(found.later_splits).lower()} learned from bars of the "
            "test range or after it, as K-fold cross-validation does. Nobody could have traded "
            "that, so it is no PASS whatever it earns."
        )
    if found.untold_splits:
        out.append(
            f"{_numbered(found.untold_splits)}: fold numbers do not tell what was learned from, so "
            "it is no PASS whatever it earns. Give (train, test) pairs."
        )
    if found.unpurged_splits:
        out.append(
            f"{_numbered(found.unpurged_splits)}: the last labels that were learned from are known "
            "only within the test range. Leave out as many bars before it as a label lasts."
        )
    if found.without_splits:
        out.append(
            "The predictions do not tell what they were learned from: that it came before them is "
            "taken on trust."
        )
    return out


def _numbered(splits: tuple[int, ...]) -> str:
    """Splits by number, counted from 1."""
    shown = [str(number + 1) for number in splits]
    if len(shown) > MANY_SPLITS:
        return f"{len(shown)} splits, from {shown[0]} to {shown[-1]}"
    return f"Split{'s' * (len(shown) != 1)} {', '.join(shown)}"


def _splits(found: Concerns) -> list[str]:
    if not found.failed_splits:
        return []
    text = (
        f"{_numbered(found.failed_splits)} did not learn: the network never beat the base rates "
        "out of fold, so trades there rest on noise."
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
            "before exit costs."
        )
    capped = found.capped_share
    if capped > MANY_CAPPED:
        cap = f"{res.config.max_leverage:g} × equity"
        if len(res.bars.symbols) > 1:
            cap += (
                f" or of {res.config.max_open_risk * 100:g} % of open risk, all symbols together,"
            )
        out.append(
            f"{capped * 100:.0f} % of the trades of {name} hit the size cap of {cap} and risk "
            "less than set; more risk does not make them larger."
        )
    if found.gap_stops:
        out.append(
            f"{_count(found.gap_stops, 'stop')} of {name} gapped through, filled at a worse price "
            "than the level: those trades lost more than was meant for them."
        )
    return out


def _within(found: WithinBars, name: str) -> list[str]:
    """What the order within bars, least sizes and margins did to the account."""
    out = []
    if found.past_risk:
        risk, worst = _share(found.risk), _share(found.worst_loss)
        out.append(
            f"{_count(found.past_risk, 'trade')} of {name} whose stop was gapped through lost "
            f"more than the {risk} of the equity that a trade may lose; the worst lost {worst}."
        )
    if found.ambiguous_exits:
        out.append(_order_within(found, name))
    if found.refused_entries:
        out.append(
            f"{_count(found.refused_entries, 'entry', 'entries')} of {name} "
            f"{_were(found.refused_entries)} {_why_refused(found)} and not placed."
        )
    if found.liquidations:
        out.append(
            f"{_count(found.liquidations, 'trade')} of {name} {_were(found.liquidations)} "
            "liquidated, the margin used up."
        )
    if found.is_bust:
        out.append(f"{name[0].upper()}{name[1:]} loses the whole account.")
    return out


def _why_refused(found: WithinBars) -> str:
    """The kernel counts both together."""
    if not found.has_least_size:
        return "without room under the caps" if found.is_shared else "of no size"
    least = "under the least order of the instrument"
    return f"{least}, or without room under the caps," if found.is_shared else least


def _order_within(found: WithinBars, name: str) -> str:
    bar = "one bar"
    if found.has_detail:
        bar = "even one of the finer bars (data.detail)"
    worst, best = (
        format_number(gain, "percent") for gain in (found.total_return, found.best_total_return)
    )
    text = (
        f"In {found.ambiguous_exits:,} of {_count(found.exits, 'exit')} of {name} "
        f"({_share(found.ambiguous_share)}) {bar} reached both the stop and the take-profit; here "
        f"the stop comes first: {worst} in all; were it the take-profit, {best}."
    )
    return text if found.has_detail else f"{text} Finer bars (data.detail) tell."


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _share(value: float) -> str:
    """A percentage with as many digits as a small one needs."""
    return f"{value * 100:.3g} %"


def _count(number: int, noun: str, nouns: str | None = None) -> str:
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"
