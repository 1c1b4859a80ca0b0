"""How good the verdict is: its PASS on markets without an edge, and its power where there is one.

Run `python -m benchmarks.verdict --markets 20 [--out runs.jsonl]`. Every market goes through the
whole pipeline: features, labels, splits, training, sweep, nested selection, nulls, verdict. Nothing
enters a ledger. Seeds begin at 10,000; nothing was tuned on them. Cells share their seeds: from
edge to edge, a market differs by its drift alone. With `--out` a run that was cut goes on where it
stopped, unless the library has changed.

The cells:

- "edge E": the simulated market as in the quickstart, edge times the planted drift.
- "oracle S": the same, with the edge at which the hidden regime is worth a net Sharpe ratio of S
  to who sees it (`benchmarks.oracle`).
- "drift": edge 0 and a drift of +50 % a year, which buying and holding earns too.
- "signs ...": real bars whose direction is redrawn by coin: volatility and volume are real, nothing
  can foresee the side.
- "best of 20": twenty strategies on each market of edge 0, from the same predictions, each with its
  own nested selection and deflated by N = 20. A PASS is a PASS of any of them.

`--markets N` is N markets of each "edge" cell and half as many of the others, which keeps 20 within
25 minutes on two free cores. The last line is JSON; what was not run is null.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from scipy.stats import binomtest

from benchmarks.judging import BEST, MARKETS, Record, Task, code_hash, run
from benchmarks.oracle import EDGES
from convnext_vbt.storage import plain

FIRST_SEED = 10_000
"""Settings were tuned on seeds below 1,000."""
QUICK = ("edge 0", "edge 1")


def missing(
    cells: Iterable[str], seeds: Iterable[int], records: Iterable[Record], source: str
) -> list[Task]:
    """What is still to be run, seed by seed, so that a run that is cut has all cells evenly."""
    done = {(record["cell"], record["seed"]) for record in records}
    return [
        Task(cell=cell, seed=seed, source=source)
        for seed in seeds
        for cell in cells
        if (cell.startswith("edge") or seed % 2 == 0) and (cell, seed) not in done
    ]


def read_records(path: Path | None) -> list[Record]:
    """What earlier runs with this very code have found; see `read_lines`."""
    return read_lines(path, lambda record: bool(record["code"] == code_hash()))


def read_lines(path: Path | None, is_own: Callable[[Record], bool]) -> list[Record]:
    """The records that are this code's own; half a line of a run that was cut is none.

    Says how many lines do not count.
    """
    if path is None or not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    own = []
    for line in lines:
        with contextlib.suppress(json.JSONDecodeError):
            record = json.loads(line)
            if is_own(record):
                own.append(record)
    if len(own) < len(lines):
        print(f"{path}: {len(lines) - len(own)} result(s) of other code or cut short do not count")
    return own


def shares(passed: int, markets: int) -> tuple[float, float, float]:
    """Share and its exact 95 % bounds (Clopper and Pearson 1934); NaN without markets."""
    if not markets:
        return (float("nan"),) * 3
    bounds = binomtest(passed, markets).proportion_ci(0.95, method="exact")
    return passed / markets, float(bounds.low), float(bounds.high)


def result(records: Iterable[Record]) -> dict[str, Any]:
    """The JSON of the last line."""
    words: dict[str, list[str]] = {}
    for record in records:
        words.setdefault(record["cell"], []).append(record["word"])

    def of(cell: str) -> tuple[float, float, float]:
        return shares(words.get(cell, []).count("PASS"), len(words.get(cell, [])))

    planted = [cell for cell in words if MARKETS.get(cell, 0.0) > 0]
    nulls = [cell for cell in words if cell not in ("edge 0", *planted)]
    value: dict[str, Any] = plain(
        {
            "false_pass": of("edge 0")[0],
            "false_pass_high": of("edge 0")[2],
            "power": {edge: of(f"edge {edge}")[0] for edge in ("0.25", "0.5", "1")},
            "power_by_oracle_sharpe": {f"{s:g}": of(f"oracle {s:g}")[0] for s in EDGES},
            "power_low": {cell: of(cell)[1] for cell in planted},
            "other_false_pass": {cell: of(cell)[0] for cell in nulls},
            "other_false_pass_high": {cell: of(cell)[2] for cell in nulls},
            "markets": len(words.get("edge 0", [])),
        }
    )
    return value


def table(records: list[Record]) -> str:
    """Verdicts, figures and unmet conditions by cell."""
    order = [*MARKETS, BEST]
    cells = sorted(
        {record["cell"] for record in records},
        key=lambda cell: (order.index(cell) if cell in order else len(order), cell),
    )
    head = f"{'cell':<16}{'markets':>8}{'PASS':>6}{'INC.':>6}{'FAIL':>6}   PASS, 95 % bounds"
    return "\n".join([head, *(_rows(cell, records) for cell in cells)])


def _rows(cell: str, records: list[Record]) -> str:
    own = [record for record in records if record["cell"] == cell]
    words = Counter(record["word"] for record in own)
    counts = "".join(f"{words[word]:>6}" for word in ("PASS", "INCONCLUSIVE", "FAIL"))
    share, low, high = shares(words["PASS"], len(own))
    figures = {"Sharpe": "sharpe", "DSR": "dsr", "sides p": "sides_p", "times p": "times_p"}
    figures["trades"] = "trades"
    spread = ", ".join(f"{name} {_quantiles(own, key)}" for name, key in figures.items())
    unmet = Counter(name for record in own for name in record["unmet"])
    alone = Counter(record["unmet"][0] for record in own if len(record["unmet"]) == 1)
    blocked = ", ".join(f"{name} {count} ({alone[name]})" for name, count in unmet.most_common())
    return (
        f"{cell:<16}{len(own):>8}{counts}   {share:.3f}  [{low:.3f}, {high:.3f}]\n"
        f"    10 / 50 / 90 %: {spread}\n"
        f"    conditions not met (as the only one): {blocked or 'none'}"
    )


def _quantiles(own: list[Record], key: str) -> str:
    known = [record[key] for record in own if record.get(key) is not None]
    if not known:
        return "n/a"
    return " / ".join(f"{value:.3g}" for value in np.quantile(known, [0.1, 0.5, 0.9]))


def main() -> None:
    """Run what is not there yet, print each market as it comes, then the table and the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--markets", type=int, default=20, help="of each edge; other cells: half")
    parser.add_argument("--quick", action="store_true", help="two markets of edge 0 and of edge 1")
    parser.add_argument("--cells", nargs="+", help="only these cells, e.g. 'edge 0' signs")
    parser.add_argument("--bars", default="sp500", help="real bars for the random signs")
    parser.add_argument("--jobs", type=int, default=2, help="processes, one thread each")
    parser.add_argument("--out", type=Path, help="JSON lines to append to and to go on from")
    options = parser.parse_args()
    signs = f"signs {Path(options.bars).name}"
    known = [*MARKETS, "signs"]
    wanted = options.cells or (QUICK if options.quick else known)
    if unknown := [cell for cell in wanted if cell not in known]:
        parser.error(f"no cell {unknown[0]!r}; there are {', '.join(known)}")
    cells = [signs if cell == "signs" else cell for cell in wanted]
    seeds = range(FIRST_SEED, FIRST_SEED + (2 if options.quick else options.markets))
    records = read_records(options.out)
    tasks = missing(cells, seeds, records, options.bars)
    records += run_all(tasks, run, report, jobs=options.jobs, out=options.out)
    print(table(records))
    print(json.dumps(result(records)))


