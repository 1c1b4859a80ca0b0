"""PASS, INCONCLUSIVE or FAIL, by one fixed rule that is the same for everybody."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
import pandas as pd

from convnext_vbt.evidence import measures
from convnext_vbt.evidence.accounts import Account, cost_a_side, daily_returns
from convnext_vbt.evidence.by_symbol import figures_by_symbol
from convnext_vbt.evidence.cells import Cells
from convnext_vbt.evidence.costs import traded_again
from convnext_vbt.evidence.headline import Headline, deflated, headline_of, headline_rows
from convnext_vbt.evidence.hindsight import Hindsight, hindsight
from convnext_vbt.evidence.ledger import Trials, rule_entries, trials_of
from convnext_vbt.evidence.nulls import draw_nulls
from convnext_vbt.evidence.nulls.null import NUM_DRAWS, Case, Null
from convnext_vbt.evidence.nulls.random_sides import ONE_SIDED, RANDOM_SIDES
from convnext_vbt.evidence.nulls.random_times import RANDOM_TIMES
from convnext_vbt.evidence.selection import USUAL, Preset
from convnext_vbt.evidence.spread import implied_half_spread
from convnext_vbt.evidence.window import Window
from convnext_vbt.storage import plain
from convnext_vbt.summary import Summary
from convnext_vbt.trading.simulation import Simulation
from convnext_vbt.trading.sweep import SweepResult

Word = Literal["PASS", "INCONCLUSIVE", "FAIL"]

LEAST_DSR = 0.95
MOST_SIDES_P = 0.05
MOST_TIMES_P = 0.01
"""Lower, for in a market that rises, and for one side alone, random times decide alone."""
HOPELESS_NULL_P = 0.5
LEAST_POSITIVE_PERCENT = 60
FEWEST_TRADES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the verdict looks at. Net of costs, Sharpe ratios annual, NaN where undefined."""

    total_return: float
    sharpe: float
    sharpe_low: float
    """Lower end of its 90 % interval."""
    sharpe_high: float
    dsr: float
    num_trials: int
    """Strategies that the deflated Sharpe ratio reckons with."""
    buy_and_hold_sharpe: float
    """Over the same days."""
    doubled_costs_sharpe: float
    """With the same signals, fees and slippage doubled."""
    sides_p: float
    """Of random sides."""
    times_p: float
    """Of random times."""
    charged: float
    """Fees and slippage a side, a fraction of the traded value."""
    implied_spread: float
    """Half-spread that the bars surely imply, likewise; 0 where they imply none, NaN where
    there are too few in a row to tell."""
    trades: int
    splits_traded: int
    splits_positive: int
    later_splits: int = 0
    """Splits whose training looked at bars of their test range or after it: no walk-forward."""
    untold_splits: int = 0
    """Splits of which nobody says what they were learned from."""
    one_sided: bool = False
    """All long or all short: there are no other sides to draw, and random times decide alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One condition and whether it speaks for the strategy."""

    subject: str
    """The figure that it is about: a key of `Facts`."""
    ok: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The word and why: first what is enough to fail, then each condition of a PASS."""

    word: Word
    reasons: tuple[Reason, ...]

    def __repr__(self) -> str:
        return str(self._summary())

    def _repr_html_(self) -> str:
        return self._summary().html()

    def _summary(self) -> Summary:
        return Summary(f"Verdict: {self.word}", self.rows(5))

    def rows(self, most: int) -> tuple[tuple[str, str], ...]:
        """How many conditions are met, then up to `most` of those that are not."""
        against = [reason.text for reason in self.reasons if not reason.ok]
        shown = [("not met", text) for text in against[:most]]
        if len(against) > most:
            shown.append(("not met", f"{len(against) - most} more"))
        met = len(self.reasons) - len(against)
        return (("conditions", f"{met} of {len(self.reasons)} met"), *shown)


def judge(facts: Facts) -> Verdict:
    """PASS when every condition holds; FAIL on one sign of no edge; else INCONCLUSIVE.

    A figure that fails is a reason once: its sign of failure stands for its condition.

    Below 30 trades it is INCONCLUSIVE whatever the figures. What is undefined (NaN) meets no
    condition and is no sign of failure either, but for a spread that the bars are too few to tell.
    Training that looked at later bars, or of which nobody says what it looked at, is no PASS.
    """
    conditions, failures = _conditions(facts), _failures(facts)
    if facts.trades < FEWEST_TRADES:
        return Verdict(word="INCONCLUSIVE", reasons=conditions)
    if failures:
        failed = {reason.subject for reason in failures}
        rest = tuple(reason for reason in conditions if reason.subject not in failed)
        return Verdict(word="FAIL", reasons=failures + rest)
    met = all(reason.ok for reason in conditions)
    return Verdict(word="PASS" if met else "INCONCLUSIVE", reasons=conditions)


def _conditions(facts: Facts) -> tuple[Reason, ...]:
    tried = "1 strategy" if facts.num_trials == 1 else f"{facts.num_trials} strategies"
    positive, traded = facts.splits_positive, facts.splits_traded
    dsr = number_beside(facts.dsr, LEAST_DSR)
    low = number_beside(facts.sharpe_low, 0.0)
    own = number_beside(facts.sharpe, facts.buy_and_hold_sharpe)
    holding = number_beside(facts.buy_and_hold_sharpe, facts.sharpe)
    doubled = number_beside(facts.doubled_costs_sharpe, 0.0)
    charged, implied = 1e4 * facts.charged, 1e4 * facts.implied_spread
    return (
        condition(
            "dsr",
            facts.dsr >= LEAST_DSR,
            f"Deflated Sharpe ratio {dsr} ({tried} tried on this data), needs {LEAST_DSR}"
            if math.isfinite(facts.dsr)
            else f"No deflated Sharpe ratio (few days or no variation), needs {LEAST_DSR}",
        ),
        condition(
            "sharpe_low",
            facts.sharpe_low > 0,
            f"Sharpe ratio, lower end of the 90 % CI: {low}, needs more than 0"
            if math.isfinite(facts.sharpe_low)
            else "No 90 % CI of the Sharpe ratio (few days with returns), needs one above 0",
        ),
        condition(
            "sharpe",
            facts.sharpe > facts.buy_and_hold_sharpe,
            f"Sharpe ratio {own} against {holding} for buy-and-hold, needs the higher one"
            if math.isfinite(facts.sharpe) and math.isfinite(facts.buy_and_hold_sharpe)
            else "No Sharpe ratio to compare with buy-and-hold, needs the higher one",
        ),
        *(
            condition(
                subject,
                p < most,
                f"{null_text(title, p, most)}, needs p < {most}",
            )
            for subject, title, p, most in _nulls(facts)
        ),
        condition(
            "splits_positive",
            traded > 0 and 100 * positive >= LEAST_POSITIVE_PERCENT * traded,
            f"{positive} of {traded} traded splits profitable, needs {LEAST_POSITIVE_PERCENT} %"
            if traded
            else f"No split traded, needs a gain in {LEAST_POSITIVE_PERCENT} % of those that do",
        ),
        condition(
            "trades",
            facts.trades >= FEWEST_TRADES,
            f"{facts.trades} trade{'s' * (facts.trades != 1)}, needs {FEWEST_TRADES}",
        ),
        condition(
            "doubled_costs_sharpe",
            facts.doubled_costs_sharpe > 0,
            f"Sharpe ratio at doubled costs {doubled}, needs more than 0"
            if math.isfinite(facts.doubled_costs_sharpe)
            else "No Sharpe ratio at doubled costs, needs more than 0",
        ),
        condition(
            "implied_spread",
            facts.implied_spread <= facts.charged or math.isnan(implied),
            f"{charged:.3g} bp charged a side, needs the {implied:.3g} bp of half-spread by which "
            "closes bounce"
            if implied > 0
            else f"{charged:.3g} bp charged a side, the bars imply no spread"
            if implied == 0
            else f"{charged:.3g} bp charged a side, too few bars in a row to tell what they imply",
        ),
        *_training(facts),
    )


def _training(facts: Facts) -> Iterator[Reason]:
    """Conditions that a walk-forward meets by the way it is made, and does not mention."""
    if facts.later_splits:
        yield condition(
            "later_splits",
            False,
            f"Not walk-forward: {_splits(facts.later_splits)} learned from bars of the test range "
            "or after it, needs none",
        )
    if facts.untold_splits:
        yield condition(
            "untold_splits",
            False,
            "Not shown to be walk-forward: fold numbers alone do not tell what "
            f"{_splits(facts.untold_splits)} learned from, needs (train, test) pairs",
        )


def _splits(count: int) -> str:
    return f"{count} split{'s' * (count != 1)}"


def _failures(facts: Facts) -> tuple[Reason, ...]:
    high = number_beside(facts.sharpe_high, 0.0)
    signs = (
        (
            "sharpe_low",
            facts.sharpe_high < 0,
            f"Sharpe ratio, upper end of the 90 % CI: {high}, below 0",
        ),
        (
            "total_return",
            facts.total_return <= 0,
            f"Net return {100 * facts.total_return:.1f} %, not above 0",
        ),
        *(
            (
                subject,
                p > HOPELESS_NULL_P,
                f"{null_text(title, p, HOPELESS_NULL_P)}, above {HOPELESS_NULL_P}",
            )
            for subject, title, p, _ in _nulls(facts)
        ),
    )
    return tuple(
        Reason(subject=subject, ok=False, text=f"{text}: fails")
        for subject, there, text in signs
        if there
    )


def condition(subject: str, ok: bool, text: str) -> Reason:
    """The reason of a condition, whose text ends in whether it is met."""
    return Reason(subject=subject, ok=bool(ok), text=f"{text}: {'met' if ok else 'not met'}")


def _nulls(facts: Facts) -> Iterator[tuple[str, str, float, float]]:
    """Key in `Facts`, name, p-value and its bound of what has to be told from chance alone."""
    if not facts.one_sided:
        yield "sides_p", "Random sides", facts.sides_p, MOST_SIDES_P
    yield "times_p", "Random times", facts.times_p, MOST_TIMES_P


def null_text(title: str, p: float, bound: float) -> str:
    """A null's title and p-value."""
    if not math.isfinite(p):
        return f"{title}: no p-value"
    return f"{title}: p = {number_beside(p, bound, digits=3)}"


