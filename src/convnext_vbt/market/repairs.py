"""From rows as they stand in a file to bars in order: what is clear is done, the rest refused.

Rows are a frame with the columns `time` (int64, UTC nanoseconds) and the five fields of a bar;
its index says in which line they stand. `word` says how a row is named: "row at line" or "row".
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.market import bars
from convnext_vbt.market.bars import FIELDS, step_text, value_faults
from convnext_vbt.market.columns import PRICES
from convnext_vbt.market.passes import (
    any_zero,
    are_increasing,
    may_repeat,
    unusual_distances,
    usual_distance,
)
from convnext_vbt.market.tables import NO_ROWS, Findings

_RUN = 24
"""So many equal distances in a row that are not the usual one are another bar size, not gaps."""
_MAX_OFF_GRID = 0.1
_DAY = 86_400 * 10**9
_FRIDAY, _SATURDAY = 4, 5
_FEWEST_COPIES = 3
_FURTHEST = 48
"""Bars in a row, and how far back, that make a stretch a copy of another."""


def drop_empty(rows: pd.DataFrame, word: str, findings: Findings) -> pd.DataFrame:
    """A row without any price is a bar that is not there; one with some of them is refused."""
    missing = rows[list(FIELDS)].isna()
    if missing["volume"].all():  # the file has no volume
        missing["volume"] = False
    empty = missing[list(PRICES)].all(axis=1) & ~(rows["volume"] > 0)
    partly = missing.any(axis=1) & ~empty
    if partly.any():
        row = int(partly.to_numpy().argmax())
        field = FIELDS[int(missing.iloc[row].to_numpy().argmax())]
        if not missing[list(PRICES)][partly].any(axis=None):
            raise InputError(
                f"{word} {rows.index[row]}, volume: the value is missing in "
                f"{partly.sum():,} of {len(rows):,} bars whose prices are there: fill these in, or "
                "delete the column of volumes, and the bars are read without one"
            )
        raise InputError(
            f"{word} {rows.index[row]}, {field}: the value is missing; {partly.sum():,} "
            "such row(s) in all: repair or drop these rows"
        )
    findings.change(empty.sum(), f"row(s) without any price dropped ({_lines(rows[empty])})")
    if empty.all():
        raise InputError(NO_ROWS)
    return _kept(rows, ~empty.to_numpy(), findings)


def _kept(rows: pd.DataFrame, keep: np.ndarray, findings: Findings) -> pd.DataFrame:
    """The rows that stay; a funding rate of one that does not is due at the next that does."""
    kept: pd.DataFrame = rows[keep]
    if "funding" not in rows:
        return kept
    lost = rows[~keep & (rows["funding"].fillna(0.0) != 0).to_numpy()]
    order = np.argsort(kept["time"].to_numpy(), kind="stable")
    place = kept["time"].to_numpy()[order].searchsorted(lost["time"].to_numpy())
    later = place < len(kept)
    if not later.any():
        return kept
    due = order[place[later]]
    rates = kept["funding"].to_numpy(copy=True)
    rates[due] = np.nan_to_num(rates[due])
    np.add.at(rates, due, lost["funding"].to_numpy()[later])
    findings.change(
        int(later.sum()), f"funding rate(s) of such rows are due at the next bar ({_lines(lost)})"
    )
    return kept.assign(funding=rates)


def in_order(rows: pd.DataFrame, word: str, findings: Findings) -> pd.DataFrame:
    """Rows by time, exact duplicates dropped; the same time with other values is refused."""
    times = rows["time"].to_numpy()
    if are_increasing(times):
        return rows
    if (np.diff(times) < 0).sum() > len(rows) // 2:
        findings.change(len(rows), "rows turned round: the newest came first")
        rows, times = rows[::-1], times[::-1]
    late = times < np.maximum.accumulate(times)
    if late.any():
        findings.change(
            late.sum(), f"row(s) below later ones sorted by time ({_lines(rows[late])})"
        )
        rows = rows.sort_values("time", kind="stable")
    times, values = rows["time"].to_numpy(), rows[list(FIELDS)].to_numpy()
    again = times[1:] == times[:-1]
    same = ((values[1:] == values[:-1]) | np.isnan(values[1:])).all(axis=1)
    if (again & ~same).any():
        raise InputError(_conflict(rows, np.flatnonzero(again & ~same), word))
    doubled = np.concatenate([[False], again])
    findings.change(again.sum(), f"exact duplicate row(s) dropped ({_lines(rows[doubled])})")
    return _one_rate_a_time(rows, word)[~doubled]


def _one_rate_a_time(rows: pd.DataFrame, word: str) -> pd.DataFrame:
    """The rows, each with the funding rate that one of those of its time has."""
    if "funding" not in rows:
        return rows
    rates = rows.groupby("time", sort=False)["funding"]
    least, most = rates.transform("min"), rates.transform("max")
    differs = (least < most).to_numpy()
    if differs.any():
        row = int(differs.argmax())
        raise InputError(
            f"{word} {rows.index[row]}: {pd.Timestamp(int(rows['time'].iloc[row]), tz='UTC')} is "
            f"there twice with different funding rates, {least.iloc[row]:g} and "
            f"{most.iloc[row]:g}: find out which is right and drop the other"
        )
    return rows.assign(funding=most)


def _lines(rows: pd.DataFrame) -> str:
    """The first few rows by the numbers of their lines."""
    numbers = np.sort(rows.index.to_numpy())
    return "line " + ", ".join(map(str, numbers[:3])) + (", ..." if len(numbers) > 3 else "")


def _conflict(rows: pd.DataFrame, pairs: np.ndarray, word: str) -> str:
    """What is wrong with the pair of rows that comes first in the file."""
    lines = rows.index.to_numpy()
    first = int(pairs[np.maximum(lines[pairs], lines[pairs + 1]).argmin()])
    one, two = rows.iloc[first], rows.iloc[first + 1]
    name = next(name for name in FIELDS if one[name] != two[name])
    low, high = sorted((int(rows.index[first]), int(rows.index[first + 1])))
    several = len(pairs) >= 0.9 * rows["time"].nunique()
    or_else = ", or give the rows of each symbol its name in a column symbol" if several else ""
    return (
        f"{word} {high}: {pd.Timestamp(int(one['time']), tz='UTC')} is there twice with different "
        f"values ({name} {one[name]:.10g} and {two[name]:.10g}; the other row is {low}); "
        f"{len(pairs):,} such pair(s) in all: find out which rows are right and drop the others"
        f"{or_else}"
    )


def without_forming(rows: pd.DataFrame, findings: Findings) -> pd.DataFrame:
    """Rows without the newest ones that the file says are not over; older ones have ended since.

    A file in which no bar at all is confirmed says nothing by it.
    """
    if "confirm" not in rows:
        return rows
    over = (rows["confirm"] != 0).to_numpy()
    if over.all() or not over.any():
        return rows
    times = rows["time"].to_numpy()
    forming = ~over & (times > times[over].max())
    where = f"confirm is 0, {_lines(rows[forming])}"
    findings.change(int(forming.sum()), f"row(s) of bars that are not over left out ({where})")
    kept: pd.DataFrame = rows[~forming]
    return kept


def without_noise(rows: pd.DataFrame, findings: Findings) -> pd.DataFrame:
    """A high or low that open or close pass by no more than rounding is moved to them."""
    high, low, count = bars.without_noise(*(rows[name].to_numpy() for name in PRICES))
    if not count:
        return rows
    findings.change(count, bars.MENDED)
    return rows.assign(high=high, low=low)


def refuse_impossible(rows: pd.DataFrame, word: str) -> None:
    """Raise `ValueError` for the first bar that cannot be, by its line."""
    fields = {name: rows[name].to_numpy() for name in FIELDS}
    for field, why, bad in value_faults(fields):
        if bad.any():
            row = rows[bad].sort_index().iloc[0]
            values = ", ".join(f"{name}={row[name]:g}" for name in FIELDS)
            raise InputError(
                f"{word} {row.name} ({pd.Timestamp(int(row['time']), tz='UTC')}), {field}: "
                f"{why} ({values}); {bad.sum():,} such value(s) in all: repair or drop these rows"
            )


def refuse_swapped(
    rows: pd.DataFrame, quote: np.ndarray, names: tuple[str, str], word: str
) -> None:
    """Quote volume over volume is a price paid within the bar; the other way round, it is swapped.

    `quote` is the column that ought to be the quote volume, NaN where missing. A bar at a price
    near 1 proves nothing and passes.
    """
    base = rows["volume"].to_numpy()
    low, high = rows["low"].to_numpy() * 0.9, rows["high"].to_numpy() * 1.1
    with np.errstate(divide="ignore", invalid="ignore"):
        right, turned = quote / base, base / quote
    swapped = (turned >= low) & (turned <= high) & ~((right >= low) & (right <= high))
    if not swapped.any():
        return
    row = rows[swapped].iloc[0]
    share = "all" if swapped.all() else f"{swapped.sum():,} of {len(rows):,}"
    raise InputError(
        f"{word} {row.name}: {names[0]} {row['volume']:.10g} and {names[1]} "
        f"{quote[swapped.argmax()]:.10g} are swapped (at a price of {row['close']:g} {names[1]} "
        f"is the larger by that factor), in {share} rows: exchange the two cells in these rows"
    )


def _keep_hours(times: np.ndarray) -> bool:
    """Whether bars come at the same few times of every day: lunch breaks, a first half hour.

    Half of the year an hour earlier, where clocks change.
    """
    clocks = times % _DAY
    per_day = np.unique(times // _DAY, return_counts=True)[1]
    return bool(len(per_day) >= 3 and len(np.unique(clocks)) <= 2 * per_day.max())


def refuse_mixed_spacing(rows: pd.DataFrame, word: str) -> None:
    """Bars of two sizes in one file, or times that follow no grid, are refused by their line."""
    times = rows["time"].to_numpy()
    if len(times) < _RUN:
        return
    step = pd.Timedelta(usual_distance(times), unit="ns")
    where, distance = unusual_distances(times, step.value)
    if not len(where):
        return
    begins = (np.diff(where, prepend=-2) != 1) | (np.diff(distance, prepend=-1) != 0)
    starts = np.flatnonzero(begins)
    lengths = np.diff(np.append(starts, len(distance)))
    long = lengths >= _RUN
    if long.any():
        start = int(starts[long.argmax()])
        other = pd.Timedelta(int(distance[start]), unit="ns")
        raise InputError(
            f"{word} {rows.index[int(where[start])]}: bars of {step_text(other)} begin here "
            f"({lengths[long.argmax()] + 1:,} in a row), the others are of {step_text(step)}; "
            "write bars of one size"
        )
    off = distance % step.value != 0
    share = off.sum() / (len(times) - 1)
    if step.value < _DAY and share > _MAX_OFF_GRID and not _keep_hours(times):
        raise InputError(
            f"{word} {rows.index[int(where[off.argmax()]) + 1]}: bars are not spaced "
            f"evenly: {share:.0%} of the distances are no multiple of the usual {step_text(step)}; "
            "write bars of one size, not single trades"
        )


def without_weekend_filler(rows: pd.DataFrame, findings: Findings) -> pd.DataFrame:
    """Rows without those that stand for a closed weekend: flat at the last close, volume 0.

    Only where every Saturday has nothing else and weekdays have: there the market is closed.
    """
    volume = rows["volume"].to_numpy()
    if not any_zero(volume):
        return rows
    close = rows["close"].to_numpy()
    before = np.append(np.nan, close[:-1])
    flat = (volume == 0) & np.all([rows[name] == before for name in PRICES], axis=0)
    weekday = (rows["time"].to_numpy() // _DAY + 3) % 7
    saturday = weekday == _SATURDAY
    if not saturday.any() or not flat[saturday].all() or flat[weekday < _FRIDAY].mean() > 0.5:
        return rows
    run = np.cumsum(np.append(True, flat[1:] != flat[:-1]))
    filler = flat & np.isin(run, run[saturday])
    findings.change(
        filler.sum(),
        f"row(s) without trades on closed weekends left out ({_lines(rows[filler])})",
    )
    return _kept(rows, ~filler, findings)


def refuse_copies(rows: pd.DataFrame, word: str) -> None:
    """Several bars in a row that are, value by value, the bars of some hours before."""
    known = not np.isnan(rows["volume"].to_numpy()[0])  # in all bars, or in none
    few = _FEWEST_COPIES if known else 2 * _FEWEST_COPIES
    names = FIELDS if known else FIELDS[:4]
    if not may_repeat({name: rows[name].to_numpy() for name in names}, few, _FURTHEST):
        return
    values = rows[list(names)].to_numpy()
    volume = rows["volume"].to_numpy()
    moved = values[:, 1] > values[:, 2]  # flat bars are alike by chance
    if known:
        moved &= volume > 0
    moved[1:] &= (values[1:] != values[:-1]).all(axis=1)  # and so are bars that never change
    for lag in range(1, min(_FURTHEST + 1, len(rows) - few)):
        same = (values[lag:] == values[:-lag]).all(axis=1) & moved[lag:]
        runs = np.convolve(same, np.ones(few, int), "valid") == few
        if runs.any():
            first = int(runs.argmax()) + lag
            line, source = rows.index[first], rows.index[first - lag]
            raise InputError(
                f"{word} {line}: {int(same.sum()):,} bars from here on "
                f"({pd.Timestamp(int(rows['time'].iloc[first]), tz='UTC')}) are copies of those "
                f"from {source} on, value by value; fetch these hours again, or "
                "drop the copies"
            )