def run_all(
    tasks: Sequence[Any],
    run: Callable[[Any], list[Record]],
    report: Callable[[list[Record], str], None],
    *,
    jobs: int,
    out: Path | None,
) -> list[Record]:
    """Records of all tasks, each kept and reported as it comes; an interrupt keeps what is there.

    Processes of one thread each.
    """
    records, started = [], time.perf_counter()
    try:
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            pool = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
            for number, found in enumerate(pool(joblib.delayed(run)(task) for task in tasks), 1):
                records += found
                keep(out, found)
                report(found, f"{number}/{len(tasks)}, {time.perf_counter() - started:.0f} s")
    except KeyboardInterrupt:
        print("interrupted; what is finished counts")
    return records


def keep(path: Path | None, found: list[Record]) -> None:
    """Append to the file of results, on a line of its own whatever a run that was cut left."""
    if path is None:
        return
    torn = path.is_file() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    lines = "".join(json.dumps(record) + "\n" for record in found)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * torn + lines)


def report(found: list[Record], progress: str) -> None:
    """One line a verdict."""
    for record in found:
        sharpe = "n/a" if record["sharpe"] is None else f"{record['sharpe']:.2f}"
        unmet = ", ".join(record["unmet"])
        reasons = f"not met: {unmet}" if unmet else "all conditions met"
        print(
            f"[{progress}] {record['cell']}, seed {record['seed']}: {record['word']}, "
            f"Sharpe {sharpe}, {record['trades']} trades; {reasons}",
            flush=True,
        )


if __name__ == "__main__":
    main()
