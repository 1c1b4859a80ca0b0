"""The tables [instruments."BTC/USDT"] of a strategy file: read, written and hashed.

A symbol's own keys go over those of [instruments.default]; "none" takes a key of it back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from convnext_vbt.errors import ConfigError
from convnext_vbt.trading.instruments import DEFAULT, Instrument

SECTION = "instruments"
NONE = "none"
KEYS = tuple(field.name for field in fields(Instrument))


def over_default(tables: Any, origin: str) -> Any:
    """Each symbol's table over the default one; anything but tables is left to be refused.

    Raises `ConfigError`, naming `origin`, for keys of an instrument in no symbol's table.
    """
    if not isinstance(tables, dict):
        return tables
    loose = [key for key in KEYS if key in tables and not isinstance(tables[key], dict)]
    if loose:
        raise ConfigError(
            f"{origin}: [{SECTION}] {', '.join(loose)}: a key belongs to a symbol; write "
            f'[{SECTION}.default] for all of them, or [{SECTION}."BTC/USDT"]'
        )
    base = tables.get(DEFAULT, {})
    if not isinstance(base, dict):
        return tables
    return {
        symbol: _without_none(own if symbol == DEFAULT else base | own)
        if isinstance(own, dict)
        else own
        for symbol, own in tables.items()
    }


def written(instruments: Mapping[str, Instrument]) -> dict[str, dict[str, Any]]:
    """The tables that read back as these: what is away from both defaults, and what undoes one."""
    plain = asdict(Instrument())
    base = asdict(instruments.get(DEFAULT, Instrument()))
    tables = {}
    for symbol, instrument in instruments.items():
        below = plain if symbol == DEFAULT else base
        tables[symbol] = {
            key: NONE if value is None else value
            for key, value in asdict(instrument).items()
            if value != below[key]
        }
    return tables


def hashed(instruments: Mapping[str, Instrument]) -> dict[str, dict[str, Any]]:
    """What says something of each symbol: keys to come change the hash of nobody without them."""
    plain = asdict(Instrument())
    return {
        symbol: {key: value for key, value in asdict(own).items() if value != plain[key]}
        for symbol, own in instruments.items()
    }


def table_name(symbol: str) -> str:
    """The heading of a symbol's table, as TOML has it: [instruments."BTC/USDT"]."""
    return f"[{SECTION}.{symbol if symbol == DEFAULT else json.dumps(symbol, ensure_ascii=False)}]"


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value != NONE}
