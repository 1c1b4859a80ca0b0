"""Whether the verdict is fooled by strategies that know nothing of the direction.

Run `python -m benchmarks.nulls [--markets N] [--families NAME ...] [--out runs.jsonl]`.
Each family is a market and what is traded there (`benchmarks.nullfamilies`), judged by `assess` at
default costs and without any. Seeds begin at 40,000; nothing was tuned on them. What
`benchmarks.verdict` asks of the network is asked here of plain rules: many are judged in little
time.

- "long-biased +D %": a drift of D % a year; long by 1 / volatility and, once a week for three
  hours, 5 % of that short: the drift's gain, dressed as both sides.
- "timed ...": positions, or their side, by volatility alone.
- "tight stop", "wide stop": sides by coin with a bracket of 0.6 % against 3.5 %, or the reverse;
  with a drift four coins of five say long.
- "momentum", "reversal": with and against the last day's move on a martingale.
- "season": the true mean by hour of the day, worth less than the costs; without costs it is real.
- "bounce": last prints 20 bp around a martingale, and logistic regression through the pipeline.
- "crashes": a martingale with rare large falls; long or short but for the token on the other side.
- "told S": a little of the next 24 hours, for a net Sharpe ratio of about S: power, not a null.
- "best of 20 ...": twenty such rules on each market, deflated by N = 20; a PASS of any is a PASS.

`--markets N` is N markets of each family, of slow ones a half or a quarter. The last line is JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.judging import Record, code_hash
from benchmarks.nullfamilies import FAMILIES
from benchmarks.nullrules import COSTS, Strategy
from benchmarks.verdict import read_lines, report, run_all, shares
from convnext_vbt.evidence.headline import deflated, headline_of
from convnext_vbt.evidence.ledger import rule_entries, trials_of
from convnext_vbt.evidence.verdict import LEAST_DSR, Assessment, assess
from convnext_vbt.market.bars import Bars
from convnext_vbt.storage import plain

FIRST_SEED = 40_000
QUICK = 2
OWN = ("nulls", "nullfamilies", "nullmarkets", "nullrules")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One market of one family; plain data, so it travels to another process."""

    family: str
    seed: int


def run(task: Task) -> list[Record]:
    """The verdicts on one market, one for each of the `COSTS`."""
    family = FAMILIES[task.family]
    records = []
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # few trades: the verdict says so itself
        bars = family.market(task.seed)
        strategies = family.rule(bars, task.seed)
        for costs in COSTS:
            found = judged(strategies, bars, costs)
            key = {"cell": cell_of(task.family, costs), "seed": task.seed, "code": own_hash()}
            seconds = round(time.perf_counter() - started, 2)  # the first's include the learning
            records.append(plain(key | found | {"seconds": seconds}))
            started = time.perf_counter()
    return records


def cell_of(family: str, costs: str) -> str:
    """How a family at these costs is called."""
    return f"{family} | {costs}"


def judged(strategies: Sequence[Strategy], bars: Bars, costs: str) -> Record:
    """The verdict; of several strategies that of the one nearest to a PASS, each one of so many.

    Of several only those are assessed to the end whose deflated Sharpe ratio leaves a PASS open.
    """
    sweeps = [strategy.sweep(bars, costs) for strategy in strategies]
    if len(sweeps) == 1:
        return facts(assess(sweeps[0], preset=strategies[0].preset))
    rules = trials_of(e for k, res in enumerate(sweeps) for e in rule_entries(res, str(k)))
    trials = replace(rules, num_runs=len(sweeps))
    heads = [
        deflated(headline_of(res, own.preset), len(sweeps))
        for own, res in zip(strategies, sweeps, strict=True)
    ]
    found = [
        facts(assess(res, head, trials=trials, preset=own.preset))
        for own, res, head in zip(strategies, sweeps, heads, strict=True)
        if head.dsr >= LEAST_DSR
    ]
    if found:
        return min(found, key=lambda record: (record["word"] != "PASS", len(record["unmet"])))
    best = max(heads, key=lambda head: -np.inf if np.isnan(head.sharpe) else head.sharpe)
    return {
        "word": "INCONCLUSIVE", "unmet": ["dsr"], "sharpe": best.sharpe, "dsr": best.dsr,
        "trades": best.trades,
    }  # fmt: skip


def facts(assessment: Assessment) -> Record:
    """The word, what is not met by its subject, and figures."""
    head, verdict = assessment.headline, assessment.verdict
    return {
        "word": verdict.word,
        "unmet": [reason.subject for reason in verdict.reasons if not reason.ok],
        "sharpe": head.sharpe,
        "dsr": head.dsr,
        "trades": head.trades,
        "buy_and_hold_sharpe": assessment.buy_and_hold_sharpe,
        "p_values": {name: null.p_value for name, null in assessment.nulls.items()},
    }