def number_beside(value: float, bound: float, digits: int = 2) -> str:
    """Rounded, with as many more digits as it takes to see on which side of `bound` it lies."""
    if not math.isfinite(value):
        return "undefined"
    text = f"{value:.{digits}f}"
    while digits < 6 and value != bound and float(text) == round(bound, digits):
        digits += 1
        text = f"{value:.{digits}f}"
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """The whole evidence of a run and the verdict on it."""

    headline: Headline
    hindsight: Hindsight
    trials: Trials
    nulls: dict[str, Null]
    """By name, of `evidence.nulls.NULLS` those that need no training."""
    buy_and_hold: Account
    """Of all symbols, at the strategy's own costs."""
    buy_and_hold_sharpe: float
    doubled_costs: Account
    """The headline's signals with fees and slippage doubled."""
    doubled_costs_sharpe: float
    verdict: Verdict

    def __repr__(self) -> str:
        return str(self._summary())

    def _repr_html_(self) -> str:
        return self._summary().html()

    def _summary(self) -> Summary:
        figures = {
            field.name: getattr(self.headline, field.name) for field in fields(self.headline)
        }
        rows = (*headline_rows(figures), *self.verdict.rows(1))
        return Summary(f"Verdict: {self.verdict.word}", rows)

    @property
    def random_sides(self) -> Null:
        """Same times, drawn sides: a null of the verdict."""
        return self.nulls[RANDOM_SIDES.name]

    @property
    def random_times(self) -> Null:
        """Same sides, drawn times: a null of the verdict."""
        return self.nulls[RANDOM_TIMES.name]

    def to_dict(self) -> dict[str, Any]:
        """Plain values as JSON knows them; what is undefined is None."""
        head, null = self.headline, self.random_sides
        figures = {f.name: getattr(head, f.name) for f in fields(head) if f.name != "selection"}
        choices = head.selection.choices.reset_index().to_dict("records")
        value = {
            "verdict": asdict(self.verdict),
            "headline": figures
            | {"variance": head.variance, "choices": choices, "selection": head.selection.how},
            "hindsight": self.hindsight.to_dict(),
            "trials": asdict(self.trials),
            "random_sides": {
                "p_value": null.p_value,
                "reason": null.reason,
                "draws": len(null.draws),
                "median_sharpe": null.median_sharpe,
                "median_return": null.median_return,
            },
            "buy_and_hold_sharpe": self.buy_and_hold_sharpe,
            "doubled_costs_sharpe": self.doubled_costs_sharpe,
        }
        account = head.selection.simulation
        if len(account.columns) > 1:
            value["symbols"] = figures_by_symbol(account).to_dict("index")
        typed: dict[str, Any] = plain(value)
        return typed


