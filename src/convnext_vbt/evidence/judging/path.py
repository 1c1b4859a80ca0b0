"""The one series of returns that is judged, and the positions behind it.

A column by itself, or the choice over all columns joined. Where there are orders, its daily return
is exactly what its spells gained less its fees, each as a share of the account at the day before;
the nulls redraw those spells. Dimensions: D days of the path, T bars of the path, A assets that an
account holds at most, K spells, E pieces.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from convnext_vbt.evidence.judging.book import Bars, Book, Ledger, bars_of, until_ruin
from convnext_vbt.evidence.judging.choosing import Period, runs_of
from convnext_vbt.evidence.judging.grid import Grid
from convnext_vbt.evidence.measures import ratio, returns_between


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stretch:
    """Bars of one asset while one column was held: exposures, and what each met."""

    weight: np.ndarray
    """Exposure at each close, as a share of the account, short < 0."""
    market: np.ndarray
    """Return of the asset to the next close."""
    day: np.ndarray
    """Day of the path of that next close, int64."""
    close: np.ndarray = field(repr=False)
    """Of the asset, to tell whether two stretches are of the same one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Positions:
    """What is known of the path where there are orders; money as a share of the account."""

    spell: np.ndarray
    """Of each piece, int64 (E,)."""
    day: np.ndarray
    """Of each piece, a day of the path, int64 (E,)."""
    gross: np.ndarray
    """What the piece added to the day's return before fees, (E,)."""
    is_long: np.ndarray
    """Of each spell, bool (K,)."""
    asset: np.ndarray
    """Which of the account's assets each spell held, int64 (K,)."""
    fees: np.ndarray
    """By day, those of switching from column to column included, (D,)."""
    traded: np.ndarray
    """Value of the orders by day, switches included, (D,)."""
    switching: np.ndarray
    """Fees of switching alone, by day, (D,)."""
    stretches: tuple[tuple[Stretch, ...], ...]
    """By asset, in the order of time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Path:
    """What is judged."""

    start: int
    """The first day of the grid that counts."""
    returns: np.ndarray
    """Daily, net of fees and switches, (D,)."""
    periods: tuple[Period, ...]
    """Days of the grid."""
    benchmark: np.ndarray | None
    """Of the columns that were held, (D,)."""
    positions: Positions | None


def join(grid: Grid, periods: tuple[Period, ...]) -> Path:
    """The columns of the periods one after another."""
    start, stop = periods[0].start, periods[-1].stop
    returns = np.zeros(stop - start)
    benchmark = None if grid.benchmark is None else np.zeros(stop - start)
    for one in periods:
        own = slice(one.start - start, one.stop - start)
        if one.column >= 0:
            returns[own] = grid.returns[one.start : one.stop, one.column]
        held = grid.benchmark_of(max(one.column, 0))
        if benchmark is not None and held is not None:
            benchmark[own] = held[one.start : one.stop]
    positions = None
    if grid.book is not None and grid.ledger is not None:
        runs = [_held(grid.book, grid.ledger, run) for run in runs_of(periods)]
        positions = _positions(runs, start, stop - start)
        returns -= positions.switching
    return Path(
        start=start, returns=returns, periods=periods, benchmark=benchmark, positions=positions
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Run:
    """One column's account over some days; `parts` is empty where nothing was held."""

    days: Period
    first: int
    """Bar."""
    last: int
    """Bar, included."""
    day_of_bar: np.ndarray
    before: np.ndarray
    """Money before each day of the run; infinite once nothing is left."""
    equity: np.ndarray
    """At every bar of the book."""
    parts: tuple[Bars, ...]
    """By asset."""
    rate: float
    """Mean fee on a traded value."""

    def exposure(self, bar: int) -> float:
        """Gross, at a bar's close, as a share of the account; 0 before the first bar."""
        if bar < 0 or not self.parts or self.equity[bar] <= 0:
            return 0.0
        return float(
            sum(abs(p.position[bar] * p.close[bar]) for p in self.parts) / self.equity[bar]
        )

    def by_day(self, values_T: np.ndarray) -> np.ndarray:
        """Sum by day of the run, as a share of the money before."""
        inside = slice(self.first, self.last + 1)
        days = self.day_of_bar[inside] - self.days.start
        summed = np.bincount(days, weights=values_T[inside], minlength=len(self.before))
        return np.asarray(summed / self.before)

    def stretch(self, part: Bars, start: int) -> Stretch:
        """One asset of it; `start` is the path's first day."""
        rows = slice(max(self.first - 1, 0), self.last)
        after = slice(rows.start + 1, self.last + 1)
        alive = self.equity[rows] > 0
        value = part.position[rows] * part.close[rows]
        return Stretch(
            weight=np.where(alive, value / np.where(alive, self.equity[rows], 1.0), 0.0),
            market=returns_between(part.close[rows.start : self.last + 1]),
            day=self.day_of_bar[after] - start,
            close=part.close,
        )


