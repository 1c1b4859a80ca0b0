"""What an exchange says of a contract, through ccxt: steps, least size, multiplier and fees.

It is told and kept beside the bars, and changes no strategy by itself: who wants it pastes its
table, as [instruments."BTC/USDT"], into the strategy file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import tomli_w

SECTION = "instruments"
DECIMAL_PLACES, SIGNIFICANT_DIGITS, TICK_SIZE = 2, 3, 4
"""ccxt's ways to tell a step, its `precisionMode`."""


def contract_terms(
    market: Mapping[str, Any], precision_mode: int, *, price: float
) -> dict[str, float | bool | str]:
    """The keys of an instrument that ccxt's market tells, `price` being the newest one.

    Exchanges that count significant digits of the price have no tick of their own: it is that at
    `price`; their sizes have no step that could be told. An inverse contract is worth money: its
    lot is in the quote currency. What an exchange does not say is left out.
    """
    precision, size = market.get("precision") or {}, _number(market.get("contractSize"))
    inverse = market.get("inverse") is True
    lot = _step(precision.get("amount"), precision_mode, None)
    if inverse and lot is not None:
        lot *= size or 1.0
    limits = (market.get("limits") or {}).get("cost") or {}
    of_quote = market.get("percentage") is not False  # else fees are in money, not shares of it
    told: dict[str, float | bool | str | None] = {
        "tick": _step(precision.get("price"), precision_mode, price),
        "lot": lot,
        "min_notional": None if inverse else _number(limits.get("min")) or None,
        "multiplier": None if inverse or size in (None, 0.0, 1.0) else size,
        "inverse": inverse or None,
        "taker": _number(market.get("taker")) if of_quote else None,
        "maker": _number(market.get("maker")) if of_quote else None,
        "currency": market.get("settle") or market.get("quote"),
    }
    return {key: value for key, value in told.items() if value is not None}


def terms_text(symbol: str, terms: Mapping[str, float | bool | str]) -> str:
    """The table of a strategy file that says so."""
    return tomli_w.dumps({SECTION: {symbol: dict(terms)}}).strip()


def _step(said: Any, mode: int, price: float | None) -> float | None:
    """The step that a precision stands for; None where it stands for none."""
    value = _number(said)
    if value is None:
        return None
    if mode == TICK_SIZE:
        return value if value > 0 else None
    if mode == DECIMAL_PLACES:
        return _power(-int(value))
    if mode == SIGNIFICANT_DIGITS and price is not None:
        return _power(math.floor(math.log10(price)) + 1 - int(value))
    return None


def _power(exponent: int) -> float:
    """10 to a whole number, rounded once: 1e-05, not 1.0000000000000001e-05."""
    return float(f"1e{exponent}")


def _number(value: Any) -> float | None:
    """A finite number, of whatever type ccxt has it; None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and not isinstance(value, bool) else None