def assess(
    res: SweepResult,
    head: Headline | None = None,
    *,
    preset: Preset = USUAL,
    trials: Trials | None = None,
    draws: int = NUM_DRAWS,
    cells: Cells | None = None,
) -> Assessment:
    """Headline, best cell in hindsight, nulls and verdict of a sweep.

    `head` is the headline if it was made already; then only the seed of `preset` is read.
    `trials` is what the ledger counted, this run included; None counts this sweep alone.
    `cells` are accounts of the sweep that are there already.
    """
    if trials is None:
        alone = trials_of(rule_entries(res, ""))
        trials = Trials(num_runs=1, num_rules=alone.num_rules, variance=alone.variance)
    if head is None:
        head = headline_of(res, preset, cells=cells)
    head = deflated(head, trials.num_runs)
    tested = [s for s in res.predictions.splits if s.number in head.selection.test_ranges]
    window, year = Window(res), res.bars.days_per_year
    hold = Account.of(window.buy_and_hold())
    doubled = traded_again(window, head, cost_multiple=2)
    nulls = draw_nulls(Case(result=res, headline=head, preset=preset, num_draws=draws))
    sides, times = nulls[RANDOM_SIDES.name], nulls[RANDOM_TIMES.name]
    holding, costly = (measures.sharpe(daily_returns(one), year) for one in (hold, doubled))
    facts = Facts(
        total_return=head.total_return,
        sharpe=head.sharpe,
        sharpe_low=head.sharpe_low,
        sharpe_high=head.sharpe_high,
        dsr=head.dsr,
        num_trials=head.num_trials,
        buy_and_hold_sharpe=holding,
        doubled_costs_sharpe=costly,
        sides_p=sides.p_value,
        times_p=times.p_value,
        one_sided=sides.reason == ONE_SIDED,
        trades=head.trades,
        charged=cost_a_side(head.selection.account, res.config),
        implied_spread=_implied_spread(res, head.selection.simulation),
        splits_traded=head.splits_traded,
        splits_positive=head.splits_positive,
        later_splits=sum(split.learned_later for split in tested),
        untold_splits=sum(not split.tells_train for split in tested),
    )
    return Assessment(
        headline=head,
        hindsight=hindsight(res, trials, seed=preset.seed, cells=cells),
        trials=trials,
        nulls=nulls,
        buy_and_hold=hold,
        buy_and_hold_sharpe=holding,
        doubled_costs=doubled,
        doubled_costs_sharpe=costly,
        verdict=judge(facts),
    )


def _implied_spread(res: SweepResult, traded: Simulation) -> float:
    """The symbols' proven half-spreads, weighted by what of each was traded.

    0 without a trade, NaN where that of no traded symbol can be told.
    """
    orders, symbols = traded.orders, traded.columns.get_level_values("symbol")
    value_N = np.zeros(len(res.bars.symbols))
    column = pd.Index(res.bars.symbols).get_indexer(symbols)[orders["col"]]
    np.add.at(value_N, column, orders["size"] * orders["price"])
    if not value_N.any():
        return 0.0
    found = implied_half_spread(res.window_bars)
    if np.isnan(found.estimate[value_N > 0]).all():
        return math.nan
    return float(np.average(found.low, weights=value_N))
