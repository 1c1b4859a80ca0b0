"""The verdict on what was found, by the thresholds of `evidence.verdict`.

A condition that cannot be told from what was given is not met, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from convnext_vbt.evidence.judging.findings import WALK_FORWARD, Best, Judged
from convnext_vbt.evidence.judging.trials import SIZE
from convnext_vbt.evidence.nulls.null import Null
from convnext_vbt.evidence.nulls.random_sides import ONE_SIDED
from convnext_vbt.evidence.verdict import (
    FEWEST_TRADES,
    HOPELESS_NULL_P,
    LEAST_DSR,
    LEAST_POSITIVE_PERCENT,
    MOST_SIDES_P,
    MOST_TIMES_P,
    Reason,
    Verdict,
    condition,
    null_text,
    number_beside,
)

NOT_KNOWN = "not known from returns alone"


def weigh(
    judged: Judged,
    best: Best,
    *,
    num_trials: float,
    effective: float,
    spa: float,
    benchmark: str,
    sides: Null,
    times: Null,
) -> Verdict:
    """PASS when every condition holds; FAIL on one sign of no edge; else INCONCLUSIVE.

    Below 30 trades, where they are known, it is INCONCLUSIVE whatever the figures.
    """
    conditions = (
        *_certainty(judged),
        *_columns(judged, best, num_trials, effective, spa, benchmark),
        *_nulls(sides, times),
        *_trading(judged),
    )
    if judged.trades is not None and judged.trades < FEWEST_TRADES:
        return Verdict(word="INCONCLUSIVE", reasons=conditions)
    failures = tuple(_failures(judged, sides, times))
    if failures:
        failed = {reason.subject for reason in failures}
        rest = tuple(reason for reason in conditions if reason.subject not in failed)
        return Verdict(word="FAIL", reasons=failures + rest)
    met = all(reason.ok for reason in conditions)
    return Verdict(word="PASS" if met else "INCONCLUSIVE", reasons=conditions)


def _certainty(judged: Judged) -> Iterator[Reason]:
    what, several = (
        ("grid of columns", "such grids")
        if judged.name == WALK_FORWARD
        else ("strategy", "strategies")
    )
    tried = f"1 {what}" if judged.num_trials == 1 else f"{judged.num_trials:.4g} {several}"
    yield condition(
        "dsr",
        judged.dsr >= LEAST_DSR,
        f"Deflated Sharpe ratio {number_beside(judged.dsr, LEAST_DSR)} ({tried} tried), "
        f"needs {LEAST_DSR}"
        if math.isfinite(judged.dsr)
        else f"No deflated Sharpe ratio (few days with returns), needs {LEAST_DSR}",
    )
    yield condition(
        "sharpe_low",
        judged.sharpe_low > 0,
        f"Sharpe ratio, lower end of the 90 % CI: {number_beside(judged.sharpe_low, 0.0)}, "
        "needs more than 0"
        if math.isfinite(judged.sharpe_low)
        else "No 90 % CI of the Sharpe ratio (few days with returns), needs one above 0",
    )


def _columns(
    judged: Judged, best: Best, num_trials: float, effective: float, spa: float, benchmark: str
) -> Iterator[Reason]:
    holding = judged.benchmark_sharpe
    if not benchmark:
        yield _not_known("sharpe", f"Sharpe ratio against what is held instead: {NOT_KNOWN}, "
                         "give benchmark")  # fmt: skip
    else:
        yield condition(
            "sharpe",
            judged.sharpe > holding,
            f"Sharpe ratio {number_beside(judged.sharpe, holding)} against "
            f"{number_beside(holding, judged.sharpe)} for {benchmark}, needs the higher one"
            if math.isfinite(judged.sharpe) and math.isfinite(holding)
            else f"No Sharpe ratio to compare with {benchmark}, needs the higher one",
        )
    against = f"{benchmark} at its own beta" if benchmark else "cash"
    many = judged.name == WALK_FORWARD
    who = "Some column leads over" if many else "Leads over"
    yield condition(
        "spa",
        spa < SIZE,
        f"{who} {against} (SPA): {_p_value(spa)}, needs p < {SIZE}"
        if math.isfinite(spa)
        else f"{who} {against} (SPA): no p-value, needs p < {SIZE}",
    )
    if judged.num_trials > 1 and many:  # SPA sees the columns that are here alone
        yield condition(
            "best_dsr",
            best.dsr >= LEAST_DSR,
            f"Best column, deflated Sharpe ratio {number_beside(best.dsr, LEAST_DSR)} "
            f"({num_trials:,.0f} tried, like {effective:,.0f} independent ones), needs {LEAST_DSR}"
            if math.isfinite(best.dsr)
            else f"Best column: no deflated Sharpe ratio, needs {LEAST_DSR}",
        )


def _nulls(sides: Null, times: Null) -> Iterator[Reason]:
    for subject, title, null, most in _tests(sides, times):
        if math.isfinite(null.p_value):
            text = f"{null_text(title, null.p_value, most)}, needs p < {most}"
            yield condition(subject, null.p_value < most, text)
        else:
            yield _not_known(subject, f"{title}: not known, {null.reason}; needs p < {most}")


def _trading(judged: Judged) -> Iterator[Reason]:
    positive, traded = judged.periods_positive, judged.periods_traded
    yield condition(
        "periods_positive",
        traded > 0 and 100 * positive >= LEAST_POSITIVE_PERCENT * traded,
        f"{positive} of {traded} traded periods profitable, needs {LEAST_POSITIVE_PERCENT} %",
    )
    if judged.trades is None:
        yield _not_known("trades", f"Trades: {NOT_KNOWN}, needs {FEWEST_TRADES}")
        yield _not_known("doubled_costs_sharpe", f"Sharpe ratio at doubled costs: {NOT_KNOWN}")
        return
    yield condition(
        "trades",
        judged.trades >= FEWEST_TRADES,
        f"{judged.trades:,} trade{'s' * (judged.trades != 1)}, needs {FEWEST_TRADES}",
    )
    if not judged.charged > 0:
        yield _not_known("doubled_costs_sharpe", "Sharpe ratio at doubled costs: not known, the "
                         "orders paid no costs")  # fmt: skip
        return
    doubled = judged.doubled_costs_sharpe
    yield condition(
        "doubled_costs_sharpe",
        doubled > 0,
        f"Sharpe ratio at doubled costs ({1e4 * judged.charged:.3g} bp a side) "
        f"{number_beside(doubled, 0.0)}, needs more than 0",
    )


def _failures(judged: Judged, sides: Null, times: Null) -> Iterator[Reason]:
    high = number_beside(judged.sharpe_high, 0.0)
    signs = (
        (
            "sharpe_low",
            judged.sharpe_high < 0,
            f"Sharpe ratio, upper end of the 90 % CI: {high}, below 0",
        ),
        (
            "total_return",
            judged.total_return <= 0 and judged.periods_traded > 0,
            f"Net return {100 * judged.total_return:.1f} %, not above 0",
        ),
        *(
            (
                subject,
                null.p_value > HOPELESS_NULL_P,
                f"{null_text(title, null.p_value, HOPELESS_NULL_P)}, above {HOPELESS_NULL_P}",
            )
            for subject, title, null, _ in _tests(sides, times)
        ),
    )
    for subject, there, text in signs:
        if there:
            yield Reason(subject=subject, ok=False, text=f"{text}: fails")


def _tests(sides: Null, times: Null) -> Iterator[tuple[str, str, Null, float]]:
    if sides.reason != ONE_SIDED:
        yield "sides_p", "Random sides", sides, MOST_SIDES_P
    yield "times_p", "Random times", times, MOST_TIMES_P


def _p_value(p: float) -> str:
    return f"p = {number_beside(p, SIZE, digits=3)}" if p >= 0.0005 else "p < 0.001"


def _not_known(subject: str, text: str) -> Reason:
    return Reason(subject=subject, ok=False, text=f"{text}: not met")