@cache
def own_hash() -> str:
    """Eight hex digits of all that a record depends on."""
    files = [Path(__file__).with_name(f"{name}.py") for name in OWN]
    code = code_hash().encode() + b"".join(path.read_bytes() for path in files)
    return hashlib.sha256(code).hexdigest()[:8]


def missing(families: Sequence[str], markets: int, records: Iterable[Record]) -> list[Task]:
    """What is still to be run, seed by seed, so that a run that is cut has all families evenly."""
    done = {(record["cell"], record["seed"]) for record in records}
    return [
        Task(family=family, seed=FIRST_SEED + number)
        for number in range(markets)
        for family in families
        if number % FAMILIES[family].one_in == 0
        and any((cell_of(family, costs), FIRST_SEED + number) not in done for costs in COSTS)
    ]


def named(beginnings: Sequence[str] | None) -> list[str]:
    """The families whose name begins so, in their order; all by default.

    Raises `ValueError` for what begins no name.
    """
    for one in beginnings or ():
        if not any(name.startswith(one) for name in FAMILIES):
            raise ValueError(f"no family {one!r}; there are {', '.join(FAMILIES)}")
    starts = tuple(beginnings or ("",))
    return [name for name in FAMILIES if name.startswith(starts)]


def cells(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The records of each family and costs, in the order of the families."""
    order = [cell_of(family, costs) for family in FAMILIES for costs in COSTS]
    found = {cell: [r for r in records if r["cell"] == cell] for cell in order}
    return {cell: own for cell, own in found.items() if own}


def is_right(cell: str) -> bool:
    """Whether a PASS of this cell is right."""
    family, costs = cell.split(" | ")
    return costs in FAMILIES[family].knows


def table(records: Sequence[Record]) -> str:
    """Verdicts by family and costs, and which conditions were not met how often."""
    head = f"{'family':<24}{'costs':<15}{'n':>4}{'PASS':>6}   95 % bounds      Sharpe  PASS is"
    return "\n".join([head, *(_row(cell, own) for cell, own in cells(records).items())])


def _row(cell: str, own: Sequence[Record]) -> str:
    family, costs = cell.split(" | ")
    share, low, high = passes(own)
    ratios = [record["sharpe"] for record in own if record["sharpe"] is not None]
    middle = f"{np.median(ratios):.2f}" if ratios else "n/a"
    unmet = Counter(subject for record in own for subject in record["unmet"])
    alone = Counter(record["unmet"][0] for record in own if len(record["unmet"]) == 1)
    listed = ", ".join(f"{name} {count} ({alone[name]})" for name, count in unmet.most_common())
    return (
        f"{family:<24}{costs:<15}{len(own):>4}{share:>6.2f}   [{low:.3f}, {high:.3f}]"
        f"{middle:>10}  {'right' if is_right(cell) else 'wrong'}\n"
        f"    not met (as the only one): {listed or 'none'}"
    )


def passes(own: Sequence[Record]) -> tuple[float, float, float]:
    """Share of PASS and its exact 95 % bounds."""
    return shares(sum(record["word"] == "PASS" for record in own), len(own))


def result(records: Sequence[Record]) -> dict[str, Any]:
    """The JSON of the last line: [share, low, high] by cell where a PASS is wrong, and right."""
    found = {cell: passes(own) for cell, own in cells(records).items()}
    wrong = {cell: value for cell, value in found.items() if not is_right(cell)}
    value: dict[str, Any] = plain(
        {
            "worst_false_pass": max((share for share, _, _ in wrong.values()), default=None),
            "false_pass": {cell: list(value) for cell, value in wrong.items()},
            "power": {cell: list(value) for cell, value in found.items() if is_right(cell)},
            "markets": {cell: len(own) for cell, own in cells(records).items()},
            "seconds": sum(record["seconds"] for record in records),
        }
    )
    return value


def main() -> None:
    """Run what is not there yet, print each verdict as it comes, then the table and the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--markets", type=int, default=20, help="of each family; slow ones: fewer")
    parser.add_argument("--quick", action="store_true", help="two markets of each family")
    parser.add_argument("--families", nargs="+", help="only those whose name begins so")
    parser.add_argument("--jobs", type=int, default=1, help="processes, one thread each")
    parser.add_argument("--out", type=Path, help="JSON lines to append to and to go on from")
    options = parser.parse_args()
    try:
        families = named(options.families)
    except ValueError as error:
        parser.error(str(error))
    records = read_lines(options.out, lambda record: bool(record["code"] == own_hash()))
    tasks = missing(families, QUICK if options.quick else options.markets, records)
    records += run_all(tasks, run, report, jobs=options.jobs, out=options.out)
    records = list({(r["cell"], r["seed"]): r for r in records}.values())  # a torn pair ran again
    print(table(records))
    print(json.dumps(result(records)))


if __name__ == "__main__":
    main()
