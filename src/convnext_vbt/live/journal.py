"""The journal of a live session: one SQLite file, one transaction a close.

A process that is killed leaves whole transactions alone: a close is in the journal with all that
belongs to it, or not at all. Times are ISO 8601 in UTC, NaN is NULL. Dimensions: N symbols.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt import __version__
from convnext_vbt.errors import DataError
from convnext_vbt.live.account import Holding, Resting
from convnext_vbt.live.decision import Decision, Decisions
from convnext_vbt.live.fills import Fill
from convnext_vbt.live.row import Row
from convnext_vbt.live.shadow import SEEN, Shadow, State
from convnext_vbt.live.transfers import Transfer
from convnext_vbt.live.walk import Order
from convnext_vbt.system import exclusive
from convnext_vbt.trading.brackets import DISTANCES
from convnext_vbt.trading.inputs import SimulationConfig

APPLICATION = 0x43_4E_56_4A  # "CNVJ", at its place in SQLite's header
SCHEMA = 2
NAMES = {False: "live.sqlite", True: "rehearsal.sqlite"}
"""Of a session's journal in the run's directory, and of a rehearsal's."""
TABLES = {
    "facts": "name TEXT PRIMARY KEY, value TEXT NOT NULL",
    "closes": (
        "bar TEXT PRIMARY KEY, split INTEGER, equity REAL NOT NULL, refused TEXT NOT NULL, "
        "late INTEGER NOT NULL, decided_at TEXT NOT NULL, moved REAL NOT NULL"
    ),
    "bars": f"bar TEXT, symbol TEXT, {', '.join(f'{n} REAL' for n in SEEN)}",
    "rows": (
        f"bar TEXT, symbol TEXT, code INTEGER NOT NULL, size REAL NOT NULL, "
        f"{', '.join(f'{n} REAL' for n in DISTANCES)}, still INTEGER NOT NULL, "
        "max_holding INTEGER, volatility REAL"
    ),
    "positions": "bar TEXT, symbol TEXT, units REAL NOT NULL, entered TEXT, stop REAL",
    "decisions": (
        "bar TEXT, symbol TEXT, prob_down REAL, prob_stay REAL, prob_up REAL, action TEXT, "
        "step TEXT, units REAL, target REAL, reasons TEXT, warnings TEXT"
    ),
    "limits": (
        "bar TEXT, symbol TEXT, side INTEGER, price REAL, said TEXT, left INTEGER, share REAL, "
        "stop REAL, take_profit REAL, volatility REAL, volume REAL"
    ),
    "orders": (
        "bar TEXT, symbol TEXT, number INTEGER, side TEXT, units REAL, price REAL, fee REAL, "
        "PRIMARY KEY (bar, symbol, number)"
    ),
    "fills": (
        "key TEXT PRIMARY KEY, time TEXT, symbol TEXT, side TEXT, units REAL, price REAL, "
        "fee REAL, fee_units REAL"
    ),
    "transfers": "key TEXT PRIMARY KEY, time TEXT, amount REAL, bar TEXT",
    "notices": "number INTEGER PRIMARY KEY, event TEXT NOT NULL, told INTEGER NOT NULL",
}
_BY_SYMBOL = ("bars", "rows", "positions", "decisions", "limits")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Close:
    """A close as it is booked: what was seen, said, held and filled."""

    bar: pd.Timestamp
    seen: np.ndarray
    """float64 (6, N), by `shadow.SEEN`."""
    row: Row
    state: State
    """The shadow account's, before the decision acts."""
    decisions: Decisions | None
    refused: str
    """Why there is no decision; "" where there is one."""
    late: bool
    """Whether the next bar had closed already when it was decided."""
    decided_at: pd.Timestamp
    working: Mapping[str, Resting] = field(default_factory=dict)
    """Entries by limit that rest from now on, those told at this close too."""
    moved: float = 0.0
    """Money that came since the close before, negative where it went."""
    counted: tuple[str, ...] = ()
    """Keys of the transfers that make it."""
    before: tuple[pd.DatetimeIndex, np.ndarray] | None = None
    """Of the first close: the bars before it, as `shadow.bars_before` gives them."""


