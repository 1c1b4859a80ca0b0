"""The verdict, what it rests on and what speaks against the best cell, in words and figures."""

from __future__ import annotations

import math
from dataclasses import dataclass

from convnext_vbt.evidence import stats
from convnext_vbt.evidence.headline import Headline
from convnext_vbt.evidence.hindsight import compared_returns
from convnext_vbt.evidence.overfitting import BacktestOverfitting
from convnext_vbt.evidence.verdict import FEWEST_TRADES, Assessment, Verdict
from convnext_vbt.evidence.window import Window
from convnext_vbt.report import accounts
from convnext_vbt.report.formats import format_interval, format_number, level_text
from convnext_vbt.trading.sweep import SweepResult

COST_MULTIPLES = (0, 1, 2, 3)
SHORTEST_RATE = 90
"""Days; of a shorter history no growth a year is told at the head of the page."""
QUESTIONS = ("Is there an edge?", "How sure is that?", "At what cost?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One figure of the verdict: what it is, its value, what it is to be read with."""

    question: str
    """Which of `QUESTIONS` it answers."""
    label: str
    value: str
    note: str
    help: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """The headline's signals traded again at a multiple of the costs."""

    multiple: int
    basis_points: float
    """Fees and slippage a side."""
    figures: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deflation:
    """What a Sharpe ratio had to beat, as one of many."""

    name: str
    note: str
    sharpe: float
    """Annual, as `expected` is."""
    num_trials: int
    variance: float
    """Of the trials' Sharpe ratios per day."""
    expected: float
    """SR0: what the best of that many without skill reaches."""
    dsr: float


def headline_figures(res: SweepResult, assessment: Assessment) -> dict[str, float]:
    """Every key figure of the nested selection's account, all symbols' money together."""
    head = assessment.headline
    account = accounts.Account.of(head.selection.simulation)
    found = accounts.figures(account, res.window_bars, slippage=res.config.slippage)
    return found | {
        "sharpe_low": head.sharpe_low,
        "sharpe_high": head.sharpe_high,
        "dsr": head.dsr,
    }


def hold_figures(res: SweepResult, account: accounts.Account) -> dict[str, float]:
    """Every key figure of buying and holding; nothing was tried there, so there is no DSR."""
    year = math.sqrt(res.bars.days_per_year)
    low, high = stats.sharpe_confidence_interval(accounts.daily_returns(account))
    found = accounts.figures(account, res.window_bars, slippage=res.config.slippage)
    for name in ("break_even", "capped_share", "gap_stops"):  # these speak of rules that trade
        del found[name]
    return found | {"sharpe_low": low * year, "sharpe_high": high * year}


def random_figures(res: SweepResult, assessment: Assessment) -> dict[str, float]:
    """What is known of the median random draw."""
    null = assessment.random_sides
    growth = 1.0 + null.median_return
    if not growth > 0:
        return {"total_return": null.median_return, "sharpe": null.median_sharpe}
    start, stop = res.window
    log_growth = math.log(growth) / ((stop - start) / res.bars.bars_per_year)
    return {
        "total_return": null.median_return,
        "cagr": math.expm1(log_growth),
        "log_growth": log_growth,
        "sharpe": null.median_sharpe,
    }


def meaning(verdict: Verdict, head: Headline) -> str:
    """The verdict in one plain sentence."""
    if verdict.word == "PASS":
        return (
            "This history shows an edge. Every condition holds: luck, the tries counted so far "
            "and the costs do not explain it."
        )
    if verdict.word == "FAIL":
        return "This history shows no edge, and one sign of that is enough: not to be traded."
    if head.trades < FEWEST_TRADES:
        return f"Fewer than {FEWEST_TRADES} trades decide nothing, whatever the figures look like."
    return (
        "An edge is neither shown nor ruled out. More data would tell; more tuning on these would "
        "not."
    )


def sentence(head: Headline) -> str:
    """What nested selection earned."""
    if not head.trades:
        return "With its rule chosen anew for each split, the strategy never traded."
    growth, span = _growth(head)
    verb = "lost" if growth < 0 else "earned"
    trades = "1 trade that risks" if head.trades == 1 else f"{head.trades:,} trades that risk"
    of_each = "" if head.trades == 1 else " each"
    text = (
        "With its rule chosen anew for each split by what was known then, the strategy "
        f"{verb} {format_number(abs(growth), 'percent')} {span} after costs "
        f"{_sharpe(head)}, with a maximum drawdown of "
        f"{format_number(abs(head.max_drawdown), 'percent')}, in {trades} "
        f"{level_text('risk', head.risk)} of the account{of_each}."
    )
    return text.replace(" %", "\u00a0%")


def _sharpe(head: Headline) -> str:
    if not math.isfinite(head.sharpe):
        return "(too few days for a Sharpe ratio)"
    interval = format_interval(head.sharpe_low, head.sharpe_high)
    return f"at a Sharpe ratio of {format_number(head.sharpe, 'ratio')} (90 % interval {interval})"


def _growth(head: Headline) -> tuple[float, str]:
    """The rate a year, or of a history too short for one its whole return, and over what."""
    if head.num_days >= SHORTEST_RATE:
        return head.cagr, "a year"
    return head.total_return, f"in {head.num_days} day{'s' * (head.num_days != 1)}"


def tiles(res: SweepResult, assessment: Assessment, figures: dict[str, float]) -> list[Tile]:
    """The figures that the verdict rests on."""
    head, null = assessment.headline, assessment.random_sides
    charged = (res.config.fees + res.config.slippage) * 1e4
    tried = "1 strategy" if head.num_trials == 1 else f"{head.num_trials:,} strategies"
    holding = format_number(assessment.buy_and_hold_sharpe, "ratio")
    interval = format_interval(head.sharpe_low, head.sharpe_high)
    p = f"p = {null.p_value:.3f}" if math.isfinite(null.p_value) else "no test"
    growth, span = _growth(head)
    edge, sure, cost = QUESTIONS
    yearly = span == "a year"
    draws = f"do as well, in {len(null.draws):,} draws" if not null.reason else null.reason
    return [
        Tile(
            question=edge,
            label="Growth a year, net" if yearly else "Net return",
            value=format_number(growth, "percent"),
            note=f"{format_number(head.total_return, 'percent')} in all"
            if yearly
            else f"{span}, too few for a rate a year",
            help="Compound annual growth rate after all costs."
            if yearly
            else f"After all costs; under {SHORTEST_RATE} days no rate a year is told here.",
        ),
        Tile(
            question=edge,
            label="Sharpe ratio",
            value=format_number(head.sharpe, "ratio", trades=head.trades),
            note=f"90 %: {interval}; buy and hold {holding}",
            help="Of UTC-day returns, annualised, with the interval that the true one may lie in.",
        ),
        Tile(
            question=cost,
            label="Maximum drawdown",
            value=format_number(head.max_drawdown, "percent"),
            note="at bar closes",
            help="Deepest fall below an earlier peak or the start.",
        ),
        Tile(
            question=sure,
            label="Trades",
            value=f"{head.trades:,}",
            note=f"{head.splits_positive} of {head.splits_traded} splits gained",
            help="All trades of the account, one still open included.",
        ),
        Tile(
            question=sure,
            label="Random sides",
            value=p,
            note=draws,
            help="Share of accounts that trade at the same times, each side by coin, with at "
            "least this Sharpe ratio.",
        ),
        Tile(
            question=sure,
            label="Deflated Sharpe ratio",
            value=format_number(head.dsr, "probability"),
            note=f"N = {tried}, V = {1 / head.num_days:.2g} a day",
            help="Probability that the true Sharpe ratio is above 0, given how much was tried: N "
            "distinct strategies on this data, V = 1/T the variance of a daily Sharpe ratio "
            "where there is no edge.",
        ),
        Tile(
            question=cost,
            label="Break-even cost",
            value=format_number(figures["break_even"], "basis_points"),
            note=f"a side; charged: {charged:g} bp",
            help="Cost a side at which the same trades earn nothing; negative when they lose even "
            "for free.",
        ),
    ]


def deflations(assessment: Assessment, cell_name: str) -> list[Deflation]:
    """The headline's and the hindsight cell's deflated Sharpe ratios, each with N, V and SR0."""
    head, best = assessment.headline, assessment.hindsight
    year = math.sqrt(head.days_per_year)

    def expected(num_trials: int, variance: float) -> float:
        return float(stats.expected_maximum_sharpe(num_trials, variance)) * year

    noise = 1.0 / head.num_days
    out = [
        Deflation(
            name="Headline: nested selection", note="N = strategies tried, V = 1/T",
            sharpe=head.sharpe, num_trials=head.num_trials, variance=noise,
            expected=expected(head.num_trials, noise), dsr=head.dsr,
        )
    ]  # fmt: skip
    if best.cell:
        out.append(
            Deflation(
                name="Best cell in hindsight", note=f"{cell_name}; N = rules tried, V = theirs",
                sharpe=best.sharpe, num_trials=best.num_trials, variance=best.variance,
                expected=expected(best.num_trials, best.variance), dsr=best.dsr,
            )
        )  # fmt: skip
    return out


def backtest_overfitting(res: SweepResult) -> BacktestOverfitting:
    """PBO over the rules with enough trades, with its logits."""
    return stats.probability_of_backtest_overfitting(compared_returns(res))


def costs(res: SweepResult, head: Headline) -> list[Costs]:
    """The headline's signals at no, the given, doubled and tripled costs.

    Sizes shrink with costs, because the loss at a stop counts them; times and sides stay.
    """
    window, config = Window(res), res.config
    out = []
    for multiple in COST_MULTIPLES:
        simulation = window.simulate(
            head.selection.signals,
            head.selection.brackets,
            risk=head.risk,
            cost_multiple=float(multiple),
        )
        account = accounts.Account.of(simulation)
        found = accounts.figures(account, res.window_bars, slippage=config.slippage * multiple)
        out.append(
            Costs(
                multiple=multiple,
                basis_points=(config.fees + config.slippage) * multiple * 1e4,
                figures=found,
            )
        )
    return out


def choices(head: Headline) -> dict[int, tuple[str, str]]:
    """By split number: the rule chosen for it, and why, in words."""
    table = head.selection.choices
    levels = list(table.columns[: table.columns.get_loc("sharpe")])
    out = {}
    for number, row in zip(table.index.tolist(), table.to_dict("records"), strict=True):
        rule = " · ".join(level_text(str(name), row[name]) for name in levels)
        why = str(row["reason"])
        if math.isfinite(row["sharpe"]):
            sharpe = format_number(row["sharpe"], "ratio")
            why += f"; Sharpe ratio {sharpe} in {row['trades']:,} trades before"
        out[int(number)] = (rule, why)
    return out
