"""How near the models come to what can be known: each against limits, on markets that are its like.

Run `python -m benchmarks.power [--out lines.jsonl]`. A market is two years of hourly bars; every
model goes through `convnext_vbt.walk_forward` with the quickstart's strategy, is trained once on
the first year and tested on the second. Nothing was tuned on the seeds. With `--out` a run that was
cut goes on where it stopped, and runs of some models or seeds add up; what other code has found
does not count. Models that take long run on four seeds, on all where `--models` names them.

Markets: "regimes" (`market.simulated`) and "motifs" (`learning.prior.markets`: melodies of moves,
in units that the closes give away; what is linear in past moves is taken out of them), the latter
also with two tempos of five.

Limits, see `benchmarks.limits`: one knows the market's edge, the other infers it too.

Networks: trained on the market's own past alone; with the prior that is shipped, which has seen
markets of this family (capacity, not skill); with a prior from which the family was left out.

The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.limits import GRID, KNOWS, Limit, Market, calibrated
from benchmarks.powertable import checks, checks_table, summary, table
from benchmarks.seeing import MODELS, OWN_PAST, Record, Task, run, source_hash
from benchmarks.verdict import read_lines, run_all
from convnext_vbt.storage import plain

EDGES = (0.25, 0.5, 1.0)
SEEDS = range(60_000, 60_020)
"""Settings were tuned on seeds below 50,000; limits are calibrated on 69,000 and up."""
MOTIFS = (
    Market(family="motifs", edge=1.0, tempos=(2, 3, 4, 6, 8)),
    Market(family="motifs", edge=1.0, tempos=(2, 3)),
)
QUICK_CALIBRATION = 2
LIMITS = "limits"
COSTLY, FEW = ("boosting", OWN_PAST), 4
"""Models that take most of the time, and on how many seeds they run unless asked for by name."""


def missing(
    markets: Sequence[Market],
    seeds: Iterable[int],
    models: Sequence[str],
    records: Iterable[Record],
    calibration: int | None = None,
    costly: Sequence[str] = (),
) -> Iterator[Task]:
    """What is still to be run, seed by seed, so that a run that is cut has all markets evenly.

    `models` are among `MODELS` and `LIMITS`, `costly` ones are for the first `FEW` seeds alone; the
    limit of a market is calibrated, on `calibration` others, when the first task needs it.
    """
    done = {(record["market"], record["model"], record["seed"]) for record in records}
    limits: dict[Market, Limit] = {}
    for place, seed in enumerate(seeds):
        wanted = [m for m in models if m in MODELS and (place < FEW or m not in costly)]
        for market in markets:
            left = [m for m in wanted if (str(market), m, seed) not in done]
            limited = LIMITS in models and (str(market), KNOWS, seed) not in done
            if limited and market not in limits:
                limits[market] = calibrated(market, calibration)
            if left or limited:
                limit = limits[market] if limited else None
                yield Task(market=market, seed=seed, models=tuple(left), limit=limit)


def read_records(path: Path | None) -> list[Record]:
    """What earlier runs with this very code have found."""
    return read_lines(path, _is_own)


def _is_own(record: Record) -> bool:
    family = record["market"].split()[0]
    return bool(record["code"] == source_hash(record["model"], family))


def report(found: Sequence[Record], progress: str) -> None:
    """One line a market: direction, and the processor time that it took."""
    figures = ", ".join(f"{r['model']} {r['direction']:.1f} ({r['seconds']:.0f} s)" for r in found)
    print(f"[{progress}] {found[0]['market']}, seed {found[0]['seed']}: {figures}", flush=True)


def main() -> None:
    """Run what is not there yet, print each market as it comes, then the tables and the JSON."""
    options = _options()
    records = read_records(options.out)
    tasks = missing(
        options.markets,
        options.seeds,
        options.models or [LIMITS, *MODELS],
        list(records),
        options.calibration,
        () if options.models else COSTLY,
    )
    records += run_all(list(tasks), run, report, jobs=options.jobs, out=options.out)
    rows, targets = summary(records), checks(records)
    print(table(rows), checks_table(targets), sep="\n\n")
    print(json.dumps(plain({"markets": rows, "checks": targets})))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    known = [LIMITS, *MODELS]
    names = f"some of {', '.join(map(repr, known))}; all, costly ones on {FEW} seeds"
    add("--quick", action="store_true", help="two markets of each family; nothing is kept")
    add("--edges", type=_edges, default=EDGES, help="of the regimes, e.g. .5,1")
    add("--seeds", type=_seeds, default=SEEDS, help="FIRST:STOP")
    add("--models", nargs="+", choices=known, metavar="MODEL", help=names)
    add("--jobs", type=int, default=1, help="processes, one thread each")
    add("--out", type=Path, help="JSON lines to append to and to go on from")
    options = parser.parse_args()
    options.calibration = None
    options.markets = [*(Market(family="regimes", edge=e) for e in options.edges), *MOTIFS]
    if options.quick:
        options.markets = [Market(family="regimes", edge=1.0), MOTIFS[0]]
        options.seeds, options.calibration, options.out = SEEDS[:2], QUICK_CALIBRATION, None
        options.models = options.models or [LIMITS, *(m for m in MODELS if m not in COSTLY)]
    return options


def _edges(text: str) -> tuple[float, ...]:
    edges = tuple(map(float, text.split(",")))
    if wrong := [edge for edge in edges if edge not in GRID]:
        raise argparse.ArgumentTypeError(f"edges must be among {GRID}, got {wrong[0]:g}")
    return edges


def _seeds(text: str) -> range:
    first, stop = map(int, text.split(":"))
    return range(first, stop)


if __name__ == "__main__":
    main()