class Journal:
    """An open journal; see `open_journal`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def fact(self, name: str) -> str | None:
        """One of the facts that the journal is bound to."""
        found = self._all("SELECT value FROM facts WHERE name = ?", name)
        return str(found[0][0]) if found else None

    def bind(self, facts: Mapping[str, str]) -> None:
        """Write the facts that are new; raise `DataError` where others were decided by already."""
        known = {str(name): str(value) for name, value in self._all("SELECT * FROM facts")}
        for name, value in facts.items():
            if known.get(name, value) != value and self.last is not None:
                raise DataError(
                    f"{self.path} is the journal of another session: its {name} is "
                    f"{known[name]}, this one's is {value}; give --journal another file"
                )
        with self._transaction():
            new = [(name, value) for name, value in facts.items() if known.get(name) != value]
            self._many("facts", new, or_else="OR REPLACE")

    @property
    def last(self) -> pd.Timestamp | None:
        """The last bar that was decided."""
        ((found,),) = self._all("SELECT max(bar) FROM closes")
        return None if found is None else pd.Timestamp(found)

    def book(
        self, close: Close, symbols: Sequence[str], event: Mapping[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """Write a close with all that belongs to it, or, where this fails, nothing.

        With an `event` it is due to be told from then on; it comes back with its number.
        """
        bar, split = _text(close.bar), None if close.decisions is None else close.decisions.split
        head = (
            bar, split, close.state.equity, close.refused, close.late, _text(close.decided_at),
            close.moved,
        )  # fmt: skip
        orders = [
            (_text(one.bar), one.symbol, one.number, one.side, one.units, one.price, one.fee)
            for one in close.state.orders
        ]
        with self._transaction():
            for time, seen in zip(*(close.before or ((), ())), strict=True):
                self._many("bars", _bar_rows(_text(time), symbols, seen))
            self._many("closes", [head])
            self._many("bars", _bar_rows(bar, symbols, close.seen))
            self._many("rows", _rule_rows(bar, symbols, close.row))
            self._many("positions", _position_rows(bar, close.state.held))
            self._many("decisions", _decision_rows(bar, close.decisions))
            self._many("limits", _limit_rows(bar, close.working))
            self._many("orders", orders)
            counted = [(bar, key) for key in close.counted]
            self._connection.executemany("UPDATE transfers SET bar = ? WHERE key = ?", counted)
            return None if event is None else self._note(event)

    def note(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Write an event of no close that is due to be told; it comes back with its number."""
        with self._transaction():
            return self._note(event)

    def told(self, number: int) -> None:
        """An event has been told."""
        with self._transaction():
            self._connection.execute("UPDATE notices SET told = 1 WHERE number = ?", (number,))

    def due(self) -> list[dict[str, Any]]:
        """Events that were to be told and, as far as is known, were not, in their order."""
        rows = self._all("SELECT event FROM notices WHERE told = 0 ORDER BY number")
        return [dict(json.loads(event)) for (event,) in rows]

    def _note(self, event: Mapping[str, Any]) -> dict[str, Any]:
        ((last,),) = self._all("SELECT coalesce(max(number), 0) FROM notices")
        numbered = {**event, "notice": last + 1}
        self._many("notices", [(last + 1, json.dumps(numbered), 0)])
        return numbered

    def add_fills(self, fills: Sequence[Fill]) -> int:
        """Write those that are not there yet, and tell how many there were."""
        rows = [
            (one.key, _text(one.time), one.symbol, one.side, one.units, one.price, one.fee,
             one.fee_units)
            for one in fills
        ]  # fmt: skip
        with self._transaction():
            before = self._connection.total_changes
            self._many("fills", rows, or_else="OR IGNORE")
            return self._connection.total_changes - before

    def fills(self) -> list[Fill]:
        """What really happened, as far as it was told, in time."""
        columns = "key, time, symbol, side, units, price, fee, fee_units"
        rows = self._all(f"SELECT {columns} FROM fills ORDER BY time, key")
        names = [name.strip() for name in columns.split(",")]
        made = (dict(zip(names, row, strict=True)) for row in rows)
        return [Fill(**(one | {"time": pd.Timestamp(one["time"])})) for one in made]

    def add_transfers(self, transfers: Sequence[Transfer]) -> int:
        """Write those that are not there yet, and tell how many there were."""
        rows = [(one.key, _text(one.time), one.amount, None) for one in transfers]
        with self._transaction():
            before = self._connection.total_changes
            self._many("transfers", rows, or_else="OR IGNORE")
            return self._connection.total_changes - before

    def transfers(self, *, new: bool = False) -> list[Transfer]:
        """Money that came and went, in time; `new`: what no close has counted yet."""
        which = "WHERE bar IS NULL" if new else ""
        rows = self._all(f"SELECT key, time, amount FROM transfers {which} ORDER BY time, key")
        return [Transfer(key=k, time=pd.Timestamp(time), amount=one) for k, time, one in rows]

    def working(self) -> dict[str, Resting]:
        """Entries by limit that rest after the last close, by symbol."""
        names = ("side", "price", "said", "left", "share", "stop", "take_profit", "volatility",
                 "volume")  # fmt: skip
        rows = self._all(
            f"SELECT symbol, {', '.join(names)} FROM limits "
            "WHERE bar = (SELECT max(bar) FROM closes) ORDER BY rowid"
        )
        found = {}
        for symbol, *values in rows:
            known: dict[str, Any] = dict(zip(names, values, strict=True))
            known = {name: np.nan if value is None else value for name, value in known.items()}
            found[symbol] = Resting(**(known | {"said": pd.Timestamp(known["said"])}))
        return found

    def orders(self) -> list[Order]:
        """The shadow account's orders, in time."""
        columns = ("bar", "symbol", "number", "side", "units", "price", "fee")
        rows = self._all(f"SELECT {', '.join(columns)} FROM orders ORDER BY bar, symbol, number")
        made = (dict(zip(columns, row, strict=True)) for row in rows)
        return [Order(**(one | {"bar": pd.Timestamp(one["bar"])})) for one in made]

    def equity(self) -> pd.Series:
        """The shadow account's equity at each close."""
        rows = self._all("SELECT bar, equity FROM closes ORDER BY bar")
        times = pd.DatetimeIndex([pd.Timestamp(bar) for bar, _ in rows])
        return pd.Series([value for _, value in rows], index=times, dtype=np.float64)

    def moved(self) -> np.ndarray:
        """Money that came by each close since the one before, float64 (T,)."""
        return np.array([v for (v,) in self._all("SELECT moved FROM closes ORDER BY bar")])

    def closes_table(self) -> tuple[list[str], list[list[str]]]:
        """Heads and rows of text: what was decided at each close, the newest first."""
        rows = self._all(
            "SELECT c.bar, d.symbol, d.action, d.step, d.units, d.prob_down, d.prob_up, c.equity, "
            "c.late, c.refused FROM closes c LEFT JOIN decisions d ON d.bar = c.bar "
            "ORDER BY c.bar DESC, d.rowid"
        )
        heads = ["Bar, UTC", "Symbol", "Decision", "Units", "DOWN", "UP", "Shadow equity", "Late"]
        return heads, [
            [
                f"{pd.Timestamp(bar):%Y-%m-%d %H:%M}",
                symbol or "all",
                f"{action}: {step}" if action else f"none: {refused}",
                f"{units:.8g}" if units else "–",
                f"{down:.1%}" if down is not None else "–",
                f"{up:.1%}" if up is not None else "–",
                f"{equity:,.2f}",
                "late" if late else "",
            ]
            for bar, symbol, action, step, units, down, up, equity, late, refused in rows
        ]

    def shadow(self, trading: SimulationConfig) -> Shadow:
        """The shadow account with every close that is booked; `trading` is the strategy's."""
        known = {str(name): str(value) for name, value in self._all("SELECT * FROM facts")}
        shadow = Shadow(
            symbols=tuple(json.loads(known["symbols"])),
            step=pd.Timedelta(int(known["step"]), unit="ns"),
            days_per_year=int(known["days per year"]),
            closing=tuple(json.loads(known["closing"])),
            trading=replace(trading, init_cash=float(known["equity"])),
        )
        num = len(shadow.symbols)
        bars = self._by_bar("bars", SEEN, num)  # those before the first close have no row
        moved = dict(self._all("SELECT bar, moved FROM closes"))
        names = ("code", "size", *DISTANCES, "still", "max_holding", "volatility")
        for bar, values in self._by_bar("rows", names, num).items():
            limit = values[-2, 0]
            row = Row(
                codes=values[0].astype(np.uint8),
                sizes=values[1],
                distances=values[2:-3],
                still=values[-3].astype(np.bool_),
                volatility=values[-1],
                max_holding=None if np.isnan(limit) else int(limit),
            )
            shadow.add(pd.Timestamp(bar), bars.pop(bar), row, moved[bar])
        if bars:
            times = pd.DatetimeIndex([pd.Timestamp(bar) for bar in bars])
            shadow.begin(times, np.stack(list(bars.values())))
        return shadow

    def _by_bar(self, table: str, names: Sequence[str], num: int) -> dict[str, np.ndarray]:
        """float64 (names, N) of each bar; the symbols are in the order they were written in."""
        rows = self._all(f"SELECT bar, {', '.join(names)} FROM {table} ORDER BY bar, rowid")
        values = np.array([row[1:] for row in rows], dtype=np.float64).reshape(-1, num, len(names))
        return {rows[t * num][0]: one.T for t, one in enumerate(values)}

    def _all(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._faults():
            return self._connection.execute(sql, values).fetchall()

    def _many(self, table: str, rows: Sequence[tuple[Any, ...]], or_else: str = "") -> None:
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            sql = f"INSERT {or_else} INTO {table} VALUES ({marks})"
            self._connection.executemany(sql, rows)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._faults(), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise  # a close that is booked twice is our bug
        except sqlite3.OperationalError as error:
            raise DataError(
                f"{self.path} cannot be written ({error}); make room there or close what reads "
                "it, then run the same command again: what is booked is kept"
            ) from error
        except sqlite3.DatabaseError as error:
            raise DataError(_not_a_journal(self.path, str(error))) from error


@contextlib.contextmanager
def open_journal(path: Path) -> Iterator[Journal]:
    """The journal, alone, until the block ends; made where there is none.

    Raises `DataError` while another session writes it (the lock is the operating system's, so a
    killed session gives it back), and for a file that is no journal of this version's.
    """

    def refuse() -> None:
        raise DataError(
            f"another live session writes {path}; stop that one, or give --journal another file"
        )

    if not path.parent.is_dir():
        raise DataError(f"{path.parent} is no folder; make it, or give --journal another file")
    with exclusive(path.with_name(f"{path.name}.lock"), on_wait=refuse):
        connection = _opened(path)
        with contextlib.closing(connection):
            yield Journal(path, connection)


def _opened(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=60.0, isolation_level=None)
        try:
            _prepare(path, connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.OperationalError as error:
        raise DataError(
            f"{path} cannot be opened ({error}); give --journal a file that you may write"
        ) from error
    except sqlite3.DatabaseError as error:
        raise DataError(_not_a_journal(path, str(error))) from error
    return connection


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    """Make the tables of a new file; refuse what is none of ours."""
    ((application,),) = connection.execute("PRAGMA application_id")
    ((schema,),) = connection.execute("PRAGMA user_version")
    ((count,),) = connection.execute("SELECT count(*) FROM sqlite_master")
    if count and application != APPLICATION:
        raise DataError(_not_a_journal(path, "it holds other tables"))
    if count and schema != SCHEMA:
        raise DataError(
            f"{path} is a journal of format {schema}, this version writes {SCHEMA}; give "
            "--journal another file"
        )
    if count:
        return
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for name, columns in TABLES.items():
            key = ", PRIMARY KEY (bar, symbol)" if name in _BY_SYMBOL else ""
            connection.execute(f"CREATE TABLE {name} ({columns}{key})")
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {SCHEMA}")


def facts_of(
    *, run: str, config: str, symbols: Sequence[str], equity: float, kind: str
) -> dict[str, str]:
    """What a journal is bound to: one strategy, this version, one account."""
    return {
        "kind": kind,
        "run": run,
        "strategy hash": config,
        "version": __version__,
        "symbols": json.dumps(list(symbols)),
        "equity": repr(float(equity)),
    }


def _bar_rows(bar: str, symbols: Sequence[str], seen_6N: np.ndarray) -> list[tuple[Any, ...]]:
    return [(bar, name, *seen_6N[:, n].tolist()) for n, name in enumerate(symbols)]


def _rule_rows(bar: str, symbols: Sequence[str], row: Row) -> list[tuple[Any, ...]]:
    return [
        (bar, name, int(row.codes[n]), float(row.sizes[n]), *row.distances[:, n].tolist(),
         bool(row.still[n]), row.max_holding, float(row.volatility[n]))
        for n, name in enumerate(symbols)
    ]  # fmt: skip


def _position_rows(bar: str, held: Mapping[str, Holding]) -> list[tuple[Any, ...]]:
    return [
        (bar, name, one.units, None if one.entered is None else _text(one.entered), one.stop)
        for name, one in held.items()
    ]


def _decision_rows(bar: str, decisions: Decisions | None) -> list[tuple[Any, ...]]:
    return [] if decisions is None else [_decision_row(bar, one) for one in decisions.decisions]


def _decision_row(bar: str, one: Decision) -> tuple[Any, ...]:
    return (
        bar, one.symbol, one.prob_down, one.prob_stay, one.prob_up, one.action, one.step,
        one.units, one.target, json.dumps(one.reasons), json.dumps(one.warnings),
    )  # fmt: skip


def _limit_rows(bar: str, working: Mapping[str, Resting]) -> list[tuple[Any, ...]]:
    return [
        (bar, name, one.side, one.price, _text(one.said), one.left, one.share, one.stop,
         one.take_profit, one.volatility, one.volume)
        for name, one in working.items()
    ]  # fmt: skip


def _not_a_journal(path: Path, why: str) -> str:
    return f"{path} is no journal of a live session ({why}); give --journal another file"


def _text(time: pd.Timestamp) -> str:
    return time.tz_convert("UTC").isoformat()
