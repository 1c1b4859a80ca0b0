"""Every strategy ever tried on a data set, so that the best of many is judged as one of many.

The ledger is a text file of JSON lines that is only ever appended to, by any number of processes
at once. A line is one trial: its key, the data it was tried on, its Sharpe ratio per UTC day and
the number of days.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from convnext_vbt.errors import InputError, WriteError
from convnext_vbt.evidence.headline import Headline
from convnext_vbt.market.bars import Bars, step_text
from convnext_vbt.storage import sha256_json
from convnext_vbt.system import exclusive
from convnext_vbt.trading.sweep import GRID, SweepResult

Kind = Literal["run", "rule"]
KINDS = ("run", "rule")

MOST_CAPPED = 0.05
"""A cell whose size is capped on a larger share of its trades is a rule of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """What a trial was tried on.

    Two are the same data when they share a symbol, the bar size and some of their dates: bars that
    came later do not make it new data.
    """

    symbols: tuple[str, ...]
    step: str
    """Bar size, such as "1h"."""
    first: str
    """Open time of the first bar, UTC, as 2024-01-31T23:00:00Z: the text sorts as the time does."""
    last: str

    @classmethod
    def of(cls, bars: Bars) -> Self:
        """The data set of these bars."""
        first, last = (bars.index[i].strftime("%Y-%m-%dT%H:%M:%SZ") for i in (0, -1))
        return cls(symbols=bars.symbols, step=step_text(bars.step), first=first, last=last)

    def overlaps(self, other: DataSet) -> bool:
        """Whether the two are the same data."""
        return (
            self.step == other.step
            and self.first <= other.last
            and other.first <= self.last
            and not set(self.symbols).isdisjoint(other.symbols)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One trial."""

    key: str
    """Hash of what was tried, risk left out: the same key again is the same trial."""
    kind: Kind
    """"run": a whole strategy, nested selection included. "rule": one rule of its sweep."""
    sharpe: float
    """Per UTC day; NaN where it never traded."""
    num_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """How much has been tried on a data set."""

    num_runs: int
    """Distinct strategies: the headline's N."""
    num_rules: int
    """Distinct rules of all their sweeps: the N of the best cell in hindsight."""
    variance: float
    """Of the rules' Sharpe ratios per UTC day; NaN when fewer than two of them traded."""

    @property
    def rule_variance(self) -> float:
        """The V that the best of the rules is deflated with: 0 for a single one."""
        return 0.0 if self.num_rules == 1 else self.variance


def run_entry(head: Headline, key: str) -> Entry:
    """The trial that a headline is. `key` is the hash of the strategy without its risk."""
    sharpe = head.sharpe / math.sqrt(head.days_per_year)
    return Entry(key=key, kind="run", sharpe=sharpe, num_days=head.num_days)


def rule_entries(
    res: SweepResult, key: str, *, fixed: Mapping[str, object] | None = None
) -> list[Entry]:
    """The trials of a sweep: every rule and bracket multiple on its account, whatever the risk.

    `key` is the hash of all that the rules share: learning, costs and the rule's fixed
    parameters, but neither the swept lists nor the risk. `fixed` are parameters that are part of a
    rule's key where they are not swept, so that it is the same rule either way. Sharpe ratios are
    those of the smallest risk. A cell whose size cap binds on over 5 % of its trades is a trial of
    its own, with its risk in the key.
    """
    accounts = res.account_metrics
    risks = accounts.index.get_level_values("risk").to_numpy()
    table = accounts.iloc[np.argsort(risks, kind="stable")]
    names = [str(name) for name in table.index.names]
    daily = table["sharpe"].to_numpy() / math.sqrt(res.bars.days_per_year)
    capped = table["capped_share"].to_numpy() > MOST_CAPPED
    # A multiple that is not swept is not among the levels, yet it is part of the rule.
    unswept = dict(fixed or {})
    unswept |= {name: float(res.grid[name][0]) for name in GRID if name not in names}
    entries: dict[str, Entry] = {}
    for levels, sharpe, is_capped in zip(table.index, daily, capped, strict=True):
        rule = unswept | dict(zip(names, levels, strict=True))
        if not is_capped:
            del rule["risk"]
        own = sha256_json([key, {name: str(value) for name, value in rule.items()}])
        entries.setdefault(
            own, Entry(key=own, kind="rule", sharpe=float(sharpe), num_days=len(res.daily_returns))
        )
    return list(entries.values())


def record(path: str | Path, dataset: DataSet, entries: Iterable[Entry]) -> None:
    """Append these trials; lines that are there already are not written again.

    Whole or not at all for other processes: one write to the end of the file, under a lock.
    """
    path = Path(path)
    lines = [_line(dataset, entry) for entry in entries]
    with exclusive(_lock_file(path)):
        there = path.read_bytes() if path.exists() else b""
        known = set(there.splitlines())
        new = [line for line in dict.fromkeys(lines) if line not in known]
        if not new:
            return
        # A writer that was killed may have left half a line: ours begin on one of their own.
        start = b"" if not there or there.endswith(b"\n") else b"\n"
        _append(path, start + b"\n".join(new) + b"\n")


def count_trials(path: str | Path, dataset: DataSet) -> Trials:
    """What has been tried on this data set; nothing where there is no ledger.

    A key counts once a data set, the latest line of it. Rules that never traded count too, but
    have no Sharpe ratio to add to the variance. Lines that cannot be read are left where they are
    and left out, with a warning.
    """
    latest: dict[tuple[str, str, tuple[str, ...]], Entry] = {}
    for there, entry in _entries(Path(path)):
        if dataset.overlaps(there):
            latest[entry.kind, entry.key, there.symbols] = entry
    return trials_of(latest.values())


def trials_of(entries: Iterable[Entry]) -> Trials:
    """Count these trials alone, taken to be distinct."""
    both = list(entries)
    rules = [entry for entry in both if entry.kind == "rule"]
    sharpes = np.array([entry.sharpe for entry in rules if math.isfinite(entry.sharpe)])
    return Trials(
        num_runs=len(both) - len(rules),
        num_rules=len(rules),
        variance=float(sharpes.var(ddof=1)) if len(sharpes) > 1 else math.nan,
    )


def _line(dataset: DataSet, entry: Entry) -> bytes:
    value = {
        "key": entry.key,
        "kind": entry.kind,
        "symbols": dataset.symbols,
        "step": dataset.step,
        "first": dataset.first,
        "last": dataset.last,
        "sharpe": entry.sharpe if math.isfinite(entry.sharpe) else None,
        "days": entry.num_days,
    }
    return json.dumps(value, allow_nan=False, separators=(", ", ": ")).encode()


def _parse(line: bytes) -> tuple[DataSet, Entry]:
    """What `_line` wrote. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
    value: dict[str, Any] = json.loads(line)
    texts = {name: value[name] for name in ("key", "kind", "step", "first", "last")}
    symbols, sharpe, days = value["symbols"], value["sharpe"], value["days"]
    if not (
        all(isinstance(text, str) for text in (*texts.values(), *symbols))
        and isinstance(symbols, list)
        and texts["kind"] in KINDS
        and isinstance(days, int)
    ):
        raise InputError("not a trial")
    dataset = DataSet(
        symbols=tuple(symbols), step=texts["step"], first=texts["first"], last=texts["last"]
    )
    number = math.nan if sharpe is None else float(sharpe)
    return dataset, Entry(key=texts["key"], kind=value["kind"], sharpe=number, num_days=days)


def _entries(path: Path) -> Iterator[tuple[DataSet, Entry]]:
    if not path.is_file():
        return
    with exclusive(_lock_file(path)):
        lines = path.read_bytes().splitlines()
    faulty = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            parsed = _parse(line)
        except (ValueError, KeyError, TypeError):
            faulty.append(number)
            continue
        yield parsed
    if faulty:
        warnings.warn(
            f"{path}: {len(faulty)} line(s) cannot be read and do not count, the first is line "
            f"{faulty[0]}; nothing was changed: repair or delete them by hand",
            UserWarning,
            stacklevel=3,
        )


def _lock_file(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _append(path: Path, data: bytes) -> None:
    """Append, or leave the file as it was and raise `WriteError`: a full disk cuts no line off."""
    try:
        with path.open("ab", buffering=0) as file:
            before = os.fstat(file.fileno()).st_size
            try:
                while data:
                    data = data[file.write(data) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(before)
                raise
    except OSError as error:
        raise WriteError.of(path, error) from error
