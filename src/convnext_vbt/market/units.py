"""Prices and volumes in the units that bars have: money a coin, coins or shares."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from convnext_vbt.market.columns import PRICES
from convnext_vbt.market.passes import all_are
from convnext_vbt.market.tables import Findings, Table

_UNDEFINED = 9.2e18
"""Databento's price where there is none: the largest whole number."""
_PROVEN = 0.95
_MOSTLY = 0.05
_CONTRACTS = re.compile(r"-SWAP$|-\d{6}$")


def in_price_units(rows: pd.DataFrame, table: Table, findings: Findings) -> pd.DataFrame:
    """Rows whose prices are money: a vendor's whole numbers count a part of it."""
    vendor = table.layout.vendor
    if vendor is None or vendor.price_unit == 1 or not _are_whole(table):
        return rows
    power = round(1 / vendor.price_unit)
    prices = {name: rows[name].where(rows[name] < _UNDEFINED) / power for name in PRICES}
    findings.change(len(rows), f"bars with {vendor.name}'s prices, divided by {power:,}")
    return rows.assign(**prices)


def _are_whole(table: Table) -> bool:
    columns = [table.columns[place] for place in table.layout.prices]
    return all(
        pa.types.is_integer(c.type)
        or (pa.types.is_string(c.type) and not pc.any(pc.match_substring(c, ".")).as_py())
        for c in columns
    )


def with_volume(
    rows: pd.DataFrame, table: Table, used: set[int], findings: Findings
) -> pd.DataFrame:
    """Rows with a volume: the file's own, else its ticks where that is zero, else NaN."""
    layout, names = table.layout, table.layout.names
    vendor = layout.vendor
    if layout.parts:
        parts = [f"part {n}" for n in range(len(layout.parts))]
        rows = rows.assign(volume=rows[parts].sum(axis=1, skipna=False))
        findings.reading.append(f"volume from {' + '.join(names[i] for i in layout.parts)}")
        return rows
    used.discard(-1 if layout.amount is None else layout.amount)
    if "volume" not in rows and "ticks" not in rows:
        findings.reading.append("no volume: features made of it are left out")
        return rows.assign(volume=np.nan)
    used.discard(-1 if layout.quote_volume is None else layout.quote_volume)
    if "volume" in rows:
        rows = _coins(rows, table, used, findings)
    none = "volume" in rows and all_are(rows["volume"].to_numpy(), _is_none)
    if "volume" in rows and all_are(rows["volume"].to_numpy(), _is_minus_one):
        findings.change(len(rows), "volumes are all -1, which is taken as no volume")
        rows, none = rows.assign(volume=np.nan), False
    elif "ticks" in rows and ("volume" not in rows or none or _mostly_zero(rows)):
        used.discard(-1 if layout.volume is None else layout.volume)
        why = "there is no other" if "volume" not in rows or none else _few(rows, table)
        rows = rows.assign(volume=rows["ticks"])
        findings.reading.append(f"volume from {names[layout.ticks or 0]}: {why}")
    elif none:
        used.discard(-1 if layout.ticks is None else layout.ticks)
        findings.change(len(rows), "volumes are all 0, which is taken as no volume")
        rows = rows.assign(volume=np.nan)
    else:
        used.discard(-1 if layout.ticks is None else layout.ticks)
        num_zero = len(rows) - int(np.count_nonzero(rows["volume"].to_numpy()))
        if num_zero:
            findings.reading.append(f"a volume of 0 in {num_zero:,} row(s), kept as it is")
    if vendor is not None and vendor.money:
        findings.change(
            len(rows), f"volumes are in {vendor.money}, no number of coins: taken as no volume"
        )
        rows = rows.assign(volume=np.nan)
    if vendor is not None and vendor.volume_unit != 1:
        unit = vendor.volume_unit
        findings.change(len(rows), f"volumes are in lots of {unit:g}, multiplied by it")
        rows = rows.assign(volume=rows["volume"] * unit)
    return rows


def _is_none(volume: np.ndarray) -> np.ndarray:
    none: np.ndarray = (volume == 0) | np.isnan(volume)
    return none


def _is_minus_one(volume: np.ndarray) -> np.ndarray:
    minus_one: np.ndarray = volume == -1
    return minus_one


def _mostly_zero(rows: pd.DataFrame) -> bool:
    """Whether a volume lacks where there are ticks, in more than a few rows."""
    return bool(((rows["volume"] == 0) & (rows["ticks"] > 0)).mean() > _MOSTLY)


def _few(rows: pd.DataFrame, table: Table) -> str:
    name = table.layout.names[table.layout.volume or 0]
    lacking = int(((rows["volume"] == 0) & (rows["ticks"] > 0)).sum())
    return f"{name} is 0 in {lacking:,} of {len(rows):,} rows that have ticks"


def _coins(rows: pd.DataFrame, table: Table, used: set[int], findings: Findings) -> pd.DataFrame:
    """Rows whose volume is coins or shares, where another column proves which of the two is."""
    layout, names = table.layout, table.layout.names
    volume = layout.volume or 0
    if _are_contracts(rows, table):
        coins = names[layout.quote_volume or 0]
        findings.reading.append(f"volume from {coins}: {names[volume]} counts contracts")
        used.discard(volume)
        used.add(layout.quote_volume or 0)
        return rows.assign(volume=rows["quote"], quote=np.nan)
    amount = layout.amount
    if amount is not None and _is_price_between(rows["volume"], rows["amount"], rows):
        findings.reading.append(
            f"volume from {names[amount]}: {names[volume]} over it is the price, so that is money"
        )
        used ^= {volume, amount}
        return rows.assign(volume=rows["amount"], quote=np.nan)
    findings.reading.append(f"volume from {names[volume]}")
    return rows


def _are_contracts(rows: pd.DataFrame, table: Table) -> bool:
    """Whether these are swaps or futures of OKX, whose vol counts contracts and vol_ccy coins."""
    layout = table.layout
    if layout.vendor is None or layout.vendor.name != "OKX" or "quote" not in rows:
        return False
    if layout.symbol is not None:
        spelt = pc.unique(table.columns[layout.symbol].cast(pa.string())).to_pylist()
        return all(_CONTRACTS.search(str(name)) for name in spelt)
    return not _is_price_between(rows["quote"], rows["volume"], rows)


def _is_price_between(money: pd.Series, coins: pd.Series, rows: pd.DataFrame) -> bool:
    """Whether money over coins is a price paid within the bar, in nearly all bars with trades.

    Near a price of 1 nothing is proven: there coins over money is one as well.
    """
    traded = (coins > 0) & (money > 0)
    low, high = rows["low"][traded] * 0.999, rows["high"][traded] * 1.001
    if not traded.any():
        return False
    here = (money / coins)[traded].between(low, high).mean() >= _PROVEN
    turned = (coins / money)[traded].between(low, high).mean() >= _PROVEN
    return bool(here and not turned)
