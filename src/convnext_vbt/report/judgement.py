"""Key figures of the accounts that are compared, deflation, PBO and costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from convnext_vbt.evidence import stats
from convnext_vbt.evidence.headline import Headline
from convnext_vbt.evidence.hindsight import compared_returns
from convnext_vbt.evidence.overfitting import BacktestOverfitting
from convnext_vbt.evidence.verdict import Assessment
from convnext_vbt.evidence.window import Window
from convnext_vbt.report import accounts
from convnext_vbt.trading.sweep import SweepResult

COST_MULTIPLES = (0, 1, 2, 3)


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