def _held(book: Book, ledger: Ledger, run: Period) -> _Run:
    last_bar, column = book.last_bar, run.column
    parts = tuple(bars_of(book, int(n)) for n in book.columns_of(column)) if column >= 0 else ()
    money = np.append(book.init_cash[column], ledger.equity[:-1, column])[run.start : run.stop]
    gained = sum((part.profit - part.fees for part in parts), np.zeros(len(book.close)))
    return _Run(
        days=run,
        first=0 if run.start == 0 else int(last_bar[run.start - 1]) + 1,
        last=int(last_bar[run.stop - 1]),
        day_of_bar=np.searchsorted(last_bar, np.arange(len(book.close))),
        before=np.where(money > 0, money, np.inf),
        equity=until_ruin(book.init_cash[column] + np.cumsum(gained)),
        parts=parts,
        rate=ratio(ledger.fees[column], ledger.traded[column]) if parts else 0.0,
    )


def _positions(runs: list[_Run], start: int, count: int) -> Positions:
    fees, traded, switching = np.zeros((3, count))
    pieces: list[tuple[np.ndarray, ...]] = []
    spells: list[tuple[np.ndarray, ...]] = []
    stretches: dict[int, list[Stretch]] = {}
    for k, run in enumerate(runs):
        own = slice(run.days.start - start, run.days.stop - start)
        for number, part in enumerate(run.parts):
            inside = (part.bar >= run.first) & (part.bar <= run.last)
            used, spell = np.unique(part.spell[inside], return_inverse=True)
            day = run.day_of_bar[part.bar[inside]]
            share = part.gross[inside] / run.before[day - run.days.start]
            known = sum(len(asset_K) for _, asset_K in spells)
            pieces.append((spell + known, day - start, share))
            spells.append((part.is_long[used], np.full(len(used), number)))
            fees[own] += run.by_day(part.fees)
            traded[own] += run.by_day(part.traded)
            stretches.setdefault(number, []).append(run.stretch(part, start))
        if k > 0:
            before = runs[k - 1]
            out, into = before.exposure(run.first - 1), run.exposure(run.first - 1)
            switching[own.start] = out * before.rate + into * run.rate
            traded[own.start] += out + into
    spell, day, gross = _columns(pieces, 3)
    is_long, asset_K = _columns(spells, 2)
    return Positions(
        spell=spell.astype(np.int64), day=day.astype(np.int64), gross=gross,
        is_long=is_long.astype(np.bool_), asset=asset_K.astype(np.int64), fees=fees + switching,
        traded=traded, switching=switching, stretches=tuple(map(tuple, stretches.values())),
    )  # fmt: skip


def _columns(rows: list[tuple[np.ndarray, ...]], count: int) -> list[np.ndarray]:
    """Each place of the rows joined; empty where there is no row."""
    return [np.concatenate([np.zeros(0), *(row[k] for row in rows)]) for k in range(count)]
